"""Who may follow, who holds the track, and how does it go to the other side?"""

import importlib
from typing import TYPE_CHECKING, Any

# Name -> module, imported on first use: who fuses a recording needs no cryptography.
_MODULES = {
    "Contribution": "package",
    "Package": "package",
    "fingerprint": "keys",
    "from_tunnel": "tunnel",
    "new_key": "keys",
    "new_sealing_key": "keys",
    "open_sealed": "signing",
    "pack": "signing",
    "read_key": "keys",
    "read_public_key": "keys",
    "seal": "signing",
    "to_tunnel": "tunnel",
    "unpack": "signing",
    "write_key": "keys",
    "write_public_key": "keys",
}

if TYPE_CHECKING:
    from dronetrack.handover.keys import fingerprint as fingerprint
    from dronetrack.handover.keys import new_key as new_key
    from dronetrack.handover.keys import new_sealing_key as new_sealing_key
    from dronetrack.handover.keys import read_key as read_key
    from dronetrack.handover.keys import read_public_key as read_public_key
    from dronetrack.handover.keys import write_key as write_key
    from dronetrack.handover.keys import write_public_key as write_public_key
    from dronetrack.handover.package import Contribution as Contribution
    from dronetrack.handover.package import Package as Package
    from dronetrack.handover.signing import open_sealed as open_sealed
    from dronetrack.handover.signing import pack as pack
    from dronetrack.handover.signing import seal as seal
    from dronetrack.handover.signing import unpack as unpack
    from dronetrack.handover.tunnel import from_tunnel as from_tunnel
    from dronetrack.handover.tunnel import to_tunnel as to_tunnel

__all__ = list(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _MODULES:
        raise AttributeError(f"module 'dronetrack.handover' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dronetrack.handover.{_MODULES[name]}"), name)
