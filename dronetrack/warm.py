"""What has to be compiled before the first call is fast? All of it, ahead of time, for tools that embed the library."""

import contextlib
import gc
import importlib.resources
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dronetrack import kernels

if TYPE_CHECKING:
    from dronetrack.measurements import Measurements
    from dronetrack.telemetry import Telemetry
    from dronetrack.tracks import Track

ROOMS = ("fusion", "border", "bank")
FEW_BYTES = 100_000


def warm_up(rooms: Sequence[str] = ROOMS, *, n_processes: int = 2) -> dict[str, float]:
    """Compile the kernels, or load them from the cache of an earlier run.

    The first use of a kernel compiles it, which takes seconds; the machine code is kept on disk. A tool that must
    answer at once calls this when it starts, or when it is installed.

    Parameters
    ----------
    rooms : sequence of {"fusion", "border", "bank"}, optional
        ``fusion``: everything between logs and crossings. ``border``: forecasts, and which country a place lies in
        (the first `country_of` still lays its grid over the world).
        ``bank``: `TargetBank` for every kind of measurement.
    n_processes : int, optional
        With 2, and more than one core, a second Python compiles on the side, as long as nothing is on disk.

    Returns
    -------
    dict of str to float
        Seconds from this call until each was ready.

    Raises
    ------
    InputError
        If a room is not one of these.

    Examples
    --------
    >>> sorted(warm_up(["bank"]))
    ['bank']
    """
    from dronetrack.errors import InputError

    start = time.perf_counter()
    unknown = sorted(set(rooms) - set(ROOMS))
    if unknown:
        raise InputError(f"warm_up knows the rooms {', '.join(ROOMS)}; got {', '.join(unknown)}.")
    ready = {}
    with kernels.seldom_collected():
        missing = [job for job in JOBS if job.room in rooms and not kernels.is_on_disk(job.entry)]
        if n_processes > 1 and len(missing) > 1 and _may_start_another():
            _share([job.name for job in missing])
        for room in sorted(rooms, key=ROOMS.index):
            LOADS[room]()
            ready[room] = time.perf_counter() - start
    return ready


def is_warm(room: str) -> bool:
    """Whether an earlier run compiled all that a room needs."""
    return all(kernels.is_on_disk(job.entry) for job in JOBS if job.room == room)


def _may_start_another() -> bool:
    """Whether there is a core for a second process, and a plain Python to run it."""
    return pathlib.Path(sys.executable or "").name.lower().startswith("python") and (os.cpu_count() or 1) > 1


def _share(names: Sequence[str]) -> None:
    """Work through jobs together with a second Python, which lays machine code on the same disk.

    numba compiles one function at a time in a process, whatever its threads. A second process that fails, in a program
    that is no plain Python, does no harm: what it leaves undone is compiled when it is loaded.
    """
    with tempfile.TemporaryDirectory(prefix="dronetrack-") as desk, _aside(desk, names) as aside:
        _take(desk, names)
        gc.collect()  # while the other one works
        aside.wait()


@contextlib.contextmanager
def _aside(desk: str, names: Sequence[str]) -> Iterator[subprocess.Popen]:
    """Yield a second Python that takes jobs from the same desk, the last first; it does not outlive this block."""
    # Python puts the working folder first; a clone in it would be another library, with another place for its code.
    program = (
        f"import gc, os, sys; gc.disable(); sys.path[:] = {sys.path!r}; from dronetrack import warm; "
        f"warm._take({desk!r}, {list(names)[::-1]!r}); os._exit(0)"
    )
    nowhere = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-c", program], stdin=nowhere, stdout=nowhere, stderr=nowhere) as process:  # noqa: S603 - this interpreter, on a program of our own
        try:
            yield process
        finally:
            process.kill()


def _take(desk: str, names: Sequence[str]) -> None:
    """Do each of these jobs, in this order, that nobody has taken yet: who makes the file of its name has it."""
    jobs = {job.name: job for job in JOBS}
    for name in names:
        try:
            (pathlib.Path(desk) / name).touch(exist_ok=False)
        except OSError:
            continue
        jobs[name].run()


def _fusion() -> None:
    from dronetrack.smoothing import smooth

    _registration()
    smooth(_tracked())
    _crossings()


def _registration() -> None:
    from dronetrack.registration import register

    register([_sensing()], terrain=84.0, gimbal_frame="levelled", latency_s=0.2)


def _sensing() -> "Telemetry":
    """Read the start of a log and look where its camera looked."""
    from dronetrack.mavlink import read_telemetry
    from dronetrack.measurements import merge
    from dronetrack.sensing import contacts, sightings
    from dronetrack.units import from_telemetry

    log = importlib.resources.files("dronetrack") / "data" / "demo" / "hu_drone.tlog"
    drone = read_telemetry(log.read_bytes()[:FEW_BYTES])
    unit = from_telemetry(drone, name="warm")
    merge(sightings(drone, terrain=84.0), contacts(unit, standoff_m=(80.0, 180.0)))
    return drone


def _places() -> "Measurements":
    from dronetrack.geodesy import geodetic_to_ecef
    from dronetrack.measurements import POSITION, Sensor, measurements_of

    n = 3
    place = np.repeat(geodetic_to_ecef([46.2], [20.7], [100.0]), n, axis=0)
    return measurements_of(
        1_000_000 * np.arange(n), POSITION, place, np.tile(9.0 * np.eye(3), (n, 1, 1)), Sensor("gnss")
    )


def _tracked() -> "Track":
    from dronetrack.filtering import track

    return track(_places())


def _coasted() -> "Track":
    """Make a track that no filter made, so that only what looks at it is compiled."""
    from dronetrack.motion import ConstantVelocity
    from dronetrack.tracks import Origin, Track

    rows = _places()
    n = len(rows.time_us)
    return Track(
        time_us=rows.time_us,
        track_id=1,
        status=np.ones(n, dtype=np.int8),
        state=np.hstack([rows.z, np.tile([8.0, 3.0, 0.0], (n, 1))]),
        cov=np.tile(np.eye(6), (n, 1, 1)),
        nis=np.ones(n),
        n_sensors=np.ones(n, dtype=np.int16),
        stats={},
        origin=Origin(rows, np.ones(n, dtype=np.int8), ConstantVelocity(), np.ones((n, 1)), np.ones(1)),
    )


def _smoothing() -> None:
    from dronetrack.smoothing import smooth

    smooth(_coasted())


def _crossings() -> None:
    from dronetrack.border import Border

    border, found = Border.between("HU", "RO"), _coasted()
    border.side(found.lat_deg, found.lon_deg)
    border.nearest(found.lat_deg, found.lon_deg)
    border.crossings(found)


def _border() -> None:
    from dronetrack.border import Border
    from dronetrack.border.world import codes_of

    border, found = Border.between("HU", "RO"), _coasted()
    border.forecast(found, n_drives=2)
    codes_of(found.lat_deg, found.lon_deg, border.lines.grid)  # not the grid of the world, which takes longer to lay


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


class Job(NamedTuple):
    """Kernels that belong together, compiled without the others."""

    name: str
    room: str
    entry: str  # one of its kernels, which is on disk once the job was done
    run: Callable[[], object]


# One process begins at the top and one at the end. What stands together has parts in common, which are compiled in each
# process that needs them; a registration needs what sensing compiles.
JOBS = (
    Job("tracking", "fusion", "filters.track_rows", _tracked),
    Job("smoothing", "fusion", "hindsight.smooth_rows", _smoothing),
    Job("registration", "fusion", "registration.sights_rows", _registration),
    Job("forecast", "border", "forecast.free_rows", _border),
    Job("border", "fusion", "crossing.watch_rows", _crossings),
    Job("sensing", "fusion", "terrain.ray_meetings_rows", _sensing),
    Job("bank", "bank", "mixtures.mixture_rows", _bank),
)
LOADS = {"fusion": _fusion, "border": _border, "bank": _bank}
