"""What curve does a road follow? Cubic pieces along geodesics and around corners, and a tree to find the nearest."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import roads as kernels

PIECE_M = 1000.0  # longest piece of a geodesic; a cubic follows it to better than a micrometre
PIECE_TURN_RAD = np.radians(5.0)  # most that one piece of a rounded corner turns; a cubic follows it to 1e-7 radius
SHORTEST_LEG_M = 1e-3
MEAN_RADIUS_M = 6_371_008.8

Floats = NDArray[np.float64]
Tree = tuple[NDArray[np.int64], Floats]


def lay(lat_deg: Floats, lon_deg: Floats, alt_hae_m: Floats, radius_m: float) -> tuple[Floats, Floats]:
    """Lay a curve through vertices.

    Parameters
    ----------
    lat_deg, lon_deg, alt_hae_m : (k,) float64
        Vertices in driving order. [deg, deg, m]
    radius_m : float
        Of the corners, or 0. [m]

    Returns
    -------
    curve : (m, 4, 3) float64
        Coefficients of cubic pieces in ECEF.
    length : (m,) float64
        Their lengths. [m]

    Raises
    ------
    InputError
        If fewer than two vertices differ.
    """
    import pyproj

    geod = pyproj.Geod(ellps="WGS84")
    lat, lon, alt = lat_deg, lon_deg, alt_hae_m
    if len(lat) > 1:
        moved = np.concatenate([[True], geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2] >= SHORTEST_LEG_M])
        lat, lon, alt = lat[moved], lon[moved], alt[moved]
    if len(lat) < 2:
        raise InputError("a road needs two different vertices at least; got none or one.")
    azimuth, _, reach = geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    slope = np.diff(alt) / reach

    def on_leg(leg: NDArray, distance: Floats) -> tuple[Floats, Floats]:
        """Points and directions on geodesics, `distance` from the start of each leg."""
        east, north, back = geod.fwd(lon[leg], lat[leg], azimuth[leg], distance)
        height = alt[leg] + slope[leg] * distance
        course = np.radians(np.asarray(back) + 180.0)
        climb = slope[leg] / (1.0 + height / MEAN_RADIUS_M)
        local = np.column_stack([np.sin(course), np.cos(course), climb]) / np.hypot(1.0, climb)[:, None]
        return geodesy.geodetic_to_ecef(north, east, height), geodesy.enu_vectors_to_ecef(local, north, east)

    legs = np.arange(len(reach))
    into, out_of = on_leg(legs[:-1], reach[:-1])[1], on_leg(legs[1:], np.zeros(len(legs) - 1))[1]
    turn = _angle(into, out_of)
    cut = _cuts(turn, reach, radius_m)
    first, last = np.concatenate([[0.0], cut]), np.concatenate([reach[:-1] - cut, reach[-1:]])
    count = np.maximum(np.ceil((last - first) / PIECE_M), 1.0).astype(np.int64)
    leg = np.repeat(legs, count)
    step = _count_up(count)
    width = ((last - first) / count)[leg]
    parts = [
        (leg.astype(np.float64), *on_leg(leg, first[leg] + step * width), *on_leg(leg, first[leg] + (step + 1) * width))
    ]
    bent = np.flatnonzero(cut > 0.0)
    if len(bent):
        begin, end = on_leg(bent, last[bent]), on_leg(bent + 1, first[bent + 1])
        parts.append(_arcs(bent, begin, end, cut[bent]))
    key, x0, t0, x1, t1 = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    order = np.argsort(key, kind="stable")
    return _pieces(x0[order], t0[order], x1[order], t1[order])


def _cuts(turn: Floats, reach: Floats, radius_m: float) -> Floats:
    """How much of both legs the arc at each inner vertex takes: half of the shorter one at most. [m]"""
    room = 0.5 * np.minimum(reach[:-1], reach[1:])
    rounded = (turn > 1e-6) & (turn < np.pi - 1e-3)
    cut = np.where(rounded, radius_m * np.tan(0.5 * np.where(rounded, turn, 0.0)), 0.0)
    cut = np.minimum(cut, room * (1.0 - 1e-6))
    return np.where(cut > SHORTEST_LEG_M, cut, 0.0)


def _arcs(
    corner: NDArray[np.int64], begin: tuple[Floats, Floats], end: tuple[Floats, Floats], cut: Floats
) -> tuple[NDArray, Floats, Floats, Floats, Floats]:
    """Circular arcs from `begin` (points, directions) to `end`, in pieces; the key sorts them after leg `corner`."""
    (p0, t0), (p1, t1) = begin, end
    turn = _angle(t0, t1)
    inward = (t1 - np.cos(turn)[:, None] * t0) / np.sin(turn)[:, None]
    radius = cut / np.tan(0.5 * turn)
    count = np.maximum(np.ceil(turn / PIECE_TURN_RAD), 1.0).astype(np.int64)
    row, step = np.repeat(np.arange(len(turn)), count), _count_up(count)
    # What the Earth's curvature leaves open at the far end (0.1 mm in 30 m) is spread over the arc.
    rest = p1 - p0 - cut[:, None] * (t0 + t1)

    def at(part: Floats) -> tuple[Floats, Floats]:
        sine, cosine = np.sin(part * turn[row])[:, None], np.cos(part * turn[row])[:, None]
        place = p0[row] + radius[row, None] * (sine * t0[row] + (1.0 - cosine) * inward[row])
        return place + part[:, None] * rest[row], cosine * t0[row] + sine * inward[row]

    return corner[row] + 0.5, *at(step / count[row]), *at((step + 1) / count[row])


def _pieces(x0: Floats, t0: Floats, x1: Floats, t1: Floats) -> tuple[Floats, Floats]:
    """Cubic Hermite pieces between points with directions; each is as long as the circular arc through both."""
    gap = x1 - x0
    half = 0.5 * _angle(t0, t1)
    length = np.linalg.norm(gap, axis=1) / np.sinc(half / np.pi)
    L = length[:, None]
    slope = gap / L
    curve = np.stack([x0, t0, (3.0 * slope - 2.0 * t0 - t1) / L, (t0 + t1 - 2.0 * slope) / L**2], axis=1)
    return curve, length


def _angle(first: Floats, second: Floats) -> Floats:
    """Angle between unit vectors, exact for small ones. [rad]"""
    return 2.0 * np.arctan2(np.linalg.norm(first - second, axis=1), np.linalg.norm(first + second, axis=1))


def _count_up(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ..., count - 1 for each count, one after another."""
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)


def tree_of(curve: Floats, length: Floats, order: NDArray[np.int64]) -> Tree:
    """Make the tree that finds the nearest piece.

    Parameters
    ----------
    curve, length : (m, 4, 3), (m,) float64
        Pieces, as of `lay`.
    order : (m,) int64
        Pieces so that neighbours in the list are neighbours on the ground.

    Returns
    -------
    Tree
        Order of the leaves, and boxes around the pieces.
    """
    leaves = 1
    while leaves * kernels.LEAF < len(length):
        leaves *= 2
    boxes = np.empty((2 * leaves, 6))
    kernels.boxes_rows(curve, length, still(order), boxes)
    return still(order), still(boxes)


def nearest_piece(
    position_ecef_m: ArrayLike, curve: Floats, length: Floats, tree: Tree
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Find where points are nearest to a curve.

    Parameters
    ----------
    position_ecef_m : (n, 3) float64
        Points. [m]
    curve, length : (m, 4, 3), (m,) float64
        Pieces, as of `lay`.
    tree : Tree
        Of these pieces.

    Returns
    -------
    piece : (n,) int64
        The nearest one; -1 for NaN.
    along, right : (n,) float64
        Place along it, and distance right of it. [m]

    Raises
    ------
    InputError
        If the shape is not (n, 3).
    """
    points = column("position_ecef_m", position_ecef_m, np.float64, (None, 3))
    piece, along, right = np.empty(len(points), dtype=np.int64), np.empty(len(points)), np.empty(len(points))
    kernels.nearest_rows(points, curve, length, *tree, piece, along, right)
    return piece, along, right


def still(values: NDArray) -> NDArray:
    """Return an array that nobody can write to.

    Parameters
    ----------
    values : ndarray
        Any.

    Returns
    -------
    ndarray
        The same, contiguous and read-only.
    """
    out = np.ascontiguousarray(values)
    out.flags.writeable = False
    return out
