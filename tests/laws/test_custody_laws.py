"""No sequence of events lets an authority contribute or read without a record that permits it.

The machine drives a target about, lets anybody try any act at any time, and keeps a book of its own, in the plainest
words: where the target is, what was granted and taken back, and what has ended. Whatever the operation permits must
stand in that book.
"""

import contextlib

import numpy as np
from custody import ARMS, BOTH, HOUR_S, HU_CAMERA, LINE, RO_CAMERA, leave, row, sight, us
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dronetrack.border import Watch
from dronetrack.errors import NotAuthorisedError
from dronetrack.handover import ACTS, STATES, Mandate, Operation
from dronetrack.measurements import Sensor, merge

EU_CAMERA = Sensor("EU-D1 camera", "EU")
PLACES_M = (-8000.0, -800.0, 800.0, 3000.0)
HOST_ACTS = {"authorise", "refuse", "revoke", "accept", "decline", "entrust", "stop"}
LIMIT_S = 5 * HOUR_S


class AnyCourseOfEvents(RuleBasedStateMachine):
    @initialize(
        basis=st.sampled_from(["authorised", "urgent"]),
        given=st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 30_000)), max_size=2),
        third=st.booleans(),
    )
    def begin(self, basis, given, third):
        self.grants = [(start, start + length) for start, length in given]
        self.third = [(1000.0, 9000.0)] if third else []
        leaves = [leave(start, stop) for start, stop in self.grants]
        leaves += [leave(start, stop, issuer="HU", recipient="EU") for start, stop in self.third]
        self.operation = Operation(
            Mandate("HU", "RO", BOTH, basis=basis, offence=ARMS, authorisations=tuple(leaves)), LINE
        )
        self.watch, self.now_s, self.at_m = Watch(LINE), 0.0, -8000.0
        self.urgent, self.first_s = basis == "urgent", None
        self.over = False  # home has to be out until the target comes home
        self.handed, self.told = False, False
        self.drive(1, -8000.0)

    @rule(seconds=st.integers(1, 8000), to_m=st.sampled_from(PLACES_M))
    def drive(self, seconds, to_m):
        self.now_s += seconds
        one = row(self.now_s, to_m, 0.0)
        before_m, self.at_m = self.at_m, to_m
        self.operation.update(one, self.watch.update(one))
        if before_m < 0.0 < to_m:
            granted = any(start <= self.now_s < stop for start, stop in self.grants)
            if self.first_s is None and not granted:
                self.first_s = self.now_s  # the first crossing that can only have been urgent
            self.told = False
        if to_m < 0.0 < before_m:
            self.over = self.handed = False

    @rule(heard=st.sampled_from([["RO"], ["HU"], ["EU"], ["HU", "RO"]]))
    def hear(self, heard):
        self.now_s += 1
        one = row(self.now_s, self.at_m, 0.0)
        self.operation.update(one, self.watch.update(one), heard=heard)

    @rule(
        kind=st.sampled_from(sorted(ACTS)),
        by=st.sampled_from(["HU", "RO", "EU"]),
        length=st.integers(1, 20_000),
        start=st.integers(0, 500),
    )
    def decide(self, kind, by, length, start):
        self.now_s += 1
        facts = {}
        if kind == "authorise":
            facts = {"authorisation": leave(self.now_s + start, self.now_s + start + length).to_plain()}
        with contextlib.suppress(NotAuthorisedError):
            self.operation.act(kind, us(self.now_s), by, **facts)
            assert by == ("RO" if kind in HOST_ACTS else "HU")
            self.book(kind, start, length)

    def book(self, kind, start, length):
        if kind == "authorise":
            self.grants.append((self.now_s + start, self.now_s + start + length))
        if kind == "revoke":
            self.grants = [(begin, end) for begin, end in self.grants if end <= self.now_s]
        if kind in ("refuse", "stop"):
            self.urgent = False
        if kind in ("refuse", "stop", "cease", "revoke") and self.at_m > 0.0:
            self.over = True
        if kind in ("notice", "request"):
            self.told = self.told or self.at_m > 0.0
        if kind in ("accept", "entrust"):
            self.handed = True

    def home_may_be_abroad(self, time_s):
        granted = any(start <= time_s < stop for start, stop in self.grants)
        # The crossing lies somewhere between two rows; the operation takes its early edge, so never later than this.
        in_time = self.urgent and self.first_s is not None and time_s < self.first_s + LIMIT_S
        return not self.over and (granted or in_time)

    @invariant()
    def nobody_contributes_without_a_record(self):
        if not hasattr(self, "operation"):
            return
        times_s = [self.now_s, self.now_s + 6 * HOUR_S]
        rows = merge(
            sight(times_s, HU_CAMERA, self.at_m), sight(times_s, RO_CAMERA, 500.0), sight(times_s, EU_CAMERA, self.at_m)
        )
        permitted = self.operation.permitted(rows)
        for allowed, sensor, time_s in zip(permitted, rows.sensor_id, np.repeat(times_s, 3), strict=True):
            authority = rows.sensors[sensor].authority
            if authority == "HU":
                assert not allowed or self.at_m < 0.0 or self.home_may_be_abroad(time_s)
            elif authority == "RO":
                assert not allowed or self.at_m > 0.0
            else:
                granted = any(start <= time_s < stop for start, stop in self.third)
                assert not allowed or (self.at_m < 0.0 and granted)

    @invariant()
    def nobody_reads_without_a_record(self):
        if not hasattr(self, "operation"):
            return
        time_us = us(self.now_s)
        home = self.operation.may("HU", "read", time_us).allowed
        assert not home or self.at_m < 0.0 or self.home_may_be_abroad(self.now_s)
        host = self.operation.may("RO", "read", time_us).allowed
        granted = any(start <= self.now_s < stop for start, stop in self.grants)
        if self.at_m > 0.0 and self.operation.custody in ("joint", "offered"):
            assert not host or granted or self.told
        assert not host or self.at_m > 0.0 or granted
        third = self.operation.may("EU", "read", time_us).allowed
        assert not third or any(start <= self.now_s < stop for start, stop in self.third)

    @invariant()
    def what_is_permitted_names_its_record(self):
        if not hasattr(self, "operation"):
            return
        for authority in ("HU", "RO", "EU"):
            for what in ("contribute", "read"):
                verdict = self.operation.may(authority, what)
                assert bool(verdict.record) == verdict.allowed
                assert not verdict.allowed or verdict.article

    @invariant()
    def the_log_is_in_order_and_the_holder_has_taken_over(self):
        if not hasattr(self, "operation"):
            return
        events = self.operation.events
        assert (np.diff(events.time_us) >= 0).all()
        assert self.operation.custody in STATES
        if self.operation.custody == "accepted":
            assert self.handed


TestAnyCourseOfEvents = AnyCourseOfEvents.TestCase
TestAnyCourseOfEvents.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
