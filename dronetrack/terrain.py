"""How high is the ground, and where does a ray meet it? Constant height, or an elevation grid."""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import geodesy as ellipsoid
from dronetrack.kernels import terrain as kernels

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

HGT_SIZES = {1201: 3, 3601: 1}  # samples along one degree -> arc-seconds per step (SRTM tile format)
HGT_VOID = -32768
MOST_NODES = 200_000_000  # 1.6 GB: what is read at once without being asked for
SAME_STEP = 1e-6  # grids whose steps differ by less than this part are of one kind
LIFT_STD = 2.0  # how far rays are lifted and lowered to see whether a ground point is linear in its errors [std]
LINEAR_WITHIN = 3.0  # the lifted rays may end up to this many times farther than the linear rule says

Floats = NDArray[np.float64]
Bounds = tuple[float, float, float, float]


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
        if bounds is not None and not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
            raise InputError(f"bounds must be south, west, north, east with south < north, west < east; got {bounds}.")
        parts = [part for part in (_read_one(pathlib.Path(one), bounds) for one in paths) if part is not None]
        if not parts:
            raise InputError(
                f"no elevation file lies within the bounds {bounds}; files: {[str(one) for one in paths]}."
            )
        grid = _join(parts)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """A grid from south to north and west to east, and the places of its first node. [m, deg]"""

    name: str
    heights: Floats
    south: float
    west: float
    step_lat: float
    step_lon: float


def _points(site_ecef_m: ArrayLike, direction: ArrayLike, distance: Floats) -> Floats:
    """(n, k, 3) points at (n, k) distances along n rays."""
    site, ray = np.asarray(site_ecef_m, dtype=np.float64), np.asarray(direction, dtype=np.float64)
    return site.reshape(-1, 1, 3) + distance[:, :, None] * ray.reshape(-1, 1, 3)


def _read_one(path: pathlib.Path, bounds: Bounds | None) -> _Grid | None:
    """One file, or None where it lies outside the bounds."""
    if not path.is_file():
        raise FormatError(f"{path}: no such elevation file.")
    if path.suffix.lower() == ".hgt":
        return _read_hgt(path, bounds)
    if path.suffix.lower() in {".tif", ".tiff"}:
        return _read_geotiff(path, bounds)
    raise FormatError(f"{path.name}: an elevation grid is an SRTM tile (.hgt) or a GeoTIFF (.tif).")


def _join(parts: list[_Grid]) -> _Grid:
    """One grid of several that lie on the same lattice of nodes."""
    first = parts[0]
    if len(parts) == 1:
        return first
    corners = []
    for part in parts:
        row, col = (part.south - first.south) / first.step_lat, (part.west - first.west) / first.step_lon
        same = np.isclose([part.step_lat, part.step_lon], [first.step_lat, first.step_lon], rtol=SAME_STEP, atol=0.0)
        if not (same.all() and abs(row - round(row)) < 0.01 and abs(col - round(col)) < 0.01):
            raise FormatError(
                f"{part.name} does not fit to {first.name}: its nodes lie elsewhere. Resample one of them."
            )
        corners.append((round(row), round(col)))
    low = np.min(corners, axis=0)
    size = (
        np.max([np.add(corner, part.heights.shape) for corner, part in zip(corners, parts, strict=True)], axis=0) - low
    )
    _refuse_huge(f"{first.name} and {len(parts) - 1} more", int(size[0]) * int(size[1]))
    heights = np.full(size, np.nan)
    for corner, part in zip(corners, parts, strict=True):
        row, col = np.subtract(corner, low)
        place = heights[row : row + part.heights.shape[0], col : col + part.heights.shape[1]]
        np.copyto(place, part.heights, where=np.isnan(place))
    south, west = first.south + low[0] * first.step_lat, first.west + low[1] * first.step_lon
    return _Grid(first.name, heights, float(south), float(west), first.step_lat, first.step_lon)


def _refuse_huge(name: str, n_nodes: int) -> None:
    if n_nodes > MOST_NODES:
        raise FormatError(f"{name}: {n_nodes:,} nodes are too many at once; give bounds=(south, west, north, east).")


def _window(first: float, step: float, count: int, low: float, high: float) -> tuple[int, int]:
    """First and past-the-last of the nodes that enclose low .. high; two at least, or none where they lie outside."""
    start, stop = int(np.floor((low - first) / step - 1e-6)), int(np.ceil((high - first) / step + 1e-6)) + 1
    start, stop = max(start, 0), min(stop, count)
    return (start, stop) if stop - start >= 2 else (0, 0)


def _read_hgt(path: pathlib.Path, bounds: Bounds | None) -> _Grid | None:
    import re

    corner = re.fullmatch(r"([NS])(\d{2})([EW])(\d{3})", path.stem.upper())
    if not corner:
        raise FormatError(f"{path.name}: an SRTM tile is named after its south-west corner, such as N46E020.hgt.")
    size = path.stat().st_size
    side = round((size // 2) ** 0.5)
    if side not in HGT_SIZES or side * side * 2 != size:
        raise FormatError(f"{path.name}: {size} bytes is no SRTM tile; 2,884,802 or 25,934,402 are.")
    south = int(corner[2]) * (1 if corner[1] == "N" else -1)
    west = int(corner[4]) * (1 if corner[3] == "E" else -1)
    step = 1.0 / (side - 1)
    rows, cols = (0, side), (0, side)
    if bounds is not None:
        rows = _window(south, step, side, bounds[0], bounds[2])
        cols = _window(west, step, side, bounds[1], bounds[3])
        if not (rows[1] and cols[1]):
            return None
    stored = np.memmap(path, dtype=">i2", mode="r", shape=(side, side))[::-1]
    heights = stored[slice(*rows), slice(*cols)].astype(np.float64)
    heights[heights == HGT_VOID] = np.nan
    return _Grid(path.name, heights, south + rows[0] * step, west + cols[0] * step, step, step)


def _read_geotiff(path: pathlib.Path, bounds: Bounds | None) -> _Grid | None:
    try:
        import rasterio
        from rasterio.errors import RasterioError
    except ImportError:
        raise FormatError(f"{path.name}: GeoTIFF needs rasterio: pip install 'dronetrack[terrain]'.") from None
    try:
        with rasterio.open(path) as source:
            if source.crs is None:
                raise FormatError(f"{path.name}: the GeoTIFF does not say its coordinate system; needed one.")
            place = source.transform
            if source.crs.is_geographic and not (place.b or place.d) and place.a > 0.0 > place.e:
                return _read_nodes(path.name, source, bounds)
            return _read_warped(path.name, source, bounds)
    except RasterioError as fault:
        raise FormatError(f"{path.name}: not a readable GeoTIFF ({fault}).") from None


def _read_nodes(name: str, source: "DatasetReader", bounds: Bounds | None) -> _Grid | None:
    """Read a raster whose rows go south and whose columns go east, both in degrees; its pixels are the nodes."""
    from rasterio.windows import Window

    place = source.transform
    step_lon, step_lat = place.a, -place.e
    west = place.c + 0.5 * step_lon
    south = place.f - (source.height - 0.5) * step_lat
    rows, cols = (0, source.height), (0, source.width)
    if bounds is not None:
        rows = _window(south, step_lat, source.height, bounds[0], bounds[2])
        cols = _window(west, step_lon, source.width, bounds[1], bounds[3])
        if not (rows[1] and cols[1]):
            return None
    n_rows, n_cols = rows[1] - rows[0], cols[1] - cols[0]
    _refuse_huge(name, n_rows * n_cols)
    window = Window(cols[0], source.height - rows[1], n_cols, n_rows)  # type: ignore[call-arg]
    raw = source.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)
    heights = np.ascontiguousarray(raw[::-1]) * source.scales[0] + source.offsets[0]
    return _Grid(name, heights, south + rows[0] * step_lat, west + cols[0] * step_lon, step_lat, step_lon)


def _read_warped(name: str, source: "DatasetReader", bounds: Bounds | None) -> _Grid | None:
    """Interpolate a raster in any other system to latitude and longitude, at its own resolution on the ground."""
    import pyproj
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds(source.crs, "EPSG:4326", *source.bounds, densify_pts=21)
    if bounds is not None:
        south, west = max(south, bounds[0]), max(west, bounds[1])
        north, east = min(north, bounds[2]), min(east, bounds[3])
        if not (south < north and west < east):
            return None
    metres = _pixel_m(source)
    step_lat = metres / 111_132.0
    step_lon = metres / (111_320.0 * max(float(np.cos(np.radians(0.5 * (south + north)))), 0.01))
    n_rows, n_cols = int(np.ceil((north - south) / step_lat)) + 1, int(np.ceil((east - west) / step_lon)) + 1
    _refuse_huge(name, n_rows * n_cols)
    lat, lon = south + step_lat * np.arange(n_rows), west + step_lon * np.arange(n_cols)
    to_source = pyproj.Transformer.from_crs("EPSG:4326", source.crs.to_wkt(), always_xy=True)
    # GDAL's own warper was off by several hundredths of a pixel when it read a window, so this is done here.
    heights = np.empty((n_rows, n_cols))
    for start in range(0, n_rows, 512):
        rows = slice(start, min(start + 512, n_rows))
        x, y = to_source.transform(*np.meshgrid(lon, lat[rows]))
        place = ~source.transform
        col = np.ravel(place.a * x + place.b * y + place.c) - 0.5
        row = np.ravel(place.d * x + place.e * y + place.f) - 0.5
        heights[rows] = _interpolate(source, row, col).reshape(-1, n_cols)
    return _Grid(name, heights, south, west, step_lat, step_lon)


def _interpolate(source: "DatasetReader", row: Floats, col: Floats) -> Floats:
    """Bilinear heights at pixel places (0 is the middle of the first one); NaN outside and beside unknown pixels."""
    from rasterio.windows import Window
    from scipy.ndimage import map_coordinates

    out = np.full(len(row), np.nan)
    inside = (row >= 0.0) & (row <= source.height - 1) & (col >= 0.0) & (col <= source.width - 1)
    if not inside.any():
        return out
    top, left = int(row[inside].min()), int(col[inside].min())
    n_rows, n_cols = int(row[inside].max()) - top + 2, int(col[inside].max()) - left + 2
    _refuse_huge(source.name, n_rows * n_cols)
    window = Window(left, top, min(n_cols, source.width - left), min(n_rows, source.height - top))  # type: ignore[call-arg]
    raw = source.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)
    places = np.stack([row[inside] - top, col[inside] - left])
    out[inside] = map_coordinates(raw, places, order=1, mode="nearest") * source.scales[0] + source.offsets[0]
    return out


def _pixel_m(source: "DatasetReader") -> float:
    """Return the finer side of a pixel on the ground. [m]"""
    place = source.transform
    side = min(np.hypot(place.a, place.d), np.hypot(place.b, place.e))
    if source.crs.is_geographic:
        return float(side) * 111_132.0
    return float(side) * float(source.crs.linear_units_factor[1])
