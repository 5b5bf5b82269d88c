"""One step of one sequence of positions, written out. Written by tools/make_sequence_kernels.py.

Legend
------
state (27)  x0.. x5 (position, velocity), then p00, p01.. (upper triangle of the covariance, row by row)
noise (18)  what the step adds: a.. to position, b.. between position and velocity, c.. to velocity
r (6)       noise of the position, upper triangle row by row
f0, f1      answer of the velocity and of the position to it after the step
s..         innovation covariance; e1, c, h: its cofactors along the last row, the sign of c turned; v.: variances
y.., d.     rows of the covariance and innovation after the same elimination
i., k..     inverse variance of each eliminated row, gain
T           lane 0 of a block of kernels.bank: number k of the state at 32 k
"""

from dronetrack.kernels import kernel
from dronetrack.kernels.generated_bank import INVERSE_A2, INVERSE_B2

# A step costs at most so many times the rounding of a number. det S / det R bounds, by its largest factor, how much of
# a variance a position takes away: what is subtracted cancels no further.
MOST_LEARNT = 1e4
# 1 / det of the correlations of S: the elimination cancels no further.
MOST_CORRELATED = 1e2
# A product of five variances must stay a number.
LARGEST = 1e280


@kernel(merged=True)
def load6_one(T):
    """Take a state out of a block."""
    return (
        T[0],
        T[32],
        T[64],
        T[96],
        T[128],
        T[160],
        T[192],
        T[224],
        T[256],
        T[288],
        T[320],
        T[352],
        T[384],
        T[416],
        T[448],
        T[480],
        T[512],
        T[544],
        T[576],
        T[608],
        T[640],
        T[672],
        T[704],
        T[736],
        T[768],
        T[800],
        T[832],
    )


@kernel(merged=True)
def store6_one(T, state):
    """Put a state into a block."""
    (
        x0, x1, x2, x3, x4, x5,
        p00, p01, p02, p03, p04, p05,
        p11, p12, p13, p14, p15, p22,
        p23, p24, p25, p33, p34, p35,
        p44, p45, p55,
    ) = state  # fmt: skip
    T[0] = x0
    T[32] = x1
    T[64] = x2
    T[96] = x3
    T[128] = x4
    T[160] = x5
    T[192] = p00
    T[224] = p01
    T[256] = p02
    T[288] = p03
    T[320] = p04
    T[352] = p05
    T[384] = p11
    T[416] = p12
    T[448] = p13
    T[480] = p14
    T[512] = p15
    T[544] = p22
    T[576] = p23
    T[608] = p24
    T[640] = p25
    T[672] = p33
    T[704] = p34
    T[736] = p35
    T[768] = p44
    T[800] = p45
    T[832] = p55


@kernel(merged=True)
def write6_one(state, x, P):
    """Write a state as rows: x (6,), P (6, 6)."""
    (
        x0, x1, x2, x3, x4, x5,
        p00, p01, p02, p03, p04, p05,
        p11, p12, p13, p14, p15, p22,
        p23, p24, p25, p33, p34, p35,
        p44, p45, p55,
    ) = state  # fmt: skip
    x[0] = x0
    x[1] = x1
    x[2] = x2
    x[3] = x3
    x[4] = x4
    x[5] = x5
    P[0, 0] = p00
    P[0, 1] = p01
    P[0, 2] = p02
    P[0, 3] = p03
    P[0, 4] = p04
    P[0, 5] = p05
    P[1, 0] = p01
    P[1, 1] = p11
    P[1, 2] = p12
    P[1, 3] = p13
    P[1, 4] = p14
    P[1, 5] = p15
    P[2, 0] = p02
    P[2, 1] = p12
    P[2, 2] = p22
    P[2, 3] = p23
    P[2, 4] = p24
    P[2, 5] = p25
    P[3, 0] = p03
    P[3, 1] = p13
    P[3, 2] = p23
    P[3, 3] = p33
    P[3, 4] = p34
    P[3, 5] = p35
    P[4, 0] = p04
    P[4, 1] = p14
    P[4, 2] = p24
    P[4, 3] = p34
    P[4, 4] = p44
    P[4, 5] = p45
    P[5, 0] = p05
    P[5, 1] = p15
    P[5, 2] = p25
    P[5, 3] = p35
    P[5, 4] = p45
    P[5, 5] = p55


@kernel(merged=True)
def gather6_one(state, q_horizontal, q_vertical, q00, q01, q11):
    """Return the noise of a step."""
    u0, u1, u2 = state[0] * INVERSE_A2, state[1] * INVERSE_A2, state[2] * INVERSE_B2
    g = (q_vertical - q_horizontal) / (u0 * u0 + u1 * u1 + u2 * u2)
    w00 = g * u0 * u0 + q_horizontal
    w01 = g * u0 * u1
    w02 = g * u0 * u2
    w11 = g * u1 * u1 + q_horizontal
    w12 = g * u1 * u2
    w22 = g * u2 * u2 + q_horizontal
    return (
        w00 * q11,
        w01 * q11,
        w02 * q11,
        w11 * q11,
        w12 * q11,
        w22 * q11,
        w00 * q01,
        w01 * q01,
        w02 * q01,
        w11 * q01,
        w12 * q01,
        w22 * q01,
        w00 * q00,
        w01 * q00,
        w02 * q00,
        w11 * q00,
        w12 * q00,
        w22 * q00,
    )


@kernel(merged=True)
def step6_one(state, f0, f1, noise, r, det_r, z0, z1, z2):
    """Predict, and fuse a position; return whether that is exact enough, its NIS and the state after it.

    It is not if a position tells far more than was known, axes are nearly one or a number is missing; then
    the rest is of no use.
    """
    (
        x0, x1, x2, x3, x4, x5,
        p00, p01, p02, p03, p04, p05,
        p11, p12, p13, p14, p15, p22,
        p23, p24, p25, p33, p34, p35,
        p44, p45, p55,
    ) = state  # fmt: skip
    (
        a00, a01, a02, a11, a12, a22,
        b00, b01, b02, b11, b12, b22,
        c00, c01, c02, c11, c12, c22,
    ) = noise  # fmt: skip
    (
        r00, r01, r02, r11, r12, r22,
    ) = r  # fmt: skip
    t00 = p03 + f1 * p33
    t01 = p04 + f1 * p34
    t02 = p05 + f1 * p35
    t10 = p13 + f1 * p34
    t11 = p14 + f1 * p44
    t12 = p15 + f1 * p45
    t20 = p23 + f1 * p35
    t21 = p24 + f1 * p45
    t22 = p25 + f1 * p55
    p00 = (p00 + a00) + f1 * (p03 + t00)
    p01 = (p01 + a01) + f1 * (p13 + t01)
    p02 = (p02 + a02) + f1 * (p23 + t02)
    p11 = (p11 + a11) + f1 * (p14 + t11)
    p12 = (p12 + a12) + f1 * (p24 + t12)
    p22 = (p22 + a22) + f1 * (p25 + t22)
    p03 = b00 + f0 * t00
    p04 = b01 + f0 * t01
    p05 = b02 + f0 * t02
    p13 = b01 + f0 * t10
    p14 = b11 + f0 * t11
    p15 = b12 + f0 * t12
    p23 = b02 + f0 * t20
    p24 = b12 + f0 * t21
    p25 = b22 + f0 * t22
    f00 = f0 * f0
    p33 = c00 + f00 * p33
    p34 = c01 + f00 * p34
    p35 = c02 + f00 * p35
    p44 = c11 + f00 * p44
    p45 = c12 + f00 * p45
    p55 = c22 + f00 * p55
    x0 = x0 + f1 * x3
    x1 = x1 + f1 * x4
    x2 = x2 + f1 * x5
    x3 = f0 * x3
    x4 = f0 * x4
    x5 = f0 * x5
    s00 = p00 + r00
    s01 = p01 + r01
    s02 = p02 + r02
    s11 = p11 + r11
    s12 = p12 + r12
    s22 = p22 + r22
    e1 = s00 * s11 - s01 * s01
    c = s00 * s12 - s01 * s02
    h = s01 * s12 - s02 * s11
    det = e1 * s22 - c * s12 + h * s02
    v1 = s00 * e1
    v2 = e1 * det
    i0 = 1.0 / s00
    i1 = 1.0 / v1
    i2 = 1.0 / v2
    d0, d1, d2 = z0 - x0, z1 - x1, z2 - x2
    y00 = p00
    y01 = p01
    y02 = p02
    y03 = p03
    y04 = p04
    y05 = p05
    y10 = s00 * p01 - s01 * p00
    y11 = s00 * p11 - s01 * p01
    y12 = s00 * p12 - s01 * p02
    y13 = s00 * p13 - s01 * p03
    y14 = s00 * p14 - s01 * p04
    y15 = s00 * p15 - s01 * p05
    y20 = e1 * p02 - c * p01 + h * p00
    y21 = e1 * p12 - c * p11 + h * p01
    y22 = e1 * p22 - c * p12 + h * p02
    y23 = e1 * p23 - c * p13 + h * p03
    y24 = e1 * p24 - c * p14 + h * p04
    y25 = e1 * p25 - c * p15 + h * p05
    d2 = e1 * d2 - c * d1 + h * d0
    d1 = s00 * d1 - s01 * d0
    nis = d0 * d0 * i0 + d1 * d1 * i1 + d2 * d2 * i2
    k0 = y00 * i0
    k1 = y01 * i0
    k2 = y02 * i0
    k3 = y03 * i0
    k4 = y04 * i0
    k5 = y05 * i0
    x0 = x0 + k0 * d0
    x1 = x1 + k1 * d0
    x2 = x2 + k2 * d0
    x3 = x3 + k3 * d0
    x4 = x4 + k4 * d0
    x5 = x5 + k5 * d0
    p00 = p00 - k0 * y00
    p01 = p01 - k0 * y01
    p02 = p02 - k0 * y02
    p03 = p03 - k0 * y03
    p04 = p04 - k0 * y04
    p05 = p05 - k0 * y05
    p11 = p11 - k1 * y01
    p12 = p12 - k1 * y02
    p13 = p13 - k1 * y03
    p14 = p14 - k1 * y04
    p15 = p15 - k1 * y05
    p22 = p22 - k2 * y02
    p23 = p23 - k2 * y03
    p24 = p24 - k2 * y04
    p25 = p25 - k2 * y05
    p33 = p33 - k3 * y03
    p34 = p34 - k3 * y04
    p35 = p35 - k3 * y05
    p44 = p44 - k4 * y04
    p45 = p45 - k4 * y05
    p55 = p55 - k5 * y05
    k0 = y10 * i1
    k1 = y11 * i1
    k2 = y12 * i1
    k3 = y13 * i1
    k4 = y14 * i1
    k5 = y15 * i1
    x0 = x0 + k0 * d1
    x1 = x1 + k1 * d1
    x2 = x2 + k2 * d1
    x3 = x3 + k3 * d1
    x4 = x4 + k4 * d1
    x5 = x5 + k5 * d1
    p00 = p00 - k0 * y10
    p01 = p01 - k0 * y11
    p02 = p02 - k0 * y12
    p03 = p03 - k0 * y13
    p04 = p04 - k0 * y14
    p05 = p05 - k0 * y15
    p11 = p11 - k1 * y11
    p12 = p12 - k1 * y12
    p13 = p13 - k1 * y13
    p14 = p14 - k1 * y14
    p15 = p15 - k1 * y15
    p22 = p22 - k2 * y12
    p23 = p23 - k2 * y13
    p24 = p24 - k2 * y14
    p25 = p25 - k2 * y15
    p33 = p33 - k3 * y13
    p34 = p34 - k3 * y14
    p35 = p35 - k3 * y15
    p44 = p44 - k4 * y14
    p45 = p45 - k4 * y15
    p55 = p55 - k5 * y15
    k0 = y20 * i2
    k1 = y21 * i2
    k2 = y22 * i2
    k3 = y23 * i2
    k4 = y24 * i2
    k5 = y25 * i2
    x0 = x0 + k0 * d2
    x1 = x1 + k1 * d2
    x2 = x2 + k2 * d2
    x3 = x3 + k3 * d2
    x4 = x4 + k4 * d2
    x5 = x5 + k5 * d2
    p00 = p00 - k0 * y20
    p01 = p01 - k0 * y21
    p02 = p02 - k0 * y22
    p03 = p03 - k0 * y23
    p04 = p04 - k0 * y24
    p05 = p05 - k0 * y25
    p11 = p11 - k1 * y21
    p12 = p12 - k1 * y22
    p13 = p13 - k1 * y23
    p14 = p14 - k1 * y24
    p15 = p15 - k1 * y25
    p22 = p22 - k2 * y22
    p23 = p23 - k2 * y23
    p24 = p24 - k2 * y24
    p25 = p25 - k2 * y25
    p33 = p33 - k3 * y23
    p34 = p34 - k3 * y24
    p35 = p35 - k3 * y25
    p44 = p44 - k4 * y24
    p45 = p45 - k4 * y25
    p55 = p55 - k5 * y25
    exact = (
        (det <= MOST_LEARNT * det_r)
        & (s00 * s11 * s22 <= MOST_CORRELATED * det)
        & (v2 < LARGEST)
        & (v2 > 1.0 / LARGEST)
        & (nis < LARGEST)
    )
    return exact, nis, (
        x0, x1, x2, x3, x4, x5,
        p00, p01, p02, p03, p04, p05,
        p11, p12, p13, p14, p15, p22,
        p23, p24, p25, p33, p34, p35,
        p44, p45, p55,
    )  # fmt: skip
