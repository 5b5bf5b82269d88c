"""The exercise from Budapest over the border, in its five variants; every one is the example of the same name."""

import sys

import numpy as np
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))
import over_the_border as exercise

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def run():
    done = {}

    def once(variant):
        if variant not in done:
            done[variant] = exercise.exercise(variant)
        return done[variant]

    return once


def way(following):
    """States of custody, one after another."""
    return [event.kind[9:] for event in following.operation.events if event.kind.startswith("handover_")]


def when(following, kind):
    return next(event for event in following.operation.events if event.kind == kind)


def duties(following):
    return {duty.kind: (duty.open, duty.missed) for duty in following.operation.duties}


def test_an_authorised_crossing_ends_with_the_host(run):
    following = run("ordinary")
    assert way(following) == ["approaching", "joint", "offered", "accepted", "host"]
    assert following.operation.holder == "RO"
    assert when(following, "handover_joint").article == "40(1)"
    assert duties(following) == {"report": (False, False)}
    ends_us = when(following, "handover_host").time_us
    (refused,) = following.operation.refusals
    assert (refused.sensor, refused.rows > 30, refused.first_us >= ends_us) == ("HU-D2 camera", True, True)


def test_an_urgent_crossing_owes_notice_and_request_and_an_authorisation_takes_its_clock_off(run):
    following = run("urgent")
    joint, changed = when(following, "handover_joint"), when(following, "deadline_changed")
    assert joint.article == "40(2)"
    assert joint.facts["until_us"] == joint.facts["crossed_early_us"] + 5 * HOUR_US
    assert changed.article == "40(1)"
    assert way(following)[-1] == "host"
    assert duties(following) == {"notice": (False, False), "request": (False, False), "report": (False, False)}


def test_after_five_hours_without_an_answer_it_is_over(run):
    following = run("expiry")
    assert way(following) == ["approaching", "joint", "expired"]
    expired = when(following, "handover_expired")
    assert expired.time_us == when(following, "handover_joint").facts["crossed_early_us"] + 5 * HOUR_US
    (refused,) = following.operation.refusals
    assert refused.first_us - expired.time_us <= 60_000_000
    assert following.operation.holder == ""
    assert duties(following)["report"] == (True, False)
    assert not following.operation.may("HU", "read", refused.last_us).allowed
    assert following.operation.may("HU", "read", expired.time_us - 1).allowed


def test_a_refused_request_ends_it_at_once_and_the_host_goes_on_by_itself(run):
    following = run("refused")
    assert way(following) == ["approaching", "joint", "refused", "host"]
    refused = when(following, "handover_refused")
    assert refused.facts["from"] == "joint"
    assert (following.operation.refusals[0].sensor, following.operation.refusals[0].first_us > refused.time_us) == (
        "HU-D2 camera",
        True,
    )
    assert when(following, "act_refused").cause == "offer"
    # Romania's camera speaks every two seconds and may miss a row or two; the track outlives that.
    assert when(following, "handover_host").time_us - refused.time_us < 10_000_000


def test_a_target_that_comes_back_is_at_home_again(run):
    following = run("back")
    assert way(following) == ["approaching", "joint", "home", "approaching"]
    assert following.operation.holder == "HU"
    assert following.operation.until_us is None
    assert duties(following) == {"report": (False, False)}


def test_the_crossing_that_started_the_clock_is_true(run):
    joint = when(run("ordinary"), "handover_joint").facts
    truth = exercise.simulate(exercise.plan(), rng=np.random.default_rng(1))[0].truth
    crossed_us = run("ordinary").operation.border.crossings(truth).time_us[0]
    assert joint["crossed_early_us"] <= crossed_us <= joint["crossed_late_us"]


def test_the_example_tells_its_story(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["over_the_border.py", "back"])
    exercise.main()
    told = capsys.readouterr().out
    assert "handover_joint" in told
    assert "custody 'approaching', held by HU" in told
