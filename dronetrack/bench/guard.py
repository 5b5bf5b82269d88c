r"""Has something become grossly slower? Ratios to peers in the same run, beside those of an earlier commit.

Seconds differ between machines and with load; how many times as fast one is as another in turn with it differs little.
Only a loss of more than three times counts, and only if it is seen twice.

Renew the baseline after a change that is meant to cost, or has won much::

    dronetrack bench bank decode line_of_sight mixture onboard_logs sequence smoother --quick \
        --peers filterpy,pymavlink --renew dronetrack/bench/baseline.json
"""

import importlib.resources
import json
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from dronetrack.bench.run import ratios, run
from dronetrack.bench.workloads import workloads

GROSS = 3.0


def read_baseline() -> dict[str, Any]:
    """Return the packaged baseline: ``workloads`` and ``peers`` to run, and ``ratios``."""
    text = (importlib.resources.files("dronetrack.bench") / "baseline.json").read_text(encoding="utf-8")
    return json.loads(text)


def write_baseline(path: pathlib.Path, document: dict[str, Any], peers: Collection[str]) -> None:
    """Write a baseline from a run: the ratios to its peers, not to limits of the machine.

    Parameters
    ----------
    path : Path
        Where to.
    document : dict
        Of the run.
    peers : collection of str
        Which peers it raced against.
    """
    found = {
        key: float(f"{value:.3g}") for key, value in ratios(document["workloads"]).items() if " / limit" not in key
    }
    names = [one["name"] for one in document["workloads"]]
    baseline = {"commit": document["commit"], "workloads": names, "peers": sorted(peers), "ratios": found}
    path.write_text(json.dumps(baseline, indent=1) + "\n", encoding="utf-8")


def losses(found: Mapping[str, float], baseline: Mapping[str, float]) -> dict[str, float]:
    """Say which ratios are grossly worse than they were.

    Parameters
    ----------
    found, baseline : mapping of str to float
        Ratios by name; only names in both are compared, a name that is in neither is not missed.

    Returns
    -------
    dict of str to float
        How many times worse, by name.

    Examples
    --------
    >>> losses({"a": 20.0, "b": 90.0}, {"a": 100.0, "b": 100.0, "c": 7.0})
    {'a': 5.0}
    """
    worse = {name: was / found[name] for name, was in baseline.items() if name in found}
    return {name: times for name, times in worse.items() if times > GROSS}


def guard(tell: Callable[[str], object], seed: int = 1) -> dict[str, float]:
    """Run what the baseline names; what seems lost is run once more.

    Parameters
    ----------
    tell : callable
        Is told each line of progress.
    seed : int, optional
        Of every random number.

    Returns
    -------
    dict of str to float
        Ratios lost both times, and how many times worse they are.
    """
    baseline = read_baseline()
    known, names = workloads(), baseline["workloads"]
    lost: dict[str, float] = {}
    for _ in range(2):
        document = run([known[name] for name in names], peers=baseline["peers"], quick=True, seed=seed, tell=tell)
        lost = losses(ratios(document["workloads"]), baseline["ratios"])
        names = sorted({name.split(" / ")[0] for name in lost})
        if not lost:
            break
    return lost
