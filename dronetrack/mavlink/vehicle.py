"""What did one system send, and when was that in UTC? Its messages, each component on a clock of its own."""

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError
from dronetrack.mavlink.clock import EARLIEST_UTC_US, ClockSource, boot_to_utc, fit_clock, on_time, receive_to_utc
from dronetrack.mavlink.frames import Frames
from dronetrack.mavlink.layouts import dialect_of
from dronetrack.telemetry import ARDUPILOT, Clock

NO_AUTOPILOT = 8  # MAV_AUTOPILOT_INVALID: a camera, a gimbal
CLOCK_MESSAGES = (
    "GLOBAL_POSITION_INT",
    "ATTITUDE",
    "ATTITUDE_QUATERNION",
    "GIMBAL_DEVICE_ATTITUDE_STATUS",
    "SYSTEM_TIME",
)
FALLBACK_CLOCK_MESSAGES = ("LOCAL_POSITION_NED", "HIGH_LATENCY2", "CAMERA_FOV_STATUS", "DISTANCE_SENSOR")

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Rows = NDArray[np.int64]


class Vehicle:
    """Messages of one system.

    Parameters
    ----------
    frames : Frames
        Of any number of systems.
    system : int
        Which.
    clock : ClockSource
        Whose UTC to follow.

    Attributes
    ----------
    autopilot : int
        MAV_AUTOPILOT, as the heartbeat says.
    clock : Clock
        The autopilot's.
    stats : dict
        What is counted on the way.

    Raises
    ------
    FormatError
        If there are neither stamps nor a UTC of the autopilot.
    InputError
        If the wanted clock is not in the log.
    """

    def __init__(self, frames: Frames, system: int, clock: ClockSource = "auto") -> None:
        self.frames, self.system = frames, system
        self.stats: dict = {"late_frames": 0}
        said = self.columns("HEARTBEAT")[0]["autopilot"]
        known = said[said != NO_AUTOPILOT]
        self.autopilot = int(np.bincount(known).argmax()) if len(known) else 0
        self._boot = self._boot_rows()
        stamped = bool(frames.receive_us.any())
        self.receive_us = self._on_time() if stamped else self._stamps_from_boot()
        main = self._main_component()
        self.clock = self._fit(main, self.receive_us, clock if stamped else "system_time")
        self._clocks = {main: self.clock}

    def columns(self, name: str, *, anyone: bool = False) -> tuple[NDArray[np.void], Rows]:
        """Wire values of one message, of this system or anyone, and their rows; none where the dialect has it not."""
        if name in self.frames.dialect:
            return self.frames.columns(name, None if anyone else self.system)
        every = dialect_of("all")
        return np.zeros(0, dtype=every.layout(every.message_id(name))), np.zeros(0, dtype=np.int64)

    def arrival(self, rows: Rows) -> Times:
        """When rows arrived. [us, UTC]"""
        return receive_to_utc(self.clock, self.receive_us[rows])

    def from_boot(self, boot_us: Times, rows: Rows) -> Times:
        """Boot times of the senders of some rows, as UTC. [us]"""
        time_us = np.empty(len(rows), dtype=np.int64)
        component = self.frames.source[rows] & 0xFF
        for one in np.unique(component).tolist():
            mine = component == one
            time_us[mine] = boot_to_utc(self._clock_of(one), boot_us[mine], self.receive_us[rows[mine]])
        return time_us

    def stamped(self, values: NDArray[np.void], rows: Rows) -> Times:
        """UTC of messages with `time_boot_ms`; where that is 0, when they arrived. [us]"""
        return self._moment(values["time_boot_ms"].astype(np.int64) * 1000, rows)

    def moment(self, time_usec: NDArray, rows: Rows) -> Times:
        """UTC of a stamp that is Unix time or boot time, as its size tells; of 0, when it arrived. [us]"""
        return self._moment(time_usec.astype(np.int64), rows)

    def _moment(self, stamp_us: Times, rows: Rows) -> Times:
        out = self.from_boot(stamp_us, rows)
        none, unix = stamp_us <= 0, stamp_us > EARLIEST_UTC_US
        out[unix] = stamp_us[unix]
        out[none] = self.arrival(rows[none])
        return out

    def _boot_rows(self) -> tuple[Rows, Times, Times]:
        """Rows with a boot time, that time, and the UTC that some of them bring (-1 for none)."""
        parts = [self._boot_of(name) for name in CLOCK_MESSAGES]
        parts += (
            [] if sum(len(rows) for rows, _, _ in parts) else [self._boot_of(one) for one in FALLBACK_CLOCK_MESSAGES]
        )
        rows, boot_us, unix_us = (np.concatenate(one) for one in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")
        # A boot time of zero is 'unknown', as cameras send it.
        order = order[boot_us[order] > 0]
        return rows[order], boot_us[order], unix_us[order]

    def _boot_of(self, name: str) -> tuple[Rows, Times, Times]:
        values, rows = self.columns(name)
        boot_ms = values["timestamp" if name == "HIGH_LATENCY2" else "time_boot_ms"]
        unix_us = values["time_unix_usec"].astype(np.int64) if name == "SYSTEM_TIME" else np.full(len(rows), -1)
        return rows, boot_ms.astype(np.int64) * 1000, unix_us

    def _main_component(self) -> int:
        component = self.frames.source[self._boot[0]] & 0xFF
        return int(np.bincount(component).argmax()) if len(component) else 1

    def _clock_of(self, component: int) -> Clock:
        """Clock of a component; one without boot times of its own is taken to use the autopilot's."""
        if component not in self._clocks:
            rows = self._boot[0]
            own = bool(np.any((self.frames.source[rows] & 0xFF) == component))
            # The autopilot says which UTC is right; this one says only how its boot time runs.
            arrived = receive_to_utc(self.clock, self.receive_us)
            self._clocks[component] = self._fit(component, arrived, "receive") if own else self.clock
        return self._clocks[component]

    def _fit(self, component: int, receive_us: Times, source: ClockSource) -> Clock:
        rows, boot_us, unix_us = self._boot
        mine = (self.frames.source[rows] & 0xFF) == component
        rows, boot_us, unix_us = rows[mine], boot_us[mine], unix_us[mine]
        pairs = np.flatnonzero(unix_us >= 0)
        return fit_clock(
            boot_us, receive_us[rows], pairs, unix_us[pairs], source=source, ardupilot=self.autopilot == ARDUPILOT
        )

    def _on_time(self) -> Times:
        """Receive stamps in which no frame of this system is late."""
        stamps, place = self.frames.receive_us.copy(), self.frames.place
        for sender in np.unique(self.frames.source[self.frames.system_id == self.system]):
            rows = np.flatnonzero(self.frames.source == sender)
            stamps[rows], late = on_time(place[rows], stamps[rows])
            self.stats["late_frames"] += int(late.sum())
        return stamps

    def _stamps_from_boot(self) -> Times:
        """Stamps of a stream that was recorded without: what the autopilot's own clock said around each frame."""
        rows, boot_us, unix_us = self._boot
        if not np.any(unix_us > EARLIEST_UTC_US):
            raise FormatError("neither time stamps nor a SYSTEM_TIME with a UTC: nothing says when this was.")
        pairs = np.flatnonzero(unix_us >= 0)
        clock = fit_clock(boot_us, boot_us, pairs, unix_us[pairs], source="system_time")
        stamps = np.interp(np.arange(len(self.frames)), rows, boot_to_utc(clock, boot_us))
        return np.rint(stamps).astype(np.int64)
