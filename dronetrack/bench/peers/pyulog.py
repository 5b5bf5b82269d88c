"""pyulog: `ULog`, which reads every topic into columns."""

import pathlib
from collections.abc import Callable

from pyulog import ULog

LABEL = "pyulog"


def decode_ulog(path: pathlib.Path) -> Callable[[], dict[str, int]]:
    """Read a log, and count the rows of each topic."""

    def solve() -> dict[str, int]:
        topics = ULog(str(path)).data_list
        return {f"{one.name}[{one.multi_id}]": len(one.data["timestamp"]) for one in topics}

    return solve
