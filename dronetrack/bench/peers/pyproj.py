"""pyproj: one `Transformer`, made once, on whole columns."""

from collections.abc import Callable

import numpy as np
import pyproj
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LABEL = "pyproj"


def _transform(
    transformer: pyproj.Transformer, columns: list[Floats], direction: str = "FORWARD"
) -> Callable[[], Floats]:
    return lambda: np.stack(transformer.transform(*columns, direction=direction), axis=1)


def _local(lat_deg: float, lon_deg: float, alt_m: float) -> pyproj.Transformer:
    return pyproj.Transformer.from_pipeline(
        f"+proj=topocentric +ellps=WGS84 +lon_0={lon_deg} +lat_0={lat_deg} +h_0={alt_m}"
    )


def geodetic_to_ecef(lat_deg: Floats, lon_deg: Floats, alt_m: Floats) -> Callable[[], Floats]:
    """Convert degrees and metres to ECEF."""
    transformer = pyproj.Transformer.from_crs(4979, 4978, always_xy=True)
    return _transform(transformer, [lon_deg, lat_deg, alt_m])


def ecef_to_geodetic(ecef_m: Floats) -> Callable[[], Floats]:
    """Convert ECEF to degrees and metres."""
    transformer = pyproj.Transformer.from_crs(4978, 4979)
    return _transform(transformer, [np.ascontiguousarray(one) for one in ecef_m.T])


def ecef_to_enu(ecef_m: Floats, lat_deg: float, lon_deg: float, alt_m: float) -> Callable[[], Floats]:
    """Convert ECEF to east, north and up of one origin, by PROJ's `topocentric`."""
    return _transform(_local(lat_deg, lon_deg, alt_m), [np.ascontiguousarray(one) for one in ecef_m.T])


def enu_to_ecef(enu_m: Floats, lat_deg: float, lon_deg: float, alt_m: float) -> Callable[[], Floats]:
    """Convert east, north and up of one origin to ECEF, by its inverse."""
    return _transform(_local(lat_deg, lon_deg, alt_m), [np.ascontiguousarray(one) for one in enu_m.T], "INVERSE")
