"""How long does registration take, and how near does it come? Recording A and an hour made of six of it.

python benchmarks/registration.py SHARED_DATA

The baseline is what a user would do without it: read the same logs into sightings, uncorrected.
"""

import json
import pathlib
import sys
from dataclasses import fields, replace

import numpy as np
from timing import in_turn, table, versions

from dronetrack.mavlink import read_telemetry
from dronetrack.mission import read_mission
from dronetrack.registration import register
from dronetrack.sensing import sightings


def repeated(drone, times):
    """The same log several times in a row: the drone hops back between, which no sighting sees."""
    tables = {}
    span = max(int(drone.position.time_us[-1]), int(drone.gimbal.time_us[-1])) - int(drone.position.time_us[0])
    span += 60_000_000
    for name in ("position", "attitude", "gimbal", "image_target"):
        one = getattr(drone, name)
        columns = {}
        for column in fields(one):
            values = getattr(one, column.name)
            shift = [span * number if column.name in ("time_us", "receive_us") else 0 for number in range(times)]
            columns[column.name] = np.concatenate([values + np.asarray(s, dtype=values.dtype) for s in shift])
        tables[name] = type(one)(**columns)
    return replace(drone, **tables)


def main():
    folder = pathlib.Path(sys.argv[1]) / "recorded" / "joint_exercise_a"
    mission = read_mission(folder / "mission.toml")
    camera = json.loads((folder / "scenario.json").read_text())["camera"]
    drones = [read_telemetry(one.log, one.system_id, name=one.id) for one in mission.drones]
    hour = [repeated(one, 6) for one in drones]
    seconds = in_turn(
        {
            "register, recording A": lambda: register(drones, terrain=mission.terrain),
            "register, frames given": lambda: register(drones, terrain=mission.terrain, gimbal_frame="levelled"),
            "register, an hour": lambda: register(hour, terrain=mission.terrain),
            "baseline: sightings of A": lambda: [sightings(one, terrain=mission.terrain) for one in drones],
        },
        rounds=3,
    )
    rows = float(sum(len(one.image_target) for one in drones))
    amount = {name: rows * (6.0 if "hour" in name else 1.0) for name in seconds}
    print(versions())
    table(seconds, amount, "rows/s", "register, recording A")
    for entry, one in zip(mission.drones, register(drones, terrain=mission.terrain), strict=True):
        yaw, pitch = camera["boresight_yaw_pitch_deg"][entry.authority]
        print(one)
        print(
            f"  yaw {(one.yaw_deg - yaw) / one.yaw_std_deg:+.1f} sd, "
            f"pitch {(one.pitch_deg - pitch) / one.pitch_std_deg:+.1f} sd off the truth, latency "
            f"{1e3 * (one.latency_s - np.mean(camera['latency_s'][entry.authority])):+.0f} ms on the log's clock"
        )


if __name__ == "__main__":
    main()
