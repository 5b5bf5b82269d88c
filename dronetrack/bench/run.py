"""What came of it all? Workloads are run one after the other; one plain document holds everything that was seen.

The document is the only source of the pages: `dronetrack.bench.page` makes them from it and from nothing else.
"""

import json
import math
import pathlib
import statistics
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from dronetrack.bench.machine import commit, machine, versions
from dronetrack.bench.peers import find_peers
from dronetrack.bench.racing import Race, race, speed_ratio
from dronetrack.bench.workload import Case, Goal, Setting, Workload

Document = dict[str, Any]
Tell = Callable[[str], object]

ROUNDS, QUICK_ROUNDS = 9, 5
BUDGET_S, QUICK_BUDGET_S = 10.0, 3.0


def run(
    workloads: Iterable[Workload],
    *,
    peers: Collection[str] | None = None,
    quick: bool = False,
    seed: int = 1,
    data: pathlib.Path | None = None,
    started: str = "",
    tell: Tell = lambda _: None,
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
    tell : callable, optional
        Is told each line of progress.

    Returns
    -------
    dict
        ``machine``, ``versions``, ``commit``, ``seed``, ``quick``, ``started`` and ``workloads``: for each its
        ``name``, ``question``, ``unit``, ``skipped`` peers with the reason, ``cases`` and ``goals`` with verdicts.
    """
    document: Document = {
        "machine": machine(), "versions": versions(), "commit": commit(), "seed": seed, "quick": quick,
        "started": started, "workloads": [],
    }  # fmt: skip
    for workload in workloads:
        found, skipped = find_peers(workload.peers, peers)
        setting = Setting(seed, quick, found, data)
        entry = {"name": workload.name, "question": workload.question, "unit": workload.unit, "skipped": skipped}
        entry |= {"quick": quick, "cases": []}
        for case in workload.cases(setting):
            tell(f"{workload.name}: {case.name}")
            result = race(case, QUICK_ROUNDS if quick else ROUNDS, QUICK_BUDGET_S if quick else BUDGET_S)
            entry["cases"].append(_case_entry(case, case.unit or workload.unit, result))
        entry["goals"] = [judge(goal, entry) for goal in workload.goals]
        document["workloads"].append(entry)
    return document


def _case_entry(case: Case, unit: str, result: Race) -> Document:
    jobs = {}
    for name, job in case.jobs.items():
        entry: Document = {"role": job.role, "amount": job.amount, "accuracy": dict(job.accuracy)}
        if name in result.left_out:
            entry["left_out"] = result.left_out[name]
        else:
            wall_s, cpu_s = result.wall_s[name], result.cpu_s[name]
            entry |= {
                "wall_s": wall_s,
                "cpu_s": cpu_s,
                "clock": "wall" if _on_several_cores(wall_s, cpu_s) else job.clock,
            }
        if job.excused:
            entry["excused"] = job.excused
        jobs[name] = entry
    return {"name": case.name, "n": case.n, "unit": unit, "jobs": jobs, "figures": dict(case.figures)}


def _on_several_cores(wall_s: list[float], cpu_s: list[float]) -> bool:
    return sum(cpu_s) > 1.2 * sum(wall_s)


def times_s(job: Document) -> list[float]:
    """Return the seconds of each round of a timed job, by its clock."""
    return job[f"{job['clock']}_s"]


def rate(job: Document) -> float:
    """Return work per second of a timed job: its amount over the median of its rounds."""
    return job["amount"] / statistics.median(times_s(job))


def ratio(case: Document, one: str, other: str) -> float:
    """Return how many times as fast one job of a case is as another: by the wall if either is timed so."""
    a, b = case["jobs"][one], case["jobs"][other]
    clock = "cpu_s" if a["clock"] == b["clock"] == "cpu" else "wall_s"
    return speed_ratio(a[clock], a["amount"], b[clock], b["amount"])


def judge(goal: Goal, workload: Document) -> Document:
    """Set a goal beside what was measured.

    Parameters
    ----------
    goal : Goal
        What is wanted.
    workload : dict
        What came of its workload.

    Returns
    -------
    dict
        The goal's fields, with ``measured`` (None if it was not), ``verdict`` (``met``, ``missed`` or
        ``not measured``) and ``reason``.
    """
    entry: Document = {key: value for key, value in asdict(goal).items() if value not in (math.inf, -math.inf, "")}
    entry["unit"] = next((one["unit"] for one in workload["cases"] if one["name"] == goal.case), workload["unit"])
    measured, reason = _measure(goal, workload)
    if measured is None:
        return entry | {"measured": None, "verdict": "not measured", "reason": reason}
    met = goal.at_least <= measured <= goal.at_most
    return entry | {
        "measured": measured,
        "verdict": "met" if met else "missed",
        "reason": "" if met else goal.why or "not yet explained",
    }


def _measure(goal: Goal, workload: Document) -> tuple[float | None, str]:
    case = next((one for one in workload["cases"] if one["name"] == goal.case), None)
    if case is None:
        return None, "a quick run leaves it out" if workload.get("quick") else "the data that it needs are not here"
    if goal.measure == "figure":
        figures = case["figures"] | {k: v for job in case["jobs"].values() for k, v in job["accuracy"].items()}
        figures |= {f"{name}: {k}": v for name, job in case["jobs"].items() for k, v in job["accuracy"].items()}
        return (figures[goal.of], "") if goal.of in figures else (None, f"{goal.of} was not seen")
    for name in filter(None, (goal.of, goal.against)):
        job = case["jobs"].get(name)
        if job is None:
            return None, next(iter(_why_absent(name, workload)), f"{name} was not run")
        if "left_out" in job:
            return None, f"{name}: {job['left_out']}"
    job = case["jobs"][goal.of]
    if goal.measure in ("ratio", "share"):
        return ratio(case, goal.of, goal.against), ""
    return (rate(job) if goal.measure == "rate" else statistics.median(times_s(job))), ""


def _why_absent(label: str, workload: Document) -> list[str]:
    """Reasons of the skipped peers whose name begins like a job's label."""
    plain = "".join(filter(str.isalnum, label)).lower()
    return [
        f"{name}: {why}" for name, why in workload["skipped"].items()
        if plain.startswith("".join(filter(str.isalnum, name)).lower())
    ]  # fmt: skip


def write(document: Document, folder: pathlib.Path) -> list[pathlib.Path]:
    """Write the document and the pages made from it.

    Parameters
    ----------
    document : dict
        Of `run`.
    folder : Path
        Where to; it is made.

    Returns
    -------
    list of Path
        ``run.json``, ``report.html``, ``RESULTS.md`` and its plots, and ``history.jsonl``, which grows by a line.
    """
    from dronetrack.bench.page import write_pages

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return [path, *write_pages(document, folder), _remember(document, folder / "history.jsonl")]


def _remember(document: Document, path: pathlib.Path) -> pathlib.Path:
    """Add a line to the history: the ratios of this run, under its commit."""
    line = {key: document[key] for key in ("started", "commit", "quick")} | {"ratios": ratios(document["workloads"])}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return path


def ratios(workloads: Sequence[Document]) -> dict[str, float]:
    """Return how many times as fast each job of ours is as each peer and limit beside it.

    Parameters
    ----------
    workloads : sequence of dict
        Of a document.

    Returns
    -------
    dict of str to float
        By ``workload / case / ours / other``.
    """
    found = {}
    for workload in workloads:
        for case in workload["cases"]:
            timed = {name: job for name, job in case["jobs"].items() if "wall_s" in job}
            ours = [name for name, job in timed.items() if job["role"] == "ours"]
            others = [name for name, job in timed.items() if job["role"] != "ours"]
            for one in ours:
                for other in others:
                    found[f"{workload['name']} / {case['name']} / {one} / {other}"] = ratio(case, one, other)
    return found
