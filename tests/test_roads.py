import json

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.roads import RoadGraph, Route


def winding(rng, n=200, step=0.004):
    """Vertices of a road that winds eastwards."""
    lat = 46.5 + np.cumsum(rng.normal(size=n)) * 0.3 * step
    return lat, 20.0 + np.arange(n) * step


def headings(road, s):
    lat, lon, _ = geodesy.ecef_to_geodetic(road.to_ecef(s))
    local = geodesy.ecef_vectors_to_enu(road.axes(s)[:, 0], lat, lon)
    return np.arctan2(local[:, 0], local[:, 1])


def test_a_road_on_the_ellipsoid_is_as_long_as_its_geodesics(rng):
    lat, lon = winding(rng)
    wanted = pyproj.Geod(ellps="WGS84").line_length(lon, lat)
    assert Route.from_lat_lon(lat, lon).length_m == pytest.approx(wanted, abs=1e-5)


def test_a_long_leg_follows_the_geodesic():
    geod = pyproj.Geod(ellps="WGS84")
    road = Route.from_lat_lon([46.0, 47.5], [19.0, 24.0])
    azimuth, _, reach = geod.inv(19.0, 46.0, 24.0, 47.5)
    s = np.linspace(0.0, reach, 777)
    lon, lat, _ = geod.fwd(np.full(777, 19.0), np.full(777, 46.0), np.full(777, azimuth), s)
    np.testing.assert_allclose(road.to_ecef(s), geodesy.geodetic_to_ecef(lat, lon, np.zeros(777)), atol=1e-5)


def test_heights_change_evenly_between_vertices():
    road = Route.from_lat_lon([46.0, 46.0, 46.0], [20.0, 20.1, 20.2], alt_hae_m=[100.0, 300.0, 150.0])
    middle = road.length_m / 4
    assert geodesy.ecef_to_geodetic(road.to_ecef([middle]))[2] == pytest.approx(200.0, abs=0.05)


def test_places_along_and_beside_a_road_are_found_again(rng):
    road = Route.from_lat_lon(*winding(rng), alt_hae_m=120.0, corner_radius_m=20.0)
    s, lateral = rng.uniform(0.0, road.length_m, 5000), rng.uniform(-8.0, 8.0, 5000)
    s_found, lateral_found = road.locate(road.to_ecef(s, lateral))
    np.testing.assert_allclose(s_found, s, atol=1e-6)
    np.testing.assert_allclose(lateral_found, lateral, atol=1e-6)


def test_the_nearest_place_is_nearer_than_any_other(rng):
    road = Route.from_lat_lon(*winding(rng, 60), corner_radius_m=30.0)
    points = road.to_ecef(rng.uniform(0.0, road.length_m, 40)) + rng.normal(0.0, 300.0, (40, 3))
    s, _ = road.locate(points)
    found = np.linalg.norm(road.to_ecef(s) - points, axis=1)
    dense = road.to_ecef(np.arange(0.0, road.length_m, 0.5))
    nearest = np.array([np.linalg.norm(dense - point, axis=1).min() for point in points])
    assert (found <= nearest + 1e-9).all()
    assert (found >= nearest - 0.5).all()


def test_places_beyond_the_ends_lie_at_the_ends():
    road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1])
    s, _ = road.locate(road.to_ecef([-50.0, road.length_m + 50.0]))
    np.testing.assert_allclose(s, [0.0, road.length_m])


def test_no_points_and_unknown_points_are_fine():
    road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1])
    assert road.to_ecef([]).shape == (0, 3)
    assert len(road.locate(np.zeros((0, 3)))[0]) == 0
    assert np.isnan(road.locate([[np.nan] * 3])).all()


def test_rounded_corners_turn_steadily_and_pass_the_vertex_at_the_stated_distance():
    # A right angle at (46, 20.01), 770 m and 1100 m long.
    lat, lon = [46.0, 46.0, 46.01], [20.0, 20.01, 20.01]
    sharp, road = Route.from_lat_lon(lat, lon), Route.from_lat_lon(lat, lon, corner_radius_m=25.0)
    s = np.arange(0.0, road.length_m, 0.25)
    turn = np.abs(np.diff(np.unwrap(headings(road, s)))) / 0.25
    assert turn.max() == pytest.approx(1 / 25.0, rel=2e-3)
    assert np.abs(np.diff(headings(sharp, s))).max() > 1.5
    corner = geodesy.geodetic_to_ecef(lat[1:2], lon[1:2], [0.0])
    gap = np.linalg.norm(road.to_ecef(road.locate(corner)[0]) - corner)
    assert gap == pytest.approx(25.0 * (1.0 / np.cos(np.pi / 4) - 1.0), rel=1e-3)


@given(st.lists(st.tuples(st.floats(-0.01, 0.01), st.floats(-0.01, 0.01)), min_size=3, max_size=12), st.floats(1, 200))
def test_no_rounded_road_jumps(moves, radius):
    steps = np.array(moves) + np.array([[0.0, 0.002]])
    place = np.array([46.0, 20.0]) + np.cumsum(steps, axis=0)
    if np.linalg.norm(np.diff(place, axis=0), axis=1).min() < 1e-5:
        return
    road = Route.from_lat_lon(*place.T, corner_radius_m=radius)
    knots = road.piece_start_m[1:-1]
    before, after = road.to_ecef(knots - 1e-6), road.to_ecef(knots + 1e-6)
    assert np.linalg.norm(after - before, axis=1).max(initial=0.0) < 1e-5
    turned = np.degrees(
        np.arccos(np.clip(np.sum(road.axes(knots - 1e-9)[:, 0] * road.axes(knots)[:, 0], axis=1), -1, 1))
    )
    # What is left: reversals, which no arc can join, and arcs of less than a millimetre.
    legs = np.diff(place, axis=0) / np.linalg.norm(np.diff(place, axis=0), axis=1, keepdims=True)
    if np.all(np.sum(legs[1:] * legs[:-1], axis=1) > -0.9):
        assert turned.max(initial=0.0) < 0.2


def test_velocity_is_the_rate_of_the_position(rng):
    road = Route.from_lat_lon(*winding(rng), alt_hae_m=rng.uniform(80, 120, 200), corner_radius_m=60.0)
    s, speed = rng.uniform(100.0, road.length_m - 100.0, 500), rng.uniform(-30.0, 30.0, 500)
    lateral, rate = rng.uniform(-5.0, 5.0, 500), rng.uniform(-1.0, 1.0, 500)
    dt = 1e-3
    ahead = road.to_ecef(s + speed * dt, lateral + rate * dt)
    behind = road.to_ecef(s - speed * dt, lateral - rate * dt)
    velocity = road.state(s, speed, lateral_m=lateral, lateral_rate_mps=rate)[:, 3:]
    np.testing.assert_allclose((ahead - behind) / (2 * dt), velocity, atol=2e-3)


def test_right_of_the_road_is_right():
    road = Route.from_lat_lon([46.0, 46.1], [20.0, 20.0])
    lat, lon, _ = geodesy.ecef_to_geodetic(road.to_ecef([500.0], [10.0]))
    assert lon[0] > 20.0
    east, north, up = geodesy.enu_rotation(lat, lon)[0]
    np.testing.assert_allclose(road.axes([500.0])[0], [north, east, up], atol=1e-4)


@pytest.mark.parametrize(("lat", "lon"), [([46.0], [20.0]), ([46.0, 46.0], [20.0, 20.0]), ([], [])])
def test_a_road_needs_two_different_vertices(lat, lon):
    with pytest.raises(InputError, match="two different vertices"):
        Route.from_lat_lon(lat, lon)


def grid_of_streets(**options):
    """Three streets east (0.01 deg apart), three north; every crossing is a shared vertex."""
    lat, lon, ends = [], [], [0]
    for line in range(3):
        for along in ("east", "north"):
            for place in range(3):
                north, east = (line, place) if along == "east" else (place, line)
                lat.append(46.0 + 0.01 * north)
                lon.append(20.0 + 0.01 * east)
            ends.append(len(lat))
    return RoadGraph.from_lat_lon(lat, lon, ends, **options)


def test_lines_are_split_where_they_share_a_vertex():
    streets = grid_of_streets()
    assert len(streets) == 12
    assert len(streets.node_lat_deg) == 9
    # The crossing in the middle has four arms, a corner two.
    arms = np.bincount(streets.edge_nodes.ravel())
    assert arms[streets.nearest_node(46.01, 20.01)] == 4
    assert arms[streets.nearest_node(46.0, 20.0)] == 2


def test_the_shortest_way_is_taken_and_one_way_streets_are_heeded():
    streets = grid_of_streets()
    free = streets.route((46.0, 20.0), (46.0, 20.02), corner_radius_m=0.0)
    assert free.length_m == pytest.approx(pyproj.Geod(ellps="WGS84").line_length([20.0, 20.02], [46.0, 46.0]), abs=0.1)
    # The southern street may only be driven eastwards: westwards the way leads round the block.
    single = grid_of_streets(one_way=[True, False, False, False, False, False])
    back = single.route((46.0, 20.02), (46.0, 20.0), corner_radius_m=0.0)
    assert back.length_m > free.length_m + 2000.0
    assert single.route((46.0, 20.0), (46.0, 20.02), corner_radius_m=0.0).length_m == pytest.approx(free.length_m)


def test_a_way_that_is_not_there_is_refused():
    apart = RoadGraph.from_lat_lon([46.0, 46.0, 47.0, 47.0], [20.0, 20.1, 20.0, 20.1], [0, 2, 4])
    with pytest.raises(InputError, match="no way"):
        apart.route((46.0, 20.0), (47.0, 20.1))
    with pytest.raises(InputError, match="one junction"):
        apart.route((46.0, 20.0), (46.0, 20.0))


def test_the_nearest_edge_is_nearer_than_any_other(rng):
    streets = grid_of_streets()
    lat, lon = rng.uniform(45.995, 46.025, 200), rng.uniform(19.995, 20.025, 200)
    points = geodesy.geodetic_to_ecef(lat, lon, np.zeros(200))
    edge, s, _ = streets.nearest(points)
    gaps = np.array([np.linalg.norm(road.to_ecef(road.locate(points)[0]) - points, axis=1) for road in streets])
    mine = np.array([np.linalg.norm(streets[e].to_ecef([x])[0] - p) for e, x, p in zip(edge, s, points, strict=True)])
    np.testing.assert_allclose(mine, gaps.min(axis=0), atol=1e-6)
    assert streets.nearest([[np.nan] * 3])[0][0] == -1


def test_geojson_roads_are_read(tmp_path):
    path = tmp_path / "roads.geojson"
    features = [
        {"type": "Feature", "properties": {"oneway": "-1"}, "geometry": {"type": "LineString", "coordinates": line}}
        for line in ([[20.0, 46.0], [20.1, 46.0]], [[20.1, 46.0, 90.0], [20.1, 46.1, 95.0]])
    ]
    features[1]["properties"] = {}
    features.append({"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": [20, 46]}})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    roads = RoadGraph.read(path, alt_hae_m=80.0)
    assert roads.one_way.tolist() == [True, False]
    assert roads.vertex_lon_deg.tolist()[:2] == [20.1, 20.0]
    assert roads.vertex_alt_hae_m.tolist() == [80.0, 80.0, 90.0, 95.0]


@pytest.mark.parametrize("text", ["", "[]", '{"features": [1]}', '{"features": []}', '{"features": 3}'])
def test_what_is_no_geojson_is_refused(tmp_path, text):
    path = tmp_path / "roads.geojson"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"roads\.geojson"):
        RoadGraph.read(path)


def test_a_real_road_network_leads_over_the_border(shared):
    roads = RoadGraph.read(shared("roads/osm_highways_hu_ro_45.7-47.4N_19.5-22.4E.geojson"))
    way = roads.route((46.9, 19.63), (46.17, 21.3))
    direct = pyproj.Geod(ellps="WGS84").inv(19.63, 46.9, 21.3, 46.17)[2]
    assert direct < way.length_m < 1.5 * direct
    edge, _, lateral = roads.nearest(way.to_ecef(np.linspace(0.0, way.length_m, 100)))
    assert (edge >= 0).all()
    assert np.abs(lateral).max() < 5.0
