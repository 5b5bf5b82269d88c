"""The commands, as a shell runs them."""

import json
import subprocess
import sys

import geopandas
import pytest
from matplotlib.image import imread
from pymavlink.dialects.v20 import all as mavlink

from dronetrack import cli


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "dronetrack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


def test_the_demo_needs_no_arguments_and_writes_its_files(tmp_path):
    done = run("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar in a pipe
    assert "border crossed HU -> RO" in done.stdout
    assert "RO accepts the target  (Article 40(1))" in done.stdout
    out = tmp_path / "dronetrack-demo"
    assert sorted(path.name for path in out.iterdir()) == [
        "map.png", "run.journal", "stats.json", "timeline.json", "track.geojson", "track.parquet",
    ]  # fmt: skip
    assert len(geopandas.read_parquet(out / "track.parquet")) > 3000
    events = json.loads((out / "timeline.json").read_text())
    crossing = next(event for event in events if event["kind"] == "crossing")
    assert {"time", "leaving", "entering", "time_std_s", "probability", "lat_deg", "lon_deg"} <= set(crossing)
    picture = imread(out / "map.png")
    assert picture.shape[1] > 1000
    assert picture[..., :3].std() > 0.02  # something is drawn


def test_fuse_speaks_json_to_machines(demo, tmp_path):
    done = run("fuse", demo / "mission.toml", "-o", tmp_path / "out", "--json")
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert said["events"][0]["kind"] == "track_started"
    assert str(tmp_path / "out" / "track.parquet") in said["files"]


def test_info_counts_frames_and_messages(demo):
    done = run("info", demo / "hu_drone.tlog", "--json")
    found = json.loads(done.stdout)
    assert set(found) >= {"frames", "bad_frames", "lost_frames", "vehicles"}
    assert found["frames"] == sum(sum(one["messages"].values()) for one in found["vehicles"])
    assert "ATTITUDE" in run("info", demo / "hu_drone.tlog").stdout


BOMB = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><gpx>&b;</gpx>'
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)) * 30
NO_TIME = '<gpx version="1.1"><trk><trkseg><trkpt lat="46" lon="20"/></trkseg></trk></gpx>'


@pytest.fixture
def mission(demo, tmp_path):
    """The demo's mission beside one file that a test may spoil."""

    def write(name, content, old=None):
        for path in demo.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        text = (tmp_path / "mission.toml").read_text()
        if content is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (tmp_path / name).write_bytes(data)
        if old is not None:
            text = text.replace(old, name)
        (tmp_path / "mission.toml").write_text(text)
        return tmp_path / "mission.toml"

    return write


def refused(done, words):
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert done.stderr.startswith("dronetrack: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "old", "words"),
    [
        ("missing.tlog", None, "hu_drone.tlog", "there is no file"),
        ("empty.tlog", b"", "hu_drone.tlog", "the file is empty"),
        ("picture.tlog", JPEG, "hu_drone.tlog", "no MAVLink frame with a right checksum"),
        ("no_time.gpx", NO_TIME, "hu_unit.gpx", "no point has a time"),
        ("bomb.gpx", BOMB, "hu_unit.gpx", "refused, the XML declares entities"),
        ("standoff", None, "standoff_m", "unknown key 'standoff' in [[unit]]; did you mean 'standoff_m'?"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_output(mission, tmp_path, name, content, old, words):
    done = run("fuse", mission(name, content, old), "-o", tmp_path / "out")
    refused(done, words)
    assert not (tmp_path / "out").exists()


def test_a_truncated_log_is_fused_as_far_as_it_goes(demo, mission, tmp_path):
    whole = (demo / "hu_drone.tlog").read_bytes()
    path = mission("hu_drone.tlog", whole[: len(whole) // 2 + 3])
    done = run("fuse", path, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    stats = json.loads((tmp_path / "out" / "stats.json").read_text())["drones"]["HU-D1"]
    assert stats["cut_bytes"] + stats["skipped_bytes"] > 0


def test_positions_of_an_unhealthy_autopilot_are_counted_where_users_look(demo, mission, tmp_path):
    log = (demo / "hu_drone.tlog").read_bytes()
    link = mavlink.MAVLink(None, srcSystem=1, srcComponent=1)
    report = mavlink.MAVLink_ekf_status_report_message(1, 0.1, 0.1, 0.1, 0.1, 0.1)  # attitude, but no position
    path = mission("hu_drone.tlog", log[:8] + report.pack(link) + log)
    run("fuse", path, "-o", tmp_path / "out")
    drones = json.loads((tmp_path / "out" / "stats.json").read_text())["drones"]
    assert drones["HU-D1"]["position_rows_while_unhealthy"] == drones["HU-D1"]["position_rows"]
    assert "position_rows_while_unhealthy" not in drones["RO-D1"]  # which says nothing of its health


def test_a_log_truncated_to_nothing_useful_is_refused(demo, mission, tmp_path):
    path = mission("hu_drone.tlog", (demo / "hu_drone.tlog").read_bytes()[:15])
    refused(run("fuse", path, "-o", tmp_path / "out"), "no MAVLink frame")


@pytest.mark.parametrize("command", ["info", "fuse"])
def test_a_file_that_is_not_there_is_one_sentence(command, tmp_path):
    refused(run(command, tmp_path / "nothing"), "no such file")


def test_an_old_result_survives_a_run_that_fails(mission, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "track.geojson").write_text("old")
    refused(run("fuse", mission("empty.tlog", b"", "hu_drone.tlog"), "-o", tmp_path / "out"), "empty")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["track.geojson"]
    assert (tmp_path / "out" / "track.geojson").read_text() == "old"


def test_without_matplotlib_there_is_no_map_and_a_word_about_it(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda _name: None)
    assert cli.main(["fuse", str(demo / "mission.toml"), "-o", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "map.png").exists()
    assert "dronetrack[plot]" in capsys.readouterr().out


def test_the_map_is_drawn_even_where_the_second_process_fails(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.sys, "executable", "/bin/false")
    assert cli.main(["fuse", str(demo / "mission.toml"), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "map.png").stat().st_size > 50_000


def test_the_version_is_told():
    assert run("--version").stdout.startswith("dronetrack 0.")
