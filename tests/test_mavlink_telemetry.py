"""What a drone says in any of its messages becomes telemetry, and no trap of theirs gets through."""

import math

import numpy as np
import pytest
from senders import START_US, Recorder, blank, sent

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink import Decoder, join_frames, read_frames, read_telemetry

LAT, LON = 46.2, 20.7
PLACE = {"lat": 462_000_000, "lon": 207_000_000}
UNDULATION_M = float(geodesy.geoid_undulation_m([LAT], [LON])[0])


def clocked():
    return Recorder().clocked()


def read(recorder, **options):
    return read_telemetry(recorder.log, 1, **options)


def at(seconds):
    return [START_US + round(second * 1e6) for second in seconds]


# Positions


def test_relative_height_is_never_used():
    drone = read(clocked().placed(relative_alt=12_345))
    np.testing.assert_allclose(drone.position.alt_hae_m, 90.0 + UNDULATION_M, atol=1e-6)


def test_the_first_message_with_a_fix_says_where_it_was():
    recorder = clocked()
    recorder.add(1, "GLOBAL_POSITION_INT", time_boot_ms=101_000)  # lat = lon = 0: no fix yet
    recorder.add(2, "GPS_RAW_INT", time_usec=102_000_000, fix_type=3, alt=90_000, vel=65535, cog=65535, **PLACE)
    drone = read(recorder)
    assert drone.stats["position_message"] == "GPS_RAW_INT"
    assert drone.stats["rows_without_fix"] == 1
    assert drone.position.time_us.tolist() == pytest.approx(at([2]), abs=1000)


def test_a_receiver_states_metres_in_h_acc_and_not_in_its_dilution():
    recorder = clocked()
    recorder.add(1, "GPS_RAW_INT", time_usec=101_000_000, fix_type=3, alt=90_000, eph=120, epv=200, **PLACE)
    recorder.add(2, "GPS_RAW_INT", time_usec=102_000_000, fix_type=3, alt=90_000, h_acc=900, v_acc=1500, **PLACE)
    rows = read(recorder).position
    np.testing.assert_allclose(rows.h_acc_m, [np.nan, 0.9])
    np.testing.assert_allclose(rows.v_acc_m, [np.nan, 1.5])


def test_a_receiver_moves_along_its_course_and_says_nothing_of_the_vertical():
    recorder = clocked()
    recorder.add(1, "GPS2_RAW", time_usec=101_000_000, fix_type=3, alt=90_000, vel=1000, cog=9000, **PLACE)
    recorder.add(2, "GPS2_RAW", time_usec=102_000_000, fix_type=3, alt=90_000, vel=1000, cog=65535, **PLACE)
    velocity = read(recorder).position.vel_ned_mps
    np.testing.assert_allclose(velocity, [[0.0, 10.0, np.nan], [np.nan] * 3], atol=1e-9)


@pytest.mark.parametrize(
    ("ellipsoid", "expected"), [(131_000, 131.0), (90_000, 90.0 + UNDULATION_M), (0, 90.0 + UNDULATION_M)]
)
def test_a_height_above_the_ellipsoid_counts_where_it_is_one(ellipsoid, expected):
    recorder = clocked()
    recorder.add(1, "GPS_RAW_INT", time_usec=0, fix_type=3, alt=90_000, alt_ellipsoid=ellipsoid, **PLACE)
    np.testing.assert_allclose(read(recorder).position.alt_hae_m, expected, atol=1e-6)


@pytest.mark.parametrize("stamp", [START_US + 3_000_000, 103_000_000, 0])
def test_a_stamp_is_unix_or_boot_time_or_nothing_as_its_size_tells(stamp):
    recorder = clocked()
    recorder.add(3, "GPS_RAW_INT", time_usec=stamp, fix_type=3, alt=90_000, **PLACE)
    np.testing.assert_allclose(read(recorder).position.time_us, at([3]), atol=1000)


def test_what_gps_input_says_to_ignore_is_ignored():
    recorder = clocked()
    given = {"time_usec": 0, "fix_type": 3, "alt": 90.0, "vn": 1.0, "ve": 2.0, "vd": 3.0}
    accuracy = {"horiz_accuracy": 0.5, "vert_accuracy": 0.8}
    recorder.add(1, "GPS_INPUT", ignore_flags=0, **given, **accuracy, **PLACE)
    recorder.add(2, "GPS_INPUT", ignore_flags=8 | 64, **given, **accuracy, **PLACE)
    recorder.add(3, "GPS_INPUT", ignore_flags=1, **given, **accuracy, **PLACE)  # no height, no point
    rows = read(recorder).position
    np.testing.assert_allclose(rows.vel_ned_mps, [[1.0, 2.0, 3.0], [np.nan, np.nan, 3.0]])
    np.testing.assert_allclose(rows.h_acc_m, [0.5, np.nan])
    np.testing.assert_allclose(rows.v_acc_m, [0.8, 0.8], rtol=1e-6)


def test_local_positions_are_about_the_origin_and_not_about_home():
    recorder = clocked()
    recorder.add(0.5, "HOME_POSITION", latitude=470_000_000, longitude=210_000_000, altitude=10_000)
    recorder.add(0.5, "GPS_GLOBAL_ORIGIN", latitude=462_000_000, longitude=207_000_000, altitude=90_000)
    recorder.add(1, "LOCAL_POSITION_NED", time_boot_ms=101_000, x=100.0, y=50.0, z=-20.0, vx=1.0, vy=2.0, vz=3.0)
    rows = read(recorder).position
    east, north, up = geodesy.ecef_to_enu(
        geodesy.geodetic_to_ecef(rows.lat_deg, rows.lon_deg, rows.alt_hae_m), LAT, LON, 90.0 + UNDULATION_M
    )[0]
    assert [north, east, up] == pytest.approx([100.0, 50.0, 20.0], abs=1e-6)
    assert rows.vel_ned_mps.tolist() == [[1.0, 2.0, 3.0]]


def test_an_origin_that_moves_takes_later_positions_with_it():
    recorder = clocked()
    for second, lat in ((1, 462_000_000), (3, 463_000_000)):
        recorder.add(second, "GPS_GLOBAL_ORIGIN", latitude=lat, longitude=207_000_000, altitude=0)
        recorder.add(second + 1, "LOCAL_POSITION_NED", time_boot_ms=101_000 + 1000 * second, x=0.1)
    np.testing.assert_allclose(read(recorder).position.lat_deg, [46.2, 46.3], atol=2e-6)


def test_local_positions_without_an_origin_are_nowhere():
    recorder = clocked()
    recorder.add(1, "LOCAL_POSITION_NED", time_boot_ms=101_000, x=100.0)
    with pytest.raises(FormatError, match="never had a position fix"):
        read(recorder)


def test_a_covariance_whose_first_element_is_nan_is_unknown():
    recorder = clocked()
    cov = [0.0] * 45
    cov[0], cov[9], cov[17] = 4.0, 2.0, 9.0
    recorder.add(0.5, "GPS_GLOBAL_ORIGIN", latitude=462_000_000, longitude=207_000_000, altitude=90_000)
    for second, covariance in ((1, cov), (2, [math.nan, *cov[1:]])):
        recorder.add(second, "LOCAL_POSITION_NED_COV", time_usec=0, x=1.0, covariance=covariance)
    rows = read(recorder).position
    np.testing.assert_allclose(rows.h_acc_m, [np.sqrt(3.0), np.nan])
    np.testing.assert_allclose(rows.v_acc_m, [3.0, np.nan])


def test_the_covariance_of_a_global_position_is_read_by_its_diagonal():
    recorder = clocked()
    cov = np.diag([1.0, 3.0, 16.0, 0.1, 0.1, 0.1]).ravel().tolist()
    recorder.add(1, "GLOBAL_POSITION_INT_COV", time_usec=101_000_000, alt=90_000, vx=1.5, covariance=cov, **PLACE)
    rows = read(recorder).position
    assert (rows.h_acc_m[0], rows.v_acc_m[0], rows.vel_ned_mps[0, 0]) == pytest.approx((np.sqrt(2.0), 4.0, 1.5))


def odometry(recorder, second, **fields):
    half = math.sqrt(0.5)
    usual = {"time_usec": 0, "frame_id": 1, "child_frame_id": 12, "x": 1.0, "q": [half, 0.0, 0.0, half], "vx": 2.0}
    recorder.add(second, "ODOMETRY", **{**usual, **fields})  # turned to the east, moving ahead


def test_the_velocity_of_odometry_is_turned_out_of_the_body():
    recorder = clocked()
    recorder.add(0.5, "GPS_GLOBAL_ORIGIN", latitude=462_000_000, longitude=207_000_000, altitude=90_000)
    odometry(recorder, 1)
    odometry(recorder, 2, child_frame_id=1)
    odometry(recorder, 3, child_frame_id=20)  # a frame that is not tied to north
    odometry(recorder, 4, frame_id=20)
    odometry(recorder, 5, quality=-1)
    drone = read(recorder)
    np.testing.assert_allclose(drone.position.vel_ned_mps, [[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [np.nan] * 3], atol=1e-6)
    assert len(drone.attitude) == 4  # all but the one whose frame knows no north


def test_high_latency_reports_carry_their_coarse_steps_in_their_accuracy():
    recorder = clocked()
    where = {"latitude": 462_000_000, "longitude": 207_000_000, "altitude": 90, "groundspeed": 50, "heading": 45}
    recorder.add(1, "HIGH_LATENCY2", timestamp=101_000, eph=12, epv=0, **where)
    recorder.add(2, "HIGH_LATENCY2", timestamp=102_000, eph=255, epv=20, **where)
    rows = read(recorder).position
    assert rows.h_acc_m[0] == pytest.approx(math.hypot(1.2, 0.1 / math.sqrt(12)))
    assert rows.v_acc_m[1] == pytest.approx(math.hypot(2.0, 1.0 / math.sqrt(12)))
    assert np.isnan([rows.v_acc_m[0], rows.h_acc_m[1]]).all()
    assert np.isnan(rows.vel_ned_mps).all()  # it tells a heading, not a course


def test_a_drone_that_sends_nothing_but_high_latency_reports_has_a_clock():
    recorder = Recorder()
    for second in range(5):
        recorder.add(
            10 * second,
            "HIGH_LATENCY2",
            timestamp=50_000 + 10_000 * second,
            latitude=462_000_000,
            longitude=207_000_000,
        )
    drone = read(recorder)
    assert drone.clock.source == "receive"
    np.testing.assert_allclose(drone.position.time_us, at([0, 10, 20, 30, 40]), atol=1000)


def test_an_air_traffic_report_is_above_the_ellipsoid_and_its_flags_count():
    recorder = clocked()
    said = {"time": START_US + 500_000, "alt": 131_000, "h_acc": 1500, "v_acc": 2500, "vx": 100, "vz": -50}
    recorder.add(1, "UTM_GLOBAL_POSITION", flags=1 | 4 | 8 | 32, **said, **PLACE)
    recorder.add(2, "UTM_GLOBAL_POSITION", flags=1 | 4, **said, **PLACE)  # no height
    rows = read(recorder).position
    assert rows.time_us.tolist() == at([0.5])
    assert rows.alt_hae_m.tolist() == [131.0]
    np.testing.assert_allclose(rows.vel_ned_mps, [[1.0, 0.0, np.nan]])


# Attitude, gimbal, camera


def test_whichever_message_says_the_attitude_most_often_is_read():
    recorder = clocked().placed()
    for second in range(5):
        recorder.add(second, "ATTITUDE_QUATERNION", time_boot_ms=100_000 + 1000 * second, q1=0.0, q4=1.0)
    recorder.add(1, "ATTITUDE", time_boot_ms=101_000)
    assert read(recorder).attitude.quaternion.tolist() == [[0.0, 0.0, 0.0, 1.0]] * 5


def test_the_state_told_to_a_gimbal_is_an_attitude_late_by_its_delay():
    recorder = clocked().placed()
    recorder.add(
        2, "AUTOPILOT_STATE_FOR_GIMBAL_DEVICE", time_boot_us=102_000_000, q=[1.0, 0.0, 0.0, 0.0],
        q_estimated_delay_us=20_000,
    )  # fmt: skip
    np.testing.assert_allclose(read(recorder).attitude.time_us, at([1.98]), atol=1000)


def test_an_absolute_yaw_that_an_old_mount_does_not_send_is_not_taken_for_north():
    recorder = clocked().placed()
    recorder.add(1, "MOUNT_ORIENTATION", time_boot_ms=101_000, roll=0.0, pitch=-90.0, yaw=0.0)
    recorder.add(2, "MOUNT_ORIENTATION", time_boot_ms=102_000, roll=0.0, pitch=math.nan, yaw=0.0)
    rows = read(recorder).gimbal
    half = math.sqrt(0.5)
    np.testing.assert_allclose(rows.quaternion, [[half, 0.0, -half, 0.0]], atol=1e-7)
    assert np.isnan(rows.delta_yaw_rad).all()
    assert rows.flags.tolist() == [32]


def test_the_flags_of_a_gimbal_stay_as_they_are():
    recorder = clocked().placed()
    for second, flags in ((1, 44), (2, 60)):
        recorder.add(
            second, "GIMBAL_DEVICE_ATTITUDE_STATUS", time_boot_ms=100_000 + 1000 * second, flags=flags,
            q=[1.0, 0.0, 0.0, 0.0], angular_velocity_x=math.nan, delta_yaw=0.25,
        )  # fmt: skip
    rows = read(recorder).gimbal
    assert rows.flags.tolist() == [44, 60]
    assert rows.delta_yaw_rad.tolist() == [0.25, 0.25]


def test_a_lens_and_a_sensor_make_a_field_of_view():
    recorder = clocked().placed()
    lens = {
        "focal_length": 10.0,
        "sensor_size_h": 6.4,
        "sensor_size_v": 4.8,
        "resolution_h": 1920,
        "resolution_v": 1080,
    }
    recorder.add(1, "CAMERA_INFORMATION", component=100, **lens)
    recorder.add(2, "CAMERA_INFORMATION", component=100, **{**lens, "focal_length": math.nan, "resolution_h": 0})
    rows = read(recorder).camera
    assert rows.hfov_rad.tolist() == pytest.approx([2.0 * math.atan(0.32)])
    assert rows.width_px.tolist() == [1920.0]


def test_a_zoom_that_no_field_of_view_follows_is_counted():
    recorder = clocked().placed()
    for second, level in ((1, 0.0), (2, 0.0), (3, 50.0), (4, math.nan), (5, 100.0)):
        recorder.add(second, "CAMERA_SETTINGS", time_boot_ms=100_000 + 1000 * second, zoomLevel=level)
    drone = read(recorder)
    assert drone.zoom.zoom_percent.tolist() == [0.0, 0.0, 50.0, 100.0]
    assert drone.stats["zoom_changes_without_field_of_view"] == 2


def test_an_image_centre_above_the_horizon_or_unknown_is_no_place():
    recorder = clocked().placed()
    high, unknown = -(2**31), 2**31 - 1
    for second, lat, alt in ((1, 462_000_000, 84_000), (2, high, high), (3, unknown, unknown), (4, 0, 0)):
        lon = 207_000_000 if abs(lat) not in (2**31, 2**31 - 1, 0) else lat
        recorder.add(
            second, "CAMERA_FOV_STATUS", time_boot_ms=100_000 + 1000 * second, lat_image=lat, lon_image=lon,
            alt_image=alt, hfov=60.0, vfov=math.nan, q=[1.0, 0.0, 0.0, 0.0],
        )  # fmt: skip
    drone = read(recorder)
    assert drone.image_centre.lat_deg.tolist() == pytest.approx([46.2])
    assert drone.stats["image_centre_rows_without_place"] == 3
    assert len(drone.camera) == 0  # half a field of view is none


def test_a_tracked_point_stands_where_it_arrived_and_a_rectangle_is_its_centre():
    recorder = clocked().placed()
    box = {"rec_top_x": 0.2, "rec_bottom_x": 0.4, "rec_top_y": 0.1, "rec_bottom_y": 0.3}
    recorder.add(1.5, "CAMERA_TRACKING_IMAGE_STATUS", component=100, tracking_status=1, tracking_mode=2, **box)
    recorder.add(2.5, "CAMERA_TRACKING_IMAGE_STATUS", component=100, tracking_status=9, tracking_mode=1, point_x=0.5)
    rows = read(recorder).image_target
    assert rows.time_us.tolist() == at([1.5, 2.5])
    assert rows.x.tolist() == pytest.approx([0.3, 0.5])
    assert rows.status.tolist() == [1, 9]  # 9 says COASTING: sensing leaves it out


def test_a_target_on_the_globe_without_accuracy_says_so():
    recorder = clocked().placed()
    recorder.add(1, "CAMERA_TRACKING_GEO_STATUS", tracking_status=1, alt=84.0, h_acc=math.nan, v_acc=-1.0, **PLACE)
    recorder.add(2, "CAMERA_TRACKING_GEO_STATUS", tracking_status=1, alt=84.0, h_acc=3.0)
    drone = read(recorder)
    assert np.isnan([drone.geo_target.h_acc_m, drone.geo_target.v_acc_m]).all()
    assert drone.stats["geo_target_rows_without_place"] == 1


def test_only_a_range_finder_on_the_mount_measures_along_the_camera():
    recorder = clocked().placed()
    usual = {"min_distance": 20, "max_distance": 5000, "current_distance": 1234, "covariance": 255}
    cases = [
        {"orientation": 100},
        {"orientation": 25, "covariance": 4},
        {"orientation": 0},
        {"orientation": 100, "current_distance": 0},
        {"orientation": 100, "current_distance": 5000},
        {"orientation": 100, "signal_quality": 1},
    ]
    for second, changes in enumerate(cases):
        recorder.add(second, "DISTANCE_SENSOR", **{"time_boot_ms": 100_000 + 1000 * second, **usual, **changes})
    drone = read(recorder)
    assert drone.range.range_m.tolist() == [12.34]
    assert np.isnan(drone.range.std_m).all()
    assert drone.height.range_m.tolist() == [12.34]
    assert drone.height.std_m.tolist() == pytest.approx([0.02])
    assert drone.stats["range_rows_sideways"] == 1


def test_an_old_range_finder_looks_down():
    recorder = clocked().placed()
    recorder.add(1, "RANGEFINDER", distance=12.5)
    recorder.add(2, "RANGEFINDER", distance=0.0)
    assert read(recorder).height.range_m.tolist() == [12.5]


def test_a_landing_target_is_a_bearing_and_a_place_only_where_it_says_so():
    recorder = clocked().placed()
    seen = {"angle_x": 0.1, "angle_y": -0.2, "x": 1.0, "y": 2.0, "z": 3.0}
    recorder.add(1, "LANDING_TARGET", time_usec=101_000_000, distance=8.0, frame=1, position_valid=1, **seen)
    recorder.add(2, "LANDING_TARGET", time_usec=102_000_000, distance=0.0, frame=12, position_valid=1, **seen)
    recorder.add(3, "LANDING_TARGET", time_usec=103_000_000, frame=1, **seen)
    rows = read(recorder).landing_target
    np.testing.assert_allclose(rows.distance_m, [8.0, np.nan, np.nan])
    np.testing.assert_allclose(rows.offset_ned_m, [[1.0, 2.0, 3.0], [np.nan] * 3, [np.nan] * 3])
    np.testing.assert_allclose(rows.angle_y_rad, [-0.2] * 3, rtol=1e-6)


# What else it told


def test_a_target_to_follow_with_no_velocity_does_not_stand_still():
    recorder = clocked().placed()
    told = {"system": 255, "component": 190, "timestamp": 5, "alt": 84.0, **PLACE}
    recorder.add(1, "FOLLOW_TARGET", est_capabilities=3, vel=[1.0, 2.0, 0.0], position_cov=[2.0, 3.0, 0.0], **told)
    recorder.add(2, "FOLLOW_TARGET", est_capabilities=3, vel=[0.0, 0.0, 0.0], **told)
    recorder.add(3, "FOLLOW_TARGET", est_capabilities=1, vel=[9.0, 9.0, 9.0], **told)
    rows = read(recorder).follow_target
    assert rows.time_us.tolist() == at([1, 2, 3])
    np.testing.assert_allclose(rows.vel_ned_mps, [[1.0, 2.0, 0.0], [np.nan] * 3, [np.nan] * 3])


def test_ground_that_is_still_being_loaded_is_not_ground():
    recorder = clocked().placed()
    recorder.add(1, "TERRAIN_REPORT", terrain_height=84.0, spacing=100, pending=504, **PLACE)
    recorder.add(2, "TERRAIN_REPORT", terrain_height=84.0, spacing=0, **PLACE)
    recorder.add(3, "TERRAIN_REPORT", terrain_height=84.0, spacing=100, **PLACE)
    drone = read(recorder)
    np.testing.assert_allclose(drone.ground.alt_hae_m, 84.0 + UNDULATION_M, atol=1e-4)
    assert drone.stats["ground_rows_not_ready"] == 2


def test_home_is_a_place_even_where_its_attitude_is_not():
    recorder = clocked().placed()
    recorder.add(
        1, "HOME_POSITION", latitude=462_000_000, longitude=207_000_000, altitude=84_000, q=[math.nan] * 4, time_usec=0
    )
    assert read(recorder).home.lat_deg.tolist() == pytest.approx([46.2])


def test_the_health_of_ardupilot_is_a_gate_and_no_variance():
    recorder = clocked().placed()
    good = 1 | 2 | 4 | 8 | 16 | 32
    for second, flags, ratio in ((1, good, 0.1), (2, good, 0.9), (3, good | 32768, 0.1), (4, 1, 0.1)):
        recorder.add(second, "EKF_STATUS_REPORT", flags=flags, pos_horiz_variance=ratio)
    drone = read(recorder)
    assert drone.health.healthy.tolist() == [True, False, False, False]
    assert np.isnan(drone.health.h_acc_m).all()
    assert drone.healthy_at(at([0, 1.5, 2.5])).tolist() == [True, True, False]
    doubted = drone.position.time_us >= drone.health.time_us[1]
    assert drone.stats["position_rows_while_unhealthy"] == doubted.sum() < len(doubted)


def test_the_health_of_px4_states_metres_and_a_gate_of_its_own():
    recorder = clocked().placed()
    for second, ratio, flags in ((1, 0.9, 49), (2, 1.1, 49), (3, 0.1, 49 | 1024)):
        recorder.add(
            second, "ESTIMATOR_STATUS", time_usec=100_000_000 + 1_000_000 * second, flags=flags, pos_horiz_ratio=ratio,
            pos_horiz_accuracy=0.7, pos_vert_accuracy=0.0,
        )  # fmt: skip
    health = read(recorder).health
    assert health.healthy.tolist() == [True, False, False]
    np.testing.assert_allclose(health.h_acc_m, [0.7] * 3, rtol=1e-6)
    assert np.isnan(health.v_acc_m).all()


def aircraft(recorder, second, **fields):
    usual = {
        "ICAO_address": 0x4CA7B3, "altitude_type": 1, "altitude": 1_000_000, "heading": 9000, "hor_velocity": 10_000,
        "ver_velocity": 200, "flags": 1 | 2 | 4 | 8 | 128, "tslc": 0,
    }  # fmt: skip
    recorder.add(second, "ADSB_VEHICLE", **{**usual, **PLACE, **fields})


def test_an_aircraft_was_where_it_says_when_it_last_spoke():
    recorder = clocked().placed()
    aircraft(recorder, 10, tslc=3)
    rows = read(recorder).traffic
    assert rows.time_us.tolist() == at([7])
    assert rows.identity.tolist() == ["ICAO 4CA7B3"]
    np.testing.assert_allclose(rows.vel_ned_mps, [[0.0, 100.0, -2.0]], atol=1e-9)


def test_only_what_its_flags_vouch_for_is_said_of_an_aircraft():
    recorder = clocked().placed()
    aircraft(recorder, 1, flags=2 | 4 | 8)  # no coordinates
    aircraft(recorder, 2, flags=1 | 64)  # simulated
    aircraft(recorder, 3, flags=1)
    aircraft(recorder, 4, altitude_type=0)
    rows = read(recorder).traffic
    assert rows.time_us.tolist() == at([3, 4])
    assert np.isnan(rows.alt_hae_m).tolist() == [True, False]
    assert np.isnan(rows.vel_ned_mps[0]).all()
    assert rows.v_acc_m[1] == 150.0  # pressure


def drone_id(recorder, second, address=b"\x01\x02", **fields):
    usual = {
        "id_or_mac": [*address, *bytes(20 - len(address))], "latitude": 462_000_000, "longitude": 207_000_000,
        "altitude_geodetic": 150.0, "direction": 9000, "speed_horizontal": 500, "speed_vertical": 6300,
        "horizontal_accuracy": 11, "vertical_accuracy": 5, "timestamp": 65535.0,
    }  # fmt: skip
    recorder.add(second, "OPEN_DRONE_ID_LOCATION", **{**usual, **fields})


def test_accuracies_of_drone_ids_are_classes_and_become_deviations():
    recorder = clocked().placed()
    drone_id(recorder, 1)
    drone_id(recorder, 2, horizontal_accuracy=0, vertical_accuracy=0, altitude_geodetic=-1000.0)
    rows = read(recorder).traffic
    np.testing.assert_allclose(rows.h_acc_m, [3.0 / 2.4477, np.nan])
    np.testing.assert_allclose(rows.v_acc_m, [3.0 / 1.96, np.nan])
    np.testing.assert_allclose(rows.alt_hae_m, [150.0, np.nan])
    np.testing.assert_allclose(rows.vel_ned_mps, [[0.0, 5.0, np.nan]] * 2, atol=1e-9)


def test_a_drone_id_without_a_place_or_of_the_drone_itself_is_no_traffic():
    recorder = clocked().placed()
    drone_id(recorder, 1, latitude=0, longitude=0)
    drone_id(recorder, 2, address=b"")
    drone = read(recorder)
    assert len(drone.traffic) == 0
    assert drone.stats["own_drone_id_rows"] == 1


def test_a_drone_is_called_what_it_calls_itself():
    recorder = clocked().placed()
    name = b"1581F5BKD2231"
    recorder.add(
        0.5, "OPEN_DRONE_ID_BASIC_ID", id_or_mac=[1, 2, *bytes(18)], uas_id=[*name, *bytes(20 - len(name))], id_type=1
    )
    drone_id(recorder, 1)
    drone_id(recorder, 2, address=b"\x0a\x0b")
    assert read(recorder).traffic.identity.tolist() == ["UAS 1581F5BKD2231", "UAS 0A0B"]


@pytest.mark.parametrize("before_s", [0.0, 1.0, 1800.0 - 1.0, -2.0])
def test_seconds_after_the_hour_are_in_the_hour_that_is_nearest(before_s):
    from dronetrack.mavlink.surroundings import HOUR_US, _within_the_hour

    arrived = np.array([500 * HOUR_US + 1_000_000])  # a second after the hour
    true_us = arrived - round(before_s * 1e6)
    seconds = true_us % HOUR_US * 1e-6
    np.testing.assert_allclose(_within_the_hour(seconds, arrived), true_us, atol=2)
    assert _within_the_hour(np.array([65535.0]), arrived).tolist() == arrived.tolist()


def test_traffic_becomes_measurements_with_an_identity():
    from dronetrack.mavlink.traffic import traffic
    from dronetrack.measurements import POSITION

    recorder = clocked().placed()
    aircraft(recorder, 1)
    drone_id(recorder, 2)
    aircraft(recorder, 3, flags=1)  # no height: no point
    z = traffic(read(recorder), authority="HU")
    assert [z.sensors[one].name for one in z.sensor_id] == ["ICAO 4CA7B3", "UAS 0102"]
    assert z.target_id.tolist() == [0, 1]
    assert (z.kind == POSITION).all()
    lat, lon, _ = geodesy.ecef_to_geodetic(z.z)
    np.testing.assert_allclose(np.column_stack([lat, lon]), [[LAT, LON]] * 2, atol=1e-9)
    enu = geodesy.ecef_covariance_to_enu(z.cov, lat, lon)
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(enu, axis1=1, axis2=2)), [[75, 75, 50], [1.2256, 1.2256, 1.5306]], rtol=1e-4
    )
    assert z.stats["traffic"]["rows_without_height"] == 1


# Clocks


def test_a_component_with_a_boot_time_of_its_own_has_a_clock_of_its_own():
    recorder = Recorder()
    for number in range(400):
        second = 0.1 * number
        if number % 10 == 0:
            boot_ms = 100_000 + 100 * number
            recorder.add(second, "SYSTEM_TIME", time_unix_usec=START_US + 100_000 * number, time_boot_ms=boot_ms)
        recorder.placed(second)
        recorder.add(
            second, "GIMBAL_DEVICE_ATTITUDE_STATUS", component=154, time_boot_ms=7_000_000 + 100 * number,
            q=[1.0, 0.0, 0.0, 0.0],
        )  # fmt: skip
    drone = read(recorder)
    assert len(drone.clock.offset_us) == 1
    np.testing.assert_allclose(drone.gimbal.time_us, at(0.1 * np.arange(400)), atol=2000)
    np.testing.assert_allclose(drone.position.time_us, at(0.1 * np.arange(400)), atol=2000)


def flight(n=3000, *, jitter=None, drift=0.0, stamp=lambda us: us, system_time=True):
    """Ten positions a second; the crystal gains `drift`, the link delays by `jitter` seconds, the receiver stamps."""
    recorder = Recorder()
    late = np.zeros(n) if jitter is None else jitter
    recorder.add(0.0, "HEARTBEAT", autopilot=12, type=2)
    for number in range(n):
        boot_us = round((100.0 + 0.1 * number) * (1.0 + drift) * 1e6)
        second = (stamp(START_US + round(1e6 * (0.1 * number + late[number]))) - START_US) * 1e-6
        if number % 10 == 0 and system_time:
            unix_us = START_US + 100_000 * number
            recorder.add(second, "SYSTEM_TIME", time_unix_usec=unix_us, time_boot_ms=boot_us // 1000)
        recorder.add(second, "GLOBAL_POSITION_INT", time_boot_ms=boot_us // 1000, alt=90_000, **PLACE)
    return recorder


def off_s(drone, n=3000):
    return (drone.position.time_us - at(0.1 * np.arange(n))) * 1e-6


def test_the_clock_holds_through_jitter_and_a_crystal_that_drifts(rng):
    jitter = rng.gamma(2.0, 0.02, 3000)  # 5 to 95 %: 90 ms, as was measured
    drone = read(flight(jitter=jitter, drift=200e-6))
    assert np.abs(off_s(drone)).max() < 0.03
    assert drone.clock.drift[0] == pytest.approx(-200e-6, abs=30e-6)
    assert drone.clock.residual_s[0] < 0.02
    assert drone.stats["clock_boots"] == 1


def test_stamps_in_whole_milliseconds_or_with_a_link_number_move_no_clock(rng):
    jitter = rng.gamma(2.0, 0.02, 3000)
    plain = read(flight(jitter=jitter))
    for stamp in (lambda us: us // 1000 * 1000, lambda us: us & ~3 | 2):
        other = read(flight(jitter=jitter, stamp=stamp))
        np.testing.assert_allclose(other.position.time_us, plain.position.time_us, atol=1100)


def test_one_row_out_of_its_time_is_no_reboot():
    recorder = flight(100)
    recorder.placed(5.0, boot_s=-4.9)  # boot time 0.1 s
    recorder.log += flight(100).log
    drone = read_telemetry(recorder.log, 1)
    assert len(drone.clock.offset_us) == 2  # the second flight is one


def test_a_message_that_only_the_second_boot_sends_is_on_the_second_boots_clock():
    first, second = flight(200), Recorder()
    second.add(0.0, "HEARTBEAT", autopilot=12)
    for number in range(200):
        at_s, boot_ms = 60.0 + 0.1 * number, 1000 + 100 * number
        second.placed(at_s, boot_s=1.0 - 60.0)
        second.add(at_s, "ATTITUDE", time_boot_ms=boot_ms)
    drone = read_telemetry(first.log + second.log, 1)
    assert len(drone.clock.offset_us) == 2
    np.testing.assert_allclose(drone.attitude.time_us, at(60.0 + 0.1 * np.arange(200)), atol=2000)


def test_a_stream_without_stamps_takes_its_time_from_the_autopilot():
    messages = []
    for number in range(100):
        boot_ms = 50_000 + 100 * number
        messages.append(blank("GLOBAL_POSITION_INT", time_boot_ms=boot_ms, alt=90_000, **PLACE))
        messages.append(blank("CAMERA_TRACKING_IMAGE_STATUS", tracking_status=1, tracking_mode=1, point_x=0.5))
        if number % 10 == 0:
            unix_us = START_US + 100_000 * number
            messages.append(blank("SYSTEM_TIME", time_boot_ms=boot_ms, time_unix_usec=unix_us))
    drone = read_telemetry(sent(*messages))
    np.testing.assert_allclose(drone.position.time_us, at(0.1 * np.arange(100)), atol=1000)
    np.testing.assert_allclose(drone.image_target.time_us, at(0.1 * np.arange(100)), atol=100_000)


def test_a_stream_that_never_says_when_it_was_is_refused():
    content = sent(blank("GLOBAL_POSITION_INT", time_boot_ms=5000, alt=90_000, **PLACE))
    with pytest.raises(FormatError, match="nothing says when this was"):
        read_telemetry(content)


def test_the_recorded_stream_without_stamps_is_read(shared):
    path = shared("sitl/sitl_run2_raw_stream_no_timestamps.bin")
    frames = read_frames(path)
    assert frames.stats["skipped_bytes"] + frames.stats["cut_bytes"] < 300  # cut in mid-frame at the end
    stamped = read_telemetry(shared("sitl/sitl_run2_copter_rover_border_servo_mount_camfov.tlog"), 1)
    raw = read_telemetry(path, 1)
    n = min(len(raw.position), len(stamped.position))
    assert n > 500
    lat = np.interp(raw.position.time_us, stamped.position.time_us, stamped.position.lat_deg)
    assert np.median(np.abs(lat - raw.position.lat_deg)) * 111_000 < 5.0  # the autopilot's own clock is 0.3 s off


# Logs as they come


def test_a_log_of_a_ground_station_alone_has_no_vehicle():
    recorder = Recorder()
    for second in range(5):
        recorder.add(second, "HEARTBEAT", system=255, component=190, autopilot=8, type=6)
        recorder.add(second, "GPS_INPUT", system=255, component=190, fix_type=3, alt=90.0, **PLACE)
    with pytest.raises(FormatError, match="no vehicle in this log says where it is"):
        read_telemetry(recorder.log)


def test_a_ground_station_in_the_log_is_not_taken_for_the_drone():
    recorder = clocked().placed()
    recorder.add(2, "HEARTBEAT", system=255, component=190, autopilot=8, type=6)
    assert read_telemetry(recorder.log).system_id == 1
    with pytest.raises(InputError, match=r"no position from system 255; the log has positions of \[1\]"):
        read_telemetry(recorder.log, 255)


def test_frames_of_a_link_are_read_like_a_log():
    recorder = clocked().placed()
    decoder = Decoder(stamped=True)
    batches = [decoder.update(recorder.log[at : at + 50]) for at in range(0, len(recorder.log), 50)]
    live, whole = read_telemetry(join_frames(batches)), read_telemetry(recorder.log)
    assert live.position.time_us.tolist() == whole.position.time_us.tolist()
    assert live.position.lat_deg.tobytes() == whole.position.lat_deg.tobytes()


def test_a_dialect_without_ardupilots_messages_still_gives_telemetry():
    frames = read_frames(clocked().placed().log, dialect="common")
    assert len(read_telemetry(frames).position) == 1
