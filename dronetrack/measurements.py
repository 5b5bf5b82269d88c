"""What did the sensors measure, when, and how far can it be trusted? The one time-ordered table for every filter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import column, same_length, time_column
from dronetrack.errors import InputError

TICK = 0
POSITION = 1
LINE_OF_SIGHT = 2
HEIGHT = 3

KIND_NAMES = ("tick", "position", "line_of_sight", "height")


@dataclass(frozen=True, slots=True)
class Sensor:
    """What is the same for every row of one sensor.

    A real sensor's errors are mostly *not* new in every row: a boresight is off by the same half degree all day, a
    GNSS position wanders over a minute. What is new in every row stands in `Measurements.cov`; what successive rows
    share stands here and in `Measurements.site_cov`, and the filter carries it as states of its own. A filter that
    takes shared errors for fresh ones becomes confidently wrong.

    Parameters
    ----------
    name : str
        Unique name, such as ``"HU-D1 camera"``.
    authority : str, optional
        Who operates it.
    shared_time_s : float, optional
        Correlation time of the error described by `Measurements.site_cov` (first-order Gauss-Markov). [s]
    heading_std_rad : float, optional
        Standard deviation of a constant error of the platform's heading; turns lines of sight about the vertical. [rad]
    boresight_std_rad : float, optional
        Standard deviation, per axis, of a constant angle between the stated and the true line of sight, fixed to the
        camera (right, up). [rad]
    heading_time_s, boresight_time_s : float, optional
        Correlation times of the two. A compass error changes as the vehicle turns; a mounting error does not. [s]
    wander_std_rad, wander_time_s : float, optional
        A second error of the heading that comes and goes on top of the first, and its correlation time. [rad], [s]
    starts_tracks : bool, optional
        Whether a row of this sensor may start a track; a contact or a height may only constrain one.
    platform : str, optional
        Who carries it, where one carries several: sensors of one platform can be wrong together. Empty: it is alone.
    """

    name: str
    authority: str = ""
    shared_time_s: float = 60.0
    heading_std_rad: float = 0.0
    boresight_std_rad: float = 0.0
    heading_time_s: float = 60.0
    boresight_time_s: float = 3600.0
    wander_std_rad: float = 0.0
    wander_time_s: float = 60.0
    starts_tracks: bool = True
    platform: str = ""

    def __post_init__(self) -> None:
        for name in ("heading_std_rad", "boresight_std_rad", "wander_std_rad"):
            if not 0.0 <= getattr(self, name) <= np.pi:
                raise InputError(f"{name} of sensor {self.name!r} must lie in [0, pi] rad; got {getattr(self, name)}.")
        for name in ("shared_time_s", "heading_time_s", "boresight_time_s", "wander_time_s"):
            if not getattr(self, name) > 0.0:
                raise InputError(f"{name} of sensor {self.name!r} must be positive; got {getattr(self, name)}.")


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """A time-ordered batch of measurements, n rows.

    Parameters
    ----------
    time_us : (n,) int64
        When the target was where the row says. [us, UTC]
    sensor_id : (n,) int32
        Index into `sensors`.
    kind : (n,) int8
        `POSITION`, `LINE_OF_SIGHT`, `HEIGHT`, or `TICK` (a moment at which a row of the track is wanted).
    z : (n, 3) float64
        Position or height: ECEF point [m]; line of sight: ECEF unit vector. NaN where not observed.
    cov : (n, 3, 3) float64
        Covariance of the error that is new in this row. Position and height [m2]; line of sight [rad2], across it.
    site_ecef_m : (n, 3) float64
        Where the sensor stood; NaN where that does not matter. [m]
    site_cov : (n, 3, 3) float64
        Covariance of the error that successive rows of this sensor share, as a displacement in ECEF: of the site for
        a line of sight, of the point itself for a position or height. [m2]
    target_id : (n,) int32
        Which target, where the sensor knows; -1 = unknown.
    sensors : tuple of Sensor
        The sensors, by `sensor_id`.
    stats : dict
        What was counted on the way here.

    Raises
    ------
    InputError
        If shapes, types, order or ranges are wrong.
    """

    time_us: NDArray[np.int64]
    sensor_id: NDArray[np.int32]
    kind: NDArray[np.int8]
    z: NDArray[np.float64]
    cov: NDArray[np.float64]
    site_ecef_m: NDArray[np.float64]
    site_cov: NDArray[np.float64]
    target_id: NDArray[np.int32]
    sensors: tuple[Sensor, ...]
    stats: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "time_us", time_column("time_us", self.time_us, (None,)))
        put(
            self, "sensor_id", column("sensor_id", self.sensor_id, np.int32, (None,), low=0, high=len(self.sensors) - 1)
        )
        put(self, "kind", column("kind", self.kind, np.int8, (None,), low=TICK, high=HEIGHT))
        put(self, "z", column("z", self.z, np.float64, (None, 3)))
        put(self, "cov", column("cov", self.cov, np.float64, (None, 3, 3), nan=False))
        put(self, "site_ecef_m", column("site_ecef_m", self.site_ecef_m, np.float64, (None, 3)))
        put(self, "site_cov", column("site_cov", self.site_cov, np.float64, (None, 3, 3), nan=False))
        put(self, "target_id", column("target_id", self.target_id, np.int32, (None,), low=-1))
        put(self, "sensors", tuple(self.sensors))
        same_length("Measurements", {f.name: getattr(self, f.name) for f in fields(self)[:8]})
        names = [sensor.name for sensor in self.sensors]
        if len(set(names)) < len(names):
            raise InputError(f"sensor names must be unique; got {names}. Two streams of one device need two names.")
        if np.any(np.diff(self.time_us) < 0):
            row = int(np.argmax(np.diff(self.time_us) < 0)) + 1
            raise InputError(
                f"Measurements must be in time order; row {row} is earlier than row {row - 1}. Use merge()."
            )

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, rows: ArrayLike) -> Self:
        """Return some rows, given as a mask, indices or slice that keeps time order.

        Parameters
        ----------
        rows : array_like or slice
            Boolean mask (n,), increasing indices, or a slice.

        Returns
        -------
        Measurements
            The chosen rows with the same sensors.
        """
        return replace(self, **{name: getattr(self, name)[rows] for name in ROW_COLUMNS})

    def of(self, sensor: str) -> Self:
        """Return the rows of one sensor.

        Parameters
        ----------
        sensor : str
            Its name.

        Returns
        -------
        Measurements
            Its rows; the sensor table stays whole.

        Raises
        ------
        InputError
            If there is no such sensor.
        """
        names = [known.name for known in self.sensors]
        if sensor not in names:
            raise InputError(f"no sensor {sensor!r}; there are {names}.")
        return self.take(self.sensor_id == names.index(sensor))


ROW_COLUMNS = tuple(f.name for f in fields(Measurements)[:8])


def measurements_of(
    time_us: ArrayLike,
    kind: int,
    z: ArrayLike,
    cov: ArrayLike,
    sensor: Sensor,
    *,
    site_ecef_m: ArrayLike | None = None,
    site_cov: ArrayLike | None = None,
    stats: dict | None = None,
) -> Measurements:
    """Make the batch of one sensor and put it in time order.

    Parameters
    ----------
    time_us : (n,) int64
        Times. [us, UTC]
    kind : int
        One kind for all rows.
    z, cov, site_ecef_m, site_cov : array_like
        As in `Measurements`; sites default to NaN, shared errors to none.
    sensor : Sensor
        Who measured.
    stats : dict, optional
        Counts to carry along.

    Returns
    -------
    Measurements
        n rows.

    Examples
    --------
    >>> import numpy as np
    >>> z = measurements_of([2, 1], POSITION, np.zeros((2, 3)), np.stack([np.eye(3)] * 2), Sensor("gnss"))
    >>> z.time_us.tolist()
    [1, 2]
    """
    times = time_column("time_us", time_us, (None,))
    n = len(times)
    order = np.argsort(times, kind="stable")
    z, cov = np.asarray(z, dtype=np.float64), np.asarray(cov, dtype=np.float64)
    if z.shape != (n, 3) or cov.shape != (n, 3, 3):
        raise InputError(f"{n} rows need z ({n}, 3) and cov ({n}, 3, 3); got z {z.shape} and cov {cov.shape}.")
    site = np.full((n, 3), np.nan) if site_ecef_m is None else np.asarray(site_ecef_m, dtype=np.float64)
    shared = np.zeros((n, 3, 3)) if site_cov is None else np.asarray(site_cov, dtype=np.float64)
    return Measurements(
        time_us=times[order],
        sensor_id=np.zeros(n, dtype=np.int32),
        kind=np.full(n, kind, dtype=np.int8),
        z=z[order],
        cov=cov[order],
        site_ecef_m=site[order],
        site_cov=shared[order],
        target_id=np.full(n, -1, dtype=np.int32),
        sensors=(sensor,),
        stats=dict(stats or {}),
    )


def merge(*batches: Measurements) -> Measurements:
    """Merge batches into one table in time order.

    Rows of equal time are put in the order of sensor name, then of what they say, so neither the order of the
    arguments nor the way in which the rows were split matters to the result.

    Parameters
    ----------
    *batches : Measurements
        Any number, each in time order; sensors of one name must be equal and become one.

    Returns
    -------
    Measurements
        All rows; `stats` are kept under each sensor's own names.

    Raises
    ------
    InputError
        If two sensors share a name but differ.
    """
    sensors: dict[str, Sensor] = {}
    for sensor in _sensors(batches):
        if sensors.setdefault(sensor.name, sensor) != sensor:
            raise InputError(f"two different sensors are both called {sensor.name!r}; give each its own name.")
    ordered = tuple(sensors[name] for name in sorted(sensors))
    index = {sensor.name: row for row, sensor in enumerate(ordered)}
    whole = {name: [getattr(batch, name) for batch in batches] for name in ROW_COLUMNS}
    whole["sensor_id"] = [_renumber(batch, index) for batch in batches]
    if not batches:
        return _empty()
    columns = {name: np.concatenate(parts) for name, parts in whole.items()}
    order = canonical_order(columns["time_us"], columns["sensor_id"], [columns[name] for name in ROW_COLUMNS[2:]])
    stats: dict = {}
    for batch in batches:
        stats.update(batch.stats)
    return Measurements(**{name: values[order] for name, values in columns.items()}, sensors=ordered, stats=stats)


def canonical_order(
    time_us: NDArray[np.int64], rank: NDArray[np.integer], content: Sequence[NDArray]
) -> NDArray[np.intp]:
    """Return the one order in which filters see rows, however they arrived: time, sensor, then what a row says.

    Parameters
    ----------
    time_us : (n,) int64
        Times. [us, UTC]
    rank : (n,) int
        Place of each row's sensor among the names in order.
    content : sequence of (n, ...) ndarray
        What tells rows of one sensor at one time apart; compared bit by bit, so NaN has a place of its own.

    Returns
    -------
    (n,) intp
        Indices that put the rows in order.
    """
    order = np.lexsort((rank, time_us))
    time_us, rank = time_us[order], rank[order]
    tied = (time_us[1:] == time_us[:-1]) & (rank[1:] == rank[:-1])
    if tied.any():
        rows = np.append(tied, False) | np.append(False, tied)
        few = order[rows]
        keys = [one[few].reshape(len(few), -1) for one in content]
        bits = np.hstack([(key if key.dtype.kind == "i" else key.view(np.int64)).astype(np.int64) for key in keys])
        order[rows] = few[np.lexsort((*bits.T[::-1], rank[rows], time_us[rows]))]
    return order


def _sensors(batches: tuple[Measurements, ...]) -> Iterator[Sensor]:
    for batch in batches:
        yield from batch.sensors


def _renumber(batch: Measurements, index: dict[str, int]) -> NDArray[np.int32]:
    table = np.array([index[sensor.name] for sensor in batch.sensors], dtype=np.int32)
    return table[batch.sensor_id] if len(batch) else np.zeros(0, dtype=np.int32)


def _empty() -> Measurements:
    return Measurements(
        time_us=np.zeros(0, dtype=np.int64),
        sensor_id=np.zeros(0, dtype=np.int32),
        kind=np.zeros(0, dtype=np.int8),
        z=np.zeros((0, 3)),
        cov=np.zeros((0, 3, 3)),
        site_ecef_m=np.zeros((0, 3)),
        site_cov=np.zeros((0, 3, 3)),
        target_id=np.zeros(0, dtype=np.int32),
        sensors=(),
    )
