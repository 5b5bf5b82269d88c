"""How long until something happens? Import, the demo as a whole process, and compiling; each in processes of its own.

The floor is what the libraries underneath take. A fresh cache folder makes numba compile; a second run loads from it.
"""

import importlib.util
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload

README = pathlib.Path(__file__).parents[3] / "README.md"
DEMO = "dronetrack demo"
LIBRARIES = "import numpy, numba, scipy.special, pyarrow.parquet, gpxpy, pynmea2, rich.console"
EVERYTHING = "import dronetrack; dronetrack.warm_up()"
WARM = """
import resource, time
import dronetrack
start = time.perf_counter()
dronetrack.warm_up()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(time.perf_counter() - start, sum(one.ru_utime + one.ru_stime for one in used))
"""
# Who compiles whom is nested: the time of a kernel includes what it calls for the first time.
COMPILING = """
import json, time
import dronetrack
from numba.core import event
with event.install_recorder("numba:compile") as seen:
    start = time.perf_counter()
    dronetrack.warm_up(n_processes=1)
    whole = time.perf_counter() - start
begun, rows = {}, []
for when, one in seen.buffer:
    name = one.data["dispatcher"].py_func.__qualname__
    if one.is_start:
        begun.setdefault(name, []).append(when)
    else:
        rows.append((when - begun[name].pop(), name))
print(json.dumps([whole, rows]))
"""

# What is imported here is what warm_up would import; what it loads from the disk is timed kernel by kernel.
LOADING = """
import json, time
import dronetrack
start = time.perf_counter()
import numba, scipy.linalg, scipy.special
libraries = time.perf_counter() - start
from dronetrack.kernels.loading import KernelCache
load, rows = KernelCache.load_overload, []
def timed(cache, *arguments):
    begun = time.perf_counter()
    try:
        return load(cache, *arguments)
    finally:
        rows.append((time.perf_counter() - begun, cache._py_func.__name__))
KernelCache.load_overload = timed
dronetrack.warm_up()
print(json.dumps([time.perf_counter() - start, libraries, rows]))
"""


def _python(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Python that may keep its bytecode: an installed library has it, and compiles no source at a start."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env={**kept, **(environment or {})}
    )


def _cases(setting: Setting) -> Iterator[Case]:
    _python("-c", EVERYTHING)  # untimed: this run leaves bytecode where there is none
    yield Case("import", figures=_import_ms())
    with tempfile.TemporaryDirectory() as folder:
        libraries = LIBRARIES + (", matplotlib.figure" if importlib.util.find_spec("matplotlib") else "")
        jobs = {
            DEMO: Job(lambda: _python("-m", "dronetrack", "demo", "-o", folder), 1.0, "ours", clock="wall"),
            "limit: import the libraries": Job(lambda: _python("-c", libraries), 1.0, "limit", clock="wall"),
            "limit: start Python": Job(lambda: _python("-c", "pass"), 1.0, "limit", clock="wall"),
        }
        yield Case("second demo", jobs)
    if not setting.quick:
        command = _first_command()
        if command:
            yield Case("the README's first command", figures=_first_command_s(command))
        yield Case("compile", figures=_compile_s(), causes={"cold_s": _compiling, "from_cache_s": _loading})


def _first_command() -> str:
    """Return how the README sets the library up; empty where this is no working copy."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    found = re.search(r"<!-- command 1 -->\n```sh\n(.*?)\n```", text, re.DOTALL)
    return found[1].replace("python3", shlex.quote(sys.executable), 1) if found else ""


def _first_command_s(command: str) -> dict[str, float]:
    """Seconds that a newcomer waits: a fresh environment, packages from the cache of pip, the demo with its compiling.

    A run before, which stops short of the demo, downloads the packages; nothing where they cannot be had.
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryDirectory() as folder:
        for part in (command.rpartition("&&")[0], command):
            copy = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "dronetrack"
            shutil.copytree(README.parent, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "results*"))
            start = time.perf_counter()
            done = subprocess.run(part, shell=True, check=False, capture_output=True, cwd=copy, env=plain)  # noqa: S602 - the README's
            if done.returncode:
                return {}
    return {"took_s": time.perf_counter() - start}


def _import_ms() -> dict[str, float]:
    """Milliseconds that importing takes, by Python's own count, the best of five."""
    runs = []
    for _ in range(5):
        lines = _python("-X", "importtime", "-c", "import numpy, dronetrack").stderr.splitlines()
        last = {
            name: float(re.split(r"[:|]", line)[2]) / 1e3
            for line in lines
            for name in ("numpy", "dronetrack")
            if line.endswith(f" {name}")
        }
        runs.append(last)
    return {f"{name}_ms": min(run[name] for run in runs) for name in ("numpy", "dronetrack")}


def _compile_s() -> dict[str, float]:
    """Seconds to compile every room in an empty cache, and to load it again, by the wall and of processor time."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for which in ("cold", "from_cache"):
            out = _python("-c", WARM, environment={"NUMBA_CACHE_DIR": folder}).stdout
            found[f"{which}_s"], found[f"{which}_cpu_s"] = map(float, out.split())
    return found


def _compiling() -> dict[str, Any]:
    """Profile what compiles in an empty cache, in one process: which kernels take the time."""
    with tempfile.TemporaryDirectory() as folder:
        whole, rows = json.loads(_python("-c", COMPILING, environment={"NUMBA_CACHE_DIR": folder}).stdout)
    rows = sorted(rows, reverse=True)[:8]
    top = [
        {"where": f"compile {name}", "share": took / whole, "own_share": took / whole, "calls": 1}
        for took, name in rows
    ]
    most = ", ".join(f"{name} {took:.1f} s" for took, name in rows[:4])
    return {"words": f"In one process {whole:.0f} s, most of it for {most}, what they call included.", "top": top}


def _loading() -> dict[str, Any]:
    """Profile what loads from a cache that is full: the libraries, and the machine code of each kernel."""
    with tempfile.TemporaryDirectory() as folder:
        _, again = (_python("-c", LOADING, environment={"NUMBA_CACHE_DIR": folder}) for _ in range(2))
    whole, libraries, rows = json.loads(again.stdout)
    code = sum(took for took, _ in rows)
    rows = [(libraries, "import numba, scipy"), *((took, f"load {name}") for took, name in sorted(rows, reverse=True))]
    top = [{"where": name, "share": took / whole, "own_share": took / whole, "calls": 1} for took, name in rows[:8]]
    words = f"Of {whole:.2f} s, importing numba and scipy takes {libraries:.2f} s and loading the machine code of "
    words += f"{len(rows) - 1} kernels {code:.2f} s; the rest is our own modules, the data that ships, and Python."
    return {"words": words, "top": top}


WORKLOAD = Workload(
    "start",
    "How long do import, the demo as a whole process, and compiling take?",
    "runs/s",
    _cases,
    goals=(
        Goal("import", "figure", "dronetrack_ms", at_most=250.0),
        Goal("the README's first command", "figure", "took_s", at_most=90.0),
        Goal("second demo", "seconds", DEMO, at_most=3.0),
        Goal("compile", "figure", "cold_s", at_most=20.0),
        Goal("compile", "figure", "from_cache_s", at_most=1.0),
    ),
)  # fmt: skip
