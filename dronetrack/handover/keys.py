"""Whose signature is it, and who may read it? Keys of the authorities: made, kept in PEM files, told apart.

An authority signs with an Ed25519 key (RFC 8032) and reads what is sealed for it with an X25519 key (RFC 7748). The
mathematics is that of the `cryptography` package. How the public keys come to the other side is no matter of this
library: exchange them before the operation, and compare their fingerprints by voice.
"""

import hashlib
import os
import pathlib
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from dronetrack.errors import FormatError, InputError

PrivateKey: TypeAlias = Ed25519PrivateKey | X25519PrivateKey
PublicKey: TypeAlias = Ed25519PublicKey | X25519PublicKey

_PEM = serialization.Encoding.PEM


def new_key() -> Ed25519PrivateKey:
    """Make a key to sign packages with, from the randomness of the system.

    Returns
    -------
    Ed25519PrivateKey
        Its `public_key()` is for the other side.
    """
    return Ed25519PrivateKey.generate()


def new_sealing_key() -> X25519PrivateKey:
    """Make a key to open sealed packages with, from the randomness of the system.

    Returns
    -------
    X25519PrivateKey
        Its `public_key()` is for those who seal.
    """
    return X25519PrivateKey.generate()


def fingerprint(key: PublicKey) -> str:
    """Return what to compare by voice, and what a package calls a key by.

    Parameters
    ----------
    key : Ed25519PublicKey or X25519PublicKey
        A public key.

    Returns
    -------
    str
        SHA-256 of the key as SubjectPublicKeyInfo (RFC 8410), 64 hexadecimal digits.

    Examples
    --------
    >>> key = Ed25519PublicKey.from_public_bytes(bytes(32))
    >>> fingerprint(key)[:16]
    '722abd12e99a5367'
    """
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


def write_key(key: PrivateKey, path: str | pathlib.Path, *, passphrase: str | None = None) -> pathlib.Path:
    """Write a private key to a new file that only its owner may read.

    Parameters
    ----------
    key : Ed25519PrivateKey or X25519PrivateKey
        The key.
    path : str or Path
        Where to; PEM (PKCS #8), mode 0600.
    passphrase : str, optional
        Encrypts it; without one the file is the key.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the file exists: a key is never written over. Or if the passphrase is empty.
    """
    path = pathlib.Path(path)
    if passphrase == "":
        raise InputError("the passphrase is empty; give one, or None for a key that is not encrypted.")
    locked = serialization.NoEncryption() if passphrase is None else _locked_with(passphrase)
    text = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, locked)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{path} exists, and a key is never written over; choose another name.") from error
    with os.fdopen(file, "wb") as out:
        out.write(text)
    return path


def read_key(path: str | pathlib.Path, *, passphrase: str | None = None) -> PrivateKey:
    """Read a private key.

    Parameters
    ----------
    path : str or Path
        A PEM file, such as `write_key` writes.
    passphrase : str, optional
        What it was encrypted with.

    Returns
    -------
    Ed25519PrivateKey or X25519PrivateKey
        The key.

    Raises
    ------
    FormatError
        If the file holds no such key, or the passphrase is not the right one.
    """
    path = pathlib.Path(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None if passphrase is None else passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FormatError(
            f"{path} gives no private key ({error}). A PEM file and its passphrase are needed."
        ) from error
    if not isinstance(key, PrivateKey):
        raise FormatError(f"{path} holds a key of another kind ({type(key).__name__}); Ed25519 or X25519 is needed.")
    return key


def write_public_key(key: PublicKey, path: str | pathlib.Path) -> pathlib.Path:
    """Write a public key, for the other side.

    Parameters
    ----------
    key : Ed25519PublicKey or X25519PublicKey
        The key.
    path : str or Path
        Where to; PEM (SubjectPublicKeyInfo).

    Returns
    -------
    Path
        The file.
    """
    path = pathlib.Path(path)
    path.write_bytes(key.public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return path


def read_public_key(path: str | pathlib.Path) -> PublicKey:
    """Read a public key.

    Parameters
    ----------
    path : str or Path
        A PEM file, such as `write_public_key` writes.

    Returns
    -------
    Ed25519PublicKey or X25519PublicKey
        The key.

    Raises
    ------
    FormatError
        If the file holds no such key.
    """
    path = pathlib.Path(path)
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FormatError(f"{path} gives no public key ({error}). A PEM file is needed.") from error
    if not isinstance(key, PublicKey):
        raise FormatError(f"{path} holds a key of another kind ({type(key).__name__}); Ed25519 or X25519 is needed.")
    return key


def _locked_with(passphrase: str) -> serialization.KeySerializationEncryption:
    return serialization.BestAvailableEncryption(passphrase.encode())
