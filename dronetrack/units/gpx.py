"""What does a GPX file say? Track points with a time."""

import pathlib

from dronetrack.errors import FormatError
from dronetrack.units.rows import HDOP_TO_STD_M, Rows, or_nan, safe_xml, utc_us


def read_gpx(path: pathlib.Path, content: bytes) -> Rows:
    """Read track points that have a time."""
    import gpxpy
    from gpxpy.gpx import GPXException

    safe_xml(path, content)
    try:
        gpx = gpxpy.parse(content)
    except (GPXException, ValueError, LookupError) as fault:
        raise FormatError(f"{path.name}: not a readable GPX file ({fault}).") from None
    rows = Rows()
    for number, track in enumerate(gpx.tracks):
        name = track.name or (path.stem if len(gpx.tracks) == 1 else f"{path.stem} {number + 1}")
        for segment in track.segments:
            for point in segment.points:
                if point.time is None:
                    rows.count("without_time")
                    continue
                rows.add(
                    name,
                    utc_us(point.time),
                    point.latitude,
                    point.longitude,
                    alt_msl_m=or_nan(point.elevation),
                    h_acc_m=or_nan(point.horizontal_dilution) * HDOP_TO_STD_M,
                    speed_mps=or_nan(point.speed),
                    course_deg=or_nan(point.course),
                )
    if not rows.time_us:
        why = "no point has a time" if rows.stats else "no track points"
        raise FormatError(f"{path.name}: {why}; needed <trkpt> with <time>, to know when the unit was where.")
    return rows
