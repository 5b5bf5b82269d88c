"""Custody: the table of its states, what moves it, who may see what, and what the mission file says of it."""

import itertools
import json

import numpy as np
import pytest
from custody import (
    ARMS,
    BOTH,
    HOUR_S,
    LINE,
    RO_CAMERA,
    Drive,
    abroad,
    drive_rows,
    kinds,
    leave,
    ordinary,
    positions,
    row,
    sight,
    urgent,
    us,
)

from dronetrack.errors import FormatError, InputError, NotAuthorisedError, OrderError
from dronetrack.handover import (
    ACTS,
    STATES,
    TRANSITIONS,
    Area,
    Decision,
    Following,
    Mandate,
    Operation,
    replay,
    transition,
)
from dronetrack.handover.custody import BEFORE, HOLDER, History
from dronetrack.handover.rules import RULE_NAMES
from dronetrack.journal import Journal, read_journal
from dronetrack.measurements import HEIGHT, TICK, Sensor, measurements_of, merge
from dronetrack.tracker import Tracker
from dronetrack.tracks import COASTING


class TestTable:
    def test_every_state_is_reached_and_every_rule_is_in_the_vocabulary(self):
        assert {one.target for one in TRANSITIONS} == {*STATES, BEFORE}
        assert {rule for one in TRANSITIONS for rule in one.rules} <= set(RULE_NAMES)
        assert {one.by for one in TRANSITIONS} == {"home", "host"}

    def test_a_cause_leads_from_a_state_to_one_state(self):
        pairs = [(source, one.cause) for one in TRANSITIONS for source in one.sources]
        assert len(set(pairs)) == len(pairs)

    def test_who_acts_in_the_table_is_who_may_act(self):
        for one in TRANSITIONS:
            if one.cause in ACTS:
                assert ACTS[one.cause].by == one.by

    def test_the_host_holds_nothing_that_it_has_not_accepted(self):
        for one in TRANSITIONS:
            if HOLDER.get(one.target) == "host" and all(HOLDER.get(source) == "home" for source in one.sources):
                assert one.by == "host"

    def test_the_ordinary_way_is_the_chain_of_the_exercise(self):
        state, way = "home", []
        for cause in ("approached", "crossed_authorised", "offer", "accept", "host_follows"):
            line = transition(state, cause)
            assert line is not None
            state = line.target
            way.append(state)
        assert way == ["approaching", "joint", "offered", "accepted", "host"]


class TestHistory:
    def test_a_value_holds_from_its_time_until_the_next(self):
        history = History("a")
        history.put(10, "b")
        history.put(20, "c")
        assert [history.at(time_us) for time_us in (-5, 9, 10, 19, 20, 99)] == ["a", "a", "b", "b", "c", "c"]
        assert [history.values[k] for k in history.index(np.array([9, 10, 25]))] == ["a", "b", "c"]

    def test_the_past_is_not_changed(self):
        history = History("a")
        history.put(10, "b")
        with pytest.raises(OrderError):
            history.put(9, "c")


class TestCustody:
    def test_each_change_says_cause_time_authority_and_article(self):
        operation = abroad(ordinary(leave()))
        operation.act("offer", us(130.0), "HU")
        operation.act("accept", us(140.0), "RO")
        operation.update(row(141.0, 820.0), heard=["RO"])
        moves = [event for event in operation.events if event.kind.startswith("handover_")]
        told = [(event.kind[9:], event.authority, event.cause, event.article) for event in moves]
        assert told == [
            ("approaching", "HU", "approached", "national law"),
            ("joint", "HU", "crossed_authorised", "40(1)"),
            ("offered", "HU", "offer", "40(1)"),
            ("accepted", "RO", "accept", "40(1)"),
            ("host", "RO", "host_follows", "40(1)"),
        ]
        assert [event.time_us for event in moves[2:]] == [us(130.0), us(140.0), us(141.0)]
        assert operation.holder_at(np.array([us(0.0), us(135.0), us(140.0), us(150.0)])) == ["HU", "HU", "RO", "RO"]

    def test_home_helps_until_the_host_has_it(self):
        operation = abroad(ordinary(leave()))
        operation.act("entrust", us(130.0), "RO")
        assert operation.permitted(sight([131.0])).all()
        operation.update(row(132.0, 640.0), heard=["HU"])
        assert operation.custody == "accepted"
        operation.update(row(133.0, 660.0), heard=["HU", "RO"])
        assert operation.custody == "host"
        assert not operation.permitted(sight([134.0])).any()
        assert operation.permitted(sight([134.0], RO_CAMERA, 100.0)).all()

    def test_the_host_goes_on_alone_where_home_had_to_stop(self):
        operation = abroad(urgent())
        operation.act("stop", us(130.0), "RO")
        assert operation.holder == ""
        operation.update(row(131.0, 620.0), heard=["RO"])
        assert (operation.custody, operation.holder) == ("host", "RO")

    def test_a_target_that_crosses_back_is_at_home_again_and_the_report_is_owed(self):
        operation = ordinary(leave())
        drive = Drive(operation)
        drive.until(120)
        drive.turn()
        drive.until(180)
        assert operation.holder == "HU"
        assert operation.may("HU", "contribute").record == "national law of HU"
        assert [duty.kind for duty in operation.duties] == ["report"]
        drive.turn()
        assert drive.until(240).custody == "joint"

    def test_one_that_is_found_abroad_has_crossed_as_far_as_anybody_knows(self):
        operation = ordinary()
        operation.update(row(0.0, 3000.0))
        assert operation.custody == "refused"
        operation = urgent()
        operation.update(row(0.0, 3000.0))
        assert operation.until_us == us(5 * HOUR_S)

    def test_one_that_nobody_sees_is_lost_and_keeps_its_custody(self):
        operation = abroad(ordinary(leave()))
        assert operation.update(row(200.0, 2000.0, status=COASTING)).kind == ()
        assert kinds(operation.update(row(241.0, 2800.0, status=COASTING))) == ["handover_lost"]
        assert operation.holder == "HU"
        assert kinds(operation.update(row(250.0, 3000.0))) == ["handover_joint"]

    def test_a_permission_ends_also_while_the_target_is_lost(self):
        operation = abroad(urgent())
        assert kinds(operation.advance(us(241.0))) == ["handover_lost"]
        operation.advance(us(5.1 * HOUR_S))
        assert operation.custody == "expired"

    def test_a_target_at_the_approach_distance_does_not_flicker(self):
        operation = ordinary()
        rng = np.random.default_rng(3)
        for second in range(60):
            operation.update(row(second, -5000.0 + rng.normal(0.0, 200.0)))
        assert len(operation.events) == 1

    def test_decisions_come_in_time_order(self):
        operation = abroad(ordinary(leave()))
        operation.act("offer", us(130.0), "HU")
        with pytest.raises(OrderError, match=r"5\.000 s after this decision"):
            operation.act("withdraw", us(125.0), "HU")

    def test_an_act_that_nobody_knows_is_an_error(self):
        with pytest.raises(InputError, match="nobody knows the act 'wave'"):
            ordinary().act("wave", us(0.0), "HU")

    def test_a_border_between_others_is_refused(self):
        with pytest.raises(InputError, match="the border lies between"):
            Operation(Mandate("RO", "HU", BOTH), LINE)


class TestContributions:
    def test_a_third_authority_needs_an_authorisation_on_the_side_of_who_gave_it(self):
        camera = Sensor("EU-D1 camera", "EU")
        operation = ordinary(leave(), leave(50.0, 90.0, issuer="HU", recipient="EU"))
        drive = Drive(operation)
        drive.until(60)
        assert operation.permitted(sight([45.0, 60.0, 90.0], camera)).tolist() == [False, True, False]
        operation = ordinary(leave(), leave(issuer="HU", recipient="EU"))
        assert not abroad(operation).permitted(sight([121.0], camera)).any()

    def test_a_sensor_that_nobody_answers_for_is_refused(self):
        operation = ordinary()
        assert not operation.permitted(sight([1.0], Sensor("stray"))).any()
        assert operation.refusals[0].verdict.rule == "authority"

    def test_the_ground_goes_with_the_sightings_of_its_moment(self):
        operation = abroad(urgent())
        operation.act("stop", us(130.0), "RO")
        times = [us(129.0), us(131.0)]
        ground = measurements_of(times, HEIGHT, np.ones((2, 3)), np.tile(np.eye(3), (2, 1, 1)), Sensor("terrain"))
        both = merge(sight([129.0, 131.0]), ground)
        assert operation.permitted(both).tolist() == [True, True, False, False]

    def test_a_tick_says_nothing_and_passes(self):
        tick = measurements_of([us(0.0)], TICK, np.ones((1, 3)), np.eye(3)[None], Sensor("clock"))
        assert ordinary().permitted(tick).all()

    def test_before_there_is_a_track_a_row_is_judged_by_its_own_place(self):
        operation = ordinary()
        radar = Sensor("RO radar", "RO")
        assert operation.permitted(positions([0.0, 1.0], radar, [-100.0, 100.0])).tolist() == [False, True]

    def test_nothing_in_gives_nothing_out(self):
        operation = abroad(ordinary(leave()))
        assert len(operation.permit(sight([]))) == 0
        assert len(operation.update(row(130.0, 600.0).take(slice(0, 0)))) == 0


class TestViews:
    def track(self):
        rows = [row(second, 20.0 * (second - 100.0)) for second in range(90, 160)]
        columns = ("time_us", "status", "state", "cov", "nis", "n_sensors")
        whole = {name: np.concatenate([getattr(one, name) for one in rows]) for name in columns}
        return type(rows[0])(track_id=1, **whole)

    def test_homes_view_is_frozen_when_it_has_to_stop(self):
        operation = abroad(urgent())
        operation.act("stop", us(130.0), "RO")
        seen = operation.view(self.track(), "HU", "file 12/2026")
        assert seen.time_us[-1] == us(129.0)

    def test_the_host_sees_what_was_disclosed_to_it(self):
        operation = abroad(urgent())
        with pytest.raises(NotAuthorisedError, match="nothing was disclosed"):
            operation.view(self.track(), "RO", "request of HU")
        operation.act("notice", us(130.0), "HU")
        assert operation.view(self.track(), "RO", "request of HU").time_us[0] == us(130.0)

    def test_an_authorisation_discloses_the_approach_as_long_as_it_holds(self):
        operation = Drive(ordinary(leave(stop_s=80.0))).until(60)
        assert operation.may("RO", "read", us(60.0)).record.startswith("authorisation of RO for HU")
        assert not operation.may("RO", "read", us(80.0)).allowed
        operation = Drive(ordinary(leave())).until(60)
        operation.act("revoke", us(61.0), "RO")
        assert not operation.may("RO", "read", us(62.0)).allowed

    def test_each_look_is_recorded_with_its_purpose_also_the_refused(self):
        operation = abroad(ordinary(leave()))
        operation.view(self.track(), "HU", "file 12/2026")
        with pytest.raises(NotAuthorisedError):
            operation.view(self.track(), "EU", "curiosity")
        looks = [event for event in operation.events if event.kind == "consulted"]
        assert [(one.authority, one.facts["purpose"], one.facts["rows"]) for one in looks] == [
            ("HU", "file 12/2026", 70),
            ("EU", "curiosity", 0),
        ]
        with pytest.raises(InputError, match="purpose"):
            operation.view(self.track(), "HU", " ")


class TestZones:
    def test_areas_may_overlap_have_holes_and_be_collections(self):
        def square(west, east):
            return [[west, 45.0], [east, 45.0], [east, 46.0], [west, 46.0], [west, 45.0]]

        hole = [[20.4, 45.4], [20.6, 45.4], [20.6, 45.6], [20.4, 45.6], [20.4, 45.4]]
        first = {"type": "Polygon", "coordinates": [square(20.0, 21.0), hole]}
        second = {"type": "MultiPolygon", "coordinates": [[square(20.8, 22.0)]]}
        features = [{"type": "Feature", "properties": {}, "geometry": one} for one in (first, second)]
        area = Area(json.dumps({"type": "FeatureCollection", "features": features}))
        lat, lon = np.array([45.5, 45.5, 45.5, 45.5, np.nan]), np.array([20.1, 20.5, 20.9, 23.0, 20.1])
        assert area.contains(lat, lon).tolist() == [True, False, True, False, False]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("{", "no GeoJSON"),
            ('{"type": "LineString", "coordinates": [[20, 45], [21, 45]]}', "needs polygons; got LineString"),
            ('{"type": "GeometryCollection", "geometries": []}', "needs polygons; got nothing"),
            ('{"type": "Polygon", "coordinates": [[[0, 99], [1, 99], [1, 98], [0, 99]]]}', "no longitude and latitude"),
        ],
    )
    def test_what_is_no_area_is_refused(self, text, words):
        with pytest.raises(FormatError, match=words):
            Area(text)


class TestFollowing:
    DECISIONS = (
        Decision(us(115.0), "arrest", "HU"),
        Decision(us(120.0), "offer", "HU"),
        Decision(us(125.0), "accept", "RO"),
        Decision(us(160.0), "report", "HU", {"note": "done"}),
    )

    def run(self, rows, journal=None, cuts=(), decisions=DECISIONS):
        following = Following(ordinary(leave()), Tracker(), journal=journal, decisions=decisions)
        edges = [0, *cuts, len(rows)]
        steps = [following.update(rows.take(np.arange(start, stop))) for start, stop in itertools.pairwise(edges)]
        parts = [part for step in steps for part in step.track] + following.finish()
        return following, parts, np.concatenate([step.permitted for step in steps])

    @staticmethod
    def bits(parts):
        return [b"".join(getattr(part, name).tobytes() for part in parts) for name in ("time_us", "state", "cov")]

    def test_the_host_goes_on_without_a_gap_and_home_ends(self):
        rows = drive_rows()
        following, parts, permitted = self.run(rows)
        home = rows.sensor_id == 0
        ends_us = next(event.time_us for event in following.operation.events if event.kind == "handover_host")
        assert us(125.0) < ends_us < us(127.1)
        assert (permitted[home] == (rows.time_us[home] <= ends_us)).all()
        times = np.concatenate([part.time_us for part in parts])
        assert np.diff(times).max() <= 200_000
        assert {part.track_id for part in parts} == {1}

    def test_what_is_not_permitted_is_recorded_as_refused(self):
        following, _, _ = self.run(drive_rows())
        refused = [event for event in following.operation.events if event.kind == "act_refused"]
        assert [(event.cause, event.article) for event in refused] == [("arrest", "40(3)(f)")]
        with pytest.raises(NotAuthorisedError):
            following.decide(Decision(us(300.0), "offer", "HU"))

    def test_any_split_gives_the_same_bits_and_events(self):
        rows = drive_rows()
        whole, parts, permitted = self.run(rows)
        rng = np.random.default_rng(5)
        for count in (3, 200):
            cuts = np.unique(rng.integers(1, len(rows), count)).tolist()
            again, again_parts, again_permitted = self.run(rows, cuts=cuts)
            assert self.bits(again_parts) == self.bits(parts)
            assert list(again.operation.events) == list(whole.operation.events)
            assert (again_permitted == permitted).all()

    def test_a_replay_of_the_journal_gives_the_same_bits_and_events(self, tmp_path):
        rows = drive_rows()
        with Journal.create(tmp_path / "run.journal", purpose="test", authority="HU", sync="never") as journal:
            following, parts, permitted = self.run(rows, journal)
            following.pass_time(us(2 * 86_400.0))
            journal.commit()
        records = list(read_journal(tmp_path / "run.journal", role="auditor", who="a", purpose="replay", time_us=0))
        again = replay(records, border=LINE)
        assert self.bits(again.track) == self.bits(parts)
        assert again.agrees
        assert list(again.events) == list(following.operation.events)
        kept = sum(len(record.measurements()) for record in records if record.kind == "measurements")
        refused = sum(one["rows"] for record in records if record.kind == "refused" for one in record.facts["refused"])
        assert (kept, refused) == (permitted.sum(), np.sum(~permitted))

    def test_a_journal_that_was_made_with_another_line_is_not_replayed(self, tmp_path):
        with Journal.create(tmp_path / "run.journal", purpose="test", authority="HU", sync="never") as journal:
            self.run(drive_rows(), journal)
        records = list(read_journal(tmp_path / "run.journal", role="auditor", who="a", purpose="replay", time_us=0))
        with pytest.raises(FormatError, match="another border line"):
            replay(records)
        assert replay(records, border=LINE).agrees
        with pytest.raises(FormatError, match="no operation"):
            replay([])

    def test_a_decision_at_an_instant_ends_contributions_at_that_instant(self):
        rows = drive_rows()
        decisions = (Decision(us(123.4), "stop", "RO"),)
        following, _, permitted = self.run(rows, decisions=decisions)
        home = rows.sensor_id == 0
        assert (permitted[home] == (rows.time_us[home] <= us(123.4))).all()
        assert following.operation.holder == "RO"


class TestMissionFile:
    HEAD = (
        '[mission]\nname = "m"\nborder = ["HU", "RO"]\n[[drone]]\nid = "D"\nauthority = "HU"\nlog = "d.tlog"\n'
        "[operation]\n"
    )
    GIVEN = (
        '[[authorisation]]\nissuer = "RO"\nrecipient = "HU"\nissued = 2026-11-20T09:00:00Z\n'
        "valid_until = 2026-11-24T00:00:00+01:00\n"
    )
    OFFER = '[[act]]\ntime = 2026-11-23T21:00:00Z\nkind = "offer"\nby = "HU"\n'

    @pytest.fixture
    def read(self, tmp_path):
        from dronetrack.mission import read_mission

        def mission(text):
            (tmp_path / "d.tlog").write_bytes(b"x")
            (tmp_path / "area.geojson").write_text('{"type": "Point", "coordinates": [21, 46]}')
            (tmp_path / "mission.toml").write_text(text)
            return read_mission(tmp_path / "mission.toml")

        return mission

    def test_everything_may_be_said_and_comes_back_from_json(self, read):
        text = (
            self.HEAD + f'basis = "urgent"\noffence = "{ARMS}"\npurpose = "p"\nlook_s = 2\n' + self.GIVEN + self.OFFER
        )
        text += '[agreement]\nreference = "treaty"\nurgent = { limit_s = 36000 }\n'
        text += '[[zone]]\nauthority = "RO"\ndepth_m = 500\n'
        mission = read(text)
        mandate = mission.mandate
        assert mandate.authorisations[0].valid_until_us == 1_795_474_800_000_000
        assert mandate.rules["urgent"].limit_s == 36_000
        assert mission.decisions == (Decision(1_795_467_600_000_000, "offer", "HU", {}),)
        again = Mandate.from_plain(json.loads(json.dumps(mandate.to_plain())))
        assert again.to_plain() == mandate.to_plain()

    def test_a_mission_without_operation_is_none(self, read):
        mission = read(self.HEAD.replace("[operation]\n", ""))
        assert mission.mandate is None
        with pytest.raises(FormatError, match=r"line 8.*belongs to an operation"):
            read(self.HEAD.replace("[operation]\n", "") + self.GIVEN)

    @pytest.mark.parametrize(
        ("more", "line", "words"),
        [
            ('bases = "urgent"\n', 9, "unknown key 'bases' in [operation]; did you mean 'basis'?"),
            ('basis = "urgnt"\n', 9, "did you mean 'urgent'?"),
            ('rules = "schengen"\n', 0, "no rule set 'schengen'"),
            ('home = "RO"\nhost = "HU"\n', 9, "home is 'RO' of RO; the border says HU"),
            ('host = "XX"\n', 9, "host must be an authority, one of HU, RO"),
            ("lost_s = 0\n", 9, "lost_s must be a number of seconds"),
            (GIVEN.replace("RO", "SK"), 10, "issuer must be an authority"),
            (GIVEN.replace("+01:00", ""), 13, "a date-time with offset"),
            (GIVEN.replace("11-24", "11-19"), 13, "ends before it begins"),
            (GIVEN.replace("issued", "issue"), 12, "unknown key 'issue'"),
            (OFFER.replace("offer", "ofer"), 11, "'ofer' is not known; did you mean 'offer'?"),
            (OFFER + OFFER.replace("21:00", "20:00"), 14, "stand in time order"),
            (OFFER + "depth_m = 3\n", 13, "belongs to an act of kind 'authorise'"),
            (OFFER.replace("offer", "authorise"), 9, "[[act]] has no 'valid_until'"),
            ('[[zone]]\nauthority = "HU"\nside = "left"\n', 11, "'left' is not known"),
            ('[[zone]]\nauthority = "HU"\narea = "no.geojson"\n', 11, "there is no file"),
            ('[[private]]\narea = "area.geojson"\n', 10, "an area needs polygons; got Point"),
            (
                '[agreement]\nreference = "t"\nurgent = { due_s = 3 }\n',
                11,
                "changes limit_s, offences of rule 'urgent'",
            ),
            ('[agreement]\nreference = "t"\nurgnt = { limit_s = 3 }\n', 11, "did you mean 'urgent'?"),
            ("[[agreement]]\n", 9, "agreement must be a table"),
            ("[authority]\n", 9, "authority must be a list of tables"),
            ('[[authority]]\nid = "HU"\ncountry = "SK"\n', 8, "home is 'HU' of SK"),
        ],
    )
    def test_a_fault_is_named_with_its_line(self, read, more, line, words):
        with pytest.raises(FormatError) as fault:
            read(self.HEAD + more)
        assert words in str(fault.value)
        assert (fault.value.offset or 0) == line

    def test_who_operates_a_drone_takes_part(self, read):
        with pytest.raises(FormatError, match=r"line 6: \[\[drone\]\] authority must be one of HU, RO; got 'SK'"):
            read(self.HEAD.replace('authority = "HU"', 'authority = "SK"'))

    def test_an_operation_needs_a_border(self, read):
        with pytest.raises(FormatError, match="an operation needs a border"):
            read(self.HEAD.replace('border = ["HU", "RO"]\n', ""))

    def test_an_urgent_case_of_no_listed_offence_is_not_opened(self, read):
        with pytest.raises(NotAuthorisedError, match="40"):
            read(self.HEAD + 'basis = "urgent"\noffence = "speeding"\n')

    def test_the_operation_alone_is_read_too(self, demo):
        operation = Operation.read(demo / "mission.toml")
        assert (operation.mandate.home, operation.mandate.host, operation.custody) == ("HU", "RO", "home")


class TestPackages:
    """Home's centre offers, the host's own centre goes on: two operations, two journals, one track."""

    def test_the_host_goes_on_from_a_package_without_a_jump(self, tmp_path):
        from dronetrack.handover import new_key

        key, rows = new_key(), drive_rows()
        before, after = rows.take(rows.time_us <= us(125.0)), rows.take(rows.time_us > us(125.0))
        home = Following(ordinary(leave()), Tracker())
        home.update(before)
        data = home.offer(key, time_us=us(125.0), serial=1, name="exercise")
        assert home.operation.custody == "offered"
        trusted = {"HU": key.public_key()}
        with Journal.create(tmp_path / "ro.journal", purpose="test", authority="RO", sync="never") as journal:
            host = Following.accept(
                data, ordinary(leave()), trusted=trusted, time_us=us(126.0), name="exercise", journal=journal
            )
            assert (host.operation.custody, host.operation.holder) == ("accepted", "RO")
            assert host.tracker.now().state.tobytes() == home.tracker.now().state.tobytes()
            assert host.tracker.now().track_id == home.tracker.now().track_id
            joint = next(event for event in host.operation.events if event.kind == "handover_joint")
            there = next(event for event in home.operation.events if event.kind == "handover_joint")
            assert joint.facts["crossed_early_us"] == there.facts["crossed_early_us"]
            romania = after.of("RO radar")
            parts = host.update(romania).track + host.finish()
            journal.commit()
        assert host.operation.custody == "host"
        times = np.concatenate([part.time_us for part in parts])
        assert times[0] - us(125.0) <= 1_000_000
        assert np.diff(times).max() <= 210_000
        records = list(read_journal(tmp_path / "ro.journal", role="auditor", who="a", purpose="replay", time_us=0))
        again = replay(records, border=LINE)
        assert again.agrees
        assert list(again.events) == list(host.operation.events)
        assert TestFollowing.bits(again.track) == TestFollowing.bits(parts)

    def test_nothing_is_offered_before_the_border_nor_accepted_without_a_basis(self):
        from dronetrack.handover import new_key

        key, rows = new_key(), drive_rows()
        home = Following(ordinary(leave()), Tracker())
        home.update(rows.take(rows.time_us <= us(90.0)))
        with pytest.raises(NotAuthorisedError, match="needs 'joint'"):
            home.offer(key, time_us=us(90.0), serial=1, name="exercise")
        home.update(rows.take((rows.time_us > us(90.0)) & (rows.time_us <= us(125.0))))
        data = home.offer(key, time_us=us(125.0), serial=1, name="exercise")
        trusted = {"HU": key.public_key()}
        with pytest.raises(NotAuthorisedError, match="may not offer"):
            Following.accept(data, ordinary(), trusted=trusted, time_us=us(126.0), name="exercise")
        with pytest.raises(NotAuthorisedError, match="stale"):
            Following.accept(data, ordinary(leave()), trusted=trusted, time_us=us(726.0), name="exercise")
