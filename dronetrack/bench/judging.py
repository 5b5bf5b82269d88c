"""Is what was wanted there? Rates and ratios of what was timed, and goals set beside them."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dronetrack.bench.racing import speed_ratios
from dronetrack.bench.workload import Goal

Document = dict[str, Any]


def times_s(job: Document) -> list[float]:
    """Return the seconds of each round of a timed job, by its clock."""
    return job[f"{job['clock']}_s"]


def rate(job: Document) -> float:
    """Return work per second of a timed job: its amount over the median of its rounds."""
    return job["amount"] / statistics.median(times_s(job))


def ratio(case: Document, one: str, other: str) -> float:
    """Return how many times as fast one job of a case is as another: by the wall if either is timed so."""
    return statistics.median(round_ratios(case, one, other))


def round_ratios(case: Document, one: str, other: str) -> list[float]:
    """Return how many times as fast one job of a case was as another in each round."""
    a, b = case["jobs"][one], case["jobs"][other]
    clock = "cpu_s" if a["clock"] == b["clock"] == "cpu" else "wall_s"
    return speed_ratios(a[clock], a["amount"], b[clock], b["amount"])


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
        "reason": "" if met else _reason(goal, measured, workload),
    }


def _reason(goal: Goal, measured: float, workload: Document) -> str:
    """Say why a goal is missed: what is known of it, and what the profiler saw."""
    case = next(one for one in workload["cases"] if one["name"] == goal.case)
    seen = case.get("profiles", {}).get(goal.of, {}).get("words", "")
    wanted = goal.at_least if measured < goal.at_least else goal.at_most
    beyond = f"Off by {abs(measured / wanted - 1.0):.0%} of what is wanted." if wanted else "Nothing of it is wanted."
    return " ".join(filter(None, (goal.why, seen))) or beyond


def _measure(goal: Goal, workload: Document) -> tuple[float | None, str]:
    case = next((one for one in workload["cases"] if one["name"] == goal.case), None)
    if case is None:
        return None, _why_no_case(workload)
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


def _why_no_case(workload: Document) -> str:
    if workload.get("failed"):
        return f"it failed: {workload['failed']}"
    return "a quick run leaves it out" if workload.get("quick") else "the data that it needs are not here"


def _why_absent(label: str, workload: Document) -> list[str]:
    """Reasons of the skipped peers whose name begins like a job's label."""
    plain = "".join(filter(str.isalnum, label)).lower()
    return [
        f"{name}: {why}" for name, why in workload["skipped"].items()
        if plain.startswith("".join(filter(str.isalnum, name)).lower())
    ]  # fmt: skip


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


def timed(case: Document) -> dict[str, Document]:
    """Return the jobs of a case that were timed, by name."""
    return {name: job for name, job in case["jobs"].items() if "wall_s" in job}


def first_of_ours(case: Document) -> str | None:
    """Return which job of ours the others of a case are compared with: the first."""
    return next((name for name, job in timed(case).items() if job["role"] == "ours"), None)
