"""What did the ground units report? GPX, NMEA 0183, Cursor-on-Target, CSV and GeoParquet become `UnitReports`."""

import io
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal, Self
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.columns import column, same_length
from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink import read_telemetry
from dronetrack.telemetry import Telemetry

if TYPE_CHECKING:
    import geopandas
    import pandas as pd

NO_CONTACT = 0
SEES_TARGET = 1

# User-equivalent range error of a single-frequency civil receiver under open sky, 1 sigma (GPS SPS Performance
# Standard, 5th ed. 2020, table B.2-1, rounded up for a moving car). HDOP times this is the distance root mean square
# of both axes together, so one axis has 1 / sqrt(2) of it.
UERE_M = 3.0
HDOP_TO_STD_M = UERE_M / 2.0**0.5
COT_UNKNOWN = 9_999_999.0
GST_HOLDS_US = 5_000_000
KNOT_MPS = 1852.0 / 3600.0
COURSE_MEANS_NOTHING_MPS = 1.0
BASELINE_S = 2.0
DAY_US = 86_400_000_000

Format = Literal["gpx", "nmea", "cot", "csv", "parquet"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UnitReports:
    """Reports of ground units, n rows in time order.

    Parameters
    ----------
    time_us : (n,) int64
        [us, UTC]
    unit_id : (n,) int32
        Index into `names`.
    lat_deg, lon_deg : (n,) float64
        WGS 84. [deg]
    alt_hae_m : (n,) float64
        Height above the ellipsoid; NaN unknown. [m]
    h_acc_m : (n,) float64
        Horizontal standard deviation per axis; NaN unknown. [m]
    speed_mps, course_deg : (n,) float64
        Over ground; NaN unknown. [m/s], [deg]
    contact : (n,) int8
        `NO_CONTACT`, or `SEES_TARGET` where the unit says that it follows the target.
    contact_range_m, contact_bearing_deg : (n,) float64
        Where the unit saw it; NaN unknown. [m], [deg]
    names : tuple of str
        The units.
    stats : dict
        What was counted while reading.

    Raises
    ------
    InputError
        If shapes, types, order or ranges are wrong.
    """

    time_us: NDArray[np.int64]
    unit_id: NDArray[np.int32]
    lat_deg: Floats
    lon_deg: Floats
    alt_hae_m: Floats
    h_acc_m: Floats
    speed_mps: Floats
    course_deg: Floats
    contact: NDArray[np.int8]
    contact_range_m: Floats
    contact_bearing_deg: Floats
    names: tuple[str, ...]
    stats: dict = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        limits = {"lat_deg": (-90.0, 90.0), "lon_deg": (-180.0, 180.0)}
        kinds = {"time_us": np.int64, "unit_id": np.int32, "contact": np.int8}
        for name in ROW_COLUMNS:
            low, high = limits.get(name, (-np.inf, np.inf))
            values = getattr(self, name)
            kind = kinds.get(name, np.float64)
            put(self, name, column(name, values, kind, (None,), low=low, high=high, nan=name not in limits))
        put(self, "names", tuple(self.names))
        same_length("UnitReports", {name: getattr(self, name) for name in ROW_COLUMNS})
        if len(self) and (self.unit_id.min() < 0 or self.unit_id.max() >= len(self.names)):
            raise InputError(f"unit_id must index the {len(self.names)} names.")
        if np.any(np.diff(self.time_us) < 0):
            raise InputError("UnitReports must be in time order.")

    def __len__(self) -> int:
        return len(self.time_us)

    def of(self, name: str) -> Self:
        """Return the reports of one unit.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        UnitReports
            Its rows only.

        Raises
        ------
        InputError
            If there is no such unit.
        """
        if name not in self.names:
            raise InputError(f"no unit {name!r}; there are {list(self.names)}.")
        mine = self.unit_id == self.names.index(name)
        rows = {one: getattr(self, one)[mine] for one in ROW_COLUMNS}
        return replace(self, **(rows | {"unit_id": np.zeros(int(mine.sum()), dtype=np.int32)}), names=(name,))

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return the reports as a table with geometry.

        Returns
        -------
        geopandas.GeoDataFrame
            EPSG:4326 points with `time` (UTC), `unit` and the columns of this batch.
        """
        import geopandas
        import pandas as pd

        table = pd.DataFrame({name: getattr(self, name) for name in ROW_COLUMNS if name not in ("time_us", "unit_id")})
        table.insert(0, "time", pd.DatetimeIndex(self.time_us.view("datetime64[us]"), tz="UTC"))
        table.insert(1, "unit", np.array(self.names, dtype=object)[self.unit_id])
        return geopandas.GeoDataFrame(
            table, geometry=geopandas.points_from_xy(self.lon_deg, self.lat_deg), crs="EPSG:4326"
        )


ROW_COLUMNS = tuple(one.name for one in fields(UnitReports)[:11])


def read_units(
    path: str | pathlib.Path,
    *,
    unit: str | None = None,
    format: Format | None = None,
    system_id: int | None = None,
) -> UnitReports:
    """Read what ground units reported.

    Parameters
    ----------
    path : str or Path
        `.gpx`; NMEA 0183 (`.nmea`, `.log`, `.txt`); Cursor-on-Target `.xml`; `.csv`; GeoParquet (`.parquet`); or the
        `.tlog` of a ground vehicle with an autopilot.
    unit : str, optional
        In a file of one unit its name; in a file of several, which one to take.
    format : {"gpx", "nmea", "cot", "csv", "parquet"}, optional
        Where the file's name and content do not say it.
    system_id : int, optional
        Which vehicle of a `.tlog`.

    Returns
    -------
    UnitReports
        In time order, one row per unit and time. Rows that cannot be used are dropped and counted in `stats`.
        Missing speed and course are derived from positions at least two seconds apart.

    Raises
    ------
    FormatError
        If the file is missing, empty, or not what it says it is.
    InputError
        If the wanted unit is not in it.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() == ".tlog":
        return from_telemetry(read_telemetry(path, system_id), name=unit or path.stem)
    if not path.exists():
        raise FormatError(f"{path}: no such file.")
    if not path.is_file():
        raise FormatError(f"{path}: a folder or device, needed a file of unit reports.")
    content = path.read_bytes()
    if not content.strip():
        raise FormatError(f"{path.name}: the file is empty; needed unit reports.")
    rows = _READERS[format or _format_of(path, content)](path, content)
    return _finish(path, rows, unit)


def from_telemetry(telemetry: Telemetry, *, name: str = "") -> UnitReports:
    """Take a ground vehicle's own position reports as those of a unit.

    Parameters
    ----------
    telemetry : Telemetry
        The vehicle.
    name : str, optional
        What to call it.

    Returns
    -------
    UnitReports
        One row per position.
    """
    rows = telemetry.position
    n = len(rows)
    north, east = rows.vel_ned_mps[:, 0], rows.vel_ned_mps[:, 1]
    speed = np.hypot(north, east)
    course = np.where(speed >= COURSE_MEANS_NOTHING_MPS, np.degrees(np.arctan2(east, north)) % 360.0, np.nan)
    unknown = np.full(n, np.nan)
    return UnitReports(
        rows.time_us,
        np.zeros(n, dtype=np.int32),
        rows.lat_deg,
        rows.lon_deg,
        rows.alt_hae_m,
        rows.h_acc_m,
        speed,
        course,
        np.full(n, NO_CONTACT, dtype=np.int8),
        unknown,
        unknown,
        (name or telemetry.name or f"vehicle {telemetry.system_id}",),
        dict(telemetry.stats),
    )


def _format_of(path: pathlib.Path, content: bytes) -> Format:
    start = content[:2000].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"<"):
        return "gpx" if b"<gpx" in content[:4000] or path.suffix.lower() == ".gpx" else "cot"
    if path.suffix.lower() == ".gpx":
        return "gpx"
    if path.suffix.lower() == ".xml":
        return "cot"
    if path.suffix.lower() == ".csv":
        return "csv"
    if path.suffix.lower() in {".nmea", ".log", ".txt"} or b"$G" in content:
        return "nmea"
    raise FormatError(f"{path.name}: not GPX, NMEA 0183, Cursor-on-Target, CSV or GeoParquet; pass format= if it is.")


@dataclass
class _Rows:
    """Columns as a reader fills them: one list per column, NaN where unknown, plus the unit's name per row."""

    unit: list[str] = field(default_factory=list)
    time_us: list[int] = field(default_factory=list)
    lat_deg: list[float] = field(default_factory=list)
    lon_deg: list[float] = field(default_factory=list)
    alt_hae_m: list[float] = field(default_factory=list)
    alt_msl_m: list[float] = field(default_factory=list)
    h_acc_m: list[float] = field(default_factory=list)
    speed_mps: list[float] = field(default_factory=list)
    course_deg: list[float] = field(default_factory=list)
    contact: list[int] = field(default_factory=list)
    contact_range_m: list[float] = field(default_factory=list)
    contact_bearing_deg: list[float] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)

    def add(self, unit: str, time_us: int, lat_deg: float, lon_deg: float, **known: float) -> None:
        self.unit.append(unit)
        self.time_us.append(time_us)
        self.lat_deg.append(lat_deg)
        self.lon_deg.append(lon_deg)
        self.contact.append(int(known.get("contact", NO_CONTACT)))
        for name in _OPTIONAL:
            getattr(self, name).append(known.get(name, np.nan))

    def count(self, what: str) -> None:
        self.stats[what] = self.stats.get(what, 0) + 1


_OPTIONAL = (
    "alt_hae_m",
    "alt_msl_m",
    "h_acc_m",
    "speed_mps",
    "course_deg",
    "contact_range_m",
    "contact_bearing_deg",
)


def _finish(path: pathlib.Path, rows: _Rows, unit: str | None) -> UnitReports:
    """Drop and count what cannot be used, order it, choose the unit, derive motion."""
    time_us = np.array(rows.time_us, dtype=np.int64)
    values = {name: np.array(getattr(rows, name), dtype=np.float64) for name in ("lat_deg", "lon_deg", *_OPTIONAL)}
    unit_of = np.array(rows.unit, dtype=object)
    placed = (np.abs(values["lat_deg"]) <= 90.0) & (np.abs(values["lon_deg"]) <= 180.0)
    stats: dict = {**rows.stats, "rows": len(time_us), "outside_earth": int(np.sum(~placed))}
    keep = np.flatnonzero(placed)
    if not len(keep):
        raise FormatError(f"{path.name}: no usable report in it ({_say(stats)}).")
    stats["out_of_order"] = int(np.sum(np.diff(time_us[keep]) < 0))
    names, unit_id = np.unique(unit_of[keep].astype(str), return_inverse=True)
    order = np.lexsort((unit_id, time_us[keep]))
    keep, unit_id = keep[order], unit_id[order]
    both = np.column_stack([time_us[keep], unit_id])
    repeated = np.concatenate([[False], np.all(both[1:] == both[:-1], axis=1)])
    stats["repeated"] = int(repeated.sum())
    keep, unit_id = keep[~repeated], unit_id[~repeated].astype(np.int32)
    chosen = {name: column[keep] for name, column in values.items()}
    from_msl = geodesy.msl_to_hae(chosen["lat_deg"], chosen["lon_deg"], chosen.pop("alt_msl_m"))
    chosen["alt_hae_m"] = np.where(np.isfinite(chosen["alt_hae_m"]), chosen["alt_hae_m"], from_msl)
    contact = np.array(rows.contact, dtype=np.int8)[keep]
    chosen["speed_mps"], chosen["course_deg"] = _with_motion(time_us[keep], unit_id, chosen)
    named = tuple(str(name) for name in names)
    if unit is not None and len(named) == 1:
        named = (unit,)
    reports = UnitReports(time_us[keep], unit_id, contact=contact, names=named, stats=stats, **chosen)
    return reports if unit is None else reports.of(unit)


def _with_motion(
    time_us: NDArray[np.int64], unit_id: NDArray[np.int32], values: dict[str, Floats]
) -> tuple[Floats, Floats]:
    """Fill unknown speed and course from positions; a slow unit's course is noise and stays unknown."""
    speed, course = values["speed_mps"].copy(), values["course_deg"].copy()
    place = geodesy.geodetic_to_ecef(values["lat_deg"], values["lon_deg"], np.zeros(len(time_us)))
    for unit in np.unique(unit_id):
        mine = np.flatnonzero(unit_id == unit)
        t = time_us[mine]
        half = int(BASELINE_S * 0.5e6)
        first = np.clip(np.searchsorted(t, t - half, side="right") - 1, 0, len(t) - 1)
        last = np.clip(np.searchsorted(t, t + half, side="left"), 0, len(t) - 1)
        span_s = (t[last] - t[first]) * 1e-6
        shift = geodesy.ecef_vectors_to_enu(
            place[mine[last]] - place[mine[first]], values["lat_deg"][mine], values["lon_deg"][mine]
        )
        known = (span_s > 0.0) & (span_s < 30.0)
        pace = np.divide(np.hypot(shift[:, 0], shift[:, 1]), span_s, out=np.full(len(t), np.nan), where=known)
        heading = np.degrees(np.arctan2(shift[:, 0], shift[:, 1])) % 360.0
        speed[mine] = np.where(np.isfinite(speed[mine]), speed[mine], pace)
        course[mine] = np.where(np.isfinite(course[mine]), course[mine], heading)
    course[~(speed >= COURSE_MEANS_NOTHING_MPS)] = np.nan
    return speed, course


def _read_gpx(path: pathlib.Path, content: bytes) -> _Rows:
    import gpxpy
    from gpxpy.gpx import GPXException

    _safe_xml(path, content)
    try:
        gpx = gpxpy.parse(io.BytesIO(content))
    except (GPXException, ValueError, LookupError) as fault:
        raise FormatError(f"{path.name}: not a readable GPX file ({fault}).") from None
    rows = _Rows()
    for number, track in enumerate(gpx.tracks):
        name = track.name or (path.stem if len(gpx.tracks) == 1 else f"{path.stem} {number + 1}")
        for segment in track.segments:
            for point in segment.points:
                if point.time is None:
                    rows.count("without_time")
                    continue
                rows.add(
                    name,
                    _utc_us(point.time),
                    point.latitude,
                    point.longitude,
                    alt_msl_m=_or_nan(point.elevation),
                    h_acc_m=_or_nan(point.horizontal_dilution) * HDOP_TO_STD_M,
                    speed_mps=_or_nan(point.speed),
                    course_deg=_or_nan(point.course),
                )
    if not rows.time_us:
        why = "no point has a time" if rows.stats else "no track points"
        raise FormatError(f"{path.name}: {why}; needed <trkpt> with <time>, to know when the unit was where.")
    return rows


def _read_nmea(path: pathlib.Path, content: bytes) -> _Rows:
    import pynmea2

    rows = _Rows()
    state = _NmeaFix()
    for raw in content.decode("ascii", errors="replace").splitlines():
        text = raw.strip()
        start = text.find("$")
        if start < 0:
            rows.count("other_lines" if text.startswith("!") else "not_nmea" if text else "blank_lines")
            continue
        try:
            sentence = pynmea2.parse(text[start:], check=True)
            state.take(sentence, rows, path.stem)
        except pynmea2.ChecksumError:
            rows.count("bad_checksum")
        except (pynmea2.ParseError, ValueError, TypeError, AttributeError, LookupError, OverflowError):
            rows.count("not_understood")
    state.close(rows, path.stem)
    if not rows.time_us:
        raise FormatError(
            f"{path.name}: no NMEA position with time and date ({_say(rows.stats)}); needed RMC, or RMC with GGA."
        )
    return rows


class _NmeaFix:
    """Sentences of one moment put together: RMC brings the date, GGA the height, GST the accuracy."""

    def __init__(self) -> None:
        self.clock: int | None = None  # time of day [us]
        self.midnight: int | None = None  # start of the day [us, UTC]
        self.known: dict[str, float] = {}
        self.h_acc_m = np.nan
        self.stated: int = 0  # time of day of that accuracy [us]

    def take(self, sentence: object, rows: _Rows, name: str) -> None:
        kind = getattr(sentence, "sentence_type", "")
        if kind not in ("RMC", "GGA", "GST"):
            rows.count("other_sentences")
            return
        moment = sentence.timestamp  # pyright: ignore[reportAttributeAccessIssue]
        if moment is None:
            rows.count("without_time")
            return
        clock = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
        if clock != self.clock:
            self.close(rows, name)
            if self.clock is not None and self.midnight is not None and clock < self.clock - DAY_US // 2:
                self.midnight += DAY_US
            self.clock = clock
        getattr(self, kind.lower())(sentence, rows)

    def rmc(self, sentence: object, rows: _Rows) -> None:
        if sentence.status != "A":  # pyright: ignore[reportAttributeAccessIssue]
            rows.count("void")
            return
        day = sentence.datestamp  # pyright: ignore[reportAttributeAccessIssue]
        if day is not None:
            self.midnight = int(np.datetime64(day, "us").astype(np.int64))
        self._place(sentence)
        self.known["speed_mps"] = _number(sentence.spd_over_grnd) * KNOT_MPS  # pyright: ignore
        self.known["course_deg"] = _number(sentence.true_course)  # pyright: ignore

    def gga(self, sentence: object, rows: _Rows) -> None:
        if int(sentence.gps_qual or 0) == 0:  # pyright: ignore[reportAttributeAccessIssue]
            rows.count("without_fix")
            return
        self._place(sentence)
        above_geoid = _number(sentence.altitude)  # pyright: ignore[reportAttributeAccessIssue]
        separation = _number(sentence.geo_sep)  # pyright: ignore[reportAttributeAccessIssue]
        self.known["alt_hae_m"] = above_geoid + separation
        self.known["alt_msl_m"] = above_geoid
        self.known["hdop"] = _number(sentence.horizontal_dil)  # pyright: ignore[reportAttributeAccessIssue]

    def gst(self, sentence: object, rows: _Rows) -> None:
        north, east = _number(sentence.std_dev_latitude), _number(sentence.std_dev_longitude)  # pyright: ignore
        # One figure per axis that keeps the mean square error of both.
        self.h_acc_m = float(np.sqrt(0.5 * (north * north + east * east)))
        self.stated = self.clock or 0

    def _place(self, sentence: object) -> None:
        if sentence.lat and sentence.lon:  # pyright: ignore[reportAttributeAccessIssue]
            self.known["lat_deg"] = sentence.latitude  # pyright: ignore[reportAttributeAccessIssue]
            self.known["lon_deg"] = sentence.longitude  # pyright: ignore[reportAttributeAccessIssue]

    def close(self, rows: _Rows, name: str) -> None:
        known, self.known = self.known, {}
        if self.clock is None or "lat_deg" not in known:
            return
        if self.midnight is None:
            rows.count("before_first_date")
            return
        hdop = known.pop("hdop", np.nan)
        fresh = np.isfinite(self.h_acc_m) and (self.clock - self.stated) % DAY_US <= GST_HOLDS_US
        known["h_acc_m"] = self.h_acc_m if fresh else hdop * HDOP_TO_STD_M
        rows.add(name, self.midnight + self.clock, known.pop("lat_deg"), known.pop("lon_deg"), **known)


def _read_cot(path: pathlib.Path, content: bytes) -> _Rows:
    # A server's stream is events one after another with no root; a declaration may stand at the very start only.
    body = content.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if body.startswith("<?xml"):
        body = body[body.find("?>") + 2 :]
    if "<!DOCTYPE" in body or "<!ENTITY" in body:
        _safe_xml(path, content)
    root = _safe_xml(path, f"<stream>{body}</stream>".encode())
    rows = _Rows()
    for event in root.iter("event"):
        point = event.find("point")
        time_us = _iso_us(event.get("time", ""))
        if point is None or time_us is None:
            rows.count("without_point_or_time")
            continue
        contact, motion = event.find("detail/contact"), event.find("detail/track")
        callsign = contact.get("callsign") if contact is not None else None
        hae, ce = _cot_number(point, "hae"), _cot_number(point, "ce")
        rows.add(
            callsign or event.get("uid") or path.stem,
            time_us,
            _number(point.get("lat")),
            _number(point.get("lon")),
            alt_hae_m=hae,
            h_acc_m=ce,  # the schema: where it is an error, `ce` is the one-sigma point
            speed_mps=_number(motion.get("speed")) if motion is not None else np.nan,
            course_deg=_number(motion.get("course")) if motion is not None else np.nan,
        )
    if not rows.time_us:
        raise FormatError(f"{path.name}: no Cursor-on-Target <event> with <point> and time in it.")
    return rows


# Names a table may use, our own first.
_CSV_NAMES = {
    "time": ("time", "timestamp", "datetime", "time_utc"),
    "time_us": ("time_us", "time_unix_us"),
    "lat_deg": ("lat_deg", "lat", "latitude"),
    "lon_deg": ("lon_deg", "lon", "lng", "longitude"),
    "unit": ("unit", "unit_id", "name", "callsign"),
    "alt_hae_m": ("alt_hae_m",),
    "alt_msl_m": ("alt_msl_m",),
    "h_acc_m": ("h_acc_m",),
    "speed_mps": ("speed_mps",),
    "course_deg": ("course_deg",),
    "contact": ("contact",),
    "contact_range_m": ("contact_range_m",),
    "contact_bearing_deg": ("contact_bearing_deg",),
}


def _read_csv(path: pathlib.Path, content: bytes) -> _Rows:
    import pandas as pd

    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, skipinitialspace=True)
    except (ValueError, UnicodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as fault:
        raise FormatError(f"{path.name}: not a readable CSV table ({fault}).") from None
    return _from_table(path, table)


def _read_parquet(path: pathlib.Path, content: bytes) -> _Rows:
    import geopandas
    import pyarrow

    try:
        table = geopandas.read_parquet(io.BytesIO(content))
    except (ValueError, OSError, pyarrow.ArrowException) as fault:
        raise FormatError(f"{path.name}: not a readable GeoParquet table ({fault}).") from None
    places = table.geometry.to_crs(4326) if table.crs is not None else table.geometry
    plain = table.drop(columns=table.geometry.name).assign(lat_deg=places.y, lon_deg=places.x)
    return _from_table(path, plain)


def _from_table(path: pathlib.Path, table: "pd.DataFrame") -> _Rows:
    import pandas as pd

    lower = {str(name).strip().lower(): name for name in table.columns}
    found = {ours: next((lower[name] for name in names if name in lower), None) for ours, names in _CSV_NAMES.items()}
    missing = [name for name in ("lat_deg", "lon_deg") if found[name] is None]
    if found["time"] is None and found["time_us"] is None:
        missing.insert(0, "time")
    if missing:
        raise FormatError(f"{path.name}: no column for {', '.join(missing)}; the table has {', '.join(lower) or 'none'}.")
    n = len(table)

    def numbers(name: str) -> Floats:
        where = found[name]
        return np.full(n, np.nan) if where is None else pd.to_numeric(table[where], errors="coerce").to_numpy(np.float64)

    if found["time_us"] is not None:
        times = pd.to_numeric(table[found["time_us"]], errors="coerce").astype("Int64")
        known, time_us = times.notna().to_numpy(), times.fillna(0).to_numpy(np.int64)
    else:
        stamps = pd.to_datetime(table[found["time"]], utc=True, errors="coerce", format="ISO8601")
        known = stamps.notna().to_numpy()
        time_us = stamps.dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
    lat, lon = numbers("lat_deg"), numbers("lon_deg")
    good = known & np.isfinite(lat) & np.isfinite(lon)
    if not good.any():
        raise FormatError(f"{path.name}: none of {n} rows has a time and a position that can be read.")
    names = table[found["unit"]].fillna(path.stem).astype(str).to_numpy() if found["unit"] else np.full(n, path.stem)
    contact = np.nan_to_num(numbers("contact")).astype(int)
    rows = _Rows(
        unit=names[good].tolist(),
        time_us=time_us[good].tolist(),
        lat_deg=lat[good].tolist(),
        lon_deg=lon[good].tolist(),
        contact=contact[good].tolist(),
        **{name: numbers(name)[good].tolist() for name in _OPTIONAL},
    )
    rows.stats["unreadable_rows"] = int(np.sum(~good))
    return rows


_READERS: dict[str, Callable[[pathlib.Path, bytes], _Rows]] = {
    "gpx": _read_gpx,
    "nmea": _read_nmea,
    "cot": _read_cot,
    "csv": _read_csv,
    "parquet": _read_parquet,
}


def _safe_xml(path: pathlib.Path, content: bytes) -> Element:
    """Parse XML from a stranger: entities, external references and document types are refused, not expanded."""
    import defusedxml.ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        return defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise FormatError(f"{path.name}: refused, the XML declares entities or a document type.") from None
    except (ParseError, ValueError, LookupError) as fault:
        raise FormatError(f"{path.name}: broken XML ({fault}).") from None


def _utc_us(moment: object) -> int:
    import datetime

    if moment.tzinfo is None:  # pyright: ignore[reportAttributeAccessIssue]
        moment = moment.replace(tzinfo=datetime.UTC)  # pyright: ignore[reportAttributeAccessIssue]
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(microseconds=1)  # pyright: ignore[reportOperatorIssue]


def _iso_us(text: str) -> int | None:
    import datetime

    try:
        return _utc_us(datetime.datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _number(text: object) -> float:
    try:
        value = float(text)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return np.nan
    return value if np.isfinite(value) else np.nan


def _cot_number(point: Element, name: str) -> float:
    value = _number(point.get(name))
    return np.nan if value >= COT_UNKNOWN else value


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _say(stats: dict) -> str:
    return ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in stats.items() if count) or "nothing counted"
