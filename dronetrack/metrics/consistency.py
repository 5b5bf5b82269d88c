"""Does a covariance keep its promise? Normalised squares with chi-square bounds, and shares with their own doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Consistency:
    """Average normalised error squared (ANEES, or ANIS for innovations) against its bounds.

    Parameters
    ----------
    mean : float
        Over all rows of all runs; `dimensions` is right.
    low, high : float
        Two-sided bounds of the mean over the runs at one moment. Rows of one run are not independent, so the mean
        over time is at least as tight as these.
    inside : float
        Share of moments at which the mean over the runs lies within the bounds; `probability` is right.
    dimensions, n_runs : int
        Of the error, and of independent runs.
    probability : float
        Of the bounds.
    """

    mean: float
    low: float
    high: float
    inside: float
    dimensions: int
    n_runs: int
    probability: float

    @property
    def holds(self) -> bool:
        """Whether the mean lies within the bounds."""
        return self.low <= self.mean <= self.high


@dataclass(frozen=True, slots=True)
class Share:
    """A share of rows, with its own confidence interval.

    Parameters
    ----------
    value : float
        The share.
    low, high : float
        95 % confidence interval (Wilson) for as many independent rows as these are worth.
    effective_rows : float
        How many independent rows these are worth.
    """

    value: float
    low: float
    high: float
    effective_rows: float


def nees(error: ArrayLike, cov: ArrayLike) -> Floats:
    """Return normalised errors squared, ``e' P^-1 e``.

    Parameters
    ----------
    error : (..., d) float64
        Estimate minus truth, or innovation.
    cov : (..., d, d) float64
        Its covariance.

    Returns
    -------
    (...) float64
        Chi-square of d degrees of freedom where the covariance is right (Bar-Shalom, Li, Kirubarajan 2001, section
        5.4, doi:10.1002/0471221279); NaN where the error is.

    Raises
    ------
    InputError
        If the shapes do not fit.

    Examples
    --------
    >>> nees([[3.0, 4.0]], [[[9.0, 0.0], [0.0, 16.0]]]).tolist()
    [2.0]
    """
    difference, spread = np.asarray(error, dtype=np.float64), np.asarray(cov, dtype=np.float64)
    if spread.shape != (*difference.shape, difference.shape[-1] if difference.ndim else 0):
        raise InputError(f"cov must be (..., d, d) for error (..., d); got {spread.shape} for {difference.shape}.")
    if not difference.size:
        return np.zeros(difference.shape[:-1])
    # Position and velocity differ by orders of magnitude: scaled to a unit diagonal, the solution keeps its digits.
    scale = np.sqrt(np.diagonal(spread, axis1=-2, axis2=-1))
    scaled = difference / scale
    correlation = spread / (scale[..., :, None] * scale[..., None, :])
    return np.sum(scaled * np.linalg.solve(correlation, scaled[..., None])[..., 0], axis=-1)


def chi2_bounds(dimensions: int, n_runs: int = 1, probability: float = 0.95) -> tuple[float, float]:
    """Return two-sided bounds of the mean of normalised squares over independent runs.

    Parameters
    ----------
    dimensions : int
        Of the error.
    n_runs : int, optional
        Independent runs.
    probability : float, optional
        That a consistent filter lies within.

    Returns
    -------
    low, high : float
        Bounds of the mean; `dimensions` lies between.

    Raises
    ------
    InputError
        If a number is out of range.

    Examples
    --------
    >>> low, high = chi2_bounds(6, 200)
    >>> round(low, 2), round(high, 2)
    (5.53, 6.49)
    """
    if dimensions < 1 or n_runs < 1 or not 0.0 < probability < 1.0:
        raise InputError(
            f"bounds need dimensions and runs of at least 1 and a probability in (0, 1); got {dimensions}, {n_runs}, "
            f"{probability}."
        )
    from scipy.special import chdtri

    tail = 0.5 * (1.0 - probability)
    freedom = dimensions * n_runs
    return float(chdtri(freedom, 1.0 - tail)) / n_runs, float(chdtri(freedom, tail)) / n_runs


def consistency(
    squares: ArrayLike, dimensions: int, *, moment: ArrayLike | None = None, probability: float = 0.95
) -> Consistency:
    """Judge normalised squares of many runs: their mean, its chi-square bounds, and how often it lies within.

    Parameters
    ----------
    squares : (runs, n) float64, or (m,) with `moment`
        From `nees`, or the NIS of a filter; NaN where there is none.
    dimensions : int
        Of the error.
    moment : (m,) int64, optional
        Where runs have different rows: all rows one after another, and the time of each.
    probability : float, optional
        Of the bounds.

    Returns
    -------
    Consistency
        Mean, bounds, and share of moments within them.

    Raises
    ------
    InputError
        If there is no row.
    """
    values = np.asarray(squares, dtype=np.float64)
    if moment is None:
        values = np.atleast_2d(values)
        times = np.broadcast_to(np.arange(values.shape[1]), values.shape).ravel()
    else:
        times = np.asarray(moment)
    flat = values.ravel()
    seen = ~np.isnan(flat)
    if not seen.any():
        raise InputError("consistency needs at least one row that is not NaN.")
    _, which = np.unique(times[seen], return_inverse=True)
    count = np.bincount(which)
    mean = np.bincount(which, flat[seen]) / count
    sizes, size = np.unique(count, return_inverse=True)
    limits = np.array([chi2_bounds(dimensions, int(one), probability) for one in sizes])[size]
    inside = (mean >= limits[:, 0]) & (mean <= limits[:, 1])
    n_runs = int(sizes[-1])
    low, high = chi2_bounds(dimensions, n_runs, probability)
    return Consistency(float(flat[seen].mean()), low, high, float(inside.mean()), dimensions, n_runs, probability)


def share_of(held: Sequence[ArrayLike]) -> Share:
    """Return the share of rows for which something holds, and how sure that share is.

    Rows of one run follow each other and agree more than independent ones. For many runs their spread tells how much
    (the design effect of cluster sampling, Kish 1965); for one run, the correlation of its rows does.

    Parameters
    ----------
    held : sequence of (n,) bool
        One entry a run.

    Returns
    -------
    Share
        With a 95 % confidence interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Raises
    ------
    InputError
        If there is no row.

    Examples
    --------
    >>> share_of([[True, True, False, True]]).value
    0.75
    """
    runs = [np.asarray(one, dtype=np.bool_) for one in held]
    sizes = np.array([len(one) for one in runs], dtype=np.float64)
    if not sizes.sum():
        raise InputError("a share needs at least one row.")
    counts = np.array([one.sum() for one in runs], dtype=np.float64)
    value = float(counts.sum() / sizes.sum())
    many = len(runs) > 1
    worth = _worth_of_runs(counts, sizes, value) if many else effective_rows(runs[0].astype(np.float64))
    z2 = 1.959963984540054**2
    middle = (value + z2 / (2.0 * worth)) / (1.0 + z2 / worth)
    half = np.sqrt(z2 * (value * (1.0 - value) / worth + z2 / (4.0 * worth**2))) / (1.0 + z2 / worth)
    return Share(value, float(max(middle - half, 0.0)), float(min(middle + half, 1.0)), float(worth))


def _worth_of_runs(counts: Floats, sizes: Floats, value: float) -> float:
    """Independent rows that would scatter as these runs do: between one a run and all of them."""
    filled = sizes > 0
    runs = int(filled.sum())
    spread = float(np.sum((counts[filled] - value * sizes[filled]) ** 2)) / sizes.sum() ** 2 * runs / max(runs - 1, 1)
    even = value * (1.0 - value)
    return float(np.clip(even / spread if spread > 0.0 else runs, runs, sizes.sum()))


def effective_rows(values: ArrayLike) -> float:
    """Return how many independent rows a correlated sequence is worth for its mean.

    Parameters
    ----------
    values : (n,) float64
        A stationary sequence.

    Returns
    -------
    float
        n over the integrated autocorrelation, summed while pairs of lags stay positive (Geyer 1992,
        doi:10.1214/ss/1177011137); at least 1.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> 700 < effective_rows(rng.normal(size=1000)) <= 1000
    True
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    centred = x - x.mean() if n else x
    if n < 4 or not centred.any():
        return float(max(1, n if n < 4 else 1))
    spectrum = np.fft.rfft(centred, 2 * n)
    lags = np.fft.irfft(np.abs(spectrum) ** 2)[:n]
    pairs = (lags[: n // 2 * 2] / lags[0]).reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0.0)
    total = 2.0 * pairs[: ends[0] if len(ends) else len(pairs)].sum() - 1.0
    return float(np.clip(n / max(total, 1e-12), 1.0, n))
