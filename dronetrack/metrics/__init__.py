"""How good is a track? Accuracy, consistency, continuity, and the bound that no filter can beat.

Truth is a `Track` too, one without doubt: its covariance is zero, or that of the reference receiver it came from.
"""

from dronetrack.metrics.bound import Bound, cramer_rao_bound
from dronetrack.metrics.consistency import (
    Consistency,
    Share,
    chi2_bounds,
    consistency,
    effective_rows,
    nees,
    share_of,
)
from dronetrack.metrics.scoring import Errors, Score, along_across_up, errors_of, rmse, score, truth_of

__all__ = [
    "Bound",
    "Consistency",
    "Errors",
    "Score",
    "Share",
    "along_across_up",
    "chi2_bounds",
    "consistency",
    "cramer_rao_bound",
    "effective_rows",
    "errors_of",
    "nees",
    "rmse",
    "score",
    "share_of",
    "truth_of",
]
