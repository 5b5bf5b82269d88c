"""How fast are pairs of estimates fused by covariance intersection, and how near the best weight?

Six states. Beside it what is usually done, numpy and `scipy.optimize.minimize_scalar`, pair by pair; and the same
diagonal form as ours in numpy over all pairs at once. How much larger a peer's log determinant is at most stands beside
its time.
"""

from collections.abc import Iterator

import numpy as np

from dronetrack.bench import limits
from dronetrack.bench.problems import Floats
from dronetrack.bench.workload import Case, Job, Setting, Workload
from dronetrack.fusion import covariance_intersection

STATES = 6


def _pairs(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    turn = np.linalg.qr(rng.normal(size=(n, 2, STATES, STATES)))[0]
    cov = (turn * 10.0 ** rng.uniform(-1.5, 1.5, (n, 2, 1, STATES))) @ turn.transpose(0, 1, 3, 2)
    return rng.normal(size=(n, 2, STATES)), 0.5 * (cov + cov.transpose(0, 1, 3, 2))


def _cases(setting: Setting) -> Iterator[Case]:
    n = setting.size(100_000, 10_000)
    mean, cov = _pairs(n, setting.rng())
    ours = covariance_intersection(mean, cov).cov
    jobs = {"covariance_intersection": Job(lambda: covariance_intersection(mean, cov), n, "ours")}
    for peer in setting.peers.values():
        few = slice(0, n // 100)
        for label, fuse, part in (
            ("numpy, all pairs at once", peer.intersect_all, slice(None)),
            ("numpy and scipy, pair by pair", peer.intersect, few),
        ):
            solve = fuse(mean[part], cov[part])
            more = np.linalg.slogdet(solve()[1])[1] - np.linalg.slogdet(ours[part])[1]
            accuracy = {"log_determinant_more_at_most": float(more.max())}
            jobs[label] = Job(solve, len(mean[part]), accuracy=accuracy)
    jobs["limit: copy the pairs"] = limits.copy_of([mean, cov], n)
    yield Case("pairs of six states", jobs)


WORKLOAD = Workload(
    "fusion",
    "How fast are two centres' estimates fused that share unknown information?",
    "pairs/s",
    _cases,
    peers=("scipy",),
)
