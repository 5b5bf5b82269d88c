"""Law 6: no input is changed, and no kernel is compiled twice for one use."""

import json
import subprocess
import sys

import numpy as np

from dronetrack.mission import fuse

PROBE = """
import importlib, json, pkgutil, sys
import numba
import dronetrack.kernels
from dronetrack.mission import fuse
from dronetrack.report import summary_lines
fusion = fuse(sys.argv[1])
summary_lines(fusion)
fusion.border.side(fusion.track.lat_deg, fusion.track.lon_deg)
counts = {}
for room in pkgutil.iter_modules(dronetrack.kernels.__path__):
    module = importlib.import_module(f"dronetrack.kernels.{room.name}")
    for name, value in vars(module).items():
        if isinstance(value, numba.core.dispatcher.Dispatcher) and name.endswith("_rows"):
            counts[f"{room.name}.{name}"] = len(value.signatures)
print(json.dumps(counts))
"""


def test_each_kernel_is_compiled_for_one_layout(demo):
    run = subprocess.run(
        [sys.executable, "-c", PROBE, str(demo / "mission.toml")], capture_output=True, text=True, check=True
    )
    counts = json.loads(run.stdout)
    assert counts["filters.track_rows"] == 1
    assert {name: count for name, count in counts.items() if count > 1} == {}


def test_every_column_is_read_only(demo):
    """What cannot be written was not written: each room takes the columns of the one before as they are."""
    fusion = fuse(demo / "mission.toml")
    columns = [getattr(fusion.track, name) for name in ("time_us", "state", "cov")]
    columns += [getattr(fusion.measurements, name) for name in ("time_us", "z", "cov", "site_cov")]
    columns += [fusion.drones[0].position.lat_deg, fusion.units[0].lat_deg]
    assert all(isinstance(one, np.ndarray) and not one.flags.writeable for one in columns)
