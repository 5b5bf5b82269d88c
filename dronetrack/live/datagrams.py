"""How are many datagrams taken off a socket in one call? By recvmmsg, where the system has it.

A call that finds the caches cold after a sleep costs 7 us, and a live link makes one for each datagram.
"""

import contextlib
import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable

import numpy as np

N_SLOTS = 64
SLOT_BYTES = 65_536  # the largest datagram; only those pages of a slot that one fills are ever touched
NAME_BYTES = 28  # struct sockaddr_in6, the longer of the two


class _Piece(ctypes.Structure):
    """Linux's struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """Linux's struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("pieces", ctypes.c_void_p),
        ("n_pieces", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Slot(ctypes.Structure):
    """Linux's struct mmsghdr: where a datagram goes, and how long it is."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


def _recvmmsg() -> Callable[..., int] | None:
    """Return the system's, None where there is none. It never waits here, so it may keep the interpreter's lock."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            return ctypes.PyDLL(None, use_errno=True).recvmmsg
    return None


RECVMMSG = _recvmmsg()


class Slots:
    """Memory for datagrams, and the call that fills it.

    Parameters
    ----------
    opened : socket.socket
        A socket for datagrams over IPv4 or IPv6.
    receive : callable
        Linux's recvmmsg.

    Attributes
    ----------
    room : (64, 65536) uint8
        Content of the datagrams.
    senders : (64, 28) uint8
        Who sent each, see `sender_address`.
    sizes : (64,) uintc
        How many bytes each has.
    """

    def __init__(self, opened: socket.socket, receive: Callable[..., int]) -> None:
        self._socket, self._receive = opened, receive
        self.room = np.zeros((N_SLOTS, SLOT_BYTES), dtype=np.uint8)
        self.senders = np.zeros((N_SLOTS, NAME_BYTES), dtype=np.uint8)
        self._pieces, self._slots = (_Piece * N_SLOTS)(), (_Slot * N_SLOTS)()
        for number, (piece, slot) in enumerate(zip(self._pieces, self._slots, strict=True)):
            piece.base, piece.length = self.room[number].ctypes.data, SLOT_BYTES
            slot.header.name, slot.header.name_length = self.senders[number].ctypes.data, NAME_BYTES
            slot.header.pieces, slot.header.n_pieces = ctypes.addressof(piece), 1
        self._where = ctypes.c_void_p(ctypes.addressof(self._slots))
        # One field of the array of structures, as a view of it.
        self.sizes = np.frombuffer(memoryview(self._slots), dtype=_Slot)["length"]

    def fill(self) -> int:
        """Take what has come, as many datagrams as there are slots.

        Returns
        -------
        int
            How many; with fewer than `N_SLOTS` nothing is left.

        Raises
        ------
        OSError
            If the socket is no more; that nothing has come, or nobody is there, is no error.
        """
        n = self._receive(self._socket.fileno(), self._where, N_SLOTS, socket.MSG_DONTWAIT, None)
        if n < 0:
            code = ctypes.get_errno()
            if code not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNREFUSED):
                raise OSError(code, os.strerror(code))
        return max(n, 0)


def sender_address(name: bytes) -> tuple:
    """Return the address that a socket takes for a sender.

    Parameters
    ----------
    name : (28,) bytes
        Linux's struct sockaddr_in or sockaddr_in6, filled up with zeros.

    Returns
    -------
    tuple
        ``(host, port)``, of IPv6 also the flow and the scope.

    Examples
    --------
    >>> import sys
    >>> sender_address((2).to_bytes(2, sys.byteorder) + bytes([0x38, 0x5E, 127, 0, 0, 1]) + bytes(20))
    ('127.0.0.1', 14430)
    """
    family, port = int.from_bytes(name[:2], sys.byteorder), int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    flow, scope = int.from_bytes(name[4:8], "big"), int.from_bytes(name[24:28], sys.byteorder)
    return socket.inet_ntop(socket.AF_INET6, name[8:24]), port, flow, scope
