"""Compare a filter with its smoother over many seeds, on all cores of this machine.

python examples/sweep_seeds.py [scenario] [seeds] [workers]

Needs `pip install 'dronetrack[scale]'`. The table is the same bits with any number of workers. An archive of logs is
fused in the same way: ``map_logs("logs/**/*.tlog", "mission.toml", out="tracks")``.
"""

import sys

import dronetrack as dt
from dronetrack.leaderboard import Case, default_tracker
from dronetrack.metrics import chi2_bounds
from dronetrack.scale import monte_carlo


def smoother(case: Case) -> dt.Track:
    """Go over the whole case a second time, backwards."""
    return dt.smooth(default_tracker(case))


def main() -> None:
    """Sweep and print means over the seeds."""
    scenario = sys.argv[1] if len(sys.argv) > 1 else "straight"
    seeds = range(int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else None
    trackers = {"filter": default_tracker, "smoother": smoother}
    table = monte_carlo(scenario, seeds, trackers=trackers, workers=workers)
    print(f"{scenario}, {len(seeds)} seeds; {(table['error'] != '').sum()} failed")
    print(table.groupby("tracker")[["position_rmse_m", "velocity_rmse_mps", "nees", "ellipse_95"]].mean().round(3))
    low, high = chi2_bounds(6, len(seeds))
    print(f"a mean NEES of 6 is right; at any one moment it lies within {low:.2f} to {high:.2f} for 95 %")


# Worker processes import this file: what must run once stands below this line.
if __name__ == "__main__":
    main()
