"""From attitude, gimbal and image point to a direction.

Legend
------
p   vehicle attitude, quaternion w x y z, body (forward, right, down) to north-east-down
g   gimbal quaternion as reported, w x y z
r   ray in the camera: forward, right, down
"""

import numpy as np

from dronetrack.kernels import kernel

LEVELLED, BODY, EARTH = 0, 1, 2

# GIMBAL_DEVICE_FLAGS
YAW_LOCK = 16
YAW_IN_VEHICLE_FRAME = 32
YAW_IN_EARTH_FRAME = 64


@kernel
def rotate_one(q, v, out):
    """Fill out = q v q*."""
    w, x, y, z = q[0], q[1], q[2], q[3]
    tx = 2.0 * (y * v[2] - z * v[1])
    ty = 2.0 * (z * v[0] - x * v[2])
    tz = 2.0 * (x * v[1] - y * v[0])
    out[0] = v[0] + w * tx + y * tz - z * ty
    out[1] = v[1] + w * ty + z * tx - x * tz
    out[2] = v[2] + w * tz + x * ty - y * tx


@kernel
def frame_of_flags(flags):
    """Frame of a gimbal quaternion by the flags: 32 and 64 win over yaw lock (gimbal protocol v2)."""
    if flags & YAW_IN_EARTH_FRAME:
        return EARTH
    if flags & YAW_IN_VEHICLE_FRAME:
        return LEVELLED
    return EARTH if flags & YAW_LOCK else LEVELLED


@kernel
def directions_ned_rows(p, g, flags, r, frame, out):
    """Fill out (n, 3) with unit vectors north, east, down; `frame` < 0 reads the flags of each row."""
    turned = np.empty(3)
    for i in range(out.shape[0]):
        rotate_one(g[i], r[i], turned)
        use = frame if frame >= 0 else frame_of_flags(flags[i])
        if use == BODY:
            rotate_one(p[i], turned, out[i])
        elif use == EARTH:
            out[i, 0], out[i, 1], out[i, 2] = turned[0], turned[1], turned[2]
        else:
            w, x, y, z = p[i, 0], p[i, 1], p[i, 2], p[i, 3]
            yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
            c, s = np.cos(yaw), np.sin(yaw)
            out[i, 0] = c * turned[0] - s * turned[1]
            out[i, 1] = s * turned[0] + c * turned[1]
            out[i, 2] = turned[2]
