"""Find out in which frame a gimbal reports, with a unit in view whose place is known.

    python examples/servo_mount.py flight.tlog DRONE_SYSTEM_ID UNIT_SYSTEM_ID

Servo mounts are known to lie about their frame. A cooperative vehicle in the picture tells: `check_gimbal_frame`
compares where the camera looks, in every frame, with the direction to it.
"""

import sys

import dronetrack as dt

if len(sys.argv) != 4:
    sys.exit(__doc__)
log, drone_id, unit_id = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
drone = dt.read_telemetry(log, drone_id, name="drone")
unit = dt.read_units(log, system_id=unit_id, unit="unit")

check = dt.check_gimbal_frame(drone, unit)
print(check.get("warning", "the frame that the flags state agrees with where the unit is"))
for frame, angle_deg in check.get("median_angle_deg", {}).items():
    print(f"  {frame:9s} the camera looks {angle_deg:5.1f} deg past the unit, on the median")
