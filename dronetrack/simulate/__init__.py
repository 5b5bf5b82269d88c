"""What would sensors have said, had the target moved like this? Flights, units, roads, clutter, gaps, with known truth.

`simulate` draws a `Scenario`, one of the named ones or one of yours: truth beside every row, all Monte-Carlo runs at
once, the same bits from the same seed. `fly` makes the log of one drone, message by message, for tests of `sightings`.
"""

from dronetrack.simulate.cameras import Camera, LookAlike, exact
from dronetrack.simulate.flight import Flight, FlightErrors, Mount, fly
from dronetrack.simulate.library import scenario, scenario_names
from dronetrack.simulate.scenarios import Radio, Run, Scenario, Simulation, simulate
from dronetrack.simulate.sensors import FROM_CLUTTER, FROM_LOOK_ALIKE, FROM_TARGET, Contacts, Positions, Sampling
from dronetrack.simulate.targets import AlongRoute, Free, Legs, NearlyConstantVelocity, StopAndGo, Switching, Turns

__all__ = [
    "FROM_CLUTTER",
    "FROM_LOOK_ALIKE",
    "FROM_TARGET",
    "AlongRoute",
    "Camera",
    "Contacts",
    "Flight",
    "FlightErrors",
    "Free",
    "Legs",
    "LookAlike",
    "Mount",
    "NearlyConstantVelocity",
    "Positions",
    "Radio",
    "Run",
    "Sampling",
    "Scenario",
    "Simulation",
    "StopAndGo",
    "Switching",
    "Turns",
    "exact",
    "fly",
    "scenario",
    "scenario_names",
    "simulate",
]
