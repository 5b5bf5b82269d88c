"""simdkalman: one call of `compute` for all targets and all rows, which is what it is made for."""

from collections.abc import Callable

import numpy as np
import simdkalman
from numpy.typing import NDArray
from simdkalman.primitives import smooth

from dronetrack.bench.problems import Drives

Floats = NDArray[np.float64]
Solve = Callable[[], tuple[Floats, Floats]]

LABEL = "simdkalman"


def filter_drives(problem: Drives) -> Solve:
    """Filter with `compute`; it starts at the first row, so the start is predicted to there beforehand."""
    kalman = simdkalman.KalmanFilter(
        state_transition=problem.F, process_noise=problem.Q, observation_model=problem.H, observation_noise=problem.R
    )
    start = (problem.mean @ problem.F.T)[:, :, None]
    spread = problem.F @ problem.cov @ problem.F.T + problem.Q

    def solve() -> tuple[Floats, Floats]:
        states = kalman.compute(
            problem.z, 0, initial_value=start, initial_covariance=spread, filtered=True, smoothed=False
        ).filtered.states
        return states.mean[:, -1], states.cov[:, -1]

    return solve


def smooth_drives(problem: Drives, state: Floats, cov: Floats) -> Solve:
    """Smooth with its primitive, all targets at once, step by step, as `compute` does inside."""

    def solve() -> tuple[Floats, Floats]:
        means, covs = state.copy()[..., None], cov.copy()
        for k in range(state.shape[1] - 2, -1, -1):
            means[:, k], covs[:, k] = smooth(
                means[:, k], covs[:, k], problem.F, problem.Q, means[:, k + 1], covs[:, k + 1]
            )
        return means[..., 0], covs

    return solve
