"""What did it look like? The map of a mission."""

import importlib.util
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dronetrack.border import HOME
from dronetrack.measurements import LINE_OF_SIGHT, POSITION
from dronetrack.mission import Fusion
from dronetrack.tracks import CHI2_95_2D, COASTING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart by colour-blind readers too.
INK, GREY, TARGET, CROSS = "#1b1f24", "#8a9199", "#d55e00", "#cc79a7"
AUTHORITY_COLOURS = ("#0072b2", "#009e73", "#e69f00", "#56b4e9")

FRAME_SHAPE = 2.78  # width to height of the map

Floats = NDArray[np.float64]


def have_matplotlib() -> bool:
    """Return whether a map can be drawn here.

    Returns
    -------
    bool
        Whether matplotlib is installed (``pip install 'dronetrack[plot]'``).
    """
    return importlib.util.find_spec("matplotlib") is not None


def draw_map(fusion: Fusion, path: str | pathlib.Path) -> pathlib.Path:
    """Draw target, drones, units, border, ellipses and crossing, and below it who saw the target when.

    Parameters
    ----------
    fusion : Fusion
        A fused mission.
    path : str or Path
        The picture (`.png`, `.svg`, `.pdf`).

    Returns
    -------
    Path
        The file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 7.6), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 1, height_ratios=(3.1, 1.2), left=0.085, right=0.96, top=0.93, bottom=0.075, hspace=0.24
    )
    _draw_places(figure.add_subplot(grid[0]), fusion)
    _draw_time(figure.add_subplot(grid[1]), fusion)
    figure.suptitle(fusion.mission.name, x=0.085, ha="left", fontsize=14, fontweight="bold", color=INK)
    source = fusion.border.attribution if fusion.border else ""
    figure.text(0.96, 0.955, f"border: {source}, ODbL" if source else "", ha="right", fontsize=7.5, color=GREY)
    # Fast compression: the file is a tenth larger and written in half the time.
    figure.savefig(path, pil_kwargs={"compress_level": 1} if pathlib.Path(path).suffix == ".png" else None)
    return pathlib.Path(path)


def _colours(fusion: Fusion) -> dict[str, str]:
    entries = [*fusion.mission.drones, *fusion.mission.units]
    names = list(fusion.mission.border or ()) + [entry.authority for entry in entries]
    return {name: AUTHORITY_COLOURS[i % len(AUTHORITY_COLOURS)] for i, name in enumerate(dict.fromkeys(names))}


class _Plane:
    """Kilometres east and north of the middle of the track; good to a millimetre per kilometre at this size."""

    def __init__(self, lat_deg: Floats, lon_deg: Floats) -> None:
        self.lat0, self.lon0 = float(np.mean(lat_deg)), float(np.mean(lon_deg))
        self.kx, self.ky = 111.320 * np.cos(np.radians(self.lat0)), 111.175

    def __call__(self, lat_deg: Floats, lon_deg: Floats) -> tuple[Floats, Floats]:
        return (np.asarray(lon_deg) - self.lon0) * self.kx, (np.asarray(lat_deg) - self.lat0) * self.ky


def _draw_places(axes: "Axes", fusion: Fusion) -> None:
    track, colours = fusion.track, _colours(fusion)
    plane = _Plane(track.lat_deg, track.lon_deg)
    x, y = plane(track.lat_deg, track.lon_deg)
    begin, end = track.time_us[0], track.time_us[-1]
    half_height = 0.5 * (y.max() - y.min()) + 0.45
    middle = 0.5 * (y.max() + y.min())
    wide = 0.5 * (x.max() - x.min()) + 0.35
    # Equal scales in a frame of fixed shape.
    half_height = max(half_height, wide / FRAME_SHAPE)
    wide = half_height * FRAME_SHAPE
    axes.set_xlim(0.5 * (x.max() + x.min()) - wide, 0.5 * (x.max() + x.min()) + wide)
    axes.set_ylim(middle - half_height, middle + half_height)
    axes.set_aspect("equal")
    axes.set_facecolor("#f6f5f1")
    if fusion.border is not None:
        _draw_border(axes, fusion, plane, colours)
    for entry, drone in zip(fusion.mission.drones, fusion.drones, strict=True):
        rows = drone.position
        mine = (rows.time_us >= begin) & (rows.time_us <= end)
        px, py = plane(rows.lat_deg[mine], rows.lon_deg[mine])
        axes.plot(px, py, color=colours[entry.authority], lw=1.3, label=f"drone {entry.id}", zorder=3)
        if len(px):
            axes.plot(px[-1], py[-1], marker="^", color=colours[entry.authority], ms=7, mec="white", zorder=6)
    for entry, unit in zip(fusion.mission.units, fusion.units, strict=True):
        mine = (unit.time_us >= begin) & (unit.time_us <= end)
        px, py = plane(unit.lat_deg[mine], unit.lon_deg[mine])
        style = {"color": colours[entry.authority], "lw": 4.5, "alpha": 0.3, "solid_capstyle": "round"}
        axes.plot(px, py, label=f"unit {entry.id}", zorder=2, **style)
        if len(px):
            axes.plot(px[-1], py[-1], marker="s", color=colours[entry.authority], ms=6.5, mec="white", zorder=6)
    axes.plot(x, y, color=TARGET, lw=1.8, label="target, fused track", zorder=5)
    coasting = track.status == COASTING
    axes.scatter(x[coasting], y[coasting], s=9, color="white", ec=TARGET, lw=0.7, label="coasting", zorder=5.5)
    _draw_ellipses(axes, fusion, x, y)
    _mark_ends(axes, fusion, x, y)
    for crossing in fusion.crossings or []:
        cx, cy = plane(np.array([crossing.lat_deg]), np.array([crossing.lon_deg]))
        axes.plot(cx, cy, marker="*", ms=19, color=CROSS, mec="white", mew=1.1, zorder=8, ls="none")
        when = f"{str(crossing.time)[11:21]} UTC ± {1.96 * crossing.time_std_s:.1f} s"
        text = f"{crossing.leaving} → {crossing.entering}\n{when}"
        note = {"textcoords": "offset points", "xytext": (14, 30), "fontsize": 9.5, "color": INK, "fontweight": "bold"}
        box = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": CROSS, "alpha": 0.93}
        axes.annotate(
            text,
            (float(cx[0]), float(cy[0])),
            bbox=box,
            arrowprops={"arrowstyle": "-", "color": CROSS},
            zorder=9,
            **note,
        )
    axes.legend(loc="lower left", fontsize=8.5, framealpha=0.92, edgecolor="none", ncols=2)
    axes.set_xlabel(f"kilometres east of {plane.lon0:.4f}° E", fontsize=8.5, color=GREY)
    axes.set_ylabel(f"kilometres north of {plane.lat0:.4f}° N", fontsize=8.5, color=GREY)
    _quiet_axes(axes)
    axes.grid(color="white", lw=0.9)


def _draw_border(axes: "Axes", fusion: Fusion, plane: _Plane, colours: dict[str, str]) -> None:
    border = fusion.border
    if border is None:
        return
    bx, by = plane(border.line_lat_deg, border.line_lon_deg)
    axes.plot(bx, by, color=INK, lw=1.6, dashes=(7, 2.5, 1.5, 2.5), zorder=2.5, label="border")
    if not len(border.home_ring_deg):
        return
    limits = axes.get_xlim(), axes.get_ylim()
    western = np.array([plane.lat0]), np.array([plane.lon0 + limits[0][0] / plane.kx])
    home_is_west = border.side(*western)[0] == HOME
    for code, ring, side, anchor in (
        (border.home, border.home_ring_deg, "left", 0.012),
        (border.host, border.host_ring_deg, "right", 0.988),
    ):
        rx, ry = plane(ring[:, 1], ring[:, 0])
        axes.fill(rx, ry, color=colours.get(code, GREY), alpha=0.07, lw=0, zorder=1)
        place, align = (anchor, side) if home_is_west else (1.0 - anchor, "right" if side == "left" else "left")
        axes.text(
            place, 0.965, code, transform=axes.transAxes, ha=align, va="top", fontsize=22, fontweight="bold",
            color=colours.get(code, GREY), alpha=0.45, zorder=2,
        )  # fmt: skip
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])


def _draw_ellipses(axes: "Axes", fusion: Fusion, x: Floats, y: Floats) -> None:
    """95 % ellipses about every fifteen seconds, in true size, drawn three times as large where that is too small."""
    from matplotlib.collections import EllipseCollection

    track = fusion.track
    wanted = np.arange(track.time_us[0], track.time_us[-1], 15_000_000)
    rows = np.unique(np.searchsorted(track.time_us, wanted))
    size = track.ellipse_m[rows] * 1e-3
    shown = np.median(size[:, 0])
    scale = 5.0 if shown < 0.03 else 1.0
    ellipses = EllipseCollection(
        2.0 * scale * size[:, 0],
        2.0 * scale * size[:, 1],
        90.0 - size[:, 2] * 1e3,
        units="xy",
        offsets=np.column_stack([x[rows], y[rows]]),
        transOffset=axes.transData,
        facecolors="none",
        edgecolors=TARGET,
        linewidths=0.9,
        alpha=0.8,
        zorder=4,
    )
    axes.add_collection(ellipses)
    label = "95 % ellipse" + (f", drawn {scale:.0f} times as large" if scale > 1.0 else "")
    axes.plot([], [], marker="o", mfc="none", mec=TARGET, ls="none", label=label)


def _mark_ends(axes: "Axes", fusion: Fusion, x: Floats, y: Floats) -> None:
    for row, word in ((0, "first seen"), (-1, "last seen")):
        axes.plot(x[row], y[row], marker="o", ms=6.5, color=TARGET, mec="white", zorder=7)
        text = f"{word} {str(fusion.track.time[row])[11:19]}"
        axes.annotate(
            text, (float(x[row]), float(y[row])), textcoords="offset points", xytext=(0, -15), fontsize=8.5, color=INK,
            ha="left" if row == 0 else "right", zorder=9,
        )  # fmt: skip


def _draw_time(axes: "Axes", fusion: Fusion) -> None:
    """Who saw the target when, and how well it was known."""
    from matplotlib.ticker import FixedLocator, NullLocator

    track, colours = fusion.track, _colours(fusion)
    start = int(track.time_us[0])
    minutes = (track.time_us - start) / 60e6
    table = fusion.measurements
    names = []
    for sensor_id, sensor in enumerate(table.sensors):
        mine = (table.sensor_id == sensor_id) & np.isin(table.kind, (LINE_OF_SIGHT, POSITION))
        if mine.any():
            at = (table.time_us[mine] - start) / 60e6
            axes.scatter(
                at, np.full(len(at), len(names)), marker="|", s=45, lw=0.6, color=colours.get(sensor.authority, GREY)
            )
            names.append(sensor.name)
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlim(0.0, minutes[-1])
    axes.set_xlabel(f"minutes after {str(track.time[0])[:19].replace('T', ' ')} UTC", fontsize=8.5, color=GREY)
    for event in fusion.events:
        at = (np.datetime64(event["time"][:-1], "us").astype(np.int64) - start) / 60e6
        if event["kind"] == "coasting":
            axes.axvspan(at, at + event["duration_s"] / 60.0, color=GREY, alpha=0.25, lw=0)
        elif event["kind"] == "sightings_refused":
            axes.axvspan(at, at + event["duration_s"] / 60.0, color=TARGET, alpha=0.25, lw=0)
        elif event["kind"] == "crossing":
            axes.axvline(at, color=CROSS, lw=2.0)
    known = axes.twinx()
    error = np.sqrt(np.trace(track.pos_cov_enu_m2[:, :2, :2], axis1=1, axis2=2) * 0.5 * CHI2_95_2D)
    known.plot(minutes, error, color=TARGET, lw=1.0, alpha=0.9)
    known.set_yscale("log")
    known.yaxis.set_major_locator(FixedLocator([1, 3, 10, 30, 100, 300, 1000]))
    known.yaxis.set_major_formatter("{x:g}")
    known.yaxis.set_minor_locator(NullLocator())
    known.set_ylabel("95 % radius [m]", fontsize=8.5, color=TARGET)
    known.tick_params(labelsize=8, colors=TARGET)
    axes.text(
        0.0, 1.03,
        "who measured it, and how well it was known   (grey: coasting, orange: sightings refused, purple: crossing)",
        transform=axes.transAxes, fontsize=8.5, color=INK,
    )  # fmt: skip
    for one in (axes, known):
        _quiet_axes(one)


def _quiet_axes(axes: "Axes") -> None:
    axes.tick_params(labelsize=8, length=0)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
