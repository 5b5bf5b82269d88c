"""What does the law cost on a live track update? Operation and Watch, beside Watch alone and the Tracker.

A target is followed live over the real line near Nadlac, one row at a time: the tracker takes it, somebody looks at
what is believed, the watch looks for a crossing, the operation judges row and custody. The operation must be right at
the end, or its time means nothing.
"""

from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload
from dronetrack.border import Border, Watch
from dronetrack.handover import Authorisation, Authority, Mandate, Operation, Zone
from dronetrack.measurements import POSITION, Measurements, Sensor, measurements_of
from dronetrack.tracker import Tracker
from dronetrack.tracks import Track

WATCHED = "Watch and Operation"
STEP_S, SPEED_MPS, START_US = 0.2, 20.0, 1_795_470_000_000_000
LAT_DEG, LON_DEG = 46.2119, 20.7597


def _drive(n: int, rng: np.random.Generator) -> list[Measurements]:
    """Positions of a target that drives east over the line, one batch for each."""
    seconds = np.arange(n) * STEP_S
    east_m = SPEED_MPS * (seconds - seconds.mean())
    lon = LON_DEG + east_m / (111_320.0 * np.cos(np.radians(LAT_DEG)))
    place = geodesy.geodetic_to_ecef(np.full(n, LAT_DEG), lon, np.full(n, 130.0)) + rng.normal(0.0, 3.0, (n, 3))
    cov = np.broadcast_to(9.0 * np.eye(3), (n, 3, 3))
    rows = measurements_of(START_US + (seconds * 1e6).astype(np.int64), POSITION, place, cov, Sensor("HU-D1", "HU"))
    return [rows.take(np.array([k])) for k in range(n)]


def _operation(border: Border, *, zoned: bool = False) -> Operation:
    both = Authority("HU", "HU"), Authority("RO", "RO")
    depth_m = 20_000.0 if zoned else np.inf
    given = Authorisation("RO", "HU", START_US, START_US, START_US + 10**11, depth_m=depth_m)
    zones = (Zone("HU", ("fly",), depth_m=20_000.0),) if zoned else ()
    return Operation(Mandate("HU", "RO", both, authorisations=(given,), zones=zones), border)


def _cases(setting: Setting) -> Iterator[Case]:
    border, rows = Border.between("HU", "RO"), _drive(setting.size(3_000, 1_000), setting.rng())
    n = len(rows)
    tracker, looks = Tracker(lag_s=2.0), []
    for one in rows:
        tracker.update(one)
        looks.append(tracker.now())

    def track() -> None:
        live = Tracker(lag_s=2.0)
        for one in rows:
            live.update(one)

    def permit(*, zoned: bool) -> None:
        operation = _operation(border, zoned=zoned)
        for one in rows:
            operation.permit(one)

    answer = {"answer": lambda out: {"custody": out}, "expected": {"custody": "joint"}}
    jobs = {
        WATCHED: Job(lambda: _watched(border, looks), n, "ours", **answer),
        "Watch": Job(lambda: _watching(border, looks), n, "ours"),
        "Tracker": Job(track, n, "ours"),
        "Operation.permit": Job(lambda: permit(zoned=False), n, "ours"),
        "Operation.permit, zones and terms": Job(lambda: permit(zoned=True), n, "ours"),
    }
    yield Case("a live row", jobs)


def _watching(border: Border, looks: list[Track]) -> None:
    watch = Watch(border)
    for one in looks:
        watch.update(one)


def _watched(border: Border, looks: list[Track]) -> str:
    watch, operation = Watch(border), _operation(border)
    for one in looks:
        operation.update(one, watch.update(one))
    return operation.custody


WORKLOAD = Workload(
    "operation",
    "What do border watch and the law of custody cost on a live track update?",
    "rows/s",
    _cases,
    goals=(Goal("a live row", "rate", WATCHED, at_least=20_000.0),),
)
