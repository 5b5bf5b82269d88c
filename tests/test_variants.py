import importlib.util
import json
import pathlib
import sys

import numpy as np
import pynmea2
import pytest

from dronetrack import Border, geodesy, read_telemetry, read_units
from dronetrack.mavlink import read_log_info
from dronetrack.measurements import HEIGHT
from dronetrack.registration import Registration
from dronetrack.sensing import sightings

TOOLS = pathlib.Path(__file__).parent.parent / "tools"
# Every ten seconds of the true path (own recording, CC0), around the crossing.
PATH = """time,lat,lon
1795470140089402,46.2126963,20.7509331
1795470150089392,46.2125365,20.7529945
1795470160089383,46.2123614,20.7550523
1795470170089373,46.2121834,20.7571108
1795470180089364,46.2120058,20.7591681
1795470190089354,46.2117840,20.7612160
1795470200089345,46.2115057,20.7632510
1795470210089335,46.2112263,20.7652851
1795470220089326,46.2109466,20.7673203"""
START_US, END_US = 1795470160_000000, 1795470205_000000
DELAY_S = 0.25


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


variants = load("make_variant")
scorer = load("score_mission")
checker = load("check_registration")


@pytest.fixture(scope="module")
def source(demo, tmp_path_factory):
    """A minute of the demo around the crossing, with truth."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("hu_drone.tlog", "ro_drone.tlog"):
        log = variants.Log(demo / name)
        inside = (log.stamp_us >= START_US) & (log.stamp_us < END_US)
        log.write(folder / name, inside | (log.kind == "CAMERA_INFORMATION"), np.maximum(log.stamp_us, START_US))
    for name in ("hu_unit.gpx", "ro_unit.nmea", "mission.toml"):
        (folder / name).write_bytes((demo / name).read_bytes())
    time_us, lat, lon = np.array([row.split(",") for row in PATH.split("\n")[1:]], dtype=float).T
    fine = np.arange(time_us[0], time_us[-1], 1e5)
    rows = zip(fine, np.interp(fine, time_us, lat), np.interp(fine, time_us, lon), strict=True)
    head = "entity,time_unix_us,lat_deg,lon_deg,alt_msl_m\n"
    (folder / "truth.csv").write_text(head + "".join(f"target,{t:.0f},{a:.9f},{o:.9f},84.0\n" for t, a, o in rows))
    return variants.Source.read(folder, None)


def clean(**drone):
    """Nothing wrong, but what is asked for."""
    still = {"latency_s": (DELAY_S, DELAY_S), "boresight_deg": (0.0, 0.0), "pixel_std": 0.0}
    still |= {"heading_wander_deg": 0.0, "gnss_std_m": 0.0}
    return variants.Faults(drones={role: variants.DroneFaults(**still | drone) for role in variants.ROLES})


@pytest.fixture
def make(source, tmp_path):
    def variant(faults=None, place=None, seed=1):
        scenario = variants.make(source, tmp_path, seed, faults or clean(), place)
        names = [one["log"] for one in variants.tomllib.loads((tmp_path / "mission.toml").read_text())["drone"]]
        return tmp_path, scenario, names

    return variant


def truth_at(folder, entity, time_us):
    rows = np.genfromtxt(folder / "truth.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    rows = rows[rows["entity"] == entity]
    return [np.interp(time_us, rows["time_unix_us"], rows[key]) for key in ("lat_deg", "lon_deg", "alt_hae_m")]


def angles_off_target(folder, log, frame):
    """Angle between each sighting and the direction to the target. [deg]"""
    lines = sightings(read_telemetry(folder / log), gimbal_frame=frame, latency_s=DELAY_S)
    sight = geodesy.geodetic_to_ecef(*truth_at(folder, "target", lines.time_us)) - lines.site_ecef_m
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip(np.sum(sight * lines.z, axis=1), -1.0, 1.0)))


def test_without_faults_every_frame_is_there_and_whole(make, source):
    folder, _, names = make()
    for name in names:
        old, new = read_log_info(source.folder / name), read_log_info(folder / name)
        assert new["bad_frames"] == new["lost_frames"] == 0
        assert [v["messages"] for v in new["vehicles"]] == [v["messages"] for v in old["vehicles"]]


@pytest.mark.parametrize("place", [None, "csengersima_petea", "kiszombor_cenad"])
def test_without_faults_every_sighting_points_at_the_target(make, place):
    folder, _, names = make(place=place)
    for name in names:
        assert np.median(angles_off_target(folder, name, "auto")) < 0.1


def test_a_servo_mount_lies_in_its_flags_and_is_right_in_the_body_frame(make):
    servo = {"servo": "pan_roll_tilt", "servo_lag_s": 1e-3, "servo_deadband_deg": 0.0, "servo_sag_deg": 0.0}
    folder, _, names = make(clean(**servo), "artand_bors")
    for name in names:
        flags = read_telemetry(folder / name).gimbal.flags
        assert np.all(flags & 32)
        assert np.median(angles_off_target(folder, name, "body")) < 0.1
        assert np.median(angles_off_target(folder, name, "auto")) > 3.0


def test_servos_lag_and_do_not_move_within_their_deadband(rng):
    faults = variants.DroneFaults(servo_lag_s=0.1, servo_deadband_deg=1.0, servo_sag_deg=0.0)
    seconds = np.arange(0.0, 2.0, 0.01)
    told = np.radians(np.where(seconds < 1.0, 0.3, 10.0))[:, None] * np.ones(3)
    told[0] = 0.0
    stood = np.degrees(variants.servo_answer(rng, told, seconds, faults))
    assert np.all(stood[seconds < 0.99] == 0.0)
    assert stood[np.argmin(np.abs(seconds - 1.1))] == pytest.approx(9.5 * (1.0 - np.exp(-1.1)), abs=0.3)
    assert stood[-1] == pytest.approx(9.5, abs=0.01)


def test_a_wrong_heading_turns_every_sighting_about_the_drone(make):
    folder, _, names = make(clean(heading_deg=3.0))
    lines = sightings(read_telemetry(folder / names[0]), gimbal_frame="auto", latency_s=DELAY_S)
    where = truth_at(folder, "target", lines.time_us)
    sight = geodesy.geodetic_to_ecef(*where) - lines.site_ecef_m
    east, north, _ = geodesy.ecef_vectors_to_enu(sight, where[0], where[1]).T
    seen_east, seen_north, _ = geodesy.ecef_vectors_to_enu(lines.z, where[0], where[1]).T
    off = np.degrees(np.arctan2(seen_east, seen_north) - np.arctan2(east, north))
    assert np.median((off + 180.0) % 360.0 - 180.0) == pytest.approx(3.0, abs=0.1)


def test_a_position_jumps_and_returns(make, source):
    plain = read_telemetry(source.folder / "hu_drone.tlog").position
    faults = clean()
    start = (START_US - source.start_us) * 1e-6 + 20.0
    jump = {"start": start, "end": start + 5.0, "ramp_s": 0.2, "east_m": 30.0, "north_m": -40.0, "raw_only": False}
    faults.glitches = [{"who": "first", **jump}]
    folder, _, names = make(faults)
    said = read_telemetry(folder / names[0]).position
    off = np.linalg.norm(
        geodesy.geodetic_to_ecef(said.lat_deg, said.lon_deg, said.alt_hae_m)
        - geodesy.geodetic_to_ecef(plain.lat_deg, plain.lon_deg, plain.alt_hae_m),
        axis=1,
    )
    seconds = (said.time_us - source.start_us) * 1e-6 - start
    assert np.all(np.abs(off[(seconds > 0.3) & (seconds < 4.9)] - 50.0) < 0.3)
    assert np.all(off[(seconds < -0.1) | (seconds > 5.3)] < 0.05)


def test_lost_frames_are_counted_by_their_sequence_numbers(make):
    faults = clean()
    faults.loss, faults.bursts = 0.03, 2
    folder, scenario, names = make(faults)
    for role, name in zip(variants.ROLES, names, strict=True):
        info, said = read_log_info(folder / name), scenario["variant"]["counts"][role]
        lost = said["frames_sent"] - said["frames_kept"]
        assert info["frames"] == said["frames_kept"]
        assert 0.02 < lost / said["frames_sent"] < 0.08
        assert info["lost_frames"] == pytest.approx(lost, abs=3)  # those at the very ends cannot be told


def test_late_frames_stand_where_they_arrived(make, source):
    faults = clean()
    faults.late = 0.02
    folder, scenario, names = make(faults)
    new, old = variants.Log(folder / names[0]), variants.Log(source.folder / names[0])
    assert np.all(np.diff(new.stamp_us) >= 0)
    late = scenario["variant"]["counts"]["first"]["frames_late"]
    assert late / len(old.stamp_us) == pytest.approx(0.02, abs=0.006)
    # A frame is known by its kind and its boot time.
    sent = dict(zip(old.values("ATTITUDE", "time_boot_ms"), old.stamp_us[old.rows("ATTITUDE")], strict=True))
    boot = new.values("ATTITUDE", "time_boot_ms")
    delay_s = 1e-6 * (new.stamp_us[new.rows("ATTITUDE")] - [sent[one] for one in boot])
    assert 1.0 < delay_s.max() <= 1.5
    assert np.mean(delay_s > 0.0) == pytest.approx(0.02, abs=0.012)


def test_a_stalled_link_keeps_the_order(make):
    faults = clean()
    faults.late, faults.late_mode = 0.05, "stall"
    folder, _, names = make(faults)
    boot = variants.Log(folder / names[0]).values("ATTITUDE", "time_boot_ms")
    assert np.all(np.diff(boot) > 0)


def test_a_wrong_latch_is_on_another_car_and_coasting_says_so(make, source):
    start = (START_US - source.start_us) * 1e-6
    faults = clean()
    faults.episodes = [
        {"drone": "first", "kind": "latch", "start": start + 10.0, "end": start + 14.0, "east_m": 0.0}
        | {"north_m": 40.0, "v_east_mps": 0.0, "v_north_mps": 1.0},
        {"drone": "first", "kind": "coast", "start": start + 20.0, "end": start + 22.0},
        {"drone": "first", "kind": "lost", "start": start + 30.0, "end": start + 35.0},
    ]
    folder, _, names = make(faults)
    drone = read_telemetry(folder / names[0])
    seconds = (drone.image_target.time_us - source.start_us) * 1e-6 - DELAY_S - start
    status = drone.image_target.status
    assert np.all(status[(seconds > 20.1) & (seconds < 21.9)] == 9)
    assert np.all(status[(seconds > 30.1) & (seconds < 34.9)] == 0)
    lines = sightings(drone, terrain=84.0, gimbal_frame="auto", latency_s=DELAY_S)
    wrong = lines.take((lines.kind == HEIGHT) & (np.abs((lines.time_us - source.start_us) * 1e-6 - start - 12.0) < 1.9))
    where = truth_at(folder, "target", wrong.time_us)
    off = geodesy.ecef_vectors_to_enu(wrong.z - geodesy.geodetic_to_ecef(*where), where[0], where[1])
    assert np.median(off[:, 1]) == pytest.approx(42.0, abs=3.0)
    assert abs(np.median(off[:, 0])) < 3.0


@pytest.mark.parametrize("place", ["artand_bors", "battonya_turnu"])
def test_a_move_is_rigid_and_crosses_the_border_once(make, source, place):
    folder, scenario, names = make(place=place)
    (crossing,) = scenario["border_crossings"]["target"]
    border = Border.between("HU", "RO")
    assert abs(border.signed_distance_m([crossing["lat"]], [crossing["lon"]])[0]) < 0.1
    side = border.side(*truth_at(folder, "target", np.array([START_US, END_US]))[:2])
    assert [("HU", "RO")[one] for one in side] == list(scenario["variant"]["roles"].values())
    units = [unit["log"] for unit in variants.tomllib.loads((folder / "mission.toml").read_text())["unit"]]
    places = []
    for where, logs in ((source.folder, ["hu_drone.tlog", "ro_drone.tlog", "hu_unit.gpx", "ro_unit.nmea"]),
                        (folder, [*names, *units])):  # fmt: skip
        found = [read_telemetry(where / log).position for log in logs[:2]] + [
            read_units(where / log) for log in logs[2:]
        ]
        at = [np.argmin(np.abs(one.time_us - (START_US + END_US) // 2)) for one in found]
        rows = [(one.lat_deg[k], one.lon_deg[k], 0.0) for one, k in zip(found, at, strict=True)]
        places.append(geodesy.geodetic_to_ecef(*np.array(rows).T))
    apart = [np.linalg.norm(one[:, None] - one, axis=2) for one in places]
    assert np.max(np.abs(apart[1] - apart[0])) < 0.1
    assert min(apart[0][np.triu_indices(4, 1)]) > 50.0


def test_moved_nmea_sentences_are_signed_anew(make):
    folder, _, _ = make(place="vallaj_urziceni")
    (path,) = folder.glob("*.nmea")
    for line in path.read_text().splitlines()[:60]:
        pynmea2.parse(line, check=True)


def test_the_same_seed_makes_the_same_bytes(make):
    faults = clean(pixel_std=0.004)
    faults.loss, faults.late = 0.03, 0.02
    folder, _, names = make(faults, "gyula_varsand", seed=5)
    first = [(folder / name).read_bytes() for name in names]
    make(faults, "gyula_varsand", seed=5)
    assert [(folder / name).read_bytes() for name in names] == first
    make(faults, "gyula_varsand", seed=6)
    assert [(folder / name).read_bytes() for name in names] != first


def test_a_fault_more_leaves_every_other_draw_as_it_was():
    one, other = variants.Draw(7), variants.Draw(7)
    other("late").random(100)
    assert one("image").random() == other("image").random()


def test_hard_faults_hold_what_is_promised():
    seconds = {"first": (0.0, 400.0), "second": (240.0, 580.0)}
    for seed in range(30):
        faults = variants.draw_faults("hard", variants.Draw(seed), seconds, ["unit first"])
        servo, heading = (
            [bool(getattr(one, key)) for one in faults.drones.values()] for key in ("servo", "heading_deg")
        )
        assert sorted(servo) == sorted(heading) == [False, True]
        assert servo != heading
        assert (faults.loss, faults.late, faults.late_max_s) == (0.03, 0.02, 1.5)
        for jump in faults.glitches:
            assert 20.0 <= np.hypot(jump["east_m"], jump["north_m"]) <= 80.0
        for one in faults.episodes:
            begin, end = seconds[one["drone"]]
            assert begin <= one["start"] < one["end"] <= end


def test_a_variant_can_be_scored(make):
    folder, _, _ = make(place="mehkerek_salonta")
    score = scorer.Score(folder)
    assert np.median(score.distance_m) < 10.0
    assert score.name in score.line()
    assert "camera" in score.detail()
    assert json.loads((folder / "scenario.json").read_text())["variant"]["place"] == "mehkerek_salonta"


def test_a_registration_is_checked_against_what_was_drawn():
    scenario = {
        "camera": {"latency_s": {"HU": [0.2, 0.3]}, "boresight_yaw_pitch_deg": {"HU": [0.5, -0.2]},
                   "gimbal_attitude_truth": {"HU": "quaternion"}},
        "variant": {"roles": {"first": "HU"}, "faults": {"drones": {"first": {"heading_deg": 3.0}}}},
    }  # fmt: skip
    truth, servo = checker.truth_of(scenario, "HU-D1")
    np.testing.assert_allclose(truth, [0.5, -0.2, -3.0, 0.25])
    assert servo
    cov = np.diag([0.1, 0.1, 0.2, 0.01, 0.01]) ** 2
    cov[0, 2] = cov[2, 0] = -0.9 * 0.1 * 0.2
    found = Registration("HU-D1", 0.6, -0.4, -3.2, 0.26, 1.0, 0.1, 0.1, 0.2, 0.01, 0.01, cov, "body", {})
    one = checker.check(found, truth, servo)
    np.testing.assert_allclose(one.z, [1.0, -2.0, -1.0, 1.0, -0.1 / np.sqrt(0.01 + 0.04 - 0.036)])
    assert (one.sum_deg, one.pitch_deg) == pytest.approx((-0.1, -0.2))
    assert "servo" in one.line()
    assert checker.summary("servo", [one, one]).split()[4] == "1.00"
    # Nothing is known of the heading in a recording.
    assert np.isnan(checker.truth_of({"camera": scenario["camera"]}, "HU-D1")[0][2])
