"""Where does a journal end, and is what lies behind a torn tail, or damage?"""

import contextlib
import io
import mmap
import os
import pathlib
from typing import Any, BinaryIO, NamedTuple

from dronetrack.errors import FormatError
from dronetrack.journal.place import BLOCK, open_for_reading
from dronetrack.journal.records import GENESIS, PREAMBLE, SIZE, WHOLE, kind_code, read_header, scan


class Tip(NamedTuple):
    """All that a writer must know to go on: where the last record ends, its number, digest and times."""

    end: int
    n_records: int
    digest: bytes
    last_us: int
    latest_us: int
    about: dict[str, Any]
    closed: bool


START = Tip(len(PREAMBLE), 0, GENESIS, 0, 0, {}, closed=False)
CLOSED = kind_code("closed")


def find_tip(handle: int, path: pathlib.Path) -> tuple[Tip, FormatError | None]:
    """Prove a journal to its end.

    Parameters
    ----------
    handle : int
        Open and locked.
    path : Path
        For messages.

    Returns
    -------
    Tip
        Of the last good record.
    FormatError or None
        What is wrong with the bytes behind it, if there are any: a torn tail.

    Raises
    ------
    FormatError
        If an acknowledged record is damaged, or there is none at all.
    """
    stop = os.fstat(handle).st_size
    with io.BufferedReader(io.FileIO(handle, closefd=False), BLOCK) as file:
        file.seek(0)
        tip, fault = walk(file, stop)
    if fault is None:
        return tip, None
    if not tip.n_records:
        begun = fault.offset or stop < len(PREAMBLE)
        more = " Nothing was ever acknowledged in it: begin it anew." if begun else ""
        raise FormatError(f"{path}: {fault}{more}", offset=fault.offset)
    if tip.closed or acknowledged_behind(handle, tip.end, stop) > tip.n_records:
        raise FormatError(
            f"{path}: record {tip.n_records} at byte {tip.end} is damaged, and was whole once: "
            f"{fault} Nothing is repaired; keep the file as it is.",
            offset=tip.end,
        )
    return tip, fault


def tip_of(path: pathlib.Path) -> Tip:
    """Prove a journal that someone else may be writing, to its last whole record."""
    with open_for_reading(path) as file:
        return walk(file, os.fstat(file.fileno()).st_size)[0]


def walk(file: BinaryIO, stop: int) -> tuple[Tip, FormatError | None]:
    """Go over all records, and return the tip with the fault that ended the way, if one did."""
    tip = START
    try:
        for found in scan(file, stop):
            header = found.header
            tip = Tip(
                found.end,
                header.sequence + 1,
                header.digest,
                header.time_us,
                max(tip.latest_us, header.time_us) if tip.n_records else header.time_us,
                tip.about if tip.n_records else found.kept_facts(),
                tip.closed or header.kind == CLOSED,
            )
    except FormatError as fault:
        return tip, fault
    return tip, None if tip.n_records else FormatError("the journal has no first record.", offset=len(PREAMBLE))


def acknowledged_behind(handle: int, offset: int, stop: int) -> int:
    """Return how many records were on the disk as far as a header between two offsets knows; -1 if there is none."""
    known = -1
    with mmap.mmap(handle, stop, access=mmap.ACCESS_READ) as view:
        at = view.find(WHOLE[:-1], offset + 1)
        while at >= 0:
            with contextlib.suppress(FormatError):
                known = max(known, read_header(view[at : at + SIZE], at).acknowledged)
            at = view.find(WHOLE[:-1], at + 1)
    return known
