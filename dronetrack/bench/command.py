"""``dronetrack bench``: what was asked for on the command line, run, told and written."""

import argparse
import datetime as dt
import sys
from collections.abc import Collection

from dronetrack.bench.guard import GROSS, guard, write_baseline
from dronetrack.bench.page import goal_words
from dronetrack.bench.peers import DISTRIBUTIONS
from dronetrack.bench.run import Document, run, write
from dronetrack.bench.workload import Workload
from dronetrack.bench.workloads import workloads
from dronetrack.errors import InputError

WRONG = 1


def bench(options: argparse.Namespace) -> int:
    """Run the command.

    Parameters
    ----------
    options : Namespace
        ``names``, ``peers``, ``quick``, ``out``, ``seed``, ``data``, ``guard``, ``renew``.

    Returns
    -------
    int
        0; 1 where an answer was wrong, or the guard found a gross loss.

    Raises
    ------
    InputError
        If a workload or a peer has no such name.
    """
    if options.guard:
        return _guard(options.seed)
    started = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    peers = wanted_peers(options.peers)
    document = run(
        wanted_workloads(options.names), peers=peers, quick=options.quick, seed=options.seed, data=options.data,
        started=started, tell=_tell,
    )  # fmt: skip
    files = write(document, options.out)
    if options.renew:
        write_baseline(options.renew, document, DISTRIBUTIONS if peers is None else peers)
    _show(document)
    sys.stdout.write(f"written: {', '.join(str(file) for file in files)}\n")
    return WRONG if wrong_answers(document) else 0


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
    """Return the jobs whose answer was not ours: workload, case, job and fault.

    Parameters
    ----------
    document : dict
        Of a run.

    Returns
    -------
    list of str
        One line each.
    """
    return [
        f"{workload['name']}, {case['name']}, {name}: {job['left_out']}"
        for workload in document["workloads"] for case in workload["cases"] for name, job in case["jobs"].items()
        if job.get("left_out", "").startswith("wrong")
    ]  # fmt: skip


def _show(document: Document) -> None:
    for workload in document["workloads"]:
        for goal in workload["goals"]:
            what, wanted, measured = goal_words(goal)
            line = f"{goal['verdict']:13s} {workload['name']}, {what}: {measured or goal['reason']} (goal {wanted})"
            sys.stdout.write(line + "\n")
        for name, why in workload["skipped"].items():
            sys.stdout.write(f"{'skipped':13s} {workload['name']}, {name}: {why}\n")
    for line in wrong_answers(document):
        sys.stdout.write(f"{'WRONG':13s} {line}\n")


def _guard(seed: int) -> int:
    lost = guard(_tell, seed)
    for name, times in lost.items():
        sys.stdout.write(f"{name}: {times:.1f} times slower beside it than the baseline says (more than {GROSS:g})\n")
    if not lost:
        sys.stdout.write("no gross loss of speed\n")
    return WRONG if lost else 0


def _tell(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
