"""How do track, border, law and record go together? The one loop, the same live, offline and in replay.

Rows are judged by what the operation permits, then filtered. Every `look_s` of the data's time somebody looks: where
does the tracker believe the target is, has it crossed, whose is it now? A look happens when the first row of the next
stretch of time comes, at the newest time until then, so it depends on the data alone: any split of the same stream
into batches gives the same track and the same events, and so does the journal of it.
"""

import hashlib
import itertools
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.border import Border, Crossing, Watch
from dronetrack.border.line import BELIEF
from dronetrack.errors import NotAuthorisedError
from dronetrack.handover.events import Events
from dronetrack.handover.mandate import Decision
from dronetrack.handover.operation import Operation
from dronetrack.handover.package import Contribution, Package
from dronetrack.journal import Journal
from dronetrack.measurements import ROW_COLUMNS, Measurements
from dronetrack.registration import Registration
from dronetrack.tracker import Tracker
from dronetrack.tracks import Track

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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
        self._authorities: dict[str, str] = {}  # by sensor
        self._crossing: Crossing | None = None  # the last one
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
        self._authorities |= {sensor.name: sensor.authority for sensor in batch.sensors}
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

    def offer(
        self,
        key: "Ed25519PrivateKey",
        *,
        time_us: int,
        serial: int,
        valid_s: float = 600.0,
        name: str = "",
        registrations: Sequence[Registration] = (),
    ) -> bytes:
        """Offer the target to the host: a signed package with all that its centre needs to go on.

        Parameters
        ----------
        key : Ed25519PrivateKey
            Home's.
        time_us : int
            Now. [us, UTC]
        serial : int
            Number of the package.
        valid_s : float, optional
            For how long it may be accepted. [s]
        name : str, optional
            Name of the operation; by default the journal's, or its purpose.
        registrations : sequence of Registration, optional
            What is known to be wrong with the drones.

        Returns
        -------
        bytes
            The package; `dronetrack.handover.seal` encrypts it for its recipient.

        Raises
        ------
        NotAuthorisedError
            If home has nothing to offer as things stand.
        """
        from dronetrack.handover.signing import pack

        events = self.decide(Decision(time_us, "offer", self.operation.mandate.home))
        package = Package(
            operation=name or self._name(),
            issuer=self.operation.mandate.home,
            recipient=self.operation.mandate.host,
            serial=serial,
            issued_us=time_us,
            valid_until_us=time_us + round(valid_s * 1e6),
            belief=self.tracker.belief(),
            history=self.tracker.provisional(),
            registrations=tuple(registrations),
            contributions=tuple(one for one in self._contributions() if one.n_rows),
            crossing=self._crossing,
            legal_basis=f"{self.operation.mandate.rules.name}, {events.article[-1]}",
            journal_digest="" if self.journal is None else self.journal.digest,
            journal_sequence=-1 if self.journal is None else len(self.journal) - 1,
        )
        data = pack(package, key)
        if self.journal is not None:
            about = {"authority": package.issuer, "recipient": package.recipient, "package": package.name}
            self.journal.append("package", time_us, {**about, "sha256": hashlib.sha256(data).hexdigest()})
        return data

    @classmethod
    def accept(
        cls,
        data: bytes,
        operation: Operation,
        *,
        trusted: "Mapping[str, Ed25519PublicKey]",
        time_us: int,
        name: str,
        seen: Container[str] = (),
        journal: Journal | None = None,
        decisions: Sequence[Decision] = (),
    ) -> Self:
        """Go on in the host's centre from a package: the same track, without a jump.

        Parameters
        ----------
        data : bytes
            What came.
        operation : Operation
            The host's own, at its beginning.
        trusted : mapping of str to Ed25519PublicKey
            Keys of the authorities from which packages are accepted.
        time_us : int
            Now. [us, UTC]
        name : str
            Name of the operation.
        seen : container of str, optional
            Names of packages accepted before.
        journal, decisions
            As in the constructor.

        Returns
        -------
        Following
            The host's, with the target in its custody.

        Raises
        ------
        FormatError, NotAuthorisedError
            As `dronetrack.handover.unpack`, or if the host's own rules permit no such hand-over.
        """
        from dronetrack.handover.signing import unpack

        package = unpack(
            data, trusted=trusted, operation=name, recipient=operation.mandate.host, time_us=time_us, seen=seen
        )
        following = cls(operation, Tracker.continued(package.belief), journal=journal, decisions=decisions)
        following.take_over(package.crossing, package.issued_us, time_us)
        return following

    def take_over(self, crossing: Crossing | None, issued_us: int, time_us: int) -> None:
        """Bring the custody of a track that goes on here to where it is: across, offered by home, accepted by the host.

        Parameters
        ----------
        crossing : Crossing or None
            Its crossing, where the package told one.
        issued_us, time_us : int
            When it was offered, and accepted. [us, UTC]
        """
        now = self.tracker.now()
        mandate = self.operation.mandate
        self._crossing = crossing
        self._newest_us = self._looked_us = int(now.time_us[-1])
        self.watch.update(now)
        if self.journal is not None:
            # Where it crossed is personal: a purge takes it away.
            where = b"" if crossing is None else json.dumps(_plain_crossing(crossing)).encode()
            self.journal.append(
                "accepted", time_us, {"authority": mandate.host, "issued_us": issued_us}, personal=where
            )
        self._record(self.operation.update(now, () if crossing is None else (crossing,)))
        self._record(self.operation.act("offer", max(issued_us, self.operation.changed_us), mandate.home))
        self._record(self.operation.act("accept", time_us, mandate.host))
        self._taken = self._taken_of_host()

    def _name(self) -> str:
        named = self.journal.operation if self.journal is not None else ""
        return named or self.operation.mandate.purpose or "operation"

    def _contributions(self) -> list[Contribution]:
        sensors = self.tracker.stats["sensors"]
        return [Contribution(name, self._authorities.get(name, ""), one["accepted"]) for name, one in sensors.items()]

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
            crossings = self.watch.update(now)
            self._crossing = next(reversed(list(crossings)), self._crossing)
            events = self.operation.update(now, crossings, heard=self._heard())
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
        host = self.operation.mandate.host
        return sum(one.n_rows for one in self._contributions() if one.authority == host)

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


def _plain_crossing(crossing: Crossing) -> dict[str, Any]:
    """Return a crossing as JSON can hold it: times in microseconds."""
    plain = {one.name: getattr(crossing, one.name) for one in fields(crossing)}
    for name in ("time", "known"):
        plain[name] = int(plain[name].astype(np.int64))
    return plain | {"time_95": [int(edge.astype(np.int64)) for edge in crossing.time_95]}


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
    about = {"home": border.home, "host": border.host, "sha256": border_digest(border), "belief": belief}
    return {"mandate": operation.mandate.to_plain(), "border": about}


def border_digest(border: Border) -> str:
    """Return what tells one line from another, hexadecimal."""
    line = np.concatenate([border.line_lon_deg, border.line_lat_deg, [border.line_std_m]])
    return hashlib.sha256(line.tobytes()).hexdigest()
