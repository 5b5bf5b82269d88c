"""Time several ways of one job in turn (A B A B), and print medians, spreads and ratios."""

import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

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


def left_out(peer: str) -> None:
    """Say that a peer is not measured."""
    print(f"{peer} is not installed: left out")


@numba.njit(nogil=True)
def _triad(a, b, c, factor):
    for i in range(a.shape[0]):
        a[i] = b[i] + factor * c[i]


def triad(threads: int, n: int = 24_000_000) -> tuple[Callable[[], object], float]:
    """STREAM's triad, the usual measure of what the memory can do (McCalpin 1995): a job, and the bytes it moves."""
    a, b, c = np.zeros(n), np.ones(n), np.ones(n)
    parts = [slice(k * n // threads, (k + 1) * n // threads) for k in range(threads)]
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda part: _triad(a[part], b[part], c[part], 2.0), parts)), 24.0 * n
