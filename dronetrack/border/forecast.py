"""When and where will it cross? Drives into the future, free or along roads, and what they say of the border."""

import functools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.border.line import HOME, HOST, MEAN_RADIUS_M, Border
from dronetrack.border.watch import QUANTILES
from dronetrack.errors import InputError
from dronetrack.kernels import border as sides
from dronetrack.kernels import forecast as kernels
from dronetrack.roads import RoadGraph, Route
from dronetrack.tracks import Track

STEP_S = 5.0
MOMENTS = 61
MOVING_MPS = 2.0
OFF_ROAD_M = 150.0
SAMPLE_M = 50.0  # a road passes the line at one place in this length
STRETCH_M = 5000.0  # crossings of free drives are told apart by stretches of the line this long
BITS = np.array([sides.HOME_BIT, sides.HOST_BIT, 0], dtype=np.uint8)  # of home, host, and neither (-1)
FEWEST_SHARE = 0.01  # places with less are not listed

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pace:
    """How drivers keep speed and course.

    Speed wanders about each driver's own cruising speed, which is taken from the track's own last half hour where it
    moved; now and then a driver stops for a while.

    Parameters
    ----------
    speed_std_mps, speed_time_s : float, optional
        How far speed wanders, and for how long. [m/s, s]
    cruise_mps, cruise_std_mps : float, optional
        Cruising speed of a driver who was never seen to move; and how far a driver's own may be off the one seen (twice
        that where it was never seen). [m/s]
    stop_per_s, stop_time_s : float, optional
        How often a driver stops, and how long. [1/s, s]
    course_psd : float, optional
        Without a road the course diffuses with this density. [rad2/s]

    Raises
    ------
    InputError
        If a value is not positive and finite (rates may be zero).
    """

    speed_std_mps: float = 3.0
    speed_time_s: float = 300.0
    cruise_mps: float = 20.0
    cruise_std_mps: float = 2.0
    stop_per_s: float = 1.0 / 3600.0
    stop_time_s: float = 300.0
    course_psd: float = 4e-4

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            rate = name in {"stop_per_s", "course_psd"}
            if not (np.isfinite(value) and (value >= 0.0 if rate else value > 0.0)):
                raise InputError(f"{name} must be {'zero or ' if rate else ''}positive and finite; got {value}.")

    def over(self, step_s: float) -> kernels.Pace:
        """Return what happens over one step, as the kernels read it.

        Parameters
        ----------
        step_s : float
            Its length. [s]

        Returns
        -------
        kernels.Pace
            Probabilities and standard deviations.
        """
        keep = float(np.exp(-step_s / self.speed_time_s))
        return kernels.Pace(
            stay=float(np.exp(-step_s / self.stop_time_s)),
            stop=float(-np.expm1(-step_s * self.stop_per_s)),
            keep=keep,
            wander=float(self.speed_std_mps * np.sqrt(1.0 - keep**2)),
            turn=float(np.sqrt(self.course_psd * step_s)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What the border may see of a target within the horizon.

    Parameters
    ----------
    time_us : int
        Last row of the track that it starts from. [us, UTC]
    leaving, entering : str
        Country codes.
    seconds : (m,) float64
        Moments from `time_us` on. [s]
    probability : (m,) float64
        That the target has crossed by then.
    quantiles_s : (5,) float64
        Time to the border at `QUANTILES` (2.5, 15.9, 50, 84.1, 97.5 %); infinite where the target may not cross within
        the horizon. [s]
    place : tuple of str
        Most likely crossing points by falling probability: name, or empty where none is official.
    place_lat_deg, place_lon_deg : (k,) float64
        Where they are. [deg]
    place_probability : (k,) float64
        Probability of crossing there within the horizon.
    """

    time_us: int
    leaving: str
    entering: str
    seconds: Floats
    probability: Floats
    quantiles_s: Floats
    place: tuple[str, ...]
    place_lat_deg: Floats
    place_lon_deg: Floats
    place_probability: Floats
    crossing_s: Floats = field(repr=False)

    def by(self, seconds: float) -> float:
        """Return the probability of having crossed by a moment.

        Parameters
        ----------
        seconds : float
            From `time_us` on. [s]

        Returns
        -------
        float
            Probability.
        """
        return float((self.crossing_s <= seconds).mean())


def forecast(
    border: Border,
    track: Track,
    route: Route | RoadGraph | None = None,
    horizon_s: float = 3600.0,
    *,
    pace: Pace | None = None,
    n_drives: int = 2000,
    rng: np.random.Generator | None = None,
) -> Forecast:
    """Say when and where a target will cross; see `Border.forecast`."""
    if not len(track):
        raise InputError("a forecast starts from the last row of a track; this one has none.")
    if not 0.0 < horizon_s <= 86_400.0 or n_drives < 1:
        raise InputError(f"horizon_s must lie in (0, 86400] s and n_drives be positive; got {horizon_s}, {n_drives}.")
    drives = _Drives(border, track, pace or Pace(), horizon_s, n_drives, rng or np.random.default_rng(0))
    when, lat_deg, lon_deg, group = drives.free() if route is None else drives.along(route)
    when[when > horizon_s] = np.inf
    seconds = np.linspace(0.0, horizon_s, MOMENTS)
    codes = {HOME: border.home, HOST: border.host}
    return Forecast(
        int(track.time_us[-1]),
        codes[1 - drives.to],
        codes[drives.to],
        seconds,
        np.searchsorted(np.sort(when), seconds, side="right") / n_drives,
        np.quantile(when, QUANTILES, method="inverted_cdf"),
        *_places(border, when, lat_deg, lon_deg, group),
        crossing_s=when,
    )


class _Drives:
    """Drivers drawn from the last row of a track."""

    def __init__(
        self, border: Border, track: Track, pace: Pace, horizon_s: float, n: int, rng: np.random.Generator
    ) -> None:
        self.border, self.n, self.rng = border, n, rng
        self.steps = int(np.ceil(horizon_s / STEP_S))
        self.last = track.take([len(track) - 1])
        # The side that is less probable now is the one to cross to.
        self.to = HOME if border.probability(self.last)[0] > 0.5 else HOST
        self.bit = sides.HOST_BIT if self.to == HOST else sides.HOME_BIT
        recent = track.take(track.time_us >= track.time_us[-1] - 1_800_000_000).speed_mps
        moving = recent[recent > MOVING_MPS]
        seen = len(moving) > 0
        cruise = np.median(moving) if seen else pace.cruise_mps
        self.cruise = np.maximum(rng.normal(cruise, pace.cruise_std_mps * (1.0 if seen else 2.0), n), 1.0)
        self.habits = pace.over(STEP_S)

    def free(self) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
        """Drive without a road: time, place, and the stretch of the line that it lies on."""
        lat_deg, lon_deg, alt = self.last.lat_deg, self.last.lon_deg, self.last.alt_hae_m
        turn = geodesy.enu_rotation(lat_deg, lon_deg)[0]
        local = np.kron(np.eye(2), turn)
        cov = local @ self.last.cov[0] @ local.T
        cov[[0, 1], [0, 1]] += self.border.line_std_m**2
        drawn = self.rng.multivariate_normal(np.zeros(6), cov, self.n, method="cholesky")
        place = geodesy.enu_to_ecef(drawn[:, :3] * [1.0, 1.0, 0.0], lat_deg[0], lon_deg[0], alt[0])
        lat, lon, _ = geodesy.ecef_to_geodetic(place)
        velocity = self.last.vel_enu_mps[0, :2] + drawn[:, 3:5]
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        course = np.arctan2(velocity[:, 0], velocity[:, 1])
        start = np.column_stack([np.radians(lat), np.radians(lon), speed - self.cruise, course])
        when, where = np.empty(self.n), np.empty((self.n, 2))
        standing = speed < MOVING_MPS
        kernels.free_rows(
            start, self.cruise, standing, self.border.lines, self.bit, STEP_S, self.steps, self.habits, self.rng,
            when, where,
        )  # fmt: skip
        lat_deg, lon_deg = np.degrees(where[:, 0]), np.degrees(where[:, 1])
        return when, lat_deg, lon_deg, _stretch(self.border, lat_deg, lon_deg)

    def along(self, road: Route | RoadGraph) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
        """Drive along roads: time, place, and the gate."""
        roads, lat_deg, lon_deg = _roads(self.border, road)
        edge, s, along = self._on(road)
        cov = self.last.cov[0]
        std_m = np.sqrt(along @ cov[:3, :3] @ along + self.border.line_std_m**2)
        speed = self.last.state[0, 3:] @ along + self.rng.normal(0.0, np.sqrt(along @ cov[3:, 3:] @ along), self.n)
        standing = np.abs(speed) < MOVING_MPS
        # Who stands may go either way.
        backwards = np.where(standing, self.rng.random(self.n) < 0.5, speed < 0.0)
        if isinstance(road, RoadGraph) and road.one_way[edge]:
            backwards[:] = False
        place = np.clip(self.rng.normal(s, std_m, self.n), 0.0, roads.edge_length[edge])
        start = np.column_stack([place, np.abs(speed) - self.cruise])
        way = 2 * edge + backwards.astype(np.int64)
        when, gate = np.empty(self.n), np.empty(self.n, dtype=np.int64)
        kernels.along_rows(
            way, start, self.cruise, standing, roads, self.bit, STEP_S, self.steps, self.habits, self.rng, when, gate
        )
        # Whoever is over the line already is where the track is.
        here = gate == -2
        lat = np.where(here, self.last.lat_deg[0], np.append(lat_deg, np.nan)[gate])
        return when, lat, np.where(here, self.last.lon_deg[0], np.append(lon_deg, np.nan)[gate]), gate

    def _on(self, road: Route | RoadGraph) -> tuple[int, float, Floats]:
        """Edge, place and direction of the road at the target."""
        position = self.last.state[:, :3]
        if isinstance(road, RoadGraph):
            edges, s, lateral = road.nearest(position)
            edge, line = int(edges[0]), road[int(edges[0])]
        else:
            (s, lateral), edge, line = road.locate(position), 0, road
        away_m = float(np.linalg.norm(line.to_ecef(s) - position))
        spread_m = float(np.sqrt(np.trace(self.last.pos_cov_enu_m2[0, :2, :2])))
        if abs(float(lateral[0])) > OFF_ROAD_M + 4.0 * spread_m or away_m > 10 * OFF_ROAD_M + 4.0 * spread_m:
            raise InputError(
                f"the target is {away_m:.0f} m from the road (ellipse {spread_m:.0f} m); give the road that it is on, "
                "or none for a free forecast."
            )
        return edge, float(s[0]), line.axes(s)[0, 0]


@functools.lru_cache(maxsize=8)
def _roads(border: Border, road: Route | RoadGraph) -> tuple[kernels.Roads, Floats, Floats]:
    """Roads for the kernel, with the gates where they pass the border, and where those are. [deg]"""
    edges = [road[edge] for edge in range(len(road))] if isinstance(road, RoadGraph) else [road]
    s, bits, count, first = _gates(border, edges)
    edge_of = np.repeat(np.arange(len(edges)), count)
    spots = [edges[edge].to_ecef([at]) for edge, at in zip(edge_of, s, strict=True)]
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(np.concatenate([*spots, np.empty((0, 3))]))
    if isinstance(road, RoadGraph):
        *_, length, nodes, _, exits, exit_of = road.columns()
    else:
        length, nodes = np.array([road.length_m]), np.array([[0, 1]])
        exits, exit_of = np.zeros(3, dtype=np.int64), np.empty(0, dtype=np.int64)
    ends = np.array([_courses(edge) for edge in edges])
    bearing = np.stack([ends, ends[:, ::-1] + np.pi], axis=1).reshape(-1, 2)
    columns = (length, nodes, exits, exit_of, bearing, first, np.cumsum([0, *count]), s, bits)
    return kernels.Roads(*(np.array(values) for values in columns)), lat_deg, lon_deg


def _gates(border: Border, edges: list[Route]) -> tuple[Floats, NDArray[np.uint8], list[int], NDArray[np.uint8]]:
    """Where edges pass from one side to another [m], the sides, how many on each edge, and the side at its start."""
    places, bits, count, first = [], [], [], []
    for edge in edges:
        s = np.linspace(0.0, edge.length_m, int(edge.length_m / SAMPLE_M) + 2)
        side = _bits(border, edge, s)
        at = np.flatnonzero(side[1:] != side[:-1])
        low, high = s[at], s[at + 1]
        for _ in range(16):
            middle = 0.5 * (low + high)
            before = _bits(border, edge, middle) == side[at]
            low, high = np.where(before, middle, low), np.where(before, high, middle)
        places.append(high)
        bits.append(np.column_stack([side[at], side[at + 1]]))
        count.append(len(at))
        first.append(side[0])
    return np.concatenate(places), np.concatenate(bits), count, np.array(first)


def _bits(border: Border, road: Route, s: Floats) -> NDArray[np.uint8]:
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(road.to_ecef(s))
    return BITS[border.side(lat_deg, lon_deg)]


def _courses(edge: Route) -> list[float]:
    """Course at the start and at the end of an edge. [rad]"""
    ends = np.array([0.0, edge.length_m])
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(edge.to_ecef(ends))
    east, north, _ = geodesy.ecef_vectors_to_enu(edge.axes(ends)[:, 0], lat_deg, lon_deg).T
    return np.arctan2(east, north).tolist()


def _stretch(border: Border, lat_deg: Floats, lon_deg: Floats) -> NDArray[np.int64]:
    """Which stretch of the line is nearest; -1 for NaN."""
    line = border.lines.line
    middle = 0.5 * (line[:, 1] + line[:, 3])
    length = MEAN_RADIUS_M * np.hypot((line[:, 2] - line[:, 0]) * np.cos(middle), line[:, 3] - line[:, 1])
    begin = np.cumsum(length) - length
    found = np.full(len(lat_deg), -1, dtype=np.int64)
    known = np.isfinite(lat_deg)
    segment = border.nearest_segment(lat_deg[known], lon_deg[known])
    found[known] = (begin[segment] / STRETCH_M).astype(np.int64)
    return found


def _places(
    border: Border, when: Floats, lat_deg: Floats, lon_deg: Floats, group: NDArray[np.int64]
) -> tuple[tuple[str, ...], Floats, Floats, Floats]:
    """Crossing points by falling probability: name, mean place, probability."""
    crossed = np.isfinite(when)
    groups, member = np.unique(group[crossed], return_inverse=True)
    drives = np.bincount(member, minlength=len(groups))
    lat = np.bincount(member, lat_deg[crossed], minlength=len(groups)) / np.maximum(drives, 1)
    lon = np.bincount(member, lon_deg[crossed], minlength=len(groups)) / np.maximum(drives, 1)
    order = np.argsort(-drives, kind="stable")
    order = order[drives[order] >= FEWEST_SHARE * len(when)]
    return border.places(lat[order], lon[order]), lat[order], lon[order], drives[order] / len(when)
