"""How does a compiled kernel come back from the disk? Without numba's knowledge of how to compile, which it needs not.

Before numba loads a function it imports all that it may compile, and scipy.linalg with that; of each function it reads
the intermediate code again, for callers that might take it in. A start that only loads does without both: the 34
kernels of `dronetrack.warm_up` then take 0.06 s instead of 0.41 s. What has to be compiled imports the rest.
"""

import functools
from typing import Any

from llvmlite import binding
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys


class LoadedLibrary(JITCodeLibrary):
    """Machine code from the disk; its intermediate code is read when another kernel takes it in."""

    def __init__(self, codegen: Any, name: str, machine_code: bytes, intermediate_code: bytes) -> None:
        super().__init__(codegen, name)
        self.enable_object_caching()
        self._set_compiled_object(machine_code)
        self._intermediate_code = intermediate_code
        self._finalize_final_module()

    def _get_module_for_linking(self) -> Any:
        return self._linkable

    @functools.cached_property
    def _linkable(self) -> Any:
        return binding.parse_bitcode(self._intermediate_code)


class _Loader:
    """What numba asks, when it rebuilds the result of a compilation: the target, with libraries that are read late."""

    def __init__(self, target: Any, function: Any) -> None:
        self._target = target
        self._function = function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def codegen(self) -> "_Loader":
        """Return what makes a library of what was kept."""
        return self

    def unserialize_library(self, kept: tuple[str, str, tuple[bytes, bytes]]) -> LoadedLibrary:
        """Make a library of its name and its two codes."""
        name, _, codes = kept
        library = LoadedLibrary(self._target.codegen(), name, *codes)
        entries = {self._function.llvm_func_name, self._function.llvm_cpython_wrapper_name}
        self._target.codegen()._engine._defined_symbols.update(entries)  # noqa: SLF001 - numba finds them in what we read late
        return library


class _Results(CompileResultCacheImpl):
    def reduce(self, cres: CompileResult) -> tuple:
        """Return what is kept: no annotations, and of what it calls no environment without constants to look up.

        To rebuild an environment numba imports the module that it comes from, even where nothing is in it.
        """
        code, function, environment, signature, in_objects, lifted, _, starts, called = cres._reduce()  # noqa: SLF001
        called = tuple(one for one in called if one.consts)
        return code, function, environment, signature, in_objects, lifted, "", starts, called

    def rebuild(self, target_context: Any, payload: tuple) -> CompileResult:
        """Return what was compiled."""
        result = CompileResult._rebuild(_Loader(target_context, payload[1]), *payload)  # noqa: SLF001
        return result._replace(target_context=target_context)


class KernelCache(FunctionCache):
    """Machine code of one kernel on disk."""

    _impl_class = _Results

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        """Return what was kept for a signature, None where nothing was."""
        rtsys.initialize(target_context)  # kernels allocate
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)
