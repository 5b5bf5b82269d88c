"""What was the target's way, seen from the end? Fixed-interval smoothing of a whole table, shared errors estimated.

Legend (see also `updates`)
---------------------------
n           measurements; T moments, distinct times; S sensors
N = D + B   target and shared errors, all of them estimated here: the linearisation about a whole smoothed way does not
            feed on itself as it does in a filter
x, P        filtered mean (N,) and covariance (N, N)
r, Y        what the future says: smoothed mean x + P r, smoothed covariance P - P Y P (modified Bryson-Frazier form of
            the Rauch-Tung-Striebel smoother: Bierman 1973, doi:10.1016/0005-1098(73)90088-5; no inverse, and errors
            that never change do no harm)
u, G        of one measurement: its smoothing error and the covariance of that; u' G^-1 u is the NIS that it has against
            all the others (de Jong 1988, doi:10.1093/biomet/75.3.594)

The past is filtered twice: once to lay down a state at the start of each block of moments, once more in each block, so
that what the way back needs is kept for one block only.
"""

from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.motion import model_one, turned_one, up_one
from dronetrack.kernels.updates import LOG_2PI, OWN, cholesky_one, linearise_one, own_columns_one

BLOCK = 128
LOOK = 16


class Way(NamedTuple):
    """Where the target was, T moments: times, the way to linearise about (T, 6), the model of the step to each.

    `rows` (T + 1,) are the first measurements of the moments.
    """

    time_us: np.ndarray
    state: np.ndarray
    code: np.ndarray
    params: np.ndarray
    rows: np.ndarray


class Kept(NamedTuple):
    """What the way back needs of one block: per row H, W, L, v; per moment x (D,), P (D, N), F and the step's phi.

    And x (N,), P (N, N) of every sixteenth moment.
    """

    H: np.ndarray
    W: np.ndarray
    L: np.ndarray
    v: np.ndarray
    m: np.ndarray
    x: np.ndarray
    P: np.ndarray
    F: np.ndarray
    phi: np.ndarray
    whole_x: np.ndarray
    whole_p: np.ndarray


@kernel
def step_one(F, Q, phi, clock, x, P):
    """Fill x = F x, P = F P F' + Q: the target moves, each shared error decays towards its prior."""
    N = x.shape[0]
    D = F.shape[0]
    column = np.empty(D)
    for i in range(D):
        s = x[i] if i < 3 else 0.0
        for j in range(3, D):
            s += F[i, j] * x[j]
        column[i] = s
    for i in range(D):
        x[i] = column[i]
    for k in range(D, N):
        decay = phi[clock[k - D]]
        x[k] *= decay
        for j in range(N):
            P[k, j] *= decay
        for j in range(N):
            P[j, k] *= decay
    for k in range(N):
        for i in range(D):
            s = P[i, k] if i < 3 else 0.0
            for j in range(3, D):
                s += F[i, j] * P[j, k]
            column[i] = s
        for i in range(D):
            P[i, k] = column[i]
            if k >= D:
                P[k, i] = column[i]
    for i in range(D):
        for k in range(D):
            s = P[i, k] if k < 3 else 0.0
            for j in range(3, D):
                s += P[i, j] * F[k, j]
            column[k] = s
        for k in range(D):
            P[i, k] = column[k]
    for i in range(D):
        for j in range(i + 1):
            s = P[i, j] + Q[i, j]
            P[i, j] = s
            P[j, i] = s


@kernel
def absorb_one(x, P, ref, H, own, m, R, y, W, L, v):
    """Update (x, P) by one measurement that is linear about `ref`; fill W, L, v; return its log-likelihood."""
    N = x.shape[0]
    S = np.empty((3, 3))
    for r in range(m):
        s = y[r]
        for c in range(3):
            s -= H[r, c] * (x[c] - ref[c])
        for c in range(3, OWN):
            if own[c] >= 0:
                s -= H[r, c] * x[own[c]]
        y[r] = s
        for k in range(N):
            W[k, r] = P[k, 0] * H[r, 0] + P[k, 1] * H[r, 1] + P[k, 2] * H[r, 2]
        for c in range(3, OWN):
            if own[c] >= 0 and H[r, c] != 0.0:
                for k in range(N):
                    W[k, r] += P[own[c], k] * H[r, c]
    for r in range(m):
        for q in range(r + 1):
            s = R[r, q]
            for c in range(OWN):
                if own[c] >= 0:
                    s += H[r, c] * W[own[c], q]
            S[r, q] = s
            S[q, r] = s
    cholesky_one(S, m, L)
    for r in range(m):
        s = y[r]
        for q in range(r):
            s -= L[r, q] * v[q]
            for k in range(N):
                W[k, r] -= L[r, q] * W[k, q]
        v[r] = s / L[r, r]
        for k in range(N):
            W[k, r] /= L[r, r]
    for k in range(N):
        for r in range(m):
            x[k] += W[k, r] * v[r]
        for r in range(m):
            w = W[k, r]
            for j in range(N):
                P[k, j] -= w * W[j, r]
    foreseen = -0.5 * m * LOG_2PI
    for r in range(m):
        foreseen -= 0.5 * v[r] * v[r] + np.log(L[r, r])
    return foreseen


@kernel
def recall_one(H, own, m, W, L, v, r, Y, g, A):
    """Take one measurement back into (r, Y); return the NIS that it has against all the others."""
    N = r.shape[0]
    u = np.empty(3)
    E = np.empty((3, 3))
    G = np.empty((3, 3))
    for a in range(m):
        s = v[a]
        for k in range(N):
            s -= W[k, a] * r[k]
        u[a] = s
        for k in range(N):
            s = 0.0
            for j in range(N):
                s += Y[k, j] * W[j, a]
            g[k, a] = s
    # Y and G stay symmetric to the bit: what is not symmetric in them would grow on the way back.
    for a in range(m):
        for b in range(a + 1):
            s = 1.0 if a == b else 0.0
            for k in range(N):
                s += W[k, a] * g[k, b]
            G[a, b] = s
            G[b, a] = s
    # In whitened coordinates u ~ (0, G).
    cholesky_one(G, m, E)
    nis = 0.0
    w = np.empty(3)
    for a in range(m):
        s = u[a]
        for b in range(a):
            s -= E[a, b] * w[b]
        w[a] = s / E[a, a]
        nis += w[a] * w[a]
    # J = L^-1 H: r += J' u, Y += J' G J - (Y W) J - J' (Y W)'.
    J = np.empty((3, OWN))
    for a in range(m):
        for c in range(OWN):
            s = H[a, c]
            for b in range(a):
                s -= L[a, b] * J[b, c]
            J[a, c] = s / L[a, a]
    for c in range(OWN):
        if own[c] < 0:
            continue
        for a in range(m):
            r[own[c]] += J[a, c] * u[a]
        for k in range(N):
            s = 0.0
            for a in range(m):
                s += g[k, a] * J[a, c]
            A[k] = s
        for k in range(N):
            Y[k, own[c]] -= A[k]
            Y[own[c], k] -= A[k]
    for c in range(OWN):
        for d in range(c + 1):
            if own[c] < 0 or own[d] < 0:
                continue
            s = 0.0
            for a in range(m):
                for b in range(m):
                    s += J[a, c] * G[a, b] * J[b, d]
            Y[own[c], own[d]] += s
            if d < c:
                Y[own[d], own[c]] += s
    return nis


@kernel
def recall_step_one(F, phi, clock, r, Y):
    """Fill r = F' r, Y = F' Y F for the step of target and shared errors."""
    N = r.shape[0]
    D = F.shape[0]
    column = np.empty(D)
    for i in range(D):
        s = r[i] if i < 3 else 0.0
        if i >= 3:
            for j in range(D):
                s += F[j, i] * r[j]
        column[i] = s
    for i in range(D):
        r[i] = column[i]
    for k in range(D, N):
        decay = phi[clock[k - D]]
        r[k] *= decay
        for j in range(N):
            Y[k, j] *= decay
        for j in range(N):
            Y[j, k] *= decay
    for k in range(N):
        for i in range(D):
            s = Y[i, k] if i < 3 else 0.0
            if i >= 3:
                for j in range(D):
                    s += F[j, i] * Y[j, k]
            column[i] = s
        for i in range(D):
            Y[i, k] = column[i]
            if k >= D:
                Y[k, i] = column[i]
    for i in range(D):
        for k in range(D):
            s = Y[i, k] if k < 3 else 0.0
            if k >= 3:
                for j in range(D):
                    s += Y[i, j] * F[j, k]
            column[k] = s
        for k in range(D):
            Y[i, k] = column[k]
    for i in range(D):
        for k in range(i):
            Y[k, i] = Y[i, k]


@kernel
def shared_one(rows, use, start, stop, sensors, D, x, P, r, Y, square):
    """Add to `square` the smoothed shared errors of the sensors that speak in rows `start` to `stop`."""
    N = x.shape[0]
    own = np.zeros(OWN, dtype=np.int64)
    for i in range(start, stop):
        if not use[i]:
            continue
        own_columns_one(sensors.columns[rows.sensor[i]], D, own)
        for c in range(3, OWN):
            k = own[c]
            if k < 0:
                continue
            mean, var = x[k], P[k, k]
            for j in range(N):
                mean += P[k, j] * r[j]
                s = 0.0
                for q in range(N):
                    s += Y[j, q] * P[k, q]
                var -= P[k, j] * s
            square[k - D, 0] += mean
            square[k - D, 1] += mean * mean + var
            square[k - D, 2] += 1.0


@kernel
def smooth_rows(rows, use, scale, way, sensors, x, P, square, nis, foreseen):
    """Smooth a table: fill x (T, 6), P (T, 6, 6), and `nis` (n,) of every used row against all the others.

    `use` (n,) are the rows to believe, `scale` (S,) the factor on each sensor's noise. `square` (B, 3) sums, over
    every sixteenth moment at which the sensor spoke, the smoothed mean of each shared error, its expected square,
    and one. `foreseen` (n,) is the log-likelihood of each used row given those before it.
    """
    T = way.time_us.shape[0]
    B = sensors.variance.shape[0]
    D = 6
    for k in range(T):
        if way.code[k] == 1:
            D = 9
    N = D + B
    n_blocks = (T + BLOCK - 1) // BLOCK
    most = 1
    for b in range(n_blocks):
        most = max(most, way.rows[min((b + 1) * BLOCK, T)] - way.rows[b * BLOCK])
    kept = Kept(
        np.zeros((most, 3, OWN)), np.zeros((most, N, 3)), np.zeros((most, 3, 3)), np.zeros((most, 3)),
        np.zeros(most, dtype=np.int64), np.zeros((BLOCK, D)), np.zeros((BLOCK, D, N)), np.zeros((BLOCK, D, D)),
        np.zeros((BLOCK, sensors.tau_s.shape[0])), np.zeros((BLOCK // LOOK, N)), np.zeros((BLOCK // LOOK, N, N)),
    )  # fmt: skip
    square[:, :] = 0.0
    x_laid, P_laid = np.zeros((n_blocks, N)), np.zeros((n_blocks, N, N))
    xf, Pf = np.zeros(N), np.zeros((N, N))
    up = up_one(way.state[0])
    first = way.params[0]
    for i in range(3):
        xf[i] = way.state[0, i]
        Pf[i, i] = 1e6
        for block in range(1, D // 3):
            level, rise = first[1 + 2 * block] ** 2, first[2 + 2 * block] ** 2
            for j in range(3):
                Pf[3 * block + i, 3 * block + j] = turned_one(level, rise, up, i, j)
    for k in range(B):
        Pf[D + k, D + k] = sensors.variance[k]
    r, Y = np.zeros(N), np.zeros((N, N))
    g, A, G = np.zeros((N, 3)), np.zeros(N), np.zeros((D, N))
    Q, R, y = np.zeros((D, D)), np.zeros((3, 3)), np.zeros(3)
    own = np.zeros(OWN, dtype=np.int64)
    for turn in range(2 * n_blocks):
        ahead = turn < n_blocks
        b = turn if ahead else 2 * n_blocks - 1 - turn
        for i in range(N):
            if ahead:
                x_laid[b, i] = xf[i]
            else:
                xf[i] = x_laid[b, i]
            for j in range(N):
                if ahead:
                    P_laid[b, i, j] = Pf[i, j]
                else:
                    Pf[i, j] = P_laid[b, i, j]
        low, high = b * BLOCK, min((b + 1) * BLOCK, T)
        base = way.rows[low]
        for k in range(low, high):
            F = kept.F[k - low]
            phi = kept.phi[k - low]
            if k > 0:
                dt = (way.time_us[k] - way.time_us[k - 1]) * 1e-6
                for c in range(phi.shape[0]):
                    phi[c] = np.exp(-dt / sensors.tau_s[c])
                model_one(way.code[k], way.params[k], xf, dt, F, Q)
                step_one(F, Q, phi, sensors.clock, xf, Pf)
                for c in range(B):
                    Pf[D + c, D + c] += (1.0 - phi[sensors.clock[c]] ** 2) * sensors.variance[c]
            for i in range(way.rows[k], way.rows[k + 1]):
                at = i - base
                kept.m[at] = 0
                if not use[i]:
                    continue
                s = rows.sensor[i]
                own_columns_one(sensors.columns[s], D, own)
                m = linearise_one(
                    way.state[k], rows.kind[i], rows.z[i], rows.cov[i], rows.site[i], rows.root[i], scale[s],
                    kept.H[at], y, R,
                )  # fmt: skip
                kept.m[at] = m
                if m > 0:
                    foreseen[i] = absorb_one(
                        xf, Pf, way.state[k], kept.H[at], own, m, R, y, kept.W[at], kept.L[at], kept.v[at]
                    )  # fmt: skip
            for i in range(D):
                kept.x[k - low, i] = xf[i]
                for j in range(N):
                    kept.P[k - low, i, j] = Pf[i, j]
            if not ahead and k % LOOK == 0:
                for i in range(N):
                    kept.whole_x[(k - low) // LOOK, i] = xf[i]
                    for j in range(N):
                        kept.whole_p[(k - low) // LOOK, i, j] = Pf[i, j]
        if ahead:
            continue
        for k in range(high - 1, low - 1, -1):
            PD = kept.P[k - low]
            for i in range(6):
                s = kept.x[k - low, i]
                for j in range(N):
                    s += PD[i, j] * r[j]
                x[k, i] = s
                for j in range(N):
                    G[i, j] = 0.0
                for q in range(N):
                    w = PD[i, q]
                    for j in range(N):
                        G[i, j] += w * Y[q, j]
            for i in range(6):
                for j in range(i + 1):
                    s = PD[i, j]
                    for q in range(N):
                        s -= G[i, q] * PD[j, q]
                    P[k, i, j] = s
                    P[k, j, i] = s
            if k % LOOK == 0:
                shared_one(
                    rows, use, way.rows[k], way.rows[k + 1], sensors, D, kept.whole_x[(k - low) // LOOK],
                    kept.whole_p[(k - low) // LOOK], r, Y, square,
                )  # fmt: skip
            for i in range(way.rows[k + 1] - 1, way.rows[k] - 1, -1):
                at = i - base
                if kept.m[at] > 0:
                    own_columns_one(sensors.columns[rows.sensor[i]], D, own)
                    nis[i] = recall_one(
                        kept.H[at], own, kept.m[at], kept.W[at], kept.L[at], kept.v[at], r, Y, g, A
                    )  # fmt: skip
            if k > 0:
                recall_step_one(kept.F[k - low], kept.phi[k - low], sensors.clock, r, Y)
