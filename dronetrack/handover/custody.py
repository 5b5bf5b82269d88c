"""Whose is the target? The states of custody, and the one table of what moves it from one to the next."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import OrderError

HOME = "home"  # the target is in the home country, and home follows it
APPROACHING = "approaching"  # still there, near the border
JOINT = "joint"  # across; home goes on with the host's leave, or in urgency
OFFERED = "offered"  # home has offered the target to the host
ACCEPTED = "accepted"  # the host has taken it; home helps until the host's own sensors have it
HOST = "host"  # the host has it alone
CEASED = "ceased"  # home has stopped, because the host said so or of its own accord
EXPIRED = "expired"  # home has stopped, because its time was over
REFUSED = "refused"  # home may not go on: the host refused, or nothing ever permitted it
LOST = "lost"  # nobody has seen the target for long; custody is where it was
STATES = (HOME, APPROACHING, JOINT, OFFERED, ACCEPTED, HOST, CEASED, EXPIRED, REFUSED, LOST)

BEFORE = ""  # of a transition: back to the state from which it was lost
ABROAD = (JOINT, OFFERED, ACCEPTED)  # states in which home follows in the host's country
ENDED = (CEASED, EXPIRED, REFUSED)  # states in which it does no more, and the host has not taken over

# Role that holds the target, by state; nobody where home had to stop and the host has not taken over.
HOLDER = {HOME: "home", APPROACHING: "home", JOINT: "home", OFFERED: "home", ACCEPTED: "host", HOST: "host"}


class Transition(NamedTuple):
    """One line of the table: from these states, by this cause, on whose side, to that state, under the first rule.

    `rules` are names of `dronetrack.handover.rules`; the first that the rule set holds gives the article. `by` is the
    role that acts, or for what the clock or the target does, the role that it concerns.
    """

    sources: tuple[str, ...]
    cause: str
    by: str
    target: str
    rules: tuple[str, ...]


TRANSITIONS = (
    # What the target does.
    Transition((HOME,), "approached", "home", APPROACHING, ("own_territory",)),
    Transition((APPROACHING,), "receded", "home", HOME, ("own_territory",)),
    Transition((HOME, APPROACHING), "crossed_authorised", "home", JOINT, ("authorised",)),
    Transition((HOME, APPROACHING), "crossed_urgent", "home", JOINT, ("urgent",)),
    Transition((HOME, APPROACHING), "crossed_unauthorised", "home", REFUSED, ("authorised", "own_territory")),
    Transition((*ABROAD, HOST, *ENDED), "crossed_back", "home", HOME, ("own_territory",)),
    Transition(tuple(HOLDER), "target_lost", "home", LOST, ("own_territory",)),
    Transition((LOST,), "target_found", "home", BEFORE, ("own_territory",)),
    # What people decide.
    Transition((JOINT,), "offer", "home", OFFERED, ("entrust",)),
    Transition((OFFERED,), "withdraw", "home", JOINT, ("entrust",)),
    Transition((OFFERED,), "decline", "host", JOINT, ("entrust",)),
    Transition((OFFERED,), "accept", "host", ACCEPTED, ("entrust",)),
    Transition((JOINT, OFFERED), "entrust", "host", ACCEPTED, ("entrust",)),
    Transition((JOINT, OFFERED), "stop", "host", CEASED, ("stop", "instructions")),
    Transition((JOINT, OFFERED), "revoke", "host", CEASED, ("authorised",)),
    Transition((JOINT, OFFERED), "refuse", "host", REFUSED, ("stop", "instructions")),
    Transition((JOINT, OFFERED), "cease", "home", CEASED, ("own_territory",)),
    Transition((ACCEPTED,), "stop", "host", HOST, ("stop", "instructions")),
    Transition((ACCEPTED,), "revoke", "host", HOST, ("authorised",)),
    Transition((ACCEPTED,), "cease", "home", HOST, ("own_territory",)),
    # What the clock does.
    Transition((JOINT, OFFERED), "limit_passed", "home", EXPIRED, ("urgent",)),
    Transition((JOINT, OFFERED), "authorisation_ended", "home", EXPIRED, ("authorised",)),
    Transition((ACCEPTED,), "limit_passed", "home", HOST, ("urgent",)),
    Transition((ACCEPTED,), "authorisation_ended", "home", HOST, ("authorised",)),
    # What the host's sensors do.
    Transition((ACCEPTED,), "host_follows", "host", HOST, ("entrust",)),
    Transition(ENDED, "host_follows", "host", HOST, ("own_territory",)),
)
_TABLE = {(source, one.cause): one for one in TRANSITIONS for source in one.sources}


class Act(NamedTuple):
    """One thing that people may do: who, and under which rule; where it moves custody, the transitions say when."""

    by: str
    rules: tuple[str, ...]


_MOVES = ("offer", "withdraw", "decline", "accept", "entrust", "stop", "revoke", "refuse", "cease")
ACTS = {
    "request": Act("home", ("request", "authorised")),
    "authorise": Act("host", ("authorised",)),
    "notice": Act("home", ("notice",)),
    "report": Act("home", ("report",)),
    **{one.cause: Act(one.by, one.rules) for one in TRANSITIONS if one.cause in _MOVES},
}


def transition(state: str, cause: str) -> Transition | None:
    """Return the line of the table that a cause meets in a state.

    Examples
    --------
    >>> transition("joint", "offer").target
    'offered'
    >>> transition("home", "offer") is None  # nothing to offer before the border
    True
    """
    return _TABLE.get((state, cause))


class Verdict(NamedTuple):
    """Whether something is permitted, by which rule and article, on which record, and why.

    `record` names what permits it: the authorisation, the urgent case, the country's own law. It is empty where
    `allowed` is false.
    """

    allowed: bool
    rule: str
    article: str
    reason: str
    record: str = ""


T = TypeVar("T")


class History(Generic[T]):
    """What held when: values that hold from a time until the next."""

    __slots__ = ("times_us", "values")

    def __init__(self, value: T) -> None:
        self.times_us = [np.iinfo(np.int64).min]
        self.values = [value]

    def __iter__(self) -> Iterator[tuple[int, T]]:
        return zip(self.times_us, self.values, strict=True)

    def put(self, time_us: int, value: T) -> None:
        """Let a value hold from a time on, in time order.

        Raises
        ------
        OrderError
            If a later change is already known: what was permitted is not changed behind the back of those who acted.
        """
        if time_us < self.times_us[-1]:
            raise OrderError(
                f"a change at {time_us} us comes after one at {self.times_us[-1]} us; decisions come in time order."
            )
        if time_us == self.times_us[-1]:
            self.values[-1] = value
        elif value != self.values[-1]:
            self.times_us.append(int(time_us))
            self.values.append(value)

    def at(self, time_us: int) -> T:
        """Return what held at a time."""
        return self.values[bisect_right(self.times_us, time_us) - 1]

    @property
    def last(self) -> T:
        """What holds now."""
        return self.values[-1]

    def index(self, time_us: NDArray[np.int64]) -> NDArray[np.intp]:
        """(n,) int: which of `values` held at each time. [us, UTC]"""
        return np.searchsorted(np.array(self.times_us), time_us, side="right") - 1


@dataclass(slots=True)
class Duty:
    """Something that one authority owes another by a time.

    Parameters
    ----------
    kind : str
        ``notice``, ``request`` or ``report``.
    article : str
        Which article asks for it.
    owed_by, owed_to : str
        Authorities.
    since_us, due_us : int
        From when, and until when. [us, UTC]
    policy : bool
        Whether the law says "at once" and the figure is practice.
    done_us : int or None
        When it was done. [us, UTC]
    missed : bool
        Whether it was not done in time.
    """

    kind: str
    article: str
    owed_by: str
    owed_to: str
    since_us: int
    due_us: int
    policy: bool
    done_us: int | None = None
    missed: bool = False

    @property
    def open(self) -> bool:
        """Whether it is still owed."""
        return self.done_us is None
