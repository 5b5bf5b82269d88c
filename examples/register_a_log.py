"""Find out what is wrong with the cameras of a mission, from its logs alone, and put it right.

    python examples/register_a_log.py [mission.toml]

Boresight, heading and latency of each drone with their standard deviations, and the frame in which its gimbal
reports with its probability. What the data do not tell keeps the standard deviation that it had before.
"""

import importlib.resources
import sys

from dronetrack.mavlink import read_telemetry
from dronetrack.mission import read_mission
from dronetrack.registration import register
from dronetrack.sensing import sightings

demo = importlib.resources.files("dronetrack") / "data" / "demo" / "mission.toml"
mission = read_mission(sys.argv[1] if len(sys.argv) > 1 else str(demo))
drones = [read_telemetry(one.log, one.system_id, name=one.id) for one in mission.drones]

for drone, found in zip(drones, register(drones, terrain=mission.terrain), strict=True):
    print(found)
    lines = sightings(drone, terrain=mission.terrain, correction=found.correction)
    print(f"  {len(lines)} rows of sightings, put right")
