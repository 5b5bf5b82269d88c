"""How do trackers fare over many seeds? One row of metrics for each scenario, tracker and seed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dronetrack.errors import InputError
from dronetrack.leaderboard import Benchmark, Tracker, default_tracker
from dronetrack.scale.cluster import Progress, client_of, in_any_order, one_by_one
from dronetrack.simulate import Scenario
from dronetrack.simulate import scenario as named

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

TASKS_PER_WORKER = 16  # so that the last tasks end together, and the time between tasks does not count
METRICS = (
    "position_rmse_m", "velocity_rmse_mps", "along_rmse_m", "across_rmse_m", "up_rmse_m", "median_m", "p95_m",
    "nis_per_component", "first_custody_s", "longest_gap_s", "coasting_share", "custody_breaks", "bound_m",
)  # fmt: skip
COLUMNS = (
    "scenario",
    "tracker",
    "seed",
    "n_rows",
    "answered",
    *METRICS,
    "nees",
    "position_nees",
    "ellipse_95",
    "error",
)


def monte_carlo(
    scenario: Scenario | str | Iterable[Scenario | str],
    seeds: Iterable[int],
    *,
    trackers: Tracker | Mapping[str, Tracker] = default_tracker,
    settle_s: float | None = None,
    lost_m: float | None = None,
    client: "Client | None" = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> "pd.DataFrame":
    """Run trackers over seeds of scenarios, and score each seed by itself.

    A seed is drawn, tracked and scored as by `Benchmark.load` with that seed alone, so a row does not depend on its
    company: the table is the same bits whatever the number of workers, the order in which they end, or how many die on
    the way, if all of them are machines of one kind. (Where mathematical libraries differ, so may last digits.)

    A script that calls this keeps the call under ``if __name__ == "__main__":``, as worker processes import it.

    Parameters
    ----------
    scenario : Scenario, str, or iterable of them
        What to simulate.
    seeds : iterable of int
        For each scenario.
    trackers : callable, or mapping of str to callable, optional
        From a `dronetrack.leaderboard.Case` to a `Track`; by default `dronetrack.track` with the scenario's motion.
    settle_s, lost_m : float, optional
        As for `Benchmark.load`.
    client : distributed.Client, optional
        Your cluster. By default processes on this machine.
    workers : int, optional
        How many of them; by default one for each core.
    progress : callable, optional
        Called with what was done and the part done, 0 to 1.

    Returns
    -------
    pandas.DataFrame
        One row for each scenario, tracker and seed, in the order in which they were given. `nees` (6 is right) and
        `position_nees` (2 is right) are means over the rows of the run, `ellipse_95` is a share. Where a tracker or
        the scoring of its answer failed, the numbers are NaN and `error` says why.

    Raises
    ------
    InputError
        If there is nothing to do, a scenario has no such name or stands twice, or Dask is not installed.
    """
    plans, numbers, some = _plans(scenario), [int(seed) for seed in seeds], _trackers(trackers)
    if not numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"seeds must be at least one, each once; got {len(numbers)}, {len(set(numbers))} different.")
    with client_of(client, workers) as mine:
        if client is None:
            _rows(named("straight"), [0], {"": default_tracker}, None, None)  # so that workers find kernels compiled
        threads: Any = mine.nthreads()
        size = _size(len(plans) * len(numbers), sum(threads.values()))
        pieces = [
            (plan, numbers[start : start + size], some, settle_s, lost_m)
            for plan in plans
            for start in range(0, len(numbers), size)
        ]
        rows = {(row["scenario"], row["tracker"], row["seed"]): row for row in _done(mine, pieces, progress or _quiet)}
    return _table([rows[plan.name, name, seed] for plan in plans for name in some for seed in numbers])


def _done(client: "Client", pieces: list[tuple], progress: Progress) -> list[dict[str, Any]]:
    """Rows of all pieces, in any order; what takes its workers along is done again seed by seed."""
    found: list[dict[str, Any]] = []
    suspects: list[tuple] = []
    n_rows = sum(len(seeds) * len(trackers) for _, seeds, trackers, *_ in pieces)
    for index, rows, fault in in_any_order(client, _rows, pieces):
        plan, seeds, *rest = pieces[index]
        if fault is None:
            found += rows
            progress(plan.name, len(found) / n_rows)
        else:
            suspects += [(plan, [seed], *rest) for seed in seeds]
    for index, rows, fault in one_by_one(client, _rows, suspects):
        plan, (seed,), trackers, *_ = suspects[index]
        why = f"{type(fault).__name__}: no worker lived through it"
        found += rows if fault is None else _failed(plan, seed, trackers, why)
        progress(plan.name, len(found) / n_rows)
    return found


def _plans(scenario: Scenario | str | Iterable[Scenario | str]) -> list[Scenario]:
    several = [scenario] if isinstance(scenario, str | Scenario) else list(scenario)
    plans = [named(one) if isinstance(one, str) else one for one in several]
    names = [plan.name for plan in plans]
    if not plans or len(set(names)) < len(names):
        raise InputError(f"scenarios need names of their own, and there must be one; got {names}.")
    return plans


def _trackers(trackers: Tracker | Mapping[str, Tracker]) -> dict[str, Tracker]:
    some = dict(trackers) if isinstance(trackers, Mapping) else {getattr(trackers, "__name__", "tracker"): trackers}
    if not some:
        raise InputError("trackers must name at least one; got none.")
    return some


def _size(n_seeds: int, n_workers: int) -> int:
    """Seeds in a task."""
    return max(1, n_seeds // (TASKS_PER_WORKER * max(n_workers, 1)))


def _rows(
    plan: Scenario,
    seeds: Sequence[int],
    trackers: Mapping[str, Tracker],
    settle_s: float | None,
    lost_m: float | None,
) -> list[dict[str, Any]]:
    """Rows of some seeds and all trackers; in a worker."""
    rows = []
    for seed in seeds:
        try:
            bench = Benchmark.load(plan, seeds=[seed], settle_s=settle_s, lost_m=lost_m)
        except InputError as fault:
            rows += _failed(plan, seed, trackers, f"InputError: {fault}")
        else:
            rows += [_row(bench, name, tracker) for name, tracker in trackers.items()]
    return rows


def _failed(plan: Scenario, seed: int, trackers: Iterable[str], why: str) -> list[dict[str, Any]]:
    """Rows that say why there are no metrics."""
    return [{"scenario": plan.name, "tracker": name, "seed": seed, "error": why} for name in trackers]


def _row(bench: Benchmark, name: str, tracker: Tracker) -> dict[str, Any]:
    """Metrics of one tracker on one seed."""
    about = {"scenario": bench.name, "tracker": name, "seed": bench.seeds[0]}
    try:
        verdict = bench.score([tracker(bench[0])])
    except Exception as fault:  # noqa: BLE001 - one seed must not end a night's work
        return {**about, "error": f"{type(fault).__name__}: {fault}"}
    whole, said = verdict.whole, verdict.said
    return {
        **about,
        **{metric: getattr(whole, metric) for metric in METRICS},
        "n_rows": whole.n_rows,
        "answered": verdict.answered,
        "nees": said.nees.mean,
        "position_nees": said.position_nees.mean,
        "ellipse_95": whole.ellipse_95.value,
        "error": "",
    }


def _table(rows: list[dict[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.assign(n_rows=table["n_rows"].fillna(0).astype("int64"))


def _quiet(_what: str, _part: float) -> None:
    return None
