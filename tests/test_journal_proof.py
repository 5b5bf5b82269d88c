"""Proof: whatever is changed, moved, missing or added is found, and the first bad record named."""

import hashlib
import itertools
import json
import os
import pathlib
import shutil
import struct
import zlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from journals import ABOUT, READER, START_US, abandon, rows, small_journal

from dronetrack.errors import FormatError
from dronetrack.journal import Journal, purge, read_journal, verify_journal
from dronetrack.journal.records import PREAMBLE, SIZE, Found, scan

CHANGES = 10_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


@pytest.fixture
def whole(path, rng):
    """A journal with every kind of record, purged in part, read, repaired, closed, and its bounds."""
    journal = small_journal(path, rng)
    abandon(journal)
    os.truncate(path, path.stat().st_size - 1)
    Journal.open(path).release()
    list(read_journal(path, role="auditor", **READER))
    purge(path, before_us=START_US + 80_000_000, who="P", authority="HU", time_us=START_US + 1)
    Journal.open(path).close()
    list(read_journal(path, role="auditor", **READER))
    assert verify_journal(path).ok
    return path


def bounds(path) -> list[int]:
    """Where each record starts, and where the last ends."""
    with path.open("rb") as file:
        found: list[Found] = list(scan(file, path.stat().st_size))
    return [one.offset for one in found] + [found[-1].end]


def parts(path) -> list[bytes]:
    """The preamble and the records, as bytes."""
    content, edges = path.read_bytes(), bounds(path)
    return [content[: edges[0]], *(content[a:b] for a, b in itertools.pairwise(edges))]


def changes(content, rng, n):
    """Every position once with some other value, then again, up to n changes."""
    at = np.concatenate([rng.permutation(len(content)) for _ in range(n // len(content) + 1)])[:n]
    return zip(at.tolist(), rng.integers(1, 256, n).tolist(), strict=True)


def test_each_of_ten_thousand_changes_of_one_byte_is_found_and_its_record_named(whole, rng):
    content, edges = whole.read_bytes(), np.array(bounds(whole))
    assert len(content) < CHANGES, "every position is tried"
    with whole.open("r+b", buffering=0) as file:
        for at, flip in changes(content, rng, CHANGES):
            os.pwrite(file.fileno(), bytes([content[at] ^ flip]), at)
            proof = verify_journal(whole)
            assert not proof.ok, at
            assert proof.first_bad == max(np.searchsorted(edges, at, side="right") - 1, 0), (at, proof)
            os.pwrite(file.fileno(), content[at : at + 1], at)
    assert verify_journal(whole).ok


def test_each_change_of_one_byte_of_the_log_of_accesses_is_found(whole, rng):
    log = whole.with_name("run.journal.access")
    content = log.read_bytes()
    with log.open("r+b", buffering=0) as file:
        for at, flip in changes(content, rng, 2 * len(content)):
            os.pwrite(file.fileno(), bytes([content[at] ^ flip]), at)
            proof = verify_journal(whole)
            assert not proof.ok, at
            assert not proof.accesses.ok, at
            os.pwrite(file.fileno(), content[at : at + 1], at)


def test_two_records_that_changed_places_are_found(whole):
    pieces = parts(whole)
    for k in range(1, len(pieces) - 1):
        swapped = [*pieces[:k], pieces[k + 1], pieces[k], *pieces[k + 2 :]]
        whole.write_bytes(b"".join(swapped))
        assert verify_journal(whole).first_bad == k - 1


def test_a_record_taken_out_is_found(whole):
    pieces = parts(whole)
    for k in range(1, len(pieces)):
        whole.write_bytes(b"".join(pieces[:k] + pieces[k + 1 :]))
        proof = verify_journal(whole)
        assert not proof.ok
        assert proof.first_bad == k - 1


def test_a_record_written_twice_is_found(whole):
    pieces = parts(whole)
    for k in range(1, len(pieces)):
        whole.write_bytes(b"".join([*pieces[: k + 1], *pieces[k:]]))
        assert verify_journal(whole).first_bad == k


def test_bytes_put_in_anywhere_are_found(whole, rng):
    content = whole.read_bytes()
    for at in rng.integers(0, len(content) + 1, 300).tolist():
        whole.write_bytes(content[:at] + rng.bytes(1 + at % 40) + content[at:])
        assert not verify_journal(whole).ok


def test_a_record_of_another_journal_is_found(whole, tmp_path, rng):
    other = tmp_path / "other.journal"
    small_journal(other, rng).release()
    pieces, strange = parts(whole), parts(other)
    whole.write_bytes(b"".join([*pieces[:2], strange[2], *pieces[3:]]))
    assert verify_journal(whole).first_bad == 1


def test_a_cut_at_any_byte_is_found_or_leaves_an_open_journal(path, rng):
    small_journal(path, rng).close()
    content, edges = path.read_bytes(), set(bounds(path))
    for size in rng.permutation(len(content))[:500].tolist():
        path.write_bytes(content[:size])
        proof = verify_journal(path)
        assert not proof.closed
        assert proof.ok == (size in edges and size > len(PREAMBLE))


def test_records_taken_from_the_end_are_found_with_a_digest_that_was_noted(path, rng):
    journal = small_journal(path, rng)
    noted = journal.digest
    journal.release()
    assert verify_journal(path, digest=noted).ok
    assert verify_journal(path, digest=noted.upper()).ok
    os.truncate(path, bounds(path)[4])
    assert verify_journal(path).ok, "without what is noted elsewhere this cannot be known"
    proof = verify_journal(path, digest=noted)
    assert not proof.ok
    assert "not on the chain" in proof.reason


def test_records_taken_from_the_end_are_found_by_the_log_of_accesses(path, rng):
    small_journal(path, rng).release()
    list(read_journal(path, role="auditor", **READER))
    os.truncate(path, bounds(path)[4])
    proof = verify_journal(path)
    assert (proof.ok, proof.first_bad) == (False, 4)
    assert "taken away" in proof.reason


def test_a_journal_written_anew_is_found_by_the_log_of_accesses(path, rng):
    small_journal(path, rng).release()
    list(read_journal(path, role="auditor", **READER))
    path.unlink()
    small_journal(path, rng).release()
    proof = verify_journal(path)
    assert not proof.ok
    assert "written anew" in proof.reason


def test_a_log_of_accesses_taken_away_is_found_by_the_end_of_the_journal(whole):
    whole.with_name("run.journal.access").unlink()
    assert "log of accesses is missing" in verify_journal(whole).reason


def test_entries_taken_from_the_log_of_accesses_are_found_by_the_end_of_the_journal(whole):
    log = whole.with_name("run.journal.access")
    os.truncate(log, bounds(log)[2])
    proof = verify_journal(whole)
    assert not proof.ok
    assert "entries were taken away" in proof.accesses.reason


# The seal


def test_a_seal_holds_with_the_right_key_and_with_no_other(path, rng):
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    small_journal(path, rng).close(seal=key.sign)
    assert verify_journal(path, check=key.public_key().verify).sealed
    proof = verify_journal(path, check=stranger.public_key().verify)
    assert (proof.ok, proof.sealed) == (False, False)
    assert "not of the expected key" in proof.reason


def test_a_journal_written_anew_lacks_the_seal(path, rng):
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    small_journal(path, rng).close(seal=stranger.sign)
    assert verify_journal(path).ok, "the chain alone cannot know"
    assert not verify_journal(path, check=key.public_key().verify).ok


def test_a_seal_that_is_missing_is_found_when_it_is_asked_for(path, rng):
    small_journal(path, rng).close()
    assert not verify_journal(path, check=lambda *_: True).ok


def test_a_journal_that_is_not_closed_has_no_seal(path, rng):
    small_journal(path, rng).release()
    assert "not closed" in verify_journal(path, check=lambda *_: True).reason


def test_a_purge_leaves_the_seal_whole(path, rng):
    key = Ed25519PrivateKey.generate()
    small_journal(path, rng).close(seal=key.sign)
    purge(path, before_us=START_US + 80_000_000, who="P", authority="HU", time_us=START_US)
    assert verify_journal(path, check=key.public_key().verify).ok


# What a proof says


def test_a_proof_counts_and_names_the_end(path, rng):
    journal = small_journal(path, rng)
    journal.release()
    proof = verify_journal(path)
    assert proof.ok
    assert (proof.n_records, proof.n_bytes, proof.digest) == (len(journal), path.stat().st_size, journal.digest)
    assert (proof.closed, proof.first_bad, proof.reason, proof.accesses) == (False, None, "", None)


def test_an_unfinished_record_of_a_writer_at_work_is_no_fault(path, rng):
    journal = small_journal(path, rng)
    with path.open("ab") as file:
        file.write(b"\x93DT+ and so on")
    proof = verify_journal(path)
    assert (proof.ok, proof.being_written) == (True, True)
    abandon(journal)
    proof = verify_journal(path)
    assert (proof.ok, proof.being_written) == (False, False)


def test_a_journal_of_another_version_is_named(path, rng):
    small_journal(path, rng).release()
    content = bytearray(path.read_bytes())
    content[len(PREAMBLE) - 2] = 9
    path.write_bytes(content)
    assert "version 9" in verify_journal(path).reason
    with pytest.raises(FormatError, match="version 9"):
        Journal.open(path)


def test_a_missing_file_is_an_error(path):
    with pytest.raises(FormatError, match="no such file"):
        verify_journal(path)


def test_a_header_is_as_long_as_the_format_says(path):
    Journal.create(path, **ABOUT).release()
    content = path.read_bytes()
    assert content[:16] == b"\x93DTJOURNAL\r\n\x1a\n\x01\0"
    assert content[16:20] == b"\x93DT+"
    assert content[16 + 40 : 16 + 46] == b"opened"
    assert content[16 + SIZE :].startswith(b'{"version":1,"purpose":"file 12/2026"')


def test_a_copy_of_both_files_proves_itself(whole, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for one in whole.parent.glob("run.journal*"):
        shutil.copy(one, folder)
    assert verify_journal(folder / pathlib.Path(whole).name).ok


def test_rows_changed_together_with_their_digest_break_the_chain(path, rng):
    with Journal.create(path, **ABOUT) as journal:
        journal.append_measurements(rows(4, rng))
    pieces = parts(path)
    changed = bytearray(pieces[3])
    changed[92 : 92 + 32] = bytes(32)
    path.write_bytes(b"".join([*pieces[:3], changed, *pieces[4:]]))
    assert verify_journal(path).first_bad == 2


def read_by_the_description(content: bytes):
    """A second reader, made from the words of `dronetrack.journal` alone: struct, zlib, hashlib and json."""
    assert content[:14] == b"\x93DTJOURNAL\r\n\x1a\n"
    assert struct.unpack("<H", content[14:16]) == (1,)
    before, at, number = hashlib.sha256(content[:16]).digest(), 16, 0
    while at < len(content):
        head = content[at : at + 160]
        flags, sequence, time_us, acknowledged, n_kept, n_personal = struct.unpack_from("<IQqQII", head, 4)
        assert zlib.crc32(head[:156]) == struct.unpack_from("<I", head, 156)[0]
        assert sequence == number
        assert acknowledged <= number
        assert hashlib.sha256(before + head[4:124]).digest() == head[124:156]
        whole = head[:4] == b"\x93DT+"
        assert whole or head[:4] == b"\x93DT-"
        kept = content[at + 160 : at + 160 + n_kept]
        personal = content[at + 160 + n_kept : at + 160 + n_kept + n_personal] if whole else b""
        assert hashlib.sha256(kept).digest() == head[60:92]
        assert not whole or hashlib.sha256(personal).digest() == head[92:124]
        n_facts = struct.unpack("<I", personal[-4:])[0] if personal else 0
        payload = personal[: len(personal) - 4 - n_facts] if personal else b""
        private = json.loads(personal[len(payload) : -4]) if n_facts else {}
        yield head[40:60].rstrip(b"\0").decode(), time_us, flags, json.loads(kept), private, payload
        before, at, number = head[124:156], at + 160 + n_kept + len(personal), number + 1


def test_a_reader_made_from_the_description_alone_reads_the_same(path, rng):
    small_journal(path, rng).close()
    found = list(read_by_the_description(path.read_bytes()))
    ours = list(read_journal(path, role="auditor", **READER))
    assert len(found) == len(ours)
    for (kind, time_us, flags, facts, private, payload), record in zip(found, ours, strict=True):
        assert (kind, time_us, {**facts, **private}, payload) == (
            record.kind,
            record.time_us,
            record.facts,
            record.personal,
        )
        assert bool(flags & 1) == record.stepped_back


def test_rows_lie_in_a_record_as_the_description_says(path, rng):
    z = rows(6, rng)
    with Journal.create(path, **ABOUT) as journal:
        journal.append_measurements(z)
    payload = next(one for one in read_by_the_description(path.read_bytes()) if one[0] == "measurements")[5]
    width = 8 + 24 + 72 + 24 + 72 + 4 + 4 + 1
    assert len(payload) == 6 * width
    assert struct.unpack_from("<6q", payload) == tuple(z.time_us.tolist())
    assert struct.unpack_from("<18d", payload, 48) == tuple(z.z.ravel().tolist())
    assert struct.unpack_from("<6b", payload, 6 * (width - 1)) == tuple(z.kind.tolist())


def test_a_purged_journal_is_read_by_the_description(whole):
    kinds = [one[0] for one in read_by_the_description(whole.read_bytes())]
    assert kinds.count("purge") == 1
    assert kinds[-1] == "closed"
