"""How does a record lie in the file, and does it belong there? Its header, its two parts, its place in the chain."""

import contextlib
import functools
import json
import pathlib
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from dronetrack.errors import DronetrackError, FormatError, InputError

VERSION = 1
MAGIC = b"\x93DTJOURNAL\r\n\x1a\n"  # like PNG's: a transfer as text, or cut at a control-Z, shows in the first bytes
PREAMBLE = MAGIC + struct.pack("<H", VERSION)
GENESIS = sha256(PREAMBLE).digest()

CUT_SHORT = "the file ends"  # how the message of an unfinished record begins
WHOLE, PURGED = b"\x93DT+", b"\x93DT-"
STEPPED_BACK = 1
HEADER = struct.Struct("<4sIQqQII20s32s32s32sI")
SIZE = HEADER.size  # 160
FIRST_HASHED, LAST_HASHED, LAST_CHECKED = 4, 124, 156
MAX_PART = 64 << 20  # bounds what a reader must hold
NOTHING = sha256(b"").digest()

# Facts that say where somebody was. `append` moves them into the personal part, so that a purge takes them along.
PERSONAL_FACTS = frozenset(
    {"lat_deg", "lon_deg", "alt_hae_m", "alt_msl_m", "position_ecef_m", "site_ecef_m", "place"}
    | {"speed_mps", "course_deg", "vel_enu_mps", "pos_cov_enu_m2", "ellipse_m"}
)

_KIND = re.compile(r"[a-z][a-z_]{0,19}")


class Header(NamedTuple):
    """The header of one record, field by field as in the file."""

    mark: bytes
    flags: int
    sequence: int
    time_us: int
    acknowledged: int
    kept_size: int
    personal_size: int
    kind: bytes
    kept_digest: bytes
    personal_digest: bytes
    digest: bytes
    checksum: int

    @property
    def name(self) -> str:
        """Kind as text."""
        return self.kind.rstrip(b"\0").decode("ascii", "replace")

    @property
    def body_size(self) -> int:
        """Bytes of the two parts as they are in the file now."""
        return self.kept_size + (self.personal_size if self.mark == WHOLE else 0)


class Found(NamedTuple):
    """A record that proved itself: where it lies, its header, its parts."""

    offset: int
    header: Header
    kept: bytes
    personal: memoryview

    @property
    def end(self) -> int:
        """Where the record ends in the file."""
        return self.offset + SIZE + self.header.body_size

    def kept_facts(self) -> dict[str, Any]:
        """Return the facts that stay."""
        return _facts(self.kept, self.offset)

    def payload(self) -> memoryview:
        """Return the payload of the personal part; empty where there is none, or it was purged."""
        return self.personal[: len(self.personal) - 4 - self._tail()] if len(self.personal) else self.personal

    def personal_facts(self) -> dict[str, Any]:
        """Return the facts that a purge removes."""
        size = self._tail()
        return _facts(bytes(self.personal[-4 - size : -4]), self.offset) if size else {}

    def _tail(self) -> int:
        if not len(self.personal):
            return 0
        size = int.from_bytes(self.personal[-4:], "little")
        if size + 4 > len(self.personal):
            raise FormatError("a personal part says that its facts are longer than itself.", offset=self.offset)
        return size


def access_log_of(path: pathlib.Path) -> pathlib.Path:
    """Return where the accesses to a journal are logged."""
    return path.with_name(path.name + ".access")


def seal_message(facts: Mapping[str, Any]) -> bytes:
    """Return what a seal signs: the facts of the record ``closed``, without the signature."""
    sealed = {name: value for name, value in facts.items() if name != "signature"}
    return b"dronetrack journal seal " + as_json(dict(sorted(sealed.items())))


@functools.cache
def kind_code(kind: str) -> bytes:
    """Check the kind of a record and return it as the header holds it.

    Raises
    ------
    InputError
        If it is not 1 to 20 lower-case letters and underscores.
    """
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InputError(f"the kind of a record is 1 to 20 lower-case letters and underscores; got {kind!r}.")
    return kind.encode("ascii").ljust(20, b"\0")


def kept_part(facts: Mapping[str, Any]) -> bytes:
    """Return facts as the kept part of a record.

    Raises
    ------
    InputError
        If JSON cannot say one of them.
    """
    text = as_json(facts)
    return text + b" " * (-len(text) % 8)


def personal_part(payload: list[Any], facts: Mapping[str, Any]) -> list[Any]:
    """Return the pieces of a personal part; none if there is nothing personal."""
    if not payload and not facts:
        return []
    text = as_json(facts) if facts else b""
    return [*payload, text + len(text).to_bytes(4, "little")]


def as_json(facts: Mapping[str, Any]) -> bytes:
    """Return facts as ASCII JSON, numpy's numbers as numbers."""
    try:
        return _encode(facts).encode("ascii")
    except (TypeError, ValueError, RecursionError) as fault:
        raise InputError(f"facts must be what JSON can say (text, numbers, lists, mappings): {fault}.") from fault


def make_header(
    before: bytes,
    sequence: int,
    time_us: int,
    acknowledged: int,
    kind: bytes,
    kept: bytes,
    personal: list[Any],
    *,
    flags: int = 0,
) -> tuple[bytes, bytes]:
    """Return the header of a new record, and its digest.

    Raises
    ------
    InputError
        If the time is no int64, or a part is larger than a record may be.
    """
    size = sum(map(len, personal))
    if size > MAX_PART or len(kept) > MAX_PART:
        raise InputError(f"a part of a record is at most {MAX_PART} bytes; got {max(size, len(kept))}. Split it.")
    fields = (flags, sequence, time_us, acknowledged, len(kept), size, kind, sha256(kept).digest(), digest_of(personal))
    try:
        hashed = _HASHED.pack(*fields)
    except struct.error as fault:
        raise InputError(f"time_us is a whole number of microseconds, int64; got {time_us!r}.") from fault
    digest = sha256(before + hashed).digest()
    head = WHOLE + hashed + digest
    return head + zlib.crc32(head).to_bytes(4, "little"), digest


def purged_header(raw: bytes) -> bytes:
    """Return the header of a record whose personal part is taken out: another mark, the same digests."""
    head = PURGED + raw[FIRST_HASHED:LAST_CHECKED]
    return head + zlib.crc32(head).to_bytes(4, "little")


def digest_of(pieces: list[Any]) -> bytes:
    """SHA-256 of pieces laid end to end."""
    if not pieces:
        return NOTHING
    whole = sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.digest()


def scan(file: BinaryIO, stop: int) -> Iterator[Found]:
    """Yield the records of a file in order, each proved: checksum, digests, place in the chain.

    Memory is bounded by one record.

    Parameters
    ----------
    file : binary file
        Buffered, at its start.
    stop : int
        Where the file ends for this reading, whatever a writer adds meanwhile.

    Raises
    ------
    FormatError
        At the first byte that belongs to no record; `offset` is where the record in question starts.
    """
    check_preamble(file.read(len(PREAMBLE)))
    offset, sequence, before = len(PREAMBLE), 0, GENESIS
    while offset < stop:
        raw = file.read(min(SIZE, stop - offset))
        header = read_header(raw, offset)
        size = header.body_size
        if offset + SIZE + size > stop:
            raise FormatError(f"{CUT_SHORT} within the record's parts.", offset=offset)
        body = file.read(size)
        if len(body) < size:
            raise FormatError(f"{CUT_SHORT} within the record's parts.", offset=offset)
        found = Found(offset, header, body[: header.kept_size], memoryview(body)[header.kept_size :])
        _prove(found, raw, sequence, before)
        yield found
        offset += SIZE + size
        sequence += 1
        before = header.digest


@contextlib.contextmanager
def as_written(offset: int | None = None) -> Iterator[None]:
    """Turn what goes wrong over facts that another program wrote into a FormatError."""
    try:
        yield
    except DronetrackError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as fault:
        raise FormatError(f"a record's facts are not what its kind needs ({fault!r}).", offset=offset) from fault


def check_preamble(raw: bytes) -> None:
    """Raise FormatError unless these are the first bytes of a journal of this version."""
    if raw == PREAMBLE:
        return
    if len(raw) == len(PREAMBLE) and raw[: len(MAGIC)] == MAGIC:
        version = int.from_bytes(raw[len(MAGIC) :], "little")
        raise FormatError(f"the journal is of version {version}; this library reads version {VERSION}.", offset=0)
    raise FormatError("the file does not begin as a journal does.", offset=0)


def read_header(raw: bytes, offset: int) -> Header:
    """Take a header apart, if it is one.

    Raises
    ------
    FormatError
        If it is cut short, or its mark, checksum or sizes are wrong.
    """
    if len(raw) < SIZE:
        raise FormatError(f"{CUT_SHORT} within the record's header.", offset=offset)
    header = Header._make(HEADER.unpack(raw))
    if header.mark not in {WHOLE, PURGED}:
        raise FormatError("no record begins here (its mark is wrong).", offset=offset)
    if zlib.crc32(raw[:LAST_CHECKED]) != header.checksum:
        raise FormatError("the record's header is damaged (its checksum is wrong).", offset=offset)
    if header.kept_size > MAX_PART or header.personal_size > MAX_PART:
        raise FormatError("the record is larger than a record may be.", offset=offset)
    return header


def _prove(found: Found, raw: bytes, sequence: int, before: bytes) -> None:
    header = found.header
    if header.sequence != sequence:
        fault = f"record {sequence} should stand here; this is record {header.sequence}: records are missing, or moved."
    elif sha256(found.kept).digest() != header.kept_digest:
        fault = "the record's kept part is changed (its SHA-256 is another)."
    elif header.mark == WHOLE and sha256(found.personal).digest() != header.personal_digest:
        fault = "the record's personal part is changed (its SHA-256 is another)."
    elif sha256(before + raw[FIRST_HASHED:LAST_HASHED]).digest() != header.digest:
        fault = "the chain breaks: the record's digest does not follow from the record before."
    else:
        return
    raise FormatError(fault, offset=found.offset)


def _facts(text: bytes, offset: int) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise FormatError(f"the facts of a record are no JSON ({fault}).", offset=offset) from fault
    if not isinstance(facts, dict):
        raise FormatError("the facts of a record are no JSON object.", offset=offset)
    return facts


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON does not know
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


_HASHED = struct.Struct("<IQqQII20s32s32s")
_encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
