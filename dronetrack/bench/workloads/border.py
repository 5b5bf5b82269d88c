"""How fast are side and distance for a million places? And is a probability of a side right?

Sides are those of shapely's prepared polygons of both countries; distances are compared with shapely's in a plane about
the line. `shapely.distance` visits every segment for each place, prepared or not, so a few places do for it, and its
turn is as short as ours: a machine that is now quick, now slow, is so to both. A tree of segments is shapely's fastest
way. Where the two ellipsoids of error are drawn and counted instead of integrated, the difference is a figure.
"""

from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench import limits
from dronetrack.bench.problems import Floats
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload, peer_job
from dronetrack.border import Border
from dronetrack.border.world import country_of
from dronetrack.tracks import CONFIRMED, Track

SIDE, DISTANCE = "Border.side", "Border.signed_distance_m"
FAR, NEAR = "up to 200 km away", "within some 5 km"
# shapely measures in a plane about one place near the line: right to this share of the distance over these few km.
TOLERANCE = {"side": (0.0, 0.0), "distance_m": (5e-3, 1.0)}


def _places(border: Border, where: str, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    if where == FAR:
        return rng.uniform(45.7, 48.3, n), rng.uniform(19.5, 23.5, n)
    at = rng.integers(0, len(border.line_lat_deg), n)
    lat = border.line_lat_deg[at] + rng.normal(0, 0.035, n)
    return lat, border.line_lon_deg[at] + rng.normal(0, 0.05, n)


def _cases(setting: Setting) -> Iterator[Case]:
    rng, border, n = setting.rng(), Border.between("HU", "RO"), setting.size(1_000_000, 100_000)
    for where in (FAR, NEAR):
        lat, lon = _places(border, where, n, rng)
        yield _side(border, lat, lon, where, setting)
        yield _distance(border, lat, lon, where, setting)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, n))), rng.uniform(-180, 180, n)
    yield Case("country, all over the world", {"country_of": Job(lambda: country_of(lat, lon), n, "ours")})
    yield _probability(border, setting.size(1_000, 100), setting.size(200_000, 20_000), setting)


def _side(border: Border, lat: Floats, lon: Floats, where: str, setting: Setting) -> Case:
    n = len(lat)
    jobs = {SIDE: Job(lambda: border.side(lat, lon), n, "ours", clock="wall")}
    if "shapely" in setting.peers:
        peer = setting.peers["shapely"]
        rings = border.home_rings_deg, border.home_offsets, border.host_rings_deg, border.host_offsets
        jobs[peer.LABEL] = peer_job(peer, peer.sides(*rings, lon, lat), n, side=border.side(lat, lon))
    jobs["limit: read two columns, write a byte"] = Job(lambda: np.greater(lon, lat), n, "limit")
    return Case(f"side, {where}", jobs)


def _distance(border: Border, lat: Floats, lon: Floats, where: str, setting: Setting) -> Case:
    n, few, some = len(lat), slice(0, len(lat) // 500), slice(0, len(lat) // 20)
    jobs = {DISTANCE: Job(lambda: border.signed_distance_m(lat, lon), n, "ours", clock="wall")}
    if "shapely" in setting.peers:
        peer = setting.peers["shapely"]
        line = np.column_stack([border.line_lon_deg, border.line_lat_deg])
        # In degrees, as a user has it: fast, and its number is no distance. What it is worth stands as its accuracy.
        accuracy = {"median_relative_error": _plane_error(peer, line, lat[few], lon[few], border)}
        jobs[peer.LABEL] = Job(peer.distances(line, lon[few], lat[few]), len(lat[few]), accuracy=accuracy)
        by_tree = peer.distances_by_tree(line, lon[some], lat[some])
        jobs[f"{peer.LABEL}, tree of segments"] = Job(by_tree, len(lat[some]), accuracy=accuracy)
    jobs["limit: read two columns, write one"] = limits.copy_of([lat, lon], n)
    return Case(f"distance, {where}", jobs)


def _plane_error(peer, line: Floats, lat: Floats, lon: Floats, border: Border) -> float:  # noqa: ANN001 - an adapter
    """How wrong shapely's distance is when its degrees are stretched to metres at the middle of the line."""
    stretch = np.array([111_320.0 * np.cos(np.radians(border.line_lat_deg.mean())), 111_200.0])
    plane = peer.distances(line * stretch, lon * stretch[0], lat * stretch[1])()
    ours = np.abs(border.signed_distance_m(lat, lon))
    return float(np.median(np.abs(plane - ours) / np.maximum(ours, 1.0)))


def _probability(border: Border, n: int, samples: int, setting: Setting) -> Case:
    rng = setting.rng()
    track, cov = _states(border, n, rng)
    ours = border.probability(track)
    jobs = {"Border.probability": Job(lambda: border.probability(track), n, "ours")}
    figures = {}
    if "shapely" in setting.peers:
        peer = setting.peers["shapely"]
        few = setting.size(50, 20)
        draw = peer.shares_inside(border, track.take(np.arange(few)), cov[:few], samples, rng)
        apart = np.abs(ours[:few] - draw())
        figures = {"worst_difference": float(apart.max()), "median_difference": float(np.median(apart))}
        jobs["shapely, Monte Carlo"] = Job(draw, few, accuracy=figures)
    return Case("probability of a side", jobs)


def _states(border: Border, n: int, rng: np.random.Generator) -> tuple[Track, Floats]:
    """Unrelated rows near the line, with ellipses of 1 m to 3 km, up to ten times as long as wide; (n, 2, 2) each."""
    at = rng.integers(0, len(border.line_lat_deg), n)
    long_m = 10.0 ** rng.uniform(0.0, 3.5, n)
    wide_m = long_m * rng.uniform(0.1, 1.0, n)
    turn = rng.uniform(0.0, np.pi, n)
    axes = np.stack([np.stack([np.cos(turn), -np.sin(turn)], -1), np.stack([np.sin(turn), np.cos(turn)], -1)], 1)
    cov = axes * np.stack([long_m**2, wide_m**2], -1)[:, None, :] @ axes.transpose(0, 2, 1)
    away_m = rng.normal(0.0, 1.0, (n, 2)) * long_m[:, None]
    lat = border.line_lat_deg[at] + away_m[:, 1] / 111_200.0
    lon = border.line_lon_deg[at] + away_m[:, 0] / 77_000.0
    enu = np.zeros((n, 6, 6))
    enu[:, :2, :2], enu[:, [2, 3, 4, 5], [2, 3, 4, 5]] = cov, 1.0
    state = np.hstack([geodesy.geodetic_to_ecef(lat, lon, np.full(n, 90.0)), np.zeros((n, 3))])
    spread, time_us = geodesy.enu_covariance_to_ecef(enu, lat, lon), 1_000_000 * np.arange(n)
    status = np.full(n, CONFIRMED, np.int8)
    return Track(time_us, 1, status, state, spread, np.ones(n), np.ones(n, np.int16)), cov


WORKLOAD = Workload(
    "border",
    "How fast are side of and distance to the border for a million places, and is a probability of a side right?",
    "places/s",
    _cases,
    peers=("shapely",),
    goals=(
        *(Goal(f"side, {where}", "ratio", SIDE, "shapely", at_least=20.0) for where in (FAR, NEAR)),
        *(Goal(f"distance, {where}", "ratio", DISTANCE, "shapely", at_least=100.0) for where in (FAR, NEAR)),
        Goal("probability of a side", "figure", "worst_difference", at_most=0.01),
    ),
)
