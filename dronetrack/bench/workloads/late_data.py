"""What does late data cost? A live stream in which rows come up to a second late, and a belief after every message.

Three sensors give 20 positions a second each. Ways of having it exact: our `Tracker`; filterpy that keeps its state at
every row, goes back and replays; filterpy run from the start whenever a row is late. All beliefs are equal, after every
message. What the tracker does besides stays in its time: it gates, counts, and writes the rows of the track.
"""

import statistics
import time
from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench.problems import MOTION, STD_M
from dronetrack.bench.workload import Case, Job, Setting, Workload, peer_job
from dronetrack.filtering import track
from dronetrack.measurements import POSITION, Measurements, Sensor, measurements_of, merge
from dronetrack.tracker import Tracker

OURS = "dronetrack.Tracker"
RATE_HZ, LATE, LATEST_S = 20.0, 0.05, 1.0
OPTIONS = {"motion": MOTION, "gate_probability": 0.9999999, "learn_noise": False, "coast_step_s": 10.0}
TOLERANCE = {"beliefs": (0.0, 1e-5)}


def stream(rng: np.random.Generator, seconds: float, *, shared: bool = False) -> Measurements:
    """Rows of three sensors that see one target, in order of time."""
    parts = []
    for number, name in enumerate("abc"):
        at_s = np.arange(number / (3.0 * RATE_HZ), seconds, 1.0 / RATE_HZ)
        place = geodesy.geodetic_to_ecef([46.2], [20.7], [120.0]) + np.outer(at_s, [12.0, -3.0, 5.0])
        full = np.broadcast_to(np.eye(3), (len(at_s), 3, 3))
        seen = place + rng.normal(0.0, STD_M, place.shape)
        time_us = np.rint(at_s * 1e6).astype(np.int64)
        site_cov = 4.0 * full if shared else None
        sensor = Sensor(name, shared_time_s=60.0, heading_std_rad=0.01) if shared else Sensor(name)
        parts.append(measurements_of(time_us, POSITION, seen, STD_M**2 * full, sensor, site_cov=site_cov))
    return merge(*parts)


def arrivals(rows: Measurements, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Order and time of arrival; the first row is in time, so that all filters start from it."""
    late = rng.random(len(rows)) < LATE
    late[0] = False
    delay_us = np.where(late, rng.uniform(0.0, LATEST_S * 1e6, len(rows)), 0.0)
    arrival_us = rows.time_us + delay_us.astype(np.int64)
    return np.argsort(arrival_us, kind="stable"), arrival_us


def _by_tracker(rows: Measurements, parts: list[Measurements]) -> np.ndarray:
    tracker = Tracker(lag_s=LATEST_S + 0.5, **OPTIONS)
    tracker.update(rows.take([0]))
    beliefs = []
    for part in parts:
        tracker.update(part)
        beliefs.append(tracker.now().state[0])
    return np.array(beliefs)


def _cases(setting: Setting) -> Iterator[Case]:
    rng = setting.rng()
    rows = stream(rng, setting.size(20, 5))
    order, arrival_us = arrivals(rows, rng)
    lot = arrival_us[order[1:]] // 250_000
    lots = [np.sort(part) for part in np.split(order[1:], np.flatnonzero(np.diff(lot)) + 1)]
    yield _race("messages of one row", rows, [np.array([row]) for row in order[1:]], setting)
    yield _race("messages of a quarter of a second", rows, lots, setting)
    yield Case("one live row", figures=_latencies(setting))


def _race(name: str, rows: Measurements, messages: list[np.ndarray], setting: Setting) -> Case:
    parts = [rows.take(message) for message in messages]
    begun = track(rows.take([0]), **OPTIONS)
    ours = _by_tracker(rows, parts)
    jobs = {OURS: Job(lambda: _by_tracker(rows, parts), len(messages), "ours")}
    for peer in setting.peers.values():
        for back, keeps in (("back to the row", True), ("from the start", False)):
            solve = peer.follow_late(rows.time_us, rows.z, messages, begun.state[0], begun.cov[0], keeps=keeps)
            jobs[f"{peer.LABEL}, {back}"] = peer_job(peer, solve, len(messages), beliefs=ours)
    return Case(name, jobs, tolerance=TOLERANCE)


def _latencies(setting: Setting) -> dict[str, float]:
    seconds = setting.size(120, 30)
    plain, shared = stream(setting.rng(), seconds), stream(setting.rng(), seconds, shared=True)
    found = {}
    for name, rows, options in (("", plain, OPTIONS), ("_shared_errors", shared, {})):
        for late_s in (0.0, 1.0):
            found[f"update_and_now{name}_{late_s:.0f}_s_late_us"] = _latency_us(rows, late_s, options)
    return found


def _latency_us(rows: Measurements, late_s: float, options: dict) -> float:
    """Median time of an update and a look, when one row of a steady stream is so late. [us]"""
    tracker, behind = Tracker(lag_s=5.0, **options), round(late_s * 3 * RATE_HZ)
    held = {n: n + behind for n in range(600, len(rows) - behind, 150)}
    due = {when: n for n, when in held.items()}
    spent = []
    for n in range(len(rows)):
        if n not in held:
            tracker.update(rows.take([n]))
            tracker.now()
        if n in due:
            part = rows.take([due[n]])
            start = time.process_time()
            tracker.update(part)
            tracker.now()
            spent.append(time.process_time() - start)
    return 1e6 * statistics.median(spent)


WORKLOAD = Workload(
    "late_data",
    "What does a row cost that comes late, where every belief must be what it were had the row come in time?",
    "messages/s",
    _cases,
    peers=("filterpy",),
)
