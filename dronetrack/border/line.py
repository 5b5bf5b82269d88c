"""Which country is it in, how far from the line, and how sure is that? The line between two countries."""

import functools
import itertools
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.border import world
from dronetrack.border.outline import check_row, lines_of, places_of
from dronetrack.border.world import Post
from dronetrack.columns import column
from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import border as kernels
from dronetrack.kernels import crossing as chances
from dronetrack.threads import on_all_cores
from dronetrack.tracks import Track

if TYPE_CHECKING:
    import geopandas
    import shapely

    from dronetrack.border.forecast import Forecast, Pace
    from dronetrack.border.watch import Crossings
    from dronetrack.roads import RoadGraph, Route

HOME, HOST, NEITHER = 0, 1, -1
# Probability at which a side counts as known. A target 3 m beside the line, tracked to 4 m, crossed it 8 times in ten
# minutes at 0.95, and never at 0.999; the time of a true crossing does not depend on it.
BELIEF = 0.999
POST_WITHIN_M = 2500.0  # the coarse network puts a motorway up to a kilometre off; crossing points lie 5 km apart
MEAN_RADIUS_M = 6_371_008.8
_THREADED_FROM = 65_536  # places; fewer are done before a second thread has begun
ABROAD = "abroad"  # the host of `Border.of`: whatever lies outside

Floats = NDArray[np.float64]
Offsets = NDArray[np.int64]

_no_rings = functools.partial(np.empty, (0, 2))
_no_offsets = functools.partial(np.empty, 0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Border:
    """The line between two countries.

    A line may have several parts and either country several pieces with holes: exclaves, enclaves, islands. All that
    is flat columns with offsets, as in shapely's ragged arrays. Segments are straight in longitude and latitude
    (RFC 7946, section 3.1.1).

    Parameters
    ----------
    home, host : str
        Country codes (ISO 3166-1 alpha-2). Signed distances are positive on the host's side.
    line_lon_deg, line_lat_deg : (k,) float64
        Vertices of the line, the host on the left. [deg]
    line_offsets : (p + 1,) int64, optional
        Part i has the vertices ``line_offsets[i]:line_offsets[i + 1]``; one part without it.
    home_rings_deg, host_rings_deg : (m, 2) float64, optional
        Outlines (longitude, latitude): outer rings counter-clockwise, holes clockwise, the first vertex not repeated.
        Without both, every place is on one side or the other; without the host's, the host is all that is not home.
        [deg]
    home_offsets, host_offsets : (r + 1,) int64, optional
        Ring i has the vertices ``offsets[i]:offsets[i + 1]``; one ring without it.
    line_std_m : float
        Standard deviation of the line itself, each way; part of every probability. [m]
    attribution, licence : str
        Where the line comes from.
    posts : tuple of (name, lat_deg, lon_deg)
        Official crossing points.

    Raises
    ------
    InputError
        If the codes are equal, a part has no length, or offsets do not fit.

    Examples
    --------
    >>> border = Border.between("HU", "RO")
    >>> border.signed_distance_m([46.2530], [20.1414]).round(-2).tolist()  # Szeged, in Hungary
    [-16400.0]
    """

    home: str
    host: str
    line_lon_deg: Floats
    line_lat_deg: Floats
    line_offsets: Offsets = field(default_factory=_no_offsets)
    home_rings_deg: Floats = field(default_factory=_no_rings)
    home_offsets: Offsets = field(default_factory=_no_offsets)
    host_rings_deg: Floats = field(default_factory=_no_rings)
    host_offsets: Offsets = field(default_factory=_no_offsets)
    line_std_m: float = 5.0
    attribution: str = ""
    licence: str = ""
    posts: tuple[Post, ...] = ()
    lines: kernels.Lines = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        lon = column("line_lon_deg", self.line_lon_deg, np.float64, (None,), low=-180.0, high=180.0, nan=False)
        lat = column("line_lat_deg", self.line_lat_deg, np.float64, (len(lon),), low=-90.0, high=90.0, nan=False)
        put(self, "line_lon_deg", lon)
        put(self, "line_lat_deg", lat)
        if len(lon) < 2:
            raise InputError(f"a border line needs two vertices; got {len(lon)}.")
        put(self, "line_offsets", _offsets("line_offsets", self.line_offsets, len(lon), 2))
        if self.home == self.host:
            raise InputError(f"a border lies between two countries; got {self.home!r} twice.")
        if not 0.0 <= self.line_std_m < 10_000.0:
            raise InputError(f"line_std_m must lie in [0, 10000) m; got {self.line_std_m}.")
        laid = [np.radians(np.column_stack([lon, lat])), self.line_offsets]
        for who in ("home", "host"):
            name = f"{who}_rings_deg"
            rings = column(name, getattr(self, name), np.float64, (None, 2), low=-180.0, high=180.0, nan=False)
            put(self, name, rings)
            put(self, f"{who}_offsets", _offsets(f"{who}_offsets", getattr(self, f"{who}_offsets"), len(rings), 3))
            laid += [np.radians(rings), getattr(self, f"{who}_offsets")]
        if len(self.host_rings_deg) and not len(self.home_rings_deg):
            raise InputError("outlines of the host alone do not say where home is; give both, or home's alone.")
        put(self, "lines", lines_of(*laid))

    @classmethod
    def between(cls, home: str, host: str) -> "Border":
        """Return a border that ships with the package.

        Every pair of land neighbours of Natural Earth 4.1.0 at 1:10 million ships, and the line of Hungary and Romania
        to 10 m from OpenStreetMap. `line_std_m` says how far to trust each.

        Parameters
        ----------
        home, host : str
            Country codes (ISO 3166-1 alpha-2; XK for Kosovo); home first.

        Returns
        -------
        Border
            The line, with its attribution and licence.

        Raises
        ------
        InputError
            If there is no such country, or the two are no land neighbours.

        Examples
        --------
        >>> border = Border.between("HU", "RO")
        >>> border.side([47.4979, 45.7489], [19.0402, 21.2087]).tolist()  # Budapest, Timisoara
        [0, 1]
        >>> Border.between("ZA", "LS").side([-29.31], [27.48]).tolist()  # Maseru, in the hole of South Africa
        [1]
        """
        return _shipped(cls, home, host)

    @classmethod
    def of(cls, country: str) -> Self:
        """Return the whole outline of a country, coast included.

        Parameters
        ----------
        country : str
            Country code (ISO 3166-1 alpha-2); it becomes `home`.

        Returns
        -------
        Border
            With the host ``"abroad"``: every place outside.

        Raises
        ------
        InputError
            If there is no such country.

        Examples
        --------
        >>> Border.of("HU").side([47.4979, 48.2082], [19.0402, 16.3738]).tolist()  # Budapest, Vienna
        [0, 1]
        """
        return cls(country, ABROAD, **world.outline(country))

    @classmethod
    def from_line(
        cls, lat_deg: ArrayLike, lon_deg: ArrayLike, *, home: str, host: str, line_std_m: float = 5.0
    ) -> Self:
        """Make a border from a line.

        Parameters
        ----------
        lat_deg, lon_deg : (k,) float64
            Vertices, the host on the left as one goes along. [deg]
        home, host : str
            Country codes.
        line_std_m : float, optional
            Standard deviation of the line. [m]

        Returns
        -------
        Border
            A border without outlines: every place is on one side or the other.
        """
        return cls(home, host, np.asarray(lon_deg), np.asarray(lat_deg), line_std_m=line_std_m)

    @classmethod
    def read(cls, path: str | pathlib.Path, *, home: str, host: str, line_std_m: float = 5.0) -> Self:
        """Read the outlines of two countries and take the line that they share.

        Parameters
        ----------
        path : str or Path
            A file geopandas reads (GeoJSON, GeoPackage, ...), with polygons of both countries.
        home, host : str
            Country codes as they stand in some column of the file.
        line_std_m : float, optional
            Standard deviation of the line. [m]

        Returns
        -------
        Border
            Every stretch of shared boundary; all polygons with their holes.

        Raises
        ------
        FormatError
            If the file cannot be read, a country is missing, or the two share no boundary.
        """
        import shapely

        table = _read_map(pathlib.Path(path))
        ours, theirs = (_country(table, code, pathlib.Path(path).name) for code in (home, host))
        shared = shapely.line_merge(shapely.intersection(shapely.boundary(ours), shapely.boundary(theirs)))
        parts = [part for part in shapely.get_parts(shared) if part.geom_type == "LineString"]
        if not parts:
            raise FormatError(f"{pathlib.Path(path).name}: {home} and {host} share no stretch of boundary.")
        line, ends = _ragged([_host_left(np.asarray(part.coords), theirs) for part in parts])
        return cls(home, host, line[:, 0], line[:, 1], ends, *_rings(ours), *_rings(theirs), line_std_m)

    def side(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> NDArray[np.int8]:
        """Return on which side places are.

        Parameters
        ----------
        lat_deg, lon_deg : (n,) float64
            Where. [deg]

        Returns
        -------
        (n,) int8
            0 = home, 1 = host, -1 = in neither country (or NaN).

        Raises
        ------
        InputError
            If shapes differ or an angle is out of range.
        """
        lat, lon = places_of(lat_deg, lon_deg)
        out = np.empty(len(lat), dtype=np.int8)
        check_row(_shared(kernels.side_rows, lon, lat, self.lines, out), lat, lon)
        return out

    def signed_distance_m(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
        """Return the distance to the line, positive on the side of `self.host`.

        Parameters
        ----------
        lat_deg, lon_deg : (n,) float64
            Where. [deg]

        Returns
        -------
        (n,) float64
            Geodesic distance to the nearest place of the line. [m]

        Raises
        ------
        InputError
            If shapes differ or an angle is out of range.
        """
        return self._nearest(lat_deg, lon_deg)[0]

    def nearest(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Return the nearest place of the line.

        Parameters
        ----------
        lat_deg, lon_deg : (n,) float64
            Where. [deg]

        Returns
        -------
        lat_deg, lon_deg : (n,) float64
            On the line; NaN for NaN. [deg]

        Raises
        ------
        InputError
            If shapes differ or an angle is out of range.
        """
        _, segment, part = self._nearest(lat_deg, lon_deg)
        line = self.lines.line[segment]
        place = np.degrees(line[:, :2] + part[:, None] * (line[:, 2:] - line[:, :2]))
        return np.ascontiguousarray(place[:, 1]), np.ascontiguousarray(place[:, 0])

    def places(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[str, ...]:
        """Return the official crossing point at each place.

        Parameters
        ----------
        lat_deg, lon_deg : (n,) float64
            Where. [deg]

        Returns
        -------
        tuple of str
            Name of the nearest of `self.posts` within 2.5 km; empty where there is none.

        Raises
        ------
        InputError
            If shapes differ or an angle is out of range.

        Examples
        --------
        >>> Border.between("HU", "RO").places([46.2112, 46.4], [20.7604, 21.0])
        ('Nadlac II', '')
        """
        lat, lon = (np.radians(values) for values in places_of(lat_deg, lon_deg))
        if not self.posts:
            return ("",) * len(lat)
        there = np.radians([[post.lat_deg, post.lon_deg] for post in self.posts])
        north, east = there[:, 0] - lat[:, None], (there[:, 1] - lon[:, None]) * np.cos(lat[:, None])
        apart_m = MEAN_RADIUS_M * np.hypot(north, east)
        nearest = apart_m.argmin(axis=1)
        near = apart_m.min(axis=1) <= POST_WITHIN_M
        return tuple(self.posts[post].name if close else "" for post, close in zip(nearest, near, strict=True))

    def probability(self, track: Track) -> Floats:
        """Return how sure it is that a target is on the host's side.

        The integral of the track's two-dimensional normal density over the host's polygons as they are, bends within
        the ellipse included; the line's own uncertainty moves the whole line and widens the density.

        Parameters
        ----------
        track : Track
            n rows.

        Returns
        -------
        (n,) float64
            Probability of being in `self.host`. Where a third country is near, home's is not the rest.
        """
        out = np.empty((len(track), 4))
        chances.belief_rows(track.state, track.cov, self.line_std_m**2, self.lines, out)
        return np.ascontiguousarray(out[:, 1])

    def crossings(self, track: Track, *, belief: float = BELIEF) -> "Crossings":
        """Find when a track crossed the border: a `Watch`, fed once.

        Parameters
        ----------
        track : Track
            One track.
        belief : float, optional
            Probability at which a side counts as known.

        Returns
        -------
        Crossings
            With the distribution of the time, and the probability that the track has changed sides.

        Raises
        ------
        InputError
            If `belief` is not in (0.5, 1).
        """
        from dronetrack.border.watch import Watch

        return Watch(self, belief=belief).update(track)

    def forecast(
        self,
        track: Track,
        route: "Route | RoadGraph | None" = None,
        horizon_s: float = 3600.0,
        *,
        pace: "Pace | None" = None,
        n_drives: int = 2000,
        rng: np.random.Generator | None = None,
    ) -> "Forecast":
        """Say when and where a target will cross.

        Many drives start from the track's last row, drawn from its covariance, and go on as drivers do (`Pace`):
        freely, along a route, or along a road graph, where junctions are left straight on rather than round a corner.

        Parameters
        ----------
        track : Track
            The last row counts; the last half hour says how fast this driver goes.
        route : Route or RoadGraph, optional
            The road that the target is on; without it the target drives freely.
        horizon_s : float, optional
            How far to look. [s]
        pace : Pace, optional
            How drivers keep speed and course.
        n_drives : int, optional
            Number of drives; a probability is good to ``0.5 / sqrt(n_drives)`` (one standard deviation) or better.
        rng : Generator, optional
            Randomness; without it the same track gives the same forecast.

        Returns
        -------
        Forecast
            Probability of crossing by time, quantiles of the time, most likely crossing points.

        Raises
        ------
        InputError
            If the track is empty, an option is out of range, or the target is not on the road.
        """
        from dronetrack.border.forecast import forecast

        return forecast(self, track, route, horizon_s, pace=pace, n_drives=n_drives, rng=rng)

    def nearest_segment(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> NDArray[np.int64]:
        """Return the row of `lines.line` that is nearest.

        Parameters
        ----------
        lat_deg, lon_deg : (n,) float64
            Where. [deg]

        Returns
        -------
        (n,) int64
            Index; -1 for NaN.

        Raises
        ------
        InputError
            If shapes differ or an angle is out of range.
        """
        return self._nearest(lat_deg, lon_deg)[1]

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return the line as a table with geometry and its attribution.

        Returns
        -------
        geopandas.GeoDataFrame
            One row, EPSG:4326.
        """
        import geopandas
        import shapely

        line = np.column_stack([self.line_lon_deg, self.line_lat_deg])
        parts = [shapely.LineString(part) for part in np.split(line, self.line_offsets[1:-1])]
        columns = {
            "home": [self.home],
            "host": [self.host],
            "line_std_m": [self.line_std_m],
            "attribution": [self.attribution],
            "licence": [self.licence],
        }
        whole = parts[0] if len(parts) == 1 else shapely.MultiLineString(parts)
        return geopandas.GeoDataFrame(columns, geometry=[whole], crs="EPSG:4326")

    def _nearest(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Signed distance [m], segment of `lines.line`, and part of it."""
        lat, lon = places_of(lat_deg, lon_deg)
        distance, segment, part = np.empty(len(lat)), np.empty(len(lat), dtype=np.int64), np.empty(len(lat))
        check_row(_shared(kernels.nearest_rows, lon, lat, self.lines, distance, segment, part), lat, lon)
        return distance, segment, part


@functools.lru_cache(maxsize=8)
def _shipped(kind: type[Border], home: str, host: str) -> Border:
    """Load a border once: it cannot be changed, so a mission and its operation may have the same one."""
    return kind(home, host, **world.between(home, host))


def _shared(kernel: Callable[..., int], lon: Floats, lat: Floats, lines: tuple, *out: NDArray) -> int:
    """Call a kernel for all places, many of them on every core; return the first row out of range, -1 for none."""
    n_parts = (os.cpu_count() or 1) if len(lon) >= _THREADED_FROM else 1
    if n_parts == 1:
        return kernel(lon, lat, lines, *out)
    edges = [len(lon) * part // n_parts for part in range(n_parts + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(edges)]
    rows = on_all_cores(lambda part: kernel(lon[part], lat[part], lines, *(one[part] for one in out)), parts)
    return min((part.start + row for part, row in zip(parts, rows, strict=True) if row >= 0), default=-1)


def _offsets(name: str, values: Offsets, n: int, fewest: int) -> Offsets:
    """Check offsets, or make those of one part; each part has `fewest` vertices at least."""
    given = values if len(values) else [0, n] if n else [0]
    out = column(name, given, np.int64, (None,), low=0, high=n)
    if out[0] != 0 or out[-1] != n or np.any(np.diff(out) < fewest):
        raise InputError(f"{name} must rise from 0 to {n} with {fewest} vertices or more each; got {out.tolist()[:9]}.")
    return out


def _read_map(path: pathlib.Path) -> "geopandas.GeoDataFrame":
    import geopandas

    if not path.is_file():
        raise FormatError(f"{path}: no such file.")
    try:
        return geopandas.read_file(path).to_crs(4326)
    except (ValueError, RuntimeError, OSError) as fault:  # GDAL's errors are RuntimeErrors
        raise FormatError(f"{path.name}: not a readable map ({fault}).") from None


def _country(table: "geopandas.GeoDataFrame", code: str, name: str) -> "shapely.MultiPolygon":
    """Everything that the map gives one country, valid, outer rings counter-clockwise."""
    import shapely

    rows = (table.drop(columns=table.geometry.name).astype(str) == code).any(axis=1).to_numpy()
    if not rows.any():
        raise FormatError(f"{name}: no feature with {code!r} in any column.")
    whole = shapely.make_valid(shapely.union_all(table.geometry.to_numpy()[rows]))
    parts = [part for part in shapely.get_parts(whole) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon([shapely.geometry.polygon.orient(part) for part in parts])


def _rings(shape: "shapely.MultiPolygon") -> tuple[Floats, Offsets]:
    rings = [ring for part in shape.geoms for ring in (part.exterior, *part.interiors)]
    return _ragged([np.asarray(ring.coords)[:-1] for ring in rings])


def _ragged(parts: list[Floats]) -> tuple[Floats, Offsets]:
    return np.concatenate(parts), np.cumsum([0, *map(len, parts)])


def _host_left(part: Floats, host: "shapely.MultiPolygon") -> Floats:
    """Turn a part so that the host lies on its left: a look to both sides of its longest segment."""
    import shapely

    step = np.diff(part, axis=0)
    longest = int(np.argmax(np.hypot(step[:, 0], step[:, 1])))
    middle, ahead = part[longest] + 0.5 * step[longest], step[longest]
    beside = middle + 1e-3 * np.array([-ahead[1], ahead[0]])
    return part if shapely.contains_xy(host, *beside) else part[::-1]
