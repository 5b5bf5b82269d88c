import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dronetrack import geodesy
from dronetrack.errors import FormatError, InputError
from dronetrack.terrain import Terrain, as_terrain


def rays_to(site, points):
    sight = points - site
    distance = np.linalg.norm(sight, axis=1)
    return np.broadcast_to(site, points.shape), sight / distance[:, None], distance


def ground_points(terrain, lat, lon):
    return geodesy.geodetic_to_ecef(lat, lon, terrain.ground_hae_m(lat, lon))


def test_rays_meet_constant_ground_where_it_is(rng):
    flat = Terrain.constant(84.0)
    lat, lon = 46.21 + rng.uniform(-0.01, 0.01, 200), 20.76 + rng.uniform(-0.01, 0.01, 200)
    wanted = ground_points(flat, lat, lon)
    site = geodesy.geodetic_to_ecef([46.21], [20.76], [84.0 + 43.0 + 110.0])
    sites, direction, distance = rays_to(site, wanted)
    point, reached = flat.ray_ground(sites, direction)
    np.testing.assert_allclose(point, wanted, atol=2e-3)
    np.testing.assert_allclose(reached, distance, atol=2e-3)


def test_a_ray_to_the_sky_meets_nothing():
    site = geodesy.geodetic_to_ecef([46.0], [20.0], [200.0])
    up = geodesy.enu_vectors_to_ecef([[0.0, 0.6, 0.8]], [46.0], [20.0])
    point, distance = Terrain.constant(84.0).ray_ground(site, up)
    assert np.isnan(point).all()
    assert np.isnan(distance).all()


def test_a_ray_from_below_the_ground_meets_nothing():
    site = geodesy.geodetic_to_ecef([46.0], [20.0], [100.0])
    down = geodesy.enu_vectors_to_ecef([[0.0, 0.6, -0.8]], [46.0], [20.0])
    assert np.isnan(Terrain.constant(84.0).ray_ground(site, down)[1]).all()


def write_tile(folder, heights):
    path = folder / "N46E020.hgt"
    heights[::-1].astype(">i2").tofile(path)
    return path


@pytest.fixture
def hills(tmp_path):
    north, east = np.meshgrid(np.arange(1201), np.arange(1201), indexing="ij")
    heights = np.rint(300 + 120 * np.sin(north / 9.0) * np.cos(east / 13.0))
    heights[100, 100] = -32768
    return Terrain.read(write_tile(tmp_path, heights))


def test_a_tile_is_read_south_up_and_west_left(hills):
    # The node 30 steps north and 40 steps east of the south-west corner.
    expected = np.rint(300 + 120 * np.sin(30 / 9.0) * np.cos(40 / 13.0))
    lat, lon = [46.0 + 30 / 1200], [20.0 + 40 / 1200]
    assert hills.ground_hae_m(lat, lon) - geodesy.geoid_undulation_m(lat, lon) == pytest.approx(expected)


def test_voids_and_places_off_the_tile_are_unknown(hills):
    assert np.isnan(hills.ground_hae_m([46.0 + 100.4 / 1200, 45.9], [20.0 + 100.4 / 1200, 20.5])).all()


def test_rays_meet_the_first_hill_in_their_way(hills, rng):
    lat, lon = 46.5 + rng.uniform(-0.01, 0.01, 60), 20.5 + rng.uniform(-0.01, 0.01, 60)
    aimed = ground_points(hills, lat, lon)
    site = geodesy.geodetic_to_ecef([46.5], [20.5], [600.0])
    sites, direction, distance = rays_to(site, aimed)
    point, reached = hills.ray_ground(sites, direction)
    # Either the place aimed at, or one in front of it that hides it; always a place on the ground.
    assert (reached <= distance + 0.01).all()
    assert (np.abs(reached - distance) < 0.01).sum() > 10
    there = geodesy.ecef_to_geodetic(point)
    np.testing.assert_allclose(hills.ground_hae_m(*there[:2]), there[2], atol=1e-3)
    # Nothing hides it: the whole way there is above the ground.
    for part in np.linspace(0.02, 0.98, 60):
        way = geodesy.ecef_to_geodetic(sites + part * reached[:, None] * direction)
        assert (way[2] > hills.ground_hae_m(*way[:2]) - 0.5).all()


def test_geotiff_and_tile_agree(hills, tmp_path):
    import rasterio

    path = tmp_path / "hills.tif"
    step = 1 / 1200
    place = rasterio.transform.from_origin(20.0 - step / 2, 47.0 + step / 2, step, step)
    with rasterio.open(
        path, "w", driver="GTiff", width=1201, height=1201, count=1, dtype="float32", crs=4326, transform=place
    ) as out:
        out.write(hills.grid_msl_m[::-1].astype("float32"), 1)
    tiff = Terrain.read(path)
    lat, lon = np.linspace(46.2, 46.9, 50), np.linspace(20.1, 20.8, 50)
    np.testing.assert_allclose(tiff.ground_hae_m(lat, lon), hills.ground_hae_m(lat, lon), atol=1e-6)


def test_real_tiles_hold_real_heights(shared):
    # Mount Washington's summit, 1916.6 m, lies in this tile (SRTM smooths peaks by some tens of metres).
    tile = Terrain.read(shared("dem/N44W072.hgt"))
    assert tile.grid_msl_m.shape in {(3601, 3601), (1201, 1201)}
    assert np.nanmin(tile.grid_msl_m) > 0.0
    assert 1500.0 < np.nanmax(tile.grid_msl_m) < 1950.0


def test_what_is_no_tile_is_refused(tmp_path):
    (tmp_path / "N46E020.hgt").write_bytes(b"x" * 100)
    (tmp_path / "here.hgt").write_bytes(b"x" * 100)
    (tmp_path / "picture.tif").write_bytes(b"\xff\xd8\xff\xe0 JFIF")
    (tmp_path / "heights.xyz").write_text("1 2 3")
    for name, words in (
        ("N46E020.hgt", "no SRTM tile"),
        ("here.hgt", "named after its south-west corner"),
        ("picture.tif", "not a readable GeoTIFF"),
        ("heights.xyz", "is an SRTM tile"),
        ("missing.hgt", "no such elevation file"),
    ):
        with pytest.raises(FormatError, match=words):
            Terrain.read(tmp_path / name)


def test_a_number_is_a_constant_height():
    assert as_terrain(84.0).height_msl_m == 84.0
    with pytest.raises(InputError, match="height on Earth"):
        Terrain.constant(1e6)


@pytest.fixture(scope="module")
def ridges():
    """Steep synthetic ridges on a small grid of 30 m cells, a bilinear surface with every kind of saddle."""
    rng = np.random.default_rng(4)
    north, east = np.meshgrid(np.arange(120), np.arange(120), indexing="ij")
    heights = 200 + 60 * np.sin(north / 3.1) * np.cos(east / 2.3) + rng.uniform(-15, 15, north.shape)
    return Terrain(0.0, heights, 46.2, 20.5, 1 / 3600, 1 / 3600)


def clearance(terrain, points):
    lat, lon, alt = geodesy.ecef_to_geodetic(points)
    return alt - terrain.ground_hae_m(lat, lon)


def march(terrain, site, direction, max_range_m, step_m=0.01):
    """The slow obvious way: every centimetre of one ray; where the clearance changes sign, and which way."""
    t = np.arange(0.0, max_range_m, step_m)
    above = clearance(terrain, site + t[:, None] * direction)
    unknown = np.flatnonzero(np.isnan(above))
    stop = unknown[0] if len(unknown) else len(t)
    change = np.flatnonzero((above[: stop - 1] > 0.0) != (above[1:stop] > 0.0))
    return t[change] + step_m * above[change] / (above[change] - above[change + 1]), above[change] > 0.0, above[:stop]


def check_against_march(terrain, site, direction, max_range_m, step_m=0.01):
    """Every meeting lies on the ground, they are in order, and none that the marcher finds is missed."""
    points, reached, entering = terrain.ray_grounds(site[None], direction[None], most=64, max_range_m=max_range_m)
    met = ~np.isnan(reached[0])
    assert not met[met.sum() :].any()
    assert (np.diff(reached[0, met]) > 0.0).all()
    assert np.abs(clearance(terrain, points[0, met])).max(initial=0.0) < 1e-3
    wanted, inwards, above = march(terrain, site, direction, max_range_m, step_m)
    if met.sum() != len(wanted):
        # The marcher steps over what is thinner than its step: such pairs lie within one step.
        wanted, inwards = _add_thin_pairs(wanted, inwards, reached[0, met], entering[0, met], step_m)
    assert met.sum() == len(wanted)
    # Where a ray grazes, a micrometre of height is a decimetre of range.
    np.testing.assert_allclose(reached[0, met], wanted, atol=0.05)
    assert entering[0, met].tolist() == inwards.tolist()
    first = terrain.ray_ground(site[None], direction[None], max_range_m=max_range_m)[1][0]
    starts_above = len(above) and above[0] > 0.0
    expected = reached[0, 0] if starts_above and met.any() else np.nan
    np.testing.assert_equal(first, expected)
    return int(met.sum())


def _add_thin_pairs(wanted, inwards, reached, entering, step_m):
    thin = np.flatnonzero(np.diff(reached) < 2.0 * step_m)
    extra = np.union1d(thin, thin + 1)
    both = np.concatenate([wanted, reached[extra]]), np.concatenate([inwards, entering[extra]])
    order = np.argsort(both[0], kind="stable")
    return both[0][order], both[1][order]


def toward(site, azimuth_deg, elevation_deg):
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    local = [[np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]]
    lat, lon, _ = geodesy.ecef_to_geodetic(site[None])
    return geodesy.enu_vectors_to_ecef(local, lat, lon)[0]


@settings(max_examples=60)
@given(st.floats(0.2, 0.8), st.floats(0.2, 0.8), st.floats(-50, 250), st.floats(0, 360), st.floats(-90, 10))
def test_no_meeting_is_missed_and_each_lies_on_the_ground(ridges, north, east, height, azimuth, elevation):
    assume(abs(height) > 0.01)  # a site on the ground itself is on neither side of it
    lat, lon = 46.2 + north * 119 / 3600, 20.5 + east * 119 / 3600
    site = geodesy.geodetic_to_ecef([lat], [lon], ridges.ground_hae_m([lat], [lon]) + height)[0]
    check_against_march(ridges, site, toward(site, azimuth, elevation), 1200.0, step_m=0.03)


def test_a_ray_that_skims_a_ridge_is_caught():
    # One row of nodes stands 5 m above flat ground: a roof 60 m wide. A level ray 1 cm below its edge.
    heights = np.full((61, 61), 100.0)
    heights[30] = 105.0
    roof = Terrain(0.0, heights, 46.0, 20.0, 1 / 3600, 1 / 3600)
    lat, lon = [46.0 + 30 / 3600], [20.0 + 29.5 / 3600]
    edge = geodesy.geodetic_to_ecef(lat, lon, roof.ground_hae_m(lat, lon))[0]
    for above, meetings in ((-0.01, 2), (0.01, 0)):
        top = edge + above * geodesy.enu_rotation(lat, lon)[0, 2]
        direction = toward(top, 0.0, 0.0)
        # The roof falls by 5 m in 30.9 m, so the ray is inside for 6 cm on either side.
        site = top - 700.0 * direction
        _, reached, entering = roof.ray_grounds(site[None], direction[None], max_range_m=800.0)
        assert np.sum(~np.isnan(reached)) == meetings
        if meetings:
            np.testing.assert_allclose(reached[0, :2], [700.0 - 0.0618, 700.0 + 0.0618], atol=2e-3)
            assert entering[0, :2].tolist() == [True, False]


@pytest.mark.parametrize("name", ["N44W072.hgt", "cobb.tif", "Rome-30m-DEM.tif"])
def test_real_ground_is_met_as_by_a_march_of_centimetres(shared, name):
    terrain = Terrain.read(shared(f"dem/{name}"))
    rng = np.random.default_rng(7)
    rows, columns = terrain.grid_msl_m.shape
    found = 0
    for _ in range(12):
        lat = terrain.south_deg + terrain.step_lat_deg * rows * rng.uniform(0.3, 0.7)
        lon = terrain.west_deg + terrain.step_lon_deg * columns * rng.uniform(0.3, 0.7)
        site = geodesy.geodetic_to_ecef([lat], [lon], terrain.ground_hae_m([lat], [lon]) + rng.uniform(2.0, 150.0))[0]
        found += check_against_march(terrain, site, toward(site, rng.uniform(0, 360), rng.uniform(-6.0, 2.0)), 3000.0)
    assert found >= 6


def test_a_ridge_gives_several_places_for_a_target(ridges):
    lat, lon = [46.2 + 20 / 3600], [20.5 + 60 / 3600]
    site = geodesy.geodetic_to_ecef(lat, lon, ridges.ground_hae_m(lat, lon) + 60.0)[0]
    direction = toward(site, 10.0, -3.0)
    points, reached, entering = ridges.ray_grounds(site[None], direction[None], most=6, max_range_m=2500.0)
    n = int(np.sum(~np.isnan(reached)))
    assert n >= 3
    assert entering[0, :n].tolist() == [k % 2 == 0 for k in range(n)]
    np.testing.assert_allclose(points[0, :n], site + reached[0, :n, None] * direction)
    few = ridges.ray_grounds(site[None], direction[None], most=2, max_range_m=2500.0)[1]
    np.testing.assert_array_equal(few[0], reached[0, :2])


def test_a_ray_from_below_the_ground_leaves_it_first(ridges):
    lat, lon = [46.2 + 60 / 3600], [20.5 + 60 / 3600]
    site = geodesy.geodetic_to_ecef(lat, lon, ridges.ground_hae_m(lat, lon) - 40.0)
    up = geodesy.enu_vectors_to_ecef([[0.0, 0.0, 1.0]], lat, lon)
    _, reached, entering = ridges.ray_grounds(site, up)
    assert reached[0, 0] == pytest.approx(40.0, abs=1e-3)
    assert not entering[0, 0]
    assert np.isnan(reached[0, 1:]).all()


def test_long_rays_follow_the_curve_of_the_earth_and_the_geoid():
    # 60 km and a degree down: the Earth falls by 280 m under the ray.
    flat = Terrain.constant(84.0)
    site = geodesy.geodetic_to_ecef([46.0], [20.0], [1500.0])[0]
    direction = toward(site, 77.0, -1.55)
    point, reached = flat.ray_ground(site[None], direction[None], max_range_m=120_000.0)
    assert reached[0] > 50_000.0
    assert np.abs(clearance(flat, point)).max() < 1e-3


def test_a_drone_off_the_tile_sees_into_it_from_above_its_highest_ground(hills):
    lat, lon = [46.5], [19.999]
    site = geodesy.geodetic_to_ecef(lat, lon, [420.0 + 45.0 + 120.0])[0]
    assert np.isfinite(hills.ray_ground(site[None], toward(site, 90.0, -30.0)[None])[1]).all()
    low = geodesy.geodetic_to_ecef(lat, lon, [400.0])[0]
    assert np.isnan(hills.ray_ground(low[None], toward(low, 90.0, -30.0)[None])[1]).all()


def test_ground_behind_an_unknown_cell_is_not_guessed(hills):
    lat, lon = [46.0 + 95.0 / 1200], [20.0 + 100.5 / 1200]
    site = geodesy.geodetic_to_ecef(lat, lon, hills.ground_hae_m(lat, lon) + 60.0)[0]
    over_void = hills.ray_ground(site[None], toward(site, 0.0, -5.0)[None])[1]
    assert np.isnan(over_void).all()
    beside = hills.ray_ground(site[None], toward(site, 90.0, -35.0)[None])[1]
    assert np.isfinite(beside).all()


def test_no_rays_and_unknown_rays_are_fine(ridges):
    assert ridges.ray_grounds(np.zeros((0, 3)), np.zeros((0, 3)))[0].shape == (0, 4, 3)
    unknown = np.full((1, 3), np.nan)
    assert np.isnan(ridges.ray_ground(unknown, unknown)[1]).all()
    assert np.isnan(ridges.ground_covariance(unknown, unknown, [np.nan], direction_cov=np.zeros((1, 3, 3)))).all()


def slope(fall=0.2):
    """Ground that climbs northwards by `fall` metres per metre."""
    north = np.arange(401)[:, None] * 30.9 * fall
    return Terrain(0.0, np.tile(north, (1, 401)), 46.0, 20.0, 1 / 3600, 1 / 3600, std_m=0.3)


def sight(terrain, elevation_deg, height=120.0, azimuth_deg=20.0):
    lat, lon = [46.0 + 100 / 3600], [20.0 + 200 / 3600]
    site = geodesy.geodetic_to_ecef(lat, lon, terrain.ground_hae_m(lat, lon) + height)[0]
    return site, toward(site, azimuth_deg, elevation_deg)


def test_the_covariance_of_a_ground_point_is_that_of_many_rays(rng):
    terrain = slope()
    site, direction = sight(terrain, -25.0)
    angle, place = 0.004, 1.0
    across = angle**2 * (np.eye(3) - np.outer(direction, direction))
    reached = terrain.ray_ground(site[None], direction[None])[1]
    cov = terrain.ground_covariance(
        site[None], direction[None], reached, direction_cov=across[None], site_cov=place**2 * np.eye(3)[None]
    )[0]
    n = 40_000
    rays = direction + angle * rng.normal(size=(n, 3)) @ (np.eye(3) - np.outer(direction, direction))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    up = geodesy.enu_rotation([46.03], [20.05])[0, 2]
    # An error of the heights is one of the site, upwards, that the ground point then takes back.
    lift = terrain.std_m * rng.normal(size=(n, 1)) * up
    points = terrain.ray_ground(site + place * rng.normal(size=(n, 3)) - lift, rays)[0] + lift
    seen = np.cov(points.T)
    np.testing.assert_allclose(cov, seen, atol=0.03 * np.trace(seen))


def test_the_covariance_grows_as_the_ray_grazes_and_then_says_so():
    # The ground falls away northwards by 11.3 degrees: a ray 11.6 degrees down is only 0.3 degrees off it.
    terrain = slope(-0.2)
    std = []
    for elevation in (-60.0, -30.0, -20.0, -15.0, -13.0, -11.6):
        site, direction = sight(terrain, elevation, height=30.0, azimuth_deg=0.0)
        across = 0.003**2 * (np.eye(3) - np.outer(direction, direction))
        reached = terrain.ray_ground(site[None], direction[None])[1]
        cov = terrain.ground_covariance(site[None], direction[None], reached, direction_cov=across[None])[0]
        std.append(np.sqrt(np.trace(cov)))
    assert (np.diff(std[:-1]) > 0.0).all()
    assert std[0] < 1.0
    assert np.isinf(std[-1])


def test_a_ray_that_barely_catches_a_ridge_has_no_covariance(ridges):
    lat, lon = [46.2 + 20 / 3600], [20.5 + 60 / 3600]
    site = geodesy.geodetic_to_ecef(lat, lon, ridges.ground_hae_m(lat, lon) + 60.0)[0]
    azimuth = 10.0
    elevations = np.linspace(-80.0, 2.0, 800)
    rays = np.array([toward(site, azimuth, elevation) for elevation in elevations])
    reached = ridges.ray_ground(np.broadcast_to(site, rays.shape), rays)[1]
    jump = np.flatnonzero(np.diff(reached) > 60.0)
    assert len(jump)
    across = 0.002**2 * (np.eye(3) - rays[:, :, None] * rays[:, None, :])
    cov = ridges.ground_covariance(np.broadcast_to(site, rays.shape), rays, reached, direction_cov=across)
    assert np.isinf(cov[jump, 0, 0]).all()
    assert np.isfinite(cov[:200, 0, 0]).all()


def write_tiff(path, heights, crs, place, nodata=None):
    import rasterio

    rows, columns = heights.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=columns, height=rows, count=1, dtype="float32", crs=crs, transform=place,
        nodata=nodata,
    ) as out:  # fmt: skip
        out.write(heights.astype("float32"), 1)
    return path


def test_a_projected_grid_is_read_in_latitude_and_longitude(tmp_path):
    import pyproj
    import rasterio

    # UTM 34N, 10 m pixels: a plane in easting and northing, and a void.
    east = 500_000.0 + 10.0 * (np.arange(200) + 0.5)
    north = 5_100_000.0 - 10.0 * (np.arange(150) + 0.5)
    heights = 100.0 + 0.02 * (east[None] - 500_000.0) + 0.05 * (5_100_000.0 - north[:, None])
    heights[40, 50] = -9999.0
    place = rasterio.transform.from_origin(500_000.0, 5_100_000.0, 10.0, 10.0)
    terrain = Terrain.read(write_tiff(tmp_path / "utm.tif", heights, 32634, place, -9999.0))
    assert terrain.step_lat_deg * 111_132.0 == pytest.approx(10.0, rel=1e-6)
    x, y = np.meshgrid(500_700.0 + 91.0 * np.arange(12), 5_100_000.0 - 700.0 - 47.0 * np.arange(12))
    lon, lat = pyproj.Transformer.from_crs(32634, 4326, always_xy=True).transform(x.ravel(), y.ravel())
    wanted = 100.0 + 0.02 * (x.ravel() - 500_000.0) + 0.05 * (5_100_000.0 - y.ravel())
    found = terrain.ground_hae_m(lat, lon) - geodesy.geoid_undulation_m(lat, lon)
    np.testing.assert_allclose(found, wanted, atol=0.01)
    lon, lat = pyproj.Transformer.from_crs(32634, 4326, always_xy=True).transform([east[50]], [north[40]])
    assert np.isnan(terrain.ground_hae_m(lat, lon)).all()
    window = (float(np.min(lat)) - 0.002, float(np.min(lon)) - 0.002, float(np.max(lat)) + 0.002, 90.0)
    part = Terrain.read(tmp_path / "utm.tif", bounds=window)
    assert part.grid_msl_m.size < terrain.grid_msl_m.size
    lat, lon = np.add(lat, 0.001), np.add(lon, 0.001)
    np.testing.assert_allclose(part.ground_hae_m(lat, lon), terrain.ground_hae_m(lat, lon), atol=0.01)


@pytest.fixture
def two_tiles(tmp_path):
    heights = np.rint(300 + 100 * np.sin(np.arange(1201)[:, None] / 50.0) * np.cos(np.arange(2401)[None] / 70.0))
    for name, columns in (("N46E020.hgt", slice(0, 1201)), ("N46E021.hgt", slice(1200, 2401))):
        heights[::-1, columns].astype(">i2").tofile(tmp_path / name)
    return [tmp_path / "N46E021.hgt", tmp_path / "N46E020.hgt"], heights


def test_neighbouring_tiles_become_one_grid(two_tiles):
    paths, heights = two_tiles
    both = Terrain.read(paths)
    assert (both.south_deg, both.west_deg) == (46.0, 20.0)
    np.testing.assert_array_equal(both.grid_msl_m, heights)
    site = geodesy.geodetic_to_ecef([46.5], [20.995], [450.0 + 45.0])[0]
    point, _ = both.ray_ground(site[None], toward(site, 90.0, -5.0)[None])
    assert geodesy.ecef_to_geodetic(point)[1] > 21.0


def test_only_the_window_is_read(two_tiles):
    paths, _ = two_tiles
    whole, part = Terrain.read(paths), Terrain.read(paths, bounds=(46.2, 20.9, 46.3, 21.1))
    assert part.grid_msl_m.shape == (123, 243)
    lat, lon = np.linspace(46.2, 46.3, 50), np.linspace(20.9, 21.1, 50)
    np.testing.assert_allclose(part.ground_hae_m(lat, lon), whole.ground_hae_m(lat, lon), atol=1e-9)
    # A file that lies outside is left out; bounds without any file are refused.
    assert Terrain.read(paths, bounds=(46.2, 20.1, 46.3, 20.2)).grid_msl_m.shape == (123, 123)
    with pytest.raises(InputError, match="no elevation file lies within"):
        Terrain.read(paths, bounds=(10.0, 10.0, 11.0, 11.0))
    with pytest.raises(InputError, match="south < north"):
        Terrain.read(paths, bounds=(47.0, 20.0, 46.0, 21.0))


def test_a_window_of_a_geotiff_is_the_same_ground(shared):
    path = shared("dem/cobb.tif")
    whole, part = Terrain.read(path), Terrain.read(path, bounds=(33.8, -84.7, 33.9, -84.6))
    assert part.grid_msl_m.size < 0.1 * whole.grid_msl_m.size
    lat, lon = np.linspace(33.8, 33.9, 50), np.linspace(-84.7, -84.6, 50)
    np.testing.assert_allclose(part.ground_hae_m(lat, lon), whole.ground_hae_m(lat, lon), atol=1e-6)


def test_grids_that_do_not_fit_together_are_refused(two_tiles, tmp_path):
    import rasterio

    place = rasterio.transform.from_origin(21.0, 47.0, 0.001, 0.001)
    other = write_tiff(tmp_path / "other.tif", np.ones((10, 10)), 4326, place)
    with pytest.raises(FormatError, match="does not fit"):
        Terrain.read([two_tiles[0][0], other])
