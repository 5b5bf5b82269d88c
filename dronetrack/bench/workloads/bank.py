"""How fast is a bank of independent targets? Positions in three dimensions, from one target to a million.

A step is one predict and one update of one target. The targets move as the model says, so the error must be what the
covariance promises. The largest bank is beside the memory that must move, on all cores; the others use one core.
"""

import itertools
import os
from collections.abc import Iterator

import numpy as np

from dronetrack.bank import TargetBank
from dronetrack.bench import limits
from dronetrack.bench.problems import MOTION, STEP_US, Drives, Floats, consistency, draw_drives
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload, peer_job

OURS = "dronetrack.TargetBank"
TOLERANCE = {"mean": (0.0, 1e-5), "cov": (1e-7, 1e-7)}
# What is enough for a peer: targets and steps.
SLOW, BATCHED = (4, 250), (10_000, 20)
PEERS = {
    "filterpy": SLOW,
    "stonesoup": (1, 100),
    "gri_kalman": (1, 200),
    "simdkalman": BATCHED,
    "kalbee": BATCHED,
    "dynamax": BATCHED,
    "torch_kf": (10_000, 5),
}
# State, covariance and clock in and out, z in, NIS, determinant and count out.
BYTES_PER_STEP = 8 * (2 * (27 + 1) + 3 + 3)


def filtered(problem: Drives, n_threads: int = 1) -> tuple[Floats, Floats]:
    """Our answer to the problem."""
    bank = TargetBank(problem.mean, problem.cov, 0, motion=MOTION, n_threads=n_threads)
    for k, when in enumerate(problem.time_us):
        bank.update(int(when), position=np.ascontiguousarray(problem.z[:, k]), cov=problem.R)
    return bank.mean.copy(), bank.cov


def _ours(problem: Drives) -> Job:
    """All steps of all targets by a bank that lives on from run to run, as a live feed makes it."""
    rows = np.ascontiguousarray(problem.z.transpose(1, 0, 2))
    bank = TargetBank(problem.mean, problem.cov, 0, motion=MOTION, n_threads=1)
    clock = itertools.count(STEP_US, STEP_US)

    def run() -> None:
        for z in rows:
            bank.update(next(clock), position=z, cov=problem.R)

    run()
    several = len(problem.mean) > 1
    accuracy = consistency(bank.mean, bank.cov, problem.truth[:, -1]) if several else {}
    return Job(run, problem.amount, "ours", accuracy=accuracy)


def _cases(setting: Setting) -> Iterator[Case]:
    for n, steps in ((1, 1_000), (100, 500), (10_000, 60)):
        problem = draw_drives(n, setting.size(steps, min(steps, 200)), setting.rng())
        jobs = {OURS: _ours(problem)}
        for name, peer in setting.peers.items():
            part = problem.part(*PEERS[name])
            mean, cov = filtered(part)
            jobs[peer.LABEL] = peer_job(peer, peer.filter_drives(part), part.amount, mean=mean, cov=cov)
        jobs["limit: copy the states each step"] = limits.copy_of([np.zeros((28, n))], n * 100, 100)
        yield Case("1 target" if n == 1 else f"{n:,} targets", jobs, float(n), TOLERANCE)
    yield _million(setting, setting.size(1_000_000, 200_000))


def _million(setting: Setting, n: int) -> Case:
    problem = draw_drives(n, 1, setting.rng())
    threads = os.cpu_count() or 1
    z = problem.z[:, 0].copy()
    bank, serial = (TargetBank(problem.mean, problem.cov, 0, motion=MOTION, n_threads=some) for some in (threads, 1))
    for one in (bank, serial):
        one.update(STEP_US, position=z, cov=problem.R)
    same = float(bank.mean.tobytes() == serial.mean.tobytes())
    clock = itertools.count(2 * STEP_US, STEP_US)

    def run() -> None:
        bank.update(next(clock), position=z, cov=problem.R)

    moved_gb = 1e-9 * BYTES_PER_STEP * n
    jobs = {
        OURS: Job(run, moved_gb, "ours", clock="wall"),
        "limit: triad": limits.triad(threads, setting.size(24_000_000, 8_000_000)),
    }
    return Case(
        "a million targets" if n == 1_000_000 else "many targets",
        jobs,
        figures={"same_bits_as_one_thread": same},
        unit="GB/s",
    )


WORKLOAD = Workload(
    "bank",
    "How fast is a bank of independent targets filtered, six states, positions in space, one core?",
    "steps/s",
    _cases,
    peers=tuple(PEERS),
    goals=(
        Goal(
            "100 targets",
            "ratio",
            OURS,
            "filterpy",
            at_least=300.0,
            why="A step of so few targets is short, and the checks around the kernel cost the same for any number.",
        ),
        Goal("10,000 targets", "ratio", OURS, "filterpy", at_least=500.0),
        Goal("10,000 targets", "ratio", OURS, "simdkalman", at_least=40.0),
        Goal("a million targets", "share", OURS, "limit: triad", at_least=0.35),
    ),
)
