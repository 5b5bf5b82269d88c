"""What do the sensors say of the truth? Positions and contacts, with errors drawn as their rows state them.

Every sensor has ``draw(world, rng)``, which gives the rows of all runs at once. Where a sensor has a `stated` budget,
its rows claim that one while its errors are drawn from `errors`: so a scenario can lie.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.measurements import POSITION, Sensor
from dronetrack.simulate.targets import Origin, gauss_markov

FROM_TARGET, FROM_CLUTTER, FROM_LOOK_ALIKE = 0, 1, 2
GROUND = Sensor("terrain", shared_time_s=30.0, starts_tracks=False)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """When a sensor says something.

    Parameters
    ----------
    rate_hz : float, optional
        Rows a second.
    phase_s : float, optional
        Time of the first row. [s]
    windows_s : tuple of (float, float), optional
        Only within these stretches; empty means always. [s]
    dropout : float, optional
        Share of rows that are lost.
    clutter : float, optional
        Share of rows that come from something else, anywhere in a square about the target.
    clutter_m : float, optional
        Half the side of that square. [m]
    """

    rate_hz: float = 5.0
    phase_s: float = 0.0
    windows_s: tuple[tuple[float, float], ...] = ()
    dropout: float = 0.0
    clutter: float = 0.0
    clutter_m: float = 100.0

    def __post_init__(self) -> None:
        if not 0.0 < self.rate_hz <= 1000.0:
            raise InputError(f"rate_hz must lie in (0, 1000]; got {self.rate_hz}.")
        for name in ("dropout", "clutter"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name} is a share and must lie in [0, 1]; got {getattr(self, name)}.")

    def times_us(self, duration_s: float, blind_s: tuple[tuple[float, float], ...]) -> NDArray[np.int64]:
        """Return the times of the rows since the start, without those in which the target is hidden.

        Parameters
        ----------
        duration_s : float
            Length of the scenario. [s]
        blind_s : tuple of (float, float)
            Stretches in which nothing sees the target. [s]

        Returns
        -------
        (m,) int64
            [us]
        """
        count = int(np.floor((duration_s - self.phase_s) * self.rate_hz + 1e-9)) + 1
        seconds = self.phase_s + np.arange(max(count, 0)) / self.rate_hz
        use = np.zeros(len(seconds), dtype=np.bool_) if self.windows_s else np.ones(len(seconds), dtype=np.bool_)
        for start, stop in self.windows_s:
            use |= (seconds >= start) & (seconds < stop)
        for start, stop in blind_s:
            use &= ~((seconds >= start) & (seconds < stop))
        return np.rint(seconds[use] * 1e6).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What the sensors of a scenario look at: the truth of all runs at the times of one sensor.

    Parameters
    ----------
    seconds : (m,) float64
        Times of the rows since the start. [s]
    truth : (runs, m, 6) float64
        The target. ECEF [m], [m/s]
    ground : (runs, m) float64
        Error of the known ground height in units of its standard deviation; all cameras share it.
    origin : (float, float, float)
        The foot of the scenario's local axes. [deg, deg, m]
    """

    seconds: Floats
    truth: Floats
    ground: Floats
    origin: Origin

    @property
    def runs(self) -> int:
        """How many runs."""
        return len(self.truth)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one sensor in all runs: times are common, the rest is (runs, m, ...).

    Parameters
    ----------
    sensor : Sensor
        As the rows state it.
    kind : int
        Of all rows.
    z, cov, site_ecef_m, site_cov : ndarray
        As in `Measurements`.
    keep : (runs, m) bool
        False where the row was lost.
    cause : (runs, m) int8
        `FROM_TARGET`, `FROM_CLUTTER` or `FROM_LOOK_ALIKE`.
    errors : dict of str to (runs, ...) ndarray
        What was drawn.
    """

    sensor: Sensor
    kind: int
    z: Floats
    cov: Floats
    site_ecef_m: Floats
    site_cov: Floats
    keep: NDArray[np.bool_]
    cause: NDArray[np.int8]
    errors: dict[str, NDArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of the target: a cooperative receiver, a radar, or what a camera computed itself (a geo target).

    Parameters
    ----------
    name : str
        Of the sensor.
    authority : str, optional
        Who operates it.
    sampling : Sampling, optional
        When.
    std_m : (float, float, float), optional
        Error that is new in every row, east, north, up. [m]
    shared_std_m : (float, float, float), optional
        Error that wanders, east, north, up. [m]
    shared_time_s : float, optional
        How fast. [s]
    starts_tracks : bool, optional
        Whether a row may start a track.
    stated_std_m, stated_shared_std_m : (float, float, float), optional
        What the rows claim instead.
    """

    name: str
    authority: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    std_m: tuple[float, float, float] = (3.0, 3.0, 3.0)
    shared_std_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shared_time_s: float = 60.0
    starts_tracks: bool = True
    stated_std_m: tuple[float, float, float] | None = None
    stated_shared_std_m: tuple[float, float, float] | None = None

    def draw(self, world: World, rng: np.random.Generator) -> tuple[Rows, ...]:
        """Return the rows of all runs.

        Parameters
        ----------
        world : World
            What there is to see.
        rng : numpy.random.Generator
            Source of chance.

        Returns
        -------
        tuple of Rows
            One kind.
        """
        white, wander, lost, false = rng.spawn(4)
        turn = local_axes(world.truth[:, :, :3])
        shape = turn.shape[:2]
        fresh = white.normal(size=(*shape, 3)) * np.array(self.std_m)
        shared = gauss_markov(world.seconds, self.shared_time_s, world.runs, 3, wander) * np.array(self.shared_std_m)
        away, cause = clutter_of(self.sampling, shape, false)
        local = np.where((cause == FROM_CLUTTER)[..., None], away, 0.0) + fresh + shared
        stated = np.array(self.stated_std_m or self.std_m)
        stated_shared = np.array(self.stated_shared_std_m or self.shared_std_m)
        return (
            Rows(
                Sensor(self.name, self.authority, self.shared_time_s, starts_tracks=self.starts_tracks),
                POSITION,
                world.truth[:, :, :3] + to_ecef(turn, local),
                cov_to_ecef(turn, stated**2),
                np.broadcast_to(np.nan, (*shape, 3)),
                cov_to_ecef(turn, stated_shared**2),
                lost.random(shape) >= self.sampling.dropout,
                cause,
                {"shared_enu_m": shared},
            ),
        )


@dataclass(frozen=True, slots=True)
class Contacts:
    """A ground unit that follows the target and says so: `dronetrack.sensing.contacts` without the unit's own log.

    Parameters
    ----------
    name : str
        Of the unit; the sensor is called "<name> contact".
    authority : str, optional
        Whose unit.
    sampling : Sampling, optional
        When.
    standoff_m : (float, float), optional
        Nearest and farthest distance behind the target. [m]
    unit_std_m : float, optional
        Of the unit's own position, per horizontal axis. [m]
    """

    name: str
    authority: str = ""
    sampling: Sampling = field(default_factory=lambda: Sampling(rate_hz=1.0))
    standoff_m: tuple[float, float] = (50.0, 200.0)
    unit_std_m: float = 5.0

    def draw(self, world: World, rng: np.random.Generator) -> tuple[Rows, ...]:
        """Return the rows of all runs; see `Positions.draw`. The distance is the normal that the row states."""
        white, wander, lost = rng.spawn(3)
        turn = local_axes(world.truth[:, :, :3])
        shape = turn.shape[:2]
        near, far = self.standoff_m
        velocity = np.einsum("...ij,...j->...i", turn, world.truth[:, :, 3:])[..., :2]
        speed = np.linalg.norm(velocity, axis=2, keepdims=True)
        moving = speed >= 2.0
        ahead = np.where(moving, velocity / np.maximum(speed, 1e-9), 0.0)
        along_var, across_var = (far - near) ** 2 / 12.0, ((near + far) / 6.0) ** 2
        anywhere_var = (near * near + near * far + far * far) / 6.0
        local = np.zeros((*shape, 3, 3))
        spread = across_var * np.eye(2) + (along_var - across_var) * outer(ahead)
        local[..., :2, :2] = np.where(moving[..., None], spread, anywhere_var * np.eye(2))
        local[..., [0, 1], [0, 1]] += self.unit_std_m**2
        local[..., 2, 2] = 10.0**2
        scale = gauss_markov(world.seconds, 60.0, world.runs, 3, wander)
        shared = np.einsum("...ij,...j->...i", np.linalg.cholesky(local), scale)
        fresh = 2.0 * white.normal(size=(*shape, 3))
        return (
            Rows(
                Sensor(f"{self.name} contact", self.authority, shared_time_s=60.0, starts_tracks=False),
                POSITION,
                world.truth[:, :, :3] + to_ecef(turn, fresh + shared),
                np.broadcast_to(2.0**2 * np.eye(3), (*shape, 3, 3)),
                np.broadcast_to(np.nan, (*shape, 3)),
                np.swapaxes(turn, -1, -2) @ local @ turn,
                lost.random(shape) >= self.sampling.dropout,
                np.full(shape, FROM_TARGET, dtype=np.int8),
                {"shared_enu_m": shared},
            ),
        )


def clutter_of(sampling: Sampling, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Floats, NDArray[np.int8]]:
    """Return offsets east, north, up (runs, m, 3) of what is not the target, and which rows come from it."""
    who, where = rng.spawn(2)
    cause = np.where(who.random(shape) < sampling.clutter, FROM_CLUTTER, FROM_TARGET).astype(np.int8)
    if not sampling.clutter:
        return np.zeros((*shape, 3)), cause
    return where.uniform(-sampling.clutter_m, sampling.clutter_m, (*shape, 3)) * np.array([1.0, 1.0, 0.0]), cause


def local_axes(place: Floats) -> Floats:
    """Return east, north, up at each place: (runs, m, 3, 3)."""
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(place.reshape(-1, 3))
    return geodesy.enu_rotation(lat_deg, lon_deg).reshape(*place.shape[:2], 3, 3)


def to_ecef(turn: Floats, local: Floats) -> Floats:
    """Turn vectors (..., 3) from the local axes of each row to ECEF."""
    return np.einsum("...ji,...j->...i", turn, local)


def cov_to_ecef(turn: Floats, variances: Floats) -> Floats:
    """Return covariances (..., 3, 3) in ECEF of errors with these variances (3,) east, north, up."""
    return np.swapaxes(turn, -1, -2) @ (variances[:, None] * turn)


def outer(vectors: Floats) -> Floats:
    """Return v v' of vectors (..., d)."""
    return vectors[..., :, None] * vectors[..., None, :]
