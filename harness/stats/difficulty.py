"""The law of the problems' difficulties, estimated from the counts of all of them (empirical Bayes).

The mixing distribution of maximum likelihood (Kiefer and Wolfowitz 1956) on a grid of success rates, by EM, with one
imagined problem among the others: in small suites it keeps the law from resting on a handful of rates. It serves two
ends: the variance of pass@k where n < 2k leaves no unbiased estimate, and a model of pass@k for k above n. The
second is a guess about problems from other problems: it is always labelled as based on a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

from harness.stats.pass_at_k import check_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

NUM_RATES = 161
NUM_STEPS = 150
"""Of EM. More move the weights between rates that the counts cannot tell apart."""

PSEUDO_PROBLEM = (0.25, 0.5)
"""Beta(a, b) difficulty of one imagined problem, so that problems that always or never pass cannot claim no noise."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Difficulty:
    """How often which success rate occurs among the problems, and what that says about each of them."""

    rates: NDArray[np.float64]
    """float64[g]: chances that one completion passes, 0 and 1 among them."""
    weights: NDArray[np.float64]
    """float64[g]: the share of problems with that rate; their sum is 1."""
    posterior: NDArray[np.float64]
    """float64[u, g]: the same for problems with one pair of counts; every row sums to 1."""
    row: NDArray[np.intp]
    """intp[m]: the row of `posterior` of each problem."""

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[m]: the posterior mean, for each problem, of something known at each of `rates`."""
        means: NDArray[np.float64] = self.posterior @ values
        return means[self.row]


def fit_difficulty(n: ArrayLike, c: ArrayLike) -> Difficulty:
    """The mixing distribution of the counts.

    Raises:
        ValueError: as `pass_at_k`.
    """
    import numpy as np
    from scipy.special import betainc, xlog1py, xlogy

    completions, correct = check_counts(n, c, 1)
    # Dense towards 0 and 1, where most problems lie and where pass@k changes fastest.
    angles = np.linspace(0, np.pi / 2, NUM_RATES)
    rates = np.sin(angles) ** 2
    borders = np.sin((angles[1:] + angles[:-1]) / 2) ** 2
    imagined = np.diff(betainc(*PSEUDO_PROBLEM, np.concatenate(([0.0], borders, [1.0]))))
    pairs, row, times = np.unique(
        np.stack([completions, correct], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    size, passed = pairs[:, :1].astype(float), pairs[:, 1:].astype(float)
    with np.errstate(divide="ignore"):
        log_likelihood = xlogy(passed, rates) + xlog1py(size - passed, -rates)
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    weights = np.full(NUM_RATES, 1 / NUM_RATES)
    for _ in range(NUM_STEPS):
        expected = weights * ((times / (likelihood @ weights)) @ likelihood)
        weights = (expected + imagined) / (completions.size + 1)
    joint = likelihood * weights
    posterior = joint / joint.sum(axis=1, keepdims=True)
    return Difficulty(rates=rates, weights=weights, posterior=posterior, row=np.ravel(row))


def pass_at_k_eb(n: ArrayLike, c: ArrayLike, k: int, difficulty: Difficulty | None = None) -> NDArray[np.float64]:
    """What the difficulties of all problems say about each problem's pass@k, float64[m]; k may exceed n.

    Based on a model, and to be labelled so wherever it is shown: where the rates of a suite are unlike any the counts
    have seen, such as many that never pass, it misses by points.

    Raises:
        ValueError: as `pass_at_k`, but for n < k.
    """
    completions, correct = check_counts(n, c, 1)
    check_counts([k], [0], k)
    law = difficulty or fit_difficulty(completions, correct)
    return law.mean(1 - (1 - law.rates) ** k)


def eb_variance(
    n: ArrayLike, c: ArrayLike, k: int, *, n_run: int | None = None, difficulty: Difficulty | None = None
) -> NDArray[np.float64]:
    """The posterior mean, float64[m], of each problem's Var(pass@k); for all n >= k, n = k included.

    Args:
        n, c, k: as in `pass_at_k`.
        n_run: the variance in a run of so many completions; None for as many as the problem has.
        difficulty: of these counts, where it is at hand.

    Raises:
        ValueError: as `pass_at_k`, or `n_run` < k.
    """
    import numpy as np

    completions, correct = check_counts(n, c, 1 if n_run else k)
    law = difficulty or fit_difficulty(completions, correct)
    if n_run is not None:
        return law.mean(variance_at(law.rates, n_run, k))
    values = np.empty(completions.shape)
    for size in np.unique(completions):
        here = completions == size
        values[here] = law.mean(variance_at(law.rates, int(size), k))[here]
    return values


def variance_at(rates: NDArray[np.float64], n: int, k: int) -> NDArray[np.float64]:
    """Var(pass@k) of a run of n completions at each of these success rates: exact."""
    failure = 1 - rates
    return variance_of_moments([failure**power for power in range(2 * k + 1)], n, k)


def beta_variance(a: float, b: float, n: int, k: int) -> float:
    """The mean of Var(pass@k) over success rates that are Beta(a, b): exact."""
    import numpy as np

    steps = np.arange(2 * k)
    moments = np.concatenate(([1.0], np.cumprod((b + steps) / (a + b + steps))))
    return float(variance_of_moments(list(moments), n, k))


def variance_of_moments(moments: list[NDArray[np.float64]], n: int, k: int) -> NDArray[np.float64]:
    """Var(pass@k) of n completions from the moments of the chance to fail, q^0 to q^2k.

    `sum_j H(j) q^(2k - j) - q^(2k)`, with H(j) the chance that two sets of k out of n have j in common. Summed as
    differences, none of which is negative.

    Raises:
        ValueError: n < k.
    """
    if n < k:
        raise ValueError(f"a run of {n} completions has no pass@{k}; ask for at least {k}")
    total = moments[0] * 0.0
    for shared in range(max(1, 2 * k - n), k + 1):
        # Whole numbers of any size: the binomials overflow long before their quotient is anything special.
        chance = comb(k, shared) * comb(n - k, k - shared) / comb(n, k)
        total = total + chance * (moments[2 * k - shared] - moments[2 * k])
    return total
