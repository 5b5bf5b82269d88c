"""A live link gives the frames that were sent, stamps and records them, and says what it lost. Loopback only."""

import hashlib
import pathlib
import socket
import threading
import time

import numpy as np
import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import all as mavlink

from dronetrack.errors import FormatError, InputError
from dronetrack.live import open_telemetry, peers
from dronetrack.mavlink.frames import join_frames, read_frames

START_US = 1_795_470_000_000_000
PATIENCE_S = 60.0  # kernels may have to be compiled first, on a busy machine


class Drone:
    """A vehicle that sends attitudes over UDP."""

    def __init__(self, port, system=1):
        self.link = mavlink.MAVLink(None, srcSystem=system, srcComponent=1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))

    def frame(self, number):
        frame = mavlink.MAVLink_attitude_message(number, 0.0, 0.0, 0.001 * number, 0.0, 0.0, 1.1).pack(self.link)
        self.link.seq = (self.link.seq + 1) % 256
        return frame

    def send(self, number):
        self.socket.send(self.frame(number))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.fixture(params=["many at once", "one by one"])
def datagrams(request, monkeypatch):
    """Both ways in which datagrams are taken; not every system has the first."""
    if request.param == "one by one":
        monkeypatch.setattr(peers, "RECVMMSG", None)
    elif peers.RECVMMSG is None:
        pytest.skip("this system has no recvmmsg")


def hear(link, wanted):
    """Batches until so many frames came."""
    batches, until = [], time.monotonic() + PATIENCE_S
    while sum(map(len, batches)) < wanted and time.monotonic() < until:
        batch = link.read(0.2)
        if batch is not None:
            batches.append(batch)
    return batches


def boot_ms(batches, system=None):
    return join_frames(batches).columns("ATTITUDE", system)[0]["time_boot_ms"].tolist()


@pytest.mark.usefixtures("datagrams")
def test_every_frame_of_several_drones_is_heard_once_and_in_order():
    with open_telemetry("udpin:127.0.0.1:0") as link, Drone(link.port, 1) as one, Drone(link.port, 2) as two:
        for number in range(300):
            one.send(number)
            two.send(1000 + number)
        batches = hear(link, 600)
    assert boot_ms(batches, 1) == list(range(300))
    assert boot_ms(batches, 2) == list(range(1000, 1300))
    assert link.stats["lost_by_source"] == {"1/1": 0, "2/1": 0}
    assert link.stats["dropped_frames"] == link.stats["dropped_datagrams"] == 0


@pytest.mark.usefixtures("datagrams")
def test_frames_cut_over_datagrams_are_put_together_for_each_sender():
    with open_telemetry("udpin:127.0.0.1:0") as link, Drone(link.port, 1) as one, Drone(link.port, 2) as two:
        for number in range(20):
            halves = [(one, one.frame(number)), (two, two.frame(number))]
            for part in (slice(None, 17), slice(17, None)):
                for drone, frame in halves:
                    drone.socket.send(frame[part])
        batches = hear(link, 40)
        stats = link.stats
    assert boot_ms(batches, 1) == boot_ms(batches, 2) == list(range(20))
    assert stats["skipped_bytes"] == 0


@pytest.mark.usefixtures("datagrams")
def test_a_datagram_may_hold_as_many_frames_as_fit():
    with open_telemetry("udpin:127.0.0.1:0") as link, Drone(link.port) as drone:
        whole = b"".join(drone.frame(number) for number in range(1500))
        drone.socket.send(whole)
        batches = hear(link, 1500)
        stats = link.stats
    assert boot_ms(batches) == list(range(1500))
    assert stats["received_bytes"] == len(whole) > 50_000


@pytest.mark.usefixtures("datagrams")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_was_heard_last_is_answered(family, host):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        try:
            one.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        one.settimeout(PATIENCE_S)
        with open_telemetry(f"udpin:{host}:0") as link:
            link.write(b"nobody is there yet")
            frame = mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(mavlink.MAVLink(None))
            one.sendto(frame, (host, link.port))
            assert len(hear(link, 1)) == 1
            link.write(frame)
            assert one.recvfrom(1000) == (frame, (host, link.port, 0, 0)[: 4 if family == socket.AF_INET6 else 2])


def test_who_asks_reads_the_link_and_while_nobody_does_its_thread_stands_in():
    readers = []

    def clock():
        readers.append(threading.current_thread() is threading.main_thread())
        return time.monotonic_ns() // 1000

    def fly():
        for _ in range(400):
            drone.send(time.monotonic_ns() // 1_000_000)
            time.sleep(0.002)

    with open_telemetry("udpin:127.0.0.1:0", now_us=clock) as link, Drone(link.port) as drone:
        thread = threading.Thread(target=fly)
        thread.start()
        batches = hear(link, 100)
        prompt, n = readers[-5:], len(readers)
        time.sleep(0.3)
        while_away = readers[n:]
        batches += hear(link, 400 - sum(map(len, batches)))
        back = readers[-3:]
        thread.join()
    together = join_frames(batches)
    late_ms = 1e-3 * together.receive_us - together.columns("ATTITUDE")[0]["time_boot_ms"]
    assert len(together) == 400
    assert all(prompt)
    assert len(while_away) > 10
    assert not any(while_away)
    assert all(back)
    assert np.median(late_ms) < 20.0
    assert late_ms.max() < 250.0  # it slept for 300, on a machine that may be busy


@pytest.mark.usefixtures("datagrams")
def test_what_came_before_the_end_is_heard_after_it():
    with open_telemetry("udpin:127.0.0.1:0") as link, Drone(link.port) as drone:
        drone.send(1)
        hear(link, 1)
        for number in range(2, 200):
            drone.send(number)
        link.close()
        assert boot_ms(list(link)) == list(range(2, 200))


def test_the_receivers_clock_may_be_given():
    with open_telemetry("udpin:127.0.0.1:0", now_us=lambda: START_US) as link, Drone(link.port) as drone:
        drone.send(1)
        (batch,) = hear(link, 1)
    assert batch.receive_us.tolist() == [START_US]


def test_a_recording_is_a_log_that_pymavlink_reads(tmp_path):
    path = tmp_path / "today.tlog"
    with open_telemetry("udpin:127.0.0.1:0", record=path) as link, Drone(link.port) as drone:
        before_us = time.time_ns() // 1000
        for number in range(100):
            drone.send(number)
        heard = join_frames(hear(link, 100))
    theirs = mavutil.mavlink_connection(str(path), dialect="all")
    stamps, numbers = [], []
    while (message := theirs.recv_msg()) is not None:
        numbers.append(message.time_boot_ms)
        stamps.append(round(message._timestamp * 1e6))
    theirs.close()
    assert numbers == list(range(100))
    assert stamps == heard.receive_us.tolist()
    assert before_us <= stamps[0] <= stamps[-1] <= time.time_ns() // 1000
    assert read_frames(path).to_tlog() == path.read_bytes()


def test_a_slow_reader_loses_batches_that_are_counted_and_recorded(tmp_path):
    path = tmp_path / "all.tlog"
    with open_telemetry("udpin:127.0.0.1:0", record=path, most_waiting=50) as link, Drone(link.port) as drone:
        for number in range(400):
            drone.send(number)
            time.sleep(0.0005)
        until = time.monotonic() + PATIENCE_S
        while link.stats["frames"] < 400 and time.monotonic() < until:
            time.sleep(0.01)
        got = boot_ms(hear(link, 400 - link.stats["dropped_frames"]))
        stats = link.stats
    assert stats["dropped_frames"] > 0
    assert len(got) + stats["dropped_frames"] == 400
    assert got == list(range(400 - len(got), 400))  # the newest are kept
    assert len(read_frames(path)) == 400


def test_a_lost_connection_is_taken_up_again():
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    drone = mavlink.MAVLink(None, srcSystem=1, srcComponent=1)

    def serve():
        for first in (0, 10):
            peer, _ = server.accept()
            for number in range(first, first + 10):
                frame = mavlink.MAVLink_attitude_message(number, 0.0, 0.0, 0.0, 0.0, 0.0, 1.1).pack(drone)
                drone.seq += 1
                peer.sendall(frame[:11])
                peer.sendall(frame[11:])
            peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with open_telemetry(f"tcp:127.0.0.1:{port}") as link:
        batches = hear(link, 20)
        stats = link.stats
    thread.join()
    server.close()
    assert boot_ms(batches) == list(range(20))
    assert stats["connections"] >= 2


def test_a_peer_that_is_not_there_yet_is_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with open_telemetry(f"tcp:127.0.0.1:{port}") as link:
        until = time.monotonic() + PATIENCE_S
        while not link.stats["failed_connections"] and time.monotonic() < until:
            time.sleep(0.01)
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(PATIENCE_S)
            peer, _ = server.accept()
            with peer:
                peer.sendall(mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(mavlink.MAVLink(None)))
                assert len(hear(link, 1)) == 1
    assert link.stats["failed_connections"] >= 1


def test_who_is_called_hears_a_ground_station_and_answers():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(PATIENCE_S)
        with open_telemetry(f"udpout:127.0.0.1:{server.getsockname()[1]}") as link:
            call, caller = server.recvfrom(1000)
            (station,) = mavlink.MAVLink(None).parse_buffer(call)
            assert (station.get_type(), station.type) == ("HEARTBEAT", mavlink.MAV_TYPE_GCS)
            server.sendto(mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(mavlink.MAVLink(None)), caller)
            assert len(hear(link, 1)) == 1
            link.write(call)
            while server.recvfrom(1000)[0] != call:
                pass


def test_only_signed_frames_are_heard_where_signatures_are_required():
    with open_telemetry("udpin:127.0.0.1:0", key="secret") as link, Drone(link.port) as drone:
        drone.send(1)
        drone.link.signing.secret_key = hashlib.sha256(b"secret").digest()
        drone.link.signing.sign_outgoing, drone.link.signing.link_id = True, 1
        drone.send(2)
        batches = hear(link, 1)
    assert boot_ms(batches) == [2]
    assert (link.stats["signed_frames"], link.stats["unsigned_frames"]) == (1, 1)


def test_a_closed_link_ends_the_loop():
    link = open_telemetry("udpin:127.0.0.1:0")
    with Drone(link.port) as drone:
        drone.send(5)
        seen = []
        for batch in link:
            seen.append(batch)
            link.close()
    assert boot_ms(seen) == [5]
    assert link.read(0.0) is None


def test_rubbish_on_the_port_is_counted_and_does_no_harm():
    with open_telemetry("udpin:127.0.0.1:0") as link, Drone(link.port) as drone:
        drone.socket.send(b"")
        drone.socket.send(b"GET / HTTP/1.1\r\n\r\n")
        drone.socket.send(bytes(np.arange(256, dtype=np.uint8)))
        drone.send(3)
        for _ in range(12):  # what looked like a long frame ends only after as many bytes
            drone.send(4)
        assert boot_ms(hear(link, 13))[0] == 3
        assert link.stats["skipped_bytes"] == 18 + 256


@pytest.mark.parametrize("address", ["udp:1", "udpin:127.0.0.1", "tcp::5760", "udpin:0.0.0.0:99999", "file.tlog", ""])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="a link is udpin:HOST:PORT"):
        open_telemetry(address)


def test_a_port_in_use_is_refused():
    with open_telemetry("udpin:127.0.0.1:0") as link, pytest.raises(FormatError, match="is it in use"):
        open_telemetry(f"udpin:127.0.0.1:{link.port}")


def test_a_recording_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(FormatError, match="cannot be written"):
        open_telemetry("udpin:127.0.0.1:0", record=tmp_path / "nowhere" / "x.tlog")


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_full_disk_is_told_to_who_reads_and_not_taken_for_a_lost_link():
    with open_telemetry("udpin:127.0.0.1:0", record="/dev/full") as link, Drone(link.port) as drone:
        drone.send(1)
        with pytest.raises(OSError, match="No space left"):
            hear(link, 1)
        assert link.stats["connections"] == 1
