import itertools

import numpy as np
import pytest
from filterpy.kalman import IMMEstimator, KalmanFilter, MerweScaledSigmaPoints, UnscentedKalmanFilter
from flights import LAT, LON
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from dronetrack import geodesy, reference
from dronetrack.errors import InputError
from dronetrack.kernels import mixture as kernels
from dronetrack.measurements import POSITION, Sensor, measurements_of
from dronetrack.motion import ConstantVelocity, CoordinatedTurn, Mixture, Singer, StopAndGo, discretise
from dronetrack.tracks import COASTING

STD_M = 3.0
NOISE = STD_M**2 * np.eye(3)
PAIR = Mixture([ConstantVelocity(0.05, 0.01), ConstantVelocity(6.0, 0.05)], mean_stay_s=[20.0, 8.0])
THREE = Mixture([ConstantVelocity(0.2), CoordinatedTurn(8.0, 0.2), StopAndGo()], mean_stay_s=[15.0, 10.0, 30.0])
WITH_ACCELERATION = Mixture([ConstantVelocity(0.2), Singer(), CoordinatedTurn(-8.0)], mean_stay_s=12.0)
every_mixture = pytest.mark.parametrize("mixture", [PAIR, THREE, WITH_ACCELERATION], ids=["2", "3", "3 of 9"])


def start(mixture):
    """A state on the ellipsoid, unknown to 20 m, 10 m/s and 2 m/s2."""
    place = geodesy.geodetic_to_ecef([LAT], [LON], [0.0])[0]
    d = mixture.state_size
    return np.concatenate([place, np.zeros(d - 3)]), np.diag(np.repeat([400.0, 100.0, 4.0][: d // 3], 3))


def drive(rng, n, place):
    """Positions of something that goes straight, bends and stops, at irregular times."""
    step_s = rng.uniform(0.05, 1.5, n)
    seconds = np.cumsum(step_s)
    east = 12.0 * seconds + 40.0 * np.sin(seconds / 9.0)
    north = 50.0 * np.sin(seconds / 15.0)
    axes = geodesy.enu_rotation([LAT], [LON])[0]
    truth = place + np.column_stack([east, north, 0.0 * east]) @ axes
    return step_s, truth + rng.normal(0, STD_M, (n, 3))


def run(mixture, step_s, z, state, cov):
    """Our step kernel over one sequence: probabilities, means, covariances after each position, log-likelihoods."""
    m, d = len(mixture.models), mixture.state_size
    mu, means = np.array([mixture.initial]), np.tile(state, (1, m, 1))
    covs, score = np.tile(cov, (1, m, 1, 1)), np.empty(1)
    out = []
    for step, seen in zip(step_s, z, strict=True):
        kernels.mixture_rows(
            mixture.codes, mixture.parameters, mixture.rates, np.array([step]), seen[None], NOISE[None],
            mu, means, covs, score,
        )  # fmt: skip
        x, p = np.empty((1, d)), np.empty((1, d, d))
        kernels.combine_rows(mu, means, covs, x, p)
        out.append((mu[0].copy(), means[0].copy(), covs[0].copy(), x[0], p[0], score[0]))
    return [np.array(column) for column in zip(*out, strict=True)]


@every_mixture
def test_a_whole_sequence_is_filtered_as_filterpy_does(rng, mixture):
    state, cov = start(mixture)
    step_s, z = drive(rng, 150, state[:3])
    ours = run(mixture, step_s, z, state, cov)[:5]
    theirs = reference.interact(mixture, step_s, z, NOISE, state, cov)
    for row, want in enumerate(theirs):
        mu, means, covs, x, p = (column[row] for column in ours)
        np.testing.assert_allclose(mu, want[0], rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(means - state, want[1] - state, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(covs, want[2], rtol=1e-9, atol=1e-9 * want[2].max())
        np.testing.assert_allclose(x - state, want[3] - state, rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(p, want[4], rtol=1e-9, atol=1e-9 * want[4].max())


@every_mixture
def test_covariances_stay_symmetric_positive_definite(rng, mixture):
    state, cov = start(mixture)
    _, _, covs, _, p, _ = run(mixture, *drive(rng, 300, state[:3]), state, cov)
    for one in (covs, p):
        np.testing.assert_array_equal(one, one.swapaxes(-1, -2))
        assert np.linalg.eigvalsh(one).min() > 0.0


def test_a_mixture_of_one_model_is_that_model(rng):
    model = ConstantVelocity(1.0)
    alone, twice = Mixture([model]), Mixture([model, model], mean_stay_s=[2.0, 9.0])
    state, cov = start(alone)
    rows = drive(rng, 60, state[:3])
    one, two = run(alone, *rows, state, cov), run(twice, *rows, state, cov)
    np.testing.assert_allclose(two[3], one[3], rtol=0, atol=1e-7)
    np.testing.assert_allclose(two[4], one[4], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(two[5], one[5], rtol=1e-9)


def test_targets_of_a_bank_do_not_know_of_each_other(rng):
    state, cov = start(THREE)
    n, m = 5, 3
    step_s, z = np.array([0.1, 0.1, 2.0, 0.7, 0.1]), state[:3] + rng.normal(0, 5.0, (n, 3))
    mu, means = np.tile(THREE.initial, (n, 1)), np.tile(state, (n, m, 1))
    covs, score = np.tile(cov, (n, m, 1, 1)), np.empty(n)
    noise = np.tile(NOISE, (n, 1, 1))
    kernels.mixture_rows(THREE.codes, THREE.parameters, THREE.rates, step_s, z, noise, mu, means, covs, score)
    for row in range(n):
        alone = run(THREE, step_s[row : row + 1], z[row : row + 1], state, cov)
        np.testing.assert_array_equal(mu[row], alone[0][0])
        np.testing.assert_array_equal(means[row], alone[1][0])
        np.testing.assert_array_equal(covs[row], alone[2][0])
        assert score[row] == alone[5][0]


def test_what_is_not_observed_is_only_predicted():
    state, cov = start(PAIR)
    mu, means, covs, _, _, score = run(PAIR, [3.0], np.array([[0.0, np.nan, 0.0]]), state, cov)
    np.testing.assert_allclose(mu[0], np.asarray(PAIR.initial) @ PAIR.switching([3.0])[0], rtol=1e-14)
    assert score[0] == pytest.approx(0.0, abs=1e-15)
    for row in range(2):
        transition, noise = (one[0] for one in PAIR.discretise(row, state[None, :3], [3.0]))
        np.testing.assert_allclose(means[0, row], transition @ state, rtol=1e-15)
        np.testing.assert_allclose(covs[0, row], transition @ cov @ transition.T + noise, rtol=1e-12, atol=1e-9)


def test_a_measurement_far_from_every_model_still_tells_them_apart():
    """Both likelihoods are below the smallest float; their ratio is not."""
    state, cov = start(PAIR)
    far = state[:3] + np.array([0.0, 0.0, 2000.0])
    mu, *_, score = run(PAIR, [1.0, 1.0], [state[:3], far], state, 1e-4 * cov)
    assert score[1] < -1e3
    assert mu[1, 1] > 0.999
    np.testing.assert_allclose(mu.sum(axis=1), 1.0, rtol=1e-14)


def test_no_step_mixes_nothing():
    """Two measurements of one moment: models keep what they have, to the bit."""
    state, cov = start(PAIR)
    rng = np.random.default_rng(3)
    means, covs = state + rng.normal(size=(2, 6)), np.stack([cov, 2.0 * cov])
    mu, share, c = np.array([0.3, 0.7]), np.empty((2, 2)), np.empty(2)
    mixed, spread = np.empty((2, 6)), np.empty((2, 6, 6))
    kernels.mix_one(mu, PAIR.switching([0.0])[0], means, covs, c, share, mixed, spread)
    np.testing.assert_array_equal(mixed, means)
    np.testing.assert_array_equal(spread, covs)
    np.testing.assert_array_equal(c, mu)
    np.testing.assert_array_equal(share, np.eye(2))


def test_mixing_and_combining_keep_the_moments(rng):
    """Total mean and covariance of the mixture are the same before and after mixing, for any size of state."""
    m, n = 4, 11
    mixture = Mixture([ConstantVelocity(1.0 + i) for i in range(m)], mean_stay_s=[1.0, 2.0, 3.0, 4.0])
    mu = rng.dirichlet(np.ones(m))
    means, roots = rng.normal(size=(m, n)), rng.normal(size=(m, n, n))
    covs = roots @ roots.swapaxes(1, 2)
    covs = (covs + covs.swapaxes(1, 2)) / 2
    c, share, mixed, spread = np.empty(m), np.empty((m, m)), np.empty((m, n)), np.empty((m, n, n))
    kernels.mix_one(mu, mixture.switching([0.9])[0], means, covs, c, share, mixed, spread)
    before, after = (np.empty(n), np.empty((n, n))), (np.empty(n), np.empty((n, n)))
    kernels.combine_one(mu, means, covs, *before)
    kernels.combine_one(c, mixed, spread, *after)
    np.testing.assert_allclose(after[0], before[0], atol=1e-12)
    np.testing.assert_allclose(after[1], before[1], atol=1e-11)
    np.testing.assert_allclose(before[0], mu @ means, atol=1e-12)
    np.testing.assert_allclose(share.sum(axis=1), 1.0)


def exact(mixture, step_s, z, state, cov):
    """Every sequence of models followed by itself: probability of each model, and the mean, at the end."""
    m = len(mixture.models)
    switch = mixture.switching(step_s)
    matrices = [mixture.discretise(row, np.tile(state[:3], (len(step_s), 1)), step_s) for row in range(m)]
    ends, means, scores = [], [], []
    for first in range(m):
        for path in itertools.product(range(m), repeat=len(step_s)):
            x, p, score, before = state, cov, np.log(mixture.initial[first]), first
            for row, now in enumerate(path):
                transition, noise = matrices[now][0][row], matrices[now][1][row]
                x, p = transition @ x, transition @ p @ transition.T + noise
                s = p[:3, :3] + NOISE
                score += np.log(switch[row, before, now]) + multivariate_normal(x[:3], s).logpdf(z[row])
                gain = p[:, :3] @ np.linalg.inv(s)
                x, p, before = x + gain @ (z[row] - x[:3]), p - gain @ p[:3], now
            ends.append(before)
            means.append(x)
            scores.append(score)
    weight = np.exp(np.array(scores) - logsumexp(scores))
    return np.bincount(ends, weight, m), weight @ (np.array(means) - state)


def test_the_mixture_is_close_to_following_every_sequence_of_models(rng):
    state, cov = start(PAIR)
    step_s, z = drive(rng, 6, state[:3])
    mu, _, _, x, p, _ = run(PAIR, step_s, z, state, cov)
    want_mu, want_x = exact(PAIR, step_s, z, state, cov)
    np.testing.assert_allclose(mu[-1], want_mu, atol=0.01)
    assert np.abs((x[-1] - state - want_x) / np.sqrt(np.diag(p[-1]))).max() < 0.05


def test_the_probability_of_the_right_model_rises(rng):
    """A car that drives straight and then circles, as one of the models says."""
    state, cov = start(THREE)
    axes = geodesy.enu_rotation([LAT], [LON])[0]
    seconds = np.arange(1.0, 61.0)
    angle = np.radians(8.0) * np.maximum(seconds - 30.0, 0.0)
    radius = 15.0 / np.radians(8.0)
    east = 15.0 * np.minimum(seconds, 30.0) + radius * np.sin(angle)
    truth = state[:3] + np.column_stack([east, radius * (1.0 - np.cos(angle)), 0.0 * east]) @ axes
    mu, *_ = run(THREE, np.ones(60), truth + rng.normal(0, STD_M, (60, 3)), state, cov)
    assert mu[29].argmax() == 0
    assert mu[-1].argmax() == 1
    assert mu[-20:, 1].mean() > 0.75


def positions(time_us, z):
    return measurements_of(time_us, POSITION, z, np.tile(NOISE, (len(z), 1, 1)), Sensor("gnss"))


def plain_filter(state, cov):
    kalman = KalmanFilter(dim_x=6, dim_z=3)
    kalman.x, kalman.P, kalman.H = state.copy(), cov.copy(), np.eye(3, 6)
    return kalman


def test_a_filterpy_filter_plugged_in_makes_a_track(rng):
    """Linear and unscented agree with the textbook run; what is not observed is coasted."""
    model = ConstantVelocity(1.0, 0.05)
    state, cov = start(Mixture([model]))
    step_s, z = drive(rng, 40, state[:3])
    time_us = np.cumsum(np.rint(step_s * 1e6).astype(np.int64))
    table = positions(time_us, z)
    linear = reference.follow(plain_filter(state, cov), table, motion=model, track_id=5)
    want_state, want_cov = reference.track(table, state, cov, int(time_us[0]), motion=model)
    np.testing.assert_allclose(linear.state, want_state, rtol=0, atol=1e-6)
    np.testing.assert_allclose(linear.cov, want_cov, rtol=1e-6, atol=1e-7)
    assert linear.track_id == 5
    assert 1.0 < linear.nis.mean() < 6.0
    z[7, 1] = np.nan
    holed = reference.follow(plain_filter(state, cov), positions(time_us, z), motion=model)
    assert holed.status[7] == COASTING
    assert np.isnan(holed.nis[7])
    assert np.trace(holed.cov[7, :3, :3]) > np.trace(linear.cov[7, :3, :3])


def test_an_unscented_filter_plugged_in_agrees_with_the_linear_one_on_a_linear_model(rng):
    # Near the origin: the sigma points of filterpy lose digits at ECEF distances.
    model = ConstantVelocity(1.0, 1.0)
    place, cov = start(Mixture([model]))
    _, z = drive(rng, 30, place[:3])
    table = positions(np.arange(30) * 1_000_000, z - place[:3])
    points = MerweScaledSigmaPoints(6, alpha=1.0, beta=2.0, kappa=0.0)

    def move(x, dt):
        return np.concatenate([x[:3] + dt * x[3:], x[3:]])

    unscented = UnscentedKalmanFilter(6, 3, 1.0, hx=lambda x: x[:3], fx=move, points=points)
    linear = plain_filter(np.zeros(6), cov)
    transition, noise = (one[0] for one in discretise(model, place[None, :3], [1.0]))
    unscented.P, unscented.Q, linear.Q = cov.copy(), noise, noise
    one = reference.follow(unscented, table)
    linear.F = np.eye(6)  # no time passes before the first row
    first = reference.follow(linear, table.take(slice(0, 1)))
    linear.F = transition
    rest = reference.follow(linear, table.take(slice(1, None)))
    np.testing.assert_allclose(one.state, np.vstack([first.state, rest.state]), atol=1e-8)
    np.testing.assert_allclose(one.cov, np.concatenate([first.cov, rest.cov]), rtol=1e-9, atol=1e-9)


def test_a_filterpy_mixture_plugged_in_makes_a_track(rng):
    # The same noise on every axis: F and Q are then the same everywhere.
    even = Mixture([ConstantVelocity(0.05, 0.05), ConstantVelocity(6.0, 6.0)], mean_stay_s=[20.0, 8.0])
    state, cov = start(even)
    _, z = drive(rng, 25, state[:3])
    filters = [plain_filter(state, cov) for _ in even.models]
    for row, kalman in enumerate(filters):
        kalman.F, kalman.Q = (one[0] for one in even.discretise(row, state[None, :3], [1.0]))
    both = IMMEstimator(filters, np.array(even.initial), even.switching([1.0])[0])
    result = reference.follow(both, positions(np.arange(25) * 1_000_000, z))
    ours = run(even, np.ones(25), z, state, cov)
    np.testing.assert_allclose(result.state, ours[3], rtol=0, atol=1e-7)
    np.testing.assert_allclose(result.cov, ours[4], rtol=1e-9, atol=1e-8)
    assert np.isnan(result.nis).all()


def test_a_filterpy_filter_refuses_what_it_would_misread():
    state, cov = start(PAIR)
    table = positions([1], state[None, :3])
    shared = measurements_of([1], POSITION, table.z, table.cov, Sensor("gnss"), site_cov=table.cov)
    with pytest.raises(InputError, match="positions without shared errors"):
        reference.follow(plain_filter(state, cov), shared)
