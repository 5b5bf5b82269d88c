"""What did a DJI drone write beside its video? Subtitles (`.srt`), a block a frame or a second, become `Telemetry`.

DJI has no specification of them; what is known comes from files. Each model writes other fields, and four of them are
traps:

- Times are local and name no zone, so the caller has to say the offset; some models write no date at all.
- `abs_alt` hangs on a barometer and was 57 m too low in one of our recordings, and HOME of another 80 m too low.
  `rel_alt`, `H` and `BAROMETER` are good heights above the take-off place, whose own height the caller has to know.
  Which of the two a lone `altitude` is, nobody says.
- ``GPS (x, y, n)`` is longitude, latitude, satellites; ``GPS(x,y,zM)`` is latitude, longitude, height.
- `focal_len` is that of a 36 mm picture, and ten times as much where it is written without a point.

What the camera looked at, no model writes; two write where the gimbal pointed. So such a log gives the pose of the
drone, and sightings only together with image points from elsewhere.
"""

import pathlib
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink import rows
from dronetrack.mavlink.content import Content, read_content
from dronetrack.telemetry import Attitude, Camera, Clock, Gimbal, Position, Telemetry

FULL_FRAME_MM = 36.0
ASPECT = 9.0 / 16.0  # of the video
ABS_ALT_STD_M = 50.0  # 57 m and 80 m off in two recordings
LEVELLED, YAW_IN_EARTH_FRAME = 12, 64
POSITION_STD_M = 1.5
COARSE_STD_M = 1.0
CLOCK_STD_S = 0.5  # between the aircraft's clock, which the phone sets, and UTC
TENTHS_FROM = 100.0  # millimetres of 35 mm focal length that no wide camera has
ZOOM_TENTHOUSANDTHS_FROM = 1000.0
M_PER_DEG = 111_320.0

_BLOCK = re.compile(r"^[ \t]*\d+[ \t]*\r?\n[ \t]*(\d+):(\d\d):(\d\d)[,.](\d{1,3}) *-->", re.MULTILINE)
_DATE = re.compile(
    r"^[ \t]*(\d{4})[-.](\d\d?)[-.](\d\d?) (\d\d?):(\d\d):(\d\d)(?:[.,](\d{1,3}))?(?:[.,](\d{1,3}))?", re.MULTILINE
)
_NUMBER = r"([-+]?\d+(?:\.\d*)?)"
_GPS = re.compile(rf"GPS ?\( ?{_NUMBER} ?, ?{_NUMBER} ?, ?{_NUMBER}(M?) ?\)")
_BODY = re.compile(rf"F\.PRY ?\({_NUMBER}°?, ?{_NUMBER}°?, ?{_NUMBER}")
_GIMBAL = re.compile(rf"G\.PRY ?\({_NUMBER}°?, ?{_NUMBER}°?, ?{_NUMBER}")

_ABOVE_HOME = re.compile(rf", H {_NUMBER}m")

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


def read_srt(
    source: str | pathlib.Path | bytes | Content,
    *,
    utc_offset_h: float | None = None,
    start_us: int | None = None,
    takeoff_alt_msl_m: float | None = None,
    name: str = "",
) -> Telemetry:
    """Read the subtitles that a DJI drone wrote beside its video.

    Parameters
    ----------
    source : str, Path, bytes or Content
        A `.srt`, packed or not, or its content.
    utc_offset_h : float, optional
        How far the drone's local time was ahead of UTC: 2 for Hungary in summer. Needed unless `start_us` is given. [h]
    start_us : int, optional
        When the first frame was taken; needed where the subtitles have no date. [us, UTC]
    takeoff_alt_msl_m : float, optional
        Height of the take-off place above sea level (EGM96). With it heights are right to a few metres; without it they
        follow `abs_alt`, stated as good to 50 m, or are unknown. [m]
    name : str, optional
        What to call the drone.

    Returns
    -------
    Telemetry
        ``stats["lacks"]`` names what these subtitles do not hold.

    Raises
    ------
    FormatError
        If there is no such file, it holds no subtitles, or no position in them.
    InputError
        If the time of the first frame can only be guessed.

    Examples
    --------
    >>> text = '''1
    ... 00:00:00,000 --> 00:00:00,033
    ... 2022-08-07 13:40:40,774
    ... [focal_len: 24.00] [latitude: 46.2] [longitude: 20.7] [rel_alt: 30.0 abs_alt: 120.0]
    ... '''
    >>> drone = read_srt(text.encode(), utc_offset_h=2, takeoff_alt_msl_m=84.0)
    >>> drone.position.time_us.astype("M8[us]").astype(str).tolist()
    ['2022-08-07T11:40:40.774000']
    """
    content = source if isinstance(source, Content) else read_content(source)
    text = content.data.tobytes().decode("utf-8-sig", "replace")
    blocks = _Blocks(text)
    if not blocks.n:
        raise FormatError(f"{content.label}: no subtitle with its time in it; needed a DJI .srt.")
    time_us, source_of_time = _times(blocks, content.label, utc_offset_h, start_us)
    lacks: list[str] = []
    position, stats = _position(blocks, time_us, takeoff_alt_msl_m, lacks)
    if not len(position):
        raise FormatError(f"{content.label}: no subtitle says where the drone was.")
    tables = {
        "position": position,
        "attitude": _attitude(blocks, time_us, lacks),
        "gimbal": _gimbal(blocks, time_us, lacks),
        "camera": _camera(blocks, time_us, lacks),
    }
    clock = Clock(source_of_time, std_s=CLOCK_STD_S if start_us is None else float("nan"))
    stats = {
        "frames": blocks.n,
        **stats,
        **{f"{key}_rows": len(table) for key, table in tables.items()},
        "clock": clock.source,
        "clock_std_s": clock.std_s,
        "lacks": [*lacks, "what the camera tracked"],
    }
    if content.cut:
        stats["packed_cut"] = 1
    return Telemetry(1, name, **tables, clock=clock, stats=stats)


class _Blocks:
    """The subtitles of a file: where each starts, and any field of them as a column."""

    def __init__(self, text: str) -> None:
        self.text = text
        found = list(_BLOCK.finditer(text))
        self.n = len(found)
        self.starts = np.array([one.start() for one in found], dtype=np.int64)
        clock = np.array([[int(part) for part in one.groups()] for one in found], dtype=np.int64).reshape(-1, 4)
        digits = np.array([len(one.group(4)) for one in found], dtype=np.int64)
        seconds = clock[:, :3] @ np.array([3600, 60, 1])
        self.shown_us = seconds * 1_000_000 + clock[:, 3] * 10 ** (6 - digits)

    def columns(self, pattern: re.Pattern, width: int, read: Callable[[re.Match], object]) -> NDArray:
        """Return what `read` makes of a pattern's match in each block, (n, width); NaN where there is none."""
        out = np.full((self.n, width), np.nan)
        found = list(pattern.finditer(self.text))
        if found and self.n:
            block = np.searchsorted(self.starts, [one.start() for one in found], side="right") - 1
            values = np.array([read(one) for one in found], dtype=np.float64).reshape(-1, width)
            out[block[block >= 0]] = values[block >= 0]
        return out

    def field(self, *names: str) -> Floats:
        """Return the number of the first of some fields that these subtitles have: ``name: 1.5`` or ``name : 1.5``."""
        for name in names:
            values = self.columns(re.compile(rf"{name} ?: ?\[?{_NUMBER}"), 1, _first)[:, 0]
            if not np.isnan(values).all():
                return values
        return np.full(self.n, np.nan)


def _times(blocks: _Blocks, label: str, utc_offset_h: float | None, start_us: int | None) -> tuple[Times, str]:
    """Return the UTC of each block: by its date, else by when it is shown."""
    local_us = blocks.columns(_DATE, 1, _local_us)[:, 0]
    dated = ~np.isnan(local_us)
    if start_us is None and not dated.any():
        raise InputError(f"{label}: these subtitles have no date; say when the first frame was taken with start_us=.")
    if start_us is None and utc_offset_h is None:
        raise InputError(
            f"{label}: DJI writes local time without its zone; say how far it was ahead of UTC with utc_offset_h=."
        )
    time_us = blocks.shown_us
    if dated.any():
        # A block without a date follows the last one that has one, as they are shown.
        at = np.maximum.accumulate(np.where(dated, np.arange(blocks.n), 0))
        at = np.where(dated[at], at, np.argmax(dated))
        time_us = np.where(dated, local_us, 0.0).astype(np.int64)[at] + time_us - time_us[at]
    if start_us is not None:
        return time_us - time_us[0] + int(start_us), "start"
    return time_us - round((utc_offset_h or 0.0) * 3.6e9), "local_time"


def _local_us(match: re.Match) -> float:
    year, month, day, hour, minute, second, milli, micro = match.groups(default="0")
    try:
        whole = np.datetime64(f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute}:{second}", "us").astype(np.int64)
    except ValueError:
        return np.nan
    return float(whole + int(milli.ljust(3, "0")) * 1000 + int(micro.ljust(3, "0")))


def _position(
    blocks: _Blocks, time_us: Times, takeoff_alt_msl_m: float | None, lacks: list[str]
) -> tuple[Position, dict]:
    lat, lon, quantum_deg = _places(blocks)
    alt_msl_m, v_acc_m, datum = _heights(blocks, takeoff_alt_msl_m)
    good = rows.placed(lat, lon, np.zeros(blocks.n))
    time_us, keep = rows.in_order(time_us, good)
    lat, lon = lat[keep], lon[keep]
    coarse_m = quantum_deg * M_PER_DEG / np.sqrt(12.0)
    h_acc_m = float(np.hypot(POSITION_STD_M, coarse_m)) if coarse_m > COARSE_STD_M else np.nan
    unknown = np.full((len(keep), 3), np.nan)
    lacks.append("velocity")
    if datum == "unknown":
        lacks.append("height")
    stats = {"frames_without_place": int(np.sum(~good)), "height_from": datum, "quantum_deg": quantum_deg}
    alt_hae_m = geodesy.msl_to_hae(lat, lon, alt_msl_m[keep])
    return Position(time_us, lat, lon, alt_hae_m, unknown, np.full(len(keep), h_acc_m), v_acc_m[keep]), stats


def _places(blocks: _Blocks) -> tuple[Floats, Floats, float]:
    """Return latitude, longitude, and the step in which they are written. [deg]"""
    lat, lon = blocks.field("latitude"), blocks.field("longitude", "longtitude")
    first = re.search(rf"latitude ?: ?\[?{_NUMBER}", blocks.text)
    if np.isnan(lat).all():
        places = blocks.columns(_GPS, 2, _gps)
        lat, lon = places[:, 0], places[:, 1]
        first = _GPS.search(blocks.text)
    decimals = len(first.group(1).partition(".")[2]) if first else 0
    return lat, lon, 10.0**-decimals


def _first(match: re.Match) -> str:
    return match.group(1)


def _gps(match: re.Match) -> tuple[str, str]:
    """Return latitude and longitude; the unit of the third number tells which comes first."""
    return (match.group(1), match.group(2)) if match.group(4) else (match.group(2), match.group(1))


def _heights(blocks: _Blocks, takeoff_alt_msl_m: float | None) -> tuple[Floats, Floats, str]:
    """Return height above sea level, its standard deviation where it is known to be bad, and which field it is from."""
    above = blocks.field("rel_alt", "BAROMETER")
    if np.isnan(above).all():
        above = blocks.columns(_ABOVE_HOME, 1, _first)[:, 0]
    absolute = blocks.field("abs_alt")
    unknown = np.full(blocks.n, np.nan)
    if takeoff_alt_msl_m is not None and not np.isnan(above).all():
        return above + takeoff_alt_msl_m, unknown, "take-off place and height above it"
    if not np.isnan(absolute).all():
        return absolute, np.full(blocks.n, ABS_ALT_STD_M), "abs_alt"
    return unknown, unknown, "unknown"


def _attitude(blocks: _Blocks, time_us: Times, lacks: list[str]) -> Attitude:
    pitch, roll, yaw = np.radians(blocks.columns(_BODY, 3, re.Match.groups)).T
    time_us, keep = rows.in_order(time_us, np.isfinite(pitch + roll + yaw))
    if not len(keep):
        lacks.append("attitude")
    return Attitude(time_us, rows.quaternions(roll[keep], pitch[keep], yaw[keep]))


def _gimbal(blocks: _Blocks, time_us: Times, lacks: list[str]) -> Gimbal:
    """Take where the gimbal pointed: levelled, yaw to north."""
    pitch, roll, yaw = np.radians(blocks.columns(_GIMBAL, 3, re.Match.groups)).T
    if np.isnan(yaw).all():
        pitch, roll, yaw = (np.radians(blocks.field(f"gb_{axis}")) for axis in ("pitch", "roll", "yaw"))
    time_us, keep = rows.in_order(time_us, np.isfinite(pitch + roll + yaw))
    if not len(keep):
        lacks.append("gimbal")
    flags = np.full(len(keep), LEVELLED + YAW_IN_EARTH_FRAME, dtype=np.int32)
    return Gimbal(time_us, rows.quaternions(roll[keep], pitch[keep], yaw[keep]), flags, np.full(len(keep), np.nan))


def _camera(blocks: _Blocks, time_us: Times, lacks: list[str]) -> Camera:
    """Take opening angles of a 16:9 video as wide as the picture: to 2 % what a mapped scene says of a Mavic 3."""
    focal = blocks.field("focal_len")
    focal = np.where(focal >= TENTHS_FROM, 0.1 * focal, focal) if _tenths(blocks.text) else focal
    zoom = blocks.field("dzoom_ratio")
    zoom = np.where(zoom >= ZOOM_TENTHOUSANDTHS_FROM, 1e-4 * zoom, zoom)
    focal = focal * np.where(zoom > 0.0, zoom, 1.0)
    time_us, keep = rows.in_order(time_us, focal > 0.0)
    half = 0.5 * FULL_FRAME_MM / focal[keep]
    if not len(keep):
        lacks.append("focal length")
    unknown = np.full(len(keep), np.nan)
    return Camera(time_us, 2.0 * np.arctan(half), 2.0 * np.arctan(ASPECT * half), unknown, unknown)


def _tenths(text: str) -> bool:
    """Whether focal lengths are written without a point."""
    first = re.search(rf"focal_len ?: ?{_NUMBER}", text)
    return first is not None and "." not in first.group(1)
