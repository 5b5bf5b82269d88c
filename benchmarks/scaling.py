"""How well do sweeps and archives scale? Weak scaling: twice the workers have twice the work, and should take as long.

    python benchmarks/scaling.py [seeds per worker] [logs per worker] [rounds]

Workers are started and their kernels loaded before the clock runs. The named baseline is the same work in as many plain
processes with no Dask at all: what the machine can do. Efficiency is the time of one over the time of all. Rows and
partitions of every way must be the same bits, or nothing is printed. Two processes share caches, memory and whatever
else the machine does: the load average stands beside the figures, and the CPU time that the work took.
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

import psutil  # comes with Dask

import dronetrack as dt
from dronetrack.bench import Case, Job
from dronetrack.bench.versions import versions
from dronetrack.bench.racing import race
from dronetrack.leaderboard import default_tracker
from dronetrack.scale import map_logs, monte_carlo

WORKERS = (1, 2)
SCENARIO = "turns"
# Each way, and the one with half of the work that it is measured against.
AGAINST = {
    "no Dask, 1 process": "no Dask, 1 process",
    "no Dask, 2 processes": "no Dask, 1 process",
    "Dask, 1 process": "Dask, 1 process",
    "Dask, 2 processes": "Dask, 1 process",
    "Dask, 2 threads": "Dask, 1 process",
}


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


def cpu_s():
    """CPU time of this process and of all that it started: what work costs, however busy the machine is."""
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (me, *me.children(recursive=True)))


def report(title, jobs, rounds):
    """Time the ways of `AGAINST` in turn, and print a row for each."""
    spent = {name: [] for name in AGAINST}

    def counted(name, job):
        before = cpu_s()
        job()
        spent[name].append(cpu_s() - before)

    ways = {name: lambda name=name, job=job: counted(name, job) for name, job in zip(AGAINST, jobs, strict=True)}
    jobs = {name: Job(way, 1.0, "ours", clock="wall") for name, way in ways.items()}
    seconds = race(Case("scaling", jobs), rounds).wall_s
    print(f"\n{title}\n{'':24s} {'median s':>10s} {'min..max s':>17s} {'efficiency':>11s} {'CPU s':>7s}")
    for name, runs in seconds.items():
        spread = f"{min(runs):.2f}..{max(runs):.2f}"
        efficiency = statistics.median(seconds[AGAINST[name]]) / statistics.median(runs)
        cpu = statistics.median(spent[name][2:])  # after two that do not count
        print(f"{name:24s} {statistics.median(runs):10.2f} {spread:>17s} {efficiency:11.2f} {cpu:7.2f}")


def main():
    """Time all ways in turn."""
    from distributed import Client, LocalCluster

    n_seeds, n_logs, rounds = (int(one) for one in (*sys.argv[1:], *("64", "4", "5")[len(sys.argv) - 1 :]))
    of = ", ".join(f"{name} {versions()[name]}" for name in ("numpy", "numba"))
    print(f"{of}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    dt.warm_up(["fusion"])
    with ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mission = archive(folder, max(WORKERS) * n_logs)
        logs = sorted((folder / "logs").glob("*.tlog"))
        pools = {}
        for n in WORKERS:
            pools[n] = stack.enter_context(ProcessPoolExecutor(n, multiprocessing.get_context("spawn")))
            # Each process of the pool has met both jobs before the clock runs.
            list(pools[n].map(alone, [range(16)] * 2 * n))
            list(pools[n].map(fuse_one, [mission] * 2 * n, [folder / f"x{k}.parquet" for k in range(2 * n)]))

        def started(**options):
            cluster = stack.enter_context(LocalCluster(dashboard_address="127.0.0.1:0", **options))
            client = stack.enter_context(Client(cluster))
            client.run(alone, [0])
            client.run(fuse_one, mission, folder / "x.parquet")
            return client

        one, two = (started(n_workers=n, threads_per_worker=1) for n in WORKERS)
        threads = started(n_workers=1, threads_per_worker=2, processes=False)

        def sweep(client, n):
            return monte_carlo(SCENARIO, range(n * n_seeds), client=client)

        def fuse_all(client, n):
            return map_logs(logs[: n * n_logs], mission, out=tempfile.mkdtemp(dir=folder), client=client)

        def plain_sweep(pool, n):
            parts = [range(k * n_seeds, (k + 1) * n_seeds) for k in range(n)]
            return list(itertools.chain.from_iterable(pool.map(alone, parts)))

        def plain_fuse_all(pool, n):
            places = [folder / f"x{k}.parquet" for k in range(n * n_logs)]
            return list(pool.map(fuse_one, [mission] * len(places), places))

        rows = plain_sweep(pools[2], 2)
        for client in (one, two, threads):
            assert sweep(client, 2)["position_rmse_m"].tolist() == rows, "the bits differ"
        kept = [[(a.folder / r["file"]).read_bytes() for r in a.records] for a in (fuse_all(one, 2), fuse_all(two, 2))]
        assert kept[0] == kept[1], "the bits differ"
        for title, ours, plain in (
            (f"Monte-Carlo: {n_seeds} seeds of {SCENARIO} for each process", sweep, plain_sweep),
            (f"archive: {n_logs} logs of {logs[0].stat().st_size / 1e6:.1f} MB for each", fuse_all, plain_fuse_all),
        ):
            ways = [(plain, pools[1], 1), (plain, pools[2], 2), (ours, one, 1), (ours, two, 2), (ours, threads, 2)]
            report(title, [lambda way=way, who=who, n=n: way(who, n) for way, who, n in ways], rounds)
    print(f"\nload average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
