"""How fast do rays meet real ground? Beside a march in numpy and scipy on the same surface, and beside one look-up.

    python benchmarks/terrain.py [FILE.hgt | FILE.tif]

Without a file the ground is synthetic: 1 arc-second, hills of 120 m, and noise of 2 m. Drones fly 120 m above it and
look at the ground between a few hundred metres and 10 km away. The march goes by half a cell and bisects, all rays at
once; it misses what is thinner than a step, and the table says how often. The limit is one conversion of every ray's
site to latitude and longitude with one look-up of the height below: what any method must do twice.
"""

import sys

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from timing import in_turn, table, versions

from dronetrack import geodesy
from dronetrack.terrain import Terrain

N_RAYS, N_MARCHED, MAX_M = 100_000, 500, 10_000.0


def hills(rng):
    north, east = np.meshgrid(np.arange(1201), np.arange(1201), indexing="ij")
    heights = 300 + 120 * np.sin(north / 19.0) * np.cos(east / 23.0) + rng.normal(0.0, 2.0, north.shape)
    return Terrain(0.0, heights, 46.0, 20.0, 1 / 3600, 1 / 3600)


def looks(terrain, n, rng):
    """Sites 120 m above the ground and directions 1 to 30 degrees down."""
    rows, columns = terrain.grid_msl_m.shape
    lat = terrain.south_deg + terrain.step_lat_deg * rows * rng.uniform(0.3, 0.7, n)
    lon = terrain.west_deg + terrain.step_lon_deg * columns * rng.uniform(0.3, 0.7, n)
    site = geodesy.geodetic_to_ecef(lat, lon, terrain.ground_hae_m(lat, lon) + 120.0)
    azimuth, down = rng.uniform(0.0, 2.0 * np.pi, n), np.radians(rng.uniform(1.0, 30.0, n))
    local = np.column_stack([np.sin(azimuth) * np.cos(down), np.cos(azimuth) * np.cos(down), -np.sin(down)])
    return site, geodesy.enu_vectors_to_ecef(local, lat, lon)


def marcher(terrain):
    """First meeting by steps of half a cell and bisection, all rays together, on scipy's interpolator."""
    rows, columns = terrain.grid_msl_m.shape
    axes = (
        terrain.south_deg + terrain.step_lat_deg * np.arange(rows),
        terrain.west_deg + terrain.step_lon_deg * np.arange(columns),
    )
    ground = RegularGridInterpolator(axes, terrain.grid_msl_m, bounds_error=False)

    def clearance(site, ray, t):
        lat, lon, alt = geodesy.ecef_to_geodetic(site + t[:, None] * ray)
        return alt - geodesy.geoid_undulation_m(lat, lon) - ground(np.column_stack([lat, lon]))

    def march(site, ray, step):
        low, met = np.zeros(len(site)), np.full(len(site), np.nan)
        live = np.arange(len(site))
        while len(live):
            high = np.minimum(low[live] + step, MAX_M)
            above = clearance(site[live], ray[live], high)
            hit = live[above <= 0.0]
            if len(hit):
                a, b = low[hit], low[hit] + step
                while (b - a).max() > 1e-4:
                    middle = 0.5 * (a + b)
                    over = clearance(site[hit], ray[hit], middle) > 0.0
                    a, b = np.where(over, middle, a), np.where(over, b, middle)
                met[hit] = 0.5 * (a + b)
            low[live] = high
            live = live[(above > 0.0) & (high < MAX_M)]
        return met

    return march


def main():
    rng = np.random.default_rng(1)
    terrain = Terrain.read(sys.argv[1]) if len(sys.argv) > 1 else hills(rng)
    step = 0.5 * 111_000.0 * min(terrain.step_lat_deg, terrain.step_lon_deg * np.cos(np.radians(terrain.south_deg)))
    march = marcher(terrain)
    site, ray = looks(terrain, N_RAYS, rng)
    few = slice(0, N_MARCHED)
    mine = terrain.ray_ground(site, ray, max_range_m=MAX_M)[1]
    theirs = march(site[few], ray[few], step)
    same = np.isclose(mine[few], theirs, atol=2e-3, rtol=0) | (np.isnan(mine[few]) & np.isnan(theirs))
    fine = march(site[few][~same], ray[few][~same], 0.5)
    left = mine[few][~same]
    agree = np.isclose(left, fine, atol=2e-3, rtol=0) | (np.isnan(left) & np.isnan(fine))
    nearer = left < fine
    assert (agree | nearer).all(), "the march of half metres found a meeting that ours missed"
    met = ~np.isnan(mine)
    print(f"{N_RAYS:,} rays (march: {N_MARCHED}), {met.mean():.0%} meet ground, half within {np.nanmedian(mine):.0f} m")
    print(f"equal to the march by {step:.0f} m to 2 mm: {same.mean():.1%} of the rays; of the {np.sum(~same)} others")
    print(f"{np.sum(agree)} equal a march by 0.5 m, {np.sum(~agree)} are met nearer than even that  ({versions()})\n")
    lat, lon, _ = geodesy.ecef_to_geodetic(site)
    seconds = in_turn(
        {
            "Terrain.ray_ground": lambda: terrain.ray_ground(site, ray, max_range_m=MAX_M),
            "Terrain.ray_grounds, most=4": lambda: terrain.ray_grounds(site, ray, max_range_m=MAX_M),
            "march, numpy and scipy": lambda: march(site[few], ray[few], step),
            "limit: one conversion, one look-up": lambda: (
                geodesy.ecef_to_geodetic(site),
                terrain.ground_hae_m(lat, lon),
            ),
        },
        rounds=3,
    )
    amount = dict.fromkeys(seconds, N_RAYS) | {"march, numpy and scipy": N_MARCHED}
    table(seconds, amount, "rays/s", "Terrain.ray_ground")


if __name__ == "__main__":
    main()
