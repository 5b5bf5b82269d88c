from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import binomtest, chi2

from dronetrack import geodesy, reference
from dronetrack.errors import InputError
from dronetrack.filtering import track
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, merge
from dronetrack.metrics import (
    along_across_up,
    chi2_bounds,
    consistency,
    cramer_rao_bound,
    effective_rows,
    errors_of,
    nees,
    rmse,
    score,
    share_of,
    truth_of,
)
from dronetrack.motion import ConstantVelocity
from dronetrack.sensing import CameraErrors
from dronetrack.simulate import Camera, Positions, Sampling, exact, scenario, simulate
from dronetrack.tracks import COASTING

NO_GATE = 0.999999999
PLACE = geodesy.geodetic_to_ecef([46.2], [20.7], [120.0])[0]


def rng_of(seed):
    return np.random.default_rng(seed)


def tracked(simulation):
    motion = simulation.scenario.motion
    return [track(rows, motion=motion, gate_probability=NO_GATE) for rows in simulation.measurements]


def drive(seconds, east_m):
    """A car that drives to the east at 10 m/s, `east_m` (n,) off, as a track of 1 m."""
    turn = geodesy.enu_rotation([46.2], [20.7])[0]
    enu = np.column_stack([10.0 * seconds + east_m, 0.0 * seconds, 0.0 * seconds])
    state = np.hstack([PLACE + enu @ turn, np.tile([10.0, 0.0, 0.0] @ turn, (len(seconds), 1))])
    cov = np.broadcast_to(np.diag([1.0, 1.0, 1.0, 0.1, 0.1, 0.1]), (len(seconds), 6, 6))
    return truth_of(np.rint(seconds * 1e6).astype(np.int64), state, cov=cov)


# --- normalised squares -----------------------------------------------------------------------------------------------


def test_normalised_squares_are_what_the_formula_says(rng):
    root = rng.normal(size=(5, 4, 6, 6))
    cov = root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(6)
    error = rng.normal(size=(5, 4, 6))
    expected = np.einsum("...i,...ij,...j", error, np.linalg.inv(cov), error)
    np.testing.assert_allclose(nees(error, cov), expected, rtol=1e-9)


def test_normalised_squares_keep_their_digits_where_scales_differ():
    scale = np.array([1e-3, 1e6, 1.0, 1e-3, 1e4, 1.0])
    cov = 0.5 * (np.eye(6) + 1.0) * np.outer(scale, scale)
    assert nees(scale, cov) == pytest.approx(12.0 / 7.0, rel=1e-12)


def test_bounds_are_quantiles_of_chi_square():
    low, high = chi2_bounds(6, 200, 0.99)
    np.testing.assert_allclose([low, high], chi2.ppf([0.005, 0.995], 1200) / 200, rtol=1e-10)


def test_errors_drawn_from_their_covariance_are_consistent(rng):
    squares = rng.chisquare(6, size=(200, 500))
    judged = consistency(squares, 6)
    assert judged.holds
    assert judged.inside == pytest.approx(0.95, abs=0.03)
    assert (judged.n_runs, judged.dimensions) == (200, 6)


def test_a_covariance_that_is_a_tenth_too_small_is_found_out(rng):
    judged = consistency(rng.chisquare(6, size=(200, 500)) / 0.9, 6)
    assert not judged.holds
    assert judged.inside < 0.5


def test_moments_that_some_runs_lack_get_wider_bounds(rng):
    squares = rng.chisquare(2, size=(40, 300))
    squares[30:, ::2] = np.nan
    moment = np.broadcast_to(np.arange(300), squares.shape)
    matrix, flat = consistency(squares, 2), consistency(squares.ravel(), 2, moment=moment.ravel())
    assert matrix == flat
    assert matrix.inside == pytest.approx(0.95, abs=0.04)


# --- shares -----------------------------------------------------------------------------------------------------------


def test_a_share_of_independent_rows_has_the_interval_of_wilson(rng):
    runs = [[bool(one)] for one in rng.random(400) < 0.9]
    share = share_of(runs)
    theirs = binomtest(sum(run[0] for run in runs), 400).proportion_ci(method="wilson")
    assert share.value == pytest.approx(np.mean(runs))
    assert (share.low, share.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)


def test_rows_that_agree_within_runs_are_worth_little(rng):
    runs = [np.full(100, one) for one in rng.random(50) < 0.9]
    assert share_of(runs).effective_rows == pytest.approx(50.0, rel=0.1)


def test_intervals_of_shares_hold_the_truth_as_often_as_they_say(rng):
    held = 0
    for _ in range(300):
        lasting = np.repeat(rng.normal(size=(60, 5)), 20, axis=1)
        share = share_of(list(lasting > -1.2815515655446004))
        held += share.low <= 0.9 <= share.high
    assert 0.90 < held / 300 < 0.99


def test_a_correlated_sequence_is_worth_as_many_rows_as_theory_says(rng):
    from dronetrack.simulate.targets import gauss_markov

    phi = np.exp(-1.0 / 10.0)
    worth = [effective_rows(gauss_markov(np.arange(20_000.0), 10.0, 1, 1, rng)[0, :, 0]) for _ in range(5)]
    assert np.mean(worth) == pytest.approx(20_000 * (1 - phi) / (1 + phi), rel=0.15)


# --- errors and scores ------------------------------------------------------------------------------------------------


def test_along_is_ahead_and_across_is_to_the_right():
    south = along_across_up([[3.0, 4.0, 5.0]], [[0.0, -10.0, 1.0]])
    np.testing.assert_allclose(south, [[-4.0, -3.0, 5.0]])
    assert np.isnan(along_across_up([[3.0, 4.0, 5.0]], [[0.1, 0.1, 9.0]])[0, :2]).all()


def test_errors_are_taken_where_the_truth_is_and_hold_its_doubt():
    seconds = np.arange(0.0, 20.0)
    truth = drive(seconds[5:15], 0.0)
    errors = errors_of(drive(seconds + 0.25, np.full(20, 3.0)), truth)
    assert len(errors) == 9
    np.testing.assert_allclose(errors.position_enu_m[:, 0], 3.0, atol=1e-6)
    np.testing.assert_allclose(errors.along_across_up_m[:, :2], [[3.0, 0.0]] * 9, atol=1e-3)
    np.testing.assert_allclose(errors.cov[:, 0, 0], 2.0)


def test_the_start_up_is_left_out_as_asked():
    seconds = np.arange(0.0, 20.0)
    errors = errors_of(drive(seconds, np.where(seconds < 5, 100.0, 0.0)), drive(seconds, 0.0), settle_s=5.0)
    assert len(errors) == 15
    assert rmse(errors.position_enu_m) < 1e-6


def test_scores_count_breaks_gaps_and_the_first_custody():
    seconds = np.arange(0.0, 100.0)
    wrong = ((seconds >= 40.0) & (seconds < 50.0)) | (seconds < 23.0)
    estimate = drive(seconds[20:], np.where(wrong, 200.0, 0.0)[20:])
    status = np.where((seconds >= 60.0) & (seconds < 70.0), COASTING, 1).astype(np.int8)[20:]
    result = score(replace(estimate, status=status), drive(seconds, 0.0))
    assert result.first_custody_s == pytest.approx(23.0)
    assert result.custody_breaks == 1
    assert result.longest_gap_s == pytest.approx(11.0)
    assert result.coasting_share == pytest.approx(10.0 / 79.0)
    assert result.median_m < 1e-6
    assert result.position_rmse_m == pytest.approx(200.0 * np.sqrt(13.0 / 80.0), rel=1e-6)


def test_a_track_that_ends_before_the_truth_is_lost_but_not_by_its_last_row():
    seconds = np.arange(0.0, 20.0, 0.5)
    truth, whole = drive(seconds, 0.0), drive(seconds, 0.0 * seconds)
    assert score(whole.take(whole.time_us <= 19_000_000), truth).custody_breaks == 0
    assert score(whole.take(whole.time_us <= 15_000_000), truth).custody_breaks == 1


def test_a_target_never_found_has_no_first_custody():
    seconds = np.arange(0.0, 10.0)
    assert score(drive(seconds, np.full(10, 500.0)), drive(seconds, 0.0)).first_custody_s == np.inf


def test_the_summary_says_all_of_it():
    simulation = simulate("straight", runs=3, rng=rng_of(1))
    words = score(tracked(simulation), simulation.truths, bound=simulation.bound()).summary()
    for word in ("runs", "RMSE", "bound", "efficiency", "along", "ANEES", "NIS", "95 % ellipse", "custody", "coasting"):
        assert word in words


# --- the bound --------------------------------------------------------------------------------------------------------


def test_for_a_linear_target_the_bound_is_the_covariance_of_filterpy():
    # The same noise on every axis: filterpy's axes turn with the estimate, those of the bound stand still.
    even = ConstantVelocity(horizontal_psd=2.0, vertical_psd=2.0, initial_climb_std_mps=15.0)
    simulation = simulate(replace(scenario("straight"), motion=even), rng=rng_of(2))
    rows, truth, motion = simulation.measurements[0], simulation.truth(0), simulation.scenario.motion
    bound = cramer_rao_bound(rows, truth, motion, position_std_m=30.0)
    prior = np.diag([30.0**2] * 3 + [15.0**2] * 3)
    _, theirs = reference.track(rows, truth.state[0], prior, int(truth.time_us[0]), motion=motion)
    np.testing.assert_allclose(bound.cov, theirs, rtol=1e-9, atol=1e-9)


def augmented(simulation):
    """The textbook's matrices of one camera's scenario with all shared errors as states, by numerical derivatives."""
    plan, sensor = simulation.scenario, simulation.measurements[0].sensors[0]
    lat, lon, _ = plan.origin
    turn = geodesy.enu_rotation([lat], [lon])[0]
    tau = np.array([sensor.shared_time_s] * 3 + [sensor.heading_time_s] + [sensor.boresight_time_s] * 2 + [30.0])
    power = np.array([1.0] * 3 + [sensor.heading_std_rad**2] + [sensor.boresight_std_rad**2] * 2 + [1.0])
    psd = turn.T @ np.diag([plan.motion.horizontal_psd] * 2 + [plan.motion.vertical_psd]) @ turn

    def step(seconds):
        drift = np.zeros((13, 13))
        drift[:3, 3:6] = np.eye(3)
        drift[6:, 6:] = -np.diag(1.0 / tau)
        noise = np.zeros((13, 13))
        noise[3:6, 3:6] = psd
        noise[6:, 6:] = np.diag(2.0 * power / tau)
        both = expm(np.block([[-drift, noise], [np.zeros((13, 13)), drift.T]]) * seconds)  # Van Loan 1978
        move = both[13:, 13:].T
        return move, move @ both[:13, 13:]

    def predicted(x, row, kind, across):
        """What the row would say of the state x without fresh noise: 2 numbers across a line of sight, or a height."""
        table, at = row
        if kind == HEIGHT:
            return np.array([across[2] @ (x[:3] - table.z[at]) + plan.sensors[0].terrain_std_m * x[12]])
        accuracy = np.sqrt(np.diag(turn @ table.site_cov[at] @ turn.T))
        sight = x[:3] - (table.site_ecef_m[at] + turn.T @ (accuracy * x[6:9]))
        sight /= np.linalg.norm(sight)
        right = np.cross(sight, turn[2])
        level = np.linalg.norm(right)
        frame = np.array([right / level, np.cross(right / level, sight)])
        line = sight + frame.T @ (x[10:12] + np.array([level * x[9], 0.0]))
        return across[:2] @ line / (line @ across[3])

    def linear(x, row, kind):
        table, at = row
        line = table.z[at] if kind == LINE_OF_SIGHT else turn[0]
        right = np.cross(line, turn[2])
        right /= np.linalg.norm(right)
        across = np.array([right, np.cross(right, line), turn[2], line])
        size = np.array([1e-3] * 3 + [1.0] * 3 + [1e-4] * 3 + [1e-6] * 3 + [1e-3])
        value = predicted(x, row, kind, across)
        columns = [(predicted(x + d, row, kind, across) - value) / s for d, s in zip(np.diag(size), size, strict=True)]
        shape = across[2:3] if kind == HEIGHT else across[:2]
        return value, np.array(columns).T, shape @ table.cov[at] @ shape.T

    return turn, power, step, linear


def moments(table):
    return np.flatnonzero(np.append(np.diff(table.time_us) > 0, True)) + 1


def short_flight(errors, **camera):
    sampling = Sampling(rate_hz=2.0)
    return replace(
        scenario("straight_camera"), duration_s=20.0, sensors=(Camera("D", sampling=sampling, errors=errors, **camera),)
    )


def prior_of(simulation, turn, power, position_std_m):
    prior = np.diag(np.concatenate([np.zeros(6), power]))
    prior[:3, :3] = position_std_m**2 * np.eye(3)
    speeds = [simulation.scenario.motion.initial_speed_std_mps] * 2 + [simulation.scenario.motion.initial_climb_std_mps]
    prior[3:6, 3:6] = turn.T @ np.diag(np.square(speeds)) @ turn
    return prior


def written_out(runs, times_us, prior, step, linear):
    """Inverse information after each time, of the mean information of some runs."""
    information, before, out = np.linalg.inv(prior), int(times_us[0]), []
    for time_us in times_us.tolist():
        if time_us > before:
            move, noise = step((time_us - before) * 1e-6)
            information = np.linalg.inv(move @ np.linalg.inv(information) @ move.T + noise)
        before = time_us
        for run in runs:
            table = run.measurements
            truth = np.concatenate([run.truth.at([time_us]).state[0], np.zeros(7)])
            for at in np.flatnonzero(table.time_us == time_us):
                _, H, R = linear(truth, (table, at), table.kind[at])
                information += H.T @ np.linalg.inv(R) @ H / len(runs)
        out.append(np.linalg.inv(information)[:6, :6])
    return np.array(out)


@pytest.mark.parametrize("same_geometry", [True, False])
def test_the_bound_is_the_information_recursion_written_out(same_geometry):
    """Dense matrices, numerical derivatives and inverses, as in Tichavsky, Muravchik, Nehorai 1998, equation 21."""
    errors = CameraErrors(heading_std_deg=3.0, boresight_std_deg=1.0, heading_time_s=20.0)
    simulation = simulate(short_flight(errors), runs=3, rng=rng_of(3))
    turn, power, step, linear = augmented(simulation)
    bound = cramer_rao_bound(
        simulation.measurements, simulation.truths, simulation.scenario.motion, position_std_m=50.0,
        same_geometry=same_geometry,
    )  # fmt: skip
    prior = prior_of(simulation, turn, power, 50.0)
    groups = [list(simulation)] if same_geometry else [[run] for run in simulation]
    theirs = np.mean([written_out(group, bound.time_us, prior, step, linear) for group in groups], axis=0)
    for block in (slice(0, 3), slice(3, 6)):
        ours, dense = (np.trace(cov[:, block, block], axis1=1, axis2=2) for cov in (bound.cov, theirs))
        np.testing.assert_allclose(ours, dense, rtol=0.02)


def test_a_filter_that_estimates_the_shared_errors_reaches_the_bound():
    """An extended Kalman filter with every shared error as a state: no better than the bound, and nearly as good."""
    simulation = simulate(
        short_flight(CameraErrors(heading_std_deg=1.0, boresight_std_deg=0.3)), runs=50, rng=rng_of(4)
    )
    turn, power, step, linear = augmented(simulation)
    bound = cramer_rao_bound(simulation.measurements, simulation.truths, simulation.scenario.motion, position_std_m=5.0)
    move, noise = step(0.5)
    squares = []
    for seed, run in enumerate(simulation):
        table, truth = run.measurements, run.truth.at(bound.time_us).state
        cov = prior_of(simulation, turn, power, 5.0)
        x = np.zeros(13)
        x[:3] = truth[0, :3] + rng_of(seed).normal(0.0, 5.0, 3)
        before = int(bound.time_us[0])
        for at in range(len(table)):
            if table.time_us[at] > before:
                squares.append(np.sum((x[:3] - truth[(at - 1) // 2, :3]) ** 2))
                x, cov = move @ x, move @ cov @ move.T + noise
                before = int(table.time_us[at])
            value, H, R = linear(x, (table, at), table.kind[at])
            gain = cov @ H.T @ np.linalg.inv(H @ cov @ H.T + R)
            x, cov = x - gain @ value, cov - gain @ H @ cov
    error = np.sqrt(np.mean(squares))
    best = np.sqrt(np.mean(bound.position_m[:-1] ** 2))
    assert 0.93 < error / best < 1.12


def test_shared_errors_raise_the_bound_and_a_second_platform_lowers_it():
    alone = simulate(short_flight(exact()), rng=rng_of(5))
    biased = simulate(short_flight(CameraErrors(heading_std_deg=3.0, boresight_std_deg=1.0)), rng=rng_of(5))
    both = replace(alone.scenario, sensors=(*alone.scenario.sensors, Positions("gnss", std_m=(1.0, 1.0, 1.0))))
    one, worse, better = (sim.bound().position_m[-1] for sim in (alone, biased, simulate(both, rng=rng_of(5))))
    assert better < one < worse


def test_rows_that_some_runs_lost_count_as_far_as_they_came():
    plan = scenario("straight")
    half = replace(plan, sensors=(replace(plan.sensors[0], sampling=Sampling(rate_hz=5.0, dropout=0.5)),))
    slow = replace(plan, sensors=(replace(plan.sensors[0], sampling=Sampling(rate_hz=2.5)),))
    lost, fewer = (simulate(one, runs=40, rng=rng_of(6)).bound() for one in (half, slow))
    assert lost.position_m[-50:].mean() == pytest.approx(fewer.position_m[-50:].mean(), rel=0.1)


def test_the_bound_grows_in_a_gap_and_may_be_asked_for_there():
    bound = simulate("tunnel", rng=rng_of(7)).bound()
    since_s = (bound.time_us - bound.time_us[0]) * 1e-6
    gap = (since_s > 60.0) & (since_s < 120.0)
    assert (np.diff(bound.position_m[gap]) > 0.0).all()
    assert bound.position_m[gap].max() > 40.0
    assert bound.position_m[-1] < 5.0


def test_the_bound_between_its_rows_lies_between_them():
    bound = simulate("straight", rng=rng_of(8)).bound()
    middle = (bound.time_us[10] + bound.time_us[11]) // 2
    got = bound.at([middle]).position_m[0]
    assert min(bound.position_m[10:12]) <= got <= max(bound.position_m[10:12])


# --- the filter against the bound -------------------------------------------------------------------------------------


def test_on_straight_the_filter_is_consistent_and_reaches_the_bound():
    simulation = simulate("straight", runs=240, rng=rng_of(9))
    result = score(tracked(simulation), simulation.truths, settle_s=10.0, bound=simulation.bound())
    assert result.nees.n_runs == 240
    assert result.nees.holds
    assert result.nees.inside > 0.85
    assert result.efficiency == pytest.approx(1.0, abs=0.05)
    assert 0.93 < result.ellipse_95.value < 0.97
    assert result.nis_per_component == pytest.approx(1.0, abs=0.02)


def test_seen_by_a_camera_the_filter_is_consistent():
    simulation = simulate("straight_camera", runs=240, rng=rng_of(10))
    result = score(tracked(simulation), simulation.truths, settle_s=10.0, bound=simulation.bound())
    assert result.nees.holds
    assert result.efficiency > 0.95
    assert 0.93 < result.ellipse_95.value < 0.97


def test_a_filter_that_takes_shared_errors_for_fresh_ones_fails_that():
    """The tests above can fail: the same rows with the wandering error left out of the description."""
    simulation = simulate("straight_camera", runs=40, rng=rng_of(11))
    bare = [replace(rows, site_cov=np.zeros_like(rows.site_cov)) for rows in simulation.measurements]
    motion = simulation.scenario.motion
    tracks = [track(rows, motion=motion, gate_probability=NO_GATE) for rows in bare]
    result = score(tracks, simulation.truths, settle_s=10.0)
    assert not result.nees.holds
    assert result.ellipse_95.high < 0.9


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: nees(np.zeros((3, 2)), np.zeros((3, 3, 3))), "cov must be"),
        (lambda: chi2_bounds(0), "bounds need dimensions and runs"),
        (lambda: consistency([[np.nan]], 2), "at least one row"),
        (lambda: share_of([[]]), "at least one row"),
        (lambda: along_across_up(np.zeros((2, 3)), np.zeros((3, 3))), "error and velocity must both be"),
        (lambda: score([drive(np.arange(3.0), 0.0)], []), "one truth for each track"),
        (lambda: score(drive(np.arange(3.0), 0.0), drive(np.arange(50.0, 53.0), 0.0)), "no row is left to score"),
        (lambda: cramer_rao_bound(merge(), drive(np.arange(3.0), 0.0), scenario("straight").motion), "and rows"),
        (lambda: simulate("straight", rng=rng_of(0)).bound().at([0]), "outside the bound"),
    ],
)
def test_impossible_questions_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        wrong()
