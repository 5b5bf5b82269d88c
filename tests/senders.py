"""Vehicles for the tests, speaking through pymavlink's own packers."""

from pymavlink.dialects.v20 import all as mavlink

START_US = 1_795_470_000_000_000


def blank(name, **fields):
    """A message with every field zero but those given."""
    kind = mavlink.mavlink_map[getattr(mavlink, f"MAVLINK_MSG_ID_{name}")]
    forms = dict(zip(kind.fieldnames, kind.fieldtypes, strict=True))
    lengths = dict(zip(kind.ordered_fieldnames, kind.array_lengths, strict=True))
    zero = {
        field: b"" if form == "char" else [0] * lengths[field] if lengths[field] else 0 for field, form in forms.items()
    }
    return kind(**{**zero, **fields})


def sent(*messages, system=1):
    """A stream without stamps."""
    link = mavlink.MAVLink(None, srcSystem=system, srcComponent=1)
    frames = []
    for message in messages:
        frames.append(message.pack(link))
        link.seq = (link.seq + 1) % 256
    return b"".join(frames)


class Recorder:
    """A stamped log of several components; every clock may be wrong in its own way."""

    def __init__(self):
        self.log = b""
        self.links = {}

    def add(self, second, name, *, system=1, component=1, **fields):
        """Record a message that arrives so many seconds after the start."""
        link = self.links.setdefault((system, component), mavlink.MAVLink(None, system, component))
        link.srcSystem, link.srcComponent = system, component
        frame = blank(name, **fields).pack(link)
        link.seq = (link.seq + 1) % 256
        self.log += (START_US + round(second * 1e6)).to_bytes(8, "big") + frame

    def clocked(self, seconds=20, boot_s=100.0):
        """SYSTEM_TIME once a second, and a heartbeat of a PX4, which does not set its UTC late."""
        for second in range(seconds):
            unix_us, boot_ms = START_US + 1_000_000 * second, round(1000 * (boot_s + second))
            self.add(second, "SYSTEM_TIME", time_unix_usec=unix_us, time_boot_ms=boot_ms)
            self.add(second, "HEARTBEAT", autopilot=12, type=2, mavlink_version=3)
        return self

    def placed(self, second=1.0, boot_s=100.0, **fields):
        """One fused position, without which there is no telemetry."""
        where = {"lat": 462_000_000, "lon": 207_000_000, "alt": 90_000, "time_boot_ms": round(1000 * (boot_s + second))}
        self.add(second, "GLOBAL_POSITION_INT", **{**where, **fields})
        return self
