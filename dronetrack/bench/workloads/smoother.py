"""How fast is the backward pass? Banks and long sequences of filtered rows, beside filterpy's and simdkalman's."""

from collections.abc import Iterator

import numpy as np

from dronetrack.bench import limits
from dronetrack.bench.problems import MOTION, Drives, draw_drives
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload, peer_job
from dronetrack.bench.workloads.sequence import filtered
from dronetrack.smoothing import smooth_bank, smooth_sequences

BANK, MANY, LONG = "dronetrack.smooth_bank", "dronetrack.smooth_sequences", "dronetrack.smooth_sequences, one"
KEPT = "dronetrack.smooth_bank, into kept memory"
ALL_CORES = "dronetrack.smooth_bank, all cores"
KEPT_ALL_CORES = "dronetrack.smooth_bank, into kept memory, all cores"
TOLERANCE = {"mean": (0.0, 1e-4), "cov": (1e-6, 1e-6)}
UPPER = np.triu_indices(6)
WHY = (
    "Eight steps side by side are 549 multiplications of 512 bits, 26 ns a step on one core. The 27 numbers read and "
    "the 27 written add 30 to 60 ns, as fast as the memory of a shared machine is at the time, and the system's "
    "clearing of fresh memory for the result 10 to 20 ns: memory limits one core, and two cores share it."
)
# What is enough for a peer: sequences and steps of the bank, and steps of the long sequence.
PEERS = {"filterpy": (20, 2_000), "stonesoup": (4, 200), "gri_kalman": (4, 500), "simdkalman": (4_000, 500)}


def _filtered_bank(problem: Drives) -> tuple[np.ndarray, np.ndarray]:
    parts = [filtered(problem.one(target)) for target in range(len(problem.mean))]
    return np.array([x for x, _, _ in parts]), np.array([P for _, P, _ in parts])


def _cases(setting: Setting) -> Iterator[Case]:
    yield _bank(setting, draw_drives(setting.size(4_000, 500), 50, setting.rng()))
    yield _sequence(setting, draw_drives(1, setting.size(100_000, 10_000), setting.rng()))


def _bank(setting: Setting, problem: Drives) -> Case:
    n, steps = problem.z.shape[:2]
    state, cov = _filtered_bank(problem)
    times = np.tile(problem.time_us, (n, 1))
    packed = np.concatenate([state, cov[:, :, *UPPER]], axis=2).transpose(1, 2, 0).copy()
    for one in (state, cov, packed):
        one.flags.writeable = False
    mine, promised = smooth_sequences(MOTION, times, state, cov)
    kept = np.empty_like(packed)
    expected = {"mean": mine, "cov": promised[:, :, *UPPER]}
    accuracy = _accuracy(mine[:, 5:-5], promised[:, 5:-5], state[:, 5:-5], problem.truth[:, 5:-5])
    jobs = {
        BANK: Job(
            lambda: smooth_bank(MOTION, times.T, packed, n_threads=1), problem.amount, "ours",
            answer=lambda out: {"mean": out[:, :6].transpose(2, 0, 1), "cov": out[:, 6:].transpose(2, 0, 1)},
            expected=expected, accuracy=accuracy,
        ),
        KEPT: Job(lambda: smooth_bank(MOTION, times.T, packed, out=kept, n_threads=1), problem.amount, "ours"),
        ALL_CORES: Job(lambda: smooth_bank(MOTION, times.T, packed), problem.amount, "ours", clock="wall"),
        KEPT_ALL_CORES: Job(
            lambda: smooth_bank(MOTION, times.T, packed, out=kept), problem.amount, "ours", clock="wall"
        ),
        MANY: Job(lambda: smooth_sequences(MOTION, times, state, cov), problem.amount, "ours"),
    }  # fmt: skip
    for name, peer in setting.peers.items():
        few = slice(0, PEERS[name][0])
        solve = peer.smooth_drives(problem, state[few], cov[few])
        jobs[peer.LABEL] = peer_job(peer, solve, mine[few, :, 0].size, mean=mine[few], cov=promised[few])
    jobs["limit: copy the bank"] = limits.copy_of([packed], problem.amount)
    return Case(f"many targets, {steps} steps each", jobs, tolerance=TOLERANCE)


def _sequence(setting: Setting, problem: Drives) -> Case:
    state, cov, _ = filtered(problem)
    times = problem.time_us[None]
    whole = times, state[None], cov[None]
    jobs = {LONG: Job(lambda: smooth_sequences(MOTION, *whole), problem.amount, "ours")}
    for name, peer in setting.peers.items():
        steps = PEERS[name][1]
        part = times[:, :steps], state[None, :steps], cov[None, :steps]
        mean, spread = smooth_sequences(MOTION, *part)
        solve = peer.smooth_drives(problem, *part[1:])
        jobs[peer.LABEL] = peer_job(peer, solve, steps, mean=mean, cov=spread)
    return Case("one long sequence", jobs, tolerance=TOLERANCE)


def _accuracy(mean: np.ndarray, cov: np.ndarray, before: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    error = mean - truth
    nees = np.einsum("nki,nkij,nkj->nk", error, np.linalg.inv(cov), error).mean()
    rmse, filter_rmse = (float(np.sqrt(np.mean(np.sum(one[..., :3] ** 2, axis=-1)))) for one in (error, before - truth))
    return {"rmse_m": rmse, "rmse_of_filter": rmse / filter_rmse, "nees_of_dof": float(nees) / 6.0}


WORKLOAD = Workload(
    "smoother",
    "How fast is the backward pass over filtered rows, of many targets and of one long sequence?",
    "steps/s",
    _cases,
    peers=tuple(PEERS),
    goals=(
        Goal("many targets, 50 steps each", "ratio", BANK, "filterpy", at_least=200.0, why=WHY),
        Goal("many targets, 50 steps each", "ratio", BANK, "simdkalman", at_least=20.0, why=WHY),
        Goal("many targets, 50 steps each", "ratio", ALL_CORES, "filterpy", at_least=200.0, why=WHY),
        Goal("many targets, 50 steps each", "ratio", ALL_CORES, "simdkalman", at_least=20.0, why=WHY),
        Goal("many targets, 50 steps each", "ratio", KEPT_ALL_CORES, "filterpy", at_least=200.0, why=WHY),
        Goal("many targets, 50 steps each", "ratio", KEPT_ALL_CORES, "simdkalman", at_least=20.0, why=WHY),
    ),
)
