"""Whose target is it, who may follow it across the border, by which article, and until when?"""

from dronetrack.handover.custody import ACTS, STATES, TRANSITIONS, Duty, Transition, Verdict, transition
from dronetrack.handover.events import Event, Events
from dronetrack.handover.mandate import Authorisation, Authority, Decision, Mandate, read_mandate
from dronetrack.handover.operation import Operation
from dronetrack.handover.permits import Refusal
from dronetrack.handover.rules import Rule, RuleSet, read_rules, rule_set_names
from dronetrack.handover.zones import Area, Zone

__all__ = [
    "ACTS",
    "STATES",
    "TRANSITIONS",
    "Area",
    "Authorisation",
    "Authority",
    "Decision",
    "Duty",
    "Event",
    "Events",
    "Mandate",
    "Operation",
    "Refusal",
    "Rule",
    "RuleSet",
    "Transition",
    "Verdict",
    "Zone",
    "read_mandate",
    "read_rules",
    "rule_set_names",
    "transition",
]
