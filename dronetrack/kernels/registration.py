"""Lines of sight in a least squares problem that is banded but for a few columns, and its normal equations.

Legend of the sights
--------------------
band (k, size)       unknowns at each knot: the path, as ECEF about `origin`, then what wanders
wanders              for heading, boresight, site: column of its first unknown, and how many (0 = it does not wander)
seconds              times in knots since the first one; a cubic B-spline carries the path, lines carry what wanders
ray, axes, site      rays (forward, right, down), camera axes in ECEF as columns, where the drone is; `_rate`: per s
mount_rate           that part of `axes_rate` which is the gimbal's own, without the vehicle's
constants            yaw, pitch, heading [rad], latency [s], scale, lag of the mount behind what it reports [s]
white (n, 3)         root of a row's information, lower triangular, before its noise is found louder than stated

Legend of the normal equations
------------------------------
J   one row block's derivatives: its columns in the band first, then those in the border
r   its residual, already whitened
A   banded part, lower form: A[i - j, j]
B   band against border
C   border against border
g   right-hand side, band first, then border
"""

import math

import numpy as np

from dronetrack.kernels import kernel

YAW, PITCH, HEADING, LATENCY, SCALE, LAG = 0, 1, 2, 3, 4, 5


@kernel
def normal_rows(columns, border, J, r, A, B, C, g):
    """Add J'J and J'r of every row block to the normal equations; a column < 0 is not there."""
    n, d, width = J.shape
    k, m = columns.shape[1], border.shape[1]
    size = A.shape[1]
    line = np.empty(width)  # one row of J'J
    for i in range(n):
        for a in range(width):
            ca = columns[i, a] if a < k else border[i, a - k]
            if ca < 0:
                continue
            total = 0.0
            for b in range(width):
                line[b] = 0.0
            for c in range(d):
                w = J[i, c, a]
                total += w * r[i, c]
                for b in range(width):
                    line[b] += w * J[i, c, b]
            g[ca if a < k else size + ca] += total
            for b in range(m):
                cb = border[i, b]
                if cb >= 0 and a < k:
                    B[ca, cb] += line[k + b]
                elif cb >= 0:
                    C[ca, cb] += line[k + b]
            if a < k:
                for b in range(k):
                    cb = columns[i, b]
                    if 0 <= cb <= ca:
                        A[ca - cb, cb] += line[b]


@kernel
def dot_one(a, b):
    """Inner product of two vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def cross_one(a, b):
    """Cross product of two vectors."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@kernel
def turned_one(axis, cos, sin, v):
    """Turn a vector about a unit axis, right-handed."""
    along, side = dot_one(axis, v), cross_one(axis, v)
    return (
        along * axis[0] + cos * (v[0] - along * axis[0]) + sin * side[0],
        along * axis[1] + cos * (v[1] - along * axis[1]) + sin * side[1],
        along * axis[2] + cos * (v[2] - along * axis[2]) + sin * side[2],
    )


@kernel
def out_one(M, v):
    """M v: from the camera's axes, the columns of M, to the Earth's."""
    return (
        M[0, 0] * v[0] + M[0, 1] * v[1] + M[0, 2] * v[2],
        M[1, 0] * v[0] + M[1, 1] * v[1] + M[1, 2] * v[2],
        M[2, 0] * v[0] + M[2, 1] * v[1] + M[2, 2] * v[2],
    )


@kernel
def whitened_one(white, x, y):
    """Multiply two numbers by a lower triangular root, given row by row."""
    return white[0] * x, white[1] * x + white[2] * y


@kernel
def sights_rows(
    seconds,
    step_s,
    n_intervals,
    band,
    origin,
    local,
    wanders,
    ray,
    site,
    axes,
    site_rate,
    axes_rate,
    mount_rate,
    up,
    places,
    constants,
    noise_rad,
    timing_s,
    loud,
    fresh,
    white,
    columns,
    jac,
    residual,
):
    """Linearise lines of sight: fill columns (n, k), jac (n, 2, k + 6) and the whitened residual (n, 2).

    `white` is worked out anew where `fresh`, else taken as it is; `loud` is the variance of the noise over the stated
    one. Rows look at `places` (n, 3) where there are any, else at the path. Returns the sum of log det white.
    """
    size = band.shape[1]
    k = columns.shape[1]
    log_density, quiet = 0.0, 1.0 / math.sqrt(loud)
    for i in range(seconds.shape[0]):
        first = min(max(math.floor(seconds[i]), 0), n_intervals - 1)
        w = min(max(seconds[i] - first, 0.0), 1.0)
        v = 1.0 - w
        value = (
            v * v * v / 6.0,
            (3.0 * w * w * w - 6.0 * w * w + 4.0) / 6.0,
            (-3.0 * w * w * w + 3.0 * w * w + 3.0 * w + 1.0) / 6.0,
            w * w * w / 6.0,
        )
        linear = v, w
        place, velocity = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        if places.shape[0] > 0:
            place = places[i, 0], places[i, 1], places[i, 2]
        else:
            rate = -v * v, 3.0 * w * w - 4.0 * w, -3.0 * w * w + 2.0 * w + 1.0, w * w
            place = origin[0], origin[1], origin[2]
            for j in range(4):
                b, r, q = band[first + j], value[j], rate[j] / (2.0 * step_s)
                place = place[0] + r * b[0], place[1] + r * b[1], place[2] + r * b[2]
                velocity = velocity[0] + q * b[0], velocity[1] + q * b[1], velocity[2] + q * b[2]
        # What wanders, at this time.
        heading, yaw, pitch = constants[HEADING], constants[YAW], constants[PITCH]
        east, north, height = 0.0, 0.0, 0.0
        for j in range(2):
            b = band[first + 1 + j]
            if wanders[0, 1] > 0:
                heading += linear[j] * b[wanders[0, 0]]
            if wanders[1, 1] > 0:
                yaw += linear[j] * b[wanders[1, 0]]
                pitch += linear[j] * b[wanders[1, 0] + 1]
            if wanders[2, 1] > 0:
                east += linear[j] * b[wanders[2, 0]]
                north += linear[j] * b[wanders[2, 0] + 1]
                height += linear[j] * b[wanders[2, 0] + 2]
        sight = (
            place[0] - site[i, 0] - (local[0, 0] * east + local[1, 0] * north + local[2, 0] * height),
            place[1] - site[i, 1] - (local[0, 1] * east + local[1, 1] * north + local[2, 1] * height),
            place[2] - site[i, 2] - (local[0, 2] * east + local[1, 2] * north + local[2, 2] * height),
        )
        range_m = math.sqrt(dot_one(sight, sight))
        expected = sight[0] / range_m, sight[1] / range_m, sight[2] / range_m
        # What the camera says: up by pitch, right by yaw, then from its axes to the Earth's, and about the vertical.
        scaled = ray[i, 0], constants[SCALE] * ray[i, 1], constants[SCALE] * ray[i, 2]
        length = math.sqrt(dot_one(scaled, scaled))
        cos_p, sin_p, cos_y, sin_y = math.cos(pitch), math.sin(pitch), math.cos(yaw), math.sin(yaw)
        a = (cos_p * scaled[0] + sin_p * scaled[2]) / length
        c = (-sin_p * scaled[0] + cos_p * scaled[2]) / length
        d = scaled[1] / length
        turned = cos_y * a - sin_y * d, sin_y * a + cos_y * d, c
        by_yaw = -turned[1], turned[0], 0.0
        by_pitch = cos_y * c, sin_y * c, -a
        axis = up[i, 0], up[i, 1], up[i, 2]
        cos_h, sin_h = math.cos(heading), -math.sin(heading)
        direction = turned_one(axis, cos_h, sin_h, out_one(axes[i], turned))
        # Two axes across the expected line.
        helper = (0.0, 0.0, 1.0) if abs(expected[2]) < 0.9 else (1.0, 0.0, 0.0)
        one = cross_one(expected, helper)
        length = math.sqrt(dot_one(one, one))
        one = one[0] / length, one[1] / length, one[2] / length
        two = cross_one(expected, one)
        moving = turned_one(axis, cos_h, sin_h, out_one(axes_rate[i], turned))
        passing = (
            (velocity[0] - site_rate[i, 0]) / range_m - moving[0],
            (velocity[1] - site_rate[i, 1]) / range_m - moving[1],
            (velocity[2] - site_rate[i, 2]) / range_m - moving[2],
        )
        by_time = dot_one(one, passing), dot_one(two, passing)
        if fresh:
            p = noise_rad * noise_rad + (timing_s * by_time[0]) ** 2
            q = timing_s * timing_s * by_time[0] * by_time[1]
            r = noise_rad * noise_rad + (timing_s * by_time[1]) ** 2 - q * q / p
            white[i, 0], white[i, 1], white[i, 2] = 1.0 / math.sqrt(p), -q / p / math.sqrt(r), 1.0 / math.sqrt(r)
        W = quiet * white[i, 0], quiet * white[i, 1], quiet * white[i, 2]
        log_density += math.log(W[0] * W[2])
        # By the expected image point: the measured one is noisy, and noise in a factor pulls the scale to zero.
        back = turned_one(axis, cos_h, -sin_h, expected)
        off_axis = (
            0.0,
            axes[i, 0, 1] * back[0] + axes[i, 1, 1] * back[1] + axes[i, 2, 1] * back[2],
            axes[i, 0, 2] * back[0] + axes[i, 1, 2] * back[1] + axes[i, 2, 2] * back[2],
        )
        for number, by in enumerate((by_yaw, by_pitch, off_axis)):
            change = turned_one(axis, cos_h, sin_h, out_one(axes[i], by))
            at = k + (SCALE if number == 2 else number)
            jac[i, 0, at], jac[i, 1, at] = whitened_one(W, dot_one(one, change), dot_one(two, change))
        around = cross_one(direction, axis)
        jac[i, 0, k + HEADING], jac[i, 1, k + HEADING] = whitened_one(W, dot_one(one, around), dot_one(two, around))
        jac[i, 0, k + LATENCY], jac[i, 1, k + LATENCY] = whitened_one(W, by_time[0], by_time[1])
        # Where the mount stood a moment before; the vehicle under it is known now.
        mounted = turned_one(axis, cos_h, sin_h, out_one(mount_rate[i], turned))
        jac[i, 0, k + LAG], jac[i, 1, k + LAG] = whitened_one(W, -dot_one(one, mounted), -dot_one(two, mounted))
        x, y = whitened_one(W, dot_one(one, direction), dot_one(two, direction))
        residual[i, 0], residual[i, 1] = -x, -y
        # The unknowns of the knots: the path, then heading, boresight and site.
        for j in range(4):
            for m in range(3):
                x, y = whitened_one(W, one[m] / range_m, two[m] / range_m)
                columns[i, 3 * j + m] = (first + j) * size + m if places.shape[0] == 0 else -1
                jac[i, 0, 3 * j + m], jac[i, 1, 3 * j + m] = -value[j] * x, -value[j] * y
        at = 12
        for number in range(3):
            for j in range(2):
                for m in range(wanders[number, 1]):
                    columns[i, at] = (first + 1 + j) * size + wanders[number, 0] + m
                    if number == 2:
                        by = local[m, 0], local[m, 1], local[m, 2]
                        x, y = whitened_one(W, dot_one(one, by) / range_m, dot_one(two, by) / range_m)
                    else:
                        source = k + HEADING if number == 0 else k + m
                        x, y = jac[i, 0, source], jac[i, 1, source]
                    jac[i, 0, at], jac[i, 1, at] = linear[j] * x, linear[j] * y
                    at += 1
    return log_density
