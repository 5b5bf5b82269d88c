"""From attitude, gimbal and image point to a direction.

Legend
------
p   vehicle attitude, quaternion w x y z, body (forward, right, down) to north-east-down
g   gimbal quaternion as reported, w x y z
r   ray in the camera: forward, right, down
"""

import numpy as np

from dronetrack.kernels import kernel

LEVELLED, BODY, EARTH, SERVO = 0, 1, 2, 3

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
def frame_of_flags_one(flags):
    """Frame of a gimbal quaternion by the flags: 32 and 64 win over yaw lock (gimbal protocol v2)."""
    if flags & YAW_IN_EARTH_FRAME:
        return EARTH
    if flags & YAW_IN_VEHICLE_FRAME:
        return LEVELLED
    return EARTH if flags & YAW_LOCK else LEVELLED


@kernel
def pan_roll_tilt_one(g, v, out):
    """Fill out = Rz(yaw) Rx(roll) Ry(pitch) v, where g = Rz(yaw) Ry(pitch) Rx(roll).

    A servo mount turns about its pan axis first, then roll, then tilt; an autopilot that knows only the three servo
    angles may report them put together in the order of an aircraft's own angles.
    """
    w, x, y, z = g[0], g[1], g[2], g[3]
    roll = np.arctan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    pitch = np.arcsin(min(1.0, max(-1.0, 2.0 * (w * y - z * x))))
    yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    c, s = np.cos(pitch), np.sin(pitch)
    a0, a1, a2 = c * v[0] + s * v[2], v[1], -s * v[0] + c * v[2]
    c, s = np.cos(roll), np.sin(roll)
    b1, b2 = c * a1 - s * a2, s * a1 + c * a2
    c, s = np.cos(yaw), np.sin(yaw)
    out[0], out[1], out[2] = c * a0 - s * b1, s * a0 + c * b1, b2


@kernel
def directions_ned_rows(p, g, flags, r, frame, out):
    """Fill out (n, 3) with unit vectors north, east, down; `frame` < 0 reads the flags of each row."""
    turned = np.empty(3)
    for i in range(out.shape[0]):
        use = frame if frame >= 0 else frame_of_flags_one(flags[i])
        if use == SERVO:
            pan_roll_tilt_one(g[i], r[i], turned)
        else:
            rotate_one(g[i], r[i], turned)
        if use in (BODY, SERVO):
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
