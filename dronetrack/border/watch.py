"""When did it cross, where, and how sure is that? Crossings, found live or afterwards with the same bits."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.border.line import BELIEF, Border
from dronetrack.errors import InputError
from dronetrack.kernels import crossing as kernels
from dronetrack.tracks import Track

if TYPE_CHECKING:
    import geopandas

# The quantiles of the time that a crossing keeps: 95 %, one standard deviation each way, and the median.
QUANTILES = (0.025, 0.15865525393145707, 0.5, 0.8413447460685429, 0.975)
LEVELS = np.array([-1.9599639845400545, -1.0, 0.0, 1.0, 1.9599639845400545])
LEVELS.flags.writeable = False
SUREST = 1.0 - 1e-9  # a filter's covariance says nothing about smaller chances than this

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One crossing: the row of a `Crossings` batch.

    Parameters
    ----------
    time : datetime64[us]
        When, UTC: the median.
    time_std_s : float
        Standard deviation of the time. [s]
    time_95 : (datetime64[us], datetime64[us])
        Between which times it happened, with 95 %.
    known : datetime64[us]
        When the track was first sure of it.
    track_id : int
        Which track.
    leaving, entering : str
        Country codes.
    lat_deg, lon_deg : float
        Where. [deg]
    probability : float
        That the track has changed sides.
    place : str
        Official crossing point there, such as ``"Nadlac II"``; empty where there is none.
    """

    time: np.datetime64
    time_std_s: float
    time_95: tuple[np.datetime64, np.datetime64]
    known: np.datetime64
    track_id: int
    leaving: str
    entering: str
    lat_deg: float
    lon_deg: float
    probability: float
    place: str


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """Crossings of a border, n rows in the order in which they became known.

    Parameters
    ----------
    time_us : (n,) int64
        When: the median. [us, UTC]
    time_std_s : (n,) float64
        Standard deviation of the time. [s]
    time_quantiles_us : (n, 5) int64
        Distribution of the time at `QUANTILES`: 2.5, 15.9, 50, 84.1 and 97.5 %. [us, UTC]
    known_us : (n,) int64
        When the track was first sure of it. [us, UTC]
    track_id : (n,) int64
        Which track.
    leaving, entering : tuple of str
        Country codes.
    lat_deg, lon_deg : (n,) float64
        Where. [deg]
    probability : (n,) float64
        That the track has changed sides, when it was known.
    place : tuple of str
        Official crossing point there; empty where there is none.
    """

    time_us: NDArray[np.int64]
    time_std_s: Floats
    time_quantiles_us: NDArray[np.int64]
    known_us: NDArray[np.int64]
    track_id: NDArray[np.int64]
    leaving: tuple[str, ...]
    entering: tuple[str, ...]
    lat_deg: Floats
    lon_deg: Floats
    probability: Floats
    place: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.time_us)

    def __iter__(self) -> Iterator[Crossing]:
        interval = self.time_quantiles_us[:, [0, -1]].view("datetime64[us]")
        columns = (
            self.time_us.view("datetime64[us]"),
            self.time_std_s.tolist(),
            map(tuple, interval),
            self.known_us.view("datetime64[us]"),
            self.track_id.tolist(),
            self.leaving,
            self.entering,
            self.lat_deg.tolist(),
            self.lon_deg.tolist(),
            self.probability.tolist(),
            self.place,
        )
        return (Crossing(*row) for row in zip(*columns, strict=True))

    @classmethod
    def join(cls, parts: "list[Crossings]") -> Self:
        """Put batches one after another.

        Parameters
        ----------
        parts : list of Crossings
            At least one.

        Returns
        -------
        Crossings
            All rows.
        """
        columns: dict[str, Any] = {each.name: [getattr(part, each.name) for part in parts] for each in fields(cls)}
        for name, rows in columns.items():
            words = isinstance(rows[0], tuple)
            columns[name] = tuple(itertools.chain(*rows)) if words else np.concatenate(rows)
        return cls(**columns)

    def to_geodataframe(self) -> "geopandas.GeoDataFrame":
        """Return the crossings as a table with geometry.

        Returns
        -------
        geopandas.GeoDataFrame
            EPSG:4326 points.
        """
        import geopandas
        import pandas as pd

        table = pd.DataFrame(
            {
                "time": pd.DatetimeIndex(self.time_us.view("datetime64[us]"), tz="UTC"),
                "time_std_s": self.time_std_s,
                "known": pd.DatetimeIndex(self.known_us.view("datetime64[us]"), tz="UTC"),
                "track_id": self.track_id,
                "leaving": list(self.leaving),
                "entering": list(self.entering),
                "probability": self.probability,
                "place": list(self.place),
            }
        )
        return geopandas.GeoDataFrame(
            table, geometry=geopandas.points_from_xy(self.lon_deg, self.lat_deg), crs="EPSG:4326"
        )


class Watch:
    """Watches tracks at a border: rows in, crossings out, and the same bits for any split of the rows.

    A side counts as known where its probability, from the track's covariance and the line's own uncertainty, reaches
    `belief`. A crossing is a change from one known side to the other: noise beside a line makes none, and one true
    crossing makes one. Its time is a distribution: the quantile q is when the probability of the new side passed q,
    the first time below the median and the last time above it, since the old side was last known.

    Parameters
    ----------
    border : Border
        The line to watch.
    belief : float, optional
        Probability at which a side counts as known. Below 0.975 the outer quantiles of the time end where a side is
        known.

    Raises
    ------
    InputError
        If `belief` is not in (0.5, 1).

    Examples
    --------
    >>> watch = Watch(Border.between("HU", "RO"))
    >>> watch.border.host, watch.late_rows
    ('RO', 0)
    """

    __slots__ = ("_belief", "_past", "_room", "_variance", "border", "late_rows")

    def __init__(self, border: Border, *, belief: float = BELIEF) -> None:
        if not 0.5 < belief < 1.0:
            raise InputError(f"belief must lie in (0.5, 1); got {belief}.")
        self.border = border
        self.late_rows = 0
        self._belief = float(belief)
        self._variance = float(border.line_std_m) ** 2
        self._past: dict[int, Floats] = {}
        self._room = np.empty((1, kernels.FOUND))

    def update(self, track: Track) -> Crossings:
        """Take new rows of one track and return the crossings that they made known.

        Parameters
        ----------
        track : Track
            Rows not yet given, in time order; tracks are told apart by `track_id`. Rows older than the last one of
            their track are left out and counted in `late_rows`.

        Returns
        -------
        Crossings
            Mostly none.
        """
        past = self._past.get(track.track_id)
        if past is None:
            past = self._past[track.track_id] = np.where(np.arange(kernels.W) < kernels.FIRST, 0.0, np.nan)
        n = len(track)
        if n > len(self._room):
            self._room = np.empty((n, kernels.FOUND))
        count, late = kernels.watch_rows(
            track.time_us,
            track.state,
            track.cov,
            self._variance,
            self.border.lines,
            self._belief,
            LEVELS,
            past,
            self._room,
        )
        self.late_rows += late
        return self._wrap(self._room[:count], track.track_id) if count else NONE

    def _wrap(self, found: Floats, track_id: int) -> Crossings:
        n = len(found)
        times = np.rint(found[:, :5]).astype(np.int64)
        lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(found[:, 7:10])
        codes = {1.0: self.border.host, -1.0: self.border.home}
        return Crossings(
            time_us=np.ascontiguousarray(times[:, 2]),
            time_std_s=(found[:, 3] - found[:, 1]) * 0.5e-6,
            time_quantiles_us=times,
            known_us=found[:, 5].astype(np.int64),
            track_id=np.full(n, track_id, dtype=np.int64),
            leaving=tuple(codes[-side] for side in found[:, 6].tolist()),
            entering=tuple(codes[side] for side in found[:, 6].tolist()),
            lat_deg=lat_deg,
            lon_deg=lon_deg,
            probability=np.minimum(found[:, 10], SUREST),
            place=self.border.places(lat_deg, lon_deg),
        )


def _none() -> Crossings:
    whole, parts = np.empty(0, dtype=np.int64), np.empty(0)
    return Crossings(
        whole, parts, np.empty((0, 5), dtype=np.int64), whole, whole, (), (), parts, parts, parts, ()
    )  # fmt: skip


NONE = _none()
