"""What is said of a journal on a terminal? The commands `verify` and `purge`."""

import datetime as dt
import pathlib
import time
from typing import Any

import numpy as np

from dronetrack.errors import InputError
from dronetrack.journal.records import as_written
from dronetrack.journal.retention import purge
from dronetrack.journal.verification import Verification


def verification_lines(proof: Verification) -> str:
    """Return a verification in a few lines: the verdict first, then what limits it.

    Examples
    --------
    >>> print(verification_lines(Verification(True, 2, 700, "ab" * 32)), end="")
    whole: 2 records, 700 bytes
      digest abababababababababababababababababababababababababababababababab
      not closed: records taken from the end would show only against a digest that was noted elsewhere
    """
    lines = [f"{'whole' if proof.ok else 'NOT WHOLE'}: {proof.n_records:,} records, {proof.n_bytes:,} bytes"]
    if proof.first_bad is not None:
        place = "" if proof.offset is None else f" at byte {proof.offset:,}"
        lines.append(f"  first bad record: {proof.first_bad}{place}")
    if proof.reason:
        lines.append(f"  {proof.reason}")
    if proof.digest:
        lines.append(f"  digest {proof.digest}")
    if proof.being_written:
        lines.append("  a writer is at work: the record that it is writing is not judged")
    if proof.ok and not proof.closed:
        lines.append(
            "  not closed: records taken from the end would show only against a digest that was noted elsewhere"
        )
    with as_written():
        lines += [_purge_line(one) for one in proof.purges]
        lines += [
            f"  repaired at byte {one['offset']}: {one['cut_bytes']} bytes cut off, kept" for one in proof.repairs
        ]
    log = proof.accesses
    if log is not None:
        state = "whole" if log.ok else f"NOT WHOLE, first bad entry {log.first_bad}: {log.reason}"
        lines.append(f"  log of accesses: {log.n_records:,} entries, {state}")
    return "\n".join(lines) + "\n"


def purge_before(path: pathlib.Path, before: str, who: str, authority: str, reason: str) -> dict[str, Any]:
    """Purge up to a date that a person wrote; the time of the purge is the machine's, for this is a command.

    Raises
    ------
    InputError
        If the date is none.
    """
    try:
        moment = dt.datetime.fromisoformat(before)
    except ValueError:
        raise InputError(f"--before needs a date as in 2026-05-01 or 2026-05-01T12:00; got {before!r}.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    before_us = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    now_us = time.time_ns() // 1000
    return purge(path, before_us=before_us, who=who, authority=authority, time_us=now_us, reason=reason)


def _purge_line(facts: dict[str, Any]) -> str:
    moment = str(np.datetime64(facts["before_us"], "us").astype("datetime64[s]")).replace("T", " ")
    return (
        f"  purged by {facts['who']} ({facts['authority']}): what was before {moment} UTC, {facts['records']} records"
    )
