"""Purging: what is old goes, what stays proves itself, and an interrupted purge loses nothing."""

import os

import pytest
from journals import ABOUT, READER, START_US, a_track, rows, same_rows, small_journal

from dronetrack.errors import FormatError, InputError
from dronetrack.journal import Journal, place, purge, read_journal, retention, tables, verify_journal

LATER = START_US + 80_000_000  # between the two halves of the small journal
BY = {"who": "P. P.", "authority": "HU", "time_us": START_US + 200_000_000}


@pytest.fixture
def path(tmp_path, rng):
    path = tmp_path / "run.journal"
    small_journal(path, rng).release()
    return path


def records(path, *kinds):
    return list(read_journal(path, role="auditor", kinds=kinds or None, **READER))


def test_places_go_and_facts_stay(path):
    purge(path, before_us=LATER, **BY)
    content = path.read_bytes()
    assert b"lat_deg" not in content
    assert b"signed\0words" not in content
    event = records(path, "event")[0]
    assert event.facts == {"kind": "approaching", "article": "40(1)"}
    assert event.purged
    old, new = records(path, "measurements")
    assert (old.purged, sum(old.facts["rows"]), new.purged) == (True, 6, False)
    assert len(new.measurements()) == 3


def test_purged_rows_are_said_to_be_purged(path):
    purge(path, before_us=LATER, **BY)
    with pytest.raises(InputError, match="were purged; its facts remain"):
        records(path, "measurements")[0].measurements()
    with pytest.raises(InputError, match="were purged"):
        records(path, "track")[0].track()


def test_a_purged_journal_proves_itself_and_says_what_went(path):
    before = verify_journal(path)
    facts = purge(path, before_us=LATER, reason="six months", **BY)
    proof = verify_journal(path, digest=before.digest)
    assert proof.ok
    assert proof.n_records == before.n_records + 1
    assert proof.purges == (facts,)
    assert facts["records"] == 4
    assert (facts["who"], facts["authority"], facts["reason"], facts["before_us"]) == (
        "P. P.",
        "HU",
        "six months",
        LATER,
    )
    last = records(path)[-1]
    assert (last.kind, last.time_us, last.facts) == ("purge", BY["time_us"], facts)


def test_the_chain_before_and_after_a_purge_is_the_same(path):
    before = [record.digest for record in records(path)]
    purge(path, before_us=LATER, **BY)
    assert [record.digest for record in records(path)][:-1] == before


def test_a_second_purge_goes_on(path):
    purge(path, before_us=START_US + 2, **BY)
    facts = purge(path, before_us=START_US + 300_000_000, **BY)
    assert facts["gone"] == [[1, 7]]
    proof = verify_journal(path)
    assert proof.ok
    assert [one["records"] for one in proof.purges] == [1, 4]


def test_where_nothing_is_old_enough_nothing_is_written(path):
    content = path.read_bytes()
    assert purge(path, before_us=START_US, **BY)["records"] == 0
    assert path.read_bytes() == content


def test_what_a_purge_leaves_is_never_more_than_a_minute_older_than_asked(tmp_path, rng):
    path = tmp_path / "long.journal"
    with Journal.create(path, **ABOUT) as journal:
        journal.append_measurements(rows(3000, rng))
    before_us = START_US + 222_222_222
    purge(path, before_us=before_us, **BY)
    kept = [record.measurements() for record in records(path, "measurements") if not record.purged]
    assert before_us - tables.SPAN_US < kept[0].time_us[0] <= before_us
    purge(path, before_us=before_us + tables.SPAN_US, **BY)
    kept = [record.measurements() for record in records(path, "measurements") if not record.purged]
    assert kept[0].time_us[0] >= before_us


def test_a_purged_journal_goes_on(path, rng):
    purge(path, before_us=LATER, **BY)
    z = rows(5, rng)
    with Journal.open(path) as journal:
        journal.append_measurements(z)
        journal.append_track(a_track(3, rng))
    assert verify_journal(path).ok
    assert same_rows(records(path, "measurements")[-1].measurements(), z)


def test_a_closed_journal_can_be_purged_and_stays_closed(path):
    Journal.open(path).close()
    purge(path, before_us=LATER, **BY)
    proof = verify_journal(path)
    assert (proof.ok, proof.closed) == (True, True)
    with pytest.raises(FormatError, match="is closed"):
        Journal.open(path)


def test_a_journal_that_is_being_written_is_not_purged(path):
    with Journal.open(path), pytest.raises(FormatError, match="another process writes"):
        purge(path, before_us=LATER, **BY)


def test_a_purge_names_who_and_under_which_authority(path):
    with pytest.raises(InputError, match="names who purges"):
        purge(path, before_us=LATER, who="", authority="HU", time_us=0)


def test_a_damaged_journal_is_not_purged(path):
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="is damaged"):
        purge(path, before_us=LATER, **BY)
    assert path.read_bytes() == content


def test_a_personal_part_taken_out_without_a_purge_is_found(path):
    other = path.with_name("forged")
    other.write_bytes(path.read_bytes())
    purge(other, before_us=LATER, **BY)
    # The forger takes the purged records and leaves the record that says so.
    last = records(other)[-1]
    content = other.read_bytes()
    with other.open("rb") as file:
        end = [found.offset for found in retention.scan(file, len(content))][last.sequence]
    path.write_bytes(content[:end])
    path.with_name("run.journal.access").unlink(missing_ok=True)
    proof = verify_journal(path)
    assert (proof.ok, proof.first_bad) == (False, 1)
    assert "no purge removed" in proof.reason


def test_personal_parts_put_back_after_a_purge_are_found(path):
    whole = path.read_bytes()
    purge(path, before_us=LATER, **BY)
    with path.open("rb") as file:
        last = list(retention.scan(file, path.stat().st_size))[-1]
    path.write_bytes(whole + path.read_bytes()[last.offset :])
    proof = verify_journal(path)
    assert not proof.ok
    assert "are there although one did" in proof.reason


STEPS = {
    "write": (retention, "_copy"),
    "fsync": (os, "fsync"),
    "rename": (retention.pathlib.Path, "rename"),
    "folder": (retention, "keep_folder"),
}


@pytest.mark.parametrize("step", list(STEPS))
def test_a_purge_interrupted_at_any_step_loses_nothing(path, step, monkeypatch):
    class PowerCut(BaseException):
        pass

    def cut(*_args, **_named):
        raise PowerCut

    before = [(record.digest, record.personal) for record in records(path)]
    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], cut)
        with pytest.raises(PowerCut):
            purge(path, before_us=LATER, **BY)
    proof = verify_journal(path)
    assert proof.ok
    if step == "folder":
        assert len(proof.purges) == 1
    else:
        assert [(record.digest, record.personal) for record in records(path)] == before
        assert purge(path, before_us=LATER, **BY)["records"] == 4
        assert verify_journal(path).ok
    assert not path.with_name("run.journal.purging").exists()


def test_a_writer_that_opened_the_old_file_gets_the_new_one(path, monkeypatch):
    # Between opening and locking, a purge puts another file in its place.
    real, calls = place.is_at, []

    def is_at(handle, where):
        if not calls:
            calls.append(handle)
            fresh = path.with_name("fresh")
            fresh.write_bytes(path.read_bytes())
            fresh.rename(path)
        return real(handle, where)

    monkeypatch.setattr(place, "is_at", is_at)
    with Journal.open(path) as journal:
        journal.append("event", START_US, {"kind": "late"})
    assert records(path, "event")[-1].facts["kind"] == "late"


def test_bytes_behind_the_end_of_a_closed_journal_are_damage(path):
    Journal.open(path).close()
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="Nothing is repaired"):
        purge(path, before_us=LATER, **BY)
    assert not verify_journal(path).ok
