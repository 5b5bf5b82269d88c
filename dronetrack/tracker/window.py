"""Which rows may still be needed, and in which order? The part of the stream that the passes go over."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.kernels import filters
from dronetrack.measurements import Measurements, Sensor, canonical_order

LOT = 1024  # room is made, and rows are dropped, in lots of this size

_NAMES = (*filters.Rows._fields, "site_cov")
_CONTENT = ("kind", "z", "cov", "site", "site_cov")
_SHAPES = {"time_us": (), "sensor": (), "kind": (), "z": (3,), "site": (3,)}
_TYPES = {"time_us": np.int64, "sensor": np.int32, "kind": np.int8}


class Window:
    """Rows in canonical order, n of them, with room for at least one more behind them.

    `base` (2,) is what number row 0, and row 0 of the track that goes with it, have in the whole stream.
    """

    def __init__(self) -> None:
        self.base = np.zeros(2, dtype=np.int64)
        self._n = 0
        self.columns: dict[str, NDArray] = {}
        self._allocate(LOT, {})

    def __len__(self) -> int:
        return self._n

    @property
    def capacity(self) -> int:
        """For how many rows there is room."""
        return len(self.columns["time_us"])

    @property
    def time_us(self) -> NDArray[np.int64]:
        """(capacity,) int64: times of the rows and of the room behind them."""
        return self.columns["time_us"]

    def rows(self, n: int) -> filters.Rows:
        """Return the first n rows for the kernel."""
        return filters.Rows(*[column[:n] for column in self._views])

    def first_at(self, time_us: int) -> int:
        """Return the first row at or after a time."""
        return int(self.time_us[: self._n].searchsorted(time_us))

    def insert(self, batch: Measurements, start: int, sensor: NDArray[np.int32], rank: NDArray[np.int64]) -> int:
        """Put the rows of a batch from `start` where they belong; return the first row that is not as it was."""
        new = {
            "time_us": batch.time_us[start:],
            "sensor": sensor,
            "kind": batch.kind[start:],
            "z": batch.z[start:],
            "cov": batch.cov[start:],
            "site": batch.site_ecef_m[start:],
            "root": np.zeros((len(sensor), 3, 3)),
            "site_cov": batch.site_cov[start:],
        }
        if new["site_cov"].any():
            filters.shared_root_rows(new["site_cov"], new["root"])
        first = self.first_at(new["time_us"][0])
        if first < self._n or len(sensor) > 1:
            new = {name: np.concatenate([self.columns[name][first : self._n], part]) for name, part in new.items()}
            order = canonical_order(new["time_us"], rank[new["sensor"]], [new[name] for name in _CONTENT])
            new = {name: part[order] for name, part in new.items()}
        self._n += len(sensor)
        if self._n >= self.capacity:
            self._allocate(2 * self._n, {name: part[:first] for name, part in self.columns.items()})
        for name, part in new.items():
            self.columns[name][first : self._n] = part
        return first

    def put_tick(self, time_us: int) -> int:
        """Put a moment at which a row of the track is wanted behind all rows, until more come; return its end."""
        for name, value in (("time_us", time_us), ("sensor", 0), ("kind", filters.TICK)):
            self.columns[name][self._n] = value
        return self._n + 1

    def drop(self, rows: int, n_out: int) -> None:
        """Forget the first rows, and count on."""
        kept = {name: part[rows : self._n] for name, part in self.columns.items()}
        self.base += (rows, n_out)
        self._n -= rows
        self._allocate(2 * self._n + LOT, kept)

    def fill(self, columns: Mapping[str, NDArray], sensors: tuple[Sensor, ...]) -> None:
        """Take rows that were kept elsewhere, after checking them like a stranger's."""
        table = Measurements(
            time_us=columns["time_us"],
            sensor_id=columns["sensor"],
            kind=columns["kind"],
            z=columns["z"],
            cov=columns["cov"],
            site_ecef_m=columns["site"],
            site_cov=columns["site_cov"],
            target_id=np.full(len(columns["time_us"]), -1, dtype=np.int32),
            sensors=sensors,
        )
        if columns["root"].shape != table.cov.shape:
            raise InputError(f"root must be {table.cov.shape}; got {columns['root'].shape}.")
        self._n = len(table)
        self._allocate(2 * self._n + LOT, columns)

    def _allocate(self, capacity: int, kept: Mapping[str, NDArray]) -> None:
        columns = {
            name: np.zeros((capacity, *_SHAPES.get(name, (3, 3))), dtype=_TYPES.get(name, np.float64))
            for name in _NAMES
        }
        for name, part in kept.items():
            columns[name][: len(part)] = part
        self.columns = columns
        # The kernel is compiled for the columns of `Measurements`, which are read-only, and a root, which is not.
        self._views = [columns[name].view() for name in filters.Rows._fields]
        for name, view in zip(filters.Rows._fields, self._views, strict=True):
            view.flags.writeable = name == "root"
