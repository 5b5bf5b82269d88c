"""Which frames does a log or stream hold? Bytes become a verified index, and an index becomes columns by message."""

import itertools
import pathlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import mavlink as kernels
from dronetrack.mavlink.content import Content, read_content
from dronetrack.mavlink.layouts import Dialect, dialect_of
from dronetrack.mavlink.signing import SignaturePolicy, Signatures

_TOTALS: tuple[str, ...] = ("frames", "bad_frames", "lost_frames", "skipped_bytes", "unknown_id_frames", "cut_bytes")
_WHOLE = np.zeros(0, dtype=np.int64)  # where the parts end of what has only one
_PROBE_BYTES = 65_536
_CHUNK_BYTES = 1 << 22
MOST_CHANNELS = 256

Bytes = bytes | bytearray | memoryview


def _column(at: int, kind: type[np.generic], doc: str) -> Any:  # noqa: ANN401 - a property, to the type checker a column
    """Make the property that cuts a column out of an index; most batches of a live link are asked for two of eight."""

    def cut(self: "Frames") -> NDArray[Any]:
        start = at * (len(self.index) // kernels.INDEX_BYTES)
        return self.index[start : start + self.n_frames * np.dtype(kind).itemsize].view(kind)

    return property(cut, doc=doc)


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Verified frames, n rows in the order in which they came.

    Parameters
    ----------
    data : (size,) uint8
        The bytes.
    index : (26 * room,) uint8
        Where the frames are, the columns below in one block of memory, with room for at least n.
    n_frames : int
        How many they are.
    dialect : Dialect
        How the messages are laid out.
    stats : dict
        What the decoder had counted when it gave this batch, see `Decoder.stats`.

    Attributes
    ----------
    payload : (n,) int64
        Offset of each payload.
    receive_us : (n,) int64
        The receiver's stamp; 0 where there is none. [us, its clock]
    message : (n,) int32
        Message id.
    source : (n,) uint16
        ``system_id << 8 | component_id``.
    size : (n,) uint8
        Length of each payload as sent.
    sequence : (n,) uint8
        Sequence number.
    head, tail : (n,) uint8
        Bytes of the frame before its payload (6 in MAVLink 1, 10 in MAVLink 2) and after it (15 where it is signed).
    """

    data: NDArray[np.uint8]
    index: NDArray[np.uint8]
    n_frames: int
    dialect: Dialect
    stats: dict[str, Any] = field(default_factory=dict)

    payload = _column(kernels.PAYLOAD, np.int64, "Offset of each payload.")
    receive_us = _column(kernels.RECEIVED, np.int64, "The receiver's stamp; 0 where there is none. [us, its clock]")
    message = _column(kernels.MESSAGE, np.int32, "Message id.")
    source = _column(kernels.SOURCE, np.uint16, "``system_id << 8 | component_id``.")
    size = _column(kernels.SIZE, np.uint8, "Length of each payload as sent.")
    sequence = _column(kernels.SEQUENCE, np.uint8, "Sequence number.")
    head = _column(kernels.HEAD, np.uint8, "Bytes of each frame before its payload.")
    tail = _column(kernels.TAIL, np.uint8, "Bytes of each frame after its payload.")

    def __len__(self) -> int:
        return self.n_frames

    @property
    def system_id(self) -> NDArray[np.uint16]:
        """(n,) uint16: the sending system."""
        return (self.source >> 8).astype(np.uint16)

    @property
    def start(self) -> NDArray[np.int64]:
        """(n,) int64: where each frame begins, its stamp aside."""
        return self.payload - self.head

    @property
    def stop(self) -> NDArray[np.int64]:
        """(n,) int64: where each frame ends."""
        return self.payload + self.size + self.tail

    @property
    def place(self) -> NDArray[np.int64]:
        """(n,) int64: number of each frame in its sender's own count, the sequence number without its wrap at 256.

        Frames that came late have smaller ones than those before them.
        """
        place = np.empty(len(self), dtype=np.int64)
        kernels.unwrap(self.source, self.sequence, place)
        return place

    def take(self, rows: NDArray[Any]) -> Self:
        """Return some rows of the same bytes.

        Parameters
        ----------
        rows : (n,) bool or (k,) int
            Which.

        Returns
        -------
        Frames
            Those.
        """
        columns = [getattr(self, name)[rows] for name in ROW_COLUMNS]
        return replace(self, index=_block(columns), n_frames=len(columns[0]))

    def columns(self, message: str | int, system_id: int | None = None) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Gather the payloads of one message.

        Parameters
        ----------
        message : str or int
            Which, by name or id.
        system_id : int, optional
            Of one system only.

        Returns
        -------
        values : (k,) structured
            Wire fields by name, raw units.
        rows : (k,) int64
            Their rows in this index.
        """
        identity = self.dialect.message_id(message) if isinstance(message, str) else message
        layout, one = self.dialect.layout(identity), -1 if system_id is None else int(system_id)
        content, rows = kernels.gather_message(self.data, self.index, self.n_frames, identity, one, layout.itemsize)
        return np.frombuffer(content, layout), rows  # a third of the cost of a view, where the caches are cold

    def tables(self) -> dict[str, tuple[NDArray[np.void], NDArray[np.int64]]]:
        """Gather every message there is, in one pass over the bytes.

        Returns
        -------
        dict of str to (values, rows)
            As `columns` gives them, by name.
        """
        if not len(self):
            return {}
        order = np.argsort(self.message.astype(np.uint16), kind="stable")
        first = np.flatnonzero(np.diff(self.message[order], prepend=-1))
        ids, counts = self.message[order[first]], np.diff(first, append=len(order))
        stops = np.cumsum(counts * self.dialect.widths[ids])
        cursor = np.zeros(int(ids[-1]) + 1, dtype=np.int64)
        cursor[ids] = stops - counts * self.dialect.widths[ids]
        content = np.empty(int(stops[-1]), dtype=np.uint8)
        kernels.gather(self.data, self.index, self.n_frames, self.dialect.widths, cursor, content)
        parts = zip(ids.tolist(), np.split(content, stops[:-1]), np.split(order, first[1:]), strict=True)
        return {
            self.dialect.message_name(one): (values.view(self.dialect.layout(one)), rows) for one, values, rows in parts
        }

    def to_tlog(self) -> bytes:
        """Return the frames as a stamped log that every ground station reads.

        Returns
        -------
        bytes
            An 8-byte big-endian stamp before each frame, the frame as it came.
        """
        stamps = self.receive_us.astype(">u8").view(np.uint8).reshape(len(self), 8)
        content = memoryview(self.data)  # pyright: ignore[reportArgumentType] - numpy's buffers
        rows = zip(stamps, self.start.tolist(), self.stop.tolist(), strict=True)
        return b"".join(bytes(stamp) + bytes(content[start:stop]) for stamp, start, stop in rows)


# As they lie in an index.
ROW_COLUMNS = ("payload", "receive_us", "message", "source", "size", "sequence", "head", "tail")


def _block(columns: Iterable[NDArray[Any]]) -> NDArray[np.uint8]:
    """Put the columns of an index one after the other."""
    return np.concatenate([one.view(np.uint8) for one in columns])


class Decoder:
    """Find the frames in bytes as they come; any split of the bytes gives the same frames.

    A frame counts only when its checksum holds, and nothing is ever skipped by a length that was not verified: garbage
    costs no frame beside it.

    Parameters
    ----------
    stamped : bool, optional
        Whether an 8-byte big-endian time stamp stands before each frame, as in a `.tlog`.
    dialect : str, optional
        Which messages there are; any that pymavlink ships. Some give one id two meanings, so it is chosen beforehand.
    names : iterable of str, optional
        Messages to keep; all others are verified and counted, then dropped.
    key : bytes or str, optional
        The vehicle's signing key: 32 bytes, or the passphrase that a ground station was given.
    signatures : {"require", "accept", "ignore"}, optional
        ``require``: only frames with a right signature and a fresh time are decoded; ``accept``: unsigned frames too,
        wrong ones never; ``ignore``: signatures are not looked at. ``require`` where a key is given, else ``ignore``.

    Attributes
    ----------
    received_bytes : int
        How many bytes were taken so far.

    Raises
    ------
    InputError
        If the dialect, a name, the key or the policy is not one.

    Examples
    --------
    >>> from pymavlink.dialects.v20 import all as mavlink
    >>> frame = mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(mavlink.MAVLink(None, srcSystem=7))
    >>> decoder = Decoder()
    >>> len(decoder.update(frame[:9], time_us=1_000_000)), len(decoder.update(frame[9:], time_us=1_000_500))
    (0, 1)
    >>> decoder.stats["frames"], decoder.stats["lost_by_source"]
    (1, {'7/0': 0})
    """

    def __init__(
        self,
        *,
        stamped: bool = False,
        dialect: str = "all",
        names: Iterable[str] | None = None,
        key: bytes | str | None = None,
        signatures: SignaturePolicy | None = None,
    ) -> None:
        self.stamped = stamped
        self.dialect = dialect_of(dialect)
        self._extras = self.dialect.extras(names)
        self._signatures = Signatures(key, signatures or ("ignore" if key is None else "require"))
        self._memory = np.zeros((kernels.N_SENDERS + 1, kernels.N_COUNTS), dtype=np.int64)
        self._senders, self._counts = self._memory[:-1], self._memory[-1]
        self._tails: dict[Hashable, bytes] = {}
        self._time_us = 0
        self.received_bytes = 0

    @property
    def stats(self) -> dict[str, Any]:
        """What was counted so far.

        ``frames`` (verified), ``bad_frames`` (stretches of bytes that are no frame), ``skipped_bytes`` (in them),
        ``unknown_id_frames``, ``cut_bytes`` (an unfinished frame at the end), ``lost_frames`` (by the senders' own
        numbers) and ``lost_by_source`` ("system/component" to count); where signatures are looked at also
        ``signed_frames``, ``unsigned_frames``, ``forged_frames`` and ``replayed_frames``.
        """
        heard = np.sort(self._senders[: self._counts[kernels.HEARD], 5])
        lost = {f"{one >> 8}/{one & 0xFF}": int(self._senders[one, 2]) for one in heard.tolist()}
        return {**self._totals(), "lost_by_source": lost}

    def update(self, data: Bytes, time_us: int | None = None) -> Frames:
        """Take more bytes and return the frames that they complete.

        Parameters
        ----------
        data : bytes
            Any number of them, cut anywhere.
        time_us : int, optional
            When they were received, for streams without stamps. [us]

        Returns
        -------
        Frames
            Possibly none. An unfinished frame waits for the next call.

        Raises
        ------
        InputError
            If a stamped log is given another time.
        """
        return self.update_channels([(None, data)], time_us)

    def update_channels(self, parts: Sequence[tuple[Hashable, Bytes]], time_us: int | None = None) -> Frames:
        """Take more bytes from a link on which several senders are heard.

        Parameters
        ----------
        parts : sequence of (channel, bytes)
            Where they came from, and they. An unfinished frame is finished only by bytes of its own channel.
        time_us : int, optional
            When they were received, for streams without stamps. [us]

        Returns
        -------
        Frames
            Those of one part after the other.

        Raises
        ------
        InputError
            If a stamped log is given another time.
        """
        self._stamp(time_us)
        return self._scan(parts or [(None, b"")], final=False)

    def update_datagrams(
        self, room: NDArray[np.uint8], senders: NDArray[np.uint8], sizes: NDArray[np.uintc], n: int, time_us: int
    ) -> Frames:
        """Take datagrams from the memory into which a socket put them; `update_channels` in one crossing.

        Parameters
        ----------
        room : (k, width) uint8
            A row for each datagram.
        senders : (k, m) uint8
            Who sent it: its channel.
        sizes : (k,) uintc
            How many bytes it has.
        n : int
            How many datagrams there are, at most k.
        time_us : int
            When they were received. [us]

        Returns
        -------
        Frames
            Those of one sender after the other.
        """
        self._stamp(time_us)
        if self._tails:
            parts: dict[Hashable, bytes] = {}
            for sender, row, size in zip(senders[:n], room, sizes.tolist(), strict=False):
                name = sender.tobytes()
                parts[name] = parts.get(name, b"") + row[:size].tobytes()
            return self._scan(list(parts.items()) or [(None, b"")], final=False)
        arrays = room, senders, sizes, n, self._extras, self._time_us, self._memory
        content, index, found, rests = kernels.scan_datagrams(*arrays)
        content.setflags(write=False)
        self.received_bytes += len(content)
        for row, stop, size in rests.tolist():
            self._remember(senders[row].tobytes(), content[stop - size : stop].tobytes())
        return self._admitted(Frames(content, index, found, self.dialect, self._totals()))

    def flush(self) -> Frames:
        """Return what is left when no more bytes will come; the decoder can then start on a new stream.

        Returns
        -------
        Frames
            Frames inside what looked like the start of a longer one.
        """
        return self._scan([(channel, b"") for channel in self._tails] or [(None, b"")], final=True)

    def _scan(self, parts: Sequence[tuple[Hashable, Bytes | NDArray[np.uint8]]], *, final: bool) -> Frames:
        self.received_bytes += sum(len(data) for _, data in parts)
        content, ends = self._with_tails(parts)
        left = np.array(ends, dtype=np.int64) if len(ends) > 1 else _WHOLE
        index, n = kernels.scan(content, left, self.stamped, final, self._extras, self._time_us, self._memory)
        if final:
            self._counts[kernels.SKIPPING] = 0
        else:
            self._keep(parts, content, ends, left.tolist() or [int(self._counts[kernels.LEFT])])
        frames = Frames(content, index, n, self.dialect, self.stats if final else self._totals())
        return self._admitted(frames)

    def _stamp(self, time_us: int | None) -> None:
        if time_us is not None:
            if self.stamped:
                raise InputError("a stamped log brings its own times; time_us is for streams without stamps.")
            self._time_us = int(time_us)

    def _admitted(self, frames: Frames) -> Frames:
        if self._signatures.policy == "ignore":
            return frames
        admitted = self._signatures.admit(frames.data, frames.start, frames.stop, frames.source)
        return replace(frames.take(admitted), stats={**frames.stats, **self._signatures.stats})

    def _with_tails(self, parts: Sequence[tuple[Hashable, Any]]) -> tuple[NDArray[np.uint8], list[int]]:
        """Put what each channel left before what it brings now; return where each part ends."""
        if len(parts) > 1 or parts[0][0] in self._tails:
            pieces = [self._tails.pop(channel, b"") + bytes(data) for channel, data in parts]
            ends = list(itertools.accumulate(map(len, pieces)))
            return np.frombuffer(b"".join(pieces), dtype=np.uint8), ends
        content = np.frombuffer(parts[0][1], dtype=np.uint8)
        if type(parts[0][1]) is not bytes:
            content.flags.writeable = False
        return content, [len(content)]

    def _keep(
        self, parts: Sequence[tuple[Hashable, Any]], content: NDArray[np.uint8], stops: list[int], left: list[int]
    ) -> None:
        """Keep what was not decided on for when more bytes of its channel come."""
        for (channel, _), stop, rest in zip(parts, stops, left, strict=True):
            if rest:
                self._remember(channel, content[stop - rest : stop].tobytes())

    def _remember(self, channel: Hashable, tail: bytes) -> None:
        self._tails[channel] = tail
        if len(self._tails) > MOST_CHANNELS:
            self._counts[kernels.SKIPPED] += len(self._tails.pop(next(iter(self._tails))))

    def _totals(self) -> dict[str, int]:
        totals = dict(zip(_TOTALS, self._counts.tolist(), strict=False))
        return totals if self._signatures.policy == "ignore" else {**totals, **self._signatures.stats}


def read_frames(source: str | pathlib.Path | Bytes | Content, **options: Any) -> Frames:  # noqa: ANN401 - those of Decoder
    """Index every verified frame of a log, stamped (`.tlog`) or not (`.raw`, `.mavlink`).

    Parameters
    ----------
    source : str, Path or bytes
        The log.
    **options
        Those of `Decoder`; ``stamped`` is found out where it is not given.

    Returns
    -------
    Frames
        In the order of the file; what is not a frame is counted.

    Raises
    ------
    FormatError
        If there is no such file, or not one verified frame in it.
    """
    content = source if isinstance(source, Content) else read_content(source)  # pyright: ignore[reportArgumentType]
    if content.kind != "mavlink":
        raise FormatError(
            f"{content.label}: a log of kind {content.kind}, which has no frames; read_telemetry reads it."
        )
    frames = index_frames(content.data, **{"stamped": is_stamped(content.data), **options})
    if not frames.stats["frames"]:
        raise FormatError(
            f"{content.label}: no MAVLink frame with a right checksum in {len(content.data)} bytes; "
            "needed a MAVLink log."
        )
    if content.cut:
        frames.stats["packed_cut"] = 1
    return frames


def index_frames(data: NDArray[np.uint8] | Bytes, *, stamped: bool = True, **options: Any) -> Frames:  # noqa: ANN401
    """Index the frames of bytes in memory.

    Parameters
    ----------
    data : (size,) uint8 or bytes
        The bytes.
    stamped : bool, optional
        Whether an 8-byte big-endian time stamp stands before each frame.
    **options
        Those of `Decoder`.

    Returns
    -------
    Frames
        Possibly none.
    """
    return Decoder(stamped=stamped, **options)._scan([(None, data)], final=True)  # noqa: SLF001 - update and flush in one


def read_batches(path: str | pathlib.Path, *, chunk_bytes: int = _CHUNK_BYTES, **options: Any) -> Iterator[Frames]:  # noqa: ANN401
    """Index a log of any size piece by piece, in memory for one piece.

    Parameters
    ----------
    path : str or Path
        The log.
    chunk_bytes : int, optional
        How much to read at a time.
    **options
        Those of `Decoder`; ``stamped`` is found out where it is not given.

    Yields
    ------
    Frames
        The frames of one piece after the other; together those of `read_frames`.

    Raises
    ------
    FormatError
        If there is no such file.
    """
    place = pathlib.Path(path)
    if not place.is_file():
        raise FormatError(f"{place}: no such file.")
    with place.open("rb") as file:
        chunk = file.read(max(chunk_bytes, 1))
        decoder = Decoder(**{"stamped": is_stamped(chunk), **options})
        while chunk:
            yield decoder.update(chunk)
            chunk = file.read(max(chunk_bytes, 1))
        yield decoder.flush()


def is_stamped(data: NDArray[np.uint8] | Bytes) -> bool:
    """Say whether a log has a time stamp before each frame, from its first bytes.

    Read without stamps, a log with stamps gives every frame; read with stamps, a stream without gives every other one.

    Parameters
    ----------
    data : (size,) uint8 or bytes
        The log, or its start.

    Returns
    -------
    bool
        True if no more frames are found without stamps.
    """
    probe = np.frombuffer(data, dtype=np.uint8)[:_PROBE_BYTES]
    return len(index_frames(probe, stamped=True)) >= len(index_frames(probe, stamped=False))


def join_frames(batches: Sequence[Frames]) -> Frames:
    """Put batches of one decoder together, so that a stretch of a live link is read like a log.

    Parameters
    ----------
    batches : sequence of Frames
        In order, at least one.

    Returns
    -------
    Frames
        All rows; the counts are those of the last.

    Raises
    ------
    InputError
        If there is none.
    """
    if not batches:
        raise InputError("join_frames needs at least one batch.")
    shift = np.cumsum([0, *(len(one.data) for one in batches[:-1])])
    payloads = [one.payload + start for one, start in zip(batches, shift.tolist(), strict=True)]
    index = _block(payloads + [getattr(one, name) for name in ROW_COLUMNS[1:] for one in batches])
    data = np.concatenate([one.data for one in batches])
    data.flags.writeable = False
    return Frames(data, index, sum(map(len, batches)), batches[-1].dialect, batches[-1].stats)
