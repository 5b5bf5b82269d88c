"""Who may follow, who holds the track, and how does it go to the other side?"""

from dronetrack.handover.keys import (
    fingerprint,
    new_key,
    new_sealing_key,
    read_key,
    read_public_key,
    write_key,
    write_public_key,
)
from dronetrack.handover.package import Contribution, Package
from dronetrack.handover.signing import open_sealed, pack, seal, unpack

__all__ = [
    "Contribution",
    "Package",
    "fingerprint",
    "new_key",
    "new_sealing_key",
    "open_sealed",
    "pack",
    "read_key",
    "read_public_key",
    "seal",
    "unpack",
    "write_key",
    "write_public_key",
]
