"""What is wrong with the sensors? Boresight, heading, clock and gimbal frame of each drone, with how sure that is."""

from dronetrack.registration.register import Registration, register

__all__ = ["Registration", "register"]
