"""Where does the road lead, and where on it is the target? Routes, and road graphs."""

from dronetrack.roads.graph import RoadGraph
from dronetrack.roads.route import Route

__all__ = ["RoadGraph", "Route"]
