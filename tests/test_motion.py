import numpy as np
import pytest
from flights import LAT, LON
from scipy.linalg import expm
from scipy.stats import chi2

from dronetrack import geodesy, reference
from dronetrack.errors import InputError
from dronetrack.kernels import motion as kernels
from dronetrack.motion import (
    ConstantAcceleration,
    ConstantVelocity,
    CoordinatedTurn,
    Mixture,
    Singer,
    StopAndGo,
    discretise,
)

MODELS = (
    ConstantVelocity(),
    ConstantAcceleration(),
    Singer(),
    Singer(manoeuvre_time_s=0.2),
    Singer(manoeuvre_time_s=1e7),
    CoordinatedTurn(12.0),
    CoordinatedTurn(-0.001),
    CoordinatedTurn(0.0),
    StopAndGo(),
    StopAndGo(stop_time_s=0.1),
    StopAndGo(stop_time_s=1e8),
)
STEPS_S = np.array([1e-3, 0.02, 0.2, 0.9, 1.1, 3.0, 10.0, 100.0])
every_model = pytest.mark.parametrize("model", MODELS, ids=repr)


@pytest.fixture
def place():
    """On the ellipsoid, where the normal that the kernels take for up is the geodetic one to the last bit."""
    return geodesy.geodetic_to_ecef([LAT], [LON], [0.0])[0]


@pytest.mark.parametrize(("alt_hae_m", "off_rad"), [(0.0, 1e-15), (1000.0, 6e-7), (10_000.0, 6e-6)])
def test_the_local_up_is_the_geodetic_one_near_the_ground(alt_hae_m, off_rad):
    lat, lon = np.array([-89.0, -45.0, 0.0, LAT, 90.0]), np.array([0.0, 180.0, -90.0, LON, 10.0])
    ups = geodesy.enu_rotation(lat, lon)[:, 2]
    for x, up in zip(geodesy.geodetic_to_ecef(lat, lon, np.full(5, alt_hae_m)), ups, strict=True):
        assert np.linalg.norm(np.cross(kernels.up_one(x), up)) <= off_rad


def steps_from(place, model, steps_s):
    return discretise(model, np.tile(place, (len(steps_s), 1)), steps_s)


def in_units_of(step_s, transition, noise):
    """Entries as pure numbers of order one, so that a relative tolerance means something for each of them."""
    scale = np.repeat(np.power(step_s, [0.0, 1.0, 2.0])[: len(noise) // 3], 3)
    return transition * scale[:, None] / scale, noise * np.outer(scale, scale)


@every_model
@pytest.mark.parametrize("step_s", STEPS_S)
def test_steps_are_those_of_the_matrix_exponential(place, model, step_s):
    ours = in_units_of(step_s, *(one[0] for one in steps_from(place, model, [step_s])))
    theirs = in_units_of(step_s, *reference.discretise(model, place, step_s))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10 * np.abs(other).max())


@pytest.mark.parametrize("model", [ConstantVelocity(), ConstantAcceleration()], ids=repr)
def test_white_noise_models_are_those_of_filterpy(place, model):
    _, noise = steps_from(place, model, [0.7])
    np.testing.assert_allclose(noise[0], reference.process_noise(place, 0.7, model), rtol=1e-9, atol=1e-12)


@every_model
@pytest.mark.parametrize(("first_s", "second_s"), [(1e-3, 0.5), (0.3, 0.4), (2.0, 7.0), (60.0, 1e-3)])
def test_two_steps_are_one_long_step(place, model, first_s, second_s):
    transition, noise = steps_from(place, model, [first_s, second_s, first_s + second_s])
    chained = transition[1] @ noise[0] @ transition[1].T + noise[1]
    long = in_units_of(first_s + second_s, transition[2], noise[2])
    for one, other in zip(in_units_of(first_s + second_s, transition[1] @ transition[0], chained), long, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * np.abs(other).max())


@every_model
def test_no_step_is_no_change(place, model):
    transition, noise = steps_from(place, model, [0.0])
    np.testing.assert_array_equal(transition[0], np.eye(model.state_size))
    assert not noise.any()


@every_model
@pytest.mark.parametrize("step_s", STEPS_S)
def test_noise_is_symmetric_positive_definite(place, model, step_s):
    noise = steps_from(place, model, [step_s])[1][0]
    np.testing.assert_array_equal(noise, noise.T)
    if repr(model) not in {repr(StopAndGo(stop_time_s=1e8)), repr(Singer(manoeuvre_time_s=1e7))} or step_s > 1e-2:
        assert np.linalg.eigvalsh(in_units_of(step_s, noise, noise)[1]).min() > 0.0


@pytest.mark.parametrize("step_s", [1e-3, 1.0, 30.0])
def test_no_turn_is_constant_velocity(place, step_s):
    plain = steps_from(place, ConstantVelocity(1.5, 0.03), [step_s])
    np.testing.assert_allclose(
        steps_from(place, CoordinatedTurn(0.0, 1.5, 0.03), [step_s]), plain, rtol=1e-14, atol=1e-300
    )
    # A vanishing turn is met continuously: what is left is of the order of the angle turned.
    tiny = steps_from(place, CoordinatedTurn(1e-7, 1.5, 0.03), [step_s])
    np.testing.assert_allclose(tiny, plain, rtol=1e-6, atol=np.radians(1e-7) * max(step_s, 1.0) ** 3 * 30.0)


def test_a_turn_closes_its_circle(place):
    """A full circle brings position and velocity back; a quarter to the left leads from east to north."""
    transition, _ = steps_from(place, CoordinatedTurn(9.0), [40.0, 10.0])
    east, north, up = geodesy.enu_rotation([LAT], [LON])[0]
    start = np.concatenate([place, 20.0 * east])
    np.testing.assert_allclose(transition[0] @ start, start, rtol=0, atol=1e-8)
    quarter = transition[1] @ start
    radius = 20.0 / np.radians(9.0)
    np.testing.assert_allclose(quarter[3:], 20.0 * north, atol=1e-6)
    np.testing.assert_allclose(quarter[:3] - place, radius * (east + north), atol=1e-5)
    assert abs(quarter[3:] @ up) < 1e-9


def test_stop_and_go_stops_and_keeps_its_spread(place):
    model = StopAndGo(speed_std_mps=8.0, climb_std_mps=0.2, stop_time_s=20.0)
    transition, noise = steps_from(place, model, [1.0, 1000.0])
    turn = geodesy.enu_rotation([LAT], [LON])[0]
    spread = turn.T @ np.diag([64.0, 64.0, 0.04]) @ turn
    for step in range(2):
        kept = transition[step, 3:, 3:] @ spread @ transition[step, 3:, 3:].T + noise[step, 3:, 3:]
        np.testing.assert_allclose(kept, spread, atol=1e-9)
    np.testing.assert_allclose(transition[1, 3:, 3:], 0.0, atol=1e-20)
    np.testing.assert_allclose(transition[1, :3, 3:], 20.0 * np.eye(3), rtol=1e-12)


@pytest.mark.parametrize("size", [0, 4])
@every_model
@pytest.mark.parametrize("step_s", [0.0, 0.04, 2.0, 50.0])
def test_a_prediction_is_the_product_with_the_matrices(place, rng, model, size, step_s):
    """`predict_one` never forms F; what follows the target in the state stays, and stays tied to it."""
    d = model.state_size
    n = d + size
    transition, noise = np.eye(n), np.zeros((n, n))
    transition[:d, :d], noise[:d, :d] = (one[0] for one in steps_from(place, model, [step_s]))
    root = rng.normal(size=(n, n))
    x, cov = np.concatenate([place, rng.normal(size=n - 3)]), root @ root.T
    cov = (cov + cov.T) / 2
    want_x, want_cov = transition @ x, transition @ cov @ transition.T + noise
    kernels.predict_one(model.code, model.parameters, step_s, d, x, cov)
    np.testing.assert_allclose(x, want_x, rtol=1e-13, atol=1e-9)
    np.testing.assert_allclose(cov, want_cov, rtol=1e-9, atol=1e-11 * np.abs(want_cov).max())
    np.testing.assert_array_equal(cov, cov.T)


@pytest.mark.parametrize("model", [m for m in MODELS if m.state_size == 6], ids=repr)
def test_a_model_without_acceleration_forgets_one_in_a_larger_state(place, rng, model):
    mixture = Mixture([model, Singer()], rest_time_s=2.0, rest_acceleration_std_mps2=0.3)
    assert mixture.state_size == 9
    steps_s = np.array([0.4, 1.1, 1.5])
    transition, noise = mixture.discretise(0, np.tile(place, (3, 1)), steps_s)
    small = steps_from(place, model, steps_s)
    np.testing.assert_array_equal(transition[:, :6, :6], small[0])
    np.testing.assert_array_equal(noise[:, :6, :6], small[1])
    assert not transition[:, :6, 6:].any()
    np.testing.assert_allclose(transition[1, 6:, 6:], np.exp(-1.1 / 2.0) * np.eye(3))
    np.testing.assert_allclose(transition[1] @ transition[0], transition[2], atol=1e-12)
    np.testing.assert_allclose(transition[1] @ noise[0] @ transition[1].T + noise[1], noise[2], atol=1e-11)
    x, cov = np.concatenate([place, rng.normal(size=6)]), np.eye(9)
    want = transition[0] @ x, transition[0] @ cov @ transition[0].T + noise[0]
    kernels.predict_one(model.code, mixture.parameters[0], 0.4, 9, x, cov)
    np.testing.assert_allclose(x, want[0], rtol=1e-13)
    np.testing.assert_allclose(cov, want[1], atol=1e-12)


@every_model
def test_unknown_motion_has_the_spread_of_the_model(place, model):
    d = model.state_size
    x, cov = np.concatenate([place, np.ones(d - 1)]), np.ones((d + 2, d + 2))
    kernels.unknown_motion_one(model.parameters, d, x, cov)
    turn = np.kron(np.eye(d // 3 - 1), geodesy.enu_rotation([LAT], [LON])[0])
    p = model.parameters
    spread = np.array([p[3], p[3], p[4], p[5], p[5], p[6]])[: d - 3] ** 2
    np.testing.assert_allclose(turn @ cov[3:d, 3:d] @ turn.T, np.diag(spread), atol=1e-9)
    assert not x[3:d].any()
    assert (spread > 0).all()
    assert not cov[:3, 3:d].any()
    assert not cov[d:, 3:d].any()
    np.testing.assert_array_equal(cov[:3, :3], 1.0)
    np.testing.assert_array_equal(x[d:], 1.0)


@pytest.mark.parametrize("stay_s", [[5.0], [0.5, 20.0], [3.0, 1000.0, 0.01], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
def test_switching_is_the_matrix_exponential_of_the_rates(stay_s):
    mixture = Mixture([ConstantVelocity(1.0 + i) for i in range(len(stay_s))], mean_stay_s=stay_s)
    steps_s = np.array([0.0, 1e-6, 1e-3, 0.2, 5.0, 300.0])
    ours = mixture.switching(steps_s)
    np.testing.assert_allclose(ours, expm(mixture.rates * steps_s[:, None, None]), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(ours.sum(axis=2), 1.0, rtol=1e-14)
    # The default start is what the chain settles to.
    np.testing.assert_allclose(np.asarray(mixture.initial) @ ours[-1], mixture.initial, rtol=1e-9)


def test_switching_over_two_steps_is_that_of_one_long_step():
    mixture = Mixture([ConstantVelocity(), StopAndGo(), CoordinatedTurn(5.0)], mean_stay_s=[4.0, 30.0, 1.0])
    one, two, both = mixture.switching([0.3, 1.9, 2.2])
    np.testing.assert_allclose(one @ two, both, rtol=1e-12)


def test_rare_switches_keep_their_digits():
    """One minus a probability would have lost them."""
    pair = Mixture([ConstantVelocity(), ConstantVelocity(9.0)], mean_stay_s=[1e9, 1e9])
    step_s = 1e-3
    np.testing.assert_allclose(pair.switching([step_s])[0, 0, 1], -np.expm1(-2 * step_s / 1e9) / 2, rtol=1e-12)


def test_drives_drawn_from_a_model_have_its_covariance(place, rng):
    """Small Euler steps of the stochastic differential equation, not our own matrices, say what is right."""
    model, runs, fine = Singer(1.5, 1.5, 2.0, 5.0, 5.0), 4000, 400
    step_s = 3.0 / fine
    a = rng.normal(0, 1.5, runs)
    v, p = np.zeros(runs), np.zeros(runs)
    start = a.copy()
    for _ in range(fine):
        p += v * step_s + a * step_s**2 / 2
        v += a * step_s
        a += -a * step_s / 2.0 + rng.normal(0, 1.5 * np.sqrt(2.0 / 2.0 * step_s), runs)
    transition, noise = (one[0] for one in steps_from(place, model, [3.0]))
    rest = np.column_stack([p, v, a]) - np.outer(start, transition[[0, 3, 6], 6])
    nees = np.einsum("ni,ij,nj->n", rest, np.linalg.inv(noise[::3, ::3]), rest)
    low, high = chi2.ppf([0.0005, 0.9995], 3 * runs) / runs
    assert low * 0.98 < nees.mean() < high * 1.02  # Euler steps are off by about half a per cent


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: StopAndGo(stop_time_s=0.0), "stop_time_s must be positive"),
        (lambda: Singer(manoeuvre_std_mps2=np.inf), "manoeuvre_std_mps2 must be positive and finite"),
        (lambda: ConstantAcceleration(vertical_psd=-1.0), "vertical_psd must be positive"),
        (lambda: CoordinatedTurn(np.nan), "turn_left_degps must be finite"),
        (lambda: Mixture([]), "at least one model"),
        (lambda: Mixture([ConstantVelocity()], mean_stay_s=[1.0, 2.0]), "mean_stay_s must be 1 positive"),
        (lambda: Mixture([ConstantVelocity(), StopAndGo()], mean_stay_s=0.0), "mean_stay_s must be 2 positive"),
        (lambda: Mixture([ConstantVelocity(), StopAndGo()], initial=[0.5, 0.6]), "must sum to 1"),
        (lambda: Mixture([ConstantVelocity()], rest_time_s=-1.0), "rest_time_s must be positive"),
        (lambda: Mixture([ConstantVelocity()]).switching([-1.0]), "step_s must lie in"),
        (lambda: discretise(StopAndGo(), np.zeros((2, 3)), [1.0]), "need one length"),
        (lambda: discretise(StopAndGo(), np.ones((1, 3)), [np.nan]), "must not hold NaN"),
    ],
)
def test_impossible_models_and_steps_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_no_steps_are_fine():
    transition, noise = discretise(Singer(), np.zeros((0, 3)), [])
    assert transition.shape == noise.shape == (0, 9, 9)
