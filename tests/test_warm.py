"""Compiling ahead of time: what the second process lays on disk is what the first one needs."""

import os
import subprocess
import sys

from dronetrack import kernels, warm
from dronetrack.kernels import hindsight

PROBE = """
from dronetrack import kernels, warm
warm._smoothing()
assert kernels.is_on_disk("hindsight.smooth_rows") and not kernels.is_on_disk("filters.track_rows")
"""


def test_only_the_smoother_is_compiled_aside(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", PROBE], env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, check=False
    )
    assert run.returncode == 0


def test_what_is_compiled_aside_serves_what_is_fused():
    warm._smoothing()
    warm._fusion()
    assert len(hindsight.smooth_rows.signatures) == 1


def test_a_second_process_starts_only_where_something_is_missing(monkeypatch):
    warm.warm_up(n_processes=1)
    assert kernels.is_on_disk("mixtures.mixture_rows")
    assert warm._aside(warm.ROOMS) is None
    monkeypatch.setattr(kernels, "is_on_disk", lambda _: False)
    monkeypatch.setattr(sys, "executable", "/usr/bin/host-program")
    assert warm._aside(warm.ROOMS) is None
