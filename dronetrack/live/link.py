"""How do bytes come off a link? From a socket or a serial line, in a thread of its own, to batches of frames.

The thread reads the link, stamps what came, decodes it and writes the recording, so that neither stamps nor recording
wait for whoever works on the batches. This is the one place where the library reads a wall clock.
"""

import contextlib
import pathlib
import queue
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Self

from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink.frames import Decoder, Frames

KINDS = ("udpin", "udpout", "tcp", "serial")

# While messages flow, those of this time are decoded together: to wake a thread costs more than to decode a message,
# and half of it is what a message waits on average.
GATHER_S = 0.008
LISTEN_S = 0.2
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.25, 10.0
ANNOUNCE_S = 1.0
SOCKET_BYTES = 4 << 20
MOST_WAITING = 200_000
DATAGRAM = 65_535
STREAM = 65_536
# Linux: what the kernel knows of a socket's memory, and where in it is how many datagrams it had to drop.
_SO_MEMINFO, _SK_MEMINFO_DROPS, _MEMINFO_BYTES = 55, 8, 36

Part = tuple[Hashable, bytes]


def wall_clock_us() -> int:
    """Return the time of this computer. [us, UTC]"""
    return time.time_ns() // 1000


def open_telemetry(
    address: str,
    *,
    record: str | pathlib.Path | None = None,
    now_us: Callable[[], int] = wall_clock_us,
    most_waiting: int = MOST_WAITING,
    **options: Any,  # noqa: ANN401 - those of Decoder
) -> "Link":
    """Open a live link.

    Parameters
    ----------
    address : str
        ``udpin:HOST:PORT`` (listen), ``udpout:HOST:PORT`` (call, with a heartbeat a second), ``tcp:HOST:PORT``, or
        ``serial:DEVICE:BAUD``.
    record : str or Path, optional
        A `.tlog` to which every frame is appended.
    now_us : callable, optional
        The receiver's clock. [us, UTC]
    most_waiting : int, optional
        How many frames may wait for the reader of the batches; beyond that the oldest are dropped and counted. The
        recording holds them nevertheless.
    **options
        ``dialect``, ``names``, ``key``, ``signatures``, as in `Decoder`.

    Returns
    -------
    Link
        An iterator of `Frames`, and a context manager.

    Raises
    ------
    InputError
        If the address or an option is not one.
    FormatError
        If the port cannot be bound or the recording cannot be written. A peer that is not there yet is waited for.

    Examples
    --------
    >>> with open_telemetry("udpin:0.0.0.0:14550", record="today.tlog") as link:  # doctest: +SKIP
    ...     for batch in link:
    ...         print(len(batch), link.stats["lost_frames"])
    """
    return Link(_Address.of(address), record, now_us, most_waiting, Decoder(**options))


class _Address:
    """A parsed address."""

    def __init__(self, kind: str, host: str, number: int) -> None:
        self.kind, self.host, self.number = kind, host, number

    @classmethod
    def of(cls, text: str) -> "_Address":
        kind, _, rest = text.partition(":")
        host, _, number = rest.rpartition(":")
        if kind not in KINDS or not host or not number.isdigit() or (kind != "serial" and int(number) > 65_535):
            forms = "udpin:HOST:PORT, udpout:HOST:PORT, tcp:HOST:PORT or serial:DEVICE:BAUD"
            raise InputError(f"a link is {forms}; got {text!r}.")
        return cls(kind, host, int(number))

    def __str__(self) -> str:
        return f"{self.kind}:{self.host}:{self.number}"

    def connect(self) -> "_Datagrams | _Stream | _Serial":
        if self.kind == "serial":
            return _Serial(self.host, self.number)
        if self.kind == "tcp":
            return _Stream(self.host, self.number)
        return _Datagrams(self.kind, self.host, self.number)


class Link:
    """A live link, see `open_telemetry`: iterate over it, or `read` it; close it, or use it in a ``with``.

    Attributes
    ----------
    address : str
        As it was given.
    port : int
        The UDP port that was bound, where any was asked for (``udpin:127.0.0.1:0``).
    """

    def __init__(
        self,
        address: _Address,
        record: str | pathlib.Path | None,
        now_us: Callable[[], int],
        most_waiting: int,
        decoder: Decoder,
    ) -> None:
        self.address, self._address = str(address), address
        self._now_us, self._most_waiting, self._decoder = now_us, most_waiting, decoder
        # Batches, then None: the end.
        self._waiting: queue.SimpleQueue[Frames | None] = queue.SimpleQueue()
        self._n_waiting, self._counting = 0, threading.Lock()
        self._closed = threading.Event()
        self._counts = dict.fromkeys(
            ("received_bytes", "dropped_frames", "dropped_datagrams", "connections", "failed_connections"), 0
        )
        self._fault: Exception | None = None
        self._peer = self._first_peer()
        self._record = None
        try:
            self._record = pathlib.Path(record).open("ab") if record else None  # noqa: SIM115 - closed with the link
        except OSError as fault:
            if self._peer is not None:
                self._peer.close()
            raise FormatError(f"{record}: the recording cannot be written ({fault.strerror}).") from None
        self.port = self._peer.number if isinstance(self._peer, _Datagrams) else address.number
        self._thread = threading.Thread(target=self._run, name=self.address, daemon=True)
        self._thread.start()

    @property
    def stats(self) -> dict[str, Any]:
        """Everything that `Decoder.stats` counts, and of the link itself.

        ``received_bytes``; ``dropped_frames`` (the reader of the batches was too slow), ``dropped_datagrams`` (this
        process was, as Linux tells); ``connections`` and ``failed_connections``.
        """
        stats, peer = {**self._decoder.stats, **self._counts}, self._peer
        stats["dropped_datagrams"] += peer.dropped if peer is not None else 0
        return stats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frames]:
        while True:
            try:
                batch = self._next(LISTEN_S)
            except queue.Empty:
                continue
            if batch is None:
                return
            yield batch

    def read(self, timeout_s: float = 1.0) -> Frames | None:
        """Return the next batch.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait for one. [s]

        Returns
        -------
        Frames or None
            None if none came, or the link is closed.
        """
        try:
            return self._next(timeout_s)
        except queue.Empty:
            return None

    def _next(self, timeout_s: float) -> Frames | None:
        """Return the next batch, or None at the end; `queue.Empty` if none came in time."""
        batch = self._waiting.get(timeout=timeout_s)
        if batch is None:
            self._waiting.put(None)  # for whoever asks again
            if self._fault is not None:
                raise self._fault
            return None
        self._count_waiting(-len(batch))
        return batch

    def _count_waiting(self, more: int) -> None:
        with self._counting:
            self._n_waiting += more

    def write(self, data: bytes) -> None:
        """Send bytes to whoever was heard last.

        Parameters
        ----------
        data : bytes
            Whole frames. Where nobody is there they are lost, as on any link.
        """
        peer = self._peer
        if peer is not None:
            with contextlib.suppress(OSError):
                peer.send(data)

    def close(self) -> None:
        """Close the link; what waits can still be read."""
        self._closed.set()
        self._thread.join()
        if self._record is not None:
            self._record.close()

    def _first_peer(self) -> "_Datagrams | _Stream | _Serial | None":
        if self._address.kind not in ("udpin", "udpout"):
            return None
        try:
            return self._address.connect()
        except OSError as fault:
            raise FormatError(f"{self.address} cannot be opened ({fault.strerror}); is it in use?") from None

    def _run(self) -> None:
        try:
            # The first call loads compiled code, or even compiles; what came meanwhile would be stamped late.
            self._decoder.update(b"")
            wait_s = BACKOFF_FIRST_S
            while not self._closed.is_set():
                peer = self._connected()
                if peer is not None:
                    wait_s = BACKOFF_FIRST_S
                    self._listen(peer)
                else:
                    self._closed.wait(wait_s)
                    wait_s = min(2.0 * wait_s, BACKOFF_MOST_S)
        except Exception as fault:  # noqa: BLE001 - told to whoever reads
            self._fault = fault
        finally:
            self._closed.set()
            self._waiting.put(None)

    def _connected(self) -> "_Datagrams | _Stream | _Serial | None":
        try:
            self._peer = self._peer or self._address.connect()
        except OSError:
            self._counts["failed_connections"] += 1
            return None
        self._counts["connections"] += 1
        return self._peer

    def _listen(self, peer: "_Datagrams | _Stream | _Serial") -> None:
        """Read one connection until it ends."""
        announced = -ANNOUNCE_S
        with contextlib.suppress(OSError):
            while not self._closed.is_set():
                if self._address.kind == "udpout" and time.monotonic() - announced > ANNOUNCE_S:
                    announced = time.monotonic()
                    peer.send(_heartbeat())
                if peer.wait(LISTEN_S):
                    self._take(peer.receive())
        self._peer = None
        self._counts["dropped_datagrams"] += peer.dropped
        peer.close()

    def _take(self, parts: list[Part]) -> None:
        if not parts:
            return
        batch = self._decoder.update_channels(parts, self._now_us())
        self._counts["received_bytes"] += sum(len(data) for _, data in parts)
        if not len(batch):
            return
        if self._record is not None:
            self._record.write(batch.to_tlog())
            self._record.flush()
        self._waiting.put(batch)
        self._count_waiting(len(batch))
        while self._n_waiting > self._most_waiting and self._waiting.qsize() > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        with contextlib.suppress(queue.Empty):
            late = self._waiting.get_nowait() or ()
            self._count_waiting(-len(late))
            self._counts["dropped_frames"] += len(late)


class _Socket:
    """What both kinds of sockets share: waiting, without a call to the system for every message."""

    dropped = 0

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._socket.setblocking(False)
        self._room = memoryview(bytearray(SOCKET_BYTES + DATAGRAM))
        self._flows = False

    def wait(self, timeout_s: float) -> bool:
        if self._flows:
            time.sleep(GATHER_S)
            return True
        return bool(select.select([self._socket], [], [], timeout_s)[0])

    def receive(self) -> list[Part]:
        """All that has come, as parts of one sender each."""
        parts: dict[Hashable, list[memoryview]] = {}
        size = 0
        # Not for ever: on a flooded link the decoder must have its turn.
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while size < SOCKET_BYTES:
                n, sender = self._into(self._room[size:])
                parts.setdefault(sender, []).append(self._room[size : size + n])
                size += n
        self._flows = size > 0
        return [(sender, b"".join(pieces)) for sender, pieces in parts.items()]

    def _into(self, room: memoryview) -> tuple[int, Hashable]:
        """Put what comes next into `room`: how many bytes, and who sent them."""
        raise NotImplementedError

    def close(self) -> None:
        self._socket.close()


class _Datagrams(_Socket):
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

    @property
    def dropped(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many datagrams the socket had no room for; 0 where the system does not tell."""
        if sys.platform != "linux":
            return 0
        with contextlib.suppress(OSError):
            told = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES)
            return memoryview(told).cast("I")[_SK_MEMINFO_DROPS]
        return 0

    def _into(self, room: memoryview) -> tuple[int, Hashable]:
        n, self._heard = self._socket.recvfrom_into(room)
        return n, self._heard

    def send(self, data: bytes) -> None:
        if self._heard is not None:
            self._socket.sendto(data, self._heard)


class _Stream(_Socket):
    """A TCP connection; what is not read in time waits at the sender's."""

    def __init__(self, host: str, number: int) -> None:
        super().__init__(socket.create_connection((host, number), timeout=5.0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ended = False

    def _into(self, room: memoryview) -> tuple[int, Hashable]:
        if self._ended:
            raise ConnectionResetError
        n = self._socket.recv_into(room)
        if not n:
            # What came before the end is taken first.
            self._ended = True
            raise BlockingIOError
        return n, None

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)


class _Serial:
    """A serial line; nobody tells what it loses."""

    dropped = 0

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial  # pyright: ignore[reportMissingModuleSource]
        except ImportError:
            raise InputError("a serial link needs pyserial: pip install dronetrack[live]") from None
        self._line = serial.Serial(device, baud, timeout=LISTEN_S)
        self._first = b""

    def wait(self, timeout_s: float) -> bool:
        self._line.timeout = timeout_s
        self._first = self._line.read(1)
        if self._first:
            time.sleep(GATHER_S)
        return bool(self._first)

    def receive(self) -> list[Part]:
        return [(None, self._first + self._line.read(self._line.in_waiting))]

    def send(self, data: bytes) -> None:
        self._line.write(data)

    def close(self) -> None:
        self._line.close()


def _heartbeat() -> bytes:
    """Make the heartbeat of a ground station: those who are called expect one before they answer."""
    from pymavlink.dialects.v20 import minimal  # pyright: ignore[reportMissingImports]

    station = minimal.MAVLink(None, srcSystem=255, srcComponent=minimal.MAV_COMP_ID_MISSIONPLANNER)
    kind, autopilot = minimal.MAV_TYPE_GCS, minimal.MAV_AUTOPILOT_INVALID
    return minimal.MAVLink_heartbeat_message(kind, autopilot, 0, 0, minimal.MAV_STATE_ACTIVE, 3).pack(station)
