"""Who is heard on a link, how well, and where? What a status line tells once a second, and the summary at the end."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dronetrack.mavlink import Frames
from dronetrack.mavlink.clock import EARLIEST_UTC_US
from dronetrack.mavlink.gps_time import iso

# Messages that say where their sender is, and their fields. [1e-7 deg]
PLACES = {
    "GLOBAL_POSITION_INT": ("lat", "lon"),
    "GPS_RAW_INT": ("lat", "lon"),
    "HIGH_LATENCY2": ("latitude", "longitude"),
}
SIGNED = ("signed_frames", "unsigned_frames", "forged_frames", "replayed_frames")


@dataclass(slots=True)
class Sender:
    """What one component of one system has said.

    Parameters
    ----------
    first_us, last_us : int
        When it was first and last heard. [us, receiver's clock]
    messages : dict of str to int
        How many, by name.
    position : tuple of (time_us, lat_deg, lon_deg), optional
        Its newest.
    clock_offset_s : float, optional
        The receiver's clock less the UTC of its newest SYSTEM_TIME; the delay of the link is in it. [s]
    """

    first_us: int
    last_us: int
    messages: dict[str, int] = field(default_factory=dict)
    position: tuple[int, float, float] | None = None
    clock_offset_s: float | None = None


Hearing = dict[str, Sender]


def hear(known: Hearing, frames: Frames) -> Hearing:
    """Add what was heard.

    Parameters
    ----------
    known : dict of str to Sender
        What is known, by ``"system/component"``.
    frames : Frames
        What came since.

    Returns
    -------
    dict of str to Sender
        What is known now.
    """
    out = dict(known)
    for one in np.unique(frames.source).tolist():
        label = f"{one >> 8}/{one & 0xFF}"
        out[label] = _told(out.get(label), frames.take(frames.source == one))
    return out


def _told(before: Sender | None, frames: Frames) -> Sender:
    """Return what one sender is known for, with its frames added."""
    stamps, offset_s = frames.receive_us, _offset_s(frames)
    messages = dict(before.messages) if before else {}
    for identity, count in zip(*np.unique(frames.message, return_counts=True), strict=True):
        name = frames.dialect.message_name(int(identity))
        messages[name] = messages.get(name, 0) + int(count)
    return Sender(
        first_us=before.first_us if before else int(stamps[0]),
        last_us=int(stamps[-1]),
        messages=messages,
        position=_position(frames) or (before.position if before else None),
        clock_offset_s=before.clock_offset_s if before and offset_s is None else offset_s,
    )


def _position(frames: Frames) -> tuple[int, float, float] | None:
    """Return the newest place that a sender has said; (0, 0) means that it does not know."""
    found = []
    for name in PLACES.keys() & set(frames.dialect.names):
        values, rows = frames.columns(name)
        lat, lon = (values[one].astype(np.int64) for one in PLACES[name])
        known = np.flatnonzero((lat != 0) | (lon != 0))[-1:]
        found += zip(frames.receive_us[rows[known]].tolist(), 1e-7 * lat[known], 1e-7 * lon[known], strict=True)
    return max(((time_us, float(lat), float(lon)) for time_us, lat, lon in found), default=None)


def _offset_s(frames: Frames) -> float | None:
    """Return the receiver's clock less the newest UTC of a sender, None where it told none."""
    if "SYSTEM_TIME" not in frames.dialect:
        return None
    values, rows = frames.columns("SYSTEM_TIME")
    utc_us = values["time_unix_usec"].astype(np.int64)
    known = np.flatnonzero(utc_us > EARLIEST_UTC_US)
    return 1e-6 * float(frames.receive_us[rows[known[-1]]] - utc_us[known[-1]]) if len(known) else None


def status(hearing: Hearing, stats: dict[str, Any], before: dict[str, Any], seconds: float, now_us: int) -> dict:
    """Tell how a link is doing.

    Parameters
    ----------
    hearing : dict of str to Sender
        What is known by now.
    stats, before : dict
        `Link.stats` now, and when this was told last.
    seconds : float
        Between the two. [s]
    now_us : int
        The receiver's clock. [us, UTC]

    Returns
    -------
    dict
        ``time``, ``messages_per_s``, ``connections``, ``bad_frames``, ``dropped`` (frames and datagrams that this
        computer was too slow for), ``signatures`` (counts, empty where they are not looked at), and ``senders``: by
        ``"system/component"`` its ``lost_frames``, ``silent_s``, ``position_age_s``, ``clock_offset_s``.
    """
    return {
        "time": iso(now_us),
        "messages_per_s": round((stats["frames"] - before.get("frames", 0)) / seconds, 1),
        "connections": stats["connections"],
        "bad_frames": stats["bad_frames"],
        "dropped": stats["dropped_frames"] + stats["dropped_datagrams"],
        "signatures": {name: stats[name] for name in SIGNED if name in stats},
        "senders": {
            label: {
                "lost_frames": stats["lost_by_source"].get(label, 0),
                "silent_s": _age_s(now_us, one.last_us),
                "position_age_s": _age_s(now_us, one.position[0]) if one.position else None,
                "clock_offset_s": one.clock_offset_s,
            }
            for label, one in sorted(hearing.items(), key=_in_order)
        },
    }


def status_line(told: dict) -> str:
    """Say a status in one line of text.

    Parameters
    ----------
    told : dict
        What `status` gave.

    Returns
    -------
    str
        Without a line end.

    Examples
    --------
    >>> one = {"lost_frames": 2, "silent_s": 0.1, "position_age_s": 0.3, "clock_offset_s": -0.12}
    >>> told = {"time": "2026-11-24T14:46:09.25Z", "messages_per_s": 200.0, "connections": 1, "bad_frames": 0}
    >>> status_line({**told, "dropped": 0, "signatures": {}, "senders": {"7/1": one}})
    '14:46:09 UTC  200 messages/s  7/1: lost 2, position 0.3 s old, clock -0.12 s'
    """
    parts = [f"{told['time'][11:19]} UTC  {told['messages_per_s']:.0f} messages/s"]
    if told["bad_frames"]:
        parts.append(f"bad frames {told['bad_frames']}")
    if told["dropped"]:
        parts.append(f"DROPPED HERE {told['dropped']}")
    if told["signatures"]:
        counts = (f"{name.removesuffix('_frames')} {count}" for name, count in told["signatures"].items())
        parts.append(f"signatures: {', '.join(counts)}")
    parts += [f"{label}: {_sender_text(one)}" for label, one in told["senders"].items()]
    if not told["senders"]:
        parts.append("nobody is heard" if told["connections"] else "not connected yet")
    return "  ".join(parts)


def _sender_text(one: dict) -> str:
    words = [f"lost {one['lost_frames']}"]
    if one["silent_s"] > 1.5:
        words.append(f"SILENT for {one['silent_s']:.0f} s")
    if one["position_age_s"] is not None:
        words.append(f"position {one['position_age_s']:.1f} s old")
    if one["clock_offset_s"] is not None:
        words.append(f"clock {one['clock_offset_s']:+.2f} s")
    return ", ".join(words)


def summary(hearing: Hearing, stats: dict[str, Any], **about: Any) -> dict:  # noqa: ANN401 - of any kind
    """Tell what was heard from the beginning to the end.

    Parameters
    ----------
    hearing : dict of str to Sender
        All of it.
    stats : dict
        `Link.stats` at the end.
    **about
        What else to put first: the address, for how long.

    Returns
    -------
    dict
        As `read_log_info` lists a log, and the counts of the link.
    """
    vehicles = [
        {
            "system_id": int(label.split("/")[0]),
            "component_id": int(label.split("/")[1]),
            "lost_frames": stats["lost_by_source"].get(label, 0),
            "start": iso(one.first_us),
            "end": iso(one.last_us),
            "position": dict(zip(("lat_deg", "lon_deg"), one.position[1:], strict=True)) if one.position else None,
            "clock_offset_s": one.clock_offset_s,
            "messages": dict(sorted(one.messages.items())),
        }
        for label, one in sorted(hearing.items(), key=_in_order)
    ]
    return {**about, **stats, "vehicles": vehicles}


def _in_order(item: tuple[str, Sender]) -> tuple[int, ...]:
    return tuple(int(part) for part in item[0].split("/"))


def _age_s(now_us: int, then_us: int) -> float:
    return round(max(now_us - then_us, 0) * 1e-6, 3)
