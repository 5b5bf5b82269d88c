"""DataFlash logs for the tests, written record by record as AP_Logger does."""

import struct

SIZES = {
    "a": "64s",
    "g": "e",
    "n": "4s",
    "N": "16s",
    "Z": "64s",
    "M": "b",
    "c": "h",
    "C": "H",
    "e": "i",
    "E": "I",
    "L": "i",
}
FACTORS = {"c": 100, "C": 100, "e": 100, "E": 100, "L": 1e7}
UNITS = {"s": "s", "#": "instance", "d": "deg", "m": "m", "-": ""}
MULTIPLIERS = {"F": 1e-6, "B": 1e-2, "C": 1e-3, "0": 1.0, "-": 0.0}


class Writer:
    """A log that grows; `starts` holds where each record begins, `texts` the same log as lines."""

    def __init__(self):
        self.log = b""
        self.starts = []
        self.lines = []
        self.layouts = {"FMT": (128, "BBnNZ")}
        self.define("FMT", "BBnNZ", "Type,Length,Name,Format,Columns", identity=128)

    def define(self, name, codes, columns, identity=None):
        identity = identity or 128 + len(self.layouts)
        self.layouts[name] = (identity, codes)
        self.write("FMT", identity, 3 + struct.calcsize(self.packing(codes)), name, codes, columns)

    def explain(self, name, units, multipliers):
        if "FMTU" not in self.layouts:
            self.define("FMTU", "QBNN", "TimeUS,FmtType,UnitIds,MultIds")
            self.define("UNIT", "QbZ", "TimeUS,Id,Label")
            self.define("MULT", "Qbd", "TimeUS,Id,Mult")
            for letter, label in UNITS.items():
                self.write("UNIT", 0, ord(letter), label)
            for letter, factor in MULTIPLIERS.items():
                self.write("MULT", 0, ord(letter), factor)
        self.write("FMTU", 0, self.layouts[name][0], units, multipliers)

    def write(self, name, *values):
        identity, codes = self.layouts[name]
        stored = [
            round(value * FACTORS[code]) if code in FACTORS else value.encode() if isinstance(value, str) else value
            for code, value in zip(codes, values, strict=True)
        ]
        self.starts.append(len(self.log))
        self.log += bytes([0xA3, 0x95, identity]) + struct.pack(self.packing(codes), *stored)
        self.lines.append(", ".join([name, *map(str, values)]))

    @staticmethod
    def packing(codes):
        return "<" + "".join(SIZES.get(code, code) for code in codes)
