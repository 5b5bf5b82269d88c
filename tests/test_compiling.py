"""Kernels are compiled as one piece, and stay ordinary numba functions to whoever calls them."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba import types
from numba.core.cpu import CPUContext
from numba.core.errors import TypingError
from numba.extending import overload

from dronetrack.kernels import kernel, motion
from dronetrack.kernels.compiling import Part, PartLibrary

X = np.array([4.0e6, 1.5e6, 4.7e6])


@kernel
def _twice_one(x):
    """Part."""
    return 2.0 * x.sum()


@kernel
def _four_times_rows(x):
    """Kernel over a part."""
    return 2.0 * _twice_one(x)


def test_a_part_called_from_python_is_compiled_for_itself():
    assert isinstance(motion.up_one, Part)
    assert np.allclose(motion.up_one(X), motion.up_one.py_func(X), rtol=1e-15)


def test_a_part_called_by_a_kernel_has_no_machine_code_of_its_own():
    assert _four_times_rows(X) == 4.0 * X.sum()
    (compiled,) = _twice_one.overloads.values()
    assert isinstance(compiled.library, PartLibrary)
    assert compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name) == 0
    assert _twice_one(X) == 2.0 * X.sum()


def test_parts_serve_inside_the_loops_of_numba_users():
    @numba.njit
    def total(x):
        return _twice_one(x) + motion.up_one(x)[0]

    assert total(X) == 2.0 * X.sum() + motion.up_one(X)[0]


def test_a_kernel_with_a_function_inside_keeps_every_pass_of_the_compiler():
    @kernel
    def total_rows(x):
        def twice(y):
            return 2.0 * y

        return twice(x[0]) + sum([2.0 * y for y in x[1:]])

    assert total_rows(X) == 2.0 * X.sum()


def test_what_the_compiler_remembers_is_forgotten_for_functions_of_others():
    assert _twice_one(X) == 2.0 * X.sum()
    lent = types.Function.get_call_type, CPUContext.get_abi_sizeof, CPUContext.get_function
    assert [one.__module__ for one in lent if one.__module__.startswith("dronetrack")] == []

    @numba.njit
    def power(x, n):
        return x**n + x % n

    assert power(2.5, 2) == 2.5**2 + 2.5 % 2
    assert power(7, 3) == 7**3 + 7 % 3


def test_an_array_too_large_for_memory_is_an_error_also_inside_a_part():
    @kernel
    def room_one(n):
        return np.empty(n)

    @kernel
    def room_rows(n):
        return room_one(n).shape[0]

    try:
        room_rows(2**60)
    except (MemoryError, ValueError):
        pass
    else:
        raise AssertionError("no error")


def test_a_part_that_returns_what_it_did_not_make_is_refused():
    @kernel
    def same_one(x):
        return x

    @kernel
    def first_rows(x):
        return same_one(x)[0]

    with pytest.raises(TypeError, match="same_one, a part of a kernel, must not return an array"):
        first_rows(X)


def test_a_function_that_numba_did_not_know_before_serves_a_kernel_once_it_does():
    @kernel
    def tenfold_rows(x):
        return _tenfold(x[0])

    with pytest.raises(TypingError):
        tenfold_rows(X)

    @overload(_tenfold)
    def _(_x):
        return lambda _x: 10.0 * _x

    @kernel
    def ten_rows(x):
        return _tenfold(x[0])

    assert ten_rows(X) == 10.0 * X[0]


def _tenfold(x):
    """Python only, until numba is told."""
    return 10.0 * x


def test_a_kernel_that_comes_from_the_disk_imports_nothing_that_compiles(tmp_path):
    probe = (
        "import sys, numpy as np; from dronetrack.kernels import geodesy; out = np.empty((1, 3)); "
        "geodesy.geodetic_to_ecef_rows(*np.array([[46.2], [20.7], [100.0]]), out); "
        "print(round(float(np.linalg.norm(out))), 'scipy.linalg' in sys.modules)"
    )
    run = {"env": {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, "capture_output": True, "text": True}
    first, second = (subprocess.run([sys.executable, "-c", probe], check=True, **run).stdout.split() for _ in range(2))
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("True", "False")


def test_a_kernel_without_unrolling_computes_the_same():
    def sum_rows(x):
        total = 0.0
        for i in range(x.shape[0]):
            total += x[i]
        return total

    assert kernel(unrolled=False)(sum_rows)(X) == kernel(sum_rows)(X) == X.sum()
