"""Derive the packaged outlines of all countries from Natural Earth.

Run once, by hand, where npm and pycountry are at hand:

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python tools/make_world.py package/countries-10m.json dronetrack/data/borders/world.npz

Source: Natural Earth 4.1.0, admin 0 countries, 1:10 million (public domain), as TopoJSON of world-atlas 2.0.2 (ISC), on
a grid of 0.0036 by 0.0017 degrees. A boundary that two countries share is one arc of the topology, so both outlines
hold it exactly. What is changed: areas without a code of their own go to the country whose ISO 3166 code covers them
(`PART_OF`) or have no code; arcs that end on the antimeridian end there on their own side; polygons become lists of
rings with the country on the left. Vatican City is smaller than the grid and is lost.
"""

import argparse
import json
import pathlib
from collections import Counter

import numpy as np
import pycountry

PART_OF = {
    "Kosovo": "XK",  # user-assigned, as the European Union uses it
    "Baikonur": "KZ",
    "USNB Guantanamo Bay": "CU",
    "Somaliland": "SO",
    "N. Cyprus": "CY",
    "Cyprus U.N. Buffer Zone": "CY",
    "Indian Ocean Ter.": "AU",
    "Coral Sea Is.": "AU",
    "Clipperton I.": "FR",
}
NO_CODE = {
    "Dhekelia", "Akrotiri", "Siachen Glacier", "Spratly Is.", "Bajo Nuevo Bank", "Serranilla Bank", "Scarborough Reef",
}  # fmt: skip
# Root mean square distance of the line of Hungary and Romania (OpenStreetMap, 10 m) from that of the atlas: 1355 m.
LINE_STD_M = 1400.0


def code_of(country: dict) -> str:
    """Return the alpha-2 code of a country of the atlas, empty for none."""
    name = country["properties"]["name"]
    if name in NO_CODE:
        return ""
    return PART_OF.get(name) or pycountry.countries.get(numeric=country["id"]).alpha_2


def open_arcs(topology: dict) -> list[np.ndarray]:
    """Return the arcs on the atlas's grid, (k, 2) each; what was joined over the antimeridian is parted again."""
    side = round(360.0 / topology["transform"]["scale"][0])
    arcs = []
    for steps in topology["arcs"]:
        arc = np.cumsum(np.array(steps, dtype=np.int64), axis=0)
        if np.abs(np.diff(arc[:, 0])).max() > side // 2:
            arc = round_the_pole(arc, topology) if np.ptp(arc[3:-3, 0]) > 0.9 * side else arc
            arc[(arc[:, 0] == 0) & (arc[:, 0].mean() > side // 2), 0] = side
        arcs.append(arc)
    return arcs


def round_the_pole(arc: np.ndarray, topology: dict) -> np.ndarray:
    """Close Antarctica along the antimeridian and the pole."""
    (scale_lon, scale_lat), (_, south) = topology["transform"]["scale"], topology["transform"]["translate"]
    pole, side = int((-90.0 - south) / scale_lat), round(360.0 / scale_lon)
    jump = int(np.argmax(np.abs(np.diff(arc[:, 0]))))
    corner = np.array([[side, arc[jump + 1, 1]], [side, pole], [0, pole]])
    return np.vstack([arc[: jump + 1], corner, arc[jump + 1 :]])


def doubled_area(arcs: list[np.ndarray], ring: list[int]) -> int:
    x, y = np.vstack([arc_of(arcs, ref) for ref in ring]).T
    return int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def arc_of(arcs: list[np.ndarray], ref: int) -> np.ndarray:
    return arcs[ref] if ref >= 0 else arcs[~ref][::-1]


def sides_of(arcs: list[np.ndarray], country: dict) -> Counter:
    """Return the arcs of a country, each with the country on its left, and how often each stands there."""
    many = country["type"] == "MultiPolygon"
    out: Counter = Counter()
    for polygon in country["arcs"] if many else [country["arcs"]]:
        for hole, ring in enumerate(polygon):
            leftwards = (doubled_area(arcs, ring) > 0) != (hole > 0)
            out.update(ref if leftwards else ~ref for ref in ring)
    return out


def rings_of(arcs: list[np.ndarray], sides: Counter) -> list[list[int]]:
    """Chain arcs to rings; an arc that the country has on both sides lies inside it and goes."""
    rest = {ref for ref in sides if sides[ref] > sides[~ref]}
    starts: dict[tuple, list[int]] = {}
    for ref in sorted(rest):
        starts.setdefault(tuple(arc_of(arcs, ref)[0]), []).append(ref)
    rings = []
    while rest:
        ring = [min(rest)]
        begin = tuple(arc_of(arcs, ring[0])[0])
        rest.remove(ring[0])
        while (end := tuple(arc_of(arcs, ring[-1])[-1])) != begin:
            following = next(ref for ref in starts[end] if ref in rest)
            ring.append(following)
            rest.remove(following)
        if doubled_area(arcs, ring) != 0:
            rings.append(ring)
    return rings


def main() -> None:
    """Write the file."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source", type=pathlib.Path)
    options.add_argument("file", type=pathlib.Path)
    chosen = options.parse_args()
    topology = json.loads(chosen.source.read_text(encoding="utf-8"))
    arcs = open_arcs(topology)
    sides: dict[str, Counter] = {}
    for country in topology["objects"]["countries"]["geometries"]:
        sides.setdefault(code_of(country), Counter()).update(sides_of(arcs, country))
    codes = sorted(sides)
    rings = [rings_of(arcs, sides[code]) for code in codes]
    flat = [ring for country in rings for ring in country]
    steps = np.vstack([np.diff(arc, axis=0, prepend=0 * arc[:1]) for arc in arcs]).astype(np.int32)
    np.savez_compressed(
        chosen.file,
        step_lon=steps[:, 0],
        step_lat=steps[:, 1],
        arc_offsets=np.cumsum([0, *map(len, arcs)]).astype(np.int32),
        arc_of_ring=np.concatenate([np.array(ring, dtype=np.int32) for ring in flat]),
        ring_offsets=np.cumsum([0, *map(len, flat)]).astype(np.int32),
        country_offsets=np.cumsum([0, *map(len, rings)]).astype(np.int32),
        codes=np.array(codes),
        scale_deg=np.array(topology["transform"]["scale"]),
        corner_deg=np.array(topology["transform"]["translate"]),
        line_std_m=LINE_STD_M,
        attribution="Made with Natural Earth 4.1.0, 1:10 million, via world-atlas 2.0.2",
        licence="public domain",
    )
    print(f"{len(codes)} codes, {len(flat)} rings, {len(arcs)} arcs, {len(steps)} vertices")


if __name__ == "__main__":
    main()
