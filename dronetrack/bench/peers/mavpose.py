"""mavpose: `mavpose.load`, which reads every message into a table in physical units."""

import logging
import pathlib
from collections.abc import Callable

import mavpose

LABEL = "mavpose"


def decode_tlog(path: pathlib.Path) -> Callable[[], dict[str, int]]:
    """Read a log into tables, and count their rows."""
    logging.getLogger("mavpose").setLevel(logging.ERROR)

    def solve() -> dict[str, int]:
        log = mavpose.load(str(path))
        # Frames with an unknown number are no messages; it makes tables of them.
        return {name: len(log[name]) for name in log.messages() if not name.startswith("UNKNOWN_")}

    return solve


decode_dataflash = decode_ulog = decode_tlog
