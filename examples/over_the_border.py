"""Drive from Budapest over the border, in five ways: what is permitted, when it ends, and who has the target then.

python examples/over_the_border.py [ordinary | urgent | expiry | refused | back]

The last forty minutes of the simulated exercise along M5 and M43: two Hungarian drones, two Romanian ones that Hungary
lets fly on its side, and units of both. In each variant the same loop judges every row, follows the target, watches the
border, and draws the consequences of what people decide.

ordinary  Romania has authorised the surveillance; Hungary crosses, offers the target, Romania accepts it.
urgent    A listed offence and no authorisation: notice at once, a request, an authorisation in time, then as above.
expiry    As urgent, but nobody answers: after five hours Hungary has to stop.
refused   As urgent, but Romania refuses: Hungary stops at once, Romania's own sensors have the target.
back      The target turns round behind the border and is at home again; the report on the visit is owed.
"""

import sys
from dataclasses import replace

import numpy as np

from dronetrack import Measurements, Sensor, Track, geodesy, measurements_of, merge
from dronetrack.border import Border
from dronetrack.handover import Authorisation, Authority, Decision, Following, Mandate, Operation, Zone
from dronetrack.simulate import Scenario, scenario, simulate

FROM_S, CROSSES_S = 8_700.0, 9_536.0  # of the exercise: where this begins, and about when it crosses
VARIANTS = ("ordinary", "urgent", "expiry", "refused", "back")
POLICE = (Authority("HU", "HU", "Hungarian police"), Authority("RO", "RO", "Romanian border police"))


def plan() -> Scenario:
    """The exercise with a row every two seconds, from 8700 s on; one Hungarian drone goes on across the border."""
    whole = scenario("budapest_nadlac")
    windows = {"HU-D2": ((FROM_S, 9_900.0),), "RO-D1": ((9_400.0, 9_900.0),), "RO-D2": ((9_870.0, 10_800.0),)}
    sensors = []
    for sensor in whole.sensors:
        mine = windows.get(sensor.name, tuple(window for window in sensor.sampling.windows_s if window[1] > FROM_S))
        if mine:
            clipped = tuple((max(start, FROM_S), stop) for start, stop in mine)
            sensors.append(replace(sensor, sampling=replace(sensor.sampling, rate_hz=0.5, windows_s=clipped)))
    return replace(whole, sensors=tuple(sensors))


def drive(variant: str) -> tuple[Measurements, int]:
    """What the sensors say, and when the exercise began."""
    run = simulate(plan(), rng=np.random.default_rng(1))[0]
    rows, start_us = run.measurements, int(run.truth.time_us[0])
    if variant == "expiry":
        return merge(rows.take(rows.time_us < start_us + 9_870_000_000), parked(run.truth, start_us)), start_us
    if variant == "back":
        return merge(rows.take(rows.time_us < start_us + 9_650_000_000), returning(run.truth, start_us)), start_us
    return rows, start_us


def parked(truth: Track, start_us: int) -> Measurements:
    """A Hungarian unit sees the target stand in Romania, once a minute for six hours."""
    times_us = start_us + 9_880_000_000 + 60_000_000 * np.arange(360)
    place = np.broadcast_to(truth.at([start_us + 9_880_000_000]).state[:, :3], (360, 3))
    return seen("HU-1 lookout", "HU", times_us, place)


def returning(truth: Track, start_us: int) -> Measurements:
    """The way back of a target that turned round 1,900 m behind the border, seen by the Hungarian unit behind it."""
    there_us = start_us + 1_000_000 * np.arange(9_650, 9_400, -1)
    times_us = start_us + 9_651_000_000 + 1_000_000 * np.arange(250)
    return seen("HU-1 lookout", "HU", times_us, truth.at(there_us[::-1]).state[::-1, :3])


def seen(name: str, authority: str, times_us: np.ndarray, place: np.ndarray) -> Measurements:
    """Positions good to five metres."""
    noise = np.random.default_rng(2).normal(0.0, 5.0, place.shape)
    cov = np.broadcast_to(25.0 * np.eye(3), (len(place), 3, 3))
    return measurements_of(times_us, 1, place + noise, cov, Sensor(name, authority))


def mandate(variant: str, start_us: int) -> Mandate:
    """What was agreed: Hungary lets Romanian drones fly on its side; Romania authorises, or not."""
    zone = (Zone("RO", ("fly", "observe")),)
    given = Authorisation("RO", "HU", start_us, start_us, start_us + 12 * 3_600_000_000, ("no service weapons",))
    if variant in ("ordinary", "back"):
        return Mandate("HU", "RO", POLICE, zones=zone, authorisations=(given,), purpose="exercise")
    offence = "smuggling of aliens"
    return Mandate("HU", "RO", POLICE, basis="urgent", offence=offence, zones=zone, purpose="exercise", lost_s=300.0)


def decisions(variant: str, start_us: int) -> list[Decision]:
    """What people decide, by seconds since the exercise began."""

    def at(seconds: float, kind: str, by: str, **facts: object) -> Decision:
        return Decision(start_us + round((CROSSES_S + seconds) * 1e6), kind, by, facts)

    later = CROSSES_S * 1e6 + 240e6
    given = Authorisation("RO", "HU", start_us + int(later), start_us + int(later), start_us + int(later + 7.2e9))
    informed = [at(30.0, "notice", "HU"), at(120.0, "request", "HU", note="grounds: smuggling of aliens, in progress")]
    handed = [at(250.0, "offer", "HU"), at(270.0, "accept", "RO"), at(900.0, "report", "HU")]
    return {
        "ordinary": handed,
        "urgent": [*informed, at(240.0, "authorise", "RO", authorisation=given.to_plain()), *handed],
        "expiry": informed,
        "refused": [*informed, at(200.0, "refuse", "RO"), at(210.0, "offer", "HU"), at(900.0, "report", "HU")],
        "back": [at(340.0, "report", "HU")],
    }[variant]


def exercise(variant: str) -> Following:
    """Run one variant."""
    rows, start_us = drive(variant)
    operation = Operation(mandate(variant, start_us), Border.between("HU", "RO"))
    following = Following(operation, decisions=decisions(variant, start_us))
    following.update(rows)
    following.finish()
    return following


def main() -> None:
    """Tell one variant, or the ordinary one."""
    variant = sys.argv[1] if len(sys.argv) > 1 else "ordinary"
    if variant not in VARIANTS:
        sys.exit(__doc__)
    following = exercise(variant)
    operation = following.operation
    for event in operation.events:
        time = str(np.datetime64(event.time_us, "us"))[11:19]
        until = event.facts.get("until_us", event.facts.get("due_us"))
        limit = f" until {str(np.datetime64(until, 'us'))[5:16]}" if until else ""
        print(f"{time}  {event.kind:20s} {event.authority}  {event.article:12s} {event.cause}{limit}")
    for one in operation.refusals:
        print(f"refused: {one.rows} rows of {one.sensor}, Article {one.verdict.article}: {one.verdict.reason}")
    now = following.tracker.now()
    distance_m = operation.border.signed_distance_m(now.lat_deg, now.lon_deg)[0]
    kept = geodesy.ecef_to_geodetic(now.state[:, :3])
    print(f"\ncustody {operation.custody!r}, held by {operation.holder or 'nobody'}; the target is {distance_m:+.0f} m")
    print(f"from the border at {kept[0][0]:.4f} {kept[1][0]:.4f}")


if __name__ == "__main__":
    main()
