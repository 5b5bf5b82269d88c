"""Who may read what? The roles, as data, and the log of every read and every refusal."""

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dronetrack.errors import InputError
from dronetrack.journal.group import Policy
from dronetrack.journal.place import open_for_writing
from dronetrack.journal.records import access_log_of
from dronetrack.journal.writer import Journal


@dataclass(frozen=True, slots=True)
class Role:
    """What one role may read.

    Parameters
    ----------
    own_records : bool
        Only records, and within them rows, of the reader's own authority.
    own_operation : bool
        Only journals that the reader's own authority keeps.
    while_running : bool
        Only while the journal is not closed.
    needs_purpose : bool
        Nothing at all without a stated purpose; without this, a purpose is needed for personal data alone.
    accesses : bool
        Also the log of accesses.
    hidden : frozenset of str
        Kinds of record that are not for this role.
    """

    own_records: bool
    own_operation: bool
    while_running: bool
    needs_purpose: bool
    accesses: bool
    hidden: frozenset[str] = frozenset()


# A repair holds raw bytes of whoever wrote last.
ROLES: Mapping[str, Role] = {
    "operator": Role(True, False, True, True, False, hidden=frozenset({"repair", "access", "disclosed"})),
    "supervisor": Role(False, True, False, True, True),
    "auditor": Role(False, False, False, False, True),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A wish to read, as Directive (EU) 2016/680, Article 25 wants it logged: who, why, when, for whom, what.

    Parameters
    ----------
    role, who, authority, purpose, recipient : str
        Who asks, for which authority, why, and who receives it.
    time_us : int
        When. [us, UTC]
    kinds : tuple of str or None
        Which kinds of record; None: all.
    personal : bool
        Whether personal parts are wanted.
    """

    role: str
    who: str
    authority: str
    purpose: str
    recipient: str
    time_us: int
    kinds: tuple[str, ...] | None
    personal: bool

    @property
    def rule(self) -> Role:
        """The rule of its role."""
        return ROLES[self.role]

    @property
    def shows_personal(self) -> bool:
        """Whether personal parts are given: they are wanted, and it is said why."""
        return self.personal and bool(self.purpose)

    def as_facts(self) -> dict[str, Any]:
        """Return what the log says of it."""
        names = ("role", "who", "authority", "purpose", "recipient")
        what = {"personal": self.shows_personal, "kinds": "all" if self.kinds is None else list(self.kinds)}
        return {**{name: getattr(self, name) for name in names}, **what}


def refusal(request: Request, about: Mapping[str, Any], *, closed: bool, accesses: bool = False) -> str:
    """Return why a request is refused; an empty text if it is not.

    Parameters
    ----------
    request : Request
        The wish.
    about : mapping
        Facts of the journal's first record.
    closed : bool
        Whether the journal is closed.
    accesses : bool, optional
        Whether it is the log of accesses that is to be read.
    """
    if request.role not in ROLES:
        raise InputError(f"a role is one of {', '.join(ROLES)}; got {request.role!r}.")
    rule = request.rule
    if not request.who:
        return "nobody is named as the reader"
    if rule.needs_purpose and not request.purpose:
        return f"a {request.role} reads for a stated purpose; none is stated"
    if rule.own_operation and request.authority != about.get("authority"):
        return f"a {request.role} of {request.authority} reads no journal of {about.get('authority')}"
    if rule.while_running and closed:
        return f"a {request.role} reads while the operation runs; this journal is closed"
    if accesses and not rule.accesses:
        return f"the log of accesses is not for the role {request.role}"
    return ""


def log_access(path: pathlib.Path, about: Mapping[str, Any], kind: str, time_us: int, facts: Mapping[str, Any]) -> int:
    """Add a record to a journal's log of accesses, on the disk before this returns.

    Readers take turns; a writer at work on the journal itself is not disturbed.

    Raises
    ------
    FormatError
        If the log cannot be written: then nothing may be read.
    """
    log = access_log_of(path)
    handle = open_for_writing(log, create=True, wait=True)
    policy = Policy("commit", mark=False)
    if os.fstat(handle).st_size:
        journal = Journal._continue(log, handle, policy, closed=False)  # noqa: SLF001 - many write it in turn
    else:
        first = {**about, "purpose": "log of accesses"}
        journal = Journal._begin(log, handle, first, time_us, policy)  # noqa: SLF001
    with journal:
        return journal.append(kind, time_us, facts)
