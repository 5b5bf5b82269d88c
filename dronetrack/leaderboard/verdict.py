"""What is a tracker's answer worth? Answers that fit, silence that counts, and one score with both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.errors import InputError
from dronetrack.leaderboard.case import Case
from dronetrack.metrics import Score, score, truth_of
from dronetrack.tracks import COASTING, Track

STAYING = ("first_custody_s", "longest_gap_s", "coasting_share", "custody_breaks")

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How good the answers of one tracker are, over all cases of a data set.

    Parameters
    ----------
    whole : Score
        Over every moment asked for after the start-up. Where the tracker is silent, the last thing that it said
        stands, and before its first word that; so silence costs what a reader of the track would be wrong by.
    said : Score
        Over the moments that it answered: whether it keeps the promises that it makes.
    answered : float
        Share of the moments that it answered.
    lost_runs : int
        Cases in which it said nothing at all; they are part of `answered`, but have no error to be part of a score.
    """

    whole: Score
    said: Score
    answered: float
    lost_runs: int

    @property
    def position_rmse_m(self) -> float:
        """Root mean square error of the position over every moment asked for; infinite if a case got no answer. [m]"""
        return float("inf") if self.lost_runs else self.whole.position_rmse_m

    @property
    def velocity_rmse_mps(self) -> float:
        """The same of the velocity. [m/s]"""
        return float("inf") if self.lost_runs else self.whole.velocity_rmse_mps

    def summary(self) -> str:
        """Return the verdict in words.

        Returns
        -------
        str
            Plain text.
        """
        silence = "" if self.answered == 1.0 else "; where it was silent, its last word counts"
        lost = f"; {self.lost_runs} cases without any answer" if self.lost_runs else ""
        return f"answered     {100.0 * self.answered:.1f} % of the moments{silence}{lost}\n{self.whole.summary()}"


def result_of(time_us: ArrayLike, state: ArrayLike, cov: ArrayLike) -> Track:
    """Put the answers of any tracker into the form that is scored.

    Parameters
    ----------
    time_us : (n,) int64
        Times in order, those of `Case.time_us` for which it has an answer. [us, UTC]
    state : (n, 6) float64
        ECEF position [m] and velocity [m/s].
    cov : (n, 6, 6) float64
        Its covariance.

    Returns
    -------
    Track
        n rows.

    Raises
    ------
    InputError
        If the shapes do not fit, the times are not in order, or a number is missing.

    Examples
    --------
    >>> len(result_of([0, 1], np.zeros((2, 6)), np.stack([np.eye(6)] * 2)))
    2
    """
    return truth_of(time_us, state, cov=cov)


def judge(
    results: Sequence[Track | None],
    cases: Sequence[Case],
    truths: Sequence[Track],
    *,
    settle_s: float,
    lost_m: float,
    bound_m: float = float("nan"),
) -> Verdict:
    """Score the answers to all cases.

    Parameters
    ----------
    results : sequence of Track or None
        One for each case; None where the tracker said nothing.
    cases : sequence of Case
        What it was asked.
    truths : sequence of Track
        What is true.
    settle_s : float
        Start-up after the first measurement of each case, which is not scored. [s]
    lost_m : float
        Custody is held within this horizontal distance of the truth. [m]
    bound_m : float, optional
        Of the position's root mean square error over all moments that are scored. [m]

    Returns
    -------
    Verdict
        All of it.

    Raises
    ------
    InputError
        If an answer does not fit its case, or there is none at all.
    """
    results = list(results)
    if len(results) != len(cases):
        raise InputError(
            f"one result for each of {len(cases)} cases: got {len(results)}. Give None where there is no answer."
        )
    wanted = [moments_of(case, settle_s) for case in cases]
    fitting = [_fitting(result, case) for result, case in zip(results, cases, strict=True)]
    heard = {k: one for k, one in enumerate(fitting) if one is not None}
    spoken = [one.take(np.isin(one.time_us, wanted[k])) for k, one in heard.items()]
    n_said, n_wanted = sum(map(len, spoken)), sum(map(len, wanted))
    if not n_said:
        raise InputError("no result answers a moment after the start-up; there is nothing to score.")
    # Accuracy is of the same moments for every tracker; when it came and how long it stayed, of all it said.
    real = [truths[k] for k in heard]
    filled = [_at(one, wanted[k]) for k, one in heard.items()]
    lived = [_at(one, cases[k].time_us[cases[k].time_us >= one.time_us[0]]) for k, one in heard.items()]
    life = score(lived, real, lost_m=lost_m)
    stayed = {name: getattr(life, name) for name in STAYING}
    whole = replace(score(filled, real, lost_m=lost_m), **stayed, bound_m=bound_m)
    said = whole if n_said == n_wanted else replace(score(spoken, real, lost_m=lost_m), **stayed)
    return Verdict(whole, said, n_said / n_wanted, len(cases) - len(heard))


def moments_of(case: Case, settle_s: float) -> Times:
    """Return the moments of a case that are scored.

    Parameters
    ----------
    case : Case
        The case.
    settle_s : float
        Start-up after its first measurement. [s]

    Returns
    -------
    (n,) int64
        [us, UTC]

    Raises
    ------
    InputError
        If the start-up leaves none.
    """
    wanted = case.time_us[case.time_us >= case.time_us[0] + round(settle_s * 1e6)]
    if not len(wanted):
        raise InputError(f"a start-up of {settle_s} s leaves nothing of seed {case.seed} to score; make it shorter.")
    return wanted


def _fitting(result: Track | None, case: Case) -> Track | None:
    """Check that an answer fits its case, and return its rows at the moments asked for; None for no answer."""
    where = f"result of seed {case.seed}"
    if result is None:
        return None
    if not isinstance(result, Track):
        raise InputError(
            f"{where} must be a Track or None; got {type(result).__name__}. Make one with result_of(time_us, state, "
            "cov)."
        )
    if not len(result):
        return None
    asked = case.time_us
    first, last = int(asked[0]), int(asked[-1])
    outside = (result.time_us < first) | (result.time_us > last)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"{where}: row {row} is of {result.time_us[row]} us, but the case lasts from {first} to {last} us (UTC)."
        )
    # The last row of equal times is the one that has seen all measurements of that moment.
    rows = result.take(np.append(np.diff(result.time_us) > 0, True))
    rows = rows.take(np.isin(rows.time_us, asked))
    if not len(rows):
        raise InputError(
            f"{where}: none of its {len(result)} rows is of a moment asked for; answer at the times of case.time_us, "
            "to the microsecond."
        )
    _check_covariance(rows, where)
    return rows


def _check_covariance(rows: Track, where: str) -> None:
    """Covariances must be symmetric to a millionth and positive definite, seen as correlations."""
    variance = np.diagonal(rows.cov, axis1=1, axis2=2)
    sound = np.isfinite(rows.cov).all(axis=(1, 2)) & np.isfinite(rows.state).all(axis=1) & (variance > 0.0).all(axis=1)
    bad = np.asarray(~sound, dtype=np.bool_)
    std = np.sqrt(np.where(bad[:, None], 1.0, variance))
    correlation = np.where(bad[:, None, None], np.eye(6), rows.cov) / (std[:, :, None] * std[:, None, :])
    bad |= np.abs(correlation - correlation.transpose(0, 2, 1)).max(axis=(1, 2)) > 1e-6
    bad |= np.linalg.eigvalsh(correlation)[:, 0] <= 0.0
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{where}: the covariance at {rows.time_us[row]} us is not symmetric positive definite, nor are "
            f"{int(bad.sum()) - 1} others; a score needs what the tracker believes of its error."
        )


def _at(said: Track, moments: Times) -> Track:
    """Return what stands at some moments: the answer, or else the last word before it, or else the first word."""
    last = np.searchsorted(said.time_us, moments, side="right") - 1
    answered = said.time_us[np.maximum(last, 0)] == moments
    stands = said.take(np.maximum(last, 0))
    status = np.where(answered, stands.status, COASTING).astype(np.int8)
    return replace(stands, time_us=moments, status=status, nis=np.where(answered, stands.nis, np.nan))
