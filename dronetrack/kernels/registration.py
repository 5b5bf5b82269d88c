"""The normal equations of a least squares problem that is banded but for a few columns.

Legend
------
J   one row block's derivatives: its columns in the band first, then those in the border
r   its residual, already whitened
A   banded part, lower form: A[i - j, j]
B   band against border
C   border against border
g   right-hand side, band first, then border
"""

import numpy as np

from dronetrack.kernels import kernel


@kernel
def normal_rows(columns, border, J, r, A, B, C, g):
    """Add J'J and J'r of every row block to the normal equations; a column < 0 is not there."""
    n, d, width = J.shape
    k, m = columns.shape[1], border.shape[1]
    size = A.shape[1]
    line = np.empty(width)  # one row of J'J
    for i in range(n):
        for a in range(width):
            ca = columns[i, a] if a < k else border[i, a - k]
            if ca < 0:
                continue
            total = 0.0
            for b in range(width):
                line[b] = 0.0
            for c in range(d):
                w = J[i, c, a]
                total += w * r[i, c]
                for b in range(width):
                    line[b] += w * J[i, c, b]
            g[ca if a < k else size + ca] += total
            for b in range(m):
                cb = border[i, b]
                if cb >= 0 and a < k:
                    B[ca, cb] += line[k + b]
                elif cb >= 0:
                    C[ca, cb] += line[k + b]
            if a < k:
                for b in range(k):
                    cb = columns[i, b]
                    if 0 <= cb <= ca:
                        A[ca - cb, cb] += line[b]
