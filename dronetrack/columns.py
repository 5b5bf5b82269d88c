"""Is this array what it claims to be? The one gate through which every public column passes.

A column is C-contiguous, of one dtype and one shape, and read-only once it is inside a batch; so each
kernel sees one memory layout and is compiled once.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from dronetrack.errors import InputError

FURTHEST_US = 2**53  # 285 years from 1970, either way: up to there float64 holds each microsecond


def column(
    name: str,
    values: ArrayLike,
    dtype: DTypeLike,
    shape: tuple[int | None, ...],
    *,
    low: float = -np.inf,
    high: float = np.inf,
    nan: bool = True,
    kept: bool = True,
) -> NDArray:
    """Check one column and return it C-contiguous and read-only.

    The caller's array is never changed: it is copied unless it already is a read-only array of this
    dtype and layout, or of this layout and not kept.

    Parameters
    ----------
    name : str
        Name for the error message.
    values : array_like
        The column as it came.
    dtype : dtype
        What it must be; integers are not made from fractions, numbers not from text.
    shape : tuple of int or None
        Needed shape; ``None`` allows any length on that axis.
    low, high : float, optional
        Closed range in which every value must lie (NaN aside).
    nan : bool, optional
        Whether NaN, 'not observed', is allowed.
    kept : bool, optional
        Whether the column outlives the call. One that does not may be a read-only view of what the caller has.

    Returns
    -------
    ndarray
        Read-only, C order.

    Raises
    ------
    InputError
        If the type, shape or range is wrong, or a NaN stands where none is allowed.
    """
    came = np.asarray(values)
    wanted = np.dtype(dtype)
    if came.dtype is not wanted and came.size and not _castable(came, wanted):
        raise InputError(f"{name} must be {wanted}; got {came.dtype}. Convert it first, so that nothing is cut off.")
    if not _fits(came.shape, shape):
        if came.size or len(shape) != came.ndim:
            raise InputError(f"{name} must have shape {_say(shape)}; got {_say(came.shape)}.")
        came = came.reshape([0 if need is None else need for need in shape])
    out, flags = came, came.flags
    if came.dtype is not wanted or not flags.c_contiguous or (kept and flags.writeable):
        out = np.array(came, dtype=wanted, order="C", copy=True)
        out.flags.writeable = False
    elif flags.writeable:
        out = came.view()
        out.flags.writeable = False
    if (not nan or low != -np.inf or high != np.inf) and out.size:
        _check_values(name, out, low, high, nan=nan)
    return out


def time_column(name: str, values: ArrayLike, shape: tuple[int | None, ...], *, kept: bool = True) -> NDArray[np.int64]:
    """Check a column of times as `column` does, and that each lies within `FURTHEST_US` of 1970.

    Parameters
    ----------
    name, values, shape, kept
        As in `column`. [us, UTC]

    Returns
    -------
    ndarray of int64
        Read-only, C order; differences of any two cannot overflow.

    Raises
    ------
    InputError
        If the type or shape is wrong, or a time is too far away.

    Examples
    --------
    >>> import datetime
    >>> datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=FURTHEST_US)
    datetime.datetime(2255, 6, 5, 23, 47, 34, 740992)
    >>> time_column("time_us", [0, FURTHEST_US], (None,)).tolist()
    [0, 9007199254740992]
    """
    out = column(name, values, np.int64, shape, kept=kept)
    if out.size and (out.min() < -FURTHEST_US or out.max() > FURTHEST_US):
        row = tuple(np.argwhere((out < -FURTHEST_US) | (out > FURTHEST_US))[0])
        raise InputError(
            f"{name} must lie in the years 1685 to 2254; row {row[0]} is {out[row]} us since 1970. "
            "Are these nanoseconds?"
        )
    return out


def same_length(what: str, columns: Mapping[str, NDArray]) -> int:
    """Return the common first length of some columns.

    Parameters
    ----------
    what : str
        The batch's name for the error message.
    columns : mapping of str to ndarray
        The columns by name.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InputError
        If two columns differ in length.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"all columns of {what} need one length; got {', '.join(f'{k} {v}' for k, v in lengths.items())}."
        )
    return next(iter(lengths.values()), 0)


def _castable(came: NDArray, wanted: np.dtype) -> bool:
    if wanted.kind in "iub" and came.dtype.kind == "f":
        return False
    return bool(np.can_cast(came.dtype, wanted, casting="same_kind")) or came.dtype.kind in "iub"


def _fits(have: tuple[int, ...], need: tuple[int | None, ...]) -> bool:
    if len(have) != len(need):
        return False
    for size, wanted in zip(have, need, strict=True):  # noqa: SIM110 - a generator would take as long as all the rest
        if wanted is not None and size != wanted:
            return False
    return True


def _say(shape: tuple[int | None, ...]) -> str:
    body = ", ".join("n" if size is None else str(size) for size in shape)
    return f"({body},)" if len(shape) == 1 else f"({body})"


def _check_values(name: str, out: NDArray, low: float, high: float, *, nan: bool) -> None:
    if out.dtype.kind in "iu" and (out.min() < low or out.max() > high):
        raise InputError(f"{name} must lie in [{low:g}, {high:g}]; got {out.min()} .. {out.max()}.")
    if out.dtype.kind != "f":
        return
    # A finite sum holds no NaN; one pass instead of five, which long columns feel.
    if low == -np.inf and high == np.inf:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(out.sum()):
                return
    elif out.min() >= low and out.max() <= high:  # not so where a NaN is
        return
    missing = np.isnan(out)
    if missing.any() and not nan:
        row = int(np.argwhere(missing)[0][0])
        raise InputError(f"{name} must not hold NaN; row {row} does. Drop that row or fill it.")
    bad = ~missing & ~((out >= low) & (out <= high))
    if bad.any():
        row = tuple(np.argwhere(bad)[0])
        raise InputError(f"{name} must lie in [{low:g}, {high:g}]; row {row[0]} is {out[row]:g}.")
