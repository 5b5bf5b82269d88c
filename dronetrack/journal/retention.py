"""How do positions go when their time is over, while the record stays provable? Purging personal parts."""

import io
import os
import pathlib
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from dronetrack.errors import InputError
from dronetrack.journal.group import Policy
from dronetrack.journal.place import BLOCK, keep_folder, open_for_writing, said
from dronetrack.journal.records import (
    HEADER,
    PREAMBLE,
    PURGED,
    STEPPED_BACK,
    Found,
    Header,
    kept_part,
    kind_code,
    make_header,
    purged_header,
    scan,
)
from dronetrack.journal.writer import Journal


def purge(
    path: str | pathlib.Path, *, before_us: int, who: str, authority: str, time_us: int, reason: str = ""
) -> dict[str, Any]:
    """Remove the personal parts of old records: positions, rows, personal facts. What stays still proves itself.

    The digests of what is removed stay in the chain, and a record ``purge`` says what was removed, when, by whom and
    under which authority. A new file is written beside the old one and takes its place in one step: interrupted
    at any moment, one of the two is there whole.

    A record goes when its time, which is that of its last row, is before `before_us`. The rows of one record lie
    within one minute, so what stays is never more than a minute older than asked; add a minute to be strict.

    The old file's blocks are given back to the disk, not overwritten; copies and backups are not this function's to
    find.

    Parameters
    ----------
    path : str or Path
        The journal, with no writer at work; closed or not.
    before_us : int
        What is older goes. [us, UTC]
    who, authority : str
        Who purges, and under which authority.
    time_us : int
        Now, as the caller knows it. [us, UTC]
    reason : str, optional
        Under which rule.

    Returns
    -------
    dict
        Facts of the record ``purge``: `records` and `bytes` removed, and `gone`, all ranges of numbers without personal
        parts by now. Where nothing is old enough, nothing is written and `records` is 0.

    Raises
    ------
    InputError
        If nobody, or no authority, is named.
    FormatError
        If it is no journal, damaged, or being written.
    """
    if not (who and authority):
        raise InputError("a purge names who purges, and under which authority; neither may be empty.")
    path = pathlib.Path(path)
    facts = {"before_us": int(before_us), "who": who, "authority": authority, "reason": reason}
    policy = Policy("commit")
    with Journal._continue(path, open_for_writing(path), policy, closed=True):  # noqa: SLF001 - holds the lock
        with path.open("rb", buffering=BLOCK) as old:
            stop = os.fstat(old.fileno()).st_size
            gone = _Removal(before_us)
            for found in scan(old, stop):
                gone.judge(found.header)
            if not gone.n_records:
                return facts | gone.as_facts()
            _replace(path, old, stop, before_us, facts | gone.as_facts(), time_us)
        return facts | gone.as_facts()


@dataclass(slots=True)
class Gone:
    """Ranges of sequence numbers whose personal parts are not there; records without any do not part a range."""

    ranges: list[list[int]] = field(default_factory=list)
    parted: bool = True

    def see(self, number: int, *, here: bool) -> None:
        """Take note of the next record that has, or had, a personal part."""
        if here:
            self.parted = True
        elif self.parted:
            self.ranges.append([number, number])
            self.parted = False
        else:
            self.ranges[-1][1] = number


@dataclass(slots=True)
class _Removal:
    """What a purge removes, counted."""

    before_us: int
    gone: Gone = field(default_factory=Gone)
    n_records: int = 0
    n_bytes: int = 0

    def judge(self, header: Header) -> bool:
        """Whether the personal part of a record goes now."""
        goes = _goes(header, self.before_us)
        if header.personal_size:
            self.gone.see(header.sequence, here=not goes and header.mark != PURGED)
        if goes:
            self.n_records += 1
            self.n_bytes += header.personal_size
        return goes

    def as_facts(self) -> dict[str, Any]:
        return {"records": self.n_records, "bytes": self.n_bytes, "gone": self.gone.ranges}


def _goes(header: Header, before_us: int) -> bool:
    return header.personal_size > 0 and header.mark != PURGED and header.time_us < before_us


def _replace(path: pathlib.Path, old: BinaryIO, stop: int, before_us: int, facts: dict[str, Any], time_us: int) -> None:
    """Write the new journal beside the old one, onto the disk, and put it in its place."""
    work = path.with_name(path.name + ".purging")
    with said(work, "written"):
        work.unlink(missing_ok=True)  # of a purge that was interrupted
        handle = open_for_writing(work, anew=True)  # locked, so that no writer comes in before it is all there
        with io.FileIO(handle, "r+") as raw, io.BufferedWriter(raw, BLOCK) as new:
            old.seek(0)
            new.write(PREAMBLE)
            last, latest_us = None, time_us
            for found in scan(old, stop):
                _copy(found, new, goes=_goes(found.header, before_us))
                last, latest_us = found.header, max(latest_us, found.header.time_us)
            if last is None:
                return
            kept, number = kept_part(facts), last.sequence + 1
            flags = STEPPED_BACK if time_us < latest_us else 0
            header, _ = make_header(last.digest, number, time_us, number, kind_code("purge"), kept, [], flags=flags)
            new.write(header + kept)
            new.flush()
            os.fsync(handle)
            work.rename(path)
            keep_folder(path)


def _copy(found: Found, new: BinaryIO, *, goes: bool) -> None:
    raw = HEADER.pack(*found.header)
    new.write(purged_header(raw) if goes else raw)
    new.write(found.kept)
    if not goes:
        new.write(found.personal)
