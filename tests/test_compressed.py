"""Logs are told by their first bytes and read through any common packing, within bounds."""

import bz2
import gzip
import lzma
import sys

import numpy as np
import pytest
from dataflash_logs import Writer
from hypothesis import given
from hypothesis import strategies as st

from dronetrack.errors import DronetrackError, FormatError
from dronetrack.mavlink import content as room
from dronetrack.mavlink import read_log_info, read_telemetry
from dronetrack.mavlink.content import read_content
from dronetrack.mavlink.frames import read_frames


def zstd_compress(content):
    return pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd").compress(content)


PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress, "zstd": zstd_compress}
LOG = b"".join(bytes([one]) * 997 for one in range(256))


@pytest.mark.parametrize("packing", PACKERS)
def test_each_packing_is_read_through(packing):
    found = read_content(PACKERS[packing](LOG))
    assert (found.data.tobytes(), found.packed, found.cut) == (LOG, packing, False)


@pytest.mark.parametrize("packing", PACKERS)
def test_parts_that_were_joined_are_read_as_one(packing):
    pack = PACKERS[packing]
    assert read_content(pack(LOG) + pack(LOG)).data.tobytes() == LOG + LOG


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_log_that_was_cut_gives_what_came_before(packing):
    whole = np.random.default_rng(1).bytes(3_000_000)  # what does not shrink is unpacked as it comes
    packed = PACKERS[packing](whole)
    found = read_content(packed[: len(packed) // 2])
    assert found.cut
    assert 0 < len(found.data) < len(whole)
    assert whole.startswith(found.data.tobytes())


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_log_of_which_nothing_is_left_is_refused(packing):
    with pytest.raises(FormatError, match=f"packed with {packing}"):
        read_content(PACKERS[packing](LOG)[:10])


@pytest.mark.parametrize("packing", PACKERS)
def test_what_unpacks_beyond_any_log_is_refused(packing, monkeypatch):
    monkeypatch.setattr(room, "FREE_BYTES", 1 << 20)
    with pytest.raises(FormatError, match="which no log does"):
        read_content(PACKERS[packing](bytes(30 << 20)))


def test_zstd_without_its_module_is_a_clear_sentence(monkeypatch):
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(FormatError, match=r"pip install 'dronetrack\[zstd\]'"):
        read_content(b"\x28\xb5\x2f\xfd" + bytes(20))


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_mavlink_log_is_the_log(demo, tmp_path, packing):
    part = (demo / "hu_drone.tlog").read_bytes()[:200_000]
    path = tmp_path / "drone.tlog.packed"
    path.write_bytes(PACKERS[packing](part))
    plain, packed = read_telemetry(part), read_telemetry(path)
    np.testing.assert_array_equal(plain.position.time_us, packed.position.time_us)
    np.testing.assert_array_equal(plain.attitude.quaternion, packed.attitude.quaternion)


def test_a_packed_log_that_ends_early_says_so(demo):
    packed = gzip.compress((demo / "hu_drone.tlog").read_bytes()[:200_000])
    assert read_telemetry(packed[:-20_000]).stats["packed_cut"] == 1
    assert "packed_cut" not in read_telemetry(packed).stats


def test_frames_are_not_looked_for_in_another_kind_of_log():
    with pytest.raises(FormatError, match="of kind dataflash, which has no frames"):
        read_frames(Writer().log)


def test_a_packed_dataflash_log_is_the_log():
    writer = Writer()
    writer.define("MSG", "QZ", "TimeUS,Message")
    writer.write("MSG", 5, "hello")
    assert read_log_info(gzip.compress(writer.log)) == read_log_info(writer.log)


def test_kinds_are_told_by_content_not_by_name(tmp_path, demo):
    flash = Writer()
    contents = {
        "dataflash": flash.log,
        "dataflash_text": "\n".join(flash.lines).encode(),
        "ulog": b"ULog\x01\x12\x35\x01" + bytes(8),
        "srt": b"1\r\n00:00:00,000 --> 00:00:01,000\r\nhello",
        "mavlink": (demo / "hu_drone.tlog").read_bytes()[:1000],
    }
    for kind, content in contents.items():
        path = tmp_path / "log.txt"
        path.write_bytes(content)
        assert read_content(path).kind == read_content(content).kind == kind


def test_a_dataflash_log_whose_first_bytes_are_damaged_is_still_one():
    writer = Writer()
    writer.define("FMT", "BBnNZ", "Type,Length,Name,Format,Columns", identity=128)
    assert read_content(b"\x00" + writer.log[1:]).kind == "dataflash"


def test_lines_of_any_length_are_told_apart_in_no_time():
    # The ends of lines once made the search for the first FMT line double its work with each of them.
    assert read_content(b"GPS(36.6146,-6.1120,0.0M)\r\n" * 2000).kind == "mavlink"


@pytest.mark.parametrize(("make", "words"), [("empty", "empty"), ("folder", "a folder"), ("missing", "no such file")])
def test_what_cannot_be_read_is_said(tmp_path, make, words):
    path = tmp_path / "log.bin"
    if make == "folder":
        path.mkdir()
    if make == "empty":
        path.write_bytes(b"")
    with pytest.raises(FormatError, match=words):
        read_content(path)


MAGICS = [
    b"\x1f\x8b\x08",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"BZh9",
    b"\xa3\x95",
    b"ULog\x01\x12\x35\x01",
    b"FMT, 1",
]


@given(st.sampled_from(MAGICS), st.binary(max_size=300))
def test_no_bytes_raise_anything_but_the_librarys_own_errors(magic, rest):
    for read in (read_content, read_telemetry, read_log_info):
        try:
            read(magic + rest)
        except DronetrackError:
            continue


@given(st.sampled_from(list(PACKERS)), st.integers(0, 10**6), st.integers(1, 255))
def test_a_flipped_bit_in_a_packed_log_is_cut_or_refused(packing, place, change):
    packed = bytearray(PACKERS[packing](LOG))
    packed[place % len(packed)] ^= change
    try:
        found = read_content(bytes(packed))
    except DronetrackError:
        return
    assert len(found.data) > 0
