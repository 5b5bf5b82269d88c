import contextlib
import tracemalloc
from dataclasses import fields, replace

import cbor2
import numpy as np
import pytest
import streams
from flights import START_US, fly, weave
from hypothesis import given, settings
from hypothesis import strategies as st

from dronetrack.border import Crossing
from dronetrack.errors import DronetrackError, FormatError, InputError, NotAuthorisedError
from dronetrack.handover import (
    Contribution,
    Package,
    fingerprint,
    new_key,
    new_sealing_key,
    open_sealed,
    pack,
    read_key,
    read_public_key,
    seal,
    unpack,
    write_key,
    write_public_key,
)
from dronetrack.handover.signing import LARGEST, _document, _header, _to_be_signed
from dronetrack.handover.tunnel import PAYLOAD_TYPE, from_tunnel, to_tunnel
from dronetrack.measurements import merge
from dronetrack.metrics.consistency import chi2_bounds
from dronetrack.motion import ConstantVelocity, Mixture, Singer, StopAndGo
from dronetrack.registration import Registration
from dronetrack.sensing import sightings
from dronetrack.tracker import Belief, Tracker

HOME, HOST = new_key(), new_key()
OPERATION = "joint exercise A"


def drive(seconds=30.0, name="HU-1 gnss", *, step_s=0.2, seed=0, **sensor):
    at_s = np.arange(0.0, seconds, step_s)
    noise = np.random.default_rng(seed).normal(0.0, 2.0, (len(at_s), 3))
    return streams.positions(at_s, weave(at_s) + noise, name, **sensor)


def table(seconds=30.0):
    return merge(drive(seconds), drive(seconds, "HU-D1 gnss", step_s=0.1, seed=1, shared_m=3.0, platform="HU-D1"))


def followed(rows=None, **options):
    tracker = Tracker(track_id=7, **options)
    parts = [tracker.update(rows or table())]
    return tracker, streams_joined([*parts, tracker.provisional()])


def streams_joined(parts):
    names = streams.COLUMNS
    return replace(parts[-1], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def crossing_at(time):
    spread, wait = np.timedelta64(800_000, "us"), np.timedelta64(900_000, "us")
    told = {"time": time, "time_std_s": 0.4, "time_95": (time - spread, time + spread), "known": time + wait}
    told |= {"track_id": 7, "leaving": "HU", "entering": "RO", "lat_deg": 46.2, "lon_deg": 20.8, "probability": 0.998}
    told |= {"place": "Nadlac II"}
    return Crossing(**{part.name: told[part.name] for part in fields(Crossing)})


def package(**changes):
    tracker, track = followed()
    belief = tracker.belief()
    cov = 1e-4 * (np.eye(5) + 0.3)
    registered = Registration(
        "HU-D1",
        0.3,
        -0.2,
        1.1,
        0.25,
        1.001,
        0.1,
        0.1,
        0.5,
        0.02,
        0.004,
        cov,
        "levelled",
        {"levelled": 0.9, "body": 0.1},
        np.array([0.4, -0.3, 0.0]),
        0.8,
        lag_s=0.09,
        lag_std_s=0.03,
    )
    whole = {
        "operation": OPERATION,
        "issuer": "HU",
        "recipient": "RO",
        "serial": 3,
        "issued_us": belief.time_us + 200_000,
        "valid_until_us": belief.time_us + 10_200_000,
        "belief": belief,
        "history": track.take(slice(-60, None)),
        "registrations": (registered, replace(registered, drone="RO-D1")),
        "contributions": (Contribution("HU-1 gnss", "HU", 150), Contribution("HU-D1 gnss", "HU", 300)),
        "crossing": crossing_at(np.datetime64(belief.time_us, "us")),
        "legal_basis": "CISA Article 40(1)",
        "journal_digest": "0123456789abcdef" * 4,
        "journal_sequence": 4711,
    }
    return Package(**whole | changes)


PACKAGE = package()
SIGNED = pack(PACKAGE, HOME)
NOW = PACKAGE.issued_us + 1_000_000


def let_in(data=SIGNED, **changes):
    usual = {"trusted": {"HU": HOME.public_key()}, "operation": OPERATION, "recipient": "RO", "time_us": NOW}
    return unpack(data, **usual | changes)


def content():
    return cbor2.loads(cbor2.loads(SIGNED).value[2])


def signed(tree, *, canonical=True):
    """Whatever a trusted but careless issuer may sign."""
    data = tree if isinstance(tree, bytes) else cbor2.dumps(tree, canonical=canonical)
    header = _header(fingerprint(HOME.public_key()))
    return _document(header, data, HOME.sign(_to_be_signed(header, data)))


def same(a, b):
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


# What travels


def test_a_package_arrives_bit_for_bit():
    came = let_in()
    for name in ("mean", "cov", "weight", "shares", "ties", "learnt", "heard_us", "clock"):
        assert same(getattr(came.belief, name), getattr(PACKAGE.belief, name)), name
    for name in streams.COLUMNS:
        assert same(getattr(came.history, name), getattr(PACKAGE.history, name)), name
    for mine, theirs in zip(came.registrations, PACKAGE.registrations, strict=True):
        assert same(mine.cov, theirs.cov)
        assert mine.correction == theirs.correction
    plain = ("operation", "issuer", "recipient", "serial", "issued_us", "valid_until_us", "contributions", "crossing")
    for name in (*plain, "legal_basis", "journal_digest", "journal_sequence", "track_id", "name"):
        assert getattr(came, name) == getattr(PACKAGE, name), name
    assert came.belief.sensors == PACKAGE.belief.sensors
    assert came.belief.motion == PACKAGE.belief.motion


def test_the_same_package_gives_the_same_bytes_also_on_the_other_side():
    assert pack(package(), HOME) == SIGNED == pack(let_in(), HOME)


def test_a_package_with_sixty_rows_of_history_takes_less_than_eight_thousand_bytes():
    assert len(PACKAGE.history) == 60
    assert len(SIGNED) < 8000


def test_the_history_is_rounded_by_no_more_than_it_says():
    _, track = followed()
    rows, came = track.take(slice(-60, None)), let_in().history
    assert np.abs(came.state[:, :3] - rows.state[:, :3]).max() <= 0.5e-3 + 1e-9
    assert np.abs(came.state[:, 3:] - rows.state[:, 3:]).max() <= 0.5e-3
    variances = np.diagonal(came.cov, axis1=1, axis2=2) / np.diagonal(rows.cov, axis1=1, axis2=2)
    assert np.abs(variances - 1.0).max() < 2e-3
    assert (np.linalg.eigvalsh(came.cov) > 0.0).all()


@pytest.mark.parametrize(
    "motion", [StopAndGo(), Singer(), Mixture([ConstantVelocity(0.1), Singer()], mean_stay_s=[30.0, 10.0])]
)
def test_every_motion_model_travels(motion):
    tracker, track = followed(motion=motion)
    belief = tracker.belief()
    came = let_in(pack(package(belief=belief, history=track.take(slice(-5, None))), HOME))
    assert came.belief.motion == motion
    assert same(came.belief.cov, belief.cov)


def test_a_package_without_history_and_without_a_crossing_is_a_package():
    bare = package(history=PACKAGE.history.take([]), crossing=None, registrations=(), contributions=())
    came = let_in(pack(bare, HOME))
    assert len(came.history) == 0
    assert came.crossing is None


def test_another_cose_library_signs_the_same_bytes():
    # pycose 1.1.0: Sign1Message(phdr={Algorithm: EdDSA, ContentType: ..., KID: ...}, payload=b"content").encode()
    theirs = (
        "d2845850a301270378276170706c69636174696f6e2f766e642e64726f6e65747261636b2e637573746f64792b63626f72045820a05083"
        "7d85070582ccf7394b0988847cc312cb88259b894899f6f239cf1791a5a047636f6e74656e745840e2227043e6ca923f6f9c26010fbf0c"
        "c6340691be9780ab9dd8b0b43b863f24972543d7aed7f5e86b64ed2383d3c05b60bdc3b3699b7af1994da4184be9edf30e"
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    header = _header(fingerprint(key.public_key()))
    ours = _document(header, b"content", key.sign(_to_be_signed(header, b"content")))
    assert ours.hex() == theirs


# What is refused, and with which reason


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("unknown issuer", {"trusted": {"HU": HOST.public_key()}}),
        ("unknown issuer", {"trusted": {}}),
        ("wrong issuer", {"trusted": {"RS": HOME.public_key()}}),
        ("wrong recipient", {"recipient": "SK"}),
        ("wrong recipient", {"recipient": "HU"}),
        ("wrong operation", {"operation": "joint exercise B"}),
        ("not yet valid", {"time_us": PACKAGE.issued_us - 1}),
        ("stale", {"time_us": PACKAGE.valid_until_us + 1}),
        ("replayed", {"seen": {PACKAGE.name}}),
    ],
)
def test_a_package_is_refused_with_the_reason(reason, changes):
    with pytest.raises(NotAuthorisedError, match=f"^{reason}: "):
        let_in(**changes)


def test_a_package_is_accepted_from_the_moment_of_its_issue_to_its_end():
    for moment in (PACKAGE.issued_us, PACKAGE.valid_until_us):
        assert let_in(time_us=moment).name == PACKAGE.name


def test_a_package_for_another_key_of_the_recipient_is_refused():
    data = pack(package(recipient_key=fingerprint(HOST.public_key())), HOME)
    assert let_in(data, recipient_key=HOST.public_key()).recipient == "RO"
    with pytest.raises(NotAuthorisedError, match=r"^wrong key: "):
        let_in(data, recipient_key=HOME.public_key())


def test_nobody_hands_over_to_himself():
    with pytest.raises(InputError, match=r"^issuer is recipient"):
        package(recipient="HU")
    with pytest.raises(FormatError, match="issuer is recipient"):
        let_in(signed(content() | {"recipient": "HU"}), recipient="HU")


def test_each_of_ten_thousand_changed_bytes_is_detected(rng):
    data = np.frombuffer(SIGNED, np.uint8)
    places = rng.choice(len(data), len(data), replace=False)
    places = np.concatenate([places, rng.choice(len(data), 10_000 - len(places))])
    reasons = {}
    for place, change in zip(places, rng.integers(1, 256, len(places)), strict=True):
        changed = data.copy()
        changed[place] ^= change
        with pytest.raises(DronetrackError) as caught:
            let_in(changed.tobytes())
        reason = str(caught.value).split(":")[0]
        reasons[reason] = reasons.get(reason, 0) + 1
    assert sum(reasons.values()) == 10_000
    assert reasons["tampered"] > 9_500


def test_a_package_cut_off_anywhere_is_truncated():
    for stop in [*range(200), *range(200, len(SIGNED), 97), len(SIGNED) - 1]:
        with pytest.raises(FormatError, match=r"^truncated"):
            let_in(SIGNED[:stop])


def test_bytes_behind_a_package_are_refused():
    with pytest.raises(FormatError, match=r"^trailing bytes") as caught:
        let_in(SIGNED + b"\0")
    assert caught.value.offset == len(SIGNED)


def test_what_is_no_package_is_told_so():
    with pytest.raises(FormatError, match=r"^not a package"):
        let_in(b"%PDF-1.7 ...")


@pytest.mark.parametrize("version", [0, 1, 2.0, "2", None])
def test_another_version_is_refused(version):
    reason = "unsupported version" if version != 2.0 else "(contradictory|not canonical|unsupported version)"
    with pytest.raises(FormatError, match=reason):
        let_in(signed(content() | {"version": version}))


def other_spellings():
    tree = content()
    yield dict(reversed(tree.items())), {"canonical": False}
    yield tree | {"serial": 3.0}, {}
    yield tree | {"note": "more than there should be"}, {}
    sensors = [tree["belief"]["sensors"][0] | {"shared_time_s": 60.0}, *tree["belief"]["sensors"][1:]]
    yield tree | {"belief": tree["belief"] | {"sensors": sensors}}, {}
    yield tree | {"belief": tree["belief"] | {"shares": cbor2.CBORTag(72, bytes([0, 2]))}}, {}
    yield cbor2.dumps(tree, canonical=True) + b"\0", {}


@pytest.mark.parametrize("spelling", range(6))
def test_only_one_spelling_of_a_package_is_accepted(spelling):
    tree, how = list(other_spellings())[spelling]
    with pytest.raises(FormatError, match=r"^(not canonical|contradictory): "):
        let_in(signed(tree, **how))


def test_a_longer_length_than_needed_in_the_envelope_is_refused():
    assert SIGNED[2:4] == b"\x58\x50"
    with pytest.raises(FormatError, match=r"^not canonical"):
        let_in(SIGNED[:2] + b"\x59\x00\x50" + SIGNED[4:])


def changed_array(tree, name, change):
    """The content with a column of the belief changed."""
    values = np.frombuffer(tree["belief"][name].value, np.float64).copy()
    change(values)
    tag = cbor2.CBORTag(tree["belief"][name].tag, values.tobytes())
    return tree | {"belief": tree["belief"] | {name: tag}}


def negate(values):
    values[0] = -values[0]


def tie_too_well(values):
    values[:] = 1e6


def lose(values):
    values[:] = np.nan


@pytest.mark.parametrize(("name", "change"), [("cov", negate), ("cov", lose), ("ties", tie_too_well), ("mean", lose)])
def test_a_signed_covariance_that_is_none_is_refused(name, change):
    with pytest.raises(FormatError, match=r"^contradictory: .*(definite|positive|NaN)"):
        let_in(signed(changed_array(content(), name, change)))


def test_a_history_of_another_track_or_from_the_future_is_refused():
    later = replace(PACKAGE.history, time_us=PACKAGE.history.time_us + 10**9)
    for history in (replace(PACKAGE.history, track_id=8), later):
        with pytest.raises(InputError, match="history"):
            package(history=history)


def test_a_package_issued_before_its_own_belief_is_refused():
    with pytest.raises(InputError, match="follow one another"):
        package(issued_us=PACKAGE.belief.time_us - 1)


BOMBS = {
    "a string of four gigabytes": b"\xd2\x84\x5b\x00\x00\x00\x01\x00\x00\x00\x00",
    "a list of four thousand million": signed(b"\xa1\x67version\x9b\x00\x00\x00\x01\x00\x00\x00\x00"),
    "a hundred thousand lists in one another": signed(b"\x81" * 100_000),
    "an enormous power of two": signed(b"\xa1\x67version\xc5\x82\x1b\x0f\xff\xff\xff\xff\xff\xff\xff\x01"),
    "a hundred thousand sensors": signed(
        content() | {"belief": content()["belief"] | {"sensors": [{"name": ""}] * 30_000}}
    ),
    "a mixture of a hundred thousand models": signed(
        content() | {"belief": content()["belief"] | {"motion": {"models": [{"model": "Singer"}] * 15_000}}}
    ),
    "more bytes than any package": SIGNED + bytes(LARGEST),
}


@pytest.mark.parametrize("what", BOMBS)
def test_absurd_sizes_are_refused_without_making_room_for_them(what):
    tracemalloc.start()
    with pytest.raises(FormatError):
        let_in(BOMBS[what])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def refused_or_accepted(data):
    with contextlib.suppress(DronetrackError):
        let_in(data)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_our_own_errors(data):
    for each in (data, SIGNED[:2] + data, SIGNED[:150] + data):
        refused_or_accepted(each)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=40),
    lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=8), some, max_size=4),
    max_leaves=8,
)


@given(st.data())
@settings(max_examples=300)
def test_nothing_that_a_trusted_issuer_signs_raises_anything_but_our_own_errors(data):
    tree = content()
    place = tree
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(list(keys)))
        deeper = place[key]
        if not (isinstance(deeper, dict | list) and len(deeper)) or data.draw(st.booleans()):
            break
        place = deeper
    if isinstance(deeper, cbor2.CBORTag) and data.draw(st.booleans()):
        place[key] = cbor2.CBORTag(deeper.tag, data.draw(st.binary(max_size=100)))
    else:
        place[key] = data.draw(VALUES)
    refused_or_accepted(signed(tree))


@given(st.binary(max_size=200))
def test_no_signed_bytes_raise_anything_but_our_own_errors(data):
    refused_or_accepted(signed(data))


# Sealed packages, and keys


def test_a_sealed_package_is_opened_by_its_recipient_only():
    mine, other = new_sealing_key(), new_sealing_key()
    sealed = seal(SIGNED, mine.public_key())
    assert len(sealed) == len(SIGNED) + 48
    assert SIGNED[200:240] not in sealed
    assert open_sealed(sealed, mine) == SIGNED
    for key, data in ((other, sealed), (mine, sealed[:-1]), (mine, sealed[:50] + b"x" + sealed[51:]), (mine, b"")):
        with pytest.raises(FormatError, match=r"^not to be opened"):
            open_sealed(data, key)


@pytest.mark.parametrize("passphrase", [None, "Nadlac II"])
@pytest.mark.parametrize("make", [new_key, new_sealing_key])
def test_a_key_is_read_back_from_a_file_that_only_its_owner_reads(tmp_path, make, passphrase):
    key = make()
    path = write_key(key, tmp_path / "hu.pem", passphrase=passphrase)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)
    assert read_key(path, passphrase=passphrase).private_bytes_raw() == key.private_bytes_raw()
    public = write_public_key(key.public_key(), tmp_path / "hu.pub.pem")
    assert fingerprint(read_public_key(public)) == fingerprint(key.public_key())


def test_a_key_is_never_written_over(tmp_path):
    path = write_key(HOME, tmp_path / "hu.pem")
    with pytest.raises(InputError, match="exists"):
        write_key(HOST, path)
    with pytest.raises(InputError, match="empty"):
        write_key(HOST, tmp_path / "other.pem", passphrase="")


def test_a_file_that_holds_no_key_of_ours_is_told_so(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    locked = write_key(HOME, tmp_path / "locked.pem", passphrase="right")
    plain = write_key(HOME, tmp_path / "plain.pem")
    other = generate_private_key(SECP256R1())
    curve, public = tmp_path / "curve.pem", tmp_path / "curve.pub.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    curve.write_bytes(other.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    public.write_bytes(other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    nothing = tmp_path / "nothing.pem"
    nothing.write_bytes(b"nothing")
    for path, passphrase in ((locked, "wrong"), (locked, None), (plain, "needless"), (curve, None), (nothing, None)):
        with pytest.raises(FormatError):
            read_key(path, passphrase=passphrase)
    for path in (public, nothing):
        with pytest.raises(FormatError):
            read_public_key(path)


def test_a_package_is_not_signed_by_a_key_for_sealing():
    with pytest.raises(InputError, match="Ed25519"):
        pack(PACKAGE, new_sealing_key())


# Through a radio


def test_a_package_goes_through_the_tunnel_messages_of_pymavlink(rng):
    from pymavlink.dialects.v20 import common

    sender, receiver = common.MAVLink(None, 1, 1), common.MAVLink(None, 2, 1)
    air = b""
    for payload in to_tunnel(SIGNED):
        filled = list(payload.ljust(128, b"\0"))
        air += common.MAVLink_tunnel_message(2, 1, PAYLOAD_TYPE, len(payload), filled).pack(sender)
    messages = receiver.parse_buffer(air)
    came = [bytes(one.payload)[: one.payload_length] for one in messages if one.payload_type == PAYLOAD_TYPE]
    rng.shuffle(came)
    assert from_tunnel([*came, came[0], b"", b"of something else"]) == SIGNED


def test_pieces_that_the_radio_lost_are_named():
    pieces = to_tunnel(SIGNED)
    with pytest.raises(FormatError, match=rf"pieces 3, 7 of {len(pieces)} are missing"):
        from_tunnel([piece for number, piece in enumerate(pieces) if number not in (3, 7)])
    with pytest.raises(FormatError, match="all pieces"):
        from_tunnel([])


def test_of_two_packages_in_the_air_the_whole_one_is_put_together():
    other = to_tunnel(b"another package " * 100)
    assert from_tunnel([*other[1:], *to_tunnel(SIGNED)]) == SIGNED


def test_a_piece_that_was_changed_in_the_air_does_not_pass():
    pieces = to_tunnel(SIGNED)
    pieces[5] = pieces[5][:60] + b"x" + pieces[5][61:]
    with pytest.raises(FormatError, match="damaged"):
        from_tunnel(pieces)


@given(st.lists(st.binary(max_size=140), max_size=6))
def test_no_pieces_raise_anything_but_our_own_errors(pieces):
    with contextlib.suppress(DronetrackError):
        from_tunnel(pieces)


def test_nothing_is_not_sent():
    with pytest.raises(InputError, match="tunnel"):
        to_tunnel(b"")


# The host goes on


def carried(home):
    """What the host makes of the home side's belief after it has travelled."""
    belief = home.belief()
    track = home.now()
    whole = package(
        belief=belief, history=track, issued_us=belief.time_us, valid_until_us=belief.time_us, crossing=None
    )
    return Tracker.continued(let_in(pack(whole, HOME), time_us=belief.time_us).belief)


def camera(seed=3, seconds=40.0):
    log, _, _ = fly(seconds, rng=np.random.default_rng(seed))
    return sightings(log, terrain=84.0)


STREAMS = {
    "positions": lambda: (table(40.0), None),
    "positions, two models": lambda: (table(40.0), Mixture([ConstantVelocity(0.1), ConstantVelocity(4.0)])),
    "a camera with its shared errors": lambda: (camera(), None),
}


@pytest.mark.parametrize("what", STREAMS)
def test_the_host_goes_on_as_if_nothing_had_happened(what):
    rows, motion = STREAMS[what]()
    middle = int(np.searchsorted(rows.time_us, rows.time_us[0] + 20_000_000))
    home = Tracker(motion=motion, track_id=7)
    home.update(rows.take(slice(0, middle)))
    host = carried(home)
    assert host.now().track_id == 7
    for name in set(streams.COLUMNS) - {"nis"}:
        assert same(getattr(host.now(), name), getattr(home.now(), name)), name
    for tracker in (home, host):
        tracker.update(rows.take(slice(middle, None)))
    after = home.provisional()
    theirs = host.provisional()
    from_us = max(after.time_us[0], theirs.time_us[1])  # its first row is the belief, of which it measured nothing
    streams.same_bits([theirs.take(theirs.time_us >= from_us)], after.take(after.time_us >= from_us))
    assert theirs.time_us[-1] == rows.time_us[-1]


def test_the_hosts_track_begins_with_the_belief_and_leaves_no_gap():
    rows = table(40.0)
    home, host = Tracker(track_id=7), None
    home.update(rows.take(slice(0, 200)))
    host = carried(home)
    mine = streams_joined([host.update(rows.take(slice(200, None))), host.flush()])
    assert mine.time_us[0] == home.now().time_us[0]
    assert same(mine.state[0], home.belief().state)
    assert np.diff(mine.time_us).max() <= 200_000


def test_rows_that_the_home_side_has_used_are_late_for_the_host():
    rows = table(40.0)
    home = Tracker()
    home.update(rows.take(slice(0, 200)))
    host = carried(home)
    host.update(rows.take(slice(150, 260)))
    late = sum(host.stats["late"].values())
    assert late == np.sum(rows.time_us[150:260] <= home.now().time_us[0])


def test_a_host_with_sensors_of_its_own_stays_honest(rng):
    # Home saw with an error that its rows shared; it must not pass for a hundred opinions at the host either.
    errors = []
    for _ in range(40):
        shift = rng.normal(0.0, 5.0, 3)
        before_s, after_s = np.arange(0.0, 20.0, 0.2), np.arange(20.0, 30.0, 0.2)
        place = weave(before_s) + shift + rng.normal(0.0, 2.0, (len(before_s), 3))
        home = Tracker(track_id=7)
        home.update(streams.positions(before_s, place, "HU", shared_m=5.0, shared_time_s=1e6))
        host = carried(home)
        host.update(streams.positions(after_s, weave(after_s) + rng.normal(0.0, 6.0, (len(after_s), 3)), "RO", 6.0))
        for at_s in (20.6, 23.0, 29.8):
            now = host.provisional().at([START_US + round(at_s * 1e6)])
            miss = now.state[0, :3] - streams.to_ecef(weave(np.array([at_s])))[0]
            errors.append(miss @ np.linalg.solve(now.cov[0, :3, :3], miss))
    assert np.mean(errors) < chi2_bounds(3, 40)[1]


def test_a_belief_made_of_a_track_alone_starts_a_tracker_too():
    home, track = followed()
    host = Tracker.continued(Belief.of(track))
    host.update(drive(50.0, "RO-1 gnss", seed=5))
    now = host.now()
    truth = streams.to_ecef(weave((now.time_us - START_US) * 1e-6))
    assert np.linalg.norm(now.state[0, :3] - truth[0]) < 5.0
    assert now.track_id == home.now().track_id


def test_a_tracker_that_goes_on_survives_a_restart():
    rows = table(40.0)
    home = Tracker()
    home.update(rows.take(slice(0, 200)))
    host = carried(home)
    again = Tracker.restore(host.snapshot())
    parts = [[one.update(rows.take(slice(200, None))), one.flush()] for one in (host, again)]
    streams.same_bits(parts[1], streams_joined(parts[0]))


def test_there_is_no_belief_before_there_is_a_track():
    with pytest.raises(InputError, match="no track yet"):
        Tracker().belief()


def test_a_tracker_that_goes_on_keeps_its_model_and_identity():
    with pytest.raises(InputError, match="keeps its motion"):
        Tracker.continued(PACKAGE.belief, track_id=8)
