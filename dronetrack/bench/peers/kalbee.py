"""kalbee: `VectorizedKalmanFilter`, one call per step for all targets, as its documentation recommends for banks."""

from collections.abc import Callable

import numpy as np
from kalbee import VectorizedKalmanFilter
from numpy.typing import NDArray

from dronetrack.bench.problems import Drives

Floats = NDArray[np.float64]

LABEL = "kalbee"


def filter_drives(problem: Drives) -> Callable[[], tuple[Floats, Floats]]:
    """Predict and update all targets at once, step by step."""
    rows = np.ascontiguousarray(problem.z.transpose(1, 0, 2))[..., None]

    def solve() -> tuple[Floats, Floats]:
        kalman = VectorizedKalmanFilter(
            problem.mean[..., None], problem.cov, problem.F, problem.Q, problem.H, problem.R
        )
        for z in rows:
            kalman.predict()
            kalman.update(z)
        return kalman.state[..., 0], kalman.covariance

    return solve
