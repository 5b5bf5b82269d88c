"""The board: answers that fit, silence that counts, files that travel, entries compared only on the same bits."""

import json
import pathlib
import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest

import dronetrack as dt
from dronetrack import metrics
from dronetrack.errors import FormatError, InputError
from dronetrack.leaderboard import (
    Entry,
    default_tracker,
    read_entries,
    read_results,
    result_of,
    to_dataframe,
    to_markdown,
    write_results,
)
from dronetrack.measurements import TICK
from dronetrack.simulate import scenario, simulate

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def bench():
    return dt.Benchmark.load("straight", seeds=[3, 1, 4])


@pytest.fixture(scope="module")
def results(bench):
    return [default_tracker(case) for case in bench]


# --- the data set -----------------------------------------------------------------------------------------------------


def test_a_case_is_what_its_seed_draws(bench):
    run = simulate("straight", rng=np.random.default_rng(1))[0]
    np.testing.assert_array_equal(bench[1].measurements.z, run.measurements.z)
    np.testing.assert_array_equal(bench.truths[1].state, run.truth.state)


def test_the_same_seeds_are_the_same_data_and_others_are_not(bench):
    assert dt.Benchmark.load("straight", seeds=[3, 1, 4]).digest == bench.digest
    assert dt.Benchmark.load("straight", seeds=[3, 1, 5]).digest != bench.digest
    assert dt.Benchmark.load("straight", seeds=[3, 1, 4], settle_s=5.0).digest != bench.digest


def test_a_pause_is_asked_about_every_step_of_the_truth():
    case = dt.Benchmark.load("tunnel", seeds=[0])[0]
    ticks_us = case.measurements.time_us[case.measurements.kind == TICK] - case.time_us[0]
    np.testing.assert_array_equal(ticks_us, np.arange(60_000_000, 120_000_000, 500_000))


def test_ticks_do_not_change_what_a_filter_says():
    case = dt.Benchmark.load("tunnel", seeds=[0])[0]
    plain = dt.track(case.measurements.take(case.measurements.kind != TICK), motion=case.motion)
    ticked = default_tracker(case)
    np.testing.assert_allclose(ticked.state[-1], plain.state[-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1]])
def test_seeds_that_make_no_data_set_are_refused(seeds):
    with pytest.raises(InputError, match="seeds"):
        dt.Benchmark.load("straight", seeds=seeds)


# --- the score --------------------------------------------------------------------------------------------------------


def test_full_answers_are_scored_as_the_metrics_say(bench, results):
    verdict = bench.score(results)
    # `metrics.score` counts the start-up from the first row of each track: here they begin with the measurements.
    direct = metrics.score(results, bench.truths, settle_s=bench.settle_s, lost_m=bench.lost_m)
    assert verdict.answered == 1.0
    assert verdict.whole == verdict.said
    for name in ("n_rows", "position_rmse_m", "velocity_rmse_mps", "nees", "ellipse_95", "custody_breaks"):
        assert getattr(verdict.whole, name) == getattr(direct, name), name


def test_the_bound_is_that_of_the_simulation(bench, results):
    one = dt.Benchmark.load("straight", seeds=[1])
    simulation = simulate("straight", rng=np.random.default_rng(1))
    bound = simulation.bound().at(one[0].time_us[one[0].time_us >= one[0].time_us[0] + 10_000_000])
    assert one.bound_m == pytest.approx(np.sqrt(np.mean(bound.position_m**2)), rel=1e-12)
    assert bench.score(results).whole.efficiency == pytest.approx(1.0, abs=0.2)


def test_who_is_silent_for_half_of_the_time_does_not_win(bench, results):
    half = [one.take(one.time_us < np.median(one.time_us)) for one in results]
    verdict = bench.score(half)
    assert verdict.answered == pytest.approx(0.4, abs=0.01)
    assert verdict.said.position_rmse_m == pytest.approx(bench.score(results).whole.position_rmse_m, rel=0.3)
    assert verdict.position_rmse_m > 50.0 * verdict.said.position_rmse_m
    assert verdict.whole.ellipse_95.value < 0.6
    assert verdict.whole.custody_breaks == 1.0


def test_who_answers_only_now_and_then_is_charged_the_way_between(bench, results):
    seldom = [one.take(slice(None, None, 10)) for one in results]
    verdict = bench.score(seldom)
    speed = np.mean([truth.speed_mps.mean() for truth in bench.truths])
    assert verdict.position_rmse_m > 0.7 * speed  # a last word is a second old on average
    assert verdict.said.position_rmse_m < 4.0


def test_a_last_word_stands_until_the_next(bench):
    """Perfect answers at the ends of an exact straight line: the error between is the way driven since."""
    truth = bench.truths[0]
    moments = bench[0].time_us
    place, speed = truth.state[0, :3], np.array([0.0, 10.0, 0.0])
    line = np.hstack([place + np.outer((moments - moments[0]) * 1e-6, speed), np.tile(speed, (len(moments), 1))])
    still = replace(bench, cases=bench.cases[:1], truths=(metrics.truth_of(moments, line),), settle_s=0.0)
    ends = result_of(moments[[0, -1]], line[[0, -1]], np.stack([np.eye(6)] * 2))
    way_m = 10.0 * (moments[:-1] - moments[0]) * 1e-6
    expected = np.sqrt(np.sum(way_m**2) / len(moments))
    assert still.score([ends]).position_rmse_m == pytest.approx(expected, rel=1e-9)


def test_a_case_without_an_answer_is_an_infinite_error(bench, results):
    verdict = bench.score([results[0], None, results[2]])
    assert verdict.lost_runs == 1
    assert verdict.position_rmse_m == np.inf
    assert verdict.answered == pytest.approx(2.0 / 3.0)


def test_an_empty_track_is_no_answer(bench, results):
    assert bench.score([results[0], results[1].take(slice(0)), results[2]]).lost_runs == 1


def spoiled(track, **columns):
    return replace(track, origin=None, **columns)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda track: spoiled(track, time_us=track.time_us + 3_600_000_000), "but the case lasts"),
        (lambda track: spoiled(track, time_us=np.append(track.time_us[1:] - 1, track.time_us[-1])[: len(track)]), None),
        (lambda track: spoiled(track.take(slice(1, None)), time_us=track.time_us[1:] - 1), "none of its"),
        (lambda track: spoiled(track, cov=-track.cov), "positive definite"),
        (lambda track: spoiled(track, cov=np.zeros_like(track.cov)), "positive definite"),
        (lambda track: spoiled(track, cov=track.cov + np.triu(np.ones((6, 6)), 1)), "positive definite"),
        (lambda track: track.state, "result_of"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit_are_refused(bench, results, spoil, words):
    bad = [results[0], spoil(results[1]), results[2]]
    if words is None:  # off by a microsecond but for the last row: silence, not an error
        assert bench.score(bad).answered < 0.7
        return
    with pytest.raises(InputError, match=f"seed 1.*{words}"):
        bench.score(bad)


def test_a_result_for_each_case_is_needed(bench, results):
    with pytest.raises(InputError, match="one result for each of 3 cases: got 2"):
        bench.score(results[:2])


def test_a_board_of_silence_is_refused(bench):
    with pytest.raises(InputError, match="nothing to score"):
        bench.score([None, None, None])


# --- running and entries ----------------------------------------------------------------------------------------------


def test_a_run_is_the_score_of_its_results_with_a_time(bench, results):
    entry = bench.run(default_tracker, version="1", who="us")
    assert entry.verdict == bench.score(results)
    assert (entry.tracker, entry.digest, entry.seeds) == ("default_tracker", bench.digest, (3, 1, 4))
    assert entry.timing.seconds > 0.0


def test_a_filter_is_told_from_a_smoother(bench):
    assert bench.run(default_tracker).timing.causal is True
    assert bench.run(lambda case: dt.smooth(default_tracker(case)), name="smooth").timing.causal is False


def test_a_tracker_sees_no_truth(bench):
    assert not {"truth", "truths", "cause"} & {name for name in dir(bench[0]) if not name.startswith("_")}


def test_an_entry_is_read_as_it_was_written(bench, results, tmp_path):
    for name, said in (("full", results), ("lost", [results[0], None, results[2]])):
        entry = bench.entry(said, name=name, version="2", who="somebody", note="a | b")
        assert repr(Entry.read(entry.write(tmp_path / f"{name}.json"))) == repr(entry)
    json.loads((tmp_path / "lost.json").read_text(), parse_constant=pytest.fail)
    assert [one.tracker for one in read_entries(tmp_path)] == ["full", "lost"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "dronetrack leaderboard entry 1"}', "\xff"])
def test_what_is_no_entry_is_refused(text, tmp_path):
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FormatError, match=r"x\.json"):
        Entry.read(tmp_path / "x.json")


def test_the_board_ranks_the_same_data_only(bench, results):
    other = dt.Benchmark.load("straight", seeds=[9]).run(default_tracker, name="elsewhere")
    silent = bench.entry([one.take(slice(None, None, 50)) for one in results], name="silent")
    lost = bench.entry([None, *results[1:]], name="lost")
    full = bench.entry(results, name="full")
    board = to_dataframe([other, lost, silent, full])
    ranks = {row.tracker: (row.digest, row.rank) for row in board.itertuples()}
    assert [ranks[name][1] for name in ("full", "silent", "lost", "elsewhere")] == [1, 2, 3, 1]
    assert ranks["elsewhere"][0] != ranks["full"][0]
    text = to_markdown([other, lost, silent, full])
    assert text.count("### straight") == 2
    assert text.index("| full") < text.index("| silent") < text.index("| lost")


def test_what_differs_by_less_than_is_shown_shares_a_rank(bench, results):
    nearly = [spoiled(one, state=one.state + 1e-5) for one in results]
    said = {"b": nearly, "a": results, "c": [None, *results[1:]]}
    board = to_dataframe(bench.entry(one, name=name) for name, one in said.items())
    assert board["tracker"].tolist() == ["a", "b", "c"]
    assert board["rank"].tolist() == [1, 1, 3]


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_data_set_is_read_as_it_was_written(bench, results, tmp_path):
    again = dt.Benchmark.read(bench.write(tmp_path / "set"))
    assert (again.digest, again.bound_m, again.seeds) == (bench.digest, bench.bound_m, bench.seeds)
    assert again[0].motion == bench[0].motion
    write_results(tmp_path / "set", bench.seeds, results)
    told, kept = again.score(read_results(tmp_path / "set", again.seeds)), bench.score(results)
    for name in ("position_rmse_m", "velocity_rmse_mps", "nees", "ellipse_95", "custody_breaks", "bound_m"):
        assert getattr(told.whole, name) == getattr(kept.whole, name), name


def test_a_scenario_of_ones_own_is_read_without_its_motion(tmp_path):
    own = replace(scenario("stone_soup_ncv"), name="mine")
    assert dt.Benchmark.read(dt.Benchmark.load(own, seeds=[0]).write(tmp_path))[0].motion is None


def test_a_changed_data_set_is_noticed(bench, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = bench.write(tmp_path) / "case_1.truth.parquet"
    table = pq.read_table(place)
    east = table["x_m"].to_numpy().copy()
    east[7] += 1e-6
    pq.write_table(table.set_column(1, "x_m", pa.array(east)), place)
    with pytest.raises(FormatError, match="not those that were written"):
        dt.Benchmark.read(tmp_path)


@pytest.mark.parametrize("name", ["benchmark.json", "case_1.truth.parquet", "case_4.measurements.parquet"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_damaged_data_set_is_refused(bench, tmp_path, name, damage):
    place = bench.write(tmp_path) / name
    if damage == "missing":
        place.unlink()
    else:
        place.write_bytes(place.read_bytes()[:200] if damage == "cut" else b"")
    with pytest.raises(FormatError, match=name.replace(".", r"\.")):
        dt.Benchmark.read(tmp_path)


def test_a_result_file_that_lacks_a_column_is_refused(bench, results, tmp_path):
    import pyarrow.parquet as pq

    write_results(tmp_path, bench.seeds, results)
    place = tmp_path / "case_4.result.parquet"
    pq.write_table(pq.read_table(place).drop_columns(["p_33"]), place)
    with pytest.raises(FormatError, match="p_33"):
        read_results(tmp_path, bench.seeds)


# --- others' trackers -------------------------------------------------------------------------------------------------


def test_the_example_scores_stone_soup_filterpy_and_us(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["score_stone_soup.py", "2", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / "score_stone_soup.py"), run_name="__main__")
    board = to_dataframe(read_entries(tmp_path))
    assert {"dronetrack.track", "filterpy"} <= set(board["tracker"])
    # All filters of one linear Gaussian model say the same.
    for _, group in board.groupby("digest"):
        assert np.ptp(group["position_rmse_m"]) < 0.005 * group["position_rmse_m"].mean()
    assert "| rank |" in capsys.readouterr().out
