"""Score `dronetrack fuse` on exercises with known truth, one line each.

    python tools/score_mission.py /tmp/variants/hard_1 /tmp/variants/hard_2
    python tools/score_mission.py --detail ../shared/data/recorded/joint_exercise_a

A folder holds `mission.toml`, and for scoring only `truth.csv` and `scenario.json`. The library is whichever stands on
PYTHONPATH. Errors are horizontal, in metres, at every fused state while the truth is known.

=========  ============================================================================================
med p95 max  horizontal error [m]
in95       part of the truth inside the stated 95 % ellipse [%]; honest is 92 to 98
nees/2     mean squared error over stated variance, per axis; honest is 1
latch      largest error while a tracker was on a wrong car and 3 s after [m]
glitch     largest error while a reported position jumped and 3 s after [m]
gap        longest time between two states [s]
ids        number of tracks; states counts their rows
cross      crossings found/true; error of the nearest [s]; the same over its stated standard deviation
=========  ============================================================================================
"""

import argparse
import json
import pathlib
import time
import traceback

import numpy as np

import dronetrack
from dronetrack import geodesy
from dronetrack.measurements import LINE_OF_SIGHT
from dronetrack.mission import fuse

CHI2_95 = 5.991  # two axes
AFTER_S = 3.0
HEAD = f"{'exercise':<16}{'med':>7}{'p95':>8}{'max':>8}{'in95':>6}{'nees/2':>8}{'latch':>7}{'glitch':>8}{'gap':>6}"
HEAD += f"{'states':>8}{'ids':>4}  {'cross':<22}{'s':>6}"


def read_truth(folder: pathlib.Path) -> np.ndarray:
    """Rows of the target."""
    rows = np.genfromtxt(folder / "truth.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    return rows[rows["entity"] == "target"]


class Score:
    """Errors of a track, row by row."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.name = folder.name
        self.scenario = json.loads((folder / "scenario.json").read_text(encoding="utf-8"))
        begin = time.perf_counter()
        self.fusion = fuse(folder / "mission.toml")
        self.run_s = time.perf_counter() - begin
        truth = read_truth(folder)
        track = self.fusion.track
        known = (track.time_us >= truth["time_unix_us"][0]) & (track.time_us <= truth["time_unix_us"][-1])
        self.rows = track.take(known)
        where = [
            np.interp(self.rows.time_us, truth["time_unix_us"], truth[key])
            for key in ("lat_deg", "lon_deg", "alt_hae_m")
        ]
        off = self.rows.state[:, :3] - geodesy.geodetic_to_ecef(*where)
        self.error_m = geodesy.ecef_vectors_to_enu(off, where[0], where[1])[:, :2]
        cov = self.rows.pos_cov_enu_m2[:, :2, :2]
        self.distance_m = np.hypot(*self.error_m.T)
        self.square = np.einsum("ni,nij,nj->n", self.error_m, np.linalg.inv(cov), self.error_m)
        self.std_m = np.sqrt(0.5 * np.trace(cov, axis1=1, axis2=2))

    def worst_m(self, spans: list[tuple[float, float]]) -> float:
        """Largest error within spans of UNIX seconds and a little after; NaN without one."""
        at = self.rows.time_us * 1e-6
        inside = np.zeros(len(at), dtype=bool)
        for start, end in spans:
            inside |= (at >= start) & (at <= end + AFTER_S)
        return float(self.distance_m[inside].max()) if inside.any() else float("nan")

    def spans(self, kind: str) -> list[tuple[float, float]]:
        """When a latch or a glitch held."""
        if kind == "latch":
            return [(e["start_unix"], e["end_unix"]) for e in self.scenario["episodes"] if e["kind"] == "latch"]
        start = self.scenario["start_unix"]
        jumps = self.scenario.get("variant", {}).get("faults", {}).get("glitches", [])
        return [(start + one["start"], start + one["end"] + one["ramp_s"]) for one in jumps]

    def crossings(self) -> str:
        """Found/true, error, error over stated standard deviation."""
        found = self.fusion.crossings
        true = self.scenario["border_crossings"]["target"]
        text = f"{len(found) if found is not None else 0}/{len(true)}"
        if not true or found is None or not len(found):
            return text
        off = found.time_us * 1e-6 - true[0]["time_unix"]
        best = int(np.argmin(np.abs(off)))
        return f"{text} {off[best]:+.2f} s {off[best] / found.time_std_s[best]:+.1f} sd"

    def line(self) -> str:
        track = self.fusion.track
        gap = float(np.diff(track.time_us).max()) * 1e-6 if len(track) > 1 else float("nan")
        ids = len(np.unique(np.atleast_1d(track.track_id)))
        return (
            f"{self.name:<16}{np.median(self.distance_m):>7.2f}{np.percentile(self.distance_m, 95):>8.2f}"
            f"{self.distance_m.max():>8.1f}{100 * np.mean(self.square < CHI2_95):>6.1f}{0.5 * self.square.mean():>8.2f}"
            f"{self.worst_m(self.spans('latch')):>7.1f}{self.worst_m(self.spans('glitch')):>8.1f}{gap:>6.2f}"
            f"{len(track):>8}{ids:>4}  {self.crossings():<22}{self.run_s:>6.1f}"
        )

    def detail(self, block_s: float = 30.0) -> str:
        """One line for each block of time: errors, what was stated, sightings that were offered and who gave them."""
        start = self.scenario["start_unix"]
        at = self.rows.time_us * 1e-6 - start
        table = self.fusion.measurements
        sight = table.kind == LINE_OF_SIGHT
        sight_s, sensor = table.time_us[sight] * 1e-6 - start, table.sensor_id[sight]
        names = {int(one): table.sensors[int(one)].name for one in np.unique(sensor)}
        out = [
            f"  {'from s':>7}{'med':>7}{'max':>8}{'east':>8}{'north':>8}{'std':>7}{'nees/2':>8}  sightings, episodes"
        ]
        for low in np.arange(np.floor(at[0] / block_s) * block_s, at[-1], block_s):
            mine = (at >= low) & (at < low + block_s)
            if not mine.any():
                out.append(f"  {low:>7.0f}  no state")
                continue
            seen = [
                f"{name} {np.sum((sensor == one) & (sight_s >= low) & (sight_s < low + block_s))}"
                for one, name in names.items()
            ]
            during = [
                f"{one.get('drone', one.get('who', ''))} {one.get('kind', 'glitch')}"
                for one in self.scenario["episodes"]
                + self.scenario.get("variant", {}).get("faults", {}).get("glitches", [])
                if one["start"] < low + block_s and one["end"] > low
            ]
            out.append(
                f"  {low:>7.0f}{np.median(self.distance_m[mine]):>7.2f}{self.distance_m[mine].max():>8.1f}"
                f"{np.mean(self.error_m[mine, 0]):>8.2f}{np.mean(self.error_m[mine, 1]):>8.2f}"
                f"{np.median(self.std_m[mine]):>7.2f}{0.5 * self.square[mine].mean():>8.2f}  {', '.join(seen + during)}"
            )
        said = {name: row for name, row in self.fusion.stats["sensors"].items() if "latency_s" in row}
        out += [
            f"  {name}: latency {row['latency_s']:.3f} +- {row['latency_std_s']:.3f} ({row['latency_from']}), "
            f"frame {row['gimbal_frame']}"
            for name, row in said.items()
        ]
        out += [f"  warning: {one}" for one in self.fusion.stats.get("warnings", [])]
        return "\n".join(out)


def main() -> None:
    """Score every folder that was named."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", type=pathlib.Path, nargs="+")
    options.add_argument("--detail", action="store_true", help="also one line for each 30 s")
    chosen = options.parse_args()
    print(f"{pathlib.Path(dronetrack.__file__).parent}\n{HEAD}")
    for folder in chosen.folders:
        try:
            score = Score(folder.resolve())
        except Exception as fault:  # noqa: BLE001 - a run that fails is a score too
            print(f"{folder.name:<16} failed: {type(fault).__name__}: {fault}")
            if chosen.detail:
                traceback.print_exc()
            continue
        print(score.line(), flush=True)
        if chosen.detail:
            print(score.detail(), flush=True)


if __name__ == "__main__":
    main()
