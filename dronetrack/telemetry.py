"""What did one drone report? Its position, attitude, gimbal, camera, what its camera tracked; its pose at any time."""

from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import column, same_length
from dronetrack.errors import InputError
from dronetrack.kernels import telemetry as kernels

ARDUPILOT = 3  # MAV_AUTOPILOT_ARDUPILOTMEGA

GLITCH_WINDOW_S = 45.0  # receivers that are fooled for longer than half of this are believed
GLITCH_LEAST_M = 4.0
GLITCH_LEAST_ROWS = 50
CARRIED_STD_M = 1.5

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

# name -> (dtype, shape after the rows, lowest, highest, whether NaN may stand there)
_COLUMNS: dict[str, tuple[type, tuple[int, ...], float, float, bool]] = {
    "time_us": (np.int64, (), -np.inf, np.inf, False),
    "receive_us": (np.int64, (), -np.inf, np.inf, False),
    "lat_deg": (np.float64, (), -90.0, 90.0, False),
    "lon_deg": (np.float64, (), -180.0, 180.0, False),
    "alt_hae_m": (np.float64, (), -np.inf, np.inf, True),
    "vel_ned_mps": (np.float64, (3,), -np.inf, np.inf, True),
    "vel_acc_mps": (np.float64, (), 0.0, np.inf, True),
    "h_acc_m": (np.float64, (), 0.0, np.inf, True),
    "v_acc_m": (np.float64, (), 0.0, np.inf, True),
    "quaternion": (np.float64, (4,), -1.001, 1.001, False),
    "flags": (np.int32, (), 0, np.inf, False),
    "delta_yaw_rad": (np.float64, (), -np.inf, np.inf, True),
    "hfov_rad": (np.float64, (), 0.0, np.pi, False),
    "vfov_rad": (np.float64, (), 0.0, np.pi, False),
    "width_px": (np.float64, (), 0.0, np.inf, True),
    "height_px": (np.float64, (), 0.0, np.inf, True),
    "status": (np.int16, (), 0, 255, False),
    "x": (np.float64, (), -np.inf, np.inf, True),
    "y": (np.float64, (), -np.inf, np.inf, True),
    "range_m": (np.float64, (), 0.0, np.inf, False),
    "std_m": (np.float64, (), 0.0, np.inf, True),
    "zoom_percent": (np.float64, (), 0.0, 100.0, False),
    "angle_x_rad": (np.float64, (), -np.inf, np.inf, True),
    "angle_y_rad": (np.float64, (), -np.inf, np.inf, True),
    "distance_m": (np.float64, (), 0.0, np.inf, True),
    "offset_ned_m": (np.float64, (3,), -np.inf, np.inf, True),
    "velocity_ratio": (np.float64, (), -np.inf, np.inf, True),
    "horizontal_ratio": (np.float64, (), -np.inf, np.inf, True),
    "vertical_ratio": (np.float64, (), -np.inf, np.inf, True),
    "healthy": (np.bool_, (), 0, 1, False),
    "identity": (np.str_, (), -np.inf, np.inf, False),
}


class _Table:
    """Check every column of a table by its name; sort nothing, copy nothing that is right already."""

    __slots__ = ()

    def __post_init__(self) -> None:
        columns = {}
        for one in fields(self):  # pyright: ignore[reportArgumentType] - subclasses are dataclasses
            dtype, shape, low, high, nan = _COLUMNS[one.name]
            values = column(one.name, getattr(self, one.name), dtype, (None, *shape), low=low, high=high, nan=nan)
            object.__setattr__(self, one.name, values)
            columns[one.name] = values
        what = type(self).__name__
        same_length(what, columns)
        if np.any(np.diff(columns["time_us"]) < 0):
            raise InputError(f"the rows of {what} must be in time order.")
        if "quaternion" in columns:
            norm = np.linalg.norm(columns["quaternion"], axis=1)
            if np.any(np.abs(norm - 1.0) > 1e-3):
                row = int(np.argmax(np.abs(norm - 1.0)))
                raise InputError(f"quaternions of {what} must have length 1; row {row} has {norm[row]:.4f}.")

    def __len__(self) -> int:
        return len(self.time_us)  # pyright: ignore[reportAttributeAccessIssue] - every table has it


@dataclass(frozen=True, slots=True, eq=False)
class Position(_Table):
    """Where the drone was, n rows.

    Parameters
    ----------
    time_us : (n,) int64
        [us, UTC]
    lat_deg, lon_deg : (n,) float64
        WGS 84. [deg]
    alt_hae_m : (n,) float64
        Height above the ellipsoid. [m]
    vel_ned_mps : (n, 3) float64
        Velocity north, east, down. [m/s]
    h_acc_m, v_acc_m : (n,) float64
        Standard deviations as the receiver states them; NaN where it does not. [m]
    """

    time_us: Times
    lat_deg: Floats
    lon_deg: Floats
    alt_hae_m: Floats
    vel_ned_mps: Floats
    h_acc_m: Floats
    v_acc_m: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Attitude(_Table):
    """How the drone was turned: `quaternion` (n, 4), w x y z, body (forward, right, down) to north-east-down."""

    time_us: Times
    quaternion: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Gimbal(_Table):
    """What the gimbal said: `quaternion` (n, 4) w x y z as sent, `flags`, and `delta_yaw_rad` (NaN where absent)."""

    time_us: Times
    quaternion: Floats
    flags: NDArray[np.int32]
    delta_yaw_rad: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Camera(_Table):
    """What the camera can see: full opening angles [rad] and resolution [px]."""

    time_us: Times
    hfov_rad: Floats
    vfov_rad: Floats
    width_px: Floats
    height_px: Floats


@dataclass(frozen=True, slots=True, eq=False)
class ImageTarget(_Table):
    """What the camera tracked in the image.

    `time_us` is when the message arrived, brought to UTC; the message itself has no time stamp. `x`, `y` are the
    centre of point or rectangle, 0 to 1 from the top left; `status` holds CAMERA_TRACKING_STATUS_FLAGS.
    """

    time_us: Times
    receive_us: Times
    status: NDArray[np.int16]
    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True, eq=False)
class GeoTarget(_Table):
    """Where the camera itself says that its target is; times as in `ImageTarget`, accuracies as sent (NaN absent)."""

    time_us: Times
    receive_us: Times
    status: NDArray[np.int16]
    lat_deg: Floats
    lon_deg: Floats
    alt_hae_m: Floats
    h_acc_m: Floats
    v_acc_m: Floats
    vel_ned_mps: Floats
    vel_acc_mps: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Range(_Table):
    """Valid ranges of a range finder. [m]"""

    time_us: Times
    range_m: Floats
    std_m: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Zoom(_Table):
    """Zoom of the camera, in percent of its full range; which field of view that is, only the camera knows."""

    time_us: Times
    zoom_percent: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Place(_Table):
    """Points that the drone spoke of: its home, the ground below it, the centre of its picture."""

    time_us: Times
    lat_deg: Floats
    lon_deg: Floats
    alt_hae_m: Floats


@dataclass(frozen=True, slots=True, eq=False)
class LandingTarget(_Table):
    """A beacon or tag that the drone saw.

    `angle_x_rad`, `angle_y_rad` are its angles off the image centre, `distance_m` how far it is (NaN unknown), and
    `offset_ned_m` (n, 3) where it is from the drone's origin, where the drone says so in north, east, down.
    """

    time_us: Times
    angle_x_rad: Floats
    angle_y_rad: Floats
    distance_m: Floats
    offset_ned_m: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FollowTarget(_Table):
    """Where the drone was told that the one it follows is; `vel_ned_mps` NaN where unknown.

    The message states two accuracies and not what they are (deviation or variance), so none is given here.
    """

    time_us: Times
    lat_deg: Floats
    lon_deg: Floats
    alt_hae_m: Floats
    vel_ned_mps: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Health(_Table):
    """Whether the autopilot trusts its own estimate.

    The ratios are normalised innovations, 1 at the edge of its own gate: a gate for its position, never a variance.
    `h_acc_m`, `v_acc_m` are standard deviations where the autopilot states them (PX4), NaN elsewhere. `healthy` is
    false where attitude or horizontal position are missing, a glitch is flagged, or a ratio is at the gate.
    """

    time_us: Times
    flags: NDArray[np.int32]
    velocity_ratio: Floats
    horizontal_ratio: Floats
    vertical_ratio: Floats
    h_acc_m: Floats
    v_acc_m: Floats
    healthy: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Traffic(_Table):
    """Other aircraft that the drone heard: ADS-B and Open Drone ID.

    `identity` is what they call themselves (``ICAO 4CA7B3``, ``UAS ...``); `time_us` when they were there.
    """

    time_us: Times
    identity: NDArray[np.str_]
    lat_deg: Floats
    lon_deg: Floats
    alt_hae_m: Floats
    h_acc_m: Floats
    v_acc_m: Floats
    vel_ned_mps: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """How this drone's boot time became UTC.

    Parameters
    ----------
    source : str
        ``system_time+receive``, ``system_time`` or ``receive``; see `dronetrack.mavlink.clock`.
    boot_start_us, offset_us, drift : (k,) float64
        One entry per boot: ``utc = boot + offset + drift * (boot - boot_start)``. [us, us, -]
    std_s : float
        Standard deviation of the result. [s]
    receive_minus_system_time_s : float
        Lower envelope of receive stamp minus the autopilot's own UTC; NaN where one is missing. [s]
    latency_s : float
        What was added to the autopilot's own UTC. [s]
    n_pairs : int
        Valid SYSTEM_TIME pairs.
    residual_s : (k,) float64
        How far the receive stamps' lower envelope scatters about the fit; NaN where a boot was too short. [s]
    reboot_us : (k,) float64
        Receive stamp from which each boot counts. [us]
    """

    source: str = "none"
    boot_start_us: Floats = field(default_factory=lambda: np.zeros(0))
    offset_us: Floats = field(default_factory=lambda: np.zeros(0))
    drift: Floats = field(default_factory=lambda: np.zeros(0))
    std_s: float = float("nan")
    receive_minus_system_time_s: float = float("nan")
    latency_s: float = 0.0
    n_pairs: int = 0
    residual_s: Floats = field(default_factory=lambda: np.zeros(0))
    reboot_us: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        for name in ("residual_s", "reboot_us"):
            object.__setattr__(self, name, column(name, getattr(self, name), np.float64, (None,)))
        for name in ("boot_start_us", "offset_us", "drift"):
            object.__setattr__(self, name, column(name, getattr(self, name), np.float64, (None,), nan=False))


_AnyTable = TypeVar("_AnyTable", bound=_Table)


def _empty(table: type[_AnyTable]) -> _AnyTable:
    shapes = {one.name: (0, *_COLUMNS[one.name][1]) for one in fields(table)}  # pyright: ignore[reportArgumentType]
    return table(**{name: np.zeros(shape, dtype=_COLUMNS[name][0]) for name, shape in shapes.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Telemetry:
    """One drone's report: small tables, each with its own times.

    Parameters
    ----------
    system_id : int
        MAVLink system.
    name : str
        What to call it; empty for none.
    autopilot : int
        MAV_AUTOPILOT, as its heartbeat says; 0 (generic) where unknown.
    position, attitude, gimbal, camera, image_target, geo_target, range : tables
        Each may have no rows. `range` is measured along the camera.
    height : Range
        Range straight down.
    zoom, image_centre, landing_target, follow_target, home, ground, health, traffic : tables
        What else it said; `ground` is the terrain below it as its own map has it.
    clock : Clock
        How boot time became UTC.
    stats : dict
        What was counted while reading.
    """

    system_id: int
    name: str = ""
    autopilot: int = 0
    position: Position = field(default_factory=lambda: _empty(Position))
    attitude: Attitude = field(default_factory=lambda: _empty(Attitude))
    gimbal: Gimbal = field(default_factory=lambda: _empty(Gimbal))
    camera: Camera = field(default_factory=lambda: _empty(Camera))
    image_target: ImageTarget = field(default_factory=lambda: _empty(ImageTarget))
    geo_target: GeoTarget = field(default_factory=lambda: _empty(GeoTarget))
    range: Range = field(default_factory=lambda: _empty(Range))
    height: Range = field(default_factory=lambda: _empty(Range))
    zoom: Zoom = field(default_factory=lambda: _empty(Zoom))
    image_centre: Place = field(default_factory=lambda: _empty(Place))
    landing_target: LandingTarget = field(default_factory=lambda: _empty(LandingTarget))
    follow_target: FollowTarget = field(default_factory=lambda: _empty(FollowTarget))
    home: Place = field(default_factory=lambda: _empty(Place))
    ground: Place = field(default_factory=lambda: _empty(Place))
    health: Health = field(default_factory=lambda: _empty(Health))
    traffic: Traffic = field(default_factory=lambda: _empty(Traffic))
    clock: Clock = field(default_factory=Clock)
    stats: dict = field(default_factory=dict)

    def pose_at(self, time_us: ArrayLike, *, max_gap_s: float | None = None) -> tuple[Floats, Floats, Floats, Floats]:
        """Return position and attitude at any times: linear in position, spherical in attitude.

        Parameters
        ----------
        time_us : (m,) int64
            Times, in any order. [us, UTC]
        max_gap_s : float, optional
            Longest gap to bridge; by default four of the steps that are usual in each table, at most a second: a copter
            swings through its whole range of attitudes in less. [s]

        Returns
        -------
        lat_deg, lon_deg, alt_hae_m : (m,) float64
            Position [deg, deg, m]; NaN outside the log and in longer gaps.
        quaternion : (m, 4) float64
            Attitude, w x y z, body to north-east-down; NaN likewise.
        """
        wanted = column("time_us", time_us, np.int64, (None,))
        table = self.position
        # Unwrapped, so that a drone may cross the date line.
        lon_deg = np.degrees(np.unwrap(np.radians(table.lon_deg)))
        places = np.column_stack([table.lat_deg, lon_deg, table.alt_hae_m])
        place = np.empty((len(wanted), 3))
        turn = np.empty((len(wanted), 4))
        attitude = self.attitude
        kernels.interpolate_rows(
            table.time_us, np.ascontiguousarray(places), wanted, _gap_us(table.time_us, max_gap_s), place
        )
        kernels.slerp_rows(
            attitude.time_us, attitude.quaternion, wanted, _gap_us(attitude.time_us, max_gap_s), turn
        )  # fmt: skip
        return place[:, 0], (place[:, 1] + 180.0) % 360.0 - 180.0, place[:, 2], turn

    def gimbal_at(self, time_us: ArrayLike, *, max_gap_s: float | None = None) -> tuple[Floats, NDArray[np.int32]]:
        """Return the gimbal's quaternion and flags at any times.

        Parameters
        ----------
        time_us : (m,) int64
            Times, in any order. [us, UTC]
        max_gap_s : float, optional
            Longest gap to bridge, as in `pose_at`. [s]

        Returns
        -------
        quaternion : (m, 4) float64
            As sent, interpolated spherically; NaN outside the log and in longer gaps.
        flags : (m,) int32
            Of the row at or before each time; -1 where there is none.
        """
        wanted = column("time_us", time_us, np.int64, (None,))
        gap_us = _gap_us(self.gimbal.time_us, max_gap_s)
        turn = np.empty((len(wanted), 4))
        rows = np.empty(len(wanted), dtype=np.int64)
        kernels.slerp_rows(self.gimbal.time_us, self.gimbal.quaternion, wanted, gap_us, turn)
        kernels.rows_before(self.gimbal.time_us, wanted, gap_us, rows)
        flags = np.full(len(wanted), -1, dtype=np.int32)
        flags[rows >= 0] = self.gimbal.flags[rows[rows >= 0]]
        return turn, flags

    def healthy_at(self, time_us: ArrayLike) -> NDArray[np.bool_]:
        """Return whether the autopilot trusted its own estimate at any times.

        Parameters
        ----------
        time_us : (m,) int64
            Times, in any order. [us, UTC]

        Returns
        -------
        (m,) bool
            As its last report before says; true where it said nothing yet.
        """
        wanted = column("time_us", time_us, np.int64, (None,))
        rows = np.searchsorted(self.health.time_us, wanted, side="right")
        return np.concatenate([[True], self.health.healthy])[rows]

    def steadied(self) -> "Telemetry":
        """Return the same report with its position carried over GNSS jumps by the drone's own velocity.

        Position and velocity witness the same way. Where the position leaves the way that the velocity tells, and
        comes back within half a minute, the receiver was fooled (multipath, jamming): there the position follows the
        velocity, and `h_acc_m` says how far that can be trusted. Everything else stays as it was reported.

        Returns
        -------
        Telemetry
            With ``gnss_glitch_rows`` in `stats`.
        """
        table = self.position
        known = ~np.isnan(table.vel_ned_mps).any(axis=1)
        if len(table) < GLITCH_LEAST_ROWS or not known.all():
            return self
        second = table.time_us * 1e-6 - table.time_us[0] * 1e-6
        north_m = np.radians(table.lat_deg - table.lat_deg[0]) * 6.371e6
        east_m = np.radians((table.lon_deg - table.lon_deg[0] + 180.0) % 360.0 - 180.0) * 6.371e6
        east_m = east_m * np.cos(np.radians(table.lat_deg))
        step_s = np.diff(second)[:, None]
        rate = table.vel_ned_mps[:, :2]
        way = np.vstack([np.zeros(2), np.cumsum(0.5 * (rate[1:] + rate[:-1]) * step_s, axis=0)])
        off = np.column_stack([north_m, east_m]) - way
        usual = _running_median(second, off, GLITCH_WINDOW_S)
        apart = np.hypot(*(off - usual).T)
        bound = max(GLITCH_LEAST_M, 6.0 * 1.4826 * float(np.median(apart)))
        # The edges of a jump stand below the bound: half a second on both sides belongs to it.
        fooled = _widened(second, apart > bound, 2.0 if np.any(apart > bound) else 0.0)
        if not fooled.any() or fooled.mean() > 0.25:
            return self
        good = ~fooled
        carried = np.column_stack([np.interp(second, second[good], off[good, axis]) for axis in range(2)])
        shift = np.where(fooled[:, None], carried - off, 0.0)
        lat_deg = table.lat_deg + np.degrees(shift[:, 0] / 6.371e6)
        lon_deg = table.lon_deg + np.degrees(shift[:, 1] / 6.371e6 / np.cos(np.radians(table.lat_deg)))
        h_acc_m = np.where(fooled, np.fmax(table.h_acc_m, CARRIED_STD_M), table.h_acc_m)
        position = replace(table, lat_deg=lat_deg, lon_deg=(lon_deg + 180.0) % 360.0 - 180.0, h_acc_m=h_acc_m)
        return replace(self, position=position, stats={**self.stats, "gnss_glitch_rows": int(fooled.sum())})


def _gap_us(time_us: Times, max_gap_s: float | None) -> int:
    """Longest gap to bridge between the rows of a table."""
    if max_gap_s is not None:
        return int(max_gap_s * 1e6)
    usual = float(np.median(np.diff(time_us))) if len(time_us) > 1 else 0.0
    return int(min(max(4.0 * usual, 250_000.0), 1_000_000.0))


def _running_median(second: Floats, values: Floats, window_s: float) -> Floats:
    """Median of each column over a window, taken every fifteenth of it and joined by lines."""
    knots = np.arange(second[0], second[-1] + window_s / 15.0, window_s / 15.0)
    first = np.searchsorted(second, knots - 0.5 * window_s)
    last = np.searchsorted(second, knots + 0.5 * window_s, side="right")
    middle = [np.median(values[start:stop], axis=0) for start, stop in zip(first, last, strict=True) if stop > start]
    kept = knots[last > first]
    return np.column_stack([np.interp(second, kept, np.array(middle)[:, axis]) for axis in range(values.shape[1])])


def _widened(second: Floats, mask: NDArray[np.bool_], by_s: float) -> NDArray[np.bool_]:
    """Mark also what lies within `by_s` of a marked row."""
    if not mask.any():
        return mask
    marked = second[mask]
    at = np.searchsorted(marked, second)
    after = np.abs(marked[np.minimum(at, len(marked) - 1)] - second)
    before = np.abs(second - marked[np.maximum(at - 1, 0)])
    return np.minimum(after, before) <= by_s
