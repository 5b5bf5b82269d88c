"""Errors that wander and targets that change their minds: random sequences of many runs at once.

Legend
------
phi         correlation of one row with the row before
code, params, rates, weight   motion models (M,), their switching (M, M) and first weights (M,), as in `filters.Models`
F, Q        transition and noise of a step (d, d); L its Cholesky factor
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.motion import model_one, switching_one, turned_one, up_one
from dronetrack.kernels.updates import cholesky_one


@kernel
def gauss_markov_rows(step_s, tau_s, noise, out):
    """Fill `out` (runs, n, c) with sequences of unit variance, driven by white `noise` of the same shape.

    `step_s` (n,) is the time since the row before; the first is not read.
    """
    runs, n, width = noise.shape
    for r in range(runs):
        for c in range(width):
            if n:
                out[r, 0, c] = noise[r, 0, c]
        for k in range(1, n):
            phi = np.exp(-step_s[k] / tau_s)
            fresh = np.sqrt(-np.expm1(-2.0 * step_s[k] / tau_s))
            for c in range(width):
                out[r, k, c] = phi * out[r, k - 1, c] + fresh * noise[r, k, c]


@kernel
def drawn_one(weights, part):
    """Index of the weight within whose share `part`, in [0, 1), falls."""
    for m in range(weights.shape[0] - 1):
        part -= weights[m]
        if part < 0.0:
            return m
    return weights.shape[0] - 1


@kernel
def switching_rows(code, params, rates, weight, place, step_s, parts, noise, out, which):
    """Fill `out` (runs, n, d) with targets that move by one model at a time, and `which` (runs, n) with that model.

    All start at `place` (3,), at a speed as unknown as their first model says. `step_s` (n,) is the time since the row
    before; the first is not read. `parts` (runs, n) are uniform, `noise` (runs, n, d) is white.
    """
    runs, n, d = noise.shape
    M = code.shape[0]
    F, Q, L = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    Pi, work = np.empty((M, M)), np.empty((M, M))
    up = up_one(place)
    for r in range(runs):
        m = drawn_one(weight, parts[r, 0])
        which[r, 0] = m
        for i in range(d):
            out[r, 0, i] = place[i] if i < 3 else 0.0
        for block in range(1, d // 3):
            for i in range(3):
                for j in range(3):
                    spread = turned_one(params[m, 1 + 2 * block], params[m, 2 + 2 * block], up, i, j)
                    out[r, 0, 3 * block + i] += spread * noise[r, 0, 3 * block + j]
        for k in range(1, n):
            if M > 1:
                switching_one(rates, step_s[k], Pi, work)
                m = drawn_one(Pi[m], parts[r, k])
            which[r, k] = m
            model_one(code[m], params[m], out[r, k - 1], step_s[k], F, Q)
            cholesky_one(Q, d, L)
            for i in range(d):
                s = 0.0
                for j in range(d):
                    s += F[i, j] * out[r, k - 1, j]
                for j in range(i + 1):
                    s += L[i, j] * noise[r, k, j]
                out[r, k, i] = s
