"""shapely: its array functions, on prepared geometries where it has them."""

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LABEL = "shapely"


def locate(line: Floats, points: Floats) -> Callable[[], Floats]:
    """Find points along a line, both in a plane, with `line_locate_point`."""
    way, places = shapely.LineString(line), shapely.points(points)
    return lambda: shapely.line_locate_point(way, places)
