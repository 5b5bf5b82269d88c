"""How fast is a log decoded to columns of every message? Beside pymavlink, fasttlogparser, a checksum pass, and memcpy.

python benchmarks/decode.py [log.tlog ...]            every message, the tracker's messages, the limits
python benchmarks/decode.py --memory log.tlog ...     peak memory, whole and piece by piece
"""

import contextlib
import importlib.resources
import os
import pathlib
import resource
import subprocess
import sys

import numpy as np
from timing import in_turn, left_out, table, versions

from dronetrack import reference
from dronetrack.kernels import kernel
from dronetrack.kernels.mavlink import crc_tables
from dronetrack.mavlink import read_batches, read_frames, read_messages

try:
    import fasttlogparser
except ImportError:
    fasttlogparser = None

CRC = crc_tables()[0]
TRACKER = (
    "HEARTBEAT", "SYSTEM_TIME", "GLOBAL_POSITION_INT", "GPS_RAW_INT", "ATTITUDE", "ATTITUDE_QUATERNION",
    "GIMBAL_DEVICE_ATTITUDE_STATUS", "CAMERA_INFORMATION", "CAMERA_FOV_STATUS", "CAMERA_TRACKING_IMAGE_STATUS",
    "CAMERA_TRACKING_GEO_STATUS", "EKF_STATUS_REPORT",
)  # fmt: skip


@kernel
def checksum_rows(data, crc):
    """CRC-16/MCRF4XX over all bytes, one by one: what a decoder that checks its frames usually does at the least."""
    value = np.uint16(0xFFFF)
    for i in range(data.shape[0]):
        value = (value >> np.uint16(8)) ^ crc[(value ^ data[i]) & np.uint16(0xFF)]
    return value


def wire(path):
    frames = read_frames(path)
    return len(frames), frames.tables()


def piece_by_piece(path):
    return sum(len(values) for batch in read_batches(path) for values, _ in batch.tables().values())


def pymavlink(path):
    return sum(1 for _ in reference.read_messages(path))


@contextlib.contextmanager
def quiet():
    """Nothing that compiled code prints: it says every wrong checksum."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def fast(path):
    with quiet():
        messages, _ = fasttlogparser.parse(str(path))
    return sum(len(next(iter(columns.values()))) for columns in messages.values() if columns)


def compare(path):
    content = path.read_bytes()
    data = np.frombuffer(content, dtype=np.uint8)
    frames, columns = wire(path)
    theirs = pymavlink(path)
    assert frames == theirs == sum(len(values) for values, _ in columns.values()), "the two decoders disagree"
    print(f"\n{path.name}: {len(content) / 1e6:.2f} MB, {frames:,} frames, as pymavlink finds  ({versions()})")
    jobs = {
        "dronetrack, all, wire columns": lambda: wire(path),
        "dronetrack, all, SI columns": lambda: read_messages(path),
        "dronetrack, the tracker's messages": lambda: read_frames(path, names=TRACKER).tables(),
        "pymavlink, all messages": lambda: pymavlink(path),
    }
    if fasttlogparser is None:
        left_out("fasttlogparser")
    else:
        print(f"fasttlogparser finds {fast(path):,} frames")
        jobs["fasttlogparser, all messages"] = lambda: fast(path)
    jobs["limit: checksum of every byte"] = lambda: checksum_rows(data, CRC)
    jobs["limit: memcpy"] = data.copy
    seconds = in_turn(jobs, rounds=5)
    table(seconds, dict.fromkeys(seconds, len(content) / 1e6), "MB/s", "dronetrack, all, wire columns")


def peak(path, what):
    """Peak memory of one job in a process of its own, over what it needs for almost nothing. [bytes]"""
    jobs = {"wire": wire, "si": read_messages, "pieces": piece_by_piece}
    few = path.read_bytes()[:20_000] if what != "pieces" else None
    if few is not None:
        jobs[what](few)
    else:
        next(read_batches(path, chunk_bytes=20_000)).tables()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    jobs[what](path)
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def memory(path):
    size = path.stat().st_size
    print(f"\n{path.name}: {size / 1e6:.2f} MB")
    for what, name in (("wire", "all, wire columns"), ("si", "all, SI columns"), ("pieces", "piece by piece")):
        command = [sys.executable, __file__, "--peak", what, str(path)]
        needed = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{name:34s} peak {needed / 1e6:10.1f} MB = {needed / size:.2f} x the file")


def main(arguments):
    if arguments[:1] == ["--peak"]:
        peak(pathlib.Path(arguments[2]), arguments[1])
        return
    job = memory if arguments[:1] == ["--memory"] else compare
    given = [pathlib.Path(one) for one in arguments if not one.startswith("--")]
    demo = pathlib.Path(str(importlib.resources.files("dronetrack") / "data" / "demo" / "hu_drone.tlog"))
    for path in given or [demo]:
        job(path)


if __name__ == "__main__":
    main(sys.argv[1:])
