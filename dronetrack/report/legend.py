"""What do the signs of the pictures mean? Each is drawn once more, small, beside its words."""

from collections.abc import Callable

from dronetrack.report.drawing import Sheet
from dronetrack.report.map import DASHES, STAR
from dronetrack.report.timeline import draw_mark, draw_outcome

TIMELINE_SIGNS = (
    "holds",
    "joint",
    "ended",
    "measures",
    "unseen",
    "act",
    "event",
    "refusal",
    "met",
    "missed",
    "open",
    "due",
)

WIDE, TALL = 34.0, 20.0
_MIDDLE = 10.0


def sign(look: str) -> str:
    """Draw the sign of a legend.

    Parameters
    ----------
    look : str
        Its name, such as ``"band"``.

    Returns
    -------
    str
        An `svg` element that readers aloud pass over: the words beside it say it.
    """
    sheet = Sheet(WIDE, TALL)
    if look.startswith("way-"):
        _way(sheet, look.removeprefix("way-"))
    else:
        _SIGNS[look](sheet)
    return sheet.markup()


def _way(sheet: Sheet, role: str) -> None:
    if DASHES[role] != "none":
        sheet.line(2.0, _MIDDLE, 32.0, _MIDDLE, "line-ink", stroke_width=3.6)
    sheet.line(2.0, _MIDDLE, 32.0, _MIDDLE, f"line-{role}", stroke_width=3.4, stroke_dasharray=DASHES[role])


def _box(look: str, top: float, tall: float, **more: object) -> Callable[[Sheet], None]:
    return lambda sheet: sheet.rect(2.0, top, 30.0, tall, look, **more)


def _stroke(look: str, **more: object) -> Callable[[Sheet], None]:
    return lambda sheet: sheet.line(2.0, _MIDDLE, 32.0, _MIDDLE, look, **more)


def _shape(d: str, look: str, **more: object) -> Callable[[Sheet], None]:
    return lambda sheet: sheet.group(transform=f"translate(17 {_MIDDLE:g})").path(d, look, **more)


def _mark(kind: str) -> Callable[[Sheet], None]:
    return lambda sheet: draw_mark(sheet, 1, kind, 17.0, _MIDDLE)


def _outcome(outcome: str) -> Callable[[Sheet], None]:
    return lambda sheet: draw_outcome(sheet, outcome, 17.0, _MIDDLE)


_SIGNS: dict[str, Callable[[Sheet], None]] = {
    "holds": _box("home", 4.0, 12.0, rx=2.0),
    "joint": lambda sheet: sheet.hatched(2.0, 4.0, 30.0, 12.0, "host"),
    "ended": _box("line-home", 4.0, 12.0, rx=2.0, stroke_dasharray="5 3", stroke_width=1.2),
    "measures": _box("home", 7.0, 6.0),
    "unseen": _box("nobody", 4.0, 12.0),
    "act": _mark("act"),
    "event": _mark("event"),
    "refusal": _mark("refused"),
    "met": _outcome("met"),
    "missed": _outcome("missed"),
    "open": _outcome("open"),
    "due": _shape("M0 -7V7", "line-ink", stroke_width=2.0),
    "band": _box("band", 4.0, 12.0),
    "passage": _shape(STAR, "crossing edge", stroke_width=1.2),
    "border": _stroke("line-ink", stroke_width=1.8, stroke_dasharray="10 3 2 3"),
    "post": _shape("M-5 -5L5 5M5 -5L-5 5", "line-quiet", stroke_width=2.0),
    "drone": _shape("M0 -8L7.5 6H-7.5Z", "other"),
    "unit": _shape("M-6 -6H6V6H-6Z", "other"),
    "major": _stroke("line-home", stroke_width=1.8),
    "range": _box("home", 4.0, 12.0, fill_opacity=0.25),
    "minor": _stroke("line-quiet", stroke_width=1.2, stroke_dasharray="4 3"),
    "inside": _box("home", 4.0, 12.0, fill_opacity=0.55),
    "bound": _stroke("line-ink", stroke_width=1.2, stroke_dasharray="6 3"),
    "shade": _box("shade", 4.0, 12.0),
    "passage-line": _shape("M0 -9V9", "line-crossing", stroke_width=2.0),
}
