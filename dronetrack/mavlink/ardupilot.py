"""What did ArduPilot write about its flight? The records of a DataFlash log become one `Telemetry`.

Position and attitude are those that the autopilot itself flew by (POS, ATT), velocity is its active EKF core's (XKF1 or
NKF1), accuracies are the receiver's (GPA), the gimbal is MNT. What its camera tracked, DataFlash does not hold: such a
log gives pose, gimbal, camera and range, but no sightings.
"""

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink import rows
from dronetrack.mavlink.clock import REBOOT_FALL_US
from dronetrack.mavlink.content import Content
from dronetrack.mavlink.dataflash import DataFlash, read_dataflash
from dronetrack.mavlink.gps_time import fit_gps_clock, gps_to_utc_us, iso
from dronetrack.telemetry import ARDUPILOT, Attitude, Camera, Clock, Gimbal, Position, Range, Telemetry

MESSAGES = (
    "POS", "GPS", "GPA", "AHR2", "ATT", "XKF1", "NKF1", "XKF4", "NKF4", "XKQ", "NKQ", "NKQ1", "MNT", "RFND", "PARM",
)  # fmt: skip
LATEST_BOOT_US = 10**14  # three years: a boot time beyond it was misread
RANGE_GOOD = 4  # RangeFinder::Status
ROLL_AND_PITCH_LOCK, YAW_LOCK, YAW_IN_VEHICLE_FRAME = 12, 16, 32
FULL_SCALE_M = 655.0

Columns = dict[str, NDArray]
Floats = NDArray[np.float64]
Times = NDArray[np.int64]


def dataflash_telemetry(content: Content, system_id: int | None = None, *, name: str = "") -> Telemetry:
    """Read the telemetry of an ArduPilot log.

    Parameters
    ----------
    content : Content
        A `.bin` or `.log`.
    system_id : int, optional
        Which drone it has to be.
    name : str, optional
        What to call it.

    Returns
    -------
    Telemetry
        Rows without a fix are dropped and counted.

    Raises
    ------
    FormatError
        If the log has no GPS time, without which its times are not UTC, or no position.
    InputError
        If it is another system's.
    """
    reader = _Reader(read_dataflash(content, MESSAGES), content.label)
    if system_id not in (None, reader.system_id):
        raise InputError(f"{content.label}: the log is system {reader.system_id}'s; system {system_id} was asked for.")
    return reader.telemetry(name)


def dataflash_info(content: Content) -> dict:
    """List what an ArduPilot log holds, in the shape of `read_log_info`.

    Parameters
    ----------
    content : Content
        A `.bin` or `.log`.

    Returns
    -------
    dict
        ``lost_frames`` is what the logger itself says that it dropped (DSF.Dp).

    Raises
    ------
    FormatError
        If it holds no record.
    """
    log = read_dataflash(content, (*MESSAGES, "DSF"))
    reader = _Reader(log, content.label)
    dropped = log.columns("DSF").get("Dp", np.zeros(0))
    try:
        start, end = reader.span()
    except FormatError:
        start = end = None
    stats = {**log.stats, "frames": log.stats["records"], "bad_frames": log.stats["bad_records"]}
    vehicle = {"system_id": reader.system_id, "component_id": 1, "start": start, "end": end}
    return {
        **stats,
        "lost_frames": int(np.max(dropped, initial=0)),
        "unknown_id_frames": 0,
        "vehicles": [{**vehicle, "messages": dict(sorted(log.counts.items()))}],
    }


class _Reader:
    """Columns of one log, on one clock."""

    def __init__(self, log: DataFlash, label: str) -> None:
        self.log, self.label = log, label
        self.stats: dict = dict(log.stats)
        self.system_id = self._system()
        self.boot = self._boots()
        self.clock, self.clocked = Clock(), np.zeros(0, dtype=np.int64)

    def span(self) -> tuple[str, str]:
        """First and last time of the messages that telemetry is made of. [ISO 8601, UTC]"""
        self._set_clock()
        times = np.concatenate([self._columns(name)[1] for name in MESSAGES if name != "PARM"])
        return iso(int(times.min())), iso(int(times.max()))

    def telemetry(self, name: str) -> Telemetry:
        self._set_clock()
        position = self._position()
        if not len(position):
            raise FormatError(f"{self.label}: the drone never had a position fix; nothing to track from.")
        tables = {
            "position": position,
            "attitude": self._attitude(),
            "gimbal": self._gimbal(),
            "camera": self._camera(),
            "range": self._range(),
        }
        self.stats |= {f"{key}_rows": len(table) for key, table in tables.items()}
        self.stats |= {"clock": self.clock.source, "clock_std_s": self.clock.std_s}
        return Telemetry(self.system_id, name, ARDUPILOT, **tables, clock=self.clock, stats=self.stats)

    def _system(self) -> int:
        columns = self.log.columns("PARM")
        names, values = (columns.get(one, np.zeros(0)) for one in ("Name", "Value"))
        if names.dtype.kind != "S" or not _is_number(values):
            return 1
        told = values[(names == b"MAV_SYSID") | (names == b"SYSID_THISMAV")]
        return int(told[0]) if len(told) and 0 < told[0] < 256 else 1

    def _boots(self) -> dict[str, NDArray[np.int64]]:
        """Give every record the number of its boot, -1 where its time cannot be.

        Boot time rises through a log, and falls where the next boot was written to the same file. A time that stands
        apart from the two before and after it was misread.
        """
        from scipy.ndimage import median_filter

        names = [one for one in self.log.records if _is_whole(self.log.records[one], "TimeUS")]
        if not names:
            return {}
        time = np.concatenate([self.log.records[one]["TimeUS"].astype(np.float64) for one in names])
        order = np.argsort(np.concatenate([self.log.offsets[one] for one in names]), kind="stable")
        steady = median_filter(time[order], size=5, mode="nearest")
        number = np.cumsum(np.diff(steady, prepend=steady[:1]) < -REBOOT_FALL_US)
        sound = (np.abs(time[order] - steady) < REBOOT_FALL_US) & (time[order] < LATEST_BOOT_US)
        boot = np.empty(len(time), dtype=np.int64)
        boot[order] = np.where(sound, number, -1)
        self.stats["records_out_of_time"] = int(np.sum(~sound))
        edges = np.cumsum([len(self.log.records[one]) for one in names])
        return dict(zip(names, np.split(boot, edges[:-1]), strict=True))

    def _set_clock(self) -> None:
        fixes, taken_us, utc_us, boot = self._fixes()
        if not len(fixes):
            raise FormatError(
                f"{self.label}: the receiver never had a time (GPS week); without it the log's times are not UTC."
            )
        self.clock, self.clocked, stats = fit_gps_clock(taken_us, utc_us, boot)
        timeless = sum(int(np.sum((one >= 0) & ~np.isin(one, self.clocked))) for one in self.boot.values())
        self.stats |= {**stats, "records_without_utc": timeless}

    def _fixes(self) -> tuple[NDArray[np.int64], Times, Times, NDArray[np.int64]]:
        """Rows of GPS that tell the time, when they were taken, their UTC, and their boot."""
        stored = self.log.records.get("GPS", np.zeros(0, dtype=[]))
        if not all(_is_whole(stored, one) for one in ("TimeUS", "GWk", "GMS", "Status")):
            none = np.zeros(0, dtype=np.int64)
            return none, none, none, none
        columns = self.log.columns("GPS")
        week, within = (stored[one].astype(np.int64) for one in ("GWk", "GMS"))
        utc_us = gps_to_utc_us(week, within)
        taken_us = self._sampled_us(columns)
        boot = self.boot["GPS"]
        good = np.flatnonzero((utc_us > 0) & (columns["Status"] >= rows.FIX_3D) & (boot >= 0))
        return good, taken_us[good], utc_us[good], boot[good]

    def _sampled_us(self, gps: Columns) -> Times:
        """When the fixes came in: GPA says it to a millisecond (SMS), GPS itself is stamped when it is logged."""
        stored = self.log.records.get("GPA", np.zeros(0, dtype=[]))
        if not (len(stored) and _is_whole(stored, "SMS") and _is_whole(stored, "TimeUS")):
            return gps["TimeUS"]
        accuracy, sampled = self.log.columns("GPA"), stored["SMS"].astype(np.int64) * 1000
        row = np.searchsorted(accuracy["TimeUS"], gps["TimeUS"]).clip(0, len(sampled) - 1)
        age_us = gps["TimeUS"] - sampled[row]
        same = (accuracy["TimeUS"][row] == gps["TimeUS"]) & (age_us >= 0) & (age_us < 1_000_000)
        return np.where(same, sampled[row], gps["TimeUS"])

    def _columns(self, name: str, instance: int | None = None) -> tuple[Columns, Times]:
        """Columns of one message, and the UTC of its rows; those whose time is unknown are left away."""
        if name not in self.boot:
            return {}, np.zeros(0, dtype=np.int64)
        columns, boot = self.log.columns(name), self.boot[name]
        entry = np.searchsorted(self.clocked, boot).clip(0, len(self.clocked) - 1)
        good = self.clocked[entry] == boot
        if instance is not None and name in self.log.instances:
            good &= columns[self.log.instances[name]] == instance
        columns = {one: values[good] for one, values in columns.items() if one == "Name" or _is_number(values)}
        boot_us, entry = columns["TimeUS"], entry[good]
        since = boot_us - self.clock.boot_start_us[entry]
        shift = self.clock.offset_us[entry] + self.clock.drift[entry] * since
        return columns, boot_us + np.rint(shift).astype(np.int64)

    def _first(self, *names: str, needs: str, instance: int | None = None) -> tuple[str, Columns, Times]:
        """Return the first of some messages that the log holds with these columns."""
        for name in names:
            columns, time_us = self._columns(name, instance)
            if len(time_us) and set(needs.split()) <= set(columns):
                return name, columns, time_us
        return "", {}, np.zeros(0, dtype=np.int64)

    def _core(self) -> int:
        """Return the EKF core that the autopilot flew by most of the time."""
        _, columns, _ = self._first("XKF4", "NKF4", needs="PI")
        used = columns.get("PI", np.zeros(0))
        return _commonest(used[used >= 0])

    def _receiver(self) -> tuple[Columns, Times, int]:
        """Return the receiver that was used, and its instance."""
        columns, time_us = self._columns("GPS")
        which = self.log.instances.get("GPS")
        if not len(time_us) or which not in columns:
            return columns, time_us, 0
        used = columns["U"] > 0 if "U" in columns and np.any(columns["U"]) else np.ones(len(time_us), dtype=np.bool_)
        instance = _commonest(columns[which][used])
        return *self._columns("GPS", instance), instance

    def _position(self) -> Position:
        gps, gps_us, instance = self._receiver()
        fixed = gps_us[gps["Status"] >= rows.FIX_3D]
        name, columns, time_us = self._first("POS", "GPS", "AHR2", needs="Lat Lng Alt")
        if name == "GPS":
            columns, time_us = gps, gps_us
        if not name or not len(fixed):
            return rows.no_positions()
        lat, lon, alt = (columns[one].astype(np.float64) for one in ("Lat", "Lng", "Alt"))
        good = rows.placed(lat, lon, alt) & (time_us >= fixed.min())
        self.stats["position_source"] = name
        self.stats["rows_without_fix"] = int(np.sum(~good))
        time_us, keep = rows.in_order(time_us, good)
        lat, lon = lat[keep], lon[keep]
        alt_hae_m = geodesy.msl_to_hae(lat, lon, alt[keep])
        accuracies = self._accuracies(time_us, instance)
        return Position(time_us, lat, lon, alt_hae_m, self._velocity(time_us, gps, gps_us), *accuracies)

    def _velocity(self, wanted_us: Times, gps: Columns, gps_us: Times) -> Floats:
        _, columns, time_us = self._first("XKF1", "NKF1", needs="VN VE VD", instance=self._core())
        if columns:
            velocity = np.column_stack([columns[one] for one in ("VN", "VE", "VD")]).astype(np.float64)
        elif {"Spd", "GCrs", "VZ"} <= set(gps):
            course, speed = np.radians(gps["GCrs"].astype(np.float64)), gps["Spd"].astype(np.float64)
            velocity = np.column_stack([speed * np.cos(course), speed * np.sin(course), gps["VZ"]]).astype(np.float64)
            time_us = gps_us
        else:
            return np.full((len(wanted_us), 3), np.nan)
        time_us, keep = rows.in_order(time_us, np.all(np.abs(velocity) < 1e4, axis=1))
        return rows.at_times(wanted_us, time_us, velocity[keep], gap_s=1.0)

    def _accuracies(self, wanted_us: Times, instance: int) -> list[Floats]:
        columns, time_us = self._columns("GPA", instance)
        if not {"HAcc", "VAcc"} <= set(columns):
            return [np.full(len(wanted_us), np.nan)] * 2
        time_us, keep = rows.in_order(time_us, np.ones(len(time_us), dtype=np.bool_))
        return [rows.latest(wanted_us, time_us, rows.accuracy(columns[one][keep])) for one in ("HAcc", "VAcc")]

    def _attitude(self) -> Attitude:
        name, columns, time_us = self._first("ATT", needs="Roll Pitch Yaw")
        if not name:
            name, columns, time_us = self._first(
                "XKQ", "NKQ", "NKQ1", "AHR2", needs="Q1 Q2 Q3 Q4", instance=self._core()
            )
        if not name:
            return Attitude(time_us, np.zeros((0, 4)))
        if name == "ATT":
            turn = rows.quaternions(*_radians(columns, "Roll", "Pitch", "Yaw"))
        else:
            turn = np.column_stack([columns[f"Q{axis}"] for axis in (1, 2, 3, 4)]).astype(np.float64)
        norm = np.linalg.norm(turn, axis=1)
        time_us, keep = rows.in_order(time_us, np.asarray(np.abs(norm - 1.0) < 0.05))
        return Attitude(time_us, turn[keep] / norm[keep, None])

    def _gimbal(self) -> Gimbal:
        """MNT: roll and pitch levelled, yaw to the vehicle (YawB) and to north (YawE). A yaw lock asks for a YawE."""
        _, columns, time_us = self._first("MNT", needs="Roll Pitch YawB YawE", instance=0)
        if not columns:
            return Gimbal(time_us, np.zeros((0, 4)), np.zeros(0, dtype=np.int32), np.zeros(0))
        roll, pitch, yaw, to_north = _radians(columns, "Roll", "Pitch", "YawB", "YawE")
        good = np.all(np.abs(np.column_stack([roll, pitch, yaw])) < 2.0 * np.pi + 0.1, axis=1)
        self.stats["gimbal_rows_without_attitude"] = int(np.sum(~good))
        time_us, keep = rows.in_order(time_us, good)
        locked = np.isfinite(columns["DYawE"][keep]) if "DYawE" in columns else np.zeros(len(keep), dtype=np.bool_)
        flags = np.where(locked, YAW_LOCK, 0) + ROLL_AND_PITCH_LOCK + YAW_IN_VEHICLE_FRAME
        delta_yaw = (to_north - yaw + np.pi) % (2.0 * np.pi) - np.pi
        turn = rows.quaternions(roll[keep], pitch[keep], yaw[keep])
        return Gimbal(time_us, turn, flags.astype(np.int32), delta_yaw[keep])

    def _camera(self) -> Camera:
        """Take the opening angles that the user set for the first camera; resolution and zoom are not logged."""
        columns, time_us = self._columns("PARM")
        none = np.zeros(0)
        if "Value" not in columns or columns.get("Name", none).dtype.kind != "S":
            return Camera(time_us[:0], none, none, none, none)
        value = columns["Value"].astype(np.float64)
        angle = (value > 0.0) & (value < 180.0)
        wide, high = (np.flatnonzero(angle & (columns["Name"] == name)) for name in (b"CAM1_HFOV", b"CAM1_VFOV"))
        if not len(high):
            wide = high
        order = wide[np.argsort(time_us[wide], kind="stable")]
        unknown = np.full(len(order), np.nan)
        vfov = np.full(len(order), np.radians(value[high[-1]])) if len(high) else none
        return Camera(time_us[order], np.radians(value[order]), vfov, unknown, unknown)

    def _range(self) -> Range:
        """Along the gimbal where the mount has a range finder, else by the vehicle's own."""
        mount, mount_us = self._columns("MNT")
        distance = mount.get("Dist", np.zeros(0)).astype(np.float64)
        if np.any(distance > 0.0):
            time_us, keep = rows.in_order(mount_us, distance > 0.0)
            return Range(time_us, distance[keep], np.full(len(keep), np.nan))
        columns, time_us = self._columns("RFND")
        distance = columns.get("Dist", columns.get("Dist1", np.zeros(0))).astype(np.float64)
        status = columns.get("Stat", np.full(len(distance), RANGE_GOOD))
        good = (distance > 0.0) & (distance < FULL_SCALE_M) & (status == RANGE_GOOD)
        time_us, keep = rows.in_order(time_us[: len(distance)], good)
        return Range(time_us, distance[keep], np.full(len(keep), np.nan))


def _radians(columns: Columns, *names: str) -> list[Floats]:
    return [np.radians(columns[one].astype(np.float64)) for one in names]


def _is_number(values: NDArray) -> bool:
    return values.ndim == 1 and values.dtype.kind in "iuf"


def _is_whole(records: NDArray[np.void], column: str) -> bool:
    """Whether a message has such a column of integers: what a log defines need not be what ArduPilot does."""
    names = records.dtype.names or ()
    return column in names and records.dtype[column].kind in "iu" and not records.dtype[column].shape


def _commonest(values: NDArray) -> int:
    """Return the value that most rows have; 0 without rows."""
    found, counts = np.unique(values[values < 256], return_counts=True)
    return int(found[counts.argmax()]) if len(found) else 0
