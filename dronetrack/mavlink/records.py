"""How do the indexed records of an on-board log become tables? One pass over the bytes, one buffer for all."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dronetrack.kernels import onboard as kernels

USUAL_BYTES = 16  # fewer than a record of any flight has on average


def indexed(scan: Callable[[int], tuple[int, *tuple[NDArray, ...]]], size: int) -> list[NDArray]:
    """Scan with room for as many records as is usual, and again if there are more.

    Parameters
    ----------
    scan : callable
        Takes how many records there is room for; returns how many there are, and the columns of those it had room for.
    size : int
        Bytes of the log.

    Returns
    -------
    list of (n,) ndarray
        The columns, with no more room than they need.
    """
    room = size // USUAL_BYTES + 1
    n, *columns = scan(room)
    if n > room:
        n, *columns = scan(n)
    return [one[:n].copy() for one in columns]


def gather_tables(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    layout: NDArray[np.int32],
    lead: int,
    dtypes: list[np.dtype],
    wanted: NDArray[np.bool_],
) -> tuple[dict[int, NDArray[np.void]], dict[int, NDArray[np.int64]]]:
    """Copy the bodies of records side by side, those of each layout into a table of its own.

    Parameters
    ----------
    data : (size,) uint8
        The log.
    start : (n,) int64
        Where each record starts.
    layout : (n,) int32
        Number of its layout.
    lead : int
        Bytes of a record before its body.
    dtypes : list of dtype
        Packed body of each layout.
    wanted : (k,) bool
        Which layouts to gather.

    Returns
    -------
    tables : dict of int to (m,) structured
        By layout, of wanted layouts that have records.
    offsets : dict of int to (m,) int64
        Where their records start.
    """
    count = np.bincount(layout, minlength=len(dtypes))
    size = np.array([one.itemsize for one in dtypes], dtype=np.int64)
    taken = np.where(wanted, count * size, 0)
    first = np.concatenate([[0], np.cumsum(taken)])
    place = np.where(wanted, first[:-1], -1)
    out = np.empty(int(first[-1]), dtype=np.uint8)
    kernels.gather_records(data, start, layout, lead, size, place, out)
    # Numbers of 16 bits are sorted by radix.
    order = np.argsort(layout.astype(np.uint16) if len(dtypes) < 65_536 else layout, kind="stable")
    edge = np.concatenate([[0], np.cumsum(count)])
    kept = np.flatnonzero(wanted & (count > 0))
    tables = {int(k): out[first[k] : first[k + 1]].view(dtypes[k]) for k in kept if size[k]}
    return tables, {k: start[order[edge[k] : edge[k + 1]]] for k in tables}


def packed_dtype(columns: Iterable[tuple[str, DTypeLike]]) -> np.dtype:
    """Return a packed dtype of columns, whose names may repeat or be empty.

    Parameters
    ----------
    columns : iterable of (name, dtype)
        In the order of the record.

    Returns
    -------
    dtype
        Repeated names end in their place.

    Examples
    --------
    >>> packed_dtype([("Id", "u1"), ("Id", "<i2"), ("", "<f4")]).names
    ('Id', 'Id_1', 'column_2')
    """
    named: dict[str, DTypeLike] = {}
    for place, (name, dtype) in enumerate(columns):
        label = name or f"column_{place}"
        while label in named:
            label = f"{label}_{place}"
        named[label] = dtype
    return np.dtype(list(named.items()))
