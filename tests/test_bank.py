import importlib.util
import pathlib

import numba
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from filterpy.kalman import (
    ExtendedKalmanFilter,
    IMMEstimator,
    KalmanFilter,
    MerweScaledSigmaPoints,
    UnscentedKalmanFilter,
)

from dronetrack import geodesy
from dronetrack.bank import LinearBank, TargetBank, from_filterpy
from dronetrack.errors import InputError, OrderError
from dronetrack.kernels import bank as kernels
from dronetrack.kernels import generated_bank, mixtures, sequence
from dronetrack.motion import (
    ConstantAcceleration,
    ConstantVelocity,
    CoordinatedTurn,
    Mixture,
    Singer,
    StopAndGo,
    discretise,
)

N = 37
SITE = geodesy.geodetic_to_ecef([46.17], [20.65], [400.0])[0]
SITE_VELOCITY = np.array([3.0, -12.0, 5.0])
UP = SITE * [1 / 6378137.0**2, 1 / 6378137.0**2, 1 / 6356752.314245179**2]
UP /= np.linalg.norm(UP)
EAST = np.array([-SITE[1], SITE[0], 0.0]) / np.hypot(SITE[0], SITE[1])
NORTH = np.cross(UP, EAST)
R3 = np.array([[4.0, 1.0, -0.5], [1.0, 3.0, 0.7], [-0.5, 0.7, 5.0]])


@pytest.fixture
def states(rng):
    """States of N targets some kilometres from the site, and a full covariance of each."""
    mean = np.empty((N, 6))
    place = rng.normal(0.0, 3000.0, (N, 3)) * [1.0, 1.0, 0.01]
    mean[:, :3] = geodesy.enu_to_ecef(place, 46.2, 20.7, 110.0)
    mean[:, 3:] = rng.normal(0.0, 10.0, (N, 3))
    root = rng.normal(size=(N, 6, 6)) * [8.0, 8.0, 8.0, 2.0, 2.0, 2.0]
    cov = root.transpose(0, 2, 1) @ root + np.diag([20.0] * 3 + [2.0] * 3)
    return mean, 0.5 * (cov + cov.transpose(0, 2, 1))


def predicted(mean, cov, seconds, motion):
    F, Q = discretise(motion, mean[None, :3], [seconds])
    return F[0] @ mean, F[0] @ cov @ F[0].T + Q[0]


def close(bank, row, mean, cov, rtol=1e-9):
    """Equal to 1e-9 of the values, or of the standard deviations of what they belong to."""
    std = np.sqrt(np.diagonal(cov))
    np.testing.assert_allclose((bank.mean[row] - mean) / std, 0.0, atol=max(rtol, 4e-9 / std.min()))
    np.testing.assert_allclose((bank.cov[row] - cov) / np.outer(std, std), 0.0, atol=rtol)


@pytest.mark.parametrize(
    "motion",
    [ConstantVelocity(), StopAndGo(), CoordinatedTurn(7.0), ConstantAcceleration(), Singer()],
    ids=lambda one: type(one).__name__,
)
def test_positions_are_fused_as_filterpy_does(motion, states, rng):
    d = motion.state_size
    mean, cov = np.zeros((N, d)), np.tile(np.eye(d), (N, 1, 1))
    mean[:, :6], cov[:, :6, :6] = states
    bank = TargetBank(mean, cov, 0, motion=motion)
    kalman = KalmanFilter(dim_x=d, dim_z=3)
    kalman.x, kalman.P, kalman.H, kalman.R = mean[5].copy(), cov[5].copy(), np.eye(3, d), R3
    for k, step in enumerate(rng.integers(50_000, 900_000, 12)):
        z = mean[:, :3] + k * 0.4 * mean[:, 3:6] + rng.normal(0.0, 2.0, (N, 3))
        F, Q = discretise(motion, kalman.x[None, :3], [step * 1e-6])
        kalman.F, kalman.Q = F[0], Q[0]
        kalman.predict()
        kalman.update(z[5])
        fit = bank.update(bank.time_us + step, position=z, cov=R3)
        close(bank, 5, kalman.x, kalman.P)
        np.testing.assert_allclose(fit.log_likelihood[5], kalman.log_likelihood, rtol=1e-8, atol=1e-8)


def test_each_target_has_its_own_time_and_noise(states, rng):
    mean, cov = states
    bank = TargetBank(mean, cov, np.arange(N) * 1000)
    times = 1_000_000 + rng.integers(0, 500_000, N)
    noise = rng.uniform(0.5, 2.0, (N, 1, 1)) * R3
    z = mean[:, :3] + 1.0
    bank.update(times, position=z, cov=noise)
    for row in (0, 20, 36):
        x, P = predicted(mean[row], cov[row], (times[row] - row * 1000) * 1e-6, ConstantVelocity())
        gain = P[:, :3] @ np.linalg.inv(P[:3, :3] + noise[row])
        close(bank, row, x + gain @ (z[row] - x[:3]), P - gain @ P[:3])
    np.testing.assert_array_equal(bank.time_us, times)


@pytest.mark.parametrize("kind", ["position", "velocity"])
def test_components_that_are_not_observed_are_left_out(kind, states):
    mean, cov = states
    at = 0 if kind == "position" else 3
    bank = TargetBank(mean, cov, 0)
    z = mean[:, at : at + 3] + 1.5
    z[4, 1] = z[5, 0] = z[5, 2] = np.nan
    z[6] = np.nan
    fit = bank.update(**{kind: z}, cov=R3)
    assert fit.n_components[[3, 4, 5, 6]].tolist() == [3, 2, 1, 0]
    assert np.isnan(fit.nis[6])
    assert fit.log_likelihood[6] == 0.0
    for row, seen in ((4, [0, 2]), (5, [1])):
        H = np.eye(6)[np.array(seen) + at]
        S = H @ cov[row] @ H.T + R3[np.ix_(seen, seen)]
        gain = cov[row] @ H.T @ np.linalg.inv(S)
        y = z[row, seen] - H @ mean[row]
        close(bank, row, mean[row] + gain @ y, cov[row] - gain @ H @ cov[row])
        np.testing.assert_allclose(fit.log_likelihood[row], scipy.stats.multivariate_normal.logpdf(y, cov=S), rtol=1e-9)
    np.testing.assert_array_equal(bank.mean[6], mean[6])
    np.testing.assert_array_equal(bank.cov[6], cov[6])


def direction_frame(x):
    """The plane across the expected line: right, up, line."""
    line = (x[:3] - SITE) / np.linalg.norm(x[:3] - SITE)
    right = np.cross(line, UP)
    right /= np.linalg.norm(right)
    return right, np.cross(right, line), line


def tangent(x, frame):
    right, up, line = frame
    sight = x[:3] - SITE
    return np.array([right @ sight, up @ sight]) / (line @ sight)


def length(vector):
    return np.sqrt(vector @ vector)


def range_rate(x):
    sight = x[:3] - SITE
    return sight @ (x[3:] - SITE_VELOCITY) / length(sight)


def height(x):
    return geodesy.ecef_to_geodetic(x[None, :3])[2][0]


def bearing(x):
    sight = x[:3] - SITE
    angle = np.arctan((EAST @ sight) / (NORTH @ sight))
    return angle + np.pi * (np.real(NORTH @ sight) < 0.0)


def gradient(function, x):
    """Exact to the last bits: a complex step has no difference to cancel (doi:10.1145/838250.838251)."""
    steps = x + 1e-20j * np.eye(len(x))
    return np.array([np.imag(function(step)) / 1e-20 for step in steps]).T


def up_gradient(x):
    lat, lon, _ = geodesy.ecef_to_geodetic(x[None, :3])
    return np.concatenate([geodesy.enu_rotation(lat, lon)[0, 2], np.zeros(3)])


def wrapped(a, b):
    return (a - b + np.pi) % (2.0 * np.pi) - np.pi


# kind: z as it is given to the bank, its noise in the bank's unit, h(x), and what filterpy needs beside it.
def problems(x_true, x):
    frame = direction_frame(x)
    sight = x_true[:3] - SITE
    return {
        "line_of_sight": (sight / length(sight), 1e-4 * np.eye(3) + 2e-5, lambda s: tangent(s, frame)),
        "range": (length(sight) + 4.0, 9.0, lambda s: length(s[:3] - SITE)),
        "range_rate": (range_rate(x_true) + 1.0, 0.5, range_rate),
        "speed": (length(x_true[3:]) + 1.0, 2.0, lambda s: length(s[3:])),
        "height": (height(x_true) + 2.0, 4.0, height),
        "bearing": (np.degrees(bearing(x_true)) + 0.5, 1.0, bearing),
    }


def as_filterpy(kind, z, noise, x):
    """The measurement as numbers in the plane that h gives, and their covariance."""
    if kind == "line_of_sight":
        right, up, line = direction_frame(x)
        across = np.array([right, up])
        return across @ z / (line @ z), across @ noise @ across.T
    if kind == "bearing":
        return np.radians([z]), np.radians(1.0) ** 2 * noise * np.eye(1)
    return np.array([z]), noise * np.eye(1)


KINDS = ("line_of_sight", "range", "range_rate", "speed", "height", "bearing")


def given(kind, mean, states_true):
    """z of every target, noise and site, as the bank wants them."""
    one = [problems(states_true[row], mean[row])[kind] for row in range(len(mean))]
    site = {} if kind in ("speed", "height") else {"site_ecef_m": SITE}
    if kind == "range_rate":
        site["site_velocity_ecef_mps"] = SITE_VELOCITY
    return {kind: np.array([z for z, _, _ in one]), "cov": one[0][1], **site}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_are_not_linear_are_fused_as_by_filterpys_extended_filter(kind, states, rng):
    mean, cov = states
    measured = given(kind, mean, mean + rng.normal(0.0, 3.0, mean.shape))
    bank = TargetBank(mean, cov, 0)
    fit = bank.update(**measured)
    for row in (0, 17, 36):
        x = mean[row]
        _, noise, function = problems(x, x)[kind]
        z, R = as_filterpy(kind, measured[kind][row], noise, x)
        kalman = ExtendedKalmanFilter(dim_x=6, dim_z=len(z))
        kalman.x, kalman.P = x.copy(), cov[row].copy()
        H = np.atleast_2d(up_gradient(x) if kind == "height" else gradient(function, x))
        residual = wrapped if kind == "bearing" else np.subtract
        kalman.update(z, lambda _, H=H: H, lambda s, f=function: np.atleast_1d(f(s)), R=R, residual=residual)
        close(bank, row, kalman.x, kalman.P)
        np.testing.assert_allclose(fit.log_likelihood[row], kalman.log_likelihood, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_unscented_updates_are_filterpys(kind, states, rng):
    mean, cov = states
    measured = given(kind, mean, mean + rng.normal(0.0, 3.0, mean.shape))
    bank = TargetBank(mean, cov, 0)
    fit = bank.update(**measured, method="unscented")
    for row in (0, 17, 36):
        x = mean[row]
        _, noise, function = problems(x, x)[kind]
        z, R = as_filterpy(kind, measured[kind][row], noise, x)
        points = MerweScaledSigmaPoints(6, alpha=1.0, beta=2.0, kappa=0.0)
        kalman = UnscentedKalmanFilter(6, len(z), 1.0, lambda s, f=function: np.atleast_1d(f(s)), None, points)
        kalman.x, kalman.P, kalman.R = x.copy(), cov[row].copy(), R
        kalman.sigmas_f = points.sigma_points(x, cov[row])
        kalman.update(z)
        close(bank, row, kalman.x, kalman.P)
        np.testing.assert_allclose(fit.log_likelihood[row], kalman.log_likelihood, rtol=1e-6)


@pytest.mark.parametrize("kind", ["line_of_sight", "range", "bearing"])
def test_an_iterated_update_ends_at_the_most_probable_state(kind, states, rng):
    mean, cov = states
    mean[:, :3] = SITE + rng.choice([-1.0, 1.0], (N, 3)) * rng.uniform(150.0, 300.0, (N, 3))
    measured = given(kind, mean, mean + rng.normal(0.0, 15.0, mean.shape))
    bank = TargetBank(mean, cov, 0)
    bank.update(**measured, method="iterated")
    once = TargetBank(mean, cov, 0)
    once.update(**measured)
    for row in (0, 17, 36):
        x = mean[row]
        root = np.linalg.cholesky(cov[row])
        _, noise, _ = problems(x, x)[kind]

        def cost(dx, row=row, x=x, noise=noise, root=root):
            state = x + root @ dx
            _, _, function = problems(state, state)[kind]
            z, R = as_filterpy(kind, measured[kind][row], noise, state)
            y = wrapped(z, function(state)) if kind == "bearing" else z - function(state)
            return np.concatenate([dx, np.linalg.solve(np.linalg.cholesky(R), np.atleast_1d(y))])

        best = scipy.optimize.least_squares(cost, np.zeros(6), xtol=1e-14, ftol=1e-14, gtol=1e-14).x
        found = np.linalg.solve(root, bank.mean[row] - x)
        assert np.linalg.norm(found - best) < 1e-3
        assert np.linalg.norm(found - best) <= np.linalg.norm(np.linalg.solve(root, once.mean[row] - x) - best) + 1e-9


def test_a_mixture_is_mixed_as_filterpy_does(states, rng):
    mean, cov = states
    mixture = Mixture([ConstantVelocity(0.1, 0.01), ConstantVelocity(6.0, 0.2), CoordinatedTurn(8.0)], [20.0, 5.0, 8.0])
    bank = TargetBank(mean, cov, 0, motion=mixture)
    filters = []
    for _ in mixture.models:
        kalman = KalmanFilter(dim_x=6, dim_z=3)
        kalman.x, kalman.P, kalman.H, kalman.R = mean[9].copy(), cov[9].copy(), np.eye(3, 6), R3
        filters.append(kalman)
    imm = IMMEstimator(filters, np.array(mixture.initial), mixture.switching([0.4])[0])
    for k in range(1, 15):
        starts = imm.omega.T @ np.array([kalman.x for kalman in filters])  # where each model sets out from
        for kalman, model, start in zip(filters, mixture.models, starts, strict=True):
            F, Q = discretise(model, start[None, :3], [0.4])
            kalman.F, kalman.Q = F[0], Q[0]
        z = mean[:, :3] + 0.4 * k * mean[:, 3:] + rng.normal(0.0, 2.0, (N, 3))
        imm.predict()
        imm.update(z[9])
        bank.update(400_000 * k, position=z, cov=R3)
        # filterpy mixes states as they stand, so the Earth's radius costs it digits of the spread between models; in
        # small numbers the two agree to 1e-9, see below.
        close(bank, 9, imm.x, imm.P, rtol=1e-8)
        np.testing.assert_allclose(bank.model_probabilities[9], imm.mu, rtol=1e-8)


def test_a_mixture_of_one_model_is_that_model(states):
    mean, cov = states
    z = mean[:, :3] + 2.0
    one, two = (TargetBank(mean, cov, 0, motion=m) for m in (ConstantVelocity(), Mixture([ConstantVelocity()])))
    for bank in (one, two):
        bank.update(700_000, position=z, cov=R3)
        bank.update(900_000, line_of_sight=(z - SITE) / np.linalg.norm(z - SITE, axis=1)[:, None], cov=1e-5 * np.eye(3),
                    site_ecef_m=SITE)  # fmt: skip
    for row in range(N):
        close(two, row, one.mean[row], one.cov[row])


def test_what_is_masked_is_predicted_and_not_updated(states):
    mean, cov = states
    mask = np.arange(N) % 3 == 0
    bank, coasting = TargetBank(mean, cov, 0), TargetBank(mean, cov, 0)
    fit = bank.update(500_000, position=mean[:, :3], cov=R3, mask=mask)
    coasting.predict(500_000)
    np.testing.assert_array_equal(np.isnan(fit.nis), ~mask)
    np.testing.assert_allclose(bank.mean[~mask], coasting.mean[~mask], rtol=1e-15)
    np.testing.assert_allclose(bank.cov[~mask], coasting.cov[~mask], rtol=1e-12)
    assert (bank.cov[mask][:, 0, 0] < coasting.cov[mask][:, 0, 0]).all()


def test_gate_and_log_likelihood_leave_the_bank_as_it_is(states, rng):
    mean, cov = states
    bank = TargetBank(mean, cov, 0)
    measured = {"position": mean[:, :3] + rng.normal(0.0, 40.0, (N, 3)), "cov": R3}
    measured["position"][0] = np.nan
    inside = bank.gate(300_000, **measured, probability=0.9)
    density = bank.log_likelihood(300_000, **measured)
    np.testing.assert_array_equal(bank.mean, mean)
    np.testing.assert_array_equal(bank.time_us, 0)
    fit = bank.update(300_000, **measured)
    np.testing.assert_array_equal(density, fit.log_likelihood)
    np.testing.assert_array_equal(inside, fit.nis <= scipy.stats.chi2.ppf(0.9, 3))
    assert not inside[0]
    assert inside.any()
    assert not inside[1:].all()


def test_a_turn_of_a_bearing_makes_no_difference(states):
    mean, cov = states
    north = mean.copy()
    north[:, :3] = SITE + 5000.0 * NORTH + np.linspace(-50.0, 50.0, N)[:, None] * EAST
    one, two = TargetBank(north, cov, 0), TargetBank(north, cov, 0)
    one.update(bearing=np.full(N, 359.9), cov=0.01, site_ecef_m=SITE)
    two.update(bearing=np.full(N, -0.1), cov=0.01, site_ecef_m=SITE)
    np.testing.assert_allclose(one.mean, two.mean, rtol=0, atol=1e-6)
    assert np.abs(one.mean[:, :3] - north[:, :3]).max() < 100.0


def test_a_target_behind_the_camera_is_not_observed(states):
    mean, cov = states
    bank = TargetBank(mean, cov, 0)
    sight = (mean[:, :3] - SITE) / np.linalg.norm(mean[:, :3] - SITE, axis=1)[:, None]
    sight[3] *= -1.0
    fit = bank.update(line_of_sight=sight, cov=1e-6 * np.eye(3), site_ecef_m=SITE)
    assert fit.n_components[3] == 0
    assert (np.delete(fit.n_components, 3) == 2).all()
    np.testing.assert_array_equal(bank.cov[3], cov[3])


def test_a_line_straight_down_is_as_good_as_any(states):
    mean, cov = states
    bank = TargetBank(mean, cov, 0)
    fit = bank.update(
        line_of_sight=np.tile(-UP, (N, 1)), cov=1e-6 * np.eye(3), site_ecef_m=mean[:, :3] + 100.0 * UP
    )  # fmt: skip
    assert (fit.nis < 1e-3).all()
    assert (np.trace(bank.cov[:, :3, :3], axis1=1, axis2=2) < np.trace(cov[:, :3, :3], axis1=1, axis2=2)).all()


def test_views_show_the_present_and_cost_nothing(states):
    mean, cov = states
    bank = TargetBank(mean, cov, 0)
    view, packed = bank.mean, bank.packed_cov
    assert not view.flags.writeable
    assert np.shares_memory(view, bank.mean)
    bank.predict(1_000_000)
    np.testing.assert_allclose(view[:, :3], mean[:, :3] + mean[:, 3:], rtol=1e-15)
    np.testing.assert_array_equal(packed, bank.cov[:, *np.triu_indices(6)])


def test_going_back_in_time_is_refused(states):
    bank = TargetBank(*states, 1_000_000)
    bank.predict(2_000_000)
    with pytest.raises(OrderError, match="earlier"):
        bank.predict(1_999_999)
    with pytest.raises(OrderError, match="target 4"):
        bank.update(np.where(np.arange(N) == 4, 0, 3_000_000), height=np.zeros(N), cov=1.0)
    np.testing.assert_array_equal(bank.time_us, 2_000_000)


@pytest.mark.parametrize("far_us", [2**53 + 1, 2**63 - 1, 2**70, np.int64(2**60), 1_750_000_000_000_000_000])
def test_a_time_too_far_away_is_refused_and_nothing_changes(far_us, states):
    bank = TargetBank(*states, 0)
    for move in (bank.predict, lambda when: bank.update(when, position=np.zeros((N, 3)), cov=R3)):
        with pytest.raises(InputError, match="time_us must"):
            move(far_us)
    np.testing.assert_array_equal(bank.time_us, 0)
    bank.update(1, position=np.zeros((N, 3)), cov=R3)
    np.testing.assert_array_equal(bank.time_us, 1)


def test_a_covariance_that_was_changed_in_place_is_seen(states):
    R, twin = R3.copy(), TargetBank(*states, 0)
    bank = TargetBank(*states, 0)
    bank.update(0, position=states[0][:, :3] + 1.0, cov=R)
    R *= 4.0
    bank.update(0, position=states[0][:, :3] + 1.0, cov=R)
    for noise in (R3, 4.0 * R3):
        twin.update(0, position=states[0][:, :3] + 1.0, cov=noise)
    np.testing.assert_array_equal(bank.mean, twin.mean)
    R[0, 0] = -1.0
    with pytest.raises(InputError, match="positive definite"):
        bank.update(0, position=states[0][:, :3], cov=R)


@pytest.mark.parametrize(
    ("measured", "match"),
    [
        ({}, "one measurement"),
        ({"position": np.zeros((N, 3)), "height": np.zeros(N), "cov": 1.0}, "one measurement"),
        ({"altitude": np.zeros(N), "cov": 1.0}, "altitude"),
        ({"position": np.zeros((N, 2)), "cov": np.eye(3)}, "shape"),
        ({"position": np.zeros((N, 3))}, "needs cov"),
        ({"position": np.zeros((N, 3)), "cov": np.eye(2)}, "cov must have shape"),
        ({"position": np.full((N, 3), np.inf), "cov": np.eye(3)}, "infinite"),
        ({"position": np.zeros((N, 3)), "cov": -np.eye(3)}, "positive definite"),
        ({"position": np.zeros((N, 3)), "cov": np.eye(3) + 2.0 * np.eye(3)[::-1]}, "positive definite"),
        ({"height": np.zeros(N), "cov": np.nan}, "positive definite"),
        ({"range": np.zeros(N), "cov": 1.0}, "site_ecef_m"),
        ({"range": np.zeros(N), "cov": 1.0, "site_ecef_m": np.zeros(2)}, "site_ecef_m"),
        ({"height": np.zeros(N), "cov": 1.0, "method": "magic"}, "magic"),
    ],
)
def test_what_is_not_a_measurement_is_refused_and_nothing_changes(measured, match, states):
    bank = TargetBank(*states, 0)
    with pytest.raises(InputError, match=match):
        bank.update(1_000_000, **measured)
    np.testing.assert_array_equal(bank.mean, states[0])


def test_a_bad_row_of_a_large_bank_is_refused_before_any_part_changes(states):
    n = 66_000
    mean, cov = np.tile(states[0][:1], (n, 1)), np.tile(states[1][:1], (n, 1, 1))
    bank = TargetBank(mean, cov, 0, n_threads=2)
    z = mean[:, :3].copy()
    z[60_000, 1] = -np.inf
    with pytest.raises(InputError, match="row 60000"):
        bank.update(1_000_000, position=z, cov=R3)
    np.testing.assert_array_equal(bank.mean, mean)


def test_bad_states_are_refused(states):
    mean, cov = states
    with pytest.raises(InputError, match="shape"):
        TargetBank(mean[:, :5], cov, 0)
    with pytest.raises(InputError, match="symmetric"):
        TargetBank(mean, cov + np.eye(6, k=1), 0)
    with pytest.raises(InputError, match="target 7"):
        TargetBank(mean, np.where(np.arange(N)[:, None, None] == 7, -cov, cov), 0)
    with pytest.raises(InputError, match="probability"):
        TargetBank(mean, cov, 0).gate(height=np.zeros(N), cov=1.0, probability=1.0)
    bank = TargetBank(mean, cov, 0, motion=CoordinatedTurn(3.0))
    with pytest.raises(InputError, match="unscented"):
        bank.update(height=np.zeros(N), cov=1.0, method="unscented")


def configured(d, m, rng):
    """A filterpy filter of any shape, full of numbers."""
    kalman = KalmanFilter(dim_x=d, dim_z=m)
    root, spread, noise = rng.normal(size=(d, d)), rng.normal(size=(d, d)), rng.normal(size=(m, m))
    kalman.x, kalman.P = rng.normal(size=d), root @ root.T + np.eye(d)
    kalman.F, kalman.Q = np.eye(d) + 0.1 * rng.normal(size=(d, d)), spread @ spread.T
    kalman.H, kalman.R = rng.normal(size=(m, d)), noise @ noise.T + np.eye(m)
    return kalman


@pytest.mark.parametrize(("d", "m"), [(1, 1), (4, 2), (6, 3), (9, 5)])
def test_a_filterpy_filter_goes_on_as_a_bank(d, m, rng):
    kalman = configured(d, m, rng)
    bank = from_filterpy(kalman, N)
    for k in range(8):
        z = rng.normal(size=(N, m))
        kalman.predict()
        bank.predict()
        np.testing.assert_allclose(bank.mean[3], kalman.x, rtol=1e-9, atol=1e-12)
        if k == 4:
            z[3] = np.nan
            kalman.update(None)
        else:
            kalman.update(z[3])
        fit = bank.update(z)
        np.testing.assert_allclose(bank.mean[3], kalman.x, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bank.cov[3], kalman.P, rtol=1e-9, atol=1e-12)
        if k != 4:
            np.testing.assert_allclose(fit.log_likelihood[3], kalman.log_likelihood, rtol=1e-9)


def test_a_filterpy_imm_goes_on_as_a_bank(rng):
    switching = np.array([[0.9, 0.06, 0.04], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    imm = IMMEstimator([configured(4, 2, rng) for _ in range(3)], np.array([0.2, 0.3, 0.5]), switching)
    bank = from_filterpy(imm, N)
    for _ in range(10):
        z = rng.normal(size=(N, 2))
        imm.predict()
        imm.update(z[30])
        bank.update(z, predict=True)
        np.testing.assert_allclose(bank.mean[30], imm.x, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bank.cov[30], imm.P, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bank.model_probabilities[30], imm.mu, rtol=1e-9)


def test_a_filterpy_filter_that_does_more_is_refused(rng):
    kalman = configured(4, 2, rng)
    kalman.alpha = 1.02
    with pytest.raises(InputError, match="fading"):
        from_filterpy(kalman)
    kalman = configured(4, 2, rng)
    kalman.B = np.ones((4, 1))
    with pytest.raises(InputError, match="control"):
        from_filterpy(kalman)


def test_a_linear_bank_says_what_does_not_fit():
    shape = {"transition": np.eye(2), "process_noise": np.eye(2), "observation": np.eye(1, 2), "noise": np.eye(1)}
    mean, cov = np.zeros((3, 2)), np.tile(np.eye(2), (3, 1, 1))
    bank = LinearBank(mean, cov, **shape)
    assert len(bank) == 3
    with pytest.raises(InputError, match="z must"):
        bank.update(np.zeros((3, 2)))
    with pytest.raises(InputError, match="infinite"):
        bank.update(np.full((3, 1), np.inf))
    with pytest.raises(InputError, match="process_noise"):
        LinearBank(mean, cov, **{**shape, "process_noise": np.eye(3)})
    with pytest.raises(InputError, match="positive definite"):
        LinearBank(mean, cov, **{**shape, "noise": -np.eye(1)})


@pytest.mark.parametrize("motion", [ConstantVelocity(), StopAndGo(), ConstantAcceleration(), Singer()])
def test_a_sequence_is_filtered_as_filterpy_does_and_row_by_row_to_the_same_bits(motion, states, rng):
    d, n = motion.state_size, 60
    mean, cov = np.zeros(d), np.eye(d)
    mean[:6], cov[:6, :6] = states[0][0], states[1][0]
    time_us = np.cumsum(rng.integers(50_000, 900_000, n))
    z = mean[:3] + rng.normal(0.0, 20.0, (n, 3))
    z[rng.random((n, 3)) < 0.15] = np.nan
    z[7] = np.nan
    state = np.concatenate([mean, cov[np.triu_indices(d)]])
    noise = motion.parameters[:3].copy()
    x, P, nis = np.empty((n, d)), np.empty((n, d, d)), np.empty(n)
    rows, live, size = (
        (sequence.sequence6_rows, sequence.live6_rows, sequence.MEMORY6)
        if d == 6
        else (sequence.sequence9_rows, sequence.live9_rows, sequence.MEMORY9)
    )
    rows(state.copy(), 0, time_us, z, R3[None], noise, x, P, nis)
    memory = np.zeros(size)
    memory[: len(state) * sequence.BLOCK : sequence.BLOCK] = state
    memory[-4:-1] = noise
    before = 0
    for k in range(n):
        mean, cov = predicted(mean, cov, (time_us[k] - before) * 1e-6, motion)
        before = time_us[k]
        H = np.eye(3, d)[~np.isnan(z[k])]
        kalman = KalmanFilter(dim_x=d, dim_z=max(len(H), 1))
        kalman.x, kalman.P = mean, cov
        if len(H):
            seen = ~np.isnan(z[k])
            kalman.update(z[k][seen], R=R3[np.ix_(seen, seen)], H=H)
        mean, cov = kalman.x, kalman.P
        std = np.sqrt(np.diagonal(cov))
        np.testing.assert_allclose((x[k] - mean) / std, 0.0, atol=1e-8)
        np.testing.assert_allclose((P[k] - cov) / np.outer(std, std), 0.0, atol=1e-9)
        one = live(memory, np.concatenate([[time_us[k]], z[k], R3.ravel()]))
        assert one == nis[k] or (np.isnan(one) and np.isnan(nis[k]))
        np.testing.assert_array_equal(memory[: d * sequence.BLOCK : sequence.BLOCK], x[k])
    assert np.isnan(nis[7])


def test_the_generated_kernels_are_what_the_generator_writes():
    place = pathlib.Path(__file__).parent.parent / "tools" / "make_bank_kernels.py"
    spec = importlib.util.spec_from_file_location("make_bank_kernels", place)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert pathlib.Path(generated_bank.__file__).read_text() == generator.source()


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_each_kernel_is_compiled_for_one_layout(states):
    """Strided, read-only, unaligned, of another type, shared or each: all come to the kernel as one kind of array."""
    mean, cov = states
    bank = TargetBank(np.asfortranarray(mean), cov.astype(np.float32).astype(np.float64), 0)
    mixed = TargetBank(mean, cov, 0, motion=Mixture([ConstantVelocity(), CoordinatedTurn(5.0)]))
    frozen = mean[:, :3].copy()
    frozen.flags.writeable = False
    askew = np.frombuffer(bytearray(b"." + frozen.tobytes()), np.float64, offset=1).reshape(N, 3)
    others = askew, mean[:, :3].astype(np.float32), mean[:, :3].astype(">f8"), mean[:, :3].tolist()
    for one in (bank, mixed):
        for z in (frozen, mean[:, :3], np.asfortranarray(mean[:, :3]), *others):
            for R in (np.eye(3), np.eye(3, dtype=np.int64), np.tile(np.eye(3), (N, 1, 1)), np.eye(6)[::2, ::2]):
                one.update(one.time_us + 1000, position=z, cov=R, mask=np.ones(N, dtype=np.bool_))
        one.update(height=np.zeros(N), cov=1.0)
        one.update(range=np.zeros(2 * N)[::2], cov=np.ones(N), site_ecef_m=SITE)
        one.update(range=np.ones(N, dtype=np.int64), cov=4, site_ecef_m=mean[:, :3])
        one.predict(5_000_000)
    for kernel in (kernels.predict_rows, kernels.position_rows, kernels.aspect_rows, mixtures.mixture_rows):
        assert len(kernel.signatures) == 1, kernel
