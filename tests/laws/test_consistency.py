"""Law 3, the acceptance lines: on the scenarios by name, errors are as large as the covariance says, run after run.

The bounds are those of 200 runs, `chi2_bounds(6, 200)`: 5.53 to 6.49. `benchmarks/scenarios.py` prints the figures of
every scenario.
"""

import numpy as np
import pytest
from flights import START_US, to_ecef, weave

from dronetrack import geodesy, reference
from dronetrack.filtering import track
from dronetrack.kernels import filters
from dronetrack.measurements import HEIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.metrics import score
from dronetrack.motion import ConstantVelocity, CoordinatedTurn, Mixture
from dronetrack.simulate import simulate

RUNS = 200
NO_GATE = 0.9999999  # nothing is drawn that a gate should refuse


def scored(name, *, runs=RUNS, bounded=False, **options):
    simulation = simulate(name, runs=runs, rng=np.random.default_rng(5))
    options = {"motion": simulation.scenario.motion, "gate_probability": NO_GATE} | options
    tracks = [track(rows, **options) for rows in simulation.measurements]
    return score(tracks, simulation.truths, settle_s=10.0, bound=simulation.bound() if bounded else None)


@pytest.mark.parametrize("name", ["straight", "straight_camera", "turns", "stop_and_go", "biased_gimbal", "late_radio"])
def test_errors_are_as_large_as_the_covariance_says(name):
    result = scored(name)
    assert result.nees.n_runs == RUNS
    assert result.nees.holds, result.nees
    assert 0.93 < result.ellipse_95.value < 0.97


def test_on_straight_the_filter_is_as_good_as_can_be_and_with_shared_errors_nearly():
    assert scored("straight", bounded=True).efficiency == pytest.approx(1.0, abs=0.05)
    assert scored("biased_gimbal", runs=80, bounded=True).efficiency == pytest.approx(1.0, abs=0.1)


def test_a_mixture_knows_the_velocity_of_what_turns_better_than_one_model():
    """The same rows by the default model: its velocity is twice as far off, and more than it says."""
    mixed, single = scored("turns", runs=60), scored("turns", runs=60, motion=ConstantVelocity())
    assert mixed.velocity_rmse_mps < 0.6 * single.velocity_rmse_mps
    assert single.nees.mean > single.nees.high


# --- what it took -----------------------------------------------------------------------------------------------------


def test_the_root_of_a_shared_covariance_turns_as_the_covariance_turns(rng):
    """Of full rank and of rank one: C(T A T') = T C(A) T'."""
    turns = np.linalg.qr(rng.normal(size=(50, 3, 3)))[0]
    for width in (3, 1):
        half = rng.normal(size=(3, width))
        one, many = np.empty((1, 3, 3)), np.empty((50, 3, 3))
        filters.shared_root_rows((half @ half.T)[None], one)
        filters.shared_root_rows(turns @ half @ half.T @ turns.swapaxes(1, 2), many)
        np.testing.assert_allclose(one[0] @ one[0], half @ half.T, atol=1e-12)
        np.testing.assert_allclose(many, turns @ one @ turns.swapaxes(1, 2), atol=1e-7)


def test_an_error_of_the_map_stays_one_error_though_up_turns_a_little(rng):
    """A thousand heights share 0.5 m. Their covariances are given along ups that differ by millionths."""
    seconds = np.arange(0.0, 100.0, 0.1)
    n = len(seconds)
    place = to_ecef(np.zeros((n, 3)))
    nearby = geodesy.ecef_to_geodetic(to_ecef(rng.normal(0.0, 10.0, (n, 3)) * [1.0, 1.0, 0.0]))
    up = geodesy.enu_rotation(*nearby[:2])[:, 2]
    time_us = START_US + np.rint(seconds * 1e6).astype(np.int64)
    small = np.broadcast_to(0.01 * np.eye(3), (n, 3, 3))
    heights = measurements_of(
        time_us, HEIGHT, place, small, Sensor("terrain", shared_time_s=1e5, starts_tracks=False),
        site_cov=0.25 * up[:, :, None] * up[:, None, :],
    )  # fmt: skip
    fixes = measurements_of(time_us[:1], POSITION, place[:1], 1e4 * small[:1], Sensor("fix"))
    still = ConstantVelocity(vertical_psd=1e-9, initial_climb_std_mps=1e-3)
    result = track(merge(fixes, heights), motion=still, coast_step_s=1e3)
    std_m = np.sqrt(result.pos_cov_enu_m2[:, 2, 2])
    assert std_m.min() > 0.49
    assert std_m[-1] < 0.51


def test_a_track_by_a_mixture_is_filterpys(rng):
    """Interacting multiple models in the filter of tables, row for row those of filterpy."""
    mixture = Mixture(
        [ConstantVelocity(0.5), CoordinatedTurn(10.0, 0.5), CoordinatedTurn(-10.0, 0.5)], mean_stay_s=[10.0, 8.0, 8.0]
    )
    seconds = np.cumsum(rng.uniform(0.2, 1.5, 150))
    z = to_ecef(weave(seconds) + rng.normal(0.0, 3.0, (150, 3)))
    noise = 9.0 * np.eye(3)
    table = measurements_of(
        START_US + np.rint(seconds * 1e6).astype(np.int64), POSITION, z, np.broadcast_to(noise, (150, 3, 3)),
        Sensor("gnss"),
    )  # fmt: skip
    ours = track(table, motion=mixture, gate_probability=NO_GATE, coast_step_s=10.0, learn_noise=False)
    prior = np.zeros((6, 6))
    prior[:3, :3] = (10.0 * np.sqrt(27.0) + 1.0) ** 2 * np.eye(3)
    up = geodesy.enu_rotation(*geodesy.ecef_to_geodetic(z[:1])[:2])[0, 2]
    prior[3:, 3:] = 225.0 * np.eye(3) + (0.25 - 225.0) * np.outer(up, up)
    start = np.concatenate([z[0], np.zeros(3)])
    step_s = np.diff(table.time_us, prepend=table.time_us[:1]) * 1e-6
    theirs = list(reference.interact(mixture, step_s, z, noise, start, prior))
    np.testing.assert_allclose(ours.origin.weight, [one[0] for one in theirs], atol=1e-6)
    np.testing.assert_allclose(ours.state, [one[3] for one in theirs], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.cov, [one[4] for one in theirs], rtol=1e-6, atol=1e-6)
