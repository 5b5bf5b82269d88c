"""What every test may ask for: the demo recording, our shared data where it is, and seeded randomness."""

import os
import pathlib

import numpy as np
import pytest
from hypothesis import settings

import dronetrack

# The first example of a test may load or compile a kernel: a deadline would measure that.
settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")

ROOT = pathlib.Path(__file__).parent.parent
SHARED = pathlib.Path(os.environ.get("DRONETRACK_SHARED_DATA", ROOT.parent / "shared" / "data"))
DEMO = pathlib.Path(dronetrack.__file__).parent / "data" / "demo"


@pytest.fixture(scope="session")
def demo():
    """Folder of the packaged recording."""
    return DEMO


@pytest.fixture(scope="session")
def shared():
    """Path of a file of the shared data; the test is skipped where the project stands alone."""

    def path(name):
        place = SHARED / name
        if not place.exists():
            pytest.skip(f"shared data are not here: {name}")
        return place

    return path


@pytest.fixture
def rng(request):
    """A generator seeded by the test's own name."""
    return np.random.default_rng(list(request.node.nodeid.encode()))
