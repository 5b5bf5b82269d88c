"""Whose target is it, who may follow it across the border, by which article, and how does it go to the other side?"""

import importlib
from typing import TYPE_CHECKING, Any

# Name -> module. Imported on first use: a run that hands over no package needs no cryptography.
_MODULES = {
    "ACTS": "custody",
    "STATES": "custody",
    "TRANSITIONS": "custody",
    "Area": "zones",
    "Authorisation": "mandate",
    "Authority": "mandate",
    "Contribution": "package",
    "Decision": "mandate",
    "Duty": "custody",
    "Event": "events",
    "Events": "events",
    "Following": "following",
    "Mandate": "mandate",
    "Operation": "operation",
    "Package": "package",
    "Refusal": "permits",
    "Replay": "replaying",
    "Rule": "rules",
    "RuleSet": "rules",
    "Step": "following",
    "Transition": "custody",
    "Verdict": "custody",
    "Zone": "zones",
    "fingerprint": "keys",
    "from_tunnel": "tunnel",
    "new_key": "keys",
    "new_sealing_key": "keys",
    "open_sealed": "signing",
    "pack": "signing",
    "read_key": "keys",
    "read_mandate": "mandate",
    "read_public_key": "keys",
    "read_rules": "rules",
    "replay": "replaying",
    "rule_set_names": "rules",
    "seal": "signing",
    "to_tunnel": "tunnel",
    "transition": "custody",
    "unpack": "signing",
    "write_key": "keys",
    "write_public_key": "keys",
}

if TYPE_CHECKING:
    from dronetrack.handover.custody import ACTS as ACTS
    from dronetrack.handover.custody import STATES as STATES
    from dronetrack.handover.custody import TRANSITIONS as TRANSITIONS
    from dronetrack.handover.custody import Duty as Duty
    from dronetrack.handover.custody import Transition as Transition
    from dronetrack.handover.custody import Verdict as Verdict
    from dronetrack.handover.custody import transition as transition
    from dronetrack.handover.events import Event as Event
    from dronetrack.handover.events import Events as Events
    from dronetrack.handover.following import Following as Following
    from dronetrack.handover.following import Step as Step
    from dronetrack.handover.keys import fingerprint as fingerprint
    from dronetrack.handover.keys import new_key as new_key
    from dronetrack.handover.keys import new_sealing_key as new_sealing_key
    from dronetrack.handover.keys import read_key as read_key
    from dronetrack.handover.keys import read_public_key as read_public_key
    from dronetrack.handover.keys import write_key as write_key
    from dronetrack.handover.keys import write_public_key as write_public_key
    from dronetrack.handover.mandate import Authorisation as Authorisation
    from dronetrack.handover.mandate import Authority as Authority
    from dronetrack.handover.mandate import Decision as Decision
    from dronetrack.handover.mandate import Mandate as Mandate
    from dronetrack.handover.mandate import read_mandate as read_mandate
    from dronetrack.handover.operation import Operation as Operation
    from dronetrack.handover.package import Contribution as Contribution
    from dronetrack.handover.package import Package as Package
    from dronetrack.handover.permits import Refusal as Refusal
    from dronetrack.handover.replaying import Replay as Replay
    from dronetrack.handover.replaying import replay as replay
    from dronetrack.handover.rules import Rule as Rule
    from dronetrack.handover.rules import RuleSet as RuleSet
    from dronetrack.handover.rules import read_rules as read_rules
    from dronetrack.handover.rules import rule_set_names as rule_set_names
    from dronetrack.handover.signing import open_sealed as open_sealed
    from dronetrack.handover.signing import pack as pack
    from dronetrack.handover.signing import seal as seal
    from dronetrack.handover.signing import unpack as unpack
    from dronetrack.handover.tunnel import from_tunnel as from_tunnel
    from dronetrack.handover.tunnel import to_tunnel as to_tunnel
    from dronetrack.handover.zones import Area as Area
    from dronetrack.handover.zones import Zone as Zone

__all__ = list(_MODULES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _MODULES:
        raise AttributeError(f"module 'dronetrack.handover' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"dronetrack.handover.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
