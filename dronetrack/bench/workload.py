"""What is raced against what, what counts as the same answer, and what is asked of it? Benchmarks as data.

A `Workload` gives `Case` after `Case`; a case holds named `Job` after `Job`: ours, those of peers, and limits (what the
machine can do at best). A peer's job must give its answer, which is compared with ours before anything is timed, or its
accuracy against the truth, which stands beside its time. A `Goal` says what is wanted of a case, and why it is missed.
"""

import math
import pathlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from dronetrack.errors import InputError

Answer = Mapping[str, ArrayLike]
Role = Literal["ours", "peer", "limit"]
Clock = Literal["cpu", "wall"]
Measure = Literal["ratio", "share", "rate", "seconds", "figure"]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One way to do the work.

    Parameters
    ----------
    run : callable
        Does it once. It may be called many times, and does the same each time.
    amount : float
        How much work that is, in the unit of the workload.
    role : {"ours", "peer", "limit"}
        Whose it is. A limit computes nothing; it moves the bytes, or sums them.
    answer : callable, optional
        Makes named arrays of what `run` returned, to be compared.
    expected : mapping of str to array_like, optional
        What ours says to the same question.
    accuracy : mapping of str to float, optional
        Figures beside the time, each with its unit in the name.
    excused : str
        Why it is timed though its answer differs: said beside its time.
    clock : {"cpu", "wall"}
        What its time is. `cpu` is what this process spent, which on an idle machine is the same for work on one core,
        and on a busy one is the only thing that means something; `wall` for what waits, or uses several cores.
    after : callable, optional
        Clears away what a run left; not timed.

    Raises
    ------
    InputError
        If the amount is not positive, or a peer gives neither its answer nor its accuracy.
    """

    run: Callable[[], Any]
    amount: float
    role: Role = "peer"
    answer: Callable[[Any], Answer] | None = None
    expected: Answer | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    excused: str = ""
    clock: Clock = "cpu"
    after: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        if not self.amount > 0.0:
            raise InputError(f"a job does a positive amount of work; got {self.amount}.")
        if self.role == "peer" and not self.accuracy and (self.answer is None or self.expected is None):
            raise InputError("a peer's job needs `answer` and `expected`, or its `accuracy` against the truth.")


def peer_job(peer: ModuleType, run: Callable[[], Any], amount: float, **expected: ArrayLike) -> Job:
    """Make the job of a peer whose run returns one array for each that is expected, in this order.

    Parameters
    ----------
    peer : module
        Its adapter; one with ``CLOCK = "wall"`` uses several cores.
    run : callable
        What the adapter made of the problem.
    amount : float
        How much work that is.
    **expected : array_like
        What ours says, by name.

    Returns
    -------
    Job
        To be compared and timed.
    """

    def answer(output: Any) -> Answer:  # noqa: ANN401 - of any peer
        return dict(zip(expected, output if len(expected) > 1 else (output,), strict=True))

    return Job(run, amount, answer=answer, expected=expected, clock=getattr(peer, "CLOCK", "cpu"))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Jobs of one size, ready to run.

    Parameters
    ----------
    name : str
        What distinguishes it from its sisters; unique in its workload.
    jobs : mapping of str to Job
        By name.
    n : float, optional
        Its size, where sisters differ by it: cost is drawn against it.
    tolerance : mapping of str to (float, float)
        How far the arrays of an answer may lie from ours: relative, absolute. What is not named must be equal.
    figures : mapping of str to float
        What was measured otherwise than by racing: memory, latency, time of import. Units in the names.
    unit : str
        What its jobs' amounts count, where that is not the unit of the workload.
    causes : mapping of str to callable
        For a figure that may miss its goal: what makes a profile (see `dronetrack.bench.profiling`) of it. Jobs need
        none; they are profiled themselves.
    """

    name: str
    jobs: Mapping[str, Job] = field(default_factory=dict)
    n: float | None = None
    tolerance: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    causes: Mapping[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted of a case, as data.

    Parameters
    ----------
    case : str
        Name of the case.
    measure : {"ratio", "share", "rate", "seconds", "figure"}
        `ratio`: how many times as fast as `against`. `share`: part of the rate of the limit `against`. `rate`: work
        per second. `seconds`: of one run. `figure`: the case's figure, or the job's accuracy, named `of`.
    of : str
        The job (or the figure).
    against : str
        The peer or limit.
    at_least, at_most : float
        Between which it is met.
    why : str
        What a profile does not show of why it is missed; printed only then, before the profile.
    """

    case: str
    measure: Measure
    of: str
    against: str = ""
    at_least: float = -math.inf
    at_most: float = math.inf
    why: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a workload is told when it makes its cases.

    Parameters
    ----------
    seed : int
        Of every random number.
    quick : bool
        Whether small sizes will do.
    peers : mapping of str to module
        The adapters, among those that the workload names, whose peers are installed and wanted.
    data : Path or None
        Folder of logs and recordings that are not part of the package.
    """

    seed: int = 1
    quick: bool = False
    peers: Mapping[str, ModuleType] = field(default_factory=dict)
    data: pathlib.Path | None = None

    def rng(self) -> np.random.Generator:
        """Return a generator of random numbers, the same each time."""
        return np.random.default_rng(self.seed)

    def size(self, full: int, quick: int) -> int:
        """Return the size that is wanted."""
        return quick if self.quick else full

    def file(self, name: str) -> pathlib.Path | None:
        """Return a file of the data folder, or None where there is none."""
        path = self.data / name if self.data else None
        return path if path is not None and path.exists() else None


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """A question, and how it is answered.

    Parameters
    ----------
    name : str
        As it is asked for.
    question : str
        One sentence.
    unit : str
        What `Job.amount` counts.
    cases : callable
        Makes the cases one by one: each is raced before the next is made.
    peers : tuple of str
        Adapters that it uses.
    goals : tuple of Goal
        What is wanted.
    """

    name: str
    question: str
    unit: str
    cases: Callable[[Setting], Iterator[Case]]
    peers: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = ()


def disagreement(job: Job, output: object, tolerance: Mapping[str, tuple[float, float]]) -> str:
    """Say how the answer of a job differs from ours; nothing if it does not.

    Parameters
    ----------
    job : Job
        With `answer` and `expected`; without them there is nothing to compare.
    output : object
        What its run returned.
    tolerance : mapping of str to (float, float)
        Relative and absolute, by the name of the array; zero for those not named.

    Returns
    -------
    str
        One clause for the reader of the results, or an empty one.

    Examples
    --------
    >>> job = Job(lambda: 2.0, 1.0, answer=lambda x: {"x": x}, expected={"x": 2.5})
    >>> disagreement(job, job.run(), {"x": (0.0, 0.1)})
    'x differs from ours by up to 0.5'
    >>> disagreement(job, job.run(), {"x": (0.0, 1.0)})
    ''
    """
    if job.answer is None or job.expected is None:
        return ""
    answer = job.answer(output)
    if set(answer) != set(job.expected):
        return f"answers {', '.join(sorted(answer))} where {', '.join(sorted(job.expected))} was asked"
    for name, expected in job.expected.items():
        ours, theirs = np.asarray(expected), np.asarray(answer[name])
        if ours.shape != theirs.shape:
            return f"{name} has shape {theirs.shape}, ours {ours.shape}"
        relative, absolute = tolerance.get(name, (0.0, 0.0))
        if not _close(theirs, ours, relative, absolute):
            return f"{name} differs from ours{_by_how_much(theirs, ours)}"
    return ""


def _close(theirs: np.ndarray, ours: np.ndarray, relative: float, absolute: float) -> bool:
    if ours.dtype.kind in "fc":
        return bool(np.allclose(theirs, ours, rtol=relative, atol=absolute, equal_nan=True))
    return bool(np.array_equal(theirs, ours))


def _by_how_much(theirs: np.ndarray, ours: np.ndarray) -> str:
    if ours.dtype.kind not in "fciub" or theirs.dtype.kind not in "fciub":
        return ""
    apart = np.abs(theirs.astype(np.float64) - ours.astype(np.float64))
    return f" by up to {np.nanmax(apart):.3g}" if np.isfinite(apart).any() else " in what is missing"
