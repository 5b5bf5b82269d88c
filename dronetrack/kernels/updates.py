"""What does one measurement say about a target? Innovation, its covariance, the correction; errors that rows share.

Legend
------
D           size of the target's state: 6 (position [m], velocity [m/s], ECEF) or 9 (with acceleration [m/s2])
B           number of shared errors that the sensors bring; N = D + B
x (D,)      mean of the target
P (D, N)    covariance of the target, and its covariance with the shared errors
variance (B,) prior variance of each shared error: the errors are considered, not estimated (Schmidt), so their own
            mean stays 0 and their own covariance stays diag(variance)
H (m, OWN)  measurement matrix, m <= 3: columns 0-2 the target's position, 3-5 what scales the row's shared covariance,
            6 heading, 7 its wander, 8-9 boresight [rad]
own (OWN,)  columns of P for the columns of H, -1 where the sensor has none
y (m,)      innovation
R (m, m)    covariance of the error that is new in this row
S (m, m)    innovation covariance, S = L L'
W (N, m)    P H' L^-T, so that P - W W' is the updated covariance and W (L^-1 y) the correction
v (m,)      L^-1 y
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.motion import up_one

TICK, POSITION, LINE_OF_SIGHT, HEIGHT = 0, 1, 2, 3
OWN = 10
WIDE = 0.04  # a doubt of a fifth of the range bends a line of sight

LOG_2PI = np.log(2.0 * np.pi)


@kernel
def cholesky_one(A, m, L):
    """Fill the lower triangle of `L` with the Cholesky factor of the leading (m, m) of `A`; 0 where A is singular."""
    for i in range(m):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                L[i, i] = np.sqrt(s) if s > 0.0 else 0.0
            else:
                L[i, j] = s / L[j, j] if L[j, j] > 0.0 else 0.0
        for j in range(i + 1, m):
            L[i, j] = 0.0


@kernel
def elevation_sine_one(u, site):
    """Sine of the elevation of the unit vector `u` seen from `site`."""
    up = up_one(site)
    return u[0] * up[0] + u[1] * up[1] + u[2] * up[2]


@kernel
def across_axes_one(u, site, E):
    """Fill E (2, 3): right (horizontal) and upward unit vectors across the line of sight `u` from `site`.

    Straight down 'right' is taken as east, so nothing blows up there.
    """
    up = up_one(site)
    E[0, 0] = u[1] * up[2] - u[2] * up[1]
    E[0, 1] = u[2] * up[0] - u[0] * up[2]
    E[0, 2] = u[0] * up[1] - u[1] * up[0]
    norm = np.sqrt(E[0, 0] ** 2 + E[0, 1] ** 2 + E[0, 2] ** 2)
    if norm < 1e-6:
        norm = np.sqrt(site[0] ** 2 + site[1] ** 2)
        E[0, 0] = -site[1]
        E[0, 1] = site[0]
        E[0, 2] = 0.0
    for i in range(3):
        E[0, i] /= norm
    E[1, 0] = E[0, 1] * u[2] - E[0, 2] * u[1]
    E[1, 1] = E[0, 2] * u[0] - E[0, 0] * u[2]
    E[1, 2] = E[0, 0] * u[1] - E[0, 1] * u[0]


@kernel
def own_columns_one(columns, D, own):
    """Fill `own` from a sensor's (shared, heading, wander, boresight) columns among the shared errors, -1 = none."""
    for k in range(3):
        own[k] = k
        own[3 + k] = D + columns[0] + k if columns[0] >= 0 else -1
    for k in range(2):
        own[6 + k] = D + columns[1 + k] if columns[1 + k] >= 0 else -1
        own[8 + k] = D + columns[3] + k if columns[3] >= 0 else -1


@kernel
def linearise_one(x, kind, z, cov, site, C, scale, H, y, R):
    """Write one measurement as y = H dx + noise of covariance R, at the state x.

    `C` (3, 3) is a root of the row's shared covariance; `scale` multiplies the stated covariance of what is new in
    the row. Returns the number of components m; 0 where the target would lie behind the camera.
    """
    if kind == POSITION:
        for i in range(3):
            for j in range(3):
                H[i, j] = 1.0 if i == j else 0.0
                H[i, 3 + j] = C[i, j]
                R[i, j] = scale * cov[i, j]
            for j in range(6, OWN):
                H[i, j] = 0.0
            y[i] = z[i] - x[i]
        return 3
    if kind == HEIGHT:
        up = up_one(x)
        y[0] = 0.0
        R[0, 0] = 0.0
        for i in range(3):
            H[0, i] = up[i]
            H[0, 3 + i] = up[0] * C[0, i] + up[1] * C[1, i] + up[2] * C[2, i]
            y[0] += up[i] * (z[i] - x[i])
            for j in range(3):
                R[0, 0] += scale * up[i] * cov[i, j] * up[j]
        for j in range(6, OWN):
            H[0, j] = 0.0
        return 1
    # Line of sight: u = (p - site) / range, compared in the plane across it.
    u = np.empty(3)
    distance = 0.0
    for i in range(3):
        u[i] = x[i] - site[i]
        distance += u[i] * u[i]
    distance = np.sqrt(distance)
    along = 0.0
    for i in range(3):
        u[i] /= distance
        along += u[i] * z[i]
    if distance < 1.0 or along < 0.2:
        return 0
    E = np.empty((2, 3))  # rows: right (horizontal), and upwards across the line
    across_axes_one(u, site, E)
    right_by_heading = np.sqrt(max(0.0, 1.0 - elevation_sine_one(u, site) ** 2))
    for r in range(2):
        y[r] = 0.0
        for i in range(3):
            y[r] += E[r, i] * z[i]
            H[r, i] = E[r, i] / distance
            H[r, 3 + i] = -(E[r, 0] * C[0, i] + E[r, 1] * C[1, i] + E[r, 2] * C[2, i]) / distance
        y[r] /= along
        for s in range(2):
            R[r, s] = 0.0
            for i in range(3):
                for j in range(3):
                    R[r, s] += scale * E[r, i] * cov[i, j] * E[s, j]
        H[r, 6] = right_by_heading if r == 0 else 0.0
        H[r, 7] = H[r, 6]
        H[r, 8] = 1.0 if r == 0 else 0.0
        H[r, 9] = 1.0 if r == 1 else 0.0
    return 2


@kernel
def curve_one(P, u_site, x, m, H, R):
    """Add to R what a direction curves within the doubt about the target: (c c' + C a) / range^2.

    With C the covariance of the target across the line in angles, a its variance along the line over the squared
    range and c their covariance: the second-order term of the direction (Bar-Shalom, Li, Kirubarajan 2001,
    section 10.3.3, doi:10.1002/0471221279).
    """
    u = np.empty(3)
    d2 = 0.0
    for i in range(3):
        u[i] = x[i] - u_site[i]
        d2 += u[i] * u[i]
    along = 0.0
    c = np.zeros(2)
    C = np.zeros((2, 2))
    for i in range(3):
        for j in range(3):
            along += u[i] * P[i, j] * u[j] / d2
            for r in range(m):
                c[r] += H[r, i] * P[i, j] * u[j]
                for q in range(m):
                    C[r, q] += H[r, i] * P[i, j] * H[q, j]
    for r in range(m):
        for q in range(m):
            R[r, q] += (C[r, q] * along + c[r] * c[q] / d2) / d2


@kernel
def innovation_one(P, variance, H, own, m, R, y, W, L, v):
    """Fill W, L and v = L^-1 y; return the normalised innovation squared and log det S."""
    D, N = P.shape
    S = np.empty((3, 3))
    for r in range(m):
        h0, h1, h2 = H[r, 0], H[r, 1], H[r, 2]
        for k in range(D):
            W[k, r] = P[k, 0] * h0 + P[k, 1] * h1 + P[k, 2] * h2
        for k in range(D, N):
            W[k, r] = P[0, k] * h0 + P[1, k] * h1 + P[2, k] * h2
        for c in range(3, OWN):
            column = own[c]
            if column >= 0 and H[r, c] != 0.0:
                for k in range(D):
                    W[k, r] += P[k, column] * H[r, c]
                W[column, r] += variance[column - D] * H[r, c]
    for r in range(m):
        for q in range(r + 1):
            s = R[r, q]
            for c in range(OWN):
                if own[c] >= 0:
                    s += H[r, c] * W[own[c], q]
            S[r, q] = s
            S[q, r] = s
    cholesky_one(S, m, L)
    nis = 0.0
    log_det = 0.0
    for r in range(m):
        s = y[r]
        for q in range(r):
            s -= L[r, q] * v[q]
        v[r] = s / L[r, r]
        nis += v[r] * v[r]
        log_det += 2.0 * np.log(L[r, r])
    for r in range(m):
        for q in range(r):
            for k in range(N):
                W[k, r] -= L[r, q] * W[k, q]
        for k in range(N):
            W[k, r] /= L[r, r]
    return nis, log_det


@kernel
def correct_one(x, P, W, v, m, share):
    """Apply the prepared update to the target: x + W v, P - W W'; P stays symmetric to the bit.

    The sensors' shared errors are considered, not estimated (Schmidt): they keep their own mean and covariance, and
    only what ties them to the target changes. Estimating them from the same few directions would feed on the
    linearisation and make the filter sure of biases it cannot see.

    `share` is the probability that the measurement is the target's; below 1 the covariance shrinks by that part only
    and grows by the spread between both cases (probabilistic data association, Bar-Shalom, Tse 1975,
    doi:10.1016/0005-1098(75)90021-7).
    """
    D, N = P.shape
    step = np.zeros(D)
    for r in range(m):
        for i in range(D):
            step[i] += W[i, r] * v[r]
    spread = share * (1.0 - share)
    for i in range(D):
        x[i] += share * step[i]
        for j in range(i + 1):
            s = P[i, j]
            for r in range(m):
                s -= share * W[i, r] * W[j, r]
            s += spread * step[i] * step[j]
            P[i, j] = s
            P[j, i] = s
        for r in range(m):
            w = share * W[i, r]
            for k in range(D, N):
                P[i, k] -= w * W[k, r]


@kernel
def weigh_one(x, P, variance, kind, z, cov, site, C, scale, point, near, own, H, y, R, W, L, v):
    """Prepare an update with one measurement: (components, NIS, log-likelihood); 0 components = it cannot be used.

    A line of sight is linear over shifts that are small against the range. Where the doubt about the target is not,
    the line is linearised about `point`, where it meets the ground, if `near` says that there is one.
    """
    D = x.shape[0]
    about = np.empty(D)
    for i in range(D):
        about[i] = x[i]
    wide = False
    if kind == LINE_OF_SIGHT:
        d2 = (x[0] - site[0]) ** 2 + (x[1] - site[1]) ** 2 + (x[2] - site[2]) ** 2
        wide = near and P[0, 0] + P[1, 1] + P[2, 2] > WIDE * d2
        if wide:
            for i in range(3):
                about[i] = point[i]
    m = linearise_one(about, kind, z, cov, site, C, scale, H, y, R)
    if m == 0:
        return 0, np.inf, -np.inf
    for r in range(m):
        for i in range(3):
            y[r] -= H[r, i] * (x[i] - about[i])
    if kind == LINE_OF_SIGHT and not wide:
        curve_one(P, site, about, m, H, R)
    nis, log_det = innovation_one(P, variance, H, own, m, R, y, W, L, v)
    return m, nis, -0.5 * (nis + log_det + m * LOG_2PI)


@kernel
def relinearise_one(x, P, variance, kind, m, z, cov, site, C, scale, own, H, y, R, W, L, v):
    """Repeat a line-of-sight update about its own result (iterated extended Kalman filter).

    After a gap the first sighting may move the target by a third of the range; two more rounds about the corrected
    point settle that (Bell, Cathey 1993, doi:10.1109/9.250476). Leaves the last H in W, v; the caller applies them to
    the state before the update.
    """
    D = x.shape[0]
    moved = np.empty(D)
    for _ in range(3):
        shift = 0.0
        distance = 0.0
        for i in range(D):
            moved[i] = x[i]
            for r in range(m):
                moved[i] += W[i, r] * v[r]
            if i < 3:
                shift += (moved[i] - x[i]) ** 2
                distance += (x[i] - site[i]) ** 2
        if shift < 4e-4 * distance:
            break
        usable = linearise_one(moved, kind, z, cov, site, C, scale, H, y, R)
        if usable == 0:
            break
        for r in range(m):
            for i in range(3):
                y[r] -= H[r, i] * (x[i] - moved[i])
        innovation_one(P, variance, H, own, m, R, y, W, L, v)
