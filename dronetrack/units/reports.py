"""What did the ground units say of themselves and of the target? `UnitReports`: columns, one unit, tables."""

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.columns import column, same_length
from dronetrack.errors import InputError
from dronetrack.telemetry import Telemetry

if TYPE_CHECKING:
    import geopandas

NO_CONTACT = 0
SEES_TARGET = 1
COURSE_MEANS_NOTHING_MPS = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
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
    stats: dict = field(default_factory=dict)

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
