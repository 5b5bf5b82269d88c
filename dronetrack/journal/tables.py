"""How do rows lie in a record? Columns one after another, every bit kept."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import FormatError, InputError
from dronetrack.measurements import Measurements, Sensor
from dronetrack.tracks import Track

Layout = tuple[tuple[str, str, tuple[int, ...]], ...]

# Wide columns first, so that each lies on a boundary of its own width and is read without a copy.
MEASUREMENTS: Layout = (
    ("time_us", "<i8", ()),
    ("z", "<f8", (3,)),
    ("cov", "<f8", (3, 3)),
    ("site_ecef_m", "<f8", (3,)),
    ("site_cov", "<f8", (3, 3)),
    ("sensor_id", "<i4", ()),
    ("target_id", "<i4", ()),
    ("kind", "<i1", ()),
)
TRACK: Layout = (
    ("time_us", "<i8", ()),
    ("state", "<f8", (6,)),
    ("cov", "<f8", (6, 6)),
    ("nis", "<f8", ()),
    ("n_sensors", "<i2", ()),
    ("status", "<i1", ()),
)

SPAN_US = 60_000_000  # the rows of one record lie within one minute: what a purge may leave behind is bounded
MAX_ROWS = 32_768  # 7 MB of measurements, 12 MB of a track
FEW_ROWS = 256  # below this, one copy is quicker than many small pieces


def pieces(table: Measurements | Track, layout: Layout, rows: slice) -> list[Any]:
    """Return some rows of a table as the pieces of a payload; large columns are lent, not copied."""
    columns = [getattr(table, name) for name, _, _ in layout]
    if rows.stop - rows.start < len(table):
        columns = [column[rows] for column in columns]
    if sys.byteorder == "big":
        columns = [column.astype(dtype) for column, (_, dtype, _) in zip(columns, layout, strict=True)]
    if rows.stop - rows.start < FEW_ROWS:
        return [b"".join(columns)]
    return [memoryview(column).cast("B") for column in columns]


def spans(time_us: NDArray[np.int64]) -> Iterator[slice]:
    """Cut rows in time order into what one record may hold: one minute, so many rows.

    Examples
    --------
    >>> list(spans(np.array([1, 59_999_999, 60_000_000])))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    n = len(time_us)
    if 0 < n <= MAX_ROWS and time_us.item(0) // SPAN_US == time_us.item(n - 1) // SPAN_US:
        yield slice(0, n)
        return
    minutes = np.flatnonzero(np.diff(time_us // SPAN_US)) + 1
    edges = np.unique(np.concatenate([[0, n], minutes, np.arange(0, n, MAX_ROWS)]))
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        yield slice(start, stop)


def columns(payload: memoryview, layout: Layout, n: int) -> dict[str, NDArray]:
    """Return the columns of a payload of n rows: read-only, on the payload's own memory.

    Raises
    ------
    FormatError
        If the payload has another size.
    """
    kinds = {name: (np.dtype(dtype), shape) for name, dtype, shape in layout}
    width = sum(dtype.itemsize * int(np.prod(shape)) for dtype, shape in kinds.values())
    if n < 0 or len(payload) != width * n:
        raise FormatError(f"{n} rows need {width} bytes each; got {len(payload)} bytes.")
    found, at = {}, 0
    for name, (dtype, shape) in kinds.items():
        count = n * int(np.prod(shape))
        one = np.frombuffer(payload, dtype, count, at) if count else np.zeros(0, dtype)
        found[name] = one.reshape(n, *shape).astype(dtype.newbyteorder("="), copy=False)
        found[name].flags.writeable = False
        at += count * dtype.itemsize
    return found


def sensors_as_facts(sensors: tuple[Sensor, ...]) -> dict[str, Any]:
    """Return a table of sensors as facts."""
    return {"sensors": [asdict(sensor) for sensor in sensors]}


def sensors_from_facts(facts: Mapping[str, Any]) -> tuple[Sensor, ...]:
    """Make the table of sensors that `sensors_as_facts` wrote.

    Raises
    ------
    FormatError
        If the facts are none.
    """
    try:
        return tuple(Sensor(**one) for one in facts["sensors"])
    except (KeyError, TypeError, AttributeError, InputError) as fault:
        raise FormatError(f"a record of sensors holds no sensors ({fault}).") from fault


def rows_by_sensor(z: Measurements, rows: slice) -> list[int]:
    """Count the rows of each sensor."""
    if rows.stop - rows.start == 1:  # a live row: numpy's way would take as long as the rest of the record
        counts = [0] * len(z.sensors)
        counts[z.sensor_id.item(rows.start)] = 1
        return counts
    return np.bincount(z.sensor_id[rows], minlength=len(z.sensors)).tolist()
