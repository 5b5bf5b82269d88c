"""PX4 logs are read exactly: every topic and field as pyulog reads them; damage is counted."""

import contextlib
import io
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dronetrack import geodesy
from dronetrack.errors import DronetrackError, FormatError, InputError
from dronetrack.mavlink import read_log_info, read_telemetry
from dronetrack.mavlink.content import read_content
from dronetrack.mavlink.onboard import onboard_messages
from dronetrack.mavlink.ulog import read_ulog

# name -> messages of any kind, gaps
LOGS = {
    "pyulog_sample.ulg": (65_199, 4),
    "pyulog_sample_appended_multiple.ulg": (7_850, 0),
    "pyulog_sample_log_small.ulg": (15_900, 1),
    "pyulog_sample_logging_tagged.ulg": (22_399, 0),
    "pyulog_sample_px4_events.ulg": (30_910, 0),
}
UTC_US = 1_700_000_000_000_000


class Writer:
    """A ULog that grows; `starts` holds where each message begins."""

    def __init__(self):
        self.log = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", 1000)
        self.starts = []
        self.ids = {}

    def message(self, kind, body):
        self.starts.append(len(self.log))
        self.log += struct.pack("<HB", len(body), ord(kind)) + body

    def define(self, name, fields):
        self.message("F", f"{name}:{fields}".encode())

    def subscribe(self, name, instance=0):
        self.ids[name, instance] = len(self.ids)
        self.message("A", struct.pack("<BH", instance, self.ids[name, instance]) + name.encode())

    def data(self, name, packing, *values, instance=0):
        self.message("D", struct.pack("<H" + packing, self.ids[name, instance], *values))

    def told(self, kind, key, value):
        name = f"{'uint64_t' if isinstance(value, int) and value > 2**31 else 'int32_t'} {key}".encode()
        body = struct.pack("<Q" if value > 2**31 else "<i", value)
        self.message(kind, bytes([len(name)]) + name + body)


def flight(n=20, fix=3, step_us=200_000):
    """A receiver that tells the time, an estimator, an attitude, a gimbal and a range."""
    writer = Writer()
    writer.define("vehicle_gps_position", "uint64_t timestamp;uint64_t time_utc_usec;int32_t lat;int32_t lon;"
                  "int32_t alt;uint8_t fix_type;uint8_t[3] _padding0;")  # fmt: skip
    writer.define("vehicle_global_position", "uint64_t timestamp;double lat;double lon;float alt;float eph;float epv;")
    writer.define(
        "vehicle_local_position", "uint64_t timestamp;float vx;float vy;float vz;bool v_xy_valid;bool v_z_valid;"
    )
    writer.define("vehicle_attitude", "uint64_t timestamp;uint64_t timestamp_sample;float[4] q;")
    writer.define(
        "gimbal_device_attitude_status", "uint64_t timestamp;float[4] q;float delta_yaw;uint16_t device_flags;"
    )
    writer.define("distance_sensor", "uint64_t timestamp;float min_distance;float max_distance;float current_distance;"
                  "float variance;int8_t signal_quality;")  # fmt: skip
    for name in ("vehicle_gps_position", "vehicle_global_position", "vehicle_local_position", "vehicle_attitude",
                 "gimbal_device_attitude_status", "distance_sensor"):  # fmt: skip
        writer.subscribe(name)
    for row in range(n):
        at = 5_000_000 + step_us * row
        writer.data("vehicle_gps_position", "QQiiiB", at, UTC_US + at, 462_000_000, 207_000_000, 84_000, fix)
        writer.data("vehicle_global_position", "Qddfff", at, 46.2 + 1e-5 * row, 20.7, 100.0, 0.4, 0.6)
        writer.data("vehicle_local_position", "Qfff??", at, 5.0, -1.0, 0.5, True, True)
        writer.data("vehicle_attitude", "QQffff", at, at - 3000, 1.0, 0.0, 0.0, 0.0)
        writer.data("gimbal_device_attitude_status", "QfffffH", at, np.cos(0.3), 0.0, -np.sin(0.3), 0.0, 0.1, 44)
        writer.data(
            "distance_sensor", "Qffffb", at, 0.1, 50.0, 60.0 if row == 0 else 12.5, 0.01, 0 if row == 1 else 100
        )
    return writer


def their_log(source):
    from pyulog import ULog

    with contextlib.redirect_stdout(io.StringIO()):
        return ULog(source if isinstance(source, str) else io.BytesIO(source))


def ours_by_their_names(columns):
    """Arrays element by element, text as bytes: as pyulog names them."""
    for name, values in columns.items():
        text = values.dtype.kind == "S"
        table = np.frombuffer(values.tobytes(), dtype=np.int8).reshape(len(values), -1) if text else values
        if table.ndim == 1:
            yield name, table
        else:
            yield from ((f"{name}[{k}]", column) for k, column in enumerate(table.T))


def assert_like_pyulog(source):
    ours, theirs = read_ulog(source), their_log(str(source) if not isinstance(source, bytes) else source)
    assert {(one.name, one.multi_id) for one in theirs.data_list} == set(ours.topics)
    for one in theirs.data_list:
        columns = dict(ours_by_their_names(ours.columns(one.name, one.multi_id)))
        assert list(columns) == list(one.data)
        for field, values in one.data.items():
            np.testing.assert_array_equal(columns[field], values, err_msg=f"{one.name}[{one.multi_id}].{field}")
    assert ours.info == theirs.msg_info_dict
    assert ours.parameters == theirs.initial_parameters
    assert ours.dropout_ms.tolist() == [one.duration for one in theirs.dropouts]
    return ours


@pytest.mark.parametrize("log", LOGS)
def test_every_field_of_real_logs_is_as_pyulog_reads_it(shared, log):
    found = assert_like_pyulog(shared(f"px4_ulog/{log}"))
    assert (found.stats["records"], found.stats["dropouts"]) == LOGS[log]
    assert found.stats["skipped_bytes"] == found.stats["unknown_records"] == found.stats["bad_definitions"] == 0


def test_a_log_of_our_own_is_as_pyulog_reads_it():
    assert_like_pyulog(flight().log)


def test_nested_types_padding_and_instances_are_read():
    writer = Writer()
    writer.define("point", "float x;char[4] tag;uint8_t[2] _padding0;")
    writer.define("path", "uint64_t timestamp;point[2] at;point end;bool open;uint8_t[3] _padding0;")
    packing, values = "Q" + "f4s2x" * 3 + "?", [1.5, b"ab", 2.5, b"abcd", 3.5, b"", True]
    for instance in (0, 1):
        writer.subscribe("path", instance)
        writer.data("path", packing, 7 + instance, *values, instance=instance)
    log = assert_like_pyulog(writer.log)
    assert set(log.topics) == {("path", 0), ("path", 1)}
    assert log.columns("path")["at[1].x"].tolist() == [2.5]
    assert log.columns("path")["at[1].tag"].tolist() == [b"abcd"]
    assert log.columns("path", 1)["timestamp"].tolist() == [8]
    assert log.columns("path", 2) == {}
    # The format lets padding at the end be left away, and be there: pyulog 1.3 loses what has it.
    writer.data("path", packing + "3x", 9, *values)
    assert read_ulog(writer.log).columns("path")["timestamp"].tolist() == [7, 9]


def test_messages_by_name_tell_instances_apart(shared):
    path = shared("px4_ulog/pyulog_sample_log_small.ulg")
    found = onboard_messages(read_content(path), ["battery_status"])
    assert list(found) == ["battery_status", "battery_status[1]"]
    assert len(found["battery_status[1]"]["timestamp"]) == 21


def test_only_what_was_asked_for_is_gathered():
    log = read_ulog(flight(5).log, ["vehicle_attitude"])
    assert set(log.topics) == {("vehicle_attitude", 0)}
    assert log.counts["distance_sensor", 0] == 5


def test_a_type_that_holds_itself_is_refused_and_counted():
    writer = Writer()
    writer.define("loop", "loop[2] a;loop b;")
    writer.subscribe("loop")
    writer.define("huge", "uint8_t[60000] a;uint8_t[60000] b;")
    writer.subscribe("huge")
    log = read_ulog(writer.log)
    assert (log.topics, log.stats["bad_definitions"]) == ({}, 2)


def test_a_message_of_a_kind_not_known_yet_is_stepped_over():
    writer = flight(3)
    at = writer.starts[-2]
    log = read_ulog(writer.log[:at] + struct.pack("<HB", 6, ord("Z")) + b"future" + writer.log[at:])
    assert (log.stats["unknown_records"], log.stats["skipped_bytes"]) == (1, 0)
    assert log.counts == read_ulog(writer.log).counts


def test_data_that_nobody_subscribed_to_is_counted():
    writer = flight(3)
    writer.message("D", struct.pack("<HI", 999, 5))
    writer.message("O", struct.pack("<H", 250))
    log = read_ulog(writer.log)
    assert (log.stats["unknown_records"], log.dropout_ms.tolist()) == (1, [250])


def test_a_log_that_stops_in_a_message_says_how_many_bytes_are_left():
    writer = flight(3)
    log = read_ulog(writer.log[:-5])
    assert log.stats["cut_bytes"] == len(writer.log) - writer.starts[-1] - 5
    assert log.stats["skipped_bytes"] == 0


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=200))
def test_bytes_put_between_two_messages_cost_no_message(place, rubbish):
    writer = flight(6)
    at = writer.starts[-30 + place % 30]
    log = read_ulog(writer.log[:at] + rubbish + writer.log[at:])
    assert log.counts == read_ulog(writer.log).counts


@given(st.integers(0, 10**6), st.integers(1, 255))
@example(place=1000000, change=120)  # a length that now leads to the end of the third message after it
@settings(max_examples=200)
def test_a_flipped_bit_costs_few_messages_and_raises_nothing_else(place, change):
    writer = flight(6)
    damaged = bytearray(writer.log)
    damaged[16 + place % (len(damaged) - 16)] ^= change
    try:
        log = read_ulog(bytes(damaged))
    except FormatError as fault:
        assert "feature that is not known" in str(fault)  # noqa: PT017 - which error is what is tested
        return
    if 16 + place % (len(damaged) - 16) >= writer.starts[12]:  # behind the definitions, of which each counts for much
        lost = sum(read_ulog(writer.log).counts.values()) - sum(log.counts.values())
        assert lost <= 2
        assert log.stats["skipped_bytes"] < 200


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_raise_anything_but_the_librarys_own_errors(rubbish, behind):
    content = flight(2).log + rubbish if behind else b"ULog\x01\x12\x35\x01" + rubbish
    for read in (read_ulog, read_telemetry, read_log_info):
        try:
            read(content)
        except DronetrackError:
            continue


def test_a_log_with_a_feature_that_must_be_known_is_refused():
    writer = Writer()
    writer.message("B", bytes(8) + b"\x02" + bytes(31))
    with pytest.raises(FormatError, match="a feature that is not known"):
        read_ulog(writer.log)


def test_a_header_alone_is_an_empty_log():
    log = read_ulog(Writer().log)
    assert (log.topics, log.stats["records"]) == ({}, 0)


def test_what_is_no_ulog_is_refused():
    with pytest.raises(FormatError, match="not a ULog"):
        read_ulog(b"ULog\x01\x12\x34")


SIZES = {
    "int8_t": 1, "uint16_t": 2, "int32_t": 4, "uint64_t": 8, "float": 4, "double": 8, "bool": 1, "char[5]": 5,
    "float[4]": 16, "uint8_t[3]": 3, "float[3]": 12,
}  # fmt: skip
FIELDS = {
    "vehicle_gps_position": ["timestamp", "time_utc_usec", "fix_type", "lat", "lon", "alt", "vel_n_m_s", "eph"],
    "vehicle_global_position": ["timestamp", "timestamp_sample", "lat", "lon", "alt", "eph", "epv"],
    "vehicle_local_position": ["timestamp", "vx", "vy", "vz", "v_xy_valid"],
    "vehicle_attitude": ["timestamp", "q"],
    "gimbal_device_attitude_status": ["timestamp", "q", "device_flags", "delta_yaw"],
    "mount_orientation": ["timestamp", "attitude_euler_angle"],
    "distance_sensor": ["timestamp", "current_distance", "min_distance", "max_distance", "variance", "signal_quality"],
}


@given(
    st.sampled_from(list(FIELDS)),
    st.lists(st.sampled_from(list(SIZES)), min_size=8, max_size=8),
    st.binary(max_size=200),
)
@settings(max_examples=200)
def test_topics_that_are_defined_otherwise_raise_nothing_but_the_librarys_own_errors(name, types, content):
    writer = flight(3)
    writer.define(name, "".join(f"{kind} {field};" for kind, field in zip(types, FIELDS[name], strict=False)))
    writer.subscribe(name)
    size = sum(SIZES[kind] for kind, _ in zip(types, FIELDS[name], strict=False))
    for row in range(3):
        body = (content * 200)[row * 7 :][:size].ljust(size, b"\1")
        writer.message("D", struct.pack("<H", writer.ids[name, 0]) + body)
    for read in (read_telemetry, read_log_info):
        with contextlib.suppress(DronetrackError):
            read(writer.log)


# Telemetry


def test_the_columns_are_those_of_any_other_drone():
    drone = read_telemetry(flight().log)
    n = 20
    assert [len(one) for one in (drone.position, drone.attitude, drone.gimbal, drone.range)] == [n, n, n, n - 2]
    lat, lon = drone.position.lat_deg, drone.position.lon_deg
    np.testing.assert_allclose(drone.position.alt_hae_m, geodesy.msl_to_hae(lat, lon, np.full(n, 100.0)))
    np.testing.assert_allclose(drone.position.vel_ned_mps, np.tile([5.0, -1.0, 0.5], (n, 1)))
    np.testing.assert_allclose(drone.position.h_acc_m, 0.4, rtol=1e-6)
    np.testing.assert_allclose(drone.range.std_m, 0.1, rtol=1e-6)
    assert drone.gimbal.flags.tolist() == [44] * n
    assert drone.autopilot == 12
    # An attitude is of when its sample was taken.
    assert set(drone.position.time_us - drone.attitude.time_us) == {3000}


def test_the_clock_follows_the_receiver():
    drone = read_telemetry(flight(400).log)
    assert drone.clock.source == "gps"
    assert drone.position.time_us[0] == UTC_US + 5_000_000 + 200_000  # and its usual latency
    assert drone.stats["clock_pairs"] == 400
    assert drone.stats["clock_residual_s"] < 1e-6


def test_a_log_without_gps_may_tell_its_start_itself():
    writer = flight(fix=0)
    writer.told("I", "boot_time_utc_us", UTC_US)
    drone = read_telemetry(writer.log)
    assert (drone.clock.source, int(drone.position.time_us[0])) == ("boot_time_utc", UTC_US + 5_000_000)


def test_a_log_without_any_utc_is_refused():
    with pytest.raises(FormatError, match="no receiver's UTC"):
        read_telemetry(flight(fix=0).log)


def test_another_systems_log_is_refused():
    writer = flight()
    writer.told("P", "MAV_SYS_ID", 7)
    assert read_telemetry(writer.log, 7).system_id == 7
    with pytest.raises(InputError, match="system 7's; system 1 was asked for"):
        read_telemetry(writer.log, 1)


def test_a_clock_of_receive_stamps_is_refused():
    with pytest.raises(InputError, match="no receive stamps"):
        read_telemetry(flight().log, clock="receive")


def test_without_an_estimate_the_receivers_place_is_taken(shared):
    from dronetrack.mavlink.ulog import read_ulog as read

    path = shared("px4_ulog/pyulog_sample_log_small.ulg")
    drone, told = read_telemetry(path), read(path).columns("vehicle_gps_position")
    assert drone.stats["position_source"] == "vehicle_gps_position"
    # The receiver has a geoid of its own: heights above the ellipsoid agree to its coarseness.
    np.testing.assert_allclose(drone.position.alt_hae_m, told["alt_ellipsoid"] * 1e-3, atol=0.5)
    times = drone.position.time_us - told["time_utc_usec"].astype(np.int64)
    assert np.abs(times - 200_000).max() < 30_000


def test_the_info_of_a_log_counts_topics_and_gaps(shared):
    found = read_log_info(shared("px4_ulog/pyulog_sample_log_small.ulg"))
    assert (found["frames"], found["bad_frames"], found["lost_frames"]) == (15_900, 0, 1)
    vehicle = found["vehicles"][0]
    assert vehicle["messages"]["vehicle_attitude[0]"] == 1298
    assert vehicle["start"].startswith("2021-04-21T06:30:58")
