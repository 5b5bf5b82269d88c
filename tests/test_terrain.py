import numpy as np
import pytest

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
