"""Any message as columns: SI units as the definitions say, unknown is NaN, raw is what pymavlink reads."""

import math

import numpy as np
import pytest
from senders import blank, sent

from dronetrack.errors import InputError
from dronetrack.mavlink.frames import read_frames
from dronetrack.mavlink.layouts import dialect_of
from dronetrack.mavlink.messages import UNITS, meanings_of, read_messages


def columns(name, **fields):
    """One message as columns."""
    return read_messages(sent(blank(name, **fields)), [name])[name]


def test_every_unit_of_every_dialect_is_known_and_is_pymavlinks():
    from dronetrack.mavlink.messages import _definitions

    for dialect in ("all", "matrixpilot", "paparazzi"):
        tables = dialect_of(dialect)
        defined = _definitions(tables.xml)
        for name in tables.names:
            kind = tables._messages[tables.message_id(name)]
            units = {field: said["units"] for field, said in defined[name].items() if "units" in said}
            assert set(units.values()) <= set(UNITS), name
            assert units == kind.fieldunits_by_name, name


@pytest.mark.parametrize("dialect", ["all", "common", "matrixpilot", "paparazzi"])
def test_no_two_fields_become_one_column(dialect):
    for name, fields in meanings_of(dialect).items():
        named = [one.column for one in fields.values()] + ["receive_us", "from_system", "from_component"]
        assert len(set(named)) == len(named), name


def test_wire_units_become_si_units():
    row = columns("GLOBAL_POSITION_INT", time_boot_ms=1234, lat=471234567, lon=-207, alt=123456, vx=-150, hdg=35999)
    got = {name: values.tolist()[0] for name, values in row.items()}
    assert got["time_boot_us"] == 1_234_000
    assert got["lat_deg"] == pytest.approx(47.1234567, abs=1e-12)
    assert got["alt_m"] == pytest.approx(123.456)
    assert got["vx_mps"] == pytest.approx(-1.5)
    assert got["hdg_deg"] == pytest.approx(359.99)
    slow = columns("HIGH_LATENCY2", heading=90, groundspeed=21, eph=12, altitude=-5)
    assert [slow[name].tolist()[0] for name in ("heading_deg", "groundspeed_mps", "eph_m", "altitude_m")] == (
        pytest.approx([180.0, 4.2, 1.2, -5.0])
    )
    pressure = columns("SCALED_PRESSURE", press_abs=1013.25, temperature=2512)
    assert pressure["press_abs_pa"][0] == pytest.approx(101325.0)
    assert pressure["temperature_degc"][0] == pytest.approx(25.12)


UNKNOWN = [
    ("GLOBAL_POSITION_INT", "hdg", 65535, "hdg_deg"),
    ("GPS_RAW_INT", "eph", 65535, "eph"),
    ("GPS_RAW_INT", "eph", 9999, "eph"),
    ("GPS_RAW_INT", "vel", 65535, "vel_mps"),
    ("GPS_RAW_INT", "yaw", 0, "yaw_deg"),
    ("GPS_RAW_INT", "satellites_visible", 255, "satellites_visible"),
    ("CAMERA_FOV_STATUS", "lat_image", 2**31 - 1, "lat_image_deg"),
    ("CAMERA_FOV_STATUS", "lat_image", -(2**31), "lat_image_deg"),
    ("CAMERA_FOV_STATUS", "hfov", math.nan, "hfov_deg"),
    ("DISTANCE_SENSOR", "covariance", 255, "covariance_m2"),
    ("OPEN_DRONE_ID_LOCATION", "direction", 36100, "direction_deg"),
    ("OPEN_DRONE_ID_LOCATION", "speed_horizontal", 25500, "speed_horizontal_mps"),
    ("OPEN_DRONE_ID_LOCATION", "altitude_geodetic", -1000.0, "altitude_geodetic_m"),
    ("OPEN_DRONE_ID_LOCATION", "timestamp", 65535.0, "timestamp_s"),
    ("HIGH_LATENCY2", "battery", -1, "battery_percent"),
]


@pytest.mark.parametrize(("name", "field", "value", "column"), UNKNOWN)
def test_what_means_unknown_is_nan_and_its_neighbour_is_not(name, field, value, column):
    assert np.isnan(columns(name, **{field: value})[column]).all()
    near = 7 if isinstance(value, int) else 7.0
    assert not np.isnan(columns(name, **{field: near})[column]).any()


def test_in_an_array_each_element_speaks_for_itself_unless_the_first_speaks_for_all():
    cells = columns("BATTERY_STATUS", voltages=[3700, 3800] + [65535] * 8)["voltages_v"]
    assert cells[0, :2].tolist() == pytest.approx([3.7, 3.8])
    assert np.isnan(cells[0, 2:]).all()
    unknown = columns("ODOMETRY", pose_covariance=[math.nan] + [1.0] * 20)["pose_covariance"]
    assert unknown.shape == (1, 21)
    assert np.isnan(unknown).all()


def test_a_zero_in_a_quaternion_is_a_number_and_a_zero_quaternion_is_unknown():
    assert columns("DISTANCE_SENSOR", quaternion=[1.0, 0, 0, 0])["quaternion"].tolist() == [[1.0, 0, 0, 0]]
    assert np.isnan(columns("DISTANCE_SENSOR", quaternion=[0.0] * 4, current_distance=5)["quaternion"]).all()


def test_flags_counts_and_ids_stay_whole_numbers():
    row = columns("GPS_RAW_INT", fix_type=3)
    assert row["fix_type"].dtype == np.uint8
    assert columns("ADSB_VEHICLE", ICAO_address=0x4CA7B3, flags=3)["ICAO_address"].tolist() == [0x4CA7B3]


def test_sixty_four_bits_of_time_lose_no_microsecond():
    moment = 1_795_470_000_123_457
    row = columns("SYSTEM_TIME", time_unix_usec=moment, time_boot_ms=2**32 - 1)
    assert row["time_unix_us"].tolist() == [moment]
    assert row["time_boot_us"].tolist() == [(2**32 - 1) * 1000]


def test_text_ends_at_its_first_zero_byte():
    text = columns("STATUSTEXT", text=b"EKF3 ready\0junk", severity=6)["text"]
    assert text.tolist() == ["EKF3 ready"]
    assert columns("STATUSTEXT", text=b"", severity=6)["text"].tolist() == [""]
    assert columns("STATUSTEXT", text="grüß".encode(), severity=6)["text"].tolist() == ["gr\ufffd\ufffd\ufffd\ufffd"]


def test_raw_is_what_stands_on_the_wire(demo):
    frames = read_frames(demo / "ro_drone.tlog")
    for name, told in read_messages(demo / "ro_drone.tlog", raw=True).items():
        values, rows = frames.columns(name)
        for field in values.dtype.names:
            np.testing.assert_array_equal(told[field], values[field])
        np.testing.assert_array_equal(told["receive_us"], frames.receive_us[rows])


def test_senders_are_told_apart_and_may_be_asked_for():
    log = sent(blank("ATTITUDE", yaw=1.0), system=1) + sent(blank("ATTITUDE", yaw=2.0), system=9)
    assert read_messages(log, ["ATTITUDE"])["ATTITUDE"]["from_system"].tolist() == [1, 9]
    assert read_messages(log, ["ATTITUDE"], system_id=9)["ATTITUDE"]["yaw_rad"].tolist() == [2.0]


def test_a_message_that_never_came_has_no_rows_and_one_that_is_none_is_refused():
    log = sent(blank("ATTITUDE", yaw=1.0))
    row = read_messages(log, ["ATTITUDE", "ODOMETRY"])["ODOMETRY"]
    assert row["pose_covariance"].shape == (0, 21)
    assert set(read_messages(log)) == {"ATTITUDE"}
    with pytest.raises(InputError, match="has no message 'ALTITUD'"):
        read_messages(log, ["ALTITUD"])


def test_live_frames_are_read_like_a_log():
    from dronetrack.mavlink.frames import Decoder

    batch = Decoder().update(sent(blank("ATTITUDE", yaw=1.0)), time_us=77)
    assert read_messages(batch)["ATTITUDE"]["receive_us"].tolist() == [77]


def test_the_messages_of_an_onboard_log_come_the_same_way(shared):
    told = read_messages(shared("logs/ardusub_small.BIN"), ["ATT"])
    assert set(told) == {"ATT"}
    assert len(told["ATT"]["TimeUS"]) == len(told["ATT"]["Roll"]) > 0
