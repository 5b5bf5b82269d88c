"""How far off is a track, how honest, how continuous? Errors against the truth, and one score with all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.metrics.bound import Bound
from dronetrack.metrics.consistency import Consistency, Share, consistency, nees, share_of
from dronetrack.tracks import CHI2_95_2D, COASTING, CONFIRMED, Track

ENDED_US = 1_000_000
SLOW_MPS = 1.0  # below this a course means nothing, and along and across neither

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Estimate minus truth at the rows of a track that the truth covers, n rows.

    Parameters
    ----------
    time_us : (n,) int64
        [us, UTC]
    state : (n, 6) float64
        ECEF position [m] and velocity [m/s].
    cov : (n, 6, 6) float64
        What the track promises, plus the truth's own covariance.
    position_enu_m, velocity_enu_mps : (n, 3) float64
        The same errors east, north, up.
    along_across_up_m : (n, 3) float64
        Position error along the true course, to its right, and upwards; the first two NaN where the target stands. [m]
    cov_en_m2 : (n, 2, 2) float64
        Covariance of the position, east and north.
    """

    time_us: NDArray[np.int64]
    state: Floats
    cov: Floats
    position_enu_m: Floats
    velocity_enu_mps: Floats
    along_across_up_m: Floats
    cov_en_m2: Floats

    def __len__(self) -> int:
        return len(self.time_us)


@dataclass(frozen=True, slots=True)
class Score:
    """How good one track is, or the tracks of many runs together.

    Parameters
    ----------
    n_runs, n_rows : int
        What was scored, after the start-up.
    position_rmse_m, velocity_rmse_mps : float
        Root mean square of the error's length in space. [m], [m/s]
    along_rmse_m, across_rmse_m, up_rmse_m : float
        Of the position, along and across the true course, and upwards. [m]
    median_m, p95_m : float
        Horizontal error. [m]
    nees : Consistency
        Of the whole state, 6 dimensions.
    position_nees : Consistency
        Of the horizontal position, 2 dimensions.
    nis_per_component : float
        Mean normalised innovation squared for each measured number, as the filter counted it; 1 is right.
    ellipse_95 : Share
        Share of rows with the truth inside the 95 % ellipse.
    first_custody_s : float
        From the first row of the truth to the first moment in custody, mean of the runs that get there; infinite if
        none does. [s]
    longest_gap_s : float
        Longest stretch without a confirmed row once the track exists, of all runs. [s]
    coasting_share : float
        Share of time that is predicted only.
    custody_breaks : float
        How often custody was lost, per run.
    bound_m : float
        Cramer-Rao bound of `position_rmse_m` over the same rows; NaN without a bound. [m]
    """

    n_runs: int
    n_rows: int
    position_rmse_m: float
    velocity_rmse_mps: float
    along_rmse_m: float
    across_rmse_m: float
    up_rmse_m: float
    median_m: float
    p95_m: float
    nees: Consistency
    position_nees: Consistency
    nis_per_component: float
    ellipse_95: Share
    first_custody_s: float
    longest_gap_s: float
    coasting_share: float
    custody_breaks: float
    bound_m: float = float("nan")

    @property
    def efficiency(self) -> float:
        """RMSE over bound: 1 is as good as can be, NaN without a bound."""
        return self.position_rmse_m / self.bound_m

    def summary(self) -> str:
        """Return the score in words, one line for each question.

        Returns
        -------
        str
            Plain text.
        """
        bound = "" if np.isnan(self.bound_m) else f"; bound {self.bound_m:.2f} m, efficiency {self.efficiency:.3f}"
        share, percent = self.ellipse_95, 100.0
        lines = (
            f"runs         {self.n_runs}, {self.n_rows} rows",
            f"position     RMSE {self.position_rmse_m:.2f} m{bound}",
            f"             along {self.along_rmse_m:.2f}, across {self.across_rmse_m:.2f}, up {self.up_rmse_m:.2f} m",
            f"             horizontal median {self.median_m:.2f} m, 95 % {self.p95_m:.2f} m",
            f"velocity     RMSE {self.velocity_rmse_mps:.2f} m/s",
            _say("ANEES", self.nees),
            _say("position", self.position_nees),
            f"NIS          {self.nis_per_component:.3f} per component (1 is right)",
            f"95 % ellipse {percent * share.value:.1f} % ({percent * share.low:.1f} to {percent * share.high:.1f} %)",
            f"custody      first after {self.first_custody_s:.1f} s, {self.custody_breaks:.2f} breaks per run",
            f"             longest gap {self.longest_gap_s:.1f} s, coasting {percent * self.coasting_share:.1f} %",
        )
        return "\n".join(lines)


def truth_of(time_us: ArrayLike, state: ArrayLike, *, cov: ArrayLike | None = None) -> Track:
    """Return known states as a track without doubt, for use as the truth.

    Parameters
    ----------
    time_us : (n,) int64
        Increasing times. [us, UTC]
    state : (n, 6) float64
        ECEF position [m] and velocity [m/s].
    cov : (n, 6, 6) float64, optional
        Covariance of the reference, such as a receiver on the target; none by default.

    Returns
    -------
    Track
        n rows, all confirmed.

    Examples
    --------
    >>> len(truth_of([0, 1], np.zeros((2, 6))))
    2
    """
    times = column("time_us", time_us, np.int64, (None,))
    n = len(times)
    return Track(
        time_us=times,
        track_id=0,
        status=np.full(n, CONFIRMED, dtype=np.int8),
        state=np.asarray(state, dtype=np.float64),
        cov=np.zeros((n, 6, 6)) if cov is None else np.asarray(cov, dtype=np.float64),
        nis=np.full(n, np.nan),
        n_sensors=np.zeros(n, dtype=np.int16),
    )


def errors_of(track: Track, truth: Track, *, settle_s: float = 0.0) -> Errors:
    """Return estimate minus truth at the rows of a track that the truth covers.

    Parameters
    ----------
    track : Track
        The estimate.
    truth : Track
        The truth; between its rows it is interpolated (cubic).
    settle_s : float, optional
        Leave out this long after the first row of the track. [s]

    Returns
    -------
    Errors
        One row per row of the track, the last one of equal times.
    """
    rows = (track.time_us >= truth.time_us[0]) & (track.time_us <= truth.time_us[-1]) if len(truth) else None
    if rows is None or not len(track):
        three = np.zeros((0, 3))
        none = np.zeros(0, dtype=np.int64)
        return Errors(none, np.zeros((0, 6)), np.zeros((0, 6, 6)), three, three, three, np.zeros((0, 2, 2)))
    rows &= track.time_us >= track.time_us[0] + round(settle_s * 1e6)
    rows &= np.append(np.diff(track.time_us) > 0, True)
    seen = track.take(rows)
    real = truth.at(seen.time_us)
    error, cov = seen.state - real.state, seen.cov + real.cov
    lat_deg, lon_deg = real.lat_deg, real.lon_deg
    place = geodesy.ecef_vectors_to_enu(error[:, :3], lat_deg, lon_deg)
    return Errors(
        seen.time_us,
        error,
        cov,
        place,
        geodesy.ecef_vectors_to_enu(error[:, 3:], lat_deg, lon_deg),
        along_across_up(place, real.vel_enu_mps),
        geodesy.ecef_covariance_to_enu(cov[:, :3, :3], lat_deg, lon_deg)[:, :2, :2],
    )


def along_across_up(error_enu_m: ArrayLike, velocity_enu_mps: ArrayLike) -> Floats:
    """Turn position errors into errors along the course, to its right, and upwards.

    Parameters
    ----------
    error_enu_m, velocity_enu_mps : (..., 3) float64
        East, north, up. [m], [m/s]

    Returns
    -------
    (..., 3) float64
        Along, across (right positive), up; the first two NaN below 1 m/s, where a course means nothing. [m]

    Examples
    --------
    >>> along_across_up([[3.0, 4.0, 5.0]], [[0.0, 10.0, 0.0]]).tolist()
    [[4.0, 3.0, 5.0]]
    """
    error, velocity = np.asarray(error_enu_m, dtype=np.float64), np.asarray(velocity_enu_mps, dtype=np.float64)
    if error.shape != velocity.shape or error.shape[-1:] != (3,):
        raise InputError(f"error and velocity must both be (..., 3); got {error.shape} and {velocity.shape}.")
    speed = np.hypot(velocity[..., 0], velocity[..., 1])
    ahead = np.full((*speed.shape, 2), np.nan)
    moving = speed >= SLOW_MPS
    ahead[moving] = velocity[moving][:, :2] / speed[moving][:, None]
    along = error[..., 0] * ahead[..., 0] + error[..., 1] * ahead[..., 1]
    across = error[..., 0] * ahead[..., 1] - error[..., 1] * ahead[..., 0]
    return np.stack([along, across, error[..., 2]], axis=-1)


def rmse(error: ArrayLike) -> float:
    """Return the root mean square length of errors, leaving out rows with NaN.

    Parameters
    ----------
    error : (..., d) float64
        Errors of d components.

    Returns
    -------
    float
        In the unit of the error; NaN where no row is left.

    Examples
    --------
    >>> rmse([[3.0, 4.0], [0.0, 5.0]])
    5.0
    """
    squares = np.sum(np.asarray(error, dtype=np.float64) ** 2, axis=-1)
    squares = squares[~np.isnan(squares)]
    return float(np.sqrt(squares.mean())) if squares.size else float("nan")


def score(
    tracks: Track | Sequence[Track],
    truths: Track | Sequence[Track],
    *,
    settle_s: float = 0.0,
    lost_m: float = 50.0,
    bound: Bound | None = None,
    probability: float = 0.95,
) -> Score:
    """Score one track, or the tracks of many runs together.

    Parameters
    ----------
    tracks : Track, or one for each run
        The estimates.
    truths : Track, or one for each run
        The truths.
    settle_s : float, optional
        Leave the start-up of each track out of accuracy and consistency. [s]
    lost_m : float, optional
        Custody is held while the track exists and lies within this horizontal distance of the truth. [m]
    bound : Bound, optional
        To compare the position with.
    probability : float, optional
        Of the bounds of consistency.

    Returns
    -------
    Score
        All of it.

    Raises
    ------
    InputError
        If the numbers of tracks and truths differ, or no row is left to score.

    Examples
    --------
    >>> truth = truth_of([0, 1_000_000], [[6.4e6, 0.0, 0.0, 0.0, 10.0, 0.0], [6.4e6, 10.0, 0.0, 0.0, 10.0, 0.0]])
    >>> perfect = truth_of(truth.time_us, truth.state, cov=np.stack([np.eye(6)] * 2))
    >>> score(perfect, truth).position_rmse_m
    0.0
    """
    some = (tracks,) if isinstance(tracks, Track) else tuple(tracks)
    real = (truths,) if isinstance(truths, Track) else tuple(truths)
    if len(some) != len(real):
        raise InputError(f"one truth for each track: got {len(some)} tracks and {len(real)} truths.")
    runs = [errors_of(track, truth, settle_s=settle_s) for track, truth in zip(some, real, strict=True)]
    if not sum(map(len, runs)):
        raise InputError("no row is left to score: the tracks are empty, outside the truths, or shorter than settle_s.")
    time_us = np.concatenate([run.time_us for run in runs])
    state, place = np.concatenate([run.state for run in runs]), np.concatenate([run.position_enu_m for run in runs])
    course = np.concatenate([run.along_across_up_m for run in runs])
    flat = np.hypot(place[:, 0], place[:, 1])
    flat_squares = [nees(run.position_enu_m[:, :2], run.cov_en_m2) for run in runs]
    held = [_custody(track, truth, lost_m) for track, truth in zip(some, real, strict=True)]
    firsts = [first for first, _ in held if np.isfinite(first)]
    gaps = [_continuity(track) for track in some]
    spans = sum(span for _, _, span in gaps)
    within = bound.at(np.clip(time_us, bound.time_us[0], bound.time_us[-1])) if bound is not None else None
    return Score(
        n_runs=len(some),
        n_rows=len(time_us),
        position_rmse_m=rmse(state[:, :3]),
        velocity_rmse_mps=rmse(state[:, 3:]),
        along_rmse_m=rmse(course[:, :1]),
        across_rmse_m=rmse(course[:, 1:2]),
        up_rmse_m=rmse(course[:, 2:]),
        median_m=float(np.median(flat)),
        p95_m=float(np.percentile(flat, 95.0)),
        nees=consistency(
            nees(state, np.concatenate([run.cov for run in runs])), 6, moment=time_us, probability=probability
        ),
        position_nees=consistency(np.concatenate(flat_squares), 2, moment=time_us, probability=probability),
        nis_per_component=_nis(some),
        ellipse_95=share_of([squares <= CHI2_95_2D for squares in flat_squares]),
        first_custody_s=float(np.mean(firsts)) if firsts else float("inf"),
        longest_gap_s=max(gap for gap, _, _ in gaps),
        coasting_share=sum(coasting for _, coasting, _ in gaps) / spans if spans else 0.0,
        custody_breaks=sum(breaks for _, breaks in held) / len(some),
        bound_m=float(np.sqrt(np.mean(within.position_m**2))) if within is not None else float("nan"),
    )


def _custody(track: Track, truth: Track, lost_m: float) -> tuple[float, int]:
    """Seconds from the start of the truth to custody, and how often it was lost, at the rows of the truth."""
    if len(track):
        # A track ends with its last measurement: what of the truth follows within a second of that is not a loss.
        truth = truth.take((truth.time_us <= track.time_us[-1]) | (truth.time_us > track.time_us[-1] + ENDED_US))
    inside = np.zeros(len(truth), dtype=np.bool_)
    if len(track) and len(truth):
        inside = (truth.time_us >= track.time_us[0]) & (truth.time_us <= track.time_us[-1])
        there = truth.take(inside)
        error = track.at(there.time_us).state[:, :3] - there.state[:, :3]
        east_north = geodesy.ecef_vectors_to_enu(error, there.lat_deg, there.lon_deg)[:, :2]
        inside[inside] = np.linalg.norm(east_north, axis=1) <= lost_m
    if not inside.any():
        return float("inf"), 0
    first = float(truth.time_us[np.argmax(inside)] - truth.time_us[0]) * 1e-6
    return first, int(np.sum(inside[:-1] & ~inside[1:]))


def _continuity(track: Track) -> tuple[float, float, float]:
    """Longest stretch without a confirmed row, time spent coasting, and the whole time of a track. [s]"""
    if len(track) < 2:
        return 0.0, 0.0, 0.0
    sure = track.time_us[track.status == CONFIRMED]
    ends = np.concatenate([track.time_us[:1], sure, track.time_us[-1:]])
    steps = np.diff(track.time_us) * 1e-6
    return float(np.diff(ends).max() * 1e-6), float(steps[track.status[1:] == COASTING].sum()), float(steps.sum())


def _nis(tracks: Sequence[Track]) -> float:
    """Mean NIS per component over the accepted rows, from what the filter counted; NaN where it counted nothing."""
    total = weight = 0.0
    for track in tracks:
        for counts in track.stats.get("sensors", {}).values():
            if "mean_nis_per_component" in counts:
                total += counts["mean_nis_per_component"] * counts["accepted"]
                weight += counts["accepted"]
    return total / weight if weight else float("nan")


def _say(what: str, judged: Consistency) -> str:
    return (
        f"{what:12s} {judged.mean:.2f} of {judged.dimensions} ({judged.low:.2f} to {judged.high:.2f} at one moment; "
        f"{100 * judged.inside:.0f} % of moments inside, {100 * judged.probability:.0f} expected)"
    )
