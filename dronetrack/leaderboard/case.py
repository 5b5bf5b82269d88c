"""What does a tracker get to see? One run of a scenario without its truth, and the moments at which it must answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.filtering import track
from dronetrack.measurements import ROW_COLUMNS, TICK, Measurements
from dronetrack.motion import Mixture, Motion
from dronetrack.simulate import Run
from dronetrack.tracks import Track

Tracker = Callable[["Case"], Track | None]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One run of a scenario, as a tracker sees it.

    Parameters
    ----------
    seed : int
        From which it was drawn.
    measurements : Measurements
        What the sensors said, in order of measurement. Rows of kind `dronetrack.measurements.TICK` measure nothing:
        they stand where sensors are silent for long, at moments for which an answer is wanted all the same.
    arrival_us : (m,) int64
        When each row arrived, for trackers that take rows as they come. [us, UTC]
    motion : Motion, Mixture or None
        What a filter is told about the target, where the data set says.
    """

    seed: int
    measurements: Measurements
    arrival_us: NDArray[np.int64]
    motion: Motion | Mixture | None

    @property
    def time_us(self) -> NDArray[np.int64]:
        """(n,) int64: the moments at which an answer is wanted, each time of a measurement once. [us, UTC]"""
        return np.unique(self.measurements.time_us)

    def until(self, time_us: int) -> "Case":
        """Return the case as it was known at some moment: its rows up to then.

        Parameters
        ----------
        time_us : int
            [us, UTC]

        Returns
        -------
        Case
            Shorter.
        """
        rows = self.measurements.time_us <= time_us
        return Case(self.seed, self.measurements.take(rows), self.arrival_us[rows], self.motion)


def default_tracker(case: Case) -> Track:
    """Track a case as `dronetrack.track` does with the motion that the data set states.

    Parameters
    ----------
    case : Case
        What to track.

    Returns
    -------
    Track
        Filtered, not smoothed.
    """
    return track(case.measurements, motion=case.motion)


def case_of(run: Run, seed: int, motion: Motion | Mixture, step_s: float) -> Case:
    """Make the case of a run: its measurements, and a tick every `step_s` where they pause for longer.

    Parameters
    ----------
    run : Run
        With truth at all multiples of `step_s`.
    seed : int
        From which it was drawn.
    motion : Motion or Mixture
        What a filter is told.
    step_s : float
        Step of the truth. [s]

    Returns
    -------
    Case
        Without the truth.

    Raises
    ------
    InputError
        If no sensor said anything.
    """
    table = run.measurements
    if not len(table):
        raise InputError(f"seed {seed}: no sensor said anything; there is nothing to track.")
    ticks_us = _pauses(run.truth.time_us, np.unique(table.time_us), round(step_s * 1e6))
    time_us = np.concatenate([table.time_us, ticks_us])
    order = np.argsort(time_us, kind="stable")
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(table, name), _ticks(name, ticks_us)])[order] for name in ROW_COLUMNS
    }
    return Case(
        seed,
        Measurements(**columns, sensors=table.sensors),
        np.concatenate([run.arrival_us, ticks_us])[order],
        motion,
    )


def _pauses(truth_us: NDArray[np.int64], seen_us: NDArray[np.int64], step_us: int) -> NDArray[np.int64]:
    """Moments of the truth, a step apart, that lie in a pause of more than a step."""
    grid = truth_us[(truth_us - truth_us[0]) % step_us == 0]
    grid = grid[(grid > seen_us[0]) & (grid < seen_us[-1])]
    after = np.searchsorted(seen_us, grid)
    free = seen_us[after] != grid
    return grid[free & (seen_us[after] - seen_us[after - 1] > step_us)]


def _ticks(name: str, time_us: NDArray[np.int64]) -> NDArray:
    """Column of rows that measure nothing."""
    n = len(time_us)
    filled = {
        "time_us": time_us,
        "sensor_id": np.zeros(n, dtype=np.int32),
        "kind": np.full(n, TICK, dtype=np.int8),
        "target_id": np.full(n, -1, dtype=np.int32),
        "z": np.full((n, 3), np.nan),
        "site_ecef_m": np.full((n, 3), np.nan),
    }
    return filled.get(name, np.zeros((n, 3, 3)))
