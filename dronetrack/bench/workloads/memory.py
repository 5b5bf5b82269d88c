"""How much memory does decoding take at its peak? In a process of its own, over what it needs for almost nothing.

A log that does not fit is decoded by pieces: of 2 GB it takes no more than of a tenth of it.
"""

import importlib.resources
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from dronetrack.bench.workload import Case, Goal, Setting, Workload
from dronetrack.mavlink import read_messages

ENOUGH_BYTES = 40_000_000
LARGE_BYTES, QUICK_LARGE_BYTES = 2_000_000_000, 400_000_000
MORE_MB = 10.0  # of 1,800 MB that are read more: an allocator keeps one piece or another
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
            causes={"peak_in_si_units_of_file": lambda: _columns_of(path)},
        )
        yield _large(content, few, path, setting.size(LARGE_BYTES, QUICK_LARGE_BYTES))


def _columns_of(path: pathlib.Path) -> dict[str, str]:
    """Say what of the peak in SI units is the answer itself."""
    tables = read_messages(path).values()
    kept = sum(column.nbytes for table in tables for column in table.values() if isinstance(column, np.ndarray))
    size = path.stat().st_size
    words = (
        f"The columns themselves are {kept / size:.2f} times the file, beside what decoding in the wire's types takes."
    )
    return {"words": words}


def _large(content: bytes, few: pathlib.Path, path: pathlib.Path, enough: int) -> Case:
    """Make a log of that size, and decode a tenth of it, then all."""
    peaks_mb = []
    for size in (enough // 10, enough):
        with path.open("wb") as file:
            for _ in range(-(-size // len(content))):
                file.write(content)
        peaks_mb.append(1e-6 * _peak_bytes("pieces", few, path))
    figures = {"log_gb": 1e-9 * path.stat().st_size, "peak_mb": peaks_mb[1]}
    path.unlink()
    return Case("a log of 2 GB, by pieces", figures=figures | {"more_than_of_a_tenth_mb": peaks_mb[1] - peaks_mb[0]})


WORKLOAD = Workload(
    "memory",
    "How much memory does decoding take at its peak, as a multiple of the file?",
    "runs/s",
    _cases,
    goals=(
        Goal("a log of many flights", "figure", "peak_of_file", at_most=3.0),
        Goal("a log of many flights", "figure", "peak_in_si_units_of_file", at_most=3.0),
        Goal("a log of 2 GB, by pieces", "figure", "more_than_of_a_tenth_mb", at_most=MORE_MB),
    ),
)
