"""The package as a whole: its face, its imports, its kernels without the compiler."""

import importlib
import os
import pathlib
import subprocess
import sys

import dronetrack

ROOT = pathlib.Path(__file__).parent.parent


def test_every_public_name_is_there_and_has_words():
    for name in dronetrack.__all__:
        assert getattr(dronetrack, name).__doc__, name
    assert set(dronetrack.__all__) <= set(dir(dronetrack))


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("numpy", "numba", "scipy", "pandas", "geopandas", "pymavlink", "filterpy", "matplotlib", "rich", "pyarrow")
    probe = f"import sys, dronetrack; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_public_rooms_load_no_third_party_that_only_some_use():
    heavy = (
        "pandas",
        "geopandas",
        "pymavlink",
        "filterpy",
        "matplotlib",
        "rich",
        "pyarrow",
        "scipy.optimize",
        "rasterio",
    )
    rooms = [f"dronetrack.{room}" for room in sorted(set(dronetrack._ROOMS.values()))]
    probe = f"import sys, {', '.join(rooms)}; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_kernels_say_the_same_without_the_compiler():
    """The kernels are plain Python too: small tests of the rooms around them pass with the JIT off."""
    small = ["tests/test_telemetry.py", "tests/test_tracks.py", "tests/test_geodesy.py::test_ecef_agrees_with_proj",
             "tests/test_filtering.py::test_positions_are_filtered_as_filterpy_does",
             "tests/test_filtering.py::test_lines_of_sight_and_heights_are_filtered_as_filterpy_does",
             "tests/test_border.py::test_one_true_crossing_is_one_crossing_at_its_time",
             "tests/test_mavlink.py::test_both_wire_versions_are_read",
             "tests/test_mavlink.py::test_a_flipped_bit_is_a_bad_frame_and_not_a_wrong_value"]  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *small],
        cwd=ROOT, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:]


def test_rooms_say_which_question_they_answer():
    for path in sorted((ROOT / "dronetrack").glob("*.py")):
        if path.stem not in ("__init__", "__main__", "errors", "cli"):
            first = importlib.import_module(f"dronetrack.{path.stem}").__doc__.splitlines()[0]
            assert "?" in first, path.name
