"""On what may home follow abroad, and until when? Authorisations, the urgent case, and its hours."""

import numpy as np

from dronetrack.handover.custody import Verdict
from dronetrack.handover.mandate import Authorisation, Mandate
from dronetrack.handover.rules import AUTHORISED, URGENT

FOREVER = int(np.iinfo(np.int64).max)


class Leave:
    """The basis on which home is abroad: none while it is at home.

    Parameters
    ----------
    mandate : Mandate
        Basis, rules, and the authorisations given in advance.
    """

    __slots__ = ("_authorisations", "_mandate", "_urgent_since_us", "basis", "given", "until_us", "urgent_spent")

    def __init__(self, mandate: Mandate) -> None:
        self._mandate = mandate
        self._authorisations = [
            one for one in mandate.authorisations if (one.issuer, one.recipient) == (mandate.host, mandate.home)
        ]
        self._urgent_since_us = FOREVER
        self.urgent_spent = False
        self.end()

    @property
    def was_urgent(self) -> bool:
        """Whether the border was ever crossed in urgency."""
        return self._urgent_since_us < FOREVER

    def in_force(self, time_us: int) -> Authorisation | None:
        """Return the host's authorisation for home that holds longest."""
        holding = [one for one in self._authorisations if one.holds(time_us)]
        return max(holding, key=lambda one: one.valid_until_us, default=None)

    def cross(self, known_us: int, early_us: int) -> bool:
        """Find a basis for going on abroad: an authorisation, then urgency; return whether there is one.

        Parameters
        ----------
        known_us : int
            When the crossing became known. [us, UTC]
        early_us : int
            The early edge of its time, from which the hours of an urgent case run. [us, UTC]
        """
        given = self.in_force(known_us)
        if given is not None:
            self.take(given)
            return True
        rule = self._mandate.rules.first([URGENT])
        if self._mandate.basis != URGENT or rule is None or self.urgent_spent:
            return False
        self._urgent_since_us = min(self._urgent_since_us, early_us)
        until_us = self._urgent_since_us + round((rule.limit_s or 0.0) * 1e6)
        if until_us <= known_us:
            return False
        self.basis, self.given, self.until_us = URGENT, None, until_us
        return True

    def take(self, given: Authorisation) -> None:
        """Go on by an authorisation."""
        self.basis, self.given, self.until_us = AUTHORISED, given, given.valid_until_us

    def add(self, given: Authorisation) -> None:
        """Note an authorisation."""
        self._authorisations.append(given)

    def revoke(self, time_us: int) -> None:
        """Strike the authorisations that hold at a time, and those that begin later."""
        self._authorisations = [one for one in self._authorisations if one.valid_until_us <= time_us]

    def end(self) -> None:
        """Home is abroad no more."""
        self.basis, self.given, self.until_us = "", None, FOREVER

    def verdict(self) -> Verdict:
        """Say on what record home follows abroad."""
        rule = self._mandate.rules[self.basis]
        record = str(self.given) if self.given else f"urgent case: {self._mandate.offence or 'any offence'}"
        return Verdict(True, rule.name, rule.article, "in the host's country with leave", record)

    def over(self) -> Verdict:
        """Say that it ended; the end is known before it comes."""
        rule = self._mandate.rules[self.basis]
        return Verdict(False, rule.name, rule.article, "its permission abroad had ended")
