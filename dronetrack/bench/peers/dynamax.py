"""dynamax: `lgssm_filter` and `lgssm_smoother`, compiled by JAX for the CPU in double precision; `vmap` over targets.

The compilation is left out of the time, as everybody's is.
"""

from collections.abc import Callable

import jax
import numpy as np
from dynamax.linear_gaussian_ssm import lgssm_filter, lgssm_smoother
from dynamax.linear_gaussian_ssm.inference import make_lgssm_params
from numpy.typing import NDArray

from dronetrack.bench.problems import Drives

jax.config.update("jax_enable_x64", True)

Floats = NDArray[np.float64]
Solve = Callable[[], tuple[Floats, Floats]]

LABEL = "dynamax (JAX, CPU)"
CLOCK = "wall"


def filter_drives(problem: Drives) -> Solve:
    """Filter all rows in one compiled call; its filter starts at the first row, so the start is predicted to there."""
    jnp = jax.numpy
    start = jnp.asarray(problem.mean @ problem.F.T)
    spread = jnp.asarray(problem.F @ problem.cov @ problem.F.T + problem.Q)
    F, Q, H, R = (jnp.asarray(one) for one in (problem.F, problem.Q, problem.H, problem.R))

    def one(mean: jax.Array, cov: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = lgssm_filter(make_lgssm_params(mean, cov, F, Q, H, R), z)
        return found.filtered_means, found.filtered_covariances

    compiled = jax.jit(jax.vmap(one))
    z = jnp.asarray(problem.z)

    def solve() -> tuple[Floats, Floats]:
        means, covs = jax.block_until_ready(compiled(start, spread, z))
        return np.asarray(means[:, -1]), np.asarray(covs[:, -1])

    return solve


def filter_and_smooth(problem: Drives) -> Solve:
    """Filter and smooth in one compiled call: it offers no smoother that starts from filtered rows."""
    jnp = jax.numpy
    start = jnp.asarray(problem.mean @ problem.F.T)
    spread = jnp.asarray(problem.F @ problem.cov @ problem.F.T + problem.Q)
    F, Q, H, R = (jnp.asarray(one) for one in (problem.F, problem.Q, problem.H, problem.R))

    def one(mean: jax.Array, cov: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = lgssm_smoother(make_lgssm_params(mean, cov, F, Q, H, R), z)
        return found.smoothed_means, found.smoothed_covariances

    compiled = jax.jit(jax.vmap(one))
    z = jnp.asarray(problem.z)

    def solve() -> tuple[Floats, Floats]:
        means, covs = jax.block_until_ready(compiled(start, spread, z))
        return np.asarray(means), np.asarray(covs)

    return solve
