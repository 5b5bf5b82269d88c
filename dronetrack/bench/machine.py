"""On what, of what, was it measured? Machine, versions and commit, so that a number can be understood later."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

import dronetrack
from dronetrack.bench.peers import peer_versions

LIBRARIES = ("numpy", "scipy", "numba", "pyarrow")


def machine() -> dict[str, str | int | float]:
    """Return what runs this: processor, cores that we may use, memory, system, and how busy it is now."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gb": round(_memory_bytes() / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0,
    }


def versions() -> dict[str, str]:
    """Return versions: ours, of what we stand on, and of every peer that is installed."""
    ours = {"dronetrack": dronetrack.__version__}
    return ours | {name: importlib.metadata.version(name) for name in LIBRARIES} | peer_versions()


def commit() -> str:
    """Return the commit of the working copy that runs, with ``+`` if it was changed; empty for an installed package."""
    folder = pathlib.Path(dronetrack.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - ours

    try:
        if not git("ls-files", "__init__.py"):
            return ""
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    if sys.platform == "linux":
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
