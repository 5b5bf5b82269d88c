"""Decoding is exact: every frame and every field as pymavlink reads them, also on corrupt logs."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import all as dialect

from dronetrack import reference
from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink import read_log_info, read_telemetry
from dronetrack.mavlink.frames import index_frames, read_frames
from dronetrack.mavlink.layouts import dialect_of

LOGS = {
    "sitl/sitl_run1_copter_rover_border.tlog": (139_314, 0),
    "sitl/sitl_run2_copter_rover_border_servo_mount_camfov.tlog": (69_148, 0),
    "sitl/sitl_signed_copter.tlog": (4_233, 0),
    "sitl/mavsdk_camera_tracking.tlog": (416, 0),
    "logs/dronekit_flight.tlog": (75_477, 1_315),
    "logs/ardusub_pymavlink_bug.tlog": (50_136, 1_961),
    "logs/ardusub_small.tlog": (35_912, 4),
    "logs/uavlogviewer_vtol.tlog": (23_894, 0),
}


class Sender:
    """A log written with pymavlink's own packer."""

    def __init__(self, system=1, component=1, version=2):
        self.link = dialect.MAVLink(None, srcSystem=system, srcComponent=component)
        self.version = version
        self.log = b""

    def send(self, name, stamp_us=0, **fields):
        message = getattr(dialect, f"MAVLink_{name.lower()}_message")(**fields)
        frame = message.pack(self.link, force_mavlink1=self.version == 1)
        self.link.seq = (self.link.seq + 1) % 256
        self.log += struct.pack(">Q", stamp_us) + frame
        return frame


def attitude(boot_ms, yaw=0.0):
    return {
        "time_boot_ms": boot_ms, "roll": 0.0, "pitch": 0.0, "yaw": yaw,
        "rollspeed": 0.0, "pitchspeed": 0.0, "yawspeed": 1.1,  # so that no trailing zero is stripped
    }  # fmt: skip


def position(boot_ms, lat=46.2, lon=20.7, alt=100.0, vx=0):
    return {
        "time_boot_ms": boot_ms, "lat": round(lat * 1e7), "lon": round(lon * 1e7), "alt": round(alt * 1000),
        "relative_alt": 0, "vx": vx, "vy": 0, "vz": 0, "hdg": 65535,
    }  # fmt: skip


def same_columns(ours, theirs):
    """One message of both decoders, field by field, bit for bit."""
    for place, name in enumerate(ours.dtype.names):
        values = [row[place] for row in theirs]
        if ours.dtype[name].kind == "S":
            # pymavlink replaces bytes that are no ASCII in text; the columns keep them.
            texts = [one.split(b"\0")[0].decode("ascii", "replace") for one in ours[name].tolist()]
            assert texts == [one.split("\0")[0] for one in values], name
        else:
            expected = np.array(values, dtype=ours.dtype[name].base).reshape(ours[name].shape)
            np.testing.assert_array_equal(ours[name], expected, err_msg=name)


def assert_like_pymavlink(path):
    frames = read_frames(path)
    by_message = {}
    senders = []
    for identity, system, component, sequence, values in reference.read_messages(path):
        by_message.setdefault(identity, []).append(values)
        senders.append((identity, system << 8 | component, sequence))
    assert len(frames) == len(senders)
    np.testing.assert_array_equal(np.column_stack([frames.message, frames.source, frames.sequence]), senders)
    for identity, rows in by_message.items():
        same_columns(frames.columns(identity)[0], rows)
    return len(senders)


@pytest.mark.parametrize("log", ["hu_drone.tlog", "ro_drone.tlog"])
def test_every_field_of_the_demo_is_as_pymavlink_reads_it(demo, log):
    assert assert_like_pymavlink(demo / log) > 5_000


@pytest.mark.parametrize("log", LOGS)
def test_every_field_of_real_logs_is_as_pymavlink_reads_it(shared, log):
    assert assert_like_pymavlink(shared(log)) == LOGS[log][0]


@pytest.mark.parametrize("log", LOGS)
def test_frame_counts_of_real_logs(shared, log):
    found = read_log_info(shared(log))
    assert (found["frames"], found["bad_frames"]) == LOGS[log]


def test_layouts_have_pymavlinks_sizes():
    for identity, message in dialect.mavlink_map.items():
        assert dialect_of().layout(identity).itemsize == message.unpacker.size, message.msgname


@pytest.mark.parametrize("version", [1, 2])
def test_both_wire_versions_are_read(version):
    sender = Sender(version=version)
    for number in range(5):
        sender.send("attitude", number, **attitude(100 * number, yaw=0.1 * number))
    values, _ = read_frames(sender.log).columns("ATTITUDE")
    np.testing.assert_allclose(values["yaw"], 0.1 * np.arange(5), rtol=1e-6)


@given(st.lists(st.binary(min_size=0, max_size=40), min_size=6, max_size=6))
def test_garbage_between_frames_costs_no_frame(garbage):
    sender = Sender()
    stream = b""
    for number, rubbish in enumerate(garbage):
        sender.log = b""
        sender.send("attitude", 1_795_470_000_000_000 + number, **attitude(100 * number, yaw=number))
        stream += rubbish + sender.log
    frames = index_frames(np.frombuffer(stream, dtype=np.uint8))
    values, _ = frames.columns("ATTITUDE")
    assert set(range(6)) <= set(values["yaw"].tolist())
    assert frames.stats["skipped_bytes"] == sum(map(len, garbage))


def test_a_flipped_bit_is_a_bad_frame_and_not_a_wrong_value(rng):
    sender = Sender()
    for number in range(50):
        sender.send("attitude", number, **attitude(100 * number, yaw=float(number)))
    size = len(sender.log) // 50
    broken = bytearray(sender.log)
    for number in range(0, 50, 10):
        broken[number * size + 20] ^= 1 << int(rng.integers(8))
    frames = read_frames(bytes(broken))
    assert frames.stats["frames"] == 45
    assert frames.stats["bad_frames"] == 5
    yaw = frames.columns("ATTITUDE")[0]["yaw"]
    assert yaw.tolist() == [number for number in range(50) if number % 10]


def test_an_unfinished_frame_at_the_end_is_counted():
    sender = Sender()
    sender.send("attitude", 0, **attitude(0))
    sender.send("attitude", 1, **attitude(100))
    frames = read_frames(sender.log[:-7])
    assert frames.stats["frames"] == 1
    assert frames.stats["cut_bytes"] + frames.stats["skipped_bytes"] == len(sender.log) // 2 - 7


def test_lost_frames_are_seen_in_the_sequence_numbers():
    sender = Sender()
    for number in range(300):
        if number % 100 == 50:
            sender.link.seq = (sender.link.seq + 3) % 256
        sender.send("attitude", number, **attitude(10 * number))
    assert read_frames(sender.log).stats["lost_frames"] == 9


def sample(n=40, start=1_795_470_000_000_000, **changes):
    """One vehicle that drives north, SYSTEM_TIME once a second."""
    sender = Sender(**changes)
    for number in range(n):
        boot = 5_000 + 100 * number
        stamp = start + 100_000 * number
        if number % 10 == 0:
            sender.send("system_time", stamp, time_unix_usec=stamp, time_boot_ms=boot)
        sender.send("gps_raw_int", stamp, time_usec=boot * 1000, fix_type=3, lat=462000000, lon=207000000, alt=100_000,
                    eph=120, epv=200, vel=0, cog=0, satellites_visible=9, h_acc=900, v_acc=1500)  # fmt: skip
        sender.send("global_position_int", stamp, **position(boot, lat=46.2 + 1e-5 * number, vx=111))
        sender.send("attitude", stamp, **attitude(boot))
    return sender


def test_telemetry_is_in_si_units_utc_and_above_the_ellipsoid():
    drone = read_telemetry(sample().log)
    rows = drone.position
    assert len(rows) == 40
    np.testing.assert_allclose(rows.lat_deg, 46.2 + 1e-5 * np.arange(40), atol=1e-7)
    assert 140.0 < rows.alt_hae_m[0] < 146.0  # 100 m above the geoid, which lies 43 m above the ellipsoid here
    assert rows.vel_ned_mps[0].tolist() == pytest.approx([1.11, 0.0, 0.0])
    assert rows.h_acc_m[5] == pytest.approx(0.9)
    np.testing.assert_allclose(rows.time_us, 1_795_470_000_000_000 + 100_000 * np.arange(40), atol=60_000)
    assert drone.clock.source == "system_time+receive"


def test_rows_without_a_fix_are_dropped_and_counted():
    sender = Sender()
    start = 1_795_470_000_000_000
    for number in range(10):
        sender.send("global_position_int", start + number, **position(100 * number, lat=0.0, lon=0.0))
    for number in range(10, 20):
        sender.send("global_position_int", start + number, **position(100 * number))
    drone = read_telemetry(sender.log)
    assert len(drone.position) == 10
    assert drone.stats["rows_without_fix"] == 10


def test_unknown_accuracy_is_nan_and_not_zero():
    sender = Sender(version=1)  # version 1 cannot carry the accuracy
    start = 1_795_470_000_000_000
    for number in range(5):
        sender.send("gps_raw_int", start + number, time_usec=0, fix_type=3, lat=1, lon=1, alt=0, eph=65535, epv=65535,
                    vel=0, cog=0, satellites_visible=9)  # fmt: skip
        sender.send("global_position_int", start + number, **position(100 * number))
    assert np.isnan(read_telemetry(sender.log).position.h_acc_m).all()


def test_a_wrong_receiver_clock_gives_way_to_system_time():
    sender = sample()
    late = bytearray(sender.log)
    view = np.frombuffer(late, dtype=np.uint8)
    for at in index_frames(view.copy()).payload:
        head = int(at) - 10 - 8
        stamp = struct.unpack(">Q", late[head : head + 8])[0]
        late[head : head + 8] = struct.pack(">Q", stamp + 7_200_000_000)
    drone = read_telemetry(bytes(late))
    assert drone.clock.source == "system_time"
    np.testing.assert_allclose(drone.position.time_us[0], 1_795_470_000_000_000, atol=1_000)


def test_a_reboot_in_mid_log_starts_a_new_clock():
    first, second = sample(120), sample(start=1_795_470_060_000_000)
    drone = read_telemetry(first.log + second.log)
    assert len(drone.clock.offset_us) == 2
    np.testing.assert_allclose(
        drone.position.time_us[120:], 1_795_470_060_000_000 + 100_000 * np.arange(40), atol=60_000
    )


def test_no_gps_time_at_all_leaves_the_receivers_clock():
    sender = Sender()
    for number in range(20):
        sender.send("system_time", 10**15 + number * 100_000, time_unix_usec=0, time_boot_ms=100 * number + 1)
        sender.send("global_position_int", 10**15 + number * 100_000, **position(100 * number + 1))
    drone = read_telemetry(sender.log)
    assert drone.clock.source == "receive"
    np.testing.assert_allclose(drone.position.time_us[0], 10**15, atol=60_000)


@pytest.mark.parametrize(("log", "system", "entity"), [("hu_drone.tlog", 1, "HU-D1"), ("ro_drone.tlog", 3, "RO-D1")])
def test_recorded_times_are_right_to_a_twentieth_of_a_second(shared, log, system, entity):
    """Where the autopilot says that it is, against where it was: what is left along its way is an error of time."""
    folder = shared("recorded/joint_exercise_a/truth.csv").parent
    truth = np.genfromtxt(folder / "truth.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    truth = truth[truth["entity"] == entity]
    rows = read_telemetry(folder / log, system).position
    inside = (rows.time_us > truth["time_unix_us"][0]) & (rows.time_us < truth["time_unix_us"][-1])
    north, east = (
        (values[inside] - np.interp(rows.time_us[inside], truth["time_unix_us"], truth[name])) * metres
        for name, values, metres in (("lat_deg", rows.lat_deg, 111_180.0), ("lon_deg", rows.lon_deg, 77_000.0))
    )
    speed = rows.vel_ned_mps[inside]
    pace = np.hypot(speed[:, 0], speed[:, 1])
    moving = pace > 5.0
    early_s = -(north * speed[:, 0] + east * speed[:, 1])[moving] / pace[moving] ** 2
    assert moving.sum() > 500
    assert abs(np.median(early_s)) < 0.05


def test_several_vehicles_need_a_choice():
    log = sample().log + sample(system=2).log
    with pytest.raises(InputError, match=r"positions of several vehicles, \[1, 2\]"):
        read_telemetry(log)
    assert read_telemetry(log, 2).system_id == 2
    with pytest.raises(InputError, match="no position from system 7"):
        read_telemetry(log, 7)


def test_info_lists_vehicles_and_messages():
    found = read_log_info(sample().log + sample(system=2).log)
    assert [one["system_id"] for one in found["vehicles"]] == [1, 2]
    assert found["vehicles"][0]["messages"]["ATTITUDE"] == 40
    assert found["vehicles"][0]["start"].startswith("2026-11-23T")


def test_old_mounts_speak_of_pitch_roll_and_yaw_in_that_order():
    sender = sample()
    for number in range(20):
        sender.send("mount_status", 1_795_470_000_000_000 + 100_000 * number, target_system=0, target_component=0,
                    pointing_a=-4500, pointing_b=0, pointing_c=9000)  # fmt: skip
    gimbal = read_telemetry(sender.log).gimbal
    yaw, pitch = np.radians(90.0), np.radians(-45.0)
    expected = [
        np.cos(pitch / 2) * np.cos(yaw / 2), -np.sin(pitch / 2) * np.sin(yaw / 2),
        np.sin(pitch / 2) * np.cos(yaw / 2), np.cos(pitch / 2) * np.sin(yaw / 2),
    ]  # fmt: skip
    np.testing.assert_allclose(gimbal.quaternion[0], expected, atol=1e-6)


def test_a_zero_gimbal_quaternion_is_no_attitude():
    sender = sample()
    sender.send("gimbal_device_attitude_status", 1_795_470_000_100_000, target_system=0, target_component=0,
                time_boot_ms=5_100, flags=12, q=[0.0, 0.0, 0.0, 0.0], angular_velocity_x=0, angular_velocity_y=0,
                angular_velocity_z=0, failure_flags=0)  # fmt: skip
    drone = read_telemetry(sender.log)
    assert len(drone.gimbal) == 0
    assert drone.stats["gimbal_rows_without_attitude"] == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 20, "no MAVLink frame with a right checksum"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, content, words):
    path = tmp_path / "picture.tlog"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=words):
        read_telemetry(path)


def test_a_log_without_positions_is_refused():
    sender = Sender()
    sender.send("attitude", 0, **attitude(0))
    with pytest.raises(FormatError, match="no vehicle in this log says where it is"):
        read_telemetry(sender.log)


def sent_late(count, late, by):
    """A log of heartbeats a tenth of a second apart, in which some arrive `by` seconds later: (bytes, true stamps)."""
    from pymavlink.dialects.v20 import all as dialect

    sender = dialect.MAVLink(None, srcSystem=1, srcComponent=1)
    stamps = 1_700_000_000_000_000 + 100_000 * np.arange(count)
    arrival = stamps + np.where(np.isin(np.arange(count), late), round(by * 1e6), 0)
    packets = []
    for _ in range(count):
        packets.append(dialect.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(sender))
        sender.seq = (sender.seq + 1) % 256
    order = np.argsort(arrival, kind="stable")
    return b"".join(int(arrival[row]).to_bytes(8, "big") + packets[row] for row in order), stamps[order]


def test_a_late_frame_gets_the_time_at_which_it_would_have_come():
    from dronetrack.mavlink.clock import on_time

    content, true_us = sent_late(600, [5, 250, 255, 256, 257, 400], 1.33)
    frames = index_frames(np.frombuffer(content, dtype=np.uint8))
    stamps, late = on_time(frames.place, frames.receive_us)
    assert late.sum() == 6
    assert np.abs(stamps - true_us).max() <= 100_000
    assert frames.stats["lost_frames"] == 0


def test_a_late_frame_is_not_lost_and_a_long_silence_is_not_late():
    content, _ = sent_late(600, [], 0.0)
    size = len(content) // 600
    frames = index_frames(np.frombuffer(content[: 100 * size] + content[250 * size :], dtype=np.uint8))
    assert frames.stats["lost_frames"] == 150
    assert (np.diff(frames.place) > 0).all()


def test_a_sender_that_does_not_count_has_no_late_frames():
    from dronetrack.mavlink.clock import on_time

    stamps = np.array([10, 30, 20, 40])
    moved, late = on_time(np.zeros(4, dtype=np.int64), stamps)
    assert not late.any()
    np.testing.assert_array_equal(moved, stamps)
