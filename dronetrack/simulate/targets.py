"""How does the true target move? As a model or a mixture says, in turns, with stops, along a road, as a function says.

Every motion has ``draw(seconds, runs, origin, rng)``, which gives the truth of all runs at once: (runs, n, 6) ECEF.
`seconds` (n,) increases from the start of the scenario; `origin` is latitude [deg], longitude [deg] and height above
the ellipsoid [m] of the place where local axes touch the ground.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import simulate as kernels
from dronetrack.motion import ConstantVelocity, Mixture
from dronetrack.roads import Route

Floats = NDArray[np.float64]
Origin = tuple[float, float, float]


class TargetMotion(Protocol):
    """Whatever draws the truth of many runs at once."""

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:
        """Return the truth, (runs, n, 6) ECEF. [m], [m/s]"""
        ...


@dataclass(frozen=True, slots=True)
class NearlyConstantVelocity:
    """A target that moves exactly as `ConstantVelocity` says, for tests of consistency and for bounds.

    Parameters
    ----------
    model : ConstantVelocity, optional
        The noise.
    velocity_enu_mps : (float, float, float), optional
        Mean of the first velocity. [m/s]
    velocity_std_mps : (float, float, float), optional
        Its standard deviations; by default those that the model states for an unknown velocity, so that a filter of
        that model starts as the truth is drawn. [m/s]
    """

    model: ConstantVelocity = field(default_factory=ConstantVelocity)
    velocity_enu_mps: tuple[float, float, float] = (0.0, 0.0, 0.0)
    velocity_std_mps: tuple[float, float, float] | None = None

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:
        """Return the truth of all runs.

        Parameters
        ----------
        seconds : (n,) float64
            Times since the start. [s]
        runs : int
            How many.
        origin : (float, float, float)
            Where the target starts. [deg, deg, m]
        rng : numpy.random.Generator
            Source of chance.

        Returns
        -------
        (runs, n, 6) float64
            ECEF position [m] and velocity [m/s].
        """
        first, noise = rng.spawn(2)
        model = self.model
        spread = self.velocity_std_mps or (*(model.initial_speed_std_mps,) * 2, model.initial_climb_std_mps)
        start = np.array(self.velocity_enu_mps) + first.normal(size=(runs, 1, 3)) * np.array(spread)
        step_s = np.diff(seconds)[None, :, None]
        # White acceleration gathers, over a step, a change of velocity and of place with the correlation sqrt(3) / 2.
        white = noise.normal(size=(runs, len(seconds) - 1, 2, 3))
        root_psd = np.sqrt([model.horizontal_psd, model.horizontal_psd, model.vertical_psd])
        kick = np.sqrt(step_s) * root_psd * white[:, :, 0]
        drift = 0.5 * step_s * kick + np.sqrt(step_s**3 / 12.0) * root_psd * white[:, :, 1]
        velocity = np.concatenate([start, start + np.cumsum(kick, axis=1)], axis=1)
        moved = np.cumsum(step_s * velocity[:, :-1] + drift, axis=1)
        return _local_to_ecef(np.concatenate([np.zeros((runs, 1, 3)), moved], axis=1), velocity, origin)


@dataclass(frozen=True, slots=True)
class Switching:
    """A target that moves exactly as a `Mixture` says: by one of its models at a time, and now and then by another.

    It starts at the origin, with a speed as unknown as the model it starts with says: so a filter of that mixture
    starts as the truth is drawn.

    Parameters
    ----------
    mixture : Mixture
        The models and how long each stays.
    """

    mixture: Mixture

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:
        """Return the truth of all runs; see `NearlyConstantVelocity.draw`."""
        return self.draw_models(seconds, runs, origin, rng)[0]

    def draw_models(
        self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Return the truth of all runs, and the model of the step to each row.

        Parameters
        ----------
        seconds, runs, origin, rng
            See `NearlyConstantVelocity.draw`.

        Returns
        -------
        state : (runs, n, 6) float64
            ECEF position [m] and velocity [m/s].
        model : (runs, n) int64
            Index into the models of the mixture.
        """
        chance, noise = rng.spawn(2)
        mixture, shape = self.mixture, (runs, len(seconds))
        lat_deg, lon_deg, alt_hae_m = origin
        out, which = np.empty((*shape, mixture.state_size)), np.empty(shape, dtype=np.int64)
        kernels.switching_rows(
            mixture.codes,
            mixture.parameters,
            mixture.rates,
            np.array(mixture.initial),
            geodesy.geodetic_to_ecef([lat_deg], [lon_deg], [alt_hae_m])[0],
            np.diff(seconds, prepend=seconds[:1]),
            chance.random(shape),
            noise.normal(size=out.shape),
            out,
            which,
        )
        return np.ascontiguousarray(out[:, :, :6]), which


@dataclass(frozen=True, slots=True)
class Turns:
    """A vehicle that drives straight and turns, in turn, each for a random while; its speed stays.

    Parameters
    ----------
    speed_mps : float, optional
        Speed. [m/s]
    rate_deg_s : (float, float), optional
        Slowest and fastest turn, to either side. [deg/s]
    turn_s, straight_s : (float, float), optional
        Shortest and longest turn, and straight stretch. [s]
    """

    speed_mps: float = 15.0
    rate_deg_s: tuple[float, float] = (5.0, 15.0)
    turn_s: tuple[float, float] = (4.0, 12.0)
    straight_s: tuple[float, float] = (5.0, 15.0)

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:
        """Return the truth of all runs; see `NearlyConstantVelocity.draw`."""
        waits, lengths, rates, sides, courses = rng.spawn(5)
        span_s = float(seconds[-1] - seconds[0])
        pairs = int(span_s / (self.turn_s[0] + self.straight_s[0])) + 1
        legs = np.stack(
            [waits.uniform(*self.straight_s, (runs, pairs)), lengths.uniform(*self.turn_s, (runs, pairs))], axis=2
        ).reshape(runs, 2 * pairs)
        rate = np.zeros((runs, 2 * pairs))
        rate[:, 1::2] = rates.uniform(*self.rate_deg_s, (runs, pairs)) * sides.choice([-1.0, 1.0], (runs, pairs))
        course = courses.uniform(0.0, 360.0, (runs, 1))
        return _turning(seconds, legs, rate, course, self.speed_mps, origin, np.zeros(3))


@dataclass(frozen=True, slots=True)
class Legs:
    """A fixed course of legs with constant rates of turn, such as textbooks print; the same in every run.

    Parameters
    ----------
    legs : tuple of (float, float)
        Duration [s] and rate of turn, clockwise positive [deg/s], of each; the last rate goes on.
    speed_mps : float
        Speed. [m/s]
    course_deg : float
        First course, clockwise from north. [deg]
    start_enu_m : (float, float, float), optional
        Where it starts. [m]
    """

    legs: tuple[tuple[float, float], ...]
    speed_mps: float
    course_deg: float
    start_enu_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:  # noqa: ARG002
        """Return the truth of all runs; see `NearlyConstantVelocity.draw`."""
        lengths, rate = np.array(self.legs, dtype=np.float64).T[:, None, :]
        course = np.array([[self.course_deg]])
        one = _turning(seconds, lengths, rate, course, self.speed_mps, origin, np.array(self.start_enu_m))
        return np.repeat(one, runs, axis=0)


@dataclass(frozen=True, slots=True)
class StopAndGo:
    """City traffic on a straight road: speed up, cruise, brake, wait, again and again.

    Parameters
    ----------
    cruise_mps : (float, float), optional
        Slowest and fastest cruise. [m/s]
    acceleration_mps2 : (float, float), optional
        Gentlest and hardest change of speed. [m/s2]
    cruise_s, stop_s : (float, float), optional
        Shortest and longest cruise, and stop. [s]
    """

    cruise_mps: tuple[float, float] = (8.0, 14.0)
    acceleration_mps2: tuple[float, float] = (1.0, 3.0)
    cruise_s: tuple[float, float] = (10.0, 30.0)
    stop_s: tuple[float, float] = (5.0, 30.0)

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:
        """Return the truth of all runs; see `NearlyConstantVelocity.draw`."""
        speeds, paces, lengths, waits, begins, courses = rng.spawn(6)
        cycles = int((seconds[-1] - seconds[0]) / (self.cruise_s[0] + self.stop_s[0])) + 2
        shape = (runs, cycles)
        cruise = speeds.uniform(*self.cruise_mps, shape)
        ramps = cruise[:, :, None] / paces.uniform(*self.acceleration_mps2, (*shape, 2))
        cruising, waiting = lengths.uniform(*self.cruise_s, shape), waits.uniform(*self.stop_s, shape)
        lasts = np.stack([ramps[..., 0], cruising, ramps[..., 1], waiting], axis=2).reshape(runs, -1)
        ends = np.stack([cruise, cruise, np.zeros(shape), np.zeros(shape)], axis=2).reshape(runs, -1)
        # Each run begins somewhere within its first cycle.
        began = begins.uniform(0.0, 1.0, runs) * lasts[:, :4].sum(axis=1)
        knots = np.hstack([np.zeros((runs, 1)), np.cumsum(lasts, axis=1)]) - began[:, None]
        speed = _piecewise(seconds - seconds[0], knots, np.hstack([np.zeros((runs, 1)), ends]))
        course = courses.uniform(0.0, 2.0 * np.pi, (runs, 1, 1))
        ahead = np.concatenate([np.sin(course), np.cos(course), np.zeros((runs, 1, 1))], axis=2)
        step_s = np.diff(seconds)
        gone = np.zeros((runs, len(seconds)))
        np.cumsum(0.5 * step_s * (speed[:, 1:] + speed[:, :-1]), axis=1, out=gone[:, 1:])
        return _local_to_ecef(gone[:, :, None] * ahead, speed[:, :, None] * ahead, origin)


@dataclass(frozen=True, slots=True)
class AlongRoute:
    """A vehicle that drives along a road at changing speed, with stops.

    The speed on the way is `cruise_mps`, changing evenly between the given kilometres; each run drives faster and
    slower than that by a wandering share. At the end of the road it stands.

    Parameters
    ----------
    route : Route
        The road; give its corners a radius, so that the course does not jump.
    cruise_mps : tuple of (float, float)
        Kilometre and speed there. [km], [m/s]
    stops : tuple of (float, float), optional
        Kilometre and length of each stop. [km], [s]
    speed_std : float, optional
        Standard deviation of the share by which a run is faster or slower.
    speed_time_s : float, optional
        How long that lasts. [s]
    """

    route: Route
    cruise_mps: tuple[tuple[float, float], ...]
    stops: tuple[tuple[float, float], ...] = ()
    speed_std: float = 0.07
    speed_time_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.cruise_mps or min(speed for _, speed in self.cruise_mps) <= 0.0:
            raise InputError("cruise_mps must be positive everywhere; use stops to stand.")
        if any(not 0.0 <= at_km <= self.route.length_m / 1000.0 for at_km, _ in self.stops):
            raise InputError(f"every stop must lie on the road of {self.route.length_m / 1000.0:.1f} km.")

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:  # noqa: ARG002
        """Return the truth of all runs; see `NearlyConstantVelocity.draw`. `origin` is not read."""
        share = gauss_markov(seconds, self.speed_time_s, runs, 1, rng)
        step_s = np.diff(seconds)
        pace = np.maximum(1.0 + self.speed_std * share[:, :, 0], 0.2)
        # A run lives through the nominal drive at its own pace; halves of two steps make place and speed agree.
        lived = np.zeros((runs, len(seconds)))
        np.cumsum(0.5 * step_s * (pace[:, 1:] + pace[:, :-1]), axis=1, out=lived[:, 1:])
        gone, speed = _braked(lived, *self._drive())
        return self.route.state(gone.ravel(), (speed * pace).ravel()).reshape(runs, len(seconds), 6)

    def _drive(self) -> tuple[Floats, Floats]:
        """Time (k,) [s] against way (k,) [m] of the nominal drive, before any run's own pace."""
        length = self.route.length_m
        way = np.linspace(0.0, length, int(length / 20.0) + 2)
        km, speeds = np.array(self.cruise_mps, dtype=np.float64).T
        slowness = 1.0 / np.interp(way / 1000.0, km, speeds)
        spent = np.concatenate([[0.0], np.cumsum(0.5 * (slowness[1:] + slowness[:-1]) * np.diff(way))])
        for at_km, lasts_s in self.stops:
            at = max(int(np.searchsorted(way, 1000.0 * at_km)), 1)
            spent = np.concatenate([spent[:at], [spent[at - 1] + lasts_s], spent[at:] + lasts_s])
            way = np.concatenate([way[:at], [way[at - 1]], way[at:]])
        return spent, way


@dataclass(frozen=True, slots=True)
class Free:
    """A target that moves as a function says; the same in every run.

    Parameters
    ----------
    path_enu_m : callable
        From seconds (n,) to east, north, up (n, 3) of the origin. [s], [m]
    """

    path_enu_m: Callable[[Floats], Floats]

    def draw(self, seconds: Floats, runs: int, origin: Origin, rng: np.random.Generator) -> Floats:  # noqa: ARG002
        """Return the truth of all runs; see `NearlyConstantVelocity.draw`. Velocities are differences over 2 ms."""
        half_s = 1e-3
        place = column("path_enu_m", self.path_enu_m(seconds), np.float64, (len(seconds), 3), nan=False)
        velocity = (self.path_enu_m(seconds + half_s) - self.path_enu_m(seconds - half_s)) / (2.0 * half_s)
        return np.repeat(_local_to_ecef(place[None], velocity[None], origin), runs, axis=0)


def gauss_markov(seconds: Floats, tau_s: float, runs: int, width: int, rng: np.random.Generator) -> Floats:
    """Draw first-order Gauss-Markov sequences of unit variance.

    Parameters
    ----------
    seconds : (n,) float64
        Increasing times. [s]
    tau_s : float
        Correlation time. [s]
    runs, width : int
        How many runs, and independent components in each.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    (runs, n, width) float64
        Correlated over time as ``exp(-dt / tau_s)``.

    Examples
    --------
    >>> gauss_markov(np.arange(5.0), 60.0, 2, 3, np.random.default_rng(0)).shape
    (2, 5, 3)
    """
    noise = rng.normal(size=(runs, len(seconds), width))
    out = np.empty_like(noise)
    kernels.gauss_markov_rows(np.diff(seconds, prepend=seconds[:1]), tau_s, noise, out)
    return out


def _local_to_ecef(place: Floats, velocity: Floats, origin: Origin) -> Floats:
    """Return (runs, n, 6) ECEF from place and velocity (runs, n, 3) in the fixed axes of the origin."""
    lat_deg, lon_deg, alt_hae_m = origin
    turn = geodesy.enu_rotation([lat_deg], [lon_deg])[0]
    start = geodesy.geodetic_to_ecef([lat_deg], [lon_deg], [alt_hae_m])[0]
    return np.concatenate([place @ turn + start, velocity @ turn], axis=2)


def _turning(
    seconds: Floats, legs: Floats, rate: Floats, course: Floats, speed: float, origin: Origin, start: Floats
) -> Floats:
    """Exact arcs: legs and rates (runs, k), courses (runs, 1) clockwise from north [deg]; a leg begins on a row."""
    step_s = np.diff(seconds)
    knots = np.cumsum(legs, axis=1)
    middle = 0.5 * (seconds[1:] + seconds[:-1]) - seconds[0]
    leg = np.minimum((middle[None, :, None] > knots[:, None, :]).sum(axis=2), rate.shape[1] - 1)
    turn = np.radians(np.take_along_axis(rate, leg, axis=1)) * step_s
    heading = np.radians(course) + np.hstack([np.zeros((len(turn), 1)), np.cumsum(turn, axis=1)])
    half = 0.5 * turn
    chord = speed * step_s * np.sinc(half / np.pi)
    towards = heading[:, :-1] + half
    moves = np.stack([chord * np.sin(towards), chord * np.cos(towards), np.zeros_like(chord)], axis=2)
    place = np.concatenate([np.zeros((len(turn), 1, 3)), np.cumsum(moves, axis=1)], axis=1) + start
    velocity = speed * np.stack([np.sin(heading), np.cos(heading), np.zeros_like(heading)], axis=2)
    return _local_to_ecef(place, velocity, origin)


def _piecewise(at: Floats, knots: Floats, values: Floats) -> Floats:
    """Linear interpolation of each run's own knots (runs, k) at common points (n,): one call for all runs."""
    runs = len(knots)
    apart = np.arange(runs)[:, None] * (knots.max() - knots.min() + at[-1] - at[0] + 1.0)
    return np.interp((at + apart).ravel(), (knots + apart).ravel(), values.ravel()).reshape(runs, len(at))


def _braked(lived: Floats, nominal_s: Floats, nominal_m: Floats, half_s: float = 1.0) -> tuple[Floats, Floats]:
    """Way and speed, both averaged over two seconds of the drive: brakes are not infinitely hard."""
    area = np.concatenate([[0.0], np.cumsum(0.5 * (nominal_m[1:] + nominal_m[:-1]) * np.diff(nominal_s))])

    def way(t: Floats) -> Floats:
        return np.interp(t, nominal_s, nominal_m)

    def total(t: Floats) -> Floats:
        inside = np.clip(t, nominal_s[0], nominal_s[-1])
        left = np.clip(np.searchsorted(nominal_s, inside, side="right") - 1, 0, len(nominal_s) - 2)
        within = 0.5 * (way(inside) + nominal_m[left]) * (inside - nominal_s[left])
        return area[left] + within + nominal_m[-1] * np.maximum(t - nominal_s[-1], 0.0)

    later, earlier = lived + half_s, lived - half_s
    return (total(later) - total(earlier)) / (2.0 * half_s), (way(later) - way(earlier)) / (2.0 * half_s)
