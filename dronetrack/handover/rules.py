"""What does the law allow, by which article, and until when? Rule sets as data: a new treaty is a file, not code.

A rule set is a TOML file of ``name``, ``title``, ``source``, ``status``, ``parties`` and one ``[rule.NAME]`` for each
rule of this vocabulary:

==================  ========================================================================================
``own_territory``   an authority follows within its own country
``authorised``      the visiting side goes on across the border with an authorisation given in advance
``conditions``      the host may attach conditions to it
``entrust``         the target passes into the custody of the host, on offer or on request
``urgent``          the visiting side goes on without authorisation, for ``limit_s``, for ``offences`` only
``notice``          duty: tell the host of an urgent crossing, ``due_s`` after it
``request``         duty: ask for authorisation after an urgent crossing, ``due_s`` after it
``stop``            the host ends an urgent crossing
``instructions``    the host ends, or directs, an authorised one
``private_places``  nobody observes from within private places; ``acts`` that would are refused
``no_arrest``       ``acts`` that visitors never do
``report``          duty: report the operation to the host, ``due_s`` after its end
``agreement``       further agreements may change the figures
==================  ========================================================================================

Each has ``article`` and ``text``. ``policy = true`` says that its figure is practice and not law; ``basis`` limits a
rule to crossings that are ``"authorised"`` or ``"urgent"``. What a rule set does not hold is not permitted. Three sets
ship: ``schengen-40``, ``pcc-see-14`` and ``bilateral-template``.
"""

import importlib.resources
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Self

from dronetrack.errors import FormatError, InputError, NotAuthorisedError
from dronetrack.tomlfile import TomlFile

CONFIRMED, UNCONFIRMED, TEMPLATE = "confirmed", "to be confirmed", "template"
AUTHORISED, URGENT = "authorised", "urgent"
BASES = (AUTHORISED, URGENT)
YEAR_S = 31_557_600.0

# Rule -> what it needs besides article and text, and what it may have.
_NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "own_territory": ((), ()),
    "authorised": ((), ()),
    "conditions": ((), ()),
    "entrust": ((), ()),
    "urgent": (("limit_s", "offences"), ("offences_article", "policy")),
    "notice": (("due_s",), ("policy", "basis")),
    "request": (("due_s",), ("policy", "basis")),
    "stop": ((), ("basis",)),
    "instructions": ((), ("basis",)),
    "private_places": ((), ("acts",)),
    "no_arrest": (("acts",), ()),
    "report": (("due_s",), ("policy",)),
    "agreement": ((), ()),
}
RULE_NAMES = tuple(_NEEDS)


@dataclass(frozen=True, slots=True)
class Rule:
    """One permission, duty or prohibition.

    Parameters
    ----------
    name : str
        Its word in the vocabulary of `dronetrack.handover.rules`.
    article : str
        The article that says so.
    text : str
        What it says, in short.
    limit_s, due_s : float or None
        How long it permits; when its duty is due. [s]
    policy : bool
        Whether that figure is practice and not law.
    offences : tuple of str
        What it is limited to; none for no limit.
    offences_article : str
        Which article lists them.
    acts : tuple of str
        Acts that it forbids.
    basis : tuple of str
        For which crossings it holds: ``authorised``, ``urgent``.
    """

    name: str
    article: str
    text: str
    limit_s: float | None = None
    due_s: float | None = None
    policy: bool = False
    offences: tuple[str, ...] = ()
    offences_article: str = ""
    acts: tuple[str, ...] = ()
    basis: tuple[str, ...] = BASES


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules under which an operation runs.

    Parameters
    ----------
    name, title, source : str
        What it is called, what it is, where it is published.
    status : str
        ``confirmed``, ``to be confirmed`` (a person has to), or ``template`` (cannot be used).
    parties : tuple of str
        Country codes between which it holds; none for any.
    rules : mapping of str to Rule
        By name.

    Examples
    --------
    >>> rules = read_rules("schengen-40")
    >>> rules["urgent"].article, rules["urgent"].limit_s / 3600
    ('40(2)', 5.0)
    >>> rules["notice"].policy  # "immediately" is law, the number of seconds is not
    True
    """

    name: str
    title: str
    source: str
    status: str
    parties: tuple[str, ...]
    rules: Mapping[str, Rule]

    def __contains__(self, name: str) -> bool:
        return name in self.rules

    def __getitem__(self, name: str) -> Rule:
        return self.rules[name]

    def first(self, names: Sequence[str], basis: str = "") -> Rule | None:
        """Return the first of some rules that this set holds, and that holds for a basis where one is given."""
        found = (self.rules[name] for name in names if name in self.rules)
        return next((rule for rule in found if not basis or basis in rule.basis), None)

    def forbidding(self, act: str) -> Rule | None:
        """Return the rule that forbids an act, if one does."""
        return next((rule for rule in self.rules.values() if act in rule.acts), None)

    def check_open(self, home: str, host: str, *, confirmed_by: str = "") -> None:
        """Refuse to be used where it may not be.

        Parameters
        ----------
        home, host : str
            Country codes.
        confirmed_by : str, optional
            Who has compared the figures with the treaty, where the set asks for that.

        Raises
        ------
        NotAuthorisedError
            If this is a template, nobody has confirmed it, or a country is no party to it.
        """
        if self.status == TEMPLATE:
            raise NotAuthorisedError(f"{self.name} is a template; copy it, fill it in, and name the copy as rules.")
        if self.status == UNCONFIRMED and not confirmed_by:
            raise NotAuthorisedError(
                f"the figures of {self.name} ({self.title}) are not confirmed; compare them with the text in force, "
                "and say who did so: rules_confirmed_by."
            )
        strangers = [country for country in (home, host) if self.parties and country not in self.parties]
        if strangers:
            raise NotAuthorisedError(
                f"{', '.join(strangers)} is no party to {self.title}; name another rule set, such as one made from "
                "bilateral-template."
            )

    def amended(self, reference: str, figures: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return these rules as a bilateral agreement changes them.

        Parameters
        ----------
        reference : str
            The agreement and its article; it becomes the article of each rule that it changes.
        figures : mapping of str to mapping
            By rule, what it changes: ``limit_s``, ``due_s``, ``offences``.

        Returns
        -------
        RuleSet
            The changed set.

        Raises
        ------
        NotAuthorisedError
            If this set leaves no room for agreements.
        InputError
            If a rule or figure is not there to be changed.
        """
        if "agreement" not in self:
            raise NotAuthorisedError(f"{self.name} leaves no room for bilateral agreements.")
        changed = dict(self.rules)
        for name, changes in figures.items():
            if name not in changed:
                raise InputError(f"there is no rule {name!r} in {self.name}; there are {', '.join(changed)}.")
            _check_figures(name, changes)
            article = f"{reference} (with {changed[name].article})"
            values = {key: tuple(value) if key == "offences" else float(value) for key, value in changes.items()}
            changed[name] = replace(changed[name], article=article, policy=False, **values)
        return replace(self, rules=MappingProxyType(changed))

    def to_plain(self) -> dict[str, Any]:
        """Return the set as JSON can hold it."""
        rules = [{key: getattr(rule, key) for key in Rule.__slots__} for rule in self.rules.values()]
        head = {key: getattr(self, key) for key in ("name", "title", "source", "status", "parties")}
        return {**head, "rules": rules}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the set that `to_plain` wrote."""
        lists = ("offences", "acts", "basis")
        rules = [Rule(**{**one, **{key: tuple(one[key]) for key in lists}}) for one in plain["rules"]]
        whole = {rule.name: rule for rule in rules}
        return cls(**{**plain, "parties": tuple(plain["parties"]), "rules": MappingProxyType(whole)})


def rule_set_names() -> list[str]:
    """Return the names of the rule sets that ship with the package.

    Examples
    --------
    >>> rule_set_names()
    ['bilateral-template', 'pcc-see-14', 'schengen-40']
    """
    folder = importlib.resources.files("dronetrack") / "data" / "rules"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_rules(name: str | pathlib.Path) -> RuleSet:
    """Read a rule set.

    Parameters
    ----------
    name : str or Path
        One that ships with the package, or a TOML file.

    Returns
    -------
    RuleSet
        The rules, checked.

    Raises
    ------
    FormatError
        If there is no such set, or the file has a key that nobody knows (named with its line), lacks one, or has a
        wrong value.
    """
    if str(name) in rule_set_names():
        folder = importlib.resources.files("dronetrack") / "data" / "rules"
        with importlib.resources.as_file(folder / f"{name}.toml") as path:
            return _rules_of(TomlFile.read(path, "a rule set"))
    path = pathlib.Path(name)
    if path.suffix != ".toml":
        raise FormatError(f"no rule set {str(name)!r}; there are {', '.join(rule_set_names())}, or give a .toml file.")
    return _rules_of(TomlFile.read(path, "a rule set"))


_HEAD = ("name", "title", "source", "status", "parties")


def _rules_of(file: TomlFile) -> RuleSet:
    for key in file.tables:
        if key not in (*_HEAD, "rule"):
            raise file.unknown(key, (*_HEAD, "rule"), "", file.line("", key, 0))
    for key in (*_HEAD, "rule"):
        if key not in file.tables:
            raise file.fault(f"no {key!r}.", 0)
    whole = file.tables
    if whole["status"] not in (CONFIRMED, UNCONFIRMED, TEMPLATE):
        raise file.fault(
            f"status must be '{CONFIRMED}', '{UNCONFIRMED}' or '{TEMPLATE}'; got {whole['status']!r}.",
            file.line("", "status", 0),
        )
    name, title, source = (file.text(whole, "", key, 0) for key in ("name", "title", "source"))
    if not isinstance(whole["rule"], dict):
        raise file.fault("rules are tables: [rule.NAME].", file.line("rule", None, 0))
    rules = {key: _rule(file, key, value) for key, value in whole["rule"].items()}
    if "own_territory" not in rules:
        raise file.fault("no [rule.own_territory]; custody begins with it.", 0)
    parties = file.texts(whole, "", "parties", 0)
    return RuleSet(name, title, source, whole["status"], parties, MappingProxyType(rules))


def _rule(file: TomlFile, name: str, row: object) -> Rule:
    table = f"rule.{name}"
    if name not in _NEEDS:
        raise file.unknown(name, RULE_NAMES, "rule", file.line(table, None, 0))
    if not isinstance(row, dict):
        raise file.fault(f"{table} must be a table: [{table}].", file.line("rule", name, 0))
    needed, optional = _NEEDS[name]
    file.check_keys(table, row, 0, ("article", "text", *needed, *optional), ("article", "text", *needed))
    policy = row.get("policy", False)
    if not isinstance(policy, bool):
        raise file.wrong(table, "policy", 0, "true or false", policy)
    basis = file.texts(row, table, "basis", 0) or BASES
    if not set(basis) <= set(BASES):
        raise file.wrong(table, "basis", 0, f"a list of {' and '.join(BASES)}", list(basis))
    return Rule(
        name,
        file.text(row, table, "article", 0),
        file.text(row, table, "text", 0),
        limit_s=file.number(row, table, "limit_s", 0, 0.0, YEAR_S, "seconds") if "limit_s" in row else None,
        due_s=file.number(row, table, "due_s", 0, 0.0, YEAR_S, "seconds") if "due_s" in row else None,
        policy=policy,
        offences=file.texts(row, table, "offences", 0),
        offences_article=file.text(row, table, "offences_article", 0) if "offences_article" in row else "",
        acts=file.texts(row, table, "acts", 0),
        basis=basis,
    )


def _check_figures(name: str, changes: Mapping[str, Any]) -> None:
    known = [key for key in _NEEDS[name][0] if key != "acts"]
    for key, value in changes.items():
        if key not in known:
            raise InputError(f"an agreement changes {', '.join(known) or 'nothing'} of rule {name!r}; got {key!r}.")
        if key == "offences":
            right = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
        else:
            right = isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= YEAR_S
        if not right:
            raise InputError(f"{key} of rule {name!r} cannot be {value!r}.")
