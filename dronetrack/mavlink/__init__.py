"""What did the drone say? MAVLink logs and streams become frames, columns and `Telemetry`."""

from dronetrack.mavlink.frames import Decoder, Frames, join_frames, read_batches, read_frames
from dronetrack.mavlink.messages import read_messages
from dronetrack.mavlink.reader import read_log_info, read_telemetry
from dronetrack.mavlink.traffic import traffic

__all__ = [
    "Decoder",
    "Frames",
    "join_frames",
    "read_batches",
    "read_frames",
    "read_log_info",
    "read_messages",
    "read_telemetry",
    "traffic",
]
