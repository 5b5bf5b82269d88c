"""What is UTC when the autopilot's own log says 'so many microseconds since boot'? The GPS receiver's time tells.

Each fix pairs boot time with GPS time (week and milliseconds, no leap seconds) or with the receiver's UTC. The pairs
agree to milliseconds but for three things: the first of them may be wrong by anything, the crystal drifts by some
parts per million, and a fix is logged later than it was taken, by a latency that varies. So the clock is the line
along the upper edge of `UTC - boot time`, through those pairs that agree with the median. What a receiver itself needs
before it speaks is not in the log; its usual 0.2 s are added, and 0.1 s of doubt, as for MAVLink's SYSTEM_TIME.
"""

import numpy as np
from numpy.typing import NDArray

from dronetrack.mavlink.clock import RECEIVER_LATENCY_S, RECEIVER_LATENCY_STD_S
from dronetrack.telemetry import Clock

GPS_EPOCH_S = 315_964_800  # 1980-01-06 in Unix time
WEEK_S = 604_800
EARLIEST_WEEK = 1565  # 2010: earlier weeks, and week 0, come from receivers without a fix, or whose count rolled over
LATEST_WEEK = 5_200  # 2079
# GPS - UTC from each of these days on, in Unix time (IERS Bulletin C; none has been announced after 2017).
LEAPS = (
    (0, 0),
    (362_793_600, 1),  # 1981-07-01
    (394_329_600, 2),  # 1982-07-01
    (425_865_600, 3),  # 1983-07-01
    (489_024_000, 4),  # 1985-07-01
    (567_993_600, 5),  # 1988-01-01
    (631_152_000, 6),  # 1990-01-01
    (662_688_000, 7),  # 1991-01-01
    (709_948_800, 8),  # 1992-07-01
    (741_484_800, 9),  # 1993-07-01
    (773_020_800, 10),  # 1994-07-01
    (820_454_400, 11),  # 1996-01-01
    (867_715_200, 12),  # 1997-07-01
    (915_148_800, 13),  # 1999-01-01
    (1_136_073_600, 14),  # 2006-01-01
    (1_230_768_000, 15),  # 2009-01-01
    (1_341_100_800, 16),  # 2012-07-01
    (1_435_708_800, 17),  # 2015-07-01
    (1_483_228_800, 18),  # 2017-01-01
)
AGREE_US = 500_000
MOST_DRIFT = 200e-6
BIN_US = 5_000_000
EDGE = 90  # percentile: the earliest pairs of a bin, but for stray ones

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


def leap_seconds(gps_s: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how far GPS time is ahead of UTC.

    Parameters
    ----------
    gps_s : (n,) int64
        GPS time as seconds since 1980-01-06. [s]

    Returns
    -------
    (n,) int64
        [s]

    Examples
    --------
    >>> leap_seconds(np.array([2000, 1920]) * 604800).tolist()
    [18, 17]
    """
    table = np.array(LEAPS, dtype=np.int64)
    starts = table[:, 0] + table[:, 1] - GPS_EPOCH_S
    return table[np.searchsorted(starts, gps_s, side="right") - 1, 1]


def gps_to_utc_us(week: NDArray, time_of_week_ms: NDArray) -> Times:
    """Bring GPS week and time of week to UTC.

    Parameters
    ----------
    week : (n,) integer
        Since 1980-01-06, not rolled over.
    time_of_week_ms : (n,) integer
        [ms]

    Returns
    -------
    (n,) int64
        [us, UTC]; 0 where the week or the time in it cannot be.

    Examples
    --------
    >>> np.array(gps_to_utc_us(np.array([2446, 0]), np.array([161145400, 0])), dtype="M8[us]").astype(str).tolist()
    ['2026-11-23T20:45:27.400000', '1970-01-01T00:00:00.000000']
    """
    week, within = np.asarray(week, dtype=np.int64), np.asarray(time_of_week_ms, dtype=np.int64)
    good = (week >= EARLIEST_WEEK) & (week < LATEST_WEEK) & (within >= 0) & (within < WEEK_S * 1000)
    gps_ms = np.where(good, week * WEEK_S * 1000 + within, 0)
    utc_ms = gps_ms + (GPS_EPOCH_S - leap_seconds(gps_ms // 1000)) * 1000
    return np.where(good, utc_ms * 1000, 0)


def fit_gps_clock(boot_us: Times, utc_us: Times, boot: NDArray[np.int64]) -> tuple[Clock, NDArray[np.int64], dict]:
    """Fit boot time to UTC from a receiver's fixes.

    Parameters
    ----------
    boot_us, utc_us : (n,) int64
        Time since boot and UTC of each fix. [us]
    boot : (n,) int64
        Which boot it belongs to, 0, 1, ...

    Returns
    -------
    clock : Clock
        One entry for each boot that has a fix.
    number : (k,) int64
        The boots of those entries.
    stats : dict
        ``clock_offset_us`` and ``clock_drift_ppm`` by entry, ``clock_residual_s`` (spread of the fixes about the line),
        ``clock_pairs``, ``clock_pairs_refused``.
    """
    numbers = np.unique(boot)
    lines = [_line(boot_us[boot == one], utc_us[boot == one]) for one in numbers]
    starts, offsets, drifts, used, spread = np.array(lines, dtype=np.float64).reshape(-1, 5).T
    latency_us = RECEIVER_LATENCY_S * 1e6
    offsets = offsets + latency_us
    stats = {
        "clock_offset_us": np.rint(offsets).astype(np.int64).tolist(),
        "clock_drift_ppm": (drifts * 1e6).round(3).tolist(),
        "clock_residual_s": float(np.max(spread, initial=0.0)) * 1e-6,
        "clock_pairs": int(used.sum()),
        "clock_pairs_refused": int(len(boot_us) - used.sum()),
    }
    clock = Clock(
        "gps" if len(numbers) else "none",
        starts,
        offsets,
        drifts,
        RECEIVER_LATENCY_STD_S,
        latency_s=RECEIVER_LATENCY_S,
        n_pairs=stats["clock_pairs"],
    )
    return clock, numbers, stats


def iso(time_us: int) -> str:
    """Return a time as ISO 8601, UTC."""
    return f"{np.datetime64(time_us, 'us')}Z"


def _line(boot_us: Times, utc_us: Times) -> tuple[int, float, float, int, float]:
    """Return (first boot time, offset, drift, fixes used, spread) of one boot."""
    offset = utc_us - boot_us
    usual = int(np.median(offset))
    start = int(boot_us.min())
    span = float(boot_us.max() - start)
    good = np.abs(offset - usual) <= AGREE_US + MOST_DRIFT * span
    since, above = boot_us[good] - start, (offset[good] - usual).astype(np.float64)
    group = since // BIN_US
    bins = np.unique(group)
    edge = np.array([np.percentile(above[group == one], EDGE) for one in bins])
    middle = np.array([np.mean(since[group == one]) for one in bins])
    half = len(bins) // 2
    slope = 0.0
    if len(bins) >= 6:
        slope = float(np.median((edge[half : 2 * half] - edge[:half]) / (middle[half : 2 * half] - middle[:half])))
    level = float(np.median(edge - slope * middle))
    spread = float(1.4826 * np.median(np.abs(above - level - slope * since)))
    return start, usual + level, slope, int(good.sum()), spread
