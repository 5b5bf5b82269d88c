"""How is a kernel compiled? As one piece: what only kernels call is lowered by itself and optimised where it is used.

numba makes of every compiled function a library of its own: optimised, turned into machine code and wrapped for calls
from Python, although its caller inlines it and is optimised again. A kernel that calls kernels that call kernels is so
optimised many times over. Here a part, a kernel that only kernels call, goes no further than its intermediate code,
and the kernel that is entered from Python is optimised once with all its parts: in half the time.

The classes extend those of numba that its own pipeline is made of, and override nothing but what is said here.
"""

import contextlib
import dis
import functools
import gc
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from llvmlite import binding
from numba import types
from numba.core import codegen, config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.cpu import CPUContext
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
# What makes an array, or one that lies in another's memory and may be returned. A part without looks at those of its
# caller, and need not count who else does: numba counts at every call, atomically, and that was a quarter of the time
# of a smoother.
MAKES_ARRAYS = {"empty", "zeros", "ones", "full", "arange", "array", "copy", "any", "view"}
SIGNATURES: dict[tuple, Any] = {}
SIZES: dict[str, int] = {}


class Part(CPUDispatcher):
    """A kernel that kernels call. Called from Python, for a look at it, it is compiled for itself."""

    def __init__(self, function: Callable, options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions=options, pipeline_class=PartCompiler)

    @functools.cached_property
    def whole(self) -> CPUDispatcher:
        """The same as a kernel."""
        return CPUDispatcher(self.py_func, targetoptions=self.targetoptions, pipeline_class=KernelCompiler)

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


class RolledLibrary(JITCodeLibrary):
    """A kernel whose loops stay loops: those over the lanes of a block are vectors already, and only grow."""

    def _optimize_final_module(self) -> None:
        with contextlib.ExitStack() as stack:
            if hasattr(codegen, "create_pass_builder"):  # not in numba 0.60
                stack.enter_context(_instead(codegen, "create_pass_builder", _without_unrolling))
            super()._optimize_final_module()


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
        """Compile with little garbage collection, and with a memory."""
        with seldom_collected(), _remembering(), _optimised(self.level):
            return super().compile_extra(func)

    def define_pipelines(self) -> list:
        """Set what concerns this function alone: its callees have taken the flags over by now."""
        self.state.flags.no_cfunc_wrapper = True
        pipelines = super().define_pipelines()
        for pipeline in pipelines if _is_plain(self.state.func_id.func) else ():
            pipeline.passes = [one for one in pipeline.passes if one[0].__name__ not in NEEDLESS]
            pipeline.finalize()
        return pipelines


class RolledCompiler(KernelCompiler):
    """Compile a kernel without unrolling its loops."""

    def define_pipelines(self) -> list:
        """Set what concerns this function alone."""
        self.state.library = RolledLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        return super().define_pipelines()


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
def _remembering() -> Iterator[None]:
    """Let numba remember what it asks again at every ``x * y``, as long as a kernel is compiled, under its own lock."""
    if types.Function.get_call_type.__module__ == __name__:
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_instead(types.Function, "get_call_type", _remember_signatures))
        stack.enter_context(_instead(CPUContext, "get_abi_sizeof", _remember_sizes))
        stack.enter_context(_instead(CPUContext, "get_function", _remember_misses))
        yield


@contextlib.contextmanager
def _instead(owner: Any, name: str, remember: Callable[[Callable], Callable]) -> Iterator[None]:
    """Put what remembers in the place of a method."""
    own = vars(owner).get(name)
    setattr(owner, name, remember(getattr(owner, name)))
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _remember_signatures(ask: Callable) -> Callable:
    """Remember what a call of a built-in function is for these types: numba tries all it knows."""

    def get_call_type(function: types.Function, context: Any, args: tuple, kws: dict) -> Any:
        if kws:
            return ask(function, context, args, kws)
        known = SIGNATURES.get((function, args))
        if known is None:
            known = SIGNATURES[function, args] = ask(function, context, args, kws)
        return known

    return get_call_type


def _remember_sizes(ask: Callable) -> Callable:
    """Remember how many bytes a type has: numba writes and reads a module of intermediate code to find out."""

    def get_abi_sizeof(context: CPUContext, kind: Any) -> int:
        name = str(kind)
        if name not in SIZES:
            SIZES[name] = ask(context, kind)
        return SIZES[name]

    return get_abi_sizeof


def _remember_misses(ask: Callable) -> Callable:
    """Remember which function does not exist for constants: numba looks through all its modules at each that it misses.

    In an ``x * 2.0`` it asks for a product with this very constant first.
    """
    missing = set()

    def get_function(context: CPUContext, function: Any, signature: Any, **second: bool) -> Callable:
        if (function, signature) in missing and not second:
            raise NotImplementedError
        try:
            return ask(context, function, signature, **second)
        except NotImplementedError:
            missing.add((function, signature))
            raise

    return get_function


def _without_unrolling(build: Callable) -> Callable:  # noqa: ARG001 - what stood there
    """Build what optimises as numba does, but for unrolling, which numba has no word for."""

    def create_pass_builder(
        machine: Any, opt: int = 2, loop_vectorize: bool = False, slp_vectorize: bool = False
    ) -> binding.PassBuilder:
        options = binding.create_pipeline_tuning_options(opt)
        options.loop_vectorization, options.slp_vectorization = loop_vectorize, slp_vectorize
        options.loop_unrolling = False
        return binding.create_pass_builder(machine, options)

    return create_pass_builder


@contextlib.contextmanager
def _optimised(level: int) -> Iterator[None]:
    before, config.OPT = config.OPT, level
    try:
        yield
    finally:
        config.OPT = before


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect garbage seldom: what compiling leaves, a million objects and more, stays to the end."""
    before = gc.get_threshold()
    gc.set_threshold(2_000_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
