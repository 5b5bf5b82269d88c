"""Score somebody else's tracker: Stone Soup, filterpy and dronetrack on the same data, by the same rules, on one board.

python examples/score_stone_soup.py [runs] [folder for the entries]

The targets move as a linear Gaussian model says and the sensors give positions, so all three run the same Kalman
filter, and the board must show the same accuracy. Stone Soup is left out where it is not installed
(`pip install 'dronetrack[bench]'`).
"""

import importlib.metadata
import importlib.util
import pathlib
import sys
import tempfile
from datetime import datetime, timedelta

import numpy as np

import dronetrack as dt
from dronetrack import geodesy, reference
from dronetrack.leaderboard import Case, Entry, read_entries, result_of, to_markdown

UNKNOWN_M2 = 1e8  # before the first row the position is not known


def ours(case: Case) -> dt.Track:
    """Run `dronetrack.track`. No row here is from anything but the target, so the gate is nearly off."""
    return dt.track(case.measurements, motion=case.motion, gate_probability=0.9999999, learn_noise=False)


def filterpy(case: Case) -> dt.Track:
    """Run a KalmanFilter of filterpy at its best: steps are equal, so F and Q are made once."""
    from filterpy.kalman import KalmanFilter

    rows, motion = case.measurements, case.motion
    step_s = float(np.diff(rows.time_us[:2])[0]) * 1e-6
    turn = geodesy.enu_rotation(*(one[:1] for one in geodesy.ecef_to_geodetic(rows.z[:1])[:2]))[0]
    kalman = KalmanFilter(dim_x=6, dim_z=3)
    kalman.x, kalman.H = np.concatenate([rows.z[0], np.zeros(3)]), np.eye(3, 6)
    kalman.F, kalman.Q = reference.transition(step_s), reference.process_noise(kalman.x, step_s, motion)
    kalman.P[:3, :3], kalman.P[3:, 3:] = UNKNOWN_M2 * np.eye(3), turn.T @ np.diag(first_speed(motion)) @ turn
    return reference.follow(kalman, rows)


def stone_soup(case: Case) -> dt.Track:
    """Run Stone Soup's predictor and updater as in its first tutorial, in local axes east, north, up."""
    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
    from stonesoup.predictor.kalman import KalmanPredictor
    from stonesoup.types.detection import Detection
    from stonesoup.types.hypothesis import SingleHypothesis
    from stonesoup.types.state import GaussianState
    from stonesoup.updater.kalman import KalmanUpdater

    rows, motion = case.measurements, case.motion
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(rows.z[:1])
    turn, foot = geodesy.enu_rotation(lat_deg, lon_deg)[0], rows.z[0]
    z, noise = (rows.z - foot) @ turn.T, turn @ rows.cov @ turn.T
    psd = (motion.horizontal_psd, motion.horizontal_psd, motion.vertical_psd)
    predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel([ConstantVelocity(one) for one in psd]))
    place, speed = [0, 2, 4], [1, 3, 5]
    spread = np.zeros(6)
    spread[place], spread[speed] = UNKNOWN_M2, first_speed(motion)
    start = datetime(2000, 1, 1)  # noqa: DTZ001 - Stone Soup takes times without a zone
    belief = GaussianState(np.zeros((6, 1)), np.diag(spread), timestamp=start)
    state, cov = np.empty((len(rows), 6)), np.empty((len(rows), 6, 6))
    order = np.ix_(place + speed, place + speed)
    for row, time_us in enumerate((rows.time_us - rows.time_us[0]).tolist()):
        seen = Detection(
            z[row][:, None],
            timestamp=start + timedelta(microseconds=time_us),
            measurement_model=LinearGaussian(6, place, noise[row]),
        )
        prediction = predictor.predict(belief, timestamp=seen.timestamp)
        belief = KalmanUpdater().update(SingleHypothesis(prediction, seen))
        state[row], cov[row] = np.ravel(belief.state_vector)[place + speed], np.asarray(belief.covar)[order]
    both = np.kron(np.eye(2), turn)
    state = state @ both
    state[:, :3] += foot
    cov = both.T @ cov @ both
    return result_of(rows.time_us, state, 0.5 * (cov + cov.transpose(0, 2, 1)))


def first_speed(motion: dt.ConstantVelocity) -> list[float]:
    """Variance of the first velocity east, north, up. [m2/s2]"""
    return [motion.initial_speed_std_mps**2] * 2 + [motion.initial_climb_std_mps**2]


TRACKERS = {"dronetrack.track": (ours, "dronetrack"), "filterpy": (filterpy, "filterpy")}
if importlib.util.find_spec("stonesoup"):
    TRACKERS["Stone Soup"] = (stone_soup, "stonesoup")
else:
    print("Stone Soup is not installed: left out")

runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
for scenario in ("straight", "stone_soup_ncv"):
    bench = dt.Benchmark.load(scenario, seeds=range(runs))
    for name, (tracker, package) in TRACKERS.items():
        entry: Entry = bench.run(tracker, name=name, version=importlib.metadata.version(package), who="the example")
        entry.write(folder / f"{scenario} {name}.json")
print(to_markdown(read_entries(folder)))
print(f"entries: {folder}")
