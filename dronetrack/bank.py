"""Where are ten thousand targets, each for itself? Banks of independent targets, predicted and updated at once."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import FURTHEST_US, column, time_column
from dronetrack.errors import InputError, OrderError
from dronetrack.kernels import bank as kernels
from dronetrack.kernels import mixtures, unscented
from dronetrack.kernels.motion import VELOCITY
from dronetrack.motion import ConstantVelocity, Mixture, Motion
from dronetrack.threads import on_all_cores

Floats = NDArray[np.float64]

# What may be measured: its code, how many numbers z has, whether it is seen from a site.
KINDS = {
    "position": (kernels.POSITION, 3, False),
    "velocity": (kernels.VELOCITY, 3, False),
    "line_of_sight": (kernels.LINE_OF_SIGHT, 3, True),
    "range": (kernels.RANGE, 1, True),
    "range_rate": (kernels.RANGE_RATE, 1, True),
    "speed": (kernels.SPEED, 1, False),
    "height": (kernels.HEIGHT, 1, False),
    "bearing": (kernels.BEARING, 1, True),
}
METHODS = {"extended": 1, "iterated": kernels.ROUNDS, "unscented": 0}
_LINEAR = (kernels.POSITION, kernels.VELOCITY)
_WHOLE = (int, np.integer)
_FLOAT64 = np.dtype(np.float64)
_LOG_2PI = float(np.log(2.0 * np.pi))
_ALL = np.zeros(0, dtype=np.bool_)
_NOTHING = object()
_NOWHERE = np.zeros((1, 6))
_THREADED_FROM = 65_536  # targets; below that a second thread costs more than it brings


class Fit:
    """How well the measurements of one update suited the targets; worked out when asked for."""

    __slots__ = ("_logged", "_out")

    def __init__(self, out: Floats, *, logged: bool = False) -> None:
        self._out = out
        self._logged = logged

    @property
    def nis(self) -> Floats:
        """(n,) float64: normalised innovation squared, NaN where nothing was observed; of a mixture, the mean."""
        return self._out[0]

    @property
    def n_components(self) -> NDArray[np.int64]:
        """(n,) int64: how many numbers were observed."""
        return self._out[2].astype(np.int64)

    @property
    def log_likelihood(self) -> Floats:
        """(n,) float64: log density of each innovation; 0 where nothing was observed."""
        nis, determinant, count = self._out
        log_det = determinant if self._logged else np.log(determinant)
        return np.where(count > 0.0, -0.5 * (nis + log_det + count * _LOG_2PI), 0.0)


class TargetBank:
    """N independent targets, one Kalman filter each, in one object and one compiled call per step.

    Parameters
    ----------
    mean : (n, 6) or (n, 9) array_like
        ECEF position [m] and velocity [m/s], and acceleration [m/s2] for models that have one.
    cov : (n, d, d) array_like
        Covariance of each, symmetric positive definite.
    time_us : (n,) array_like or int
        When each state holds. [us, UTC]
    motion : Motion or Mixture, optional
        How the targets move between measurements; by default `ConstantVelocity`. It and `StopAndGo` have kernels of
        their own; every other model, and a `Mixture` of several (IMM), goes through a general one that is some four
        times as slow per model.
    n_threads : int, optional
        Threads among which large banks (65,536 targets and more) are shared; by default one per core. The bits of
        the result do not depend on it.

    Raises
    ------
    InputError
        If shapes, types or ranges are wrong, or a covariance is not positive definite.

    Notes
    -----
    The state is kept components first, targets last, the covariance as its packed upper triangle, all of it float64.
    `mean` and `packed_cov` are views of it that cost nothing and always show the present; `cov` is an expanded copy.

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.tile([4.0e6, 1.5e6, 4.7e6, 0.0, 0.0, 0.0], (1000, 1))
    >>> bank = TargetBank(mean, np.tile(100.0 * np.eye(6), (1000, 1, 1)), time_us=0)
    >>> fit = bank.update(1_000_000, position=mean[:, :3] + 1.0, cov=9.0 * np.eye(3))
    >>> fit.nis.shape, bool((bank.mean[:, 0] > 4.0e6 + 0.9).all())
    ((1000,), True)
    """

    def __init__(
        self,
        mean: ArrayLike,
        cov: ArrayLike,
        time_us: ArrayLike,
        *,
        motion: Motion | Mixture | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.motion = motion or ConstantVelocity()
        self.n_threads = n_threads or os.cpu_count() or 1
        d = self.motion.state_size
        means = column("mean", mean, np.float64, (None, d), nan=False)
        self._size, self._n = d, len(means)
        covs = column("cov", cov, np.float64, (self._n, d, d), nan=False)
        check_covariances("cov", covs)
        self._state = _packed(means, covs)
        times = np.full(self._n, time_us) if np.ndim(time_us) == 0 else time_us
        self._time_us = np.array(time_column("time_us", times, (self._n,)))
        self._latest_us = int(self._time_us.max(initial=-FURTHEST_US))
        self._to_us = np.zeros(1, dtype=np.int64)
        self._cov_before, self._noise_before = _NOTHING, np.empty((0, 3, 3))
        self._shape, self._out_shape = (self._n, 3), (3, self._n)
        mixture = self.motion if isinstance(self.motion, Mixture) else Mixture([self.motion])
        self._plain = len(mixture.models) == 1 and mixture.models[0].code == VELOCITY
        self._noise = np.ascontiguousarray(mixture.parameters[0, :3])
        if not self._plain:
            self._models = np.repeat(self._state[None], len(mixture.models), axis=0)
            self._chance = np.repeat(np.array(mixture.initial)[:, None], self._state.shape[1], axis=1)
            self._switching = mixture.codes, mixture.parameters, mixture.rates

    def __len__(self) -> int:
        return self._n

    @property
    def mean(self) -> Floats:
        """(n, d) float64: the states; a read-only view that costs nothing and always shows the present."""
        return _reading(self._state[: self._size, : self._n].T)

    @property
    def packed_cov(self) -> Floats:
        """(n, d (d + 1) / 2) float64: upper triangles of the covariances, row by row; a read-only view like `mean`."""
        return _reading(self._state[self._size :, : self._n].T)

    @property
    def cov(self) -> Floats:
        """(n, d, d) float64: the covariances, expanded; a copy."""
        return _expanded(self.packed_cov, self._size)

    @property
    def time_us(self) -> NDArray[np.int64]:
        """(n,) int64: when each state holds; a read-only view. [us, UTC]"""
        return _reading(self._time_us[:])

    @property
    def model_probabilities(self) -> Floats:
        """(n, m) float64: probability of each model of the mixture; a read-only view."""
        return np.ones((self._n, 1)) if self._plain else _reading(self._chance[:, : self._n].T)

    def predict(self, time_us: ArrayLike) -> None:
        """Move every target on.

        Parameters
        ----------
        time_us : int or (n,) array_like
            To when, for all or for each. [us, UTC]

        Raises
        ------
        OrderError
            If that is earlier than a state holds.
        InputError
            If the shape is wrong.
        """
        to_us = self._when(time_us)
        if self._plain:
            self._share(kernels.predict_rows, self._state, self._time_us, to_us, self._noise)
        else:
            self._mix(to_us, -1, 1, True, np.empty((0, 1)), np.empty((0, 1, 1)), _NOWHERE, _ALL, np.empty((3, 0)))
        self._settle(to_us)

    def update(
        self,
        time_us: ArrayLike | None = None,
        *,
        position: ArrayLike | None = None,
        cov: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        **other: Any,  # noqa: ANN401 - one of the kinds
    ) -> Fit:
        """Move every target to a time and fuse one measurement into each, in one pass over the memory.

        Exactly one kind is given by its name. NaN means not observed: in a position or velocity for that component,
        otherwise for that target.

        Parameters
        ----------
        time_us : int or (n,) array_like, optional
            To when; by default the targets stay at their times. [us, UTC]
        mask : (n,) array_like of bool, optional
            Which targets are updated; all of them are predicted.
        position : (n, 3) array_like
            ECEF. [m]
        velocity : (n, 3) array_like
            ECEF. [m/s]
        line_of_sight : (n, 3) array_like
            Unit vectors in ECEF from the site to the target, compared in the plane across the expected one. A target
            that would lie behind the camera counts as not observed.
        range, range_rate : (n,) array_like
            Distance from the site [m], and how fast it grows [m/s].
        speed : (n,) array_like
            Length of the velocity. [m/s]
        height : (n,) array_like
            Above the ellipsoid. [m]
        bearing : (n,) array_like
            Horizontal angle at the site, clockwise from north; any turn of it is the same. [deg]
        cov : array_like
            Of the noise, in the unit of the measurement squared (line of sight: rad2): (3, 3) or (n, 3, 3) for the
            kinds with three numbers, a variance or (n,) of them for the others.
        site_ecef_m : (3,) or (n, 3) array_like
            Where the sensor stands, for line_of_sight, range, range_rate and bearing. [m]
        site_velocity_ecef_mps : (3,) or (n, 3) array_like, optional
            How the sensor moves, for range_rate. [m/s]
        method : {"extended", "iterated", "unscented"}, optional
            How a kind that is not linear is taken: linearised at the prediction, again about the corrected point, or
            at thirteen points of the prediction's spread (models with a kernel of their own only).

        Returns
        -------
        Fit
            `nis`, `log_likelihood` and `n_components` of each target.

        Raises
        ------
        OrderError
            If the time is earlier than a state holds.
        InputError
            If no kind or two are given, a shape is wrong, a number infinite, or a covariance not positive definite.
        """
        if other or position is None or not self._plain:
            kinds = other if position is None else {"position": position, **other}
            return self._measure(True, time_us, cov=cov, mask=mask, **kinds)
        # The short way for the commonest kind: a bank of a hundred takes five microseconds, and a call within Python
        # a twentieth of one. What is as it mostly is, is told from that by a comparison here.
        n, to_us = self._n, self._to_us
        if (
            type(position) is np.ndarray
            and position.dtype is _FLOAT64
            and position.shape == self._shape
            and position.flags.carray
        ):
            z = position
        else:
            z = _rows("position", position, n, 3)
        noise = self._noise_before if cov is self._cov_before else self._noise_of(cov)
        if type(time_us) is int and self._latest_us <= time_us <= FURTHEST_US:
            to_us[0] = time_us
        else:
            to_us = self._time_us if time_us is None else self._when(time_us)
        flags = _ALL if mask is None else np.array(column("mask", mask, np.bool_, (n,)))
        out = np.empty(self._out_shape)
        if n < _THREADED_FROM:
            bad = kernels.position_rows(
                0, n, self._state, self._time_us, to_us, self._noise, True, z, noise, flags, out
            )
        else:
            head = self._state, self._time_us, to_us, self._noise
            bad = self._share(kernels.position_rows, *head, True, z, noise, flags, out, check=(z, noise))
        if bad >= 0:
            _refuse("position", bad)
        if n and type(time_us) is int:
            self._latest_us = time_us
        else:
            self._settle(to_us)
        return Fit(out)

    def log_likelihood(self, time_us: ArrayLike | None = None, **measured: Any) -> Floats:  # noqa: ANN401
        """Return the log density of a measurement of each target; the bank stays as it is.

        Parameters
        ----------
        time_us, **measured
            As in `update`.

        Returns
        -------
        (n,) float64
            0 where nothing is observed.
        """
        return self._measure(False, time_us, **measured).log_likelihood

    def gate(self, time_us: ArrayLike | None = None, *, probability: float = 0.997, **measured: Any) -> NDArray:  # noqa: ANN401
        """Say which measurements could be of their targets; the bank stays as it is.

        Parameters
        ----------
        time_us, **measured
            As in `update`.
        probability : float, optional
            Probability that a right measurement passes.

        Returns
        -------
        (n,) bool
            The `mask` to give to `update`; False where nothing is observed.

        Raises
        ------
        InputError
            If the probability is not between 0 and 1.
        """
        if not 0.0 < probability < 1.0:
            raise InputError(f"probability must lie between 0 and 1; got {probability}.")
        from scipy.special import chdtri

        fit = self._measure(False, time_us, **measured)
        limits = np.array([0.0, *chdtri([1.0, 2.0, 3.0], 1.0 - probability)])
        return fit.nis <= limits[fit.n_components]

    def _measure(
        self,
        commit: bool,
        time_us: ArrayLike | None,
        mask: ArrayLike | None = None,
        *,
        cov: ArrayLike | None = None,
        site_ecef_m: ArrayLike | None = None,
        site_velocity_ecef_mps: ArrayLike | None = None,
        method: str = "extended",
        **kinds: ArrayLike,
    ) -> Fit:
        """Check, prepare, one kernel call, wrap."""
        if len(kinds) != 1 or not KINDS.keys() >= kinds.keys():
            raise InputError(f"give one measurement by its kind, one of {', '.join(KINDS)}; got {list(kinds)}.")
        ((name, values),) = kinds.items()
        kind, m, from_site = KINDS[name]
        n = self._n
        z = _rows(name, values, n, m)
        noise = _noise(cov, n, m)
        if name == "bearing":
            z, noise = np.radians(z), noise * np.radians(1.0) ** 2
        to_us = self._time_us if time_us is None else self._when(time_us)
        flags = _ALL if mask is None else np.array(column("mask", mask, np.bool_, (n,)))
        if method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
        site = _site(site_ecef_m, site_velocity_ecef_mps, n, name) if from_site else _NOWHERE
        out = np.empty((3, n))
        head = self._state, self._time_us, to_us, self._noise
        rounds = 1 if kind in _LINEAR else METHODS[method]
        if rounds == 0:
            if not self._plain:
                raise InputError('method "unscented" needs ConstantVelocity or StopAndGo; use "iterated" here.')
            bad = self._share(
                unscented.unscented_rows, *head, kind, commit, z, noise, site, flags, out, check=(z, noise)
            )
        elif not self._plain:
            bad = self._mix(to_us, kind, rounds, commit, z, noise, site, flags, out, check=(z, noise))
        elif kind == kernels.POSITION:
            bad = self._share(kernels.position_rows, *head, commit, z, noise, flags, out, check=(z, noise))
        else:
            bad = self._share(
                kernels.aspect_rows, *head, kind, rounds, commit, z, noise, site, flags, out, check=(z, noise)
            )
        if bad >= 0:
            _refuse(name, bad)
        if commit:
            self._settle(to_us)
        return Fit(out, logged=not self._plain)

    def _mix(self, to_us: NDArray[np.int64], *arguments: object, check: tuple[Floats, ...] = ()) -> int:
        head = self._models, self._chance, self._state, self._time_us, to_us, *self._switching
        return self._share(mixtures.mixture_rows, *head, *arguments, check=check)

    def _noise_of(self, cov: ArrayLike | None) -> Floats:
        """As `_noise` for three numbers; an array of which a view is kept is not looked at when it comes again."""
        self._noise_before = _noise(cov, self._n, 3)
        self._cov_before = cov if self._noise_before.base is cov else _NOTHING
        return self._noise_before

    def _when(self, time_us: ArrayLike) -> NDArray[np.int64]:
        """Return times to go to, in the shape that the kernels take: one for all, or one for each."""
        if isinstance(time_us, _WHOLE):
            if time_us < self._latest_us:
                raise OrderError(
                    f"time_us {time_us} is earlier than the state of target {int(np.argmax(self._time_us))}, "
                    f"{self._latest_us}. Keep late rows for a filter that replays."
                )
            self._to_us[:] = time_column("time_us", np.array([time_us]), (1,))
            return self._to_us
        times = np.array(time_column("time_us", time_us, (self._n,)))
        late = times < self._time_us
        if late.any():
            row = int(np.argmax(late))
            raise OrderError(f"time_us {times[row]} of target {row} is earlier than its state, {self._time_us[row]}.")
        return times

    def _settle(self, to_us: NDArray[np.int64]) -> None:
        if to_us is self._to_us:
            self._latest_us = int(to_us[0]) if self._n else self._latest_us
        elif to_us is not self._time_us:
            self._latest_us = int(to_us.max(initial=self._latest_us))

    def _share(self, kernel: Callable[..., int], *arguments: object, check: tuple[Floats, ...] = ()) -> int:
        return in_slices(self.n_threads, self._n, kernel, *arguments, check=check)


class LinearBank:
    """N independent targets under any linear model, or a mixture of them (IMM), the same for all targets.

    For models in coordinates of one's own; `from_filterpy` makes it from a filter that is already configured. As in
    filterpy, model probabilities change only when something is measured.

    Parameters
    ----------
    mean : (n, d) array_like
        The states, d <= 9.
    cov : (n, d, d) array_like
        Covariance of each.
    transition, process_noise : (d, d) or (m, d, d) array_like
        F and Q of one step; of each model for a mixture.
    observation : (k, d) or (m, k, d) array_like
        H: the measurement is ``H @ x``.
    noise : (k, k) or (m, k, k) array_like
        R, its covariance.
    switching : (m, m) array_like, optional
        Probability that model j is right after a step, given that i was before it.
    probabilities : (m,) array_like, optional
        Of the models at the start; by default all alike.
    n_threads : int, optional
        As in `TargetBank`.

    Raises
    ------
    InputError
        If shapes do not fit, or a covariance is not positive definite.
    """

    def __init__(
        self,
        mean: ArrayLike,
        cov: ArrayLike,
        *,
        transition: ArrayLike,
        process_noise: ArrayLike,
        observation: ArrayLike,
        noise: ArrayLike,
        switching: ArrayLike | None = None,
        probabilities: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_threads = n_threads or os.cpu_count() or 1
        means = column("mean", mean, np.float64, (None, None), nan=False)
        self._n, d = means.shape
        if not 1 <= d <= 9:
            raise InputError(f"a state has 1 to 9 numbers; got {d}.")
        covs = column("cov", cov, np.float64, (self._n, d, d), nan=False)
        check_covariances("cov", covs)
        F = np.array(transition, dtype=np.float64, ndmin=3)
        H = np.array(observation, dtype=np.float64, ndmin=3)
        m, k = len(F), H.shape[1]
        self._F = np.array(column("transition", F, np.float64, (m, d, d), nan=False))
        self._Q = np.array(column("process_noise", _each(process_noise), np.float64, (m, d, d), nan=False))
        H = column("observation", H, np.float64, (m, k, d), nan=False)
        R = column("noise", _each(noise), np.float64, (m, k, k), nan=False)
        self._unmix, self._D = _decorrelated(R)
        self._H = np.ascontiguousarray(self._unmix @ H)
        Pi = np.eye(m) if switching is None else switching
        self._Pi = np.array(column("switching", Pi, np.float64, (m, m), low=0.0, high=1.0, nan=False))
        start = np.full(m, 1.0 / m) if probabilities is None else probabilities
        start = column("probabilities", start, np.float64, (m,), low=0.0, high=1.0, nan=False)
        self._size = d
        self._state = _packed(means, covs)
        self._models = np.repeat(self._state[None], m, axis=0)
        self._chance = np.repeat(start[:, None], self._state.shape[1], axis=1)

    def __len__(self) -> int:
        return self._n

    @property
    def mean(self) -> Floats:
        """(n, d) float64: the states; a read-only view that costs nothing and always shows the present."""
        return _reading(self._state[: self._size, : self._n].T)

    @property
    def cov(self) -> Floats:
        """(n, d, d) float64: the covariances, expanded; a copy."""
        return _expanded(self._state[self._size :, : self._n].T, self._size)

    @property
    def model_probabilities(self) -> Floats:
        """(n, m) float64: probability of each model; a read-only view."""
        return _reading(self._chance[:, : self._n].T)

    def predict(self) -> None:
        """Move every target on by one step."""
        empty = np.empty((len(self._F), 0, self._D.shape[1]))
        self._call(True, False, empty, _ALL, np.empty((3, 0)))

    def update(self, z: ArrayLike, *, predict: bool = False, mask: ArrayLike | None = None) -> Fit:
        """Fuse one measurement into each target.

        Parameters
        ----------
        z : (n, k) array_like
            The measurements; a row with a NaN counts as not observed.
        predict : bool, optional
            Whether to move on by one step first, in the same pass over the memory.
        mask : (n,) array_like of bool, optional
            Which targets are updated.

        Returns
        -------
        Fit
            `nis`, `log_likelihood` and `n_components` of each target.

        Raises
        ------
        InputError
            If the shape is wrong or a number infinite.
        """
        rows = column("z", z, np.float64, (self._n, self._D.shape[1]))
        if np.isinf(rows).any():
            raise InputError("z must not be infinite. NaN says not observed.")
        seen = np.isfinite(rows.sum(axis=1))
        if mask is not None:
            seen &= column("mask", mask, np.bool_, (self._n,))
        unmixed = np.where(seen[:, None], rows, 0.0) @ self._unmix.transpose(0, 2, 1)
        out = np.empty((3, self._n))
        self._call(predict, True, np.ascontiguousarray(unmixed), seen, out)
        return Fit(out, logged=True)

    def _call(self, predict: bool, fuse: bool, *arguments: object) -> None:
        models = self._models, self._chance, self._state, self._F, self._Q, self._H, self._D, self._Pi
        in_slices(self.n_threads, self._n, mixtures.linear_rows, *models, predict, fuse, *arguments)


def from_filterpy(
    kalman: Any,  # noqa: ANN401 - filterpy has no types
    n_targets: int = 1,
    *,
    mean: ArrayLike | None = None,
    cov: ArrayLike | None = None,
) -> LinearBank:
    """Take a configured filterpy filter into a bank, whose next predict and update give what filterpy's would.

    Parameters
    ----------
    kalman : filterpy.kalman.KalmanFilter or filterpy.kalman.IMMEstimator
        F, Q, H, R, and for an IMM its filters, M and mu, are read; the filter stays as it is.
    n_targets : int, optional
        How many targets, each in the state of the filter.
    mean, cov : (n, d) and (n, d, d) array_like, optional
        States of their own instead.

    Returns
    -------
    LinearBank
        n targets.

    Raises
    ------
    InputError
        If the filter does what a bank does not: control input, fading memory.

    Examples
    --------
    >>> import numpy as np
    >>> from filterpy.kalman import KalmanFilter
    >>> kalman = KalmanFilter(dim_x=2, dim_z=1)
    >>> kalman.F, kalman.H = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    >>> bank = from_filterpy(kalman, 10_000)
    >>> fit = bank.update(np.full((10_000, 1), 0.5), predict=True)
    >>> kalman.predict()
    >>> kalman.update(0.5)
    >>> bool(np.allclose(bank.mean, kalman.x.ravel(), rtol=1e-12))
    True
    """
    several = hasattr(kalman, "filters")
    filters = list(kalman.filters) if several else [kalman]
    for one in filters:
        if one.alpha != 1.0:
            raise InputError(f"a bank has no fading memory; the filter's alpha is {one.alpha}.")
        if one.B is not None:
            raise InputError("a bank has no control input; the filter has a B. Add its effect to the states.")
    states = np.array([np.ravel(one.x) for one in filters])
    covs = _symmetric(np.array([one.P for one in filters]))
    if (mean is None) != (cov is None):
        raise InputError("give mean and cov together, or neither.")
    n = n_targets if mean is None else len(np.asarray(mean))
    bank = LinearBank(
        np.repeat(states[:1], n, axis=0) if mean is None else mean,
        np.repeat(covs[:1], n, axis=0) if cov is None else cov,
        transition=np.array([one.F for one in filters]),
        process_noise=np.array([one.Q for one in filters]),
        observation=np.array([one.H for one in filters]),
        noise=np.array([one.R for one in filters]),
        switching=kalman.M if several else None,
        probabilities=kalman.mu if several else None,
    )
    if mean is None:  # filters of an IMM may stand in different states
        bank._models[:] = np.stack([_packed(x[None], P[None])[:, :1] for x, P in zip(states, covs, strict=True)])  # noqa: SLF001
    return bank


def in_slices(
    n_threads: int,
    n: int,
    kernel: Callable[..., Any],
    *arguments: object,
    check: tuple[Floats, ...] = (),
    smallest: int = _THREADED_FROM,
) -> int:
    """Call a kernel for all targets, in slices of whole blocks on several threads from `smallest` targets on.

    `check` holds the measurement and its noise. A kernel that does all targets looks at them itself before it changes
    anything; before the slices go their ways that has to be done here.
    """
    if n < smallest or n_threads == 1:
        return kernel(0, n, *arguments)
    step = -(-n // (n_threads * kernels.BLOCK)) * kernels.BLOCK
    slices = [(first, min(first + step, n)) for first in range(0, n, step)]
    if check:
        bad = [row for row in on_all_cores(lambda part: kernels.check_rows(*part, *check), slices) if row >= 0]
        if bad:
            return bad[0]
    kernel(0, 0, *arguments)  # compiled here, once
    results = on_all_cores(lambda part: kernel(*part, *arguments), slices)
    return -1 if results[0] is None else max(results)


def _stride(n: int) -> int:
    """Room for n targets in a row: whole cache lines, and not a power of two apart, which would crowd the cache."""
    lines = -(-max(n, 1) // 8) | 1
    return lines * 8


def _packed(means: Floats, covs: Floats) -> Floats:
    """Lay states out as kernels want them: components first, targets last."""
    n, d = means.shape
    state = np.zeros((d + d * (d + 1) // 2, _stride(n)))
    state[:d, :n] = means.T
    state[d:, :n] = covs[(slice(None), *np.triu_indices(d))].T
    return state


def _expanded(packed: Floats, d: int) -> Floats:
    rows, columns = np.triu_indices(d)
    out = np.empty((len(packed), d, d))
    out[:, rows, columns] = packed
    out[:, columns, rows] = packed
    return out


def _each(matrices: ArrayLike) -> Floats:
    """One matrix is that of the one model."""
    return np.array(matrices, dtype=np.float64, ndmin=3)


def _symmetric(covs: Floats) -> Floats:
    return 0.5 * (covs + covs.transpose(0, 2, 1))


def _decorrelated(R: Floats) -> tuple[Floats, Floats]:
    """Return L^-1 and D of R = L D L', for each."""
    try:
        root = np.linalg.cholesky(R)
    except np.linalg.LinAlgError:
        raise InputError("noise must be symmetric and positive definite.") from None
    diagonal = np.diagonal(root, axis1=1, axis2=2)
    return np.asarray(np.linalg.inv(root / diagonal[:, None, :]), dtype=np.float64), np.square(
        diagonal, dtype=np.float64
    )


def _reading(array: NDArray) -> NDArray:
    """Return a read-only view."""
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def _writable(values: ArrayLike) -> Floats:
    """Return float64 in C order that may be written: the one layout that kernels are compiled for. They only read."""
    if type(values) is np.ndarray and values.dtype is _FLOAT64 and values.flags.carray:
        return values
    return np.array(values, dtype=np.float64, order="C")


def _rows(name: str, values: ArrayLike, n: int, m: int) -> Floats:
    """Return a measurement as (n, m), without a copy where it already is."""
    z = _writable(values)
    if z.shape == (n, m) and m > 1:
        return z
    if z.shape != (n,) or m > 1:
        shape = (n, m) if m > 1 else (n,)
        raise InputError(f"{name} must have shape {shape}, a row for each target (NaN: not observed); got {z.shape}.")
    return z.reshape(n, 1)


def _noise(cov: ArrayLike | None, n: int, m: int) -> Floats:
    """Return the noise as (1 or n, m, m)."""
    if cov is None:
        raise InputError("a measurement needs cov, the covariance of its noise.")
    R = _writable(cov)
    one = (m, m) if m > 1 else ()
    if R.shape not in (one, (n, *one)):
        raise InputError(f"cov must have shape {one} or {(n, *one)} for this kind; got {R.shape}.")
    return R.reshape(-1, m, m)


def _refuse(name: str, row: int) -> NoReturn:
    raise InputError(
        f"{name} must not be infinite and cov must be finite and positive definite; row {row} is not. "
        "NaN says not observed."
    )


def _site(place: ArrayLike | None, velocity: ArrayLike | None, n: int, name: str) -> Floats:
    """Return place and velocity of the sensor as (1 or n, 6)."""
    if place is None:
        raise InputError(f"{name} is seen from somewhere: give site_ecef_m.")
    parts = []
    for label, values in (
        ("site_ecef_m", place),
        ("site_velocity_ecef_mps", np.zeros(3) if velocity is None else velocity),
    ):
        part = np.asarray(values, dtype=np.float64)
        if part.shape not in ((3,), (n, 3)) or not np.isfinite(part).all():
            raise InputError(f"{label} must be finite and have shape (3,) or {(n, 3)}; got shape {part.shape}.")
        parts.append(np.atleast_2d(part))
    rows = max(map(len, parts))
    return np.ascontiguousarray(np.hstack([np.broadcast_to(part, (rows, 3)) for part in parts]))


def check_covariances(name: str, covs: Floats, *, of: str = "target") -> None:
    """Raise InputError if one of the covariances (n, d, d), each of a target or a row, is not positive definite."""
    std = np.sqrt(np.maximum(np.diagonal(covs, axis1=1, axis2=2), 0.0))
    bad = std.min(axis=1, initial=np.inf) <= 0.0
    scaled = covs[~bad] / std[~bad][:, :, None] / std[~bad][:, None, :]
    if not np.allclose(scaled, scaled.transpose(0, 2, 1), rtol=0.0, atol=1e-9):
        raise InputError(f"{name} must be symmetric; use 0.5 * ({name} + {name}.transpose(0, 2, 1)).")
    bad[~bad] = ~(np.linalg.eigvalsh(scaled)[:, 0] > 0.0)
    if bad.any():
        raise InputError(f"{name} must be positive definite; that of {of} {int(np.argmax(bad))} is not.")
