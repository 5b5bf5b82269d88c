"""Where was the target, now that all is known? The whole table at once, forwards and backwards."""

from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.filtering import gate_limits, kernel_rows, sensor_table, shares_errors
from dronetrack.kernels import filters
from dronetrack.kernels import hindsight as kernels
from dronetrack.measurements import LINE_OF_SIGHT, TICK, Measurements
from dronetrack.motion import Mixture
from dronetrack.tracks import Origin, Track

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROUNDS = 4  # at most
FEW = 40  # components say nothing of a sensor's noise
SETTLED = 0.2  # of a standard deviation: the way moves less than that between two rounds, but for one row in a hundred
LEFT = 0.25  # of what a round moved is the most that it leaves to the next, where rows and noise stay what they were
LEFT_OUT_COST = 8.0  # of a row that is left out, in the log-likelihood: more than that of one at the gate
NEAR = 0.9  # a row that the filter refused comes back if nine of ten right ones would be as near


def smooth(track: Track, *, measurements: Measurements | None = None, gate_probability: float = 0.997) -> Track:
    """Go over a whole track again, with everything that came later known.

    The errors that rows of a sensor share are estimated here beside the target, not only considered: the geometry is
    linearised about a whole way and linearised again about the smoothed one (Gauss-Newton on the path; Bell 1994,
    doi:10.1137/0804035), which a filter cannot do. In each round every measurement is weighed against all the others:
    what the filter took from a wrong target is dropped, what it refused although it fits is used, and a sensor that
    proves noisier than it was said to be is believed less.

    Parameters
    ----------
    track : Track
        A whole track, as `dronetrack.track` returned it.
    measurements : Measurements, optional
        The same rows in another description, such as with errors to estimate that the filter had put right already.
    gate_probability : float, optional
        Probability that a right measurement is kept.

    Returns
    -------
    Track
        The same rows; the covariance is that of the smoothed state. `stats` holds, in ``smoothed``, the log-likelihood
        of the whole table (rows that were left out at a price), and per sensor how many rows were used and its noise
        factor.

    Raises
    ------
    InputError
        If the track does not carry what it was made of (a part of a track, or one that was read from a file), or the
        other description has other rows.
    """
    if track.origin is None:
        raise InputError("this track does not know what it was made of; smooth the whole track that track() returned.")
    if not len(track):
        return track
    made = track.origin
    table = made.measurements if measurements is None else measurements
    if not np.array_equal(table.time_us, made.measurements.time_us):
        raise InputError("the other description must hold the same rows at the same times as the track was made of.")
    task = _Task.of(track, made, table)
    found = _settled(task, made, gate_probability)
    left_out = task.inside & ~found.use
    stats = {
        "rounds": found.rounds,
        "log_likelihood": float(found.foreseen[found.use].sum() - LEFT_OUT_COST * np.sum(left_out)),
        "sensors": {
            sensor.name: {
                "used": int(np.sum(found.use & (table.sensor_id == row))),
                "left_out": int(np.sum(left_out & (table.sensor_id == row))),
                "noise_factor": float(found.scale[row]),
            }
            for row, sensor in enumerate(table.sensors)
        },
    }
    return replace(track, state=found.state, cov=found.cov, stats={**track.stats, "smoothed": stats}, origin=None)


class _Task(NamedTuple):
    """What there is to smooth: n rows of S sensors, and a way of T moments."""

    rows: filters.Rows
    sensors: filters.Sensors
    way: kernels.Way  # its states are those of the filter
    inside: Bools  # (n,) whether the row says something, and within the way
    size: NDArray[np.int64]  # (n,) components

    @classmethod
    def of(cls, track: Track, made: Origin, table: Measurements) -> Self:
        first = np.append(np.searchsorted(table.time_us, track.time_us), len(table))
        inside = (table.kind != TICK) & ~np.isnan(table.z[:, 0]) & (np.arange(len(table)) >= first[0])
        sensors = sensor_table(table.sensors, shares_errors(table))
        code, params = _steps(made)
        way = kernels.Way(track.time_us, track.state.copy(), code, params, first)  # writable: one layout for kernels
        return cls(kernel_rows(table), sensors, way, inside, np.array([0, 3, 2, 1])[table.kind])

    def alone(self) -> Self:
        """Return the target's task as if no rows shared an error; what positions and heights share is their own."""
        nothing = np.zeros(0)
        none = np.full_like(self.sensors.columns, -1)
        shared = self.rows.root @ self.rows.root.transpose(0, 2, 1)
        cov = self.rows.cov + np.where((self.rows.kind == LINE_OF_SIGHT)[:, None, None], 0.0, shared)
        cov.flags.writeable = False  # as in a table: one layout for the kernel
        sensors = self.sensors._replace(columns=none, variance=nothing, clock=self.sensors.clock[:0])
        return self._replace(rows=self.rows._replace(cov=cov), sensors=sensors)


class _Found(NamedTuple):
    """What a round finds: the smoothed way, what each row says against all others, and how far off its site stands."""

    state: Floats  # (T, 6)
    cov: Floats  # (T, 6, 6)
    nis: Floats  # (n,)
    foreseen: Floats  # (n,)
    offset: Floats  # (n, 3) [m]
    use: Bools  # (n,) the rows that it believed
    scale: Floats  # (S,)
    rounds: int


def _settled(task: _Task, made: Origin, gate_probability: float) -> _Found:
    """Go round until the way has settled.

    The first way is that of the target smoothed alone. The filtered one follows the noise of the very rows that are
    linearised about it; what one row does so is nothing, but ten thousand do it alike, and press on the errors that
    they share. To a smoothed way the noise of each row is as foreign as that of any other.
    """
    gate, near = gate_limits(gate_probability), gate_limits(NEAR)
    use, scale = task.inside & (made.verdict == filters.ACCEPTED), made.noise_factor.copy()
    state = task.way.state
    found = _Found(
        state, np.empty((len(state), 6, 6)), np.full(len(use), np.nan), np.zeros(len(use)), np.zeros((len(use), 3)),
        use, scale, 0,
    )  # fmt: skip
    if task.sensors.variance.size:
        found = found._replace(state=_round(task.alone(), found).state)
    while True:
        before, rounds = found.state, found.rounds + 1
        found = _round(task, found._replace(use=use, scale=scale, rounds=rounds))
        moved = _moved(found, before) if rounds > 1 else np.inf
        if rounds == ROUNDS or moved < SETTLED:
            return found
        refused = ~use & task.inside & task.sensors.starts[task.rows.sensor]
        use = (use & (found.nis <= gate[task.size])) | (refused & (rounds == 1) & (found.nis <= near[task.size]))
        scale = _noise(task.rows.sensor, task.sensors.starts, scale, found.nis, task.size, use)
        same = np.array_equal(use, found.use) and np.array_equal(scale, found.scale)
        if same and LEFT * moved < SETTLED:
            return found


def _round(task: _Task, found: _Found) -> _Found:
    """Smooth about the way that was found, from where sites were found to stand.

    No way before the second round's is the last, so its covariance is not asked for; later ones take the same place.
    """
    way = task.way._replace(state=found.state)
    state, offset, wanted = np.empty_like(found.state), found.offset.copy(), found.rounds > 1
    kernels.smooth_rows(
        task.rows, found.use, found.scale, way, task.sensors, wanted,
        state, found.cov, found.nis, found.foreseen, offset,
    )  # fmt: skip
    return found._replace(state=state, offset=offset)


def _moved(found: _Found, before: Floats) -> float:
    """How far 99 of 100 coordinates have moved at the most, in standard deviations."""
    std = np.sqrt(np.diagonal(found.cov, axis1=1, axis2=2)[:, :3])
    return float(np.percentile(np.abs(found.state[:, :3] - before[:, :3]) / std, 99.0))


def _steps(made: Origin) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Model of the step to each row: of a mixture the mean of models of one kind, or else the most probable one."""
    mixture = made.motion if isinstance(made.motion, Mixture) else Mixture([made.motion])
    likely = np.argmax(made.weight, axis=1)
    if len(set(mixture.codes.tolist())) == 1:
        return mixture.codes[likely], made.weight @ mixture.parameters
    return mixture.codes[likely], mixture.parameters[likely]


def _noise(
    sensor_id: NDArray[np.int32],
    starts: NDArray[np.bool_],
    scale: NDArray[np.float64],
    nis: NDArray[np.float64],
    size: NDArray[np.int64],
    use: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Correct each sensor's factor by the mean NIS per component of its rows against all the others.

    What five standard deviations of that mean can explain is chance, and changes nothing.
    """
    out = scale.copy()
    for row in np.flatnonzero(starts):
        mine = use & (sensor_id == row)
        components = int(size[mine].sum())
        if components >= FEW:
            found = scale[row] * float(nis[mine].sum()) / components
            out[row] = min(found, filters.NOISIEST) if found > 1.0 + 5.0 * np.sqrt(2.0 / components) else 1.0
    return out
