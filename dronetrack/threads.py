"""Who does the parts of a large batch? One pool of threads for kernels, which hold no lock; a fork makes its own."""

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def on_all_cores(call: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Call a function with each part, several at once; it gains what it spends in compiled code.

    Parameters
    ----------
    call : callable
        Takes a part. It must not call this function.
    parts : iterable
        As many as shall run at once, or more.

    Returns
    -------
    list
        What came of each, in order.

    Examples
    --------
    >>> on_all_cores(abs, [-1, 2])
    [1, 2]
    """
    return list(_pool().map(call, parts))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="dronetrack")


# A forked process has the object and none of its threads: whoever gave them work would wait for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
