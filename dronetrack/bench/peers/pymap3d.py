"""pymap3d: its array functions on numpy columns."""

from collections.abc import Callable

import numpy as np
import pymap3d
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LABEL = "pymap3d"


def geodetic_to_ecef(lat_deg: Floats, lon_deg: Floats, alt_m: Floats) -> Callable[[], Floats]:
    """Convert degrees and metres to ECEF."""
    return lambda: np.stack(pymap3d.geodetic2ecef(lat_deg, lon_deg, alt_m), axis=1)


def ecef_to_geodetic(ecef_m: Floats) -> Callable[[], Floats]:
    """Convert ECEF to degrees and metres."""
    return lambda: np.stack(pymap3d.ecef2geodetic(*ecef_m.T), axis=1)


def ecef_to_enu(ecef_m: Floats, lat_deg: float, lon_deg: float, alt_m: float) -> Callable[[], Floats]:
    """Convert ECEF to east, north and up of one origin."""
    return lambda: np.stack(pymap3d.ecef2enu(*ecef_m.T, lat_deg, lon_deg, alt_m), axis=1)


def enu_to_ecef(enu_m: Floats, lat_deg: float, lon_deg: float, alt_m: float) -> Callable[[], Floats]:
    """Convert east, north and up of one origin to ECEF."""
    return lambda: np.stack(pymap3d.enu2ecef(*enu_m.T, lat_deg, lon_deg, alt_m), axis=1)
