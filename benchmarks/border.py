"""How fast are side and distance for a million places? Against shapely, beside what memory alone allows.

    python benchmarks/border.py [places]

Baselines: `shapely.contains_xy` on both countries' prepared polygons, for side says which of the two or neither (and on
one alone); `shapely.distance` on the prepared line in its own plane. The limit: one pass over the same two columns that
writes one byte, and one that writes one float64. Answers are compared: sides with shapely's, distances with the
geodesic of pyproj to the nearest place that `Border.nearest` names, and with shapely's in a local plane.
"""

import sys
import time

import numpy as np
import pyproj
import shapely

from dronetrack.border import Border
from dronetrack.border.world import country_of


def best_ns(work, n, turns=5):
    """CPU time of the quickest turn, per place."""
    work()
    spent = []
    for _ in range(turns):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent) / n * 1e9


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(4)
    Border.between("HU", "RO")  # compiles
    begin = time.process_time()
    border = Border.between("HU", "RO")
    print(f"border ready in {1e3 * (time.process_time() - begin):.0f} ms")
    compare(
        "box around the line, up to 200 km away", border, rng.uniform(19.5, 23.5, n), rng.uniform(45.7, 48.3, n), rng
    )
    compare("within some 5 km of the line", border, *near(border, n, rng), rng)
    lon, lat = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    print(f"\ncountry_of, {n} places all over the world: {best_ns(lambda: country_of(lat, lon), n):.1f} ns")


def compare(name, border, lon, lat, rng):
    n, few = len(lon), max(len(lon) // 50, 1)
    home, host = (shapely.Polygon(rings) for rings in (border.home_rings_deg, border.host_rings_deg))
    line = shapely.LineString(np.column_stack([border.line_lon_deg, border.line_lat_deg]))
    shapely.prepare([home, host, line])
    both = best_ns(lambda: (shapely.contains_xy(home, lon, lat), shapely.contains_xy(host, lon, lat)), n, 3)
    one = best_ns(lambda: shapely.contains_xy(host, lon, lat), n, 3)
    points = shapely.points(lon[:few], lat[:few])
    slow = best_ns(lambda: shapely.distance(line, points), few, 2)
    flags, sums = np.empty(n, np.bool_), np.empty(n)
    side, distance = best_ns(lambda: border.side(lat, lon), n), best_ns(lambda: border.signed_distance_m(lat, lon), n)
    byte = best_ns(lambda: np.greater(lon, lat, out=flags), n)
    whole = best_ns(lambda: np.add(lon, lat, out=sums), n)
    print(f"\n{name}, {n} places")
    print(
        f"  side      {side:7.1f} ns   contains_xy {both:7.1f} ns ({both / side:.0f}x; one country {one / side:.0f}x)"
    )
    print(f"  distance  {distance:7.1f} ns   shapely.distance {slow:7.0f} ns ({slow / distance:.0f}x)")
    print(f"  memory alone: {byte:.1f} ns for a side, {whole:.1f} ns for a distance")
    agree(border, home, host, lon, lat, rng)


def near(border, n, rng):
    at = rng.integers(0, len(border.line_lat_deg), n)
    return border.line_lon_deg[at] + rng.normal(0, 0.05, n), border.line_lat_deg[at] + rng.normal(0, 0.035, n)


def agree(border, home, host, lon, lat, rng):
    """Compare answers with shapely and with the geodesic."""
    expected = np.where(shapely.contains_xy(host, lon, lat), 1, np.where(shapely.contains_xy(home, lon, lat), 0, -1))
    differ = int((border.side(lat, lon) != expected).sum())
    some = rng.integers(0, len(lon), 20_000)
    ours = np.abs(border.signed_distance_m(lat[some], lon[some]))
    lat_on, lon_on = border.nearest(lat[some], lon[some])
    _, _, geodesic = pyproj.Geod(ellps="WGS84").inv(lon[some], lat[some], lon_on, lat_on)
    few = some[:300]
    plane = np.array([local(border, x, y) for x, y in zip(lon[few], lat[few], strict=True)])
    print(
        f"  sides that differ {differ}; distance: from the geodesic {np.abs(ours - geodesic).max():.1e} m, "
        f"{np.max(np.abs(ours - geodesic) / np.maximum(geodesic, 1.0)):.1e} of itself; from shapely in a plane about "
        f"each place {np.max(np.abs(ours[:300] - plane) / np.maximum(plane, 1.0)):.1e} of itself"
    )


def local(border, lon, lat):
    """shapely's distance, the line laid into the azimuthal equidistant plane about the place."""
    plane = pyproj.Transformer.from_crs(4326, f"+proj=aeqd +lat_0={lat} +lon_0={lon} +ellps=WGS84", always_xy=True)
    line = shapely.segmentize(shapely.LineString(np.column_stack([border.line_lon_deg, border.line_lat_deg])), 1e-3)
    x, y = plane.transform(*shapely.get_coordinates(line).T)
    return shapely.distance(shapely.LineString(np.column_stack([x, y])), shapely.Point(0.0, 0.0))


if __name__ == "__main__":
    main()
