"""How is it said in this language? Messages, plurals, numbers, dates, articles and countries of a report."""

import datetime as dt
import importlib.resources
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dronetrack.errors import InputError

if TYPE_CHECKING:
    from babel import Locale

LANGUAGES = ("en", "hu", "ro")

_LOCALES = {"en": "en_GB"}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ARTICLE = re.compile(r"(?P<number>\d+)(?:\((?P<paragraph>\d+)\))?(?:\((?P<point>[a-z])\))?")


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Everything a page says, in one language.

    Parameters
    ----------
    language : str
        Its code, such as ``"hu"``.
    locale : babel.Locale
        Its rules for numbers, dates, lists and plurals, and the names of countries (Unicode CLDR).
    messages : mapping of str to str
        By dotted key, with named fields in braces; what depends on a count has one key for each plural category,
        such as ``rows.one`` and ``rows.other``.
    """

    language: str
    locale: "Locale"
    messages: Mapping[str, str]

    def __contains__(self, key: str) -> bool:
        return key in self.messages

    def say(self, key: str, **fields: object) -> str:
        """Return a message with its fields filled in.

        Parameters
        ----------
        key : str
            Such as ``"summary.title"``.
        **fields : object
            Its fields.

        Returns
        -------
        str
            Plain text, not escaped.
        """
        return self.messages[key].format(**fields)

    def name(self, room: str, word: str) -> str:
        """Return the name of a word of the library, or the word as it is where the catalogue has no name for it.

        Parameters
        ----------
        room : str
            Kind of word: ``"state"``, ``"act"``, ``"duty"``, ...
        word : str
            Such as ``"joint"``.

        Returns
        -------
        str
            Words that came from data, such as a user's own rule, come back as they are.
        """
        return self.messages.get(f"{room}.{word}", word.replace("_", " "))

    def count(self, key: str, n: int, **fields: object) -> str:
        """Return a message about `n` things, in the plural form that the language asks for.

        Parameters
        ----------
        key : str
            Key without its plural category.
        n : int
            How many; the field ``n`` of the message.
        **fields : object
            Further fields.

        Returns
        -------
        str
            Plain text.

        Examples
        --------
        >>> [read_catalogue("ro").count("count.rows", n) for n in (1, 2, 20)]
        ['1 măsurătoare', '2 măsurători', '20 de măsurători']
        """
        return self.say(f"{key}.{self.locale.plural_form(n)}", n=self.number(n), **fields)

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with the language's separators.

        Parameters
        ----------
        value : float
            The number.
        digits : int, optional
            Digits after the decimal separator.

        Returns
        -------
        str
            Digits and separators.
        """
        from babel.numbers import format_decimal

        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return format_decimal(value, format=pattern, locale=self.locale)

    def percent(self, part: float, digits: int = 0) -> str:
        """Return a part of one in per cent.

        Parameters
        ----------
        part : float
            0 to 1.
        digits : int, optional
            Digits after the decimal separator.

        Returns
        -------
        str
            With a no-break space before the sign.
        """
        return f"{self.number(100.0 * part, digits)}\u00a0%"

    def date(self, time_us: int) -> str:
        """Return the day in words, in UTC.

        Parameters
        ----------
        time_us : int
            Time. [us, UTC]

        Returns
        -------
        str
            Such as ``24 November 2026``.
        """
        from babel.dates import format_date

        return format_date(_moment(time_us), "long", locale=self.locale)

    def short_date(self, time_us: int, *, zone: str) -> str:
        """Return the day in figures.

        Parameters
        ----------
        time_us : int
            Time. [us, UTC]
        zone : str
            IANA name of the time zone.

        Returns
        -------
        str
            Such as ``24/11/2026``.
        """
        from babel.dates import format_date

        return format_date(local_time(time_us, zone), "short", locale=self.locale)

    def date_time(self, time_us: int, *, zone: str = "UTC") -> str:
        """Return day and time of day to the second, with the name of the time zone's offset left to the caller.

        Parameters
        ----------
        time_us : int
            Time. [us, UTC]
        zone : str, optional
            IANA name of the time zone.

        Returns
        -------
        str
            Such as ``24 November 2026, 13:05:12``.
        """
        from babel.dates import format_date

        day = format_date(local_time(time_us, zone), "long", locale=self.locale)
        return f"{day}, {self.clock(time_us, zone=zone)}"

    def clock(self, time_us: int, *, zone: str = "UTC", digits: int = 0) -> str:
        """Return the time of day, cut (not rounded) to the digits asked for.

        Parameters
        ----------
        time_us : int
            Time. [us, UTC]
        zone : str, optional
            IANA name of the time zone.
        digits : int, optional
            Digits of the second.

        Returns
        -------
        str
            Such as ``13:05:12``.
        """
        local = local_time(time_us, zone)
        whole = f"{local:%H:%M:%S}"
        return whole + self.locale.number_symbols["latn"]["decimal"] + f"{local:%f}"[:digits] if digits else whole

    def duration(self, span_us: int) -> str:
        r"""Return a span of time in hours, minutes and seconds; their symbols are the same in every language.

        Parameters
        ----------
        span_us : int
            Length. [us]

        Returns
        -------
        str
            Tenths of a second below ten seconds, whole seconds above.

        Examples
        --------
        >>> [read_catalogue("hu").duration(span) for span in (1_240_000, 83_000_000, 18_000_000_000)]
        ['1,2\xa0s', '1\xa0min 23\xa0s', '5\xa0h']
        """
        if abs(span_us) < 10_000_000:
            return f"{self.number(span_us * 1e-6, 1)}\u00a0s"
        seconds = round(abs(span_us) * 1e-6)
        parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
        return ("\u2212" if span_us < 0 else "") + " ".join(f"{n}\u00a0{unit}" for n, unit in parts if n)

    def country(self, code: str) -> str:
        """Return the name of a country, or the authority's own name where it is not a country's code.

        Parameters
        ----------
        code : str
            ISO 3166-1 alpha-2, such as ``"HU"``.

        Returns
        -------
        str
            Such as ``Magyarország``.
        """
        return self.locale.territories.get(code, code)

    def listed(self, words: Sequence[str]) -> str:
        """Return words as a list: a, b and c.

        Parameters
        ----------
        words : sequence of str
            Possibly none.

        Returns
        -------
        str
            With the language's own "and".
        """
        from babel.lists import format_list

        return format_list(list(words), locale=self.locale)

    def article(self, text: str) -> str:
        r"""Return an article in the language's own way of citing, or the text as it is where it is none.

        Parameters
        ----------
        text : str
            Such as ``"40(2)(a)"``, or ``"national law"``.

        Returns
        -------
        str
            Such as ``40. cikk (2) bekezdés a) pont``.

        Examples
        --------
        >>> read_catalogue("ro").article("40(2)(a)")
        'articolul\xa040 alineatul\xa0(2) litera\xa0(a)'
        """
        if text == "national law":
            return self.say("cite.national")
        found = _ARTICLE.fullmatch(text.strip().removeprefix("Article").strip())
        if found is None:
            return text
        parts = [self.say(f"cite.{part}", n=found[part]) for part in ("number", "paragraph", "point") if found[part]]
        return self.say("cite.between").join(parts)


def read_catalogue(language: str) -> Catalogue:
    """Read the messages of a language.

    Parameters
    ----------
    language : str
        One of `LANGUAGES`.

    Returns
    -------
    Catalogue
        Ready to say things.

    Raises
    ------
    InputError
        If there is no such language.

    Examples
    --------
    >>> read_catalogue("hu").country("RO")
    'Románia'
    """
    from babel import Locale

    if language not in LANGUAGES:
        raise InputError(f"no messages in {language!r}; there are {', '.join(LANGUAGES)}.")
    place = importlib.resources.files("dronetrack") / "data" / "messages" / f"{language}.toml"
    tables = tomllib.loads(place.read_text(encoding="utf-8"))
    return Catalogue(language, Locale.parse(_LOCALES.get(language, language)), _flat(tables))


def local_time(time_us: int, zone: str) -> dt.datetime:
    """Return a moment in a time zone.

    Parameters
    ----------
    time_us : int
        Time. [us, UTC]
    zone : str
        IANA name, such as ``"Europe/Bucharest"``.

    Returns
    -------
    datetime.datetime
        With its zone.
    """
    import zoneinfo

    return _moment(time_us).astimezone(zoneinfo.ZoneInfo(zone))


def _moment(time_us: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=int(time_us))


def _flat(tables: Mapping[str, object], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = str(value)
    return flat
