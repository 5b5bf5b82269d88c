"""What was agreed before anyone set out? Authorities, rules, basis, zones and authorisations, from the mission file.

The part of a mission file that makes it an operation:

=========================  =================================================================================
``[operation]``
``home``, ``host``         ids of two authorities; by default the two countries of the border
``rules``                  rule set: ``"schengen-40"`` (default), another that ships, or a .toml file
``rules_confirmed_by``     who has compared a rule set's figures with the treaty, where the set asks for that
``basis``                  ``"authorised"`` (default) or ``"urgent"``: on what home means to cross
``offence``                what the investigation is about; needed for ``"urgent"``
``purpose``                why the data are processed; stands in the journal
``approach_m``             within this distance the target approaches the border; 5000
``lost_s``                 after so long without a measurement the target is lost; 120
``look_s``                 how often, in the data's time, custody is judged; 1
``[agreement]``            a bilateral agreement that changes figures of the rule set; optional
``reference``              the agreement and its article
``<rule>``                 what it changes, such as ``urgent = { limit_s = 36000 }``
``[[authority]]``          one for each; those of the border's countries need not be named
``id``, ``country``        unique id, country code
``name``                   what it is called; optional
``public_key``             file of its public key (PEM), for custody packages; optional
``[[zone]]``               where an authority may fly or look; optional
``authority``              whose zone
``act``                    ``"fly"``, ``"observe"`` or ``"both"`` (default)
``side``                   ``"home"``, ``"host"`` or ``"both"`` (default)
``depth_m``                only so far beyond the border, seen from that authority; optional
``area``                   only within the polygons of this GeoJSON file; optional
``[[private]]``            places that nobody ever observes from within; optional
``area``                   GeoJSON file of polygons
``[[authorisation]]``      given in advance; optional
``issuer``, ``recipient``  authorities
``issued``                 when (TOML date-time with offset)
``valid_from``             from when; by default from when it was issued
``valid_until``            until when
``conditions``             list of texts; optional
``depth_m``, ``area``      conditions on the place, as in ``[[zone]]``; optional
``[[act]]``                what people decided, in time order, so that a run without them is the same run; optional
``time``                   when
``kind``                   ``"request"``, ``"authorise"``, ``"refuse"``, ``"revoke"``, ``"notice"``, ``"offer"``,
                           ``"withdraw"``, ``"accept"``, ``"decline"``, ``"entrust"``, ``"stop"``, ``"cease"``,
                           ``"report"``, or a word of the rule set's forbidden acts, which is refused and recorded
``by``                     authority
``note``                   in words; optional
``valid_from``, ``valid_until``, ``conditions``, ``depth_m``, ``area``  of an ``"authorise"``
=========================  =================================================================================

Without a zone, home flies and looks wherever it may follow, the host flies and looks on its own side, and any other
authority contributes nothing unless home or host has authorised it, on the issuer's side.
"""

import datetime as dt
import itertools
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from dronetrack.errors import FormatError, InputError, NotAuthorisedError
from dronetrack.handover.custody import ACTS
from dronetrack.handover.rules import AUTHORISED, BASES, URGENT, RuleSet, read_rules
from dronetrack.handover.zones import SIDES, ZONE_ACTS, Area, Zone
from dronetrack.tomlfile import TomlFile

KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "operation": (
        (),
        (
            "home", "host", "rules", "rules_confirmed_by", "basis", "offence", "purpose", "approach_m", "lost_s",
            "look_s",
        ),
    ),
    "agreement": (("reference",), ()),
    "authority": (("id", "country"), ("name", "public_key")),
    "zone": (("authority",), ("act", "side", "depth_m", "area")),
    "private": (("area",), ()),
    "authorisation": (
        ("issuer", "recipient", "issued", "valid_until"),
        ("valid_from", "conditions", "depth_m", "area"),
    ),
    "act": (("time", "kind", "by"), ("note", "valid_from", "valid_until", "conditions", "depth_m", "area")),
}  # fmt: skip
SINGLE = ("operation", "agreement")
FAR_M = 1e7
DAY_S = 86_400.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Authority:
    """Who takes part.

    Parameters
    ----------
    id : str
        Unique; drones and units name it.
    country : str
        Country code.
    name : str
        What it is called.
    public_key : str
        Path of its public key, empty for none.
    """

    id: str
    country: str
    name: str = ""
    public_key: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Authorisation:
    """A permission that one authority gives another.

    Parameters
    ----------
    issuer, recipient : str
        Authorities.
    issued_us : int
        When it was given. [us, UTC]
    valid_from_us, valid_until_us : int
        From when, and until when (that moment not included). [us, UTC]
    conditions : tuple of str
        In words.
    depth_m : float
        How far beyond the border the target may be followed. [m]
    area : Area or None
        Within which the target may be followed.
    """

    issuer: str
    recipient: str
    issued_us: int
    valid_from_us: int
    valid_until_us: int
    conditions: tuple[str, ...] = ()
    depth_m: float = np.inf
    area: Area | None = None

    def __post_init__(self) -> None:
        if not max(self.issued_us, self.valid_from_us) < self.valid_until_us:
            raise InputError(f"an authorisation of {self.issuer} for {self.recipient} ends before it begins.")

    def __str__(self) -> str:
        start, stop = (
            np.datetime64(time_us, "us").astype("datetime64[s]") for time_us in (self.starts_us, self.valid_until_us)
        )
        return f"authorisation of {self.issuer} for {self.recipient}, {start}Z to {stop}Z"

    @property
    def starts_us(self) -> int:
        """From when it permits something: never before it was issued. [us, UTC]"""
        return max(self.issued_us, self.valid_from_us)

    def holds(self, time_us: int) -> bool:
        """Whether it is in force."""
        return self.starts_us <= time_us < self.valid_until_us

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        plain = {key: getattr(self, key) for key in ("issuer", "recipient", "issued_us", "valid_from_us")}
        return {
            **plain,
            "valid_until_us": self.valid_until_us,
            "conditions": list(self.conditions),
            "depth_m": self.depth_m if np.isfinite(self.depth_m) else None,
            "area": self.area and self.area.geojson,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the authorisation that `to_plain` wrote."""
        rest = {
            "conditions": tuple(plain["conditions"]),
            "depth_m": np.inf if plain["depth_m"] is None else float(plain["depth_m"]),
            "area": plain["area"] and Area(plain["area"]),
        }
        return cls(**{**plain, **rest})


class Decision(NamedTuple):
    """Something that a person decided: when, what, for which authority, and what belongs to it.

    `facts` holds ``note`` (text), and of an ``authorise`` the fields of its `Authorisation` as `to_plain` writes them.
    """

    time_us: int
    kind: str
    by: str
    facts: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Mandate:
    """What an operation rests on.

    Parameters
    ----------
    home, host : str
        Authorities.
    authorities : tuple of Authority
        All that take part.
    rules : RuleSet
        The law between the two.
    basis : str
        ``authorised`` or ``urgent``.
    offence : str
        What the investigation is about.
    purpose : str
        Why the data are processed.
    zones : tuple of Zone
        Where who may fly and look.
    private : tuple of Area
        Where nobody observes from within.
    authorisations : tuple of Authorisation
        Given in advance.
    approach_m, lost_s, look_s : float
        As in the mission file.
    confirmed_by : str
        Who has confirmed the rule set's figures.

    Raises
    ------
    InputError
        If an authority is named that does not take part.
    NotAuthorisedError
        If the rule set may not be used between the two, or knows no urgent crossing for this offence.
    """

    home: str
    host: str
    authorities: tuple[Authority, ...]
    rules: RuleSet = field(default_factory=lambda: read_rules("schengen-40"))
    basis: str = AUTHORISED
    offence: str = ""
    purpose: str = ""
    zones: tuple[Zone, ...] = ()
    private: tuple[Area, ...] = ()
    authorisations: tuple[Authorisation, ...] = ()
    approach_m: float = 5_000.0
    lost_s: float = 120.0
    look_s: float = 1.0
    confirmed_by: str = ""

    def __post_init__(self) -> None:
        ids = [one.id for one in self.authorities]
        if len(set(ids)) < len(ids):
            raise InputError(f"ids of authorities are unique; got {ids}.")
        if self.home == self.host:
            raise InputError(f"home and host are two authorities; got {self.home!r} twice.")
        named = [self.home, self.host, *(zone.authority for zone in self.zones)]
        named += [who for one in self.authorisations for who in (one.issuer, one.recipient)]
        for who in named:
            if who not in ids:
                raise InputError(f"no authority {who!r} takes part; there are {', '.join(ids)}.")
        self.rules.check_open(self.country(self.home), self.country(self.host), confirmed_by=self.confirmed_by)
        if self.basis == URGENT:
            self._check_urgent()

    def country(self, authority: str) -> str:
        """Return an authority's country."""
        return next(one.country for one in self.authorities if one.id == authority)

    def _check_urgent(self) -> None:
        rule = self.rules.first([URGENT])
        if rule is None:
            raise NotAuthorisedError(f"{self.rules.name} permits no crossing without an authorisation.")
        if rule.offences and self.offence not in rule.offences:
            raise NotAuthorisedError(
                f"{self.offence or 'no offence'!r} is none of the offences of Article {rule.offences_article}, so "
                f"Article {rule.article} permits no urgent crossing; they are: {', '.join(rule.offences)}."
            )

    def to_plain(self) -> dict[str, Any]:
        """Return the mandate as JSON can hold it; a journal begins with it."""
        names = ("home", "host", "basis", "offence", "purpose", "approach_m", "lost_s", "look_s", "confirmed_by")
        return {
            **{name: getattr(self, name) for name in names},
            "authorities": [{key: getattr(one, key) for key in Authority.__slots__} for one in self.authorities],
            "rules": self.rules.to_plain(),
            "zones": [zone.to_plain() for zone in self.zones],
            "private": [area.geojson for area in self.private],
            "authorisations": [one.to_plain() for one in self.authorisations],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the mandate that `to_plain` wrote."""
        made = {
            "authorities": tuple(Authority(**one) for one in plain["authorities"]),
            "rules": RuleSet.from_plain(plain["rules"]),
            "zones": tuple(Zone.from_plain(one) for one in plain["zones"]),
            "private": tuple(Area(one) for one in plain["private"]),
            "authorisations": tuple(Authorisation.from_plain(one) for one in plain["authorisations"]),
        }
        return cls(**{**plain, **made})


def read_mandate(file: TomlFile, countries: tuple[str, str]) -> tuple[Mandate, tuple[Decision, ...]]:
    """Read the operation of a mission file.

    Parameters
    ----------
    file : TomlFile
        The mission file, its tables of a known shape.
    countries : (str, str)
        The countries of its border, home first.

    Returns
    -------
    Mandate
        What was agreed.
    tuple of Decision
        What people decided, in time order.

    Raises
    ------
    FormatError
        If a key is unknown, missing or wrong; named with its line.
    NotAuthorisedError
        If the rules do not permit such an operation at all.
    """
    return _Reader(file, countries).read()


class _Reader:
    """Reads the tables of `KEYS`."""

    def __init__(self, file: TomlFile, countries: tuple[str, str]) -> None:
        self.file, self.countries = file, countries
        self.ids: tuple[str, ...] = ()

    def read(self) -> tuple[Mandate, tuple[Decision, ...]]:
        whole = self._checked("operation", self.file.tables["operation"], 0)
        authorities = self._authorities()
        home, host = (
            self._authority(whole, "operation", role, 0) if role in whole else country
            for role, country in zip(("home", "host"), self.countries, strict=True)
        )
        for role, who, country in zip(("home", "host"), (home, host), self.countries, strict=True):
            told = next((one.country for one in authorities if one.id == who), None)
            if told != country:
                line = self.file.line("operation", role, 0)
                raise self.file.fault(f"[operation] {role} is {who!r} of {told}; the border says {country}.", line)
        rules = self._rules(whole)
        figures = {
            name: self.file.number(whole, "operation", name, 0, low, high, unit)
            for name, low, high, unit in (
                ("approach_m", 0.0, FAR_M, "metres"),
                ("lost_s", 1.0, DAY_S, "seconds"),
                ("look_s", 0.01, 3600.0, "seconds"),
            )
            if name in whole
        }
        texts = {key: self.file.text(whole, "operation", key, 0) for key in ("offence", "purpose") if key in whole}
        basis = self.file.choice(whole, "operation", "basis", 0, BASES) if "basis" in whole else AUTHORISED
        mandate = Mandate(
            home,
            host,
            authorities,
            rules,
            basis,
            texts.get("offence", ""),
            texts.get("purpose", ""),
            self._all("zone", self._zone),
            self._all("private", lambda row, number: self._area(row, "private", number)),
            self._all("authorisation", self._authorisation),
            confirmed_by=texts.get("rules_confirmed_by", ""),
            **figures,
        )
        return mandate, self._decisions(mandate)

    def _checked(self, table: str, row: dict, number: int) -> dict:
        needed, optional = KEYS[table]
        return self.file.check_keys(table, row, number, (*needed, *optional), needed)

    def _all(self, table: str, read: Callable[[dict, int], T]) -> tuple[T, ...]:
        rows = enumerate(self.file.rows(table))
        return tuple(read(self._checked(table, row, number), number) for number, row in rows)

    def _authorities(self) -> tuple[Authority, ...]:
        named = self._all("authority", self._one_authority)
        self.ids = tuple(one.id for one in named)
        absent = [country for country in self.countries if country not in self.ids]
        made = (*named, *(Authority(country, country) for country in absent))
        self.ids = tuple(one.id for one in made)
        return made

    def _one_authority(self, row: dict, number: int) -> Authority:
        texts = {key: self.file.text(row, "authority", key, number) for key in row}
        if "public_key" in texts:
            texts["public_key"] = str(self._path(row, "authority", "public_key", number))
        return Authority(**texts)

    def _rules(self, whole: dict) -> RuleSet:
        name = whole.get("rules", "schengen-40")
        if not isinstance(name, str):
            raise self.file.wrong("operation", "rules", 0, "the name of a rule set or a .toml file", name)
        rules = read_rules(self.file.path.parent / name if name.endswith(".toml") else name)
        agreement = self.file.tables.get("agreement")
        if agreement is None:
            return rules
        figures = {key: value for key, value in agreement.items() if key != "reference"}
        self.file.check_keys("agreement", agreement, 0, ("reference", *rules.rules), ("reference",))
        try:
            return rules.amended(self.file.text(agreement, "agreement", "reference", 0), figures)
        except InputError as fault:
            raise self.file.fault(str(fault), self.file.line("agreement", next(iter(figures), None), 0)) from None

    def _zone(self, row: dict, number: int) -> Zone:
        act = self.file.choice(row, "zone", "act", number, (*ZONE_ACTS, "both")) if "act" in row else "both"
        return Zone(
            self._authority(row, "zone", "authority", number),
            ZONE_ACTS if act == "both" else (act,),
            self.file.choice(row, "zone", "side", number, SIDES) if "side" in row else "both",
            **self._place(row, "zone", number),
        )

    def _authorisation(self, row: dict, number: int) -> Authorisation:
        issued_us = self._time(row, "authorisation", "issued", number)
        return self._guarded(
            "authorisation",
            number,
            issuer=self._authority(row, "authorisation", "issuer", number),
            recipient=self._authority(row, "authorisation", "recipient", number),
            issued_us=issued_us,
            **self._terms(row, "authorisation", number, issued_us),
        )

    def _guarded(self, table: str, number: int, **terms: Any) -> Authorisation:  # noqa: ANN401 - fields of several types
        try:
            return Authorisation(**terms)
        except InputError as fault:
            raise self.file.fault(str(fault), self.file.line(table, "valid_until", number)) from None

    def _terms(self, row: dict, table: str, number: int, issued_us: int) -> dict[str, Any]:
        """Read validity and conditions."""
        return {
            "valid_from_us": self._time(row, table, "valid_from", number) if "valid_from" in row else issued_us,
            "valid_until_us": self._time(row, table, "valid_until", number),
            "conditions": self.file.texts(row, table, "conditions", number),
            **self._place(row, table, number),
        }

    def _place(self, row: dict, table: str, number: int) -> dict[str, Any]:
        place: dict[str, Any] = {}
        if "depth_m" in row:
            place["depth_m"] = self.file.number(row, table, "depth_m", number, 0.0, FAR_M, "metres")
        if "area" in row:
            place["area"] = self._area(row, table, number)
        return place

    def _decisions(self, mandate: Mandate) -> tuple[Decision, ...]:
        made = self._all("act", lambda row, number: self._decision(row, number, mandate))
        for number, (one, after) in enumerate(itertools.pairwise(made), start=1):
            if after.time_us < one.time_us:
                line = self.file.line("act", "time", number)
                raise self.file.fault("[[act]] stand in time order; this one is earlier than the one before.", line)
        return made

    def _decision(self, row: dict, number: int, mandate: Mandate) -> Decision:
        forbidden = [word for rule in mandate.rules.rules.values() for word in rule.acts]
        kind = self.file.choice(row, "act", "kind", number, (*ACTS, *forbidden))
        by = self._authority(row, "act", "by", number)
        time_us = self._time(row, "act", "time", number)
        facts: dict[str, Any] = {"note": self.file.text(row, "act", "note", number)} if "note" in row else {}
        terms = [key for key in ("valid_from", "valid_until", "conditions", "depth_m", "area") if key in row]
        if kind == "authorise":
            self.file.check_keys("act", row, number, tuple(row), ("valid_until",))
            given = self._guarded(
                "act",
                number,
                issuer=by,
                recipient=mandate.home,
                issued_us=time_us,
                **self._terms(row, "act", number, time_us),
            )
            facts |= {"authorisation": given.to_plain()}
        elif terms:
            line = self.file.line("act", terms[0], number)
            raise self.file.fault(f"{terms[0]!r} belongs to an act of kind 'authorise'; this is {kind!r}.", line)
        return Decision(time_us, kind, by, facts)

    def _authority(self, row: dict, table: str, key: str, number: int) -> str:
        value = row[key]
        if value not in self.ids:
            raise self.file.wrong(table, key, number, f"an authority, one of {', '.join(self.ids)}", value)
        return value

    def _area(self, row: dict, table: str, number: int) -> Area:
        path = self._path(row, table, "area", number)
        try:
            return Area.read(path)
        except FormatError as fault:
            raise self.file.fault(str(fault), self.file.line(table, "area", number)) from None

    def _path(self, row: dict, table: str, key: str, number: int) -> pathlib.Path:
        path = self.file.path.parent / self.file.text(row, table, key, number)
        if not path.is_file():
            raise self.file.fault(
                f"{self.file.say(table)} {key}: there is no file {path}.", self.file.line(table, key, number)
            )
        return path.resolve()

    def _time(self, row: dict, table: str, key: str, number: int) -> int:
        """Microseconds, UTC, of a TOML date-time; one without an offset could be anybody's."""
        value = row[key]
        if not isinstance(value, dt.datetime) or value.tzinfo is None:
            raise self.file.wrong(table, key, number, "a date-time with offset, such as 2026-11-23T21:43:20Z", value)
        since = value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return since // dt.timedelta(microseconds=1)
