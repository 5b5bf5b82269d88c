"""What do two centres know together, when nobody knows what they share? Tracks fused without counting anything twice.

Two centres that follow one target share more than they can tell: the belief that was handed over, measurements that
both have heard, and the target itself, whose turns surprise both at once. Their errors are correlated, and nobody
knows how much. To fuse them as if they were independent counts the shared part twice, and a result that goes back and
forth grows surer each time out of nothing. Covariance intersection holds whatever the correlation is.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import fusion as kernels
from dronetrack.tracks import COASTING, CONFIRMED, Track

Floats = NDArray[np.float64]
Minimise = Literal["determinant", "trace"]


class Fused(NamedTuple):
    """What n fusions gave.

    Parameters
    ----------
    mean : (n, d) float64
        The fused estimates.
    cov : (n, d, d) float64
        Their covariances.
    weight : (n, c) float64
        Weight of each of the c estimates; they sum to 1.
    """

    mean: Floats
    cov: Floats
    weight: Floats


def covariance_intersection(mean: ArrayLike, cov: ArrayLike, *, minimise: Minimise = "determinant") -> Fused:
    """Fuse estimates whose errors are correlated to an unknown degree.

    The fused information is a weighted mean of theirs, ``inv(P) = sum w inv(P_i)``: its covariance is honest for every
    correlation that there may be between them, if each of theirs is (Julier, Uhlmann 1997,
    doi:10.1109/ACC.1997.609105). The weights are the best. For two estimates the one weight is where a
    convex function of it has its least, found to rounding, bounds included; for more of them the search goes on until
    no weight can gain a millionth more.

    Parameters
    ----------
    mean : (n, c, d) array_like
        n times c estimates of the same d numbers.
    cov : (n, c, d, d) array_like
        Their covariances, symmetric positive definite.
    minimise : {"determinant", "trace"}, optional
        What is to be small. The trace of a state adds metres to metres per second; the determinant does not depend on
        units.

    Returns
    -------
    Fused
        `mean`, `cov` and `weight`.

    Raises
    ------
    InputError
        If shapes do not fit, there is only one estimate, or a covariance is not positive definite.

    Notes
    -----
    For two estimates, both covariances are brought to diagonal form at once, so that everything is a function of one
    weight and of d ratios of variances. For more, the weights are those of an optimal design, found by multiplying
    each with what it could still gain (Silvey, Titterington, Torsney 1978), and known to be right by the theorem of
    Kiefer and Wolfowitz (1960, doi:10.4153/CJM-1960-030-4). No bound for two that share anything is smaller; for three
    or more there may be one (Reinhardt, Noack, Arambel, Hanebeck 2015).

    Two that know the same equally well gain nothing by each other, for all of it may be shared. Inverse covariance
    intersection (Noack, Sijs, Reinhardt, Hanebeck 2017, doi:10.1016/j.automatica.2017.01.019) is surer where all that
    is shared is information; but a result of it that goes back to one of the two grows surer again, so it is not here.
    Centres that can exchange measurements should do that instead: one tracker over ``merge`` of them all is surer than
    any fusion of tracks.

    Examples
    --------
    Each knows one axis well; the intersection knows both, but no axis better than the one who knows it:

    >>> import numpy as np
    >>> fused = covariance_intersection([[[0.0, 0.0], [1.0, 1.0]]], [[np.diag([1.0, 9.0]), np.diag([9.0, 1.0])]])
    >>> fused.mean[0].round(3).tolist(), fused.cov[0].diagonal().round(3).tolist(), fused.weight[0].tolist()
    ([0.1, 0.9], [1.8, 1.8], [0.5, 0.5])
    """
    if minimise not in ("determinant", "trace"):
        raise InputError(f"minimise must be determinant or trace; got {minimise!r}.")
    means = column("mean", mean, np.float64, (None, None, None), nan=False)
    n, c, d = means.shape
    covs = column("cov", cov, np.float64, (n, c, d, d), nan=False)
    if c < 2:
        raise InputError(f"two estimates or more are needed for each fusion; got {c}.")
    out = Fused(np.empty((n, d)), np.empty((n, d, d)), np.empty((n, c)))
    fuse = kernels.pair_rows if c == 2 else kernels.many_rows
    bad = fuse(means, covs, minimise == "trace", *out)
    if bad >= 0:
        raise InputError(f"cov must be symmetric positive definite; a covariance of row {bad} is not.")
    return out


def fuse_tracks(
    *tracks: Track,
    time_us: ArrayLike | None = None,
    track_id: int | None = None,
    minimise: Minimise = "determinant",
) -> Track:
    """Fuse what several centres believe of one target into one track, counting nothing twice.

    Parameters
    ----------
    *tracks : Track
        Two or more, of the same target.
    time_us : (n,) array_like, optional
        For which times, in increasing order; by default every time of a row of any of them, as long as all of them
        have a track. [us, UTC]
    track_id : int, optional
        Identity to give; by default the one that all of them have.
    minimise : {"determinant", "trace"}, optional
        As in `covariance_intersection`.

    Returns
    -------
    Track
        It coasts where all of them do. `n_sensors` is that of the best supported one, for nobody knows which sensors
        they share; `nis` is NaN, for nothing was measured. `stats` holds ``weight`` (n, c), of each track in each row,
        and ``apart`` (n,), the largest squared distance between two of the tracks over the sum of their covariances:
        far above 6 for long, they do not follow the same target.

    Raises
    ------
    InputError
        If fewer than two are given, they have no time in common, a time lies outside one of them, or their identities
        differ and none is given.

    Examples
    --------
    >>> import numpy as np
    >>> from dronetrack import Sensor, measurements_of, track
    >>> time_us = np.arange(100) * 100_000
    >>> place = np.array([4.1e6, 1.5e6, 4.6e6]) + np.outer(time_us * 1e-6, [10.0, 0.0, 0.0])
    >>> rows = measurements_of(time_us, 1, place, np.broadcast_to(9.0 * np.eye(3), (100, 3, 3)), Sensor("gnss"))
    >>> one = track(rows)
    >>> again = fuse_tracks(one, one)  # nothing new in it, so nothing is gained
    >>> bool(np.allclose(again.cov, one.cov)), len(again)
    (True, 100)
    """
    if len(tracks) < 2:
        raise InputError(f"two tracks or more are needed; got {len(tracks)}.")
    if track_id is None and len({one.track_id for one in tracks}) > 1:
        names = ", ".join(str(one.track_id) for one in tracks)
        raise InputError(f"the tracks have different identities ({names}); give track_id if they are one target.")
    wanted = _common_times(tracks) if time_us is None else column("time_us", time_us, np.int64, (None,))
    parts = [one.at(wanted) for one in tracks]
    state, cov = (np.stack([getattr(one, name) for one in parts], axis=1) for name in ("state", "cov"))
    fused = covariance_intersection(state, cov, minimise=minimise)
    status = np.stack([one.status for one in parts])
    return Track(
        time_us=wanted,
        track_id=tracks[0].track_id if track_id is None else track_id,
        status=np.where((status == COASTING).all(axis=0), COASTING, CONFIRMED).astype(np.int8),
        state=fused.mean,
        cov=fused.cov,
        nis=np.full(len(wanted), np.nan),
        n_sensors=np.max([one.n_sensors for one in parts], axis=0),
        stats={"weight": fused.weight, "apart": _apart(state, cov)},
    )


def _common_times(tracks: tuple[Track, ...]) -> NDArray[np.int64]:
    """Every time of a row of any track, while all of them exist."""
    if not all(len(one) for one in tracks):
        raise InputError("a track without rows cannot be fused; leave it out.")
    start, stop = max(one.time_us[0] for one in tracks), min(one.time_us[-1] for one in tracks)
    if start > stop:
        raise InputError("the tracks have no time in common; there is nothing to fuse.")
    times = np.unique(np.concatenate([one.time_us for one in tracks]))
    return times[(times >= start) & (times <= stop)]


def _apart(state: Floats, cov: Floats) -> Floats:
    """(n,) largest normalised squared distance between two of (n, c, d) estimates."""
    first, second = np.triu_indices(state.shape[1], 1)
    gap = state[:, second] - state[:, first]
    scaled = np.linalg.solve(cov[:, second] + cov[:, first], gap[..., None])[..., 0]
    return np.sum(gap * scaled, axis=-1).max(axis=1, initial=0.0)
