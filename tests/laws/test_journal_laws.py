"""Laws 1, 5 and 8 for the record: tables come back, what was acknowledged stays, any bytes are judged."""

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from journals import ABOUT, READER, START_US, abandon, rows, same_rows, small_journal

from dronetrack.columns import FURTHEST_US
from dronetrack.errors import DronetrackError, FormatError, NotAuthorisedError
from dronetrack.journal import Journal, purge, read_accesses, read_journal, verify_journal
from dronetrack.journal.records import PREAMBLE
from dronetrack.journal.telling import verification_lines
from dronetrack.measurements import Measurements, Sensor, merge

FRESH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture
def path(tmp_path, monkeypatch):
    # Thousands of journals: what a sync does is not what these laws are about.
    monkeypatch.setattr("dronetrack.journal.disk._sync_data", lambda _handle: None)
    monkeypatch.setattr("dronetrack.journal.writer.keep_folder", lambda _path: None)
    return tmp_path / "run.journal"


def fresh(path):
    for one in path.parent.iterdir():
        one.unlink()
    return path


def records(path):
    return list(read_journal(path, role="auditor", **READER))


def read_rows(path):
    return merge(*(record.measurements() for record in records(path) if record.kind == "measurements"))


bits = st.floats(allow_nan=True, allow_infinity=True, width=64)
finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
positive = st.floats(min_value=0, exclude_min=True, allow_infinity=True, allow_nan=False)
angle = st.floats(min_value=0, max_value=3.0)
sensor = st.builds(
    Sensor,
    name=st.text(max_size=12),
    authority=st.text(max_size=3),
    shared_time_s=positive,
    heading_std_rad=angle,
    boresight_std_rad=angle,
    heading_time_s=positive,
    boresight_time_s=positive,
    wander_std_rad=angle,
    wander_time_s=positive,
    starts_tracks=st.booleans(),
    platform=st.text(max_size=5),
)


@st.composite
def tables(draw):
    n = draw(st.integers(1, 12))
    sensors = draw(st.lists(sensor, min_size=1, max_size=3, unique_by=lambda one: one.name))

    def column(dtype, shape, elements):
        return draw(arrays.arrays(dtype, (n, *shape), elements=elements))

    return Measurements(
        time_us=np.sort(column(np.int64, (), st.integers(-FURTHEST_US, FURTHEST_US))),
        sensor_id=column(np.int32, (), st.integers(0, len(sensors) - 1)),
        kind=column(np.int8, (), st.integers(0, 3)),
        z=column(np.float64, (3,), bits),
        cov=column(np.float64, (3, 3), finite),
        site_ecef_m=column(np.float64, (3,), bits),
        site_cov=column(np.float64, (3, 3), finite),
        target_id=column(np.int32, (), st.integers(-1, 2**31 - 1)),
        sensors=tuple(sensors),
    )


@given(tables())
@FRESH
def test_any_table_comes_back_bit_for_bit(path, z):
    with Journal.create(fresh(path), **ABOUT) as journal:
        journal.append_measurements(z)
    parts = [record.measurements() for record in records(path) if record.kind == "measurements"]
    assert all(part.sensors == z.sensors for part in parts)
    for name in ("time_us", "sensor_id", "kind", "z", "cov", "site_ecef_m", "site_cov", "target_id"):
        there = b"".join(getattr(part, name).tobytes() for part in parts)
        assert there == getattr(z, name).tobytes(), name


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
facts_of = st.dictionaries(st.text(max_size=6) | st.sampled_from(["lat_deg", "state", "place"]), plain, max_size=4)


@given(facts_of, st.binary(max_size=50), st.integers(-(2**63), 2**63 - 1))
@FRESH
def test_any_facts_come_back(path, facts, personal, time_us):
    with Journal.create(fresh(path), **ABOUT) as journal:
        journal.append("event", time_us, facts, personal=personal)
    record = records(path)[1]
    assert (record.facts, record.personal, record.time_us) == (facts, personal, time_us)


@given(st.lists(st.integers(1, 199), max_size=8), st.sampled_from(["commit", "interval", "never"]), st.randoms())
@FRESH
def test_any_split_of_a_table_gives_the_same_rows(path, cuts, sync, random):
    z = rows(200, np.random.default_rng(random.getrandbits(32)))
    edges = sorted({0, 200, *cuts})
    with Journal.create(fresh(path), **ABOUT, sync=sync, group_bytes=3000, group_us=5_000_000) as journal:
        for start, stop in itertools.pairwise(edges):
            journal.append_measurements(z.take(slice(start, stop)))
    assert same_rows(read_rows(path), z)


@given(st.data())
@FRESH
def test_whatever_happens_behind_what_was_acknowledged_it_is_all_there(path, data):
    """A killed process leaves a prefix of its last group; a power cut leaves any bytes at all there."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    journal = Journal.create(fresh(path), **ABOUT)
    for k in range(data.draw(st.integers(0, 4))):
        journal.append("event", START_US, {"k": k}, personal=rng.bytes(30))
        journal.append_measurements(rows(2, rng, start_us=START_US + k))
        journal.commit()
    safe, size = len(journal), path.stat().st_size
    for k in range(data.draw(st.integers(1, 4))):
        journal.append("event", START_US, {"later": k}, personal=rng.bytes(30))
    journal.commit()
    abandon(journal)
    content = bytearray(path.read_bytes())
    end = data.draw(st.integers(size, len(content)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(size, len(content) - 1))
        content[at : at + 40] = data.draw(st.sampled_from([bytes(40), rng.bytes(40)]))[: len(content) - at]
    path.write_bytes(content[:end])
    before = content[:size]
    with Journal.open(path) as journal:
        kept = len(journal)
        assert kept >= safe
    assert path.read_bytes()[:size] == before
    proof = verify_journal(path)
    assert proof.ok
    assert [record.sequence for record in records(path)] == list(range(proof.n_records))


@given(st.binary(max_size=600), st.booleans())
@FRESH
def test_any_bytes_are_a_journal_or_an_error(path, content, headed):
    fresh(path).write_bytes(PREAMBLE + content if headed else content)
    assert not verify_journal(path).ok
    for read in (records, Journal.open, lambda one: purge(one, before_us=1, who="P", authority="HU", time_us=1)):
        with pytest.raises(FormatError):
            read(path)


KINDS = ["sensors", "measurements", "track", "purge", "repair", "closed", "released", "opened", "disclosed", "event"]
NAMES = ["sensors", "rows", "n", "track_id", "stats", "gone", "offset", "up_to", "digest", "n_records", "accesses"]
odd_facts = st.dictionaries(st.sampled_from(NAMES), plain, max_size=4)


@given(st.lists(st.tuples(st.sampled_from(KINDS), odd_facts, st.binary(max_size=30)), min_size=1, max_size=4))
@FRESH
def test_records_that_another_program_wrote_are_read_or_refused(path, strange):
    """The chain proves itself, and what the records say is nonsense."""
    journal = Journal.create(fresh(path), **ABOUT)
    for kind, facts, personal in strange:
        journal._append(kind, START_US, facts, [personal] if personal else [])
    journal.commit()
    abandon(journal)

    def tables_of(path):
        for record in records(path):
            for table in (record.measurements, record.track):
                with contextlib.suppress(DronetrackError):
                    table()

    def all_of(role):
        return lambda path: list(read_journal(path, role=role, authority="RO", **READER))

    later = {"before_us": START_US + 1, "who": "P", "authority": "HU", "time_us": 1}
    tell = (verify_journal, lambda path: verification_lines(verify_journal(path)), tables_of, all_of("operator"))
    for read in (*tell, all_of("auditor"), lambda path: purge(path, **later), verify_journal, Journal.open):
        with contextlib.suppress(DronetrackError):
            read(path)


AUTHORITIES = ["HU", "RO", "AT"]
SENSORS = tuple(Sensor(f"{who} {k}", who) for who in AUTHORITIES for k in (1, 2))
happening = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(AUTHORITIES)),
    st.tuples(st.just("rows"), st.lists(st.integers(0, len(SENSORS) - 1), min_size=1, max_size=8)),
)


def a_few_rows(ids):
    n = len(ids)
    nothing, place = np.zeros((n, 3, 3)), np.arange(3.0 * n).reshape(n, 3)
    kind, target = np.ones(n, dtype=np.int8), np.full(n, -1, dtype=np.int32)
    times = START_US + np.arange(n)
    return Measurements(times, np.array(ids, dtype=np.int32), kind, place, nothing, place, nothing, target, SENSORS)


@given(
    st.lists(happening, max_size=6),
    st.booleans(),
    st.sampled_from(["operator", "supervisor", "auditor"]),
    st.sampled_from(AUTHORITIES),
    st.sampled_from(["", "review"]),
)
@settings(FRESH, max_examples=150)
def test_no_one_reads_what_the_rule_does_not_permit(path, happenings, closed, role, authority, purpose):
    """The rules, said a second time: who is let in, and what is seen; every attempt leaves one entry."""
    journal = Journal.create(fresh(path), **ABOUT)
    for what, of in happenings:
        if what == "event":
            journal.append("event", START_US, {"authority": of, "lat_deg": 46.0})
        else:
            journal.append_measurements(a_few_rows(of))
    _ = journal.close() if closed else journal.release()
    permitted = {
        "operator": purpose != "" and not closed,
        "supervisor": purpose != "" and authority == "HU",
        "auditor": True,
    }[role]
    reader = {"role": role, "who": "N. N.", "authority": authority, "purpose": purpose, "time_us": START_US}
    try:
        found = list(read_journal(path, **reader))
    except NotAuthorisedError:
        found = None
    assert (found is not None) == permitted
    entries = list(read_accesses(path, role="auditor", who="the test", purpose="", time_us=START_US))[:-1]
    assert [one.kind for one in entries] == (["access", "disclosed"] if permitted else ["refused"])
    assert entries[0].facts["who"] == "N. N."
    for record in found or ():
        if not purpose:
            assert not record.personal
            assert "lat_deg" not in record.facts
        if role == "operator" and record.kind == "event":
            assert record.facts["authority"] == authority
        if role == "operator" and record.kind == "measurements":
            z = record.measurements()
            assert {z.sensors[k].authority for k in z.sensor_id} == {authority}
            assert all(count == 0 or SENSORS[k].authority == authority for k, count in enumerate(record.facts["rows"]))
    n_seen = sum(record.kind == "event" for record in found or ())
    n_rows = sum(sum(record.facts["rows"]) for record in found or () if record.kind == "measurements")
    mine = [authority] if role == "operator" else AUTHORITIES
    if permitted:
        assert n_seen == sum(what == "event" and of in mine for what, of in happenings)
        rows_of = [SENSORS[k].authority for what, of in happenings if what == "rows" for k in of]
        assert n_rows == sum(who in mine for who in rows_of)


DAMAGE = st.tuples(
    st.integers(0, 10**6), st.sampled_from(["flip", "cut", "insert"]), st.binary(min_size=1, max_size=300)
)


@given(st.lists(DAMAGE, min_size=1, max_size=4), st.booleans())
@FRESH
def test_a_damaged_journal_is_judged_and_never_crashes(path, damage, of_log):
    small_journal(fresh(path), np.random.default_rng(1)).release()
    records(path)
    place = path.with_name("run.journal.access") if of_log else path
    whole = place.read_bytes()
    content = bytearray(whole)
    for at, what, rubbish in damage:
        if what == "flip":
            content[at % len(content)] ^= 1 + rubbish[0] % 255
        elif what == "cut" and len(content) > len(rubbish):
            start = at % len(content)
            del content[start : start + len(rubbish)]
        else:
            content[at % len(content) : at % len(content)] = rubbish
    place.write_bytes(content)
    assert verify_journal(path).ok == (bytes(content) == whole)
    for read in (records, Journal.open):
        try:
            read(path)
        except DronetrackError:
            continue


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4), st.lists(st.integers(0, 20), min_size=1, max_size=10))
@FRESH
def test_any_purges_leave_a_chain_that_proves_itself(path, befores, times):
    with Journal.create(fresh(path), **ABOUT) as journal:
        for time_us in times:
            journal.append("event", time_us, {"lat_deg": 46.0} if time_us % 3 else {})
        noted = journal.digest
    for before_us in befores:
        purge(path, before_us=before_us, who="P", authority="HU", time_us=30)
        assert verify_journal(path, digest=noted).ok
    events = [record for record in records(path) if record.kind == "event"]
    gone = [bool(time_us % 3) and time_us < max(befores) for time_us in times]
    assert [record.purged for record in events] == gone
