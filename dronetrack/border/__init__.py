"""Which country is it in, how far from the line, when did it cross, and when will it? Borders and crossings."""

from dronetrack.border.line import HOME, HOST, NEITHER, Border
from dronetrack.border.watch import QUANTILES, Crossing, Crossings, Watch

__all__ = ["HOME", "HOST", "NEITHER", "QUANTILES", "Border", "Crossing", "Crossings", "Watch"]
