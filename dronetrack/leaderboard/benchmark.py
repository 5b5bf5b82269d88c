"""Which data, which question? A scenario, its seeds and its truth, to run trackers on and to score them."""

import hashlib
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from dronetrack.errors import InputError
from dronetrack.leaderboard import files
from dronetrack.leaderboard.case import Case, Tracker, case_of
from dronetrack.leaderboard.entry import Entry, Timing, timed
from dronetrack.leaderboard.verdict import Verdict, judge, moments_of
from dronetrack.measurements import ROW_COLUMNS, Sensor
from dronetrack.metrics import cramer_rao_bound
from dronetrack.motion import ConstantVelocity
from dronetrack.simulate import Positions, Scenario, simulate
from dronetrack.simulate import scenario as named
from dronetrack.tracks import Track

SETTLE_S = 10.0
LOST_M = 50.0


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """A data set with its truth and the rules by which it is scored: a sequence of `Case`.

    Make one with `load`, or `read` one from files.

    Parameters
    ----------
    name, about : str
        Of the scenario.
    cases : tuple of Case
        What a tracker is asked.
    truths : tuple of Track
        What is true, for the score and for pictures; not for the tracker.
    settle_s : float
        Start-up after the first measurement of each case, which is not scored. [s]
    lost_m : float
        Custody is held within this horizontal distance of the truth. [m]
    bound_m : float
        Cramer-Rao bound of the position's root mean square error, where it is known; NaN elsewhere. [m]

    Examples
    --------
    >>> from dronetrack.leaderboard import default_tracker
    >>> bench = Benchmark.load("straight", seeds=range(3))
    >>> verdict = bench.score([default_tracker(case) for case in bench])
    >>> verdict.answered, 0.5 < verdict.whole.efficiency < 1.5
    (1.0, True)
    """

    name: str
    about: str
    cases: tuple[Case, ...]
    truths: tuple[Track, ...]
    settle_s: float
    lost_m: float
    bound_m: float = float("nan")
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.cases or len(self.cases) != len(self.truths):
            raise InputError(f"one truth for each case, and a case: got {len(self.cases)} and {len(self.truths)}.")
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds must differ; got {list(self.seeds)}.")
        object.__setattr__(self, "digest", self._digest())

    @classmethod
    def load(
        cls,
        scenario: Scenario | str,
        *,
        seeds: Iterable[int] = range(10),
        settle_s: float | None = None,
        lost_m: float | None = None,
    ) -> Self:
        """Draw a data set.

        Each seed is drawn by itself, so a case is the same bits in whatever company; on machines whose mathematical
        library rounds differently, a last digit may differ, and `digest` tells. To be sure of the same data there,
        `write` them once and `read` them everywhere.

        Parameters
        ----------
        scenario : Scenario or str
            What to simulate, or one of `dronetrack.simulate.scenario_names()`.
        seeds : iterable of int, optional
            One case each.
        settle_s : float, optional
            Start-up that is not scored; by default 10 s, or a quarter of a short scenario. [s]
        lost_m : float, optional
            Custody is held within this distance; by default 50 m, or five standard deviations of the coarsest sensor
            of positions. [m]

        Returns
        -------
        Benchmark
            With the Cramer-Rao bound, if the target moves as a `ConstantVelocity` filter is told.

        Raises
        ------
        InputError
            If there is no scenario of that name, a seed is negative or stands twice, or nothing is left to score.

        Examples
        --------
        >>> bench = Benchmark.load("stone_soup_ncv", seeds=[7])
        >>> len(bench), len(bench[0].time_us), bench.settle_s
        (1, 21, 5.0)
        """
        plan = named(scenario) if isinstance(scenario, str) else scenario
        numbers = _seeds(seeds)
        settle = min(SETTLE_S, plan.duration_s / 4.0) if settle_s is None else float(settle_s)
        runs = [simulate(plan, rng=np.random.default_rng(seed))[0] for seed in numbers]
        cases = [case_of(run, seed, plan.motion, plan.truth_step_s) for run, seed in zip(runs, numbers, strict=True)]
        truths = tuple(run.truth for run in runs)
        bound_m = float("nan")
        if plan.model_is_true and isinstance(plan.motion, ConstantVelocity):
            squares = [
                cramer_rao_bound(run.of_target, run.truth, plan.motion, time_us=moments_of(case, settle)).position_m
                ** 2
                for run, case in zip(runs, cases, strict=True)
            ]
            bound_m = float(np.sqrt(np.concatenate(squares).mean()))
        coarse = [max(sensor.std_m) for sensor in plan.sensors if isinstance(sensor, Positions)]
        lost = max(LOST_M, *(5.0 * std_m for std_m in coarse), 0.0) if lost_m is None else float(lost_m)
        return cls(plan.name, plan.about, tuple(cases), truths, settle, lost, bound_m)

    @classmethod
    def read(cls, folder: str | pathlib.Path) -> "Benchmark":
        """Read a data set that `write` wrote.

        Parameters
        ----------
        folder : str or Path
            Where it is.

        Returns
        -------
        Benchmark
            The same bits.

        Raises
        ------
        FormatError
            If a file is missing, is not what it says it is, or is not the one that was written.
        """
        return files.read_benchmark(cls, pathlib.Path(folder))

    def write(self, folder: str | pathlib.Path) -> pathlib.Path:
        """Write the data set to Parquet files, for trackers in any language.

        Parameters
        ----------
        folder : str or Path
            Where to; made if it is not there. `README.md` in it says what the files and columns are.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        return files.write_benchmark(self, pathlib.Path(folder))

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Case:
        return self.cases[index]

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    @property
    def seeds(self) -> tuple[int, ...]:
        """From what the cases were drawn."""
        return tuple(case.seed for case in self.cases)

    @property
    def n_rows(self) -> int:
        """Number of rows in all cases together."""
        return sum(len(case.measurements) for case in self.cases)

    def score(self, results: Sequence[Track | None]) -> Verdict:
        """Score what a tracker said about each case.

        Parameters
        ----------
        results : sequence of Track or None
            One for each case, in order: rows at the moments of `Case.time_us` (others are not looked at); None or no
            row where it has no answer. Other libraries' answers become a Track by `result_of`.

        Returns
        -------
        Verdict
            Accuracy, consistency, coverage, continuity, and how much it answered at all.

        Raises
        ------
        InputError
            If there is not one result for each case, a row lies outside its case, a covariance is not symmetric
            positive definite, no row is of a moment asked for, or nothing is left to score.
        """
        rules = {"settle_s": self.settle_s, "lost_m": self.lost_m, "bound_m": self.bound_m}
        return judge(results, self.cases, self.truths, **rules)

    def run(
        self, tracker: Tracker, *, name: str | None = None, version: str = "", who: str = "", note: str = ""
    ) -> Entry:
        """Run a tracker over every case, score it and time it.

        Before the clock starts, the tracker gets the first half of the first case. That warms it up; and if it says
        the same about that half when it knows the whole case, it is a filter and not a smoother.

        Parameters
        ----------
        tracker : callable
            From a `Case` to a `Track`, or None for no answer; for each case anew.
        name : str, optional
            What to call it; by default the name of the function.
        version, who, note : str, optional
            Of the tracker, of who ran it, and anything that a reader should know.

        Returns
        -------
        Entry
            For the leaderboard.

        Raises
        ------
        InputError
            As `score`.
        """
        results, timing = timed(tracker, self.cases)
        called = name or getattr(tracker, "__name__", type(tracker).__name__)
        return self.entry(results, name=called, version=version, who=who, note=note, timing=timing)

    def entry(
        self,
        results: Sequence[Track | None],
        *,
        name: str,
        version: str = "",
        who: str = "",
        note: str = "",
        timing: Timing | None = None,
    ) -> Entry:
        """Make an entry of results that were made elsewhere.

        Parameters
        ----------
        results : sequence of Track or None
            As in `score`.
        name, version, who, note : str
            As in `run`.
        timing : Timing, optional
            How long it took and on what machine.

        Returns
        -------
        Entry
            For the leaderboard.

        Raises
        ------
        InputError
            As `score`.
        """
        about = {"scenario": self.name, "seeds": self.seeds, "digest": self.digest, "n_rows": self.n_rows}
        return Entry(name, version, who, note, **about, verdict=self.score(results), timing=timing or Timing())

    def _digest(self) -> str:
        """SHA-256 over everything that decides the score: rules, measurements, truth."""
        sensors = [[_said(one) for one in case.measurements.sensors] for case in self.cases]
        rules = [self.name, list(self.seeds), self.settle_s, self.lost_m, sensors]
        sha = hashlib.sha256(json.dumps(rules).encode())
        for case, truth in zip(self.cases, self.truths, strict=True):
            columns = [getattr(case.measurements, name) for name in ROW_COLUMNS]
            for values in (*columns, case.arrival_us, truth.time_us, truth.state, truth.cov):
                sha.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes())
        return sha.hexdigest()


def _said(sensor: Sensor) -> dict[str, str | float | bool]:
    """Return what a sensor says beyond the defaults, so that a field that comes later does not change old digests."""
    return {one.name: getattr(sensor, one.name) for one in fields(Sensor) if getattr(sensor, one.name) != one.default}


def _seeds(seeds: Iterable[int]) -> list[int]:
    numbers = [int(seed) for seed in seeds]
    if not numbers or min(numbers) < 0:
        raise InputError(f"seeds must be whole numbers of at least 0, and at least one; got {numbers}.")
    return numbers
