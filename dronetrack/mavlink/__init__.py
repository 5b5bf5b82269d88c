"""What did the drone say? MAVLink logs become `Telemetry`."""

from dronetrack.mavlink.dataflash import read_dataflash
from dronetrack.mavlink.reader import read_log_info, read_telemetry
from dronetrack.mavlink.srt import read_srt
from dronetrack.mavlink.ulog import read_ulog

__all__ = ["read_dataflash", "read_log_info", "read_srt", "read_telemetry", "read_ulog"]
