"""What does late data cost? A live stream in which rows come up to a second late, and a belief after every message.

    python benchmarks/late_data.py

Three sensors give 20 positions a second each; some rows are late. After each message the belief is asked for. Ways of
having it exact: our `Tracker`; filterpy that keeps its state at every row, goes back and replays; filterpy run from
the start whenever a row is late, and `dronetrack.track` likewise. All beliefs are equal, after every message. What the
tracker does besides stays in its time: it gates, learns noise where asked, counts, and writes the rows of the track.
"""

import itertools
import statistics
import time

import numpy as np
from filterpy.kalman import KalmanFilter
from timing import in_turn, table, versions

from dronetrack import geodesy, reference
from dronetrack.filtering import track
from dronetrack.measurements import POSITION, Sensor, measurements_of, merge
from dronetrack.motion import ConstantVelocity
from dronetrack.tracker import Tracker

SECONDS, RATE_HZ, STD_M, LATE, LATEST_S = 20.0, 20.0, 3.0, 0.05, 1.0
# The same noise on every axis: then filterpy needs no new noise matrix in each step.
MOTION = ConstantVelocity(horizontal_psd=2.0, vertical_psd=2.0, initial_climb_std_mps=15.0)
OPTIONS = {"motion": MOTION, "gate_probability": 0.9999999, "learn_noise": False, "coast_step_s": 10.0}


def stream(rng, seconds=SECONDS, **sensor):
    """Three sensors that see one target: the rows in order of time."""
    parts = []
    for number, name in enumerate("abc"):
        at_s = np.arange(number / (3.0 * RATE_HZ), seconds, 1.0 / RATE_HZ)
        place = geodesy.geodetic_to_ecef([46.2], [20.7], [120.0]) + np.outer(at_s, [12.0, -3.0, 5.0])
        full = np.broadcast_to(np.eye(3), (len(at_s), 3, 3))
        shared = 4.0 * full if sensor else None
        seen = place + rng.normal(0.0, STD_M, place.shape)
        parts.append(
            measurements_of(
                np.rint(at_s * 1e6).astype(np.int64), POSITION, seen, STD_M**2 * full, Sensor(name, **sensor),
                site_cov=shared,
            )
        )  # fmt: skip
    return merge(*parts)


def arrive(rows, rng, late=LATE):
    """Order and time of arrival; the first row is in time, so that all filters start from it."""
    is_late = rng.random(len(rows)) < late
    is_late[0] = False
    delay_us = np.where(is_late, rng.uniform(0.0, LATEST_S * 1e6, len(rows)), 0.0)
    arrival_us = rows.time_us + delay_us.astype(np.int64)
    return np.argsort(arrival_us, kind="stable"), arrival_us


class Filterpy:
    """filterpy with the same model, which can be put back to any row; each step's matrices are made once."""

    def __init__(self, state, cov):
        self.kalman = KalmanFilter(dim_x=6, dim_z=3)
        self.kalman.x, self.kalman.P = state.copy(), cov.copy()
        self.kalman.H, self.kalman.R = np.eye(3, 6), STD_M**2 * np.eye(3)
        self.steps = {}

    def step(self, step_us, z):
        if step_us not in self.steps:
            noise = reference.process_noise(self.kalman.x, step_us * 1e-6, MOTION)
            self.steps[step_us] = reference.transition(step_us * 1e-6), noise
        self.kalman.predict(F=self.steps[step_us][0], Q=self.steps[step_us][1])
        self.kalman.update(z)


def by_filterpy(rows, messages, start, *, keeps):
    """Beliefs after each message; at a late row back to the state kept before it, or to the start."""
    one = Filterpy(*start)
    here = [0]
    kept = [(one.kalman.x, one.kalman.P)]
    beliefs = []
    for message in messages:
        first = len(here)
        for row in message.tolist():
            place = len(here)
            while here[place - 1] > row:
                place -= 1
            here.insert(place, row)
            first = min(first, place)
        back = first if keeps or first == len(kept) else 1
        one.kalman.x, one.kalman.P = kept[back - 1]
        del kept[back:]
        for before, at in itertools.pairwise(here[back - 1 :]):
            one.step(int(rows.time_us[at] - rows.time_us[before]), rows.z[at])
            kept.append((one.kalman.x, one.kalman.P))
        beliefs.append(one.kalman.x)
    return np.array(beliefs)


def by_tracker(rows, parts):
    tracker = Tracker(lag_s=LATEST_S + 0.5, **OPTIONS)
    tracker.update(rows.take([0]))
    beliefs = []
    for part in parts:
        tracker.update(part)
        beliefs.append(tracker.now().state[0])
    return np.array(beliefs)


def by_track(rows, messages):
    """`track` from the start, where a message is late; there is no such call for a message in time."""
    came, beliefs = np.zeros(1, dtype=int), []
    for message in messages:
        late = message[0] < came.max()
        came = np.append(came, message)
        if late:
            beliefs.append(track(rows.take(np.sort(came)), **OPTIONS).state[-1])
    return np.array(beliefs)


def latency(rows, late_s, **options):
    """Median time of an update, and of an update and a look, when one row of a steady stream is so late. [us]"""
    tracker, behind = Tracker(lag_s=5.0, **options), round(late_s * 3 * RATE_HZ)
    updates, looks = [], []
    held = {n: n + behind for n in range(600, len(rows) - behind, 150)}
    due = {when: n for n, when in held.items()}
    for n in range(len(rows)):
        if n not in held:
            tracker.update(rows.take([n]))
            tracker.now()
        if n in due:
            part = rows.take([due[n]])
            start = time.perf_counter()
            tracker.update(part)
            middle = time.perf_counter()
            tracker.now()
            looks.append(time.perf_counter() - start)
            updates.append(middle - start)
    return statistics.median(updates) * 1e6, statistics.median(looks) * 1e6


def compare(rows, messages, what):
    """Time every way, after checking that they agree."""
    parts = [rows.take(message) for message in messages]
    newest = np.maximum.accumulate([0, *(message.max() for message in messages)])[:-1]
    is_late = np.array([message[0] for message in messages]) < newest
    first = track(rows.take([0]), **OPTIONS)
    start = first.state[0], first.cov[0]
    ours = by_tracker(rows, parts)
    for keeps in (True, False):
        assert np.allclose(ours, by_filterpy(rows, messages, start, keeps=keeps), rtol=0, atol=1e-5), "beliefs differ"
    assert np.array_equal(ours[is_late], by_track(rows, messages)), "the tracker and the whole differ"
    print(f"\n{len(rows):,} rows in {len(messages):,} messages of {what}, {is_late.sum()} of them late")
    seconds = in_turn(
        {
            "dronetrack.Tracker": lambda: by_tracker(rows, parts),
            "filterpy, back to the row": lambda: by_filterpy(rows, messages, start, keeps=True),
            "filterpy, from the start": lambda: by_filterpy(rows, messages, start, keeps=False),
            "dronetrack.track, late ones only": lambda: by_track(rows, messages),
        },
        rounds=3,
    )
    table(seconds, dict.fromkeys(seconds, len(messages)), "messages/s", "dronetrack.Tracker")


def main():
    rng = np.random.default_rng(1)
    rows = stream(rng)
    order, arrival_us = arrive(rows, rng)
    print(f"beliefs equal after each message  ({versions()})")
    compare(rows, [np.array([row]) for row in order[1:]], "one row")
    lot = arrival_us[order[1:]] // 250_000
    lots = [np.sort(part) for part in np.split(order[1:], np.flatnonzero(np.diff(lot)) + 1)]
    compare(rows, lots, "a quarter of a second")
    print(f"\n{'median of one row, lag 5 s':44s} {'update us':>10s} {'+ now us':>10s}")
    shared = stream(rng, 120.0, shared_time_s=60.0, heading_std_rad=0.01)
    for name, some, options in (
        ("positions", stream(rng, 120.0), OPTIONS),
        ("positions with shared errors, default options", shared, {}),
    ):
        for late_s in (0.0, 1.0):
            update_us, both_us = latency(some, late_s, **options)
            print(f"{name + f', {late_s:g} s late':52s} {update_us:10.0f} {both_us:10.0f}")


if __name__ == "__main__":
    main()
