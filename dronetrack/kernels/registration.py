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

from dronetrack.kernels import kernel


@kernel
def normal_rows(columns, border, J, r, A, B, C, g):
    """Add J'J and J'r of every row block to the normal equations; a column < 0 is not there."""
    n, d, _ = J.shape
    k, m = columns.shape[1], border.shape[1]
    size = A.shape[1]
    for i in range(n):
        for a in range(k + m):
            ca = columns[i, a] if a < k else border[i, a - k]
            if ca < 0:
                continue
            total = 0.0
            for c in range(d):
                total += J[i, c, a] * r[i, c]
            g[ca if a < k else size + ca] += total
            for b in range(k + m):
                if a >= k and b < k:
                    continue
                cb = columns[i, b] if b < k else border[i, b - k]
                if cb < 0 or (b < k and cb > ca):
                    continue
                total = 0.0
                for c in range(d):
                    total += J[i, c, a] * J[i, c, b]
                if a < k and b < k:
                    A[ca - cb, cb] += total
                elif a < k:
                    B[ca, cb] += total
                else:
                    C[ca, cb] += total
