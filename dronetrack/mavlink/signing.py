"""Who really sent this frame? MAVLink 2 signatures, verified with the user's key.

A signed frame ends with a link id, a time stamp in units of 10 us since 2015 and the first six bytes of
SHA-256(key, frame, link id, time stamp) (mavlink.io/en/guide/message_signing.html). The stamp must grow within each
stream (system, component, link); the first of a new stream may be a minute behind the newest of all.
"""

import hashlib
import hmac
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError

SignaturePolicy = Literal["require", "accept", "ignore"]
POLICIES = ("require", "accept", "ignore")

KEY_BYTES = 32
TRAILER = 13
NEW_STREAM_BEHIND = 6_000_000  # a minute, in units of 10 us


class Signatures:
    """Verify the frames of one decoder; remembers how far each stream has come.

    Parameters
    ----------
    key : bytes or str
        The 32 bytes of the secret, or the passphrase whose SHA-256 they are, as ground stations take it.
    policy : {"require", "accept", "ignore"}
        ``require``: only verified frames; ``accept``: unsigned ones too; ``ignore``: nothing is checked.

    Raises
    ------
    InputError
        If the key or policy cannot be one.
    """

    def __init__(self, key: bytes | str | None, policy: SignaturePolicy) -> None:
        if policy not in POLICIES:
            raise InputError(f"signatures must be one of {', '.join(POLICIES)}; got {policy!r}.")
        if policy != "ignore" and key is None:
            raise InputError(f"signatures={policy!r} needs the key that the vehicle signs with.")
        secret = hashlib.sha256(key.encode()).digest() if isinstance(key, str) else key or bytes(KEY_BYTES)
        if len(secret) != KEY_BYTES:
            raise InputError(f"a signing key has {KEY_BYTES} bytes; got {len(secret)}. Give a passphrase as str.")
        self.policy = policy
        self.stats = dict.fromkeys(("signed_frames", "unsigned_frames", "forged_frames", "replayed_frames"), 0)
        self._keyed = hashlib.sha256(secret)
        self._newest = 0
        self._streams: dict[tuple[int, int], int] = {}

    def admit(
        self, data: NDArray[np.uint8], start: NDArray[np.int64], stop: NDArray[np.int64], source: NDArray[np.uint16]
    ) -> NDArray[np.bool_]:
        """Say which frames the policy lets through, and count the others.

        Parameters
        ----------
        data : (size,) uint8
            The bytes.
        start, stop : (n,) int64
            Where each frame begins and ends.
        source : (n,) uint16
            ``system_id << 8 | component_id``.

        Returns
        -------
        (n,) bool
            True where it may be decoded.
        """
        # A row each: the standard library's SHA-256 takes one message at a time, in less than a microsecond.
        view = memoryview(data)  # pyright: ignore[reportArgumentType] - numpy's buffers
        rows = zip(start.tolist(), stop.tolist(), source.tolist(), strict=True)
        return np.array([self._admits(view[first:last], sender) for first, last, sender in rows], dtype=np.bool_)

    def _admits(self, frame: memoryview, sender: int) -> bool:
        if not (frame[0] == 0xFD and frame[2] & 1):
            self.stats["unsigned_frames"] += 1
            return self.policy == "accept"
        digest = self._keyed.copy()
        digest.update(frame[:-6])
        if not hmac.compare_digest(digest.digest()[:6], frame[-6:]):
            self.stats["forged_frames"] += 1
            return False
        stream = (sender, frame[-TRAILER])
        stamp = int.from_bytes(frame[-12:-6], "little")
        if stamp <= self._streams.get(stream, self._newest - NEW_STREAM_BEHIND - 1):
            self.stats["replayed_frames"] += 1
            return False
        self._streams[stream] = stamp
        self._newest = max(self._newest, stamp)
        self.stats["signed_frames"] += 1
        return True
