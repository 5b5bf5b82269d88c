"""On which side of a line, and how far from it?

Legend
------
lon, lat    geodetic longitude and latitude [rad]
line        (s, 4) segments of the line, lon0, lat0, lon1, lat1 [rad], straight in longitude and latitude (RFC 7946,
            section 3.1.1), the host on their left
before,     (s,) the segment that ends where this one starts, and the one that starts where this one ends; -1 for none
after
curve       (s, 10) the same in ECEF: A, D, K of ``A + t D + t (1 - t) K``, t from 0 to 1, and 1 / D^2; good to 0.1 mm
            for segments of 1 km [m]
near        which segments may be nearest: a square of `n` by `n` cells of `step_lon` by `step_lat` from (west, south),
            row by row; of cell c `items[start[c]:stop[c]]`
code        number of the area around a place; of a border HOME_BIT and HOST_BIT
edges       (m, 4) segments of the outlines of areas; the host on the left of what both share, else the own country
flip        (m,) code on the left of an edge, exclusive or that on its right
grid        cells of `step_lon` by `step_lat`, row by row from (west, south): `items[start[c]:start[c + 1]]` are the
            edges whose boxes touch cell c, `first[e]` is the column and row of the first cell that edge e touches;
            `corner[c]` is the code of the south-west corner, with EDGE_BIT where edges touch the cell
kx, ky      metres per radian of longitude and of latitude
"""

import math
from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.geodesy import a, e2, geodetic_to_ecef_one

HOME_BIT, HOST_BIT, EDGE_BIT = 1, 2, 1 << 15
RAD = np.pi / 180.0
NEAR2 = 50_000.0**2  # up to here the mean curvature is enough: 2e-8 of the distance [m2]
MEAN_CURVATURE2 = 1.0 / 6_371_008.8**2
FEW = 2  # a cell with so few segments is not parted further
MARGIN = 0.1  # what the curvature of a cell may change of a distance, and more [m]
TOUCH = 1e-12  # a box this close to a cell touches it [rad]


class Grid(NamedTuple):
    """Areas under a grid; see the legend."""

    edges: np.ndarray
    flip: np.ndarray
    outside: int  # code of a place outside of all outlines
    west: float
    south: float
    step_lon: float
    step_lat: float
    per_lon: float  # 1 / step_lon
    per_lat: float
    n_lon: int
    n_lat: int
    first: np.ndarray
    start: np.ndarray
    items: np.ndarray
    corner: np.ndarray


class Near(NamedTuple):
    """Which segments may be nearest to a place; see the legend."""

    west: float
    south: float
    step_lon: float
    step_lat: float
    per_lon: float  # 1 / step_lon
    per_lat: float
    n: int
    start: np.ndarray
    stop: np.ndarray
    items: np.ndarray


class Lines(NamedTuple):
    """A border; see the legend."""

    line: np.ndarray
    curve: np.ndarray
    before: np.ndarray
    after: np.ndarray
    near: Near
    closed: bool  # whether outlines are known; a line alone has sides only near it
    grid: Grid


@kernel
def scales_one(lat):
    """Metres per radian of longitude and of latitude."""
    w = 1.0 - e2 * np.sin(lat) ** 2
    return a / np.sqrt(w) * np.cos(lat), a * (1.0 - e2) / w**1.5


@kernel
def cells_one(low, high, origin, step, n):
    """First and last cell that an interval touches, n cells from `origin`; last < first for none."""
    first = int(np.floor((low - TOUCH - origin) / step))
    last = int(np.floor((high + TOUCH - origin) / step))
    return max(first, 0), min(last, n - 1)


@kernel
def count_rows(edges, west, south, step_lon, step_lat, n_lon, n_lat, first, start):
    """Fill `first`, and add to `start[c + 1]` (zeros) how many edges touch cell c."""
    for e in range(edges.shape[0]):
        i0, i1 = cells_one(min(edges[e, 0], edges[e, 2]), max(edges[e, 0], edges[e, 2]), west, step_lon, n_lon)
        j0, j1 = cells_one(min(edges[e, 1], edges[e, 3]), max(edges[e, 1], edges[e, 3]), south, step_lat, n_lat)
        first[e, 0], first[e, 1] = i0, j0
        for j in range(j0, j1 + 1):
            for i in range(i0, i1 + 1):
                start[j * n_lon + i + 1] += 1


@kernel
def fill_rows(edges, west, south, step_lon, step_lat, n_lon, n_lat, place, items):
    """List the edges of each cell; `place[c]` is where those of cell c begin, and is moved to where they end."""
    for e in range(edges.shape[0]):
        i0, i1 = cells_one(min(edges[e, 0], edges[e, 2]), max(edges[e, 0], edges[e, 2]), west, step_lon, n_lon)
        j0, j1 = cells_one(min(edges[e, 1], edges[e, 3]), max(edges[e, 1], edges[e, 3]), south, step_lat, n_lat)
        for j in range(j0, j1 + 1):
            for i in range(i0, i1 + 1):
                items[place[j * n_lon + i]] = e
                place[j * n_lon + i] += 1


@kernel
def left_one(edges, e, lon, lat):
    """Whether a point lies left of the endless line through segment e."""
    ex, ey = edges[e, 2] - edges[e, 0], edges[e, 3] - edges[e, 1]
    return ex * (lat - edges[e, 1]) - ey * (lon - edges[e, 0]) > 0.0


@kernel
def corner_rows(edges, flip, outside, west, south, step_lon, step_lat, n_lon, n_lat, start, corner):
    """Fill `corner` (zeros) by scan lines through the south side of each row of cells."""
    for e in range(edges.shape[0]):
        y0, y1 = edges[e, 1], edges[e, 3]
        j0, j1 = cells_one(min(y0, y1), max(y0, y1), south, step_lat, n_lat)
        for j in range(j0, j1 + 1):
            lat = south + j * step_lat
            if (y0 > lat) == (y1 > lat):
                continue
            lon = edges[e, 0] + (lat - y0) / (y1 - y0) * (edges[e, 2] - edges[e, 0])
            i = min(max(int(np.ceil((lon - west) / step_lon)) - 1, 0), n_lon)
            # Right of an upward segment is not left of it; the same test decides inside the cell.
            while i < n_lon and left_one(edges, e, west + i * step_lon, lat) == (y1 > y0):
                i += 1
            if i < n_lon:
                corner[j * n_lon + i] ^= flip[e]
    for j in range(n_lat):
        code = np.uint16(outside)
        for i in range(n_lon):
            cell = j * n_lon + i
            code ^= corner[cell]
            corner[cell] = code | np.uint16(EDGE_BIT if start[cell + 1] > start[cell] else 0)


@kernel(alone=True)
def code_one(lon, lat, grid):
    """Code of the area around a point.

    From the south-west corner of its cell up, then east: each edge crossed on the way is an area left or entered.
    """
    u, v = (lon - grid.west) * grid.per_lon, (lat - grid.south) * grid.per_lat
    if not (0.0 <= u < grid.n_lon and 0.0 <= v < grid.n_lat):
        return grid.outside
    i, j = int(u), int(v)
    cell = j * grid.n_lon + i
    code = int(grid.corner[cell])
    if code & EDGE_BIT:
        code ^= EDGE_BIT
        west, south = grid.west + i * grid.step_lon, grid.south + j * grid.step_lat
        for k in range(grid.start[cell], grid.start[cell + 1]):
            e = grid.items[k]
            crossed = False
            turn = left_one(grid.edges, e, west, lat)
            if (grid.edges[e, 0] > west) != (grid.edges[e, 2] > west):
                crossed = left_one(grid.edges, e, west, south) != turn
            if (grid.edges[e, 1] > lat) != (grid.edges[e, 3] > lat):
                crossed ^= turn != left_one(grid.edges, e, lon, lat)
            if crossed:
                code ^= int(grid.flip[e])
    return code


@kernel
def valid_one(lon, lat):
    """Whether degrees are in range; NaN is."""
    return not (abs(lon) > 180.0 or abs(lat) > 90.0)


@kernel
def code_rows(lon_deg, lat_deg, grid, out):
    """Fill out (n,); 0 for NaN. Returns the first row out of range, -1 for none.

    Degrees are checked and turned here: for a million places each pass over them would cost as much as the answer.
    """
    for i in range(lon_deg.shape[0]):
        if not valid_one(lon_deg[i], lat_deg[i]):
            return i
        lon, lat = lon_deg[i] * RAD, lat_deg[i] * RAD
        out[i] = 0 if np.isnan(lon + lat) else code_one(lon, lat, grid)
    return -1


@kernel
def distance2_one(x, y, z, curve, s):
    """Squared distance from a point to the chord of segment s [m2], and where it is nearest."""
    px, py, pz = x - curve[s, 0], y - curve[s, 1], z - curve[s, 2]
    dx, dy, dz = curve[s, 3], curve[s, 4], curve[s, 5]
    t = min(max((px * dx + py * dy + pz * dz) * curve[s, 9], 0.0), 1.0)
    px, py, pz = px - t * dx, py - t * dy, pz - t * dz
    return px * px + py * py + pz * pz, t


@kernel
def on_one(curve, s, part):
    """Place and tangent at part of segment s."""
    bow, w = part * (1.0 - part), 1.0 - 2.0 * part
    return (
        curve[s, 0] + part * curve[s, 3] + bow * curve[s, 6],
        curve[s, 1] + part * curve[s, 4] + bow * curve[s, 7],
        curve[s, 2] + part * curve[s, 5] + bow * curve[s, 8],
        curve[s, 3] + w * curve[s, 6],
        curve[s, 4] + w * curve[s, 7],
        curve[s, 5] + w * curve[s, 8],
    )


@kernel
def gap2_one(x, y, z, corner, k):
    """Squared distance from a point to corner k."""
    return (x - corner[k, 0]) ** 2 + (y - corner[k, 1]) ** 2 + (z - corner[k, 2]) ** 2


@kernel
def keep_one(corner, reach, curve, kept, begin, end, count):
    """Append those of kept[begin:end] that may be nearest somewhere in a cell; return how many are kept.

    Whoever is farther from the middle (corner 4) than the nearest one by more than the cell's own width cannot be
    nearest anywhere in it. Nor can whoever is farther from all four corners than one and the same end of a segment:
    what is nearer to one point than to another is a half space.
    """
    x, y, z = corner[4, 0], corner[4, 1], corner[4, 2]
    closest, pivot, at_end = np.inf, 0, 0.0
    for m in range(begin, end):
        d2, t = distance2_one(x, y, z, curve, kept[m])
        if d2 < closest:
            closest, pivot, at_end = d2, kept[m], 1.0 if t > 0.5 else 0.0
    limit = (math.sqrt(closest) + 2.0 * reach) ** 2
    ex, ey, ez, _, _, _ = on_one(curve, pivot, at_end)
    for m in range(begin, end):
        d2, _ = distance2_one(x, y, z, curve, kept[m])
        if d2 > limit:
            continue
        beaten = kept[m] != pivot
        for k in range(4):
            if beaten:
                d2, _ = distance2_one(corner[k, 0], corner[k, 1], corner[k, 2], curve, kept[m])
                beaten = math.sqrt(gap2_one(ex, ey, ez, corner, k)) <= math.sqrt(d2) - MARGIN
        if not beaten:
            kept[count] = kept[m]
            count += 1
    return count


@kernel
def near_rows(curve, west, south, step_lon, step_lat, levels, start, stop, kept):
    """Fill row `levels % 2` of `start` and `stop` (2, cells), a square of 2**levels cells each way, and what is kept.

    From one cell that holds all segments (given in row 0 and in `kept`), each is parted into four, `levels` times, and
    keeps what may be nearest in it (`keep_one`); parts of a cell that holds few already share its list. Returns how
    many there are, or -1 where `kept` is too short.
    """
    count = curve.shape[0]
    corner = np.empty((5, 3))
    for level in range(1, levels + 1):
        n, old, new = 1 << level, (level - 1) & 1, level & 1
        wide, high = step_lon * (1 << (levels - level)), step_lat * (1 << (levels - level))
        for cell in range(n * n):
            j, i = cell // n, cell % n
            parent = (j >> 1) * (n >> 1) + (i >> 1)
            begin, end = start[old, parent], stop[old, parent]
            if end - begin <= FEW:
                start[new, cell], stop[new, cell] = begin, end
                continue
            if count + end - begin > kept.shape[0]:
                return -1
            for k in range(5):
                lon = west + (i + (0.5 if k == 4 else k & 1)) * wide
                lat = south + (j + (0.5 if k == 4 else k >> 1)) * high
                corner[k, 0], corner[k, 1], corner[k, 2] = geodetic_to_ecef_one(lat, lon, 0.0)
            reach = 0.0
            for k in range(4):
                reach = max(reach, math.sqrt(gap2_one(corner[4, 0], corner[4, 1], corner[4, 2], corner, k)))
            start[new, cell] = count
            count = keep_one(corner, 1.01 * reach + 1.0, curve, kept, begin, end, count)
            stop[new, cell] = count
    return count


@kernel
def closest_one(x, y, z, lon, lat, curve, near):
    """Segment whose chord is nearest to a point, and the part of it."""
    u, v = (lon - near.west) * near.per_lon, (lat - near.south) * near.per_lat
    best, at, part = np.inf, 0, 0.0
    if 0.0 <= u < near.n and 0.0 <= v < near.n:
        cell = int(v) * near.n + int(u)
        for m in range(near.start[cell], near.stop[cell]):
            d2, t = distance2_one(x, y, z, curve, near.items[m])
            if d2 < best:
                best, at, part = d2, near.items[m], t
    else:
        for s in range(curve.shape[0]):
            d2, t = distance2_one(x, y, z, curve, s)
            if d2 < best:
                best, at, part = d2, s, t
    return at, part


@kernel(alone=True)
def foot_one(lon, lat, curve, near):
    """Nearest place of the line: (segment, part of it, vector from it to the point, vector up of any length).

    By chords, which rank places as geodesics do to 1e-6 of the distance up to some 300 km; then one Newton step along
    the segment as it is, straight in longitude and latitude.
    """
    x, y, z = geodetic_to_ecef_one(lat, lon, 0.0)
    at, part = closest_one(x, y, z, lon, lat, curve, near)
    px, py, pz, tx, ty, tz = on_one(curve, at, part)
    step = ((x - px) * tx + (y - py) * ty + (z - pz) * tz) * curve[at, 9]
    part = min(max(part + step, 0.0), 1.0)
    px, py, pz, _, _, _ = on_one(curve, at, part)
    return at, part, x - px, y - py, z - pz, px, py, pz / (1.0 - e2)


@kernel
def left_of_one(at, part, ux, uy, uz, curve, before, after):
    """Vector to the left of the line, of any length; where the line bends, of both segments of the corner."""
    _, _, _, tx, ty, tz = on_one(curve, at, part)
    gx, gy, gz = uy * tz - uz * ty, uz * tx - ux * tz, ux * ty - uy * tx  # up x tangent
    other = before[at] if part == 0.0 else after[at] if part == 1.0 else -1
    if other >= 0:
        _, _, _, tx, ty, tz = on_one(curve, other, 1.0 - part)
        ratio = math.sqrt(curve[other, 9] / curve[at, 9])
        gx, gy, gz = (
            gx + ratio * (uy * tz - uz * ty),
            gy + ratio * (uz * tx - ux * tz),
            gz + ratio * (ux * ty - uy * tx),
        )
    return gx, gy, gz


@kernel
def sign_one(bits, at, part, qx, qy, qz, ux, uy, uz, curve, before, after):
    """1 on the host's side, -1 on home's: by the outlines where they say, else by the nearest segment."""
    if bits & HOST_BIT:
        return 1.0
    if bits & HOME_BIT:
        return -1.0
    gx, gy, gz = left_of_one(at, part, ux, uy, uz, curve, before, after)
    return 1.0 if qx * gx + qy * gy + qz * gz >= 0.0 else -1.0


@kernel
def geodesic_one(qx, qy, qz, ux, uy, uz):
    """Length of the geodesic over the chord q, by the curvature of the ellipsoid in its direction (Euler)."""
    chord2 = qx * qx + qy * qy + qz * qz
    if chord2 < NEAR2:
        return math.sqrt(chord2) * (1.0 + chord2 * MEAN_CURVATURE2 / 24.0)
    up2 = ux * ux + uy * uy + uz * uz
    sine2, down = uz * uz / up2, (qx * ux + qy * uy + qz * uz) / up2
    north2 = min((qz - down * uz) ** 2 / ((chord2 - down * down * up2) * (1.0 - sine2) + 1e-12), 1.0)
    w = 1.0 - e2 * sine2
    k2 = chord2 * w * ((north2 * w / (1.0 - e2) + 1.0 - north2) / a) ** 2
    return math.sqrt(chord2) * (1.0 + k2 / 24.0 + 3.0 * k2 * k2 / 640.0)


@kernel
def normal_one(sign, at, part, qx, qy, qz, ux, uy, uz, curve, before, after):
    """Level unit vector along which the signed distance grows."""
    # Away from a corner it grows along the way from it, not along either segment's normal.
    if qx * qx + qy * qy + qz * qz > 1.0:
        down = (qx * ux + qy * uy + qz * uz) / (ux * ux + uy * uy + uz * uz)
        gx, gy, gz = sign * (qx - down * ux), sign * (qy - down * uy), sign * (qz - down * uz)
    else:
        gx, gy, gz = left_of_one(at, part, ux, uy, uz, curve, before, after)
    length = math.sqrt(gx * gx + gy * gy + gz * gz)
    return (gx / length, gy / length, gz / length) if length > 0.0 else (0.0, 0.0, 0.0)


@kernel
def side_one(lon, lat, lines):
    """HOME_BIT and HOST_BIT of a point; of a line without outlines the side is that of the nearest segment."""
    if np.isnan(lon) or np.isnan(lat):
        return 0
    if lines.closed:
        return code_one(lon, lat, lines.grid)
    at, part, qx, qy, qz, ux, uy, uz = foot_one(lon, lat, lines.curve, lines.near)
    sign = sign_one(0, at, part, qx, qy, qz, ux, uy, uz, lines.curve, lines.before, lines.after)
    return HOST_BIT if sign > 0.0 else HOME_BIT


@kernel
def side_rows(lon_deg, lat_deg, lines, out):
    """Fill out (n,): 0 home, 1 host, -1 neither. Returns the first row out of range, -1 for none."""
    closed, grid = lines.closed, lines.grid
    for i in range(lon_deg.shape[0]):
        lon, lat = lon_deg[i] * RAD, lat_deg[i] * RAD
        if not valid_one(lon_deg[i], lat_deg[i]):
            return i
        if np.isnan(lon + lat):
            out[i] = -1
        elif closed:
            bits = code_one(lon, lat, grid)
            out[i] = (bits >> 1) - (1 if bits == 0 else 0)
    # A loop of its own: with both in one, the nearest segment would slow down all the others.
    if not closed:
        for i in range(lon_deg.shape[0]):
            out[i] = (side_one(lon_deg[i] * RAD, lat_deg[i] * RAD, lines) >> 1) - (
                1 if np.isnan(lon_deg[i] + lat_deg[i]) else 0
            )
    return -1


@kernel
def nearest_rows(lon_deg, lat_deg, lines, distance, segment, part):
    """Fill distance [m], segment, part of it (n,); NaN, -1, NaN for NaN. Returns the first row out of range, or -1."""
    curve, near, closed, grid = lines.curve, lines.near, lines.closed, lines.grid
    unsigned = 0
    for i in range(lon_deg.shape[0]):
        if not valid_one(lon_deg[i], lat_deg[i]):
            return i
        lon, lat = lon_deg[i] * RAD, lat_deg[i] * RAD
        if np.isnan(lon + lat):
            distance[i], segment[i], part[i] = np.nan, -1, np.nan
            continue
        segment[i], part[i], qx, qy, qz, ux, uy, uz = foot_one(lon, lat, curve, near)
        bits = code_one(lon, lat, grid) if closed else 0
        if bits == 0:
            unsigned += 1
        distance[i] = geodesic_one(qx, qy, qz, ux, uy, uz) * (-1.0 if bits == HOME_BIT else 1.0)
    # What lies in neither country, in a loop of its own: it would slow down all the others.
    if unsigned > 0:
        before, after = lines.before, lines.after
        for i in range(lon_deg.shape[0]):
            lon, lat = lon_deg[i] * RAD, lat_deg[i] * RAD
            if segment[i] >= 0 and (not closed or code_one(lon, lat, grid) == 0):
                at, t, qx, qy, qz, ux, uy, uz = foot_one(lon, lat, curve, near)
                distance[i] *= sign_one(0, at, t, qx, qy, qz, ux, uy, uz, curve, before, after)
    return -1
