"""How do bytes come off a link? Through whoever asks for a batch, or a thread while nobody does, to batches of frames.

Reading means: to take what came, stamp it, decode it and write the recording. Who asks for a batch reads the link
itself, since a thread that hands over each batch costs two cold starts for one. A thread of the link's own stands in
while nobody asks, so that neither stamps nor recording wait for whoever works on the batches. This is the one place
where the library reads a wall clock.
"""

import contextlib
import math
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from dronetrack.errors import FormatError, InputError
from dronetrack.live.peers import LISTEN_S, Datagrams, Peer, Serial, Stream, warm_up
from dronetrack.mavlink.frames import Decoder, Frames

KINDS = ("udpin", "udpout", "tcp", "serial")

# How often the link's own thread looks whether it is needed, and for how long who took a batch is not missed. In that
# time the system keeps what comes: by default 200 KB, which are some 500 messages.
LOOK_S, PROMPT_S = 0.04, 0.004
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.25, 10.0
ANNOUNCE_S = 1.0
MOST_LAST = 1000  # batches that are still taken when a link is closed: a flood must not keep it open
MOST_WAITING = 200_000


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

    def connect(self) -> Peer:
        if self.kind == "serial":
            return Serial(self.host, self.number)
        if self.kind == "tcp":
            return Stream(self.host, self.number)
        return Datagrams(self.kind, self.host, self.number)


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
        # Batches that the link's own thread read, then None: the end.
        self._waiting: queue.SimpleQueue[Frames | None] = queue.SimpleQueue()
        self._n_waiting, self._counting = 0, threading.Lock()
        # Held, but while somebody wants to wake the link's own thread.
        self._sleep = threading.Lock()
        self._sleep.acquire()
        self._closed = False
        self._counts = dict.fromkeys(("dropped_frames", "dropped_datagrams", "connections", "failed_connections"), 0)
        self._fault: Exception | None = None
        self._peer = self._first_peer()
        self._record = None
        try:
            self._record = pathlib.Path(record).open("ab") if record else None  # noqa: SIM115 - closed with the link
        except OSError as fault:
            if self._peer is not None:
                self._peer.close()
            raise FormatError(f"{record}: the recording cannot be written ({fault.strerror}).") from None
        self.port = self._peer.number if isinstance(self._peer, Datagrams) else address.number
        # Whoever has the turn reads the link: first the link's own thread, for it must load the decoder.
        self._turn = threading.Lock()
        self._turn.acquire()
        self._attended, self._asked, self._dozes = False, False, False
        self._left_s = self._announced_s = -math.inf
        self._thread = threading.Thread(target=self._run, name=self.address, daemon=True)
        self._thread.start()

    @property
    def stats(self) -> dict[str, Any]:
        """Everything that `Decoder.stats` counts, and of the link itself.

        ``received_bytes``; ``dropped_frames`` (the reader of the batches was too slow), ``dropped_datagrams`` (this
        process was, as Linux tells); ``connections`` and ``failed_connections``.
        """
        stats, peer = (
            {**self._decoder.stats, "received_bytes": self._decoder.received_bytes, **self._counts},
            self._peer,
        )
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
        until_s = time.monotonic() + timeout_s
        batch = self._read_here(until_s)
        if batch is not None:
            return batch
        self._asked = True
        batch = self._waiting.get(timeout=max(until_s - time.monotonic(), 0.0))
        if batch is None:
            self._waiting.put(None)  # for whoever asks again
            if self._fault is not None:
                raise self._fault
            return None
        self._count_waiting(-len(batch))
        self._left_s = time.monotonic()
        return batch

    def _read_here(self, until_s: float) -> Frames | None:
        """Read in the thread that asks, unless batches wait already or the link's own thread has the turn."""
        if not self._waiting.empty() or not self._turn.acquire(blocking=False):
            return None
        self._attended = True
        try:
            return self._first_batch(until_s)
        except Exception as fault:
            self._fault = fault
            self._closed = True
            raise
        finally:
            self._attended, self._left_s = False, time.monotonic()
            self._turn.release()
            if self._dozes:
                self._wake()

    def _first_batch(self, until_s: float) -> Frames | None:
        batch, rest_s = None, 0.0
        while batch is None and rest_s >= 0.0 and self._waiting.empty() and not self._closed:
            batch = self._pump(max(until_s - time.monotonic(), 0.0))
            rest_s = until_s - time.monotonic() if self._peer is not None else -1.0
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
        self._closed = True
        self._wake()
        self._thread.join()
        if self._record is not None:
            # What could not be written is told once, to whoever reads.
            with contextlib.suppress(*([OSError] if self._fault else [])):
                self._record.close()

    def _first_peer(self) -> Peer | None:
        if self._address.kind not in ("udpin", "udpout"):
            return None
        try:
            peer = self._address.connect()
        except OSError as fault:
            raise FormatError(f"{self.address} cannot be opened ({fault.strerror}); is it in use?") from None
        self._counts["connections"] += 1
        return peer

    def _run(self) -> None:
        """Live as the link's own thread: connect, and read while nobody else does."""
        try:
            try:
                # The first call loads compiled code, or even compiles; what came meanwhile would be stamped late.
                warm_up(self._peer, self._decoder)
            finally:
                self._turn.release()
            wait_s = BACKOFF_FIRST_S
            while not self._closed:
                if not self._connected():
                    self._sleep.acquire(timeout=wait_s)
                    wait_s = min(2.0 * wait_s, BACKOFF_MOST_S)
                    continue
                wait_s = BACKOFF_FIRST_S
                if not self._is_attended():
                    self._stand_in()
                self._rest()
            self._end()
        except Exception as fault:  # noqa: BLE001 - told to whoever reads
            self._fault = fault
        finally:
            self._closed = True
            with self._turn:
                if self._peer is not None:
                    self._part(self._peer)
            self._waiting.put(None)

    def _connected(self) -> bool:
        if self._peer is None:
            try:
                self._peer = self._address.connect()
            except OSError:
                self._counts["failed_connections"] += 1
                return False
            self._counts["connections"] += 1
        return True

    def _is_attended(self) -> bool:
        """Whether somebody reads, or took a batch so lately that nothing is late if the next is asked for soon."""
        return self._attended or time.monotonic() - self._left_s < PROMPT_S

    def _stand_in(self) -> None:
        """Read, until somebody asks: who asked gets this batch, and reads the next."""
        with self._turn:
            self._asked = asked = False
            while self._peer is not None and not asked and not self._closed:
                batch = self._pump(LISTEN_S)
                if batch is not None:
                    asked = self._asked
                    self._offer(batch)

    def _rest(self) -> None:
        """Leave the link to others for a while: where nothing comes, until somebody takes the first batch."""
        peer = self._peer
        self._dozes = peer is not None and not peer.flows
        self._sleep.acquire(timeout=LISTEN_S if self._dozes and self._attended else LOOK_S)
        self._dozes = False

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is awake
            self._sleep.release()

    def _end(self) -> None:
        """Take what the system still holds, unless nobody could be told of it."""
        with self._turn, contextlib.suppress(OSError):
            peer = self._peer
            for _ in range(MOST_LAST):
                batch = None if peer is None or self._fault else peer.receive(self._decoder, self._now_us)
                if batch is None:
                    break
                self._offer(self._recorded(batch))

    def _pump(self, timeout_s: float) -> Frames | None:
        """Read what comes next; with the turn only. A connection that ends is given up, for `_run` to make another."""
        peer = self._peer
        if peer is None:
            return None
        try:
            self._announce(peer)
            batch = peer.receive(self._decoder, self._now_us) if peer.wait(min(timeout_s, LISTEN_S)) else None
        except OSError:
            self._part(peer)
            return None
        return self._recorded(batch)

    def _announce(self, peer: Peer) -> None:
        if self._address.kind == "udpout" and time.monotonic() - self._announced_s > ANNOUNCE_S:
            self._announced_s = time.monotonic()
            peer.send(_heartbeat())

    def _part(self, peer: Peer) -> None:
        self._peer, self._announced_s = None, -math.inf
        self._counts["dropped_datagrams"] += peer.dropped
        peer.close()

    def _recorded(self, batch: Frames | None) -> Frames | None:
        """Write a batch to the recording; None where no frame is complete."""
        if batch is None or not len(batch):
            return None
        if self._record is not None:
            self._record.write(batch.to_tlog())
            self._record.flush()
        return batch

    def _offer(self, batch: Frames | None) -> None:
        """Put a batch where others find it; beyond the most that may wait the oldest are dropped."""
        if batch is None:
            return
        self._waiting.put(batch)
        self._count_waiting(len(batch))
        while self._n_waiting > self._most_waiting and self._waiting.qsize() > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        with contextlib.suppress(queue.Empty):
            late = self._waiting.get_nowait() or ()
            self._count_waiting(-len(late))
            self._counts["dropped_frames"] += len(late)


def _heartbeat() -> bytes:
    """Make the heartbeat of a ground station: those who are called expect one before they answer."""
    from pymavlink.dialects.v20 import minimal  # pyright: ignore[reportMissingImports]

    station = minimal.MAVLink(None, srcSystem=255, srcComponent=minimal.MAV_COMP_ID_MISSIONPLANNER)
    kind, autopilot = minimal.MAV_TYPE_GCS, minimal.MAV_AUTOPILOT_INVALID
    return minimal.MAVLink_heartbeat_message(kind, autopilot, 0, 0, minimal.MAV_STATE_ACTIVE, 3).pack(station)
