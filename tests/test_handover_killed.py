"""`kill -9` while an operation is followed: nothing acknowledged is lost, a replay gives the same bits and events."""

import os
import pathlib
import sys
import time

import numpy as np
from custody import LINE, drive_rows, leave, ordinary, us
from killing import kill_once, random_lives

from dronetrack.filtering import track
from dronetrack.handover import Decision, Following, replay
from dronetrack.journal import Journal, read_journal, verify_journal
from dronetrack.measurements import merge
from dronetrack.tracker import Tracker

# The acceptance run: DRONETRACK_KILLS=200 python -m pytest tests/test_handover_killed.py -n 0 -s
KILLS = int(os.environ.get("DRONETRACK_KILLS", "6"))
DECISIONS = (
    Decision(us(110.0), "arrest", "HU"),
    Decision(us(115.0), "offer", "HU"),
    Decision(us(120.0), "accept", "RO"),
    Decision(us(150.0), "report", "HU"),
)


def follow_until_killed(path: pathlib.Path, seed: int, acknowledge):
    """Follow the whole drive in small batches; commit and acknowledge after each."""
    rng = np.random.default_rng(seed)
    sync = ("commit", "interval", "never")[seed % 3]
    journal = Journal.create(path, purpose="test", authority="HU", sync=sync, group_bytes=50_000)
    following = Following(ordinary(leave()), Tracker(), journal=journal, decisions=DECISIONS)
    rows, n = drive_rows(rate_hz=10.0), 0
    acknowledge(journal.commit(), journal.digest)
    for stop in np.cumsum(rng.choice([1, 5, 60], 10_000)).tolist():
        following.update(rows.take(np.arange(n, min(stop, len(rows)))))
        n = min(stop, len(rows))
        acknowledge(journal.commit(), journal.digest)
        if n == len(rows):
            break
    following.finish(us(200_000.0))
    acknowledge(journal.commit(), journal.digest)
    time.sleep(60)


def check(path, heard):
    """Repair, prove, find what was acknowledged, replay; return the events that stand in the record."""
    Journal.open(path).release()
    proof = verify_journal(path)
    assert proof.first_bad is None, proof
    records = list(read_journal(path, role="auditor", who="a", purpose="replay", time_us=0))
    digests = {record.sequence: record.digest for record in records}
    for number, digest in heard:
        assert digests[number] == digest
    if not any(record.kind == "operation" for record in records):
        return []
    again = replay(records, border=LINE)
    assert again.agrees
    tables = [record.measurements() for record in records if record.kind == "measurements"]
    if tables:
        whole = track(merge(*tables))
        for name in ("time_us", "state", "cov"):
            assert b"".join(getattr(part, name).tobytes() for part in again.track) == getattr(whole, name).tobytes()
    return list(again.recorded)


def test_killed_at_random_moments_the_record_gives_the_same_bits_and_events(tmp_path, rng):
    undisturbed = Following(ordinary(leave()), Tracker(), decisions=DECISIONS)
    undisturbed.update(drive_rows(rate_hz=10.0))
    undisturbed.finish(us(200_000.0))
    events, seen = list(undisturbed.operation.events), []
    for seed, alive_s in enumerate(random_lives(rng, KILLS, longest_s=3.0)):
        path = tmp_path / f"{seed}.journal"
        heard = kill_once(follow_until_killed, path, seed, alive_s, preload=["custody"])
        recorded = check(path, heard)
        assert recorded == events[: len(recorded)]
        seen.append(len(recorded))
        path.unlink()
    assert max(seen) > 0
    sys.stdout.write(f"\nkilled {KILLS} times; {min(seen)} to {max(seen)} of {len(events)} events recorded\n")
