"""DJI's subtitles: five layouts of real files, each with what it lacks, and the traps in their times and heights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from songdo import Songdo

from dronetrack import geodesy
from dronetrack.errors import DronetrackError, FormatError, InputError
from dronetrack.mavlink import read_log_info, read_telemetry
from dronetrack.mavlink.srt import read_srt

# name -> (frames, first place, height and gimbal that are in it, what it lacks)
FILES = {
    "MAVIC3.srt": (12_318, (3.41531, -3.37440), {"attitude", "gimbal"}),
    "air2s.srt": (17, (41.424724, 2.234156), {"attitude", "gimbal", "height"}),
    "matrice_300.srt": (381, (36.6146, -6.1120), {"attitude", "gimbal", "focal length"}),
    "mavic_2pro_new.SRT": (8_952, (-35.080155, -60.286702), {"attitude", "gimbal", "height"}),
    "p4_rtk.SRT": (55, (-34.237922, -58.851745), {"focal length"}),
}
START_US = 1_600_000_000_000_000


def block(number, fields, shown="00:00:00,000", date="2022-08-07 13:40:40.774\n"):
    return f"{number}\n{shown} --> 00:00:01,000\n{date}{fields}\n\n"


def one(fields, **options):
    return read_srt(block(1, fields).encode(), **{"utc_offset_h": 0, **options})


PLACE = "[latitude: 46.2] [longitude: 20.7]"


@pytest.mark.parametrize("name", FILES)
def test_each_layout_is_read_and_says_what_it_lacks(shared, name):
    frames, place, lacks = FILES[name]
    drone = read_srt(shared(f"dji_srt/{name}"), start_us=START_US, takeoff_alt_msl_m=20.0)
    assert drone.stats["frames"] == len(drone.position) == frames
    assert (drone.position.lat_deg[0], drone.position.lon_deg[0]) == place
    assert set(drone.stats["lacks"]) == lacks | {"velocity", "what the camera tracked"}
    assert drone.position.time_us[0] == START_US
    assert len(drone.image_target) == 0


def test_the_time_of_a_frame_is_local_time_less_the_offset(shared):
    drone = read_srt(shared("dji_srt/MAVIC3.srt"), utc_offset_h=-3)
    times = drone.position.time_us[[0, -1]].astype("M8[us]").astype(str).tolist()
    assert times == ["2021-12-25T15:27:52.373000", "2021-12-25T15:31:58.710000"]


def test_microseconds_behind_a_second_comma_are_kept(shared):
    drone = read_srt(shared("dji_srt/air2s.srt"), utc_offset_h=2)
    assert str(drone.position.time_us[0].astype("M8[us]")) == "2022-08-07T11:40:40.774808"


def test_dates_with_points_are_read(shared):
    drone = read_srt(shared("dji_srt/matrice_300.srt"), utc_offset_h=2)
    assert str(drone.position.time_us[-1].astype("M8[us]")) == "2022-06-21T14:12:37.000000"


def test_a_zone_that_is_not_given_is_not_guessed(shared):
    with pytest.raises(InputError, match="utc_offset_h"):
        read_srt(shared("dji_srt/air2s.srt"))


def test_subtitles_without_a_date_need_a_start(shared):
    with pytest.raises(InputError, match="no date"):
        read_srt(shared("dji_srt/p4_rtk.SRT"), utc_offset_h=-3)


def test_a_block_without_a_date_follows_the_one_before_as_it_is_shown():
    text = block(1, PLACE) + block(2, PLACE, shown="00:00:00,040", date="") + block(3, PLACE, shown="00:00:00,080")
    times = read_srt(text.encode(), utc_offset_h=0).position.time_us
    assert (times - times[0]).tolist() == [0, 0, 40_000]  # the third repeats the date of the first


def test_a_day_that_is_none_is_no_date():
    with pytest.raises(InputError, match="no date"):
        read_srt(block(1, PLACE, date="2022-13-07 13:40:40\n").encode(), utc_offset_h=0)


def test_height_is_that_above_the_take_off_place_where_its_own_is_given():
    fields = PLACE + " [rel_alt: 30.000 abs_alt: 57.000]"
    told, stats = one(fields, takeoff_alt_msl_m=84.0), one(fields)
    lat, lon = np.array([46.2]), np.array([20.7])
    np.testing.assert_allclose(told.position.alt_hae_m, geodesy.msl_to_hae(lat, lon, np.array([114.0])))
    np.testing.assert_allclose(stats.position.alt_hae_m, geodesy.msl_to_hae(lat, lon, np.array([57.0])))
    assert np.isnan(told.position.v_acc_m[0])
    assert stats.position.v_acc_m[0] == 50.0
    assert (told.stats["height_from"], stats.stats["height_from"]) == ("take-off place and height above it", "abs_alt")


def test_abs_alt_of_the_songdo_flight_is_wrong_by_what_is_stated(shared):
    import csv

    with shared("geotrax_songdo/U_video_cut_drone_telemetry.csv").open() as file:
        row = next(csv.DictReader(file))
    # The streets of Songdo lie 5 m above the sea.
    fault = float(row["rel_alt"]) + 5.0 - float(row["abs_alt"])
    fields = f"[latitude: {row['latitude']}] [longitude: {row['longitude']}] [rel_alt: 1 abs_alt: {row['abs_alt']}]"
    assert 50.0 < fault < 60.0
    assert fault < 2.0 * one(fields).position.v_acc_m[0]


def test_the_opening_angle_is_that_of_a_scene_with_known_places(shared):
    scene = Songdo(shared("geotrax_songdo/U_video_cut_georef_tracks.csv").parent)
    frame = scene.frame == 10
    apart_px, apart_m = (
        np.linalg.norm(points[:, None] - points[None], axis=2) for points in (scene.pixel[frame], scene.place[frame])
    )
    far = apart_px > 1000.0
    width_m = 3840.0 * np.median(apart_m[far] / apart_px[far])
    seen = np.tan(0.5 * one(f"{PLACE} [focal_len: {scene.drone['focal_len']}]").camera.hfov_rad[0])
    assert seen == pytest.approx(0.5 * width_m / float(scene.drone["rel_alt"]), rel=0.03)


@pytest.mark.parametrize("fields", ["[focal_len: 28.00]", "[focal_len : 280]"])
def test_focal_lengths_without_a_point_are_tenths(fields):
    assert one(PLACE + fields).camera.hfov_rad[0] == pytest.approx(2.0 * np.arctan(18.0 / 28.0))


@pytest.mark.parametrize("ratio", ["2.00", "20000, delta:0"])
def test_digital_zoom_narrows_the_view(ratio):
    drone = one(f"{PLACE} [focal_len: 24.00] [dzoom_ratio: {ratio}]")
    assert drone.camera.hfov_rad[0] == pytest.approx(2.0 * np.arctan(18.0 / 48.0))


def test_order_of_gps_is_told_by_its_third_number():
    satellites, height = one("GPS (20.7, 46.2, 15), H 30.00m"), one("GPS(46.2,20.7,0.0M) BAROMETER:30.0M")
    for drone in (satellites, height):
        assert (drone.position.lat_deg[0], drone.position.lon_deg[0]) == (46.2, 20.7)


def test_places_that_are_written_coarsely_are_stated_so(shared):
    coarse = read_srt(shared("dji_srt/matrice_300.srt"), utc_offset_h=2)
    # A step of 1e-4 degrees is 11 m: uniform within it, 3.2 m, beside the receiver's own.
    assert coarse.position.h_acc_m[0] == pytest.approx(np.hypot(11.132 / np.sqrt(12.0), 1.5), rel=1e-3)
    assert np.isnan(one("[latitude: 46.20001] [longitude: 20.7]").position.h_acc_m[0])


def test_the_gimbal_of_a_p4_rtk_points_where_it_says(shared):
    drone = read_srt(shared("dji_srt/p4_rtk.SRT"), start_us=START_US, takeoff_alt_msl_m=25.0)
    w, x, y, z = drone.gimbal.quaternion[0]
    ahead = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)])  # north, east, down
    assert np.degrees(np.arctan2(ahead[1], ahead[0])) == pytest.approx(110.4)
    assert np.degrees(np.arcsin(ahead[2])) == pytest.approx(24.4)
    assert drone.gimbal.flags[0] == 64 + 12
    # It flies to the left of where it looks, and leans that way.
    w, x, y, z = drone.attitude.quaternion[10]
    assert 2 * (y * z + w * x) < 0


def test_a_frame_before_the_fix_is_dropped_and_counted():
    text = block(1, "[latitude: 0.0] [longitude: 0.0]") + block(2, PLACE)
    drone = read_srt(text.encode(), utc_offset_h=0)
    assert (len(drone.position), drone.stats["frames_without_place"]) == (1, 1)


def test_read_telemetry_says_who_reads_subtitles():
    with pytest.raises(InputError, match="read_srt"):
        read_telemetry(block(1, PLACE).encode())
    with pytest.raises(FormatError, match="read_srt"):
        read_log_info(block(1, PLACE).encode())


def test_subtitles_without_a_place_are_refused():
    with pytest.raises(FormatError, match="no subtitle says where"):
        one("Good morning.")


def test_a_text_that_is_no_subtitle_is_refused():
    with pytest.raises(FormatError, match="no subtitle with its time"):
        read_srt(b"Good morning.", utc_offset_h=0)


@given(st.text(max_size=200), st.text(alphabet="0123456789.,:- \n[]latiudeongGPS()mM", max_size=200))
def test_no_text_raises_anything_but_the_librarys_own_errors(before, fields):
    for text in (before, before + block(1, fields), block(1, fields + PLACE)):
        try:
            read_srt(text.encode(), utc_offset_h=1)
        except DronetrackError:
            continue
