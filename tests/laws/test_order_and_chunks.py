"""Laws 1, 2 and 5, as far as there is something to split and to order: the same rows give the same bits."""

import itertools

import numpy as np
import pytest

from dronetrack.filtering import track
from dronetrack.mavlink.frames import index_frames
from dronetrack.measurements import merge
from dronetrack.mission import fuse


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
    same_bits(fusion.track, track(merge(*parts)))


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
