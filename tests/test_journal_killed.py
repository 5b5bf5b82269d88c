"""`kill -9` at random moments: every acknowledged record is there, the tail is repaired, and a replay gives the same track."""

import os
import pathlib

import numpy as np
import pytest
from journals import ABOUT, READER, START_US, same_rows
from killing import kill_once, random_lives

from dronetrack.journal import Journal, purge, read_journal, verify_journal
from dronetrack.measurements import POSITION, Sensor, measurements_of, merge
from dronetrack.tracker import Tracker

# The acceptance run is 200: DRONETRACK_KILLS=200 python -m pytest tests/test_journal_killed.py
KILLS = int(os.environ.get("DRONETRACK_KILLS", "12"))
GNSS = Sensor("HU-1 gnss", "HU")


def batch(k):
    """Make the k-th batch of a drive: one live row, or as many as an hour of a log."""
    rng = np.random.default_rng(k)
    n = int(rng.choice([1, 20, 2000]))
    times = START_US + 600_000_000 * k + 200_000 * np.arange(n)
    place = [4.1e6, 1.6e6, 4.6e6] + np.cumsum(rng.normal(size=(n, 3)), axis=0)
    return measurements_of(times, POSITION, place, np.tile(9.0 * np.eye(3), (n, 1, 1)), GNSS, stats={"batch": k})


def append_until_killed(path: pathlib.Path, seed: int, acknowledge):
    """Journal one batch after the other from where the journal stands; acknowledge what is committed."""
    rng = np.random.default_rng(seed)
    sync = ("commit", "interval", "never")[seed % 3]
    how = {"sync": sync, "group_bytes": 100_000, "group_us": 10_000_000_000}
    journal = Journal.open(path, **how) if path.exists() else Journal.create(path, **ABOUT, **how)
    k = journal.append("event", START_US, {"kind": "started", "seed": seed}) and next_batch(path)
    acknowledge(journal.commit(), journal.digest, k)
    while True:
        for _ in range(rng.integers(1, 5)):
            journal.append_measurements(batch(k))
            journal.append("event", START_US + k, {"kind": "batch", "k": k, "lat_deg": 46.0})
            k += 1
        acknowledge(journal.commit(), journal.digest, k)


def records(path, *kinds):
    return read_journal(path, role="auditor", kinds=kinds or None, **READER)


def next_batch(path):
    """Return the number of the batch to go on with: the one after the last whose event is there, or half there."""
    return max((record.facts["k"] + 1 for record in records(path, "event") if "k" in record.facts), default=0)


def check_what_is_left(path, heard):
    with Journal.open(path) as journal:
        repaired = journal.repaired is not None
    proof = verify_journal(path)
    assert proof.ok, proof
    found = {record.sequence: record.digest for record in records(path)}
    for number, digest, _ in heard:
        assert found[number] == digest
    return repaired


def batches_left(path):
    """Return the rows by batch; a batch that was cut off half way and written again counts as its last writing."""
    parts: dict[int, list] = {}
    for record in records(path, "measurements"):
        z = record.measurements()
        k = int(z.time_us[0] - START_US) // 600_000_000
        if z.stats:
            parts[k] = []
        parts[k].append(z)
    return {k: merge(*some) for k, some in parts.items()}


def track_of(batches):
    tracker = Tracker()
    for z in batches:
        tracker.update(z)
    return tracker.flush()


def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path, rng):
    path = tmp_path / "run.journal"
    repairs, acknowledged = 0, 0
    for seed, alive_s in enumerate(random_lives(rng, KILLS)):
        heard = kill_once(append_until_killed, path, seed, alive_s, preload=["test_journal_killed"])
        repairs += check_what_is_left(path, heard)
        left = batches_left(path)
        acknowledged = max(acknowledged, heard[-1][2])
        assert set(range(acknowledged)) <= set(left)
        if path.stat().st_size > 60_000_000:
            path.unlink()
            path.with_name("run.journal.access").unlink()
            acknowledged = 0
    for k in range(acknowledged):
        assert same_rows(left[k], batch(k)), k
    print(f"killed {KILLS} times, {repairs} tails repaired, {acknowledged} batches acknowledged")
