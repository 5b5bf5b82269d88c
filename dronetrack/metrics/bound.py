"""What can no filter beat? The posterior Cramer-Rao bound of a scenario's models, over its true trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import metrics as kernels
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, Measurements
from dronetrack.motion import ConstantVelocity
from dronetrack.tracks import Track

TARGET_SIZE = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """Lower bound of the covariance of any unbiased filter, n rows in time order.

    Parameters
    ----------
    time_us : (n,) int64
        [us, UTC]
    cov : (n, 6, 6) float64
        Inverse information of position and velocity, ECEF, after the measurements of that time.
    """

    time_us: NDArray[np.int64]
    cov: Floats

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def position_m(self) -> Floats:
        """(n,) float64: bound of the RMSE of the position. [m]"""
        return np.sqrt(np.trace(self.cov[:, :3, :3], axis1=1, axis2=2))

    @property
    def velocity_mps(self) -> Floats:
        """(n,) float64: bound of the RMSE of the velocity. [m/s]"""
        return np.sqrt(np.trace(self.cov[:, 3:, 3:], axis1=1, axis2=2))

    def at(self, time_us: ArrayLike) -> "Bound":
        """Return the bound at other times, linear in the covariance between rows.

        Parameters
        ----------
        time_us : (m,) int64
            Times within the bound. [us, UTC]

        Returns
        -------
        Bound
            m rows.

        Raises
        ------
        InputError
            If a time lies outside.
        """
        wanted = column("time_us", time_us, np.int64, (None,))
        if len(wanted) and (not len(self) or wanted.min() < self.time_us[0] or wanted.max() > self.time_us[-1]):
            raise InputError("a time lies outside the bound; give cramer_rao_bound these times in time_us.")
        right = np.clip(np.searchsorted(self.time_us, wanted), 0, max(len(self) - 1, 0))
        left = np.maximum(right - 1, 0)
        step = (self.time_us[right] - self.time_us[left]).astype(np.float64)
        part = np.divide(wanted - self.time_us[left], step, out=np.ones(len(wanted)), where=step > 0)[:, None, None]
        return Bound(wanted, (1.0 - part) * self.cov[left] + part * self.cov[right])


def cramer_rao_bound(
    measurements: Measurements | Sequence[Measurements],
    truths: Track | Sequence[Track],
    motion: ConstantVelocity,
    *,
    time_us: ArrayLike | None = None,
    position_std_m: float = 1e4,
    same_geometry: bool = False,
) -> Bound:
    """Return the posterior Cramer-Rao bound of a target that moves as `motion` says, seen by these rows.

    The information recursion of Tichavsky, Muravchik, Nehorai (1998, doi:10.1109/78.668800): for linear motion the
    information of the next moment is ``inverse(Q + F inverse(J) F') + E[H' inverse(R) H]``. Errors that rows share
    (drone position, heading, boresight, ground height) are states of the recursion, so what a filter could learn of
    them counts.

    Which rows came, and where each sensor stood, is known to a filter. So by default the recursion runs through each
    run with its own rows, and the covariances are averaged (the enumeration of Hernandez, Farina, Ristic 2006,
    doi:10.1109/TAES.2006.314576). With `same_geometry` the information is averaged instead, which is the expectation
    over trajectories to the letter; runs with drones in different places would then lend each other their views, and
    the bound becomes lower than any filter can reach.

    Where the truth moves in another way than `motion`, this is the bound of what a filter could do that knows no more
    than that: its RMSE on a calmer truth may well be lower.

    Parameters
    ----------
    measurements : Measurements, or one for each run
        Rows that come from the target, as their errors were drawn.
    truths : Track, or one for each run
        Where the target was.
    motion : ConstantVelocity
        How it moves, and how its first velocity spreads.
    time_us : (n,) int64, optional
        When the bound is wanted; by default at the time of every row. [us, UTC]
    position_std_m : float, optional
        Of each axis of the first position, before any row. [m]
    same_geometry : bool, optional
        Whether all runs have the same rows from the same places, so that only the trajectory is chance.

    Returns
    -------
    Bound
        One row per time.

    Raises
    ------
    InputError
        If the numbers of runs differ, or there is no row.
    """
    tables = (measurements,) if isinstance(measurements, Measurements) else tuple(measurements)
    paths = (truths,) if isinstance(truths, Track) else tuple(truths)
    if len(tables) != len(paths) or not sum(map(len, tables)):
        raise InputError(
            f"the bound needs one truth for each table of rows, and rows; got {len(tables)} tables with "
            f"{sum(map(len, tables))} rows, and {len(paths)} truths."
        )
    layout = _Layout(tables)
    parts = [_whitened(table, truth, layout) for table, truth in zip(tables, paths, strict=True)]
    rows_us = np.concatenate([part[0] for part in parts])
    wanted = np.unique(rows_us) if time_us is None else np.unique(column("time_us", time_us, np.int64, (None,)))
    spread, density = _prior(paths[0].at(rows_us[:1]), layout, motion, position_std_m)
    if same_geometry:
        rows = np.concatenate([part[1] for part in parts]) / np.sqrt(len(parts))
        parts = [(rows_us, rows, np.concatenate([part[2] for part in parts]))]
    cov = np.zeros((len(wanted), TARGET_SIZE, TARGET_SIZE))
    for part in parts:
        cov += _recursion(*part, wanted, density, layout, spread) / len(parts)
    return Bound(wanted, cov)


def _recursion(
    rows_us: NDArray[np.int64],
    rows: Floats,
    where: NDArray[np.int64],
    wanted_us: NDArray[np.int64],
    density: Floats,
    layout: "_Layout",
    spread: Floats,
) -> Floats:
    """Covariance (k, 6, 6) at the wanted times, each after the rows of that time."""
    n, k = len(rows_us), len(wanted_us)
    both_us = np.concatenate([rows_us, wanted_us])
    order = np.argsort(both_us, kind="stable")
    out = np.empty((k, TARGET_SIZE, TARGET_SIZE))
    kernels.bound_rows(
        both_us[order],
        np.concatenate([rows, np.zeros((k, 3, 9))])[order],
        np.concatenate([where, np.full((k, 9), -1, dtype=np.int64)])[order],
        np.concatenate([np.full(n, -1, dtype=np.int64), np.arange(k)])[order],
        density,
        layout.tau_s,
        layout.variance,
        spread.copy(),
        out,
    )
    return out


class _Layout:
    """Where each sensor's shared errors stand among the states: columns (sensors, 6), -1 = none."""

    def __init__(self, tables: Sequence[Measurements]) -> None:
        self.sensors = {sensor.name: sensor for table in tables for sensor in table.sensors}
        shares: set[str] = set()
        for table in tables:
            for row in np.unique(table.sensor_id[table.site_cov.any(axis=(1, 2))]):
                shares.add(table.sensors[row].name)
        self.columns: dict[str, NDArray[np.int64]] = {}
        tau, variance = [np.inf] * TARGET_SIZE, [0.0] * TARGET_SIZE
        for name, sensor in self.sensors.items():
            own = np.full(6, -1, dtype=np.int64)
            blocks = (
                (slice(0, 3), name in shares, sensor.shared_time_s, 1.0),
                (slice(3, 4), sensor.heading_std_rad > 0.0, sensor.heading_time_s, sensor.heading_std_rad**2),
                (slice(4, 6), sensor.boresight_std_rad > 0.0, sensor.boresight_time_s, sensor.boresight_std_rad**2),
            )
            for block, there, time_s, power in blocks:
                if there:
                    size = block.stop - block.start
                    own[block] = len(tau) + np.arange(size)
                    tau += [time_s] * size
                    variance += [power] * size
            self.columns[name] = own
        self.tau_s, self.variance = np.array(tau), np.array(variance)


def _prior(first: Track, layout: _Layout, motion: ConstantVelocity, position_std_m: float) -> tuple[Floats, Floats]:
    """Prior covariance (N, N) and density of the acceleration (3, 3), both in ECEF."""
    turn = geodesy.enu_rotation(first.lat_deg, first.lon_deg)[0]
    spread = np.diag(layout.variance)
    speeds = np.array([motion.initial_speed_std_mps] * 2 + [motion.initial_climb_std_mps])
    spread[:3, :3] = position_std_m**2 * np.eye(3)
    spread[3:6, 3:6] = turn.T @ np.diag(speeds**2) @ turn
    density = turn.T @ np.diag([motion.horizontal_psd, motion.horizontal_psd, motion.vertical_psd]) @ turn
    return spread, np.ascontiguousarray(density)


def _whitened(
    table: Measurements, truth: Track, layout: _Layout
) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Return times (m,), measurement rows in units of their noise (m, 3, 9), and the states that they touch (m, 9)."""
    usable = np.isin(table.kind, (POSITION, LINE_OF_SIGHT, HEIGHT)) & ~np.isnan(table.z).any(axis=1)
    usable &= (table.kind != LINE_OF_SIGHT) | ~np.isnan(table.site_ecef_m).any(axis=1)
    usable &= (table.time_us >= truth.time_us[0]) & (table.time_us <= truth.time_us[-1])
    rows = table.take(usable)
    place = truth.at(rows.time_us).state[:, :3]
    axes = geodesy.enu_rotation(*geodesy.ecef_to_geodetic(place)[:2])
    shared = _roots(rows)
    out = np.zeros((len(rows), 3, 9))
    for kind, jacobian in ((POSITION, _of_position), (LINE_OF_SIGHT, _of_line), (HEIGHT, _of_height)):
        mine = rows.kind == kind
        if mine.any():
            across, turned = jacobian(place[mine], rows.site_ecef_m[mine], axes[mine])
            matrix = np.concatenate([across[0], across[1] @ shared[mine], turned], axis=2)
            noise = across[2] @ rows.cov[mine] @ np.swapaxes(across[2], 1, 2)
            out[mine, : matrix.shape[1]] = np.linalg.solve(np.linalg.cholesky(noise), matrix)
    states = np.empty((len(rows), 9), dtype=np.int64)
    states[:, :3] = np.arange(3)
    of_sensor = np.array([layout.columns[sensor.name] for sensor in rows.sensors], dtype=np.int64).reshape(-1, 6)
    states[:, 3:] = of_sensor[rows.sensor_id]
    return rows.time_us, out, states


# Each gives (rows against the position, against the shared displacement, projection of the noise), and rows against
# heading and boresight: shapes (m, k, 3) and (m, k, 3) for k components.
_Jacobian = tuple[tuple[Floats, Floats, Floats], Floats]


def _of_position(place: Floats, site: Floats, axes: Floats) -> _Jacobian:  # noqa: ARG001
    whole = np.broadcast_to(np.eye(3), axes.shape)
    return (whole, whole, whole), np.zeros(axes.shape)


def _of_height(place: Floats, site: Floats, axes: Floats) -> _Jacobian:  # noqa: ARG001
    up = axes[:, 2:]
    return (up, up, up), np.zeros(up.shape)


def _of_line(place: Floats, site: Floats, axes: Floats) -> _Jacobian:
    sight = place - site
    distance = np.linalg.norm(sight, axis=1)[:, None]
    sight = sight / distance
    right = np.cross(sight, axes[:, 2])
    level = np.linalg.norm(right, axis=1)[:, None]  # cosine of the elevation: what a heading error still moves
    right = np.where(level > 1e-6, right / np.maximum(level, 1e-6), axes[:, 0])
    across = np.stack([right, np.cross(right, sight)], axis=1)
    turned = np.zeros((len(sight), 2, 3))
    turned[:, 0, 0] = level[:, 0]
    turned[:, 0, 1] = turned[:, 1, 2] = 1.0
    moved = across / distance[:, :, None]
    return (moved, -moved, across), turned


def _roots(rows: Measurements) -> Floats:
    """Symmetric root C of each row's shared covariance, C C = site_cov: it turns as the covariance turns."""
    square, axes = np.linalg.eigh(rows.site_cov)
    return (axes * np.sqrt(np.maximum(square, 0.0))[:, None, :]) @ np.swapaxes(axes, 1, 2)
