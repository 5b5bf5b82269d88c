"""UAVReaders: its compiled generator of packets."""

import pathlib
from collections import Counter
from collections.abc import Callable

from UAVReaders import data_flash_reader, mavlink_reader

LABEL = "UAVReaders"


def decode_tlog(path: pathlib.Path) -> Callable[[], Counter[str]]:
    """Read every packet of a telemetry log, and count them by name."""
    return lambda: Counter(packet.name for packet in mavlink_reader(str(path))())


def decode_dataflash(path: pathlib.Path) -> Callable[[], Counter[str]]:
    """Read every packet of an on-board log, and count them by name."""
    return lambda: Counter(packet.name for packet in data_flash_reader(str(path))())
