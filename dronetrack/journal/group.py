"""Which records go to the disk together, and when?"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

from dronetrack.errors import InputError

Sync = Literal["commit", "interval", "never"]
SYNCS = ("commit", "interval", "never")
GROUP_BYTES = 4 << 20
GROUP_US = 1_000_000
LENT = 4_096  # pieces from this size on are written from where they lie


class Policy(NamedTuple):
    """When a group of records goes to the disk; the arguments of `Journal.create`.

    `mark` tells whether a release leaves a record, so that damage to what came before is never taken for a torn tail.
    """

    sync: Sync
    group_bytes: int = GROUP_BYTES
    group_us: int = GROUP_US
    mark: bool = True

    def check(self) -> None:
        """Raise InputError if there is no such policy."""
        if self.sync not in SYNCS:
            raise InputError(f"sync is one of {', '.join(SYNCS)}; got {self.sync!r}.")


@dataclass(slots=True)
class Group:
    """Records that go to the disk together: their bytes, how many, and the time of the first."""

    pieces: list[Any] = field(default_factory=lambda: [bytearray()])
    n_bytes: int = 0
    n_records: int = 0
    first_us: int = 0

    def begin(self, preamble: bytes) -> None:
        """Put the first bytes of a file before its first record."""
        self.pieces[-1] += preamble
        self.n_bytes += len(preamble)

    def add(self, record: list[Any], time_us: int) -> None:
        """Add the pieces of a record."""
        for piece in record:
            self.n_bytes += len(piece)
            if len(piece) < LENT:
                self.pieces[-1] += piece
            else:
                self.pieces += [piece, bytearray()]
        if not self.n_records:
            self.first_us = time_us
        self.n_records += 1

    def put_before(self, other: Self) -> None:
        """Take in a group that could not be written; its records come first."""
        self.pieces = [*other.pieces, *self.pieces]
        self.n_bytes += other.n_bytes
        self.n_records += other.n_records
        self.first_us = other.first_us

    def is_full(self, policy: Policy, time_us: int) -> bool:
        """Whether the group goes to the disk before a record of this time is added."""
        if self.n_bytes >= policy.group_bytes:
            return True
        return policy.sync != "commit" and self.n_records > 0 and time_us - self.first_us >= policy.group_us
