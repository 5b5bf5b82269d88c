"""Where on a road is it? Cubic pieces in ECEF: points, directions, and the nearest piece.

Legend
------
curve   (m, 4, 3) pieces: X(u) = c0 + u (c1 + u (c2 + u c3)), u metres from the start of the piece [m]
length  (m,) length of each piece [m]
order   (m,) pieces in the order of the tree's leaves
boxes   (2 k, 6) tree of boxes: node 1 holds all, node i the nodes 2i and 2i + 1, the last k are leaves of `LEAF` pieces
X, T, K point [m], direction (unit), curvature vector [1/m]
U, R    local up, and right of the direction (units)
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.geodesy import a, b

LEAF = 4


@kernel
def piece_one(curve, i, length, u, X, T, K):
    """Fill X, T, K (3,) at `u` along piece i; outside the piece it goes straight on."""
    at = min(max(u, 0.0), length)
    norm = 0.0
    for k in range(3):
        c1, c2, c3 = curve[i, 1, k], curve[i, 2, k], curve[i, 3, k]
        X[k] = curve[i, 0, k] + at * (c1 + at * (c2 + at * c3))
        T[k] = c1 + at * (2.0 * c2 + 3.0 * at * c3)
        K[k] = 2.0 * c2 + 6.0 * at * c3 if at == u else 0.0
        norm += T[k] * T[k]
    norm = np.sqrt(norm)
    for k in range(3):
        T[k] /= norm
        X[k] += (u - at) * T[k]


@kernel
def side_one(X, T, U, R):
    """Fill U, R (3,): the local up at X, and the horizontal right of the direction T."""
    U[0], U[1], U[2] = X[0] / a**2, X[1] / a**2, X[2] / b**2
    norm = np.sqrt(U[0] ** 2 + U[1] ** 2 + U[2] ** 2)
    for k in range(3):
        U[k] /= norm
    R[0] = T[1] * U[2] - T[2] * U[1]
    R[1] = T[2] * U[0] - T[0] * U[2]
    R[2] = T[0] * U[1] - T[1] * U[0]
    norm = np.sqrt(R[0] ** 2 + R[1] ** 2 + R[2] ** 2)
    for k in range(3):
        R[k] /= norm


@kernel
def piece_at_one(start, first, stop, s):
    """Index of the piece, among `first` to `stop`, whose stretch of arc length holds s; the end ones hold the rest."""
    low, high = first, stop - 1
    while low < high:
        middle = (low + high + 1) // 2
        if start[middle] <= s:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def beside_one(T, K, U, R, lateral, D):
    """Fill D (3,): how the point `lateral` metres right of the road moves per metre of arc length.

    R turns with the heading alone, so it moves along the horizontal part of T, at K R / cos(climb) per metre.
    """
    level = np.empty(3)
    level[0] = U[1] * R[2] - U[2] * R[1]
    level[1] = U[2] * R[0] - U[0] * R[2]
    level[2] = U[0] * R[1] - U[1] * R[0]
    turn = K[0] * R[0] + K[1] * R[1] + K[2] * R[2]
    cosine = T[0] * level[0] + T[1] * level[1] + T[2] * level[2]
    for k in range(3):
        D[k] = T[k] - lateral * turn / cosine * level[k]


@kernel
def along_rows(s, lateral, curve, length, start, X, T, R, D):
    """Fill X, T, R, D (n, 3) at arc length s (n,): the point `lateral` (n,) metres right of the road, and so on."""
    U, K = np.empty(3), np.empty(3)
    for i in range(s.shape[0]):
        j = piece_at_one(start, 0, length.shape[0], s[i])
        piece_one(curve, j, length[j], s[i] - start[j], X[i], T[i], K)
        side_one(X[i], T[i], U, R[i])
        beside_one(T[i], K, U, R[i], lateral[i], D[i])
        for k in range(3):
            X[i, k] += lateral[i] * R[i, k]


@kernel
def boxes_rows(curve, length, order, boxes):
    """Fill the tree of boxes. A piece lies in the hull of its four Bezier points, so these bound it."""
    leaves = boxes.shape[0] // 2
    m = length.shape[0]
    for node in range(2 * leaves - 1, 0, -1):
        for k in range(3):
            low, high = np.inf, -np.inf
            if node < leaves:
                low = min(boxes[2 * node, k], boxes[2 * node + 1, k])
                high = max(boxes[2 * node, 3 + k], boxes[2 * node + 1, 3 + k])
            else:
                for place in range((node - leaves) * LEAF, min((node - leaves + 1) * LEAF, m)):
                    i = order[place]
                    L = length[i]
                    c0, c1, c2, c3 = curve[i, 0, k], curve[i, 1, k], curve[i, 2, k], curve[i, 3, k]
                    p1 = c0 + c1 * L / 3.0
                    p2 = c0 + 2.0 * c1 * L / 3.0 + c2 * L * L / 3.0
                    p3 = c0 + L * (c1 + L * (c2 + L * c3))
                    low = min(low, c0, p1, p2, p3)
                    high = max(high, c0, p1, p2, p3)
            boxes[node, k] = low
            boxes[node, 3 + k] = high


@kernel
def gap2_one(boxes, node, p):
    """Squared distance from the point p to a box; 0 inside."""
    total = 0.0
    for k in range(3):
        d = max(boxes[node, k] - p[k], 0.0, p[k] - boxes[node, 3 + k])
        total += d * d
    return total


@kernel
def piece_nearest_one(curve, i, length, p, X, T, K):
    """Return (u, squared distance) of the point of piece i nearest to p: Newton steps from the chord's foot."""
    chord2, foot = 0.0, 0.0
    for k in range(3):
        c = curve[i, 1, k] + length * (curve[i, 2, k] + length * curve[i, 3, k])
        chord2 += c * c
        foot += c * (p[k] - curve[i, 0, k])
    u = min(max(foot / chord2, 0.0), length)
    for _ in range(8):
        piece_one(curve, i, length, u, X, T, K)
        slope, bend = 0.0, 1.0
        for k in range(3):
            slope += (p[k] - X[k]) * T[k]
            bend -= (p[k] - X[k]) * K[k]
        # Beyond the centre of curvature the foot is a maximum: leave it towards the nearer end.
        step = slope / bend if bend > 0.1 else slope
        new = min(max(u + step, 0.0), length)
        done = abs(new - u) < 1e-7
        u = new
        if done:
            break
    best_u, best = u, np.inf
    for trial in range(3):
        at = u if trial == 0 else (0.0 if trial == 1 else length)
        piece_one(curve, i, length, at, X, T, K)
        d2 = (p[0] - X[0]) ** 2 + (p[1] - X[1]) ** 2 + (p[2] - X[2]) ** 2
        if d2 < best:
            best_u, best = at, d2
    return best_u, best


@kernel
def nearest_rows(points, curve, length, order, boxes, piece, u, right):
    """Fill piece (n,), u (n,) and right (n,): the nearest piece, the place along it, and how far right of it [m].

    Branch and bound down the tree of boxes; the piece of the row before gives the first bound. piece = -1 where the
    point is NaN.
    """
    leaves = boxes.shape[0] // 2
    m = length.shape[0]
    X, T, K, U, R = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    stack = np.empty(128, dtype=np.int64)
    gaps = np.empty(128)
    last = 0
    for row in range(points.shape[0]):
        p = points[row]
        piece[row], u[row], right[row] = -1, np.nan, np.nan
        if np.isnan(p[0] + p[1] + p[2]):
            continue
        best_u, best = piece_nearest_one(curve, last, length[last], p, X, T, K)
        best_piece = last
        stack[0], gaps[0] = 1, gap2_one(boxes, 1, p)
        top = 1
        while top > 0:
            top -= 1
            node = stack[top]
            if gaps[top] >= best:
                continue
            if node >= leaves:
                for place in range((node - leaves) * LEAF, min((node - leaves + 1) * LEAF, m)):
                    i = order[place]
                    at, d2 = piece_nearest_one(curve, i, length[i], p, X, T, K)
                    if d2 < best:
                        best_piece, best_u, best = i, at, d2
                continue
            near, far = 2 * node, 2 * node + 1
            gap_near, gap_far = gap2_one(boxes, near, p), gap2_one(boxes, far, p)
            if gap_far < gap_near:
                near, far, gap_near, gap_far = far, near, gap_far, gap_near
            if gap_far < best:
                stack[top], gaps[top] = far, gap_far
                top += 1
            if gap_near < best:
                stack[top], gaps[top] = near, gap_near
                top += 1
        piece_one(curve, best_piece, length[best_piece], best_u, X, T, K)
        side_one(X, T, U, R)
        piece[row], u[row] = best_piece, best_u
        right[row] = (p[0] - X[0]) * R[0] + (p[1] - X[1]) * R[1] + (p[2] - X[2]) * R[2]
        last = best_piece
