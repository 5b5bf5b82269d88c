"""How fast is a bank of independent targets? Beside filterpy and simdkalman, and beside the memory that must move.

    python benchmarks/bank.py [plain|sight|mixture|memory ...]

Six states, positions in three dimensions, float64; a step is one predict and one update of one target. The targets
move as the model says, so the error must be what the covariance promises. A peer that is not installed is left out
and named.
"""

import importlib.util
import os
import sys

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter, IMMEstimator, KalmanFilter
from timing import in_turn, left_out, table, triad, versions

from dronetrack import geodesy, reference
from dronetrack.bank import TargetBank
from dronetrack.motion import ConstantVelocity, CoordinatedTurn, Mixture, discretise

STEP_S, STD_M, ROUNDS = 0.2, 3.0, 9
# The same noise on every axis: so that peers, which know no local up, have the same model.
MOTION = ConstantVelocity(horizontal_psd=2.0, vertical_psd=2.0)
R = STD_M**2 * np.eye(3)
STEP_US = round(STEP_S * 1e6)


def targets(n, rng):
    """States, their covariance, and where the targets truly are."""
    mean = np.zeros((n, 6))
    mean[:, :3] = geodesy.geodetic_to_ecef(np.full(n, 46.2), np.linspace(20.0, 22.0, n), np.full(n, 120.0))
    cov = np.diag([100.0] * 3 + [25.0] * 3)
    truth = mean + rng.normal(size=(n, 6)) * np.sqrt(np.diag(cov))
    return mean, np.tile(cov, (n, 1, 1)), truth


def drive(truth, steps, rng):
    """Let the targets move as the model says; yield truth and positions of them."""
    F, Q = discretise(MOTION, truth[:1, :3], [STEP_S])
    root = np.linalg.cholesky(Q[0])
    for _ in range(steps):
        truth = truth @ F[0].T + rng.normal(size=truth.shape) @ root.T
        yield truth, truth[:, :3] + rng.normal(0.0, STD_M, (len(truth), 3))


def plain_filter(mean, cov):
    kalman = KalmanFilter(dim_x=6, dim_z=3)
    kalman.x, kalman.P = mean.copy(), cov.copy()
    kalman.F, kalman.Q = reference.transition(STEP_S), reference.process_noise(mean, STEP_S, MOTION)
    kalman.H, kalman.R = np.eye(3, 6), R
    return kalman


def filterpy_steps(kalman, rows):
    for z in rows:
        kalman.predict()
        kalman.update(z)


def simdkalman_filter(mean):
    import simdkalman

    return simdkalman.KalmanFilter(
        state_transition=reference.transition(STEP_S),
        process_noise=reference.process_noise(mean, STEP_S, MOTION),
        observation_model=np.eye(3, 6),
        observation_noise=R,
    )


def simdkalman_states(rows, mean, cov):
    """What simdkalman makes of rows (n, steps, 3); it starts at the first row, so the states are predicted to it."""
    F, Q = reference.transition(STEP_S), reference.process_noise(mean[0], STEP_S, MOTION)
    start, spread = (mean @ F.T)[:, :, None], F @ cov @ F.T + Q
    options = {"initial_value": start, "initial_covariance": spread, "filtered": True, "smoothed": False}
    return simdkalman_filter(mean[0]).compute(rows, 0, **options).filtered.states


def plain(rng):
    """Ours and the peers agree, then race, on one core."""
    for n in (100, 10_000):
        mean, cov, truth = targets(n, rng)
        flight = list(drive(truth, 60, rng))
        truth, rows = flight[-1][0], np.stack([z for _, z in flight], axis=1)
        bank = TargetBank(mean, cov, 0, motion=MOTION, n_threads=1)
        for k in range(60):
            bank.update((k + 1) * STEP_US, position=rows[:, k].copy(), cov=R)
        kalman = plain_filter(mean[7], cov[7])
        filterpy_steps(kalman, rows[7])
        assert np.allclose(bank.mean[7], kalman.x, rtol=0, atol=1e-6), "the two filters disagree"
        assert np.allclose(bank.cov[7], kalman.P, rtol=1e-8, atol=1e-9), "the two filters disagree"
        error = bank.mean - truth
        nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(bank.cov), error).mean()
        rmse = np.sqrt(np.mean(np.sum(error[:, :3] ** 2, axis=1)))
        promised = np.sqrt(np.mean(np.trace(bank.cov[:, :3, :3], axis1=1, axis2=2)))
        print(f"\n{n:,} targets, one core, states and covariances equal  ({versions()})")
        print(f"RMSE {rmse:.3f} m, promised {promised:.3f} m, ratio {rmse / promised:.3f}; mean NEES {nees:.2f} of 6")
        z, clock = rows[:, -1].copy(), [61 * STEP_US]
        repeat = max(1, 100_000 // n)

        def ours(bank=bank, z=z, clock=clock, repeat=repeat):
            for _ in range(repeat):
                bank.update(clock[0], position=z, cov=R)
                clock[0] += STEP_US

        jobs = {
            "dronetrack.TargetBank": ours,
            "filterpy": lambda kalman=kalman, z=z: filterpy_steps(kalman, [z[7]] * 1000),
        }
        amount = {"dronetrack.TargetBank": n * repeat, "filterpy": 1000}
        if importlib.util.find_spec("simdkalman"):
            few = rows[:, :20].copy()
            peer = simdkalman_states(rows, mean, cov)
            assert np.allclose(peer.mean[7, -1], kalman.x, rtol=0, atol=1e-3), "simdkalman disagrees"
            jobs["simdkalman"] = lambda few=few, mean=mean, cov=cov: simdkalman_states(few, mean, cov)
            amount["simdkalman"] = n * 20
        else:
            left_out("simdkalman")
        table(in_turn(jobs, ROUNDS), amount, "steps/s", "dronetrack.TargetBank")


def sight(rng, n=10_000):
    """Lines of sight from one site, against filterpy's extended filter."""
    mean, cov, truth = targets(n, rng)
    site = mean[n // 2, :3] + geodesy.enu_vectors_to_ecef([[0.0, 0.0, 400.0]], [46.2], [21.0])[0]
    noise = 1e-6 * np.eye(3)
    line = truth[:, :3] - site
    line /= np.linalg.norm(line, axis=1)[:, None]

    def jacobian(x):
        expected = x[:3] - site
        distance = np.linalg.norm(expected)
        right = np.cross(expected, site)
        right /= np.linalg.norm(right)
        across = np.array([right, np.cross(right, expected / distance)])
        return np.hstack([across / distance, np.zeros((2, 3))]), across, expected / distance

    def filterpy_sight(kalman, z):
        kalman.F, kalman.Q = F, Q
        kalman.predict()
        H, across, expected = jacobian(kalman.x)
        kalman.update(
            across @ z / (expected @ z), lambda _: H, lambda _: np.zeros(2), R=across @ noise @ across.T
        )  # fmt: skip

    F, Q = reference.transition(STEP_S), reference.process_noise(mean[0], STEP_S, MOTION)
    kalman = ExtendedKalmanFilter(dim_x=6, dim_z=2)
    kalman.x, kalman.P = mean[7].copy(), cov[7].copy()
    bank = TargetBank(mean, cov, 0, motion=MOTION, n_threads=1)
    clock = [0]

    def ours(repeat=10):
        for _ in range(repeat):
            clock[0] += STEP_US
            bank.update(clock[0], line_of_sight=line, cov=noise, site_ecef_m=site)

    ours(3)
    for _ in range(3):
        filterpy_sight(kalman, line[7])
    assert np.allclose(bank.mean[7], kalman.x, rtol=0, atol=1e-5), "the two filters disagree"
    assert np.allclose(bank.cov[7], kalman.P, rtol=1e-6, atol=1e-6), "the two filters disagree"
    print(f"\n{n:,} targets, lines of sight, one core, states and covariances equal")
    jobs = {
        "dronetrack.TargetBank": ours,
        "filterpy ExtendedKalmanFilter": lambda: [filterpy_sight(kalman, line[7]) for _ in range(500)],
    }
    seconds = in_turn(jobs, ROUNDS)
    table(seconds, dict(zip(jobs, (10 * n, 500), strict=True)), "steps/s", "dronetrack.TargetBank")


def mixture(rng, n=10_000):
    """Three models, against filterpy's IMM."""
    mean, cov, truth = targets(n, rng)
    models = Mixture([ConstantVelocity(0.1, 0.1), ConstantVelocity(5.0, 5.0), CoordinatedTurn(6.0, 1.0, 1.0)], 10.0)
    bank = TargetBank(mean, cov, 0, motion=models, n_threads=1)
    filters = []
    for model in models.models:
        kalman = plain_filter(mean[7], cov[7])
        F, Q = discretise(model, mean[7:8, :3], [STEP_S])
        kalman.F, kalman.Q = F[0], Q[0]
        filters.append(kalman)
    imm = IMMEstimator(filters, np.array(models.initial), models.switching([STEP_S])[0])
    clock = [0]

    def ours(z, repeat=1):
        for _ in range(repeat):
            clock[0] += STEP_US
            bank.update(clock[0], position=z, cov=R)

    def theirs(z, repeat=1):
        for _ in range(repeat):
            imm.predict()
            imm.update(z)

    for _, z in drive(truth, 10, rng):
        ours(z)
        theirs(z[7])
    assert np.allclose(bank.mean[7], imm.x, rtol=0, atol=1e-4), "the two filters disagree"
    assert np.allclose(bank.model_probabilities[7], imm.mu, rtol=1e-5), "the two filters disagree"
    print(f"\n{n:,} targets under three models, one core, states and probabilities equal")
    jobs = {"dronetrack.TargetBank": lambda: ours(z, 2), "filterpy IMMEstimator": lambda: theirs(z[7], 50)}
    table(in_turn(jobs, ROUNDS), dict(zip(jobs, (2 * n, 50), strict=True)), "steps/s", "dronetrack.TargetBank")


def memory(rng, n=1_000_000):
    """A million targets on all cores, against the bandwidth of the memory."""
    mean, cov, truth = targets(n, rng)
    z = truth[:, :3] + rng.normal(0.0, STD_M, (n, 3))
    threads = os.cpu_count() or 1
    bank, serial = (TargetBank(mean, cov, 0, motion=MOTION, n_threads=some) for some in (threads, 1))
    clock = [0]

    def ours():
        clock[0] += STEP_US
        bank.update(clock[0], position=z, cov=R)

    ours()
    serial.update(clock[0], position=z, cov=R)
    assert bank.mean.tobytes() == serial.mean.tobytes(), "threads change the result"
    # State, covariance and clock in and out, z in, NIS, determinant and count out.
    moved = 8.0 * (2 * (27 + 1) + 3 + 3) * n
    triad_job, triad_moved = triad(threads)
    seconds = in_turn({"dronetrack.TargetBank": ours, "limit: triad": triad_job}, ROUNDS)
    print(f"\n{n:,} targets, {threads} threads, the same bits as one thread; {moved / n:.0f} bytes a step")
    gigabytes = dict(zip(seconds, (moved / 1e9, triad_moved / 1e9), strict=True))
    table(seconds, gigabytes, "GB/s", "dronetrack.TargetBank")
    ours_s, triad_s = (float(np.median(runs)) for runs in seconds.values())
    print(f"{n / ours_s / 1e6:.1f} million steps/s, {moved / ours_s / (triad_moved / triad_s):.0%} of the bandwidth")


if __name__ == "__main__":
    known = {"plain": plain, "sight": sight, "mixture": mixture, "memory": memory}
    for name in sys.argv[1:] or known:
        known[name](np.random.default_rng(1))
