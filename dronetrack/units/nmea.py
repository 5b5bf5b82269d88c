"""What does a receiver say in NMEA 0183? RMC, GGA and GST of one moment become one row."""

import pathlib
from typing import Any

import numpy as np

from dronetrack.errors import FormatError
from dronetrack.units.rows import HDOP_TO_STD_M, Rows, number, say_counts

KNOT_MPS = 1852.0 / 3600.0
DAY_US = 86_400_000_000
GST_HOLDS_US = 5_000_000

_Sentence = Any  # pynmea2 makes the fields of its classes at run time


def read_nmea(path: pathlib.Path, content: bytes) -> Rows:
    """Read sentences with a right checksum; what else stands in the log is counted."""
    import pynmea2

    rows = Rows()
    state = _NmeaFix()
    for raw in content.decode("ascii", errors="replace").splitlines():
        text = raw.strip()
        start = text.find("$")
        if start < 0:
            rows.count("other_lines" if text.startswith("!") else "not_nmea" if text else "blank_lines")
            continue
        try:
            sentence = pynmea2.parse(text[start:], check=True)
            state.take(sentence, rows, path.stem)
        except pynmea2.ChecksumError:
            rows.count("bad_checksum")
        except (pynmea2.ParseError, ValueError, TypeError, AttributeError, LookupError, OverflowError):
            rows.count("not_understood")
    state.close(rows, path.stem)
    if not rows.time_us:
        raise FormatError(
            f"{path.name}: no NMEA position with time and date ({say_counts(rows.stats)}); needed RMC, or RMC with GGA."
        )
    return rows


class _NmeaFix:
    """Sentences of one moment put together: RMC brings the date, GGA the height, GST the accuracy."""

    def __init__(self) -> None:
        self.clock: int | None = None  # time of day [us]
        self.midnight: int | None = None  # start of the day [us, UTC]
        self.known: dict[str, float] = {}
        self.h_acc_m = np.nan
        self.stated: int = 0  # time of day of that accuracy [us]

    def take(self, sentence: _Sentence, rows: Rows, name: str) -> None:
        kind = getattr(sentence, "sentence_type", "")
        if kind not in ("RMC", "GGA", "GST"):
            rows.count("other_sentences")
            return
        moment = sentence.timestamp
        if moment is None:
            rows.count("without_time")
            return
        clock = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
        if clock != self.clock:
            self.close(rows, name)
            if self.clock is not None and self.midnight is not None and clock < self.clock - DAY_US // 2:
                self.midnight += DAY_US
            self.clock = clock
        {"RMC": self.rmc, "GGA": self.gga, "GST": self.gst}[kind](sentence, rows)

    def rmc(self, sentence: _Sentence, rows: Rows) -> None:
        if sentence.status != "A":
            rows.count("void")
            return
        day = sentence.datestamp
        if day is not None:
            self.midnight = int(np.datetime64(day, "us").astype(np.int64))
        self._place(sentence)
        self.known["speed_mps"] = number(sentence.spd_over_grnd) * KNOT_MPS
        self.known["course_deg"] = number(sentence.true_course)

    def gga(self, sentence: _Sentence, rows: Rows) -> None:
        if int(sentence.gps_qual or 0) == 0:
            rows.count("without_fix")
            return
        self._place(sentence)
        above_geoid = number(sentence.altitude)
        separation = number(sentence.geo_sep)
        self.known["alt_hae_m"] = above_geoid + separation
        self.known["alt_msl_m"] = above_geoid
        self.known["hdop"] = number(sentence.horizontal_dil)

    def gst(self, sentence: _Sentence, _rows: Rows) -> None:
        north, east = number(sentence.std_dev_latitude), number(sentence.std_dev_longitude)
        # One figure per axis that keeps the mean square error of both.
        self.h_acc_m = float(np.sqrt(0.5 * (north * north + east * east)))
        self.stated = self.clock or 0

    def _place(self, sentence: _Sentence) -> None:
        if sentence.lat and sentence.lon:
            self.known["lat_deg"] = sentence.latitude
            self.known["lon_deg"] = sentence.longitude

    def close(self, rows: Rows, name: str) -> None:
        known, self.known = self.known, {}
        if self.clock is None or "lat_deg" not in known:
            return
        if self.midnight is None:
            rows.count("before_first_date")
            return
        hdop = known.pop("hdop", np.nan)
        fresh = np.isfinite(self.h_acc_m) and (self.clock - self.stated) % DAY_US <= GST_HOLDS_US
        known["h_acc_m"] = self.h_acc_m if fresh else hdop * HDOP_TO_STD_M
        rows.add(name, self.midnight + self.clock, known.pop("lat_deg"), known.pop("lon_deg"), **known)
