"""How are a line and two outlines laid out for the kernels? Segments, their neighbours, and a grid over them."""

import numpy as np
from numpy.typing import NDArray

from dronetrack.kernels import border as kernels

MOST_CELLS = 1 << 18
CELLS_PER_SEGMENT = 64
LONGEST_RAD = 1e-3  # about 6 km: longer segments are cut, so that a box around one holds little else

Floats = NDArray[np.float64]
Offsets = NDArray[np.int64]


def lines_of(
    line: Floats, line_offsets: Offsets, home: Floats, home_offsets: Offsets, host: Floats, host_offsets: Offsets
) -> kernels.Lines:
    """Lay out a border.

    Parameters
    ----------
    line : (k, 2) float64
        Vertices (longitude, latitude), the host on the left. [rad]
    line_offsets : (p + 1,) int64
        Part i has the vertices ``line_offsets[i]:line_offsets[i + 1]``.
    home, host : (m, 2) float64
        Rings, the country on the left, the first vertex not repeated; none where unknown. [rad]
    home_offsets, host_offsets : (r + 1,) int64
        Ring i has the vertices ``offsets[i]:offsets[i + 1]``.

    Returns
    -------
    Lines
        The columns that kernels read.
    """
    parts = _short(segments_of(line, line_offsets, closed=False))
    outlines = [segments_of(*rings, closed=True) for rings in ((home, home_offsets), (host, host_offsets))]
    outside = 0
    if len(host):
        edges, flip = _edges(*outlines)
    else:  # all that is not home is the host's; of a line alone the sides are left and right
        edges = outlines[0][:, [2, 3, 0, 1]] if len(home) else parts
        flip = np.full(len(edges), kernels.HOME_BIT | kernels.HOST_BIT, dtype=np.uint16)
        outside = kernels.HOST_BIT if len(home) else 0
    return kernels.Lines(
        parts, *_neighbours(parts), _blocks(parts), closed=len(home) > 0, grid=grid_of(edges, flip, outside=outside)
    )


def grid_of(edges: Floats, flip: NDArray[np.uint16], *, outside: int = 0) -> kernels.Grid:
    """Lay a grid over areas.

    Parameters
    ----------
    edges : (m, 4) float64
        Segments of their outlines, lon0, lat0, lon1, lat1. [rad]
    flip : (m,) uint16
        Code of the area on the left, exclusive or that on the right.
    outside : int, optional
        Code of a place outside of all outlines.

    Returns
    -------
    Grid
        The columns that kernels read.
    """
    flip, edges = np.repeat(flip, _pieces(edges)), _short(edges)
    west, east = edges[:, [0, 2]].min(), edges[:, [0, 2]].max()
    south, north = edges[:, [1, 3]].min(), edges[:, [1, 3]].max()
    wide, high = max(east - west, 1e-6) * np.cos(0.5 * (south + north)), max(north - south, 1e-6)
    cells = min(MOST_CELLS, CELLS_PER_SEGMENT * len(edges) + 16)
    n_lon = int(np.clip(np.sqrt(cells * wide / high), 1, cells))
    n_lat = max(cells // n_lon, 1)
    # A hair more than the box, so that its far sides are inside.
    where = (west - 1e-9, south - 1e-9, (east - west + 2e-9) / n_lon, (north - south + 2e-9) / n_lat, n_lon, n_lat)
    first = np.empty((len(edges), 2), dtype=np.int32)
    start = np.zeros(n_lon * n_lat + 1, dtype=np.int32)
    items = np.empty(kernels.grid_rows(edges, *where, first, start, np.empty(0, dtype=np.int32)), dtype=np.int32)
    kernels.grid_rows(edges, *where, first, start, items)
    corner = np.empty(n_lon * n_lat, dtype=np.uint16)
    kernels.corner_rows(edges, flip, outside, *where, start, corner)
    return kernels.Grid(edges, flip, outside, *where, first, start, items, corner)


def segments_of(vertices: Floats, offsets: Offsets, *, closed: bool) -> Floats:
    """Return the segments of all parts.

    Parameters
    ----------
    vertices : (k, 2) float64
        Vertices of all parts.
    offsets : (p + 1,) int64
        Part i has the vertices ``offsets[i]:offsets[i + 1]``.
    closed : bool
        Whether each part goes back to its first vertex.

    Returns
    -------
    (m, 4) float64
        Start and end of each.
    """
    following = np.arange(1, len(vertices) + 1)
    last = offsets[1:] - 1
    if closed:
        following[last] = offsets[:-1]
        return np.hstack([vertices, vertices[following]])
    rows = np.delete(np.arange(len(vertices)), last)
    return np.hstack([vertices[rows], vertices[rows + 1]])


def _pieces(segments: Floats) -> NDArray[np.int64]:
    long = np.maximum(np.abs(segments[:, 2] - segments[:, 0]), np.abs(segments[:, 3] - segments[:, 1]))
    return np.maximum(np.ceil(long / LONGEST_RAD), 1.0).astype(np.int64)


def _short(segments: Floats) -> Floats:
    """Cut long segments into even pieces; they stay straight in longitude and latitude."""
    count = _pieces(segments)
    row = np.repeat(np.arange(len(segments)), count)
    step = (np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count))[:, None]
    start, end = segments[row, :2], segments[row, 2:]
    n = count[row, None]
    cut = np.hstack([start + (end - start) * (step / n), start + (end - start) * ((step + 1) / n)])
    cut[:, 2:][step[:, 0] + 1 == count[row]] = segments[:, 2:]
    return np.ascontiguousarray(cut)


def _keys(points: Floats) -> NDArray:
    return np.ascontiguousarray(points + 0.0).view(f"V{points.shape[1] * 8}").ravel()


def _neighbours(parts: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Index of the segment before and after each; -1 where a part ends."""
    starts, ends = _keys(parts[:, :2]), _keys(parts[:, 2:])
    after = np.full(len(parts), -1, dtype=np.int32)
    order = np.argsort(starts)
    place = np.minimum(np.searchsorted(starts[order], ends), len(parts) - 1)
    follows = order[place]
    after[starts[follows] == ends] = follows[starts[follows] == ends]
    before = np.full(len(parts), -1, dtype=np.int32)
    before[after[after >= 0]] = np.flatnonzero(after >= 0)
    return before, after


def _edges(home: Floats, host: Floats) -> tuple[Floats, NDArray[np.uint16]]:
    """Edges of both countries and their flips; where they run along each other there and back, once."""
    shared_host = np.isin(_keys(host), _keys(home[:, [2, 3, 0, 1]]))
    shared_home = np.isin(_keys(home[:, [2, 3, 0, 1]]), _keys(host))
    groups = [host[shared_host], host[~shared_host], home[~shared_home]]
    flips = [kernels.HOME_BIT | kernels.HOST_BIT, kernels.HOST_BIT, kernels.HOME_BIT]
    return np.concatenate(groups), np.repeat(np.array(flips, dtype=np.uint16), [len(group) for group in groups])


def _blocks(parts: Floats) -> Floats:
    """Bounding boxes of each run of segments."""
    first = np.arange(0, len(parts), kernels.BLOCK)
    lon, lat = parts[:, [0, 2]], parts[:, [1, 3]]
    low = (np.minimum.reduceat(values.min(axis=1), first) for values in (lon, lat))
    high = (np.maximum.reduceat(values.max(axis=1), first) for values in (lon, lat))
    (west, south), (east, north) = low, high
    return np.column_stack([west, east, south, north])
