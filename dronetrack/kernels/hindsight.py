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
"""

from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.motion import model_one, turned_one, up_one
from dronetrack.kernels.updates import LINE_OF_SIGHT, LOG_2PI, OWN, TICK, cholesky_one, linearise_one, own_columns_one

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


class Kept(NamedTuple):
    """What the way back needs of one block.

    Per row H, W, L, v, its number of components m, and the rows `site` (3, N) of P that belong to its site; per moment
    x (N,), the target's rows P (D, N), F, decay (N,).
    """

    H: np.ndarray
    W: np.ndarray
    L: np.ndarray
    v: np.ndarray
    m: np.ndarray
    site: np.ndarray
    x: np.ndarray
    P: np.ndarray
    F: np.ndarray
    decay: np.ndarray


class Room(NamedTuple):
    """Room to work in; what stands in it is finite."""

    g: np.ndarray
    u: np.ndarray
    y: np.ndarray
    R: np.ndarray
    S: np.ndarray
    E: np.ndarray
    J: np.ndarray
    told: np.ndarray


@kernel
def rows_by_one(F, D, n, P, room):
    """Fill the first D rows of P with F times them; F is the identity on the position: (I A; 0 G)."""
    for i in range(D):
        for k in range(n):
            room[i, k] = P[i, k] if i < 3 else 0.0
        for j in range(3, D):
            f = F[i, j]
            if f != 0.0:
                for k in range(n):
                    room[i, k] += f * P[j, k]
    for i in range(D):
        for k in range(n):
            P[i, k] = room[i, k]


@kernel
def mirror_one(D, n, P):
    """Copy what stands right of the diagonal block to below it, and make the block itself symmetric to the bit."""
    for i in range(D):
        for k in range(i):
            P[k, i] = P[i, k]
        for k in range(D, n):
            P[k, i] = P[i, k]


@kernel
def step_one(F, Q, decay, n, x, P, room):
    """Fill x = F x, P = F P F' + Q: the target moves, each shared error decays towards its prior."""
    D = F.shape[0]
    for i in range(D):
        s = x[i] if i < 3 else 0.0
        for j in range(3, D):
            s += F[i, j] * x[j]
        room[0, i] = s
    for i in range(n):
        x[i] = room[0, i] if i < D else decay[i] * x[i]
    for k in range(n):
        d = decay[k]
        for j in range(n):
            P[k, j] *= d * decay[j]
    rows_by_one(F, D, n, P, room)
    columns_by_one(F, D, P, room)
    for i in range(D):
        for j in range(D):
            P[i, j] += Q[i, j]
    mirror_one(D, n, P)


@kernel
def columns_by_one(F, D, P, room):
    """Fill the leading (D, D) of P with itself times F', F = (I A; 0 G)."""
    for i in range(D):
        for k in range(D):
            s = P[i, k] if k < 3 else 0.0
            for j in range(3, D):
                s += P[i, j] * F[k, j]
            room[0, k] = s
        for k in range(D):
            P[i, k] = room[0, k]


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
        w, h0, h1, h2 = W[r], H[r, 0], H[r, 1], H[r, 2]
        if own[3] >= 0:
            q, h3, h4, h5 = own[3], H[r, 3], H[r, 4], H[r, 5]
            for k in range(n):
                w[k] = P[0, k] * h0 + P[1, k] * h1 + P[2, k] * h2 + P[q, k] * h3 + P[q + 1, k] * h4 + P[q + 2, k] * h5
        else:
            for k in range(n):
                w[k] = P[0, k] * h0 + P[1, k] * h1 + P[2, k] * h2
        for c in range(6, OWN):
            if own[c] >= 0 and H[r, c] != 0.0:
                h, q = H[r, c], own[c]
                for k in range(n):
                    w[k] += P[q, k] * h
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
def times_one(w, Y, n, out):
    """Fill `out` (n,) with w' Y, four rows of Y at a time."""
    for k in range(n):
        out[k] = 0.0
    whole = n - n % 4
    for j in range(0, whole, 4):
        w0, w1, w2, w3 = w[j], w[j + 1], w[j + 2], w[j + 3]
        for k in range(n):
            out[k] += w0 * Y[j, k] + w1 * Y[j + 1, k] + w2 * Y[j + 2, k] + w3 * Y[j + 3, k]
    for j in range(whole, n):
        for k in range(n):
            out[k] += w[j] * Y[j, k]


@kernel
def recall_one(n, H, own, m, W, L, v, used, r, Y, room):
    """Take one measurement back into (r, Y) if it was used; return the NIS that it has against all the others."""
    g, u, E, G, J, told = room.g, room.u, room.E, room.S, room.J, room.told
    pulled = g[3]
    for a in range(m):
        s = v[a]
        for k in range(n):
            s -= W[a, k] * r[k]
        u[a] = s
        times_one(W[a], Y, n, g[a])
    # Y and G stay symmetric to the bit: what is not symmetric in them would grow on the way back.
    for a in range(m):
        for b in range(a + 1):
            s = 0.0
            for k in range(n):
                s += W[a, k] * g[b, k]
            s = (1.0 if a == b else 0.0) + (s if used else -s)
            G[a, b] = s
            G[b, a] = s
    # In whitened coordinates u ~ (0, G).
    cholesky_one(G, m, E)
    nis = 0.0
    for a in range(m):
        s = u[a]
        for b in range(a):
            s -= E[a, b] * v[b]
        v[a] = s / E[a, a]
        nis += v[a] * v[a]
    if not used:
        return nis
    # J = L^-1 H: r += J' u, Y += J' G J - (Y W) J - J' (Y W)'.
    for c in range(OWN):
        for a in range(3):
            s = H[a, c] if a < m and own[c] >= 0 else 0.0
            for b in range(a):
                s -= L[a, b] * J[b, c]
            J[a, c] = s / L[a, a] if a < m else 0.0
    n_told = 0
    for c in range(OWN):
        if own[c] >= 0 and (J[0, c] != 0.0 or J[1, c] != 0.0 or J[2, c] != 0.0):
            told[n_told] = c
            n_told += 1
    for q in range(n_told):
        row, j0, j1, j2 = own[told[q]], J[0, told[q]], J[1, told[q]], J[2, told[q]]
        r[row] += j0 * u[0] + j1 * u[1] + j2 * u[2]
        for k in range(n):
            pulled[k] = g[0, k] * j0 + g[1, k] * j1 + g[2, k] * j2
        for k in range(n):
            Y[row, k] -= pulled[k]
        for k in range(n):
            Y[k, row] -= pulled[k]
    for q in range(n_told):
        for p in range(q + 1):
            c, d = told[q], told[p]
            s = 0.0
            for a in range(m):
                for b in range(m):
                    s += J[a, c] * G[a, b] * J[b, d]
            Y[own[c], own[d]] += s
            if p < q:
                Y[own[d], own[c]] += s
    return nis


@kernel
def recall_step_one(F, decay, n, r, Y, room):
    """Fill r = F' r, Y = F' Y F for the step of target and shared errors; F' = (I 0; A' G')."""
    D = F.shape[0]
    for i in range(D):
        s = r[i] if i < 3 else 0.0
        if i >= 3:
            for j in range(D):
                s += F[j, i] * r[j]
        room[0, i] = s
    for i in range(n):
        r[i] = room[0, i] if i < D else decay[i] * r[i]
    for k in range(n):
        d = decay[k]
        for j in range(n):
            Y[k, j] *= d * decay[j]
    for i in range(3, D):
        for k in range(n):
            room[i, k] = 0.0
        for j in range(D):
            f = F[j, i]
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
                s += Y[i, j] * F[j, k]
            room[0, k] = s
        for k in range(3, D):
            Y[i, k] = room[0, k]
    mirror_one(D, n, Y)


@kernel
def own_slots_one(columns, D, slot, own):
    """Fill `own` as `own_columns_one` does, with places among the live errors."""
    own_columns_one(columns, 0, own)
    for c in range(3):
        own[c] = c
    for c in range(3, OWN):
        if own[c] >= 0:
            own[c] = D + slot[own[c]]


@kernel
def offset_one(own, n, root, x, P, r, offset):
    """Fill `offset` (3,) with how far off a sensor's site is found to stand: its root times the smoothed errors."""
    for c in range(3):
        offset[c] = 0.0
    for c in range(3):
        error = x[own[3 + c]]
        for j in range(n):
            error += P[c, j] * r[j]
        for i in range(3):
            offset[i] += root[i, c] * error


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
def says_one(rows, i):
    """Return whether a row says anything."""
    return rows.kind[i] != TICK and not np.isnan(rows.z[i, 0])


@kernel
def awake_one(rows, way, sensors, own, awake):
    """Mark in which blocks each shared error is awake (blocks, B): between two words of its sensor that it connects."""
    B = awake.shape[1]
    last, block = np.zeros(B, dtype=np.int64), np.full(B, -1)
    for k in range(way.time_us.shape[0]):
        b = k // BLOCK
        for i in range(way.rows[k], way.rows[k + 1]):
            if not says_one(rows, i):
                continue
            own_columns_one(sensors.columns[rows.sensor[i]], 0, own)
            for q in range(3, OWN):
                c = own[q]
                if c < 0:
                    continue
                if block[c] >= 0 and (way.time_us[k] - last[c]) * 1e-6 < FORGOTTEN * sensors.tau_s[sensors.clock[c]]:
                    awake[block[c] : b, c] = True
                awake[b, c] = True
                last[c], block[c] = way.time_us[k], b


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
    awake_one(rows, way, sensors, own, awake)
    live, was = np.zeros(B, dtype=np.int64), np.zeros(B, dtype=np.int64)
    slot = np.zeros(B, dtype=np.int64)
    most, N = 1, D
    for b in range(n_blocks):
        most = max(most, way.rows[min((b + 1) * BLOCK, T)] - way.rows[b * BLOCK])
        N = max(N, D + live_one(awake[b], live))
    kept = Kept(
        np.zeros((most, 3, OWN)), np.zeros((most, 3, N)), np.zeros((most, 3, 3)), np.zeros((most, 3)),
        np.zeros(most, dtype=np.int64), np.zeros((most, 3, N)), np.zeros((BLOCK, N)), np.zeros((BLOCK, D, N)),
        np.zeros((BLOCK, D, D)), np.ones((BLOCK, N)),
    )  # fmt: skip
    room = Room(
        np.zeros((6, N)), np.zeros(3), np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3)),
        np.zeros((3, OWN)), np.zeros(OWN, dtype=np.int64),
    )  # fmt: skip
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
    Q = np.zeros((D, D))
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
        base = way.rows[low]
        for k in range(low, high):
            F = kept.F[k - low]
            decay = kept.decay[k - low]
            if k > 0:
                dt = (way.time_us[k] - way.time_us[k - 1]) * 1e-6
                for c in range(phi.shape[0]):
                    phi[c] = np.exp(-dt / sensors.tau_s[c])
                model_one(way.code[k], way.params[k], xf, dt, F, Q)
                for c in range(n - D):
                    decay[D + c] = phi[sensors.clock[live[c]]]
                step_one(F, Q, decay, n, xf, Pf, D_room)
                for c in range(n - D):
                    Pf[D + c, D + c] += (1.0 - decay[D + c] ** 2) * sensors.variance[live[c]]
            for i in range(way.rows[k], way.rows[k + 1]):
                at = i - base
                kept.m[at] = 0
                if not says_one(rows, i) or (ahead and not use[i]):
                    continue
                s = rows.sensor[i]
                H, W, L, v, y = kept.H[at], kept.W[at], kept.L[at], kept.v[at], room.y
                own_slots_one(sensors.columns[s], D, slot, own)
                for c in range(3):
                    site[c] = rows.site[i, c] + offset[i, c]
                m = linearise_one(
                    way.state[k], rows.kind[i], rows.z[i], rows.cov[i], site, rows.root[i], scale[s], H, y, room.R
                )
                kept.m[at] = m
                if m == 0:
                    nis[i] = np.inf
                    continue
                if rows.kind[i] == LINE_OF_SIGHT:
                    # y is meant from where the site was stated: H C^-1 offset, with H[:, 3:6] = -H[:, :3] C.
                    for q in range(m):
                        for c in range(3):
                            y[q] -= H[q, c] * offset[i, c]
                likelihood = foresee_one(n, xf, Pf, way.state[k], H, own, m, room.R, y, room.S, W, L, v)
                if use[i]:
                    absorb_one(n, xf, Pf, m, W, v)
                    foreseen[i] = likelihood
            if ahead:
                continue
            for i in range(n):
                kept.x[k - low, i] = xf[i]
            for i in range(D):
                for j in range(n):
                    kept.P[k - low, i, j] = Pf[i, j]
            for i in range(way.rows[k], way.rows[k + 1]):
                columns = sensors.columns[rows.sensor[i]]
                if kept.m[i - base] > 0 and rows.kind[i] == LINE_OF_SIGHT and columns[0] >= 0:
                    for c in range(3):
                        for j in range(n):
                            kept.site[i - base, c, j] = Pf[D + slot[columns[0]] + c, j]
        if ahead:
            continue
        for k in range(high - 1, low - 1, -1):
            PD = kept.P[k - low]
            for i in range(6):
                s = kept.x[k - low, i]
                for j in range(n):
                    s += PD[i, j] * r[j]
                x[k, i] = s
            if wanted:
                for i in range(6):
                    times_one(PD[i], Y, n, room.g[i])
                for i in range(6):
                    for j in range(i + 1):
                        s = PD[i, j]
                        for q in range(n):
                            s -= room.g[i, q] * PD[j, q]
                        P[k, i, j] = s
                        P[k, j, i] = s
            for i in range(way.rows[k], way.rows[k + 1]):
                if kept.m[i - base] > 0 and rows.kind[i] == LINE_OF_SIGHT:
                    own_slots_one(sensors.columns[rows.sensor[i]], D, slot, own)
                    if own[3] >= 0:
                        offset_one(own, n, rows.root[i], kept.x[k - low], kept.site[i - base], r, offset[i])
            for i in range(way.rows[k + 1] - 1, way.rows[k] - 1, -1):
                at = i - base
                if kept.m[at] > 0:
                    own_slots_one(sensors.columns[rows.sensor[i]], D, slot, own)
                    nis[i] = recall_one(
                        n, kept.H[at], own, kept.m[at], kept.W[at], kept.L[at], kept.v[at], use[i], r, Y, room
                    )  # fmt: skip
            if k > 0:
                recall_step_one(kept.F[k - low], kept.decay[k - low], n, r, Y, D_room)
