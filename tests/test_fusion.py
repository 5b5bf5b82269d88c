from dataclasses import replace

import numpy as np
import pytest
import streams
from flights import START_US, weave
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from dronetrack.errors import InputError
from dronetrack.fusion import covariance_intersection, fuse_tracks
from dronetrack.measurements import merge
from dronetrack.metrics.consistency import chi2_bounds, nees
from dronetrack.tracker import Tracker
from dronetrack.tracks import COASTING, CONFIRMED, Track

EARTH_M = 6.4e6


def covariances(rng, n, c=2, d=6, *, spread=2.0):
    """Covariances with axes in all directions, some much longer than others."""
    turn = np.linalg.qr(rng.normal(size=(n, c, d, d)))[0]
    return (turn * 10.0 ** rng.uniform(-spread, spread, (n, c, 1, d))) @ turn.transpose(0, 1, 3, 2)


def estimates(rng, n, c=2, d=6):
    cov = covariances(rng, n, c, d)
    return rng.normal(size=(n, c, d)) + EARTH_M, 0.5 * (cov + cov.transpose(0, 1, 3, 2))


def informed(cov, weight):
    """Fused information of a pair by the formula."""
    first, second = np.linalg.inv(cov)
    return weight * first + (1.0 - weight) * second


def size(cov, minimise):
    return np.trace(cov) if minimise == "trace" else np.linalg.slogdet(cov)[1]


def independent(mean, cov):
    """Fuse (n, 2, d) as if nothing were shared: what must not be done."""
    gain = cov[:, 0] @ np.linalg.inv(cov[:, 0] + cov[:, 1])
    fused = mean[:, 0] + np.einsum("nij,nj->ni", gain, mean[:, 1] - mean[:, 0])
    return fused, cov[:, 0] - gain @ cov[:, 0]


# The best weight


@pytest.mark.parametrize("minimise", ["determinant", "trace"])
def test_the_weight_of_a_pair_is_where_scipy_finds_the_least(rng, minimise):
    mean, cov = estimates(rng, 60)
    fused = covariance_intersection(mean, cov, minimise=minimise)
    for row in range(60):
        found = minimize_scalar(
            lambda w, pair=cov[row]: size(np.linalg.inv(informed(pair, w)), minimise),
            bounds=(0.0, 1.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        # scipy finds the weight to the root of a rounding, and bounds only nearly.
        assert fused.weight[row, 0] == pytest.approx(found.x, abs=2e-5)
        assert size(fused.cov[row], minimise) <= found.fun + 1e-9 * (1.0 + abs(found.fun))


def test_the_fused_estimate_is_that_of_the_formula(rng):
    mean, cov = estimates(rng, 60)
    fused = covariance_intersection(mean, cov)
    for row in range(60):
        w = fused.weight[row]
        whole = np.linalg.inv(informed(cov[row], w[0]))
        told = sum(
            part * np.linalg.solve(one, x - EARTH_M) for part, one, x in zip(w, cov[row], mean[row], strict=True)
        )
        np.testing.assert_allclose(fused.cov[row], whole, rtol=1e-7, atol=1e-10 * np.abs(whole).max())
        np.testing.assert_allclose(fused.mean[row] - EARTH_M, whole @ told, atol=1e-6)


@pytest.mark.parametrize("better", [0, 1])
def test_an_estimate_that_knows_everything_better_is_taken_alone(rng, better):
    mean, cov = estimates(rng, 20)
    cov[:, 1 - better] = cov[:, better] * 1.5
    fused = covariance_intersection(mean, cov)
    assert (fused.weight[:, better] == 1.0).all()
    np.testing.assert_allclose(fused.cov, cov[:, better], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fused.mean, mean[:, better], atol=1e-8)


def test_the_order_of_a_pair_does_not_matter(rng):
    mean, cov = estimates(rng, 50)
    there, back = covariance_intersection(mean, cov), covariance_intersection(mean[:, ::-1], cov[:, ::-1])
    np.testing.assert_allclose(there.weight, back.weight[:, ::-1], atol=1e-7)
    np.testing.assert_allclose(there.mean, back.mean, atol=1e-6)


def test_the_least_determinant_does_not_depend_on_units(rng):
    mean, cov = estimates(rng, 30)
    units = np.array([1e3, 1e3, 1e3, 1e-2, 1e-2, 1e-2])
    metres = covariance_intersection(mean, cov)
    other = covariance_intersection(mean * units, cov * np.outer(units, units))
    np.testing.assert_allclose(other.weight, metres.weight, atol=1e-9)


@pytest.mark.parametrize("minimise", ["determinant", "trace"])
def test_several_centres_get_the_weights_that_scipy_finds(rng, minimise):
    mean, cov = estimates(rng, 8, c=4)
    fused = covariance_intersection(mean, cov, minimise=minimise)
    for row in range(8):
        informations = np.linalg.inv(cov[row])

        def of(root, informations=informations):
            w = root**2 / np.sum(root**2)
            return size(np.linalg.inv(np.einsum("c,cij->ij", w, informations)), minimise)

        least = min(minimize(of, start, method="BFGS").fun for start in rng.uniform(0.3, 1.0, (4, 4)))
        assert size(fused.cov[row], minimise) <= least + 1e-5 * (1.0 + abs(least))
        assert fused.weight[row].sum() == pytest.approx(1.0)


def test_no_centre_could_say_more_than_its_weight_lets_it(rng):
    # The condition of Kiefer and Wolfowitz (1960): tr(P X) <= d for each, with equality where the weight is not zero.
    mean, cov = estimates(rng, 100, c=5)
    fused = covariance_intersection(mean, cov)
    gain = np.einsum("nij,ncji->nc", fused.cov, np.linalg.inv(cov))
    assert gain.max() <= 6.0 * (1.0 + 2e-6)
    np.testing.assert_allclose(np.sum(fused.weight * gain, axis=1), 6.0, rtol=1e-7)


def test_a_pair_is_fused_alike_beside_a_third_that_knows_nothing(rng):
    mean, cov = estimates(rng, 30)
    pair = covariance_intersection(mean, cov)
    nothing = np.broadcast_to(1e9 * np.eye(6), (30, 1, 6, 6))
    three = covariance_intersection(np.concatenate([mean, mean[:, :1]], axis=1), np.concatenate([cov, nothing], axis=1))
    np.testing.assert_allclose(np.linalg.slogdet(three.cov)[1], np.linalg.slogdet(pair.cov)[1], atol=2e-5)


# Honesty: what the fused covariance claims against what is so


def true_cov(cov, cross, fused):
    """Covariance of the fused error of a pair whose errors have the covariance `cross`."""
    gains = fused.weight[0][:, None, None] * fused.cov[0] @ np.linalg.inv(cov)
    whole = np.block([[cov[0], cross], [cross.T, cov[1]]])
    both = np.hstack(list(gains))
    return both @ whole @ both.T


def test_an_intersection_is_honest_whatever_the_two_share(rng):
    for row in range(300):
        mean, cov = estimates(rng, 1)
        fused = covariance_intersection(mean, cov)
        turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
        # The largest cross-covariance there can be: every error of one is an error of the other, in some direction.
        share = turn * (1.0 if row % 2 else rng.uniform(-1.0, 1.0, 6))
        left, right = np.linalg.cholesky(cov[0])
        spare = fused.cov[0] - true_cov(cov[0], left @ share @ right.T, fused)
        assert np.linalg.eigvalsh(spare)[0] >= -1e-9 * np.trace(fused.cov[0])


def test_fusing_what_is_shared_as_if_it_were_not_is_dishonest(rng):
    # The same test of the naive way: it can fail.
    mean, cov = estimates(rng, 1)
    cov[:, 1] = cov[:, 0]
    _, claimed = independent(mean, cov)
    assert np.linalg.eigvalsh(claimed[0] - cov[0, 0])[0] < -0.4 * np.trace(claimed[0]) / 6.0


def test_what_goes_back_and_forth_a_thousand_times_grows_no_surer(rng):
    mean, cov = estimates(rng, 5)
    first = covariance_intersection(mean, cov)
    there = first
    for turn in range(1000):
        with_whom = turn % 2
        both = np.stack([there.mean, mean[:, with_whom]], axis=1), np.stack([there.cov, cov[:, with_whom]], axis=1)
        there = covariance_intersection(*both)
    np.testing.assert_allclose(there.cov, first.cov, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(there.mean, first.mean, atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_a_fused_covariance_is_regular_and_no_larger_than_either(seed, d):
    rng = np.random.default_rng(seed)
    mean, cov = rng.normal(size=(1, 2, d)), covariances(rng, 1, d=d)
    fused = covariance_intersection(mean, 0.5 * (cov + cov.transpose(0, 1, 3, 2)))
    assert (fused.cov == fused.cov.transpose(0, 2, 1)).all()
    assert np.linalg.eigvalsh(fused.cov[0])[0] > 0.0
    assert np.linalg.slogdet(fused.cov)[1][0] <= np.linalg.slogdet(cov)[1].min() + 1e-9


def test_a_millimetre_beside_a_thousand_kilometres_stays_healthy():
    small, large = np.diag([1e-6, 1e12, 1.0, 1e-6, 1e6, 1.0]), np.diag([1e12, 1e-6, 1.0, 1e6, 1e-6, 1.0])
    fused = covariance_intersection(np.zeros((1, 2, 6)), np.stack([small, large])[None])
    np.testing.assert_allclose(fused.weight, 0.5, atol=1e-6)
    np.testing.assert_allclose(np.diagonal(fused.cov[0])[[0, 1, 3, 4]], 2e-6, rtol=1e-6)


def test_the_same_estimate_twice_says_nothing_new(rng):
    mean, cov = estimates(rng, 20)
    mean[:, 1], cov[:, 1] = mean[:, 0], cov[:, 0]
    fused = covariance_intersection(mean, cov)
    np.testing.assert_allclose(fused.cov, cov[:, 0], rtol=1e-7, atol=1e-9)


def test_nothing_fused_is_nothing():
    fused = covariance_intersection(np.empty((0, 2, 6)), np.empty((0, 2, 6, 6)))
    assert fused.mean.shape == (0, 6)


@pytest.mark.parametrize("c", [2, 3])
def test_a_covariance_that_is_none_is_refused_by_its_row(rng, c):
    mean, cov = estimates(rng, 5, c=c)
    cov[3, 1, 0, 0] = -1.0
    with pytest.raises(InputError, match="row 3"):
        covariance_intersection(mean, cov)


def test_inputs_that_do_not_fit_are_refused(rng):
    mean, cov = estimates(rng, 5, c=3)
    with pytest.raises(InputError, match="two estimates or more"):
        covariance_intersection(mean[:, :1], cov[:, :1])
    with pytest.raises(InputError, match="minimise"):
        covariance_intersection(mean, cov, minimise="area")
    with pytest.raises(InputError, match="shape"):
        covariance_intersection(mean, cov[:, :2])


# Tracks of two centres


def at(seconds):
    return START_US + np.rint(np.asarray(seconds) * 1e6).astype(np.int64)


def seen(rng, start_s, stop_s, name, std_m=4.0, step_s=0.5):
    at_s = np.arange(start_s, stop_s, step_s)
    return streams.positions(at_s, weave(at_s) + rng.normal(0.0, std_m, (len(at_s), 3)), name, std_m)


def two_centres(rng):
    """One follows for 20 s and hands on its belief; both go on, with a poor sensor each and a good one in common."""
    home = Tracker(track_id=7)
    home.update(seen(rng, 0.0, 20.0, "HU-D1"))
    host = Tracker.continued(home.belief())
    both_hear = seen(rng, 20.1, 30.0, "HU-1", 2.0)
    parts = []
    for centre, name in ((home, "HU-D1"), (host, "RO-D1")):
        centre.update(merge(both_hear, seen(rng, 20.2, 30.0, name)))
        parts.append(centre.provisional())
    return parts


def test_what_two_centres_fuse_is_honest_where_the_naive_way_is_not(rng):
    asked_s = np.array([20.6, 24.6, 29.6])
    truth = streams.to_ecef(weave(asked_s))
    ours, naive = [], []
    for _ in range(100):
        home, host = two_centres(rng)
        fused = fuse_tracks(home, host, time_us=at(asked_s))
        ours.append(nees(fused.state[:, :3] - truth, fused.cov[:, :3, :3]))
        parts = [home.at(at(asked_s)), host.at(at(asked_s))]
        state, cov = (np.stack([getattr(one, name) for one in parts], axis=1) for name in ("state", "cov"))
        state, cov = independent(state, cov)
        naive.append(nees(state[:, :3] - truth, cov[:, :3, :3]))
    assert (np.mean(ours, axis=0) < chi2_bounds(3, 100, 0.95)[1]).all()
    assert (np.mean(naive, axis=0) > chi2_bounds(3, 100, 0.999)[1]).all()


def straight(time_s, *, track_id=7, status=CONFIRMED, n_sensors=2, std_m=3.0):
    n = len(time_s)
    state = np.zeros((n, 6))
    state[:, :3], state[:, 3] = [4.1e6, 1.5e6, 4.6e6], 10.0
    state[:, 0] += 10.0 * np.asarray(time_s)
    cov = np.tile(np.diag([std_m**2] * 3 + [1.0] * 3), (n, 1, 1))
    filled = [np.full(n, value, dtype) for value, dtype in ((status, np.int8), (n_sensors, np.int16))]
    return Track(at(time_s), track_id, filled[0], state, cov, np.full(n, 1.0), filled[1])


def test_tracks_are_fused_at_every_time_that_one_has_and_all_reach():
    fused = fuse_tracks(straight([0.0, 1.0, 2.0, 3.0]), straight([0.5, 1.5, 2.0, 2.5, 9.0]))
    assert ((fused.time_us - START_US) / 1e6).tolist() == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    np.testing.assert_allclose(fused.state[:, 0] - 4.1e6, [5.0, 10.0, 15.0, 20.0, 25.0, 30.0], atol=1e-6)
    assert fused.track_id == 7


def test_a_fused_track_coasts_only_where_all_do_and_counts_no_sensor_twice():
    there, coasting = straight([0.0, 1.0], n_sensors=2), straight([0.0, 1.0], status=COASTING, n_sensors=3)
    fused = fuse_tracks(there, coasting)
    assert (fused.status == CONFIRMED).all()
    assert (fuse_tracks(coasting, coasting).status == COASTING).all()
    assert (fused.n_sensors == 3).all()
    assert np.isnan(fused.nis).all()


def test_each_centre_brings_what_the_other_does_not_know():
    there, here = straight([0.0, 1.0], std_m=1.0), straight([0.0, 1.0], std_m=1.0)
    along, across = np.diag([100.0, 1.0, 1.0, 1.0, 1.0, 1.0]), np.diag([1.0, 100.0, 1.0, 1.0, 1.0, 1.0])
    tracks = [replace(one, cov=one.cov @ wide) for one, wide in ((there, along), (here, across))]
    fused = fuse_tracks(*tracks)
    assert (np.linalg.det(fused.cov) < 0.1 * np.linalg.det(tracks[0].cov)).all()
    assert (fused.cov[:, 0, 0] < 4.0).all()
    assert (fused.cov[:, 1, 1] < 4.0).all()


def test_three_centres_are_fused_too():
    fused = fuse_tracks(*[straight([0.0, 1.0], std_m=std_m) for std_m in (3.0, 5.0, 2.0)])
    assert fused.stats["weight"].shape == (2, 3)
    assert (fused.stats["weight"][:, 2] > 0.99).all()


def test_tracks_of_different_targets_are_seen_to_be_apart():
    one, other = straight([0.0, 1.0]), straight([30.0, 31.0])
    far = Track(one.time_us, 7, other.status, other.state, other.cov, other.nis, other.n_sensors)
    assert (fuse_tracks(one, far).stats["apart"] > 1000.0).all()
    assert (fuse_tracks(one, one).stats["apart"] < 1e-9).all()


def test_tracks_that_cannot_be_fused_are_refused_with_the_reason():
    here = straight([0.0, 1.0])
    with pytest.raises(InputError, match="identities"):
        fuse_tracks(here, straight([0.0, 1.0], track_id=8))
    assert fuse_tracks(here, straight([0.0, 1.0], track_id=8), track_id=9).track_id == 9
    with pytest.raises(InputError, match="no time in common"):
        fuse_tracks(here, straight([5.0, 6.0]))
    with pytest.raises(InputError, match="without rows"):
        fuse_tracks(here, straight([]))
    with pytest.raises(InputError, match="two tracks"):
        fuse_tracks(here)
    with pytest.raises(InputError, match="outside"):
        fuse_tracks(here, here, time_us=at([2.0]))
