"""filterpy: one filter object per target, a Python step per row. F, Q, H and R are set once, which is its best case."""

from collections.abc import Callable

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter, IMMEstimator, KalmanFilter
from numpy.typing import NDArray

from dronetrack.bench.problems import Drives

Floats = NDArray[np.float64]
Solve = Callable[[], tuple[Floats, Floats]]

LABEL = "filterpy"


def _filter_of(problem: Drives, target: int) -> KalmanFilter:
    kalman = KalmanFilter(dim_x=problem.mean.shape[1], dim_z=3)
    kalman.F, kalman.Q, kalman.H, kalman.R = problem.F, problem.Q, problem.H, problem.R
    kalman.x, kalman.P = problem.mean[target].copy(), problem.cov[target].copy()
    return kalman


def filter_drives(problem: Drives) -> Solve:
    """Predict and update, row by row; nothing is stored on the way, which is faster than `batch_filter`."""
    filters = [_filter_of(problem, target) for target in range(len(problem.mean))]

    def solve() -> tuple[Floats, Floats]:
        for target, kalman in enumerate(filters):
            kalman.x, kalman.P = problem.mean[target], problem.cov[target]
            for z in problem.z[target]:
                kalman.predict()
                kalman.update(z)
        return np.array([one.x for one in filters]), np.array([one.P for one in filters])

    return solve


def smooth_drives(problem: Drives, state: Floats, cov: Floats) -> Solve:
    """`rts_smoother` over filtered rows, one sequence at a time."""
    kalman = _filter_of(problem, 0)

    def solve() -> tuple[Floats, Floats]:
        both = [kalman.rts_smoother(x, P)[:2] for x, P in zip(state, cov, strict=True)]
        return np.array([one for one, _ in both]), np.array([one for _, one in both])

    return solve


def filter_mixture(problem: Drives, models: list[tuple[Floats, Floats]], initial: Floats, switching: Floats) -> Solve:
    """Filter with `IMMEstimator` over one `KalmanFilter` per model (F, Q)."""

    def solve() -> tuple[Floats, Floats]:
        done = []
        for target, rows in enumerate(problem.z):
            filters = [_filter_of(problem, target) for _ in models]
            for kalman, (F, Q) in zip(filters, models, strict=True):
                kalman.F, kalman.Q = F, Q
            both = IMMEstimator(filters, initial.copy(), switching)
            for z in rows:
                both.predict()
                both.update(z)
            done.append((both.x, both.P))
        return np.array([x for x, _ in done]), np.array([P for _, P in done])

    return solve


def filter_sights(problem: Drives, lines: Floats, noise: Floats, site: Floats) -> Solve:
    """Filter lines of sight (n, 3), seen again every step, with `ExtendedKalmanFilter` in the plane across the line."""

    def look(state: Floats) -> tuple[Floats, Floats, Floats]:
        towards = state[:3] - site
        distance = np.linalg.norm(towards)
        right = np.cross(towards, site)
        right /= np.linalg.norm(right)
        across = np.array([right, np.cross(right, towards / distance)])
        return np.hstack([across / distance, np.zeros((2, 3))]), across, towards / distance

    def solve() -> tuple[Floats, Floats]:
        done = []
        for target, line in enumerate(lines):
            kalman = ExtendedKalmanFilter(dim_x=6, dim_z=2)
            kalman.F, kalman.Q = problem.F, problem.Q
            kalman.x, kalman.P = problem.mean[target].copy(), problem.cov[target].copy()
            for _ in range(problem.n_steps):
                kalman.predict()
                H, across, towards = look(kalman.x)
                seen, spread = across @ line / (towards @ line), across @ noise @ across.T
                kalman.update(seen, lambda _, H=H: H, lambda _: np.zeros(2), R=spread)
            done.append((kalman.x, kalman.P))
        return np.array([x for x, _ in done]), np.array([P for _, P in done])

    return solve
