"""One target along roads: a bank of beliefs, one for each way it may have taken, and one off the road.

Legend
------
x (N,)      on a road: arc length s along its path [m], speed v [m/s], offsets right and above [m], 0, 0, then shared
            errors of the sensors; off the road (slot 0): position [m] and velocity [m/s] in ECEF, then the same
P (N, N)    covariance of x
path        edges in driving order: 2 * edge, + 1 where driven backwards; `begin` the arc length at which each starts
weight      probability of each belief
D           how the point moves per metre of arc length;  X, T, K, U, R  as in `kernels.roads`
graph       (curve, length, start, pieces, edge_length, edge_nodes, one_way, exits, exit_of), see `drive_rows`
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.filters import (
    ACCEPTED,
    COASTING,
    CONFIRMED,
    GATED,
    LINE_OF_SIGHT,
    LOG_2PI,
    MISSING,
    POSITION,
    TICK,
    copy_one,
    correct_one,
    ground_on_ray,
    innovation_one,
    linearise_one,
    predict_one,
    start_one,
)
from dronetrack.kernels.roads import beside_one, piece_at_one, piece_nearest_one, piece_one, side_one

NODES = 33  # of the quadrature over the arc length, out to four standard deviations
STRAIGHT = 5e-5  # a road is straight over six standard deviations if the chord is shorter by less than this part
DEPTH = 64  # longest path remembered, in edges
LEVEL_M = 0.5  # or if it leaves the chord by less than this, three standard deviations away
LOOK_AHEAD = 4.0  # standard deviations of the arc length within which a junction is decided
SMALLEST = 1e-7  # a belief of less weight is dropped
GIVEN_UP = 1e-3  # where the road beliefs together weigh less, new ones are started near the free belief
CAP = 12.0  # a refused row costs a belief as much as one of NIS `gate + CAP`


@kernel
def on_path_one(path, begin, depth, s, graph, X, T, K, U, R):
    """Fill the point of the path at arc length s and its axes; beyond its ends it goes straight on."""
    curve, length, start, pieces, edge_length = graph[0], graph[1], graph[2], graph[3], graph[4]
    j = depth - 1
    while j > 0 and begin[j] > s:
        j -= 1
    e = path[j] >> 1
    local = s - begin[j]
    if path[j] & 1:
        local = edge_length[e] - local
    i = piece_at_one(start, pieces[e], pieces[e + 1], local)
    piece_one(curve, i, length[i], local - start[i], X, T, K)
    if path[j] & 1:
        for k in range(3):
            T[k] = -T[k]
    side_one(X, T, U, R)
    return j


@kernel
def roll_one(x, P, dt, motion, tau_s, variance):
    """Move a belief on a road on by `dt`: white acceleration along it, Ornstein-Uhlenbeck offsets."""
    N = x.shape[0]
    x[0] += dt * x[1]
    for j in range(N):
        P[0, j] += dt * P[1, j]
    for j in range(N):
        P[j, 0] += dt * P[j, 1]
    P[0, 0] += motion[0] * dt * dt * dt / 3.0
    P[0, 1] += motion[0] * dt * dt * 0.5
    P[1, 0] += motion[0] * dt * dt * 0.5
    P[1, 1] += motion[0] * dt
    for k in range(2, N):
        if k == 2 or k == 3:
            tau, power = motion[2 * k - 1], motion[2 * k - 2] ** 2
        elif k >= 6:
            tau, power = tau_s[k], variance[k]
        else:
            continue
        phi = np.exp(-dt / tau)
        x[k] *= phi
        for j in range(N):
            P[k, j] *= phi
            P[j, k] *= phi
        P[k, k] += (1.0 - phi * phi) * power


@kernel
def straight_one(s, sigma, path, begin, depth, graph, X, T, K, U, R):
    """Whether the path is straight, or nearly so, over three standard deviations to both sides."""
    gap = np.zeros(3)
    for side in range(2):
        on_path_one(path, begin, depth, s + (6.0 * side - 3.0) * sigma, graph, X, T, K, U, R)
        for k in range(3):
            gap[k] = X[k] - gap[k]
    # A bend of angle a leaves the chord by 1.5 sigma a, and shortens it by 0.75 sigma a^2.
    short = 6.0 * sigma - np.sqrt(gap[0] ** 2 + gap[1] ** 2 + gap[2] ** 2)
    return short < 6.0 * sigma * STRAIGHT or 3.0 * sigma * short < LEVEL_M**2


@kernel
def moments_one(x, P, path, begin, depth, graph, motion, xe, Pe):
    """Fill xe (N,), Pe (N, N): mean and covariance of position and velocity in ECEF, and of the shared errors.

    Where the road is straight over the uncertainty, through the Jacobian. Where it bends, by quadrature over the arc
    length: given s the rest is Gaussian and enters linearly, so the moments are exact up to the nodes.
    """
    N = x.shape[0]
    X, T, K, U, R = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    D, E = np.empty(3), np.empty(3)
    sigma = np.sqrt(P[0, 0])
    nodes = 1
    if not straight_one(x[0], sigma, path, begin, depth, graph, X, T, K, U, R):
        nodes = NODES
    origin = np.zeros(3)
    J = np.zeros((6, 4))
    m = np.empty(6)
    C = np.empty((N, N))  # covariance given s (with one node: of s as well)
    slope = np.zeros(N)  # of everything on s
    for i in range(N):
        if nodes > 1:
            slope[i] = P[i, 0] / P[0, 0]
    for i in range(N):
        for j in range(N):
            C[i, j] = P[i, j] - slope[i] * P[0, j]
    for i in range(N):
        xe[i] = x[i] if i >= 6 else 0.0
        for j in range(N):
            Pe[i, j] = 0.0
    total = 0.0
    for node in range(nodes):
        shift, w = 0.0, 1.0
        if nodes > 1:
            z = 8.0 * node / (nodes - 1) - 4.0
            shift, w = z * sigma, np.exp(-0.5 * z * z)
        on_path_one(path, begin, depth, x[0] + shift, graph, X, T, K, U, R)
        if node == 0:
            origin[:] = X
        v, right, above = x[1] + slope[1] * shift, x[2] + slope[2] * shift, x[3] + slope[3] * shift
        beside_one(T, K, U, R, right, D)
        beside_one(T, K, U, R, 1.0, E)
        for k in range(3):
            m[k] = X[k] - origin[k] + right * R[k] + above * U[k]
            m[k + 3] = v * D[k]
            J[k, 0], J[k, 1], J[k, 2], J[k, 3] = D[k], 0.0, R[k], U[k]
            J[k + 3, 0], J[k + 3, 1], J[k + 3, 2], J[k + 3, 3] = v * K[k], D[k], v * (E[k] - T[k]), 0.0
        total += w
        for i in range(6):
            xe[i] += w * m[i]
            for j in range(i + 1):
                s = m[i] * m[j]
                for p in range(4):
                    for q in range(4):
                        s += J[i, p] * C[p, q] * J[j, q]
                if i >= 3:
                    # A second's drift of the offsets stands for their rate.
                    s += (
                        2.0 * (1.0 - np.exp(-1.0 / motion[3])) * motion[2] ** 2 * R[i - 3] * R[j - 3] if j >= 3 else 0.0
                    )
                    s += (
                        2.0 * (1.0 - np.exp(-1.0 / motion[5])) * motion[4] ** 2 * U[i - 3] * U[j - 3] if j >= 3 else 0.0
                    )
                Pe[i, j] += w * s
            for e in range(6, N):
                s = m[i] * slope[e] * shift
                for p in range(4):
                    s += J[i, p] * C[p, e]
                Pe[e, i] += w * s
    for i in range(6):
        xe[i] /= total
    for i in range(N):
        for j in range(i + 1):
            if i < 6:
                Pe[i, j] = Pe[i, j] / total - xe[i] * xe[j]
            elif j < 6:
                Pe[i, j] /= total
            else:
                Pe[i, j] = P[i, j]
            Pe[j, i] = Pe[i, j]
    for k in range(3):
        xe[k] += origin[k]


@kernel
def weigh_one(
    x, P, path, begin, depth, graph, kind, z, cov, site, C, columns, H, where, y, R, W, L, v
):  # fmt: skip
    """Prepare an update of a belief: (components, NIS, log-likelihood); 0 components = it cannot be used.

    Off the road (depth 0) the measurement is linearised once. On a road it is linearised where the last round ended
    (Bell, Cathey 1993, doi:10.1109/9.250476); where the road bends within the uncertainty, that begins at the best of
    33 places along it, so that the rounds do not settle in the wrong bend.
    """
    N = x.shape[0]
    at, xe, M = x.copy(), x.copy(), P
    X, T, K, U, Rt, D = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    sigma = np.sqrt(P[0, 0])
    places = 0
    if depth > 0 and not straight_one(x[0], sigma, path, begin, depth, graph, X, T, K, U, Rt):
        places = NODES
        M = np.zeros((N, N))  # what is unknown at one of the places
        for i in range(N):
            for j in range(N):
                if (i >= 6 and j >= 6) or (i == j and i > 1):
                    M[i, j] = P[i, j]
        M[0, 0] = (0.125 * sigma) ** 2
    best, best_s = np.inf, x[0]
    m, nis, log_det = 0, 0.0, 0.0
    for step in range(places + 8):
        if step < places:
            at[0] = x[0] + (8.0 * step / (NODES - 1) - 4.0) * sigma
        elif step == places:
            at[0], M = best_s, P
        if depth > 0:
            on_path_one(path, begin, depth, at[0], graph, X, T, K, U, Rt)
            beside_one(T, K, U, Rt, at[2], D)
            for k in range(3):
                xe[k] = X[k] + at[2] * Rt[k] + at[3] * U[k]
        m, count = linearise_one(
            xe, kind, z, cov, site, C, columns[0], columns[1], columns[2], H, where, y, R
        )  # fmt: skip
        if m == 0:
            if step < places:
                continue
            return 0, np.inf, -np.inf
        if depth > 0:
            # From columns for the ECEF position to columns for s, v and the offsets.
            for r in range(m):
                h0, h1, h2 = H[r, 0], H[r, 1], H[r, 2]
                H[r, 0] = h0 * D[0] + h1 * D[1] + h2 * D[2]
                H[r, 1] = 0.0
                H[r, 2] = h0 * Rt[0] + h1 * Rt[1] + h2 * Rt[2]
                H[r, 3] = h0 * U[0] + h1 * U[1] + h2 * U[2]
                if step >= places:
                    for i in range(4):
                        y[r] -= H[r, i] * (x[i] - at[i])
            where[0], where[1], where[2] = 0, 2, 3
        nis, log_det = innovation_one(M, H, where, count, m, R, y, W, L, v)
        if step < places:
            cost = nis + ((at[0] - x[0]) / sigma) ** 2
            if cost < best:
                best, best_s = cost, at[0]
            continue
        if depth == 0:
            break
        shift = 0.0
        for i in range(4):
            new = x[i]
            for r in range(m):
                new += W[i, r] * v[r]
            if i != 1:
                shift += abs(new - at[i])
            at[i] = new
        if shift < 0.05:
            break
    return m, nis, -0.5 * (nis + log_det + m * LOG_2PI)


@kernel
def copy_way_one(h, to, x, P, path, begin, depth):
    """Copy one belief over another, its way included."""
    copy_one(x[h], P[h], x[to], P[to])
    for j in range(depth[h]):
        path[to, j] = path[h, j]
        begin[to, j] = begin[h, j]
    depth[to] = depth[h]


@kernel
def lengthen_one(h, step, path, begin, depth, edge_length):
    """Add one edge to the way of a belief; the oldest is forgotten where there is no room."""
    if depth[h] == DEPTH:
        for j in range(DEPTH - 1):
            path[h, j] = path[h, j + 1]
            begin[h, j] = begin[h, j + 1]
        depth[h] -= 1
    last = depth[h] - 1
    begin[h, last + 1] = begin[h, last] + edge_length[path[h, last] >> 1]
    path[h, last + 1] = step
    depth[h] += 1


@kernel
def branch_one(x, P, path, begin, depth, weight, graph):
    """Where a junction is near, give every way out of it a belief of its own; the weight is shared evenly.

    The number of beliefs is bounded: where there is no room, the lightest gives way.
    """
    edge_length, edge_nodes, exits, exit_of = graph[4], graph[5], graph[7], graph[8]
    slots = weight.shape[0]
    for _ in range(4 * slots):
        grown = False
        for h in range(1, slots):
            if weight[h] <= 0.0:
                continue
            last = path[h, depth[h] - 1]
            end = begin[h, depth[h] - 1] + edge_length[last >> 1]
            if x[h, 0] + LOOK_AHEAD * np.sqrt(P[h, 0, 0]) < end:
                continue
            node = edge_nodes[last >> 1, 1 - (last & 1)]
            ways = 0
            for c in range(exits[node], exits[node + 1]):
                if exit_of[c] != (last ^ 1):
                    ways += 1
            if ways == 0:
                continue
            share = weight[h] / ways
            first = -1
            for c in range(exits[node], exits[node + 1]):
                if exit_of[c] == (last ^ 1):
                    continue
                if first < 0:
                    first = exit_of[c]
                    continue
                to = -1
                for g in range(1, slots):
                    if g != h and (to < 0 or weight[g] < weight[to]):
                        to = g
                if to < 0 or weight[to] >= share:
                    continue
                copy_way_one(h, to, x, P, path, begin, depth)
                lengthen_one(to, exit_of[c], path, begin, depth, edge_length)
                weight[to] = share
            weight[h] = share
            lengthen_one(h, first, path, begin, depth, edge_length)
            grown = True
        if not grown:
            break


@kernel
def turn_back_one(h, x, P, path, begin, depth, graph):
    """Read a belief that drives backwards as one that drives the other way, where that is allowed."""
    edge_length, one_way = graph[4], graph[6]
    n = depth[h]
    for j in range(n):
        if one_way[path[h, j] >> 1]:
            return
    end = begin[h, n - 1] + edge_length[path[h, n - 1] >> 1]
    x[h, 0] = begin[h, 0] + end - x[h, 0]
    x[h, 1] = -x[h, 1]
    x[h, 2] = -x[h, 2]
    for i in range(3):
        for j in range(x.shape[1]):
            P[h, i, j] = -P[h, i, j]
        for j in range(x.shape[1]):
            P[h, j, i] = -P[h, j, i]
    for j in range(n // 2):
        path[h, j], path[h, n - 1 - j] = path[h, n - 1 - j], path[h, j]
    at = begin[h, 0]
    for j in range(n):
        path[h, j] ^= 1
        begin[h, j] = at
        at += edge_length[path[h, j] >> 1]


@kernel
def join_one(x, P, path, begin, depth, weight):
    """Join beliefs that have come to the same place of the same edge by different ways: the heavier keeps both."""
    slots = weight.shape[0]
    for g in range(1, slots):
        if weight[g] <= 0.0:
            continue
        for h in range(1, slots):
            last_g, last_h = depth[g] - 1, depth[h] - 1
            if h == g or not 0.0 < weight[h] <= weight[g] or path[g, last_g] != path[h, last_h]:
                continue
            sigma_g, sigma_h = np.sqrt(P[g, 0, 0]), np.sqrt(P[h, 0, 0])
            s_g, s_h = x[g, 0] - begin[g, last_g], x[h, 0] - begin[h, last_h]
            if s_g < 2.0 * sigma_g or s_h < 2.0 * sigma_h:
                continue
            if abs(s_g - s_h) < min(sigma_g, sigma_h) and abs(x[g, 1] - x[h, 1]) < np.sqrt(P[g, 1, 1]):
                weight[g] += weight[h]
                weight[h] = 0.0


@kernel
def start_on_roads_one(kind, z, site, sigma, motion, graph, x, P, path, begin, depth, weight, variance, point):
    """Start a belief on every edge that passes near a measurement; returns how many, and fills the nearest place.

    A line of sight is met with the level plane through the road. `sigma` is the measurement's error in metres (of a
    line of sight: in radians). Position along the road is left open to ten times the error, as is the speed.
    """
    curve, length, start, pieces = graph[0], graph[1], graph[2], graph[3]
    slots, N = x.shape
    X, T, K, U, R = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    p = np.empty(3)
    found, nearest = 0, np.inf
    gaps = np.full(slots, np.inf)
    foot = np.empty(3)
    for e in range(pieces.shape[0] - 1):
        best, best_s, best_error = np.inf, 0.0, sigma
        for i in range(pieces[e], pieces[e + 1]):
            error = sigma
            for k in range(3):
                X[k] = curve[i, 0, k]
                T[k] = curve[i, 1, k]
                p[k] = z[k]
            if kind == LINE_OF_SIGHT:
                side_one(X, T, U, R)
                fall, drop = 0.0, 0.0
                for k in range(3):
                    fall += U[k] * z[k]
                    drop += U[k] * (X[k] - site[k])
                if fall > -1e-3 or drop > 0.0:
                    continue
                for k in range(3):
                    p[k] = site[k] + drop / fall * z[k]
                error = sigma * drop / (fall * fall)
                error = abs(error) + motion[4] / abs(fall)
            reach = length[i] + 5.0 * np.sqrt(motion[2] ** 2 + error * error)
            if (p[0] - X[0]) ** 2 + (p[1] - X[1]) ** 2 + (p[2] - X[2]) ** 2 > (reach + 200.0) ** 2:
                continue
            u, _ = piece_nearest_one(curve, i, length[i], p, X, T, K)
            piece_one(curve, i, length[i], u, X, T, K)
            side_one(X, T, U, R)
            gap, up = 0.0, 0.0
            for k in range(3):
                up += (p[k] - X[k]) * U[k]
                gap += (p[k] - X[k]) ** 2
            gap = (gap - up * up) / (motion[2] ** 2 + error * error)
            if gap < best:
                best, best_s, best_error = gap, start[i] + u, error
                foot[:] = X
        if best > 16.0:
            continue
        if best < nearest:
            nearest = best
            point[:] = foot
        to = 1
        for h in range(1, slots):
            if gaps[h] > gaps[to]:
                to = h
        if best >= gaps[to]:
            continue
        found += 1 if gaps[to] == np.inf else 0
        gaps[to] = best
        for i in range(N):
            x[to, i] = 0.0
            for j in range(N):
                P[to, i, j] = 0.0
            if i >= 6:
                P[to, i, i] = variance[i]
        x[to, 0] = best_s
        P[to, 0, 0] = (10.0 * best_error + 1.0) ** 2
        P[to, 1, 1] = motion[1] ** 2
        P[to, 2, 2] = motion[2] ** 2
        P[to, 3, 3] = motion[4] ** 2
        path[to, 0], begin[to, 0], depth[to] = 2 * e, 0.0, 1
        weight[to] = 1.0
    return found


@kernel
def drive_rows(
    time_us, sensor, kind, z, cov, site, root, starts, columns, tau_s, variance, motion, gate, slots,
    recover_s, support_s, curve, length, start, pieces, edge_length, edge_nodes, one_way, exits, exit_of,
    x_out, P_out, time_out, status_out, nis_out, sensors_out, road_out, on_road_out, edge_out, edge_weight_out,
    verdict, nis_row,
):  # fmt: skip
    """Run the whole table; return (rows written, log-likelihood of what was accepted, restarts).

    The table and the sensors' columns are those of `filters.track_rows`. `motion` is (speed psd, initial speed std,
    right std, right time, above std, above time, horizontal psd, vertical psd, leave rate, return rate, prior of off
    the road); `slots` bounds the number of beliefs. `curve`, `length` and `start` (its arc length on the edge) are per
    piece; edge e has the pieces ``pieces[e]:pieces[e + 1]``; node n is left by ``exit_of[exits[n]:exits[n + 1]]``.
    `road_out` (n, 4) is (s on the edge, speed along the edge, right, above) of the heaviest belief on a road;
    `edge_out`, `edge_weight_out` (n, b) are edges by probability, -1 where there are no more.
    """
    graph = (curve, length, start, pieces, edge_length, edge_nodes, one_way, exits, exit_of)
    n = time_us.shape[0]
    N = tau_s.shape[0]
    n_sensors = starts.shape[0]
    x, P = np.zeros((slots, N)), np.zeros((slots, N, N))
    xe, Pe = np.zeros((slots, N)), np.zeros((slots, N, N))
    path, begin = np.zeros((slots, DEPTH), dtype=np.int64), np.zeros((slots, DEPTH))
    depth = np.zeros(slots, dtype=np.int64)
    weight, score, nis = np.zeros(slots), np.zeros(slots), np.zeros(slots)
    components = np.zeros(slots, dtype=np.int64)
    H, where = np.zeros((slots, 3, N)), np.zeros((slots, N + 8), dtype=np.int64)
    y, v, R, L = np.zeros((slots, 3)), np.zeros((slots, 3)), np.zeros((slots, 3, 3)), np.zeros((slots, 3, 3))
    W = np.zeros((slots, N, 3))
    X, T, K, U, Rt = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    point, seed, ground, part = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(slots)
    mean, spread = np.zeros(N), np.zeros((N, N))
    heard = np.full(n_sensors, -(2**62), dtype=np.int64)
    support_us, recover_us = np.int64(support_s * 1e6), np.int64(recover_s * 1e6)
    alive, lost = False, False
    stamp, last_hit, last_flow, last_try = time_us[0] if n else 0, np.int64(0), np.int64(0), np.int64(0)
    rows, restarts, log_likelihood, moment_nis = 0, 0, 0.0, np.nan
    for i in range(n):
        t = time_us[i]
        s = sensor[i]
        kd = np.int64(kind[i])
        known = kd != TICK and not (np.isnan(z[i, 0]) or (kd == LINE_OF_SIGHT and np.isnan(site[i, 0])))
        if kd != TICK and not known:
            verdict[i] = MISSING
        if alive and t > stamp:
            dt = (t - stamp) * 1e-6
            stamp = t
            predict_one(x[0], P[0], dt, motion[6], motion[7], tau_s, variance)
            for h in range(1, slots):
                if weight[h] > 0.0:
                    roll_one(x[h], P[h], dt, motion, tau_s, variance)
                    if x[h, 1] < -1.0 and x[h, 1] < -2.0 * np.sqrt(P[h, 1, 1]):
                        turn_back_one(h, x, P, path, begin, depth, graph)
            branch_one(x, P, path, begin, depth, weight, graph)
            join_one(x, P, path, begin, depth, weight)
        fresh = known and not alive and starts[s]
        retry = alive and lost and t - last_try >= 1_000_000
        if fresh or retry:
            # A new target; or nothing on a road is believed any more, and the free belief looks for one.
            free = weight[0] if retry else 0.0
            last_try = t
            error = 0.0
            for c in range(3):
                point[c] = z[i, c]
                error += P[0, c, c] if retry else cov[i, c, c]
                seed[c] = x[0, c] if retry else z[i, c]
            error = np.sqrt(error)
            if fresh and kd != LINE_OF_SIGHT:
                for c in range(3):
                    error += abs(root[i, c, 0]) + abs(root[i, c, 1]) + abs(root[i, c, 2])
            for h in range(slots):
                weight[h] = 0.0
            how = kd if fresh else POSITION
            found = start_on_roads_one(
                how, seed, site[i], error, motion, graph, x, P, path, begin, depth, weight, variance, point
            )  # fmt: skip
            if retry:
                weight[0] = free
                join_road_one(motion, graph, x, P, path, begin, depth, weight)
            else:
                reach = 10.0 * error + 1.0
                if kd == LINE_OF_SIGHT:
                    reach = ground_on_ray(i, time_us, kind, z, site, ground)
                    if reach > 0.0 or found == 0:
                        point[:] = ground
                    if found > 0:
                        reach = max(reach, 1000.0)
                else:
                    for c in range(3):
                        point[c] = z[i, c]
                if reach > 0.0:
                    for a in range(N):
                        for b in range(N):
                            P[0, a, b] = variance[a] if a == b and a >= 6 else 0.0
                    start_one(x[0], P[0], point, reach, motion[1], 0.5)
                    for h in range(1, slots):
                        weight[h] *= (1.0 - motion[10]) / max(found, 1)
                    weight[0] = motion[10] if found > 0 else 1.0
                    alive, lost = True, found == 0
                    stamp, last_hit, last_flow = t, t, t
                fresh = alive
        if known and alive:
            fits = False
            best = -1
            for h in range(slots):
                if weight[h] <= 0.0:
                    continue
                components[h], nis[h], score[h] = weigh_one(
                    x[h], P[h], path[h], begin[h], depth[h], graph, kd, z[i], cov[i], site[i], root[i], columns[s],
                    H[h], where[h], y[h], R[h], W[h], L[h], v[h],
                )  # fmt: skip
                if components[h] > 0 and (fresh or nis[h] <= gate[components[h]]):
                    fits = True
                if best < 0 or weight[h] > weight[best]:
                    best = h
            if components[best] > 0:
                nis_row[i] = nis[best]
            if fits:
                top = -np.inf
                for h in range(slots):
                    if weight[h] <= 0.0:
                        continue
                    m = components[h]
                    if m > 0 and (fresh or nis[h] <= gate[m]):
                        correct_one(x[h], P[h], W[h], v[h], m)
                    elif m > 0:
                        score[h] += 0.5 * max(nis[h] - gate[m] - CAP, 0.0)
                    else:
                        score[h] = -1e3
                    score[h] += np.log(weight[h])
                    top = max(top, score[h])
                total = 0.0
                for h in range(slots):
                    if weight[h] > 0.0:
                        weight[h] = np.exp(score[h] - top)
                        total += weight[h]
                for h in range(slots):
                    weight[h] /= total
                    if h > 0 and weight[h] < SMALLEST:
                        weight[h] = 0.0
                weight[0] = max(weight[0], SMALLEST)
                verdict[i] = ACCEPTED
                log_likelihood += top + np.log(total)
                heard[s] = t
                if starts[s]:
                    last_hit = t
                    moment_nis = nis[best]
            else:
                verdict[i] = GATED
                if starts[s] and t - last_hit > recover_us:
                    alive = False
                    restarts += 1
        if alive and (i + 1 == n or time_us[i + 1] != t):
            # Everything in ECEF, and the flow between the road and the free belief.
            on_road = 0.0
            for h in range(1, slots):
                if weight[h] > 0.0:
                    on_road += weight[h]
                    moments_one(x[h], P[h], path[h], begin[h], depth[h], graph, motion, xe[h], Pe[h])
            dt = (t - last_flow) * 1e-6
            last_flow = t
            leave, back = 1.0 - np.exp(-dt * motion[8]), 1.0 - np.exp(-dt * motion[9])
            comes = on_road * leave
            returns = weight[0] * back if on_road > GIVEN_UP else 0.0
            copy_one(x[0], P[0], xe[0], Pe[0])
            for final in range(2):
                # First what has left the road joins the free belief, then all are blended for the output.
                if final == 0 and not comes > 0.0:
                    continue
                for h in range(slots):
                    part[h] = weight[h]
                    if final == 0:
                        part[h] *= leave if h > 0 else 1.0 - returns / max(weight[0], SMALLEST)
                blend_one(part, xe, Pe, mean, spread)
                if final == 0:
                    copy_one(mean, spread, x[0], P[0])
                    copy_one(mean, spread, xe[0], Pe[0])
                    weight[0] += comes - returns
                    for h in range(1, slots):
                        weight[h] *= 1.0 - leave + returns / on_road
                    on_road += returns - comes
            lost = on_road < GIVEN_UP
            time_out[rows] = t
            for a in range(6):
                x_out[rows, a] = mean[a]
                for b in range(6):
                    P_out[rows, a, b] = spread[a, b]
            status_out[rows] = CONFIRMED if t - last_hit <= support_us else COASTING
            nis_out[rows] = moment_nis
            moment_nis = np.nan
            supporting = 0
            for q in range(n_sensors):
                if heard[q] >= t - support_us:
                    supporting += 1
            sensors_out[rows] = supporting
            on_road_out[rows] = on_road
            for c in range(edge_out.shape[1]):
                edge_out[rows, c], edge_weight_out[rows, c] = -1, 0.0
            for c in range(4):
                road_out[rows, c] = np.nan
            heaviest = -1
            for h in range(1, slots):
                if weight[h] <= 0.0:
                    continue
                j = on_path_one(path[h], begin[h], depth[h], x[h, 0], graph, X, T, K, U, Rt)
                add_edge_one(path[h, j] >> 1, weight[h], edge_out[rows], edge_weight_out[rows])
                if heaviest < 0 or weight[h] > weight[heaviest]:
                    heaviest = h
                    e, sign = path[h, j] >> 1, 1.0 - 2.0 * (path[h, j] & 1)
                    local = x[h, 0] - begin[h, j]
                    road_out[rows, 0] = local if sign > 0.0 else edge_length[e] - local
                    road_out[rows, 1] = sign * x[h, 1]
                    road_out[rows, 2] = sign * x[h, 2]
                    road_out[rows, 3] = x[h, 3]
            rows += 1
    return rows, log_likelihood, restarts


@kernel
def join_road_one(motion, graph, x, P, path, begin, depth, weight):
    """Give beliefs just started near the free belief its speed, its covariance along the road, and a small weight."""
    slots = weight.shape[0]
    X, T, K, U, R = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    free = weight[0]
    total = free
    for h in range(1, slots):
        if weight[h] <= 0.0:
            continue
        on_path_one(path[h], begin[h], depth[h], x[h, 0], graph, X, T, K, U, R)
        along, across, miss, speed, speed_var, both = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for a in range(3):
            miss += R[a] * (x[0, a] - X[a])
            speed += T[a] * x[0, 3 + a]
            for b in range(3):
                along += T[a] * P[0, a, b] * T[b]
                across += R[a] * P[0, a, b] * R[b]
                speed_var += T[a] * P[0, 3 + a, 3 + b] * T[b]
                both += T[a] * P[0, a, 3 + b] * T[b]
        x[h, 1] = speed
        P[h, 0, 0], P[h, 1, 1], P[h, 0, 1], P[h, 1, 0] = along, speed_var, both, both
        for e in range(6, x.shape[1]):
            s, q = 0.0, 0.0
            for a in range(3):
                s += T[a] * P[0, a, e]
                q += T[a] * P[0, 3 + a, e]
            P[h, 0, e], P[h, e, 0], P[h, 1, e], P[h, e, 1] = s, s, q, q
            for g in range(6, x.shape[1]):
                P[h, e, g] = P[0, e, g]
        wide = across + motion[2] ** 2
        weight[h] = free * min(motion[9], 0.5) * np.exp(-0.5 * miss * miss / wide) * np.sqrt(motion[2] ** 2 / wide)
        total += weight[h]
    for h in range(slots):
        weight[h] /= total


@kernel
def blend_one(weight, xe, Pe, mean, spread):
    """Fill mean (N,), spread (N, N): the first two moments of the weighted beliefs."""
    slots, N = xe.shape
    total = 0.0
    for h in range(slots):
        total += weight[h]
    origin = -1
    for h in range(slots):
        if weight[h] > 0.0 and (origin < 0 or weight[h] > weight[origin]):
            origin = h
    for a in range(N):
        s = 0.0
        for h in range(slots):
            if weight[h] > 0.0:
                s += weight[h] * (xe[h, a] - xe[origin, a])
        mean[a] = xe[origin, a] + s / total
    for a in range(N):
        for b in range(a + 1):
            s = 0.0
            for h in range(slots):
                if weight[h] > 0.0:
                    s += weight[h] * (Pe[h, a, b] + (xe[h, a] - mean[a]) * (xe[h, b] - mean[b]))
            spread[a, b] = s / total
            spread[b, a] = s / total


@kernel
def add_edge_one(edge, weight, edges, weights):
    """Add the weight of a belief to its edge in a short list by falling weight."""
    room = edges.shape[0]
    place = 0
    while place < room and edges[place] >= 0 and edges[place] != edge:
        place += 1
    if place == room:
        if weights[room - 1] >= weight:
            return
        place = room - 1
        weights[place] = 0.0
    edges[place] = edge
    weights[place] += weight
    while place > 0 and weights[place] > weights[place - 1]:
        edges[place], edges[place - 1] = edges[place - 1], edges[place]
        weights[place], weights[place - 1] = weights[place - 1], weights[place]
        place -= 1


@kernel
def moments_rows(x, P, motion, curve, length, start, pieces, edge_length, xe, Pe):
    """Fill xe (n, 6), Pe (n, 6, 6) from beliefs x (n, 4), P (n, 4, 4) on one road."""
    graph = (
        curve, length, start, pieces, edge_length,
        np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.bool_), pieces[:0], pieces[:0],
    )  # fmt: skip
    path, begin = np.zeros(1, dtype=np.int64), np.zeros(1)
    wide, wide_cov = np.zeros(6), np.zeros((6, 6))
    for i in range(x.shape[0]):
        for a in range(4):
            wide[a] = x[i, a]
            for b in range(4):
                wide_cov[a, b] = P[i, a, b]
        moments_one(wide, wide_cov, path, begin, 1, graph, motion, xe[i], Pe[i])
