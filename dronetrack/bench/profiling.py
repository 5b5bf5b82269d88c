"""Where does the time go? A job run once more under the profiler, its kernels told from the Python around them.

The functions with the largest share are cProfile's. It slows Python and not kernels, and from Python 3.12 on it does
not see these, so shares of both come from a run of their own, in which a stopwatch stands in the place of each kernel.
What of the processor's time is in kernels, in the system and in Python, what is waiting, and how fast arrays pass
through the kernels beside what the memory gives, say together which limit the job runs into.
"""

import contextlib
import cProfile
import functools
import os
import pathlib
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dronetrack.bench import limits

Document = dict[str, Any]

LONG_ENOUGH_S, MOST_TIMES = 0.5, 10_000  # the system counts its time in hundredths of a second
HALF, LARGE, LITTLE = 0.5, 0.3, 0.01
SHOWN = 8
HERE = pathlib.Path(__file__).parent
KERNELS = HERE.parent / "kernels"


@dataclass(slots=True)
class Stopwatch:
    """What one kernel took."""

    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """What some runs took, by the wall and of the processor, in this process and those that it waited for. [s]"""

    wall: float
    user: float
    system: float

    @property
    def cpu(self) -> float:
        """Of the processor, in all. [s]"""
        return max(self.user + self.system, 1e-9)


def profile(run: Callable[[], object], *, waits: bool = True) -> Document:
    """Say where the time of a job goes.

    Parameters
    ----------
    run : callable
        Does it once, warm.
    waits : bool, optional
        Whether waiting is its own: not for what is timed by the processor, which waits for others only.

    Returns
    -------
    dict
        ``kernel_share``, ``system_share`` and ``python_share`` of the processor's time; ``waiting_share`` of the
        wall's; ``kernels``, by name their ``share``, ``calls`` of a run, and ``gb_per_s`` of arrays that go in;
        ``top``, the functions with the largest share, what they call included; ``limit``, and all of it in ``words``.
    """
    start = time.perf_counter()
    run()
    times = min(max(1, int(LONG_ENOUGH_S / max(time.perf_counter() - start, 1e-7))), MOST_TIMES)
    with _stopwatches() as kernels:
        before = _now()
        for _ in range(times):
            run()
        after = _now()
    spent = Spent(*(b - a for a, b in zip(before, after, strict=True)))
    found = _told(spent, kernels, times, waits=waits)
    return found | {"top": _top(run, found["kernels"])}


def _told(spent: Spent, kernels: dict[str, Stopwatch], times: int, *, waits: bool) -> Document:
    compiled_s = sum(one.seconds for one in kernels.values())
    found: Document = {
        # What the system does for a kernel, such as giving it memory that it touches first, is the system's.
        "kernel_share": max(0.0, min(compiled_s / spent.cpu, 1.0 - spent.system / spent.cpu)),
        "system_share": spent.system / spent.cpu,
        "waiting_share": max(0.0, 1.0 - spent.cpu / spent.wall) if waits else 0.0,
        "kernels": {
            name: {
                "share": one.seconds / spent.cpu, "calls": one.calls / times, "gb_per_s": 1e-9 * one.bytes / one.seconds
            }
            for name, one in sorted(kernels.items(), key=lambda item: -item[1].seconds) if one.seconds > 0.0
        },
    }  # fmt: skip
    found["python_share"] = max(0.0, 1.0 - found["kernel_share"] - found["system_share"])
    found["memory_share"] = (
        1e-9 * sum(one.bytes for one in kernels.values()) / max(compiled_s, 1e-9) / _triad_gb_per_s()
    )
    return found | limit_of(found)


def limit_of(found: Document) -> dict[str, str]:
    """Say which limit a job runs into.

    Parameters
    ----------
    found : dict
        Of a profile: the shares and ``kernels``.

    Returns
    -------
    dict of str to str
        ``limit`` and ``words``.

    Examples
    --------
    >>> shares = {"kernel_share": 0.9, "system_share": 0.02, "python_share": 0.08, "waiting_share": 0.0}
    >>> kernels = {"smooth_rows": {"share": 0.9, "calls": 1.0, "gb_per_s": 1.5}}
    >>> limit_of(shares | {"kernels": kernels, "memory_share": 0.1})["limit"]
    'arithmetic'
    """
    largest = next(iter(found["kernels"]), "")
    shares = f"kernels {found['kernel_share']:.0%}, Python {found['python_share']:.0%}"
    shares += f", system calls {found['system_share']:.0%} of the processor's time"
    if found["waiting_share"] > LARGE:
        return {"limit": "waiting", "words": f"{found['waiting_share']:.0%} of the time is waiting; {shares}."}
    if found["system_share"] > LARGE:
        return {"limit": "system calls", "words": f"System calls limit it: {shares}."}
    if found["kernel_share"] < HALF:
        return {"limit": "Python", "words": f"What stands around the kernels limits it: {shares}."}
    if found["memory_share"] >= LITTLE:
        shares += f"; arrays pass through {largest} at {found['kernels'][largest]['gb_per_s']:.2g} GB/s, "
        shares += f"{found['memory_share']:.0%} of what the memory gives one core"
    if found["memory_share"] > HALF:
        return {"limit": "memory bandwidth", "words": f"Memory limits it: {shares}."}
    return {"limit": "arithmetic", "words": f"Arithmetic limits it: {shares}."}


@contextlib.contextmanager
def _stopwatches() -> Iterator[dict[str, Stopwatch]]:
    """Put a stopwatch in the place of each kernel, wherever a module of ours holds it by a name or in a table."""
    from numba.core.dispatcher import Dispatcher

    watches: dict[str, Stopwatch] = {}
    put: list[tuple[Any, Any, Any]] = []
    for place in list(_places()):
        for key, value in list(place.items()):
            if isinstance(value, Dispatcher):
                put.append((place, key, value))
                place[key] = _watched(value, watches.setdefault(value.py_func.__name__, Stopwatch()))
    try:
        yield watches
    finally:
        for place, key, value in put:
            place[key] = value


def _places() -> Iterator[dict]:
    modules = [one for name, one in list(sys.modules.items()) if name.startswith("dronetrack.") and one is not None]
    for module in modules:
        yield vars(module)
        yield from (value for value in vars(module).values() if type(value) is dict)


def _watched(kernel: Callable[..., Any], watch: Stopwatch) -> Callable[..., Any]:
    """Return what calls a kernel, and counts."""

    def stopped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - of any kernel
        start = time.thread_time()
        result = kernel(*arguments, **named)
        watch.seconds += time.thread_time() - start
        watch.calls += 1
        watch.bytes += sum(_array_bytes(one) for one in arguments)
        return result

    return stopped


def _array_bytes(argument: object) -> int:
    """Bytes of an array, or of all arrays in a named tuple of them."""
    if isinstance(argument, tuple):
        return sum(_array_bytes(one) for one in argument)
    return argument.nbytes if isinstance(argument, np.ndarray) else 0


def busiest(run: Callable[[], object]) -> list[Document]:
    """Return which functions spend most of the processor's time in the thread that runs; what waits spends none.

    Parameters
    ----------
    run : callable
        Does it once.

    Returns
    -------
    list of dict
        As ``top`` of `profile`; kernels count where they are called.
    """
    return _top(run, {}, time.thread_time)


def _top(
    run: Callable[[], object], kernels: dict[str, Document], timer: Callable[[], float] = time.perf_counter
) -> list[Document]:
    """Run once under cProfile, and return what has the largest share, functions with what they call."""
    profiler = cProfile.Profile(timer)
    profiler.enable()
    run()
    profiler.disable()
    stats = pstats.Stats(profiler)
    whole = max(stats.total_tt, 1e-12)  # type: ignore[attr-defined]
    rows = [
        {"where": where, "share": row[3] / whole, "own_share": row[2] / whole, "calls": row[1]}
        for place, row in stats.stats.items() if (where := _where(place))  # type: ignore[attr-defined]
    ]  # fmt: skip
    rows += [
        {"where": f"kernel {name}", "share": one["share"], "own_share": one["share"], "calls": round(one["calls"])}
        for name, one in kernels.items()
    ]
    return sorted(rows, key=lambda row: -row["share"])[:SHOWN]


def _where(place: tuple[str, int, str]) -> str:
    """Write a place as a reader finds it; nothing for kernels and the benchmark's own frames."""
    file, line, name = place
    path = pathlib.Path(file)
    if path.is_relative_to(HERE) or path.is_relative_to(KERNELS) or "cProfile" in name or "_lsprof" in name:
        return ""
    if file == "~":
        return name
    short = path.relative_to(HERE.parent.parent) if path.is_relative_to(HERE.parent) else pathlib.Path(*path.parts[-2:])
    return f"{short.as_posix()}:{line} {name}"


def _now() -> tuple[float, float, float]:
    used = os.times()
    return time.perf_counter(), used.user + used.children_user, used.system + used.children_system


@functools.cache
def _triad_gb_per_s() -> float:
    """Return what the memory gives one core. [GB/s]"""
    job = limits.triad(1, 8_000_000)
    spent = []
    for _ in range(4):
        start = time.perf_counter()
        job.run()
        spent.append(time.perf_counter() - start)
    return job.amount / statistics.median(spent[1:])
