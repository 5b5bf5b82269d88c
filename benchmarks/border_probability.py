"""Is the probability of a side right? The exact integral against Monte Carlo, on random states near the real line.

    python benchmarks/border_probability.py            # 1,000 states, 1,000,000 samples each
    python benchmarks/border_probability.py 50 200000

Each state lies near a random vertex of the line of Hungary and Romania, with an error ellipse of 1 m to 3 km, any
direction, up to ten times as long as wide. Samples are drawn east/north with the line's own uncertainty, laid on the
ellipsoid and asked with shapely's prepared `contains_xy` whether they are in the host's polygon.
"""

import sys
import time

import numpy as np
import shapely

from dronetrack import geodesy
from dronetrack.border import Border
from dronetrack.tracks import CONFIRMED, Track


def states(border, n, rng):
    """A track of n unrelated rows near the line, and their east/north covariances (n, 2, 2)."""
    at = rng.integers(0, len(border.line_lat_deg), n)
    long_m = 10.0 ** rng.uniform(0.0, 3.5, n)
    wide_m = long_m * rng.uniform(0.1, 1.0, n)
    turn = rng.uniform(0.0, np.pi, n)
    axes = np.stack([np.stack([np.cos(turn), -np.sin(turn)], -1), np.stack([np.sin(turn), np.cos(turn)], -1)], 1)
    cov = axes * np.stack([long_m**2, wide_m**2], -1)[:, None, :] @ axes.transpose(0, 2, 1)
    away_m = rng.normal(0.0, 1.0, (n, 2)) * long_m[:, None]
    lat = border.line_lat_deg[at] + away_m[:, 1] / 111_200.0
    lon = border.line_lon_deg[at] + away_m[:, 0] / 77_000.0
    enu = np.zeros((n, 6, 6))
    enu[:, :2, :2], enu[:, [2, 3, 4, 5], [2, 3, 4, 5]] = cov, 1.0
    state = np.hstack([geodesy.geodetic_to_ecef(lat, lon, np.full(n, 90.0)), np.zeros((n, 3))])
    cov_ecef = geodesy.enu_covariance_to_ecef(enu, lat, lon)
    time_us = 1_000_000 * np.arange(n)
    track = Track(time_us, 1, np.full(n, CONFIRMED, np.int8), state, cov_ecef, np.ones(n), np.ones(n, np.int16))
    return track, cov


def sampled(border, track, cov, samples, rng):
    """Share of samples in the host's polygons, for each row."""
    rings = np.split(border.host_rings_deg, border.host_offsets[1:-1])
    host = shapely.Polygon(rings[0], rings[1:])
    shapely.prepare(host)
    lat, lon = track.lat_deg, track.lon_deg
    out = np.empty(len(track))
    for row in range(len(track)):
        spread = np.linalg.cholesky(cov[row] + border.line_std_m**2 * np.eye(2))
        east, north = spread @ rng.standard_normal((2, samples))
        enu = np.column_stack([east, north, np.zeros(samples)])
        place = geodesy.ecef_to_geodetic(geodesy.enu_to_ecef(enu, lat[row], lon[row], 90.0))
        out[row] = shapely.contains_xy(host, place[1], place[0]).mean()
    return out


def main() -> None:
    n, samples = map(int, sys.argv[1:3] or ("1000", "1000000"))
    rng = np.random.default_rng(40)
    border = Border.between("HU", "RO")
    track, cov = states(border, n, rng)
    border.probability(track)
    begin = time.perf_counter()
    ours = border.probability(track)
    spent = time.perf_counter() - begin
    begin = time.perf_counter()
    theirs = sampled(border, track, cov, samples, rng)
    slow = time.perf_counter() - begin
    apart = np.abs(ours - theirs)
    distance = np.abs(border.signed_distance_m(track.lat_deg, track.lon_deg))
    print(f"{n} states, {samples} samples each")
    print(f"worst difference {apart.max():.4f}, median {np.median(apart):.5f}, above 0.01: {(apart > 0.01).sum()}")
    print(f"neither sure nor impossible (0.01 < p < 0.99): {((ours > 0.01) & (ours < 0.99)).sum()}")
    print(f"distance from the line: median {np.median(distance):.0f} m, largest {distance.max():.0f} m")
    print(f"integral {spent / n * 1e6:.1f} us a state, Monte Carlo {slow / n * 1e6:.0f} us")


if __name__ == "__main__":
    main()
