"""How fast are scenarios drawn, and how near to the bound does the filter come on each?

    python benchmarks/scenarios.py [runs]

Efficiency is RMSE over the Cramer-Rao bound for the scenario's motion model: on scenarios marked * the target moves so,
and 1 is the best that can be (for a mixture of models no bound is known). ANEES (6 is right) stands beside its bounds
over the runs, `in` is the share of moments within them (0.95 is right), `ellipse` the share of truths in the 95 %
ellipse, `lost` the breaks of custody per run. Rows are fused in the order of measurement, as a log is; the first ten
seconds of each track are left out. Then the same for what `smooth` makes of the tracks, for the default model where
the scenario has a mixture, and for every way to be robust on `look_alike`.
"""

import sys
import time

import numpy as np
from dronetrack.hindsight import smooth
from timing import in_turn, versions

from dronetrack.filtering import track
from dronetrack.metrics import score
from dronetrack.motion import ConstantVelocity
from dronetrack.simulate import scenario, scenario_names, simulate

DIRTY = {"look_alike"}  # wrong rows want a gate; elsewhere a gate would only hide errors that are drawn as stated
SLOW = {"imm_turn": 100.0, "bearings_only": 2000.0}  # rows rarer than a second, and when custody counts as lost [m]
SMOOTHED = ("straight", "straight_camera", "biased_gimbal", "late_radio")
MIXED = ("turns", "stop_and_go", "arcs", "traffic")
ROBUST = {
    "gate": {},
    "student_t": {"robust": "student_t"},
    "pda": {"robust": "pda"},
    "no noise": {"learn_noise": False},
}


def accuracy(name, runs, label="", smoothed=False, **options):
    simulation = simulate(name, runs=runs, rng=np.random.default_rng(5))
    motion = simulation.scenario.motion
    gate = 0.997 if name in DIRTY else 0.9999999
    options = {"motion": motion, "gate_probability": gate, "coast_step_s": 100.0 if name in SLOW else 0.5} | options
    start = time.perf_counter()
    tracks = [track(rows, **options) for rows in simulation.measurements]
    if smoothed:
        tracks = [smooth(one, gate_probability=gate) for one in tracks]
    spent = time.perf_counter() - start
    bound = simulation.bound() if isinstance(motion, ConstantVelocity) and not smoothed else None
    short = simulation.scenario.duration_s <= 20.0
    lost_m = 5.0 * SLOW.get(name, 10.0)
    result = score(tracks, simulation.truths, settle_s=0.0 if short else 10.0, bound=bound, lost_m=lost_m)
    mark = "*" if simulation.scenario.model_is_true and "motion" not in label else " "
    judged = result.nees
    print(
        f"{name + ' ' + label:26s}{mark}{runs:4d} {simulation.n_rows:9,d} {result.position_rmse_m:8.2f} "
        f"{result.bound_m:8.2f} {result.efficiency:6.3f} {result.velocity_rmse_mps:6.2f} {judged.mean:7.2f} "
        f"({judged.low:.2f}..{judged.high:.2f}) {judged.inside:5.2f} "
        f"{100 * result.ellipse_95.value:6.1f} ({100 * result.ellipse_95.low:.1f}..{100 * result.ellipse_95.high:.1f}) "
        f"{result.custody_breaks:5.2f} {simulation.n_rows / spent:10,.0f}",
        flush=True,
    )


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"drawing scenarios  ({versions()})\n{'':18s} {'runs':>4s} {'rows':>10s} {'s':>8s} {'rows/s':>12s}")
    for name in ("straight", "biased_gimbal", "budapest_nadlac"):
        many = 1 if name == "budapest_nadlac" else runs
        jobs = {name: lambda n=name, m=many: simulate(n, runs=m, rng=np.random.default_rng(5))}
        seconds = float(np.median(in_turn(jobs, rounds=3)[name]))
        rows = simulate(name, runs=many, rng=np.random.default_rng(5)).n_rows
        print(f"{name:18s} {many:4d} {rows:10,d} {seconds:8.3f} {rows / seconds:12,.0f}")
    print(
        f"\n{'':27s}{'runs':>4s} {'rows':>9s} {'RMSE m':>8s} {'bound':>8s} {'eff.':>6s} {'m/s':>6s} {'ANEES':>7s} "
        f"{'bounds':>12s} {'in':>5s} {'ellipse %':>6s} {'':>12s} {'lost':>5s} {'rows/s':>10s}"
    )
    for name in scenario_names():
        if scenario(name).duration_s < 3600.0:
            accuracy(name, runs)
    for name in SMOOTHED:
        accuracy(name, runs, "smoothed", smoothed=True)
    for name in MIXED:
        accuracy(name, runs, "default motion", motion=ConstantVelocity())
    for label, options in ROBUST.items():
        accuracy("look_alike", runs, label, **options)


if __name__ == "__main__":
    main()
