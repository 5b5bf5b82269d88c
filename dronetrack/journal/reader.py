"""What does a journal tell, and to whom? Records for a role; every read leaves a record of its own."""

import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dronetrack.errors import FormatError, InputError, NotAuthorisedError
from dronetrack.journal import tables
from dronetrack.journal.place import open_for_reading
from dronetrack.journal.records import CUT_SHORT, PURGED, STEPPED_BACK, Found, access_log_of, as_written, scan
from dronetrack.journal.roles import Request, log_access, refusal
from dronetrack.journal.tip import acknowledged_behind, tip_of
from dronetrack.measurements import Measurements, Sensor
from dronetrack.tracks import Track


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One record of a journal, as far as the reader may see it.

    Parameters
    ----------
    sequence : int
        Its number; the order in which things were recorded.
    time_us : int
        When, as the data say. [us, UTC]
    kind : str
        What it is.
    facts : dict
        What it says; facts about places only where the personal part is here.
    personal : bytes
        Payload of the personal part.
    digest : str
        Its digest in the chain, hexadecimal.
    purged : bool
        Whether the personal part was removed.
    withheld : bool
        Whether the personal part is not for this reader.
    stepped_back : bool
        Whether the clock had been further before.
    sensors : tuple of Sensor
        The sensors of a record of measurements.
    """

    sequence: int
    time_us: int
    kind: str
    facts: dict[str, Any]
    personal: bytes
    digest: str
    purged: bool = False
    withheld: bool = False
    stepped_back: bool = False
    sensors: tuple[Sensor, ...] = field(default=(), repr=False)

    def measurements(self) -> Measurements:
        """Return the rows of a record ``measurements``, bit for bit.

        Raises
        ------
        InputError
            If the record holds none, or they were purged.
        NotAuthorisedError
            If they are withheld.
        FormatError
            If they are damaged.
        """
        self._check_rows("measurements")
        with as_written():
            columns = tables.columns(memoryview(self.personal), tables.MEASUREMENTS, sum(self.facts["rows"]))
            return Measurements(**columns, sensors=self.sensors, stats=dict(self.facts.get("stats", {})))

    def track(self) -> Track:
        """Return the rows of a record ``track``, bit for bit.

        Raises
        ------
        InputError, NotAuthorisedError, FormatError
            As `measurements`.
        """
        self._check_rows("track")
        with as_written():
            columns: dict[str, Any] = tables.columns(memoryview(self.personal), tables.TRACK, self.facts["n"])
            return Track(**columns, track_id=self.facts["track_id"], stats=dict(self.facts.get("stats", {})))

    def _check_rows(self, kind: str) -> None:
        if self.kind != kind:
            raise InputError(f"record {self.sequence} is of kind {self.kind!r}; needed {kind!r}.")
        if self.purged:
            raise InputError(f"the rows of record {self.sequence} were purged; its facts remain.")
        if self.withheld:
            raise NotAuthorisedError(f"the rows of record {self.sequence} are withheld: read with a stated purpose.")


def read_journal(
    path: str | pathlib.Path,
    *,
    role: str,
    who: str,
    purpose: str,
    time_us: int,
    authority: str | None = None,
    recipient: str = "",
    kinds: Sequence[str] | None = None,
    personal: bool = True,
) -> Iterator[Record]:
    """Read a journal, within what a role may see, and leave a record of that.

    The read is logged in the journal's sidecar before the first record is given, and what was given when the reading
    ends (Directive (EU) 2016/680, Article 25). Every record is proved before it is given. A writer may be at work:
    what it has written so far is read.

    Parameters
    ----------
    path : str or Path
        The journal.
    role : {"operator", "supervisor", "auditor"}
        See `dronetrack.journal.roles.ROLES`. An operator sees their own authority's records of a running operation; a
        supervisor everything of an operation of their own authority; an auditor everything that stays, and personal
        parts when a purpose is stated.
    who : str
        Who reads.
    purpose : str
        Why.
    time_us : int
        Now, as the caller knows it. [us, UTC]
    authority : str, optional
        For which authority; the journal's own where not given.
    recipient : str, optional
        To whom the data go, if not to `who`.
    kinds : sequence of str, optional
        Which kinds of record are needed; all where not given.
    personal : bool, optional
        Whether personal parts are needed.

    Returns
    -------
    iterator of Record
        In order of sequence, one in memory at a time.

    Raises
    ------
    NotAuthorisedError
        If the role may not read this; the refusal is recorded.
    FormatError
        If it is no journal, the read cannot be logged, or, while reading, at a damaged record.
    """
    path = pathlib.Path(path)
    about = _about(path)
    mine = about.get("authority", "") if authority is None else authority
    wanted = None if kinds is None else tuple(kinds)
    request = Request(role, who, mine, purpose, recipient, time_us, wanted, personal)
    number = _admit(path, about, request)
    return _read(path, path, about, request, number)


def read_accesses(
    path: str | pathlib.Path, *, role: str, who: str, purpose: str, time_us: int, authority: str | None = None
) -> Iterator[Record]:
    """Read who has read a journal: kinds ``access``, ``refused`` and ``disclosed``; this read is logged as well.

    Parameters
    ----------
    path : str or Path
        The journal.
    role, who, purpose, time_us, authority
        As in `read_journal`.

    Returns
    -------
    iterator of Record
        In order, this read included.

    Raises
    ------
    NotAuthorisedError, FormatError
        As in `read_journal`.
    """
    path = pathlib.Path(path)
    about = _about(path)
    mine = about.get("authority", "") if authority is None else authority
    request = Request(role, who, mine, purpose, "", time_us, ("access", "refused", "disclosed"), True)
    number = _admit(path, about, request, accesses=True)
    return _read(access_log_of(path), path, about, request, number)


def _about(path: pathlib.Path) -> dict[str, Any]:
    """Return the facts of the first record."""
    with open_for_reading(path) as file:
        first = next(scan(file, os.fstat(file.fileno()).st_size), None)
    if first is None:
        raise FormatError(f"{path}: the journal has no first record.")
    return first.kept_facts()


def _admit(path: pathlib.Path, about: Mapping[str, Any], request: Request, *, accesses: bool = False) -> int:
    """Log a request, and raise if it is refused."""
    closed = request.role == "operator" and tip_of(path).closed
    reason = refusal(request, about, closed=closed, accesses=accesses)
    facts = {**request.as_facts(), "of": "accesses" if accesses else "journal"}
    if reason:
        log_access(path, about, "refused", request.time_us, {**facts, "reason": reason})
        raise NotAuthorisedError(f"{path.name}: not read, because {reason}. The refusal is recorded.")
    return log_access(path, about, "access", request.time_us, facts)


def _read(
    file_path: pathlib.Path, path: pathlib.Path, about: Mapping[str, Any], request: Request, number: int
) -> Iterator[Record]:
    given, last = 0, None
    known: dict[int, tuple[Sensor, ...]] = {}
    try:
        for found in _proved(file_path):
            with as_written(found.offset):
                record = _visible(found, _sensors_of(found, known), about, request)
            last = found.header
            if record is not None:
                given += 1
                yield record
    finally:
        facts: dict[str, Any] = {"access": number, "records": given}
        if last is not None and file_path == path:
            facts |= {"up_to": last.sequence, "digest": last.digest.hex()}
        log_access(path, about, "disclosed", request.time_us, facts)


def _proved(path: pathlib.Path) -> Iterator[Found]:
    """Yield the records; stop at a torn tail, raise where records follow."""
    number = 0
    with open_for_reading(path) as file:
        stop = os.fstat(file.fileno()).st_size
        try:
            for found in scan(file, stop):
                yield found
                number = found.header.sequence + 1
        except FormatError as fault:
            at = fault.offset or 0
            if not str(fault).startswith(CUT_SHORT) and acknowledged_behind(file.fileno(), at, stop) >= 0:
                raise FormatError(f"{path}: record {number} is damaged: {fault}", offset=at) from fault


def _sensors_of(found: Found, known: dict[int, tuple[Sensor, ...]]) -> tuple[Sensor, ...]:
    """Return the sensors that a record of measurements speaks of; take note of a record of sensors."""
    name = found.header.name
    if name == "sensors":
        known[found.header.sequence] = tables.sensors_from_facts(found.kept_facts())
    if name != "measurements":
        return ()
    number = found.kept_facts().get("sensors")
    return known.get(number, ()) if isinstance(number, int) else ()


def _visible(found: Found, sensors: tuple[Sensor, ...], about: Mapping[str, Any], request: Request) -> Record | None:
    """Return a record as the reader may see it, or None."""
    header, rule = found.header, request.rule
    kind = header.name
    if kind in rule.hidden or (request.kinds is not None and kind not in request.kinds):
        return None
    facts = found.kept_facts()
    purged = header.mark == PURGED
    withheld = header.personal_size > 0 and not request.shows_personal
    show = not (withheld or purged)
    record = Record(
        header.sequence,
        header.time_us,
        kind,
        {**facts, **found.personal_facts()} if show else facts,
        bytes(found.payload()) if show else b"",
        header.digest.hex(),
        purged,
        withheld and not purged,
        bool(header.flags & STEPPED_BACK),
        sensors,
    )
    return _own_part(record, about, request.authority) if rule.own_records else record


def _own_part(record: Record, about: Mapping[str, Any], authority: str) -> Record | None:
    """Return what of a record belongs to one authority: the record, some of its rows, or nothing."""
    if record.kind == "sensors":
        mine = [one for one in record.facts["sensors"] if one["authority"] == authority]
        return replace(record, facts={"sensors": mine}) if mine else None
    if record.kind != "measurements":
        whose = record.facts.get("authority", about.get("authority"))
        return record if whose == authority else None
    own = np.array([sensor.authority == authority for sensor in record.sensors], dtype=bool)
    rows = [count if mine else 0 for count, mine in zip(record.facts["rows"], own, strict=True)]
    if not any(rows):
        return None
    names = tuple(
        sensor if mine else Sensor(f"withheld {k}")
        for k, (sensor, mine) in enumerate(zip(record.sensors, own, strict=True))
    )
    facts = {name: value for name, value in record.facts.items() if name != "stats"} | {"rows": rows}
    if record.personal:
        z = record.measurements()
        z = z.take(own[z.sensor_id])
        facts["start_us"] = int(z.time_us[0])
        personal = b"".join(tables.pieces(z, tables.MEASUREMENTS, slice(0, len(z))))
        return replace(record, facts=facts, personal=personal, sensors=names, time_us=int(z.time_us[-1]))
    return replace(record, facts=facts, sensors=names)
