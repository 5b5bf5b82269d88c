import json

import geopandas
import numpy as np
import pytest

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.tracks import COASTING, CONFIRMED, Track


def make(n=20, step_us=500_000, cov=None):
    """A target that drives east at 20 m/s and turns a little."""
    t = np.arange(n) * step_us * 1e-6
    enu = np.column_stack([20.0 * t, 0.5 * t**2, np.zeros(n)])
    rate = np.column_stack([np.full(n, 20.0), t, np.zeros(n)])
    lat, lon = np.full(n, 46.2), np.full(n, 20.7)
    state = np.hstack([geodesy.enu_to_ecef(enu, 46.2, 20.7, 120.0), geodesy.enu_vectors_to_ecef(rate, lat, lon)])
    local = np.diag([9.0, 4.0, 1.0, 0.1, 0.1, 0.1]) if cov is None else cov
    whole = geodesy.enu_covariance_to_ecef(np.stack([local] * n), lat, lon)
    status = np.where(np.arange(n) < n // 2, CONFIRMED, COASTING).astype(np.int8)
    nis = np.where(status == CONFIRMED, 1.0, np.nan)
    return Track(np.arange(n) * step_us + 10**15, 7, status, state, whole, nis, np.ones(n, dtype=np.int16))


def test_views_are_in_the_units_of_their_names():
    track = make()
    assert track.speed_mps[0] == pytest.approx(20.0, abs=1e-6)
    assert track.course_deg[0] == pytest.approx(90.0, abs=1e-6)
    assert track.alt_hae_m[0] == pytest.approx(120.0, abs=1e-6)
    np.testing.assert_allclose(np.diag(track.pos_cov_enu_m2[0]), [9.0, 4.0, 1.0], atol=1e-3)


def test_the_ellipse_holds_95_percent_and_points_along_its_major_axis():
    major, minor, bearing = make().ellipse_m[0]
    assert major == pytest.approx(3.0 * 2.4477, abs=1e-2)
    assert minor == pytest.approx(2.0 * 2.4477, abs=1e-2)
    assert bearing == pytest.approx(90.0, abs=0.1)


def test_values_between_rows_follow_the_curve():
    coarse, fine = make(11, 1_000_000), make(101, 100_000)
    np.testing.assert_allclose(coarse.at(fine.time_us).state[:, :3], fine.state[:, :3], atol=1e-3)


def test_at_its_own_rows_a_track_is_itself():
    track = make()
    np.testing.assert_allclose(track.at(track.time_us).state, track.state, atol=1e-9)
    with pytest.raises(InputError, match="outside the track"):
        track.at([0])


def test_geoparquet_is_read_by_geopandas(tmp_path):
    track = make()
    table = geopandas.read_parquet(track.to_file(tmp_path / "track.parquet"))
    assert table.crs.to_epsg() == 4326 or table.crs.to_string() == "OGC:CRS84"
    assert str(table["time"].dtype) == "datetime64[us, UTC]"
    expected = ["time", "track_id", "lat_deg", "lon_deg", "alt_hae_m", "speed_mps", "course_deg", "var_e_m2",
                "var_n_m2", "cov_en_m2", "status", "geometry"]  # fmt: skip
    assert list(table.columns) == expected
    np.testing.assert_array_equal(table["time"].astype("int64"), track.time_us)
    np.testing.assert_allclose(table.geometry.x, track.lon_deg)
    assert table["status"].tolist() == ["confirmed"] * 10 + ["coasting"] * 10


def test_the_three_files_and_the_table_agree(tmp_path):
    track = make()
    own = track.to_geodataframe()
    parquet = geopandas.read_parquet(track.to_file(tmp_path / "track.parquet"))
    features = json.loads(track.to_file(tmp_path / "track.geojson").read_text())["features"]
    lines = track.to_file(tmp_path / "track.csv").read_text().splitlines()
    assert len(own) == len(parquet) == len(features) == len(lines) - 1
    places = np.array([row["geometry"]["coordinates"] for row in features])
    np.testing.assert_allclose(places[:, :2], np.column_stack([parquet.geometry.x, parquet.geometry.y]), atol=1e-7)
    for name in ("speed_mps", "var_e_m2", "cov_en_m2"):
        np.testing.assert_allclose(own[name], parquet[name], atol=1e-9)
        np.testing.assert_allclose(own[name], [row["properties"][name] for row in features], atol=1e-3)
    assert features[0]["properties"]["time"].endswith("Z")


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match="parquet"):
        make().to_file(tmp_path / "track.docx")


def test_an_empty_track_has_files_too(tmp_path):
    empty = make().take(slice(0, 0))
    for ending in ("parquet", "geojson", "csv"):
        assert empty.to_file(tmp_path / f"track.{ending}").exists()
