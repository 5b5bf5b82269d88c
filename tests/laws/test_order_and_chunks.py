"""Laws 1, 2 and 5: the same rows give the same bits, in whatever order and batches they come, live or from a file."""

import functools
import itertools

import numpy as np
import pytest
import streams
from conftest import DEMO
from flights import weave
from hypothesis import given, settings
from hypothesis import strategies as st

from dronetrack.filtering import track
from dronetrack.mavlink.frames import index_frames
from dronetrack.measurements import merge
from dronetrack.mission import fuse
from dronetrack.motion import ConstantAcceleration, ConstantVelocity, Mixture
from dronetrack.tracker import Tracker, passes


@pytest.fixture(scope="module")
def fusion(demo):
    return fuse(demo / "mission.toml")


def same_bits(one, two):
    for name in ("time_us", "status", "state", "cov", "nis", "n_sensors"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name


def test_a_mission_run_again_gives_the_same_bits(fusion, demo):
    again = fuse(demo / "mission.toml")
    same_bits(fusion.track, again.track)
    assert fusion.events == again.events


def test_any_split_of_the_table_gives_the_same_bits(fusion, rng):
    table = fusion.measurements
    cuts = np.sort(rng.choice(len(table), 40, replace=False))
    parts = [table.take(slice(start, stop)) for start, stop in zip([0, *cuts], [*cuts, len(table)], strict=True)]
    same_bits(track(table), track(merge(*parts)))


def test_any_order_of_the_parts_gives_the_same_bits(fusion, rng):
    parts = [fusion.measurements.of(sensor.name) for sensor in fusion.measurements.sensors]
    whole = track(merge(*parts))
    for _ in range(3):
        same_bits(whole, track(merge(*(parts[one] for one in rng.permutation(len(parts))))))


def test_frames_of_parts_are_the_frames_of_the_whole(demo):
    data = np.fromfile(demo / "ro_drone.tlog", dtype=np.uint8)
    whole = index_frames(data)
    # Cut where frames end: what a reader of parts has to find for itself is the business of a live decoder.
    ends = np.append(whole.payload[1:] - 10 - 8, len(data))
    cuts = [0, *ends[99::500].tolist(), len(data)]
    parts = [index_frames(data[start:stop]) for start, stop in itertools.pairwise(cuts) if stop > start]
    assert sum(len(part) for part in parts) == len(whole)
    np.testing.assert_array_equal(np.concatenate([part.message for part in parts]), whole.message)


SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=6)
MIXTURE = Mixture([ConstantVelocity(), ConstantAcceleration()])


@functools.cache
def recorded():
    """The packaged recording's rows, and the track over them."""
    table = fuse(DEMO / "mission.toml").measurements
    return table, track(table)


@FEW
@given(seed=SEEDS)
def test_a_recording_lived_through_with_late_rows_gives_the_bits_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    (table, whole), lag_s = recorded(), rng.choice([0.3, 2.0, 20.0])
    tracker, order = Tracker(lag_s=lag_s), streams.arrivals(table, rng, lag_s=lag_s)
    parts = streams.follow(tracker, streams.batches(table, order, rng, int(rng.choice([20, 200, 5000]))))
    streams.same_bits(parts, whole)
    assert streams.counts(tracker.stats) == streams.counts(whole.stats)
    assert sum(tracker.stats["late"].values()) == 0


@pytest.mark.parametrize("options", [{}, {"motion": MIXTURE, "robust": "pda"}, {"coast_step_s": 0.05}])
@FEW
@given(seed=SEEDS)
def test_late_rows_and_latches_that_are_taken_back_give_the_bits_of_the_whole(options, seed):
    """Rows come late while the filter goes back of its own accord, and somebody looks now and then."""
    rng = np.random.default_rng(seed)
    table, lag_s = streams.pulled(rng), rng.choice([0.5, 4.0])
    whole = track(table, **options)
    tracker, order, parts = Tracker(lag_s=lag_s, **options), streams.arrivals(table, rng, lag_s=lag_s), []
    for part in streams.batches(table, order, rng, int(rng.choice([1, 8, 60]))):
        parts.append(tracker.update(part))
        if rng.random() < 0.3:
            tracker.now()
    parts.append(tracker.flush())
    streams.same_bits(parts, whole)
    assert streams.counts(tracker.stats) == streams.counts(whole.stats)


def test_the_tables_above_do_take_latches_back():
    times = [track(streams.pulled(np.random.default_rng(seed))).stats["latches_taken_back"] for seed in range(5)]
    assert min(times) >= 1


@settings(max_examples=12)
@given(seed=SEEDS)
def test_what_is_believed_meanwhile_has_the_bits_of_all_that_came_so_far(seed):
    """Looked at all the time, with many marks to go back to, while latches are taken back."""
    rng = np.random.default_rng(seed)
    table, lag_s = streams.pulled(rng, seconds=32.0), 8.0
    tracker, came, final = Tracker(lag_s=lag_s), [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "MARK_ROWS", 8)
        for part in streams.batches(table, streams.arrivals(table, rng, lag_s=lag_s), rng, 5):
            came.append(part)
            final.append(tracker.update(part))
            believed = [*final, tracker.provisional()]
            if rng.random() < 0.3:
                so_far = track(merge(*came))
                streams.same_bits(believed, so_far)
                streams.same_bits([tracker.now()], so_far.take(slice(-1, None)))
                assert streams.counts(tracker.stats) == streams.counts(so_far.stats)


@FEW
@given(seed=SEEDS)
def test_a_tracker_restored_at_any_moment_goes_on_with_the_same_bits(seed):
    rng = np.random.default_rng(seed)
    table = streams.pulled(rng)
    tracker, parts = Tracker(lag_s=2.0, motion=MIXTURE, track_id=7), []
    for part in streams.batches(table, streams.arrivals(table, rng, lag_s=2.0), rng, 40):
        parts.append(tracker.update(part))
        if rng.random() < 0.3:
            tracker = Tracker.restore(tracker.snapshot())
    parts.append(tracker.flush())
    streams.same_bits(parts, track(table, motion=MIXTURE))
    assert streams.counts(tracker.stats) == streams.counts(track(table, motion=MIXTURE).stats)
    assert {part.track_id for part in parts} == {7}


@FEW
@given(seed=SEEDS)
def test_sensors_that_appear_later_change_no_bit(seed):
    """Each batch names only the sensors that it holds, in any order; errors that rows share come when they come."""
    rng = np.random.default_rng(seed)
    table = recorded()[0].take(slice(0, 1500))
    tracker, came, parts = Tracker(lag_s=2.0), [], []
    for part in streams.batches(table, streams.arrivals(table, rng, lag_s=2.0), rng, 30):
        came.append(streams.with_only_its_sensors(part, rng))
        parts.append(tracker.update(came[-1]))
    parts.append(tracker.flush())
    whole = track(merge(*came))
    streams.same_bits(parts, whole)
    assert streams.counts(tracker.stats) == streams.counts(whole.stats)


@FEW
@given(seed=SEEDS)
def test_rows_of_one_sensor_at_one_time_have_one_order(seed):
    rng = np.random.default_rng(seed)
    at_s = np.repeat(np.arange(0.0, 20.0, 0.5), 3)
    table = streams.positions(at_s, weave(at_s) + rng.normal(0.0, 2.0, (len(at_s), 3)), "gnss")
    whole = track(merge(table))
    mixed = [table.take([row]) for row in streams.arrivals(table, rng, lag_s=1.0, late=0.5)]
    streams.same_bits([track(merge(*mixed))], whole)
    streams.same_bits(streams.follow(Tracker(lag_s=1.0), mixed), whole)
