"""What has to be compiled before the first call is fast? All of it, ahead of time, for tools that embed the library."""

import importlib.resources
from collections.abc import Callable, Sequence

import numpy as np

ROOMS = ("fusion", "bank")
FEW_BYTES = 100_000


def warm_up(rooms: Sequence[str] = ROOMS) -> dict[str, float]:
    """Compile the kernels, or load them from the cache of an earlier run.

    The first use of a kernel compiles it, which takes seconds; the machine code is kept on disk. A tool that must
    answer at once calls this when it starts, or when it is installed.

    Parameters
    ----------
    rooms : sequence of {"fusion", "bank"}, optional
        ``fusion``: everything between logs and crossings. ``bank``: `TargetBank` for every kind of measurement.

    Returns
    -------
    dict of str to float
        Seconds of CPU time that each took.

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
    spent = {}
    for room in rooms:
        start = time.process_time()
        jobs[room]()
        spent[room] = time.process_time() - start
    return spent


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
