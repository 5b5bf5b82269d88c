"""One target through a time-ordered table of measurements: whole, or a stretch at a time, with the same bits.

Legend (see also `updates`)
---------------------------
n           measurements; S sensors; M motion models; D, B, N as in `updates`
belief      everything that is remembered between two rows; a copy of it is a checkpoint
ring        the last few beliefs, half a second apart: where to go back to when a sensor is found on the wrong target
w           weights of the models

Two hypotheses live side by side. The first is the track. The second is born from sightings that the track's gate has
refused, and replaces the track only when it has been fed for `recover_s` while the track has not; sensors of
two platforms that agree need two seconds.

Each sensor owns up to seven shared errors: three of unit variance that scale the root of the row's `site_cov`
(first-order Gauss-Markov), a heading error and its wander, and two boresight angles [rad].
"""

from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.mixture import combine_one, mix_one
from dronetrack.kernels.mixture import weigh_one as weigh_models_one
from dronetrack.kernels.motion import model_one, switching_one, turned_one, up_one
from dronetrack.kernels.updates import (
    HEIGHT,
    LINE_OF_SIGHT,
    LOG_2PI,
    OWN,
    TICK,
    correct_one,
    own_columns_one,
    relinearise_one,
    weigh_one,
)

UNUSED, ACCEPTED, GATED, SHADOWED, MISSING, UNFUSED = 0, 1, 2, 3, 4, 5
CONFIRMED, COASTING = 1, 2
NOTHING, UPDATE, START = 0, 1, 2
GATE, STUDENT_T, PDA = 0, 1, 2

RING = 14  # beliefs kept
RING_STEP_US = 500_000
FORGET_US = 2_000_000  # a second hypothesis that hears nothing for so long is dropped
LATCH_US, LATCH_ROWS = 1_000_000, 6  # refused for so long and so often, a sensor looks at something else
AGREE_US = 2_000_000  # two platforms that agree on the second hypothesis do not look at the same wrong thing
UNFUSE_US = 2_000_000  # of the time before, this much is taken back
STRAINED = 1.6  # if the sensor's normalised innovations were this large on the mean, per component
YOUNG = 4  # a hypothesis with fewer rows than this may be of chance
APART = 4.0  # times the gate: beyond it no turn of the target explains a row
NARROW = 0.1  # a doubt of a tenth of the range bends no line of sight
FARTHEST = 2.5  # standard deviations of the range within which it is sought
POSSIBLE = 1e-3  # a model of less weight is not asked whether it foresaw a row
SUPPORT_US = 1_000_000  # a track is confirmed while a sighting of this age supports it

# Columns of belief.clock
ALIVE, STAMP, FIRST_HIT, LAST_HIT, HITS, FAR = 0, 1, 2, 3, 4, 5  # HITS: since the second hypothesis was born
# Columns of belief.sensor_us
HEARD, SAID, REFUSED_FROM, REFUSED_ROWS, STRAINED_THEN, SKIP_FROM, SKIP_TO, SECONDED = 0, 1, 2, 3, 4, 5, 6, 7
# Columns of belief.sensor_noise
BY_STEP, BY_NIS, ROWS, STRAIN, BEFORE, PLACE = 0, 1, 2, 3, 4, 7  # the last two: three components each
# Entries of belief.head
PENDING, MOMENT, SWAPS, MOVED, RING_NEXT, RING_DUE, TAKEN_BACK = 0, 1, 2, 3, 4, 5, 6
# Entries of belief.sums
MOMENT_NIS, LOG_LIKELIHOOD = 0, 1

NEVER = -(2**62)
QUIET, NOISIEST = 1.4, 25.0


class Rows(NamedTuple):
    """A table of measurements: (n,), ..., `root` (n, 3, 3) is a root of each row's shared covariance."""

    time_us: np.ndarray
    sensor: np.ndarray
    kind: np.ndarray
    z: np.ndarray
    cov: np.ndarray
    site: np.ndarray
    root: np.ndarray


class Sensors(NamedTuple):
    """Whether a sensor may start a track (S,); columns (S, 4) of its shared, heading, wander, boresight errors.

    A column of -1 is none.
    `variance`, `clock` (B,): prior variance of each shared error, and which of `tau_s` is its correlation time.
    `platform` (S,) is the same for sensors that one platform carries.
    """

    starts: np.ndarray
    columns: np.ndarray
    variance: np.ndarray
    clock: np.ndarray
    tau_s: np.ndarray
    platform: np.ndarray


class Models(NamedTuple):
    """Motion models: codes (M,), parameters (M, K), generator (M, M) of their switching, first weights (M,).

    `ranges` (1,): the models stand there so often, one set behind the other, for ranges that nothing leads between.
    """

    code: np.ndarray
    params: np.ndarray
    rates: np.ndarray
    weight: np.ndarray
    ranges: np.ndarray


class Belief(NamedTuple):
    """Two hypotheses: x (2, M, D), P (2, M, D, N), w (2, M), clock (2, 6); and what is known of the sensors."""

    x: np.ndarray
    P: np.ndarray
    w: np.ndarray
    sensor_noise: np.ndarray
    sums: np.ndarray
    clock: np.ndarray
    sensor_us: np.ndarray
    head: np.ndarray


class Ring(NamedTuple):
    """RING beliefs as flat rows of floats and of integers, the current one behind them.

    `at` (RING, 3) holds the next row, the next output row and the time of each; NEVER = empty.
    """

    floats: np.ndarray
    integers: np.ndarray
    at: np.ndarray


class Output(NamedTuple):
    """One row per distinct time at which the track exists; `verdict`, `nis_row` (n,) say what became of each row."""

    time_us: np.ndarray
    state: np.ndarray
    cov: np.ndarray
    weight: np.ndarray
    status: np.ndarray
    nis: np.ndarray
    sensors: np.ndarray
    moved: np.ndarray
    verdict: np.ndarray
    nis_row: np.ndarray


@kernel
def copy_belief_one(ring, source, target):
    """Copy one belief of a ring over another."""
    for k in range(ring.floats.shape[1]):
        ring.floats[target, k] = ring.floats[source, k]
    for k in range(ring.integers.shape[1]):
        ring.integers[target, k] = ring.integers[source, k]


@kernel
def copy_hypothesis_one(x, P, w, x_to, P_to, w_to):
    """Copy the models of one hypothesis over another."""
    M, D, N = P.shape
    for m in range(M):
        w_to[m] = w[m]
        for i in range(D):
            x_to[m, i] = x[m, i]
            for j in range(N):
                P_to[m, i, j] = P[m, i, j]


@kernel
def move_one(code, params, dt, decay, x, P, F, Q):
    """Move one model's (x, P) on: P = F P F' + Q for the target, F P decay for its ties to the shared errors."""
    D, N = P.shape
    model_one(code, params, x, dt, F, Q)
    move_mean_one(F, x)
    for i in range(D):
        for k in range(N - D):
            P[i, D + k] *= decay[k]
    # F is the identity on the position, (I A; 0 G), and of most models G is the identity as well.
    for i in range(3):
        for j in range(3, D):
            f = F[i, j]
            if f != 0.0:
                for k in range(N):
                    P[i, k] += f * P[j, k]
    turns = False
    for i in range(3, D):
        for j in range(3, D):
            turns |= F[i, j] != (1.0 if i == j else 0.0)
    if turns:
        turn_rows_one(F, P)
    column = np.empty(D)
    for i in range(D):
        for k in range(D):
            s = P[i, k] if k < 3 else 0.0
            for j in range(3, D):
                s += P[i, j] * F[k, j]
            column[k] = s
        for k in range(D):
            P[i, k] = column[k]
    for i in range(D):
        for j in range(i + 1):
            s = P[i, j] + Q[i, j]
            P[i, j] = s
            P[j, i] = s


@kernel
def turn_rows_one(F, P):
    """Fill the rows of P below the position with G times what they are."""
    D, N = P.shape
    column = np.empty(D)
    for k in range(N):
        for i in range(3, D):
            s = 0.0
            for j in range(3, D):
                s += F[i, j] * P[j, k]
            column[i] = s
        for i in range(3, D):
            P[i, k] = column[i]


@kernel
def move_mean_one(F, x):
    """Fill x = F x."""
    D = x.shape[0]
    moved = np.empty(D)
    for i in range(D):
        s = x[i] if i < 3 else 0.0
        for j in range(3, D):
            s += F[i, j] * x[j]
        moved[i] = s
    for i in range(D):
        x[i] = moved[i]


@kernel
def predict_one(models, sensors, dt, x, P, w, F, Q, Pi, room_x, room_P):
    """Move a hypothesis on by `dt` seconds: mix the models, then move each; shared errors decay (Gauss-Markov)."""
    M = x.shape[0]
    phi, decay = np.empty(sensors.tau_s.shape[0]), np.empty(sensors.clock.shape[0])
    for c in range(phi.shape[0]):
        phi[c] = np.exp(-dt / sensors.tau_s[c])
    for k in range(decay.shape[0]):
        decay[k] = phi[sensors.clock[k]]
    if models.ranges[0] < M:  # otherwise nothing leads from one to another
        switched, share = np.empty(M), np.empty((M, M))
        switching_one(models.rates, dt, Pi, share)
        mix_one(w, Pi, x, P, switched, share, room_x, room_P)
        copy_hypothesis_one(room_x, room_P, switched, x, P, w)
    for m in range(M):
        move_one(models.code[m], models.params[m], dt, decay, x[m], P[m], F, Q)


@kernel
def ground_on_ray_one(rows, i, point):
    """Fill `point` with where the sighting in row i meets the ground plane of a height row of the same moment.

    Returns the range along the ray, or -1 where there is no such row or the ray does not come down to it.
    """
    n = rows.time_us.shape[0]
    first = i
    while first > 0 and rows.time_us[first - 1] == rows.time_us[i]:
        first -= 1
    best = -1.0
    for j in range(first, n):
        if rows.time_us[j] != rows.time_us[i]:
            break
        if rows.kind[j] != HEIGHT or np.isnan(rows.z[j, 0]):
            continue
        up = up_one(rows.z[j])
        fall = 0.0
        drop = 0.0
        for k in range(3):
            fall += up[k] * rows.z[i, k]
            drop += up[k] * (rows.z[j, k] - rows.site[i, k])
        if fall < -1e-3 and drop < 0.0 and (best < 0.0 or drop / fall < best):
            best = drop / fall
            for k in range(3):
                point[k] = rows.site[i, k] + best * rows.z[i, k]
    return best


@kernel
def start_one(models, point, spread_m, pace, x, P, w):
    """Put a target at `point`, position unknown to `spread_m`, the rest as unknown as each model says.

    The velocity is at least as unknown as the track is fast, `pace` (level, climb) [m/s]: what is taken for a target
    that climbs at 4 m/s may climb as fast.
    """
    M, D = x.shape
    up = up_one(point)
    for m in range(M):
        w[m] = models.weight[m]
        for i in range(D):
            x[m, i] = point[i] if i < 3 else 0.0
            for j in range(P.shape[2]):
                P[m, i, j] = 0.0
        for i in range(3):
            P[m, i, i] = spread_m * spread_m
            for block in range(1, D // 3):
                level, rise = models.params[m, 1 + 2 * block] ** 2, models.params[m, 2 + 2 * block] ** 2
                if block == 1:
                    level, rise = max(level, pace[0] * pace[0]), max(rise, pace[1] * pace[1])
                for j in range(3):
                    P[m, 3 * block + i, 3 * block + j] = turned_one(level, rise, up, i, j)


@kernel
def split_one(x, P, w, ranges, site, u):
    """Divide a target whose range along the ray `u` from `site` is in doubt into `ranges` narrow ones, once.

    What is one Gaussian becomes a sum of them, evenly spaced in the logarithm of the range: a line of sight is linear
    for each of them, while about one mean far off it tells of a range that it cannot see (range-parameterised filter,
    Peach 1995, doi:10.1049/ip-cta:19951614). Until then all sets of models are the same.
    """
    M, D, N = P.shape
    sets = M // ranges
    if x[0, 0] != x[sets, 0] or x[0, 1] != x[sets, 1] or x[0, 2] != x[sets, 2]:
        return
    a = np.empty(N)
    for m in range(sets):
        distance = 0.0
        for i in range(3):
            distance += u[i] * (x[m, i] - site[i])
        for j in range(N):
            a[j] = u[0] * P[m, 0, j] + u[1] * P[m, 1, j] + u[2] * P[m, 2, j]
        power = u[0] * a[0] + u[1] * a[1] + u[2] * a[2]
        spread = np.sqrt(power)
        if distance <= 0.0 or spread < NARROW * distance:
            return
        low, high = max(distance - FARTHEST * spread, 0.05 * distance), distance + FARTHEST * spread
        step = np.log(high / low) / ranges
        total = 0.0
        for k in range(ranges):
            off = low * np.exp((k + 0.5) * step) - distance
            total += (distance + off) * np.exp(-0.5 * off * off / power)
        whole = w[m] * ranges
        for k in range(ranges - 1, -1, -1):  # the set that all are made from comes last
            q = m + k * sets
            off = low * np.exp((k + 0.5) * step) - distance
            left = ((distance + off) * step) ** 2 / 12.0
            w[q] = whole * (distance + off) * np.exp(-0.5 * off * off / power) / total
            for i in range(D):
                x[q, i] = x[m, i] + a[i] / power * off
                for j in range(N):
                    P[q, i, j] = P[m, i, j] - a[i] * a[j] / power * (1.0 - left / power)


@kernel
def clutter_share_one(m, nis, gate, clutter):
    """Probability that a row in the gate is the target's, where a part `clutter` of such rows is not.

    Rows of something else lie evenly in the gate, the ellipsoid of volume c_m gate^(m/2) |S|^(1/2).
    """
    volume = 2.0 if m == 1 else (np.pi if m == 2 else 4.0 / 3.0 * np.pi)
    right = (1.0 - clutter) * np.exp(-0.5 * nis - 0.5 * m * LOG_2PI)
    return right / (right + clutter / (volume * gate ** (0.5 * m)))


@kernel
def noise_one(noise, m, y, R, H, x, P, dt):
    """Learn how much noisier than stated a sensor is, from what is new between two rows that follow closely.

    The row before is held against where the target was by what is believed now, without this row: so errors that rows
    share cancel in the difference, and so does what the track has learnt in between. What is left is the fresh noise
    of both, and what the doubt about the velocity makes of the time between them.
    """
    if 0.0 < dt < 1.0:
        ratio = 0.0
        for r in range(m):
            new = y[r] - noise[BEFORE + r]
            drift = 0.0
            for i in range(3):
                new += H[r, i] * (x[i] - dt * x[3 + i] - noise[PLACE + i])
                for j in range(3):
                    drift += H[r, i] * P[3 + i, 3 + j] * H[r, j]
            ratio += new * new / ((2.0 * R[r, r] + dt * dt * drift) * m)
        noise[ROWS] = min(noise[ROWS] + 1.0, 200.0)
        noise[BY_STEP] += (min(ratio, 6.0 * noise[BY_STEP]) - noise[BY_STEP]) / (50.0 + noise[ROWS])
    for r in range(m):
        noise[BEFORE + r] = y[r]
    for i in range(3):
        noise[PLACE + i] = x[i]


@kernel
def noise_factor_one(noise):
    """Factor on a sensor's variance: 1 as long as what it does differently is within the chance of 200 rows."""
    learnt = max(noise[BY_STEP], noise[BY_NIS])
    return min(learnt, NOISIEST) if learnt > QUIET else 1.0


@kernel
def emit_one(t, belief, models, sensors, out, rows, x, P, F, Q, Pi, room_x, room_P):
    """Write the row of the track for time t."""
    clock = belief.clock
    if t > clock[0, STAMP]:
        predict_one(
            models, sensors, (t - clock[0, STAMP]) * 1e-6, belief.x[0], belief.P[0], belief.w[0],
            F, Q, Pi, room_x, room_P,
        )  # fmt: skip
        clock[0, STAMP] = t
    combine_one(belief.w[0], belief.x[0], belief.P[0], x, P)
    out.time_us[rows] = t
    for a in range(6):
        out.state[rows, a] = x[a]
        for b in range(6):
            out.cov[rows, a, b] = P[a, b]
    for m in range(belief.w.shape[1]):
        out.weight[rows, m] = belief.w[0, m]
    out.status[rows] = CONFIRMED if t - clock[0, LAST_HIT] <= SUPPORT_US else COASTING
    out.nis[rows] = belief.sums[MOMENT_NIS]
    supporting = 0
    for q in range(sensors.starts.shape[0]):
        if belief.sensor_us[q, HEARD] >= t - SUPPORT_US:
            supporting += 1
    out.sensors[rows] = supporting
    out.moved[rows] = belief.head[MOVED] > 0
    belief.head[MOVED] = 0
    belief.sums[MOMENT_NIS] = np.nan


@kernel
def track_rows(rows, start, stop, base, sensors, models, gate, options, belief, ring, out, rows_out, flush):
    """Run rows `start` to `stop` of the table; return the number of output rows written so far.

    `belief` is the last row of `ring`, in shape. `base` (2,) is what number row 0 and output row 0 have in the whole
    stream; `gate` (4,) the limits of the NIS by number of components; `options` are (recover_s, coast_step_s, robust
    method, Student's degrees of freedom, part of clutter, whether noise is learnt). With `flush` the last moment of
    the table is complete and its output row is written.
    """
    M, D, N = belief.P.shape[1], belief.P.shape[2], belief.P.shape[3]
    clock, about, noise, head = belief.clock, belief.sensor_us, belief.sensor_noise, belief.head
    recover_us = np.int64(options[0] * 1e6)
    step_us = max(np.int64(options[1] * 1e6), 1)
    robust = int(options[2])
    variance = sensors.variance
    F, Q, Pi = np.zeros((D, D)), np.zeros((D, D)), np.zeros((M, M))
    room_x, room_P = np.zeros((M, D)), np.zeros((M, D, N))
    x_out, P_out = np.zeros(D), np.zeros((D, N))
    own = np.zeros(OWN, dtype=np.int64)
    H, y, v = np.zeros((3, OWN)), np.zeros(3), np.zeros(3)
    R, L, W = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((N, 3))
    components = np.zeros(2, dtype=np.int64)
    nis, score = np.zeros(2), np.zeros(2)
    fresh = 0.0
    fits = np.zeros(2, dtype=np.bool_)
    act = np.zeros(2, dtype=np.int64)
    point, pace = np.zeros(3), np.zeros(2)
    i = start
    while i < stop or (flush and head[PENDING]):
        # A moment is complete when the next one begins: its output row, and predicted rows up to the next.
        t = rows.time_us[i] if i < stop else head[MOMENT] + 1
        if head[PENDING] and t != head[MOMENT]:
            head[PENDING] = 0
            moment = head[MOMENT]
            while clock[0, ALIVE] and moment < t:
                emit_one(moment, belief, models, sensors, out, rows_out, x_out, P_out, F, Q, Pi, room_x, room_P)
                rows_out += 1
                moment += step_us
        if i == stop:
            break
        if not head[PENDING]:
            head[MOMENT] = t
            if clock[0, ALIVE] and t >= head[RING_DUE]:
                slot = head[RING_NEXT]
                head[RING_NEXT] = (slot + 1) % RING
                head[RING_DUE] = t + RING_STEP_US
                copy_belief_one(ring, RING, slot)
                ring.at[slot, 0] = base[0] + i
                ring.at[slot, 1] = base[1] + rows_out
                ring.at[slot, 2] = t
            head[PENDING] = 1
        s = rows.sensor[i]
        k = np.int64(rows.kind[i])
        starts = sensors.starts[s]
        missing = np.isnan(rows.z[i, 0]) or (k == LINE_OF_SIGHT and np.isnan(rows.site[i, 0]))
        skipped = about[s, SKIP_FROM] <= t <= about[s, SKIP_TO]
        # What was refused feeds the second hypothesis also when it is taken back; what came before it nobody.
        unsure = skipped and t < about[s, SKIP_FROM] + UNFUSE_US
        if k == TICK or missing or unsure:
            if k != TICK:
                out.verdict[i] = MISSING if missing else UNFUSED
            i += 1
            continue
        # A sensor that speaks seldom is waited for.
        patience = max(FORGET_US, 5 * (t - about[s, SAID]) // 2) if about[s, SAID] > NEVER else FORGET_US
        seldom = patience > 5 * SUPPORT_US // 2  # less than once a second
        if clock[1, ALIVE] and t - clock[1, LAST_HIT] > patience:
            clock[1, ALIVE] = 0
        own_columns_one(sensors.columns[s], D, own)
        scale = noise_factor_one(noise[s]) if options[5] > 0.0 and starts else 1.0
        near = start_from_one(rows, i, k, point) if starts else -1.0
        rival = clock[1, ALIVE] and clock[1, FAR]  # somebody else was seen, and the gate stays as narrow as it is
        for h in range(2):
            fits[h] = False
            score[h] = -np.inf
            act[h] = NOTHING
            if not clock[h, ALIVE]:
                continue
            if t > clock[h, STAMP]:
                dt = (t - clock[h, STAMP]) * 1e-6
                predict_one(models, sensors, dt, belief.x[h], belief.P[h], belief.w[h], F, Q, Pi, room_x, room_P)
                clock[h, STAMP] = t
            combine_one(belief.w[h], belief.x[h], belief.P[h], x_out, P_out)
            m, nis[h], score[h] = weigh_one(
                x_out, P_out, variance, k, rows.z[i], rows.cov[i], rows.site[i], rows.root[i], scale,
                point, near > 0.0, own, H, y, R, W, L, v,
            )  # fmt: skip
            components[h] = m
            if h == 0:
                up = up_one(x_out)
                pace[1] = up[0] * x_out[3] + up[1] * x_out[4] + up[2] * x_out[5]
                pace[0] = np.sqrt(max(0.0, x_out[3] ** 2 + x_out[4] ** 2 + x_out[5] ** 2 - pace[1] ** 2))
            if m == 0:
                continue
            if h == 0 and not skipped:
                out.nis_row[i] = nis[0]
                if starts:
                    fresh = fresh_share_one(m, R, L)
                    for r in range(m):
                        R[r, r] /= scale
                    noise_one(noise[s], m, y, R, H, x_out, P_out, (t - about[s, SAID]) * 1e-6)
                    about[s, SAID] = t
            fits[h] = nis[h] <= gate[m]
            if M > 1 and not (fits[h] or rival):
                fits[h] = some_model_fits_one(
                    belief.x[h], belief.P[h], belief.w[h], rows, i, k, scale, gate, variance, point, near > 0.0,
                    own, H, y, R, W, L, v,
                )  # fmt: skip
            fits[h] &= not (h == 0 and skipped)
        if k == HEIGHT and clock[1, ALIVE] and components[1] > 0 and nis[1] > APART * gate[1]:
            # A hypothesis in the air or under the ground is of rows that do not belong together.
            clock[1, ALIVE] = 0
        # A second hypothesis that began far off keeps the rows that it explains better, while little else supports the
        # track: a track that coasts has a wide gate, and would take what the other just misses. One that began near
        # is the target after a turn: there the track takes what it can.
        more = clock[1, ALIVE] and clock[1, FAR] and clock[1, HITS] >= YOUNG and clock[1, HITS] > clock[0, HITS]
        owned = starts and more and score[1] > score[0]
        taken = fits[0] and not owned
        share = 1.0
        spread = 0.0
        if taken:
            act[0] = UPDATE
            out.verdict[i] = ACCEPTED
            belief.sums[LOG_LIKELIHOOD] += score[0]
            if starts:
                if robust == PDA:
                    share = clutter_share_one(components[0], nis[0], gate[components[0]], options[4])
                elif robust == STUDENT_T:
                    scale *= max(1.0, (options[3] + nis[0]) / (options[3] + components[0]))
                strain_one(noise[s], nis[0] / components[0], fresh, (t - about[s, HEARD]) * 1e-6)
                clock[0, HITS] += 1
                clock[0, LAST_HIT] = t
                belief.sums[MOMENT_NIS] = nis[0]
            about[s, REFUSED_ROWS] = 0
            about[s, HEARD] = t
        elif skipped:
            out.verdict[i] = UNFUSED
        elif clock[0, ALIVE]:
            out.verdict[i] = GATED
            if seldom and starts and not rival and nis[0] <= APART * gate[components[0]]:
                # It may well be the target after a turn, and the next word is long in coming: the gate opens for it.
                widen_one(belief.P[0], nis[0] / gate[components[0]])
            if about[s, REFUSED_ROWS] == 0:
                about[s, REFUSED_FROM] = t
                about[s, STRAINED_THEN] = 1 if noise[s, STRAIN] > STRAINED else 0
            about[s, REFUSED_ROWS] += 1
        if fits[1] and (owned or not (taken and starts)):
            act[1] = UPDATE
            if starts:
                clock[1, HITS] += 1
                clock[1, LAST_HIT] = t
                about[s, SECONDED] = t
                if not skipped:
                    out.verdict[i] = SHADOWED
        elif starts and not taken and (not clock[1, ALIVE] or clock[1, HITS] < YOUNG):
            # Nobody explains this row: it starts the track, or a second opinion.
            spread = near
            if spread > 0.0:
                h = 1 if clock[0, ALIVE] else 0
                act[h] = START
                was_far = clock[h, ALIVE] and clock[h, FAR]
                clock[h, FAR] = 1 if was_far or skipped or nis[0] > APART * gate[components[0]] else 0
                clock[h, ALIVE] = 1
                clock[h, STAMP] = t
                clock[h, FIRST_HIT] = t
                clock[h, LAST_HIT] = t
                clock[h, HITS] = 1
                clock[0, HITS] = 0
                if h == 0:
                    out.verdict[i] = ACCEPTED
                    about[s, HEARD] = t
        for h in range(2):
            if act[h] == START:
                start_one(models, point, spread, pace, belief.x[h], belief.P[h], belief.w[h])
            if act[h] != NOTHING:
                if models.ranges[0] > 1 and k == LINE_OF_SIGHT:
                    split_one(belief.x[h], belief.P[h], belief.w[h], models.ranges[0], rows.site[i], rows.z[i])
                update_one(
                    belief.x[h], belief.P[h], belief.w[h], rows, i, k, scale, share if h == 0 else 1.0, variance,
                    point, near > 0.0, own, H, y, R, W, L, v,
                )  # fmt: skip
        # A track that was fed for less than a second may itself be of a wrong row.
        wait_us = recover_us if clock[0, LAST_HIT] - clock[0, FIRST_HIT] > SUPPORT_US else SUPPORT_US
        if clock[1, ALIVE] and seconds_one(about, sensors.platform, max(clock[1, FIRST_HIT], t - SUPPORT_US)) > 1:
            wait_us = min(wait_us, AGREE_US)
        if (
            clock[1, ALIVE]
            and clock[1, HITS] >= (YOUNG if seldom and not clock[1, FAR] else 2 * YOUNG)
            and clock[1, LAST_HIT] - clock[1, FIRST_HIT] >= wait_us
            and clock[1, LAST_HIT] - clock[0, LAST_HIT] >= wait_us
        ):
            copy_hypothesis_one(
                belief.x[1], belief.P[1], belief.w[1], belief.x[0], belief.P[0], belief.w[0]
            )  # fmt: skip
            for column in (STAMP, FIRST_HIT, LAST_HIT, HITS):
                clock[0, column] = clock[1, column]
            clock[1, ALIVE] = 0
            head[SWAPS] += 1
            head[MOVED] = 1
        i += 1
        latched = about[s, REFUSED_ROWS] >= LATCH_ROWS and t - about[s, REFUSED_FROM] >= LATCH_US
        if starts and latched and about[s, STRAINED_THEN]:
            # The sensor looks at something else, and pulled at the track before that was seen: take it back.
            about[s, STRAINED_THEN] = 0
            slot = take_back_one(belief, ring, s, t, base)
            if slot >= 0:
                i = ring.at[slot, 0] - base[0]
                rows_out = ring.at[slot, 1] - base[1]
    return rows_out


@kernel
def some_model_fits_one(x, P, w, rows, i, k, scale, gate, variance, point, near, own, H, y, R, W, L, v):
    """Whether row i passes the gate of one of several models: the mean of them all lags behind the one that turns."""
    for m in range(x.shape[0]):
        if w[m] > POSSIBLE:
            parts, nis, _ = weigh_one(
                x[m], P[m], variance, k, rows.z[i], rows.cov[i], rows.site[i], rows.root[i], scale,
                point, near, own, H, y, R, W, L, v,
            )  # fmt: skip
            if parts > 0 and nis <= gate[parts]:
                return True
    return False


@kernel
def widen_one(P, factor):
    """Multiply the covariance of each model's target by `factor`, and its ties to the shared errors by the root."""
    M, D, N = P.shape
    root = np.sqrt(factor)
    for m in range(M):
        for i in range(D):
            for j in range(N):
                P[m, i, j] *= factor if j < D else root


@kernel
def seconds_one(about, platform, since_us):
    """Count the platforms whose sensors fed the second hypothesis since then: what one carries looks one way."""
    count = 0
    for q in range(about.shape[0]):
        new = about[q, SECONDED] >= since_us
        for p in range(q):
            if platform[p] == platform[q] and about[p, SECONDED] >= since_us:
                new = False
        if new:
            count += 1
    return count


@kernel
def start_from_one(rows, i, kind, point):
    """Fill `point` with the place that row i fixes; return how unsure it is [m], or -1 where it fixes none."""
    if kind == LINE_OF_SIGHT:
        return ground_on_ray_one(rows, i, point)
    spread = np.sqrt(rows.cov[i, 0, 0] + rows.cov[i, 1, 1] + rows.cov[i, 2, 2])
    for c in range(3):
        point[c] = rows.z[i, c]
        spread += np.abs(rows.root[i, c, 0]) + np.abs(rows.root[i, c, 1]) + np.abs(rows.root[i, c, 2])
    return 10.0 * spread + 1.0


@kernel
def strain_one(noise, strain, fresh, gap_s):
    """Learn from an accepted row's NIS per component: lately, for the sake of latches, and in the long run.

    Where most of the innovation is of errors that rows share (`fresh` is the other part), a thousand large ones in a
    row may be one draw: they say little of the noise.
    """
    noise[STRAIN] += min(1.0, max(0.05, gap_s)) * (strain - noise[STRAIN])
    noise[BY_NIS] *= 1.0 + fresh * fresh * (min(strain, 4.0) - 1.0) / (100.0 + noise[ROWS])
    noise[BY_NIS] = min(NOISIEST, max(1.0, noise[BY_NIS]))


@kernel
def fresh_share_one(m, R, L):
    """Share of what is new in a row in its innovation's variance L L', mean of the components."""
    share = 0.0
    for r in range(m):
        s = 0.0
        for q in range(r + 1):
            s += L[r, q] * L[r, q]
        share += R[r, r] / s / m
    return share


@kernel
def take_back_one(belief, ring, s, now_us, base):
    """Go back to before sensor s was first refused, and leave out what it said from then to now.

    Returns the slot of the belief gone back to, -1 where none is old enough or its rows are no longer at hand.
    """
    about, head = belief.sensor_us, belief.head
    from_us = about[s, REFUSED_FROM] - UNFUSE_US
    slot = -1
    for one in range(RING):
        at = ring.at[one, 2]
        at_hand = ring.at[one, 0] >= base[0] and ring.at[one, 1] >= base[1]
        if NEVER < at <= from_us and at_hand and (slot < 0 or at > ring.at[slot, 2]):
            slot = one
    if slot < 0:
        return slot
    for one in range(RING):
        if ring.at[one, 2] > ring.at[slot, 2]:
            ring.at[one, 2] = NEVER
    if from_us > about[s, SKIP_TO] or about[s, SKIP_FROM] > from_us:
        about[s, SKIP_FROM] = from_us
    about[s, SKIP_TO] = now_us
    skips = about[:, SKIP_FROM : SKIP_TO + 1].copy()
    times = head[TAKEN_BACK] + 1
    copy_belief_one(ring, slot, RING)
    for q in range(about.shape[0]):
        about[q, SKIP_FROM] = skips[q, 0]
        about[q, SKIP_TO] = skips[q, 1]
    head[TAKEN_BACK] = times
    return slot


@kernel
def update_one(x, P, w, rows, i, k, scale, share, variance, point, near, own, H, y, R, W, L, v):
    """Correct every model of a hypothesis with row i, and weigh the models by how well they foresaw it."""
    M = x.shape[0]
    told = np.empty(M)
    for m in range(M):
        parts, _, score = weigh_one(
            x[m], P[m], variance, k, rows.z[i], rows.cov[i], rows.site[i], rows.root[i], scale,
            point, near, own, H, y, R, W, L, v,
        )  # fmt: skip
        if parts > 0:
            if k == LINE_OF_SIGHT:
                relinearise_one(
                    x[m], P[m], variance, k, parts, rows.z[i], rows.cov[i], rows.site[i], rows.root[i], scale,
                    own, H, y, R, W, L, v,
                )  # fmt: skip
            correct_one(x[m], P[m], W, v, parts, share)
        told[m] = share * score if parts > 0 else -np.inf
    weigh_models_one(w, told, w)


@kernel
def shared_root_rows(site_cov, root):
    """Fill root (n, 3, 3), the symmetric C with C C = site_cov, by Jacobi rotations.

    Of all roots only this one turns as the covariance turns. A triangular one of a covariance without full rank, such
    as that of a height, does not: when the up of one row differs from that of the next by a millionth, it gives the
    one error to other columns, and the filter takes what rows share for something new.
    """
    A, V = np.empty((3, 3)), np.empty((3, 3))
    for n in range(site_cov.shape[0]):
        trace = site_cov[n, 0, 0] + site_cov[n, 1, 1] + site_cov[n, 2, 2]
        for i in range(3):
            for j in range(3):
                root[n, i, j] = 0.0
                A[i, j] = site_cov[n, i, j]
                V[i, j] = 1.0 if i == j else 0.0
        if trace <= 0.0:
            continue
        for _ in range(8):
            if np.abs(A[0, 1]) + np.abs(A[0, 2]) + np.abs(A[1, 2]) <= 1e-17 * trace:
                break
            for i in range(3):
                p, q = i, (i + 1) % 3
                if A[p, q] == 0.0:
                    continue
                theta = 0.5 * (A[q, q] - A[p, p]) / A[p, q]
                t = (1.0 if theta >= 0.0 else -1.0) / (np.abs(theta) + np.sqrt(theta * theta + 1.0))
                c = 1.0 / np.sqrt(t * t + 1.0)
                s = t * c
                for k in range(3):
                    A[k, p], A[k, q] = c * A[k, p] - s * A[k, q], s * A[k, p] + c * A[k, q]
                    V[k, p], V[k, q] = c * V[k, p] - s * V[k, q], s * V[k, p] + c * V[k, q]
                for k in range(3):
                    A[p, k], A[q, k] = c * A[p, k] - s * A[q, k], s * A[p, k] + c * A[q, k]
                A[p, q] = A[q, p] = 0.0
        for k in range(3):
            size = np.sqrt(max(A[k, k], 0.0))
            for i in range(3):
                for j in range(3):
                    root[n, i, j] += size * V[i, k] * V[j, k]
