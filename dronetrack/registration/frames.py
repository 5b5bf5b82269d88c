"""In which frame does a gimbal report? The frame that explains its sightings best, and how sure that is.

In a wrong frame the line of sight carries the vehicle's own turns, and either misses a unit whose place is known or
draws a path that no car drives. Each frame is adjusted with a noise of its own; the evidence counts the sightings
that are independent, not all of them.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dronetrack.kernels.sensing import frame_of_flags_one
from dronetrack.motion import ConstantVelocity
from dronetrack.registration.adjustment import LAG, N_CONSTANTS, Adjustment, Fixes, Sighter
from dronetrack.registration.start import every, first_path, knots_of
from dronetrack.sensing import FRAME_CODES, SERVO_FRAMES, GimbalFrame
from dronetrack.telemetry import ARDUPILOT, Telemetry
from dronetrack.terrain import Terrain

FRAMES: tuple[GimbalFrame, ...] = ("levelled", "body", "earth")
STATED_PRIOR = 0.6  # what a gimbal's flags say is right more often than not; servo mounts are known to lie
SURE = 0.9
NEVER_SURER = 0.001  # something that nobody thought of
MAX_LAG = 400
STEPS = 2
FEWEST_ROWS, FRAME_ROWS = 40, 1_200

Floats = NDArray[np.float64]


def stated_frame(telemetry: Telemetry) -> GimbalFrame:
    """Return the frame that most of the flags state."""
    if not len(telemetry.gimbal):
        return "levelled"
    flags, counts = np.unique(telemetry.gimbal.flags, return_counts=True)
    # A few flags: as Python it is there at once, as a kernel of its own it would be compiled at every start.
    frame_of_flags = inspect.unwrap(frame_of_flags_one)
    codes = np.array([frame_of_flags(flag) for flag in flags.tolist()])
    return max(FRAMES, key=lambda name: int(counts[codes == FRAME_CODES[name]].sum()))


def frame_prior(telemetry: Telemetry) -> dict[GimbalFrame, float]:
    """Return the probability of each frame before any sighting; two readings of the body frame share its part."""
    stated = stated_frame(telemetry)
    prior: dict[GimbalFrame, float] = {
        name: STATED_PRIOR if name == stated else 0.5 * (1.0 - STATED_PRIOR) for name in FRAMES
    }
    if telemetry.autopilot == ARDUPILOT:
        prior["body"], prior["body_quaternion"] = 0.75 * prior["body"], 0.25 * prior["body"]
    return prior


def likeliest(probability: dict[GimbalFrame, float]) -> tuple[GimbalFrame, bool]:
    """Return the likeliest frame, and whether it is sure; which reading of the body frame need not be."""
    body = sum(share for name, share in probability.items() if name in SERVO_FRAMES)
    best = max(probability, key=lambda name: probability[name])
    return best, (body if best in SERVO_FRAMES else probability[best]) >= SURE


def frame_probabilities(
    hypotheses: Mapping[GimbalFrame, Sighter], fixes: list[Fixes], terrain: Terrain | None, motion: ConstantVelocity
) -> tuple[dict[GimbalFrame, float], dict[str, dict[str, float]]]:
    """Return the probability of each frame, and what each fit said: noise [deg], log evidence, independent rows."""
    prior = frame_prior(next(iter(hypotheses.values())).telemetry)
    fits = {name: _fit(one, fixes, terrain, motion) for name, one in hypotheses.items()}
    if all(one is None for one in fits.values()):
        return prior, {}
    known = {name: one for name, one in fits.items() if one is not None}
    best = max(known, key=lambda name: known[name]["log_evidence"])
    rows = known[best]["rows"]
    # Evidence of rows that are not independent is worth that of the independent ones among them.
    worth = known[best]["independent_rows"] / rows
    logs = {name: np.log(share) for name, share in prior.items()}
    for name in prior:
        gap = known[name]["log_evidence"] - known[best]["log_evidence"] if name in known else -np.inf
        logs[name] += worth * gap
    top = max(logs.values())
    total = sum(np.exp(value - top) for value in logs.values())
    sure = 1.0 - NEVER_SURER
    return {name: sure * float(np.exp(logs[name] - top) / total) + NEVER_SURER * prior[name] for name in prior}, known


def _fit(
    one: Sighter, fixes: list[Fixes], terrain: Terrain | None, motion: ConstantVelocity
) -> dict[str, float] | None:
    """Adjust one drone alone in one frame, with its noise estimated; None where there is no path to begin with."""
    # Every frame has the same unknowns: to tell them apart, a mount's lag may pass for latency.
    start, std = (np.where(np.arange(N_CONSTANTS) == LAG, 0.0, each) for each in (one.start, one.std))
    view = every(one.view, max(2, len(one.view.time_us) // FRAME_ROWS))
    one = replace(one, wanders=False, view=view, start=start, std=std)
    knots = knots_of([one])
    path = first_path(knots, [one], fixes, terrain, motion)
    if path is None:
        return None
    fit = Adjustment(
        knots,
        path,
        [one],
        [knots.within(each) for each in fixes],
        terrain,
        motion,
    )
    log_det = 0.0
    try:
        for number in range(STEPS):
            _, log_det = fit.step()
            if number % 2:
                fit.fit_noise()
    except np.linalg.LinAlgError:
        return None
    residual = fit.sights(0).residual
    if len(residual) < FEWEST_ROWS or not np.isfinite(log_det):
        return None
    return {
        "noise_deg": float(np.degrees(one.noise_rad) * np.sqrt(fit.noise[0])),
        "log_evidence": fit.log_likelihood() - 0.5 * log_det,
        "rows": float(len(residual)),
        "independent_rows": len(residual) / correlation_factor(residual),
    }


def correlation_factor(residual: Floats) -> float:
    """Return how many successive whitened residuals (n, d) are worth one: 1 + twice the sum of their correlations."""
    bounded = np.clip(residual - np.median(residual, axis=0), -3.0, 3.0)
    n = len(bounded)
    power = np.fft.rfft(bounded, 2 * n, axis=0)
    correlation = np.fft.irfft(np.abs(power) ** 2, axis=0)[: min(MAX_LAG, n // 4)].sum(axis=1)
    if len(correlation) < 2 or correlation[0] <= 0.0:
        return 1.0
    correlation = correlation[1:] / correlation[0]
    ends = np.flatnonzero(correlation < 0.05)
    return 1.0 + 2.0 * float(correlation[: ends[0] if len(ends) else None].sum())
