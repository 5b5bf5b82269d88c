"""Where was the target, now that all is known? The whole table at once, forwards and backwards."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.filtering import gate_limits, kernel_rows, sensor_table, shares_errors
from dronetrack.kernels import filters
from dronetrack.kernels import hindsight as kernels
from dronetrack.measurements import TICK, Measurements
from dronetrack.motion import Mixture
from dronetrack.tracks import Origin, Track

ROUNDS = 4
BUDGET_WEIGHT = 3.0
BUDGET_MOST = 1.0


def smooth(track: Track, *, gate_probability: float = 0.997) -> Track:
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
    gate_probability : float, optional
        Probability that a right measurement is kept.

    Returns
    -------
    Track
        The same rows; the covariance is that of the smoothed state. `stats` holds, in ``smoothed``, per sensor how
        many rows were used and its noise factor.

    Raises
    ------
    InputError
        If the track does not carry what it was made of (a part of a track, or one that was read from a file).
    """
    if track.origin is None:
        raise InputError("this track does not know what it was made of; smooth the whole track that track() returned.")
    if not len(track):
        return track
    made = track.origin
    table = made.measurements
    sensors = sensor_table(table.sensors, shares_errors(table))
    rows = kernel_rows(table)
    gate = gate_limits(gate_probability)
    size = np.array([0, 3, 2, 1])[table.kind]
    first = np.append(np.searchsorted(table.time_us, track.time_us), len(table))
    inside = (table.kind != TICK) & ~np.isnan(table.z[:, 0]) & (np.arange(len(table)) >= first[0])
    use = inside & (made.verdict == filters.ACCEPTED)
    scale = made.noise_factor.copy()
    state, cov = track.state, track.cov
    code, params = _steps(made)
    out_state, out_cov = np.empty_like(state), np.empty_like(cov)
    square = np.empty((len(sensors.variance), 3))
    stated, budget = sensors.variance, np.ones(len(sensors.variance))
    for turn in range(ROUNDS):
        nis, foreseen = np.full(len(table), np.nan), np.zeros(len(table))
        way = kernels.Way(track.time_us, state, code, params, first)
        kernels.smooth_rows(rows, use, scale, way, sensors, out_state, out_cov, square, nis, foreseen)
        state, cov = out_state.copy(), out_cov.copy()
        if turn + 1 < ROUNDS:
            use &= nis <= gate[size]
            scale = _noise(table.sensor_id, sensors.starts, scale, nis / size, use)
            budget = _budget(table, sensors, budget, square)
            sensors = sensors._replace(variance=stated * budget)
    stats = {
        "rounds": ROUNDS,
        "log_likelihood": float(foreseen[use].sum()),
        "sensors": {
            sensor.name: {
                "used": int(np.sum(use & (table.sensor_id == row))),
                "left_out": int(np.sum(inside & ~use & (table.sensor_id == row))),
                "noise_factor": float(scale[row]),
                "errors": [float(budget[start]) if start >= 0 else None for start in sensors.columns[row]],
            }
            for row, sensor in enumerate(table.sensors)
        },
    }
    return replace(track, state=state, cov=cov, stats={**track.stats, "smoothed": stats}, origin=None)


def _steps(made: Origin) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Model of the step to each row: of a mixture the mean of models of one kind, or else the most probable one."""
    mixture = made.motion if isinstance(made.motion, Mixture) else Mixture([made.motion])
    likely = np.argmax(made.weight, axis=1)
    if len(set(mixture.codes.tolist())) == 1:
        return mixture.codes[likely], made.weight @ mixture.parameters
    return mixture.codes[likely], mixture.parameters[likely]


def _budget(
    table: Measurements, sensors: filters.Sensors, budget: NDArray[np.float64], square: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weigh what each shared error was said to be against what it turned out to be: factors on its variance.

    One step of expectation-maximisation for the variance (Shumway, Stoffer 1982,
    doi:10.1111/j.1467-9892.1982.tb00349.x). A flight holds few independent values of an error that lasts, so the
    budget counts as `BUDGET_WEIGHT` of them.
    """
    out = budget.copy()
    span_s = 1e-6 * np.array(
        [
            np.ptp(table.time_us[mine]) if (mine := table.sensor_id == row).any() else 0.0
            for row in range(len(table.sensors))
        ]
    )
    for row, columns in enumerate(sensors.columns):
        for start, size in zip(columns, (3, 1, 1, 2), strict=True):
            mine = slice(start, start + size)
            if start < 0 or not square[mine, 2].all():
                continue
            found = np.mean(square[mine, 1] / square[mine, 2] / (sensors.variance[mine] / budget[mine]))
            n = size * (1.0 + 0.5 * span_s[row] / sensors.tau_s[sensors.clock[start]])
            out[mine] = np.clip((BUDGET_WEIGHT + n * found) / (BUDGET_WEIGHT + n), 1.0 / 25.0, BUDGET_MOST)
    return out


def _noise(
    sensor_id: NDArray[np.int32],
    starts: NDArray[np.bool_],
    scale: NDArray[np.float64],
    ratio: NDArray[np.float64],
    use: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Correct each sensor's factor by the mean NIS per component of its rows against all the others."""
    out = scale.copy()
    for row in np.flatnonzero(starts):
        mine = ratio[use & (sensor_id == row)]
        if len(mine) >= 20:
            out[row] = np.clip(scale[row] * mine.mean(), 1.0, 25.0)
    return out
