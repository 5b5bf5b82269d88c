"""What may each authority do, and see, at a time? Its standing, and the record on which that rests."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dronetrack.handover.custody import ABROAD, APPROACHING, HOME, History, Verdict
from dronetrack.handover.leave import FOREVER, Leave
from dronetrack.handover.mandate import Mandate
from dronetrack.handover.permits import NOT_PART
from dronetrack.handover.rules import AUTHORISED

CONTRIBUTE, READ = "contribute", "read"

Ints = NDArray[np.int64]


class Standing:
    """Who may contribute and who may read, as custody changes.

    Parameters
    ----------
    mandate : Mandate
        Authorities, and third authorities' authorisations.
    leave : Leave
        On what home is abroad; its end is known before it comes.
    """

    def __init__(self, mandate: Mandate, leave: Leave) -> None:
        self.disclosed = False  # whether home has told the host of this crossing
        self._mandate, self._leave = mandate, leave
        own = mandate.rules["own_territory"]
        home, host = (
            Verdict(True, own.name, own.article, "in its own country", f"national law of {mandate.country(who)}")
            for who in (mandate.home, mandate.host)
        )
        self._own = {mandate.home: home, mandate.host: host}
        at_home = "the target is in the other country, and nothing was disclosed"
        self._closed = Verdict(False, own.name, own.article, at_home)
        self._contribute = {who: History(verdict) for who, verdict in self._own.items()}
        self._read = {mandate.home: History(home), mandate.host: History(self._closed)}
        self._host_until_us = FOREVER  # end of the authorisation on which the host reads before the border

    def change(self, time_us: int, state: str, ended: Verdict = NOT_PART) -> None:
        """Say what home and host may do from a time on.

        Parameters
        ----------
        time_us : int
            From when. [us, UTC]
        state : str
            State of custody.
        ended : Verdict, optional
            Why home may do no more, where that state is one in which it may not.
        """
        home = self._mandate.home
        mine = ended
        if state in (HOME, APPROACHING):
            mine = self._own[home]
        elif state in ABROAD:
            mine = self._leave.verdict()
        self._contribute[home].put(time_us, mine)
        self._read[home].put(time_us, mine)
        self.disclose(time_us, state)

    def disclose(self, time_us: int, state: str) -> None:
        """Say what lets the host read: its authorisation, a notice or request, or that it is in its own country."""
        self._host_until_us = FOREVER
        given = self._leave.in_force(time_us)
        if state == APPROACHING and given is not None:
            rule = self._mandate.rules[AUTHORISED]
            verdict = Verdict(True, rule.name, rule.article, "it authorised the surveillance", str(given))
            self._host_until_us = given.valid_until_us
        elif state in (HOME, APPROACHING) or (state in ABROAD and not self.disclosed):
            verdict = self._closed
        else:
            verdict = self._own[self._mandate.host]
        self._read[self._mandate.host].put(time_us, verdict)

    def contributing(self, authority: str, time_us: Ints) -> tuple[NDArray[np.intp], list[Verdict]]:
        """Return for each time the index of what held for an authority's measurements, and the verdicts."""
        return self.of(authority, CONTRIBUTE, time_us)

    def of(self, authority: str, what: str, time_us: Ints) -> tuple[NDArray[np.intp], list[Verdict]]:
        """Return for each time the index of what held for an authority, and the verdicts.

        Parameters
        ----------
        authority : str
            Who.
        what : {"contribute", "read"}
            What it wants.
        time_us : (n,) int64
            In time order. [us, UTC]

        Returns
        -------
        (n,) int
            Indices into the verdicts.
        list of Verdict
            What held at some time or other.
        """
        histories = self._contribute if what == CONTRIBUTE else self._read
        if authority not in histories:
            return self._of_third(authority, time_us)
        codes, verdicts = histories[authority].index(time_us), histories[authority].values
        until_us, over = self._end(authority, what)
        if len(time_us) and time_us[-1] >= until_us:
            codes = np.where(time_us >= until_us, len(verdicts), codes)
            verdicts = [*verdicts, over]
        return codes, verdicts

    def _end(self, authority: str, what: str) -> tuple[int, Verdict]:
        """Return when the present permission ends of itself, and what holds then."""
        if authority == self._mandate.home and self._leave.basis:
            return self._leave.until_us, self._leave.over()
        if authority == self._mandate.host and what == READ:
            return self._host_until_us, self._closed
        return FOREVER, self._closed

    def _of_third(self, authority: str, time_us: Ints) -> tuple[NDArray[np.intp], list[Verdict]]:
        """Judge a third authority by what home or host have authorised."""
        rule = self._mandate.rules.first([AUTHORISED]) or replace(self._mandate.rules["own_territory"], name=AUTHORISED)
        codes, verdicts = np.zeros(len(time_us), dtype=np.intp), [NOT_PART]
        for one in self._authorisations_of(authority):
            holds = (time_us >= one.starts_us) & (time_us < one.valid_until_us)
            codes = np.where(holds, len(verdicts), codes)
            verdicts.append(Verdict(True, rule.name, rule.article, "authorised", str(one)))
        return codes, verdicts

    def _authorisations_of(self, authority: str) -> Sequence:
        issuers = (self._mandate.home, self._mandate.host)
        return [one for one in self._mandate.authorisations if one.recipient == authority and one.issuer in issuers]
