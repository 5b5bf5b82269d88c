"""How long does registration take, and how near does it come? The recorded exercise, and an hour made of six of it.

The floor is what a user would do without it: read the same logs into sightings, uncorrected. What was simulated around
the autopilots serves to score only: an estimate may be two of its stated standard deviations off.
"""

import json
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np

from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload
from dronetrack.mavlink import read_telemetry
from dronetrack.mission import Mission, read_mission
from dronetrack.registration import Registration, register
from dronetrack.sensing import sightings
from dronetrack.telemetry import Telemetry

RECORDED, SERVO = "recorded/joint_exercise_a", "sitl/{}.tlog"
OURS, SIDES = "dronetrack.register", ("HU-D1", "RO-D1")
FLIGHTS = {
    "sitl_run1, a servo mount whose flags lie": "sitl_run1_copter_rover_border",
    "sitl_run2, a servo mount whose flags lie": "sitl_run2_copter_rover_border_servo_mount_camfov",
}


def repeated(drone: Telemetry, times: int) -> Telemetry:
    """Return the same log several times in a row: the drone hops back between, which no sighting sees."""
    span = max(int(drone.position.time_us[-1]), int(drone.gimbal.time_us[-1])) - int(drone.position.time_us[0])
    span += 60_000_000
    tables = {}
    for name in ("position", "attitude", "gimbal", "image_target"):
        one = getattr(drone, name)
        columns = {}
        for column in fields(one):
            values = getattr(one, column.name)
            shift = [span * number if column.name in ("time_us", "receive_us") else 0 for number in range(times)]
            columns[column.name] = np.concatenate([values + np.asarray(s, dtype=values.dtype) for s in shift])
        tables[name] = type(one)(**columns)
    return replace(drone, **tables)


def _cases(setting: Setting) -> Iterator[Case]:
    folder = setting.file(RECORDED)
    if folder is None or setting.quick:
        return
    mission = read_mission(folder / "mission.toml")
    drones = [read_telemetry(one.log, one.system_id, name=one.id) for one in mission.drones]
    found = register(drones, terrain=mission.terrain)
    camera = json.loads((folder / "scenario.json").read_text())["camera"]
    rows = sum(len(one.image_target) for one in drones)
    hour = [repeated(one, 6) for one in drones]
    plain = Job(lambda: [sightings(one, terrain=mission.terrain) for one in drones], rows, "limit")
    jobs = {
        OURS: Job(
            lambda: register(drones, terrain=mission.terrain), rows, "ours", accuracy=_off(mission, found, camera)
        ),
        "dronetrack.register, frames given": Job(
            lambda: register(drones, terrain=mission.terrain, gimbal_frame="levelled"), rows, "ours"
        ),
        "limit: sightings, uncorrected": plain,
    }
    yield Case("recorded exercise", jobs)
    longer = Job(lambda: register(hour, terrain=mission.terrain), 6 * rows, "ours")
    for name, log in FLIGHTS.items():
        path = setting.file(SERVO.format(log))
        if path is not None:
            yield Case(name, figures={"body_frame_probability": _body_probability(path)})
    yield Case("an hour", {OURS: longer, "limit: sightings, uncorrected": plain})


def _body_probability(path: pathlib.Path) -> float:
    """How sure registration is, without a cooperative unit, that the mount turns with the body."""
    (found,) = register([read_telemetry(path, 1, name="D1")], terrain=84.0)
    return found.frame_probability["body"]


def _off(mission: Mission, found: Sequence[Registration], camera: dict) -> dict[str, float]:
    """Say how many standard deviations the estimates are off the truth; the latency there is an even jitter's mean."""
    off = {}
    for entry, one in zip(mission.drones, found, strict=True):
        yaw, pitch = camera["boresight_yaw_pitch_deg"][entry.authority]
        off[f"{entry.id}_yaw_off_std"] = (one.yaw_deg - yaw) / one.yaw_std_deg
        off[f"{entry.id}_pitch_off_std"] = (one.pitch_deg - pitch) / one.pitch_std_deg
        # The log's own clock is known to so much only, and the image's delay is found on it.
        std_s = np.hypot(one.latency_std_s, one.stats["clock_std_s"])
        off[f"{entry.id}_latency_off_std"] = (one.latency_s - np.mean(camera["latency_s"][entry.authority])) / std_s
    return off


WORKLOAD = Workload(
    "registration",
    "How long does it take to find out what is wrong with the cameras, and how near does it come?",
    "rows/s",
    _cases,
    goals=(
        *(
            Goal("recorded exercise", "figure", f"{side}_{what}_off_std", at_least=-2.0, at_most=2.0)
            for side in SIDES
            for what in ("latency", "yaw", "pitch")
        ),
        *(Goal(name, "figure", "body_frame_probability", at_least=0.95) for name in FLIGHTS),
    ),
)
