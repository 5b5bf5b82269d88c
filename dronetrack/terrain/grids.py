"""What do elevation files hold? SRTM tiles and GeoTIFFs as one grid in latitude and longitude."""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError, InputError

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

HGT_SIZES = {1201: 3, 3601: 1}  # samples along one degree -> arc-seconds per step (SRTM tile format)
HGT_VOID = -32768
MOST_NODES = 200_000_000  # 1.6 GB: what is read at once without being asked for
SAME_STEP = 1e-6  # grids whose steps differ by less than this part are of one kind

Floats = NDArray[np.float64]
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A grid from south to north and west to east, and the places of its first node. [m, deg]"""

    name: str
    heights: Floats
    south: float
    west: float
    step_lat: float
    step_lon: float


def read_grids(paths: Sequence[pathlib.Path], bounds: Bounds | None) -> Grid:
    """Read elevation files that fit together.

    Parameters
    ----------
    paths : sequence of Path
        SRTM tiles and GeoTIFFs on one lattice of nodes.
    bounds : (float, float, float, float) or None
        South, west, north, east of what is wanted. [deg]

    Returns
    -------
    Grid
        One grid of all of them.

    Raises
    ------
    FormatError
        If a file is missing or not what its name says, if files do not fit together, or if the grid is huge and no
        bounds are given.
    InputError
        If the bounds are no box, or no file lies in them.
    """
    if bounds is not None and not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
        raise InputError(f"bounds must be south, west, north, east with south < north, west < east; got {bounds}.")
    parts = [part for part in (_read_one(path, bounds) for path in paths) if part is not None]
    if not parts:
        raise InputError(f"no elevation file lies within the bounds {bounds}; files: {[str(one) for one in paths]}.")
    return _join(parts)


def _read_one(path: pathlib.Path, bounds: Bounds | None) -> Grid | None:
    """One file, or None where it lies outside the bounds."""
    if not path.is_file():
        raise FormatError(f"{path}: no such elevation file.")
    if path.suffix.lower() == ".hgt":
        return _read_hgt(path, bounds)
    if path.suffix.lower() in {".tif", ".tiff"}:
        return _read_geotiff(path, bounds)
    raise FormatError(f"{path.name}: an elevation grid is an SRTM tile (.hgt) or a GeoTIFF (.tif).")


def _join(parts: list[Grid]) -> Grid:
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
    return Grid(first.name, heights, float(south), float(west), first.step_lat, first.step_lon)


def _refuse_huge(name: str, n_nodes: int) -> None:
    if n_nodes > MOST_NODES:
        raise FormatError(f"{name}: {n_nodes:,} nodes are too many at once; give bounds=(south, west, north, east).")


def _window(first: float, step: float, count: int, low: float, high: float) -> tuple[int, int]:
    """First and past-the-last of the nodes that enclose low .. high; two at least, or none where they lie outside."""
    start, stop = int(np.floor((low - first) / step - 1e-6)), int(np.ceil((high - first) / step + 1e-6)) + 1
    start, stop = max(start, 0), min(stop, count)
    return (start, stop) if stop - start >= 2 else (0, 0)


def _read_hgt(path: pathlib.Path, bounds: Bounds | None) -> Grid | None:
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
    return Grid(path.name, heights, south + rows[0] * step, west + cols[0] * step, step, step)


def _read_geotiff(path: pathlib.Path, bounds: Bounds | None) -> Grid | None:
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


def _read_nodes(name: str, source: "DatasetReader", bounds: Bounds | None) -> Grid | None:
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
    return Grid(name, heights, south + rows[0] * step_lat, west + cols[0] * step_lon, step_lat, step_lon)


def _read_warped(name: str, source: "DatasetReader", bounds: Bounds | None) -> Grid | None:
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
    return Grid(name, heights, south, west, step_lat, step_lon)


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
