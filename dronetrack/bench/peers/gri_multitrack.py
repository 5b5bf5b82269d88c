"""gri-multitrack: its `MultiTracker` over a stream of fixes, as its overview shows; of its tracks the first.

It gates, starts, confirms and ends tracks, for any number of targets; so its beliefs are nobody else's, and its error
stands beside its time. Its per-target filter is set to the motion that the others have.
"""

from collections.abc import Callable

import numpy as np
from gri_kalman import IMM
from gri_multitrack import MultiTracker
from numpy.typing import NDArray

from dronetrack.bench.peers.gri_kalman import fixes_of, velocity
from dronetrack.bench.problems import Drives

Floats = NDArray[np.float64]

LABEL = "gri-multitrack"


def follow_drive(problem: Drives) -> Callable[[], Floats]:
    """Track a target whose number is not known to be one; return its position after each fix, NaN without a track."""
    items = fixes_of(problem, 0)

    def solve() -> Floats:
        tracker = MultiTracker(models=[velocity()], tracker_factory=lambda models: IMM(models, record_track=False))
        outputs = tracker.process(items)
        return np.array([one.tracks[0].state.xyz if one.tracks else np.full(3, np.nan) for one in outputs])

    return solve
