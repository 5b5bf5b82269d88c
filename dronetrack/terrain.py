"""How high is the ground, and where does a ray meet it? Constant height, or an elevation grid."""

import pathlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import terrain as kernels

HGT_SIZES = {1201: 3, 3601: 1}  # samples along one degree -> arc-seconds per step (SRTM tile format)
HGT_VOID = -32768

# height where there is no grid, grid, south, west, steps in latitude and longitude
_Grid = tuple[float, NDArray[np.float64], float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """The ground: one height everywhere, or a regular grid in latitude and longitude.

    Parameters
    ----------
    height_msl_m : float
        Ground height above the geoid (EGM96), used where there is no grid. [m]
    grid_msl_m : (rows, columns) float64
        Ground heights above the geoid, from south to north and west to east; (0, 0) where there is no grid. [m]
    south_deg, west_deg, step_lat_deg, step_lon_deg : float
        Place of the first node and the steps of the grid. [deg]
    std_m : float
        Standard deviation of the height, an error that neighbouring points share. [m]

    Raises
    ------
    InputError
        If a height is not finite, or the standard deviation not positive.
    """

    height_msl_m: float
    grid_msl_m: NDArray[np.float64]
    south_deg: float = 0.0
    west_deg: float = 0.0
    step_lat_deg: float = 1.0
    step_lon_deg: float = 1.0
    std_m: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid_msl_m", column("grid_msl_m", self.grid_msl_m, np.float64, (None, None)))
        if not -1000.0 <= self.height_msl_m <= 9000.0:
            raise InputError(f"height_msl_m must be a height on Earth, -1000 to 9000 m; got {self.height_msl_m}.")
        if not 0.0 < self.std_m < 1000.0:
            raise InputError(f"std_m must lie in (0, 1000) m; got {self.std_m}.")

    @classmethod
    def constant(cls, height_msl_m: float, *, std_m: float = 0.5) -> Self:
        """Flat ground.

        Parameters
        ----------
        height_msl_m : float
            Height above the geoid. [m]
        std_m : float, optional
            How well that is known where the target drives. [m]

        Returns
        -------
        Terrain
            The same height everywhere.
        """
        return cls(float(height_msl_m), np.empty((0, 0)), std_m=std_m)

    @classmethod
    def read(cls, path: str | pathlib.Path, *, std_m: float = 4.0) -> Self:
        """Read an elevation grid: an SRTM tile (`.hgt`), or a GeoTIFF in latitude and longitude.

        Parameters
        ----------
        path : str or Path
            The file. A `.hgt` tile is named after its south-west corner (`N46E020.hgt`). GeoTIFF needs rasterio:
            ``pip install 'dronetrack[terrain]'``.
        std_m : float, optional
            Vertical standard deviation; 4 m is typical of SRTM in flat country (Rodriguez et al. 2006,
            doi:10.14358/PERS.72.3.249, give 90 % absolute errors of 6 to 9 m). [m]

        Returns
        -------
        Terrain
            The grid; unknown cells are NaN.

        Raises
        ------
        FormatError
            If the file is missing or not what its name says.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise FormatError(f"{path}: no such elevation file.")
        if path.suffix.lower() == ".hgt":
            return cls(*_read_hgt(path), std_m)
        if path.suffix.lower() in {".tif", ".tiff"}:
            return cls(*_read_geotiff(path), std_m)
        raise FormatError(f"{path.name}: an elevation grid is an SRTM tile (.hgt) or a GeoTIFF (.tif).")

    def ground_hae_m(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> NDArray[np.float64]:
        """Return the height of the ground above the ellipsoid, bilinear on a grid.

        Parameters
        ----------
        lat_deg, lon_deg : (n,) float64
            Where. [deg]

        Returns
        -------
        (n,) float64
            Height; NaN outside the grid and in unknown cells. [m]

        Raises
        ------
        InputError
            If shapes differ or an angle is out of range.
        """
        undulation = geodesy.geoid_undulation_m(lat_deg, lon_deg)
        lat = column("lat_deg", lat_deg, np.float64, (None,))
        lon = column("lon_deg", lon_deg, np.float64, (None,))
        out = np.empty(len(lat))
        kernels.height_msl_rows(np.radians(lat), np.radians(lon), self.height_msl_m, self.grid_msl_m, self._box(), out)
        return out + undulation

    def ray_ground(
        self, site_ecef_m: ArrayLike, direction: ArrayLike, *, max_range_m: float = 20_000.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where rays first meet the ground from above.

        Parameters
        ----------
        site_ecef_m : (n, 3) float64
            Where each ray starts. [m]
        direction : (n, 3) float64
            Unit vectors in ECEF.
        max_range_m : float, optional
            How far to look. [m]

        Returns
        -------
        ground_ecef_m : (n, 3) float64
            The meeting point; NaN where the ray starts below the ground or meets no known ground in range. [m]
        range_m : (n,) float64
            Distance along the ray, to 0.1 mm. [m]

        Raises
        ------
        InputError
            If shapes differ.
        """
        site = column("site_ecef_m", site_ecef_m, np.float64, (None, 3))
        rays = column("direction", direction, np.float64, (len(site), 3))
        point, distance = np.empty((len(site), 3)), np.empty(len(site))
        kernels.ray_ground_rows(
            site,
            rays,
            max_range_m,
            self._stride_m(),
            self.height_msl_m,
            self.grid_msl_m,
            self._box(),
            geodesy.geoid_grid_m(),
            point,
            distance,
        )
        return point, distance

    def _box(self) -> NDArray[np.float64]:
        return np.radians([self.south_deg, self.west_deg, self.step_lat_deg, self.step_lon_deg])

    def _stride_m(self) -> float:
        """March by half a cell of a grid, never by more than its narrower side."""
        if not self.grid_msl_m.size:
            return 1.0
        widest = np.cos(np.radians(self.south_deg + 0.5 * self.step_lat_deg * len(self.grid_msl_m)))
        return 0.5 * 111_000.0 * min(self.step_lat_deg, self.step_lon_deg * max(float(widest), 0.01))


def as_terrain(value: "Terrain | float | str | pathlib.Path") -> Terrain:
    """Return a terrain from what a user writes: a height above the geoid in metres, a file, or a `Terrain`.

    Parameters
    ----------
    value : Terrain, float, str or Path
        What came.

    Returns
    -------
    Terrain
        The terrain.
    """
    if isinstance(value, Terrain):
        return value
    return Terrain.read(value) if isinstance(value, str | pathlib.Path) else Terrain.constant(value)


def _read_hgt(path: pathlib.Path) -> _Grid:
    import re

    corner = re.fullmatch(r"([NS])(\d{2})([EW])(\d{3})", path.stem.upper())
    if not corner:
        raise FormatError(f"{path.name}: an SRTM tile is named after its south-west corner, such as N46E020.hgt.")
    size = path.stat().st_size
    side = round((size // 2) ** 0.5)
    if side not in HGT_SIZES or side * side * 2 != size:
        raise FormatError(f"{path.name}: {size} bytes is no SRTM tile; 2,884,802 or 25,934,402 are.")
    heights = np.fromfile(path, dtype=">i2").reshape(side, side)[::-1].astype(np.float64)
    heights[heights == HGT_VOID] = np.nan
    south = int(corner[2]) * (1 if corner[1] == "N" else -1)
    west = int(corner[4]) * (1 if corner[3] == "E" else -1)
    step = 1.0 / (side - 1)
    return 0.0, heights, float(south), float(west), step, step


def _read_geotiff(path: pathlib.Path) -> _Grid:
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError:
        raise FormatError(f"{path.name}: GeoTIFF needs rasterio: pip install 'dronetrack[terrain]'.") from None
    try:
        with rasterio.open(path) as source:
            if source.crs is None or not source.crs.is_geographic or source.transform.b or source.transform.d:
                raise FormatError(f"{path.name}: needed a grid in latitude and longitude; reproject it to EPSG:4326.")
            heights = source.read(1, masked=True).astype(np.float64).filled(np.nan)
            step_lon, step_lat = source.transform.a, -source.transform.e
            west, north = source.transform.c + 0.5 * step_lon, source.transform.f - 0.5 * step_lat
    except RasterioError as fault:
        raise FormatError(f"{path.name}: not a readable GeoTIFF ({fault}).") from None
    south = north - step_lat * (len(heights) - 1)
    return 0.0, np.ascontiguousarray(heights[::-1]), south, west, step_lat, step_lon
