"""Flights with known truth, made for the tests: where the target was, and what a drone's log says of it."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from dronetrack import geodesy
from dronetrack.telemetry import ARDUPILOT, Attitude, Camera, Clock, Gimbal, ImageTarget, Position, Telemetry

LAT, LON, GROUND_MSL_M = 46.21, 20.76, 84.0
START_US = 1_795_470_000_000_000
HFOV, VFOV = np.radians(60.0), np.radians(36.0)
FLAGS_VEHICLE_YAW = 4 + 8 + 32
FLAGS_EARTH_YAW = 4 + 8 + 64


def ground_hae_m():
    return float(geodesy.msl_to_hae([LAT], [LON], [GROUND_MSL_M])[0])


def to_ecef(enu):
    """East, north, up of a point on the ground."""
    return geodesy.enu_to_ecef(np.atleast_2d(enu), LAT, LON, ground_hae_m())


@dataclass(frozen=True)
class Errors:
    """What goes wrong in a flight; standard deviations."""

    pixel: float = 0.0  # fraction of the width, new in each row
    pointing_deg: float = 0.0  # new in each row
    heading_deg: float = 0.0  # constant
    boresight_deg: float = 0.0  # constant, per axis
    site_m: float = 0.0  # constant, per horizontal axis
    latency_s: float = 0.0
    jitter_s: float = 0.0


def weave(seconds):
    """A car that swings between lanes of a bend, speeding up and slowing down: (n, 3) east, north, up."""
    east = 15.0 * seconds + 60.0 * np.sin(seconds / 17.0)
    north = 40.0 * np.sin(seconds / 23.0)
    return np.column_stack([east, north, -(east**2 + north**2) / (2.0 * 6.371e6)])


def drone_path(seconds, side_m=-80.0, height_m=110.0):
    target = weave(seconds)
    swing = 8.0 * np.sin(seconds * 0.7)
    return target + np.column_stack([-20.0 + swing, side_m + swing, np.full(len(seconds), height_m)])


def attitude_at(seconds, wobble):
    """Heading along the road, with the roll and pitch of a copter in wind."""
    roll = wobble * 0.12 * np.sin(2.1 * seconds)
    pitch = wobble * (-0.15 + 0.08 * np.sin(1.3 * seconds + 1.0))
    yaw = np.pi / 2 + wobble * 0.3 * np.sin(0.4 * seconds)
    return Rotation.from_euler("ZYX", np.column_stack([yaw, pitch, roll]))


def look(forward_ned, jitter):
    """Level camera attitude (camera to north-east-down) that looks nearly along a line."""
    yaw = np.arctan2(forward_ned[:, 1], forward_ned[:, 0])
    pitch = -np.arcsin(forward_ned[:, 2] / np.linalg.norm(forward_ned, axis=1))
    return Rotation.from_euler("ZYX", np.column_stack([yaw + jitter[:, 0], pitch + jitter[:, 1], 0.0 * yaw]))


def wxyz(rotation):
    return rotation.as_quat()[:, [3, 0, 1, 2]]


def enu_to_ned(vectors):
    return np.column_stack([vectors[:, 1], vectors[:, 0], -vectors[:, 2]])


def fly(seconds=120.0, *, frame="levelled", errors=None, rng=None, wobble=1.0, rate_hz=10.0, servo=False, status=None):
    """Fly once; return the log and the target's true place (n, 3) ECEF at the time of each sighting's image."""
    errors = errors or Errors()
    rng = rng or np.random.default_rng(0)
    fine = np.arange(0.0, seconds + 2.0, 0.05)
    body = attitude_at(fine, wobble)
    heading_error = np.radians(errors.heading_deg) * rng.normal()
    stated_body = Rotation.from_euler("Z", heading_error) * body
    to_target = enu_to_ned(weave(fine) - drone_path(fine))
    # The gimbal lags and overshoots: the target is not in the middle, and the picture moves.
    hunting = 0.02 * np.sin(7.3 * fine)
    sway = np.column_stack([0.06 * np.sin(1.7 * fine) + hunting, 0.04 * np.cos(2.3 * fine) + hunting])
    camera = look(to_target, sway)
    gimbal, flags = _stated_gimbal(frame, camera, body, servo)
    noise = Rotation.from_rotvec(np.radians(errors.pointing_deg) * rng.normal(size=(len(fine), 3)))
    gimbal = gimbal * noise
    image_s = np.arange(0.5, seconds, 1.0 / rate_hz)
    sight = enu_to_ned(weave(image_s) - drone_path(image_s))
    axis_error = np.radians(errors.boresight_deg) * rng.normal(size=2)
    miss = Rotation.from_euler("ZY", axis_error)
    in_camera = (Slerp(fine, camera)(image_s) * miss).inv().apply(sight)
    pixel = errors.pixel * rng.normal(size=(len(image_s), 2))
    x = 0.5 + 0.5 * in_camera[:, 1] / in_camera[:, 0] / np.tan(HFOV / 2) + pixel[:, 0]
    y = (
        0.5
        + 0.5 * in_camera[:, 2] / in_camera[:, 0] / np.tan(VFOV / 2)
        + pixel[:, 1] * np.tan(HFOV / 2) / np.tan(VFOV / 2)
    )
    offset = np.append(errors.site_m * rng.normal(size=2), 0.0)
    lat, lon, alt = geodesy.ecef_to_geodetic(to_ecef(drone_path(fine) + offset))
    fine_us = START_US + np.rint(fine * 1e6).astype(np.int64)
    delay = errors.latency_s + errors.jitter_s * rng.normal(size=len(image_s))
    said_us = START_US + np.rint((image_s + delay) * 1e6).astype(np.int64)
    order = np.argsort(said_us, kind="stable")
    n = len(fine)
    state = np.full(len(image_s), 1, dtype=np.int16) if status is None else status(image_s).astype(np.int16)
    log = Telemetry(
        1,
        "D",
        autopilot=ARDUPILOT if servo else 0,
        position=Position(
            fine_us, lat, lon, alt, np.zeros((n, 3)), np.full(n, max(errors.site_m, 0.05)), np.full(n, 0.3)
        ),
        attitude=Attitude(fine_us, wxyz(stated_body)),
        gimbal=Gimbal(fine_us, wxyz(gimbal), np.full(n, flags, dtype=np.int32), np.full(n, np.nan)),
        camera=Camera(fine_us[:1], np.array([HFOV]), np.array([VFOV]), np.array([1280.0]), np.array([720.0])),
        image_target=ImageTarget(said_us[order], said_us[order], state[order], x[order], y[order]),
        clock=Clock(source="test", std_s=0.0),
    )
    return log, image_s, to_ecef(weave(image_s))


def _stated_gimbal(frame, camera, body, servo):
    """How a gimbal in this frame would report where the camera looks."""
    if frame == "earth":
        return camera, FLAGS_EARTH_YAW
    if frame == "body":
        relative = body.inv() * camera
        if servo:
            # Pan, roll and tilt of the mount, put together in the order of an aircraft's own angles.
            pan, roll, tilt = relative.as_euler("ZXY").T
            relative = Rotation.from_euler("ZYX", np.column_stack([pan, tilt, roll]))
        return relative, FLAGS_VEHICLE_YAW
    yaw = body.as_euler("ZYX")[:, 0]
    return Rotation.from_euler("ZYX", np.outer(-yaw, [1.0, 0.0, 0.0])) * camera, FLAGS_VEHICLE_YAW
