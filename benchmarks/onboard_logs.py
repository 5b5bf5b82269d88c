"""How fast are on-board logs decoded to columns of every record? Beside DFReader, pyulog and memcpy, and as exact.

python benchmarks/onboard_logs.py [log.bin | log.ulg ...]

Without logs, a DataFlash log is written for the occasion. Small ones are repeated to 30 MB, as appended flights would
be. Every log is first compared record for record and field for field with its peer.
"""

import contextlib
import importlib.util
import io
import pathlib
import struct
import sys
import tempfile

import numpy as np
from timing import in_turn, left_out, table, versions

from dronetrack.mavlink.content import read_content
from dronetrack.mavlink.dataflash import read_dataflash
from dronetrack.mavlink.ulog import read_ulog

ENOUGH_BYTES = 30_000_000
HEAD = b"\xa3\x95"


def dfreader(path):
    """Every record of a log, with its elements unpacked, as DFReader gives them."""
    from pymavlink.DFReader import DFReader_binary

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        log = DFReader_binary(str(path))
        rows = {}
        while (record := log.recv_msg()) is not None:
            rows.setdefault(record.fmt.name, []).append(record._elements)  # noqa: SLF001 - as stored
        log.close()
    return rows


def all_columns(path):
    """Every record of a log as columns in physical units."""
    log = read_dataflash(path)
    return {name: log.columns(name) for name in log.records}


def compare_dataflash(path):
    """Raise unless every stored field of every record is the same in both; return the number of records."""
    log, theirs = read_dataflash(path), dfreader(path)
    assert log.counts == {name: len(rows) for name, rows in theirs.items()}, "the two readers count otherwise"
    for name, rows in theirs.items():
        stored = log.records[name]
        for column, values in zip(stored.dtype.names, zip(*rows, strict=True), strict=True):
            kind = stored.dtype[column]
            if kind.kind == "S":
                same = [one.rstrip(b"\0") for one in values] == stored[column].tolist()
            else:
                expected = np.array(values, dtype=kind.base).reshape(stored[column].shape)
                same = np.array_equal(stored[column], expected, equal_nan=kind.base.kind == "f")
            assert same, f"{name}.{column} differs"
    return log.stats["records"]


def tiled(content):
    """Repeat a log until it is long enough to time."""
    return content * max(1, -(-ENOUGH_BYTES // len(content)))


def written():
    """Return a log of three messages, for where there is none."""
    columns = {
        "GPS": (200, "QBIHLLe", "TimeUS,Status,GMS,GWk,Lat,Lng,Alt"),
        "IMU": (201, "Qffffff", "TimeUS,A,B,C,D,E,F"),
    }
    columns["ATT"] = (202, "QccC", "TimeUS,Roll,Pitch,Yaw")
    sizes = {"c": "h", "C": "H", "e": "i", "L": "i"}
    packing = {name: "<" + "".join(sizes.get(one, one) for one in codes) for name, (_, codes, _) in columns.items()}
    fmt = struct.Struct("<BB4s16s64s")
    parts = [HEAD + b"\x80" + fmt.pack(128, 89, b"FMT", b"BBnNZ", b"Type,Length,Name,Format,Columns")]
    for name, (identity, codes, names) in columns.items():
        length = 3 + struct.calcsize(packing[name])
        parts.append(HEAD + b"\x80" + fmt.pack(identity, length, name.encode(), codes.encode(), names.encode()))
    for row in range(60_000):
        parts.append(HEAD + bytes([200]) + struct.pack(packing["GPS"], row, 3, row, 2400, 10**8 + row, 10**8, 8400))
        parts += [HEAD + bytes([201]) + struct.pack(packing["IMU"], row, *range(6))] * 4
        parts.append(HEAD + bytes([202]) + struct.pack(packing["ATT"], row, 5, -5, 900))
    return b"".join(parts)


def time_dataflash(name, content):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "log.bin"
        path.write_bytes(tiled(content))
        records = compare_dataflash(path)
        megabytes = path.stat().st_size / 1e6
        print(f"\n{name}: {megabytes:.1f} MB, {records:,} records, every field the same in both  ({versions()})")
        data = np.fromfile(path, dtype=np.uint8)
        seconds = in_turn(
            {
                "dronetrack, all columns": lambda: all_columns(path),
                "dronetrack, records as stored": lambda: read_dataflash(path),
                "dronetrack, GPS and ATT": lambda: read_dataflash(path, ["GPS", "ATT"]),
                "DFReader, all records": lambda: dfreader(path),
                "limit: memcpy": data.copy,
            },
            rounds=3,
        )
        table(seconds, dict.fromkeys(seconds, megabytes), "MB/s", "dronetrack, all columns")


def compare_ulog(content):
    """Raise unless every field of every topic is the same as pyulog's; return the number of messages."""
    from pyulog import ULog

    log = read_ulog(content)
    for one in ULog(io.BytesIO(content)).data_list:
        ours = {}
        for name, values in log.columns(one.name, one.multi_id).items():
            text = values.dtype.kind == "S"
            wide = np.frombuffer(values.tobytes(), dtype=np.int8).reshape(len(values), -1) if text else values
            ours |= {name: wide} if wide.ndim == 1 else {f"{name}[{k}]": part for k, part in enumerate(wide.T)}
        for name, values in one.data.items():
            same = np.array_equal(ours[name], values, equal_nan=values.dtype.kind == "f")
            assert same, f"{one.name}.{name} differs"
    return log.stats["records"]


def time_ulog(name, content):
    from pyulog import ULog

    records = compare_ulog(content)
    print(f"\n{name}: {len(content) / 1e6:.2f} MB, {records:,} messages, every field the same in both  ({versions()})")

    def ours():
        log = read_ulog(content)
        return [log.columns(*key) for key in log.topics]

    data = np.frombuffer(content, dtype=np.uint8)
    jobs = {"dronetrack, all topics": ours, "pyulog": lambda: ULog(io.BytesIO(content)), "limit: memcpy": data.copy}
    seconds = in_turn(jobs, rounds=5)
    table(seconds, dict.fromkeys(seconds, len(content) / 1e6), "MB/s", "dronetrack, all topics")


def main(paths):
    if not paths:
        time_dataflash("a log written for the occasion", written())
    for path in paths:
        content = read_content(path)
        if content.kind == "dataflash":
            time_dataflash(path.name, content.data.tobytes())
        elif content.kind == "ulog" and importlib.util.find_spec("pyulog"):
            time_ulog(path.name, content.data.tobytes())
        else:
            left_out("pyulog") if content.kind == "ulog" else print(f"{path.name}: {content.kind}, left out")


if __name__ == "__main__":
    main([pathlib.Path(one) for one in sys.argv[1:]])
