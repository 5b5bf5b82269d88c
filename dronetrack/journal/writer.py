"""How is a record added so that it cannot be lost, or changed unseen? The one writer of a journal."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from dronetrack.errors import FormatError, InputError
from dronetrack.journal import tables
from dronetrack.journal.disk import Disk
from dronetrack.journal.group import GROUP_BYTES, GROUP_US, Policy, Sync
from dronetrack.journal.place import keep_folder, open_for_writing, said
from dronetrack.journal.records import (
    GENESIS,
    PERSONAL_FACTS,
    PREAMBLE,
    STEPPED_BACK,
    VERSION,
    access_log_of,
    kept_part,
    kind_code,
    make_header,
    personal_part,
    seal_message,
)
from dronetrack.journal.tip import Tip, find_tip, tip_of
from dronetrack.measurements import Measurements, Sensor
from dronetrack.tracks import Track

REPAIR_BYTES = 16 << 20
OWN_KINDS = frozenset({"opened", "sensors", "measurements", "track", "repair", "released", "purge", "closed"})

_WHOLE = (int, np.integer)


class Journal:
    """The append-only record of one operation; made by `Journal.create` or `Journal.open`.

    What `commit` has returned is acknowledged: it survives the death of this process, and, unless ``sync="never"``,
    of the machine's power. Records that were appended and not committed may be lost, never half-kept.

    One thread of one process writes; others read with `read_journal` meanwhile.

    Attributes
    ----------
    path : Path
        The file.
    purpose, authority, operation : str
        As it was created.
    repaired : dict or None
        What `open` had to cut off behind the last record: where (`offset`), how much (`cut_bytes`), why (`reason`).
    """

    def __init__(self, path: pathlib.Path, handle: int, tip: Tip, policy: Policy) -> None:
        """Take over an open, locked file; users call `create` or `open`."""
        self.path = path
        self.repaired: dict[str, Any] | None = None
        self._about, self._mark = tip.about, policy.mark
        self._n_records = self._n_marked = tip.n_records
        self._before, self._last_us, self._latest_us = tip.digest, tip.last_us, tip.latest_us
        self._sensors: tuple[tuple[Sensor, ...], int] | None = None
        self._disk = Disk(path, handle, tip.end, tip.n_records, policy)

    @classmethod
    def create(
        cls,
        path: str | pathlib.Path,
        *,
        purpose: str,
        authority: str,
        operation: str = "",
        time_us: int = 0,
        sync: Sync = "commit",
        group_bytes: int = GROUP_BYTES,
        group_us: int = GROUP_US,
    ) -> Self:
        """Begin a journal; its first record says what for.

        Parameters
        ----------
        path : str or Path
            A file that is not there yet.
        purpose : str
            Why the data are processed (Directive (EU) 2016/680, Article 4).
        authority : str
            Whose journal it is.
        operation : str, optional
            Which operation it tells.
        time_us : int, optional
            When it begins; 0 where the data have not said so yet. [us, UTC]
        sync : {"commit", "interval", "never"}, optional
            When records go to the disk. A full group goes there behind the caller's back while the next one grows;
            `commit` waits for all. ``commit``: a group is full at `group_bytes`. ``interval``: also when its records
            span `group_us`, unless the disk is busy; then it grows on. ``never``: as ``interval``, but the system
            decides when bytes leave its memory: a killed process loses nothing acknowledged, a power cut may. There
            is no timer: what was appended last waits for the next `append` or `commit`.
        group_bytes, group_us : int, optional
            A group is full at so many bytes, or (except for ``commit``) when its records span so much time of
            the data. [us]

        Returns
        -------
        Journal
            Open for appending, its first record acknowledged.

        Raises
        ------
        InputError
            If purpose or authority is empty.
        FormatError
            If the file is there already, or cannot be made.

        Examples
        --------
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.journal"
        >>> with Journal.create(path, purpose="surveillance, file 12/2026", authority="HU") as journal:
        ...     journal.append("event", 1_700_000_000_000_000, {"kind": "approaching"})
        1
        """
        if not (purpose and authority):
            raise InputError("a journal states its purpose and its authority; neither may be empty.")
        path = pathlib.Path(path)
        about = {"version": VERSION, "purpose": purpose, "authority": authority, "operation": operation}
        policy = Policy(sync, group_bytes, group_us)
        policy.check()
        handle = open_for_writing(path, anew=True)
        try:
            return cls._begin(path, handle, about, time_us, policy)
        except BaseException:
            path.unlink(missing_ok=True)  # ours, and nothing in it was acknowledged
            raise

    @classmethod
    def open(
        cls,
        path: str | pathlib.Path,
        *,
        sync: Sync = "commit",
        group_bytes: int = GROUP_BYTES,
        group_us: int = GROUP_US,
    ) -> Self:
        """Continue a journal: prove every record, repair a torn tail, and say so in `repaired`.

        Parameters
        ----------
        path : str or Path
            A journal that is not closed.
        sync, group_bytes, group_us
            As in `create`.

        Returns
        -------
        Journal
            Open for appending.

        Raises
        ------
        FormatError
            If it is no journal, closed, damaged before its last acknowledged record, or another process writes it.
        """
        path, policy = pathlib.Path(path), Policy(sync, group_bytes, group_us)
        policy.check()
        return cls._continue(path, open_for_writing(path), policy, closed=False)

    @classmethod
    def _begin(cls, path: pathlib.Path, handle: int, about: dict[str, Any], time_us: int, policy: Policy) -> Self:
        journal = cls(path, handle, Tip(0, 0, GENESIS, time_us, time_us, about, closed=False), policy)
        journal._disk.group.begin(PREAMBLE)
        journal._append("opened", time_us, about, [])
        journal.commit()
        with said(path, "written"):
            keep_folder(path)
        return journal

    @classmethod
    def _continue(cls, path: pathlib.Path, handle: int, policy: Policy, *, closed: bool) -> Self:
        """Take over a locked file at its tip; `closed`: whether the journal may be."""
        try:
            tip, fault = find_tip(handle, path)
        except BaseException:
            os.close(handle)
            raise
        journal = cls(path, handle, tip, policy)
        if tip.closed and not closed:
            journal.release()
            raise FormatError(f"{path}: the journal is closed; a new operation begins a new one.")
        if fault is not None:
            journal._repair(fault)
        return journal

    @property
    def purpose(self) -> str:
        """Why the data are processed."""
        return self._about.get("purpose", "")

    @property
    def authority(self) -> str:
        """Whose journal it is."""
        return self._about.get("authority", "")

    @property
    def operation(self) -> str:
        """Which operation it tells."""
        return self._about.get("operation", "")

    @property
    def digest(self) -> str:
        """Digest of the last record, hexadecimal: whoever keeps it can prove everything up to here."""
        return self._before.hex()

    @property
    def acknowledged(self) -> int:
        """Sequence number up to which records are known to be on the disk, without waiting."""
        self._disk.take_note()
        return self._disk.n_safe - 1

    def __len__(self) -> int:
        """Count the records, acknowledged or not."""
        return self._n_records

    def append(self, kind: str, time_us: int, facts: Mapping[str, Any], *, personal: bytes = b"") -> int:
        """Add a record.

        Parameters
        ----------
        kind : str
            What it is: ``event``, ``act``, ``refused``, ...; lower-case letters and underscores.
        time_us : int
            When, as the data say; if it falls, the record is marked, and the order stays that of the sequence.
            [us, UTC]
        facts : mapping
            What JSON can say. Facts that stay for good, except those of `PERSONAL_FACTS` on the first level, which
            become part of the personal part.
        personal : bytes, optional
            More that a purge shall remove.

        Returns
        -------
        int
            The record's sequence number. Only `commit` acknowledges it.

        Raises
        ------
        InputError
            If the kind, the time or a fact cannot be written.
        FormatError
            If the journal is released, or a full group could not be written: then this record was not added, and
            none before it is lost.
        """
        if not isinstance(time_us, _WHOLE):
            raise InputError(f"time_us is a whole number of microseconds; got {time_us!r}.")
        if kind in OWN_KINDS:
            raise InputError(f"records of kind {kind!r} are the journal's own; choose another kind.")
        self._disk.make_room(time_us)
        if PERSONAL_FACTS.isdisjoint(facts):
            kept, private = facts, {}
        else:
            kept = {name: value for name, value in facts.items() if name not in PERSONAL_FACTS}
            private = {name: value for name, value in facts.items() if name in PERSONAL_FACTS}
        return self._append(kind, time_us, kept, personal_part([bytes(personal)] if personal else [], private))

    def append_measurements(self, z: Measurements) -> int:
        """Add rows with their sensors, every bit kept; each minute of rows in a record of its own.

        Parameters
        ----------
        z : Measurements
            The rows; none add nothing.

        Returns
        -------
        int
            Sequence number of the last record.

        Raises
        ------
        InputError, FormatError
            As `append`.
        """
        if not len(z):
            return self._n_records - 1
        first_us, stats = z.time_us.item(0), {"stats": z.stats} if z.stats else {}
        self._disk.make_room(first_us)
        known = self._sensor_record(z.sensors, first_us)
        for rows in tables.spans(z.time_us):
            start_us, last_us = z.time_us.item(rows.start), z.time_us.item(rows.stop - 1)
            facts = {"sensors": known, "rows": tables.rows_by_sensor(z, rows), "start_us": start_us}
            part = personal_part(tables.pieces(z, tables.MEASUREMENTS, rows), stats)
            self._append("measurements", last_us, facts, part)
            self._disk.pass_on()
            stats = {}
        return self._n_records - 1

    def append_track(self, track: Track, facts: Mapping[str, Any] | None = None) -> int:
        """Add rows of a track, every bit kept (its `origin` aside); each minute of rows in a record of its own.

        Parameters
        ----------
        track : Track
            The rows; none add nothing.
        facts : mapping, optional
            What else is to be said of them, such as whether they are final.

        Returns
        -------
        int
            Sequence number of the last record.

        Raises
        ------
        InputError, FormatError
            As `append`.
        """
        if not len(track):
            return self._n_records - 1
        stats = {"stats": track.stats} if track.stats else {}
        self._disk.make_room(track.time_us.item(0))
        for rows in tables.spans(track.time_us):
            start_us, last_us = track.time_us.item(rows.start), track.time_us.item(rows.stop - 1)
            own = {"track_id": track.track_id, "n": rows.stop - rows.start, "start_us": start_us}
            part = personal_part(tables.pieces(track, tables.TRACK, rows), stats)
            self._append("track", last_us, {**(facts or {}), **own}, part)
            self._disk.pass_on()
            stats = {}
        return self._n_records - 1

    def commit(self) -> int:
        """Put every record on the disk and acknowledge it.

        Returns
        -------
        int
            The last sequence number: everything up to it is safe.

        Raises
        ------
        FormatError
            If the disk is full or fails, or the file was taken away. Nothing is forgotten: after a full disk, `commit`
            again when there is room; of a file taken away a copy was written beside it, as the message says.
        """
        self._disk.commit()
        return self._n_records - 1

    def close(self, *, time_us: int | None = None, seal: Callable[[bytes], bytes] | None = None) -> int:
        """End the journal with a record that tells how many there are, commit, and let the file go.

        Parameters
        ----------
        time_us : int, optional
            When; the time of the last record where not given. [us, UTC]
        seal : callable, optional
            Signs bytes, such as ``Ed25519PrivateKey.sign`` of `cryptography`: who holds no key cannot write another
            journal in this one's place. `verify_journal` takes the matching check.

        Returns
        -------
        int
            Sequence number of the record ``closed``.

        Raises
        ------
        FormatError
            As `commit`.
        """
        self.commit()
        facts: dict[str, Any] = {"n_records": self._n_records, "sealed": self.digest}
        log = access_log_of(self.path)
        if log.exists():
            accesses = tip_of(log)
            facts["accesses"] = {"n_records": accesses.n_records, "digest": accesses.digest.hex()}
        if seal is not None:
            facts["signature"] = seal(seal_message(facts)).hex()
        self._append("closed", self._last_us if time_us is None else time_us, facts, [])
        self._n_marked = self._n_records
        self.release()
        return self._n_records - 1

    def release(self) -> None:
        """Commit and let the file go; the operation goes on, and `Journal.open` continues the journal.

        A record ``released`` says that all before it were on the disk. If they cannot be put there, the journal stays
        open, so that nothing is lost.

        Raises
        ------
        FormatError
            As `commit`.
        """
        if not self._disk.is_open:
            return
        if not self._disk.fault:
            self.commit()
            self._mark_released()
        self._disk.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _append(self, kind: str, time_us: int, facts: Mapping[str, Any], personal: list[Any]) -> int:
        self._disk.check_open()
        kept, number = kept_part(facts), self._n_records
        flags = STEPPED_BACK if time_us < self._latest_us and number else 0
        header, digest = make_header(
            self._before, number, time_us, self._disk.n_safe, kind_code(kind), kept, personal, flags=flags
        )
        self._disk.group.add([header, kept, *personal], time_us)
        self._before, self._n_records = digest, number + 1
        self._last_us, self._latest_us = time_us, max(time_us, self._latest_us)
        return number

    def _mark_released(self) -> None:
        if self._mark and self._n_records > self._n_marked:
            self._append("released", self._last_us, {"n_records": self._n_records}, [])
            self._n_marked = self._n_records
            self.commit()

    def _sensor_record(self, sensors: tuple[Sensor, ...], time_us: int) -> int:
        """Return the number of the record that holds this table of sensors; written once as long as it stays."""
        if self._sensors is None or (self._sensors[0] is not sensors and self._sensors[0] != sensors):
            self._sensors = sensors, self._append("sensors", time_us, tables.sensors_as_facts(sensors), [])
        return self._sensors[1]

    def _repair(self, fault: FormatError) -> None:
        """Put what lies behind the last record into records of its own: nothing is thrown away."""
        torn = self._disk.behind_the_end()
        self.repaired = {"offset": self._disk.end, "cut_bytes": len(torn), "reason": str(fault)}
        for start in range(0, max(len(torn), 1), REPAIR_BYTES):
            self._append(
                "repair", self._last_us, self.repaired, personal_part([torn[start : start + REPAIR_BYTES]], {})
            )
        self.commit()
