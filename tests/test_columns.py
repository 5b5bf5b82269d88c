import numpy as np
import pytest

from dronetrack.columns import FURTHEST_US, column, same_length, time_column
from dronetrack.errors import InputError


def test_a_column_is_a_read_only_copy():
    mine = np.array([1.0, 2.0])
    theirs = column("x_m", mine, np.float64, (None,))
    mine[0] = 9.0
    assert theirs.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        theirs[0] = 3.0


def test_a_column_that_is_right_already_is_not_copied():
    ready = column("x_m", [1.0, 2.0], np.float64, (None,))
    assert column("x_m", ready, np.float64, (None,)) is ready


def test_a_column_that_is_not_kept_is_a_read_only_view():
    theirs = np.array([1.0, 2.0])
    out = column("x_m", theirs, np.float64, (None,), kept=False)
    assert np.shares_memory(out, theirs)
    assert theirs.flags.writeable
    assert not out.flags.writeable


def test_strided_and_float32_become_one_layout():
    for came in (np.arange(10.0)[::2], np.arange(5, dtype=np.float32), np.asfortranarray(np.ones((2, 3)))):
        out = column("x", came, np.float64, tuple([None] * came.ndim))
        assert out.flags.c_contiguous
        assert out.dtype == np.float64


def test_whole_numbers_are_not_cut_out_of_fractions():
    with pytest.raises(InputError, match="time_us must be int64; got float64"):
        column("time_us", [1.5], np.int64, (None,))


@pytest.mark.parametrize("far_us", [FURTHEST_US + 1, -FURTHEST_US - 1, 2**63 - 1, -(2**63)])
def test_a_time_too_far_away_is_refused_with_its_row(far_us):
    with pytest.raises(InputError, match=rf"time_us must lie in the years 1685 to 2254; row 1 is {far_us} us"):
        time_column("time_us", [0, far_us], (None,))


def test_the_furthest_times_are_kept_apart_to_the_microsecond():
    times = time_column("time_us", [-FURTHEST_US, FURTHEST_US - 1, FURTHEST_US], (None,))
    assert np.diff(times).tolist() == [2**54 - 1, 1]
    assert times.astype(np.float64).astype(np.int64).tolist() == times.tolist()


def test_the_message_names_the_shape_that_was_needed():
    with pytest.raises(InputError, match=r"cov must have shape \(n, 3, 3\); got \(4, 3\)"):
        column("cov", np.ones((4, 3)), np.float64, (None, 3, 3))


def test_the_message_names_the_row_with_a_nan():
    with pytest.raises(InputError, match="lat_deg must not hold NaN; row 1 does"):
        column("lat_deg", [1.0, np.nan], np.float64, (None,), nan=False)


def test_the_message_names_the_row_out_of_range():
    with pytest.raises(InputError, match=r"lat_deg must lie in \[-90, 90\]; row 2 is 91"):
        column("lat_deg", [0.0, 1.0, 91.0], np.float64, (None,), low=-90, high=90)


def test_columns_of_a_batch_have_one_length():
    assert same_length("Batch", {"a": np.zeros(2), "b": np.ones(2)}) == 2
    with pytest.raises(InputError, match="all columns of Batch need one length; got a 2, b 3"):
        same_length("Batch", {"a": np.zeros(2), "b": np.ones(3)})
