"""One least squares adjustment over a whole log: the target's path, what is constantly wrong, and what wanders.

The path is a cubic spline that keeps to the ground and, but for white acceleration, to its velocity; wandering errors
are Gauss-Markov. The unknowns of a knot meet only those of the next three, so the normal equations are a band, with
the constants of each drone as its border (Triggs et al. 2000, section 6, doi:10.1007/3-540-44480-7_21). Sightings
count by Student's t, so that wrong latches do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.kernels import registration as kernels
from dronetrack.motion import ConstantVelocity
from dronetrack.sensing import LONG_S, CameraErrors, GimbalFrame, View, camera_axes
from dronetrack.telemetry import Telemetry
from dronetrack.terrain import Terrain

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Path = tuple[Floats, Floats]  # origin ECEF, spline coefficients (knots, 3) about it
Rows = tuple[Integers, Integers, Floats, Floats]  # columns in the band, in the border, derivatives, whitened residual

YAW, PITCH, HEADING, LATENCY, SCALE, LAG = range(6)
N_CONSTANTS = 6

STUDENT_NU = 4.0  # a sighting's error has heavy tails: wrong latches are far, not rare
PRIOR_NU = 3.0  # so has a heading: most compasses are a degree off, some are five
TERRAIN_TIME_S = 30.0
MAX_KNOTS = 4000
LINEAR_S = 0.003
HALF_US = 50_000  # rates are differences over twice this
VOLUME_STEP_RAD, NOISE_STEP = 0.004, 1.1
NOISE_LIMITS = (0.1, 1e5)


@dataclass(frozen=True, slots=True)
class Sighter:
    """One drone's sightings, and what is assumed of them.

    `start` and `std` (6,) are the constants (yaw, pitch, heading [rad], latency [s], scale, lag of the mount [s])
    before the adjustment and their standard deviations, 0 for one that is not estimated; `noise_rad` is the fresh error
    per axis. `places` (n, 3) ECEF are what the rows look at, where that is known; without them it is the path.
    """

    telemetry: Telemetry
    view: View
    frame: GimbalFrame
    errors: CameraErrors
    start: Floats
    std: Floats
    noise_rad: float
    wanders: bool = True
    places: Floats | None = None


@dataclass(frozen=True, slots=True)
class Fixes:
    """Places of the target (n, 3) ECEF, the roots (n, 3, 3) of their information, and a bias that wanders."""

    time_us: Integers
    place: Floats
    white: Floats
    bias_std_m: float = 0.0
    bias_time_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Sights:
    """Linearised rows of one drone's lines of sight; `residual` (n, 2) is whitened, not yet made robust."""

    columns: Integers
    border: Integers
    jac: Floats
    residual: Floats
    time_us: Integers
    log_density: float  # of the noise at its centre, but for a constant


@dataclass(frozen=True, slots=True)
class _Wander:
    """Where at each knot a wandering error has its unknowns."""

    at: int
    count: int
    std: float
    time_s: float


class Knots:
    """Uniform cubic B-spline in time; wandering errors are linear between the same knots."""

    def __init__(self, start_us: int, stop_us: int) -> None:
        seconds = max((stop_us - start_us) * 1e-6, 1.0)
        self.start_us = start_us
        self.step_s = max(1.0, seconds / MAX_KNOTS)
        self.n_intervals = int(np.ceil(seconds / self.step_s)) + 1
        self.n = self.n_intervals + 3

    def times_us(self) -> Integers:
        """Time of each knot. [us, UTC]"""
        return self.start_us + np.rint(np.arange(self.n_intervals) * self.step_s * 1e6).astype(np.int64)

    def within(self, fixes: Fixes) -> Fixes:
        """Return the places whose time these knots span."""
        last = self.start_us + self.n_intervals * self.step_s * 1e6
        rows = (fixes.time_us >= self.start_us) & (fixes.time_us <= last)
        return replace(fixes, time_us=fixes.time_us[rows], place=fixes.place[rows], white=fixes.white[rows])

    def weights(self, time_us: Integers) -> tuple[Integers, Floats, Floats, Floats]:
        """Coefficients (n, 4) at each time, their weights in value and velocity, and (n, 2) of the middle two alone."""
        place = (time_us - self.start_us) * (1e-6 / self.step_s)
        first: Integers = np.clip(np.floor(place), 0, self.n_intervals - 1).astype(np.int64)
        w = np.clip(place - first, 0.0, 1.0)
        value = np.column_stack([(1 - w) ** 3, 3 * w**3 - 6 * w**2 + 4, -3 * w**3 + 3 * w**2 + 3 * w + 1, w**3]) / 6.0
        rate = np.column_stack([-((1 - w) ** 2), 3 * w**2 - 4 * w, -3 * w**2 + 2 * w + 1, w**2])
        rate /= 2.0 * self.step_s
        knot = np.asarray(first[:, None] + np.arange(4), dtype=np.int64)
        value, rate = np.asarray(value, dtype=np.float64), np.asarray(rate, dtype=np.float64)
        return knot, value, rate, np.asarray(np.column_stack([1 - w, w]), dtype=np.float64)


class Adjustment:
    """The unknowns, the rows that bind them, and Gauss-Newton steps over both.

    `band` (knots, unknowns at each) holds the path as ECEF about `origin`, then what wanders; `border` (drones, 6)
    holds the constants.
    """

    def __init__(
        self,
        knots: Knots,
        path: Path,
        sighters: Sequence[Sighter],
        fixes: Sequence[Fixes],
        terrain: Terrain | None,
        motion: ConstantVelocity,
    ) -> None:
        self.knots, self.terrain = knots, terrain
        self.origin = path[0]
        self.sighters, self.fixes = sighters, fixes
        lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(self.origin[None])
        self.local = geodesy.enu_rotation(lat_deg, lon_deg)[0]
        self.size = 3
        self.heading = [self._wander(one.wanders, 1, *_heading_error(one)) for one in sighters]
        self.boresight = [self._wander(one.wanders, 2, *_boresight_error(one)) for one in sighters]
        self.site = [self._wander(one.wanders, 3, *_site_error(one)) for one in sighters]
        self.bias = [self._wander(True, 3, one.bias_std_m, one.bias_time_s) for one in fixes]
        self.band = np.zeros((knots.n, self.size))
        self.band[:, :3] = path[1]
        self.border = np.array([one.start for one in sighters]).reshape(-1, N_CONSTANTS)
        self.noise = np.ones(len(sighters))  # variance of each drone's sightings over the stated one
        self.robust = True
        self.volume_slope = np.zeros(self.border.size)
        self.lean = np.zeros((self.band.size, self.border.size))  # how the band follows each constant
        self._weights: list[Floats] = []
        self._white: dict[int, Floats] = {}
        self._poses: dict[int, tuple] = {}
        self.prior = self._prior(motion)

    def _wander(self, wanders: bool, count: int, std: float, time_s: float) -> _Wander:
        count = count if wanders and std > 0.0 else 0
        self.size += count
        return _Wander(self.size - count, count, std, time_s)

    def _prior(self, motion: ConstantVelocity) -> Floats:
        """Banded information of what is known before any sighting: quadratic, so it is built once."""
        knots, size = self.knots, self.size
        A = np.zeros((4 * size, knots.n * size), order="F")
        none, rhs = np.zeros((0, 0)), np.zeros(knots.n * size)
        first = np.arange(knots.n_intervals)[:, None]
        columns = self._path_columns(first + np.arange(4))
        root = self.local / np.sqrt([[motion.horizontal_psd]] * 2 + [[motion.vertical_psd]])
        # Acceleration is linear between knots: two Gauss points integrate its square exactly.
        for w in (0.5 - np.sqrt(1 / 12), 0.5 + np.sqrt(1 / 12)):
            bend = np.array([1 - w, 3 * w - 2, 1 - 3 * w, w]) / knots.step_s**2
            jac = np.sqrt(0.5 * knots.step_s) * np.concatenate([b * root for b in bend], axis=1)
            each = np.ascontiguousarray(np.broadcast_to(jac, (len(first), 3, 12)))
            kernels.normal_rows(columns, first[:, :0], each, np.zeros((len(first), 3)), A, none, none, rhs)
        here = np.arange(knots.n - 1)[:, None] * size
        for one in (*self.heading, *self.boresight, *self.site, *self.bias):
            keep = np.exp(-knots.step_s / one.time_s)
            fresh_var = one.std**2 * (1.0 - keep**2) if one.count else 1.0
            at = one.at + np.arange(one.count)
            A[0, at] += 1.0 / one.std**2 if one.count else 0.0
            A[0, here + at] += keep**2 / fresh_var
            A[0, here + size + at] += 1.0 / fresh_var
            A[size, here + at] -= keep / fresh_var
        # Where the path starts is not known at all; a thousand kilometres keep the matrix regular.
        A[0, np.arange(knots.n)[:, None] * size + np.arange(3)] += 1e-12
        return A

    def place(self, time_us: Integers) -> tuple[Floats, Floats]:
        """Position and velocity of the path at any times, ECEF. [m], [m/s]"""
        knot, value, rate, _ = self.knots.weights(time_us)
        path = self.band[knot, :3]
        return self.origin + np.einsum("nk,nkc->nc", value, path), np.einsum("nk,nkc->nc", rate, path)

    def wandered(self, time_us: Integers, one: _Wander) -> Floats:
        """Return a wandering error (n, count) at any times."""
        knot, _, _, linear = self.knots.weights(time_us)
        return np.einsum("nk,nkc->nc", linear, self.band[knot[:, 1:3], one.at : one.at + one.count])

    def step(self) -> tuple[Floats, float]:
        """Take one Gauss-Newton step; return the border's covariance and the log determinant of all information."""
        from scipy.linalg import cho_solve_banded

        n, m = self.band.size, self.border.size
        self._white.clear()
        root, B, C, g = self._normal(self._linearised())
        solved = cho_solve_banded((root, True), np.column_stack([B, g[:n]]), check_finite=False)
        reduced = C - B.T @ solved[:, :m]
        cov = np.linalg.inv(reduced)
        change = cov @ (g[n:] - B.T @ solved[:, m] - 0.5 * self.volume_slope)
        self.lean = -solved[:, :m]
        self.band += (solved[:, m] + self.lean @ change).reshape(self.band.shape)
        self.border += change.reshape(self.border.shape)
        return cov, _log_det(root) + float(np.linalg.slogdet(reduced)[1])

    def site_offset(self, number: int) -> tuple[Floats, Floats]:
        """Where a drone was in the middle of the log, less where it said, east north up; and the covariance of that."""
        from scipy.linalg import cho_solve_banded

        one, middle = self.site[number], self.knots.n // 2
        own = middle * self.size + one.at + np.arange(one.count)
        root, B, C, _ = self._normal(self._linearised())
        unit = np.zeros((self.band.size, one.count))
        unit[own, np.arange(one.count)] = 1.0
        solved = cho_solve_banded((root, True), np.column_stack([B, unit]), check_finite=False)
        lean, inner = solved[:, : C.shape[0]], solved[:, C.shape[0] :]
        cov = inner[own] + lean[own] @ np.linalg.inv(C - B.T @ lean) @ lean[own].T
        return self.band[middle, one.at : one.at + one.count], cov

    def take_volume_into_account(self) -> None:
        """Let the next steps find where the constants are likely, whatever the path: not where both are together.

        A camera that looks lower has its target nearer, where the same angles are shorter ways: such paths are
        smoother, but there are fewer of them. What counts is the sum over all paths, whose logarithm is less by half
        the log determinant of the information of the path (Laplace).
        """
        band, border = self.band, self.border
        weights = self._weights
        before = _log_det(self._normal(self._linearised(weights))[0])
        for column in range(PITCH, border.size, N_CONSTANTS):
            if self.sighters[column // N_CONSTANTS].std[PITCH] > 0.0:
                moved = border.copy()
                moved.ravel()[column] += VOLUME_STEP_RAD
                self.border, self.band = moved, band + (self.lean[:, column] * VOLUME_STEP_RAD).reshape(band.shape)
                after = _log_det(self._normal(self._linearised(weights))[0])
                self.volume_slope[column] = (after - before) / VOLUME_STEP_RAD
        self.band, self.border = band, border

    def fit_noise(self) -> None:
        """Bring the noise of each drone's sightings to what their residuals say.

        The path follows some of the noise: the rows are worth as many less as the log determinant of its information
        grows by with that of the rows. Errors of a servo mount last for a second or two, where its lag meets the
        vehicle's lean, and for as long the path can turn: what it follows of them is no measure of what they are, so
        a mount is never taken for quieter than stated.
        """
        blocks = self._linearised()
        before = _log_det(self._normal(blocks)[0])
        for number, noise in enumerate(self.noise):
            columns, border, jac, residual = blocks[number]
            louder = (columns, border, jac / np.sqrt(NOISE_STEP), residual / np.sqrt(NOISE_STEP))
            after = _log_det(self._normal([*blocks[:number], louder, *blocks[number + 1 :]])[0])
            free = max(residual.size - (before - after) / np.log(NOISE_STEP), 0.1 * residual.size)
            squares = float(np.sum(residual**2))
            least = 1.0 if self.boresight[number].count else NOISE_LIMITS[0]
            self.noise[number] = np.clip(noise * squares / free, least, NOISE_LIMITS[1])

    def _normal(self, blocks: list[Rows]) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the root of the band's information, the rest of the normal equations, and their right-hand side."""
        from scipy.linalg import cholesky_banded

        n, m = self.band.size, self.border.size
        A, B, C, g = self.prior.copy(order="F"), np.zeros((n, m)), np.zeros((m, m)), np.zeros(n + m)
        g[:n] = -_banded_product(self.prior, self.band.ravel())
        C[np.arange(m), np.arange(m)], g[n:] = self._constants_prior()
        for columns, border, jac, residual in blocks:
            kernels.normal_rows(columns, border, jac, residual, A, B, C, g)
        return cholesky_banded(A, lower=True, overwrite_ab=True, check_finite=False), B, C, g

    def log_likelihood(self) -> float:
        """Return the log density of data and unknowns together, but for a constant that all models share."""
        flat = self.band.ravel()
        total = -0.5 * float(flat @ _banded_product(self.prior, flat))
        total += 0.5 * float((self.border.ravel() - self._starts()) @ self._constants_prior()[1])
        for number in range(len(self.sighters)):
            sights = self.sights(number)
            total += _log_student(sights.residual) + sights.log_density
        total += sum(_log_student(self._fixes(number)[2]) for number in range(len(self.fixes)))
        if self.terrain is not None:
            total -= 0.5 * float(np.sum(self._heights(self.terrain)[3] ** 2))
        return total

    def _starts(self) -> Floats:
        return np.array([one.start for one in self.sighters]).ravel()

    def constants_information(self, constants: Floats | None = None) -> Floats:
        """Information of the constants before any sighting; a far heading is held more loosely (Student's t)."""
        std = np.array([one.std for one in self.sighters]).ravel()
        free = std > 0.0
        away = (self.border.ravel() if constants is None else constants) - self._starts()
        off = np.where(free, away / np.where(free, std, 1.0), 0.0)
        loose = np.ones_like(off)
        loose[HEADING::N_CONSTANTS] = np.clip((PRIOR_NU + 1.0) / (PRIOR_NU + off[HEADING::N_CONSTANTS] ** 2), 0.1, 1.0)
        return np.where(free, loose / np.where(free, std, 1.0) ** 2, 1.0)

    def _constants_prior(self) -> tuple[Floats, Floats]:
        information = self.constants_information()
        return information, information * (self._starts() - self.border.ravel())

    def _linearised(self, weights: list[Floats] | None = None) -> list[Rows]:
        """Return every block of rows, made robust by the weights of an earlier call or by new ones."""
        self._weights = []
        blocks: list[Rows] = []
        for number in range(len(self.sighters)):
            sights = self.sights(number)
            weight = self._weight(sights.residual, weights)
            blocks.append((sights.columns, sights.border, *_weighted(sights.jac, sights.residual, weight)))
        for number in range(len(self.fixes)):
            columns, jac, residual = self._fixes(number)
            blocks.append((columns, columns[:, :0], *_weighted(jac, residual, self._weight(residual, weights))))
        return blocks if self.terrain is None else [*blocks, self._heights(self.terrain)]

    def _weight(self, residual: Floats, known: list[Floats] | None) -> Floats:
        if known is not None and len(known[len(self._weights)]) == len(residual):
            weight = known[len(self._weights)]
        else:
            weight = student_weight(residual) if self.robust else np.ones(len(residual))
        self._weights.append(weight)
        return weight

    def sights(self, number: int) -> Sights:
        """Linearise one drone's lines of sight: what the camera says, less where the path is."""
        one, knots = self.sighters[number], self.knots
        rows, time_us, ray, site, axes, site_rate, axes_rate, mount_rate, up = self._posed(number)
        wanders = [self.heading[number], self.boresight[number], self.site[number]]
        n, k = len(rows), 12 + 2 * sum(each.count for each in wanders)
        white = self._white.get(number)
        fresh = white is None or len(white) != n
        if fresh:
            white = self._white[number] = np.empty((n, 3))
        columns, jac, residual = np.empty((n, k), np.int64), np.empty((n, 2, k + N_CONSTANTS)), np.empty((n, 2))
        log_density = kernels.sights_rows(
            (time_us - knots.start_us) * (1e-6 / knots.step_s),
            knots.step_s,
            knots.n_intervals,
            self.band,
            self.origin,
            self.local,
            np.array([[each.at, each.count] for each in wanders]),
            ray,
            site,
            axes,
            site_rate,
            axes_rate,
            mount_rate,
            up,
            np.zeros((0, 3)) if one.places is None else one.places[rows],
            self.border[number],
            one.noise_rad,
            one.errors.timing_std_s,
            float(self.noise[number]),
            fresh,
            white,
            columns,
            jac,
            residual,
        )
        border = np.where(one.std > 0.0, number * N_CONSTANTS + np.arange(N_CONSTANTS), -1)
        border = np.ascontiguousarray(np.broadcast_to(border, (n, N_CONSTANTS)))
        return Sights(columns, border, jac, residual, time_us, log_density)

    def _posed(self, number: int) -> tuple[Integers, Integers, Floats, Floats, Floats, Floats, Floats, Floats, Floats]:
        """Row and time of each image, its ray, the drone's site and camera axes then with their rates, and the up.

        The log is asked again where latency or lag have moved by more than what linear motion bridges.
        """
        one, delays = self.sighters[number], self.border[number, [LATENCY, LAG]]
        known = self._poses.get(number)
        if known is None or np.abs(delays - known[0]).max() > LINEAR_S:
            time_us = one.view.time_us - np.int64(round(delays[0] * 1e6))
            site, axes, site_rate, axes_rate, mount_rate = _moving_axes(one, time_us, delays[1])
            good = np.flatnonzero(np.isfinite(axes_rate + mount_rate).all(axis=(1, 2)) & np.isfinite(site[:, 0]))
            lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(site[good])
            up = np.ascontiguousarray(geodesy.enu_rotation(lat_deg, lon_deg)[:, 2])
            floats = (each[good] for each in (one.view.ray, site, axes, site_rate, axes_rate, mount_rate))
            known = self._poses[number] = delays, (good, time_us[good], *floats, up)
            self._white.pop(number, None)
        before_s, lag_s = delays - known[0]
        rows, time_us, ray, site, axes, site_rate, axes_rate, mount_rate, up = known[1]
        time_us = time_us - np.int64(round(before_s * 1e6))
        site, axes = site - before_s * site_rate, axes - before_s * axes_rate - lag_s * mount_rate
        return rows, time_us, ray, site, axes, site_rate, axes_rate, mount_rate, up

    def _fixes(self, number: int) -> tuple[Integers, Floats, Floats]:
        """Linearise places of the target: columns, derivatives, whitened residual."""
        one, bias = self.fixes[number], self.bias[number]
        knot, value, _, linear = self.knots.weights(one.time_us)
        off = one.place - self.place(one.time_us)[0]
        columns, jac = self._path_columns(knot), _spread(value, one.white)
        if bias.count:
            off -= self.wandered(one.time_us, bias) @ self.local
            columns = np.concatenate([columns, self._wander_columns(knot, bias)], axis=1)
            jac = np.concatenate([jac, _spread(linear, one.white @ self.local.T)], axis=2)
        return columns, jac, _apply(one.white, off)

    def _heights(self, terrain: Terrain) -> Rows:
        """Tie the path to the ground: its height over it wanders by the standard deviation of the terrain."""
        knots = self.knots
        lat_deg, lon_deg, height = geodesy.ecef_to_geodetic(self.place(knots.times_us())[0])
        above = height - terrain.ground_hae_m(lat_deg, lon_deg)
        up = geodesy.enu_rotation(lat_deg, lon_deg)[:, 2]
        known = np.isfinite(above)
        joined = known & np.concatenate([[False], known[:-1]])
        keep = np.where(joined, np.exp(-knots.step_s / TERRAIN_TIME_S), 0.0)
        std = terrain.std_m * np.sqrt(1.0 - keep**2)
        before = np.where(joined, np.roll(above, 1), 0.0)
        # At a knot the spline is (1, 4, 1) / 6 of three coefficients; the first row has no earlier one.
        first = np.maximum(np.arange(knots.n_intervals) - 1, 0)
        now = np.tile([0.0, 1.0, 4.0, 1.0], (len(first), 1)) / 6.0
        now[0] = np.array([1.0, 4.0, 1.0, 0.0]) / 6.0
        then = np.array([1.0, 4.0, 1.0, 0.0]) / 6.0 * keep[:, None]
        jac = _spread(now, up[:, None, :]) - _spread(then, np.roll(up, 1, axis=0)[:, None, :])
        columns = self._path_columns(first[:, None] + np.arange(4))[known]
        return columns, columns[:, :0], (jac / std[:, None, None])[known], ((keep * before - above) / std)[known, None]

    def _path_columns(self, knot: Integers) -> Integers:
        return (knot[:, :, None] * self.size + np.arange(3)).reshape(len(knot), -1)

    def _wander_columns(self, knot: Integers, one: _Wander) -> Integers:
        return (knot[:, 1:3, None] * self.size + one.at + np.arange(one.count)).reshape(len(knot), -1)


def _moving_axes(one: Sighter, time_us: Integers, lag_s: float) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Site and camera axes at each time, their rates, and what the mount alone adds to that of the axes."""
    steps_us = np.array([0, -HALF_US, HALF_US])
    lagging = one.std[LAG] > 0.0
    pose_us = (time_us + (steps_us[[0, 1, 2, 0, 0]] if lagging else steps_us)[:, None]).ravel()
    mount_us = (time_us + (steps_us[[0, 1, 2, 1, 2]] if lagging else steps_us)[:, None]).ravel()
    site, axes = camera_axes(
        one.telemetry, pose_us, one.frame, lag_s=np.asarray(lag_s + (pose_us - mount_us) * 1e-6, np.float64)
    )
    site, axes = site.reshape(-1, len(time_us), 3), axes.reshape(-1, len(time_us), 3, 3)
    site_rate, axes_rate = ((each[2] - each[1]) / (2e-6 * HALF_US) for each in (site, axes))
    mount_rate = (axes[4] - axes[3]) / (2e-6 * HALF_US) if lagging else np.zeros_like(axes_rate)
    return site[0], axes[0], site_rate, axes_rate, mount_rate


def student_weight(residual: Floats) -> Floats:
    """Weight of each row (n, d) of whitened residuals under Student's t."""
    d = residual.shape[1]
    return (STUDENT_NU + d) / (STUDENT_NU + np.einsum("nd,nd->n", residual, residual))


def _log_det(root: Floats) -> float:
    """Log determinant of a banded matrix, from its Cholesky factor."""
    return 2.0 * float(np.log(root[0]).sum())


def _log_student(residual: Floats) -> float:
    squares = np.einsum("nd,nd->n", residual, residual)
    return -0.5 * (STUDENT_NU + residual.shape[1]) * float(np.log1p(squares / STUDENT_NU).sum())


def _heading_error(one: Sighter) -> tuple[float, float]:
    return float(np.radians(one.errors.heading_std_deg)), one.errors.heading_time_s


def _boresight_error(one: Sighter) -> tuple[float, float]:
    std = one.errors.boresight_std_deg if one.errors.boresight_time_s < LONG_S else 0.0
    return float(np.radians(std)), one.errors.boresight_time_s


def _site_error(one: Sighter) -> tuple[float, float]:
    stated = one.telemetry.position.h_acc_m
    stated = stated[np.isfinite(stated) & (stated > 0.0)]
    return (float(np.median(stated)) if len(stated) else one.errors.h_acc_m), one.errors.position_time_s


def _weighted(jac: Floats, residual: Floats, weight: Floats) -> tuple[Floats, Floats]:
    root = np.sqrt(weight)
    return jac * root[:, None, None], residual * root[:, None]


def _spread(weights: Floats, by: Floats) -> Floats:
    """Chain weights (n, k) of coefficients and derivatives (n, d, c) by a component to (n, d, k * c)."""
    out = weights[:, None, :, None] * by[:, :, None, :]
    return out.reshape(len(by), by.shape[1], -1)


def _banded_product(A: Floats, x: Floats) -> Floats:
    """Symmetric banded matrix (lower form) times vector."""
    from scipy.linalg.blas import dsbmv  # pyright: ignore[reportAttributeAccessIssue]

    return np.asarray(dsbmv(len(A) - 1, 1.0, A, x, lower=1), dtype=np.float64)


def inverse_root(cov: Floats) -> Floats:
    """Return white (n, d, d) with white' white = inv(cov)."""
    return np.asarray(np.linalg.inv(np.linalg.cholesky(cov)), dtype=np.float64)


def _apply(matrices: Floats, vectors: Floats) -> Floats:
    return np.einsum("nij,nj->ni", matrices, vectors)
