"""How fast is a point found on a road, and a target filtered along it?

The road winds over 60 km in legs of 300 m. shapely works on it in a local plane of east and north, where it is right to
some metres; ours is in space. filterpy runs an unscented filter on the same state and rows, with numpy for the road.
"""

from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench import limits
from dronetrack.bench.problems import STD_M
from dronetrack.bench.workload import Case, Job, Setting, Workload, peer_job
from dronetrack.driving import AlongRoad, track_on_road
from dronetrack.measurements import POSITION, Sensor, measurements_of
from dronetrack.roads import Route

MOTION = AlongRoad(speed_psd=0.5, leave_per_s=0.0, off_road_prior=1e-6)
STEP_S, CENTRE, HEIGHT_M = 0.1, (46.5, 20.4, 0.0), 100.0
N_SHAPELY, N_FILTERPY, SETTLED = 20_000, 1_000, 300
# shapely's plane is off by the curvature of the earth; the two filters linearise otherwise.
TOLERANCE = {"along_m": (0.0, 60.0), "states": (0.0, 0.3)}


def _winding(rng: np.random.Generator, n: int = 200, step_deg: float = 0.004) -> tuple[np.ndarray, np.ndarray]:
    return 46.5 + np.cumsum(rng.normal(size=n)) * 0.15 * step_deg, 20.0 + np.arange(n) * step_deg


def _cases(setting: Setting) -> Iterator[Case]:
    rng = setting.rng()
    lat, lon = _winding(rng)
    road = Route.from_lat_lon(lat, lon, alt_hae_m=HEIGHT_M, corner_radius_m=30.0)
    n = setting.size(1_000_000, 100_000)
    along, right = rng.uniform(0.0, road.length_m, n), rng.uniform(-15.0, 15.0, n)
    points = road.to_ecef(along, right)
    found, _ = road.locate(points)
    off_m = float(np.max(np.abs(found - along)))
    jobs = {"Route.locate": Job(lambda: road.locate(points), n, "ours", accuracy={"off_at_most_m": off_m})}
    line = geodesy.ecef_to_enu(geodesy.geodetic_to_ecef(lat, lon, 0 * lat + HEIGHT_M), *CENTRE)[:, :2]
    plane = geodesy.ecef_to_enu(points[:N_SHAPELY], *CENTRE)[:, :2]
    if "shapely" in setting.peers:
        peer = setting.peers["shapely"]
        jobs[peer.LABEL] = peer_job(peer, peer.locate(line, plane), len(plane), along_m=found[: len(plane)])
    jobs["limit: copy the points and answers"] = limits.copy_of([points, found, found], n)
    yield Case("points in any order", jobs, tolerance=TOLERANCE)
    yield _drive(road, setting, rng)


def _drive(road: Route, setting: Setting, rng: np.random.Generator) -> Case:
    n = setting.size(20_000, 2_000)
    speed_mps = 20.0 + 3.0 * np.sin(np.arange(n) * STEP_S / 20.0)
    truth_m = 500.0 + np.cumsum(speed_mps * STEP_S)
    truth = road.to_ecef(truth_m)
    time_us, noise = (np.arange(n) * STEP_S * 1e6).astype(np.int64), np.broadcast_to(STD_M**2 * np.eye(3), (n, 3, 3))
    rows = measurements_of(time_us, POSITION, truth + STD_M * rng.normal(size=(n, 3)), noise, Sensor("gnss"))
    mine = track_on_road(rows, road, motion=MOTION, gate_probability=0.9999999)
    states = np.column_stack([mine.s_m, mine.lateral_m])[SETTLED:N_FILTERPY]
    rmse_m = float(np.sqrt(np.mean((mine.s_m[SETTLED:] - truth_m[SETTLED:]) ** 2)))
    ours = Job(lambda: track_on_road(rows, road, motion=MOTION), n, "ours", accuracy={"along_rmse_m": rmse_m})
    jobs = {"track_on_road": ours}
    if "filterpy" in setting.peers:
        peer = setting.peers["filterpy"]
        start = np.array([truth_m[0], 20.0, 0.0, 0.0])
        cov = np.diag([100.0, 25.0, MOTION.lateral_std_m**2, MOTION.height_std_m**2])
        follow = peer.follow_road(road, rows.z[:N_FILTERPY], MOTION, STEP_S, start, cov)
        jobs[peer.LABEL] = Job(
            follow, N_FILTERPY, answer=lambda out: {"states": out[SETTLED:, [0, 2]]}, expected={"states": states}
        )
    columns = [rows.time_us, rows.z, rows.cov, rows.site_cov, np.empty((n, 42))]
    jobs["limit: copy the rows in and out"] = limits.copy_of(columns, n)
    return Case("a drive along it", jobs, tolerance=TOLERANCE)


WORKLOAD = Workload(
    "roads",
    "How fast is a point found on a road, and a target filtered along it?",
    "points/s",
    _cases,
    peers=("shapely", "filterpy"),
)
