"""How a target moves on: transition matrices, process noise and the switching of models, for any step.

Legend
------
d            size of the target's state: 6 = position, velocity; 9 = position, velocity, acceleration; ECEF, [m] [s]
N            size of the whole state, N >= d; what follows the target stays as it is
x (N,)       state
P (N, N)     its covariance
F, Q (d, d)  transition matrix, process noise
u (3,)       local up; noise is given horizontally and vertically and turned by it
h, theta     dimensionless step: dt * rate, dt * turn rate
f0, f1, f2   answer of the noisy level, of its integral and of its second integral after dt
params (8,)  q_horizontal, q_vertical, rate or turn rate, then standard deviations of an unknown speed, climb,
             horizontal and vertical acceleration, and the rate at which a 6-state model in a 9-state mixture
             forgets an acceleration

Three codes carry all models. VELOCITY: white noise drives a velocity that decays at `rate` (0 = constant velocity,
otherwise stop-and-go). ACCELERATION: the same one level deeper (0 = constant acceleration, otherwise Singer). TURN:
the velocity turns about the local up. The two chains have one closed form: with ``f0 = exp(-h)``, ``f1 = int f0``,
``f2 = int f1`` the noise gathered by two levels is ``q int f_i f_j``, and since ``f1' = f0``, ``f2' = f1`` half of
these integrals are products. The others cancel badly for small h and are summed as series there.
"""

import math

import numpy as np

from dronetrack.kernels import kernel

VELOCITY, ACCELERATION, TURN = 0, 1, 2
N_PARAMS = 8

# WGS 84 semi-axes squared: the outward normal of the ellipsoid through (x, y, z) is (x/a2, y/a2, z/b2).
_A2 = 6378137.0**2
_B2 = 6356752.314245179**2

# Taylor coefficients, highest power first, for 0 <= h <= 1; the last one left out is below 1e-17 of the sum.
# f2/dt**2, int f1**2/dt**3, int f2**2/dt**5 in powers of h; 2 (theta - sin theta)/theta**3 in powers of theta**2.
_F2 = tuple((-1.0) ** n / math.factorial(n + 2) for n in reversed(range(18)))
_Q11 = tuple((-1.0) ** n * (2.0 ** (n + 2) - 2.0) / math.factorial(n + 2) / (n + 3.0) for n in reversed(range(24)))
_Q22 = tuple(
    (-1.0) ** n * (2.0 ** (n + 4) - 2.0 * n - 10.0) / math.factorial(n + 4) / (n + 5.0) for n in reversed(range(24))
)
_SWEEP = tuple(2.0 * (-1.0) ** n / math.factorial(2 * n + 3) for n in reversed(range(10)))


@kernel
def up_one(x):
    """Return the local up (3 floats) at the ECEF position ``x[:3]`` near the ground."""
    a = x[0] / _A2
    b = x[1] / _A2
    c = x[2] / _B2
    norm = np.sqrt(a * a + b * b + c * c)
    return a / norm, b / norm, c / norm


@kernel
def turned_one(horizontal, vertical, u, i, j):
    """Element (i, j) of a matrix that is `horizontal` across the local up and `vertical` along it."""
    value = (vertical - horizontal) * (u[i] * u[j])
    if i == j:
        value += horizontal
    return value


@kernel
def cross_one(u, i, j):
    """Element (i, j) of the matrix that takes the cross product with `u`."""
    if j == (i + 1) % 3:
        return -u[(i + 2) % 3]
    if j == (i + 2) % 3:
        return u[(i + 1) % 3]
    return 0.0


@kernel
def series_one(coefficients, z):
    """Horner sum, highest power first."""
    total = 0.0
    for c in coefficients:
        total = total * z + c
    return total


@kernel
def chain_one(dt, rate):
    """Return f0, f1, f2 and the integrals q00, q01, q11, q02, q12, q22 of their products over a step."""
    dt2 = dt * dt
    if rate == 0.0:
        return (
            1.0,
            dt,
            0.5 * dt2,
            dt,
            0.5 * dt2,
            dt * dt2 / 3.0,
            dt * dt2 / 6.0,
            0.125 * dt2 * dt2,
            0.05 * dt * dt2 * dt2,
        )
    h = dt * rate
    f0 = np.exp(-h)
    f1 = -np.expm1(-h) / rate
    q00 = -0.5 * np.expm1(-2.0 * h) / rate
    if h <= 1.0:
        f2 = dt2 * series_one(_F2, h)
        q11 = dt * dt2 * series_one(_Q11, h)
        q22 = dt * dt2 * dt2 * series_one(_Q22, h)
        q02 = f2 * f1 - q11
    else:
        f2 = (dt - f1) / rate
        q11 = (dt - 2.0 * f1 + q00) / rate**2
        q22 = (h * (h * h / 3.0 - h + 1.0 - 2.0 * f0) / rate + q00) / rate**4
        q02 = (q00 - dt * f0) / rate**2
    return f0, f1, f2, q00, 0.5 * f1 * f1, q11, q02, 0.5 * f2 * f2, q22


@kernel
def turn_one(dt, omega):
    """Return what a horizontal turn does over a step: sine, cosine, way along, way across, q_pp, q_pv, q_across.

    With J the cross product with the local up, ``v -> cosine v + sine J v`` and ``p -> p + along v + across J v``; the
    noise is ``q_pp`` in position, ``q_pv + q_across J`` between position and velocity, dt in velocity.
    """
    theta = dt * omega
    sine, cosine = np.sin(theta), np.cos(theta)
    half = 0.5 * theta
    chord = np.sin(half) / half if half != 0.0 else 1.0
    along = dt * chord * np.cos(half)
    across = dt * chord * np.sin(half)
    sweep = series_one(_SWEEP, theta * theta) if np.abs(theta) <= 1.0 else 2.0 * (theta - sine) / theta**3
    return sine, cosine, along, across, dt**3 * sweep, 0.5 * (dt * chord) ** 2, -0.5 * dt * dt * theta * sweep


@kernel
def model_one(code, params, x, dt, F, Q):
    """Fill F and Q (d, d) of a step from `x`; d = 9 for a 6-state model adds an acceleration that is forgotten."""
    d = F.shape[0]
    u = up_one(x)
    for i in range(d):
        for j in range(d):
            F[i, j] = 0.0
            Q[i, j] = 0.0
        F[i, i] = 1.0
    if code == TURN:
        sine, cosine, along, across, q_pp, q_pv, q_across = turn_one(dt, params[2])
        for i in range(3):
            for j in range(3):
                J = cross_one(u, i, j)
                F[i, j + 3] = turned_one(along, dt, u, i, j) + across * J
                F[i + 3, j + 3] = turned_one(cosine, 1.0, u, i, j) + sine * J
                Q[i, j] = turned_one(q_pp * params[0], dt**3 / 3.0 * params[1], u, i, j)
                Q[i, j + 3] = turned_one(q_pv * params[0], 0.5 * dt * dt * params[1], u, i, j)
                Q[i, j + 3] += q_across * params[0] * J
                Q[j + 3, i] = Q[i, j + 3]
                Q[i + 3, j + 3] = turned_one(dt * params[0], dt * params[1], u, i, j)
    else:
        f0, f1, f2, q00, q01, q11, q02, q12, q22 = chain_one(dt, params[2])
        for i in range(3):
            for j in range(3):
                q = turned_one(params[0], params[1], u, i, j)
                if code == ACCELERATION:
                    Q[i, j] = q * q22
                    Q[i, j + 3] = q * q12
                    Q[i + 3, j] = q * q12
                    Q[i, j + 6] = q * q02
                    Q[i + 6, j] = q * q02
                    Q[i + 3, j + 3] = q * q11
                    Q[i + 3, j + 6] = q * q01
                    Q[i + 6, j + 3] = q * q01
                    Q[i + 6, j + 6] = q * q00
                else:
                    Q[i, j] = q * q11
                    Q[i, j + 3] = q * q01
                    Q[i + 3, j] = q * q01
                    Q[i + 3, j + 3] = q * q00
            if code == ACCELERATION:
                F[i, i + 3] = dt
                F[i, i + 6] = f2
                F[i + 3, i + 6] = f1
                F[i + 6, i + 6] = f0
            else:
                F[i, i + 3] = f1
                F[i + 3, i + 3] = f0
    if d == 9 and code != ACCELERATION:
        rho, horizontal, vertical = forget_one(params, dt)
        for i in range(3):
            F[i + 6, i + 6] = rho
            for j in range(3):
                Q[i + 6, j + 6] = turned_one(horizontal, vertical, u, i, j)


@kernel
def forget_one(params, dt):
    """Return what is left of an acceleration of no use, and the variance, horizontal and vertical, that replaces it."""
    lost = -np.expm1(-2.0 * dt * params[7])
    return np.exp(-dt * params[7]), lost * params[5] ** 2, lost * params[6] ** 2


@kernel
def predict_one(code, params, dt, d, x, P):
    """Move (x, P) on by `dt`: ``x = F x``, ``P = F P F' + Q`` without forming F; P stays symmetric to the bit."""
    N = x.shape[0]
    u = up_one(x)
    # What velocity (v) and acceleration (a) give to position (p), velocity and acceleration.
    pv, pa, vv, va, aa = dt, 0.0, 1.0, 0.0, 1.0
    # Noise, horizontal and vertical, by pairs of levels; q_across turns with the target.
    q_across = 0.0
    if code == TURN:
        sine, cosine, along, across, q_pp, q_pv, q_across = turn_one(dt, params[2])
        q_across *= params[0]
        pp_h, pp_v = q_pp * params[0], dt**3 / 3.0 * params[1]
        pv_h, pv_v = q_pv * params[0], 0.5 * dt * dt * params[1]
        vv_h, vv_v = dt * params[0], dt * params[1]
        x[0], x[1], x[2], x[3], x[4], x[5] = turn_column_one(
            u, dt, sine, cosine, along, across, x[0], x[1], x[2], x[3], x[4], x[5]
        )
        for j in range(N):
            P[0, j], P[1, j], P[2, j], P[3, j], P[4, j], P[5, j] = turn_column_one(
                u, dt, sine, cosine, along, across, P[0, j], P[1, j], P[2, j], P[3, j], P[4, j], P[5, j]
            )
        for i in range(N):
            P[i, 0], P[i, 1], P[i, 2], P[i, 3], P[i, 4], P[i, 5] = turn_column_one(
                u, dt, sine, cosine, along, across, P[i, 0], P[i, 1], P[i, 2], P[i, 3], P[i, 4], P[i, 5]
            )
    else:
        f0, f1, f2, q00, q01, q11, q02, q12, q22 = chain_one(dt, params[2])
        if code == ACCELERATION:
            pa, va, aa = f2, f1, f0
            q_pp, q_pv, q_vv = q22, q12, q11
        else:
            pv, vv = f1, f0
            q_pp, q_pv, q_vv = q11, q01, q00
        pp_h, pp_v = q_pp * params[0], q_pp * params[1]
        pv_h, pv_v = q_pv * params[0], q_pv * params[1]
        vv_h, vv_v = q_vv * params[0], q_vv * params[1]
        for i in range(3):
            x[i] += pv * x[i + 3]
            x[i + 3] *= vv
            for j in range(N):
                P[i, j] += pv * P[i + 3, j]
                P[i + 3, j] *= vv
        for i in range(N):
            for j in range(3):
                P[i, j] += pv * P[i, j + 3]
                P[i, j + 3] *= vv
    if d == 9:
        aa_h, aa_v = 0.0, 0.0
        if code == ACCELERATION:
            aa_h, aa_v = q00 * params[0], q00 * params[1]
        else:
            aa, aa_h, aa_v = forget_one(params, dt)
        for i in range(3):
            x[i] += pa * x[i + 6]
            x[i + 3] += va * x[i + 6]
            x[i + 6] *= aa
            for j in range(N):
                P[i, j] += pa * P[i + 6, j]
                P[i + 3, j] += va * P[i + 6, j]
                P[i + 6, j] *= aa
        for i in range(N):
            for j in range(3):
                P[i, j] += pa * P[i, j + 6]
                P[i, j + 3] += va * P[i, j + 6]
                P[i, j + 6] *= aa
        for i in range(3):
            for j in range(3):
                P[i + 6, j + 6] += turned_one(aa_h, aa_v, u, i, j)
                if code == ACCELERATION:
                    q = turned_one(params[0], params[1], u, i, j)
                    P[i + 6, j] += q * q02
                    P[i + 6, j + 3] += q * q01
    for i in range(3):
        for j in range(3):
            P[i, j] += turned_one(pp_h, pp_v, u, i, j)
            P[i + 3, j] += turned_one(pv_h, pv_v, u, i, j) - q_across * cross_one(u, i, j)
            P[i + 3, j + 3] += turned_one(vv_h, vv_v, u, i, j)
    # Rows and columns were moved in two passes that round differently: the lower half is kept.
    for i in range(d):
        for j in range(i):
            P[j, i] = P[i, j]


@kernel
def turn_column_one(u, dt, sine, cosine, along, across, p0, p1, p2, v0, v1, v2):
    """Turn one column (position, velocity) about the local up."""
    climb = u[0] * v0 + u[1] * v1 + u[2] * v2
    h0, h1, h2 = v0 - climb * u[0], v1 - climb * u[1], v2 - climb * u[2]
    j0, j1, j2 = u[1] * v2 - u[2] * v1, u[2] * v0 - u[0] * v2, u[0] * v1 - u[1] * v0
    rise = dt * climb
    return (
        p0 + rise * u[0] + along * h0 + across * j0,
        p1 + rise * u[1] + along * h1 + across * j1,
        p2 + rise * u[2] + along * h2 + across * j2,
        climb * u[0] + cosine * h0 + sine * j0,
        climb * u[1] + cosine * h1 + sine * j1,
        climb * u[2] + cosine * h2 + sine * j2,
    )


@kernel
def unknown_motion_one(params, d, x, P):
    """Set velocity and acceleration to zero, their covariance to what the model calls unknown, ties to others to none.

    The position ``x[:3]`` and its covariance stay.
    """
    N = x.shape[0]
    u = up_one(x)
    for i in range(3, d):
        x[i] = 0.0
        for j in range(N):
            P[i, j] = 0.0
            P[j, i] = 0.0
    for i in range(3):
        for j in range(3):
            P[i + 3, j + 3] = turned_one(params[3] ** 2, params[4] ** 2, u, i, j)
            if d == 9:
                P[i + 6, j + 6] = turned_one(params[5] ** 2, params[6] ** 2, u, i, j)


@kernel
def switching_one(rates, dt, Pi, work):
    """Fill Pi (M, M) with the transition probabilities ``expm(rates dt)`` of a Markov chain over a step.

    `rates` (M, M) is its generator [1/s]: not negative off the diagonal, rows sum to zero. Uniformisation (Jensen
    1953, doi:10.1080/03461238.1953.10419459) with scaling and squaring: with the fastest rate r, ``exp(rates s) =
    sum exp(-r s) (r s)**k/k! (I + rates/r)**k`` adds only numbers that are not negative, so nothing cancels and every
    element keeps its digits. `work` (M, M) is room.
    """
    M = rates.shape[0]
    fastest = 0.0
    for i in range(M):
        fastest = max(fastest, -rates[i, i])
    squarings = 0
    short = dt
    while fastest * short > 0.5:
        short *= 0.5
        squarings += 1
    for i in range(M):
        for j in range(M):
            Pi[i, j] = 1.0 if i == j else 0.0
    # Horner; the first term left out is 0.5**16/16! = 7e-19.
    for k in range(15, 0, -1):
        for i in range(M):
            for j in range(M):
                s = 0.0
                for m in range(M):
                    s += (rates[i, m] + (fastest if i == m else 0.0)) * Pi[m, j]
                work[i, j] = s * short / k
        for i in range(M):
            for j in range(M):
                Pi[i, j] = work[i, j] + (1.0 if i == j else 0.0)
    for r in range(squarings + 1):
        # The first round scales by exp(-r s): it makes the rows sum to one, and each squaring keeps them there.
        for i in range(M):
            total = 0.0
            for j in range(M):
                if r == 0:
                    work[i, j] = Pi[i, j]
                else:
                    work[i, j] = 0.0
                    for m in range(M):
                        work[i, j] += Pi[i, m] * Pi[m, j]
                total += work[i, j]
            for j in range(M):
                work[i, j] /= total
        for i in range(M):
            for j in range(M):
                Pi[i, j] = work[i, j]


@kernel
def model_rows(code, params, position, dt, F, Q):
    """Fill F, Q (n, d, d) of steps `dt` (n,) from `position` (n, 3)."""
    for i in range(dt.shape[0]):
        model_one(code, params, position[i], dt[i], F[i], Q[i])


@kernel
def switching_rows(rates, dt, Pi):
    """Fill Pi (n, M, M) for steps `dt` (n,)."""
    work = np.empty(rates.shape)
    for i in range(dt.shape[0]):
        switching_one(rates, dt[i], Pi[i], work)
