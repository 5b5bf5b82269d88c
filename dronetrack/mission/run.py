"""What came of a mission? Read every log, fuse what may be used, and tell what happened."""

import itertools
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.border import Border, Crossings
from dronetrack.errors import InputError
from dronetrack.filtering import track
from dronetrack.handover import Following, Mandate, Operation
from dronetrack.journal import Journal
from dronetrack.mavlink import read_telemetry
from dronetrack.measurements import LINE_OF_SIGHT, Measurements, merge
from dronetrack.mission.file import Mission, UnitEntry, read_mission
from dronetrack.mission.timeline import timeline
from dronetrack.motion import ConstantVelocity
from dronetrack.registration import Registration, register
from dronetrack.sensing import (
    SERVO_BUDGETS,
    SERVO_ERRORS,
    SERVO_FRAMES,
    CameraErrors,
    Correction,
    check_gimbal_frame,
    contacts,
    geo_targets,
    sightings,
)
from dronetrack.smoothing import smooth
from dronetrack.telemetry import Telemetry
from dronetrack.tracks import Track
from dronetrack.units import UnitReports, read_units

Progress = Callable[[str, float], None]
Finish = Callable[[], object]

RECORD_GROUP_US = 60_000_000  # offline nobody waits for the disk every second of the data
SAME_OPINION_US, SAME_OPINION_DOUBT = 2_000_000, 4.0
SAME_POSE_DEG, SAME_POSE_DOUBT, FEWEST_PLACES = 1.0, 100.0, 20


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
        Everything that was fused: of an operation, what it permitted.
    registrations : dict of str to Registration
        What was found wrong with each drone's camera, by its id.
    events : list of dict
        The timeline: ``time``, ``kind`` and the fields of each kind.
    stats : dict
        Counts and estimates of every reader and of the filter.
    custody : list of str
        Which authority held the target in each row of the track; empty where nobody did, or there is no border.
    operation : Operation or None
        How it stands at the end, where the mission is an operation.
    journal : Path or None
        Its record.
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
    custody: list[str] = field(default_factory=list)
    operation: Operation | None = None
    journal: pathlib.Path | None = None

    def write(
        self, folder: str | pathlib.Path, *, also: Mapping[str, Callable[[pathlib.Path], Finish]] | None = None
    ) -> list[pathlib.Path]:
        """Write `track.parquet`, `track.geojson`, `timeline.json`, `stats.json`.

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
            self.track.to_file(draft / "track.parquet", custody=self.custody)
            self.track.to_file(draft / "track.geojson", custody=self.custody)
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
        written = [folder / name for name in names]
        return written if self.journal is None else [*written, self.journal]


def fuse(
    mission: Mission | str | pathlib.Path,
    *,
    journal: str | pathlib.Path | None = None,
    progress: Progress | None = None,
) -> Fusion:
    """Run a mission: read every log, sense, fuse into one track, find the crossings, tell what happened.

    Of an operation, the track is made of what each authority may contribute, as it stood at the time of each row. What
    is wrong with the cameras is found from their whole logs.

    Parameters
    ----------
    mission : Mission, str or Path
        The mission, or its file.
    journal : str or Path, optional
        Where to record an operation. A journal that stands there is kept, as `run.1.journal` and so on.
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
        If no drone ever sighted the target, or nothing of it may be used.
    NotAuthorisedError
        If it is an operation that its rules do not permit.
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
    border = Border.between(*what.border) if what.border else None
    result, table, operation = _fused(what, drones, found, followers, border, journal)
    _tell_of_drones(what, drones, found, units, stats)
    stats["sensors"] = table.stats
    stats["filter"] = result.stats
    tell("finding the crossings", (done + 2) / steps)
    crossings = border.crossings(result) if border else None
    custody, stats["custody"] = _custody(result, border, operation)
    events = timeline(result, crossings, table, operation)
    tell("fused", 1.0)
    registered = {entry.id: one for entry, one in zip(what.drones, found, strict=True)}
    return Fusion(
        what,
        result,
        border,
        crossings,
        tuple(drones),
        tuple(units),
        table,
        registered,
        events,
        stats,
        custody,
        operation,
        pathlib.Path(journal) if journal is not None and operation is not None else None,
    )


def _fused(
    what: Mission,
    drones: list[Telemetry],
    found: Sequence[Registration],
    followers: list[Measurements],
    border: Border | None,
    journal: str | pathlib.Path | None,
) -> tuple[Track, Measurements, Operation | None]:
    """Filter with the cameras put right, then smooth with their angles open again: nothing is learnt twice.

    How good a servo mount is, nobody says; each of its budgets counts by how well it foresaw the sightings.
    """
    servo = [one.gimbal_frame in SERVO_FRAMES for one in found]
    doubts = [_doubt(drone, one) for drone, one in zip(drones, found, strict=True)]
    trials = SERVO_BUDGETS if any(servo) else SERVO_BUDGETS[:1]
    tried: list[tuple[Track, Measurements, _Followed]] = []
    for budget in trials:
        budgets = [budget if mount else None for mount in servo]
        raw = merge(*followers, *_sense(what, drones, [one.correction for one in found], budgets, doubts))
        if not np.any(raw.kind == LINE_OF_SIGHT) and not any(s.starts_tracks for s in raw.sensors):
            raise InputError(f"{what.name}: no drone sighted anything; there is no target to track.")
        # Only what is kept goes on the record; of one trial that is known before.
        followed = _follow(what, border, raw, journal if len(trials) == 1 else None)
        # One noise for all budgets: a target that may turn at any moment would explain a mount that lags.
        filtered = track(raw.take(followed.permitted), motion=ConstantVelocity())
        if not len(filtered):
            what_of = "no sighting" if followed.permitted.all() else "no sighting that may be used"
            raise InputError(
                f"{what.name}: {what_of} fixes a place on the ground; give terrain_msl_m or terrain in [mission]."
            )
        open_budgets = [one.open_budget(budget) for one, budget in zip(found, budgets, strict=True)]
        table = merge(*followers, *_sense(what, drones, [one.frame_and_clock for one in found], open_budgets, doubts))
        table = table.take(followed.permitted)
        tried.append((smooth(filtered, measurements=table), table, followed))
    _, table, followed = max(tried, key=lambda one: _foresight(one[0]))
    smoothed = _mixed([one[0] for one in tried], table)
    if len(trials) > 1 and journal is not None:
        followed = _follow(what, border, followed.raw, journal)
    if followed.journal is not None:
        followed.journal.append_track(smoothed, {"made": "smoothed"})
        followed.journal.close()
    return smoothed, table, followed.operation


def _foresight(smoothed: Track) -> float:
    return float(smoothed.stats["smoothed"]["log_likelihood"]) if "smoothed" in smoothed.stats else -np.inf


def _mixed(tracks: Sequence[Track], table: Measurements) -> Track:
    """Return the best of several tracks of the same rows, mixed with those that foresaw the sightings nearly as well.

    Where they differ, the mean lies between them and the covariance holds the difference. What tells the budgets of a
    mount apart is how far it wanders, and all sightings within the time that its error lasts are one opinion of that.
    """
    best = max(tracks, key=_foresight)
    sights = table.time_us[table.kind == LINE_OF_SIGHT]
    if len(tracks) == 1 or not len(sights):
        return best
    worth = min(np.ptp(sights) * 1e-6 / (SERVO_ERRORS.boresight_time_s * len(sights)), 1.0)
    weight = np.exp(worth * (np.array([_foresight(one) for one in tracks]) - _foresight(best)))
    weight /= weight.sum()
    states, covs = zip(*(_at_times(one, best) for one in tracks), strict=True)
    state = np.einsum("k,kni->ni", weight, states)
    cov = np.zeros_like(best.cov)
    for share, each, its_cov in zip(weight, states, covs, strict=True):
        off = each - state
        cov += share * (its_cov + off[:, :, None] * off[:, None, :])
    stats = {**best.stats, "smoothed": {**best.stats["smoothed"], "mount_budgets": weight.tolist()}}
    return replace(best, state=state, cov=cov, stats=stats)


def _at_times(one: Track, best: Track) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """State and covariance of a track at the times of the best one, whose own stand where it has none."""
    if not len(one):
        return best.state, best.cov
    at = np.clip(np.searchsorted(one.time_us, best.time_us), 0, len(one) - 1)
    there = one.time_us[at] == best.time_us
    return (
        np.where(there[:, None], one.state[at], best.state),
        np.where(there[:, None, None], one.cov[at], best.cov),
    )


class _Followed(NamedTuple):
    """Rows as they came, which of them might be used, and how the operation and its record stand at the end."""

    raw: Measurements
    permitted: NDArray[np.bool_]
    operation: Operation | None = None
    journal: Journal | None = None


def _follow(what: Mission, border: Border | None, raw: Measurements, path: str | pathlib.Path | None) -> _Followed:
    """Go through the operation, on the record where there is a place for one; everything may be used without one."""
    if what.mandate is None or border is None:
        return _Followed(raw, np.ones(len(raw), dtype=np.bool_))
    journal = None if path is None else _open_journal(what, what.mandate, pathlib.Path(path), int(raw.time_us[0]))
    following = Following(Operation(what.mandate, border), journal=journal, decisions=what.decisions)
    permitted = following.update(raw).permitted
    following.finish()
    return _Followed(raw, permitted, following.operation, journal)


def _open_journal(what: Mission, mandate: Mandate, path: pathlib.Path, time_us: int) -> Journal:
    """Begin a journal; one that stands there is kept under the next number, with the log of who read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            number = next(n for n in itertools.count(1) if not path.with_suffix(f".{n}{path.suffix}").exists())
            for suffix in (path.suffix, f"{path.suffix}.access"):
                if path.with_suffix(suffix).exists():
                    path.with_suffix(suffix).rename(path.with_suffix(f".{number}{suffix}"))
    except OSError as fault:
        raise InputError(f"{path}: cannot be written ({fault.strerror}); choose another folder.") from None
    return Journal.create(
        path,
        purpose=mandate.purpose or what.name,
        authority=mandate.home,
        operation=what.name,
        time_us=time_us,
        sync="interval",
        group_us=RECORD_GROUP_US,
    )


def _sense(
    what: Mission,
    drones: list[Telemetry],
    corrections: Sequence[Correction],
    budgets: Sequence[CameraErrors | None],
    doubts: Sequence[float],
) -> list[Measurements]:
    """Everything the drones measured, put right."""
    batches = []
    for entry, telemetry, correction, budget, doubt in zip(
        what.drones, drones, corrections, budgets, doubts, strict=True
    ):
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
            batches.append(_doubted(geo_targets(telemetry, latency_s=delay, authority=entry.authority), lines, doubt))
    return batches


def _doubt(telemetry: Telemetry, found: Registration) -> float:
    """How much more variance the places that a camera computed have, beside its own sightings.

    Where the sightings are found turned by degrees, and the places lie where the sightings pointed before that was
    put right, both come from one wrong pose: the places say nothing new, and would say it against the correction.
    """
    turn_deg = found.yaw_deg + found.heading_deg
    if abs(turn_deg) < SAME_POSE_DEG or not len(telemetry.geo_target):
        return SAME_OPINION_DOUBT
    places = geo_targets(telemetry, latency_s=found.latency_s)
    lines = sightings(telemetry, correction=found.frame_and_clock)
    if not len(lines):
        return SAME_OPINION_DOUBT
    at = np.clip(np.searchsorted(lines.time_us, places.time_us), 0, len(lines) - 1)
    near = np.abs(lines.time_us[at] - places.time_us) < SAME_OPINION_US // 10
    site, at = lines.site_ecef_m[at[near]], at[near]
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(site)
    to_place, to_target = (
        geodesy.ecef_vectors_to_enu(each, lat_deg, lon_deg) for each in (places.z[near] - site, lines.z[at])
    )
    bearing_deg = np.degrees([np.arctan2(each[:, 0], each[:, 1]) for each in (to_place, to_target)])
    beside_deg = (bearing_deg[0] - bearing_deg[1] + 180.0) % 360.0 - 180.0
    if len(beside_deg) < FEWEST_PLACES:
        return SAME_OPINION_DOUBT
    beside = float(np.median(beside_deg))
    return SAME_POSE_DOUBT if abs(beside) < abs(beside - turn_deg) else SAME_OPINION_DOUBT


def _doubted(places: Measurements, lines: Measurements, doubt: float) -> Measurements:
    """Believe places that a camera computed less where it has sightings too: both rest on one pose, errors and all."""
    seen = lines.time_us[lines.kind == LINE_OF_SIGHT]
    if not len(seen):
        return places
    after = np.searchsorted(seen, places.time_us)
    gap = np.minimum(
        np.abs(seen[np.minimum(after, len(seen) - 1)] - places.time_us),
        np.abs(places.time_us - seen[np.maximum(after - 1, 0)]),
    )
    own = doubt if doubt > SAME_OPINION_DOUBT else 1.0  # of a wrong pose also where nothing was seen
    factor = np.where(gap > SAME_OPINION_US, own, doubt)[:, None, None]
    return replace(places, cov=factor * places.cov, site_cov=factor * places.site_cov)


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


def _custody(result: Track, border: Border | None, operation: Operation | None) -> tuple[list[str], dict]:
    """Return who held the target in each row, and how that is known."""
    if operation is not None:
        duties = [
            {
                "kind": one.kind,
                "article": one.article,
                "due_us": one.due_us,
                "done_us": one.done_us,
                "missed": one.missed,
            }
            for one in operation.duties
        ]
        refused = [
            {"sensor": one.sensor, "authority": one.authority, "rule": one.verdict.rule, "article": one.verdict.article,
             "rows": one.rows}
            for one in operation.refusals
        ]  # fmt: skip
        about = {"from": "the operation", "state": operation.custody, "holder": operation.holder}
        return operation.holder_at(result.time_us), {**about, "duties": duties, "refused": refused}
    if border is not None:
        names = np.array([border.home, border.host, ""], dtype=object)
        return names[border.side(result.lat_deg, result.lon_deg)].tolist(), {
            "from": "the side of the border; the mission file has no [operation]"
        }
    return [""] * len(result), {"from": "nothing; the mission file has no border"}


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
