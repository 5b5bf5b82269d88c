"""What was this mission, and what came of it? The mission file, and the run of it.

A mission is one TOML file. Every key:

=================  =========================================================================================
``[mission]``
``name``           what to call it
``border``         two country codes, home first, such as ``["HU", "RO"]``; optional
``terrain_msl_m``  ground height above sea level [m]; or
``terrain``        an elevation grid (.hgt, .tif), path relative to the mission file
``[[drone]]``      one for each drone
``id``             unique name
``authority``      who operates it, such as ``"HU"``
``log``            its log (.tlog), path relative to the mission file
``system_id``      which vehicle, where the log holds several; optional
``gimbal_frame``   ``"auto"`` (default), ``"levelled"``, ``"body"``, ``"earth"``
``latency_s``      ``"auto"`` (default) or seconds from image to message
``[[unit]]``       one for each ground unit; optional
``id``             unique name
``authority``      whose unit it is
``log``            its reports (.gpx, .nmea, .xml, .csv, .parquet, .tlog), path relative to the mission file
``standoff_m``     two distances [m] at which it follows the target; without them it says nothing about the target
``unit``           its name inside a file of several units; optional
``system_id``      which vehicle of a .tlog; optional
=================  =========================================================================================

A key that is not in this table is refused by name and line.
"""

import difflib
import pathlib
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from dronetrack.border import Border, Crossing, Crossings
from dronetrack.errors import FormatError, InputError
from dronetrack.filtering import track
from dronetrack.mavlink import read_telemetry
from dronetrack.measurements import LINE_OF_SIGHT, Measurements, merge
from dronetrack.registration import Registration, register
from dronetrack.sensing import (
    SERVO_BUDGETS,
    SERVO_FRAMES,
    CameraErrors,
    Correction,
    GimbalFrame,
    check_gimbal_frame,
    contacts,
    geo_targets,
    sightings,
)
from dronetrack.smoothing import smooth
from dronetrack.telemetry import Telemetry
from dronetrack.terrain import Terrain, as_terrain
from dronetrack.tracks import COASTING, Track
from dronetrack.units import UnitReports, read_units

Progress = Callable[[str, float], None]
Finish = Callable[[], object]

_KEYS = {
    "mission": ("name", "border", "terrain_msl_m", "terrain"),
    "drone": ("id", "authority", "log", "system_id", "gimbal_frame", "latency_s"),
    "unit": ("id", "authority", "log", "standoff_m", "unit", "system_id"),
}
_REQUIRED = {"mission": ("name",), "drone": ("id", "authority", "log"), "unit": ("id", "authority", "log")}
_FRAMES = ("auto", "levelled", "body", "earth")
SEEN_GAP_US = 5_000_000
COAST_WORTH_TELLING_US = 1_000_000
SAME_OPINION_US, SAME_OPINION_DOUBT = 2_000_000, 4.0


@dataclass(frozen=True, slots=True)
class DroneEntry:
    """A drone of the mission file; see the table in `dronetrack.mission`."""

    id: str
    authority: str
    log: pathlib.Path
    system_id: int | None = None
    gimbal_frame: GimbalFrame = "auto"
    latency_s: float | Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True)
class UnitEntry:
    """A ground unit of the mission file; see the table in `dronetrack.mission`."""

    id: str
    authority: str
    log: pathlib.Path
    standoff_m: tuple[float, float] | None = None
    unit: str | None = None
    system_id: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Mission:
    """A mission file, checked.

    Parameters
    ----------
    name : str
        What to call it.
    border : (str, str) or None
        Country codes, home first.
    terrain : Terrain or None
        The ground.
    drones : tuple of DroneEntry
        At least one.
    units : tuple of UnitEntry
        Possibly none.
    """

    name: str
    border: tuple[str, str] | None
    terrain: Terrain | None
    drones: tuple[DroneEntry, ...]
    units: tuple[UnitEntry, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """What came of a mission.

    Parameters
    ----------
    mission : Mission
        The mission.
    track : Track
        The one track.
    border : Border or None
        The border that the mission names.
    crossings : Crossings or None
        Its crossings by the track.
    drones : tuple of Telemetry
        As in the mission file.
    units : tuple of UnitReports
        As in the mission file.
    measurements : Measurements
        Everything that was fused.
    registrations : dict of str to Registration
        What was found wrong with each drone's camera, by its id.
    events : list of dict
        The timeline: ``time``, ``kind`` and the fields of each kind.
    stats : dict
        Counts and estimates of every reader and of the filter.
    """

    mission: Mission
    track: Track
    border: Border | None
    crossings: Crossings | None
    drones: tuple[Telemetry, ...]
    units: tuple[UnitReports, ...]
    measurements: Measurements
    registrations: dict[str, Registration] = field(default_factory=dict)
    events: list[dict] = field(default_factory=list)
    stats: dict = field(default_factory=dict)

    def write(
        self, folder: str | pathlib.Path, *, also: Mapping[str, Callable[[pathlib.Path], Finish]] | None = None
    ) -> list[pathlib.Path]:
        """Write `track.parquet`, `track.geojson`, `timeline.json` and `stats.json`.

        All files are made beside the folder first and moved in when the last one is whole: a run that fails leaves
        nothing half-written.

        Parameters
        ----------
        folder : str or Path
            Where to; made if it is not there.
        also : mapping of str to callable, optional
            More files by name, such as ``{"map.png": ...}``: each is begun by a function of its path, which returns
            a function that finishes it.

        Returns
        -------
        list of Path
            The files.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        import json

        folder = pathlib.Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft = pathlib.Path(tempfile.mkdtemp(prefix=".dronetrack-", dir=folder.resolve().parent))
        except OSError as fault:
            raise InputError(f"{folder}: cannot write there ({fault.strerror}); choose another folder.") from None
        try:
            finish = [begin(draft / name) for name, begin in (also or {}).items()]
            self.track.to_file(draft / "track.parquet")
            self.track.to_file(draft / "track.geojson")
            (draft / "timeline.json").write_text(json.dumps(self.events, indent=1), encoding="utf-8")
            (draft / "stats.json").write_text(json.dumps(_plain(self.stats), indent=1), encoding="utf-8")
            for end in finish:
                end()
            names = sorted(path.name for path in draft.iterdir())
            for name in names:
                (draft / name).replace(folder / name)
        except OSError as fault:
            raise InputError(f"{folder}: cannot write there ({fault.strerror}); choose another folder.") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return [folder / name for name in names]


def read_mission(path: str | pathlib.Path) -> Mission:
    """Read and check a mission file.

    Parameters
    ----------
    path : str or Path
        The TOML file.

    Returns
    -------
    Mission
        With paths made absolute.

    Raises
    ------
    FormatError
        If the file is missing, is not TOML, has a key that nobody knows (named with its line), lacks one, has a
        wrong value, or names a file that is not there.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FormatError(f"{path}: no such file.")
    if not path.is_file():
        raise FormatError(f"{path}: a folder or device, needed a mission file (TOML).")
    try:
        text = path.read_bytes().decode("utf-8")
        tables = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as fault:
        raise FormatError(f"{path.name}: not a TOML file ({fault}).") from None
    return _MissionFile(path, text, tables).mission()


def fuse(mission: Mission | str | pathlib.Path, *, progress: Progress | None = None) -> Fusion:
    """Run a mission: read every log, sense, fuse into one track, find the crossings, tell what happened.

    Parameters
    ----------
    mission : Mission, str or Path
        The mission, or its file.
    progress : callable, optional
        Called with what is being done and the part done, 0 to 1.

    Returns
    -------
    Fusion
        Track, crossings, events and stats.

    Raises
    ------
    FormatError
        If a file is not what it says it is.
    InputError
        If no drone ever sighted the target.
    """
    tell = progress or _quiet
    what = mission if isinstance(mission, Mission) else read_mission(mission)
    steps = len(what.drones) + len(what.units) + 4
    done = 0
    drones, units, followers = [], [], []
    stats: dict = {"mission": what.name, "drones": {}, "units": {}, "sensors": {}}
    for entry in what.units:
        tell(f"reading {entry.id}", done / steps)
        reports = _read_unit(entry)
        units.append(reports)
        stats["units"][entry.id] = reports.stats
        if entry.standoff_m is not None:
            followers.append(contacts(reports, standoff_m=entry.standoff_m, authority=entry.authority))
        done += 1
    for entry in what.drones:
        tell(f"reading {entry.id}", done / steps)
        telemetry = read_telemetry(entry.log, entry.system_id, name=entry.id).steadied()
        drones.append(telemetry)
        stats["drones"][entry.id] = telemetry.stats
        done += 1
    tell("registering the cameras", done / steps)
    found = register(
        drones,
        terrain=what.terrain,
        positions=merge(*followers),
        gimbal_frame=[entry.gimbal_frame for entry in what.drones],
        latency_s=[entry.latency_s for entry in what.drones],
    )
    tell("fusing", (done + 1) / steps)
    result, table = _fused(what, drones, found, followers)
    _tell_of_drones(what, drones, found, units, stats)
    stats["sensors"] = table.stats
    stats["filter"] = result.stats
    tell("finding the crossings", (done + 2) / steps)
    border = Border.between(*what.border) if what.border else None
    crossings = border.crossings(result) if border else None
    events = _events(result, crossings, table)
    tell("fused", 1.0)
    registered = {entry.id: one for entry, one in zip(what.drones, found, strict=True)}
    return Fusion(what, result, border, crossings, tuple(drones), tuple(units), table, registered, events, stats)


def _fused(
    what: Mission, drones: list[Telemetry], found: Sequence[Registration], followers: list[Measurements]
) -> tuple[Track, Measurements]:
    """Filter with the cameras put right, then smooth with their angles open again: nothing is learnt twice.

    How good a servo mount is, nobody says; of its budgets the one counts that foresaw the sightings best.
    """
    servo = [one.gimbal_frame in SERVO_FRAMES for one in found]
    fused: list[tuple[float, Track, Measurements]] = []
    for budget in SERVO_BUDGETS if any(servo) else SERVO_BUDGETS[:1]:
        budgets = [budget if mount else None for mount in servo]
        table = merge(*followers, *_sense(what, drones, [one.correction for one in found], budgets))
        if not np.any(table.kind == LINE_OF_SIGHT) and not any(s.starts_tracks for s in table.sensors):
            raise InputError(f"{what.name}: no drone sighted anything; there is no target to track.")
        filtered = track(table)
        if not len(filtered):
            raise InputError(
                f"{what.name}: no sighting fixes a place on the ground; give terrain_msl_m or terrain in [mission]."
            )
        table = merge(*followers, *_sense(what, drones, [one.frame_and_clock for one in found], budgets))
        smoothed = smooth(filtered, measurements=table)
        fused.append((smoothed.stats["smoothed"]["log_likelihood"], smoothed, table))
    return max(fused, key=lambda one: one[0])[1:]


def _sense(
    what: Mission,
    drones: list[Telemetry],
    corrections: Sequence[Correction],
    budgets: Sequence[CameraErrors | None],
) -> list[Measurements]:
    """Everything the drones measured, put right."""
    batches = []
    for entry, telemetry, correction, budget in zip(what.drones, drones, corrections, budgets, strict=True):
        lines = sightings(
            telemetry,
            terrain=what.terrain,
            gimbal_frame=entry.gimbal_frame,
            latency_s=entry.latency_s,
            errors=budget,
            correction=correction,
            authority=entry.authority,
        )
        batches.append(lines)
        if len(telemetry.geo_target):
            delay = lines.stats[f"{entry.id} camera"]["latency_s"]
            batches.append(_doubted(geo_targets(telemetry, latency_s=delay, authority=entry.authority), lines))
    return batches


def _doubted(places: Measurements, lines: Measurements) -> Measurements:
    """Believe places that a camera computed less where it has sightings too: both rest on one pose, errors and all."""
    seen = lines.time_us[lines.kind == LINE_OF_SIGHT]
    if not len(seen):
        return places
    after = np.searchsorted(seen, places.time_us)
    gap = np.minimum(
        np.abs(seen[np.minimum(after, len(seen) - 1)] - places.time_us),
        np.abs(places.time_us - seen[np.maximum(after - 1, 0)]),
    )
    doubt = np.where(gap > SAME_OPINION_US, 1.0, SAME_OPINION_DOUBT)[:, None, None]
    return replace(places, cov=doubt * places.cov, site_cov=doubt * places.site_cov)


def _tell_of_drones(
    what: Mission, drones: list[Telemetry], found: Sequence[Registration], units: list[UnitReports], stats: dict
) -> None:
    """Put into `stats` what each drone's log held and what is wrong with it, and warn where its frame lies."""
    for entry, telemetry, one in zip(what.drones, drones, found, strict=True):
        told = stats["drones"][entry.id] = {**telemetry.stats, "registration": one.stats, "registered": str(one)}
        warnings = []
        stated = one.stats.get("frame_stated")
        if entry.gimbal_frame == "auto" and stated and one.gimbal_frame not in ("auto", stated):
            share = one.frame_probability.get(one.gimbal_frame, 1.0)
            warnings.append(
                f"the gimbal's flags say {stated!r}, its sightings fit {one.gimbal_frame!r} (probability {share:.3f})."
            )
        # Where the sightings themselves bear the stated frame out, no unit has to.
        borne_out = entry.gimbal_frame == "auto" and one.stats.get("frame_observed") and one.gimbal_frame == stated
        for reports in [] if borne_out else units:
            check = check_gimbal_frame(telemetry, reports, gimbal_frame=entry.gimbal_frame)
            if not check["agrees"]:
                told["gimbal_frame_check"] = check
                warnings.append(check["warning"])
        if warnings:
            stats.setdefault("warnings", []).extend(f"{entry.id}: {warning}" for warning in warnings)


def _read_unit(entry: UnitEntry) -> UnitReports:
    reports = read_units(entry.log, unit=entry.unit, system_id=entry.system_id)
    if len(reports.names) > 1:
        raise InputError(f"{entry.log.name}: several units, {list(reports.names)}; choose one with unit = in [[unit]].")
    return replace(reports, names=(entry.id,))


def _events(result: Track, crossings: Crossings | None, table: Measurements) -> list[dict]:
    """Tell the story of a track in time order."""
    found: list[tuple[int, dict]] = [(int(result.time_us[0]), {"kind": "track_started", "track_id": result.track_id})]
    coasting = result.status == COASTING
    edges = np.flatnonzero(np.diff(np.concatenate([[False], coasting, [False]]).astype(np.int8)))
    last = int(result.time_us[-1])
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        begin = int(result.time_us[start])
        end = int(result.time_us[stop]) if stop < len(result) else last
        if end - begin < COAST_WORTH_TELLING_US:
            continue
        found.append((begin, {"kind": "coasting", "track_id": result.track_id, "duration_s": (end - begin) * 1e-6}))
        if stop < len(result):
            found.append((end, {"kind": "reacquired", "track_id": result.track_id}))
    moved = {"kind": "track_moved", "track_id": result.track_id}
    found += [(moment, moved) for moment in result.stats["recovered_us"]]
    for sensor_id, sensor in enumerate(table.sensors):
        mine = table.time_us[(table.sensor_id == sensor_id) & (table.kind == LINE_OF_SIGHT)]
        for group in np.split(mine, np.flatnonzero(np.diff(mine) > SEEN_GAP_US) + 1) if len(mine) else []:
            about = {"sensor": sensor.name, "authority": sensor.authority}
            found.append((int(group[0]), {"kind": "sighting_started", **about}))
            found.append((int(group[-1]), {"kind": "sighting_ended", **about, "rows": len(group)}))
        for one in result.stats["sensors"][sensor.name]["refused"] if sensor.starts_tracks else []:
            fields = {
                "sensor": sensor.name,
                "rows": one["rows"],
                "duration_s": (one["end_us"] - one["start_us"]) * 1e-6,
            }
            found.append((one["start_us"], {"kind": "sightings_refused", **fields}))
    found += [(int(one.time.astype(np.int64)), _crossing_event(one)) for one in crossings or []]
    found.append((last, {"kind": "track_ended", "track_id": result.track_id}))
    # Equal times keep the order of the story: started first, ended last.
    found.sort(key=lambda pair: (pair[0], pair[1]["kind"] == "track_ended", pair[1]["kind"] != "track_started"))
    return [{"time": f"{np.datetime64(time_us, 'us')}Z", **event} for time_us, event in found]


def _crossing_event(crossing: Crossing) -> dict:
    fields = ("track_id", "leaving", "entering", "time_std_s", "probability", "lat_deg", "lon_deg")
    return {"kind": "crossing", **{name: getattr(crossing, name) for name in fields}}


class _MissionFile:
    """The tables of a mission file with enough of its text to say in which line something is wrong."""

    def __init__(self, path: pathlib.Path, text: str, tables: dict) -> None:
        self.path, self.lines, self.tables = path, text.splitlines(), tables

    def mission(self) -> Mission:
        for name, value in self.tables.items():
            if name not in _KEYS:
                self._unknown(name, list(_KEYS), "", self._line(name, None, 0))
            if name == "mission" and not isinstance(value, dict):
                raise self._fault("mission must be a table: [mission].", self._line(name, None, 0))
            if name != "mission" and not (isinstance(value, list) and all(isinstance(row, dict) for row in value)):
                raise self._fault(f"{name} must be a list of tables: [[{name}]].", self._line(name, None, 0))
        if "mission" not in self.tables:
            raise self._fault("no [mission] table.", 0)
        whole = self._checked("mission", self.tables["mission"], 0)
        drones = tuple(self._drone(row, number) for number, row in enumerate(self.tables.get("drone", [])))
        units = tuple(self._unit(row, number) for number, row in enumerate(self.tables.get("unit", [])))
        if not drones:
            raise self._fault("no [[drone]]; a mission needs at least one.", 0)
        self._unique(drones, units)
        return Mission(
            self._text(whole, "mission", "name", 0), self._border(whole), self._terrain(whole), drones, units
        )

    def _checked(self, table: str, row: dict, number: int) -> dict:
        for key in row:
            if key not in _KEYS[table]:
                self._unknown(key, _KEYS[table], table, self._line(table, key, number))
        for key in _REQUIRED[table]:
            if key not in row:
                raise self._fault(f"{_say(table)} has no {key!r}.", self._line(table, None, number))
        return row

    def _drone(self, row: dict, number: int) -> DroneEntry:
        self._checked("drone", row, number)
        frame = row.get("gimbal_frame", "auto")
        if frame not in _FRAMES:
            raise self._wrong("drone", "gimbal_frame", number, f"one of {', '.join(_FRAMES)}", frame)
        latency = row.get("latency_s", "auto")
        if latency != "auto" and not (_is_number(latency) and 0.0 <= latency <= 10.0):
            raise self._wrong("drone", "latency_s", number, "'auto' or 0 to 10 seconds", latency)
        return DroneEntry(
            *self._common("drone", row, number),
            gimbal_frame=frame,
            latency_s=latency,
            system_id=self._system(row, "drone", number),
        )

    def _unit(self, row: dict, number: int) -> UnitEntry:
        self._checked("unit", row, number)
        standoff = row.get("standoff_m")
        if standoff is not None:
            pair = isinstance(standoff, list) and len(standoff) == 2 and all(_is_number(value) for value in standoff)
            if not (pair and 0.0 <= standoff[0] < standoff[1]):
                raise self._wrong("unit", "standoff_m", number, "two distances [near, far], 0 <= near < far", standoff)
            standoff = (float(standoff[0]), float(standoff[1]))
        inner = self._text(row, "unit", "unit", number) if "unit" in row else None
        return UnitEntry(
            *self._common("unit", row, number),
            standoff_m=standoff,
            unit=inner,
            system_id=self._system(row, "unit", number),
        )

    def _common(self, table: str, row: dict, number: int) -> tuple[str, str, pathlib.Path]:
        log = self.path.parent / self._text(row, table, "log", number)
        if not log.is_file():
            raise self._fault(f"{_say(table)} log: there is no file {log}.", self._line(table, "log", number))
        return self._text(row, table, "id", number), self._text(row, table, "authority", number), log.resolve()

    def _system(self, row: dict, table: str, number: int) -> int | None:
        value = row.get("system_id")
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 255):
            raise self._wrong(table, "system_id", number, "a whole number, 1 to 255", value)
        return value

    def _border(self, whole: dict) -> tuple[str, str] | None:
        value = whole.get("border")
        if value is None:
            return None
        if not (
            isinstance(value, list)
            and len(value) == 2
            and all(isinstance(v, str) for v in value)
            and value[0] != value[1]
        ):
            raise self._wrong("mission", "border", 0, "two different country codes, home first", value)
        try:
            Border.between(*value)
        except InputError as fault:
            raise self._fault(f"[mission] border: {fault}", self._line("mission", "border", 0)) from None
        return value[0], value[1]

    def _terrain(self, whole: dict) -> Terrain | None:
        if "terrain" in whole and "terrain_msl_m" in whole:
            raise self._fault("give terrain_msl_m or terrain, not both.", self._line("mission", "terrain", 0))
        height = whole.get("terrain_msl_m")
        if height is not None:
            if not (_is_number(height) and -1000.0 <= height <= 9000.0):
                raise self._wrong("mission", "terrain_msl_m", 0, "a height in metres", height)
            return Terrain.constant(float(height))
        if "terrain" in whole:
            return as_terrain(self.path.parent / self._text(whole, "mission", "terrain", 0))
        return None

    def _unique(self, drones: tuple[DroneEntry, ...], units: tuple[UnitEntry, ...]) -> None:
        seen: set[str] = set()
        entries = [("drone", number, entry.id) for number, entry in enumerate(drones)]
        entries += [("unit", number, entry.id) for number, entry in enumerate(units)]
        for table, number, identity in entries:
            if identity in seen:
                raise self._fault(f"the id {identity!r} stands twice; ids are unique.", self._line(table, "id", number))
            seen.add(identity)

    def _text(self, row: dict, table: str, key: str, number: int) -> str:
        value = row[key]
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(table, key, number, "text", value)
        return value

    def _wrong(self, table: str, key: str, number: int, needed: str, came: object) -> FormatError:
        return self._fault(f"{_say(table)} {key} must be {needed}; got {came!r}.", self._line(table, key, number))

    def _unknown(self, key: str, known: Sequence[str], table: str, line: int) -> None:
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}."
        where = f" in {_say(table)}" if table else ""
        raise self._fault(f"unknown key {key!r}{where}{hint}", line)

    def _fault(self, message: str, line: int) -> FormatError:
        place = f"{self.path.name} line {line}" if line else self.path.name
        return FormatError(f"{place}: {message}", offset=line or None)

    def _line(self, table: str, key: str | None, number: int) -> int:
        """Line of a key in the `number`-th table of a name; of the table where the key cannot be found; 0 for none."""
        at, inside, seen = 0, False, -1
        for line_number, line in enumerate(self.lines, start=1):
            header = re.match(r"\s*\[\[?\s*[\"']?([\w-]+)[\"']?\s*\]\]?", line)
            if header or re.match(rf"\s*[\"']?{re.escape(table)}[\"']?\s*=", line):
                name = header[1] if header else table
                seen += name == table
                inside = name == table and seen == number
                at = line_number if inside else at
            if inside and key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
                return line_number
        return at


def _say(table: str) -> str:
    return f"[{table}]" if table == "mission" else f"[[{table}]]"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _plain(value: object) -> object:
    """Make stats fit for JSON: no NaN, no numpy scalars."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _quiet(_what: str, _part: float) -> None:
    return None
