"""Are the stated errors of the registration true? Over many exercises with known truth, in stated deviations.

    python tools/check_registration.py /tmp/variants/hard_1 /tmp/variants/hard_2
    python tools/check_registration.py --brief /tmp/variants2/new_*

One exercise tells little: a parameter may be two deviations off by chance. Over many, the mean of an error over its
stated deviation is 0 and its root mean square 1 if the covariance is a promise that is kept; a mean that is not 0 is
an error that nobody modelled. The folders are those of `make_variant.py`, or a recording (no heading is known there);
the library is whichever stands on PYTHONPATH.

=========  ============================================================================================
frame      what the gimbal's angles were found to be relative to
yaw pitch  boresight, heading, latency, and yaw + heading, which is what a log tells best: estimate less
heading    truth over the stated standard deviation, and for the sum and the pitch in degrees too.
latency    What the heading wanders within the log is no part of its truth; the stated deviation has to
sum        hold it. Latency is true on another clock: its deviation is joined by that of the drone's own.
in95       part of the truth inside the stated 95 % ellipse of the track [%]; honest is 92 to 98
=========  ============================================================================================
"""

import argparse
import pathlib
from dataclasses import dataclass

import numpy as np
from score_mission import CHI2_95, Score

from dronetrack.registration import Registration

NAMES = ("yaw", "pitch", "heading", "latency", "sum")


@dataclass(frozen=True)
class Check:
    """One drone: its errors over what is stated (5,) in the order of NAMES, and sum and pitch in degrees."""

    drone: str
    frame: str
    servo: bool
    z: np.ndarray
    sum_deg: float
    pitch_deg: float

    def line(self) -> str:
        stated = "".join(f"{one:>+9.1f}" for one in self.z)
        kind = "servo" if self.servo else "plain"
        return (
            f"  {self.drone:<10}{kind:<7}{self.frame:<16}{stated}   {self.sum_deg:+.2f} deg, {self.pitch_deg:+.2f} deg"
        )


def checks_of(score: Score) -> list[Check]:
    """What was found wrong with each drone, beside what was."""
    return [
        check(one, *truth_of(score.scenario, name))
        for name, one in score.fusion.registrations.items()
        if one.yaw_std_deg > 0.0 and "not_registered" not in one.stats
    ]


def truth_of(scenario: dict, name: str) -> tuple[np.ndarray, bool]:
    """Yaw, pitch, heading [deg] that put a drone right, latency [s]; and whether its mount is a servo's."""
    code, camera, variant = name.split("-", maxsplit=1)[0], scenario["camera"], scenario.get("variant")
    heading_deg = np.nan
    if variant:
        role = next(role for role, mine in variant["roles"].items() if mine == code)
        heading_deg = -variant["faults"]["drones"][role]["heading_deg"]
    truth = np.array([*camera["boresight_yaw_pitch_deg"][code], heading_deg, np.mean(camera["latency_s"][code])])
    attitude = camera.get("gimbal_attitude_truth", "levelled")
    return truth, (attitude[code] if isinstance(attitude, dict) else attitude) in ("pan_roll_tilt", "quaternion")


def check(one: Registration, truth: np.ndarray, servo: bool) -> Check:
    """Compare one registration with its truth (yaw, pitch, heading, latency)."""
    off = np.array([one.yaw_deg, one.pitch_deg, one.heading_deg, one.latency_s]) - truth
    std = np.sqrt(np.diag(one.cov)[:4])
    std[3] = np.hypot(std[3], one.stats.get("clock_std_s", 0.0))
    sideways = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    sum_deg = off[0] + off[2]
    z = np.append(off / std, sum_deg / np.sqrt(sideways @ one.cov @ sideways))
    return Check(one.drone, one.gimbal_frame, servo, z, sum_deg, off[1])


def summary(kind: str, checks: list[Check]) -> str:
    """Mean and root mean square of each error over its stated deviation, of one kind of mount."""
    z = np.array([one.z for one in checks])
    rows = [("mean", np.nanmean(z, axis=0)), ("rms", np.sqrt(np.nanmean(z**2, axis=0)))]
    return "\n".join(
        f"{kind:<6}{len(checks):>4} drones  {name:<6}" + "".join(f"{value:>9.2f}" for value in row)
        for name, row in rows
    )


def main() -> None:
    """Check every folder that was named, and tell what they say together."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", type=pathlib.Path, nargs="+")
    options.add_argument("--brief", action="store_true", help="no line for each drone")
    chosen = options.parse_args()
    print(f"{'':<35}" + "".join(f"{name:>9}" for name in NAMES) + "   sum, pitch")
    checks, inside, median = [], [], []
    for folder in chosen.folders:
        score = Score(folder.resolve())
        found = checks_of(score)
        checks += found
        inside.append(100.0 * np.mean(score.square < CHI2_95))
        median.append(np.median(score.distance_m))
        print(score.line(), *([] if chosen.brief else [one.line() for one in found]), sep="\n", flush=True)
    for kind, servo in (("plain", False), ("servo", True)):
        mine = [one for one in checks if one.servo is servo]
        if mine:
            print(summary(kind, mine))
    print(
        f"in95 of {len(inside)}: mean {np.mean(inside):.1f}, {np.min(inside):.1f} to {np.max(inside):.1f}; "
        f"below 88: {np.sum(np.array(inside) < 88.0)}; median of medians {np.median(median):.2f} m"
    )


if __name__ == "__main__":
    main()
