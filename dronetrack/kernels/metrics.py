"""The posterior Cramer-Rao bound of one target and of the errors that its sensors share.

Legend
------
N           size of the state: 6 + shared errors of the sensors
P (N, N)    inverse of the information, so a covariance that no unbiased filter can beat
A (3, 9)    rows of one measurement in units of its own noise, over the columns `where` (9,); -1 = no such column
Q           power spectral density of the acceleration, (3, 3) in ECEF
"""

import numpy as np

from dronetrack.kernels import kernel


@kernel
def bound_rows(time_us, A, where, emit, Q, tau_s, variance, P, out):
    """Run the information recursion; write P[:6, :6] to out[emit[i]] after each row i with emit[i] >= 0.

    `P` holds the prior and is overwritten. `tau_s`, `variance` (N,) describe the shared errors.
    """
    N = P.shape[0]
    gain = np.empty(N)
    for i in range(time_us.shape[0]):
        dt = (time_us[i] - time_us[i - 1]) * 1e-6 if i else 0.0
        if dt > 0.0:
            for a in range(3):
                for b in range(N):
                    P[a, b] += dt * P[a + 3, b]
            for b in range(N):
                for a in range(3):
                    P[b, a] += dt * P[b, a + 3]
            for a in range(3):
                for b in range(3):
                    P[a, b] += Q[a, b] * dt * dt * dt / 3.0
                    P[a, b + 3] += Q[a, b] * dt * dt / 2.0
                    P[a + 3, b] += Q[a, b] * dt * dt / 2.0
                    P[a + 3, b + 3] += Q[a, b] * dt
            for a in range(6, N):
                phi = np.exp(-dt / tau_s[a])
                for b in range(N):
                    P[a, b] *= phi
                    P[b, a] *= phi
                P[a, a] += (1.0 - phi * phi) * variance[a]
        for r in range(3):
            # One scalar row of unit noise adds a a' to the information: P - (P a)(P a)' / (1 + a' P a).
            told = 0.0
            for b in range(N):
                gain[b] = 0.0
            for c in range(9):
                if where[i, c] >= 0 and A[i, r, c] != 0.0:
                    told += 1.0
                    for b in range(N):
                        gain[b] += P[b, where[i, c]] * A[i, r, c]
            if told == 0.0:
                continue
            s = 1.0
            for c in range(9):
                if where[i, c] >= 0:
                    s += A[i, r, c] * gain[where[i, c]]
            for a in range(N):
                for b in range(a + 1):
                    P[a, b] -= gain[a] * gain[b] / s
                    P[b, a] = P[a, b]
        if emit[i] >= 0:
            for a in range(6):
                for b in range(6):
                    out[emit[i], a, b] = P[a, b]
