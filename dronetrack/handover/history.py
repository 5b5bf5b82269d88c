"""Which way has it come? The last rows of a track in 80 bytes each, where they would take 410."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dronetrack.errors import InputError
from dronetrack.tracks import Track

MOST_ROWS = 1000
UNIT = 16.0  # m and m/s: half-precision numbers of it reach from a micrometre to a thousand kilometres
_REACH = 2**31 - 1


class Coded(NamedTuple):
    """Rows as they travel: (n,) each, or (n, 3) and (n, 21).

    `position_mm` counts from an origin, `velocity_mmps` from zero; `root` is the lower Cholesky factor of the
    covariance, row by row.
    """

    time_us: NDArray[np.int64]
    position_mm: NDArray[np.int32]
    velocity_mmps: NDArray[np.int32]
    root: NDArray[np.float16]
    nis: NDArray[np.float32]
    status: NDArray[np.int8]
    n_sensors: NDArray[np.int16]


def coded(track: Track, origin_m: NDArray[np.float64]) -> Coded:
    """Round rows to what travels: a millimetre, a millimetre per second, two parts in a thousand of a variance.

    A rounded covariance is still positive definite, and rows that were rounded before stay as they are.

    Parameters
    ----------
    track : Track
        Rows.
    origin_m : (3,) float64
        Where positions count from, ECEF. [m]

    Raises
    ------
    InputError
        If there are too many rows, one is too far off or too fast, or a covariance not positive definite.
    """
    if len(track) > MOST_ROWS:
        raise InputError(f"a package holds up to {MOST_ROWS} rows of history; got {len(track)}. Take the last ones.")
    thousandths = np.rint((track.state - np.pad(origin_m, (0, 3))) * 1e3)
    if np.abs(thousandths).max(initial=0.0) > _REACH:
        raise InputError("a row of the history lies more than 2,000 km from the state; leave it out.")
    root = _roots(track.cov)[:, *np.tril_indices(6)]
    whole = thousandths.astype(np.int32)
    nis = np.where(np.isnan(track.nis), np.nan, track.nis).astype(np.float32)
    return Coded(track.time_us, whole[:, :3], whole[:, 3:], root, nis, track.status, track.n_sensors)


def decoded(rows: Coded, origin_m: NDArray[np.float64], track_id: int) -> Track:
    """Return the rows as a track."""
    root = np.zeros((len(rows.time_us), 6, 6))
    root[:, *np.tril_indices(6)] = rows.root.astype(np.float64) * UNIT
    thousandths = np.hstack([rows.position_mm, rows.velocity_mmps]).astype(np.float64)
    state = np.pad(origin_m, (0, 3)) + thousandths * 1e-3
    cov = root @ root.transpose(0, 2, 1)
    nis = rows.nis.astype(np.float64)
    return Track(rows.time_us, track_id, rows.status, state, cov, nis, rows.n_sensors)


def _roots(cov: NDArray[np.float64]) -> NDArray[np.float16]:
    """Cholesky factors in half precision."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            root = (np.linalg.cholesky(cov) / UNIT).astype(np.float16)
    except np.linalg.LinAlgError as error:
        raise InputError("a covariance of the history is not positive definite.") from error
    if not (np.isfinite(root).all() and (np.diagonal(root, axis1=1, axis2=2) > 0.0).all()):
        raise InputError("a covariance of the history is not between a micrometre and a thousand kilometres.")
    return root
