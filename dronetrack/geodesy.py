"""Where on Earth is it? Geodetic, ECEF and east/north/up for points, vectors, covariances; geoid; national grids.

Every function takes n rows and gives n rows (n = 0 and n = 1 included); NaN in gives NaN out. Degrees at the door.
"""

import functools
import importlib.resources
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import geodesy as kernels

if TYPE_CHECKING:
    import pyproj

EOV = 23700  # Hungary: HD72 / EOV
STEREO70 = 3844  # Romania: Pulkovo 1942(58) / Stereo70

Floats = NDArray[np.float64]


def geodetic_to_ecef(lat_deg: ArrayLike, lon_deg: ArrayLike, alt_hae_m: ArrayLike) -> Floats:
    """Convert geodetic positions to ECEF (EPSG:4979 to EPSG:4978).

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        WGS 84 position. [deg]
    alt_hae_m : (n,) float64
        Height above the ellipsoid. [m]

    Returns
    -------
    (n, 3) float64
        ECEF position. [m]

    Raises
    ------
    InputError
        If shapes differ or an angle is out of range.

    Examples
    --------
    >>> geodetic_to_ecef([0.0], [0.0], [0.0]).tolist()
    [[6378137.0, 0.0, 0.0]]
    """
    lat, lon = _angles(lat_deg, lon_deg)
    height = _like(lat, "alt_hae_m", alt_hae_m)
    out = np.empty((len(lat), 3))
    _check_row(kernels.geodetic_to_ecef_rows(lat, lon, height, out), lat, lon)
    return out


def ecef_to_geodetic(position_ecef_m: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Convert ECEF positions to geodetic ones (EPSG:4978 to EPSG:4979).

    Parameters
    ----------
    position_ecef_m : (n, 3) float64
        ECEF position. [m]

    Returns
    -------
    lat_deg, lon_deg, alt_hae_m : (n,) float64
        WGS 84 latitude [deg], longitude in [-180, 180] [deg], height above the ellipsoid [m]. The round trip closes
        to 1e-8 m from -10 km to 1000 km height.

    Raises
    ------
    InputError
        If the shape is not (n, 3).
    """
    position = _vectors("position_ecef_m", position_ecef_m)
    n = len(position)
    lat, lon, height = np.empty(n), np.empty(n), np.empty(n)
    kernels.ecef_to_geodetic_rows(position, lat, lon, height)
    return lat, lon, height


def enu_rotation(lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
    """Return the local axes: ``rotation @ ecef_vector`` gives east, north, up.

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        Where. [deg]

    Returns
    -------
    (n, 3, 3) float64
        Rows east, north, up in ECEF.

    Raises
    ------
    InputError
        If shapes differ or an angle is out of range.
    """
    lat, lon = _angles(lat_deg, lon_deg)
    out = np.empty((len(lat), 3, 3))
    _check_row(kernels.enu_axes_rows(lat, lon, out), lat, lon)
    return out


def ecef_to_enu(position_ecef_m: ArrayLike, lat_deg: float, lon_deg: float, alt_hae_m: float) -> Floats:
    """Express ECEF positions east, north, up of one origin.

    Parameters
    ----------
    position_ecef_m : (n, 3) float64
        Positions. [m]
    lat_deg, lon_deg, alt_hae_m : float
        The origin. [deg, deg, m]

    Returns
    -------
    (n, 3) float64
        East, north, up. [m]

    Raises
    ------
    InputError
        If the shape is not (n, 3), or the origin is no place.
    """
    return _about(_vectors("position_ecef_m", position_ecef_m), lat_deg, lon_deg, alt_hae_m, back=False)


def enu_to_ecef(position_enu_m: ArrayLike, lat_deg: float, lon_deg: float, alt_hae_m: float) -> Floats:
    """Return ECEF positions of points given east, north, up of one origin.

    Parameters
    ----------
    position_enu_m : (n, 3) float64
        East, north, up. [m]
    lat_deg, lon_deg, alt_hae_m : float
        The origin. [deg, deg, m]

    Returns
    -------
    (n, 3) float64
        ECEF positions. [m]

    Raises
    ------
    InputError
        If the shape is not (n, 3), or the origin is no place.
    """
    return _about(_vectors("position_enu_m", position_enu_m), lat_deg, lon_deg, alt_hae_m, back=True)


def ecef_vectors_to_enu(vector_ecef: ArrayLike, lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
    """Turn vectors (velocities, directions) from ECEF to the local axes of each row.

    Parameters
    ----------
    vector_ecef : (n, 3) float64
        In any unit.
    lat_deg, lon_deg : (n,) float64
        Where each vector stands. [deg]

    Returns
    -------
    (n, 3) float64
        East, north, up, in the same unit.
    """
    return _turned(_vectors("vector_ecef", vector_ecef), lat_deg, lon_deg, back=False)


def enu_vectors_to_ecef(vector_enu: ArrayLike, lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
    """Turn vectors (velocities, directions) from the local axes of each row to ECEF.

    Parameters
    ----------
    vector_enu : (n, 3) float64
        East, north, up, in any unit.
    lat_deg, lon_deg : (n,) float64
        Where each vector stands. [deg]

    Returns
    -------
    (n, 3) float64
        In ECEF, in the same unit.
    """
    return _turned(_vectors("vector_enu", vector_enu), lat_deg, lon_deg, back=True)


def ned_vectors_to_ecef(vector_ned: ArrayLike, lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
    """Turn vectors from north, east, down (MAVLink's frame) to ECEF.

    Parameters
    ----------
    vector_ned : (n, 3) float64
        North, east, down, in any unit.
    lat_deg, lon_deg : (n,) float64
        Where each vector stands. [deg]

    Returns
    -------
    (n, 3) float64
        In ECEF, in the same unit.
    """
    ned = _vectors("vector_ned", vector_ned)
    return _turned(_vectors("vector_ned", ned[:, [1, 0, 2]] * [1.0, 1.0, -1.0]), lat_deg, lon_deg, back=True)


def ecef_covariance_to_enu(cov_ecef: ArrayLike, lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
    """Turn covariances from ECEF to the local axes of each row.

    Parameters
    ----------
    cov_ecef : (n, 3, 3) or (n, 6, 6) float64
        Of a vector, or of position and velocity.
    lat_deg, lon_deg : (n,) float64
        Where. [deg]

    Returns
    -------
    same shape, float64
        East, north, up (and their rates).
    """
    cov, turn = _covariances_and_axes("cov_ecef", cov_ecef, lat_deg, lon_deg)
    return turn @ cov @ turn.transpose(0, 2, 1)


def enu_covariance_to_ecef(cov_enu: ArrayLike, lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
    """Turn covariances from the local axes of each row to ECEF.

    Parameters
    ----------
    cov_enu : (n, 3, 3) or (n, 6, 6) float64
        Of a vector, or of position and velocity, east, north, up.
    lat_deg, lon_deg : (n,) float64
        Where. [deg]

    Returns
    -------
    same shape, float64
        In ECEF.
    """
    cov, turn = _covariances_and_axes("cov_enu", cov_enu, lat_deg, lon_deg)
    return turn.transpose(0, 2, 1) @ cov @ turn


def geoid_undulation_m(lat_deg: ArrayLike, lon_deg: ArrayLike) -> Floats:
    """Return the height of the EGM96 geoid above the WGS 84 ellipsoid.

    The packaged grid has 15 arc-minute steps, rounded to centimetres, read bilinearly (public domain, NGA).

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        Where. [deg]

    Returns
    -------
    (n,) float64
        Undulation: ``alt_hae_m = alt_msl_m + undulation``. [m]

    Examples
    --------
    >>> round(float(geoid_undulation_m([47.5], [19.0])[0]), 1)
    43.9
    """
    lat, lon = _angles(lat_deg, lon_deg)
    out = np.empty(len(lat))
    _check_row(kernels.geoid_undulation_rows(lat, lon, geoid_grid_m(), out), lat, lon)
    return out


def msl_to_hae(lat_deg: ArrayLike, lon_deg: ArrayLike, alt_msl_m: ArrayLike) -> Floats:
    """Convert heights above mean sea level (EGM96) to heights above the ellipsoid.

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        Where. [deg]
    alt_msl_m : (n,) float64
        Height above the geoid. [m]

    Returns
    -------
    (n,) float64
        Height above the ellipsoid. [m]
    """
    undulation = geoid_undulation_m(lat_deg, lon_deg)
    return _like(undulation, "alt_msl_m", alt_msl_m) + undulation


def hae_to_msl(lat_deg: ArrayLike, lon_deg: ArrayLike, alt_hae_m: ArrayLike) -> Floats:
    """Convert heights above the ellipsoid to heights above mean sea level (EGM96).

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        Where. [deg]
    alt_hae_m : (n,) float64
        Height above the ellipsoid. [m]

    Returns
    -------
    (n,) float64
        Height above the geoid. [m]
    """
    undulation = geoid_undulation_m(lat_deg, lon_deg)
    return _like(undulation, "alt_hae_m", alt_hae_m) - undulation


def to_grid(lat_deg: ArrayLike, lon_deg: ArrayLike, epsg: int = EOV) -> tuple[Floats, Floats]:
    """Convert WGS 84 positions to a national grid, through pyproj and without network or grid files.

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        WGS 84 position. [deg]
    epsg : int, optional
        `EOV` (Hungary, EPSG:23700), `STEREO70` (Romania, EPSG:3844) or any projected system of the EPSG registry.
        The best built-in datum shift is good to about 1 m (EOV) and 3 m (Stereo70).

    Returns
    -------
    easting_m, northing_m : (n,) float64
        Easting first, whatever the order in the registry. [m]

    Raises
    ------
    InputError
        If there is no such system.
    """
    lat, lon = _angles(lat_deg, lon_deg)
    outside = (np.abs(lat) > 90.0) | (np.abs(lon) > 360.0)
    _check_row(int(np.argmax(outside)) if outside.any() else -1, lat, lon)
    return _transformer(epsg).transform(lon, lat)


def from_grid(easting_m: ArrayLike, northing_m: ArrayLike, epsg: int = EOV) -> tuple[Floats, Floats]:
    """Convert positions of a national grid to WGS 84; the inverse of `to_grid`.

    Parameters
    ----------
    easting_m, northing_m : (n,) float64
        Grid position. [m]
    epsg : int, optional
        Which grid.

    Returns
    -------
    lat_deg, lon_deg : (n,) float64
        WGS 84 position. [deg]

    Raises
    ------
    InputError
        If there is no such system or the shapes differ.
    """
    easting = column("easting_m", easting_m, np.float64, (None,))
    northing = _like(easting, "northing_m", northing_m)
    lon_deg, lat_deg = _transformer(epsg).transform(easting, northing, direction="INVERSE")
    return lat_deg, lon_deg


@functools.cache
def geoid_grid_m() -> Floats:
    """Return the EGM96 undulation grid.

    Returns
    -------
    (721, 1441) float64
        Rows from 90 S to 90 N, columns from 180 W to 180 E inclusive, 15 arc-minutes apart; read-only. [m]
    """
    with importlib.resources.as_file(importlib.resources.files("dronetrack") / "data" / "egm96.npz") as path:
        grid = np.load(path)["delta_cm"].astype(np.int32).cumsum(axis=1) / 100.0
    if grid.shape[1] == 1440:
        grid = np.hstack([grid, grid[:, :1]])
    grid = np.ascontiguousarray(grid)
    grid.flags.writeable = False
    return grid


@functools.cache
def _transformer(epsg: int) -> "pyproj.Transformer":
    import pyproj
    from pyproj.exceptions import CRSError

    try:
        return pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    except CRSError:
        raise InputError(f"EPSG:{epsg} is not a coordinate system pyproj knows; try EOV or STEREO70.") from None


def _angles(lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Check all but the range, which the kernels look at."""
    lat = column("lat_deg", lat_deg, np.float64, (None,), kept=False)
    return lat, column("lon_deg", lon_deg, np.float64, lat.shape, kept=False)


def _like(first: NDArray, name: str, values: ArrayLike) -> Floats:
    return column(name, values, np.float64, (len(first),), kept=False)


def _vectors(name: str, values: ArrayLike) -> Floats:
    return column(name, values, np.float64, (None, 3), kept=False)


def _check_row(row: int, lat_deg: Floats, lon_deg: Floats) -> None:
    """Raise InputError where a kernel stopped."""
    if row >= 0:
        raise InputError(
            f"lat_deg must lie in [-90, 90], lon_deg in [-360, 360]; row {row} is {lat_deg[row]:g}, {lon_deg[row]:g}."
        )


def _about(points: Floats, *origin: float, back: bool) -> Floats:
    """Take points to the local axes of an origin, or back."""
    try:
        lat, lon, height = map(float, origin)
    except (TypeError, ValueError):
        raise InputError(f"the origin must be three numbers, lat_deg, lon_deg, alt_hae_m; got {origin}.") from None
    out = np.empty((len(points), 3))
    _check_row(kernels.local_rows(points, lat, lon, height, back, out), np.array([lat]), np.array([lon]))
    return out


def _turned(vectors: Floats, lat_deg: ArrayLike, lon_deg: ArrayLike, *, back: bool) -> Floats:
    """Take vectors to the local axes of each, or back."""
    lat, lon = _angles(lat_deg, lon_deg)
    if len(lat) != len(vectors):
        raise InputError(f"there are {len(vectors)} vectors but {len(lat)} positions; give one for each.")
    out = np.empty((len(lat), 3))
    _check_row(kernels.turn_rows(vectors, lat, lon, back, out), lat, lon)
    return out


def _covariances_and_axes(name: str, cov: ArrayLike, lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, Floats]:
    size = np.shape(cov)[-1] if np.ndim(cov) else 0
    if size not in (3, 6):
        raise InputError(f"{name} must be (n, 3, 3) or (n, 6, 6); got {np.shape(cov)}.")
    rows = column(name, cov, np.float64, (None, size, size))
    turn = enu_rotation(lat_deg, lon_deg)
    if len(turn) != len(rows):
        raise InputError(f"{name} has {len(rows)} rows but there are {len(turn)} positions; give one for each.")
    if size == 6:
        both = np.zeros((len(rows), 6, 6))
        both[:, :3, :3] = both[:, 3:, 3:] = turn
        turn = both
    return rows, turn
