"""Geodetic, ECEF and local axes on WGS 84, and the geoid grid.

Legend
------
a, b, f, e2     semi-axes [m], flattening, first eccentricity squared
lat, lon, h     geodetic latitude, longitude [rad], height above the ellipsoid [m]
x, y, z         ECEF [m]
R               rows east, north, up in ECEF
"""

import numpy as np

from dronetrack.kernels import kernel

a = 6378137.0
f = 1.0 / 298.257223563
b = a * (1.0 - f)
e2 = f * (2.0 - f)
ep2 = e2 / (1.0 - e2)


@kernel
def geodetic_to_ecef_one(lat, lon, h):
    """Return (x, y, z)."""
    s, c = np.sin(lat), np.cos(lat)
    nu = a / np.sqrt(1.0 - e2 * s * s)
    return (nu + h) * c * np.cos(lon), (nu + h) * c * np.sin(lon), (nu * (1.0 - e2) + h) * s


@kernel
def ecef_to_geodetic_one(x, y, z):
    """Return (lat, lon, h): Bowring's iteration on the reduced latitude, three rounds.

    B. R. Bowring, *Survey Review* 23 (1976) 323-327, doi:10.1179/sre.1976.23.181.323. Each round gains about five
    digits between -10 km and 1000 km height, so three reach the last bit; the height formula is stable at the poles.
    """
    p = np.sqrt(x * x + y * y)
    if p == 0.0 and z == 0.0:
        return 0.0, 0.0, -a
    lon = np.arctan2(y, x)
    s, c = z * a, p * b  # sine and cosine of the reduced latitude, up to a factor
    lat_s, lat_c = 0.0, 1.0
    for _ in range(3):
        inverse = 1.0 / np.sqrt(s * s + c * c)
        s *= inverse
        c *= inverse
        lat_s = z + ep2 * b * s * s * s
        lat_c = p - e2 * a * c * c * c
        s = b * lat_s
        c = a * lat_c
    inverse = 1.0 / np.sqrt(lat_s * lat_s + lat_c * lat_c)
    lat_s *= inverse
    lat_c *= inverse
    return np.arctan2(lat_s, lat_c), lon, p * lat_c + z * lat_s - a * np.sqrt(1.0 - e2 * lat_s * lat_s)


@kernel
def enu_axes_one(lat, lon, R):
    """Fill R (3, 3) with the local axes."""
    sl, cl, so, co = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    R[0, 0], R[0, 1], R[0, 2] = -so, co, 0.0
    R[1, 0], R[1, 1], R[1, 2] = -sl * co, -sl * so, cl
    R[2, 0], R[2, 1], R[2, 2] = cl * co, cl * so, sl


@kernel
def geoid_undulation_one(lat, lon, grid):
    """Bilinear undulation [m] from `grid` (rows -90..90, columns -180..180 inclusive, even steps)."""
    rows, columns = grid.shape[0] - 1, grid.shape[1] - 1
    if np.isnan(lat) or np.isnan(lon):
        return np.nan
    u = (lat / np.pi + 0.5) * rows
    w = lon / (2.0 * np.pi) + 0.5
    w = (w - np.floor(w)) * columns
    i = min(max(int(u), 0), rows - 1)
    j = min(int(w), columns - 1)
    u -= i
    w -= j
    south = grid[i, j] * (1.0 - w) + grid[i, j + 1] * w
    north = grid[i + 1, j] * (1.0 - w) + grid[i + 1, j + 1] * w
    return south * (1.0 - u) + north * u


@kernel
def off_globe_one(lat_deg, lon_deg):
    """Whether that is no place; NaN is one that is not known."""
    return abs(lat_deg) > 90.0 or abs(lon_deg) > 360.0


@kernel
def turn_one(R, back, x, y, z):
    """Return R (x, y, z), or with `back` its transpose times that."""
    if back:
        return (
            R[0, 0] * x + R[1, 0] * y + R[2, 0] * z,
            R[0, 1] * x + R[1, 1] * y + R[2, 1] * z,
            R[0, 2] * x + R[1, 2] * y + R[2, 2] * z,
        )
    return (
        R[0, 0] * x + R[0, 1] * y + R[0, 2] * z,
        R[1, 0] * x + R[1, 1] * y + R[1, 2] * z,
        R[2, 0] * x + R[2, 1] * y + R[2, 2] * z,
    )


# What follows takes degrees, and returns the first row that is off the globe, else -1.


@kernel
def geodetic_to_ecef_rows(lat_deg, lon_deg, h, out):
    """Fill out (n, 3)."""
    for i in range(lat_deg.shape[0]):
        if off_globe_one(lat_deg[i], lon_deg[i]):
            return i
        out[i, 0], out[i, 1], out[i, 2] = geodetic_to_ecef_one(np.radians(lat_deg[i]), np.radians(lon_deg[i]), h[i])
    return -1


@kernel
def ecef_to_geodetic_rows(position, lat_deg, lon_deg, h):
    """Fill lat_deg, lon_deg, h (n,) from position (n, 3)."""
    for i in range(position.shape[0]):
        lat, lon, h[i] = ecef_to_geodetic_one(position[i, 0], position[i, 1], position[i, 2])
        lat_deg[i], lon_deg[i] = np.degrees(lat), np.degrees(lon)


@kernel
def enu_axes_rows(lat_deg, lon_deg, out):
    """Fill out (n, 3, 3)."""
    for i in range(lat_deg.shape[0]):
        if off_globe_one(lat_deg[i], lon_deg[i]):
            return i
        enu_axes_one(np.radians(lat_deg[i]), np.radians(lon_deg[i]), out[i])
    return -1


@kernel
def turn_rows(vectors, lat_deg, lon_deg, back, out):
    """Fill out (n, 3): vectors (n, 3) from ECEF to the local axes of each, or `back`."""
    R = np.empty((3, 3))
    for i in range(vectors.shape[0]):
        if off_globe_one(lat_deg[i], lon_deg[i]):
            return i
        enu_axes_one(np.radians(lat_deg[i]), np.radians(lon_deg[i]), R)
        out[i, 0], out[i, 1], out[i, 2] = turn_one(R, back, vectors[i, 0], vectors[i, 1], vectors[i, 2])
    return -1


@kernel
def local_rows(points, lat_deg, lon_deg, h, back, out):
    """Fill out (n, 3): points (n, 3) from ECEF to east, north, up of one origin, or `back`."""
    if off_globe_one(lat_deg, lon_deg):
        return 0
    lat, lon = np.radians(lat_deg), np.radians(lon_deg)
    R = np.empty((3, 3))
    enu_axes_one(lat, lon, R)
    x, y, z = geodetic_to_ecef_one(lat, lon, h)
    for i in range(points.shape[0]):
        if back:
            east, north, up = points[i, 0], points[i, 1], points[i, 2]
            u, v, w = turn_one(R, True, east, north, up)
            out[i, 0], out[i, 1], out[i, 2] = x + u, y + v, z + w
        else:
            u, v, w = points[i, 0] - x, points[i, 1] - y, points[i, 2] - z
            out[i, 0], out[i, 1], out[i, 2] = turn_one(R, False, u, v, w)
    return -1


@kernel
def geoid_undulation_rows(lat_deg, lon_deg, grid, out):
    """Fill out (n,)."""
    for i in range(lat_deg.shape[0]):
        if off_globe_one(lat_deg[i], lon_deg[i]):
            return i
        out[i] = geoid_undulation_one(np.radians(lat_deg[i]), np.radians(lon_deg[i]), grid)
    return -1
