"""Which topics does a PX4 log hold? ULog becomes columns by topic and instance.

The format (PX4 developer guide, 'ULog file format') describes itself: F messages lay out types, A messages subscribe a
topic to an id, D messages hold its data. Topics may nest types, and end in padding. There is no checksum and no mark at
a message's start, so a damaged log is read as `dronetrack.kernels.onboard.scan_ulog` says.
"""

import pathlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError
from dronetrack.kernels import onboard as kernels
from dronetrack.mavlink.content import Content, read_content
from dronetrack.mavlink.records import gather_tables, indexed, packed_dtype

_FILE_HEADER = 16
_DATA_LEAD = kernels.HEADER + 2  # the header and the id
_MOST_SIZE = 65_535
_DEEPEST = 8
_TYPES = {
    "int8_t": "i1",
    "uint8_t": "u1",
    "int16_t": "<i2",
    "uint16_t": "<u2",
    "int32_t": "<i4",
    "uint32_t": "<u4",
    "int64_t": "<i8",
    "uint64_t": "<u8",
    "float": "<f4",
    "double": "<f8",
    "bool": "i1",
}

Fields = list[tuple[str, int, str]]  # type, length of the array (0 = none), name


@dataclass(frozen=True, slots=True, eq=False)
class ULog:
    """The topics of a PX4 log.

    Parameters
    ----------
    topics : dict of (str, int) to (k,) structured
        By name and instance; nested fields are called ``outer.inner``, arrays are kept.
    counts : dict of (str, int) to int
        How many messages of each the log holds, whether asked for or not.
    info, parameters : dict of str to int, float, str or bytes
        What the log says about itself; the parameters as they were first.
    dropout_ms : (k,) int64
        How long each gap was in which the logger could not write. [ms]
    stats : dict
        ``records`` (messages of any kind), ``bad_records`` (stretches of bytes that are no message), ``skipped_bytes``,
        ``cut_bytes`` (an unfinished message at the end), ``unknown_records``, ``bad_definitions``, ``dropouts``.
    """

    topics: dict[tuple[str, int], NDArray[np.void]]
    counts: dict[tuple[str, int], int]
    info: dict[str, int | float | str | bytes]
    parameters: dict[str, int | float | str | bytes]
    dropout_ms: NDArray[np.int64]
    stats: dict[str, int]

    def columns(self, name: str, instance: int = 0) -> dict[str, NDArray]:
        """Return one topic's columns, in the units of PX4's message definitions.

        Parameters
        ----------
        name : str
            Which topic, such as ``vehicle_attitude``.
        instance : int, optional
            Which of several sensors of a kind.

        Returns
        -------
        dict of str to (k, ...) ndarray
            By field, views of the topic's records; empty where the log has no such topic.
        """
        table = self.topics.get((name, instance))
        return {} if table is None else {one: table[one] for one in table.dtype.names or ()}


@dataclass(frozen=True, slots=True)
class _Topic:
    """One subscription: its data without padding, and how many bytes of padding may follow."""

    name: str
    instance: int
    dtype: np.dtype
    padding: int


def read_ulog(source: str | pathlib.Path | bytes | Content, names: Collection[str] | None = None) -> ULog:
    """Read a PX4 log.

    Parameters
    ----------
    source : str, Path, bytes or Content
        A `.ulg`, packed or not, or its content.
    names : collection of str, optional
        Which topics to gather; all by default.

    Returns
    -------
    ULog
        What is not a message is counted.

    Raises
    ------
    FormatError
        If there is no such file, it is no ULog, or one that says that old readers must not read it.
    """
    content = source if isinstance(source, Content) else read_content(source)
    if content.kind != "ulog" or len(content.data) < _FILE_HEADER:
        raise FormatError(f"{content.label}: not a ULog (its first bytes are not 'ULog' and a version).")
    # What the topics are is not known yet: any data will do.
    start, _ = _scan(content.data, np.zeros(65_536, dtype=np.int32), np.full(65_536, _MOST_SIZE, dtype=np.int32))
    told = _Definitions(content, start)
    if told.unreadable:
        raise FormatError(f"{content.label}: a ULog with a feature that is not known here; use a newer reader.")
    topics, sizes = list(told.topics.values()), np.full((2, 65_536), -1, dtype=np.int32)
    sizes[0] = _MOST_SIZE
    for identity, topic in told.topics.items():
        least = 2 + topic.dtype.itemsize
        sizes[:, identity] = least, least + topic.padding
    start, counts = _scan(content.data, *sizes)
    data_start, number = _data_messages(content.data, start, list(told.topics))
    wanted = np.array([names is None or one.name in names for one in topics], dtype=np.bool_)
    dtypes = [one.dtype for one in topics]
    tables, _ = gather_tables(content.data, data_start, number, _DATA_LEAD, dtypes, wanted)
    found = np.bincount(number, minlength=len(topics))
    stats = dict(zip(("skipped_bytes", "bad_records", "cut_bytes", "unknown_records"), counts, strict=True))
    log = ULog(
        topics=_merged([((topics[k].name, topics[k].instance), table) for k, table in tables.items()]),
        counts={(topics[k].name, topics[k].instance): int(found[k]) for k in np.flatnonzero(found)},
        info=told.info,
        parameters=told.parameters,
        dropout_ms=np.array(told.dropout_ms, dtype=np.int64),
        stats={"records": len(start), **stats, "bad_definitions": told.bad, "dropouts": len(told.dropout_ms)},
    )
    if content.cut:
        log.stats["packed_cut"] = 1
    return log


def _scan(
    data: NDArray[np.uint8], least: NDArray[np.int32], most: NDArray[np.int32]
) -> tuple[NDArray[np.int64], list[int]]:
    counts = np.zeros(4, dtype=np.int64)

    def scan(room: int) -> tuple[int, NDArray[np.int64]]:
        start = np.empty(room, dtype=np.int64)
        counts[:] = 0
        return kernels.scan_ulog(data, _FILE_HEADER, least, most, start, counts), start

    (start,) = indexed(scan, len(data))
    return start, counts.tolist()


def _data_messages(
    data: NDArray[np.uint8], start: NDArray[np.int64], ids: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return where the data messages start, and the number of each one's topic."""
    start = start[data[start + 2] == ord("D")]
    number = np.full(65_536, -1, dtype=np.int32)
    number[ids] = np.arange(len(ids))
    identity = data[start + kernels.HEADER].astype(np.int32) | data[start + kernels.HEADER + 1].astype(np.int32) << 8
    return start, number[identity]


def _merged(tables: list[tuple[tuple[str, int], NDArray[np.void]]]) -> dict[tuple[str, int], NDArray[np.void]]:
    """Join what was subscribed twice under one name, if it is laid out alike; the first wins otherwise."""
    out: dict[tuple[str, int], NDArray[np.void]] = {}
    for key, table in tables:
        if key in out and out[key].dtype == table.dtype:
            out[key] = np.concatenate([out[key], table])
        out.setdefault(key, table)
    return dict(sorted(out.items()))


class _Definitions:
    """What the messages other than data say."""

    def __init__(self, content: Content, start: NDArray[np.int64]) -> None:
        self.label = content.label
        self.formats: dict[str, Fields] = {}
        self.topics: dict[int, _Topic] = {}
        self.info: dict[str, int | float | str | bytes] = {}
        self.parameters: dict[str, int | float | str | bytes] = {}
        self.dropout_ms: list[int] = []
        self.bad = 0
        self.unreadable = False
        self._flat: dict[str, list[tuple[str, str]]] = {}
        readers = {
            ord("F"): self._format,
            ord("A"): self._subscribe,
            ord("I"): lambda body: self._value(body, self.info),
            ord("P"): lambda body: self._value(body, self.parameters),
            ord("O"): lambda body: self.dropout_ms.append(int.from_bytes(body, "little")),
            ord("B"): self._flags,
        }
        kinds = content.data[start + 2]
        for row in np.flatnonzero(np.isin(kinds, list(readers))):
            at = int(start[row])
            size = int(content.data[at]) | int(content.data[at + 1]) << 8
            body = content.data[at + kernels.HEADER : at + kernels.HEADER + size].tobytes()
            try:
                readers[int(kinds[row])](body)
            except (ValueError, IndexError, KeyError):
                self.bad += 1

    def _flags(self, body: bytes) -> None:
        """Refuse what PX4 marks as unreadable for those who do not know the mark; only appended data is known."""
        self.unreadable = bool(body[8] & ~1) or any(body[9:16])

    def _format(self, body: bytes) -> None:
        name, _, fields = body.decode("utf-8").partition(":")
        self.formats[name] = [_field(one) for one in fields.split(";") if one]
        self._flat.clear()

    def _subscribe(self, body: bytes) -> None:
        name = body[3:].decode("utf-8")
        flat = list(self._flattened(name))
        padding = 0
        while flat and flat[-1][0].startswith("_padding"):
            padding += np.dtype(flat.pop()[1]).itemsize
        dtype = packed_dtype(flat)
        if not 0 < dtype.itemsize <= _MOST_SIZE:
            raise ValueError(name)
        self.topics[int.from_bytes(body[1:3], "little")] = _Topic(name, body[0], dtype, padding)

    def _flattened(self, name: str, depth: int = 0) -> list[tuple[str, str]]:
        """Return the fields of a type, with those of its inner types in their place."""
        if name in self._flat:
            return self._flat[name]
        if depth > _DEEPEST:
            raise ValueError(name)
        flat: list[tuple[str, str]] = []
        for kind, length, field in self.formats[name]:
            if kind == "char":
                flat.append((field, f"S{max(length, 1)}"))
            elif kind in _TYPES:
                flat.append((field, f"({length},){_TYPES[kind]}" if length else _TYPES[kind]))
            else:
                inner = self._flattened(kind, depth + 1)
                if len(inner) * max(length, 1) + len(flat) > _MOST_SIZE:
                    raise ValueError(name)
                places = [f"{field}[{k}]" for k in range(length)] if length else [field]
                flat += [(f"{place}.{one}", dtype) for place in places for one, dtype in inner]
        self._flat[name] = flat
        return flat

    @staticmethod
    def _value(body: bytes, into: dict[str, int | float | str | bytes]) -> None:
        length = body[0]
        kind, _, key = body[1 : 1 + length].decode("utf-8").partition(" ")
        value = body[1 + length :]
        if kind.startswith("char["):
            into.setdefault(key, value.decode("utf-8", "replace"))
        elif kind in _TYPES:
            into.setdefault(key, np.frombuffer(value, _TYPES[kind], 1)[0].item())
        else:
            into.setdefault(key, value)


def _field(text: str) -> tuple[str, int, str]:
    kind, _, name = text.partition(" ")
    base, _, length = kind.partition("[")
    size = int(length.removesuffix("]")) if length else 0
    if not name or not 0 <= size <= _MOST_SIZE:
        raise ValueError(text)
    return base, size, name
