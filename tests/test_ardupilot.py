"""ArduPilot's own logs become telemetry: which message each column is from, and what UTC their boot time is."""

import contextlib
import pathlib
import struct

import numpy as np
import pytest
from dataflash_logs import Writer
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dronetrack import geodesy
from dronetrack.errors import DronetrackError, FormatError, InputError
from dronetrack.mavlink import read_dataflash, read_log_info, read_telemetry
from dronetrack.mavlink.gps_time import LEAPS, fit_gps_clock, gps_to_utc_us, leap_seconds

WEEK = 2400
WEEK_UTC_US = (315_964_800 + 604_800 * WEEK - 18) * 1_000_000
LATENCY_US = 200_000
END_US = 15_900_000  # behind the last row of a flight of 30


class Flight(Writer):
    """A flight of so many rows, five a second: GPS, GPA, POS, ATT, an EKF of two cores, MNT, RFND."""

    def __init__(self, n=30, *, start_us=10_000_000, gps=True):
        super().__init__()
        self.define("GPS", "QBBIHBcLLeffffB", "TimeUS,I,Status,GMS,GWk,NSats,HDop,Lat,Lng,Alt,Spd,GCrs,VZ,Yaw,U")
        self.define("GPA", "QBCCCCI", "TimeUS,I,VDop,HAcc,VAcc,SAcc,SMS")
        self.define("POS", "QLLf", "TimeUS,Lat,Lng,Alt")
        self.define("ATT", "Qfff", "TimeUS,Roll,Pitch,Yaw")
        self.define("XKF1", "QBfff", "TimeUS,C,VN,VE,VD")
        self.define("XKF4", "QBb", "TimeUS,C,PI")
        self.define("MNT", "QBffffff", "TimeUS,I,Roll,Pitch,YawB,YawE,DYawE,Dist")
        self.define("RFND", "QBCBB", "TimeUS,Instance,Dist,Stat,Orient")
        self.define("PARM", "QNf", "TimeUS,Name,Value")
        for name, units in (("GPS", "s#"), ("GPA", "s#"), ("XKF1", "s#"), ("XKF4", "s#"), ("MNT", "s#")):
            self.explain(name, units, "F-")
        self.fly(n, start_us, gps=gps)

    def fly(self, n, start_us, *, gps=True):
        for row in range(n):
            at = start_us + 200_000 * row
            if gps:
                self.gps(at, at // 1000)
            self.write("POS", at, 46.2 + 1e-5 * row, 20.7, 100.0)
            self.write("ATT", at, 1.0, -2.0, 90.0)
            self.write("XKF4", at, 0, 1)
            for core in (0, 1):
                self.write("XKF1", at, core, 5.0 + core, -1.0, 0.5)

    def gps(self, at_us, within_ms, *, week=WEEK, status=3, instance=0, used=1, late_us=0):
        """A fix that came in at this time, and was logged a bit later."""
        logged = at_us + late_us
        place = (46.2, 20.7, 99.0, 3.0, 90.0, -0.25, 0.0)
        self.write("GPS", logged, instance, status, within_ms, week, 12, 0.8, *place, used)
        self.write("GPA", logged, instance, 1.5, 0.7 + instance, 1.1, 0.2, at_us // 1000)


def test_each_column_is_from_the_message_that_the_autopilot_flew_by():
    drone = read_telemetry(Flight().log)
    position = drone.position
    n = len(position)
    assert (n, drone.stats["position_source"]) == (30, "POS")
    np.testing.assert_allclose(position.lat_deg, 46.2 + 1e-5 * np.arange(n), atol=1e-7)
    np.testing.assert_allclose(
        position.alt_hae_m, geodesy.msl_to_hae(position.lat_deg, position.lon_deg, np.full(n, 100.0))
    )
    # Core 1 is the one that was used.
    np.testing.assert_allclose(position.vel_ned_mps, np.tile([6.0, -1.0, 0.5], (n, 1)))
    np.testing.assert_allclose(position.h_acc_m, 0.7)
    np.testing.assert_allclose(position.v_acc_m, 1.1)
    assert len(drone.attitude) == n
    assert (drone.autopilot, drone.system_id) == (3, 1)
    assert len(drone.image_target) == len(drone.geo_target) == 0


def test_attitude_turns_the_body_to_north_east_down():
    w, x, y, z = read_telemetry(Flight().log).attitude.quaternion[0]
    nose = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]
    # Yaw 90 is east, pitch -2 is down.
    np.testing.assert_allclose(nose, [0.0, np.cos(np.radians(2.0)), np.sin(np.radians(2.0))], atol=1e-7)


def test_without_pos_the_receivers_own_place_and_velocity_are_taken():
    writer = Flight(0)
    for row in range(5):
        writer.gps(10_000_000 + 200_000 * row, 10_000 + 200 * row)
    drone = read_telemetry(writer.log)
    assert drone.stats["position_source"] == "GPS"
    np.testing.assert_allclose(drone.position.vel_ned_mps, np.tile([0.0, 3.0, -0.25], (5, 1)), atol=1e-6)


def test_the_receiver_that_was_used_gives_the_accuracy():
    writer = Flight(0)
    for row in range(5):
        at = 10_000_000 + 200_000 * row
        writer.gps(at, at // 1000, used=0)
        writer.gps(at + 10, at // 1000, instance=1, used=1)
    np.testing.assert_allclose(read_telemetry(writer.log).position.h_acc_m, 1.7)


def test_the_gimbal_says_its_yaw_to_the_vehicle_and_how_far_that_is_turned():
    writer = Flight()
    at = END_US
    writer.write("MNT", at, 0, 0.0, -30.0, 170.0, -100.0, float("nan"), float("nan"))
    writer.write("MNT", at + 1, 0, 0.0, -30.0, 170.0, -100.0, -100.0, float("nan"))
    writer.write("MNT", at + 2, 0, float("nan"), -30.0, 170.0, -100.0, -100.0, float("nan"))
    writer.write("MNT", at + 3, 1, 5.0, 5.0, 5.0, 5.0, 5.0, float("nan"))
    drone = read_telemetry(writer.log)
    assert drone.gimbal.flags.tolist() == [44, 60]
    np.testing.assert_allclose(drone.gimbal.delta_yaw_rad, np.radians(90.0), atol=1e-6)
    w, x, y, z = drone.gimbal.quaternion[0]
    assert np.degrees(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))) == pytest.approx(170.0)
    assert drone.stats["gimbal_rows_without_attitude"] == 1


def test_ranges_that_are_not_good_are_left_out():
    writer = Flight()
    for row, (distance, status) in enumerate([(12.5, 4), (0.0, 4), (20.0, 2), (655.35, 4), (13.0, 4)]):
        writer.write("RFND", END_US + row, 0, distance, status, 25)
    assert read_telemetry(writer.log).range.range_m.tolist() == [12.5, 13.0]


def test_a_range_finder_on_the_mount_comes_before_the_vehicles_own():
    writer = Flight()
    writer.write("RFND", END_US, 0, 12.5, 4, 25)
    writer.write("MNT", END_US, 0, 0.0, -30.0, 0.0, 0.0, 0.0, 150.5)
    assert read_telemetry(writer.log).range.range_m.tolist() == [150.5]


def test_opening_angles_are_the_users_parameters():
    writer = Flight()
    for name, value in (("CAM1_HFOV", 62.0), ("CAM1_VFOV", 40.0), ("MAV_SYSID", 9.0)):
        writer.write("PARM", END_US, name, value)
    drone = read_telemetry(writer.log)
    np.testing.assert_allclose(np.degrees([drone.camera.hfov_rad[0], drone.camera.vfov_rad[0]]), [62.0, 40.0])
    assert drone.system_id == 9
    with pytest.raises(InputError, match="system 9's; system 1 was asked for"):
        read_telemetry(writer.log, 1)


def test_rows_at_zero_and_before_the_fix_are_dropped_and_counted():
    writer = Flight(0)
    writer.write("POS", 9_000_000, 46.2, 20.7, 100.0)
    writer.fly(5, 10_000_000)
    writer.write("POS", 10_900_000, 0.0, 0.0, 100.0)
    drone = read_telemetry(writer.log)
    assert (len(drone.position), drone.stats["rows_without_fix"]) == (5, 2)


def test_accuracies_that_say_nothing_are_unknown():
    writer = Flight(0)
    writer.fly(1, 10_000_000, gps=False)
    writer.write("GPS", 9_000_000, 0, 3, 9_000, WEEK, 12, 0.8, 46.2, 20.7, 99.0, 3.0, 90.0, 0.0, 0.0, 1)
    writer.write("GPA", 9_000_000, 0, 1.5, 0.0, 655.35, 0.2, 9_000)
    drone = read_telemetry(writer.log)
    assert np.isnan([drone.position.h_acc_m[0], drone.position.v_acc_m[0]]).all()


# Time


def test_boot_time_becomes_utc_by_gps_week_leap_seconds_and_latency():
    drone = read_telemetry(Flight().log)
    assert drone.clock.source == "gps"
    assert drone.position.time_us[0] == WEEK_UTC_US + 10_000_000 + LATENCY_US
    assert drone.stats["clock_residual_s"] == 0.0
    assert drone.clock.n_pairs == 30


def test_leap_seconds_are_those_of_the_systems_own_table():
    table = pathlib.Path("/usr/share/zoneinfo/leap-seconds.list")
    if not table.exists():
        pytest.skip("this system has no table of leap seconds")
    rows = [line.split()[:2] for line in table.read_text().splitlines() if line[:1].isdigit()]
    # NTP seconds since 1900, TAI - UTC; GPS is 19 s behind TAI.
    told = [(int(since) - 2_208_988_800, int(ahead) - 19) for since, ahead in rows]
    assert [one for one in told if one[1] > 0] == list(LEAPS[1:])


@pytest.mark.parametrize(("week", "leap"), [(1973, 18), (1929, 17), (1930, 17), (1931, 18), (1565, 15)])
def test_leap_seconds_follow_the_date(week, leap):
    assert leap_seconds(np.array([week * 604_800])).tolist() == [leap]


def test_the_second_before_a_leap_second_is_still_the_old_one():
    start = 1_483_228_800 - 315_964_800  # 2017-01-01 in UTC, as if it were GPS time
    assert leap_seconds(start + np.array([16, 17, 18, 19])).tolist() == [17, 17, 18, 18]


def test_weeks_and_times_that_cannot_be_are_no_time():
    weeks, within = np.array([0, 900, 2400, 2400, 65_535]), np.array([5, 5, 604_800_000, -1, 5])
    assert gps_to_utc_us(weeks, within).tolist() == [0] * 5


def test_first_fixes_that_are_wrong_do_not_move_the_clock():
    writer = Flight(0)
    for row in range(6):
        at = 5_000_000 + 200_000 * row
        writer.gps(at, 0, week=0)
        writer.gps(at, at // 1000 + 40_000)
        writer.gps(at, at // 1000, week=2000)
    writer.fly(100, 10_000_000)
    drone = read_telemetry(writer.log)
    assert drone.position.time_us[0] == WEEK_UTC_US + 10_000_000 + LATENCY_US
    assert drone.stats["clock_pairs_refused"] == 12


def test_fixes_that_are_logged_late_do_not_move_the_clock():
    writer = Flight(0)
    rng = np.random.default_rng(5)
    for row in range(60):
        at = 10_000_000 + 200_000 * row
        writer.gps(at, at // 1000, late_us=int(rng.integers(0, 90_000)))
    writer.fly(2, 30_000_000, gps=False)
    assert read_telemetry(writer.log).position.time_us[0] == WEEK_UTC_US + 30_000_000 + LATENCY_US


def test_a_crystal_that_drifts_is_followed(rng):
    boot = np.arange(0, 1_200_000_000, 200_000, dtype=np.int64)
    utc = WEEK_UTC_US + np.rint(boot * (1.0 + 30e-6)).astype(np.int64)
    late = np.rint(rng.exponential(20_000.0, len(boot))).astype(np.int64)
    clock, _, stats = fit_gps_clock(boot + late, utc, np.zeros(len(boot), dtype=np.int64))
    assert stats["clock_drift_ppm"][0] == pytest.approx(30.0, abs=1.0)
    since = boot[-1] - clock.boot_start_us[0]
    told = boot[-1] + clock.offset_us[0] + clock.drift[0] * since - LATENCY_US
    assert abs(told - utc[-1]) < 5_000
    assert 0.005 < stats["clock_residual_s"] < 0.05


def test_a_second_boot_in_one_file_has_a_clock_of_its_own():
    writer = Flight(40, start_us=100_000_000)
    for row in range(40):
        at = 10_000_000 + 200_000 * row
        writer.gps(at, 500_000 + at // 1000)
        writer.write("POS", at, 47.0, 20.7, 100.0)
    drone = read_telemetry(writer.log)
    assert len(drone.clock.offset_us) == 2
    later = drone.position.lat_deg > 46.9
    assert drone.position.time_us[later][0] == WEEK_UTC_US + 510_000_000 + LATENCY_US
    assert drone.position.time_us[~later][0] == WEEK_UTC_US + 100_000_000 + LATENCY_US


def test_a_boot_without_a_fix_is_left_away_and_counted():
    writer = Flight(40, start_us=100_000_000)
    writer.fly(7, 10_000_000, gps=False)
    drone = read_telemetry(writer.log)
    assert len(drone.position) == 40
    assert drone.stats["records_without_utc"] == 7 * 5


def test_a_time_that_was_misread_is_no_boot():
    writer = Flight(30)
    writer.write("POS", 2**63, 46.2, 20.7, 100.0)
    writer.write("ATT", 3_000_000_000, 0.0, 0.0, 0.0)
    writer.fly(30, 17_000_000)
    drone = read_telemetry(writer.log)
    assert len(drone.clock.offset_us) == 1
    assert drone.stats["records_out_of_time"] == 2
    assert (len(drone.position), len(drone.attitude)) == (60, 60)


def test_a_log_without_gps_time_is_refused():
    with pytest.raises(FormatError, match="never had a time"):
        read_telemetry(Flight(gps=False).log)


def test_a_log_with_only_headers_is_refused():
    with pytest.raises(FormatError, match="never had a time"):
        read_telemetry(Flight(0).log)


def test_a_log_without_a_place_is_refused():
    writer = Flight(0)
    writer.write("GPS", 9_000_000, 0, 3, 9_000, WEEK, 12, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1)
    with pytest.raises(FormatError, match="never had a position fix"):
        read_telemetry(writer.log)


def test_the_text_of_a_log_gives_the_same_telemetry():
    writer = Flight()
    binary, text = read_telemetry(writer.log), read_telemetry("\n".join(writer.lines).encode())
    np.testing.assert_array_equal(binary.position.time_us, text.position.time_us)
    np.testing.assert_allclose(binary.position.lat_deg, text.position.lat_deg, atol=1e-7)
    np.testing.assert_allclose(binary.attitude.quaternion, text.attitude.quaternion, atol=1e-6)


def test_info_says_when_and_what():
    found = read_log_info(Flight().log)
    vehicle = found["vehicles"][0]
    assert (found["bad_frames"], vehicle["messages"]["POS"]) == (0, 30)
    first = np.datetime64(WEEK_UTC_US + 10_000_000 + LATENCY_US, "us")
    assert vehicle["start"] == f"{first}Z"


def test_info_of_a_log_without_time_has_counts_only(shared):
    found = read_log_info(shared("logs/ardusub_small.BIN"))
    assert (found["frames"], found["lost_frames"], found["vehicles"][0]["start"]) == (7_510, 2, None)


CODES = "bBhHiIqQfdgnNZMcCeELa"
DEFINED = {
    "GPS": "TimeUS,I,Status,GMS,GWk,NSats,HDop,Lat,Lng,Alt,Spd,GCrs,VZ,Yaw,U",
    "GPA": "TimeUS,I,VDop,HAcc,VAcc,SAcc,SMS",
    "POS": "TimeUS,Lat,Lng,Alt",
    "ATT": "TimeUS,Roll,Pitch,Yaw",
    "XKF1": "TimeUS,C,VN,VE,VD",
    "XKF4": "TimeUS,C,PI",
    "MNT": "TimeUS,I,Roll,Pitch,YawB,YawE,DYawE,Dist",
    "RFND": "TimeUS,Instance,Dist,Stat,Orient",
    "PARM": "TimeUS,Name,Value",
}


@given(st.sampled_from(list(DEFINED)), st.text(CODES, min_size=15, max_size=15), st.binary(max_size=600))
@settings(max_examples=200)
def test_messages_that_are_defined_otherwise_raise_nothing_but_the_librarys_own_errors(name, codes, content):
    columns = DEFINED[name]
    writer = Flight(3)
    codes = codes[: min(len(columns.split(",")), 16)]
    size = struct.calcsize(Writer.packing(codes))
    assume(size <= 252)
    writer.define(name, codes, columns, identity=250)
    for row in range(3):
        body = (content * 600)[row * 7 :][:size].ljust(size, b"\1")
        writer.log += b"\xa3\x95\xfa" + body
    for read in (read_telemetry, read_log_info):
        with contextlib.suppress(DronetrackError):
            read(writer.log)


# A flight of the real flight software


@pytest.fixture(scope="module")
def flight_log(shared):
    return shared("sitl/sitl_run3_copter.BIN.xz")


@pytest.fixture(scope="module")
def flight(flight_log):
    return read_telemetry(flight_log)


def test_the_flight_is_where_the_simulator_had_it(flight, flight_log):
    truth = read_dataflash(flight_log, ["SIM"]).columns("SIM")
    true_us = truth["TimeUS"] + int(flight.clock.offset_us[0])
    lat = np.interp(flight.position.time_us, true_us, truth["Lat"])
    lon = np.interp(flight.position.time_us, true_us, truth["Lng"])
    north = (flight.position.lat_deg - lat) * 111_200.0
    east = (flight.position.lon_deg - lon) * 111_200.0 * np.cos(np.radians(46.2))
    assert np.median(np.hypot(north, east)) < 0.5


def test_attitude_is_that_of_the_filters_quaternion(flight, flight_log):
    core = read_dataflash(flight_log, ["XKQ"]).columns("XKQ", instance=0)
    theirs = np.column_stack([core[f"Q{k}"] for k in (1, 2, 3, 4)])
    assert len(theirs) == len(flight.attitude)
    np.testing.assert_allclose(np.abs(np.sum(theirs * flight.attitude.quaternion, axis=1)), 1.0, atol=1e-6)


def test_the_gimbal_looks_at_the_rover_that_it_followed(flight, flight_log):
    from dronetrack.sensing import camera_axes

    rover = read_dataflash(flight_log, ["FOLL"]).columns("FOLL")
    # The mount is a fifth of a second behind what the autopilot hears of the rover.
    time_us = rover["TimeUS"] + int(flight.clock.offset_us[0]) + 200_000
    lat, lon = rover["Lat"], rover["Lon"]
    place = geodesy.geodetic_to_ecef(lat, lon, geodesy.msl_to_hae(lat, lon, np.full(len(time_us), 84.0)))
    site, axes = camera_axes(flight, time_us, gimbal_frame="levelled")
    ray = place - site
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    known = ~np.isnan(axes[:, 0, 0]) & (rover["TimeUS"] > 200_000_000)
    off_deg = np.degrees(np.arccos(np.clip(np.sum(axes[known, :, 0] * ray[known], axis=1), -1.0, 1.0)))
    assert known.sum() > 300
    assert np.median(off_deg) < 0.1  # 0.25 m on the ground
