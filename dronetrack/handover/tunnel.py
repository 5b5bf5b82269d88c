"""How does a package get through where there is only a MAVLink radio? In pieces, as payloads of TUNNEL messages.

TUNNEL (message 385, common.xml) carries up to 128 bytes of a type that its users agree on; types from 32768 on are
private. Each piece tells which one of how many it is, and of what, so they may come in any order, twice, and mixed with
pieces of something else. A lost piece is named, to be sent again. A radio is no lock: `seal` the package first.
"""

import hashlib
import struct
from collections.abc import Iterable

from dronetrack.errors import FormatError, InputError
from dronetrack.handover.signing import LARGEST

PAYLOAD_TYPE = 0xD7AC  # of our TUNNEL messages
PAYLOAD = 128

_HEAD = struct.Struct("<4sHH")  # first bytes of the digest of the whole, number of the piece, number of pieces
_ROOM = PAYLOAD - _HEAD.size


def to_tunnel(data: bytes) -> list[bytes]:
    """Cut a package into payloads of TUNNEL messages.

    Parameters
    ----------
    data : bytes
        From `pack` or `seal`.

    Returns
    -------
    list of bytes
        Payloads of up to 128 bytes, for messages with the payload type `PAYLOAD_TYPE`.

    Raises
    ------
    InputError
        If there is nothing to send, or more than any package has.

    Examples
    --------
    >>> pieces = to_tunnel(bytes(5000))
    >>> len(pieces), from_tunnel(reversed(pieces)) == bytes(5000)
    (42, True)
    """
    if not 0 < len(data) <= LARGEST + _ROOM:
        raise InputError(f"a package of 1 to {LARGEST} bytes goes through the tunnel; got {len(data)}.")
    parts = [data[start : start + _ROOM] for start in range(0, len(data), _ROOM)]
    return [_HEAD.pack(_mark(data), number, len(parts)) + part for number, part in enumerate(parts)]


def from_tunnel(payloads: Iterable[bytes]) -> bytes:
    """Put a package together from the payloads of TUNNEL messages.

    Parameters
    ----------
    payloads : iterable of bytes
        In any order, some of them more than once; only of `PAYLOAD_TYPE`, each cut to its payload_length.

    Returns
    -------
    bytes
        What was given to `to_tunnel`, for `open_sealed` or `unpack`.

    Raises
    ------
    FormatError
        If there is no whole package in them; the message tells which pieces are missing.
    """
    packages: dict[tuple[bytes, int], dict[int, bytes]] = {}
    for payload in payloads:
        if _HEAD.size < len(payload) <= PAYLOAD:
            mark, number, count = _HEAD.unpack_from(payload)
            packages.setdefault((mark, count), {})[number] = payload[_HEAD.size :]
    for (mark, count), parts in packages.items():
        data = b"".join(parts[number] for number in sorted(parts))
        if len(parts) == count and _mark(data) == mark:
            return data
    lacking = [_lacking(count, parts) for (_, count), parts in packages.items()]
    raise FormatError(
        f"no whole package came through the tunnel: {'; '.join(lacking[:3]) or 'all pieces are missing'}."
    )


def _lacking(count: int, parts: dict[int, bytes]) -> str:
    missing = [str(number) for number in range(count) if number not in parts]
    return (
        f"pieces {', '.join(missing[:20])} of {count} are missing" if missing else f"one of {count} pieces is damaged"
    )


def _mark(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:4]
