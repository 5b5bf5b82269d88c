"""How long does `dronetrack demo` take as a whole process? Beside importing the libraries that it stands on.

python benchmarks/whole_demo.py
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from timing import in_turn, table, versions

LIBRARIES = "import numpy, numba, scipy.special, pyarrow.parquet, gpxpy, pynmea2, rich.console, matplotlib.figure"


def main():
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"

        def run(*arguments):
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

        seconds = in_turn(
            {
                "dronetrack demo": lambda: run("-m", "dronetrack", "demo", "-o", str(out)),
                "limit: import the libraries": lambda: run("-c", LIBRARIES),
                "limit: start Python": lambda: run("-c", "pass"),
            },
            rounds=7,
        )
        events = json.loads((out / "timeline.json").read_text())
        crossings = [event for event in events if event["kind"] == "crossing"]
        assert len(crossings) == 1, "the demo crosses once"
        print(f"one crossing at {crossings[0]['time']}, +- {crossings[0]['time_std_s']:.2f} s  ({versions()})")
        table(seconds, dict.fromkeys(seconds, 1.0), "runs/s", "dronetrack demo")
        print(f"\nmedian {statistics.median(seconds['dronetrack demo']):.2f} s")


if __name__ == "__main__":
    main()
