"""Where does an adjustment start? Thinned sightings, the path that a filter finds, places that units report."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.filtering import track
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Measurements, Sensor, measurements_of, merge
from dronetrack.motion import ConstantVelocity
from dronetrack.registration.adjustment import LAG, LATENCY, Adjustment, Fixes, Knots, Path, Sighter, inverse_root
from dronetrack.sensing import SERVO_ERRORS, SERVO_FRAMES, View, camera_axes, ground_heights
from dronetrack.terrain import Terrain
from dronetrack.units import UnitReports

Floats = NDArray[np.float64]

RATE_HZ = 4.0
MOST_ROWS = 4_000
FIX_RATE_HZ = 2.0
END_STD_RAD = 0.02
UNIT_FRESH_M, UNIT_FRESH_UP_M = 1.0, 5.0
UNIT_BIAS_M, UNIT_BIAS_TIME_S = 2.5, 60.0


def thinned(view: View) -> View:
    """Return every k-th sighting, about four a second.

    By count, never by time since the last: that would choose the rows that came late.
    """
    step_s = float(np.median(np.diff(view.time_us))) * 1e-6 if len(view.time_us) > 1 else 1.0
    stride = max(1, round(1.0 / (RATE_HZ * max(step_s, 1e-3))), len(view.time_us) // MOST_ROWS)
    return every(view, stride)


def every(view: View, stride: int) -> View:
    """Return every k-th row of a view."""
    return replace(view, time_us=view.time_us[::stride], ray=view.ray[::stride], row=view.row[::stride])


def knots_of(sighters: list[Sighter]) -> Knots:
    """Return knots over all sightings, with room for their latencies."""
    first = min(int(one.view.time_us[0]) for one in sighters)
    last = max(int(one.view.time_us[-1]) for one in sighters)
    return Knots(first - 2_000_000, last + 500_000)


def sighted_paths(sighters: list[Sighter], terrain: Terrain | None) -> list[Fixes]:
    """Return candidates for the path: what the filter finds, which refuses wrong latches; and where the lines end.

    None where no line meets the ground.
    """
    if terrain is None:
        return []
    lines = [_lines(one, f"camera {number}") for number, one in enumerate(sighters)]
    ends = [ground_heights(one, terrain) for one in lines]
    found = [fixes for fixes in map(_ends, lines, ends) if len(fixes.time_us)]
    if not found:
        return []
    joined = Fixes(
        np.concatenate([one.time_us for one in found]),
        np.concatenate([one.place for one in found]),
        np.concatenate([one.white for one in found]),
    )
    tracked = track(merge(*lines, *ends))
    if len(tracked) < 2:
        return [joined]
    slot = ((tracked.time_us - tracked.time_us[0]) * (FIX_RATE_HZ * 1e-6)).astype(np.int64)
    rows = np.unique(slot, return_index=True)[1]
    cov = tracked.cov[rows, :3, :3] + 0.1**2 * np.eye(3)
    white = inverse_root(cov)
    return [Fixes(tracked.time_us[rows], tracked.state[rows, :3], white), joined]


def _ends(lines: Measurements, ends: Measurements) -> Fixes:
    """Where lines of sight meet the ground, with what a degree makes of that there."""
    row = np.searchsorted(lines.time_us, ends.time_us)
    ray = lines.z[row]
    reach = np.linalg.norm(ends.z - lines.site_ecef_m[row], axis=1)[:, None, None]
    lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(ends.z)
    up = geodesy.enu_rotation(lat_deg, lon_deg)[:, 2]
    slope = np.einsum("ni,ni->n", ray, up)[:, None, None]
    slide = np.eye(3) - ray[:, :, None] * up[:, None, :] / slope
    across = np.eye(3) - ray[:, :, None] * ray[:, None, :]
    cov = (END_STD_RAD * reach) ** 2 * (slide @ across @ slide.transpose(0, 2, 1)) + 0.5**2 * np.eye(3)
    return Fixes(ends.time_us, ends.z, inverse_root(cov))


def _lines(one: Sighter, name: str) -> Measurements:
    """Lines of sight before any correction, with everything that may be wrong in their sensor."""
    time_us = one.view.time_us - np.int64(round(one.start[LATENCY] * 1e6))
    site, axes = camera_axes(one.telemetry, time_us, one.frame, lag_s=one.start[LAG])
    good = np.isfinite(axes).all(axis=(1, 2)) & np.isfinite(site[:, 0])
    direction = np.einsum("nij,nj->ni", axes[good], one.view.ray[good])
    across = np.eye(3) - direction[:, :, None] * direction[:, None, :]
    servo = one.frame in SERVO_FRAMES
    sensor = Sensor(
        name,
        heading_std_rad=float(np.radians(2.0)),
        boresight_std_rad=float(np.radians(SERVO_ERRORS.boresight_std_deg if servo else 0.5)),
        boresight_time_s=SERVO_ERRORS.boresight_time_s if servo else one.errors.boresight_time_s,
    )
    # Twice the noise: the timing is not known yet.
    return measurements_of(
        time_us[good],
        LINE_OF_SIGHT,
        direction,
        (2.0 * one.noise_rad) ** 2 * across,
        sensor,
        site_ecef_m=site[good],
        site_cov=np.broadcast_to(one.errors.h_acc_m**2 * np.eye(3), across.shape),
    )


def unit_fixes(unit: UnitReports) -> Fixes:
    """Return the reports of a unit that is the target: once a second, with the bias that GNSS has for a minute."""
    slot = (unit.time_us // 1_000_000).astype(np.int64)
    rows = np.unique(slot, return_index=True)[1]
    height = np.where(np.isfinite(unit.alt_hae_m[rows]), unit.alt_hae_m[rows], 0.0)
    local = np.zeros((len(rows), 3, 3))
    local[:, [0, 1], [0, 1]] = 1.0 / UNIT_FRESH_M
    local[:, 2, 2] = np.where(np.isfinite(unit.alt_hae_m[rows]), 1.0 / UNIT_FRESH_UP_M, 0.0)
    stated = unit.h_acc_m[np.isfinite(unit.h_acc_m) & (unit.h_acc_m > 0.0)]
    return Fixes(
        unit.time_us[rows],
        geodesy.geodetic_to_ecef(unit.lat_deg[rows], unit.lon_deg[rows], height),
        local @ geodesy.enu_rotation(unit.lat_deg[rows], unit.lon_deg[rows]),
        float(np.median(stated)) if len(stated) else UNIT_BIAS_M,
        UNIT_BIAS_TIME_S,
    )


def measured_fixes(table: Measurements) -> list[Fixes]:
    """Return the positions of each sensor, one for each time that its error stays: so each is an opinion of its own."""
    out = []
    for number, sensor in enumerate(table.sensors):
        mine = table.take((table.kind == POSITION) & (table.sensor_id == number))
        mine = mine.take(~np.isnan(mine.z).any(axis=1))
        slot = (mine.time_us * (1e-6 / sensor.shared_time_s)).astype(np.int64)
        rows = np.unique(slot, return_index=True)[1]
        if len(rows):
            cov = mine.cov[rows] + mine.site_cov[rows]
            out.append(Fixes(mine.time_us[rows], mine.z[rows], inverse_root(cov)))
    return out


def path_through(knots: Knots, fixes: list[Fixes], terrain: Terrain | None, motion: ConstantVelocity) -> Path:
    """Return a path that only the places and the ground have formed."""
    bare = [replace(knots.within(one), bias_std_m=0.0) for one in fixes]
    origin = np.concatenate([one.place for one in bare]).mean(axis=0)
    found = Adjustment(knots, (origin, np.zeros((knots.n, 3))), [], bare, terrain, motion)
    for robust in (False, True, True):
        found.robust = robust
        found.step()
    return origin, found.band


def first_path(
    knots: Knots, sighters: list[Sighter], units: list[Fixes], terrain: Terrain | None, motion: ConstantVelocity
) -> Path | None:
    """Return the path to begin with: through units that are the target, or the candidate that the sightings like."""
    known = [one for one in units if len(knots.within(one).time_us)]
    if known:
        return path_through(knots, known, terrain, motion)
    paths = [path_through(knots, [one], terrain, motion) for one in sighted_paths(sighters, terrain)]
    if not paths:
        return None
    likes = [Adjustment(knots, path, sighters, [], terrain, motion).log_likelihood() for path in paths]
    return paths[int(np.argmax(likes))]
