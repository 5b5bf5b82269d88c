"""What does Cursor-on-Target say? Events with a point, one file or a server's stream."""

import pathlib
from xml.etree.ElementTree import Element

import numpy as np

from dronetrack.errors import FormatError
from dronetrack.units.rows import Rows, iso_us, number, safe_xml

COT_UNKNOWN = 9_999_999.0


def read_cot(path: pathlib.Path, content: bytes) -> Rows:
    """Read events that have a point and a time."""
    # A server's stream is events one after another with no root; a declaration may stand at the very start only.
    body = content.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if body.startswith("<?xml"):
        body = body[body.find("?>") + 2 :]
    if "<!DOCTYPE" in body or "<!ENTITY" in body:
        safe_xml(path, content)
    root = safe_xml(path, f"<stream>{body}</stream>".encode())
    rows = Rows()
    for event in root.iter("event"):
        point = event.find("point")
        time_us = iso_us(event.get("time", ""))
        if point is None or time_us is None:
            rows.count("without_point_or_time")
            continue
        contact, motion = event.find("detail/contact"), event.find("detail/track")
        callsign = contact.get("callsign") if contact is not None else None
        hae, ce = _cot_number(point, "hae"), _cot_number(point, "ce")
        rows.add(
            callsign or event.get("uid") or path.stem,
            time_us,
            number(point.get("lat")),
            number(point.get("lon")),
            alt_hae_m=hae,
            h_acc_m=ce,  # the schema: where it is an error, `ce` is the one-sigma point
            speed_mps=number(motion.get("speed")) if motion is not None else np.nan,
            course_deg=number(motion.get("course")) if motion is not None else np.nan,
        )
    if not rows.time_us:
        raise FormatError(f"{path.name}: no Cursor-on-Target <event> with <point> and time in it.")
    return rows


def _cot_number(point: Element, name: str) -> float:
    value = number(point.get(name))
    return np.nan if value >= COT_UNKNOWN else value
