"""Who held the track when? The picture of custody: authorities as lanes, crossings, duties, gaps, acts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dronetrack.report.catalogue import Catalogue
from dronetrack.report.drawing import WIDTH, Sheet, rows_without_overlap, text_width
from dronetrack.report.story import Duty, Passage, Stint, Story

LEFT, RIGHT = 128.0, 12.0
LANE, DUTY_ROW, MARK_ROW = 52.0, 20.0, 22.0

# While the host takes part without holding the track, its lane is hatched; after an end, the home lane is an outline.
SHARED = ("crossed", "joint", "offered", "accepted")
ENDED = ("ceased", "expired", "refused", "lost")

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_SEEN_GAP_US = 5_000_000  # sightings closer than this are drawn as one stretch


@dataclass(frozen=True, slots=True)
class Clock:
    """Time to pixels.

    Parameters
    ----------
    begin_us, end_us : int
        What the width of a picture stands for. [us, UTC]
    """

    begin_us: int
    end_us: int

    def __call__(self, time_us: float) -> float:
        """Return where a time lies; what lies outside, at the edge. [px]"""
        part = (time_us - self.begin_us) / max(self.end_us - self.begin_us, 1)
        return LEFT + min(max(part, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def draw_timeline(story: Story, catalogue: Catalogue) -> str:
    """Draw who held the track when, and what was owed and done meanwhile.

    Parameters
    ----------
    story : Story
        The operation.
    catalogue : Catalogue
        The language.

    Returns
    -------
    str
        An `svg` element.
    """
    clock = Clock(story.begin_us, story.end_us)
    flags, n_flags = _placed(
        [clock(one.time_us) for one in story.passages],
        [text_width(_passage_words(one, catalogue), 11.5, bold=True) + 16.0 for one in story.passages],
    )
    marks = [max(clock(one.time_us), LEFT + 10.0) for one in story.moments]
    mark_rows = rows_without_overlap([x - 9.0 for x in marks], [x + 9.0 for x in marks])
    top = 10.0 + 18.0 * n_flags
    lanes = top + LANE * len(story.parties)
    duties = lanes + 26.0
    acts = duties + DUTY_ROW * len(story.duties) + (6.0 if story.duties else 0.0)
    axis = acts + MARK_ROW * (max(mark_rows, default=0) + 1) + 6.0
    zones = ["UTC", *dict.fromkeys(one.zone for one in story.parties if one.role != "other" and one.zone != "UTC")]
    sheet = Sheet(
        WIDTH,
        axis + 18.0 * len(zones) + 6.0,
        name="custody-picture",
        title=catalogue.say("timeline.title"),
        description=catalogue.say("timeline.description", events=len(story.moments), duties=len(story.duties)),
    )
    draw_times(sheet, story, catalogue, clock, zones, top, axis)
    _draw_lanes(sheet, story, catalogue, clock, top)
    _draw_gaps(sheet, story, catalogue, clock, lanes)
    for row, duty in enumerate(story.duties):
        _draw_duty(sheet, duty, catalogue, clock, duties + DUTY_ROW * row)
    _lane_name(sheet, catalogue.say("timeline.acts"), "", acts + 15.0)
    for passage in story.passages:
        x = clock(passage.time_us)
        sheet.line(x, 14.0, x, axis, "line-crossing", stroke_width=2.0)
    for number, (x, row, moment) in enumerate(zip(marks, mark_rows, story.moments, strict=True), start=1):
        draw_mark(sheet, number, moment.kind, x, acts + 11.0 + MARK_ROW * row)
    for passage, (x, y) in zip(story.passages, flags, strict=True):
        words = _passage_words(passage, catalogue)
        sheet.rect(x, y - 1.0, text_width(words, 11.5, bold=True) + 10.0, 16.0, "paper edge", rx=3.0)
        sheet.text(x + 5.0, y + 11.0, words, size=11.5, font_weight="bold")
    return sheet.markup()


def _passage_words(passage: Passage, catalogue: Catalogue) -> str:
    words = f"{passage.leaving} → {passage.entering}, {catalogue.clock(passage.time_us)} UTC"
    return words + (f", {passage.place}" if passage.place else "")


def _placed(x: Sequence[float], widths: Sequence[float]) -> tuple[list[tuple[float, float]], int]:
    """Put flags over their moments, inside the sheet and on rows where they do not touch."""
    left = [min(max(one - 8.0, LEFT), WIDTH - width) for one, width in zip(x, widths, strict=True)]
    rows = rows_without_overlap(left, [a + b for a, b in zip(left, widths, strict=True)])
    return [(a, 4.0 + 18.0 * row) for a, row in zip(left, rows, strict=True)], max(rows, default=-1) + 1


def draw_times(
    sheet: Sheet, story: Story, catalogue: Catalogue, clock: Clock, zones: list[str], top: float, axis: float
) -> None:
    """Draw a line of time with upright lines at round times, told in one or several time zones.

    Parameters
    ----------
    sheet : Sheet
        Where.
    story : Story
        The operation.
    catalogue : Catalogue
        The language.
    clock : Clock
        Time to pixels.
    zones : list of str
        IANA names, the first being that in which the times are round.
    top, axis : float
        Where the upright lines begin, and where the line of time lies. [px]
    """
    step = step_us(story.end_us - story.begin_us)
    ticks = range(-(-story.begin_us // step) * step, story.end_us + 1, step)
    for tick in ticks:
        sheet.line(clock(tick), top, clock(tick), axis, "line-faint", stroke_width=1.0)
    sheet.line(LEFT, axis, WIDTH - RIGHT, axis, "line-quiet", stroke_width=1.0)
    for row, zone in enumerate(zones):
        y = axis + 15.0 + 18.0 * row
        sheet.text(LEFT - 10.0, y, _zone_words(zone, story), "quiet", size=11.0, text_anchor="end")
        for tick in ticks:
            words = catalogue.clock(tick, zone=zone)
            shown = words if step < 60_000_000 else words[:5]
            half = 0.5 * text_width(shown, 11.0)
            x = min(max(clock(tick), LEFT - 4.0 + half), WIDTH - half)
            sheet.text(x, y, shown, "quiet", size=11.0, text_anchor="middle")


def _zone_words(zone: str, story: Story) -> str:
    codes = [one.code for one in story.parties if one.zone == zone and one.role != "other"]
    return "UTC" if zone == "UTC" else ", ".join(codes)


def step_us(span_us: int) -> int:
    """Return a round step of time that cuts a span into nine stretches or fewer.

    Parameters
    ----------
    span_us : int
        The span. [us]

    Returns
    -------
    int
        The step. [us]

    Examples
    --------
    >>> step_us(3_600_000_000) // 1_000_000
    600
    """
    return next((step for step in _STEPS_S if span_us / (step * 1_000_000) <= 9), 172_800) * 1_000_000


def _lane_name(sheet: Sheet, words: str, below: str, y: float) -> None:
    sheet.text(LEFT - 10.0, y, words, size=12.0, text_anchor="end", font_weight="bold" if below else "normal")
    if below:
        sheet.text(LEFT - 10.0, y + 14.0, below, "quiet", size=11.0, text_anchor="end")


def _draw_lanes(sheet: Sheet, story: Story, catalogue: Catalogue, clock: Clock, top: float) -> None:
    for row, party in enumerate(story.parties):
        y = top + LANE * row
        sheet.rect(LEFT, y + 4.0, WIDTH - LEFT - RIGHT, LANE - 8.0, "lane", rx=3.0)
        _lane_name(sheet, party.code, catalogue.say(f"role.{party.role}"), y + 22.0)
        for stint in story.stints:
            _draw_stint(sheet, stint, party.code, party.role, catalogue, clock, y + 8.0)
        seen = [one.time_us for one in story.sources if one.authority == party.code and len(one.time_us)]
        for start, stop in _stretches(np.sort(np.concatenate(seen))) if seen else ():
            width = max(clock(stop) - clock(start), 1.0)
            sheet.rect(clock(start), y + 37.0, width, 6.0, party.role)


def _draw_stint(sheet: Sheet, stint: Stint, code: str, role: str, catalogue: Catalogue, clock: Clock, y: float) -> None:
    """Draw one stretch in one lane: full for the holder, hatched for who takes part, an outline after an end."""
    x, width = clock(stint.start_us), clock(stint.end_us) - clock(stint.start_us)
    words = catalogue.name("state", stint.state)
    if stint.holder == code:
        sheet.rect(x, y, max(width, 1.0), 25.0, role, rx=2.0)
        _inside(sheet, words, x, width, y + 17.0, f"on-{role}")
    elif stint.state in SHARED and role == "host":
        sheet.hatched(x, y, max(width, 1.0), 25.0, role)
    elif stint.state in ENDED and role == "home":
        sheet.rect(x, y, max(width, 1.0), 25.0, f"line-{role}", stroke_dasharray="5 3", rx=2.0, stroke_width=1.2)
        _inside(sheet, words, x, width, y + 17.0, "ink")


def _inside(sheet: Sheet, words: str, x: float, width: float, y: float, look: str) -> None:
    if text_width(words, 11.5) + 10.0 <= width:
        sheet.text(x + 6.0, y, words, look, size=11.5)


def _draw_gaps(sheet: Sheet, story: Story, catalogue: Catalogue, clock: Clock, y: float) -> None:
    _lane_name(sheet, catalogue.say("timeline.unseen"), "", y + 15.0)
    sheet.line(LEFT, y + 11.0, WIDTH - RIGHT, y + 11.0, "line-faint", stroke_width=1.0)
    for gap in story.gaps:
        width = max(clock(gap.end_us) - clock(gap.start_us), 1.5)
        sheet.rect(clock(gap.start_us), y + 5.0, width, 12.0, "nobody" if gap.kind == "coasting" else "bad")


def _draw_duty(sheet: Sheet, duty: Duty, catalogue: Catalogue, clock: Clock, y: float) -> None:
    _lane_name(sheet, f"{duty.authority}: {catalogue.name('duty', duty.what)}", "", y + 14.0)
    start = clock(duty.owed_us)
    done = clock(duty.done_us if duty.done_us is not None else duty.end_us)
    late = duty.outcome in ("late", "missed")
    dashes = "2 3" if duty.done_us is None else "none"
    sheet.line(start, y + 10.0, done, y + 10.0, "line-bad" if late else "line-quiet", stroke_width=3.0)
    if duty.due_us is not None:
        due = clock(duty.due_us)
        sheet.line(done, y + 10.0, due, y + 10.0, "line-quiet", stroke_width=1.0, stroke_dasharray=dashes)
        sheet.line(due, y + 3.0, due, y + 17.0, "line-ink", stroke_width=2.0)
    sheet.line(start, y + 5.0, start, y + 15.0, "line-quiet", stroke_width=1.5)
    draw_outcome(sheet, duty.outcome, done, y + 10.0)


def draw_outcome(sheet: Sheet, outcome: str, x: float, y: float) -> None:
    """Draw what became of a duty: a tick in a disc for met or late, a cross in a square for missed, a ring for open.

    Parameters
    ----------
    sheet : Sheet
        Where.
    outcome : str
        As in `Duty.outcome`.
    x, y : float
        The middle.
    """
    end = sheet.group(transform=f"translate({x:.2f} {y:.2f})")
    if outcome in ("met", "late"):
        end.circle(0.0, 0.0, 7.0, "good" if outcome == "met" else "bad")
        end.path("M-3.5 0L-1 3L4 -3", "line-paper", stroke_width=1.8)
    elif outcome == "missed":
        end.rect(-7.0, -7.0, 14.0, 14.0, "bad")
        end.path("M-4 -4L4 4M4 -4L-4 4", "line-paper", stroke_width=1.8)
    else:
        end.circle(0.0, 0.0, 6.0, "paper edge", stroke_width=1.4)


def draw_mark(sheet: Sheet, number: int, kind: str, x: float, y: float) -> None:
    """Draw the number of a moment: a disc for an act, a diamond for a conclusion, a square for a refusal.

    Parameters
    ----------
    sheet : Sheet
        Where.
    number : int
        Its number in the table below the picture.
    kind : str
        As in `Moment.kind`.
    x, y : float
        The middle.
    """
    mark = sheet.group(transform=f"translate({x:.2f} {y:.2f})")
    if kind == "act":
        mark.circle(0.0, 0.0, 8.5, "ink")
    elif kind == "event":
        mark.path("M0 -10L10 0L0 10L-10 0Z", "paper edge", stroke_width=1.4)
    else:
        mark.rect(-8.5, -8.5, 17.0, 17.0, "bad")
    size = 10.0 if number < 100 else 8.0
    look = "ink" if kind == "event" else "on-bad" if kind == "refused" else "on-ink"
    mark.text(0.0, 3.5, str(number), look, size=size, text_anchor="middle", font_weight="bold")


def _stretches(time_us: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the stretches of times that lie close together."""
    cuts = np.flatnonzero(np.diff(time_us) > _SEEN_GAP_US) + 1
    return [(int(part[0]), int(part[-1])) for part in np.split(time_us, cuts)]
