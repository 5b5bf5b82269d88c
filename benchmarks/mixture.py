"""How fast is a bank of three-model mixtures filtered? Beside filterpy's IMMEstimator on the same models and rows.

    python benchmarks/mixture.py

Three nearly-constant-velocity models in ECEF, six states, quiet to agile; one position a step. The targets switch
between the models as the chain says. filterpy follows a few of them, at its best: F, Q and the chain are made once.
"""

import numpy as np
from filterpy.kalman import IMMEstimator, KalmanFilter
from timing import in_turn, table, versions

from dronetrack import geodesy
from dronetrack.kernels import mixture as kernels
from dronetrack.motion import ConstantVelocity, Mixture

N_TARGETS, STEPS, FEW, STEP_S, STD_M = 10_000, 20, 10, 1.0, 3.0
# The same noise on every axis: F and Q are then the same everywhere, which is the peer's best case.
MIXTURE = Mixture([ConstantVelocity(q, q) for q in (0.02, 0.5, 8.0)], mean_stay_s=[20.0, 10.0, 6.0])
PLACE = geodesy.geodetic_to_ecef([46.2], [20.7], [0.0])[0]
START, SPREAD = np.concatenate([PLACE, np.zeros(3)]), np.diag([400.0] * 3 + [225.0] * 3)


def matrices():
    return [[one[0] for one in MIXTURE.discretise(model, PLACE[None], [STEP_S])] for model in range(3)]


def drives(rng):
    """Truth (steps, n, 6) and positions (steps, n, 3) of targets that switch."""
    transition, roots = matrices()[0][0], np.linalg.cholesky([noise for _, noise in matrices()])
    switch = np.cumsum(MIXTURE.switching([STEP_S])[0], axis=1)
    right = (rng.random(N_TARGETS)[:, None] > np.cumsum(MIXTURE.initial)[:-1]).sum(axis=1)
    truth = np.empty((STEPS, N_TARGETS, 6))
    now = START + rng.multivariate_normal(np.zeros(6), SPREAD, N_TARGETS)
    for k in range(STEPS):
        right = (rng.random(N_TARGETS)[:, None] > switch[right][:, :-1]).sum(axis=1)
        now = now @ transition.T + np.einsum("nij,nj->ni", roots[right], rng.normal(size=(N_TARGETS, 6)))
        truth[k] = now
    return truth, truth[..., :3] + rng.normal(0.0, STD_M, (STEPS, N_TARGETS, 3))


def dronetrack(z):
    n = z.shape[1]
    mu, x, p = np.tile(MIXTURE.initial, (n, 1)), np.tile(START, (n, 3, 1)), np.tile(SPREAD, (n, 3, 1, 1))
    noise, score, step_s = np.tile(STD_M**2 * np.eye(3), (n, 1, 1)), np.empty(n), np.full(n, STEP_S)
    mean, cov = np.empty((n, 6)), np.empty((n, 6, 6))
    for seen in z:
        kernels.mixture_rows(MIXTURE.codes, MIXTURE.parameters, MIXTURE.rates, step_s, seen, noise, mu, x, p, score)
        kernels.combine_rows(mu, x, p, mean, cov)
    return mu, mean, cov


def filterpy(z):
    out = []
    for seen in z.swapaxes(0, 1):
        filters = []
        for transition, noise in matrices():
            kalman = KalmanFilter(dim_x=6, dim_z=3)
            kalman.x, kalman.P, kalman.H, kalman.R = START.copy(), SPREAD.copy(), np.eye(3, 6), STD_M**2 * np.eye(3)
            kalman.F, kalman.Q = transition, noise
            filters.append(kalman)
        both = IMMEstimator(filters, np.array(MIXTURE.initial), MIXTURE.switching([STEP_S])[0])
        for row in seen:
            both.predict()
            both.update(row)
        out.append((both.mu, both.x, both.P))
    return [np.array(column) for column in zip(*out, strict=True)]


def main():
    truth, z = drives(np.random.default_rng(1))
    few = np.ascontiguousarray(z[:, :FEW])
    _, mean, cov = dronetrack(z)
    for ours, theirs, tolerance in zip(dronetrack(few), filterpy(few), (1e-8, 1e-7, 1e-7), strict=True):
        assert np.allclose(ours, theirs, rtol=1e-9, atol=tolerance), "the two filters disagree"
    error = mean - truth[-1]
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(cov), error).mean()
    print(f"{N_TARGETS:,} targets x {STEPS} steps (filterpy: {FEW}), 3 models; all equal ({versions()})")
    print(f"mean NEES {nees:.3f} of 6; RMSE per axis {np.sqrt(np.mean(error[:, :3] ** 2)):.3f} m\n")
    state = np.empty((N_TARGETS, 3, 43))
    seconds = in_turn(
        {
            "dronetrack": lambda: dronetrack(z),
            "filterpy": lambda: filterpy(few),
            "limit: copy the states each step": lambda: [state.copy() for _ in range(STEPS)],
        },
        rounds=5,
    )
    amount = dict.fromkeys(seconds, N_TARGETS * STEPS) | {"filterpy": FEW * STEPS}
    table(seconds, amount, "steps/s", "dronetrack")


if __name__ == "__main__":
    main()
