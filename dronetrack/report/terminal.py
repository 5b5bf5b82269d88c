"""How does one tell it on a terminal? The timeline of a mission in words."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dronetrack.mission import Fusion

_TEXT = {
    "track_started": "track {track_id} started",
    "sighting_started": "{sensor} sees the target",
    "sighting_ended": "{sensor} no longer sees it ({rows} sightings)",
    "coasting": "nobody sees it: coasting for {duration_s:.1f} s",
    "reacquired": "seen again, same track",
    "sightings_refused": "{sensor} looks elsewhere for {duration_s:.1f} s: {rows} sightings refused",
    "track_moved": "the track moved to where the sightings have been for long",
    "crossing": "border crossed {leaving} -> {entering}{where}  (+-{two_std_s:.1f} s, probability {probability:.3f})",
    "track_ended": "track {track_id} ended",
    "handover_home": "{authority} holds the target in its own country  ({cause}, {article})",
    "handover_approaching": "target approaches the border",
    "handover_joint": "{authority} goes on across the border until {until}  (Article {article})",
    "handover_offered": "{authority} offers the target to the other side  (Article {article})",
    "handover_accepted": "{authority} accepts the target  (Article {article})",
    "handover_host": "{authority} alone has the target  ({cause}, Article {article})",
    "handover_ceased": "{authority} ends the surveillance  ({cause}, Article {article})",
    "handover_expired": "{authority}: permission abroad has expired  ({cause}, Article {article})",
    "handover_refused": "surveillance may not go on across the border  ({cause}, Article {article})",
    "handover_lost": "the target is lost",
    "contribution_refused": "{sensor}: {rows} rows refused  (Article {article}: {cause})",
    "act_refused": "{authority} may not {cause}  (Article {article}: {reason})",
    "notice_owed": "{authority} owes a notice by {due}  (Article {article})",
    "request_owed": "{authority} owes a request by {due}  (Article {article})",
    "report_owed": "{authority} owes a report by {due}  (Article {article})",
    "notice_done": "{authority} has given notice  (Article {article})",
    "request_done": "{authority} has asked for authorisation  (Article {article})",
    "report_done": "{authority} has reported  (Article {article})",
    "notice_missed": "{authority} has not given notice in time  (Article {article})",
    "request_missed": "{authority} has not asked for authorisation in time  (Article {article})",
    "report_missed": "{authority} has not reported in time  (Article {article})",
    "act_request": "{authority} asks for authorisation  (Article {article})",
    "act_authorise": "{authority} authorises the surveillance  (Article {article})",
    "act_notice": "{authority} gives notice  (Article {article})",
    "act_refuse": "{authority} refuses the request  (Article {article})",
    "act_revoke": "{authority} revokes its authorisation  (Article {article})",
    "deadline_changed": "{authority} authorises: permission abroad until {until}  (Article {article})",
}
_COLOURS = {
    "crossing": "bold magenta",
    "coasting": "yellow",
    "sightings_refused": "red",
    "reacquired": "green",
    "track_started": "bold",
    "track_ended": "bold",
}


def event_text(event: dict) -> str:
    """Say one event of a timeline in words.

    Parameters
    ----------
    event : dict
        A row of `Fusion.events`.

    Returns
    -------
    str
        Without its time.
    """
    known = dict(event)
    known["two_std_s"] = 1.96 * event.get("time_std_s", 0.0)
    known["where"] = f" at {event['place']}" if event.get("place") else ""
    known["cause"] = event.get("cause", "").replace("_", " ")
    known |= {name: event[name][:16].replace("T", " ") for name in ("until", "due") if name in event}
    kind: str = event["kind"]
    return _TEXT.get(kind, kind.replace("_", " ")).format(**known)


def timeline_lines(fusion: "Fusion") -> list[tuple[str, str, str]]:
    """Return the timeline as (time of day, words, style) for a terminal.

    Parameters
    ----------
    fusion : Fusion
        A fused mission.

    Returns
    -------
    list of (str, str, str)
        One for each event; the style is a `rich` style, empty for plain.
    """
    return [(event["time"][11:21], event_text(event), _COLOURS.get(event["kind"], "")) for event in fusion.events]


def summary_lines(fusion: "Fusion") -> list[str]:
    """Sum a fused mission up in a few lines: how long, how sure, what was refused.

    Parameters
    ----------
    fusion : Fusion
        A fused mission.

    Returns
    -------
    list of str
        Plain text.
    """
    track = fusion.track
    span_s = (track.time_us[-1] - track.time_us[0]) * 1e-6
    longest_s = float(np.max(np.diff(track.time_us), initial=0)) * 1e-6
    sensors = fusion.stats["filter"]["sensors"]
    accepted = sum(one["accepted"] for one in sensors.values())
    refused = sum(one["gated"] + one["second_hypothesis"] for one in sensors.values())
    kilometres = float(np.sum(np.linalg.norm(np.diff(track.state[:, :3], axis=0), axis=1))) * 1e-3
    wide, narrow = np.median(track.ellipse_m, axis=0)[:2]
    lines = [
        f"one track, {len(track)} rows over {span_s:.0f} s and {kilometres:.1f} km, longest step {longest_s:.2f} s",
        f"{accepted} measurements fused, {refused} refused; 95 % ellipse, median {wide:.1f} m x {narrow:.1f} m",
    ]
    for name, one in fusion.stats["sensors"].items():
        if "latency_s" in one:
            lines.append(
                f"{name}: {one['sightings']} sightings, {one['latency_s']:.2f} s from image to message "
                f"({one['latency_from']}), gimbal frame {one['gimbal_frame']}"
            )
    return lines + [f"warning: {text}" for text in fusion.stats.get("warnings", [])]
