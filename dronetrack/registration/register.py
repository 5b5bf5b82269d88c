"""Register the drones of one mission: choose each gimbal's frame, then adjust everything together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.measurements import Measurements
from dronetrack.motion import ConstantVelocity
from dronetrack.registration.adjustment import (
    HEADING,
    LAG,
    LATENCY,
    N_CONSTANTS,
    PRIOR_NU,
    YAW,
    Adjustment,
    Fixes,
    Sighter,
)
from dronetrack.registration.frames import (
    correlation_factor,
    frame_prior,
    frame_probabilities,
    likeliest,
    stated_frame,
)
from dronetrack.registration.start import first_path, knots_of, measured_fixes, thinned, unit_fixes
from dronetrack.sensing import (
    FRAME_CODES,
    LATENCY_TYPICAL_S,
    LATENCY_TYPICAL_STD_S,
    SERVO_ERRORS,
    SERVO_FRAMES,
    CameraErrors,
    Correction,
    GimbalFrame,
    View,
    boresight_view,
    estimate_latency,
    tracked_view,
)
from dronetrack.telemetry import Telemetry
from dronetrack.terrain import Terrain, as_terrain
from dronetrack.units import UnitReports

Floats = NDArray[np.float64]

# A mount that says what it was told stands where it was told a moment ago: hobby servos take 0.1 to 0.2 s for 60
# degrees, small steps less.
SERVO_LAG_S, SERVO_LAG_STD_S = 0.1, 0.1
LATENCY_LEAST_PRIOR_S = 0.03
# Rows 50 ms apart, held or interpolated by whoever used them; and the shortest time over the link, which no log tells.
LATENCY_FLOOR_S = 0.008
# A servo follows slow motions later than quick ones; one delay for both is wrong by a part of itself, and what is not
# in the lag comes into the latency.
LAG_DOUBT, SERVO_LATENCY_FLOOR_S = 0.3, 0.015
STEPS = 10
FOREVER_S = 1e9
SMOOTHER = 4.0
FEWEST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Priors:
    """How far off a camera's constants may be before anything is known; standard deviations.

    Parameters
    ----------
    boresight_std_deg : float
        Camera against gimbal, per axis. [deg]
    heading_std_deg : float
        Vehicle's heading; a far one is held more loosely (Student's t), for a bad compass is bad by degrees. [deg]
    scale_std : float
        Tangent of the field of view, as a fraction. [-]
    """

    boresight_std_deg: float = 0.5
    heading_std_deg: float = 1.5
    scale_std: float = 0.01

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"{name} must be positive and finite; got {value}.")

    def constants(self, delay: tuple[float, float], frame: GimbalFrame, *, image: bool) -> tuple[Floats, Floats]:
        """Constants (6,) before an adjustment and their standard deviations; no scale without an image.

        Only a servo mount lags behind what it reports: others report what they measure.
        """
        angles = np.radians([self.boresight_std_deg, self.boresight_std_deg, self.heading_std_deg])
        lag_s, lag_std_s = (SERVO_LAG_S, SERVO_LAG_STD_S) if frame in SERVO_FRAMES else (0.0, 0.0)
        start = np.array([0.0, 0.0, 0.0, delay[0], 1.0, lag_s])
        return start, np.array([*angles, delay[1], self.scale_std if image else 0.0, lag_std_s])


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """What is wrong with one drone's camera, and how sure that is.

    Angles are those that turn the stated line of sight onto the true one.

    Parameters
    ----------
    drone : str
        Which.
    yaw_deg, pitch_deg : float
        Boresight: to the right, and up, fixed in the camera. [deg]
    heading_deg : float
        About the vertical, clockwise from above. [deg]
    latency_s : float
        From the image to the time stamp of its message, on the clock of the drone's own pose. [s]
    scale : float
        True over stated tangent of the field of view. [-]
    yaw_std_deg, pitch_std_deg, heading_std_deg, latency_std_s, scale_std : float
        Standard deviations; that of something that the data do not tell is the one it had before. 0 = not in question.
    cov : (5, 5) float64
        Covariance of the five in the order and units above.
    gimbal_frame : GimbalFrame
        The frame that fits; ``auto`` (what the flags say) where the sightings do not tell.
    frame_probability : dict
        Probability of each frame; the prior where nothing was observed, empty where the frame was given.
    site_enu_m : (3,) float64
        Where the drone was, less where it said, east, north, up, where that is constant; zero where it wanders. [m]
    site_std_m : float
        Standard deviation of that per axis, NaN where nothing was estimated. [m]
    lag_s, lag_std_s : float
        By how much a servo mount stands behind the angles that it reports, and the standard deviation of that. The
        vehicle under it does not lag, so this is not latency: taken for one, it moves the target's place in time.
        Zero for other mounts. [s]
    stats : dict
        Counts, and what each frame's fit said.
    """

    drone: str
    yaw_deg: float
    pitch_deg: float
    heading_deg: float
    latency_s: float
    scale: float
    yaw_std_deg: float
    pitch_std_deg: float
    heading_std_deg: float
    latency_std_s: float
    scale_std: float
    cov: Floats
    gimbal_frame: GimbalFrame
    frame_probability: dict[str, float]
    site_enu_m: Floats = field(default_factory=lambda: np.zeros(3))
    site_std_m: float = float("nan")
    lag_s: float = 0.0
    lag_std_s: float = 0.0
    stats: dict = field(default_factory=dict)

    @property
    def correction(self) -> Correction:
        """What `dronetrack.sensing.sightings` needs of it."""
        return Correction(
            self.yaw_deg,
            self.pitch_deg,
            self.heading_deg,
            self.latency_s,
            self.scale,
            self.gimbal_frame,
            self.yaw_std_deg,
            self.pitch_std_deg,
            self.heading_std_deg,
            self.latency_std_s,
            float(self.cov[YAW, HEADING]),
            tuple(self.site_enu_m.tolist()),
            self.site_std_m,
            self.lag_s,
            self.lag_std_s,
        )

    @property
    def frame_and_clock(self) -> Correction:
        """Of `correction` what has to be known before anything else: frame, delays and scale; the angles stay open."""
        return Correction(
            latency_s=self.latency_s,
            scale=self.scale,
            gimbal_frame=self.gimbal_frame,
            latency_std_s=self.latency_std_s,
            lag_s=self.lag_s,
            lag_std_s=self.lag_std_s,
        )

    def open_budget(self, errors: CameraErrors | None = None) -> CameraErrors:
        """Return the budget for sightings whose angles stay open: a heading found far off is held more loosely.

        As loosely as the adjustment held it (Student's t): most compasses are a degree off, some are five, and a
        normal error of 1.25 degrees would pull one that is three degrees off by its prior alone.

        Parameters
        ----------
        errors : CameraErrors, optional
            The budget of the mount; by default that of a stabilised gimbal.

        Returns
        -------
        CameraErrors
            The same but for `compass_std_deg`.
        """
        errors = errors or CameraErrors()
        off = self.heading_deg / errors.compass_std_deg
        looser = max(np.sqrt((PRIOR_NU + off**2) / (PRIOR_NU + 1.0)), 1.0)
        return replace(errors, compass_std_deg=float(errors.compass_std_deg * looser))

    def __str__(self) -> str:
        frames = ", ".join(f"{name} {share:.3f}" for name, share in self.frame_probability.items())
        return (
            f"{self.drone}: yaw {self.yaw_deg:+.2f} +- {self.yaw_std_deg:.2f}, "
            f"pitch {self.pitch_deg:+.2f} +- {self.pitch_std_deg:.2f}, "
            f"heading {self.heading_deg:+.2f} +- {self.heading_std_deg:.2f} deg, "
            f"latency {self.latency_s:.3f} +- {self.latency_std_s:.3f} s, "
            f"scale {self.scale:.4f} +- {self.scale_std:.4f}"
            + (f", lag {self.lag_s:.3f} +- {self.lag_std_s:.3f} s" if self.lag_std_s > 0.0 else "")
            + f"; gimbal frame {self.gimbal_frame}"
            + (f" ({frames})" if frames else "")
        )


def register(
    drones: Sequence[Telemetry],
    *,
    terrain: Terrain | float | str | None = None,
    cooperative: UnitReports | None = None,
    positions: Measurements | None = None,
    gimbal_frame: GimbalFrame | Sequence[GimbalFrame] = "auto",
    latency_s: float | Literal["auto"] | Sequence[float | Literal["auto"]] = "auto",
    errors: CameraErrors | None = None,
    priors: Priors | None = None,
    motion: ConstantVelocity | None = None,
) -> tuple[Registration, ...]:
    """Estimate what is wrong with the cameras of one mission, from its logs alone.

    All drones look at one target. Its path is unknown but smooth and on the ground; where a unit whose place is
    known is itself the target, that pins it. Geometry that changes, and drones that look at the same time, tell
    boresight from heading from path; the camera's own motion tells the latency.

    Parameters
    ----------
    drones : sequence of Telemetry
        One or more.
    terrain : Terrain, float or str, optional
        The ground. Without it, and without `cooperative`, nothing can be told.
    cooperative : UnitReports, optional
        One unit that *is* the target; its GNSS bias is estimated along.
    positions : Measurements, optional
        Positions of the target from elsewhere, such as `dronetrack.sensing.contacts`.
    gimbal_frame : str or sequence of str, optional
        ``auto`` diagnoses the frame; anything else is believed. One for all drones or one for each.
    latency_s : float, "auto" or sequence, optional
        Likewise. [s]
    errors : CameraErrors, optional
        The error budget; the default depends on the frame (a mount in the body frame is a servo mount).
    priors : Priors, optional
        How far off the constants may be.
    motion : ConstantVelocity, optional
        How the target moves; by default a road vehicle.

    Returns
    -------
    tuple of Registration
        One for each drone, in their order. A drone with too few sightings gets the errors' prior.

    Raises
    ------
    InputError
        If an option is out of range.
    """
    frames = _each(gimbal_frame, len(drones), "gimbal_frame")
    delays = _each(latency_s, len(drones), "latency_s")
    for frame in frames:
        if frame not in FRAME_CODES:
            raise InputError(f"gimbal_frame must be one of {', '.join(FRAME_CODES)}; got {frame!r}.")
    motion = motion or ConstantVelocity()
    ground = None if terrain is None else as_terrain(terrain)
    units = [] if cooperative is None or not len(cooperative) else [unit_fixes(cooperative)]
    entries = [
        _Entry.of(drone, frame, delay, errors, priors or Priors())
        for drone, frame, delay in zip(drones, frames, delays, strict=True)
    ]
    entries = [_with_frame(one, units, ground, motion) for one in entries]
    fixes = units + ([] if positions is None else measured_fixes(positions))
    seen = [number for number, one in enumerate(entries) if one.sighter is not None]
    try:
        adjusted = _adjust([entries[number] for number in seen], units, fixes, ground, motion) if seen else []
    except np.linalg.LinAlgError:  # no data make it singular but those that are not finite
        adjusted = []
    results = dict(zip(seen, adjusted, strict=True)) if adjusted else {}
    return tuple(_registration(one, results.get(number)) for number, one in enumerate(entries))


def register_to_places(
    telemetry: Telemetry,
    place_ecef_m: Floats,
    *,
    gimbal_frame: GimbalFrame = "auto",
    latency_s: float = 0.0,
    errors: CameraErrors | None = None,
    priors: Priors | None = None,
) -> Registration:
    """Estimate what is wrong with one camera from image points whose place on Earth is known.

    Surveyed marks, or many vehicles with a reference of their own: no path is in question, so one picture is enough.

    Parameters
    ----------
    telemetry : Telemetry
        One drone; its `image_target` holds the image points, in any number for each moment.
    place_ecef_m : (n, 3) float64
        Where each image point is; NaN where that is not known. [m]
    gimbal_frame : GimbalFrame, optional
        As in `dronetrack.sensing.sightings`.
    latency_s : float, optional
        From image to the time stamp of its message; not estimated here. [s]
    errors, priors : optional
        As in `register`. With a heading prior of more than 30 degrees the heading is looked for all around.

    Returns
    -------
    Registration
        Of this camera.

    Raises
    ------
    InputError
        If there is not one place for each image point, no known one among them, or no field of view in the log.
    """
    errors, priors = errors or CameraErrors(), priors or Priors()
    places = column("place_ecef_m", place_ecef_m, np.float64, (None, 3))
    if len(places) != len(telemetry.image_target):
        raise InputError(
            f"place_ecef_m must be one for each of {len(telemetry.image_target)} image points; got {len(places)}."
        )
    # The drone's own error is taken as one for the whole log.
    held = replace(errors, position_time_s=FOREVER_S, heading_std_deg=0.0, boresight_time_s=FOREVER_S)
    entry = _Entry.of(telemetry, gimbal_frame, latency_s, held, priors)
    view = tracked_view(telemetry, held)
    known = ~np.isnan(places[view.row]).any(axis=1)
    if not known.any():
        raise InputError("no image point of an active tracker has a known place.")
    view = replace(view, time_us=view.time_us[known], ray=view.ray[known], row=view.row[known])
    sighter = entry.sighter_in(gimbal_frame, held, view, (latency_s, 0.0))
    entry = replace(entry, sighter=replace(sighter, view=view, places=places[view.row]))
    looks = np.arange(0.0, 360.0, 45.0) if priors.heading_std_deg > 30.0 else np.zeros(1)
    fits = [_fit_to_places(entry, np.radians(heading_deg)) for heading_deg in looks]
    best = max(fits, key=lambda fit: fit.log_likelihood())
    cov = _converge(best, STEPS)
    best.border[0, HEADING] = (best.border[0, HEADING] + np.pi) % (2.0 * np.pi) - np.pi
    stats = {"rows": len(view.time_us), "noise_over_stated": float(best.noise[0])}
    site, site_cov = best.site_offset(0)
    result = _registration(entry, (best.border[0], cov, stats))
    return replace(result, site_enu_m=site, site_std_m=float(np.sqrt(np.trace(site_cov) / 3.0)))


def _fit_to_places(entry: "_Entry", heading_rad: float) -> Adjustment:
    """Take the first steps from one heading."""
    assert entry.sighter is not None and entry.sighter.places is not None  # noqa: S101, PT018 - for the type checker
    knots = knots_of([entry.sighter])
    start = entry.sighter.places.mean(axis=0), np.zeros((knots.n, 3))
    fit = Adjustment(knots, start, [entry.sighter], [], None, ConstantVelocity())
    fit.border[0, HEADING] = heading_rad
    for _ in range(6):
        fit.step()
    return fit


@dataclass(frozen=True, slots=True)
class _Entry:
    """One drone on its way through: what was given, what was found."""

    telemetry: Telemetry
    frame: GimbalFrame
    view: View | None
    delay: float | Literal["auto"]
    errors: CameraErrors | None
    priors: Priors
    probability: dict = field(default_factory=dict)
    stats: dict = field(default_factory=dict)
    sighter: Sighter | None = None

    @classmethod
    def of(
        cls,
        telemetry: Telemetry,
        frame: GimbalFrame,
        delay: float | Literal["auto"],
        errors: CameraErrors | None,
        priors: Priors,
    ) -> "_Entry":
        budget = errors or CameraErrors()
        try:
            tracked = len(telemetry.image_target.time_us) > 0
            view = tracked_view(telemetry, budget) if tracked else boresight_view(telemetry)
        except InputError as fault:
            return cls(telemetry, frame, None, delay, errors, priors, stats={"not_registered": str(fault)})
        if len(view.time_us) < FEWEST_ROWS:
            return cls(telemetry, frame, None, delay, errors, priors, stats={"not_registered": "too few sightings"})
        return cls(telemetry, frame, view, delay, errors, priors)

    def typical_delay(self) -> tuple[float, float]:
        """Latency and its standard deviation before any sighting."""
        return (LATENCY_TYPICAL_S, LATENCY_TYPICAL_STD_S) if self.delay == "auto" else (float(self.delay), 0.0)

    def latency(self, view: View, frame: GimbalFrame) -> tuple[float, float]:
        """Return the latency to begin with, from the camera's own motion where that is in question."""
        if self.delay != "auto":
            return float(self.delay), 0.0
        if not view.delayed:
            return 0.0, 0.0
        servo = frame in SERVO_FRAMES
        delay, spread, _ = estimate_latency(self.telemetry, view, frame, SERVO_LAG_S if servo else 0.0)
        # A mount's motion tells the sum of its lag and the latency, not each.
        return delay, max(3.0 * spread, SERVO_LAG_STD_S if servo else LATENCY_LEAST_PRIOR_S)

    def sighter_in(self, frame: GimbalFrame, errors: CameraErrors, view: View, delay: tuple[float, float]) -> Sighter:
        """Read this drone's sightings in one frame, before any correction."""
        noise = np.sqrt(view.pixel_var_rad2 + np.radians(errors.pointing_std_deg) ** 2)
        start, std = self.priors.constants(delay, frame, image=view.delayed)
        return Sighter(self.telemetry, thinned(view), frame, errors, start, std, float(noise))


def _with_frame(one: _Entry, units: list[Fixes], terrain: Terrain | None, motion: ConstantVelocity) -> _Entry:
    """Choose the gimbal's frame, where it is in question, and with it the error budget."""
    if one.view is None:
        return replace(one, probability=frame_prior(one.telemetry) if one.frame == "auto" else {})
    frame, probability, stats = one.frame, {}, {}
    delay = one.latency(one.view, frame)
    if frame == "auto":
        hypotheses: dict[GimbalFrame, Sighter] = {
            name: one.sighter_in(name, one.errors or CameraErrors(), one.view, delay)
            for name in frame_prior(one.telemetry)
        }
        probability, fits = frame_probabilities(hypotheses, units, terrain, motion)
        best, sure = likeliest(probability)
        frame = best if sure else "auto"
        if sure and best != stated_frame(one.telemetry):
            delay = one.latency(one.view, best)
        stats = {"frame_observed": sure, "frame_stated": stated_frame(one.telemetry), "frame_fits": fits}
    errors = one.errors or (SERVO_ERRORS if frame in SERVO_FRAMES else CameraErrors())
    return replace(
        one,
        frame=frame,
        probability=probability,
        stats=stats,
        errors=errors,
        sighter=one.sighter_in(frame, errors, one.view, delay),
    )


def _adjust(
    entries: list[_Entry], units: list[Fixes], fixes: list[Fixes], terrain: Terrain | None, motion: ConstantVelocity
) -> list[tuple[Floats, Floats, dict]]:
    """Adjust all drones; each one's constants, their covariance and counts. Empty without a path to start from."""
    sighters = [one.sighter for one in entries if one.sighter is not None]
    knots = knots_of(sighters)
    path = first_path(knots, sighters, units, terrain, motion)
    if path is None:
        return []
    inside = [knots.within(one) for one in fixes]
    joint = Adjustment(knots, path, sighters, inside, terrain, motion)
    cov = _converge(joint, STEPS)
    # The same once more for a target that moves more smoothly: what changes with that rests on the motion, not on
    # the sightings.
    smoother = replace(
        motion, horizontal_psd=motion.horizontal_psd / SMOOTHER, vertical_psd=motion.vertical_psd / SMOOTHER
    )
    other = Adjustment(knots, (joint.origin, joint.band[:, :3]), sighters, inside, terrain, smoother)
    other.band, other.border = joint.band.copy(), joint.border.copy()
    other.noise = joint.noise
    _converge(other, STEPS - 3)
    moved = other.border - joint.border
    worth = np.array([1.0 / correlation_factor(joint.sights(number).residual) for number in range(len(sighters))])
    constants, cov = _honest(joint, cov, moved.ravel(), np.repeat(worth, N_CONSTANTS))
    out = []
    for number in range(len(sighters)):
        own = slice(number * N_CONSTANTS, (number + 1) * N_CONSTANTS)
        stats = {
            "rows": len(joint.sights(number).residual),
            "noise_over_stated": float(joint.noise[number]),
            "independent": float(worth[number]),
            "moved_by_motion_model": moved[number].tolist(),
        }
        out.append((constants[own], cov[own, own], stats))
    return out


def _converge(joint: Adjustment, steps: int) -> Floats:
    """Step until the constants stay, with noise and volume of the path; return their covariance."""
    cov = np.zeros((0, 0))
    late = max(steps - 8, 0)
    for number in range(steps):
        before = joint.border.copy()
        cov, _ = joint.step()
        if number in (late + 1, late + 3):
            joint.fit_noise()
        if number in (late + 1, late + 3, late + 5):
            joint.take_volume_into_account()
        elif number > late + 5 and np.all(np.abs(joint.border - before).ravel() < 0.02 * np.sqrt(np.diag(cov))):
            break
    return cov


def _honest(joint: Adjustment, cov: Floats, moved: Floats, worth: Floats) -> tuple[Floats, Floats]:
    """Take from the constants what the sightings do not really tell, and let the prior hold what is left open.

    Their information is worth less where rows err alike, and rests on the motion model along `moved`: an error there
    is as likely as not, so the information loses that direction (Sherman-Morrison).
    """
    start = np.concatenate([one.start for one in joint.sighters])
    std = np.concatenate([one.std for one in joint.sighters])
    unit = np.where(std > 0.0, std, 1.0)
    prior = joint.constants_information() * unit**2
    away = (joint.border.ravel() - start) / unit
    both = np.linalg.inv(cov / np.outer(unit, unit))
    data = both - np.diag(prior)
    told = np.linalg.lstsq(data, both @ away - prior * away, rcond=1e-9)[0]
    data *= np.sqrt(np.outer(worth, worth))
    lost = data @ (moved / unit)
    data -= np.outer(lost, lost) / (1.0 + (moved / unit) @ lost)
    for _ in range(4):
        prior = joint.constants_information(start + away * unit) * unit**2
        cov = np.asarray(np.linalg.inv(data + np.diag(prior)), dtype=np.float64)
        away = cov @ data @ told
    return start + away * unit, cov * np.outer(unit, unit)


def _registration(one: _Entry, result: tuple[Floats, Floats, dict] | None) -> Registration:
    """Bring one drone's constants to the units of the door."""
    stats = dict(one.stats)
    start, std = one.priors.constants(one.typical_delay(), one.frame, image=True)
    if one.sighter is not None:
        start, std = one.sighter.start, one.sighter.std
    if result is None or not np.all(np.isfinite(result[1])) or np.any(np.diag(result[1]) < 0.0):
        stats.setdefault("not_registered", "no path to begin with: give a terrain or a cooperative unit")
        constants, cov = start, np.diag(std**2)
    else:
        constants, cov, counts = result
        stats |= counts
    units = np.array([*np.degrees([1.0, 1.0, 1.0]), 1.0, 1.0, 1.0]) * (std > 0.0)
    cov = np.asarray(cov * np.outer(units, units), dtype=np.float64)
    if std[LATENCY] > 0.0:
        cov[LATENCY, LATENCY] += (SERVO_LATENCY_FLOOR_S if std[LAG] > 0.0 else LATENCY_FLOOR_S) ** 2
    cov[LAG, LAG] += (LAG_DOUBT * constants[LAG] * (std[LAG] > 0.0)) ** 2
    values = np.where(std > 0.0, constants * np.where(units > 0.0, units, 1.0), constants)
    stats["clock_std_s"] = one.telemetry.clock.std_s
    names = ("yaw_deg", "pitch_deg", "heading_deg", "latency_s", "scale", "lag_s")
    stds = ("yaw_std_deg", "pitch_std_deg", "heading_std_deg", "latency_std_s", "scale_std", "lag_std_s")
    return Registration(
        drone=one.telemetry.name or f"drone {one.telemetry.system_id}",
        **dict(zip(names, values.tolist(), strict=True)),
        **dict(zip(stds, np.sqrt(np.diag(cov)).tolist(), strict=True)),
        cov=cov[:LAG, :LAG],
        gimbal_frame=one.frame,
        frame_probability=one.probability,
        stats=stats,
    )


def _each(value: object, n: int, name: str) -> list:
    """One for each drone, from one for all or a sequence."""
    if isinstance(value, str | int | float):
        return [value] * n
    values = list(value)  # pyright: ignore[reportArgumentType]
    if len(values) != n:
        raise InputError(f"{name} must be one for all {n} drones or one for each; got {len(values)}.")
    return values
