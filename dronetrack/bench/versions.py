"""Of what was it measured? Versions and commit, so that a number can be understood later."""

import importlib.metadata
import pathlib
import subprocess

import dronetrack
from dronetrack.bench.peers import peer_versions

LIBRARIES = ("numpy", "scipy", "numba", "pyarrow")


def versions() -> dict[str, str]:
    """Return versions: ours, of what we stand on, and of every peer that is installed."""
    ours = {"dronetrack": dronetrack.__version__}
    return ours | {name: importlib.metadata.version(name) for name in LIBRARIES} | peer_versions()


def commit() -> str:
    """Return the commit of the working copy that runs, with ``+`` if it was changed; empty for an installed package."""
    folder = pathlib.Path(dronetrack.__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - ours

    try:
        if not git("ls-files", "__init__.py"):
            return ""
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
