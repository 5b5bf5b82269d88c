"""How much memory does decoding take at its peak? In a process of its own, over what it needs for almost nothing."""

import importlib.resources
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from dronetrack.bench.workload import Case, Goal, Setting, Workload

ENOUGH_BYTES = 40_000_000
# The first call pays for imports, tables and compiled code; what the second adds is the log's.
PROGRAM = """
import pathlib, sys
from dronetrack.mavlink import read_batches, read_frames, read_messages

def highest_kb():
    # Not ru_maxrss: a process begins with the one of its parent.
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

def pieces(path, **options):
    return sum(len(values) for batch in read_batches(path, **options) for values, _ in batch.tables().values())

jobs = {"wire": lambda path: read_frames(path).tables(), "si": read_messages, "pieces": pieces}
few, path = sys.argv[2:]
job = jobs[sys.argv[1]]
kept = job(few)
before = highest_kb()
kept = job(path)
print(1024 * (highest_kb() - before))
"""
WAYS = {"wire": "peak_of_file", "si": "peak_in_si_units_of_file", "pieces": "peak_by_pieces_of_file"}


def _peak_bytes(which: str, few: pathlib.Path, path: pathlib.Path) -> int:
    command = [sys.executable, "-c", PROGRAM, which, str(few), str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - ourselves


def _cases(setting: Setting) -> Iterator[Case]:
    if not pathlib.Path("/proc/self/status").exists():
        return
    content = (importlib.resources.files("dronetrack") / "data" / "demo" / "hu_drone.tlog").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        few, path = pathlib.Path(folder) / "few.tlog", pathlib.Path(folder) / "many.tlog"
        few.write_bytes(content[:20_000])
        path.write_bytes(content * (setting.size(4, 1) * ENOUGH_BYTES // len(content)))
        size = path.stat().st_size
        yield Case(
            "a log of many flights",
            figures={name: _peak_bytes(which, few, path) / size for which, name in WAYS.items()},
        )


WORKLOAD = Workload(
    "memory",
    "How much memory does decoding take at its peak, as a multiple of the file?",
    "runs/s",
    _cases,
    goals=(
        Goal("a log of many flights", "figure", "peak_of_file", at_most=3.0),
        Goal("a log of many flights", "figure", "peak_in_si_units_of_file", at_most=3.0),
    ),
)
