"""How fast is the backward pass? Beside filterpy and simdkalman on the same filtered rows, and beside moving the bytes.

    python benchmarks/smoother.py

The model is nearly constant velocity in ECEF, six states, with the same noise on every axis and even steps, so that
the peers need one F and one Q for all. The drives are drawn from the model: the error must be what the covariance
promises, and smaller than the filter's. simdkalman is timed where it is installed.
"""

import numpy as np
from filterpy.kalman import KalmanFilter
from timing import in_turn, table, versions

from dronetrack import geodesy, reference
from dronetrack.kernels import mixture as kernels
from dronetrack.motion import ConstantVelocity, Mixture, discretise
from dronetrack.smoothing import smooth_bank, smooth_sequences

N_TARGETS, STEPS, LONG, FEW, STEP_S, STD_M = 4_000, 50, 100_000, 2_000, 0.2, 3.0
MODEL = ConstantVelocity(2.0, 2.0)
PLACE = geodesy.geodetic_to_ecef([46.2], [20.7], [0.0])[0]


def filtered(n, steps, rng):
    """Truth of n drives drawn from the model, and what a filter makes of positions of them."""
    transition, noise = (one[0] for one in discretise(MODEL, PLACE[None], [STEP_S]))
    spread = np.diag([400.0] * 3 + [225.0] * 3)
    start = np.concatenate([PLACE, np.zeros(3)])
    truth = start + rng.multivariate_normal(np.zeros(6), spread, n)
    root = np.linalg.cholesky(noise)
    one = Mixture([MODEL])
    mu, x, p = np.ones((n, 1)), np.tile(start, (n, 1, 1)), np.tile(spread, (n, 1, 1, 1))
    r, score = np.tile(STD_M**2 * np.eye(3), (n, 1, 1)), np.empty(n)
    out = np.empty((n, steps, 6)), np.empty((n, steps, 6)), np.empty((n, steps, 6, 6))
    for k in range(steps):
        if k:
            truth = truth @ transition.T + rng.normal(size=(n, 6)) @ root.T
        z = truth[:, :3] + rng.normal(0.0, STD_M, (n, 3))
        step_s = np.full(n, STEP_S if k else 0.0)
        kernels.mixture_rows(one.codes, one.parameters, one.rates, step_s, z, r, mu, x, p, score)
        out[0][:, k], out[1][:, k], out[2][:, k] = truth, x[:, 0], p[:, 0]
    return out


def filterpy(state, cov):
    kalman = KalmanFilter(dim_x=6, dim_z=3)
    kalman.F, kalman.Q = (one[0] for one in discretise(MODEL, PLACE[None], [STEP_S]))
    return kalman.rts_smoother(state, cov)[:2]


def filterpy_uneven(state, cov):
    """What filterpy asks of a user whose steps are not all alike: an F and a Q for each of them."""
    kalman = KalmanFilter(dim_x=6, dim_z=3)
    transitions = [reference.transition(STEP_S) for _ in state]
    noises = [reference.process_noise(x, STEP_S, MODEL) for x in state]
    return kalman.rts_smoother(state, cov, transitions, noises)[:2]


def simdkalman(state, cov):
    """All targets at once, step by step."""
    from simdkalman.primitives import smooth

    transition, noise = (one[0] for one in discretise(MODEL, PLACE[None], [STEP_S]))
    means, covs = state.copy()[..., None], cov.copy()
    for k in range(state.shape[1] - 2, -1, -1):
        means[:, k], covs[:, k] = smooth(means[:, k], covs[:, k], transition, noise, means[:, k + 1], covs[:, k + 1])
    return means[..., 0], covs


def times(n, steps):
    return np.tile((np.arange(steps) * STEP_S * 1e6).astype(np.int64), (n, 1))


def main():
    rng = np.random.default_rng(1)
    truth, state, cov = filtered(N_TARGETS, STEPS, rng)
    _, long_state, long_cov = filtered(1, LONG, rng)
    few = long_state[0, :FEW], long_cov[0, :FEW]
    for one in (state, cov, long_state, long_cov):
        one.flags.writeable = False
    bank = MODEL, times(N_TARGETS, STEPS), state, cov
    long = MODEL, times(1, LONG), long_state, long_cov
    mine, promised = smooth_sequences(*bank)
    upper = np.triu_indices(6)
    packed = np.concatenate([state, cov[:, :, *upper]], axis=2).transpose(1, 2, 0).copy()
    packed.flags.writeable = False
    columns = MODEL, times(N_TARGETS, STEPS).T, packed
    both = smooth_bank(*columns).transpose(2, 0, 1)
    assert np.allclose(both[..., :6], mine, rtol=0, atol=1e-7), "bank and sequences disagree"
    assert np.allclose(both[..., 6:], promised[:, :, *upper], rtol=1e-8, atol=1e-9), "bank and sequences disagree"
    jobs = {
        "dronetrack, bank": lambda: smooth_bank(*columns),
        "dronetrack, bank, one thread": lambda: smooth_bank(*columns, n_threads=1),
        "dronetrack, many sequences": lambda: smooth_sequences(*bank),
        "dronetrack, one long sequence": lambda: smooth_sequences(*long),
        "filterpy, one sequence": lambda: filterpy(*few),
        "filterpy, F and Q for each step": lambda: filterpy_uneven(*few),
    }
    amount = {"dronetrack, one long sequence": LONG} | {name: FEW for name in jobs if name.startswith("filterpy")}
    theirs = filterpy(*few)
    ours = smooth_sequences(MODEL, times(1, FEW), few[0][None], few[1][None])
    assert np.allclose(ours[0][0], theirs[0], rtol=0, atol=1e-6), "the two smoothers disagree"
    assert np.allclose(ours[1][0], theirs[1], rtol=1e-7, atol=1e-9), "the two smoothers disagree"
    try:
        means, covs = simdkalman(state, cov)
    except ImportError:
        print("simdkalman is not installed: pip install simdkalman")
    else:
        assert np.allclose(mine, means, rtol=0, atol=1e-6), "the two smoothers disagree"
        assert np.allclose(promised, covs, rtol=1e-7, atol=1e-9), "the two smoothers disagree"
        jobs["simdkalman, bank"] = lambda: simdkalman(state, cov)
    out = np.empty_like(columns[2])
    jobs["limit: copy the bank"] = lambda: np.copyto(out, columns[2])
    amount = dict.fromkeys(jobs, N_TARGETS * STEPS) | amount
    middle = slice(5, -5)
    error = (mine - truth)[:, middle]
    nees = np.einsum("nki,nkij,nkj->nk", error, np.linalg.inv(promised[:, middle]), error).mean()
    rmse = [np.sqrt(np.mean((one - truth)[:, middle, :3] ** 2)) for one in (mine, state)]
    print(
        f"{N_TARGETS:,} targets x {STEPS} steps; one of {LONG:,} steps ({FEW:,} for filterpy); all equal ({versions()})"
    )
    print(f"mean NEES {nees:.3f} of 6; RMSE per axis {rmse[0]:.3f} m, filter {rmse[1]:.3f} m\n")
    table(in_turn(jobs, rounds=5), amount, "steps/s", "dronetrack, bank")
    print("\ngoals: 200x filterpy, 20x simdkalman")


if __name__ == "__main__":
    main()
