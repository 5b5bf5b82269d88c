"""How near the bound does the filter come, and does it know how well it does? Scenarios with truth, many runs of each.

Efficiency is RMSE over the posterior Cramer-Rao bound for the scenario's motion model; 1 is the best that can be.
ANEES over its degrees of freedom is 1 for a filter that knows; `nees_off` says where it lies in the interval that holds
95 % of such filters over so many runs: -1 is its lower end, 1 its upper. The ellipse should hold 95 % of the truth. The
first ten seconds of each track are left out.
"""

from collections.abc import Iterator

import numpy as np

from dronetrack.bench.workload import Case, Goal, Job, Setting, Workload
from dronetrack.filtering import track
from dronetrack.metrics import score
from dronetrack.motion import ConstantVelocity
from dronetrack.simulate import simulate
from dronetrack.smoothing import smooth

NAMES = ("straight", "straight_camera", "turns", "stop_and_go", "biased_gimbal", "late_radio", "look_alike", "tunnel")
JUDGED = ("straight", "turns", "biased_gimbal", "late_radio")
SMOOTHED = ("straight_camera", "biased_gimbal", "late_radio")
RUNS, QUICK_RUNS, SMOOTHED_RUNS = 200, 40, 60
DIRTY = {"look_alike"}  # wrong rows want a gate; elsewhere a gate would only hide errors that are drawn as stated


def _cases(setting: Setting) -> Iterator[Case]:
    runs = setting.size(RUNS, QUICK_RUNS)
    for name in JUDGED if setting.quick else NAMES:
        yield _case(name, runs)
    for name in () if setting.quick else SMOOTHED:
        yield _case(name, SMOOTHED_RUNS, smoothed=True)
    for name in () if setting.quick else ("straight", "biased_gimbal", "budapest_nadlac"):
        many = 1 if name == "budapest_nadlac" else runs
        draw = lambda name=name, many=many: simulate(name, runs=many, rng=np.random.default_rng(5))  # noqa: E731
        yield Case(f"draw {name}", {"dronetrack.simulate": Job(draw, draw().n_rows, "ours")})


def _case(name: str, runs: int, *, smoothed: bool = False) -> Case:
    simulation = simulate(name, runs=runs, rng=np.random.default_rng(5))
    motion = simulation.scenario.motion
    gate = 0.997 if name in DIRTY else 0.9999999
    tracks = [track(rows, motion=motion, gate_probability=gate, coast_step_s=0.5) for rows in simulation.measurements]
    if smoothed:
        tracks = [smooth(one, gate_probability=gate) for one in tracks]
    bound = simulation.bound() if isinstance(motion, ConstantVelocity) and not smoothed else None
    result = score(tracks, simulation.truths, settle_s=10.0, bound=bound, lost_m=50.0)
    low, high = result.nees.low, result.nees.high
    figures = {
        "runs": float(runs),
        "rmse_m": result.position_rmse_m,
        "nees_of_dof": result.nees.mean / 6.0,
        "nees_off": (2.0 * result.nees.mean - high - low) / (high - low),
        "in_ellipse_95_share": result.ellipse_95.value,
        "custody_breaks_per_run": result.custody_breaks,
    }
    if bound is not None:
        figures |= {"bound_m": result.bound_m, "efficiency": result.efficiency}
    return Case(f"{name}, smoothed" if smoothed else name, figures=figures)


WORKLOAD = Workload(
    "scenarios",
    "How near the Cramer-Rao bound does the filter come on each scenario, and does it know?",
    "rows/s",
    _cases,
    goals=(
        Goal("straight", "figure", "efficiency", at_most=1.05),
        *(Goal(name, "figure", "nees_off", at_least=-1.0, at_most=1.0) for name in JUDGED),
        *(Goal(name, "figure", "in_ellipse_95_share", at_least=0.93, at_most=0.97) for name in JUDGED),
    ),
)
