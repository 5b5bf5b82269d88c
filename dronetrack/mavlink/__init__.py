"""What did the drone say? MAVLink logs and streams become frames, columns and `Telemetry`; so do on-board logs."""

from dronetrack.mavlink.dataflash import read_dataflash
from dronetrack.mavlink.frames import Decoder, Frames, join_frames, read_batches, read_frames
from dronetrack.mavlink.messages import read_messages
from dronetrack.mavlink.reader import read_log_info, read_telemetry
from dronetrack.mavlink.srt import read_srt
from dronetrack.mavlink.traffic import traffic
from dronetrack.mavlink.ulog import read_ulog

__all__ = [
    "Decoder",
    "Frames",
    "join_frames",
    "read_batches",
    "read_dataflash",
    "read_frames",
    "read_log_info",
    "read_messages",
    "read_srt",
    "read_telemetry",
    "read_ulog",
    "traffic",
]
