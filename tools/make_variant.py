"""Make another joint exercise out of a recorded one: another place, other cameras, drawn faults, known truth.

    python tools/make_variant.py ../shared/data/recorded/joint_exercise_a /tmp/variants/hard_1 --seed 1 --profile hard
    python tools/make_variant.py SOURCE TARGET --seed 7 --servo first --place artand_bors
    python tools/make_variant.py SOURCE FOLDER --all

What is kept of the recording: how two real autopilots flew, their frames, stamps and boot clocks, how the units moved.
What is made anew: where the camera really looked and what its tracker said of the true target; and what the reports
say of all that, right or wrong. The recorded flight (position, attitude, gimbal) is the truth of the variant, errors
are put on the reports. Everything that the seed draws is written to `scenario.json` under ``variant``.

The drones and units are `first` (the one that follows from the start) and `second`, in the order of the mission file.
A whole rigid move is the last step, so that it cannot touch what a camera saw. A servo mount is ArduPilot's: it is told
the levelled aim less the vehicle's lean to first order, and reports those three servo angles as if they were a
levelled quaternion (`AP_Mount_Servo::update_angle_outputs`, `get_attitude_quaternion`).
"""

import argparse
import functools
import json
import pathlib
import re
import tomllib
import zlib
from dataclasses import asdict, dataclass, field, fields

import numpy as np
from pymavlink.dialects.v20 import all as mavlink
from scipy.spatial.transform import Rotation, Slerp

from dronetrack import Border, geodesy

ROLES = ("first", "second")
PLACES = {  # a spot near a road over the border, and the ground there above sea level
    "kiszombor_cenad": (46.166, 20.565, 82.0),
    "battonya_turnu": (46.259, 21.087, 98.0),
    "gyula_varsand": (46.628, 21.325, 91.0),
    "mehkerek_salonta": (46.790, 21.512, 93.0),
    "artand_bors": (47.111, 21.793, 104.0),
    "nyirabrany_valea": (47.561, 22.074, 148.0),
    "vallaj_urziceni": (47.744, 22.390, 129.0),
    "csengersima_petea": (47.838, 22.724, 119.0),
}
LINK_S = 0.005  # shortest time from autopilot to recorder
VARIANTS = {  # what --all makes: one fault at a time, and all together
    "a_same": "--seed 1",
    "a_moved": "--seed 1 --place artand_bors",
    "a_servo": "--seed 1 --servo first",
    "a_servo_second": "--seed 1 --servo second",
    "a_servo_quat": "--seed 1 --servo first --servo-truth quaternion",
    "a_servo_level": "--seed 1 --servo first --servo-truth levelled",
    "a_heading": "--seed 1 --heading first",
    "a_heading_2nd": "--seed 1 --heading second --heading-deg -3",
    "a_glitch": "--seed 1 --glitch first --glitch second --glitch unit_first --ramp-s 0.2",
    "a_glitch_slow": "--seed 1 --glitch first --glitch second --ramp-s 2",
    "a_loss": "--seed 1 --loss 0.03 --bursts 4",
    "a_late": "--seed 1 --late 0.02",
    "a_stall": "--seed 1 --late 0.02 --late-mode stall",
    "a_episodes": "--seed 1 --episodes hard",
    "a_clock": "--seed 1 --clock-offset-s 0.3",
    "mild_1": "--seed 11 --profile mild --place gyula_varsand",
    "mild_2": "--seed 12 --profile mild --place vallaj_urziceni",
    "hard_1": "--seed 38 --profile hard --place artand_bors",
    "hard_2": "--seed 33 --profile hard --place csengersima_petea",
    "hard_3": "--seed 53 --profile hard --place kiszombor_cenad",
    "hard_4": "--seed 46 --profile hard --place battonya_turnu",
    "hard_5": "--seed 36 --profile hard --place nyirabrany_valea",
    "hard_6": "--seed 41 --profile hard --place mehkerek_salonta",
}
TRACKING, LOST, COASTING = 1, 0, 9
EDGE = 0.01  # a target this near the edge of the image (fraction of it) is lost
DEG_E7, MM, CM, CDEG = 1e7, 1e3, 1e2, 1e2


@dataclass
class DroneFaults:
    """What is wrong with one drone and its camera."""

    latency_s: tuple[float, float] = (0.2, 0.27)  # from image to message: each row anew, between these
    boresight_deg: tuple[float, float] = (0.6, -0.4)  # yaw, pitch
    pixel_std: float = 0.004  # of the width, both axes alike in angle
    max_range_m: float = 1500.0
    pointing_std_deg: float = 0.0  # new in each gimbal row, per axis
    heading_deg: float = 0.0
    heading_wander_deg: float = 0.6
    heading_wander_s: float = 90.0
    gnss_std_m: float = 0.25
    gnss_time_s: float = 120.0
    servo: str = ""  # "", or how the mount turns: pan_roll_tilt, quaternion, levelled
    servo_lag_s: float = 0.1
    servo_deadband_deg: float = 0.5
    servo_sag_deg: float = 1.0
    servo_sag_s: float = 15.0
    geo_inherits: bool = False  # its own target positions carry its heading error
    clock_offset_s: float = 0.0  # of the recorder
    stamps: str = "us"  # us, ms, link (two lowest bits are a link number)


@dataclass
class Faults:
    """Everything that is wrong in a variant."""

    drones: dict[str, DroneFaults] = field(default_factory=lambda: {role: DroneFaults() for role in ROLES})
    episodes: list[dict] = field(default_factory=list)  # drone, kind, start, end [s after start_unix], ...
    glitches: list[dict] = field(default_factory=list)  # who, start, end, ramp_s, east_m, north_m, raw_only
    loss: float = 0.0
    bursts: int = 0
    late: float = 0.0
    late_max_s: float = 1.5
    late_mode: str = "single"  # single, stall, mixed


class Draw:
    """One generator for each purpose, so that a fault more or less leaves every other draw as it was."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])


# ---------------------------------------------------------------------------------------------------------------- logs


class Log:
    """Every frame of a stamped log, as pymavlink decodes it."""

    def __init__(self, path: pathlib.Path) -> None:
        data, at, parser = path.read_bytes(), 0, mavlink.MAVLink(None)
        stamps, self.messages = [], []
        while at < len(data):
            size = 8 + data[at + 9] + 12
            if data[at + 8] != mavlink.PROTOCOL_MARKER_V2 or data[at + 10]:
                raise SystemExit(f"{path}: byte {at}: needed unsigned MAVLink 2 frames with stamps and nothing else.")
            stamps.append(int.from_bytes(data[at : at + 8], "big"))
            self.messages.append(parser.decode(bytearray(data[at + 8 : at + size])))
            at += size
        self.stamp_us = np.array(stamps, dtype=np.int64)
        self.kind = np.array([message.msgname for message in self.messages])

    def rows(self, name: str) -> np.ndarray:
        return np.flatnonzero(self.kind == name)

    def values(self, name: str, *names: str) -> np.ndarray:
        """One field (n,), or several (n, k)."""
        table = np.array([[getattr(self.messages[row], one) for one in names] for row in self.rows(name)], dtype=float)
        return table.reshape(-1) if len(names) == 1 else table.reshape(-1, len(names))

    def put(self, name: str, **columns: np.ndarray) -> None:
        """Set fields of all rows of a message; a field that holds whole numbers gets them rounded."""
        rows = self.rows(name)
        for key, values in columns.items():
            whole = bool(len(rows)) and isinstance(getattr(self.messages[rows[0]], key), int)
            for row, value in zip(rows, values, strict=True):
                setattr(self.messages[row], key, round(float(value)) if whole else float(value))

    def write(self, path: pathlib.Path, kept: np.ndarray, stamp_us: np.ndarray) -> None:
        """Write the kept frames in the order of their stamps; the sequence numbers count the others too."""
        sequence: dict[tuple[int, int], int] = {}
        frames = []
        for message in self.messages:
            source = (message.get_srcSystem(), message.get_srcComponent())
            sender = mavlink.MAVLink(None, *source)
            sender.seq = sequence.get(source, 0)
            sequence[source] = (sender.seq + 1) % 256
            frames.append(message.pack(sender))
        order = np.flatnonzero(kept)
        order = order[np.argsort(stamp_us[order], kind="stable")]
        path.write_bytes(b"".join(int(stamp_us[row]).to_bytes(8, "big") + frames[row] for row in order))


def boot_clock(log: Log) -> tuple[float, float]:
    """Offset [us] and rate that bring boot time [us] to UTC: the line under what the link delayed."""
    boot = log.values("ATTITUDE", "time_boot_ms") * 1e3
    delay = log.stamp_us[log.rows("ATTITUDE")] - boot
    bins = ((boot - boot[0]) // 5e6).astype(int)
    lowest = np.array([np.flatnonzero(bins == one)[np.argmin(delay[bins == one])] for one in np.unique(bins)])
    rate, _ = np.polyfit(boot[lowest] - boot[0], delay[lowest] - delay[0], 1) if len(lowest) > 5 else (0.0, 0.0)
    rest = delay - rate * (boot - boot[0])
    return float(rest.min() - rate * boot[0] - LINK_S * 1e6), 1.0 + float(rate)


# --------------------------------------------------------------------------------------------------------------- truth


class Path:
    """Where something truly was: latitude and longitude [deg], height above the sea [m], linear between rows."""

    def __init__(self, time_us: np.ndarray, place: np.ndarray) -> None:
        time_us, first = np.unique(time_us, return_index=True)
        self.time_us, self.place = time_us, place[first]

    def at(self, time_us: np.ndarray) -> np.ndarray:
        return np.column_stack([np.interp(time_us, self.time_us, self.place[:, axis]) for axis in range(3)])


def to_ecef(place: np.ndarray) -> np.ndarray:
    lat, lon, msl = place.T
    return geodesy.geodetic_to_ecef(lat, lon, geodesy.msl_to_hae(lat, lon, msl))


def ned_between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Vectors north, east, down from one place to another."""
    enu = geodesy.ecef_vectors_to_enu(to_ecef(end) - to_ecef(start), start[:, 0], start[:, 1])
    return np.column_stack([enu[:, 1], enu[:, 0], -enu[:, 2]])


def shifted(place: np.ndarray, east_m: np.ndarray, north_m: np.ndarray, up_m: np.ndarray | float = 0.0) -> np.ndarray:
    """Places moved by metres."""
    lat, lon, msl = place.T
    scale = np.degrees(1.0 / 6.378137e6)
    return np.column_stack([lat + north_m * scale, lon + east_m * scale / np.cos(np.radians(lat)), msl + up_m])


def rotation(axes: str, *angles_rad: np.ndarray | float) -> Rotation:
    """Rotations about the axes in turn, each in the frame that the one before left."""
    return Rotation.from_euler(axes, np.column_stack(np.broadcast_arrays(*(np.atleast_1d(one) for one in angles_rad))))


def from_wxyz(quaternion: np.ndarray) -> Rotation:
    return Rotation.from_quat(quaternion[:, [1, 2, 3, 0]])


def wander(rng: np.random.Generator, time_s: np.ndarray, std: float, time_constant_s: float) -> np.ndarray:
    """First-order Gauss-Markov noise at rising times."""
    fresh = rng.normal(size=len(time_s))
    keep = np.exp(-np.diff(time_s, prepend=time_s[:1]).clip(0.0) / time_constant_s)
    out, value = np.empty(len(time_s)), fresh[:1].sum()
    for row in range(len(time_s)):
        value = keep[row] * value + np.sqrt(1.0 - keep[row] ** 2) * fresh[row]
        out[row] = value
    return std * out


# -------------------------------------------------------------------------------------------------------------- drones


class Flight:
    """What one drone truly did, on UTC; and the rows of its log that say so."""

    def __init__(self, log: Log) -> None:
        self.log = log
        offset, rate = boot_clock(log)
        self.utc = lambda name: np.rint(log.values(name, "time_boot_ms") * 1e3 * rate + offset).astype(np.int64)
        place = log.values("GLOBAL_POSITION_INT", "lat", "lon", "alt") / [DEG_E7, DEG_E7, MM]
        fixed = (place[:, 0] != 0.0) | (place[:, 1] != 0.0)
        self.path = Path(self.utc("GLOBAL_POSITION_INT")[fixed], place[fixed])
        self.angles = np.unwrap(log.values("ATTITUDE", "roll", "pitch", "yaw"), axis=0)
        self.attitude_us = self.utc("ATTITUDE")
        self.gimbal_us = self.utc("GIMBAL_DEVICE_ATTITUDE_STATUS")

    def body_angles(self, time_us: np.ndarray) -> np.ndarray:
        """Roll, pitch, yaw. [rad]"""
        return np.column_stack([np.interp(time_us, self.attitude_us, angle) for angle in self.angles.T])


class Heading:
    """How wrong a drone's heading is, at any time. [rad]"""

    def __init__(self, rng: np.random.Generator, faults: DroneFaults, start_us: int, end_us: int) -> None:
        self.time_us = np.arange(start_us, end_us + 1_000_000, 1_000_000)
        slow = wander(rng, self.time_us * 1e-6, faults.heading_wander_deg, faults.heading_wander_s)
        self.error = np.radians(faults.heading_deg + slow)

    def at(self, time_us: np.ndarray) -> np.ndarray:
        return np.interp(time_us, self.time_us, self.error)


def servo_command(aim: Rotation, body: np.ndarray) -> np.ndarray:
    """Pan, tilt and roll [rad] that ArduPilot tells its servos: the levelled aim, less the lean to first order."""
    forward, right = aim.apply([1.0, 0.0, 0.0]), aim.apply([0.0, 1.0, 0.0])
    pan, tilt = np.arctan2(-right[:, 0], right[:, 1]), -np.arcsin(np.clip(forward[:, 2], -1.0, 1.0))
    roll_lean = body[:, 0] * np.cos(pan) + body[:, 1] * np.sin(pan)
    pitch_lean = body[:, 1] * np.cos(pan) - body[:, 0] * np.sin(pan)
    return np.column_stack([np.unwrap(pan), tilt - pitch_lean, -roll_lean])


def servo_answer(rng: np.random.Generator, command: np.ndarray, time_s: np.ndarray, faults: DroneFaults) -> np.ndarray:
    """Where the servos stood: they lag, they do not move for less than the deadband, they sag."""
    dead = 0.5 * np.radians(faults.servo_deadband_deg)
    gain = 1.0 - np.exp(-np.diff(time_s, prepend=time_s[0]).clip(0.0) / faults.servo_lag_s)
    where, held, out = command[0].copy(), command[0].copy(), np.empty_like(command)
    for row, told in enumerate(command):
        held = np.where(np.abs(told - held) > dead, told - dead * np.sign(told - held), held)
        where += gain[row] * (held - where)
        out[row] = where
    sag = [wander(rng, time_s, np.radians(faults.servo_sag_deg), faults.servo_sag_s) for _ in range(3)]
    return out + np.column_stack(sag)


def point_camera(flight: Flight, faults: DroneFaults, heading: Heading, draw: Draw, role: str) -> Slerp:
    """Write what the gimbal reports; return where the camera truly looks (camera to north-east-down)."""
    log, time_us = flight.log, flight.gimbal_us
    rng = draw(f"{role} gimbal")
    body = flight.body_angles(time_us)
    # The autopilot aims by its own heading: where that is wrong, the target is beside the middle of the image.
    aim = rotation("Z", -heading.at(time_us)) * from_wxyz(_quaternions(log))
    levelled = rotation("Z", body[:, 2]) * aim
    reported = aim
    truth = levelled
    if faults.servo:
        command = servo_command(aim, body)
        reported = rotation("ZYX", *command.T)
        pan, tilt, roll = servo_answer(rng, command, time_us * 1e-6, faults).T
        mount = {"pan_roll_tilt": rotation("ZXY", pan, roll, tilt), "quaternion": rotation("ZYX", pan, tilt, roll)}
        if faults.servo in mount:
            truth = rotation("ZYX", *body.T[::-1]) * mount[faults.servo]
    reported = reported * Rotation.from_rotvec(np.radians(faults.pointing_std_deg) * rng.normal(size=(len(time_us), 3)))
    told = reported.as_quat()[:, [3, 0, 1, 2]]
    for row, quaternion in zip(log.rows("GIMBAL_DEVICE_ATTITUDE_STATUS"), told, strict=True):
        log.messages[row].q = quaternion.tolist()
    increasing = np.concatenate([[True], np.diff(time_us) > 0])
    return Slerp(time_us[increasing], truth[increasing])


def _quaternions(log: Log) -> np.ndarray:
    return np.array([log.messages[row].q for row in log.rows("GIMBAL_DEVICE_ATTITUDE_STATUS")])


@dataclass
class Scene:
    """The target, and which episodes of which drone hold when."""

    target: Path
    start_us: int
    episodes: list[dict]

    def inside(self, role: str, kind: str, time_us: np.ndarray) -> list[tuple[dict, np.ndarray]]:
        seconds = (time_us - self.start_us) * 1e-6
        mine = [one for one in self.episodes if one["drone"] == role and one["kind"] == kind]
        return [(one, (seconds >= one["start"]) & (seconds < one["end"])) for one in mine]

    def followed(self, role: str, time_us: np.ndarray) -> np.ndarray:
        """Place of what the tracker is on: the target, another car beside it, or its own guess."""
        place = self.target.at(time_us)
        for one, rows in self.inside(role, "latch", time_us):
            since = (time_us[rows] - self.start_us) * 1e-6 - one["start"]
            place[rows] = shifted(
                place[rows], one["east_m"] + one["v_east_mps"] * since, one["north_m"] + one["v_north_mps"] * since
            )
        for one, rows in self.inside(role, "coast", time_us):
            begin = np.array([self.start_us + round(one["start"] * 1e6)])
            before, at = self.target.at(begin - 500_000), self.target.at(begin)
            since = (time_us[rows] - begin) * 1e-6
            place[rows] = at + (at - before) / 0.5 * since[:, None]
        return place


def see(flight: Flight, faults: DroneFaults, camera: Slerp, scene: Scene, draw: Draw, role: str) -> int:
    """Write what the image tracker says; return the number of sightings."""
    log, rng = flight.log, draw(f"{role} image")
    name = "CAMERA_TRACKING_IMAGE_STATUS"
    sent_us = log.stamp_us[log.rows(name)]
    low, high = faults.latency_s
    time_us = sent_us - np.rint(1e6 * rng.uniform(low, high, size=len(sent_us))).astype(np.int64)
    optics = log.values("CAMERA_INFORMATION", "sensor_size_h", "sensor_size_v", "focal_length")[0]
    half = 0.5 * optics[:2] / optics[2]
    known = (time_us >= camera.times[0]) & (time_us <= camera.times[-1])
    looks = camera(np.clip(time_us, camera.times[0], camera.times[-1])) * rotation(
        "ZY", *np.radians(faults.boresight_deg)
    )
    sight = ned_between(flight.path.at(time_us), scene.followed(role, time_us))
    ray = looks.inv().apply(sight)
    noise = faults.pixel_std * rng.normal(size=(len(ray), 2)) * [1.0, half[0] / half[1]]
    point = 0.5 + 0.5 * ray[:, 1:] / ray[:, :1] / half + noise
    seen = known & (ray[:, 0] > 0.0) & np.all(np.abs(point - 0.5) < 0.5 - EDGE, axis=1)
    seen &= np.linalg.norm(sight, axis=1) <= faults.max_range_m
    status = np.where(seen, TRACKING, LOST)
    for _, rows in scene.inside(role, "lost", time_us):
        status[rows] = LOST
    for _, rows in scene.inside(role, "coast", time_us):
        status[rows & seen] = COASTING
    point[status == LOST] = np.nan
    log.put(
        name,
        tracking_status=status,
        tracking_mode=np.where(status == LOST, 0, 1),
        point_x=point[:, 0],
        point_y=point[:, 1],
        radius=np.where(status == LOST, np.nan, 0.02),
    )
    return int(np.sum(status == TRACKING))


def place_targets(flight: Flight, faults: DroneFaults, heading: Heading, scene: Scene, role: str) -> np.ndarray:
    """Write where the camera itself puts its target (with the errors it had); return which rows it would not send."""
    log, name = flight.log, "CAMERA_TRACKING_GEO_STATUS"
    sent_us = log.stamp_us[log.rows(name)]
    time_us = sent_us - round(1e6 * np.mean(faults.latency_s))
    stated = log.values(name, "lat", "lon", "alt") / [DEG_E7, DEG_E7, 1.0]
    place = stated + scene.followed(role, time_us) - scene.target.at(time_us)
    if faults.geo_inherits and len(place):
        drone = flight.path.at(time_us)
        line = rotation("Z", heading.at(time_us)).apply(ned_between(drone, place))
        place[:, :2] = shifted(drone, line[:, 1], line[:, 0])[:, :2]
    log.put(name, lat=place[:, 0] * DEG_E7, lon=place[:, 1] * DEG_E7)
    blind = np.zeros(len(sent_us), dtype=bool)
    for kind in ("lost", "coast"):
        for _, rows in scene.inside(role, kind, time_us):
            blind |= rows
    return log.rows(name)[blind]


def report(flight: Flight, faults: DroneFaults, heading: Heading, jump: "Jump", draw: Draw, role: str) -> None:
    """Put the errors of heading and position on what the autopilot reports."""
    log, rng = flight.log, draw(f"{role} gnss")
    yaw = flight.angles[:, 2] + heading.at(flight.attitude_us)
    log.put("ATTITUDE", yaw=(yaw + np.pi) % (2.0 * np.pi) - np.pi)
    for name, key, unit in (("GLOBAL_POSITION_INT", "hdg", CDEG), ("VFR_HUD", "heading", 1.0)):
        said = log.values(name, key)
        off = np.degrees(heading.at(log.stamp_us[log.rows(name)])) * unit
        log.put(name, **{key: np.where(said == 65535, said, (said + off) % (360.0 * unit))})
    # One slow error for both messages, drawn on a grid of seconds.
    grid_us = np.arange(log.stamp_us[0] - 2_000_000, log.stamp_us[-1] + 2_000_000, 1_000_000)
    slow = [wander(rng, grid_us * 1e-6, faults.gnss_std_m * k, faults.gnss_time_s) for k in (1.0, 1.0, 1.5)]
    for name, time_us in (
        ("GLOBAL_POSITION_INT", flight.utc("GLOBAL_POSITION_INT")),
        ("GPS_RAW_INT", log.stamp_us[log.rows("GPS_RAW_INT")]),
    ):
        place = log.values(name, "lat", "lon", "alt") / [DEG_E7, DEG_E7, MM]
        east, north, up = (np.interp(time_us, grid_us, one) for one in slow)
        jump_east, jump_north = jump.at(time_us, raw=name == "GPS_RAW_INT")
        moved = shifted(place, east + jump_east, north + jump_north, up)
        moved[(place[:, 0] == 0.0) & (place[:, 1] == 0.0)] = 0.0
        log.put(name, lat=moved[:, 0] * DEG_E7, lon=moved[:, 1] * DEG_E7)
        fixed = (place[:, 0] != 0.0) | (place[:, 1] != 0.0)
        log.put(name, alt=np.where(fixed, moved[:, 2], place[:, 2]) * MM)


class Jump:
    """By how much the reported position of somebody jumps, and returns."""

    def __init__(self, glitches: list[dict], who: str, start_us: int) -> None:
        self.mine = [one for one in glitches if one["who"] == who]
        self.start_us = start_us

    def at(self, time_us: np.ndarray, *, raw: bool = True) -> tuple[np.ndarray, np.ndarray]:
        seconds = (time_us - self.start_us) * 1e-6
        part = []
        for one in self.mine:
            corners = [one["start"], one["start"] + one["ramp_s"], one["end"], one["end"] + one["ramp_s"]]
            there = raw or not one["raw_only"]
            part.append(there * np.interp(seconds, corners, [0.0, 1.0, 1.0, 0.0]))
        zero = np.zeros(len(time_us))
        east = sum((one["east_m"] * share for one, share in zip(self.mine, part, strict=True)), zero)
        north = sum((one["north_m"] * share for one, share in zip(self.mine, part, strict=True)), zero)
        return east, north


def carry(log: Log, faults: Faults, mine: DroneFaults, unsent: np.ndarray, draw: Draw, role: str) -> tuple:
    """What the link did: which frames came, and when their recorder stamped them."""
    rng, n = draw(f"{role} link"), len(log.messages)
    kept = rng.random(n) >= faults.loss
    for start in rng.uniform(0.05, 0.95, size=faults.bursts):
        first = int(start * n)
        kept[first : first + int(rng.integers(8, 60))] = False
    kept[unsent] = False
    kept[log.rows("CAMERA_INFORMATION")[:1]] = True
    stamp_us = log.stamp_us.copy()
    single = {"single": 1.0, "stall": 0.0, "mixed": 0.5}[faults.late_mode] * faults.late
    late = rng.random(n) < single
    stamp_us[late] += np.rint(1e6 * rng.uniform(0.1, faults.late_max_s, size=int(late.sum()))).astype(np.int64)
    waiting_s = (faults.late - single) * (log.stamp_us[-1] - log.stamp_us[0]) * 1e-6
    while waiting_s > 0.0:
        held_s = min(rng.uniform(0.4, faults.late_max_s), max(waiting_s, 0.1))
        end_us = rng.integers(log.stamp_us[0], log.stamp_us[-1]) + round(held_s * 1e6)
        held = (log.stamp_us >= end_us - held_s * 1e6) & (log.stamp_us < end_us)
        stamp_us[held] = np.maximum(stamp_us[held], end_us + 40 * np.arange(held.sum()))
        waiting_s -= held_s
    stamp_us += round(mine.clock_offset_s * 1e6)
    if mine.stamps == "ms":
        stamp_us = stamp_us // 1000 * 1000
    elif mine.stamps == "link":
        stamp_us = stamp_us // 4 * 4 + 1
    return kept, stamp_us, int(np.sum(late & kept))


# ---------------------------------------------------------------------------------------------------------------- move


class Move:
    """A rigid move of everything: a turn about a pivot, and the pivot to another place and height."""

    def __init__(self, pivot: np.ndarray, turn_rad: float, place: np.ndarray) -> None:
        self.turn_rad, self.rise_m = turn_rad, float(place[2] - pivot[2])
        self.pivot = geodesy.geodetic_to_ecef([pivot[0]], [pivot[1]], [0.0])
        self.place = geodesy.geodetic_to_ecef([place[0]], [place[1]], [0.0])
        east_north_up = Rotation.from_euler("Z", -turn_rad).as_matrix()  # courses count clockwise
        from_ecef, other = (geodesy.enu_rotation([one[0]], [one[1]])[0] for one in (pivot, place))
        self.matrix = other.T @ east_north_up @ from_ecef

    def points(self, place: np.ndarray) -> np.ndarray:
        """Places (latitude, longitude, above the sea); the sea is taken for the ellipsoid on both sides."""
        x = geodesy.geodetic_to_ecef(*place.T)
        lat, lon, height = geodesy.ecef_to_geodetic((x - self.pivot) @ self.matrix.T + self.place)
        return np.column_stack([lat, lon, height + self.rise_m])

    def turns_rad(self, place: np.ndarray) -> np.ndarray:
        """By how much a course at each place turns: the turn, and what the meridians add."""
        north = geodesy.enu_vectors_to_ecef(np.tile([0.0, 1.0, 0.0], (len(place), 1)), place[:, 0], place[:, 1])
        moved = self.points(place)
        enu = geodesy.ecef_vectors_to_enu(north @ self.matrix.T, moved[:, 0], moved[:, 1])
        return np.arctan2(enu[:, 0], enu[:, 1])


def move_log(log: Log, flight: Flight, move: Move) -> None:
    """Move every place and turn every course, heading and velocity of a log."""
    grid_us = flight.path.time_us
    turns = move.turns_rad(flight.path.place)
    at = functools.partial(np.interp, xp=grid_us, fp=turns)
    for name, keys, height_unit in (
        ("GLOBAL_POSITION_INT", ("lat", "lon", "alt"), MM),
        ("GPS_RAW_INT", ("lat", "lon", "alt"), MM),
        ("HOME_POSITION", ("latitude", "longitude", "altitude"), MM),
        ("GPS_GLOBAL_ORIGIN", ("latitude", "longitude", "altitude"), MM),
        ("CAMERA_TRACKING_GEO_STATUS", ("lat", "lon", "alt"), 1.0),
    ):
        place = log.values(name, *keys) / [DEG_E7, DEG_E7, height_unit]
        fixed = (place[:, 0] != 0.0) | (place[:, 1] != 0.0)
        place[fixed] = move.points(place[fixed])
        log.put(name, **dict(zip(keys, (place * [DEG_E7, DEG_E7, height_unit]).T, strict=True)))
    raised = log.values("GPS_RAW_INT", "alt_ellipsoid")
    log.put("GPS_RAW_INT", alt_ellipsoid=np.where(raised != 0.0, raised + move.rise_m * MM, raised))
    log.put("VFR_HUD", alt=log.values("VFR_HUD", "alt") + move.rise_m)
    for name, key, per_turn, unknown in (
        ("GLOBAL_POSITION_INT", "hdg", 360.0 * CDEG, 65535),
        ("GPS_RAW_INT", "cog", 360.0 * CDEG, 65535),
        ("VFR_HUD", "heading", 360.0, None),
        ("CAMERA_TRACKING_GEO_STATUS", "hdg", 2.0 * np.pi, None),
        ("ATTITUDE", "yaw", 2.0 * np.pi, None),
    ):
        said = log.values(name, key)
        turned = (said + at(log.stamp_us[log.rows(name)]) * per_turn / (2.0 * np.pi)) % per_turn
        turned = np.where(turned > np.pi, turned - 2.0 * np.pi, turned) if name == "ATTITUDE" else turned
        turned = np.minimum(turned, per_turn - 1.0) if per_turn > 100.0 else turned
        log.put(name, **{key: np.where(said == unknown, said, turned) if unknown else turned})
    for name, keys in (("GLOBAL_POSITION_INT", ("vx", "vy")), ("CAMERA_TRACKING_GEO_STATUS", ("vel_n", "vel_e"))):
        north, east = log.values(name, *keys).T
        turn = at(log.stamp_us[log.rows(name)])
        cos, sin = np.cos(turn), np.sin(turn)
        log.put(name, **dict(zip(keys, (cos * north - sin * east, sin * north + cos * east), strict=True)))


def find_move(path: Path, border: Border, place: str, rng: np.random.Generator) -> tuple[Move, str]:
    """Draw a move that lets the path cross the border once, near a place; say which country it starts in."""
    lat, lon, ground = PLACES[place]
    line = np.column_stack([border.line_lat_deg, border.line_lon_deg])
    metres = (line - [lat, lon]) * [111_200.0, 111_320.0 * np.cos(np.radians(lat))]
    near = np.flatnonzero(np.hypot(*metres.T) < 4000.0)
    seconds_us = np.arange(path.time_us[0], path.time_us[-1], 1_000_000)
    track = path.at(seconds_us)
    pivot_us = crossing_us(path, border)
    pivot = path.at(np.array([pivot_us]))[0]
    step = ned_between(path.at(np.array([pivot_us - 3_000_000])), path.at(np.array([pivot_us + 3_000_000])))[0]
    for _ in range(400):
        spot = int(rng.choice(near[(near > 3) & (near < len(line) - 4)]))
        along = metres[spot + 2] - metres[spot - 2]
        across = np.arctan2(along[1], along[0]) + (np.pi / 2) * rng.choice([-1.0, 1.0])
        turn = across + np.radians(rng.uniform(-35.0, 35.0)) - np.arctan2(step[1], step[0])
        share = rng.uniform(0.2, 0.8)
        spot_at = share * line[spot] + (1.0 - share) * line[spot + 1]
        move = Move(pivot, turn, np.array([*spot_at, ground]))
        side = np.sign(border.signed_distance_m(*move.points(track)[:, :2].T))
        if np.count_nonzero(np.diff(side)) == 1 and min(np.sum(side == side[0]), np.sum(side == side[-1])) > 15:
            return move, border.home if side[0] < 0 else border.host
    raise SystemExit(f"{place}: no move lets this path cross the border once; choose another place.")


def crossing_us(path: Path, border: Border) -> int:
    """When a path changes sides; the middle of the path where it never does."""
    found = crossings_us(path, border)
    return found[0] if found else int(path.time_us[len(path.time_us) // 2])


def crossings_us(path: Path, border: Border) -> list[int]:
    """Every time at which a path changes sides, by halving down to a microsecond."""
    side = border.signed_distance_m(*path.place[:, :2].T) > 0.0
    found = []
    for row in np.flatnonzero(side[1:] != side[:-1]):
        early, late = (int(path.time_us[row + k]) for k in (0, 1))
        while late - early > 1:
            middle = (early + late) // 2
            here = border.signed_distance_m(*path.at(np.array([middle]))[:, :2].T)[0] > 0.0
            early, late = (middle, late) if here == side[row] else (early, middle)
        found.append(late)
    return found


# --------------------------------------------------------------------------------------------------------------- units


@dataclass
class UnitMove:
    """Where a unit's reported places go."""

    move: Move | None
    jump: Jump

    def __call__(self, place: np.ndarray, time_us: int) -> tuple[np.ndarray, float, float]:
        """New place, its turn [deg], and the geoid there [m]."""
        east, north = self.jump.at(np.array([time_us]))
        there = shifted(place[None, :], east, north)
        turn = 0.0
        if self.move:
            turn = float(np.degrees(self.move.turns_rad(there)[0]))
            there = self.move.points(there)
        geoid = float(geodesy.geoid_undulation_m(there[:, 0], there[:, 1])[0])
        return there[0], turn, geoid


def utc_us(text: str) -> int:
    return int(np.datetime64(text.rstrip("Z"), "us").astype(np.int64))


def move_gpx(text: str, to: UnitMove) -> str:
    """Move the points of a GPX track."""

    def point(found: re.Match) -> str:
        place, _, _ = to(np.array([float(found[k]) for k in (1, 2, 3)]), utc_us(found[4]))
        return f'<trkpt lat="{place[0]:.7f}" lon="{place[1]:.7f}"><ele>{place[2]:.1f}</ele><time>{found[4]}</time>'

    return re.sub(r'<trkpt lat="([\d.-]+)" lon="([\d.-]+)"><ele>([\d.-]+)</ele><time>([^<]+)</time>', point, text)


def move_cot(text: str, to: dict[str, UnitMove]) -> str:
    """Move the events of a Cursor-on-Target file."""

    def event(found: re.Match) -> str:
        lat, lon, hae, course = (float(found[k]) for k in ("lat", "lon", "hae", "course"))
        msl = float(geodesy.hae_to_msl([lat], [lon], [hae])[0])
        place, turn, geoid = to[found["uid"]](np.array([lat, lon, msl]), utc_us(found["time"]))
        head = f'{found["head"]}<point lat="{place[0]:.7f}" lon="{place[1]:.7f}" hae="{place[2] + geoid:.1f}"'
        return f'{head}{found["mid"]}<track course="{(course + turn) % 360.0:.1f}"'

    pattern = (
        r'(?P<head><event [^>]*uid="(?P<uid>[^"]+)"[^>]* time="(?P<time>[^"]+)"[^>]*>)'
        r'<point lat="(?P<lat>[\d.-]+)" lon="(?P<lon>[\d.-]+)" hae="(?P<hae>[\d.-]+)"(?P<mid>.*?)'
        r'<track course="(?P<course>[\d.-]+)"'
    )
    return re.sub(pattern, event, text)


def move_nmea(text: str, to: UnitMove) -> str:
    """Move RMC and GGA, turn GST's ellipse, sign each sentence anew."""
    out, day = [], re.search(r"RMC,(?:[^,]*,){8}(\d\d)(\d\d)(\d\d)", text)
    date = f"20{day[3]}-{day[2]}-{day[1]}" if day else "2000-01-01"
    turn = 0.0
    for line in text.splitlines():
        part = line[1:].split("*")[0].split(",")
        clock = part[1]
        time_us = utc_us(f"{date}T{clock[:2]}:{clock[2:4]}:{clock[4:]}0000")
        first = {"RMC": 3, "GGA": 2}.get(part[0][2:])
        if first:
            msl = float(part[9]) if first == 2 else 0.0
            place, turn, geoid = to(np.array([_degrees(part[first]), _degrees(part[first + 2]), msl]), time_us)
            part[first], part[first + 2] = f"{_minutes(place[0]):0>11}", f"{_minutes(place[1]):0>12}"
            if first == 2:
                part[9], part[11] = f"{place[2]:.1f}", f"{geoid:.1f}"
            else:
                part[8] = f"{(float(part[8]) + turn) % 360.0:.1f}"
        elif part[0][2:] == "GST":
            part[5] = f"{(float(part[5]) + turn) % 180.0:.1f}"
        body = ",".join(part)
        out.append(f"${body}*{functools.reduce(lambda a, b: a ^ b, body.encode()):02X}")
    return "\r\n".join(out) + "\r\n"


def _degrees(text: str) -> float:
    whole, minutes = divmod(float(text), 100.0)
    return whole + minutes / 60.0


def _minutes(angle_deg: float) -> str:
    whole, part = divmod(angle_deg, 1.0)
    return f"{whole * 100.0 + part * 60.0:.6f}"


# ---------------------------------------------------------------------------------------------------------------- draw


def draw_faults(profile: str, draw: Draw, seconds: dict[str, tuple[float, float]], units: list[str]) -> Faults:
    """Draw what is wrong. `seconds` says when each drone's camera works; times count from `start_unix`."""
    faults = Faults()
    if profile == "none":
        faults.drones["second"].latency_s, faults.drones["second"].boresight_deg = (0.26, 0.33), (-0.3, 0.2)
        return faults
    hard = profile == "hard"
    rng = draw("faults")
    for role in ROLES:
        mine = faults.drones[role]
        low = rng.uniform(0.1, 0.45)
        mine.latency_s = (low, low + rng.uniform(0.04, 0.1))
        mine.boresight_deg = tuple((0.5 if hard else 0.4) * rng.normal(size=2))
        mine.max_range_m = rng.uniform(1200.0, 1600.0)
        mine.pointing_std_deg = 0.1 if hard else 0.05
        mine.geo_inherits = bool(rng.random() < 0.5)
        mine.stamps = str(rng.choice(["us", "ms", "link"]))
    faults.episodes = draw_episodes(rng, seconds, hard)
    faults.loss, faults.bursts = (0.03, 4) if hard else (0.01, 1)
    faults.late, faults.late_max_s = (0.02, 1.5) if hard else (0.005, 0.5)
    faults.late_mode = str(rng.choice(["single", "stall", "mixed"], p=[0.6, 0.1, 0.3])) if hard else "single"
    lying, off = rng.permutation(ROLES)
    if hard:
        faults.drones[lying].servo = str(rng.choice(["pan_roll_tilt", "quaternion", "levelled"], p=[0.6, 0.3, 0.1]))
        faults.drones[lying].servo_lag_s = rng.uniform(0.05, 0.15)
        faults.drones[off].heading_deg = rng.choice([-1.0, 1.0]) * rng.uniform(2.5, 3.5)
        faults.drones[off].heading_wander_deg = 0.5
        who = [str(rng.choice(ROLES)), *([str(rng.choice(units))] if units else [])]
        faults.glitches = [draw_glitch(rng, one, seconds) for one in who]
    return faults


def draw_glitch(rng: np.random.Generator, who: str, seconds: dict[str, tuple[float, float]]) -> dict:
    """A jump of 20 to 80 m for 3 to 10 s while that drone's camera works, at once or in two seconds."""
    begin, end = seconds[who.removeprefix("unit ")]
    start = rng.uniform(begin + 0.1 * (end - begin), end - 0.1 * (end - begin))
    size, towards = rng.uniform(20.0, 80.0), rng.uniform(0.0, 2.0 * np.pi)
    one = {"who": who, "start": start, "end": start + rng.uniform(3.0, 10.0), "ramp_s": float(rng.choice([0.2, 2.0]))}
    return one | {"east_m": size * np.sin(towards), "north_m": size * np.cos(towards), "raw_only": False}


def draw_episodes(rng: np.random.Generator, seconds: dict[str, tuple[float, float]], hard: bool) -> list[dict]:
    """Times without the target, of guessing, and on a wrong car: each in its own stretch of the flight."""
    found = []
    for role, kinds in (
        ("first", ["lost", "latch", "lost", "coast", "latch"] if hard else ["lost", "latch"]),
        ("second", ["lost", "latch", "coast"] if hard else ["lost"]),
    ):
        begin, end = seconds[role]
        edges = np.linspace(begin + 10.0, end - 10.0, len(kinds) + 1)
        for kind, low, high in zip(rng.permutation(kinds), edges[:-1], edges[1:], strict=True):
            shortest, longest = {"lost": (6.0, 20.0), "coast": (2.0, 4.0), "latch": (3.0, 6.0)}[str(kind)]
            length = min(rng.uniform(shortest, longest), 0.6 * (high - low))
            start = rng.uniform(low, high - length)
            one = {"drone": role, "kind": str(kind), "start": start, "end": start + length}
            if kind == "latch":
                side, towards = rng.uniform(30.0, 60.0), rng.uniform(0.0, 2.0 * np.pi)
                one |= {"east_m": side * np.sin(towards), "north_m": side * np.cos(towards)}
                one |= {"v_east_mps": 2.0 * rng.normal(), "v_north_mps": 2.0 * rng.normal()}
            found.append(one)
    return found


# ----------------------------------------------------------------------------------------------------------------- run


@dataclass
class Source:
    """A recorded exercise: its mission, its truth, when it began."""

    folder: pathlib.Path
    mission: dict
    truth: np.ndarray
    start_us: int
    scenario: dict

    @classmethod
    def read(cls, folder: pathlib.Path, truth: pathlib.Path | None) -> "Source":
        mission = tomllib.loads((folder / "mission.toml").read_text(encoding="utf-8"))
        rows = np.genfromtxt(
            truth or folder / "truth.csv", delimiter=",", names=True, dtype=None, encoding="utf-8", ndmin=1
        )
        said = folder / "scenario.json"
        scenario = json.loads(said.read_text(encoding="utf-8")) if said.exists() else {}
        target = rows[rows["entity"] == "target"]
        start = scenario.get("start_unix", target["time_unix_us"][0] * 1e-6)
        return cls(folder, mission, rows, round(start * 1e6), scenario)

    def path(self, entity: str) -> Path:
        rows = self.truth[self.truth["entity"] == entity]
        return Path(rows["time_unix_us"], np.column_stack([rows[key] for key in ("lat_deg", "lon_deg", "alt_msl_m")]))


def make(source: Source, folder: pathlib.Path, seed: int, faults: Faults | str, place: str | None) -> dict:
    """Write a variant; return its scenario."""
    draw = Draw(seed)
    border = Border.between("HU", "RO")
    target = source.path("target")
    drones = dict(zip(ROLES, source.mission["drone"], strict=True))
    units = dict(zip(ROLES, source.mission.get("unit", []), strict=False))
    flights = {role: Flight(Log(source.folder / entry["log"])) for role, entry in drones.items()}
    if isinstance(faults, str):
        faults = draw_faults(faults, draw, camera_seconds(flights, source.start_us), [f"unit {role}" for role in units])
    move, starts_in = find_move(target, border, place, draw("place")) if place else (None, "")
    codes = [entry["authority"] for entry in drones.values()]
    if starts_in and starts_in != codes[0]:
        codes.reverse()
    rename = {entry["authority"]: code for entry, code in zip(drones.values(), codes, strict=True)}
    folder.mkdir(parents=True, exist_ok=True)
    scene = Scene(target, source.start_us, faults.episodes)
    counts = {}
    for role, flight in flights.items():
        counts[role] = make_drone(flight, faults, scene, move, draw, role)
        kept, stamp_us = counts[role].pop("frames")
        flight.log.write(folder / renamed(drones[role]["log"], rename), kept, stamp_us)
    make_units(source, folder, units, faults, move, rename)
    truth = moved_truth(source, flights, drones, units, move, rename)
    scenario = describe(source, faults, truth, border, counts, codes, seed, place, move)
    write_truth(folder / "truth.csv", truth)
    (folder / "scenario.json").write_text(json.dumps(scenario, indent=1), encoding="utf-8")
    (folder / "mission.toml").write_text(mission_text(source, scenario, rename), encoding="utf-8")
    (folder / "SOURCES.md").write_text(
        f"# {folder.name}: a variant of {source.folder.name} (CC0), made by tools/make_variant.py, seed {seed}\n\n"
        "What was drawn stands in scenario.json under `variant`; truth.csv is for scoring only.\n",
        encoding="utf-8",
    )
    return scenario


def camera_seconds(flights: dict[str, Flight], start_us: int) -> dict[str, tuple[float, float]]:
    """When each drone's camera works."""
    when = {}
    for role, flight in flights.items():
        said = flight.log.stamp_us[flight.log.rows("CAMERA_TRACKING_IMAGE_STATUS")]
        when[role] = ((said[0] - start_us) * 1e-6, (said[-1] - start_us) * 1e-6)
    return when


def make_drone(flight: Flight, faults: Faults, scene: Scene, move: Move | None, draw: Draw, role: str) -> dict:
    """Make one drone's log anew; the order matters, for each step reads what the ones after it change."""
    mine, log = faults.drones[role], flight.log
    heading = Heading(draw(f"{role} heading"), mine, int(log.stamp_us[0]) - 2_000_000, int(log.stamp_us[-1]))
    camera = point_camera(flight, mine, heading, draw, role)
    sightings = see(flight, mine, camera, scene, draw, role)
    unsent = place_targets(flight, mine, heading, scene, role)
    report(flight, mine, heading, Jump(faults.glitches, role, scene.start_us), draw, role)
    if move:
        move_log(log, flight, move)
    kept, stamp_us, late = carry(log, faults, mine, unsent, draw, role)
    return {
        "sightings": sightings,
        "frames_sent": len(kept),
        "frames_kept": int(kept.sum()),
        "frames_late": late,
        "frames": (kept, stamp_us),
    }


def renamed(name: str, rename: dict[str, str]) -> str:
    """Name of a file or entity with its country swapped."""
    pattern = "|".join(rename)

    def swap(found: re.Match) -> str:
        code = rename[found[0].upper()]
        return code if found[0].isupper() else code.lower()

    return re.sub(rf"^(?:{pattern})(?=[-_])", swap, name, flags=re.IGNORECASE)


def make_units(
    source: Source, folder: pathlib.Path, units: dict, faults: Faults, move: Move | None, rename: dict[str, str]
) -> None:
    """Write the units' reports."""
    to = {}
    for role, entry in units.items():
        to[entry["id"]] = UnitMove(move, Jump(faults.glitches, f"unit {role}", source.start_us))
        path = source.folder / entry["log"]
        change = {".gpx": move_gpx, ".nmea": move_nmea}[path.suffix]
        text = change(path.read_text(encoding="utf-8"), to[entry["id"]])
        text = text.replace(f"<name>{entry['id']}<", f"<name>{renamed(entry['id'], rename)}<")
        (folder / renamed(entry["log"], rename)).write_text(text, encoding="utf-8", newline="")
    events = source.folder / "units.cot.xml"
    if events.exists() and to:
        text = move_cot(events.read_text(encoding="utf-8"), to)
        swap = re.compile(r'(?<=uid=")[^"]+|(?<=callsign=")[^"]+')
        (folder / events.name).write_text(swap.sub(lambda found: renamed(found[0], rename), text), encoding="utf-8")


def moved_truth(source: Source, flights: dict, drones: dict, units: dict, move: Move | None, rename: dict) -> dict:
    """Truth of everyone by name, moved."""
    entities = {"target": source.path("target")}
    for role, entry in drones.items():
        entities[renamed(entry["id"], rename)] = flights[role].path
    for entry in units.values():
        if np.any(source.truth["entity"] == entry["id"]):
            entities[renamed(entry["id"], rename)] = source.path(entry["id"])
    if not move:
        return entities
    return {name: Path(path.time_us, move.points(path.place)) for name, path in entities.items()}


def write_truth(path: pathlib.Path, truth: dict[str, Path]) -> None:
    """Write truth.csv in the format of the recording."""
    lines = ["entity,time_unix_us,lat_deg,lon_deg,alt_msl_m,alt_hae_m,v_n_mps,v_e_mps"]
    for name, one in truth.items():
        lat, lon, msl = one.place.T
        hae = geodesy.msl_to_hae(lat, lon, msl)
        step = np.maximum(np.arange(len(lat)) - 1, 0), np.minimum(np.arange(len(lat)) + 1, len(lat) - 1)
        velocity = ned_between(one.place[step[0]], one.place[step[1]])
        velocity /= np.maximum(one.time_us[step[1]] - one.time_us[step[0]], 1)[:, None] * 1e-6
        lines += [
            f"{name},{row[0]},{row[1]:.8f},{row[2]:.8f},{row[3]:.2f},{row[4]:.2f},{row[5]:.2f},{row[6]:.2f}"
            for row in zip(one.time_us, lat, lon, msl, hae, velocity[:, 0], velocity[:, 1], strict=True)
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def describe(
    source: Source, faults: Faults, truth: dict[str, Path], border: Border, counts: dict, codes: list[str], seed: int,
    place: str | None, move: Move | None,
) -> dict:  # fmt: skip
    """What was simulated, in the format of the recording; everything drawn stands under `variant`."""
    by_code = dict(zip(ROLES, codes, strict=True))
    start = source.start_us * 1e-6
    crossings = {}
    for name, path in truth.items():
        at = crossings_us(path, border)
        where = path.at(np.array(at, dtype=np.int64)) if at else []
        rows = [{"time_unix": t * 1e-6, "lat": float(p[0]), "lon": float(p[1])} for t, p in zip(at, where, strict=True)]
        if not re.match(r"\w+-D\d", name):
            crossings[name] = rows
    if place and len(crossings["target"]) != 1:
        raise SystemExit(f"{place}: the target crosses {len(crossings['target'])} times; choose another seed.")
    return {
        "name": f"variant of {source.folder.name}, seed {seed}",
        "start_unix": start,
        "border_crossings": crossings,
        "camera": {
            "latency_s": {by_code[role]: list(one.latency_s) for role, one in faults.drones.items()},
            "boresight_yaw_pitch_deg": {by_code[role]: list(one.boresight_deg) for role, one in faults.drones.items()},
            "gimbal_attitude_truth": {by_code[role]: one.servo or "levelled" for role, one in faults.drones.items()},
        },
        "episodes": [
            {**one, "drone": by_code[one["drone"]], "start_unix": start + one["start"], "end_unix": start + one["end"]}
            for one in faults.episodes
        ],
        "ground_msl_m": float(source.mission["mission"]["terrain_msl_m"]) + (move.rise_m if move else 0.0),
        "sightings": {by_code[role]: one["sightings"] for role, one in counts.items()},
        "variant": {
            "seed": seed,
            "place": place or "as recorded",
            "turn_deg": float(np.degrees(move.turn_rad)) % 360.0 if move else 0.0,
            "roles": by_code,
            "counts": counts,
            "faults": asdict(faults),
        },
    }


def mission_text(source: Source, scenario: dict, rename: dict[str, str]) -> str:
    """The mission file: the source's, in the new place, with nothing said of gimbal frames and latencies."""
    what = scenario["variant"]
    border = json.dumps([what["roles"][role] for role in ROLES])
    lines = ["[mission]", f'name = "{scenario["name"]}"', f"border = {border}"]
    lines += [f"terrain_msl_m = {scenario['ground_msl_m']:g}"]
    for table, keys in (("drone", ("system_id",)), ("unit", ("standoff_m",))):
        for entry in source.mission.get(table, []):
            lines += ["", f"[[{table}]]", f'id = "{renamed(entry["id"], rename)}"']
            lines += [f'authority = "{rename[entry["authority"]]}"', f'log = "{renamed(entry["log"], rename)}"']
            lines += [f"{key} = {json.dumps(entry[key])}" for key in keys if key in entry]
    return "\n".join(lines) + "\n"


def choose(options: argparse.Namespace, source: Source, draw: Draw) -> Faults:
    """The profile's faults, with what the command line asks for put over them."""
    flights = {}
    for role, entry in zip(ROLES, source.mission["drone"], strict=True):
        flights[role] = Flight(Log(source.folder / entry["log"]))
    seconds = camera_seconds(flights, source.start_us)
    units = [f"unit {role}" for role in ROLES[: len(source.mission.get("unit", []))]]
    faults = draw_faults(options.profile, draw, seconds, units)
    rng = draw("asked")
    if options.episodes:
        faults.episodes = draw_episodes(rng, seconds, options.episodes == "hard")
    if options.servo:
        faults.drones[options.servo].servo = options.servo_truth
    if options.heading:
        faults.drones[options.heading].heading_deg = options.heading_deg
        faults.drones[options.heading].heading_wander_deg = 0.5
    faults.glitches += [draw_glitch(rng, who.replace("_", " "), seconds) for who in options.glitch]
    for one in faults.glitches:
        one["ramp_s"] = one["ramp_s"] if options.ramp_s is None else options.ramp_s
    for role in ROLES:
        faults.drones[role].stamps = options.stamps or faults.drones[role].stamps
    faults.drones["first"].clock_offset_s = options.clock_offset_s
    for one in fields(Faults):
        asked = getattr(options, one.name, None)
        if asked is not None and one.name in ("loss", "bursts", "late", "late_max_s", "late_mode"):
            setattr(faults, one.name, asked)
    return faults


def run(chosen: argparse.Namespace) -> None:
    """Make one variant as the command line asks, and say what came out."""
    draw = Draw(chosen.seed)
    source = Source.read(chosen.source, chosen.truth)
    place = chosen.place or ("stay" if chosen.profile == "none" else "draw")
    place = str(draw("which place").choice(list(PLACES))) if place == "draw" else place
    faults = choose(chosen, source, draw)
    scenario = make(source, chosen.target, chosen.seed, faults, None if place == "stay" else place)
    what, crossed = scenario["variant"], scenario["border_crossings"]["target"]
    print(f"{chosen.target}: {what['place']}, from {what['roles']['first']}, {len(crossed)} crossing", end="; ")
    print(f"sightings {scenario['sightings']}, frames {[one['frames_kept'] for one in what['counts'].values()]}")


def main() -> None:
    """Make one variant, or all that have a name."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("source", type=pathlib.Path)
    options.add_argument("target", type=pathlib.Path)
    options.add_argument("--all", action="store_true", help="make every named variant, each in a folder of TARGET")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--profile", choices=("none", "mild", "hard"), default="none")
    options.add_argument("--truth", type=pathlib.Path, help="truth.csv, where the source folder has none")
    options.add_argument("--place", choices=("stay", "draw", *PLACES), help="mild and hard draw one")
    options.add_argument("--servo", choices=ROLES, help="this drone has a servo mount with lying flags")
    options.add_argument("--servo-truth", choices=("pan_roll_tilt", "quaternion", "levelled"), default="pan_roll_tilt")
    options.add_argument("--heading", choices=ROLES, help="this drone's heading is off")
    options.add_argument("--heading-deg", type=float, default=3.0)
    options.add_argument(
        "--glitch", action="append", default=[], choices=(*ROLES, *(f"unit_{role}" for role in ROLES)),
        help="the reported position of this one jumps; may stand several times",
    )  # fmt: skip
    options.add_argument("--ramp-s", type=float, help="how long a jump takes, there and back; drawn if not given")
    options.add_argument("--episodes", choices=("mild", "hard"), help="lost, coasting, on a wrong car")
    options.add_argument("--loss", type=float, help="part of the frames that is lost, 0 to 1")
    options.add_argument("--bursts", type=int, help="losses of 8 to 60 frames in a row")
    options.add_argument("--late", type=float, help="part of the frames that comes late, 0 to 1")
    options.add_argument("--late-max-s", type=float)
    options.add_argument("--late-mode", choices=("single", "stall", "mixed"))
    options.add_argument("--clock-offset-s", type=float, default=0.0, help="of the first drone's recorder")
    options.add_argument("--stamps", choices=("us", "ms", "link"), help="how recorders stamp")
    chosen = options.parse_args()
    for name, words in VARIANTS.items() if chosen.all else ():
        run(options.parse_args([str(chosen.source), str(chosen.target / name), *words.split()]))
    if not chosen.all:
        run(chosen)


if __name__ == "__main__":
    main()
