"""How fast is a bank of three-model mixtures (IMM) filtered? The targets switch as the chain says."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dronetrack.bank import TargetBank
from dronetrack.bench import limits
from dronetrack.bench.problems import STEP_S, Drives, consistency, draw_drives
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload, peer_job
from dronetrack.motion import ConstantVelocity, CoordinatedTurn, Mixture

OURS = "dronetrack.TargetBank"
TOLERANCE = {"mean": (0.0, 1e-4), "cov": (1e-5, 1e-4)}
# The same noise on every axis: F and Q are then the same everywhere, which is the peer's best case.
MODELS = Mixture([ConstantVelocity(q, q) for q in (0.02, 0.5, 8.0)], mean_stay_s=[20.0, 10.0, 6.0])
TURNING = Mixture([ConstantVelocity(0.1, 0.1), ConstantVelocity(5.0, 5.0), CoordinatedTurn(6.0, 1.0, 1.0)], 10.0)
STEPS, FEW = 20, 5


def switching_drives(n: int, rng: np.random.Generator) -> Drives:
    """Targets that switch between the three models, and positions of them."""
    problem = draw_drives(n, STEPS, rng)
    pairs = _matrices(problem)
    roots = np.linalg.cholesky([noise for _, noise in pairs])
    switch = np.cumsum(MODELS.switching([STEP_S])[0], axis=1)
    right = (rng.random(n)[:, None] > np.cumsum(np.asarray(MODELS.initial))[:-1]).sum(axis=1)
    now = problem.mean + rng.normal(size=(n, 6)) * np.sqrt(np.diag(problem.cov[0]))
    truth = np.empty((n, STEPS, 6))
    for step in range(STEPS):
        right = (rng.random(n)[:, None] > switch[right][:, :-1]).sum(axis=1)
        now = now @ pairs[0][0].T + np.einsum("nij,nj->ni", roots[right], rng.normal(size=(n, 6)))
        truth[:, step] = now
    return replace(problem, truth=truth, z=truth[..., :3] + rng.normal(0.0, np.sqrt(problem.R[0, 0]), (n, STEPS, 3)))


def _matrices(problem: Drives, models: Mixture = MODELS) -> list[tuple[np.ndarray, np.ndarray]]:
    place = problem.mean[:1, :3]
    pairs = (models.discretise(model, place, [STEP_S]) for model in range(len(models.models)))
    return [(F[0], Q[0]) for F, Q in pairs]


def _filtered(problem: Drives, models: Mixture) -> TargetBank:
    bank = TargetBank(problem.mean, problem.cov, 0, motion=models, n_threads=1)
    for k, when in enumerate(problem.time_us):
        bank.update(int(when), position=np.ascontiguousarray(problem.z[:, k]), cov=problem.R)
    return bank


def _cases(setting: Setting) -> Iterator[Case]:
    problem = switching_drives(setting.size(10_000, 1_000), setting.rng())
    for name, models in (("three models", MODELS), ("two models and a turn", TURNING)):
        bank = _filtered(problem, models)
        accuracy = consistency(bank.mean, bank.cov, problem.truth[:, -1]) if models is MODELS else {}
        ours = Job(lambda models=models: _filtered(problem, models), problem.amount, "ours", accuracy=accuracy)
        jobs = {OURS: ours}
        for peer in setting.peers.values():
            part = problem.part(FEW, STEPS)
            expected = _filtered(part, models)
            chain = models.switching([STEP_S])[0]
            solve = peer.filter_mixture(part, _matrices(problem, models), np.asarray(models.initial), chain)
            jobs[peer.LABEL] = peer_job(peer, solve, part.amount, mean=expected.mean, cov=expected.cov)
        states = np.zeros((len(problem.mean), 3 * 28))
        jobs["limit: copy the states each step"] = limits.copy_of([states], problem.amount, STEPS)
        yield Case(name, jobs, tolerance=TOLERANCE)


WORKLOAD = Workload(
    "mixture",
    "How fast is a bank filtered under three interacting models, beside filterpy's IMMEstimator?",
    "steps/s",
    _cases,
    peers=("filterpy", "gri_kalman"),
    goals=(
        Goal("three models", "ratio", OURS, "filterpy", at_least=200.0),
        Goal("two models and a turn", "ratio", OURS, "filterpy", at_least=200.0),
    ),
)
