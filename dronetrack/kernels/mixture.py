"""Several models of one target side by side: mix, weigh, combine (interacting multiple models).

Legend
------
M             number of models
D             size of the state; the target first (d components), then whatever shares the state with it
N             D, or more: the state is tied to N - D further quantities of mean zero
mu (M,)       probability of each model
Pi (M, M)     probability of a switch from model i (row) to model j (column) over the step
c (M,)        predicted probabilities, c_j = sum_i mu_i Pi_ij
share (M, M)  share of model i (column) in what model j (row) starts from, mu_i Pi_ij / c_j
X (M, D)      mean under each model
P (M, D, N)   covariance under each model
W (N, 3)      P H' L^-T with S = L L', so that P - W W' is the updated covariance

One step is: `mix_one`, then predict each model (`motion.predict_one`), then update each with the measurement, then
`weigh_one` with the log-likelihoods; `combine_one` where one mean and covariance are wanted (Blom, Bar-Shalom 1988,
doi:10.1109/9.1299). Means are mixed as differences, so ECEF coordinates keep their digits; probabilities are weighed in
logarithms, so a measurement far from every model still tells them apart.
"""

import numpy as np

from dronetrack.kernels import kernel
from dronetrack.kernels.motion import predict_one, switching_one

LOG_2PI = np.log(2.0 * np.pi)


@kernel
def mix_one(mu, Pi, X, P, c, share, X_out, P_out):
    """Fill c, share, and the mean and covariance from which each model takes the step."""
    M, D = X.shape
    for j in range(M):
        c[j] = 0.0
        for i in range(M):
            share[j, i] = mu[i] * Pi[i, j]
            c[j] += share[j, i]
        for i in range(M):
            # A model that nothing leads to takes the step from itself.
            share[j, i] = share[j, i] / c[j] if c[j] > 0.0 else (1.0 if i == j else 0.0)
        for a in range(D):
            s = 0.0
            for i in range(M):
                s += share[j, i] * (X[i, a] - X[j, a])
            X_out[j, a] = X[j, a] + s
        spread_one(share[j], X, P, X_out[j], P_out[j])


@kernel
def spread_one(w, X, P, x, P_out):
    """Fill the covariance about `x` of models with the weights `w` (M,); ties to what has no mean are averaged."""
    M, D, N = P.shape
    for a in range(D):
        for b in range(a + 1):
            s = 0.0
            for i in range(M):
                if w[i] != 0.0:
                    s += w[i] * (P[i, a, b] + (X[i, a] - x[a]) * (X[i, b] - x[b]))
            P_out[a, b] = s
            P_out[b, a] = s
        for b in range(D, N):
            s = 0.0
            for i in range(M):
                s += w[i] * P[i, a, b]
            P_out[a, b] = s


@kernel
def weigh_one(c, log_likelihood, mu):
    """Fill mu from predicted probabilities and log-likelihoods; return the log-likelihood of the mixture.

    Where no model can explain the measurement (all -inf) the predicted probabilities stay. `mu` may be `c`.
    """
    M = c.shape[0]
    best = -np.inf
    for j in range(M):
        if c[j] > 0.0:
            best = max(best, log_likelihood[j])
    total = 0.0
    for j in range(M):
        mu[j] = c[j] * np.exp(log_likelihood[j] - best) if best > -np.inf else c[j]
        total += mu[j]
    for j in range(M):
        mu[j] /= total
    return best + np.log(total)


@kernel
def combine_one(mu, X, P, x, P_out):
    """Fill the mean and covariance of the mixture."""
    M, D = X.shape
    for a in range(D):
        s = 0.0
        for i in range(1, M):
            s += mu[i] * (X[i, a] - X[0, a])
        x[a] = X[0, a] + s
    spread_one(mu, X, P, x, P_out)


@kernel
def position_one(x, P, z, R, W):
    """Update (x, P) with a position `z` of covariance `R` (3, 3); return the log-likelihood."""
    N = x.shape[0]
    l00 = np.sqrt(P[0, 0] + R[0, 0])
    l10 = (P[1, 0] + R[1, 0]) / l00
    l20 = (P[2, 0] + R[2, 0]) / l00
    l11 = np.sqrt(P[1, 1] + R[1, 1] - l10 * l10)
    l21 = (P[2, 1] + R[2, 1] - l20 * l10) / l11
    l22 = np.sqrt(P[2, 2] + R[2, 2] - l20 * l20 - l21 * l21)
    v0 = (z[0] - x[0]) / l00
    v1 = (z[1] - x[1] - l10 * v0) / l11
    v2 = (z[2] - x[2] - l20 * v0 - l21 * v1) / l22
    for a in range(N):
        W[a, 0] = P[a, 0] / l00
        W[a, 1] = (P[a, 1] - l10 * W[a, 0]) / l11
        W[a, 2] = (P[a, 2] - l20 * W[a, 0] - l21 * W[a, 1]) / l22
    for a in range(N):
        x[a] += W[a, 0] * v0 + W[a, 1] * v1 + W[a, 2] * v2
        for b in range(a + 1):
            P[a, b] -= W[a, 0] * W[b, 0] + W[a, 1] * W[b, 1] + W[a, 2] * W[b, 2]
            P[b, a] = P[a, b]
    return -0.5 * (v0 * v0 + v1 * v1 + v2 * v2 + 3.0 * LOG_2PI) - np.log(l00 * l11 * l22)


@kernel
def mixture_rows(codes, params, rates, dt, z, R, mu, X, P, log_likelihood):
    """Take n independent targets one step on, in place: mix, predict by `dt` (n,), update with positions `z` (n, 3).

    `mu` (n, M), `X` (n, M, d), `P` (n, M, d, d), `R` (n, 3, 3), `log_likelihood` (n,). A NaN in a position is 'not
    observed': the target is only predicted.
    """
    n, M, d = X.shape
    Pi, work, share = np.empty((M, M)), np.empty((M, M)), np.empty((M, M))
    c, score = np.empty(M), np.empty(M)
    X_mixed, P_mixed = np.empty((M, d)), np.empty((M, d, d))
    W = np.empty((d, 3))
    known = -1.0
    for i in range(n):
        if dt[i] != known:
            known = dt[i]
            switching_one(rates, known, Pi, work)
        mix_one(mu[i], Pi, X[i], P[i], c, share, X_mixed, P_mixed)
        seen = not (np.isnan(z[i, 0]) or np.isnan(z[i, 1]) or np.isnan(z[i, 2]))
        for j in range(M):
            predict_one(codes[j], params[j], dt[i], d, X_mixed[j], P_mixed[j])
            score[j] = position_one(X_mixed[j], P_mixed[j], z[i], R[i], W) if seen else 0.0
        log_likelihood[i] = weigh_one(c, score, mu[i])
        for j in range(M):
            for a in range(d):
                X[i, j, a] = X_mixed[j, a]
                for b in range(d):
                    P[i, j, a, b] = P_mixed[j, a, b]


@kernel
def combine_rows(mu, X, P, x, P_out):
    """Fill means (n, N) and covariances (n, N, N) of n mixtures."""
    for i in range(mu.shape[0]):
        combine_one(mu[i], X[i], P[i], x[i], P_out[i])
