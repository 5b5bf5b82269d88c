"""Is this journal what was written? Proof of every record, or the name of the first bad one."""

import itertools
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from dronetrack.errors import FormatError
from dronetrack.journal.place import is_being_written, open_for_reading
from dronetrack.journal.records import (
    CUT_SHORT,
    PURGED,
    Found,
    access_log_of,
    as_written,
    kind_code,
    scan,
    seal_message,
)
from dronetrack.journal.retention import Gone

Check = Callable[[bytes, bytes], object]
_OPENED, _PURGE = kind_code("opened"), kind_code("purge")
_TELLING = frozenset(map(kind_code, ("purge", "repair", "disclosed", "closed")))


@dataclass(frozen=True, slots=True)
class Verification:
    """What is proved of a journal.

    Parameters
    ----------
    ok : bool
        Whether every byte belongs to a record that proved itself, here and in the log of accesses.
    n_records, n_bytes : int
        Good records from the start, and their bytes.
    digest : str
        Of the last good record, hexadecimal.
    first_bad : int or None
        Number of the first record that did not prove itself.
    offset : int or None
        Where it starts in the file.
    reason : str
        What is wrong, or what limits the proof.
    closed : bool
        Whether a record ``closed`` says that nothing is missing at the end.
    sealed : bool
        Whether its signature was checked and holds.
    being_written : bool
        Whether a writer is at work; an unfinished record at the end is then no fault.
    purges, repairs : tuple of dict
        Facts of the purges (what, when, by whom, under which authority) and repairs.
    accesses : Verification or None
        The log of accesses; None where there is none.
    """

    ok: bool
    n_records: int
    n_bytes: int
    digest: str
    first_bad: int | None = None
    offset: int | None = None
    reason: str = ""
    closed: bool = False
    sealed: bool = False
    being_written: bool = False
    purges: tuple[dict[str, Any], ...] = ()
    repairs: tuple[dict[str, Any], ...] = ()
    accesses: "Verification | None" = None


def verify_journal(path: str | pathlib.Path, *, digest: str = "", check: Check | None = None) -> Verification:
    """Prove a journal and its log of accesses, or name the first bad record.

    Changed, exchanged, missing, doubled and inserted bytes or records are found wherever a good record follows, and
    so is every change to the last record itself. Whole records taken from the *end* are found if the journal is
    closed and its seal is checked, if a digest that was noted elsewhere is given, or if the log of accesses knows of
    them; without any of these they cannot be. Someone who can write the whole file anew can write another that proves
    itself: against that stand the seal and the digest kept elsewhere, not the chain.

    Parameters
    ----------
    path : str or Path
        The journal; nothing is changed and nothing of its content given, so this is not logged as a read.
    digest : str, optional
        A digest noted earlier (`Journal.digest`); it must lie on the chain.
    check : callable, optional
        Checks the seal, given signature and message: ``Ed25519PublicKey.verify`` of `cryptography`, or anything that
        raises or returns False. Given a check, a journal without seal is not ok.

    Returns
    -------
    Verification
        What is proved.

    Raises
    ------
    FormatError
        If the file cannot be read at all.
    """
    path = pathlib.Path(path)
    log = access_log_of(path)
    accesses = _Proof(log, of_log=True).walk() if log.exists() else None
    known = {} if accesses is None else accesses.disclosed
    proof = _Proof(path, known=known, digest=digest.lower(), check=check).walk()
    needed = (proof.closing or {}).get("accesses")
    if needed and accesses is None:
        proof.fault(None, f"the log of accesses is missing ({log.name}); the journal's end knows it.")
    elif needed and accesses is not None and needed not in accesses.states:
        accesses.fault(None, "the journal's end knows another log of accesses: entries were taken away, or changed.")
    return proof.result(None if accesses is None else accesses.result(None))


@dataclass(slots=True)
class _Proof:
    """What is found on the way through one file."""

    path: pathlib.Path
    of_log: bool = False
    known: dict[int, str] = field(default_factory=dict)  # digests that the log of accesses knows, by number
    digest: str = ""  # one that must lie on the chain
    check: Check | None = None
    states: list[dict[str, Any]] = field(default_factory=list)  # number and digest after each record, of a log
    reason: str = ""
    first_bad: int | None = None
    offset: int | None = None
    last: Found | None = None
    closing: dict[str, Any] | None = None
    sealed: bool = False
    being_written: bool = False
    digest_seen: bool = False
    gone: Gone = field(default_factory=Gone)
    gone_said: list[list[int]] = field(default_factory=list)
    purges: list[dict[str, Any]] = field(default_factory=list)
    repairs: list[dict[str, Any]] = field(default_factory=list)
    disclosed: dict[int, str] = field(default_factory=dict)

    def walk(self) -> Self:
        """Go over every record to the end, or to the first bad one."""
        try:
            with open_for_reading(self.path) as file:
                for found in scan(file, os.fstat(file.fileno()).st_size):
                    self._see(found)
                    if self.reason:
                        self.offset = found.offset
                        return self
                    self.last = found
        except FormatError as fault:
            if fault.offset is None:
                raise
            self.being_written = str(fault).startswith(CUT_SHORT) and is_being_written(self.path)
            if not self.being_written:
                self.fault(self._next(), str(fault), offset=fault.offset)
                return self
        self._see_the_whole()
        return self

    def _see(self, found: Found) -> None:
        header = found.header
        number, kind = header.sequence, header.kind
        if self.of_log:
            self.states.append({"n_records": number + 1, "digest": header.digest.hex()})
        if header.personal_size:
            self.gone.see(number, here=header.mark != PURGED)
        if number in self.known or self.digest:
            digest = header.digest.hex()
            self.digest_seen = self.digest_seen or digest == self.digest
            if self.known.get(number, digest) != digest:
                self.fault(number, "the log of accesses knows another record here: the journal was written anew.")
        if (number == 0) != (kind == _OPENED):
            self.fault(number, f"a journal begins with a record 'opened', once; this is {header.name!r}.")
        if self.closing is not None and kind != _PURGE:
            self.fault(number, f"a record {header.name!r} stands behind the end of the journal.")
        if kind in _TELLING:
            with as_written(found.offset):
                self._hear(number, header.name, found.kept_facts())

    def _hear(self, number: int, kind: str, facts: dict[str, Any]) -> None:
        if kind == "purge":
            self.gone_said = [[int(first), int(last)] for first, last in facts["gone"]]
            self.purges.append(facts)
        elif kind == "repair":
            self.repairs.append(facts)
        elif kind == "disclosed" and "digest" in facts:
            self.disclosed[int(facts["up_to"])] = str(facts["digest"])
        elif kind == "closed":
            self._hear_the_end(number, facts)

    def _hear_the_end(self, number: int, facts: dict[str, Any]) -> None:
        self.closing = facts
        if (
            facts.get("n_records") != number
            or self.last is None
            or facts.get("sealed") != self.last.header.digest.hex()
        ):
            self.fault(number, "the record 'closed' ends another journal than this.")
        if self.check is not None:
            self.sealed = _holds(self.check, facts)
            if not self.sealed:
                self.fault(number, "the seal is missing, or not of the expected key.")

    def _see_the_whole(self) -> None:
        """Judge what only the end can tell."""
        if self.last is None:
            self.fault(0, "the journal has no first record.")
        elif self.gone_said != self.gone.ranges:
            self.fault(
                _first_difference(self.gone_said, self.gone.ranges),
                "personal parts are missing that no purge removed, or are there although one did.",
            )
        elif self.known and max(self.known) >= self._next():
            self.fault(self._next(), "the log of accesses knows records behind the end: they were taken away.")
        elif self.digest and not self.digest_seen:
            self.fault(
                None, "the digest that was noted earlier is not on the chain: records were taken away, or changed."
            )
        elif self.check is not None and not self.sealed:
            self.fault(None, "the journal is not closed, so it has no seal to check.")

    def _next(self) -> int:
        return 0 if self.last is None else self.last.header.sequence + 1

    def fault(self, number: int | None, reason: str, *, offset: int | None = None) -> None:
        """Take note of what is wrong; the first fault counts."""
        if not self.reason:
            self.first_bad, self.reason, self.offset = number, reason, offset

    def result(self, accesses: "Verification | None") -> Verification:
        """Return what was found."""
        last = self.last
        log_ok = accesses is None or accesses.ok
        return Verification(
            ok=not self.reason and log_ok,
            n_records=self._next(),
            n_bytes=0 if last is None else last.end,
            digest="" if last is None else last.header.digest.hex(),
            first_bad=self.first_bad,
            offset=self.offset,
            reason=self.reason or ("" if log_ok else "the log of accesses does not prove itself."),
            closed=self.closing is not None,
            sealed=self.sealed,
            being_written=self.being_written,
            purges=tuple(self.purges),
            repairs=tuple(self.repairs),
            accesses=accesses,
        )


def _holds(check: Check, facts: dict[str, Any]) -> bool:
    try:
        return check(bytes.fromhex(facts["signature"]), seal_message(facts)) is not False
    except Exception:  # noqa: BLE001 - a check says no by raising whatever its library raises
        return False


def _first_difference(one: list[list[int]], other: list[list[int]]) -> int:
    """Return the first number that lies in ranges of the one and not of the other."""
    for a, b in itertools.zip_longest(one, other):
        if a != b:
            starts = {pair[0] for pair in (a, b) if pair}
            return min(starts) if a is None or b is None or len(starts) > 1 else min(a[1], b[1]) + 1
    return 0
