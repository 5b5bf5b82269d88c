"""Which borders ship with the package, and which country is a place in? The packaged outlines of all countries."""

import functools
import importlib.resources
import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.border.outline import check_row, grid_of, places_of
from dronetrack.errors import InputError
from dronetrack.kernels import border as kernels

DATA = importlib.resources.files("dronetrack") / "data" / "borders"

Floats = NDArray[np.float64]
Offsets = NDArray[np.int64]


class Post(NamedTuple):
    """An official crossing point on a road.

    Parameters
    ----------
    name : str
        What events call it.
    lat_deg, lon_deg : float
        Where the road meets the line. [deg]
    """

    name: str
    lat_deg: float
    lon_deg: float


class Atlas(NamedTuple):
    """Outlines of all countries as a topology: a boundary that two of them share is one arc.

    Parameters
    ----------
    place_deg : (v, 2) float64
        Vertices (longitude, latitude) of all arcs. [deg]
    arc_offsets : (a + 1,) int64
        Arc i has the vertices ``arc_offsets[i]:arc_offsets[i + 1]``.
    rings : dict of str to list of list of int
        Rings of each country (alpha-2; empty: areas without a code), each a list of arcs that the country has on its
        left; ``~i`` is arc i backwards.
    about : dict
        `line_std_m`, `attribution`, `licence`.
    """

    place_deg: Floats
    arc_offsets: Offsets
    rings: dict[str, list[list[int]]]
    about: dict[str, Any]

    def chain(self, arcs: list[int]) -> Floats:
        """Return the vertices of arcs that follow each other, the last one left out."""
        return np.concatenate([self.arc(arc)[:-1] for arc in arcs])

    def arc(self, arc: int) -> Floats:
        """Return the vertices of one arc, backwards for ``~i``."""
        which = max(arc, ~arc)
        place = self.place_deg[self.arc_offsets[which] : self.arc_offsets[which + 1]]
        return place if arc >= 0 else place[::-1]


def between(home: str, host: str) -> dict[str, Any]:
    """Return the columns of the border between two countries, by the names that `Border` gives them.

    Parameters
    ----------
    home, host : str
        Country codes.

    Returns
    -------
    dict
        Line, outlines and where they come from.

    Raises
    ------
    InputError
        If there is no such country, or the two are no land neighbours.
    """
    for forward, name in ((True, f"{home}-{host}.npz"), (False, f"{host}-{home}.npz")):
        if (DATA / name).is_file():
            return {**_precise(name, forward=forward), "posts": posts(home, host)}
    whole = atlas()
    for code in (home, host):
        _check_country(code)
    theirs = {~arc for ring in whole.rings[home] for arc in ring}
    runs = [run for ring in whole.rings[host] for run in _runs(ring, theirs)]
    if not runs:
        raise InputError(f"{home} and {host} share no land border; {home} has one with {_say(neighbours(home))}.")
    line = _flat([np.vstack([whole.chain(run), whole.arc(run[-1])[-1:]]) for run in runs], "line")
    outlines = {**_rings(whole.rings[home], "home"), **_rings(whole.rings[host], "host")}
    return {**line, **outlines, **whole.about}


def outline(country: str) -> dict[str, Any]:
    """Return the columns of the whole outline of a country, by the names that `Border` gives them.

    Parameters
    ----------
    country : str
        Country code.

    Returns
    -------
    dict
        Line, outline and where they come from.

    Raises
    ------
    InputError
        If there is no such country.
    """
    _check_country(country)
    whole = atlas()
    rings = [whole.chain(ring) for ring in whole.rings[country]]
    # Abroad is on the left of a ring that runs backwards; the antimeridian is no border.
    closed = [np.vstack([ring, ring[:1]])[::-1] for ring in rings]
    parts = [part for ring in closed for part in _without_antimeridian(ring)]
    return {**_flat(parts, "line"), **_rings(whole.rings[country], "home"), **whole.about}


def neighbours(country: str) -> tuple[str, ...]:
    """Return the countries that share a land border with one.

    Parameters
    ----------
    country : str
        Country code (ISO 3166-1 alpha-2).

    Returns
    -------
    tuple of str
        Their codes, in order.

    Raises
    ------
    InputError
        If there is no such country.

    Examples
    --------
    >>> neighbours("HU")
    ('AT', 'HR', 'RO', 'RS', 'SI', 'SK', 'UA')
    """
    _check_country(country)
    rings = atlas().rings
    mine = {~arc for ring in rings[country] for arc in ring}
    return tuple(code for code, theirs in rings.items() if code and any(not mine.isdisjoint(ring) for ring in theirs))


def country_of(lat_deg: ArrayLike, lon_deg: ArrayLike) -> NDArray[np.str_]:
    """Return the country around each place.

    Natural Earth at 1:10 million: good to the kilometre or two that `Border.line_std_m` says. Near a line that matters,
    ask its `Border`.

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        Where. [deg]

    Returns
    -------
    (n,) str
        Country code (ISO 3166-1 alpha-2); empty at sea, for NaN, and in areas without a code.

    Raises
    ------
    InputError
        If shapes differ or an angle is out of range.

    Examples
    --------
    >>> country_of([47.4979, 46.0569, 42.6629, 0.0], [19.0402, 14.5058, 21.1655, 0.0]).tolist()
    ['HU', 'SI', 'XK', '']
    """
    grid, names = _world_grid()
    return names[codes_of(lat_deg, lon_deg, grid)]


def codes_of(lat_deg: ArrayLike, lon_deg: ArrayLike, grid: kernels.Grid) -> NDArray[np.uint16]:
    """Return the code of the area around each place.

    Parameters
    ----------
    lat_deg, lon_deg : (n,) float64
        Where. [deg]
    grid : Grid
        Over the areas, see `dronetrack.border.outline.grid_of`.

    Returns
    -------
    (n,) uint16
        0 for NaN.

    Raises
    ------
    InputError
        If shapes differ or an angle is out of range.
    """
    lat, lon = places_of(lat_deg, lon_deg)
    code = np.empty(len(lat), dtype=np.uint16)
    check_row(kernels.code_rows(lon, lat, grid, code), lat, lon)
    return code


@functools.cache
def posts(home: str, host: str) -> tuple[Post, ...]:
    """Return the packaged crossing points of a border.

    Parameters
    ----------
    home, host : str
        Country codes.

    Returns
    -------
    tuple of Post
        None where none ship.
    """
    known = json.loads((DATA / "posts.json").read_text(encoding="utf-8"))
    rows = known.get(f"{home}-{host}") or known.get(f"{host}-{home}") or []
    return tuple(Post(row["name"], row["lat_deg"], row["lon_deg"]) for row in rows)


@functools.cache
def atlas() -> Atlas:
    """Return the packaged outlines, read once.

    Returns
    -------
    Atlas
        Natural Earth 4.1.0 at 1:10 million.
    """
    with importlib.resources.as_file(DATA / "world.npz") as path, np.load(path) as file:
        data = {name: file[name] for name in file.files}
    arcs = data["arc_offsets"].astype(np.int64)
    steps = np.column_stack([data["step_lon"], data["step_lat"]]).astype(np.int64)
    run = np.concatenate([np.zeros((1, 2), dtype=np.int64), np.cumsum(steps, axis=0)])
    place = run[1:] - np.repeat(run[arcs[:-1]], np.diff(arcs), axis=0)
    rings = [ring.tolist() for ring in np.split(data["arc_of_ring"], data["ring_offsets"][1:-1])]
    bounds = data["country_offsets"].tolist()
    countries = {
        str(code): rings[bounds[row] : bounds[row + 1]] for row, code in enumerate(data["codes"])
    }  # fmt: skip
    about = {"line_std_m": float(data["line_std_m"])} | {name: str(data[name]) for name in ("attribution", "licence")}
    place_deg = np.clip(place * data["scale_deg"] + data["corner_deg"], [-180.0, -90.0], [180.0, 90.0])
    return Atlas(place_deg, arcs, countries, about)


@functools.cache
def _world_grid() -> tuple[kernels.Grid, NDArray[np.str_]]:
    """All arcs under one grid, and the names of its codes; 0 is no country."""
    whole = atlas()
    left, right = np.zeros((2, len(whole.arc_offsets) - 1), dtype=np.uint16)
    for number, rings in enumerate(whole.rings.values(), start=1):
        arcs = np.array([arc for ring in rings for arc in ring], dtype=np.int64)
        left[arcs[arcs >= 0]] = number
        right[~arcs[arcs < 0]] = number
    count = np.diff(whole.arc_offsets)
    rows = np.delete(np.arange(len(whole.place_deg)), whole.arc_offsets[1:] - 1)
    edges = np.radians(np.hstack([whole.place_deg[rows], whole.place_deg[rows + 1]]))
    return grid_of(edges, np.repeat(left ^ right, count - 1)), np.array(["", *whole.rings])


def _precise(name: str, *, forward: bool) -> dict[str, Any]:
    """Columns of a border that ships by itself."""
    with importlib.resources.as_file(DATA / name) as path, np.load(path) as data:
        line = data["line"] if forward else data["line"][::-1]
        return {
            "line_lon_deg": line[:, 0],
            "line_lat_deg": line[:, 1],
            "home_rings_deg": data["polygon_a" if forward else "polygon_b"],
            "host_rings_deg": data["polygon_b" if forward else "polygon_a"],
            "line_std_m": float(data["line_std_m"]),
            "attribution": str(data["attribution"]),
            "licence": str(data["licence"]),
        }


def _check_country(code: str) -> None:
    if not code or code not in atlas().rings:
        raise InputError(
            f"there is no country {code!r} in the packaged outlines; give an ISO 3166-1 alpha-2 code such as 'HU', "
            "or read your own with Border.read(file)."
        )


def _say(codes: tuple[str, ...]) -> str:
    return ", ".join(codes) if codes else "none"


def _runs(ring: list[int], wanted: set[int]) -> list[list[int]]:
    """Stretches of a ring whose arcs are wanted, in its own direction; a ring that is wanted whole is one."""
    kept = [arc in wanted for arc in ring]
    if all(kept):
        return [ring]
    begin = kept.index(False)
    runs: list[list[int]] = [[]]
    for arc in ring[begin:] + ring[:begin]:
        if arc in wanted:
            runs[-1].append(arc)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _without_antimeridian(part: Floats) -> list[Floats]:
    """Cut a line where it runs along the antimeridian or through the pole."""
    apart = (np.abs(part[:-1, 0]) == 180.0) & (np.abs(part[1:, 0]) == 180.0)
    pieces = np.split(part, np.flatnonzero(apart) + 1)
    return [piece for piece in pieces if len(piece) > 1]


def _flat(parts: list[Floats], name: str) -> dict[str, Any]:
    vertices = np.concatenate(parts)
    columns = {f"{name}_lon_deg": vertices[:, 0], f"{name}_lat_deg": vertices[:, 1]}
    return {**columns, f"{name}_offsets": np.cumsum([0, *map(len, parts)])}


def _rings(rings: list[list[int]], who: str) -> dict[str, Any]:
    parts = [atlas().chain(ring) for ring in rings]
    return {f"{who}_rings_deg": np.concatenate(parts), f"{who}_offsets": np.cumsum([0, *map(len, parts)])}
