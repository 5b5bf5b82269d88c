"""Whose target is it, who may follow it across the border, by which article, and how does it go to the other side?"""

from dronetrack.handover.custody import ACTS, STATES, TRANSITIONS, Duty, Transition, Verdict, transition
from dronetrack.handover.events import Event, Events
from dronetrack.handover.keys import (
    fingerprint,
    new_key,
    new_sealing_key,
    read_key,
    read_public_key,
    write_key,
    write_public_key,
)
from dronetrack.handover.mandate import Authorisation, Authority, Decision, Mandate, read_mandate
from dronetrack.handover.operation import Operation
from dronetrack.handover.package import Contribution, Package
from dronetrack.handover.permits import Refusal
from dronetrack.handover.rules import Rule, RuleSet, read_rules, rule_set_names
from dronetrack.handover.signing import open_sealed, pack, seal, unpack
from dronetrack.handover.zones import Area, Zone

__all__ = [
    "ACTS",
    "STATES",
    "TRANSITIONS",
    "Area",
    "Authorisation",
    "Authority",
    "Contribution",
    "Decision",
    "Duty",
    "Event",
    "Events",
    "Mandate",
    "Operation",
    "Package",
    "Refusal",
    "Rule",
    "RuleSet",
    "Transition",
    "Verdict",
    "Zone",
    "fingerprint",
    "new_key",
    "new_sealing_key",
    "open_sealed",
    "pack",
    "read_key",
    "read_mandate",
    "read_public_key",
    "read_rules",
    "rule_set_names",
    "seal",
    "transition",
    "unpack",
    "write_key",
    "write_public_key",
]
