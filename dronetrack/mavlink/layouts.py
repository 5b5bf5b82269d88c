"""How is each MAVLink message laid out on the wire? Tables of a dialect, made from pymavlink's own."""

import functools
import importlib
import pathlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.kernels import mavlink as kernels

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


class Dialect:
    """One dialect of MAVLink: which messages there are and how they are laid out. Made once, see `dialect_of`.

    Parameters
    ----------
    name : str
        A dialect that pymavlink ships, such as ``all``, ``common`` or ``ardupilotmega``.

    Attributes
    ----------
    crc_extras : (65536,) int16
        CRC_EXTRA by message id, -1 where the id is unknown.
    widths : (65536,) int32
        Bytes of a whole payload, extensions included.

    Raises
    ------
    InputError
        If pymavlink ships no such dialect.
    """

    def __init__(self, name: str = "all") -> None:
        try:
            module = importlib.import_module(f"pymavlink.dialects.v20.{name}")
            self._messages = module.mavlink_map
        except (ImportError, AttributeError):
            raise InputError(
                f"dialect {name!r} is not shipped by pymavlink; use one of {', '.join(_shipped())}."
            ) from None
        self.name = name
        self.xml = pathlib.Path(module.__file__ or "").with_suffix(".xml")
        self._ids = {message.msgname: identity for identity, message in self._messages.items()}
        self._layouts: dict[int, np.dtype] = {}
        room = max(MAX_MESSAGE_ID, 1 + max(self._messages, default=0))
        self.crc_extras: NDArray[np.int16] = np.full(room, -1, dtype=np.int16)
        self.widths: NDArray[np.int32] = np.zeros(room, dtype=np.int32)
        for identity, message in self._messages.items():
            self.crc_extras[identity] = message.crc_extra
            self.widths[identity] = message.unpacker.size
        self.crc_extras.flags.writeable = self.widths.flags.writeable = False

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, name: str) -> bool:
        return name in self._ids

    @property
    def names(self) -> list[str]:
        """Names of all messages."""
        return list(self._ids)

    def layout(self, message_id: int) -> np.dtype:
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
        if message_id not in self._layouts:
            message = self._messages[message_id]
            kinds = bytes(message.native_format).decode().lstrip("<")
            fields = zip(message.ordered_fieldnames, kinds, message.array_lengths, strict=True)
            self._layouts[message_id] = np.dtype([_field(*one) for one in fields])
        return self._layouts[message_id]

    def message_name(self, message_id: int) -> str:
        """Return a message's name, such as ``ATTITUDE``.

        Parameters
        ----------
        message_id : int
            A known id.

        Returns
        -------
        str
            Its name.
        """
        return self._messages[message_id].msgname

    def message_id(self, name: str) -> int:
        """Return a message's id.

        Parameters
        ----------
        name : str
            Its name, such as ``ATTITUDE``.

        Returns
        -------
        int
            Its id.

        Raises
        ------
        InputError
            If the dialect has no such message.
        """
        if name not in self._ids:
            raise InputError(f"dialect {self.name!r} has no message {name!r}.")
        return self._ids[name]

    def extras(self, names: Iterable[str] | None) -> NDArray[np.int16]:
        """Return what the scanner knows of each id: its CRC_EXTRA, and whether it is asked for.

        Parameters
        ----------
        names : iterable of str or None
            Names of messages; None for all.

        Returns
        -------
        (65536,) int16
            `crc_extras`, 256 more where the message is to be verified and then dropped.

        Raises
        ------
        InputError
            If the dialect has no such message.
        """
        if names is None:
            return self.crc_extras
        dropped = self.crc_extras >= 0
        dropped[[self.message_id(name) for name in names]] = False
        extras = np.where(dropped, self.crc_extras + kernels.UNWANTED, self.crc_extras).astype(np.int16)
        extras.flags.writeable = False
        return extras


@functools.cache
def dialect_of(name: str = "all") -> Dialect:
    """Return a dialect; pymavlink's module is imported on first use.

    Parameters
    ----------
    name : str, optional
        Its name.

    Returns
    -------
    Dialect
        Its tables.

    Examples
    --------
    >>> dialect_of("common").message_id("ATTITUDE")
    30
    """
    # The name becomes part of an import.
    return Dialect(name if re.fullmatch(r"\w+", name) else "")


def _field(name: str, kind: str, length: int) -> tuple:
    if kind in "cs":
        return (name, f"S{max(length, 1)}")
    return (name, _SCALARS[kind], (length,)) if length else (name, _SCALARS[kind])


def _shipped() -> list[str]:
    folders = importlib.import_module("pymavlink.dialects.v20").__path__
    return sorted(one.stem for folder in folders for one in pathlib.Path(folder).glob("[!_]*.py"))
