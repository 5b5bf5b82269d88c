"""How sure is it which side the target is on, and when did it change sides?

Legend
------
lines       a border, as in `dronetrack.kernels.border`
state, cov  (n, 6), (n, 6, 6) ECEF position [m] and velocity [m/s], and covariance
line_var    variance of the line itself, each way [m2]
p           probability
z           p in standard deviations, host positive: the p-quantile of the standard normal
level       (5,) z at the quantiles of the time of a crossing that are kept
past        (W,) what is remembered of one track; the names below say where
"""

import math

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.border import (
    HOME_BIT,
    HOST_BIT,
    cells_one,
    foot_one,
    geodesic_one,
    normal_one,
    scales_one,
    side_one,
    sign_one,
)
from dronetrack.kernels.geodesy import ecef_to_geodetic_one

REACH = 6.0  # standard deviations beyond which nothing is left: exp(-18) = 1.5e-8
LEAST_VAR = 1e-6  # a position is not known better than to a millimetre [m2]
FAR = 6.0  # |z| from which it is taken from the distance; p = 1e-9

# Half of the 12-point Gauss-Legendre rule on [-1, 1]; an even integrand needs no more.
NODE = np.array(
    [
        0.1252334085114689,
        0.3678314989981802,
        0.5873179542866175,
        0.7699026741943047,
        0.9041172563704749,
        0.9815606342467192,
    ]
)
WEIGHT = np.array(
    [
        0.2491470458134028,
        0.2334925365383548,
        0.2031674267230659,
        0.1600783285433462,
        0.1069393259953184,
        0.0471753363865118,
    ]
)
SEEN, SIDE, TIME, Z, RATE, STATE, SINCE, FIRST, LAST, FIRST_AT, LAST_AT, W = 0, 1, 2, 3, 4, 5, 11, 12, 17, 22, 25, 28
MEDIAN = 2
FOUND = 11  # columns of one crossing, see `crossing_one`


@kernel
def tail_one(x):
    """Return the standard normal probability beyond x."""
    return 0.5 * math.erfc(x * 0.7071067811865476)


@kernel
def owen_one(h, t):
    """Owen's T(h, t / h) for h, t >= 0: the mass of a standard normal seen under a segment of a line.

    D. B. Owen, *Ann. Math. Statist.* 27 (1956) 1075-1090, doi:10.1214/aoms/1177728074: the segment runs at distance h
    from the mean, from the foot of the perpendicular to t along it. Beyond 45 degrees by his equation (2.5).
    """
    low, high = min(h, t), max(h, t)
    if high == 0.0:
        return 0.0
    slope = low / high
    total = 0.0
    for i in range(6):
        x2 = (slope * NODE[i]) ** 2
        total += WEIGHT[i] * math.exp(-0.5 * high * high * (1.0 + x2)) / (1.0 + x2)
    direct = total * slope / (2.0 * math.pi)
    if t <= h:
        return direct
    q, r = tail_one(h), tail_one(t)
    return 0.5 * (q + r) - q * r - direct


@kernel
def segment_one(ax, ay, bx, by):
    """Mass of a standard normal beyond the segment from a to b, seen from the mean; positive with the mean on its left.

    In polar form about the mean a region holds ``1 - exp(-R^2 / 2)`` of each direction's mass up to its edge at R, so
    what a segment cuts off is the integral of ``exp(-R^2 / 2) / 2 pi`` over the angle under which it is seen.
    """
    ex, ey = bx - ax, by - ay
    length = math.hypot(ex, ey)
    if length == 0.0:
        return 0.0
    h = (ax * by - ay * bx) / length
    s, t = (ax * ex + ay * ey) / length, (bx * ex + by * ey) / length
    if abs(h) > REACH or s > REACH or t < -REACH:
        return 0.0
    start = math.copysign(owen_one(abs(h), abs(s)), s)
    end = math.copysign(owen_one(abs(h), abs(t)), t)
    return end - start if h >= 0.0 else start - end


@kernel
def whole_one(p):
    """Into [0, 1]; a mean on the line itself may have been counted to the wrong side, which shifts p by one."""
    if p > 1.0 + 1e-6:
        p -= 1.0
    elif p < -1e-6:
        p += 1.0
    return min(max(p, 0.0), 1.0)


@kernel
def sides_one(bits, lon, lat, c00, c01, c11, lines):
    """Probabilities of home and of host for a normal position with east/north covariance c [m2] and its mean's bits.

    Exact for the polygons as they are: whitened about the mean, edge by edge (`segment_one`).
    """
    home, host = float(bits & HOME_BIT), float((bits & HOST_BIT) >> 1)
    kx, ky = scales_one(lat)
    # Cholesky: c = L L', whitened = L^-1 (east, north)
    l00 = math.sqrt(c00)
    l10 = c01 / l00
    l11 = math.sqrt(max(c11 - l10 * l10, 1e-9 * c11))
    grid = lines.grid
    wide, high = REACH * l00 / kx, REACH * math.sqrt(c11) / ky
    i0, i1 = cells_one(lon - wide, lon + wide, grid.west, grid.step_lon, grid.n_lon)
    j0, j1 = cells_one(lat - high, lat + high, grid.south, grid.step_lat, grid.n_lat)
    for j in range(j0, j1 + 1):
        for i in range(i0, i1 + 1):
            cell = j * grid.n_lon + i
            for k in range(grid.start[cell], grid.start[cell + 1]):
                e = grid.items[k]
                if i != max(grid.first[e, 0], i0) or j != max(grid.first[e, 1], j0):
                    continue  # it was met in an earlier cell
                ax, ay = (grid.edges[e, 0] - lon) * kx / l00, (grid.edges[e, 1] - lat) * ky
                bx, by = (grid.edges[e, 2] - lon) * kx / l00, (grid.edges[e, 3] - lat) * ky
                cut = segment_one(ax, (ay - l10 * ax) / l11, bx, (by - l10 * bx) / l11)
                if grid.flip[e] & HOST_BIT:
                    host -= cut
                if grid.flip[e] == HOME_BIT:
                    home -= cut
                elif grid.flip[e] & HOME_BIT:  # shared: the host is on the left
                    home += cut
    return whole_one(home), whole_one(host)


@kernel
def probit_one(p):
    """Quantile of the standard normal, within `FAR` of zero, by bisection: rows near the line are few."""
    low, high = -FAR, FAR
    for _ in range(40):
        z = 0.5 * (low + high)
        if tail_one(-z) < p:
            low = z
        else:
            high = z
    return 0.5 * (low + high)


@kernel
def belief_one(state, cov, row, line_var, lines):
    """Probability of home and of host, z, and its rate [1/s] of one row."""
    lat, lon, _ = ecef_to_geodetic_one(state[row, 0], state[row, 1], state[row, 2])
    sl, cl, so, co = math.sin(lat), math.cos(lat), math.sin(lon), math.cos(lon)
    east, north = (-so, co, 0.0), (-sl * co, -sl * so, cl)
    curve, before, after = lines.curve, lines.before, lines.after
    bits = side_one(lon, lat, lines)
    at, part, qx, qy, qz, ux, uy, uz = foot_one(lon, lat, curve, lines.near)
    sign = sign_one(bits, at, part, qx, qy, qz, ux, uy, uz, curve, before, after)
    d = sign * geodesic_one(qx, qy, qz, ux, uy, uz)
    normal = normal_one(sign, at, part, qx, qy, qz, ux, uy, uz, curve, before, after)
    c00, c01, c11, variance, rate = line_var, 0.0, line_var, line_var, 0.0
    for i in range(3):
        rate += normal[i] * state[row, 3 + i]
        for j in range(3):
            c00 += east[i] * cov[row, i, j] * east[j]
            c01 += east[i] * cov[row, i, j] * north[j]
            c11 += north[i] * cov[row, i, j] * north[j]
            variance += normal[i] * cov[row, i, j] * normal[j]
    home, host = sides_one(bits, lon, lat, max(c00, LEAST_VAR), c01, max(c11, LEAST_VAR), lines)
    sigma = math.sqrt(max(variance, LEAST_VAR))
    both = home + host
    p = host / both if both > 1e-6 else 0.5
    if 1e-9 < p < 1.0 - 1e-9 and both > 1e-6:
        z = probit_one(p)
    else:
        z = math.copysign(max(FAR, abs(d) / sigma), d if both <= 1e-6 else p - 0.5)
    return home, host, z, rate / sigma


@kernel
def belief_rows(state, cov, line_var, lines, out):
    """Fill out (n, 4)."""
    for i in range(state.shape[0]):
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = belief_one(state, cov, i, line_var, lines)


@kernel
def cubic_one(d0, v0, d1, v1, span, s):
    """Return the cubic with these ends (values, slopes by time) at part s of the step."""
    s2, s3 = s * s, s * s * s
    return d0 * (2 * s3 - 3 * s2 + 1) + d1 * (3 * s2 - 2 * s3) + span * (v0 * (s3 - 2 * s2 + s) + v1 * (s3 - s2))


@kernel
def passage_one(d0, v0, d1, v1, span, level):
    """Part of the step at which the cubic passes `level`, by bisection; d0 < level <= d1."""
    low, high = 0.0, 1.0
    for _ in range(40):
        s = 0.5 * (low + high)
        if cubic_one(d0, v0, d1, v1, span, s) < level:
            low = s
        else:
            high = s
    return 0.5 * (low + high)


@kernel
def forget_one(past, time):
    """Drop the passages so far: a side is known at this time, and they are no part of the next crossing."""
    past[SINCE] = time
    for i in range(FIRST, W):
        past[i] = np.nan


@kernel
def passages_one(time, state, row, z, rate, level, past):
    """Note when the probability of the other side first and last rose through each level since a side was known."""
    sign = -past[SIDE]
    t0, t1 = past[TIME], time
    span = (t1 - t0) * 1e-6
    w0, w1 = sign * past[Z], sign * z
    for k in range(level.shape[0]):
        if not w0 < level[k] <= w1:
            continue
        part = passage_one(w0, sign * past[RATE], w1, sign * rate, span, level[k]) if span > 0.0 else 1.0
        new = np.isnan(past[FIRST + k])
        past[LAST + k] = t0 + part * (t1 - t0)
        if new:
            past[FIRST + k] = past[LAST + k]
        if k == MEDIAN:
            for i in range(3):
                at = cubic_one(past[STATE + i], past[STATE + 3 + i], state[row, i], state[row, 3 + i], span, part)
                past[LAST_AT + i] = at
                if new:
                    past[FIRST_AT + i] = at


@kernel
def crossing_one(time, state, row, p, past, out, c):
    """Fill out[c] (11,): five quantiles of the time [us], when it was known [us], side entered, where [ECEF m], p.

    Below the median the first passage counts, above it the last one, for between them the target may have been on
    either side.
    """
    earliest = past[SINCE]
    for k in range(5):
        at = past[FIRST + k] if k < MEDIAN else past[LAST + k]
        if k == MEDIAN:
            at = 0.5 * (at + past[FIRST + k])
        # A level already passed when the side was last known, or not yet when the new one is.
        if np.isnan(at):
            at = past[SINCE] if k < MEDIAN else time
        earliest = max(earliest, at)
        out[c, k] = earliest
    out[c, 5], out[c, 6], out[c, 10] = time, -past[SIDE], p
    for i in range(3):
        at = 0.5 * (past[FIRST_AT + i] + past[LAST_AT + i])
        out[c, 7 + i] = state[row, i] if np.isnan(at) else at


@kernel
def watch_rows(time_us, state, cov, line_var, lines, sure, level, past, out):
    """Take rows of one track, change `past`, fill out (n, FOUND) with what is known now; return counts: found, late.

    A side is known where its probability reaches `sure`; a crossing is a change from a known side to the other one.
    Where the target is surely in neither country, no side is known any more.
    """
    count, late = 0, 0
    for i in range(time_us.shape[0]):
        time = float(time_us[i])
        if past[SEEN] != 0.0 and time < past[TIME]:
            late += 1
            continue
        home, host, z, rate = belief_one(state, cov, i, line_var, lines)
        if past[SEEN] != 0.0 and past[SIDE] != 0.0:
            passages_one(time, state, i, z, rate, level, past)
        side = 1.0 if host >= sure else -1.0 if home >= sure else 0.0
        if side != 0.0:
            if past[SIDE] == -side:
                crossing_one(time, state, i, max(home, host), past, out, count)
                count += 1
            past[SIDE] = side
            forget_one(past, time)
        elif 1.0 - home - host >= sure:
            past[SIDE] = 0.0
            forget_one(past, time)
        past[SEEN], past[TIME], past[Z], past[RATE] = 1.0, time, z, rate
        for k in range(6):
            past[STATE + k] = state[i, k]
    return count, late
