"""What does a tracker elsewhere need to go on from here? What is believed, and none of the rows that made it so."""

from dataclasses import dataclass
from typing import Self, get_args

import numpy as np
from numpy.typing import NDArray

from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.filtering import Memory, sensor_table
from dronetrack.kernels import filters
from dronetrack.measurements import Sensor
from dronetrack.motion import Mixture, Motion, road_vehicle
from dronetrack.tracks import Track

Floats = NDArray[np.float64]

MOST_SENSORS, MOST_MODELS = 64, 16
_REGULAR = 1e-9  # of a correlation: rounding may take this much from the smallest eigenvalue
CLOCKS, LEARNT, HEARD = 6, 10, 8  # what the filter keeps of a target, and of a sensor: numbers and times


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What is believed of one target at one moment, whole: enough for another tracker to go on with the same bits.

    Parameters
    ----------
    time_us : int
        When. [us, UTC]
    track_id : int
        The track's identity.
    motion : Motion or Mixture
        How the target is taken to move; m models, d components.
    sensors : tuple of Sensor
        The s sensors that were heard.
    mean : (m, d) float64
        ECEF position [m], velocity [m/s], and acceleration [m/s2] where a model has one, by each model.
    cov : (m, d, d) float64
        Covariance of each.
    weight : (m,) float64
        Probability of each model.
    shares : (s,) bool
        Which sensors' rows brought errors that rows share (`Measurements.site_cov`).
    ties : (m, d, b) float64
        Covariance of each mean with the b errors that the sensors share: without it, a bias that the track has already
        taken in would be taken for news.
    learnt : (s, 10) float64
        What was learnt of each sensor's noise.
    heard_us : (s, 8) int64
        When each was heard, and refused.
    clock : (6,) int64
        Since when the target has been followed, and how well it is supported.

    Raises
    ------
    InputError
        If shapes or types are wrong, a number is not finite, or a covariance not positive definite.
    """

    time_us: int
    track_id: int
    motion: Motion | Mixture
    sensors: tuple[Sensor, ...]
    mean: Floats
    cov: Floats
    weight: Floats
    shares: NDArray[np.bool_]
    ties: Floats
    learnt: Floats
    heard_us: NDArray[np.int64]
    clock: NDArray[np.int64]

    def __post_init__(self) -> None:
        models = self.motion.models if isinstance(self.motion, Mixture) else (self.motion,)
        if not all(isinstance(one, get_args(Motion)) for one in models) or len(models) > MOST_MODELS:
            raise InputError(f"motion must be a model, or a Mixture of up to {MOST_MODELS}; got {self.motion}.")
        names = [one.name for one in self.sensors]
        if len(set(names)) < len(names) or len(names) > MOST_SENSORS:
            raise InputError(f"up to {MOST_SENSORS} sensors, each of its own name, are needed; got {names}.")
        m, d, s = len(models), self.motion.state_size, len(self.sensors)
        self._check("shares", np.bool_, (s,))
        variance = sensor_table(self.sensors, self.shares).variance
        for name, shape in (("mean", (m, d)), ("cov", (m, d, d)), ("weight", (m,)), ("ties", (m, d, len(variance)))):
            self._check(name, np.float64, shape)
        self._check("learnt", np.float64, (s, LEARNT))
        self._check("heard_us", np.int64, (s, HEARD))
        self._check("clock", np.int64, (CLOCKS,))
        if self.clock[0] != 1 or (self.clock[1:4] > self.time_us).any():
            raise InputError("the clock of a belief must be of a target that is followed, and not be ahead of it.")
        if not (np.all(self.weight >= 0.0) and abs(self.weight.sum() - 1.0) < 1e-9):
            raise InputError(f"weight must be probabilities that sum to 1; got {self.weight}.")
        for cov, ties in zip(self.cov, self.ties, strict=True):
            _check_regular(cov, ties, variance)

    @classmethod
    def of(cls, track: Track, *, motion: Motion | Mixture | None = None) -> Self:
        """Take the last row of a track for what is believed; nothing is known of the sensors that made it.

        So an error that they share passes for news when they are heard again: hand on a tracker's belief where there
        is a tracker. Until the first row comes, such a tracker tells no later time than that of the track.

        Parameters
        ----------
        track : Track
            At least one row.
        motion : Motion or Mixture, optional
            How the target moves; each model begins with the same mean.

        Returns
        -------
        Belief
            One that fits a model of six components.

        Raises
        ------
        InputError
            If the track is empty, or the model has an acceleration, of which a track says nothing.
        """
        motion = motion or road_vehicle()
        if not len(track) or motion.state_size != 6:
            raise InputError("a track of one row or more, and a motion model without acceleration, are needed.")
        weight = np.array(motion.initial) if isinstance(motion, Mixture) else np.ones(1)
        m, now = len(weight), int(track.time_us[-1])
        return cls(
            now,
            track.track_id,
            motion,
            (),
            np.repeat(track.state[-1:], m, axis=0),
            np.repeat(track.cov[-1:], m, axis=0),
            weight,
            np.zeros(0, dtype=np.bool_),
            np.zeros((m, 6, 0)),
            np.zeros((0, LEARNT)),
            np.zeros((0, HEARD), dtype=np.int64),
            np.array([1, now, now, now, 1, 0]),
        )

    @property
    def state(self) -> Floats:
        """(6,) float64: ECEF position [m] and velocity [m/s]; the mean of the models."""
        return (self.mean[0] + self.weight @ (self.mean - self.mean[0]))[:6]

    @property
    def state_cov(self) -> Floats:
        """(6, 6) float64: covariance of `state`, what the models differ by included."""
        apart = self.mean[:, :6] - self.state
        return np.einsum("m,mij->ij", self.weight, self.cov[:, :6, :6] + apart[:, :, None] * apart[:, None, :])

    def _check(self, name: str, dtype: type, shape: tuple[int, ...]) -> None:
        values = column(name, getattr(self, name), dtype, shape, nan=False)
        if values.shape != shape or not np.isfinite(values).all():
            raise InputError(f"{name} must be {shape} finite numbers; got {values.shape}.")
        object.__setattr__(self, name, values)


def take_out(
    memory: Memory, track_id: int, motion: Motion | Mixture, sensors: tuple[Sensor, ...], shares: NDArray
) -> Belief:
    """Copy what a filter believes after its last complete moment; a second hypothesis stays behind."""
    belief = memory.belief
    d = belief.x.shape[2]
    return Belief(
        int(belief.head[filters.MOMENT]),
        track_id,
        motion,
        sensors,
        belief.x[0],
        belief.P[0, :, :, :d],
        belief.w[0],
        shares,
        belief.P[0, :, :, d:],
        belief.sensor_noise,
        belief.sensor_us,
        belief.clock[0],
    )


def put_in(memory: Memory, belief: Belief) -> None:
    """Let a filter that remembers nothing yet believe this; the moment's row of the track is still to be written."""
    mine = memory.belief
    d = mine.x.shape[2]
    mine.x[0], mine.w[0], mine.clock[0] = belief.mean, belief.weight, belief.clock
    mine.P[0, :, :, :d], mine.P[0, :, :, d:] = belief.cov, belief.ties
    mine.sensor_noise[:], mine.sensor_us[:] = belief.learnt, belief.heard_us
    mine.head[filters.MOMENT], mine.head[filters.PENDING] = belief.time_us, 1


def _check_regular(cov: Floats, ties: Floats, variance: Floats) -> None:
    """Refuse a covariance that is not positive definite, by itself or with the errors that the sensors share."""
    if not (cov == cov.T).all() or not (np.diag(cov) > 0.0).all():
        raise InputError("a covariance is not symmetric, or a variance not positive.")
    scale = 1.0 / np.sqrt(np.diag(cov))
    ties = scale[:, None] * ties / np.sqrt(variance)
    alone = cov * np.outer(scale, scale)
    whole = np.block([[alone, ties], [ties.T, np.eye(len(variance))]])
    if np.linalg.eigvalsh(alone)[0] <= 0.0 or np.linalg.eigvalsh(whole)[0] < -_REGULAR:
        raise InputError("a covariance is not positive definite.")
