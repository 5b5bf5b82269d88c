"""numpy and scipy: what a careful user writes with them where no library offers the thing."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from dronetrack import geodesy
from dronetrack.terrain import Terrain

Floats = NDArray[np.float64]

LABEL = "march, numpy and scipy"


def march_rays(terrain: Terrain, site: Floats, ray: Floats, max_range_m: float) -> Callable[[], Floats]:
    """Find where rays first meet the ground: steps of half a cell, then bisection, all rays together."""
    rows, columns = terrain.grid_msl_m.shape
    axes = (
        terrain.south_deg + terrain.step_lat_deg * np.arange(rows),
        terrain.west_deg + terrain.step_lon_deg * np.arange(columns),
    )
    ground = RegularGridInterpolator(axes, terrain.grid_msl_m, bounds_error=False)
    step = 0.5 * 111_000.0 * min(terrain.step_lat_deg, terrain.step_lon_deg * np.cos(np.radians(terrain.south_deg)))

    def clearance(rays: NDArray[np.int64], t: Floats) -> Floats:
        lat, lon, alt = geodesy.ecef_to_geodetic(site[rays] + t[:, None] * ray[rays])
        return alt - geodesy.geoid_undulation_m(lat, lon) - ground(np.column_stack([lat, lon]))

    def bisect(rays: NDArray[np.int64], low: Floats) -> Floats:
        high = low + step
        while (high - low).max() > 1e-4:
            middle = 0.5 * (low + high)
            above = clearance(rays, middle) > 0.0
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return 0.5 * (low + high)

    def solve() -> Floats:
        low, met = np.zeros(len(site)), np.full(len(site), np.nan)
        live = np.arange(len(site))
        while len(live):
            high = np.minimum(low[live] + step, max_range_m)
            above = clearance(live, high)
            hit = live[above <= 0.0]
            if len(hit):
                met[hit] = bisect(hit, low[hit])
            low[live] = high
            live = live[(above > 0.0) & (high < max_range_m)]
        return met

    return solve
