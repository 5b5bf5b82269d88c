"""How fast, how accurate, beside whom? Benchmarks that run with one command: ``dronetrack bench``.

>>> from dronetrack.bench import workloads
>>> "bank" in workloads()
True
"""

from dronetrack.bench.keeping import read_run, write
from dronetrack.bench.run import run
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload
from dronetrack.bench.workloads import workloads

__all__ = ["Case", "Goal", "Job", "Setting", "Workload", "read_run", "run", "workloads", "write"]
