"""How fast is one plain sequence of positions, and one live row? What the arithmetic itself costs, without a gate."""

from collections.abc import Iterator

import numpy as np

from dronetrack.bench import limits
from dronetrack.bench.problems import MOTION, Drives, consistency, draw_drives
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload, peer_job
from dronetrack.kernels import sequence as kernels
from dronetrack.sequence import filter_sequence

OURS, LIVE = "dronetrack.filter_sequence", "dronetrack, one call per row"
TOLERANCE = {"mean": (0.0, 1e-4), "cov": (1e-7, 1e-7)}
# What is enough for a peer: positions of the sequence.
PEERS = {
    "filterpy": 5_000,
    "stonesoup": 300,
    "gri_kalman": 500,
    "simdkalman": 1_000,
    "kalbee": 2_000,
    "dynamax": 50_000,
    "cuthbert": 5_000,
}


def filtered(problem: Drives) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Our answer to a problem of one target: after every row."""
    return filter_sequence(
        MOTION, problem.mean[0], problem.cov[0], 0, time_us=problem.time_us, position=problem.z[0],
        position_cov=problem.R,
    )  # fmt: skip


def _cases(setting: Setting) -> Iterator[Case]:
    problem = draw_drives(1, setting.size(50_000, 10_000), setting.rng())
    state, cov, nis = filtered(problem)
    settled = slice(50, None)
    accuracy = consistency(state[settled], cov[settled], problem.truth[0, settled])
    jobs = {OURS: Job(lambda: filtered(problem), problem.amount, "ours", accuracy=accuracy)}
    jobs[LIVE] = _live(problem.part(1, 10_000), state)
    for name, peer in setting.peers.items():
        part = problem.part(1, PEERS[name])
        last = slice(part.n_steps - 1, part.n_steps)
        expected = {"mean": state[last], "cov": cov[last]}
        jobs[peer.LABEL] = peer_job(peer, peer.filter_drives(part), part.amount, **expected)
    jobs["limit: copy the rows in and out"] = limits.copy_of([problem.z, state, cov, nis], problem.amount)
    yield Case("one sequence", jobs, tolerance=TOLERANCE)


def _live(problem: Drives, state: np.ndarray) -> Job:
    """One call into compiled code for each row, as a live program makes it; the same bits as in one call."""
    memory = np.zeros(kernels.MEMORY6)
    start = np.concatenate([problem.mean[0], problem.cov[0][np.triu_indices(6)]])
    memory[-4:-1] = MOTION.parameters[:3]
    noise = np.tile(problem.R.ravel(), (problem.n_steps, 1))
    rows = list(np.hstack([problem.time_us[:, None].astype(np.float64), problem.z[0], noise]))

    def run() -> np.ndarray:
        memory[: 27 * kernels.BLOCK : kernels.BLOCK] = start
        memory[-1] = 0.0
        for row in rows:
            kernels.live6_rows(memory, row)
        return memory[: 6 * kernels.BLOCK : kernels.BLOCK].copy()

    expected = {"live": state[problem.n_steps - 1]}
    return Job(run, problem.amount, "ours", answer=lambda out: {"live": out}, expected=expected)


WORKLOAD = Workload(
    "sequence",
    "How fast is one plain sequence of positions filtered, and how much does a call per live row cost?",
    "steps/s",
    _cases,
    peers=tuple(PEERS),
    goals=(
        Goal(
            "one sequence",
            "ratio",
            OURS,
            "filterpy",
            at_least=150.0,
            why="It writes 43 numbers for every row, where filterpy keeps none.",
        ),
        Goal("one sequence", "ratio", OURS, "Stone Soup", at_least=2000.0),
        Goal("one sequence", "rate", LIVE, at_least=500_000.0),
    ),
)
