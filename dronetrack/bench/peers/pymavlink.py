"""pymavlink: `mavutil` and its `recv_msg` loop for telemetry logs, `DFReader` for on-board logs."""

import contextlib
import io
import pathlib
from collections import Counter
from collections.abc import Callable

from pymavlink import DFReader, mavutil
from pymavlink.dialects.v20 import all as dialect

LABEL = "pymavlink"


def decode_tlog(path: pathlib.Path) -> Callable[[], Counter[str]]:
    """Decode every message, and count them by name: nothing is kept, which is its fastest."""

    def solve() -> Counter[str]:
        link = mavutil.mavlink_connection(str(path), dialect="all", robust_parsing=True)
        found: Counter[str] = Counter()
        while (message := link.recv_msg()) is not None:
            if message.get_msgId() in dialect.mavlink_map:
                found[message.get_type()] += 1
        link.close()
        return found

    return solve


def decode_dataflash(path: pathlib.Path) -> Callable[[], Counter[str]]:
    """Decode every record of an on-board log, and count them by name."""

    def solve() -> Counter[str]:
        found: Counter[str] = Counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            log = DFReader.DFReader_binary(str(path))
            while (record := log.recv_msg()) is not None:
                found[record.get_type()] += 1
            log.close()
        return found

    return solve
