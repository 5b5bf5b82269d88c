"""How fast are pairs of estimates fused by covariance intersection, and how near the best weight?

    python benchmarks/fusion.py [pairs]

Six states. Beside the library: numpy over all pairs at once (the same diagonal form, Newton's steps for all of them),
and numpy with `scipy.optimize.minimize_scalar` pair by pair, as it is usually done. What is lost against the least
determinant is printed beside the rate.
"""

import sys

import numpy as np
from scipy.optimize import minimize_scalar
from timing import in_turn, table, versions

from dronetrack.fusion import covariance_intersection

ROUNDS, STATES = 7, 6


def pairs_of(n, rng):
    turn = np.linalg.qr(rng.normal(size=(n, 2, STATES, STATES)))[0]
    cov = (turn * 10.0 ** rng.uniform(-1.5, 1.5, (n, 2, 1, STATES))) @ turn.transpose(0, 1, 3, 2)
    return rng.normal(size=(n, 2, STATES)), 0.5 * (cov + cov.transpose(0, 1, 3, 2))


def batched_numpy(mean, cov):
    lower = np.linalg.cholesky(cov[:, 0])
    inverse = np.linalg.inv(lower)
    ratios, axes = np.linalg.eigh(inverse @ cov[:, 1] @ inverse.transpose(0, 2, 1))
    low, high, w = np.zeros(len(cov)), np.ones(len(cov)), np.full(len(cov), 0.5)
    gain = 1.0 - 1.0 / ratios

    def slopes(at):
        part = gain / (at[:, None] + (1.0 - at[:, None]) / ratios)
        return -part.sum(axis=1), (part**2).sum(axis=1)

    rising, falling = slopes(low)[0] >= 0.0, slopes(high)[0] <= 0.0
    for _ in range(12):
        first, second = slopes(w)
        low, high = np.where(first > 0.0, low, w), np.where(first > 0.0, w, high)
        new = w - first / second
        w = np.where((new > low) & (new < high), new, 0.5 * (low + high))
    w = np.where(rising, 0.0, np.where(falling, 1.0, w))
    spread = 1.0 / (w[:, None] + (1.0 - w[:, None]) / ratios)
    turned = lower @ axes
    apart = np.einsum("nji,nj->ni", axes, np.einsum("nij,nj->ni", inverse, mean[:, 1] - mean[:, 0]))
    fused = mean[:, 0] + np.einsum("nij,nj->ni", turned, apart * spread * (1.0 - w[:, None]) / ratios)
    return fused, (turned * spread[:, None, :]) @ turned.transpose(0, 2, 1), w


def one_by_one(mean, cov):
    out = []
    for x, both in zip(mean, cov, strict=True):
        first, second = np.linalg.inv(both)

        def size(w, first=first, second=second):
            return -np.linalg.slogdet(w * first + (1.0 - w) * second)[1]

        w = minimize_scalar(size, bounds=(0.0, 1.0), method="bounded").x
        fused = np.linalg.inv(w * first + (1.0 - w) * second)
        out.append((fused @ (w * first @ x[0] + (1.0 - w) * second @ x[1]), fused))
    return np.array([one[0] for one in out]), np.array([one[1] for one in out])


def main(n):
    mean, cov = pairs_of(n, np.random.default_rng(0))
    few = max(n // 100, 1)
    seconds = in_turn(
        {
            "dronetrack": lambda: covariance_intersection(mean, cov),
            "numpy, all pairs at once": lambda: batched_numpy(mean, cov),
            "numpy and scipy, pair by pair": lambda: one_by_one(mean[:few], cov[:few]),
        },
        ROUNDS,
    )
    print(f"{n:,} pairs of {STATES} states, one thread; {versions()}")
    table(seconds, {name: few if "by" in name else n for name in seconds}, "pairs/s", "dronetrack")
    ours = covariance_intersection(mean, cov).cov
    for name, other in (
        ("at once", batched_numpy(mean, cov)[1]),
        ("pair by pair", one_by_one(mean[:few], cov[:few])[1]),
    ):
        more = np.linalg.slogdet(other)[1] - np.linalg.slogdet(ours[: len(other)])[1]
        print(f"log determinant of {name} less ours: {more.min():.1e} .. {more.max():.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
