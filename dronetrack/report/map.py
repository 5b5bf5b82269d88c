"""Where was it, and who held it there? The map of a report: it prints, and a script of its own moves closer."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.border import Border
from dronetrack.errors import InputError
from dronetrack.report.catalogue import Catalogue
from dronetrack.report.drawing import WIDTH, Sheet, polyline
from dronetrack.report.labels import Labels
from dronetrack.report.parts import NOTHING
from dronetrack.report.story import Passage, Source, Story
from dronetrack.report.timeline import step_us
from dronetrack.tracks import Track

if TYPE_CHECKING:
    import shapely

Floats = NDArray[np.float64]

LOWEST, HIGHEST = 380.0, 640.0  # height of a map [px]
CLOSE_M = 450.0  # half the width of the picture of one crossing
BAND_ROWS = 600  # rows whose ellipses make the band

STAR = "M0 -10L2.6 -3.6L9.5 -3.1L4.2 1.4L5.9 8.1L0 4.4L-5.9 8.1L-4.2 1.4L-9.5 -3.1L-2.6 -3.6Z"

_EARTH_M = 6_378_137.0
_FINEST_PX = 0.2  # a bend smaller than this is left out of a line
_MOST_POINTS = 2500  # of one line: a long way is drawn from rows at equal distances
EDGE = 40.0  # lines are drawn so far beyond the frame [px]
DASHES = {"home": "none", "host": "14 4", "other": "2 4", "nobody": "2 5"}


@dataclass(frozen=True, slots=True)
class _Chart:
    """Mercator about one place, so that ellipses keep their shape: degrees to pixels.

    Parameters
    ----------
    lat_deg, lon_deg : float
        Middle of the picture. [deg]
    metres_per_px : float
        Scale in the middle.
    height : float
        Of the picture. [px]
    """

    lat_deg: float
    lon_deg: float
    metres_per_px: float
    height: float

    def __call__(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Return x and y of places. [px]"""
        lat_deg, lon_deg = np.asarray(lat_deg), np.asarray(lon_deg)
        scale = _EARTH_M * np.cos(np.radians(self.lat_deg)) / self.metres_per_px
        north = np.arcsinh(np.tan(np.radians(lat_deg))) - np.arcsinh(np.tan(np.radians(self.lat_deg)))
        return 0.5 * WIDTH + scale * np.radians(lon_deg - self.lon_deg), 0.5 * self.height - scale * north

    def point(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> tuple[float, float]:
        """Return x and y of one place. [px]"""
        x, y = self(lat_deg, lon_deg)
        return float(x), float(y)

    def window_deg(self, margin: float) -> tuple[float, float, float, float]:
        """Return west, south, east, north of the picture and a margin of so many pictures around. [deg]"""
        half_east = np.degrees(
            (0.5 + margin) * WIDTH * self.metres_per_px / _EARTH_M / np.cos(np.radians(self.lat_deg))
        )
        half_north = np.degrees((0.5 + margin) * self.height * self.metres_per_px / _EARTH_M)
        return self.lon_deg - half_east, self.lat_deg - half_north, self.lon_deg + half_east, self.lat_deg + half_north


def border_of(story: Story) -> Border | None:
    """Return the border between home and host, or None where none ships with the package.

    Parameters
    ----------
    story : Story
        The operation.

    Returns
    -------
    Border or None
        With its attribution.
    """
    countries = {one.role: one.country for one in story.parties}
    try:
        return Border.between(countries.get("home", ""), countries.get("host", ""))
    except InputError:
        return None


def draw_map(story: Story, catalogue: Catalogue, border: Border | None) -> str:
    """Draw the whole way.

    Parameters
    ----------
    story : Story
        The operation; it has a track.
    catalogue : Catalogue
        The language.
    border : Border or None
        The line.

    Returns
    -------
    str
        An `svg` element.
    """
    lat, lon = story.track.lat_deg, story.track.lon_deg
    middle = 0.5 * (lat.min() + lat.max()), 0.5 * (lon.min() + lon.max())
    north_m = np.radians(lat.max() - lat.min()) * _EARTH_M + 400.0
    east_m = np.radians(lon.max() - lon.min()) * _EARTH_M * np.cos(np.radians(middle[0])) + 400.0
    height = float(np.clip(WIDTH * north_m / east_m, LOWEST, HIGHEST))
    scale = 1.12 * max(east_m / WIDTH, north_m / height)
    words = catalogue.say("map.title"), catalogue.say("map.description", place=_places(story, catalogue))
    sheet = Sheet(WIDTH, height, name="map-picture", title=words[0], description=words[1])
    _draw(sheet, story, catalogue, border, _Chart(*middle, scale, height))
    return sheet.markup()


def draw_crossing(story: Story, catalogue: Catalogue, border: Border | None, number: int) -> str:
    """Draw one crossing from close by.

    Parameters
    ----------
    story : Story
        The operation; it has a track.
    catalogue : Catalogue
        The language.
    border : Border or None
        The line.
    number : int
        Which passage.

    Returns
    -------
    str
        An `svg` element.
    """
    passage = story.passages[number]
    title = catalogue.say("map.close", number=number + 1)
    description = catalogue.say("map.close_description", place=passage.place or catalogue.say("map.line"))
    sheet = Sheet(WIDTH, LOWEST, name=f"crossing-{number + 1}", title=title, description=description)
    chart = _Chart(passage.lat_deg, passage.lon_deg, 2.0 * CLOSE_M / WIDTH, LOWEST)
    _draw(sheet, story, catalogue, border, chart)
    return sheet.markup()


def neighbours(story: Story) -> list[list[int]]:
    """Return the passages in groups that one picture from close by shows together.

    Parameters
    ----------
    story : Story
        The operation.

    Returns
    -------
    list of list of int
        Which passages; those whose place is not known are left out.
    """
    groups: list[list[int]] = []
    for number, one in enumerate(story.passages):
        if np.isfinite(one.lat_deg):
            near = [group for group in groups if _apart_m(story.passages[group[0]], one) < 0.3 * CLOSE_M]
            if near:
                near[0].append(number)
            else:
                groups.append([number])
    return groups


def _apart_m(one: Passage, other: Passage) -> float:
    """Return how far apart two passages are, well enough to choose pictures. [m]"""
    x, y = _Chart(one.lat_deg, one.lon_deg, 1.0, 0.0).point(other.lat_deg, other.lon_deg)
    return float(np.hypot(x - 0.5 * WIDTH, y))


def _places(story: Story, catalogue: Catalogue) -> str:
    return (
        catalogue.listed([f"{one.leaving} → {one.entering} {one.place}".strip() for one in story.passages]) or NOTHING
    )


def _draw(sheet: Sheet, story: Story, catalogue: Catalogue, border: Border | None, chart: _Chart) -> None:
    sheet.rect(0.0, 0.0, WIDTH, chart.height, "ground")
    frame = sheet.group(clip_path=sheet.clip("frame", 0.0, 0.0, WIDTH, chart.height))
    labels = Labels(chart.height)
    if border is not None:
        _draw_border(frame, border, chart)
    for source in story.sources:
        _draw_way(frame, source, story, chart)
    _draw_band(frame, story.track, chart)
    _draw_track(frame, story, chart)
    ticks = _draw_ticks(frame, story, chart)
    _reserve(labels, story, chart, ticks)
    for passage in story.passages:
        _draw_passage(frame, passage, story, catalogue, chart, labels)
    _draw_ends(frame, story, catalogue, chart, labels)
    for source in story.sources:
        _draw_place(frame, source, story, chart, labels)
    _write_times(frame, ticks, story, catalogue, labels)
    if border is not None:
        _draw_posts(frame, border, story, chart, labels)
        _name_sides(sheet, border, chart)
    _draw_scale(sheet, catalogue, chart)
    sheet.group(class_="still").rect(0.5, 0.5, WIDTH - 1.0, chart.height - 1.0, "line-quiet", stroke_width=1.0)


def _draw_border(sheet: Sheet, border: Border, chart: _Chart) -> None:
    import shapely

    window = chart.window_deg(0.2)
    sides = (
        ("side-home", border.home_rings_deg, border.home_offsets),
        ("side-host", border.host_rings_deg, border.host_offsets),
    )
    for look, rings, offsets in sides:
        areas = [shapely.make_valid(shapely.Polygon(ring)) for ring in _cut(rings, offsets)]
        inside = [_area(shapely.clip_by_rect(area, *window), chart) for area in areas]
        sheet.path("".join(inside), look, fill_rule="evenodd")
    vertices = np.column_stack([border.line_lon_deg, border.line_lat_deg])
    lines = [shapely.LineString(part) for part in _cut(vertices, border.line_offsets)]
    shown = shapely.get_parts(shapely.clip_by_rect(shapely.MultiLineString(lines), *window))
    d = "".join(_way(*np.asarray(part.coords).T[1::-1], chart=chart) for part in shown)
    sheet.path(d, "line-paper", stroke_width=4.0, vector_effect="non-scaling-stroke")
    dash = {"stroke_dasharray": "10 3 2 3", "vector_effect": "non-scaling-stroke"}
    sheet.path(d, "line-ink", stroke_width=1.8, **dash)


def _cut(vertices: Floats, offsets: NDArray[np.int64]) -> list[Floats]:
    """Return the parts of flat columns."""
    return [part for part in np.split(vertices, offsets[1:-1]) if len(part) > 1]


def _draw_posts(sheet: Sheet, border: Border, story: Story, chart: _Chart, labels: Labels) -> None:
    """Draw the official crossing points that the target did not take."""
    taken = {one.place for one in story.passages}
    for name, lat_deg, lon_deg in border.posts:
        x, y = chart.point(lat_deg, lon_deg)
        if name not in taken and 0.0 < x < WIDTH and 0.0 < y < chart.height:
            sheet.fixed(x, y).path("M-5 -5L5 5M5 -5L-5 5", "line-quiet", stroke_width=2.0)
            labels.reserve(x, y, 5.0)
            labels.write(sheet, x, y, [name], look="quiet", size=10.5)


def _draw_way(sheet: Sheet, source: Source, story: Story, chart: _Chart) -> None:
    look = f"line-{story.role_of(source.authority)}"
    drone = {"stroke_width": 1.3, "stroke_opacity": 0.85}
    unit = {"stroke_width": 5.0, "stroke_opacity": 0.28, "stroke_linecap": "round"}
    kind = drone if source.kind == "drone" else unit
    d = _way(source.lat_deg, source.lon_deg, chart=chart)
    sheet.path(d, look, stroke_linejoin="round", vector_effect="non-scaling-stroke", **kind)


def _draw_band(sheet: Sheet, track: Track, chart: _Chart) -> None:
    """Draw what the 95 % ellipses sweep over, in true size."""
    import shapely

    rows = np.unique(np.linspace(0, len(track) - 1, min(len(track), BAND_ROWS)).astype(np.int64))
    few = track.take(rows)
    rim = _rims(few, chart)
    if len(rim) > 1:
        swept = shapely.convex_hull(shapely.linestrings(np.concatenate([rim[:-1], rim[1:]], axis=1)))
        whole = shapely.union_all(swept)
    else:
        whole = shapely.polygons(rim[0])
    sheet.path(_rings(shapely.simplify(whole, 0.02), digits=3), "band", fill_rule="evenodd")


def _rims(track: Track, chart: _Chart) -> Floats:
    """Return the 95 % ellipses of n rows as (n, 24, 2) points of the picture."""
    angle = np.linspace(0.0, 2.0 * np.pi, 24)
    major, minor, bearing = (
        track.ellipse_m.T[:, :, None] / np.array([chart.metres_per_px, chart.metres_per_px, 1.0])[:, None, None]
    )
    along, across = major * np.cos(angle), minor * np.sin(angle)
    turn = np.radians(bearing)
    x, y = chart(track.lat_deg, track.lon_deg)
    east = along * np.sin(turn) + across * np.cos(turn)
    north = along * np.cos(turn) - across * np.sin(turn)
    return np.stack([x[:, None] + east, y[:, None] - north], axis=2)


def _draw_track(sheet: Sheet, story: Story, chart: _Chart) -> None:
    """Draw the way of the target, in the colour and dashes of who held it."""
    for role, rows in held_rows(story):
        part = story.track.take(rows)
        d = _way(part.lat_deg, part.lon_deg, chart=chart)
        shape = {"stroke_linejoin": "round", "vector_effect": "non-scaling-stroke"}
        sheet.path(d, "line-paper", stroke_width=5.6, **shape)
        if DASHES[role] != "none":
            sheet.path(d, "line-ink", stroke_width=3.6, **shape)
        sheet.path(d, f"line-{role}", stroke_width=3.4, stroke_dasharray=DASHES[role], **shape)


def held_rows(story: Story) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the rows of the track by who held it: home, host, other or nobody; neighbours share a row.

    Parameters
    ----------
    story : Story
        The operation; it has a track.

    Yields
    ------
    str, (m,) int64
        The holder's part, and the rows.
    """
    edges = [(one.start_us, one.holder) for one in story.stints] or [(story.begin_us, story.home)]
    changes = [edges[0], *(one for before, one in itertools.pairwise(edges) if one[1] != before[1])]
    starts = np.searchsorted(story.track.time_us, [time_us for time_us, _ in changes]).tolist()
    starts[0] = 0
    for start, stop, (_, holder) in zip(starts, [*starts[1:], len(story.track) - 1], changes, strict=True):
        if stop > start:
            yield (story.role_of(holder) if holder else "nobody"), np.arange(start, min(stop + 1, len(story.track)))


def _draw_passage(
    sheet: Sheet, passage: Passage, story: Story, catalogue: Catalogue, chart: _Chart, labels: Labels
) -> None:
    x, y = chart.point(passage.lat_deg, passage.lon_deg)
    inside = story.track.time_us[0] <= passage.time_us <= story.track.time_us[-1]
    if inside:
        rim = _rims(story.track.at([passage.time_us]), chart)[0]
        look = {"stroke_width": 1.6, "vector_effect": "non-scaling-stroke"}
        sheet.path(polyline(rim[:, 0], rim[:, 1], closed=True, digits=3), "line-ink", **look)
    mark = sheet.fixed(x, y)
    mark.path(STAR, "crossing edge", stroke_width=1.2)
    words = f"{passage.leaving} → {passage.entering}, {catalogue.clock(passage.time_us)} UTC"
    lines = [passage.place, words] if passage.place else [words]
    labels.write(sheet, x, y, lines, bold=True, size=12.5)


def _draw_ends(sheet: Sheet, story: Story, catalogue: Catalogue, chart: _Chart, labels: Labels) -> None:
    track = story.track
    for row, key in ((0, "map.first"), (-1, "map.last")):
        x, y = chart.point(track.lat_deg[row], track.lon_deg[row])
        mark = sheet.fixed(x, y)
        mark.circle(0.0, 0.0, 5.5, "ink rim", stroke_width=1.5)
        labels.reserve(x, y, 6.0)
        labels.write(sheet, x, y, [f"{catalogue.say(key)} {catalogue.clock(int(track.time_us[row]))}"])


def _draw_place(sheet: Sheet, source: Source, story: Story, chart: _Chart, labels: Labels) -> None:
    """Draw where a drone (triangle) or a unit (square) was last."""
    known = np.flatnonzero(np.isfinite(source.lat_deg))
    if not len(known):
        return
    x, y = chart.point(source.lat_deg[known[-1]], source.lon_deg[known[-1]])
    mark = sheet.fixed(x, y)
    shape = "M0 -8L7.5 6H-7.5Z" if source.kind == "drone" else "M-6 -6H6V6H-6Z"
    mark.path(shape, f"{story.role_of(source.authority)} rim", stroke_width=1.3)
    labels.write(sheet, x, y, [source.name])


def _draw_ticks(sheet: Sheet, story: Story, chart: _Chart) -> list[tuple[int, float, float]]:
    """Mark where the target was at round times; return time and place of each."""
    step, track = step_us(story.end_us - story.begin_us), story.track
    ticks = np.arange(-(-track.time_us[0] // step) * step, track.time_us[-1] + 1, step)
    there = track.at(ticks)
    found = list(zip(ticks.tolist(), *(one.tolist() for one in chart(there.lat_deg, there.lon_deg)), strict=True))
    for _, x, y in found:
        sheet.fixed(x, y).circle(0.0, 0.0, 3.2, "paper edge", stroke_width=1.4)
    return found


def _reserve(labels: Labels, story: Story, chart: _Chart, ticks: list[tuple[int, float, float]]) -> None:
    """Keep words off the marks."""
    for passage in story.passages:
        labels.reserve(*chart.point(passage.lat_deg, passage.lon_deg), 11.0)
    for _, x, y in ticks:
        labels.reserve(x, y, 3.0)
    for source in story.sources:
        known = np.flatnonzero(np.isfinite(source.lat_deg))
        if len(known):
            labels.reserve(*chart.point(source.lat_deg[known[-1]], source.lon_deg[known[-1]]), 8.0)


def _write_times(
    sheet: Sheet, ticks: list[tuple[int, float, float]], story: Story, catalogue: Catalogue, labels: Labels
) -> None:
    """Write the time of day beside its mark, where there is room."""
    seconds = step_us(story.end_us - story.begin_us) < 60_000_000
    for tick, x, y in ticks:
        words = catalogue.clock(tick)
        labels.write(sheet, x, y, [words if seconds else words[:5]], look="quiet", size=10.5, must=False)


def _name_sides(sheet: Sheet, border: Border, chart: _Chart) -> None:
    """Write each country's code where most of it shows, in corners that are free."""
    spots = [(x, y) for y in (30.0, chart.height - 46.0) for x in (20.0, WIDTH - 60.0)]
    west, south, east, north = chart.window_deg(-0.03)
    lon, lat = np.array([west, east, west, east]), np.array([north, north, south, south])
    sides = border.side(lat, lon).tolist()
    for code, look, side in ((border.home, "side-name-home", 0), (border.host, "side-name-host", 1)):
        spot = next((spot for spot, found in zip(spots, sides, strict=True) if found == side), None)
        if spot is not None:
            sheet.fixed(*spot).text(0.0, 0.0, code, look, size=24.0, font_weight="bold")


def _draw_scale(sheet: Sheet, catalogue: Catalogue, chart: _Chart) -> None:
    """Draw a bar of a round length; the script draws it anew as one comes closer."""
    metres = round_length(150.0 * chart.metres_per_px)
    length, y = metres / chart.metres_per_px, chart.height - 14.0
    x = WIDTH - 20.0 - length
    about = {"data_metres_per_px": chart.metres_per_px, "data_right": WIDTH - 20.0, "data_bottom": y}
    bar = sheet.group(class_="still scale", **about)
    bar.path(f"M{x:.2f} {y - 5.0:.2f}v5H{WIDTH - 20.0:.2f}v-5", "line-ink", stroke_width=1.6)
    words = f"{catalogue.number(metres / 1000)} km" if metres >= 1000 else f"{catalogue.number(metres)} m"
    bar.text(WIDTH - 20.0, y - 8.0, words, size=11.0, text_anchor="end")


def round_length(metres: float) -> float:
    """Return the longest 1, 2 or 5 times a power of ten that is no longer than asked.

    Parameters
    ----------
    metres : float
        A length. [m]

    Returns
    -------
    float
        A round one. [m]

    Examples
    --------
    >>> [round_length(x) for x in (7.3, 48.0, 2100.0)]
    [5.0, 20.0, 2000.0]
    """
    power = 10.0 ** np.floor(np.log10(metres))
    return float(next(step * power for step in (5.0, 2.0, 1.0) if step * power <= metres))


def _way(lat_deg: Floats, lon_deg: Floats, *, chart: _Chart) -> str:
    """Return the path of a line of places, without bends too small to see."""
    import shapely

    points = np.column_stack(chart(lat_deg, lon_deg))
    points = points[np.isfinite(points[:, 0])]
    if len(points) < 2:
        return ""
    shown = shapely.clip_by_rect(shapely.LineString(points), -EDGE, -EDGE, WIDTH + EDGE, chart.height + EDGE)
    lines = [_thinned(np.asarray(part.coords)) for part in shapely.get_parts(shown) if part.geom_type == "LineString"]
    return "".join(polyline(*np.asarray(shapely.simplify(line, _FINEST_PX).coords).T) for line in lines)


def _thinned(points: Floats) -> "shapely.LineString":
    """Return a line of a bounded number of points."""
    import shapely

    return shapely.LineString(
        points[np.unique(np.linspace(0, len(points) - 1, min(len(points), _MOST_POINTS)).astype(np.int64))]
    )


def _area(area: "shapely.Geometry", chart: _Chart) -> str:
    """Return the path of an area in degrees."""
    import shapely

    def to_picture(points: Floats) -> Floats:
        return np.column_stack(chart(points[:, 1], points[:, 0]))

    return _rings(shapely.simplify(shapely.transform(area, to_picture), _FINEST_PX))


def _rings(area: "shapely.Geometry", *, digits: int = 2) -> str:
    import shapely

    polygons = [part for part in shapely.get_parts(area) if part.geom_type == "Polygon" and not part.is_empty]
    rings = [ring for part in polygons for ring in (part.exterior, *part.interiors)]
    return "".join(polyline(*np.asarray(ring.coords)[:-1].T, closed=True, digits=digits) for ring in rings)
