"""What happened in an operation, and why? Events as columns, in the order in which they were concluded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray


class Event(NamedTuple):
    """One thing that happened: a row of `Events`.

    Parameters
    ----------
    time_us : int
        When it took effect. [us, UTC]
    kind : str
        ``handover_<state>`` for a change of custody, ``<duty>_owed``, ``<duty>_done``, ``<duty>_missed``,
        ``act_<act>``, ``act_refused``, ``deadline_changed``, ``consulted``.
    authority : str
        Whom it concerns, or who did it.
    article : str
        Which article permits, asks for or forbids it.
    cause : str
        What brought it about.
    facts : mapping
        What belongs to its kind; JSON.
    """

    time_us: int
    kind: str
    authority: str
    article: str
    cause: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Events, n rows in the order in which they were concluded.

    Parameters
    ----------
    time_us : (n,) int64
        When each took effect. [us, UTC]
    kind, authority, article, cause : tuple of str
        As in `Event`.
    facts : tuple of mapping
        As in `Event`.
    """

    time_us: NDArray[np.int64]
    kind: tuple[str, ...]
    authority: tuple[str, ...]
    article: tuple[str, ...]
    cause: tuple[str, ...]
    facts: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        return len(self.time_us)

    def __iter__(self) -> Iterator[Event]:
        columns = (self.time_us.tolist(), self.kind, self.authority, self.article, self.cause, self.facts)
        return (Event(*row) for row in zip(*columns, strict=True))

    @classmethod
    def of(cls, events: list[Event]) -> Self:
        """Make columns of events."""
        if not events:
            return cls(np.zeros(0, dtype=np.int64), (), (), (), (), ())
        times, *rest = zip(*events, strict=True)
        return cls(np.array(times, dtype=np.int64), *rest)


NO_EVENTS = Events.of([])
