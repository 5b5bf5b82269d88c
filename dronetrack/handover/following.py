"""How do track, border, law and record go together? The one loop, the same live, offline and in replay.

Rows are judged by what the operation permits, then filtered. Every `look_s` of the data's time somebody looks: where
does the tracker believe the target is, has it crossed, whose is it now? A look happens when the first row of the next
stretch of time comes, at the newest time until then, so it depends on the data alone: any split of the same stream
into batches gives the same track and the same events, and so does the journal of it.
"""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dronetrack.border import Border, Watch
from dronetrack.border.line import BELIEF
from dronetrack.errors import FormatError, InputError, NotAuthorisedError
from dronetrack.handover.events import Event, Events
from dronetrack.handover.mandate import Decision, Mandate
from dronetrack.handover.operation import Operation
from dronetrack.journal import Journal, Record
from dronetrack.measurements import ROW_COLUMNS, Measurements
from dronetrack.tracker import Tracker
from dronetrack.tracks import Track

NEVER = int(np.iinfo(np.int64).min)


class Step(NamedTuple):
    """What came of a batch.

    Parameters
    ----------
    track : list of Track
        Rows of the track that became final, piece by piece.
    permitted : (n,) bool
        Which rows of the batch were taken.
    """

    track: list[Track]
    permitted: NDArray[np.bool_]


class Following:
    """Follows one target under an operation: what may be used is used, and all of it is recorded.

    Parameters
    ----------
    operation : Operation
        At its beginning.
    tracker : Tracker, optional
        At its beginning; by default one for a road vehicle.
    journal : Journal, optional
        Where measurements, decisions, refusals and events are recorded. What is acknowledged, and when, is the
        journal's own affair: call its `commit`, or create it with the policy that you need.
    decisions : sequence of Decision, optional
        What people will have decided, in time order; each is taken when the data reach its time. One that the rules do
        not permit is recorded as refused.
    belief : float, optional
        As in `Watch`.

    Notes
    -----
    The journal holds the rows that were used, and of the refused ones how many, of whom, and why. That is all that
    `replay` needs.
    """

    def __init__(
        self,
        operation: Operation,
        tracker: Tracker | None = None,
        *,
        journal: Journal | None = None,
        decisions: Sequence[Decision] = (),
        belief: float = BELIEF,
    ) -> None:
        self.operation, self.tracker = operation, tracker or Tracker()
        self.watch = Watch(operation.border, belief=belief)
        self.journal = journal
        self._pending = list(decisions)
        self._look_us = round(operation.mandate.look_s * 1e6)
        self._newest_us = self._looked_us = NEVER
        self._host_sensors: set[str] = set()
        self._taken: int | None = None  # rows of the host that the track had taken when somebody last looked
        if journal is not None:
            journal.append("operation", 0, _opening(operation, belief), personal=self.tracker.snapshot())

    def update(self, measurements: Measurements) -> Step:
        """Take a batch: permit, filter, and look.

        Parameters
        ----------
        measurements : Measurements
            Rows of any sensors, in time order; late ones as late as the tracker takes.

        Returns
        -------
        Step
            Final rows of the track, and which rows were used.
        """
        batch = replace(measurements, stats={}) if measurements.stats else measurements
        host = self.operation.mandate.host
        self._host_sensors |= {sensor.name for sensor in batch.sensors if sensor.authority == host}
        track: list[Track] = []
        permitted = np.zeros(len(batch), dtype=np.bool_)
        for start, stop in _pieces(batch.time_us, self._look_us, [one.time_us for one in self._pending]):
            self._reach(int(batch.time_us[start]))
            rows = _part(batch, slice(start, stop))
            mask = self.operation.permitted(rows)
            permitted[start:stop] = mask
            track.append(self._use(rows if mask.all() else _part(rows, mask)))
            if not mask.all():
                self._record_refused(rows.time_us[~mask])
        return Step([part for part in track if len(part)], permitted)

    def decide(self, decision: Decision, *, strict: bool = True) -> Events:
        """Take note of what a person has decided now.

        Parameters
        ----------
        decision : Decision
            When, what, by whom.
        strict : bool, optional
            Whether what the rules do not permit is an error; it is recorded as refused in any case.

        Returns
        -------
        Events
            What came of it.

        Raises
        ------
        NotAuthorisedError
            If it is not permitted and `strict`.
        """
        self._look()
        fault = None
        try:
            events = self.operation.act(decision.kind, decision.time_us, decision.by, **decision.facts)
        except NotAuthorisedError as refused:
            fault = refused
            events = self.operation.refuse_act(decision.kind, decision.time_us, decision.by)
        if self.journal is not None:
            facts = {"kind": decision.kind, "authority": decision.by, "facts": dict(decision.facts)}
            self.journal.append("act", decision.time_us, facts)
        self._record(events)
        self._taken = self._taken_of_host()
        if fault is not None and strict:
            raise fault
        return events

    def finish(self, until_us: int | None = None) -> list[Track]:
        """Look a last time, take the decisions that are left, and call the track final.

        Parameters
        ----------
        until_us : int, optional
            Until when time passes, beyond the last row. [us, UTC]

        Returns
        -------
        list of Track
            The rest of the final rows.
        """
        self._look()
        while self._pending:
            self.decide(self._pending.pop(0), strict=False)
        if until_us is not None:
            self.pass_time(until_us)
        rest = self.tracker.flush()
        return [rest] if len(rest) else []

    def pass_time(self, until_us: int) -> Events:
        """Let time pass without rows, so that deadlines fall due.

        Parameters
        ----------
        until_us : int
            Until when. [us, UTC]

        Returns
        -------
        Events
            What fell due.
        """
        self._look()
        if self.journal is not None:
            self.journal.append("passed", until_us, {})
        events = self.operation.advance(until_us)
        self._record(events)
        return events

    def pass_over(self, from_us: int, until_us: int) -> None:
        """Let the time of rows pass that were refused when they came; a replay knows no more of them.

        Parameters
        ----------
        from_us, until_us : int
            Of the first, and of the last. [us, UTC]
        """
        self._reach(from_us)
        self._newest_us = max(self._newest_us, until_us)

    def _reach(self, time_us: int) -> None:
        """Come to a time: take the decisions from before it, and look if a stretch of time is over."""
        while self._pending and self._pending[0].time_us < time_us:
            self.decide(self._pending.pop(0), strict=False)
        if time_us // self._look_us > self._newest_us // self._look_us:
            self._look()

    def _use(self, rows: Measurements) -> Track:
        if not len(rows):
            return self.tracker.update(rows)
        if self.journal is not None:
            self.journal.append_measurements(rows)
        self._newest_us = max(self._newest_us, int(rows.time_us[-1]))
        return self.tracker.update(rows)

    def _look(self) -> None:
        """See what is believed, whether the border was crossed, and whose the target is."""
        time_us = self._newest_us
        if time_us <= self._looked_us:
            return
        self._looked_us = time_us
        now = self.tracker.now(time_us)
        if len(now):
            events = self.operation.update(now, self.watch.update(now), heard=self._heard())
        else:
            events = self.operation.advance(time_us)
        self._record(events)

    def _heard(self) -> tuple[str, ...]:
        """Return the host, if the track has taken rows of its sensors since somebody last looked."""
        before, self._taken = self._taken, self._taken_of_host()
        return (self.operation.mandate.host,) if before is not None and (self._taken or 0) > before else ()

    def _taken_of_host(self) -> int | None:
        """How many rows of the host the track has taken; None while that does not matter."""
        if not self.operation.awaits_host:
            return None
        sensors = self.tracker.stats["sensors"]
        return sum(sensors[name]["accepted"] for name in self._host_sensors if name in sensors)

    def _record(self, events: Events) -> None:
        if self.journal is not None:
            for event in events:
                head = {key: getattr(event, key) for key in ("kind", "authority", "article", "cause")}
                self.journal.append("event", event.time_us, {**head, **event.facts})

    def _record_refused(self, time_us: NDArray[np.int64]) -> None:
        """Record how many rows were refused, of whom, and why; never what they said."""
        until_us = int(time_us[-1])
        if self.journal is not None:
            told = [
                {"sensor": sensor, "authority": authority, "rule": rule.rule, "article": rule.article, "rows": count}
                for sensor, authority, rule, count in self.operation.refused_now
            ]
            self.journal.append("refused", until_us, {"from_us": int(time_us[0]), "refused": told})
        self._newest_us = max(self._newest_us, until_us)


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What a journal's records give when they are gone through again.

    Parameters
    ----------
    track : list of Track
        Final rows, piece by piece.
    events : Events
        What the operation concludes.
    recorded : Events
        What it concluded then.
    operation : Operation
        As it stands at the end.
    """

    track: list[Track]
    events: Events
    recorded: Events
    operation: Operation

    @property
    def agrees(self) -> bool:
        """Whether what was concluded then is concluded again; a journal cut short agrees as far as it goes."""
        return list(self.recorded) == list(self.events)[: len(self.recorded)]


def replay(records: Iterable[Record], *, border: Border | None = None) -> Replay:
    """Go through a journal again: the same loop, the same bits of the track, the same events.

    Parameters
    ----------
    records : iterable of Record
        All records of a journal, with their personal parts, from `dronetrack.read_journal`.
    border : Border, optional
        The line, where it is not one that ships with the package.

    Returns
    -------
    Replay
        Track, events, and whether they are what was recorded.

    Raises
    ------
    FormatError
        If the journal holds no operation, or was made with another line.
    InputError
        If rows were purged.
    """
    following: Following | None = None
    track: list[Track] = []
    recorded: list[Event] = []
    for record in records:
        if record.kind == "operation":
            following = _reopened(record, border)
        elif record.kind == "event":
            recorded.append(_event(record))
        elif following is not None:
            track += _again(following, record)
        elif record.kind in _REPLAYED:
            raise FormatError("the journal holds rows before it says of which operation.")
    if following is None:
        raise FormatError("the journal holds no operation.")
    track += following.finish()
    return Replay(track, following.operation.events, Events.of(recorded), following.operation)


_REPLAYED = ("measurements", "refused", "act", "passed")


def _again(following: Following, record: Record) -> list[Track]:
    """Do what a record tells; return the rows that became final."""
    facts = record.facts
    if record.kind == "measurements":
        return following.update(record.measurements()).track
    if record.kind == "refused":
        following.pass_over(facts["from_us"], record.time_us)
    elif record.kind == "act":
        decision = Decision(record.time_us, facts["kind"], facts["authority"], facts["facts"])
        following.decide(decision, strict=False)
    elif record.kind == "passed":
        following.pass_time(record.time_us)
    return []


def _part(batch: Measurements, rows: slice | NDArray[np.bool_]) -> Measurements:
    """Return some rows of a batch that has passed its gate; for a second's rows the gate would cost most of all."""
    part = object.__new__(Measurements)
    for name in ROW_COLUMNS:
        values = getattr(batch, name)[rows]
        values.flags.writeable = False
        object.__setattr__(part, name, values)
    object.__setattr__(part, "sensors", batch.sensors)
    object.__setattr__(part, "stats", {})
    return part


def _pieces(time_us: NDArray[np.int64], look_us: int, decisions: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Cut a batch where a stretch of time is over, and where somebody decides."""
    if not len(time_us):
        return []
    cuts = np.flatnonzero(np.diff(time_us // look_us)) + 1
    cuts = np.union1d(cuts, np.searchsorted(time_us, np.array(decisions, dtype=np.int64), side="right"))
    edges = [0, *cuts[(cuts > 0) & (cuts < len(time_us))].tolist(), len(time_us)]
    return itertools.pairwise(edges)


def _opening(operation: Operation, belief: float) -> dict[str, Any]:
    border = operation.border
    about = {"home": border.home, "host": border.host, "sha256": _border_digest(border), "belief": belief}
    return {"mandate": operation.mandate.to_plain(), "border": about}


def _border_digest(border: Border) -> str:
    line = np.concatenate([border.line_lon_deg, border.line_lat_deg, [border.line_std_m]])
    return hashlib.sha256(line.tobytes()).hexdigest()


def _reopened(record: Record, border: Border | None) -> Following:
    about = record.facts["border"]
    line = border or Border.between(about["home"], about["host"])
    if _border_digest(line) != about["sha256"]:
        raise FormatError("the journal was made with another border line; give that one as border=.")
    if not record.personal:
        raise InputError("the journal's personal parts are not here (purged or withheld); there is nothing to replay.")
    operation = Operation(Mandate.from_plain(record.facts["mandate"]), line)
    return Following(operation, Tracker.restore(record.personal), belief=about["belief"])


def _event(record: Record) -> Event:
    facts = dict(record.facts)
    kind, authority, article, cause = (facts.pop(key) for key in ("kind", "authority", "article", "cause"))
    return Event(record.time_us, kind, authority, article, cause, facts)
