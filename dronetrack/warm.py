"""What has to be compiled before the first call is fast? All of it, ahead of time, for tools that embed the library."""

import importlib.resources
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np

from dronetrack import kernels

ROOMS = ("fusion", "bank")
FEW_BYTES = 100_000


def warm_up(rooms: Sequence[str] = ROOMS, *, n_processes: int = 2) -> dict[str, float]:
    """Compile the kernels, or load them from the cache of an earlier run.

    The first use of a kernel compiles it, which takes seconds; the machine code is kept on disk. A tool that must
    answer at once calls this when it starts, or when it is installed.

    Parameters
    ----------
    rooms : sequence of {"fusion", "bank"}, optional
        ``fusion``: everything between logs and crossings. ``bank``: `TargetBank` for every kind of measurement.
    n_processes : int, optional
        With 2, and more than one core, a second Python compiles its half on the side, as long as nothing is on disk.

    Returns
    -------
    dict of str to float
        Seconds that each took.

    Raises
    ------
    InputError
        If a room is not one of these.

    Examples
    --------
    >>> sorted(warm_up(["bank"]))
    ['bank']
    """
    import time

    from dronetrack.errors import InputError

    unknown = sorted(set(rooms) - set(ROOMS))
    if unknown:
        raise InputError(f"warm_up knows the rooms {', '.join(ROOMS)}; got {', '.join(unknown)}.")
    jobs: dict[str, Callable[[], None]] = {"fusion": _fusion, "bank": _bank}
    aside = _aside(rooms) if n_processes > 1 else None
    spent = {}
    for room in sorted(rooms, key=ROOMS.index):
        start = time.perf_counter()
        if aside is not None and room == "bank":
            aside.wait()
        jobs[room]()
        spent[room] = time.perf_counter() - start
    return spent


def _aside(rooms: Sequence[str]) -> subprocess.Popen | None:
    """Start a second Python that lays machine code on disk, from where the first one takes it.

    numba compiles one function at a time in a process, whatever its threads. A second process that fails, in a program
    that is no plain Python, does no harm: the first one then compiles all of it.
    """
    jobs = [
        job.__name__
        for job, room, entry in (
            (_smoothing, "fusion", "hindsight.smooth_rows"),
            (_bank, "bank", "mixtures.mixture_rows"),
        )
        if room in rooms and not kernels.is_on_disk(entry)
    ]
    plain = pathlib.Path(sys.executable or "").name.lower().startswith("python")
    if not jobs or "fusion" not in rooms or not plain or (os.cpu_count() or 1) < 2:
        return None
    program = "; ".join(["from dronetrack import warm", *(f"warm.{job}()" for job in jobs)])
    return subprocess.Popen(  # noqa: S603 - this interpreter, on a program of our own
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _fusion() -> None:
    from dronetrack.border import Border
    from dronetrack.filtering import track
    from dronetrack.mavlink import read_telemetry
    from dronetrack.measurements import merge
    from dronetrack.registration import register
    from dronetrack.sensing import contacts, sightings
    from dronetrack.smoothing import smooth
    from dronetrack.units import read_units

    logs = importlib.resources.files("dronetrack") / "data" / "demo"
    drone = read_telemetry((logs / "hu_drone.tlog").read_bytes()[:FEW_BYTES])
    unit = read_units(str(logs / "hu_unit.gpx"), unit="warm")
    found = register([drone], terrain=84.0, gimbal_frame="levelled", latency_s=0.2)[0]
    lines = sightings(drone, terrain=84.0, correction=found.correction)
    result = smooth(track(merge(lines, contacts(unit, standoff_m=(80.0, 180.0)))))
    border = Border.between("HU", "RO")
    border.side(result.lat_deg[:2], result.lon_deg[:2])
    border.crossings(result)


def _smoothing() -> None:
    """Smooth a track that no filter made, so that only the smoother is compiled."""
    from dronetrack.geodesy import geodetic_to_ecef
    from dronetrack.measurements import POSITION, Sensor, measurements_of
    from dronetrack.motion import ConstantVelocity
    from dronetrack.smoothing import smooth
    from dronetrack.tracks import Origin, Track

    n = 3
    time_us = 1_000_000 * np.arange(n)
    place = np.repeat(geodetic_to_ecef([46.2], [20.7], [100.0]), n, axis=0)
    rows = measurements_of(time_us, POSITION, place, np.tile(9.0 * np.eye(3), (n, 1, 1)), Sensor("gnss"))
    smooth(
        Track(
            time_us=time_us,
            track_id=1,
            status=np.ones(n, dtype=np.int8),
            state=np.hstack([place, np.zeros((n, 3))]),
            cov=np.tile(np.eye(6), (n, 1, 1)),
            nis=np.ones(n),
            n_sensors=np.ones(n, dtype=np.int16),
            stats={},
            origin=Origin(rows, np.ones(n, dtype=np.int8), ConstantVelocity(), np.ones((n, 1)), np.ones(1)),
        )
    )


def _bank() -> None:
    from dronetrack.bank import TargetBank
    from dronetrack.geodesy import geodetic_to_ecef
    from dronetrack.motion import ConstantVelocity, Mixture

    place = geodetic_to_ecef([46.2], [20.7], [100.0])
    mean = np.hstack([place, np.zeros((1, 3))])
    cov = np.diag([25.0, 25.0, 25.0, 4.0, 4.0, 4.0])[None]
    site = place + 100.0
    sight = (place - site) / np.linalg.norm(place - site)
    for motion in (ConstantVelocity(), Mixture([ConstantVelocity(0.2), ConstantVelocity(8.0)])):
        bank = TargetBank(mean, cov, np.zeros(1, dtype=np.int64), motion=motion)
        bank.update(1_000_000, position=place, cov=np.eye(3)[None])
        bank.predict(2_000_000)
        bank.update(line_of_sight=sight, cov=1e-4 * np.eye(3)[None], site_ecef_m=site)
