"""How does a data set travel, and how do answers come back? Parquet files that any language reads."""

import json
import pathlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import DronetrackError, FormatError, InputError
from dronetrack.leaderboard.case import Case
from dronetrack.leaderboard.verdict import result_of
from dronetrack.measurements import Measurements, Sensor
from dronetrack.metrics import truth_of
from dronetrack.motion import Mixture, Motion
from dronetrack.simulate import scenario, scenario_names
from dronetrack.tracks import Track

if TYPE_CHECKING:
    from dronetrack.leaderboard.benchmark import Benchmark

FORMAT = "dronetrack benchmark 1"
AXES = ("x", "y", "z")
STATE = ("x_m", "y_m", "z_m", "vx_mps", "vy_mps", "vz_mps")
WORDS = """# {name}

{about}

A tracking benchmark: {n_cases} cases, SHA-256 `{digest}`.

`case_<seed>.measurements.parquet` holds what a tracker may see, in order of `time_us` (microseconds, UTC):
`arrival_us`, `sensor_id` (index from 0 into the case's list in `sensors` of `benchmark.json`), `kind` (0 tick: nothing
measured, an answer is wanted all the same; 1 position; 2 line of sight; 3 height), `target_id` (-1: unknown); `z_x z_y
z_z`, a point in ECEF (EPSG:4978) [m], of which a height says only how far up it is, or the unit vector from the sensor
to the target; `cov_xx cov_xy ...` the covariance [m2, or rad2 across the line] of the error that is new in the row;
`site_x ...` where the sensor stood [m]; `site_cov_xx ...` the covariance [m2] of the error that rows of a sensor share:
of the site for a line of sight, of the point itself otherwise. A sensor's `shared_time_s` says for how long it is
shared, `heading_std_rad` and `boresight_std_rad` how far its lines may be turned about the vertical and across
themselves, and `heading_time_s` and `boresight_time_s` for how long (first-order Gauss-Markov).

`case_<seed>.truth.parquet` is for the score, not for the tracker: `time_us`, `{state}`, ECEF.

To take part write `case_<seed>.result.parquet` for each case: `time_us`, `{state}`,
and the covariance of these six as `p_00 p_01 ... p_55`. Answer at each distinct `time_us` of the measurements. What
comes {settle_s:g} s or more after the first is scored; where there is no row, the last one stands.
"""


def write_benchmark(bench: "Benchmark", folder: pathlib.Path) -> pathlib.Path:
    """Write a data set; see `Benchmark.write`."""
    about = {
        "format": FORMAT,
        "name": bench.name,
        "about": bench.about,
        "seeds": bench.seeds,
        "settle_s": bench.settle_s,
        "lost_m": bench.lost_m,
        "bound_m": bench.bound_m if np.isfinite(bench.bound_m) else None,
        "motion": repr(bench[0].motion),
        "sensors": [[asdict(one) for one in case.measurements.sensors] for case in bench],
        "digest": bench.digest,
    }
    words = {"n_cases": len(bench), "state": " ".join(STATE)}
    readme = WORDS.format(**about, **words)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for case, truth in zip(bench.cases, bench.truths, strict=True):
            _write(_measured(case), folder / f"case_{case.seed}.measurements.parquet")
            _write(_moved(truth), folder / f"case_{case.seed}.truth.parquet")
        (folder / "README.md").write_text(readme, encoding="utf-8")
        (folder / "benchmark.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    except OSError as fault:
        raise InputError(f"{folder}: cannot write there ({fault.strerror}); choose another folder.") from None
    return folder


def read_benchmark(cls: "type[Benchmark]", folder: pathlib.Path) -> "Benchmark":
    """Read a data set; see `Benchmark.read`."""
    place = folder / "benchmark.json"
    try:
        about = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise FormatError(f"{place}: not a data set; needed a JSON object with the format {FORMAT!r}.")
        motion = _motion(about["name"], about["motion"])
        cases = tuple(
            _case(folder, seed, [Sensor(**one) for one in sensors], motion)
            for seed, sensors in zip(about["seeds"], about["sensors"], strict=True)
        )
        truths = tuple(_truth(folder / f"case_{seed}.truth.parquet") for seed in about["seeds"])
        bound_m = float("nan") if about["bound_m"] is None else about["bound_m"]
        bench = cls(about["name"], about["about"], cases, truths, about["settle_s"], about["lost_m"], bound_m)
    except OSError as fault:
        raise FormatError(f"{fault.filename or place}: cannot be read ({fault.strerror or fault}).") from None
    except (KeyError, TypeError, ValueError) as fault:
        if isinstance(fault, DronetrackError):
            raise
        raise FormatError(f"{place}: not a data set ({type(fault).__name__}: {fault}).") from None
    if bench.digest != about["digest"]:
        raise FormatError(f"{folder}: the files are not those that were written; their digest is {bench.digest}.")
    return bench


def write_results(folder: str | pathlib.Path, seeds: Sequence[int], results: Sequence[Track | None]) -> None:
    """Write answers beside a data set, as trackers in other languages do.

    Parameters
    ----------
    folder : str or Path
        Where to.
    seeds : sequence of int
        `Benchmark.seeds`.
    results : sequence of Track or None
        One for each case; no file is written for None.

    Raises
    ------
    InputError
        If the numbers differ, or the folder cannot be written.
    """
    if len(seeds) != len(results):
        raise InputError(f"one result for each seed: got {len(results)} results and {len(seeds)} seeds.")
    try:
        for seed, result in zip(seeds, results, strict=True):
            if result is not None:
                flat = result.cov.reshape(-1, 36).T
                doubt = {f"p_{k // 6}{k % 6}": column for k, column in enumerate(flat)}
                _write({**_moved(result), **doubt}, pathlib.Path(folder) / f"case_{seed}.result.parquet")
    except OSError as fault:
        raise InputError(f"{folder}: cannot write there ({fault.strerror}); choose another folder.") from None


def read_results(folder: str | pathlib.Path, seeds: Sequence[int]) -> list[Track | None]:
    """Read answers that a tracker in any language wrote.

    Parameters
    ----------
    folder : str or Path
        With `case_<seed>.result.parquet` files.
    seeds : sequence of int
        `Benchmark.seeds`.

    Returns
    -------
    list of Track or None
        For `Benchmark.score`; None where there is no file.

    Raises
    ------
    FormatError
        If a file lacks a column, or holds something else than the README of the data set says.
    """
    paths = [pathlib.Path(folder) / f"case_{seed}.result.parquet" for seed in seeds]
    return [_result(path) if path.exists() else None for path in paths]


def _measured(case: Case) -> dict[str, NDArray]:
    """Columns of the measurements."""
    table = case.measurements
    whole = {name: getattr(table, name) for name in ("time_us", "sensor_id", "kind", "target_id")}
    vectors = {f"{name}_{axis}": values[:, i] for name, values in _vectors(table) for i, axis in enumerate(AXES)}
    matrices = {
        f"{name}_{a}{b}": values[:, i, j]
        for name, values in (("cov", table.cov), ("site_cov", table.site_cov))
        for i, a in enumerate(AXES)
        for j, b in enumerate(AXES)
    }
    return {**whole, "arrival_us": case.arrival_us, **vectors, **matrices}


def _vectors(table: Measurements) -> tuple[tuple[str, NDArray], ...]:
    return (("z", table.z), ("site", table.site_ecef_m))


def _case(folder: pathlib.Path, seed: int, sensors: Sequence[Sensor], motion: Motion | Mixture | None) -> Case:
    path = folder / f"case_{seed}.measurements.parquet"
    columns = _read(path)
    n = len(columns["time_us"])
    pairs = [a + b for a in AXES for b in AXES]
    table = Measurements(
        **{name: columns[name] for name in ("time_us", "sensor_id", "kind", "target_id")},
        z=np.column_stack([columns[f"z_{axis}"] for axis in AXES]),
        site_ecef_m=np.column_stack([columns[f"site_{axis}"] for axis in AXES]),
        cov=np.column_stack([columns[f"cov_{pair}"] for pair in pairs]).reshape(n, 3, 3),
        site_cov=np.column_stack([columns[f"site_cov_{pair}"] for pair in pairs]).reshape(n, 3, 3),
        sensors=tuple(sensors),
    )
    return Case(seed, table, columns["arrival_us"], motion)


def _moved(track: Track) -> dict[str, NDArray]:
    """Columns of a truth."""
    return {"time_us": track.time_us, **{name: track.state[:, i] for i, name in enumerate(STATE)}}


def _truth(path: pathlib.Path) -> Track:
    columns = _read(path)
    return truth_of(columns["time_us"], np.column_stack([columns[name] for name in STATE]))


def _result(path: pathlib.Path) -> Track:
    try:
        columns = _read(path)
        n = len(columns["time_us"])
        cov = np.column_stack([columns[f"p_{i}{j}"] for i in range(6) for j in range(6)]).reshape(n, 6, 6)
        return result_of(columns["time_us"], np.column_stack([columns[name] for name in STATE]), cov)
    except KeyError as fault:
        raise FormatError(f"{path.name}: no column {fault}; the README of the data set lists them all.") from None
    except InputError as fault:
        raise FormatError(f"{path.name}: {fault}") from None


def _write(columns: dict[str, NDArray], path: pathlib.Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({name: np.ascontiguousarray(values) for name, values in columns.items()}), path)


def _read(path: pathlib.Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table: pa.Table = pq.read_table(path)
        return {name: table[name].to_numpy() for name in table.column_names}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as fault:
        raise FormatError(f"{path.name}: not a Parquet file of plain columns ({fault}).") from None


def _motion(name: str, said: str) -> Motion | Mixture | None:
    """Return the motion of a named scenario, if the data set still says so; None for one of somebody's own."""
    motion: Any = scenario(name).motion if name in scenario_names() else None
    return motion if repr(motion) == said else None
