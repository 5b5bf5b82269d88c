"""How does it look? Bars, lines and points as SVG that stands alone, in light and dark, on screen and on paper.

Every mark is told apart by shape or place as well as by colour; the colours are Okabe and Ito's, which colour-blind
readers tell apart. The text stays text, so that it can be searched, read aloud and scaled.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

Entry = dict[str, Any]

WIDTH, ROW, LABEL, RIGHT = 860, 22, 300, 90
PEER, LIMIT, OURS = "peer", "limit", "ours"
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "bar")
STYLE = """
svg{font:12px system-ui,sans-serif;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--ours:#d55e00;--peer:#0072b2;
--limit:#8a9199;--c1:#0072b2;--c2:#009e73;--c3:#cc79a7;--c4:#a07800;--c5:#3a96c8;--paper:#ffffff}
@media (prefers-color-scheme:dark){svg{--ink:#e6edf3;--soft:#9aa4af;--line:#3d444d;--ours:#ff8a3d;--peer:#56b4e9;
--limit:#8a9199;--c1:#56b4e9;--c2:#2fc79b;--c3:#e3a0c6;--c4:#e6b422;--c5:#8ccbee;--paper:#0d1117}}
@media print{svg{--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--ours:#d55e00;--peer:#0072b2;--limit:#8a9199;
--c1:#0072b2;--c2:#009e73;--c3:#cc79a7;--c4:#a07800;--c5:#3a96c8;--paper:#ffffff}}
text{fill:var(--ink)}.soft{fill:var(--soft)}.grid{stroke:var(--line)}.one{stroke:var(--ink)}.head{font-weight:600}
.ours{fill:var(--ours);stroke:var(--ours)}.peer{fill:var(--peer);stroke:var(--peer)}
.limit{fill:none;stroke:var(--limit)}.goal{fill:var(--paper);stroke:var(--ink);stroke-width:1.5}
.c1{fill:var(--c1);stroke:var(--c1)}.c2{fill:var(--c2);stroke:var(--c2)}.c3{fill:var(--c3);stroke:var(--c3)}
.c4{fill:var(--c4);stroke:var(--c4)}.c5{fill:var(--c5);stroke:var(--c5)}.way{fill:none;stroke-width:2}
"""


def short(value: float) -> str:
    """Write a number with three digits, thousands apart.

    >>> short(12345.6), short(3.14159), short(0.000123)
    ('12,300', '3.14', '0.000123')
    """
    if value == 0.0 or not math.isfinite(value):
        return str(value)
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def seconds(value: float) -> str:
    """Write a duration in the unit that suits it.

    >>> seconds(0.0000123), seconds(2.0), seconds(4.2e-8)
    ('12.3 us', '2.00 s', '42.0 ns')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{short(value / size)} {unit}"
    return f"{short(value / 1e-9)} ns"


def unit_s(job: Entry) -> float:
    """Return the median seconds that a job needs per unit of its work."""
    return statistics.median(job[f"{job['clock']}_s"]) / job["amount"]


def ratio_bars(rows: Sequence[tuple[str, str, str, float, float | None]]) -> str:
    """Draw how many times as fast ours is, a bar for each peer and limit, on a scale of powers of ten.

    Parameters
    ----------
    rows : sequence of (case, other, role, ratio, goal)
        The goal is None where there is none.

    Returns
    -------
    str
        SVG; empty without rows.
    """
    if not rows:
        return ""
    values = [value for *_, value, _ in rows] + [goal for *_, goal in rows if goal]
    low = math.floor(min(0.0, *map(math.log10, values)))
    high = max(math.ceil(max(map(math.log10, values))), low + 1, 1)
    scale = (WIDTH - LABEL - RIGHT) / (high - low)

    def x(value: float) -> float:
        return LABEL + (math.log10(value) - low) * scale

    parts, y, last = [], 34.0, ""
    for case, other, role, value, goal in rows:
        if case != last:
            y += 6
            parts.append(_text(0, y + 15, case, "head"))
            y, last = y + ROW, case
        start, end = sorted((x(1.0), x(value)))
        dash = ' stroke-dasharray="3 2"' if role == LIMIT else ""
        parts.append(_text(LABEL - 8, y + 15, other, "soft" if role == LIMIT else "", "end"))
        size = f'width="{max(end - start, 1):.1f}" height="13"'
        parts.append(f'<rect class="{role}" x="{start:.1f}" y="{y + 4:.1f}" {size}{dash}/>')
        if goal:
            parts.append(_shape("diamond", x(goal), y + 10.5, "goal"))
        words = (
            f"{short(value)}x"
            if role != LIMIT
            else f"{short(100 * value)} % of it"
            if value < 1.0
            else f"{short(value)}x"
        )
        parts.append(_text(max(end, x(goal) + 6 if goal else 0.0) + 6, y + 15, words))
        y += ROW
    grid = [_rule(x(10.0**power), 30, y) for power in range(low, high + 1)]
    grid += [_text(x(10.0**power), 24, f"{10.0**power:,g}x", "soft", "middle") for power in range(low, high + 1)]
    grid.append(_rule(x(1.0), 30, y, "one"))
    head = _text(
        LABEL, 10, "how many times as fast ours is (diamond: the goal; dashed: a limit of the machine)", "soft"
    )
    return _svg(y + 8, [head, *grid, *parts], "How many times as fast ours is as each peer and limit")


def cost_lines(lines: dict[str, tuple[str, list[tuple[float, float]]]], unit: str) -> str:
    """Draw the cost of a unit of work against the size, both on scales of powers of ten.

    Parameters
    ----------
    lines : dict of str to (role, points)
        Points are (n, seconds per unit).
    unit : str
        What is counted.

    Returns
    -------
    str
        SVG; empty unless a line has two points.
    """
    lines = {name: line for name, line in lines.items() if len(line[1]) > 1}
    if not lines:
        return ""
    across = _Scale([n for _, points in lines.values() for n, _ in points], 70, 560)
    up = _Scale([cost for _, points in lines.values() for _, cost in points], 330, 40)
    parts = [
        _text(70, 20, f"seconds per {_one(unit)} against n (left is small, low is fast)", "soft"),
        *_grid(across, up),
    ]
    places = _apart([(up.at(points[-1][1]), name) for name, (_, points) in lines.items()])
    for number, (name, (role, points)) in enumerate(lines.items()):
        mark, colour = _mark(number, role)
        places_px = [(across.at(n), up.at(cost)) for n, cost in points]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places_px)
        dash = ' stroke-dasharray="4 3"' if role == LIMIT else ""
        parts.append(f'<polyline class="{colour} way" style="fill:none" points="{way}"{dash}/>')
        parts += [_shape(mark, x, y, colour) for x, y in places_px]
        end_x, end_y = places_px[-1]
        parts.append(f'<line class="grid" x1="{end_x + 6:.1f}" y1="{end_y:.1f}" x2="586" y2="{places[name]:.1f}"/>')
        parts += [_shape(mark, 594, places[name], colour), _text(604, places[name] + 4, name)]
    return _svg(366, parts, f"Cost of one of the {unit} against the size")


def accuracy_points(points: Sequence[tuple[str, str, float, float]], unit: str, figure: str) -> str:
    """Draw accuracy against time: the lower left is where to be.

    Parameters
    ----------
    points : sequence of (name, role, seconds per unit, error)
        One for each way.
    unit : str
        What is counted.
    figure : str
        Which error.

    Returns
    -------
    str
        SVG; empty for fewer than two points.
    """
    if len(points) < 2:
        return ""
    across = _Scale([cost for *_, cost, _ in points], 70, 560)
    up = _Scale([error for *_, error in points], 330, 40)
    parts = [
        _text(70, 20, f"{figure} against seconds per {_one(unit)} (lower left is better)", "soft"),
        *_grid(across, up),
    ]
    places = _apart([(up.at(error), name) for name, *_, error in points])
    for number, (name, role, cost, error) in enumerate(points):
        mark, colour = _mark(number, role)
        x, y = across.at(cost), up.at(error)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="586" y2="{places[name]:.1f}"/>')
        parts += [_shape(mark, x, y, colour), _shape(mark, 594, places[name], colour)]
        parts.append(_text(604, places[name] + 4, name))
    return _svg(366, parts, f"{figure} against time")


class _Scale:
    """Places of numbers on a scale of powers of ten."""

    def __init__(self, values: Iterable[float], start: float, stop: float) -> None:
        logs = [math.log10(value) for value in values]
        low, high = min(logs), max(logs)
        if high - low < 1.0:
            low, high = low - 0.5 * (1.0 - high + low), high + 0.5 * (1.0 - high + low)
        pad = 0.04 * (high - low)
        self.low, self.high, self.start, self.stop = low - pad, high + pad, start, stop

    def at(self, value: float) -> float:
        """Return the place of a number. [px]"""
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return round numbers within."""
        steps = (1.0,) if self.high - self.low > 1.5 else (1.0, 2.0, 5.0)
        found = [s * 10.0**p for p in range(math.floor(self.low), math.ceil(self.high) + 1) for s in steps]
        return [one for one in found if self.low <= math.log10(one) <= self.high]


def _grid(across: _Scale, up: _Scale) -> list[str]:
    parts = []
    for value in across.ticks():
        x = across.at(value)
        parts += [_rule(x, 40, 330), _text(x, 348, _tick(value), "soft", "middle")]
    for value in up.ticks():
        y = up.at(value)
        parts.append(f'<line class="grid" x1="70" y1="{y:.1f}" x2="560" y2="{y:.1f}"/>')
        parts.append(_text(64, y + 4, _tick(value), "soft", "end"))
    return parts


def _tick(value: float) -> str:
    return f"{value:g}" if 1e-3 <= value < 1e5 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _one(unit: str) -> str:
    """Return the singular of a unit of rate: `steps/s` counts steps."""
    return unit.removesuffix("/s").removesuffix("s") or unit


def _mark(number: int, role: str) -> tuple[str, str]:
    if role == OURS:
        return SHAPES[number % len(SHAPES)], "ours"
    return SHAPES[number % len(SHAPES)], "limit" if role == LIMIT else f"c{1 + number % 5}"


def _apart(wanted: list[tuple[float, str]], least: float = 17.0) -> dict[str, float]:
    """Places of labels: near where they want to be, and not on top of each other. [px]"""
    places: dict[str, float] = {}
    before = -math.inf
    for y, name in sorted(wanted):
        before = max(y, before + least)
        places[name] = before
    below = before - 340.0
    return {name: y - max(below, 0.0) for name, y in places.items()}


def _shape(kind: str, x: float, y: float, css: str) -> str:
    ways = {
        "square": "M-4,-4H4V4H-4Z", "triangle": "M0,-5L5,4H-5Z", "diamond": "M0,-6L5,0L0,6L-5,0Z",
        "cross": "M-4,-4L4,4M-4,4L4,-4", "bar": "M-5,-2H5V2H-5Z",
    }  # fmt: skip
    if kind == "circle":
        return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    return f'<path class="{css}" transform="translate({x:.1f},{y:.1f})" d="{ways[kind]}" stroke-width="1.5"/>'


def _rule(x: float, top: float, bottom: float, css: str = "grid") -> str:
    return f'<line class="{css}" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'


def _text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    css = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{css}>{escape(words)}</text>'


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    box = f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {box}>', f"<style>{STYLE}</style>", *parts, "</svg>"])
