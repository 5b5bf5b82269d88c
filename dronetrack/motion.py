"""How do things move, and how much can they surprise us? Motion models and their noise."""

from dataclasses import dataclass

import numpy as np

from dronetrack.errors import InputError


@dataclass(frozen=True, slots=True)
class ConstantVelocity:
    """Nearly constant velocity: white-noise acceleration, anisotropic in east/north/up.

    The state is (position, velocity) in ECEF; the noise is given locally and rotated there. Over `dt` each axis
    gathers ``q * [[dt**3/3, dt**2/2], [dt**2/2, dt]]`` (Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to
    Tracking and Navigation*, 2001, section 6.2.2, doi:10.1002/0471221279).

    Parameters
    ----------
    horizontal_psd : float, optional
        Power spectral density of horizontal acceleration. [m2/s3] A road vehicle that brakes at 3 m/s2 for a second or
        two wants 2 to 6; the change of speed over one second has the standard deviation ``sqrt(horizontal_psd)``.
    vertical_psd : float, optional
        The same upwards. [m2/s3] Roads climb slowly.
    initial_speed_std_mps : float, optional
        Standard deviation of each horizontal component of an unknown velocity. [m/s]
    initial_climb_std_mps : float, optional
        The same upwards. [m/s]
    """

    horizontal_psd: float = 2.0
    vertical_psd: float = 0.02
    initial_speed_std_mps: float = 15.0
    initial_climb_std_mps: float = 0.5

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"{name} must be positive and finite; got {value}.")
