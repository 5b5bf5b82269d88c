import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronetrack import geodesy
from dronetrack.errors import DronetrackError, FormatError, InputError
from dronetrack.units import SEES_TARGET, UnitReports, from_telemetry, read_units

START = "2026-11-23T21:37:04"
START_US = 1_795_469_824_000_000

GPX = """<?xml version="1.0"?>
<gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>HU-7</name><trkseg>
{points}
</trkseg></trk></gpx>"""


def point(second, lat, lon=20.7, extra=""):
    return f'<trkpt lat="{lat}" lon="{lon}">{extra}<time>2026-11-23T21:37:{second:02d}Z</time></trkpt>'


def nmea(body):
    checksum = 0
    for one in body.encode():
        checksum ^= one
    return f"${body}*{checksum:02X}\n"


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_gpx_gives_time_place_height_and_accuracy(tmp_path):
    text = GPX.format(points="".join(point(s, 46.2 + 1e-4 * s, extra="<ele>87.7</ele>") for s in range(6)))
    text = text.replace("<time>", "<hdop>1.4</hdop><time>", 0)
    units = read_units(write(tmp_path, "a.gpx", text))
    assert units.names == ("HU-7",)
    assert units.time_us[0] == START_US - 4_000_000
    np.testing.assert_allclose(units.lat_deg, 46.2 + 1e-4 * np.arange(6), atol=1e-9)
    np.testing.assert_allclose(units.alt_hae_m, geodesy.msl_to_hae(units.lat_deg, units.lon_deg, np.full(6, 87.7)))


def test_missing_speed_and_course_come_from_the_positions(tmp_path):
    text = GPX.format(points="".join(point(s, 46.2 + 1e-4 * s) for s in range(6)))
    units = read_units(write(tmp_path, "a.gpx", text))
    np.testing.assert_allclose(units.speed_mps, 11.12, atol=0.05)
    np.testing.assert_allclose((units.course_deg + 180.0) % 360.0 - 180.0, 0.0, atol=1e-6)


def test_a_slow_unit_has_no_course(tmp_path):
    text = GPX.format(points="".join(point(s, 46.2 + 1e-6 * s) for s in range(6)))
    assert np.isnan(read_units(write(tmp_path, "a.gpx", text)).course_deg).all()


def test_gpx_points_without_time_are_counted(tmp_path):
    text = GPX.format(points=point(1, 46.2) + '<trkpt lat="46.3" lon="20.7"></trkpt>' + point(2, 46.2))
    units = read_units(write(tmp_path, "a.gpx", text))
    assert len(units) == 2
    assert units.stats["without_time"] == 1


def test_gpx_with_no_time_at_all_is_refused(tmp_path):
    text = GPX.format(points='<trkpt lat="46.3" lon="20.7"></trkpt>')
    with pytest.raises(FormatError, match="no point has a time"):
        read_units(write(tmp_path, "a.gpx", text))


def test_nmea_puts_the_sentences_of_one_moment_together(tmp_path):
    text = "".join(
        nmea(f"GPRMC,21370{s}.00,A,4612.000000,N,02042.000000,E,19.44,090.0,231126,,,A")
        + nmea(f"GPGGA,21370{s}.00,4612.000000,N,02042.000000,E,1,11,0.9,86.8,M,42.8,M,,")
        for s in range(4)
    )
    units = read_units(write(tmp_path, "car.nmea", text), unit="RO-1")
    assert units.names == ("RO-1",)
    assert units.time_us.tolist() == [START_US - 4_000_000 + s * 1_000_000 for s in range(4)]
    np.testing.assert_allclose(units.lat_deg, 46.2)
    np.testing.assert_allclose(units.lon_deg, 20.7)
    np.testing.assert_allclose(units.alt_hae_m, 129.6)
    np.testing.assert_allclose(units.speed_mps, 10.0, atol=2e-3)
    np.testing.assert_allclose(units.course_deg, 90.0)
    np.testing.assert_allclose(units.h_acc_m, 0.9 * 3.0 / np.sqrt(2.0))


def test_a_gst_accuracy_holds_for_five_seconds(tmp_path):
    def fix(s):
        return nmea(f"GPRMC,2137{s:02d}.00,A,4612.0,N,02042.0,E,0.0,,231126,,,A") + nmea(
            f"GPGGA,2137{s:02d}.00,4612.0,N,02042.0,E,1,11,1.0,86.8,M,42.8,M,,"
        )

    text = fix(0) + nmea("GPGST,213700.00,1.0,,,,3.0,4.0,5.0") + fix(4) + fix(30)
    accuracy = read_units(write(tmp_path, "a.nmea", text)).h_acc_m
    np.testing.assert_allclose(accuracy, [np.sqrt(12.5), np.sqrt(12.5), 3.0 / np.sqrt(2.0)])


def test_nmea_over_midnight_goes_on_to_the_next_day(tmp_path):
    text = nmea("GPRMC,235959.00,A,4612.0,N,02042.0,E,0.0,,231126,,,A") + nmea(
        "GPGGA,000000.00,4612.0,N,02042.0,E,1,11,0.9,86.8,M,42.8,M,,"
    )
    assert np.diff(read_units(write(tmp_path, "a.nmea", text)).time_us).tolist() == [1_000_000]


def test_bad_checksums_and_void_fixes_are_counted(tmp_path):
    good = nmea("GPRMC,213704.00,A,4612.0,N,02042.0,E,0.0,,231126,,,A")
    text = (
        good + good.replace("4612", "4613") + nmea("GPRMC,213705.00,V,,,,,,,231126,,,N") + "$GPGGA,rubbish\n\x00\xff\n"
    )
    units = read_units(write(tmp_path, "a.nmea", text))
    assert len(units) == 1
    assert units.stats["bad_checksum"] == 2  # one is wrong, one is missing
    assert units.stats["void"] == 1


COT = (
    '<event version="2.0" uid="{uid}" type="a-f-G" how="m-g" time="{time}" start="{time}" stale="{time}">'
    '<point lat="46.2" lon="20.7" hae="{hae}" ce="{ce}" le="9"/>'
    '<detail><contact callsign="{name}"/><track course="90.0" speed="12.5"/></detail></event>'
)


def cot(name, second, hae="130.5", ce="4.5"):
    return COT.format(uid=name, name=name, time=f"2026-11-23T21:37:{second:02d}.250Z", hae=hae, ce=ce)


@pytest.mark.parametrize("form", ['<?xml version="1.0"?>\n<events>{}</events>', "{}", '<?xml version="1.0"?>{}'])
def test_cot_is_read_as_one_document_or_as_a_stream(tmp_path, form):
    path = write(tmp_path, "a.xml", form.format(cot("HU-1", 4) + cot("RO-1", 4) + cot("HU-1", 5)))
    units = read_units(path)
    assert units.names == ("HU-1", "RO-1")
    assert len(units.of("HU-1")) == 2
    assert units.of("RO-1").time_us[0] == START_US + 250_000
    np.testing.assert_allclose(units.h_acc_m, 4.5)  # the schema: the one-sigma point
    np.testing.assert_allclose(units.speed_mps, 12.5)
    assert len(read_units(path, unit="RO-1")) == 1


def test_cots_number_for_unknown_is_nan(tmp_path):
    units = read_units(write(tmp_path, "a.xml", cot("HU-1", 4, hae="9999999.0", ce="9999999.0")))
    assert np.isnan(units.alt_hae_m).all()
    assert np.isnan(units.h_acc_m).all()


BOMB = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><{root}>&b;</{root}>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/passwd">]><{root}>&a;</{root}>'


@pytest.mark.parametrize("text", [BOMB, OUTSIDE])
@pytest.mark.parametrize(("name", "root"), [("a.gpx", "gpx"), ("a.xml", "events")])
def test_xml_bombs_and_outside_entities_are_refused(tmp_path, text, name, root):
    with pytest.raises(FormatError, match="refused, the XML declares entities"):
        read_units(write(tmp_path, name, text.format(root=root)))


def test_csv_takes_the_names_that_people_use(tmp_path):
    head = "Timestamp,Latitude,lng,callsign,speed_mps\n"
    text = head + "2026-11-23T21:37:04Z,46.2,20.7,A,3\n2026-11-23 21:37:05,46.2,20.7,B,x\n"
    units = read_units(write(tmp_path, "a.csv", text))
    assert units.names == ("A", "B")
    assert units.time_us.tolist() == [START_US, START_US + 1_000_000]
    assert units.speed_mps[0] == 3.0


def test_csv_rows_that_cannot_be_read_are_counted(tmp_path):
    text = "time_us,lat_deg,lon_deg,contact\n1,46,20,1\nx,46,20,0\n3,91,20,0\n4,46,,0\n5.5e30,1,1,0\n"
    units = read_units(write(tmp_path, "a.csv", text))
    assert units.time_us.tolist() == [1]
    assert units.contact.tolist() == [SEES_TARGET]
    assert units.stats["unreadable_rows"] == 3
    assert units.stats["outside_earth"] == 1


def test_csv_without_the_columns_says_which(tmp_path):
    with pytest.raises(FormatError, match=r"no column for time, lon_deg; the table has lat"):
        read_units(write(tmp_path, "a.csv", "lat\n46\n"))


def test_geoparquet_and_csv_give_the_same(tmp_path):
    text = GPX.format(points="".join(point(s, 46.2 + 1e-4 * s) for s in range(6)))
    units = read_units(write(tmp_path, "a.gpx", text))
    table = units.to_geodataframe()
    table.to_parquet(tmp_path / "a.parquet")
    again = read_units(tmp_path / "a.parquet")
    assert again.names == units.names
    np.testing.assert_array_equal(again.time_us, units.time_us)
    np.testing.assert_allclose(again.lat_deg, units.lat_deg, atol=1e-12)
    np.testing.assert_allclose(again.alt_hae_m, units.alt_hae_m)


def test_rows_out_of_order_and_repeated_are_put_right_and_counted(tmp_path):
    text = "time_us,lat,lon\n3,46,20\n1,46,20\n1,46.5,20\n2,46,20\n"
    units = read_units(write(tmp_path, "a.csv", text))
    assert units.time_us.tolist() == [1, 2, 3]
    assert units.stats["repeated"] == 1
    assert units.stats["out_of_order"] == 1


def test_a_vehicle_with_an_autopilot_is_a_unit_too(demo):
    from dronetrack.mavlink import read_telemetry

    units = read_units(demo / "hu_drone.tlog", system_id=1, unit="flyer")
    rows = read_telemetry(demo / "hu_drone.tlog", 1).position
    assert units.names == ("flyer",)
    np.testing.assert_array_equal(units.time_us, rows.time_us)
    assert isinstance(from_telemetry(read_telemetry(demo / "hu_drone.tlog", 1)), UnitReports)


def test_an_unknown_unit_is_named(tmp_path):
    path = write(tmp_path, "a.xml", cot("HU-1", 4) + cot("RO-1", 4))
    with pytest.raises(InputError, match=r"no unit 'HU-9'; there are \['HU-1', 'RO-1'\]"):
        read_units(path, unit="HU-9")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.gpx", None, "no such file"),
        ("empty.gpx", b" \n", "the file is empty"),
        ("broken.gpx", b"<gpx><trk>", "broken XML"),
        ("a.nmea", b"$GPGGA,1,2,3\nhello\n", "no NMEA position with time and date"),
        ("a.bin", b"\x00\x01\x02", "not GPX, NMEA 0183, Cursor-on-Target, CSV or GeoParquet"),
        ("a.parquet", b"PAR1 but no table", "not a readable GeoParquet table"),
        ("a.csv", b"time,lat,lon\n", "none of 0 rows"),
        ("a.xml", b"<events/>", "no Cursor-on-Target <event>"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FormatError, match=words):
        read_units(path)


SEEDS = [
    GPX.format(points=point(1, 46.2) + point(2, 46.3)).encode(),
    (nmea("GPRMC,213704.00,A,4612.0,N,02042.0,E,0.0,,231126,,,A") * 2).encode(),
    cot("HU-1", 4).encode(),
    b"time,lat,lon,unit\n2026-11-23T21:37:04Z,46.2,20.7,A\n",
]


@given(
    st.sampled_from(list(zip(["gpx", "nmea", "cot", "csv"], SEEDS, strict=True))),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), max_size=5),
)
def test_no_damage_to_a_file_raises_anything_but_our_own_errors(tmp_path_factory, kind, damage):
    form, content = kind
    for place, rubbish in damage:
        at = int(place * len(content))
        content = content[:at] + rubbish + content[at + len(rubbish) // 2 :]
    path = tmp_path_factory.mktemp("damaged", numbered=True) / "file"
    path.write_bytes(content)
    try:
        units = read_units(path, format=form)
    except DronetrackError:
        return
    assert len(units) == units.stats["rows"] - units.stats["outside_earth"] - units.stats["repeated"]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("gps_nmea/haicom-305N.log", 68),
        ("gps_nmea/ublox-zed-f9p-nmea.log", 29),
        ("gps_nmea/ais-nmea.log", 164),
        ("gps_nmea/nmea-rtk.log", 122),
        ("ground_tracks/setnjica-kod-karojbe.gpx", 1852),
        ("ground_tracks/around-visnjan-with-car.gpx", 104),
        ("cot/fts_broadcast_to_B.xml", 5),
        ("recorded/joint_exercise_a/units.cot.xml", 561),
    ],
)
def test_real_files_of_other_people(shared, name, rows):
    assert len(read_units(shared(name))) == rows
