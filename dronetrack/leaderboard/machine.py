"""What runs this? Processor, cores, memory and system, so that a number can be understood later."""

import os
import pathlib
import platform
import sys


def machine() -> dict[str, str | int | float]:
    """Return what this machine is, and how busy it is now.

    Returns
    -------
    dict
        ``processor``, ``cores`` that this process may use, ``memory_gb``, ``system``, ``python``, and ``load``, the
        average of the last minute (-1 where the system keeps none).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gb": round(_memory_bytes() / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load": load(),
    }


def load() -> float:
    """Return how many processes wanted to run in the last minute; -1 where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1.0


def _processor() -> str:
    """Model of the processor; `platform.processor` knows it on macOS and Windows only."""
    about = pathlib.Path("/proc/cpuinfo")
    if sys.platform == "linux" and about.exists():
        for line in about.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
