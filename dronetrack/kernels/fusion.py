"""What do several estimates of one target say together, when nobody knows what they share?

Legend
------
n, c, d     rows, centres, components of a state
x (n, c, d), P (n, c, d, d)   what each centre believes
A = L L'    covariance of the first of a pair, B that of the second
e (d,)      eigenvalues of L^-1 B L^-T = V' diag(e) V
T = L V'    in coordinates T^-1 x the pair has the covariances I and diag(e): everything below is one component each
t (d,)      squared lengths of the columns of T, so that trace T diag(p) T' = t . p
w           weight of the first of a pair, or (c,) of each
q (d,)      information of the fused estimate in those coordinates, linear in w; p = 1/q, q1 the derivative of q by w
F           what is minimised, -sum log q (determinant) or sum t/q (trace); both are convex in w
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.updates import cholesky_one

ROUNDS = 60
SWEEPS = 30
STEADY = 1e-6  # a weight may gain this much at most, as a fraction of what is minimised
STEPS = 5000


@kernel
def solve_lower_one(L, y):
    """Fill y = L^-1 y."""
    for i in range(y.shape[0]):
        s = y[i]
        for k in range(i):
            s -= L[i, k] * y[k]
        y[i] = s / L[i, i]


@kernel
def regular_one(A, L):
    """Fill L with the Cholesky factor of A; return whether A is positive definite."""
    d = A.shape[0]
    cholesky_one(A, d, L)
    least = np.inf
    for i in range(d):
        least = min(least, L[i, i])
    return least > 0.0 and least < np.inf


@kernel
def eigen_one(C, e, V):
    """Fill the eigenvalues and eigenvectors (rows of V) of the symmetric C by Jacobi's rotations; C is used up."""
    d = C.shape[0]
    for i in range(d):
        for j in range(d):
            V[i, j] = 1.0 if i == j else 0.0
    for _ in range(SWEEPS):
        turned = False
        for i in range(1, d):
            for j in range(i):
                off = C[i, j]
                if off * off <= 1e-32 * np.abs(C[i, i] * C[j, j]):
                    continue
                turned = True
                slope = 0.5 * (C[j, j] - C[i, i]) / off
                tan = np.copysign(1.0, slope) / (np.abs(slope) + np.sqrt(1.0 + slope * slope))
                cos = 1.0 / np.sqrt(1.0 + tan * tan)
                sin = tan * cos
                C[i, i] -= tan * off
                C[j, j] += tan * off
                C[i, j] = C[j, i] = 0.0
                for k in range(d):
                    a, b = V[i, k], V[j, k]
                    V[i, k], V[j, k] = cos * a - sin * b, sin * a + cos * b
                    if k not in (i, j):
                        a, b = C[i, k], C[j, k]
                        C[i, k] = C[k, i] = cos * a - sin * b
                        C[j, k] = C[k, j] = sin * a + cos * b
        if not turned:
            break
    for i in range(d):
        e[i] = C[i, i]


@kernel
def together_one(A, B, L, C, V, e, T):
    """Fill L, V, e and T of a pair; return whether both covariances are positive definite."""
    d = A.shape[0]
    if not regular_one(A, L):
        return False
    for i in range(d):
        for j in range(d):
            C[i, j] = B[i, j]
        solve_lower_one(L, C[i])
    for i in range(d):
        for j in range(i):
            C[i, j], C[j, i] = C[j, i], C[i, j]
    for i in range(d):
        solve_lower_one(L, C[i])
    for i in range(d):
        for j in range(i):
            C[i, j] = C[j, i] = 0.5 * (C[i, j] + C[j, i])
    eigen_one(C, e, V)
    fits = True
    for i in range(d):
        fits = fits and 0.0 < e[i] < np.inf
        for j in range(d):
            s = 0.0
            for k in range(i + 1):
                s += L[i, k] * V[j, k]
            T[i, j] = s
    return fits


@kernel
def weight_one(e, t, trace):
    """Weight w in [0, 1] that minimises F: a bound where F falls or rises throughout, else Newton within brackets."""
    low, high = 0.0, 1.0
    w = 0.0
    for turn in range(ROUNDS):
        first, second = 0.0, 0.0  # derivatives of F
        for i in range(e.shape[0]):
            q = w + (1.0 - w) / e[i]
            q1 = 1.0 - 1.0 / e[i]
            share = t[i] / q if trace else 1.0
            first -= share * q1 / q
            second += share * (2.0 if trace else 1.0) * (q1 / q) ** 2
        if second < 1e-20:  # both are the same
            return 0.5
        if turn == 0:
            if first >= 0.0:
                return 0.0
            w = 1.0
            continue
        if turn == 1:
            if first <= 0.0:
                return 1.0
            w = 0.5
            continue
        if first > 0.0:
            high = w
        else:
            low = w
        new = w - first / second
        if not low < new < high:
            new = 0.5 * (low + high)
        if np.abs(new - w) < 1e-14:
            break
        w = new
    return w


@kernel
def pair_rows(x, P, trace, x_out, P_out, weight):
    """Fuse n pairs; return the first row with a covariance that is not positive definite, -1 where there is none."""
    n, _, d = x.shape
    L, C, V, T = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d))
    e, t, y, p = np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d)
    for row in range(n):
        A, B = P[row, 0], P[row, 1]
        if not together_one(A, B, L, C, V, e, T):
            return row
        total = 0.0
        for j in range(d):
            t[j] = 0.0
            for i in range(d):
                t[j] += T[i, j] * T[i, j]
            total += t[j]
        for j in range(d):
            t[j] /= total
        w = weight_one(e, t, trace)
        weight[row, 0] = w
        weight[row, 1] = 1.0 - w
        for i in range(d):
            y[i] = x[row, 1, i] - x[row, 0, i]
        solve_lower_one(L, y)
        for j in range(d):
            apart = 0.0
            for i in range(d):
                apart += V[j, i] * y[i]
            p[j] = 1.0 / (w + (1.0 - w) / e[j])
            t[j] = apart * p[j] * (1.0 - w) / e[j]
        for i in range(d):
            s = x[row, 0, i]
            for k in range(d):
                s += T[i, k] * t[k]
            x_out[row, i] = s
            for j in range(i + 1):
                s = 0.0
                for k in range(d):
                    s += T[i, k] * p[k] * T[j, k]
                P_out[row, i, j] = P_out[row, j, i] = s
    return -1


@kernel
def invert_one(L, X):
    """Fill X = (L L')^-1."""
    d = L.shape[0]
    for j in range(d):
        for i in range(d):
            X[j, i] = 1.0 if i == j else 0.0
        solve_lower_one(L, X[j])  # row j holds column j of L^-1
    # X[j] = L^-1 e_j, zero before j: X X' is the inverse.
    for i in range(d):
        for j in range(i + 1):
            s = 0.0
            for k in range(i, d):
                s += X[i, k] * X[j, k]
            L[j, i] = s
    for i in range(d):
        for j in range(i + 1):
            X[i, j] = X[j, i] = L[j, i]


@kernel
def many_rows(x, P, trace, x_out, P_out, weight):
    """Fuse n rows of c estimates; return the first row with a covariance that is not positive definite, or -1.

    The weights are those of an optimal design: each grows with how much its estimate still has to say, the gain
    g = tr(P X) for the determinant and tr(P X P) for the trace, X being its information. They are optimal when no
    gain exceeds the mean (Kiefer, Wolfowitz 1960, doi:10.4153/CJM-1960-030-4).
    """
    n, c, d = x.shape
    X = np.zeros((c, d, d))
    L, S, M = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d))
    g, y = np.zeros(c), np.zeros(d)
    for row in range(n):
        for one in range(c):
            if not regular_one(P[row, one], L):
                return row
            invert_one(L, X[one])
            weight[row, one] = 1.0 / c
        for _ in range(STEPS):
            information_one(X, weight[row], S)
            cholesky_one(S, d, L)
            invert_one(L, M)
            if trace:
                square_one(M, S)
            mean, most = 0.0, 0.0
            for one in range(c):
                s = 0.0
                for i in range(d):
                    for j in range(d):
                        s += (S[i, j] if trace else M[i, j]) * X[one, i, j]
                g[one] = s
                mean += weight[row, one] * s
                most = max(most, s)
            if most <= (1.0 + STEADY) * mean:
                break
            total = 0.0
            for one in range(c):
                weight[row, one] *= np.sqrt(g[one] / mean) if trace else g[one] / mean
                total += weight[row, one]
            for one in range(c):
                weight[row, one] /= total
        y[:] = 0.0
        for one in range(1, c):
            for i in range(d):
                for j in range(d):
                    y[i] += weight[row, one] * X[one, i, j] * (x[row, one, j] - x[row, 0, j])
        for i in range(d):
            s = x[row, 0, i]
            for j in range(d):
                s += M[i, j] * y[j]
                P_out[row, i, j] = M[i, j]
            x_out[row, i] = s
    return -1


@kernel
def information_one(X, w, S):
    """Fill S with the weighted sum of the informations."""
    c, d, _ = X.shape
    for i in range(d):
        for j in range(d):
            s = 0.0
            for one in range(c):
                s += w[one] * X[one, i, j]
            S[i, j] = s


@kernel
def square_one(M, S):
    """Fill S = M M of a symmetric M."""
    d = M.shape[0]
    for i in range(d):
        for j in range(d):
            s = 0.0
            for k in range(d):
                s += M[i, k] * M[k, j]
            S[i, j] = s
