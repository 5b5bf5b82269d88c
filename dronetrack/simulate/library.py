"""Which scenarios have names? Ours, and published ones that other libraries and books use."""

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dronetrack import motion
from dronetrack.errors import InputError
from dronetrack.geodesy import msl_to_hae
from dronetrack.motion import ConstantVelocity
from dronetrack.roads import Route
from dronetrack.sensing import CameraErrors
from dronetrack.simulate.cameras import Camera, LookAlike, exact
from dronetrack.simulate.scenarios import Radio, Scenario
from dronetrack.simulate.sensors import Contacts, Positions, Sampling
from dronetrack.simulate.targets import AlongRoute, Legs, NearlyConstantVelocity, StopAndGo, Switching, Turns

ROAD = ConstantVelocity()
BENDS = motion.Mixture(
    [
        ConstantVelocity(horizontal_psd=0.5),
        motion.CoordinatedTurn(10.0, horizontal_psd=0.5),
        motion.CoordinatedTurn(-10.0, horizontal_psd=0.5),
    ],
    mean_stay_s=[10.0, 8.0, 8.0],
)
TRAFFIC = motion.Mixture(
    [
        motion.StopAndGo(speed_std_mps=10.0, stop_time_s=30.0),
        motion.StopAndGo(speed_std_mps=0.3, climb_std_mps=0.05, stop_time_s=1.5),
    ],
    mean_stay_s=[25.0, 15.0],
)
KNOT_MPS = 1852.0 / 3600.0

# M5 from Budapest past Kecskemet to Szeged, M43 over the Tisza past Mako, and A1 behind the border past Nadlac. Typed
# by hand from knowledge of the road, good to a few kilometres at worst. Latitude, longitude. [deg]
BUDAPEST_NADLAC_DEG = (
    (47.4560, 19.1130), (47.4270, 19.1500), (47.3760, 19.2050), (47.3330, 19.2560), (47.2720, 19.3180),
    (47.2170, 19.3800), (47.1400, 19.4560), (47.0330, 19.5720), (46.9600, 19.6360), (46.9000, 19.6460),
    (46.8300, 19.7100), (46.7200, 19.8120), (46.6100, 19.8800), (46.4760, 19.9500), (46.3900, 19.9960),
    (46.3120, 20.0480), (46.2960, 20.1100), (46.2980, 20.1900), (46.2730, 20.3300), (46.2480, 20.4700),
    (46.2330, 20.5800), (46.2250, 20.7000), (46.2060, 20.7660), (46.1900, 20.8100), (46.1640, 20.8560),
    (46.1560, 20.9480),
)  # fmt: skip


def straight() -> Scenario:
    """Positions of a target that moves exactly as the model says: linear and Gaussian, the bound can be reached."""
    return Scenario(
        "straight",
        "nearly constant velocity and positions: linear and Gaussian, so a right filter reaches the bound",
        60.0,
        NearlyConstantVelocity(ROAD),
        (Positions("gnss", sampling=Sampling(rate_hz=5.0), std_m=(3.0, 3.0, 3.0)),),
        motion=ROAD,
    )


def straight_camera() -> Scenario:
    """`straight`, seen by a camera on a circling drone instead: only white errors besides the drone's position."""
    return Scenario(
        "straight_camera",
        "nearly constant velocity and lines of sight with a known ground; only the drone's position wanders",
        60.0,
        NearlyConstantVelocity(ROAD),
        (Camera("D1", sampling=Sampling(rate_hz=5.0), errors=exact()),),
        motion=ROAD,
    )


def turns() -> Scenario:
    """Straight stretches of 10 s and turns of 10 degrees a second to either side, drawn as the mixture says."""
    return Scenario(
        "turns",
        "a car that drives straight and turns, switching as the filter's mixture of three models says",
        120.0,
        Switching(BENDS),
        (Camera("D1", sampling=Sampling(rate_hz=5.0)),),
        motion=BENDS,
    )


def stop_and_go() -> Scenario:
    """City traffic that drives for 25 s and stands for 15 on average, drawn as the mixture says."""
    return Scenario(
        "stop_and_go",
        "traffic that drives and stands, switching as the filter's mixture of two models says",
        240.0,
        Switching(TRAFFIC),
        (Camera("D1", sampling=Sampling(rate_hz=5.0)),),
        motion=TRAFFIC,
    )


def arcs() -> Scenario:
    """Exact arcs of 5 to 15 degrees a second at 15 m/s between straight stretches, which no model here describes."""
    return Scenario(
        "arcs",
        "a car that keeps its speed, turns by arcs and drives straight; the filter is told of `turns`",
        120.0,
        Turns(),
        (Camera("D1", sampling=Sampling(rate_hz=5.0)),),
        motion=BENDS,
    )


def traffic() -> Scenario:
    """City traffic: acceleration, cruise, brakes, standstill on a straight road, which no model here describes."""
    return Scenario(
        "traffic",
        "even acceleration, cruise, brakes and stops of half a minute; the filter is told of `stop_and_go`",
        240.0,
        StopAndGo(),
        (Camera("D1", sampling=Sampling(rate_hz=5.0)),),
        motion=TRAFFIC,
    )


def tunnel() -> Scenario:
    """Nothing sees the target for a minute."""
    quiet = ConstantVelocity(horizontal_psd=0.3, vertical_psd=0.005)
    return Scenario(
        "tunnel",
        "a gap of a minute in which nothing sees the target, on a road without much traffic",
        180.0,
        NearlyConstantVelocity(quiet),
        (Camera("D1", sampling=Sampling(rate_hz=5.0)),),
        motion=quiet,
        blind_s=((60.0, 120.0),),
    )


def look_alike() -> Scenario:
    """Let the camera sit on another car for eight seconds, and a few single sightings are of something else."""
    return Scenario(
        "look_alike",
        "a second vehicle that the camera takes for the target for eight seconds, and two percent of clutter",
        120.0,
        NearlyConstantVelocity(ROAD),
        (
            Camera(
                "D1",
                sampling=Sampling(rate_hz=5.0, clutter=0.02, dropout=0.02),
                look_alike=LookAlike((50.0, 60.0), lasts_s=8.0),
            ),
        ),
        motion=ROAD,
    )


def biased_gimbal() -> Scenario:
    """Two cameras with headings three degrees and boresights one degree off, as their rows state."""
    budget = CameraErrors(heading_std_deg=3.0, boresight_std_deg=1.0)
    return Scenario(
        "biased_gimbal",
        "heading errors of three degrees and boresight errors of one, stated honestly, on two drones",
        120.0,
        NearlyConstantVelocity(ROAD),
        (
            Camera("D1", sampling=Sampling(rate_hz=5.0), errors=budget),
            Camera("D2", sampling=Sampling(rate_hz=5.0, phase_s=0.1), errors=budget, height_m=90.0, circle_m=140.0),
        ),
        motion=ROAD,
    )


def late_radio() -> Scenario:
    """Two cameras and a unit; a tenth of the messages comes up to 1.5 s late, so their order is broken."""
    return Scenario(
        "late_radio",
        "a tenth of the messages takes up to 1.5 s longer, so rows arrive out of order",
        120.0,
        NearlyConstantVelocity(ROAD),
        (
            Camera("D1", sampling=Sampling(rate_hz=5.0)),
            Camera("D2", sampling=Sampling(rate_hz=4.0, phase_s=0.07), height_m=90.0, circle_m=140.0),
            Contacts("U1"),
        ),
        motion=ROAD,
        radio=Radio(delay_s=0.15, late=0.1, late_s=1.5),
    )


def budapest_nadlac() -> Scenario:
    """Drive the whole exercise: three hours, 220 km, two countries, four drones that relay each other, eight units."""
    hours = 10_800.0
    edges = np.linspace(0.0, hours, 13)
    relay: list[list[tuple[float, float]]] = [[], [], [], []]
    for leg, (start, stop) in enumerate(itertools.pairwise(edges)):
        # Each drone flies a quarter of an hour and hands over with half a minute of overlap.
        relay[leg % 4].append((float(start), float(stop) + 30.0))
    drones = tuple(
        Camera(
            f"{country}-D{number}",
            country,
            Sampling(rate_hz=10.0, phase_s=0.02 * number, windows_s=tuple(windows), dropout=0.02, clutter=0.002),
            height_m=110.0 + 10.0 * number,
            circle_m=70.0 + 20.0 * number,
        )
        for (country, number), windows in zip((("HU", 1), ("HU", 2), ("RO", 1), ("RO", 2)), relay, strict=True)
    )
    watch = np.linspace(0.0, hours, 9)
    units = tuple(
        Contacts(
            f"{'HU' if unit < 6 else 'RO'}-{unit + 1}",
            "HU" if unit < 6 else "RO",
            Sampling(
                rate_hz=1.0, phase_s=0.1 * unit, windows_s=((float(watch[unit]), float(watch[unit + 1]) + 120.0),)
            ),
        )
        for unit in range(8)
    )
    lat_deg, lon_deg = np.array(BUDAPEST_NADLAC_DEG).T
    road = Route.from_lat_lon(
        lat_deg, lon_deg, alt_hae_m=msl_to_hae(lat_deg, lon_deg, np.full(len(lat_deg), 90.0)), corner_radius_m=800.0
    )
    drive = AlongRoute(
        road,
        cruise_mps=((0.0, 14.0), (8.0, 20.0), (12.0, 30.0), (95.0, 31.0), (160.0, 27.0), (180.0, 29.0), (212.0, 12.0),
                    (218.0, 20.0), (240.0, 20.0)),
        stops=((88.0, 1500.0), (165.0, 600.0), (214.0, 180.0)),
    )  # fmt: skip
    return Scenario(
        "budapest_nadlac",
        "the whole exercise along M5 and M43: 220 km, three hours, two countries, four drones, eight units",
        hours,
        drive,
        (*drones, *units),
        motion=ROAD,
        radio=Radio(delay_s=0.15, late=0.02, late_s=1.5),
        blind_s=((5000.0, 5045.0),),
    )


def imm_turn() -> Scenario:
    """Air traffic control: two turns of 1 and 3 degrees a second, positions every 5 s good to 100 m.

    The target of Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation*, 2001,
    chapter 11, doi:10.1002/0471221279: from (25, 10) km at 120 m/s to the west; after 125 s it turns left at
    1 deg/s for 90 s, flies south for 125 s, turns right at 3 deg/s for 30 s, and flies west.
    """
    return Scenario(
        "imm_turn",
        "air traffic control with two turns; Bar-Shalom, Li, Kirubarajan 2001, doi:10.1002/0471221279",
        420.0,
        Legs(((125.0, 0.0), (90.0, -1.0), (125.0, 0.0), (30.0, 3.0), (1e3, 0.0)), 120.0, 270.0, (25e3, 10e3, 0.0)),
        (Positions("radar", sampling=Sampling(rate_hz=0.2), std_m=(100.0, 100.0, 10.0)),),
        motion=ConstantVelocity(horizontal_psd=20.0, vertical_psd=0.02, initial_speed_std_mps=85.0),
        truth_step_s=5.0,
    )


def bearings_only() -> Scenario:
    """One ship listens to another: bearings good to 1.5 degrees once a minute, and a range that is only guessed.

    The geometry of Ristic, Arulampalam, Gordon, *Beyond the Kalman Filter*, 2004, chapter 6 (ISBN 1-58053-631-X): the
    target is 5 km away at a bearing of 80 degrees and sails at 4 knots on a course of -140 degrees; the observer sails
    at 5 knots on 140 degrees and turns to 20 degrees between the 13th and the 17th minute; the first range is guessed
    to 2 km. The first row is that guess, as a position. Here a bearing comes with an elevation, equally coarse.
    """
    quiet = ConstantVelocity(
        horizontal_psd=1e-6,
        vertical_psd=1e-9,
        initial_speed_std_mps=4.0 * KNOT_MPS / np.sqrt(2.0),
        initial_climb_std_mps=1e-3,
    )
    nothing = CameraErrors(0.0, 1.5, 0.0, 0.0, 60.0, 0.0, 1800.0, h_acc_m=0.01, v_acc_m=0.01)
    away = np.radians(80.0)
    return Scenario(
        "bearings_only",
        "bearings of 1.5 degrees and a guessed range; Ristic, Arulampalam, Gordon 2004, ISBN 1-58053-631-X",
        1800.0,
        Legs(((2000.0, 0.0),), 4.0 * KNOT_MPS, -140.0, (5e3 * float(np.sin(away)), 5e3 * float(np.cos(away)), 0.0)),
        (
            Positions("guess", sampling=Sampling(rate_hz=0.001, windows_s=((0.0, 1.0),)), std_m=(2e3, 2e3, 1.0)),
            Camera("ship", sampling=Sampling(rate_hz=1.0 / 60.0), errors=nothing, path_enu_m=_ship, terrain_std_m=0.0),
        ),
        motion=quiet,
        truth_step_s=60.0,
    )


def _ship(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sail at 5 knots on 140 degrees, turn left to 20 degrees between 780 and 1020 s, and sail on: (n, 3) ENU. [m]"""
    speed, first, last = 5.0 * KNOT_MPS, np.radians(140.0), np.radians(20.0)
    rate = (last - first) / 240.0
    turned_s = np.clip(seconds - 780.0, 0.0, 240.0)
    before_s, after_s = np.minimum(seconds, 780.0), np.maximum(seconds - 1020.0, 0.0)
    course = first + rate * turned_s
    east = before_s * np.sin(first) + (np.cos(first) - np.cos(course)) / rate + after_s * np.sin(last)
    north = before_s * np.cos(first) + (np.sin(course) - np.sin(first)) / rate + after_s * np.cos(last)
    return speed * np.column_stack([east, north, np.zeros_like(seconds)])


def stone_soup_ncv() -> Scenario:
    """Stone Soup's first tutorial: 20 steps of 1 s, q = 0.05, positions of variance 5, first velocity (1, 1).

    https://stonesoup.readthedocs.io/en/latest/auto_tutorials/01_KalmanFilterTutorial.html
    """
    model = ConstantVelocity(
        horizontal_psd=0.05, vertical_psd=1e-6, initial_speed_std_mps=1.0, initial_climb_std_mps=1e-3
    )
    side = float(np.sqrt(5.0))
    return Scenario(
        "stone_soup_ncv",
        "Stone Soup's Kalman filter tutorial: https://stonesoup.readthedocs.io/en/latest/auto_tutorials/",
        20.0,
        NearlyConstantVelocity(model, velocity_enu_mps=(1.0, 1.0, 0.0), velocity_std_mps=(0.0, 0.0, 0.0)),
        (Positions("sensor", sampling=Sampling(rate_hz=1.0), std_m=(side, side, 1.0)),),
        motion=model,
        truth_step_s=1.0,
    )


_NAMED: dict[str, Callable[[], Scenario]] = {
    make.__name__: make
    for make in (
        straight, straight_camera, turns, stop_and_go, arcs, traffic, tunnel, look_alike, biased_gimbal, late_radio,
        budapest_nadlac, imm_turn, bearings_only, stone_soup_ncv,
    )
}  # fmt: skip


def scenario_names() -> tuple[str, ...]:
    """Return the names of the scenario library.

    Returns
    -------
    tuple of str
        For `scenario` and `simulate`.

    Examples
    --------
    >>> "budapest_nadlac" in scenario_names()
    True
    """
    return tuple(_NAMED)


def scenario(name: str) -> Scenario:
    """Return a named scenario, to simulate or to change with `dataclasses.replace`.

    Parameters
    ----------
    name : str
        One of `scenario_names()`.

    Returns
    -------
    Scenario
        As printed in its source.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> scenario("straight").duration_s
    60.0
    """
    if name not in _NAMED:
        raise InputError(f"no scenario {name!r}; there are {', '.join(_NAMED)}.")
    return _NAMED[name]()
