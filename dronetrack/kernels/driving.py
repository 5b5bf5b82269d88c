"""One target along roads: a bank of beliefs, one for each way it may have taken, and one off the road.

Legend
------
h           a belief; 0 is the free one, off the road
x (6,)      on a road: arc length s along its way, offsets right and above [m], speed [m/s], 0, 0;
            off the road: position [m] and velocity [m/s] in ECEF
P (6, N)    covariance of x, and its covariance with the errors that the sensors share (considered, see `updates`)
path        edges in driving order: 2 * edge, + 1 where driven backwards; `begin` the arc length at which each starts
weight      probability of each belief
at (6, 3)   a place on a road, see below
"""

from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.filters import (
    ACCEPTED,
    COASTING,
    CONFIRMED,
    GATED,
    MISSING,
    NEVER,
    SUPPORT_US,
    combine_one,
    start_from_one,
)
from dronetrack.kernels.motion import turned_one, up_one
from dronetrack.kernels.roads import beside_one, piece_at_one, piece_nearest_one, piece_one, side_one
from dronetrack.kernels.updates import (
    LINE_OF_SIGHT,
    LOG_2PI,
    OWN,
    POSITION,
    TICK,
    correct_one,
    innovation_one,
    linearise_one,
    own_columns_one,
)

NODES = 33  # of the quadrature over the arc length, out to four standard deviations
STRAIGHT = 5e-5  # a road is straight over six standard deviations if the chord is shorter by less than this part
LEVEL_M = 0.5  # or if it leaves the chord by less than this, three standard deviations away
DEPTH = 64  # longest path remembered, in edges
LOOK_AHEAD = 4.0  # standard deviations of the arc length within which a junction is decided
SMALLEST = 1e-7  # a belief of less weight is dropped
GIVEN_UP = 1e-3  # where the road beliefs together weigh less, new ones are started near the free belief
RETRY_US = 1_000_000  # this often
CAP = 12.0  # a refused row costs a belief as much as one of NIS `gate + CAP`

# Rows of a place: X, T, K, U, R of `kernels.roads`, and dR/ds
POINT, AHEAD, BEND, UP, RIGHT, SWING = 0, 1, 2, 3, 4, 5


class Graph(NamedTuple):
    """Roads: `curve` (m, 4, 3), `length`, `start` (m,) of the pieces, start being the arc length on the edge.

    Edge e has the pieces ``pieces[e]:pieces[e + 1]``; node n is left by ``exit_of[exits[n]:exits[n + 1]]``.
    """

    curve: np.ndarray
    length: np.ndarray
    start: np.ndarray
    pieces: np.ndarray
    edge_length: np.ndarray
    edge_nodes: np.ndarray
    one_way: np.ndarray
    exits: np.ndarray
    exit_of: np.ndarray


class Habits(NamedTuple):
    """How a target drives: noise along the road, offsets right and above of it, freely; rates [1/s] between both."""

    speed_psd: float
    speed_std: float
    right_std: float
    right_s: float
    above_std: float
    above_s: float
    horizontal_psd: float
    vertical_psd: float
    leave: float
    back: float
    off_road: float


class Ways(NamedTuple):
    """Beliefs: x (h, 6), P (h, 6, N), path, begin (h, DEPTH), depth, weight, and whether the road bends (h,)."""

    x: np.ndarray
    P: np.ndarray
    path: np.ndarray
    begin: np.ndarray
    depth: np.ndarray
    weight: np.ndarray
    bent: np.ndarray


class OnRoad(NamedTuple):
    """One row per row of the track: the heaviest belief on a road (n, 4), and edges by probability (n, b), -1 = none.

    `heaviest` is (s on the edge, speed along the edge, right, above), NaN where there is none.
    """

    probability: np.ndarray
    heaviest: np.ndarray
    edge: np.ndarray
    edge_probability: np.ndarray


@kernel
def edge_at_one(begin, h, depth, s):
    """Where along a way the edge is that holds arc length s; the end ones hold the rest."""
    j = depth - 1
    while j > 0 and begin[h, j] > s:
        j -= 1
    return j


@kernel
def on_path_one(ways, h, s, graph, at):
    """Fill the place on the way of belief h at arc length s; beyond its ends it goes straight on."""
    path, begin, start, pieces = ways.path, ways.begin, graph.start, graph.pieces
    j = edge_at_one(begin, h, ways.depth[h], s)
    e, backwards = path[h, j] >> 1, path[h, j] & 1
    local = s - begin[h, j]
    if backwards:
        local = graph.edge_length[e] - local
    i = piece_at_one(start, pieces[e], pieces[e + 1], local)
    piece_one(graph.curve, i, graph.length[i], local - start[i], at[POINT], at[AHEAD], at[BEND])
    if backwards:
        for k in range(3):
            at[AHEAD, k] = -at[AHEAD, k]
    side_one(at[POINT], at[AHEAD], at[UP], at[RIGHT])
    beside_one(at[AHEAD], at[BEND], at[UP], at[RIGHT], 1.0, at[SWING])
    for k in range(3):
        at[SWING, k] -= at[AHEAD, k]


@kernel
def roll_one(ways, h, dt, phi, habits):
    """Move a belief on by `dt`: white acceleration, along the road or in space; Ornstein-Uhlenbeck offsets beside it.

    `phi` (B,) is what is left of the sensors' shared errors.
    """
    x, P = ways.x[h], ways.P[h]
    D, N = P.shape
    for i in range(3):
        x[i] += dt * x[i + 3]
        for j in range(N):
            P[i, j] += dt * P[i + 3, j]
    up = up_one(x) if h == 0 else (0.0, 0.0, 0.0)
    for i in range(D):
        for j in range(D, N):
            P[i, j] *= phi[j - D]
        for j in range(3):
            P[i, j] += dt * P[i, j + 3]
    for i in range(3):
        for j in range(3):
            q = habits.speed_psd if i == 0 and j == 0 else 0.0
            if h == 0:
                q = turned_one(habits.horizontal_psd, habits.vertical_psd, up, i, j)
            P[i, j] += q * dt * dt * dt / 3.0
            P[i + 3, j] += q * dt * dt * 0.5
            P[i + 3, j + 3] += q * dt
        if h > 0 and i > 0:
            tau, std = (habits.right_s, habits.right_std) if i == 1 else (habits.above_s, habits.above_std)
            keep = np.exp(-dt / tau)
            x[i] *= keep
            for j in range(N):
                P[i, j] *= keep
            for j in range(D):
                P[j, i] *= keep
            P[i, i] += (1.0 - keep * keep) * std * std
    for i in range(D):
        for j in range(i):
            P[j, i] = P[i, j]


@kernel
def bent_one(ways, h, graph, at):
    """Whether the way bends by more than a little over three standard deviations to both sides."""
    middle, sigma = ways.x[h, 0], np.sqrt(ways.P[h, 0, 0])
    x, y, z, chord = 0.0, 0.0, 0.0, 0.0
    for side in range(2):
        on_path_one(ways, h, middle + (6.0 * side - 3.0) * sigma, graph, at)
        chord = np.sqrt((at[POINT, 0] - x) ** 2 + (at[POINT, 1] - y) ** 2 + (at[POINT, 2] - z) ** 2)
        x, y, z = at[POINT, 0], at[POINT, 1], at[POINT, 2]
    # A bend of angle a leaves the chord by 1.5 sigma a, and shortens it by 0.75 sigma a^2.
    short = 6.0 * sigma - chord
    return short >= 6.0 * sigma * STRAIGHT and 3.0 * sigma * short >= LEVEL_M**2


@kernel
def moments_one(ways, h, graph, habits, at, xe, Pe):
    """Fill xe (6,), Pe (6, N): mean and covariance of position and velocity in ECEF of a belief on a road.

    Where the road is straight over the uncertainty, through the Jacobian. Where it bends, by quadrature over the arc
    length: given s the rest is Gaussian and enters linearly, so the moments are exact up to the nodes.
    """
    x, P = ways.x[h], ways.P[h]
    D, N = P.shape
    sigma = np.sqrt(P[0, 0])
    nodes = NODES if ways.bent[h] else 1
    origin = np.empty(3)
    J = np.zeros((6, 4))
    m = np.empty(6)
    slope = np.zeros(N)  # of everything on s
    C = np.empty((4, N))  # covariance given s (with one node: of s as well)
    for j in range(N):
        if nodes > 1:
            slope[j] = P[0, j] / P[0, 0]
        for i in range(4):
            C[i, j] = P[i, j] - slope[j] * P[0, i] if nodes > 1 else P[i, j]
    for i in range(D):
        xe[i] = 0.0
        for j in range(N):
            Pe[i, j] = 0.0
    # A second's drift of the offsets stands for their rate.
    right_drift = 2.0 * (1.0 - np.exp(-1.0 / habits.right_s)) * habits.right_std**2
    above_drift = 2.0 * (1.0 - np.exp(-1.0 / habits.above_s)) * habits.above_std**2
    total = 0.0
    for node in range(nodes):
        shift, w = 0.0, 1.0
        if nodes > 1:
            z = 8.0 * node / (nodes - 1) - 4.0
            shift, w = z * sigma, np.exp(-0.5 * z * z)
        on_path_one(ways, h, x[0] + shift, graph, at)
        right, above, v = x[1] + slope[1] * shift, x[2] + slope[2] * shift, x[3] + slope[3] * shift
        for k in range(3):
            if node == 0:
                origin[k] = at[POINT, k]
            along = at[AHEAD, k] + right * at[SWING, k]
            m[k] = at[POINT, k] - origin[k] + right * at[RIGHT, k] + above * at[UP, k]
            m[k + 3] = v * along
            J[k, 0], J[k, 1], J[k, 2] = along, at[RIGHT, k], at[UP, k]
            J[k + 3, 0], J[k + 3, 1], J[k + 3, 3] = v * at[BEND, k], v * at[SWING, k], along
        total += w
        for i in range(6):
            xe[i] += w * m[i]
            for j in range(i, N):
                s = m[i] * slope[j] * shift
                if j < 6:
                    s = m[i] * m[j]
                    for p in range(4):
                        for q in range(4):
                            s += J[i, p] * C[p, q] * J[j, q]
                    if i >= 3 and j >= 3:
                        s += (
                            right_drift * at[RIGHT, i - 3] * at[RIGHT, j - 3]
                            + above_drift * at[UP, i - 3] * at[UP, j - 3]
                        )
                else:
                    for p in range(4):
                        s += J[i, p] * C[p, j]
                Pe[i, j] += w * s
    for i in range(D):
        xe[i] /= total
    for i in range(D):
        for j in range(i, N):
            Pe[i, j] /= total
            if j < D:
                Pe[i, j] -= xe[i] * xe[j]
                Pe[j, i] = Pe[i, j]
    for k in range(3):
        xe[k] += origin[k]


@kernel
def weigh_way_one(ways, h, graph, kind, z, cov, site, root, variance, own, at, narrow, H, y, R, L, W, v):
    """Prepare an update of a belief: (components, NIS, log-likelihood); 0 components = it cannot be used.

    Off the road the measurement is linearised once. On a road it is linearised where the last round ended
    (Bell, Cathey 1993, doi:10.1109/9.250476); where the road bends within the uncertainty, that begins at the best of
    33 places along it, so that the rounds do not settle in the wrong bend. `narrow` (6, N) is room, zero at first:
    what is unknown at one of the places.
    """
    x, P = ways.x[h], ways.P[h]
    sigma = np.sqrt(P[0, 0])
    about, point = np.empty(3), np.empty(3)
    places = 0
    if h > 0 and ways.bent[h]:
        places = NODES
        narrow[0, 0], narrow[1, 1], narrow[2, 2] = (0.125 * sigma) ** 2, P[1, 1], P[2, 2]
    for k in range(3):
        about[k] = x[k]
        point[k] = x[k]
    best, best_s = np.inf, x[0]
    m, nis, log_det = 0, 0.0, 0.0
    for step in range(places + 8):
        if step < places:
            about[0] = x[0] + (8.0 * step / (NODES - 1) - 4.0) * sigma
        elif step == places:
            about[0] = best_s
        if h > 0:
            on_path_one(ways, h, about[0], graph, at)
            for k in range(3):
                point[k] = at[POINT, k] + about[1] * at[RIGHT, k] + about[2] * at[UP, k]
        m = linearise_one(point, kind, z, cov, site, root, 1.0, H, y, R)
        if m == 0:
            if step < places:
                continue
            return 0, np.inf, -np.inf
        if h > 0:
            # From columns for the ECEF position to columns for s and the offsets.
            for r in range(m):
                s, right, above = 0.0, 0.0, 0.0
                for k in range(3):
                    s += H[r, k] * (at[AHEAD, k] + about[1] * at[SWING, k])
                    right += H[r, k] * at[RIGHT, k]
                    above += H[r, k] * at[UP, k]
                H[r, 0], H[r, 1], H[r, 2] = s, right, above
                if step >= places:
                    for k in range(3):
                        y[r] -= H[r, k] * (x[k] - about[k])
        nis, log_det = innovation_one(narrow if step < places else P, variance, H, own, m, R, y, W, L, v)
        if step < places:
            cost = nis + ((about[0] - x[0]) / sigma) ** 2
            if cost < best:
                best, best_s = cost, about[0]
            continue
        if h == 0:
            break
        shift = 0.0
        for k in range(3):
            new = x[k]
            for r in range(m):
                new += W[k, r] * v[r]
            shift += abs(new - about[k])
            about[k] = new
        if shift < 0.05:
            break
    return m, nis, -0.5 * (nis + log_det + m * LOG_2PI)


@kernel
def copy_way_one(ways, h, to):
    """Copy one belief over another, its way included."""
    x, P, path, begin = ways.x, ways.P, ways.path, ways.begin
    _, D, N = P.shape
    for i in range(D):
        x[to, i] = x[h, i]
        for j in range(N):
            P[to, i, j] = P[h, i, j]
    for j in range(ways.depth[h]):
        path[to, j] = path[h, j]
        begin[to, j] = begin[h, j]
    ways.depth[to] = ways.depth[h]
    ways.bent[to] = ways.bent[h]


@kernel
def lengthen_one(ways, h, step, edge_length):
    """Add one edge to the way of a belief; the oldest is forgotten where there is no room."""
    path, begin, n = ways.path, ways.begin, ways.depth[h]
    if n == DEPTH:
        n -= 1
        for j in range(n):
            path[h, j] = path[h, j + 1]
            begin[h, j] = begin[h, j + 1]
    begin[h, n] = begin[h, n - 1] + edge_length[path[h, n - 1] >> 1]
    path[h, n] = step
    ways.depth[h] = n + 1


@kernel
def branch_one(ways, graph):
    """Where a junction is near, give every way out of it a belief of its own; the weight is shared evenly.

    The number of beliefs is bounded: where there is no room, the lightest gives way.
    """
    x, P, path, begin, depth, weight = ways.x, ways.P, ways.path, ways.begin, ways.depth, ways.weight
    edge_length, exits, exit_of = graph.edge_length, graph.exits, graph.exit_of
    slots = weight.shape[0]
    grown = True
    rounds = 0
    while grown and rounds < 4 * slots:
        grown = False
        rounds += 1
        for h in range(1, slots):
            if weight[h] <= 0.0:
                continue
            last = path[h, depth[h] - 1]
            if x[h, 0] + LOOK_AHEAD * np.sqrt(P[h, 0, 0]) < begin[h, depth[h] - 1] + edge_length[last >> 1]:
                continue
            node = graph.edge_nodes[last >> 1, 1 - (last & 1)]
            left = 0
            for c in range(exits[node], exits[node + 1]):
                left += exit_of[c] != (last ^ 1)
            if left == 0:
                continue
            share = weight[h] / left
            grown = True
            for c in range(exits[node], exits[node + 1]):
                if exit_of[c] == (last ^ 1):
                    continue
                # The last way out goes to the belief itself, every other one to a copy.
                left -= 1
                to = h
                if left > 0:
                    to = 1 if h > 1 else 2
                    for g in range(1, slots):
                        if g != h and weight[g] < weight[to]:
                            to = g
                    if weight[to] >= share:
                        continue
                    copy_way_one(ways, h, to)
                weight[to] = share
                lengthen_one(ways, to, exit_of[c], edge_length)


@kernel
def turn_back_one(ways, h, graph):
    """Read a belief that drives backwards as one that drives the other way, where that is allowed."""
    x, P, path, begin = ways.x[h], ways.P[h], ways.path[h], ways.begin[h]
    edge_length, one_way = graph.edge_length, graph.one_way
    n = ways.depth[h]
    for j in range(n):
        if one_way[path[j] >> 1]:
            return
    end = begin[n - 1] + edge_length[path[n - 1] >> 1]
    x[0] = x[0] - begin[0] - end
    for i in (0, 1, 3):
        x[i] = -x[i]
        for j in range(P.shape[1]):
            P[i, j] = -P[i, j]
        for j in range(P.shape[0]):
            P[j, i] = -P[j, i]
    for j in range(n // 2):
        path[j], path[n - 1 - j] = path[n - 1 - j], path[j]
    place = begin[0]
    for j in range(n):
        path[j] ^= 1
        begin[j] = place
        place += edge_length[path[j] >> 1]


@kernel
def join_one(ways):
    """Join beliefs that have come to the same place of the same edge by different ways: the heavier keeps both."""
    x, P, path, begin, depth, weight = ways.x, ways.P, ways.path, ways.begin, ways.depth, ways.weight
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
            if abs(s_g - s_h) < min(sigma_g, sigma_h) and abs(x[g, 3] - x[h, 3]) < np.sqrt(P[g, 3, 3]):
                weight[g] += weight[h]
                weight[h] = 0.0


@kernel
def start_on_roads_one(ways, anew, kind, z, site, sigma, graph, habits, at, gaps, point):
    """Start a belief on every edge that passes near a measurement; return how many, and fill the nearest place.

    A line of sight is met with the level plane through the road. `sigma` is the measurement's error in metres (of a
    line of sight: in radians). Position along the road is left open to ten times the error, as is the speed. Where
    the track does not begin `anew`, they come near the free belief: they get its speed, its covariance along the
    road, and a small weight. `gaps` (h,) is room.
    """
    x, P, weight, bent = ways.x, ways.P, ways.weight, ways.bent
    curve, length, pieces = graph.curve, graph.length, graph.pieces
    slots, D, N = P.shape
    X, T, K, U, R = at[POINT], at[AHEAD], at[BEND], at[UP], at[RIGHT]
    p, foot, ahead, aside = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for h in range(1, slots):
        gaps[h] = np.inf
        weight[h] = 0.0
    found, nearest = 0, np.inf
    for e in range(pieces.shape[0] - 1):
        best, best_s, best_error = np.inf, 0.0, sigma
        for i in range(pieces[e], pieces[e + 1]):
            error, range_m = sigma, 0.0
            if kind == LINE_OF_SIGHT:
                up = up_one(curve[i, 0])
                fall, drop = 0.0, 0.0
                for k in range(3):
                    fall += up[k] * z[k]
                    drop += up[k] * (curve[i, 0, k] - site[k])
                if fall > -1e-3 or drop > 0.0:
                    continue
                range_m = drop / fall
                error = abs(sigma * range_m / fall) + habits.above_std / abs(fall)
            far2 = 0.0
            for k in range(3):
                p[k] = site[k] + range_m * z[k] if kind == LINE_OF_SIGHT else z[k]
                far2 += (p[k] - curve[i, 0, k]) ** 2
            wide2 = habits.right_std**2 + error * error
            if far2 > (length[i] + 5.0 * np.sqrt(wide2) + 200.0) ** 2:
                continue
            u, _ = piece_nearest_one(curve, i, length[i], p, X, T, K)
            piece_one(curve, i, length[i], u, X, T, K)
            side_one(X, T, U, R)
            gap, rise = 0.0, 0.0
            for k in range(3):
                rise += (p[k] - X[k]) * U[k]
                gap += (p[k] - X[k]) ** 2
            gap = (gap - rise * rise) / wide2
            if gap < best:
                best, best_s, best_error = gap, graph.start[i] + u, error
                for k in range(3):
                    foot[k], ahead[k], aside[k] = X[k], T[k], R[k]
        if best > 16.0:
            continue
        if best < nearest:
            nearest = best
            for k in range(3):
                point[k] = foot[k]
        to = 1
        for h in range(1, slots):
            if gaps[h] > gaps[to]:
                to = h
        if best >= gaps[to]:
            continue
        found += gaps[to] == np.inf
        gaps[to] = best
        for i in range(D):
            x[to, i] = 0.0
            for j in range(N):
                P[to, i, j] = 0.0
        x[to, 0] = best_s
        P[to, 0, 0] = (10.0 * best_error + 1.0) ** 2
        P[to, 1, 1] = habits.right_std**2
        P[to, 2, 2] = habits.above_std**2
        P[to, 3, 3] = habits.speed_std**2
        ways.path[to, 0], ways.begin[to, 0], ways.depth[to] = 2 * e, 0.0, 1
        weight[to] = 1.0
        bent[to] = True
        if not anew:
            miss, across = 0.0, 0.0
            P[to, 0, 0], P[to, 3, 3] = 0.0, 0.0
            for i in range(3):
                miss += aside[i] * (x[0, i] - foot[i])
                x[to, 3] += ahead[i] * x[0, i + 3]
                for j in range(3):
                    across += aside[i] * P[0, i, j] * aside[j]
                    P[to, 0, 0] += ahead[i] * P[0, i, j] * ahead[j]
                    P[to, 0, 3] += ahead[i] * P[0, i, j + 3] * ahead[j]
                    P[to, 3, 3] += ahead[i] * P[0, i + 3, j + 3] * ahead[j]
                for j in range(D, N):
                    P[to, 0, j] += ahead[i] * P[0, i, j]
                    P[to, 3, j] += ahead[i] * P[0, i + 3, j]
            P[to, 3, 0] = P[to, 0, 3]
            wide2 = across + habits.right_std**2
            weight[to] = weight[0] * min(habits.back, 0.5)
            weight[to] *= np.exp(-0.5 * miss * miss / wide2) * habits.right_std / np.sqrt(wide2)
    return found


@kernel
def start_free_one(ways, point, spread_m, habits):
    """Put the free belief at `point`, unknown to `spread_m`, with an unknown speed."""
    x, P = ways.x[0], ways.P[0]
    up = up_one(point)
    for i in range(P.shape[0]):
        x[i] = point[i] if i < 3 else 0.0
        for j in range(P.shape[1]):
            P[i, j] = spread_m * spread_m if i == j and i < 3 else 0.0
    for i in range(3):
        for j in range(3):
            P[i + 3, j + 3] = turned_one(habits.speed_std**2, 0.25, up, i, j)


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
def exchange_one(ways, dt, habits, xe, Pe, part, x_out, P_out):
    """Let weight flow between the road and the free belief, and fill the moments of all in ECEF.

    `xe` (h, 6), `Pe` (h, 6, N) are the beliefs in ECEF but for the free one, `part` (h,) is room. Returns the
    probability of being on a road.
    """
    x, P, weight = ways.x, ways.P, ways.weight
    slots, D, N = P.shape
    on_road = 0.0
    used = 1
    for h in range(1, slots):
        on_road += weight[h]
        if weight[h] > 0.0:
            used = h + 1
    leave = 1.0 - np.exp(-dt * habits.leave)
    comes = on_road * leave
    returns = weight[0] * (1.0 - np.exp(-dt * habits.back)) if on_road > GIVEN_UP else 0.0
    for final in range(0 if comes > 0.0 else 1, 2):
        # First what has left the road joins the free belief, then all are blended for the output.
        total = 0.0
        for h in range(used):
            part[h] = weight[h]
            if final == 0:
                part[h] = weight[h] * leave if h > 0 else weight[0] - returns
            total += part[h]
        for h in range(used):
            part[h] /= total
        for i in range(D):
            xe[0, i] = x[0, i]
            for j in range(N):
                Pe[0, i, j] = P[0, i, j]
        combine_one(part[:used], xe[:used], Pe[:used], x_out, P_out)
        if final == 0:
            for i in range(D):
                x[0, i] = x_out[i]
                for j in range(N):
                    P[0, i, j] = P_out[i, j]
            weight[0] += comes - returns
            for h in range(1, used):
                weight[h] *= 1.0 - leave + returns / on_road
            on_road += returns - comes
    return on_road


@kernel
def tell_one(ways, graph, heaviest, edges, probabilities):
    """Fill the edges by probability, and where on its edge the heaviest belief on a road is."""
    x, path, begin, depth, weight = ways.x, ways.path, ways.begin, ways.depth, ways.weight
    for c in range(edges.shape[0]):
        edges[c], probabilities[c] = -1, 0.0
    for c in range(4):
        heaviest[c] = np.nan
    most = 0.0
    for h in range(1, weight.shape[0]):
        if weight[h] <= 0.0:
            continue
        j = edge_at_one(begin, h, depth[h], x[h, 0])
        e, backwards = path[h, j] >> 1, path[h, j] & 1
        add_edge_one(e, weight[h], edges, probabilities)
        if weight[h] > most:
            most = weight[h]
            local = x[h, 0] - begin[h, j]
            sign = -1.0 if backwards else 1.0
            heaviest[0] = graph.edge_length[e] - local if backwards else local
            heaviest[1] = sign * x[h, 3]
            heaviest[2] = sign * x[h, 1]
            heaviest[3] = x[h, 2]


@kernel
def drive_rows(rows, sensors, graph, habits, gate, recover_us, step_us, ways, out, on):
    """Run the whole table; return (rows written, log-likelihood of what was accepted, restarts).

    `rows`, `sensors` and `out` are those of `filters`; `ways` is room, all zero; `gate` (4,) the limits of the NIS by
    number of components.
    """
    n = rows.time_us.shape[0]
    slots, D, N = ways.P.shape
    x, P, weight, bent = ways.x, ways.P, ways.weight, ways.bent
    at = np.empty((6, 3))
    score, nis, part = np.zeros(slots), np.zeros(slots), np.zeros(slots)
    components = np.zeros(slots, dtype=np.int64)
    own = np.zeros(OWN, dtype=np.int64)
    H, y, v = np.zeros((3, OWN)), np.zeros(3), np.zeros((slots, 3))
    R, L, W = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((slots, N, 3))
    narrow, mean, spread = np.zeros((D, N)), np.zeros(D), np.zeros((D, N))
    xe, Pe = np.zeros((slots, D)), np.zeros((slots, D, N))
    point, seed, phi = np.zeros(3), np.zeros(3), np.zeros(N - D)
    heard = np.zeros(sensors.starts.shape[0], dtype=np.int64)
    for s in range(heard.shape[0]):
        heard[s] = NEVER
    alive, lost = False, False
    i, written, restarts = 0, 0, 0
    log_likelihood, moment_nis = 0.0, np.nan
    t = rows.time_us[0] if n > 0 else NEVER
    stamp, last_hit, last_try = t, t, t
    while i < n:
        # One moment: a time of the table, or one on the way to the next.
        dt = (t - stamp) * 1e-6
        stamp = t
        if alive:
            for k in range(N - D):
                phi[k] = np.exp(-dt / sensors.tau_s[sensors.clock[k]])
            for h in range(slots):
                if h == 0 or weight[h] > 0.0:
                    roll_one(ways, h, dt, phi, habits)
                    if h > 0 and x[h, 3] < -1.0 and x[h, 3] < -2.0 * np.sqrt(P[h, 3, 3]):
                        turn_back_one(ways, h, graph)
            branch_one(ways, graph)
            join_one(ways)
            for h in range(1, slots):
                if weight[h] > 0.0:
                    bent[h] = bent_one(ways, h, graph, at)
        while i < n and rows.time_us[i] == t:
            row = np.int64(i)
            i += 1
            s = rows.sensor[row]
            kind = np.int64(rows.kind[row])
            if kind == TICK:
                continue
            if np.isnan(rows.z[row, 0]) or (kind == LINE_OF_SIGHT and np.isnan(rows.site[row, 0])):
                out.verdict[row] = MISSING
                continue
            fresh = not alive and sensors.starts[s]
            retry = alive and lost and t - last_try >= RETRY_US
            if fresh or retry:
                # A new target; or nothing on a road is believed any more, and the free belief looks for one.
                last_try = t
                error, reach = 0.0, -1.0
                for c in range(3):
                    error += P[0, c, c] if retry else rows.cov[row, c, c]
                    seed[c] = x[0, c] if retry else rows.z[row, c]
                error = np.sqrt(error)
                if fresh:
                    reach = start_from_one(rows, row, kind, mean)
                    if kind != LINE_OF_SIGHT:
                        error = 0.1 * (reach - 1.0)
                seen = kind if fresh else POSITION
                found = start_on_roads_one(
                    ways, fresh, seen, seed, rows.site[row], error, graph, habits, at, part, point
                )  # fmt: skip
                if fresh:
                    if reach > 0.0:
                        for c in range(3):
                            point[c] = mean[c]
                    if found > 0 and kind == LINE_OF_SIGHT:
                        reach = max(reach, 1000.0)
                    alive = reach > 0.0
                    lost = found == 0
                    last_hit = t
                    dt = 0.0
                    if alive:
                        start_free_one(ways, point, reach, habits)
                    weight[0] = habits.off_road / (1.0 - habits.off_road) * found if found > 0 else 1.0
                total = 0.0
                for h in range(slots):
                    total += weight[h]
                for h in range(slots):
                    weight[h] /= total
            if not alive:
                continue
            own_columns_one(sensors.columns[s], D, own)
            fits = False
            best = -1
            for h in range(slots):
                if weight[h] <= 0.0:
                    continue
                components[h], nis[h], score[h] = weigh_way_one(
                    ways, h, graph, kind, rows.z[row], rows.cov[row], rows.site[row], rows.root[row],
                    sensors.variance, own, at, narrow, H, y, R, L, W[h], v[h],
                )  # fmt: skip
                fits = fits or (components[h] > 0 and (fresh or nis[h] <= gate[components[h]]))
                if best < 0 or weight[h] > weight[best]:
                    best = h
            if components[best] > 0:
                out.nis_row[row] = nis[best]
            if not fits:
                out.verdict[row] = GATED
                if sensors.starts[s] and t - last_hit > recover_us:
                    alive = False
                    restarts += 1
                continue
            top = -np.inf
            for h in range(slots):
                if weight[h] <= 0.0:
                    continue
                m = components[h]
                if m == 0:
                    score[h] = -1e3
                elif fresh or nis[h] <= gate[m]:
                    correct_one(x[h], P[h], W[h], v[h], m, 1.0)
                else:
                    score[h] += 0.5 * max(nis[h] - gate[m] - CAP, 0.0)
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
            out.verdict[row] = ACCEPTED
            log_likelihood += top + np.log(total)
            heard[s] = t
            if sensors.starts[s]:
                last_hit = t
                moment_nis = out.nis_row[row]
        if alive:
            for h in range(1, slots):
                if weight[h] > 0.0:
                    moments_one(ways, h, graph, habits, at, xe[h], Pe[h])
            on_road = exchange_one(ways, dt, habits, xe, Pe, part, mean, spread)
            lost = on_road < GIVEN_UP
            out.time_us[written] = t
            for a in range(6):
                out.state[written, a] = mean[a]
                for b in range(a + 1):
                    out.cov[written, a, b] = spread[a, b]
                    out.cov[written, b, a] = spread[a, b]
            out.status[written] = CONFIRMED if t - last_hit <= SUPPORT_US else COASTING
            out.nis[written] = moment_nis
            moment_nis = np.nan
            out.sensors[written] = 0
            for s in range(heard.shape[0]):
                out.sensors[written] += heard[s] >= t - SUPPORT_US
            tell_one(ways, graph, on.heaviest[written], on.edge[written], on.edge_probability[written])
            on.probability[written] = on_road
            written += 1
        if i < n:
            t = min(t + step_us, rows.time_us[i]) if alive else rows.time_us[i]
    return written, log_likelihood, restarts


@kernel
def moments_rows(ways, graph, habits, xe, Pe):
    """Fill xe (h, 6), Pe (h, 6, N): the moments in ECEF of beliefs on roads."""
    at = np.empty((6, 3))
    for h in range(xe.shape[0]):
        ways.bent[h] = bent_one(ways, h, graph, at)
        moments_one(ways, h, graph, habits, at, xe[h], Pe[h])
