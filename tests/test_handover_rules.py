"""Rule sets are data: what they hold, how a wrong one is named, and every rule allowed, refused, and past its time."""

import re
import shutil

import pytest
from custody import (
    ARMS,
    BOTH,
    HOUR_S,
    HU_CAMERA,
    RO_CAMERA,
    Drive,
    abroad,
    kinds,
    leave,
    ordinary,
    sight,
    strip,
    urgent,
    us,
)

from dronetrack.errors import FormatError, InputError, NotAuthorisedError
from dronetrack.handover import Mandate, RuleSet, Zone, read_rules, rule_set_names
from dronetrack.handover.rules import RULE_NAMES


class TestRuleSets:
    def test_three_ship_and_two_may_be_used(self):
        assert rule_set_names() == ["bilateral-template", "pcc-see-14", "schengen-40"]
        read_rules("schengen-40").check_open("HU", "RO")
        read_rules("pcc-see-14").check_open("RO", "RS", confirmed_by="legal desk")
        with pytest.raises(NotAuthorisedError, match="is a template"):
            read_rules("bilateral-template").check_open("GE", "AM")

    def test_the_figures_of_article_40_are_those_of_the_convention(self):
        rules = read_rules("schengen-40")
        assert rules["urgent"].limit_s == 5 * HOUR_S
        assert len(rules["urgent"].offences) == 19  # Article 40(7) with Decision 2003/725/JHA
        articles = {name: rules[name].article for name in RULE_NAMES}
        assert articles["notice"] == "40(2)(a)"
        assert articles["report"] == "40(3)(g)"
        assert articles["private_places"] == "40(3)(e)"
        assert articles["no_arrest"] == "40(3)(f)"

    def test_at_once_is_law_and_its_seconds_are_policy(self):
        rules = read_rules("schengen-40")
        assert [name for name in RULE_NAMES if rules[name].policy] == ["notice", "request", "report"]
        assert not rules["urgent"].policy

    def test_figures_that_nobody_confirmed_open_nothing(self):
        with pytest.raises(NotAuthorisedError, match="not confirmed"):
            read_rules("pcc-see-14").check_open("RO", "RS")

    def test_a_country_that_is_no_party_needs_rules_of_its_own(self):
        with pytest.raises(NotAuthorisedError, match="GE is no party"):
            read_rules("schengen-40").check_open("GE", "RO")

    def test_the_template_becomes_a_treaty_by_being_filled_in(self, tmp_path):
        from importlib.resources import as_file, files

        with as_file(files("dronetrack") / "data" / "rules" / "bilateral-template.toml") as path:
            shutil.copy(path, tmp_path / "ge-am.toml")
        text = (tmp_path / "ge-am.toml").read_text()
        text = text.replace('"template"', '"confirmed"').replace("parties = []", 'parties = ["GE", "AM"]')
        (tmp_path / "ge-am.toml").write_text(text)
        rules = read_rules(tmp_path / "ge-am.toml")
        rules.check_open("AM", "GE")
        assert set(rules.rules) == set(RULE_NAMES)

    def test_a_set_survives_being_written_as_json(self):
        import json

        for name in rule_set_names():
            rules = read_rules(name)
            assert RuleSet.from_plain(json.loads(json.dumps(rules.to_plain()))) == rules

    @pytest.mark.parametrize(
        ("old", "new", "line", "words"),
        [
            ("due_s = 300", "due = 300", 10, "unknown key 'due' in [rule.notice]; did you mean 'due_s'?"),
            ("due_s = 300", "due_s = -1", 10, "due_s must be a number of seconds"),
            ("due_s = 300\n", "", 7, "[rule.notice] has no 'due_s'"),
            ("[rule.notice]", "[rule.notise]", 7, "unknown key 'notise'"),
            ('"40(2)(a)"', "40", 8, "article must be text"),
            ('status = "confirmed"', 'status = "maybe"', 4, "status must be"),
            ('title = "t"', 'titel = "t"', 2, "unknown key 'titel'; did you mean 'title'?"),
            ("parties = []", "parties = [1]", 5, "parties must be a list of texts"),
            ('source = "s"\n', "", 0, "no 'source'"),
            ("policy = true", "policy = 1", 11, "policy must be true or false"),
            ("policy = true", 'basis = ["rare"]', 11, "basis must be a list of"),
            ("[rule.own_territory]", "[rule.stop]", 0, "custody begins with it"),
        ],
    )
    def test_a_fault_is_named_with_its_line(self, tmp_path, old, new, line, words):
        text = (
            'name = "n"\ntitle = "t"\nsource = "s"\nstatus = "confirmed"\nparties = []\n\n'
            '[rule.notice]\narticle = "40(2)(a)"\ntext = "x"\ndue_s = 300\npolicy = true\n\n'
            '[rule.own_territory]\narticle = "law"\ntext = "x"\n'
        )
        (tmp_path / "r.toml").write_text(text)
        assert set(read_rules(tmp_path / "r.toml").rules) == {"notice", "own_territory"}
        (tmp_path / "r.toml").write_text(text.replace(old, new, 1))
        with pytest.raises(FormatError, match=re.escape(words)) as fault:
            read_rules(tmp_path / "r.toml")
        assert (fault.value.offset or 0) == line

    def test_a_set_that_is_not_there_is_named(self):
        with pytest.raises(FormatError, match="there are bilateral-template, pcc-see-14, schengen-40"):
            read_rules("schengen-41")


class TestOwnTerritory:
    def test_home_follows_at_home(self):
        operation = ordinary()
        Drive(operation).until(50)
        verdict = operation.may("HU", "contribute")
        assert verdict.allowed
        assert verdict.record == "national law of HU"

    def test_a_stranger_does_not(self):
        operation = ordinary()
        assert not operation.may("EU", "contribute").allowed
        assert not operation.may("who?", "contribute").allowed


class TestAuthorised:
    """40(1): in advance, on request."""

    def test_home_goes_on_with_an_authorisation(self):
        operation = abroad(ordinary(leave()))
        assert operation.custody == "joint"
        assert operation.may("HU", "contribute").article == "40(1)"
        assert operation.may("HU", "contribute").record.startswith("authorisation of RO for HU")

    def test_without_one_it_stops_at_the_border(self):
        operation = abroad(ordinary())
        assert operation.custody == "refused"
        assert operation.holder == ""
        assert not operation.may("HU", "contribute").allowed

    @pytest.mark.parametrize(
        "given", [leave(stop_s=50.0), leave(start_s=HOUR_S), leave(issuer="EU"), leave(recipient="EU")]
    )
    def test_one_of_another_time_or_authority_does_not_count(self, given):
        assert abroad(ordinary(given)).custody == "refused"

    def test_its_end_is_the_end(self):
        operation = abroad(ordinary(leave(stop_s=200.0)))
        assert operation.until_us == us(200.0)
        Drive(operation, crosses_s=100.0).now_s = 121.0
        assert kinds(operation.advance(us(199.999))) == []
        assert "handover_expired" in kinds(operation.advance(us(200.0)))
        assert not operation.may("HU", "contribute", us(200.0)).allowed
        assert operation.may("HU", "contribute", us(199.0)).allowed

    def test_rows_after_the_end_are_refused_even_before_anybody_looks(self):
        operation = abroad(ordinary(leave(stop_s=200.0)))
        assert operation.permitted(sight([190.0, 199.9, 200.0, 201.0])).tolist() == [True, True, False, False]

    def test_a_second_one_goes_on_where_the_first_ends(self):
        operation = abroad(ordinary(leave(stop_s=200.0), leave(start_s=150.0, stop_s=300.0)))
        assert kinds(operation.advance(us(210.0))) == ["deadline_changed"]
        assert operation.custody == "joint"
        assert operation.until_us == us(300.0)

    def test_what_is_revoked_permits_no_more(self):
        operation = abroad(ordinary(leave()))
        operation.act("revoke", us(130.0), "RO")
        assert operation.custody == "ceased"
        with pytest.raises(NotAuthorisedError, match="no authorisation in force"):
            abroad(urgent()).act("revoke", us(130.0), "RO")

    def test_one_that_is_revoked_before_the_border_permits_no_crossing(self):
        operation = ordinary(leave())
        drive = Drive(operation)
        drive.until(50)
        operation.act("revoke", us(51.0), "RO")
        assert drive.until(120).custody == "refused"


class TestConditions:
    """40(1): the host may attach them."""

    def test_what_lies_within_them_is_permitted(self):
        operation = abroad(ordinary(leave(depth_m=1000.0)))
        assert operation.permitted(sight([121.0])).all()

    def test_what_lies_beyond_is_refused_by_their_article(self):
        operation = Drive(ordinary(leave(depth_m=1000.0))).until(160)
        assert not operation.permitted(sight([161.0])).any()
        assert [(one.verdict.rule, one.verdict.article) for one in operation.refusals] == [("conditions", "40(1)")]

    def test_an_area_bounds_as_a_depth_does(self):
        area = strip(-50.0, 700.0)
        drive = Drive(ordinary(leave(area=area)))
        assert drive.until(120).permitted(sight([121.0])).all()
        assert not drive.until(140).permitted(sight([141.0])).any()


class TestEntrust:
    """40(1): on the host's request the surveillance is entrusted to it."""

    def test_the_host_may_ask_and_has_it(self):
        operation = abroad(ordinary(leave()))
        events = operation.act("entrust", us(130.0), "RO")
        assert kinds(events) == ["handover_accepted"]
        assert operation.holder == "RO"

    def test_an_offer_needs_an_answer(self):
        operation = abroad(ordinary(leave()))
        operation.act("offer", us(130.0), "HU")
        assert (operation.custody, operation.holder) == ("offered", "HU")
        operation.act("decline", us(135.0), "RO")
        operation.act("offer", us(140.0), "HU")
        operation.act("withdraw", us(141.0), "HU")
        operation.act("offer", us(142.0), "HU")
        operation.act("accept", us(145.0), "RO")
        assert (operation.custody, operation.holder) == ("accepted", "RO")

    @pytest.mark.parametrize(
        ("act", "by", "words"),
        [
            ("entrust", "HU", "that is for RO to do"),
            ("accept", "RO", "an accept needs 'offered'"),
            ("offer", "RO", "that is for HU to do"),
            ("offer", "EU", "that is for HU to do"),
        ],
    )
    def test_who_may_not_is_told_why(self, act, by, words):
        with pytest.raises(NotAuthorisedError, match=words):
            abroad(ordinary(leave())).act(act, us(130.0), by)

    def test_nothing_is_handed_over_before_the_border(self):
        operation = Drive(ordinary(leave())).until(50)
        with pytest.raises(NotAuthorisedError, match="custody is 'approaching'"):
            operation.act("offer", us(60.0), "HU")


class TestUrgent:
    """40(2): listed offences, five hours."""

    def test_home_goes_on_for_a_listed_offence(self):
        operation = abroad(urgent())
        assert operation.custody == "joint"
        assert operation.may("HU", "contribute").article == "40(2)"
        assert operation.may("HU", "contribute").record == f"urgent case: {ARMS}"

    @pytest.mark.parametrize("offence", ["", "speeding"])
    def test_another_offence_opens_nothing(self, offence):
        with pytest.raises(NotAuthorisedError, match="none of the offences of Article 40"):
            Mandate("HU", "RO", BOTH, basis="urgent", offence=offence)

    def test_five_hours_from_the_early_edge_of_the_crossing_it_expires(self):
        operation = abroad(urgent())
        crossed = next(one for one in operation.events if one.kind == "handover_joint")
        early_us = crossed.facts["crossed_early_us"]
        assert early_us < crossed.facts["crossed_us"] <= us(100.2)
        assert operation.until_us == early_us + 5 * 3600 * 1_000_000
        operation.advance(operation.until_us - 1)
        assert operation.custody in ("joint", "lost")
        events = operation.advance(early_us + 5 * 3600 * 1_000_000)
        assert kinds(events)[0] == "handover_expired"
        assert next(iter(events)).article == "40(2)"

    def test_an_authorisation_that_comes_in_time_takes_the_clock_off(self):
        operation = abroad(urgent())
        given = leave(start_s=HOUR_S, stop_s=9 * HOUR_S)
        events = operation.act("authorise", us(HOUR_S), "RO", authorisation=given.to_plain())
        assert "deadline_changed" in kinds(events)
        operation.advance(us(8 * HOUR_S))
        assert operation.may("HU", "contribute").article == "40(1)"
        operation.advance(us(9 * HOUR_S))
        assert operation.custody == "expired"

    def test_what_was_used_up_does_not_revive_by_crossing_again(self):
        operation = urgent()
        drive = Drive(operation)
        drive.until(120)
        operation.act("stop", us(121.0), "RO")
        drive.turn()
        drive.until(180)
        assert operation.custody in ("home", "approaching")
        drive.turn()
        drive.until(260)
        assert operation.custody == "refused"

    def test_the_hours_run_from_the_first_crossing(self):
        operation = urgent()
        drive = Drive(operation)
        drive.until(120)
        first = operation.until_us
        drive.turn()
        drive.until(180)
        drive.turn()
        assert drive.until(260).custody == "joint"
        assert operation.until_us == first


class TestNoticeAndRequest:
    """40(2)(a) and (b)."""

    @pytest.mark.parametrize(("kind", "article"), [("notice", "40(2)(a)"), ("request", "40(2)(b)")])
    def test_each_is_owed_from_the_crossing_and_done_by_its_act(self, kind, article):
        operation = abroad(urgent())
        duty = next(one for one in operation.duties if one.kind == kind)
        assert (duty.article, duty.owed_by, duty.owed_to, duty.policy) == (article, "HU", "RO", True)
        assert f"{kind}_done" in kinds(operation.act(kind, us(130.0), "HU"))
        assert duty.done_us == us(130.0)
        operation.advance(us(2 * HOUR_S))
        assert not duty.missed

    @pytest.mark.parametrize(("kind", "due_s"), [("notice", 300.0), ("request", 3600.0)])
    def test_each_is_missed_when_its_time_passes_and_may_still_be_done_late(self, kind, due_s):
        operation = abroad(urgent())
        duty = next(one for one in operation.duties if one.kind == kind)
        assert duty.due_us - duty.since_us == due_s * 1e6
        assert f"{kind}_missed" in kinds(operation.advance(duty.due_us))
        event = next(one for one in operation.act(kind, duty.due_us + 5_000_000, "HU") if one.kind == f"{kind}_done")
        assert event.facts["late_s"] == pytest.approx(5.0)

    def test_a_request_made_before_the_border_counts(self):
        operation = urgent()
        drive = Drive(operation)
        drive.until(50)
        operation.act("request", us(51.0), "HU")
        assert not next(one for one in drive.until(120).duties if one.kind == "request").open

    def test_there_is_no_notice_of_a_crossing_that_was_none(self):
        with pytest.raises(NotAuthorisedError, match="has not been crossed"):
            Drive(urgent()).until(50).act("notice", us(51.0), "HU")

    def test_an_authorised_crossing_owes_neither(self):
        assert [one.kind for one in abroad(ordinary(leave())).duties] == []


class TestStopAndInstructions:
    """40(2), and 40(3)(a) for an authorised one."""

    @pytest.mark.parametrize(("make", "article"), [(urgent, "40(2)"), (lambda: ordinary(leave()), "40(3)(a)")])
    def test_the_host_ends_it_at_once(self, make, article):
        operation = abroad(make())
        event = next(iter(operation.act("stop", us(130.0), "RO")))
        assert (event.kind, event.article, event.time_us) == ("handover_ceased", article, us(130.0))
        assert operation.permitted(sight([129.9, 130.0, 131.0])).tolist() == [True, False, False]

    def test_home_cannot_stop_itself_in_the_hosts_name(self):
        with pytest.raises(NotAuthorisedError, match="that is for RO"):
            abroad(urgent()).act("stop", us(130.0), "HU")

    def test_home_may_cease(self):
        operation = abroad(urgent())
        operation.act("cease", us(130.0), "HU")
        assert operation.custody == "ceased"

    def test_a_refused_request_ends_an_urgent_case(self):
        operation = abroad(urgent())
        operation.act("request", us(125.0), "HU")
        operation.act("refuse", us(130.0), "RO")
        assert operation.custody == "refused"

    def test_a_request_that_is_refused_before_the_border_leaves_no_urgent_case(self):
        operation = urgent()
        drive = Drive(operation)
        drive.until(50)
        operation.act("request", us(51.0), "HU")
        operation.act("refuse", us(55.0), "RO")
        assert drive.until(120).custody == "refused"

    def test_who_has_authorised_revokes_and_does_not_refuse(self):
        with pytest.raises(NotAuthorisedError, match="revoke"):
            abroad(ordinary(leave())).act("refuse", us(130.0), "RO")
        with pytest.raises(NotAuthorisedError, match="nothing was requested"):
            ordinary(leave()).act("refuse", us(1.0), "RO")


class TestProhibitions:
    """40(3)(e) and (f)."""

    @pytest.mark.parametrize(
        ("act", "article"),
        [("arrest", "40(3)(f)"), ("stop_and_question", "40(3)(f)"), ("enter_private_place", "40(3)(e)")],
    )
    def test_no_visitor_ever_does_it(self, act, article):
        operation = abroad(ordinary(leave()))
        with pytest.raises(NotAuthorisedError, match=re.escape(article)):
            operation.act(act, us(130.0), "HU")
        assert operation.custody == "joint"

    def test_nothing_is_seen_from_within_a_private_place(self):
        yard = strip(1000.0, 1100.0)
        operation = abroad(ordinary(leave(), private=(yard,)))
        assert operation.permitted(sight([121.0], site_m=900.0)).all()
        assert not operation.permitted(sight([122.0], site_m=1050.0)).any()
        assert not operation.permitted(sight([122.0], RO_CAMERA, site_m=1050.0)).any()
        assert {one.verdict.article for one in operation.refusals} == {"40(3)(e)"}


class TestReport:
    """40(3)(g)."""

    def test_it_is_owed_from_the_end_and_done_by_its_act(self):
        operation = abroad(urgent())
        operation.act("stop", us(130.0), "RO")
        duty = next(one for one in operation.duties if one.kind == "report")
        assert (duty.article, duty.since_us) == ("40(3)(g)", us(130.0))
        operation.act("report", us(200.0), "HU")
        assert not duty.open

    def test_there_is_none_before_the_end(self):
        with pytest.raises(NotAuthorisedError, match="nothing to report yet"):
            abroad(urgent()).act("report", us(130.0), "HU")

    def test_a_day_later_it_is_missed(self):
        operation = abroad(urgent())
        operation.act("stop", us(130.0), "RO")
        assert "report_missed" in kinds(operation.advance(us(130.0 + 86_400.0)))


class TestAgreement:
    """40(6): bilateral agreements may widen the scope."""

    def test_it_changes_figures_and_is_cited(self):
        rules = read_rules("schengen-40").amended("HU-RO treaty, Article 9", {"urgent": {"limit_s": 36_000}})
        operation = abroad(urgent(rules=rules))
        assert operation.may("HU", "contribute").article == "HU-RO treaty, Article 9 (with 40(2))"
        operation.advance(us(6 * HOUR_S))
        assert operation.custody == "lost"
        operation.advance(us(10.1 * HOUR_S))
        assert operation.custody == "expired"

    def test_it_may_name_more_offences(self):
        rules = read_rules("schengen-40").amended("treaty", {"urgent": {"offences": ["poaching"]}})
        Mandate("HU", "RO", BOTH, rules, basis="urgent", offence="poaching")

    @pytest.mark.parametrize(
        "figures",
        [{"urgnet": {"limit_s": 1}}, {"urgent": {"due_s": 1}}, {"urgent": {"limit_s": "long"}}, {"stop": {"acts": []}}],
    )
    def test_what_is_not_there_cannot_be_changed(self, figures):
        with pytest.raises(InputError):
            read_rules("schengen-40").amended("treaty", figures)

    def test_a_set_without_room_for_agreements_keeps_its_figures(self):
        with pytest.raises(NotAuthorisedError, match="no room"):
            read_rules("pcc-see-14").amended("treaty", {"urgent": {"limit_s": 1}})


def test_what_a_rule_set_does_not_hold_is_not_permitted(tmp_path):
    text = 'name = "n"\ntitle = "t"\nsource = "s"\nstatus = "confirmed"\nparties = []\n'
    text += '[rule.own_territory]\narticle = "law"\ntext = "x"\n'
    (tmp_path / "r.toml").write_text(text)
    rules = read_rules(tmp_path / "r.toml")
    with pytest.raises(NotAuthorisedError, match="no crossing without"):
        Mandate("HU", "RO", BOTH, rules, basis="urgent", offence=ARMS)
    operation = abroad(ordinary(rules=rules))
    assert operation.custody == "refused"
    for act, by in (("entrust", "RO"), ("request", "HU"), ("report", "HU")):
        with pytest.raises(NotAuthorisedError, match="does not provide for it"):
            operation.act(act, us(130.0), by)


def test_zones_bound_where_who_flies_and_looks():
    zones = (Zone("RO", ("observe",), depth_m=500.0), Zone("RO", ("fly",), "host"), Zone("HU", ("fly",), "home"))
    operation = ordinary(leave(), zones=zones)
    drive = Drive(operation)
    drive.until(50)  # 1000 m before the border
    assert not operation.permitted(sight([51.0], RO_CAMERA, 100.0)).any()
    drive.until(80)  # 400 m
    assert operation.permitted(sight([81.0], RO_CAMERA, 100.0)).all()
    assert not operation.permitted(sight([81.0], RO_CAMERA, -100.0)).any()
    drive.until(120)
    assert operation.permitted(sight([121.0], HU_CAMERA, -10.0)).all()
    assert not operation.permitted(sight([121.0], HU_CAMERA, 10.0)).any()
