"""One target through one time-ordered table of measurements, in one compiled call.

Legend
------
N           size of the state: 6 + shared errors of the sensors
x (N,)      position [m], velocity [m/s] in ECEF, then errors that sensors share between rows
P (N, N)    covariance of x
H (m, N)    measurement matrix, m <= 3; `where` lists the columns that are not zero
y (m,)      innovation
R (m, m)    covariance of the error that is new in this row
S (m, m)    innovation covariance, S = L L'
W (N, m)    P H' L^-T, so that P - W W' is the updated covariance and W (L^-1 y) the correction

Each sensor owns up to six extra states: three of unit variance that scale the Cholesky factor of the row's `site_cov`
(first-order Gauss-Markov), one heading error and two boresight angles [rad]. They are considered, not estimated: the
covariance of the target knows of them, and that keeps it honest.

Two hypotheses live side by side. The first is the track. The second is born from sightings that the track's gate has
refused, and replaces the track only when it has been fed for `recover_s` while the track has not.
"""

import numpy as np

from dronetrack.kernels import kernel

TICK, POSITION, LINE_OF_SIGHT, HEIGHT = 0, 1, 2, 3
UNUSED, ACCEPTED, GATED, SHADOWED, MISSING = 0, 1, 2, 3, 4
CONFIRMED, COASTING = 1, 2

LOG_2PI = np.log(2.0 * np.pi)
FORGET_US = 2_000_000  # a second hypothesis that hears nothing for so long is dropped

# WGS 84 semi-axes squared: the outward normal of the ellipsoid through (x, y, z) is (x/a2, y/a2, z/b2).
_A2 = 6378137.0**2
_B2 = 6356752.314245179**2


@kernel
def up_one(position, up):
    """Fill `up` (3,) with the local vertical at an ECEF position near the ground."""
    up[0] = position[0] / _A2
    up[1] = position[1] / _A2
    up[2] = position[2] / _B2
    norm = np.sqrt(up[0] ** 2 + up[1] ** 2 + up[2] ** 2)
    for i in range(3):
        up[i] /= norm


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
def predict_one(x, P, dt, q_horizontal, q_vertical, tau_s, variance):
    """Move (x, P) on by `dt` seconds: constant velocity, and Gauss-Markov decay of the sensors' shared errors.

    `tau_s`, `variance` (N,) describe the shared errors; their first six entries are not read.
    """
    N = x.shape[0]
    up = np.empty(3)
    up_one(x, up)
    for i in range(3):
        x[i] += dt * x[i + 3]
    for k in range(6, N):
        phi = np.exp(-dt / tau_s[k])
        x[k] *= phi
        for j in range(N):
            P[k, j] *= phi
            P[j, k] *= phi
        P[k, k] += (1.0 - phi * phi) * variance[k]
    for i in range(3):
        for j in range(N):
            P[i, j] += dt * P[i + 3, j]
    for j in range(N):
        for i in range(3):
            P[j, i] += dt * P[j, i + 3]
    dt2 = 0.5 * dt * dt
    dt3 = dt * dt * dt / 3.0
    for i in range(3):
        for j in range(3):
            q = (q_vertical - q_horizontal) * up[i] * up[j]
            if i == j:
                q += q_horizontal
            P[i, j] += q * dt3
            P[i, j + 3] += q * dt2
            P[i + 3, j] += q * dt2
            P[i + 3, j + 3] += q * dt


@kernel
def linearise_one(x, kind, z, cov, site, C, shared, heading, boresight, H, where, y, R):
    """Write one measurement as y = H dx + noise of covariance R, at the state x.

    `C` (3, 3) is a root of the row's shared covariance; `shared`, `heading`, `boresight` are the columns of the
    sensor's own states, -1 where it has none. Returns (m, number of columns in `where`); m = 0 where the target would
    lie behind the camera.
    """
    count = 3
    for i in range(3):
        where[i] = i
    if shared >= 0:
        for k in range(3):
            where[count] = shared + k
            count += 1
    off = np.zeros(3)
    if shared >= 0:
        for i in range(3):
            for k in range(3):
                off[i] += C[i, k] * x[shared + k]
    if kind == POSITION:
        for i in range(3):
            for j in range(3):
                H[i, j] = 1.0 if i == j else 0.0
                R[i, j] = cov[i, j]
                if shared >= 0:
                    H[i, shared + j] = C[i, j]
            y[i] = z[i] - x[i] - off[i]
        return 3, count
    if kind == HEIGHT:
        up = np.empty(3)
        up_one(x, up)
        y[0] = 0.0
        R[0, 0] = 0.0
        for i in range(3):
            H[0, i] = up[i]
            y[0] += up[i] * (z[i] - x[i] - off[i])
            for j in range(3):
                R[0, 0] += up[i] * cov[i, j] * up[j]
        if shared >= 0:
            for k in range(3):
                H[0, shared + k] = up[0] * C[0, k] + up[1] * C[1, k] + up[2] * C[2, k]
        return 1, count
    # Line of sight: u = (p - site - off) / range, compared in the plane across it.
    u = np.empty(3)
    distance = 0.0
    for i in range(3):
        u[i] = x[i] - site[i] - off[i]
        distance += u[i] * u[i]
    distance = np.sqrt(distance)
    along = 0.0
    for i in range(3):
        u[i] /= distance
        along += u[i] * z[i]
    if distance < 1.0 or along < 0.2:
        return 0, count
    E = np.empty((2, 3))  # rows: right (horizontal), and upwards across the line
    across_axes_one(u, site, E)
    right_by_heading = np.sqrt(max(0.0, 1.0 - elevation_sine_one(u, site) ** 2))
    for r in range(2):
        y[r] = 0.0
        for i in range(3):
            y[r] += E[r, i] * z[i]
            H[r, i] = E[r, i] / distance
        y[r] /= along
        if shared >= 0:
            for k in range(3):
                H[r, shared + k] = -(E[r, 0] * C[0, k] + E[r, 1] * C[1, k] + E[r, 2] * C[2, k]) / distance
        for s in range(2):
            R[r, s] = 0.0
            for i in range(3):
                for j in range(3):
                    R[r, s] += E[r, i] * cov[i, j] * E[s, j]
    if heading >= 0:
        where[count] = heading
        count += 1
        H[0, heading] = right_by_heading
        H[1, heading] = 0.0
        y[0] -= right_by_heading * x[heading]
    if boresight >= 0:
        for k in range(2):
            where[count] = boresight + k
            count += 1
            for r in range(2):
                H[r, boresight + k] = 1.0 if r == k else 0.0
            y[k] -= x[boresight + k]
    return 2, count


@kernel
def elevation_sine_one(u, site):
    """Sine of the elevation of the unit vector `u` seen from `site`."""
    up = np.empty(3)
    up_one(site, up)
    return u[0] * up[0] + u[1] * up[1] + u[2] * up[2]


@kernel
def across_axes_one(u, site, E):
    """Fill E (2, 3): right (horizontal) and upward unit vectors across the line of sight `u` from `site`.

    Straight down 'right' is taken as east, so nothing blows up there.
    """
    up = np.empty(3)
    up_one(site, up)
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
def innovation_one(P, H, where, count, m, R, y, W, L, v):
    """Fill W, L and v = L^-1 y; return the normalised innovation squared and log det S."""
    N = P.shape[0]
    S = np.empty((3, 3))
    for r in range(m):
        for i in range(N):
            s = 0.0
            for c in range(count):
                s += P[i, where[c]] * H[r, where[c]]
            W[i, r] = s
    for r in range(m):
        for q in range(r + 1):
            s = R[r, q]
            for c in range(count):
                s += H[r, where[c]] * W[where[c], q]
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
    for i in range(N):
        for r in range(m):
            s = W[i, r]
            for q in range(r):
                s -= L[r, q] * W[i, q]
            W[i, r] = s / L[r, r]
    return nis, log_det


@kernel
def correct_one(x, P, W, v, m):
    """Apply the prepared update to the target: x + W v, P - W W'; P stays symmetric to the bit.

    The sensors' shared errors are considered, not estimated (Schmidt): they keep their own mean and covariance, and
    only what ties them to the target changes. Estimating them from the same few directions would feed on the
    linearisation and make the filter sure of biases it cannot see.
    """
    N = x.shape[0]
    for i in range(N):
        if i < 6:
            for r in range(m):
                x[i] += W[i, r] * v[r]
        for j in range(min(i + 1, 6)):
            s = P[i, j]
            for r in range(m):
                s -= W[i, r] * W[j, r]
            P[i, j] = s
            P[j, i] = s


@kernel
def weigh_one(x, P, kind, z, cov, site, C, columns, H, where, y, R, W, L, v):
    """Prepare an update with one measurement: (components, NIS, log-likelihood); 0 components = it cannot be used."""
    m, count = linearise_one(x, kind, z, cov, site, C, columns[0], columns[1], columns[2], H, where, y, R)
    if m == 0:
        return 0, np.inf, -np.inf
    nis, log_det = innovation_one(P, H, where, count, m, R, y, W, L, v)
    return m, nis, -0.5 * (nis + log_det + m * LOG_2PI)


@kernel
def relinearise_one(x, P, kind, m, z, cov, site, C, columns, H, where, y, R, W, L, v):
    """Repeat a line-of-sight update about its own result (iterated extended Kalman filter).

    A direction is only linear over shifts that are small against the range. After a gap the first sighting may move
    the target by a third of it; two more rounds about the corrected point settle that (Bell, Cathey 1993,
    doi:10.1109/9.250476). Leaves the last H in W, v; the caller applies them to the state before the update.
    """
    N = x.shape[0]
    moved = np.empty(N)
    for _ in range(3):
        shift = 0.0
        distance = 0.0
        for i in range(N):
            moved[i] = x[i]
            if i < 6:
                for r in range(m):
                    moved[i] += W[i, r] * v[r]
            if i < 3:
                shift += (moved[i] - x[i]) ** 2
                distance += (x[i] - site[i]) ** 2
        if shift < 4e-4 * distance:
            break
        usable, count = linearise_one(moved, kind, z, cov, site, C, columns[0], columns[1], columns[2], H, where, y, R)
        if usable == 0:
            break
        for r in range(m):
            for i in range(3):
                y[r] -= H[r, i] * (x[i] - moved[i])
        innovation_one(P, H, where, count, m, R, y, W, L, v)


@kernel
def ground_on_ray(i, time_us, kind, z, site, point):
    """Fill `point` with where the sighting in row i meets the ground plane of a height row of the same moment.

    Returns the range along the ray, or -1 where there is no such row or the ray does not come down to it.
    """
    n = time_us.shape[0]
    up = np.empty(3)
    first = i
    while first > 0 and time_us[first - 1] == time_us[i]:
        first -= 1
    best = -1.0
    for j in range(first, n):
        if time_us[j] != time_us[i]:
            break
        if kind[j] != HEIGHT or np.isnan(z[j, 0]):
            continue
        up_one(z[j], up)
        fall = 0.0
        drop = 0.0
        for k in range(3):
            fall += up[k] * z[i, k]
            drop += up[k] * (z[j, k] - site[i, k])
        if fall < -1e-3 and drop < 0.0 and (best < 0.0 or drop / fall < best):
            best = drop / fall
            for k in range(3):
                point[k] = site[i, k] + best * z[i, k]
    return best


@kernel
def copy_one(x, P, x_to, P_to):
    """Copy one hypothesis over another."""
    N = x.shape[0]
    for i in range(N):
        x_to[i] = x[i]
        for j in range(N):
            P_to[i, j] = P[i, j]


@kernel
def start_one(x, P, point, spread_m, speed_std, climb_std):
    """Put a target at `point`, position unknown to `spread_m`, velocity unknown; the sensors' states stay."""
    N = x.shape[0]
    up = np.empty(3)
    up_one(point, up)
    for i in range(6):
        for j in range(N):
            P[i, j] = 0.0
            P[j, i] = 0.0
    for i in range(3):
        x[i] = point[i]
        x[i + 3] = 0.0
        P[i, i] = spread_m * spread_m
        for j in range(3):
            q = (climb_std * climb_std - speed_std * speed_std) * up[i] * up[j]
            if i == j:
                q += speed_std * speed_std
            P[i + 3, j + 3] = q


@kernel
def track_rows(
    time_us,
    sensor,
    kind,
    z,
    cov,
    site,
    root,
    starts,
    columns,
    tau_s,
    variance,
    motion,
    gate,
    recover_s,
    support_s,
    x_out,
    P_out,
    time_out,
    status_out,
    nis_out,
    sensors_out,
    moved_out,
    verdict,
    nis_row,
):
    """Run the whole table; return (rows written, log-likelihood of what was accepted, swaps).

    `root` (n, 3, 3) is a root of each row's shared covariance; `starts` (s,) says whether a sensor may start a track;
    `columns` (s, 3) are the state columns of a sensor's shared, heading and boresight errors (-1 = none); `motion` is
    (q_horizontal, q_vertical, initial speed std, initial climb std); `gate` (4,) the limits of the NIS by number of
    components. Outputs `*_out` hold one row per distinct time at which the track exists; `verdict`, `nis_row` (n,) say
    what became of each measurement.
    """
    n = time_us.shape[0]
    N = tau_s.shape[0]
    n_sensors = starts.shape[0]
    # Two hypotheses, and room to work for each.
    x = np.zeros((2, N))
    P = np.zeros((2, N, N))
    for k in range(6, N):
        P[0, k, k] = variance[k]
    alive = np.zeros(2, dtype=np.bool_)
    stamp = np.zeros(2, dtype=np.int64)
    first_hit = np.zeros(2, dtype=np.int64)
    last_hit = np.zeros(2, dtype=np.int64)
    hits = np.zeros(2, dtype=np.int64)
    components = np.zeros(2, dtype=np.int64)
    nis = np.zeros(2)
    score = np.zeros(2)
    fits = np.zeros(2, dtype=np.bool_)
    H = np.zeros((2, 3, N))
    where = np.zeros((2, N + 8), dtype=np.int64)
    y = np.zeros((2, 3))
    v = np.zeros((2, 3))
    R = np.zeros((2, 3, 3))
    L = np.zeros((2, 3, 3))
    W = np.zeros((2, N, 3))
    point = np.zeros(3)
    heard = np.full(n_sensors, -(2**62), dtype=np.int64)
    recover_us = np.int64(recover_s * 1e6)
    support_us = np.int64(support_s * 1e6)
    rows = 0
    swaps = 0
    log_likelihood = 0.0
    moment_nis = np.nan
    moved = False
    for i in range(n):
        t = time_us[i]
        s = sensor[i]
        k = np.int64(kind[i])
        if k != TICK and (np.isnan(z[i, 0]) or (k == LINE_OF_SIGHT and np.isnan(site[i, 0]))):
            verdict[i] = MISSING
        elif k != TICK:
            if alive[1] and t - last_hit[1] > FORGET_US:
                alive[1] = False
            for h in range(2):
                fits[h] = False
                score[h] = -np.inf
                if alive[h]:
                    if t > stamp[h]:
                        predict_one(x[h], P[h], (t - stamp[h]) * 1e-6, motion[0], motion[1], tau_s, variance)
                        stamp[h] = t
                    components[h], nis[h], score[h] = weigh_one(
                        x[h], P[h], k, z[i], cov[i], site[i], root[i], columns[s],
                        H[h], where[h], y[h], R[h], W[h], L[h], v[h],
                    )  # fmt: skip
                    fits[h] = components[h] > 0 and nis[h] <= gate[components[h]]
            if alive[0] and components[0] > 0:
                nis_row[i] = nis[0]
            # While nothing else supports the track, a second hypothesis keeps the rows that it explains better.
            owned = starts[s] and fits[1] and hits[1] >= 4 and score[1] > score[0] and t - last_hit[0] > support_us
            taken = fits[0] and not owned
            if taken:
                if k == LINE_OF_SIGHT:
                    relinearise_one(
                        x[0], P[0], k, components[0], z[i], cov[i], site[i], root[i], columns[s],
                        H[0], where[0], y[0], R[0], W[0], L[0], v[0],
                    )  # fmt: skip
                correct_one(x[0], P[0], W[0], v[0], components[0])
                verdict[i] = ACCEPTED
                log_likelihood += score[0]
                heard[s] = t
                if starts[s]:
                    hits[0] += 1
                    last_hit[0] = t
                    moment_nis = nis[0]
            elif alive[0]:
                verdict[i] = GATED
            if fits[1] and (owned or not (taken and starts[s])):
                correct_one(x[1], P[1], W[1], v[1], components[1])
                if starts[s]:
                    hits[1] += 1
                    last_hit[1] = t
                    verdict[i] = SHADOWED
            elif starts[s] and not taken and not alive[1]:
                # Nobody explains this row: it starts the track, or a second opinion.
                if k == LINE_OF_SIGHT:
                    spread = ground_on_ray(i, time_us, kind, z, site, point)
                else:
                    spread = np.sqrt(cov[i, 0, 0] + cov[i, 1, 1] + cov[i, 2, 2])
                    for c in range(3):
                        point[c] = z[i, c]
                        spread += np.abs(root[i, c, 0]) + np.abs(root[i, c, 1]) + np.abs(root[i, c, 2])
                    spread = 10.0 * spread + 1.0
                if spread > 0.0:
                    h = 1 if alive[0] else 0
                    if h == 1:
                        copy_one(x[0], P[0], x[1], P[1])
                    start_one(x[h], P[h], point, spread, motion[2], motion[3])
                    m, _, _ = weigh_one(
                        x[h], P[h], k, z[i], cov[i], site[i], root[i], columns[s],
                        H[h], where[h], y[h], R[h], W[h], L[h], v[h],
                    )  # fmt: skip
                    correct_one(x[h], P[h], W[h], v[h], m)
                    alive[h] = True
                    stamp[h] = t
                    first_hit[h] = t
                    last_hit[h] = t
                    hits[h] = 1
                    if h == 0:
                        verdict[i] = ACCEPTED
                        heard[s] = t
            if (
                alive[1]
                and hits[1] >= 8
                and last_hit[1] - first_hit[1] >= recover_us
                and last_hit[1] - last_hit[0] >= recover_us
            ):
                copy_one(x[1], P[1], x[0], P[0])
                stamp[0] = stamp[1]
                last_hit[0] = last_hit[1]
                hits[0] = hits[1]
                alive[1] = False
                swaps += 1
                moved = True
        if alive[0] and (i + 1 == n or time_us[i + 1] != t):
            if t > stamp[0]:
                predict_one(x[0], P[0], (t - stamp[0]) * 1e-6, motion[0], motion[1], tau_s, variance)
                stamp[0] = t
            time_out[rows] = t
            for a in range(6):
                x_out[rows, a] = x[0, a]
                for b in range(6):
                    P_out[rows, a, b] = P[0, a, b]
            status_out[rows] = CONFIRMED if t - last_hit[0] <= support_us else COASTING
            nis_out[rows] = moment_nis
            supporting = 0
            for q in range(n_sensors):
                if heard[q] >= t - support_us:
                    supporting += 1
            sensors_out[rows] = supporting
            moved_out[rows] = moved
            moved = False
            moment_nis = np.nan
            rows += 1
    return rows, log_likelihood, swaps
