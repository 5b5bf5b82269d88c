"""Cut the packaged demo out of our own recording (CC0): six minutes around the border.

    python tools/make_demo.py ../shared/data/recorded/joint_exercise_a dronetrack/data/demo

Only whole frames and lines are taken or left; nothing inside one is changed. Kept are the messages that fusion reads.
The mission file beside them is our own: it makes the recording an operation, which the source's does not.
"""

import argparse
import pathlib
import re

import numpy as np

from dronetrack.mavlink.frames import read_frames

START_US, END_US = 1795469935_000000, 1795470315_000000
KEEP = (
    "HEARTBEAT",
    "SYSTEM_TIME",
    "GPS_RAW_INT",
    "GLOBAL_POSITION_INT",
    "ATTITUDE",
    "GIMBAL_DEVICE_ATTITUDE_STATUS",
    "CAMERA_INFORMATION",
    "CAMERA_TRACKING_IMAGE_STATUS",
    "CAMERA_TRACKING_GEO_STATUS",
)
HEAD = 10  # MAVLink 2 header; the recording holds nothing else
TAIL = 2
STAMP = 8


def cut_log(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy the wanted frames with their stamps."""
    frames = read_frames(source)
    wanted = np.isin(frames.message, [frames.dialect.message_id(name) for name in KEEP])
    wanted &= (frames.receive_us >= START_US) & (frames.receive_us < END_US)
    pieces = [
        frames.data[start - HEAD - STAMP : start + size + TAIL].tobytes()
        for start, size in zip(frames.payload[wanted], frames.size[wanted], strict=True)
    ]
    target.write_bytes(b"".join(pieces))


def day_seconds(text: str) -> float:
    """Seconds of the day of ``hhmmss`` or ``hh:mm:ss``."""
    digits = text.replace(":", "")
    return int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + float(digits[4:])


def main() -> None:
    """Write the folder."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source", type=pathlib.Path)
    options.add_argument("target", type=pathlib.Path)
    chosen = options.parse_args()
    for name in ("hu_drone.tlog", "ro_drone.tlog"):
        cut_log(chosen.source / name, chosen.target / name)
    start, end = START_US / 1e6 % 86400, END_US / 1e6 % 86400
    gpx = (chosen.source / "hu_unit.gpx").read_text(encoding="utf-8").splitlines(keepends=True)
    inside = [re.search(r"<time>\S+T([\d:]+)Z", line) for line in gpx]
    kept = [line for line, at in zip(gpx, inside, strict=True) if at is None or start <= day_seconds(at[1]) < end]
    (chosen.target / "hu_unit.gpx").write_text("".join(kept), encoding="utf-8")
    nmea = (chosen.source / "ro_unit.nmea").read_text(encoding="ascii").splitlines(keepends=True)
    kept = [line for line in nmea if start <= day_seconds(line.split(",")[1]) < end]
    (chosen.target / "ro_unit.nmea").write_text("".join(kept), encoding="ascii")


if __name__ == "__main__":
    main()
