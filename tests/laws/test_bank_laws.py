"""Laws 1, 4 and 6 for banks: any cut gives the same bits, covariances stay healthy, nothing that comes in changes."""

import numpy as np
import pytest

from dronetrack import geodesy
from dronetrack.bank import TargetBank, from_filterpy
from dronetrack.kernels import sequence
from dronetrack.motion import ConstantAcceleration, ConstantVelocity, CoordinatedTurn, Mixture, discretise

SITE = geodesy.geodetic_to_ecef([46.0], [20.5], [300.0])[0]
MODELS = {
    "velocity": ConstantVelocity(),
    "acceleration": ConstantAcceleration(),
    "mixture": Mixture([ConstantVelocity(), ConstantVelocity(8.0, 0.2), CoordinatedTurn(6.0)]),
}


def targets(n, rng, d=6):
    mean = np.zeros((n, d))
    mean[:, :3] = geodesy.geodetic_to_ecef(np.full(n, 46.2), np.linspace(20.0, 21.0, n), np.full(n, 120.0))
    mean[:, 3:6] = rng.normal(0.0, 10.0, (n, 3))
    root = rng.normal(size=(n, d, d))
    cov = root @ root.transpose(0, 2, 1) + 4.0 * np.eye(d)
    return mean, 0.5 * (cov + cov.transpose(0, 2, 1))


def script(mean, rng):
    """A measurement of every kind, some not observed, some masked, at times that differ."""
    n = len(mean)
    place = mean[:, :3] + rng.normal(0.0, 3.0, (n, 3))
    place[rng.random((n, 3)) < 0.1] = np.nan
    sight = mean[:, :3] - SITE
    distance = np.linalg.norm(sight, axis=1)
    each = rng.uniform(0.5, 2.0, (n, 1, 1)) * (4.0 * np.eye(3) + 1.0)
    site = {"site_ecef_m": SITE}
    times = rng.integers(200_000, 400_000, n)
    return [
        (times, {"position": place, "cov": each}),
        (500_000, {"line_of_sight": sight / distance[:, None], "cov": 1e-6 * np.eye(3), "method": "iterated", **site}),
        (None, {"range": distance + 3.0, "cov": 25.0, "mask": rng.random(n) < 0.7, **site}),
        (900_000, {"range_rate": np.where(rng.random(n) < 0.2, np.nan, 1.0), "cov": np.full(n, 4.0), **site}),
        (900_000, {"velocity": mean[:, 3:6] + 1.0, "cov": np.eye(3) + 0.5}),
        (1_100_000, {"speed": np.linalg.norm(mean[:, 3:6], axis=1), "cov": 1.0}),
        (1_200_000, {"height": np.full(n, 118.0), "cov": 9.0}),
        (2_000_000, {"bearing": np.full(n, 45.0), "cov": 100.0, **site}),
    ]


def part(values, keep, n):
    """What belongs to some of the targets."""
    shape = np.shape(values)
    return values[keep] if shape[:1] == (n,) else values


def played(mean, cov, motion, steps, keep, **options):
    n = len(mean)
    bank = TargetBank(mean[keep], cov[keep], 0, motion=motion, **options)
    fits = []
    for time_us, measured in steps:
        given = {name: part(values, keep, n) for name, values in measured.items()}
        fits.append(bank.update(part(time_us, keep, n), **given))
    return bank, fits


@pytest.mark.parametrize("model", MODELS)
def test_any_cut_into_banks_gives_the_same_bits(model, rng):
    motion = MODELS[model]
    mean, cov = targets(75, rng, motion.state_size)
    steps = script(mean, rng)
    whole, fits = played(mean, cov, motion, steps, np.arange(75))
    for keep in (np.arange(1), np.arange(1, 34), np.arange(34, 75), rng.permutation(75)[:40]):
        some, some_fits = played(mean, cov, motion, steps, keep)
        np.testing.assert_array_equal(some.mean, whole.mean[keep])
        np.testing.assert_array_equal(some.cov, whole.cov[keep])
        np.testing.assert_array_equal(some.model_probabilities, whole.model_probabilities[keep])
        for one, other in zip(some_fits, fits, strict=True):
            np.testing.assert_array_equal(one.nis, other.nis[keep])
            np.testing.assert_array_equal(one.log_likelihood, other.log_likelihood[keep])


def test_threads_do_not_change_a_bit(rng):
    n = 70_001
    mean, cov = np.tile(targets(1, rng)[0], (n, 1)), np.tile(targets(1, rng)[1], (n, 1, 1))
    z = mean[:, :3] + rng.normal(0.0, 3.0, (n, 3))
    banks = [TargetBank(mean, cov, 0, n_threads=threads) for threads in (1, 2, 3)]
    for bank in banks:
        bank.update(300_000, position=z, cov=9.0 * np.eye(3))
        bank.update(500_000, height=np.full(n, 100.0), cov=4.0)
        bank.predict(900_000)
    for bank in banks[1:]:
        np.testing.assert_array_equal(bank.mean, banks[0].mean)
        np.testing.assert_array_equal(bank.packed_cov, banks[0].packed_cov)


@pytest.mark.parametrize("model", MODELS)
def test_predict_then_update_is_update_at_a_time(model, rng):
    motion = MODELS[model]
    mean, cov = targets(40, rng, motion.state_size)
    one, two = TargetBank(mean, cov, 0, motion=motion), TargetBank(mean, cov, 0, motion=motion)
    z, R = mean[:, :3] + 1.0, 4.0 * np.eye(3) + 1.0
    one.predict(700_000)
    one.update(position=z, cov=R)
    two.update(700_000, position=z, cov=R)
    np.testing.assert_array_equal(one.time_us, two.time_us)
    np.testing.assert_allclose(one.mean, two.mean, rtol=1e-15)
    np.testing.assert_allclose(one.cov, two.cov, rtol=1e-12, atol=1e-12)


def test_no_input_is_changed_and_read_only_inputs_will_do(rng):
    mean, cov = targets(9, rng)
    steps = script(mean, rng)
    arrays = [mean, cov]
    for time_us, measured in steps:
        arrays += [value for value in (time_us, *measured.values()) if isinstance(value, np.ndarray)]
    copies = [array.copy() for array in arrays]
    played(mean, cov, None, steps, slice(None))
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
        array.flags.writeable = False
    played(mean, cov, None, steps, slice(None))


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("model", MODELS)
def test_no_target_and_one_target_are_banks_too(n, model, rng):
    motion = MODELS[model]
    mean, cov = targets(n, rng, motion.state_size)
    bank, fits = played(mean, cov, motion, script(mean, rng), slice(None))
    bank.predict(3_000_000)
    assert bank.mean.shape == (n, motion.state_size)
    assert bank.cov.shape == (n, motion.state_size, motion.state_size)
    assert all(fit.nis.shape == (n,) for fit in fits)
    assert bank.gate(height=np.full(n, 110.0), cov=9.0).shape == (n,)


def healthy(cov):
    """Symmetric and positive definite, seen as correlations, so that millimetres count beside kilometres."""
    np.testing.assert_array_equal(cov, cov.transpose(0, 2, 1))
    std = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    assert (std > 0.0).all()
    assert np.linalg.eigvalsh(cov / std[:, :, None] / std[:, None, :]).min() > 0.0


# 1 mm beside 1000 km: an exact sensor, its noise correlated between the axes, in turn with a hopeless one, on a prior
# that knows nothing.
EXACT = 1e-6 * np.array([[1.0, 0.3, 0.1], [0.3, 2.0, -0.4], [0.1, -0.4, 1.5]])
NOISE = np.stack([EXACT, 1e12 * np.eye(3)])
PRIOR = np.diag([1e12] * 3 + [1e6] * 3)
STEP_US = 200_000


def torture_reference(mean, zs, steps):
    """The textbook filter with 50 digits; F and Q are the library's own, as the filter sees them."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 50
    x, P = mpmath.matrix(mean.tolist()), mpmath.matrix(PRIOR.tolist())
    means, covs = [], []
    for k in range(steps):
        F, Q = discretise(ConstantVelocity(), np.array([[float(x[i]) for i in range(3)]]), [STEP_US * 1e-6])
        F, Q = mpmath.matrix(F[0].tolist()), mpmath.matrix(Q[0].tolist())
        x, P = F * x, F * P * F.T + Q
        H = mpmath.matrix(np.eye(3, 6).tolist())
        S = H * P * H.T + mpmath.matrix(NOISE[k % 2].tolist())
        K = P * H.T * S**-1
        x = x + K * (mpmath.matrix(zs[k].tolist()) - H * x)
        P = P - K * S * K.T
        P = (P + P.T) / 2
        means.append([float(x[i]) for i in range(6)])
        covs.append([[float(P[i, j]) for j in range(6)] for i in range(6)])
    return np.array(means), np.array(covs)


def test_one_millimetre_beside_a_thousand_kilometres_agrees_with_fifty_digits_for_a_million_steps(rng):
    start = geodesy.geodetic_to_ecef([46.2], [20.7], [120.0])[0]
    mean = np.concatenate([start + 5e5, np.zeros(3)])
    settled, n = 120, 1_000_000
    z = start + rng.normal(0.0, 1e-3, (n, 3))
    means, covs = torture_reference(mean, z[:settled], settled)
    state = np.concatenate([mean, PRIOR[np.triu_indices(6)]])
    noise = ConstantVelocity().parameters[:3].copy()
    part_n = 100_000
    x, P, nis = np.empty((part_n, 6)), np.empty((part_n, 6, 6)), np.empty(part_n)
    R = np.tile(NOISE, (part_n // 2, 1, 1))
    for first in range(0, n, part_n):
        time_us = (np.arange(first, first + part_n) + 1) * STEP_US
        sequence.sequence6_rows(state, first * STEP_US, time_us, z[first : first + part_n], R, noise, x, P, nis)
        if first == 0:
            agree(P[:settled], covs)
            np.testing.assert_allclose(x[:settled], means, rtol=1e-9, atol=1e-6)
            healthy(P[:2000])
        healthy(P[::100])
    # By then nothing is left of the start: two steps before the reference ended it stood where it ends.
    agree(covs[-3:-2], covs[-1:], 1e-8)
    agree(P[-2:], covs[-2:])


def agree(cov, reference, tolerance=1e-6):
    """Relative to the standard deviations of the two components of each element."""
    std = np.sqrt(np.diagonal(reference, axis1=1, axis2=2))
    assert np.max(np.abs(cov - reference) / std[:, :, None] / std[:, None, :]) < tolerance
    variance = np.diagonal(cov, axis1=1, axis2=2) / np.diagonal(reference, axis1=1, axis2=2)
    assert np.max(np.abs(variance - 1.0)) < tolerance


def test_a_bank_goes_through_the_same_torture_as_the_sequence(rng):
    start = geodesy.geodetic_to_ecef([46.2], [20.7], [120.0])[0]
    mean = np.concatenate([start + 5e5, np.zeros(3)])
    z = start + rng.normal(0.0, 1e-3, (2000, 3))
    bank = TargetBank(np.tile(mean, (3, 1)), np.tile(PRIOR, (3, 1, 1)), 0)
    means, covs = np.empty((2000, 6)), np.empty((2000, 6, 6))
    for k in range(2000):
        bank.update((k + 1) * STEP_US, position=np.tile(z[k], (3, 1)), cov=NOISE[k % 2])
        means[k], covs[k] = bank.mean[2], bank.cov[2]
    healthy(covs)
    state = np.concatenate([mean, PRIOR[np.triu_indices(6)]])
    x, P, nis = np.empty((2000, 6)), np.empty((2000, 6, 6)), np.empty(2000)
    time_us = (np.arange(2000) + 1) * STEP_US
    noise = ConstantVelocity().parameters[:3].copy()
    sequence.sequence6_rows(state, 0, time_us, z, np.tile(NOISE, (1000, 1, 1)), noise, x, P, nis)
    np.testing.assert_allclose(means, x, rtol=1e-12, atol=1e-12)
    agree(covs, P)


@pytest.mark.parametrize("model", MODELS)
def test_covariances_stay_healthy_whatever_is_measured(model, rng):
    motion = MODELS[model]
    mean, cov = targets(20, rng, motion.state_size)
    cov[:, :3, :3] += 1e10 * np.eye(3)
    bank = TargetBank(mean, cov, 0, motion=motion)
    truth = mean[:, :3]
    sight = truth - SITE
    distance = np.linalg.norm(sight, axis=1)
    for k in range(60):
        for measured in (
            {"range": distance, "cov": 1e-6},
            {"line_of_sight": sight / distance[:, None], "cov": 1e-12 * np.eye(3), "method": "iterated"},
            {"range_rate": np.zeros(20), "cov": 1e-6},
            {"position": truth, "cov": EXACT},
        ):
            site = {} if "position" in measured else {"site_ecef_m": SITE}
            bank.update((k + 1) * 1_000_000, **measured, **site)
    healthy(bank.cov)


def test_linear_banks_may_be_cut_too(rng):
    from filterpy.kalman import KalmanFilter

    kalman = KalmanFilter(dim_x=4, dim_z=2)
    kalman.F, kalman.H = np.eye(4) + np.eye(4, k=2), np.eye(2, 4)
    z = rng.normal(size=(50, 2))
    whole = from_filterpy(kalman, 50)
    whole.update(z, predict=True)
    some = from_filterpy(kalman, 17)
    some.update(z[33:], predict=True)
    np.testing.assert_array_equal(some.mean, whole.mean[33:])
    np.testing.assert_array_equal(some.cov, whole.cov[33:])
