"""What is safe? The file of a journal that is written: groups go there in order, one behind the writer's back."""

import os
import pathlib
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from dronetrack.errors import FormatError
from dronetrack.journal.group import Group, Policy
from dronetrack.journal.place import copy_aside, is_at, said, write_at

_sync_data = getattr(os, "fdatasync", os.fsync)


class Disk:
    """An open, locked file, what of it is safe, and the records that wait for it.

    While one group is written and synced on a thread of its own, the next one grows. Groups are stored one at a time,
    so that a fault of the disk meets the group that it belongs to. What cannot be stored waits, and is tried again.

    Parameters
    ----------
    path : Path
        Where the file is.
    handle : int
        Open and locked; let go when `release` is called, or nobody holds the disk any more.
    end, n_safe : int
        Where its last record ends, and how many there are.
    policy : Policy
        When a group goes to the disk.
    """

    def __init__(self, path: pathlib.Path, handle: int, end: int, n_safe: int, policy: Policy) -> None:
        self.path, self.policy = path, policy
        self.end, self.n_safe = end, n_safe
        self.group = Group()
        self.fault = ""
        self._handle = handle
        self._under_way: tuple[Future[None], Group] | None = None
        self._worker: ThreadPoolExecutor | None = None
        self.let_go = weakref.finalize(self, os.close, handle)

    @property
    def is_open(self) -> bool:
        """Whether the file is still held."""
        return self.let_go.alive

    def make_room(self, time_us: int) -> None:
        """Send a full group on its way before a record of this time is added, so that an error means: it was not.

        Raises
        ------
        FormatError
            If the group before could not be stored, or the journal was released or taken away.
        """
        if not self.group.is_full(self.policy, time_us):
            return
        self.check_open()
        if self._is_busy() and self.group.n_bytes < self.policy.group_bytes:
            return  # it grows while the disk is busy: one sync for more records
        self._settle()
        self._send()

    def pass_on(self) -> None:
        """Send a full group on its way in the middle of what is added as a whole, and raise nothing.

        What is wrong shows in the next `make_room` or `commit`.
        """
        if self.group.n_bytes >= self.policy.group_bytes and self._is_well() and is_at(self._handle, self.path):
            self._settle()
            self._send()

    def commit(self) -> None:
        """Put every record on the disk.

        Raises
        ------
        FormatError
            If that fails: the records still wait; or if the file was taken away: all are in a copy beside it.
        """
        self.check_open()
        self._settle()
        if self.group.n_records:
            group, self.group = self.group, Group()
            self._finish(group, lambda: self._store(group))

    def take_note(self) -> None:
        """Count the group that is under way if it has been stored meanwhile; wait for nothing.

        Raises
        ------
        FormatError
            If the file was taken away.
        """
        if not self._is_busy() and self._is_well():
            self._settle()

    def behind_the_end(self) -> bytes:
        """Return what lies in the file behind the last record."""
        return os.pread(self._handle, os.fstat(self._handle).st_size - self.end, self.end)

    def check_open(self) -> None:
        """Raise FormatError if the file was taken away or let go."""
        if self.fault:
            raise FormatError(self.fault)
        if not self.is_open:
            raise FormatError(f"{self.path}: this journal was released; Journal.open continues it.")

    def release(self) -> None:
        """Let the file go."""
        if self._worker is not None:
            self._worker.shutdown()
        self.let_go()

    def _is_busy(self) -> bool:
        return self._under_way is not None and not self._under_way[0].done()

    def _is_well(self) -> bool:
        """Whether the group under way was stored, or there is none; waits for it."""
        return self._under_way is None or self._under_way[0].exception() is None

    def _send(self) -> None:
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="journal")
        group, self.group = self.group, Group()
        self._under_way = self._worker.submit(self._store, group), group

    def _settle(self) -> None:
        """Wait for the group that is under way."""
        if self._under_way is not None:
            (future, group), self._under_way = self._under_way, None
            self._finish(group, future.result)

    def _finish(self, group: Group, stored: Callable[[], Any]) -> None:
        """Count a group once it is stored; keep it, to be written again, if it is not."""
        try:
            stored()
        except BaseException:
            self.group.put_before(group)
            raise
        if not is_at(self._handle, self.path):
            self.group.put_before(group)
            self._rescue()
        self.end += group.n_bytes
        self.n_safe += group.n_records

    def _store(self, group: Group) -> None:
        with said(self.path, "written"):
            if os.fstat(self._handle).st_size < self.end:
                raise FormatError(f"{self.path}: another program has cut this journal short; it was {self.end} bytes.")
            write_at(self._handle, group.pieces, self.end)
            if self.policy.sync != "never":
                _sync_data(self._handle)

    def _rescue(self) -> None:
        """Copy the whole journal, with what waits, beside the place that it was taken from, and say so."""
        with said(self.path, "written"):
            end = write_at(self._handle, self.group.pieces, self.end)
        copy = copy_aside(self._handle, end, self.path)
        self.fault = (
            f"{self.path}: the journal was removed or replaced while it was written; all "
            f"{self.n_safe + self.group.n_records} records are in {copy}. Put it in its place, and open it."
        )
        raise FormatError(self.fault)
