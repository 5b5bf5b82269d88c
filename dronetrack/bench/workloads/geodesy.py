"""How fast are places converted? Geodetic to ECEF and back, and to a local frame, beside pymap3d and PROJ."""

from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench import limits
from dronetrack.bench.workload import Case, Job, Setting, Workload, peer_job

ORIGIN = (46.2, 20.7, 120.0)
TOLERANCE = {"ecef_m": (0.0, 1e-6), "geodetic": (1e-10, 1e-6), "enu_m": (0.0, 1e-6)}


def _cases(setting: Setting) -> Iterator[Case]:
    rng, n = setting.rng(), setting.size(1_000_000, 100_000)
    lat, lon, alt = rng.uniform(-89, 89, n), rng.uniform(-180, 180, n), rng.uniform(-100, 9000, n)
    ecef = geodesy.geodetic_to_ecef(lat, lon, alt)
    copy = limits.copy_of([ecef, ecef], n)
    jobs = {"dronetrack": Job(lambda: geodesy.geodetic_to_ecef(lat, lon, alt), n, "ours")}
    for peer in setting.peers.values():
        jobs[peer.LABEL] = peer_job(peer, peer.geodetic_to_ecef(lat, lon, alt), n, ecef_m=ecef)
    yield Case("geodetic to ECEF", jobs | {"limit: copy in and out": copy}, tolerance=TOLERANCE)
    back = np.stack(geodesy.ecef_to_geodetic(ecef), axis=1)
    jobs = {"dronetrack": Job(lambda: geodesy.ecef_to_geodetic(ecef), n, "ours")}
    for peer in setting.peers.values():
        jobs[peer.LABEL] = peer_job(peer, peer.ecef_to_geodetic(ecef), n, geodetic=back)
    yield Case("ECEF to geodetic", jobs | {"limit: copy in and out": copy}, tolerance=TOLERANCE)
    near = geodesy.geodetic_to_ecef(rng.uniform(45, 47, n), rng.uniform(20, 22, n), alt)
    local = geodesy.ecef_to_enu(near, *ORIGIN)
    jobs = {"dronetrack": Job(lambda: geodesy.ecef_to_enu(near, *ORIGIN), n, "ours")}
    for peer in setting.peers.values():
        jobs[peer.LABEL] = peer_job(peer, peer.ecef_to_enu(near, *ORIGIN), n, enu_m=local)
    yield Case("ECEF to east, north, up", jobs | {"limit: copy in and out": copy}, tolerance=TOLERANCE)


WORKLOAD = Workload(
    "geodesy",
    "How fast are a million places converted between latitude and longitude, ECEF and a local frame?",
    "places/s",
    _cases,
    peers=("pymap3d", "pyproj"),
)
