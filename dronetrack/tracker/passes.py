"""How far has the filter come? A pass over what is settled, one ahead of it, and a look at the newest moment."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.filtering import Memory, OutputRows, Settings, sensor_table
from dronetrack.kernels import filters
from dronetrack.tracker.window import LOT, Window

MARK_ROWS, MARKS = 32, 64  # a mark is set every so many rows; of so many, every second is dropped
FEW = 8  # rows that a look may as well run over itself

BY_ROW = ("verdict", "nis_row")  # what the kernel writes by measurement; the rest is by row of the track


@dataclass(slots=True)
class Pass:
    """The filter on its way: what it remembers and has written, its next row, and the next row of the track."""

    memory: Memory
    out: OutputRows
    row: int = 0
    n_out: int = 0

    @property
    def times_taken_back(self) -> int:
        """How often the filter has gone back in the window of its own accord."""
        return int(self.memory.belief.head[filters.TAKEN_BACK])

    def take(self, other: "Pass") -> None:
        """Stand where another pass stands."""
        self.memory.take(other.memory)
        self.row, self.n_out = other.row, other.n_out
        self.make_room(self.n_out, len(other.out.columns.verdict))
        _copy_rows(other.out, self.out, slice(0, self.row), slice(0, self.n_out))

    def make_room(self, n_out: int, n_rows: int) -> None:
        """See that so many rows of the track, and verdicts on so many measurements, can be written."""
        out = self.out.columns
        if n_out > len(out.time_us) or n_rows > len(out.verdict):
            self._reallocate(max(2 * n_out, len(out.time_us)), n_rows, 0, 0)

    def drop(self, rows: int, n_out: int, n_rows: int) -> None:
        """Forget the first rows of the window and of the track."""
        self.row, self.n_out = self.row - rows, self.n_out - n_out
        if self.row < 0 or self.n_out < 0:
            self.row, self.n_out = -1, 0
        self._reallocate(2 * self.n_out + LOT, n_rows, rows, n_out)

    def needed(self, base: NDArray[np.int64]) -> tuple[int, int]:
        """First row of the window, and first row of the track, that the filter may still go back to."""
        at = self.memory.ring.at
        used = at[:, 2] > filters.NEVER
        if not used.any():
            return self.row, self.n_out
        rows, n_out = (at[used, :2].min(axis=0) - base).tolist()
        return rows, n_out

    def check(self, window: Window) -> None:
        """Refuse numbers that lead outside the window, or the kernel would follow them there."""
        at, turn = self.memory.ring.at, self.memory.beliefs().head[:, filters.RING_NEXT]
        used = at[:, 2] > filters.NEVER
        inside = (at[used, :2] >= window.base) & (at[used, :2] <= window.base + np.array([self.row, self.n_out]))
        within = 0 <= self.row <= len(window) and self.n_out >= 0
        if not (within and inside.all() and (turn >= 0).all() and (turn < filters.RING).all()):
            raise InputError("a belief points outside the window.")

    def _reallocate(self, n_out: int, n_rows: int, drop_rows: int, drop_out: int) -> None:
        old = self.out
        self.out = OutputRows(n_out, n_rows, old.columns.weight.shape[1])
        rows = slice(drop_rows, drop_rows + max(self.row, 0))
        _copy_rows(old, self.out, rows, slice(drop_out, drop_out + self.n_out))


@dataclass(slots=True)
class Mark:
    """Where a pass was, and what it knew."""

    arrays: list[NDArray]
    row: int
    n_out: int

    @classmethod
    def of(cls, one: Pass) -> Self:
        """Set a mark where a pass stands."""
        return cls([part.copy() for part in one.memory.ring], one.row, one.n_out)

    def put_back(self, one: Pass) -> None:
        """Bring the pass back here."""
        for part, kept in zip(one.memory.ring, self.arrays, strict=True):
            part[...] = kept
        one.row, one.n_out = self.row, self.n_out


class Passes:
    """The passes over one window.

    `final` takes only rows that nothing can come before any more. `ahead` goes on from there to a few rows before the
    newest moment; a late row sends it back to the last mark before it. The rest, and above all the newest moment, to
    which another sensor may still add, is run on a copy, `tip`, whenever somebody looks.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.window = Window()
        self.table = sensor_table((), np.zeros(0, dtype=np.bool_))
        self.final, self._ahead, self._tip = (self._new_pass() for _ in range(3))
        self._marks: list[Mark] = []

    def grow(self, table: filters.Sensors) -> None:
        """Make room for further sensors, or for further errors of a known one."""
        known, self.table = self.table, table
        self.final.memory = self.final.memory.grown(self.settings, known, table)
        self._ahead, self._tip = self._new_pass(), self._new_pass()
        self._begin_again()

    def go_back(self, row: int) -> None:
        """Rows from here on are not as they were: bring the ahead pass back before them."""
        while self._marks and self._marks[-1].row > row:
            self._marks.pop()
        if self._ahead.row > row:
            self._ahead.row = -1

    def settle(self, stop: int) -> None:
        """Nothing comes before row `stop` any more: let the final pass go on to there."""
        if stop > self.final.row:
            self._run(self.final, stop, flush=False)

    def look(self, time_us: int | None = None) -> Pass:
        """Return a pass over everything there is, and on to a later time if asked; it is good until the next look."""
        self._catch_up()
        ahead, tip, n = self._ahead, self._tip, len(self.window)
        tip.memory.take(ahead.memory)
        tip.row, tip.n_out, tip.out = ahead.row, ahead.n_out, ahead.out
        self._run(tip, n if time_us is None else self.window.put_tick(time_us), flush=True)
        ahead.out = tip.out
        if tip.times_taken_back != ahead.times_taken_back:
            # Rows of the track that the ahead pass had written were written anew, from what came after them.
            self._begin_again()
        return tip

    def drop(self, rows: int, n_out: int) -> None:
        """Forget the first rows of the window and of the track."""
        self.window.drop(rows, n_out)
        for one in (self.final, self._ahead):
            one.drop(rows, n_out, self.window.capacity)
        for mark in self._marks:
            mark.row -= rows
            mark.n_out -= n_out

    def _begin_again(self) -> None:
        """Let the ahead pass set out from the final one."""
        self._ahead.row = -1
        self._marks.clear()

    def _catch_up(self) -> None:
        """Bring the ahead pass near the start of the newest moment."""
        ahead, final, marks, n = self._ahead, self.final, self._marks, len(self.window)
        if ahead.row < final.row:
            if marks and marks[-1].row >= final.row:
                marks[-1].put_back(ahead)
            else:
                marks.clear()
                ahead.take(final)
        newest = self.window.first_at(int(self.window.time_us[n - 1])) if n else 0
        while ahead.row < newest - FEW:
            times = ahead.times_taken_back
            self._run(ahead, min(newest, ahead.row + MARK_ROWS), flush=False)
            if ahead.times_taken_back != times:
                marks.clear()  # what they count on was written anew, from what came after them
            if ahead.row >= (marks[-1].row if marks else final.row) + MARK_ROWS:
                marks.append(Mark.of(ahead))
        if len(marks) > MARKS:
            del marks[::2]

    def _new_pass(self) -> Pass:
        out = OutputRows(LOT, self.window.capacity, len(self.settings.models.code))
        return Pass(Memory(self.settings, self.table), out)

    def _run(self, one: Pass, stop: int, *, flush: bool) -> None:
        """Let a pass go on to row `stop` of the window."""
        window, settings, head = self.window, self.settings, one.memory.belief.head
        room = one.n_out + stop - one.row + 1
        if stop > one.row:
            since_us = head[filters.MOMENT] if head[filters.PENDING] else window.time_us[one.row]
            room += int(window.time_us[stop - 1] - since_us) // settings.step_us
        one.make_room(room, window.capacity)
        out = one.out.columns
        out.verdict[one.row : stop] = filters.UNUSED
        out.nis_row[one.row : stop] = np.nan
        one.n_out = filters.track_rows(
            window.rows(max(stop, len(window))),
            one.row,
            stop,
            window.base,
            self.table,
            settings.models,
            settings.gate,
            settings.options,
            one.memory.belief,
            one.memory.ring,
            out,
            one.n_out,
            flush,
        )
        one.row = stop


def _copy_rows(old: OutputRows, new: OutputRows, rows: slice, n_out: slice) -> None:
    """Copy verdicts on some measurements and some rows of the track to the front of another output."""
    for name, source, target in zip(filters.Output._fields, old.columns, new.columns, strict=True):
        part = source[rows if name in BY_ROW else n_out]
        target[: len(part)] = part
