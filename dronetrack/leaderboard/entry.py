"""Who scored what, with which data, where? One small JSON file for each entry, and the board made of them."""

import importlib.metadata
import json
import pathlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dronetrack.errors import FormatError, InputError
from dronetrack.leaderboard.case import Case, Tracker
from dronetrack.leaderboard.machine import machine
from dronetrack.leaderboard.verdict import Verdict
from dronetrack.metrics import Consistency, Score, Share
from dronetrack.tracks import Track

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "dronetrack leaderboard entry 1"
COLUMNS = (
    "scenario", "digest", "rank", "tracker", "version", "who", "causal", "position_rmse_m", "velocity_rmse_mps",
    "along_rmse_m", "across_rmse_m", "up_rmse_m", "efficiency", "answered", "anees", "anees_low", "anees_high",
    "ellipse_95", "first_custody_s", "custody_breaks", "longest_gap_s", "us_per_row", "n_runs", "machine",
)  # fmt: skip
SHOWN = {
    "rank": "{}", "tracker": "{}", "causal": "{}", "position_rmse_m": "{:.3g}", "velocity_rmse_mps": "{:.3g}",
    "along_rmse_m": "{:.3g}", "across_rmse_m": "{:.3g}", "efficiency": "{:.3f}", "answered": "{:.1%}",
    "anees": "{:.2f}", "ellipse_95": "{:.1%}", "custody_breaks": "{:.2f}", "us_per_row": "{:.3g}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a tracker took, and on what machine.

    Parameters
    ----------
    seconds : float, optional
        For all cases together, after one call that is not counted; NaN where nobody measured. [s]
    causal : bool, optional
        Whether it said the same about the first half of the first case without the second half: a filter does, a
        smoother does not. None where nobody looked.
    machine : dict, optional
        What `dronetrack.leaderboard.machine.machine` says, and the versions of numpy and dronetrack.
    """

    seconds: float = float("nan")
    causal: bool | None = None
    machine: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the leaderboard.

    Parameters
    ----------
    tracker, version, who, note : str
        What was run, by whom, and what a reader should know.
    scenario : str
        Of the data set.
    seeds : tuple of int
        Its cases.
    digest : str
        Of the data set and its rules; entries with one digest have had the same bits.
    n_rows : int
        Rows of all cases together.
    verdict : Verdict
        The score.
    timing : Timing
        Time and machine.
    """

    tracker: str
    version: str
    who: str
    note: str
    scenario: str
    seeds: tuple[int, ...]
    digest: str
    n_rows: int
    verdict: Verdict
    timing: Timing

    def write(self, path: str | pathlib.Path) -> pathlib.Path:
        """Write the entry as JSON.

        Parameters
        ----------
        path : str or Path
            A file name that ends in `.json`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            If the name ends otherwise, or the file cannot be written.
        """
        path = pathlib.Path(path)
        if path.suffix != ".json":
            raise InputError(f"{path.name}: an entry goes to a .json file; choose such a name.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"format": FORMAT, **_plain(self)}, indent=1) + "\n", encoding="utf-8")
        except OSError as fault:
            raise InputError(f"{path}: cannot write there ({fault.strerror}); choose another place.") from None
        return path

    @classmethod
    def read(cls, path: str | pathlib.Path) -> "Entry":
        """Read an entry.

        Parameters
        ----------
        path : str or Path
            The JSON file.

        Returns
        -------
        Entry
            As it was written.

        Raises
        ------
        FormatError
            If the file is missing or not an entry.
        """
        path = pathlib.Path(path)
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
                raise FormatError(f"{path.name}: not an entry; needed a JSON object with the format {FORMAT!r}.")
            return _entry(told)
        except OSError as fault:
            raise FormatError(f"{path}: cannot be read ({fault.strerror}).") from None
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            if isinstance(fault, FormatError):
                raise
            raise FormatError(f"{path.name}: not an entry ({type(fault).__name__}: {fault}).") from None


def read_entries(folder: str | pathlib.Path) -> list[Entry]:
    """Read all entries of a folder.

    Parameters
    ----------
    folder : str or Path
        Every `.json` file in it, and in the folders below, is an entry.

    Returns
    -------
    list of Entry
        In the order of their file names.

    Raises
    ------
    FormatError
        If one of the files is not an entry.
    """
    return [Entry.read(path) for path in sorted(pathlib.Path(folder).rglob("*.json"))]


def to_dataframe(entries: Iterable[Entry]) -> "pd.DataFrame":
    """Return the board: entries of the same data beside each other, the most accurate first.

    Parameters
    ----------
    entries : iterable of Entry
        Any; only those with one `digest` are ranked against each other.

    Returns
    -------
    pandas.DataFrame
        One row for each entry. `position_rmse_m` ranks, over every moment asked for with silence counted, and of
        equal ones the velocity, both to three digits: what differs by less shares a rank. `anees` is of what was said,
        with its bounds; `ellipse_95` of every moment.
    """
    import pandas as pd

    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.scenario, entry.digest), []).append(entry)
    rows = []
    for _, group in sorted(groups.items()):
        marks = sorted(map(_mark, group))
        group.sort(key=lambda one: (_mark(one), np.nan_to_num(one.timing.seconds, nan=np.inf), one.tracker))
        rows += [_row(entry, 1 + marks.index(_mark(entry))) for entry in group]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def to_markdown(entries: Iterable[Entry]) -> str:
    """Return the board as Markdown, one table for each data set.

    Parameters
    ----------
    entries : iterable of Entry
        As for `to_dataframe`.

    Returns
    -------
    str
        Markdown.
    """
    parts = []
    for _, group in to_dataframe(entries).groupby(["scenario", "digest"]):
        rows = group.to_dict("records")
        head = f"### {rows[0]['scenario']}, {rows[0]['n_runs']} runs, data {rows[0]['digest'][:12]}"
        lines = [" | ".join(SHOWN), " | ".join("---" for _ in SHOWN)]
        lines += [" | ".join(_cell(row, name) for name in SHOWN) for row in rows]
        parts.append("\n".join([head, "", *(f"| {line} |" for line in lines)]))
    return "\n\n".join([*parts, "A star marks a mean NEES (6 is right) within its 95 % bounds."]) + "\n"


def timed(tracker: Tracker, cases: Sequence[Case]) -> tuple[list[Track | None], Timing]:
    """Run a tracker over cases against the clock, after a call that is not counted.

    Parameters
    ----------
    tracker : callable
        From a `Case` to a `Track` or None.
    cases : sequence of Case
        In order.

    Returns
    -------
    results : list of Track or None
        One for each case.
    timing : Timing
        Seconds, machine, and whether the tracker is causal.
    """
    first = cases[0]
    middle = int(first.time_us[(len(first.time_us) - 1) // 2])
    half = tracker(first.until(middle))
    results, spent = [], 0.0
    for case in cases:
        start = time.perf_counter()
        results.append(tracker(case))
        spent += time.perf_counter() - start
    of = {"numpy": np.__version__, "dronetrack": importlib.metadata.version("dronetrack")}
    return results, Timing(spent, _same_until(half, results[0], middle), machine() | of)


def _same_until(half: Track | None, whole: Track | None, middle_us: int) -> bool | None:
    """Whether two answers agree, to a millimetre, up to a moment; None if there is nothing to compare."""
    if not isinstance(half, Track) or not isinstance(whole, Track):
        return None
    early = whole.take(whole.time_us <= middle_us)
    if not len(half) or len(early) != len(half):
        return None if not len(half) and not len(early) else False
    return bool(
        np.array_equal(early.time_us, half.time_us)
        and np.allclose(early.state, half.state, rtol=0.0, atol=1e-3)
        and np.allclose(early.cov, half.cov, rtol=1e-6, atol=1e-6)
    )


def _row(entry: Entry, rank: int) -> dict[str, Any]:
    verdict, timing = entry.verdict, entry.timing
    names = ("along_rmse_m", "across_rmse_m", "up_rmse_m", "first_custody_s", "custody_breaks", "longest_gap_s")
    return {
        **{name: getattr(verdict.whole, name) for name in names},
        **{name: getattr(entry, name) for name in ("scenario", "digest", "tracker", "version", "who")},
        "rank": rank,
        "causal": {True: "yes", False: "no", None: ""}[timing.causal],
        "position_rmse_m": verdict.position_rmse_m,
        "velocity_rmse_mps": verdict.velocity_rmse_mps,
        # The bound is that of a filter: what knows the future may well be below.
        "efficiency": float("nan") if timing.causal is False else verdict.position_rmse_m / verdict.whole.bound_m,
        "answered": verdict.answered,
        "anees": verdict.said.nees.mean,
        "anees_low": verdict.said.nees.low,
        "anees_high": verdict.said.nees.high,
        "ellipse_95": verdict.whole.ellipse_95.value,
        "us_per_row": 1e6 * timing.seconds / entry.n_rows,
        "n_runs": len(entry.seeds),
        "machine": timing.machine.get("processor", ""),
    }


def _cell(row: dict, name: str) -> str:
    """One cell of the Markdown table."""
    value = row[name]
    if isinstance(value, float) and np.isnan(value):
        return ""
    star = "*" if name == "anees" and row["anees_low"] <= value <= row["anees_high"] else ""
    return (SHOWN[name].format(value) + star).replace("|", "\\|")


def _mark(entry: Entry) -> tuple[float, ...]:
    """Return what an entry is ranked by."""
    errors = entry.verdict.position_rmse_m, entry.verdict.velocity_rmse_mps
    return tuple(float("inf") if np.isnan(error) else float(f"{error:.3g}") for error in errors)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of an entry
    """Make JSON of an entry: no NaN (null), no infinity ("inf")."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None if np.isnan(value) else "inf"
    return value


def _entry(told: dict) -> Entry:
    """Make an entry of JSON again."""
    verdict, timing = told.pop("verdict"), told.pop("timing")
    scores = {name: _score(verdict.pop(name)) for name in ("whole", "said")}
    seconds = _number(timing.pop("seconds"))
    return Entry(
        **{**told, "seeds": tuple(told["seeds"])},
        verdict=Verdict(**scores, **verdict),
        timing=Timing(seconds, **timing),
    )


def _score(told: dict) -> Score:
    numbers: dict[str, Any] = {name: _number(value) for name, value in told.items() if not isinstance(value, dict)}
    nees, place = (Consistency(**told[name]) for name in ("nees", "position_nees"))
    return Score(**numbers, nees=nees, position_nees=place, ellipse_95=Share(**told["ellipse_95"]))


def _number(value: float | str | None) -> Any:  # noqa: ANN401 - whole numbers stay whole
    return float("nan") if value is None else float(value) if isinstance(value, str) else value
