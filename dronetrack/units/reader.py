"""Which file is it, and which of its rows can be used? Files of every format become `UnitReports`."""

import pathlib
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import FormatError
from dronetrack.mavlink import read_telemetry
from dronetrack.units.cot import read_cot
from dronetrack.units.gpx import read_gpx
from dronetrack.units.nmea import read_nmea
from dronetrack.units.reports import COURSE_MEANS_NOTHING_MPS, UnitReports, from_telemetry
from dronetrack.units.rows import OPTIONAL, Rows, say_counts
from dronetrack.units.table import read_csv, read_parquet

BASELINE_S = 2.0

Format = Literal["gpx", "nmea", "cot", "csv", "parquet"]
Floats = NDArray[np.float64]

_READERS: dict[str, Callable[[pathlib.Path, bytes], Rows]] = {
    "gpx": read_gpx,
    "nmea": read_nmea,
    "cot": read_cot,
    "csv": read_csv,
    "parquet": read_parquet,
}


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


def _finish(path: pathlib.Path, rows: Rows, unit: str | None) -> UnitReports:
    """Drop and count what cannot be used, order it, choose the unit, derive motion."""
    time_us = np.array(rows.time_us, dtype=np.int64)
    values = {name: np.array(getattr(rows, name), dtype=np.float64) for name in ("lat_deg", "lon_deg", *OPTIONAL)}
    unit_of = np.array(rows.unit, dtype=object)
    placed = (np.abs(values["lat_deg"]) <= 90.0) & (np.abs(values["lon_deg"]) <= 180.0)
    stats: dict = {**rows.stats, "rows": len(time_us), "outside_earth": int(np.sum(~placed))}
    keep = np.flatnonzero(placed)
    if not len(keep):
        raise FormatError(f"{path.name}: no usable report in it ({say_counts(stats)}).")
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
