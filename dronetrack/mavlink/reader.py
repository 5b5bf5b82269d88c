"""What did this vehicle report? The frames of a log become one `Telemetry`, in physical units and UTC."""

import pathlib

import numpy as np

from dronetrack.errors import FormatError, InputError
from dronetrack.mavlink import payload, surroundings
from dronetrack.mavlink.clock import ClockSource
from dronetrack.mavlink.content import read_content
from dronetrack.mavlink.frames import Frames, read_frames
from dronetrack.mavlink.onboard import onboard_info, onboard_telemetry
from dronetrack.mavlink.position import SOURCES, attitude, position
from dronetrack.mavlink.vehicle import Vehicle
from dronetrack.telemetry import Telemetry


def read_telemetry(
    source: str | pathlib.Path | bytes | Frames,
    system_id: int | None = None,
    *,
    name: str = "",
    clock: ClockSource = "auto",
) -> Telemetry:
    """Read one vehicle's telemetry from a log of any kind; what it is, its first bytes say.

    Parameters
    ----------
    source : str, Path, bytes or Frames
        MAVLink (`.tlog`, or a stream without stamps), ArduPilot's own log (`.bin`, `.log`), PX4's (`.ulg`) or DJI's
        subtitles (`.srt`), plain or packed (`.gz`, `.xz`, `.zst`, `.bz2`), its content, or frames that a `Decoder` or
        a live link gave.
    system_id : int, optional
        Which vehicle; needed only where the log holds positions of several.
    name : str, optional
        What to call it.
    clock : {"auto", "system_time", "receive"}, optional
        Whose UTC to follow; see `dronetrack.mavlink.clock`.

    Returns
    -------
    Telemetry
        Rows without a fix are dropped and counted, values that mean 'unknown' are NaN, heights are above the
        ellipsoid, times are UTC.

    Raises
    ------
    FormatError
        If the file is missing, not a log, or the vehicle sends no position in it.
    InputError
        If the log holds several vehicles and none was chosen, or the chosen one is not there.

    Examples
    --------
    >>> drone = read_telemetry("hu_drone.tlog")  # doctest: +SKIP
    """
    if isinstance(source, Frames):
        return _telemetry(source, system_id, name, clock, "frames")
    content = read_content(source)
    if content.kind != "mavlink":
        return onboard_telemetry(content, system_id, name=name, clock=clock)
    return _telemetry(read_frames(content), system_id, name, clock, content.label)


def read_log_info(source: str | pathlib.Path | bytes) -> dict:
    """List what a log holds.

    Parameters
    ----------
    source : str, Path or bytes
        As for `read_telemetry`.

    Returns
    -------
    dict
        ``frames``, ``bad_frames``, ``lost_frames``, and ``vehicles``: for every source its ``system_id``,
        ``component_id``, ``lost_frames``, ``start``, ``end`` (receive stamps, ISO 8601, UTC) and ``messages``
        (count by name).

    Raises
    ------
    FormatError
        If the file is missing or holds no frame.
    """
    content = read_content(source)
    if content.kind != "mavlink":
        return onboard_info(content)
    frames = read_frames(content)
    vehicles = []
    for sender in np.unique(frames.source):
        mine = frames.source == sender
        ids, counts = np.unique(frames.message[mine], return_counts=True)
        stamps = frames.receive_us[mine]
        names = {frames.dialect.message_name(int(one)): int(count) for one, count in zip(ids, counts, strict=True)}
        vehicles.append(
            {
                "system_id": int(sender) >> 8,
                "component_id": int(sender) & 0xFF,
                "lost_frames": frames.stats["lost_by_source"][f"{sender >> 8}/{sender & 0xFF}"],
                "start": _iso(int(stamps.min())),
                "end": _iso(int(stamps.max())),
                "messages": dict(sorted(names.items())),
            }
        )
    return {**frames.stats, "vehicles": vehicles}


def _iso(time_us: int) -> str | None:
    """ISO 8601; None for the stamp of a stream that has none, or of no calendar."""
    if not time_us:
        return None
    try:
        return f"{np.datetime64(time_us, 'us')}Z"
    except ValueError:
        return None


def _choose(frames: Frames, system_id: int | None, label: str) -> int:
    """Return the vehicle to read: the one that was named, or the only one that says where it is."""
    if system_id is not None:
        known = _senders(frames, list(SOURCES))
        if system_id not in known:
            raise InputError(f"{label}: no position from system {system_id}; the log has positions of {known}.")
        return system_id
    # What a vehicle says itself comes before what a receiver says, and what it was told is not its own.
    found = _senders(frames, ["GLOBAL_POSITION_INT"]) or _senders(
        frames, [one for one in SOURCES if one != "GPS_INPUT"]
    )
    if not found:
        raise FormatError(f"{label}: no vehicle in this log says where it is (GLOBAL_POSITION_INT and others).")
    if len(found) > 1:
        raise InputError(f"{label}: positions of several vehicles, {found}; choose one with system_id=.")
    return found[0]


def _senders(frames: Frames, names: list[str]) -> list[int]:
    ids = [frames.dialect.message_id(one) for one in names if one in frames.dialect]
    return np.unique(frames.system_id[np.isin(frames.message, ids)]).tolist()


def _telemetry(frames: Frames, system_id: int | None, name: str, clock: ClockSource, label: str) -> Telemetry:
    system = _choose(frames, system_id, label)
    vehicle = Vehicle(frames, system, clock)
    places = position(vehicle)
    if not len(places):
        raise FormatError(f"{label}: system {system} never had a position fix; nothing to track from.")
    along, down = payload.ranges(vehicle)
    tables = {
        "position": places,
        "attitude": attitude(vehicle),
        "gimbal": payload.gimbal(vehicle),
        "camera": payload.camera(vehicle),
        "image_target": payload.image_target(vehicle),
        "geo_target": payload.geo_target(vehicle),
        "range": along,
        "height": down,
        "zoom": payload.zoom(vehicle),
        "image_centre": payload.image_centre(vehicle),
        "landing_target": payload.landing_target(vehicle),
        "follow_target": surroundings.follow_target(vehicle),
        "home": surroundings.home(vehicle),
        "ground": surroundings.ground(vehicle),
        "health": surroundings.health(vehicle),
        "traffic": surroundings.traffic(vehicle),
    }
    fit = vehicle.clock
    stats = {
        **frames.stats,
        **vehicle.stats,
        **{f"{key}_rows": len(table) for key, table in tables.items() if len(table) or key in _ALWAYS_COUNTED},
        "clock": fit.source,
        "clock_std_s": fit.std_s,
        "clock_boots": len(fit.offset_us),
        "clock_drift_ppm": [round(float(one) * 1e6, 3) for one in fit.drift],
        "clock_residual_s": [round(float(one), 6) for one in fit.residual_s],
        "receive_minus_system_time_s": fit.receive_minus_system_time_s,
    }
    drone = Telemetry(system, name, vehicle.autopilot, **tables, clock=fit, stats=stats)
    if len(drone.health):
        # Told, not acted upon: what a filter makes of such rows, its own gate decides.
        drone.stats["position_rows_while_unhealthy"] = int(np.sum(~drone.healthy_at(places.time_us)))
    return drone


_ALWAYS_COUNTED = ("position", "attitude", "gimbal", "camera", "image_target", "geo_target", "range")
