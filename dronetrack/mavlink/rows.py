"""What do the readers of on-board logs share? Order, interpolation within gaps, heights, quaternions from angles."""

import numpy as np
from numpy.typing import NDArray

from dronetrack.telemetry import Position

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

FIX_3D = 3
MOST_ACCURACY_M = 600.0  # what a receiver says beyond this is that it does not know


def in_order(time_us: Times, good: NDArray[np.bool_]) -> tuple[Times, NDArray[np.int64]]:
    """Return the times of good rows in order, and their row numbers."""
    rows = np.flatnonzero(good)
    keep = rows[np.argsort(time_us[rows], kind="stable")]
    return time_us[keep], keep


def at_times(wanted_us: Times, time_us: Times, values: Floats, gap_s: float) -> Floats:
    """Interpolate the columns of `values` (n, k) linearly; NaN outside them and in longer gaps."""
    out = np.full((len(wanted_us), values.shape[1]), np.nan)
    if len(time_us) < 2:
        return out
    after = np.clip(np.searchsorted(time_us, wanted_us), 1, len(time_us) - 1)
    step = time_us[after] - time_us[after - 1]
    since = wanted_us - time_us[after - 1]
    inside = (since >= 0) & (since <= step) & (step <= gap_s * 1e6) & (step > 0)
    share = (since[inside] / step[inside])[:, None]
    out[inside] = (1.0 - share) * values[after[inside] - 1] + share * values[after[inside]]
    return out


def latest(wanted_us: Times, time_us: Times, values: Floats) -> Floats:
    """Return the value at or before each time; NaN before the first."""
    rows = np.searchsorted(time_us, wanted_us, side="right") - 1
    return np.where(rows >= 0, np.append(values, np.nan)[rows], np.nan)


def placed(lat_deg: Floats, lon_deg: Floats, alt_m: Floats) -> NDArray[np.bool_]:
    """Whether each row is a place: not (0, 0), which says 'none yet', and within the globe."""
    somewhere = (lat_deg != 0.0) | (lon_deg != 0.0)
    return somewhere & (np.abs(lat_deg) <= 90.0) & (np.abs(lon_deg) <= 180.0) & (np.abs(alt_m) < 1e6)


def accuracy(values: Floats) -> Floats:
    """Keep standard deviations that say something."""
    with np.errstate(invalid="ignore"):
        return np.where((values > 0.0) & (values < MOST_ACCURACY_M), values, np.nan)


def no_positions() -> Position:
    """Return an empty table."""
    none = np.zeros(0)
    return Position(np.zeros(0, dtype=np.int64), none, none, none, np.zeros((0, 3)), none, none)


def quaternions(roll_rad: Floats, pitch_rad: Floats, yaw_rad: Floats) -> Floats:
    """Quaternion w x y z of the rotation Rz(yaw) Ry(pitch) Rx(roll)."""
    cr, sr = np.cos(0.5 * roll_rad), np.sin(0.5 * roll_rad)
    cp, sp = np.cos(0.5 * pitch_rad), np.sin(0.5 * pitch_rad)
    cy, sy = np.cos(0.5 * yaw_rad), np.sin(0.5 * yaw_rad)
    return np.column_stack(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
    )
