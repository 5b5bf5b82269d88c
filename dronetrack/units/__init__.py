"""What did the ground units report? GPX, NMEA 0183, Cursor-on-Target, CSV and GeoParquet become `UnitReports`."""

from dronetrack.units.reader import read_units
from dronetrack.units.reports import NO_CONTACT, SEES_TARGET, UnitReports, from_telemetry

__all__ = ["NO_CONTACT", "SEES_TARGET", "UnitReports", "from_telemetry", "read_units"]
