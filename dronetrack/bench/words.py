"""How is a run said? Facts, goals, figures and rows of tables in words, for every kind of page and for the terminal."""

import statistics
from collections.abc import Iterator
from typing import Any

from dronetrack.bench.judging import first_of_ours, rate, ratio, round_ratios, times_s
from dronetrack.bench.plots import seconds, short

Entry = dict[str, Any]

UNITS = {"m": "m", "s": "s", "ms": "ms", "us": "us", "mb": "MB", "gb": "GB", "std": "sd"}
SIGNS = {"met": "✓", "missed": "✗", "not measured": "-"}
METHOD = (
    "All ways run in turn (A B A B) in one process, after their answers were found equal to ours. Times are medians "
    "over rounds; a ratio is the median of the rounds' ratios. Compiling is left out, everybody's. What works on one "
    "core is timed by the processor time that it spends; what waits or uses several cores, and what is compared with "
    "that, by the wall."
)


def facts(document: Entry) -> dict[str, str]:
    """Say on what and of what it was measured.

    Parameters
    ----------
    document : dict
        Of `dronetrack.bench.run`.

    Returns
    -------
    dict of str to str
        A line each, by what it is.
    """
    where, of = document["machine"], document["versions"]
    took_s = sum(one["took_s"] for one in document["workloads"])
    peers = {name: version for name, version in of.items() if name != "dronetrack"}
    found = {
        "measured": f"{document['started']}, {took_s / 60.0:.0f} min, {'quick' if document['quick'] else 'full'}, "
        f"seed {document['seed']}",
        "dronetrack": f"{of['dronetrack']}, {_commits(document)}",
        "machine": f"{where['processor']}, {where['cores']} cores, {where['memory_gb']} GB",
        "load": f"{where['load']} when it started"
        + (" (busy: times by the wall are too long)" if _busy(where) else ""),
        "system": f"{where['system']}, Python {where['python']}",
        "libraries": ", ".join(f"{name} {version}" for name, version in peers.items()),
    }
    if document["left"]:
        found["not finished"] = f"left are {', '.join(document['left'])}; go on with --resume"
    failed = [f"{one['name']} ({one['failed']})" for one in document["workloads"] if one["failed"]]
    return found | ({"failed": "; ".join(failed)} if failed else {})


def _busy(where: Entry) -> bool:
    return where["load"] > where["cores"]


def _commits(document: Entry) -> str:
    """Name the commit, and which workloads were measured on another."""
    others: dict[str, list[str]] = {}
    for one in document["workloads"]:
        if one["commit"] != document["commit"]:
            others.setdefault(one["commit"], []).append(one["name"])
    words = f"commit {document['commit']}" if document["commit"] else "an installed package"
    return words + "".join(f"; {', '.join(names)} of commit {commit}" for commit, names in others.items())


def peer_rows(document: Entry) -> list[tuple[str, str, str]]:
    """Say of each peer where it was raced, and why it was not.

    Parameters
    ----------
    document : dict
        Of `dronetrack.bench.run`.

    Returns
    -------
    list of (str, str, str)
        Workload, skipped peer and the reason, one row for each reason and peer: workloads are joined.
    """
    rows: dict[tuple[str, str], list[str]] = {}
    for workload in document["workloads"]:
        for peer, why in workload["skipped"].items():
            rows.setdefault((peer, why), []).append(workload["name"])
    return [(peer, why, ", ".join(names)) for (peer, why), names in sorted(rows.items())]


def figure_words(name: str, value: float) -> tuple[str, str]:
    """Say a figure whose name ends in its unit: what it is, and its number with the unit.

    Parameters
    ----------
    name : str
        As in the document.
    value : float
        What was measured.

    Returns
    -------
    what, number : str
        For a reader.

    Examples
    --------
    >>> figure_words("latency_median_ms", 4.463), figure_words("core_share_per_drone", 0.0103)
    (('latency median', '4.46 ms'), ('core share per drone', '1.03 %'))
    """
    way, _, plain = name.rpartition(": ")
    parts = plain.split("_")
    unit = UNITS.get(parts[-1], "") if len(parts) > 1 else ""
    what = " ".join(parts[:-1] if unit else parts)
    if {"share", "probability"} & set(parts):
        value, unit = 100.0 * value, "%"
    return f"{way}, {what}" if way else what, f"{short(value)} {unit}".strip()


def goal_words(goal: Entry) -> tuple[str, str, str]:
    """Say what a goal asks, its number, and what was measured.

    Parameters
    ----------
    goal : dict
        Of the document.

    Returns
    -------
    what, wanted, measured : str
        For a row of a table.
    """
    low, high, measured = goal.get("at_least"), goal.get("at_most"), goal["measured"]

    def write(value: float) -> str:
        match goal["measure"]:
            case "ratio":
                return f"{short(value)}x"
            case "share":
                return f"{short(100.0 * value)} %"
            case "figure":
                return figure_words(goal["of"], value)[1]
            case "seconds":
                return seconds(value)
            case "rate":
                return f"{short(value)} {goal['unit']}"
        return short(value)

    of = figure_words(goal["of"], 0.0)[0] if goal["measure"] == "figure" else goal["of"]
    what = f"{of} {'of' if goal['measure'] == 'share' else 'over'} {goal['against']}" if "against" in goal else of
    if low is not None and high is not None:
        wanted = write(low) if low == high else f"{write(low)} to {write(high)}"
    else:
        wanted = f"≥ {write(low)}" if low is not None else f"≤ {write(high or 0.0)}"
    return f"{goal['case']}: {what}", wanted, "" if measured is None else write(measured)


def figure_tables(workload: Entry) -> list[list[list[str]]]:
    """Set out what was measured otherwise than by racing.

    Parameters
    ----------
    workload : dict
        Of the document.

    Returns
    -------
    list of list of list of str
        Tables, each a head and a row for every case; cases whose figures have the same names share a table, and of
        one that is alone each figure is a row.
    """
    alike: dict[tuple[str, ...], list[Entry]] = {}
    for case in workload["cases"]:
        if case["figures"]:
            alike.setdefault(tuple(case["figures"]), []).append(case)
    return [_across(cases) if len(cases) > 1 else _down(cases[0]) for cases in alike.values()]


def _across(cases: list[Entry]) -> list[list[str]]:
    head = ["case", *(figure_words(name, 0.0)[0] for name in cases[0]["figures"])]
    return [head, *([case["name"], *(figure_words(*one)[1] for one in case["figures"].items())] for case in cases)]


def _down(case: Entry) -> list[list[str]]:
    return [[case["name"], ""], *(list(figure_words(*one)) for one in case["figures"].items())]


def job_rows(workload: Entry) -> Iterator[tuple[str, ...]]:
    """Make the rows of a workload's table.

    Parameters
    ----------
    workload : dict
        Of the document.

    Yields
    ------
    tuple of str
        Case, way, median, spread, rate, ratio, accuracy and remarks.
    """
    for case in workload["cases"]:
        ours, unit = first_of_ours(case), "" if case["unit"] == workload["unit"] else f" {case['unit']}"
        for name, job in case["jobs"].items():
            accuracy = ", ".join(" ".join(figure_words(*one)) for one in job["accuracy"].items())
            clock = "by the wall" if job.get("clock") == "wall" else ""
            remarks = "; ".join(filter(None, (accuracy, clock, job.get("excused", ""), job.get("left_out", ""))))
            if "wall_s" not in job:
                yield case["name"], name, "left out", "", "", "", remarks
                continue
            times = times_s(job)
            faster = _faster(case, ours, name) if ours and name != ours else ""
            spread = f"{seconds(min(times))} to {seconds(max(times))}"
            yield (
                case["name"],
                name,
                seconds(statistics.median(times)),
                spread,
                short(rate(job)) + unit,
                faster,
                remarks,
            )


def _faster(case: Entry, ours: str, other: str) -> str:
    """Write a ratio, and between what it lay in the middle half of the rounds where that is wide."""
    rounds = round_ratios(case, ours, other)
    low, middle, high = statistics.quantiles(rounds) if len(rounds) > 1 else rounds * 3
    spread = f" ({short(low)} to {short(high)})" if high - low > 0.1 * middle else ""
    return f"{short(ratio(case, ours, other))}x{spread}"
