"""How high is the ground, and where does a ray meet it? Constant height, or elevation grids from files."""

from dronetrack.terrain.surface import Terrain, as_terrain

__all__ = ["Terrain", "as_terrain"]
