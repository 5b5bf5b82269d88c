"""How fast is one plain sequence of positions, and one live row? Beside filterpy and Stone Soup on the same rows.

    python benchmarks/sequence.py

Six states, nearly constant velocity, no gate: what the arithmetic itself costs. `one_track.py` times the whole filter.
A peer that is not installed is left out and named.
"""

import datetime as dt
import importlib.util

import numpy as np
from bank import MOTION, STD_M, STEP_S, STEP_US, R, drive, filterpy_steps, plain_filter, targets
from timing import in_turn, left_out, table, versions

from dronetrack.kernels import sequence
from dronetrack.sequence import filter_sequence

N_OURS, N_FILTERPY, N_STONE_SOUP, N_LIVE, ROUNDS = 50_000, 5_000, 300, 20_000, 9


def stone_soup_steps(mean, cov, rows):
    """Stone Soup's Kalman predictor and updater, the objects made beforehand."""
    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
    from stonesoup.predictor.kalman import KalmanPredictor
    from stonesoup.types.detection import Detection
    from stonesoup.types.hypothesis import SingleHypothesis
    from stonesoup.types.state import GaussianState
    from stonesoup.updater.kalman import KalmanUpdater

    order = [0, 3, 1, 4, 2, 5]  # Stone Soup has each velocity beside its position
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    model = CombinedLinearGaussianTransitionModel([ConstantVelocity(MOTION.horizontal_psd)] * 3)
    predictor = KalmanPredictor(model)
    updater = KalmanUpdater(LinearGaussian(6, (0, 2, 4), R))
    first = GaussianState(mean[order], cov[np.ix_(order, order)], timestamp=start)
    step = dt.timedelta(seconds=STEP_S)
    detections = [Detection(z, timestamp=start + (k + 1) * step) for k, z in enumerate(rows)]

    def run():
        state = first
        for detection in detections:
            prediction = predictor.predict(state, timestamp=detection.timestamp)
            state = updater.update(SingleHypothesis(prediction, detection))
        return np.asarray(state.state_vector, dtype=np.float64).ravel()[np.argsort(order)]

    return run


def main():
    rng = np.random.default_rng(1)
    mean, cov, truth = targets(1, rng)
    flight = list(drive(truth, N_OURS, rng))
    truth, z = np.concatenate([t for t, _ in flight]), np.concatenate([z for _, z in flight])
    time_us = (np.arange(N_OURS) + 1) * STEP_US
    state = np.concatenate([mean[0], cov[0][np.triu_indices(6)]])
    noise = MOTION.parameters[:3].copy()

    def ours():
        return filter_sequence(MOTION, mean[0], cov[0], 0, time_us=time_us, position=z, position_cov=R)

    memory = np.zeros(sequence.MEMORY6)
    memory[: 27 * sequence.BLOCK : sequence.BLOCK] = state
    memory[-4:-1] = noise
    live_rows = np.hstack([time_us[:, None].astype(np.float64), z, np.tile(R.ravel(), (N_OURS, 1))])
    feed = list(live_rows[:N_LIVE])

    def live():
        memory[: 27 * sequence.BLOCK : sequence.BLOCK] = state
        memory[-1] = 0.0
        for row in feed:
            sequence.live6_rows(memory, row)

    x, P, nis = ours()
    live()
    assert np.array_equal(memory[: 6 * sequence.BLOCK : sequence.BLOCK], x[N_LIVE - 1]), "live is not replay"
    kalman = plain_filter(mean[0], cov[0])
    filterpy_steps(kalman, z[:N_FILTERPY])
    assert np.allclose(x[N_FILTERPY - 1], kalman.x, rtol=0, atol=1e-6), "the two filters disagree"
    assert np.allclose(P[N_FILTERPY - 1], kalman.P, rtol=1e-8, atol=1e-9), "the two filters disagree"
    error = x[50:] - truth[50:]
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(P[50:]), error).mean()
    print(f"{N_OURS:,} rows, noise {STD_M} m; states and covariances equal, live and replay to the bit  ({versions()})")
    print(f"mean NEES {nees:.2f} of 6, mean NIS {nis[50:].mean():.3f} of 3\n")
    jobs = {
        "one sequence": ours,
        "one call per live row": live,
        "filterpy": lambda: filterpy_steps(kalman, z[:N_FILTERPY]),
        "limit: copy the rows in and out": lambda: (time_us.copy(), z.copy(), x.copy(), P.copy(), nis.copy()),
    }
    amount = dict(zip(jobs, (N_OURS, N_LIVE, N_FILTERPY, N_OURS), strict=True))
    if importlib.util.find_spec("stonesoup"):
        peer = stone_soup_steps(mean[0], cov[0], z[:N_STONE_SOUP])
        assert np.allclose(peer(), x[N_STONE_SOUP - 1], rtol=0, atol=1e-4), "Stone Soup disagrees"
        jobs["Stone Soup"] = peer
        amount["Stone Soup"] = N_STONE_SOUP
    else:
        left_out("Stone Soup")
    seconds = in_turn(jobs, ROUNDS)
    table(seconds, amount, "steps/s", "one sequence")
    print(f"\na live row takes {np.median(seconds['one call per live row']) / N_LIVE * 1e6:.2f} us")


if __name__ == "__main__":
    main()
