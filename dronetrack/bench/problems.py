"""What exactly is to be worked out? The problems that several workloads and all filters of peers share, as arrays."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dronetrack import geodesy
from dronetrack.motion import ConstantVelocity, discretise

Floats = NDArray[np.float64]

STEP_S, STD_M = 0.2, 3.0
STEP_US = round(STEP_S * 1e6)
# The same noise on every axis, so that peers, which know no local up, have the same model, and one F and Q do for all.
MOTION = ConstantVelocity(horizontal_psd=2.0, vertical_psd=2.0, initial_climb_std_mps=15.0)


@dataclass(frozen=True, eq=False)
class Drives:
    """Targets that move as a linear model says, and positions of them at even steps.

    The first position comes one step after the start. F, Q, H and R are the model that every filter is given.

    Parameters
    ----------
    F, Q : (d, d) float64
        One step of the motion, and its noise.
    R : (3, 3) float64
        Noise of a position. [m2]
    mean : (n, d) float64
        Where each is believed to be at the start.
    cov : (n, d, d) float64
        How well that is known.
    z : (n, steps, 3) float64
        Positions, ECEF. [m]
    truth : (n, steps, d) float64
        Where they are.
    """

    F: Floats
    Q: Floats
    R: Floats
    mean: Floats
    cov: Floats
    z: Floats
    truth: Floats

    @cached_property
    def H(self) -> Floats:  # noqa: N802 - its name in every textbook
        """(3, d) float64: a position is the first three numbers of a state."""
        return np.eye(3, self.mean.shape[1])

    @property
    def n_steps(self) -> int:
        """How many positions each has."""
        return self.z.shape[1]

    @property
    def time_us(self) -> NDArray[np.int64]:
        """(steps,) int64: when the positions hold; the start is at 0."""
        return STEP_US * np.arange(1, self.n_steps + 1)

    @property
    def amount(self) -> int:
        """How many steps of one target there are in all."""
        return self.z.shape[0] * self.z.shape[1]

    def one(self, target: int) -> "Drives":
        """Take one target."""
        only = slice(target, target + 1)
        return replace(self, mean=self.mean[only], cov=self.cov[only], z=self.z[only], truth=self.truth[only])

    def part(self, n: int, steps: int) -> "Drives":
        """Take the first targets and steps: enough for a slow peer."""
        z, truth = (np.ascontiguousarray(one[:n, :steps]) for one in (self.z, self.truth))
        return replace(self, mean=self.mean[:n].copy(), cov=self.cov[:n].copy(), z=z, truth=truth)


def draw_drives(n: int, steps: int, rng: np.random.Generator) -> Drives:
    """Draw targets near Hungary's border with Romania.

    Parameters
    ----------
    n, steps : int
        How many targets, how many positions of each.
    rng : Generator
        Where chance comes from.

    Returns
    -------
    Drives
        With `MOTION`, a step of 0.2 s and 3 m of noise.
    """
    mean = np.zeros((n, 6))
    mean[:, :3] = geodesy.geodetic_to_ecef(np.full(n, 46.2), np.linspace(20.0, 22.0, n), np.full(n, 120.0))
    spread = np.diag([100.0] * 3 + [25.0] * 3)
    now = mean + rng.normal(size=(n, 6)) * np.sqrt(np.diag(spread))
    F, Q = (one[0] for one in discretise(MOTION, mean[:1, :3], [STEP_S]))
    root = np.linalg.cholesky(Q)
    truth = np.empty((n, steps, 6))
    for step in range(steps):
        now = now @ F.T + rng.normal(size=(n, 6)) @ root.T
        truth[:, step] = now
    z = truth[..., :3] + rng.normal(0.0, STD_M, (n, steps, 3))
    return Drives(F, Q, STD_M**2 * np.eye(3), mean, np.tile(spread, (n, 1, 1)), z, truth)


def consistency(mean: Floats, cov: Floats, truth: Floats) -> dict[str, float]:
    """Say how near the truth a filter came, and whether it knew.

    Parameters
    ----------
    mean : (n, d) float64
        What it believes.
    cov : (n, d, d) float64
        How sure it is.
    truth : (n, d) float64
        What is so.

    Returns
    -------
    dict of str to float
        RMSE of the position [m], the same over what the covariance promises, and the mean NEES over its degrees of
        freedom; 1 is right for both.
    """
    error = mean - truth
    nees = np.einsum("ni,nij,nj->n", error, np.linalg.inv(cov), error)
    rmse = np.sqrt(np.mean(np.sum(error[:, :3] ** 2, axis=1)))
    promised = np.sqrt(np.mean(np.trace(cov[:, :3, :3], axis1=1, axis2=2)))
    return {
        "rmse_m": float(rmse),
        "rmse_of_promised": float(rmse / promised),
        "nees_of_dof": float(nees.mean() / mean.shape[1]),
    }
