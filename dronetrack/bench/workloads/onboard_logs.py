"""How fast are on-board logs decoded to columns of every record? DataFlash and ULog, beside the reference readers.

Where there are no logs, a DataFlash log is written for the occasion. Logs shorter than 30 MB are repeated to that, as
appended flights would be.
"""

import pathlib
import struct
import tempfile
from collections.abc import Iterator, Mapping

import numpy as np

from dronetrack.bench import limits
from dronetrack.bench.workload import Answer, Case, Goal, Job, Setting, Workload
from dronetrack.mavlink.dataflash import read_dataflash
from dronetrack.mavlink.ulog import read_ulog

DATAFLASH, ULOG = "dronetrack, all columns", "dronetrack, all topics"
LOSSY = {"mavpose"}
ENOUGH_BYTES = 30_000_000
HEAD = b"\xa3\x95"
ULOGS = ("px4_ulog/pyulog_sample.ulg", "px4_ulog/pyulog_sample_logging_tagged.ulg")


def _cases(setting: Setting) -> Iterator[Case]:
    enough = setting.size(ENOUGH_BYTES, 2_000_000)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "log.bin"
        path.write_bytes(_repeated(_written(), enough))
        yield _dataflash("a log written for the occasion", path, setting)
        recorded = setting.file("logs/ardusub_small.BIN")
        if recorded is not None and not setting.quick:
            path.write_bytes(_repeated(recorded.read_bytes(), enough))
            yield _dataflash("ardusub_small, repeated", path, setting)
    for name in ULOGS[: setting.size(2, 1)]:
        log = setting.file(name)
        if log is not None:
            yield _ulog(log.stem, log, setting)


def _dataflash(name: str, path: pathlib.Path, setting: Setting) -> Case:
    megabytes = path.stat().st_size / 1e6
    counts = read_dataflash(path).counts

    def columns() -> None:
        log = read_dataflash(path)
        for record in log.records:
            log.columns(record)

    jobs = {
        DATAFLASH: Job(columns, megabytes, "ours"),
        "dronetrack, records as stored": Job(lambda: read_dataflash(path), megabytes, "ours"),
        "dronetrack, GPS and ATT": Job(lambda: read_dataflash(path, ["GPS", "ATT"]), megabytes, "ours"),
    }
    for key in ("pymavlink", "mavpose"):
        if key in setting.peers:
            peer = setting.peers[key]
            jobs[peer.LABEL] = _job(peer.decode_dataflash(path), megabytes, counts, lossy=key in LOSSY)
    jobs["limit: memcpy"] = limits.copy_of([np.fromfile(path, dtype=np.uint8)], megabytes)
    return Case(name, jobs)


def _ulog(name: str, path: pathlib.Path, setting: Setting) -> Case:
    megabytes = path.stat().st_size / 1e6

    def topics() -> dict[str, int]:
        log = read_ulog(path)
        return {f"{key[0]}[{key[1]}]": len(log.columns(*key)["timestamp"]) for key in log.topics}

    jobs = {ULOG: Job(topics, megabytes, "ours")}
    for key in ("pyulog", "mavpose"):
        if key in setting.peers:
            peer = setting.peers[key]
            jobs[peer.LABEL] = _job(peer.decode_ulog(path), megabytes, topics(), lossy=key in LOSSY)
    jobs["limit: memcpy"] = limits.copy_of([np.fromfile(path, dtype=np.uint8)], megabytes)
    return Case(name, jobs)


def _job(run, megabytes: float, counts: Mapping[str, int], *, lossy: bool) -> Job:  # noqa: ANN001 - of any peer
    """Judge a peer that is known to count otherwise by the share that it finds, all others by every count."""
    if lossy:
        return Job(run, megabytes, accuracy=_share_found(run, counts))
    return Job(run, megabytes, answer=_answer, expected=_answer(counts))


def _share_found(run, counts: Mapping[str, int]) -> dict[str, float]:  # noqa: ANN001 - of any peer
    try:
        return {"records_found_share": sum(run().values()) / sum(counts.values())}
    except Exception:  # noqa: BLE001 - the race reports it
        return {"records_found_share": 0.0}


def _answer(found: Mapping[str, int]) -> Answer:
    names = sorted(found)
    return {"names": names, "counts": [found[name] for name in names]}


def _repeated(content: bytes, enough: int) -> bytes:
    return content * max(1, -(-enough // len(content)))


def _written() -> bytes:
    """Make a log of three messages."""
    columns = {
        "GPS": (200, "QBIHLLe", "TimeUS,Status,GMS,GWk,Lat,Lng,Alt"),
        "IMU": (201, "Qffffff", "TimeUS,A,B,C,D,E,F"),
        "ATT": (202, "QccC", "TimeUS,Roll,Pitch,Yaw"),
    }
    sizes = {"c": "h", "C": "H", "e": "i", "L": "i"}
    packing = {name: "<" + "".join(sizes.get(one, one) for one in codes) for name, (_, codes, _) in columns.items()}
    fmt = struct.Struct("<BB4s16s64s")
    parts = [HEAD + b"\x80" + fmt.pack(128, 89, b"FMT", b"BBnNZ", b"Type,Length,Name,Format,Columns")]
    for name, (identity, codes, names) in columns.items():
        length = 3 + struct.calcsize(packing[name])
        parts.append(HEAD + b"\x80" + fmt.pack(identity, length, name.encode(), codes.encode(), names.encode()))
    for row in range(6_000):
        parts.append(HEAD + bytes([200]) + struct.pack(packing["GPS"], row, 3, row, 2400, 10**8 + row, 10**8, 8400))
        parts += [HEAD + bytes([201]) + struct.pack(packing["IMU"], row, *range(6))] * 4
        parts.append(HEAD + bytes([202]) + struct.pack(packing["ATT"], row, 5, -5, 900))
    return b"".join(parts)


WORKLOAD = Workload(
    "onboard_logs",
    "How fast are on-board logs, DataFlash and ULog, decoded to columns of every record?",
    "MB/s",
    _cases,
    peers=("pymavlink", "mavpose", "pyulog"),
    goals=(
        Goal("a log written for the occasion", "ratio", DATAFLASH, "pymavlink", at_least=40.0),
        Goal("ardusub_small, repeated", "ratio", DATAFLASH, "pymavlink", at_least=40.0),
        Goal("pyulog_sample", "ratio", ULOG, "pyulog", at_least=1.0),
    ),
)
