"""Which road is the target on, and where along it? Motion along roads: one route, or every way through a road graph."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.filtering import OutputRows, gate_limits, kernel_rows, sensor_stats, sensor_table, shares_errors
from dronetrack.kernels import driving as kernels
from dronetrack.measurements import Measurements
from dronetrack.motion import ConstantVelocity
from dronetrack.roads import RoadGraph, Route
from dronetrack.tracks import Track

Floats = NDArray[np.float64]

FEWEST_BELIEFS = 4  # one off the road, and three ways out of a crossing
KERNEL_ORDER = [0, 2, 3, 1]  # arc length, offsets, speed


@dataclass(frozen=True, slots=True)
class AlongRoad:
    """Motion along a road: white-noise acceleration along it, small offsets beside and above its line.

    The state is arc length [m], speed [m/s], offset to the right and offset above [m]. The offsets are
    Ornstein-Uhlenbeck processes: they forget themselves within their time and keep their standard deviation. They
    stand for the lane, and for the error of the map and of its heights. Now and then a target leaves the road and
    moves freely, or comes back.

    Parameters
    ----------
    speed_psd : float, optional
        Power spectral density of the acceleration along the road. [m2/s3]
    initial_speed_std_mps : float, optional
        Of an unknown speed, in either direction. [m/s]
    lateral_std_m, lateral_time_s : float, optional
        Offset to the right: standard deviation and correlation time. [m, s]
    height_std_m, height_time_s : float, optional
        Offset above: the same. [m, s]
    free : ConstantVelocity, optional
        How the target moves off the road.
    leave_per_s, return_per_s : float, optional
        Rates at which a target leaves the road and comes back. [1/s]
    off_road_prior : float, optional
        Probability that a new target is off the road although there is one.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    speed_psd: float = 1.0
    initial_speed_std_mps: float = 20.0
    lateral_std_m: float = 3.0
    lateral_time_s: float = 15.0
    height_std_m: float = 2.0
    height_time_s: float = 60.0
    free: ConstantVelocity = field(default_factory=ConstantVelocity)
    leave_per_s: float = 1e-3
    return_per_s: float = 1e-2
    off_road_prior: float = 0.05

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            rate = name in {"leave_per_s", "return_per_s", "off_road_prior"}
            if name != "free" and not (np.isfinite(value) and (value >= 0.0 if rate else value > 0.0)):
                raise InputError(f"{name} must be {'zero or ' if rate else ''}positive and finite; got {value}.")
        if self.off_road_prior >= 1.0:
            raise InputError(f"off_road_prior must be a probability below 1; got {self.off_road_prior}.")

    def _habits(self) -> kernels.Habits:
        """Return the model as the kernel reads it."""
        along = (self.speed_psd, self.initial_speed_std_mps)
        beside = (self.lateral_std_m, self.lateral_time_s, self.height_std_m, self.height_time_s)
        free = (self.free.horizontal_psd, self.free.vertical_psd)
        rates = (self.leave_per_s, self.return_per_s, self.off_road_prior)
        return kernels.Habits(*map(float, along + beside + free + rates))


@dataclass(frozen=True, slots=True, eq=False)
class RoadTrack:
    """A track on roads: the ECEF track, and where on which road it was, n rows.

    Parameters
    ----------
    track : Track
        Mean and covariance over all beliefs, those off the road included; so where the roads part, the covariance
        spans them, and where the target has left the road, the track moves freely.
    on_road : (n,) float64
        Probability that the target is on a road.
    s_m, speed_mps, lateral_m, height_m : (n,) float64
        The heaviest belief on a road: arc length on its edge [m], speed along the edge (negative: against it) [m/s],
        offsets to the right and above [m]; NaN where there is none.
    branch_edge : (n, b) int64
        Edges by falling probability; -1 where there are no more. On a `Route` the edge is 0.
    branch_probability : (n, b) float64
        Probability of each.
    """

    track: Track
    on_road: Floats
    s_m: Floats
    speed_mps: Floats
    lateral_m: Floats
    height_m: Floats
    branch_edge: NDArray[np.int64]
    branch_probability: Floats

    def __len__(self) -> int:
        return len(self.track)

    @property
    def left_road_us(self) -> NDArray[np.int64]:
        """(k,) int64: moments at which the target has more probably left the road than not. [us, UTC]"""
        off = self.on_road < 0.5
        return self.track.time_us[1:][off[1:] & ~off[:-1]]


def track_on_road(
    measurements: Measurements,
    road: Route | RoadGraph,
    *,
    motion: AlongRoad | None = None,
    gate_probability: float = 0.997,
    recover_s: float = 8.0,
    coast_step_s: float = 0.5,
    most_beliefs: int = 16,
    most_branches: int = 4,
    track_id: int = 1,
) -> RoadTrack:
    """Fuse one target's measurements into a track along roads, in one compiled call.

    A belief is Gaussian in arc length, speed and offsets along one way. Where it nears a junction (within four
    standard deviations) every way out gets a belief of its own; their weights follow the likelihood of what is
    measured, beliefs that meet again are joined, and the lightest give way to stay within `most_beliefs`. One more
    belief moves freely, off the road, exchanges weight with the others at the rates of the model and takes over where
    the roads do not explain the measurements. Errors that successive rows of a sensor share are carried as in `track`.

    Between measurements, in a tunnel, the target stays on its road: the covariance grows along it, round bends.

    Parameters
    ----------
    measurements : Measurements
        Time-ordered rows: positions, lines of sight, heights.
    road : Route or RoadGraph
        One road, or many with junctions. Its heights are used; lines of sight need them to be right within
        ``motion.height_std_m``.
    motion : AlongRoad, optional
        How the target drives.
    gate_probability : float, optional
        Probability that a right measurement passes the gate of a belief.
    recover_s : float, optional
        After so long without an accepted row the track starts anew. [s]
    coast_step_s : float, optional
        Where measurements pause, the track gets predicted rows this far apart. [s]
    most_beliefs : int, optional
        Bound on the number of beliefs, at least 4.
    most_branches : int, optional
        How many edges to report per row.
    track_id : int, optional
        Identity to give.

    Returns
    -------
    RoadTrack
        One row per distinct time from the first sighting that fixes a place.

    Raises
    ------
    InputError
        If an option is out of range.
    """
    motion = motion or AlongRoad()
    _check_options(recover_s, coast_step_s, most_beliefs, most_branches)
    sensors = sensor_table(measurements.sensors, shares_errors(measurements))
    step_us = max(round(coast_step_s * 1e6), 1)
    n = len(measurements) + int(np.sum(np.diff(measurements.time_us) // step_us))
    out = OutputRows(n, len(measurements), 0)
    on = kernels.OnRoad(
        np.empty(n), np.empty((n, 4)), np.empty((n, most_branches), np.int64), np.empty((n, most_branches))
    )
    n_rows, log_likelihood, restarts = kernels.drive_rows(
        kernel_rows(measurements),
        sensors,
        _graph(road),
        motion._habits(),  # noqa: SLF001
        gate_limits(gate_probability),
        round(recover_s * 1e6),
        step_us,
        _ways(most_beliefs, len(sensors.variance), kernels.DEPTH),
        out.columns,
        on,
    )
    noise_factor = np.ones(len(measurements.sensors))
    stats = {
        "log_likelihood": float(log_likelihood),
        "restarts": int(restarts),
        "sensors": sensor_stats(measurements, out.columns.verdict, out.columns.nis_row, noise_factor),
    }
    for values in on:
        values.flags.writeable = False
    on_road, on_edge, edge, probability = (values[:n_rows] for values in on)
    s_m, speed_mps, lateral_m, height_m = on_edge.T
    found = out.track(n_rows, track_id, stats, None)
    return RoadTrack(found, on_road, s_m, speed_mps, lateral_m, height_m, edge, probability)


def road_to_ecef(
    road: Route, state: ArrayLike, cov: ArrayLike, *, motion: AlongRoad | None = None
) -> tuple[Floats, Floats]:
    """Convert beliefs along a road to ECEF.

    Where the road is straight over three standard deviations to both sides, through the Jacobian. Where it bends, by
    quadrature over the arc length: given that, the rest is Gaussian and nearly linear, so mean and covariance are
    those of the bent distribution.

    Parameters
    ----------
    road : Route
        The road.
    state : (n, 4) float64
        Arc length [m], speed [m/s], offset to the right, offset above [m].
    cov : (n, 4, 4) float64
        Covariance of `state`.
    motion : AlongRoad, optional
        Says how fast the offsets drift, which is the velocity across the road.

    Returns
    -------
    state_ecef : (n, 6) float64
        Mean position [m] and velocity [m/s].
    cov_ecef : (n, 6, 6) float64
        Their covariance.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    x = column("state", state, np.float64, (None, 4), nan=False)
    P = column("cov", cov, np.float64, (len(x), 4, 4), nan=False)
    ways = _ways(len(x), 0, 1)
    ways.x[:, :4] = x[:, KERNEL_ORDER]
    ways.P[:, :4, :4] = P[:, KERNEL_ORDER][:, :, KERNEL_ORDER]
    ways.depth[:] = 1
    mean, spread = np.empty((len(x), 6)), np.empty((len(x), 6, 6))
    kernels.moments_rows(ways, _graph(road), (motion or AlongRoad())._habits(), mean, spread)  # noqa: SLF001
    return mean, spread


def ecef_to_road(road: Route, state_ecef: ArrayLike, cov_ecef: ArrayLike) -> tuple[Floats, Floats]:
    """Convert beliefs in ECEF to the road: where along it, how fast, and how far beside and above.

    Twelve places of equal weight with the given mean and covariance (Arasaratnam, Haykin 2009,
    doi:10.1109/TAC.2009.2019800) are taken to the nearest points of the road, so a bend within the uncertainty counts.

    Parameters
    ----------
    road : Route
        The road.
    state_ecef : (n, 6) float64
        Position [m] and velocity [m/s].
    cov_ecef : (n, 6, 6) float64
        Positive definite covariance.

    Returns
    -------
    state : (n, 4) float64
        Arc length [m], speed [m/s], offset to the right, offset above [m].
    cov : (n, 4, 4) float64
        Their covariance. A large offset in `state` says that the target is not on this road.

    Raises
    ------
    InputError
        If the shapes differ or a covariance is not positive definite.
    """
    x = column("state_ecef", state_ecef, np.float64, (None, 6), nan=False)
    P = column("cov_ecef", cov_ecef, np.float64, (len(x), 6, 6), nan=False)
    try:
        root = np.linalg.cholesky(P)
    except np.linalg.LinAlgError:
        raise InputError("cov_ecef must be positive definite; a row is not.") from None
    arms = np.sqrt(6.0) * root.transpose(0, 2, 1)
    places = (x[:, None] + np.concatenate([arms, -arms], axis=1)).reshape(-1, 6)
    s, right = road.locate(places[:, :3])
    foot, rate = road.to_ecef(s), road.state(s, 1.0, lateral_m=right)[:, 3:]
    speed = np.einsum("ni,ni->n", places[:, 3:], rate) / np.einsum("ni,ni->n", rate, rate)
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(foot)
    above = geodesy.ecef_vectors_to_enu(places[:, :3] - foot, lat_deg, lon_deg)[:, 2]
    each = np.column_stack([s, speed, right, above]).reshape(-1, 12, 4)
    mean = each.mean(axis=1)
    off = each - mean[:, None]
    return mean, np.einsum("nki,nkj->nij", off, off) / 12.0


def _graph(road: Route | RoadGraph) -> kernels.Graph:
    """Bring roads to the kernel's side of the wall; one road is a graph of one edge."""
    if isinstance(road, RoadGraph):
        return kernels.Graph(*road.columns())
    one_edge = (
        np.array([0, len(road.piece_length_m)]),
        np.array([road.length_m]),
        np.array([[0, 1]]),
        np.zeros(1, dtype=np.bool_),
        np.zeros(3, dtype=np.int64),
        np.zeros(0, dtype=np.int64),
    )
    for values in one_edge:
        values.flags.writeable = False  # as in a graph: one layout, one compilation
    return kernels.Graph(road.curve_ecef_m, road.piece_length_m, road.piece_start_m[:-1], *one_edge)


def _ways(n_beliefs: int, n_shared: int, depth: int) -> kernels.Ways:
    """Room for beliefs, all zero, with ties to the shared errors of the sensors."""
    return kernels.Ways(
        x=np.zeros((n_beliefs, 6)),
        P=np.zeros((n_beliefs, 6, 6 + n_shared)),
        path=np.zeros((n_beliefs, depth), dtype=np.int64),
        begin=np.zeros((n_beliefs, depth)),
        depth=np.zeros(n_beliefs, dtype=np.int64),
        weight=np.zeros(n_beliefs),
        bent=np.zeros(n_beliefs, dtype=np.bool_),
    )


def _check_options(recover_s: float, coast_step_s: float, most_beliefs: int, most_branches: int) -> None:
    for name, value in (("recover_s", recover_s), ("coast_step_s", coast_step_s)):
        if not (np.isfinite(value) and value > 0.0):
            raise InputError(f"{name} must be positive and finite; got {value}.")
    if most_beliefs < FEWEST_BELIEFS or most_branches < 1:
        raise InputError(
            f"most_beliefs must be {FEWEST_BELIEFS} or more and most_branches 1 or more; "
            f"got {most_beliefs} and {most_branches}."
        )
