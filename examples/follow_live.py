"""Follow a target live, with rows that come late: what is believed now, and what has become final.

python examples/follow_live.py [seconds]

The packaged recording is played as a stream over a radio on which one row in five takes up to three seconds. Every ten
seconds of the data somebody looks. A position that is believed now rests on what has come so far; what has become
final will never change, and is the same as if every row had come in time.
"""

import importlib.resources
import itertools
import sys

import numpy as np

import dronetrack as dt
from dronetrack.tracker import Tracker

demo = importlib.resources.files("dronetrack") / "data" / "demo" / "mission.toml"
rows = dt.fuse(str(demo)).measurements
seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
rows = rows.take(rows.time_us < rows.time_us[0] + round(seconds * 1e6))

rng = np.random.default_rng(1)
delay_s = np.where(rng.random(len(rows)) < 0.2, rng.uniform(0.0, 3.0, len(rows)), 0.05)
arrival_us = rows.time_us + np.rint(delay_s * 1e6).astype(np.int64)

tracker = Tracker(lag_s=4.0)
final, believed = [], []
message_us = np.arange(arrival_us.min(), arrival_us.max() + 200_000, 200_000)
for number, (start_us, stop_us) in enumerate(itertools.pairwise(message_us.tolist()), start=1):
    # One message: all that came within a fifth of a second, in the order of its own time.
    final.append(tracker.update(rows.take((arrival_us >= start_us) & (arrival_us < stop_us))))
    now = tracker.now(stop_us)
    if number % 50 == 0 and len(now):
        believed.append(now)
        until = next((part.time[-1] for part in reversed(final) if len(part)), "nothing yet")
        place = f"{now.lat_deg[0]:.6f} {now.lon_deg[0]:.6f} +- {now.ellipse_m[0, 0]:5.1f} m"
        print(f"{now.time[0]}  {place} (95 %), final until {until}")
final.append(tracker.flush())

whole = dt.track(rows)
state = np.concatenate([part.state for part in final])
same = "the same bits as from a file" if state.tobytes() == whole.state.tobytes() else "NOT what a file would give"
heard_us = rows.time_us[np.argsort(arrival_us, kind="stable")]
overtaken = int(np.sum(heard_us < np.maximum.accumulate(heard_us)))
print(f"\n{len(rows)} rows, {overtaken} of them overtaken by later ones; {len(state)} final rows, {same}")
known = [now for now in believed if now.time_us[0] <= whole.time_us[-1]]
moved_m = [np.linalg.norm(now.state[0, :3] - whole.at(now.time_us).state[0, :3]) for now in known]
print(f"what was believed at once lay {np.median(moved_m):.1f} m from what became final, on the median")
print({name: one["accepted"] for name, one in tracker.stats["sensors"].items()}, "rows accepted")
