"""When and where will it cross? Drives into the future: free, and along roads.

Legend
------
lat, lon, s     where a drive is [rad], or how far along its edge [m]
v, dev          speed [m/s], and by how much it is above the driver's own cruising speed
course          clockwise from north [rad]
bit             HOME_BIT or HOST_BIT: the side that counts as crossed to
way             twice the edge, plus one where it is driven backwards
gates           `gate_s[gate_start[e]:gate_start[e + 1]]` are the places [m] where edge e passes from one side to
                another, `gate_bits` (g, 2) the sides before and behind; `edge_bits` the side at its start
when            seconds until the crossing; infinite for none
"""

import math
from typing import NamedTuple

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.border import scales_one, side_one

STRAIGHT_ON = 2.0  # a way straight on is exp(2) times as likely as one at a right angle
REFINE = 12  # halvings of a step of 5 s: a millisecond


class Pace(NamedTuple):
    """How drivers keep speed and course over one step."""

    stay: float  # probability that who stands still stands after the step
    stop: float  # probability that who drives stops
    keep: float  # how much of `dev` is left
    wander: float  # standard deviation of what comes to `dev` [m/s]
    turn: float  # standard deviation of the change of course [rad]


class Roads(NamedTuple):
    """Edges, the ways out of each junction, and where the border is passed; see the legend."""

    edge_length: np.ndarray
    edge_nodes: np.ndarray
    exits: np.ndarray
    exit_of: np.ndarray
    bearing: np.ndarray  # (2 e, 2) course at the start and end of each way [rad]
    edge_bits: np.ndarray
    gate_start: np.ndarray
    gate_s: np.ndarray
    gate_bits: np.ndarray


@kernel
def pace_one(dev, cruise, standing, pace, rng):
    """One step of the speed: (dev, standing, mean speed over the step)."""
    if rng.random() < (pace.stay if standing else pace.stop):
        return dev, True, 0.0
    after = pace.keep * dev + pace.wander * rng.standard_normal()
    return after, False, max(cruise + 0.5 * (dev + after), 0.0)


@kernel
def free_rows(start, cruise, standing, lines, bit, step, steps, pace, rng, when, where):
    """Drive freely from start (n, 4) = lat, lon, dev, course; fill when (n,) and where (n, 2) = lat, lon."""
    for i in range(start.shape[0]):
        lat, lon, dev, course = start[i, 0], start[i, 1], start[i, 2], start[i, 3]
        still = standing[i]
        when[i], where[i, 0], where[i, 1] = np.inf, np.nan, np.nan
        if side_one(lon, lat, lines) & bit:
            when[i], where[i, 0], where[i, 1] = 0.0, lat, lon
            continue
        for k in range(steps):
            dev, still, v = pace_one(dev, cruise[i], still, pace, rng)
            if v == 0.0:
                continue
            course += pace.turn * rng.standard_normal()
            kx, ky = scales_one(lat)
            north, east = v * step * math.cos(course) / ky, v * step * math.sin(course) / kx
            if side_one(lon + east, lat + north, lines) & bit:
                low, high = 0.0, 1.0
                for _ in range(REFINE):
                    part = 0.5 * (low + high)
                    if side_one(lon + part * east, lat + part * north, lines) & bit:
                        high = part
                    else:
                        low = part
                when[i] = (k + high) * step
                where[i, 0], where[i, 1] = lat + high * north, lon + high * east
                break
            lat += north
            lon += east


@kernel
def gate_one(edge, s0, s1, bit, roads):
    """First gate to the wanted side between two places of an edge; -1 for none."""
    first, last = roads.gate_start[edge], roads.gate_start[edge + 1]
    if s1 >= s0:
        for g in range(first, last):
            if s0 < roads.gate_s[g] <= s1 and roads.gate_bits[g, 1] & bit:
                return g
    else:
        for g in range(last - 1, first - 1, -1):
            if s1 <= roads.gate_s[g] < s0 and roads.gate_bits[g, 0] & bit:
                return g
    return -1


@kernel
def bits_at_one(edge, s, roads):
    """Return the side at a place of an edge."""
    bits = roads.edge_bits[edge]
    for g in range(roads.gate_start[edge], roads.gate_start[edge + 1]):
        if roads.gate_s[g] <= s:
            bits = roads.gate_bits[g, 1]
    return bits


@kernel
def next_way_one(way, roads, rng):
    """Draw a way out of the junction at the end of `way`, straight on rather than round a corner; -1 at a dead end."""
    node = roads.edge_nodes[way >> 1, 1 - (way & 1)]
    total = 0.0
    for k in range(roads.exits[node], roads.exits[node + 1]):
        if roads.exit_of[k] != way ^ 1:
            total += math.exp(STRAIGHT_ON * math.cos(roads.bearing[roads.exit_of[k], 0] - roads.bearing[way, 1]))
    drawn = rng.random() * total
    chosen = -1
    for k in range(roads.exits[node], roads.exits[node + 1]):
        if roads.exit_of[k] != way ^ 1:
            chosen = roads.exit_of[k]
            drawn -= math.exp(STRAIGHT_ON * math.cos(roads.bearing[chosen, 0] - roads.bearing[way, 1]))
            if drawn <= 0.0:
                break
    return chosen


@kernel
def along_rows(way, start, cruise, standing, roads, bit, step, steps, pace, rng, when, gate):
    """Drive along roads from way (n,) and start (n, 2) = s, dev; fill when (n,) and gate (n,), -1 for none.

    A drive that is over the line at the start has the gate -2; one that comes to a dead end stays there.
    """
    for i in range(way.shape[0]):
        on, s, dev, still = way[i], start[i, 0], start[i, 1], standing[i]
        when[i], gate[i] = np.inf, -1
        if bits_at_one(on >> 1, s, roads) & bit:
            when[i], gate[i] = 0.0, -2
            continue
        for k in range(steps):
            if on < 0 or gate[i] >= 0:
                break
            dev, still, v = pace_one(dev, cruise[i], still, pace, rng)
            rest = v * step
            while rest > 0.0 and on >= 0:
                edge, back = on >> 1, on & 1
                ahead = s if back else roads.edge_length[edge] - s
                to = s - min(rest, ahead) if back else s + min(rest, ahead)
                g = gate_one(edge, s, to, bit, roads)
                if g >= 0:
                    when[i] = (k + (v * step - rest + abs(roads.gate_s[g] - s)) / (v * step)) * step
                    gate[i] = g
                    break
                s = to
                if rest < ahead:
                    break
                rest -= ahead
                on = next_way_one(on, roads, rng)
                s = roads.edge_length[on >> 1] if on & 1 else 0.0
