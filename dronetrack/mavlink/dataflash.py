"""Which records does an ArduPilot log hold? DataFlash `.bin` and `.log` become columns by message, in physical units.

The format is described by its own first records: FMT gives each message its id, length and columns; FMTU, UNIT and
MULT give units and multipliers (AP_Logger/LogStructure.h). A record has no checksum, so what is believed of a damaged
log rests on where the next header stands; see `dronetrack.kernels.onboard.scan_dataflash`.
"""

import pathlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import onboard as kernels
from dronetrack.mavlink.content import Content, read_content
from dronetrack.mavlink.records import gather_tables, indexed, packed_dtype

_FMT = 128
_FMT_HEAD = re.compile(rb"\xa3\x95\x80")
# Code of a column -> (type as stored, divisor to the unit)
_CODES: dict[str, tuple[str, float]] = {
    "a": ("(32,)<i2", 1.0),
    "b": ("i1", 1.0),
    "B": ("u1", 1.0),
    "h": ("<i2", 1.0),
    "H": ("<u2", 1.0),
    "i": ("<i4", 1.0),
    "I": ("<u4", 1.0),
    "q": ("<i8", 1.0),
    "Q": ("<u8", 1.0),
    "g": ("<f2", 1.0),
    "f": ("<f4", 1.0),
    "d": ("<f8", 1.0),
    "n": ("S4", 1.0),
    "N": ("S16", 1.0),
    "Z": ("S64", 1.0),
    "M": ("i1", 1.0),
    "c": ("<i2", 100.0),
    "C": ("<u2", 100.0),
    "e": ("<i4", 100.0),
    "E": ("<u4", 100.0),
    "L": ("<i4", 1e7),
}
_FMT_BODY = np.dtype([("Type", "u1"), ("Length", "u1"), ("Name", "S4"), ("Format", "S16"), ("Columns", "S64")])
_MEANING = ("FMTU", "UNIT", "MULT")

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the records of one message are laid out: its `name`, the format `codes`, and the packed `dtype`."""

    name: str
    codes: str
    dtype: np.dtype

    @property
    def length(self) -> int:
        """Bytes of a record, header included."""
        return kernels.HEADER + self.dtype.itemsize

    def code(self, column: str) -> str:
        """Return the format code of a column."""
        return self.codes[(self.dtype.names or ()).index(column)]


_FMT_LAYOUT = Layout("FMT", "BBnNZ", _FMT_BODY)


@dataclass(frozen=True, slots=True, eq=False)
class DataFlash:
    """The records of a DataFlash log, a table for each message.

    Parameters
    ----------
    layouts : dict of str to Layout
        By message, for every message that the log defines. Where one is laid out in several ways, the way with most
        records has its name, and the others are called ``NAME#1``, ...
    counts : dict of str to int
        How many records of each message the log holds, where it holds any.
    records : dict of str to (k,) structured
        As stored, in the order of the log; of the messages that were asked for.
    offsets : dict of str to (k,) int64
        Where each record starts: byte of a `.bin`, line of a `.log`.
    stored_scaled : bool
        Whether centi-units and 1e-7 degrees are still to be divided (`.bin`), or are written out (`.log`).
    multipliers, units : dict of str to dict of str to float, str
        Of the columns, by message, as FMTU gives them; none in logs from before 2018.
    instances : dict of str to str
        Which column tells a message's instances apart, where one does.
    stats : dict
        ``records``, ``bad_records`` (stretches of bytes that are no record), ``skipped_bytes``, ``cut_bytes`` (an
        unfinished record at the end), ``bad_definitions`` (FMT records that contradict themselves).
    """

    layouts: dict[str, Layout]
    counts: dict[str, int]
    records: dict[str, NDArray[np.void]]
    offsets: dict[str, Times]
    stored_scaled: bool
    stats: dict[str, int]
    multipliers: dict[str, dict[str, float]] = field(default_factory=dict)
    units: dict[str, dict[str, str]] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)

    def columns(self, name: str, instance: int | None = None) -> dict[str, NDArray]:
        """Return one message's columns in the units of `units`.

        Parameters
        ----------
        name : str
            Which message, such as ``GPS``.
        instance : int, optional
            Rows of one sensor, core or lane only.

        Returns
        -------
        dict of str to (k,) ndarray
            By column. Integers that need no factor stay integers, ``TimeUS`` stays integer microseconds since boot,
            text is bytes; what needs no conversion is a view of `records`. Empty where the log has no such message.

        Raises
        ------
        InputError
            If instances are asked of a message that has none.
        """
        if name not in self.records:
            return {}
        records = self.records[name]
        if instance is not None:
            if name not in self.instances:
                raise InputError(f"{name} has no instances in this log; leave instance= away.")
            records = records[records[self.instances[name]] == instance]
        return {column: self._physical(name, column, records[column]) for column in records.dtype.names or ()}

    def _physical(self, name: str, column: str, stored: NDArray) -> NDArray:
        if column == "TimeUS" and stored.dtype.kind in "iu":
            return stored.astype(np.int64)
        divisor = _CODES[self.layouts[name].code(column)][1]
        if divisor != 1.0:
            return stored / divisor if self.stored_scaled else stored
        factor = self.multipliers.get(name, {}).get(column, 1.0)
        if factor == 1.0 or stored.dtype.kind == "S":
            return stored
        # Dividing by the round number is more exact than multiplying by its inverse, which no double holds.
        return stored / np.round(1.0 / factor) if factor < 1.0 else stored * factor


def read_dataflash(source: str | pathlib.Path | bytes | Content, names: Collection[str] | None = None) -> DataFlash:
    """Read an ArduPilot on-board log, binary or text.

    Parameters
    ----------
    source : str, Path, bytes or Content
        A `.bin` or `.log`, packed or not, or its content.
    names : collection of str, optional
        Which messages to gather; all by default.

    Returns
    -------
    DataFlash
        What is not a record is counted.

    Raises
    ------
    FormatError
        If there is no such file, or not one record that says how others are laid out.
    """
    content = source if isinstance(source, Content) else read_content(source)
    log = _read_text(content, names) if content.kind == "dataflash_text" else _read_binary(content, names)
    if content.cut:
        log.stats["packed_cut"] = 1
    return log


def _read_binary(content: Content, names: Collection[str] | None) -> DataFlash:
    data = content.data
    layouts, at, identity, number, bad = _definitions(data)
    if len(at) == 1:
        raise FormatError(f"{content.label}: no FMT record in {len(data)} bytes; needed a DataFlash log.")
    lengths = np.array([one.length for one in layouts], dtype=np.int64)
    counts = np.zeros(3, dtype=np.int64)

    def scan(room: int) -> tuple[int, Times, NDArray[np.int32]]:
        start, layout = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int32)
        counts[:] = 0
        return kernels.scan_dataflash(data, lengths, at, identity, number, start, layout, counts), start, layout

    start, layout = indexed(scan, len(data))
    found = np.bincount(layout, minlength=len(layouts))
    labels = _labels(layouts, found)
    wanted = np.array([names is None or one.name in names or one.name in _MEANING for one in layouts])
    dtypes = [one.dtype for one in layouts]
    tables, offsets = gather_tables(data, start, layout, kernels.HEADER, dtypes, wanted)
    stats = dict(zip(("skipped_bytes", "bad_records", "cut_bytes"), counts.tolist(), strict=True))
    log = DataFlash(
        layouts=dict(zip(labels, layouts, strict=True)),
        counts={labels[k]: int(found[k]) for k in np.flatnonzero(found)},
        records={labels[k]: table for k, table in tables.items()},
        offsets={labels[k]: rows for k, rows in offsets.items()},
        stored_scaled=True,
        stats={"records": len(start), **stats, "bad_definitions": bad},
    )
    _explain(log, {int(one): labels[int(k)] for one, k in zip(identity, number, strict=True)})
    return log


def _definitions(
    data: NDArray[np.uint8],
) -> tuple[list[Layout], Times, NDArray[np.int64], NDArray[np.int64], int]:
    """Find every FMT record: the layouts, and where which id is given which of them.

    An FMT record whose length is not that of its own format is damaged, and defines nothing.
    """
    numbers = {_FMT_LAYOUT: 0}
    rows = [(-1, _FMT, 0)]
    # Flights that were appended to one file define the same again and again.
    seen: dict[bytes, int] = {}
    bad = 0
    last = len(data) - kernels.HEADER - _FMT_BODY.itemsize
    for match in _FMT_HEAD.finditer(data.data):
        at = match.start()
        if at > last:
            break
        stored = data[at + kernels.HEADER : at + kernels.HEADER + _FMT_BODY.itemsize].tobytes()
        if stored not in seen:
            layout = _defined(np.frombuffer(stored, _FMT_BODY)[0])
            seen[stored] = -1 if layout is None else numbers.setdefault(layout, len(numbers))
        if seen[stored] < 0:
            bad += 1
        else:
            rows.append((at, stored[0], seen[stored]))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    at, identity, number = (np.ascontiguousarray(column) for column in table.T)
    return list(numbers), at, identity, number, bad


def _read_text(content: Content, names: Collection[str] | None) -> DataFlash:
    """Read a log that a ground station wrote out as text, one record a line, numbers as they are meant."""
    layouts = {"FMT": _FMT_LAYOUT}
    label_of: dict[int, str] = {}
    rows: dict[str, list[tuple]] = {}
    lines: dict[str, list[int]] = {}
    stats: dict[str, int] = dict.fromkeys(
        ("records", "skipped_bytes", "bad_records", "cut_bytes", "bad_definitions"), 0
    )
    for number, line in enumerate(content.data.tobytes().decode("utf-8", "replace").splitlines()):
        name, _, rest = line.strip().partition(",")
        values = _values(rest, layouts[name]) if name in layouts else None
        if values is None:
            stats["bad_records"] += bool(line.strip())
            stats["skipped_bytes"] += len(line.encode())
            continue
        rows.setdefault(name, []).append(values)
        lines.setdefault(name, []).append(number)
        if name == "FMT":
            identity, _, defined, codes, columns = values
            layout = _layout(_text(defined), _text(codes), _text(columns).split(","))
            if layout is None or (layout.name in rows and layout != layouts[layout.name]):
                stats["bad_definitions"] += 1
                continue
            layouts[layout.name] = layout
            label_of[identity] = layout.name
    stats["records"] = sum(map(len, rows.values()))
    if not label_of:
        raise FormatError(f"{content.label}: no FMT line; needed a DataFlash log.")
    kept = [name for name in rows if names is None or name in names or name in _MEANING]
    log = DataFlash(
        layouts=layouts,
        counts={name: len(same) for name, same in rows.items()},
        records={name: np.array(rows[name], dtype=_text_dtype(layouts[name])) for name in kept},
        offsets={name: np.array(lines[name], dtype=np.int64) for name in kept},
        stored_scaled=False,
        stats=stats,
    )
    _explain(log, label_of)
    return log


def _values(text: str, layout: Layout) -> tuple | None:
    """Return the values of a line; None where it does not have them. Text at the end may hold commas."""
    parts = text.split(",", len(layout.codes) - 1) if layout.codes else []
    try:
        return tuple(_TEXT_CODES[code][1](part.strip()) for code, part in zip(layout.codes, parts, strict=True))
    except (ValueError, OverflowError):
        return None


def _integer(text: str) -> int:
    value = int(text)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(text)
    return value


# In text, whole numbers, real numbers (those with a divisor are divided already) and names are all there is.
_TEXT_CODES: dict[str, tuple[str, Callable[[str], object]]] = {
    **dict.fromkeys("bBhHiIqQ", ("<i8", _integer)),
    **dict.fromkeys("gfdcCeEL", ("<f8", float)),
    **dict.fromkeys("nNZMa", ("S64", str.encode)),
}


def _text_dtype(layout: Layout) -> np.dtype:
    columns = layout.dtype.names or ()
    return np.dtype([(name, _TEXT_CODES[code][0]) for name, code in zip(columns, layout.codes, strict=True)])


def _defined(body: np.void) -> Layout | None:
    layout = _layout(_text(body["Name"]), _text(body["Format"]), _text(body["Columns"]).split(","))
    return layout if layout is not None and layout.length == body["Length"] else None


def _layout(name: str, codes: str, columns: list[str]) -> Layout | None:
    if not name.isprintable() or not name or any(code not in _CODES for code in codes):
        return None
    named = [*columns[: len(codes)], *[""] * (len(codes) - len(columns))]
    dtype = packed_dtype((column, _CODES[code][0]) for column, code in zip(named, codes, strict=True))
    return Layout(name, codes, dtype)


def _text(value: bytes | np.bytes_) -> str:
    return bytes(value).split(b"\0")[0].decode("latin-1")


def _labels(layouts: list[Layout], found: NDArray[np.int64]) -> list[str]:
    """Return a name for each layout: where a message was laid out in several ways, the one with most records has it."""
    labels = [f"{one.name}#{k}" for k, one in enumerate(layouts)]
    for name in {one.name for one in layouts}:
        same = [k for k, one in enumerate(layouts) if one.name == name]
        labels[max(same, key=lambda k: found[k])] = name
    return labels


def _explain(log: DataFlash, label_of: dict[int, str]) -> None:
    """Fill in units, multipliers and instance columns from FMTU, UNIT and MULT."""
    unit, multiplier = log.columns("UNIT"), log.columns("MULT")
    units = dict(zip(_letters(unit, "Id"), map(_text, unit.get("Label", ())), strict=False))
    factors = dict(zip(_letters(multiplier, "Id"), map(float, multiplier.get("Mult", ())), strict=False))
    told = log.columns("FMTU")
    if not {"FmtType", "UnitIds", "MultIds"} <= set(told):
        return
    rows = zip(*(told[one].tolist() for one in ("FmtType", "UnitIds", "MultIds")), strict=True)
    for identity, unit_ids, mult_ids in dict.fromkeys(rows):
        name = label_of.get(identity)
        if name is None:
            continue
        columns = log.layouts[name].dtype.names or ()
        log.units[name] = {column: units.get(one, "") for column, one in zip(columns, _text(unit_ids), strict=False)}
        log.multipliers[name] = {
            column: _factor(factors.get(one, 1.0)) for column, one in zip(columns, _text(mult_ids), strict=False)
        }
        marked = _text(unit_ids).find("#")
        if 0 <= marked < len(columns):
            log.instances[name] = columns[marked]


def _letters(columns: dict[str, NDArray], name: str) -> list[str]:
    return [chr(int(one) & 0xFF) for one in columns.get(name, ())]


def _factor(multiplier: float) -> float:
    """Multipliers are single precision inside a double; 0 says that there is none."""
    exact = float(f"{multiplier:.7g}")
    return exact if np.isfinite(exact) and exact > 0.0 else 1.0
