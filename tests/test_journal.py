"""Writing: what was appended comes back, what was acknowledged is on the disk, what goes wrong is said."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import wait

import numpy as np
import pytest
from journals import ABOUT, HOME, HOST, READER, START_US, a_track, abandon, rows, same_rows, small_journal

from dronetrack.errors import FormatError, InputError
from dronetrack.journal import Journal, place, read_journal, tables, verify_journal
from dronetrack.journal.records import SIZE
from dronetrack.measurements import Sensor, measurements_of, merge


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


def records(path, *kinds):
    return list(read_journal(path, role="auditor", kinds=kinds or None, **READER))


def read_rows(path):
    return merge(*(record.measurements() for record in records(path, "measurements")))


def test_measurements_come_back_bit_for_bit(path, rng):
    z = rows(500, rng)
    with Journal.create(path, **ABOUT) as journal:
        journal.append_measurements(z)
    assert same_rows(read_rows(path), z)


def test_a_large_batch_comes_back_bit_for_bit(path, rng):
    z = rows(3 * tables.MAX_ROWS, rng, step_us=100)
    with Journal.create(path, **ABOUT) as journal:
        journal.append_measurements(z)
    found = records(path, "measurements")
    assert len(found) == 3
    assert same_rows(merge(*(record.measurements() for record in found)), z)


def test_the_stats_of_a_table_come_back(path, rng):
    z = rows(4, rng)
    z.stats["HU-D1 camera"] = {"dropped": np.int64(3), "bias": np.float64(0.1)}
    with Journal.create(path, **ABOUT) as journal:
        journal.append_measurements(z)
    assert records(path, "measurements")[0].measurements().stats == {"HU-D1 camera": {"dropped": 3, "bias": 0.1}}


def test_columns_of_a_record_are_read_only_and_of_one_layout(path, rng):
    with small_journal(path, rng):
        pass
    z = records(path, "measurements")[0].measurements()
    for name in ("time_us", "z", "cov", "kind"):
        column = getattr(z, name)
        assert column.flags.aligned
        assert column.flags.c_contiguous
        assert not column.flags.writeable


def test_a_track_comes_back_bit_for_bit(path, rng):
    track = a_track(50, rng)
    with Journal.create(path, **ABOUT) as journal:
        journal.append_track(track, {"final": True})
    record = records(path, "track")[0]
    found = record.track()
    assert record.facts["final"] is True
    assert (found.track_id, found.stats) == (track.track_id, track.stats)
    for name in ("time_us", "status", "state", "cov", "nis", "n_sensors"):
        assert getattr(found, name).tobytes() == getattr(track, name).tobytes(), name


def test_rows_of_one_record_lie_within_one_minute(path, rng):
    z = rows(1000, rng)
    with Journal.create(path, **ABOUT) as journal:
        journal.append_measurements(z)
    found = [record.measurements().time_us for record in records(path, "measurements")]
    assert len(found) > 3
    assert max(np.ptp(time_us) for time_us in found) < tables.SPAN_US


def test_no_rows_add_no_record(path, rng):
    with Journal.create(path, **ABOUT) as journal:
        assert journal.append_measurements(rows(2, rng).take([])) == 0
        assert journal.append_track(a_track(0, rng)) == 0


def test_a_table_of_sensors_is_written_once_as_long_as_it_stays(path, rng):
    with Journal.create(path, **ABOUT) as journal:
        for k in range(5):
            journal.append_measurements(rows(2, rng, start_us=START_US + k))
        journal.append_measurements(rows(2, rng, sensors=(HOST,)))
    assert [record.kind for record in records(path)].count("sensors") == 2


def test_a_later_process_writes_the_sensors_again(path, rng):
    z = rows(2, rng)
    for begin in (lambda: Journal.create(path, **ABOUT), lambda: Journal.open(path)):
        with begin() as journal:
            journal.append_measurements(z)
    found = records(path, "measurements")
    assert [same_rows(record.measurements(), z) for record in found] == [True, True]


def test_facts_come_back_with_numpy_numbers_as_numbers(path):
    facts = {
        "n": np.int64(3),
        "p": np.float64(0.1),
        "list": np.arange(2),
        "ok": True,
        "text": "Csanádpalota, Nădlac",
        "no": None,
    }
    with Journal.create(path, **ABOUT) as journal:
        journal.append("event", START_US, facts)
    assert records(path, "event")[0].facts == {**facts, "n": 3, "p": 0.1, "list": [0, 1]}


def test_personal_bytes_and_personal_facts_come_back(path):
    with Journal.create(path, **ABOUT) as journal:
        journal.append("event", START_US, {"kind": "crossed", "lat_deg": 46.2}, personal=b"\0picture")
    record = records(path, "event")[0]
    assert record.facts == {"kind": "crossed", "lat_deg": 46.2}
    assert record.personal == b"\0picture"


@pytest.mark.parametrize("kind", ["", "Event", "with space", "a" * 21, "é", 3])
def test_a_kind_is_a_short_plain_word(path, kind):
    with Journal.create(path, **ABOUT) as journal, pytest.raises(InputError, match="kind of a record"):
        journal.append(kind, START_US, {})


@pytest.mark.parametrize("time_us", [1.5, "now", None, 2**63])
def test_a_time_is_int64_microseconds(path, time_us):
    with Journal.create(path, **ABOUT) as journal, pytest.raises(InputError, match="time_us is a whole number"):
        journal.append("event", time_us, {})
    assert not records(path, "event")


def test_what_json_cannot_say_is_refused_and_nothing_is_added(path):
    with Journal.create(path, **ABOUT) as journal, pytest.raises(InputError, match="what JSON can say"):
        journal.append("event", START_US, {"object": object()})
    assert not records(path, "event")


def test_a_journal_states_its_purpose(path):
    with pytest.raises(InputError, match="purpose"):
        Journal.create(path, purpose="", authority="HU")


def test_an_unknown_sync_is_refused(path):
    with pytest.raises(InputError, match="sync is one of commit, interval, never"):
        Journal.create(path, **ABOUT, sync="sometimes")


@pytest.mark.parametrize("sync", ["commit", "interval", "never"])
def test_every_policy_keeps_every_record_in_order(path, rng, sync):
    with Journal.create(path, **ABOUT, sync=sync, group_bytes=5_000, group_us=700_000) as journal:
        for k in range(300):
            journal.append("event", START_US + 100_000 * k, {"k": k}, personal=bytes(k))
            if k % 17 == 0:
                assert journal.commit() == journal.acknowledged == k + 1
        journal.append_measurements(rows(2000, rng))
    found = records(path, "event")
    assert [record.facts["k"] for record in found] == list(range(300))
    assert verify_journal(path).ok


def test_an_interval_acknowledges_behind_the_callers_back(path):
    with Journal.create(path, **ABOUT, sync="interval", group_us=1_000) as journal:
        assert journal.acknowledged == 0
        for k in range(1, 4):
            journal.append("event", START_US + 1_000 * k, {})
        journal._disk._under_way[0].result()
        assert journal.acknowledged >= 1


def test_what_comes_while_the_disk_is_busy_goes_there_with_one_sync(path, monkeypatch):
    journal = Journal.create(path, **ABOUT, sync="interval", group_us=1)
    ready, syncs = threading.Event(), []

    def slow_sync(handle):
        ready.wait(10)
        os.fsync(handle)
        syncs.append(handle)

    monkeypatch.setattr("dronetrack.journal.disk._sync_data", slow_sync)
    for k in range(100):
        journal.append("event", START_US + k, {"k": k})
    ready.set()
    assert journal.commit() == journal.acknowledged == 100
    assert len(syncs) == 2
    journal.release()
    assert [record.facts["k"] for record in records(path, "event")] == list(range(100))


def test_a_full_group_waits_for_the_disk(path, monkeypatch):
    journal = Journal.create(path, **ABOUT, sync="interval", group_bytes=5_000)
    most = 0

    def slow_sync(handle):
        nonlocal most
        most = max(most, journal._disk.group.n_bytes)
        time.sleep(0.01)
        os.fsync(handle)

    monkeypatch.setattr("dronetrack.journal.disk._sync_data", slow_sync)
    for k in range(100):
        journal.append("event", START_US, {"k": k}, personal=bytes(1_000))
        most = max(most, journal._disk.group.n_bytes)
    journal.release()
    assert most < 7_000


@pytest.mark.parametrize("sync", ["commit", "interval"])
def test_a_large_table_goes_to_the_disk_while_it_is_added(path, monkeypatch, rng, sync):
    most, journal = 0, Journal.create(path, **ABOUT, sync=sync, group_bytes=100_000)

    def sync_and_look(handle):
        nonlocal most
        most = max(most, journal._disk.group.n_bytes)
        os.fsync(handle)

    monkeypatch.setattr("dronetrack.journal.disk._sync_data", sync_and_look)
    z = rows(20_000, rng)
    journal.append_measurements(z)
    assert journal._disk.group.n_bytes < 200_000 < path.stat().st_size
    journal.release()
    assert most < 200_000
    assert same_rows(read_rows(path), z)


def test_a_fault_in_the_middle_of_a_table_is_raised_by_the_next_and_nothing_is_lost(path, monkeypatch, rng):
    journal, z = Journal.create(path, **ABOUT, group_bytes=100_000), rows(5_000, rng)
    with monkeypatch.context() as patch:
        patch.setattr("dronetrack.journal.disk._sync_data", no_disk)
        journal.append_measurements(z)
        with pytest.raises(FormatError, match="no disk"):
            journal.append("event", START_US, {})
    journal.release()
    assert same_rows(read_rows(path), z)
    assert not records(path, "event")


def test_what_is_not_committed_is_not_acknowledged(path):
    with Journal.create(path, **ABOUT) as journal:
        journal.append("event", START_US, {})
        assert journal.acknowledged == 0
        assert journal.commit() == 1
        assert journal.acknowledged == 1


def test_a_clock_that_steps_back_is_accepted_and_marked(path):
    with Journal.create(path, **ABOUT, time_us=START_US) as journal:
        for step in (5, 3, 4, 5, 6):
            journal.append("event", START_US + step, {})
    with Journal.open(path) as journal:
        journal.append("event", START_US, {})
    found = records(path, "event")
    assert [record.time_us - START_US for record in found] == [5, 3, 4, 5, 6, 0]
    assert [record.stepped_back for record in found] == [False, True, True, False, False, True]


def test_a_journal_goes_on_where_it_ended(path):
    with Journal.create(path, **ABOUT) as journal:
        journal.append("event", START_US, {})
    digest = journal.digest
    with Journal.open(path) as journal:
        assert (journal.digest, len(journal), journal.repaired) == (digest, 3, None)
        assert (journal.purpose, journal.authority, journal.operation) == tuple(ABOUT.values())
        assert journal.append("event", START_US, {}) == 3
    assert [record.kind for record in records(path)] == ["opened", "event", "released", "event", "released"]


def test_a_journal_that_took_nothing_leaves_no_mark(path):
    Journal.create(path, **ABOUT).release()
    size = path.stat().st_size
    Journal.open(path).release()
    assert path.stat().st_size == size


def test_a_second_writer_in_this_process_is_refused(path):
    with Journal.create(path, **ABOUT), pytest.raises(FormatError, match="another process writes this journal"):
        Journal.open(path)


def test_a_second_writer_in_another_process_is_refused_and_nothing_is_lost(path):
    with Journal.create(path, **ABOUT) as journal:
        code = f"from dronetrack.journal import Journal; Journal.open({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "another process writes this journal" in other.stderr
        journal.append("event", START_US, {})
    assert len(records(path, "event")) == 1


def test_a_journal_is_not_begun_over_another(path):
    Journal.create(path, **ABOUT).release()
    with pytest.raises(FormatError, match="exists already"):
        Journal.create(path, **ABOUT)


def test_a_released_journal_takes_nothing(path):
    journal = Journal.create(path, **ABOUT)
    journal.release()
    journal.release()
    with pytest.raises(FormatError, match="was released"):
        journal.append("event", START_US, {})


def test_a_closed_journal_is_not_continued(path):
    Journal.create(path, **ABOUT).close(time_us=START_US)
    with pytest.raises(FormatError, match="is closed"):
        Journal.open(path)
    assert verify_journal(path).closed


@pytest.mark.parametrize("where", ["missing/run.journal", "."])
def test_a_place_that_cannot_hold_a_journal_is_named(tmp_path, where):
    with pytest.raises(FormatError, match=r"run\.journal|exists"):
        Journal.create(tmp_path / where, **ABOUT)
    with pytest.raises(FormatError):
        Journal.open(tmp_path / where)
    with pytest.raises(FormatError):
        verify_journal(tmp_path / where)


# The torn tail


@pytest.mark.parametrize("cut", [1, 80, SIZE, SIZE + 5])
def test_a_torn_tail_is_cut_off_kept_and_said(path, cut):
    journal = Journal.create(path, **ABOUT)
    journal.append("event", START_US, {"k": 0})
    journal.commit()
    size = path.stat().st_size
    journal.append("event", START_US, {"k": 1})
    journal.commit()
    abandon(journal)
    os.truncate(path, size + cut)
    torn = path.read_bytes()[size:]
    with Journal.open(path) as journal:
        assert journal.repaired["offset"] == size
        assert journal.repaired["cut_bytes"] == cut
    repair = records(path)[-2]
    assert (repair.kind, repair.personal) == ("repair", torn)
    assert [record.facts["k"] for record in records(path, "event")] == [0]
    assert verify_journal(path).repairs[0]["cut_bytes"] == cut


def test_pages_that_came_to_the_disk_out_of_order_are_a_torn_tail(path):
    journal = Journal.create(path, **ABOUT)
    size = path.stat().st_size
    for k in range(4):
        journal.append("event", START_US, {"k": k})
    journal.commit()
    abandon(journal)
    content = bytearray(path.read_bytes())
    content[size + 10 : size + 50] = bytes(40)  # a hole before whole records of the same, unacknowledged group
    path.write_bytes(content)
    with Journal.open(path) as journal:
        assert journal.repaired["cut_bytes"] == len(content) - size
        assert len(journal) == 2


def test_damage_to_a_released_journal_is_named_and_not_repaired(path, rng):
    small_journal(path, rng).release()
    content = bytearray(path.read_bytes())
    content[-SIZE - 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="Nothing is repaired"):
        Journal.open(path)


def test_damage_to_an_acknowledged_record_is_named_and_not_repaired(path):
    with Journal.create(path, **ABOUT) as journal:
        size = path.stat().st_size
        for k in range(4):
            journal.append("event", START_US, {"k": k})
            journal.commit()
    content = bytearray(path.read_bytes())
    content[size + SIZE + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=f"record 1 at byte {size} is damaged"):
        Journal.open(path)
    assert path.read_bytes() == content


def test_a_tail_of_many_megabytes_is_kept(path):
    journal = Journal.create(path, **ABOUT, group_bytes=1 << 30)
    size = path.stat().st_size
    for _ in range(3):
        journal.append("event", START_US, {}, personal=bytes(10 << 20))
    journal.commit()
    abandon(journal)
    content = bytearray(path.read_bytes())
    content[size] = 0
    path.write_bytes(content)
    with Journal.open(path) as journal:
        assert journal.repaired["cut_bytes"] == len(content) - size
    kept = b"".join(record.personal for record in records(path, "repair"))
    assert kept == content[size:]


def test_a_file_that_never_held_a_whole_record_is_named(path):
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="Nothing was ever acknowledged"):
        Journal.open(path)


# The system says no


def no_disk(_handle):
    raise OSError(errno.EIO, "no disk")


def test_a_full_disk_is_said_and_nothing_is_lost(path, monkeypatch):
    room = 20_000

    def pwrite(handle, data, offset, real=os.pwrite):
        fits = max(room - offset, 0)
        if not fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data[:fits], offset)

    monkeypatch.setattr(place.os, "pwritev", lambda handle, pieces, offset: pwrite(handle, b"".join(pieces), offset))
    monkeypatch.setattr(place.os, "pwrite", pwrite)
    journal = Journal.create(path, **ABOUT)
    acknowledged = 0
    for k in range(20):
        journal.append("event", START_US, {"k": k}, personal=bytes(500))
        acknowledged = journal.commit()
    journal.append("event", START_US, {"k": 20}, personal=bytes(10_000))
    with pytest.raises(FormatError, match="No space left on device"):
        journal.commit()
    assert verify_journal(path).n_records > acknowledged
    room = 1_000_000
    assert journal.commit() == acknowledged + 1
    journal.release()
    assert [record.facts["k"] for record in records(path, "event")] == list(range(acknowledged + 1))


def test_a_failed_sync_is_said_and_everything_is_written_again(path, monkeypatch):
    journal = Journal.create(path, **ABOUT)
    journal.append("event", START_US, {"k": 0}, personal=bytes(100_000))

    def fail(_handle):
        # What a failed fsync leaves in the file is not known: here, nothing.
        os.truncate(path, journal._disk.end)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("dronetrack.journal.disk._sync_data", fail)
        with pytest.raises(FormatError, match="Input/output error"):
            journal.commit()
    journal.append("event", START_US, {"k": 1})
    assert journal.commit() == 2
    journal.release()
    assert [record.facts["k"] for record in records(path, "event")] == [0, 1]


def test_a_fault_behind_the_callers_back_is_raised_and_nothing_is_lost(path, monkeypatch):
    journal = Journal.create(path, **ABOUT, sync="interval", group_us=1)

    def fail(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("dronetrack.journal.disk._sync_data", fail)
        for k in range(2):  # the second sends the first to the disk
            journal.append("event", START_US + k, {"k": k})
        wait([journal._disk._under_way[0]])
        with pytest.raises(FormatError, match="No space left on device"):
            journal.append("event", START_US + 2, {"k": "not added"})
    journal.append("event", START_US + 3, {"k": 2})
    journal.release()
    assert [record.facts["k"] for record in records(path, "event")] == [0, 1, 2]


FILLING = """
import signal, sys
from dronetrack.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal.create(sys.argv[1], purpose="p", authority="HU")
for k in range(1000):
    journal.append("event", k, {}, personal=bytes(1000))
    print(journal.commit(), flush=True)
"""


def check_filled(path, child, error):
    assert error in child.stderr
    acknowledged = int(child.stdout.split()[-1])
    assert acknowledged > 10
    assert verify_journal(path).n_records > acknowledged


def test_a_quota_that_is_used_up_is_said_and_nothing_is_lost(path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))"
    command = [sys.executable, "-c", limit + FILLING, str(path)]
    check_filled(path, subprocess.run(command, capture_output=True, text=True, check=False), "File too large")
    with Journal.open(path) as journal:
        assert journal.repaired["cut_bytes"] > 0


def test_a_file_system_that_is_full_is_said_and_nothing_is_lost(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        command = [sys.executable, "-c", FILLING, str(disk / "run.journal")]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        shutil.copy(disk / "run.journal", tmp_path)
        check_filled(tmp_path / "run.journal", child, "No space left on device")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_folder_is_said(tmp_path):
    code = f"""
import os, pathlib
from dronetrack.journal import Journal
os.chmod({str(tmp_path)!r}, 0o555)
if os.getuid() == 0:
    os.setuid(65534)
Journal.create(pathlib.Path({str(tmp_path)!r}) / "run.journal", purpose="p", authority="HU")
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "FormatError" in child.stderr
    assert "Permission denied" in child.stderr


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_taken_away_is_said_and_kept_beside(path, replaced, rng):
    journal = small_journal(path, rng)
    path.unlink()
    if replaced:
        path.write_bytes(b"something else")
    journal.append("event", START_US, {"k": 1})
    with pytest.raises(FormatError, match="removed or replaced"):
        journal.commit()
    with pytest.raises(FormatError, match="rescued-1"):
        journal.append("event", START_US, {})
    copy = path.with_name("run.journal.rescued-1")
    proof = verify_journal(copy)
    assert (proof.ok, proof.digest) == (True, journal.digest)
    assert path.exists() == replaced


def test_records_that_wait_are_rescued_as_well(path):
    journal = Journal.create(path, **ABOUT, sync="interval", group_us=10)
    journal.append("event", START_US, {"k": 0})
    journal.append("event", START_US + 20, {"k": 1})  # sends the first to the disk
    path.unlink()
    with pytest.raises(FormatError, match="all 3 records"):
        journal.commit()
    assert verify_journal(path.with_name("run.journal.rescued-1")).n_records == 3


def test_a_rescue_that_fails_is_tried_again(path, monkeypatch, rng):
    journal = small_journal(path, rng)
    path.unlink()
    journal.append("event", START_US, {})
    with monkeypatch.context() as patch:
        patch.setattr(place.os, "fsync", no_disk)
        with pytest.raises(FormatError, match="no disk"):
            journal.commit()
    with pytest.raises(FormatError, match="rescued-2"):
        journal.commit()
    assert verify_journal(path.with_name("run.journal.rescued-2")).digest == journal.digest


def test_a_journal_that_cannot_be_begun_leaves_no_file(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("dronetrack.journal.disk._sync_data", no_disk)
        with pytest.raises(FormatError, match="no disk"):
            Journal.create(path, **ABOUT)
    assert not path.exists()
    Journal.create(path, **ABOUT).release()


def test_a_release_that_fails_keeps_the_journal_open_and_can_be_repeated(path, monkeypatch):
    journal = Journal.create(path, **ABOUT)
    journal.append("event", START_US, {"k": 1})
    with monkeypatch.context() as patch:
        patch.setattr("dronetrack.journal.disk._sync_data", no_disk)
        for _ in range(2):
            with pytest.raises(FormatError):
                journal.release()
    journal.release()
    assert [record.kind for record in records(path)] == ["opened", "event", "released"]


def test_a_file_cut_short_by_another_program_is_said(path, rng):
    journal = small_journal(path, rng)
    os.truncate(path, 100)
    journal.append("event", START_US, {})
    with pytest.raises(FormatError, match="cut this journal short"):
        journal.commit()


def test_sensors_that_only_compare_equal_share_one_record(path):
    with Journal.create(path, **ABOUT) as journal:
        for k in range(2):
            z = measurements_of([k], 1, np.zeros((1, 3)), np.zeros((1, 3, 3)), Sensor("gnss"))
            journal.append_measurements(z)
    assert len(records(path, "sensors")) == 1


def test_names_of_sensors_come_back(path, rng):
    with small_journal(path, rng):
        pass
    assert records(path, "measurements")[0].measurements().sensors == (HOME, HOST)


@pytest.mark.parametrize("kind", ["opened", "measurements", "closed", "purge"])
def test_records_of_the_journals_own_kinds_are_not_appended_by_hand(path, kind):
    with Journal.create(path, **ABOUT) as journal, pytest.raises(InputError, match="the journal's own"):
        journal.append(kind, START_US, {})
