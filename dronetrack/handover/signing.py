"""Is it from who it says, for me, fresh and whole? Packages signed, sealed, and let in or refused with the reason.

A signed package is a COSE_Sign1 message (RFC 9052, section 4.2) with an Ed25519 signature, so any COSE library reads
it. The signature is checked before anything that it covers is looked into. A signed package can be read by all who
get hold of it, and a track is personal data: send it over a channel that is encrypted, or `seal` it for its
recipient (HPKE, RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305).
"""

from collections.abc import Container, Mapping

import cbor2
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from dronetrack.errors import FormatError, InputError, NotAuthorisedError
from dronetrack.handover.keys import PublicKey, fingerprint
from dronetrack.handover.package import Package
from dronetrack.handover.wire import decoded_package, encoded

LARGEST = 262_144  # bytes; a package of a thousand rows has 90,000
CONTENT = "application/vnd.dronetrack.custody+cbor"

# COSE (RFC 9052, section 3.1; RFC 9053, section 2.2): labels of the protected header, and the algorithm EdDSA.
_ALGORITHM, _CONTENT_TYPE, _KEY_ID, _EDDSA = 1, 3, 4, -8
_SIGNED = b"\xd2\x84"  # tag 18, a list of four
_UNPROTECTED = b"\xa0"
_BYTES = 2  # major type of a byte string (RFC 8949, section 3.1)
_SEALED_FOR = b"dronetrack custody package 1"


def pack(package: Package, key: Ed25519PrivateKey) -> bytes:
    """Sign a package.

    Parameters
    ----------
    package : Package
        What to hand over.
    key : Ed25519PrivateKey
        The issuer's.

    Returns
    -------
    bytes
        The signed package; the same package and key give the same bytes.

    Raises
    ------
    InputError
        If the key is of another kind, or the package too large.
    """
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"an Ed25519 key signs a package; got {type(key).__name__}. Make one with new_key().")
    header, content = _header(fingerprint(key.public_key())), encoded(package)
    document = _document(header, content, key.sign(_to_be_signed(header, content)))
    if len(document) > LARGEST:
        raise InputError(f"the package has {len(document)} bytes, more than {LARGEST}; give it less history.")
    return document


def unpack(
    data: bytes,
    *,
    trusted: Mapping[str, Ed25519PublicKey],
    operation: str,
    recipient: str,
    time_us: int,
    seen: Container[str] = (),
    recipient_key: PublicKey | None = None,
) -> Package:
    """Let a package in, or say why not.

    Parameters
    ----------
    data : bytes
        What came.
    trusted : mapping of str to Ed25519PublicKey
        Keys of the authorities from which packages are accepted.
    operation : str
        Ours.
    recipient : str
        The authority that we are.
    time_us : int
        Now, by the data. [us, UTC]
    seen : container of str, optional
        `Package.name` of every package that was accepted before; who calls this adds the new one.
    recipient_key : Ed25519PublicKey or X25519PublicKey, optional
        Our own; a package that names the key of its recipient must name this one.

    Returns
    -------
    Package
        What was signed.

    Raises
    ------
    FormatError
        Its message begins with the reason: too large, truncated, trailing bytes, not a package, unsupported version,
        contradictory (a covariance that is not positive definite, say), not canonical.
    NotAuthorisedError
        Likewise: unknown issuer, tampered, wrong issuer, wrong recipient, wrong key, wrong operation, not yet valid,
        stale, replayed.

    Examples
    --------
    >>> import numpy as np
    >>> from dronetrack import Sensor, Tracker, measurements_of
    >>> from dronetrack.handover import new_key
    >>> time_us = np.arange(100) * 100_000
    >>> place = np.array([4.1e6, 1.5e6, 4.6e6]) + np.outer(time_us * 1e-6, [10.0, 0.0, 0.0])
    >>> rows = measurements_of(time_us, 1, place, np.broadcast_to(9.0 * np.eye(3), (100, 3, 3)), Sensor("gnss"))
    >>> home = Tracker(track_id=7)
    >>> given = home.update(rows)
    >>> package = Package("exercise A", "HU", "RO", 1, 9_900_000, 19_900_000, home.belief(), home.provisional())
    >>> key = new_key()
    >>> data = pack(package, key)
    >>> letter = {"trusted": {"HU": key.public_key()}, "operation": "exercise A", "recipient": "RO"}
    >>> host = Tracker.continued(unpack(data, time_us=10_000_000, **letter).belief)
    >>> host.now().track_id
    7
    >>> unpack(data, time_us=20_000_000, **letter)
    Traceback (most recent call last):
    dronetrack.errors.NotAuthorisedError: stale: the package was valid until 0.100 s ago.
    """
    header, content, signature = _parts(data)
    issuers = _verified(header, content, signature, trusted)
    package = decoded_package(content)
    if package.issuer not in issuers:
        raise NotAuthorisedError(
            f"wrong issuer: the package says {package.issuer!r}, but the key that signed it is of "
            f"{' and '.join(map(repr, issuers))}."
        )
    _check_meant_for(package, operation, recipient, recipient_key)
    _check_fresh(package, time_us, seen)
    return package


def seal(data: bytes, key: X25519PublicKey) -> bytes:
    """Encrypt a signed package, so that only its recipient can read it.

    Parameters
    ----------
    data : bytes
        From `pack`.
    key : X25519PublicKey
        The recipient's.

    Returns
    -------
    bytes
        48 bytes more; never the same twice.
    """
    return _SUITE.encrypt(data, key, info=_SEALED_FOR)


def open_sealed(data: bytes, key: X25519PrivateKey) -> bytes:
    """Decrypt what was sealed for us.

    Parameters
    ----------
    data : bytes
        From `seal`.
    key : X25519PrivateKey
        The recipient's.

    Returns
    -------
    bytes
        The signed package, for `unpack`: that it could be opened says nothing of who sealed it.

    Raises
    ------
    FormatError
        If it was sealed for another key, or is damaged.
    """
    try:
        return _SUITE.decrypt(data, key, info=_SEALED_FOR)
    except InvalidTag as error:
        raise FormatError(
            f"not to be opened: these {len(data)} bytes were not sealed for this key, or are damaged."
        ) from error


_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _header(key_id: str) -> bytes:
    """Protected header: what was signed, how, and by which key."""
    return cbor2.dumps({_ALGORITHM: _EDDSA, _CONTENT_TYPE: CONTENT, _KEY_ID: bytes.fromhex(key_id)}, canonical=True)


def _to_be_signed(header: bytes, content: bytes) -> bytes:
    """Sig_structure of RFC 9052, section 4.4."""
    return cbor2.dumps(["Signature1", header, b"", content], canonical=True)


def _document(header: bytes, content: bytes, signature: bytes) -> bytes:
    head, *rest = (cbor2.dumps(part, canonical=True) for part in (header, content, signature))
    return _SIGNED + head + _UNPROTECTED + b"".join(rest)


def _parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut a document into header, content and signature, byte by byte: nobody has vouched for it yet."""
    if len(data) > LARGEST:
        raise FormatError(f"too large: {len(data)} bytes came, and a package has at most {LARGEST}.")
    data = bytes(data)
    at = _expect(data, 0, _SIGNED)
    header, at = _byte_string(data, at)
    at = _expect(data, at, _UNPROTECTED)
    content, at = _byte_string(data, at)
    signature, at = _byte_string(data, at)
    if at < len(data):
        raise FormatError(f"trailing bytes: the package ends after {at} of {len(data)} bytes.", offset=at)
    if _document(header, content, signature) != data:
        raise FormatError("not canonical: the lengths of its parts are not written as short as they could be.")
    return header, content, signature


def _expect(data: bytes, at: int, wanted: bytes) -> int:
    came = data[at : at + len(wanted)]
    if came != wanted:
        reason = "truncated" if wanted.startswith(came) else "not a package"
        raise FormatError(
            f"{reason}: {wanted.hex()} was expected at byte {at}; got {came.hex() or 'the end'}.", offset=at
        )
    return at + len(wanted)


def _byte_string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a byte string (RFC 8949, section 3): a byte of kind and short length, or how many bytes of length follow."""
    if at >= len(data):
        raise FormatError(f"truncated: the package ends at byte {at}.", offset=at)
    kind, short = divmod(data[at], 32)
    wide = 0 if short < 24 else 1 << (short - 24)
    if kind != _BYTES or wide > 8:
        raise FormatError(f"not a package: a byte string was expected at byte {at}; got {data[at]:#04x}.", offset=at)
    start = at + 1 + wide
    stop = start + (int.from_bytes(data[at + 1 : start]) if wide else short)
    if stop > len(data):
        raise FormatError(f"truncated: the part at byte {at} reaches to byte {stop} of {len(data)}.", offset=at)
    return data[start:stop], stop


def _verified(
    header: bytes, content: bytes, signature: bytes, trusted: Mapping[str, Ed25519PublicKey]
) -> tuple[str, ...]:
    """Return the authorities whose key signed this."""
    keys = {name: key for name, key in trusted.items() if _header(fingerprint(key)) == header}
    if not keys:
        raise NotAuthorisedError(
            f"unknown issuer: the package names none of the trusted keys ({', '.join(trusted) or 'none'}) as its own."
        )
    try:
        next(iter(keys.values())).verify(signature, _to_be_signed(header, content))
    except InvalidSignature as error:
        raise NotAuthorisedError(
            f"tampered: the signature is not that of {' or '.join(keys)} over these bytes; something was changed."
        ) from error
    return tuple(keys)


def _check_meant_for(package: Package, operation: str, recipient: str, key: PublicKey | None) -> None:
    if package.recipient != recipient:
        raise NotAuthorisedError(
            f"wrong recipient: the package is for {package.recipient!r}, and this is {recipient!r}."
        )
    if key is not None and package.recipient_key not in ("", fingerprint(key)):
        raise NotAuthorisedError(
            f"wrong key: the package is for {recipient!r} with the key {package.recipient_key}, and ours is "
            f"{fingerprint(key)}."
        )
    if package.operation != operation:
        raise NotAuthorisedError(
            f"wrong operation: the package is of {package.operation!r}, and this is {operation!r}."
        )


def _check_fresh(package: Package, time_us: int, seen: Container[str]) -> None:
    if time_us < package.issued_us:
        raise NotAuthorisedError(
            f"not yet valid: the package was issued {(package.issued_us - time_us) * 1e-6:.3f} s after now."
        )
    if time_us > package.valid_until_us:
        raise NotAuthorisedError(
            f"stale: the package was valid until {(time_us - package.valid_until_us) * 1e-6:.3f} s ago."
        )
    if package.name in seen:
        raise NotAuthorisedError(f"replayed: the package {package.name!r} was accepted before.")
