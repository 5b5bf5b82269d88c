"""Time several ways of one job in turn (A B A B), and print medians, spreads and ratios."""

import statistics
import time
from collections.abc import Callable, Mapping

import numba
import numpy as np


def in_turn(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each job, each round after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(seconds: Mapping[str, list[float]], amount: Mapping[str, float], unit: str, ours: str) -> None:
    """Print a row for each job: median, spread, rate, and how many times slower it is than ours."""
    rate = {name: amount[name] / statistics.median(runs) for name, runs in seconds.items()}
    print(f"{'':34s} {'median s':>10s} {'min..max s':>19s} {unit:>12s} {'ours is':>10s}")
    for name, runs in seconds.items():
        spread = f"{min(runs):.4f}..{max(runs):.4f}"
        times = f"{rate[ours] / rate[name]:.3g}x" if name != ours else ""
        print(f"{name:34s} {statistics.median(runs):10.4f} {spread:>19s} {rate[name]:12,.4g} {times:>10s}")


def versions() -> str:
    """Which numbers these are of."""
    return f"numpy {np.__version__}, numba {numba.__version__}"
