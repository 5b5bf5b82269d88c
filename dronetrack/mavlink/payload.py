"""What did the gimbal, the camera and the range finders say? Their messages, with the traps of each."""

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.mavlink import rows as table
from dronetrack.mavlink.vehicle import Floats, Vehicle
from dronetrack.telemetry import Camera, GeoTarget, Gimbal, ImageTarget, LandingTarget, Place, Range, Zoom

RECTANGLE = 2  # CAMERA_TRACKING_MODE
YAW_IN_VEHICLE_FRAME = 32  # GIMBAL_DEVICE_FLAGS
LOCAL_NED = 1  # MAV_FRAME
DOWNWARD, CUSTOM = 25, 100  # MAV_SENSOR_ORIENTATION
INT32_MAX, INT32_MIN = 2**31 - 1, -(2**31)


def gimbal(vehicle: Vehicle) -> Gimbal:
    """Read the gimbal, of the newest of the three messages that it has: older mounts have no time and no quaternion.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Gimbal
        Quaternion and flags as sent; a zero quaternion is no attitude and is counted.
    """
    values, rows = vehicle.columns("GIMBAL_DEVICE_ATTITUDE_STATUS")
    if not len(values):
        return _mount(vehicle)
    norm = np.linalg.norm(values["q"], axis=1)
    good = np.abs(norm - 1.0) < 0.05
    vehicle.stats["gimbal_rows_without_attitude"] = int(np.sum(~good))
    time_us, keep = table.in_order(vehicle.stamped(values, rows), good)
    turn = values["q"][keep].astype(np.float64) / norm[keep, None]
    # delta_yaw is an extension: an old sender leaves it away, which reads as 0 and cannot be told from 0.
    return Gimbal(time_us, turn, values["flags"][keep], values["delta_yaw"][keep].astype(np.float64))


def _mount(vehicle: Vehicle) -> Gimbal:
    """MOUNT_ORIENTATION (levelled, yaw to the vehicle; its absolute yaw is 0 in version 1), else MOUNT_STATUS.

    MOUNT_STATUS holds pitch, roll and yaw, in this order.
    """
    values, rows = vehicle.columns("MOUNT_ORIENTATION")
    time_us = vehicle.stamped(values, rows)
    angles = [np.radians(values[axis].astype(np.float64)) for axis in ("roll", "pitch", "yaw")]
    if not len(values):
        values, rows = vehicle.columns("MOUNT_STATUS")
        time_us = vehicle.arrival(rows)
        angles = [np.radians(values[axis] * 0.01) for axis in ("pointing_b", "pointing_a", "pointing_c")]
    time_us, keep = table.in_order(time_us, np.isfinite(angles[0] + angles[1] + angles[2]))
    turn = table.quaternions(*(angle[keep] for angle in angles))
    flags = np.full(len(keep), YAW_IN_VEHICLE_FRAME, dtype=np.int32)
    return Gimbal(time_us, turn, flags, np.full(len(keep), np.nan))


def camera(vehicle: Vehicle) -> Camera:
    """Read what the camera can see.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Camera
        From CAMERA_FOV_STATUS where it is sent, else from lens and sensor (CAMERA_INFORMATION). The latter holds for
        the focal length that it states: changes of zoom that no field of view followed are counted.
    """
    info, info_rows = vehicle.columns("CAMERA_INFORMATION")
    view, view_rows = vehicle.columns("CAMERA_FOV_STATUS")
    focal = info["focal_length"].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        opening = [2.0 * np.arctan(0.5 * info[f"sensor_size_{axis}"] / focal) for axis in "hv"]
    time_us = np.concatenate([vehicle.arrival(info_rows), vehicle.stamped(view, view_rows)])
    hfov = np.concatenate([opening[0], np.radians(view["hfov"].astype(np.float64))])
    vfov = np.concatenate([opening[1], np.radians(view["vfov"].astype(np.float64))])
    size = [
        np.concatenate([info[f"resolution_{axis}"].astype(np.float64), np.full(len(view), np.nan)]) for axis in "hv"
    ]
    good = (hfov > 0.0) & (hfov < np.pi) & (vfov > 0.0) & (vfov < np.pi)
    time_us, keep = table.in_order(time_us, good)
    if not len(view):
        vehicle.stats["zoom_changes_without_field_of_view"] = int(np.count_nonzero(np.diff(zoom(vehicle).zoom_percent)))
    return Camera(time_us, hfov[keep], vfov[keep], *(np.where(one > 0, one, np.nan)[keep] for one in size))


def zoom(vehicle: Vehicle) -> Zoom:
    """Read the zoom: percent of a range that only the camera knows, NaN where it does not.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Zoom
        From CAMERA_SETTINGS.
    """
    values, rows = vehicle.columns("CAMERA_SETTINGS")
    level = values["zoomLevel"].astype(np.float64)
    time_us, keep = table.in_order(vehicle.stamped(values, rows), (level >= 0.0) & (level <= 100.0))
    return Zoom(time_us, level[keep])


def image_centre(vehicle: Vehicle) -> Place:
    """Read where the camera itself says that it looks (CAMERA_FOV_STATUS).

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    Place
        Rows with a place; unknown ones and those above the horizon have none and are counted. It inherits whatever is
        wrong with the gimbal's frame.
    """
    values, rows = vehicle.columns("CAMERA_FOV_STATUS")
    known = np.ones(len(values), dtype=np.bool_)
    for axis in ("lat_image", "lon_image", "alt_image"):
        known &= (values[axis] != INT32_MAX) & (values[axis] != INT32_MIN)
    lat, lon, alt = values["lat_image"] * 1e-7, values["lon_image"] * 1e-7, values["alt_image"] * 1e-3
    known &= table.placed(lat, lon, alt)
    if len(values):
        vehicle.stats["image_centre_rows_without_place"] = int(np.sum(~known))
    time_us, keep = table.in_order(vehicle.stamped(values, rows), known)
    return Place(time_us, lat[keep], lon[keep], geodesy.msl_to_hae(lat[keep], lon[keep], alt[keep]))


def image_target(vehicle: Vehicle) -> ImageTarget:
    """Read what the camera tracked in the image; the message has no time, so rows stand where they arrived.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    ImageTarget
        From CAMERA_TRACKING_IMAGE_STATUS; a status that says COASTING is a prediction, not a sighting.
    """
    values, rows = vehicle.columns("CAMERA_TRACKING_IMAGE_STATUS")
    box = values["tracking_mode"] == RECTANGLE
    x = np.where(box, 0.5 * (values["rec_top_x"] + values["rec_bottom_x"]), values["point_x"]).astype(np.float64)
    y = np.where(box, 0.5 * (values["rec_top_y"] + values["rec_bottom_y"]), values["point_y"]).astype(np.float64)
    time_us, keep = table.in_order(vehicle.arrival(rows), np.ones(len(rows), dtype=np.bool_))
    arrived = vehicle.receive_us[rows][keep]
    return ImageTarget(time_us, arrived, values["tracking_status"][keep].astype(np.int16), x[keep], y[keep])


def geo_target(vehicle: Vehicle) -> GeoTarget:
    """Read where the camera says that its target is (CAMERA_TRACKING_GEO_STATUS), also without a time of its own.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    GeoTarget
        Rows with a place; the others are counted.
    """
    values, rows = vehicle.columns("CAMERA_TRACKING_GEO_STATUS")
    lat, lon = values["lat"] * 1e-7, values["lon"] * 1e-7
    placed = table.placed(lat, lon, np.zeros(len(rows)))
    vehicle.stats["geo_target_rows_without_place"] = int(np.sum(~placed))
    time_us, keep = table.in_order(vehicle.arrival(rows), placed)
    arrived, values = vehicle.receive_us[rows][keep], values[keep]
    real = {name: values[name].astype(np.float64) for name in ("alt", "h_acc", "v_acc", "vel_acc")}
    positive = {name: np.where(real[name] >= 0.0, real[name], np.nan) for name in ("h_acc", "v_acc", "vel_acc")}
    return GeoTarget(
        time_us,
        arrived,
        values["tracking_status"].astype(np.int16),
        lat[keep],
        lon[keep],
        geodesy.msl_to_hae(lat[keep], lon[keep], real["alt"]),
        positive["h_acc"],
        positive["v_acc"],
        np.column_stack([values[f"vel_{axis}"] for axis in "ned"]).astype(np.float64),
        positive["vel_acc"],
    )


def ranges(vehicle: Vehicle) -> tuple[Range, Range]:
    """Read the range finders: those that look where a mount points them, and those that look down.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    along, down : Range
        Along the camera (DISTANCE_SENSOR of custom orientation), and straight down (also RANGEFINDER). Nothing at or
        beyond its limits is a range, nor is one whose signal is told to be invalid; others look sideways and are
        counted.
    """
    values, rows = vehicle.columns("DISTANCE_SENSOR")
    distance = values["current_distance"] * 0.01
    low, high = values["min_distance"] * 0.01, values["max_distance"] * 0.01
    good = (distance > low) & (distance < high) & (values["signal_quality"] != 1)
    variance_cm2 = values["covariance"].astype(np.float64)
    std_m = np.where((variance_cm2 > 0) & (variance_cm2 < 255), np.sqrt(variance_cm2) * 0.01, np.nan)
    time_us, looks = vehicle.stamped(values, rows), values["orientation"]
    if len(values):
        vehicle.stats["range_rows_sideways"] = int(np.sum(good & ~np.isin(looks, (DOWNWARD, CUSTOM))))
    along, down = (_range(time_us, distance, std_m, good & (looks == way)) for way in (CUSTOM, DOWNWARD))
    if not len(down):
        values, rows = vehicle.columns("RANGEFINDER")
        height = values["distance"].astype(np.float64)
        down = _range(vehicle.arrival(rows), height, np.full(len(rows), np.nan), height > 0.0)
    return along, down


def _range(time_us: NDArray[np.int64], distance: Floats, std_m: Floats, good: NDArray[np.bool_]) -> Range:
    time_us, keep = table.in_order(time_us, good)
    return Range(time_us, distance[keep], std_m[keep])


def landing_target(vehicle: Vehicle) -> LandingTarget:
    """Read what the drone saw to land on (LANDING_TARGET): a bearing; a place only where it says that it is one.

    Parameters
    ----------
    vehicle : Vehicle
        Whose.

    Returns
    -------
    LandingTarget
        One row per message.
    """
    values, rows = vehicle.columns("LANDING_TARGET")
    time_us, keep = table.in_order(vehicle.moment(values["time_usec"], rows), np.ones(len(rows), dtype=np.bool_))
    values = values[keep]
    distance = np.where(values["distance"] > 0.0, values["distance"], np.nan).astype(np.float64)
    offset = np.column_stack([values[axis] for axis in "xyz"]).astype(np.float64)
    offset[(values["position_valid"] != 1) | (values["frame"] != LOCAL_NED)] = np.nan
    x, y = (values[f"angle_{axis}"].astype(np.float64) for axis in "xy")
    return LandingTarget(time_us, x, y, distance, offset)
