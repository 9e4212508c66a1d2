"""The variance of pass@k over new completions, problem by problem, by the estimator of one's choice."""

from __future__ import annotations

import functools
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.difficulty import eb_variance, variance_of_moments
from harness.stats.intervals import completion_variance
from harness.stats.pass_at_k import check_counts, each_count, pass_at_k

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class VarianceMethod(StrEnum):
    """How the variance is estimated."""

    AUTO = "auto"
    """Unbiased where every problem has n >= 2k, else empirical Bayes."""
    UNBIASED = "unbiased"
    EB = "eb"
    BOUND = "bound"
    """Hoeffding's: never too small on average over problems, and needs no more than the score."""


def pass_at_k_var(
    n: ArrayLike, c: ArrayLike, k: int, n_run: int | None = None, method: VarianceMethod = VarianceMethod.AUTO
) -> NDArray[np.float64]:
    """Var(pass@k) of each problem, float64[m].

    Args:
        n, c, k: as in `pass_at_k`.
        n_run: of a run with so many completions; None for as many as each problem has.
        method: the estimator.

    Raises:
        ValueError: as `pass_at_k`; n < 2k for `UNBIASED`; `n_run` < k.
    """
    import numpy as np

    completions, correct = check_counts(n, c, k)
    if n_run is not None and n_run < k:
        raise ValueError(f"a run of {n_run} completions has no pass@{k}; ask for at least {k}")
    if method is VarianceMethod.BOUND:
        mean = float(pass_at_k(completions, correct, k).mean())
        size = completions if n_run is None else np.full(completions.shape, n_run)
        bound: NDArray[np.float64] = k / size * mean * (1 - mean)
        return bound
    unbiased = method is VarianceMethod.UNBIASED or (method is VarianceMethod.AUTO and int(completions.min()) >= 2 * k)
    if not unbiased:
        return eb_variance(completions, correct, k, n_run=n_run)
    if n_run is None:
        return completion_variance(completions, correct, k)
    return run_variance(completions, correct, k, n_run)


def run_variance(n: ArrayLike, c: ArrayLike, k: int, n_run: int) -> NDArray[np.float64]:
    """The unbiased estimate, float64[m], of each problem's Var(pass@k) in a run of `n_run` completions.

    It is `variance_of_moments` with `C(n - c, s) / C(n, s)` for the s-th power of the chance to fail, which that
    estimates without bias; never negative, and with `n_run` = n it is `completion_variance`.

    Raises:
        ValueError: as `pass_at_k`, with 2k in the place of k; or `n_run` < k.
    """
    completions, correct = check_counts(n, c, 2 * k)
    return each_count(functools.partial(_run_table, n_run=n_run), completions, correct, k)


@functools.lru_cache(maxsize=64)
def _run_table(n: int, k: int, n_run: int) -> NDArray[np.float64]:
    """float64[n + 1]: the estimate at each c; n >= 2k."""
    import numpy as np

    failures = n - np.arange(n + 1)
    moments = [np.ones(n + 1)]
    for step in range(2 * k):
        moments.append(moments[-1] * np.maximum(failures - step, 0) / (n - step))
    table = variance_of_moments(moments, n_run, k)
    table.setflags(write=False)
    return table
