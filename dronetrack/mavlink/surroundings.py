"""What else did the vehicle tell of? Its home, the ground, its own health, whom it follows, and other aircraft."""

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.mavlink import rows as table
from dronetrack.mavlink.vehicle import Floats, Times, Vehicle
from dronetrack.telemetry import FollowTarget, Health, Place, Traffic

# EKF_STATUS_FLAGS and ESTIMATOR_STATUS_FLAGS agree on the first bits.
ATTITUDE, HORIZONTAL = 1, 16
EKF_UNINITIALISED, EKF_GPS_GLITCH = 1024, 32768
ESTIMATOR_GPS_GLITCH, ESTIMATOR_ACCEL_ERROR = 1024, 2048
GATE_EKF, GATE_ESTIMATOR = 0.8, 1.0  # ArduPilot calls 0.8 bad; PX4 refuses at 1

# ADSB_FLAGS
ADSB_COORDS, ADSB_ALTITUDE, ADSB_HEADING, ADSB_VELOCITY, ADSB_SIMULATED, ADSB_VERTICAL = 1, 2, 4, 8, 64, 128
ADSB_GEOMETRIC = 1
# The message says nothing of accuracy. Positions of transponders are good to 0.1 NM (NACp 8, what ATC asks for); a
# geometric height may be above the ellipsoid or the sea, a pressure height is what the weather makes of it.
ADSB_H_ACC_M, ADSB_GEOMETRIC_ACC_M, ADSB_PRESSURE_ACC_M = 75.0, 50.0, 150.0

# MAV_ODID_HOR_ACC and MAV_ODID_VER_ACC: bounds of 95 %, NaN unknown. [m]
ODID_H_BOUND_M = np.array(
    [np.nan, 18_520.0, 7_408.0, 3_704.0, 1_852.0, 926.0, 555.6, 185.2, 92.6, 30.0, 10.0, 3.0, 1.0]
)
ODID_V_BOUND_M = np.array([np.nan, 150.0, 45.0, 25.0, 10.0, 3.0, 1.0])
CIRCLE_95, LINE_95 = 2.4477, 1.9600  # in standard deviations per axis
ODID_ON_GROUND_UNKNOWN_M = -1000.0
HOUR_US = 3_600_000_000


def home(vehicle: Vehicle) -> Place:
    """Read where the vehicle says that its home is (HOME_POSITION).

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Place
        Rows with a place.
    """
    values, rows = vehicle.columns("HOME_POSITION")
    lat, lon, alt = values["latitude"] * 1e-7, values["longitude"] * 1e-7, values["altitude"] * 1e-3
    time_us = vehicle.moment(values["time_usec"], rows)
    return _places(time_us, lat, lon, alt, table.placed(lat, lon, alt))


def ground(vehicle: Vehicle) -> Place:
    """Read the ground below the vehicle, as its own map has it (TERRAIN_REPORT).

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Place
        Rows of a map that is loaded; the others are counted.
    """
    values, rows = vehicle.columns("TERRAIN_REPORT")
    lat, lon, alt = values["lat"] * 1e-7, values["lon"] * 1e-7, values["terrain_height"].astype(np.float64)
    ready = (values["pending"] == 0) & (values["spacing"] > 0) & table.placed(lat, lon, alt)
    if len(rows):
        vehicle.stats["ground_rows_not_ready"] = int(np.sum(~ready))
    return _places(vehicle.arrival(rows), lat, lon, alt, ready)


def follow_target(vehicle: Vehicle) -> FollowTarget:
    """Read where the one is whom the vehicle follows (FOLLOW_TARGET); a ground station tells it, on its own clock.

    Parameters
    ----------
    vehicle : Vehicle
        Whoever was told.

    Returns
    -------
    FollowTarget
        Of any sender, at the time of arrival.
    """
    values, rows = vehicle.columns("FOLLOW_TARGET", anyone=True)
    lat, lon, alt = values["lat"] * 1e-7, values["lon"] * 1e-7, values["alt"].astype(np.float64)
    good = table.placed(lat, lon, alt) & (values["est_capabilities"] & 1 != 0)
    velocity = values["vel"].astype(np.float64)
    velocity[(values["est_capabilities"] & 2 == 0) | (velocity == 0.0).all(axis=1)] = np.nan
    time_us, keep = table.in_order(vehicle.arrival(rows), good)
    height = geodesy.msl_to_hae(lat[keep], lon[keep], alt[keep])
    return FollowTarget(time_us, lat[keep], lon[keep], height, velocity[keep])


def health(vehicle: Vehicle) -> Health:
    """Read whether the autopilot trusts its own estimate.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Health
        From ESTIMATOR_STATUS (PX4), else EKF_STATUS_REPORT (ArduPilot).
    """
    values, rows = vehicle.columns("ESTIMATOR_STATUS")
    if len(values):
        names = ("vel_ratio", "pos_horiz_ratio", "pos_vert_ratio", "pos_horiz_accuracy", "pos_vert_accuracy")
        time_us, gate = vehicle.moment(values["time_usec"], rows), GATE_ESTIMATOR
        faults = ESTIMATOR_GPS_GLITCH | ESTIMATOR_ACCEL_ERROR
    else:
        # Called variances, they are innovations over their own gates: no metres in them.
        values, rows = vehicle.columns("EKF_STATUS_REPORT")
        names = ("velocity_variance", "pos_horiz_variance", "pos_vert_variance")
        time_us, gate = vehicle.arrival(rows), GATE_EKF
        faults = EKF_UNINITIALISED | EKF_GPS_GLITCH
    time_us, keep = table.in_order(time_us, np.ones(len(rows), dtype=np.bool_))
    values = values[keep]
    said = [values[name].astype(np.float64) for name in names]
    h_acc, v_acc = [np.where(one > 0.0, one, np.nan) for one in said[3:]] or [np.full(len(keep), np.nan)] * 2
    flags = values["flags"].astype(np.int32)
    placed = flags & (ATTITUDE | HORIZONTAL) == ATTITUDE | HORIZONTAL
    healthy = placed & (flags & faults == 0) & (said[0] < gate) & (said[1] < gate)
    return Health(time_us, flags, said[0], said[1], said[2], h_acc, v_acc, healthy)


def traffic(vehicle: Vehicle) -> Traffic:
    """Read which other aircraft the vehicle heard: ADS-B and Open Drone ID.

    Parameters
    ----------
    vehicle : Vehicle
        Whoever heard them.

    Returns
    -------
    Traffic
        Rows with a valid place, when they were there; what is simulated, or the vehicle's own identity, is left out.
    """
    parts = [_transponders(vehicle), _drone_ids(vehicle)]
    time_us, identity, *columns = (np.concatenate(one) for one in zip(*parts, strict=True))
    time_us, keep = table.in_order(time_us, np.ones(len(time_us), dtype=np.bool_))
    return Traffic(time_us, identity[keep], *(one[keep] for one in columns))


def _transponders(vehicle: Vehicle) -> tuple:
    values, rows = vehicle.columns("ADSB_VEHICLE")
    flags = values["flags"]
    lat, lon = values["lat"] * 1e-7, values["lon"] * 1e-7
    keep = (flags & ADSB_COORDS != 0) & (flags & ADSB_SIMULATED == 0) & table.placed(lat, lon, np.zeros(len(rows)))
    values, rows, flags, lat, lon = values[keep], rows[keep], flags[keep], lat[keep], lon[keep]
    time_us = vehicle.arrival(rows) - values["tslc"].astype(np.int64) * 1_000_000
    alt = np.where(flags & ADSB_ALTITUDE, values["altitude"] * 1e-3, np.nan)
    geometric = values["altitude_type"] == ADSB_GEOMETRIC
    v_acc = np.where(np.isnan(alt), np.nan, np.where(geometric, ADSB_GEOMETRIC_ACC_M, ADSB_PRESSURE_ACC_M))
    moves = (flags & ADSB_VELOCITY != 0) & (flags & ADSB_HEADING != 0)
    speed, course = values["hor_velocity"] * 0.01, np.radians(values["heading"] * 0.01)
    down = np.where(flags & ADSB_VERTICAL, values["ver_velocity"] * -0.01, np.nan)
    identity = np.array([f"ICAO {one:06X}" for one in values["ICAO_address"].tolist()], dtype="U32")
    velocity = _velocity(speed, course, down, moves)
    height = geodesy.msl_to_hae(lat, lon, alt)
    return time_us, identity, lat, lon, height, np.full(len(rows), ADSB_H_ACC_M), v_acc, velocity


def _drone_ids(vehicle: Vehicle) -> tuple:
    values, rows = vehicle.columns("OPEN_DRONE_ID_LOCATION")
    lat, lon = values["latitude"] * 1e-7, values["longitude"] * 1e-7
    other = values["id_or_mac"].any(axis=1) if len(rows) else np.zeros(0, dtype=np.bool_)
    if len(rows):
        vehicle.stats["own_drone_id_rows"] = int(np.sum(~other))
    keep = other & ((values["latitude"] != 0) | (values["longitude"] != 0)) & (np.abs(lat) <= 90) & (np.abs(lon) <= 180)
    values, rows, lat, lon = values[keep], rows[keep], lat[keep], lon[keep]
    geodetic = values["altitude_geodetic"].astype(np.float64)
    alt = np.where(geodetic > ODID_ON_GROUND_UNKNOWN_M, geodetic, np.nan)
    speed, course = values["speed_horizontal"] * 0.01, np.radians(values["direction"] * 0.01)
    moves = (values["speed_horizontal"] != 25_500) & (values["direction"] != 36_100)
    down = np.where(values["speed_vertical"] != 6_300, values["speed_vertical"] * -0.01, np.nan)
    h_acc = _bounds(ODID_H_BOUND_M, values["horizontal_accuracy"]) / CIRCLE_95
    v_acc = _bounds(ODID_V_BOUND_M, values["vertical_accuracy"]) / LINE_95
    time_us = _within_the_hour(values["timestamp"].astype(np.float64), vehicle.arrival(rows))
    identity = _drone_names(vehicle, values["id_or_mac"])
    return time_us, identity, lat, lon, alt, h_acc, v_acc, _velocity(speed, course, down, moves)


def _drone_names(vehicle: Vehicle, address: NDArray[np.uint8]) -> NDArray[np.str_]:
    """Return what each address called itself (OPEN_DRONE_ID_BASIC_ID), else the address."""
    basic, _ = vehicle.columns("OPEN_DRONE_ID_BASIC_ID")
    names = {
        said.tobytes(): name.tobytes().split(b"\0")[0].decode("ascii", "replace")
        for said, name in zip(basic["id_or_mac"], basic["uas_id"], strict=True)
    }
    told = (names.get(one.tobytes()) or one.tobytes().rstrip(b"\0").hex().upper() for one in address)
    return np.array([f"UAS {one}"[:32] for one in told], dtype="U32")


def _within_the_hour(seconds: Floats, arrived_us: Times) -> Times:
    """Seconds after the full hour, in whichever hour brings them nearest to the arrival; 65535 is unknown."""
    known = (seconds >= 0.0) & (seconds <= 3600.0)
    since = np.where(known, seconds, 0.0)
    off = np.rint(since * 1e6).astype(np.int64) - arrived_us % HOUR_US
    off = (off + HOUR_US // 2) % HOUR_US - HOUR_US // 2
    return np.where(known, arrived_us + off, arrived_us)


def _bounds(bounds: Floats, classes: NDArray[np.uint8]) -> Floats:
    return np.append(bounds, np.nan)[np.minimum(classes, len(bounds))]


def _velocity(speed: Floats, course: Floats, down: Floats, moves: NDArray[np.bool_]) -> Floats:
    level = np.column_stack([speed * np.cos(course), speed * np.sin(course)])
    level[~moves] = np.nan
    return np.column_stack([level, down])


def _places(time_us: Times, lat: Floats, lon: Floats, alt_msl_m: Floats, good: NDArray[np.bool_]) -> Place:
    time_us, keep = table.in_order(time_us, good)
    lat, lon = lat[keep], lon[keep]
    return Place(time_us, lat, lon, geodesy.msl_to_hae(lat, lon, alt_msl_m[keep]))
