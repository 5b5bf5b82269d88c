"""What is wrong with the sensors? Boresight, heading, clock and gimbal frame of each drone, with how sure that is."""

from dronetrack.registration.register import Priors, Registration, register, register_to_places

__all__ = ["Priors", "Registration", "register", "register_to_places"]
