import importlib.util
import itertools
import pathlib
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flights import LAT, LON
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal

from dronetrack import geodesy, reference
from dronetrack.errors import InputError
from dronetrack.kernels import generated_smoothing
from dronetrack.kernels import mixture as mixture_kernels
from dronetrack.kernels import smoothing as kernels
from dronetrack.motion import (
    ConstantAcceleration,
    ConstantVelocity,
    CoordinatedTurn,
    Mixture,
    Singer,
    StopAndGo,
    discretise,
)
from dronetrack.smoothing import combined, smooth_bank, smooth_lagged, smooth_mixtures, smooth_sequences

STD_M = 3.0
NOISE = STD_M**2 * np.eye(3)
MODELS = (ConstantVelocity(), StopAndGo(), CoordinatedTurn(4.0), Singer(), ConstantAcceleration())
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
PLACE = geodesy.geodetic_to_ecef([LAT], [LON], [0.0])[0]
PAIR = Mixture([ConstantVelocity(0.02, 0.01), ConstantVelocity(8.0, 0.05)], mean_stay_s=[12.0, 6.0])


def irregular(rng, n, steps):
    """Times of n sequences; now and then two rows share one."""
    step_us = rng.integers(50_000, 1_500_000, (n, steps - 1))
    step_us[rng.random(step_us.shape) < 0.1] = 0
    return np.hstack([np.zeros((n, 1), dtype=np.int64), np.cumsum(step_us, axis=1)])


def drive(rng, model, time_us, cov):
    """Draw n true sequences from the model itself, from a start of covariance `cov`: (n, steps, d)."""
    n, steps = time_us.shape
    d = model.state_size
    truth = np.empty((n, steps, d))
    truth[:, 0] = np.concatenate([PLACE, np.zeros(d - 3)]) + rng.multivariate_normal(np.zeros(d), cov, n)
    for k in range(1, steps):
        step_s = (time_us[:, k] - time_us[:, k - 1]) * 1e-6
        transition, noise = discretise(model, truth[:, k - 1, :3], step_s)
        root = np.linalg.cholesky(noise + 1e-18 * np.eye(d))
        truth[:, k] = np.einsum("nij,nj->ni", transition, truth[:, k - 1])
        truth[:, k] += np.einsum("nij,nj->ni", root, rng.normal(size=(n, d)))
    return truth


def filtered(mixture, time_us, z, cov):
    """Probabilities, means and covariances (n, steps, m, ..) of every model after each position."""
    n, steps = time_us.shape
    m, d = len(mixture.models), mixture.state_size
    mu, x = np.tile(mixture.initial, (n, 1)), np.tile(np.concatenate([PLACE, np.zeros(d - 3)]), (n, m, 1))
    p, noise, score = np.tile(cov, (n, m, 1, 1)), np.tile(NOISE, (n, 1, 1)), np.empty(n)
    out = []
    step_s = np.diff(time_us, axis=1, prepend=0) * 1e-6
    for k in range(steps):
        mixture_kernels.mixture_rows(
            mixture.codes, mixture.parameters, mixture.rates, np.ascontiguousarray(step_s[:, k]),
            np.ascontiguousarray(z[:, k]), noise, mu, x, p, score,
        )  # fmt: skip
        out.append((mu.copy(), x.copy(), p.copy()))
    return [np.stack(column, axis=1) for column in zip(*out, strict=True)]


def sequences(rng, model, n, steps, spread=(400.0, 225.0, 4.0)):
    """Truth, and what a filter with the right model makes of positions of it."""
    time_us = irregular(rng, n, steps)
    cov = np.diag(np.repeat(spread[: model.state_size // 3], 3))
    truth = drive(rng, model, time_us, cov)
    z = truth[..., :3] + rng.normal(0, STD_M, (n, steps, 3))
    _, state, covs = filtered(Mixture([model]), time_us, z, cov)
    return time_us, truth, state[:, :, 0], covs[:, :, 0]


def bank_columns(state, cov):
    """(steps, d + d (d + 1) / 2, n) of sequences."""
    return np.concatenate([state, cov[:, :, *np.triu_indices(state.shape[2])]], axis=2).transpose(1, 2, 0).copy()


def nees(error, cov):
    return np.einsum("...i,...i", error, np.linalg.solve(cov, error[..., None])[..., 0])


@every_model
def test_sequences_are_smoothed_as_filterpy_does(rng, model):
    time_us, _, state, cov = sequences(rng, model, 3, 60)
    ours = smooth_sequences(model, time_us, state, cov)
    for row in range(3):
        steps = discretise(model, state[row, :-1, :3], np.diff(time_us[row]) * 1e-6)
        want = reference.smooth(*steps, state[row], cov[row])
        np.testing.assert_allclose(ours[0][row] - state[row], want[0] - state[row], rtol=1e-9, atol=1e-7)
        np.testing.assert_allclose(ours[1][row], want[1], rtol=1e-9, atol=1e-9 * np.abs(want[1]).max())


@every_model
def test_smoothed_errors_are_what_the_covariance_promises(rng, model):
    """Drives drawn from the model: the mean NEES is within its 99.9 % bounds, and the error shrinks."""
    n, steps = 300, 40
    time_us, truth, state, cov = sequences(rng, model, n, steps)
    smoothed, spread = smooth_sequences(model, time_us, state, cov)
    low, high = chi2.ppf([0.0005, 0.9995], n * model.state_size) / n
    for row in (0, steps // 3, steps // 2):
        assert low < nees(truth[:, row] - smoothed[:, row], spread[:, row]).mean() < high
    middle = slice(5, -5)
    error = [np.sqrt(np.mean((one[:, middle] - truth[:, middle]) ** 2, axis=(0, 1))) for one in (smoothed, state)]
    assert (error[0][:3] < 0.9 * error[1][:3]).all()
    assert (error[0][3:6] < 0.9 * error[1][3:6]).all()


@every_model
def test_more_is_never_known_less(rng, model):
    """The smoothed covariance is below the filtered one; the last row is the filter's own."""
    time_us, _, state, cov = sequences(rng, model, 2, 50)
    smoothed, spread = smooth_sequences(model, time_us, state, cov)
    np.testing.assert_array_equal(smoothed[:, -1], state[:, -1])
    np.testing.assert_array_equal(spread[:, -1], cov[:, -1])
    np.testing.assert_array_equal(spread, spread.swapaxes(-1, -2))
    scale = np.sqrt(np.einsum("...ii->...i", cov))
    gained = (cov - spread) / scale[..., None] / scale[..., None, :]
    assert np.linalg.eigvalsh(gained).min() > -1e-9
    assert np.linalg.eigvalsh(spread / scale[..., None] / scale[..., None, :]).min() > 0.0


def test_sequences_do_not_know_of_each_other(rng):
    model = ConstantVelocity()
    time_us, _, state, cov = sequences(rng, model, 5, 37)
    together = smooth_sequences(model, time_us, state, cov)
    for row in range(5):
        one = slice(row, row + 1)
        alone = smooth_sequences(model, time_us[one], state[one], cov[one])
        np.testing.assert_array_equal(alone[0], together[0][one])
        np.testing.assert_array_equal(alone[1], together[1][one])


@every_model
@pytest.mark.parametrize("n", [1, 31, 33])
def test_a_bank_is_smoothed_as_its_sequences_are(rng, model, n):
    time_us, _, state, cov = sequences(rng, model, n, 30)
    d = model.state_size
    upper = np.triu_indices(d)
    bank = smooth_bank(model, time_us.T, bank_columns(state, cov))
    smoothed, spread = smooth_sequences(model, time_us, state, cov)
    np.testing.assert_allclose(bank[:, :d].transpose(2, 0, 1), smoothed, rtol=0, atol=1e-7)
    want = spread[:, :, *upper]
    np.testing.assert_allclose(bank[:, d:].transpose(2, 0, 1), want, rtol=1e-9, atol=1e-9 * np.abs(want).max())


def test_targets_of_a_bank_do_not_know_of_each_other(rng):
    model = ConstantVelocity()
    time_us, _, state, cov = sequences(rng, model, 70, 12)
    columns = bank_columns(state, cov)
    whole = smooth_bank(model, time_us.T, columns)
    for part in (slice(0, 1), slice(5, 40), slice(69, 70)):
        np.testing.assert_array_equal(smooth_bank(model, time_us.T[:, part], columns[..., part]), whole[..., part])


def test_the_bits_of_a_smoothed_bank_do_not_depend_on_the_threads(rng):
    model = ConstantVelocity()
    time_us, _, state, cov = sequences(rng, model, 600, 60)
    columns = bank_columns(state, cov)
    one, two, three = (smooth_bank(model, time_us.T, columns, n_threads=threads) for threads in (1, 2, 3))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("model", [ConstantVelocity(), Singer()], ids=["6", "9"])
def test_a_bank_is_smoothed_into_the_room_that_is_given(rng, model):
    time_us, _, state, cov = sequences(rng, model, 40, 20)
    columns = bank_columns(state, cov)
    want, room = smooth_bank(model, time_us.T, columns), np.full_like(columns, np.nan)
    assert smooth_bank(model, time_us.T, columns, out=room) is room
    np.testing.assert_array_equal(room, want)
    assert smooth_bank(model, time_us.T, columns, out=columns) is columns
    np.testing.assert_array_equal(columns, want)


@pytest.mark.parametrize("model", [ConstantVelocity(), Singer()], ids=["6", "9"])
@pytest.mark.parametrize("row", [0, 3, 6, 20])
@pytest.mark.parametrize("in_place", [False, True])
def test_a_missing_number_anywhere_in_a_bank_is_refused(rng, model, row, in_place):
    time_us, _, state, cov = sequences(rng, model, 40, 20)
    time_us[:, 8] = time_us[:, 9]
    time_us = np.sort(time_us, axis=1)
    for step in (0, 8, 19):
        columns = bank_columns(state, cov)
        columns[step, row, 33] = np.nan
        with pytest.raises(InputError, match="state must not hold NaN"):
            smooth_bank(model, time_us.T, columns, out=columns if in_place else None)


SPREADS = {
    "usual": np.diag([100.0] * 3 + [25.0] * 3),
    "nothing known": np.diag([1e12] * 3 + [1e8] * 3),
    "one direction": np.kron(np.diag([1.0, 4.0]), np.eye(3) - np.outer([0.6, 0.0, 0.8], [0.6, 0.0, 0.8])),
    "speed known": np.diag([1.0] * 3 + [0.0] * 3),
    "all known": np.zeros((6, 6)),
}


def precisely_smoothed(steps, covs):
    """Covariances by the textbook, in 50 digits."""
    with mpmath.workdps(50):
        done = [mpmath.matrix(covs[-1].tolist())]
        for transition, noise, cov in zip(*(one[::-1] for one in (*steps, covs[:-1])), strict=True):
            f, q, p = (mpmath.matrix(one.tolist()) for one in (transition, noise, cov))
            foreseen = f * p * f.T + q
            gain = p * f.T * mpmath.inverse(foreseen)
            done.insert(0, p + gain * (done[0] - foreseen) * gain.T)
        return np.array([one.tolist() for one in done], dtype=np.float64)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", SPREADS)
@pytest.mark.parametrize("step_s", [0.01, 0.2, 1000.0])
@pytest.mark.parametrize(
    "model", [ConstantVelocity(2.0, 2.0), ConstantVelocity(), StopAndGo()], ids=["equal", "up", "ou"]
)
def test_any_start_and_any_gap_is_smoothed_as_fifty_digits_are(model, step_s, name, in_place):
    """From a start of which nothing is known, or all, over steps that tell all, or nothing; the first is singular."""
    time_us = np.arange(4)[None] * round(step_s * 1e6)
    state, cov = np.tile(np.concatenate([PLACE, np.zeros(3)]), (1, 4, 1)), SPREADS[name]
    steps = discretise(model, state[0, :-1, :3], np.full(3, step_s))
    rows = [cov]
    for transition, noise in zip(*steps, strict=True):
        cov = transition @ cov @ transition.T + noise
        gain = np.linalg.solve(cov[:3, :3] + NOISE, cov[:3]).T
        left = np.eye(6) - gain @ np.eye(3, 6)
        cov = left @ cov @ left.T + gain @ NOISE @ gain.T
        cov = 0.5 * (cov + cov.T)
        rows.append(cov)
    covs = np.array(rows)
    want = precisely_smoothed(steps, covs)
    columns = bank_columns(state, covs[None])
    bank = smooth_bank(model, time_us.T, columns, out=columns if in_place else None)[:, 6:, 0]
    spread = smooth_sequences(model, time_us, state, covs[None])[1][0]
    scale = np.sqrt(np.maximum(np.einsum("kii->ki", want), 1e-30))
    scale = scale[:, :, None] * scale[:, None]
    np.testing.assert_allclose(spread / scale, want / scale, rtol=0, atol=1e-9)
    upper = (slice(None), *np.triu_indices(6))
    np.testing.assert_allclose(bank / scale[upper], want[upper] / scale[upper], rtol=0, atol=1e-9)


@pytest.mark.parametrize("out", [np.empty((2, 27, 2)), np.empty((2, 27, 3), np.float32), np.empty((3, 27, 2)).T])
def test_room_that_does_not_fit_is_refused(out):
    with pytest.raises(InputError, match="out must be a writeable, C-contiguous float64 array"):
        smooth_bank(ConstantVelocity(), np.zeros((2, 3), int), np.ones((2, 27, 3)), out=out)


def test_room_that_only_overlaps_what_is_read_is_refused():
    memory = np.ones((4, 27, 3))
    with pytest.raises(InputError, match="share no memory"):
        smooth_bank(ConstantVelocity(), np.zeros((3, 3), int), memory[:3], out=memory[1:])


def test_rows_of_one_moment_come_out_the_same(rng):
    model = ConstantVelocity()
    time_us, _, state, cov = sequences(rng, model, 1, 60)
    smoothed, spread = smooth_sequences(model, time_us, state, cov)
    same = np.flatnonzero(np.diff(time_us[0]) == 0)
    assert len(same)
    np.testing.assert_allclose(smoothed[0, same], smoothed[0, same + 1], rtol=1e-15)
    np.testing.assert_array_equal(spread[0, same], spread[0, same + 1])


@pytest.mark.parametrize("model", [ConstantVelocity(), Singer()], ids=["6", "9"])
@pytest.mark.parametrize("lag_s", [1e-6, 4.0, 1e6])
def test_a_lagged_row_is_what_a_live_call_on_its_window_gives(rng, model, lag_s):
    time_us, _, state, cov = sequences(rng, model, 2, 45)
    smoothed, spread = smooth_lagged(model, time_us, state, cov, lag_s=lag_s)
    for k in range(45):
        stop = int(np.searchsorted(time_us[1], time_us[1, k] + round(lag_s * 1e6), side="right"))
        window = slice(k, stop)
        live = smooth_sequences(model, time_us[1:, window], state[1:, window], cov[1:, window])
        np.testing.assert_array_equal(smoothed[1, k], live[0][0, 0])
        np.testing.assert_array_equal(spread[1, k], live[1][0, 0])


def test_a_longer_lag_knows_more(rng):
    model = ConstantVelocity()
    time_us, _, state, cov = sequences(rng, model, 1, 60)
    known = [np.trace(smooth_lagged(model, time_us, state, cov, lag_s=lag)[1][0, 20]) for lag in (0.1, 2.0, 5.0, 60.0)]
    assert (np.diff(known) < 0).all()
    np.testing.assert_array_equal(known[-1], np.trace(smooth_sequences(model, time_us, state, cov)[1][0, 20]))


def to_fractions(matrix):
    return [[Fraction(float(value)) for value in row] for row in matrix]


def product(*matrices):
    out = matrices[0]
    for other in matrices[1:]:
        out = [
            [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*other, strict=True)] for row in out
        ]
    return out


def inverse(m):
    (a, b), (c, d) = m
    det = a * d - b * c
    return [[d / det, -b / det], [-c / det, a / det]]


def combine(one, other, sign=1):
    return [[a + sign * b for a, b in zip(*rows, strict=True)] for rows in zip(one, other, strict=True)]


def test_covariances_survive_one_millimetre_beside_a_thousand_kilometres():
    """The filter knew nothing, then nearly everything. Beside exact fractions: one axis, filtered and smoothed.

    In floating point the textbook difference of covariances would be all rounding here.
    """
    steps, model = 12, ConstantVelocity(1e-9, 1e-9)
    noise_one = to_fractions([[1e-6]])[0][0]
    transition, noise = (to_fractions(one[0][::3, ::3]) for one in discretise(model, PLACE[None], [1.0]))
    back = [list(column) for column in zip(*transition, strict=True)]
    cov = to_fractions([[1e12, 0.0], [0.0, 1e8]])
    rows = []
    for k in range(steps):
        if k:
            cov = combine(product(transition, cov, back), noise)
        gain = [[row[0] / (cov[0][0] + noise_one)] for row in cov]
        cov = combine(cov, product(gain, [cov[0]]), -1)
        # The smoother is given doubles: exactness is asked of it, not of a filter.
        cov = to_fractions(cov)
        rows.append(cov)
    want = [rows[-1]]
    for cov in reversed(rows[:-1]):
        ahead = combine(product(transition, cov, back), noise)
        gain = product(cov, back, inverse(ahead))
        turned = [list(column) for column in zip(*gain, strict=True)]
        want.insert(0, combine(cov, product(gain, combine(want[0], ahead, -1), turned)))
    covs = np.array([np.kron(np.array(cov, dtype=np.float64), np.eye(3)) for cov in rows])[None]
    state = np.tile(np.concatenate([PLACE, np.zeros(3)]), (1, steps, 1))
    spread = smooth_sequences(model, np.arange(steps)[None] * 1_000_000, state, covs)[1][0]
    assert covs.max() / np.einsum("kii->ki", spread).min() > 1e14
    np.testing.assert_array_equal(spread, spread.swapaxes(-1, -2))
    assert np.linalg.eigvalsh(spread).min() > 0.0
    for axis in range(3):
        ours, exactly = spread[:, axis::3, axis::3], np.array(want, dtype=np.float64)
        np.testing.assert_allclose(ours[1:], exactly[1:], rtol=1e-6)
        # Row 0 is filtered to 1 mm and 10 km/s: one step on, doubles no longer hold its millimetre.
        np.testing.assert_allclose(ours[0], exactly[0], rtol=0.2)


@pytest.mark.parametrize("size", [1, 2, 6, 13])
def test_the_core_takes_any_size_and_any_transition(rng, size):
    """`rts_one` on random systems against conditioning the joint Gaussian of two states."""
    transition, roots = rng.normal(size=(size, size)), rng.normal(size=(3, size, size))
    cov, noise, after = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(size)
    x, xn = rng.normal(size=(2, size))
    out, spread = np.empty(size), np.empty((size, size))
    gain, rest, ahead = np.empty((size, size)), np.empty((size, size)), np.empty(size)
    work = np.empty((kernels.N_WORK, size, size))
    kernels.rts_one(transition, noise, x, cov, xn, after, out, spread, gain, rest, ahead, work)
    want = cov @ transition.T @ np.linalg.inv(transition @ cov @ transition.T + noise)
    np.testing.assert_allclose(gain, want, atol=1e-9)
    np.testing.assert_allclose(out, x + want @ (xn - transition @ x), atol=1e-9)
    predicted = transition @ cov @ transition.T + noise
    np.testing.assert_allclose(spread, cov + want @ (after - predicted) @ want.T, atol=1e-8)


def test_the_core_leaves_alone_what_is_certain():
    """A component without any variance, before and after, gets no gain and no variance."""
    cov, noise = np.diag([4.0, 0.0, 1.0]), np.diag([1.0, 0.0, 0.5])
    x, xn, after = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 3.0]), np.diag([0.5, 0.0, 0.5])
    out, spread = np.empty(3), np.empty((3, 3))
    work = np.empty((kernels.N_WORK, 3, 3))
    kernels.rts_one(
        np.eye(3), noise, x, cov, xn, after, out, spread, np.empty((3, 3)), np.empty((3, 3)), np.empty(3), work
    )
    np.testing.assert_allclose(out, [1.8, 2.0, 3.0])
    np.testing.assert_allclose(np.diag(spread), [4.0 + 0.64 * (0.5 - 5.0), 0.0, 1.0 + (0.5 - 1.5) / 2.25])


def exact(mixture, time_us, z, cov):
    """Every sequence of models, smoothed by itself: probabilities (steps, m) and means (steps, d)."""
    m, d, steps = len(mixture.models), mixture.state_size, len(z)
    step_s = np.diff(time_us) * 1e-6
    switch = mixture.switching(step_s)
    matrices = [mixture.discretise(j, np.tile(PLACE, (steps - 1, 1)), step_s) for j in range(m)]
    scores, means, paths = [], [], list(itertools.product(range(m), repeat=steps))
    for path in paths:
        x, p, score = np.concatenate([PLACE, np.zeros(d - 3)]), cov, np.log(mixture.initial[path[0]])
        xs, ps = [], []
        for k, j in enumerate(path):
            if k:
                transition, noise = (one[k - 1] for one in matrices[j])
                x, p = transition @ x, transition @ p @ transition.T + noise
                score += np.log(switch[k - 1, path[k - 1], j])
            s = p[:3, :3] + NOISE
            score += multivariate_normal(x[:3], s).logpdf(z[k])
            gain = p[:, :3] @ np.linalg.inv(s)
            x, p = x + gain @ (z[k] - x[:3]), p - gain @ p[:3]
            xs.append(x)
            ps.append(p)
        for k in reversed(range(steps - 1)):
            transition, noise = (one[k] for one in matrices[path[k + 1]])
            gain = ps[k] @ transition.T @ np.linalg.inv(transition @ ps[k] @ transition.T + noise)
            xs[k] = xs[k] + gain @ (xs[k + 1] - transition @ xs[k])
        scores.append(score)
        means.append(xs)
    weight = np.exp(np.array(scores) - logsumexp(scores))
    right = np.array(paths)
    probabilities = np.stack([weight @ (right == j) for j in range(m)], axis=1)
    return probabilities, np.tensordot(weight, np.array(means) - np.concatenate([PLACE, np.zeros(d - 3)]), 1)


def manoeuvre(steps):
    """Straight, then a hard swerve, then straight: (steps, 3) about PLACE, one row a second."""
    t = np.arange(steps, dtype=np.float64)
    east = 12.0 * t
    north = np.where(t > steps / 2, 12.0 * (t - steps / 2), 0.0)
    return PLACE + np.column_stack([east, north, 0.0 * t]) @ geodesy.enu_rotation([LAT], [LON])[0]


def test_a_mixture_is_smoothed_close_to_following_every_sequence_of_models(rng):
    steps = 9
    time_us = np.arange(steps)[None] * 1_000_000
    cov = np.diag(np.repeat([400.0, 225.0], 3))
    misses, filter_misses = [], []
    for _ in range(5):
        z = manoeuvre(steps) + rng.normal(0, STD_M, (steps, 3))
        rows = filtered(PAIR, time_us, z[None], cov)
        mu, state, covs = smooth_mixtures(PAIR, time_us, *rows)
        want_mu, want_x = exact(PAIR, time_us[0], z, cov)
        x, spread = combined(mu, state, covs)
        start = np.concatenate([PLACE, np.zeros(3)])
        std = np.sqrt(np.einsum("kii->ki", spread[0]))
        assert np.abs((x[0] - start - want_x) / std).max() < 0.35
        misses.append(np.abs(mu[0] - want_mu).mean())
        filter_misses.append(np.abs(rows[0][0] - want_mu).mean())
    assert np.mean(misses) < 0.06
    assert np.mean(misses) < 0.5 * np.mean(filter_misses)


def test_a_mixture_of_equal_models_is_smoothed_as_one_model(rng):
    model = ConstantVelocity(1.0)
    time_us, _, state, cov = sequences(rng, model, 2, 40)
    want = smooth_sequences(model, time_us, state, cov)
    twice = Mixture([model, model], mean_stay_s=[3.0, 9.0])
    mu = np.tile(twice.initial, (2, 40, 1))
    both = [np.repeat(one[:, :, None], 2, axis=2) for one in (state, cov)]
    smoothed_mu, *rest = smooth_mixtures(twice, time_us, mu, *both)
    x, spread = combined(smoothed_mu, *rest)
    np.testing.assert_allclose(smoothed_mu, mu, atol=1e-9)
    np.testing.assert_allclose(x, want[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(spread, want[1], rtol=1e-8, atol=1e-8)


def switching_drive(rng, mixture, n, steps, cov):
    """Truth of a target whose model changes as the chain says."""
    time_us = np.tile(np.arange(steps) * 1_000_000, (n, 1))
    switch = np.cumsum(mixture.switching([1.0])[0], axis=1)
    now = (rng.random(n)[:, None] > np.cumsum(mixture.initial)).sum(axis=1)
    right, truth = np.empty((n, steps), dtype=np.int64), np.empty((n, steps, 6))
    truth[:, 0] = np.concatenate([PLACE, np.zeros(3)]) + rng.multivariate_normal(np.zeros(6), cov, n)
    right[:, 0] = now
    matrices = [mixture.discretise(j, PLACE[None], [1.0]) for j in range(len(mixture.models))]
    roots = np.array([np.linalg.cholesky(noise[0]) for _, noise in matrices])
    transitions = np.array([transition[0] for transition, _ in matrices])
    for k in range(1, steps):
        now = (rng.random(n)[:, None] > switch[now]).sum(axis=1)
        right[:, k] = now
        truth[:, k] = np.einsum("nij,nj->ni", transitions[now], truth[:, k - 1])
        truth[:, k] += np.einsum("nij,nj->ni", roots[now], rng.normal(size=(n, 6)))
    return time_us, truth, right


def test_a_switching_target_is_smoothed_honestly(rng):
    """Smaller errors than the filter's, right promises, and the right model is named more often."""
    n, steps, cov = 250, 50, np.diag(np.repeat([400.0, 225.0], 3))
    time_us, truth, right = switching_drive(rng, PAIR, n, steps, cov)
    rows = filtered(PAIR, time_us, truth[..., :3] + rng.normal(0, STD_M, (n, steps, 3)), cov)
    mu, *rest = smooth_mixtures(PAIR, time_us, *rows)
    np.testing.assert_allclose(mu.sum(axis=2), 1.0, rtol=1e-12)
    (x, spread), (x_filter, _) = combined(mu, *rest), combined(*rows)
    middle = slice(5, 45)
    rmse = [np.sqrt(np.mean((one[:, middle, :3] - truth[:, middle, :3]) ** 2)) for one in (x, x_filter)]
    assert rmse[0] < 0.62 * rmse[1]
    # A mixture is only nearly Gaussian and its smoother only nearly exact: the mean NEES of 6 may be 7 % off.
    assert 5.6 < nees(truth[:, middle] - x[:, middle], spread[:, middle]).mean() < 6.4
    hits = [(one.argmax(axis=2) == right)[:, middle].mean() for one in (mu, rows[0])]
    assert hits[0] > hits[1] + 0.1
    # What it calls 80 to 100 per cent probable is so in about nine cases of ten.
    sure = mu[:, middle].max(axis=2) > 0.8
    named = mu[:, middle].argmax(axis=2) == right[:, middle]
    np.testing.assert_allclose(named[sure].mean(), mu[:, middle].max(axis=2)[sure].mean(), atol=0.04)


def test_generated_kernels_are_what_their_tool_writes():
    tool = pathlib.Path(__file__).parent.parent / "tools" / "make_smoothing_kernels.py"
    spec = importlib.util.spec_from_file_location("make_smoothing_kernels", tool)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert pathlib.Path(generated_smoothing.__file__).read_text() == module.source()


def test_nothing_in_is_nothing_out():
    for steps in (0, 1):
        state, cov = smooth_sequences(
            ConstantVelocity(), np.zeros((2, steps), dtype=np.int64), np.ones((2, steps, 6)), np.ones((2, steps, 6, 6))
        )
        assert state.shape == (2, steps, 6)
        np.testing.assert_array_equal(cov, np.ones((2, steps, 6, 6)))
    assert smooth_bank(ConstantVelocity(), np.zeros((3, 0), int), np.ones((3, 27, 0))).shape == (3, 27, 0)
    assert smooth_bank(ConstantVelocity(), np.zeros((0, 3), int), np.ones((0, 27, 3))).shape == (0, 27, 3)
    assert smooth_sequences(Singer(), np.zeros((0, 4), int), np.ones((0, 4, 9)), np.ones((0, 4, 9, 9)))[0].size == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda t, x, p: smooth_sequences(Singer(), t, x, p), r"state must have shape \(1, 2, 9\)"),
        (lambda t, x, p: smooth_sequences(StopAndGo(), t[:, ::-1], x, p), "time_us must not decrease"),
        (lambda t, x, p: smooth_sequences(StopAndGo(), t, np.nan * x, p), "state must not hold NaN"),
        (lambda t, x, p: smooth_sequences(StopAndGo(), t, x, p[0]), "cov must have shape"),
        (lambda t, x, p: smooth_lagged(StopAndGo(), t, x, p, lag_s=0.0), "lag_s must be positive"),
        (lambda t, x, p: smooth_mixtures(PAIR, t, np.ones((1, 2, 2)) / 2, x, p), "state must have shape"),
        (lambda _, x, p: combined(np.ones((1, 2)), x, p), r"state must be \(n, steps, m, d\)"),
    ],
)
def test_what_does_not_fit_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make(np.array([[0, 1]]), np.ones((1, 2, 6)), np.ones((1, 2, 6, 6)))
