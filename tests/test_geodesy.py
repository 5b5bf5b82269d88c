import numba
import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.kernels import geodesy as kernels

TO_ECEF = pyproj.Transformer.from_crs(4979, 4978, always_xy=True)
ORIGIN = (46.2, 20.7, 120.0)
TO_LOCAL = pyproj.Transformer.from_pipeline("+proj=topocentric +ellps=WGS84 +lat_0=46.2 +lon_0=20.7 +h_0=120")


def places(rng, n=2000):
    return (
        np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        rng.uniform(-180, 180, n),
        rng.uniform(-10e3, 1000e3, n),
    )


def exact_ecef(lat_deg, lon_deg, alt_hae_m):
    """The definition, in extended precision."""
    lat, lon, height = (np.asarray(one, dtype=np.longdouble) for one in (lat_deg, lon_deg, alt_hae_m))
    degree = np.arctan(np.longdouble(1)) / 45
    flattening = 1 / (np.longdouble(298257223563) / 10**9)
    e2 = flattening * (2 - flattening)
    sine, cosine = np.sin(lat * degree), np.cos(lat * degree)
    nu = 6378137 / np.sqrt(1 - e2 * sine**2)
    out = (nu + height) * cosine
    return np.stack([out * np.cos(lon * degree), out * np.sin(lon * degree), (nu * (1 - e2) + height) * sine], axis=1)


def test_ecef_agrees_with_proj(rng):
    lat, lon, height = places(rng)
    ours = geodesy.geodetic_to_ecef(lat, lon, height)
    theirs = np.column_stack(TO_ECEF.transform(lon, lat, height))
    np.testing.assert_allclose(ours, theirs, atol=1e-9, rtol=0)  # one unit in the last place is 0.93e-9


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no extended precision here")
def test_both_ways_are_exact_to_the_last_digits(rng):
    lat, lon, height = places(rng)
    there = geodesy.geodetic_to_ecef(lat, lon, height)
    assert np.linalg.norm((there - exact_ecef(lat, lon, height)).astype(np.float64), axis=1).max() < 4e-9
    back = geodesy.ecef_to_geodetic(there)
    assert np.linalg.norm((there - exact_ecef(*back)).astype(np.float64), axis=1).max() < 4e-9


@pytest.mark.parametrize("n", [0, 1, 500])
def test_local_points_agree_with_proj_and_go_back(rng, n):
    points = geodesy.geodetic_to_ecef(rng.uniform(45, 47, n), rng.uniform(20, 22, n), rng.uniform(-100, 9000, n))
    local = geodesy.ecef_to_enu(points, *ORIGIN)
    np.testing.assert_allclose(local, np.column_stack(TO_LOCAL.transform(*points.T)), atol=3e-9, rtol=0)
    np.testing.assert_allclose(geodesy.enu_to_ecef(local, *ORIGIN), points, atol=3e-9, rtol=0)


def test_vectors_turn_as_the_axes_say(rng):
    lat, lon, _ = places(rng, 50)
    vectors, turn = rng.normal(size=(50, 3)), geodesy.enu_rotation(lat, lon)
    np.testing.assert_allclose(
        geodesy.ecef_vectors_to_enu(vectors, lat, lon), np.einsum("nij,nj->ni", turn, vectors), atol=1e-15
    )


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_arrays_of_every_layout_come_as_one_and_stay_as_they_are(rng):
    lat, lon, height = places(rng, 8)
    expected = geodesy.geodetic_to_ecef(lat, lon, height)
    strided, frozen = np.repeat(lat, 2)[::2], lon.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(geodesy.geodetic_to_ecef(strided, frozen, height.tolist()), expected)
    assert lat.flags.writeable
    assert len(kernels.geodetic_to_ecef_rows.signatures) == 1


def test_geodetic_agrees_with_proj(rng):
    lat, lon, height = places(rng)
    ecef = np.column_stack(TO_ECEF.transform(lon, lat, height))
    our_lat, our_lon, our_height = geodesy.ecef_to_geodetic(ecef)
    np.testing.assert_allclose(our_lat, lat, atol=1e-12, rtol=1e-13)
    np.testing.assert_allclose(our_lon, lon, atol=1e-12, rtol=1e-13)
    np.testing.assert_allclose(our_height, height, atol=1e-7, rtol=0)


def test_local_axes_are_orthonormal_and_point_east_north_up():
    turn = geodesy.enu_rotation([0.0, 90.0, 47.0], [0.0, 0.0, 19.0])
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.stack([np.eye(3)] * 3), atol=1e-15)
    np.testing.assert_allclose(turn[0], [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-15)


def test_a_hundred_metres_east_is_a_hundred_metres_east():
    moved = geodesy.enu_to_ecef([[100.0, 0.0, 0.0]], 46.2, 20.7, 120.0)
    lat, lon, _ = geodesy.ecef_to_geodetic(moved)
    bearing, _, distance = pyproj.Geod(ellps="WGS84").inv(20.7, 46.2, lon[0], lat[0])
    assert bearing == pytest.approx(90.0, abs=1e-3)
    assert distance == pytest.approx(100.0, abs=3e-3)  # 120 m up, the same angle is a little longer
    np.testing.assert_allclose(geodesy.ecef_to_enu(moved, 46.2, 20.7, 120.0), [[100.0, 0.0, 0.0]], atol=1e-8)


def test_vectors_and_covariances_turn_and_turn_back(rng):
    lat, lon, _ = places(rng, 50)
    vectors = rng.normal(size=(50, 3))
    np.testing.assert_allclose(
        geodesy.enu_vectors_to_ecef(geodesy.ecef_vectors_to_enu(vectors, lat, lon), lat, lon), vectors, atol=1e-14
    )
    root = rng.normal(size=(50, 6, 6))
    cov = root @ root.transpose(0, 2, 1)
    there = geodesy.ecef_covariance_to_enu(cov, lat, lon)
    np.testing.assert_allclose(geodesy.enu_covariance_to_ecef(there, lat, lon), cov, atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(there), np.linalg.eigvalsh(cov), rtol=1e-9, atol=1e-12)


def test_ned_is_enu_in_another_order(rng):
    ned = rng.normal(size=(4, 3))
    lat, lon = np.full(4, 46.0), np.full(4, 21.0)
    enu = geodesy.ecef_vectors_to_enu(geodesy.ned_vectors_to_ecef(ned, lat, lon), lat, lon)
    np.testing.assert_allclose(enu, np.column_stack([ned[:, 1], ned[:, 0], -ned[:, 2]]), atol=1e-14)


@pytest.mark.parametrize(
    ("lat", "lon", "undulation"),
    # NGA's own EGM96 calculator (INTPT test values, WGS 84), to the interpolation of a 15' grid.
    [(38.628155, 269.779155, -31.628), (-14.621217, 305.021114, -2.969), (46.874319, 102.448729, -43.575)],
)
def test_geoid_agrees_with_nga(lat, lon, undulation):
    assert geodesy.geoid_undulation_m([lat], [lon])[0] == pytest.approx(undulation, abs=0.3)


def test_heights_change_datum_and_change_back():
    hae = geodesy.msl_to_hae([46.2], [20.7], [84.0])
    assert 40.0 < hae[0] - 84.0 < 46.0
    np.testing.assert_allclose(geodesy.hae_to_msl([46.2], [20.7], hae), [84.0], atol=1e-12)


@pytest.mark.parametrize("epsg", [geodesy.EOV, geodesy.STEREO70])
def test_national_grids_round_trip(epsg):
    easting, northing = geodesy.to_grid([46.2], [20.9], epsg)
    lat, lon = geodesy.from_grid(easting, northing, epsg)
    np.testing.assert_allclose([lat[0], lon[0]], [46.2, 20.9], atol=1e-9)


def test_eov_has_its_false_origin_in_budapest():
    easting, northing = geodesy.to_grid([47.144393722], [19.048571778])
    assert easting[0] == pytest.approx(650_000.0, abs=100.0)
    assert northing[0] == pytest.approx(200_000.0, abs=100.0)


def test_unknown_grid_is_refused():
    with pytest.raises(InputError, match="EPSG:99"):
        geodesy.to_grid([46.0], [20.0], 99)


def test_empty_columns_work():
    assert geodesy.geodetic_to_ecef([], [], []).shape == (0, 3)
    assert geodesy.ecef_to_geodetic(np.empty((0, 3)))[0].shape == (0,)
    assert geodesy.geoid_undulation_m([], []).shape == (0,)


def test_nan_in_is_nan_out():
    assert np.isnan(geodesy.geodetic_to_ecef([np.nan], [20.0], [0.0])).any()
    assert np.isnan(geodesy.geoid_undulation_m([np.nan], [20.0])).all()


@pytest.mark.parametrize("lat", [91.0, -90.1, np.inf])
def test_latitude_off_the_globe_is_refused(lat):
    with pytest.raises(InputError, match="lat_deg must lie in"):
        geodesy.geodetic_to_ecef([lat], [0.0], [0.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda lat, lon: geodesy.geodetic_to_ecef(lat, lon, [0.0, 0.0]),
        geodesy.enu_rotation,
        geodesy.geoid_undulation_m,
        geodesy.to_grid,
        lambda lat, lon: geodesy.ecef_vectors_to_enu(np.ones((2, 3)), lat, lon),
        lambda lat, lon: geodesy.ned_vectors_to_ecef(np.ones((2, 3)), lat, lon),
        lambda lat, lon: geodesy.ecef_covariance_to_enu(np.ones((2, 3, 3)), lat, lon),
    ],
)
def test_the_row_off_the_globe_is_named(call):
    with pytest.raises(InputError, match=r"row 1 is 46, 361"):
        call([46.0, 46.0], [20.0, 361.0])


@pytest.mark.parametrize("origin", [(91.0, 0.0, 0.0), (0.0, -400.0, 0.0), ([1.0, 2.0], 0.0, 0.0), ("north", 0.0, 0.0)])
def test_an_origin_that_is_no_place_is_refused(origin):
    for convert in (geodesy.ecef_to_enu, geodesy.enu_to_ecef):
        with pytest.raises(InputError, match=r"lat_deg"):
            convert(np.zeros((1, 3)), *origin)


def test_lengths_that_differ_are_refused():
    with pytest.raises(InputError, match="shape"):
        geodesy.geodetic_to_ecef([1.0, 2.0], [0.0], [0.0])
    with pytest.raises(InputError, match="3 vectors but 2 positions"):
        geodesy.ecef_vectors_to_enu(np.ones((3, 3)), [1.0, 2.0], [0.0, 0.0])


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_undulation_is_finite_and_bounded_everywhere(lat, lon):
    assert -108.0 < geodesy.geoid_undulation_m([lat], [lon])[0] < 86.0
