"""One target online: what is final, what is believed now? Late rows are put where they belong, exactly."""

from dronetrack.tracker.belief import Belief
from dronetrack.tracker.online import Tracker

__all__ = ["Belief", "Tracker"]
