"""How high is the ground, and where does a ray meet it? Constant height, or an elevation grid."""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import geodesy as ellipsoid
from dronetrack.kernels import terrain as kernels
from dronetrack.terrain.grids import Bounds, read_grids

LIFT_STD = 2.0  # how far rays are lifted and lowered to see whether a ground point is linear in its errors [std]
LINEAR_WITHIN = 3.0  # the lifted rays may end up to this many times farther than the linear rule says

Floats = NDArray[np.float64]


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
    _tops_m: tuple[Floats, NDArray[np.int64], float, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "grid_msl_m", column("grid_msl_m", self.grid_msl_m, np.float64, (None, None)))
        if not -1000.0 <= self.height_msl_m <= 9000.0:
            raise InputError(f"height_msl_m must be a height on Earth, -1000 to 9000 m; got {self.height_msl_m}.")
        if not 0.0 < self.std_m < 1000.0:
            raise InputError(f"std_m must lie in (0, 1000) m; got {self.std_m}.")
        if self.grid_msl_m.size and min(self.grid_msl_m.shape) < 2:
            raise InputError(f"grid_msl_m must be 2 x 2 nodes or more; got {self.grid_msl_m.shape}.")
        put(self, "_tops_m", self._pyramid())

    def _pyramid(self) -> tuple[Floats, NDArray[np.int64], float, float]:
        """Greatest heights of blocks of cells, where each level of them stands, lowest and highest known height."""
        if not self.grid_msl_m.size:
            return np.empty(0), np.empty((0, 3), dtype=np.int64), self.height_msl_m, self.height_msl_m
        size = [-(-(side - 1) // kernels.BLOCK) for side in self.grid_msl_m.shape]
        levels = [(0, *size)]
        while max(size) > 1:
            start = levels[-1][0] + size[0] * size[1]
            size = [-(-side // 2) for side in size]
            levels.append((start, *size))
        tops = np.empty(levels[-1][0] + 1)
        table = np.array(levels, dtype=np.int64)
        return tops, table, *kernels.tops_rows(self.grid_msl_m, table, tops)

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
    def read(
        cls,
        path: str | pathlib.Path | Sequence[str | pathlib.Path],
        *,
        std_m: float = 4.0,
        bounds: Bounds | None = None,
    ) -> Self:
        """Read elevation grids: SRTM tiles (`.hgt`) and GeoTIFFs.

        A GeoTIFF in latitude and longitude is taken node for node. One in any other system (UTM, a national grid, a
        turned image) is interpolated bilinearly, once, to a grid in latitude and longitude whose steps are as long on
        the ground as its own. Heights must be metres above the geoid, as SRTM, Copernicus DEM and national models are.

        Parameters
        ----------
        path : str, Path, or a sequence of these
            The file, or neighbouring files of equal steps, which become one grid; where they overlap the first known
            height stands. A `.hgt` tile is named after its south-west corner (`N46E020.hgt`). GeoTIFF needs rasterio:
            ``pip install 'dronetrack[terrain]'``.
        std_m : float, optional
            Vertical standard deviation; 4 m is typical of SRTM in flat country (Rodriguez et al. 2006,
            doi:10.14358/PERS.72.3.249, give 90 % absolute errors of 6 to 9 m). [m]
        bounds : (float, float, float, float), optional
            South, west, north, east: only this window is read, so that a file may be larger than the memory. [deg]

        Returns
        -------
        Terrain
            The grid; unknown cells are NaN.

        Raises
        ------
        FormatError
            If a file is missing or not what its name says, if files do not fit together, or if the grid is huge and no
            bounds are given.
        InputError
            If the bounds are no box, or no file lies in them.
        """
        paths = [path] if isinstance(path, str | pathlib.Path) else list(path)
        grid = read_grids([pathlib.Path(one) for one in paths], bounds)
        return cls(0.0, grid.heights, grid.south, grid.west, grid.step_lat, grid.step_lon, std_m)

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
        distance, _ = self._meetings(site_ecef_m, direction, max_range_m=max_range_m, most=1, from_above=True)
        return _points(site_ecef_m, direction, distance)[:, 0], distance[:, 0]

    def ray_grounds(
        self, site_ecef_m: ArrayLike, direction: ArrayLike, *, most: int = 4, max_range_m: float = 20_000.0
    ) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return where rays meet the ground, all meetings in order.

        A sighting over a ridge has several places where its target may be: on the near slope, or behind the ridge
        where the ray enters the ground again.

        Parameters
        ----------
        site_ecef_m : (n, 3) float64
            Where each ray starts; it may start below the ground, and then leaves it first. [m]
        direction : (n, 3) float64
            Unit vectors in ECEF.
        most : int, optional
            How many meetings to look for.
        max_range_m : float, optional
            How far to look. [m]

        Returns
        -------
        ground_ecef_m : (n, most, 3) float64
            The meeting points; NaN where there are no more. A ray ends at unknown ground unless it passes above the
            highest known one. [m]
        range_m : (n, most) float64
            Distances along the ray, increasing. [m]
        entering : (n, most) bool
            Whether the ray goes into the ground there; only there can its target be.

        Raises
        ------
        InputError
            If shapes differ or `most` is not positive.
        """
        if most < 1:
            raise InputError(f"most must be 1 or more; got {most}.")
        distance, entering = self._meetings(
            site_ecef_m, direction, max_range_m=max_range_m, most=most, from_above=False
        )
        return _points(site_ecef_m, direction, distance), distance, entering

    def ground_covariance(
        self,
        site_ecef_m: ArrayLike,
        direction: ArrayLike,
        range_m: ArrayLike,
        *,
        direction_cov: ArrayLike,
        site_cov: ArrayLike | None = None,
    ) -> Floats:
        """Return how well a ground point is known, from the errors of ray, site and heights.

        The ground point moves as ``(I - d n' / n'd) e + d h / n'd`` with the error `e` of the ray at the point, the
        error `h` of the ground's height, the direction `d` and the normal `n` of the sloping ground (implicit function
        theorem). Two more rays, two standard deviations higher and lower, show whether that holds: where they end
        farther away than the rule says, the covariance grows to that; where one of them passes over the ridge, or ends
        more than three times as far, there is no covariance that would be honest, and it is infinite.

        Parameters
        ----------
        site_ecef_m : (n, 3) float64
            Where each ray starts. [m]
        direction : (n, 3) float64
            Unit vectors in ECEF.
        range_m : (n,) float64
            Distance to the meeting, from `ray_ground` or one column of `ray_grounds`. [m]
        direction_cov : (n, 3, 3) float64
            Covariance of the direction in ECEF. [rad2]
        site_cov : (n, 3, 3) float64, optional
            Covariance of the site in ECEF. [m2]

        Returns
        -------
        (n, 3, 3) float64
            Covariance of the ground point in ECEF; ``inf`` on the diagonal where the ray grazes so that no ellipse
            describes the point, NaN where `range_m` is NaN. [m2]

        Raises
        ------
        InputError
            If shapes differ.
        """
        site = column("site_ecef_m", site_ecef_m, np.float64, (None, 3))
        n = len(site)
        ray = column("direction", direction, np.float64, (n, 3))
        reach = column("range_m", range_m, np.float64, (n,))
        turn = column("direction_cov", direction_cov, np.float64, (n, 3, 3))
        shift = np.zeros((n, 3, 3)) if site_cov is None else column("site_cov", site_cov, np.float64, (n, 3, 3))
        error = shift + reach[:, None, None] ** 2 * turn
        normal, up = self._normals(site + reach[:, None] * ray)
        fall = -np.einsum("ni,ni->n", normal, ray)
        with np.errstate(divide="ignore", invalid="ignore"):
            clearance_std = np.sqrt(np.einsum("ni,nij,nj->n", normal, error, normal) + self.std_m**2)
            along_std = clearance_std / fall
            move = np.eye(3) + ray[:, :, None] * normal[:, None, :] / fall[:, None, None]
            share = np.einsum("ni,nij,nj->n", normal, turn, normal) * (reach / clearance_std) ** 2
            stretch = self._stretch(site, ray, reach, normal, up, clearance_std, share, along_std)
            cov = move @ error @ move.transpose(0, 2, 1)
            growth = (self.std_m / fall) ** 2 + along_std**2 * (stretch**2 - 1.0)
            cov += growth[:, None, None] * ray[:, :, None] * ray[:, None, :]
        grazing = ~np.isnan(reach) & ~((fall > 0.0) & (stretch <= LINEAR_WITHIN))
        cov[grazing] = np.diag([np.inf] * 3)
        cov[np.isnan(reach)] = np.nan
        return cov

    def _stretch(
        self,
        site: Floats,
        ray: Floats,
        reach: Floats,
        normal: Floats,
        up: Floats,
        clearance_std: Floats,
        share: Floats,
        along_std: Floats,
    ) -> Floats:
        """How many times farther than the linear rule says rays end that pass higher or lower; inf where they miss.

        `share` is the part of the variance of the clearance that is the direction's: so much of the shift is made by
        turning the ray, the rest by lifting its site.
        """
        usable = np.isfinite(along_std) & (along_std > 0.0)
        first = np.where(usable, np.maximum(reach - 2.0 * LIFT_STD * along_std - 1.0, 0.0), np.nan)
        last = reach + 2.0 * LINEAR_WITHIN * LIFT_STD * np.where(usable, along_std, 0.0) + 1.0
        across = normal - np.einsum("ni,ni->n", normal, ray)[:, None] * ray
        across /= np.einsum("ni,ni->n", across, normal)[:, None]
        worst = np.ones(len(site))
        for lift in (LIFT_STD, -LIFT_STD):
            shift = (lift * clearance_std)[:, None]
            turned = ray + (share / reach)[:, None] * shift * across
            turned /= np.linalg.norm(turned, axis=1, keepdims=True)
            moved = site + (1.0 - share)[:, None] * shift * up
            distance, _ = self._meetings(moved, turned, max_range_m=last, most=1, from_above=True, first_m=first)
            times = np.abs(distance[:, 0] - reach) / (LIFT_STD * along_std)
            worst = np.maximum(worst, np.where(np.isnan(times), np.inf, times))
        return worst

    def _normals(self, point_ecef_m: Floats) -> tuple[Floats, Floats]:
        """Return normals of the sloping ground, of unit height (up minus the slope), and the local up, in ECEF."""
        lat_deg, lon_deg, alt = geodesy.ecef_to_geodetic(point_ecef_m)
        known = ~np.isnan(lat_deg)
        lat_deg, lon_deg = np.where(known, lat_deg, 0.0), np.where(known, lon_deg, 0.0)
        slope = np.empty((len(lat_deg), 2))
        kernels.slope_rows(np.radians(lat_deg), np.radians(lon_deg), self.grid_msl_m, self._box(), slope)
        parallel = np.linalg.norm(point_ecef_m[:, :2], axis=1)
        sine = np.sin(np.radians(lat_deg))
        meridian = ellipsoid.a * (1.0 - ellipsoid.e2) / (1.0 - ellipsoid.e2 * sine**2) ** 1.5 + alt
        axes = geodesy.enu_rotation(lat_deg, lon_deg)
        normal = axes[:, 2] - (slope[:, :1] / meridian[:, None]) * axes[:, 1]
        return normal - (slope[:, 1:] / parallel[:, None]) * axes[:, 0], axes[:, 2]

    def _meetings(
        self,
        site_ecef_m: ArrayLike,
        direction: ArrayLike,
        *,
        max_range_m: ArrayLike,
        most: int,
        from_above: bool,
        first_m: Floats | None = None,
    ) -> tuple[Floats, NDArray[np.bool_]]:
        site = column("site_ecef_m", site_ecef_m, np.float64, (None, 3))
        n = len(site)
        ray = column("direction", direction, np.float64, (n, 3))
        first = np.zeros(n) if first_m is None else first_m
        last = np.ascontiguousarray(np.broadcast_to(np.asarray(max_range_m, dtype=np.float64), (n,)))
        distance, entering = np.empty((n, most)), np.empty((n, most), dtype=np.bool_)
        tops, levels, lowest, highest = self._tops_m
        kernels.ray_meetings_rows(
            site,
            ray,
            first,
            last.copy(),
            from_above,
            self.height_msl_m,
            self.grid_msl_m,
            self._box(),
            geodesy.geoid_grid_m(),
            tops,
            levels,
            lowest,
            highest,
            distance,
            entering,
        )
        return distance, entering

    def _box(self) -> NDArray[np.float64]:
        return np.radians([self.south_deg, self.west_deg, self.step_lat_deg, self.step_lon_deg])


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


def _points(site_ecef_m: ArrayLike, direction: ArrayLike, distance: Floats) -> Floats:
    """(n, k, 3) points at (n, k) distances along n rays."""
    site, ray = np.asarray(site_ecef_m, dtype=np.float64), np.asarray(direction, dtype=np.float64)
    return site.reshape(-1, 1, 3) + distance[:, :, None] * ray.reshape(-1, 1, 3)
