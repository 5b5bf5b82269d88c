"""Where does the road lead, and where on it is the target? Routes, road graphs, and motion along them."""

import json
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import roads as kernels

PIECE_M = 1000.0  # longest piece of a geodesic; a cubic follows it to better than a micrometre
PIECE_TURN_RAD = np.radians(5.0)  # most that one piece of a rounded corner turns; a cubic follows it to 1e-7 radius
SAME_NODE_DEG = 1e-7  # ends of edges closer than this (1 cm) are one junction
SHORTEST_LEG_M = 1e-3
MEAN_RADIUS_M = 6_371_008.8

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One road from its start to its end, with arc length.

    Between vertices the road is the geodesic of WGS 84, raised to heights that change evenly along it. Arc length is
    that of the road in space: on the ellipsoid itself it is the geodesic length. The curve is kept as cubic pieces in
    ECEF, so that points, directions and velocities agree with each other exactly. Make one with `from_lat_lon`.

    Parameters
    ----------
    curve_ecef_m : (m, 4, 3) float64
        Coefficients of the pieces: ``c0 + u (c1 + u (c2 + u c3))`` at `u` metres along the piece.
    piece_length_m : (m,) float64
        Their lengths. [m]

    Raises
    ------
    InputError
        If there is no piece, or the shapes differ.

    Examples
    --------
    >>> road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1], alt_hae_m=120.0)
    >>> round(road.length_m)
    7746
    >>> s_m, lateral_m = road.locate(road.to_ecef([1000.0], lateral_m=[2.5]))
    >>> round(float(s_m[0]), 6), round(float(lateral_m[0]), 6)
    (1000.0, 2.5)
    """

    curve_ecef_m: Floats
    piece_length_m: Floats
    piece_start_m: Floats = field(init=False, repr=False)
    _tree: tuple[NDArray[np.int64], Floats] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "curve_ecef_m", column("curve_ecef_m", self.curve_ecef_m, np.float64, (None, 4, 3), nan=False))
        size = (len(self.curve_ecef_m),)
        put(self, "piece_length_m", column("piece_length_m", self.piece_length_m, np.float64, size, nan=False))
        if not size[0]:
            raise InputError("a road needs two different vertices at least; got none or one.")
        start = np.concatenate([[0.0], np.cumsum(self.piece_length_m)])
        put(self, "piece_start_m", column("piece_start_m", start, np.float64, (None,)))
        put(self, "_tree", _tree(self.curve_ecef_m, self.piece_length_m, np.arange(size[0])))

    @classmethod
    def from_lat_lon(
        cls, lat_deg: ArrayLike, lon_deg: ArrayLike, *, alt_hae_m: ArrayLike = 0.0, corner_radius_m: float = 0.0
    ) -> Self:
        """Lay a road through vertices.

        Parameters
        ----------
        lat_deg, lon_deg : (k,) float64
            Vertices in driving order. [deg]
        alt_hae_m : (k,) float64 or float, optional
            Heights above the ellipsoid; from a map without heights take ``terrain.ground_hae_m(lat_deg, lon_deg)``. [m]
        corner_radius_m : float, optional
            With 0 the road has the corners of the map, and headings jump there. With a radius each corner becomes a
            circular arc that touches both legs; it is tighter where a leg is too short for it (an arc takes at most
            half of a leg). The road then passes a corner of `turn` at ``radius * (1 / cos(turn / 2) - 1)``: 2 m for a
            right angle and 5 m radius. [m]

        Returns
        -------
        Route
            The road.

        Raises
        ------
        InputError
            If fewer than two vertices differ, a value is missing, or the radius is negative.
        """
        lat = column("lat_deg", lat_deg, np.float64, (None,), low=-90.0, high=90.0, nan=False)
        lon = column("lon_deg", lon_deg, np.float64, (len(lat),), low=-360.0, high=360.0, nan=False)
        alt = column("alt_hae_m", _spread(alt_hae_m, len(lat)), np.float64, (len(lat),), nan=False)
        if not 0.0 <= corner_radius_m < np.inf:
            raise InputError(f"corner_radius_m must be 0 or a positive radius; got {corner_radius_m}.")
        return cls(*_lay(lat, lon, alt, float(corner_radius_m)))

    @property
    def length_m(self) -> float:
        """Length of the whole road. [m]"""
        return float(self.piece_start_m[-1])

    def to_ecef(self, s_m: ArrayLike, lateral_m: ArrayLike = 0.0) -> Floats:
        """Return points of the road, or beside it.

        Parameters
        ----------
        s_m : (n,) float64
            Arc length from the start; beyond an end the road goes straight on. [m]
        lateral_m : (n,) float64 or float, optional
            How far to the right, horizontally. [m]

        Returns
        -------
        (n, 3) float64
            ECEF points. [m]
        """
        return self._along(s_m, lateral_m)[0]

    def axes(self, s_m: ArrayLike) -> Floats:
        """Return the road's own axes: ``axes @ ecef_vector`` gives along, right, above.

        Parameters
        ----------
        s_m : (n,) float64
            Arc length. [m]

        Returns
        -------
        (n, 3, 3) float64
            Rows along the road (climb included), right (horizontal), and above, across both; in ECEF.
        """
        _, along, right, _ = self._along(s_m, 0.0)
        return np.stack([along, right, np.cross(right, along)], axis=1)

    def state(
        self,
        s_m: ArrayLike,
        speed_mps: ArrayLike,
        *,
        lateral_m: ArrayLike = 0.0,
        lateral_rate_mps: ArrayLike = 0.0,
    ) -> Floats:
        """Return position and velocity of something that drives along the road.

        Parameters
        ----------
        s_m : (n,) float64
            Arc length. [m]
        speed_mps : (n,) float64 or float
            Rate of the arc length, negative for backwards. Right of the road's line in a right bend the way is
            shorter, and so is the velocity. [m/s]
        lateral_m, lateral_rate_mps : (n,) float64 or float, optional
            Offset to the right, and its rate. [m, m/s]

        Returns
        -------
        (n, 6) float64
            ECEF position [m] and velocity [m/s].
        """
        point, _, right, rate = self._along(s_m, lateral_m)
        speed, across = (_spread(values, len(point))[:, None] for values in (speed_mps, lateral_rate_mps))
        return np.hstack([point, speed * rate + across * right])

    def locate(self, position_ecef_m: ArrayLike) -> tuple[Floats, Floats]:
        """Return the nearest place of the road.

        Parameters
        ----------
        position_ecef_m : (n, 3) float64
            Points. [m]

        Returns
        -------
        s_m : (n,) float64
            Arc length of the nearest point of the road, in [0, length_m]; NaN for NaN. [m]
        lateral_m : (n,) float64
            How far to the right of it the point is, horizontally. [m]

        Raises
        ------
        InputError
            If the shape is not (n, 3).
        """
        piece, along, right = _nearest(position_ecef_m, self.curve_ecef_m, self.piece_length_m, self._tree)
        return self.piece_start_m[piece] + along, right

    def _along(self, s_m: ArrayLike, lateral_m: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
        """Point, direction of the road, right of it, and how the point moves per metre of arc length; (n, 3) each."""
        s = column("s_m", s_m, np.float64, (None,))
        lateral = column("lateral_m", _spread(lateral_m, len(s)), np.float64, (len(s),))
        point, along, right, rate = (np.empty((len(s), 3)) for _ in range(4))
        kernels.along_rows(
            s, lateral, self.curve_ecef_m, self.piece_length_m, self.piece_start_m, point, along, right, rate
        )
        return point, along, right, rate


@dataclass(frozen=True, slots=True, eq=False)
class RoadGraph:
    """Roads that meet at junctions. Make one with `from_lat_lon` or `read`.

    Parameters
    ----------
    vertex_lat_deg, vertex_lon_deg, vertex_alt_hae_m : (v,) float64
        Vertices of all edges, one edge after another. [deg, deg, m]
    offsets : (e + 1,) int64
        Edge i has the vertices ``offsets[i]:offsets[i + 1]``.
    one_way : (e,) bool
        Whether an edge may be driven only from its first vertex to its last.
    corner_radius_m : float
        Rounding of corners inside edges, as in `Route.from_lat_lon`. [m]

    Raises
    ------
    InputError
        If shapes or ranges are wrong, or an edge has no length.
    """

    vertex_lat_deg: Floats
    vertex_lon_deg: Floats
    vertex_alt_hae_m: Floats
    offsets: NDArray[np.int64]
    one_way: NDArray[np.bool_]
    corner_radius_m: float = 0.0
    edge_nodes: NDArray[np.int64] = field(init=False, repr=False)
    edge_length_m: Floats = field(init=False, repr=False)
    node_lat_deg: Floats = field(init=False, repr=False)
    node_lon_deg: Floats = field(init=False, repr=False)
    _curve: Floats = field(init=False, repr=False)
    _length: Floats = field(init=False, repr=False)
    _start: Floats = field(init=False, repr=False)
    _pieces: NDArray[np.int64] = field(init=False, repr=False)
    _tree: tuple[NDArray[np.int64], Floats] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "offsets", column("offsets", self.offsets, np.int64, (None,), low=0))
        n = len(self.offsets) - 1
        put(self, "one_way", column("one_way", self.one_way, np.bool_, (max(n, 0),)))
        size = int(self.offsets[-1]) if n > 0 else 0
        if n < 1 or np.any(np.diff(self.offsets) < 2):
            raise InputError("a road graph needs edges of two vertices at least; check offsets.")
        for name, bound in (("vertex_lat_deg", 90.0), ("vertex_lon_deg", 360.0), ("vertex_alt_hae_m", 1e5)):
            values = column(name, getattr(self, name), np.float64, (size,), low=-bound, high=bound, nan=False)
            put(self, name, values)
        vertices = [self._vertices(edge) for edge in range(n)]
        laid = [_lay(*part, self.corner_radius_m) for part in vertices]
        put(self, "_curve", _still(np.concatenate([curve for curve, _ in laid])))
        put(self, "_length", _still(np.concatenate([length for _, length in laid])))
        put(self, "_pieces", _still(np.cumsum([0, *(len(length) for _, length in laid)])))
        before = [np.cumsum(length) - length for _, length in laid]
        put(self, "_start", _still(np.concatenate(before)))
        put(self, "edge_length_m", _still(np.array([length.sum() for _, length in laid])))
        self._join()
        put(self, "_tree", _tree(self._curve, self._length, _near_each_other(self._curve)))

    def _join(self) -> None:
        """Give the junctions numbers: ends of edges that are one place."""
        ends = np.stack([self.offsets[:-1], self.offsets[1:] - 1], axis=1).ravel()
        places = np.column_stack([self.vertex_lat_deg, self.vertex_lon_deg])[ends]
        _, first, node = np.unique(np.rint(places / SAME_NODE_DEG), axis=0, return_index=True, return_inverse=True)
        put = object.__setattr__
        put(self, "edge_nodes", _still(node.reshape(-1, 2).astype(np.int64)))
        put(self, "node_lat_deg", _still(places[first, 0]))
        put(self, "node_lon_deg", _still(places[first, 1]))

    @classmethod
    def from_lat_lon(
        cls,
        lat_deg: ArrayLike,
        lon_deg: ArrayLike,
        offsets: ArrayLike,
        *,
        alt_hae_m: ArrayLike = 0.0,
        one_way: ArrayLike = False,
        corner_radius_m: float = 0.0,
    ) -> Self:
        """Make a graph of lines; where a line passes a vertex of another one, both are split there.

        Parameters
        ----------
        lat_deg, lon_deg : (v,) float64
            Vertices of all lines, one line after another. [deg]
        offsets : (k + 1,) int64
            Line i has the vertices ``offsets[i]:offsets[i + 1]``.
        alt_hae_m : (v,) float64 or float, optional
            Heights above the ellipsoid. [m]
        one_way : (k,) bool or bool, optional
            Which lines may be driven only forwards.
        corner_radius_m : float, optional
            As in `Route.from_lat_lon`, for corners inside an edge. [m]

        Returns
        -------
        RoadGraph
            Edges between junctions.

        Raises
        ------
        InputError
            If shapes or ranges are wrong.

        Examples
        --------
        A road and a side road that meets it half-way:

        >>> roads = RoadGraph.from_lat_lon(
        ...     [46.0, 46.0, 46.0, 46.0, 46.1], [20.0, 20.1, 20.2, 20.1, 20.1], offsets=[0, 3, 5]
        ... )
        >>> roads.edge_nodes.shape, len(roads.node_lat_deg)
        ((3, 2), 4)
        """
        bounds = column("offsets", offsets, np.int64, (None,), low=0)
        size = int(bounds[-1]) if len(bounds) else 0
        lat = column("lat_deg", lat_deg, np.float64, (size,), low=-90.0, high=90.0, nan=False)
        lon = column("lon_deg", lon_deg, np.float64, (size,), low=-360.0, high=360.0, nan=False)
        alt = _spread(alt_hae_m, size)
        single = np.broadcast_to(np.asarray(one_way, dtype=np.bool_), (max(len(bounds) - 1, 0),))
        rows, ends, line = _split(lat, lon, bounds)
        return cls(lat[rows], lon[rows], alt[rows], ends, single[line], corner_radius_m)

    @classmethod
    def read(cls, path: str | pathlib.Path, *, alt_hae_m: float = 0.0, corner_radius_m: float = 0.0) -> Self:
        """Read roads from GeoJSON: `LineString` and `MultiLineString` features.

        Parameters
        ----------
        path : str or Path
            The file. A property ``oneway`` of ``true``, ``"yes"``, ``1`` or ``"-1"`` (against the line) is heeded.
        alt_hae_m : float, optional
            Height of vertices that have none. [m]
        corner_radius_m : float, optional
            As in `from_lat_lon`. [m]

        Returns
        -------
        RoadGraph
            The roads.

        Raises
        ------
        FormatError
            If the file is missing, is no GeoJSON, or holds no line.
        """
        path = pathlib.Path(path)
        lines, one_way = _read_lines(path)
        if not lines:
            raise FormatError(f"{path.name}: no LineString of two points; needed roads as GeoJSON lines.")
        whole = np.array([[*point[:2], point[2] if len(point) > 2 else alt_hae_m] for line in lines for point in line])
        bounds = np.cumsum([0, *map(len, lines)])
        return cls.from_lat_lon(
            whole[:, 1], whole[:, 0], bounds, alt_hae_m=whole[:, 2], one_way=one_way, corner_radius_m=corner_radius_m
        )

    def __len__(self) -> int:
        return len(self.one_way)

    def __getitem__(self, edge: int) -> Route:
        if not -len(self) <= edge < len(self):
            raise IndexError(f"there are {len(self)} edges; got index {edge}")
        pieces = slice(*self._pieces[edge % len(self) :][:2])
        return Route(self._curve[pieces], self._length[pieces])

    def nearest(self, position_ecef_m: ArrayLike) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Return the nearest edge of each point.

        Parameters
        ----------
        position_ecef_m : (n, 3) float64
            Points. [m]

        Returns
        -------
        edge : (n,) int64
            Index of the edge; -1 for NaN.
        s_m, lateral_m : (n,) float64
            Arc length along that edge, and how far right of it. [m]

        Raises
        ------
        InputError
            If the shape is not (n, 3).
        """
        piece, along, right = _nearest(position_ecef_m, self._curve, self._length, self._tree)
        edge = np.where(piece < 0, -1, np.searchsorted(self._pieces, piece, side="right") - 1)
        return edge, self._start[piece] + along, right

    def route(self, start: tuple[float, float], end: tuple[float, float], *, corner_radius_m: float = 15.0) -> Route:
        """Return the shortest way between the junctions nearest to two places (Dijkstra).

        Parameters
        ----------
        start, end : (float, float)
            Latitude and longitude. [deg]
        corner_radius_m : float, optional
            Rounding of all corners of the way, those at junctions included. [m]

        Returns
        -------
        Route
            The way.

        Raises
        ------
        InputError
            If there is no way, or both places are nearest to one junction.
        """
        nodes = [self.nearest_node(*start), self.nearest_node(*end)]
        vertices = [self._vertices(edge, backwards=back) for edge, back in self._way(*nodes)]
        lat, lon, alt = (np.concatenate(parts) for parts in zip(*vertices, strict=True))
        return Route.from_lat_lon(lat, lon, alt_hae_m=alt, corner_radius_m=corner_radius_m)

    def nearest_node(self, lat_deg: float, lon_deg: float) -> int:
        """Return the junction nearest to a place.

        Parameters
        ----------
        lat_deg, lon_deg : float
            Where. [deg]

        Returns
        -------
        int
            Index into `node_lat_deg`.
        """
        nodes = geodesy.geodetic_to_ecef(self.node_lat_deg, self.node_lon_deg, np.zeros(len(self.node_lat_deg)))
        here = geodesy.geodetic_to_ecef([lat_deg], [lon_deg], [0.0])
        return int(np.argmin(np.linalg.norm(nodes - here, axis=1)))

    def columns(self) -> tuple[NDArray, ...]:
        """Return the graph in the columns that kernels read.

        Returns
        -------
        tuple of ndarray
            Pieces of all edges: curve (m, 4, 3), length (m,), start on the edge (m,); the first piece of each edge
            (e + 1,); edges: length (e,), nodes (e, 2), one-way (e,); and the ways out of each node:
            ``exit_of[exits[i]:exits[i + 1]]`` are twice the edge, plus one where it is driven backwards.
        """
        edges = np.concatenate([np.arange(len(self)), np.flatnonzero(~self.one_way)])
        back = (np.arange(len(edges)) >= len(self)).astype(np.int64)
        tail = self.edge_nodes[edges, back]
        order = np.argsort(tail, kind="stable")
        exits = np.searchsorted(tail[order], np.arange(len(self.node_lat_deg) + 1))
        pieces = (self._curve, self._length, self._start, self._pieces)
        own = (self.edge_length_m, self.edge_nodes, self.one_way)
        return *pieces, *own, _still(exits), _still((2 * edges + back)[order])

    def _way(self, start: int, end: int) -> list[tuple[int, bool]]:
        """Edges of the shortest way in driving order, and whether each is driven backwards."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import dijkstra

        if start == end:
            raise InputError("start and end are nearest to one junction; a way needs two different ones.")
        edges = np.concatenate([np.arange(len(self)), np.flatnonzero(~self.one_way)])
        back = np.arange(len(edges)) >= len(self)
        tail = self.edge_nodes[edges, back.astype(int)]
        head = self.edge_nodes[edges, 1 - back.astype(int)]
        n = len(self.node_lat_deg)
        # Of parallel edges only the shortest counts: a sparse matrix would add them up.
        order = np.lexsort((self.edge_length_m[edges], head, tail))
        _, first = np.unique(tail[order] * n + head[order], return_index=True)
        keep = order[first]
        matrix = csr_array((self.edge_length_m[edges[keep]], (tail[keep], head[keep])), shape=(n, n))
        _, before = dijkstra(matrix, indices=start, return_predecessors=True)
        if before[end] < 0:
            raise InputError("there is no way between these junctions; check one_way and that lines share vertices.")
        used = {(int(tail[row]), int(head[row])): (int(edges[row]), bool(back[row])) for row in keep}
        way, node = [], end
        while node != start:
            way.append(used[int(before[node]), int(node)])
            node = before[node]
        return way[::-1]

    def _vertices(self, edge: int, *, backwards: bool = False) -> tuple[Floats, Floats, Floats]:
        rows = slice(int(self.offsets[edge]), int(self.offsets[edge + 1]))
        turn = slice(None, None, -1 if backwards else 1)
        whole = (self.vertex_lat_deg, self.vertex_lon_deg, self.vertex_alt_hae_m)
        return tuple(values[rows][turn] for values in whole)  # type: ignore[return-value]


def _lay(lat_deg: Floats, lon_deg: Floats, alt_hae_m: Floats, radius_m: float) -> tuple[Floats, Floats]:
    """Pieces (m, 4, 3) and their lengths (m,) of a road through vertices."""
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


def _tree(curve: Floats, length: Floats, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Order of the leaves, and boxes around the pieces."""
    leaves = 1
    while leaves * kernels.LEAF < len(length):
        leaves *= 2
    boxes = np.empty((2 * leaves, 6))
    kernels.boxes_rows(curve, length, _still(order), boxes)
    return _still(order), _still(boxes)


def _near_each_other(curve: Floats) -> NDArray[np.int64]:
    """Order pieces so that neighbours in the list are neighbours on the ground (Morton order of their starts)."""
    place = curve[:, 0] - curve[:, 0].min(axis=0)
    cell = np.minimum(place / max(float(place.max()), 1.0) * 1024.0, 1023.0).astype(np.int64)
    code = np.zeros(len(cell), dtype=np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _nearest(
    position_ecef_m: ArrayLike, curve: Floats, length: Floats, tree: tuple[NDArray[np.int64], Floats]
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Nearest piece, place along it, and distance right of it."""
    points = column("position_ecef_m", position_ecef_m, np.float64, (None, 3))
    piece, along, right = np.empty(len(points), dtype=np.int64), np.empty(len(points)), np.empty(len(points))
    kernels.nearest_rows(points, curve, length, *tree, piece, along, right)
    return piece, along, right


def _split(
    lat_deg: Floats, lon_deg: Floats, offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Split lines where they share vertices: vertex rows of the edges, their offsets, and the line of each edge."""
    count = np.diff(offsets)
    if np.any(count < 2):
        raise InputError("each line needs two vertices at least; check offsets.")
    places = np.rint(np.column_stack([lat_deg, lon_deg]) / SAME_NODE_DEG)
    _, which, times = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    shared = times[which.ravel()] > 1
    line = np.repeat(np.arange(len(count)), count)
    inner = np.ones(len(lat_deg), dtype=np.bool_)
    inner[offsets[:-1]] = inner[offsets[1:] - 1] = False
    # An inner vertex that is a junction ends one edge and starts the next: it stands twice.
    twice = shared & inner
    rows = np.repeat(np.arange(len(lat_deg)), 1 + twice)
    starts = np.zeros(len(rows), dtype=np.bool_)
    place = np.arange(len(lat_deg)) + np.cumsum(twice)  # where each vertex stands last
    starts[place[twice | np.isin(np.arange(len(lat_deg)), offsets[:-1])]] = True
    first = np.flatnonzero(starts)
    return rows, np.append(first, len(rows)), line[rows[first]]


def _read_lines(path: pathlib.Path) -> tuple[list[list[Sequence[float]]], list[bool]]:
    """Lines of a GeoJSON file in driving order, and which are one-way."""
    if not path.is_file():
        raise FormatError(f"{path}: no such road file.")
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        lines, one_way = [], []
        for feature in features:
            shape, said = feature["geometry"] or {}, (feature.get("properties") or {}).get("oneway")
            parts = {"LineString": [shape.get("coordinates")], "MultiLineString": shape.get("coordinates")}
            for part in parts.get(shape.get("type", ""), []) or []:
                if len(part) >= 2:
                    lines.append(part[::-1] if str(said) == "-1" else part)
                    one_way.append(str(said).lower() in {"true", "yes", "1", "-1"})
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise FormatError(f"{path.name}: not GeoJSON features ({type(fault).__name__}: {fault}).") from None
    return lines, one_way


def _spread(values: ArrayLike, n: int) -> Floats:
    """Spread one value over n rows; leave n values as they are."""
    rows = np.asarray(values, dtype=np.float64)
    return np.full(n, float(rows)) if rows.ndim == 0 else rows


def _still(values: NDArray) -> NDArray:
    out = np.ascontiguousarray(values)
    out.flags.writeable = False
    return out
