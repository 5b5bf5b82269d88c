"""Reading: each role sees what is its own to see, and every read leaves a record."""

import contextlib
import os

import numpy as np
import pytest
from journals import HOME, READER, START_US, rows, small_journal

from dronetrack.errors import FormatError, InputError, NotAuthorisedError
from dronetrack.journal import Journal, read_accesses, read_journal, verify_journal
from dronetrack.journal.roles import ROLES


@pytest.fixture
def path(tmp_path, rng):
    path = tmp_path / "run.journal"
    small_journal(path, rng).release()
    return path


def log_of(path):
    reader = {**READER, "who": "the test"}
    return [one for one in read_accesses(path, role="auditor", **reader) if one.facts.get("who") != "the test"]


def test_an_operator_sees_the_rows_of_the_own_sensors_alone(path):
    whole = next(read_journal(path, role="supervisor", kinds=["measurements"], **READER)).measurements()
    mine = next(read_journal(path, role="operator", kinds=["measurements"], **READER))
    z = mine.measurements()
    assert [sensor.authority for sensor in z.sensors] == ["HU", ""]
    assert z.z.tobytes() == whole.of(HOME.name).z.tobytes()
    assert mine.facts["rows"] == [3, 0]


def test_an_operator_of_the_host_sees_none_of_the_homes_events_and_rows(path):
    found = list(read_journal(path, role="operator", authority="RO", **READER))
    assert {record.kind for record in found} == {"sensors", "measurements"}
    assert [one["authority"] for record in found if record.kind == "sensors" for one in record.facts["sensors"]] == [
        "RO"
    ]
    for record in found:
        if record.kind == "measurements":
            assert set(np.array([one.authority for one in record.sensors])[record.measurements().sensor_id]) == {"RO"}


def test_an_event_of_another_authority_is_not_an_operators(path):
    with Journal.open(path) as journal:
        journal.append("event", START_US, {"kind": "accepted", "authority": "RO"})
    seen = {
        who: [
            one.facts["kind"] for one in read_journal(path, role="operator", authority=who, kinds=["event"], **READER)
        ]
        for who in ("HU", "RO")
    }
    assert seen == {"HU": ["approaching", "crossed"], "RO": ["accepted"]}


def test_an_operator_reads_only_while_the_operation_runs(path):
    assert list(read_journal(path, role="operator", **READER))
    Journal.open(path).close()
    with pytest.raises(NotAuthorisedError, match="this journal is closed"):
        read_journal(path, role="operator", **READER)
    assert list(read_journal(path, role="supervisor", **READER))[-1].kind == "closed"


def test_a_supervisor_sees_everything_of_the_own_operation(path):
    found = list(read_journal(path, role="supervisor", **READER))
    assert len(found) == verify_journal(path).n_records
    assert not any(record.withheld for record in found)


def test_a_supervisor_of_another_authority_is_refused(path):
    with pytest.raises(NotAuthorisedError, match="a supervisor of RO reads no journal of HU"):
        read_journal(path, role="supervisor", authority="RO", **READER)


def test_an_auditor_without_purpose_sees_what_stays_and_no_place(path):
    found = list(read_journal(path, role="auditor", who="A", purpose="", time_us=START_US))
    event = next(record for record in found if record.kind == "event")
    assert event.facts == {"kind": "approaching", "article": "40(1)"}
    assert event.withheld
    assert not any(record.personal for record in found)
    rows_of = next(record for record in found if record.kind == "measurements")
    assert sum(rows_of.facts["rows"]) == 6
    with pytest.raises(NotAuthorisedError, match="read with a stated purpose"):
        rows_of.measurements()


def test_an_auditor_with_a_purpose_sees_personal_parts(path):
    found = list(read_journal(path, role="auditor", **READER))
    assert next(record for record in found if record.kind == "event").facts["lat_deg"] == 46.2


def test_personal_parts_that_are_not_needed_are_not_given(path):
    found = list(read_journal(path, role="supervisor", personal=False, **READER))
    assert not any(record.personal or "lat_deg" in record.facts for record in found)


@pytest.mark.parametrize("role", ["operator", "supervisor"])
def test_nobody_in_the_operation_reads_without_a_purpose(path, role):
    with pytest.raises(NotAuthorisedError, match="none is stated"):
        read_journal(path, role=role, who="A", purpose="", time_us=START_US)


def test_a_reader_has_a_name(path):
    with pytest.raises(NotAuthorisedError, match="nobody is named"):
        read_journal(path, role="auditor", who="", purpose="x", time_us=START_US)


def test_an_unknown_role_is_an_input_error(path):
    with pytest.raises(InputError, match="operator, supervisor, auditor"):
        read_journal(path, role="admin", **READER)


@pytest.mark.parametrize("role", list(ROLES))
def test_the_log_of_accesses_is_for_those_whom_the_rule_names(path, role):
    with contextlib.nullcontext() if ROLES[role].accesses else pytest.raises(NotAuthorisedError, match="not for"):
        assert [one.kind for one in read_accesses(path, role=role, **READER)] == ["access"]


def test_every_read_is_logged_with_who_why_when_what_and_for_whom(path):
    wanted = {"kinds": ["event"], "personal": False, "recipient": "prosecutor"}
    list(read_journal(path, role="supervisor", who="B", purpose="file 12", time_us=START_US + 5, **wanted))
    access, disclosed = log_of(path)
    assert (access.kind, access.time_us) == ("access", START_US + 5)
    assert access.facts == {
        "role": "supervisor",
        "who": "B",
        "authority": "HU",
        "purpose": "file 12",
        "recipient": "prosecutor",
        "personal": False,
        "kinds": ["event"],
        "of": "journal",
    }
    assert disclosed.facts["records"] == 2
    assert disclosed.facts["access"] == access.sequence


def test_the_log_says_that_an_auditor_without_purpose_was_given_nothing_personal(path):
    list(read_journal(path, role="auditor", who="A", purpose="", time_us=START_US))
    assert log_of(path)[0].facts["personal"] is False


def test_a_read_that_was_never_begun_is_logged_all_the_same(path):
    read_journal(path, role="auditor", **READER)
    assert [one.kind for one in log_of(path)] == ["access"]


def test_a_read_that_ends_early_is_logged_with_what_was_given(path):
    reading = read_journal(path, role="auditor", **READER)
    next(reading)
    reading.close()
    assert log_of(path)[-1].facts["records"] == 1


def test_a_refused_read_is_recorded_with_its_reason(path):
    with pytest.raises(NotAuthorisedError):
        read_journal(path, role="supervisor", authority="RO", **READER)
    refused = log_of(path)[-1]
    assert (refused.kind, refused.facts["authority"]) == ("refused", "RO")
    assert "reads no journal of HU" in refused.facts["reason"]


def test_a_read_that_cannot_be_logged_is_not_given(path):
    path.with_name("run.journal.access").mkdir()
    with pytest.raises(FormatError, match="cannot be written"):
        read_journal(path, role="auditor", **READER)


def test_a_journal_is_read_while_it_is_written(path, rng):
    with Journal.open(path) as journal:
        before = len(journal)
        journal.append_measurements(rows(4, rng))
        assert len(list(read_journal(path, role="auditor", **READER))) == before
        journal.commit()
        assert len(list(read_journal(path, role="auditor", **READER))) == len(journal)


def test_an_unfinished_record_at_the_end_is_not_given(path):
    n_records, size = verify_journal(path).n_records, path.stat().st_size
    os.truncate(path, size - 3)
    assert len(list(read_journal(path, role="auditor", **READER))) == n_records - 1


def test_reading_names_damage_where_it_comes_to_it(path):
    content = bytearray(path.read_bytes())
    at = content.index(b'"approaching"')
    content[at + 3] ^= 1
    path.write_bytes(content)
    reading = read_journal(path, role="auditor", **READER)
    assert next(reading).kind == "opened"
    with pytest.raises(FormatError, match="record 1 is damaged"):
        next(reading)


def test_a_record_of_another_kind_has_no_rows(path):
    first = next(read_journal(path, role="auditor", **READER))
    with pytest.raises(InputError, match="is of kind 'opened'; needed 'measurements'"):
        first.measurements()
    with pytest.raises(InputError, match="needed 'track'"):
        first.track()
