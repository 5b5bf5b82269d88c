"""How well do sweeps and archives scale? Weak scaling: twice the workers have twice the work, and should take as long.

Workers are started and their kernels loaded before anything is timed. The limit is the same work in as many plain
processes, with no Dask: what two processes lose there, to memory, caches and whatever else the machine does, is not
Dask's. Rows and partitions must be the same bits however many do the work.
"""

import importlib.resources
import importlib.util
import itertools
import multiprocessing
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload
from dronetrack.leaderboard import Benchmark, default_tracker
from dronetrack.mission import fuse
from dronetrack.scale import map_logs, monte_carlo

if TYPE_CHECKING:
    from distributed import Client

SCENARIO, N_SEEDS, N_LOGS = "turns", 32, 2  # for each process
OURS, PLAIN = "Dask, {} process{}", "limit: {} process{}, no Dask"
SWEEP, ARCHIVE = "a sweep of seeds", "an archive of logs"
MISSION = """
[mission]
name = "archive"
border = ["HU", "RO"]
terrain_msl_m = 84.0
[[drone]]
id = "D"
authority = "HU"
log = "hu_drone.tlog"
system_id = 1
"""


def score_seeds(seeds: Sequence[int]) -> list[float]:
    """Do what a sweep does for each seed, in a plain loop. [m]"""
    rmse_m = []
    for seed in seeds:
        bench = Benchmark.load(SCENARIO, seeds=[seed])
        rmse_m.append(bench.score([default_tracker(bench[0])]).position_rmse_m)
    return rmse_m


def fuse_one(mission: pathlib.Path, place: pathlib.Path) -> None:
    """Do what an archive does for each log, and nothing else."""
    fuse(mission).track.to_file(place)


def _cases(setting: Setting) -> Iterator[Case]:
    if setting.quick or importlib.util.find_spec("distributed") is None:
        return
    with ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mission = _archive(folder)
        pools, clients = {n: _pool(stack, n) for n in (1, 2)}, {n: _client(stack, n) for n in (1, 2)}
        yield _sweep(pools, clients)
        yield _fusing(pools, clients, folder, mission)


def _pool(stack: ExitStack, n: int) -> ProcessPoolExecutor:
    return stack.enter_context(ProcessPoolExecutor(n, multiprocessing.get_context("spawn")))


def _client(stack: ExitStack, n: int) -> "Client":
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    return stack.enter_context(Client(stack.enter_context(cluster)))


def _archive(folder: pathlib.Path) -> pathlib.Path:
    """Copy the demo's Hungarian flight as often as two processes need it, and write a mission that fits each."""
    (folder / "logs").mkdir()
    log = str(importlib.resources.files("dronetrack") / "data" / "demo" / "hu_drone.tlog")
    for place in (folder / "hu_drone.tlog", *(folder / "logs" / f"{k}.tlog" for k in range(2 * N_LOGS))):
        shutil.copy(log, place)
    mission = folder / "mission.toml"
    mission.write_text(MISSION)
    return mission


def _sweep(pools: dict[int, ProcessPoolExecutor], clients: dict) -> Case:
    def plain(n: int) -> list[float]:
        parts = [range(k * N_SEEDS, (k + 1) * N_SEEDS) for k in range(n)]
        return list(itertools.chain.from_iterable(pools[n].map(score_seeds, parts)))

    def ours(n: int) -> list[float]:
        return monte_carlo(SCENARIO, range(n * N_SEEDS), client=clients[n])["position_rmse_m"].tolist()

    return _race(SWEEP, ours, plain, N_SEEDS, figures={"same_bits": float(ours(2) == plain(2))}, unit="seeds/s")


def _fusing(pools: dict[int, ProcessPoolExecutor], clients: dict, folder: pathlib.Path, mission: pathlib.Path) -> Case:
    logs = sorted((folder / "logs").glob("*.tlog"))

    def plain(n: int) -> None:
        places = [folder / f"{k}.parquet" for k in range(n * N_LOGS)]
        list(pools[n].map(fuse_one, [mission] * len(places), places))

    def ours(n: int, some: int = 0) -> list[bytes]:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            done = map_logs(logs[: some or n * N_LOGS], mission, out=out, client=clients[n])
            return [(done.folder / one["file"]).read_bytes() for one in done.records]

    same = float(ours(1, 2 * N_LOGS) == ours(2))
    return _race(ARCHIVE, ours, plain, N_LOGS, figures={"same_bits": same}, unit="logs/s")


def _race(
    name: str, ours: Callable[[int], object], plain: Callable[[int], object], each: int, *, figures: dict, unit: str
) -> Case:
    """Two processes with twice the work first, so that the others are compared with that."""
    jobs = {}
    for n, plural in ((2, "es"), (1, "")):
        jobs[OURS.format(n, plural)] = Job(lambda n=n: ours(n), n * each, "ours", clock="wall")
        jobs[PLAIN.format(n, plural)] = Job(lambda n=n: plain(n), n * each, "limit", clock="wall")
    return Case(name, jobs, figures=figures, unit=unit)


WORKLOAD = Workload(
    "scale",
    "Do two workers do twice as much as one, in sweeps of simulations and archives of logs?",
    "seeds/s",
    _cases,
    goals=tuple(
        Goal(
            case,
            "ratio",
            OURS.format(2, "es"),
            OURS.format(1, ""),
            at_least=1.7,
            why="Two plain processes do not do twice as much as one either: they share caches and memory.",
        )
        for case in (SWEEP, ARCHIVE)
    ),
)
