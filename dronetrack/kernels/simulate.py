"""Errors that wander: first-order Gauss-Markov sequences of many runs at once.

Legend
------
phi     correlation of one row with the row before
"""

import numpy as np

from dronetrack.kernels import kernel


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
