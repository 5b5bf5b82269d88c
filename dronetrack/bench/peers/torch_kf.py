"""torch-kf: one call of `filter` for all targets and rows, on the CPU in double precision.

Its own default is single precision, which cannot hold centimetres in ECEF coordinates.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch_kf import GaussianState, KalmanFilter

from dronetrack.bench.problems import Drives

Floats = NDArray[np.float64]

LABEL = "torch-kf (CPU)"
CLOCK = "wall"


def filter_drives(problem: Drives) -> Callable[[], tuple[Floats, Floats]]:
    """Filter all rows of all targets in one call, which begins with an update: the start is predicted to the first."""
    F, Q, H, R, z = (torch.from_numpy(one) for one in (problem.F, problem.Q, problem.H, problem.R, problem.z))
    kalman = KalmanFilter(F, H, Q, R)
    start = torch.from_numpy((problem.mean @ problem.F.T)[..., None])
    spread = torch.from_numpy(problem.F @ problem.cov @ problem.F.T + problem.Q)
    rows = z.transpose(0, 1).unsqueeze(-1).contiguous()

    def solve() -> tuple[Floats, Floats]:
        last = kalman.filter(GaussianState(start, spread), rows, update_first=True)
        return last.mean[..., 0].numpy(), last.covariance.numpy()

    return solve
