"""What does a live link cost? Processor time and latency, four drones of 200 messages a second each, over loopback.

python benchmarks/live.py [seconds]
"""

import multiprocessing
import socket
import statistics
import sys
import time

import numpy as np
from pymavlink.dialects.v20 import all as mavlink
from timing import versions

from dronetrack.live import open_telemetry

DRONES, RATE_HZ = 4, 200


def fly(port, seconds, late):
    """Send from a process of its own; the drone's time in each message is when it was sent."""
    links = [mavlink.MAVLink(None, srcSystem=1 + number, srcComponent=1) for number in range(DRONES)]
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in links]
    for one in sockets:
        one.connect(("127.0.0.1", port))
    start = time.monotonic()
    for number in range(int(seconds * RATE_HZ)):
        for which, (link, out) in enumerate(zip(links, sockets, strict=True)):
            due = start + (number + which / DRONES) / RATE_HZ
            time.sleep(max(due - time.monotonic(), 0.0))
            late.value = max(late.value, time.monotonic() - due)
            sent_us = time.monotonic_ns() // 1000
            out.send(mavlink.MAVLink_attitude_quaternion_message(
                0, 1.0, 0.0, 0.0, 0.0, *np.array([sent_us], dtype="<u8").view("<f4"), 1.1).pack(link))  # fmt: skip
            link.seq = (link.seq + 1) % 256


def main(seconds):
    late = multiprocessing.Value("d", 0.0)
    delays = []
    with open_telemetry("udpin:127.0.0.1:0") as link:
        drones = multiprocessing.Process(target=fly, args=(link.port, seconds, late))
        drones.start()
        batches = 0
        spent = None
        until = time.monotonic() + seconds + 3.0
        heard = 0
        while time.monotonic() < until and heard < int(seconds * RATE_HZ) * DRONES:
            batch = link.read(0.5)
            if batch is None:
                continue
            heard += len(batch)
            now_us = time.monotonic_ns() // 1000
            # The first second compiles and warms up.
            if spent is None and batches > 100:
                spent, first = time.process_time(), time.monotonic()
                delays.clear()
            values, _ = batch.columns("ATTITUDE_QUATERNION")
            sent_us = np.ascontiguousarray(np.column_stack([values["rollspeed"], values["pitchspeed"]])).view("<u8")
            delays += (now_us - sent_us.ravel().astype(np.int64)).tolist()
            batches += 1
        used = (time.process_time() - spent) / (time.monotonic() - first)
        stats = link.stats
        drones.join()
    print(f"{DRONES} drones x {RATE_HZ} messages/s for {seconds:g} s  ({versions()})")
    print(f"frames {stats['frames']:,} of {int(seconds * RATE_HZ) * DRONES:,}, in {batches:,} batches")
    print(f"lost {stats['lost_frames']}, dropped {stats['dropped_frames'] + stats['dropped_datagrams']}")
    print(f"processor: {100 * used:.2f} % of a core, decoding and reading the columns of every batch included")
    ms = np.array(delays) * 1e-3
    print(f"latency from sendto to columns: median {statistics.median(ms):.2f} ms, 95 % {np.percentile(ms, 95):.2f} ms")
    print(f"the sender itself was up to {1000 * late.value:.1f} ms behind its schedule")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
