"""Where does a ray meet the ground?

Legend
------
msl     constant ground height above the geoid [m], used where `heights` is empty
heights (rows, columns) ground above the geoid [m], rows from south to north; NaN = unknown
box     (lat0, lon0, dlat, dlon) of the first node and the steps [rad]
geoid   EGM96 undulation grid [m]
tops    pyramid of greatest heights [m]: blocks of `BLOCK` x `BLOCK` cells, then of 2 x 2 blocks, up to one
levels  (k, 3) where each level of the pyramid starts in `tops`, its rows and columns
t       distance along a ray [m]
u, w    place on the grid, in cells northwards and eastwards of the first node
g       height above the geoid along the ray [m]
A       (3, 4) cubics of u, w and the height above the ellipsoid in t, over one stretch of the ray
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.geodesy import a, e2, ecef_to_geodetic_one, geoid_undulation_one

BLOCK = 4
STRETCH_M = 10_000.0  # the ray's latitude, longitude and height are cubics over this to 0.01 mm below 60 degrees
LEAF_M = 1000.0  # longest stretch that is solved in one piece
GEOID_KINK = 2e-4  # a bound of how far the geoid leaves its chord, per metre: four times what EGM96 does
EXACT_M = 1e-5


@kernel
def cell_height_one(i, j, u, w, heights):
    """Bilinear height of cell (i, j) at (u, w) [m]."""
    u -= i
    w -= j
    south = heights[i, j] * (1.0 - w) + heights[i, j + 1] * w
    north = heights[i + 1, j] * (1.0 - w) + heights[i + 1, j + 1] * w
    return south * (1.0 - u) + north * u


@kernel
def height_msl_one(lat, lon, msl, heights, box):
    """Bilinear ground height above the geoid [m]; NaN outside the grid."""
    rows, columns = heights.shape
    if rows == 0:
        return msl
    u = (lat - box[0]) / box[2]
    w = (lon - box[1]) / box[3]
    if not (0.0 <= u <= rows - 1 and 0.0 <= w <= columns - 1):
        return np.nan
    return cell_height_one(min(int(u), rows - 2), min(int(w), columns - 2), u, w, heights)


@kernel
def height_msl_rows(lat, lon, msl, heights, box, out):
    """Fill out (n,)."""
    for i in range(lat.shape[0]):
        out[i] = height_msl_one(lat[i], lon[i], msl, heights, box)


@kernel
def slope_rows(lat, lon, heights, box, out):
    """Fill out (n, 2): how the bilinear ground climbs per radian of latitude and of longitude [m/rad]."""
    rows, columns = heights.shape
    for k in range(lat.shape[0]):
        u = (lat[k] - box[0]) / box[2]
        w = (lon[k] - box[1]) / box[3]
        out[k, 0], out[k, 1] = (0.0, 0.0) if rows == 0 else (np.nan, np.nan)
        if 0.0 <= u <= rows - 1 and 0.0 <= w <= columns - 1:
            i, j = min(int(u), rows - 2), min(int(w), columns - 2)
            u -= i
            w -= j
            west, east = heights[i + 1, j] - heights[i, j], heights[i + 1, j + 1] - heights[i, j + 1]
            south, north = heights[i, j + 1] - heights[i, j], heights[i + 1, j + 1] - heights[i + 1, j]
            out[k, 0] = (west * (1.0 - w) + east * w) / box[2]
            out[k, 1] = (south * (1.0 - u) + north * u) / box[3]


@kernel
def tops_rows(heights, levels, tops):
    """Fill the pyramid; return the lowest and highest known height. A block with unknown nodes counts as highest."""
    lowest, highest = np.inf, -np.inf
    rows, columns = heights.shape
    for i in range(rows):
        for j in range(columns):
            if heights[i, j] < lowest:
                lowest = heights[i, j]
            if heights[i, j] > highest:
                highest = heights[i, j]
    for k in range(levels.shape[0]):
        at, n, m = levels[k]
        for i in range(n):
            for j in range(m):
                top = -np.inf
                if k == 0:
                    for p in range(i * BLOCK, min((i + 1) * BLOCK + 1, rows)):
                        for q in range(j * BLOCK, min((j + 1) * BLOCK + 1, columns)):
                            top = max(top, highest if np.isnan(heights[p, q]) else heights[p, q])
                else:
                    below, p_stop, q_stop = levels[k - 1]
                    for p in range(2 * i, min(2 * i + 2, p_stop)):
                        for q in range(2 * j, min(2 * j + 2, q_stop)):
                            top = max(top, tops[below + p * q_stop + q])
                tops[at + i * m + j] = top
    return lowest, highest


@kernel
def top_one(u0, u1, w0, w1, margin_u, margin_w, rows, columns, tops, levels, highest):
    """Greatest ground height where the ray passes between two places; off the grid the highest known counts."""
    if rows == 0:
        return highest
    u_low, u_high = min(u0, u1) - margin_u, max(u0, u1) + margin_u
    w_low, w_high = min(w0, w1) - margin_w, max(w0, w1) + margin_w
    if not (u_low >= 0.0 and w_low >= 0.0 and u_high <= rows - 1 and w_high <= columns - 1):
        return highest
    i0, i1 = int(u_low) // BLOCK, min(int(u_high), rows - 2) // BLOCK
    j0, j1 = int(w_low) // BLOCK, min(int(w_high), columns - 2) // BLOCK
    k = 0
    while i1 - i0 > 1 or j1 - j0 > 1:
        i0, i1, j0, j1 = i0 >> 1, i1 >> 1, j0 >> 1, j1 >> 1
        k += 1
    at, m = levels[k, 0], levels[k, 2]
    return max(tops[at + i0 * m + j0], tops[at + i0 * m + j1], tops[at + i1 * m + j0], tops[at + i1 * m + j1])


@kernel
def end_one(site, direction, t, near_lon, end):
    """Fill end (6,): latitude, longitude (within half a turn of `near_lon`), height at t, and their rates."""
    x, y, z = site[0] + t * direction[0], site[1] + t * direction[1], site[2] + t * direction[2]
    lat, lon, h = ecef_to_geodetic_one(x, y, z)
    sl, cl, so, co = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    level = co * direction[0] + so * direction[1]
    root = np.sqrt(1.0 - e2 * sl * sl)
    nu = a / root
    end[0] = lat
    end[1] = near_lon + (lon - near_lon) - 2.0 * np.pi * np.floor((lon - near_lon) / (2.0 * np.pi) + 0.5)
    end[2] = h
    end[3] = (cl * direction[2] - sl * level) / (nu * (1.0 - e2) / (root * root) + h)
    end[4] = (co * direction[1] - so * direction[0]) / ((nu + h) * cl)
    end[5] = cl * level + sl * direction[2]


@kernel
def at_one(A, t, box, geoid):
    """Return (u, w, g) at t along a stretch."""
    u = A[0, 0] + t * (A[0, 1] + t * (A[0, 2] + t * A[0, 3]))
    w = A[1, 0] + t * (A[1, 1] + t * (A[1, 2] + t * A[1, 3]))
    h = A[2, 0] + t * (A[2, 1] + t * (A[2, 2] + t * A[2, 3]))
    return u, w, h - geoid_undulation_one(box[0] + u * box[2], box[1] + w * box[3], geoid)


@kernel
def clearance_one(A, t, i, j, msl, heights, box, geoid):
    """Height above the ground of cell (i, j) at t [m]."""
    u, w, g = at_one(A, t, box, geoid)
    if heights.shape[0] == 0:
        return g - msl
    return g - cell_height_one(i, j, u, w, heights)


@kernel
def meet_one(A, low, f_low, high, f_high, i, j, msl, heights, box, geoid):
    """Where the clearance changes sign between `low` and `high`: false position, halved where it lags (Illinois)."""
    side = 0
    for _ in range(60):
        t = high - f_high * (high - low) / (f_high - f_low)
        if not low < t < high:
            t = 0.5 * (low + high)
        f = clearance_one(A, t, i, j, msl, heights, box, geoid)
        if (f > 0.0) == (f_high > 0.0):
            high, f_high = t, f
            if side == 1:
                f_low *= 0.5
            side = 1
        else:
            low, f_low = t, f
            if side == -1:
                f_high *= 0.5
            side = -1
        if abs(f) < EXACT_M or high - low < EXACT_M:
            return t
    return 0.5 * (low + high)


@kernel
def cuts_one(A, k, t0, t1, start, stop, cuts, count):
    """Append to `cuts` where coordinate k (0: u, 1: w) crosses a line of the grid between t0 and t1."""
    step = 1 if stop > start else -1
    line = np.floor(start) + 1.0 if step > 0 else np.ceil(start) - 1.0
    while (stop - line) * step > 0.0 and count < cuts.shape[0]:
        t = t0 + (t1 - t0) * (line - start) / (stop - start)
        for _ in range(3):
            value = A[k, 0] + t * (A[k, 1] + t * (A[k, 2] + t * A[k, 3])) - line
            rate = A[k, 1] + t * (2.0 * A[k, 2] + 3.0 * t * A[k, 3])
            if rate != 0.0:
                t = min(max(t - value / rate, t0), t1)
        place = count
        while place > 0 and cuts[place - 1] > t:
            cuts[place] = cuts[place - 1]
            place -= 1
        cuts[place] = t
        count += 1
        line += step
    return count


@kernel
def stretch_one(start, end, length, box, A):
    """Fill the cubics A between two ends, `length` metres apart."""
    for k in range(3):
        scale, zero = 1.0, 0.0
        if k < 2:
            zero, scale = box[k], 1.0 / box[2 + k]
        y0, y1 = (start[k] - zero) * scale, (end[k] - zero) * scale
        d0, d1 = start[3 + k] * scale * length, end[3 + k] * scale * length
        A[k, 0] = y0
        A[k, 1] = d0 / length
        A[k, 2] = (3.0 * (y1 - y0) - 2.0 * d0 - d1) / length**2
        A[k, 3] = (d0 + d1 - 2.0 * (y1 - y0)) / length**3


@kernel
def ray_meetings_rows(
    sites, directions, first, last, from_above, msl, heights, box, geoid, tops, levels, lowest, highest,
    distance, entering,
):  # fmt: skip
    """Fill distance (n, k) with the meetings of each ray with the ground in order, and entering (n, k); NaN = no more.

    Looks from `first` to `last` (n,) metres along each ray. With `from_above`, a ray that starts below the ground meets
    nothing. A stretch of ray is halved until it lies above the greatest height under it, by the pyramid, or within
    about a cell; there it is cut at the lines of the grid, and in each cell the clearance, a quadratic of t to within a
    micrometre, is solved; so a ridge between two steps is not missed. A ray ends where it comes, lower than the highest
    known ground, over unknown ground.
    """
    rows, columns = heights.shape
    most = distance.shape[1]
    start, end, A = np.empty(6), np.empty(6), np.empty((3, 4))
    stack = np.empty((64, 8))  # t, u, w, g of both ends
    cuts = np.empty(16)
    middle_lon = box[1] + 0.5 * columns * box[3]
    for row in range(sites.shape[0]):
        found = 0
        for k in range(most):
            distance[row, k] = np.nan
            entering[row, k] = False
        site, direction = sites[row], directions[row]
        t_start = first[row]
        if np.isnan(site[0] + site[1] + site[2] + direction[0] + direction[1] + direction[2] + t_start):
            continue
        end_one(site, direction, t_start, middle_lon, end)
        state = 0  # 1 above the ground, -1 below, 0 not yet known
        done = False
        while t_start < last[row] and not done:
            for k in range(6):
                start[k] = end[k]
            # Most rays meet the ground soon: the first stretches are short.
            length = min(last[row] - t_start, STRETCH_M * min(1.0, 2.0 * np.cos(start[0])), 1000.0 + 3.0 * t_start)
            length = max(length, 1.0)
            end_one(site, direction, t_start + length, start[1], end)
            stretch_one(start, end, length, box, A)
            bend_u = max(abs(A[0, 2]), abs(A[0, 2] + 3.0 * length * A[0, 3])) * 0.25
            bend_w = max(abs(A[1, 2]), abs(A[1, 2] + 3.0 * length * A[1, 3])) * 0.25
            bend_h = max(abs(A[2, 2]), abs(A[2, 2] + 3.0 * length * A[2, 3])) * 0.25
            stack[0, 0] = 0.0
            stack[0, 1], stack[0, 2], stack[0, 3] = at_one(A, 0.0, box, geoid)
            stack[0, 4] = length
            stack[0, 5], stack[0, 6], stack[0, 7] = at_one(A, length, box, geoid)
            top = 1
            while top > 0 and not done:
                top -= 1
                t0, u0, w0, g0 = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3]
                t1, u1, w1, g1 = stack[top, 4], stack[top, 5], stack[top, 6], stack[top, 7]
                width = t1 - t0
                slack = bend_h * width * width + GEOID_KINK * width
                wide_u, wide_w = bend_u * width * width, bend_w * width * width
                if min(g0, g1) - slack > top_one(
                    u0, u1, w0, w1, wide_u, wide_w, rows, columns, tops, levels, highest
                ):  # fmt: skip
                    if state < 0:
                        distance[row, found] = t_start + t0
                        found += 1
                        done = found == most
                    state = 1
                    continue
                if state < 0 and max(g0, g1) + slack < lowest:
                    continue
                wide = abs(u1 - u0) + 2.0 * wide_u > 1.0 or abs(w1 - w0) + 2.0 * wide_w > 1.0
                if width > LEAF_M or (rows > 0 and wide):
                    tm = 0.5 * (t0 + t1)
                    um, wm, gm = at_one(A, tm, box, geoid)
                    stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3] = tm, um, wm, gm
                    stack[top + 1, 0], stack[top + 1, 1], stack[top + 1, 2], stack[top + 1, 3] = t0, u0, w0, g0
                    stack[top + 1, 4], stack[top + 1, 5], stack[top + 1, 6], stack[top + 1, 7] = tm, um, wm, gm
                    top += 2
                    continue
                count = 0
                if rows > 0:
                    count = cuts_one(A, 0, t0, t1, u0, u1, cuts, count)
                    count = cuts_one(A, 1, t0, t1, w0, w1, cuts, count)
                low = t0
                for part in range(count + 1):
                    high = cuts[part] if part < count else t1
                    tm = 0.5 * (low + high)
                    i, j = 0, 0
                    if rows > 0:
                        u, w, _ = at_one(A, tm, box, geoid)
                        i, j = int(np.floor(u)), int(np.floor(w))
                        known = 0 <= i < rows - 1 and 0 <= j < columns - 1
                        if known:
                            known = not np.isnan(
                                heights[i, j] + heights[i + 1, j] + heights[i, j + 1] + heights[i + 1, j + 1]
                            )
                        if not known:
                            if min(g0, g1) - slack > highest:
                                state = 1
                                low = high
                                continue
                            done = True
                            break
                    f0 = clearance_one(A, low, i, j, msl, heights, box, geoid)
                    fm = clearance_one(A, tm, i, j, msl, heights, box, geoid)
                    f1 = clearance_one(A, high, i, j, msl, heights, box, geoid)
                    if state == 0:
                        state = 1 if f0 > 0.0 else -1
                        if state < 0 and from_above:
                            done = True
                            break
                    # Where the parabola through the three turns inside the cell, both sides of the turn are searched.
                    curve, rate = 2.0 * (f0 + f1 - 2.0 * fm), 4.0 * fm - 3.0 * f0 - f1
                    turn = -0.5 * rate / curve if curve != 0.0 else -1.0
                    halves = 2 if 0.0 < turn < 1.0 else 1
                    p, fp = low, f0
                    for half in range(halves):
                        q, fq = high, f1
                        if half + 1 < halves:
                            q = low + turn * (high - low)
                            fq = clearance_one(A, q, i, j, msl, heights, box, geoid)
                        if (fq > 0.0) != (state > 0):
                            t = p
                            if (fp > 0.0) == (state > 0):
                                t = meet_one(A, p, fp, q, fq, i, j, msl, heights, box, geoid)
                            distance[row, found] = t_start + t
                            entering[row, found] = state > 0
                            state = -state
                            found += 1
                            if found == most:
                                done = True
                                break
                        p, fp = q, fq
                    if done:
                        break
                    low = high
            t_start += length
