import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from dronetrack import geodesy, reference
from dronetrack.border import Border
from dronetrack.errors import InputError
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, merge
from dronetrack.metrics import chi2_bounds, nees
from dronetrack.motion import ConstantVelocity, CoordinatedTurn, Mixture, Singer, StopAndGo
from dronetrack.roads import Route
from dronetrack.sensing import CameraErrors, sightings
from dronetrack.simulate import (
    FROM_CLUTTER,
    FROM_LOOK_ALIKE,
    AlongRoute,
    Camera,
    Contacts,
    Free,
    Mount,
    NearlyConstantVelocity,
    Positions,
    Radio,
    Sampling,
    Scenario,
    Switching,
    exact,
    fly,
    scenario,
    scenario_names,
    simulate,
)
from dronetrack.simulate.targets import gauss_markov

ORIGIN = scenario("straight").origin
SHORT = [name for name in scenario_names() if name != "budapest_nadlac"]


def rng_of(seed):
    return np.random.default_rng(seed)


def of_kind(table, kind):
    return table.take(table.kind == kind)


def columns(table):
    return [table.time_us, table.sensor_id, table.kind, table.z, table.cov, table.site_ecef_m, table.site_cov]


def within(squares, dimensions, probability=0.9999):
    """Whether the mean of independent normalised squares lies within its bounds."""
    low, high = chi2_bounds(dimensions, len(squares), probability)
    return low < np.mean(squares) < high


@pytest.fixture(scope="module")
def exercise():
    return simulate("budapest_nadlac", rng=rng_of(1))


@pytest.mark.parametrize("name", SHORT)
def test_the_same_seed_gives_the_same_bits(name):
    one, two = (simulate(name, runs=2, rng=rng_of(3)) for _ in range(2))
    np.testing.assert_array_equal(one.state, two.state)
    for left, right in zip(columns(one[1].measurements), columns(two[1].measurements), strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(one[1].arrival_us, two[1].arrival_us)


@pytest.mark.parametrize("name", SHORT)
def test_the_first_runs_of_many_are_those_of_few(name):
    few, many = simulate(name, runs=2, rng=rng_of(4)), simulate(name, runs=5, rng=rng_of(4))
    np.testing.assert_array_equal(few.state, many.state[:2])
    for left, right in zip(columns(few[1].measurements), columns(many[1].measurements), strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(few[1].arrival_us, many[1].arrival_us)


def test_a_further_sensor_changes_neither_the_truth_nor_the_others():
    alone = scenario("straight")
    both = replace(alone, sensors=(*alone.sensors, Positions("radar", sampling=Sampling(rate_hz=5.0))))
    one, two = simulate(alone, rng=rng_of(5)), simulate(both, rng=rng_of(5))
    np.testing.assert_array_equal(one.state, two.state)
    np.testing.assert_array_equal(one[0].measurements.z, two[0].measurements.of("gnss").z)


def test_rows_stand_in_the_order_of_merge():
    table = simulate("late_radio", rng=rng_of(6))[0].measurements
    again = merge(*(table.of(sensor.name) for sensor in reversed(table.sensors)))
    np.testing.assert_array_equal(table.sensor_id, again.sensor_id)
    np.testing.assert_array_equal(table.z, again.z)


def test_the_truth_has_a_row_at_the_time_of_every_measurement(exercise):
    run = exercise[0]
    assert np.isin(run.measurements.time_us, run.truth.time_us).all()


def test_steps_of_nearly_constant_velocity_have_the_covariance_of_the_model():
    simulation = simulate("straight", runs=20, rng=rng_of(7))
    model, state = simulation.scenario.motion, simulation.state
    step_s = np.diff(simulation.time_us) * 1e-6
    squares = []
    for length in np.unique(step_s):
        rows = np.flatnonzero(step_s == length)
        jumps = state[:, rows + 1] - state[:, rows] @ reference.transition(float(length)).T
        noise = reference.process_noise(state[0, 0], float(length), model)
        squares.append(nees(jumps, np.broadcast_to(noise, (*jumps.shape, 6))).ravel())
    assert within(np.concatenate(squares), 6)


def test_first_velocities_are_those_of_which_the_model_warns():
    simulation = simulate("straight", runs=2000, rng=rng_of(8))
    truth = simulation.state[:, 0]
    lat, lon, _ = geodesy.ecef_to_geodetic(truth[:, :3])
    velocity = geodesy.ecef_vectors_to_enu(truth[:, 3:], lat, lon)
    np.testing.assert_allclose(velocity.std(axis=0), [15.0, 15.0, 0.5], rtol=0.06)


MIXED = Mixture(
    [ConstantVelocity(1.0), CoordinatedTurn(20.0), StopAndGo(stop_time_s=3.0), Singer()],
    mean_stay_s=[3.0, 5.0, 8.0, 2.0],
)


def test_steps_of_a_switching_target_have_the_covariance_of_the_model_of_the_step():
    seconds = np.cumsum(rng_of(30).choice([0.2, 0.5, 0.7], 100))
    simple = Mixture(MIXED.models[:3], mean_stay_s=MIXED.mean_stay_s[:3])
    state, which = Switching(simple).draw_models(seconds, 300, ORIGIN, rng_of(31))
    for model in range(3):
        run, row = np.nonzero(which[:, 1:] == model)
        start = state[run, row]
        move, noise = simple.discretise(model, start[:, :3], np.diff(seconds)[row])
        assert within(nees(state[run, row + 1] - np.einsum("nij,nj->ni", move, start), noise), 6)


def test_a_switching_target_stays_with_a_model_as_long_as_stated():
    seconds = np.arange(0.0, 200.0, 0.1)
    _, which = Switching(MIXED).draw_models(seconds, 100, ORIGIN, rng_of(32))
    share = np.bincount(which.ravel()) / which.size
    np.testing.assert_allclose(share, MIXED.initial, atol=0.02)
    for model, stays in enumerate(np.diag(MIXED.switching([0.1])[0])):
        here = which[:, :-1] == model
        left = here & (which[:, 1:] != model)
        assert left.sum() / here.sum() == pytest.approx(1.0 - stays, rel=0.12)  # about a thousand times each


def test_a_switching_target_starts_as_fast_as_its_first_model_says():
    _, which = Switching(MIXED).draw_models(np.array([0.0, 1.0]), 4000, ORIGIN, rng_of(33))
    state, _ = Switching(MIXED).draw_models(np.array([0.0, 1.0]), 4000, ORIGIN, rng_of(33))
    lat, lon, _ = ORIGIN
    velocity = state[:, 0, 3:] @ geodesy.enu_rotation([lat], [lon])[0].T
    for model, one in enumerate(MIXED.models):
        spread = [one.parameters[3]] * 2 + [one.parameters[4]]
        np.testing.assert_allclose(velocity[which[:, 0] == model].std(axis=0), spread, rtol=0.15)


def test_gauss_markov_on_even_steps_is_a_first_order_filter():
    seconds = np.arange(200) * 0.5
    ours = gauss_markov(seconds, 20.0, 3, 2, rng_of(9))
    noise = rng_of(9).normal(size=(3, 200, 2))
    phi = np.exp(-0.5 / 20.0)
    driven = noise * np.sqrt(1.0 - phi**2)
    driven[:, 0] = noise[:, 0]
    np.testing.assert_allclose(ours, lfilter([1.0], [1.0, -phi], driven, axis=1), atol=1e-12)


def test_a_constant_error_stays_constant():
    ours = gauss_markov(np.arange(5.0), np.inf, 2, 1, rng_of(10))
    np.testing.assert_array_equal(ours, np.repeat(ours[:, :1], 5, axis=1))


def test_position_errors_are_drawn_as_their_rows_state():
    sensor = Positions("gnss", std_m=(2.0, 3.0, 4.0), shared_std_m=(5.0, 4.0, 9.0), shared_time_s=20.0)
    plan = replace(scenario("straight"), duration_s=20.0, sensors=(sensor,))
    error, spread = [], []
    for run in simulate(plan, runs=400, rng=rng_of(11)):
        rows = run.measurements
        error.append(rows.z - run.truth.at(rows.time_us).state[:, :3])
        spread.append(rows.cov + rows.site_cov)
    error, spread = np.array(error), np.array(spread)
    for moment in (0, 50, 100):
        assert within(nees(error[:, moment], spread[:, moment]), 3)
    # Over one correlation time the shared part keeps 1/e of itself, the fresh part nothing.
    lat, lon, _ = geodesy.ecef_to_geodetic(rows.z[:1])
    east = error @ geodesy.enu_rotation(lat, lon)[0][0]
    assert np.mean(east[:, 0] * east[:, 100]) / 25.0 == pytest.approx(np.exp(-1.0), abs=0.25)


def test_contact_errors_are_drawn_as_their_rows_state():
    plan = replace(scenario("straight"), duration_s=20.0, sensors=(Contacts("U", standoff_m=(50.0, 200.0)),))
    simulation = simulate(plan, runs=400, rng=rng_of(12))
    for moment in (0, 20):
        rows = [run.measurements.take([moment]) for run in simulation]
        error = np.array(
            [row.z[0] - run.truth.at(row.time_us).state[0, :3] for row, run in zip(rows, simulation, strict=True)]
        )
        assert within(nees(error, np.array([row.cov[0] + row.site_cov[0] for row in rows])), 3)


def camera_plan(errors, **camera):
    return replace(scenario("straight_camera"), duration_s=4.0, sensors=(Camera("D", errors=errors, **camera),))


def test_camera_errors_are_drawn_as_their_rows_and_sensor_state():
    errors = CameraErrors(heading_std_deg=1.0, boresight_std_deg=0.5, timing_std_s=0.05)
    simulation = simulate(camera_plan(errors), runs=400, rng=rng_of(13))
    for moment in (0, 40):
        squares = []
        for run in simulation:
            row = of_kind(run.measurements, LINE_OF_SIGHT).take([moment])
            sensor = row.sensors[row.sensor_id[0]]
            sight = run.truth.at(row.time_us).state[0, :3] - row.site_ecef_m[0]
            distance = np.linalg.norm(sight)
            sight /= distance
            lat, lon, _ = geodesy.ecef_to_geodetic(row.site_ecef_m)
            right = np.cross(sight, geodesy.enu_rotation(lat, lon)[0][2])
            level = np.linalg.norm(right)
            across = np.array([right / level, np.cross(right / level, sight)])
            cov = across @ (row.cov[0] + row.site_cov[0] / distance**2) @ across.T
            cov += sensor.boresight_std_rad**2 * np.eye(2)
            cov[0, 0] += (level * sensor.heading_std_rad) ** 2
            squares.append(nees(across @ row.z[0] / (sight @ row.z[0]), cov))
        assert within(np.array(squares), 2)


def test_ground_heights_are_drawn_as_their_rows_state():
    simulation = simulate(camera_plan(exact(), terrain_std_m=2.0), runs=400, rng=rng_of(14))
    squares = []
    for run in simulation:
        row = of_kind(run.measurements, HEIGHT).take([20])
        lat, lon, _ = geodesy.ecef_to_geodetic(row.z)
        up = geodesy.enu_rotation(lat, lon)[0][2]
        high = up @ (row.z[0] - run.truth.at(row.time_us).state[0, :3])
        squares.append(high**2 / (up @ (row.cov[0] + row.site_cov[0]) @ up))
    assert within(np.array(squares), 1)


def test_two_cameras_read_one_map():
    """The ground's error belongs to the ground: at one moment both cameras share it, up to what is fresh."""
    cameras = tuple(Camera(name, errors=exact(), terrain_std_m=5.0) for name in "AB")
    run = simulate(replace(scenario("straight_camera"), duration_s=30.0, sensors=cameras), rng=rng_of(15))[0]
    heights = of_kind(run.measurements, HEIGHT)
    _lat, _lon, alt = geodesy.ecef_to_geodetic(heights.z)
    apart = np.diff(alt)[np.diff(heights.time_us) == 0]
    assert len(apart) == 301
    assert apart.std() == pytest.approx(0.3 * np.sqrt(2.0), rel=0.15)


def test_a_budget_may_lie():
    honest, claimed = CameraErrors(heading_std_deg=5.0), CameraErrors(heading_std_deg=0.1)
    run = simulate(camera_plan(honest, stated=claimed), runs=50, rng=rng_of(16))
    assert run[0].measurements.sensors[0].heading_std_rad == pytest.approx(np.radians(0.1))
    assert np.degrees(run.errors["D camera"]["heading_rad"][:, 0].std()) == pytest.approx(5.0, rel=0.35)


def test_a_late_stamp_shows_the_target_where_it_was():
    """A camera that hovers beside a road: with a delay of d, a row says where the car was d before."""

    def path(seconds):
        return np.outer(seconds, [20.0, 0.0, 0.0])

    still = CameraErrors(
        pixel_std=0.0, pointing_std_deg=0.0, timing_std_s=0.0, heading_std_deg=0.0, boresight_std_deg=0.0,
        h_acc_m=1e-6, v_acc_m=1e-6,
    )  # fmt: skip
    camera = Camera("D", errors=still, latency_std_s=0.1, hovers=True, circle_m=300.0)
    plan = Scenario("late", "", 5.0, Free(path), (camera,))
    simulation = simulate(plan, runs=6, rng=rng_of(17))
    for run in simulation:
        lines = of_kind(run.measurements, LINE_OF_SIGHT)
        delay = float(run.errors["D camera"]["latency_s"])
        before = geodesy.enu_to_ecef(path((lines.time_us - run.truth.time_us[0]) * 1e-6 - delay), *plan.origin)
        sight = before - lines.site_ecef_m
        sight /= np.linalg.norm(sight, axis=1, keepdims=True)
        assert np.abs(lines.z - sight).max() < 2e-4
        assert np.abs(delay) > 0.0


def test_rows_are_lost_and_replaced_as_often_as_stated():
    sampling = Sampling(rate_hz=10.0, dropout=0.2, clutter=0.1)
    plan = replace(scenario("straight"), sensors=(Positions("gnss", sampling=sampling),))
    simulation = simulate(plan, runs=20, rng=rng_of(18))
    total = 20 * 601
    assert binom.cdf(simulation.n_rows, total, 0.8) == pytest.approx(0.5, abs=0.4999)
    false = sum(int(np.sum(run.cause == FROM_CLUTTER)) for run in simulation)
    assert binom.cdf(false, simulation.n_rows, 0.1) == pytest.approx(0.5, abs=0.4999)
    run = simulation[0]
    assert len(run.of_target) == np.sum(run.cause != FROM_CLUTTER)
    far = np.linalg.norm(run.measurements.z - run.truth.at(run.measurements.time_us).state[:, :3], axis=1)
    assert np.median(far[run.cause == FROM_CLUTTER]) > 40.0
    assert far[run.cause != FROM_CLUTTER].max() < 20.0


def test_the_look_alike_holds_the_camera_for_as_long_as_stated():
    simulation = simulate("look_alike", runs=5, rng=rng_of(19))
    for run in simulation:
        fooled = run.measurements.time_us[run.cause == FROM_LOOK_ALIKE]
        assert (fooled[-1] - fooled[0]) * 1e-6 == pytest.approx(8.0, abs=0.8)
        began_s = (fooled[0] - run.truth.time_us[0]) * 1e-6
        assert 50.0 <= began_s <= 60.8


def test_nothing_sees_into_the_tunnel():
    run = simulate("tunnel", rng=rng_of(20))[0]
    since_s = (run.measurements.time_us - run.truth.time_us[0]) * 1e-6
    assert not np.any((since_s >= 60.0) & (since_s < 120.0))
    assert np.any(since_s >= 120.0)


def test_late_radio_breaks_the_order_and_keeps_its_promise():
    run = simulate("late_radio", rng=rng_of(21))[0]
    delay_s = (run.arrival_us - run.measurements.time_us) * 1e-6
    assert np.any(np.diff(run.arrival_us) < 0)
    assert delay_s.min() >= 0.15 - 1e-6
    assert delay_s.max() <= 1.65 + 1e-6
    assert np.mean(delay_s > 0.1501) == pytest.approx(0.1, abs=0.05)
    together = run.measurements.time_us[:2]
    assert together[0] == together[1]
    assert run.arrival_us[0] == run.arrival_us[1]


def test_a_run_can_be_played_as_it_was_heard():
    run = simulate("late_radio", rng=rng_of(21))[0]
    batches = list(run.batches(0.1))
    assert sum(map(len, batches)) == len(run.measurements)
    assert any(late.time_us[0] < early.time_us[-1] for early, late in itertools.pairwise(batches))
    arrived = np.split(np.sort(run.arrival_us // 100_000), np.cumsum([len(batch) for batch in batches])[:-1])
    assert all(len(set(stretch.tolist())) == 1 for stretch in arrived)
    again = np.sort(np.concatenate([batch.z[:, 0] for batch in batches]))
    np.testing.assert_array_equal(again, np.sort(run.measurements.z[:, 0]))


@pytest.mark.parametrize("name", ["arcs", "traffic"])
def test_places_are_the_integral_of_velocities(name):
    simulation = simulate(name, runs=4, rng=rng_of(22))
    step_s = np.diff(simulation.time_us)[:, None] * 1e-6
    moved = np.diff(simulation.state[..., :3], axis=1) / step_s
    mean = 0.5 * (simulation.state[:, 1:, 3:] + simulation.state[:, :-1, 3:])
    assert np.abs(moved - mean).max() < 0.05


def test_arcs_keep_the_speed_and_turn_as_fast_as_stated():
    simulation = simulate("arcs", runs=20, rng=rng_of(23))
    velocity = simulation.state[..., 3:]
    np.testing.assert_allclose(np.linalg.norm(velocity, axis=2), 15.0, rtol=1e-9)
    cosine = np.sum(velocity[:, 1:] * velocity[:, :-1], axis=2) / 15.0**2
    rate = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))) / (np.diff(simulation.time_us) * 1e-6)
    turning = rate > 0.1
    assert 0.3 < turning.mean() < 0.7
    assert rate[turning].min() > 4.99
    assert rate.max() < 15.01


def test_traffic_stops_and_goes():
    speed = np.linalg.norm(simulate("traffic", runs=10, rng=rng_of(24)).state[..., 3:], axis=2)
    assert (speed.min(axis=1) < 1e-9).all()
    assert (speed.max(axis=1) > 8.0).all()
    assert speed.max() < 14.0 + 1e-9


def test_the_textbook_aircraft_flies_its_turns():
    simulation = simulate("imm_turn", rng=rng_of(25))
    enu = geodesy.ecef_to_enu(simulation.state[0, :, :3], *simulation.scenario.origin)
    at = {
        round(float(t)): place
        for t, place in zip((simulation.time_us - simulation.time_us[0]) * 1e-6, enu, strict=True)
    }
    np.testing.assert_allclose(at[125], [10_000.0, 10_000.0, 0.0], atol=1e-3)
    radius = 120.0 / np.radians(1.0)
    np.testing.assert_allclose(at[215], [10_000.0 - radius, 10_000.0 - radius, 0.0], atol=1e-3)
    np.testing.assert_allclose(at[340] - at[215], [0.0, -125.0 * 120.0, 0.0], atol=1e-3)
    np.testing.assert_allclose(at[420] - at[370], [-50.0 * 120.0, 0.0, 0.0], atol=1e-3)


def test_a_target_along_a_road_stays_on_it_and_stands_where_it_stops():
    road = Route.from_lat_lon([46.0, 46.0, 46.05], [20.0, 20.05, 20.05], alt_hae_m=120.0, corner_radius_m=30.0)
    drive = AlongRoute(road, cruise_mps=((0.0, 20.0), (9.0, 20.0)), stops=((2.0, 60.0),))
    simulation = simulate(Scenario("road", "", 700.0, drive, ()), runs=3, rng=rng_of(26))
    for run in simulation:
        s_m, lateral_m = road.locate(run.truth.state[:, :3])
        assert np.abs(lateral_m).max() < 1e-6
        assert (np.diff(s_m) > -1e-6).all()
        assert run.truth.state[-1, 3:] == pytest.approx(0.0, abs=1e-9)
        standing = np.linalg.norm(run.truth.state[:, 3:], axis=1) < 1e-6
        stop = np.abs(s_m - 2000.0) < 25.0
        assert 40.0 < 0.5 * np.sum(standing & stop) < 90.0


def test_the_exercise_leads_from_budapest_over_the_border_once(exercise):
    truth = exercise.truth(0)
    border = Border.between("HU", "RO")
    side = border.side(truth.lat_deg[::50], truth.lon_deg[::50])
    assert (side[0], side[-1]) == (0, 1)
    assert np.count_nonzero(np.diff(side)) == 1
    assert 215e3 < exercise.scenario.target.route.length_m < 225e3
    assert (truth.time_us[-1] - truth.time_us[0]) * 1e-6 == 10_800.0


def test_the_exercise_has_four_drones_that_relay_each_other_and_eight_units(exercise):
    table = exercise[0].measurements
    names = [sensor.name for sensor in table.sensors]
    assert sum(name.endswith("camera") for name in names) == 4
    assert sum(name.endswith("contact") for name in names) == 8
    assert {sensor.authority for sensor in table.sensors} == {"HU", "RO", ""}
    lines = of_kind(table, LINE_OF_SIGHT)
    assert np.diff(lines.time_us).max() * 1e-6 < 46.0  # nobody sees into the tunnel; elsewhere somebody always does
    assert np.sum(np.diff(lines.time_us) * 1e-6 > 2.0) == 1
    assert 200_000 < len(table) < 260_000


@pytest.mark.parametrize("frame", ["levelled", "earth"])
def test_flags_that_lie_send_the_camera_degrees_astray(frame):
    def car(seconds):
        return np.outer(seconds, [15.0, 0.0, 0.0])

    def copter(seconds):
        return car(seconds) + np.array([-20.0, -80.0, 110.0])

    flight = fly(car, copter, duration_s=20.0, mount=Mount(frame, lies=True), rng=rng_of(27))
    believed, right = (sightings(flight.telemetry, gimbal_frame=one, latency_s=0.0) for one in ("auto", frame))

    def miss_deg(lines):
        sight = flight.target_ecef_m - lines.site_ecef_m
        sight /= np.linalg.norm(sight, axis=1, keepdims=True)
        return np.degrees(np.linalg.norm(np.cross(lines.z, sight), axis=1))

    assert np.median(miss_deg(believed)) > 20.0
    assert miss_deg(right).max() < 0.05


def test_a_scenario_knows_whether_its_model_is_true():
    assert scenario("straight").model_is_true
    assert scenario("turns").model_is_true
    assert not scenario("arcs").model_is_true
    assert not scenario("stone_soup_ncv").model_is_true  # it starts at a speed of which the filter is not told
    other = ConstantVelocity(horizontal_psd=9.0)
    assert not replace(scenario("straight"), target=NearlyConstantVelocity(other)).model_is_true


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: simulate("nowhere", rng=rng_of(0)), "no scenario 'nowhere'; there are straight"),
        (lambda: simulate("straight", runs=0, rng=rng_of(0)), "runs must be at least 1"),
        (lambda: Sampling(rate_hz=0.0), "rate_hz must lie in"),
        (lambda: Sampling(dropout=1.5), "dropout is a share"),
        (lambda: Radio(late=2.0), "a radio needs a share"),
        (lambda: list(simulate("straight", rng=rng_of(0))[0].batches(0.0)), "at least a microsecond"),
        (lambda: Mount("sideways"), "frame must be levelled, body or earth"),
        (lambda: replace(scenario("straight"), duration_s=0.0), "duration_s must lie in"),
        (lambda: replace(scenario("straight"), sensors=(Positions("a"), Positions("a"))), "names of their own"),
    ],
)
def test_impossible_scenarios_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        wrong()


def test_a_run_that_does_not_exist_is_refused():
    with pytest.raises(IndexError, match="there are 1 runs"):
        simulate("straight", rng=rng_of(0))[1]


def test_the_textbook_ships_sail_their_courses():
    simulation = simulate("bearings_only", rng=rng_of(28))
    lines = of_kind(simulation[0].measurements, LINE_OF_SIGHT)
    truth, origin = simulation.truth(0), simulation.scenario.origin
    target = geodesy.ecef_to_enu(truth.state[:, :3], *origin)
    ship = geodesy.ecef_to_enu(lines.site_ecef_m, *origin)
    east, north = (target - ship)[0, :2]
    assert np.hypot(east, north) == pytest.approx(5000.0, abs=0.1)
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(80.0, abs=0.01)
    knots = 60.0 * 1852.0 / 3600.0
    steps = np.linalg.norm(np.diff(ship, axis=0), axis=1) / knots
    np.testing.assert_allclose(steps[:13], 5.0, rtol=1e-3)
    np.testing.assert_allclose(steps[17:], 5.0, rtol=1e-3)
    east, north = (ship[-1] - ship[17])[:2]
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(20.0, abs=0.01)
    np.testing.assert_allclose(truth.speed_mps * 3600.0 / 1852.0, 4.0, rtol=1e-3)
