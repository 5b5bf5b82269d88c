"""Which country is it in, how far from the line, and when did it cross? Borders and crossings under uncertainty."""

import importlib.resources
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import column
from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import border as kernels
from dronetrack.tracks import Track

if TYPE_CHECKING:
    import geopandas

HOME, HOST, NEITHER = 0, 1, -1
# Probability at which a side counts as known. A target 3 m beside the line, tracked to 4 m, crossed it 8 times in ten
# minutes at 0.95, and never at 0.999; the time of a true crossing does not depend on it.
BELIEF = 0.999

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One crossing: the row of a `Crossings` batch.

    Parameters
    ----------
    time : datetime64[us]
        When, UTC.
    time_std_s : float
        Standard deviation of the time. [s]
    track_id : int
        Which track.
    leaving, entering : str
        Country codes.
    lat_deg, lon_deg : float
        Where. [deg]
    probability : float
        That the track has changed sides.
    """

    time: np.datetime64
    time_std_s: float
    track_id: int
    leaving: str
    entering: str
    lat_deg: float
    lon_deg: float
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """Crossings of a border, n rows in time order.

    Parameters
    ----------
    time_us : (n,) int64
        When. [us, UTC]
    time_std_s : (n,) float64
        Standard deviation of the time. [s]
    track_id : (n,) int64
        Which track.
    leaving, entering : tuple of str
        Country codes.
    lat_deg, lon_deg : (n,) float64
        Where. [deg]
    probability : (n,) float64
        That the track has changed sides.
    """

    time_us: NDArray[np.int64]
    time_std_s: Floats
    track_id: NDArray[np.int64]
    leaving: tuple[str, ...]
    entering: tuple[str, ...]
    lat_deg: Floats
    lon_deg: Floats
    probability: Floats

    def __len__(self) -> int:
        return len(self.time_us)

    def __iter__(self) -> Iterator[Crossing]:
        columns = (
            self.time_us.view("datetime64[us]"),
            self.time_std_s.tolist(),
            self.track_id.tolist(),
            self.leaving,
            self.entering,
            self.lat_deg.tolist(),
            self.lon_deg.tolist(),
            self.probability.tolist(),
        )
        return (Crossing(*row) for row in zip(*columns, strict=True))

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return the crossings as a table with geometry.

        Returns
        -------
        geopandas.GeoDataFrame
            EPSG:4326 points.
        """
        import geopandas
        import pandas as pd

        table = pd.DataFrame(
            {
                "time": pd.DatetimeIndex(self.time_us.view("datetime64[us]"), tz="UTC"),
                "time_std_s": self.time_std_s,
                "track_id": self.track_id,
                "leaving": list(self.leaving),
                "entering": list(self.entering),
                "probability": self.probability,
            }
        )
        return geopandas.GeoDataFrame(
            table, geometry=geopandas.points_from_xy(self.lon_deg, self.lat_deg), crs="EPSG:4326"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Border:
    """The line between two countries.

    Parameters
    ----------
    home, host : str
        Country codes (ISO 3166-1 alpha-2). Signed distances are positive on the host's side.
    line_lon_deg, line_lat_deg : (k,) float64
        Vertices of the line, the host on the left. [deg]
    home_ring_deg, host_ring_deg : (m, 2) float64
        Outlines (longitude, latitude) that share the line exactly; (0, 2) where unknown. [deg]
    line_std_m : float
        Standard deviation of the line itself; part of every crossing's uncertainty. [m]
    attribution, licence : str
        Where the line comes from.

    Raises
    ------
    InputError
        If the codes are equal, or the line has no length.
    """

    home: str
    host: str
    line_lon_deg: Floats
    line_lat_deg: Floats
    home_ring_deg: Floats = field(default_factory=lambda: np.empty((0, 2)))
    host_ring_deg: Floats = field(default_factory=lambda: np.empty((0, 2)))
    line_std_m: float = 5.0
    attribution: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        put = object.__setattr__
        lon = column("line_lon_deg", self.line_lon_deg, np.float64, (None,), low=-180.0, high=180.0, nan=False)
        lat = column("line_lat_deg", self.line_lat_deg, np.float64, (len(lon),), low=-90.0, high=90.0, nan=False)
        put(self, "line_lon_deg", lon)
        put(self, "line_lat_deg", lat)
        for name in ("home_ring_deg", "host_ring_deg"):
            put(self, name, column(name, getattr(self, name), np.float64, (None, 2), nan=False))
        if self.home == self.host:
            raise InputError(f"a border lies between two countries; got {self.home!r} twice.")
        if len(lon) < 2:
            raise InputError(f"a border line needs two vertices; got {len(lon)}.")
        if not 0.0 <= self.line_std_m < 10_000.0:
            raise InputError(f"line_std_m must lie in [0, 10000) m; got {self.line_std_m}.")

    @classmethod
    def between(cls, home: str, host: str) -> Self:
        """Return a border that ships with the package.

        Parameters
        ----------
        home, host : str
            Country codes; home first.

        Returns
        -------
        Border
            The line, with its attribution and licence.

        Raises
        ------
        InputError
            If this pair does not ship.

        Examples
        --------
        >>> border = Border.between("HU", "RO")
        >>> border.side([47.4979, 45.7489], [19.0402, 21.2087]).tolist()  # Budapest, Timisoara
        [0, 1]
        """
        folder = importlib.resources.files("dronetrack") / "data" / "borders"
        shipped = sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".npz"))
        forward = f"{home}-{host}" in shipped
        name = f"{home}-{host}" if forward else f"{host}-{home}"
        if name not in shipped:
            raise InputError(
                f"no border {home}-{host} ships with the package (there is {', '.join(shipped)}); "
                "read your own with Border.read(file) or Border.from_line(...)."
            )
        with importlib.resources.as_file(folder / f"{name}.npz") as path, np.load(path) as data:
            line = data["line"] if forward else data["line"][::-1]
            rings = (data["polygon_a"], data["polygon_b"]) if forward else (data["polygon_b"], data["polygon_a"])
            return cls(
                home,
                host,
                line[:, 0],
                line[:, 1],
                *rings,
                float(data["line_std_m"]),
                str(data["attribution"]),
                str(data["licence"]),
            )

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
            A file geopandas reads (GeoJSON, GeoPackage, ...), with one polygon for each country.
        home, host : str
            Country codes as they stand in some column of the file.
        line_std_m : float, optional
            Standard deviation of the line. [m]

        Returns
        -------
        Border
            The longest stretch of shared boundary.

        Raises
        ------
        FormatError
            If the file cannot be read, a country is missing, or the two do not share vertices.
        """
        import geopandas
        import shapely

        path = pathlib.Path(path)
        if not path.is_file():
            raise FormatError(f"{path}: no such file.")
        try:
            table = geopandas.read_file(path).to_crs(4326)
        except (ValueError, RuntimeError, OSError) as fault:  # GDAL's errors are RuntimeErrors
            raise FormatError(f"{path.name}: not a readable map ({fault}).") from None
        rings = []
        for code in (home, host):
            rows = (table.drop(columns=table.geometry.name).astype(str) == code).any(axis=1).to_numpy()
            if not rows.any():
                raise FormatError(f"{path.name}: no feature with {code!r} in any column.")
            whole = shapely.make_valid(shapely.union_all(table.geometry.to_numpy()[rows]))
            parts = [part for part in shapely.get_parts(whole) if part.geom_type == "Polygon"]
            largest = shapely.geometry.polygon.orient(max(parts, key=lambda part: part.area))
            rings.append(np.asarray(largest.exterior.coords)[:-1])
        shared = shapely.line_merge(shapely.LinearRing(rings[1]).intersection(shapely.LinearRing(rings[0])))
        lines = [part for part in shapely.get_parts(shared) if part.geom_type == "LineString"]
        if not lines:
            raise FormatError(f"{path.name}: {home} and {host} share no stretch of boundary.")
        line = np.asarray(max(lines, key=lambda part: part.length).coords)
        ring = shapely.LinearRing(rings[1])
        # A ring runs counter-clockwise: its country is on the left when one goes its way.
        if ring.project(shapely.Point(line[0])) > ring.project(shapely.Point(line[1])):
            line = line[::-1]
        return cls(home, host, line[:, 0], line[:, 1], rings[0], rings[1], line_std_m)

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
        lat, lon = _angles(lat_deg, lon_deg)
        if not len(self.home_ring_deg):
            distance = self._nearest(lat, lon)[:, 0]
            return np.where(np.isnan(distance), NEITHER, distance >= 0.0).astype(np.int8)
        out = np.full(len(lat), NEITHER, dtype=np.int8)
        inside = np.empty(len(lat), dtype=np.bool_)
        for code, ring in ((HOST, self.host_ring_deg), (HOME, self.home_ring_deg)):
            kernels.inside_rows(lon, lat, np.radians(ring), inside)
            out[inside] = code
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
            Distance to the nearest segment, segments straight in longitude and latitude (RFC 7946). [m]

        Raises
        ------
        InputError
            If shapes differ or an angle is out of range.
        """
        return self._nearest(*_angles(lat_deg, lon_deg))[:, 0]

    def crossings(self, track: Track, *, belief: float = BELIEF) -> Crossings:
        """Find when a track crossed the border.

        A side counts as known where its probability, from the track's covariance across the line and the line's own
        uncertainty, reaches `belief`. A crossing is a change from one known side to the other: noise beside the line
        makes none, and one true crossing makes one.

        Parameters
        ----------
        track : Track
            One track.
        belief : float, optional
            Probability at which a side counts as known.

        Returns
        -------
        Crossings
            With time, its standard deviation, and the probability that the track has changed sides.

        Raises
        ------
        InputError
            If `belief` is not in (0.5, 1).
        """
        if not 0.5 < belief < 1.0:
            raise InputError(f"belief must lie in (0.5, 1); got {belief}.")
        from scipy.special import ndtr, ndtri

        # Of several rows at one moment the last has seen every measurement of it.
        last = np.append(np.diff(track.time_us) > 0, True) if len(track) else np.zeros(0, dtype=bool)
        rows = track.take(last)
        lat_deg, lon_deg = rows.lat_deg, rows.lon_deg
        found = self._nearest(np.radians(lat_deg), np.radians(lon_deg))
        distance, normal = np.ascontiguousarray(found[:, 0]), found[:, 1:]
        rate = np.einsum("ni,ni->n", normal, rows.vel_enu_mps[:, :2])
        variance = np.einsum("ni,nij,nj->n", normal, rows.pos_cov_enu_m2[:, :2, :2], normal)
        sigma = np.sqrt(variance + self.line_std_m**2)
        n = len(rows)
        row, settled = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        part, spread_s, strength = np.empty(n), np.empty(n), np.empty(n)
        leaving, entering = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        count = kernels.crossings_rows(
            rows.time_us,
            distance,
            rate,
            sigma,
            float(ndtri(belief)),
            row,
            part,
            spread_s,
            leaving,
            entering,
            settled,
            strength,
        )
        at, part, spread_s = row[:count], part[:count], spread_s[:count]
        after = at + 1
        step_us = rows.time_us[after] - rows.time_us[at]
        time_us = rows.time_us[at] + np.rint(part * step_us).astype(np.int64)
        pace = np.abs(rate[at] * (1.0 - part) + rate[after] * part)
        mean_pace = np.abs(distance[after] - distance[at]) / np.maximum(step_us * 1e-6, 1e-6)
        across = np.maximum(sigma[at], sigma[after]) / np.maximum(np.maximum(pace, 0.5 * mean_pace), 0.1)
        where = rows.at(time_us)
        codes = {-1: self.home, 1: self.host}
        return Crossings(
            time_us=time_us,
            # Several sign changes: it happened somewhere between the first and the last of them.
            time_std_s=np.sqrt(across**2 + spread_s**2 / 12.0),
            track_id=np.full(count, track.track_id, dtype=np.int64),
            leaving=tuple(codes[int(side)] for side in leaving[:count]),
            entering=tuple(codes[int(side)] for side in entering[:count]),
            lat_deg=where.lat_deg,
            lon_deg=where.lon_deg,
            probability=np.minimum(ndtr(strength[:count]), 1.0 - 1e-9),
        )

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return the line as a table with geometry and its attribution.

        Returns
        -------
        geopandas.GeoDataFrame
            One row, EPSG:4326.
        """
        import geopandas
        import shapely

        line = shapely.LineString(np.column_stack([self.line_lon_deg, self.line_lat_deg]))
        columns = {
            "home": [self.home],
            "host": [self.host],
            "attribution": [self.attribution],
            "licence": [self.licence],
        }
        return geopandas.GeoDataFrame(columns, geometry=[line], crs="EPSG:4326")

    def _nearest(self, lat: Floats, lon: Floats) -> Floats:
        line = np.radians(np.column_stack([self.line_lon_deg, self.line_lat_deg]))
        out = np.empty((len(lat), 3))
        kernels.nearest_rows(lon, lat, line, _blocks(line), out)
        return out


def _angles(lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, Floats]:
    lat = column("lat_deg", lat_deg, np.float64, (None,), low=-90.0, high=90.0)
    lon = column("lon_deg", lon_deg, np.float64, (len(lat),), low=-180.0, high=180.0)
    return np.radians(lat), np.radians(lon)


def _blocks(line: Floats) -> Floats:
    """Bounding boxes of each run of segments, neighbours sharing a vertex."""
    starts = range(0, len(line) - 1, kernels.BLOCK)
    runs = [line[start : start + kernels.BLOCK + 1] for start in starts]
    boxes = [(run[:, 0].min(), run[:, 0].max(), run[:, 1].min(), run[:, 1].max()) for run in runs]
    return np.array(boxes)
