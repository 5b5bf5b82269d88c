import importlib.util
import pathlib

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from dronetrack.errors import InputError, OrderError
from dronetrack.kernels import generated_sequence
from dronetrack.motion import (
    ConstantAcceleration,
    ConstantVelocity,
    CoordinatedTurn,
    Singer,
    StopAndGo,
    discretise,
)
from dronetrack.sequence import filter_sequence
from dronetrack.smoothing import smooth_sequences

START = np.array([4.08e6, 1.43e6, 4.67e6])


def drive(motion, n, rng):
    d = motion.state_size
    mean, cov = np.zeros(d), np.diag([100.0] * 3 + [25.0] * 3 + [1.0] * (d - 6))
    mean[:3] = START
    time_us = np.cumsum(rng.integers(50_000, 900_000, n))
    truth = START + rng.normal(0.0, 5.0, 3) + time_us[:, None] * 1e-6 * rng.normal(0.0, 5.0, 3)
    return mean, cov, time_us, truth, truth + rng.normal(0.0, 3.0, (n, 3))


@pytest.mark.parametrize("motion", [ConstantVelocity(), StopAndGo(), ConstantAcceleration(), Singer()])
def test_every_row_is_what_filterpy_makes_of_it(motion, rng):
    mean, cov, time_us, _, z = drive(motion, 80, rng)
    noise = np.tile(9.0 * np.eye(3), (80, 1, 1)) * rng.uniform(0.5, 2.0, 80)[:, None, None]
    state, covs, nis = filter_sequence(motion, mean, cov, 0, time_us=time_us, position=z, position_cov=noise)
    kalman = KalmanFilter(dim_x=motion.state_size, dim_z=3)
    kalman.x, kalman.P, kalman.H = mean, cov, np.eye(3, motion.state_size)
    for k, step_s in enumerate(np.diff(time_us, prepend=0) * 1e-6):
        F, Q = (one[0] for one in discretise(motion, kalman.x[None, :3], [step_s]))
        kalman.predict(F=F, Q=Q)
        kalman.update(z[k], R=noise[k])
        std = np.sqrt(np.diagonal(kalman.P))
        np.testing.assert_allclose((state[k] - kalman.x) / std, 0.0, atol=1e-8)
        np.testing.assert_allclose((covs[k] - kalman.P) / np.outer(std, std), 0.0, atol=1e-9)
        assert nis[k] == pytest.approx(float(kalman.mahalanobis) ** 2, rel=1e-6)


def test_what_comes_out_goes_into_the_smoother(rng):
    motion = ConstantVelocity(0.01, 0.01)
    mean, cov, time_us, truth, z = drive(motion, 400, rng)
    state, covs, _ = filter_sequence(motion, mean, cov, 0, time_us=time_us, position=z, position_cov=9 * np.eye(3))
    smoothed, _ = smooth_sequences(motion, time_us[None], state[None], covs[None])
    error = [np.sqrt(np.mean((one[:, :3] - truth) ** 2)) for one in (state, smoothed[0])]
    assert error[1] < 0.8 * error[0]


def test_nothing_in_is_nothing_out_and_a_row_of_nan_only_predicts(rng):
    motion = ConstantVelocity()
    mean, cov, time_us, _, z = drive(motion, 3, rng)
    empty = filter_sequence(motion, mean, cov, 0, time_us=time_us[:0], position=z[:0], position_cov=np.eye(3))
    assert [one.shape for one in empty] == [(0, 6), (0, 6, 6), (0,)]
    z[1] = np.nan
    state, _, nis = filter_sequence(motion, mean, cov, 0, time_us=time_us, position=z, position_cov=np.eye(3))
    assert np.isnan(nis[1])
    step_s = (time_us[1] - time_us[0]) * 1e-6
    np.testing.assert_allclose(state[1, :3], state[0, :3] + step_s * state[0, 3:], rtol=1e-12)


def test_what_is_wrong_is_said(rng):
    motion = ConstantVelocity()
    mean, cov, time_us, _, z = drive(motion, 3, rng)
    good = {"time_us": time_us, "position": z, "position_cov": np.eye(3)}
    with pytest.raises(InputError, match="TargetBank"):
        filter_sequence(CoordinatedTurn(3.0), mean, cov, 0, **good)
    with pytest.raises(OrderError, match="sort"):
        filter_sequence(motion, mean, cov, 0, **good | {"time_us": time_us[::-1]})
    with pytest.raises(OrderError, match="start_us"):
        filter_sequence(motion, mean, cov, int(time_us[1]), **good)
    with pytest.raises(InputError, match="time_us must lie in the years"):
        filter_sequence(motion, mean, cov, 0, **good | {"time_us": time_us * 1_000_000_000_000})
    with pytest.raises(InputError, match="start_us must lie in the years"):
        filter_sequence(motion, mean, cov, -(2**62), **good)
    with pytest.raises(InputError, match="position_cov must be positive definite"):
        filter_sequence(motion, mean, cov, 0, **good | {"position_cov": np.zeros((3, 3))})
    with pytest.raises(InputError, match="position_cov must be"):
        filter_sequence(motion, mean, cov, 0, **good | {"position_cov": np.tile(np.eye(3), (2, 1, 1))})
    with pytest.raises(InputError, match="cov must be symmetric"):
        filter_sequence(motion, mean, cov + np.triu(np.ones((6, 6)), 1), 0, **good)


def textbook(mean, cov, motion, times_s, z, R):
    """The textbook filter with 50 digits; F and Q are the library's own, as the filter sees them."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 50
    x, P, H = (mpmath.matrix(one.tolist()) for one in (mean, cov, np.eye(3, 6)))
    means, covs = [], []
    for k, step_s in enumerate(np.diff(times_s, prepend=0.0)):
        here = np.array([[float(x[i]) for i in range(3)]])
        F, Q = (mpmath.matrix(one[0].tolist()) for one in discretise(motion, here, [step_s]))
        x, P = F * x, F * P * F.T + Q
        S = H * P * H.T + mpmath.matrix(R[k].tolist())
        K = P * H.T * S**-1
        x, P = x + K * (mpmath.matrix(z[k].tolist()) - H * x), P - K * S * K.T
        means.append([float(one) for one in x])
        covs.append([[float(P[i, j]) for j in range(6)] for i in range(6)])
    return np.array(means), np.array(covs)


# Variances at the start: the first positions take the straight line, or cannot, or the one and then the other.
@pytest.mark.parametrize("known", [1.0, 1e2, 1e3, 1e5])
@pytest.mark.parametrize("motion", [ConstantVelocity(), ConstantVelocity(2.0, 2.0), StopAndGo()])
def test_digits_stay_whatever_a_position_tells(known, motion, rng):
    n = 24
    mean, cov = np.concatenate([START, np.zeros(3)]), known * np.diag([1.0, 1.0, 1.0, 0.3, 0.3, 0.3])
    # Three even steps, two positions at one time, then a longer step.
    time_us = np.cumsum(np.tile([200_000, 200_000, 200_000, 0, 700_000, 200_000], n // 6))
    axes = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    # Long, round and flat noise, of decimetres to hundreds of metres.
    std = 10.0 ** rng.uniform(-1.0, 2.0, (n, 3))
    std[::2] = std[::2, :1]
    R = axes * std[:, None, :] ** 2 @ axes.transpose(0, 2, 1)
    R = 0.5 * (R + R.transpose(0, 2, 1))
    z = START + (np.linalg.cholesky(R) @ rng.normal(size=(n, 3, 1)))[..., 0]
    state, covs, _ = filter_sequence(motion, mean, cov, 0, time_us=time_us, position=z, position_cov=R)
    means, expected = textbook(mean, cov, motion, time_us * 1e-6, z, R)
    std = np.sqrt(np.diagonal(expected, axis1=1, axis2=2))
    np.testing.assert_allclose((covs - expected) / std[:, :, None] / std[:, None, :], 0.0, atol=1e-10)
    np.testing.assert_allclose((state - means) / std, 0.0, atol=1e-6)
    np.testing.assert_array_equal(covs, covs.transpose(0, 2, 1))
    assert np.linalg.eigvalsh(covs / std[:, :, None] / std[:, None, :]).min() > 0.0


def test_the_written_out_step_is_what_its_generator_writes():
    place = pathlib.Path(__file__).parent.parent / "tools" / "make_sequence_kernels.py"
    spec = importlib.util.spec_from_file_location("make_sequence_kernels", place)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert pathlib.Path(generated_sequence.__file__).read_text() == generator.source()
