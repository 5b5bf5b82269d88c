"""What is a page made of? Cells, tables, figures and sections, and the one who words them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dronetrack.border import Border
from dronetrack.report.catalogue import Catalogue, local_time
from dronetrack.report.story import Story

NOTHING = "\u2013"  # in a cell that has nothing to say

# Said with words beside them, never alone.
SIGNS = {"met": "✓", "late": "!", "missed": "✕", "open": "…", "whole": "✓", "broken": "✕", "refused": "✕"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Parameters
    ----------
    words, below : str
        What it says, and in smaller letters below.
    machine : str
        The time it tells, for machines: ISO 8601.
    sign, look : str
        A sign before the words, and a class of the style sheet.
    """

    words: str
    below: str = ""
    machine: str = ""
    sign: str = ""
    look: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; `empty` is said in place of a table without rows."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture, ready for the page, with its caption and what its signs mean."""

    drawing: str
    caption: str
    legend: Sequence[tuple[str, str]] = ()
    moves: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page."""

    name: str
    title: str
    words: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Teller:
    """Words a story in a language.

    Parameters
    ----------
    story : Story
        What is told.
    catalogue : Catalogue
        The language.
    border : Border or None
        The line between home and host.
    """

    story: Story
    catalogue: Catalogue
    border: Border | None

    def heads(self, *names: str) -> list[str]:
        """Return the heads of a table's columns."""
        return [self.catalogue.say(f"head.{name}") for name in names]

    def empty(self, name: str) -> str:
        """Return what is said in place of a table without rows."""
        return self.catalogue.say(f"empty.{name}")

    def clock(self, time_us: int, digits: int = 0, zone: str = "UTC") -> str:
        """Return the time of day."""
        return self.catalogue.clock(time_us, zone=zone, digits=digits)

    def when(self, time_us: int, *, digits: int = 0, dated: bool = False) -> Cell:
        """Return a time in UTC with the clocks of home and host below; with its day where that is another."""
        other_day = self.catalogue.date(time_us) != self.catalogue.date(self.story.begin_us)
        day = f"{self.catalogue.date(time_us)}, " if dated or other_day else ""
        machine = f"{local_time(time_us, 'UTC'):%Y-%m-%dT%H:%M:%S.%fZ}"
        words = f"{day}{self.clock(time_us, digits)}\u00a0UTC"
        return Cell(words, " · ".join(self.local(code, zone, time_us) for code, zone in self.zones()), machine)

    def zones(self) -> list[tuple[str, str]]:
        """Return home and host with their time zones, as far as these are known."""
        return [(one.code, one.zone) for one in self.story.parties if one.role != "other" and one.zone != "UTC"]

    def local(self, code: str, zone: str, *times_us: int) -> str:
        """Return times on one authority's clock, with the day where its calendar is already at another."""
        days = [self.catalogue.short_date(time_us, zone=zone) for time_us in times_us]
        utc = [self.catalogue.short_date(time_us, zone="UTC") for time_us in times_us]
        told = [
            f"{day}\u00a0{self.clock(time_us, 0, zone)}" if day != there else self.clock(time_us, 0, zone)
            for time_us, day, there in zip(times_us, days, utc, strict=True)
        ]
        return f"{code}\u00a0" + "\u2013".join(told)

    def authority(self, code: str) -> str:
        """Return an authority by name and code."""
        party = next((one for one in self.story.parties if one.code == code), None)
        name = (party.name or self.catalogue.country(party.country)) if party else self.catalogue.country(code)
        return name if name == code else f"{name} ({code})"

    def cite(self, article: str, below: str = "") -> Cell:
        """Return the cell of an article."""
        return Cell(self.cited(article), below, look="cite")

    def cited(self, article: str) -> str:
        """Return an article as the language cites it, a dash for none."""
        return self.catalogue.article(article) if article else NOTHING

    def cause(self, cause: str) -> str:
        """Return a cause in words, a dash for none."""
        return self.catalogue.name("cause", cause) if cause else NOTHING

    def metres(self, value: float) -> str:
        """Return a length to a tenth of a metre."""
        return f"{self.catalogue.number(value, 1)}\u00a0m"

    def probability(self, value: float) -> str:
        """Return a probability, never rounded up to certainty."""
        return f"> {self.catalogue.number(0.999, 3)}" if value > 0.9995 else self.catalogue.number(value, 3)

    def place(self, lat_deg: float, lon_deg: float) -> str:
        """Return latitude and longitude to a metre; nothing where they have been purged."""
        if not np.isfinite(lat_deg):
            return ""
        return f"{self.catalogue.number(lat_deg, 5)}° {self.catalogue.number(lon_deg, 5)}°"
