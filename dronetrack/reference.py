"""What would the textbook say? Slow, obvious twins of the compiled parts, on pymavlink and filterpy.

They are the oracle of the tests and the named peer of the benchmarks; nothing else uses them.
"""

import pathlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.geodesy import ecef_to_geodetic, enu_rotation
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, Measurements
from dronetrack.motion import (
    ConstantAcceleration,
    ConstantVelocity,
    CoordinatedTurn,
    Mixture,
    Motion,
    Singer,
    StopAndGo,
)
from dronetrack.tracks import COASTING, CONFIRMED, Track

Floats = NDArray[np.float64]


def read_messages(path: str | pathlib.Path) -> Iterator[tuple[int, int, int, int, tuple]]:
    """Decode a log with pymavlink, message by message.

    Parameters
    ----------
    path : str or Path
        A `.tlog`.

    Yields
    ------
    (message id, system id, component id, sequence number, values in wire order)
        For every frame that pymavlink accepts.
    """
    from pymavlink import mavutil
    from pymavlink.dialects.v20 import all as dialect

    link = mavutil.mavlink_connection(str(path), dialect="all", robust_parsing=True)
    try:
        while (message := link.recv_msg()) is not None:
            identity = message.get_msgId()
            if identity in dialect.mavlink_map:
                values = tuple(getattr(message, name) for name in message.ordered_fieldnames)
                yield identity, message.get_srcSystem(), message.get_srcComponent(), message.get_seq(), values
    finally:
        link.close()


def find_frames(data: bytes, *, stamped: bool = False) -> tuple[list[tuple[int, int, int]], int, int]:
    """Find the MAVLink frames of some bytes by trying every place in turn, with pymavlink's own checksum.

    Parameters
    ----------
    data : bytes
        A log or stream.
    stamped : bool, optional
        Whether an 8-byte big-endian time stamp stands before each frame.

    Returns
    -------
    frames : list of (start, stop, stamp)
        Each verified frame and, in a stamped log, its stamp as sent.
    n_unknown : int
        Frames of unknown id: followed by another start, or by the end, with no verified frame inside.
    n_skipped : int
        Bytes that belong to neither.
    """
    from pymavlink.dialects.v20 import all as dialect

    lead = 8 if stamped else 0
    frames, unknown, skipped, at = [], 0, 0, 0
    while at + lead < len(data):
        known, stop = _frame_at(dialect, data, at + lead)
        if known:
            frames.append((at + lead, stop, int.from_bytes(data[at : at + lead], "big")))
            at = stop
            continue
        step = 1
        if stop and (stop == len(data) or data[stop + lead : stop + lead + 1] in (b"\xfd", b"\xfe")):
            inside = (inner for inner in range(at + 1, stop) if _frame_at(dialect, data, inner + lead)[0])
            go_on = next(inside, stop)
            if go_on == stop:
                unknown, at = unknown + 1, stop
                continue
            step = go_on - at
        skipped, at = skipped + step, at + step
    return frames, unknown, skipped


def _frame_at(dialect: ModuleType, data: bytes, at: int) -> tuple[bool, int]:
    """Whether a verified frame starts here, and where it ends; 0 where nothing like a frame does."""
    head = {0xFE: 6, 0xFD: 10}.get(data[at] if at < len(data) else 0, 0)
    if not head or len(data) < at + head or (head == 10 and data[at + 2] & ~dialect.MAVLINK_IFLAG_SIGNED):
        return False, 0
    identity = data[at + 5] if head == 6 else int.from_bytes(data[at + 7 : at + 10], "little")
    tail = at + head + data[at + 1]
    stop = tail + 2 + (13 if head == 10 and data[at + 2] else 0)
    if stop > len(data):
        return False, 0
    if identity not in dialect.mavlink_map:
        return False, stop
    checksum = dialect.x25crc(data[at + 1 : tail])
    checksum.accumulate(bytes([dialect.mavlink_map[identity].crc_extra]))
    right = checksum.crc == int.from_bytes(data[tail : tail + 2], "little")
    return right, stop if right else 0


def track(
    table: Measurements, state: Floats, cov: Floats, time_us: int, *, motion: ConstantVelocity | None = None
) -> tuple[Floats, Floats]:
    """Filter one target with filterpy, one Python step per row: no gate, no second hypothesis, no shared errors.

    Parameters
    ----------
    table : Measurements
        Rows after `time_us`, all of them of the target.
    state : (6,) float64
        ECEF position [m] and velocity [m/s] at `time_us`.
    cov : (6, 6) float64
        Its covariance.
    time_us : int
        [us, UTC]
    motion : ConstantVelocity, optional
        How the target moves.

    Returns
    -------
    state : (n, 6) float64
        After each row.
    cov : (n, 6, 6) float64
        Its covariance.

    Raises
    ------
    InputError
        If a row brings an error that rows share: this twin does not know them.
    """
    from filterpy.kalman import ExtendedKalmanFilter

    if table.site_cov.any() or any(one.heading_std_rad or one.boresight_std_rad for one in table.sensors):
        raise InputError("the textbook filter knows no errors that rows share; give rows without them.")
    model = motion or ConstantVelocity()
    kalman = ExtendedKalmanFilter(dim_x=6, dim_z=3)
    kalman.x, kalman.P = state.copy(), cov.copy()
    states, covs = np.empty((len(table), 6)), np.empty((len(table), 6, 6))
    before = time_us
    for row in range(len(table)):
        step_s = (int(table.time_us[row]) - before) * 1e-6
        before = int(table.time_us[row])
        kalman.F, kalman.Q = transition(step_s), process_noise(kalman.x, step_s, model)
        kalman.predict()
        _update(kalman, table, row)
        states[row], covs[row] = kalman.x, kalman.P
    return states, covs


def transition(step_s: float) -> Floats:
    """Return the transition matrix of constant velocity over a step.

    Parameters
    ----------
    step_s : float
        Length of the step. [s]

    Returns
    -------
    (6, 6) float64
        Of position and velocity.
    """
    return np.block([[np.eye(3), step_s * np.eye(3)], [np.zeros((3, 3)), np.eye(3)]])


def process_noise(state: Floats, step_s: float, motion: ConstantVelocity | ConstantAcceleration) -> Floats:
    """Return what a step adds to the covariance, by filterpy's white-noise model in local axes, turned to ECEF.

    Parameters
    ----------
    state : (d,) float64
        Where the local axes are taken.
    step_s : float
        Length of the step. [s]
    motion : ConstantVelocity or ConstantAcceleration
        The model.

    Returns
    -------
    (d, d) float64
        In ECEF; d is 6 or 9.
    """
    from filterpy.common import Q_continuous_white_noise

    one_axis = Q_continuous_white_noise(dim=motion.state_size // 3, dt=step_s)
    turn = _local_axes(state)
    density = turn.T @ np.diag([motion.horizontal_psd, motion.horizontal_psd, motion.vertical_psd]) @ turn
    return np.asarray(np.kron(np.asarray(one_axis), density), dtype=np.float64)


def discretise(motion: Motion, state: Floats, step_s: float) -> tuple[Floats, Floats]:
    """Return transition matrix and process noise of any model from its differential equation.

    ``x' = A x + w`` is written down in local axes and put through scipy's matrix exponential (C. F. Van Loan, *IEEE
    Trans. Automatic Control* 23 (1978) 395-404, doi:10.1109/TAC.1978.1101743). A step over which the model forgets
    more than e is halved first, and put together again by ``Q(2 t) = F Q F' + Q``: the exponential of the reverse of a
    decay would drown the rest.

    Parameters
    ----------
    motion : Motion
        The model; d is its `state_size`.
    state : (d,) float64
        Where the local axes are taken.
    step_s : float
        Length of the step. [s]

    Returns
    -------
    transition, noise : (d, d) float64
        In ECEF.
    """
    from scipy.linalg import expm

    d = motion.state_size
    if step_s == 0.0:
        return np.eye(d), np.zeros((d, d))
    drift, power = np.zeros((d, d)), np.zeros((d, d))
    drift[np.arange(d - 3), np.arange(3, d)] = 1.0
    rate = 0.0
    if isinstance(motion, Singer):
        rate, stds = 1.0 / motion.manoeuvre_time_s, (motion.manoeuvre_std_mps2, motion.lift_std_mps2)
        psds = [2.0 * rate * std**2 for std in stds]
    elif isinstance(motion, StopAndGo):
        rate, stds = 1.0 / motion.stop_time_s, (motion.speed_std_mps, motion.climb_std_mps)
        psds = [2.0 * rate * std**2 for std in stds]
    else:
        psds = [motion.horizontal_psd, motion.vertical_psd]
    drift[d - 3 :, d - 3 :] = -rate * np.eye(3)
    if isinstance(motion, CoordinatedTurn):
        omega = np.radians(motion.turn_left_degps)
        drift[3:5, 3:5] += [[0.0, -omega], [omega, 0.0]]
    power[d - 3 :, d - 3 :] = np.diag([psds[0], psds[0], psds[1]])
    halvings = max(0, int(np.ceil(np.log2(max(rate * step_s, 1e-300)))))
    short_s = step_s / 2**halvings
    # In units of the step every entry is of order one, and each keeps its digits.
    unit = np.repeat(short_s ** np.arange(d // 3), 3)
    drift, power = drift * np.outer(unit, 1.0 / unit), power * np.outer(unit, unit)
    both = expm(short_s * np.block([[-drift, power], [np.zeros((d, d)), drift.T]]))
    turn = np.kron(np.eye(d // 3), _local_axes(state))
    step = both[d:, d:].T
    noise = (step @ both[:d, d:]) / np.outer(unit, unit)
    step = step * np.outer(1.0 / unit, unit)
    for _ in range(halvings):
        noise = step @ noise @ step.T + noise
        step = step @ step
    return turn.T @ step @ turn, turn.T @ noise @ turn


def interact(
    mixture: Mixture, step_s: Floats, z: Floats, noise: Floats, state: Floats, cov: Floats
) -> Iterator[tuple[Floats, Floats, Floats, Floats, Floats]]:
    """Filter positions with filterpy's interacting multiple models, step by step.

    filterpy mixes at the start of a prediction, with weights made at the end of the update before it; for steps of
    different lengths those weights are made again here.

    Parameters
    ----------
    mixture : Mixture
        The models.
    step_s : (n,) float64
        Steps, each before its position. [s]
    z : (n, 3) float64
        Positions, ECEF. [m]
    noise : (3, 3) float64
        Their covariance. [m2]
    state : (d,) float64
        Mean at the start, under every model.
    cov : (d, d) float64
        Its covariance.

    Yields
    ------
    (m,), (m, d), (m, d, d), (d,), (d, d) float64
        After each position: probability, mean and covariance of each model, mean and covariance of the mixture.
    """
    from filterpy.kalman import IMMEstimator, KalmanFilter

    filters = []
    for _ in mixture.models:
        kalman = KalmanFilter(dim_x=len(state), dim_z=3)
        kalman.x, kalman.P, kalman.H, kalman.R = state.copy(), cov.copy(), np.eye(3, len(state)), noise
        filters.append(kalman)
    both: Any = IMMEstimator(filters, np.asarray(mixture.initial), mixture.switching(step_s[:1])[0])
    for step, seen in zip(step_s, z, strict=True):
        both.M = mixture.switching([step])[0]
        both._compute_mixing_probabilities()  # noqa: SLF001 - filterpy would keep the weights of the step before
        mixed = both.omega.T @ np.array([one.x for one in filters])
        for row, kalman in enumerate(filters):
            kalman.F, kalman.Q = (one[0] for one in mixture.discretise(row, mixed[row : row + 1, :3], [step]))
        both.predict()
        both.update(seen)
        means, covs = (np.array([getattr(one, name) for one in filters]) for name in "xP")
        yield both.mu.copy(), means, covs, both.x.copy(), both.P.copy()


def smooth(transition: Floats, noise: Floats, state: Floats, cov: Floats) -> tuple[Floats, Floats]:
    """Smooth one filtered sequence with filterpy's Rauch-Tung-Striebel smoother.

    Parameters
    ----------
    transition, noise : (n - 1, d, d) float64
        What the motion model does over the step that follows each row.
    state : (n, d) float64
        Filtered means.
    cov : (n, d, d) float64
        Their covariances.

    Returns
    -------
    state : (n, d) float64
        Smoothed means.
    cov : (n, d, d) float64
        Their covariances.
    """
    from filterpy.kalman import KalmanFilter

    d = state.shape[1]
    # filterpy keeps the matrices of a step with the row that the step leads to.
    transitions, noises = (np.concatenate([np.eye(d)[None], one]) for one in (transition, noise))
    smoothed = KalmanFilter(dim_x=d, dim_z=3).rts_smoother(state, cov, transitions, noises)
    return smoothed[0], smoothed[1]


def follow(kalman: Any, table: Measurements, *, motion: Motion | None = None, track_id: int = 1) -> Track:  # noqa: ANN401 - filterpy has no types
    """Plug a filter of filterpy in as the estimator of one track, for experiments.

    Parameters
    ----------
    kalman : KalmanFilter, UnscentedKalmanFilter or IMMEstimator
        Configured by the user, with a state that begins with ECEF position [m] and velocity [m/s] at the time of the
        first row. It is used up: afterwards it stands at the last row.
    table : Measurements
        Positions of one target.
    motion : Motion, optional
        Where given, F and Q of a KalmanFilter are made for every step; otherwise they stay as the user set them. An
        unscented filter is given the step's length, as filterpy does.
    track_id : int, optional
        Identity to give.

    Returns
    -------
    Track
        One row for each measurement; of an IMMEstimator the mean and covariance of the mixture.

    Raises
    ------
    InputError
        If a row is not a position, or brings an error that rows share: filterpy would take it for a fresh one.
    """
    from filterpy.kalman import IMMEstimator, UnscentedKalmanFilter

    if (table.kind != POSITION).any() or table.site_cov.any():
        raise InputError("a filterpy filter takes positions without shared errors; use dronetrack.track for the rest.")
    n = len(table)
    state, cov, nis = np.empty((n, 6)), np.empty((n, 6, 6)), np.full(n, np.nan)
    seen = np.asarray(np.isfinite(table.z).all(axis=1), dtype=np.bool_)
    unscented, mixed = isinstance(kalman, UnscentedKalmanFilter), isinstance(kalman, IMMEstimator)
    inner: list[Any] = list(getattr(kalman, "filters", [kalman]))
    for row, step in enumerate(np.diff(table.time_us, prepend=table.time_us[:1]) * 1e-6):
        if motion is not None:
            inner[0].F, inner[0].Q = discretise(motion, kalman.x, step)
        kalman.predict(**({"dt": step} if unscented else {}))
        for one in inner:
            one.R = table.cov[row]
        if seen[row]:
            kalman.update(table.z[row])
            if not mixed:
                nis[row] = kalman.y @ np.linalg.solve(kalman.S, kalman.y)
        state[row], cov[row] = kalman.x[:6], kalman.P[:6, :6]
    status = np.where(seen, CONFIRMED, COASTING).astype(np.int8)
    return Track(table.time_us, track_id, status, state, cov, nis, np.array(seen, dtype=np.int16))


def _local_axes(state: Floats) -> Floats:
    """East, north, up at a state, rows."""
    lat_deg, lon_deg, _ = ecef_to_geodetic(state[None, :3])
    return enu_rotation(lat_deg, lon_deg)[0]


def _update(kalman, table: Measurements, row: int) -> None:  # noqa: ANN001 - filterpy has no types
    """One row through filterpy's own update; angles are compared in the plane across the line of sight."""
    z, noise, kind = table.z[row], table.cov[row], table.kind[row]
    if kind == POSITION:
        kalman.update(z, lambda _: np.eye(3, 6), lambda x: x[:3], R=noise)
    elif kind == HEIGHT:
        lat_deg, lon_deg, _ = ecef_to_geodetic(kalman.x[None, :3])
        up = enu_rotation(lat_deg, lon_deg)[0, 2:]
        jacobian = np.hstack([up, np.zeros((1, 3))])
        kalman.dim_z = 1
        kalman.update(up @ z, lambda _: jacobian, lambda x: up @ x[:3], R=up @ noise @ up.T)
    elif kind == LINE_OF_SIGHT:
        sight = kalman.x[:3] - table.site_ecef_m[row]
        distance = float(np.linalg.norm(sight))
        across = _across(sight / distance)
        jacobian = np.hstack([across / distance, np.zeros((2, 3))])
        kalman.dim_z = 2
        seen = across @ z / (sight @ z / distance)
        kalman.update(seen, lambda _: jacobian, lambda _: np.zeros(2), R=across @ noise @ across.T)


def _across(line: Floats) -> Floats:
    """Two unit vectors across a line; which ones does not matter to the result."""
    helper = np.eye(3)[np.argmin(np.abs(line))]
    first = np.asarray(np.cross(line, helper), dtype=np.float64)
    first /= np.linalg.norm(first)
    return np.array([first, np.cross(line, first)], dtype=np.float64)
