"""Many independent targets at once: components first, targets last, a block of targets at a time.

Legend
------
d             size of the state: 6 = position, velocity; 9 = position, velocity, acceleration; ECEF, [m] [s]
state (r, N)  d rows of x, then d (d + 1) / 2 rows of P: the upper triangle, row by row
T, A          one block of it, and what the measurements of that block say; row r of lane i is at r * BLOCK + i
z, R          measurement, covariance of its noise
H, Y          rows of the linearised measurement, innovation
site          where the sensor stands and how it moves
out (3, N)    normalised innovation squared, determinant of the innovation covariance, number of components observed

Every measurement becomes one to three scalar ones: the noise is decorrelated (R = L D L'), then one row at a time is
fused, so nothing is ever inverted. A target that is not observed has the weight 0 in the same arithmetic, so all
lanes of a block go the same way and a bank may be cut into banks of any size without a change of one bit.
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.generated_bank import (
    BLOCK,
    INVERSE_A2,
    INVERSE_B2,
    position6_one,
    predict6_one,
    scalar6_one,
)
from dronetrack.kernels.motion import chain_one

POSITION, VELOCITY, LINE_OF_SIGHT, RANGE, RANGE_RATE, SPEED, HEIGHT, BEARING = range(8)
EXTENDED, ITERATED, UNSCENTED = range(3)
ROUNDS = 5  # of an iterated update


def _rows(first, count):
    """Where `count` rows of a block start."""
    return tuple(row * BLOCK for row in range(first, first + count))


# Rows of T and A. tools/make_bank_kernels.py knows those up to SCALAR.
X0, X1, X2, X3, X4, X5 = _rows(0, 6)
STEP, F0, F1, F2, Q00, Q01, Q11, Q02, Q12, Q22 = _rows(0, 10)
Z0, Z1, Z2, W0, W1, W2, M10, M20, M21, D0, D1, D2, NIS, DET = _rows(10, 14)
H, Y, NOISE, WEIGHT = 24 * BLOCK, 30 * BLOCK, 31 * BLOCK, 32 * BLOCK
R00, R01, R02, R11, R12, R22 = _rows(33, 6)
ROWS, Y0, Y1, Y2, START = 39 * BLOCK, *_rows(57, 3), 60 * BLOCK
S0, S1, S2, S3, S4, S5 = _rows(66, 6)
N_ROWS = 72
H00, H01, H02, H03, H04, H05, H10, H11, H12 = _rows(39, 9)

_LANES = np.uint64(BLOCK)
_A = 6378137.0
_B = 6356752.314245179
_E2 = 1.0 - (_B / _A) ** 2
_EP2 = (_A / _B) ** 2 - 1.0


@kernel
def load_one(state, start, lanes, T):
    """Copy a block in; lanes beyond the last target repeat it, so that they stay harmless."""
    first = np.uint64(start)  # unsigned: an index that cannot be negative needs no look, and the loop becomes vectors
    full = np.uint64(lanes)
    for row in range(np.uint64(state.shape[0])):
        to = row * _LANES
        for i in range(full):
            T[to + i] = state[row, first + i]
        for i in range(full, _LANES):
            T[to + i] = T[to + full - np.uint64(1)]


@kernel
def store_one(T, start, lanes, state):
    """Copy a block out."""
    first = np.uint64(start)
    for row in range(np.uint64(state.shape[0])):
        source = row * _LANES
        for i in range(np.uint64(lanes)):
            state[row, first + i] = T[source + i]


@kernel
def step_one(time_us, to_us, start, lanes, noise, A):
    """Fill the steps of a block, and what a model of decay rate noise[2] makes of them."""
    for i in range(BLOCK):
        target = start + min(i, lanes - 1)
        A[STEP + i] = (to_us[target if to_us.shape[0] > 1 else 0] - time_us[target]) * 1e-6
    if noise[2] == 0.0:
        for i in range(BLOCK):
            h = A[STEP + i]
            h2 = h * h
            A[F0 + i] = 1.0
            A[F1 + i] = h
            A[F2 + i] = 0.5 * h2
            A[Q00 + i] = h
            A[Q01 + i] = 0.5 * h2
            A[Q11 + i] = h2 * h * (1.0 / 3.0)
            A[Q02 + i] = h2 * h * (1.0 / 6.0)
            A[Q12 + i] = h2 * h2 * 0.125
            A[Q22 + i] = h2 * h2 * h * 0.05
        return
    for i in range(BLOCK):
        f0, f1, f2, q00, q01, q11, q02, q12, q22 = chain_one(A[STEP + i], noise[2])
        A[F0 + i], A[F1 + i], A[F2 + i] = f0, f1, f2
        A[Q00 + i], A[Q01 + i], A[Q11 + i] = q00, q01, q11
        A[Q02 + i], A[Q12 + i], A[Q22 + i] = q02, q12, q22


@kernel
def measured_one(z, mask, start, lanes, A):
    """Fill z and weights of a block; what is NaN or masked gets the weight 0 and a harmless 0. Is it all there?"""
    m = z.shape[1]
    whole = True
    for k in range(m):
        for i in range(BLOCK):
            target = start + min(i, lanes - 1)
            value = z[target, k]
            seen = value == value
            if mask.shape[0] > 0:
                seen = seen and mask[target]
            whole = whole and seen
            A[Z0 + k * BLOCK + i] = value if seen else 0.0
            A[W0 + k * BLOCK + i] = 1.0 if seen else 0.0
    return whole


@kernel
def noise_one(R, start, lanes, A):
    """Fill the upper triangle of the noise of a block."""
    at = 0
    m = R.shape[1]
    for j in range(m):
        for k in range(j, m):
            for i in range(BLOCK):
                A[R00 + at * BLOCK + i] = R[start + min(i, lanes - 1) if R.shape[0] > 1 else 0, j, k]
            at += 1


@kernel
def all_or_nothing_one(A):
    """Give all three components of a direction the weight of the least."""
    for i in range(BLOCK):
        least = A[W0 + i] * A[W1 + i] * A[W2 + i]
        A[W0 + i] = least
        A[W1 + i] = least
        A[W2 + i] = least


@kernel
def decorrelate_one(A):
    """Split the noise of a block, R = L D L', into D and L^-1 (M10, M20, M21); what is not observed stands alone."""
    for i in range(BLOCK):
        w0, w1, w2 = A[W0 + i], A[W1 + i], A[W2 + i]
        r00 = A[R00 + i] if w0 > 0.0 else 1.0
        r11 = A[R11 + i] if w1 > 0.0 else 1.0
        r22 = A[R22 + i] if w2 > 0.0 else 1.0
        r01 = A[R01 + i] if w0 * w1 > 0.0 else 0.0
        r02 = A[R02 + i] if w0 * w2 > 0.0 else 0.0
        r12 = A[R12 + i] if w1 * w2 > 0.0 else 0.0
        l10 = r01 / r00
        l20 = r02 / r00
        c12 = r12 - l20 * r01
        d1 = r11 - l10 * r01
        l21 = c12 / d1
        A[M10 + i] = -l10
        A[M20 + i] = l10 * l21 - l20
        A[M21 + i] = -l21
        A[D0 + i] = r00
        A[D1 + i] = d1
        A[D2 + i] = r22 - l20 * r02 - l21 * c12


@kernel
def site_one(site, start, lanes, A):
    """Fill the sensor's place and velocity for a block."""
    for k in range(6):
        for i in range(BLOCK):
            A[S0 + k * BLOCK + i] = site[start + min(i, lanes - 1) if site.shape[0] > 1 else 0, k]


@kernel
def clear_rows_one(m, A):
    """Set the first m rows of H to zero."""
    for k in range(6 * m):
        for i in range(BLOCK):
            A[ROWS + k * BLOCK + i] = 0.0


@kernel
def components_one(first, T, A):
    """Linearise a position (first = 0) or velocity (3) measured as it is: three rows."""
    clear_rows_one(3, A)
    for k in range(3):
        for i in range(BLOCK):
            A[ROWS + (7 * k + first) * BLOCK + i] = 1.0
            A[Y0 + k * BLOCK + i] = A[Z0 + k * BLOCK + i] - T[(first + k) * BLOCK + i]
    decorrelate_one(A)


@kernel
def line_of_sight_one(T, A):
    """Linearise a line of sight: two rows in the plane across the expected line, right (horizontal) and up.

    Straight down 'right' is taken as east, so nothing blows up there. A target behind the camera is not observed.
    """
    clear_rows_one(2, A)
    for i in range(BLOCK):
        s0, s1, s2 = A[S0 + i], A[S1 + i], A[S2 + i]
        z0, z1, z2 = A[Z0 + i], A[Z1 + i], A[Z2 + i]
        u0, u1, u2 = T[i] - s0, T[X1 + i] - s1, T[X2 + i] - s2
        distance = np.sqrt(u0 * u0 + u1 * u1 + u2 * u2)
        near = distance < 1.0
        inverse = 1.0 / (1.0 if near else distance)
        u0, u1, u2 = u0 * inverse, u1 * inverse, u2 * inverse
        n0, n1, n2 = s0 * INVERSE_A2, s1 * INVERSE_A2, s2 * INVERSE_B2
        e0, e1, e2 = u1 * n2 - u2 * n1, u2 * n0 - u0 * n2, u0 * n1 - u1 * n0
        norm = np.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
        upright = norm < 1e-6 * np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
        e0, e1, e2 = -s1 if upright else e0, s0 if upright else e1, 0.0 if upright else e2
        inverse_e = 1.0 / np.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
        e0, e1, e2 = e0 * inverse_e, e1 * inverse_e, e2 * inverse_e
        g0, g1, g2 = e1 * u2 - e2 * u1, e2 * u0 - e0 * u2, e0 * u1 - e1 * u0
        along = u0 * z0 + u1 * z1 + u2 * z2
        behind = near or along < 0.2 * np.sqrt(z0 * z0 + z1 * z1 + z2 * z2)
        usable = 0.0 if behind else A[W0 + i]
        inverse_a = 1.0 / (1.0 if behind else along)
        A[W0 + i] = usable
        A[W1 + i] = usable
        A[Y0 + i] = (e0 * z0 + e1 * z1 + e2 * z2) * inverse_a
        A[Y1 + i] = (g0 * z0 + g1 * z1 + g2 * z2) * inverse_a
        A[H00 + i] = e0 * inverse
        A[H01 + i] = e1 * inverse
        A[H02 + i] = e2 * inverse
        A[H10 + i] = g0 * inverse
        A[H11 + i] = g1 * inverse
        A[H12 + i] = g2 * inverse
        # The noise, projected into that plane, then decorrelated.
        r00, r01, r02 = A[R00 + i], A[R01 + i], A[R02 + i]
        r11, r12, r22 = A[R11 + i], A[R12 + i], A[R22 + i]
        a0 = r00 * e0 + r01 * e1 + r02 * e2
        a1 = r01 * e0 + r11 * e1 + r12 * e2
        a2 = r02 * e0 + r12 * e1 + r22 * e2
        b0 = r00 * g0 + r01 * g1 + r02 * g2
        b1 = r01 * g0 + r11 * g1 + r12 * g2
        b2 = r02 * g0 + r12 * g1 + r22 * g2
        d0 = a0 * e0 + a1 * e1 + a2 * e2
        c01 = a0 * g0 + a1 * g1 + a2 * g2
        c11 = b0 * g0 + b1 * g1 + b2 * g2
        d0 = d0 if usable > 0.0 else 1.0
        m10 = -c01 / d0 if usable * d0 > 0.0 else 0.0
        A[M10 + i] = m10
        A[D0 + i] = d0
        A[D1 + i] = c11 + m10 * c01 if usable > 0.0 else 1.0


@kernel
def range_one(T, A):
    """Linearise a distance from the site: one row."""
    clear_rows_one(1, A)
    for i in range(BLOCK):
        u0, u1 = T[i] - A[S0 + i], T[X1 + i] - A[S1 + i]
        u2 = T[X2 + i] - A[S2 + i]
        distance = np.sqrt(u0 * u0 + u1 * u1 + u2 * u2)
        near = distance < 1e-3
        inverse = 1.0 / (1.0 if near else distance)
        A[W0 + i] = 0.0 if near else A[W0 + i]
        A[Y0 + i] = A[Z0 + i] - distance
        A[H00 + i] = u0 * inverse
        A[H01 + i] = u1 * inverse
        A[H02 + i] = u2 * inverse


@kernel
def range_rate_one(T, A):
    """Linearise how fast the distance grows: one row over position and velocity."""
    for i in range(BLOCK):
        u0, u1 = T[i] - A[S0 + i], T[X1 + i] - A[S1 + i]
        u2 = T[X2 + i] - A[S2 + i]
        v0 = T[X3 + i] - A[S3 + i]
        v1 = T[X4 + i] - A[S4 + i]
        v2 = T[X5 + i] - A[S5 + i]
        distance = np.sqrt(u0 * u0 + u1 * u1 + u2 * u2)
        near = distance < 1.0
        inverse = 1.0 / (1.0 if near else distance)
        u0, u1, u2 = u0 * inverse, u1 * inverse, u2 * inverse
        rate = u0 * v0 + u1 * v1 + u2 * v2
        A[W0 + i] = 0.0 if near else A[W0 + i]
        A[Y0 + i] = A[Z0 + i] - rate
        A[H00 + i] = (v0 - rate * u0) * inverse
        A[H01 + i] = (v1 - rate * u1) * inverse
        A[H02 + i] = (v2 - rate * u2) * inverse
        A[H03 + i] = u0
        A[H04 + i] = u1
        A[H05 + i] = u2


@kernel
def speed_one(T, A):
    """Linearise the length of the velocity: one row; a target at rest has no direction and is not observed."""
    clear_rows_one(1, A)
    for i in range(BLOCK):
        v0, v1, v2 = T[X3 + i], T[X4 + i], T[X5 + i]
        speed = np.sqrt(v0 * v0 + v1 * v1 + v2 * v2)
        rest = speed < 1e-6
        inverse = 1.0 / (1.0 if rest else speed)
        A[W0 + i] = 0.0 if rest else A[W0 + i]
        A[Y0 + i] = A[Z0 + i] - speed
        A[H03 + i] = v0 * inverse
        A[H04 + i] = v1 * inverse
        A[H05 + i] = v2 * inverse


@kernel
def height_one(T, A):
    """Linearise the height above the ellipsoid: one row, the local up (Bowring's rounds, as in kernels.geodesy)."""
    clear_rows_one(1, A)
    for i in range(BLOCK):
        x, y, z = T[i], T[X1 + i], T[X2 + i]
        p = np.sqrt(x * x + y * y)
        sine, cosine = z * _A, p * _B
        up, out = 0.0, 1.0
        for _ in range(3):
            inverse = 1.0 / np.sqrt(sine * sine + cosine * cosine)
            sine *= inverse
            cosine *= inverse
            up = z + _EP2 * _B * sine * sine * sine
            out = p - _E2 * _A * cosine * cosine * cosine
            sine, cosine = _B * up, _A * out
        inverse = 1.0 / np.sqrt(up * up + out * out)
        up *= inverse
        out *= inverse
        height = p * out + z * up - _A * np.sqrt(1.0 - _E2 * up * up)
        along = out / p if p > 0.0 else 0.0
        A[Y0 + i] = A[Z0 + i] - height
        A[H00 + i] = along * x
        A[H01 + i] = along * y
        A[H02 + i] = up


@kernel
def bearing_one(T, A):
    """Linearise the horizontal angle at the site, clockwise from north: one row; the innovation is wrapped."""
    clear_rows_one(1, A)
    for i in range(BLOCK):
        s0, s1, s2 = A[S0 + i], A[S1 + i], A[S2 + i]
        d0, d1, d2 = T[i] - s0, T[X1 + i] - s1, T[X2 + i] - s2
        n0, n1, n2 = s0 * INVERSE_A2, s1 * INVERSE_A2, s2 * INVERSE_B2
        inverse = 1.0 / np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
        n0, n1, n2 = n0 * inverse, n1 * inverse, n2 * inverse
        p = np.sqrt(s0 * s0 + s1 * s1)
        e0, e1 = (-s1 / p, s0 / p) if p > 0.0 else (0.0, 1.0)
        g0, g1, g2 = -n2 * e1, n2 * e0, n0 * e1 - n1 * e0
        east = e0 * d0 + e1 * d1
        north = g0 * d0 + g1 * d1 + g2 * d2
        square = east * east + north * north
        above = square < 1e-6
        inverse = 1.0 / (1.0 if above else square)
        sine, cosine = np.sin(A[Z0 + i]), np.cos(A[Z0 + i])
        A[W0 + i] = 0.0 if above else A[W0 + i]
        A[Y0 + i] = np.arctan2(sine * north - cosine * east, cosine * north + sine * east)
        A[H00 + i] = (e0 * north - g0 * east) * inverse
        A[H01 + i] = (e1 * north - g1 * east) * inverse
        A[H02 + i] = -g2 * east * inverse


@kernel
def linearise_one(kind, T, A):
    """Fill H, Y, weights and decorrelated noise of a block at T; return the number of rows."""
    if kind == LINE_OF_SIGHT:
        line_of_sight_one(T, A)
    elif kind in (POSITION, VELOCITY):
        components_one(0 if kind == POSITION else 3, T, A)
    else:
        for i in range(BLOCK):
            A[D0 + i] = A[R00 + i] if A[W0 + i] > 0.0 else 1.0
        if kind == RANGE:
            range_one(T, A)
        elif kind == RANGE_RATE:
            range_rate_one(T, A)
        elif kind == SPEED:
            speed_one(T, A)
        elif kind == HEIGHT:
            height_one(T, A)
        else:
            bearing_one(T, A)
        return 1
    m = 2 if kind == LINE_OF_SIGHT else 3
    # To L^-1 y = L^-1 H dx, last row first.
    for k in range(m - 1, 0, -1):
        for j in range(k):
            by = M10 + (k - 1 + j) * BLOCK
            for i in range(BLOCK):
                A[Y0 + k * BLOCK + i] += A[by + i] * A[Y0 + j * BLOCK + i]
            for c in range(6):
                for i in range(BLOCK):
                    A[ROWS + (6 * k + c) * BLOCK + i] += A[by + i] * A[ROWS + (6 * j + c) * BLOCK + i]
    return m


@kernel
def copy_one(T, to):
    """Copy a block."""
    for i in range(T.shape[0]):
        to[i] = T[i]


@kernel
def remember_one(T, A):
    """Keep position and velocity before the update."""
    for k in range(6):
        for i in range(BLOCK):
            A[START + k * BLOCK + i] = T[k * BLOCK + i]


@kernel
def relative_one(m, T, A):
    """Turn innovations about the corrected point into innovations about the state before the update."""
    for k in range(m):
        for c in range(6):
            for i in range(BLOCK):
                shift = T[c * BLOCK + i] - A[START + c * BLOCK + i]
                A[Y0 + k * BLOCK + i] += A[ROWS + (6 * k + c) * BLOCK + i] * shift


@kernel
def clear_one(A):
    """Start the sums over the rows of a measurement."""
    for i in range(BLOCK):
        A[NIS + i] = 0.0
        A[DET + i] = 1.0


@kernel
def select_one(k, T, A):
    """Put row k where the scalar update reads it; what the rows before it moved is no longer news."""
    for i in range(BLOCK):
        A[Y + i] = A[Y0 + k * BLOCK + i]
        A[NOISE + i] = A[D0 + k * BLOCK + i]
        A[WEIGHT + i] = A[W0 + k * BLOCK + i]
    for c in range(6):
        for i in range(BLOCK):
            h = A[ROWS + (6 * k + c) * BLOCK + i]
            A[H + c * BLOCK + i] = h
            A[Y + i] -= h * (T[c * BLOCK + i] - A[START + c * BLOCK + i])


@kernel
def report_one(m, start, lanes, A, out):
    """Write what came of a block of measurements."""
    for i in range(lanes):
        count = A[W0 + i]
        if m > 1:
            count += A[W1 + i]
        if m > 2:
            count += A[W2 + i]
        out[0, start + i] = A[NIS + i] if count > 0.0 else np.nan
        out[1, start + i] = A[DET + i]
        out[2, start + i] = count


@kernel
def arrive_one(time_us, to_us, start, lanes):
    """Set the clocks of a block."""
    for i in range(start, start + lanes):
        time_us[i] = to_us[i if to_us.shape[0] > 1 else 0]


@kernel
def predict_rows(first, last, state, time_us, to_us, noise):
    """Move targets first .. last - 1 to `to_us` (1 or N); `noise`: two densities, decay rate of the velocity."""
    T, A = np.empty(27 * BLOCK), np.empty(N_ROWS * BLOCK)
    for start in range(first, last, BLOCK):
        lanes = min(BLOCK, last - start)
        width = (lanes + 7) & -8  # a whole number of vectors
        load_one(state, start, lanes, T)
        step_one(time_us, to_us, start, lanes, noise, A)
        predict6_one(T, A, width, noise[0], noise[1])
        store_one(T, start, lanes, state)
        arrive_one(time_us, to_us, start, lanes)


@kernel
def first_bad_one(first, last, z, R):
    """Return the first row that no update can take, else -1: z infinite, R not finite or not positive definite."""
    for i in range(first, last):
        for k in range(z.shape[1]):
            if np.isinf(z[i, k]):
                return i
    m = R.shape[1]
    for i in range(first if R.shape[0] != 1 else 0, last if R.shape[0] != 1 else 1):
        trace = R[i, 0, 0]
        good = R[i, 0, 0] > 0.0
        if m == 3:
            r00, r01, r02, r11, r12, r22 = R[i, 0, 0], R[i, 0, 1], R[i, 0, 2], R[i, 1, 1], R[i, 1, 2], R[i, 2, 2]
            minor = r00 * r11 - r01 * r01
            trace += r11 + r22
            good = good and minor > 0.0
            good = good and r22 * minor - r00 * r12 * r12 - r11 * r02 * r02 + 2.0 * r01 * r02 * r12 > 0.0
        if not (good and trace < np.inf):
            return i
    return -1


@kernel
def check_rows(first, last, z, R):
    """Return the first row of a part that no update can take, else -1."""
    return first_bad_one(first, last, z, R)


@kernel
def position_rows(first, last, state, time_us, to_us, noise, commit, z, R, mask, out):
    """Move targets first .. last - 1 to `to_us` and fuse a position each; without `commit` only `out` is filled.

    `R` has one row for all or one for each; `mask` is empty or has one flag for each. Returns the first row that
    cannot be used, else -1; then nothing was changed.
    """
    bad = first_bad_one(first, last, z, R) if last - first == z.shape[0] else -1  # parts were looked at as a whole
    if bad >= 0:
        return bad
    T, A = np.empty(27 * BLOCK), np.empty(N_ROWS * BLOCK)
    stale = True
    for start in range(first, last, BLOCK):
        lanes = min(BLOCK, last - start)
        width = (lanes + 7) & -8  # a whole number of vectors
        load_one(state, start, lanes, T)
        step_one(time_us, to_us, start, lanes, noise, A)
        whole = measured_one(z, mask, start, lanes, A)
        if start == first or R.shape[0] > 1:
            noise_one(R, start, lanes, A)
            stale = True
        if stale or not whole:
            decorrelate_one(A)
        stale = not whole
        predict6_one(T, A, width, noise[0], noise[1])
        position6_one(T, A, width)
        report_one(3, start, lanes, A, out)
        if commit:
            store_one(T, start, lanes, state)
            arrive_one(time_us, to_us, start, lanes)
    return -1


@kernel
def aspect_rows(first, last, state, time_us, to_us, noise, kind, rounds, commit, z, R, site, mask, out):
    """Do the same with a measurement of any other kind; `site` has one row for all or one for each.

    With rounds > 1 the linearisation is repeated about the corrected point (Bell, Cathey 1993,
    doi:10.1109/9.250476).
    """
    bad = first_bad_one(first, last, z, R) if last - first == z.shape[0] else -1  # parts were looked at as a whole
    if bad >= 0:
        return bad
    T, A = np.empty(27 * BLOCK), np.empty(N_ROWS * BLOCK)
    before = np.empty(27 * BLOCK)
    for start in range(first, last, BLOCK):
        lanes = min(BLOCK, last - start)
        width = (lanes + 7) & -8  # a whole number of vectors
        load_one(state, start, lanes, T)
        step_one(time_us, to_us, start, lanes, noise, A)
        predict6_one(T, A, width, noise[0], noise[1])
        measured_one(z, mask, start, lanes, A)
        if start == first or R.shape[0] > 1:
            noise_one(R, start, lanes, A)
        if start == first or site.shape[0] > 1:
            site_one(site, start, lanes, A)
        if kind == LINE_OF_SIGHT:
            all_or_nothing_one(A)
        remember_one(T, A)
        if rounds > 1:
            copy_one(T, before)
        for turn in range(rounds):
            m = linearise_one(kind, T, A)
            if turn > 0:
                relative_one(m, T, A)
                copy_one(before, T)
            clear_one(A)
            for k in range(m):
                select_one(k, T, A)
                scalar6_one(T, A, width)
        report_one(z.shape[1] if kind != LINE_OF_SIGHT else 2, start, lanes, A, out)
        if commit:
            store_one(T, start, lanes, state)
            arrive_one(time_us, to_us, start, lanes)
    return -1
