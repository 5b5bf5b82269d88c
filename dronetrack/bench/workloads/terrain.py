"""How fast do rays meet real ground? Beside a march in numpy and scipy on the same surface, and beside one look-up.

The ground is synthetic: 1 arc-second, hills of 120 m, and noise of 2 m. Drones fly 120 m above it and look at the
ground between a few hundred metres and 10 km away. The march goes by half a cell and bisects, all rays at once; it may
step over what is thinner than a step, so it is judged by the share of rays for which it says the same.
"""

from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench.workload import Case, Job, Setting, Workload
from dronetrack.terrain import Terrain

MAX_M, N_MARCHED = 10_000.0, 500


def _hills(rng: np.random.Generator) -> Terrain:
    north, east = np.meshgrid(np.arange(1201), np.arange(1201), indexing="ij")
    heights = 300 + 120 * np.sin(north / 19.0) * np.cos(east / 23.0) + rng.normal(0.0, 2.0, north.shape)
    return Terrain(0.0, heights, 46.0, 20.0, 1 / 3600, 1 / 3600)


def _looks(terrain: Terrain, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sites 120 m above the ground and directions 1 to 30 degrees down."""
    rows, columns = terrain.grid_msl_m.shape
    lat = terrain.south_deg + terrain.step_lat_deg * rows * rng.uniform(0.3, 0.7, n)
    lon = terrain.west_deg + terrain.step_lon_deg * columns * rng.uniform(0.3, 0.7, n)
    site = geodesy.geodetic_to_ecef(lat, lon, terrain.ground_hae_m(lat, lon) + 120.0)
    azimuth, down = rng.uniform(0.0, 2.0 * np.pi, n), np.radians(rng.uniform(1.0, 30.0, n))
    local = np.column_stack([np.sin(azimuth) * np.cos(down), np.cos(azimuth) * np.cos(down), -np.sin(down)])
    return site, geodesy.enu_vectors_to_ecef(local, lat, lon)


def _cases(setting: Setting) -> Iterator[Case]:
    rng = setting.rng()
    terrain, n = _hills(rng), setting.size(100_000, 20_000)
    site, ray = _looks(terrain, n, rng)
    mine = terrain.ray_ground(site, ray, max_range_m=MAX_M)[1]
    lat, lon, _ = geodesy.ecef_to_geodetic(site)
    jobs = {
        "Terrain.ray_ground": Job(lambda: terrain.ray_ground(site, ray, max_range_m=MAX_M), n, "ours"),
        "Terrain.ray_grounds, four": Job(lambda: terrain.ray_grounds(site, ray, max_range_m=MAX_M), n, "ours"),
    }
    for peer in setting.peers.values():
        few = slice(0, N_MARCHED)
        march = peer.march_rays(terrain, site[few], ray[few], MAX_M)
        theirs = march()
        same = np.isclose(mine[few], theirs, atol=2e-3, rtol=0) | (np.isnan(mine[few]) & np.isnan(theirs))
        figures = {
            "same_to_2_mm_share": float(same.mean()),
            "later_than_ours_share": float((theirs > mine[few] + 2e-3).mean()),
        }
        jobs[peer.LABEL] = Job(march, N_MARCHED, accuracy=figures)
    jobs["limit: one conversion, one look-up"] = Job(
        lambda: (geodesy.ecef_to_geodetic(site), terrain.ground_hae_m(lat, lon)), n, "limit"
    )
    yield Case("hills, a grid of one arc-second", jobs)


WORKLOAD = Workload("terrain", "How fast do lines of sight meet real ground?", "rays/s", _cases, peers=("scipy",))
