"""`dronetrack live`, as a shell runs it, with drones that really send. Loopback only."""

import contextlib
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from pymavlink.dialects.v20 import all as mavlink

from dronetrack import cli
from dronetrack.live.hearing import hear, status, status_line, summary
from dronetrack.mavlink import read_frames, read_log_info
from tests.senders import START_US, Recorder

KEY = "a passphrase"
PATIENCE_S = 60.0


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Flight(threading.Thread):
    """Two drones that send their place ten times a second until told to land; every fifth of the second's is lost."""

    def __init__(self, port, *, signed=False):
        super().__init__()
        self.port, self.landed = port, threading.Event()
        self.links = [mavlink.MAVLink(None, srcSystem=system, srcComponent=1) for system in (1, 2)]
        for link in self.links if signed else ():
            link.signing.secret_key = hashlib.sha256(KEY.encode()).digest()
            link.signing.sign_outgoing, link.signing.link_id = True, 1

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.connect(("127.0.0.1", self.port))
            number = 0
            while not self.landed.wait(0.1):
                for link in self.links:
                    self.send(out, link, mavlink.MAVLink_system_time_message(time.time_ns() // 1000, number))
                    place = mavlink.MAVLink_global_position_int_message(
                        number, 462000000, 207000000, 90500, 9000, 0, 0, 0, 0
                    )
                    self.send(out, link, place, lost=link.srcSystem == 2 and number % 5 == 4)
                number += 1

    def send(self, out, link, message, *, lost=False):
        frame = message.pack(link)
        link.seq = (link.seq + 1) % 256
        if not lost:
            with contextlib.suppress(ConnectionRefusedError):  # nobody listens yet
                out.send(frame)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.landed.set()
        self.join()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """What a run of three seconds told, line by line, and what it left."""
    folder, port = tmp_path_factory.mktemp("watched"), free_port()
    command = [sys.executable, "-m", "dronetrack", "live", f"udpin:127.0.0.1:{port}", "--seconds", "3", "--json"]
    with Flight(port):
        done = subprocess.run(
            [*command, "-o", folder / "summary.json", "--record", folder / "today.tlog"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return folder, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_status_is_told_every_second(watched):
    *told, _ = watched[1]
    assert len(told) == 3
    assert set(told[-1]["senders"]) == {"1/1", "2/1"}
    assert 30.0 < told[-1]["messages_per_s"] < 45.0
    for one in told[-1]["senders"].values():
        assert 0.0 <= one["position_age_s"] < 1.0
        assert abs(one["clock_offset_s"]) < 0.5  # one computer, one clock


def test_what_was_lost_is_told_by_sender(watched):
    *told, found = watched[1]
    lost = {f"{one['system_id']}/{one['component_id']}": one["lost_frames"] for one in found["vehicles"]}
    assert lost["1/1"] == 0
    assert 4 <= lost["2/1"] <= 6
    assert {label: one["lost_frames"] for label, one in told[-1]["senders"].items()} == pytest.approx(lost, abs=1)


def test_the_summary_counts_what_the_recording_holds(watched):
    folder, (*_, found) = watched
    assert json.loads((folder / "summary.json").read_text()) == found
    recorded = read_log_info(folder / "today.tlog")
    assert found["frames"] == recorded["frames"] == len(read_frames(folder / "today.tlog"))
    for ours, theirs in zip(found["vehicles"], recorded["vehicles"], strict=True):
        assert {key: ours[key] for key in theirs} == theirs
        assert ours["position"] == {"lat_deg": pytest.approx(46.2), "lon_deg": pytest.approx(20.7)}


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path, stop):
    port = free_port()
    command = [sys.executable, "-m", "dronetrack", "live", f"udpin:127.0.0.1:{port}", "-o", tmp_path / "summary.json"]
    with Flight(port), subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        line = run.stdout.readline()
        while "1/1" not in line:
            line = run.stdout.readline()
        run.send_signal(stop)
        rest, errors = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, errors) == (0, "")
    assert rest.splitlines()[-1].startswith("heard ")
    assert json.loads((tmp_path / "summary.json").read_text())["frames"] > 0


def test_where_signatures_are_required_who_does_not_sign_is_not_heard(tmp_path, capsys):
    (tmp_path / "key").write_text(KEY + "\n")
    heard = {}
    for signed in (True, False):
        port = free_port()
        with Flight(port, signed=signed):
            arguments = [f"udpin:127.0.0.1:{port}", "--seconds", "1.5", "--key-file", str(tmp_path / "key"), "--json"]
            assert cli.main(["live", *arguments]) == 0
        heard[signed] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["system_id"] for one in heard[True]["vehicles"]] == [1, 2]
    assert heard[True]["signed_frames"] > 0
    assert heard[False]["vehicles"] == []
    assert heard[False]["unsigned_frames"] > 0


def test_silence_is_told_and_is_no_fault(capsys):
    assert cli.main(["live", "udpin:127.0.0.1:0", "--seconds", "0.3"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "nobody is heard" in told[0]
    assert told[-1] == "heard 0 frames of 0 senders, lost 0"


def test_a_peer_that_is_not_there_is_told(capsys):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert cli.main(["live", f"tcp:127.0.0.1:{port}", "--seconds", "0.3"]) == 0
    assert "not connected yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["udp:14550"], "a link is udpin:HOST:PORT"),
        (["udpin:127.0.0.1:0", "--seconds", "0"], "--seconds must be positive"),
        (["udpin:127.0.0.1:0", "--dialect", "klingon"], "dialect 'klingon' is not shipped"),
        (["udpin:127.0.0.1:0", "--signatures", "require"], "needs the key"),
        (["udpin:127.0.0.1:0", "--key-file", "/nowhere/key"], "the key cannot be read"),
        (["udpin:127.0.0.1:0", "--record", "/nowhere/today.tlog"], "the recording cannot be written"),
        (["udpin:127.0.0.1:0", "--seconds", "0.1", "-o", "/nowhere/x.json"], "the summary cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, capsys):
    assert cli.main(["live", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("dronetrack: ")
    assert len(told.splitlines()) == 1
    assert words in told


def a_second(number):
    """Frames of one second of one drone, that arrive 0.25 s after they were sent; it has no place in the first."""
    recorder = Recorder()
    lat = 0 if number == 0 else 462000000
    utc_us = START_US + number * 1_000_000
    recorder.add(number + 0.25, "GLOBAL_POSITION_INT", time_boot_ms=1, lat=lat, lon=lat // 2)
    recorder.add(number + 0.25, "SYSTEM_TIME", time_unix_usec=utc_us if number else 0, time_boot_ms=1)
    return read_frames(recorder.log)


def test_what_was_known_stays_known_until_it_is_told_anew():
    first = hear({}, a_second(0))
    assert (first["1/1"].position, first["1/1"].clock_offset_s) == (None, None)
    second = hear(first, a_second(1))
    assert second["1/1"].position[1:] == pytest.approx((46.2, 23.1))
    assert second["1/1"].clock_offset_s == pytest.approx(0.25)
    third = hear(second, a_second(0))
    assert third["1/1"].position == second["1/1"].position
    assert third["1/1"].messages == {"GLOBAL_POSITION_INT": 3, "SYSTEM_TIME": 3}
    assert first["1/1"].messages == {"GLOBAL_POSITION_INT": 1, "SYSTEM_TIME": 1}  # what was told before is not changed


def test_who_fell_silent_is_said_to_be():
    frames = a_second(1)
    hearing = hear({}, frames)
    stats = {**frames.stats, "connections": 1, "dropped_frames": 3, "dropped_datagrams": 0}
    told = status(hearing, stats, {}, 1.0, START_US + 5_250_000)
    assert told["senders"]["1/1"]["silent_s"] == 4.0
    assert "SILENT for 4 s" in status_line(told)
    assert "DROPPED HERE 3" in status_line(told)


def test_a_summary_lists_senders_by_number():
    recorder = Recorder()
    for system in (10, 2, 1):
        recorder.add(system, "HEARTBEAT", system=system)
    frames = read_frames(recorder.log)
    found = summary(hear({}, frames), frames.stats, link="udpin:x:1")
    assert [one["system_id"] for one in found["vehicles"]] == [1, 2, 10]
    assert found["link"] == "udpin:x:1"
