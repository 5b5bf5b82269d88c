"""What can go wrong, and how it is said.

Five classes under one root. A message says what came, what was needed, and what to do about it.
Bad data inside a stream is counted in ``.stats``, never raised.
"""


class DronetrackError(Exception):
    """Root of everything that this library raises on purpose."""


class InputError(DronetrackError, ValueError):
    """An argument has the wrong shape, type or range, or a NaN where none may be."""


class FormatError(DronetrackError, ValueError):
    """A file or link is not what it says it is.

    Parameters
    ----------
    message : str
        What came, what was needed, what to do.
    offset : int, optional
        Byte offset (or, for text, line number) of the first fault, where one is known.
    """

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class OrderError(DronetrackError, ValueError):
    """Rows came too late, and the caller asked to be told."""


class DivergedError(DronetrackError, RuntimeError):
    """A filter lost its target, and the caller asked to be told."""


class NotAuthorisedError(DronetrackError, PermissionError):
    """An act that the operation does not permit."""
