"""Streams for the tests of late data: tables that try a filter's memory, and ways in which their rows may arrive."""

from dataclasses import replace

import numpy as np
from flights import START_US, to_ecef, weave

from dronetrack.measurements import POSITION, TICK, Sensor, measurements_of, merge

COLUMNS = ("time_us", "status", "state", "cov", "nis", "n_sensors")


def positions(seconds, enu, name, std_m=2.0, *, shared_m=0.0, **sensor):
    """Positions of a target in east, north, up about the tests' origin."""
    n = len(seconds)
    full = np.broadcast_to(np.eye(3), (n, 3, 3))
    time_us = START_US + np.rint(np.asarray(seconds) * 1e6).astype(np.int64)
    return measurements_of(
        time_us, POSITION, to_ecef(enu), std_m**2 * full, Sensor(name, **sensor), site_cov=shared_m**2 * full
    )


def pulled(rng, away_mps=4.0, seconds=60.0):
    """Three sensors; two leave with something else for six seconds, and pull at the track before it is seen."""
    parts = []
    for phase_s, name, leaves_s in ((0.0, "a", (20.0, 41.0)), (0.03, "b", (22.0,)), (0.06, "c", ())):
        at_s = np.arange(phase_s, seconds, 0.2)
        enu = weave(at_s) + rng.normal(0.0, 2.0, (len(at_s), 3))
        for start_s in leaves_s:
            gone = (at_s >= start_s) & (at_s < start_s + 6.0)
            enu[gone] += np.outer(at_s[gone] - start_s, [0.0, away_mps, 0.0])
        parts.append(positions(at_s, enu, name))
    return merge(*parts)


def ticks(time_us):
    """Moments at which a row of the track is wanted."""
    n = len(time_us)
    return measurements_of(time_us, TICK, np.zeros((n, 3)), np.zeros((n, 3, 3)), Sensor("wanted", starts_tracks=False))


def with_only_its_sensors(table, rng):
    """The same rows with a table of sensors that holds those of the rows alone, in any order."""
    named = rng.permutation(np.unique(table.sensor_id))
    number = np.full(len(table.sensors), -1)
    number[named] = np.arange(len(named))
    sensors = tuple(table.sensors[one] for one in named)
    return replace(table, sensor_id=number[table.sensor_id], sensors=sensors)


def arrivals(table, rng, *, lag_s, late=0.15):
    """An order in which the rows may arrive: some of them up to the lag behind the newest that came before."""
    delay_us = np.where(rng.random(len(table)) < late, rng.uniform(0.0, lag_s * 1e6, len(table)), 0.0)
    return np.argsort(table.time_us + delay_us.astype(np.int64), kind="stable")


def batches(table, order, rng, most):
    """Cut an order of arrival into batches of up to so many rows, each in order of time within itself."""
    while len(order):
        rows, order = np.split(order, [int(rng.integers(1, most + 1))])
        yield table.take(np.sort(rows))


def follow(tracker, parts):
    """Give a tracker some batches and flush it; return the parts of its track."""
    return [*(tracker.update(part) for part in parts), tracker.flush()]


def same_bits(parts, whole):
    """Whether the parts of a track put together have the bits of another."""
    for name in COLUMNS:
        ours = np.concatenate([getattr(part, name) for part in parts])
        assert ours.tobytes() == getattr(whole, name).tobytes(), name


def counts(stats):
    """What `Tracker.stats` and `track` both count."""
    sensors = {
        name: {what: one[what] for what in one if what not in {"refused", "mean_nis_per_component"}}
        for name, one in stats["sensors"].items()
    }
    return sensors, {name: stats[name] for name in ("log_likelihood", "recoveries", "latches_taken_back")}
