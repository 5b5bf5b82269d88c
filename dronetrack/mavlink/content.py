"""What kind of log are these bytes? Told by their first bytes, not by the file's name; packed ones are read through."""

import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import pathlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError

MOST_BYTES = 16 << 30  # no log of one flight is longer
MOST_RATIO = 250  # a packed log is 2 to 20 times smaller; what unpacks to more than this is made to fill the memory
FREE_BYTES = 64 << 20  # up to here any ratio is harmless
STEP_BYTES = 1 << 20

_DATAFLASH_TEXT = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:[^\n]{0,200}\n){0,40}?FMT, ?\d+, ?\d+, ?\w", re.ASCII)
_SUBTITLES = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*\d+[ \t]*\r?\n\s*\d+:\d\d:\d\d[,.]\d+ *-->")


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The bytes of a log, unpacked.

    Parameters
    ----------
    data : (size,) uint8
        Read-only.
    label : str
        The file's name for messages.
    kind : {"dataflash", "dataflash_text", "ulog", "srt", "mavlink"}
        By their first bytes; whatever is none of the others may be MAVLink.
    packed : str
        ``gzip``, ``xz``, ``zstd``, ``bzip2`` or empty.
    cut : bool
        Whether the packed file ended early, or was damaged: `data` holds what came before.
    """

    data: NDArray[np.uint8]
    label: str
    kind: str
    packed: str = ""
    cut: bool = False


def read_content(source: str | pathlib.Path | bytes) -> Content:
    r"""Read a log into memory, unpacking it where it is packed.

    Parameters
    ----------
    source : str, Path or bytes
        A file (plain, `.gz`, `.xz`, `.zst` or `.bz2`), or its content.

    Returns
    -------
    Content
        Its bytes and kind.

    Raises
    ------
    FormatError
        If there is no such file, it is empty, unpacks to more than any log holds, or needs a decompressor that is not
        installed.

    Examples
    --------
    >>> import gzip
    >>> read_content(gzip.compress(b"ULog\x01\x125\x00" + bytes(8))).kind
    'ulog'
    """
    raw, label = _raw(source)
    packed = _packing(raw)
    cut = False
    if packed:
        raw, cut = _unpacked(raw, packed, label)
    data = np.frombuffer(raw, dtype=np.uint8)
    data.flags.writeable = False
    return Content(data, label, _kind(data), packed, cut)


def _raw(source: str | pathlib.Path | bytes) -> tuple[bytes | bytearray | memoryview, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return source, "bytes"
    path = pathlib.Path(source)
    if not path.exists():
        raise FormatError(f"{path}: no such file.")
    if not path.is_file():
        raise FormatError(f"{path}: a folder or device, needed a log file.")
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise FormatError(f"{path}: cannot be read ({fault.strerror}).") from None
    if not content:
        raise FormatError(f"{path.name}: the file is empty; needed a log.")
    return content, path.name


def _kind(data: NDArray[np.uint8]) -> str:
    head = bytes(data[:8192])
    if head.startswith(b"ULog\x01\x12\x35"):
        return "ulog"
    if head.startswith(b"\xa3\x95") or b"\xa3\x95\x80\x80\x59FMT" in head:
        return "dataflash"
    if _DATAFLASH_TEXT.match(head):
        return "dataflash_text"
    if _SUBTITLES.match(head):
        return "srt"
    return "mavlink"


def _packing(raw: bytes | bytearray | memoryview) -> str:
    head = bytes(raw[:6])
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    if head.startswith(b"BZh") and head[3:4].isdigit():
        return "bzip2"
    return ""


def _zstd() -> ModuleType:
    """Return the module of zstd: Python 3.14 has it, earlier ones the same from PyPI."""
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise FormatError(
        "this log is packed with zstd, which this Python cannot read: pip install 'dronetrack[zstd]', or unpack it."
    )


def _unpacked(raw: bytes | bytearray | memoryview, packed: str, label: str) -> tuple[bytearray, bool]:
    """Unpack step by step, so that a bomb is noticed before it fills the memory; say whether the end was missing."""
    faults: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, lzma.LZMAError)
    openers: dict[str, Callable[[IO[bytes]], Any]] = {
        "gzip": lambda file: gzip.GzipFile(fileobj=file),
        "xz": lzma.LZMAFile,
        "bzip2": bz2.BZ2File,
    }
    if packed == "zstd":
        openers["zstd"], faults = _zstd().ZstdFile, (*faults, _zstd().ZstdError)
    most = min(MOST_BYTES, max(FREE_BYTES, MOST_RATIO * len(raw)))
    out = bytearray()
    cut = False
    try:
        with openers[packed](io.BytesIO(raw)) as stream:
            while len(out) <= most and (step := stream.read1(STEP_BYTES)):
                out += step
    except faults:
        cut = True
    if len(out) > most:
        raise FormatError(
            f"{label}: {len(raw)} bytes of {packed} unpack to more than {most} bytes, which no log does; "
            "unpack it by hand if you trust it."
        )
    if not out:
        raise FormatError(f"{label}: packed with {packed}, and nothing in it can be unpacked.")
    return out, cut
