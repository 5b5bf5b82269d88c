"""A straight border, a target that drives over it, and an operation between two countries, for tests of custody."""

import json

import numpy as np

from dronetrack import geodesy
from dronetrack.border import Border, Watch
from dronetrack.handover import Area, Authorisation, Authority, Mandate, Operation
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.tracks import CONFIRMED, Track

START_US = 1_795_470_000_000_000
HOUR_S = 3600.0
METRES_PER_DEG = 111_320.0 * np.cos(np.radians(46.0))
# From north to south: the host is on the left, in the east.
LINE = Border.from_line([46.5, 46.0, 45.5], [21.0, 21.0, 21.0], home="HU", host="RO")
BOTH = (Authority("HU", "HU"), Authority("RO", "RO"), Authority("EU", "XX"))
HU_CAMERA, RO_CAMERA = Sensor("HU-D1 camera", "HU"), Sensor("RO-D1 camera", "RO")
ARMS = "offences against the laws on arms and explosives"


def us(seconds):
    return START_US + round(seconds * 1e6)


def leave(start_s=-10 * HOUR_S, stop_s=10 * HOUR_S, issuer="RO", recipient="HU", **terms):
    """An authorisation in force between two times."""
    return Authorisation(issuer, recipient, us(start_s), us(start_s), us(stop_s), **terms)


def ordinary(*authorisations, **more):
    return Operation(Mandate("HU", "RO", BOTH, authorisations=authorisations, **more), LINE)


def urgent(**more):
    return Operation(Mandate("HU", "RO", BOTH, basis="urgent", offence=ARMS, **more), LINE)


def place(distance_m):
    """Latitude and longitude so far behind the border, (n,)."""
    distance = np.atleast_1d(np.asarray(distance_m, dtype=float))
    return np.full(len(distance), 46.0), 21.0 + distance / METRES_PER_DEG


def row(seconds, distance_m, speed_mps=20.0, status=CONFIRMED):
    """One row of a track, so far behind the border, on its way east."""
    lat, lon = place(distance_m)
    state = np.hstack(
        [
            geodesy.geodetic_to_ecef(lat, lon, [100.0]),
            geodesy.enu_vectors_to_ecef(np.array([[speed_mps, 0.0, 0.0]]), lat, lon),
        ]
    )
    return Track(
        np.array([us(seconds)]),
        1,
        np.array([status], dtype=np.int8),
        state,
        np.diag([4.0, 4.0, 4.0, 0.1, 0.1, 0.1])[None],
        np.zeros(1),
        np.ones(1, dtype=np.int16),
    )


class Drive:
    """A drive at 20 m/s that crosses at `crosses_s`, looked at every second from 40 s on."""

    def __init__(self, operation, crosses_s=100.0, speed_mps=20.0):
        self.operation, self.watch = operation, Watch(operation.border)
        self.crosses_s, self.speed_mps, self.now_s = crosses_s, speed_mps, 40.0

    def until(self, seconds, **heard):
        for now_s in np.arange(self.now_s, seconds + 0.5):
            one = row(now_s, self.speed_mps * (now_s - self.crosses_s), self.speed_mps)
            self.operation.update(one, self.watch.update(one), **heard)
        self.now_s = float(seconds) + 1.0
        return self.operation

    def turn(self):
        """Drive back from where it is: as far behind the border as it is now, it crosses back."""
        distance_m = self.speed_mps * (self.now_s - self.crosses_s)
        self.speed_mps = -self.speed_mps
        self.crosses_s = self.now_s - distance_m / self.speed_mps


def abroad(operation, seconds=120.0):
    """The operation, some seconds after the target has crossed at 100 s."""
    return Drive(operation).until(seconds)


def strip(west_m, east_m):
    """Area between two distances behind the border."""
    west, east = place([west_m, east_m])[1].tolist()
    ring = [[west, 45.9], [east, 45.9], [east, 46.1], [west, 46.1], [west, 45.9]]
    return Area(json.dumps({"type": "Polygon", "coordinates": [ring]}))


def sight(seconds, sensor=HU_CAMERA, site_m=0.0):
    """Sightings of one camera that stands so far behind the border."""
    times = np.atleast_1d(np.asarray(seconds, dtype=float))
    lat, lon = place(np.full(len(times), site_m))
    site = geodesy.geodetic_to_ecef(lat, lon, np.full(len(times), 200.0))
    ray = np.tile([1.0, 0.0, 0.0], (len(times), 1))
    cov = np.tile(1e-6 * np.eye(3), (len(times), 1, 1))
    return measurements_of([us(one) for one in times], LINE_OF_SIGHT, ray, cov, sensor, site_ecef_m=site)


def positions(seconds, sensor, distance_m):
    """Positions of the target by a sensor that has no site."""
    times, distance_m = np.atleast_1d(np.asarray(seconds, dtype=float)), np.atleast_1d(distance_m)
    lat, lon = place(distance_m)
    z = geodesy.geodetic_to_ecef(lat, lon, np.full(len(times), 100.0))
    cov = np.tile(9.0 * np.eye(3), (len(times), 1, 1))
    return measurements_of([us(one) for one in times], POSITION, z, cov, sensor)


def drive_rows(crosses_s=100.0, stop_s=200.0, rate_hz=5.0, rng=None, authorities=("HU", "RO")):
    """What both sides' position sensors say of a drive at 20 m/s, HU from the start, RO from 30 s before the border."""
    rng = rng or np.random.default_rng(1)
    batches = []
    for authority, start_s in zip(authorities, (0.0, crosses_s - 30.0), strict=True):
        times = np.arange(start_s, stop_s, 1.0 / rate_hz) + (0.03 if authority == "RO" else 0.0)
        noise = rng.normal(0.0, 3.0, len(times))
        batches.append(positions(times, Sensor(f"{authority} radar", authority), 20.0 * (times - crosses_s) + noise))
    return merge(*batches)


def kinds(events):
    return list(events.kind)
