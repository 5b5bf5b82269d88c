import numpy as np
import pyproj
import pytest
import shapely

from dronetrack import geodesy
from dronetrack.border import Border
from dronetrack.errors import FormatError, InputError
from dronetrack.filtering import track
from dronetrack.measurements import POSITION, Sensor, measurements_of
from dronetrack.tracks import CONFIRMED, Track

GEOD = pyproj.Geod(ellps="WGS84")


@pytest.fixture(scope="module")
def border():
    return Border.between("HU", "RO")


@pytest.fixture(scope="module")
def straight():
    """A border that runs north along 21 E; the host lies to the east."""
    return Border.from_line([47.0, 46.0], [21.0, 21.0], home="HU", host="RO", line_std_m=1.0)


def near_the_line(border, rng, n=300, spread_deg=0.05):
    at = rng.integers(0, len(border.line_lat_deg), n)
    return border.line_lat_deg[at] + rng.normal(0, spread_deg, n), border.line_lon_deg[at] + rng.normal(
        0, spread_deg, n
    )


def test_towns_are_in_their_countries(border):
    # Budapest, Szeged, Nagylak; Timisoara, Oradea, Nadlac; Vienna
    lat = [47.4979, 46.2530, 46.1766, 45.7489, 47.0465, 46.1667, 48.2082]
    lon = [19.0402, 20.1414, 20.7036, 21.2087, 21.9189, 20.7500, 16.3738]
    assert border.side(lat, lon).tolist() == [0, 0, 0, 1, 1, 1, -1]


def test_turning_the_border_round_turns_the_sides(border):
    other = Border.between("RO", "HU")
    assert (other.home, other.host) == ("RO", "HU")
    assert other.side([47.4979], [19.0402]).tolist() == [1]
    np.testing.assert_allclose(
        other.signed_distance_m([46.3], [20.8]), -border.signed_distance_m([46.3], [20.8]), rtol=1e-7
    )


def test_side_agrees_with_shapely(border, rng):
    lat, lon = near_the_line(border, rng, 2000)
    home, host = shapely.Polygon(border.home_rings_deg), shapely.Polygon(border.host_rings_deg)
    expected = np.where(shapely.contains_xy(host, lon, lat), 1, np.where(shapely.contains_xy(home, lon, lat), 0, -1))
    assert (border.side(lat, lon) == expected).all()
    assert (expected >= 0).mean() > 0.9


def test_the_sign_of_the_distance_is_the_side(border, rng):
    lat, lon = near_the_line(border, rng, 2000, 0.02)
    side, distance = border.side(lat, lon), border.signed_distance_m(lat, lon)
    inside = side >= 0  # where a third country begins, the sign only says which of the two is nearer
    assert ((distance > 0) == (side == 1))[inside].all()


def test_distance_agrees_with_the_geodesic(border, rng):
    lat, lon = near_the_line(border, rng)
    fine = shapely.segmentize(shapely.LineString(np.column_stack([border.line_lon_deg, border.line_lat_deg])), 2e-4)
    vertices = shapely.get_coordinates(fine)
    ours = np.abs(border.signed_distance_m(lat, lon))
    for row in range(0, len(lat), 10):
        squared = (vertices[:, 0] - lon[row]) ** 2 * 0.48 + (vertices[:, 1] - lat[row]) ** 2
        close = vertices[np.argsort(squared)[:60]]
        n = len(close)
        _, _, theirs = GEOD.inv(np.full(n, lon[row]), np.full(n, lat[row]), close[:, 0], close[:, 1])
        # The vertices are 20 m apart: the nearest one is at most that much farther than the line.
        assert ours[row] <= theirs.min() * (1 + 1e-6) + 1e-3
        assert theirs.min() <= np.hypot(ours[row], 12.0) * (1 + 1e-5)


def test_distance_to_a_straight_line_is_exact(straight, rng):
    lat, lon = rng.uniform(46.2, 46.8, 50), 21.0 + rng.uniform(-0.1, 0.1, 50)
    _, _, expected = GEOD.inv(lon, lat, np.full(50, 21.0), lat)
    # Across a meridian the shortest way bends towards the equator by less than a metre here.
    np.testing.assert_allclose(straight.signed_distance_m(lat, lon), np.sign(lon - 21.0) * expected, atol=1.0)


def test_no_place_is_nan_and_neither(border):
    assert np.isnan(border.signed_distance_m([np.nan], [20.0])).all()
    assert border.side([np.nan], [20.0]).tolist() == [-1]
    assert border.side([], []).shape == (0,)


def drive(east_m, *, step_s=0.5, std_m=3.0, rng=None, speed_std=0.5):
    """A track by its way east of 21 E, one row each step; `rng` adds the errors that its covariance promises."""
    n = len(east_m)
    east = np.array(east_m, dtype=float)
    rate = np.gradient(east, step_s)
    if rng is not None:
        east += rng.normal(0, std_m, n)
    enu = np.column_stack([east, np.zeros(n), np.zeros(n)])
    lat, lon = np.full(n, 46.5), np.full(n, 21.0)
    state = np.hstack(
        [
            geodesy.enu_to_ecef(enu, 46.5, 21.0, 100.0),
            geodesy.enu_vectors_to_ecef(np.column_stack([rate, np.zeros((n, 2))]), lat, lon),
        ]
    )
    local = np.diag([std_m**2] * 3 + [speed_std**2] * 3)
    cov = geodesy.enu_covariance_to_ecef(np.stack([local] * n), lat, lon)
    time_us = 10**15 + (np.arange(n) * step_s * 1e6).astype(np.int64)
    return Track(time_us, 1, np.full(n, CONFIRMED, np.int8), state, cov, np.ones(n), np.ones(n, np.int16))


def test_one_true_crossing_is_one_crossing_at_its_time(straight):
    found = straight.crossings(drive(np.linspace(-500.0, 500.0, 101)))
    assert len(found) == 1
    crossing = next(iter(found))
    assert (crossing.leaving, crossing.entering) == ("HU", "RO")
    assert (found.time_us[0] - 10**15) * 1e-6 == pytest.approx(25.0, abs=0.02)
    assert crossing.time_std_s == pytest.approx(np.hypot(3.0, 1.0) / 20.0, rel=0.05)
    assert crossing.probability > 0.99
    assert (crossing.lat_deg, crossing.lon_deg) == (pytest.approx(46.5, abs=1e-5), pytest.approx(21.0, abs=1e-5))


@pytest.mark.parametrize("beside_m", [-3.0, -10.0])
def test_positions_that_scatter_over_the_line_are_no_crossing(straight, rng, beside_m):
    n = 1200
    north = np.linspace(-6000.0, 6000.0, n)
    for _ in range(5):
        seen = np.column_stack([beside_m + rng.normal(0, 8.0, n), north + rng.normal(0, 8.0, n), np.zeros(n)])
        z = geodesy.enu_to_ecef(seen, 46.5, 21.0, 100.0)
        cov = np.broadcast_to(64.0 * np.eye(3), (n, 3, 3))
        smooth = track(measurements_of(10**15 + 500_000 * np.arange(n), POSITION, z, cov, Sensor("gnss")))
        assert (seen[:, 0] > 0).any()
        assert len(straight.crossings(smooth)) == 0


def test_there_and_back_is_two(straight):
    way = np.concatenate([np.linspace(-300, 300, 61), np.linspace(300, -300, 61)[1:]])
    found = straight.crossings(drive(way))
    assert found.entering == ("RO", "HU")


def test_a_dip_that_the_covariance_does_not_believe_is_none(straight):
    way = np.concatenate([np.linspace(-100, 2, 52), np.linspace(2, -100, 52)[1:]])
    assert len(straight.crossings(drive(way, std_m=4.0))) == 0


def test_crossing_times_keep_the_promise_of_their_standard_deviation(straight, rng):
    way = np.linspace(-400.0, 400.0, 81)
    apart = []
    for _ in range(200):
        # An error that stays for the whole drive, as the covariance of a smooth track describes it.
        found = straight.crossings(drive(way + rng.normal(0, 3.0)))
        apart.append(((found.time_us[0] - 10**15) * 1e-6 - 20.0) / found.time_std_s[0])
    assert 0.75 < np.std(apart) < 1.1  # a little below one: the line's own metre is not in the drive
    assert abs(np.mean(apart)) < 0.25


def test_a_track_that_never_comes_near_has_no_crossing(border):
    assert len(border.crossings(drive(np.linspace(-100.0, 100.0, 20)).take(slice(0, 0)))) == 0
    table = border.crossings(drive(np.linspace(0.0, 100.0, 20))).to_geodataframe()
    assert len(table) == 0


def test_outlines_of_a_map_file_share_their_line(tmp_path):
    import geopandas

    west = shapely.Polygon([(20, 46), (21, 46), (21, 46.5), (21, 47), (20, 47)])
    east = shapely.Polygon([(21, 46), (22, 46), (22, 47), (21, 47), (21, 46.5)])
    table = geopandas.GeoDataFrame({"code": ["W", "E"]}, geometry=[west, east], crs=4326)
    table.to_file(tmp_path / "map.geojson")
    border = Border.read(tmp_path / "map.geojson", home="W", host="E")
    assert border.signed_distance_m([46.5], [21.1])[0] > 0
    assert border.signed_distance_m([46.5], [20.9])[0] < 0
    assert border.side([46.5, 46.5, 48.0], [20.9, 21.1, 21.0]).tolist() == [0, 1, -1]
    with pytest.raises(FormatError, match="no feature with 'X'"):
        Border.read(tmp_path / "map.geojson", home="W", host="X")


def test_what_is_no_map_is_refused(tmp_path):
    (tmp_path / "map.geojson").write_text("hello")
    with pytest.raises(FormatError, match="not a readable map"):
        Border.read(tmp_path / "map.geojson", home="A", host="B")
    with pytest.raises(FormatError, match="no such file"):
        Border.read(tmp_path / "missing.geojson", home="A", host="B")


def test_what_is_no_land_border_is_refused_with_what_there_is():
    with pytest.raises(InputError, match="there is no country 'XX'"):
        Border.between("HU", "XX")
    with pytest.raises(InputError, match="HU and FR share no land border; HU has one with AT, HR, RO, RS, SI, SK, UA"):
        Border.between("HU", "FR")


def test_the_data_say_where_they_come_from(border):
    assert "OpenStreetMap" in border.attribution
    assert border.licence == "ODbL-1.0"
    assert border.to_geodataframe().crs.to_epsg() == 4326


def test_many_places_are_shared_among_threads_and_give_the_same_bits(rng):
    border = Border.between("HU", "RO")
    lat, lon = rng.uniform(45.7, 48.3, 70_000), rng.uniform(19.5, 23.5, 70_000)
    whole = border.side(lat, lon), border.signed_distance_m(lat, lon)
    few = [(border.side(lat[k::2], lon[k::2]), border.signed_distance_m(lat[k::2], lon[k::2])) for k in (0, 1)]
    for k in (0, 1):
        np.testing.assert_array_equal(whole[0][k::2], few[k][0])
        np.testing.assert_array_equal(whole[1][k::2], few[k][1])
    lat[69_000] = 91.0
    with pytest.raises(InputError, match="row 69000"):
        border.side(lat, lon)
