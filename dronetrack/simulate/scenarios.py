"""What is simulated, and what comes out? A scenario, its runs, and the drawing of all of them at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.measurements import Measurements
from dronetrack.metrics import Bound, cramer_rao_bound
from dronetrack.motion import ConstantVelocity, Mixture, Motion
from dronetrack.simulate.cameras import Camera
from dronetrack.simulate.sensors import FROM_TARGET, GROUND, Contacts, Positions, Rows, World
from dronetrack.simulate.targets import NearlyConstantVelocity, Origin, Switching, TargetMotion, gauss_markov
from dronetrack.tracks import CONFIRMED, Track

START_US = 1_795_470_000_000_000
MIDDLE: Origin = (46.21, 20.76, 126.9)  # beside the motorway at the border of Hungary and Romania

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Radio:
    """How long a row is under way.

    Parameters
    ----------
    delay_s : float, optional
        Every row. [s]
    late : float, optional
        Share of rows that take longer.
    late_s : float, optional
        Longest extra delay of these, uniform from zero. [s]
    """

    delay_s: float = 0.1
    late: float = 0.0
    late_s: float = 1.5

    def __post_init__(self) -> None:
        if not (0.0 <= self.late <= 1.0 and self.delay_s >= 0.0 and self.late_s >= 0.0):
            raise InputError(f"a radio needs a share in [0, 1] and delays of at least 0 s; got {self}.")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated.

    Parameters
    ----------
    name : str
        What to call it.
    about : str
        What it is for, in a sentence; with its source where it is someone else's.
    duration_s : float
        Length. [s]
    target : TargetMotion
        How the target moves.
    sensors : tuple of Positions, Camera or Contacts
        Who watches.
    motion : ConstantVelocity, Mixture or another model of `dronetrack.motion`, optional
        What a filter is told about the target.
    radio : Radio, optional
        How rows travel.
    blind_s : tuple of (float, float), optional
        Stretches in which nothing sees the target, such as a tunnel. [s]
    truth_step_s : float, optional
        The truth has a row at least this often, beside one at the time of every measurement. [s]
    origin : (float, float, float), optional
        Latitude, longitude [deg] and height above the ellipsoid [m] of the local axes' foot.
    """

    name: str
    about: str
    duration_s: float
    target: TargetMotion
    sensors: tuple[Positions | Contacts | Camera, ...]
    motion: Motion | Mixture = field(default_factory=ConstantVelocity)
    radio: Radio = field(default_factory=Radio)
    blind_s: tuple[tuple[float, float], ...] = ()
    truth_step_s: float = 0.5
    origin: Origin = MIDDLE

    def __post_init__(self) -> None:
        for name in ("duration_s", "truth_step_s"):
            if not 0.0 < getattr(self, name) < 1e6:
                raise InputError(f"{name} must lie in (0, 1e6) s; got {getattr(self, name)}.")
        names = [sensor.name for sensor in self.sensors]
        if len(set(names)) < len(names):
            raise InputError(f"the sensors of a scenario need names of their own; got {names}.")

    @property
    def model_is_true(self) -> bool:
        """Whether the target starts and moves as the filter is told, so that consistency and bound are its own."""
        if isinstance(self.motion, Mixture):
            return self.target == Switching(self.motion)
        return isinstance(self.motion, ConstantVelocity) and self.target == NearlyConstantVelocity(self.motion)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run of a scenario.

    Parameters
    ----------
    truth : Track
        The target: a track without doubt, its covariance is zero.
    measurements : Measurements
        What the sensors said, in order of measurement time.
    arrival_us : (m,) int64
        When each row arrived; sort by it to play the run as it was heard. [us, UTC]
    cause : (m,) int8
        What each row comes from: `FROM_TARGET`, `FROM_CLUTTER` or `FROM_LOOK_ALIKE`.
    errors : dict
        What was drawn, by sensor and error, each (rows before losses, ...) or one number a run.
    """

    truth: Track
    measurements: Measurements
    arrival_us: NDArray[np.int64]
    cause: NDArray[np.int8]
    errors: dict[str, dict[str, NDArray]]

    @property
    def of_target(self) -> Measurements:
        """The rows that do come from the target."""
        return self.measurements.take(self.cause == FROM_TARGET)

    def batches(self, every_s: float = 0.1) -> Iterator[Measurements]:
        """Play the run as it was heard: what arrived in each stretch of time, within it in order of measurement.

        Parameters
        ----------
        every_s : float, optional
            Length of a stretch. [s]

        Yields
        ------
        Measurements
            The rows of one stretch; stretches in which nothing arrived are passed over.

        Raises
        ------
        InputError
            If the stretch is shorter than a microsecond.
        """
        every_us = round(every_s * 1e6)
        if every_us < 1:
            raise InputError(f"every_s must be at least a microsecond; got {every_s}.")
        stretch = self.arrival_us // every_us
        order = np.argsort(stretch, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(stretch[order])) + 1):
            if len(rows):
                yield self.measurements.take(rows)


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """All runs of a scenario: a sequence of `Run`.

    Parameters
    ----------
    scenario : Scenario
        What was simulated.
    time_us : (n,) int64
        Times of the truth, common to all runs. [us, UTC]
    state : (runs, n, 6) float64
        The truth. ECEF [m], [m/s]
    measurements, arrival_us, cause, errors : tuple, and dict
        As in `Run`, one entry a run; `errors` by sensor and error, (runs, ...) each.
    no_doubt : (n, 6, 6) float64
        The covariance of every truth: zero.
    """

    scenario: Scenario
    time_us: NDArray[np.int64]
    state: Floats
    measurements: tuple[Measurements, ...]
    arrival_us: tuple[NDArray[np.int64], ...]
    cause: tuple[NDArray[np.int8], ...]
    errors: dict[str, dict[str, NDArray]]
    no_doubt: Floats

    def __len__(self) -> int:
        return len(self.measurements)

    def __getitem__(self, run: int) -> Run:
        if not -len(self) <= run < len(self):
            raise IndexError(f"there are {len(self)} runs; got {run}")
        drawn = {sensor: {name: rows[run] for name, rows in some.items()} for sensor, some in self.errors.items()}
        return Run(self.truth(run), self.measurements[run], self.arrival_us[run], self.cause[run], drawn)

    def __iter__(self) -> Iterator[Run]:
        return (self[run] for run in range(len(self)))

    @property
    def n_rows(self) -> int:
        """Number of measurement rows in all runs together."""
        return sum(len(table) for table in self.measurements)

    def truth(self, run: int) -> Track:
        """Return the target of one run as a track without doubt.

        Parameters
        ----------
        run : int
            Which.

        Returns
        -------
        Track
            n rows, covariance zero.
        """
        n = len(self.time_us)
        return Track(
            time_us=self.time_us,
            track_id=0,
            status=np.full(n, CONFIRMED, dtype=np.int8),
            state=self.state[run],
            cov=self.no_doubt,
            nis=np.full(n, np.nan),
            n_sensors=np.zeros(n, dtype=np.int16),
        )

    @property
    def truths(self) -> tuple[Track, ...]:
        """The target of every run."""
        return tuple(self.truth(run) for run in range(len(self)))

    def bound(self, *, same_geometry: bool = False) -> Bound:
        """Return the posterior Cramer-Rao bound of the runs, at the times of the truth, for the scenario's `motion`.

        Parameters
        ----------
        same_geometry : bool, optional
            See `dronetrack.metrics.cramer_rao_bound`.

        Returns
        -------
        Bound
            Mean over the runs; only rows that do come from the target count.

        Raises
        ------
        InputError
            If the scenario's `motion` is not a `ConstantVelocity`.
        """
        if not isinstance(self.scenario.motion, ConstantVelocity):
            raise InputError(f"the bound is known for ConstantVelocity only; {self.scenario.name} has another motion.")
        tables = [run.of_target for run in self]
        first = min(int(table.time_us[0]) for table in tables)
        wanted = self.time_us[self.time_us >= first]
        return cramer_rao_bound(tables, self.truths, self.scenario.motion, time_us=wanted, same_geometry=same_geometry)


def simulate(scenario: "Scenario | str", *, runs: int = 1, rng: np.random.Generator) -> Simulation:
    """Draw the runs of a scenario, all at once.

    The same seed gives the same bits; the first runs of many are the same as fewer runs; and one sensor's errors do
    not change when another sensor is added after it.

    Parameters
    ----------
    scenario : Scenario or str
        What to simulate, or the name of one of `scenario_names()`.
    runs : int, optional
        How many.
    rng : numpy.random.Generator
        Source of chance, such as ``numpy.random.default_rng(1)``; it must be able to spawn.

    Returns
    -------
    Simulation
        Truth, measurements ready for `dronetrack.track`, arrival times and drawn errors of every run.

    Raises
    ------
    InputError
        If there is no scenario of that name, or `runs` is not positive.

    Examples
    --------
    >>> simulation = simulate("straight", runs=3, rng=np.random.default_rng(1))
    >>> len(simulation), len(simulation[0].measurements), simulation.state.shape
    (3, 301, (3, 361, 6))
    """
    from dronetrack.simulate.library import scenario as named

    plan = named(scenario) if isinstance(scenario, str) else scenario
    if runs < 1:
        raise InputError(f"runs must be at least 1; got {runs}.")
    target_rng, ground_rng, radio_rng, *sensor_rngs = rng.spawn(3 + len(plan.sensors))
    since_us = [sensor.sampling.times_us(plan.duration_s, plan.blind_s) for sensor in plan.sensors]
    steps = np.arange(0.0, plan.duration_s + 1e-9, plan.truth_step_s)
    grid_us = np.unique(np.concatenate([*since_us, np.rint(steps * 1e6).astype(np.int64)]))
    grid_s = np.asarray(grid_us * 1e-6, dtype=np.float64)
    state = plan.target.draw(grid_s, runs, plan.origin, target_rng)
    ground = gauss_markov(grid_s, GROUND.shared_time_s, runs, 1, ground_rng)[:, :, 0]
    parts: list[tuple[NDArray[np.int64], Rows]] = []
    for sensor, times, own in zip(plan.sensors, since_us, sensor_rngs, strict=True):
        if len(times):
            at = np.searchsorted(grid_us, times)
            world = World(grid_s[at], np.ascontiguousarray(state[:, at]), ground[:, at], plan.origin)
            parts += [(times, rows) for rows in sensor.draw(world, own)]
    return _assemble(plan, grid_us, state, parts, radio_rng)


def _assemble(
    plan: Scenario,
    grid_us: NDArray[np.int64],
    state: Floats,
    parts: list[tuple[NDArray[np.int64], Rows]],
    rng: np.random.Generator,
) -> Simulation:
    """Put the rows of all sensors in the order of `merge`: time, then sensor name; one table a run."""
    runs = len(state)
    sensors = {rows.sensor.name: rows.sensor for _, rows in parts}
    names = sorted(sensors)
    width = [len(times) for times, _ in parts]
    since_us = np.concatenate([times for times, _ in parts]) if parts else np.zeros(0, dtype=np.int64)
    who = np.repeat(np.array([names.index(rows.sensor.name) for _, rows in parts], dtype=np.int32), width)
    kind = np.repeat(np.array([rows.kind for _, rows in parts], dtype=np.int8), width)
    order = np.lexsort((who, since_us))
    m = len(order)

    def gathered(name: str, shape: tuple[int, ...], dtype: type) -> NDArray:
        out = np.empty((runs, m, *shape), dtype=dtype)
        rank = np.empty(m, dtype=np.int64)
        rank[order] = np.arange(m)
        start = 0
        for length, (_, rows) in zip(width, parts, strict=True):
            out[:, rank[start : start + length]] = getattr(rows, name)
            start += length
        out.flags.writeable = False
        return out

    columns = {
        "z": gathered("z", (3,), np.float64),
        "cov": gathered("cov", (3, 3), np.float64),
        "site_ecef_m": gathered("site_ecef_m", (3,), np.float64),
        "site_cov": gathered("site_cov", (3, 3), np.float64),
    }
    keep, cause = gathered("keep", (), np.bool_), gathered("cause", (), np.int8)
    common = {
        "time_us": since_us[order] + START_US,
        "sensor_id": who[order],
        "kind": kind[order],
        "target_id": np.full(m, -1, dtype=np.int32),
    }
    for values in common.values():
        values.flags.writeable = False
    whole = [bool(kept.all()) for kept in keep]
    chosen = [slice(None) if all_kept else np.flatnonzero(kept) for all_kept, kept in zip(whole, keep, strict=True)]
    tables = tuple(
        Measurements(
            **{name: values[rows] for name, values in common.items()},
            **{name: values[run][rows] for name, values in columns.items()},
            sensors=tuple(sensors[name] for name in names),
        )
        for run, rows in enumerate(chosen)
    )
    arrival_us = _arrivals(common["time_us"], runs, plan.radio, rng)
    time_us = grid_us + START_US
    no_doubt = np.zeros((len(time_us), 6, 6))
    for values in (time_us, state, no_doubt):
        values.flags.writeable = False
    return Simulation(
        plan,
        time_us,
        state,
        tables,
        tuple(arrival_us[run][rows] for run, rows in enumerate(chosen)),
        tuple(cause[run][rows] for run, rows in enumerate(chosen)),
        {rows.sensor.name: rows.errors for _, rows in parts if rows.errors},
        no_doubt,
    )


def _arrivals(time_us: NDArray[np.int64], runs: int, radio: Radio, rng: np.random.Generator) -> NDArray[np.int64]:
    """When each row is heard, (runs, m); what the same device says at one moment travels in one message."""
    which, extra = rng.spawn(2)
    moment, row = np.unique(time_us, return_inverse=True)
    shape = (runs, len(moment))
    late_s = np.where(which.random(shape) < radio.late, extra.uniform(0.0, radio.late_s, shape), 0.0)
    return time_us + np.rint((radio.delay_s + late_s)[:, row] * 1e6).astype(np.int64)
