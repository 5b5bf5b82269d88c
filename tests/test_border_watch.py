import itertools
import time

import numpy as np
import pytest
import scipy.special
import scipy.stats
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from test_border import drive

from dronetrack import geodesy
from dronetrack.border import Border, Crossings, Watch
from dronetrack.filtering import track
from dronetrack.kernels import crossing as kernels
from dronetrack.measurements import POSITION, Sensor, measurements_of
from dronetrack.tracks import CONFIRMED, Track

ORIGIN = (46.5, 21.0, 100.0)


@pytest.fixture(scope="module")
def border():
    return Border.between("HU", "RO")


@pytest.fixture(scope="module")
def straight():
    return Border.from_line([47.0, 46.0], [21.0, 21.0], home="HU", host="RO", line_std_m=1.0)


@pytest.fixture(scope="module")
def river():
    """A river border that winds 60 m to both sides of 21 E, every 400 m."""
    lat = np.linspace(46.6, 46.4, 2000)
    north_m = (lat - 46.5) * 111_190.0
    return Border.from_line(lat, 21.0 + 60.0 * np.sin(north_m / 400.0 * 2 * np.pi) / 76_700.0, home="HU", host="RO")


def track_of(time_us, state, cov, track_id=1):
    n = len(time_us)
    return Track(time_us, track_id, np.full(n, CONFIRMED, np.int8), state, cov, np.ones(n), np.ones(n, np.int16))


def belief(place_enu, cov_enu):
    """Rows of belief about places east, north of the origin; no order is meant by their times."""
    n = len(place_enu)
    enu = np.zeros((n, 6, 6))
    enu[:, :2, :2], enu[:, [2, 3, 4, 5], [2, 3, 4, 5]] = cov_enu, 1.0
    place = geodesy.enu_to_ecef(np.column_stack([place_enu, np.zeros(n)]), *ORIGIN)
    lat, lon, _ = geodesy.ecef_to_geodetic(place)
    cov = geodesy.enu_covariance_to_ecef(enu, lat, lon)
    state = np.hstack([place, np.zeros((n, 3))])
    return Track(
        1_000_000 * np.arange(n), 1, np.full(n, CONFIRMED, np.int8), state, cov, np.ones(n), np.ones(n, np.int16)
    )


@given(st.floats(0.0, 8.0), st.floats(0.0, 8.0))
def test_the_mass_under_a_segment_is_owens_t(h, t):
    expected = scipy.special.owens_t(h, t / h) if h > 0.0 else np.arctan2(t, h) / (2.0 * np.pi)
    assert kernels.owen_one(h, t) == pytest.approx(expected, abs=1e-9)


@given(st.floats(1e-9, 1.0 - 1e-9))
def test_the_normal_quantile_agrees_with_scipy(p):
    assert kernels.probit_one(p) == pytest.approx(scipy.special.ndtri(p), abs=1e-7)


def test_beside_a_straight_line_the_probability_is_that_of_the_half_plane(straight, rng):
    east = rng.normal(0.0, 10.0, 50)
    std = rng.uniform(0.5, 20.0, 50)
    cov = np.stack([np.diag([s**2, 25.0]) for s in std])
    found = straight.probability(belief(np.column_stack([east, np.zeros(50)]), cov))
    # The plane through the meridian: half a millimetre in ten metres.
    np.testing.assert_allclose(found, scipy.stats.norm.cdf(east / np.hypot(std, 1.0)), atol=2e-4)


def test_in_a_corner_the_probability_is_that_of_the_quadrant():
    """Host: the north-east quadrant. With no correlation it is a product of two half planes."""
    corner = Border.from_line([47.5, 46.5, 46.5], [21.0, 21.0, 22.0], home="A", host="B", line_std_m=0.0)
    rows = np.array([[-10.0, 5.0], [3.0, -2.0], [0.0, 0.0], [20.0, 20.0]])
    cov = np.broadcast_to(np.diag([100.0, 225.0]), (4, 2, 2))
    expected = scipy.stats.norm.cdf(rows[:, 0] / 10.0) * scipy.stats.norm.cdf(rows[:, 1] / 15.0)
    np.testing.assert_allclose(corner.probability(belief(rows, cov)), expected, atol=5e-4)


def test_the_probability_agrees_with_monte_carlo_on_the_real_line(border):
    """60 states of 1 m to 3 km beside the line; benchmarks/border_probability.py takes 1,000 with 1e6 samples each."""
    rng = np.random.default_rng(8)
    at = rng.integers(0, len(border.line_lat_deg), 60)
    long_m, turn = 10.0 ** rng.uniform(0.0, 3.5, 60), rng.uniform(0.0, np.pi, 60)
    axes = np.moveaxis(np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), 2, 0)
    wide_m = long_m * rng.uniform(0.1, 1.0, 60)
    cov = axes * np.stack([long_m**2, wide_m**2], -1)[:, None, :] @ axes.transpose(0, 2, 1)
    lat = border.line_lat_deg[at] + rng.normal(0.0, 1.0, 60) * long_m / 111_200.0
    lon = border.line_lon_deg[at] + rng.normal(0.0, 1.0, 60) * long_m / 77_000.0
    enu = np.zeros((60, 6, 6))
    enu[:, :2, :2], enu[:, [2, 3, 4, 5], [2, 3, 4, 5]] = cov, 1.0
    state = np.hstack([geodesy.geodetic_to_ecef(lat, lon, np.full(60, 90.0)), np.zeros((60, 3))])
    rows = Track(
        np.arange(60), 1, np.full(60, CONFIRMED, np.int8), state, geodesy.enu_covariance_to_ecef(enu, lat, lon),
        np.ones(60), np.ones(60, np.int16),
    )  # fmt: skip
    host = shapely.Polygon(border.host_rings_deg)
    shapely.prepare(host)
    sampled = np.empty(60)
    for row in range(60):
        spread = np.linalg.cholesky(cov[row] + border.line_std_m**2 * np.eye(2))
        flat = np.column_stack([*(spread @ rng.standard_normal((2, 100_000))), np.zeros(100_000)])
        place = geodesy.ecef_to_geodetic(geodesy.enu_to_ecef(flat, lat[row], lon[row], 90.0))
        sampled[row] = shapely.contains_xy(host, place[1], place[0]).mean()
    ours = border.probability(rows)
    assert np.abs(ours - sampled).max() < 0.01
    assert ((ours > 0.02) & (ours < 0.98)).sum() > 40


def test_a_mean_on_the_line_itself_is_on_neither_side_for_sure(border):
    lat, lon = border.line_lat_deg[100:600], border.line_lon_deg[100:600]
    n = len(lat)
    state = np.hstack([geodesy.geodetic_to_ecef(lat, lon, np.zeros(n)), np.zeros((n, 3))])
    cov = np.broadcast_to(np.eye(6), (n, 6, 6))
    rows = Track(np.arange(n), 1, np.full(n, CONFIRMED, np.int8), state, cov, np.ones(n), np.ones(n, np.int16))
    p = border.probability(rows)
    assert ((p > 0.01) & (p < 0.99)).all()
    assert np.median(p) == pytest.approx(0.5, abs=0.02)


def test_noise_beside_a_winding_river_makes_no_crossing(river):
    """A walk 75 m from the middle of a river that comes within 15 m, position errors of 8 m, for half an hour."""
    rng = np.random.default_rng(3)
    flickers = 0
    for _ in range(5):
        n = 1800
        north = np.linspace(-5000.0, 5000.0, n)
        seen = np.column_stack([-75.0 + rng.normal(0, 8.0, n), north + rng.normal(0, 8.0, n), np.zeros(n)])
        z = geodesy.enu_to_ecef(seen, *ORIGIN)
        cov = np.broadcast_to(64.0 * np.eye(3), (n, 3, 3))
        raw = river.side(*geodesy.ecef_to_geodetic(z)[:2])
        flickers += int((raw[1:] != raw[:-1]).sum())
        smooth = track(measurements_of(10**15 + 1_000_000 * np.arange(n), POSITION, z, cov, Sensor("gnss")))
        assert len(river.crossings(smooth)) == 0
    assert flickers > 20  # what the positions alone would have said


def test_a_drive_through_every_bend_of_the_river_crosses_each_time(river):
    found = river.crossings(belief_drive(np.zeros(2001), np.linspace(2000.0, -2000.0, 2001), std_m=1.0, step_s=0.2))
    assert len(found) in range(18, 21)
    assert set(found.entering) == {"HU", "RO"}
    assert (np.diff(found.time_us) > 0).all()


def belief_drive(east, north, *, std_m, step_s, track_id=1):
    """A track through places east, north of the origin."""
    n = len(east)
    place = np.column_stack([east, north, np.zeros(n)])
    velocity = np.gradient(place, step_s, axis=0)
    lat, lon, _ = geodesy.ecef_to_geodetic(geodesy.enu_to_ecef(place, *ORIGIN))
    state = np.hstack([geodesy.enu_to_ecef(place, *ORIGIN), geodesy.enu_vectors_to_ecef(velocity, lat, lon)])
    cov = np.broadcast_to(np.diag([std_m**2] * 3 + [0.25] * 3), (n, 6, 6))
    time_us = 10**15 + (np.arange(n) * step_s * 1e6).astype(np.int64)
    return Track(time_us, track_id, np.full(n, CONFIRMED, np.int8), state, cov, np.ones(n), np.ones(n, np.int16))


def wandering(seed):
    """A track that goes over the line and back, by the errors that its covariance promises."""
    rng = np.random.default_rng(seed)
    way = np.concatenate([np.linspace(-150, 200, 80), np.linspace(200, -100, 70), np.linspace(-100, 120, 60)])
    return drive(way, rng=rng)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 210), max_size=12), st.integers(0, 5))
def test_any_split_of_the_rows_gives_the_same_bits(cuts, seed):
    border = Border.from_line([47.0, 46.0], [21.0, 21.0], home="HU", host="RO", line_std_m=1.0)
    rows = wandering(seed)
    whole = border.crossings(rows)
    watch = Watch(border)
    bounds = [0, *sorted(cuts), len(rows)]
    parts = Crossings.join([watch.update(rows.take(slice(a, b))) for a, b in itertools.pairwise(bounds)])
    assert len(whole) >= 1
    for name in Crossings.__dataclass_fields__:
        assert np.array_equal(getattr(parts, name), getattr(whole, name)), name


def test_tracks_that_take_turns_are_told_apart(straight):
    first, second = drive(np.linspace(-300, 300, 121)), drive(np.linspace(300, -300, 121))
    second = Track(second.time_us, 2, second.status, second.state, second.cov, second.nis, second.n_sensors)
    watch = Watch(straight)
    found = [watch.update(one.take(slice(row, row + 1))) for row in range(121) for one in (first, second)]
    joined = Crossings.join(found)
    assert sorted(zip(joined.track_id.tolist(), joined.entering, strict=True)) == [(1, "RO"), (2, "HU")]


def test_late_rows_are_left_out_and_counted(straight):
    rows = drive(np.linspace(-300, 300, 121))
    watch = Watch(straight)
    watch.update(rows.take(slice(0, 50)))
    watch.update(rows.take(slice(40, 50)))
    assert watch.late_rows == 9  # row 49 is no older than itself
    assert len(watch.update(rows.take(slice(50, 121)))) == 1


def test_quantiles_of_the_time_are_those_of_a_normal_distribution(straight):
    found = straight.crossings(drive(np.linspace(-500.0, 500.0, 101)))
    seconds = (found.time_quantiles_us[0] - 10**15) * 1e-6
    std_s = np.hypot(3.0, 1.0) / 20.0
    np.testing.assert_allclose(seconds, 25.0 + std_s * np.array([-1.96, -1.0, 0.0, 1.0, 1.96]), atol=0.01)
    assert found.known_us[0] > found.time_quantiles_us[0, -1]
    one = next(iter(found))
    assert one.time_95[0] < one.time < one.time_95[1] < one.known


def test_a_wait_on_the_line_spreads_the_time(straight):
    way = np.concatenate([np.linspace(-100, 0, 41), np.zeros(120), np.linspace(0, 100, 41)])
    found = straight.crossings(drive(way))
    assert len(found) == 1
    assert found.time_std_s[0] > 10.0
    # It stood on the line from 20 s to 80 s.
    seconds = (found.time_quantiles_us[0] - 10**15) * 1e-6
    assert seconds[0] < 25.0
    assert seconds[-1] > 75.0


def test_who_leaves_through_a_third_country_crosses_no_line_between_the_two(border):
    """From Szeged into Serbia, and from there into Romania past the point where the three meet."""
    lat = np.interp(np.arange(400), [0, 130, 280, 399], [46.25, 46.05, 45.95, 45.95])
    lon = np.interp(np.arange(400), [0, 130, 280, 399], [20.10, 20.10, 20.45, 20.80])
    state = np.hstack([geodesy.geodetic_to_ecef(lat, lon, np.full(400, 80.0)), np.zeros((400, 3))])
    cov = np.broadcast_to(np.diag([9.0] * 3 + [1.0] * 3), (400, 6, 6))
    rows = track_of(10_000_000 * np.arange(400), state, cov)
    assert border.side(lat, lon)[[0, -1]].tolist() == [0, 1]
    assert (border.side(lat, lon) == -1).any()
    assert len(border.crossings(rows)) == 0


def test_a_crossing_at_an_official_place_is_named(border):
    lat, lon = np.linspace(46.2125, 46.2095, 121), np.linspace(20.745, 20.775, 121)
    state = np.hstack([geodesy.geodetic_to_ecef(lat, lon, np.full(121, 120.0)), np.zeros((121, 3))])
    state[:, 3:] = np.gradient(state[:, :3], 1.0, axis=0)
    cov = np.broadcast_to(np.diag([9.0] * 3 + [1.0] * 3), (121, 6, 6))
    rows = track_of(10**15 + 10**6 * np.arange(121), state, cov)
    found = border.crossings(rows)
    assert found.place == ("Nadlac II",)
    assert (found.leaving, found.entering) == (("HU",), ("RO",))
    assert abs(border.signed_distance_m(found.lat_deg, found.lon_deg)[0]) < 1.0


def test_one_live_row_is_quick(border):
    """Far below a live update's 50 us; the bound is loose, for machines differ."""
    rows = belief_drive(np.linspace(-500, 500, 200), np.zeros(200), std_m=5.0, step_s=0.1)
    single = [rows.take(slice(row, row + 1)) for row in range(200)]
    watch = Watch(border)
    watch.update(single[0])
    spent = []
    for row in single[1:]:
        begin = time.process_time()
        watch.update(row)
        spent.append(time.process_time() - begin)
    assert np.median(spent) < 100e-6
