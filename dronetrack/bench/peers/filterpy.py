"""filterpy: one filter object per target, a Python step per row. F, Q, H and R are set once, which is its best case."""

import itertools
from collections.abc import Callable

import numpy as np
from filterpy.kalman import (
    ExtendedKalmanFilter,
    IMMEstimator,
    KalmanFilter,
    MerweScaledSigmaPoints,
    UnscentedKalmanFilter,
)
from numpy.typing import NDArray

from dronetrack import reference
from dronetrack.bench.problems import MOTION, STD_M, Drives
from dronetrack.driving import AlongRoad
from dronetrack.roads import Route

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


def follow_late(
    time_us: NDArray[np.int64], z: Floats, messages: list[NDArray[np.int64]], state: Floats, cov: Floats, *, keeps: bool
) -> Callable[[], Floats]:
    """Follow rows that arrive in messages, some late: back to the state kept before the row, or to the start.

    Each step's matrices are made once; the belief after every message is returned.
    """
    steps: dict[int, tuple[Floats, Floats]] = {}

    def step(kalman: KalmanFilter, step_us: int, row: Floats) -> None:
        if step_us not in steps:
            noise = reference.process_noise(kalman.x, step_us * 1e-6, MOTION)
            steps[step_us] = reference.transition(step_us * 1e-6), noise
        kalman.predict(F=steps[step_us][0], Q=steps[step_us][1])
        kalman.update(row)

    def solve() -> Floats:
        kalman = KalmanFilter(dim_x=6, dim_z=3)
        kalman.x, kalman.P = state.copy(), cov.copy()
        kalman.H, kalman.R = np.eye(3, 6), STD_M**2 * np.eye(3)
        here, kept, beliefs = [0], [(kalman.x, kalman.P)], []
        for message in messages:
            first = len(here)
            for row in message.tolist():
                place = len(here)
                while here[place - 1] > row:
                    place -= 1
                here.insert(place, row)
                first = min(first, place)
            back = first if keeps or first == len(kept) else 1
            kalman.x, kalman.P = kept[back - 1]
            del kept[back:]
            for before, at in itertools.pairwise(here[back - 1 :]):
                step(kalman, int(time_us[at] - time_us[before]), z[at])
                kept.append((kalman.x, kalman.P))
            beliefs.append(kalman.x)
        return np.array(beliefs)

    return solve


def follow_road(
    road: Route, z: Floats, motion: AlongRoad, step_s: float, start: Floats, cov: Floats
) -> Callable[[], Floats]:
    """Filter positions along a road with the unscented filter; the state is arc length, speed, right and above."""
    lateral, above = motion.lateral_time_s, motion.height_time_s
    keep = np.exp(-step_s / np.array([lateral, above]))

    def move(x: Floats, dt: float) -> Floats:
        return np.array([x[0] + dt * x[1], x[1], *(keep * x[2:])])

    def see(x: Floats) -> Floats:
        point = road.to_ecef(x[:1], x[2:3])[0]
        return point + x[3] * point / np.linalg.norm(point)

    noise = np.diag([0.0, 0.0, *((1.0 - keep**2) * np.array([motion.lateral_std_m, motion.height_std_m]) ** 2)])
    noise[:2, :2] = motion.speed_psd * np.array([[step_s**3 / 3, step_s**2 / 2], [step_s**2 / 2, step_s]])

    def solve() -> Floats:
        points = MerweScaledSigmaPoints(4, alpha=0.5, beta=2.0, kappa=-1.0)
        kalman = UnscentedKalmanFilter(4, 3, step_s, see, move, points)
        kalman.x, kalman.P, kalman.R, kalman.Q = start.copy(), cov.copy(), STD_M**2 * np.eye(3), noise
        states = np.empty((len(z), 4))
        for row, seen in enumerate(z):
            kalman.predict()
            kalman.update(seen)
            states[row] = kalman.x
        return states

    return solve
