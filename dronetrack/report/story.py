"""What does the journal tell? The story of an operation: who, when, by which right, how well, and what was refused."""

import functools
import importlib.resources
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dronetrack.tracks import Track

Floats = NDArray[np.float64]

Role = Literal["home", "host", "other"]


@dataclass(frozen=True, slots=True)
class Party:
    """An authority that took part.

    Parameters
    ----------
    code : str
        Its id: a country code, or its own.
    name : str
        What it is called; empty where nobody says.
    country : str
        Country code.
    role : {"home", "host", "other"}
        Its part in the operation.
    zone : str
        IANA name of its time zone; ``"UTC"`` where unknown.
    """

    code: str
    name: str
    country: str
    role: Role
    zone: str


@dataclass(frozen=True, slots=True)
class Stint:
    """A stretch of time in one state of custody.

    Parameters
    ----------
    start_us, end_us : int
        From and to. [us, UTC]
    state : str
        Such as ``"joint"``.
    holder : str
        Who held the track; empty for nobody.
    authority, article, cause : str
        Who brought the state about, which article allows it, and why.
    """

    start_us: int
    end_us: int
    state: str
    holder: str
    authority: str
    article: str
    cause: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A crossing of the border, as the operation concluded it.

    Parameters
    ----------
    time_us : int
        When. [us, UTC]
    time_std_s : float
        Standard deviation of the time. [s]
    leaving, entering : str
        Country codes.
    lat_deg, lon_deg : float
        Where; NaN once positions have been purged. [deg]
    probability : float
        That the target has changed sides.
    place : str
        Name of the crossing place, or empty.
    """

    time_us: int
    time_std_s: float
    leaving: str
    entering: str
    lat_deg: float
    lon_deg: float
    probability: float
    place: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Something decided or concluded, in the order of the journal.

    Parameters
    ----------
    sequence : int
        Number of its record.
    time_us : int
        When. [us, UTC]
    kind : {"act", "event", "refused"}
        A human's act, what the operation concluded, or an act that was refused.
    what : str
        An act such as ``"notice"``, or for an event ``"custody"``, ``"missed"``, ``"deadline_changed"``, ...
    authority, article : str
        Whose, and by which article.
    state : str
        State of custody that it led to; empty where it moved nothing.
    about : str
        Duty or cause that it is about.
    words : str
        What was written with it, in the words of its author.
    """

    sequence: int
    time_us: int
    kind: Literal["act", "event", "refused"]
    what: str
    authority: str
    article: str
    state: str = ""
    about: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something owed to another authority.

    Parameters
    ----------
    what : str
        Such as ``"notice"``.
    authority, article : str
        Who owes it, and which article asks for it.
    owed_us : int
        Since when. [us, UTC]
    due_us, done_us : int or None
        The deadline, where there is one, and when it was done. [us, UTC]
    policy : bool
        Whether the law says "at once" and the figure is practice.
    end_us : int
        The last moment that the journal tells of. [us, UTC]
    """

    what: str
    authority: str
    article: str
    owed_us: int
    due_us: int | None
    done_us: int | None
    policy: bool
    end_us: int

    @property
    def outcome(self) -> Literal["met", "late", "missed", "open"]:
        """Whether it was done in time, late, not done by its deadline, or is still open."""
        if self.done_us is not None:
            return "met" if self.due_us is None or self.done_us <= self.due_us else "late"
        return "missed" if self.due_us is not None and self.due_us <= self.end_us else "open"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which nobody saw the target.

    Parameters
    ----------
    start_us, end_us : int
        From and to. [us, UTC]
    kind : {"coasting", "silent"}
        The track went on as a prediction, or had no rows at all.
    holder : str
        Who held the track then.
    """

    start_us: int
    end_us: int
    kind: Literal["coasting", "silent"]
    holder: str


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One sensor: what it gave, and where it was.

    Parameters
    ----------
    name, authority : str
        Which, and whose.
    kind : {"drone", "unit", "place", "height"}
        A camera that measures lines of sight from where it stands, a unit that reports where it is, a place that a
        drone computed itself, or the height of the ground.
    n_rows : int
        How many measurements of it were used.
    first_us, last_us : int
        Its first and its last. [us, UTC]
    time_us : (n,) int64
        When it measured; empty once that has been purged. [us, UTC]
    lat_deg, lon_deg : (n,) float64
        Where it stood; NaN where unknown. [deg]
    """

    name: str
    authority: str
    kind: Literal["drone", "unit", "place", "height"]
    n_rows: int
    first_us: int
    last_us: int
    time_us: NDArray[np.int64]
    lat_deg: Floats
    lon_deg: Floats


@dataclass(frozen=True, slots=True)
class Refusal:
    """Measurements of one sensor that one rule kept out of the track.

    Parameters
    ----------
    sensor, authority : str
        Which, and whose.
    article, rule : str
        By which article and rule.
    rows : int
        How many.
    first_us, last_us : int
        From and to. [us, UTC]
    """

    sensor: str
    authority: str
    article: str
    rule: str
    rows: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody read the record.

    Parameters
    ----------
    time_us : int
        When. [us, UTC]
    who, role, purpose : str
        Who, as what, and for what.
    of : {"journal", "accesses", "track"}
        What was read.
    """

    time_us: int
    who: str
    role: str
    purpose: str
    of: str = "journal"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A custody package was given to another authority.

    Parameters
    ----------
    time_us : int
        When. [us, UTC]
    issuer, recipient : str
        From whom, and to whom.
    package : str
        What no other package is called.
    sha256 : str
        Of its bytes, hexadecimal.
    """

    time_us: int
    issuer: str
    recipient: str
    package: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Removal:
    """Personal data were removed by rule.

    Parameters
    ----------
    before_us : int
        What was older went. [us, UTC]
    who, authority, reason : str
        Who removed it, under which authority, and why.
    n_records : int
        How many records were concerned.
    """

    before_us: int
    who: str
    authority: str
    reason: str
    n_records: int


@dataclass(frozen=True, slots=True)
class Seal:
    """Whether the record is whole.

    Parameters
    ----------
    whole : bool
        Whether every record proved itself, here and in the log of accesses.
    n_records : int
        Records found good.
    digest : str
        SHA-256 of the last, hexadecimal.
    first_bad : int or None
        Number of the first bad record, or None.
    closed : bool
        Whether the journal was closed, so that nothing can be missing at its end.
    purged : int
        Records whose personal part has been removed by rule.
    repairs : int
        How often a torn end was cut off.
    """

    whole: bool
    n_records: int
    digest: str
    first_bad: int | None = None
    closed: bool = False
    purged: int = 0
    repairs: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """An authorisation.

    Parameters
    ----------
    issuer, recipient : str
        Authorities.
    issued_us, from_us, until_us : int
        When it was given, and from when until when it holds. [us, UTC]
    conditions : tuple of str
        In its issuer's words.
    """

    issuer: str
    recipient: str
    issued_us: int
    from_us: int
    until_us: int
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Basis:
    """By which right.

    Parameters
    ----------
    rule_set : str
        Code of the set of rules, such as ``"schengen-40"``.
    title : str
        Its own title, for rule sets that a user wrote.
    rules : tuple of (str, str, str)
        Article, name and text of each rule of the set.
    grants : tuple of Grant
        Authorisations, in advance or on the way.
    kind : {"authorised", "urgent", ""}
        On what home meant to cross.
    offence : str
        What the investigation is about.
    """

    rule_set: str
    title: str
    rules: tuple[tuple[str, str, str], ...] = ()
    grants: tuple[Grant, ...] = ()
    kind: str = ""
    offence: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """Everything that a report tells, read from one journal.

    Parameters
    ----------
    operation, purpose : str
        As written into the journal's first record.
    home, host : str
        Whose operation it is, and on whose soil it went on; the host may be empty.
    parties : tuple of Party
        Home first, then host, then the others.
    basis : Basis
        By which right.
    begin_us, end_us : int
        First and last moment of the operation. [us, UTC]
    told_us : int
        Time of the report itself: given, or that of the last record. [us, UTC]
    track : Track
        Without rows once it has been purged.
    told_by : Access
        Who made the report, as what, and for what.
    stints, passages, moments, duties, gaps, sources, refusals, accesses, disclosures, removals : tuple
        In time order.
    seal : Seal
        Whether the record is whole.
    components : (n,) int8
        How many numbers the measurement of each row of the track had; 0 for none, or where several fit.
    """

    operation: str
    purpose: str
    home: str
    host: str
    parties: tuple[Party, ...]
    basis: Basis
    begin_us: int
    end_us: int
    told_us: int
    track: Track
    seal: Seal
    told_by: Access
    stints: tuple[Stint, ...] = ()
    passages: tuple[Passage, ...] = ()
    moments: tuple[Moment, ...] = ()
    duties: tuple[Duty, ...] = ()
    gaps: tuple[Gap, ...] = ()
    sources: tuple[Source, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    accesses: tuple[Access, ...] = ()
    disclosures: tuple[Disclosure, ...] = ()
    removals: tuple[Removal, ...] = ()
    components: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))

    def role_of(self, authority: str) -> Role:
        """Return an authority's part: home, host or other."""
        return "home" if authority == self.home else "host" if authority == self.host else "other"

    def holder_at(self, time_us: int) -> str:
        """Return who held the track at a time; empty for nobody."""
        return next((one.holder for one in reversed(self.stints) if one.start_us <= time_us), "")


@functools.cache
def zone_of(authority: str) -> str:
    """Return the time zone of a country's clocks.

    Parameters
    ----------
    authority : str
        ISO 3166-1 alpha-2.

    Returns
    -------
    str
        IANA name of the zone that the IANA table lists first for the country; ``"UTC"`` where there is none.

    Examples
    --------
    >>> [zone_of(code) for code in ("HU", "RO", "UA", "GE", "elsewhere")]
    ['Europe/Budapest', 'Europe/Bucharest', 'Europe/Kyiv', 'Asia/Tbilisi', 'UTC']
    """
    table = importlib.resources.files("tzdata") / "zoneinfo" / "zone1970.tab"
    lines = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    listed = [(codes.split(","), zone) for codes, _, zone, *_ in lines]
    # A zone's first country is the one it is named after; Simferopol's is another than Kyiv's.
    own = [zone for codes, zone in listed if codes[0] == authority]
    return (own + [zone for codes, zone in listed if authority in codes] + ["UTC"])[0]
