"""How fast is a journal written and proved? Beside writing and syncing the same bytes with nothing around them.

The plain loop writes the same bytes in blocks of the size of a group, with one fdatasync each, as the journal does for
its groups; what removing the files takes is not timed. The journal that is written is proved, and its rows compared bit
for bit. What the machine's SHA-256 alone can do stands beside it: every byte of a journal is hashed once when it is
written, and once when it is proved. All is timed by the wall.
"""

import functools
import hashlib
import itertools
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload
from dronetrack.journal import Journal, read_journal, verify_journal
from dronetrack.journal.group import Sync
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Measurements, Sensor, measurements_of, merge

GROUP = 4 << 20
GROUP_US = 60_000_000  # so that groups are as large as the blocks of the plain loop
POLICIES: tuple[Sync, ...] = ("commit", "interval", "never")
SENSORS = (Sensor("HU-D1 camera", "HU"), Sensor("RO-D1 gnss", "RO"))
COMMIT, INTERVAL = 'Journal, sync="commit"', 'Journal, sync="interval"'
PLAIN, VERIFY, OPEN = "limit: write and fsync", "verify_journal", "Journal.open"
WHY_SHARE = (
    "Where the disk is nearly as fast as SHA-256 on one core, or the machine has no second core to spare, hashing is "
    "what the disk waits for."
)
WHY_SHARE_SMALL = (
    "A record of 50 rows, 10 kB, takes 20 us of one core, 6 of them SHA-256, and the disk takes 7; the rate of rows is "
    "many times what is asked."
)
START_US, STEP_US = 1_700_000_000_000_000, 200

_create = functools.partial(Journal.create, purpose="benchmark", authority="HU")


def _rows(n: int, rng: np.random.Generator) -> Measurements:
    """Return n rows of two sensors."""
    halves = []
    for k, sensor in enumerate(SENSORS):
        times = START_US + STEP_US * np.arange(k, n, 2)
        cov = np.tile(np.eye(3), (len(times), 1, 1))
        z = rng.normal(size=(len(times), 3))
        kind = (LINE_OF_SIGHT, POSITION)[k]
        halves.append(measurements_of(times, kind, z, cov, sensor, site_ecef_m=z, site_cov=cov))
    return merge(*halves)


def _batches(rows: Measurements, size: int) -> list[Measurements]:
    return [rows.take(np.arange(start, min(start + size, len(rows)))) for start in range(0, len(rows), size)]


def _cases(setting: Setting) -> Iterator[Case]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("DRONETRACK_BENCH_FOLDER")) as name:
        folder = pathlib.Path(name)
        yield _write("batches of 4,000", _batches(_rows(setting.size(800_000, 80_000), setting.rng()), 4_000), folder)
        yield _write("batches of 50", _batches(_rows(setting.size(100_000, 10_000), setting.rng()), 50), folder)
        yield _prove(_rows(4_000, setting.rng()), setting.size(1_000_000_000, 40_000_000), folder)
        yield Case("one live row", figures=_live_us(_rows(setting.size(5_000, 1_000), setting.rng()), folder))


def _write(name: str, batches: list[Measurements], folder: pathlib.Path) -> Case:
    numbers = itertools.count()
    n = sum(map(len, batches))

    def written(sync: Sync) -> pathlib.Path:
        path = folder / f"{next(numbers)}.written"
        with _create(path, sync=sync, group_bytes=GROUP, group_us=GROUP_US) as journal:
            for z in batches:
                journal.append_measurements(z)
            journal.commit()
        return path

    path = written("interval")
    content, rows = path.read_bytes(), merge(*batches)
    records = read_journal(path, role="auditor", who="bench", purpose="check", time_us=0, kinds=["measurements"])
    same = merge(*(one.measurements() for one in records))

    def plain() -> None:
        handle = os.open(folder / f"{next(numbers)}.written", os.O_CREAT | os.O_WRONLY)
        for start in range(0, len(content), GROUP):
            os.write(handle, memoryview(content)[start : start + GROUP])
            os.fdatasync(handle)
        os.close(handle)

    def clear() -> None:
        for one in folder.glob("*.written*"):
            one.unlink()

    clear()
    jobs = {
        f'Journal, sync="{sync}"': Job(lambda sync=sync: written(sync), n, "ours", clock="wall", after=clear)
        for sync in POLICIES
    }
    jobs[PLAIN] = Job(plain, n, "limit", clock="wall", after=clear)
    jobs["limit: SHA-256"] = Job(lambda: hashlib.sha256(content), n, "limit", clock="wall")
    figures = {"rows_read_back_equal": float(same.z.tobytes() == rows.z.tobytes()), "bytes_per_row": len(content) / n}
    return Case(f"write, {name}", jobs, figures=figures)


def _prove(rows: Measurements, enough: int, folder: pathlib.Path) -> Case:
    path = folder / "long.journal"
    with _create(path, sync="never", group_bytes=64 << 20) as journal:
        while path.stat().st_size < enough:
            for z in _batches(rows, 100):
                journal.append_measurements(z)
    megabytes = path.stat().st_size / 1e6

    def hashed() -> None:
        with path.open("rb", buffering=0) as file:
            hashlib.file_digest(file, "sha256")

    jobs = {
        VERIFY: Job(lambda: verify_journal(path), megabytes, "ours", clock="wall"),
        OPEN: Job(lambda: Journal.open(path).release(), megabytes, "ours", clock="wall"),
        "limit: SHA-256 of the file": Job(hashed, megabytes, "limit", clock="wall"),
    }
    return Case("reopen and prove", jobs, figures={"proved": float(verify_journal(path).ok)}, unit="MB/s")


def _live_us(rows: Measurements, folder: pathlib.Path) -> dict[str, float]:
    """Processor time of single appends between two commits: what a live update pays. [us]"""
    singles = _batches(rows, 1)
    facts = {"kind": "coasting", "authority": "HU", "article": "40(2)", "cause": "no sighting for 5 s"}
    found = {}
    with _create(folder / "live.journal", group_bytes=1 << 30) as journal:
        for what, append in (
            ("append_event_us", lambda k: journal.append("event", k, facts)),
            ("append_measurement_us", lambda k: journal.append_measurements(singles[k])),
        ):
            runs = []
            for _ in range(5):
                start = time.process_time()
                for k in range(len(singles)):
                    append(k)
                runs.append(time.process_time() - start)
            found[what] = 1e6 * statistics.median(runs) / len(singles)
    return found


WORKLOAD = Workload(
    "journal",
    "How fast is a journal written, beside writing and syncing the bare bytes, and how fast is it proved?",
    "rows/s",
    _cases,
    goals=(
        Goal("write, batches of 4,000", "rate", COMMIT, at_least=200_000.0),
        Goal("write, batches of 4,000", "share", COMMIT, PLAIN, at_least=0.8, why=WHY_SHARE),
        Goal("write, batches of 4,000", "share", INTERVAL, PLAIN, at_least=0.8, why=WHY_SHARE),
        Goal("write, batches of 50", "rate", COMMIT, at_least=200_000.0),
        Goal("write, batches of 50", "share", COMMIT, PLAIN, at_least=0.8, why=WHY_SHARE_SMALL),
        Goal("reopen and prove", "rate", VERIFY, at_least=500.0),
        Goal("reopen and prove", "rate", OPEN, at_least=500.0),
    ),
)
