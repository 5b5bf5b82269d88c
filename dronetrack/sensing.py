"""What does a report say about the target, and how surely? Telemetry and unit reports become measurements.

Three kinds of evidence: a *sighting* is a line of sight from a camera, a *geo target* is a position that the camera
computed itself, a *contact* is a ground unit that says it follows the target at some distance. Each row carries the
error that is new in it (`cov`) and the error that it shares with its neighbours (`site_cov` and the `Sensor`).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.kernels import sensing as kernels
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, Measurements, Sensor, measurements_of, merge
from dronetrack.telemetry import ARDUPILOT, Telemetry
from dronetrack.terrain import Terrain, as_terrain
from dronetrack.units import UnitReports

GimbalFrame = Literal["auto", "levelled", "body", "earth", "body_quaternion"]
FRAME_CODES: dict[GimbalFrame, int] = {
    "auto": -1,
    "levelled": kernels.LEVELLED,
    "body": kernels.BODY,
    "earth": kernels.EARTH,
    "body_quaternion": kernels.BODY,
}
SERVO_FRAMES = ("body", "body_quaternion")

TRACKING_ACTIVE = 1  # CAMERA_TRACKING_STATUS_FLAGS
TRACKING_ERROR = 2
TRACKING_COASTING = 8

GIMBAL_RETRACT, GIMBAL_NEUTRAL = 1, 2  # GIMBAL_DEVICE_FLAGS
GIMBAL_YAW_LOCK, GIMBAL_YAW_IN_EARTH_FRAME = 16, 64

FRAME_IN_VIEW_DEG = 10.0  # a servo mount's right frame was 3.3 degrees off on the median
FRAME_DOUBT = 3.0

CONSTANT_S = 1e5  # correlation time of what stays for a whole flight
LONG_S = 300.0  # a boresight that keeps its error for longer is a constant of the log

LATENCY_TYPICAL_S, LATENCY_TYPICAL_STD_S = 0.2, 0.15
LATENCY_COARSE_S = np.arange(0.0, 1.2001, 0.06)
LATENCY_FINE_S = np.arange(-0.08, 0.0801, 0.02)
LATENCY_ALIAS = 0.1
LATENCY_DEPTH = 0.85  # a delay is found where it makes the lines this much smoother than the worst one

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CameraErrors:
    """How a camera on a drone is wrong, as standard deviations.

    The defaults describe a stabilised gimbal on a small multicopter with a compass: fresh errors of a tenth of a
    degree, and errors of a degree that stay.

    Parameters
    ----------
    pixel_std : float
        Image point, per axis, as a fraction of the image width; new in every row.
    pointing_std_deg : float
        Gimbal and attitude together, per axis; new in every row. [deg]
    timing_std_s : float
        Jitter of the time between image and message; new in every row. [s]
    heading_std_deg, heading_time_s : float
        Heading of the vehicle, the part that comes and goes, and how long it stays: on recorded flights of an
        autopilot the heading error moved by up to 1.6 degrees within two minutes. [deg], [s]
    boresight_std_deg, boresight_time_s : float
        Camera against gimbal, per axis, and how long its error stays. [deg], [s]
    h_acc_m, v_acc_m : float
        Drone position, where the log does not say. [m]
    position_time_s : float
        Correlation time of the drone's position error. [s]
    compass_std_deg : float
        Heading of the vehicle, the part that stays for a whole flight. [deg]
    """

    pixel_std: float = 0.004
    pointing_std_deg: float = 0.1
    timing_std_s: float = 0.02
    heading_std_deg: float = 0.5
    heading_time_s: float = 80.0
    boresight_std_deg: float = 0.4
    boresight_time_s: float = 1800.0
    h_acc_m: float = 1.5
    v_acc_m: float = 2.5
    position_time_s: float = 60.0
    compass_std_deg: float = 1.25


@dataclass(frozen=True, slots=True)
class Correction:
    """What to turn and shift before a camera's line of sight is believed, and what of that stays uncertain.

    `dronetrack.registration.register` estimates it; the defaults change nothing and claim nothing. Angles are those
    that turn the stated line of sight onto the true one.

    Parameters
    ----------
    yaw_deg, pitch_deg : float
        Boresight, fixed in the camera: to the right, and up. [deg]
    heading_deg : float
        About the vertical, clockwise from above. [deg]
    latency_s : float, optional
        From image to message; None leaves the estimate to `sightings`. [s]
    scale : float
        True over stated tangent of the field of view. [-]
    gimbal_frame : {"auto", "levelled", "body", "earth", "body_quaternion"}
        What the gimbal quaternion is relative to.
    yaw_std_deg, pitch_std_deg, heading_std_deg, latency_std_s : float
        Standard deviations of what remains after the correction; NaN where nothing was estimated, which keeps the
        error budget of `CameraErrors`. [deg], [deg], [deg], [s]
    yaw_heading_cov_deg2 : float
        Covariance of yaw and heading: the log tells their sum better than either. [deg2]
    site_enu_m : (float, float, float)
        Where the drone was, less where it said: east, north, up. [m]
    site_std_m : float
        Standard deviation of that per axis; NaN keeps the accuracy that the log states. [m]
    lag_s, lag_std_s : float
        By how much a mount stands behind the angles that it reports, and the standard deviation of that. [s]
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    heading_deg: float = 0.0
    latency_s: float | None = None
    scale: float = 1.0
    gimbal_frame: GimbalFrame = "auto"
    yaw_std_deg: float = float("nan")
    pitch_std_deg: float = float("nan")
    heading_std_deg: float = float("nan")
    latency_std_s: float = float("nan")
    yaw_heading_cov_deg2: float = 0.0
    site_enu_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    site_std_m: float = float("nan")
    lag_s: float = 0.0
    lag_std_s: float = 0.0


# A servo mount reports what it was told, not where it points; its error moves with the vehicle's roll and pitch
# (measured on two flights with an ArduPilot servo mount: 1.7 and 3.3 degrees on the median).
SERVO_ERRORS = CameraErrors(pointing_std_deg=0.7, boresight_std_deg=2.5, boresight_time_s=20.0, timing_std_s=0.05)
# The worse and the better of those two (a median of 1.7 degrees over both axes is 1.5 in each), and what is left of the
# better where its lag is known. Nothing smaller: sightings 50 ms apart foretell each other however long a mount errs,
# so they say how fresh its noise is, but hardly how far it wanders.
SERVO_BUDGETS = (
    SERVO_ERRORS,
    CameraErrors(pointing_std_deg=0.3, boresight_std_deg=1.5, boresight_time_s=20.0),
    CameraErrors(pointing_std_deg=0.3, boresight_std_deg=1.0, boresight_time_s=20.0),
)


def sightings(
    telemetry: Telemetry,
    *,
    terrain: Terrain | float | str | None = None,
    gimbal_frame: GimbalFrame = "auto",
    latency_s: float | Literal["auto"] = "auto",
    aim: Literal["auto", "tracked", "boresight"] = "auto",
    cooperative: UnitReports | None = None,
    errors: CameraErrors | None = None,
    correction: Correction | None = None,
    authority: str = "",
) -> Measurements:
    """Turn what a drone's camera tracked into lines of sight with an honest covariance.

    The line of sight is vehicle attitude, gimbal attitude and image point put together at the moment of the image.
    Rows whose tracker is idle, in error or coasting (predicting) are not sightings; they are counted.

    Parameters
    ----------
    telemetry : Telemetry
        One drone.
    terrain : Terrain, float or str, optional
        The ground: height above sea level [m], an elevation file, or a `Terrain`. With it every sighting brings a
        height row that ties the target to the ground where the ray meets it.
    gimbal_frame : {"auto", "levelled", "body", "earth", "body_quaternion"}, optional
        What the gimbal quaternion is relative to: ``levelled`` is roll and pitch to the horizon and yaw to the
        vehicle's heading, ``body`` is the vehicle's body, ``earth`` is the horizon and north. ``auto`` believes the
        flags of each message, as the MAVLink gimbal protocol v2 says. ArduPilot's servo mounts lie there: their
        quaternion holds the angles of the pan, roll and tilt servos, and ``body`` reads it so in ArduPilot's logs;
        ``body_quaternion`` takes it as it stands.
    latency_s : float or "auto", optional
        From image to message, for rows without a time stamp of their own. ``auto`` finds the delay at which the
        camera's own motion cancels best out of the lines of sight. [s]
    aim : {"auto", "tracked", "boresight"}, optional
        ``tracked`` uses the image tracker's point; ``boresight`` takes the middle of the image, for a gimbal that is
        told to point at the target; ``auto`` takes the first that the log has. A gimbal that is stowed, or follows
        its vehicle although elsewhere in the log it locks on, points at nothing: such rows are counted.
    cooperative : UnitReports, optional
        A unit in view whose place is known. It never steers the track; it only checks the gimbal frame, see
        `check_gimbal_frame`.
    errors : CameraErrors, optional
        The error budget; the default depends on the frame (a mount in the body frame is a servo mount).
    correction : Correction, optional
        What `dronetrack.registration.register` found wrong; it is put right, and what stays uncertain of it takes
        the place of the constant errors of `errors`. Its frame and latency stand where those here are ``auto``.
    authority : str, optional
        Who operates the drone.

    Returns
    -------
    Measurements
        Line-of-sight rows, and height rows where there is a terrain. `stats` holds counts, the latency used with its
        standard deviation, and what the check of the gimbal frame said.

    Raises
    ------
    InputError
        If an option is out of range, or the log lacks what a line of sight needs.
    """
    if gimbal_frame not in FRAME_CODES:
        raise InputError(f"gimbal_frame must be one of {', '.join(FRAME_CODES)}; got {gimbal_frame!r}.")
    put_right = correction or Correction()
    if gimbal_frame == "auto":
        gimbal_frame = put_right.gimbal_frame
    if errors is None:
        errors = SERVO_ERRORS if gimbal_frame in SERVO_FRAMES else CameraErrors()
    if aim == "auto":
        aim = "tracked" if len(telemetry.image_target.time_us) else "boresight"
    view = tracked_view(telemetry, errors) if aim == "tracked" else boresight_view(telemetry)
    view = replace(view, ray=_corrected_rays(view.ray, put_right))
    delay, delay_std, delay_how = _latency(telemetry, view, gimbal_frame, latency_s, put_right)
    time_us = view.time_us - np.int64(round(delay * 1e6))
    site, direction, turning, velocity = _lines(telemetry, view, time_us, gimbal_frame, put_right.lag_s)
    lagging = _lagging(telemetry, view, time_us, gimbal_frame, put_right)
    direction, turning, lagging = (
        _headed(vectors, site, put_right.heading_deg) for vectors in (direction, turning, lagging)
    )
    good = ~np.isnan(direction[:, 0])
    name = _name_of(telemetry)
    stats: dict = {
        **view.stats,
        "without_pose": int(np.sum(~good)),
        "sightings": int(np.sum(good)),
        "latency_s": float(delay),
        "latency_std_s": float(delay_std),
        "latency_from": delay_how,
        "gimbal_frame": gimbal_frame,
    }
    if cooperative is not None:
        stats["gimbal_frame_check"] = check_gimbal_frame(telemetry, cooperative, gimbal_frame=gimbal_frame)
    time_us = time_us[good]
    site, direction, turning, velocity, lagging = (each[good] for each in (site, direction, turning, velocity, lagging))
    timing_var_s2 = errors.timing_std_s**2 + delay_std**2
    if any(put_right.site_enu_m):
        lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(site)
        site = site + geodesy.enu_vectors_to_ecef(np.tile(put_right.site_enu_m, (len(site), 1)), lat_deg, lon_deg)
    spread_rad2 = view.pixel_var_rad2 + np.radians(errors.pointing_std_deg) ** 2
    constant_std_deg, boresight_std_deg = _lasting_errors(errors, put_right, site, direction)
    cov = spread_rad2 * (np.eye(3) - _outer(direction)) + timing_var_s2 * _outer(turning) + _outer(lagging)
    clock_std_s = telemetry.clock.std_s if np.isfinite(telemetry.clock.std_s) else 0.0
    site_cov = _position_cov(telemetry, time_us, site, errors)
    if np.isfinite(put_right.site_std_m):
        site_cov = np.broadcast_to(put_right.site_std_m**2 * np.eye(3), site_cov.shape)
    site_cov = site_cov + clock_std_s**2 * _outer(velocity)
    camera = Sensor(
        f"{name} camera",
        authority,
        shared_time_s=errors.position_time_s,
        heading_std_rad=float(np.radians(constant_std_deg)),
        wander_std_rad=float(np.radians(errors.heading_std_deg)),
        boresight_std_rad=float(np.radians(boresight_std_deg)),
        heading_time_s=CONSTANT_S,
        wander_time_s=errors.heading_time_s,
        platform=name,
        boresight_time_s=errors.boresight_time_s,
    )
    lines = measurements_of(
        time_us, LINE_OF_SIGHT, direction, cov, camera, site_ecef_m=site, site_cov=site_cov, stats={camera.name: stats}
    )
    return lines if terrain is None else merge(lines, ground_heights(lines, terrain))


def ground_heights(lines: Measurements, terrain: Terrain | float | str) -> Measurements:
    """Tie the target to the ground: one height row where each line of sight meets the terrain.

    Parameters
    ----------
    lines : Measurements
        Rows of kind `LINE_OF_SIGHT`; others are passed over.
    terrain : Terrain, float or str
        The ground.

    Returns
    -------
    Measurements
        Height rows at the same times; a ray that meets no known ground gives none and is counted.
    """
    ground = as_terrain(terrain)
    seen = lines.take(lines.kind == LINE_OF_SIGHT)
    point, _ = ground.ray_ground(seen.site_ecef_m, seen.z)
    meets = ~np.isnan(point[:, 0])
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(point[meets])
    up = geodesy.enu_rotation(lat_deg, lon_deg)[:, 2]
    return measurements_of(
        seen.time_us[meets],
        HEIGHT,
        point[meets],
        np.broadcast_to(0.3**2 * np.eye(3), (len(up), 3, 3)),
        Sensor("terrain", shared_time_s=30.0, starts_tracks=False),
        site_cov=ground.std_m**2 * _outer(up),
        stats={"terrain": {"rays_without_ground": int(np.sum(~meets)), "std_m": ground.std_m}},
    )


def geo_targets(telemetry: Telemetry, *, latency_s: float = LATENCY_TYPICAL_S, authority: str = "") -> Measurements:
    """Turn positions that the camera computed itself (CAMERA_TRACKING_GEO_STATUS) into measurements.

    Such a position comes from the same pose, gimbal and pixels as the sightings of that drone. Its whole stated error
    therefore counts as one that rows share: it can place the track, but a hundred rows are not a hundred opinions.

    Parameters
    ----------
    telemetry : Telemetry
        One drone.
    latency_s : float, optional
        From image to message. [s]
    authority : str, optional
        Who operates the drone.

    Returns
    -------
    Measurements
        Position rows; rows that are not actively tracking, or without a stated accuracy, are counted, not used.
    """
    rows = telemetry.geo_target
    active = (rows.status & TRACKING_ACTIVE != 0) & (rows.status & (TRACKING_COASTING | TRACKING_ERROR) == 0)
    stated = np.isfinite(rows.h_acc_m) & (rows.h_acc_m > 0.0) & np.isfinite(rows.alt_hae_m)
    use = active & stated
    lat_deg, lon_deg = rows.lat_deg[use], rows.lon_deg[use]
    v_acc = np.where(np.isfinite(rows.v_acc_m[use]), rows.v_acc_m[use], 2.0 * rows.h_acc_m[use])
    local = _diagonal(np.column_stack([rows.h_acc_m[use], rows.h_acc_m[use], v_acc]) ** 2)
    name = f"{_name_of(telemetry)} geo"
    return measurements_of(
        rows.time_us[use] - np.int64(round(latency_s * 1e6)),
        POSITION,
        geodesy.geodetic_to_ecef(lat_deg, lon_deg, rows.alt_hae_m[use]),
        geodesy.enu_covariance_to_ecef(0.5 * local, lat_deg, lon_deg),
        Sensor(name, authority, shared_time_s=60.0, platform=_name_of(telemetry)),
        site_cov=geodesy.enu_covariance_to_ecef(local, lat_deg, lon_deg),
        stats={name: {"not_active": int(np.sum(~active)), "without_accuracy": int(np.sum(active & ~stated))}},
    )


def check_gimbal_frame(telemetry: Telemetry, unit: UnitReports, *, gimbal_frame: GimbalFrame = "auto") -> dict:
    """Compare where the camera looks, in every gimbal frame, with the direction to a unit whose place is known.

    Parameters
    ----------
    telemetry : Telemetry
        One drone.
    unit : UnitReports
        One unit, such as a cooperative target in an exercise.
    gimbal_frame : {"auto", "levelled", "body", "earth", "body_quaternion"}, optional
        The frame in use.

    Returns
    -------
    dict
        ``agrees``; and where one frame has the unit within 10 degrees on the median while the frame in use is off by
        three times as much: ``best_frame``, ``median_angle_deg`` by frame, and a ``warning`` in words.
    """
    view = boresight_view(telemetry)
    time_us, ray = view.time_us, view.ray
    where = _unit_at(unit, time_us)
    angles: dict[GimbalFrame, float] = {}
    for frame in FRAME_CODES:
        site, direction = _directions(telemetry, ray, time_us, frame)
        sight = where - site
        cosine = np.einsum("ni,ni->n", sight, direction) / np.linalg.norm(sight, axis=1)
        angle = np.degrees(np.arccos(np.clip(cosine[np.isfinite(cosine)], -1.0, 1.0)))
        angles[frame] = float(np.median(angle)) if len(angle) >= 20 else float("inf")
    best = min(angles, key=lambda frame: angles[frame])
    used = angles[gimbal_frame]
    if not (angles[best] < FRAME_IN_VIEW_DEG and used > FRAME_DOUBT * angles[best]):
        return {"agrees": True}
    return {
        "agrees": False,
        "best_frame": best,
        "median_angle_deg": angles,
        "warning": (
            f"gimbal frame and target disagree: with gimbal_frame={gimbal_frame!r} the camera looks {used:.1f} deg "
            f"past {unit.names[0]}, with {best!r} {angles[best]:.1f} deg; try gimbal_frame={best!r}."
        ),
    }


def contacts(
    units: UnitReports, *, standoff_m: tuple[float, float], authority: str = "", moving_mps: float = 2.0
) -> Measurements:
    """Turn reports of units that follow the target into measurements of the target.

    A moving unit places the target ahead of it on its course, between the two distances; a standing one only says
    that the target is within the far distance, in any direction. A contact never starts a track. A unit that just
    reports itself says nothing about the target: do not pass it here.

    Parameters
    ----------
    units : UnitReports
        Reports of one or several units.
    standoff_m : (float, float)
        Nearest and farthest distance behind the target. [m]
    authority : str, optional
        Whose units they are.
    moving_mps : float, optional
        Below this speed a course means nothing. [m/s]

    Returns
    -------
    Measurements
        Position rows, one sensor per unit.

    Raises
    ------
    InputError
        If the distances are not ``0 <= near < far``.
    """
    near, far = (float(value) for value in standoff_m)
    if not 0.0 <= near < far < np.inf:
        raise InputError(f"standoff_m must be two distances, 0 <= near < far; got ({near:g}, {far:g}).")
    return merge(*(_contacts_of(units.of(name), name, near, far, authority, moving_mps) for name in units.names))


def _contacts_of(
    unit: UnitReports, name: str, near: float, far: float, authority: str, moving_mps: float
) -> Measurements:
    course = np.radians(unit.course_deg)
    moving = np.isfinite(course) & (unit.speed_mps >= moving_mps)
    ahead = np.where(moving[:, None], np.column_stack([np.sin(course), np.cos(course)]), 0.0)
    middle, half_width_std = 0.5 * (near + far), (far - near) / np.sqrt(12.0)
    # Roads bend: at this distance ahead the target is off the course line by about a third of the way.
    along_var, across_var = half_width_std**2, (middle / 3.0) ** 2
    anywhere_var = 0.5 * (near * near + near * far + far * far) / 3.0
    own_var = np.where(np.isfinite(unit.h_acc_m), unit.h_acc_m, 5.0) ** 2
    local = np.zeros((len(unit), 3, 3))
    local[:, :2, :2] = across_var * np.eye(2) + (along_var - across_var) * _outer(ahead)
    local[~moving, :2, :2] = anywhere_var * np.eye(2)
    local[:, [0, 1], [0, 1]] += own_var[:, None]
    local[:, 2, 2] = 10.0**2
    height = np.where(np.isfinite(unit.alt_hae_m), unit.alt_hae_m, 0.0)
    local[~np.isfinite(unit.alt_hae_m), 2, 2] = 1000.0**2
    own = geodesy.geodetic_to_ecef(unit.lat_deg, unit.lon_deg, height)
    shift = geodesy.enu_vectors_to_ecef(
        middle * np.column_stack([ahead, np.zeros(len(unit))]), unit.lat_deg, unit.lon_deg
    )
    return measurements_of(
        unit.time_us,
        POSITION,
        own + shift,
        np.broadcast_to(2.0**2 * np.eye(3), local.shape),
        Sensor(f"{name} contact", authority, shared_time_s=60.0, starts_tracks=False),
        site_cov=geodesy.enu_covariance_to_ecef(local, unit.lat_deg, unit.lon_deg),
        stats={f"{name} contact": {"moving": int(np.sum(moving)), "standing": int(np.sum(~moving))}},
    )


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Where in the image the target was: ray (n, 3) in the camera (forward, right, down), before any delay.

    `row` says which row of its table (image targets, or gimbal) each is.
    """

    time_us: NDArray[np.int64]
    ray: Floats
    row: NDArray[np.int64]
    pixel_var_rad2: float
    delayed: bool
    stats: dict


def tracked_view(telemetry: Telemetry, errors: CameraErrors) -> View:
    """Return the image tracker's active points as rays, not yet put back by the latency."""
    image, camera = telemetry.image_target, telemetry.camera
    if not len(camera.time_us):
        raise InputError(
            f"{telemetry.name or telemetry.system_id}: the log tracks image points but never says the field of view "
            "(CAMERA_INFORMATION or CAMERA_FOV_STATUS); without it a point is no direction."
        )
    active = image.status & TRACKING_ACTIVE != 0
    coasting = image.status & TRACKING_COASTING != 0
    faulty = image.status & TRACKING_ERROR != 0
    inside = (image.x >= 0.0) & (image.x <= 1.0) & (image.y >= 0.0) & (image.y <= 1.0)
    use = active & ~coasting & ~faulty & inside
    at = np.clip(np.searchsorted(camera.time_us, image.time_us[use], side="right") - 1, 0, None)
    half_width, half_height = np.tan(0.5 * camera.hfov_rad[at]), np.tan(0.5 * camera.vfov_rad[at])
    ray = np.column_stack(
        [
            np.ones(int(use.sum())),
            half_width * (2.0 * image.x[use] - 1.0),
            half_height * (2.0 * image.y[use] - 1.0),
        ]
    )
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    width_rad = 2.0 * float(np.median(half_width)) if len(ray) else 0.0
    counts = {
        "rows": len(image.time_us),
        "idle": int(np.sum(~active & ~coasting & ~faulty)),
        "coasting": int(np.sum(coasting)),
        "error": int(np.sum(faulty & ~coasting)),
        "outside_image": int(np.sum(active & ~coasting & ~faulty & ~inside)),
    }
    return View(
        image.time_us[use], ray, np.flatnonzero(use), (errors.pixel_std * width_rad) ** 2, delayed=True, stats=counts
    )


def boresight_view(telemetry: Telemetry) -> View:
    """Return the middle of the image at each row of a gimbal that points at something."""
    gimbal = telemetry.gimbal
    stowed = gimbal.flags & (GIMBAL_RETRACT | GIMBAL_NEUTRAL) != 0
    aimed = gimbal.flags & (GIMBAL_YAW_LOCK | GIMBAL_YAW_IN_EARTH_FRAME) != 0
    # A gimbal that never locks says nothing by not locking: its operator may aim it by turning the vehicle.
    following = ~aimed & ~stowed & bool(np.any(aimed))
    row = np.flatnonzero(~stowed & ~following)
    time_us = gimbal.time_us[row]
    ray = np.tile([1.0, 0.0, 0.0], (len(time_us), 1))
    counts = {"rows": len(gimbal.time_us), "stowed": int(np.sum(stowed)), "following_vehicle": int(np.sum(following))}
    return View(time_us, ray, row, 0.0, delayed=False, stats=counts)


def _lines(
    telemetry: Telemetry, view: View, time_us: NDArray[np.int64], gimbal_frame: GimbalFrame, lag_s: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Site, line of sight, its rate of turn with the camera [1/s] and the site's velocity, all ECEF; NaN = no pose."""
    half_us = 50_000
    before, after = (
        _directions(telemetry, view.ray, time_us + shift, gimbal_frame, lag_s)[1] for shift in (-half_us, half_us)
    )
    site, direction = _directions(telemetry, view.ray, time_us, gimbal_frame, lag_s)
    earlier, later = (telemetry.pose_at(time_us + shift)[:3] for shift in (-half_us, half_us))
    turning = np.nan_to_num((after - before) / (2e-6 * half_us))
    velocity = (_ecef(*later) - _ecef(*earlier)) / (2e-6 * half_us)
    return site, direction, turning, np.nan_to_num(velocity)


def _lagging(
    telemetry: Telemetry, view: View, time_us: NDArray[np.int64], gimbal_frame: GimbalFrame, put_right: Correction
) -> Floats:
    """By how much each line may be off because the lag of the mount is not quite known (n, 3), one sigma. [rad]"""
    if put_right.lag_std_s == 0.0:
        return np.zeros_like(view.ray)
    half_s = 0.05
    after, before = (
        _directions(telemetry, view.ray, time_us, gimbal_frame, put_right.lag_s + shift)[1]
        for shift in (-half_s, half_s)
    )
    return np.nan_to_num(after - before) * (put_right.lag_std_s / (2.0 * half_s))


def camera_axes(
    telemetry: Telemetry,
    time_us: NDArray[np.int64],
    gimbal_frame: GimbalFrame = "auto",
    *,
    lag_s: float | Floats = 0.0,
) -> tuple[Floats, Floats]:
    """Where a drone was and how its camera was turned, as its log says.

    Parameters
    ----------
    telemetry : Telemetry
        One drone.
    time_us : (n,) int64
        When. [us, UTC]
    gimbal_frame : {"auto", "levelled", "body", "earth", "body_quaternion"}, optional
        As in `sightings`.
    lag_s : float or (n,) float64, optional
        By how much the mount stands behind the angles that it reports; the vehicle under it does not. [s]

    Returns
    -------
    site_ecef_m : (n, 3) float64
        Position; NaN where it is unknown. [m]
    axes : (n, 3, 3) float64
        The camera's forward, right and down axes in ECEF, as columns; NaN where they are unknown.
    """
    site, ned, lat_deg, lon_deg = _directions_ned(telemetry, np.eye(3), time_us, gimbal_frame, lag_s)
    return site, np.stack([geodesy.ned_vectors_to_ecef(axis, lat_deg, lon_deg) for axis in ned], axis=2)


def _directions(
    telemetry: Telemetry, ray: Floats, time_us: NDArray[np.int64], gimbal_frame: GimbalFrame, lag_s: float = 0.0
) -> tuple[Floats, Floats]:
    """Site and line of sight in ECEF at given times; NaN where pose or gimbal are unknown."""
    site, ned, lat_deg, lon_deg = _directions_ned(telemetry, ray[None], time_us, gimbal_frame, lag_s)
    return site, geodesy.ned_vectors_to_ecef(ned[0], lat_deg, lon_deg)


def _directions_ned(
    telemetry: Telemetry,
    rays: Floats,
    time_us: NDArray[np.int64],
    gimbal_frame: GimbalFrame,
    lag_s: float | Floats,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Site in ECEF, directions (k, n, 3) north-east-down of k rays each, (n, 3) or one for all, and where."""
    lat_deg, lon_deg, alt_hae_m, attitude = telemetry.pose_at(time_us)
    gimbal, flags = telemetry.gimbal_at(time_us - np.rint(np.asarray(lag_s) * 1e6).astype(np.int64))
    servo = gimbal_frame == "body" and telemetry.autopilot == ARDUPILOT
    code = kernels.SERVO if servo else FRAME_CODES[gimbal_frame]
    ned = np.empty((len(rays), len(time_us), 3))
    for row, ray in enumerate(rays):
        each = np.array(np.broadcast_to(ray, (len(time_us), 3)), order="C")  # one layout for the kernel
        kernels.directions_ned_rows(attitude, gimbal, np.asarray(flags, dtype=np.int64), each, code, ned[row])
    return _ecef(lat_deg, lon_deg, alt_hae_m), ned, lat_deg, lon_deg


def _corrected_rays(ray: Floats, correction: Correction) -> Floats:
    """Rays (forward, right, down) with the field of view scaled, then turned up by pitch, then right by yaw."""
    scaled = ray * np.array([1.0, correction.scale, correction.scale])
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    yaw, pitch = np.radians([correction.yaw_deg, correction.pitch_deg])
    up = np.array([[np.cos(pitch), 0.0, np.sin(pitch)], [0.0, 1.0, 0.0], [-np.sin(pitch), 0.0, np.cos(pitch)]])
    right = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    return scaled @ (right @ up).T


def _headed(vectors: Floats, site: Floats, heading_deg: float) -> Floats:
    """Turn vectors clockwise about the local vertical."""
    if heading_deg == 0.0:
        return vectors
    good = ~np.isnan(site[:, 0])
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(site[good])
    east, north, up = geodesy.ecef_vectors_to_enu(vectors[good], lat_deg, lon_deg).T
    cos, sin = np.cos(np.radians(heading_deg)), np.sin(np.radians(heading_deg))
    out = np.full_like(vectors, np.nan)
    local = np.column_stack([cos * east + sin * north, cos * north - sin * east, up])
    out[good] = geodesy.enu_vectors_to_ecef(local, lat_deg, lon_deg)
    return out


def _lasting_errors(
    errors: CameraErrors, correction: Correction, site: Floats, direction: Floats
) -> tuple[float, float]:
    """Heading and boresight errors that stay: those of the budget, with the constant ones as the correction left them.

    Yaw and heading both turn the line sideways and the log tells their sum, so they count as one, as heading.
    """
    stds = np.array([correction.yaw_std_deg, correction.pitch_std_deg, correction.heading_std_deg])
    if not np.all(np.isfinite(stds)) or not len(site):
        return errors.compass_std_deg, errors.boresight_std_deg
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(site)
    cos = np.maximum(np.hypot(*geodesy.ecef_vectors_to_enu(direction, lat_deg, lon_deg)[:, :2].T), 0.1)
    sideways = stds[0] ** 2 / cos**2 + 2.0 * correction.yaw_heading_cov_deg2 / cos + stds[2] ** 2
    wandering = errors.boresight_std_deg if errors.boresight_time_s < LONG_S else 0.0
    return float(np.sqrt(np.median(sideways))), float(np.hypot(wandering, stds[1]))


def _latency(
    telemetry: Telemetry,
    view: View,
    gimbal_frame: GimbalFrame,
    latency_s: float | Literal["auto"],
    correction: Correction,
) -> tuple[float, float, str]:
    """Return delay, its standard deviation, and where it came from."""
    if latency_s != "auto":
        if not (isinstance(latency_s, int | float) and 0.0 <= latency_s <= 10.0):
            raise InputError(f"latency_s must be 'auto' or 0 to 10 seconds; got {latency_s!r}.")
        return float(latency_s), 0.0, "given"
    if not view.delayed:
        return 0.0, 0.0, "stamped"
    if correction.latency_s is not None and np.isfinite(correction.latency_std_s):
        return correction.latency_s, correction.latency_std_s, "registered"
    return estimate_latency(telemetry, view, gimbal_frame, correction.lag_s)


def estimate_latency(
    telemetry: Telemetry, view: View, gimbal_frame: GimbalFrame, lag_s: float = 0.0
) -> tuple[float, float, str]:
    """Find the delay at which the camera's own motion cancels best out of the lines of sight.

    With the right delay the direction to the target is as smooth as the target's motion and the pixel noise allow;
    with a wrong one every jerk of gimbal and airframe shows. The roughness is the median second difference, which a
    few wrong rows do not move; the standard deviation comes from the spread over separate stretches of the log.
    """
    step_s = np.diff(view.time_us) * 1e-6
    even = (step_s[1:] < 0.5) & (step_s[:-1] < 0.5) & (step_s[1:] > 0.01) & (step_s[:-1] > 0.01)
    if even.sum() < 80:
        return LATENCY_TYPICAL_S, LATENCY_TYPICAL_STD_S, "typical (too few sightings to estimate)"
    coarse = _roughness(telemetry, view, gimbal_frame, lag_s, LATENCY_COARSE_S, step_s, even)
    whole = np.median(coarse, axis=1) if coarse.shape[1] else np.ones(len(LATENCY_COARSE_S))
    if coarse.shape[1] < 80 or whole.min() > LATENCY_DEPTH * whole.max():
        return LATENCY_TYPICAL_S, LATENCY_TYPICAL_STD_S, "typical (the camera moved too little to estimate)"
    delays = np.maximum(LATENCY_COARSE_S[_first_valley(whole)] + LATENCY_FINE_S, 0.0)
    fine = _roughness(telemetry, view, gimbal_frame, lag_s, delays, step_s, even)
    parts = np.array([_lowest(delays, np.median(part, axis=1)) for part in np.array_split(fine, 8, axis=1)])
    spread = 1.4826 * float(np.median(np.abs(parts - np.median(parts)))) / np.sqrt(len(parts))
    return _lowest(delays, np.median(fine, axis=1)), max(spread, 0.005), "estimated"


def _roughness(
    telemetry: Telemetry,
    view: View,
    gimbal_frame: GimbalFrame,
    lag_s: float,
    delays_s: Floats,
    step_s: Floats,
    even: NDArray[np.bool_],
) -> Floats:
    """Second differences of the lines of sight for each delay: (delays, rows that have a pose at all of them)."""
    rough = np.empty((len(delays_s), int(even.sum())))
    for row, delay in enumerate(delays_s):
        time_us = view.time_us - np.int64(round(delay * 1e6))
        direction = _directions(telemetry, view.ray, time_us, gimbal_frame, lag_s)[1]
        rates = np.diff(direction, axis=0) / np.maximum(step_s, 1e-3)[:, None]
        rough[row] = np.linalg.norm(np.diff(rates, axis=0)[even], axis=1)
    return rough[:, ~np.isnan(rough).any(axis=0)]


def _first_valley(curve: Floats) -> int:
    """Index of the first local minimum that is nearly as low as any: a gimbal that swings evenly has one each swing."""
    walled = np.concatenate([[np.inf], curve, [np.inf]])
    valley = (curve <= walled[:-2]) & (curve <= walled[2:])
    return int(np.flatnonzero(valley & (curve <= curve.min() + LATENCY_ALIAS * np.ptp(curve)))[0])


def _lowest(delays_s: Floats, curve: Floats) -> float:
    """Delay at the lowest point of a curve of even steps, refined by the parabola through it and its neighbours."""
    at = int(np.clip(np.argmin(curve), 1, len(curve) - 2))
    left, middle, right = curve[at - 1 : at + 2]
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0.0 else 0.0
    return float(max(delays_s[at] + np.clip(shift, -1.0, 1.0) * (delays_s[at + 1] - delays_s[at]), 0.0))


def _unit_at(unit: UnitReports, time_us: NDArray[np.int64]) -> Floats:
    """ECEF position of a unit at given times, linear between reports; NaN outside them."""
    own = geodesy.geodetic_to_ecef(unit.lat_deg, unit.lon_deg, unit.alt_hae_m)
    if not len(own):
        return np.full((len(time_us), 3), np.nan)
    axes = [np.interp(time_us, unit.time_us, own[:, axis], left=np.nan, right=np.nan) for axis in range(3)]
    return np.column_stack(axes)


def _position_cov(telemetry: Telemetry, time_us: NDArray[np.int64], site: Floats, errors: CameraErrors) -> Floats:
    """Covariance of the drone's position in ECEF, from its own accuracy report where there is one. [m2]"""
    table = telemetry.position
    at = np.clip(np.searchsorted(table.time_us, time_us, side="right") - 1, 0, None)
    h_acc = np.where(np.isfinite(table.h_acc_m[at]), table.h_acc_m[at], errors.h_acc_m)
    v_acc = np.where(np.isfinite(table.v_acc_m[at]), table.v_acc_m[at], errors.v_acc_m)
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(site)
    return geodesy.enu_covariance_to_ecef(_diagonal(np.column_stack([h_acc, h_acc, v_acc]) ** 2), lat_deg, lon_deg)


def _ecef(lat_deg: ArrayLike, lon_deg: ArrayLike, alt_hae_m: ArrayLike) -> Floats:
    return geodesy.geodetic_to_ecef(lat_deg, lon_deg, alt_hae_m)


def _outer(vectors: Floats) -> Floats:
    return vectors[:, :, None] * vectors[:, None, :]


def _diagonal(variances: Floats) -> Floats:
    return variances[:, :, None] * np.eye(variances.shape[1])


def _name_of(telemetry: Telemetry) -> str:
    return telemetry.name or f"drone {telemetry.system_id}"
