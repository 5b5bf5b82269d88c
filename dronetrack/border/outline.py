"""How are a line and two outlines laid out for the kernels? Segments, their neighbours, and a grid over them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import border as kernels

MOST_CELLS = 1 << 20
CELLS_PER_SEGMENT = 256
LONGEST_RAD = 1e-3  # about 6 km: longer edges are cut, so that a box around one holds little else
SHORT_RAD = 1.6e-4  # about 1 km: so a segment in ECEF is a parabola to 0.1 mm
MOST_LEVELS = 9
LEAST_RAD = np.array([-np.pi, -0.5 * np.pi])

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
    parts = _short(segments_of(line, line_offsets, closed=False), SHORT_RAD)
    outlines = [segments_of(*rings, closed=True) for rings in ((home, home_offsets), (host, host_offsets))]
    outside = 0
    if len(host):
        edges, flip = _edges(*outlines)
    else:  # all that is not home is the host's; of a line alone the sides are left and right
        edges = outlines[0][:, [2, 3, 0, 1]] if len(home) else parts
        flip = np.full(len(edges), kernels.HOME_BIT | kernels.HOST_BIT, dtype=np.uint16)
        outside = kernels.HOST_BIT if len(home) else 0
    curve = _curve(parts)
    return kernels.Lines(
        parts,
        curve,
        *_neighbours(parts),
        _near(parts, curve),
        closed=len(home) > 0,
        grid=grid_of(edges, flip, outside=outside),
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
    flip, edges = np.repeat(flip, _pieces(edges, LONGEST_RAD)), _short(edges, LONGEST_RAD)
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
    kernels.count_rows(edges, *where, first, start)
    np.cumsum(start, out=start)
    items = np.empty(start[-1], dtype=np.int32)
    kernels.fill_rows(edges, *where, start.copy(), items)
    corner = np.zeros(n_lon * n_lat, dtype=np.uint16)
    kernels.corner_rows(edges, flip, outside, *where, start, corner)
    per = (1.0 / where[2], 1.0 / where[3])
    return kernels.Grid(edges, flip, outside, *where[:4], *per, n_lon, n_lat, first, start, items, corner)


def places_of(lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Lay out places for a kernel that checks their range itself.

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        Where. [deg]

    Returns
    -------
    lat_deg, lon_deg : (n,) float64
        Read-only, C order, without a copy where they are so already.

    Raises
    ------
    InputError
        If shapes differ or are not (n,).
    """
    out = []
    for name, values in (("lat_deg", lat_deg), ("lon_deg", lon_deg)):
        came = np.asarray(values)
        # Only its layout: a view of float64 in C order is none of `column`'s copies and passes.
        if came.dtype == np.float64 and came.ndim == 1 and came.flags.c_contiguous:
            came = came.view()
            came.flags.writeable = False
        out.append(came if came.dtype == np.float64 and came.ndim == 1 else column(name, came, np.float64, (None,)))
    if len(out[0]) != len(out[1]):
        raise InputError(f"lat_deg and lon_deg need one length; got {len(out[0])} and {len(out[1])}.")
    return out[0], out[1]


def check_row(row: int, lat_deg: Floats, lon_deg: Floats) -> None:
    """Raise where a kernel met a place out of range.

    Parameters
    ----------
    row : int
        The row; -1 for none.
    lat_deg, lon_deg : (n,) float64
        The places. [deg]

    Raises
    ------
    InputError
        If there is such a row.
    """
    if row >= 0:
        raise InputError(
            "lat_deg must lie in [-90, 90] and lon_deg in [-180, 180]; "
            f"row {row} is {lat_deg[row]:g}, {lon_deg[row]:g}."
        )


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


def _pieces(segments: Floats, longest_rad: float) -> NDArray[np.int64]:
    long = np.maximum(np.abs(segments[:, 2] - segments[:, 0]), np.abs(segments[:, 3] - segments[:, 1]))
    return np.maximum(np.ceil(long / longest_rad), 1.0).astype(np.int64)


def _short(segments: Floats, longest_rad: float) -> Floats:
    """Cut long segments into even pieces; they stay straight in longitude and latitude."""
    count = _pieces(segments, longest_rad)
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


def _curve(parts: Floats) -> Floats:
    """Segments in ECEF: start, chord, and bow, as `Lines` has them."""
    lon, lat = np.degrees(parts[:, [0, 2]]), np.degrees(parts[:, [1, 3]])
    zero = np.zeros(len(parts))
    start, middle, end = (
        geodesy.geodetic_to_ecef(lat @ weight, lon @ weight, zero) for weight in ([1.0, 0.0], [0.5, 0.5], [0.0, 1.0])
    )
    chord = end - start
    per2 = 1.0 / np.sum(chord**2, axis=1, keepdims=True)
    return np.hstack([start, chord, 4.0 * (middle - 0.5 * (start + end)), per2])


def _near(parts: Floats, curve: Floats) -> kernels.Near:
    """Lay a square of cells around the line, as far again to each side as it is long."""
    low, high = parts.reshape(-1, 2).min(axis=0), parts.reshape(-1, 2).max(axis=0)
    pad = max(float((high - low).max()), SHORT_RAD)
    (west, south), (east, north) = (
        np.maximum(low - pad, LEAST_RAD).tolist(),
        np.minimum(high + pad, -LEAST_RAD).tolist(),
    )
    levels = int(np.clip(np.ceil(0.5 * np.log2(CELLS_PER_SEGMENT * len(parts))), 1, MOST_LEVELS))
    n = 1 << levels
    where = (west, south, (east - west) / n, (north - south) / n)
    start, stop = np.zeros((2, 2, n * n), dtype=np.int32)
    items, count = np.empty(4 * (len(parts) + n * n), dtype=np.int32), -1
    while count < 0:
        items = np.empty(2 * len(items), dtype=np.int32)
        items[: len(parts)] = np.arange(len(parts))
        start[0, 0], stop[0, 0] = 0, len(parts)
        count = kernels.near_rows(curve, *where, levels, start, stop, items)
    last = levels % 2
    per = (1.0 / where[2], 1.0 / where[3])
    return kernels.Near(*where, *per, n, start[last].copy(), stop[last].copy(), items[:count].copy())
