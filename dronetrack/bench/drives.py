"""Who will cross, and when? Simulated drives towards the border, and what a tracker would know of each at one moment.

And whether a forecast made then kept its word.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.border import HOME, HOST, Border, Forecast
from dronetrack.roads import Route
from dronetrack.simulate import AlongRoute
from dronetrack.simulate.library import BUDAPEST_NADLAC_DEG
from dronetrack.tracks import CONFIRMED, Track

Floats = NDArray[np.float64]

HISTORY_S, STEP_S = 900.0, 5.0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """The track until now, the road, and when the truth crosses (infinite: not within the horizon)."""

    track: Track
    route: Route
    crossing_s: float


def motorway() -> Route:
    """Return the road from Budapest to Nadlac."""
    lat_deg, lon_deg = np.array(BUDAPEST_NADLAC_DEG).T
    return Route.from_lat_lon(lat_deg, lon_deg, alt_hae_m=130.0, corner_radius_m=800.0)


def country_road(border: Border, rng: np.random.Generator) -> Route:
    """Draw a road of 1 km legs, each turned a little from the last; it starts up to 40 km from the line in Hungary."""
    while True:
        at = rng.integers(0, len(border.line_lat_deg))
        lat = border.line_lat_deg[at] + rng.normal(0.0, 0.15)
        lon = border.line_lon_deg[at] - abs(rng.normal(0.0, 0.25))
        if border.side([lat], [lon])[0] == 0:
            break
    course = rng.uniform(0.0, 2.0 * np.pi) + np.cumsum(rng.normal(0.0, np.radians(8.0), 150))
    lats = lat + np.cumsum(1000.0 * np.cos(course)) / 111_200.0
    lons = lon + np.cumsum(1000.0 * np.sin(course)) / 77_000.0
    return Route.from_lat_lon(lats, lons, alt_hae_m=130.0, corner_radius_m=300.0)


def drive(
    border: Border, route: Route, horizon_s: float, rng: np.random.Generator, *, lead_m: float = 0.0
) -> Drive | None:
    """Drive a quarter of an hour, then the horizon; `lead_m` of the road lie behind the start."""
    cruise = rng.uniform(17.0, 33.0)
    km = route.length_m / 1000.0
    n_stops = rng.poisson((HISTORY_S + horizon_s) / 3600.0)
    stops = [(float(rng.uniform(0.0, 0.98 * km)), float(rng.exponential(300.0))) for _ in range(n_stops)]
    speeds = tuple((float(at), float(cruise * rng.normal(1.0, 0.1))) for at in np.arange(0.0, km, 10.0))
    mover = AlongRoute(route, speeds, tuple(sorted(stops)), speed_std=0.08, speed_time_s=120.0)
    seconds = np.arange(0.0, HISTORY_S + horizon_s + lead_m / 15.0, STEP_S)
    truth = mover.draw(seconds, 1, (46.2, 20.7, 130.0), rng)[0]
    gone = route.locate(truth[:, :3])[0]
    now = int(np.searchsorted(gone, lead_m)) + int(HISTORY_S / STEP_S)
    now = min(now, len(seconds) - int(horizon_s / STEP_S) - 1)
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(truth[:, :3])
    side = border.side(lat_deg[now:], lon_deg[now:])
    if side[0] != HOME:  # over the line before its first quarter of an hour was over
        return None
    across = np.flatnonzero(side == HOST)
    crossing_s = across[0] * STEP_S - 0.5 * STEP_S if len(across) else np.inf
    first = max(now - int(HISTORY_S / STEP_S), 0)
    return Drive(seen(truth[first : now + 1], seconds[first : now + 1], rng), route, max(crossing_s, 0.0))


def drives_on_motorway(border: Border, n: int, horizon_s: float, rng: np.random.Generator) -> list[Drive]:
    """Draw drives that are anywhere between Budapest and the line now."""
    road, found = motorway(), []
    while len(found) < n:
        one = drive(border, road, horizon_s, rng, lead_m=float(rng.uniform(0.0, 190_000.0)))
        found += [one] if one else []
    return found


def drives_on_country_roads(border: Border, n: int, horizon_s: float, rng: np.random.Generator) -> list[Drive]:
    """Draw drives on roads of their own that wind anywhere."""
    found = []
    while len(found) < n:
        one = drive(border, country_road(border, rng), horizon_s, rng)
        found += [one] if one else []
    return found


def seen(
    truth: Floats, seconds: Floats, rng: np.random.Generator, *, std_m: float = 5.0, std_mps: float = 1.0
) -> Track:
    """Return the truth with the errors that its covariance promises."""
    n = len(truth)
    std = np.repeat([std_m, std_mps], 3)
    cov = np.broadcast_to(np.diag(std**2), (n, 6, 6))
    time_us = 10**15 + (1e6 * seconds).astype(np.int64)
    state = truth + rng.normal(0.0, std, (n, 6))
    return Track(time_us, 1, np.full(n, CONFIRMED, np.int8), state, cov, np.ones(n), np.ones(n, np.int16))


def scores(forecasts: Sequence[Forecast], drives: Sequence[Drive], horizon_s: float) -> dict[str, float]:
    """Say whether forecasts kept their word.

    Parameters
    ----------
    forecasts : sequence of Forecast
        What was said of each drive.
    drives : sequence of Drive
        What came of it.
    horizon_s : float
        How far they looked. [s]

    Returns
    -------
    dict of str to float
        For half of the horizon and all of it: the Brier score, that of the base rate, the mean of what was said and the
        share that happened.
    """
    out: dict[str, float] = {}
    for name, share in (("half", 0.5), ("whole", 1.0)):
        happened = np.array([one.crossing_s <= share * horizon_s for one in drives])
        said = np.array([one.by(share * horizon_s) for one in forecasts])
        out[f"brier_{name}"] = float(np.mean((said - happened) ** 2))
        out[f"base_{name}"] = float(happened.mean() * (1.0 - happened.mean()))
        out[f"said_{name}"], out[f"happened_{name}"] = float(said.mean()), float(happened.mean())
    return out


def coverage(forecasts: Sequence[Forecast], drives: Sequence[Drive]) -> tuple[Floats, NDArray[np.int64]]:
    """Say how often each quantile of the time to the line was not exceeded.

    Parameters
    ----------
    forecasts, drives : sequences
        As for `scores`.

    Returns
    -------
    shares : (q,) float64
        Of the drives for which the quantile is finite; `QUANTILES` are right.
    n_finite : (q,) int64
        How many those are.
    """
    limits = np.array([one.quantiles_s for one in forecasts])
    took = np.array([one.crossing_s for one in drives])[:, None]
    finite = np.isfinite(limits)
    return np.array([(took <= limits)[finite[:, k], k].mean() for k in range(limits.shape[1])]), finite.sum(axis=0)
