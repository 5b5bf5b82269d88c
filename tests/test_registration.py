from dataclasses import replace

import numpy as np
import pytest
from flights import GROUND_MSL_M, START_US, Errors, fly, to_ecef, weave
from songdo import ERRORS, GROUND, Songdo
from test_sensing import unit_on

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.filtering import track
from dronetrack.mavlink import read_telemetry
from dronetrack.measurements import HEIGHT
from dronetrack.mission import read_mission
from dronetrack.motion import ConstantVelocity
from dronetrack.registration import Priors, Registration, register, register_to_places
from dronetrack.registration.adjustment import LATENCY, N_CONSTANTS, Adjustment, Fixes, Knots
from dronetrack.registration.frames import correlation_factor, frame_prior
from dronetrack.sensing import CameraErrors, Correction, ground_heights, sightings
from dronetrack.telemetry import Telemetry
from dronetrack.units import read_units

SEEN = Errors(pixel=0.003, latency_s=0.26, jitter_s=0.02)


def off_deg(lines, truth):
    sight = truth - lines.site_ecef_m
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    return np.degrees(np.linalg.norm(np.cross(lines.z, sight), axis=1))


def lagging(log, lag_s):
    """Return the log of a mount that reaches the angles which it reports only later."""
    return replace(log, gimbal=replace(log.gimbal, time_us=log.gimbal.time_us - round(1e6 * lag_s)))


def truth_at(time_us):
    return to_ecef(weave((time_us - START_US) * 1e-6))


def test_only_a_heading_that_was_found_far_off_is_held_more_loosely():
    near, far = (Registration("D", 0, 0, off_deg, 0, 1, *5 * (0.1,), np.eye(5), "body", {}) for off_deg in (0.5, 3.3))
    errors = CameraErrors(compass_std_deg=1.25)
    assert near.open_budget(errors) == errors
    assert far.open_budget(errors) == replace(errors, compass_std_deg=far.open_budget().compass_std_deg)
    # Student's t with three degrees of freedom: information (3 + 1) / (3 + z^2) of the normal one.
    assert far.open_budget().compass_std_deg == pytest.approx(1.25 * np.sqrt((3.0 + (3.3 / 1.25) ** 2) / 4.0))


# --- what a correction does to sightings


def test_a_correction_turns_the_stated_line_onto_the_true_one():
    log, _, truth = fly(20.0)
    turned = sightings(log, latency_s=0.0, correction=Correction(yaw_deg=0.7, pitch_deg=-0.4, heading_deg=1.5))
    back = sightings(log, latency_s=0.0, correction=Correction())
    assert np.median(off_deg(back, truth)) < 0.02
    lat, lon, _ = geodesy.ecef_to_geodetic(turned.site_ecef_m)
    before, after = (geodesy.ecef_vectors_to_enu(lines.z, lat, lon) for lines in (back, turned))
    up = np.degrees(np.arcsin(after[:, 2]) - np.arcsin(before[:, 2]))
    np.testing.assert_allclose(up, -0.4, atol=0.06)  # the target is not in the middle of the image
    azimuth = np.degrees(np.arctan2(after[:, 0], after[:, 1]) - np.arctan2(before[:, 0], before[:, 1]))
    sideways = azimuth - 0.7 / np.hypot(before[:, 0], before[:, 1])
    np.testing.assert_allclose((sideways + 180.0) % 360.0 - 180.0, 1.5, atol=0.12)


def test_what_a_correction_leaves_uncertain_enters_the_sensor():
    log, _, _ = fly(10.0)
    errors = CameraErrors(heading_std_deg=0.3)
    put_right = Correction(yaw_std_deg=0.1, pitch_std_deg=0.05, heading_std_deg=0.4, latency_s=0.2, latency_std_s=0.01)
    sensor = sightings(log, errors=errors, correction=put_right).sensors[0]
    assert np.degrees(sensor.boresight_std_rad) == pytest.approx(0.05)
    assert np.degrees(sensor.heading_std_rad) > 0.4
    assert np.degrees(sensor.wander_std_rad) == pytest.approx(0.3)
    counts = sightings(log, errors=errors, correction=put_right).stats["D camera"]
    assert (counts["latency_s"], counts["latency_std_s"], counts["latency_from"]) == (0.2, 0.01, "registered")


def test_a_given_frame_and_latency_stand_above_a_correction():
    log, _, truth = fly(10.0, frame="body")
    put_right = Correction(gimbal_frame="levelled", latency_s=0.5, latency_std_s=0.01)
    assert np.median(off_deg(sightings(log, gimbal_frame="body", latency_s=0.0, correction=put_right), truth)) < 0.05


def test_a_lag_puts_the_mount_where_it_stood_and_its_doubt_into_the_lines():
    log, _, truth = fly(20.0, frame="body", servo=True)
    log = lagging(log, 0.15)
    lines = [
        sightings(log, latency_s=0.0, gimbal_frame="body", correction=Correction(lag_s=lag_s, lag_std_s=std_s))
        for lag_s, std_s in ((0.0, 0.0), (0.15, 0.0), (0.15, 0.05))
    ]
    inside = slice(10, -10)  # the log of the mount ends before its images
    off = [np.median(off_deg(each, truth[: len(each)])[inside]) for each in lines]
    assert off[1] < 0.1 * off[0]
    grown = np.trace(lines[2].cov, axis1=1, axis2=2) / np.trace(lines[1].cov, axis1=1, axis2=2)
    assert np.all(grown >= 1.0)
    assert np.median(grown) > 1.01


# --- the adjustment


def test_the_path_is_the_smoothing_spline_of_its_places(rng):
    """No cameras, no ground: the normal equations against a dense least squares of the same problem."""
    knots = Knots(0, 12_000_000)
    time_us = np.sort(rng.integers(0, 12_000_000, 60))
    noisy = truth_at(START_US + time_us) + rng.normal(size=(60, 3))
    origin = noisy.mean(axis=0)
    path = Adjustment(
        knots, (origin, np.zeros((knots.n, 3))), [], [Fixes(time_us, noisy, np.tile(np.eye(3), (60, 1, 1)))], None,
        ConstantVelocity(2.0, 2.0),
    )  # fmt: skip
    path.robust = False
    path.step()
    at, value, _, _ = knots.weights(time_us)
    design = np.zeros((60, knots.n))
    np.put_along_axis(design, at, value, axis=1)
    fine = np.linspace(0.0, knots.n_intervals * knots.step_s, 20_001)[:-1]
    second = np.zeros((len(fine), knots.n))
    first, w = np.floor(fine).astype(int), fine % 1.0
    np.put_along_axis(second, first[:, None] + np.arange(4), np.stack([1 - w, 3 * w - 2, 1 - 3 * w, w], 1), axis=1)
    information = design.T @ design + second.T @ second * (fine[1] / 2.0)
    expected = np.linalg.solve(information, design.T @ (noisy - origin))
    np.testing.assert_allclose(path.band, expected, atol=0.02)


def test_the_derivatives_are_those_of_the_residuals(rng):
    log, _, _ = fly(20.0, errors=SEEN, rng=rng)
    from dronetrack.registration.register import _Entry

    entry = _Entry.of(log, "levelled", 0.26, None, Priors())
    sighter = entry.sighter_in("levelled", CameraErrors(), entry.view, (0.26, 0.1))
    knots = Knots(START_US, START_US + 21_000_000)
    times = knots.times_us()
    from dronetrack.registration.start import path_through

    start = path_through(
        knots, [Fixes(times, truth_at(times), np.tile(np.eye(3), (len(times), 1, 1)))], None, ConstantVelocity()
    )
    fit = Adjustment(knots, start, [sighter], [], None, ConstantVelocity())
    sights = fit.sights(0)
    for constant in range(LATENCY + 1):
        step = 1e-3 if constant == LATENCY else 1e-5
        fit.border[0, constant] += step
        # Residual is observed less expected: its change is minus the derivative.
        change = -(fit.sights(0).residual - sights.residual) / step
        fit.border[0, constant] -= step
        by_this = sights.jac[:, :, constant - N_CONSTANTS]
        np.testing.assert_allclose(change, by_this, atol=0.03 * np.abs(by_this).max())


def test_correlated_residuals_count_less(rng):
    white = rng.normal(size=(4000, 2))
    alike = np.repeat(rng.normal(size=(400, 2)), 10, axis=0)
    assert correlation_factor(white) == pytest.approx(1.0, abs=0.25)
    assert correlation_factor(alike) == pytest.approx(10.0, rel=0.25)


# --- flights with known errors


@pytest.mark.parametrize("latency_s", [0.1, 0.45])
def test_the_latency_is_found_within_its_error(rng, latency_s):
    log, _, _ = fly(90.0, errors=replace(SEEN, latency_s=latency_s), rng=rng)
    (found,) = register([log], terrain=GROUND_MSL_M, gimbal_frame="levelled")
    assert found.latency_std_s < 0.02
    assert found.latency_s == pytest.approx(latency_s, abs=3.0 * found.latency_std_s)


@pytest.mark.parametrize("lag_s", [0.0, 0.15])
def test_the_lag_of_a_servo_mount_is_not_taken_for_latency(rng, lag_s):
    log, _, _ = fly(90.0, frame="body", servo=True, errors=SEEN, rng=rng)
    (found,) = register([lagging(log, lag_s)], terrain=GROUND_MSL_M, gimbal_frame="body")
    assert found.lag_s == pytest.approx(lag_s, abs=max(3.0 * found.lag_std_s, 0.01))
    assert found.latency_s == pytest.approx(SEEN.latency_s, abs=2.0 * found.latency_std_s)
    assert found.latency_std_s < 0.02
    assert found.correction.lag_s == found.frame_and_clock.lag_s == found.lag_s


def test_only_a_servo_mount_lags(rng):
    log, _, _ = fly(60.0, errors=SEEN, rng=rng)
    (found,) = register([log], terrain=GROUND_MSL_M, gimbal_frame="levelled")
    assert (found.lag_s, found.lag_std_s) == (0.0, 0.0)


def test_a_servo_mount_is_never_taken_for_quieter_than_stated(rng):
    """The path follows errors that last, so small residuals prove nothing; a measured attitude may be quiet."""
    noise = {}
    for frame in ("levelled", "body"):
        log, _, _ = fly(60.0, frame=frame, servo=frame == "body", errors=SEEN, rng=rng)
        (found,) = register([log], terrain=GROUND_MSL_M, gimbal_frame=frame)
        noise[frame] = found.stats["noise_over_stated"]
    assert noise["levelled"] < 1.0
    assert noise["body"] == 1.0


def test_a_cooperative_unit_tells_constant_errors_within_their_stated_ones(rng):
    """Heading, boresight and latency drawn anew: the normalised errors of what is told apart are of size one."""
    squares = []
    for _ in range(8):
        yaw, pitch = np.radians(rng.normal(size=2) * 0.5)
        log, _, _ = fly(90.0, errors=SEEN, rng=rng)
        # The camera truly looks right and up of where the log says: turn what the log says left and down.
        from scipy.spatial.transform import Rotation

        said = Rotation.from_quat(log.gimbal.quaternion[:, [1, 2, 3, 0]])
        said = said * Rotation.from_euler("ZY", [yaw, pitch]).inv()
        gimbal = replace(log.gimbal, quaternion=said.as_quat()[:, [3, 0, 1, 2]])
        seconds = np.arange(0.0, 90.0, 1.0)
        bias = 1.5 * rng.normal(size=3) * np.array([1.0, 1.0, 0.0])
        unit = unit_on(weave(seconds) + bias, seconds)
        (found,) = register(
            [replace(log, gimbal=gimbal)], terrain=GROUND_MSL_M, cooperative=unit, gimbal_frame="levelled"
        )
        squares.append(
            [
                (found.pitch_deg - np.degrees(pitch)) / found.pitch_std_deg,
                (found.yaw_deg + found.heading_deg - np.degrees(yaw) / 0.6) / np.hypot(found.yaw_std_deg, 0.5),
                (found.latency_s - SEEN.latency_s) / found.latency_std_s,
            ]
        )
    squares = np.array(squares) ** 2
    assert np.all(squares.mean(axis=0) < 3.0)
    assert squares.max() < 16.0


@pytest.mark.parametrize(
    ("frame", "servo", "expected"),
    [("levelled", False, "levelled"), ("body", False, "body"), ("body", True, "body"), ("earth", False, "earth")],
)
@pytest.mark.parametrize("cooperative", [True, False])
def test_the_gimbal_frame_is_told_by_the_vehicles_own_motion(rng, frame, servo, expected, cooperative):
    log, _, _ = fly(90.0, frame=frame, servo=servo, errors=SEEN, rng=rng)
    seconds = np.arange(0.0, 90.0, 1.0)
    unit = unit_on(weave(seconds), seconds) if cooperative else None
    (found,) = register([log], terrain=GROUND_MSL_M, cooperative=unit)
    assert found.gimbal_frame == expected
    assert found.frame_probability[expected] > 0.95
    assert sum(found.frame_probability.values()) == pytest.approx(1.0)


def test_frames_that_no_motion_tells_apart_keep_their_prior(rng):
    """A vehicle that hovers level makes body and levelled one and the same; neither is claimed."""
    log, _, _ = fly(60.0, errors=SEEN, wobble=0.0, rng=rng)
    (found,) = register([log], terrain=GROUND_MSL_M)
    prior = frame_prior(log)
    assert found.gimbal_frame == "auto"
    assert not found.stats["frame_observed"]
    ratio = found.frame_probability["body"] / found.frame_probability["levelled"]
    assert ratio == pytest.approx(prior["body"] / prior["levelled"], rel=0.2)


def test_a_wrong_latch_hardly_moves_the_constants(rng):
    log, image_s, _ = fly(120.0, errors=SEEN, rng=rng)
    (clean,) = register([log], terrain=GROUND_MSL_M, gimbal_frame="levelled")
    x = log.image_target.x.copy()
    x[(image_s > 50.0) & (image_s < 55.0)] += 0.3
    (latched,) = register(
        [replace(log, image_target=replace(log.image_target, x=x))], terrain=GROUND_MSL_M, gimbal_frame="levelled"
    )
    for name in ("yaw", "pitch", "heading"):
        moved = getattr(latched, f"{name}_deg") - getattr(clean, f"{name}_deg")
        assert abs(moved) < 1.0 * getattr(clean, f"{name}_std_deg"), name


# --- poor data


def test_poor_data_get_the_prior_and_no_exception():
    short, _, _ = fly(1.5)
    blind = Telemetry(7, "blind")
    good, _, _ = fly(30.0)
    without_ground = register([good], gimbal_frame="levelled")[0]
    for found in (*register([short, blind], terrain=GROUND_MSL_M), without_ground):
        assert found.stats["not_registered"]
        assert (found.yaw_deg, found.pitch_deg, found.heading_deg) == (0.0, 0.0, 0.0)
        assert found.pitch_std_deg == pytest.approx(0.5)
    assert register([], terrain=GROUND_MSL_M) == ()


def test_a_target_above_the_drone_gets_the_prior():
    log, _, _ = fly(30.0)
    (found,) = register([log], terrain=500.0)
    assert found.stats["not_registered"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gimbal_frame": "vehicle"}, "gimbal_frame must be one of"),
        ({"gimbal_frame": ["body", "body"]}, "gimbal_frame must be one for all 1 drones"),
        ({"priors": None, "latency_s": [0.1, 0.2]}, "latency_s must be one for all 1 drones"),
    ],
)
def test_options_that_do_not_exist_are_refused(wrong, words):
    log, _, _ = fly(5.0)
    with pytest.raises(InputError, match=words):
        register([log], terrain=GROUND_MSL_M, **wrong)


def test_priors_must_be_positive():
    with pytest.raises(InputError, match="scale_std must be positive"):
        Priors(scale_std=0.0)


# --- recordings


def recorded(folder):
    mission = read_mission(folder / "mission.toml")
    return mission, [read_telemetry(one.log, one.system_id, name=one.id) for one in mission.drones]


@pytest.fixture(scope="module")
def joint(shared):
    folder = shared("recorded/joint_exercise_a")
    mission, drones = recorded(folder)
    return folder, mission, drones, register(drones, terrain=mission.terrain)


def test_recording_a_is_registered_within_its_stated_errors(joint):
    import json

    folder, mission, drones, found = joint
    camera = json.loads((folder / "scenario.json").read_text())["camera"]
    for entry, drone, one in zip(mission.drones, drones, found, strict=True):
        yaw, pitch = camera["boresight_yaw_pitch_deg"][entry.authority]
        # Stated latencies are the ends of an even jitter; our clock against theirs is off by what the log states.
        latency = np.mean(camera["latency_s"][entry.authority])
        assert abs(one.yaw_deg - yaw) < 2.0 * one.yaw_std_deg
        assert abs(one.pitch_deg - pitch) < 2.0 * one.pitch_std_deg
        assert one.pitch_std_deg < 0.1
        assert abs(one.latency_s - latency) < 2.0 * np.hypot(one.latency_std_s, drone.clock.std_s)
        assert one.latency_std_s < 0.01


def test_recording_a_is_levelled_and_nothing_else(joint):
    for one in joint[3]:
        assert one.gimbal_frame == "levelled"
        assert one.frame_probability["levelled"] > 0.99


def test_the_corrections_bring_sightings_of_recording_a_to_the_ground(joint):
    folder, mission, drones, found = joint
    rows = np.genfromtxt(folder / "truth.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    rows = rows[rows["entity"] == "target"]
    place = geodesy.geodetic_to_ecef(rows["lat_deg"], rows["lon_deg"], rows["alt_hae_m"])

    def p95(drone, correction):
        table = sightings(drone, terrain=mission.terrain, correction=correction)
        points = table.take(table.kind == HEIGHT)
        where = np.column_stack([np.interp(points.time_us, rows["time_unix_us"], place[:, axis]) for axis in range(3)])
        return np.percentile(np.linalg.norm(points.z - where, axis=1), 95)

    for drone, one in zip(drones, found, strict=True):
        assert p95(drone, one.correction) < 0.7 * p95(drone, None)


@pytest.mark.parametrize("run", ["sitl_run1_copter_rover_border", "sitl_run2_copter_rover_border_servo_mount_camfov"])
@pytest.mark.parametrize("cooperative", [True, False])
def test_a_real_servo_mount_whose_flags_lie_is_diagnosed(shared, run, cooperative):
    path = shared(f"sitl/{run}.tlog")
    drone = read_telemetry(path, 1, name="D1")
    rover = read_units(path, system_id=2) if cooperative else None
    (found,) = register([drone], terrain=84.0, cooperative=rover)
    assert found.stats["frame_stated"] == "levelled"
    assert found.gimbal_frame == "body"
    assert found.frame_probability["body"] > 0.95


# --- real pixels


@pytest.fixture(scope="module")
def songdo(shared):
    return Songdo(shared("geotrax_songdo"))


@pytest.fixture(scope="module")
def songdo_camera(songdo):
    rows = np.flatnonzero((songdo.vehicle % 2 == 0) & (songdo.frame % 15 == 0))
    return register_to_places(songdo.log(rows), songdo.place[rows], errors=ERRORS, priors=Priors(3.0, 180.0, 0.05))


def test_other_vehicles_of_a_real_picture_are_placed_within_half_a_metre(songdo, songdo_camera):
    rows = np.flatnonzero(songdo.vehicle % 2 == 1)
    lines = sightings(songdo.log(rows), latency_s=0.0, errors=ERRORS, correction=songdo_camera.correction)
    points = ground_heights(lines, GROUND)
    assert len(points) == len(rows)
    miss = np.linalg.norm(points.z - songdo.place[rows], axis=1)
    assert np.median(miss) < 0.2
    assert np.percentile(miss, 95) < 0.5
    assert songdo_camera.scale == pytest.approx(0.983, abs=2.0 * songdo_camera.scale_std)


def test_tracks_of_a_real_picture_hold_their_reference(songdo, songdo_camera):
    inside, miss = [], []
    for vehicle in np.unique(songdo.vehicle[songdo.vehicle % 8 == 1]):
        rows = np.flatnonzero(songdo.vehicle == vehicle)
        if len(rows) < 60:
            continue
        table = sightings(
            songdo.log(rows), terrain=GROUND, latency_s=0.0, errors=ERRORS, correction=songdo_camera.correction
        )
        found = track(table)
        reference = songdo.place[rows][np.searchsorted(songdo.time_us(songdo.frame[rows]), found.time_us)]
        lat, lon, _ = geodesy.ecef_to_geodetic(reference)
        off = geodesy.ecef_vectors_to_enu(found.state[:, :3] - reference, lat, lon)[:, :2]
        cov = geodesy.ecef_covariance_to_enu(found.cov[:, :3, :3], lat, lon)[:, :2, :2]
        inside.append(np.einsum("ni,nij,nj->n", off, np.linalg.inv(cov), off) < 5.99)
        miss.append(np.linalg.norm(off, axis=1))
    assert np.concatenate(inside).mean() > 0.95
    assert np.median(np.concatenate(miss)) < 0.2


def test_places_must_match_the_image_points(songdo):
    rows = np.arange(50)
    with pytest.raises(InputError, match="one for each of 50 image points"):
        register_to_places(songdo.log(rows), songdo.place[:40])
    with pytest.raises(InputError, match="no image point of an active tracker"):
        register_to_places(songdo.log(rows), np.full((50, 3), np.nan))
