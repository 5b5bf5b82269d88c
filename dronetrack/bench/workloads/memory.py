"""How much memory does decoding take at its peak? In a process of its own, over what it needs for almost nothing."""

import importlib.resources
import pathlib
import subprocess
import sys
from collections.abc import Iterator

from dronetrack.bench.workload import Case, Goal, Setting, Workload

LOG = "sitl/sitl_run1_copter_rover_border.tlog"
# The first call pays for imports, tables and compiled code; what the second adds is the log's.
WHOLE = """
import pathlib, resource, sys
from dronetrack.bench.workloads.decode import decoded
content = pathlib.Path(sys.argv[1]).read_bytes()
decoded(content[:20_000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kept = decoded(content)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def _peak_of_file(program: str, path: pathlib.Path) -> float:
    out = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True
    ).stdout
    return int(out) / path.stat().st_size


def _cases(setting: Setting) -> Iterator[Case]:
    demo = pathlib.Path(str(importlib.resources.files("dronetrack") / "data" / "demo" / "hu_drone.tlog"))
    path = setting.file(LOG) or demo
    yield Case("decode a log to columns", figures={"peak_of_file": _peak_of_file(WHOLE, path)})


WORKLOAD = Workload(
    "memory",
    "How much memory does decoding take at its peak, as a multiple of the file?",
    "runs/s",
    _cases,
    goals=(Goal("decode a log to columns", "figure", "peak_of_file", at_most=3.0),),
)
