"""Compiling ahead of time: what two processes share out among them is what the first one needs."""

import os
import subprocess
import sys

import pytest

from dronetrack import kernels, warm
from dronetrack.kernels import hindsight

PROBE = """
from dronetrack import kernels, warm
warm._smoothing()
assert kernels.is_on_disk("hindsight.smooth_rows") and not kernels.is_on_disk("filters.track_rows")
"""


@pytest.fixture
def done(monkeypatch):
    """Names of the jobs that were done, instead of compiling."""
    names = []
    jobs = tuple(job._replace(run=lambda name=job.name: names.append(name)) for job in warm.JOBS)
    monkeypatch.setattr(warm, "JOBS", jobs)
    return names


def test_only_the_smoother_is_compiled_aside(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", PROBE], env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, check=False
    )
    assert run.returncode == 0


def test_what_is_compiled_aside_serves_what_is_fused():
    warm._smoothing()
    warm._fusion()
    assert len(hindsight.smooth_rows.signatures) == 1


def test_every_job_leaves_on_disk_what_it_is_known_by():
    warm.warm_up(n_processes=1)
    assert all(warm.is_warm(room) for room in warm.ROOMS)
    assert [job.name for job in warm.JOBS if not kernels.is_on_disk(job.entry)] == []


def test_a_job_that_somebody_took_is_left_to_them(tmp_path, done):
    names = [job.name for job in warm.JOBS]
    (tmp_path / names[0]).touch()
    warm._take(str(tmp_path), names)
    assert done == names[1:]
    warm._take(str(tmp_path), names)
    assert done == names[1:]


def test_every_job_is_done_once_in_two_processes_even_if_the_second_fails(monkeypatch, done):
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")
    warm._share([job.name for job in warm.JOBS])
    assert done == [job.name for job in warm.JOBS]


def test_a_second_process_starts_only_where_something_is_missing(monkeypatch):
    shared = []
    monkeypatch.setattr(warm, "_share", shared.append)
    monkeypatch.setattr(warm, "LOADS", dict.fromkeys(warm.ROOMS, lambda: None))
    monkeypatch.setattr(kernels, "is_on_disk", lambda _: True)
    warm.warm_up()
    assert shared == []
    monkeypatch.setattr(kernels, "is_on_disk", lambda _: False)
    monkeypatch.setattr(sys, "executable", "/usr/bin/host-program")
    warm.warm_up()
    assert shared == []
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    warm.warm_up()
    assert shared == [[job.name for job in warm.JOBS]]


def test_a_second_python_compiles_for_the_same_library_also_in_a_folder_with_another_one(tmp_path, monkeypatch):
    (tmp_path / "dronetrack").mkdir()
    (tmp_path / "dronetrack" / "__init__.py").write_text("raise ImportError('another one')")
    monkeypatch.chdir(tmp_path)
    desk = tmp_path / "desk"
    desk.mkdir()
    with warm._aside(str(desk), ["sensing"]) as process:
        assert process.wait(timeout=120) == 0
    assert (desk / "sensing").exists()
