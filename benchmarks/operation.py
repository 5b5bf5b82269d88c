"""What does the law cost on a live track update? Operation and Watch, beside Watch alone, the Tracker and a plain call.

    python benchmarks/operation.py

A target is followed live, one row at a time: the tracker takes it, somebody looks at what is believed, the watch looks
for a crossing, the operation judges row and custody. Each part is timed on its own over the same drive, before and
after the crossing; the operation must be right at the end, or its time means nothing.
"""

import statistics
import time

import numpy as np
from timing import versions

from dronetrack import geodesy
from dronetrack.border import Border, Watch
from dronetrack.handover import Authorisation, Authority, Mandate, Operation, Zone
from dronetrack.measurements import POSITION, Sensor, measurements_of
from dronetrack.tracker import Tracker

N, STEP_S, SPEED_MPS, ROUNDS = 3000, 0.2, 20.0, 5
START_US = 1_795_470_000_000_000


def drive():
    """Positions of a target that drives east over the real line near Nadlac."""
    border = Border.between("HU", "RO")
    seconds = np.arange(N) * STEP_S
    east_m = SPEED_MPS * (seconds - seconds.mean())
    lat = np.full(N, 46.2119)
    lon = 20.7597 + east_m / (111_320.0 * np.cos(np.radians(46.2119)))
    place = geodesy.geodetic_to_ecef(lat, lon, np.full(N, 130.0))
    place += np.random.default_rng(1).normal(0.0, 3.0, place.shape)
    time_us = START_US + (seconds * 1e6).astype(np.int64)
    cov = np.broadcast_to(9.0 * np.eye(3), (N, 3, 3))
    return border, measurements_of(time_us, POSITION, place, cov, Sensor("HU-D1", "HU"))


def operation_at(border, zones=()):
    both = Authority("HU", "HU"), Authority("RO", "RO")
    given = Authorisation("RO", "HU", START_US, START_US, START_US + 10**11, depth_m=20_000.0 if zones else np.inf)
    return Operation(Mandate("HU", "RO", both, authorisations=(given,), zones=zones), border)


def spent_us(jobs):
    """Microseconds per row of each job: median and 95th percentile over the rows, one call each."""
    spent = np.array([[job(k) for k in range(N)] for job in jobs]) * 1e6
    return [(statistics.median(row), float(np.percentile(row, 95))) for row in spent[:, 20:]]


def timed(call):
    def once(k):
        start = time.perf_counter()
        call(k)
        return time.perf_counter() - start

    return once


def one_round(border, single, looks):
    """Drive once: what each part takes per row."""
    live, alone, watch = Tracker(lag_s=2.0), Watch(border), Watch(border)
    plain, zoned = operation_at(border), operation_at(border, (Zone("HU", ("fly",), depth_m=20_000.0),))
    jobs = {
        "nothing (a call that does nothing)": timed(lambda _k: None),
        "Tracker.update": timed(lambda k: live.update(single[k])),
        "Watch.update": timed(lambda k: alone.update(looks[k])),
        "Watch + Operation.update": timed(lambda k: plain.update(looks[k], watch.update(looks[k]))),
        "Operation.permit": timed(lambda k: plain.permit(single[k])),
        "Operation.permit with zones and terms": timed(lambda k: zoned.permit(single[k])),
    }
    found = dict(zip(jobs, spent_us(jobs.values()), strict=True))
    assert plain.custody == "joint", plain.custody
    return found


def main():
    border, rows = drive()
    single = [rows.take(np.array([k])) for k in range(N)]
    tracker = Tracker(lag_s=2.0)
    looks = []
    for one in single:
        tracker.update(one)
        looks.append(tracker.now())
    results = {}
    for _ in range(ROUNDS):
        for name, spent in one_round(border, single, looks).items():
            results.setdefault(name, []).append(spent)
    print(f"{N:,} live rows, one at a time, {ROUNDS} rounds  ({versions()})")
    print(f"{'':40s} {'median us':>10s} {'95 % us':>10s} {'of Tracker.update':>18s}")
    base = statistics.median(middle for middle, _ in results["Tracker.update"])
    for name, found in results.items():
        middle, high = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"{name:40s} {middle:10.1f} {high:10.1f} {middle / base:17.2f}x")
    ours = statistics.median(middle for middle, _ in results["Watch + Operation.update"])
    print(f"\nWatch + Operation on a live track update: {ours:.1f} us (the aim: under 50)")


if __name__ == "__main__":
    main()
