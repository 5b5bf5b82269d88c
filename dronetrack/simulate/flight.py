"""What would a drone's log have said? One flight over one target, message by message, with true gimbals or lying ones.

`simulate` draws measurements; `fly` draws the telemetry from which `dronetrack.sensing.sightings` makes them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.simulate.scenarios import MIDDLE, START_US
from dronetrack.simulate.targets import Origin
from dronetrack.telemetry import ARDUPILOT, Attitude, Camera, Clock, Gimbal, ImageTarget, Position, Telemetry

FLAGS_VEHICLE_YAW = 4 + 8 + 32  # GIMBAL_DEVICE_FLAGS: roll and pitch lock, yaw in the vehicle's frame
FLAGS_EARTH_YAW = 4 + 8 + 64
TRACKING_ACTIVE = 1
LOG_STEP_S = 0.05

Floats = NDArray[np.float64]
Path = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class FlightErrors:
    """What goes wrong in a flight, as standard deviations.

    Parameters
    ----------
    pixel : float, optional
        Image point, as a fraction of the width; new in each row.
    pointing_deg : float, optional
        Gimbal, per axis; new in each row. [deg]
    heading_deg : float, optional
        Of the vehicle; constant. [deg]
    boresight_deg : float, optional
        Of the camera against the gimbal, per axis; constant. [deg]
    site_m : float, optional
        Of the vehicle's place, per horizontal axis; constant. [m]
    latency_s : float, optional
        From image to message; a value, not a deviation. [s]
    jitter_s : float, optional
        Of that. [s]
    """

    pixel: float = 0.0
    pointing_deg: float = 0.0
    heading_deg: float = 0.0
    boresight_deg: float = 0.0
    site_m: float = 0.0
    latency_s: float = 0.0
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Mount:
    """How the camera hangs, and what it can see.

    Parameters
    ----------
    frame : {"levelled", "body", "earth"}, optional
        What the gimbal's quaternion is relative to.
    lies : bool, optional
        Whether the flags say the vehicle's yaw where the quaternion is relative to north, or the reverse.
    servo : bool, optional
        Whether pan, roll and tilt of a servo mount are put together in the order of an aircraft's angles, as
        ArduPilot does; only in the body frame.
    hfov_deg, vfov_deg : float, optional
        Opening angles. [deg]
    """

    frame: Literal["levelled", "body", "earth"] = "levelled"
    lies: bool = False
    servo: bool = False
    hfov_deg: float = 60.0
    vfov_deg: float = 36.0

    def __post_init__(self) -> None:
        if self.frame not in ("levelled", "body", "earth"):
            raise InputError(f"frame must be levelled, body or earth; got {self.frame!r}.")


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A flight and its truth.

    Parameters
    ----------
    telemetry : Telemetry
        The log.
    image_s : (n,) float64
        When each image was taken, since the start. [s]
    target_ecef_m : (n, 3) float64
        Where the target then was. [m]
    """

    telemetry: Telemetry
    image_s: Floats
    target_ecef_m: Floats
    errors: FlightErrors = field(default_factory=FlightErrors)


def fly(
    target_enu_m: Path,
    drone_enu_m: Path,
    *,
    duration_s: float = 120.0,
    rate_hz: float = 10.0,
    mount: Mount | None = None,
    errors: FlightErrors | None = None,
    wobble: float = 1.0,
    status: Callable[[Floats], NDArray] | None = None,
    name: str = "D",
    origin: Origin = MIDDLE,
    rng: np.random.Generator,
) -> Flight:
    """Fly once over a target and return the drone's log.

    The copter rolls, pitches and yaws as in wind; its gimbal lags and overshoots, so the target is not in the middle
    and the picture moves.

    Parameters
    ----------
    target_enu_m, drone_enu_m : callable
        From seconds (n,) to east, north, up (n, 3) of the origin. [s], [m]
    duration_s : float, optional
        Length. [s]
    rate_hz : float, optional
        Images a second.
    mount : Mount, optional
        How the camera hangs.
    errors : FlightErrors, optional
        What goes wrong; nothing by default.
    wobble : float, optional
        How much the copter rolls and yaws; 0 is level along north-east.
    status : callable, optional
        From seconds (n,) to CAMERA_TRACKING_STATUS_FLAGS (n,); active by default.
    name : str, optional
        Of the drone.
    origin : (float, float, float), optional
        Latitude, longitude [deg] and height above the ellipsoid [m] of the local axes' foot.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    Flight
        The log and the target's true places at the times of the images.

    Raises
    ------
    InputError
        If there is no time for an image.

    Examples
    --------
    >>> flight = fly(lambda t: np.outer(t, [15.0, 0.0, 0.0]), lambda t: np.outer(t, [15.0, 0.0, 0.0]) + [0, -80, 110],
    ...              duration_s=10.0, rng=np.random.default_rng(1))
    >>> len(flight.telemetry.image_target), flight.target_ecef_m.shape
    (95, (95, 3))
    """
    if not (duration_s > 0.5 and 0.0 < rate_hz <= 1000.0):
        raise InputError(f"a flight needs more than 0.5 s and a rate of up to 1000 Hz; got {duration_s}, {rate_hz}.")
    errors, mount = errors or FlightErrors(), mount or Mount()
    fine = np.arange(0.0, duration_s + 2.0, LOG_STEP_S)
    body = _attitude(fine, wobble)
    heading_error = np.radians(errors.heading_deg) * rng.normal()
    stated_body = Rotation.from_euler("Z", heading_error) * body
    hunting = 0.02 * np.sin(7.3 * fine)
    sway = np.column_stack([0.06 * np.sin(1.7 * fine) + hunting, 0.04 * np.cos(2.3 * fine) + hunting])
    camera = _look(_ned(target_enu_m(fine) - drone_enu_m(fine)), sway)
    gimbal, flags = _stated_gimbal(mount, camera, body)
    noise = Rotation.from_rotvec(np.radians(errors.pointing_deg) * rng.normal(size=(len(fine), 3)))
    image_s = np.arange(0.5, duration_s, 1.0 / rate_hz)
    axis_error = np.radians(errors.boresight_deg) * rng.normal(size=2)
    turned = Slerp(fine, camera)(image_s) * Rotation.from_euler("ZY", axis_error)
    in_camera = turned.inv().apply(_ned(target_enu_m(image_s) - drone_enu_m(image_s)))
    x, y = _image_point(in_camera, mount, errors.pixel * rng.normal(size=(len(image_s), 2)))
    offset = np.append(errors.site_m * rng.normal(size=2), 0.0)
    delay = errors.latency_s + errors.jitter_s * rng.normal(size=len(image_s))
    said_us = _micros(image_s + delay)
    order = np.argsort(said_us, kind="stable")
    state = np.full(len(image_s), TRACKING_ACTIVE) if status is None else status(image_s)
    lat_deg, lon_deg, alt_hae_m = geodesy.ecef_to_geodetic(geodesy.enu_to_ecef(drone_enu_m(fine) + offset, *origin))
    n, fine_us = len(fine), _micros(fine)
    return Flight(
        Telemetry(
            1,
            name,
            autopilot=ARDUPILOT if mount.servo else 0,
            position=Position(
                fine_us,
                lat_deg,
                lon_deg,
                alt_hae_m,
                np.zeros((n, 3)),
                np.full(n, max(errors.site_m, 0.05)),
                np.full(n, 0.3),
            ),
            attitude=Attitude(fine_us, _wxyz(stated_body)),
            gimbal=Gimbal(fine_us, _wxyz(gimbal * noise), np.full(n, flags, dtype=np.int32), np.full(n, np.nan)),
            camera=Camera(
                fine_us[:1],
                np.radians([mount.hfov_deg]),
                np.radians([mount.vfov_deg]),
                np.array([1280.0]),
                np.array([720.0]),
            ),
            image_target=ImageTarget(
                said_us[order], said_us[order], np.asarray(state, dtype=np.int16)[order], x[order], y[order]
            ),
            clock=Clock(source="simulated", std_s=0.0),
        ),
        image_s,
        geodesy.enu_to_ecef(target_enu_m(image_s), *origin),
        errors,
    )


def _micros(seconds: Floats) -> NDArray[np.int64]:
    return START_US + np.rint(seconds * 1e6).astype(np.int64)


def _attitude(seconds: Floats, wobble: float) -> Rotation:
    """Body to north-east-down: the nose to the east, with the roll and pitch of a copter in wind."""
    roll = wobble * 0.12 * np.sin(2.1 * seconds)
    pitch = wobble * (-0.15 + 0.08 * np.sin(1.3 * seconds + 1.0))
    yaw = np.pi / 2 + wobble * 0.3 * np.sin(0.4 * seconds)
    return Rotation.from_euler("ZYX", np.column_stack([yaw, pitch, roll]))


def _look(forward_ned: Floats, sway_rad: Floats) -> Rotation:
    """Level camera attitude, camera to north-east-down, that looks nearly along a line."""
    yaw = np.arctan2(forward_ned[:, 1], forward_ned[:, 0])
    pitch = -np.arcsin(forward_ned[:, 2] / np.linalg.norm(forward_ned, axis=1))
    return Rotation.from_euler("ZYX", np.column_stack([yaw + sway_rad[:, 0], pitch + sway_rad[:, 1], 0.0 * yaw]))


def _stated_gimbal(mount: Mount, camera: Rotation, body: Rotation) -> tuple[Rotation, int]:
    """How a gimbal in this frame reports where the camera looks, and what its flags say."""
    honest, other = FLAGS_VEHICLE_YAW, FLAGS_EARTH_YAW
    if mount.frame == "earth":
        honest, other = other, honest
    flags = other if mount.lies else honest
    if mount.frame == "earth":
        return camera, flags
    if mount.frame == "body":
        relative = body.inv() * camera
        if mount.servo:
            # Pan, roll and tilt of the mount, put together in the order of an aircraft's own angles.
            pan, roll, tilt = relative.as_euler("ZXY").T
            relative = Rotation.from_euler("ZYX", np.column_stack([pan, tilt, roll]))
        return relative, flags
    yaw = body.as_euler("ZYX")[:, 0]
    return Rotation.from_euler("ZYX", np.outer(-yaw, [1.0, 0.0, 0.0])) * camera, flags


def _image_point(in_camera: Floats, mount: Mount, noise: Floats) -> tuple[Floats, Floats]:
    """Where points forward, right, down of the camera appear, 0 to 1 from the top left; noise by the width."""
    half_width, half_height = np.tan(np.radians([0.5 * mount.hfov_deg, 0.5 * mount.vfov_deg]))
    x = 0.5 + 0.5 * in_camera[:, 1] / in_camera[:, 0] / half_width + noise[:, 0]
    y = 0.5 + 0.5 * in_camera[:, 2] / in_camera[:, 0] / half_height + noise[:, 1] * half_width / half_height
    return x, y


def _ned(vectors_enu: Floats) -> Floats:
    return np.column_stack([vectors_enu[:, 1], vectors_enu[:, 0], -vectors_enu[:, 2]])


def _wxyz(rotation: Rotation) -> Floats:
    return rotation.as_quat()[:, [3, 0, 1, 2]]
