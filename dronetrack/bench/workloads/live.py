"""What does a live link cost? Processor time and latency: four drones of 200 messages a second each, over loopback.

The drones fly in a process of their own, and write into each message when it was sent.
"""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from dronetrack.bench.workload import Case, Goal, Setting, Workload
from dronetrack.live import open_telemetry

DRONES, RATE_HZ, SETTLED_BATCHES, PATIENCE_S = 4, 200, 100, 5.0


def fly(port: int, seconds: float) -> None:
    """Send from all drones, on time; `sent_us` goes into two floats of ATTITUDE_QUATERNION.

    Parameters
    ----------
    port : int
        Where to, on this machine.
    seconds : float
        How long. [s]
    """
    from pymavlink.dialects.v20 import all as mavlink

    links = [mavlink.MAVLink(None, srcSystem=1 + number, srcComponent=1) for number in range(DRONES)]
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect(("127.0.0.1", port))
    start = time.monotonic()
    for number in range(int(seconds * RATE_HZ)):
        for which, link in enumerate(links):
            time.sleep(max(start + (number + which / DRONES) / RATE_HZ - time.monotonic(), 0.0))
            low, high = np.array([time.monotonic_ns() // 1000], dtype="<u8").view("<f4")
            message = mavlink.MAVLink_attitude_quaternion_message(0, 1.0, 0.0, 0.0, 0.0, low, high, 1.1)
            out.send(message.pack(link))
            link.seq = (link.seq + 1) % 256


def _cases(setting: Setting) -> Iterator[Case]:
    yield Case("four drones, 200 messages/s each", figures=_listen(setting.size(20, 4)))


def _listen(seconds: float) -> dict[str, float]:
    program = f"from dronetrack.bench.workloads.live import fly; fly({{}}, {seconds})"
    delays_us, heard, batches, wanted = [], 0, 0, int(seconds * RATE_HZ) * DRONES
    used = wall = 0.0
    with open_telemetry("udpin:127.0.0.1:0") as link:
        command = [sys.executable, "-c", program.format(link.port)]
        with subprocess.Popen(command) as drones:  # noqa: S603 - ourselves
            until = time.monotonic() + seconds + PATIENCE_S
            while time.monotonic() < until and heard < wanted:
                batch = link.read(0.5)
                if batch is None:
                    continue
                heard, batches = heard + len(batch), batches + 1
                now_us = time.monotonic_ns() // 1000
                values, _ = batch.columns("ATTITUDE_QUATERNION")
                sent = np.ascontiguousarray(np.column_stack([values["rollspeed"], values["pitchspeed"]])).view("<u8")
                if batches == SETTLED_BATCHES:  # before, it compiled and warmed up
                    used, wall = time.process_time(), time.monotonic()
                elif batches > SETTLED_BATCHES:
                    delays_us += (now_us - sent.ravel().astype(np.int64)).tolist()
            used, wall = time.process_time() - used, time.monotonic() - wall
            drones.wait()
    return {
        "core_share": used / wall,
        "core_share_per_drone": used / wall / DRONES,
        "latency_median_ms": 1e-3 * statistics.median(delays_us),
        "latency_95_ms": 1e-3 * float(np.percentile(delays_us, 95)),
        "lost_share": 1.0 - heard / wanted,
    }


WORKLOAD = Workload(
    "live",
    "What does a live link of four drones cost, and how late is a message when its columns are there?",
    "messages/s",
    _cases,
    goals=(
        Goal("four drones, 200 messages/s each", "figure", "core_share_per_drone", at_most=0.03),
        Goal("four drones, 200 messages/s each", "figure", "latency_median_ms", at_most=5.0),
        Goal("four drones, 200 messages/s each", "figure", "lost_share", at_most=0.0),
    ),
)
