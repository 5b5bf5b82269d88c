"""Stone Soup: predictor and updater called on state objects, as in its tutorials; detections are made beforehand."""

import datetime as dt
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from stonesoup.models.measurement.linear import LinearGaussian
from stonesoup.models.transition.linear import LinearGaussianTimeInvariantTransitionModel
from stonesoup.predictor.kalman import KalmanPredictor
from stonesoup.smoother.kalman import KalmanSmoother
from stonesoup.types.detection import Detection
from stonesoup.types.hypothesis import SingleHypothesis
from stonesoup.types.prediction import GaussianStatePrediction
from stonesoup.types.state import GaussianState
from stonesoup.types.track import Track
from stonesoup.types.update import GaussianStateUpdate
from stonesoup.updater.kalman import KalmanUpdater

from dronetrack.bench.problems import STEP_S, Drives

Floats = NDArray[np.float64]
Solve = Callable[[], tuple[Floats, Floats]]

LABEL = "Stone Soup"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STEP = dt.timedelta(seconds=STEP_S)


def filter_drives(problem: Drives) -> Solve:
    """Predict and update, detection by detection."""
    model = LinearGaussianTimeInvariantTransitionModel(transition_matrix=problem.F, covariance_matrix=problem.Q)
    predictor = KalmanPredictor(model)
    updater = KalmanUpdater(LinearGaussian(problem.mean.shape[1], (0, 1, 2), problem.R))
    first = [GaussianState(x, P, timestamp=START) for x, P in zip(problem.mean, problem.cov, strict=True)]
    detections = [[Detection(z, timestamp=START + (k + 1) * STEP) for k, z in enumerate(rows)] for rows in problem.z]

    def solve() -> tuple[Floats, Floats]:
        done = []
        for state, rows in zip(first, detections, strict=True):
            for detection in rows:
                prediction = predictor.predict(state, timestamp=detection.timestamp)
                state = updater.update(SingleHypothesis(prediction, detection))  # noqa: PLW2901 - the state moves on
            done.append(state)
        means = np.array([np.asarray(one.state_vector, dtype=np.float64).ravel() for one in done])
        return means, np.array([np.asarray(one.covar, dtype=np.float64) for one in done])

    return solve


def smooth_drives(problem: Drives, state: Floats, cov: Floats) -> Solve:
    """`KalmanSmoother` over tracks of updates, each with the prediction that it came from, as its tracks hold them."""
    model = LinearGaussianTimeInvariantTransitionModel(transition_matrix=problem.F, covariance_matrix=problem.Q)
    smoother, predictor = KalmanSmoother(model), KalmanPredictor(model)
    tracks = []
    for means, covs in zip(state, cov, strict=True):
        rows, before = [], None
        for k, (x, P) in enumerate(zip(means, covs, strict=True)):
            when = START + k * STEP
            here = GaussianStatePrediction(x, P, timestamp=when) if before is None else predictor.predict(before, when)
            before = GaussianStateUpdate(x, P, SingleHypothesis(here, Detection(x[:3], timestamp=when)), timestamp=when)
            rows.append(before)
        tracks.append(Track(rows))

    def solve() -> tuple[Floats, Floats]:
        smoothed = [list(smoother.smooth(one)) for one in tracks]
        means = [[np.asarray(one.state_vector, dtype=np.float64).ravel() for one in rows] for rows in smoothed]
        return np.array(means), np.array(
            [[np.asarray(one.covar, dtype=np.float64) for one in rows] for rows in smoothed]
        )

    return solve
