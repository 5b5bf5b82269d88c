"""Where do we believe the target was? Tracks: columns, views, value at any time, tables and files."""

import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column, same_length
from dronetrack.errors import InputError
from dronetrack.measurements import Measurements
from dronetrack.motion import Mixture, Motion

if TYPE_CHECKING:
    import geopandas
    import pyarrow as pa

CONFIRMED = 1
COASTING = 2
STATUS_NAMES = ("", "confirmed", "coasting")

CHI2_95_2D = 5.991464547107979  # 95 % quantile of chi-square with 2 degrees of freedom, -2 ln 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """What a track was made of, so that `dronetrack.smooth` can go over it again.

    Parameters
    ----------
    measurements : Measurements
        The table.
    verdict : (m,) int8
        What became of each measurement, in the codes of `dronetrack.filtering.COUNTED`.
    motion : Motion or Mixture
        How the target was taken to move.
    weight : (n, k) float64
        Probability of each of k motion models in each row of the track.
    noise_factor : (s,) float64
        How much noisier each sensor proved than it was said to be, in variance.
    """

    measurements: Measurements
    verdict: NDArray[np.int8]
    motion: Motion | Mixture
    weight: NDArray[np.float64]
    noise_factor: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One track: what we believe about one target, n rows in time order.

    Parameters
    ----------
    time_us : (n,) int64
        Times. [us, UTC]
    track_id : int
        The track's identity; it stays the same for the whole track.
    status : (n,) int8
        `CONFIRMED` where a measurement supports the row, `COASTING` where it is a prediction alone.
    state : (n, 6) float64
        ECEF position [m] and velocity [m/s].
    cov : (n, 6, 6) float64
        Covariance of `state`.
    nis : (n,) float64
        Normalised innovation squared of the row's measurement; NaN while coasting.
    n_sensors : (n,) int16
        How many different sensors supported the track within the last second.
    stats : dict
        Counts and estimates of the filter that made it.
    origin : Origin or None
        What the whole track was made of; None for a part of a track, or one that comes from elsewhere.

    Raises
    ------
    InputError
        If shapes, types or order are wrong.
    """

    time_us: NDArray[np.int64]
    track_id: int
    status: NDArray[np.int8]
    state: NDArray[np.float64]
    cov: NDArray[np.float64]
    nis: NDArray[np.float64]
    n_sensors: NDArray[np.int16]
    stats: dict = field(default_factory=dict)
    origin: Origin | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "time_us", column("time_us", self.time_us, np.int64, (None,)))
        put(self, "status", column("status", self.status, np.int8, (None,), low=0, high=COASTING))
        put(self, "state", column("state", self.state, np.float64, (None, 6), nan=False))
        put(self, "cov", column("cov", self.cov, np.float64, (None, 6, 6), nan=False))
        put(self, "nis", column("nis", self.nis, np.float64, (None,), low=0.0))
        put(self, "n_sensors", column("n_sensors", self.n_sensors, np.int16, (None,), low=0))
        names = ("time_us", "status", "state", "cov", "nis", "n_sensors")
        same_length("Track", {name: getattr(self, name) for name in names})
        if np.any(np.diff(self.time_us) < 0):
            raise InputError("a Track must be in time order.")

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def time(self) -> NDArray[np.datetime64]:
        """(n,) datetime64[us]: the times, UTC."""
        return self.time_us.view("datetime64[us]")

    @property
    def lat_deg(self) -> NDArray[np.float64]:
        """(n,) float64: WGS 84 latitude. [deg]"""
        return self._geodetic()[0]

    @property
    def lon_deg(self) -> NDArray[np.float64]:
        """(n,) float64: WGS 84 longitude. [deg]"""
        return self._geodetic()[1]

    @property
    def alt_hae_m(self) -> NDArray[np.float64]:
        """(n,) float64: height above the ellipsoid. [m]"""
        return self._geodetic()[2]

    @property
    def vel_enu_mps(self) -> NDArray[np.float64]:
        """(n, 3) float64: velocity east, north, up. [m/s]"""
        return np.einsum("nij,nj->ni", self._rotation(), self.state[:, 3:])

    @property
    def speed_mps(self) -> NDArray[np.float64]:
        """(n,) float64: speed over ground. [m/s]"""
        east_north = self.vel_enu_mps[:, :2]
        return np.hypot(east_north[:, 0], east_north[:, 1])

    @property
    def course_deg(self) -> NDArray[np.float64]:
        """(n,) float64: course over ground, clockwise from north, in [0, 360). [deg]"""
        east_north = self.vel_enu_mps[:, :2]
        return np.degrees(np.arctan2(east_north[:, 0], east_north[:, 1])) % 360.0

    @property
    def pos_cov_enu_m2(self) -> NDArray[np.float64]:
        """(n, 3, 3) float64: covariance of the position, east/north/up. [m2]"""
        turn = self._rotation()
        return turn @ self.cov[:, :3, :3] @ turn.transpose(0, 2, 1)

    @property
    def ellipse_m(self) -> NDArray[np.float64]:
        """(n, 3) float64: 95 % horizontal ellipse: semi-major [m], semi-minor [m], bearing of the major axis [deg]."""
        values, vectors = np.linalg.eigh(self.pos_cov_enu_m2[:, :2, :2])
        axes = np.sqrt(np.maximum(values, 0.0) * CHI2_95_2D)
        bearing = np.degrees(np.arctan2(vectors[:, 0, 1], vectors[:, 1, 1])) % 180.0
        return np.column_stack([axes[:, 1], axes[:, 0], bearing])

    def at(self, time_us: ArrayLike) -> Self:
        """Return the belief at other times: cubic in position between rows, covariance between the nearest rows.

        Parameters
        ----------
        time_us : (m,) int64
            Times in increasing order. [us, UTC]

        Returns
        -------
        Track
            m rows. A time outside the track is an error, not a guess.

        Raises
        ------
        InputError
            If a time lies outside the track, or the track is empty.
        """
        wanted = column("time_us", time_us, np.int64, (None,))
        if wanted.size and (not len(self) or wanted.min() < self.time_us[0] or wanted.max() > self.time_us[-1]):
            raise InputError("a time lies outside the track; ask for times between its first and last row.")
        # The last row of equal times is the one that has seen all measurements of that moment.
        left = np.clip(np.searchsorted(self.time_us, wanted, side="right") - 1, 0, max(len(self) - 1, 0))
        right = np.minimum(left + 1, max(len(self) - 1, 0))
        step_s = np.asarray((self.time_us[right] - self.time_us[left]) * 1e-6, dtype=np.float64)
        part = np.divide((wanted - self.time_us[left]) * 1e-6, step_s, out=np.zeros(len(wanted)), where=step_s > 0)
        state = _hermite(self.state[left], self.state[right], part[:, None], step_s[:, None])
        cov = self.cov[left] * (1.0 - part)[:, None, None] + self.cov[right] * part[:, None, None]
        near = np.where(part < 0.5, left, right)
        return replace(
            self,
            time_us=wanted,
            status=self.status[near],
            state=state,
            cov=cov,
            nis=self.nis[near],
            n_sensors=self.n_sensors[near],
            origin=None,
        )

    def take(self, rows: ArrayLike) -> Self:
        """Return some rows, given as a mask, increasing indices or a slice.

        Parameters
        ----------
        rows : array_like or slice
            Which rows.

        Returns
        -------
        Track
            Those rows.
        """
        names = ("time_us", "status", "state", "cov", "nis", "n_sensors")
        return replace(self, **{name: getattr(self, name)[rows] for name in names}, origin=None)

    def to_geodataframe(self, *, custody: Sequence[str] | None = None) -> "geopandas.GeoDataFrame":
        """Return the track as a table with geometry, in the columns of the mission output.

        Parameters
        ----------
        custody : sequence of str, optional
            Which authority held the target in each row; becomes a column.

        Returns
        -------
        geopandas.GeoDataFrame
            EPSG:4326 points; `time` (UTC), `track_id`, `lat_deg`, `lon_deg`, `alt_hae_m`, `speed_mps`, `course_deg`,
            `var_e_m2`, `var_n_m2`, `cov_en_m2`, `status`.
        """
        import geopandas
        import pandas as pd

        columns = self._columns(custody)
        points = geopandas.points_from_xy(columns["lon_deg"], columns["lat_deg"])
        table = pd.DataFrame({**columns, "time": pd.DatetimeIndex(self.time, tz="UTC")})
        return geopandas.GeoDataFrame(table, geometry=points, crs="EPSG:4326")

    def to_file(self, path: str | pathlib.Path, *, custody: Sequence[str] | None = None) -> pathlib.Path:
        """Write the track: `.parquet` (GeoParquet), `.geojson`, or `.csv`.

        Parameters
        ----------
        path : str or Path
            Where to; the suffix says what.
        custody : sequence of str, optional
            Which authority held the target in each row; becomes a column.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            If the suffix is none of these.
        """
        path = pathlib.Path(path)
        if path.suffix == ".parquet":
            self._write_parquet(path, self._columns(custody))
        elif path.suffix == ".geojson":
            path.write_text(self._geojson(self._columns(custody)), encoding="utf-8")
        elif path.suffix == ".csv":
            self.to_geodataframe(custody=custody).drop(columns="geometry").to_csv(path, index=False)
        else:
            raise InputError(f"{path.name}: a track goes to .parquet, .geojson or .csv; choose one of these.")
        return path

    def _columns(self, custody: Sequence[str] | None) -> dict[str, NDArray]:
        """Columns of the mission output, in its order."""
        lat_deg, lon_deg, alt_hae_m = self._geodetic()
        cov = self.pos_cov_enu_m2
        return {
            "time": self.time,
            "track_id": np.full(len(self), self.track_id, dtype=np.int64),
            "lat_deg": lat_deg,
            "lon_deg": lon_deg,
            "alt_hae_m": alt_hae_m,
            "speed_mps": self.speed_mps,
            "course_deg": self.course_deg,
            "var_e_m2": cov[:, 0, 0],
            "var_n_m2": cov[:, 1, 1],
            "cov_en_m2": cov[:, 0, 1],
            "status": np.array(STATUS_NAMES, dtype=object)[self.status],
            **({} if custody is None else {"custody": np.array(custody, dtype=object)}),
        }

    def _write_parquet(self, path: pathlib.Path, columns: dict[str, NDArray]) -> None:
        """GeoParquet 1.1 through pyarrow alone: importing geopandas would take longer than the whole fusion."""
        import json

        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = {
            name: _arrow(values)
            if values.dtype.kind in "fi"
            else _arrow_bytes([text.encode() for text in values.tolist()], pa.string())
            for name, values in columns.items()
            if name != "time"
        }
        arrays = {"time": _arrow(self.time_us, pa.timestamp("us", tz="UTC")), **arrays}
        arrays["geometry"] = _arrow_bytes(_wkb_points(columns["lon_deg"], columns["lat_deg"]), pa.binary())
        geometry = {"encoding": "WKB", "geometry_types": ["Point"]}
        about = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
        table = pa.table(arrays).replace_schema_metadata({"geo": json.dumps(about)})
        pq.write_table(table, path)

    def _geojson(self, columns: dict[str, NDArray]) -> str:
        """RFC 7946: positions to 1e-7 deg (1 cm), one point feature per row with the columns of the table."""
        import json

        points = np.round(np.column_stack([columns.pop("lon_deg"), columns.pop("lat_deg")]), 7)
        heights = np.round(columns["alt_hae_m"], 2)
        columns["time"] = np.char.add(np.datetime_as_string(self.time, unit="us"), "Z")
        lists = {name: _rounded(values) for name, values in columns.items()}
        features = [
            {
                "type": "Feature",
                "properties": dict(zip(lists, row, strict=True)),
                "geometry": {"type": "Point", "coordinates": [*point, height]},
            }
            for *row, point, height in zip(*lists.values(), points.tolist(), heights.tolist(), strict=True)
        ]
        return json.dumps({"type": "FeatureCollection", "features": features})

    def _geodetic(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return geodesy.ecef_to_geodetic(self.state[:, :3])

    def _rotation(self) -> NDArray[np.float64]:
        lat_deg, lon_deg, _ = self._geodetic()
        return geodesy.enu_rotation(lat_deg, lon_deg)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Many tracks: flat columns and `offsets`; `tracks[i]` is a view, not a copy.

    Parameters
    ----------
    time_us, status, state, cov, nis, n_sensors : ndarray
        The rows of all tracks one after another, as in `Track`.
    track_id : (k,) int64
        Identity of each track.
    offsets : (k + 1,) int64
        Track i holds the rows ``offsets[i]:offsets[i + 1]``.
    """

    time_us: NDArray[np.int64]
    status: NDArray[np.int8]
    state: NDArray[np.float64]
    cov: NDArray[np.float64]
    nis: NDArray[np.float64]
    n_sensors: NDArray[np.int16]
    track_id: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.track_id)

    def __getitem__(self, index: int) -> Track:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} tracks; got index {index}")
        index %= len(self)
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return Track(
            self.time_us[rows],
            int(self.track_id[index]),
            self.status[rows],
            self.state[rows],
            self.cov[rows],
            self.nis[rows],
            self.n_sensors[rows],
        )

    def __iter__(self) -> Iterator[Track]:
        return (self[index] for index in range(len(self)))


def _wkb_points(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[bytes]:
    """Well-known binary of n points, little-endian."""
    rows = np.empty(len(x), dtype=[("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])
    rows["order"], rows["kind"], rows["x"], rows["y"] = 1, 1, x, y
    return rows.view(f"V{rows.itemsize}").tolist()


def _arrow(values: NDArray, kind: "pa.DataType | None" = None) -> "pa.Array":
    """Lay a column on numpy's own memory; `pyarrow.array` would first import pandas to ask whether it is a series."""
    import pyarrow as pa

    plain = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind or pa.from_numpy_dtype(plain.dtype), len(plain), [None, pa.py_buffer(plain)])


def _arrow_bytes(values: list[bytes], kind: "pa.DataType") -> "pa.Array":
    """Lay out a column of byte strings or text, likewise without pandas."""
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


def _rounded(values: NDArray) -> list:
    """Return a column as JSON values, fractions to four places."""
    return (np.round(values, 4) if values.dtype.kind == "f" else values).tolist()


def _hermite(
    left: NDArray[np.float64], right: NDArray[np.float64], part: NDArray[np.float64], step_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cubic Hermite position and its derivative from two (m, 6) states; `part` in [0, 1] of a step."""
    p0, v0, p1, v1 = left[:, :3], left[:, 3:], right[:, :3], right[:, 3:]
    s, s2, s3 = part, part**2, part**3
    gap = p1 - p0
    position = p0 + gap * (3 * s2 - 2 * s3) + step_s * (v0 * (s3 - 2 * s2 + s) + v1 * (s3 - s2))
    slope = np.divide(gap, step_s, out=v0.copy(), where=step_s > 0)
    velocity = slope * (6 * s - 6 * s2) + v0 * (3 * s2 - 4 * s + 1) + v1 * (3 * s2 - 2 * s)
    return np.hstack([position, np.where(step_s > 0, velocity, v0)])
