"""Law 3, the acceptance lines: on the scenarios by name, errors are as large as the covariance says, run after run.

The bounds are those of 200 runs, `chi2_bounds(6, 200)`: 5.53 to 6.49. `dronetrack bench scenarios` prints the figures
of every scenario.
"""

from dataclasses import replace

import numpy as np
import pytest
from flights import START_US, to_ecef, weave

from dronetrack import geodesy, reference
from dronetrack.filtering import track
from dronetrack.kernels import filters
from dronetrack.measurements import HEIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.metrics import score
from dronetrack.motion import ConstantVelocity, CoordinatedTurn, Mixture
from dronetrack.simulate import exact, scenario, simulate
from dronetrack.smoothing import smooth

RUNS = 200
NO_GATE = 0.9999999  # nothing is drawn that a gate should refuse


def scored(name, *, runs=RUNS, bounded=False, **options):
    simulation = simulate(name, runs=runs, rng=np.random.default_rng(5))
    options = {"motion": simulation.scenario.motion, "gate_probability": NO_GATE} | options
    tracks = [track(rows, **options) for rows in simulation.measurements]
    return score(tracks, simulation.truths, settle_s=10.0, bound=simulation.bound() if bounded else None)


@pytest.mark.parametrize("name", ["straight", "straight_camera", "turns", "stop_and_go", "biased_gimbal", "late_radio"])
def test_errors_are_as_large_as_the_covariance_says(name):
    result = scored(name)
    assert result.nees.n_runs == RUNS
    assert result.nees.holds, result.nees
    assert 0.93 < result.ellipse_95.value < 0.97


def test_on_straight_the_filter_is_as_good_as_can_be_and_with_shared_errors_nearly():
    assert scored("straight", bounded=True).efficiency == pytest.approx(1.0, abs=0.05)
    assert scored("biased_gimbal", runs=80, bounded=True).efficiency == pytest.approx(1.0, abs=0.1)


def test_a_mixture_knows_the_velocity_of_what_turns_better_than_one_model():
    """The same rows by the default model: its velocity is twice as far off, and more than it says."""
    mixed, single = scored("turns", runs=60), scored("turns", runs=60, motion=ConstantVelocity())
    assert mixed.velocity_rmse_mps < 0.6 * single.velocity_rmse_mps
    assert single.nees.mean > single.nees.high


@pytest.mark.parametrize(("name", "worst_m"), [("turns", 4.0), ("stop_and_go", 4.5), ("look_alike", 8.0)])
def test_whoever_says_nothing_of_the_motion_is_told_no_lie(name, worst_m):
    """The default motion holds what turns, brakes and stands, and its covariance is never too small."""
    simulation = simulate(name, runs=40, rng=np.random.default_rng(5))
    result = score([track(rows) for rows in simulation.measurements], simulation.truths, settle_s=10.0)
    assert result.nees.mean < result.nees.high, result.nees
    assert result.ellipse_95.value > 0.92
    assert result.position_rmse_m < worst_m


def test_an_airliner_that_turns_is_not_lost_by_the_default_motion():
    """120 m/s, turns of 3 degrees a second, a radar good to 100 m every 5 s: back within a minute of the turn's end."""
    simulation = simulate("imm_turn", runs=20, rng=np.random.default_rng(5))
    tracks = [track(rows) for rows in simulation.measurements]
    result = score(tracks, simulation.truths, settle_s=10.0)
    assert result.position_rmse_m < 500.0
    for found, truth in zip(tracks, simulation.truths, strict=True):
        last = found.take(slice(len(found) - 3, len(found)))
        assert np.linalg.norm(last.state[:, :3] - truth.at(last.time_us).state[:, :3], axis=1).max() < 600.0


def test_a_range_that_only_bearings_tell_is_known_as_badly_as_it_is():
    """One Gaussian is surer than it may be; of sixteen ranges each is nearly linear, and their sum is honest."""
    result = scored("bearings_only", runs=20, ranges=16)
    assert 4.0 < result.nees.mean < 8.0, result.nees
    one = scored("bearings_only", runs=20)
    assert one.nees.mean > 2.0 * result.nees.mean


# --- what it took -----------------------------------------------------------------------------------------------------


def test_the_root_of_a_shared_covariance_turns_as_the_covariance_turns(rng):
    """Of full rank and of rank one: C(T A T') = T C(A) T'."""
    turns = np.linalg.qr(rng.normal(size=(50, 3, 3)))[0]
    for width in (3, 1):
        half = rng.normal(size=(3, width))
        one, many = np.empty((1, 3, 3)), np.empty((50, 3, 3))
        filters.shared_root_rows((half @ half.T)[None], one)
        filters.shared_root_rows(turns @ half @ half.T @ turns.swapaxes(1, 2), many)
        np.testing.assert_allclose(one[0] @ one[0], half @ half.T, atol=1e-12)
        np.testing.assert_allclose(many, turns @ one @ turns.swapaxes(1, 2), atol=1e-7)


def test_an_error_of_the_map_stays_one_error_though_up_turns_a_little(rng):
    """A thousand heights share 0.5 m. Their covariances are given along ups that differ by millionths."""
    seconds = np.arange(0.0, 100.0, 0.1)
    n = len(seconds)
    place = to_ecef(np.zeros((n, 3)))
    nearby = geodesy.ecef_to_geodetic(to_ecef(rng.normal(0.0, 10.0, (n, 3)) * [1.0, 1.0, 0.0]))
    up = geodesy.enu_rotation(*nearby[:2])[:, 2]
    time_us = START_US + np.rint(seconds * 1e6).astype(np.int64)
    small = np.broadcast_to(0.01 * np.eye(3), (n, 3, 3))
    heights = measurements_of(
        time_us, HEIGHT, place, small, Sensor("terrain", shared_time_s=1e5, starts_tracks=False),
        site_cov=0.25 * up[:, :, None] * up[:, None, :],
    )  # fmt: skip
    fixes = measurements_of(time_us[:1], POSITION, place[:1], 1e4 * small[:1], Sensor("fix"))
    still = ConstantVelocity(vertical_psd=1e-9, initial_climb_std_mps=1e-3)
    result = track(merge(fixes, heights), motion=still, coast_step_s=1e3)
    std_m = np.sqrt(result.pos_cov_enu_m2[:, 2, 2])
    assert std_m.min() > 0.49
    assert std_m[-1] < 0.51


def test_a_track_by_a_mixture_is_filterpys(rng):
    """Interacting multiple models in the filter of tables, row for row those of filterpy."""
    mixture = Mixture(
        [ConstantVelocity(0.5), CoordinatedTurn(10.0, 0.5), CoordinatedTurn(-10.0, 0.5)], mean_stay_s=[10.0, 8.0, 8.0]
    )
    seconds = np.cumsum(rng.uniform(0.2, 1.5, 150))
    z = to_ecef(weave(seconds) + rng.normal(0.0, 3.0, (150, 3)))
    noise = 9.0 * np.eye(3)
    table = measurements_of(
        START_US + np.rint(seconds * 1e6).astype(np.int64), POSITION, z, np.broadcast_to(noise, (150, 3, 3)),
        Sensor("gnss"),
    )  # fmt: skip
    ours = track(table, motion=mixture, gate_probability=NO_GATE, coast_step_s=10.0, learn_noise=False)
    prior = np.zeros((6, 6))
    prior[:3, :3] = (10.0 * np.sqrt(27.0) + 1.0) ** 2 * np.eye(3)
    up = geodesy.enu_rotation(*geodesy.ecef_to_geodetic(z[:1])[:2])[0, 2]
    prior[3:, 3:] = 225.0 * np.eye(3) + (0.25 - 225.0) * np.outer(up, up)
    start = np.concatenate([z[0], np.zeros(3)])
    step_s = np.diff(table.time_us, prepend=table.time_us[:1]) * 1e-6
    theirs = list(reference.interact(mixture, step_s, z, noise, start, prior))
    np.testing.assert_allclose(ours.origin.weight, [one[0] for one in theirs], atol=1e-6)
    np.testing.assert_allclose(ours.state, [one[3] for one in theirs], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.cov, [one[4] for one in theirs], rtol=1e-6, atol=1e-6)


# --- rows that are not what they seem ---------------------------------------------------------------------------------


def judged(simulation, tables=None, settle_s=10.0, **options):
    options = {"motion": simulation.scenario.motion} | options
    tracks = [track(rows, **options) for rows in tables or simulation.measurements]
    return score(tracks, simulation.truths, settle_s=settle_s), tracks


def test_a_look_alike_leaves_the_covariance_honest():
    """Eight seconds on another car, and clutter: the errors of coasting are large, and said to be."""
    simulation = simulate("look_alike", runs=RUNS, rng=np.random.default_rng(5))
    result, tracks = judged(simulation)
    assert result.nees.holds, result.nees
    assert 0.93 < result.ellipse_95.value < 0.97
    end = simulation.time_us[0] + 80_000_000
    after = score([one.take(one.time_us > end) for one in tracks], simulation.truths)
    assert after.position_rmse_m < 4.0
    assert after.custody_breaks == 0.0


def test_an_honest_sensor_is_not_called_noisy():
    for name in ("straight", "straight_camera", "biased_gimbal", "late_radio"):
        _, tracks = judged(simulate(name, runs=30, rng=np.random.default_rng(6)), gate_probability=NO_GATE)
        assert all(one["noise_factor"] == 1.0 for result in tracks for one in result.stats["sensors"].values()), name


def test_noise_is_learnt_where_a_camera_understates_it():
    """A camera twice as noisy as it says, 4 in variance: found, and the track is honest again."""
    plan = scenario("straight_camera")
    errors = exact()
    claimed = replace(
        errors, pixel_std=errors.pixel_std / 2, pointing_std_deg=errors.pointing_std_deg / 2,
        timing_std_s=errors.timing_std_s / 2,
    )  # fmt: skip
    lying = replace(plan, duration_s=120.0, sensors=(replace(plan.sensors[0], stated=claimed),))
    simulation = simulate(lying, runs=RUNS, rng=np.random.default_rng(5))
    result, tracks = judged(simulation)
    factors = [one.stats["sensors"]["D1 camera"]["noise_factor"] for one in tracks]
    assert np.median(factors) == pytest.approx(4.0, abs=0.4)
    assert result.nees.holds, result.nees
    believed, _ = judged(simulation, learn_noise=False)
    assert not believed.nees.holds
    assert believed.position_rmse_m > 1.5 * result.position_rmse_m


def test_noise_that_is_learnt_is_bounded():
    simulation = simulate("straight", runs=3, rng=np.random.default_rng(7))
    claimed = [replace(rows, cov=rows.cov / 1e4) for rows in simulation.measurements]
    _, tracks = judged(simulation, claimed, gate_probability=NO_GATE)
    assert max(one.stats["sensors"]["gnss"]["noise_factor"] for one in tracks) == 25.0


def heavy_tailed(run, freedom, rng):
    """The rows of a run with errors of Student's t: of the same scale, with wilder ones among them."""
    rows = run.measurements
    error = rows.z - run.truth.at(rows.time_us).state[:, :3]
    return replace(rows, z=rows.z + error * (1.0 / np.sqrt(rng.chisquare(freedom, (len(rows), 1)) / freedom) - 1.0))


def test_heavy_tails_are_best_believed_as_such(rng):
    simulation = simulate("straight", runs=RUNS, rng=np.random.default_rng(5))
    tables = [heavy_tailed(run, 4.0, rng) for run in simulation]
    result, _ = judged(simulation, tables, robust="student_t", degrees_of_freedom=4.0)
    assert result.nees.holds, result.nees
    assert 0.93 < result.ellipse_95.value < 0.97
    plain, _ = judged(simulation, tables, learn_noise=False)
    assert not plain.nees.holds
    assert result.position_rmse_m < plain.position_rmse_m


def with_false_rows(run, part, side_m, rng):
    """A part of the rows is of something else, evenly in a box about the target; the first row is right."""
    rows = run.measurements
    false = rng.random(len(rows)) < part
    false[0] = False
    elsewhere = run.truth.at(rows.time_us).state[:, :3] + rng.uniform(-side_m, side_m, (len(rows), 3))
    return replace(rows, z=np.where(false[:, None], elsewhere, rows.z))


def test_false_rows_in_the_gate_are_best_weighed_by_their_probability(rng):
    """One row in five lies anywhere within 12 m: half of these fall in the gate, a tenth of what is there."""
    simulation = simulate("straight", runs=RUNS, rng=np.random.default_rng(5))
    tables = [with_false_rows(run, 0.2, 12.0, rng) for run in simulation]
    result, _ = judged(simulation, tables, robust="pda", clutter=0.1, learn_noise=False)
    assert result.nees.holds, result.nees
    assert 0.93 < result.ellipse_95.value < 0.97
    plain, _ = judged(simulation, tables, learn_noise=False)
    assert not plain.nees.holds
    assert result.position_rmse_m < plain.position_rmse_m


def alongside(simulation, run):
    """Rows of two cameras; for two seconds the first sees a car that drives 6 m beside the target, then turns off."""
    rows = simulation.measurements[run]
    since = (rows.time_us - simulation.time_us[0]) * 1e-6 - 30.0
    truth = simulation.truth(run).at(rows.time_us)
    names = [sensor.name for sensor in rows.sensors]
    fooled = (rows.sensor_id == names.index("D1 camera")) & (since > -2.0) & (since < 4.0)
    north = geodesy.enu_rotation(truth.lat_deg, truth.lon_deg)[:, 1]
    target = truth.state[:, :3] - rows.site_ecef_m
    other = target + (6.0 + 8.0 * np.clip(since, 0.0, None))[:, None] * north
    shift = other / np.linalg.norm(other, axis=1)[:, None] - target / np.linalg.norm(target, axis=1)[:, None]
    seen = rows.z + shift
    return replace(rows, z=np.where(fooled[:, None], seen / np.linalg.norm(seen, axis=1)[:, None], rows.z))


def test_what_a_camera_on_another_car_did_to_the_track_is_taken_back():
    """The other car slips through the gate and pulls; what it did goes when it turns off, and the track stays."""
    plan = scenario("late_radio")
    simulation = simulate(
        replace(plan, duration_s=60.0, sensors=plan.sensors[:2]), runs=60, rng=np.random.default_rng(8)
    )
    result, tracks = judged(simulation, [alongside(simulation, run) for run in range(60)])
    undone = [one for one in tracks if one.stats["latches_taken_back"]]
    assert len(undone) >= 45
    assert np.median([one.stats["sensors"]["D1 camera"]["taken_back"] for one in undone]) >= 10
    assert result.position_rmse_m < 6.0
    assert result.ellipse_95.value > 0.93


@pytest.mark.parametrize("name", ["straight_camera", "biased_gimbal", "late_radio"])
def test_smoothed_tracks_keep_the_promise_too_and_are_better(name):
    """A site that is off by metres bends the geometry: smoothing linearises from where each site is found to stand."""
    simulation = simulate(name, runs=60, rng=np.random.default_rng(5))
    options = {"motion": simulation.scenario.motion, "gate_probability": NO_GATE}
    tracks = [track(rows, **options) for rows in simulation.measurements]
    smoothed = [smooth(one, gate_probability=NO_GATE) for one in tracks]
    before, after = (score(many, simulation.truths, settle_s=10.0) for many in (tracks, smoothed))
    assert after.nees.holds, after.nees
    assert 0.92 < after.ellipse_95.value < 0.97
    assert after.position_rmse_m < before.position_rmse_m
