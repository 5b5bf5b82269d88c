"""What journals are made of in tests: tables with every kind of bit, a small whole journal, a writer to be killed."""

import pathlib

import numpy as np

from dronetrack.journal import Journal
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Measurements, Sensor, measurements_of, merge
from dronetrack.tracks import COASTING, CONFIRMED, Track

START_US = 1_700_000_000_000_000
ABOUT = {"purpose": "file 12/2026", "authority": "HU", "operation": "exercise"}
READER = {"who": "N. N.", "purpose": "review", "time_us": START_US}
HOME = Sensor(
    "HU-D1 camera", "HU", shared_time_s=np.inf, heading_std_rad=0.1 + 0.2, platform="HU-D1", starts_tracks=False
)
HOST = Sensor("RO-D1 gnss", "RO", wander_std_rad=1e-3)


def rows(n, rng, *, start_us=START_US, step_us=200_000, sensors=(HOME, HOST)):
    """Make n rows, of each sensor in turn, with NaN sites and odd bits."""
    batches = []
    for k, sensor in enumerate(sensors):
        times = start_us + step_us * np.arange(k, n, len(sensors))
        z, cov = rng.normal(size=(len(times), 3)) * 1e6, rng.normal(size=(len(times), 3, 3))
        kind = LINE_OF_SIGHT if sensor is HOME else POSITION
        site = rng.normal(size=(len(times), 3)) if sensor is HOME else None
        batches.append(measurements_of(times, kind, z, cov, sensor, site_ecef_m=site, site_cov=cov / 3.0))
    return merge(*batches)


def a_track(n, rng, *, start_us=START_US):
    """Make a track of n rows, some of them coasting."""
    return Track(
        time_us=start_us + 200_000 * np.arange(n),
        track_id=7,
        status=np.where(np.arange(n) % 3 == 0, COASTING, CONFIRMED).astype(np.int8),
        state=rng.normal(size=(n, 6)) * 1e6,
        cov=rng.normal(size=(n, 6, 6)),
        nis=np.where(np.arange(n) % 3 == 0, np.nan, rng.chisquare(3, n)),
        n_sensors=np.full(n, 2, dtype=np.int16),
        stats={"gated": 3},
    )


def small_journal(path: pathlib.Path, rng, **how) -> Journal:
    """Write one record of every kind that carries something, and leave the journal open."""
    journal = Journal.create(path, time_us=START_US, **ABOUT, **how)
    journal.append("event", START_US + 1, {"kind": "approaching", "article": "40(1)", "lat_deg": 46.2, "lon_deg": 20.7})
    journal.append_measurements(rows(6, rng))
    journal.append("act", START_US + 2, {"act": "notice", "by": "HU"}, personal=b"signed\0words")
    journal.append_track(a_track(4, rng), {"final": True})
    journal.append("event", START_US + 90_000_000, {"kind": "crossed"})
    journal.append_measurements(rows(3, rng, start_us=START_US + 100_000_000))
    journal.commit()
    return journal


def abandon(journal: Journal) -> None:
    """Let the file go as a killed process does: what was not committed is lost, and nothing says goodbye."""
    journal._disk.let_go()


def same_rows(one: Measurements, other: Measurements) -> bool:
    """Whether two tables are equal in every bit."""
    names = ("time_us", "sensor_id", "kind", "z", "cov", "site_ecef_m", "site_cov", "target_id")
    columns = ((getattr(one, name), getattr(other, name)) for name in names)
    return one.sensors == other.sensors and all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in columns)
