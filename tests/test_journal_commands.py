"""`dronetrack verify` and `dronetrack purge`, as a person and as a machine sees them."""

import json

import pytest
from journals import START_US, small_journal

from dronetrack import cli
from dronetrack.journal import Journal, verify_journal


@pytest.fixture
def path(tmp_path, rng):
    path = tmp_path / "run.journal"
    small_journal(path, rng).release()
    return path


def test_verify_says_that_a_journal_is_whole_and_what_it_cannot_know(path, capsys):
    assert cli.main(["verify", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("whole: 9 records")
    assert verify_journal(path).digest in said
    assert "not closed" in said


def test_verify_names_the_first_bad_record(path, capsys):
    content = bytearray(path.read_bytes())
    at = content.index(b'"approaching"')
    content[at] ^= 1
    path.write_bytes(content)
    assert cli.main(["verify", str(path)]) == 2
    said = capsys.readouterr()
    assert "first bad record: 1 at byte" in said.out
    assert said.err.count("\n") == 1


def test_verify_takes_a_digest_that_was_noted(path):
    assert cli.main(["verify", str(path), "--digest", verify_journal(path).digest]) == 0
    assert cli.main(["verify", str(path), "--digest", "ab" * 32]) == 2


def test_verify_speaks_json_to_machines(path, capsys):
    assert cli.main(["verify", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["n_records"], said["first_bad"]) == (True, 9, None)


def test_a_closed_journal_is_said_without_a_caveat(path, capsys):
    Journal.open(path).close()
    assert cli.main(["verify", str(path)]) == 0
    assert "not closed" not in capsys.readouterr().out


def test_purge_removes_and_says_how_much(path, capsys):
    by = ["--who", "P. P.", "--authority", "HU", "--reason", "six months"]
    assert cli.main(["purge", str(path), "--before", "2023-11-14T22:14:40", *by]) == 0
    assert "from 4 records" in capsys.readouterr().out
    proof = verify_journal(path)
    assert proof.ok
    assert proof.purges[0]["before_us"] == START_US + 80_000_000
    assert cli.main(["verify", str(path)]) == 0
    assert "purged by P. P. (HU): what was before 2023-11-14 22:14:40 UTC, 4 records" in capsys.readouterr().out


def test_a_date_with_a_zone_is_taken_as_it_says(path):
    by = ["--who", "P. P.", "--authority", "HU"]
    assert cli.main(["purge", str(path), "--before", "2023-11-15T00:14:40+02:00", *by]) == 0
    assert verify_journal(path).purges[0]["before_us"] == START_US + 80_000_000


@pytest.mark.parametrize(
    "command", [["verify"], ["purge", "--before", "2026-01-01", "--who", "P", "--authority", "HU"]]
)
def test_a_missing_journal_is_one_sentence(command, tmp_path, capsys):
    assert cli.main([*command, str(tmp_path / "none.journal")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_date_that_is_none_is_one_sentence(path, capsys):
    by = ["--who", "P. P.", "--authority", "HU"]
    assert cli.main(["purge", str(path), "--before", "yesterday", *by]) == 2
    assert "needs a date" in capsys.readouterr().err
