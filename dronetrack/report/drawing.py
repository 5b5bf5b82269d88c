"""How is a picture put into a page? Drawings that print, that turn dark with the page, and that are read aloud."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH = 960.0  # of every picture, in its own pixels

# Okabe and Ito's palette (jfly.uni-koeln.de/color): told apart by colour-blind readers too; never the only sign.
HOME, HOST, OTHER, NOBODY = "#0072b2", "#e69f00", "#56b4e9", "#8a9199"
GOOD, BAD, CROSSING = "#009e73", "#d55e00", "#cc79a7"
INK, QUIET, FAINT, PAPER = "#1b1f24", "#59636e", "#d8dde2", "#ffffff"

# What a class means on paper. The style sheet of the page says the same names again for dark screens.
LOOKS: dict[str, dict[str, str]] = {
    **{
        name: {"fill": colour}
        for name, colour in {
            "ink": INK,
            "quiet": QUIET,
            "paper": PAPER,
            "home": HOME,
            "host": HOST,
            "other": OTHER,
            "nobody": NOBODY,
            "good": GOOD,
            "bad": BAD,
            "crossing": CROSSING,
            "on-home": PAPER,
            "on-host": INK,
            "on-other": INK,
            "on-ink": PAPER,
            "on-bad": "#000000",
            "ground": "#f6f5f1",
            "lane": "#f3f4f5",
        }.items()
    },
    **{
        f"line-{name}": {"stroke": colour, "fill": "none"}
        for name, colour in {
            "ink": INK,
            "quiet": QUIET,
            "faint": FAINT,
            "paper": PAPER,
            "home": HOME,
            "host": HOST,
            "other": OTHER,
            "nobody": NOBODY,
            "bad": BAD,
            "crossing": CROSSING,
            "good": GOOD,
        }.items()
    },
    "edge": {"stroke": INK},  # a rim in ink
    "rim": {"stroke": PAPER},  # a rim in the colour of the paper
    "veil": {"fill": PAPER, "fill-opacity": "0.82"},
    "band": {"fill": BAD, "fill-opacity": "0.32"},
    "shade": {"fill": NOBODY, "fill-opacity": "0.3"},
    "side-home": {"fill": HOME, "fill-opacity": "0.07"},
    "side-host": {"fill": HOST, "fill-opacity": "0.09"},
    "side-name-home": {"fill": HOME, "fill-opacity": "0.75"},
    "side-name-host": {"fill": "#8f6300", "fill-opacity": "0.85"},
}

_CHARACTER_EM = 0.565  # mean width of a character of the system's sans-serif fonts


class Sheet:
    """One drawing: shapes in the order in which they are put down.

    Parameters
    ----------
    width, height : float
        Its size in its own units, pixels at full width.
    name : str, optional
        Unique name within the page; a sheet without one is a sign beside words, and is not read aloud.
    title, description : str, optional
        What it is and what it shows, for those who hear it read.
    """

    def __init__(self, width: float, height: float, *, name: str = "", title: str = "", description: str = "") -> None:
        self.width, self.height, self.name = width, height, name
        box = {"viewBox": f"0 0 {_plain(width)} {_plain(height)}"}
        # The name space lets a printer's own reader of drawings read it.
        self.root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **box, **self._about()})
        if name:
            ET.SubElement(self.root, "title", {"id": f"{name}-title"}).text = title
            ET.SubElement(self.root, "desc", {"id": f"{name}-description"}).text = description
        self._at = self.root

    def _about(self) -> dict[str, str]:
        if not self.name:
            return {"class": "sign", "aria-hidden": "true", "width": _plain(self.width), "height": _plain(self.height)}
        about = f"{self.name}-title {self.name}-description"
        return {"id": self.name, "class": "picture", "role": "img", "aria-labelledby": about}

    def group(self, **attributes: object) -> "Sheet":
        """Return the same sheet, drawing into a new group.

        Parameters
        ----------
        **attributes : object
            Of the group, such as ``clip_path="url(#frame)"``.

        Returns
        -------
        Sheet
            Shares everything else.
        """
        inner = object.__new__(Sheet)
        inner.width, inner.height, inner.name, inner.root = self.width, self.height, self.name, self.root
        inner._at = self._put("g", "", attributes)
        return inner

    def fixed(self, x: float, y: float) -> "Sheet":
        """Return the sheet, drawing about a place in a size that stays when one comes closer.

        Parameters
        ----------
        x, y : float
            The place, the group's own origin.

        Returns
        -------
        Sheet
            A group.
        """
        return self.group(class_="fixed", data_x=x, data_y=y, transform=f"translate({_plain(x)} {_plain(y)})")

    def clip(self, name: str, x: float, y: float, width: float, height: float) -> str:
        """Define a frame outside which nothing shows.

        Parameters
        ----------
        name : str
            Its name within the sheet.
        x, y, width, height : float
            The frame.

        Returns
        -------
        str
            The value for `clip_path` of a group.
        """
        whole = f"{self.name}-{name}"
        path = ET.SubElement(ET.SubElement(self._at, "defs"), "clipPath", {"id": whole})
        ET.SubElement(path, "rect", _attributes({"x": x, "y": y, "width": width, "height": height}))
        return f"url(#{whole})"

    def hatched(self, x: float, y: float, width: float, height: float, look: str) -> None:
        """Draw a rectangle of slanted lines in the colour of an authority."""
        starts = np.arange(x - height, x + width, 6.0)
        rising = [_slant(start, x, y, width, height) for start in starts.tolist()]
        self.path("".join(rising), f"line-{look}", stroke_width=2.2)
        self.rect(x, y, width, height, f"line-{look}", stroke_width=1.2, rx=2.0)

    def rect(self, x: float, y: float, width: float, height: float, look: str, **more: object) -> None:
        """Draw a rectangle."""
        self._put("rect", look, {"x": x, "y": y, "width": width, "height": height, **more})

    def circle(self, x: float, y: float, radius: float, look: str, **more: object) -> None:
        """Draw a circle."""
        self._put("circle", look, {"cx": x, "cy": y, "r": radius, **more})

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str, **more: object) -> None:
        """Draw a straight line."""
        self._put("line", look, {"x1": x1, "y1": y1, "x2": x2, "y2": y2, **more})

    def path(self, d: str, look: str, **more: object) -> None:
        """Draw a path; see `polyline`."""
        self._put("path", look, {"d": d, **more})

    def text(self, x: float, y: float, words: str, look: str = "ink", *, size: float = 12.0, **more: object) -> None:
        """Write words; `x`, `y` is the left end of their baseline unless `text_anchor` says otherwise."""
        self._put("text", look, {"x": x, "y": y, "font_size": size, **more}).text = words

    def markup(self) -> str:
        """Return the drawing as text for a page.

        Returns
        -------
        str
            Every word in it is escaped.
        """
        return ET.tostring(self.root, encoding="unicode")

    def _put(self, tag: str, look: str, attributes: dict[str, object]) -> ET.Element:
        looks: dict[str, object] = {"class": look} if look else {}
        for one in look.split():
            looks |= LOOKS[one]
        return ET.SubElement(self._at, tag, _attributes({**looks, **attributes}))


def polyline(x: Floats, y: Floats, *, closed: bool = False, digits: int = 2) -> str:
    """Return the path through points; NaN lifts the pen.

    Parameters
    ----------
    x, y : (n,) float64
        The points.
    closed : bool, optional
        Whether the last joins the first.
    digits : int, optional
        Digits after the point.

    Returns
    -------
    str
        Value of a path's `d`.

    Examples
    --------
    >>> polyline(np.array([0.0, 1.5, np.nan, 2.0]), np.array([0.0, 1.0, np.nan, 3.0]))
    'M0 0L1.5 1M2 3'
    """
    parts, pen = [], "M"
    for one, other in np.round(np.column_stack([x, y]), digits).tolist():
        if np.isnan(one):
            pen = "M"
            continue
        parts.append(f"{pen}{_plain(one)} {_plain(other)}")
        pen = "L"
    return "".join(parts) + ("Z" if closed and parts else "")


def text_width(words: str, size: float = 12.0, *, bold: bool = False) -> float:
    """Guess how wide words stand.

    Parameters
    ----------
    words : str
        One line.
    size : float, optional
        Font size.
    bold : bool, optional
        Whether they stand in bold letters.

    Returns
    -------
    float
        In the same unit, a little on the wide side.
    """
    return (1.12 if bold else 1.0) * _CHARACTER_EM * size * len(words)


def rows_without_overlap(start: Sequence[float], stop: Sequence[float]) -> list[int]:
    """Put spans on rows, each on the first where it touches no other.

    Parameters
    ----------
    start, stop : sequence of float
        The spans, by increasing start.

    Returns
    -------
    list of int
        Row of each span, from 0.

    Examples
    --------
    >>> rows_without_overlap([0, 1, 5], [4, 6, 7])
    [0, 1, 0]
    """
    ends: list[float] = []
    rows = []
    for begin, end in zip(start, stop, strict=True):
        row = next((row for row, last in enumerate(ends) if last <= begin), len(ends))
        ends[row : row + 1] = [end]
        rows.append(row)
    return rows


def _slant(start: float, x: float, y: float, width: float, height: float) -> str:
    """Return the part of a line rising from (start, y + height) at 45 degrees that lies within a rectangle."""
    left, right = max(start, x), min(start + height, x + width)
    if right <= left:
        return ""
    low, high = y + height - (left - start), y + height - (right - start)
    return f"M{_plain(left)} {_plain(low)}L{_plain(right)} {_plain(high)}"


def _attributes(given: dict[str, object]) -> dict[str, str]:
    return {key.strip("_").replace("_", "-"): _plain(value) for key, value in given.items()}


def _plain(value: object) -> str:
    """Write a number as shortly as it goes; other things as they are."""
    if isinstance(value, float | np.floating):
        return f"{round(float(value), 3) + 0.0:.10g}"
    return str(value)
