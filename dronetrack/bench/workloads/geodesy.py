"""How fast are places converted? Geodetic to ECEF and back, to a local frame and back, beside pymap3d and PROJ."""

import functools
from collections.abc import Callable, Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench import limits
from dronetrack.bench.workload import Case, Job, Setting, Workload, peer_job

ORIGIN = (46.2, 20.7, 120.0)
TOLERANCE = {"ecef_m": (0.0, 1e-6), "geodetic": (1e-10, 1e-6), "enu_m": (0.0, 1e-6)}


def _cases(setting: Setting) -> Iterator[Case]:
    for n in (1, 1_000, setting.size(1_000_000, 100_000)):
        yield from _conversions(setting, n)


def _conversions(setting: Setting, n: int) -> Iterator[Case]:
    """Every conversion, of n places; few of them many times over, so that there is something to time."""
    rng, times = setting.rng(), max(1, 1_000 // n)
    lat, lon, alt = rng.uniform(-89, 89, n), rng.uniform(-180, 180, n), rng.uniform(-100, 9000, n)
    ecef = geodesy.geodetic_to_ecef(lat, lon, alt)
    near = geodesy.geodetic_to_ecef(rng.uniform(45, 47, n), rng.uniform(20, 22, n), alt)
    local = geodesy.ecef_to_enu(near, *ORIGIN)
    for title, verb, given, answer in (
        ("geodetic to ECEF", "geodetic_to_ecef", (lat, lon, alt), {"ecef_m": ecef}),
        ("ECEF to geodetic", "ecef_to_geodetic", (ecef,), {"geodetic": _stacked(geodesy.ecef_to_geodetic(ecef))}),
        ("ECEF to east, north, up", "ecef_to_enu", (near, *ORIGIN), {"enu_m": local}),
        ("east, north, up to ECEF", "enu_to_ecef", (local, *ORIGIN), {"ecef_m": near}),
    ):
        jobs = {"dronetrack": Job(_again(functools.partial(getattr(geodesy, verb), *given), times), n * times, "ours")}
        for peer in setting.peers.values():
            run = _again(getattr(peer, verb)(*given), times)
            jobs[peer.LABEL] = peer_job(peer, run, n * times, **answer)
        jobs["limit: copy in and out"] = limits.copy_of([ecef, ecef], n * times, times)
        yield Case(f"{title}, {n:,} place{'s' * (n > 1)}", jobs, float(n), tolerance=TOLERANCE)


def _stacked(columns: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.stack(columns, axis=1)


def _again(run: Callable[[], object], times: int) -> Callable[[], object]:
    """Do it many times; what came last is the answer."""

    def repeated() -> object:
        for _ in range(times - 1):
            run()
        return run()

    return repeated


WORKLOAD = Workload(
    "geodesy",
    "How fast are places, one or a million, converted between latitude and longitude, ECEF and a local frame?",
    "places/s",
    _cases,
    peers=("pymap3d", "pyproj"),
)
