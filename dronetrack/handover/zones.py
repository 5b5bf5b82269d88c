"""Where may who fly, and where may they look? Zones by side of the border, depth behind it, and area."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dronetrack.border import Border
from dronetrack.errors import FormatError, InputError
from dronetrack.kernels import border as kernels

FLY, OBSERVE = "fly", "observe"
ZONE_ACTS = (FLY, OBSERVE)
ON_HOME, ON_HOST, ON_BOTH = "home", "host", "both"
SIDES = (ON_HOME, ON_HOST, ON_BOTH)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Polygons on the ground.

    Parameters
    ----------
    polygons_deg : tuple of tuple of (m, 2) float64
        For each polygon its outline and its holes (longitude, latitude), straight in both as in RFC 7946. [deg]
    """

    polygons_deg: tuple[tuple[Floats, ...], ...]

    @classmethod
    def read(cls, path: str | pathlib.Path) -> Self:
        """Read the polygons of a GeoJSON file.

        Parameters
        ----------
        path : str or Path
            GeoJSON with polygons (RFC 7946: longitude and latitude).

        Returns
        -------
        Area
            All of them.

        Raises
        ------
        FormatError
            If it is not that.
        """
        path = pathlib.Path(path)
        try:
            return cls.of(_polygons(json.loads(path.read_text(encoding="utf-8"))))
        except OSError as fault:
            raise FormatError(f"{path}: cannot be read ({fault.strerror}).") from None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as fault:
            raise FormatError(f"{path.name}: no GeoJSON of polygons ({fault}).") from None

    @classmethod
    def of(cls, polygons_deg: Sequence[Sequence[Any]]) -> Self:
        """Make an area of polygons, each a list of rings (longitude, latitude).

        Raises
        ------
        InputError
            If a ring is no ring, or there is none.
        """
        made = tuple(
            tuple(np.array(ring, dtype=np.float64)[:, :2] for ring in polygon) for polygon in polygons_deg if polygon
        )
        rings = [ring for polygon in made for ring in polygon]
        if not rings or any(len(ring) < 3 for ring in rings):
            raise InputError("an area needs polygons of at least three corners.")
        if not (np.abs(np.concatenate(rings)) <= [180.0, 90.0]).all():
            raise InputError("a corner is not a longitude in [-180, 180] and a latitude in [-90, 90].")
        return cls(made)

    def contains(self, lat_deg: Floats, lon_deg: Floats) -> NDArray[np.bool_]:
        """(n,) bool: whether places are inside."""
        inside, odd, one = (np.zeros(len(lat_deg), dtype=np.bool_) for _ in range(3))
        lat, lon = np.radians(lat_deg), np.radians(lon_deg)
        for polygon in self.polygons_deg:
            odd[:] = False
            for ring in polygon:
                kernels.inside_rows(lon, lat, np.radians(ring), one)
                odd ^= one
            inside |= odd
        return inside


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
            "area": area_to_plain(self.area),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the zone that `to_plain` wrote."""
        depth_m = np.inf if plain["depth_m"] is None else float(plain["depth_m"])
        return cls(plain["authority"], tuple(plain["acts"]), plain["side"], depth_m, area_from_plain(plain["area"]))


def area_to_plain(area: Area | None) -> list | None:
    """Return an area as JSON can hold it."""
    return None if area is None else [[ring.tolist() for ring in polygon] for polygon in area.polygons_deg]


def area_from_plain(plain: Sequence | None) -> Area | None:
    """Make the area that `area_to_plain` wrote."""
    return None if plain is None else Area.of(plain)


def _polygons(geometry: Mapping[str, Any]) -> list:
    kind = geometry["type"]
    if kind == "FeatureCollection":
        return [polygon for one in geometry["features"] for polygon in _polygons(one)]
    if kind == "Feature":
        return _polygons(geometry["geometry"])
    if kind == "Polygon":
        return [geometry["coordinates"]]
    if kind == "MultiPolygon":
        return list(geometry["coordinates"])
    raise ValueError(f"a {kind} is no polygon")
