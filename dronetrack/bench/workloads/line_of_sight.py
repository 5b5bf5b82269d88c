"""How fast are lines of sight filtered? Ten thousand targets seen from one site, against an extended filter."""

from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bank import TargetBank
from dronetrack.bench.problems import MOTION, Drives, draw_drives
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload, peer_job

OURS = "dronetrack.TargetBank"
TOLERANCE = {"mean": (0.0, 1e-4), "cov": (1e-5, 1e-5)}
NOISE = 1e-6 * np.eye(3)
FEW, STEPS = 10, 10


def _filtered(problem: Drives, lines: np.ndarray, site: np.ndarray) -> TargetBank:
    bank = TargetBank(problem.mean, problem.cov, 0, motion=MOTION, n_threads=1)
    for when in problem.time_us:
        bank.update(int(when), line_of_sight=lines, cov=NOISE, site_ecef_m=site)
    return bank


def _cases(setting: Setting) -> Iterator[Case]:
    problem = draw_drives(setting.size(10_000, 2_000), STEPS, setting.rng())
    n = len(problem.mean)
    site = problem.mean[n // 2, :3] + geodesy.enu_vectors_to_ecef([[0.0, 0.0, 400.0]], [46.2], [21.0])[0]
    lines = problem.truth[:, 0, :3] - site
    lines /= np.linalg.norm(lines, axis=1)[:, None]
    jobs = {OURS: Job(lambda: _filtered(problem, lines, site), problem.amount, "ours")}
    for peer in setting.peers.values():
        part = problem.part(FEW, STEPS)
        ours = _filtered(part, lines[:FEW].copy(), site)
        solve = peer.filter_sights(part, lines[:FEW], NOISE, site)
        jobs[peer.LABEL] = peer_job(peer, solve, part.amount, mean=ours.mean, cov=ours.cov)
    yield Case("lines of sight from one site", jobs, tolerance=TOLERANCE)


WORKLOAD = Workload(
    "line_of_sight",
    "How fast is a bank filtered with lines of sight from a camera, beside an extended Kalman filter?",
    "steps/s",
    _cases,
    peers=("filterpy",),
    goals=(Goal("lines of sight from one site", "ratio", OURS, "filterpy", at_least=300.0),),
)
