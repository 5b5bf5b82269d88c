"""Which rows may enter the track? Each by its authority's standing at its time, and by the place it was made from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.border import Border
from dronetrack.handover.custody import Verdict
from dronetrack.handover.mandate import Authorisation, Mandate
from dronetrack.handover.zones import FLY, OBSERVE, ON_HOME, ON_HOST, ZONE_ACTS, Zone
from dronetrack.measurements import HEIGHT, POSITION, TICK, Measurements, Sensor

NEVER = int(np.iinfo(np.int64).min)
NOT_PART = Verdict(False, "authority", "", "it takes no part in this operation")

Floats = NDArray[np.float64]
# Authority and times -> index of the verdict of each row, and the verdicts.
Standing = Callable[[str, NDArray[np.int64]], tuple[NDArray[np.intp], list[Verdict]]]


@dataclass(slots=True)
class Refusal:
    """Rows of one sensor that one rule refused: how many, the first and the last. [us, UTC]"""

    sensor: str
    authority: str
    verdict: Verdict
    rows: int
    first_us: int
    last_us: int


class Permits:
    """Judges rows, and counts what it refuses.

    Parameters
    ----------
    mandate : Mandate
        Zones and private places.
    border : Border
        The line.

    Notes
    -----
    A sensor's place is the row's site. A position without one (that a drone computed itself, a contact) is judged by
    the place that it tells; a line of sight from nowhere is in no zone. Where the target is, the track says; before
    there is one, the row's own place stands in.
    """

    def __init__(self, mandate: Mandate, border: Border) -> None:
        self.mandate, self.border = mandate, border
        self.refusals: dict[tuple[str, str, str], Refusal] = {}
        rules = mandate.rules
        private, place = rules.first(["private_places"]), rules["own_territory"]
        self._private = Verdict(
            False,
            "private_places",
            private.article if private else "",
            "the sensor stood in a place that is not open to the public",
        )
        self._out = {
            FLY: Verdict(False, "zone", place.article, "the sensor stood outside its zones"),
            OBSERVE: Verdict(False, "zone", place.article, "the target was outside the zones in which it may look"),
        }
        terms = rules.first(["conditions", "authorised"])
        self._conditions = Verdict(
            False, "conditions", terms.article if terms else "", "the target was beyond what the authorisation covers"
        )
        self._moment_us = NEVER  # of the last row that was let in
        self.latest: list[tuple[str, str, Verdict, int]] = []
        self._sensors: tuple[Sensor, ...] = ()
        self._groups: dict[str, NDArray[np.bool_]] = {}

    def judge(
        self,
        measurements: Measurements,
        standing: Standing,
        target_deg: tuple[float, float] | None,
        given: Authorisation | None,
    ) -> NDArray[np.bool_]:
        """Tell which rows may enter.

        Parameters
        ----------
        measurements : Measurements
            n rows.
        standing : callable
            What each authority may do at given times.
        target_deg : (float, float) or None
            Where the target is taken to be: latitude, longitude. [deg]
        given : Authorisation or None
            That on which home follows abroad.

        Returns
        -------
        (n,) bool
            A tick always may. The ground's height is nobody's: it goes with the permitted rows of its moment.
        """
        self.latest = []
        mask = measurements.kind == TICK
        real = ~mask
        for authority, sensors in self._by_authority(measurements.sensors).items():
            rows = np.flatnonzero(sensors[measurements.sensor_id] & real)
            if authority and len(rows):
                codes, verdicts = standing(authority, measurements.time_us[rows])
                codes, verdicts = self._placed(authority, measurements, rows, codes, verdicts, target_deg, given)
                allowed = np.array([one.allowed for one in verdicts])[codes]
                mask[rows] = allowed
                if not allowed.all():
                    self._count(measurements, rows, codes, verdicts, authority)
            elif len(rows):
                self._judge_ground(measurements, rows, mask)
        if mask.any():
            self._moment_us = int(measurements.time_us[mask][-1])
        return mask

    def _judge_ground(self, measurements: Measurements, rows: NDArray[np.intp], mask: NDArray[np.bool_]) -> None:
        """Let the ground's height in with the permitted rows of its moment, which may have come a batch before."""
        # Authorities come before nobody, so their rows are judged by now.
        moments_us = np.append(NEVER, measurements.time_us[mask])
        times_us = measurements.time_us[rows]
        found = moments_us[np.searchsorted(moments_us, times_us, side="right") - 1] == times_us
        found |= times_us == self._moment_us
        ground = measurements.kind[rows] == HEIGHT
        mask[rows] = found & ground
        if not ground.all():
            strays = rows[~ground]
            self._count(measurements, strays, np.zeros(len(strays), dtype=np.intp), [NOT_PART], "")

    def _by_authority(self, sensors: tuple[Sensor, ...]) -> dict[str, NDArray[np.bool_]]:
        """For each authority, the last one nobody, a table of which sensors are its own."""
        if sensors is not self._sensors:
            names = sorted({sensor.authority for sensor in sensors}, reverse=True)
            self._groups = {name: np.array([sensor.authority == name for sensor in sensors]) for name in names}
            self._sensors = sensors
        return self._groups

    def _placed(
        self,
        authority: str,
        measurements: Measurements,
        rows: NDArray[np.intp],
        codes: NDArray[np.intp],
        verdicts: list[Verdict],
        target_deg: tuple[float, float] | None,
        given: Authorisation | None,
    ) -> tuple[NDArray[np.intp], list[Verdict]]:
        """Refuse also by place what an authority's standing permits."""
        zones = {act: self._zones(authority, act) for act in ZONE_ACTS}
        terms = given if authority == self.mandate.home and given is not None and _has_terms(given) else None
        third = authority not in (self.mandate.home, self.mandate.host)
        if not (self.mandate.private or zones[FLY] or zones[OBSERVE] or terms or third):
            return codes, verdicts
        lat_deg, lon_deg = self._sites(measurements, rows)
        target_lat, target_lon = lat_deg, lon_deg
        if target_deg is not None:
            target_lat, target_lon = (np.full(len(rows), one) for one in target_deg)
        beyond = -1.0 if authority == self.mandate.host else 1.0
        checks = [
            (self._private, ~_in_any(self.mandate.private, lat_deg, lon_deg)),
            (self._out[FLY], self._inside(zones[FLY], lat_deg, lon_deg, beyond)),
            (self._out[OBSERVE], self._inside(zones[OBSERVE], target_lat, target_lon, beyond)),
        ]
        if terms is not None:
            zone = Zone(authority, ZONE_ACTS, depth_m=terms.depth_m, area=terms.area)
            # At home the terms of the host do not bind.
            at_home = self.border.signed_distance_m(target_lat, target_lon) < 0.0
            within = at_home | zone.contains(self.border, target_lat, target_lon, beyond=beyond)
            checks.append((self._conditions, within))
        if third:
            checks.append(
                (self._conditions, self._covered(authority, measurements.time_us[rows], target_lat, target_lon))
            )
        codes = codes.copy()
        allowed = [one.allowed for one in verdicts]
        for _, right in checks:
            codes[np.array(allowed)[codes] & ~right] = len(allowed)
            allowed.append(False)
        return codes, [*verdicts, *(verdict for verdict, _ in checks)]

    def _zones(self, authority: str, act: str) -> list[Zone]:
        """Zones of an authority for an act; none for home means anywhere that custody lets it follow."""
        mine = [zone for zone in self.mandate.zones if zone.authority == authority and act in zone.acts]
        if mine or authority != self.mandate.host:
            return mine
        return [Zone(authority, ZONE_ACTS, ON_HOST)]

    def _covered(
        self, authority: str, time_us: NDArray[np.int64], lat_deg: Floats, lon_deg: Floats
    ) -> NDArray[np.bool_]:
        """Tell where some authorisation in force covers what a third authority does: on its issuer's side."""
        covered = np.zeros(len(time_us), dtype=np.bool_)
        for one in self.mandate.authorisations:
            if one.recipient == authority:
                side = ON_HOME if one.issuer == self.mandate.home else ON_HOST
                zone = Zone(authority, ZONE_ACTS, side, one.depth_m, one.area)
                in_force = (time_us >= one.starts_us) & (time_us < one.valid_until_us)
                covered |= in_force & zone.contains(self.border, lat_deg, lon_deg, beyond=1.0)
        return covered

    def _inside(self, zones: list[Zone], lat_deg: Floats, lon_deg: Floats, beyond: float) -> NDArray[np.bool_]:
        if not zones:
            return np.ones(len(lat_deg), dtype=np.bool_)
        inside = [zone.contains(self.border, lat_deg, lon_deg, beyond=beyond) for zone in zones]
        return np.logical_or.reduce(inside)

    def _sites(self, measurements: Measurements, rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        site = measurements.site_ecef_m[rows]
        unknown = np.isnan(site).any(axis=1) & (measurements.kind[rows] == POSITION)
        if unknown.any():
            site = np.where(unknown[:, None], measurements.z[rows], site)
        lat_deg, lon_deg, _ = geodesy.ecef_to_geodetic(site)
        return lat_deg, lon_deg

    def _count(
        self,
        measurements: Measurements,
        rows: NDArray[np.intp],
        codes: NDArray[np.intp],
        verdicts: list[Verdict],
        authority: str,
    ) -> None:
        for code in np.unique(codes):
            verdict = verdicts[code]
            if verdict.allowed:
                continue
            refused = rows[codes == code]
            for sensor_id in np.unique(measurements.sensor_id[refused]):
                mine = measurements.time_us[refused[measurements.sensor_id[refused] == sensor_id]]
                name = measurements.sensors[sensor_id].name
                key = (name, verdict.rule, verdict.article)
                first_us, last_us = int(mine[0]), int(mine[-1])
                known = self.refusals.setdefault(key, Refusal(name, authority, verdict, 0, first_us, last_us))
                known.rows += len(mine)
                self.latest.append((name, authority, verdict, len(mine)))
                known.first_us, known.last_us = min(known.first_us, first_us), max(known.last_us, last_us)


def _has_terms(given: Authorisation) -> bool:
    return given.area is not None or bool(np.isfinite(given.depth_m))


def _in_any(areas: tuple, lat_deg: Floats, lon_deg: Floats) -> NDArray[np.bool_]:
    inside = np.zeros(len(lat_deg), dtype=np.bool_)
    for area in areas:
        inside |= area.contains(lat_deg, lon_deg)
    return inside
