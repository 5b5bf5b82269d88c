"""Law 3, the acceptance lines: on the scenarios by name, errors are as large as the covariance says, run after run.

The bounds are those of 200 runs, `chi2_bounds(6, 200)`: 5.53 to 6.49. `benchmarks/scenarios.py` prints the figures of
every scenario.
"""

import numpy as np
import pytest
from flights import START_US, to_ecef

from dronetrack import geodesy
from dronetrack.filtering import track
from dronetrack.kernels import filters
from dronetrack.measurements import HEIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.metrics import score
from dronetrack.motion import ConstantVelocity
from dronetrack.simulate import simulate

RUNS = 200
NO_GATE = 0.9999999  # nothing is drawn that a gate should refuse


def scored(name, seed=5, runs=RUNS, **options):
    simulation = simulate(name, runs=runs, rng=np.random.default_rng(seed))
    options = {"motion": simulation.scenario.motion, "gate_probability": NO_GATE} | options
    tracks = [track(rows, **options) for rows in simulation.measurements]
    return score(tracks, simulation.truths, settle_s=10.0, bound=simulation.bound())


@pytest.mark.parametrize("name", ["straight", "straight_camera", "biased_gimbal", "late_radio"])
def test_errors_are_as_large_as_the_covariance_says(name):
    result = scored(name)
    assert result.nees.n_runs == RUNS
    assert result.nees.holds, result.nees
    assert 0.93 < result.ellipse_95.value < 0.97
    assert result.efficiency < (1.05 if name == "straight" else 1.1)


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
