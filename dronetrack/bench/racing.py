"""Which way is how fast? Jobs run in turn (A B A B), in one process, after their answers were compared."""

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

from dronetrack.bench.workload import Case, Job, disagreement

SHORTEST_S = 0.004  # a job is repeated within a round until it takes this long: the clock itself costs 0.1 us
FEWEST_ROUNDS = 3
# From the fifth on, no further round is run once the middle half of every job's rounds lies within 2 % of its median.
ENOUGH_ROUNDS, SETTLED = 5, 0.02


@dataclass(frozen=True, slots=True)
class Race:
    """What came of a case.

    Parameters
    ----------
    wall_s, cpu_s : dict of str to list of float
        Seconds of one run of each job in each round: by the wall, and spent by this process.
    left_out : dict of str to str
        Jobs that were not timed, and why.
    """

    wall_s: dict[str, list[float]]
    cpu_s: dict[str, list[float]]
    left_out: dict[str, str]


def race(case: Case, rounds: int, budget_s: float = math.inf) -> Race:
    """Compare answers, then time the jobs in turn.

    Parameters
    ----------
    case : Case
        What to race.
    rounds : int
        How often each job is timed, after one time that does not count.
    budget_s : float, optional
        Fewer rounds are run, but three at the least, where all of them would take longer.

    Returns
    -------
    Race
        Seconds, and who was left out.
    """
    left_out, once_s = {}, {}
    for name, job in case.jobs.items():
        fault, seconds = _first_run(job, case)
        if fault:
            left_out[name] = fault
        else:
            once_s[name] = seconds
    jobs = {name: job for name, job in case.jobs.items() if name in once_s}
    repeats = {name: max(1, math.ceil(SHORTEST_S / max(seconds, 1e-7))) for name, seconds in once_s.items()}
    round_s = sum(max(SHORTEST_S, seconds) for seconds in once_s.values())
    affordable = budget_s / max(round_s, 1e-9)
    if affordable < rounds:
        rounds = min(rounds, max(FEWEST_ROUNDS, int(affordable)))
    wall_s, cpu_s = _in_turn(jobs, repeats, rounds)
    return Race(wall_s, cpu_s, left_out)


def _first_run(job: Job, case: Case) -> tuple[str, float]:
    """Run a job twice, the first to warm it up; say what is wrong with its answer, and how long the second took."""
    try:
        fault = disagreement(job, job.run(), case.tolerance)
        if fault and not job.excused:
            return f"wrong: {fault}", 0.0
        job.after()
        start = time.perf_counter()
        job.run()
        seconds = time.perf_counter() - start
        job.after()
    except Exception as fault:  # a peer that fails is reported, ours is mended
        if job.role != "peer":
            raise
        return f"failed: {type(fault).__name__}: {' '.join(str(fault).split())[:200]}", 0.0
    return "", seconds


def _in_turn(
    jobs: Mapping[str, Job], repeats: Mapping[str, int], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    wall_s: dict[str, list[float]] = {name: [] for name in jobs}
    cpu_s: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats[name]):
                job.run()
            wall_s[name].append((time.perf_counter() - wall) / repeats[name])
            cpu_s[name].append((time.process_time() - cpu) / repeats[name])
            job.after()
        clocks = {"wall": wall_s, "cpu": cpu_s}
        if all(_settled(clocks[job.clock][name]) for name, job in jobs.items()):
            break
    return wall_s, cpu_s


def _settled(seconds: list[float]) -> bool:
    """Whether more rounds would tell nothing new."""
    if len(seconds) < ENOUGH_ROUNDS:
        return False
    low, middle, high = statistics.quantiles(seconds)
    return high - low < SETTLED * middle


def speed_ratios(one_s: list[float], one_amount: float, other_s: list[float], other_amount: float) -> list[float]:
    """Say how many times as fast one is as the other, round by round, so that load falls out of it.

    Parameters
    ----------
    one_s, other_s : list of float
        Seconds of a run in each round. [s]
    one_amount, other_amount : float
        Work of a run.

    Returns
    -------
    list of float
        Rate of one over rate of the other.

    Examples
    --------
    >>> speed_ratios([1.0, 2.0, 1.0], 10.0, [2.0, 4.0, 9.0], 1.0)
    [20.0, 20.0, 90.0]
    """
    return [b / a * one_amount / other_amount for a, b in zip(one_s, other_s, strict=True)]
