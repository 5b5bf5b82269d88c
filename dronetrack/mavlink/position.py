"""Where was the vehicle? Of the messages that say so, the best that it sent, with the traps of each."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.mavlink import rows as table
from dronetrack.mavlink.vehicle import Floats, Rows, Times, Vehicle
from dronetrack.telemetry import Attitude, Position

# GPS_INPUT_IGNORE_FLAGS
IGNORE_ALT, IGNORE_VEL_HORIZ, IGNORE_VEL_VERT, IGNORE_H_ACC, IGNORE_V_ACC = 1, 8, 16, 64, 128
# UTM_DATA_AVAIL_FLAGS
UTM_TIME, UTM_POSITION, UTM_ALTITUDE, UTM_VEL_HORIZ, UTM_VEL_VERT = 1, 4, 8, 32, 64
# MAV_FRAME
LOCAL_NED, BODY_FRD, BODY_NED = 1, 12, 8

HIGH_LATENCY_STEP_M = 1.0  # heights in whole metres, accuracies in tenths
NO_MORE_THAN_M = 25.4  # the largest accuracy that HIGH_LATENCY2 can state


class Fixes(NamedTuple):
    """Positions as one message gave them, in the order of the log."""

    time_us: Times
    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats
    vel_ned_mps: Floats
    h_acc_m: Floats
    v_acc_m: Floats
    good: NDArray[np.bool_]
    above_ellipsoid: bool = False

    def table(self) -> Position:
        """Good rows in order of time."""
        placed = self.good & table.placed(self.lat_deg, self.lon_deg, self.alt_m)
        time_us, keep = table.in_order(self.time_us, placed)
        lat, lon, alt = self.lat_deg[keep], self.lon_deg[keep], self.alt_m[keep]
        height = alt if self.above_ellipsoid else geodesy.msl_to_hae(lat, lon, alt)
        accuracies = (table.accuracy(one[keep]) for one in (self.h_acc_m, self.v_acc_m))
        return Position(time_us, lat, lon, height, self.vel_ned_mps[keep], *accuracies)


def position(vehicle: Vehicle) -> Position:
    """Read the positions of the first message that has any.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Position
        Rows with a fix; which message they are of, and how many had none, is counted.
    """
    found, without = Fixes(*_nothing()).table(), 0
    for name, read in SOURCES.items():
        values, rows = vehicle.columns(name)
        if not len(rows):
            continue
        found = read(vehicle, values, rows).table()
        without += len(rows) - len(found)
        if len(found):
            vehicle.stats["position_message"] = name
            break
    vehicle.stats["rows_without_fix"] = without
    return found


def _fused(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """GLOBAL_POSITION_INT: before the receiver's first fix it is a guess; the receiver states how good it is."""
    gps, gps_rows = vehicle.columns("GPS_RAW_INT")
    receive, gps_receive = vehicle.receive_us[rows], vehicle.receive_us[gps_rows]
    fixed = gps_receive[gps["fix_type"] >= table.FIX_3D]
    first_fix = fixed.min() if len(fixed) else np.iinfo(np.int64).max if len(gps) else np.iinfo(np.int64).min
    h_acc, v_acc = (table.latest(receive, gps_receive, table.accuracy(gps[one] * 1e-3)) for one in ("h_acc", "v_acc"))
    velocity = _vectors(values, "vx", "vy", "vz") * 0.01
    time_us, good = vehicle.stamped(values, rows), receive >= first_fix
    return Fixes(time_us, *_place(values), values["alt"] * 1e-3, velocity, h_acc, v_acc, good)


def _fused_with_covariance(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """GLOBAL_POSITION_INT_COV: a whole 6 x 6, unknown where its first element is NaN."""
    cov = values["covariance"].astype(np.float64)
    accuracies = _deviation(0.5 * (cov[:, 0] + cov[:, 7])), _deviation(cov[:, 14])
    velocity = _vectors(values, "vx", "vy", "vz")
    time_us = vehicle.moment(values["time_usec"], rows)
    return Fixes(time_us, *_place(values), values["alt"] * 1e-3, velocity, *accuracies, _all(rows))


def _local(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """LOCAL_POSITION_NED: metres from the estimator's origin, which is not home, and which may move."""
    offset, velocity = _vectors(values, "x", "y", "z"), _vectors(values, "vx", "vy", "vz")
    unknown = np.full(len(rows), np.nan)
    return _from_origin(vehicle, rows, vehicle.stamped(values, rows), offset, velocity, (unknown, unknown))


def _local_with_covariance(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """LOCAL_POSITION_NED_COV: the upper triangle of a 9 x 9, unknown where its first element is NaN."""
    cov = values["covariance"].astype(np.float64)
    accuracies = (
        _deviation(0.5 * (cov[:, 0] + cov[:, 9])),
        _deviation(np.where(np.isnan(cov[:, 0]), np.nan, cov[:, 17])),
    )
    offset, velocity = _vectors(values, "x", "y", "z"), _vectors(values, "vx", "vy", "vz")
    return _from_origin(vehicle, rows, vehicle.moment(values["time_usec"], rows), offset, velocity, accuracies)


def _odometry(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """ODOMETRY: pose in one frame, velocity in another, mostly the body's; only north-east-down is on the globe."""
    cov = values["pose_covariance"].astype(np.float64)
    accuracies = (
        _deviation(0.5 * (cov[:, 0] + cov[:, 6])),
        _deviation(np.where(np.isnan(cov[:, 0]), np.nan, cov[:, 11])),
    )
    velocity = _vectors(values, "vx", "vy", "vz")
    body = np.isin(values["child_frame_id"], (BODY_FRD, BODY_NED))
    velocity[body] = _rotated(values["q"][body].astype(np.float64), velocity[body])
    velocity[~body & (values["child_frame_id"] != LOCAL_NED)] = np.nan
    good = (values["frame_id"] == LOCAL_NED) & (values["quality"] >= 0)
    time_us = vehicle.moment(values["time_usec"], rows)
    fixes = _from_origin(vehicle, rows, time_us, _vectors(values, "x", "y", "z"), velocity, accuracies)
    return fixes._replace(good=fixes.good & good)


def _receiver(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """GPS_RAW_INT, GPS2_RAW: eph is a dilution, not metres; a height above the ellipsoid only where it differs."""
    speed = np.where(values["vel"] == 65535, np.nan, values["vel"] * 0.01)
    course = np.where(values["cog"] == 65535, np.nan, np.radians(values["cog"] * 0.01))
    velocity = np.column_stack([speed * np.cos(course), speed * np.sin(course), np.full(len(rows), np.nan)])
    accuracies = values["h_acc"] * 1e-3, values["v_acc"] * 1e-3
    ellipsoid = bool(np.any((values["alt_ellipsoid"] != 0) & (values["alt_ellipsoid"] != values["alt"])))
    height = values["alt_ellipsoid" if ellipsoid else "alt"] * 1e-3
    time_us = vehicle.moment(values["time_usec"], rows)
    good = (values["fix_type"] >= table.FIX_3D) & ((values["alt_ellipsoid"] != 0) | (not ellipsoid))
    return Fixes(time_us, *_place(values), height, velocity, *accuracies, good, above_ellipsoid=ellipsoid)


def _given(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """GPS_INPUT: what a companion tells the autopilot; only fields whose ignore bit is clear mean anything."""
    ignored = values["ignore_flags"]

    def known(bit: int, field: str) -> Floats:
        return np.where(ignored & bit, np.nan, values[field].astype(np.float64))

    velocity = [known(IGNORE_VEL_HORIZ, "vn"), known(IGNORE_VEL_HORIZ, "ve"), known(IGNORE_VEL_VERT, "vd")]
    accuracies = known(IGNORE_H_ACC, "horiz_accuracy"), known(IGNORE_V_ACC, "vert_accuracy")
    good = (values["fix_type"] >= table.FIX_3D) & (ignored & IGNORE_ALT == 0)
    time_us = vehicle.moment(values["time_usec"], rows)
    return Fixes(time_us, *_place(values), known(0, "alt"), np.column_stack(velocity), *accuracies, good)


def _air_traffic_report(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """UTM_GLOBAL_POSITION: above the ellipsoid, and flags say what of it is there."""
    flags = values["flags"]
    velocity = _vectors(values, "vx", "vy", "vz") * 0.01
    velocity[flags & UTM_VEL_HORIZ == 0, :2] = np.nan
    velocity[flags & UTM_VEL_VERT == 0, 2] = np.nan
    time_us = np.where(flags & UTM_TIME, vehicle.moment(values["time"], rows), vehicle.arrival(rows))
    good = flags & (UTM_POSITION | UTM_ALTITUDE) == UTM_POSITION | UTM_ALTITUDE
    accuracies = values["h_acc"] * 1e-3, values["v_acc"] * 1e-3
    height = values["alt"] * 1e-3
    return Fixes(time_us, *_place(values), height, velocity, *accuracies, good, above_ellipsoid=True)


def _high_latency(vehicle: Vehicle, values: NDArray[np.void], rows: Rows) -> Fixes:
    """HIGH_LATENCY2: coarse by design, so its accuracies carry the steps in which it counts; no course, no velocity."""
    steps = 0.1 / np.sqrt(12.0), HIGH_LATENCY_STEP_M / np.sqrt(12.0)
    stated = (values[one] * 0.1 for one in ("eph", "epv"))
    h_acc, v_acc = (
        np.where((one > 0.0) & (one < NO_MORE_THAN_M), np.hypot(one, step), np.nan)
        for one, step in zip(stated, steps, strict=True)
    )
    time_us = vehicle.moment(values["timestamp"].astype(np.int64) * 1000, rows)
    place = values["latitude"] * 1e-7, values["longitude"] * 1e-7
    velocity = np.full((len(rows), 3), np.nan)
    return Fixes(time_us, *place, values["altitude"].astype(np.float64), velocity, h_acc, v_acc, _all(rows))


# In the order of preference.
SOURCES: dict[str, Callable[[Vehicle, NDArray[np.void], Rows], Fixes]] = {
    "GLOBAL_POSITION_INT": _fused,
    "GLOBAL_POSITION_INT_COV": _fused_with_covariance,
    "LOCAL_POSITION_NED_COV": _local_with_covariance,
    "LOCAL_POSITION_NED": _local,
    "GPS_RAW_INT": _receiver,
    "GPS2_RAW": _receiver,
    "UTM_GLOBAL_POSITION": _air_traffic_report,
    "ODOMETRY": _odometry,
    "GPS_INPUT": _given,
    "HIGH_LATENCY2": _high_latency,
}


def attitude(vehicle: Vehicle) -> Attitude:
    """Read the attitude, of whichever message says it most often.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Attitude
        Rows that are one.
    """
    quaternions, quaternion_rows = vehicle.columns("ATTITUDE_QUATERNION")
    angles, angle_rows = vehicle.columns("ATTITUDE")
    if len(quaternions) > len(angles):
        turn = np.column_stack([quaternions[f"q{axis}"] for axis in (1, 2, 3, 4)]).astype(np.float64)
        return _turned(vehicle.stamped(quaternions, quaternion_rows), turn)
    if len(angles):
        turn = table.quaternions(*(angles[axis].astype(np.float64) for axis in ("roll", "pitch", "yaw")))
        return _turned(vehicle.stamped(angles, angle_rows), turn)
    values, rows = vehicle.columns("AUTOPILOT_STATE_FOR_GIMBAL_DEVICE")
    if len(values):
        delay_us = values["q_estimated_delay_us"].astype(np.int64)
        return _turned(vehicle.moment(values["time_boot_us"], rows) - delay_us, values["q"].astype(np.float64))
    values, rows = vehicle.columns("ODOMETRY")
    north = values["frame_id"] == LOCAL_NED
    return _turned(vehicle.moment(values["time_usec"], rows)[north], values["q"][north].astype(np.float64))


def _turned(time_us: Times, turn: Floats) -> Attitude:
    norm = np.linalg.norm(turn, axis=1)
    time_us, keep = table.in_order(time_us, np.abs(norm - 1.0) < 0.05)
    return Attitude(time_us, turn[keep] / norm[keep, None])


def _from_origin(
    vehicle: Vehicle, rows: Rows, time_us: Times, offset: Floats, velocity: Floats, accuracies: tuple[Floats, Floats]
) -> Fixes:
    """Put metres north, east, down of the estimator's origin on the globe; before it is told, nothing is known."""
    origin, origin_rows = vehicle.columns("GPS_GLOBAL_ORIGIN")
    at = np.searchsorted(origin_rows, rows) - 1
    if not len(origin):
        return Fixes(*_nothing(len(rows)))
    # An origin is told once, often after the first positions about it.
    told = origin[np.maximum(at, 0)]
    lat, lon = told["latitude"] * 1e-7, told["longitude"] * 1e-7
    height = geodesy.msl_to_hae(lat, lon, told["altitude"] * 1e-3)
    place = geodesy.geodetic_to_ecef(lat, lon, height) + geodesy.ned_vectors_to_ecef(np.nan_to_num(offset), lat, lon)
    lat, lon, height = geodesy.ecef_to_geodetic(place)
    good = np.asarray(np.isfinite(offset).all(axis=1), dtype=np.bool_)
    return Fixes(time_us, lat, lon, height, velocity, *accuracies, good, above_ellipsoid=True)


def _nothing(n: int = 0) -> tuple:
    none = np.zeros(n)
    return np.zeros(n, dtype=np.int64), none, none, none, np.zeros((n, 3)), none, none, np.zeros(n, dtype=np.bool_)


def _all(rows: Rows) -> NDArray[np.bool_]:
    return np.ones(len(rows), dtype=np.bool_)


def _place(values: NDArray[np.void]) -> tuple[Floats, Floats]:
    return values["lat"] * 1e-7, values["lon"] * 1e-7


def _vectors(values: NDArray[np.void], *names: str) -> Floats:
    return np.column_stack([values[name] for name in names]).astype(np.float64)


def _deviation(variance: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.where(variance > 0.0, variance, np.nan))


def _rotated(quaternion: Floats, vectors: Floats) -> Floats:
    """Rotate by quaternions w x y z: v + 2 w (q x v) + 2 q x (q x v)."""
    axis = quaternion[:, 1:]
    turned = np.cross(axis, vectors)
    return vectors + 2.0 * (quaternion[:, :1] * turned + np.cross(axis, turned))
