"""gri-kalman: its `IMM` tracker, one per target, which with one model is a plain Kalman filter; no track is recorded.

Positions come as `Ell`, an ellipsoid in ECEF, made beforehand.
"""

from collections.abc import Callable

import numpy as np
from gri_ell import Ell
from gri_kalman import IMM, ConstantVelocity, LinearMotionModel, rts_smooth
from gri_pos import Pos
from numpy.typing import NDArray

from dronetrack.bench.problems import MOTION, STEP_S, Drives

Floats = NDArray[np.float64]
Solve = Callable[[], tuple[Floats, Floats]]

LABEL = "gri-kalman"


class _Given(LinearMotionModel):
    """A model of which F and Q are given."""

    state_dim = 6

    def __init__(self, F: Floats, Q: Floats) -> None:
        self._F, self._Q = F, Q

    def transition_matrix(self, dt: float) -> Floats:
        return self._F if dt else np.eye(6)

    def process_noise(self, dt: float) -> Floats:
        return self._Q if dt else np.zeros((6, 6))

    def initial_covariance(self, pos_cov_xyz: Floats) -> Floats:  # noqa: ARG002 - the start is given whole
        return np.zeros((6, 6))


def filter_drives(problem: Drives) -> Solve:
    """Feed one filter per target, fix by fix."""
    return _followed(problem, lambda: IMM([velocity()], record_track=False))


def filter_mixture(problem: Drives, models: list[tuple[Floats, Floats]], initial: Floats, switching: Floats) -> Solve:
    """Feed one mixture per target, fix by fix."""
    bank = [_Given(F, Q) for F, Q in models]
    return _followed(problem, lambda: IMM(bank, switching, initial, record_track=False))


def smooth_drives(_problem: Drives, state: Floats, cov: Floats) -> Solve:
    """`rts_smooth` over filtered rows, one sequence at a time."""
    model, times = velocity(), STEP_S * np.arange(1, state.shape[1] + 1)
    tracks = [list(zip(times.tolist(), x, P, strict=True)) for x, P in zip(state, cov, strict=True)]

    def solve() -> tuple[Floats, Floats]:
        smoothed = [rts_smooth(model, one) for one in tracks]
        return np.array([[x for _, x, _ in one] for one in smoothed]), np.array(
            [[P for *_, P in one] for one in smoothed]
        )

    return solve


def fixes_of(problem: Drives, target: int) -> list[tuple[Ell, float]]:
    """Make its ellipsoids of the positions of a target, each with its time."""
    information = np.linalg.inv(problem.R)
    return [(Ell.INFO(Pos.XYZ(z), information), STEP_S * (k + 1)) for k, z in enumerate(problem.z[target])]


def velocity() -> ConstantVelocity:
    """Make its model of the motion that all filters are given."""
    return ConstantVelocity(np.sqrt(MOTION.horizontal_psd))


def _followed(problem: Drives, make: Callable[[], IMM]) -> Solve:
    fixes = [fixes_of(problem, target) for target in range(len(problem.mean))]

    def follow(target: int) -> tuple[Floats, Floats]:
        tracker, mean, cov = make(), problem.mean[target], problem.cov[target]
        tracker.initialize(mean[:3], cov[:3, :3], 0.0, velocity_xyz=mean[3:], pos_vel_cov_xyz=cov)
        for fix, when in fixes[target]:
            tracker.update(fix, when)
        state = tracker.result.track.state
        return np.concatenate([state.xyz, state.vel_xyz]), np.linalg.inv(state.vel_info)

    def solve() -> tuple[Floats, Floats]:
        found = [follow(target) for target in range(len(fixes))]
        return np.array([x for x, _ in found]), np.array([P for _, P in found])

    return solve
