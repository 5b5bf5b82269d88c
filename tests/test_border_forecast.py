import numpy as np
import pytest

from dronetrack.bench.drives import (
    country_road,
    coverage,
    drives_on_country_roads,
    drives_on_motorway,
    motorway,
    scores,
    seen,
)
from dronetrack.border import Border, Pace
from dronetrack.errors import InputError
from dronetrack.roads import RoadGraph, Route

HORIZON_S = 3600.0


@pytest.fixture(scope="module")
def border():
    return Border.between("HU", "RO")


@pytest.fixture(scope="module")
def straight():
    return Border.from_line([47.0, 46.0], [21.0, 21.0], home="HU", host="RO", line_std_m=1.0)


def eastwards(speed_mps, *, west_m, rng, n=60):
    """Track of a target that drives east along 46.5 N and is `west_m` short of 21 E now."""
    road = Route.from_lat_lon([46.5, 46.5], [20.0, 22.0], alt_hae_m=100.0)
    at = road.locate(Route.from_lat_lon([46.5, 46.6], [21.0, 21.0], alt_hae_m=100.0).to_ecef([0.0]))[0][0]
    seconds = np.arange(n) * 5.0
    way = at - west_m + speed_mps * (seconds - seconds[-1])
    return seen(road.state(way, np.full(n, speed_mps)), seconds, rng), road


def test_a_steady_drive_arrives_when_its_speed_says(straight, rng):
    track, road = eastwards(20.0, west_m=12_000.0, rng=rng)
    for route in (None, road):
        found = straight.forecast(track, route, pace=Pace(stop_per_s=0.0, course_psd=1e-7))
        assert found.quantiles_s[2] == pytest.approx(600.0, rel=0.05)
        assert (found.leaving, found.entering) == ("HU", "RO")
        assert found.by(300.0) < 0.01
        assert found.probability[-1] > 0.98
        assert (np.diff(found.probability) >= 0.0).all()


def test_who_drives_away_along_a_road_never_comes(straight, rng):
    track, road = eastwards(20.0, west_m=12_000.0, rng=rng)
    away = Route(road.curve_ecef_m[:70], road.piece_length_m[:70])  # the road ends before the line
    found = straight.forecast(track.take(slice(0, 30)), away)
    assert found.probability[-1] == 0.0
    assert np.isinf(found.quantiles_s).all()
    assert found.place == ()


def test_at_a_fork_the_places_share_the_probability(rng):
    """One road straight on over the line, and one to the right that crosses it farther south."""
    line = Border.from_line([47.0, 46.0], [21.0, 21.0], home="HU", host="RO", line_std_m=1.0)
    roads = RoadGraph.from_lat_lon(
        [46.5, 46.5, 46.5, 46.5, 46.4, 46.4], [20.6, 20.8, 21.2, 20.8, 20.8, 21.2], offsets=[0, 3, 6], alt_hae_m=100.0
    )
    way = Route.from_lat_lon([46.5, 46.5], [20.6, 20.8], alt_hae_m=100.0)
    seconds = np.arange(60) * 5.0
    track = seen(way.state(2000.0 + 20.0 * seconds, np.full(60, 20.0)), seconds, rng)
    found = line.forecast(track, roads)
    assert len(found.place) == 2
    assert found.place_lat_deg == pytest.approx([46.5, 46.4], abs=2e-3)
    assert found.place_probability[0] / found.place_probability.sum() == pytest.approx(
        np.exp(2) / (np.exp(2) + 1), abs=0.06
    )
    assert found.place_probability.sum() == pytest.approx(found.probability[-1], abs=1e-9)


def test_on_the_motorway_the_place_is_nadlac_ii(border):
    rng = np.random.default_rng(2)
    road = motorway()
    track = seen(road.state(185_000.0 + 28.0 * 5.0 * np.arange(40), np.full(40, 28.0)), 5.0 * np.arange(40), rng)
    assert border.forecast(track, road).place == ("Nadlac II",)


def test_who_is_over_the_line_already_is_forecast_to_come_back(straight, rng):
    track, _ = eastwards(20.0, west_m=-3000.0, rng=rng)
    found = straight.forecast(track, pace=Pace(course_psd=1e-7))
    assert (found.leaving, found.entering) == ("RO", "HU")
    assert found.probability[-1] < 0.05


def test_the_same_track_gives_the_same_forecast(border):
    one = drives_on_motorway(border, 1, HORIZON_S, np.random.default_rng(9))[0]
    first, second = border.forecast(one.track), border.forecast(one.track)
    assert (first.crossing_s == second.crossing_s).all()
    other = border.forecast(one.track, rng=np.random.default_rng(5))
    assert other.probability[-1] == pytest.approx(first.probability[-1], abs=0.06)


@pytest.mark.parametrize("free", [False, True])
def test_forecasts_are_calibrated_on_simulated_drives(border, free):
    """Better than the base rate alone, and a probability that is said is what happens."""
    rng = np.random.default_rng(11)
    drives = drives_on_motorway(border, 60, HORIZON_S, rng) + drives_on_country_roads(border, 60, HORIZON_S, rng)
    forecasts = [border.forecast(one.track, None if free else one.route, HORIZON_S, n_drives=500) for one in drives]
    found = scores(forecasts, drives, HORIZON_S)
    for share in ("half", "whole"):
        assert found[f"brier_{share}"] < (0.75 if free else 0.35) * found[f"base_{share}"]
        assert found[f"said_{share}"] == pytest.approx(found[f"happened_{share}"], abs=0.1)
    # Quantiles are held as often as they say, within three standard deviations of so few drives.
    wanted, (held, n) = np.array([0.025, 0.159, 0.5, 0.841, 0.975]), coverage(forecasts, drives)
    slack = 3.0 * np.sqrt(wanted * (1.0 - wanted) / n) + 0.05
    assert (np.abs(held - wanted) < slack + 0.08 * (wanted < 0.2)).all()


def test_a_target_far_from_the_road_is_refused(border, rng):
    track, _ = eastwards(20.0, west_m=12_000.0, rng=rng)
    with pytest.raises(InputError, match="m from the road"):
        border.forecast(track, country_road(border, np.random.default_rng(3)))
    with pytest.raises(InputError, match="starts from the last row"):
        border.forecast(track.take(slice(0, 0)))
    with pytest.raises(InputError, match="horizon_s must lie in"):
        border.forecast(track, horizon_s=0.0)
    with pytest.raises(InputError, match="speed_std_mps must be positive"):
        Pace(speed_std_mps=0.0)
