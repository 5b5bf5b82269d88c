"""What does a live link cost? Processor time and latency: four drones of 200 messages a second each, over loopback.

The drones fly in a process of their own, and write into each message when it was sent.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from dronetrack.bench.profiling import busiest
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
    yield Case(
        "four drones, 200 messages/s each", figures=_listen(setting.size(20, 4)), causes={"core_share": _reading}
    )


def _reading() -> dict[str, Any]:
    """Profile who listens, for four seconds."""
    return {"words": "", "top": busiest(lambda: _listen(4.0))}


def _listen(seconds: float) -> dict[str, float]:
    program = f"from dronetrack.bench.workloads.live import fly; fly({{}}, {seconds})"
    came: list[tuple[int, np.ndarray]] = []
    heard, wanted = 0, int(seconds * RATE_HZ) * DRONES
    used = wall = 0.0
    with open_telemetry("udpin:127.0.0.1:0") as link:
        command = [sys.executable, "-c", program.format(link.port)]
        with subprocess.Popen(command) as drones:  # noqa: S603 - ourselves
            until = time.monotonic() + seconds + PATIENCE_S
            while time.monotonic() < until and heard < wanted:
                batch = link.read(0.5)
                if batch is None:
                    continue
                values, _ = batch.columns("ATTITUDE_QUATERNION")
                came.append((time.monotonic_ns() // 1000, values))
                heard += len(batch)
                if len(came) == SETTLED_BATCHES:  # before, it compiled and warmed up
                    used, wall = time.process_time(), time.monotonic()
            used, wall = time.process_time() - used, time.monotonic() - wall
            drones.wait()
    delays_ms = 1e-3 * np.concatenate([now_us - _sent_us(values) for now_us, values in came[SETTLED_BATCHES:]])
    return {
        "core_share": used / wall,
        "core_share_per_drone": used / wall / DRONES,
        "latency_median_ms": float(np.median(delays_ms)),
        "latency_95_ms": float(np.percentile(delays_ms, 95)),
        "lost_share": 1.0 - heard / wanted,
    }


def _sent_us(values: np.ndarray) -> np.ndarray:
    halves = np.column_stack([values["rollspeed"], values["pitchspeed"]])
    return np.ascontiguousarray(halves).view("<u8").ravel().astype(np.int64)


WORKLOAD = Workload(
    "live",
    "What does a live link of four drones cost, and how late is a message when its columns are there?",
    "messages/s",
    _cases,
    goals=(
        Goal(
            "four drones, 200 messages/s each",
            "figure",
            "core_share",
            at_most=0.03,
            why="A third is to wake 108 times a second and take 7 datagrams in one call; the rest is to decode them in "
            "code that has left the caches while it slept, which beside busy neighbours costs half as much again.",
        ),
        Goal("four drones, 200 messages/s each", "figure", "core_share_per_drone", at_most=0.03),
        Goal("four drones, 200 messages/s each", "figure", "latency_median_ms", at_most=5.0),
        Goal("four drones, 200 messages/s each", "figure", "lost_share", at_most=0.0),
    ),
)
