import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from dronetrack.border import HOST, NEITHER, Border, country_of, neighbours, world
from dronetrack.errors import InputError

GEOD = pyproj.Geod(ellps="WGS84")
PAIRS = [("ZA", "LS"), ("AZ", "AM"), ("ES", "MA"), ("BE", "NL"), ("RU", "KZ"), ("XK", "RS"), ("GE", "TR"), ("MD", "RO")]


def polygons(rings_deg, offsets):
    """The country as shapely sees it: rings run round their land, so symmetric difference is even-odd."""
    whole = shapely.Polygon()
    for ring in np.split(rings_deg, offsets[1:-1]):
        whole = whole.symmetric_difference(shapely.make_valid(shapely.Polygon(ring)))
    return whole


def test_every_pair_of_neighbours_has_a_border_from_both_sides():
    codes = [code for code in world.atlas().rings if code]
    pairs = [(home, host) for home in codes for host in neighbours(home)]
    assert len(pairs) // 2 >= 320
    assert all((host, home) in set(pairs) for home, host in pairs)
    rng = np.random.default_rng(1)
    for row in rng.choice(len(pairs), 25, replace=False):
        border = Border.between(*pairs[row])
        assert border.line_offsets[-1] == len(border.line_lon_deg)
        assert "Natural Earth" in border.attribution or border.licence == "ODbL-1.0"


@pytest.mark.parametrize("pair", PAIRS)
def test_sides_and_parts_agree_with_shapely(pair, rng):
    border = Border.between(*pair)
    at = rng.integers(0, len(border.line_lat_deg), 2000)
    lat = np.clip(border.line_lat_deg[at] + rng.normal(0, 0.3, 2000), -90, 90)
    lon = np.clip(border.line_lon_deg[at] + rng.normal(0, 0.3, 2000), -180, 180)
    home = polygons(border.home_rings_deg, border.home_offsets)
    host = polygons(border.host_rings_deg, border.host_offsets)
    expected = np.where(shapely.contains_xy(host, lon, lat), 1, np.where(shapely.contains_xy(home, lon, lat), 0, -1))
    assert (border.side(lat, lon) == expected).all()
    assert (expected == 1).any()
    assert (expected == 0).any()


@pytest.mark.parametrize("pair", PAIRS)
def test_the_host_lies_left_of_every_part_of_the_line(pair):
    border = Border.between(*pair)
    for start, stop in zip(border.line_offsets[:-1], border.line_offsets[1:], strict=True):
        lon, lat = border.line_lon_deg[start:stop], border.line_lat_deg[start:stop]
        step = np.array([np.diff(lon), np.diff(lat)])
        longest = int(np.argmax(np.hypot(*step)))
        middle = np.array([lon[longest], lat[longest]]) + 0.5 * step[:, longest]
        left = middle + 1e-4 * np.array([-step[1, longest], step[0, longest]])
        right = middle - 1e-4 * np.array([-step[1, longest], step[0, longest]])
        assert border.side([left[1], right[1]], [left[0], right[0]]).tolist() == [1, 0]
        assert border.signed_distance_m([left[1], right[1]], [left[0], right[0]]) @ [1.0, -1.0] > 0.0


def test_an_enclave_is_a_hole_of_its_country():
    border = Border.between("ZA", "LS")
    assert len(border.home_offsets) > 2
    assert border.side([-29.31, -29.12, -26.2], [27.48, 26.21, 28.04]).tolist() == [1, 0, 0]


def test_country_lookup_agrees_with_shapely_all_over_the_world(rng):
    n = 4000
    lon, lat = rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    expected = np.full(n, "", dtype="U2")
    for code, rings in world.atlas().rings.items():
        for ring in (world.atlas().chain(ring) for ring in rings):
            box = shapely.box(*ring.min(axis=0), *ring.max(axis=0))
            inside = np.flatnonzero(shapely.contains_xy(box, lon, lat))
            if len(inside):
                shape = shapely.make_valid(shapely.Polygon(ring))
                hit = inside[shapely.contains_xy(shape, lon[inside], lat[inside])]
                hole = np.sum(ring[:, 0] * np.roll(ring[:, 1], -1) - np.roll(ring[:, 0], -1) * ring[:, 1]) < 0
                expected[hit[expected[hit] == code]] = "" if hole else code
                if not hole:
                    expected[hit] = code
    found = country_of(lat, lon)
    # Holes are filled by enclaves, whose own rings may come first: compare where one ring alone decides.
    assert (found == expected).mean() > 0.999
    assert (found != "").mean() == pytest.approx(0.29, abs=0.03)


def test_capitals_are_in_their_countries():
    places = {
        "HU": (47.50, 19.04), "RO": (44.43, 26.10), "RS": (44.80, 20.46), "UA": (50.45, 30.52), "MD": (47.01, 28.86),
        "GE": (41.72, 44.78), "MK": (42.00, 21.43), "XK": (42.66, 21.17), "LS": (-29.31, 27.48), "KZ": (51.16, 71.45),
        "RU": (65.0, 179.5), "AQ": (-80.0, 100.0), "": (0.0, 0.0),
    }  # fmt: skip
    lat, lon = np.array(list(places.values())).T
    assert country_of(lat, lon).tolist() == list(places)
    assert country_of([np.nan], [0.0]).tolist() == [""]


def test_land_without_a_code_of_its_own_follows_iso_3166():
    # Baikonur, Hargeysa, Famagusta
    assert country_of([45.63, 9.56, 35.12], [63.32, 44.06, 33.94]).tolist() == ["KZ", "SO", "CY"]


def test_the_whole_outline_of_a_country_has_abroad_outside(rng):
    border = Border.of("HU")
    lat, lon = rng.uniform(45, 49, 1000), rng.uniform(15, 24, 1000)
    side = border.side(lat, lon)
    assert ((side == HOST) == (country_of(lat, lon) != "HU")).all()
    assert ((border.signed_distance_m(lat, lon) > 0) == (side == HOST)).all()
    assert border.host == "abroad"


def test_the_antimeridian_is_no_border_of_russia():
    far = Border.of("RU").signed_distance_m([67.5], [179.99])[0]
    assert far < -10_000.0


def test_distance_reaches_over_the_antimeridian():
    border = Border.from_line([60.0, 70.0], [179.9, 179.9], home="A", host="B")
    _, _, expected = GEOD.inv(-179.9, 65.0, 179.9, 65.0)
    assert abs(border.signed_distance_m([65.0], [-179.9])[0]) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=60)
@given(st.floats(43.0, 50.5), st.floats(14.0, 31.0))
def test_distance_is_that_of_the_geodesic_and_no_sampled_place_is_nearer(lat, lon):
    border = Border.between("HU", "RO")
    ours = abs(border.signed_distance_m([lat], [lon])[0])
    lat_on, lon_on = border.nearest([lat], [lon])
    assert ours == pytest.approx(GEOD.inv(lon, lat, lon_on[0], lat_on[0])[2], rel=1e-6, abs=1e-3)
    line = border.lines.line
    every = np.degrees(np.vstack([line[:, :2] + part * (line[:, 2:] - line[:, :2]) for part in (0.0, 0.25, 0.5, 0.75)]))
    n = len(every)
    _, _, all_of_them = GEOD.inv(np.full(n, lon), np.full(n, lat), every[:, 0], every[:, 1])
    assert ours <= all_of_them.min() * (1.0 + 2e-6) + 1e-3


def test_nearest_places_lie_on_the_line(rng):
    border = Border.between("AZ", "AM")
    lat, lon = rng.uniform(38, 42, 500), rng.uniform(44, 48, 500)
    lat_on, lon_on = border.nearest(lat, lon)
    assert np.abs(border.signed_distance_m(lat_on, lon_on)).max() < 1e-3


def test_the_precise_line_has_valid_outlines_that_share_it():
    border = Border.between("HU", "RO")
    home, host = shapely.Polygon(border.home_rings_deg), shapely.Polygon(border.host_rings_deg)
    assert home.is_valid
    assert host.is_valid
    assert home.intersection(host).area < 1e-12
    line = shapely.LineString(np.column_stack([border.line_lon_deg, border.line_lat_deg]))
    shared = home.boundary.intersection(host.boundary)
    assert shared.length == pytest.approx(line.length, rel=1e-9)
    assert shapely.hausdorff_distance(shared, line) < 1e-12


def test_the_line_of_the_atlas_is_as_good_as_it_says():
    """Against the precise line of Hungary and Romania, taken as the truth."""
    precise = Border.between("HU", "RO")
    whole = world.atlas()
    theirs = {~arc for ring in whole.rings["HU"] for arc in ring}
    line = np.vstack([whole.arc(arc) for ring in whole.rings["RO"] for arc in ring if arc in theirs])
    coarse = Border.from_line(line[:, 1], line[:, 0], home="HU", host="RO", line_std_m=whole.about["line_std_m"])
    fine = shapely.segmentize(shapely.LineString(np.column_stack([precise.line_lon_deg, precise.line_lat_deg])), 0.002)
    lon, lat = shapely.get_coordinates(fine).T
    rms = np.sqrt(np.mean(coarse.signed_distance_m(lat, lon) ** 2))
    assert rms == pytest.approx(whole.about["line_std_m"], rel=0.1)


def test_roads_cross_at_named_places():
    border = Border.between("HU", "RO")
    assert {post.name for post in border.posts} >= {"Nadlac", "Nadlac II", "Bors", "Bors II", "Cenad", "Varsand"}
    lat, lon = np.array([(post.lat_deg, post.lon_deg) for post in border.posts]).T
    assert np.abs(border.signed_distance_m(lat, lon)).max() < 2.0
    assert border.places(lat, lon) == tuple(post.name for post in border.posts)
    assert Border.between("RO", "HU").posts == border.posts


def test_what_is_no_place_is_refused():
    border = Border.between("HU", "RO")
    with pytest.raises(
        InputError, match=r"lat_deg must lie in \[-90, 90\] and lon_deg in \[-180, 180\]; row 1 is 91, 20"
    ):
        border.side([46.0, 91.0], [20.0, 20.0])
    with pytest.raises(InputError, match="need one length"):
        border.signed_distance_m([46.0, 46.0], [20.0])
    with pytest.raises(InputError, match="there is no country 'ZZ'"):
        Border.of("ZZ")
    assert border.side([46.0], [180.0])[0] == NEITHER


def test_answers_do_not_depend_on_how_many_places_are_asked(rng):
    border = Border.between("HU", "RO")
    lat, lon = rng.uniform(45, 49, 500), rng.uniform(19, 25, 500)
    whole = border.signed_distance_m(lat, lon)
    single = [border.signed_distance_m(lat[row : row + 1], lon[row : row + 1])[0] for row in range(500)]
    assert (whole == single).all()
