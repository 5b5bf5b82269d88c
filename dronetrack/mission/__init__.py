"""What was this mission, and what came of it? The mission file, and the run of it.

A mission is one TOML file. Every key:

=================  =========================================================================================
``[mission]``
``name``           what to call it
``border``         two country codes, home first, such as ``["HU", "RO"]``; optional
``terrain_msl_m``  ground height above sea level [m]; or
``terrain``        an elevation grid (.hgt, .tif), path relative to the mission file
``[[drone]]``      one for each drone
``id``             unique name
``authority``      who operates it, such as ``"HU"``
``log``            its log (.tlog), path relative to the mission file
``system_id``      which vehicle, where the log holds several; optional
``gimbal_frame``   ``"auto"`` (default), ``"levelled"``, ``"body"``, ``"earth"``, ``"body_quaternion"``
``latency_s``      ``"auto"`` (default) or seconds from image to message
``[[unit]]``       one for each ground unit; optional
``id``             unique name
``authority``      whose unit it is
``log``            its reports (.gpx, .nmea, .xml, .csv, .parquet, .tlog), path relative to the mission file
``standoff_m``     two distances [m] at which it follows the target; without them it says nothing about the target
``unit``           its name inside a file of several units; optional
``system_id``      which vehicle of a .tlog; optional
=================  =========================================================================================

A key that is not in this table is refused by name and line.

With ``[operation]`` it is an operation across the border, with ``[agreement]``, ``[[authority]]``, ``[[zone]]``,
``[[private]]``, ``[[authorisation]]`` and ``[[act]]``; those keys stand in `dronetrack.handover.mandate`. What is then
fused is what the operation permits, and a journal proves it. Without it everything is fused, and custody follows the
side of the border.
"""

from dronetrack.mission.file import DroneEntry, Mission, UnitEntry, read_mission
from dronetrack.mission.run import Fusion, Progress, fuse

__all__ = ["DroneEntry", "Fusion", "Mission", "Progress", "UnitEntry", "fuse", "read_mission"]
