"""cuthbert: the square-root Kalman filter of its examples, compiled by JAX for the CPU in double precision.

Of its two scans, sequential and parallel in time, the sequential one is faster on a CPU and is the one timed.
"""

from collections.abc import Callable

import jax
import numpy as np
from cuthbert import filter as run_filter
from cuthbert.gaussian import kalman
from numpy.typing import NDArray

from dronetrack.bench.problems import Drives

jax.config.update("jax_enable_x64", True)

Floats = NDArray[np.float64]

LABEL = "cuthbert (JAX, CPU)"
CLOCK = "wall"


def filter_drives(problem: Drives) -> Callable[[], tuple[Floats, Floats]]:
    """Filter all rows in one compiled call, targets by `vmap`."""
    jnp = jax.numpy
    F, H = jnp.asarray(problem.F), jnp.asarray(problem.H)
    chol_Q, chol_R = jnp.linalg.cholesky(jnp.asarray(problem.Q)), jnp.linalg.cholesky(jnp.asarray(problem.R))
    start, roots, z = jnp.asarray(problem.mean), jnp.linalg.cholesky(jnp.asarray(problem.cov)), jnp.asarray(problem.z)
    still, level = jnp.zeros(F.shape[0]), jnp.zeros(3)

    def one(mean: jax.Array, root: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        built = kalman.build_filter(
            mean, root, lambda _: (F, still, chol_Q), lambda k: (H, level, chol_R, rows[k]),
        )  # fmt: skip
        found = run_filter(built, jnp.arange(rows.shape[0]), built.init_prepare())
        return found.mean, found.chol_cov

    compiled = jax.jit(jax.vmap(one))

    def solve() -> tuple[Floats, Floats]:
        means, chols = jax.block_until_ready(compiled(start, roots, z))
        last = np.asarray(chols[:, -1])
        return np.asarray(means[:, -1]), last @ last.transpose(0, 2, 1)

    return solve
