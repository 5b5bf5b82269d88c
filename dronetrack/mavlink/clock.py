"""What is UTC when the autopilot says 'so many milliseconds since boot'?

Two witnesses speak in a log. The autopilot's SYSTEM_TIME pairs boot time with UTC. ArduPilot sets that UTC once, when
the first GPS message *arrives*, so it is late by the receiver's latency (0.1 to 0.3 s), and lets its crystal run from
there. The receiver's stamps are a second witness: their lower envelope over boot time is the receiver's clock plus the
shortest link delay, and shows the crystal's drift.

Measured on our recordings: SYSTEM_TIME alone is 0.21 s and 0.27 s off, and its crystal gains 0.1 s in ten minutes; the
receive stamps jitter by up to 96 ms but their envelope is right to 0.03 s. So where both agree to a second, the
receiver's clock is evidently disciplined, and UTC follows the envelope. Where they do not, the receiver's clock is
wrong and SYSTEM_TIME, put right by a typical latency, is all there is.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.telemetry import Clock

ClockSource = Literal["auto", "system_time", "receive"]

EARLIEST_UTC_US = 946_684_800_000_000  # 2000-01-01: an autopilot without GPS counts from 1970 or 0
REBOOT_FALL_US = 5_000_000  # boot time falls by more than late packets do
AGREE_S = 1.0
RECEIVER_LATENCY_S, RECEIVER_LATENCY_STD_S = 0.2, 0.1
ENVELOPE_STD_S = 0.05
BIN_US = 5_000_000
LATEST_US = 5_000_000  # a frame that seems to be later than this has a number that was misread

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


def segments(boot_us: Times) -> NDArray[np.int64]:
    """Give every row of a log the number of its boot.

    Parameters
    ----------
    boot_us : (n,) int64
        Time since boot. [us]

    Returns
    -------
    (n,) int64
        0, 1, ...; a new number wherever boot time falls far below the highest of its boot.
    """
    if not len(boot_us):
        return np.zeros(0, dtype=np.int64)
    # Two rows before and two from here on: one row that is out of its time is no reboot.
    before = np.minimum(boot_us, np.concatenate([boot_us[:1], boot_us[:-1]]))
    after = np.maximum(boot_us, np.concatenate([boot_us[1:], boot_us[-1:]]))
    falls = np.concatenate([[False], after[1:] < before[:-1] - REBOOT_FALL_US])
    return np.cumsum(falls)


def fit_clock(
    boot_us: Times,
    receive_us: Times,
    pair_rows: NDArray[np.int64],
    pair_unix_us: Times,
    *,
    source: ClockSource = "auto",
    ardupilot: bool = False,
) -> Clock:
    """Fit boot time to UTC from everything one autopilot sent.

    Parameters
    ----------
    boot_us, receive_us : (n,) int64
        Boot time and receive stamp of every row that has both, in the order of the log. [us]
    pair_rows : (k,) int64
        Which of these rows are SYSTEM_TIME.
    pair_unix_us : (k,) int64
        Their UTC; 0 and 1970 are no UTC. [us]
    source : {"auto", "system_time", "receive"}, optional
        Which witness to believe.
    ardupilot : bool, optional
        Whether the autopilot is ArduPilot, whose UTC is late by the receiver's latency.

    Returns
    -------
    Clock
        One entry per boot.

    Raises
    ------
    InputError
        If the wanted source is not in the log.
    """
    if source not in ("auto", "system_time", "receive"):
        raise InputError(f"clock must be 'auto', 'system_time' or 'receive'; got {source!r}.")
    valid = pair_unix_us > EARLIEST_UTC_US
    rows, unix_us = pair_rows[valid], pair_unix_us[valid]
    if source == "system_time" and not len(rows):
        raise InputError("clock='system_time' needs a SYSTEM_TIME message with a UTC; the log has none.")
    if not len(boot_us):
        return Clock()
    boot_number = segments(boot_us)
    starts, offsets, drifts, residuals, reboots, behind = [], [], [], [], [], []
    late_us = RECEIVER_LATENCY_S * 1e6 if ardupilot else 0.0
    pair_offset = unix_us - boot_us[rows]
    for number in range(int(boot_number[-1]) + 1):
        mine = boot_number == number
        start = int(boot_us[mine].min())
        offset, drift, residual_s = _envelope(boot_us[mine] - start, receive_us[mine] - boot_us[mine])
        pairs = pair_offset[boot_number[rows] == number]
        if len(pairs):
            behind.append((offset - float(np.median(pairs))) * 1e-6)
            agrees = abs(behind[-1]) < AGREE_S
            if source == "system_time" or (source == "auto" and not agrees):
                offset, drift = float(np.median(pairs)) + late_us, 0.0
        starts.append(start)
        offsets.append(offset)
        drifts.append(drift)
        residuals.append(residual_s)
        reboots.append(float(receive_us[mine].min()))
    apart = float(np.median(behind)) if behind else float("nan")
    kind, std_s = _verdict(source, apart)
    latency_s = late_us * 1e-6 if kind == "system_time" else 0.0
    lines = np.array(starts), np.array(offsets), np.array(drifts)
    return Clock(kind, *lines, std_s, apart, latency_s, len(rows), np.array(residuals), np.array(reboots))


def boot_to_utc(clock: Clock, boot_us: Times, receive_us: Times | None = None) -> Times:
    """Bring boot times, in the order of the log, to UTC.

    Parameters
    ----------
    clock : Clock
        The fit.
    boot_us : (n,) int64
        Time since boot. [us]
    receive_us : (n,) int64, optional
        Receiver's stamps, which tell boots apart for messages that not every boot sent. [us]

    Returns
    -------
    (n,) int64
        [us, UTC]
    """
    if not len(clock.offset_us):
        return boot_us
    if receive_us is None or len(clock.reboot_us) != len(clock.offset_us):
        number = np.minimum(segments(boot_us), len(clock.offset_us) - 1)
    else:
        number = np.maximum(np.searchsorted(clock.reboot_us, receive_us, side="right") - 1, 0)
    since = boot_us - clock.boot_start_us[number]
    return boot_us + np.rint(clock.offset_us[number] + clock.drift[number] * since).astype(np.int64)


def receive_to_utc(clock: Clock, receive_us: Times) -> Times:
    """Bring receive stamps to UTC, for messages without a time of their own.

    Parameters
    ----------
    clock : Clock
        The fit.
    receive_us : (n,) int64
        Receiver's stamps. [us]

    Returns
    -------
    (n,) int64
        When the message arrived. [us, UTC]
    """
    if clock.source != "system_time" or not np.isfinite(clock.receive_minus_system_time_s):
        return receive_us
    return receive_us - np.int64(round((clock.receive_minus_system_time_s - clock.latency_s) * 1e6))


def on_time(place: NDArray[np.int64], receive_us: Times) -> tuple[Times, NDArray[np.bool_]]:
    """Bring the stamps of frames that came late back to when they would have come.

    A sender counts its frames, so whatever arrives after a frame with a higher number was sent before that one. A late
    frame was sent between its neighbours in the count: it gets the middle of their stamps.

    Parameters
    ----------
    place : (n,) int64
        Number of each frame of one sender in its own count, see `Frames.place`.
    receive_us : (n,) int64
        Receiver's stamps, in the order of the log. [us]

    Returns
    -------
    receive_us : (n,) int64
        The stamps; those of late frames moved. [us]
    late : (n,) bool
        Which were late. A sender that does not count has none.

    Examples
    --------
    >>> import numpy as np
    >>> on_time(np.array([1, 3, 4, 2]), np.array([10, 30, 40, 45]))[0].tolist()
    [10, 30, 40, 20]
    """
    order = np.argsort(place, kind="stable")
    numbers, stamps = place[order], receive_us[order]
    # Earliest stamp of any frame with a higher number.
    earliest = np.append(np.minimum.accumulate(stamps[::-1])[::-1], np.iinfo(np.int64).max)
    after = earliest[np.searchsorted(numbers, numbers, side="right")]
    late = np.zeros(len(place), dtype=np.bool_)
    late[order] = (stamps > after) & (stamps - after < LATEST_US)
    right = np.flatnonzero(~late[order])
    moved = receive_us.copy()
    if len(right) and late.any():
        between = np.interp(numbers[late[order]], numbers[right], stamps[right])
        moved[order[late[order]]] = np.rint(between).astype(np.int64)
    return moved, late


def _verdict(source: ClockSource, apart_s: float) -> tuple[str, float]:
    if source == "receive" or not np.isfinite(apart_s):
        return "receive", ENVELOPE_STD_S
    if source == "auto" and abs(apart_s) < AGREE_S:
        return "system_time+receive", ENVELOPE_STD_S
    return "system_time", RECEIVER_LATENCY_STD_S


def _envelope(since_us: Times, delay_us: Times) -> tuple[float, float, float]:
    """Line under the delays: the tenth percentile of each five seconds, joined by the median of slopes (Theil-Sen).

    Returns its offset, its slope, and how far the percentiles scatter about it. [us, -, s]
    """
    group = since_us // BIN_US
    order = np.lexsort((delay_us, group))
    numbers, first, counts = np.unique(group[order], return_index=True, return_counts=True)
    low = delay_us[order][first + counts // 10].astype(np.float64)
    middle = (numbers + 0.5) * BIN_US
    if len(numbers) < 6:
        return float(low.min()), 0.0, float("nan")
    half = len(numbers) // 2
    slope = float(np.median((low[half : 2 * half] - low[:half]) / (middle[half : 2 * half] - middle[:half])))
    offset = float(np.median(low - slope * middle))
    return offset, slope, 1.4826e-6 * float(np.median(np.abs(low - slope * middle - offset)))
