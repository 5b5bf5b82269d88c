"""What does each field of a message mean? Columns of any message in SI units, what means 'unknown' as NaN.

Units and the values that mean 'unknown' stand only in the message definitions (XML) that pymavlink ships beside its
dialects; they are read once. A column is named after its field and its unit: ``lat`` becomes ``lat_deg``,
``time_boot_ms`` becomes ``time_boot_us``.
"""

import functools
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError
from dronetrack.mavlink.content import read_content
from dronetrack.mavlink.frames import Bytes, Frames, read_frames
from dronetrack.mavlink.layouts import Dialect, dialect_of
from dronetrack.mavlink.onboard import onboard_messages

Columns = dict[str, NDArray]

# Unit on the wire -> what one of it is, and the unit of the column. Angles stay what they are, degrees or radians;
# moments and delays in whole units become whole microseconds.
UNITS: dict[str, tuple[float, str]] = {
    "m": (1.0, "m"), "dam": (10.0, "m"), "dm": (0.1, "m"), "cm": (0.01, "m"), "mm": (0.001, "m"),
    "cm^2": (1e-4, "m2"), "cm^3": (1e-6, "m3"), "l": (1e-3, "m3"), "cm^3/min": (1e-6 / 60.0, "m3ps"),
    "m/s": (1.0, "mps"), "dm/s": (0.1, "mps"), "cm/s": (0.01, "mps"), "mm/s": (0.001, "mps"), "m/s*5": (0.2, "mps"),
    "m/s/s": (1.0, "mps2"), "mG": (9.80665e-3, "mps2"),
    "deg": (1.0, "deg"), "ddeg": (0.1, "deg"), "cdeg": (0.01, "deg"), "degE5": (1e-5, "deg"), "degE7": (1e-7, "deg"),
    "deg/2": (2.0, "deg"), "deg/s": (1.0, "degps"), "ddeg/s": (0.1, "degps"), "cdeg/s": (0.01, "degps"),
    "rad": (1.0, "rad"), "rad/s": (1.0, "radps"), "mrad/s": (0.001, "radps"), "rpm": (1.0, "rpm"),
    "s": (1.0, "s"), "ds": (0.1, "s"), "cs": (0.01, "s"), "ms": (1e3, "us"), "us": (1.0, "us"), "ns": (1.0, "ns"),
    "Hz": (1.0, "hz"), "MHz": (1e6, "hz"),
    "degC": (1.0, "degc"), "cdegC": (0.01, "degc"), "K": (1.0, "k"),
    "Pa": (1.0, "pa"), "hPa": (100.0, "pa"), "kPa": (1000.0, "pa"), "mbar": (100.0, "pa"),
    "gauss": (1e-4, "t"), "mgauss": (1e-7, "t"),
    "V": (1.0, "v"), "cV": (0.01, "v"), "mV": (0.001, "v"), "A": (1.0, "a"), "cA": (0.01, "a"), "mA": (0.001, "a"),
    "mAh": (0.001, "ah"), "W": (1.0, "w"), "hJ": (100.0, "j"), "kg": (1.0, "kg"), "g": (0.001, "kg"),
    "%": (1.0, "percent"), "d%": (0.1, "percent"), "c%": (0.01, "percent"),
    "bytes": (1.0, "bytes"), "MiB": (2.0**20, "bytes"), "bytes/s": (1.0, "bytesps"), "KiB/s": (1024.0, "bytesps"),
    "MiB/s": (2.0**20, "bytesps"),
    "bits/s": (1.0, "bitsps"), "pix": (1.0, "px"), "dB": (1.0, "db"), "dBm": (1.0, "dbm"),
}  # fmt: skip
_WIRE_ENDINGS = {"us": ("_usec", "_us"), "ms": ("_ms",), "cm": ("_cm",), "mm": ("_mm",), "ns": ("_ns",)}

# Said only in the words of the definitions, or not at all: ArduPilot's "no fix yet" in the dilutions of precision, the
# speeds of Open Drone ID, an image centre above the horizon.
_ALSO_UNKNOWN = {
    **{(name, field): 9999.0 for name in ("GPS_RAW_INT", "GPS2_RAW") for field in ("eph", "epv")},
    ("OPEN_DRONE_ID_LOCATION", "speed_horizontal"): 25500.0,
    ("OPEN_DRONE_ID_LOCATION", "speed_vertical"): 6300.0,
    **{("CAMERA_FOV_STATUS", f"{field}_image"): -(2.0**31) for field in ("lat", "lon", "alt")},
}


class Meaning(NamedTuple):
    """What one field means.

    Parameters
    ----------
    column : str
        Name of its column, unit included.
    factor : float or None
        What one on the wire is in that unit; None for what is counted, not measured.
    unknown : tuple of float
        Values on the wire that mean 'unknown'.
    by_first : bool
        Whether the first element of an array speaks for all of it.
    """

    column: str
    factor: float | None
    unknown: tuple[float, ...] = ()
    by_first: bool = False


def read_messages(
    source: str | pathlib.Path | Bytes | Frames,
    names: Iterable[str] | None = None,
    *,
    system_id: int | None = None,
    raw: bool = False,
    dialect: str = "all",
) -> dict[str, Columns]:
    """Read messages of a log as columns.

    Parameters
    ----------
    source : str, Path, bytes or Frames
        A log, its content, or frames that were decoded before. On-board logs (`.bin`, `.ulg`) give their messages in
        the units that they state themselves; the options below are for MAVLink.
    names : iterable of str, optional
        Which messages; all that are there by default.
    system_id : int, optional
        Of one system only.
    raw : bool, optional
        Numbers and names as they stand on the wire.
    dialect : str, optional
        As in `Decoder`.

    Returns
    -------
    dict of str to dict of str to (n, ...) ndarray
        By message, then by column. Measured values are float64 in SI units with NaN where the sender does not know;
        moments are int64 microseconds; flags, counts and ids stay integers; text is text; arrays stay arrays. Every
        message also has ``receive_us`` (the receiver's stamp, 0 where there is none), ``from_system`` and
        ``from_component``. A message that was asked for and never came has no rows.

    Raises
    ------
    FormatError
        If the source is no MAVLink log.
    InputError
        If the dialect does not have a message of that name.

    Examples
    --------
    >>> from pymavlink.dialects.v20 import all as mavlink
    >>> message = mavlink.MAVLink_gps_raw_int_message(0, 3, 462000000, 207000000, 90500, 65535, 120, 431, 9000, 9)
    >>> fix = read_messages(message.pack(mavlink.MAVLink(None)), ["GPS_RAW_INT"])["GPS_RAW_INT"]
    >>> [fix[name].round(3).tolist() for name in ("lat_deg", "alt_m", "vel_mps", "cog_deg", "eph", "epv")]
    [[46.2], [90.5], [4.31], [90.0], [nan], [1.2]]
    """
    wanted = None if names is None else list(names)
    if isinstance(source, Frames):
        frames = source
    else:
        content = read_content(source)  # pyright: ignore[reportArgumentType] - any bytes
        if content.kind in ("dataflash", "dataflash_text", "ulog"):
            return onboard_messages(content, wanted)
        frames = read_frames(content, names=wanted, dialect=dialect)
        del content
    if system_id is not None:
        frames = frames.take(frames.system_id == system_id)
    tables = frames.tables() if wanted is None else {name: frames.columns(name) for name in wanted}
    meanings = {} if raw else meanings_of(frames.dialect.name)
    sources, stamps = frames.source, frames.receive_us
    # The log and its index are no longer needed; columns are as wide as both.
    del frames
    return {name: _columns(*tables.pop(name), meanings.get(name), sources, stamps) for name in list(tables)}


def _columns(
    values: NDArray[np.void],
    rows: NDArray[np.int64],
    meanings: dict[str, Meaning] | None,
    sources: NDArray[np.uint16],
    stamps: NDArray[np.int64],
) -> Columns:
    """Turn what was gathered of one message into columns: as it means, or, without meanings, as it was sent."""
    sent: Columns = {} if values.dtype.names is None else {one: values[one] for one in values.dtype.names}
    if meanings is None:
        told = {one: np.ascontiguousarray(column) for one, column in sent.items()}
    else:
        told = {meanings[one].column: physical(column, meanings[one]) for one, column in sent.items()}
    source = sources[rows]
    return {**told, "receive_us": stamps[rows], "from_system": source >> 8, "from_component": source & 0xFF}


def physical(sent: NDArray, meaning: Meaning) -> NDArray:
    """Turn one field into its column.

    Parameters
    ----------
    sent : (n, ...) ndarray
        As on the wire.
    meaning : Meaning
        What it means.

    Returns
    -------
    (n, ...) ndarray
        In the unit of the column.
    """
    if sent.dtype.kind == "S":
        return _text(sent)
    moment = meaning.column.endswith(("_us", "_ns")) and sent.dtype.kind in "iu"
    if moment and (sent.dtype.itemsize == 8 or not meaning.unknown):
        return sent.astype(np.int64) * np.int64(meaning.factor or 1)
    if meaning.factor is None and not meaning.unknown:
        return np.ascontiguousarray(sent)
    values = sent.astype(np.float64)
    for value in meaning.unknown:
        values[_means(sent, value, by_first=meaning.by_first)] = np.nan
    return values * (1.0 if meaning.factor is None else meaning.factor)


@functools.cache
def meanings_of(dialect: str) -> dict[str, dict[str, Meaning]]:
    """Return what every field of every message of a dialect means.

    Parameters
    ----------
    dialect : str
        Its name.

    Returns
    -------
    dict of str to dict of str to Meaning
        By message, then by field.

    Raises
    ------
    FormatError
        If this pymavlink comes without the message definitions.
    """
    tables = dialect_of(dialect)
    defined = _definitions(tables.xml)
    return {name: _of_message(tables, name, defined.get(name, {})) for name in tables.names}


def _of_message(tables: Dialect, name: str, defined: dict[str, dict[str, str]]) -> dict[str, Meaning]:
    kind = tables.layout(tables.message_id(name))
    return {
        field: _meaning(name, field, kind[field].base.kind == "f", defined.get(field, {})) for field in kind.names or ()
    }


def _meaning(name: str, field: str, real: bool, said: dict[str, str]) -> Meaning:
    unit, counted = said.get("units", ""), "enum" in said or "instance" in said
    unknown, by_first = _unknown(said.get("invalid", ""))
    if (name, field) in _ALSO_UNKNOWN:
        unknown += (_ALSO_UNKNOWN[name, field],)
    if counted or unit not in UNITS:
        factor = _number(said["multiplier"]) if "multiplier" in said else 1.0 if real else None
        return Meaning(field, factor, () if counted else unknown, by_first)
    factor, suffix = UNITS[unit]
    if real and unit in ("us", "ms"):
        factor, suffix = factor * 1e-6, "s"
    elif unit == "deg" and "multiplier" in said:
        factor = _number(said["multiplier"])
    plain = next((field.removesuffix(end) for end in _WIRE_ENDINGS.get(unit, ()) if field.endswith(end)), field)
    column = plain if plain.endswith(f"_{suffix}") else f"{plain}_{suffix}"
    return Meaning(column, factor, unknown, by_first)


def _unknown(text: str) -> tuple[tuple[float, ...], bool]:
    """Read ``invalid="UINT16_MAX"``, ``"[NaN:]"``; an enumerator's name is not a number and stays what it is."""
    value = _number(text.strip("[]:"))
    return (() if value is None else (value,)), text.endswith(":]")


def _number(text: str) -> float | None:
    limit = re.fullmatch(r"(U?)INT(8|16|32|64)_(MAX|MIN)", text)
    if limit:
        bounds = np.iinfo(f"{'u' if limit[1] else ''}int{limit[2]}")
        return float(bounds.max if limit[3] == "MAX" else bounds.min)
    ratio = re.fullmatch(r"(\d+)/(\d+)", text)
    if ratio:
        return float(ratio[1]) / float(ratio[2])
    try:
        return float(int(text, 16)) if text.startswith("0x") else float(text)
    except ValueError:
        return None


def _means(sent: NDArray, value: float, *, by_first: bool) -> NDArray[np.bool_]:
    same: NDArray = np.asarray(np.isnan(sent) if np.isnan(value) else sent == value)
    if sent.ndim == 1:
        return same
    if by_first:
        return np.broadcast_to(same[:, :1], sent.shape)
    # A zero in an array is a number like any other, unless all of it is zero.
    return np.broadcast_to(same.all(axis=1, keepdims=True), sent.shape) if value == 0.0 else same


def _text(sent: NDArray) -> NDArray[np.str_]:
    """Text up to its first zero byte."""
    size = sent.dtype.itemsize
    letters = np.ascontiguousarray(sent).view(np.uint8).reshape(len(sent), size)
    kept = np.where(np.minimum.accumulate(letters != 0, axis=1), letters, 0).astype(np.uint8)
    return np.char.decode(kept.view(f"S{size}").reshape(len(sent)), "ascii", "replace")


@functools.cache
def _definitions(xml: pathlib.Path) -> dict[str, dict[str, dict[str, str]]]:
    """Attributes by message and field, from a dialect's XML and what it includes."""
    from defusedxml import ElementTree

    if not xml.exists():
        raise FormatError(f"{xml}: this pymavlink has no message definitions, so units are not known; use raw=True.")
    root = ElementTree.fromstring(xml.read_bytes())
    found: dict[str, dict[str, dict[str, str]]] = {}
    for include in root.findall("include"):
        other = xml.parent / (include.text or "").strip()
        found |= _definitions(other) if other.exists() else {}
    for message in root.iter("message"):
        found[message.attrib["name"]] = {one.attrib["name"]: dict(one.attrib) for one in message.findall("field")}
    return found
