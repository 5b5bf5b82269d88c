import numpy as np
import pytest

from dronetrack.errors import InputError
from dronetrack.measurements import HEIGHT, POSITION, Measurements, Sensor, measurements_of, merge


def batch(times, name="gnss", **sensor):
    n = len(times)
    z = np.zeros((n, 3))
    z[:, 0] = times
    cov = np.broadcast_to(np.eye(3), (n, 3, 3))
    return measurements_of(np.asarray(times, dtype=np.int64), POSITION, z, cov, Sensor(name, **sensor))


def test_merging_puts_rows_in_time_order_and_keeps_their_sensor():
    both = merge(batch([1, 4], "b"), batch([2, 3, 4], "a"))
    assert both.time_us.tolist() == [1, 2, 3, 4, 4]
    assert [both.sensors[one].name for one in both.sensor_id] == ["b", "a", "a", "a", "b"]


def test_the_order_of_the_arguments_does_not_matter():
    one, two, three = batch([1, 4], "b"), batch([2, 3, 4], "a"), batch([4], "c")
    first, second = merge(one, two, three), merge(three, two, one)
    for name in ("time_us", "sensor_id", "z"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_two_batches_of_one_sensor_become_one():
    both = merge(batch([1, 3]), batch([2]))
    assert len(both.sensors) == 1
    assert both.time_us.tolist() == [1, 2, 3]


def test_merging_nothing_gives_an_empty_table():
    assert len(merge()) == 0
    assert len(merge(batch([]))) == 0


def test_two_sensors_of_one_name_are_refused():
    with pytest.raises(InputError, match="two different sensors are both called 'gnss'"):
        merge(batch([1]), batch([2], shared_time_s=5.0))


def test_rows_of_one_sensor_are_found_by_name():
    both = merge(batch([1, 4], "b"), batch([2, 3], "a"))
    assert both.of("a").time_us.tolist() == [2, 3]
    with pytest.raises(InputError, match="no sensor 'c'"):
        both.of("c")


def test_a_table_out_of_order_is_refused_with_its_row():
    table = batch([1, 2])
    columns = {name: getattr(table, name) for name in Measurements.__dataclass_fields__}
    with pytest.raises(InputError, match=r"row 1 is earlier than row 0\. Use merge"):
        Measurements(**(columns | {"time_us": np.array([2, 1])}))


def test_times_whose_difference_would_overflow_are_refused():
    with pytest.raises(InputError, match="time_us must lie in the years"):
        batch([-(2**62), 2**62])


def test_shapes_are_said_in_words():
    with pytest.raises(InputError, match=r"2 rows need z \(2, 3\) and cov \(2, 3, 3\)"):
        measurements_of([1, 2], HEIGHT, np.zeros((2, 2)), np.zeros((2, 3, 3)), Sensor("x"))


@pytest.mark.parametrize("wrong", [{"heading_std_rad": -1.0}, {"shared_time_s": 0.0}, {"boresight_std_rad": np.nan}])
def test_a_sensor_with_impossible_errors_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Sensor("x", **wrong)
