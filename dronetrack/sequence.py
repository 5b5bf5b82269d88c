"""What does the textbook filter make of one sequence of positions? No gate, no choice, one compiled call."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.bank import check_covariances
from dronetrack.columns import column, time_column
from dronetrack.errors import InputError, OrderError
from dronetrack.kernels import sequence as kernels
from dronetrack.kernels.motion import ACCELERATION, VELOCITY
from dronetrack.motion import Motion

Floats = NDArray[np.float64]

_ROWS = {VELOCITY: kernels.sequence6_rows, ACCELERATION: kernels.sequence9_rows}


def filter_sequence(
    motion: Motion,
    mean: ArrayLike,
    cov: ArrayLike,
    start_us: int,
    *,
    time_us: ArrayLike,
    position: ArrayLike,
    position_cov: ArrayLike,
) -> tuple[Floats, Floats, Floats]:
    """Filter the positions of one target: predict and update, row after row, with every row believed.

    The plain Kalman filter, for research and for data that need no gate; `dronetrack.track` is the one for the field.
    What comes out goes into `dronetrack.smoothing.smooth_sequences` as it is, one sequence of it.

    Parameters
    ----------
    motion : Motion
        A chain of derivatives: `ConstantVelocity`, `StopAndGo`, `ConstantAcceleration`, `Singer`; d is its
        `state_size`.
    mean : (d,) array_like
        Where it starts: ECEF position [m], velocity [m/s], acceleration [m/s2].
    cov : (d, d) array_like
        Covariance of it, symmetric positive definite.
    start_us : int
        When that holds. [us, UTC]
    time_us : (n,) int64
        When each position holds, not decreasing, none before `start_us`. [us, UTC]
    position : (n, 3) array_like
        ECEF; NaN is a component not observed. [m]
    position_cov : (3, 3) or (n, 3, 3) array_like
        Covariance of the noise. [m2]

    Returns
    -------
    state : (n, d) float64
        After each row.
    cov : (n, d, d) float64
        Their covariances.
    nis : (n,) float64
        Normalised innovation squared; NaN where nothing was observed.

    Raises
    ------
    InputError
        If the model is not such a chain, a shape is wrong, or a covariance is not positive definite.
    OrderError
        If times decrease.

    Examples
    --------
    >>> from dronetrack.motion import ConstantVelocity
    >>> start = np.array([6378137.0, 0, 0, 0, 10, 0])
    >>> time_us = np.arange(1, 101) * 200_000
    >>> z = start[:3] + time_us[:, None] * 1e-6 * start[3:]
    >>> state, cov, nis = filter_sequence(
    ...     ConstantVelocity(), start, 100 * np.eye(6), 0, time_us=time_us, position=z, position_cov=9 * np.eye(3)
    ... )
    >>> state.shape, bool(np.sqrt(cov[-1, 0, 0]) < 3.0)
    ((100, 6), True)
    """
    if motion.code not in _ROWS:
        raise InputError(f"{type(motion).__name__} is not a chain of derivatives; filter it with a TargetBank.")
    d = motion.state_size
    state = column("mean", mean, np.float64, (d,), nan=False)
    spread = column("cov", cov, np.float64, (d, d), nan=False)
    times = time_column("time_us", time_us, (None,), kept=False)
    before = time_column("start_us", [start_us], (1,))
    n = len(times)
    z = column("position", position, np.float64, (n, 3), kept=False)
    noise = np.asarray(position_cov, dtype=np.float64)
    noise = column("position_cov", noise[None] if noise.ndim == 2 else noise, np.float64, (None, 3, 3), nan=False)
    if len(noise) not in (1, n):
        raise InputError(f"position_cov must be (3, 3) or ({n}, 3, 3); got {noise.shape}.")
    if n and (times[0] < before[0] or (times[1:] < times[:-1]).any()):
        raise OrderError("times must not decrease, nor start before start_us; sort the rows by time.")
    check_covariances("cov", spread[None])
    check_covariances("position_cov", noise, of="row")
    packed = np.concatenate([state, spread[np.triu_indices(d)]])
    out, covs, nis = np.empty((n, d)), np.empty((n, d, d)), np.empty(n)
    _ROWS[motion.code](packed, int(before[0]), times, z, noise, motion.parameters[:3].copy(), out, covs, nis)
    return out, covs, nis
