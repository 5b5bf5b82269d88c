"""Flights with known truth, made for the tests: where the target was, and what a drone's log says of it."""

import numpy as np

from dronetrack import geodesy
from dronetrack.simulate import FlightErrors as Errors
from dronetrack.simulate import Mount
from dronetrack.simulate import fly as fly_over

__all__ = ["FLAGS_VEHICLE_YAW", "GROUND_MSL_M", "LAT", "LON", "START_US", "Errors", "drone_path", "fly", "weave"]

LAT, LON, GROUND_MSL_M = 46.21, 20.76, 84.0
START_US = 1_795_470_000_000_000
FLAGS_VEHICLE_YAW = 4 + 8 + 32


def ground_hae_m():
    return float(geodesy.msl_to_hae([LAT], [LON], [GROUND_MSL_M])[0])


def to_ecef(enu):
    """East, north, up of a point on the ground."""
    return geodesy.enu_to_ecef(np.atleast_2d(enu), LAT, LON, ground_hae_m())


def weave(seconds):
    """A car that swings between lanes of a bend, speeding up and slowing down: (n, 3) east, north, up."""
    east = 15.0 * seconds + 60.0 * np.sin(seconds / 17.0)
    north = 40.0 * np.sin(seconds / 23.0)
    return np.column_stack([east, north, -(east**2 + north**2) / (2.0 * 6.371e6)])


def drone_path(seconds, side_m=-80.0, height_m=110.0):
    target = weave(seconds)
    swing = 8.0 * np.sin(seconds * 0.7)
    return target + np.column_stack([-20.0 + swing, side_m + swing, np.full(len(seconds), height_m)])


def fly(seconds=120.0, *, frame="levelled", errors=None, rng=None, wobble=1.0, rate_hz=10.0, servo=False, status=None):
    """Fly once; return the log and the target's true place (n, 3) ECEF at the time of each sighting's image."""
    flight = fly_over(
        weave, drone_path, duration_s=seconds, rate_hz=rate_hz, mount=Mount(frame, servo=servo), errors=errors,
        wobble=wobble, status=status, origin=(LAT, LON, ground_hae_m()), rng=rng or np.random.default_rng(0),
    )  # fmt: skip
    return flight.telemetry, flight.image_s, flight.target_ecef_m
