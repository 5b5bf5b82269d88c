"""Does the forecast of a crossing keep its word, and what does one cost? Calibration on simulated drives.

Drives to the line between Hungary and Romania on the motorway and on country roads that wind; the forecast knows the
road, or does not. A Brier score is the mean square of what was said less what happened; beside it is that of who says
the base rate each time. Of a quantile that says 0.9, nine in ten should be within.
"""

from collections.abc import Iterator, Sequence

from dronetrack.bench.drives import Drive, coverage, drives_on_country_roads, drives_on_motorway, scores
from dronetrack.bench.workload import Case, Job, Setting, Workload
from dronetrack.border import QUANTILES, Border, Forecast

HORIZON_S = 3600.0


def _cases(setting: Setting) -> Iterator[Case]:
    border, rng, n = Border.between("HU", "RO"), setting.rng(), setting.size(100, 10)
    for kind, draw in (("motorway", drives_on_motorway), ("country road", drives_on_country_roads)):
        drives = draw(border, n, HORIZON_S, rng)
        for knows in (True, False):
            yield _case(f"{kind}, {'road known' if knows else 'free'}", border, drives, knows=knows)


def _case(name: str, border: Border, drives: Sequence[Drive], *, knows: bool) -> Case:
    def said(some: Sequence[Drive]) -> list[Forecast]:
        return [border.forecast(one.track, one.route if knows else None, HORIZON_S) for one in some]

    few = drives[:2]
    forecasts = said(drives)
    held, _ = coverage(forecasts, drives)
    within = {f"within_{quantile:.3g}_share": float(share) for quantile, share in zip(QUANTILES, held, strict=True)}
    accuracy = scores(forecasts, drives, HORIZON_S) | within
    return Case(name, {"Border.forecast": Job(lambda: said(few), len(few), "ours", accuracy=accuracy)})


WORKLOAD = Workload(
    "forecast",
    "Does the forecast of a crossing keep its word, and what does one cost?",
    "forecasts/s",
    _cases,
)
