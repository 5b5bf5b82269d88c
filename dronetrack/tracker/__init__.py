"""One target online: what is final, what is believed now? Late rows are put where they belong, exactly."""

from dronetrack.tracker.online import Tracker

__all__ = ["Tracker"]
