from dataclasses import replace

import numpy as np
import pytest

from dronetrack import geodesy
from dronetrack.driving import AlongRoad, ecef_to_road, road_to_ecef, track_on_road
from dronetrack.errors import InputError
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.roads import RoadGraph, Route

# Only the road: whoever is on it stays on it.
MOTION = AlongRoad(speed_psd=0.5, lateral_std_m=2.0, height_std_m=1.0, leave_per_s=0.0, off_road_prior=1e-6)
STEP_S = 0.5


def bent_road(seed=3, n=300):
    """A road whose bends are shorter than what a minute in a tunnel leaves open."""
    rng = np.random.default_rng(seed)
    step = 0.003
    lat = 46.5 + np.cumsum(rng.normal(size=n)) * 0.3 * step
    return Route.from_lat_lon(lat, 20.0 + np.arange(n) * step, alt_hae_m=120.0, corner_radius_m=40.0)


def drive(road, rng, seconds=200.0, start_m=2000.0, speed_mps=20.0, motion=MOTION):
    """One drive drawn from the model: times [us], (n, 4) road state, (n, 3) ECEF."""
    n = round(seconds / STEP_S)
    root = np.linalg.cholesky([[STEP_S**3 / 3, STEP_S**2 / 2], [STEP_S**2 / 2, STEP_S]]) * np.sqrt(motion.speed_psd)
    kick = rng.normal(size=(n, 2)) @ root.T
    speed = speed_mps + np.concatenate([[0.0], np.cumsum(kick[:-1, 1])])
    s = start_m + np.concatenate([[0.0], np.cumsum(STEP_S * speed[:-1] + kick[:-1, 0])])
    offsets = []
    for std, time_s in ((motion.lateral_std_m, motion.lateral_time_s), (motion.height_std_m, motion.height_time_s)):
        keep = np.exp(-STEP_S / time_s)
        values = std * rng.normal(size=n)
        for row in range(1, n):
            values[row] = keep * values[row - 1] + np.sqrt(1.0 - keep**2) * values[row]
        offsets.append(values)
    state = np.column_stack([s, speed, *offsets])
    return (np.arange(n) * STEP_S * 1e6).astype(np.int64), state, place(road, state)


def place(road, state):
    point = road.to_ecef(state[:, 0], state[:, 2])
    lat, lon, _ = geodesy.ecef_to_geodetic(point)
    return point + geodesy.enu_vectors_to_ecef(np.column_stack([0 * lat, 0 * lat, state[:, 3]]), lat, lon)


def positions(time_us, truth, rng, std_m=5.0):
    cov = np.broadcast_to(std_m**2 * np.eye(3), (len(truth), 3, 3))
    return measurements_of(time_us, POSITION, truth + std_m * rng.normal(size=truth.shape), cov, Sensor("gnss"))


def nees_of(track, time_us, truth):
    at = np.searchsorted(track.time_us, time_us)
    error = track.state[at, :3] - truth
    return np.einsum("ni,nij,nj->n", error, np.linalg.inv(track.cov[at, :3, :3]), error)


@pytest.fixture(scope="module")
def tunnel_runs():
    """Forty drives with a tunnel of a minute: NEES by time, and the last row's track."""
    road = bent_road()
    runs = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        time_us, state, truth = drive(road, rng)
        second = time_us * 1e-6
        seen = (second < 100.0) | (second >= 160.0)
        found = track_on_road(positions(time_us[seen], truth[seen], rng), road, motion=MOTION, coast_step_s=STEP_S)
        runs.append((second, state, truth, found, nees_of(found.track, time_us, truth)))
    return runs


def test_a_minute_in_a_tunnel_leaves_the_truth_inside_the_stated_ellipse(tunnel_runs):
    inside = np.array([run[4][(run[0] > 130.0) & (run[0] < 160.0)] for run in tunnel_runs])
    # Within a run the rows share their error: the runs are the sample.
    per_run = inside.mean(axis=1)
    assert abs(per_run.mean() - 3.0) < 3.0 * per_run.std() / np.sqrt(len(per_run)) + 0.2
    std = np.sqrt(np.trace(tunnel_runs[0][3].track.cov[-150, :3, :3]))
    assert std < 250.0
    # Round bends the distribution is a banana: its moments are right, but an ellipse of them holds some per cent less.
    in_95 = (inside[:, -1] < 7.815).mean()
    assert in_95 >= 0.85


def test_with_measurements_the_error_is_what_the_covariance_says(tunnel_runs):
    open_road = np.array([run[4][(run[0] > 20.0) & (run[0] < 100.0)].mean() for run in tunnel_runs])
    assert open_road.mean() == pytest.approx(3.0, abs=3.0 * open_road.std() / np.sqrt(len(open_road)))
    after = np.array([run[4][run[0] >= 165.0].mean() for run in tunnel_runs])
    assert after.mean() == pytest.approx(3.0, abs=3.0 * after.std() / np.sqrt(len(after)) + 0.1)


def test_arc_length_speed_and_offsets_are_found(tunnel_runs):
    _, state, _, found, _ = tunnel_runs[1]
    last = np.array([found.s_m[-1], found.speed_mps[-1], found.lateral_m[-1]])
    assert (np.abs(last - state[-1, :3]) < [6.0, 2.5, 6.0]).all()
    assert (found.branch_edge[:, 0] == 0).all()
    assert found.branch_edge.shape == (len(found), 4)


def test_moments_on_a_bend_are_those_of_many_samples(rng):
    road = bent_road()
    mean = np.array([4000.0, 20.0, 1.5, -0.5])
    cov = np.diag([150.0**2, 4.0, 4.0, 1.0])
    cov[0, 1] = cov[1, 0] = 180.0
    state, spread = road_to_ecef(road, mean[None], cov[None], motion=MOTION)
    sample = rng.multivariate_normal(mean, cov, 200_000)
    points = place(road, sample)
    seen = np.cov(points.T)
    assert np.linalg.norm(state[0, :3] - points.mean(axis=0)) < 1.5
    np.testing.assert_allclose(spread[0, :3, :3], seen, atol=0.01 * np.trace(seen))
    # A Jacobian alone would lay the ellipse along the tangent and miss what the bends take.
    tangent = road.axes(mean[:1])[0, 0]
    across = np.eye(3) - np.outer(tangent, tangent)
    assert np.trace(across @ seen @ across) > 10.0 * 5.0


def test_moments_on_a_straight_are_those_of_the_jacobian():
    road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1], alt_hae_m=100.0)
    mean, cov = np.array([[3000.0, 25.0, 1.0, 0.5]]), np.diag([9.0, 1.0, 4.0, 1.0])[None]
    state, spread = road_to_ecef(road, mean, cov)
    np.testing.assert_allclose(state[0], road.state(mean[:, 0], 25.0, lateral_m=1.0)[0] + up(road, 0.5), atol=1e-3)
    local = road.axes([3000.0])[0] @ spread[0, :3, :3] @ road.axes([3000.0])[0].T
    np.testing.assert_allclose(local, np.diag([9.0, 4.0, 1.0]), atol=1e-3)


def up(road, height):
    lat, lon, _ = geodesy.ecef_to_geodetic(road.to_ecef([3000.0]))
    return np.append(height * geodesy.enu_rotation(lat, lon)[0, 2], np.zeros(3))


def test_there_and_back_again():
    road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1], alt_hae_m=100.0)
    mean, cov = np.array([[3000.0, 25.0, 1.0, 0.5]]), np.diag([9.0, 1.0, 4.0, 1.0])[None]
    back, spread = ecef_to_road(road, *road_to_ecef(road, mean, cov))
    np.testing.assert_allclose(back, mean, atol=1e-3)
    np.testing.assert_allclose(spread, cov, atol=2e-3)


def test_lines_of_sight_and_heights_place_the_target_on_the_road(rng):
    road = bent_road()
    time_us, _, truth = drive(road, rng, seconds=60.0)
    lat, lon, alt = geodesy.ecef_to_geodetic(truth)
    site = geodesy.geodetic_to_ecef(lat - 0.0015, lon - 0.001, alt + 120.0)
    sight = (truth - site) / np.linalg.norm(truth - site, axis=1, keepdims=True)
    sight += 0.004 * rng.normal(size=sight.shape)
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    n = len(time_us)
    lines = measurements_of(
        time_us, LINE_OF_SIGHT, sight, np.broadcast_to(0.004**2 * np.eye(3), (n, 3, 3)), Sensor("camera"),
        site_ecef_m=site,
    )  # fmt: skip
    heights = measurements_of(
        time_us, HEIGHT, truth, np.broadcast_to(np.eye(3), (n, 3, 3)), Sensor("ground", starts_tracks=False)
    )
    for table in (lines, merge(lines, heights)):
        found = track_on_road(table, road, motion=MOTION)
        assert found.track.time_us[0] == time_us[0]
        nees = nees_of(found.track, time_us, truth)[20:]
        assert nees.mean() < 6.0
        error = np.linalg.norm(found.track.state[20:, :3] - truth[20:], axis=1)
        assert np.median(error) < 3.0


def test_at_a_junction_the_belief_parts_and_the_measurements_decide():
    # Ends meet at (46, 20.04): the northern way is its own line from there.
    lat = [46.0, 46.0, 46.0, 46.0, 46.01, 46.03, 46.0, 45.99, 45.97]
    lon = [20.0, 20.02, 20.04, 20.04, 20.05, 20.07, 20.04, 20.05, 20.07]
    roads = RoadGraph.from_lat_lon(lat, lon, [0, 3, 6, 9], alt_hae_m=100.0)
    assert len(roads) == 3
    way = roads.route((46.0, 20.0), (46.03, 20.07), corner_radius_m=0.0)
    rng = np.random.default_rng(5)
    time_us, state, truth = drive(way, rng, seconds=230.0, start_m=1000.0)
    junction_s = np.flatnonzero(state[:, 0] > roads.edge_length_m[0])[0] * STEP_S
    second = time_us * 1e-6
    seen = (second < junction_s - 20.0) | (second > junction_s + 20.0)
    found = track_on_road(positions(time_us[seen], truth[seen], rng), roads, motion=MOTION, coast_step_s=STEP_S)
    dark = found.track.time_us == round((junction_s + 15.0) * 1e6)
    sides = dict(zip(found.branch_edge[dark][0].tolist(), found.branch_probability[dark][0], strict=True))
    north, south = 1, 2
    assert sides[north] == pytest.approx(0.5, abs=0.1)
    assert sides[south] == pytest.approx(0.5, abs=0.1)
    assert found.branch_edge[-1, 0] == north
    assert found.branch_probability[-1, 0] > 0.999
    np.testing.assert_allclose(found.branch_probability.sum(axis=1), found.on_road, atol=1e-6)
    # While both ways are open, the truth lies within what the track says.
    nees = nees_of(found.track, time_us, truth)
    assert nees[~seen].max() < 16.0
    assert nees[second > junction_s + 25.0].mean() < 5.0


def test_a_target_that_turns_round_is_followed_back():
    road = bent_road()
    rng = np.random.default_rng(2)
    second = np.arange(0.0, 120.0, STEP_S)
    s = 3000.0 + np.where(second < 60.0, 12.0 * second, 12.0 * (120.0 - second))
    truth = place(road, np.column_stack([s, 0 * s, 0 * s, 0 * s]))
    found = track_on_road(
        positions((second * 1e6).astype(np.int64), truth, rng), road, motion=replace(MOTION, speed_psd=4.0)
    )
    assert found.speed_mps[100] == pytest.approx(12.0, abs=3.0)
    assert found.speed_mps[-1] == pytest.approx(-12.0, abs=3.0)
    assert found.s_m[-1] == pytest.approx(s[-1], abs=10.0)


def test_who_leaves_the_road_is_told_and_followed():
    road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1], alt_hae_m=100.0)
    rng = np.random.default_rng(8)
    second = np.arange(0.0, 120.0, STEP_S)
    time_us = (second * 1e6).astype(np.int64)
    # After a minute it drives off into the fields, 45 degrees to the right.
    off = np.maximum(second - 60.0, 0.0)
    truth = road.to_ecef(1000.0 + 15.0 * np.minimum(second, 60.0) + 10.6 * off, 10.6 * off)
    found = track_on_road(positions(time_us, truth, rng), road)
    assert (found.on_road[20:118] > 0.5).all()
    assert len(found.left_road_us) == 1
    assert 60e6 < found.left_road_us[0] < 66e6
    assert (found.on_road[-60:] < 0.05).all()
    error = np.linalg.norm(found.track.state[:, :3] - truth, axis=1)
    assert np.median(error[-60:]) < 8.0
    assert nees_of(found.track, time_us, truth)[-60:].mean() < 5.0


def test_who_comes_back_to_the_road_is_on_it_again():
    road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1], alt_hae_m=100.0)
    rng = np.random.default_rng(9)
    second = np.arange(0.0, 200.0, STEP_S)
    aside = np.interp(second, [0.0, 20.0, 60.0, 100.0], [0.0, 0.0, 300.0, 0.0])
    truth = road.to_ecef(1000.0 + 15.0 * second, aside)
    found = track_on_road(positions((second * 1e6).astype(np.int64), truth, rng), road)
    assert found.on_road[round(60 / STEP_S)] < 0.01
    assert found.on_road[-1] > 0.9


def test_an_outlier_is_refused_and_moves_nothing():
    road = bent_road()
    rng = np.random.default_rng(4)
    time_us, _, truth = drive(road, rng, seconds=60.0)
    table = positions(time_us, truth, rng)
    z = table.z.copy()
    z[60] += 400.0
    found = track_on_road(replace(table, z=z), road, motion=MOTION)
    assert found.track.stats["sensors"]["gnss"]["gated"] == 1
    assert nees_of(found.track, time_us[60:65], truth[60:65]).max() < 16.0


def test_the_number_of_beliefs_is_bounded_in_a_town():
    # Ten by ten streets, and two minutes without a measurement.
    lat, lon, ends = [], [], [0]
    for line in range(10):
        for along in (True, False):
            for at in range(10):
                lat.append(46.0 + 0.002 * (line if along else at))
                lon.append(20.0 + 0.002 * (at if along else line))
            ends.append(len(lat))
    town = RoadGraph.from_lat_lon(lat, lon, ends, alt_hae_m=100.0)
    rng = np.random.default_rng(1)
    second = np.concatenate([np.arange(0.0, 20.0, STEP_S), [140.0]])
    truth = geodesy.geodetic_to_ecef(
        np.full(len(second), 46.008), 20.0 + 10.0 * np.minimum(second, 20.0) / 77_400.0, np.full(len(second), 100.0)
    )
    found = track_on_road(positions((second * 1e6).astype(np.int64), truth, rng), town, most_beliefs=8)
    assert np.isfinite(found.track.state).all()
    assert (np.linalg.eigvalsh(found.track.cov) > 0.0).all()
    np.testing.assert_allclose(found.branch_probability[:30].sum(axis=1), found.on_road[:30], atol=1e-6)
    assert (found.branch_probability.sum(axis=1) <= found.on_road + 1e-9).all()


def test_no_measurements_give_no_rows():
    found = track_on_road(positions(np.zeros(0, np.int64), np.zeros((0, 3)), np.random.default_rng(0)), bent_road())
    assert len(found) == 0


def test_wrong_options_are_refused():
    road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1])
    empty = positions(np.zeros(0, np.int64), np.zeros((0, 3)), np.random.default_rng(0))
    with pytest.raises(InputError, match="most_beliefs"):
        track_on_road(empty, road, most_beliefs=2)
    with pytest.raises(InputError, match="recover_s"):
        track_on_road(empty, road, recover_s=0.0)
    with pytest.raises(InputError, match="lateral_std_m"):
        AlongRoad(lateral_std_m=0.0)
    with pytest.raises(InputError, match="positive definite"):
        ecef_to_road(road, np.zeros((1, 6)), np.zeros((1, 6, 6)))
