"""Does a journal say what it said? Its records gone through again: the same bits of the track, the same events."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dronetrack.border import Border, Crossing
from dronetrack.errors import FormatError, InputError
from dronetrack.handover.events import Event, Events
from dronetrack.handover.following import Following, border_digest
from dronetrack.handover.mandate import Decision, Mandate
from dronetrack.handover.operation import Operation
from dronetrack.journal import Record
from dronetrack.tracker import Tracker
from dronetrack.tracks import Track


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


_REPLAYED = ("measurements", "refused", "act", "passed", "accepted")


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
    elif record.kind == "accepted":
        crossing = _crossing(json.loads(record.personal)) if record.personal else None
        following.take_over(crossing, facts["issued_us"], record.time_us)
    return []


def _crossing(told: dict) -> Crossing:
    times = {name: np.datetime64(told[name], "us") for name in ("time", "known")}
    early, late = (np.datetime64(edge, "us") for edge in told["time_95"])
    return Crossing(**{**told, **times, "time_95": (early, late)})


def _reopened(record: Record, border: Border | None) -> Following:
    about = record.facts["border"]
    line = border or Border.between(about["home"], about["host"])
    if border_digest(line) != about["sha256"]:
        raise FormatError("the journal was made with another border line; give that one as border=.")
    if not record.personal:
        raise InputError("the journal's personal parts are not here (purged or withheld); there is nothing to replay.")
    operation = Operation(Mandate.from_plain(record.facts["mandate"]), line)
    return Following(operation, Tracker.restore(record.personal), belief=about["belief"])


def _event(record: Record) -> Event:
    facts = dict(record.facts)
    kind, authority, article, cause = (facts.pop(key) for key in ("kind", "authority", "article", "cause"))
    return Event(record.time_us, kind, authority, article, cause, facts)
