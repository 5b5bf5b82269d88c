"""Where may who fly, and where may they look? Zones by side of the border, depth behind it, and area."""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.border import Border
from dronetrack.errors import FormatError

if TYPE_CHECKING:
    import shapely

FLY, OBSERVE = "fly", "observe"
ZONE_ACTS = (FLY, OBSERVE)
ON_HOME, ON_HOST, ON_BOTH = "home", "host", "both"
SIDES = (ON_HOME, ON_HOST, ON_BOTH)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Polygons on the ground, straight in longitude and latitude (RFC 7946); the edge belongs to them.

    Parameters
    ----------
    geojson : str
        A geometry, feature or collection of polygons.

    Raises
    ------
    FormatError
        If it is no GeoJSON of polygons, or a corner is no longitude and latitude.

    Examples
    --------
    >>> import numpy as np
    >>> yard = Area('{"type": "Polygon", "coordinates": [[[20, 46], [21, 46], [21, 47], [20, 46]]]}')
    >>> yard.contains(np.array([46.2, 46.9]), np.array([20.5, 20.1])).tolist()
    [True, False]
    """

    geojson: str
    shape: "shapely.Geometry" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import shapely

        try:
            parts = shapely.get_parts(shapely.from_geojson(self.geojson))
        except shapely.errors.GEOSException as fault:
            raise FormatError(f"no GeoJSON ({fault}).") from None
        kinds = sorted({part.geom_type for part in parts})
        if not set(kinds) or not set(kinds) <= {"Polygon", "MultiPolygon"}:
            raise FormatError(f"an area needs polygons; got {', '.join(kinds) or 'nothing'}.")
        shape = shapely.union_all(shapely.make_valid(parts))
        west, south, east, north = shape.bounds
        if not (west >= -180.0 and east <= 180.0 and south >= -90.0 and north <= 90.0):
            raise FormatError("a corner is no longitude and latitude within [-180, 180] and [-90, 90].")
        shapely.prepare(shape)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def read(cls, path: str | pathlib.Path) -> Self:
        """Read a GeoJSON file of polygons.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        Area
            All its polygons.

        Raises
        ------
        FormatError
            If it is not that.
        """
        path = pathlib.Path(path)
        try:
            return cls(path.read_text(encoding="utf-8"))
        except OSError as fault:
            raise FormatError(f"{path}: cannot be read ({fault.strerror}).") from None
        except (UnicodeDecodeError, FormatError) as fault:
            raise FormatError(f"{path.name}: {fault}") from None

    def contains(self, lat_deg: Floats, lon_deg: Floats) -> NDArray[np.bool_]:
        """(n,) bool: whether places are inside; one that is not known is not."""
        import shapely

        return shapely.intersects_xy(self.shape, lon_deg, lat_deg)


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """Where an authority may fly, or may look at the target.

    Parameters
    ----------
    authority : str
        Whose zone it is.
    acts : tuple of str
        ``fly``: its sensors may stand there; ``observe``: the target may be there.
    side : str
        ``home``, ``host`` or ``both``.
    depth_m : float
        How far beyond the border, seen from this authority. [m]
    area : Area or None
        Only there.
    """

    authority: str
    acts: tuple[str, ...]
    side: str = ON_BOTH
    depth_m: float = np.inf
    area: Area | None = None

    def contains(self, border: Border, lat_deg: Floats, lon_deg: Floats, *, beyond: float) -> NDArray[np.bool_]:
        """Tell which places lie in the zone.

        Parameters
        ----------
        border : Border
            The line.
        lat_deg, lon_deg : (n,) float64
            Places. [deg]
        beyond : float
            +1 where the far side is the host's, -1 where it is home's.

        Returns
        -------
        (n,) bool
            Whether each lies in it.
        """
        inside = np.ones(len(lat_deg), dtype=np.bool_)
        if self.side != ON_BOTH or np.isfinite(self.depth_m):
            distance_m = border.signed_distance_m(lat_deg, lon_deg)
            if self.side != ON_BOTH:
                inside &= (distance_m >= 0.0) == (self.side == ON_HOST)
            inside &= beyond * distance_m <= self.depth_m
        if self.area is not None:
            inside &= self.area.contains(lat_deg, lon_deg)
        return inside

    def to_plain(self) -> dict[str, Any]:
        """Return the zone as JSON can hold it."""
        return {
            "authority": self.authority,
            "acts": list(self.acts),
            "side": self.side,
            "depth_m": self.depth_m if np.isfinite(self.depth_m) else None,
            "area": self.area and self.area.geojson,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the zone that `to_plain` wrote."""
        depth_m = np.inf if plain["depth_m"] is None else float(plain["depth_m"])
        return cls(
            plain["authority"], tuple(plain["acts"]), plain["side"], depth_m, plain["area"] and Area(plain["area"])
        )
