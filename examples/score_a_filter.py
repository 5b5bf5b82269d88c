"""Score the filter on a named scenario, beside the bound that no filter can beat.

python examples/score_a_filter.py [scenario] [runs]
"""

import sys

import numpy as np

from dronetrack.filtering import track
from dronetrack.metrics import score
from dronetrack.simulate import scenario_names, simulate

name = sys.argv[1] if len(sys.argv) > 1 else "straight"
runs = int(sys.argv[2]) if len(sys.argv) > 2 else 100
if name not in scenario_names():
    sys.exit(f"no scenario {name!r}; there are {', '.join(scenario_names())}")

simulation = simulate(name, runs=runs, rng=np.random.default_rng(1))
motion = simulation.scenario.motion
print(f"{name}: {simulation.scenario.about}")
print(f"{simulation.n_rows:,} rows in {runs} runs of {simulation.scenario.duration_s:g} s\n")

# A gate that is nearly off: errors that are drawn as stated need none. Try what `gate_probability=0.997` does.
tracks = [track(rows, motion=motion, gate_probability=0.9999999) for rows in simulation.measurements]
print(score(tracks, simulation.truths, settle_s=10.0, bound=simulation.bound()).summary())
if not simulation.scenario.model_is_true:
    print(
        "\nThe target does not move as the filter is told: consistency and bound are those of the model, not its own."
    )
