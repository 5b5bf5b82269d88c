"""What happened, in order? The timeline of a fused mission."""

import numpy as np

from dronetrack.border import Crossing, Crossings
from dronetrack.handover import Operation
from dronetrack.measurements import LINE_OF_SIGHT, Measurements
from dronetrack.tracks import COASTING, Track

SEEN_GAP_US = 5_000_000
COAST_WORTH_TELLING_US = 1_000_000


def timeline(
    result: Track, crossings: Crossings | None, table: Measurements, operation: Operation | None = None
) -> list[dict]:
    """Tell the story of a track in time order.

    Parameters
    ----------
    result : Track
        The track, with the stats of the filter.
    crossings : Crossings or None
        Its crossings of the border.
    table : Measurements
        What it was made of.
    operation : Operation or None
        Whose events are part of the story.

    Returns
    -------
    list of dict
        Events with ``time`` (ISO 8601, UTC), ``kind`` and the fields of each kind.
    """
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
    found += _of_operation(operation) if operation else []
    found.append((last, {"kind": "track_ended", "track_id": result.track_id}))
    # Equal times keep the order of the story: started first, ended last.
    found.sort(key=lambda pair: (pair[0], pair[1]["kind"] == "track_ended", pair[1]["kind"] != "track_started"))
    return [{"time": _iso(time_us), **event} for time_us, event in found]


def _of_operation(operation: Operation) -> list[tuple[int, dict]]:
    """Tell what became of custody, duties and rows, with times as the rest of the timeline has them."""
    found = []
    for event in operation.events:
        facts = {
            _plain_name(name): _iso(value) if name.endswith("_us") else value for name, value in event.facts.items()
        }
        about = {"authority": event.authority, "article": event.article, "cause": event.cause}
        found.append((event.time_us, {"kind": event.kind, **about, **facts}))
    for one in operation.refusals:
        about = {"authority": one.authority, "article": one.verdict.article, "cause": one.verdict.reason}
        told = {
            "kind": "contribution_refused",
            **about,
            "sensor": one.sensor,
            "rows": one.rows,
            "until": _iso(one.last_us),
        }
        found.append((one.first_us, told))
    return found


def _plain_name(name: str) -> str:
    return name.removesuffix("_us")


def _iso(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"


def _crossing_event(crossing: Crossing) -> dict:
    fields = ("track_id", "leaving", "entering", "place", "time_std_s", "probability", "lat_deg", "lon_deg")
    return {"kind": "crossing", **{name: getattr(crossing, name) for name in fields}}
