"""`kill -9` while fusing and journaling: nothing acknowledged is lost, and a replay gives the same bits."""

import functools
import os
import pathlib
import sys
import time

import numpy as np
from journals import ABOUT, READER, START_US, abandon, same_rows
from killing import kill_once, random_lives

from dronetrack.filtering import track
from dronetrack.journal import Journal, purge, read_journal, verify_journal
from dronetrack.measurements import POSITION, Sensor, measurements_of, merge
from dronetrack.tracker import Tracker

# The acceptance run: DRONETRACK_KILLS=200 python -m pytest tests/test_journal_killed.py -n 0 -s
KILLS = int(os.environ.get("DRONETRACK_KILLS", "8"))
COLUMNS = ("time_us", "status", "state", "cov", "nis", "n_sensors")


@functools.cache
def drive(n=60_000):
    """Make a drive past two receivers, the same in every process."""
    rng = np.random.default_rng(1)
    place = np.array([4.1e6, 1.6e6, 4.6e6]) + np.cumsum(rng.normal(size=(n, 3)), axis=0)
    times, cov = START_US + 200_000 * np.arange(n), np.tile(9.0 * np.eye(3), (n, 1, 1))
    sensors = (Sensor("HU-1 gnss", "HU"), Sensor("RO-1 gnss", "RO"))
    return merge(*(measurements_of(times[k::2], POSITION, place[k::2], cov[k::2], sensors[k]) for k in (0, 1)))


def records(path, *kinds):
    return read_journal(path, role="auditor", kinds=kinds or None, **READER)


def replay(path):
    """Feed a tracker with the journal; return it, what became final, and how many rows went in."""
    tracker, final, n = Tracker(), [], 0
    for record in records(path, "measurements"):
        z = record.measurements()
        final.append(tracker.update(z))
        n += len(z)
    return tracker, final, n


def fuse_until_killed(path: pathlib.Path, seed: int, acknowledge):
    """Go on from where the journal stands: rows, then what the tracker makes of them, then commit and acknowledge."""
    rng = np.random.default_rng(seed)
    how = {"sync": ("commit", "interval", "never")[seed % 3], "group_bytes": 100_000}
    journal = Journal.open(path, **how) if path.exists() else Journal.create(path, **ABOUT, **how)
    tracker, final, n = replay(path)
    known = sum(record.facts["n"] for record in records(path, "track"))
    for part in final:
        # What became final just before the death, and was not journaled any more.
        journal.append_track(part.take(slice(known, None)))
        known = max(known - len(part), 0)
    acknowledge(journal.commit(), journal.digest, n)
    table = drive()
    for stop in n + np.cumsum(rng.choice([1, 20, 400], 10_000)):
        z = table.take(slice(n, int(stop)))
        journal.append_measurements(z)
        journal.append_track(tracker.update(z))
        n += len(z)
        acknowledge(journal.commit(), journal.digest, n)
    time.sleep(60)


def check_record(path, heard):
    """Open what is left, as the next process will; say whether a tail had to be repaired."""
    journal = Journal.open(path)
    repaired = journal.repaired is not None
    abandon(journal)
    proof = verify_journal(path)
    assert proof.ok, proof
    digests = {record.sequence: record.digest for record in records(path)}
    for number, digest, _ in heard:
        assert digests[number] == digest
    return repaired


def bits_of(parts, name):
    """Return one column of some tracks, end to end."""
    return b"".join(getattr(part, name).tobytes() for part in parts)


def check_replay(path, acknowledged):
    """The rows are those that were fed, and the track made of them is the one that was journaled, bit for bit."""
    tracker, final, n = replay(path)
    assert n >= acknowledged
    rows = merge(*(record.measurements() for record in records(path, "measurements")))
    assert same_rows(rows, drive().take(slice(0, n)))
    whole, again = track(rows), [*final, tracker.flush()]
    journaled = [record.track() for record in records(path, "track")]
    for name in COLUMNS:
        bits = bits_of(again, name)
        equal, begins = bits == bits_of([whole], name), bits.startswith(bits_of(journaled, name))
        assert (equal, begins) == (True, True), name


def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path, rng):
    path, repairs, longest = tmp_path / "run.journal", 0, 0
    # The last one lives long enough to have written something on a busy machine, too.
    for seed, alive_s in enumerate([*random_lives(rng, KILLS), 2.0]):
        heard = kill_once(fuse_until_killed, path, seed, alive_s, preload=["warmed"])
        repairs += check_record(path, heard)
        longest = max(longest, heard[-1][2])
        if heard[-1][2] > len(drive()) // 2 or seed == KILLS:
            check_replay(path, heard[-1][2])
            path.unlink()
            path.with_name("run.journal.access").unlink()
    assert longest > 100, "the writers died before they wrote"
    sys.stdout.write(f"\nkilled {KILLS + 1} times; {repairs} tails repaired; up to {longest} rows acknowledged\n")


def purge_until_killed(path: pathlib.Path, seed: int, acknowledge):
    """Purge a minute more each time, until killed."""
    acknowledge(seed)
    done = max((facts["before_us"] for facts in verify_journal(path).purges), default=START_US)
    for before_us in range(done, done + 600_000_000_000, 60_000_000):
        purge(path, before_us=before_us, who="P", authority="HU", time_us=START_US)
    time.sleep(60)


def test_a_purge_killed_at_random_moments_loses_nothing_that_was_to_stay(tmp_path, rng):
    path, table = tmp_path / "run.journal", drive().take(slice(0, 6_000))
    noted, purges = "", 0
    for seed, alive_s in enumerate(random_lives(rng, KILLS // 2, 0.4)):
        if not path.exists():
            with Journal.create(path, **ABOUT) as journal:
                journal.append_measurements(table)
                noted = journal.digest
        kill_once(purge_until_killed, path, seed, alive_s, preload=["warmed"])
        proof = verify_journal(path, digest=noted)
        assert proof.ok, proof
        purges = max(purges, len(proof.purges))
        kept = [record.measurements() for record in records(path, "measurements") if not record.purged]
        if kept:
            assert same_rows(merge(*kept), table.take(slice(-sum(map(len, kept)), None)))
        else:
            path.unlink()
            path.with_name("run.journal.access").unlink()
    assert purges > 0, "the purges died before they began"
