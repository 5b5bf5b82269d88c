import numpy as np
import pytest
from flights import FLAGS_VEHICLE_YAW, GROUND_MSL_M, LAT, LON, START_US, Errors, fly, to_ecef, weave

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.mavlink import read_telemetry
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT
from dronetrack.sensing import CameraErrors, check_gimbal_frame, contacts, geo_targets, sightings
from dronetrack.telemetry import GeoTarget, Telemetry
from dronetrack.terrain import Terrain
from dronetrack.units import UnitReports, read_units


def miss_deg(lines, truth):
    sight = truth - lines.site_ecef_m
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    return np.degrees(np.linalg.norm(np.cross(lines.z, sight), axis=1))


def of_kind(table, kind):
    return table.take(table.kind == kind)


@pytest.mark.parametrize(
    ("frame", "option", "servo"),
    [
        ("levelled", "auto", False),
        ("levelled", "levelled", False),
        ("earth", "auto", False),
        ("earth", "earth", False),
        ("body", "body", False),
        ("body", "body", True),
    ],
)
def test_lines_of_sight_pass_through_the_target(frame, option, servo):
    log, _, truth = fly(30.0, frame=frame, servo=servo)
    lines = sightings(log, gimbal_frame=option, latency_s=0.0)
    assert len(lines) == len(truth)
    assert miss_deg(lines, truth).max() < 0.05  # what linear interpolation between 20 Hz rows leaves


def test_the_wrong_frame_misses_by_degrees():
    log, _, truth = fly(30.0, frame="body")
    assert np.median(miss_deg(sightings(log, latency_s=0.0), truth)) > 5.0


def test_height_rows_stand_where_the_line_meets_the_ground():
    log, _, truth = fly(30.0)
    table = sightings(log, terrain=GROUND_MSL_M, latency_s=0.0)
    heights = of_kind(table, HEIGHT)
    assert len(heights) == len(truth)
    assert np.linalg.norm(heights.z - truth, axis=1).max() < 0.5
    np.testing.assert_array_equal(heights.time_us, of_kind(table, LINE_OF_SIGHT).time_us)


def test_rays_over_the_horizon_give_no_ground_and_are_counted():
    log, _, _ = fly(10.0)
    table = sightings(log, terrain=Terrain.constant(300.0), latency_s=0.0)  # the drone is below that
    assert table.stats["terrain"]["rays_without_ground"] == len(of_kind(table, LINE_OF_SIGHT))


def test_idle_coasting_and_faulty_rows_are_no_sightings():
    kinds = np.array([1, 0, 8, 9, 2, 3])
    log, _, truth = fly(30.0, status=lambda t: kinds[np.arange(len(t)) % 6])
    table = sightings(log, latency_s=0.0)
    rows = len(truth)
    counts = table.stats["D camera"]
    assert len(table) == counts["sightings"] == np.sum(np.arange(rows) % 6 == 0)
    assert counts["idle"] == np.sum(np.arange(rows) % 6 == 1)
    assert counts["coasting"] == np.sum(np.isin(np.arange(rows) % 6, (2, 3)))
    assert counts["error"] == np.sum(np.isin(np.arange(rows) % 6, (4, 5)))


@pytest.mark.parametrize("latency_s", [0.08, 0.26, 0.55])
def test_latency_is_found_from_the_cameras_own_motion(rng, latency_s):
    log, _, _ = fly(240.0, errors=Errors(pixel=0.003, latency_s=latency_s, jitter_s=0.02), rng=rng)
    counts = sightings(log).stats["D camera"]
    assert counts["latency_from"] == "estimated"
    assert counts["latency_s"] == pytest.approx(latency_s, abs=max(0.02, 3 * counts["latency_std_s"]))


def test_a_camera_that_hardly_moves_gets_a_typical_latency_and_an_honest_spread():
    log, _, _ = fly(3.0)
    counts = sightings(log).stats["D camera"]
    assert counts["latency_from"].startswith("typical")
    assert counts["latency_std_s"] >= 0.1


def test_the_covariance_holds_what_is_new_in_each_row(rng):
    """Pixel, pointing and timing errors, drawn as stated: the normalised square of the miss is two on the mean."""
    errors = CameraErrors(pixel_std=0.004, pointing_std_deg=0.1, timing_std_s=0.02)
    drawn = Errors(pixel=0.004, pointing_deg=0.1, latency_s=0.2, jitter_s=0.02)
    nis = []
    for _ in range(4):
        log, image_s, _ = fly(60.0, errors=drawn, rng=rng)
        lines = sightings(log, latency_s=0.2, errors=errors)
        truth = to_ecef(weave((lines.time_us - START_US) * 1e-6))
        sight = truth - lines.site_ecef_m
        sight /= np.linalg.norm(sight, axis=1, keepdims=True)
        across = np.linalg.svd(sight[:, None, :])[2][:, 1:]
        off = np.einsum("nij,nj->ni", across, lines.z)
        cov = across @ lines.cov @ across.transpose(0, 2, 1)
        nis.append(np.einsum("ni,nij,nj->n", off, np.linalg.inv(cov), off).mean())
        assert len(image_s) == len(lines)
    assert 1.4 < np.mean(nis) < 2.3


def test_the_line_of_sight_has_no_covariance_along_itself():
    log, _, _ = fly(10.0)
    lines = sightings(log, latency_s=0.0, errors=CameraErrors(timing_std_s=1e-9))
    along = np.einsum("ni,nij,nj->n", lines.z, lines.cov, lines.z)
    assert along.max() < 1e-12


def test_a_log_without_field_of_view_is_refused_in_words():
    log, _, _ = fly(5.0)
    blind = Telemetry(
        1, "D", position=log.position, attitude=log.attitude, gimbal=log.gimbal, image_target=log.image_target
    )
    with pytest.raises(InputError, match="never says the field of view"):
        sightings(blind)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"gimbal_frame": "vehicle"}, "gimbal_frame must be one of"), ({"latency_s": -1.0}, "latency_s must be")],
)
def test_options_that_do_not_exist_are_refused(wrong, words):
    log, _, _ = fly(5.0)
    with pytest.raises(InputError, match=words):
        sightings(log, **wrong)


def unit_on(path, seconds, name="U", speed=None, course=None):
    lat, lon, alt = geodesy.ecef_to_geodetic(to_ecef(path))
    n = len(seconds)
    unknown = np.full(n, np.nan)
    return UnitReports(
        START_US + np.rint(seconds * 1e6).astype(np.int64), np.zeros(n, np.int32), lat, lon, alt, np.full(n, 3.0),
        unknown if speed is None else speed, unknown if course is None else course, np.zeros(n, np.int8),
        unknown, unknown, (name,),
    )  # fmt: skip


def test_a_cooperative_unit_tells_the_gimbal_frame():
    log, _, _ = fly(60.0, frame="body")
    seconds = np.arange(0.0, 60.0, 1.0)
    target = unit_on(weave(seconds), seconds)
    check = check_gimbal_frame(log, target)
    assert not check["agrees"]
    assert check["best_frame"] == "body"
    assert "try gimbal_frame='body'" in check["warning"]
    assert check_gimbal_frame(log, target, gimbal_frame="body") == {"agrees": True}


def test_a_unit_out_of_view_says_nothing_about_the_frame():
    log, _, _ = fly(60.0, frame="body")
    seconds = np.arange(0.0, 60.0, 1.0)
    assert check_gimbal_frame(log, unit_on(weave(seconds) + np.array([0.0, 4000.0, 0.0]), seconds))["agrees"]


@pytest.mark.parametrize("run", ["sitl_run1_copter_rover_border", "sitl_run2_copter_rover_border_servo_mount_camfov"])
def test_a_real_servo_mount_is_read_in_the_body_frame(shared, run):
    """ArduPilot's servo mount, whose flags lie: 18 m in the plain body frame, 95 m as the flags say."""
    path = shared(f"sitl/{run}.tlog")
    drone, rover = read_telemetry(path, 1, name="D1"), read_units(path, system_id=2)
    points = of_kind(sightings(drone, terrain=84.0, gimbal_frame="body"), HEIGHT)
    place = geodesy.geodetic_to_ecef(rover.lat_deg, rover.lon_deg, rover.alt_hae_m)
    where = np.column_stack([np.interp(points.time_us, rover.time_us, place[:, axis]) for axis in range(3)])
    lat, lon, _ = geodesy.ecef_to_geodetic(where)
    off = geodesy.ecef_vectors_to_enu(points.z - where, lat, lon)
    assert np.median(np.hypot(off[:, 0], off[:, 1])) < 10.0
    by_flags = sightings(drone, cooperative=rover).stats["D1 camera"]["gimbal_frame_check"]
    assert not by_flags["agrees"]
    assert by_flags["best_frame"] == "body"


def test_a_gimbal_that_follows_its_vehicle_looks_at_nothing():
    log, _, _ = fly(20.0)
    flags = np.full(len(log.gimbal), FLAGS_VEHICLE_YAW, dtype=np.int32)
    flags[100:] |= 16  # yaw lock
    flags[:20] = 1  # retracted
    gimbal = type(log.gimbal)(log.gimbal.time_us, log.gimbal.quaternion, flags, log.gimbal.delta_yaw_rad)
    blind = Telemetry(1, "D", position=log.position, attitude=log.attitude, gimbal=gimbal)
    counts = sightings(blind).stats["D camera"]
    assert (counts["stowed"], counts["following_vehicle"]) == (20, 80)
    assert counts["sightings"] == len(flags) - 100


def geo_rows(n, **changes):
    unknown = np.full(n, np.nan)
    columns = {
        "time_us": START_US + 100_000 * np.arange(n), "receive_us": START_US + 100_000 * np.arange(n),
        "status": np.ones(n, np.int16), "lat_deg": np.full(n, LAT), "lon_deg": np.full(n, LON),
        "alt_hae_m": np.full(n, 127.0), "h_acc_m": np.full(n, 6.0), "v_acc_m": unknown,
        "vel_ned_mps": np.full((n, 3), np.nan), "vel_acc_mps": unknown,
    } | changes  # fmt: skip
    return Telemetry(3, "D", geo_target=GeoTarget(**columns))


def test_the_cameras_own_position_brings_its_stated_accuracy_as_a_shared_error():
    table = geo_targets(geo_rows(5), latency_s=0.3)
    assert table.time_us[0] == START_US - 300_000
    local = geodesy.ecef_covariance_to_enu(table.site_cov, np.full(5, LAT), np.full(5, LON))
    np.testing.assert_allclose(np.diagonal(local, axis1=1, axis2=2), [[36.0, 36.0, 144.0]] * 5, rtol=1e-6)


def test_positions_that_the_camera_does_not_vouch_for_are_counted():
    accuracy = np.array([6.0, np.nan, 0.0, 6.0, 6.0])
    table = geo_targets(geo_rows(5, h_acc_m=accuracy, status=np.array([1, 1, 1, 8, 0], np.int16)))
    assert len(table) == 1
    assert table.stats["D geo"] == {"not_active": 2, "without_accuracy": 2}


def test_a_moving_contact_places_the_target_ahead_of_it():
    seconds = np.arange(5.0)
    unit = unit_on(np.column_stack([20.0 * seconds, 0 * seconds, 0 * seconds]), seconds,
                   speed=np.full(5, 20.0), course=np.full(5, 90.0))  # fmt: skip
    table = contacts(unit, standoff_m=(50.0, 200.0))
    ahead = geodesy.ecef_to_enu(table.z, LAT, LON, 127.0)[:, 0] - 20.0 * seconds
    np.testing.assert_allclose(ahead, 125.0, atol=0.01)
    local = geodesy.ecef_covariance_to_enu(table.site_cov, np.full(5, LAT), np.full(5, LON))
    assert np.sqrt(local[0, 0, 0]) == pytest.approx(np.hypot(150.0 / np.sqrt(12.0), 3.0), rel=0.01)
    assert not table.sensors[0].starts_tracks


def test_a_standing_contact_only_says_near():
    seconds = np.arange(5.0)
    unit = unit_on(np.zeros((5, 3)), seconds, speed=np.zeros(5))
    table = contacts(unit, standoff_m=(50.0, 200.0))
    np.testing.assert_allclose(geodesy.ecef_to_enu(table.z, LAT, LON, 127.0)[:, :2], 0.0, atol=1e-6)
    assert table.stats["U contact"] == {"moving": 0, "standing": 5}


@pytest.mark.parametrize("distances", [(200.0, 50.0), (-1.0, 5.0), (50.0, np.inf), (50.0, 50.0)])
def test_impossible_distances_are_refused(distances):
    with pytest.raises(InputError, match="standoff_m must be two distances"):
        contacts(unit_on(np.zeros((2, 3)), np.arange(2.0)), standoff_m=distances)
