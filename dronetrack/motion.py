"""How do things move, and how much can they surprise us? Motion models and their noise.

Every model lives in ECEF; its noise is given horizontally and vertically and turned by the local up. `code` and
`parameters` are what the kernels see of it. A step of any length is discretised exactly: two steps in a row are one
long step, to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import column, same_length
from dronetrack.errors import InputError
from dronetrack.kernels import motion as kernels

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConstantVelocity:
    """Nearly constant velocity: white-noise acceleration, anisotropic in east/north/up.

    The state is (position, velocity) in ECEF; the noise is given locally and rotated there. Over `dt` each axis
    gathers ``q * [[dt**3/3, dt**2/2], [dt**2/2, dt]]`` (Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to
    Tracking and Navigation*, 2001, section 6.2.2, doi:10.1002/0471221279).

    Parameters
    ----------
    horizontal_psd : float, optional
        Power spectral density of horizontal acceleration. [m2/s3] A road vehicle that brakes at 3 m/s2 for a second or
        two wants 2 to 6; the change of speed over one second has the standard deviation ``sqrt(horizontal_psd)``.
    vertical_psd : float, optional
        The same upwards. [m2/s3] Roads climb slowly.
    initial_speed_std_mps : float, optional
        Standard deviation of each horizontal component of an unknown velocity. [m/s]
    initial_climb_std_mps : float, optional
        The same upwards. [m/s]

    Raises
    ------
    InputError
        If a parameter is not positive and finite.
    """

    code: ClassVar[int] = kernels.VELOCITY
    state_size: ClassVar[int] = 6

    horizontal_psd: float = 2.0
    vertical_psd: float = 0.02
    initial_speed_std_mps: float = 15.0
    initial_climb_std_mps: float = 0.5

    def __post_init__(self) -> None:
        _check_positive(self)

    @property
    def parameters(self) -> Floats:
        """(8,) float64: what the kernels need to know."""
        return _parameters(
            self.horizontal_psd, self.vertical_psd, 0.0, self.initial_speed_std_mps, self.initial_climb_std_mps
        )


@dataclass(frozen=True, slots=True)
class ConstantAcceleration:
    """Nearly constant acceleration: white-noise jerk, anisotropic in east/north/up.

    The state is (position, velocity, acceleration) in ECEF (Bar-Shalom, Li, Kirubarajan 2001, section 6.2.3,
    doi:10.1002/0471221279).

    Parameters
    ----------
    horizontal_psd : float, optional
        Power spectral density of horizontal jerk. [m2/s5] The change of acceleration over one second has the standard
        deviation ``sqrt(horizontal_psd)``.
    vertical_psd : float, optional
        The same upwards. [m2/s5]
    initial_speed_std_mps, initial_climb_std_mps : float, optional
        Standard deviation of an unknown velocity, per horizontal axis and upwards. [m/s]
    initial_acceleration_std_mps2, initial_lift_std_mps2 : float, optional
        Standard deviation of an unknown acceleration, per horizontal axis and upwards. [m/s2]

    Raises
    ------
    InputError
        If a parameter is not positive and finite.
    """

    code: ClassVar[int] = kernels.ACCELERATION
    state_size: ClassVar[int] = 9

    horizontal_psd: float = 1.0
    vertical_psd: float = 0.01
    initial_speed_std_mps: float = 15.0
    initial_climb_std_mps: float = 0.5
    initial_acceleration_std_mps2: float = 2.0
    initial_lift_std_mps2: float = 0.2

    def __post_init__(self) -> None:
        _check_positive(self)

    @property
    def parameters(self) -> Floats:
        """(8,) float64: what the kernels need to know."""
        return _parameters(
            self.horizontal_psd,
            self.vertical_psd,
            0.0,
            self.initial_speed_std_mps,
            self.initial_climb_std_mps,
            self.initial_acceleration_std_mps2,
            self.initial_lift_std_mps2,
        )


@dataclass(frozen=True, slots=True)
class Singer:
    """Manoeuvres that come and go: an exponentially correlated acceleration, anisotropic in east/north/up.

    The state is (position, velocity, acceleration) in ECEF. The acceleration is a first-order Gauss-Markov process,
    ``a' = -a/T + w`` with the stationary standard deviation s, so the power of w is ``2 s**2/T`` (R. A. Singer,
    *IEEE Trans. AES* 6 (1970) 473-483, doi:10.1109/TAES.1970.310128). For a long T it becomes constant acceleration,
    for a short one constant velocity with the psd ``2 s**2 T``.

    Parameters
    ----------
    manoeuvre_std_mps2 : float, optional
        Stationary standard deviation of each horizontal component of the acceleration. [m/s2]
    lift_std_mps2 : float, optional
        The same upwards. [m/s2]
    manoeuvre_time_s : float, optional
        How long a manoeuvre lasts: the correlation time T. [s] Braking or a bend of a road vehicle: 3 to 10.
    initial_speed_std_mps, initial_climb_std_mps : float, optional
        Standard deviation of an unknown velocity, per horizontal axis and upwards. [m/s]

    Raises
    ------
    InputError
        If a parameter is not positive and finite.
    """

    code: ClassVar[int] = kernels.ACCELERATION
    state_size: ClassVar[int] = 9

    manoeuvre_std_mps2: float = 1.5
    lift_std_mps2: float = 0.1
    manoeuvre_time_s: float = 5.0
    initial_speed_std_mps: float = 15.0
    initial_climb_std_mps: float = 0.5

    def __post_init__(self) -> None:
        _check_positive(self)

    @property
    def parameters(self) -> Floats:
        """(8,) float64: what the kernels need to know."""
        power = 2.0 / self.manoeuvre_time_s
        return _parameters(
            power * self.manoeuvre_std_mps2**2,
            power * self.lift_std_mps2**2,
            1.0 / self.manoeuvre_time_s,
            self.initial_speed_std_mps,
            self.initial_climb_std_mps,
            self.manoeuvre_std_mps2,
            self.lift_std_mps2,
        )


@dataclass(frozen=True, slots=True)
class CoordinatedTurn:
    """A turn about the local up at a known rate, with white-noise acceleration, anisotropic in east/north/up.

    The state is (position, velocity) in ECEF; the horizontal velocity turns, the climb does not. The discretisation
    is exact, noise included (Bar-Shalom, Li, Kirubarajan 2001, section 11.7.1, doi:10.1002/0471221279, gives the
    transition); at rate zero it is `ConstantVelocity`.

    Parameters
    ----------
    turn_left_degps : float
        Rate of turn, to the left (anticlockwise from above); negative turns right. [deg/s]
    horizontal_psd, vertical_psd : float, optional
        Power spectral density of the acceleration. [m2/s3]
    initial_speed_std_mps, initial_climb_std_mps : float, optional
        Standard deviation of an unknown velocity, per horizontal axis and upwards. [m/s]

    Raises
    ------
    InputError
        If the rate is not finite, or another parameter not positive and finite.
    """

    code: ClassVar[int] = kernels.TURN
    state_size: ClassVar[int] = 6

    turn_left_degps: float
    horizontal_psd: float = 1.0
    vertical_psd: float = 0.02
    initial_speed_std_mps: float = 15.0
    initial_climb_std_mps: float = 0.5

    def __post_init__(self) -> None:
        _check_positive(self, but="turn_left_degps")

    @property
    def parameters(self) -> Floats:
        """(8,) float64: what the kernels need to know."""
        return _parameters(
            self.horizontal_psd,
            self.vertical_psd,
            np.radians(self.turn_left_degps),
            self.initial_speed_std_mps,
            self.initial_climb_std_mps,
        )


@dataclass(frozen=True, slots=True)
class StopAndGo:
    """A velocity that always wants to come to rest, and is always kicked on: traffic, crowds, searches.

    The state is (position, velocity) in ECEF; the velocity is an Ornstein-Uhlenbeck process, ``v' = -v/T + w``, with a
    stationary standard deviation, so a track that hears nothing stops after about T instead of flying on, and its
    doubt grows with the root of time (Uhlenbeck, Ornstein 1930, doi:10.1103/PhysRev.36.823). For a long T it becomes
    constant velocity with the psd ``2 speed_std_mps**2/T``.

    Parameters
    ----------
    speed_std_mps : float, optional
        Stationary standard deviation of each horizontal component of the velocity. [m/s]
    climb_std_mps : float, optional
        The same upwards. [m/s]
    stop_time_s : float, optional
        How long a velocity lasts: the time constant T. [s]

    Raises
    ------
    InputError
        If a parameter is not positive and finite.
    """

    code: ClassVar[int] = kernels.VELOCITY
    state_size: ClassVar[int] = 6

    speed_std_mps: float = 8.0
    climb_std_mps: float = 0.2
    stop_time_s: float = 20.0

    def __post_init__(self) -> None:
        _check_positive(self)

    @property
    def parameters(self) -> Floats:
        """(8,) float64: what the kernels need to know."""
        power = 2.0 / self.stop_time_s
        return _parameters(
            power * self.speed_std_mps**2,
            power * self.climb_std_mps**2,
            1.0 / self.stop_time_s,
            self.speed_std_mps,
            self.climb_std_mps,
        )


Motion: TypeAlias = ConstantVelocity | ConstantAcceleration | Singer | CoordinatedTurn | StopAndGo


@dataclass(frozen=True, slots=True)
class Mixture:
    """Several models of one target, of which one is right at a time and another may be in the next moment.

    Which one is right is a Markov chain in continuous time: a model stays for `mean_stay_s` on average, then one of
    the others takes over, each as likely. So the probability of a switch follows from the length of the step,
    ``Pi(dt) = expm(rates dt)``, and irregular data need no tuning of it (Blom, Bar-Shalom 1988, doi:10.1109/9.1299,
    for the filter).

    The models share one state. Where one of them has an acceleration, a model without gets one that it does not use:
    it forgets it within `rest_time_s`, to a standard deviation of `rest_acceleration_std_mps2` about zero. So its
    covariance stays regular, two steps in a row are still one long step, and mixing passes on that this model
    believes in no acceleration.

    Parameters
    ----------
    models : sequence of Motion
        The models.
    mean_stay_s : float or (m,) array_like, optional
        How long each model stays right, on average. [s]
    initial : (m,) array_like, optional
        Probability of each model at the start; by default the one that the chain settles to, proportional to
        `mean_stay_s`.
    rest_time_s, rest_acceleration_std_mps2 : float, optional
        See above. [s], [m/s2]

    Raises
    ------
    InputError
        If there is no model, or a parameter has the wrong length or range.

    Examples
    --------
    >>> mixture = Mixture([ConstantVelocity(0.1), ConstantVelocity(4.0)], mean_stay_s=[30.0, 10.0])
    >>> mixture.initial
    (0.75, 0.25)
    >>> mixture.switching([1.0, 1e9]).round(3).tolist()
    [[[0.969, 0.031], [0.094, 0.906]], [[0.75, 0.25], [0.75, 0.25]]]
    """

    models: Sequence[Motion]
    mean_stay_s: ArrayLike = 20.0
    initial: ArrayLike | None = None
    rest_time_s: float = 1.0
    rest_acceleration_std_mps2: float = 0.1

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "models", tuple(self.models))
        if not self.models:
            raise InputError("a Mixture needs at least one model; got none.")
        m = len(self.models)
        same = np.ndim(self.mean_stay_s) == 0
        stay = column("mean_stay_s", np.full(m, self.mean_stay_s) if same else self.mean_stay_s, np.float64, (None,))
        _check_each("mean_stay_s", stay, m)
        initial = stay / stay.sum() if self.initial is None else column("initial", self.initial, np.float64, (None,))
        _check_each("initial", initial, m)
        if abs(initial.sum() - 1.0) > 1e-9:
            raise InputError(f"initial must sum to 1; it sums to {initial.sum():g}.")
        for name in ("rest_time_s", "rest_acceleration_std_mps2"):
            _check_one(name, getattr(self, name))
        put(self, "mean_stay_s", tuple(map(float, stay)))
        put(self, "initial", tuple(map(float, initial)))

    @property
    def state_size(self) -> int:
        """6, or 9 where a model has an acceleration."""
        return max(model.state_size for model in self.models)

    @property
    def codes(self) -> NDArray[np.int64]:
        """(m,) int64: `code` of each model."""
        return np.array([model.code for model in self.models], dtype=np.int64)

    @property
    def parameters(self) -> Floats:
        """(m, 8) float64: `parameters` of each model, with what it needs to carry an acceleration of no use."""
        table = np.stack([model.parameters for model in self.models])
        without = np.array([model.state_size == 6 for model in self.models])
        table[without, 5:7] = self.rest_acceleration_std_mps2
        table[without, 7] = 1.0 / self.rest_time_s
        return table

    @property
    def rates(self) -> Floats:
        """(m, m) float64: generator of the Markov chain; row i holds the rates from model i. [1/s]"""
        leave = 1.0 / np.asarray(self.mean_stay_s)
        m = len(leave)
        if m == 1:
            return np.zeros((1, 1))
        rates = np.repeat(leave[:, None] / (m - 1), m, axis=1)
        np.fill_diagonal(rates, -leave)
        return rates

    def switching(self, step_s: ArrayLike) -> Floats:
        """Return the probability that model j is right after a step, given that model i was before it.

        Parameters
        ----------
        step_s : (n,) array_like
            Steps. [s]

        Returns
        -------
        (n, m, m) float64
            Row i, column j; rows sum to 1.

        Raises
        ------
        InputError
            If a step is negative or not finite.
        """
        steps = column("step_s", step_s, np.float64, (None,), low=0.0, high=_LONGEST_S, nan=False)
        out = np.empty((len(steps), len(self.models), len(self.models)))
        kernels.switching_rows(self.rates, steps, out)
        return out

    def discretise(self, model: int, position_ecef_m: ArrayLike, step_s: ArrayLike) -> tuple[Floats, Floats]:
        """Return what one of the models does to the state that all of them share; see `discretise`.

        Parameters
        ----------
        model : int
            Index into `models`.
        position_ecef_m : (n, 3) array_like
            The position at the start of each step. [m]
        step_s : (n,) array_like
            Length of each step. [s]

        Returns
        -------
        transition, noise : (n, d, d) float64
            d is the `state_size` of the mixture.

        Raises
        ------
        InputError
            If shapes are wrong, or a step is negative or not finite.
        """
        code, parameters = self.models[model].code, self.parameters[model]
        return _discretised(code, parameters, self.state_size, position_ecef_m, step_s)


def road_vehicle() -> Mixture:
    """Return how a target moves of which nothing is known but that it drives: calm, with moments of hard driving.

    `ConstantVelocity` as it is by default, and for 4 s out of 24 one that brakes, starts or turns at 6 m/s2, or is not
    as slow as a road vehicle. On a straight road the mixture is as accurate as the calm model alone; where that one
    loses a target that turns, the other holds it.

    Returns
    -------
    Mixture
        What `dronetrack.track` and `Tracker` take by default.

    Examples
    --------
    >>> [model.horizontal_psd for model in road_vehicle().models]
    [2.0, 30.0]
    """
    hard = ConstantVelocity(horizontal_psd=30.0, initial_speed_std_mps=60.0)
    return Mixture((ConstantVelocity(), hard), mean_stay_s=(20.0, 4.0))


def discretise(motion: Motion, position_ecef_m: ArrayLike, step_s: ArrayLike) -> tuple[Floats, Floats]:
    """Return what a model does to a state over steps: transition matrix and process noise, exactly.

    Parameters
    ----------
    motion : Motion
        The model; d is its `state_size`.
    position_ecef_m : (n, 3) array_like
        Where the local axes are taken: the position at the start of each step. [m]
    step_s : (n,) array_like
        Length of each step. [s]

    Returns
    -------
    transition : (n, d, d) float64
        ``x -> transition @ x``, for (position, velocity[, acceleration]) in ECEF.
    noise : (n, d, d) float64
        What the step adds to the covariance.

    Raises
    ------
    InputError
        If shapes are wrong, or a step is negative or not finite.

    Examples
    --------
    >>> transition, noise = discretise(ConstantVelocity(2.0, 2.0), [[6378137.0, 0.0, 0.0]], [0.5])
    >>> float(transition[0, 0, 3]), float(noise[0, 3, 3])
    (0.5, 1.0)
    """
    return _discretised(motion.code, motion.parameters, motion.state_size, position_ecef_m, step_s)


_LONGEST_S = 1e12  # beyond the range of a time in microseconds


def _parameters(*values: float) -> Floats:
    """Parameters in the order of the kernels' legend, zeros for what a model does not have."""
    out = np.zeros(kernels.N_PARAMS)
    out[: len(values)] = values
    return out


def _check_positive(model: Motion, *, but: str = "") -> None:
    for name in (one.name for one in fields(model)):
        value = getattr(model, name)
        if name != but:
            _check_one(name, value)
        elif not np.isfinite(value):
            raise InputError(f"{name} must be finite; got {value}.")


def _check_one(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise InputError(f"{name} must be positive and finite; got {value}.")


def _check_each(name: str, values: Floats, m: int) -> None:
    if len(values) != m or not (np.isfinite(values) & (values > 0.0)).all():
        raise InputError(f"{name} must be {m} positive finite numbers, one for each model; got {values}.")


def _discretised(
    code: int, parameters: Floats, size: int, position_ecef_m: ArrayLike, step_s: ArrayLike
) -> tuple[Floats, Floats]:
    positions = column("position_ecef_m", position_ecef_m, np.float64, (None, 3), nan=False)
    steps = column("step_s", step_s, np.float64, (None,), low=0.0, high=_LONGEST_S, nan=False)
    n = same_length("a discretisation", {"position_ecef_m": positions, "step_s": steps})
    transition, noise = np.empty((n, size, size)), np.empty((n, size, size))
    kernels.model_rows(code, parameters, positions, steps, transition, noise)
    return transition, noise
