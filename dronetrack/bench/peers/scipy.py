"""numpy and scipy: what a careful user writes with them where no library offers the thing."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.optimize import minimize_scalar

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


def intersect_all(mean: Floats, cov: Floats) -> Callable[[], tuple[Floats, Floats]]:
    """Fuse all pairs at once: diagonal form by Cholesky and eigenvectors, then twelve guarded Newton steps for all."""

    def weights(ratios: Floats) -> Floats:
        gain = 1.0 - 1.0 / ratios

        def slopes(at: Floats) -> tuple[Floats, Floats]:
            part = gain / (at[:, None] + (1.0 - at[:, None]) / ratios)
            return -part.sum(axis=1), (part**2).sum(axis=1)

        low, high, w = np.zeros(len(ratios)), np.ones(len(ratios)), np.full(len(ratios), 0.5)
        rising, falling = slopes(low)[0] >= 0.0, slopes(high)[0] <= 0.0
        for _ in range(12):
            first, second = slopes(w)
            low, high = np.where(first > 0.0, low, w), np.where(first > 0.0, w, high)
            new = w - first / second
            w = np.where((new > low) & (new < high), new, 0.5 * (low + high))
        return np.where(rising, 0.0, np.where(falling, 1.0, w))[:, None]

    def solve() -> tuple[Floats, Floats]:
        lower = np.linalg.cholesky(cov[:, 0])
        inverse = np.linalg.inv(lower)
        ratios, axes = np.linalg.eigh(inverse @ cov[:, 1] @ inverse.transpose(0, 2, 1))
        w = weights(ratios)
        spread, turned = 1.0 / (w + (1.0 - w) / ratios), lower @ axes
        apart = np.einsum("nji,nj->ni", axes, np.einsum("nij,nj->ni", inverse, mean[:, 1] - mean[:, 0]))
        fused = mean[:, 0] + np.einsum("nij,nj->ni", turned, apart * spread * (1.0 - w) / ratios)
        return fused, (turned * spread[:, None, :]) @ turned.transpose(0, 2, 1)

    return solve


def intersect(mean: Floats, cov: Floats) -> Callable[[], tuple[Floats, Floats]]:
    """Fuse pairs by covariance intersection, one by one, with `minimize_scalar` for the weight."""

    def solve() -> tuple[Floats, Floats]:
        out = []
        for x, both in zip(mean, cov, strict=True):
            first, second = np.linalg.inv(both)

            def size(w: float, first: Floats = first, second: Floats = second) -> float:
                return -np.linalg.slogdet(w * first + (1.0 - w) * second)[1]

            w = minimize_scalar(size, bounds=(0.0, 1.0), method="bounded").x
            fused = np.linalg.inv(w * first + (1.0 - w) * second)
            out.append((fused @ (w * first @ x[0] + (1.0 - w) * second @ x[1]), fused))
        return np.array([x for x, _ in out]), np.array([P for _, P in out])

    return solve
