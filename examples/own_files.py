"""Fuse a mission and use the result: where, how fast, how sure, and when over the border.

python examples/own_files.py [mission.toml]
"""

import importlib.resources
import sys

import numpy as np

import dronetrack as dt

demo = importlib.resources.files("dronetrack") / "data" / "demo" / "mission.toml"
fusion = dt.fuse(sys.argv[1] if len(sys.argv) > 1 else str(demo))
track = fusion.track

print(f"{len(track)} rows from {track.time[0]} to {track.time[-1]}")
print(f"speed: {np.percentile(track.speed_mps, [5, 50, 95]).round(1)} m/s (5 %, median, 95 %)")
print(
    f"95 % ellipse, median semi-axes: {np.median(track.ellipse_m[:, 0]):.1f} x {np.median(track.ellipse_m[:, 1]):.1f} m"
)

# The belief at any moment, not only at the rows.
every_ten_seconds = np.arange(track.time_us[0], track.time_us[-1], 10_000_000)
for row in track.at(every_ten_seconds).to_geodataframe().itertuples():
    print(f"{row.time:%H:%M:%S}  {row.lat_deg:.5f} {row.lon_deg:.5f}  {row.speed_mps:4.1f} m/s  {row.status}")

for crossing in fusion.crossings or []:
    print(f"{crossing.leaving} -> {crossing.entering} at {crossing.time} +- {crossing.time_std_s:.2f} s")
