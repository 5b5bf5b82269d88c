"""Law 4: covariances stay symmetric and positive definite, through long runs and 1 mm next to 1000 km."""

import numpy as np

from dronetrack import geodesy
from dronetrack.filtering import track
from dronetrack.measurements import POSITION, Sensor, measurements_of, merge


def rows(time_us, std_m, name, rng):
    n = len(time_us)
    z = geodesy.enu_to_ecef(rng.normal(0.0, min(std_m, 1.0), (n, 3)), 46.2, 20.7, 100.0)
    std_m = np.broadcast_to(std_m**2 * np.eye(3), (n, 3, 3))
    return measurements_of(time_us, POSITION, z, std_m, Sensor(name, shared_time_s=50.0), site_cov=0.1 * std_m)


def assert_healthy(result):
    np.testing.assert_array_equal(result.cov, result.cov.transpose(0, 2, 1))
    # Scaled to a correlation, so that millimetres are seen beside kilometres.
    std = np.sqrt(np.diagonal(result.cov, axis1=1, axis2=2))
    assert (std > 0).all()
    assert np.linalg.eigvalsh(result.cov / std[:, :, None] / std[:, None, :]).min() > 0.0


def test_one_millimetre_next_to_a_thousand_kilometres(rng):
    time_us = np.arange(0, 400_000_000, 100_000)
    exact, vague = rows(time_us[::2], 1e-3, "exact", rng), rows(time_us[1::2], 1e6, "vague", rng)
    result = track(merge(exact, vague))
    assert len(result) == len(time_us)
    assert_healthy(result)


def test_three_hundred_thousand_steps(rng):
    time_us = np.cumsum(rng.integers(1_000, 200_000, 300_000))
    result = track(rows(time_us, 3.0, "gnss", rng), coast_step_s=10.0)
    assert len(result) == 300_000
    assert_healthy(result.take(slice(None, None, 50)))
    assert_healthy(result.take(slice(-2000, None)))
