"""Real peers stream to a link on loopback and lose nothing: MAVSDK and MAVProxy, where they are installed.

``pip install dronetrack[live-test]``, or name another Python that has them in ``DRONETRACK_PEERS_PYTHON``.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from pymavlink.dialects.v20 import all as mavlink

from dronetrack.live import open_telemetry
from dronetrack.live.link import _heartbeat
from dronetrack.mavlink import join_frames, read_telemetry

pytestmark = pytest.mark.live

PYTHON = os.environ.get("DRONETRACK_PEERS_PYTHON", sys.executable)
PATIENCE_S = 60.0
POSITIONS = 200

MAVSDK_VEHICLE = """
import sys, time
from mavsdk import ComponentType, Configuration, Mavsdk
from mavsdk.plugins.telemetry_server.telemetry_server import Heading, Position, TelemetryServer, VelocityNed
vehicle = Mavsdk(Configuration.create_with_component_type(ComponentType.AUTOPILOT))
vehicle.add_any_connection("udpout://127.0.0.1:" + sys.argv[1])
server = TelemetryServer(vehicle.server_component())
sent = 0
while sent < int(sys.argv[2]):
    time.sleep(0.01)
    try:
        where = Position(46.2 + 1e-6 * sent, 20.7, 190.0, 100.0)
        server.publish_position(where, VelocityNed(1.0, 2.0, 3.0), Heading(45.0))
        sent += 1
    except Exception:
        time.sleep(0.1)  # nobody was heard yet
time.sleep(1.0)
"""


def has(module):
    return subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def hear(link, name, wanted, *, meanwhile):
    """Batches until so many messages of one name came."""
    batches, found, until = [], 0, time.monotonic() + PATIENCE_S
    while found < wanted and time.monotonic() < until:
        meanwhile()
        batch = link.read(0.2)
        if batch is not None:
            batches.append(batch)
            found += len(batch.columns(name)[0])
    return join_frames(batches)


def test_a_mavsdk_vehicle_is_heard_without_loss(tmp_path):
    if not has("mavsdk"):
        pytest.skip("MAVSDK is not installed")
    with open_telemetry("udpin:127.0.0.1:0", record=tmp_path / "mavsdk.tlog") as link:
        peer = subprocess.Popen([PYTHON, "-c", MAVSDK_VEHICLE, str(link.port), str(POSITIONS)])
        try:
            heard = hear(link, "GLOBAL_POSITION_INT", POSITIONS, meanwhile=lambda: link.write(_heartbeat()))
        finally:
            peer.kill()
            peer.wait()
        stats = link.stats
    lat = heard.columns("GLOBAL_POSITION_INT")[0]["lat"]
    np.testing.assert_allclose(lat * 1e-7, 46.2 + 1e-6 * np.arange(POSITIONS), atol=2e-7)
    assert stats["lost_frames"] == stats["skipped_bytes"] == stats["dropped_frames"] == 0
    assert len(read_telemetry(tmp_path / "mavsdk.tlog").position) == POSITIONS


def test_what_mavproxy_forwards_is_heard_without_loss(tmp_path):
    program = pathlib.Path(PYTHON).parent / "mavproxy.py"
    if not program.exists():
        pytest.skip("MAVProxy is not installed")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    vehicle = mavlink.MAVLink(None, srcSystem=1, srcComponent=1)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    state = {"sent": 0, "heard": False}

    def send(message):
        sender.sendto(message.pack(vehicle), ("127.0.0.1", port))
        vehicle.seq = (vehicle.seq + 1) % 256

    def fly():
        send(mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3))
        if link.stats["frames"]:
            for _ in range(20):
                if state["sent"] < POSITIONS:
                    number = state["sent"]
                    send(mavlink.MAVLink_attitude_message(number, 0.0, 0.0, 0.001 * number, 0.0, 0.0, 1.1))
                    state["sent"] += 1

    with open_telemetry("udpin:127.0.0.1:0") as link, sender:
        command = [str(program), f"--master=udpin:127.0.0.1:{port}", f"--out=udp:127.0.0.1:{link.port}", "--daemon"]
        peer = subprocess.Popen(
            [*command, "--non-interactive", "--state-basedir", str(tmp_path)], cwd=tmp_path, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            heard = hear(link, "ATTITUDE", POSITIONS, meanwhile=fly)
        finally:
            os.killpg(peer.pid, signal.SIGKILL)
            peer.wait()
        stats = link.stats
    assert heard.columns("ATTITUDE", 1)[0]["time_boot_ms"].tolist() == list(range(POSITIONS))
    assert stats["lost_by_source"]["1/1"] == stats["skipped_bytes"] == stats["dropped_frames"] == 0
