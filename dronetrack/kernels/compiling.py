"""How is a kernel compiled? As one piece: what only kernels call is lowered by itself and optimised where it is used.

numba makes of every compiled function a library of its own: optimised, turned into machine code and wrapped for calls
from Python, although its caller inlines it and is optimised again. A kernel that calls kernels that call kernels is so
optimised many times over. Here a part, a kernel that only kernels call, goes no further than its intermediate code,
and the kernel that is entered from Python is optimised once with all its parts: in half the time.

The classes extend those of numba that its own pipeline is made of, and override nothing but what is said here.
"""

import contextlib
import dis
import gc
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, ClassVar

from numba import types
from numba.core import config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.registry import CPUDispatcher

# What numba does for closures, `with`, literal types and functions that ask to be inlined as source: kernels have none.
NEEDLESS = {
    "WithLifting",
    "InlineClosureLikes",
    "RewriteDynamicRaises",
    "MakeFunctionToJitFunction",
    "InlineInlinables",
    "FindLiterallyCalls",
    "LiteralUnroll",
    "LiteralPropagationSubPipelinePass",
}
# What makes an array. A part that makes none looks at those of its caller, and need not count who else does: numba
# counts at every call, atomically, and that was a quarter of the time of a smoother.
MAKES_ARRAYS = {"empty", "zeros", "ones", "full", "arange", "array", "copy", "any"}


class Part(CPUDispatcher):
    """A kernel that kernels call. Called from Python, for a look at it, it is compiled for itself."""

    def __init__(self, whole: CPUDispatcher) -> None:
        super().__init__(whole.py_func, targetoptions=whole.targetoptions, pipeline_class=PartCompiler)
        self.whole = whole

    def __call__(self, *args: Any) -> Any:
        """Call it from Python."""
        return self.whole(*args)


class PartLibrary(JITCodeLibrary):
    """Intermediate code to be linked into another library: no machine code, no address, no environment."""

    def finalize(self) -> None:
        """Take in the parts of this part, and leave all else to the kernel that is entered."""
        for library in dict.fromkeys(self._linking_libraries):
            if hasattr(self, "_reload_init"):  # not in numba 0.60
                self._reload_init.update(library._reload_init)  # noqa: SLF001
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)  # noqa: SLF001
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:  # noqa: ARG002
        """Return 0: there is no machine code to point to."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        """What takes the environment of the function."""
        return self

    def set_env(self, name: str, env: Any) -> None:
        """Do nothing: only a wrapper for calls from Python looks at the environment."""


class QuickFlags(Flags):
    """The same flags, compared by what is set: numba compares them at every subscript, option by option."""

    def __hash__(self) -> int:
        return hash(frozenset(self._values))

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, Flags) else NotImplemented


class KernelCompiler(Compiler):
    """Compile a kernel that is entered from Python; calls from C need no wrapper."""

    level = config.OPT

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.state.flags = QuickFlags(self.state.flags)

    def compile_extra(self, func: Callable) -> Any:
        """Compile with little garbage collection, of a million objects most stay to the end, and with a memory."""
        with _seldom_collected(), _remembering(self.state.typingctx), _optimised(self.level):
            return super().compile_extra(func)

    def define_pipelines(self) -> list:
        """Set what concerns this function alone: its callees have taken the flags over by now."""
        self.state.flags.no_cfunc_wrapper = True
        pipelines = super().define_pipelines()
        for pipeline in pipelines if _is_plain(self.state.func_id.func) else ():
            pipeline.passes = [one for one in pipeline.passes if one[0].__name__ not in NEEDLESS]
            pipeline.finalize()
        return pipelines


class PartCompiler(KernelCompiler):
    """Compile a part."""

    # Its intermediate code is optimised with the kernel that takes it in.
    level = min(config.OPT, 1)

    def define_pipelines(self) -> list:
        """Set what concerns this function alone."""
        self.state.flags.no_cpython_wrapper = True
        if MAKES_ARRAYS.isdisjoint(self.state.func_id.func.__code__.co_names):
            self.state.targetctx = self.state.targetctx.subtarget(enable_nrt=False)
        self.state.library = PartLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()

    def compile_extra(self, func: Callable) -> Any:
        """Refuse a part that returns an array of its caller as if it were one more: it may not have been counted."""
        compiled = super().compile_extra(func)
        target = self.state.targetctx
        if not target.enable_nrt and target.data_model_manager[compiled.signature.return_type].contains_nrt_meminfo():
            raise TypeError(f"{func.__name__}, a part of a kernel, must not return an array that it did not make.")
        return compiled


def _is_plain(function: Callable) -> bool:
    """Whether a function holds neither another one nor a `with`."""
    code = function.__code__
    inner = any(isinstance(constant, CodeType) for constant in code.co_consts)
    return not inner and all(one.opname != "BEFORE_WITH" for one in dis.get_instructions(code))


@contextlib.contextmanager
def _remembering(context: Any) -> Iterator[None]:
    """Let the typing context remember what `x * y` is for two floats: numba tries all it knows at every one."""
    resolve = getattr(context, "_resolve_user_function_type", None)
    if resolve is None or isinstance(resolve, _Memory):
        yield
        return
    context._resolve_user_function_type = _Memory(context, resolve)  # noqa: SLF001
    try:
        yield
    finally:
        del context._resolve_user_function_type  # noqa: SLF001


class _Memory:
    """Signatures of the calls of built-in functions, by function and types; those of kernels numba keeps itself."""

    signatures: ClassVar[dict[tuple, Any]] = {}

    def __init__(self, context: Any, resolve: Callable) -> None:
        self.context, self.resolve = context, resolve

    def __call__(self, func: Any, args: tuple, kws: Any, *more: Any) -> Any:
        """Return the signature, or None."""
        function = self.context._lookup_global(func) or func  # noqa: SLF001
        if not isinstance(function, types.Function) or kws or more:
            return self.resolve(func, args, kws, *more)
        known = self.signatures.get((function, args))
        if known is None:
            known = self.signatures[function, args] = self.resolve(func, args, kws)
        return known


@contextlib.contextmanager
def _optimised(level: int) -> Iterator[None]:
    before, config.OPT = config.OPT, level
    try:
        yield
    finally:
        config.OPT = before


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(500_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
