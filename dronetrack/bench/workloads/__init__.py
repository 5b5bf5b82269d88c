"""Which questions are asked? One file for each; the file holds a `WORKLOAD`, and its name is the workload's name."""

import importlib
import pkgutil

from dronetrack.bench.workload import Workload


def workloads() -> dict[str, Workload]:
    """Return all workloads by name, in the order of the alphabet."""
    names = sorted(one.name for one in pkgutil.iter_modules(__path__))
    found = (importlib.import_module(f"{__name__}.{name}").WORKLOAD for name in names)
    return {one.name: one for one in found}
