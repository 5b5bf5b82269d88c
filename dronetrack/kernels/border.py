"""Which side of a line, and how far from it?

Legend
------
line    (k, 2) vertices, longitude and latitude [rad]; the second country lies on the left
blocks  (b, 4) lowest and highest longitude and latitude of each run of `BLOCK` segments [rad]
ring    (r, 2) vertices of a polygon [rad], first not repeated
M, N    radii of curvature along the meridian and across it [m]
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.geodesy import a, e2

BLOCK = 16


@kernel
def scales_one(lat):
    """Metres per radian of longitude and of latitude."""
    w = 1.0 - e2 * np.sin(lat) ** 2
    return a / np.sqrt(w) * np.cos(lat), a * (1.0 - e2) / w**1.5


@kernel
def box_distance2_one(lon, lat, box, kx, ky):
    """Squared distance from a point to a box of `blocks` [m2], good enough to rule blocks out."""
    dx = max(box[0] - lon, 0.0, lon - box[1]) * kx
    dy = max(box[2] - lat, 0.0, lat - box[3]) * ky
    return dx * dx + dy * dy


@kernel
def nearest_one(lon, lat, line, blocks, out):
    """Nearest point of the line: fill out with (signed distance, normal east, normal north).

    Segments are straight in longitude and latitude (RFC 7946, section 3.1.1). The plane is that of the middle latitude
    of point and nearest point, which keeps the distance right to about 1e-6 of itself up to some 30 km. The normal
    points to the second country; where the line bends, the sign comes from both segments of the corner.
    """
    best = np.inf
    at, part = 0, 0.0
    kx, ky = scales_one(lat)
    # Start where the boxes are nearest; then most other blocks are ruled out by their box alone.
    start, closest = 0, np.inf
    for block in range(blocks.shape[0]):
        d2 = box_distance2_one(lon, lat, blocks[block], kx, ky)
        if d2 < closest:
            start, closest = block, d2
    for turn in range(-1, blocks.shape[0]):
        block = start if turn < 0 else turn
        if turn == start or 0.9 * box_distance2_one(lon, lat, blocks[block], kx, ky) > best:
            continue
        sx, sy = scales_one(0.5 * lat + 0.25 * (blocks[block, 2] + blocks[block, 3]))
        for i in range(block * BLOCK, min((block + 1) * BLOCK, line.shape[0] - 1)):
            x0, y0 = (line[i, 0] - lon) * sx, (line[i, 1] - lat) * sy
            ex, ey = (line[i + 1, 0] - line[i, 0]) * sx, (line[i + 1, 1] - line[i, 1]) * sy
            length2 = ex * ex + ey * ey
            t = 0.0
            if length2 > 0.0:
                t = min(max(-(x0 * ex + y0 * ey) / length2, 0.0), 1.0)
            x, y = x0 + t * ex, y0 + t * ey
            d2 = x * x + y * y
            if d2 < best:
                best, at, part = d2, i, t
    plon = line[at, 0] + part * (line[at + 1, 0] - line[at, 0])
    plat = line[at, 1] + part * (line[at + 1, 1] - line[at, 1])
    sx, sy = scales_one(0.5 * (lat + plat))
    x, y = (lon - plon) * sx, (lat - plat) * sy  # from the line to the point
    nx, ny = 0.0, 0.0
    for i in range(
        at - 1 if part == 0.0 and at > 0 else at, at + 2 if part == 1.0 and at + 2 < line.shape[0] else at + 1
    ):
        ex, ey = (line[i + 1, 0] - line[i, 0]) * sx, (line[i + 1, 1] - line[i, 1]) * sy
        length = np.hypot(ex, ey)
        if length > 0.0:
            nx -= ey / length
            ny += ex / length
    length = np.hypot(nx, ny)
    nx, ny = (nx / length, ny / length) if length > 0.0 else (0.0, 0.0)
    distance = np.hypot(x, y)
    sign = 1.0 if x * nx + y * ny >= 0.0 else -1.0
    out[0] = sign * distance
    # Away from a corner the distance grows along the way from it, not along either segment's normal.
    if distance > 1.0:
        nx, ny = sign * x / distance, sign * y / distance
    out[1] = nx
    out[2] = ny


@kernel
def nearest_rows(lon, lat, line, blocks, out):
    """Fill out (n, 3); NaN for NaN."""
    for i in range(lon.shape[0]):
        if np.isnan(lon[i]) or np.isnan(lat[i]):
            out[i, 0], out[i, 1], out[i, 2] = np.nan, np.nan, np.nan
        else:
            nearest_one(lon[i], lat[i], line, blocks, out[i])


@kernel
def inside_rows(lon, lat, ring, inside):
    """Even-odd rule for a polygon, straight in longitude and latitude."""
    west, east = ring[:, 0].min(), ring[:, 0].max()
    south, north = ring[:, 1].min(), ring[:, 1].max()
    m = ring.shape[0]
    for i in range(lon.shape[0]):
        inside[i] = False
        if not (west <= lon[i] <= east and south <= lat[i] <= north):
            continue
        odd = False
        j = m - 1
        for k in range(m):
            if (ring[k, 1] > lat[i]) != (ring[j, 1] > lat[i]):
                at = (ring[j, 0] - ring[k, 0]) * (lat[i] - ring[k, 1]) / (ring[j, 1] - ring[k, 1]) + ring[k, 0]
                if lon[i] < at:
                    odd = not odd
            j = k
        inside[i] = odd


@kernel
def zero_one(d0, v0, d1, v1, span):
    """Part of the step at which the cubic with these ends (values [m], slopes [m/s]) is zero, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        s = 0.5 * (low + high)
        s2, s3 = s * s, s * s * s
        d = d0 * (2 * s3 - 3 * s2 + 1) + d1 * (3 * s2 - 2 * s3) + span * (v0 * (s3 - 2 * s2 + s) + v1 * (s3 - s2))
        if (d > 0.0) == (d0 > 0.0):
            low = s
        else:
            high = s
    return 0.5 * (low + high)


@kernel
def crossings_rows(time_us, d, v, sigma, sure, row, part, spread_s, leaving, entering, settled, belief):
    """Find changes of side by belief; return how many.

    d, v, sigma (n,): signed distance [m], its rate [m/s], its standard deviation [m]; `sure` the number of standard
    deviations from the line at which a side is believed. A crossing is a change from a believed side to the other
    believed side; whatever d does in between is noise. Of its sign changes in between the first and the last bound
    when it happened. Outputs, one per crossing: `row` and `part` (row before, part of the step), `spread_s`, sides
    -1 or 1, `settled` (row at which the new side was believed), `belief` (largest |d|/sigma before the next change).
    """
    n = time_us.shape[0]
    side, since, count = 0, 0, 0
    for i in range(n):
        strength = d[i] / sigma[i]
        now = 1 if strength >= sure else -1 if strength <= -sure else 0
        if now == 0:
            continue
        if side != 0 and now != side:
            first, last = -1, -1
            for j in range(since, i):
                if (d[j] > 0.0) != (d[j + 1] > 0.0):
                    if first < 0:
                        first = j
                    last = j
            starts, ends = 0.0, 0.0
            for which in range(2):
                j = first if which == 0 else last
                span = (time_us[j + 1] - time_us[j]) * 1e-6
                at = zero_one(d[j], v[j], d[j + 1], v[j + 1], span)
                moment = (time_us[j] - time_us[since]) * 1e-6 + at * span
                if which == 0:
                    starts = moment
                else:
                    ends = moment
            middle = 0.5 * (starts + ends)
            j = first
            while j < last and (time_us[j + 1] - time_us[since]) * 1e-6 <= middle:
                j += 1
            span = (time_us[j + 1] - time_us[j]) * 1e-6
            row[count] = j
            part[count] = (
                min(max((middle - (time_us[j] - time_us[since]) * 1e-6) / span, 0.0), 1.0) if span > 0 else 0.0
            )
            spread_s[count] = ends - starts
            leaving[count] = side
            entering[count] = now
            settled[count] = i
            belief[count] = 0.0
            count += 1
        side, since = now, i
        if count > 0:
            belief[count - 1] = max(belief[count - 1], abs(strength))
    return count
