"""Two centres follow one target over a border: both see it for a while, then one hands it over to the other.

python examples/two_centres.py

The packaged recording is split by authority, as if Budapest and Bucharest ran a tracker each. While both see the target
their tracks are fused without counting anything twice. Ten seconds after the crossing the Hungarian side signs a
package, seals it for the Romanian side, and stops; there the track goes on under the same identity, without a jump.
"""

import importlib.resources

import numpy as np

import dronetrack as dt
from dronetrack.fusion import fuse_tracks
from dronetrack.handover import (
    Contribution,
    Package,
    new_key,
    new_sealing_key,
    open_sealed,
    pack,
    seal,
    unpack,
)
from dronetrack.tracker import Tracker

OPERATION = "joint exercise A"
demo = importlib.resources.files("dronetrack") / "data" / "demo" / "mission.toml"
whole = dt.fuse(str(demo))
rows, crossing = whole.measurements, next(iter(whole.crossings))
crossed_us = int(crossing.time.astype(np.int64))


def rows_of(authority: str) -> dt.Measurements:
    """Rows of one side's sensors, and what the terrain says at their moments."""
    owner = np.array([sensor.authority for sensor in rows.sensors])[rows.sensor_id]
    mine = owner == authority
    return rows.take(mine | ((owner == "") & np.isin(rows.time_us, rows.time_us[mine])))


# Each side follows by itself, until ten seconds after the crossing.
hu_rows, ro_rows = rows_of("HU"), rows_of("RO")
end_us = crossed_us + 10_000_000
budapest, bucharest = Tracker(), Tracker()
hu_track = [budapest.update(hu_rows.take(hu_rows.time_us <= end_us)), budapest.provisional()]
ro_track = [bucharest.update(ro_rows.take(ro_rows.time_us <= end_us)), bucharest.provisional()]

# Joint phase: the last rows of both, fused.
joint = fuse_tracks(hu_track[1], ro_track[1])
apart_m = np.linalg.norm((hu_track[1].at(joint.time_us).state - ro_track[1].at(joint.time_us).state)[:, :3], axis=1)
print(f"joint: {len(joint)} rows, the two tracks {np.median(apart_m):.1f} m apart on the median")
for name, one in (("HU", hu_track[1].at(joint.time_us)), ("RO", ro_track[1].at(joint.time_us)), ("both", joint)):
    print(f"  {name:4s} 95 % ellipse {one.ellipse_m[-1, 0]:5.1f} m by {one.ellipse_m[-1, 1]:5.1f} m")

# Budapest hands over.
hu_key, ro_sealing_key = new_key(), new_sealing_key()
belief = budapest.belief()
accepted = {name: one["accepted"] for name, one in budapest.stats["sensors"].items()}
package = Package(
    operation=OPERATION,
    issuer="HU",
    recipient="RO",
    serial=1,
    issued_us=belief.time_us,
    valid_until_us=belief.time_us + 60_000_000,
    belief=belief,
    history=budapest.provisional().take(slice(-60, None)),
    registrations=tuple(whole.registrations.values()),
    contributions=tuple(
        Contribution(sensor.name, sensor.authority, accepted[sensor.name]) for sensor in belief.sensors
    ),
    crossing=crossing,
    legal_basis="Schengen Convention, Article 40(1)",
)
message = seal(pack(package, hu_key), ro_sealing_key.public_key())

# Bucharest takes over: the same identity, the same belief, its own sensors.
came = unpack(
    open_sealed(message, ro_sealing_key),
    trusted={"HU": hu_key.public_key()},
    operation=OPERATION,
    recipient="RO",
    time_us=belief.time_us + 2_000_000,
)
bucharest = Tracker.continued(came.belief)
jump_m = np.linalg.norm(bucharest.now().state[0, :3] - budapest.now().state[0, :3])
track = [bucharest.update(ro_rows.take(ro_rows.time_us > end_us)), bucharest.flush()]
gap_s = max(np.diff(part.time_us).max(initial=0) for part in track) * 1e-6
print(f"\n{came.name}: {len(message)} bytes, {len(came.history)} rows of history; {came.legal_basis}")
print(f"track {came.track_id} goes on with a jump of {jump_m:.1f} m and no gap longer than {gap_s:.1f} s")
