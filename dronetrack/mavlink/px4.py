"""What did PX4 write about its flight? The topics of a ULog become one `Telemetry`.

Position and its accuracy are the estimator's (vehicle_global_position), velocity is vehicle_local_position's; where the
estimator gave no place, the receiver's own is taken. PX4 does not log what its camera tracked, nor what it can see:
such a log gives pose, gimbal and range, but no sightings.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink import rows
from dronetrack.mavlink.clock import EARLIEST_UTC_US, RECEIVER_LATENCY_STD_S
from dronetrack.mavlink.content import Content
from dronetrack.mavlink.gps_time import fit_gps_clock, iso
from dronetrack.mavlink.ulog import ULog, read_ulog
from dronetrack.telemetry import Attitude, Clock, Gimbal, Position, Range, Telemetry

PX4 = 12  # MAV_AUTOPILOT_PX4
TOPICS = (
    "vehicle_global_position", "vehicle_local_position", "vehicle_gps_position", "sensor_gps", "vehicle_attitude",
    "gimbal_device_attitude_status", "mount_orientation", "distance_sensor",
)  # fmt: skip
TIMES = ("timestamp", "timestamp_sample", "time_utc_usec")
ARRAYS = {"q": (4,), "attitude_euler_angle": (3,)}
ROLL_AND_PITCH_LOCK, YAW_IN_VEHICLE_FRAME = 12, 32
LATEST_US = 4_000_000_000_000_000  # 2096: a later time was misread
MOST_DELAY_US = 1_000_000  # between a sample and its message

Columns = dict[str, NDArray]
Floats = NDArray[np.float64]
Times = NDArray[np.int64]


def ulog_telemetry(content: Content, system_id: int | None = None, *, name: str = "") -> Telemetry:
    """Read the telemetry of a PX4 log.

    Parameters
    ----------
    content : Content
        A `.ulg`.
    system_id : int, optional
        Which drone it has to be.
    name : str, optional
        What to call it.

    Returns
    -------
    Telemetry
        Rows without a place are dropped and counted.

    Raises
    ------
    FormatError
        If the log has no UTC, or no position.
    InputError
        If it is another system's.
    """
    reader = _Reader(read_ulog(content, TOPICS), content.label)
    if system_id not in (None, reader.system_id):
        raise InputError(f"{content.label}: the log is system {reader.system_id}'s; system {system_id} was asked for.")
    return reader.telemetry(name)


def ulog_info(content: Content) -> dict:
    """List what a PX4 log holds, in the shape of `read_log_info`.

    Parameters
    ----------
    content : Content
        A `.ulg`.

    Returns
    -------
    dict
        Topics by name and instance; ``lost_frames`` counts the gaps in which the logger could not write, and
        ``dropout_s`` how long they were: what is missing in them nobody knows.

    Raises
    ------
    FormatError
        If it is no ULog.
    """
    log = read_ulog(content, TOPICS)
    reader = _Reader(log, content.label)
    try:
        start, end = reader.span()
    except FormatError:
        start = end = None
    vehicle = {"system_id": reader.system_id, "component_id": 1, "start": start, "end": end}
    messages = {f"{topic}[{instance}]": count for (topic, instance), count in sorted(log.counts.items())}
    return {
        **log.stats,
        "frames": log.stats["records"],
        "bad_frames": log.stats["bad_records"],
        "lost_frames": log.stats["dropouts"],
        "dropout_s": float(log.dropout_ms.sum()) * 1e-3,
        "unknown_id_frames": log.stats["unknown_records"],
        "vehicles": [{**vehicle, "messages": messages}],
    }


class _Reader:
    """Columns of one log, on one clock."""

    def __init__(self, log: ULog, label: str) -> None:
        self.log, self.label = log, label
        self.stats: dict = {**log.stats, "dropout_s": float(log.dropout_ms.sum()) * 1e-3}
        told = log.parameters.get("MAV_SYS_ID", 1)
        self.system_id = told if isinstance(told, int) and 0 < told < 256 else 1
        self.clock = Clock()

    def span(self) -> tuple[str, str]:
        """First and last time of the topics that telemetry is made of. [ISO 8601, UTC]"""
        self._set_clock()
        times = np.concatenate([self._columns(name)[1] for name in TOPICS])
        return iso(int(times.min())), iso(int(times.max()))

    def telemetry(self, name: str) -> Telemetry:
        self._set_clock()
        position = self._position()
        if not len(position):
            raise FormatError(f"{self.label}: the drone never knew its position; nothing to track from.")
        tables = {
            "position": position,
            "attitude": self._attitude(),
            "gimbal": self._gimbal(),
            "range": self._range(),
        }
        self.stats |= {f"{key}_rows": len(table) for key, table in tables.items()}
        self.stats |= {"clock": self.clock.source, "clock_std_s": self.clock.std_s}
        return Telemetry(self.system_id, name, PX4, **tables, clock=self.clock, stats=self.stats)

    def _set_clock(self) -> None:
        boot_us, utc_us = self._fixes()
        if len(boot_us):
            self.clock, _, stats = fit_gps_clock(boot_us, utc_us, np.zeros(len(boot_us), dtype=np.int64))
            self.stats |= stats
            return
        told = self.log.info.get("boot_time_utc_us", 0)
        if not isinstance(told, int) or not EARLIEST_UTC_US < told < LATEST_US:
            raise FormatError(f"{self.label}: no receiver's UTC in this log; without it the log's times are not UTC.")
        zero = np.zeros(1)
        self.clock = Clock("boot_time_utc", zero, np.full(1, float(told)), zero, RECEIVER_LATENCY_STD_S)
        self.stats |= {"clock_offset_us": [told], "clock_drift_ppm": [0.0], "clock_pairs": 0}

    def _fixes(self) -> tuple[Times, Times]:
        """When the receiver told the time: since boot, and UTC. Some drivers tell it without a fix; that is no time."""
        for name in ("vehicle_gps_position", "sensor_gps"):
            columns = self._told(name)
            if not {"timestamp", "time_utc_usec", "fix_type"} <= set(columns):
                continue
            boot_us, utc_us = _times(columns["timestamp"]), _times(columns["time_utc_usec"])
            good = (boot_us >= 0) & (utc_us > EARLIEST_UTC_US) & (columns["fix_type"] >= rows.FIX_3D)
            if good.any():
                return boot_us[good], utc_us[good]
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)

    def _told(self, name: str) -> Columns:
        """Columns of one topic that are what PX4 defines: numbers, times in integers, arrays where it has arrays."""
        return {
            one: values
            for one, values in self.log.columns(name).items()
            if values.dtype.kind in ("iu" if one in TIMES else "iuf") and values.shape[1:] == ARRAYS.get(one, ())
        }

    def _columns(self, name: str) -> tuple[Columns, Times]:
        """Columns of one topic, and the UTC of its rows: when the sample was taken, where that is said."""
        columns = self._told(name)
        if "timestamp" not in columns:
            return {}, np.zeros(0, dtype=np.int64)
        boot_us = _times(columns["timestamp"])
        if "timestamp_sample" in columns:
            sampled = _times(columns["timestamp_sample"])
            boot_us = np.where((sampled > 0) & (np.abs(boot_us - sampled) < MOST_DELAY_US), sampled, boot_us)
        good = boot_us >= 0
        columns = {one: values[good] for one, values in columns.items()}
        since = boot_us[good] - self.clock.boot_start_us[0]
        return columns, boot_us[good] + np.rint(self.clock.offset_us[0] + self.clock.drift[0] * since).astype(np.int64)

    def _position(self) -> Position:
        for source in (self._estimated, self._received):
            position = source()
            if len(position):
                return position
        return rows.no_positions()

    def _estimated(self) -> Position:
        columns, time_us = self._columns("vehicle_global_position")
        if not {"lat", "lon", "alt"} <= set(columns):
            return rows.no_positions()
        places = [columns[one].astype(np.float64) for one in ("lat", "lon", "alt")]
        return self._placed("vehicle_global_position", columns, time_us, places, self._velocity)

    def _received(self) -> Position:
        """Take the receiver's own place: old logs write 1e-7 degrees and millimetres, new ones degrees and metres."""
        for name in ("vehicle_gps_position", "sensor_gps"):
            columns, time_us = self._columns(name)
            fixed = columns.get("fix_type", np.zeros(0)) >= rows.FIX_3D
            columns, time_us = {one: values[fixed] for one, values in columns.items() if len(fixed)}, time_us[fixed]
            if {"lat", "lon", "alt"} <= set(columns):
                places = [columns[one] * scale for one, scale in (("lat", 1e-7), ("lon", 1e-7), ("alt", 1e-3))]
            elif {"latitude_deg", "longitude_deg", "altitude_msl_m"} <= set(columns):
                places = [columns[one] for one in ("latitude_deg", "longitude_deg", "altitude_msl_m")]
            else:
                continue
            velocity = [columns.get(f"vel_{axis}_m_s", np.full(len(time_us), np.nan)) for axis in "ned"]
            told = np.column_stack(velocity).astype(np.float64)
            return self._placed(name, columns, time_us, places, lambda _, told=told: told)
        return rows.no_positions()

    def _placed(
        self, name: str, columns: Columns, time_us: Times, places: list, velocity: Callable[[Times], Floats]
    ) -> Position:
        lat, lon, alt = places
        good = rows.placed(lat, lon, alt)
        self.stats |= {"position_source": name, "rows_without_fix": int(np.sum(~good))}
        velocities = velocity(time_us)
        time_us, keep = rows.in_order(time_us, good)
        unknown = np.full(len(good), np.nan)
        accuracies = [rows.accuracy(columns.get(one, unknown)[keep].astype(np.float64)) for one in ("eph", "epv")]
        alt_hae_m = geodesy.msl_to_hae(lat[keep], lon[keep], alt[keep])
        return Position(time_us, lat[keep], lon[keep], alt_hae_m, velocities[keep], *accuracies)

    def _velocity(self, wanted_us: Times) -> Floats:
        columns, time_us = self._columns("vehicle_local_position")
        if not {"vx", "vy", "vz"} <= set(columns):
            return np.full((len(wanted_us), 3), np.nan)
        velocity = np.column_stack([columns[one] for one in ("vx", "vy", "vz")]).astype(np.float64)
        known = np.all(np.abs(velocity) < 1e4, axis=1)
        for one in ("v_xy_valid", "v_z_valid"):
            known &= columns.get(one, np.ones(len(known))) != 0
        time_us, keep = rows.in_order(time_us, known)
        return rows.at_times(wanted_us, time_us, velocity[keep], gap_s=1.0)

    def _attitude(self) -> Attitude:
        return Attitude(*self._turned("vehicle_attitude")[:2])

    def _turned(self, name: str) -> tuple[Times, Floats, Columns]:
        columns, time_us = self._columns(name)
        if "q" not in columns:
            return np.zeros(0, dtype=np.int64), np.zeros((0, 4)), {}
        turn = columns["q"].astype(np.float64)
        norm = np.linalg.norm(turn, axis=1)
        time_us, keep = rows.in_order(time_us, np.asarray(np.abs(norm - 1.0) < 0.05))
        return time_us, turn[keep] / norm[keep, None], {one: values[keep] for one, values in columns.items()}

    def _gimbal(self) -> Gimbal:
        time_us, turn, columns = self._turned("gimbal_device_attitude_status")
        if not len(time_us):
            return self._mount()
        flags = columns.get("device_flags", np.full(len(time_us), YAW_IN_VEHICLE_FRAME)).astype(np.int32)
        delta_yaw = columns.get("delta_yaw", np.full(len(time_us), np.nan)).astype(np.float64)
        return Gimbal(time_us, turn, flags, delta_yaw)

    def _mount(self) -> Gimbal:
        """Older logs: roll and pitch levelled, yaw to the vehicle."""
        columns, time_us = self._columns("mount_orientation")
        if "attitude_euler_angle" not in columns:
            return Gimbal(time_us[:0], np.zeros((0, 4)), np.zeros(0, dtype=np.int32), np.zeros(0))
        angles = columns["attitude_euler_angle"].astype(np.float64)
        time_us, keep = rows.in_order(time_us, np.all(np.abs(angles) < 2.0 * np.pi + 0.1, axis=1))
        flags = np.full(len(keep), ROLL_AND_PITCH_LOCK + YAW_IN_VEHICLE_FRAME, dtype=np.int32)
        return Gimbal(time_us, rows.quaternions(*angles[keep].T), flags, np.full(len(keep), np.nan))

    def _range(self) -> Range:
        columns, time_us = self._columns("distance_sensor")
        if not {"current_distance", "min_distance", "max_distance"} <= set(columns):
            return Range(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))
        distance = columns["current_distance"].astype(np.float64)
        good = (distance > columns["min_distance"]) & (distance < columns["max_distance"])
        good &= columns.get("signal_quality", np.full(len(good), -1)) != 0
        time_us, keep = rows.in_order(time_us, good)
        variance = columns.get("variance", np.zeros(len(good)))[keep].astype(np.float64)
        with np.errstate(invalid="ignore"):
            return Range(time_us, distance[keep], np.where(variance > 0.0, np.sqrt(np.abs(variance)), np.nan))


def _times(stored: NDArray) -> Times:
    """Return times since boot as integers; -1 where one was misread."""
    return np.where(stored < LATEST_US, stored, 0).astype(np.int64) - (stored >= LATEST_US)
