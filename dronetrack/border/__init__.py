"""Which country is it in, how far from the line, when did it cross, and when will it? Borders and crossings."""

from dronetrack.border.forecast import Forecast, Pace
from dronetrack.border.line import HOME, HOST, NEITHER, Border
from dronetrack.border.watch import QUANTILES, Crossing, Crossings, Watch
from dronetrack.border.world import country_of, neighbours

__all__ = [
    "HOME",
    "HOST",
    "NEITHER",
    "QUANTILES",
    "Border",
    "Crossing",
    "Crossings",
    "Forecast",
    "Pace",
    "Watch",
    "country_of",
    "neighbours",
]
