import io
import json
import zipfile
from dataclasses import replace

import numba
import numpy as np
import pytest
import streams
from flights import GROUND_MSL_M, START_US, Errors, fly, weave
from hypothesis import given, settings
from hypothesis import strategies as st

from dronetrack.errors import FormatError, InputError, OrderError
from dronetrack.filtering import track
from dronetrack.kernels import filters
from dronetrack.measurements import HEIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.motion import CoordinatedTurn, Mixture, Singer, StopAndGo
from dronetrack.sensing import sightings
from dronetrack.tracker import Tracker
from dronetrack.tracks import COASTING, CONFIRMED, Track


def drive(seconds=40.0, step_s=0.2, name="gnss", **sensor):
    at_s = np.arange(0.0, seconds, step_s)
    return streams.positions(at_s, weave(at_s), name, **sensor)


def at(seconds):
    return START_US + round(seconds * 1e6)


def without(table, rows):
    return table.take(np.setdiff1d(np.arange(len(table)), rows))


def test_a_row_later_than_the_lag_is_counted_and_never_used():
    table = drive()
    tracker = Tracker(lag_s=2.0)
    late = [20, 21]
    parts = [tracker.update(without(table, late)), tracker.update(table.take(late)), tracker.flush()]
    streams.same_bits(parts, track(without(table, late)))
    assert tracker.stats["late"] == {"gnss": 2}
    assert tracker.stats["sensors"]["gnss"]["accepted"] == len(table) - 2


def test_a_row_as_late_as_the_lag_is_used_and_one_later_by_a_microsecond_is_not():
    table = drive(step_s=1.0)
    just, not_quite = Tracker(lag_s=9.0), Tracker(lag_s=8.999999)
    for tracker in (just, not_quite):
        tracker.update(without(table, [30]))
        tracker.update(table.take([30]))
    assert just.stats["late"] == {"gnss": 0}
    assert not_quite.stats["late"] == {"gnss": 1}


def test_of_a_batch_that_is_late_in_part_the_rest_is_used():
    table = drive()
    tracker, held_back = Tracker(lag_s=2.0), np.arange(150, 199)
    parts = [tracker.update(without(table, held_back)), tracker.update(table.take(held_back)), tracker.flush()]
    used = held_back[table.time_us[held_back] >= table.time_us[-1] - 2_000_000]
    streams.same_bits(parts, track(without(table, np.setdiff1d(held_back, used))))
    assert tracker.stats["late"]["gnss"] == len(held_back) - len(used)


def test_no_row_of_one_batch_is_late_however_long_it_is():
    tracker = Tracker(lag_s=0.0)
    streams.same_bits([tracker.update(drive()), tracker.flush()], track(drive()))
    assert tracker.stats["late"] == {"gnss": 0}


def test_a_strict_tracker_says_what_came_too_late_and_stays_as_it_was():
    table, late = drive(), drive(name="another").take([5])
    tracker = Tracker(lag_s=2.0, strict=True)
    tracker.update(table)
    before = tracker.snapshot()
    with pytest.raises(OrderError, match=r"1 rows came too late: the first lies 38\.800 s behind .* the lag is 2 s"):
        tracker.update(late)
    assert tracker.snapshot() == before


def test_final_rows_are_behind_the_lag_and_the_reach_of_the_filter():
    table, tracker = drive(step_s=0.1), Tracker(lag_s=3.0)
    final = tracker.update(table)
    assert 3.0 + 6.4 <= (table.time_us[-1] - final.time_us[-1]) * 1e-6 <= 3.0 + 7.2
    rest = tracker.provisional()
    assert (rest.time_us[0], rest.time_us[-1]) == (final.time_us[-1] + 100_000, table.time_us[-1])


def test_now_is_the_belief_at_the_newest_row():
    table, tracker = drive(), Tracker()
    tracker.update(table)
    streams.same_bits([tracker.now()], track(table).take([-1]))


@pytest.mark.parametrize("later_s", [0.01, 0.5, 7.3])
def test_now_at_a_later_time_is_what_the_whole_says_of_a_moment_at_which_a_row_is_wanted(later_s):
    table, tracker = drive(), Tracker()
    tracker.update(table)
    wanted_us = int(table.time_us[-1]) + round(later_s * 1e6)
    ahead = tracker.now(wanted_us)
    streams.same_bits([ahead], track(merge(table, streams.ticks([wanted_us]))).take([-1]))
    assert ahead.status[0] == (CONFIRMED if later_s <= 1.0 else COASTING)


def test_now_at_an_earlier_time_is_looked_up_in_the_provisional_rows():
    table, tracker = drive(), Tracker()
    tracker.update(table)
    streams.same_bits([tracker.now(at(35.05))], tracker.provisional().at([at(35.05)]))
    with pytest.raises(InputError, match="outside the track"):
        tracker.now(at(3.0))


def test_asking_changes_nothing():
    table = streams.pulled(np.random.default_rng(3))
    silent, asked = Tracker(), Tracker()
    for part in streams.batches(table, np.arange(len(table)), np.random.default_rng(0), 9):
        silent.update(part)
        asked.update(part)
        _ = asked.now(), asked.now(int(part.time_us[-1]) + 400_000), asked.provisional(), asked.stats
    assert asked.snapshot() == silent.snapshot()


def test_before_anything_came_nothing_is_believed():
    tracker = Tracker()
    assert len(tracker.now()) == len(tracker.now(at(1.0))) == len(tracker.provisional()) == len(tracker.flush()) == 0
    assert tracker.stats["sensors"] == {}
    streams.same_bits(streams.follow(tracker, [drive()]), track(drive()))


def test_a_track_that_has_not_started_has_no_row():
    tracker = Tracker()
    tracker.update(drive(starts_tracks=False))
    assert len(tracker.now()) == len(tracker.now(at(100.0))) == len(tracker.flush()) == 0
    assert tracker.stats["sensors"]["gnss"]["unused"] == 200


def test_empty_batches_and_batches_of_one_row_are_batches():
    table = drive()
    parts = [part for row in range(len(table)) for part in (table.take([row]), table.take([]), merge())]
    streams.same_bits(streams.follow(Tracker(), parts), track(table))


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_ground_of_a_sighting_may_come_in_another_batch(newest_first):
    """A line of sight starts a track only where a height of the same moment says where the ground is."""
    log, _, _ = fly(10.0, errors=Errors(pixel=0.003))
    table = sightings(log, terrain=GROUND_MSL_M, latency_s=0.0)
    tracker = Tracker(lag_s=0.05)
    order = np.argsort(-table.sensor_id if newest_first else table.sensor_id, kind="stable")
    order = order[np.argsort(table.time_us[order], kind="stable")]
    assert len(set(table.kind)) == 2
    parts = []
    for row in order:
        parts.append(tracker.update(table.take([row])))
        tracker.now()
    streams.same_bits([*parts, tracker.flush()], track(table))


def test_rows_that_were_not_observed_and_wanted_moments_count_as_they_do_in_the_whole(rng):
    table = drive()
    z = table.z.copy()
    z[rng.choice(len(z), 30, replace=False)] = np.nan
    holed = measurements_of(table.time_us, POSITION, z, table.cov, table.sensors[0])
    table = merge(holed, streams.ticks(START_US - 50_000 + 130_000 * np.arange(400)))
    tracker = Tracker(lag_s=1.0)
    parts = streams.batches(table, streams.arrivals(table, rng, lag_s=1.0), rng, 7)
    streams.same_bits(streams.follow(tracker, parts), track(table))
    assert streams.counts(tracker.stats) == streams.counts(track(table).stats)
    assert tracker.stats["sensors"]["gnss"]["not_observed"] == 30


def test_a_row_that_turns_out_to_lie_before_the_start_is_unused():
    table = drive(seconds=3.0)
    contacts = drive(seconds=3.0, name="contact", starts_tracks=False)
    tracker = Tracker()
    tracker.update(merge(table.take(slice(1, None)), contacts.take(slice(10, None))))
    assert tracker.stats["sensors"]["contact"]["unused"] == 0
    tracker.update(contacts.take([0]))
    assert tracker.stats["sensors"]["contact"]["unused"] == 1
    assert tracker.stats["sensors"]["contact"]["accepted"] == 5


def test_heights_alone_constrain_and_do_not_start(rng):
    table = drive()
    level = measurements_of(table.time_us, HEIGHT, table.z, table.cov, Sensor("ground", starts_tracks=False))
    both = merge(table.take(slice(20, None)), level)
    parts = streams.batches(both, streams.arrivals(both, rng, lag_s=2.0), rng, 12)
    streams.same_bits(streams.follow(Tracker(lag_s=2.0), parts), track(both))


def test_a_known_sensor_may_begin_to_share_errors(rng):
    at_s = np.arange(0.0, 40.0, 0.2)
    plain = streams.positions(at_s[:100], weave(at_s[:100]), "b")
    shared = streams.positions(at_s[100:], weave(at_s[100:]), "b", shared_m=4.0)
    table = merge(plain, shared, drive(name="c", heading_std_rad=0.01), drive(name="a", boresight_std_rad=0.01))
    parts = streams.batches(table, streams.arrivals(table, rng, lag_s=3.0), rng, 20)
    streams.same_bits(streams.follow(Tracker(lag_s=3.0), parts), track(table))


def test_a_sensor_that_is_described_differently_is_refused_and_nothing_changes():
    tracker = Tracker()
    tracker.update(drive())
    before = tracker.snapshot()
    with pytest.raises(InputError, match="sensor 'gnss' is not what it was"):
        tracker.update(drive(shared_time_s=1.0))
    assert tracker.snapshot() == before


def test_after_a_flush_the_stream_may_go_on_with_newer_rows():
    table, tracker = drive(), Tracker(lag_s=5.0)
    first = [tracker.update(table.take(slice(0, 120))), tracker.flush()]
    assert len(tracker.flush()) == 0
    tracker.update(table.take([118, 119]))
    assert tracker.stats["late"] == {"gnss": 2}
    streams.same_bits([*first, tracker.update(table.take(slice(120, None))), tracker.flush()], track(table))


def test_a_pause_after_a_flush_is_coasted():
    table, tracker = merge(drive().take(slice(0, 50)), drive().take(slice(100, None))), Tracker()
    parts = [tracker.update(table.take(slice(0, 50))), tracker.flush(), tracker.update(table.take(slice(50, None)))]
    streams.same_bits([*parts, tracker.flush()], track(table))


def test_what_was_given_out_does_not_change_later():
    table, tracker = drive(), Tracker(lag_s=1.0)
    given = [tracker.update(table.take(slice(0, 150))), tracker.provisional(), tracker.now()]
    kept = [(part.time_us.tobytes(), part.cov.tobytes()) for part in given]
    tracker.update(table.take(slice(150, None)))
    tracker.flush()
    assert [(part.time_us.tobytes(), part.cov.tobytes()) for part in given] == kept
    assert not given[0].state.flags.writeable


def test_the_time_at_which_a_track_moves_comes_with_its_final_row():
    at_s = np.arange(0.0, 80.0, 0.2)
    table = streams.positions(at_s, weave(at_s) + np.outer(at_s >= 40.0, [300.0, -200.0, 0.0]), "gnss")
    tracker = Tracker()
    parts = streams.follow(tracker, [table.take([row]) for row in range(400)])
    moved_us = [moved_us for part in parts for moved_us in part.stats["recovered_us"]]
    assert moved_us == track(table).stats["recovered_us"]
    assert len(moved_us) == tracker.stats["recoveries"] == 1


def test_memory_and_snapshot_stay_small_however_long_the_stream():
    at_s = np.arange(0.0, 6000.0, 0.25)
    table = streams.positions(at_s, np.zeros((len(at_s), 3)), "gnss")
    tracker, sizes, rooms = Tracker(lag_s=5.0), [], []
    for start in range(0, len(table), 100):
        tracker.update(table.take(slice(start, start + 100)))
        tracker.now()
        passes = tracker._passes
        rooms.append(max(passes.window.capacity, len(passes.final.out.columns.time_us), 40 * len(passes._marks)))
        if start % 4000 == 0:
            sizes.append(len(tracker.snapshot()))
    assert max(rooms) <= 4096
    assert max(sizes[1:]) < 1.1 * min(sizes[1:]) < 60_000


def test_a_silence_of_an_hour_leaves_no_room_behind():
    at_s = np.concatenate([np.arange(0.0, 20.0, 0.2), 3600.0 + np.arange(0.0, 600.0, 0.2)])
    table, tracker = streams.positions(at_s, np.zeros((len(at_s), 3)), "gnss"), Tracker()
    parts = streams.follow(tracker, [table.take([row]) for row in range(len(table))])
    streams.same_bits(parts, track(table))
    assert len(tracker._passes.final.out.columns.time_us) < 4096


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_the_kernel_is_compiled_once_for_files_and_for_streams():
    track(drive())
    known = len(filters.track_rows.signatures), len(filters.shared_root_rows.signatures)
    tracker = Tracker.restore(Tracker().snapshot())
    for row in range(10):
        tracker.update(drive(shared_m=1.0).take([row]))
        _ = tracker.now(), tracker.now(at(99.0)), tracker.provisional(), tracker.stats
    tracker.flush()
    assert (len(filters.track_rows.signatures), len(filters.shared_root_rows.signatures)) == known


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lag_s": -1.0}, "lag_s must be finite and not negative"),
        ({"lag_s": np.nan}, "lag_s must be finite and not negative"),
        ({"lag_s": np.inf}, "lag_s must be finite and not negative"),
        ({"gate_probability": 0.2}, "gate_probability must lie in"),
        ({"robust": "never"}, "robust must be one of"),
    ],
)
def test_options_out_of_range_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        Tracker(**wrong)


@pytest.fixture(scope="module")
def remembered():
    tracker = Tracker(lag_s=2.0, motion=Mixture([StopAndGo(), Singer(), CoordinatedTurn(3.0)], mean_stay_s=[9, 8, 7]))
    tracker.update(drive(heading_std_rad=0.01, shared_m=3.0))
    return tracker.snapshot()


def rewritten(data, **members):
    """A snapshot with some of its members replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = members.get(name.rsplit(".", 1)[0].replace(".", "_"), lambda same: same)(old.read(name))
            if part is not None:
                new.writestr(name, part)
    return out.getvalue()


def an_array(change):
    def edit(data):
        values = np.load(io.BytesIO(data))
        changed, out = change(values), io.BytesIO()
        np.save(out, values if changed is None else changed)
        return out.getvalue()

    return edit


def a_header(**changes):
    return lambda data: json.dumps(json.loads(data) | changes)


def test_a_snapshot_of_what_was_restored_is_the_same_bytes(remembered):
    assert Tracker.restore(remembered).snapshot() == remembered


def test_a_snapshot_is_an_npz_that_says_what_it_is(remembered):
    with np.load(io.BytesIO(remembered), allow_pickle=False) as stored:
        header = json.loads(stored["header.json"])
        assert len(stored["rows.time_us"]) > 10
    assert (header["format"], header["version"]) == ("dronetrack tracker", 1)
    assert header["motion"]["models"][2] == {
        "model": "CoordinatedTurn", "turn_left_degps": 3.0, "horizontal_psd": 1.0, "vertical_psd": 0.02,
        "initial_speed_std_mps": 15.0, "initial_climb_std_mps": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("data", [b"", b"no snapshot", b"PK\x03\x04" + bytes(100)])
def test_bytes_that_are_no_snapshot_are_refused(data):
    with pytest.raises(FormatError, match="no snapshot of a tracker"):
        Tracker.restore(data)


def test_a_snapshot_cut_short_is_refused(remembered):
    for keep in (0.1, 0.5, 0.9, 0.999):
        with pytest.raises(FormatError):
            Tracker.restore(remembered[: int(keep * len(remembered))])


def test_a_snapshot_of_another_version_is_refused(remembered):
    with pytest.raises(FormatError, match="version 1, is needed; got 'dronetrack tracker', version 2"):
        Tracker.restore(rewritten(remembered, header=a_header(version=2)))


@pytest.mark.parametrize(
    "edit",
    [
        {"header": a_header(motion={"model": "Teleport"})},
        {"header": a_header(sensors=[])},
        {"header": a_header(position=[10**9, 3])},
        {"header": a_header(options={"lag_s": -3.0})},
        {"memory_at": an_array(lambda at: at + 10**6)},
        {"memory_at": lambda _: None},
        {"memory_floats": an_array(lambda values: values[:, 1:])},
        {"memory_integers": an_array(lambda values: np.full_like(values, 99))},
        {"rows_sensor": an_array(lambda sensor: sensor + 5)},
        {"rows_kind": an_array(lambda kind: kind + 9)},
        {"rows_time_us": an_array(lambda time_us: time_us[::-1])},
        {"rows_z": an_array(lambda z: z.astype(np.float32)[:3])},
        {"out_cov": an_array(lambda cov: cov[:-1])},
        {"base": an_array(lambda base: base.astype(float))},
    ],
)
def test_a_snapshot_that_contradicts_itself_is_refused(remembered, edit):
    with pytest.raises(FormatError, match="contradicts itself"):
        Tracker.restore(rewritten(remembered, **edit))


@settings(max_examples=60)
@given(where=st.floats(0.0, 1.0, exclude_max=True), flip=st.integers(1, 255))
def test_a_damaged_snapshot_is_refused_or_harmless(where, flip):
    whole = small_snapshot()
    damaged = bytearray(whole)
    damaged[int(where * len(whole))] ^= flip
    try:
        restored = Tracker.restore(bytes(damaged))
    except FormatError:
        return
    assert restored.snapshot() == whole


def small_snapshot():
    tracker = Tracker()
    tracker.update(drive(seconds=3.0))
    return tracker.snapshot()


def test_final_rows_pass_the_gate_of_any_track():
    part = Tracker().update(drive())
    assert isinstance(part, Track)
    streams.same_bits([replace(part)], part)  # `replace` sends every column through the constructor
    assert not any(getattr(part, name).flags.writeable for name in streams.COLUMNS)
    assert len(part.to_geodataframe()) == len(part) > 100
