"""How fast is one target tracked as in the field, with gate, second hypotheses and all? And how near the truth?

On positions alone the beliefs are those of a plain filter, which is compared. On a drive with wrong rows and turns
nobody's belief is another's: there the accuracy stands beside the time.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np

from dronetrack import reference
from dronetrack.bench import limits
from dronetrack.bench.problems import MOTION, Drives, consistency, draw_drives
from dronetrack.bench.workload import Case, Job, Role, Setting, Workload, peer_job
from dronetrack.filtering import track
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Measurements, Sensor, measurements_of
from dronetrack.metrics import score
from dronetrack.simulate import Simulation, simulate
from dronetrack.smoothing import smooth
from dronetrack.tracks import Track

OURS, SMOOTHED = "dronetrack.track", "dronetrack.track and smooth"
OPTIONS = {"motion": MOTION, "gate_probability": 0.9999999, "coast_step_s": 10.0, "learn_noise": False}
TOLERANCE = {"mean": (0.0, 1e-5), "cov": (1e-5, 1e-8)}
# What is enough for a peer: rows.
PEERS = {"filterpy": 5_000, "stonesoup": 300, "gri_kalman": 500}
N_MANY = 300  # for a tracker of any number of targets
SCENARIOS = ("look_alike", "turns", "biased_gimbal")


def _rows(problem: Drives) -> Measurements:
    noise = np.broadcast_to(problem.R, (problem.n_steps, 3, 3))
    return measurements_of(problem.time_us, POSITION, problem.z[0], noise, Sensor("gnss"))


def _cases(setting: Setting) -> Iterator[Case]:
    yield _positions(setting, draw_drives(1, setting.size(50_000, 6_000), setting.rng()))
    for name in SCENARIOS:
        yield _scenario(name, setting)


def _positions(setting: Setting, problem: Drives) -> Case:
    rows = _rows(problem)
    mine = track(rows, **OPTIONS)
    settled = slice(50, None)
    accuracy = consistency(mine.state[settled], mine.cov[settled], problem.truth[0, settled])
    jobs = {OURS: Job(lambda: track(rows, **OPTIONS), problem.amount, "ours", accuracy=accuracy)}
    for name, peer in setting.peers.items():
        if name not in PEERS:
            jobs[f"{peer.LABEL}, any number of targets"] = _many(peer, problem.part(1, N_MANY))
            continue
        # A peer starts where the track does, at the first row.
        steps = PEERS[name]
        part = Drives(
            problem.F, problem.Q, problem.R, mine.state[:1], mine.cov[:1], problem.z[:, 1:steps].copy(),
            problem.truth[:, 1:steps],
        )  # fmt: skip
        last = slice(steps - 1, steps)
        expected = {"mean": mine.state[last], "cov": mine.cov[last]}
        jobs[peer.LABEL] = peer_job(peer, peer.filter_drives(part), part.amount, **expected)
    columns = [rows.time_us, rows.z, rows.cov, rows.site_cov, mine.state, mine.cov]
    jobs["limit: copy the rows in and out"] = limits.copy_of(columns, problem.amount)
    return Case("positions", jobs, tolerance=TOLERANCE)


def _many(peer: ModuleType, problem: Drives) -> Job:
    """Let a tracker follow a target of which it does not know that it is alone: its error stands beside its time."""
    run = peer.follow_drive(problem)
    off_m = np.linalg.norm(run() - problem.truth[0, :, :3], axis=1)
    return Job(run, problem.amount, accuracy={"rmse_m": float(np.sqrt(np.nanmean(off_m[50:] ** 2)))})


def _scenario(name: str, setting: Setting) -> Case:
    """Our tracks, smoothed ones, and a textbook filter without a gate, against the truth of the same runs."""
    simulation = simulate(name, runs=setting.size(5, 2), rng=setting.rng())
    gate = 0.997 if name == "look_alike" else 0.9999999
    options = {"motion": simulation.scenario.motion, "gate_probability": gate, "coast_step_s": 0.5}

    def ours() -> list[Track]:
        return [track(rows, **options) for rows in simulation.measurements]

    def smoothed() -> list[Track]:
        return [smooth(one, gate_probability=gate) for one in ours()]

    ways: dict[str, tuple[Callable[[], list[Track]], Role]] = {OURS: (ours, "ours"), SMOOTHED: (smoothed, "ours")}
    if "filterpy" in setting.peers:
        begun = ours()
        fresh = [_fresh(*one) for one in zip(simulation.measurements, simulation.truths, begun, strict=True)]
        ways["filterpy, every row believed"] = (
            lambda: [_textbook(*one) for one in zip(fresh, begun, strict=True)],
            "peer",
        )
    return Case(f"scenario {name}", {label: _judged(*way, simulation) for label, way in ways.items()})


def _judged(way: Callable[[], list[Track]], role: Role, simulation: Simulation) -> Job:
    result = score(way(), simulation.truths, settle_s=10.0, lost_m=50.0)
    accuracy = {
        "rmse_m": result.position_rmse_m,
        "nees_of_dof": result.nees.mean / 6.0,
        "in_ellipse_95_share": result.ellipse_95.value,
    }
    return Job(way, simulation.n_rows, role, accuracy=accuracy)


def _fresh(rows: Measurements, truth: Track, begun: Track) -> Measurements:
    """Rows after the track has begun, for a filter that knows no shared errors: as if each row had them anew.

    Into the noise of a sighting goes what its site and its heading bring, at the true distance: the peer's best case.
    """
    rest = rows.take(rows.time_us > begun.time_us[0])
    target = np.column_stack([np.interp(rest.time_us, truth.time_us, one) for one in truth.state[:, :3].T])
    distance_m = np.linalg.norm(target - rest.site_ecef_m, axis=1)
    angle_var = np.array([one.heading_std_rad**2 + one.boresight_std_rad**2 for one in rest.sensors])[rest.sensor_id]
    sight = rest.site_cov / distance_m[:, None, None] ** 2 + angle_var[:, None, None] * np.eye(3)
    more = np.where((rest.kind == LINE_OF_SIGHT)[:, None, None], sight, rest.site_cov)
    plain = tuple(Sensor(one.name, one.authority) for one in rest.sensors)
    return replace(rest, cov=rest.cov + more, site_cov=np.zeros_like(rest.site_cov), sensors=plain)


def _textbook(rows: Measurements, begun: Track) -> Track:
    """Track with an extended filter of filterpy, from the state that ours began with."""
    state, cov = reference.track(rows, begun.state[0], begun.cov[0], int(begun.time_us[0]))
    n = len(rows)
    return Track(rows.time_us, 1, np.ones(n, np.int8), state, cov, np.full(n, np.nan), np.ones(n, np.int16))


WORKLOAD = Workload(
    "track",
    "How fast is one target tracked as in the field, and how near the truth, beside filters without a gate?",
    "rows/s",
    _cases,
    peers=(*PEERS, "gri_multitrack"),
)
