"""What is drawn of a workload? Ratios, cost against size, and accuracy against time, where it has numbers for them."""

from collections.abc import Iterator
from typing import Any

from dronetrack.bench import plots
from dronetrack.bench.judging import first_of_ours, ratio, timed

Entry = dict[str, Any]


def pictures(workload: Entry) -> dict[str, str]:
    """Draw a workload: those of ``cost``, ``ratio`` and ``accuracy`` for which it has numbers.

    Parameters
    ----------
    workload : dict
        Of the document.

    Returns
    -------
    dict of str to str
        SVG by kind.
    """
    drawn = {
        "ratio": plots.ratio_bars(list(_ratio_rows(workload))),
        "cost": plots.cost_lines(_cost_points(workload), workload["unit"]),
        "accuracy": _accuracy(workload),
    }
    return {kind: picture for kind, picture in drawn.items() if picture}


def _ratio_rows(workload: Entry) -> Iterator[tuple[str, str, str, float, float | None]]:
    for case in workload["cases"]:
        ours = first_of_ours(case)
        if ours is None:
            continue
        goals = {
            goal["against"]: goal.get("at_least") for goal in workload["goals"]
            if goal["case"] == case["name"] and goal["measure"] in ("ratio", "share") and goal["of"] == ours
        }  # fmt: skip
        for name, job in timed(case).items():
            if job["role"] != "ours":
                yield case["name"], name, job["role"], ratio(case, ours, name), goals.get(name)


def _cost_points(workload: Entry) -> dict[str, tuple[str, list[tuple[float, float]]]]:
    lines: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    for case in workload["cases"]:
        if case["n"]:
            for name, job in timed(case).items():
                lines.setdefault(name, (job["role"], []))[1].append((case["n"], plots.unit_s(job)))
    return lines


def _accuracy(workload: Entry) -> str:
    """Draw the case in which most ways say how near the truth they came."""
    found = []
    for case in workload["cases"]:
        judged = {name: job for name, job in timed(case).items() if "rmse_m" in job["accuracy"]}
        points = [(name, job["role"], plots.unit_s(job), job["accuracy"]["rmse_m"]) for name, job in judged.items()]
        found.append((len(points), case["name"], points))
    _, name, points = max(found, default=(0, "", []))
    return plots.accuracy_points(points, workload["unit"], f"RMSE in m, {name},")
