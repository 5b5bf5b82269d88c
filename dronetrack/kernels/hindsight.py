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
n           as a size: the target and the errors that are live, N at most; `wide` is n in whole lanes (see `lanes`), and
            what stands behind n is 0

The past is filtered twice: once to lay down a state at the start of each block of moments, once more in each block, so
that what the way back needs is kept for one block only.

A measurement that is not used is asked all the same: its NIS against all that are used says whether it should be.

No row of an array is taken as a view where a loop runs: numba counts references to views, atomically, and that took a
fifth of the time. What a row of the table says is laid on a desk; what is kept is read in place, at `at`.
"""

from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.lanes import LANES, add_row_one, dot_one, lanes_for_one, put, spread, take
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
def mirror_one(D, n, P):
    """Copy what stands right of the diagonal block to below it, and make the block itself symmetric to the bit."""
    for i in range(D):
        for k in range(i):
            P[k, i] = P[i, k]
        for k in range(D, n):
            P[k, i] = P[i, k]


@kernel
def decay_one(decay, at, n, wide, P):
    """Let the shared errors decay in P: row `at` of `decay` has 1 for the target."""
    for k in range(0, wide, LANES):
        d = take(decay, (at, k))
        for i in range(n):
            put(P, (i, k), take(P, (i, k)) * (decay[at, i] * d))


@kernel
def step_one(F, Q, decay, at, D, n, wide, x, P, room):
    """Fill x = F x, P = F P F' + Q: the target moves, each shared error decays towards its prior; F = (I A; 0 G)."""
    for i in range(D):
        s = x[i] if i < 3 else 0.0
        for j in range(3, D):
            s += F[i, j] * x[j]
        room[0, i] = s
    for i in range(n):
        x[i] = room[0, i] if i < D else decay[at, i] * x[i]
    decay_one(decay, at, n, wide, P)
    for k in range(0, wide, LANES):
        for i in range(D):
            w = take(P, (i, k)) if i < 3 else spread(0.0)
            for j in range(3, D):
                w += F[i, j] * take(P, (j, k))
            put(room, (i, k), w)
        for i in range(D):
            put(P, (i, k), take(room, (i, k)))
    for i in range(D):
        for k in range(D):
            s = P[i, k] if k < 3 else 0.0
            for j in range(3, D):
                s += P[i, j] * F[k, j]
            room[0, k] = s
        for k in range(D):
            P[i, k] = room[0, k] + Q[i, k]
    mirror_one(D, n, P)


@kernel
def foresee_one(wide, x, P, ref, H, own, m, R, y, S, E, at, W, L, v):
    """Fill W = P H' L^-T (m, n), L and v = L^-1 y of one measurement, linear about `ref`; return its log-likelihood.

    What comes of it is kept at `at`: three rows of W and L each.
    """
    a = 3 * at
    for r in range(m):
        s = y[r]
        for c in range(3):
            s -= H[r, c] * (x[c] - ref[c])
        for c in range(3, OWN):
            if own[c] >= 0:
                s -= H[r, c] * x[own[c]]
        y[r] = s
    for r in range(m):
        for k in range(0, wide, LANES):
            w = spread(0.0)
            for c in range(OWN):
                if own[c] >= 0:
                    w += H[r, c] * take(P, (own[c], k))
            put(W, (a + r, k), w)
        for q in range(r + 1):
            s = R[r, q]
            for c in range(OWN):
                if own[c] >= 0:
                    s += H[r, c] * W[a + q, own[c]]
            S[r, q] = s
            S[q, r] = s
    cholesky_one(S, m, E)
    foreseen = -0.5 * m * LOG_2PI
    det = 1.0
    for r in range(m):
        s = y[r]
        for q in range(r):
            L[a + r, q] = E[r, q]
            s -= E[r, q] * v[at, q]
            add_row_one(W, a + r, -E[r, q], W, a + q, wide)
        L[a + r, r] = E[r, r]
        part = 1.0 / E[r, r]
        v[at, r] = s / E[r, r]
        for k in range(0, wide, LANES):
            put(W, (a + r, k), part * take(W, (a + r, k)))
        foreseen -= 0.5 * v[at, r] ** 2
        det *= E[r, r]
    return foreseen - np.log(det)


@kernel
def absorb_one(n, wide, x, P, at, m, W, v):
    """Update (x, P) by one measurement: x + W' v, P - W' W."""
    a, b, c = 3 * at, 3 * at + 1, 3 * at + 2
    for r in range(m):
        for k in range(0, wide, LANES):
            put(x, (k,), take(x, (k,)) + v[at, r] * take(W, (a + r, k)))
    # All components in one pass over P.
    for j in range(0, wide, LANES):
        w0, w1, w2 = take(W, (a, j)), take(W, (b, j)), take(W, (c, j))
        if m == 1:
            for k in range(n):
                put(P, (k, j), take(P, (k, j)) - W[a, k] * w0)
        elif m == 2:
            for k in range(n):
                put(P, (k, j), take(P, (k, j)) - (W[a, k] * w0 + W[b, k] * w1))
        else:
            for k in range(n):
                put(P, (k, j), take(P, (k, j)) - (W[a, k] * w0 + W[b, k] * w1 + W[c, k] * w2))


@kernel
def times_rows_one(A, at, m, Y, wide, G):
    """Fill the first m rows of G with those of A from `at` on times Y: two at a time, two sums of each."""
    for a in range(0, m, 2):
        b = min(a + 1, m - 1)
        for k in range(0, wide, LANES):
            a0, a1, b0, b1 = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
            for j in range(0, wide, 2):
                y0, y1 = take(Y, (j, k)), take(Y, (j + 1, k))
                a0 += A[at + a, j] * y0
                a1 += A[at + a, j + 1] * y1
                b0 += A[at + b, j] * y0
                b1 += A[at + b, j + 1] * y1
            put(G, (a, k), a0 + a1)
            put(G, (b, k), b0 + b1)


@kernel
def recall_one(n, wide, at, m, H, W, L, v, own, used, r, Y, g, u, E, G, J, told):
    """Take one measurement back into (r, Y) if it was used; return the NIS that it has against all the others."""
    first = 3 * at
    for a in range(m):
        u[a] = v[at, a] - dot_one(W, first + a, r, 0, wide)
    times_rows_one(W, first, m, Y, wide, g)
    # Y and G stay symmetric to the bit: what is not symmetric in them would grow on the way back.
    for a in range(m):
        for b in range(a + 1):
            s = dot_one(W, first + a, g, b, wide)
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
            s = H[first + a, c] if own[c] >= 0 else 0.0
            for b in range(a):
                s -= L[first + a, b] * J[b, c]
            J[a, c] = s / L[first + a, a]
            some |= J[a, c] != 0.0
        n_told += some
    for q in range(n_told):
        c = told[q]
        r[0, own[c]] += J[0, c] * u[0] + J[1, c] * u[1] + J[2, c] * u[2]
        for a in range(m):
            s = 0.0
            for b in range(m):
                s += G[a, b] * J[b, c]
            g[a, own[c]] -= 0.5 * s
    for q in range(n_told):
        row, c = own[told[q]], told[q]
        for k in range(0, wide, LANES):
            w = J[0, c] * take(g, (0, k)) + J[1, c] * take(g, (1, k)) + J[2, c] * take(g, (2, k))
            put(g, (3, k), w)
            put(Y, (row, k), take(Y, (row, k)) - w)
        for k in range(n):
            Y[k, row] -= g[3, k]
    return nis


@kernel
def recall_step_one(F, at, decay, D, n, wide, r, Y, room):
    """Fill r = F' r, Y = F' Y F for the step of target and shared errors; F' = (I 0; A' G')."""
    for i in range(D):
        s = r[0, i] if i < 3 else 0.0
        if i >= 3:
            for j in range(D):
                s += F[at, j, i] * r[0, j]
        room[0, i] = s
    for i in range(n):
        r[0, i] = room[0, i] if i < D else decay[at, i] * r[0, i]
    decay_one(decay, at, n, wide, Y)
    for k in range(0, wide, LANES):
        for i in range(3, D):
            w = spread(0.0)
            for j in range(D):
                w += F[at, j, i] * take(Y, (j, k))
            put(room, (i, k), w)
        for i in range(3, D):
            put(Y, (i, k), take(room, (i, k)))
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
def offset_one(own, wide, roots, i, x, moment, P, at, r, offset):
    """Fill `offset` (i, 3) with how far off a sensor's site is found to stand: its root times the smoothed errors."""
    for c in range(3):
        offset[i, c] = 0.0
    for c in range(3):
        error = x[moment, own[3 + c]] + dot_one(P, 3 * at + c, r, 0, wide)
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
    for q in range(x.shape[0]):
        x[q] = x_room[q] if q < n_after else 0.0
        for w in range(x.shape[0]):
            P[q, w] = P_room[q, w] if max(q, w) < n_after else 0.0


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
    N = lanes_for_one(N)
    # Kept of a block, per row: what came of it, and the rows of P that belong to its site; per moment: x, P, F, decay.
    m_kept, H_kept, W_kept = np.zeros(most, dtype=np.int64), np.zeros((3 * most, OWN)), np.zeros((3 * most, N))
    L_kept, v_kept, site_kept = np.zeros((3 * most, 3)), np.zeros((most, 3)), np.zeros((3 * most, N))
    x_kept, P_kept = np.zeros((BLOCK, N)), np.zeros((BLOCK * D, N))
    F_kept, decay = np.zeros((BLOCK, D, D)), np.ones((BLOCK, N))
    # On the desk: a row, and what comes of it.
    z, cov, C, ref, params = np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(3), np.zeros(way.params.shape[1])
    H, y, R, S = np.zeros((3, OWN)), np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3))
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
    r, Y = np.zeros((1, N)), np.zeros((N, N))
    D_room = np.zeros((D, N))
    phi = np.zeros(sensors.tau_s.shape[0])
    F, Q = np.zeros((D, D)), np.zeros((D, D))
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
        wide = lanes_for_one(n)
        for c in range(n - D):
            slot[live[c]] = c
        if ahead:
            regather_one(D, was, n_was, live, n, sensors.variance, xf, Pf, x_room, P_room)
        else:
            regather_one(D, was, n_was, live, n, nothing, r[0], Y, x_room, P_room)
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
                    decay[k - low, D + c] = phi[clock[live[c]]]
                step_one(F, Q, decay, k - low, D, n, wide, xf, Pf, D_room)
                for c in range(n - D):
                    Pf[D + c, D + c] += (1.0 - decay[k - low, D + c] ** 2) * variance[live[c]]
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
                at = 0 if ahead else i - base
                likelihood = foresee_one(wide, xf, Pf, ref, H, own, m, R, y, S, E, at, W_kept, L_kept, v_kept)
                if use[i]:
                    absorb_one(n, wide, xf, Pf, at, m, W_kept, v_kept)
                    foreseen[i] = likelihood
                if not ahead:
                    m_kept[at] = m
                    for q in range(m):
                        for c in range(OWN):
                            H_kept[3 * at + q, c] = H[q, c]
            if ahead:
                continue
            for j in range(0, wide, LANES):
                put(x_kept, (k - low, j), take(xf, (j,)))
                for i in range(D):
                    put(P_kept, ((k - low) * D + i, j), take(Pf, (i, j)))
            for i in range(D):
                for j in range(D):
                    F_kept[k - low, i, j] = F[i, j]
            for i in range(at_row[k], at_row[k + 1]):
                c = columns[sensor[i], 0]
                if m_kept[i - base] > 0 and kind[i] == LINE_OF_SIGHT and c >= 0:
                    for q in range(3):
                        for j in range(0, wide, LANES):
                            put(site_kept, (3 * (i - base) + q, j), take(Pf, (D + slot[c + q], j)))
        if ahead:
            continue
        for k in range(high - 1, low - 1, -1):
            here = (k - low) * D
            for i in range(6):
                x[k, i] = x_kept[k - low, i] + dot_one(P_kept, here + i, r, 0, wide)
            if wanted:
                times_rows_one(P_kept, here, 6, Y, wide, g)
                for i in range(6):
                    for j in range(i + 1):
                        s = P_kept[here + i, j] - dot_one(g, i, P_kept, here + j, wide)
                        P[k, i, j] = s
                        P[k, j, i] = s
            for i in range(at_row[k], at_row[k + 1]):
                if m_kept[i - base] > 0 and kind[i] == LINE_OF_SIGHT:
                    own_slots_one(columns, sensor[i], D, slot, own)
                    if own[3] >= 0:
                        offset_one(own, wide, root_rows, i, x_kept, k - low, site_kept, i - base, r, offset)
            for i in range(at_row[k + 1] - 1, at_row[k] - 1, -1):
                if m_kept[i - base] > 0:
                    own_slots_one(columns, sensor[i], D, slot, own)
                    nis[i] = recall_one(
                        n, wide, i - base, m_kept[i - base], H_kept, W_kept, L_kept, v_kept, own, use[i], r, Y,
                        g, u, E, G, J, told,
                    )  # fmt: skip
            if k > 0:
                recall_step_one(F_kept, k - low, decay, D, n, wide, r, Y, D_room)
