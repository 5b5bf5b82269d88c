"""How long does a whole exercise take, from logs to track, and how near the truth does it end?

The recorded exercise (two drones, two units, real flight software) with its truth, where the data folder has it; and
`budapest_nadlac`, three hours from Budapest over the border with four drones and eight units, simulated.
"""

import json
import pathlib
from collections.abc import Iterator

import numpy as np

from dronetrack import geodesy
from dronetrack.bench import limits
from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload
from dronetrack.filtering import track
from dronetrack.metrics import score
from dronetrack.mission import Fusion, fuse, read_mission
from dronetrack.motion import ConstantVelocity
from dronetrack.sensing import sightings
from dronetrack.simulate import simulate
from dronetrack.smoothing import smooth

RECORDED = "recorded/joint_exercise_a/mission.toml"
# One model is what `dronetrack fuse` runs; by default `track` runs two.
FILTER, MIXED, SMOOTH = "dronetrack.track, one model", "dronetrack.track, two models", "dronetrack.smooth"
CHI2_95 = 5.991  # two axes


def _cases(setting: Setting) -> Iterator[Case]:
    if not setting.quick:
        yield _whole()
    path = setting.file(RECORDED)
    if path is not None and not setting.quick:
        yield _recorded(path)


def _whole() -> Case:
    simulation = simulate("budapest_nadlac", runs=1, rng=np.random.default_rng(5))
    rows, truth = simulation.measurements[0], simulation.truths[0]
    one_model = ConstantVelocity()
    filtered, mixed = track(rows, motion=one_model), track(rows)
    smoothed = smooth(filtered)
    columns = [rows.time_us, rows.z, rows.cov, rows.site_cov, filtered.state, filtered.cov]
    judged = {
        name: score([one], [truth], settle_s=10.0, lost_m=50.0)
        for name, one in ((FILTER, filtered), (MIXED, mixed), (SMOOTH, smoothed))
    }
    accuracy = {
        name: {"rmse_m": one.position_rmse_m, "in_ellipse_95_share": one.ellipse_95.value}
        for name, one in judged.items()
    }
    jobs = {
        FILTER: Job(lambda: track(rows, motion=one_model), len(rows), "ours", accuracy=accuracy[FILTER]),
        MIXED: Job(lambda: track(rows), len(rows), "ours", accuracy=accuracy[MIXED]),
        SMOOTH: Job(lambda: smooth(filtered), len(rows), "ours", accuracy=accuracy[SMOOTH]),
        "limit: copy the rows in and out": limits.copy_of(columns, len(rows)),
    }
    return Case("budapest_nadlac", jobs)


def _recorded(path: pathlib.Path) -> Case:
    mission = read_mission(path)
    fusion = fuse(path)
    found = errors_m(fusion, path.parent / "truth.csv") | _crossing_off(fusion, path.parent / "scenario.json")
    n = len(fusion.track)
    jobs = {"dronetrack.fuse": Job(lambda: fuse(path), n, "ours", accuracy=found, clock="wall")}

    def only_read() -> list:
        from dronetrack.mavlink import read_telemetry

        drones = [read_telemetry(one.log, one.system_id, name=one.id) for one in mission.drones]
        return [sightings(one, terrain=mission.terrain) for one in drones]

    jobs["limit: read the logs into sightings"] = Job(only_read, n, "limit", clock="wall")
    return Case("recorded exercise", jobs)


def errors_m(fusion: Fusion, truth_csv: pathlib.Path) -> dict[str, float]:
    """Say how near the recorded truth a track came.

    Parameters
    ----------
    fusion : Fusion
        Of the recorded exercise.
    truth_csv : Path
        Its truth; for scoring only.

    Returns
    -------
    dict of str to float
        Median and 95th percentile of the horizontal error [m], and the share of the truth in the 95 % ellipse.
    """
    rows = np.genfromtxt(truth_csv, delimiter=",", names=True, dtype=None, encoding="utf-8")
    rows = rows[rows["entity"] == "target"]
    when = rows["time_unix_us"]
    known = fusion.track.take((fusion.track.time_us >= when[0]) & (fusion.track.time_us <= when[-1]))
    lat, lon = (np.interp(known.time_us, when, rows[key]) for key in ("lat_deg", "lon_deg"))
    there = geodesy.geodetic_to_ecef(lat, lon, known.alt_hae_m)
    apart = geodesy.ecef_vectors_to_enu(there - known.state[:, :3], lat, lon)[:, :2]
    off = np.linalg.norm(apart, axis=1)
    inside = np.einsum("ni,nij,nj->n", apart, np.linalg.inv(known.pos_cov_enu_m2[:, :2, :2]), apart) < CHI2_95
    return {
        "median_m": float(np.median(off)),
        "p95_m": float(np.percentile(off, 95)),
        "in_ellipse_95_share": float(inside.mean()),
    }


def _crossing_off(fusion: Fusion, scenario: pathlib.Path) -> dict[str, float]:
    """How many crossings are claimed, and how early or late the first is: in seconds, and in stated deviations."""
    truth = json.loads(scenario.read_text())["border_crossings"]["target"][0]["time_unix"]
    crossings = fusion.crossings
    if crossings is None or not len(crossings):
        return {"crossings": 0.0}
    off_s = crossings.time_us[0] * 1e-6 - truth
    return {
        "crossings": float(len(crossings)),
        "crossing_off_s": float(off_s),
        "crossing_off_std": float(off_s / crossings.time_std_s[0]),
    }


WORKLOAD = Workload(
    "exercise",
    "How long does a whole exercise take, and how near the truth does it end?",
    "rows/s",
    _cases,
    goals=(
        Goal("budapest_nadlac", "seconds", FILTER, at_most=2.0),
        Goal("budapest_nadlac", "seconds", MIXED, at_most=2.0,
             why="A model that turns is carried beside the calm one, each with the errors of all sensors."),
        Goal("budapest_nadlac", "seconds", SMOOTH, at_most=2.0,
             why="Smoothing solves for the sensors' errors as well, in rounds over all rows."),
        Goal("recorded exercise", "figure", "median_m", at_most=1.5),
        Goal("recorded exercise", "figure", "p95_m", at_most=6.0),
        Goal("recorded exercise", "figure", "in_ellipse_95_share", at_least=0.92, at_most=0.98),
        Goal("recorded exercise", "figure", "crossings", at_least=1.0, at_most=1.0),
        Goal("recorded exercise", "figure", "crossing_off_s", at_least=-1.0, at_most=1.0),
        Goal("recorded exercise", "figure", "crossing_off_std", at_least=-2.0, at_most=2.0),
    ),
)  # fmt: skip
