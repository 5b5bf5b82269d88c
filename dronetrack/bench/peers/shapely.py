"""shapely: its array functions, on prepared geometries where it has them."""

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.border import Border
from dronetrack.tracks import Track

Floats = NDArray[np.float64]

LABEL = "shapely"


def locate(line: Floats, points: Floats) -> Callable[[], Floats]:
    """Find points along a line, both in a plane, with `line_locate_point`."""
    way, places = shapely.LineString(line), shapely.points(points)
    return lambda: shapely.line_locate_point(way, places)


def sides(
    home_rings: Floats, home_offsets: NDArray[np.int64], host_rings: Floats, host_offsets: NDArray[np.int64],
    lon_deg: Floats, lat_deg: Floats,
) -> Callable[[], NDArray[np.int8]]:  # fmt: skip
    """Say for each place whether it is in the home country (0), the host's (1) or neither (-1), by `contains_xy`."""
    home, host = _polygon(home_rings, home_offsets), _polygon(host_rings, host_offsets)
    shapely.prepare([home, host])

    def solve() -> NDArray[np.int8]:
        in_host, in_home = shapely.contains_xy(host, lon_deg, lat_deg), shapely.contains_xy(home, lon_deg, lat_deg)
        return np.where(in_host, 1, np.where(in_home, 0, -1)).astype(np.int8)

    return solve


def distances(line: Floats, x: Floats, y: Floats) -> Callable[[], Floats]:
    """Measure from points to a line in its own plane with `distance`; a prepared line is no faster."""
    way, points = shapely.LineString(line), shapely.points(x, y)
    return lambda: shapely.distance(way, points)


def distances_by_tree(line: Floats, x: Floats, y: Floats) -> Callable[[], Floats]:
    """Measure the same with a tree of the line's segments, and `query_nearest`."""
    tree = shapely.STRtree(shapely.linestrings(np.stack([line[:-1], line[1:]], axis=1)))
    points = shapely.points(x, y)
    return lambda: tree.query_nearest(points, return_distance=True, all_matches=False)[1]


def shares_inside(
    border: Border, track: Track, cov: Floats, samples: int, rng: np.random.Generator
) -> Callable[[], Floats]:
    """Draw places of each row, with the line's own uncertainty, and count those in the host's polygon."""
    host = _polygon(border.host_rings_deg, border.host_offsets)
    shapely.prepare(host)
    lat, lon = track.lat_deg, track.lon_deg

    def solve() -> Floats:
        shares = np.empty(len(track))
        for row, spread in enumerate(np.linalg.cholesky(cov + border.line_std_m**2 * np.eye(2))):
            east, north = spread @ rng.standard_normal((2, samples))
            places = geodesy.enu_to_ecef(np.column_stack([east, north, np.zeros(samples)]), lat[row], lon[row], 90.0)
            where = geodesy.ecef_to_geodetic(places)
            shares[row] = shapely.contains_xy(host, where[1], where[0]).mean()
        return shares

    return solve


def _polygon(rings: Floats, offsets: NDArray[np.int64]) -> shapely.Polygon:
    shell, *holes = np.split(rings, offsets[1:-1])
    return shapely.Polygon(shell, holes)
