"""Import this before processes are forked, so that each finds the tracker compiled."""

from journals import rows
from numpy.random import default_rng
from test_journal_killed import drive, track

from dronetrack.tracker import Tracker

WARM = (track(rows(4, default_rng(1))), Tracker().update(drive().take(slice(0, 400))))
