"""Law 7: geodetic <-> ECEF round trips to 1e-8 m from -10 km to 1000 km height, poles and date line included."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from dronetrack import geodesy

LATITUDES = np.concatenate([[-90.0, -89.9999999, 0.0, 1e-12, 45.0, 89.99999999, 90.0], np.linspace(-90, 90, 181)])
LONGITUDES = np.array([-180.0, -179.9999999999, -90.0, 0.0, 20.7, 90.0, 179.9999999999, 180.0])
HEIGHTS = np.array([-10e3, -1.0, 0.0, 1e-3, 84.0, 8848.0, 100e3, 1000e3])


def miss_m(lat, lon, height):
    there = geodesy.geodetic_to_ecef(lat, lon, height)
    return np.linalg.norm(geodesy.geodetic_to_ecef(*geodesy.ecef_to_geodetic(there)) - there, axis=1)


def test_round_trip_closes_on_a_grid_with_poles_and_date_line():
    lat, lon, height = (axis.ravel() for axis in np.meshgrid(LATITUDES, LONGITUDES, HEIGHTS))
    assert miss_m(lat, lon, height).max() < 1e-8


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-10e3, 1000e3))
@example(lat=90.0, lon=180.0, height=0.0)
def test_round_trip_closes_anywhere(lat, lon, height):
    assert miss_m([lat], [lon], [height])[0] < 1e-8
