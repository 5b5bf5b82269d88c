"""What goes to the other side with the custody of a track?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dronetrack.border import Crossing
from dronetrack.columns import column
from dronetrack.errors import InputError
from dronetrack.handover.history import coded, decoded
from dronetrack.registration import Registration
from dronetrack.sensing import FRAME_CODES
from dronetrack.tracker import Belief
from dronetrack.tracks import Track

MOST_PARTS = 64  # registrations, contributions
_LONGEST_TEXT = 200
_ALL_TIME = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one sensor has given to a track.

    Parameters
    ----------
    sensor : str
        Its name.
    authority : str
        Who operates it.
    n_rows : int
        How many of its rows the track has accepted.
    """

    sensor: str
    authority: str
    n_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """One track on its way from one authority to another; `pack` signs it, `unpack` lets it in.

    Parameters
    ----------
    operation : str
        Name of the operation.
    issuer, recipient : str
        The authority that hands over, and the one that takes over.
    serial : int
        Number of this package; the issuer gives each number once in an operation.
    issued_us, valid_until_us : int
        When it was issued, and until when it may be accepted; both from the data. [us, UTC]
    belief : Belief
        What is believed of the target, from `Tracker.belief`; it travels bit for bit.
    history : Track
        Rows up to then, maybe none. They travel rounded, to a millimetre, a millimetre per second and two parts in a
        thousand of a variance, and are so rounded from the start: 60 rows take 5 kB.
    registrations : tuple of Registration, optional
        What is known to be wrong with the drones of either side; their `stats` stay at home.
    contributions : tuple of Contribution, optional
        What the track was made of.
    crossing : Crossing, optional
        The crossing of the border that is the reason.
    legal_basis : str, optional
        The rule and article that the hand-over stands on.
    journal_digest : str, optional
        Digest of the issuer's journal up to record `journal_sequence`, 64 hexadecimal digits.
    journal_sequence : int, optional
        Number of that record; -1 where there is no journal.
    recipient_key : str, optional
        `fingerprint` of the recipient's public key, where the issuer knows it.

    Raises
    ------
    InputError
        If issuer and recipient are the same, times contradict each other, or anything is out of shape or range.
    """

    operation: str
    issuer: str
    recipient: str
    serial: int
    issued_us: int
    valid_until_us: int
    belief: Belief
    history: Track
    registrations: tuple[Registration, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    crossing: Crossing | None = None
    legal_basis: str = ""
    journal_digest: str = ""
    journal_sequence: int = -1
    recipient_key: str = ""

    def __post_init__(self) -> None:
        for name in ("operation", "issuer", "recipient"):
            _check_text(name, getattr(self, name), needed=True)
        _check_text("legal_basis", self.legal_basis)
        for name in ("journal_digest", "recipient_key"):
            _check_digest(name, getattr(self, name))
        for name, least in (
            ("serial", 0),
            ("issued_us", -_ALL_TIME),
            ("valid_until_us", -_ALL_TIME),
            ("journal_sequence", -1),
        ):
            _check_integer(name, getattr(self, name), least)
        if self.issuer == self.recipient:
            raise InputError(f"issuer is recipient: {self.issuer!r} cannot hand over to itself.")
        if not self.belief.time_us <= self.issued_us <= self.valid_until_us:
            raise InputError(
                f"the belief ({self.belief.time_us}), the issue ({self.issued_us}) and the end ({self.valid_until_us}) "
                "must follow one another in time."
            )
        self._round_history()
        self._check_parts()

    @property
    def track_id(self) -> int:
        """The track's identity."""
        return self.belief.track_id

    @property
    def name(self) -> str:
        """What no other package is called: operation, issuer and serial."""
        return f"{self.operation}/{self.issuer}/{self.serial}"

    def _round_history(self) -> None:
        history, origin_m = self.history, origin_of(self.belief)
        if len(history) and (history.track_id != self.track_id or history.time_us[-1] > self.belief.time_us):
            raise InputError("the history must be of the same track, and end no later than the belief.")
        object.__setattr__(self, "history", decoded(coded(history, origin_m), origin_m, self.track_id))

    def _check_parts(self) -> None:
        if max(len(self.registrations), len(self.contributions)) > MOST_PARTS:
            raise InputError(f"a package holds up to {MOST_PARTS} registrations, and as many contributions.")
        for one in self.contributions:
            _check_text("sensor", one.sensor, needed=True)
            _check_text("authority", one.authority)
            _check_integer("n_rows", one.n_rows, 0)
        for one in self.registrations:
            _check_registration(one)
        if self.crossing is not None:
            _check_crossing(self.crossing, self.track_id)


def origin_of(belief: Belief) -> NDArray[np.float64]:
    """(3,) float64: where the positions of a history count from: near the belief, in whole metres."""
    return np.rint(belief.mean[0, :3])


def _check_text(name: str, text: object, *, needed: bool = False) -> None:
    if not (isinstance(text, str) and text.isprintable() and needed <= len(text) <= _LONGEST_TEXT):
        raise InputError(
            f"{name} must be a printable text of {int(needed)} to {_LONGEST_TEXT} characters; got {text!r}."
        )


def _check_digest(name: str, text: object) -> None:
    if text != "" and not (isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")):
        raise InputError(f"{name} must be 64 hexadecimal digits, or empty; got {text!r}.")


def _check_integer(name: str, value: object, least: int) -> None:
    if not (type(value) is int and least <= value <= _ALL_TIME):
        raise InputError(f"{name} must be a whole number from {least} on; got {value!r}.")


def _check_registration(one: Registration) -> None:
    _check_text("drone", one.drone, needed=True)
    std = (one.yaw_std_deg, one.pitch_std_deg, one.heading_std_deg, one.latency_std_s, one.scale_std)
    numbers = (
        one.yaw_deg,
        one.pitch_deg,
        one.heading_deg,
        one.latency_s,
        one.scale,
        *std,
        *one.site_enu_m,
        *one.frame_probability.values(),
    )
    cov = column("cov", one.cov, np.float64, (5, 5), nan=False)
    if one.gimbal_frame not in FRAME_CODES or not one.frame_probability.keys() <= FRAME_CODES.keys():
        raise InputError(f"the registration of {one.drone!r} names a gimbal frame that there is not.")
    if not (np.isfinite(numbers).all() and np.isfinite(cov).all() and min(std) >= 0.0):
        raise InputError(
            f"the registration of {one.drone!r} holds a number that is not finite, or a negative deviation."
        )
    if np.linalg.eigvalsh(cov)[0] < -1e-9 * np.trace(cov):
        raise InputError(f"the covariance in the registration of {one.drone!r} is not positive definite.")


def _check_crossing(one: Crossing, track_id: int) -> None:
    within = abs(one.lat_deg) <= 90.0 and abs(one.lon_deg) <= 180.0 and 0.0 <= one.probability <= 1.0
    if not (within and one.time_std_s >= 0.0 and one.track_id == track_id):
        raise InputError(f"the crossing must be of track {track_id}, on earth, with a probability; got {one}.")
