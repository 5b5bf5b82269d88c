"""How does a journal become a story? Every record is read once, by somebody with a role and a purpose."""

import pathlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.handover import ACTS, replay
from dronetrack.handover.custody import HOLDER
from dronetrack.journal import Record, Verification, read_accesses, read_journal, verify_journal
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, TICK, Measurements
from dronetrack.report.story import (
    Access,
    Basis,
    Disclosure,
    Duty,
    Gap,
    Grant,
    Moment,
    Party,
    Passage,
    Refusal,
    Removal,
    Seal,
    Source,
    Stint,
    Story,
    zone_of,
)
from dronetrack.tracks import COASTING, CONFIRMED, Track

Facts = Mapping[str, Any]

# A stretch without a sighting is told from this length on, and from so many times the usual step between sightings.
UNSEEN_US, UNSEEN_STEPS = 1_000_000, 3.0
_TWO_SIDED = 2.0 * 1.959964  # standard deviations in a 95 % interval
_COMPONENTS = {LINE_OF_SIGHT: 2, POSITION: 3, HEIGHT: 1}


def read_story(
    path: str | pathlib.Path, *, who: str, role: str, purpose: str, time_us: int, told_us: int | None = None
) -> Story:
    """Read a journal and its log of accesses into a story. Both readings are logged, as every reading is.

    Parameters
    ----------
    path : str or Path
        The journal.
    who : str
        Who makes the report.
    role : {"supervisor", "auditor"}
        As what; an operator sees their own authority's part alone, and cannot report on an operation.
    purpose : str
        What for.
    time_us : int
        When it is read, for the log. [us, UTC]
    told_us : int, optional
        Time of the report; by default that of the journal's last record. [us, UTC]

    Returns
    -------
    Story
        The same journal gives the same story.

    Raises
    ------
    NotAuthorisedError
        If the role may not read this; the refusal is recorded.
    InputError
        If the role is another, or the journal tells of no operation.
    FormatError
        If it is no journal. Of a damaged one the story tells what stands before the first bad record, and its seal
        says so.
    """
    if role not in ("supervisor", "auditor"):
        raise InputError(f"a report is made by a supervisor or an auditor; got {role!r}.")
    reader = {"who": who, "role": role, "purpose": purpose, "time_us": time_us}
    proof = verify_journal(path)
    accesses = _accesses(list(read_accesses(path, **reader)))
    accesses.remove(Access(time_us, who, role, purpose, "accesses"))  # this very reading
    told = _Told()
    try:
        for record in read_journal(path, **reader):
            told.hear(record)
    except FormatError:
        if proof.ok:
            raise
        told.damaged = True
        # The page says so at its head, and tells what stands before the first bad record.
    return told.story(Access(time_us, who, role, purpose), accesses, proof, told_us)


@dataclass(slots=True)
class _Told:
    """What the records told so far."""

    about: Facts = field(default_factory=dict)
    mandate: Facts = field(default_factory=dict)
    last_us: int = 0
    damaged: bool = False
    n_purged: int = 0
    span_us: list[int] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    acts: set[tuple[str, int]] = field(default_factory=set)
    rows: list["_Rows"] = field(default_factory=list)
    replayable: list[Record] = field(default_factory=list)
    sources: dict[str, "_Heard"] = field(default_factory=dict)
    refusals: dict[tuple[str, str, str], Refusal] = field(default_factory=dict)
    looks: list[Access] = field(default_factory=list)
    disclosures: list[Disclosure] = field(default_factory=list)

    def hear(self, record: Record) -> None:
        """Take one record in."""
        self.last_us = max(self.last_us, record.time_us)
        self.n_purged += record.purged
        if self.tracks:
            self.replayable.clear()  # nothing has to be gone through again
        else:
            self.replayable.append(record)
        if record.kind == "opened":
            self.about = record.facts
        elif record.kind == "operation":
            self.mandate = record.facts["mandate"]
            self.grants += [_grant(one) for one in self.mandate["authorisations"]]
        elif record.kind == "measurements":
            self._hear_measurements(record)
        elif record.kind == "track" and not record.purged:
            self.tracks.append(record.track())
        elif record.kind == "act":
            self.acts.add((record.facts["kind"], record.time_us))
        elif record.kind == "refused":
            self._hear_refused(record)
        elif record.kind == "package":
            whose = (record.facts[key] for key in ("authority", "recipient", "package", "sha256"))
            self.disclosures.append(Disclosure(record.time_us, *whose))
        elif record.kind == "event":
            self._hear_event(record)

    def _tracks_again(self) -> list[Track]:
        """Return the track that the recorded measurements and decisions give, where none was recorded."""
        if self.n_purged or self.damaged or not self.mandate:
            return []
        try:
            return [part for part in replay(self.replayable).track if len(part)]
        except FormatError:  # made with a border line that does not ship
            return []

    def _hear_measurements(self, record: Record) -> None:
        self.span_us += [record.facts["start_us"], record.time_us]
        heard = [
            self.sources.setdefault(one.name, _Heard(one.name, one.authority, len(self.sources)))
            for one in record.sensors
        ]
        for one, count in zip(heard, record.facts["rows"], strict=True):
            if count:
                one.add(count, record.facts["start_us"], record.time_us)
        if not record.purged:
            numbers = np.array([one.number for one in heard], dtype=np.int32)
            self.rows.append(_Rows.of(record.measurements(), numbers))

    def _hear_refused(self, record: Record) -> None:
        start, stop = record.facts["from_us"], record.time_us
        self.span_us += [start, stop]
        for one in record.facts["refused"]:
            key = one["sensor"], one["rule"], one["article"]
            before = self.refusals.get(key)
            rows = one["rows"] + (before.rows if before else 0)
            first = before.first_us if before else start
            self.refusals[key] = Refusal(
                one["sensor"], one["authority"], one["article"], one["rule"], rows, first, stop
            )

    def _hear_event(self, record: Record) -> None:
        facts = record.facts
        self.events.append(record)
        if facts["kind"] == "act_authorise":
            self.grants.append(_grant(facts["authorisation"]))
        elif facts["kind"] == "consulted":
            self.looks.append(
                Access(record.time_us, facts["authority"], "authority", facts.get("purpose", ""), "track")
            )
        elif facts["kind"].startswith("handover_"):
            self.span_us.append(record.time_us)

    def story(self, told_by: Access, accesses: list[Access], proof: Verification, told_us: int | None) -> Story:
        """Put together what was told."""
        if not self.span_us:
            raise InputError("the journal tells of no operation: it holds neither measurements nor changes of custody.")
        begin_us, end_us = min(self.span_us), max(self.span_us)
        home = self.mandate.get("home", self.about.get("authority", ""))
        host = self.mandate.get("host", "")
        stints = _stints(self.events, self.mandate, begin_us, end_us)
        track, rows = _joined(self.tracks or self._tracks_again()), _Rows.joined(self.rows)
        heard = sorted((one for one in self.sources.values() if one.n_rows), key=lambda one: one.name)
        looks = sorted([*self.looks, *accesses], key=lambda one: one.time_us)
        return Story(
            operation=self.about.get("operation", ""),
            purpose=self.about.get("purpose", ""),
            home=home,
            host=host,
            parties=_parties(self.mandate, home, host, heard),
            basis=_basis(self.mandate, self.grants),
            begin_us=begin_us,
            end_us=end_us,
            told_us=self.last_us if told_us is None else told_us,
            track=track,
            seal=_seal(proof, self.n_purged),
            told_by=told_by,
            stints=stints,
            passages=_passages(self.events, self.mandate, track),
            moments=tuple(_moments(self.events, self.acts)),
            duties=_duties(self.events, self.acts, self.last_us),
            gaps=tuple(_gaps(track, stints)),
            sources=tuple(one.source(rows) for one in heard),
            refusals=tuple(self.refusals.values()),
            accesses=tuple(looks),
            disclosures=tuple(self.disclosures),
            removals=tuple(
                Removal(one["before_us"], one["who"], one["authority"], one["reason"], one["records"])
                for one in proof.purges
            ),
            components=_components(track, rows),
        )


@dataclass(slots=True)
class _Heard:
    """What one sensor said so far: how many rows, from when until when."""

    name: str
    authority: str
    number: int
    n_rows: int = 0
    first_us: int = np.iinfo(np.int64).max
    last_us: int = np.iinfo(np.int64).min

    def add(self, count: int, start_us: int, stop_us: int) -> None:
        """Count rows."""
        self.n_rows += count
        self.first_us, self.last_us = min(self.first_us, start_us), max(self.last_us, stop_us)

    def source(self, rows: "_Rows") -> Source:
        """Return what the report says of it."""
        mine = rows.sensor == self.number
        time_us, kinds, place = rows.time_us[mine], rows.kind[mine], rows.place_ecef_m[mine]
        kind = "drone" if LINE_OF_SIGHT in kinds else "height" if HEIGHT in kinds else "unit"
        if kind == "unit" and not self.name.endswith(" contact"):
            kind = "place"
        if kind in ("place", "height"):
            place = np.full_like(place, np.nan)
        lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(place)
        first_us, last_us = (int(time_us[0]), int(time_us[-1])) if len(time_us) else (self.first_us, self.last_us)
        about = (self.name, self.authority, kind, self.n_rows, first_us, last_us)
        return Source(*about, time_us=time_us, lat_deg=lat_deg, lon_deg=lon_deg)


class _Rows(NamedTuple):
    """Of every measurement: when, what kind, which sensor, if that starts tracks, where it stood or what it told."""

    time_us: NDArray[np.int64]
    kind: NDArray[np.int8]
    sensor: NDArray[np.int32]
    starts: NDArray[np.bool_]
    place_ecef_m: NDArray[np.float64]

    @classmethod
    def of(cls, z: Measurements, numbers: NDArray[np.int32]) -> Self:
        """Take the rows of one record; `numbers` are those of its sensors in the whole journal."""
        sighted = (z.kind == LINE_OF_SIGHT)[:, None]
        starts = np.array([one.starts_tracks for one in z.sensors])[z.sensor_id]
        return cls(z.time_us, z.kind, numbers[z.sensor_id], starts, np.where(sighted, z.site_ecef_m, z.z))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Lay parts end to end."""
        none = cls(
            np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0, np.int32), np.zeros(0, np.bool_), np.zeros((0, 3))
        )
        return cls._make(np.concatenate(columns) for columns in zip(none, *parts, strict=True))


def _joined(tracks: Sequence[Track]) -> Track:
    """Return the rows of one track from the pieces in which they were recorded; without rows if there are none."""
    if not tracks:
        columns = (np.zeros(0, np.int8), np.zeros((0, 6)), np.zeros((0, 6, 6)), np.zeros(0), np.zeros(0, np.int16))
        return Track(np.zeros(0, np.int64), 0, *columns)
    time_us, status, state, cov, nis, n_sensors = (
        np.concatenate([getattr(one, name) for one in tracks])
        for name in ("time_us", "status", "state", "cov", "nis", "n_sensors")
    )
    return Track(time_us, tracks[0].track_id, status, state, cov, nis, n_sensors)


def _parties(mandate: Facts, home: str, host: str, heard: Iterable[_Heard]) -> tuple[Party, ...]:
    known = {one["id"]: one for one in mandate.get("authorities", ())}
    others = {one.authority for one in heard if one.authority}
    ids = dict.fromkeys(one for one in (home, host, *known, *sorted(others)) if one)
    parties = []
    for one in ids:
        country = known.get(one, {}).get("country", one)
        role = "home" if one == home else "host" if one == host else "other"
        parties.append(Party(one, known.get(one, {}).get("name", ""), country, role, zone_of(country)))
    return tuple(parties)


def _basis(mandate: Facts, grants: Sequence[Grant]) -> Basis:
    rules = mandate.get("rules", {})
    said = tuple((one["article"], one["name"], one["text"]) for one in rules.get("rules", ()))
    title = rules.get("title", "")
    return Basis(
        rules.get("name", ""), title, said, tuple(grants), mandate.get("basis", ""), mandate.get("offence", "")
    )


def _grant(plain: Facts) -> Grant:
    issued_us, from_us, until_us = (plain[key] for key in ("issued_us", "valid_from_us", "valid_until_us"))
    return Grant(plain["issuer"], plain["recipient"], issued_us, from_us, until_us, tuple(plain["conditions"]))


def _changes(events: Sequence[Record]) -> list[tuple[Record, str]]:
    """Return the events that changed custody, with the state to which each led."""
    prefix = "handover_"
    return [(one, one.facts["kind"].removeprefix(prefix)) for one in events if one.facts["kind"].startswith(prefix)]


def _stints(events: Sequence[Record], mandate: Facts, begin_us: int, end_us: int) -> tuple[Stint, ...]:
    """Return the states of custody; the first is home's own, by its own law."""
    if not mandate:
        return ()
    own = next((one["article"] for one in mandate["rules"]["rules"] if one["name"] == "own_territory"), "")
    holder = mandate["home"]
    found = [(begin_us, "home", holder, mandate["home"], own, "opened")]
    for record, state in _changes(events):
        if state != "lost":
            holder = mandate.get(HOLDER.get(state, ""), "")
        facts = record.facts
        found.append((record.time_us, state, holder, facts["authority"], facts["article"], facts["cause"]))
    ends = [*(one[0] for one in found[1:]), max(end_us, found[-1][0])]
    told = [Stint(start, stop, *rest) for (start, *rest), stop in zip(found, ends, strict=True)]
    return tuple(one for one in told if one.end_us > one.start_us or one is told[-1])


def _passages(events: Sequence[Record], mandate: Facts, track: Track) -> tuple[Passage, ...]:
    country = {one["id"]: one["country"] for one in mandate.get("authorities", ())}
    sides = [country.get(mandate.get(role, ""), "") for role in ("home", "host")]
    passages = []
    for record in events:
        facts = record.facts
        if "crossed_us" not in facts:
            continue
        leaving, entering = reversed(sides) if facts["cause"] == "crossed_back" else sides
        spread_s = (facts["crossed_late_us"] - facts["crossed_early_us"]) * 1e-6 / _TWO_SIDED
        where = _where(track, facts["crossed_us"])
        place = facts.get("place", "")
        passages.append(Passage(facts["crossed_us"], spread_s, leaving, entering, *where, facts["probability"], place))
    return tuple(passages)


def _where(track: Track, time_us: int) -> tuple[float, float]:
    if not len(track) or not track.time_us[0] <= time_us <= track.time_us[-1]:
        return np.nan, np.nan
    there = track.at([time_us])
    return float(there.lat_deg[0]), float(there.lon_deg[0])


def _moments(events: Sequence[Record], acts: Container[tuple[str, int]]) -> Iterable[Moment]:
    """Yield acts, refusals and conclusions; that a duty begins stands among the duties."""
    for record in events:
        facts = record.facts
        kind, cause = facts["kind"], facts["cause"]
        head = record.sequence, record.time_us
        whose = facts["authority"], facts["article"]
        note = str(facts.get("note", ""))
        if kind.startswith("handover_"):
            state = kind.removeprefix("handover_")
            if cause in ACTS:
                yield Moment(*head, "act", cause, *whose, state=state, words=note)
            else:
                yield Moment(*head, "event", "custody", *whose, state=state, about=cause)
        elif kind == "act_refused":
            yield Moment(*head, "refused", cause, *whose, about=facts.get("rule", ""), words=note)
        elif kind.startswith("act_"):
            yield Moment(*head, "act", kind.removeprefix("act_"), *whose, words=note)
        elif (kind.removesuffix("_done"), record.time_us) in acts:
            yield Moment(*head, "act", kind.removesuffix("_done"), *whose, words=note)
        elif kind.endswith("_missed"):
            yield Moment(*head, "event", "missed", *whose, about=kind.removesuffix("_missed"))
        elif kind == "deadline_changed":
            yield Moment(*head, "event", kind, *whose)


def _duties(events: Sequence[Record], acts: Iterable[tuple[str, int]], last_us: int) -> tuple[Duty, ...]:
    """Return what was owed; a duty that is done is the oldest of its kind that was still owed.

    A request from before the crossing does it, too: then it was done when it was made.
    """
    owed: list[dict[str, Any]] = []
    for record in events:
        what, _, step = record.facts["kind"].rpartition("_")
        facts = record.facts
        if step == "owed":
            whose = {"authority": facts["authority"], "article": facts["article"]}
            times = {"owed_us": facts["since_us"], "due_us": facts["due_us"], "done_us": None}
            owed.append({"what": what, **whose, **times, "policy": facts["policy"], "end_us": last_us})
        elif step == "done":
            open_one = next((one for one in owed if one["what"] == what and one["done_us"] is None), None)
            if open_one is not None:
                open_one["done_us"] = max(
                    (at for kind, at in acts if kind == what and at <= record.time_us), default=record.time_us
                )
    return tuple(Duty(**one) for one in owed)


def _gaps(track: Track, stints: Sequence[Stint]) -> Iterable[Gap]:
    """Yield the stretches in which nobody saw the target, much longer than from one sighting to the next otherwise."""
    seen = np.flatnonzero(np.isfinite(track.nis) | (track.status == CONFIRMED))
    step_us = np.diff(track.time_us[seen])
    usual_us = float(np.median(step_us)) if len(step_us) else 0.0
    for number in np.flatnonzero(step_us > max(UNSEEN_US, UNSEEN_STEPS * usual_us)).tolist():
        start, stop = seen[number], seen[number + 1]
        begin, end = int(track.time_us[start]), int(track.time_us[stop])
        kind = "coasting" if np.any(track.status[start + 1 : stop] == COASTING) else "silent"
        yield Gap(begin, end, kind, next((one.holder for one in reversed(stints) if one.start_us <= begin), ""))


def _components(track: Track, rows: _Rows) -> NDArray[np.int8]:
    """Return how many numbers the one measurement at the time of each row had; 0 where there was none, or several.

    Only sensors that may start a track count: theirs is the innovation that a row of a track tells.
    """
    real = rows.starts & (rows.kind != TICK)
    if not real.any():
        return np.zeros(len(track), dtype=np.int8)
    times, at, counts = np.unique(rows.time_us[real], return_index=True, return_counts=True)
    sizes = np.array([_COMPONENTS.get(kind, 0) for kind in range(max(_COMPONENTS) + 1)], dtype=np.int8)
    single = np.where(counts == 1, sizes[rows.kind[real][at]], 0).astype(np.int8)
    place = np.minimum(np.searchsorted(times, track.time_us), len(times) - 1)
    return np.where(times[place] == track.time_us, single[place], 0).astype(np.int8)


def _accesses(records: Sequence[Record]) -> list[Access]:
    """Return who read, and who was refused; what was given stands beside it in the log itself."""
    told = []
    for record in records:
        facts = record.facts
        if record.kind in ("access", "refused"):
            role = f"{facts['role']}_refused" if record.kind == "refused" else facts["role"]
            told.append(Access(record.time_us, facts["who"], role, facts["purpose"], facts["of"]))
    return told


def _seal(proof: Verification, purged: int) -> Seal:
    figures = proof.n_records, proof.digest, proof.first_bad
    return Seal(proof.ok, *figures, closed=proof.closed, purged=purged, repairs=len(proof.repairs))
