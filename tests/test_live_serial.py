"""A serial line gives what was sent over it. The line is a pseudo-terminal, which the driver of serial lines opens."""

import os
import pathlib
import time

import pytest

from dronetrack.live import open_telemetry
from dronetrack.mavlink import join_frames, read_frames

pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")
tty = pytest.importorskip("tty")
pytest.importorskip("serial", reason="needs pyserial (extra live)")

DEMO = pathlib.Path(__file__).parents[1] / "dronetrack" / "data" / "demo" / "hu_drone.tlog"
PATIENCE_S = 30.0
FRAMES = 1500


@pytest.fixture
def line():
    """The drone's end of a line, and what the other end is called."""
    try:
        drone, ground = pty.openpty()
    except OSError as fault:
        pytest.skip(f"no pseudo-terminal: {fault}")
    tty.setraw(drone)
    tty.setraw(ground)
    yield drone, os.ttyname(ground)
    for end in (drone, ground):
        os.close(end)


def stream():
    """The first frames of a recorded flight as they went over the air, without stamps."""
    frames = read_frames(DEMO)
    whole = frames.data.tobytes()
    places = zip(frames.start[:FRAMES].tolist(), frames.stop[:FRAMES].tolist(), strict=True)
    return [whole[start:stop] for start, stop in places]


def send(drone, content):
    """Write it all, as fast as the line takes it."""
    while content:
        content = content[os.write(drone, content[:1000]) :]


def connected(link):
    """Wait until the line is open: the driver discards what came before."""
    until = time.monotonic() + PATIENCE_S
    while not link.stats["connections"] and time.monotonic() < until:
        time.sleep(0.01)


def hear(link, wanted):
    batches, until = [], time.monotonic() + PATIENCE_S
    while sum(map(len, batches)) < wanted and time.monotonic() < until:
        batch = link.read(0.2)
        if batch is not None:
            batches.append(batch)
    return join_frames(batches)


def test_a_flight_over_a_serial_line_is_heard_whole(line, tmp_path):
    drone, device = line
    sent, path = stream(), tmp_path / "today.tlog"
    with open_telemetry(f"serial:{device}:57600", record=path) as link:
        connected(link)
        for first in range(0, len(sent), 7):  # what a line brings ends anywhere
            send(drone, b"".join(sent[first : first + 7]))
        heard = hear(link, len(sent))
        stats = link.stats
    whole = heard.data.tobytes()
    places = zip(heard.start.tolist(), heard.stop.tolist(), strict=True)
    assert [whole[start:stop] for start, stop in places] == sent
    assert stats["received_bytes"] == sum(map(len, sent))
    assert (stats["bad_frames"], stats["skipped_bytes"], stats["connections"]) == (0, 0, 1)
    assert len(read_frames(path)) == len(sent)


def test_what_is_written_to_a_serial_line_arrives(line):
    drone, device = line
    with open_telemetry(f"serial:{device}:57600") as link:
        connected(link)
        link.write(b"hello")
        assert os.read(drone, 100) == b"hello"


def test_a_line_that_is_not_there_is_waited_for(tmp_path):
    with open_telemetry(f"serial:{tmp_path / 'ttyUSB0'}:57600") as link:
        until = time.monotonic() + PATIENCE_S
        while not link.stats["failed_connections"] and time.monotonic() < until:
            time.sleep(0.01)
        assert link.stats["failed_connections"] > 0
        assert link.read(0.0) is None
