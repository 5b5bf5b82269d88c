"""Where was the target, now that all is known? The whole table at once, forwards and backwards."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.filtering import gate_limits, kernel_rows, sensor_table, shares_errors
from dronetrack.kernels import filters
from dronetrack.kernels import hindsight as kernels
from dronetrack.measurements import LINE_OF_SIGHT, TICK, Measurements
from dronetrack.motion import Mixture
from dronetrack.tracks import Origin, Track

ROUNDS = 4  # at most
FEW = 40  # components say nothing of a sensor's noise
SETTLED = 0.2  # of a standard deviation: the way moves less than that between two rounds, but for one row in a hundred
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
    sensors = sensor_table(table.sensors, shares_errors(table))
    rows = kernel_rows(table)
    gate, near = gate_limits(gate_probability), gate_limits(NEAR)
    size = np.array([0, 3, 2, 1])[table.kind]
    first = np.append(np.searchsorted(table.time_us, track.time_us), len(table))
    inside = (table.kind != TICK) & ~np.isnan(table.z[:, 0]) & (np.arange(len(table)) >= first[0])
    use = inside & (made.verdict == filters.ACCEPTED)
    scale = made.noise_factor.copy()
    state, cov = track.state.copy(), track.cov.copy()  # one layout for the kernel: what it writes is writable
    code, params = _steps(made)
    out_state, out_cov = np.empty_like(state), np.empty_like(cov)
    foreseen, offset = np.zeros(len(table)), np.zeros((len(table), 3))
    if sensors.variance.size:
        way = kernels.Way(track.time_us, state, code, params, first)
        state = _alone(table, rows, use, scale, way, sensors)
    rounds = 0
    settled = False
    while not settled:
        rounds += 1
        nis = np.full(len(table), np.nan)
        way = kernels.Way(track.time_us, state, code, params, first)
        kernels.smooth_rows(rows, use, scale, way, sensors, True, out_state, out_cov, nis, foreseen, offset)
        moved = np.abs(out_state[:, :3] - state[:, :3]) / np.sqrt(np.diagonal(out_cov, axis1=1, axis2=2)[:, :3])
        state, cov = out_state.copy(), out_cov.copy()
        settled = rounds == ROUNDS or (rounds > 1 and float(np.percentile(moved, 99.0)) < SETTLED)
        if not settled:
            refused = ~use & inside & sensors.starts[table.sensor_id]
            use = (use & (nis <= gate[size])) | (refused & (rounds == 1) & (nis <= near[size]))
            scale = _noise(table.sensor_id, sensors.starts, scale, nis, size, use)
    stats = {
        "rounds": rounds,
        "log_likelihood": float(foreseen[use].sum() - LEFT_OUT_COST * np.sum(inside & ~use)),
        "sensors": {
            sensor.name: {
                "used": int(np.sum(use & (table.sensor_id == row))),
                "left_out": int(np.sum(inside & ~use & (table.sensor_id == row))),
                "noise_factor": float(scale[row]),
            }
            for row, sensor in enumerate(table.sensors)
        },
    }
    return replace(track, state=state, cov=cov, stats={**track.stats, "smoothed": stats}, origin=None)


def _alone(
    table: Measurements,
    rows: filters.Rows,
    use: NDArray[np.bool_],
    scale: NDArray[np.float64],
    way: kernels.Way,
    sensors: filters.Sensors,
) -> NDArray[np.float64]:
    """Smooth the target as if no rows shared an error: the way (T, 6) to linearise about first.

    The filtered way follows the noise of the very rows that are linearised about it. What one row does so is nothing,
    but ten thousand rows do it alike, and pass it on to the errors that they share. From a smoothed way the noise of a
    row is as far away as that of any other, though it be wrong by what they share.
    """
    nothing = np.zeros(0)
    lone = sensors._replace(columns=np.full_like(sensors.columns, -1), variance=nothing, clock=sensors.clock[:0])
    shared = np.where((table.kind == LINE_OF_SIGHT)[:, None, None], 0.0, table.site_cov)
    state, cov = np.empty_like(way.state), np.empty((len(way.state), 6, 6))
    nis, foreseen, offset = np.empty(len(table)), np.empty(len(table)), np.zeros((len(table), 3))
    widened = rows._replace(cov=rows.cov + shared)
    widened.cov.flags.writeable = False  # as in a table: one layout for the kernel
    kernels.smooth_rows(widened, use, scale, way, lone, False, state, cov, nis, foreseen, offset)
    return state


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
