"""What would the textbook say? Slow, obvious twins of the compiled parts, on pymavlink and filterpy.

They are the oracle of the tests and the named peer of the benchmarks; nothing else uses them.
"""

import pathlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.geodesy import ecef_to_geodetic, enu_rotation
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, Measurements
from dronetrack.motion import ConstantVelocity

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


def process_noise(state: Floats, step_s: float, motion: ConstantVelocity) -> Floats:
    """Return what a step adds to the covariance, by filterpy's white-noise model in local axes, turned to ECEF.

    Parameters
    ----------
    state : (6,) float64
        Where the local axes are taken.
    step_s : float
        Length of the step. [s]
    motion : ConstantVelocity
        The model.

    Returns
    -------
    (6, 6) float64
        In ECEF.
    """
    from filterpy.common import Q_continuous_white_noise

    one_axis = Q_continuous_white_noise(dim=2, dt=step_s)
    lat_deg, lon_deg, _ = ecef_to_geodetic(state[None, :3])
    turn = enu_rotation(lat_deg, lon_deg)[0]
    density = turn.T @ np.diag([motion.horizontal_psd, motion.horizontal_psd, motion.vertical_psd]) @ turn
    return np.kron(np.asarray(one_axis, dtype=np.float64), density)


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
