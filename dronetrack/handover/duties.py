"""What does one authority still owe the other, and by when? Notices, requests and reports."""

from dronetrack.handover.custody import Duty
from dronetrack.handover.rules import Rule


class Duties:
    """What home owes the host, in the order in which it came to owe it.

    Parameters
    ----------
    owed_by, owed_to : str
        Authorities.
    """

    __slots__ = ("_owed_by", "_owed_to", "all")

    def __init__(self, owed_by: str, owed_to: str) -> None:
        self._owed_by, self._owed_to = owed_by, owed_to
        self.all: list[Duty] = []

    def begin(self, rule: Rule, since_us: int) -> Duty:
        """Owe what a rule asks for, `due_s` after a time. [us, UTC]"""
        due_us = since_us + round((rule.due_s or 0.0) * 1e6)
        duty = Duty(rule.name, rule.article, self._owed_by, self._owed_to, since_us, due_us, rule.policy)
        self.all.append(duty)
        return duty

    def open(self, kind: str) -> Duty | None:
        """Return the oldest duty of a kind that is still owed."""
        return next((duty for duty in self.all if duty.kind == kind and duty.open), None)

    @property
    def next(self) -> Duty | None:
        """The one that will be missed first."""
        waiting = [duty for duty in self.all if duty.open and not duty.missed]
        return min(waiting, key=lambda duty: duty.due_us, default=None)
