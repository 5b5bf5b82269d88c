"""How is a map put on paper? Plain arrays become a picture; this room knows matplotlib and nothing of the rest.

So the command line can let a process of its own load matplotlib, which takes as long as fusing a small mission, while
the logs are read: ``python -m dronetrack.picture`` draws the one `Picture` that comes on its standard input.
"""

import gc
import pathlib
import pickle
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers too.
INK, GREY, TARGET, CROSS = "#1b1f24", "#8a9199", "#d55e00", "#cc79a7"
AUTHORITY_COLOURS = ("#0072b2", "#009e73", "#e69f00", "#56b4e9")

FRAME_SHAPE = 2.78  # width to height of the map

Floats = NDArray[np.float64]


class Path(NamedTuple):
    """Where something went: kilometres east and north of the origin."""

    label: str
    colour: str
    x_km: Floats
    y_km: Floats


class Side(NamedTuple):
    """One country: its code, colour, outline, and whether it lies to the west of the border here."""

    code: str
    colour: str
    x_km: Floats
    y_km: Floats
    western: bool


class Mark(NamedTuple):
    """A place with words."""

    x_km: float
    y_km: float
    words: str


class Seen(NamedTuple):
    """When one sensor measured the target. [min]"""

    name: str
    colour: str
    minutes: Floats


class Span(NamedTuple):
    """A stretch of time. [min]"""

    colour: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Everything in the map of a mission, as numbers and words.

    Parameters
    ----------
    title, source : str
        Heading; whose border data it shows.
    origin_deg : (float, float)
        Latitude and longitude of the origin.
    begin : str
        Time of the first row of the track.
    track : Path
        The fused track, n rows.
    coasting : (n,) bool
        Where it is a prediction alone.
    minutes, radius_m : (n,) float64
        Time since `begin` [min] and radius that holds 95 % [m].
    ellipses : (k, 5) float64
        x, y [km], full axes [km] and the angle of the major axis from the east [deg].
    drones, units : list of Path
        Who followed it.
    border : Path or None
        The line.
    sides : list of Side
        The two countries.
    crossings, ends : list of Mark
        Where it crossed; where it was first and last seen.
    seen : list of Seen
        Who measured it when.
    spans : list of Span
        Stretches to shade.
    moments : list of float
        Times of the crossings. [min]
    """

    title: str
    source: str
    origin_deg: tuple[float, float]
    begin: str
    track: Path
    coasting: NDArray[np.bool_]
    minutes: Floats
    radius_m: Floats
    ellipses: Floats
    drones: list[Path] = field(default_factory=list)
    units: list[Path] = field(default_factory=list)
    border: Path | None = None
    sides: list[Side] = field(default_factory=list)
    crossings: list[Mark] = field(default_factory=list)
    ends: list[Mark] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)


def empty_figure() -> "Figure":
    """Return a blank sheet; the first call loads matplotlib.

    Returns
    -------
    matplotlib.figure.Figure
        With a canvas for pictures made of pixels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 7.6), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def draw_picture(picture: Picture, path: str | pathlib.Path, *, figure: "Figure | None" = None) -> pathlib.Path:
    """Draw a picture: the map, and below it who saw the target when.

    Parameters
    ----------
    picture : Picture
        What to draw.
    path : str or Path
        The file (`.png`, `.svg`, `.pdf`).
    figure : Figure, optional
        A blank sheet, where there already is one.

    Returns
    -------
    Path
        The file.
    """
    path = pathlib.Path(path)
    sheet = figure or empty_figure()
    grid = sheet.add_gridspec(
        2, 1, height_ratios=(3.1, 1.2), left=0.085, right=0.96, top=0.93, bottom=0.075, hspace=0.24
    )
    _draw_places(sheet.add_subplot(grid[0]), picture)
    _draw_time(sheet.add_subplot(grid[1]), picture)
    sheet.suptitle(picture.title, x=0.085, ha="left", fontsize=14, fontweight="bold", color=INK)
    sheet.text(0.96, 0.955, picture.source, ha="right", fontsize=7.5, color=GREY)
    # Fast compression: the file is a tenth larger and written in half the time.
    sheet.savefig(path, pil_kwargs={"compress_level": 1} if path.suffix == ".png" else None)
    return path


def _draw_places(axes: "Axes", picture: Picture) -> None:
    _frame(axes, picture.track)
    _draw_border(axes, picture)
    for drone in picture.drones:
        axes.plot(drone.x_km, drone.y_km, color=drone.colour, lw=1.3, label=drone.label, zorder=3)
        axes.plot(drone.x_km[-1:], drone.y_km[-1:], marker="^", color=drone.colour, ms=7, mec="white", zorder=6)
    for unit in picture.units:
        wide = {"lw": 4.5, "alpha": 0.3, "solid_capstyle": "round"}
        axes.plot(unit.x_km, unit.y_km, color=unit.colour, label=unit.label, zorder=2, **wide)
        axes.plot(unit.x_km[-1:], unit.y_km[-1:], marker="s", color=unit.colour, ms=6.5, mec="white", zorder=6)
    track, coasting = picture.track, picture.coasting
    axes.plot(track.x_km, track.y_km, color=TARGET, lw=1.8, label=track.label, zorder=5)
    coast = track.x_km[coasting], track.y_km[coasting]
    axes.scatter(*coast, s=9, color="white", ec=TARGET, lw=0.7, label="coasting", zorder=5.5)
    _draw_ellipses(axes, picture.ellipses)
    for end, align in zip(picture.ends, ("left", "right"), strict=False):
        axes.plot(end.x_km, end.y_km, marker="o", ms=6.5, color=TARGET, mec="white", zorder=7)
        veil = {"fc": "white", "alpha": 0.7, "lw": 0, "pad": 1.2}
        below = {"textcoords": "offset points", "xytext": (0, -17), "fontsize": 8.5, "color": INK, "bbox": veil}
        axes.annotate(end.words, (end.x_km, end.y_km), ha=align, zorder=9, **below)
    for crossing in picture.crossings:
        axes.plot(
            crossing.x_km, crossing.y_km, marker="*", ms=19, color=CROSS, mec="white", mew=1.1, zorder=8, ls="none"
        )
        note = {"textcoords": "offset points", "xytext": (14, 30), "fontsize": 9.5, "color": INK, "fontweight": "bold"}
        box = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": CROSS, "alpha": 0.93}
        line = {"arrowstyle": "-", "color": CROSS}
        axes.annotate(crossing.words, (crossing.x_km, crossing.y_km), bbox=box, arrowprops=line, zorder=9, **note)
    axes.legend(loc="lower left", fontsize=8.5, framealpha=0.92, edgecolor="none", ncols=2)
    axes.set_xlabel(f"kilometres east of {picture.origin_deg[1]:.4f}° E", fontsize=8.5, color=GREY)
    axes.set_ylabel(f"kilometres north of {picture.origin_deg[0]:.4f}° N", fontsize=8.5, color=GREY)
    _quiet_axes(axes)
    axes.grid(color="white", lw=0.9)


def _frame(axes: "Axes", track: Path) -> None:
    """Fit the track into a frame of fixed shape, with equal scales."""
    low, high = (np.array([limit(track.x_km), limit(track.y_km)]) for limit in (np.min, np.max))
    middle = 0.5 * (low + high)
    half = 0.5 * (high - low) + (0.35, 0.45)
    half_height = max(half[1], half[0] / FRAME_SHAPE)
    axes.set_xlim(middle[0] - half_height * FRAME_SHAPE, middle[0] + half_height * FRAME_SHAPE)
    axes.set_ylim(middle[1] - half_height, middle[1] + half_height)
    axes.set_aspect("equal")
    axes.set_facecolor("#f6f5f1")


def _draw_border(axes: "Axes", picture: Picture) -> None:
    from matplotlib.patches import Polygon

    if picture.border is not None:
        line = picture.border
        axes.plot(line.x_km, line.y_km, color=INK, lw=1.6, dashes=(7, 2.5, 1.5, 2.5), zorder=2.5, label=line.label)
    for side in picture.sides:
        # As an artist it leaves the limits alone, and costs no search for them.
        outline = np.column_stack([side.x_km, side.y_km])
        axes.add_artist(Polygon(outline, color=side.colour, alpha=0.07, lw=0, zorder=1))
        x, align = (0.012, "left") if side.western else (0.988, "right")
        big = {"fontsize": 22, "fontweight": "bold", "color": side.colour, "alpha": 0.45}
        axes.text(x, 0.965, side.code, transform=axes.transAxes, ha=align, va="top", zorder=2, **big)


def _draw_ellipses(axes: "Axes", ellipses: Floats) -> None:
    """Draw 95 % ellipses in true size, or larger where that is too small to see."""
    from matplotlib.collections import EllipseCollection

    scale = 5.0 if np.median(ellipses[:, 2]) < 0.06 else 1.0
    axes.add_collection(
        EllipseCollection(
            scale * ellipses[:, 2],
            scale * ellipses[:, 3],
            ellipses[:, 4],
            units="xy",
            offsets=ellipses[:, :2],
            transOffset=axes.transData,
            facecolors="none",
            edgecolors=TARGET,
            linewidths=0.9,
            alpha=0.8,
            zorder=4,
        )
    )
    label = "95 % ellipse" + (f", drawn {scale:.0f} times as large" if scale > 1.0 else "")
    axes.plot([], [], marker="o", mfc="none", mec=TARGET, ls="none", label=label)


def _draw_time(axes: "Axes", picture: Picture) -> None:
    """Draw who saw the target when, and how well it was known."""
    from matplotlib.ticker import FixedLocator, NullLocator

    for row, sensor in enumerate(picture.seen):
        level = np.full(len(sensor.minutes), row)
        axes.scatter(sensor.minutes, level, marker="|", s=45, lw=0.6, color=sensor.colour)
    axes.set_yticks(range(len(picture.seen)), [sensor.name for sensor in picture.seen], fontsize=8.5)
    axes.set_ylim(-0.7, len(picture.seen) - 0.3)
    axes.set_xlim(0.0, max(picture.minutes[-1], 1e-3))
    axes.set_xlabel(f"minutes after {picture.begin} UTC", fontsize=8.5, color=GREY)
    for span in picture.spans:
        axes.axvspan(span.start, span.end, color=span.colour, alpha=0.25, lw=0)
    for moment in picture.moments:
        axes.axvline(moment, color=CROSS, lw=2.0)
    known = axes.twinx()
    known.plot(picture.minutes, picture.radius_m, color=TARGET, lw=1.0, alpha=0.9)
    known.set_yscale("log")
    known.yaxis.set_major_locator(FixedLocator([1, 3, 10, 30, 100, 300, 1000]))
    known.yaxis.set_major_formatter("{x:g}")
    known.yaxis.set_minor_locator(NullLocator())
    known.set_ylabel("95 % radius [m]", fontsize=8.5, color=TARGET)
    known.tick_params(labelsize=8, colors=TARGET)
    words = "who measured it, and how well it was known   (grey: coasting, orange: sightings refused, purple: crossing)"
    axes.text(0.0, 1.03, words, transform=axes.transAxes, fontsize=8.5, color=INK)
    for one in (axes, known):
        _quiet_axes(one)


def _quiet_axes(axes: "Axes") -> None:
    axes.tick_params(labelsize=8, length=0)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    gc.disable()  # it draws one picture and ends
    blank = empty_figure()
    draw_picture(*pickle.load(sys.stdin.buffer), figure=blank)  # noqa: S301 - from our own parent
