"""How do text and numbers of a file become rows? What the readers of every format share."""

import datetime as dt
import pathlib
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError

import numpy as np

from dronetrack.errors import FormatError
from dronetrack.units.reports import NO_CONTACT

# User-equivalent range error of a single-frequency civil receiver under open sky, 1 sigma (GPS SPS Performance
# Standard, 5th ed. 2020, table B.2-1, rounded up for a moving car). HDOP times this is the distance root mean square
# of both axes together, so one axis has 1 / sqrt(2) of it.
UERE_M = 3.0
HDOP_TO_STD_M = UERE_M / 2.0**0.5
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


OPTIONAL = (
    "alt_hae_m",
    "alt_msl_m",
    "h_acc_m",
    "speed_mps",
    "course_deg",
    "contact_range_m",
    "contact_bearing_deg",
)


@dataclass
class Rows:
    """Columns as a reader fills them: one list per column, NaN where unknown, plus the unit's name per row."""

    unit: list[str] = field(default_factory=list)
    time_us: list[int] = field(default_factory=list)
    lat_deg: list[float] = field(default_factory=list)
    lon_deg: list[float] = field(default_factory=list)
    alt_hae_m: list[float] = field(default_factory=list)
    alt_msl_m: list[float] = field(default_factory=list)
    h_acc_m: list[float] = field(default_factory=list)
    speed_mps: list[float] = field(default_factory=list)
    course_deg: list[float] = field(default_factory=list)
    contact: list[int] = field(default_factory=list)
    contact_range_m: list[float] = field(default_factory=list)
    contact_bearing_deg: list[float] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)

    def add(self, unit: str, time_us: int, lat_deg: float, lon_deg: float, **known: float) -> None:
        """Add one row; what is not `known` is NaN."""
        self.unit.append(unit)
        self.time_us.append(time_us)
        self.lat_deg.append(lat_deg)
        self.lon_deg.append(lon_deg)
        self.contact.append(int(known.get("contact", NO_CONTACT)))
        for name in OPTIONAL:
            getattr(self, name).append(known.get(name, np.nan))

    def count(self, what: str) -> None:
        """Count something that made no row."""
        self.stats[what] = self.stats.get(what, 0) + 1


def safe_xml(path: pathlib.Path, content: bytes) -> Element:
    """Parse XML from a stranger: entities, external references and document types are refused, not expanded."""
    import defusedxml.ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        return defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise FormatError(f"{path.name}: refused, the XML declares entities or a document type.") from None
    except (ParseError, ValueError, LookupError) as fault:
        raise FormatError(f"{path.name}: broken XML ({fault}).") from None


def utc_us(moment: dt.datetime) -> int:
    """Return microseconds UTC; a time without a zone is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def iso_us(text: str) -> int | None:
    """Return microseconds UTC of an ISO 8601 text, None where it is none."""
    try:
        return utc_us(dt.datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def number(text: str | float | None) -> float:
    """Return a finite number, NaN for anything else."""
    try:
        value = np.nan if text is None else float(text)
    except (TypeError, ValueError):
        return np.nan
    return value if np.isfinite(value) else np.nan


def or_nan(value: float | None) -> float:
    """Return NaN for None."""
    return np.nan if value is None else float(value)


def say_counts(stats: dict) -> str:
    """Say counts in words, for an error message."""
    return ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in stats.items() if count) or "nothing counted"
