"""One target: what does a table of measurements say about it? Predict, gate, update, coast, recover."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.geodesy import ecef_to_geodetic, enu_rotation
from dronetrack.kernels import filters
from dronetrack.measurements import HEIGHT, ROW_COLUMNS, TICK, Measurements, Sensor
from dronetrack.motion import ConstantVelocity
from dronetrack.tracks import Track

TARGET_SIZE = 6
COUNTED = {
    filters.UNUSED: "unused",
    filters.ACCEPTED: "accepted",
    filters.GATED: "gated",
    filters.SHADOWED: "second_hypothesis",
    filters.MISSING: "not_observed",
}


def track(
    measurements: Measurements,
    *,
    motion: ConstantVelocity | None = None,
    gate_probability: float = 0.997,
    recover_s: float = 8.0,
    coast_step_s: float = 0.5,
    track_id: int = 1,
) -> Track:
    """Fuse one target's measurements into one track, in one compiled call.

    The track starts at the first sighting that fixes a place (for a line of sight: where the ray meets the ground).
    Every row is predicted, gated by its normalised innovation squared and fused; errors that successive rows of a
    sensor share (see `Sensor`) are carried beside the target as consider states (Schmidt), so that a thousand rows
    with one common error do not pass for a thousand opinions. Sightings that the gate refuses feed a second
    hypothesis. It replaces the track only after `recover_s` in which it was fed and the track was not: so a camera
    that sits on the wrong car for five seconds does not steal the track, and a track that has lost its target does
    not stay lost.

    Parameters
    ----------
    measurements : Measurements
        Time-ordered rows of any number of sensors.
    motion : ConstantVelocity, optional
        How the target moves; by default a road vehicle.
    gate_probability : float, optional
        Probability that a right measurement passes the gate.
    recover_s : float, optional
        How long the second hypothesis has to be better. [s]
    coast_step_s : float, optional
        Where measurements pause, the track gets predicted rows this far apart. [s]
    track_id : int, optional
        Identity to give.

    Returns
    -------
    Track
        One row per distinct time from the first sighting to the last measurement. `stats` holds, per sensor, what
        became of its rows.

    Raises
    ------
    InputError
        If an option is out of range.
    """
    motion = motion or ConstantVelocity()
    for name, value in (("recover_s", recover_s), ("coast_step_s", coast_step_s)):
        if not (np.isfinite(value) and value > 0.0):
            raise InputError(f"{name} must be positive and finite; got {value}.")
    table = _with_ticks(measurements, coast_step_s)
    layout = _Layout(table.sensors, table)
    n = len(table)
    out = _Rows(n)
    verdict = np.zeros(n, dtype=np.int8)
    nis_row = np.full(n, np.nan)
    n_rows, log_likelihood, n_swaps = filters.track_rows(
        table.time_us,
        table.sensor_id,
        table.kind,
        table.z,
        table.cov,
        table.site_ecef_m,
        _shared_roots(table),
        layout.starts,
        layout.columns,
        layout.tau_s,
        layout.variance,
        np.array(
            [
                motion.horizontal_psd,
                motion.vertical_psd,
                motion.initial_speed_std_mps,
                motion.initial_climb_std_mps,
            ]
        ),
        _gate_limits(gate_probability),
        recover_s,
        1.0,
        *out.columns,
        verdict,
        nis_row,
    )
    stats = {
        "log_likelihood": float(log_likelihood),
        "recoveries": int(n_swaps),
        "recovered_us": out.time_us[:n_rows][out.moved[:n_rows]].tolist(),
        "sensors": _sensor_stats(table, verdict, nis_row),
    }
    return Track(
        time_us=out.time_us[:n_rows],
        track_id=track_id,
        status=out.status[:n_rows],
        state=out.state[:n_rows],
        cov=out.cov[:n_rows],
        nis=out.nis[:n_rows],
        n_sensors=out.n_sensors[:n_rows],
        stats=stats,
    )


class _Rows:
    """Room for the kernel's output, one row per measurement at most."""

    def __init__(self, n: int) -> None:
        self.state = np.empty((n, TARGET_SIZE))
        self.cov = np.empty((n, TARGET_SIZE, TARGET_SIZE))
        self.time_us = np.empty(n, dtype=np.int64)
        self.status = np.empty(n, dtype=np.int8)
        self.nis = np.empty(n)
        self.n_sensors = np.empty(n, dtype=np.int16)
        self.moved = np.zeros(n, dtype=np.bool_)

    @property
    def columns(self) -> tuple[NDArray, ...]:
        return (self.state, self.cov, self.time_us, self.status, self.nis, self.n_sensors, self.moved)


class _Layout:
    """Where each sensor's shared errors stand in the filter's state, and how they decay."""

    def __init__(self, sensors: tuple[Sensor, ...], table: Measurements) -> None:
        shares = np.zeros(len(sensors), dtype=np.bool_)
        np.logical_or.at(shares, table.sensor_id, table.site_cov.any(axis=(1, 2)))
        self.columns = np.full((len(sensors), 3), -1, dtype=np.int64)
        self.starts = np.array([sensor.starts_tracks for sensor in sensors], dtype=np.bool_)
        tau, variance = [np.inf] * TARGET_SIZE, [0.0] * TARGET_SIZE
        for row, sensor in enumerate(sensors):
            blocks = (
                (3 if shares[row] else 0, sensor.shared_time_s, 1.0),
                (1 if sensor.heading_std_rad else 0, sensor.heading_time_s, sensor.heading_std_rad**2),
                (2 if sensor.boresight_std_rad else 0, sensor.boresight_time_s, sensor.boresight_std_rad**2),
            )
            for block, (size, time_s, power) in enumerate(blocks):
                if size:
                    self.columns[row, block] = len(tau)
                    tau += [time_s] * size
                    variance += [power] * size
        self.tau_s, self.variance = np.array(tau), np.array(variance)
        self.size = len(tau)


def _with_ticks(table: Measurements, step_s: float) -> Measurements:
    """Add rows at which the track is only predicted, `step_s` apart, wherever measurements pause for longer."""
    step_us = round(step_s * 1e6)
    seen = table.kind != HEIGHT
    times = np.unique(table.time_us[seen])
    gaps = np.diff(times)
    wide = np.flatnonzero(gaps > step_us)
    counts = (gaps[wide] - 1) // step_us
    start = np.repeat(times[wide], counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    ticks = start + (within + 1) * step_us
    if not len(ticks):
        return table
    n = len(ticks)
    extra = {
        "time_us": ticks,
        "sensor_id": np.zeros(n, dtype=np.int32),
        "kind": np.full(n, TICK, dtype=np.int8),
        "z": np.full((n, 3), np.nan),
        "cov": np.zeros((n, 3, 3)),
        "site_ecef_m": np.full((n, 3), np.nan),
        "site_cov": np.zeros((n, 3, 3)),
        "target_id": np.full(n, -1, dtype=np.int32),
    }
    both = {name: np.concatenate([getattr(table, name), extra[name]]) for name in ROW_COLUMNS}
    order = np.argsort(both["time_us"], kind="stable")
    return replace(table, **{name: values[order] for name, values in both.items()})


def _shared_roots(table: Measurements) -> NDArray[np.float64]:
    """Root C of each row's shared covariance, C C' = site_cov, with axes that stay east/north/up between rows."""
    place = np.where(np.isnan(table.site_ecef_m), table.z, table.site_ecef_m)
    usable = ~np.isnan(place).any(axis=1) & table.site_cov.any(axis=(1, 2))
    roots = np.zeros((len(table), 3, 3))
    if usable.any():
        lat_deg, lon_deg, _ = ecef_to_geodetic(place[usable])
        turn = enu_rotation(lat_deg, lon_deg)
        local = turn @ table.site_cov[usable] @ turn.transpose(0, 2, 1)
        scale = np.maximum(np.trace(local, axis1=1, axis2=2), 1e-12)[:, None, None]
        lower = np.linalg.cholesky(local + 1e-12 * scale * np.eye(3))
        roots[usable] = turn.transpose(0, 2, 1) @ lower
    return roots


def _gate_limits(probability: float) -> NDArray[np.float64]:
    if not 0.5 <= probability < 1.0:
        raise InputError(f"gate_probability must lie in [0.5, 1); got {probability}.")
    from scipy.special import chdtri

    return np.array([0.0, *chdtri([1.0, 2.0, 3.0], 1.0 - probability)])


def _sensor_stats(table: Measurements, verdict: NDArray[np.int8], nis_row: NDArray[np.float64]) -> dict[str, dict]:
    """Per sensor: what became of its rows, the mean NIS of the accepted ones, and where it was refused for long."""
    real = table.kind != TICK
    components = np.array([0, 3, 2, 1])[table.kind]
    stats: dict[str, dict] = {}
    for row, sensor in enumerate(table.sensors):
        mine = real & (table.sensor_id == row)
        taken = mine & (verdict == filters.ACCEPTED) & ~np.isnan(nis_row)
        one: dict = {name: int(np.sum(mine & (verdict == code))) for code, name in COUNTED.items()}
        refused = np.isin(verdict[mine], (filters.GATED, filters.SHADOWED))
        one["refused"] = _stretches(table.time_us[mine], refused)
        if taken.any():
            one["mean_nis_per_component"] = float(nis_row[taken].sum() / components[taken].sum())
        stats[sensor.name] = one
    return stats


def _stretches(time_us: NDArray[np.int64], refused: NDArray[np.bool_]) -> list[dict[str, int]]:
    """Find stretches in which a sensor was refused again and again: at least a second, mostly refused."""
    moments = time_us[refused]
    groups = np.split(moments, np.flatnonzero(np.diff(moments) > 2_000_000) + 1) if len(moments) else []
    return [
        {"start_us": int(group[0]), "end_us": int(group[-1]), "rows": len(group)}
        for group in groups
        if group[-1] - group[0] >= 1_000_000
        and 2 * len(group) > np.searchsorted(time_us, group[-1], side="right") - np.searchsorted(time_us, group[0])
    ]
