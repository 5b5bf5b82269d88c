"""Derive the official road crossing points of the packaged borders from the road network.

    python tools/make_posts.py ../shared/data/roads/osm_highways_hu_ro_45.7-47.4N_19.5-22.4E.geojson \\
        dronetrack/data/borders/posts.json

Source: (c) OpenStreetMap contributors, Open Database Licence 1.0, motorway and trunk network as simplified in
scgraph_data 2.0.0 (vertices about 100 m apart on a 0.001 degree grid, but whole motorways may be one straight edge).
Each place where a road meets the packaged line is a crossing point; its name is set here by hand. `std_m` says how far
the straight edge may lie from the road. Crossing points outside of the network (Csengersima-Petea, Battonya-Turnu, ...)
are not in the file.
"""

import argparse
import json
import pathlib

import numpy as np
import shapely

from dronetrack.border import Border

# Name on the host's side, name on home's side, roads, and about where, to tell them apart.
NAMES = (
    ("Cenad", "Kiszombor", "43 / DN6", 46.15, 20.47),
    ("Nadlac", "Nagylak", "43 / DN7", 46.17, 20.72),
    ("Nadlac II", "Csanadpalota", "M43 / A1", 46.21, 20.76),
    ("Varsand", "Gyula", "44 / DN79A", 46.63, 21.33),
    ("Salonta", "Mehkerek", "4252 / DN79B", 46.765, 21.484),
    ("Bors", "Artand", "42 / DN1", 47.119, 21.79),
    ("Bors II", "Nagykereki", "M4 / A3", 47.19, 21.86),
)
SHORT_DEG, NEAR_DEG = 0.02, 0.03


def main() -> None:
    """Write the file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("roads", type=pathlib.Path)
    options.add_argument("file", type=pathlib.Path)
    chosen = options.parse_args()
    border = Border.between("HU", "RO")
    line = shapely.LineString(np.column_stack([border.line_lon_deg, border.line_lat_deg]))
    features = json.loads(chosen.roads.read_text(encoding="utf-8"))["features"]
    posts = []
    roads = [shapely.LineString(feature["geometry"]["coordinates"]) for feature in features]
    for road in (road for road in roads if road.intersects(line)):
        for point in shapely.get_parts(road.intersection(line)):
            apart = [np.hypot(point.y - lat, point.x - lon) for *_, lat, lon in NAMES]
            name, home_name, numbers, *_ = NAMES[int(np.argmin(apart))]
            if min(apart) > NEAR_DEG:
                raise SystemExit(f"no name for the crossing at {point.y:.4f}, {point.x:.4f}")
            posts.append(
                {
                    "name": name,
                    "home_name": home_name,
                    "roads": numbers,
                    "lat_deg": round(point.y, 5),
                    "lon_deg": round(point.x, 5),
                    "std_m": 100 if road.length < SHORT_DEG else 1000,
                }
            )
    if {post["name"] for post in posts} != {name for name, *_ in NAMES}:
        raise SystemExit("a named crossing point was not found on the line")
    about = {
        "attribution": "(c) OpenStreetMap contributors, via scgraph_data 2.0.0",
        "licence": "ODbL-1.0",
        "HU-RO": sorted(posts, key=lambda post: post["lat_deg"]),
    }
    chosen.file.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"{len(posts)} crossing points")


if __name__ == "__main__":
    main()
