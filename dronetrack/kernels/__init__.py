"""Numbers only: compiled kernels over arrays and floats.

This room knows no names, no files, no units and no errors; all of that is settled before the wall, once per batch.
It imports numpy, numba and the llvmlite under it, and nothing else.
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from numba.core import config
from numba.core.registry import CPUDispatcher

from dronetrack.kernels.compiling import KernelCompiler, Part, RolledCompiler, seldom_collected
from dronetrack.kernels.loading import KernelCache

__all__ = ["is_on_disk", "kernel", "seldom_collected"]

_HERE = pathlib.Path(__file__).parent


def _cache_folder() -> str:
    """Folder for compiled kernels, keyed by a hash of every kernel source.

    numba itself looks only at the file that holds the function, not at the files it calls into, so an edit there
    would be missed; a new hash is a new folder.
    """
    digest = hashlib.sha256()
    for source in sorted(_HERE.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    name = f"kernels-{digest.hexdigest()[:16]}"
    user_cache = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    roots = [_HERE / "__pycache__", pathlib.Path(user_cache) / "dronetrack", pathlib.Path(tempfile.gettempdir())]
    for root in roots:
        folder = root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return ""


@contextlib.contextmanager
def _numba_cache(folder: str) -> Iterator[None]:
    before = config.CACHE_DIR
    config.CACHE_DIR = folder
    try:
        yield
    finally:
        config.CACHE_DIR = before


# No fast-math beyond fused multiply-add: re-association would break bit equality between runs and chunkings.
OPTIONS = {"nopython": True, "nogil": True, "boundscheck": None, "fastmath": {"contract"}, "error_model": "numpy"}
_FOLDER = os.environ.get("NUMBA_CACHE_DIR") or _cache_folder()


def is_on_disk(name: str) -> bool:
    """Whether machine code of a kernel, ``room.kernel``, was kept by an earlier run of these sources."""
    return any(pathlib.Path(_FOLDER).rglob(f"{name}-*.nbi")) if _FOLDER else True


def kernel(
    function: Callable | None = None, *, alone: bool = False, merged: bool = False, unrolled: bool = True
) -> Any:
    """Compile `function` on first use, keep the machine code on disk, release the GIL.

    A part that is optimised `alone` first costs more to compile; where its caller would not take it in otherwise, it
    pays (the side of a place: 17 ns, and 5 so). A part that is `merged` is taken in by its caller however long it is:
    the many numbers that go in and out then stay in the processor (a step of a sequence: 75 ns, and 55 so). A large
    kernel whose loops are all over lanes is not `unrolled`: it is as fast, and compiled in two thirds of the time.
    """
    if function is None:
        return functools.partial(kernel, alone=alone, merged=merged, unrolled=unrolled)
    if config.DISABLE_JIT:
        return function
    # What only other kernels call is compiled into them: an entry of its own would cost each start a look-up.
    inner = function.__name__.endswith("_one")
    options = {**OPTIONS, "forceinline": merged}
    if inner and not alone:
        return Part(function, options)
    compiler = KernelCompiler if unrolled else RolledCompiler
    whole = CPUDispatcher(function, targetoptions=options, pipeline_class=compiler)
    if _FOLDER and not inner:
        with _numba_cache(_FOLDER):
            whole._cache = KernelCache(function)  # noqa: SLF001 - numba's own, which imports the whole compiler
    return whole
