"""How fast is a journal written and proved? Beside writing and syncing the same bytes with nothing around them.

    python benchmarks/journal.py [write|short|verify|live ...]

A group goes to the disk at once, with one fsync; the plain loop writes blocks of the size of a group, with one fsync
each. Every journal that is timed is proved, and its rows compared bit for bit. What the machine's SHA-256 alone can do
stands beside it. Proving and single appends are also given per second of this process's own CPU time, which says what
they cost where others use the machine as well. The folder is `DRONETRACK_BENCH_FOLDER`, or the system's for temporary
files.
"""

import hashlib
import itertools
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
from timing import in_turn, table, versions

from dronetrack.journal import Journal, read_journal, verify_journal
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Sensor, measurements_of, merge

FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="journal-", dir=os.environ.get("DRONETRACK_BENCH_FOLDER")))
ABOUT = {"purpose": "benchmark", "authority": "HU"}
GROUP = 4 << 20
ROUNDS = 9
NUMBERS = itertools.count()
SENSORS = (Sensor("HU-D1 camera", "HU"), Sensor("RO-D1 gnss", "RO"))


def rows(n, rng, step_us=200):
    """n rows of two sensors."""
    halves = []
    for k, sensor in enumerate(SENSORS):
        times = 1_700_000_000_000_000 + step_us * np.arange(k, n, 2)
        cov = np.tile(np.eye(3), (len(times), 1, 1))
        kind = (LINE_OF_SIGHT, POSITION)[k]
        z = rng.normal(size=(len(times), 3))
        halves.append(measurements_of(times, kind, z, cov, sensor, site_ecef_m=z, site_cov=cov))
    return merge(*halves)


def name():
    return FOLDER / f"{next(NUMBERS)}.journal"


def said(label, value, goal, unit=""):
    print(f"{'ok  ' if value >= goal else 'MISS'} {label}: {value:,.3g}{unit} (goal {goal:,.3g}{unit})")


def journal_of(batches, sync):
    """Write batches, commit at the end; return the file."""
    path = name()
    with Journal.create(path, **ABOUT, sync=sync, group_bytes=GROUP) as journal:
        for z in batches:
            journal.append_measurements(z)
        journal.commit()
    return path


def plain(content):
    """The same bytes, in blocks of a group, one fsync each."""
    path = name()
    view = memoryview(content)
    handle = os.open(path, os.O_CREAT | os.O_WRONLY)
    for start in range(0, len(content), GROUP):
        os.write(handle, view[start : start + GROUP])
        os.fdatasync(handle)
    os.close(handle)
    path.unlink()


def written(batches, n):
    """Race the policies against the plain loop; return rows/s and share of its bytes/s, both of 'interval'."""
    path = journal_of(batches, "interval")
    content = path.read_bytes()
    assert verify_journal(path).ok, "the journal does not prove itself"
    found = read_journal(path, role="auditor", who="benchmark", purpose="check", time_us=0, kinds=["measurements"])
    assert merge(*(one.measurements() for one in found)).cov.tobytes() == merge(*batches).cov.tobytes(), "rows differ"
    jobs = {f'Journal, sync="{sync}"': lambda sync=sync: journal_of(batches, sync).unlink() for sync in POLICIES}
    jobs["write + fsync"] = lambda: plain(content)
    jobs["limit: SHA-256"] = lambda: hashlib.sha256(content)
    seconds = in_turn(jobs, ROUNDS)
    megabytes = dict.fromkeys(seconds, len(content) / 1e6)
    table(seconds, megabytes, "MB/s", 'Journal, sync="interval"')
    ours = seconds['Journal, sync="interval"']
    shares = [one / other for one, other in zip(seconds["write + fsync"], ours, strict=True)]
    return n / statistics.median(ours), statistics.median(shares)


POLICIES = ("interval", "commit", "never")


def write(rng):
    """Long batches, as a log gives them."""
    n, batch = 400_000, 4_000
    whole = rows(n, rng)
    batches = [whole.take(slice(start, start + batch)) for start in range(0, n, batch)]
    print(f"\n{n:,} measurements in batches of {batch:,}, {versions()}, {FOLDER}")
    rate, share = written(batches, n)
    said("measurement rows per second, group commit", rate, 200_000)
    said("share of the bytes/s of write + fsync", share, 0.8)


def short(rng):
    """Short batches, as many live streams give them."""
    n, batch = 100_000, 50
    whole = rows(n, rng)
    batches = [whole.take(slice(start, start + batch)) for start in range(0, n, batch)]
    print(f"\n{n:,} measurements in batches of {batch:,}")
    rate, share = written(batches, n)
    said("measurement rows per second, group commit", rate, 200_000)
    print(f"     share of the bytes/s of write + fsync: {share:.2f}")


def verify(rng, gigabyte=1_000_000_000):
    """Reopen and prove a journal of 1 GB: of long batches, of batches of 100, and of single live rows."""
    whole = rows(4_000, rng)
    for batch in (4_000, 100, 1):
        parts = [whole.take(slice(start, start + batch)) for start in range(0, 4_000, batch)]
        path, wanted = name(), gigabyte if batch > 1 else gigabyte // 10
        with Journal.create(path, **ABOUT, sync="never", group_bytes=64 << 20) as journal:
            while path.stat().st_size < wanted:
                for z in parts:
                    journal.append_measurements(z)
        size = path.stat().st_size
        print(f"\n{size / 1e9:.2f} GB in records of {batch:,} rows")
        jobs = {
            "verify_journal": lambda path=path: verify_journal(path),
            "Journal.open": lambda path=path: Journal.open(path).release(),
            "limit: SHA-256": lambda path=path: hash_file(path),
        }
        assert verify_journal(path).ok, "the journal does not prove itself"
        seconds = in_turn(jobs, 3)
        table(seconds, dict.fromkeys(seconds, size / 1e6), "MB/s", "verify_journal")
        for job in ("verify_journal", "Journal.open"):
            rate, alone = size / 1e6 / statistics.median(seconds[job]), size / 1e6 / cpu_s(jobs[job], 3)
            if batch > 1:
                said(job, rate, 500, " MB/s")
                said(f"{job}, per CPU second", alone, 500, " MB/s")
            else:
                n_records = verify_journal(path).n_records
                print(f"     {job}, per CPU second: {alone:.0f} MB/s, {alone * 1e6 / size * n_records:,.0f} records")
        path.unlink()


def cpu_s(job, rounds):
    """Median of the CPU time that this process spends on a job."""
    runs = []
    for _ in range(rounds):
        start = time.process_time()
        job()
        runs.append(time.process_time() - start)
    return statistics.median(runs)


def hash_file(path):
    with path.open("rb", buffering=0) as file:
        hashlib.file_digest(file, "sha256")


def live(rng, n=5_000):
    """Single appends between two commits: what a live update pays."""
    whole = rows(n, rng)
    singles = [whole.take(slice(k, k + 1)) for k in range(n)]
    facts = {"kind": "coasting", "authority": "HU", "article": "40(2)", "cause": "no sighting for 5 s"}

    def events(journal):
        for k in range(n):
            journal.append("event", k, facts)

    def measurements(journal):
        for z in singles:
            journal.append_measurements(z)

    print(f"\n{n:,} single appends, no commit between")
    with Journal.create(name(), **ABOUT, group_bytes=1 << 30) as journal:
        jobs = {"append an event": lambda: events(journal), "append one measurement": lambda: measurements(journal)}
        for job, runs in in_turn(jobs, ROUNDS).items():
            wall_us, cpu_us = 1e6 * statistics.median(runs) / n, 1e6 * cpu_s(jobs[job], ROUNDS) / n
            print(f"     {job}: {wall_us:.1f} us, of CPU time {cpu_us:.1f} us (goal 10 us)")
    with Journal.create(name(), **ABOUT) as journal:
        runs = []
        for z in singles[:300]:
            journal.append_measurements(z)
            start = time.perf_counter()
            journal.commit()
            runs.append(time.perf_counter() - start)
        print(f"     commit of one row: median {1e6 * statistics.median(runs):.0f} us (the disk's fsync)")


if __name__ == "__main__":
    known = {"write": write, "short": short, "verify": verify, "live": live}
    for part in sys.argv[1:] or known:
        known[part](np.random.default_rng(1))
