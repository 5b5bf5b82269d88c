"""What did it look like? The map of a mission."""

import itertools
import pathlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.border import Border
from dronetrack.measurements import LINE_OF_SIGHT, POSITION
from dronetrack.mission import Fusion
from dronetrack.picture import (
    AUTHORITY_COLOURS,
    GREY,
    TARGET,
    Mark,
    Path,
    Picture,
    Seen,
    Side,
    Span,
    draw_picture,
)
from dronetrack.tracks import CHI2_95_2D, COASTING

ELLIPSE_EVERY_US = 15_000_000

Floats = NDArray[np.float64]


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
    return draw_picture(picture_of(fusion), path)


def picture_of(fusion: Fusion) -> Picture:
    """Put together what the map of a mission shows.

    Parameters
    ----------
    fusion : Fusion
        A fused mission.

    Returns
    -------
    Picture
        Plain arrays and words.
    """
    track, border = fusion.track, fusion.border
    lat_deg, lon_deg = track.lat_deg, track.lon_deg
    plane = _Plane(lat_deg, lon_deg)
    x, y = plane(lat_deg, lon_deg)
    colours = _colours(fusion)
    begin, end = track.time_us[0], track.time_us[-1]
    drones = [(entry, rows.position, "drone") for entry, rows in zip(fusion.mission.drones, fusion.drones, strict=True)]
    units = [(entry, rows, "unit") for entry, rows in zip(fusion.mission.units, fusion.units, strict=True)]
    paths: dict[str, list[Path]] = {"drone": [], "unit": []}
    for entry, rows, kind in [*drones, *units]:
        mine = (rows.time_us >= begin) & (rows.time_us <= end)
        place = plane(rows.lat_deg[mine], rows.lon_deg[mine])
        paths[kind].append(Path(f"{kind} {entry.id}", colours[entry.authority], *place))
    cov = track.pos_cov_enu_m2
    return Picture(
        title=fusion.mission.name,
        source=f"border: {border.attribution}, {border.licence}" if border and border.attribution else "",
        origin_deg=(plane.lat0, plane.lon0),
        begin=str(track.time[0])[:19].replace("T", " "),
        track=Path("target, fused track", TARGET, x, y),
        coasting=track.status == COASTING,
        minutes=_minutes(fusion, track.time_us),
        radius_m=np.sqrt((cov[:, 0, 0] + cov[:, 1, 1]) * 0.5 * CHI2_95_2D),
        ellipses=_ellipses(fusion, x, y),
        drones=paths["drone"],
        units=paths["unit"],
        border=Path("border", "", *plane(*_line(border))) if border else None,
        sides=_sides(fusion, plane, colours, float(x.min())),
        crossings=_crossings(fusion, plane),
        ends=[
            Mark(float(x[row]), float(y[row]), f"{word} {str(track.time[row])[11:19]}")
            for row, word in ((0, "first seen"), (-1, "last seen"))
        ],
        seen=_seen(fusion, colours),
        spans=_spans(fusion),
        moments=_minutes(fusion, fusion.crossings.time_us).tolist() if fusion.crossings else [],
    )


class _Plane:
    """Kilometres east and north of the middle of the track; good to a millimetre per kilometre at this size."""

    def __init__(self, lat_deg: Floats, lon_deg: Floats) -> None:
        self.lat0, self.lon0 = float(np.mean(lat_deg)), float(np.mean(lon_deg))
        self.kx, self.ky = 111.320 * np.cos(np.radians(self.lat0)), 111.175

    def __call__(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, Floats]:
        return (np.asarray(lon_deg) - self.lon0) * self.kx, (np.asarray(lat_deg) - self.lat0) * self.ky


def _colours(fusion: Fusion) -> dict[str, str]:
    entries = [*fusion.mission.drones, *fusion.mission.units]
    names = list(fusion.mission.border or ()) + [entry.authority for entry in entries]
    return {name: AUTHORITY_COLOURS[i % len(AUTHORITY_COLOURS)] for i, name in enumerate(dict.fromkeys(names))}


def _minutes(fusion: Fusion, time_us: ArrayLike) -> Floats:
    return (np.asarray(time_us, dtype=np.int64) - fusion.track.time_us[0]) / 60e6


def _ellipses(fusion: Fusion, x: Floats, y: Floats) -> Floats:
    track = fusion.track
    wanted = np.arange(track.time_us[0], track.time_us[-1] + 1, ELLIPSE_EVERY_US)
    rows = np.unique(np.searchsorted(track.time_us, wanted))
    size = track.take(rows).ellipse_m
    return np.column_stack([x[rows], y[rows], 2e-3 * size[:, 0], 2e-3 * size[:, 1], 90.0 - size[:, 2]])


def _sides(fusion: Fusion, plane: _Plane, colours: dict[str, str], west_km: float) -> list[Side]:
    border = fusion.border
    if border is None or not len(border.host_rings_deg):
        return []
    home_is_west = bool(border.signed_distance_m([plane.lat0], [plane.lon0 + west_km / plane.kx])[0] < 0.0)
    return [
        Side(code, colours.get(code, GREY), *plane(*_outline(rings, offsets)), western)
        for code, rings, offsets, western in (
            (border.home, border.home_rings_deg, border.home_offsets, home_is_west),
            (border.host, border.host_rings_deg, border.host_offsets, not home_is_west),
        )
    ]


def _line(border: Border) -> tuple[Floats, Floats]:
    """Latitude and longitude of the line, NaN between its parts. [deg]"""
    gaps = border.line_offsets[1:-1]
    return np.insert(border.line_lat_deg, gaps, np.nan), np.insert(border.line_lon_deg, gaps, np.nan)


def _outline(rings_deg: Floats, offsets: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """All rings of a country in one stroke, with bridges to the first vertex: latitude and longitude. [deg]"""
    rows = [[*range(start, stop), start, 0] for start, stop in itertools.pairwise(offsets)]
    stroke = rings_deg[np.concatenate(rows)]
    return stroke[:, 1], stroke[:, 0]


def _crossings(fusion: Fusion, plane: _Plane) -> list[Mark]:
    marks = []
    for one in fusion.crossings or []:
        x, y = plane(one.lat_deg, one.lon_deg)
        when = f"{str(one.time)[11:21]} UTC ± {1.96 * one.time_std_s:.1f} s"
        marks.append(Mark(float(x), float(y), f"{one.leaving} → {one.entering}\n{when}"))
    return marks


def _seen(fusion: Fusion, colours: dict[str, str]) -> list[Seen]:
    table = fusion.measurements
    shown = np.isin(table.kind, (LINE_OF_SIGHT, POSITION))
    rows = [np.flatnonzero(shown & (table.sensor_id == number)) for number in range(len(table.sensors))]
    return [
        Seen(sensor.name, colours.get(sensor.authority, GREY), _minutes(fusion, table.time_us[mine]))
        for sensor, mine in zip(table.sensors, rows, strict=True)
        if len(mine)
    ]


def _spans(fusion: Fusion) -> list[Span]:
    colour = {"coasting": GREY, "sightings_refused": TARGET}
    spans = []
    for event in fusion.events:
        if event["kind"] in colour:
            start = float(_minutes(fusion, np.datetime64(event["time"][:-1], "us").astype(np.int64)))
            spans.append(Span(colour[event["kind"]], start, start + event["duration_s"] / 60.0))
    return spans
