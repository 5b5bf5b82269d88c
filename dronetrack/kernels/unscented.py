"""Unscented updates of a bank: what does a bent measurement make of a cloud of points, not only of its middle?

Legend
------
T, A, R, site, out  as in kernels.bank
points (13, .)      the mean, then the mean plus and minus each column of sqrt(6 P): Merwe's points, alpha 1, beta 2,
                    kappa 0, so the middle has the weight 0 in the mean and 2 in the covariance, all others 1/12
E (13, 2, .)        residual of the measurement at each point, in the tangent plane at the mean for a direction
W, S                covariance of state and residual, and of the residual

Julier, Uhlmann 2004, doi:10.1109/JPROC.2003.823141; R. van der Merwe, dissertation, 2004.
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.bank import (
    D0,
    DET,
    H00,
    H10,
    LINE_OF_SIGHT,
    M10,
    N_ROWS,
    NIS,
    S0,
    W0,
    Y0,
    Y1,
    all_or_nothing_one,
    arrive_one,
    clear_one,
    first_bad_one,
    linearise_one,
    load_one,
    measured_one,
    noise_one,
    report_one,
    site_one,
    step_one,
    store_one,
)
from dronetrack.kernels.generated_bank import BLOCK, predict6_one

N_POINTS = 13
SHARE = 1.0 / 12.0  # weight of every point but the middle
MIDDLE = 2.0  # weight of the middle in a covariance


@kernel
def spread_one(T, root, points):
    """Fill the sigma points from x and P; `root` (36 * BLOCK) is room for the Cholesky factor."""
    for c in range(6):
        for r in range(c, 6):
            at = (6 + c * 6 - c * (c - 1) // 2 + r - c) * BLOCK
            for i in range(BLOCK):
                s = 6.0 * T[at + i]
                for k in range(c):
                    s -= root[(r * 6 + k) * BLOCK + i] * root[(c * 6 + k) * BLOCK + i]
                if r == c:
                    root[(r * 6 + c) * BLOCK + i] = np.sqrt(max(s, 0.0))
                else:
                    pivot = root[(c * 6 + c) * BLOCK + i]
                    root[(r * 6 + c) * BLOCK + i] = s / pivot if pivot > 0.0 else 0.0
    for r in range(6):
        for i in range(BLOCK):
            points[0, r * BLOCK + i] = T[r * BLOCK + i]
        for c in range(6):
            for i in range(BLOCK):
                shift = root[(r * 6 + c) * BLOCK + i] if c <= r else 0.0
                points[1 + c, r * BLOCK + i] = T[r * BLOCK + i] + shift
                points[7 + c, r * BLOCK + i] = T[r * BLOCK + i] - shift


@kernel
def residuals_one(kind, points, T, A, E):
    """Fill E from all points; return how many numbers a residual has. Weights and noise are those at the mean."""
    m = linearise_one(kind, T, A)
    for i in range(BLOCK):
        E[0, 0, i] = A[Y0 + i]
        E[0, 1, i] = A[Y1 + i] if m > 1 else 0.0
    if kind != LINE_OF_SIGHT:
        weight, noise = A[W0 : W0 + BLOCK].copy(), A[D0 : D0 + BLOCK].copy()
        for p in range(1, N_POINTS):
            linearise_one(kind, points[p], A)
            for i in range(BLOCK):
                E[p, 0, i] = A[Y0 + i]
                E[p, 1, i] = 0.0
        for i in range(BLOCK):
            A[W0 + i] = weight[i]
            A[D0 + i] = noise[i]
        return m
    for i in range(BLOCK):
        # The axes at the mean, back from the rows of H; the second row was decorrelated from the first.
        e0, e1, e2 = A[H00 + i], A[H00 + BLOCK + i], A[H00 + 2 * BLOCK + i]
        by = A[M10 + i]
        g0, g1, g2 = A[H10 + i] - by * e0, A[H10 + BLOCK + i] - by * e1, A[H10 + 2 * BLOCK + i] - by * e2
        inverse = 1.0 / np.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
        e0, e1, e2, g0, g1, g2 = e0 * inverse, e1 * inverse, e2 * inverse, g0 * inverse, g1 * inverse, g2 * inverse
        u0, u1, u2 = g1 * e2 - g2 * e1, g2 * e0 - g0 * e2, g0 * e1 - g1 * e0
        for p in range(1, N_POINTS):
            d0 = points[p, i] - A[S0 + i]
            d1 = points[p, BLOCK + i] - A[S0 + BLOCK + i]
            d2 = points[p, 2 * BLOCK + i] - A[S0 + 2 * BLOCK + i]
            along = u0 * d0 + u1 * d1 + u2 * d2
            right, up = (e0 * d0 + e1 * d1 + e2 * d2) / along, (g0 * d0 + g1 * d1 + g2 * d2) / along
            E[p, 0, i] = E[0, 0, i] - right
            E[p, 1, i] = E[0, 1, i] - (up + by * right)
    return m


@kernel
def fuse_cloud_one(m, points, E, T, A, W):
    """Fuse what the points say: one row, then what is left of the other."""
    for i in range(BLOCK):
        y0, y1, s00, s01, s11 = 0.0, 0.0, 0.0, 0.0, 0.0
        for p in range(1, N_POINTS):
            y0 += SHARE * E[p, 0, i]
            y1 += SHARE * E[p, 1, i]
        for r in range(12):
            W[r] = 0.0
        for p in range(N_POINTS):
            share = SHARE if p > 0 else MIDDLE
            a, b = E[p, 0, i] - y0, E[p, 1, i] - y1
            s00 += share * a * a
            s01 += share * a * b
            s11 += share * b * b
            for r in range(6):
                shift = share * (points[p, r * BLOCK + i] - points[0, r * BLOCK + i])
                W[r] -= shift * a
                W[6 + r] -= shift * b
        for k in range(m):
            s = (s00 if k == 0 else s11) + A[D0 + k * BLOCK + i]
            y = y0 if k == 0 else y1
            weight = A[W0 + k * BLOCK + i]
            v = weight / s
            A[NIS + i] += y * y * v
            A[DET + i] *= s * weight + (1.0 - weight)
            at = 6 * BLOCK + i
            for r in range(6):
                T[r * BLOCK + i] += W[6 * k + r] * y * v
                for c in range(r, 6):
                    T[at] -= W[6 * k + r] * W[6 * k + c] * v
                    at += BLOCK
            if k == 0:
                s11 -= s01 * s01 * v
                y1 -= s01 * y0 * v
                for r in range(6):
                    W[6 + r] -= W[r] * s01 * v


@kernel
def unscented_rows(first, last, state, time_us, to_us, noise, kind, commit, z, R, site, mask, out):
    """As kernels.bank.aspect_rows, for kinds that are not linear."""
    bad = first_bad_one(first, last, z, R) if last - first == z.shape[0] else -1  # parts were looked at as a whole
    if bad >= 0:
        return bad
    T, A = np.empty(27 * BLOCK), np.empty(N_ROWS * BLOCK)
    root, points = np.empty(36 * BLOCK), np.empty((N_POINTS, 6 * BLOCK))
    E, W = np.empty((N_POINTS, 2, BLOCK)), np.empty(12)
    for start in range(first, last, BLOCK):
        lanes = min(BLOCK, last - start)
        load_one(state, start, lanes, T)
        step_one(time_us, to_us, start, lanes, noise, A)
        predict6_one(T, A, BLOCK, noise[0], noise[1])
        measured_one(z, mask, start, lanes, A)
        if start == first or R.shape[0] > 1:
            noise_one(R, start, lanes, A)
        if start == first or site.shape[0] > 1:
            site_one(site, start, lanes, A)
        if kind == LINE_OF_SIGHT:
            all_or_nothing_one(A)
        spread_one(T, root, points)
        m = residuals_one(kind, points, T, A, E)
        clear_one(A)
        fuse_cloud_one(m, points, E, T, A, W)
        report_one(m, start, lanes, A, out)
        if commit:
            store_one(T, start, lanes, state)
            arrive_one(time_us, to_us, start, lanes)
    return -1
