"""How are the rows of a small matrix added and multiplied? Eight numbers at once, in values that kernels compute with.

A compiler makes vectors of a loop by itself, but for hundreds of numbers: of a row of twenty it does sixteen so and
the rest one by one, behind a test whether two arrays overlap. Here the kernel says what it means, and what it says is
compiled in half the time. Rows are as long as whole lanes (`lanes_for`); what stands behind their end is 0.

`take` and `put` look at no bounds. Without a compiler (NUMBA_DISABLE_JIT) lanes are arrays of numpy.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from dronetrack.kernels import kernel

LANES = 8


class Lanes(types.Type):
    """Eight float64 in a register, or in as many registers as the machine needs for them."""


class LanesModel(models.PrimitiveModel):
    """The vector type of the compiler."""

    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.DoubleType(), LANES))


lanes = Lanes("lanes")
register_model(Lanes)(LanesModel)


def _pointer(context: Any, builder: Any, kinds: tuple, args: tuple) -> Any:
    """Where in an array eight numbers start."""
    array = context.make_array(kinds[0])(context, builder, args[0])
    at = [
        context.cast(builder, one, kind, types.intp)
        for one, kind in zip(cgutils.unpack_tuple(builder, args[1]), kinds[1], strict=True)
    ]
    first = cgutils.get_item_pointer(context, builder, kinds[0], array, at, wraparound=False)
    return builder.bitcast(first, context.get_value_type(lanes).as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    """Eight times the same number."""
    undefined = ir.Constant(ir.VectorType(ir.DoubleType(), LANES), ir.Undefined)
    one = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(one, undefined, _order([0] * LANES))


def _order(places: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)


@intrinsic
def take(_context: Any, array: Any, at: Any) -> tuple[Any, Callable]:
    """Return the eight numbers of a row of `array` that start at the indices `at`."""

    def build(context: Any, builder: Any, kind: Any, args: tuple) -> Any:
        return builder.load(_pointer(context, builder, kind.args, args), align=8)

    return lanes(array, at), build


@intrinsic
def put(_context: Any, array: Any, at: Any, value: Any) -> tuple[Any, Callable]:
    """Write eight numbers into a row of `array` from the indices `at` on."""

    def build(context: Any, builder: Any, kind: Any, args: tuple) -> Any:
        builder.store(args[2], _pointer(context, builder, kind.args, args), align=8)
        return context.get_dummy_value()

    return types.void(array, at, value), build


@intrinsic
def spread(_context: Any, number: Any) -> tuple[Any, Callable]:
    """Return eight times the same number."""

    def build(_: Any, builder: Any, __: Any, args: tuple) -> Any:
        return _spread(builder, args[0])

    return lanes(number), build


@intrinsic
def total(_context: Any, value: Any) -> tuple[Any, Callable]:
    """Return the sum of eight numbers, halves first: the same order on every machine."""

    def build(_: Any, builder: Any, __: Any, args: tuple) -> Any:
        (rest,) = args
        width = LANES
        while width > 1:
            width //= 2
            low, high = (
                builder.shuffle_vector(rest, rest, _order(list(range(start, start + width)))) for start in (0, width)
            )
            rest = builder.fadd(low, high)
        return builder.extract_element(rest, ir.IntType(32)(0))

    return types.float64(value), build


def _teach(verb: Callable, instruction: str) -> None:
    """Let kernels write `a + b` of lanes, and of a number and lanes."""
    pairs = ((lanes, lanes), (types.float64, lanes))

    class Typing(ConcreteTemplate):
        cases = [signature(lanes, *pair) for pair in pairs]  # noqa: RUF012

    infer_global(verb)(Typing)

    def build(_: Any, builder: Any, kind: Any, args: tuple) -> Any:
        left = args[0] if kind.args[0] == lanes else _spread(builder, args[0])
        return getattr(builder, instruction)(left, args[1])

    for pair in pairs:
        lower_builtin(verb, *pair)(build)


for _verb, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _teach(_verb, _instruction)
_teach(operator.iadd, "fadd")
_teach(operator.isub, "fsub")
_teach(operator.imul, "fmul")

if config.DISABLE_JIT:

    def take(array: np.ndarray, at: tuple) -> np.ndarray:
        """Do what the compiled one does."""
        return array[(*at[:-1], slice(at[-1], at[-1] + LANES))].copy()

    def put(array: np.ndarray, at: tuple, value: np.ndarray) -> None:
        """Do what the compiled one does."""
        array[(*at[:-1], slice(at[-1], at[-1] + LANES))] = value

    def spread(number: float) -> np.ndarray:
        """Do what the compiled one does."""
        return np.full(LANES, number)

    def total(value: np.ndarray) -> float:
        """Do what the compiled one does."""
        while len(value) > 1:
            value = value[: len(value) // 2] + value[len(value) // 2 :]
        return float(value[0])


@kernel
def lanes_for_one(n):
    """Return how long a row of n numbers is in whole lanes."""
    return (n + LANES - 1) // LANES * LANES


@kernel
def dot_one(A, i, B, j, wide):
    """Return the product of row i of A with row j of B, `wide` numbers long."""
    s = spread(0.0)
    for k in range(0, wide, LANES):
        s += take(A, (i, k)) * take(B, (j, k))
    return total(s)


@kernel
def add_row_one(P, i, f, A, j, wide):
    """Add f times row j of A to row i of P."""
    for k in range(0, wide, LANES):
        put(P, (i, k), take(P, (i, k)) + f * take(A, (j, k)))
