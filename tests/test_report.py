"""The report: what a journal told is what the page says, in three languages, escaped, self-contained and the same each time."""

import datetime
import functools
import html.parser
import pathlib
import re
import string
import tomllib
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from dronetrack import Border, geodesy
from dronetrack.errors import InputError, NotAuthorisedError
from dronetrack.handover import (
    ACTS,
    STATES,
    TRANSITIONS,
    Authorisation,
    Authority,
    Decision,
    Following,
    Mandate,
    Operation,
    read_rules,
)
from dronetrack.journal import Journal, purge, read_journal
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.report import LANGUAGES, read_story, render, write_report
from dronetrack.report.catalogue import read_catalogue
from dronetrack.report.sections import latencies
from dronetrack.report.story import zone_of

S, HOUR = 1_000_000, 3_600_000_000
T0 = 1_795_470_000 * S
EAST_MPS = 30.0
READER = {"who": "Kovács Anna", "role": "supervisor", "purpose": "report owed to the host", "time_us": T0 + 24 * HOUR}
MESSAGES = pathlib.Path(__file__).parents[1] / "dronetrack" / "data" / "messages"


def drive(east_m, *, step_s, name="HU-1"):
    """What two drones and a unit measure of a target that goes east along the M43: places `east_m` of the line."""
    n = len(east_m)
    time_us = T0 + (np.arange(n) * step_s * S).astype(np.int64)
    lat = 46.21195 - east_m * 2.1e-6
    lon = 20.75977 + east_m / (111_320 * np.cos(np.radians(46.212)))
    place = geodesy.geodetic_to_ecef(lat, lon, np.full(n, 126.0))
    rng = np.random.default_rng(4)
    unit = Sensor(f"{name} contact", "HU", shared_time_s=1.0)
    batches = [measurements_of(time_us, POSITION, place + rng.normal(0, 3.0, (n, 3)), np.tile(9 * np.eye(3), (n, 1, 1)), unit)]
    for drone, mine in (("HU-D1", east_m < 900.0), ("RO-D1", east_m > -300.0)):
        if mine.any():
            site = geodesy.geodetic_to_ecef(lat[mine] - 0.002, lon[mine], np.full(mine.sum(), 240.0))
            ray = place[mine] - site
            ray = ray / np.linalg.norm(ray, axis=1, keepdims=True) + rng.normal(0, 1e-3, ray.shape)
            ray /= np.linalg.norm(ray, axis=1, keepdims=True)
            cov = np.tile(1e-6 * np.eye(3), (len(ray), 1, 1))
            camera = Sensor(f"{drone} camera", drone[:2], platform=drone)
            batches.append(measurements_of(time_us[mine], LINE_OF_SIGHT, ray, cov, camera, site_ecef_m=site))
    return merge(*batches)


def mandate(basis="authorised", **more):
    given = Authorisation("RO", "HU", T0 - 24 * HOUR, T0 - 24 * HOUR, T0 + 24 * HOUR, conditions=("no stop at the line",))
    return Mandate(
        "HU",
        "RO",
        (Authority("HU", "HU"), Authority("RO", "RO", "IGPF Arad")),
        basis=basis,
        offence="smuggling of aliens",
        purpose="file 12/2026",
        authorisations=(given,) if basis == "authorised" else (),
        **more,
    )


def write_journal(path, terms, z, decisions, *, until_us=None, operation="joint exercise"):
    journal = Journal.create(path, purpose="surveillance, file 12/2026", authority="HU", operation=operation)
    following = Following(Operation(terms, Border.between("HU", "RO")), journal=journal, decisions=decisions)
    for part in [*following.update(z).track, *following.finish(until_us)]:
        journal.append_track(part)
    journal.close()
    return path


def after(seconds, kind, by, **facts):
    return Decision(T0 + round(seconds * S), kind, by, facts)


@pytest.fixture(scope="session")
def ordinary(tmp_path_factory):
    """Authorised in advance, crossed, handed over, reported."""
    path = tmp_path_factory.mktemp("report") / "ordinary.journal"
    z = drive(np.arange(-2000.0, 2000.0, EAST_MPS), step_s=1.0)
    acts = [after(80, "offer", "HU", note="taken over at the petrol station?"), after(90, "accept", "RO"), after(100, "arrest", "HU")]
    return write_journal(path, mandate(), z, [*acts, after(120, "report", "HU")])
