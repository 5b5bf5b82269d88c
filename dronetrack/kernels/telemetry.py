"""A value at any time between rows: linear for vectors, spherical for attitudes."""

import numpy as np

from dronetrack.kernels import kernel


@kernel
def bracket_one(time_us, t, max_gap_us):
    """Index of the row at or before `t` and the part of the step to the next; -1 outside, or over too long a gap."""
    n = time_us.shape[0]
    if n == 0 or t < time_us[0] or t > time_us[n - 1]:
        return -1, 0.0
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if time_us[middle] <= t:
            low = middle
        else:
            high = middle
    if n == 1:
        return 0, 0.0
    gap = time_us[high] - time_us[low]
    if t == time_us[high]:
        return high - 1, 1.0 if gap > 0 else 0.0
    if gap > max_gap_us:
        return (low, 0.0) if t == time_us[low] else (-1, 0.0)
    return low, (t - time_us[low]) / gap if gap > 0 else 0.0


@kernel
def interpolate_rows(time_us, values, wanted_us, max_gap_us, out):
    """Fill out (m, k) from values (n, k), linearly; NaN where there is no bracket."""
    for i in range(wanted_us.shape[0]):
        row, part = bracket_one(time_us, wanted_us[i], max_gap_us)
        for c in range(values.shape[1]):
            if row < 0:
                out[i, c] = np.nan
            elif part == 0.0:
                out[i, c] = values[row, c]
            else:
                out[i, c] = values[row, c] * (1.0 - part) + values[row + 1, c] * part


@kernel
def slerp_rows(time_us, quaternion, wanted_us, max_gap_us, out):
    """Fill out (m, 4) along the shorter great circle; NaN where there is no bracket."""
    for i in range(wanted_us.shape[0]):
        row, part = bracket_one(time_us, wanted_us[i], max_gap_us)
        if row < 0:
            for c in range(4):
                out[i, c] = np.nan
            continue
        other = min(row + 1, quaternion.shape[0] - 1)
        dot = 0.0
        for c in range(4):
            dot += quaternion[row, c] * quaternion[other, c]
        sign = 1.0 if dot >= 0.0 else -1.0
        angle = np.arccos(min(1.0, abs(dot)))
        if angle < 1e-6:
            low, high = 1.0 - part, part
        else:
            low = np.sin((1.0 - part) * angle) / np.sin(angle)
            high = np.sin(part * angle) / np.sin(angle)
        norm = 0.0
        for c in range(4):
            out[i, c] = low * quaternion[row, c] + sign * high * quaternion[other, c]
            norm += out[i, c] ** 2
        norm = np.sqrt(norm)
        for c in range(4):
            out[i, c] /= norm


@kernel
def rows_before(time_us, wanted_us, max_gap_us, out):
    """Fill out (m,) with the row at or before each wanted time, -1 where there is no bracket."""
    for i in range(wanted_us.shape[0]):
        row, part = bracket_one(time_us, wanted_us[i], max_gap_us)
        out[i] = row + 1 if part == 1.0 else row
