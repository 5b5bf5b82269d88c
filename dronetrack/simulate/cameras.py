"""What does a camera on a drone say of the truth? Lines of sight, and heights of the ground below them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dronetrack.measurements import HEIGHT, LINE_OF_SIGHT, Sensor
from dronetrack.sensing import CameraErrors
from dronetrack.simulate.sensors import (
    FROM_CLUTTER,
    FROM_LOOK_ALIKE,
    GROUND,
    Rows,
    Sampling,
    World,
    clutter_of,
    cov_to_ecef,
    local_axes,
    outer,
    to_ecef,
)
from dronetrack.simulate.targets import Free, gauss_markov

HFOV_RAD = np.radians(60.0)  # turns a pixel error into an angle
GROUND_WHITE_M = 0.3  # as `dronetrack.sensing.ground_heights` states it
LEVEL_M = 500.0  # the Earth falls away by 2 cm over this distance

Floats = NDArray[np.float64]


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
    path_enu_m : callable, optional
        A path of its own instead, from seconds (m,) to east, north, up (m, 3) of the scenario's origin. [s], [m]
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
    path_enu_m: Callable[[Floats], Floats] | None = None
    terrain_std_m: float = 0.5
    look_alike: LookAlike | None = None

    def draw(self, world: World, rng: np.random.Generator) -> tuple[Rows, ...]:
        """Return lines of sight, and heights of the ground below them, of all runs; see `Positions.draw`."""
        paths, pointing, site_rng, heads, axes_rng, lost, false, ground, constant, jitter = rng.spawn(10)
        errors, stated = self.errors, self.stated or self.errors
        turn = local_axes(world.truth[:, :, :3])
        shape = turn.shape[:2]
        site, site_velocity = self._path(world, turn, paths)
        place, cause = self._seen(world, turn, false)
        sight, distance = _unit(place - site)
        right, above = _across(sight, turn[:, :, 2])
        # A row that is stamped late shows where the line of sight was, not where it is.
        constant_s = self.latency_std_s * constant.normal(size=(world.runs, 1))
        late_s = constant_s + errors.timing_std_s * jitter.normal(size=shape)
        rate = (world.truth[:, :, 3:] - site_velocity) / distance[..., None]
        rate -= np.sum(rate * sight, axis=2, keepdims=True) * sight
        heading = np.radians(errors.heading_std_deg) * gauss_markov(
            world.seconds, errors.heading_time_s, world.runs, 1, heads
        )
        boresight = np.radians(errors.boresight_std_deg) * gauss_markov(
            world.seconds, errors.boresight_time_s, world.runs, 2, axes_rng
        )
        off = boresight + _white_rad(errors) * pointing.normal(size=(*shape, 2))
        line = sight + off[..., :1] * right + off[..., 1:] * above - late_s[..., None] * rate
        line = _turned(_unit(line)[0], turn[:, :, 2], -heading)
        accuracy = np.array([errors.h_acc_m, errors.h_acc_m, errors.v_acc_m])
        wander = gauss_markov(world.seconds, errors.position_time_s, world.runs, 3, site_rng) * accuracy
        said_site = site - to_ecef(turn, wander)
        # The covariance stands across the stated line, as `sightings` writes it: the truth is not known there.
        cov = _white_rad(stated) ** 2 * (np.eye(3) - outer(line)) + stated.timing_std_s**2 * outer(rate)
        claimed = np.array([stated.h_acc_m, stated.h_acc_m, stated.v_acc_m])
        rows = Rows(
            camera_sensor(self.name, self.authority, stated),
            LINE_OF_SIGHT,
            line,
            cov,
            said_site,
            cov_to_ecef(turn, claimed**2),
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
        if self.path_enu_m is not None:
            one = Free(self.path_enu_m).draw(world.seconds, world.runs, world.origin, rng)
            return one[..., :3], one[..., 3:]
        began = rng.uniform(0.0, 2.0 * np.pi, (world.runs, 1))
        pace = 2.0 * np.pi / self.period_s
        angle = began + (0.0 if self.hovers else pace) * world.seconds
        flat = np.zeros_like(angle)
        offset = np.stack([self.circle_m * np.cos(angle), self.circle_m * np.sin(angle), flat + self.height_m], axis=2)
        swing = self.circle_m * pace * np.stack([-np.sin(angle), np.cos(angle), flat], axis=2)
        middle, drift = world.truth[:, :, :3], world.truth[:, :, 3:]
        if self.hovers:
            return middle[:, :1] + to_ecef(turn[:, :1], offset[:, :1]) + np.zeros_like(middle), np.zeros_like(drift)
        return middle + to_ecef(turn, offset), drift + to_ecef(turn, swing)

    def _seen(self, world: World, turn: Floats, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int8]]:
        """Return what the camera looks at, and why."""
        false, begin, aside = rng.spawn(3)
        away, cause = clutter_of(self.sampling, turn.shape[:2], false)
        place = world.truth[:, :, :3] + to_ecef(turn, np.where((cause == FROM_CLUTTER)[..., None], away, 0.0))
        if self.look_alike is None:
            return place, cause
        begins = begin.uniform(*self.look_alike.starts_s, (world.runs, 1))
        since = world.seconds - begins
        fooled = (since >= 0.0) & (since < self.look_alike.lasts_s)
        side, way = np.moveaxis(aside.uniform(0.0, 2.0 * np.pi, (world.runs, 1, 2)), 2, 0)
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
        place = np.where(fooled[..., None], world.truth[:, :, :3] + to_ecef(turn, apart), place)
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
            self.terrain_std_m**2 * outer(up),
            lines.keep & meets,
            lines.cause,
        )


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
