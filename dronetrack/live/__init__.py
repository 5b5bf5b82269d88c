"""What are the drones saying right now? A live link, and what is heard on it."""

from dronetrack.live.link import Link, open_telemetry, wall_clock_us

__all__ = ["Link", "open_telemetry", "wall_clock_us"]
