"""Who else does it? One small adapter per peer, which uses it as its own documentation recommends for speed.

An adapter imports its peer at the top, so that one that is not installed is noticed here, and left out with the reason.
It holds functions that take a problem as plain arrays and return a callable without arguments, which solves it once:
what a user would prepare beforehand is prepared outside of that.
"""

import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Collection, Iterable
from types import ModuleType

# Adapter -> what pip installs. The versions are pinned in the extra `bench`.
DISTRIBUTIONS = {
    "cuthbert": "cuthbert",
    "dynamax": "dynamax",
    "fasttlogparser": "fasttlogparser",
    "filterpy": "filterpy",
    "gri_kalman": "gri-kalman",
    "gri_multitrack": "gri-multitrack",
    "kalbee": "kalbee",
    "mavpose": "mavpose",
    "pymap3d": "pymap3d",
    "pymavlink": "pymavlink",
    "pyproj": "pyproj",
    "pyulog": "pyulog",
    "scipy": "scipy",
    "shapely": "shapely",
    "simdkalman": "simdkalman",
    "stonesoup": "stonesoup",
    "torch_kf": "torch-kf",
    "uavreaders": "UAVReaders",
}
# What a peer asks for beyond the extra: the Python that it runs on, or an extra of its own.
PYTHONS = {"gri_kalman": (3, 12), "gri_multitrack": (3, 12)}
EXTRAS = {"torch_kf": "bench-torch"}


def find_peers(
    names: Iterable[str], wanted: Collection[str] | None = None
) -> tuple[dict[str, ModuleType], dict[str, str]]:
    """Import adapters.

    Parameters
    ----------
    names : iterable of str
        Which.
    wanted : collection of str, optional
        Leave out all others; by default none is left out so.

    Returns
    -------
    found : dict of str to module
        Adapters by name.
    skipped : dict of str to str
        Why each of the others is not there.
    """
    found, skipped = {}, {}
    for name in names:
        if wanted is not None and name not in wanted:
            skipped[name] = "not asked for"
            continue
        if sys.version_info < (needed := PYTHONS.get(name, (3, 11))):
            skipped[name] = f"needs Python {'.'.join(map(str, needed))}, this is {platform.python_version()}"
            continue
        try:
            found[name] = importlib.import_module(f"{__name__}.{name}")
        except ImportError as fault:
            skipped[name] = f"not installed ({fault}); pip install 'dronetrack[{EXTRAS.get(name, 'bench')}]'"
        except Exception as fault:  # noqa: BLE001 - a peer that breaks on import must not take the run with it
            skipped[name] = f"not usable here: {type(fault).__name__}: {fault}"
    return found, skipped


def peer_versions() -> dict[str, str]:
    """Return the version of each peer that is installed."""
    found = {}
    for distribution in DISTRIBUTIONS.values():
        try:
            found[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
