"""What did the drone say? MAVLink logs become `Telemetry`."""

from dronetrack.mavlink.reader import read_log_info, read_telemetry

__all__ = ["read_log_info", "read_telemetry"]
