"""What do later measurements say about earlier states? The backward pass over filtered sequences.

`smooth_sequences` and `smooth_lagged` take what a filter with one motion model left behind, `smooth_mixtures` what a
mixture of models did: many sequences at once, each contiguous in memory; for one sequence n is 1. `smooth_bank` takes
the columns of a bank of targets, step by step, as the bank holds them, and is the fastest.
"""

import os

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.bank import in_slices
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import mixture as mixture_kernels
from dronetrack.kernels import smoothing as kernels
from dronetrack.motion import Mixture, Motion

Floats = NDArray[np.float64]

_THREADED_FROM = 32_768  # steps of all targets; below that a second thread costs more than it brings


def smooth_sequences(motion: Motion, time_us: ArrayLike, state: ArrayLike, cov: ArrayLike) -> tuple[Floats, Floats]:
    """Smooth filtered sequences: each row then knows all measurements of its sequence, before and after.

    Fixed-interval smoothing after Rauch, Tung, Striebel (1965, doi:10.2514/3.3166), for steps of any length. The
    covariance is put together from squares (see `dronetrack.kernels.smoothing`), so it stays symmetric positive
    definite however much better the future knows than the past.

    Parameters
    ----------
    motion : Motion
        The model that the filter predicted with; d is its `state_size`.
    time_us : (n, steps) int64
        Times of each sequence, not decreasing. [us, UTC] Of rows with one time the last is taken for all of them.
    state : (n, steps, d) array_like
        Filtered means, after all measurements of their time: ECEF position [m], velocity [m/s], acceleration [m/s2].
    cov : (n, steps, d, d) array_like
        Their covariances.

    Returns
    -------
    state : (n, steps, d) float64
        Smoothed means.
    cov : (n, steps, d, d) float64
        Their covariances.

    Raises
    ------
    InputError
        If shapes are wrong, a value is NaN, or times decrease.

    Examples
    --------
    Between two fixes of 1 m a coasting target is known far better afterwards:

    >>> from dronetrack.motion import ConstantVelocity, discretise
    >>> model = ConstantVelocity(0.1, 0.1)
    >>> x0 = np.array([6378137.0, 0, 0, 0, 10, 0])
    >>> p0 = np.eye(6)
    >>> f, q = (one[0] for one in discretise(model, x0[None, :3], [5.0]))
    >>> p1 = f @ p0 @ f.T + q
    >>> p2 = np.linalg.inv(np.linalg.inv(f @ p1 @ f.T + q) + np.diag([1.0, 1, 1, 0, 0, 0]))
    >>> _, cov = smooth_sequences(model, [[0, 5_000_000, 10_000_000]], [[x0, f @ x0, f @ f @ x0]], [[p0, p1, p2]])
    >>> [round(float(c[0, 0]), 1) for c in (p1, cov[0, 1])]
    [30.2, 2.3]
    """
    times, states, covs = _sequences(motion.state_size, time_us, state, cov)
    last = np.full(times.shape, times.shape[1] - 1, dtype=np.int64)
    return _smoothed(motion, times, last, states, covs)


def smooth_bank(
    motion: Motion,
    time_us: ArrayLike,
    state: ArrayLike,
    *,
    out: Floats | None = None,
    n_threads: int | None = None,
) -> Floats:
    """Smooth a bank of independent targets, all back together: the fastest way for many.

    Parameters
    ----------
    motion : Motion
        The model that the filter predicted with; d is its `state_size`.
    time_us : (steps, n) int64
        Times of each target, not decreasing. [us, UTC]
    state : (steps, d + d (d + 1) / 2, n) array_like
        What the bank held after each step: d rows of means, then the covariances, upper triangle row by row.
    out : (steps, d + d (d + 1) / 2, n) float64, optional
        Where to write the result, C-contiguous; by default fresh memory, which the system first has to clear: of a bank
        larger than the caches that is a sixth of the time. It may be `state` itself.
    n_threads : int, optional
        Threads among which a large bank (32,768 steps in all and more) is shared; by default one per core. The bits of
        the result do not depend on it.

    Returns
    -------
    (steps, d + d (d + 1) / 2, n) float64
        The same of the smoothed targets; `out`, if it was given. Equal to `smooth_sequences` but for rounding.

    Raises
    ------
    InputError
        If shapes are wrong, a value is NaN (`out` then holds nothing of use), times decrease, or `out` overlaps `state`
        without being it.
    """
    d = motion.state_size
    times = column("time_us", time_us, np.int64, (None, None))
    step_us = np.diff(times, axis=0)
    _forwards(step_us)
    steps, n = times.shape
    shape = steps, d + d * (d + 1) // 2, n
    out = np.empty(shape) if out is None else _room(out, shape, state)
    straight = motion.code == kernels.VELOCITY
    # That kernel looks for NaN on its way; what it will overwrite has to be looked through before.
    later = straight and not np.may_share_memory(state, out)
    states = column("state", _read_only(state), np.float64, shape, nan=later)
    if straight:
        left = np.zeros(n, dtype=np.int64)
        columns = motion.parameters, step_us * 1e-6, states, out, left
        smallest = -(-_THREADED_FROM // max(steps, 1))
        odd = in_slices(n_threads or os.cpu_count() or 1, n, kernels.smooth_bank_rows, *columns, smallest=smallest)
        if odd >= 0 or left.any():
            column("state", states, np.float64, shape, nan=False)
        for steps_left in np.unique(left[left > 0]):
            # What the filter knew of these, and of the step after them what is smoothed already.
            which = left == steps_left
            rows = out[: steps_left + 1, :, which]
            rows[:-1] = states[:steps_left, :, which]
            out[: steps_left + 1, :, which] = _one_by_one(motion, times[: steps_left + 1, which], rows)
        return out
    out[:] = _one_by_one(motion, times, states)
    return out


def _one_by_one(motion: Motion, times: NDArray[np.int64], states: Floats) -> Floats:
    """`smooth_bank` by `smooth_sequences`."""
    d, (steps, n) = motion.state_size, times.shape
    rows, columns = np.triu_indices(d)
    covs = np.empty((n, steps, d, d))
    covs[:, :, rows, columns] = covs[:, :, columns, rows] = states[:, d:].transpose(2, 0, 1)
    means, covs = smooth_sequences(motion, times.T, states[:, :d].transpose(2, 0, 1), covs)
    return np.concatenate([means, covs[:, :, rows, columns]], axis=2).transpose(1, 2, 0)


def smooth_lagged(
    motion: Motion, time_us: ArrayLike, state: ArrayLike, cov: ArrayLike, *, lag_s: float
) -> tuple[Floats, Floats]:
    """Smooth filtered sequences as a display that runs `lag_s` behind would: each row knows only so much future.

    Fixed-lag smoothing. Row k comes out, to the bit, as the first row of `smooth_sequences` over the rows from k to the
    last one within `lag_s` of it; so live use is that call on the rows that a tracker still holds.

    Parameters
    ----------
    motion : Motion
        The model that the filter predicted with; d is its `state_size`.
    time_us, state, cov : array_like
        As for `smooth_sequences`.
    lag_s : float
        How far into the future each row may look. [s]

    Returns
    -------
    state : (n, steps, d) float64
        Smoothed means.
    cov : (n, steps, d, d) float64
        Their covariances.

    Raises
    ------
    InputError
        If shapes are wrong, a value is NaN, times decrease, or the lag is not positive and finite.
    """
    if not (np.isfinite(lag_s) and lag_s > 0.0):
        raise InputError(f"lag_s must be positive and finite; got {lag_s}.")
    times, states, covs = _sequences(motion.state_size, time_us, state, cov)
    limit = times + round(lag_s * 1e6)
    last = np.empty(times.shape, dtype=np.int64)
    for row, one, until in zip(last, times, limit, strict=True):
        row[:] = np.searchsorted(one, until, side="right") - 1
    return _smoothed(motion, times, last, states, covs)


def smooth_mixtures(
    mixture: Mixture, time_us: ArrayLike, probability: ArrayLike, state: ArrayLike, cov: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Smooth filtered sequences of a mixture: which model was right when, and where the target was under each.

    What the future says about a model's next state is its smoothed Gaussian over the predicted one. Every model of
    this step hears it for every model of the next, and the pairs that end in one model are merged, as the filter
    merged them on the way forward (expectation propagation: Heskes, Zoeter 2002, arXiv:1301.0572). Helmick, Blair and
    Hoffman (1995, doi:10.1109/18.476310) run a second filter backwards for the same, which needs a start that knows
    nothing and inverts its covariances.

    Parameters
    ----------
    mixture : Mixture
        The m models that the filter used; d is the `state_size`.
    time_us : (n, steps) int64
        Times of each sequence, not decreasing. [us, UTC]
    probability : (n, steps, m) array_like
        Filtered probability of each model.
    state : (n, steps, m, d) array_like
        Filtered mean under each model.
    cov : (n, steps, m, d, d) array_like
        Its covariance.

    Returns
    -------
    probability : (n, steps, m) float64
        Smoothed probability of each model.
    state : (n, steps, m, d) float64
        Smoothed mean under each model.
    cov : (n, steps, m, d, d) float64
        Its covariance. `combined` makes one mean and covariance of them.

    Raises
    ------
    InputError
        If shapes are wrong, a value is NaN, or times decrease.
    """
    m, d = len(mixture.models), mixture.state_size
    times = _times(time_us)
    probabilities, states, covs = _mixtures(probability, state, cov, m, d, times.shape)
    out = np.empty_like(probabilities), np.empty_like(states), np.empty_like(covs)
    kernels.smooth_mixture_rows(
        mixture.codes, mixture.parameters, mixture.rates, _steps_s(times), probabilities, states, covs, *out
    )
    return out


def combined(probability: ArrayLike, state: ArrayLike, cov: ArrayLike) -> tuple[Floats, Floats]:
    """Return the mean and covariance of mixtures.

    Parameters
    ----------
    probability : (n, steps, m) array_like
        Probability of each model.
    state : (n, steps, m, d) array_like
        Mean under each model.
    cov : (n, steps, m, d, d) array_like
        Its covariance.

    Returns
    -------
    state : (n, steps, d) float64
        Mean of the mixture.
    cov : (n, steps, d, d) float64
        Its covariance: the mean one, and the spread of the means.

    Raises
    ------
    InputError
        If shapes are wrong or a value is NaN.
    """
    shape = np.shape(state)
    if len(shape) != 4:
        raise InputError(f"state must be (n, steps, m, d); got {shape}.")
    n, steps, m, d = shape
    probabilities, states, covs = _mixtures(probability, state, cov, m, d, (n, steps))
    out = np.empty((n * steps, d)), np.empty((n * steps, d, d))
    flat = (one.reshape(n * steps, *one.shape[2:]) for one in (probabilities, states, covs))
    mixture_kernels.combine_rows(*flat, *out)
    return out[0].reshape(n, steps, d), out[1].reshape(n, steps, d, d)


def _smoothed(
    motion: Motion, times: NDArray[np.int64], last: NDArray[np.int64], states: Floats, covs: Floats
) -> tuple[Floats, Floats]:
    out = np.empty_like(states), np.empty_like(covs)
    kernels.smooth_rows(motion.code, motion.parameters, _steps_s(times), last, states, covs, *out)
    return out


def _read_only(values: ArrayLike) -> NDArray:
    """View of what is read in this call only: a column that may change would be copied."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


def _room(out: Floats, shape: tuple[int, ...], state: ArrayLike) -> Floats:
    if out is not state and np.may_share_memory(out, state):
        raise InputError("out must be state itself, or share no memory with it.")
    fits = out.shape == shape and out.dtype == np.float64
    if not (fits and out.flags.c_contiguous and out.flags.writeable):
        raise InputError(f"out must be a writeable, C-contiguous float64 array {shape}; got {out.dtype} {out.shape}.")
    return out


def _sequences(
    d: int, time_us: ArrayLike, state: ArrayLike, cov: ArrayLike
) -> tuple[NDArray[np.int64], Floats, Floats]:
    times = _times(time_us)
    states = column("state", state, np.float64, (*times.shape, d), nan=False)
    return times, states, column("cov", cov, np.float64, (*times.shape, d, d), nan=False)


def _mixtures(
    probability: ArrayLike, state: ArrayLike, cov: ArrayLike, m: int, d: int, shape: tuple[int, ...]
) -> tuple[Floats, Floats, Floats]:
    return (
        column("probability", probability, np.float64, (*shape, m), low=0.0, high=1.0 + 1e-9, nan=False),
        column("state", state, np.float64, (*shape, m, d), nan=False),
        column("cov", cov, np.float64, (*shape, m, d, d), nan=False),
    )


def _times(time_us: ArrayLike) -> NDArray[np.int64]:
    times = column("time_us", time_us, np.int64, (None, None))
    _forwards(np.diff(times, axis=1))
    return times


def _forwards(step_us: NDArray[np.int64]) -> None:
    if step_us.min(initial=0) < 0:
        raise InputError("time_us must not decrease within a sequence; sort the rows of each sequence by time.")


def _steps_s(times: NDArray[np.int64]) -> Floats:
    return np.ascontiguousarray(np.diff(times, axis=1) * 1e-6)
