"""What do the sensors say of the truth? Positions, cameras and contacts, with errors drawn as their rows state them.

Every sensor has ``draw(world, rng)``, which gives the rows of all runs at once. Where a sensor has a `stated` budget,
its rows claim that one while its errors are drawn from `errors`: so a scenario can lie.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, POSITION, Sensor
from dronetrack.sensing import CameraErrors
from dronetrack.simulate.targets import gauss_markov

FROM_TARGET, FROM_CLUTTER, FROM_LOOK_ALIKE = 0, 1, 2
HFOV_RAD = np.radians(60.0)  # turns a pixel error into an angle
GROUND_WHITE_M = 0.3  # as `dronetrack.sensing.ground_heights` states it
LEVEL_M = 500.0  # the Earth falls away by 2 cm over this distance
GROUND = Sensor("terrain", shared_time_s=30.0, starts_tracks=False)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """When a sensor says something.

    Parameters
    ----------
    rate_hz : float, optional
        Rows a second.
    phase_s : float, optional
        Time of the first row. [s]
    windows_s : tuple of (float, float), optional
        Only within these stretches; empty means always. [s]
    dropout : float, optional
        Share of rows that are lost.
    clutter : float, optional
        Share of rows that come from something else, anywhere in a square about the target.
    clutter_m : float, optional
        Half the side of that square. [m]
    """

    rate_hz: float = 5.0
    phase_s: float = 0.0
    windows_s: tuple[tuple[float, float], ...] = ()
    dropout: float = 0.0
    clutter: float = 0.0
    clutter_m: float = 100.0

    def __post_init__(self) -> None:
        if not 0.0 < self.rate_hz <= 1000.0:
            raise InputError(f"rate_hz must lie in (0, 1000]; got {self.rate_hz}.")
        for name in ("dropout", "clutter"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name} is a share and must lie in [0, 1]; got {getattr(self, name)}.")

    def times_us(self, duration_s: float, blind_s: tuple[tuple[float, float], ...]) -> NDArray[np.int64]:
        """Return the times of the rows since the start, without those in which the target is hidden.

        Parameters
        ----------
        duration_s : float
            Length of the scenario. [s]
        blind_s : tuple of (float, float)
            Stretches in which nothing sees the target. [s]

        Returns
        -------
        (m,) int64
            [us]
        """
        count = int(np.floor((duration_s - self.phase_s) * self.rate_hz + 1e-9)) + 1
        seconds = self.phase_s + np.arange(max(count, 0)) / self.rate_hz
        use = np.zeros(len(seconds), dtype=np.bool_) if self.windows_s else np.ones(len(seconds), dtype=np.bool_)
        for start, stop in self.windows_s:
            use |= (seconds >= start) & (seconds < stop)
        for start, stop in blind_s:
            use &= ~((seconds >= start) & (seconds < stop))
        return np.rint(seconds[use] * 1e6).astype(np.int64)


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A second vehicle that the camera takes for the target for a while.

    Parameters
    ----------
    starts_s : (float, float)
        Earliest and latest moment of the confusion; each run draws its own. [s]
    lasts_s : float, optional
        How long the camera stays on it. [s]
    beside_m : float, optional
        How far beside the target it is when the camera jumps over. [m]
    apart_mps : float, optional
        Speed at which the two part, in a direction of each run's own. [m/s]
    """

    starts_s: tuple[float, float]
    lasts_s: float = 5.0
    beside_m: float = 15.0
    apart_mps: float = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What the sensors of a scenario look at: the truth of all runs at the times of one sensor.

    Parameters
    ----------
    seconds : (m,) float64
        Times of the rows since the start. [s]
    truth : (runs, m, 6) float64
        The target. ECEF [m], [m/s]
    ground : (runs, m) float64
        Error of the known ground height in units of its standard deviation; all cameras share it.
    """

    seconds: Floats
    truth: Floats
    ground: Floats

    @property
    def runs(self) -> int:
        """How many runs."""
        return len(self.truth)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one sensor in all runs: times are common, the rest is (runs, m, ...).

    Parameters
    ----------
    sensor : Sensor
        As the rows state it.
    kind : int
        Of all rows.
    z, cov, site_ecef_m, site_cov : ndarray
        As in `Measurements`.
    keep : (runs, m) bool
        False where the row was lost.
    cause : (runs, m) int8
        `FROM_TARGET`, `FROM_CLUTTER` or `FROM_LOOK_ALIKE`.
    errors : dict of str to (runs, ...) ndarray
        What was drawn.
    """

    sensor: Sensor
    kind: int
    z: Floats
    cov: Floats
    site_ecef_m: Floats
    site_cov: Floats
    keep: NDArray[np.bool_]
    cause: NDArray[np.int8]
    errors: dict[str, NDArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of the target: a cooperative receiver, a radar, or what a camera computed itself (a geo target).

    Parameters
    ----------
    name : str
        Of the sensor.
    authority : str, optional
        Who operates it.
    sampling : Sampling, optional
        When.
    std_m : (float, float, float), optional
        Error that is new in every row, east, north, up. [m]
    shared_std_m : (float, float, float), optional
        Error that wanders, east, north, up. [m]
    shared_time_s : float, optional
        How fast. [s]
    starts_tracks : bool, optional
        Whether a row may start a track.
    stated_std_m, stated_shared_std_m : (float, float, float), optional
        What the rows claim instead.
    """

    name: str
    authority: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    std_m: tuple[float, float, float] = (3.0, 3.0, 3.0)
    shared_std_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shared_time_s: float = 60.0
    starts_tracks: bool = True
    stated_std_m: tuple[float, float, float] | None = None
    stated_shared_std_m: tuple[float, float, float] | None = None

    def draw(self, world: World, rng: np.random.Generator) -> tuple[Rows, ...]:
        """Return the rows of all runs.

        Parameters
        ----------
        world : World
            What there is to see.
        rng : numpy.random.Generator
            Source of chance.

        Returns
        -------
        tuple of Rows
            One kind.
        """
        white, wander, lost, false = rng.spawn(4)
        turn = _axes(world.truth[:, :, :3])
        shape = turn.shape[:2]
        fresh = white.normal(size=(*shape, 3)) * np.array(self.std_m)
        shared = gauss_markov(world.seconds, self.shared_time_s, world.runs, 3, wander) * np.array(self.shared_std_m)
        away, cause = _clutter(self.sampling, shape, false)
        local = np.where((cause == FROM_CLUTTER)[..., None], away, 0.0) + fresh + shared
        stated = np.array(self.stated_std_m or self.std_m)
        stated_shared = np.array(self.stated_shared_std_m or self.shared_std_m)
        return (
            Rows(
                Sensor(self.name, self.authority, self.shared_time_s, starts_tracks=self.starts_tracks),
                POSITION,
                world.truth[:, :, :3] + _to_ecef(turn, local),
                _cov_to_ecef(turn, stated**2),
                np.broadcast_to(np.nan, (*shape, 3)),
                _cov_to_ecef(turn, stated_shared**2),
                lost.random(shape) >= self.sampling.dropout,
                cause,
                {"shared_enu_m": shared},
            ),
        )


@dataclass(frozen=True, slots=True)
class Contacts:
    """A ground unit that follows the target and says so: `dronetrack.sensing.contacts` without the unit's own log.

    Parameters
    ----------
    name : str
        Of the unit; the sensor is called "<name> contact".
    authority : str, optional
        Whose unit.
    sampling : Sampling, optional
        When.
    standoff_m : (float, float), optional
        Nearest and farthest distance behind the target. [m]
    unit_std_m : float, optional
        Of the unit's own position, per horizontal axis. [m]
    """

    name: str
    authority: str = ""
    sampling: Sampling = field(default_factory=lambda: Sampling(rate_hz=1.0))
    standoff_m: tuple[float, float] = (50.0, 200.0)
    unit_std_m: float = 5.0

    def draw(self, world: World, rng: np.random.Generator) -> tuple[Rows, ...]:
        """Return the rows of all runs; see `Positions.draw`. The distance is the normal that the row states."""
        white, wander, lost = rng.spawn(3)
        turn = _axes(world.truth[:, :, :3])
        shape = turn.shape[:2]
        near, far = self.standoff_m
        velocity = np.einsum("...ij,...j->...i", turn, world.truth[:, :, 3:])[..., :2]
        speed = np.linalg.norm(velocity, axis=2, keepdims=True)
        moving = speed >= 2.0
        ahead = np.where(moving, velocity / np.maximum(speed, 1e-9), 0.0)
        along_var, across_var = (far - near) ** 2 / 12.0, ((near + far) / 6.0) ** 2
        anywhere_var = (near * near + near * far + far * far) / 6.0
        local = np.zeros((*shape, 3, 3))
        spread = across_var * np.eye(2) + (along_var - across_var) * _outer(ahead)
        local[..., :2, :2] = np.where(moving[..., None], spread, anywhere_var * np.eye(2))
        local[..., [0, 1], [0, 1]] += self.unit_std_m**2
        local[..., 2, 2] = 10.0**2
        scale = gauss_markov(world.seconds, 60.0, world.runs, 3, wander)
        shared = np.einsum("...ij,...j->...i", np.linalg.cholesky(local), scale)
        fresh = 2.0 * white.normal(size=(*shape, 3))
        return (
            Rows(
                Sensor(f"{self.name} contact", self.authority, shared_time_s=60.0, starts_tracks=False),
                POSITION,
                world.truth[:, :, :3] + _to_ecef(turn, fresh + shared),
                np.broadcast_to(2.0**2 * np.eye(3), (*shape, 3, 3)),
                np.broadcast_to(np.nan, (*shape, 3)),
                np.swapaxes(turn, -1, -2) @ local @ turn,
                lost.random(shape) >= self.sampling.dropout,
                np.full(shape, FROM_TARGET, dtype=np.int8),
                {"shared_enu_m": shared},
            ),
        )


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera on a drone that circles the target, or hovers, and a ground of known height under the target.

    White errors lie in the plane across the line of sight; heading error turns the line about the vertical, boresight
    error shifts it to the right and up; the drone's own position wanders; all of them as `Sensor` states them.

    Parameters
    ----------
    name : str
        Of the drone; the sensor is called "<name> camera".
    authority : str, optional
        Who operates it.
    sampling : Sampling, optional
        When.
    errors : CameraErrors, optional
        The budget from which errors are drawn.
    stated : CameraErrors, optional
        The budget that the rows claim; by default the same.
    latency_std_s : float, optional
        Of a constant delay that nobody states, drawn once a run. [s]
    height_m, circle_m : float, optional
        Above the target, and radius of the circle about it. [m]
    period_s : float, optional
        Time of one circle. [s]
    hovers : bool, optional
        Whether the drone stays where it began instead of following the target.
    terrain_std_m : float, optional
        How well the ground height is known; 0 gives no height rows. [m]
    look_alike : LookAlike, optional
        A vehicle that it confuses with the target.
    """

    name: str
    authority: str = ""
    sampling: Sampling = field(default_factory=lambda: Sampling(rate_hz=10.0))
    errors: CameraErrors = field(default_factory=CameraErrors)
    stated: CameraErrors | None = None
    latency_std_s: float = 0.0
    height_m: float = 110.0
    circle_m: float = 80.0
    period_s: float = 90.0
    hovers: bool = False
    terrain_std_m: float = 0.5
    look_alike: LookAlike | None = None

    def draw(self, world: World, rng: np.random.Generator) -> tuple[Rows, ...]:
        """Return lines of sight, and heights of the ground below them, of all runs; see `Positions.draw`."""
        paths, pointing, site_rng, turned, lost, false, ground = rng.spawn(7)
        errors, stated = self.errors, self.stated or self.errors
        turn = _axes(world.truth[:, :, :3])
        shape = turn.shape[:2]
        site, site_velocity = self._path(world, turn, paths)
        place, cause = self._seen(world, turn, false)
        sight, distance = _unit(place - site)
        right, above = _across(sight, turn[:, :, 2])
        # A row that is stamped late shows where the line of sight was, not where it is.
        constant_s = self.latency_std_s * pointing.normal(size=(world.runs, 1))
        late_s = constant_s + errors.timing_std_s * pointing.normal(size=shape)
        rate = (world.truth[:, :, 3:] - site_velocity) / distance[..., None]
        rate -= np.sum(rate * sight, axis=2, keepdims=True) * sight
        heading = np.radians(errors.heading_std_deg) * gauss_markov(
            world.seconds, errors.heading_time_s, world.runs, 1, turned
        )
        boresight = np.radians(errors.boresight_std_deg) * gauss_markov(
            world.seconds, errors.boresight_time_s, world.runs, 2, turned
        )
        off = boresight + _white_rad(errors) * pointing.normal(size=(*shape, 2))
        line = sight + off[..., :1] * right + off[..., 1:] * above - late_s[..., None] * rate
        line = _turned(_unit(line)[0], turn[:, :, 2], -heading)
        accuracy = np.array([errors.h_acc_m, errors.h_acc_m, errors.v_acc_m])
        wander = gauss_markov(world.seconds, errors.position_time_s, world.runs, 3, site_rng) * accuracy
        said_site = site - _to_ecef(turn, wander)
        # The covariance stands across the stated line, as `sightings` writes it: the truth is not known there.
        cov = _white_rad(stated) ** 2 * (np.eye(3) - _outer(line)) + stated.timing_std_s**2 * _outer(rate)
        claimed = np.array([stated.h_acc_m, stated.h_acc_m, stated.v_acc_m])
        rows = Rows(
            camera_sensor(self.name, self.authority, stated),
            LINE_OF_SIGHT,
            line,
            cov,
            said_site,
            _cov_to_ecef(turn, claimed**2),
            lost.random(shape) >= self.sampling.dropout,
            cause,
            {
                "heading_rad": heading[..., 0],
                "boresight_rad": boresight,
                "site_enu_m": wander,
                "latency_s": constant_s[:, 0],
            },
        )
        return (rows, self._heights(world, turn, place, rows, ground)) if self.terrain_std_m else (rows,)

    def _path(self, world: World, turn: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Where the drone is and how it moves, (runs, m, 3) each; each run begins elsewhere on the circle."""
        began = rng.uniform(0.0, 2.0 * np.pi, (world.runs, 1))
        pace = 2.0 * np.pi / self.period_s
        angle = began + (0.0 if self.hovers else pace) * world.seconds
        flat = np.zeros_like(angle)
        offset = np.stack([self.circle_m * np.cos(angle), self.circle_m * np.sin(angle), flat + self.height_m], axis=2)
        swing = self.circle_m * pace * np.stack([-np.sin(angle), np.cos(angle), flat], axis=2)
        middle, drift = world.truth[:, :, :3], world.truth[:, :, 3:]
        if self.hovers:
            return middle[:, :1] + _to_ecef(turn[:, :1], offset[:, :1]) + np.zeros_like(middle), np.zeros_like(drift)
        return middle + _to_ecef(turn, offset), drift + _to_ecef(turn, swing)

    def _seen(self, world: World, turn: Floats, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int8]]:
        """Return what the camera looks at, and why."""
        false, other = rng.spawn(2)
        away, cause = _clutter(self.sampling, turn.shape[:2], false)
        place = world.truth[:, :, :3] + _to_ecef(turn, np.where((cause == FROM_CLUTTER)[..., None], away, 0.0))
        if self.look_alike is None:
            return place, cause
        begins = other.uniform(*self.look_alike.starts_s, (world.runs, 1))
        since = world.seconds - begins
        fooled = (since >= 0.0) & (since < self.look_alike.lasts_s)
        side, way = other.uniform(0.0, 2.0 * np.pi, (2, world.runs, 1))
        distance = self.look_alike.apart_mps * since
        flat = np.zeros_like(since)
        apart = np.stack(
            [
                self.look_alike.beside_m * np.cos(side) + distance * np.cos(way),
                self.look_alike.beside_m * np.sin(side) + distance * np.sin(way),
                flat,
            ],
            axis=2,
        )
        place = np.where(fooled[..., None], world.truth[:, :, :3] + _to_ecef(turn, apart), place)
        return place, np.where(fooled, np.int8(FROM_LOOK_ALIKE), cause)

    def _heights(self, world: World, turn: Floats, place: Floats, lines: Rows, rng: np.random.Generator) -> Rows:
        """Where each stated line meets the level ground that the map shows, if that is near the place looked at."""
        up = turn[:, :, 2]
        error = self.terrain_std_m * world.ground + GROUND_WHITE_M * rng.normal(size=up.shape[:2])
        ground = place + error[..., None] * up
        fall = np.sum(lines.z * up, axis=2)
        drop = np.sum((ground - lines.site_ecef_m) * up, axis=2)
        meets = (fall < -1e-3) & (drop < 0.0)
        point = lines.site_ecef_m + np.where(meets, drop / np.where(meets, fall, 1.0), 0.0)[..., None] * lines.z
        meets &= np.linalg.norm(point - ground, axis=2) < LEVEL_M
        return Rows(
            GROUND,
            HEIGHT,
            point,
            np.broadcast_to(GROUND_WHITE_M**2 * np.eye(3), (*up.shape, 3)),
            np.broadcast_to(np.nan, up.shape),
            self.terrain_std_m**2 * _outer(up),
            lines.keep & meets,
            lines.cause,
        )


SimulatedSensor = Positions | Contacts | Camera


def camera_sensor(name: str, authority: str, stated: CameraErrors) -> Sensor:
    """Return the sensor that `dronetrack.sensing.sightings` would state for a budget.

    Parameters
    ----------
    name, authority : str
        Of the drone.
    stated : CameraErrors
        The budget.

    Returns
    -------
    Sensor
        Called "<name> camera".
    """
    return Sensor(
        f"{name} camera",
        authority,
        shared_time_s=stated.position_time_s,
        heading_std_rad=float(np.radians(stated.heading_std_deg)),
        boresight_std_rad=float(np.radians(stated.boresight_std_deg)),
        heading_time_s=stated.heading_time_s,
        boresight_time_s=stated.boresight_time_s,
    )


def exact(errors: CameraErrors | None = None) -> CameraErrors:
    """Return a camera budget with nothing that rows share but the drone's own position.

    Parameters
    ----------
    errors : CameraErrors, optional
        The budget to start from.

    Returns
    -------
    CameraErrors
        Without heading and boresight errors.
    """
    return replace(errors or CameraErrors(), heading_std_deg=0.0, boresight_std_deg=0.0)


def _white_rad(errors: CameraErrors) -> float:
    width_rad = 2.0 * np.tan(0.5 * HFOV_RAD)
    return float(np.hypot(errors.pixel_std * width_rad, np.radians(errors.pointing_std_deg)))


def _clutter(sampling: Sampling, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Floats, NDArray[np.int8]]:
    """Offsets east, north, up of what is not the target, and which rows come from it."""
    who, where = rng.spawn(2)
    cause = np.where(who.random(shape) < sampling.clutter, FROM_CLUTTER, FROM_TARGET).astype(np.int8)
    if not sampling.clutter:
        return np.zeros((*shape, 3)), cause
    return where.uniform(-sampling.clutter_m, sampling.clutter_m, (*shape, 3)) * np.array([1.0, 1.0, 0.0]), cause


def _axes(place: Floats) -> Floats:
    """East, north, up at each place: (runs, m, 3, 3)."""
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(place.reshape(-1, 3))
    return geodesy.enu_rotation(lat_deg, lon_deg).reshape(*place.shape[:2], 3, 3)


def _to_ecef(turn: Floats, local: Floats) -> Floats:
    return np.einsum("...ji,...j->...i", turn, local)


def _cov_to_ecef(turn: Floats, variances: Floats) -> Floats:
    return np.swapaxes(turn, -1, -2) @ (variances[:, None] * turn)


def _outer(vectors: Floats) -> Floats:
    return vectors[..., :, None] * vectors[..., None, :]


def _unit(vectors: Floats) -> tuple[Floats, Floats]:
    length = np.linalg.norm(vectors, axis=-1)
    return vectors / length[..., None], length


def _across(sight: Floats, up: Floats) -> tuple[Floats, Floats]:
    """Right (level) and upward unit vectors across lines of sight that are not vertical."""
    right, _ = _unit(np.cross(sight, up))
    return right, np.cross(right, sight)


def _turned(vectors: Floats, axis: Floats, angle: Floats) -> Floats:
    """Turn vectors about unit axes by angles (..., 1), counter-clockwise seen from the tip (Rodrigues)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    along = np.sum(axis * vectors, axis=-1, keepdims=True) * axis
    return cosine * vectors + sine * np.cross(axis, vectors) + (1.0 - cosine) * along
