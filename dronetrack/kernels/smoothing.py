"""The backward pass: what later measurements say about an earlier state (Rauch, Tung, Striebel).

Legend
------
n, N          steps of a sequence; size of a state (any), d where it is a target's own (6 or 9)
M             number of models
x, P          filtered mean (N,) and covariance (N, N)
F, Q (N, N)   transition and noise of the step that follows
G (N, N)      smoother gain, G = P F' (F P F' + Q)^-1
C (N, N)      what stays unknown when the next state is known: (I - G F) P (I - G F)' + G Q G'
ahead (N,)    predicted mean F x
xn, Pn        smoothed mean and covariance of the next step

``xs = x + G (xn - F x)``, ``Ps = C + G Pn G'`` (Rauch, Tung, Striebel 1965, doi:10.2514/3.3166). C is written as a sum
of squares, as Joseph did for the update: no rounding takes a covariance below zero, however much better the future
knows than the past. G and C need the filtered values alone, so the gains of a block of steps are made side by side.

For six components of the code VELOCITY the same comes with half the multiplications from `generated_smoothing`: on axes
of which one is the local up the noise of a step is six independent numbers, and each is taken away by itself. That
divides by what is known of P; where next to nothing is left to divide by, the step goes the general way.
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.generated_smoothing import (
    AHEAD,
    BLOCK,
    N_ROWS,
    NEXT,
    SAFE,
    STEP,
    back6_one,
    gains6_one,
    turn6_one,
)
from dronetrack.kernels.generated_smoothing import C as C_ROW
from dronetrack.kernels.generated_smoothing import G as G_ROW
from dronetrack.kernels.generated_smoothing import P as P_ROW
from dronetrack.kernels.mixture import mix_one, spread_one, weigh_one
from dronetrack.kernels.motion import VELOCITY, chain_one, model_one, switching_one, up_one

FROM = P_ROW - 6
LENGTH = NEXT + 27  # row of B that holds the step, in a bank
BANK_ROWS = LENGTH + 1
SIDE_BY_SIDE = 128  # blocks: longer rows are read and written faster, until they leave the caches
_LANES = np.uint64(BLOCK)

N_WORK = 4  # matrices (N, N) that `gain_one` needs to work in


@kernel
def gain_one(F, Q, x, P, G, C, ahead, work):
    """Fill G, C and ahead; `work` (N_WORK, N, N) keeps L of F P F' + Q = L L' in ``work[1]``, with 1 / L_ii.

    A direction in which nothing is uncertain, neither before the step nor after it, gets no gain.
    """
    N = x.shape[0]
    T, L, A, B = work[0], work[1], work[2], work[3]
    for i in range(N):
        s = 0.0
        for j in range(N):
            s += F[i, j] * x[j]
            T[i, j] = 0.0
        ahead[i] = s
        for k in range(N):
            if F[i, k] != 0.0:
                for j in range(N):
                    T[i, j] += F[i, k] * P[k, j]
    for i in range(N):
        for j in range(i + 1):
            s = Q[i, j]
            for k in range(N):
                s += T[i, k] * F[j, k]
            L[i, j] = s
    factor_one(L)
    solve_lower_one(L, T)
    solve_upper_one(L, T)
    for i in range(N):
        for j in range(N):
            G[i, j] = T[j, i]
            A[i, j] = 1.0 if i == j else 0.0
        for k in range(N):
            for j in range(N):
                A[i, j] -= G[i, k] * F[k, j]
    sandwich_one(A, P, B, C, False)
    sandwich_one(G, Q, B, C, True)


@kernel
def factor_one(L):
    """Turn the lower triangle of L into its Cholesky factor, with 1 / L_ii on the diagonal; 0 where A is singular."""
    N = L.shape[0]
    for i in range(N):
        for j in range(i + 1):
            s = L[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                L[i, i] = 1.0 / np.sqrt(s) if s > 1e-15 * L[i, i] else 0.0
            else:
                L[i, j] = s * L[j, j]


@kernel
def solve_lower_one(L, T):
    """Replace T by L^-1 T, L as `factor_one` leaves it."""
    N, columns = T.shape
    for i in range(N):
        for k in range(i):
            for j in range(columns):
                T[i, j] -= L[i, k] * T[k, j]
        for j in range(columns):
            T[i, j] *= L[i, i]


@kernel
def solve_vector_one(L, v):
    """Replace v by L^-1 v."""
    for i in range(v.shape[0]):
        s = v[i]
        for j in range(i):
            s -= L[i, j] * v[j]
        v[i] = s * L[i, i]


@kernel
def solve_upper_one(L, T):
    """Replace T by L^-T T."""
    N, columns = T.shape
    for i in range(N - 1, -1, -1):
        for k in range(i + 1, N):
            for j in range(columns):
                T[i, j] -= L[k, i] * T[k, j]
        for j in range(columns):
            T[i, j] *= L[i, i]


@kernel
def sandwich_one(A, S, B, out, add):
    """Fill `out` with ``A S A'``, or add it; S is symmetric. `B` (N, N) is room."""
    N = A.shape[0]
    for i in range(N):
        for j in range(N):
            B[i, j] = 0.0
        for k in range(N):
            for j in range(N):
                B[i, j] += A[i, k] * S[k, j]
        for j in range(i + 1):
            s = 0.0
            for k in range(N):
                s += B[i, k] * A[j, k]
            out[i, j] = out[i, j] + s if add else s
            out[j, i] = out[i, j]


@kernel
def carry_one(G, C, ahead, x, xn, Pn, x_out, P_out, work):
    """Fill the smoothed mean and covariance from those of the next step; `work` (2, N, N); outputs may be inputs."""
    N = x.shape[0]
    B, S = work[0], work[1]
    for i in range(N):
        s = 0.0
        for j in range(N):
            s += G[i, j] * (xn[j] - ahead[j])
        S[0, i] = x[i] + s
    for i in range(N):
        x_out[i] = S[0, i]
    sandwich_one(G, Pn, B, S, False)
    for i in range(N):
        for j in range(N):
            P_out[i, j] = C[i, j] + S[i, j]


@kernel
def rts_one(F, Q, x, P, xn, Pn, x_out, P_out, G, C, ahead, work):
    """Take the smoothed state back over one step with any F and Q: `gain_one`, then `carry_one`."""
    gain_one(F, Q, x, P, G, C, ahead, work)
    carry_one(G, C, ahead, x, xn, Pn, x_out, P_out, work[2:])


@kernel
def carry6_one(B, i, x, xn, Pn, x_out, P_out, T):
    """Do `carry_one` for six components, with the gain of step `i` of a block; `T` (6, 6) is room."""
    e0 = xn[0] - B[AHEAD * BLOCK + i]
    e1 = xn[1] - B[(AHEAD + 1) * BLOCK + i]
    e2 = xn[2] - B[(AHEAD + 2) * BLOCK + i]
    e3 = xn[3] - B[(AHEAD + 3) * BLOCK + i]
    e4 = xn[4] - B[(AHEAD + 4) * BLOCK + i]
    e5 = xn[5] - B[(AHEAD + 5) * BLOCK + i]
    for a in range(6):
        row = (G_ROW + 6 * a) * BLOCK + i
        g0, g1, g2 = B[row], B[row + BLOCK], B[row + 2 * BLOCK]
        g3, g4, g5 = B[row + 3 * BLOCK], B[row + 4 * BLOCK], B[row + 5 * BLOCK]
        for b in range(6):
            T[b, a] = g0 * Pn[0, b] + g1 * Pn[1, b] + g2 * Pn[2, b] + g3 * Pn[3, b] + g4 * Pn[4, b] + g5 * Pn[5, b]
        x_out[a] = x[a] + (g0 * e0 + g1 * e1 + g2 * e2 + g3 * e3 + g4 * e4 + g5 * e5)
    for b in range(6):
        row = (G_ROW + 6 * b) * BLOCK + i
        g0, g1, g2 = B[row], B[row + BLOCK], B[row + 2 * BLOCK]
        g3, g4, g5 = B[row + 3 * BLOCK], B[row + 4 * BLOCK], B[row + 5 * BLOCK]
        for a in range(b, 6):
            s = B[(C_ROW + b * (11 - b) // 2 + a) * BLOCK + i]
            s += T[0, a] * g0 + T[1, a] * g1 + T[2, a] * g2 + T[3, a] * g3 + T[4, a] * g4 + T[5, a] * g5
            P_out[a, b] = s
            P_out[b, a] = s


@kernel
def fill_one(params, dt, x, P, first, B):
    """Lay steps `first` .. `first` + BLOCK - 1 of a sequence side by side; steps beyond the last repeat it."""
    known, f0, f1, phi, beta, qp, qv = -1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(BLOCK):
        k = min(first + i, dt.shape[0] - 1)
        if dt[k] != known:
            known = dt[k]
            f0, f1, phi, beta, qp, qv = separate_one(known, params[2])
        row = STEP * BLOCK + i
        B[row], B[row + BLOCK], B[row + 2 * BLOCK] = f0, phi, beta
        B[row + 3 * BLOCK], B[row + 4 * BLOCK] = qp, qv
        row = P_ROW * BLOCK + i
        for a in range(6):
            B[a * BLOCK + i] = x[k, a]
            B[(AHEAD + a) * BLOCK + i] = x[k, a] + f1 * x[k, a + 3] if a < 3 else f0 * x[k, a]
            for b in range(a, 6):
                # Over no time the gain is one, whatever the covariance: with a unit matrix it is so to the bit.
                B[row] = P[k, a, b] if known > 0.0 else (1.0 if a == b else 0.0)
                row += BLOCK


@kernel
def separate_one(dt, rate):
    """Return f0, f1 of a step, and phi, beta, qp, qv: the noise of a position at the end less beta times the speed."""
    f0, f1, _, q00, q01, q11, _, _, _ = chain_one(dt, rate)
    beta = q01 / q00 if q00 > 0.0 else 0.0
    return f0, f1, f1 - beta * f0, beta, max(q11 - beta * q01, 0.0), q00


@kernel
def mirrors_one(B, W):
    """Fill W with the reflections that take the local up at x to the third axis, either way round."""
    for i in range(BLOCK):
        u0, u1, u2 = up_one((B[i], B[BLOCK + i], B[2 * BLOCK + i]))
        W[i], W[BLOCK + i], W[2 * BLOCK + i] = u0, u1, u2 + np.copysign(1.0, u2)
        # Without noise the axes do not matter, and a state that stays as it is stays so to the bit.
        W[3 * BLOCK + i] = 1.0 / (1.0 + np.abs(u2)) if B[(STEP + 4) * BLOCK + i] > 0.0 else 0.0


@kernel
def mirror_gains_one(B, W):
    """Turn G of a block, its columns and then its rows, each of them a position and a velocity."""
    for column in range(12):
        mirror_one(B[(G_ROW + column // 6 * 18 + column % 6) * BLOCK :], 6 * BLOCK, W)
    for half_row in range(12):
        mirror_one(B[(G_ROW + 3 * half_row) * BLOCK :], BLOCK, W)


@kernel
def mirror_one(B, apart, W):
    """Reflect vectors, the three numbers of which stand `apart`."""
    for i in range(BLOCK):
        a, b, c = B[i], B[apart + i], B[2 * apart + i]
        s = W[3 * BLOCK + i] * (W[i] * a + W[BLOCK + i] * b + W[2 * BLOCK + i] * c)
        B[i] = a - W[i] * s
        B[apart + i] = b - W[BLOCK + i] * s
        B[2 * apart + i] = c - W[2 * BLOCK + i] * s


@kernel
def block_gains_one(params, B, W):
    """Fill the gains of a block of steps, on axes of which one is the local up where its noise is another."""
    turned = params[0] != params[1]
    if turned:
        mirrors_one(B, W)
        turn6_one(B[FROM * BLOCK :], W)
    gains6_one(B, params[0], params[1])
    if turned:
        turn6_one(B[(C_ROW - 6) * BLOCK :], W)
        mirror_gains_one(B, W)


@kernel
def smooth_rows(code, params, dt, last, x, P, x_out, P_out):
    """Smooth n sequences; row k of each is what its rows up to ``last[k]`` say about it.

    `x` (n, steps, d), `P` (n, steps, d, d), `dt` (n, steps - 1), `last` (n, steps) with k <= last[k], not decreasing.
    Rows of one `last` come out of one pass back from there: with the last row for all this is fixed-interval smoothing.
    """
    n, steps, d = x.shape
    work, B, W = np.empty((N_WORK + 5, d, d)), np.empty(N_ROWS * BLOCK), np.empty(4 * BLOCK)
    F, Q, G, C, Pn = work[N_WORK], work[N_WORK + 1], work[N_WORK + 2], work[N_WORK + 3], work[N_WORK + 4]
    ahead, xn = np.empty(d), np.empty(d)
    straight = code == VELOCITY and d == 6
    for i in range(n):
        keep = steps - 1
        while keep >= 0:
            first, start = keep, last[i, keep]
            while first > 0 and last[i, first - 1] == start:
                first -= 1
            filled = start
            copy_one(x[i, start], P[i, start], xn, Pn)
            if start <= keep:
                copy_one(xn, Pn, x_out[i, start], P_out[i, start])
            for k in range(start - 1, first - 1, -1):
                # Rows that are wanted are read and written in place, the others pass through xn, Pn.
                x_from, P_from = (x_out[i, k + 1], P_out[i, k + 1]) if k < keep else (xn, Pn)
                x_to, P_to = (x_out[i, k], P_out[i, k]) if k <= keep else (xn, Pn)
                if straight and k < filled:
                    filled = max(k + 1 - BLOCK, first)
                    fill_one(params, dt[i], x[i], P[i], filled, B)
                    block_gains_one(params, B, W)
                if straight and B[SAFE * BLOCK + k - filled] > 0.0:
                    carry6_one(B, k - filled, x[i, k], x_from, P_from, x_to, P_to, work[0])
                elif dt[i, k] > 0.0:
                    model_one(code, params, x[i, k], dt[i, k], F, Q)
                    rts_one(F, Q, x[i, k], P[i, k], x_from, P_from, x_to, P_to, G, C, ahead, work)
                else:
                    copy_one(x_from, P_from, x_to, P_to)
            keep = first - 1


@kernel
def smooth_bank_rows(first, last, params, dt, state, out, left):
    """Smooth targets `first` to `last` - 1 of a bank whose model has the code VELOCITY, blocks side by side.

    `state` (steps, 27, n): 6 rows of x, then 21 of P, the upper triangle row by row; `dt` (steps - 1, n) [s]; `out` may
    be `state`. Memory is read and written in rows as long as the caches allow for. Where a state is nearly singular,
    see SAFE, its target comes no further: `left` (n,) tells how many steps are left, and their `out` is `state`.
    Returns a target that may have come with a NaN, or -1.
    """
    steps = state.shape[0]
    odd = -1
    most = min(SIDE_BY_SIDE, (last - first + BLOCK - 1) // BLOCK)
    B, W = np.full((most, BANK_ROWS * BLOCK), np.nan), np.empty(4 * BLOCK)
    for start in range(first, last, SIDE_BY_SIDE * BLOCK):
        stop = min(start + SIDE_BY_SIDE * BLOCK, last)
        blocks = (stop - start + BLOCK - 1) // BLOCK
        left[start:stop] = 0
        for k in range(steps - 1, -1, -1):
            load_one(state[k], start, stop, B, FROM if k < steps - 1 else NEXT)
            for block in range(blocks if k < steps - 1 else 0):
                begin = start + block * BLOCK
                back_one(params, dt[k], begin, min(BLOCK, stop - begin), B[block], W)
                for i in range(min(BLOCK, stop - begin)):
                    if left[begin + i] == 0 and not B[block, SAFE * BLOCK + i] > 0.0:
                        left[begin + i] = k + 1
                    if left[begin + i] > 0:
                        for row in range(27):
                            B[block, (NEXT + row) * BLOCK + i] = state[k, row, begin + i]
            store_one(B, start, stop, out[k])
        for target in range(start, stop):
            # A NaN of any step goes back with the target to its first.
            total = 0.0
            for row in range(27 if steps > 0 else 0):
                total += out[0, row, target]
            if not np.isfinite(total):
                odd = target
    return odd


@kernel
def load_one(state, start, stop, B, to):
    """Copy targets to the rows of B from `to` on; lanes beyond the last target repeat it, harmlessly."""
    for row in range(np.uint64(state.shape[0])):
        target = (np.uint64(to) + row) * _LANES
        for block in range(np.uint64(stop - start + BLOCK - 1) // _LANES):
            first = np.uint64(start) + block * _LANES  # unsigned, as in `kernels.bank`
            full = min(np.uint64(stop) - first, _LANES)
            for i in range(full):
                B[block, target + i] = state[row, first + i]
            for i in range(full, _LANES):
                B[block, target + i] = state[row, first + full - np.uint64(1)]


@kernel
def store_one(B, start, stop, out):
    """Copy the smoothed targets out."""
    for row in range(np.uint64(out.shape[0])):
        source = (np.uint64(NEXT) + row) * _LANES
        for block in range(np.uint64(stop - start + BLOCK - 1) // _LANES):
            first = np.uint64(start) + block * _LANES
            for i in range(min(np.uint64(stop) - first, _LANES)):
                out[row, first + i] = B[block, source + i]


@kernel
def back_one(params, dt, start, lanes, B, W):
    """Take a block of targets back over a step: B holds their states from FROM on, and what is next from NEXT on."""
    step_one(params, dt, start, lanes, B)
    for i in range(BLOCK):
        for a in range(3):
            f0, phi, beta = B[STEP * BLOCK + i], B[(STEP + 1) * BLOCK + i], B[(STEP + 2) * BLOCK + i]
            x, v = B[(FROM + a) * BLOCK + i], B[(FROM + a + 3) * BLOCK + i]
            B[a * BLOCK + i], B[(a + 3) * BLOCK + i] = x, v
            B[(NEXT + a) * BLOCK + i] -= x + (phi + beta * f0) * v
            B[(NEXT + a + 3) * BLOCK + i] -= f0 * v
    turned = params[0] != params[1]
    if turned:
        mirrors_one(B, W)
    for to in (FROM, NEXT):
        if turned:
            turn6_one(B[to * BLOCK :], W)
    back6_one(B, params[0], params[1])
    if turned:
        turn6_one(B[NEXT * BLOCK :], W)
    for i in range(6 * BLOCK):
        B[NEXT * BLOCK + i] += B[i]


@kernel
def step_one(params, dt, start, lanes, B):
    """Fill what the model makes of the steps of a block, where they are not as they were."""
    for i in range(BLOCK):
        step = dt[start + min(i, lanes - 1)]
        if step != B[LENGTH * BLOCK + i]:
            B[LENGTH * BLOCK + i] = step
            f0, _, phi, beta, qp, qv = separate_one(step, params[2])
            row = STEP * BLOCK + i
            B[row], B[row + BLOCK], B[row + 2 * BLOCK] = f0, phi, beta
            B[row + 3 * BLOCK], B[row + 4 * BLOCK] = qp, qv
        if step == 0.0:
            # As in `fill_one`: over no time the gain is one.
            row = P_ROW * BLOCK + i
            for a in range(6):
                for b in range(a, 6):
                    B[FROM * BLOCK + i] += 0.0 * B[row]  # so that a NaN is not lost
                    B[row] = 1.0 if a == b else 0.0
                    row += BLOCK


@kernel
def future_one(F, Q, x0, P0, xn, Pn, H, e, R, work):
    """Write what the future says about a state as one measurement of it: ``e = H (x - x0) + noise`` of covariance R.

    The future is the smoothed (xn, Pn) of the next step over its prediction from (x0, P0), as a ratio of Gaussians.
    With ``L L' = F P0 F' + Q`` and ``1 - L^-1 Pn L^-T = E diag(w) E'`` (w = 1: all is told, w = 0: nothing is) it is
    ``H = sqrt(w) E' L^-1 F``, ``e = E' L^-1 (xn - F x0) / sqrt(w)``, and ``H P0 H' + R = 1``. Merging may leave a next
    state that is less sure than predicted in some direction, w < 0: there the future says nothing.
    """
    N = x0.shape[0]
    T, L, E, Y = work[0], work[1], work[2], work[3]
    sandwich_one(F, P0, T, L, False)
    for i in range(N):
        for j in range(N):
            L[i, j] += Q[i, j]
    factor_one(L)
    for i in range(N):
        e[i] = xn[i]
        for j in range(N):
            R[i, j] = F[i, j]
            e[i] -= F[i, j] * x0[j]
            Y[i, j] = Pn[i, j]
    solve_vector_one(L, e)
    solve_lower_one(L, R)
    solve_lower_one(L, Y)
    for i in range(N):
        for j in range(N):
            T[i, j] = Y[j, i]
    solve_lower_one(L, T)
    for i in range(N):
        for j in range(N):
            Y[i, j] = (1.0 if i == j else 0.0) - 0.5 * (T[i, j] + T[j, i])
    eigen_one(Y, E)
    for i in range(N):
        told = Y[i, i] > 1e-12
        root = np.sqrt(Y[i, i]) if told else 0.0
        T[0, i] = 0.0
        for j in range(N):
            H[i, j] = 0.0
            for k in range(N):
                H[i, j] += root * E[k, i] * R[k, j]
            if told:
                T[0, i] += E[j, i] * e[j] / root
    for i in range(N):
        e[i] = T[0, i]
    sandwich_one(H, P0, T, R, False)
    for i in range(N):
        for j in range(N):
            R[i, j] = (1.0 if i == j else 0.0) - R[i, j]


@kernel
def eigen_one(A, E):
    """Turn symmetric A into its eigenvalues (on the diagonal) and fill E with eigenvectors, by Jacobi's rotations."""
    N = A.shape[0]
    for i in range(N):
        for j in range(N):
            E[i, j] = 1.0 if i == j else 0.0
    for _ in range(12):
        off = 0.0
        for p in range(N):
            for q in range(p):
                off += A[p, q] * A[p, q]
        if off < 1e-30:
            break
        for p in range(N):
            for q in range(p):
                if A[p, q] != 0.0:
                    half = 0.5 * (A[q, q] - A[p, p]) / A[p, q]
                    t = (1.0 if half >= 0.0 else -1.0) / (np.abs(half) + np.sqrt(half * half + 1.0))
                    c = 1.0 / np.sqrt(t * t + 1.0)
                    s = t * c
                    for k in range(N):
                        a, b = A[k, p], A[k, q]
                        A[k, p], A[k, q] = c * a - s * b, s * a + c * b
                    for k in range(N):
                        a, b = A[p, k], A[q, k]
                        A[p, k], A[q, k] = c * a - s * b, s * a + c * b
                        a, b = E[k, p], E[k, q]
                        E[k, p], E[k, q] = c * a - s * b, s * a + c * b


@kernel
def hear_one(H, e, R, x0, x, P, x_out, P_out, K, work):
    """Update (x, P) with ``e = H (x - x0) + noise`` of covariance R, in Joseph's form; return the log-likelihood."""
    N = x.shape[0]
    T, L, A, B = work[0], work[1], work[2], work[3]
    sandwich_one(H, P, B, L, False)
    score = 0.0
    for i in range(N):
        A[0, i] = e[i]
        for j in range(N):
            L[i, j] += R[i, j]
            T[i, j] = B[i, j]
            A[0, i] -= H[i, j] * (x[j] - x0[j])
    factor_one(L)
    solve_lower_one(L, T)
    solve_vector_one(L, A[0])
    for i in range(N):
        score -= 0.5 * A[0, i] * A[0, i]
        if L[i, i] > 0.0:
            score += np.log(L[i, i])
    for a in range(N):
        s = 0.0
        for i in range(N):
            s += T[i, a] * A[0, i]
        x_out[a] = x[a] + s
    solve_upper_one(L, T)
    for i in range(N):
        for j in range(N):
            K[i, j] = T[j, i]
            A[i, j] = 1.0 if i == j else 0.0
            for k in range(N):
                A[i, j] -= T[k, i] * H[k, j]
    sandwich_one(A, P, B, P_out, False)
    sandwich_one(K, R, B, P_out, True)
    return score


@kernel
def smooth_mixture_rows(codes, params, rates, dt, mu, x, P, mu_out, x_out, P_out):
    """Smooth n sequences of mixtures.

    `mu` (n, steps, M), `x` (n, steps, M, d), `P` (n, steps, M, d, d) filtered, `dt` (n, steps - 1) [s].

    What the future says about the next state under model j is the smoothed Gaussian over the predicted one. Each
    model i of this step hears it for each j, and so learns how likely the pair is, p(i | j) ~ mu_i Pi_ij p(future_j |
    i); the pairs of one i are merged. The filter merges in the same way going forward, so both passes agree on what
    has been said already, and nothing is counted twice.
    """
    n, steps, M, d = x.shape
    work, Pi, room, share = np.empty((N_WORK + 5, d, d)), np.empty((M, M)), np.empty((M, M)), np.empty((M, M))
    F, Q, H, R, K = work[N_WORK], work[N_WORK + 1], work[N_WORK + 2], work[N_WORK + 3], work[N_WORK + 4]
    c, e, weight, part = np.empty(M), np.empty(d), np.empty((M, M)), np.empty(M)
    x0, P0 = np.empty((M, d)), np.empty((M, d, d))
    x_pair, P_pair = np.empty((M, M, d)), np.empty((M, M, d, d))
    for s in range(n):
        for k in range(steps - 1, -1, -1):
            if k == steps - 1:
                copy_mixture_one(mu[s, k], x[s, k], P[s, k], mu_out[s, k], x_out[s, k], P_out[s, k])
                continue
            if dt[s, k] == 0.0:
                # Rows of one moment are of one state, and the later one knows all of it.
                last = k + 1
                copy_mixture_one(
                    mu_out[s, last], x_out[s, last], P_out[s, last], mu_out[s, k], x_out[s, k], P_out[s, k]
                )
                continue
            switching_one(rates, dt[s, k], Pi, room)
            mix_one(mu[s, k], Pi, x[s, k], P[s, k], c, share, x0, P0)
            for j in range(M):
                model_one(codes[j], params[j], x0[j], dt[s, k], F, Q)
                future_one(F, Q, x0[j], P0[j], x_out[s, k + 1, j], P_out[s, k + 1, j], H, e, R, work)
                for i in range(M):
                    part[i] = hear_one(H, e, R, x0[j], x[s, k, i], P[s, k, i], x_pair[i, j], P_pair[i, j], K, work)
                weigh_one(share[j], part, part)
                for i in range(M):
                    weight[i, j] = part[i] * mu_out[s, k + 1, j]
            for i in range(M):
                total = 0.0
                for j in range(M):
                    total += weight[i, j]
                mu_out[s, k, i] = total
                for j in range(M):
                    # A model that no future leads back to is kept as if all futures were as likely.
                    part[j] = weight[i, j] / total if total > 0.0 else 1.0 / M
                for a in range(d):
                    shift = 0.0
                    for j in range(M):
                        shift += part[j] * (x_pair[i, j, a] - x[s, k, i, a])
                    x_out[s, k, i, a] = x[s, k, i, a] + shift
                spread_one(part, x_pair[i], P_pair[i], x_out[s, k, i], P_out[s, k, i])


@kernel
def copy_one(x, P, x_to, P_to):
    """Copy a state."""
    for a in range(x.shape[0]):
        x_to[a] = x[a]
        for b in range(x.shape[0]):
            P_to[a, b] = P[a, b]


@kernel
def copy_mixture_one(mu, x, P, mu_out, x_out, P_out):
    """Copy the mixture of one row."""
    for i in range(mu.shape[0]):
        mu_out[i] = mu[i]
        copy_one(x[i], P[i], x_out[i], P_out[i])
