"""Where was the target, now that what came later is known? Backward passes over tracks, sequences and banks."""

from dronetrack.smoothing.sequences import combined, smooth_bank, smooth_lagged, smooth_mixtures, smooth_sequences
from dronetrack.smoothing.whole import smooth

__all__ = ["combined", "smooth", "smooth_bank", "smooth_lagged", "smooth_mixtures", "smooth_sequences"]
