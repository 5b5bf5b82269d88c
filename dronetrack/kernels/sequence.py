"""One plain sequence of positions through one compiled call, and one row at a time for live use: no gate, no choice.

Legend
------
d             size of the state: 6 = position, velocity; 9 = position, velocity, acceleration; ECEF, [m] [s]
state (r,)    x, then the upper triangle of P row by row: r = d + d (d + 1) / 2
T, A          the target, and what the measurement says: lane 0 of a block of kernels.bank
noise (3,)    two densities of the driving noise, decay rate of the level that it drives (see kernels.motion)
memory        T, A, noise and the time of the state [us] in one array, so that a live call has two arguments

A position that six states can take in without losing digits goes through the straight line of
kernels.generated_sequence; all else (numbers missing, a sensor far better than what was known, nine states) goes as in
the bank, on one lane. Which of the two it is hangs on the numbers of the row alone, in one call and row by row alike.
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.bank import (
    D0,
    D1,
    D2,
    F0,
    F1,
    F2,
    M10,
    M20,
    M21,
    N_ROWS,
    NIS,
    Q00,
    Q01,
    Q02,
    Q11,
    Q12,
    Q22,
    STEP,
    W0,
    W1,
    W2,
    Z0,
    Z1,
    Z2,
)  # fmt: skip
from dronetrack.kernels.generated_bank import BLOCK, position6_one, position9_one, predict6_one, predict9_one
from dronetrack.kernels.generated_sequence import gather6_one, load6_one, step6_one, store6_one, write6_one
from dronetrack.kernels.motion import chain_one

MEMORY6 = (27 + N_ROWS) * BLOCK + 4  # length of `memory` for d = 6
MEMORY9 = (54 + N_ROWS) * BLOCK + 4
ROW = 13  # length of a live row: time [us], z (3), R (9)


@kernel
def prepare_one(A, dt, noise, z0, z1, z2, r00, r01, r02, r11, r12, r22):
    """Fill step, measurement, weights and decorrelated noise; return how many components were observed."""
    A[STEP] = dt
    A[F0], A[F1], A[F2], A[Q00], A[Q01], A[Q11], A[Q02], A[Q12], A[Q22] = chain_one(dt, noise[2])
    w0 = 1.0 if z0 == z0 else 0.0
    w1 = 1.0 if z1 == z1 else 0.0
    w2 = 1.0 if z2 == z2 else 0.0
    r01, r02, r12 = r01 * (w0 * w1), r02 * (w0 * w2), r12 * (w1 * w2)
    l10, l20 = r01 / r00, r02 / r00
    c12 = r12 - l20 * r01
    d1 = r11 - l10 * r01
    l21 = c12 / d1
    A[M10], A[M20], A[M21] = -l10, l10 * l21 - l20, -l21
    A[D0], A[D1], A[D2] = r00, d1, r22 - l20 * r02 - l21 * c12
    A[W0], A[W1], A[W2] = w0, w1, w2
    A[Z0] = z0 if w0 > 0.0 else 0.0
    A[Z1] = z1 if w1 > 0.0 else 0.0
    A[Z2] = z2 if w2 > 0.0 else 0.0
    return w0 + w1 + w2


@kernel
def unpack_one(d, T, x, P):
    """Write the target as rows: x (d,), P (d, d)."""
    at = d * BLOCK
    for a in range(d):
        x[a] = T[a * BLOCK]
        for b in range(a, d):
            P[a, b] = T[at]
            P[b, a] = T[at]
            at += BLOCK


@kernel
def general6_one(T, A, dt, noise, z0, z1, z2, r):
    """Predict and fuse what was observed, axis by axis, so that nothing cancels; return its NIS, NaN for nothing."""
    count = prepare_one(A, dt, noise, z0, z1, z2, r[0], r[1], r[2], r[3], r[4], r[5])
    predict6_one(T, A, 1, noise[0], noise[1])
    position6_one(T, A, 1)
    return A[NIS] if count > 0.0 else np.nan


@kernel
def noise_one(R):
    """Return the upper triangle of R (3, 3), and its determinant."""
    r00, r01, r02, r11, r12, r22 = R[0, 0], R[0, 1], R[0, 2], R[1, 1], R[1, 2], R[2, 2]
    det = r00 * (r11 * r22 - r12 * r12) - r01 * (r01 * r22 - r12 * r02) + r02 * (r01 * r12 - r11 * r02)
    return (r00, r01, r02, r11, r12, r22), det


@kernel(merged=True)
def row6_one(T, A, now, dt, chain, noise, z0, z1, z2, R):
    """Return the NIS of a row and the state after it; T, A are room for a row that the straight line cannot take.

    `chain` is what chain_one says of dt. A call with many rows and a call with one both end here, in one shape, and so
    in the same bits.
    """
    f0, f1, q00, q01, q11 = chain
    gathered = gather6_one(now, noise[0], noise[1], q00, q01, q11)
    r, det_r = noise_one(R)
    exact, nis, then = step6_one(now, f0, f1, gathered, r, det_r, z0, z1, z2)
    if not exact:
        store6_one(T, now)
        nis = general6_one(T, A, dt, noise, z0, z1, z2, r)
        then = load6_one(T)
    return nis, then


@kernel
def chain6_one(dt, rate):
    """Return of chain_one what six states need: f0, f1, q00, q01, q11."""
    f0, f1, _, q00, q01, q11, _, _, _ = chain_one(dt, rate)
    return f0, f1, q00, q01, q11


@kernel
def sequence6_rows(state, stamp_us, time_us, z, R, noise, x_out, P_out, nis_out):
    """Filter positions z (n, 3), NaN = not observed, at time_us (n,), from `state` at `stamp_us`; R has 1 or n rows.

    Fills x_out (n, 6), P_out (n, 6, 6), nis_out (n,), NaN where nothing was observed; `state` ends as the last row.
    """
    T, A = np.zeros(27 * BLOCK), np.zeros(N_ROWS * BLOCK)
    for k in range(27):
        T[k * BLOCK] = state[k]
    now = load6_one(T)
    before, step_us = stamp_us, 0
    chain = chain6_one(0.0, noise[2])
    for i in range(time_us.shape[0]):
        if time_us[i] - before != step_us:
            step_us = time_us[i] - before
            chain = chain6_one(step_us * 1e-6, noise[2])
        before = time_us[i]
        r = R[i if R.shape[0] > 1 else 0]
        nis, now = row6_one(T, A, now, step_us * 1e-6, chain, noise, z[i, 0], z[i, 1], z[i, 2], r)
        nis_out[i] = nis
        write6_one(now, x_out[i], P_out[i])
    store6_one(T, now)
    for k in range(27):
        state[k] = T[k * BLOCK]


@kernel
def sequence9_rows(state, stamp_us, time_us, z, R, noise, x_out, P_out, nis_out):
    """Do the same for nine states: x_out (n, 9), P_out (n, 9, 9)."""
    T, A = np.zeros(54 * BLOCK), np.zeros(N_ROWS * BLOCK)
    for k in range(54):
        T[k * BLOCK] = state[k]
    before = stamp_us
    for i in range(time_us.shape[0]):
        r = R[i if R.shape[0] > 1 else 0]
        count = prepare_one(
            A, (time_us[i] - before) * 1e-6, noise, z[i, 0], z[i, 1], z[i, 2],
            r[0, 0], r[0, 1], r[0, 2], r[1, 1], r[1, 2], r[2, 2],
        )  # fmt: skip
        before = time_us[i]
        predict9_one(T, A, 1, noise[0], noise[1])
        position9_one(T, A, 1)
        nis_out[i] = A[NIS] if count > 0.0 else np.nan
        unpack_one(9, T, x_out[i], P_out[i])
    for k in range(54):
        state[k] = T[k * BLOCK]


@kernel
def live6_rows(memory, row):
    """Fuse one row (see ROW) into a target that lives in `memory` (MEMORY6,); return its NIS.

    State number k is at memory[k * BLOCK]; the last four numbers of `memory` are noise and the time of the state.
    """
    T, A = memory[: 27 * BLOCK], memory[27 * BLOCK : (27 + N_ROWS) * BLOCK]
    noise = memory[(27 + N_ROWS) * BLOCK :]
    dt = (row[0] - noise[3]) * 1e-6
    noise[3] = row[0]
    chain, R = chain6_one(dt, noise[2]), row[4:].reshape(3, 3)
    nis, now = row6_one(T, A, load6_one(T), dt, chain, noise, row[1], row[2], row[3], R)
    store6_one(T, now)
    return nis


@kernel
def live9_rows(memory, row):
    """Do the same for nine states, in `memory` (MEMORY9,)."""
    T, A = memory[: 54 * BLOCK], memory[54 * BLOCK : (54 + N_ROWS) * BLOCK]
    noise = memory[(54 + N_ROWS) * BLOCK :]
    dt = (row[0] - noise[3]) * 1e-6
    noise[3] = row[0]
    count = prepare_one(
        A, dt, noise, row[1], row[2], row[3], row[4], row[5], row[6], row[8], row[9], row[12]
    )  # fmt: skip
    predict9_one(T, A, 1, noise[0], noise[1])
    position9_one(T, A, 1)
    return A[NIS] if count > 0.0 else np.nan
