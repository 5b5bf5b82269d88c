"""What does a table of reports say? CSV and GeoParquet, with the column names people use."""

import io
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError
from dronetrack.units.reports import NO_CONTACT, SEES_TARGET
from dronetrack.units.rows import OPTIONAL, Rows

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


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


def read_csv(path: pathlib.Path, content: bytes) -> Rows:
    """Read a CSV table."""
    import pandas as pd

    try:
        table = pd.read_csv(io.BytesIO(content), dtype=str, skipinitialspace=True)
    except (ValueError, UnicodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as fault:
        raise FormatError(f"{path.name}: not a readable CSV table ({fault}).") from None
    return _from_table(path, table)


def read_parquet(path: pathlib.Path, _content: bytes) -> Rows:
    """Read a GeoParquet table."""
    import geopandas
    import pyarrow as pa

    try:
        table = geopandas.read_parquet(path)
    except (ValueError, OSError, pa.ArrowException) as fault:
        raise FormatError(f"{path.name}: not a readable GeoParquet table ({fault}).") from None
    places = table.geometry.to_crs(4326) if table.crs is not None else table.geometry
    plain = table.drop(columns=table.geometry.name).assign(lat_deg=places.y, lon_deg=places.x)
    return _from_table(path, plain)


def _from_table(path: pathlib.Path, table: "pd.DataFrame") -> Rows:
    import pandas as pd

    lower = {str(name).strip().lower(): name for name in table.columns}
    found = {ours: next((lower[name] for name in names if name in lower), None) for ours, names in _CSV_NAMES.items()}
    missing = [name for name in ("lat_deg", "lon_deg") if found[name] is None]
    if found["time"] is None and found["time_us"] is None:
        missing.insert(0, "time")
    if missing:
        raise FormatError(
            f"{path.name}: no column for {', '.join(missing)}; the table has {', '.join(lower) or 'none'}."
        )
    n = len(table)

    def numbers(name: str) -> Floats:
        where = found[name]
        known = pd.Series(np.full(n, np.nan)) if where is None else pd.to_numeric(table[where], errors="coerce")
        return np.asarray(known, dtype=np.float64)

    if found["time_us"] is not None:
        times = numbers("time_us")  # whole microseconds stay exact up to the year 2255
        known = np.abs(times) < 2.0**53
        time_us = np.where(known, times, 0.0).astype(np.int64)
    else:
        stamps = pd.to_datetime(table[found["time"]], utc=True, errors="coerce", format="ISO8601")
        known = stamps.notna().to_numpy()
        time_us = stamps.dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
    lat, lon = numbers("lat_deg"), numbers("lon_deg")
    good = known & np.isfinite(lat) & np.isfinite(lon)
    if not good.any():
        raise FormatError(f"{path.name}: none of {n} rows has a time and a position that can be read.")
    names = table[found["unit"]].fillna(path.stem).astype(str).to_numpy() if found["unit"] else np.full(n, path.stem)
    contact = np.where(numbers("contact") == SEES_TARGET, SEES_TARGET, NO_CONTACT)
    rows = Rows(
        unit=names[good].tolist(),
        time_us=time_us[good].tolist(),
        lat_deg=lat[good].tolist(),
        lon_deg=lon[good].tolist(),
        contact=contact[good].tolist(),
        **{name: numbers(name)[good].tolist() for name in OPTIONAL},
    )
    rows.stats["unreadable_rows"] = int(np.sum(~good))
    return rows
