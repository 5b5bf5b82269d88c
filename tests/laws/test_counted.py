"""Law 8: no byte sequence and no file raises anything but the library's own errors."""

import numpy as np
from conftest import DEMO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dronetrack.errors import DronetrackError
from dronetrack.mavlink import read_log_info, read_telemetry
from dronetrack.mavlink.frames import index_frames
from dronetrack.mission import read_mission
from dronetrack.terrain import Terrain
from dronetrack.units import read_units

LOG = (DEMO / "ro_drone.tlog").read_bytes()[:60_000]


@given(st.binary(max_size=3000))
def test_any_bytes_are_a_log_or_an_error(content):
    for read in (read_telemetry, read_log_info):
        try:
            read(content)
        except DronetrackError:
            continue


DAMAGE = st.tuples(
    st.integers(0, 59_000), st.sampled_from(["flip", "cut", "insert"]), st.binary(min_size=1, max_size=300)
)


@given(st.lists(DAMAGE, min_size=1, max_size=8))
def test_a_damaged_log_counts_its_damage(damage):
    damaged = bytearray(LOG)
    for at, kind, rubbish in damage:
        if kind == "flip":
            damaged[at % len(damaged)] ^= 1 + rubbish[0] % 255
        elif kind == "cut":
            del damaged[at : at + 1 + len(rubbish)]
        else:
            damaged[at:at] = rubbish
    frames = index_frames(np.frombuffer(bytes(damaged), dtype=np.uint8))
    signed = frames.data[frames.payload - 8] & 1
    ends = frames.payload + frames.size + 2 + 13 * signed
    starts = frames.payload - 10 - 8
    # Every byte is a frame, skipped, the cut end, or a frame of unknown id (a flipped bit may make one).
    assert (starts[1:] >= ends[:-1]).all()
    covered = int(np.sum(ends - starts))
    rest = len(damaged) - covered - frames.stats["skipped_bytes"] - frames.stats["cut_bytes"]
    assert 12 * frames.stats["unknown_id_frames"] <= rest <= 300 * frames.stats["unknown_id_frames"]
    try:
        read_telemetry(bytes(damaged))
    except DronetrackError:
        return


ENDINGS = ["tlog", "gpx", "nmea", "xml", "csv", "parquet", "hgt", "tif", "toml", ""]


@given(st.binary(max_size=400), st.sampled_from(ENDINGS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_of_any_name_is_read_or_refused(tmp_path, content, ending):
    path = tmp_path / f"N46E020.{ending}"
    path.write_bytes(content)
    for read in (read_units, read_telemetry, Terrain.read, read_mission):
        try:
            read(path)
        except DronetrackError:
            continue


@given(st.text(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_mission_or_an_error(tmp_path, text):
    path = tmp_path / "mission.toml"
    path.write_text(text, encoding="utf-8")
    try:
        read_mission(path)
    except DronetrackError:
        return
