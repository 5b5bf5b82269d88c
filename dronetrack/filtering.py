"""One target: what does a table of measurements say about it? Predict, gate, update, coast, recover."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.kernels import filters
from dronetrack.measurements import TICK, Measurements, Sensor
from dronetrack.motion import Mixture, Motion, road_vehicle
from dronetrack.tracks import Origin, Track

COUNTED = {
    filters.UNUSED: "unused",
    filters.ACCEPTED: "accepted",
    filters.GATED: "gated",
    filters.SHADOWED: "second_hypothesis",
    filters.MISSING: "not_observed",
    filters.UNFUSED: "taken_back",
}

MOST_RANGES = 64
Robust = Literal["gate", "student_t", "pda"]
ROBUST: dict[Robust, int] = {"gate": filters.GATE, "student_t": filters.STUDENT_T, "pda": filters.PDA}


def track(
    measurements: Measurements,
    *,
    motion: Motion | Mixture | None = None,
    gate_probability: float = 0.997,
    recover_s: float = 8.0,
    coast_step_s: float = 0.5,
    robust: Robust = "gate",
    clutter: float = 0.05,
    degrees_of_freedom: float = 5.0,
    learn_noise: bool = True,
    ranges: int = 1,
    track_id: int = 1,
) -> Track:
    """Fuse one target's measurements into one track, in one compiled call.

    The track starts at the first sighting that fixes a place (for a line of sight: where the ray meets the ground).
    Every row is predicted, gated by its normalised innovation squared and fused; errors that successive rows of a
    sensor share (see `Sensor`) are carried beside the target as consider states (Schmidt), so that a thousand rows
    with one common error do not pass for a thousand opinions. Sightings that the gate refuses feed a second
    hypothesis. It replaces the track only after `recover_s` in which it was fed and the track was not: so a camera
    that sits on the wrong car for five seconds does not steal the track, and a track that has lost its target does
    not stay lost. A sensor that is refused again and again, and had strained the track before, was on something else
    already then: its last two seconds are taken back.

    Parameters
    ----------
    measurements : Measurements
        Time-ordered rows of any number of sensors.
    motion : ConstantVelocity, Mixture or another model of `dronetrack.motion`, optional
        How the target moves; by default `dronetrack.motion.road_vehicle()`. A `Mixture` is run as interacting multiple
        models: what one of them explains is fused.
    gate_probability : float, optional
        Probability that a right measurement passes the gate.
    recover_s : float, optional
        How long the second hypothesis has to be better. [s]
    coast_step_s : float, optional
        Where measurements pause, the track gets predicted rows this far apart. [s]
    robust : {"gate", "student_t", "pda"}, optional
        What becomes of a sighting inside the gate: ``gate`` believes it; ``student_t`` takes its noise for heavy-tailed
        and believes it the less the farther off it is; ``pda`` weighs how probable it is that it is the target's.
    clutter : float, optional
        For ``pda``: the part of the rows in the gate that are not the target's.
    degrees_of_freedom : float, optional
        For ``student_t``.
    learn_noise : bool, optional
        Whether a sighting sensor that proves noisier than it was said to be is believed less: its covariance is
        multiplied by a factor between 1 and 25, reported in `stats` as ``noise_factor``.
    ranges : int, optional
        Into how many narrow ones a range is divided, once, that the first lines of sight leave in doubt: 16 for a
        target of which there are bearings only, without a ground or positions. It takes as many times longer.
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
    motion = motion or road_vehicle()
    settings = Settings.of(
        motion,
        gate_probability=gate_probability,
        recover_s=recover_s,
        coast_step_s=coast_step_s,
        robust=robust,
        clutter=clutter,
        degrees_of_freedom=degrees_of_freedom,
        learn_noise=learn_noise,
        ranges=ranges,
    )
    sensors = sensor_table(measurements.sensors, shares_errors(measurements))
    memory = Memory(settings, sensors)
    rows = kernel_rows(measurements)
    out = OutputRows(settings.room(measurements.time_us), len(measurements), len(settings.models.code))
    n_rows = filters.track_rows(
        rows,
        0,
        len(measurements),
        np.zeros(2, dtype=np.int64),
        sensors,
        settings.models,
        settings.gate,
        settings.options,
        memory.belief,
        memory.ring,
        out.columns,
        0,
        True,
    )
    noise_factor = noise_factors(sensors, memory.belief)
    origin = Origin(
        measurements,
        out.columns.verdict,
        motion,
        settings.model_weight(out.columns.weight[:n_rows]),
        noise_factor,
    )
    stats = tally(measurements, out.columns, memory.belief, noise_factor, n_rows)
    return out.track(n_rows, track_id, stats, origin)


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """What the kernel has to know besides rows and sensors."""

    models: filters.Models
    state_size: int
    gate: NDArray[np.float64]
    options: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        motion: Motion | Mixture,
        *,
        gate_probability: float,
        recover_s: float,
        coast_step_s: float,
        robust: Robust,
        clutter: float,
        degrees_of_freedom: float,
        learn_noise: bool,
        ranges: int = 1,
    ) -> Self:
        """Check the options of `track`."""
        for name, value in (
            ("recover_s", recover_s),
            ("coast_step_s", coast_step_s),
            ("degrees_of_freedom", degrees_of_freedom),
        ):
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"{name} must be positive and finite; got {value}.")
        if robust not in ROBUST:
            raise InputError(f"robust must be one of {', '.join(ROBUST)}; got {robust!r}.")
        if not 0.0 < clutter < 1.0:
            raise InputError(f"clutter must lie in (0, 1); got {clutter}.")
        if not 1 <= ranges <= MOST_RANGES:
            raise InputError(f"ranges must lie in [1, {MOST_RANGES}]; got {ranges}.")
        mixture = motion if isinstance(motion, Mixture) else Mixture([motion])
        models = filters.Models(
            np.tile(mixture.codes, ranges),
            np.tile(mixture.parameters, (ranges, 1)),
            np.kron(np.eye(ranges), mixture.rates),
            np.tile(np.asarray(mixture.initial), ranges) / ranges,
            np.array([ranges]),
        )
        return cls(
            models,
            mixture.state_size,
            gate_limits(gate_probability),
            np.array([recover_s, coast_step_s, ROBUST[robust], degrees_of_freedom, clutter, learn_noise], dtype=float),
        )

    def model_weight(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, m): weight of each model, whatever the range."""
        ranges = int(self.models.ranges[0])
        return weight if ranges == 1 else weight.reshape(len(weight), ranges, weight.shape[1] // ranges).sum(axis=1)

    def room(self, time_us: NDArray[np.int64]) -> int:
        """Rows that a table of these times can become at most: one per distinct time, and those between them."""
        return len(time_us) + int(np.sum(np.diff(time_us) // self.step_us))

    @property
    def step_us(self) -> int:
        """How far apart predicted rows are."""
        return max(int(self.options[1] * 1e6), 1)


BLOCKS = (3, 1, 1, 2)  # sizes of a sensor's shared, heading, wander and boresight errors


def sensor_table(sensors: Sequence[Sensor], shares: NDArray[np.bool_]) -> filters.Sensors:
    """Give each sensor's shared errors their columns, and each column its prior variance and correlation time."""
    columns = np.full((len(sensors), 4), -1, dtype=np.int64)
    times: list[float] = []
    variance: list[float] = []
    for row, sensor in enumerate(sensors):
        blocks = (
            (shares[row], sensor.shared_time_s, 1.0),
            (sensor.heading_std_rad > 0.0, sensor.heading_time_s, sensor.heading_std_rad**2),
            (sensor.wander_std_rad > 0.0, sensor.wander_time_s, sensor.wander_std_rad**2),
            (sensor.boresight_std_rad > 0.0, sensor.boresight_time_s, sensor.boresight_std_rad**2),
        )
        for block, (has, time_s, power) in enumerate(blocks):
            if has:
                columns[row, block] = len(times)
                times += [time_s] * BLOCKS[block]
                variance += [power] * BLOCKS[block]
    tau_s, clock = np.unique(np.array(times, dtype=np.float64), return_inverse=True)
    starts = np.array([sensor.starts_tracks for sensor in sensors], dtype=np.bool_)
    names = [sensor.platform or f"alone: {sensor.name}" for sensor in sensors]
    platform = np.array([names.index(name) for name in names], dtype=np.int64)
    spread = np.array(variance, dtype=np.float64)
    return filters.Sensors(starts, columns, spread, clock.astype(np.int64), tau_s, platform)


def shares_errors(table: Measurements) -> NDArray[np.bool_]:
    """Return for each sensor whether any of its rows brings an error that rows share."""
    shares = np.zeros(len(table.sensors), dtype=np.bool_)
    np.logical_or.at(shares, table.sensor_id, table.site_cov.any(axis=(1, 2)))
    return shares


def kernel_rows(table: Measurements) -> filters.Rows:
    """Bring a table to the kernel's side of the wall."""
    root = np.empty((len(table), 3, 3))
    filters.shared_root_rows(table.site_cov, root)
    return filters.Rows(table.time_us, table.sensor_id, table.kind, table.z, table.cov, table.site_ecef_m, root)


class Memory:
    """What the filter remembers: the current belief, and a ring of earlier ones to go back to."""

    def __init__(self, settings: Settings, sensors: filters.Sensors) -> None:
        m, d, s = len(settings.models.code), settings.state_size, len(sensors.starts)
        self.floats = {"x": (2, m, d), "P": (2, m, d, d + len(sensors.variance)), "w": (2, m)}
        self.floats |= {"sensor_noise": (s, 10), "sums": (2,)}
        self.integers = {"clock": (2, 6), "sensor_us": (s, 8), "head": (7,)}
        sizes = [sum(int(np.prod(one)) for one in shapes.values()) for shapes in (self.floats, self.integers)]
        self.ring = filters.Ring(
            np.zeros((filters.RING + 1, sizes[0])),
            np.zeros((filters.RING + 1, sizes[1]), dtype=np.int64),
            np.full((filters.RING, 3), filters.NEVER, dtype=np.int64),
        )
        every = self.beliefs()
        every.sensor_us[..., [filters.HEARD, filters.SAID, filters.SKIP_FROM, filters.SKIP_TO, filters.SECONDED]] = (
            filters.NEVER
        )
        every.sensor_noise[..., [filters.BY_STEP, filters.BY_NIS, filters.STRAIN]] = 1.0
        every.head[:, filters.RING_DUE] = filters.NEVER
        every.sums[:, filters.MOMENT_NIS] = np.nan
        self.belief = self.beliefs(filters.RING)

    def take(self, other: Self) -> None:
        """Remember what another memory of the same size does."""
        for mine, theirs in zip(self.ring, other.ring, strict=True):
            mine[...] = theirs

    def grown(self, settings: Settings, known: filters.Sensors, sensors: filters.Sensors) -> "Memory":
        """Return the same memory with room for more: further sensors, or shared errors that a known one now brings."""
        larger = Memory(settings, sensors)
        larger.ring.at[:] = self.ring.at
        old, new = self.beliefs(), larger.beliefs()
        for name in ("x", "w", "sums", "clock", "head"):
            getattr(new, name)[...] = getattr(old, name)
        for name in ("sensor_noise", "sensor_us"):
            getattr(new, name)[:, : len(known.starts)] = getattr(old, name)
        d = settings.state_size
        new.P[..., :d] = old.P[..., :d]
        for block, size in enumerate(BLOCKS):
            has = known.columns[:, block] >= 0
            part = np.arange(size)
            source, target = (each.columns[: len(has), block][has, None] + part for each in (known, sensors))
            new.P[..., d + target.ravel()] = old.P[..., d + source.ravel()]
        return larger

    def beliefs(self, slots: int | slice = slice(None)) -> filters.Belief:
        """Return beliefs of the ring, in shape; the arrays are views."""
        views = _shaped(self.ring.floats[slots], self.floats) | _shaped(self.ring.integers[slots], self.integers)
        return filters.Belief(**views)


def _shaped(flat: NDArray, shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray]:
    """Cut flat rows into arrays of these shapes, without copying."""
    parts = np.split(flat, np.cumsum([int(np.prod(shape)) for shape in shapes.values()]), axis=-1)
    return {name: part.reshape(*flat.shape[:-1], *shapes[name]) for name, part in zip(shapes, parts, strict=False)}


class OutputRows:
    """Room for what the kernel writes."""

    def __init__(self, n_rows: int, n_measurements: int, n_models: int) -> None:
        self.columns = filters.Output(
            time_us=np.empty(n_rows, dtype=np.int64),
            state=np.empty((n_rows, 6)),
            cov=np.empty((n_rows, 6, 6)),
            weight=np.empty((n_rows, n_models)),
            status=np.empty(n_rows, dtype=np.int8),
            nis=np.empty(n_rows),
            sensors=np.empty(n_rows, dtype=np.int16),
            moved=np.zeros(n_rows, dtype=np.bool_),
            verdict=np.zeros(n_measurements, dtype=np.int8),
            nis_row=np.full(n_measurements, np.nan),
        )

    def track(self, n_rows: int, track_id: int, stats: dict, origin: Origin | None) -> Track:
        """Wrap the first rows."""
        out = self.columns
        return Track(
            time_us=out.time_us[:n_rows],
            track_id=track_id,
            status=out.status[:n_rows],
            state=out.state[:n_rows],
            cov=out.cov[:n_rows],
            nis=out.nis[:n_rows],
            n_sensors=out.sensors[:n_rows],
            stats=stats,
            origin=origin,
        )


def noise_factors(sensors: filters.Sensors, belief: filters.Belief) -> NDArray[np.float64]:
    """How much noisier each sensor proved than it was said to be, in variance; 1 for one that only constrains."""
    learnt = belief.sensor_noise[:, [filters.BY_STEP, filters.BY_NIS]].max(axis=1, initial=1.0)
    return np.where(sensors.starts & (learnt > filters.QUIET), np.minimum(learnt, filters.NOISIEST), 1.0)


def tally(
    table: Measurements, out: filters.Output, belief: filters.Belief, noise_factor: NDArray[np.float64], n_rows: int
) -> dict:
    """Tell what became of the rows, in all and per sensor."""
    head = belief.head
    return {
        "log_likelihood": float(belief.sums[filters.LOG_LIKELIHOOD]),
        "recoveries": int(head[filters.SWAPS]),
        "recovered_us": out.time_us[:n_rows][out.moved[:n_rows]].tolist(),
        "latches_taken_back": int(head[filters.TAKEN_BACK]),
        "sensors": sensor_stats(table, out.verdict, out.nis_row, noise_factor),
    }


def gate_limits(probability: float) -> NDArray[np.float64]:
    """(4,) float64: what the NIS of a right measurement stays below, by its number of components."""
    if not 0.5 <= probability < 1.0:
        raise InputError(f"gate_probability must lie in [0.5, 1); got {probability}.")
    from scipy.special import chdtri

    return np.array([0.0, *chdtri([1.0, 2.0, 3.0], 1.0 - probability)])


def sensor_stats(
    table: Measurements, verdict: NDArray[np.int8], nis_row: NDArray[np.float64], noise_factor: NDArray[np.float64]
) -> dict[str, dict]:
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
        one["noise_factor"] = float(noise_factor[row])
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
