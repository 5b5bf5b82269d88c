"""Where do roads meet? Edges between junctions, the nearest of them, and the shortest way over them."""

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
from dronetrack.roads.curves import Tree, lay, nearest_piece, still, tree_of
from dronetrack.roads.route import Route, spread

SAME_NODE_DEG = 1e-7  # ends of edges closer than this (1 cm) are one junction

Floats = NDArray[np.float64]


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
    _tree: Tree = field(init=False, repr=False)

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
        laid = [lay(*part, self.corner_radius_m) for part in vertices]
        put(self, "_curve", still(np.concatenate([curve for curve, _ in laid])))
        put(self, "_length", still(np.concatenate([length for _, length in laid])))
        put(self, "_pieces", still(np.cumsum([0, *(len(length) for _, length in laid)])))
        before = [np.cumsum(length) - length for _, length in laid]
        put(self, "_start", still(np.concatenate(before)))
        put(self, "edge_length_m", still(np.array([length.sum() for _, length in laid])))
        self._join()
        put(self, "_tree", tree_of(self._curve, self._length, _near_each_other(self._curve)))

    def _join(self) -> None:
        """Give the junctions numbers: ends of edges that are one place."""
        ends = np.stack([self.offsets[:-1], self.offsets[1:] - 1], axis=1).ravel()
        places = np.column_stack([self.vertex_lat_deg, self.vertex_lon_deg])[ends]
        _, first, node = np.unique(np.rint(places / SAME_NODE_DEG), axis=0, return_index=True, return_inverse=True)
        put = object.__setattr__
        put(self, "edge_nodes", still(node.reshape(-1, 2).astype(np.int64)))
        put(self, "node_lat_deg", still(places[first, 0]))
        put(self, "node_lon_deg", still(places[first, 1]))

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
        alt = spread(alt_hae_m, size)
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
        piece, along, right = nearest_piece(position_ecef_m, self._curve, self._length, self._tree)
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
        return *pieces, *own, still(exits), still((2 * edges + back)[order])

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


def _near_each_other(curve: Floats) -> NDArray[np.int64]:
    """Order pieces so that neighbours in the list are neighbours on the ground (Morton order of their starts)."""
    place = curve[:, 0] - curve[:, 0].min(axis=0)
    cell = np.minimum(place / max(float(place.max()), 1.0) * 1024.0, 1023.0).astype(np.int64)
    code = np.zeros(len(cell), dtype=np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


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
