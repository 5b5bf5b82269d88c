"""A decoder gives the same frames however its bytes come, trusts no length, and lets no wrong signature through."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import all as mavlink
from pymavlink.dialects.v20 import common, storm32

from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink.frames import ROW_COLUMNS, Decoder, index_frames, is_stamped, join_frames, read_frames
from dronetrack.mavlink.layouts import dialect_of
from dronetrack.reference import find_frames

KEY = hashlib.sha256(b"dronetrack-test").digest()
START_US = 1_795_470_000_000_000


def heartbeat(link, *, version=2, dialect=mavlink):
    message = dialect.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)
    frame = message.pack(link, force_mavlink1=version == 1)
    link.seq = (link.seq + 1) % 256
    return frame


def attitude(link, number, *, version=2):
    message = mavlink.MAVLink_attitude_message(100 * number, 0.1, 0.2, 0.01 * number, 0.0, 0.0, 1.1)
    frame = message.pack(link, force_mavlink1=version == 1)
    link.seq = (link.seq + 1) % 256
    return frame


def signing_link(key=KEY, link_id=3, start=1_000_000, system=1):
    link = mavlink.MAVLink(None, srcSystem=system, srcComponent=1)
    link.signing.secret_key, link.signing.sign_outgoing = key, True
    link.signing.link_id, link.signing.timestamp = link_id, start
    return link


def stamped(frames, start_us=START_US):
    return b"".join((start_us + 1000 * row).to_bytes(8, "big") + frame for row, frame in enumerate(frames))


def said(batches):
    """Everything that a reader can see of the frames: one list of rows, whatever the batches."""
    rows = []
    for one in batches:
        parts = zip(one.start.tolist(), one.stop.tolist(), one.receive_us.tolist(), strict=True)
        rows += [(bytes(one.data[start:stop]), stamp) for start, stop, stamp in parts]
    return rows


@st.composite
def streams(draw):
    """Frames of several senders, versions and signatures between rubbish, some of them damaged or unknown."""
    has_stamps = draw(st.booleans())
    links = [mavlink.MAVLink(None, srcSystem=1), mavlink.MAVLink(None, srcSystem=2), signing_link(system=3)]
    content = b""
    for number in range(draw(st.integers(0, 12))):
        which = draw(st.integers(0, 4))
        if which < 3:
            frame = attitude(links[which], number, version=1 + (which > 0))
        elif which == 3:
            frame = unknown_frame(number % 256, bytes(range(draw(st.integers(1, 30)))))
        else:
            frame = draw(st.binary(max_size=20)) + draw(st.sampled_from([b"", b"\xfd", b"\xfe", b"\xfd\xff\x00"]))
        if which < 4 and has_stamps:
            frame = draw(st.sampled_from([START_US, 0xFDFEFDFEFDFEFDFE, 0xFE, 0xFD << 56])).to_bytes(8, "big") + frame
        if draw(st.integers(0, 9)) == 0 and frame:
            broken = bytearray(frame)
            broken[draw(st.integers(0, len(broken) - 1))] ^= 1 << draw(st.integers(0, 7))
            frame = bytes(broken)
        content += frame
    return has_stamps, content[: len(content) - draw(st.integers(0, 5))] if content else content


def unknown_frame(sequence, payload, identity=65_000, system=1):
    """A MAVLink 2 frame of an id that no dialect has; its checksum cannot be known."""
    head = bytes([0xFD, len(payload), 0, 0, sequence, system, 1]) + identity.to_bytes(3, "little")
    return head + payload + b"\x12\x34"


@given(streams(), st.lists(st.integers(0, 600), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_frames(stream, cuts):
    has_stamps, content = stream
    whole = index_frames(content, stamped=has_stamps)
    decoder = Decoder(stamped=has_stamps)
    edges = [0, *sorted(cut for cut in cuts if cut < len(content)), len(content)]
    batches = [decoder.update(content[a:b]) for a, b in itertools.pairwise(edges)]
    batches.append(decoder.flush())
    assert said(batches) == said([whole])
    assert decoder.stats == whole.stats


def test_byte_by_byte_is_the_whole_of_a_recording(demo):
    content = (demo / "ro_drone.tlog").read_bytes()[:6_000]
    decoder = Decoder(stamped=True)
    batches = [decoder.update(content[row : row + 1]) for row in range(len(content))] + [decoder.flush()]
    whole = index_frames(content)
    assert len(whole) > 50
    assert said(batches) == said([whole])
    joined = join_frames(batches)
    for name in ("message", "source", "sequence", "receive_us"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    assert joined.columns("ATTITUDE")[0].tobytes() == whole.columns("ATTITUDE")[0].tobytes()


def test_a_frame_is_given_as_soon_as_its_last_byte_is_there():
    link, decoder = mavlink.MAVLink(None), Decoder()
    for _ in range(5):
        frame = heartbeat(link)
        assert len(decoder.update(frame[:-1], time_us=1)) == 0
        batch = decoder.update(frame[-1:], time_us=2)
        assert batch.receive_us.tolist() == [2]


def test_magic_bytes_inside_stamps_cost_no_frame():
    link = mavlink.MAVLink(None)
    stamps = [0xFDFDFDFDFDFDFDFD, 0xFEFEFEFEFEFEFEFE, 0x0006_5FFD_1CFE_09FD, 0xFD1C_0000_0000_0000]
    content = b"".join(stamp.to_bytes(8, "big") + attitude(link, row) for row, stamp in enumerate(stamps * 5))
    frames = index_frames(content)
    assert (len(frames), frames.stats["skipped_bytes"]) == (20, 0)
    assert [stamp % 2**64 for stamp in frames.receive_us[:4].tolist()] == stamps


def test_a_length_that_lies_costs_no_frame_behind_it():
    link = mavlink.MAVLink(None)
    for liar in (b"\xfd\xff\x00\x00\x00\x01\x01\x1e\x00\x00", b"\xfe\xff\x00\x01\x01\x1e"):
        frames = index_frames(liar + b"".join(attitude(link, row) for row in range(12)), stamped=False)
        assert len(frames) == 12


def test_an_unknown_id_that_lies_about_its_length_costs_no_frame_either():
    link = mavlink.MAVLink(None)
    inside = attitude(link, 0) + attitude(link, 1)
    # The end that this length points at is the start of the third frame: it looks as right as it can.
    liar = unknown_frame(0, inside[:-2])[:-2] + inside[-2:]
    frames = index_frames(liar + attitude(link, 2), stamped=False)
    assert len(frames) == 3
    assert frames.stats["unknown_id_frames"] == 0


def test_frames_of_unknown_id_are_stepped_over_counted_and_not_taken_for_loss():
    link = mavlink.MAVLink(None, srcSystem=1, srcComponent=1)
    parts = []
    for number in range(30):
        if number % 3 == 1:
            parts.append(unknown_frame(link.seq, b"\xfd\xfe hello"))
            link.seq += 1
        else:
            parts.append(attitude(link, number))
    for content, has_stamps in ((b"".join(parts), False), (stamped(parts), True)):
        frames = index_frames(content, stamped=has_stamps)
        assert len(frames) == 20
        assert frames.stats["unknown_id_frames"] == 10
        assert frames.stats["lost_frames"] == frames.stats["skipped_bytes"] == 0


def test_loss_is_counted_for_every_sender_by_its_own_numbers():
    links = [mavlink.MAVLink(None, srcSystem=system, srcComponent=1) for system in (1, 2)]
    decoder = Decoder()
    for number in range(600):
        for link, every in zip(links, (50, 7), strict=True):
            frame = heartbeat(link)
            if number % every != every - 1:
                decoder.update(frame)
    assert decoder.stats["lost_by_source"] == {"1/1": 11, "2/1": 85}  # the very last one of 1 cannot be told
    assert decoder.stats["lost_frames"] == 96


def test_frames_that_swap_places_are_not_lost():
    link = mavlink.MAVLink(None)
    frames = [heartbeat(link) for _ in range(300)]
    frames[100], frames[101] = frames[101], frames[100]
    frames[255], frames[258] = frames[258], frames[255]
    assert index_frames(b"".join(frames), stamped=False).stats["lost_frames"] == 0


def test_a_payload_longer_than_known_is_cut_and_a_short_one_filled_with_zeros():
    link = mavlink.MAVLink(None)
    plain = bytearray(attitude(link, 7))
    longer = bytes([plain[0], plain[1] + 5]) + bytes(plain[2:-2]) + b"extra"
    crc = mavlink.x25crc(longer[1:])
    crc.accumulate(bytes([mavlink.MAVLink_attitude_message.crc_extra]))
    longer += crc.crc.to_bytes(2, "little")
    values, _ = index_frames(bytes(plain) + longer, stamped=False).columns("ATTITUDE")
    assert values[0].tobytes() == values[1].tobytes()
    level = mavlink.MAVLink_attitude_message(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0).pack(link)
    assert level[1] == 1
    assert index_frames(level, stamped=False).columns("ATTITUDE")[0].tobytes() == bytes(28)


def test_a_frame_with_flags_that_nobody_knows_is_dropped():
    link = mavlink.MAVLink(None)
    frame = bytearray(heartbeat(link))
    frame[2] |= 0x02
    crc = mavlink.x25crc(bytes(frame[1:-2]))
    crc.accumulate(bytes([mavlink.MAVLink_heartbeat_message.crc_extra]))
    frame[-2:] = crc.crc.to_bytes(2, "little")
    assert len(index_frames(bytes(frame), stamped=False)) == 0


def test_streams_without_stamps_are_told_from_logs_with_them():
    link = mavlink.MAVLink(None)
    frames = [attitude(link, row) for row in range(40)]
    assert not is_stamped(b"".join(frames))
    assert is_stamped(stamped(frames))
    assert is_stamped(b"")
    assert read_frames(b"".join(frames)).receive_us.tolist() == [0] * 40


def test_a_stamped_log_is_not_given_another_time():
    with pytest.raises(InputError, match="brings its own times"):
        Decoder(stamped=True).update(b"", time_us=5)


def test_what_is_not_asked_for_is_verified_counted_and_left_out(demo):
    content = (demo / "ro_drone.tlog").read_bytes()[:40_000]
    whole, few = index_frames(content), index_frames(content, names=["ATTITUDE", "HEARTBEAT"])
    wanted = np.isin(whole.message, [30, 0])
    assert 0 < len(few) < len(whole)
    assert said([few]) == said([whole.take(wanted)])
    assert few.stats == whole.stats


def test_tables_are_the_columns_of_every_message(demo):
    frames = read_frames(demo / "ro_drone.tlog")
    tables = frames.tables()
    assert sum(len(values) for values, _ in tables.values()) == len(frames)
    for name, (values, rows) in tables.items():
        same, same_rows = frames.columns(name)
        assert values.tobytes() == same.tobytes()
        np.testing.assert_array_equal(rows, same_rows)


def test_a_recording_written_out_is_the_recording_byte_by_byte(demo):
    content = (demo / "ro_drone.tlog").read_bytes()
    assert read_frames(content).to_tlog() == content


def test_channels_are_read_in_one_call_as_each_by_itself():
    links = [mavlink.MAVLink(None, srcSystem=system) for system in range(1, 5)]
    streams_of = [b"".join(attitude(link, row) for row in range(30)) for link in links]
    together, alone = Decoder(), [Decoder() for _ in links]
    rng = np.random.default_rng(5)
    at = [0] * 4
    while any(one < len(stream) for one, stream in zip(at, streams_of, strict=True)):
        cuts = [one + int(rng.integers(0, 50)) for one in at]
        parts = [(which, streams_of[which][at[which] : cuts[which]]) for which in range(4)]
        both = together.update_channels(parts), [one.update(data) for one, (_, data) in zip(alone, parts, strict=True)]
        assert said([both[0]]) == said(both[1])
        at = cuts
    assert together.stats["frames"] == 120
    assert together.stats["skipped_bytes"] == together.stats["lost_frames"] == 0
    assert len(together.update_channels([])) == 0


@pytest.mark.parametrize("seed", range(4))
def test_datagrams_in_a_sockets_memory_are_read_as_the_channels_that_they_come_from(seed):
    rng = np.random.default_rng(seed)
    links = [mavlink.MAVLink(None, srcSystem=system) for system in range(1, 4)]
    rest = [b"".join(attitude(link, row) for row in range(60)) + unknown_frame(0, b"x" * 9) for link in links]
    room, senders = np.zeros((16, 512), np.uint8), np.zeros((16, 28), np.uint8)
    slots, channels = Decoder(), Decoder()
    while any(rest):
        sizes, parts, n = np.zeros(16, np.uintc), {}, int(rng.integers(0, 17))
        for row in range(n):
            which, size = int(rng.integers(0, 3)), int(rng.choice([0, 5, 40, 40, 80, 130]))
            data, rest[which] = rest[which][:size], rest[which][size:]
            room[row, : len(data)], senders[row, :4], sizes[row] = np.frombuffer(data, np.uint8), which, len(data)
            parts[which] = parts.get(which, b"") + data
        both = slots.update_datagrams(room, senders, sizes, n, 7), channels.update_channels(list(parts.items()), 7)
        assert said([both[0]]) == said([both[1]])
        assert not both[0].data.flags.writeable
    assert slots.stats == channels.stats
    assert slots.stats["frames"] == 180
    assert slots.received_bytes == channels.received_bytes


def test_no_bytes_are_no_frames():
    frames = index_frames(b"", stamped=False)
    assert len(frames) == 0
    assert frames.tables() == {}
    assert frames.to_tlog() == b""
    assert len(frames.columns("ATTITUDE")[0]) == 0
    assert all(len(getattr(frames, name)) == 0 for name in ROW_COLUMNS)


# Dialects


def test_layouts_of_every_dialect_have_pymavlinks_sizes():
    for name in (
        "minimal",
        "common",
        "ardupilotmega",
        "storm32",
        "matrixpilot",
        "paparazzi",
        "test",
        "python_array_test",
    ):
        tables = dialect_of(name)
        assert len(tables) > 0
        for message in tables.names:
            identity = tables.message_id(message)
            assert tables.layout(identity).itemsize == tables.widths[identity], (name, message)


def test_one_id_means_different_messages_in_different_dialects():
    number = dialect_of("matrixpilot").message_id("FLEXIFUNCTION_COMMAND_ACK")
    assert number == dialect_of("ardupilotmega").message_id("MOUNT_STATUS") == 158
    from pymavlink.dialects.v20 import matrixpilot

    frame = matrixpilot.MAVLink_flexifunction_command_ack_message(3, 1).pack(matrixpilot.MAVLink(None))
    assert index_frames(frame, stamped=False, dialect="matrixpilot").columns(158)[0]["command_type"].tolist() == [3]
    assert len(index_frames(frame, stamped=False, dialect="ardupilotmega")) == 0


def test_a_message_of_a_private_dialect_is_unknown_to_common():
    link = storm32.MAVLink(None)
    only = min(set(storm32.mavlink_map) - set(common.mavlink_map))
    kind = storm32.mavlink_map[only]
    fields = [kind.unpacker.unpack(bytes(kind.unpacker.size))[place] for place in kind.orders]
    frame = kind(*fields).pack(link)
    link.seq += 1
    content = frame + heartbeat(link, dialect=storm32)
    known = index_frames(content, stamped=False, dialect="storm32")
    other = index_frames(content, stamped=False, dialect="common")
    assert (len(known), len(other), other.stats["unknown_id_frames"]) == (2, 1, 1)


@pytest.mark.parametrize("name", ["nonsense", "", "all.common", "__init__", "../all"])
def test_a_dialect_that_is_not_shipped_is_refused(name):
    with pytest.raises(InputError, match=r"not shipped by pymavlink; use one of .*ardupilotmega.*common"):
        Decoder(dialect=name)


def test_a_message_that_the_dialect_lacks_is_refused():
    with pytest.raises(InputError, match="dialect 'common' has no message 'MOUNT_STATUS'"):
        Decoder(dialect="common", names=["MOUNT_STATUS"])


# Signatures


def signed_stream(n=20, **changes):
    link = signing_link(**changes)
    return [attitude(link, number) for number in range(n)]


def test_the_recorded_signatures_are_verified(shared):
    frames = read_frames(shared("sitl/sitl_signed_copter.tlog"), key=KEY)
    assert len(frames) == frames.stats["signed_frames"] == 4_207
    assert frames.stats["forged_frames"] == frames.stats["replayed_frames"] == 0
    assert frames.stats["unsigned_frames"] == 26


@pytest.mark.parametrize("damage", ["flipped", "replayed"])
def test_of_the_recorded_signatures_the_one_that_was_touched_is_refused(shared, damage):
    content = shared("sitl/sitl_signed_copter.tlog").read_bytes()
    whole = read_frames(content, key=KEY)
    start, stop = int(whole.start[2000]), int(whole.stop[2000])
    if damage == "flipped":
        changed = content[: stop - 3] + bytes([content[stop - 3] ^ 1]) + content[stop - 2 :]
    else:
        changed = content + content[start - 8 : stop]
    found = read_frames(changed, key=KEY)
    assert len(found) == 4_207 - (damage == "flipped")
    assert (found.stats["forged_frames"], found.stats["replayed_frames"]) == ((1, 0) if damage == "flipped" else (0, 1))


def test_a_passphrase_is_the_key_that_it_hashes_to():
    content = b"".join(signed_stream())
    assert len(index_frames(content, stamped=False, key="dronetrack-test")) == 20


@given(st.integers(0, 19), st.integers(0, 10_000))
def test_a_flipped_bit_of_a_signed_frame_is_refused(which, bit):
    frames = signed_stream()
    broken = bytearray(frames[which])
    broken[bit // 8 % len(broken)] ^= 1 << bit % 8
    # A forger can put the checksum right, not the signature.
    if broken[0] == 0xFD and len(broken) == len(frames[which]):
        crc = mavlink.x25crc(bytes(broken[1:-15]))
        crc.accumulate(bytes([mavlink.MAVLink_attitude_message.crc_extra]))
        broken[-15:-13] = crc.crc.to_bytes(2, "little")
    changed = bytes(broken) != frames[which]
    frames[which] = bytes(broken)
    found = index_frames(b"".join(frames), stamped=False, key=KEY)
    assert len(found) == 20 - changed


def test_a_replayed_frame_is_refused():
    frames = signed_stream()
    found = index_frames(b"".join([*frames, frames[4], frames[19]]), stamped=False, key=KEY)
    assert (len(found), found.stats["replayed_frames"]) == (20, 2)


def test_a_new_stream_may_be_a_minute_behind_and_no_more():
    now = 100_000_000
    frames = signed_stream(3, start=now)
    near = signed_stream(3, start=now - 5_900_000, link_id=4)
    far = signed_stream(3, start=now - 6_100_000, link_id=5)
    found = index_frames(b"".join(frames + near + far), stamped=False, key=KEY)
    assert (len(found), found.stats["replayed_frames"]) == (6, 3)


def test_what_is_refused_moves_no_clock():
    forged = signed_stream(1, start=2**47, key=bytes(32))
    found = index_frames(b"".join(forged + signed_stream(5)), stamped=False, key=KEY)
    assert (len(found), found.stats["forged_frames"]) == (5, 1)


@pytest.mark.parametrize(("policy", "kept"), [("require", 5), ("accept", 8), ("ignore", 12)])
def test_the_policy_says_who_is_heard(policy, kept):
    plain = mavlink.MAVLink(None, srcSystem=9)
    stream = signed_stream(5) + [heartbeat(plain) for _ in range(3)] + signed_stream(4, key=bytes(32), start=2_000_000)
    found = index_frames(b"".join(stream), stamped=False, key=KEY, signatures=policy)
    assert len(found) == kept
    if policy != "ignore":
        assert found.stats["unsigned_frames"] == 3
        assert found.stats["forged_frames"] == 4


def test_a_policy_needs_a_key_and_a_key_has_32_bytes():
    with pytest.raises(InputError, match="needs the key"):
        Decoder(signatures="require")
    with pytest.raises(InputError, match="32 bytes; got 5"):
        Decoder(key=b"short")
    with pytest.raises(InputError, match="must be one of require, accept, ignore"):
        Decoder(signatures="sometimes")


def test_a_log_in_which_nothing_is_signed_right_is_no_log_of_that_key(demo):
    assert len(read_frames(demo / "ro_drone.tlog", key=KEY)) == 0
    with pytest.raises(FormatError):
        read_frames(b"\x00" * 100, key=KEY)


# The slow twin


@given(streams())
def test_a_damaged_stream_is_read_as_the_slow_twin_reads_it(stream):
    has_stamps, content = stream
    frames, unknown, skipped = find_frames(content, stamped=has_stamps)
    found = index_frames(content, stamped=has_stamps)
    assert said([found]) == [(content[start:stop], stamp - 2**64 * (stamp >= 2**63)) for start, stop, stamp in frames]
    assert (found.stats["unknown_id_frames"], found.stats["skipped_bytes"]) == (unknown, skipped)


def test_the_slow_twin_reads_a_recording_as_pymavlink_does(demo):
    content = (demo / "ro_drone.tlog").read_bytes()[:30_000]
    found = [content[start:stop] for start, stop, _ in find_frames(content, stamped=True)[0]]
    theirs = mavlink.MAVLink(None)
    assert len(found) > 300
    for frame in found:
        (message,) = theirs.parse_buffer(frame)
        assert message.get_type() != "BAD_DATA"
