"""Benchmarks: answers are compared before anything is timed, verdicts follow from measurements."""

import json
import math
import os
import re
import time
import types
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from dronetrack.bench import Case, Goal, Job, Setting, Workload, read_run, run, workloads, write
from dronetrack.bench import peers as adapters
from dronetrack.bench.command import wanted_peers, wanted_workloads
from dronetrack.bench.guard import losses, read_baseline, renew_baseline
from dronetrack.bench.judging import judge, ratio, ratios, times_s
from dronetrack.bench.keeping import remember
from dronetrack.bench.markdown import markdown_page
from dronetrack.bench.peers import filterpy
from dronetrack.bench.problems import MOTION, draw_drives
from dronetrack.bench.profiling import busiest, profile
from dronetrack.bench.racing import race
from dronetrack.bench.words import goal_words
from dronetrack.cli import main
from dronetrack.errors import FormatError, InputError
from dronetrack.sequence import filter_sequence

TOLERANCE = {"mean": (0.0, 1e-5), "cov": (1e-7, 1e-7)}


def case_of(solve, problem):
    """Ours on a problem, and a peer that solves it so."""
    state, cov, _ = filter_sequence(
        MOTION, problem.mean[0], problem.cov[0], 0, time_us=problem.time_us, position=problem.z[0],
        position_cov=problem.R,
    )  # fmt: skip
    expected = {"mean": state[-1:], "cov": cov[-1:]}
    ours = Job(lambda: None, 1.0, "ours")
    peer = Job(solve, 1.0, answer=lambda out: {"mean": out[0], "cov": out[1]}, expected=expected)
    return Case("one", {"ours": ours, "peer": peer}, tolerance=TOLERANCE)


def sleeper(seconds, role="peer"):
    return Job(lambda: time.sleep(seconds), 1.0, role, accuracy={"rmse_m": 1.0}, clock="wall")


def small(cases, **options):
    return Workload("small", "How small?", "things/s", lambda _: iter(cases), **options)


@pytest.fixture
def problem():
    return draw_drives(1, 30, np.random.default_rng(3))


def test_right_adapter_is_timed(problem):
    result = race(case_of(filterpy.filter_drives(problem), problem), 3)
    assert not result.left_out
    assert len(result.wall_s["peer"]) == 3


def test_adapter_with_another_noise_is_caught_before_it_is_timed(problem):
    wrong = filterpy.filter_drives(replace(problem, R=2.0 * problem.R))
    result = race(case_of(wrong, problem), 3)
    assert result.left_out["peer"].startswith("wrong: mean differs from ours by up to")
    assert "peer" not in result.wall_s


def test_adapter_off_by_a_millimetre_is_caught(problem):
    right = filterpy.filter_drives(problem)

    def off():
        mean, cov = right()
        return mean + 1e-3, cov

    assert "0.001" in race(case_of(off, problem), 3).left_out["peer"]


def test_adapter_that_answers_with_nan_is_caught(problem):
    right = filterpy.filter_drives(problem)
    nothing = race(case_of(lambda: (np.full((1, 6), np.nan), right()[1]), problem), 3)
    assert nothing.left_out["peer"] == "wrong: mean differs from ours in what is missing"


def test_adapter_that_answers_too_little_is_caught(problem):
    right = filterpy.filter_drives(problem)
    assert "shape" in race(case_of(lambda: (right()[0][:, :3], right()[1]), problem), 3).left_out["peer"]


def test_wrong_answer_makes_the_command_fail(problem, monkeypatch, tmp_path, capsys):
    bad = case_of(lambda: (np.zeros((1, 6)), np.zeros((1, 6, 6))), problem)
    monkeypatch.setattr("dronetrack.bench.command.workloads", lambda: {"small": small([bad])})
    assert main(["bench", "small", "-o", str(tmp_path)]) == 1
    assert "WRONG" in capsys.readouterr().out
    assert "peer" in (tmp_path / "RESULTS.md").read_text()


def test_peer_that_fails_is_left_out_with_its_error():
    def fail():
        raise ValueError("no such\nlog")

    jobs = {"ours": sleeper(0.0, "ours"), "peer": Job(fail, 1.0, accuracy={"rmse_m": 1.0})}
    assert race(Case("one", jobs), 3).left_out == {"peer": "failed: ValueError: no such log"}


def test_our_own_failure_is_not_hidden():
    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        race(Case("one", {"ours": Job(fail, 1.0, "ours")}), 3)


def test_peer_without_answer_and_accuracy_is_refused():
    with pytest.raises(InputError, match="answer"):
        Job(lambda: None, 1.0)


def test_what_a_run_leaves_is_cleared_away_and_that_is_not_timed():
    left = []
    job = Job(lambda: left.append(1), 1.0, "ours", clock="wall", after=lambda: (time.sleep(0.02), left.clear()))
    raced = race(Case("files", {"write": job}), rounds=3)
    assert max(raced.wall_s["write"]) < 0.01
    assert not left


def test_jobs_run_in_turn():
    order = []
    jobs = {name: Job(lambda name=name: order.append(name) or time.sleep(0.005), 1.0, "limit") for name in "ab"}
    race(Case("one", jobs), 3)
    assert "".join(order[4:]) == "ababab"


def test_ratio_counts_the_work_and_not_only_the_time():
    jobs = {"ours": Job(lambda: time.sleep(0.01), 10.0, "ours", clock="wall"), "peer": sleeper(0.02)}
    document = run([small([Case("one", jobs)])], quick=True)
    assert ratios(document["workloads"])["small / one / ours / peer"] == pytest.approx(20.0, rel=0.5)


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal("one", "ratio", "ours", "peer", at_least=1.5), "met"),
        (Goal("one", "ratio", "ours", "peer", at_least=1000.0, why="too few."), "missed"),
        (Goal("one", "seconds", "ours", at_most=1.0), "met"),
        (Goal("one", "figure", "share_lost", at_most=0.1), "met"),
        (Goal("one", "ratio", "ours", "Stone Soup", at_least=1.0), "not measured"),
        (Goal("two", "seconds", "ours", at_most=1.0), "not measured"),
    ],
)
def test_verdict_follows_from_the_measurement(goal, verdict):
    jobs = {"ours": sleeper(0.005, "ours"), "peer": sleeper(0.02)}
    workload = small([Case("one", jobs, figures={"share_lost": 0.05})], goals=(goal,))
    judged = run([workload], quick=True)["workloads"][0]["goals"][0]
    assert judged["verdict"] == verdict
    assert bool(judged["reason"]) == (verdict != "met")
    assert verdict != "missed" or judged["reason"].startswith("too few. ")


def test_goal_of_a_skipped_peer_says_why():
    skipped = {
        "name": "small",
        "unit": "things/s",
        "cases": [{"name": "one", "unit": "things/s", "jobs": {"ours": {}}}],
        "skipped": {"stonesoup": "not asked for"},
    }
    judged = judge(Goal("one", "ratio", "ours", "Stone Soup", at_least=2000.0), skipped)
    assert judged["reason"] == "stonesoup: not asked for"


def test_peer_that_is_not_installed_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setitem(adapters.DISTRIBUTIONS, "nobody", "nobody")
    found, skipped = adapters.find_peers(["filterpy", "nobody"])
    assert set(found) == {"filterpy"}
    assert "not installed" in skipped["nobody"]


def test_peer_that_needs_a_newer_python_is_skipped_with_that_reason(monkeypatch):
    monkeypatch.setitem(adapters.PYTHONS, "filterpy", (9, 1))
    found, skipped = adapters.find_peers(["filterpy"])
    assert not found
    assert skipped["filterpy"].startswith("needs Python 9.1, this is 3.")


def test_peer_that_breaks_on_import_does_not_take_the_run_with_it(monkeypatch):
    def broken(_name):
        raise AttributeError("np.float was removed")

    monkeypatch.setattr(adapters.importlib, "import_module", broken)
    assert adapters.find_peers(["filterpy"]) == (
        {},
        {"filterpy": "not usable here: AttributeError: np.float was removed"},
    )


def test_peers_that_nobody_asked_for_are_skipped():
    assert adapters.find_peers(["filterpy"], [])[1] == {"filterpy": "not asked for"}


def test_run_is_written_as_json_page_and_markdown(tmp_path):
    jobs = {"ours": sleeper(0.005, "ours"), "peer": sleeper(0.02), "limit: <nap>": Job(time.time, 1.0, "limit")}
    cases = [Case(f"n = {n}", jobs, n=n, figures={"peak_mb": 3.0}) for n in (1, 100)]
    goals = (Goal("n = 1", "ratio", "ours", "peer", at_least=1e6, why="it sleeps."),)
    document = run([small(cases, goals=goals)], quick=True, started="2026-01-01 00:00 UTC")
    files = {file.name: file.read_text() for file in write(document, tmp_path)}
    assert json.loads(files["run.json"]) == json.loads(json.dumps(document))
    for page in (files["report.html"], files["RESULTS.md"]):
        for word in ("it sleeps.", "of the time is waiting", "missed", "3.00 MB", "2026-01-01"):
            assert word in page
    assert "<nap>" not in files["report.html"]
    assert set(re.findall(r"plots/[\w-]+\.svg", files["RESULTS.md"])) == {
        f"plots/small-{kind}.svg" for kind in ("ratio", "cost", "accuracy")
    }
    for picture in (tmp_path / "plots").iterdir():
        ET.fromstring(picture.read_text())


def test_page_needs_nothing_from_elsewhere(tmp_path):
    document = run([small([Case("one", {"ours": sleeper(0.005, "ours")})])], quick=True)
    page = next(file for file in write(document, tmp_path) if file.suffix == ".html").read_text()
    assert not re.search(r"""(src|href)=(?!["']?#)""", page)
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_history_grows_by_a_line_with_each_run(tmp_path):
    document = run([small([Case("one", {"ours": sleeper(0.005, "ours"), "peer": sleeper(0.005)})])], quick=True)
    for _ in range(2):
        remember(document, tmp_path)
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["ratios"].keys() == {"small / one / ours / peer"}


def napping(name, counted, nap_s=0.001):
    """A workload that counts how often it is run."""

    def cases(_setting):
        counted.append(name)
        yield Case("one", {"ours": sleeper(nap_s, "ours"), "peer": sleeper(0.002)})

    return Workload(name, "How small?", "things/s", cases)


def killed(_setting):
    raise KeyboardInterrupt
    yield


def test_killed_run_leaves_what_it_has_seen_and_goes_on_from_there(tmp_path):
    counted = []
    first, second = napping("first", counted), napping("second", counted)
    keep = lambda seen: write(seen, tmp_path)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        run([first, replace(second, cases=killed)], quick=True, keep=keep)
    seen = read_run(tmp_path)
    assert [one["name"] for one in seen["workloads"]] == ["first"]
    assert seen["left"] == ["second"]
    assert "second" in (tmp_path / "report.html").read_text()
    whole = run([first, second], quick=True, before=seen)
    assert counted == ["first", "second"]
    assert whole["left"] == []
    assert whole["workloads"][0] == seen["workloads"][0]


def test_run_that_goes_on_measures_anew_what_is_of_another_commit_and_leaves_what_nobody_asked_for():
    counted = []
    first, second = napping("first", counted), napping("second", counted)
    before = run([first, second], quick=True)
    for entry in before["workloads"]:
        entry["commit"] = "0123456789ab"
    now = run([second], quick=True, before=before)
    assert counted == ["first", "second", "second"]
    assert {one["name"]: one["commit"] for one in now["workloads"]} == {
        "first": "0123456789ab",
        "second": now["commit"],
    }


@pytest.mark.parametrize("other", [{"seed": 2}, {"quick": False}, {"peers": []}])
def test_run_of_another_kind_is_not_gone_on_from(other):
    before = run([], quick=True)
    with pytest.raises(InputError, match=f"another {next(iter(other))}"):
        run([], before=before, **{"quick": True, **other})


def test_folder_with_a_broken_document_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"workloads": [')
    with pytest.raises(FormatError, match="remove it to begin anew"):
        read_run(tmp_path)
    assert read_run(tmp_path / "nowhere") is None


def test_document_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    write(run([], quick=True), tmp_path)
    before = (tmp_path / "run.json").read_text()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        write(run([], quick=True, seed=2), tmp_path)
    assert (tmp_path / "run.json").read_text() == before
    assert not list(tmp_path.glob(".run.json*"))


def test_workload_of_ours_that_fails_is_told_and_does_not_take_the_others_with_it(monkeypatch, tmp_path, capsys):
    def broken(_setting):
        raise ValueError("no such room")
        yield

    bad = Workload("bad", "How bad?", "things/s", broken, goals=(Goal("one", "seconds", "ours", at_most=1.0),))
    monkeypatch.setattr("dronetrack.bench.command.workloads", lambda: {"bad": bad, "good": napping("good", [])})
    assert main(["bench", "-o", str(tmp_path), "--quick"]) == 1
    assert "bad: ValueError: no such room" in capsys.readouterr().out
    seen = read_run(tmp_path)
    assert [one["name"] for one in seen["workloads"]] == ["bad", "good"]
    assert seen["workloads"][0]["goals"][0]["reason"] == "it failed: ValueError: no such room"


def test_machines_are_told_goals_with_verdicts(monkeypatch, tmp_path, capsys):
    goal = Goal("one", "ratio", "ours", "peer", at_least=1e6)
    monkeypatch.setattr(
        "dronetrack.bench.command.workloads", lambda: {"good": replace(napping("good", []), goals=(goal,))}
    )
    assert main(["bench", "--json", "-o", str(tmp_path), "--quick"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["wrong"] == []
    assert [(one["workload"], one["goal"], one["verdict"]) for one in told["goals"]] == [
        ("good", "≥ 1,000,000x", "missed")
    ]
    assert {file.rsplit("/", 1)[1] for file in told["files"]} == {
        "run.json", "report.html", "RESULTS.md", "history.jsonl",
    }  # fmt: skip


def count():
    return sum(one for one in range(300_000))


def spent_in_a_kernel():
    problem = draw_drives(1, 20_000, np.random.default_rng(3))

    def work():
        return filter_sequence(
            MOTION, problem.mean[0], problem.cov[0], 0, time_us=problem.time_us, position=problem.z[0],
            position_cov=problem.R,
        )  # fmt: skip

    work()
    return work


def spent_in_the_system():
    nowhere = os.open(os.devnull, os.O_WRONLY)
    return lambda: [os.write(nowhere, b"x") for _ in range(100_000)]


@pytest.mark.parametrize(
    ("make", "waits", "limit"),
    [
        (lambda: count, False, "Python"),
        (lambda: lambda: time.sleep(0.02), True, "waiting"),
        (spent_in_a_kernel, False, "arithmetic"),
    ],
)
def test_profile_finds_the_limit(make, waits, limit):
    found = profile(make(), waits=waits)
    assert found["limit"] == limit
    assert found["top"][0]["share"] > 0.5
    assert sum(found[f"{part}_share"] for part in ("kernel", "python", "system")) == pytest.approx(1.0, abs=0.02)


def test_profile_names_kernels_and_leaves_them_as_they_were():
    from dronetrack.kernels import sequence

    before = sequence.sequence6_rows
    found = profile(spent_in_a_kernel())
    assert found["kernels"]["sequence6_rows"]["share"] > 0.5
    assert any(one["where"] == "kernel sequence6_rows" for one in found["top"])
    assert sequence.sequence6_rows is before


def test_what_waits_is_not_among_the_busiest():
    def work():
        time.sleep(0.3)
        return sorted(range(300_000), key=str)

    top = busiest(work)
    assert top[0]["share"] > 0.9
    assert all(one["share"] < 0.5 for one in top if "sleep" in one["where"])


def test_profile_counts_system_calls():
    assert profile(spent_in_the_system())["system_share"] > 0.2


def test_what_misses_its_goal_is_profiled_and_nothing_else():
    jobs = {"ours": Job(count, 1.0, "ours"), "peer": sleeper(0.01)}
    goals = (Goal("one", "ratio", "ours", "peer", at_least=100.0), Goal("one", "seconds", "ours", at_most=10.0))
    case = run([small([Case("one", jobs)], goals=goals)], quick=True)["workloads"][0]["cases"][0]
    assert case["profiles"].keys() == {"ours"}
    good = run([small([Case("one", jobs)], goals=goals[1:])], quick=True)["workloads"][0]["cases"][0]
    assert good["profiles"] == {}


def test_figure_that_misses_its_goal_is_explained_by_its_cause():
    cause = {"words": "Ten of twelve seconds are spent in one function."}
    case = Case("one", figures={"cold_s": 12.0}, causes={"cold_s": lambda: cause})
    goals = (Goal("one", "figure", "cold_s", at_most=10.0),)
    assert run([small([case], goals=goals)])["workloads"][0]["goals"][0]["reason"] == cause["words"]


@pytest.mark.parametrize(("unsteady_s", "rounds"), [(0.0, 5), (0.3, 50)])
def test_rounds_end_when_they_tell_nothing_new(monkeypatch, unsteady_s, rounds):
    chance, now = np.random.default_rng(1), [0.0]

    def clock():
        now[0] += 1.0 + unsteady_s * chance.random()
        return now[0]

    monkeypatch.setattr("dronetrack.bench.racing.time", types.SimpleNamespace(perf_counter=clock, process_time=clock))
    result = race(Case("one", {"ours": Job(lambda: None, 1.0, "ours")}), 50)
    assert len(result.wall_s["ours"]) == rounds


def test_pages_come_from_the_document_alone():
    document = run([small([Case("one", {"ours": sleeper(0.005, "ours"), "peer": sleeper(0.005)})])], quick=True)
    assert markdown_page(json.loads(json.dumps(document))) == markdown_page(document)


def test_only_a_gross_loss_counts():
    assert losses({"a": 34.0, "b": 33.0}, {"a": 100.0, "b": 100.0}).keys() == {"b"}


def guarded(monkeypatch, naps):
    """What the guard says where a job of ours takes one nap after the other, and once took as long as the peer."""
    rest = iter(naps)

    def cases(_setting):
        nap = next(rest)
        yield Case("one", {"ours": Job(lambda: time.sleep(nap), 1.0, "ours", clock="wall"), "peer": sleeper(0.01)})

    workload = Workload("small", "How small?", "things/s", cases)
    baseline = {"workloads": ["small"], "peers": [], "ratios": {"small / one / ours / peer": 1.0}}
    monkeypatch.setattr("dronetrack.bench.guard.read_baseline", lambda: baseline)
    monkeypatch.setattr("dronetrack.bench.guard.workloads", lambda: {"small": workload})
    code = main(["bench", "--guard"])
    return code, len(list(rest))


def test_guard_fails_on_a_gross_loss_that_it_sees_twice(monkeypatch, capsys):
    assert guarded(monkeypatch, [0.06, 0.06]) == (1, 0)
    assert "small / one / ours / peer" in capsys.readouterr().out


def test_guard_looks_again_before_it_fails(monkeypatch):
    assert guarded(monkeypatch, [0.06, 0.005]) == (0, 0)


def test_guard_passes_what_is_no_gross_loss(monkeypatch):
    assert guarded(monkeypatch, [0.015, 0.015]) == (0, 1)


def test_baseline_is_renewed_with_the_ratios_of_today(monkeypatch, tmp_path):
    jobs = {"ours": sleeper(0.002, "ours"), "peer": sleeper(0.02), "limit: nap": sleeper(0.01, "limit")}
    baseline = {"workloads": ["small"], "peers": [], "ratios": {"small / one / ours / peer": 1.0}}
    monkeypatch.setattr("dronetrack.bench.guard.read_baseline", lambda: baseline)
    monkeypatch.setattr("dronetrack.bench.guard.workloads", lambda: {"small": small([Case("one", jobs)])})
    path, changes = renew_baseline(lambda _: None, path=tmp_path / "baseline.json")
    written = json.loads(path.read_text())
    assert written["workloads"] == ["small"]
    assert written["ratios"].keys() == {"small / one / ours / peer"}
    assert changes == {"small / one / ours / peer": (1.0, written["ratios"]["small / one / ours / peer"])}
    assert written["ratios"]["small / one / ours / peer"] > 1.5


def test_baseline_names_what_is_there():
    baseline = read_baseline()
    assert set(baseline["workloads"]) <= set(workloads())
    assert set(baseline["peers"]) <= set(adapters.DISTRIBUTIONS)
    assert all(value > 0.0 for value in baseline["ratios"].values())


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="no workload bnak; there are"):
        wanted_workloads(["bnak"])
    with pytest.raises(InputError, match="no peer stone; there are"):
        wanted_peers("filterpy,stone")


@pytest.mark.parametrize("name", sorted(workloads()))
def test_workload_is_named_as_its_file_and_its_goals_are_measurable(name):
    workload = workloads()[name]
    assert workload.name == name
    assert workload.question.endswith("?")
    assert set(workload.peers) <= set(adapters.DISTRIBUTIONS)
    for goal in workload.goals:
        assert (goal.at_least, goal.at_most) != (-math.inf, math.inf)
        assert bool(goal.against) == (goal.measure in ("ratio", "share"))
        assert goal_words({**judge(goal, {"cases": [], "skipped": {}, "unit": "things/s"})})[1]


def test_goal_with_two_bounds_reads_as_a_range():
    goal = Goal("one", "figure", "in_ellipse_95_share", at_least=0.93, at_most=0.97)
    case = Case("one", figures={"in_ellipse_95_share": 0.952})
    judged = run([small([case], goals=(goal,))])["workloads"][0]["goals"][0]
    assert goal_words(judged) == ("one: in ellipse 95 share", "93.0 % to 97.0 %", "95.2 %")


def test_setting_gives_the_same_chance_each_time():
    setting = Setting(seed=5)
    assert setting.rng().normal() == setting.rng().normal()


def test_drives_move_as_their_model_says():
    drives = draw_drives(4000, 3, np.random.default_rng(1))
    step = drives.truth[:, 2] - drives.truth[:, 1] @ drives.F.T
    assert np.cov(step.T) == pytest.approx(drives.Q, abs=0.05 * drives.Q.max())
    assert isinstance(filterpy, types.ModuleType)


def test_what_works_is_timed_by_its_processor_time_and_what_waits_by_the_wall():
    def work():
        return sum(range(200_000))

    def both():
        work()
        time.sleep(0.02)

    jobs = {"works": Job(both, 1.0, "ours"), "waits": Job(both, 1.0, "ours", clock="wall")}
    jobs |= {"works too": Job(work, 1.0, "limit")}
    case = run([small([Case("one", jobs)])], quick=True)["workloads"][0]["cases"][0]
    assert ratio(case, "works", "works too") == pytest.approx(1.0, rel=0.5)
    assert ratio(case, "waits", "works too") < 0.6
    assert min(times_s(case["jobs"]["waits"])) > 0.02 > max(times_s(case["jobs"]["works"]))
