"""How well was it known? The picture of claimed accuracy, and whether the measurements bore the claim out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dronetrack.report.catalogue import Catalogue
from dronetrack.report.drawing import WIDTH, Sheet, polyline
from dronetrack.report.story import Story
from dronetrack.report.timeline import LEFT, RIGHT, Clock, draw_times

Floats = NDArray[np.float64]

UPPER, LOWER, BETWEEN, TOP = 180.0, 70.0, 26.0, 12.0
BINS = 48  # bars of the lower panel
STEPS = 400  # a long track is drawn as medians of so many stretches, with the range of the major half-axis in each
_CURVES = ((0, np.min), (0, np.max), (0, np.median), (1, np.median))


@dataclass(frozen=True, slots=True)
class Consistency:
    """How the measurements fitted what the track foresaw.

    Parameters
    ----------
    n_rows : int
        Rows with a measurement of known size.
    inside : float
        Part of them within the 95 % bound of their own chi-square distribution; NaN without rows.
    per_component : float
        Mean normalised innovation squared for each component measured; 1 is right.
    """

    n_rows: int
    inside: float
    per_component: float


def consistency_of(story: Story) -> Consistency:
    """Judge the normalised innovations of a track.

    Parameters
    ----------
    story : Story
        The operation; it has a track.

    Returns
    -------
    Consistency
        From the rows whose measurement the journal holds.
    """
    known, inside = _inside(story)
    if not known.any():
        return Consistency(0, np.nan, np.nan)
    per_component = story.track.nis[known].sum() / story.components[known].sum()
    return Consistency(int(known.sum()), float(inside[known].mean()), float(per_component))


def draw_accuracy(story: Story, catalogue: Catalogue) -> str:
    """Draw the axes of the 95 % ellipse over time, and below how many measurements fell inside their bound.

    Parameters
    ----------
    story : Story
        The operation; it has a track.
    catalogue : Catalogue
        The language.

    Returns
    -------
    str
        An `svg` element.
    """
    clock = Clock(story.begin_us, story.end_us)
    bottom = TOP + UPPER + BETWEEN + LOWER
    title, description = catalogue.say("accuracy.picture"), catalogue.say("accuracy.description")
    sheet = Sheet(WIDTH, bottom + 24.0, name="accuracy-picture", title=title, description=description)
    draw_times(sheet, story, catalogue, clock, ["UTC"], TOP, bottom)
    for gap in story.gaps:
        sheet.rect(clock(gap.start_us), TOP, max(clock(gap.end_us) - clock(gap.start_us), 1.0), UPPER, "shade")
    _draw_axes(sheet, story, catalogue, clock)
    _draw_inside(sheet, story, catalogue, clock, TOP + UPPER + BETWEEN)
    for passage in story.passages:
        sheet.line(clock(passage.time_us), TOP, clock(passage.time_us), bottom, "line-crossing", stroke_width=2.0)
    return sheet.markup()


def _draw_axes(sheet: Sheet, story: Story, catalogue: Catalogue, clock: Clock) -> None:
    ellipse = story.track.ellipse_m
    low, high = _decades(ellipse[:, 1].min(), ellipse[:, 0].max())
    for metres in _round_values(low, high):
        y = _level(metres, low, high)
        sheet.line(LEFT, y, WIDTH - RIGHT, y, "line-faint", stroke_width=1.0)
        words = catalogue.number(metres, 0 if metres >= 1 else 1)
        sheet.text(LEFT - 10.0, y + 4.0, f"{words} m", "quiet", size=11.0, text_anchor="end")
    bins = np.array_split(np.arange(len(ellipse)), min(len(ellipse), STEPS))
    x = np.array([clock(float(story.track.time_us[rows].mean())) for rows in bins])
    curves = [[float(pick(ellipse[rows, axis])) for rows in bins] for axis, pick in _CURVES]
    low_y, high_y, major, minor = (np.array([_level(one, low, high) for one in curve]) for curve in curves)
    sheet.path(polyline(np.append(x, x[::-1]), np.append(low_y, high_y[::-1]), closed=True), "home", fill_opacity=0.25)
    sheet.path(polyline(x, minor), "line-quiet", stroke_width=1.2, stroke_dasharray="4 3")
    sheet.path(polyline(x, major), "line-home", stroke_width=1.8)


def _draw_inside(sheet: Sheet, story: Story, catalogue: Catalogue, clock: Clock, top: float) -> None:
    """Draw, for stretches of time, the part of the measurements within their 95 % bound."""
    known, inside = _inside(story)
    for part in (0.0, 0.5, 1.0):
        y = top + LOWER * (1.0 - part)
        sheet.line(LEFT, y, WIDTH - RIGHT, y, "line-faint", stroke_width=1.0)
        sheet.text(LEFT - 10.0, y + 4.0, catalogue.percent(part), "quiet", size=11.0, text_anchor="end")
    edges = np.linspace(story.begin_us, story.end_us, BINS + 1)
    place = np.clip(np.searchsorted(edges, story.track.time_us[known], side="right") - 1, 0, BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    good = np.bincount(place, weights=inside[known], minlength=BINS)
    for number in np.flatnonzero(rows).tolist():
        tall = LOWER * good[number] / rows[number]
        x, width = clock(edges[number]) + 0.7, clock(edges[number + 1]) - clock(edges[number]) - 1.4
        sheet.rect(x, top + LOWER - tall, width, tall, "home", fill_opacity=0.55)
    y = top + LOWER * 0.05
    sheet.line(LEFT, y, WIDTH - RIGHT, y, "line-ink", stroke_width=1.2, stroke_dasharray="6 3")


def _inside(story: Story) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows have a measurement of known size, and which of them lie within their 95 % bound."""
    from scipy.stats import chi2

    nis, components = story.track.nis, story.components
    known = np.isfinite(nis) & (components > 0)
    bounds = np.array([0.0, *chi2.ppf(0.95, [1, 2, 3])])
    return known, known & (nis <= bounds[components])


def _decades(low: float, high: float) -> tuple[float, float]:
    """Return limits of a logarithmic axis that hold the values, at least a factor of ten apart."""
    low, high = max(low, 1e-2), max(high, 1e-1)
    steps = [step * 10.0**power for power in range(-2, 8) for step in (1.0, 2.0, 5.0)]
    bottom = max(step for step in steps if step <= low)
    return bottom, min(step for step in steps if step >= max(high, 10.0 * bottom) * 0.999)


def _round_values(low: float, high: float) -> list[float]:
    steps = (1.0, 2.0, 5.0) if high / low < 300.0 else (1.0,)
    values = [step * 10.0**power for power in range(-2, 8) for step in steps]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


def _level(metres: float, low: float, high: float) -> float:
    part = np.log(min(max(metres, low), high) / low) / np.log(high / low)
    return TOP + UPPER * (1.0 - float(part))
