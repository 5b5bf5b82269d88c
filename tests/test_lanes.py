"""Rows of small matrices in whole lanes give what numpy gives."""

import numpy as np

from dronetrack.kernels import kernel, lanes
from dronetrack.kernels.lanes import LANES, put, spread, take

RNG = np.random.default_rng(7)


@kernel
def _combined_rows(P, A, out):
    """Fill out with 2 P - A + A P, in whole lanes."""
    for k in range(0, P.shape[1], LANES):
        for i in range(P.shape[0]):
            s = spread(0.0)
            s += 2.0 * take(P, (i, k))
            s -= take(A, (i, k))
            put(out, (i, k), s + take(A, (i, k)) * take(P, (i, k)))


@kernel
def _dot_rows(A, B, n):
    """Product of the first rows."""
    return lanes.dot_one(A, 0, B, 0, lanes.lanes_for_one(n))


def test_lanes_add_subtract_and_multiply_as_numbers_do():
    P, A, out = RNG.normal(size=(3, 2 * LANES)), RNG.normal(size=(3, 2 * LANES)), np.zeros((3, 2 * LANES))
    _combined_rows(P, A, out)
    assert np.allclose(out, 2.0 * P - A + A * P, rtol=1e-14, atol=1e-14)


def test_a_row_ends_in_zeros_and_its_product_is_that_of_what_stands_before_them():
    A, B = np.zeros((1, 24)), np.zeros((1, 24))
    A[0, :22], B[0, :22] = RNG.normal(size=(2, 22))
    assert np.isclose(_dot_rows(A, B, 22), A[0, :22] @ B[0, :22], rtol=1e-13)


def test_a_row_is_as_long_as_whole_lanes():
    assert [int(lanes.lanes_for_one(n)) for n in (0, 1, 8, 9, 24)] == [0, 8, 8, 16, 24]
