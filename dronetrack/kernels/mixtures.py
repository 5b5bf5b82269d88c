"""Banks of targets under several models each (IMM), and banks under any linear model: a block of targets at a time.

Legend
------
M, d          number of models, size of the state
models (M, r, N)  state of each model, laid out as in kernels.bank; state (r, N) is what they say together
chance (M, N) probability of each model
T (M, .)      one block of each model; F (d * d, .), Q (d (d + 1) / 2, .) its transition and noise, lane by lane
has_F (d, d)  which elements of F are not zero anywhere in the block: the others are not multiplied
c, w          predicted probabilities, mixing weights
W, K, G       P h, gain, r k - (I - k h') P h: the scalar update in Joseph's form, as in kernels.generated_bank

Blom, Bar-Shalom 1988, doi:10.1109/9.1299. The loops over lanes are the inner ones, so they become vectors whatever the
size of the state; the generated kernels are faster, and only for one model of six states.
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.bank import (
    DET,
    LINE_OF_SIGHT,
    N_ROWS,
    NIS,
    NOISE,
    RANGE_RATE,
    SPEED,
    VELOCITY,
    W0,
    WEIGHT,
    H,
    Y,
    all_or_nothing_one,
    arrive_one,
    clear_one,
    copy_one,
    first_bad_one,
    linearise_one,
    load_one,
    measured_one,
    noise_one,
    relative_one,
    remember_one,
    select_one,
    site_one,
    store_one,
)
from dronetrack.kernels.generated_bank import BLOCK
from dronetrack.kernels.motion import model_one, switching_one

U = np.uint64  # an index that cannot be negative needs no look, and its loop becomes one of vectors
LANES, ONE = U(BLOCK), U(1)


@kernel
def packed_one(d, i, j):
    """Where element (i, j) of P starts in a block; all unsigned."""
    low, high = min(i, j), max(i, j)
    return (d + low * d - (low * low - low) // U(2) + high - low) * LANES


@kernel
def mixed_one(d, width, weight, T, out):
    """Fill `out` with the mean and covariance of the models T (M, .) under `weight` (M * BLOCK)."""
    M = U(T.shape[0])
    for a in range(d):
        to = a * LANES
        # From the first model on, not from zero: the Earth's radius would cost the last digits of the spread.
        for i in range(width):
            out[to + i] = T[U(0), to + i]
        for m in range(ONE, M):
            for i in range(width):
                out[to + i] += weight[m * LANES + i] * (T[m, to + i] - T[U(0), to + i])
    for a in range(d):
        x = a * LANES
        for b in range(a, d):
            y = b * LANES
            to = packed_one(d, a, b)
            for i in range(width):
                spread = (T[U(0), x + i] - out[x + i]) * (T[U(0), y + i] - out[y + i])
                out[to + i] = weight[i] * (T[U(0), to + i] + spread)
            for m in range(ONE, M):
                for i in range(width):
                    spread = (T[m, x + i] - out[x + i]) * (T[m, y + i] - out[y + i])
                    out[to + i] += weight[m * LANES + i] * (T[m, to + i] + spread)


@kernel
def mix_one(d, width, Pi, chance, T, c, w, mixed):
    """Fill the predicted probabilities and each model's mixed start; `Pi` (M, M, BLOCK), `w` is room for weights."""
    M = U(T.shape[0])
    for j in range(M):
        to = j * LANES
        for i in range(width):
            c[to + i] = 0.0
        for m in range(M):
            for i in range(width):
                w[m * LANES + i] = Pi[m, j, i] * chance[m * LANES + i]
                c[to + i] += w[m * LANES + i]
        for m in range(M):
            for i in range(width):
                w[m * LANES + i] /= c[to + i]
        mixed_one(d, width, w, T, mixed[j])


@kernel
def move_one(d, width, F, has_F, Q, T, FP):
    """X = F x, P = F P F' + Q; `FP` is room for F P."""
    for a in range(d):
        for b in range(d):
            to = (a * d + b) * LANES
            for i in range(width):
                FP[to + i] = 0.0
            for k in range(d):
                if has_F[a, k]:
                    f = (a * d + k) * LANES
                    p = packed_one(d, k, b)
                    for i in range(width):
                        FP[to + i] += F[f + i] * T[p + i]
    for a in range(d):
        for b in range(a, d):
            to = packed_one(d, a, b)
            q = to - d * LANES
            for i in range(width):
                T[to + i] = Q[q + i]
            for k in range(d):
                if has_F[b, k]:
                    f = (b * d + k) * LANES
                    p = (a * d + k) * LANES
                    for i in range(width):
                        T[to + i] += FP[p + i] * F[f + i]
    for a in range(d):
        to = a * LANES
        for i in range(width):
            FP[to + i] = 0.0
        for k in range(d):
            if has_F[a, k]:
                f = (a * d + k) * LANES
                for i in range(width):
                    FP[to + i] += F[f + i] * T[k * LANES + i]
    for i in range(d * LANES):
        T[i] = FP[i]


@kernel
def scalar_one(d, first, last, width, h, T, A, W, K, G):
    """Fuse y = h dx + noise of a block; `h` (d * BLOCK) is zero outside first .. last - 1."""
    for a in range(d):
        to = a * LANES
        for i in range(width):
            W[to + i] = 0.0
        for b in range(first, last):
            p = packed_one(d, a, b)
            for i in range(width):
                W[to + i] += T[p + i] * h[b * LANES + i]
    # S and its inverse, where K goes later.
    for i in range(width):
        G[i] = A[U(NOISE) + i]
    for b in range(first, last):
        for i in range(width):
            G[i] += W[b * LANES + i] * h[b * LANES + i]
    for i in range(width):
        weight = A[U(WEIGHT) + i]
        inverse = weight / G[i]
        A[U(NIS) + i] += A[U(Y) + i] * A[U(Y) + i] * inverse
        A[U(DET) + i] *= G[i] * weight + (1.0 - weight)
        G[i] = inverse
    for a in range(d):
        to = a * LANES
        for i in range(width):
            K[to + i] = W[to + i] * G[i]
            T[to + i] += K[to + i] * A[U(Y) + i]
    for a in range(d):
        to = a * LANES
        for i in range(width):
            G[to + i] = A[U(NOISE) + i] * K[to + i]
        for b in range(first, last):
            p = packed_one(d, a, b)
            for i in range(width):
                G[to + i] -= (T[p + i] - K[to + i] * W[b * LANES + i]) * h[b * LANES + i]
    for a in range(d):
        x = a * LANES
        for b in range(a, d):
            y = b * LANES
            p = packed_one(d, a, b)
            for i in range(width):
                T[p + i] += G[x + i] * K[y + i] - K[x + i] * W[y + i]


@kernel
def judge_one(M, width, c, fit, chance, A):
    """Fill the probabilities after the measurement, c times likelihood; `fit` (M * BLOCK) holds log-likelihoods.

    Leaves the logarithm of the whole likelihood in DET.
    """
    for i in range(width):
        best = fit[i]
        for m in range(1, M):
            best = max(best, fit[m * BLOCK + i])
        total = 0.0
        for m in range(M):
            chance[m * BLOCK + i] = c[m * BLOCK + i] * np.exp(fit[m * BLOCK + i] - best)
            total += chance[m * BLOCK + i]
        for m in range(M):
            chance[m * BLOCK + i] /= total
        A[DET + i] = best + np.log(total)


@kernel
def switch_one(rates, time_us, to_us, start, lanes, dt, Pi, room):
    """Fill steps (BLOCK,) and transition probabilities (M, M, BLOCK) of a block."""
    M = rates.shape[0]
    for i in range(BLOCK):
        target = start + min(i, lanes - 1)
        dt[i] = (to_us[target if to_us.shape[0] > 1 else 0] - time_us[target]) * 1e-6
        if i == 0 or dt[i] != dt[i - 1]:
            switching_one(rates, dt[i], room[0], room[1])
        for j in range(M):
            for k in range(M):
                Pi[j, k, i] = room[0, j, k]


@kernel
def fill_one(d, lanes, code, params, dt, T, F, has_F, Q, F_room, Q_room):
    """Fill F, Q of a block from the model at each lane's place."""
    place = np.empty(3)
    for a in range(d):
        for b in range(d):
            has_F[a, b] = False
    for i in range(BLOCK):
        if i < lanes:
            for k in range(3):
                place[k] = T[k * BLOCK + i]
            model_one(code, params, place, dt[i], F_room, Q_room)
        for a in range(d):
            for b in range(d):
                F[(a * d + b) * BLOCK + i] = F_room[a, b]
                has_F[a, b] |= F_room[a, b] != 0.0
                if b >= a:
                    Q[packed_one(U(d), U(a), U(b)) - U(d * BLOCK) + U(i)] = Q_room[a, b]


@kernel(unrolled=False)
def mixture_rows(
    first, last, models, chance, state, time_us, to_us, codes, params, rates,
    kind, rounds, commit, z, R, site, mask, out,
):  # fmt: skip
    """Mix, predict and fuse targets first .. last - 1; kind < 0 only predicts. Otherwise as in kernels.bank.

    In `out` the determinant is a logarithm here, that of the whole mixture.
    """
    M = models.shape[0]
    d = 6 if models.shape[1] == 27 else 9
    if kind >= 0:
        bad = first_bad_one(first, last, z, R) if last - first == z.shape[0] else -1
        if bad >= 0:
            return bad
    T, mixed = np.empty((M, models.shape[1] * BLOCK)), np.empty((M, models.shape[1] * BLOCK))
    before, whole = np.empty(models.shape[1] * BLOCK), np.empty(models.shape[1] * BLOCK)
    A, h = np.empty(N_ROWS * BLOCK), np.zeros(d * BLOCK)
    mu, c, w, fit, nis = (
        np.empty(M * BLOCK), np.empty(M * BLOCK), np.empty(M * BLOCK), np.empty(M * BLOCK), np.empty(BLOCK),
    )  # fmt: skip
    dt, Pi, room = np.empty(BLOCK), np.empty((M, M, BLOCK)), np.empty((2, M, M))
    F, Q, FP = np.empty(d * d * BLOCK), np.empty(d * (d + 1) // 2 * BLOCK), np.empty(d * d * BLOCK)
    has_F, F_room, Q_room = np.empty((d, d), dtype=np.bool_), np.empty((d, d)), np.empty((d, d))
    W, K, G = np.empty(d * BLOCK), np.empty(d * BLOCK), np.empty(d * BLOCK)
    low = 3 if kind in (VELOCITY, SPEED) else 0
    high = 6 if kind in (VELOCITY, SPEED, RANGE_RATE) else 3
    for start in range(first, last, BLOCK):
        lanes = min(BLOCK, last - start)
        width = (lanes + 7) & -8  # a whole number of vectors
        lanes_up = U(width)
        for m in range(M):
            load_one(models[m], start, lanes, T[m])
        load_one(chance, start, lanes, mu)
        switch_one(rates, time_us, to_us, start, lanes, dt, Pi, room)
        if M > 1:
            mix_one(U(d), lanes_up, Pi, mu, T, c, w, mixed)
        else:
            copy_one(T[0], mixed[0])
            c[:BLOCK] = 1.0
        if kind >= 0 and (start == first or R.shape[0] > 1):
            noise_one(R, start, lanes, A)
        if kind >= 0 and (start == first or site.shape[0] > 1):
            site_one(site, start, lanes, A)
        for m in range(M):
            block = mixed[m]
            fill_one(d, lanes, codes[m], params[m], dt, block, F, has_F, Q, F_room, Q_room)
            move_one(U(d), lanes_up, F, has_F, Q, block, FP)
            if kind < 0:
                continue
            measured_one(z, mask, start, lanes, A)
            if kind == LINE_OF_SIGHT:
                all_or_nothing_one(A)
            remember_one(block, A)
            if rounds > 1:
                copy_one(block, before)
            rows = 0
            for turn in range(rounds):
                rows = linearise_one(kind, block, A)
                if turn > 0:
                    relative_one(rows, block, A)
                    copy_one(before, block)
                clear_one(A)
                for k in range(rows):
                    select_one(k, block, A)
                    for i in range(6 * BLOCK):
                        h[i] = A[H + i]
                    scalar_one(U(d), U(low), U(high), lanes_up, h, block, A, W, K, G)
            for i in range(BLOCK):
                fit[m * BLOCK + i] = -0.5 * (A[NIS + i] + np.log(A[DET + i]))
                nis[i] = c[m * BLOCK + i] * A[NIS + i] + (nis[i] if m > 0 else 0.0)
        if kind < 0:
            copy_one(c, mu)
        else:
            judge_one(M, width, c, fit, mu, A)
            for i in range(lanes):
                count = A[W0 + i]
                for k in range(1, z.shape[1] if kind != LINE_OF_SIGHT else 2):
                    count += A[W0 + k * BLOCK + i]
                out[0, start + i] = nis[i] if count > 0.0 else np.nan
                out[1, start + i] = -2.0 * A[DET + i] - nis[i]
                out[2, start + i] = count
        if commit:
            for m in range(M):
                store_one(mixed[m], start, lanes, models[m])
            store_one(mu, start, lanes, chance)
            mixed_one(U(d), lanes_up, mu, mixed, whole)
            store_one(whole, start, lanes, state)
            arrive_one(time_us, to_us, start, lanes)
    return -1


@kernel
def linear_rows(first, last, models, chance, state, F, Q, H_rows, D, Pi, predict, fuse, z, seen, out):
    """Predict and/or fuse targets first .. last - 1 under M linear models, F, Q (M, d, d), one set for all targets.

    `H_rows` (M, m, d), `D` (M, m) and `z` (M, N, m) are decorrelated; `seen` has a flag for each
    target. As filterpy does, probabilities change only when something is measured.
    """
    M, d = F.shape[0], F.shape[1]
    rows = models.shape[1]
    T, mixed, whole = np.empty((M, rows * BLOCK)), np.empty((M, rows * BLOCK)), np.empty(rows * BLOCK)
    A, h = np.empty(N_ROWS * BLOCK), np.empty(d * BLOCK)
    mu, c, w, fit, nis = (
        np.empty(M * BLOCK), np.empty(M * BLOCK), np.empty(M * BLOCK), np.empty(M * BLOCK), np.empty(BLOCK),
    )  # fmt: skip
    Pi_lanes = np.empty((M, M, BLOCK))
    F_lanes, Q_lanes = np.empty((M, d * d * BLOCK)), np.empty((M, d * (d + 1) // 2 * BLOCK))
    has_F, FP = F != 0.0, np.empty(d * d * BLOCK)
    W, K, G = np.empty(d * BLOCK), np.empty(d * BLOCK), np.empty(d * BLOCK)
    for i in range(BLOCK):
        for m in range(M):
            for k in range(M):
                Pi_lanes[m, k, i] = Pi[m, k]
            for a in range(d):
                for b in range(d):
                    F_lanes[m, (a * d + b) * BLOCK + i] = F[m, a, b]
                    if b >= a:
                        Q_lanes[m, packed_one(U(d), U(a), U(b)) - U(d * BLOCK) + U(i)] = Q[m, a, b]
    for start in range(first, last, BLOCK):
        lanes = min(BLOCK, last - start)
        width = (lanes + 7) & -8  # a whole number of vectors
        lanes_up = U(width)
        for m in range(M):
            load_one(models[m], start, lanes, T[m])
        load_one(chance, start, lanes, mu)
        if M > 1:
            mix_one(U(d), lanes_up, Pi_lanes, mu, T, c, w, mixed)
        else:
            c[:BLOCK] = 1.0
        if M == 1 or not predict:
            for m in range(M):
                copy_one(T[m], mixed[m])
        for m in range(M):
            block = mixed[m]
            if predict:
                move_one(U(d), lanes_up, F_lanes[m], has_F[m], Q_lanes[m], block, FP)
            if not fuse:
                continue
            clear_one(A)
            for i in range(BLOCK):
                A[WEIGHT + i] = 1.0 if seen[start + min(i, lanes - 1)] else 0.0
            for k in range(D.shape[1]):
                # Rows after the first see what is left: z - h x with the x of now.
                for a in range(d):
                    for i in range(BLOCK):
                        h[a * BLOCK + i] = H_rows[m, k, a]
                for i in range(BLOCK):
                    A[NOISE + i] = D[m, k]
                    A[Y + i] = z[m, start + min(i, lanes - 1), k]
                for a in range(d):
                    for i in range(BLOCK):
                        A[Y + i] -= H_rows[m, k, a] * block[a * BLOCK + i]
                scalar_one(U(d), U(0), U(d), lanes_up, h, block, A, W, K, G)
            for i in range(BLOCK):
                fit[m * BLOCK + i] = -0.5 * (A[NIS + i] + np.log(A[DET + i]))
                nis[i] = c[m * BLOCK + i] * A[NIS + i] + (nis[i] if m > 0 else 0.0)
        if fuse:
            judge_one(M, width, c, fit, mu, A)
            for i in range(lanes):
                out[0, start + i] = nis[i] if A[WEIGHT + i] > 0.0 else np.nan
                out[1, start + i] = -2.0 * A[DET + i] - nis[i]
                out[2, start + i] = D.shape[1] * A[WEIGHT + i]
        for m in range(M):
            store_one(mixed[m], start, lanes, models[m])
        store_one(mu, start, lanes, chance)
        mixed_one(U(d), lanes_up, mu, mixed, whole)
        store_one(whole, start, lanes, state)
    return -1
