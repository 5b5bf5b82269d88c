"""How fast is a point found on a road, and a target filtered along it? Beside shapely, filterpy and moving the bytes.

    python benchmarks/roads.py

The road winds over 60 km in legs of 300 m. shapely works on it in a local plane of east and north, where it is right to
some metres; ours is in space. filterpy runs an unscented filter on the same state and rows, with numpy for the road.
"""

import numpy as np
import shapely
from filterpy.kalman import MerweScaledSigmaPoints, UnscentedKalmanFilter
from timing import in_turn, table, versions

from dronetrack import geodesy
from dronetrack.driving import AlongRoad, track_on_road
from dronetrack.measurements import POSITION, Sensor, measurements_of
from dronetrack.roads import Route

N_POINTS, N_SHAPELY, N_ROWS, N_FILTERPY, STEP_S, STD_M = 1_000_000, 20_000, 20_000, 1_000, 0.1, 3.0
MOTION = AlongRoad(speed_psd=0.5, leave_per_s=0.0, off_road_prior=1e-6)


def winding(rng, n=200, step=0.004):
    lat = 46.5 + np.cumsum(rng.normal(size=n)) * 0.15 * step
    return lat, 20.0 + np.arange(n) * step


def filterpy_along(road, rows, start, cov):
    """filterpy's unscented filter on (arc length, speed, right, above); the road's point comes from its own columns."""

    def move(x, dt):
        keep = np.exp(-dt / np.array([MOTION.lateral_time_s, MOTION.height_time_s]))
        return np.array([x[0] + dt * x[1], x[1], *(keep * x[2:])])

    def see(x):
        point = road.to_ecef(x[:1], x[2:3])[0]
        return point + x[3] * point / np.linalg.norm(point)

    points = MerweScaledSigmaPoints(4, alpha=0.5, beta=2.0, kappa=-1.0)
    kalman = UnscentedKalmanFilter(4, 3, STEP_S, see, move, points)
    kalman.x, kalman.P, kalman.R = start.copy(), cov.copy(), STD_M**2 * np.eye(3)
    keep = np.exp(-2.0 * STEP_S / np.array([MOTION.lateral_time_s, MOTION.height_time_s]))
    kalman.Q = np.diag([0.0, 0.0, *((1.0 - keep) * np.array([MOTION.lateral_std_m, MOTION.height_std_m]) ** 2)])
    kalman.Q[:2, :2] = MOTION.speed_psd * np.array([[STEP_S**3 / 3, STEP_S**2 / 2], [STEP_S**2 / 2, STEP_S]])
    states = np.empty((len(rows), 4))
    for row, z in enumerate(rows.z):
        kalman.predict()
        kalman.update(z)
        states[row] = kalman.x
    return states


def main():
    rng = np.random.default_rng(1)
    lat, lon = winding(rng)
    road = Route.from_lat_lon(lat, lon, alt_hae_m=100.0, corner_radius_m=30.0)
    s, right = rng.uniform(0.0, road.length_m, N_POINTS), rng.uniform(-15.0, 15.0, N_POINTS)
    points = road.to_ecef(s, right)
    found, _ = road.locate(points)
    line = shapely.LineString(
        geodesy.ecef_to_enu(geodesy.geodetic_to_ecef(lat, lon, 0 * lat + 100.0), 46.5, 20.4, 0.0)[:, :2]
    )
    plane = shapely.points(geodesy.ecef_to_enu(points[:N_SHAPELY], 46.5, 20.4, 0.0)[:, :2])
    theirs = shapely.line_locate_point(line, plane)
    print(f"{N_POINTS:,} points on {road.length_m / 1000:.0f} km of {len(road.piece_length_m)} pieces  ({versions()})")
    off = np.median(np.abs(theirs - s[:N_SHAPELY]))
    print(f"found again to {np.max(np.abs(found - s)):.1e} m; shapely's plane to {off:.0f} m\n")
    seconds = in_turn(
        {
            "Route.locate, points in any order": lambda: road.locate(points),
            "shapely.line_locate_point": lambda: shapely.line_locate_point(line, plane),
            "limit: copy the points and answers": lambda: (points.copy(), found.copy(), found.copy()),
        },
        rounds=3,
    )
    table(
        seconds,
        dict.fromkeys(seconds, N_POINTS) | {"shapely.line_locate_point": N_SHAPELY},
        "points/s",
        "Route.locate, points in any order",
    )
    n = N_ROWS
    speed = 20.0 + 3.0 * np.sin(np.arange(n) * STEP_S / 20.0)
    truth_s = 500.0 + np.cumsum(speed * STEP_S)
    truth = road.to_ecef(truth_s)
    rows = measurements_of(
        (np.arange(n) * STEP_S * 1e6).astype(np.int64),
        POSITION,
        truth + STD_M * rng.normal(size=(n, 3)),
        np.broadcast_to(STD_M**2 * np.eye(3), (n, 3, 3)),
        Sensor("gnss"),
    )
    mine = track_on_road(rows, road, motion=MOTION, gate_probability=0.9999999)
    few = rows.take(slice(0, N_FILTERPY))
    start = np.array([truth_s[0], 20.0, 0.0, 0.0])
    cov = np.diag([100.0, 25.0, MOTION.lateral_std_m**2, MOTION.height_std_m**2])
    states = filterpy_along(road, few, start, cov)
    late = slice(300, N_FILTERPY)
    apart = np.abs(np.column_stack([mine.s_m, mine.lateral_m])[late] - states[late][:, [0, 2]]).max()
    assert apart < 0.3, f"the two filters are {apart:.2f} m apart"
    print(f"\n{n:,} rows (filterpy: {N_FILTERPY:,}); settled, the two filters lie within {apart:.2f} m of each other\n")
    out = np.empty((n, 42))
    columns = (rows.time_us, rows.z, rows.cov, rows.site_cov)
    seconds = in_turn(
        {
            "track_on_road": lambda: track_on_road(rows, road, motion=MOTION),
            "filterpy, unscented": lambda: filterpy_along(road, few, start, cov),
            "limit: copy the rows in and out": lambda: ([one.copy() for one in columns], out.copy()),
        },
        rounds=3,
    )
    table(seconds, dict.fromkeys(seconds, n) | {"filterpy, unscented": N_FILTERPY}, "rows/s", "track_on_road")


if __name__ == "__main__":
    main()
