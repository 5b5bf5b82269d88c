"""What came of it all? Workloads are run one after the other; one plain document holds everything that was seen.

The document is the only source of the pages: `dronetrack.bench.page` makes them from it and from nothing else.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dronetrack.bench.judging import judge
from dronetrack.bench.keeping import kept_of
from dronetrack.bench.peers import find_peers
from dronetrack.bench.profiling import profile
from dronetrack.bench.racing import Race, race
from dronetrack.bench.versions import commit, versions
from dronetrack.bench.workload import Case, Setting, Workload
from dronetrack.leaderboard.machine import load, machine

Document = dict[str, Any]
Tell = Callable[[str], object]

ROUNDS, QUICK_ROUNDS = 21, 5
BUDGET_S, QUICK_BUDGET_S = 6.0, 2.5


@dataclass(frozen=True, slots=True)
class _Run:
    """What holds for every workload of a run."""

    quick: bool
    peers: Collection[str] | None
    profiled: bool
    tell: Tell


def run(
    workloads: Iterable[Workload],
    *,
    peers: Collection[str] | None = None,
    quick: bool = False,
    seed: int = 1,
    data: Path | None = None,
    started: str = "",
    before: Document | None = None,
    profiled: bool = True,
    tell: Tell = lambda _: None,
    keep: Callable[[Document], object] = lambda _: None,
) -> Document:
    """Run workloads.

    Parameters
    ----------
    workloads : iterable of Workload
        Which, in this order.
    peers : collection of str, optional
        Adapters to race against; by default all that are installed.
    quick : bool, optional
        Small sizes and few rounds.
    seed : int, optional
        Of every random number.
    data : Path, optional
        Folder of logs and recordings that are not part of the package.
    started : str, optional
        When, as it is to stand in the document.
    before : dict, optional
        An earlier document to go on from: what it measured on this commit is not measured again, and what is not among
        `workloads` stays as it is.
    profiled : bool, optional
        Run what misses its goal once more under the profiler.
    tell : callable, optional
        Is told each line of progress.
    keep : callable, optional
        Is given the document after each workload, so that a run that is killed leaves what it has seen.

    Returns
    -------
    dict
        ``machine``, ``versions``, ``commit``, ``seed``, ``quick``, ``peers``, ``data``, ``started``, ``left`` (names of
        workloads that were asked for and are not there yet), and ``workloads``: for each its ``name``, ``question``,
        ``unit``, ``commit``, ``started``, ``load``, ``took_s``, ``skipped`` peers with the reason, ``cases``, ``goals``
        with verdicts, and ``failed``, which says what ended it early.

    Raises
    ------
    InputError
        If `before` is of another machine, seed or size, or of other peers.
    """
    wanted = list(workloads)
    document: Document = {
        "machine": machine(), "versions": versions(), "commit": commit(), "seed": seed, "quick": quick,
        "peers": "all" if peers is None else sorted(peers), "data": data is not None, "started": started,
    }  # fmt: skip
    done = kept_of(before, document, [one.name for one in wanted]) if before else []
    how = _Run(quick, peers, profiled, tell)
    left = [one for one in wanted if one.name not in {entry["name"] for entry in done}]
    document |= {"left": [one.name for one in left], "workloads": done}
    for workload in left:
        found, skipped = find_peers(workload.peers, peers)
        about = {"name": workload.name, "question": workload.question, "unit": workload.unit, "quick": quick}
        about |= {"commit": document["commit"], "started": started, "load": load(), "skipped": skipped}
        done.append(about | _workload(workload, Setting(seed, quick, found, data), about, how))
        document["left"].remove(workload.name)
        keep(document)
    return document


def _workload(workload: Workload, setting: Setting, about: Document, how: _Run) -> Document:
    """Race all cases; what is wrong with ours ends this workload, and is told, and the next one is run."""
    start = time.perf_counter()
    entry: Document = {"cases": [], "failed": ""}
    try:
        for case in workload.cases(setting):
            how.tell(f"{workload.name}: {case.name}")
            entry["cases"].append(_case(case, workload, about, how))
    except Exception as fault:  # noqa: BLE001 - an hour of other results must not go with it
        entry["failed"] = f"{type(fault).__name__}: {' '.join(str(fault).split())[:300]}"
        how.tell(f"{workload.name}: FAILED: {entry['failed']}")
    entry["goals"] = [judge(goal, about | entry) for goal in workload.goals]
    return entry | {"took_s": round(time.perf_counter() - start, 1)}


def _case(case: Case, workload: Workload, about: Document, how: _Run) -> Document:
    rounds, budget_s = (QUICK_ROUNDS, QUICK_BUDGET_S) if how.quick else (ROUNDS, BUDGET_S)
    entry = _case_entry(case, case.unit or workload.unit, race(case, rounds, budget_s))
    goals = [one for one in workload.goals if one.case == case.name] if how.profiled else []
    missed = [one.of for one in goals if judge(one, about | {"cases": [entry]})["verdict"] == "missed"]
    entry["profiles"] = _profiles(case, missed)
    return entry


def _profiles(case: Case, names: Sequence[str]) -> dict[str, Document]:
    """Profiles of jobs, and of figures that say what makes them."""
    found = {
        name: profile(case.jobs[name].run, waits=case.jobs[name].clock == "wall") for name in names if name in case.jobs
    }
    return found | {name: case.causes[name]() for name in names if name in case.causes}


def _case_entry(case: Case, unit: str, result: Race) -> Document:
    jobs = {}
    for name, job in case.jobs.items():
        entry: Document = {"role": job.role, "amount": job.amount, "accuracy": dict(job.accuracy)}
        if name in result.left_out:
            entry["left_out"] = result.left_out[name]
        else:
            wall_s, cpu_s = result.wall_s[name], result.cpu_s[name]
            clock = "wall" if _on_several_cores(wall_s, cpu_s) else job.clock
            entry |= {"wall_s": wall_s, "cpu_s": cpu_s, "clock": clock}
        if job.excused:
            entry["excused"] = job.excused
        jobs[name] = entry
    return {"name": case.name, "n": case.n, "unit": unit, "jobs": jobs, "figures": dict(case.figures)}


def _on_several_cores(wall_s: list[float], cpu_s: list[float]) -> bool:
    return sum(cpu_s) > 1.2 * sum(wall_s)
