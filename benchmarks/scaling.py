"""How well do sweeps and archives scale? Weak scaling: twice the workers have twice the work, and should take as long.

    python benchmarks/scaling.py [seeds per worker] [logs per worker] [rounds]

Workers are started and their kernels loaded before the clock runs. The named baseline is the same work in as many plain
processes with no Dask at all: what the machine can do. Efficiency is the time of one over the time of all. Rows and
partitions of every way must be the same bits, or nothing is printed. Two processes share caches, memory and whatever
else the machine does: the load average stands beside the figures.
"""

import importlib.resources
import itertools
import multiprocessing
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

from timing import in_turn, versions

import dronetrack as dt
from dronetrack.leaderboard import default_tracker
from dronetrack.scale import map_logs, monte_carlo

WORKERS = (1, 2)
SCENARIO = "turns"


def alone(seeds):
    """What a sweep does for each seed, in a plain loop."""
    rmse = []
    for seed in seeds:
        bench = dt.Benchmark.load(SCENARIO, seeds=[seed])
        rmse.append(bench.score([default_tracker(bench[0])]).position_rmse_m)
    return rmse


def archive(folder, n_logs):
    """As many copies of the demo's Hungarian flight, and a mission that fits each."""
    demo = importlib.resources.files("dronetrack") / "data" / "demo"
    (folder / "logs").mkdir()
    shutil.copy(str(demo / "hu_drone.tlog"), folder)
    for number in range(n_logs):
        shutil.copy(folder / "hu_drone.tlog", folder / "logs" / f"{number:03d}.tlog")
    mission = folder / "mission.toml"
    mission.write_text(
        '[mission]\nname = "archive"\nborder = ["HU", "RO"]\nterrain_msl_m = 84.0\n[[drone]]\nid = "D"\n'
        'authority = "HU"\nlog = "hu_drone.tlog"\nsystem_id = 1\n'
    )
    return mission


def fuse_one(mission, place):
    """What an archive does for each log, and nothing else."""
    dt.fuse(mission).track.to_file(place)


def report(title, seconds):
    """Print a row for each way; efficiency is against one process of the same kind."""
    print(f"\n{title}\n{'':28s} {'median s':>10s} {'min..max s':>17s} {'efficiency':>11s}")
    for name, runs in seconds.items():
        one = statistics.median(seconds[name.replace("2", "1")])
        spread = f"{min(runs):.2f}..{max(runs):.2f}"
        print(f"{name:28s} {statistics.median(runs):10.2f} {spread:>17s} {one / statistics.median(runs):11.2f}")


def main():
    """Time all ways in turn."""
    from distributed import Client, LocalCluster

    n_seeds, n_logs, rounds = (int(one) for one in (*sys.argv[1:], *("64", "4", "5")[len(sys.argv) - 1 :]))
    print(f"{versions()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    dt.warm_up(["fusion"])
    with ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mission = archive(folder, max(WORKERS) * n_logs)
        logs = sorted((folder / "logs").glob("*.tlog"))
        clients, pools = {}, {}
        for n in WORKERS:
            options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
            cluster = stack.enter_context(LocalCluster(n_workers=n, **options))
            clients[n] = stack.enter_context(Client(cluster))
            clients[n].run(alone, [0])
            clients[n].run(fuse_one, mission, folder / "x.parquet")
            pools[n] = stack.enter_context(ProcessPoolExecutor(n, multiprocessing.get_context("spawn")))
            # Each process of the pool has met both jobs before the clock runs.
            list(pools[n].map(alone, [range(16)] * 2 * n))
            list(pools[n].map(fuse_one, [mission] * 2 * n, [folder / f"x{k}.parquet" for k in range(2 * n)]))

        def sweep(n):
            return monte_carlo(SCENARIO, range(n * n_seeds), client=clients[n])

        def fuse_all(n):
            return map_logs(logs[: n * n_logs], mission, out=tempfile.mkdtemp(dir=folder), client=clients[n])

        def plain_sweep(n):
            parts = [range(k * n_seeds, (k + 1) * n_seeds) for k in range(n)]
            return list(itertools.chain.from_iterable(pools[n].map(alone, parts)))

        def plain_fuse_all(n):
            places = [folder / f"x{k}.parquet" for k in range(n * n_logs)]
            return list(pools[n].map(fuse_one, [mission] * len(places), places))

        for n in WORKERS:
            assert sweep(n)["position_rmse_m"].tolist() == plain_sweep(n), "the bits differ"
        one, *rest = [[(a.folder / r["file"]).read_bytes() for r in a.records] for a in map(fuse_all, WORKERS)]
        assert all(other[: len(one)] == one for other in rest), "the bits differ"
        for title, ours, plain in (
            (f"Monte-Carlo: {n_seeds} seeds of {SCENARIO} for each process", sweep, plain_sweep),
            (f"archive: {n_logs} logs of {logs[0].stat().st_size / 1e6:.1f} MB each", fuse_all, plain_fuse_all),
        ):
            jobs = {f"no Dask, {n} process": lambda n=n, plain=plain: plain(n) for n in WORKERS}
            report(
                title, in_turn(jobs | {f"Dask, {n} worker": lambda n=n, ours=ours: ours(n) for n in WORKERS}, rounds)
            )
    print(f"\nload average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
