"""What did this vehicle report? The frames of a log become one `Telemetry`, in physical units and UTC."""

import pathlib

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink.clock import ClockSource, boot_to_utc, fit_clock, on_time, receive_to_utc
from dronetrack.mavlink.content import read_content
from dronetrack.mavlink.frames import Frames, read_frames
from dronetrack.mavlink.onboard import onboard_info, onboard_telemetry
from dronetrack.telemetry import (
    ARDUPILOT,
    Attitude,
    Camera,
    Clock,
    GeoTarget,
    Gimbal,
    ImageTarget,
    Position,
    Range,
    Telemetry,
)

UINT16_UNKNOWN = 65535
FIX_3D = 3
NO_AUTOPILOT = 8  # MAV_AUTOPILOT_INVALID: a camera, a gimbal
RECTANGLE = 2  # CAMERA_TRACKING_MODE
STAMPED = ("GLOBAL_POSITION_INT", "ATTITUDE", "ATTITUDE_QUATERNION", "GIMBAL_DEVICE_ATTITUDE_STATUS", "SYSTEM_TIME")

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


def read_telemetry(
    source: str | pathlib.Path | bytes,
    system_id: int | None = None,
    *,
    name: str = "",
    clock: ClockSource = "auto",
) -> Telemetry:
    """Read one vehicle's telemetry from a log of any kind; what it is, its first bytes say.

    Parameters
    ----------
    source : str, Path or bytes
        MAVLink (`.tlog`), ArduPilot's own log (`.bin`, `.log`), PX4's (`.ulg`) or DJI's subtitles (`.srt`), plain or
        packed (`.gz`, `.xz`, `.zst`, `.bz2`), or its content.
    system_id : int, optional
        Which vehicle; needed only where the log holds positions of several.
    name : str, optional
        What to call it.
    clock : {"auto", "system_time", "receive"}, optional
        Whose UTC to follow; see `dronetrack.mavlink.clock`.

    Returns
    -------
    Telemetry
        Rows without a fix are dropped and counted, values that mean 'unknown' are NaN, heights are above the
        ellipsoid, times are UTC.

    Raises
    ------
    FormatError
        If the file is missing, not a log, or the vehicle sends no position in it.
    InputError
        If the log holds several vehicles and none was chosen, or the chosen one is not there.

    Examples
    --------
    >>> drone = read_telemetry("hu_drone.tlog")  # doctest: +SKIP
    """
    content = read_content(source)
    if content.kind != "mavlink":
        return onboard_telemetry(content, system_id, name=name, clock=clock)
    frames = read_frames(content)
    system = _choose(frames, system_id, content.label)
    return _Reader(frames, system, clock).telemetry(name, content.label)


def read_log_info(source: str | pathlib.Path | bytes) -> dict:
    """List what a log holds.

    Parameters
    ----------
    source : str, Path or bytes
        As for `read_telemetry`.

    Returns
    -------
    dict
        ``frames``, ``bad_frames``, ``lost_frames``, and ``vehicles``: for every source its ``system_id``,
        ``component_id``, ``lost_frames``, ``start``, ``end`` (receive stamps, ISO 8601, UTC) and ``messages``
        (count by name).

    Raises
    ------
    FormatError
        If the file is missing or holds no frame.
    """
    content = read_content(source)
    if content.kind != "mavlink":
        return onboard_info(content)
    frames = read_frames(content)
    vehicles = []
    for sender in np.unique(frames.source):
        mine = frames.source == sender
        ids, counts = np.unique(frames.message[mine], return_counts=True)
        stamps = frames.receive_us[mine]
        names = {frames.dialect.message_name(int(one)): int(count) for one, count in zip(ids, counts, strict=True)}
        vehicles.append(
            {
                "system_id": int(sender) >> 8,
                "component_id": int(sender) & 0xFF,
                "lost_frames": frames.stats["lost_by_source"][f"{sender >> 8}/{sender & 0xFF}"],
                "start": _iso(int(stamps.min())),
                "end": _iso(int(stamps.max())),
                "messages": dict(sorted(names.items())),
            }
        )
    return {**frames.stats, "vehicles": vehicles}


def _iso(time_us: int) -> str | None:
    try:
        return f"{np.datetime64(time_us, 'us')}Z"
    except ValueError:
        return None


def _choose(frames: Frames, system_id: int | None, label: str) -> int:
    """Return the vehicle to read: the one that was named, or the only one that says where it is."""
    with_position = np.unique(
        frames.system_id[frames.message == frames.dialect.message_id("GLOBAL_POSITION_INT")]
    ).tolist()
    if system_id is not None:
        if system_id not in with_position:
            raise InputError(f"{label}: no position from system {system_id}; the log has positions of {with_position}.")
        return system_id
    if not with_position:
        raise FormatError(f"{label}: no vehicle in this log says where it is (GLOBAL_POSITION_INT).")
    if len(with_position) > 1:
        raise InputError(f"{label}: positions of several vehicles, {with_position}; choose one with system_id=.")
    return with_position[0]


class _Reader:
    """Columns of one system, on one clock."""

    def __init__(self, frames: Frames, system: int, clock: ClockSource) -> None:
        self.frames, self.system = frames, system
        self.stats: dict = {}
        self.receive_us = self._on_time()
        self.autopilot = self._autopilot()
        self.clock = self._clock(clock)

    def telemetry(self, name: str, label: str) -> Telemetry:
        position = self._position()
        if not len(position):
            raise FormatError(f"{label}: system {self.system} never had a position fix; nothing to track from.")
        tables = {
            "position": position,
            "attitude": self._attitude(),
            "gimbal": self._gimbal(),
            "camera": self._camera(),
            "image_target": self._image_target(),
            "geo_target": self._geo_target(),
            "range": self._range(),
        }
        stats = {
            **self.frames.stats,
            **self.stats,
            **{f"{key}_rows": len(table) for key, table in tables.items()},
            "clock": self.clock.source,
            "clock_std_s": self.clock.std_s,
            "receive_minus_system_time_s": self.clock.receive_minus_system_time_s,
        }
        return Telemetry(self.system, name, self.autopilot, **tables, clock=self.clock, stats=stats)

    def _columns(self, name: str) -> tuple[NDArray[np.void], Times]:
        """Wire values and receive stamps of one message."""
        values, rows = self.frames.columns(name, self.system)
        return values, self.receive_us[rows]

    def _on_time(self) -> Times:
        """Receive stamps in which no frame of this system is late."""
        stamps = self.frames.receive_us.copy()
        self.stats["late_frames"] = 0
        for sender in np.unique(self.frames.source[self.frames.system_id == self.system]):
            rows = np.flatnonzero(self.frames.source == sender)
            stamps[rows], late = on_time(self.frames.place[rows], stamps[rows])
            self.stats["late_frames"] += int(late.sum())
        return stamps

    def _clock(self, source: ClockSource) -> Clock:
        boot, receive, rows, pair = [], [], [], []
        for name in STAMPED:
            values, index = self.frames.columns(name, self.system)
            boot.append(values["time_boot_ms"].astype(np.int64) * 1000)
            rows.append(index)
            unix = (
                values["time_unix_usec"].astype(np.int64) if name == "SYSTEM_TIME" else np.zeros(len(values), np.int64)
            )
            pair.append(np.where(name == "SYSTEM_TIME", unix, -1))
        order = np.argsort(np.concatenate(rows), kind="stable")
        boot_us, index = np.concatenate(boot)[order], np.concatenate(rows)[order]
        unix_us = np.concatenate(pair)[order]
        # A boot time of zero is 'unknown', as cameras send it.
        known = boot_us > 0
        boot_us, unix_us, receive = boot_us[known], unix_us[known], self.receive_us[index[known]]
        pairs = np.flatnonzero(unix_us >= 0)
        return fit_clock(boot_us, receive, pairs, unix_us[pairs], source=source, ardupilot=self.autopilot == ARDUPILOT)

    def _autopilot(self) -> int:
        said = self._columns("HEARTBEAT")[0]["autopilot"]
        known = said[said != NO_AUTOPILOT]
        return int(np.bincount(known).argmax()) if len(known) else 0

    def _stamped(self, values: NDArray[np.void]) -> Times:
        return boot_to_utc(self.clock, values["time_boot_ms"].astype(np.int64) * 1000)

    def _position(self) -> Position:
        values, receive = self._columns("GLOBAL_POSITION_INT")
        gps, gps_receive = self._columns("GPS_RAW_INT")
        fixed = gps_receive[gps["fix_type"] >= FIX_3D]
        first_fix = fixed.min() if len(fixed) else receive.min() if not len(gps) else np.iinfo(np.int64).max
        lat, lon = values["lat"] * 1e-7, values["lon"] * 1e-7
        good = (values["lat"] != 0) | (values["lon"] != 0)
        good &= (receive >= first_fix) & (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0)
        self.stats["rows_without_fix"] = int(np.sum(~good))
        time_us, keep = _in_order(self._stamped(values), good)
        values, receive = values[keep], receive[keep]
        at = np.searchsorted(gps_receive, receive, side="right") - 1
        accuracy = {}
        for column, field in (("h_acc_m", "h_acc"), ("v_acc_m", "v_acc")):
            raw = gps[field].astype(np.float64) * 1e-3
            known = np.where((raw > 0.0) & (raw < 1e6), raw, np.nan)
            accuracy[column] = (
                np.where(at >= 0, known[np.maximum(at, 0)], np.nan) if len(gps) else np.full(len(at), np.nan)
            )
        velocity = np.column_stack([values["vx"], values["vy"], values["vz"]]) * 0.01
        return Position(
            time_us, lat[keep], lon[keep], _hae(lat[keep], lon[keep], values["alt"] * 1e-3), velocity, **accuracy
        )

    def _attitude(self) -> Attitude:
        quaternions, _ = self._columns("ATTITUDE_QUATERNION")
        angles, _ = self._columns("ATTITUDE")
        if len(quaternions) > len(angles):
            turn = np.column_stack([quaternions[f"q{axis}"] for axis in (1, 2, 3, 4)]).astype(np.float64)
            return Attitude(*self._turned(self._stamped(quaternions), turn))
        turn = _from_angles(*(angles[axis].astype(np.float64) for axis in ("roll", "pitch", "yaw")))
        return Attitude(*self._turned(self._stamped(angles), turn))

    def _gimbal(self) -> Gimbal:
        values, _ = self._columns("GIMBAL_DEVICE_ATTITUDE_STATUS")
        if not len(values):
            return self._mount()
        norm = np.linalg.norm(values["q"], axis=1)
        good = np.abs(norm - 1.0) < 0.05
        self.stats["gimbal_rows_without_attitude"] = int(np.sum(~good))
        time_us, keep = _in_order(self._stamped(values), good)
        turn = values["q"][keep].astype(np.float64) / norm[keep, None]
        # delta_yaw is an extension: an old sender leaves it away, which reads as 0 and cannot be told from 0.
        return Gimbal(time_us, turn, values["flags"][keep], values["delta_yaw"][keep].astype(np.float64))

    def _mount(self) -> Gimbal:
        """Older mounts: MOUNT_ORIENTATION (levelled, yaw to the vehicle), else MOUNT_STATUS (pitch, roll, yaw)."""
        values, receive = self._columns("MOUNT_ORIENTATION")
        if len(values):
            time_us = self._stamped(values)
            angles = [np.radians(values[axis].astype(np.float64)) for axis in ("roll", "pitch", "yaw")]
        else:
            values, receive = self._columns("MOUNT_STATUS")
            time_us = receive_to_utc(self.clock, receive)
            angles = [np.radians(values[axis] * 0.01) for axis in ("pointing_b", "pointing_a", "pointing_c")]
        good = np.isfinite(angles[0] + angles[1] + angles[2])
        time_us, keep = _in_order(time_us, good)
        turn = _from_angles(*(angle[keep] for angle in angles))
        vehicle_yaw = np.full(len(keep), 32, dtype=np.int32)
        return Gimbal(time_us, turn, vehicle_yaw, np.full(len(keep), np.nan))

    def _turned(self, time_us: Times, turn: Floats) -> tuple[Times, Floats]:
        norm = np.linalg.norm(turn, axis=1)
        time_us, keep = _in_order(time_us, np.abs(norm - 1.0) < 0.05)
        return time_us, turn[keep] / norm[keep, None]

    def _camera(self) -> Camera:
        info, info_receive = self._columns("CAMERA_INFORMATION")
        view, _ = self._columns("CAMERA_FOV_STATUS")
        focal = info["focal_length"].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            opening = [2.0 * np.arctan(0.5 * info[f"sensor_size_{axis}"] / focal) for axis in "hv"]
        time_us = np.concatenate([receive_to_utc(self.clock, info_receive), self._stamped(view)])
        hfov = np.concatenate([opening[0], np.radians(view["hfov"].astype(np.float64))])
        vfov = np.concatenate([opening[1], np.radians(view["vfov"].astype(np.float64))])
        size = [
            np.concatenate([info[f"resolution_{axis}"].astype(np.float64), np.full(len(view), np.nan)]) for axis in "hv"
        ]
        good = (hfov > 0.0) & (hfov < np.pi) & (vfov > 0.0) & (vfov < np.pi)
        time_us, keep = _in_order(time_us, good)
        return Camera(time_us, hfov[keep], vfov[keep], *(np.where(one > 0, one, np.nan)[keep] for one in size))

    def _image_target(self) -> ImageTarget:
        values, receive = self._columns("CAMERA_TRACKING_IMAGE_STATUS")
        box = values["tracking_mode"] == RECTANGLE
        x = np.where(box, 0.5 * (values["rec_top_x"] + values["rec_bottom_x"]), values["point_x"]).astype(np.float64)
        y = np.where(box, 0.5 * (values["rec_top_y"] + values["rec_bottom_y"]), values["point_y"]).astype(np.float64)
        time_us, keep = _in_order(receive_to_utc(self.clock, receive))
        return ImageTarget(time_us, receive[keep], values["tracking_status"][keep].astype(np.int16), x[keep], y[keep])

    def _geo_target(self) -> GeoTarget:
        values, receive = self._columns("CAMERA_TRACKING_GEO_STATUS")
        lat, lon = values["lat"] * 1e-7, values["lon"] * 1e-7
        placed: NDArray[np.bool_] = (
            ((values["lat"] != 0) | (values["lon"] != 0)) & (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0)
        )
        self.stats["geo_target_rows_without_place"] = int(np.sum(~placed))
        time_us, keep = _in_order(receive_to_utc(self.clock, receive), placed)
        values = values[keep]
        real = {name: values[name].astype(np.float64) for name in ("alt", "h_acc", "v_acc", "vel_acc")}
        positive = {name: np.where(real[name] >= 0.0, real[name], np.nan) for name in ("h_acc", "v_acc", "vel_acc")}
        return GeoTarget(
            time_us,
            receive[keep],
            values["tracking_status"].astype(np.int16),
            lat[keep],
            lon[keep],
            _hae(lat[keep], lon[keep], real["alt"]),
            positive["h_acc"],
            positive["v_acc"],
            np.column_stack([values[f"vel_{axis}"] for axis in "ned"]).astype(np.float64),
            positive["vel_acc"],
        )

    def _range(self) -> Range:
        values, _ = self._columns("DISTANCE_SENSOR")
        distance = values["current_distance"] * 0.01
        low, high = values["min_distance"] * 0.01, values["max_distance"] * 0.01
        time_us, keep = _in_order(self._stamped(values), (distance > low) & (distance < high))
        variance_cm2 = values["covariance"][keep].astype(np.float64)
        std_m = np.where((variance_cm2 > 0) & (variance_cm2 < 255), np.sqrt(variance_cm2) * 0.01, np.nan)
        return Range(time_us, distance[keep], std_m)


def _in_order(time_us: Times, good: NDArray[np.bool_] | None = None) -> tuple[Times, NDArray[np.int64]]:
    """Return the times of good rows in order, and their row numbers."""
    rows = np.arange(len(time_us)) if good is None else np.flatnonzero(good)
    keep = rows[np.argsort(time_us[rows], kind="stable")]
    return time_us[keep], keep


def _hae(lat_deg: Floats, lon_deg: Floats, alt_msl_m: Floats) -> Floats:
    return geodesy.msl_to_hae(lat_deg, lon_deg, alt_msl_m)


def _from_angles(roll: Floats, pitch: Floats, yaw: Floats) -> Floats:
    """Quaternion w x y z of the rotation Rz(yaw) Ry(pitch) Rx(roll). [rad]"""
    cr, sr = np.cos(0.5 * roll), np.sin(0.5 * roll)
    cp, sp = np.cos(0.5 * pitch), np.sin(0.5 * pitch)
    cy, sy = np.cos(0.5 * yaw), np.sin(0.5 * yaw)
    return np.column_stack(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
    )
