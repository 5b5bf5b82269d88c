"""DataFlash is read exactly: every record and field as pymavlink's DFReader reads them, and more of damaged logs."""

import contextlib
import io
import itertools
import lzma
import math
import re

import numpy as np
import pytest
from dataflash_logs import Writer
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.DFReader import DFReader_binary, DFReader_text

from dronetrack.errors import DronetrackError, FormatError, InputError
from dronetrack.mavlink.content import read_content
from dronetrack.mavlink.dataflash import read_dataflash
from dronetrack.mavlink.onboard import onboard_messages

LOGS = {"logs/ardusub_small.BIN": 7_510, "logs/pymavlink_test.BIN": 1_731}


@contextlib.contextmanager
def their_log(path, kind=DFReader_binary):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        log = kind(str(path))
        try:
            yield log
        finally:
            log.close()


def their_records(log):
    """Every record of pymavlink: name -> list of records."""
    rows = {}
    while (record := log.recv_msg()) is not None:
        rows.setdefault(record.get_type(), []).append(record)
    return rows


def assert_like_dfreader(path):
    log = read_dataflash(path)
    with their_log(path) as other:
        rows = their_records(other)
        assert log.counts == {name: len(same) for name, same in rows.items()}
        for name, same in rows.items():
            stored = log.records[name]
            for place, column in enumerate(stored.dtype.names):
                theirs = [record._elements[place] for record in same]
                if stored.dtype[column].kind == "S":
                    assert [one.rstrip(b"\0") for one in theirs] == stored[column].tolist(), (name, column)
                else:
                    expected = np.array(theirs, dtype=stored.dtype[column].base).reshape(stored[column].shape)
                    np.testing.assert_array_equal(stored[column], expected, err_msg=f"{name}.{column}")
            physical_like_dfreader(log, name, same)
    return log


def physical_like_dfreader(log, name, same):
    """Values in units: where the log gives a factor beyond the format's own, DFReader leaves it to the reader."""
    ours = log.columns(name)
    for place, column in enumerate(same[0].fmt.columns):
        code = same[0].fmt.msg_fmts[place]
        if code in "nNZa":
            continue
        factor = log.multipliers.get(name, {}).get(column, 1.0) if code not in "cCeEL" and column != "TimeUS" else 1.0
        theirs = np.array([getattr(record, column) for record in same], dtype=np.float64)
        np.testing.assert_allclose(ours[column], theirs * factor, rtol=1e-15, err_msg=f"{name}.{column}")


@pytest.mark.parametrize("log", LOGS)
def test_every_field_of_real_logs_is_as_dfreader_reads_it(shared, log):
    assert assert_like_dfreader(shared(log)).stats["records"] == LOGS[log]


def test_every_field_of_the_flight_is_as_dfreader_reads_it(shared, tmp_path):
    with lzma.open(shared("sitl/sitl_run3_copter.BIN.xz")) as packed:
        part = packed.read(2_000_000)
    (tmp_path / "part.BIN").write_bytes(part)
    log = assert_like_dfreader(tmp_path / "part.BIN")
    assert log.stats["skipped_bytes"] == 0
    assert log.instances["XKF1"] == "C"


def test_every_record_of_the_whole_flight_is_found(shared):
    log = read_dataflash(shared("sitl/sitl_run3_copter.BIN.xz"), names=["GPS"])
    # DFReader counts the same 831,334, one by one, in the benchmark of on-board logs.
    assert (log.stats["records"], log.stats["skipped_bytes"], log.stats["cut_bytes"]) == (831_334, 0, 23)
    assert len(log.records["GPS"]) == 2_295


def test_the_golden_dump_of_pymavlinks_own_test_is_reproduced(shared):
    log = read_dataflash(shared("logs/pymavlink_test.BIN"))
    columns = {name: log.columns(name) for name in log.records}
    place = dict.fromkeys(columns, 0)
    lines = shared("logs/pymavlink_test.BIN.py3.dumped.txt").read_text().splitlines()
    for line in lines:
        name, body = re.fullmatch(r".{22,23}: (\w+) \{(.*)\}", line).groups()
        row, place[name] = place[name], place[name] + 1
        told = re.findall(r"(\w+) : (.*?)(?=, \w+ : |$)", body)
        assert [column for column, _ in told] == list(columns[name])
        for column, text in told:
            value = columns[name][column][row]
            if isinstance(value, np.floating):
                # The dump is from when DFReader multiplied by 0.01; the division that it makes now is more exact.
                assert math.isclose(value, float(text.replace("qnan", "nan")), rel_tol=3e-16) or math.isnan(value)
            else:
                ours = value.split(b"\0")[0].decode() if isinstance(value, bytes) else str(value)
                assert ours == text, (name, column)
    assert sum(place.values()) == len(lines) == log.stats["records"]


def small_log(n=40):
    """A short flight: GPS of two instances, attitude, text."""
    writer = Writer()
    writer.define("GPS", "QBBIHLLe", "TimeUS,I,Status,GMS,GWk,Lat,Lng,Alt")
    writer.define("ATT", "QccC", "TimeUS,Roll,Pitch,Yaw")
    writer.define("MSG", "QZ", "TimeUS,Message")
    writer.explain("GPS", "s#----m", "F-------")
    for row in range(n):
        writer.write("GPS", 1000 * row, row % 2, 3, 1000 * row, 2400, 46.2 + 1e-4 * row, 20.7, 84.0)
        writer.write("ATT", 1000 * row, -1.5, 0.25, row)
        writer.write("MSG", 1000 * row, f"row {row}, said so")
    return writer


def rows_of(log):
    """Every record as (name, bytes), in the order of the log."""
    rows = [
        (start, name, record.tobytes())
        for name, table in log.records.items()
        for start, record in zip(log.offsets[name].tolist(), table, strict=True)
    ]
    return [row[1:] for row in sorted(rows)]


def test_every_code_of_a_column_is_read():
    writer = Writer()
    writer.define("ALL", "bBhHiIqQfdgM", "b,B,h,H,i,I,q,Q,f,d,g,M")
    writer.define("TXT", "nNZcCeELa", "n,N,Z,c,C,e,E,L,a")
    numbers = (-5, 250, -30_000, 60_000, -(2**31), 2**32 - 1, -(2**63), 2**64 - 1, 0.5, 0.1, 0.25, -3)
    writer.write("ALL", *numbers)
    samples = np.arange(-16, 16, dtype="<i2")
    writer.write(
        "TXT", "abcd", "n" * 16, "z" * 64, -1.25, 600.5, -20_000.01, 40_000_000.0, -46.1234567, samples.tobytes()
    )
    log = read_dataflash(writer.log)
    assert tuple(column[0] for column in log.columns("ALL").values()) == numbers
    text = log.columns("TXT")
    assert [text[name][0] for name in "nNZ"] == [b"abcd", b"n" * 16, b"z" * 64]
    np.testing.assert_allclose(
        [text[name][0] for name in "cCeEL"], [-1.25, 600.5, -20_000.01, 40_000_000.0, -46.1234567]
    )
    np.testing.assert_array_equal(text["a"], samples[None])


def test_units_and_factors_come_from_the_log():
    writer = Writer()
    writer.define("SONR", "QBhf", "TimeUS,I,Dist,Tilt")
    writer.explain("SONR", "s#md", "F-B0")
    writer.write("SONR", 5_000_000, 1, 1234, 0.5)
    log = read_dataflash(writer.log)
    columns = log.columns("SONR")
    assert columns["Dist"].tolist() == [12.34]
    assert columns["TimeUS"].tolist() == [5_000_000]
    assert columns["TimeUS"].dtype == np.int64
    assert log.units["SONR"] == {"TimeUS": "s", "I": "instance", "Dist": "m", "Tilt": "deg"}
    assert log.instances["SONR"] == "I"


def test_instances_are_told_apart():
    log = read_dataflash(small_log().log)
    assert log.columns("GPS", instance=1)["TimeUS"].tolist() == list(range(1000, 40_000, 2000))
    with pytest.raises(InputError, match="ATT has no instances"):
        log.columns("ATT", instance=0)


def test_a_message_that_is_not_there_has_no_columns():
    assert read_dataflash(small_log().log).columns("NONE") == {}


def test_only_what_was_asked_for_is_gathered():
    log = read_dataflash(small_log().log, names=["ATT"])
    assert set(log.records) == {"ATT", "FMTU", "UNIT", "MULT"}
    assert log.counts["GPS"] == 40


def test_a_log_with_only_headers_has_no_rows():
    writer = Writer()
    writer.define("GPS", "QB", "TimeUS,I")
    log = read_dataflash(writer.log)
    assert log.counts == {"FMT": 2}
    assert log.columns("GPS") == {}


def test_bytes_without_a_definition_are_no_log():
    with pytest.raises(FormatError, match="no FMT record"):
        read_dataflash(b"\xa3\x95\x01" + bytes(50))


def test_a_definition_that_contradicts_itself_defines_nothing():
    writer = small_log()
    at = writer.log.index(b"QccC") - 5  # the length of ATT
    broken = bytearray(writer.log)
    broken[at] += 1
    log = read_dataflash(bytes(broken))
    assert log.stats["bad_definitions"] == 1
    assert "ATT" not in log.counts
    assert (log.counts["GPS"], log.counts["MSG"]) == (40, 40)


def test_an_id_that_is_defined_anew_is_read_by_each_definition_in_its_place():
    writer = Writer()
    writer.define("OLD", "QB", "TimeUS,I", identity=200)
    writer.write("OLD", 1, 2)
    writer.define("NEW", "Qd", "TimeUS,Value", identity=200)
    writer.write("NEW", 3, 0.5)
    log = read_dataflash(writer.log)
    assert log.columns("OLD")["I"].tolist() == [2]
    assert log.columns("NEW")["Value"].tolist() == [0.5]


def test_a_message_laid_out_in_two_ways_keeps_both():
    writer = Writer()
    for codes, columns, values in (("QB", "TimeUS,I", (1, 2)), ("QBB", "TimeUS,I,J", (3, 4, 5))):
        writer.define("DUO", codes, columns, identity=200)
        writer.write("DUO", *values)
    log = read_dataflash(writer.log)
    assert sorted(log.counts.values()) == [1, 1, 3]
    assert sum(name.startswith("DUO") for name in log.records) == 2


def test_columns_that_repeat_or_are_missing_are_all_kept():
    writer = Writer()
    writer.define("ODD", "QBBB", "TimeUS,I,I")
    writer.write("ODD", 1, 2, 3, 4)
    assert [column[0] for column in read_dataflash(writer.log).columns("ODD").values()] == [1, 2, 3, 4]


def test_messages_of_any_on_board_log_are_had_by_name():
    found = onboard_messages(read_content(small_log().log), ["GPS", "MSG"])
    assert set(found) == {"GPS", "MSG"}
    assert found["GPS"]["Lat"][0] == 46.2


# Damage: what was not touched is read, and every byte is a record or counted.


@given(st.integers(0, 160), st.binary(min_size=1, max_size=300))
def test_bytes_put_between_two_records_cost_no_record(place, rubbish):
    writer = small_log()
    at = [*writer.starts, len(writer.log)][place % (len(writer.starts) + 1)]
    log = read_dataflash(writer.log[:at] + rubbish + writer.log[at:])
    whole = read_dataflash(writer.log)
    if b"\xa3\x95" not in rubbish + writer.log[at : at + 1]:
        assert rows_of(log) == rows_of(whole)
        assert log.stats["skipped_bytes"] == len(rubbish)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 60))
def test_a_cut_costs_only_the_records_it_touches(row, into, length):
    writer = small_log()
    starts = [*writer.starts, len(writer.log)]
    flight = len(starts) - 120  # behind the definitions
    row = flight + row % (len(starts) - 1 - flight)
    at, stop = starts[row] + into, starts[row] + into + length
    log = read_dataflash(writer.log[:at] + writer.log[stop:])
    spans = list(itertools.pairwise(starts))
    untouched = [writer.log[start + 3 : end] for start, end in spans if end <= at or start >= stop]
    found = [body for _, body in rows_of(log)]
    # Where a cut record's length ends just where another ends, the format has nothing that tells.
    joined = next(end + length for start, end in spans if start <= at < end)
    if joined in starts:
        return
    # The head of one record and the rest of another may have a record's shape together: no more than one.
    assert 0 <= len(found) - len(untouched) <= 1
    remaining = iter(found)
    assert all(body in remaining for body in untouched)


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=150)
def test_every_byte_of_a_damaged_log_is_a_record_or_counted(place, change):
    damaged = bytearray(small_log(12).log)
    damaged[place % len(damaged)] ^= change
    log = read_dataflash(bytes(damaged))
    covered = sum(count * log.layouts[name].length for name, count in log.counts.items())
    assert covered + log.stats["skipped_bytes"] + log.stats["cut_bytes"] == len(damaged)


def test_a_record_that_was_cut_does_not_swallow_the_next_as_dfreader_lets_it(tmp_path):
    writer = small_log()
    start = writer.starts[100]
    (tmp_path / "cut.bin").write_bytes(writer.log[: start + 10] + writer.log[start + 14 :])
    with their_log(tmp_path / "cut.bin") as other:
        theirs = sum(map(len, their_records(other).values()))
    log = read_dataflash(tmp_path / "cut.bin")
    assert log.stats["records"] == len(writer.starts) - 1
    assert theirs == len(writer.starts) - 1  # it takes the cut one with false values, and loses a good one
    assert log.stats["bad_records"] == 1


def test_a_log_that_stops_in_a_record_says_how_many_bytes_are_left():
    writer = small_log()
    log = read_dataflash(writer.log[:-10])
    assert log.stats["cut_bytes"] == 3 + 72 - 10
    assert log.stats["skipped_bytes"] == log.stats["bad_records"] == 0


def test_padding_behind_the_last_record_is_skipped():
    writer = small_log()
    log = read_dataflash(writer.log + b"\xff" * 300)
    assert log.stats["records"] == len(writer.starts)
    assert log.stats["skipped_bytes"] == 300


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_raise_anything_but_the_librarys_own_errors(rubbish, behind):
    content = small_log(2).log + rubbish if behind else b"\xa3\x95" + rubbish
    try:
        log = read_dataflash(content)
    except DronetrackError:
        return
    for name in log.records:
        log.columns(name)


# Text


def test_a_text_log_holds_what_dfreader_reads(tmp_path):
    writer = small_log()
    path = tmp_path / "flight.log"
    path.write_text("\n".join(writer.lines) + "\n")
    log = read_dataflash(path)
    with their_log(path, DFReader_text) as other:
        rows = their_records(other)
    assert all(log.counts[name] == len(rows[name]) for name in ("FMT", "GPS", "ATT", "MSG"))
    for name in ("GPS", "ATT"):
        for column, values in log.columns(name).items():
            np.testing.assert_allclose(values, [getattr(one, column) for one in rows[name]], rtol=1e-15)
    # DFReader cuts a text at its first comma.
    assert log.columns("MSG")["Message"][3] == b"row 3, said so"
    assert rows["MSG"][3].Message == "row 3"


def test_text_and_binary_of_one_flight_are_one():
    writer = small_log()
    binary, text = read_dataflash(writer.log), read_dataflash("\r\n".join(writer.lines).encode())
    assert (binary.counts, binary.units, binary.instances) == (text.counts, text.units, text.instances)
    for name in binary.records:
        for (column, ours), theirs in zip(binary.columns(name).items(), text.columns(name).values(), strict=True):
            if ours.dtype.kind == "S":
                assert ours.tolist() == theirs.tolist()
            else:
                np.testing.assert_allclose(ours, theirs, atol=1e-9, err_msg=f"{name}.{column}")


@given(st.text(max_size=300))
def test_no_text_raises_anything_but_the_librarys_own_errors(text):
    lines = small_log(1).lines
    log = read_dataflash("\n".join([*lines, text, lines[-1]]).encode())
    assert log.stats["records"] >= len(lines)


def test_lines_that_are_no_record_are_counted():
    lines = small_log(3).lines
    spoilt = [*lines, "GPS, 1, 2", "NONE, 5", "ATT, x, 1.0, 2.0, 3.0", f"GPS, {2**70}, 0, 3, 0, 0, 1, 1, 1"]
    log = read_dataflash("\n".join(spoilt).encode())
    assert log.stats["bad_records"] == 4
    assert log.stats["records"] == len(lines)


def test_kernels_are_compiled_once_for_any_source(tmp_path):
    from dronetrack.kernels import onboard

    log = small_log().log
    (tmp_path / "one.bin").write_bytes(log)
    for source in (log, bytearray(log), memoryview(log), tmp_path / "one.bin"):
        read_dataflash(source)
        read_dataflash(source, names=["GPS"])
    assert len(onboard.scan_dataflash.signatures) == len(onboard.gather_records.signatures) == 1
