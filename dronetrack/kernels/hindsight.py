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
n           as a size: the target and the errors that are live, N at most

The past is filtered twice: once to lay down a state at the start of each block of moments, once more in each block, so
that what the way back needs is kept for one block only.

A measurement that is not used is asked all the same: its NIS against all that are used says whether it should be.

No row of an array is taken as a view where a loop runs: numba counts references to views, atomically, and that took a
fifth of the time. What a row of the table says is laid on a desk; what is kept is read in place, at `at`.
"""

from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.motion import model_one, turned_one, up_one
from dronetrack.kernels.updates import LINE_OF_SIGHT, LOG_2PI, OWN, TICK, cholesky_one, linearise_one

BLOCK = 128
FORGOTTEN = 30.0  # correlation times: what is left of an error after them, 1e-13, is below the rounding of the rest


class Way(NamedTuple):
    """Where the target was, T moments: times, the way to linearise about (T, 6), the model of the step to each.

    `rows` (T + 1,) are the first measurements of the moments.
    """

    time_us: np.ndarray
    state: np.ndarray
    code: np.ndarray
    params: np.ndarray
    rows: np.ndarray


@kernel
def unmoved_one(F, D):
    """Return whether the step leaves all but the position as it is: F = (I A; 0 I)."""
    for i in range(3, D):
        for j in range(3, D):
            if F[i, j] != (1.0 if i == j else 0.0):
                return False
    return True


@kernel
def mirror_one(D, n, P):
    """Copy what stands right of the diagonal block to below it, and make the block itself symmetric to the bit."""
    for i in range(D):
        for k in range(i):
            P[k, i] = P[i, k]
        for k in range(D, n):
            P[k, i] = P[i, k]


@kernel
def decay_one(decay, D, n, P):
    """Let the shared errors decay in the columns of P that are theirs; what mirrors them is left to `mirror_one`."""
    for k in range(n):
        d = decay[k]
        for j in range(D, n):
            P[k, j] *= d * decay[j]


@kernel
def step_one(F, Q, decay, D, n, x, P, room):
    """Fill x = F x, P = F P F' + Q: the target moves, each shared error decays towards its prior; F = (I A; 0 G)."""
    for i in range(D):
        s = x[i] if i < 3 else 0.0
        for j in range(3, D):
            s += F[i, j] * x[j]
        room[0, i] = s
    for i in range(n):
        x[i] = room[0, i] if i < D else decay[i] * x[i]
    decay_one(decay, D, n, P)
    for i in range(3):
        for j in range(3, D):
            f = F[i, j]
            if f != 0.0:
                for k in range(n):
                    P[i, k] += f * P[j, k]
    unmoved = unmoved_one(F, D)
    if not unmoved:
        for i in range(3, D):
            for k in range(n):
                room[i, k] = 0.0
            for j in range(3, D):
                f = F[i, j]
                if f != 0.0:
                    for k in range(n):
                        room[i, k] += f * P[j, k]
        for i in range(3, D):
            for k in range(n):
                P[i, k] = room[i, k]
    for i in range(D):
        for k in range(3):
            s = P[i, k]
            for j in range(3, D):
                s += P[i, j] * F[k, j]
            P[i, k] = s
        if not unmoved:
            for k in range(3, D):
                s = 0.0
                for j in range(3, D):
                    s += P[i, j] * F[k, j]
                room[0, k] = s
            for k in range(3, D):
                P[i, k] = room[0, k]
    for i in range(D):
        for j in range(D):
            P[i, j] += Q[i, j]
    mirror_one(D, n, P)


@kernel
def foresee_one(n, x, P, ref, H, own, m, R, y, S, W, L, v):
    """Fill W = P H' L^-T (m, n), L and v = L^-1 y of one measurement, linear about `ref`; return its log-likelihood."""
    for r in range(m):
        s = y[r]
        for c in range(3):
            s -= H[r, c] * (x[c] - ref[c])
        for c in range(3, OWN):
            if own[c] >= 0:
                s -= H[r, c] * x[own[c]]
        y[r] = s
        h0, h1, h2 = H[r, 0], H[r, 1], H[r, 2]
        if own[3] >= 0:
            q, h3, h4, h5 = own[3], H[r, 3], H[r, 4], H[r, 5]
            for k in range(n):
                s = P[0, k] * h0 + P[1, k] * h1 + P[2, k] * h2
                W[r, k] = s + P[q, k] * h3 + P[q + 1, k] * h4 + P[q + 2, k] * h5
        else:
            for k in range(n):
                W[r, k] = P[0, k] * h0 + P[1, k] * h1 + P[2, k] * h2
        for c in range(6, OWN):
            if own[c] >= 0 and H[r, c] != 0.0:
                h, q = H[r, c], own[c]
                for k in range(n):
                    W[r, k] += P[q, k] * h
    for r in range(m):
        for q in range(r + 1):
            s = R[r, q]
            for c in range(OWN):
                if own[c] >= 0:
                    s += H[r, c] * W[q, own[c]]
            S[r, q] = s
            S[q, r] = s
    cholesky_one(S, m, L)
    foreseen = -0.5 * m * LOG_2PI
    det = 1.0
    for r in range(m):
        s = y[r]
        for q in range(r):
            s -= L[r, q] * v[q]
            for k in range(n):
                W[r, k] -= L[r, q] * W[q, k]
        v[r] = s / L[r, r]
        part = 1.0 / L[r, r]
        for k in range(n):
            W[r, k] *= part
        foreseen -= 0.5 * v[r] * v[r]
        det *= L[r, r]
    return foreseen - np.log(det)


@kernel
def absorb_one(n, x, P, m, W, v):
    """Update (x, P) by one measurement: x + W' v, P - W' W."""
    for r in range(m):
        for k in range(n):
            x[k] += W[r, k] * v[r]
    # All components in one pass over P.
    for k in range(n):
        w = W[0, k]
        if m == 1:
            for j in range(n):
                P[k, j] -= w * W[0, j]
        elif m == 2:
            w1 = W[1, k]
            for j in range(n):
                P[k, j] -= w * W[0, j] + w1 * W[1, j]
        else:
            w1, w2 = W[1, k], W[2, k]
            for j in range(n):
                P[k, j] -= w * W[0, j] + w1 * W[1, j] + w2 * W[2, j]


@kernel
def times_rows_one(A, at, m, Y, n, G):
    """Fill the first m rows of G (., n) with those of A[at] times Y: two rows of A, four of Y at a time."""
    whole = n - n % 4
    for a in range(0, m, 2):
        b = min(a + 1, m - 1)
        for k in range(n):
            G[a, k] = 0.0
            G[b, k] = 0.0
        for j in range(0, whole, 4):
            a0, a1, a2, a3 = A[at, a, j], A[at, a, j + 1], A[at, a, j + 2], A[at, a, j + 3]
            b0, b1, b2, b3 = A[at, b, j], A[at, b, j + 1], A[at, b, j + 2], A[at, b, j + 3]
            if a == b:
                for k in range(n):
                    G[a, k] += a0 * Y[j, k] + a1 * Y[j + 1, k] + a2 * Y[j + 2, k] + a3 * Y[j + 3, k]
            else:
                for k in range(n):
                    y0, y1, y2, y3 = Y[j, k], Y[j + 1, k], Y[j + 2, k], Y[j + 3, k]
                    G[a, k] += a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
                    G[b, k] += b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
        for j in range(whole, n):
            for c in range(a, b + 1):
                f = A[at, c, j]
                for k in range(n):
                    G[c, k] += f * Y[j, k]


@kernel
def recall_one(n, at, m, H, W, L, v, own, used, r, Y, g, u, E, G, J, told):
    """Take one measurement back into (r, Y) if it was used; return the NIS that it has against all the others."""
    for a in range(m):
        s = v[at, a]
        for k in range(n):
            s -= W[at, a, k] * r[k]
        u[a] = s
    times_rows_one(W, at, m, Y, n, g)
    # Y and G stay symmetric to the bit: what is not symmetric in them would grow on the way back.
    for a in range(m):
        for b in range(a + 1):
            s = 0.0
            for k in range(n):
                s += W[at, a, k] * g[b, k]
            s = (1.0 if a == b else 0.0) + (s if used else -s)
            G[a, b] = s
            G[b, a] = s
    # In whitened coordinates u ~ (0, G).
    cholesky_one(G, m, E)
    nis = 0.0
    for a in range(m):
        s = u[a]
        for b in range(a):
            s -= E[a, b] * v[at, b]
        v[at, a] = s / E[a, a]
        nis += v[at, a] ** 2
    if not used:
        return nis
    # J = L^-1 H: r += J' u, Y += J' G J - (Y W) J - J' (Y W)' = -(A J + J' A') with A = Y W - J' G / 2.
    n_told = 0
    for c in range(OWN):
        told[n_told] = c
        some = False
        for a in range(3):
            J[a, c] = 0.0
        for a in range(m):
            s = H[at, a, c] if own[c] >= 0 else 0.0
            for b in range(a):
                s -= L[at, a, b] * J[b, c]
            J[a, c] = s / L[at, a, a]
            some |= J[a, c] != 0.0
        n_told += some
    for q in range(n_told):
        c = told[q]
        r[own[c]] += J[0, c] * u[0] + J[1, c] * u[1] + J[2, c] * u[2]
        for a in range(m):
            s = 0.0
            for b in range(m):
                s += G[a, b] * J[b, c]
            g[a, own[c]] -= 0.5 * s
    for q in range(n_told):
        row, j0, j1, j2 = own[told[q]], J[0, told[q]], J[1, told[q]], J[2, told[q]]
        for k in range(n):
            g[3, k] = g[0, k] * j0 + g[1, k] * j1 + g[2, k] * j2
            Y[row, k] -= g[3, k]
        for k in range(n):
            Y[k, row] -= g[3, k]
    return nis


@kernel
def recall_step_one(F, at, decay, D, n, r, Y, room):
    """Fill r = F' r, Y = F' Y F for the step of target and shared errors; F' = (I 0; A' G')."""
    for i in range(D):
        s = r[i] if i < 3 else 0.0
        if i >= 3:
            for j in range(D):
                s += F[at, j, i] * r[j]
        room[0, i] = s
    for i in range(n):
        r[i] = room[0, i] if i < D else decay[at, i] * r[i]
    for k in range(n):
        d = decay[at, k]
        for j in range(D, n):
            Y[k, j] *= d * decay[at, j]
    for i in range(3, D):
        for k in range(n):
            room[i, k] = 0.0
        for j in range(D):
            f = F[at, j, i]
            if f != 0.0:
                for k in range(n):
                    room[i, k] += f * Y[j, k]
    for i in range(3, D):
        for k in range(n):
            Y[i, k] = room[i, k]
    for i in range(D):
        for k in range(3, D):
            s = 0.0
            for j in range(D):
                s += Y[i, j] * F[at, j, k]
            room[0, k] = s
        for k in range(3, D):
            Y[i, k] = room[0, k]
    mirror_one(D, n, Y)


@kernel
def own_slots_one(columns, sensor, D, slot, own):
    """Fill `own` as `own_columns_one` does, with places among the live errors."""
    for c in range(3):
        own[c] = c
        own[3 + c] = D + slot[columns[sensor, 0] + c] if columns[sensor, 0] >= 0 else -1
    for c in range(2):
        own[6 + c] = D + slot[columns[sensor, 1 + c]] if columns[sensor, 1 + c] >= 0 else -1
        own[8 + c] = D + slot[columns[sensor, 3] + c] if columns[sensor, 3] >= 0 else -1


@kernel
def offset_one(own, n, roots, i, x, moment, P, at, r, offset):
    """Fill `offset` (i, 3) with how far off a sensor's site is found to stand: its root times the smoothed errors."""
    for c in range(3):
        offset[i, c] = 0.0
    for c in range(3):
        error = x[moment, own[3 + c]]
        for j in range(n):
            error += P[at, c, j] * r[j]
        for q in range(3):
            offset[i, q] += roots[i, q, c] * error


@kernel
def lay_one(i, k, z_rows, site_rows, cov_rows, root_rows, offset, state, z, site, cov, C, ref):
    """Lay row i of the table on the desk, its site where it is taken to stand, and the way at moment k."""
    for c in range(3):
        z[c] = z_rows[i, c]
        site[c] = site_rows[i, c] + offset[i, c]
        ref[c] = state[k, c]
        for d in range(3):
            cov[c, d] = cov_rows[i, c, d]
            C[c, d] = root_rows[i, c, d]


@kernel
def keep_one(at, m, n, H, W, L, v, H_kept, W_kept, L_kept, v_kept):
    """Keep what came of the measurement on the desk."""
    for a in range(m):
        v_kept[at, a] = v[a]
        for c in range(OWN):
            H_kept[at, a, c] = H[a, c]
        for b in range(m):
            L_kept[at, a, b] = L[a, b]
        for k in range(n):
            W_kept[at, a, k] = W[a, k]


@kernel
def live_one(awake, live):
    """Fill `live` with the shared errors that are awake (B,) in a block; return how many they are."""
    n = 0
    for c in range(awake.shape[0]):
        if awake[c]:
            live[n] = c
            n += 1
    return n


@kernel
def awake_one(rows, way, sensors, own, same, awake):
    """Mark in which blocks each shared error is awake (blocks, B): between two words of its sensor that it connects."""
    kind, z, sensor, time_us, first = rows.kind, rows.z, rows.sensor, way.time_us, way.rows
    B = awake.shape[1]
    last, block = np.zeros(B, dtype=np.int64), np.full(B, -1)
    for k in range(time_us.shape[0]):
        b = k // BLOCK
        for i in range(first[k], first[k + 1]):
            if kind[i] == TICK or np.isnan(z[i, 0]):
                continue
            own_slots_one(sensors.columns, sensor[i], 0, same, own)
            for q in range(3, OWN):
                c = own[q]
                if c < 0:
                    continue
                if block[c] >= 0 and (time_us[k] - last[c]) * 1e-6 < FORGOTTEN * sensors.tau_s[sensors.clock[c]]:
                    for j in range(block[c], b):
                        awake[j, c] = True
                awake[b, c] = True
                last[c], block[c] = time_us[k], b


@kernel
def regather_one(D, before, n_before, after, n_after, prior, x, P, x_room, P_room):
    """Bring (x, P) from the live errors `before` to those `after`; a new one has mean 0 and variance `prior`.

    One that is left behind is not spoken of again before it is forgotten: leaving it out is exact but for rounding.
    """
    old = np.empty(n_after, dtype=np.int64)
    for q in range(n_after):
        old[q] = q if q < D else -1
        if q >= D:
            for j in range(n_before - D):
                if before[j] == after[q - D]:
                    old[q] = D + j
    for q in range(n_after):
        x_room[q] = x[old[q]] if old[q] >= 0 else 0.0
        for w in range(n_after):
            P_room[q, w] = P[old[q], old[w]] if old[q] >= 0 and old[w] >= 0 else 0.0
        if old[q] < 0:
            P_room[q, q] = prior[after[q - D]]
    for q in range(n_after):
        x[q] = x_room[q]
        for w in range(n_after):
            P[q, w] = P_room[q, w]


@kernel
def smooth_rows(rows, use, scale, way, sensors, wanted, x, P, nis, foreseen, offset):
    """Smooth a table: fill x (T, 6), P (T, 6, 6) if it is `wanted`, and `nis` (n,) of every row against all the others.

    `use` (n,) are the rows to believe, `scale` (S,) the factor on each sensor's noise. `foreseen` (n,) is the
    log-likelihood of each used row given those before it. `offset` (n, 3) is how far off the site of each sighting is
    taken to stand, on the way in (the sightings are linearised from there), and found to stand, on the way out [m].
    """
    T = way.time_us.shape[0]
    B = sensors.variance.shape[0]
    D = 9 if np.any(way.code == 1) else 6
    n_blocks = (T + BLOCK - 1) // BLOCK
    own, site = np.zeros(OWN, dtype=np.int64), np.zeros(3)
    awake = np.zeros((n_blocks, B), dtype=np.bool_)
    slot = np.arange(B)
    awake_one(rows, way, sensors, own, slot, awake)
    live, was = np.zeros(B, dtype=np.int64), np.zeros(B, dtype=np.int64)
    most, N = 1, D
    for b in range(n_blocks):
        most = max(most, way.rows[min((b + 1) * BLOCK, T)] - way.rows[b * BLOCK])
        N = max(N, D + live_one(awake[b], live))
    # Kept of a block, per row: what came of it, and the rows of P that belong to its site; per moment: x, P, F, decay.
    m_kept, H_kept, W_kept = np.zeros(most, dtype=np.int64), np.zeros((most, 3, OWN)), np.zeros((most, 3, N))
    L_kept, v_kept, site_kept = np.zeros((most, 3, 3)), np.zeros((most, 3)), np.zeros((most, 3, N))
    x_kept, P_kept = np.zeros((BLOCK, N)), np.zeros((BLOCK, D, N))
    F_kept, decay_kept = np.zeros((BLOCK, D, D)), np.ones((BLOCK, N))
    # On the desk: a row, and what comes of it.
    z, cov, C, ref, params = np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(3), np.zeros(way.params.shape[1])
    H, y, R, S = np.zeros((3, OWN)), np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3))
    W, L, v = np.zeros((3, N)), np.zeros((3, 3)), np.zeros(3)
    g, u, E, G = np.zeros((6, N)), np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3))
    J, told = np.zeros((3, OWN)), np.zeros(OWN + 1, dtype=np.int64)
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
    n, n_was = D, D
    x_room, P_room, nothing = np.zeros(N), np.zeros((N, N)), np.zeros(B)
    r, Y = np.zeros(N), np.zeros((N, N))
    D_room = np.zeros((D, N))
    phi = np.zeros(sensors.tau_s.shape[0])
    F, Q, decay = np.zeros((D, D)), np.zeros((D, D)), np.ones(N)
    tau_s, clock, variance, columns = sensors.tau_s, sensors.clock, sensors.variance, sensors.columns
    time_us, code, models, state, at_row = way.time_us, way.code, way.params, way.state, way.rows
    kind, sensor, z_rows, site_rows, cov_rows, root_rows = (
        rows.kind, rows.sensor, rows.z, rows.site, rows.cov, rows.root,
    )  # fmt: skip
    for turn in range(2 * n_blocks):
        ahead = turn < n_blocks
        b = turn if ahead else 2 * n_blocks - 1 - turn
        if turn == n_blocks:
            n = D
        n_was = n
        for c in range(n_was - D):
            was[c] = live[c]
        n = D + live_one(awake[b], live)
        for c in range(n - D):
            slot[live[c]] = c
        if ahead:
            regather_one(D, was, n_was, live, n, sensors.variance, xf, Pf, x_room, P_room)
        else:
            regather_one(D, was, n_was, live, n, nothing, r, Y, x_room, P_room)
        for i in range(n):
            if ahead:
                x_laid[b, i] = xf[i]
            else:
                xf[i] = x_laid[b, i]
            for j in range(n):
                if ahead:
                    P_laid[b, i, j] = Pf[i, j]
                else:
                    Pf[i, j] = P_laid[b, i, j]
        low, high = b * BLOCK, min((b + 1) * BLOCK, T)
        base = at_row[low]
        for k in range(low, high):
            if k > 0:
                dt = (time_us[k] - time_us[k - 1]) * 1e-6
                for c in range(phi.shape[0]):
                    phi[c] = np.exp(-dt / tau_s[c])
                for c in range(params.shape[0]):
                    params[c] = models[k, c]
                model_one(code[k], params, xf, dt, F, Q)
                for c in range(n - D):
                    decay[D + c] = phi[clock[live[c]]]
                step_one(F, Q, decay, D, n, xf, Pf, D_room)
                for c in range(n - D):
                    Pf[D + c, D + c] += (1.0 - decay[D + c] ** 2) * variance[live[c]]
            for i in range(at_row[k], at_row[k + 1]):
                if not ahead:
                    m_kept[i - base] = 0
                if (ahead and not use[i]) or kind[i] == TICK or np.isnan(z_rows[i, 0]):
                    continue
                lay_one(i, k, z_rows, site_rows, cov_rows, root_rows, offset, state, z, site, cov, C, ref)
                own_slots_one(columns, sensor[i], D, slot, own)
                m = linearise_one(ref, kind[i], z, cov, site, C, scale[sensor[i]], H, y, R)
                if m == 0:
                    nis[i] = np.inf
                    continue
                if kind[i] == LINE_OF_SIGHT:
                    # y is meant from where the site was stated: H C^-1 offset, with H[:, 3:6] = -H[:, :3] C.
                    for q in range(m):
                        for c in range(3):
                            y[q] -= H[q, c] * offset[i, c]
                likelihood = foresee_one(n, xf, Pf, ref, H, own, m, R, y, S, W, L, v)
                if use[i]:
                    absorb_one(n, xf, Pf, m, W, v)
                    foreseen[i] = likelihood
                if not ahead:
                    m_kept[i - base] = m
                    keep_one(i - base, m, n, H, W, L, v, H_kept, W_kept, L_kept, v_kept)
            if ahead:
                continue
            for i in range(n):
                x_kept[k - low, i] = xf[i]
                decay_kept[k - low, i] = decay[i]
            for i in range(D):
                for j in range(D):
                    F_kept[k - low, i, j] = F[i, j]
                for j in range(n):
                    P_kept[k - low, i, j] = Pf[i, j]
            for i in range(at_row[k], at_row[k + 1]):
                c = columns[sensor[i], 0]
                if m_kept[i - base] > 0 and kind[i] == LINE_OF_SIGHT and c >= 0:
                    for q in range(3):
                        for j in range(n):
                            site_kept[i - base, q, j] = Pf[D + slot[c + q], j]
        if ahead:
            continue
        for k in range(high - 1, low - 1, -1):
            for i in range(6):
                s = x_kept[k - low, i]
                for j in range(n):
                    s += P_kept[k - low, i, j] * r[j]
                x[k, i] = s
            if wanted:
                times_rows_one(P_kept, k - low, 6, Y, n, g)
                for i in range(6):
                    for j in range(i + 1):
                        s = P_kept[k - low, i, j]
                        for q in range(n):
                            s -= g[i, q] * P_kept[k - low, j, q]
                        P[k, i, j] = s
                        P[k, j, i] = s
            for i in range(at_row[k], at_row[k + 1]):
                if m_kept[i - base] > 0 and kind[i] == LINE_OF_SIGHT:
                    own_slots_one(columns, sensor[i], D, slot, own)
                    if own[3] >= 0:
                        offset_one(own, n, root_rows, i, x_kept, k - low, site_kept, i - base, r, offset)
            for i in range(at_row[k + 1] - 1, at_row[k] - 1, -1):
                if m_kept[i - base] > 0:
                    own_slots_one(columns, sensor[i], D, slot, own)
                    nis[i] = recall_one(
                        n, i - base, m_kept[i - base], H_kept, W_kept, L_kept, v_kept, own, use[i], r, Y,
                        g, u, E, G, J, told,
                    )  # fmt: skip
            if k > 0:
                recall_step_one(F_kept, k - low, decay_kept, D, n, r, Y, D_room)
