"""dronetrack: one continuous, honest track from drone telemetry and ground units, across a border.

>>> import dronetrack as dt
>>> border = dt.Border.between("HU", "RO")
>>> border.host
'RO'
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> room. Rooms are imported on first use, so `import dronetrack` costs next to nothing.
_ROOMS = {
    "AlongRoad": "driving",
    "Benchmark": "leaderboard",
    "Border": "border",
    "CameraErrors": "sensing",
    "ConstantAcceleration": "motion",
    "ConstantVelocity": "motion",
    "CoordinatedTurn": "motion",
    "Correction": "sensing",
    "Crossing": "border",
    "Crossings": "border",
    "Decoder": "mavlink",
    "DivergedError": "errors",
    "DronetrackError": "errors",
    "Following": "handover",
    "FormatError": "errors",
    "Frames": "mavlink",
    "Fusion": "mission",
    "InputError": "errors",
    "Journal": "journal",
    "LinearBank": "bank",
    "Measurements": "measurements",
    "Mission": "mission",
    "Mixture": "motion",
    "NotAuthorisedError": "errors",
    "Operation": "handover",
    "OrderError": "errors",
    "Registration": "registration",
    "RoadGraph": "roads",
    "Route": "roads",
    "Sensor": "measurements",
    "Singer": "motion",
    "StopAndGo": "motion",
    "TargetBank": "bank",
    "Telemetry": "telemetry",
    "Terrain": "terrain",
    "Track": "tracks",
    "Tracker": "tracker",
    "Tracks": "tracks",
    "UnitReports": "units",
    "Watch": "border",
    "check_gimbal_frame": "sensing",
    "contacts": "sensing",
    "country_of": "border",
    "filter_sequence": "sequence",
    "from_filterpy": "bank",
    "fuse": "mission",
    "geo_targets": "sensing",
    "measurements_of": "measurements",
    "merge": "measurements",
    "open_telemetry": "live",
    "purge": "journal",
    "read_accesses": "journal",
    "read_batches": "mavlink",
    "read_journal": "journal",
    "read_log_info": "mavlink",
    "read_messages": "mavlink",
    "read_mission": "mission",
    "read_srt": "mavlink",
    "read_telemetry": "mavlink",
    "read_units": "units",
    "register": "registration",
    "register_to_places": "registration",
    "replay": "handover",
    "sightings": "sensing",
    "smooth": "smoothing",
    "track": "filtering",
    "track_on_road": "driving",
    "traffic": "mavlink",
    "verify_journal": "journal",
    "warm_up": "warm",
}

if TYPE_CHECKING:
    from dronetrack.bank import LinearBank as LinearBank
    from dronetrack.bank import TargetBank as TargetBank
    from dronetrack.bank import from_filterpy as from_filterpy
    from dronetrack.border import Border as Border
    from dronetrack.border import Crossing as Crossing
    from dronetrack.border import Crossings as Crossings
    from dronetrack.border import Watch as Watch
    from dronetrack.border import country_of as country_of
    from dronetrack.driving import AlongRoad as AlongRoad
    from dronetrack.driving import track_on_road as track_on_road
    from dronetrack.errors import DivergedError as DivergedError
    from dronetrack.errors import DronetrackError as DronetrackError
    from dronetrack.errors import FormatError as FormatError
    from dronetrack.errors import InputError as InputError
    from dronetrack.errors import NotAuthorisedError as NotAuthorisedError
    from dronetrack.errors import OrderError as OrderError
    from dronetrack.filtering import track as track
    from dronetrack.handover import Following as Following
    from dronetrack.handover import Operation as Operation
    from dronetrack.handover import replay as replay
    from dronetrack.journal import Journal as Journal
    from dronetrack.journal import purge as purge
    from dronetrack.journal import read_accesses as read_accesses
    from dronetrack.journal import read_journal as read_journal
    from dronetrack.journal import verify_journal as verify_journal
    from dronetrack.leaderboard import Benchmark as Benchmark
    from dronetrack.live import open_telemetry as open_telemetry
    from dronetrack.mavlink import Decoder as Decoder
    from dronetrack.mavlink import Frames as Frames
    from dronetrack.mavlink import read_batches as read_batches
    from dronetrack.mavlink import read_log_info as read_log_info
    from dronetrack.mavlink import read_messages as read_messages
    from dronetrack.mavlink import read_srt as read_srt
    from dronetrack.mavlink import read_telemetry as read_telemetry
    from dronetrack.mavlink import traffic as traffic
    from dronetrack.measurements import Measurements as Measurements
    from dronetrack.measurements import Sensor as Sensor
    from dronetrack.measurements import measurements_of as measurements_of
    from dronetrack.measurements import merge as merge
    from dronetrack.mission import Fusion as Fusion
    from dronetrack.mission import Mission as Mission
    from dronetrack.mission import fuse as fuse
    from dronetrack.mission import read_mission as read_mission
    from dronetrack.motion import ConstantAcceleration as ConstantAcceleration
    from dronetrack.motion import ConstantVelocity as ConstantVelocity
    from dronetrack.motion import CoordinatedTurn as CoordinatedTurn
    from dronetrack.motion import Mixture as Mixture
    from dronetrack.motion import Singer as Singer
    from dronetrack.motion import StopAndGo as StopAndGo
    from dronetrack.registration import Registration as Registration
    from dronetrack.registration import register as register
    from dronetrack.registration import register_to_places as register_to_places
    from dronetrack.roads import RoadGraph as RoadGraph
    from dronetrack.roads import Route as Route
    from dronetrack.sensing import CameraErrors as CameraErrors
    from dronetrack.sensing import Correction as Correction
    from dronetrack.sensing import check_gimbal_frame as check_gimbal_frame
    from dronetrack.sensing import contacts as contacts
    from dronetrack.sensing import geo_targets as geo_targets
    from dronetrack.sensing import sightings as sightings
    from dronetrack.sequence import filter_sequence as filter_sequence
    from dronetrack.smoothing import smooth as smooth
    from dronetrack.telemetry import Telemetry as Telemetry
    from dronetrack.terrain import Terrain as Terrain
    from dronetrack.tracker import Tracker as Tracker
    from dronetrack.tracks import Track as Track
    from dronetrack.tracks import Tracks as Tracks
    from dronetrack.units import UnitReports as UnitReports
    from dronetrack.units import read_units as read_units
    from dronetrack.warm import warm_up as warm_up

__all__ = list(_ROOMS)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public object
    if name not in _ROOMS:
        raise AttributeError(f"module 'dronetrack' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"dronetrack.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
