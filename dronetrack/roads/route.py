"""Where does one road lead, and where on it is the target? Arc length, and how far right of the road."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.kernels import roads as kernels
from dronetrack.roads.curves import Tree, lay, nearest_piece, tree_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One road from its start to its end, with arc length.

    Between vertices the road is the geodesic of WGS 84, raised to heights that change evenly along it. Arc length is
    that of the road in space: on the ellipsoid itself it is the geodesic length. The curve is kept as cubic pieces in
    ECEF, so that points, directions and velocities agree with each other exactly. Make one with `from_lat_lon`.

    Parameters
    ----------
    curve_ecef_m : (m, 4, 3) float64
        Coefficients of the pieces: ``c0 + u (c1 + u (c2 + u c3))`` at `u` metres along the piece.
    piece_length_m : (m,) float64
        Their lengths. [m]

    Raises
    ------
    InputError
        If there is no piece, or the shapes differ.

    Examples
    --------
    >>> road = Route.from_lat_lon([46.0, 46.0], [20.0, 20.1], alt_hae_m=120.0)
    >>> round(road.length_m)
    7746
    >>> s_m, lateral_m = road.locate(road.to_ecef([1000.0], lateral_m=[2.5]))
    >>> round(float(s_m[0]), 6), round(float(lateral_m[0]), 6)
    (1000.0, 2.5)
    """

    curve_ecef_m: Floats
    piece_length_m: Floats
    piece_start_m: Floats = field(init=False, repr=False)
    _tree: Tree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "curve_ecef_m", column("curve_ecef_m", self.curve_ecef_m, np.float64, (None, 4, 3), nan=False))
        size = (len(self.curve_ecef_m),)
        put(self, "piece_length_m", column("piece_length_m", self.piece_length_m, np.float64, size, nan=False))
        if not size[0]:
            raise InputError("a road needs two different vertices at least; got none or one.")
        start = np.concatenate([[0.0], np.cumsum(self.piece_length_m)])
        put(self, "piece_start_m", column("piece_start_m", start, np.float64, (None,)))
        put(self, "_tree", tree_of(self.curve_ecef_m, self.piece_length_m, np.arange(size[0])))

    @classmethod
    def from_lat_lon(
        cls, lat_deg: ArrayLike, lon_deg: ArrayLike, *, alt_hae_m: ArrayLike = 0.0, corner_radius_m: float = 0.0
    ) -> Self:
        """Lay a road through vertices.

        Parameters
        ----------
        lat_deg, lon_deg : (k,) float64
            Vertices in driving order. [deg]
        alt_hae_m : (k,) float64 or float, optional
            Heights above the ellipsoid; from a map without heights take ``terrain.ground_hae_m(lat_deg, lon_deg)``. [m]
        corner_radius_m : float, optional
            With 0 the road has the corners of the map, and headings jump there. With a radius each corner becomes a
            circular arc that touches both legs; it is tighter where a leg is too short for it (an arc takes at most
            half of a leg). The road then passes a corner of `turn` at ``radius * (1 / cos(turn / 2) - 1)``: 2 m for a
            right angle and 5 m radius. [m]

        Returns
        -------
        Route
            The road.

        Raises
        ------
        InputError
            If fewer than two vertices differ, a value is missing, or the radius is negative.
        """
        lat = column("lat_deg", lat_deg, np.float64, (None,), low=-90.0, high=90.0, nan=False)
        lon = column("lon_deg", lon_deg, np.float64, (len(lat),), low=-360.0, high=360.0, nan=False)
        alt = column("alt_hae_m", spread(alt_hae_m, len(lat)), np.float64, (len(lat),), nan=False)
        if not 0.0 <= corner_radius_m < np.inf:
            raise InputError(f"corner_radius_m must be 0 or a positive radius; got {corner_radius_m}.")
        return cls(*lay(lat, lon, alt, float(corner_radius_m)))

    @property
    def length_m(self) -> float:
        """Length of the whole road. [m]"""
        return float(self.piece_start_m[-1])

    def to_ecef(self, s_m: ArrayLike, lateral_m: ArrayLike = 0.0) -> Floats:
        """Return points of the road, or beside it.

        Parameters
        ----------
        s_m : (n,) float64
            Arc length from the start; beyond an end the road goes straight on. [m]
        lateral_m : (n,) float64 or float, optional
            How far to the right, horizontally. [m]

        Returns
        -------
        (n, 3) float64
            ECEF points. [m]
        """
        return self._along(s_m, lateral_m)[0]

    def axes(self, s_m: ArrayLike) -> Floats:
        """Return the road's own axes: ``axes @ ecef_vector`` gives along, right, above.

        Parameters
        ----------
        s_m : (n,) float64
            Arc length. [m]

        Returns
        -------
        (n, 3, 3) float64
            Rows along the road (climb included), right (horizontal), and above, across both; in ECEF.
        """
        _, along, right, _ = self._along(s_m, 0.0)
        return np.stack([along, right, np.cross(right, along)], axis=1)

    def state(
        self,
        s_m: ArrayLike,
        speed_mps: ArrayLike,
        *,
        lateral_m: ArrayLike = 0.0,
        lateral_rate_mps: ArrayLike = 0.0,
    ) -> Floats:
        """Return position and velocity of something that drives along the road.

        Parameters
        ----------
        s_m : (n,) float64
            Arc length. [m]
        speed_mps : (n,) float64 or float
            Rate of the arc length, negative for backwards. Right of the road's line in a right bend the way is
            shorter, and so is the velocity. [m/s]
        lateral_m, lateral_rate_mps : (n,) float64 or float, optional
            Offset to the right, and its rate. [m, m/s]

        Returns
        -------
        (n, 6) float64
            ECEF position [m] and velocity [m/s].
        """
        point, _, right, rate = self._along(s_m, lateral_m)
        speed, across = (spread(values, len(point))[:, None] for values in (speed_mps, lateral_rate_mps))
        return np.hstack([point, speed * rate + across * right])

    def locate(self, position_ecef_m: ArrayLike) -> tuple[Floats, Floats]:
        """Return the nearest place of the road.

        Parameters
        ----------
        position_ecef_m : (n, 3) float64
            Points. [m]

        Returns
        -------
        s_m : (n,) float64
            Arc length of the nearest point of the road, in [0, length_m]; NaN for NaN. [m]
        lateral_m : (n,) float64
            How far to the right of it the point is, horizontally. [m]

        Raises
        ------
        InputError
            If the shape is not (n, 3).
        """
        piece, along, right = nearest_piece(position_ecef_m, self.curve_ecef_m, self.piece_length_m, self._tree)
        return self.piece_start_m[piece] + along, right

    def _along(self, s_m: ArrayLike, lateral_m: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
        """Point, direction of the road, right of it, and how the point moves per metre of arc length; (n, 3) each."""
        s = column("s_m", s_m, np.float64, (None,))
        lateral = column("lateral_m", spread(lateral_m, len(s)), np.float64, (len(s),))
        point, along, right, rate = (np.empty((len(s), 3)) for _ in range(4))
        kernels.along_rows(
            s, lateral, self.curve_ecef_m, self.piece_length_m, self.piece_start_m, point, along, right, rate
        )
        return point, along, right, rate


def spread(values: ArrayLike, n: int) -> Floats:
    """Spread one value over n rows; leave n values as they are.

    Parameters
    ----------
    values : (n,) float64 or float
        What came.
    n : int
        Rows.

    Returns
    -------
    ndarray
        A value for each row, or the values that came.
    """
    rows = np.asarray(values, dtype=np.float64)
    return np.full(n, float(rows)) if rows.ndim == 0 else rows
