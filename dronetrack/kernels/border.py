"""On which side of a line, and how far from it?

Legend
------
lon, lat    geodetic longitude and latitude [rad]
line        (s, 4) segments of the line, lon0, lat0, lon1, lat1 [rad], straight in longitude and latitude (RFC 7946,
            section 3.1.1), the host on their left
before,     (s,) the segment that ends where this one starts, and the one that starts where this one ends; -1 for none
after
blocks      (b, 4) lowest and highest longitude and latitude of each run of `BLOCK` segments of the line [rad]
code        number of the area around a place; of a border HOME_BIT and HOST_BIT
edges       (m, 4) segments of the outlines of areas; the host on the left of what both share, else the own country
flip        (m,) code on the left of an edge, exclusive or that on its right
grid        cells of `step_lon` by `step_lat`, row by row from (west, south): `items[start[c]:start[c + 1]]` are the
            edges whose boxes touch cell c, `first[e]` is the column and row of the first cell that edge e touches;
            `corner[c]` is the code of the south-west corner, with EDGE_BIT where edges touch the cell
kx, ky      metres per radian of longitude and of latitude
"""

from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.geodesy import a, e2

BLOCK = 16
HOME_BIT, HOST_BIT, EDGE_BIT = 1, 2, 1 << 15
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
    n_lon: int
    n_lat: int
    first: np.ndarray
    start: np.ndarray
    items: np.ndarray
    corner: np.ndarray


class Lines(NamedTuple):
    """A border; see the legend."""

    line: np.ndarray
    before: np.ndarray
    after: np.ndarray
    blocks: np.ndarray
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
def grid_rows(edges, west, south, step_lon, step_lat, n_lon, n_lat, first, start, items):
    """List the segments of each cell; without room in `items` only count them. Returns how many there are."""
    if items.shape[0] == 0:
        start[:] = 0
    for turn in range(2):
        if turn == 1 and items.shape[0] == 0:
            break
        for e in range(edges.shape[0]):
            i0, i1 = cells_one(min(edges[e, 0], edges[e, 2]), max(edges[e, 0], edges[e, 2]), west, step_lon, n_lon)
            j0, j1 = cells_one(min(edges[e, 1], edges[e, 3]), max(edges[e, 1], edges[e, 3]), south, step_lat, n_lat)
            first[e, 0], first[e, 1] = i0, j0
            for j in range(j0, j1 + 1):
                for i in range(i0, i1 + 1):
                    cell = j * n_lon + i
                    if turn == 1:
                        items[start[cell]] = e
                        start[cell] += 1
                    elif items.shape[0] == 0:
                        start[cell + 1] += 1
        if turn == 0 and items.shape[0] == 0:
            for cell in range(n_lon * n_lat):
                start[cell + 1] += start[cell]
    if items.shape[0] > 0:  # filling moved each start to the next one
        for cell in range(n_lon * n_lat, 0, -1):
            start[cell] = start[cell - 1]
        start[0] = 0
    return start[n_lon * n_lat]


@kernel
def left_one(edges, e, lon, lat):
    """Whether a point lies left of the endless line through segment e."""
    ex, ey = edges[e, 2] - edges[e, 0], edges[e, 3] - edges[e, 1]
    return ex * (lat - edges[e, 1]) - ey * (lon - edges[e, 0]) > 0.0


@kernel
def corner_rows(edges, flip, outside, west, south, step_lon, step_lat, n_lon, n_lat, start, corner):
    """Fill `corner` by scan lines through the south side of each row of cells."""
    corner[:] = 0
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


@kernel
def code_one(lon, lat, grid):
    """Code of the area around a point.

    From the south-west corner of its cell up, then east: each edge crossed on the way is an area left or entered.
    """
    u, v = (lon - grid.west) / grid.step_lon, (lat - grid.south) / grid.step_lat
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
def code_rows(lon, lat, grid, out):
    """Fill out (n,); 0 for NaN."""
    for i in range(lon.shape[0]):
        out[i] = 0 if np.isnan(lon[i]) or np.isnan(lat[i]) else code_one(lon[i], lat[i], grid)


@kernel
def box_distance2_one(lon, lat, box, kx, ky):
    """Squared distance from a point to a box of `blocks` [m2], good enough to rule blocks out."""
    dx = max(box[0] - lon, 0.0, lon - box[1]) * kx
    dy = max(box[2] - lat, 0.0, lat - box[3]) * ky
    return dx * dx + dy * dy


@kernel
def nearest_one(lon, lat, lines):
    """Nearest point of the line: (signed distance, normal east, normal north, its longitude and latitude, its segment).

    The plane is that of the middle latitude of point and nearest point, which keeps the distance right to about 1e-6
    of itself up to some 30 km. The normal points to the host; where the line bends, the sign comes from both segments
    of the corner.
    """
    edges, blocks = lines.line, lines.blocks
    best = np.inf
    at, part = 0, 0.0
    kx, ky = scales_one(lat)
    # Start where the boxes are nearest; then most other blocks are ruled out by their box alone.
    first, closest = 0, np.inf
    for block in range(blocks.shape[0]):
        d2 = box_distance2_one(lon, lat, blocks[block], kx, ky)
        if d2 < closest:
            first, closest = block, d2
    for turn in range(-1, blocks.shape[0]):
        block = first if turn < 0 else turn
        if turn == first or 0.9 * box_distance2_one(lon, lat, blocks[block], kx, ky) > best:
            continue
        sx, sy = scales_one(0.5 * lat + 0.25 * (blocks[block, 2] + blocks[block, 3]))
        for i in range(block * BLOCK, min((block + 1) * BLOCK, edges.shape[0])):
            x0, y0 = (edges[i, 0] - lon) * sx, (edges[i, 1] - lat) * sy
            ex, ey = (edges[i, 2] - edges[i, 0]) * sx, (edges[i, 3] - edges[i, 1]) * sy
            length2 = ex * ex + ey * ey
            t = 0.0
            if length2 > 0.0:
                t = min(max(-(x0 * ex + y0 * ey) / length2, 0.0), 1.0)
            x, y = x0 + t * ex, y0 + t * ey
            d2 = x * x + y * y
            if d2 < best:
                best, at, part = d2, i, t
    plon = edges[at, 0] + part * (edges[at, 2] - edges[at, 0])
    plat = edges[at, 1] + part * (edges[at, 3] - edges[at, 1])
    sx, sy = scales_one(0.5 * (lat + plat))
    x, y = (lon - plon) * sx, (lat - plat) * sy  # from the line to the point
    other = lines.before[at] if part == 0.0 else lines.after[at] if part == 1.0 else -1
    nx, ny = 0.0, 0.0
    for turn in range(2):
        i = at if turn == 0 else other
        if i < 0:
            continue
        ex, ey = (edges[i, 2] - edges[i, 0]) * sx, (edges[i, 3] - edges[i, 1]) * sy
        length = np.hypot(ex, ey)
        if length > 0.0:
            nx -= ey / length
            ny += ex / length
    length = np.hypot(nx, ny)
    nx, ny = (nx / length, ny / length) if length > 0.0 else (0.0, 0.0)
    distance = np.hypot(x, y)
    sign = 1.0 if x * nx + y * ny >= 0.0 else -1.0
    # Away from a corner the distance grows along the way from it, not along either segment's normal.
    if distance > 1.0:
        nx, ny = sign * x / distance, sign * y / distance
    return sign * distance, nx, ny, plon, plat, at


@kernel
def side_one(lon, lat, lines):
    """HOME_BIT and HOST_BIT of a point; of a line without outlines the side is that of the nearest segment."""
    if np.isnan(lon) or np.isnan(lat):
        return 0
    if lines.closed:
        return code_one(lon, lat, lines.grid)
    return HOST_BIT if nearest_one(lon, lat, lines)[0] >= 0.0 else HOME_BIT


@kernel
def side_rows(lon, lat, lines, out):
    """Fill out (n,) with HOME_BIT and HOST_BIT."""
    for i in range(lon.shape[0]):
        out[i] = side_one(lon[i], lat[i], lines)


@kernel
def nearest_rows(lon, lat, lines, out):
    """Fill out (n, 6) as `nearest_one`; NaN for NaN."""
    for i in range(lon.shape[0]):
        if np.isnan(lon[i]) or np.isnan(lat[i]):
            out[i] = np.nan
        else:
            out[i, 0], out[i, 1], out[i, 2], out[i, 3], out[i, 4], out[i, 5] = nearest_one(lon[i], lat[i], lines)
