"""How is each MAVLink message laid out on the wire? Tables made from pymavlink's own."""

import functools
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

MAX_MESSAGE_ID = 65536

_SCALARS = {
    "b": "<i1",
    "B": "<u1",
    "h": "<i2",
    "H": "<u2",
    "i": "<i4",
    "I": "<u4",
    "q": "<i8",
    "Q": "<u8",
    "f": "<f4",
    "d": "<f8",
}


@functools.cache
def dialect() -> ModuleType:
    """Return pymavlink's module of the dialect `all`, imported on first use."""
    from pymavlink.dialects.v20 import all as module

    return module


@functools.cache
def crc_extras() -> NDArray[np.int16]:
    """Return CRC_EXTRA by message id, -1 where the id is unknown.

    Returns
    -------
    (65536,) int16
        The table.
    """
    extras = np.full(MAX_MESSAGE_ID, -1, dtype=np.int16)
    for identity, message in dialect().mavlink_map.items():
        extras[identity] = message.crc_extra
    extras.flags.writeable = False
    return extras


@functools.cache
def layout(message_id: int) -> np.dtype:
    """Return the wire layout of a message as a packed structured dtype, fields in wire order, extensions last.

    Parameters
    ----------
    message_id : int
        A known id.

    Returns
    -------
    dtype
        Text fields are bytes (``S``), arrays are sub-arrays.
    """
    message = dialect().mavlink_map[message_id]
    kinds = bytes(message.native_format).decode().lstrip("<")
    parts: list[tuple] = []
    for name, kind, length in zip(message.ordered_fieldnames, kinds, message.array_lengths, strict=True):
        if kind in "cs":
            parts.append((name, f"S{max(length, 1)}"))
        elif length:
            parts.append((name, _SCALARS[kind], (length,)))
        else:
            parts.append((name, _SCALARS[kind]))
    return np.dtype(parts)


def message_name(message_id: int) -> str:
    """Return a message's name, such as ``ATTITUDE``.

    Parameters
    ----------
    message_id : int
        A known id.

    Returns
    -------
    str
        Its name in the dialect.
    """
    return dialect().mavlink_map[message_id].msgname


def message_id(name: str) -> int:
    """Return a message's id.

    Parameters
    ----------
    name : str
        Its name, such as ``ATTITUDE``.

    Returns
    -------
    int
        Its id in the dialect.
    """
    return getattr(dialect(), f"MAVLINK_MSG_ID_{name}")
