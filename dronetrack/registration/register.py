"""Register the drones of one mission: choose each gimbal's frame, then adjust everything together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.measurements import Measurements
from dronetrack.motion import ConstantVelocity
from dronetrack.registration.adjustment import HEADING, LATENCY, N_CONSTANTS, YAW, Adjustment, Fixes, Sighter
from dronetrack.registration.frames import (
    FRAMES,
    SURE,
    correlation_factor,
    frame_prior,
    frame_probabilities,
    stated_frame,
)
from dronetrack.registration.start import knots_of, measured_fixes, path_through, sighted_path, thinned, unit_fixes
from dronetrack.sensing import (
    FRAME_CODES,
    LATENCY_TYPICAL_S,
    LATENCY_TYPICAL_STD_S,
    SERVO_ERRORS,
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

BORESIGHT_STD_DEG = 0.5
HEADING_STD_DEG = 1.0
SCALE_STD = 0.01
LATENCY_LEAST_PRIOR_S = 0.03
LATENCY_FLOOR_S = 0.005  # rows 50 ms apart, held or interpolated by whoever used them
STEPS = 14
SMOOTHER = 4.0
FEWEST_ROWS = 20


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
    gimbal_frame : {"auto", "levelled", "body", "earth"}
        The frame that fits; ``auto`` (what the flags say) where the sightings do not tell.
    frame_probability : dict
        Probability of each frame; the prior where nothing was observed, empty where the frame was given.
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
        )

    def __str__(self) -> str:
        frames = ", ".join(f"{name} {share:.3f}" for name, share in self.frame_probability.items())
        return (
            f"{self.drone}: yaw {self.yaw_deg:+.2f} +- {self.yaw_std_deg:.2f}, "
            f"pitch {self.pitch_deg:+.2f} +- {self.pitch_std_deg:.2f}, "
            f"heading {self.heading_deg:+.2f} +- {self.heading_std_deg:.2f} deg, "
            f"latency {self.latency_s:.3f} +- {self.latency_std_s:.3f} s, "
            f"scale {self.scale:.4f} +- {self.scale_std:.4f}; "
            f"gimbal frame {self.gimbal_frame}" + (f" ({frames})" if frames else "")
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
        _Entry.of(drone, frame, delay, errors) for drone, frame, delay in zip(drones, frames, delays, strict=True)
    ]
    entries = [_with_frame(one, units, ground, motion) for one in entries]
    fixes = units + ([] if positions is None else measured_fixes(positions))
    seen = [number for number, one in enumerate(entries) if one.sighter is not None]
    adjusted = _adjust([entries[number] for number in seen], units, fixes, ground, motion) if seen else []
    results = dict(zip(seen, adjusted, strict=True)) if adjusted else {}
    return tuple(_registration(one, results.get(number)) for number, one in enumerate(entries))


@dataclass(frozen=True, slots=True)
class _Entry:
    """One drone on its way through: what was given, what was found."""

    telemetry: Telemetry
    frame: GimbalFrame
    view: View | None
    delay: float | Literal["auto"]
    errors: CameraErrors | None
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
    ) -> "_Entry":
        budget = errors or CameraErrors()
        try:
            tracked = len(telemetry.image_target.time_us) > 0
            view = tracked_view(telemetry, budget) if tracked else boresight_view(telemetry)
        except InputError as fault:
            return cls(telemetry, frame, None, delay, errors, stats={"not_registered": str(fault)})
        if len(view.time_us) < FEWEST_ROWS:
            return cls(telemetry, frame, None, delay, errors, stats={"not_registered": "too few sightings"})
        return cls(telemetry, frame, view, delay, errors)

    def typical_delay(self) -> tuple[float, float]:
        """Latency and its standard deviation before any sighting."""
        return (LATENCY_TYPICAL_S, LATENCY_TYPICAL_STD_S) if self.delay == "auto" else (float(self.delay), 0.0)

    def latency(self, view: View, frame: GimbalFrame) -> tuple[float, float]:
        """Return the latency to begin with, from the camera's own motion where that is in question."""
        if self.delay != "auto":
            return float(self.delay), 0.0
        if not view.delayed:
            return 0.0, 0.0
        delay, spread, _ = estimate_latency(self.telemetry, view, frame)
        return delay, max(3.0 * spread, LATENCY_LEAST_PRIOR_S)

    def sighter_in(self, frame: GimbalFrame, errors: CameraErrors, view: View, delay: tuple[float, float]) -> Sighter:
        """Read this drone's sightings in one frame, before any correction."""
        noise = np.sqrt(view.pixel_var_rad2 + np.radians(errors.pointing_std_deg) ** 2)
        start, std = _prior(*delay, view.delayed)
        return Sighter(self.telemetry, thinned(view), frame, errors, start, std, float(noise))


def _with_frame(one: _Entry, units: list[Fixes], terrain: Terrain | None, motion: ConstantVelocity) -> _Entry:
    """Choose the gimbal's frame, where it is in question, and with it the error budget."""
    if one.view is None:
        return replace(one, probability=frame_prior(one.telemetry) if one.frame == "auto" else {})
    frame, probability, stats = one.frame, {}, {}
    delay = one.latency(one.view, frame)
    if frame == "auto":
        hypotheses = {name: one.sighter_in(name, one.errors or CameraErrors(), one.view, delay) for name in FRAMES}
        probability, fits = frame_probabilities(hypotheses, units, terrain, motion)
        best = max(probability, key=lambda name: probability[name])
        sure = probability[best] >= SURE
        frame = best if sure else "auto"
        if sure and best != stated_frame(one.telemetry):
            delay = one.latency(one.view, best)
        stats = {"frame_observed": sure, "frame_stated": stated_frame(one.telemetry), "frame_fits": fits}
    errors = one.errors or (SERVO_ERRORS if frame == "body" else CameraErrors())
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
    start = [one for one in units if len(knots.within(one).time_us)]
    if not start:
        found = sighted_path(sighters, terrain)
        if found is None:
            return []
        start = [found]
    path = path_through(knots, start, terrain, motion)
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
    _converge(other, STEPS // 2)
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
        cov = np.linalg.inv(data + np.diag(prior))
        away = cov @ data @ told
    return start + away * unit, cov * np.outer(unit, unit)


def _registration(one: _Entry, result: tuple[Floats, Floats, dict] | None) -> Registration:
    """Bring one drone's constants to the units of the door."""
    stats = dict(one.stats)
    start, std = (one.sighter.start, one.sighter.std) if one.sighter is not None else _prior(*one.typical_delay(), True)
    if result is None:
        stats.setdefault("not_registered", "no path to begin with: give a terrain or a cooperative unit")
        constants, cov = start, np.diag(std**2)
    else:
        constants, cov, counts = result
        stats |= counts
    units = np.array([*np.degrees([1.0, 1.0, 1.0]), 1.0, 1.0]) * (std > 0.0)
    cov = cov * np.outer(units, units)
    if std[LATENCY] > 0.0:
        cov[LATENCY, LATENCY] += LATENCY_FLOOR_S**2
    values = np.where(std > 0.0, constants * np.where(units > 0.0, units, 1.0), constants)
    stats["clock_std_s"] = one.telemetry.clock.std_s
    return Registration(
        one.telemetry.name or f"drone {one.telemetry.system_id}",
        *values.tolist(),
        *np.sqrt(np.diag(cov)).tolist(),
        cov,
        one.frame,
        one.probability,
        stats,
    )


def _prior(delay_s: float, delay_std_s: float, tracked: bool) -> tuple[Floats, Floats]:
    """Constants before the adjustment, and their standard deviations."""
    angles = np.radians([BORESIGHT_STD_DEG, BORESIGHT_STD_DEG, HEADING_STD_DEG])
    return np.array([0.0, 0.0, 0.0, delay_s, 1.0]), np.array([*angles, delay_std_s, SCALE_STD if tracked else 0.0])


def _each(value: object, n: int, name: str) -> list:
    """One for each drone, from one for all or a sequence."""
    if isinstance(value, str | int | float):
        return [value] * n
    values = list(value)  # pyright: ignore[reportArgumentType]
    if len(values) != n:
        raise InputError(f"{name} must be one for all {n} drones or one for each; got {len(values)}.")
    return values
