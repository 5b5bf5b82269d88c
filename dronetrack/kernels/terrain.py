"""Where does a ray meet the ground?

Legend
------
msl     constant ground height above the geoid [m], used where `heights` is empty
heights (rows, columns) ground above the geoid [m], rows from south to north; NaN = unknown
box     (lat0, lon0, dlat, dlon) of the first node and the steps [rad]
geoid   EGM96 undulation grid [m]
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.geodesy import a, b, ecef_to_geodetic_one, geoid_undulation_one


@kernel
def height_msl_one(lat, lon, msl, heights, box):
    """Bilinear ground height above the geoid [m]; NaN outside the grid."""
    rows, columns = heights.shape
    if rows == 0:
        return msl
    u = (lat - box[0]) / box[2]
    w = (lon - box[1]) / box[3]
    if not (0.0 <= u <= rows - 1 and 0.0 <= w <= columns - 1):
        return np.nan
    i, j = min(int(u), rows - 2), min(int(w), columns - 2)
    u -= i
    w -= j
    south = heights[i, j] * (1.0 - w) + heights[i, j + 1] * w
    north = heights[i + 1, j] * (1.0 - w) + heights[i + 1, j + 1] * w
    return south * (1.0 - u) + north * u


@kernel
def height_msl_rows(lat, lon, msl, heights, box, out):
    """Fill out (n,)."""
    for i in range(lat.shape[0]):
        out[i] = height_msl_one(lat[i], lon[i], msl, heights, box)


@kernel
def clearance_one(site, direction, distance, msl, heights, box, geoid):
    """Height of the point `distance` along the ray above the ground [m]."""
    lat, lon, h = ecef_to_geodetic_one(
        site[0] + distance * direction[0], site[1] + distance * direction[1], site[2] + distance * direction[2]
    )
    ground = height_msl_one(lat, lon, msl, heights, box)
    return h - ground - geoid_undulation_one(lat, lon, geoid)


@kernel
def fall_one(site, direction, distance):
    """Metres of height lost per metre of ray, at `distance` along it."""
    x, y, z = site[0] + distance * direction[0], site[1] + distance * direction[1], site[2] + distance * direction[2]
    ux, uy, uz = x / a**2, y / a**2, z / b**2
    return -(direction[0] * ux + direction[1] * uy + direction[2] * uz) / np.sqrt(ux * ux + uy * uy + uz * uz)


@kernel
def ray_ground_rows(sites, directions, max_range, step, msl, heights, box, geoid, point, distance):
    """First meeting of each ray with the ground, from above: march, then bisect to 0.1 mm.

    On a grid the march goes by `step` (half a cell). Over constant height the clearance along a ray is convex, so a
    Newton stride from above stops short of the ground and `step` more carries it through. Fills point (n, 3) and
    distance (n,) [m]; NaN where the ray meets no known ground.
    """
    for i in range(sites.shape[0]):
        distance[i] = np.nan
        for k in range(3):
            point[i, k] = np.nan
        if np.isnan(sites[i, 0]) or np.isnan(directions[i, 0]):
            continue
        low = 0.0
        above = clearance_one(sites[i], directions[i], low, msl, heights, box, geoid)
        if not above > 0.0:
            continue
        while low < max_range:
            stride = step
            if heights.shape[0] == 0:
                fall = fall_one(sites[i], directions[i], low)
                if fall <= 0.0:
                    break
                stride = above / fall + step
            high = min(low + stride, max_range)
            below = clearance_one(sites[i], directions[i], high, msl, heights, box, geoid)
            if np.isnan(below):
                break
            if below <= 0.0:
                while high - low > 1e-4:
                    middle = 0.5 * (low + high)
                    if clearance_one(sites[i], directions[i], middle, msl, heights, box, geoid) > 0.0:
                        low = middle
                    else:
                        high = middle
                distance[i] = 0.5 * (low + high)
                for k in range(3):
                    point[i, k] = sites[i, k] + distance[i] * directions[i, k]
                break
            low = high
            above = below
