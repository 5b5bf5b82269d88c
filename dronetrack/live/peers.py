"""Who is at the other end of a link? A socket for datagrams, a connection or a serial line, each asked in one way.

`wait` says whether something came, `receive` stamps and decodes it, `send` answers, `dropped` counts what the system
had no room for, and `flows` says whether something came the last time.
"""

import contextlib
import select
import socket
import sys
import time
from collections.abc import Callable, Hashable
from typing import Any

from dronetrack.errors import InputError
from dronetrack.live.datagrams import N_SLOTS, RECVMMSG, Slots, sender_address
from dronetrack.mavlink.frames import Decoder, Frames

# While messages flow, those of this time are decoded together: to wake a thread costs more than to decode a message,
# and half of it is what a message waits on average.
GATHER_S = 0.0091
LISTEN_S = 0.2
SOCKET_BYTES = 4 << 20
MOST_BYTES = 65_536
# Linux: what the kernel knows of a socket's memory, and where in it is how many datagrams it had to drop.
_SO_MEMINFO, _SK_MEMINFO_DROPS, _MEMINFO_BYTES = 55, 8, 36

Part = tuple[Hashable, bytes]


class _Socket:
    """What both kinds of sockets share: waiting, without a call to the system for every message."""

    dropped = 0

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._socket.setblocking(False)
        self.flows, self._due_s = False, 0.0

    def wait(self, timeout_s: float) -> bool:
        """Wait until something came, or may have come."""
        if self.flows:
            rest_s = min(self._due_s - time.monotonic(), timeout_s)
            if rest_s > 0.0:
                time.sleep(rest_s)
            return True
        return bool(select.select([self._socket], [], [], timeout_s)[0])

    def receive(self, decoder: Decoder, now_us: Callable[[], int]) -> Frames | None:
        """Stamp and decode all that has come; None where nothing has."""
        parts: dict[Hashable, list[bytes]] = {}
        size, more = 0, True
        # Not for ever: on a flooded link the decoder must have its turn.
        while more and size < SOCKET_BYTES:
            taken, more = self._take()
            for sender, data in taken:
                parts.setdefault(sender, []).append(data)
                size += len(data)
        self.flows, self._due_s = size > 0, time.monotonic() + GATHER_S
        joined = [(sender, b"".join(pieces)) for sender, pieces in parts.items()]
        return decoder.update_channels(joined, now_us()) if joined else None

    def _take(self) -> tuple[list[Part], bool]:
        """Return what comes next, each with who sent it, and whether there may be more."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


class Datagrams(_Socket):
    """UDP, listening or calling."""

    def __init__(self, kind: str, host: str, number: int) -> None:
        family, _, _, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_DGRAM)[0]
        super().__init__(socket.socket(family, socket.SOCK_DGRAM))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
            if kind == "udpin":
                self._socket.bind(place)
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]
        self._heard: Any = place if kind == "udpout" else None
        self._newest = -1
        self._slots = Slots(self._socket, RECVMMSG) if RECVMMSG is not None else None

    @property
    def dropped(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many datagrams the socket had no room for; 0 where the system does not tell."""
        if sys.platform != "linux":
            return 0
        with contextlib.suppress(OSError):
            told = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES)
            return memoryview(told).cast("I")[_SK_MEMINFO_DROPS]
        return 0

    def receive(self, decoder: Decoder, now_us: Callable[[], int]) -> Frames | None:
        """Stamp and decode what has come, where the system tells it in one call; None where nothing has."""
        if self._slots is None:
            return super().receive(decoder, now_us)
        n = self._slots.fill()
        # Where the slots are full there is more, and it is asked for at once.
        self.flows, self._due_s = n > 0, time.monotonic() + GATHER_S if n < N_SLOTS else 0.0
        if not n:
            return None
        self._newest = n - 1
        return decoder.update_datagrams(self._slots.room, self._slots.senders, self._slots.sizes, n, now_us())

    def warm_up(self, decoder: Decoder) -> None:
        """Load compiled code, or even compile it."""
        if self._slots is not None:
            decoder.update_datagrams(self._slots.room, self._slots.senders, self._slots.sizes, 0, 0)
        else:
            decoder.update(b"")

    def _take(self) -> tuple[list[Part], bool]:
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            data, self._heard = self._socket.recvfrom(MOST_BYTES)
            return [(self._heard, data)], True
        return [], False

    def send(self, data: bytes) -> None:
        """Send to whoever was heard last; before, to whom the link calls."""
        if self._slots is not None and self._newest >= 0:
            self._heard = sender_address(self._slots.senders[self._newest].tobytes())
        if self._heard is not None:
            self._socket.sendto(data, self._heard)


class Stream(_Socket):
    """A TCP connection; what is not read in time waits at the sender's."""

    def __init__(self, host: str, number: int) -> None:
        super().__init__(socket.create_connection((host, number), timeout=5.0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ended = False

    def _take(self) -> tuple[list[Part], bool]:
        if self._ended:
            raise ConnectionResetError
        with contextlib.suppress(BlockingIOError):
            data = self._socket.recv(MOST_BYTES)
            self._ended = not data  # told the next time: what came before the end is taken first
            return [(None, data)], len(data) == MOST_BYTES
        return [], False

    def send(self, data: bytes) -> None:
        """Send to the other end."""
        self._socket.sendall(data)


class Serial:
    """A serial line; nobody tells what it loses."""

    dropped = 0
    flows = True

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial  # pyright: ignore[reportMissingModuleSource]
        except ImportError:
            raise InputError("a serial link needs pyserial: pip install dronetrack[live]") from None
        self._line = serial.Serial(device, baud, timeout=LISTEN_S)
        self._first = b""

    def wait(self, timeout_s: float) -> bool:
        """Wait for the first byte, and for what comes with it."""
        self._line.timeout = timeout_s
        self._first = self._line.read(1)
        if self._first:
            time.sleep(GATHER_S)
        return bool(self._first)

    def receive(self, decoder: Decoder, now_us: Callable[[], int]) -> Frames | None:
        """Stamp and decode all that has come; None where nothing has."""
        first, self._first = self._first, b""
        data = first + self._line.read(self._line.in_waiting)
        return decoder.update(data, now_us()) if data else None

    def send(self, data: bytes) -> None:
        """Send to the other end."""
        self._line.write(data)

    def close(self) -> None:
        """Let go of the line."""
        self._line.close()


Peer = Datagrams | Stream | Serial


def warm_up(peer: Peer | None, decoder: Decoder) -> None:
    """Load the compiled code that a peer's bytes will need, or even compile it.

    Parameters
    ----------
    peer : Datagrams, Stream, Serial or None
        Who is at the other end; None where nobody is yet.
    decoder : Decoder
        Which is to read them.
    """
    if isinstance(peer, Datagrams):
        peer.warm_up(decoder)
    else:
        decoder.update(b"")
