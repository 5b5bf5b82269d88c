"""How fast is one target filtered? Beside filterpy on the same model and rows, and beside moving the bytes.

    python benchmarks/one_track.py

The model is nearly constant velocity in ECEF, six states; the rows are positions. The target moves as the model says,
so the error must be what the covariance promises: RMSE over its predicted value and the mean NEES (6 is right) stand
beside the speed.
"""

import numpy as np
from filterpy.kalman import KalmanFilter
from timing import in_turn, table, versions

from dronetrack import geodesy, reference
from dronetrack.filtering import track
from dronetrack.measurements import POSITION, Sensor, measurements_of
from dronetrack.motion import ConstantVelocity

N_OURS, N_FILTERPY, STEP_S, STD_M = 50_000, 10_000, 0.2, 3.0
# The same noise on every axis, so that a drive drawn in ECEF is one of the model wherever it leads.
MOTION = ConstantVelocity(horizontal_psd=2.0, vertical_psd=2.0, initial_climb_std_mps=15.0)


def drive(n, rng):
    """A target that moves as the model says, and positions of it."""
    root = np.linalg.cholesky([[STEP_S**3 / 3, STEP_S**2 / 2], [STEP_S**2 / 2, STEP_S]])
    kick = np.einsum("ij,njk->nik", root, rng.normal(size=(n, 2, 3))) * np.sqrt(MOTION.horizontal_psd)
    rate = np.cumsum(kick[:, 1], axis=0)
    place = np.cumsum(kick[:, 0] + STEP_S * np.vstack([np.zeros(3), rate[:-1]]), axis=0)
    truth = geodesy.geodetic_to_ecef([46.2], [20.7], [120.0]) + place
    time_us = (np.arange(n) * STEP_S * 1e6).astype(np.int64)
    cov = np.broadcast_to(STD_M**2 * np.eye(3), (n, 3, 3))
    seen = truth + rng.normal(0.0, STD_M, (n, 3))
    return measurements_of(time_us, POSITION, seen, cov, Sensor("gnss")), truth, rate


def filterpy(rows, state, cov, _time_us):
    """filterpy at its best: the step is constant and the noise the same on every axis, so F and Q are made once."""
    kalman = KalmanFilter(dim_x=6, dim_z=3)
    kalman.x, kalman.P = state.copy(), cov.copy()
    kalman.F, kalman.Q = reference.transition(STEP_S), reference.process_noise(state, STEP_S, MOTION)
    kalman.H, kalman.R = np.eye(3, 6), rows.cov[0]
    states, covs = np.empty((len(rows), 6)), np.empty((len(rows), 6, 6))
    for row, z in enumerate(rows.z):
        kalman.predict()
        kalman.update(z)
        states[row], covs[row] = kalman.x, kalman.P
    return states, covs


def main():
    rng = np.random.default_rng(1)
    table_ours, _, _ = drive(N_OURS, rng)
    few, truth, rate = drive(N_FILTERPY, rng)
    options = {"motion": MOTION, "gate_probability": 0.9999999, "coast_step_s": 10.0, "learn_noise": False}
    mine = track(few, **options)
    rest = few.take(slice(1, None))
    start = mine.state[0], mine.cov[0], int(mine.time_us[0])
    state, cov = filterpy(rest, *start)
    assert np.allclose(mine.state[1:], state, rtol=0, atol=1e-5), "the two filters disagree"
    assert np.allclose(mine.cov[1:], cov, rtol=1e-5, atol=1e-8), "the two filters disagree"
    settled = slice(50, None)
    error = np.hstack([mine.state[:, :3] - truth, mine.state[:, 3:] - rate])[settled]
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(mine.cov[settled]), error).mean()
    rmse = np.sqrt(np.mean(np.sum(error[:, :3] ** 2, axis=1)))
    promised = np.sqrt(np.mean(np.trace(mine.cov[settled, :3, :3], axis1=1, axis2=2)))
    print(f"{N_OURS:,} rows (filterpy: {N_FILTERPY:,}), states and covariances of both equal  ({versions()})")
    print(f"RMSE {rmse:.3f} m, promised {promised:.3f} m, ratio {rmse / promised:.3f}; mean NEES {nees:.2f} of 6\n")
    columns = (table_ours.time_us, table_ours.z, table_ours.cov, table_ours.site_cov)
    out = np.empty((N_OURS, 42))
    seconds = in_turn(
        {
            "dronetrack.track": lambda: track(table_ours, **options),
            "filterpy": lambda: filterpy(rest, *start),
            "limit: copy the rows in and out": lambda: ([one.copy() for one in columns], out.copy()),
        },
        rounds=5,
    )
    amount = dict.fromkeys(seconds, N_OURS) | {"filterpy": N_FILTERPY - 1}
    table(seconds, amount, "steps/s", "dronetrack.track")


if __name__ == "__main__":
    main()
