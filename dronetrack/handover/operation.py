"""Whose target is it, who may follow it now, by which article, and until when?

Time comes from the data. A change of custody takes effect when it is known, and not before: what was permitted to those
who acted is not taken back behind them. A clock that starts with a crossing starts at the early edge of the crossing's
time (its 2.5 % quantile), so that uncertainty never lengthens a permission.
"""

import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.border import Border, Crossing
from dronetrack.errors import FormatError, InputError, NotAuthorisedError, OrderError
from dronetrack.handover.custody import (
    ABROAD,
    ACTS,
    APPROACHING,
    BEFORE,
    ENDED,
    HOLDER,
    HOME,
    LOST,
    TRANSITIONS,
    Duty,
    History,
    Verdict,
    transition,
)
from dronetrack.handover.duties import Duties
from dronetrack.handover.events import NO_EVENTS, Event, Events
from dronetrack.handover.leave import FOREVER, Leave
from dronetrack.handover.mandate import Authorisation, Mandate, read_mandate
from dronetrack.handover.permits import Permits, Refusal
from dronetrack.handover.rules import AUTHORISED, URGENT, Rule
from dronetrack.handover.standing import CONTRIBUTE, READ, Standing
from dronetrack.measurements import Measurements
from dronetrack.tomlfile import TomlFile
from dronetrack.tracks import CONFIRMED, Track

NEVER = int(np.iinfo(np.int64).min)
RECEDED = 1.2  # times approach_m: a target that waits at that distance does not flicker
SURE = 3.0  # standard deviations from the line at which a target that was never seen at home counts as abroad
UNDECIDED = ("request", "authorise", "notice", "report")  # acts that move no custody of themselves

Ints = NDArray[np.int64]


class Operation:
    """Who may follow the target across the border: custody, permissions, duties, deadlines, and what led to them.

    Parameters
    ----------
    mandate : Mandate
        What was agreed before.
    border : Border
        The line; its countries are those of home and host.

    Raises
    ------
    InputError
        If the border lies between other countries.

    Notes
    -----
    States and what moves them stand in one table, `dronetrack.handover.custody.TRANSITIONS`; the articles stand in the
    rule set. An urgent permission that was refused, stopped or used up does not revive by crossing again, and its hours
    run from the first crossing that was urgent.

    Examples
    --------
    >>> from dronetrack.handover import Authority, Mandate
    >>> both = Authority("HU", "HU"), Authority("RO", "RO")
    >>> operation = Operation(Mandate("HU", "RO", both), Border.between("HU", "RO"))
    >>> operation.custody, operation.may("HU", "contribute").article, operation.may("HU", "offer").reason
    ('home', 'national law', "custody is 'home'; an offer needs 'joint'")
    """

    def __init__(self, mandate: Mandate, border: Border) -> None:
        countries = mandate.country(mandate.home), mandate.country(mandate.host)
        if (border.home, border.host) != countries:
            raise InputError(f"the border lies between {border.home} and {border.host}, the operation {countries}.")
        self.mandate, self.border = mandate, border
        self._permits = Permits(mandate, border)
        self._roles = {"home": mandate.home, "host": mandate.host}
        self._log: list[Event] = []
        self._state, self._holder = History(HOME), History(mandate.home)
        self._before_lost = HOME
        self._now_us = self._seen_us = NEVER
        self._target: tuple[float, float] | None = None
        self._leave = Leave(mandate)
        self._duties = Duties(mandate.home, mandate.host)
        self._standing = Standing(mandate, self._leave)
        self._requested_us = NEVER

    @classmethod
    def read(cls, path: str | pathlib.Path) -> Self:
        """Make the operation of a mission file; what people decided in it (``[[act]]``) is left out.

        Parameters
        ----------
        path : str or Path
            The TOML file.

        Returns
        -------
        Operation
            At its beginning.

        Raises
        ------
        FormatError
            If the file holds no operation, or one that is wrong.
        NotAuthorisedError
            If the rules permit no such operation.
        """
        file = TomlFile.read(path, "a mission file")
        countries = file.tables.get("mission", {}).get("border")
        if "operation" not in file.tables or not countries:
            raise FormatError(f"{file.path.name}: an operation needs [operation], and border in [mission].")
        border = Border.between(*countries)
        return cls(read_mandate(file, (border.home, border.host))[0], border)

    @property
    def custody(self) -> str:
        """State of custody, one of `dronetrack.handover.custody.STATES`."""
        return self._state.last

    @property
    def holder(self) -> str:
        """Authority that holds the target; empty where home had to stop and the host has not taken over."""
        return self._holder.last

    @property
    def changed_us(self) -> int:
        """When custody last changed. [us, UTC]"""
        return self._state.times_us[-1]

    @property
    def until_us(self) -> int | None:
        """When home's permission abroad ends; None while it needs none. [us, UTC]"""
        return self._leave.until_us if self._abroad else None

    @property
    def events(self) -> Events:
        """All that has happened."""
        return Events.of(self._log)

    @property
    def duties(self) -> list[Duty]:
        """What home owes, or owed, the host."""
        return self._duties.all

    @property
    def refusals(self) -> list[Refusal]:
        """Rows that were refused, by sensor and rule."""
        return list(self._permits.refusals.values())

    @property
    def refused_now(self) -> list[tuple[str, str, Verdict, int]]:
        """Sensor, authority, verdict and count of the rows that the last call of `permit` refused."""
        return self._permits.latest

    @property
    def awaits_host(self) -> bool:
        """Whether custody would move on once the track is fed by the host's own sensors."""
        return transition(self._real_state, "host_follows") is not None

    def holder_at(self, time_us: Ints) -> list[str]:
        """Return who held the target at each time.

        Parameters
        ----------
        time_us : (n,) int64
            Times. [us, UTC]

        Returns
        -------
        list of str
            Authorities; empty where nobody did.
        """
        return np.array(self._holder.values, dtype=object)[self._holder.index(time_us)].tolist()

    def update(self, track: Track, crossings: Iterable[Crossing] = (), *, heard: Collection[str] = ()) -> Events:
        """Judge custody by new rows of the track.

        Parameters
        ----------
        track : Track
            New rows, in time order; live, mostly one.
        crossings : Crossings or iterable of Crossing, optional
            What the watch made of them.
        heard : collection of str, optional
            Authorities from whose sensors the track has taken measurements since the last update.

        Returns
        -------
        Events
            What came of it, mostly nothing.
        """
        start = len(self._log)
        if len(track):
            self._look(track, sorted(crossings, key=lambda one: one.known))
        if self.mandate.host in heard and self.awaits_host:
            self._move(self._now_us, "host_follows")
        return self._since(start)

    def advance(self, time_us: int) -> Events:
        """Let time pass: deadlines fall due also while nobody sees the target.

        Parameters
        ----------
        time_us : int
            Newest time in the data. [us, UTC]

        Returns
        -------
        Events
            What fell due.
        """
        start = len(self._log)
        while (due_us := self._next_due_us()) <= time_us:
            self._fall_due(due_us)
        self._now_us = max(self._now_us, int(time_us))
        return self._since(start)

    def permit(self, measurements: Measurements) -> Measurements:
        """Return the rows that their authority may contribute; the others are counted in `refusals`.

        Parameters
        ----------
        measurements : Measurements
            Rows of any sensors.

        Returns
        -------
        Measurements
            Those that some record permits.
        """
        mask = self.permitted(measurements)
        return measurements if mask.all() else measurements.take(mask)

    def permitted(self, measurements: Measurements) -> NDArray[np.bool_]:
        """(n,) bool: which rows their authority may contribute, by time, place and rule; see `permit`."""
        return self._permits.judge(measurements, self._standing.contributing, self._target, self._leave.given)

    def may(self, authority: str, act: str, time_us: int | None = None) -> Verdict:
        """Tell whether an authority may do something as things stand.

        Parameters
        ----------
        authority : str
            Who.
        act : str
            A word of `dronetrack.handover.custody.ACTS`, ``contribute``, ``read``, or one that the rules forbid.
        time_us : int, optional
            When, for ``contribute`` and ``read``; by default now. [us, UTC]

        Returns
        -------
        Verdict
            With rule, article, reason and, where it is permitted, the record that permits it.

        Raises
        ------
        InputError
            If nobody knows such an act.
        """
        if act in (CONTRIBUTE, READ):
            codes, verdicts = self._standing.of(
                authority, act, np.array([self._now_us if time_us is None else time_us])
            )
            return verdicts[codes[0]]
        forbidden = self.mandate.rules.forbidding(act)
        if forbidden is not None:
            return Verdict(False, forbidden.name, forbidden.article, forbidden.text)
        if act not in ACTS:
            raise InputError(f"nobody knows the act {act!r}; there are {', '.join(ACTS)}.")
        return self._judge(authority, act)

    def act(self, kind: str, time_us: int, by: str, **facts: Any) -> Events:  # noqa: ANN401 - JSON
        """Take note of something that people decided, and draw the consequences.

        Parameters
        ----------
        kind : str
            A word of `dronetrack.handover.custody.ACTS`.
        time_us : int
            When. [us, UTC]
        by : str
            Authority.
        **facts
            What belongs to it: ``note``, and ``authorisation`` (as `Authorisation.to_plain` writes it) of an
            ``authorise``.

        Returns
        -------
        Events
            What came of it.

        Raises
        ------
        NotAuthorisedError
            If the rules do not permit it as things stand. Time has passed then, and nothing else has changed.
        InputError
            If nobody knows such an act, or an ``authorise`` brings no authorisation.
        OrderError
            If custody has changed since that time.
        """
        start = len(self._log)
        self._check_order(time_us)
        self.advance(time_us)
        verdict = self.may(by, kind)
        if not verdict.allowed:
            article = f" (Article {verdict.article})" if verdict.article else ""
            raise NotAuthorisedError(f"{by} may not {kind}{article}: {verdict.reason}")
        self._do(kind, int(time_us), by, verdict, facts)
        return self._since(start)

    def refuse_act(self, kind: str, time_us: int, by: str) -> Events:
        """Record an act that is not permitted, where the program has no one to raise an error to.

        Parameters
        ----------
        kind, time_us, by
            As in `act`.

        Returns
        -------
        Events
            One ``act_refused``.
        """
        start = len(self._log)
        self.advance(time_us)
        verdict = self.may(by, kind)
        self._note(time_us, "act_refused", by, verdict.article, kind, {"rule": verdict.rule, "reason": verdict.reason})
        return self._since(start)

    def view(self, track: Track, authority: str, purpose: str) -> Track:
        """Return what an authority may see of a track: nothing from after its part has ended. The look is recorded.

        Parameters
        ----------
        track : Track
            The track.
        authority : str
            Who looks.
        purpose : str
            Why; Directive (EU) 2016/680, Article 25, asks for it.

        Returns
        -------
        Track
            The rows of times at which it may read.

        Raises
        ------
        NotAuthorisedError
            If there is no such row; also that is recorded.
        InputError
            If no purpose is given.
        """
        if not purpose.strip():
            raise InputError("a look at a track needs a purpose (Directive (EU) 2016/680, Article 25).")
        codes, verdicts = self._standing.of(authority, READ, track.time_us)
        mask = np.array([one.allowed for one in verdicts])[codes]
        about = {"purpose": purpose, "rows": int(mask.sum()), "rows_withheld": int(np.sum(~mask))}
        self._note(self._now_us, "consulted", authority, "", "view", about)
        if not mask.any():
            raise NotAuthorisedError(f"{authority} may see nothing of this track: {verdicts[0].reason}.")
        return track.take(mask)

    @property
    def _real_state(self) -> str:
        """State, and while the target is lost, the one from which it was."""
        return self._before_lost if self._state.last == LOST else self._state.last

    @property
    def _abroad(self) -> bool:
        return self._real_state in ABROAD

    def _look(self, track: Track, crossings: list) -> None:
        """Judge row by row: each is one look."""
        lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(track.state[:, :3])
        distance_m = self.border.signed_distance_m(lat_deg, lon_deg)
        confirmed = (track.status == CONFIRMED).tolist()
        rows = zip(
            track.time_us.tolist(), lat_deg.tolist(), lon_deg.tolist(), distance_m.tolist(), confirmed, strict=True
        )
        if self._target is None and not crossings:
            self._begin_abroad(track, float(distance_m[0]))
        for time_us, lat, lon, distance, seen in rows:
            while crossings and int(crossings[0].known.astype(np.int64)) <= time_us:
                self._cross(crossings.pop(0))
            self.advance(time_us)
            self._target = lat, lon
            self._approach(time_us, distance)
            if seen:
                self._seen_us = time_us
                if self.custody == LOST:
                    self._move(time_us, "target_found")

    def _check_order(self, time_us: int) -> None:
        last_us = self._state.times_us[-1]
        if time_us < last_us:
            raise OrderError(
                f"custody has changed {(last_us - time_us) * 1e-6:.3f} s after this decision; decisions come in order."
            )

    def _begin_abroad(self, track: Track, distance_m: float) -> None:
        """Take a target that was never seen at home to have crossed when it was first seen."""
        spread_m = np.sqrt(np.trace(track.cov[0, :3, :3]) + self.border.line_std_m**2)
        if distance_m > SURE * spread_m:
            time_us = int(track.time_us[0])
            self._cross_out(time_us, time_us, {"found_abroad": True})

    def _approach(self, time_us: int, distance_m: float) -> None:
        near_m = self.mandate.approach_m
        if self.custody == HOME and -near_m < distance_m < 0.0:
            self._move(time_us, "approached", distance_m=round(-distance_m, 1))
        elif self.custody == APPROACHING and distance_m < -RECEDED * near_m:
            self._move(time_us, "receded", distance_m=round(-distance_m, 1))

    def _cross(self, crossing: Crossing) -> None:
        known_us = int(crossing.known.astype(np.int64))
        early_us, late_us = (int(edge.astype(np.int64)) for edge in crossing.time_95)
        facts = {
            "crossed_us": int(crossing.time.astype(np.int64)),
            "crossed_early_us": early_us,
            "crossed_late_us": late_us,
            "probability": crossing.probability,
            "place": crossing.place,
        }
        self.advance(known_us)
        if crossing.entering == self.border.host:
            self._cross_out(known_us, early_us, facts)
        else:
            self._move(known_us, "crossed_back", **facts)

    def _cross_out(self, known_us: int, early_us: int, facts: dict[str, Any]) -> None:
        """Go on abroad on whatever permits it, or find that nothing does."""
        if transition(self._real_state, "crossed_authorised") is None:
            return
        if not self._leave.cross(known_us, early_us):
            self._move(known_us, "crossed_unauthorised", **facts)
            return
        self._standing.disclosed = self._leave.basis == AUTHORISED
        self._move(known_us, f"crossed_{self._leave.basis}", **facts, until_us=self._leave.until_us)
        for kind in ("notice", "request"):
            self._owe(kind, early_us, known_us)

    def _move(self, time_us: int, cause: str, **facts: Any) -> bool:  # noqa: ANN401 - JSON
        """Take the line of the table that a cause meets, if there is one; never before the last one was taken."""
        time_us = max(time_us, self._state.times_us[-1])
        line = transition(self.custody if cause == "target_found" else self._real_state, cause)
        if line is None:
            return False
        was_abroad, last = self._abroad, self.custody
        target = self._before_lost if line.target == BEFORE else line.target
        rule = self._rule(line.rules)
        if target == LOST:
            self._before_lost = last
        self._state.put(time_us, target)
        if target != LOST:
            self._holder.put(time_us, self._roles.get(HOLDER.get(target, ""), ""))
            self._standing.change(time_us, target, Verdict(False, rule.name, rule.article, cause.replace("_", " ")))
        self._note(time_us, f"handover_{target}", self._roles[line.by], rule.article, cause, {"from": last, **facts})
        if was_abroad and not self._abroad:
            self._end_abroad(time_us, target)
        return True

    def _end_abroad(self, time_us: int, state: str) -> None:
        """Home has left the host's country, or may do nothing there any more: a report is owed."""
        if self._leave.basis == URGENT and state in ENDED:
            self._leave.urgent_spent = True
        if self._duties.open("report") is None:
            self._owe("report", time_us, time_us)
        self._leave.end()

    def _owe(self, kind: str, since_us: int, known_us: int) -> None:
        """Begin a duty of home towards the host, where the rules ask for it on this basis."""
        rule = self.mandate.rules.first([kind], self._leave.basis)
        if rule is None:
            return
        duty = self._duties.begin(rule, since_us)
        facts = {"owed_to": duty.owed_to, "since_us": since_us, "due_us": duty.due_us, "policy": duty.policy}
        self._note(known_us, f"{kind}_owed", duty.owed_by, rule.article, "", facts)
        if kind == "request" and self._requested_us > NEVER:
            self._fulfil("request", self._requested_us, known_us, {})

    def _fulfil(self, kind: str, done_us: int, time_us: int, facts: Mapping[str, Any]) -> bool:
        duty = self._duties.open(kind)
        if duty is None:
            return False
        duty.done_us = done_us
        told = {"due_us": duty.due_us, "late_s": max(done_us - duty.due_us, 0) * 1e-6, **facts}
        self._note(time_us, f"{kind}_done", duty.owed_by, duty.article, "", told)
        return True

    def _next_due_us(self) -> int:
        """When something falls due of itself."""
        due_us, duty = FOREVER, self._duties.next
        if duty is not None:
            due_us = duty.due_us
        if self._abroad:
            due_us = min(due_us, self._leave.until_us)
        if self._seen_us > NEVER and transition(self.custody, "target_lost"):
            due_us = min(due_us, max(self._seen_us + round(self.mandate.lost_s * 1e6), self.changed_us))
        return due_us

    def _fall_due(self, time_us: int) -> None:
        """Do what falls due at a time: missed duties first, then the end of a permission, then a lost target."""
        duty = self._duties.next
        if duty is not None and duty.due_us <= time_us:
            duty.missed = True
            facts = {"due_us": duty.due_us, "policy": duty.policy}
            known_us = max(time_us, self._now_us)
            self._note(known_us, f"{duty.kind}_missed", duty.owed_by, duty.article, "deadline passed", facts)
        elif self._abroad and self._leave.until_us <= time_us:
            self._reach_end(time_us)
        else:
            self._move(time_us, "target_lost")

    def _reach_end(self, time_us: int) -> None:
        given = self._leave.in_force(time_us)
        if given is not None:
            self._take_leave(time_us, given)
        else:
            self._move(time_us, "limit_passed" if self._leave.basis == URGENT else "authorisation_ended")

    def _take_leave(self, time_us: int, given: Authorisation) -> None:
        """Go on abroad on an authorisation that has come."""
        self._leave.take(given)
        self._standing.disclosed = True
        rule = self._rule((AUTHORISED,))
        self._standing.change(time_us, self._real_state)
        self._note(
            time_us, "deadline_changed", given.issuer, rule.article, "authorised", {"until_us": self._leave.until_us}
        )

    def _judge(self, authority: str, act: str) -> Verdict:
        """Tell whether a known act is permitted: by whom, by a rule of the set, and as things stand."""
        what = ACTS[act]
        if authority != self._roles[what.by]:
            return Verdict(False, "authority", "", f"that is for {self._roles[what.by]} to do")
        rule = self.mandate.rules.first(what.rules, self._leave.basis) or self.mandate.rules.first(what.rules)
        if rule is None:
            return Verdict(False, what.rules[0], "", f"{self.mandate.rules.name} does not provide for it")
        against = self._objection(act)
        if against:
            return Verdict(False, rule.name, rule.article, against)
        return Verdict(True, rule.name, rule.article, rule.text, f"{self.mandate.rules.name}, {rule.article}")

    def _objection(self, act: str) -> str:
        """Say why an act does not fit what has happened so far; nothing where it does."""
        if act in UNDECIDED or (act in ("refuse", "revoke") and not self._abroad):
            return self._missing(act)
        if act == "refuse" and self._leave.basis == AUTHORISED:
            return "it has authorised the surveillance; it may stop it, or revoke the authorisation"
        if act == "revoke" and self._leave.basis != AUTHORISED:
            return "there is no authorisation in force"
        if transition(self._real_state, act) is None:
            sources = dict.fromkeys(repr(source) for one in TRANSITIONS if one.cause == act for source in one.sources)
            return f"custody is {self._real_state!r}; {_a(act)} needs {' or '.join(sources)}"
        return ""

    def _missing(self, act: str) -> str:
        """Say what an act that moves no custody would need and does not find."""
        return {
            "notice": "" if self._leave.was_urgent or self._abroad else "the border has not been crossed",
            "report": "" if self._duties.open("report") else "nothing to report yet",
            "refuse": "" if self._requested_us > NEVER else "nothing was requested",
            "revoke": "" if self._leave.in_force(self._now_us) else "there is no authorisation in force",
        }.get(act, "")

    def _do(self, kind: str, time_us: int, by: str, verdict: Verdict, facts: Mapping[str, Any]) -> None:
        """Draw the consequences of a permitted act."""
        if kind == "authorise":
            self._authorise(time_us, by, verdict, facts)
        elif kind in ("revoke", "refuse") and not self._abroad:
            self._withdraw_leave(kind, time_us)
            self._standing.disclose(time_us, self._real_state)
            self._note(time_us, f"act_{kind}", by, verdict.article, kind, facts)
        elif kind in UNDECIDED:
            self._tell(kind, time_us, by, verdict, facts)
        else:
            self._withdraw_leave(kind, time_us)
            self._move(time_us, kind, **facts)

    def _withdraw_leave(self, kind: str, time_us: int) -> None:
        if kind == "revoke":
            self._leave.revoke(time_us)
        elif kind in ("refuse", "stop"):
            self._leave.urgent_spent = True

    def _authorise(self, time_us: int, by: str, verdict: Verdict, facts: Mapping[str, Any]) -> None:
        if "authorisation" not in facts:
            raise InputError("an act 'authorise' needs authorisation=, the plain form of an Authorisation.")
        given = Authorisation.from_plain(facts["authorisation"])
        if (given.issuer, given.recipient) != (by, self.mandate.home):
            raise InputError(f"{by} authorises {self.mandate.home}; got an {given}.")
        self._leave.add(given)
        self._note(time_us, "act_authorise", by, verdict.article, "authorise", {**facts, "record": str(given)})
        if (
            self._abroad
            and given.holds(time_us)
            and (self._leave.basis == URGENT or given.valid_until_us > self._leave.until_us)
        ):
            self._take_leave(time_us, given)
        elif self.custody == APPROACHING:
            self._standing.disclose(time_us, APPROACHING)

    def _tell(self, kind: str, time_us: int, by: str, verdict: Verdict, facts: Mapping[str, Any]) -> None:
        """Note a request, notice or report; each fulfils the duty of its name, and the first two disclose."""
        if kind == "request":
            self._requested_us = time_us
        if not self._fulfil(kind, time_us, time_us, facts):
            self._note(time_us, f"act_{kind}", by, verdict.article, kind, facts)
        if kind != "report" and self._abroad:
            self._standing.disclosed = True
            self._standing.disclose(time_us, self._real_state)

    def _rule(self, names: Iterable[str]) -> Rule:
        names = list(names)
        rule = self.mandate.rules.first(names, self._leave.basis) or self.mandate.rules.first([*names, "own_territory"])
        if rule is None:
            raise InputError(f"{self.mandate.rules.name} has no rule {names[0]!r}.")
        return rule

    def _note(
        self, time_us: int, kind: str, authority: str, article: str, cause: str, facts: Mapping[str, Any]
    ) -> None:
        self._log.append(Event(int(time_us), kind, authority, article, cause, dict(facts)))

    def _since(self, start: int) -> Events:
        return Events.of(self._log[start:]) if len(self._log) > start else NO_EVENTS


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"
