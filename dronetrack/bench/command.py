"""``dronetrack bench``: what was asked for on the command line, run, told and written."""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Collection
from typing import Any

from dronetrack.bench.guard import GROSS, guard, renew_baseline
from dronetrack.bench.keeping import read_run, remember, write
from dronetrack.bench.peers import DISTRIBUTIONS
from dronetrack.bench.run import Document, run
from dronetrack.bench.words import goal_words
from dronetrack.bench.workload import Workload
from dronetrack.bench.workloads import workloads
from dronetrack.errors import InputError

WRONG = 1


def bench(options: argparse.Namespace) -> int:
    """Run the command.

    Parameters
    ----------
    options : Namespace
        ``names``, ``peers``, ``quick``, ``resume``, ``out``, ``seed``, ``data``, ``guard``, ``renew_baseline``,
        ``json``.

    Returns
    -------
    int
        0; 1 where an answer was wrong, a workload failed, or the guard found a gross loss.

    Raises
    ------
    InputError
        If a workload or a peer has no such name, or a run that is to go on is of another kind.
    """
    if options.renew_baseline:
        return _renew(options)
    if options.guard:
        return _guard(options)
    started = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    document = run(
        wanted_workloads(options.names), peers=wanted_peers(options.peers), quick=options.quick, seed=options.seed,
        data=options.data, started=started, before=read_run(options.out) if options.resume else None, tell=_tell,
        keep=lambda seen: write(seen, options.out),
    )  # fmt: skip
    files = [*write(document, options.out), remember(document, options.out)]
    faults = wrong_answers(document)
    told = {"files": [str(file) for file in files], "goals": _goals(document), "wrong": faults}
    _say(told, [*goal_lines(document), f"written: {', '.join(told['files'])}"], options)
    return WRONG if faults else 0


def wanted_workloads(names: Collection[str]) -> list[Workload]:
    """Return workloads by name, all of them for none.

    Parameters
    ----------
    names : collection of str
        As they were given.

    Returns
    -------
    list of Workload
        In the order of the names.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    known = workloads()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(f"no workload {', '.join(unknown)}; there are {', '.join(known)}.")
    return [known[name] for name in names or known]


def wanted_peers(text: str) -> Collection[str] | None:
    """Read ``all``, ``none`` or names with commas between.

    Parameters
    ----------
    text : str
        As it was given.

    Returns
    -------
    collection of str or None
        None for all.

    Raises
    ------
    InputError
        If there is no adapter of that name.

    Examples
    --------
    >>> wanted_peers("none"), wanted_peers("filterpy,scipy")
    ([], ['filterpy', 'scipy'])
    """
    if text == "all":
        return None
    names = [] if text == "none" else text.split(",")
    unknown = sorted(set(names) - set(DISTRIBUTIONS))
    if unknown:
        raise InputError(f"no peer {', '.join(unknown)}; there are {', '.join(DISTRIBUTIONS)}.")
    return names


def wrong_answers(document: Document) -> list[str]:
    """Return what was wrong: jobs whose answer was not ours, and workloads of ours that failed.

    Parameters
    ----------
    document : dict
        Of a run.

    Returns
    -------
    list of str
        One line each.
    """
    failed = [f"{one['name']}: {one['failed']}" for one in document["workloads"] if one["failed"]]
    return failed + [
        f"{workload['name']}, {case['name']}, {name}: {job['left_out']}"
        for workload in document["workloads"] for case in workload["cases"] for name, job in case["jobs"].items()
        if job.get("left_out", "").startswith("wrong")
    ]  # fmt: skip


def goal_lines(document: Document) -> list[str]:
    """Write goals, skipped peers and faults of a run, a line each.

    Parameters
    ----------
    document : dict
        Of a run.

    Returns
    -------
    list of str
        For a terminal.
    """
    lines = [
        f"{goal['verdict']:13s} {goal['workload']}, {goal['what']}: {goal['measured'] or goal['reason']} "
        f"(goal {goal['goal']})"
        for goal in _goals(document)
    ]
    for workload in document["workloads"]:
        lines += [f"{'skipped':13s} {workload['name']}, {peer}: {why}" for peer, why in workload["skipped"].items()]
    return lines + [f"{'WRONG':13s} {line}" for line in wrong_answers(document)]


def _goals(document: Document) -> list[dict[str, str]]:
    """Every goal in words: workload, what, goal, measured, verdict and reason."""
    found = []
    for workload in document["workloads"]:
        for goal in workload["goals"]:
            what, wanted, measured = goal_words(goal)
            about = {"workload": workload["name"], "what": what, "goal": wanted, "measured": measured}
            found.append(about | {"verdict": goal["verdict"], "reason": goal["reason"]})
    return found


def _guard(options: argparse.Namespace) -> int:
    lost = guard(_tell, options.seed)
    lines = [
        f"{name}: {times:.1f} times slower beside it than the baseline says (more than {GROSS:g})"
        for name, times in lost.items()
    ]
    _say({"lost": lost}, lines or ["no gross loss of speed"], options)
    return WRONG if lost else 0


def _renew(options: argparse.Namespace) -> int:
    path, changes = renew_baseline(_tell, options.seed)
    lines = [f"{name}: {was or 0.0:.3g}x, now {now:.3g}x" for name, (was, now) in changes.items()]
    _say({"files": [str(path)], "changes": changes}, [*lines, f"written: {path}"], options)
    return 0


def _say(told: dict[str, Any], lines: list[str], options: argparse.Namespace) -> None:
    """Print one object for machines, or lines for people."""
    sys.stdout.write(json.dumps(told) + "\n" if options.json else "\n".join(lines) + "\n")


def _tell(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
