import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from dronetrack.errors import InputError
from dronetrack.telemetry import Attitude, Gimbal, Position, Telemetry


def position_of(time_us, lat, lon, alt):
    n = len(time_us)
    unknown = np.full(n, np.nan)
    return Position(np.asarray(time_us), lat, lon, alt, np.zeros((n, 3)), unknown, unknown)


def wxyz(rotation):
    return rotation.as_quat()[:, [3, 0, 1, 2]]


@pytest.fixture
def drone(rng):
    time_us = np.arange(0, 10_000_000, 200_000)
    turns = Rotation.from_rotvec(np.cumsum(rng.normal(size=(50, 3)) * 0.1, axis=0))
    lat = 46.0 + 1e-5 * np.arange(50)
    flags = np.arange(50, dtype=np.int32)
    return Telemetry(
        1,
        position=position_of(time_us, lat, np.full(50, 20.0), 100.0 + np.arange(50.0)),
        attitude=Attitude(time_us, wxyz(turns)),
        gimbal=Gimbal(time_us, wxyz(turns), flags, np.full(50, np.nan)),
    ), turns


def test_attitude_between_rows_is_scipys_slerp(drone, rng):
    telemetry, turns = drone
    wanted = np.sort(rng.integers(0, 9_800_000, 300))
    _, _, _, quaternion = telemetry.pose_at(wanted)
    theirs = Slerp(telemetry.attitude.time_us * 1e-6, turns)(wanted * 1e-6)
    ours = Rotation.from_quat(quaternion[:, [1, 2, 3, 0]])
    assert (ours * theirs.inv()).magnitude().max() < 1e-7


def test_the_sign_of_a_quaternion_does_not_matter(drone):
    telemetry, _ = drone
    flipped = telemetry.attitude.quaternion * np.where(np.arange(50) % 2, -1.0, 1.0)[:, None]
    other = Telemetry(1, position=telemetry.position, attitude=Attitude(telemetry.attitude.time_us, flipped))
    wanted = np.arange(0, 9_800_000, 77_777)
    one, two = telemetry.pose_at(wanted)[3], other.pose_at(wanted)[3]
    np.testing.assert_allclose(np.abs(np.einsum("ni,ni->n", one, two)), 1.0, atol=1e-12)


def test_position_between_rows_is_linear(drone):
    telemetry, _ = drone
    lat, lon, alt, _ = telemetry.pose_at([100_000, 5_050_000])
    np.testing.assert_allclose(lat, [46.0 + 0.5e-5, 46.0 + 25.25e-5], rtol=0, atol=1e-12)
    np.testing.assert_allclose(alt, [100.5, 125.25])
    np.testing.assert_allclose(lon, 20.0)


def test_nothing_is_known_outside_the_log_and_in_long_gaps():
    telemetry = Telemetry(1, position=position_of([0, 3_000_000], [46.0, 46.1], [20.0, 20.1], [100.0, 110.0]))
    lat, _, _, quaternion = telemetry.pose_at([-1, 0, 1_500_000, 3_000_000, 3_000_001])
    assert np.isnan(lat).tolist() == [True, False, True, False, True]
    assert np.isnan(quaternion).all()
    assert not np.isnan(telemetry.pose_at([1_500_000], max_gap_s=5.0)[0]).any()


def test_a_drone_may_cross_the_date_line():
    telemetry = Telemetry(1, position=position_of([0, 1_000_000], [0.0, 0.0], [179.999, -179.999], [0.0, 0.0]))
    _, lon, _, _ = telemetry.pose_at([250_000, 750_000])
    np.testing.assert_allclose(lon, [179.9995, -179.9995], atol=1e-9)


def test_gimbal_flags_are_those_of_the_row_before(drone):
    telemetry, _ = drone
    _, flags = telemetry.gimbal_at([-5, 0, 199_999, 200_000, 350_000])
    assert flags.tolist() == [-1, 0, 0, 1, 1]


def test_an_empty_log_knows_no_pose():
    assert np.isnan(Telemetry(1).pose_at([0, 1])[0]).all()
    assert Telemetry(1).pose_at([])[0].shape == (0,)


def test_quaternions_must_have_length_one():
    with pytest.raises(InputError, match=r"quaternions of Attitude must have length 1; row 1 has 0\.5"):
        Attitude(np.array([0, 1]), np.array([[1.0, 0, 0, 0], [0.5, 0, 0, 0]]))


def test_rows_must_be_in_time_order():
    with pytest.raises(InputError, match="Attitude must be in time order"):
        Attitude(np.array([1, 0]), np.array([[1.0, 0, 0, 0], [1.0, 0, 0, 0]]))
