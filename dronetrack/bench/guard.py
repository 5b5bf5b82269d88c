"""Has something become grossly slower? Ratios to peers in the same run, beside those of an earlier commit.

Seconds differ between machines and with load; how many times as fast one is as another in turn with it differs little.
Only a loss of more than three times counts, and only if it is seen twice.

``dronetrack bench --renew-baseline`` renews them after a change that is meant to cost, or has won much; to guard
another workload, add its name to the file first.
"""

import importlib.resources
import json
import pathlib
from collections.abc import Callable, Mapping
from importlib.resources.abc import Traversable
from typing import Any

from dronetrack.bench.judging import ratios
from dronetrack.bench.run import run
from dronetrack.bench.workloads import workloads
from dronetrack.errors import InputError

GROSS = 3.0


def read_baseline() -> dict[str, Any]:
    """Return the packaged baseline: ``workloads`` and ``peers`` to run, and ``ratios``."""
    return json.loads(_packaged().read_text(encoding="utf-8"))


def _packaged() -> Traversable:
    return importlib.resources.files("dronetrack.bench") / "baseline.json"


def renew_baseline(
    tell: Callable[[str], object], seed: int = 1, path: pathlib.Path | None = None
) -> tuple[pathlib.Path, dict[str, tuple[float | None, float]]]:
    """Run what the baseline names, and write it anew with today's ratios: on a machine that does nothing else.

    Parameters
    ----------
    tell : callable
        Is told each line of progress.
    seed : int, optional
        Of every random number.
    path : Path, optional
        Where to; by default the packaged file, of a working copy.

    Returns
    -------
    path : Path
        What was written.
    changes : dict of str to (float or None, float)
        Each ratio to a peer, before (None where it is new) and now. Limits of the machine do not count.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    baseline, known = read_baseline(), workloads()
    document = run(
        [known[name] for name in baseline["workloads"]], peers=baseline["peers"], quick=True, seed=seed, profiled=False,
        tell=tell,
    )  # fmt: skip
    found = {
        key: float(f"{value:.3g}") for key, value in ratios(document["workloads"]).items() if " / limit" not in key
    }
    path = path or pathlib.Path(str(_packaged()))
    try:
        path.write_text(
            json.dumps(baseline | {"commit": document["commit"], "ratios": found}, indent=1) + "\n", "utf-8"
        )
    except OSError as fault:
        raise InputError(f"{path}: cannot be written ({fault.strerror}); renew it in a working copy.") from None
    return path, {key: (baseline["ratios"].get(key), value) for key, value in found.items()}


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
        again = [known[name] for name in names]
        document = run(again, peers=baseline["peers"], quick=True, seed=seed, profiled=False, tell=tell)
        lost = losses(ratios(document["workloads"]), baseline["ratios"])
        names = sorted({name.split(" / ")[0] for name in lost})
        if not lost:
            break
    return lost
