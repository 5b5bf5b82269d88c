"""Does the forecast of a crossing keep its word? Calibration on simulated drives: Brier score, coverage of quantiles.

python benchmarks/border_forecast.py [drives per kind]
"""

import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
from drives import drives_on_country_roads, drives_on_motorway, scores

from dronetrack.border import QUANTILES, Border

HORIZON_S = 3600.0


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    border, rng = Border.between("HU", "RO"), np.random.default_rng(4)
    kinds = {
        "motorway, route known": drives_on_motorway(border, n, HORIZON_S, rng),
        "country road, route known": drives_on_country_roads(border, n, HORIZON_S, rng),
    }
    kinds["country road, free"] = kinds["country road, route known"]
    kinds["motorway, free"] = kinds["motorway, route known"]
    print(f"horizon {HORIZON_S:.0f} s, {n} drives of each kind; quantiles {QUANTILES}")
    for name, drives in kinds.items():
        begin = time.perf_counter()
        known = "known" in name
        forecasts = [border.forecast(one.track, one.route if known else None, HORIZON_S) for one in drives]
        spent = (time.perf_counter() - begin) / n
        found = scores(forecasts, drives, HORIZON_S)
        print(f"\n{name}: {1e3 * spent:.0f} ms a forecast")
        for share in ("0.5", "1"):
            brier, base = found[f"brier_{share}"], found[f"base_{share}"]
            print(
                f"  within {share} of the horizon: Brier {brier:.3f}, base rate alone {base:.3f} "
                f"(skill {1 - brier / base:.2f}); said {found[f'said_{share}']:.3f}, "
                f"happened {found[f'happened_{share}']:.3f}"
            )
        print("  quantile not exceeded:", np.round(found["covered"], 3), "of", found["n_finite"])


if __name__ == "__main__":
    main()
