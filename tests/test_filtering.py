import numpy as np
import pytest
from flights import GROUND_MSL_M, LAT, LON, START_US, Errors, fly, ground_hae_m, to_ecef, weave

from dronetrack import geodesy, reference
from dronetrack.errors import InputError
from dronetrack.filtering import track
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.motion import ConstantVelocity
from dronetrack.sensing import CameraErrors, sightings
from dronetrack.tracks import COASTING, CONFIRMED

NO_SHARED = CameraErrors(heading_std_deg=0.0, boresight_std_deg=0.0)


def horizontal(vectors):
    lat, lon = np.full(len(vectors), LAT), np.full(len(vectors), LON)
    return geodesy.ecef_vectors_to_enu(vectors, lat, lon)[:, :2]


def miss_m(result, seconds_to_place=weave):
    truth = to_ecef(seconds_to_place((result.time_us - START_US) * 1e-6))
    return np.linalg.norm(horizontal(result.state[:, :3] - truth), axis=1)


def positions(seconds, enu, std_m, name="gnss", **sensor):
    cov = np.broadcast_to(std_m**2 * np.eye(3), (len(seconds), 3, 3))
    time_us = START_US + np.rint(seconds * 1e6).astype(np.int64)
    return measurements_of(time_us, POSITION, to_ecef(enu), cov, Sensor(name, **sensor))


def without_shared(table):
    """The same rows with nothing shared, as the textbook filter wants them."""
    return measurements_of(
        table.time_us, int(table.kind[0]), table.z, table.cov, Sensor(f"{table.kind[0]}"), site_ecef_m=table.site_ecef_m
    )


def test_positions_are_filtered_as_filterpy_does(rng):
    seconds = np.cumsum(rng.uniform(0.05, 0.9, 300))
    table = positions(seconds, weave(seconds) + rng.normal(0, 3.0, (300, 3)), 3.0)
    ours = track(table, motion=ConstantVelocity(), coast_step_s=10.0, gate_probability=0.9999999, learn_noise=False)
    rest = table.take(slice(1, None))
    state, cov = reference.track(rest, ours.state[0], ours.cov[0], int(ours.time_us[0]))
    np.testing.assert_allclose(ours.state[1:], state, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.cov[1:], cov, rtol=1e-6, atol=1e-8)


def test_lines_of_sight_and_heights_are_filtered_as_filterpy_does(rng):
    log, _, _ = fly(40.0, errors=Errors(pixel=0.003), rng=rng)
    table = sightings(log, terrain=GROUND_MSL_M, latency_s=0.0, errors=NO_SHARED)
    lines, heights = (without_shared(table.take(table.kind == kind)) for kind in (LINE_OF_SIGHT, HEIGHT))
    plain = merge(lines, heights)
    ours = track(plain, motion=ConstantVelocity(), gate_probability=0.9999999, learn_noise=False)
    assert ours.stats["recoveries"] == 0
    settled = 60  # the first lines move the target by far: there our filter iterates
    after = ours.time_us[settled]
    state, cov = reference.track(plain.take(plain.time_us > after), ours.state[settled], ours.cov[settled], int(after))
    last = np.flatnonzero(np.append(np.diff(plain.time_us[plain.time_us > after]) > 0, True))
    np.testing.assert_allclose(ours.state[settled + 1 :], state[last], rtol=0, atol=2e-3)
    np.testing.assert_allclose(ours.cov[settled + 1 :], cov[last], rtol=1e-3, atol=1e-3)


def test_a_ray_on_the_ground_starts_a_track():
    log, _, truth = fly(1.0)
    result = track(sightings(log, terrain=GROUND_MSL_M, latency_s=0.0))
    assert result.time_us[0] == START_US + 500_000
    assert np.linalg.norm(result.state[0, :3] - truth[0]) < 1.0


def test_lines_of_sight_without_ground_start_nothing():
    log, _, _ = fly(5.0)
    assert len(track(sightings(log, latency_s=0.0))) == 0


def test_a_sensor_that_may_not_start_a_track_starts_none():
    seconds = np.arange(0.0, 5.0, 0.5)
    assert len(track(positions(seconds, weave(seconds), 3.0, starts_tracks=False))) == 0


def test_nothing_in_is_nothing_out():
    assert len(track(merge())) == 0


def test_a_pause_is_coasted_with_rows_and_growing_doubt():
    seconds = np.concatenate([np.arange(0.0, 20.0, 0.2), np.arange(40.0, 60.0, 0.2)])
    result = track(positions(seconds, weave(seconds), 2.0))
    assert np.diff(result.time_us).max() <= 500_000
    pause = (result.time_us > START_US + 21_000_000) & (result.time_us < START_US + 40_000_000)
    assert (result.status[pause] == COASTING).all()
    assert np.isnan(result.nis[pause]).all()
    assert (np.diff(result.pos_cov_enu_m2[pause][:, 0, 0]) > 0).all()
    assert (result.status[~pause][result.time_us[~pause] < START_US + 20_000_000] == CONFIRMED).all()
    assert result.n_sensors[pause].max() == 0


def test_rows_that_were_not_observed_are_counted_and_change_nothing():
    seconds = np.arange(0.0, 20.0, 0.5)
    table = positions(seconds, weave(seconds), 2.0)
    z = table.z.copy()
    z[10:13] = np.nan
    holed = measurements_of(table.time_us, POSITION, z, table.cov, table.sensors[0])
    without = table.take(np.r_[0:10, 13:40])
    one, two = track(holed), track(without)
    assert one.stats["sensors"]["gnss"]["not_observed"] == 3
    np.testing.assert_allclose(one.state[-1], two.state[-1], atol=1e-6)


def latched(rng, start_s, stop_s, away=(0.0, 60.0)):
    """A flight in which the camera sits on another car for a while, which drives another way."""
    log, image_s, _ = fly(120.0, errors=Errors(pixel=0.003), rng=rng)
    table = sightings(log, terrain=GROUND_MSL_M, latency_s=0.0)
    rows = table.take(table.kind == LINE_OF_SIGHT)
    wrong = (image_s >= start_s) & (image_s < stop_s)
    other = weave(image_s) + np.array([*away, 0.0]) + np.outer(image_s - start_s, [-4.0, 3.0, 0.0])
    sight = to_ecef(other) - rows.site_ecef_m
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    z = np.where(wrong[:, None], sight, rows.z)
    lines = measurements_of(
        rows.time_us, LINE_OF_SIGHT, z, rows.cov, rows.sensors[rows.sensor_id[0]],
        site_ecef_m=rows.site_ecef_m, site_cov=rows.site_cov,
    )  # fmt: skip
    from dronetrack.sensing import ground_heights

    return merge(lines, ground_heights(lines, GROUND_MSL_M))


@pytest.mark.parametrize("seed", range(6))
def test_five_seconds_on_the_wrong_car_do_not_steal_the_track(seed):
    result = track(latched(np.random.default_rng(seed), 60.0, 65.0))
    during = (result.time_us >= START_US + 60_000_000) & (result.time_us < START_US + 68_000_000)
    assert miss_m(result)[during].max() < 20.0
    assert result.stats["recoveries"] == 0
    assert result.stats["sensors"]["D camera"]["refused"][0]["rows"] >= 20
    assert miss_m(result)[result.time_us > START_US + 70_000_000].max() < 6.0


@pytest.mark.parametrize("seed", range(6))
def test_a_true_jump_does_not_lose_the_target_for_ever(seed):
    rng = np.random.default_rng(seed)
    seconds = np.arange(0.0, 80.0, 0.2)

    def jumped(t):
        return weave(t) + np.outer(t >= 40.0, [300.0, -200.0, 0.0])

    result = track(positions(seconds, jumped(seconds) + rng.normal(0, 2.0, (len(seconds), 3)), 2.0))
    assert result.stats["recoveries"] == 1
    assert 47.0 < (result.stats["recovered_us"][0] - START_US) * 1e-6 < 52.0
    late = result.time_us > START_US + 53_000_000
    assert miss_m(result, jumped)[late].max() < 10.0
    assert result.track_id == 1


def test_single_wild_rows_are_gated_and_counted(rng):
    seconds = np.arange(0.0, 60.0, 0.2)
    enu = weave(seconds) + rng.normal(0, 2.0, (len(seconds), 3))
    wild = rng.choice(np.arange(20, 300), 25, replace=False)
    enu[wild] += rng.normal(0, 400.0, (25, 3))
    result = track(positions(seconds, enu, 2.0))
    counts = result.stats["sensors"]["gnss"]
    assert 22 <= counts["gated"] + counts["second_hypothesis"] <= 30
    assert miss_m(result)[50:].max() < 12.0


def test_a_shared_error_is_not_averaged_away():
    """A thousand rows with one common error of 5 m know the place to 5 m, not to 5 m / sqrt(1000)."""
    seconds = np.arange(0.0, 100.0, 0.1)
    n = len(seconds)
    table = measurements_of(
        START_US + np.rint(seconds * 1e6).astype(np.int64), POSITION, to_ecef(np.zeros((n, 3))),
        np.broadcast_to(0.25 * np.eye(3), (n, 3, 3)), Sensor("gnss", shared_time_s=1e6),
        site_cov=np.broadcast_to(25.0 * np.eye(3), (n, 3, 3)),
    )  # fmt: skip
    still = ConstantVelocity(horizontal_psd=1e-6, vertical_psd=1e-6)
    std_m = np.sqrt(track(table, motion=still).pos_cov_enu_m2[-1, 0, 0])
    assert 4.9 < std_m < 5.2


def test_two_sensors_with_errors_of_their_own_are_better_than_one():
    seconds = np.arange(0.0, 30.0, 0.5)

    def from_one(name):
        table = positions(seconds, weave(seconds), 1.0, name, shared_time_s=300.0)
        cov = np.broadcast_to(16.0 * np.eye(3), (len(seconds), 3, 3))
        return measurements_of(table.time_us, POSITION, table.z, table.cov, table.sensors[0], site_cov=cov)

    alone = track(from_one("a")).pos_cov_enu_m2[-1, 0, 0]
    both = track(merge(from_one("a"), from_one("b"))).pos_cov_enu_m2[-1, 0, 0]
    assert both < 0.65 * alone


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gate_probability": 0.2}, "gate_probability must lie in"),
        ({"recover_s": 0.0}, "recover_s must be positive"),
        ({"coast_step_s": np.inf}, "coast_step_s must be positive"),
    ],
)
def test_options_out_of_range_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        track(merge(), **wrong)


def test_motion_models_refuse_impossible_noise():
    with pytest.raises(InputError, match="horizontal_psd must be positive"):
        ConstantVelocity(horizontal_psd=-1.0)


def test_the_ground_is_where_the_tests_think():
    assert ground_hae_m() == pytest.approx(126.9, abs=0.5)
