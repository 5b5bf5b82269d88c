"""Sweeps and archives on Dask: the same bits from any number of workers, whoever dies, whatever one file holds."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import dronetrack as dt
from dronetrack.errors import FormatError, InputError
from dronetrack.leaderboard import default_tracker
from dronetrack.scale import map_logs, monte_carlo

distributed = pytest.importorskip("distributed")

# One cluster at a time, in one process of pytest.
pytestmark = pytest.mark.xdist_group("cluster")

SEEDS = range(12)
EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as mine,
    ):
        yield mine


@pytest.fixture(scope="module")
def here():
    """A client whose one worker is a thread of this process: quick, and never killed."""
    with distributed.Client(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as mine:  # fmt: skip
        yield mine


@pytest.fixture
def logs(tmp_path, demo):
    """An archive: two flights of a minute in two folders, and a mission that fits each."""
    whole = (demo / "hu_drone.tlog").read_bytes()
    for name in ("day 1/a.tlog", "day 2/a.tlog"):
        place = tmp_path / "logs" / name
        place.parent.mkdir(parents=True)
        place.write_bytes(whole[:80_000])
    mission = tmp_path / "mission.toml"
    shutil.copy(demo / "hu_drone.tlog", tmp_path)
    mission.write_text(
        '[mission]\nname = "archive"\nborder = ["HU", "RO"]\nterrain_msl_m = 84.0\n'
        '[[drone]]\nid = "D"\nauthority = "HU"\nlog = "hu_drone.tlog"\nsystem_id = 1\n'
        'gimbal_frame = "levelled"\nlatency_s = 0.2\n'
    )
    return tmp_path / "logs", mission


# --- Monte-Carlo ------------------------------------------------------------------------------------------------------


def test_a_sweep_is_the_same_bits_on_one_worker_and_on_two(client, here):
    one, two = monte_carlo("straight", SEEDS, client=here), monte_carlo("straight", SEEDS, client=client)
    assert one.equals(two)
    assert one["seed"].tolist() == list(SEEDS)
    assert (one["error"] == "").all()


def test_a_row_is_what_the_benchmark_says_of_its_seed(here):
    table = monte_carlo("straight", [5, 2], client=here)
    bench = dt.Benchmark.load("straight", seeds=[5])
    verdict = bench.score([default_tracker(bench[0])])
    assert table.loc[0, "position_rmse_m"] == verdict.position_rmse_m
    assert table.loc[0, "nees"] == verdict.said.nees.mean
    assert table.loc[0, "n_rows"] == verdict.whole.n_rows


def test_the_order_of_seeds_changes_the_order_of_rows_only(here):
    forth = monte_carlo("straight", SEEDS, client=here)
    back = monte_carlo("straight", SEEDS[::-1], client=here)
    assert back[::-1].reset_index(drop=True).equals(forth)


def test_scenarios_and_trackers_are_swept_together(here):
    trackers = {"filter": default_tracker, "smoother": lambda case: dt.smooth(default_tracker(case))}
    table = monte_carlo(["straight", "stone_soup_ncv"], [0, 1], trackers=trackers, client=here)
    said = list(table[["scenario", "tracker", "seed"]].itertuples(index=False, name=None))
    assert said == [
        (s, t, n) for s in ("straight", "stone_soup_ncv") for t in ("filter", "smoother") for n in (0, 1)
    ]  # fmt: skip
    means = table.groupby(["scenario", "tracker"])["position_rmse_m"].mean()
    assert (means[:, "smoother"] < means[:, "filter"]).all()


def fails_at_three(case):
    if case.seed == 3:
        raise ZeroDivisionError("three")
    return default_tracker(case)


def test_a_tracker_that_fails_on_one_seed_is_a_row_with_its_reason(client, here):
    one = monte_carlo("straight", range(5), trackers=fails_at_three, client=here)
    assert one["error"].tolist() == ["", "", "", "ZeroDivisionError: three", ""]
    assert np.isnan(one.loc[3, "position_rmse_m"])
    assert one.equals(monte_carlo("straight", range(5), trackers=fails_at_three, client=client))


def test_a_worker_that_is_killed_in_mid_run_loses_nothing(client, here):
    """Kill -9, from outside, when the first results are there and more are under way."""
    expected = monte_carlo("straight", range(40), client=here)
    before = dict(client.run(os.getpid))
    killed = []

    def kill_one(_what, part):
        if not killed:
            killed.append(next(iter(before.values())))
            os.kill(killed[0], signal.SIGKILL)
            assert part < 0.5, "nothing is under way any more"

    assert monte_carlo("straight", range(40), client=client, progress=kill_one).equals(expected)
    client.wait_for_workers(2, timeout=60)
    assert killed[0] not in client.run(os.getpid).values()


class KillsItsProcessOnce:
    """A tracker that does not live through the first time that it sees a seed."""

    def __init__(self, flag, seed):
        self.flag, self.seed = pathlib.Path(flag), seed

    def __call__(self, case):
        if case.seed == self.seed and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return default_tracker(case)


def test_a_worker_that_dies_at_its_work_has_it_done_by_another(client, here, tmp_path):
    killer = {"t": KillsItsProcessOnce(tmp_path / "died", 7)}
    table = monte_carlo("straight", SEEDS, trackers=killer, client=client)
    assert (tmp_path / "died").exists()
    assert table.equals(monte_carlo("straight", SEEDS, trackers={"t": default_tracker}, client=here))


def kills_its_process_at_seven(case):
    if case.seed == 7 and distributed_worker():
        os.kill(os.getpid(), signal.SIGKILL)
    return default_tracker(case)


def test_a_seed_that_no_worker_lives_through_is_a_row_and_its_neighbours_are_done(client, here, monkeypatch):
    monkeypatch.setattr("dronetrack.scale.sweep.TASKS_PER_WORKER", 1)  # six seeds to a task
    allowed = client.run_on_scheduler(patience, 0)
    try:
        table = monte_carlo("straight", SEEDS, trackers={"t": kills_its_process_at_seven}, client=client)
    finally:
        client.run_on_scheduler(patience, allowed)
    assert table.loc[7, "error"] == "KilledWorker: no worker lived through it"
    whole = monte_carlo("straight", SEEDS, trackers={"t": default_tracker}, client=here)
    assert table.drop(index=7).equals(whole.drop(index=7))


def patience(failures, dask_scheduler):
    before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, failures
    return before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("straight", []), "at least one"),
        (("straight", [1, 1]), "each once"),
        (("nowhere", [1]), "no scenario"),
        ((["straight", "straight"], [1]), "names of their own"),
        (([], [1]), "there must be one"),
    ],
)  # fmt: skip
def test_a_sweep_of_nothing_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        monte_carlo(*arguments)


def test_a_client_has_its_own_workers(here):
    with pytest.raises(InputError, match="not both"):
        monte_carlo("straight", [1], client=here, workers=2)


# --- archives ---------------------------------------------------------------------------------------------------------


def test_an_archive_becomes_one_partitioned_table(logs, here, tmp_path):
    import geopandas

    folder, mission = logs
    archive = map_logs(folder / "**/*.tlog", mission, out=tmp_path / "out", client=here)
    alone = dt.fuse(here_mission(mission, folder / "day 1/a.tlog")).track
    table = geopandas.read_parquet(tmp_path / "out")
    assert sorted(table["log"].unique()) == ["day 1/a.tlog", "day 2/a.tlog"]
    first = table[table["log"] == "day 1/a.tlog"]
    np.testing.assert_array_equal(first["lat_deg"].to_numpy(), alone.lat_deg)
    np.testing.assert_array_equal(first["var_e_m2"].to_numpy(), alone.to_geodataframe()["var_e_m2"].to_numpy())
    assert len(archive.tracks()) == len(table) == archive.manifest()["rows"].sum()
    assert archive.records[0]["events"][0]["kind"] == "track_started"


def here_mission(mission, log):
    from dataclasses import replace

    one = dt.read_mission(mission)
    return replace(one, drones=(replace(one.drones[0], log=log),))


def test_one_bad_file_is_reported_and_not_fatal(logs, here, tmp_path):
    folder, mission = logs
    (folder / "day 2/b.tlog").write_bytes(b"not a log at all")
    archive = map_logs(folder / "**/*.tlog", mission, out=tmp_path / "out", client=here)
    assert [one["state"] for one in archive.records] == ["done", "done", "failed"]
    (bad,) = archive.failed
    assert (bad["log"], bad["error"]) == ("day 2/b.tlog", "FormatError")
    assert "b.tlog" in bad["reason"]
    assert set(archive.tracks()["log"]) == {"day 1/a.tlog", "day 2/a.tlog"}
    told = archive.manifest()
    assert told.loc[2, "reason"] == bad["reason"]


def test_what_is_done_is_not_done_again(logs, here, tmp_path):
    folder, mission = logs
    out = tmp_path / "out"
    map_logs(folder / "day 1/*.tlog", mission, out=out, client=here)
    place = out / "log=a.tlog" / "track.parquet"
    written = place.stat().st_mtime_ns
    again = map_logs(folder / "day 1/*.tlog", mission, out=out)  # nothing to do: no worker is started
    assert (again.n_new, place.stat().st_mtime_ns) == (0, written)


@pytest.mark.parametrize("change", ["log", "mission", "lost", "cut", "record"])
def test_what_has_changed_is_done_again(logs, here, tmp_path, change):
    folder, mission = logs
    out = tmp_path / "out"
    map_logs(folder / "day 1/*", mission, out=out, client=here)
    place, record = out / "log=a.tlog" / "track.parquet", out / "_manifest" / "a.tlog.json"
    whole = place.read_bytes()
    if change == "log":
        os.utime(folder / "day 1/a.tlog", ns=(1, 1))
    elif change == "mission":
        mission.write_text(mission.read_text().replace("latency_s = 0.2", "latency_s = 0.3"))
    elif change == "lost":
        place.unlink()
    elif change == "cut":
        place.write_bytes(whole[:1000])
    else:
        record.write_text(record.read_text()[:50])
    assert map_logs(folder / "day 1/*", mission, out=out, client=here).n_new == 1
    assert (place.read_bytes() == whole) == (change != "mission")
    assert json.loads(record.read_text())["state"] == "done"


def test_a_part_written_file_never_counts(logs, here, tmp_path):
    """What a worker that died left beside its place is neither read nor taken for done."""
    import geopandas

    folder, mission = logs
    out = tmp_path / "out"
    left = out / "log=day 1%2Fa.tlog" / ".abc.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PAR1 half a file")
    archive = map_logs(folder / "**/*.tlog", mission, out=out, client=here)
    assert archive.n_new == 2
    assert len(geopandas.read_parquet(out)) == len(archive.tracks())


class DiesOnce:
    """A function from a log to its mission; the first time, its process is killed."""

    def __init__(self, flag, mission):
        self.flag, self.mission = pathlib.Path(flag), mission

    def __call__(self, log):
        if not self.flag.exists() and distributed_worker():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return here_mission(self.mission, log)


def distributed_worker():
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def test_a_worker_killed_over_an_archive_loses_nothing(logs, client, here, tmp_path):
    folder, mission = logs
    expected = map_logs(folder / "**/*.tlog", mission, out=tmp_path / "one", client=here)
    archive = map_logs(
        folder / "**/*.tlog", DiesOnce(tmp_path / "died", mission), out=tmp_path / "two", client=client
    )  # fmt: skip
    assert (tmp_path / "died").exists()
    assert archive.failed == ()
    for one in expected.records:
        assert (tmp_path / "one" / one["file"]).read_bytes() == (tmp_path / "two" / one["file"]).read_bytes()


def test_mission_files_are_an_archive_too(logs, here, tmp_path):
    folder, mission = logs
    text = mission.read_text().replace("hu_drone.tlog", "day 1/a.tlog")
    (folder / "good.toml").write_text(text)
    (folder / "bad.toml").write_text(text.replace("latency_s", "latency"))
    archive = map_logs(folder / "*.toml", out=tmp_path / "out", client=here)
    assert [(one["log"], one["state"]) for one in archive.records] == [("bad.toml", "failed"), ("good.toml", "done")]
    assert "did you mean 'latency_s'" in archive.failed[0]["reason"]


def test_a_mission_of_several_drones_fits_no_archive(logs, demo, tmp_path):
    folder, _ = logs
    with pytest.raises(InputError, match="has 2"):
        map_logs(folder / "**/*.tlog", demo / "mission.toml", out=tmp_path / "out")


def test_a_mission_that_is_none_is_refused_at_once(logs, tmp_path):
    folder, mission = logs
    mission.write_text("[mission]\n")
    with pytest.raises(FormatError, match="name"):
        map_logs(folder / "**/*.tlog", mission, out=tmp_path / "out")


def test_two_logs_of_one_name_are_refused(logs, tmp_path):
    folder, mission = logs
    with pytest.raises(InputError, match="two logs are both called"):
        map_logs([folder / "day 1/a.tlog", folder / "day 2/a.tlog"], mission, out=tmp_path / "out")


def test_a_name_that_is_too_long_for_a_folder_is_cut_and_stays_its_own(here, tmp_path):
    for end in "ab":
        place = tmp_path / "logs" / ("é" * 60) / ("é" * 60) / f"{end}.toml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
    archive = map_logs(tmp_path / "logs/**/*.toml", out=tmp_path / "out", client=here)
    assert [one["error"] for one in archive.failed] == ["FormatError", "FormatError"]
    assert len(list((tmp_path / "out" / "_manifest").iterdir())) == 2


def test_one_more_log_does_not_rename_the_others(logs, here, tmp_path):
    folder, mission = logs
    before = map_logs(folder / "**/*.tlog", mission, out=tmp_path / "out", client=here)
    shutil.copy(folder / "day 1/a.tlog", folder / "z.tlog")
    after = map_logs(folder / "**/*.tlog", mission, out=tmp_path / "out", client=here)
    assert (after.n_new, after.records[:2]) == (1, before.records)


def test_no_log_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file matches"):
        map_logs(tmp_path / "*.tlog", out=tmp_path / "out")


def test_a_place_that_cannot_be_written_is_refused(logs, tmp_path):
    folder, mission = logs
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        map_logs(folder / "**/*.tlog", mission, out=tmp_path / "file")


# --- the door ---------------------------------------------------------------------------------------------------------


def test_dask_is_imported_when_it_is_needed():
    probe = "import sys, dronetrack, dronetrack.scale; print([n for n in ('dask', 'distributed') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"dronetrack\[scale\]"):
        monte_carlo("straight", [1])


def test_the_example_starts_processes_of_its_own_and_ends_them():
    command = [sys.executable, str(EXAMPLES / "sweep_seeds.py"), "stone_soup_ncv", "4", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "4 seeds; 0 failed" in run.stdout
