"""How fast is a telemetry log decoded to columns of every message? Clean and corrupt, beside other decoders.

A decoder that is known to lose frames is timed beside the share that it finds; of the others every count must be equal.
"""

import importlib.resources
import pathlib
import tempfile
from collections.abc import Iterator, Mapping

import numpy as np

from dronetrack.bench import limits
from dronetrack.bench.workload import Answer, Case, Goal, Job, Setting, Workload
from dronetrack.mavlink import read_frames, read_messages

OURS, TRACKERS = "dronetrack, all columns", "dronetrack, the tracker's messages"
NEEDED = (
    "HEARTBEAT", "SYSTEM_TIME", "GLOBAL_POSITION_INT", "GPS_RAW_INT", "ATTITUDE", "ATTITUDE_QUATERNION",
    "GIMBAL_DEVICE_ATTITUDE_STATUS", "CAMERA_INFORMATION", "CAMERA_FOV_STATUS", "CAMERA_TRACKING_IMAGE_STATUS",
    "CAMERA_TRACKING_GEO_STATUS", "EKF_STATUS_REPORT",
)  # fmt: skip
LOSSY = {"fasttlogparser"}
LOGS = (
    ("sitl_run1, clean", "sitl/sitl_run1_copter_rover_border.tlog"),
    ("ardusub, with other bytes between", "logs/ardusub_pymavlink_bug.tlog"),
)
FLIPS_PER_BYTE = 2e-5


def decoded(path: pathlib.Path) -> dict[str, int]:
    """Decode a log to columns of every message as they are on the wire, and count the rows."""
    return {name: len(values) for name, (values, _) in read_frames(path).tables().items()}


def _counts(found: Mapping[str, int]) -> Answer:
    names = sorted(found)
    return {"messages": names, "counts": [found[name] for name in names]}


def _corrupt(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, drop a piece, and put garbage in the middle of it."""
    data = np.frombuffer(content, dtype=np.uint8).copy()
    at = rng.integers(0, len(data), max(int(FLIPS_PER_BYTE * len(data)), 1))
    data[at] ^= (1 << rng.integers(0, 8, len(at))).astype(np.uint8)
    middle = len(data) // 2
    return b"".join([data[:middle].tobytes(), rng.bytes(1000), data[middle + 777 :].tobytes()])


def _cases(setting: Setting) -> Iterator[Case]:
    demo = pathlib.Path(str(importlib.resources.files("dronetrack") / "data" / "demo" / "hu_drone.tlog"))
    with tempfile.TemporaryDirectory() as folder:
        broken = pathlib.Path(folder) / "broken.tlog"
        broken.write_bytes(_corrupt(demo.read_bytes(), setting.rng()))
        yield _case("packaged demo", demo, setting)
        yield _case("packaged demo, corrupted", broken, setting)
    for name, place in () if setting.quick else LOGS:
        path = setting.file(place)
        if path is not None:
            yield _case(name, path, setting)


def _case(name: str, path: pathlib.Path, setting: Setting) -> Case:
    content = path.read_bytes()
    megabytes = len(content) / 1e6
    ours = decoded(path)
    jobs = {
        OURS: Job(lambda: decoded(path), megabytes, "ours"),
        "dronetrack, all columns in SI units": Job(lambda: read_messages(path), megabytes, "ours"),
        TRACKERS: Job(lambda: read_frames(path, names=NEEDED).tables(), megabytes, "ours"),
    }
    for key, peer in setting.peers.items():
        run = peer.decode_tlog(path)
        if key in LOSSY:
            jobs[peer.LABEL] = Job(run, megabytes, accuracy=_share_found(run, sum(ours.values())))
        else:
            jobs[peer.LABEL] = Job(run, megabytes, answer=_counts, expected=_counts(ours))
    jobs["limit: checksum of every byte"] = limits.checksum(content, megabytes)
    jobs["limit: memcpy"] = limits.copy_of([np.frombuffer(content, dtype=np.uint8)], megabytes)
    return Case(name, jobs)


def _share_found(run, frames: int) -> dict[str, float]:  # noqa: ANN001 - of any peer
    try:
        return {"frames_found_share": sum(run().values()) / frames}
    except Exception:  # noqa: BLE001 - the race reports it
        return {"frames_found_share": 0.0}


WORKLOAD = Workload(
    "decode",
    "How fast is a telemetry log decoded to columns of every message, clean and corrupt?",
    "MB/s",
    _cases,
    peers=("pymavlink", "mavpose", "uavreaders", "fasttlogparser"),
    goals=(
        Goal("packaged demo", "ratio", OURS, "pymavlink", at_least=60.0),
        Goal("packaged demo", "ratio", OURS, "fasttlogparser", at_least=1.5),
        Goal("packaged demo", "rate", OURS, at_least=150.0),
        Goal("packaged demo, corrupted", "ratio", OURS, "pymavlink", at_least=60.0),
        Goal("packaged demo, corrupted", "ratio", OURS, "fasttlogparser", at_least=1.5),
        Goal("packaged demo", "ratio", TRACKERS, OURS, at_least=1.0),
        Goal("sitl_run1, clean", "ratio", OURS, "pymavlink", at_least=60.0),
        Goal("sitl_run1, clean", "ratio", OURS, "fasttlogparser", at_least=1.5),
        Goal("sitl_run1, clean", "rate", OURS, at_least=150.0),
        Goal("sitl_run1, clean", "ratio", TRACKERS, OURS, at_least=1.0),
    ),
)
