"""Corrections of p-values where several comparisons are made: Holm's, Benjamini and Hochberg's, and the largest |t|."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

DRAWS = 100_000
"""Of the joint law of correlated t statistics: a p-value of 0.05 has a standard error of 0.0007."""


class Correction(StrEnum):
    """What is kept small."""

    HOLM = "holm"
    """The chance of any false claim in the family (Holm 1979)."""
    BH = "bh"
    """The share of false claims among all claims (Benjamini and Hochberg 1995): for exploring."""
    MAX_T = "max_t"
    """As Holm's, by the joint law of the statistics: sharper where they are correlated, as pass@k of many k are."""


def adjust_pvalues(p: ArrayLike, method: Correction = Correction.HOLM) -> NDArray[np.float64]:
    """The adjusted p-values, float64[q], in the order they came.

    Raises:
        ValueError: none, or one outside 0..1; or the method is `MAX_T`, which needs the statistics.
    """
    import numpy as np

    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError("p must hold at least one p-value, each between 0 and 1")
    if method is Correction.MAX_T:
        raise ValueError("max_t needs the statistics and their correlation; call max_t_pvalues")
    order = np.argsort(values, kind="stable")
    rank = np.arange(values.size)
    if method is Correction.HOLM:
        ordered = np.maximum.accumulate(values[order] * (values.size - rank))
    else:
        ordered = np.minimum.accumulate((values[order] * values.size / (rank + 1))[::-1])[::-1]
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(ordered, 1.0)
    return adjusted


def joint_t(
    columns: NDArray[np.float64], df: float, rng: np.random.Generator, draws: int = DRAWS
) -> NDArray[np.float64]:
    """float64[draws, q]: |t| of statistics with the correlation of these columns, all nulls true.

    Args:
        columns: float64[m, q], what each statistic is the mean of, problem by problem.
        df: degrees of freedom that all share.
        rng: draws from the joint law, not from the problems.

    Raises:
        ValueError: there is one problem only.
    """
    import numpy as np

    if df < 1:
        raise ValueError("the joint law of the statistics takes 2 or more problems")
    spread = columns.std(axis=0)
    standard = (columns - columns.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    correlation = standard.T @ standard / columns.shape[0]
    eigenvalues, vectors = np.linalg.eigh(correlation)
    factor = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    drawn: NDArray[np.float64] = np.abs(rng.standard_normal((draws, columns.shape[1])) @ factor.T)
    if not math.isinf(df):
        drawn /= np.sqrt(rng.chisquare(df, (draws, 1)) / df)
    return drawn


def max_t_pvalues(
    statistics: ArrayLike, columns: NDArray[np.float64], df: float, rng: np.random.Generator, draws: int = DRAWS
) -> NDArray[np.float64]:
    """The adjusted p-values, float64[q], step down (Westfall and Young 1993).

    Each is the chance that the largest |t| among it and all that are smaller would reach it, all nulls true, and no
    less than that of any larger one.

    Args: as `joint_t`; `statistics` are the q values of t.
    """
    import numpy as np

    sizes = np.abs(np.asarray(statistics, dtype=np.float64))
    rising = np.argsort(sizes, kind="stable")
    largest = np.maximum.accumulate(joint_t(columns, df, rng, draws)[:, rising], axis=1)
    chances = ((largest >= sizes[rising]).sum(axis=0) + 1) / (draws + 1)
    adjusted = np.empty_like(sizes)
    adjusted[rising] = np.maximum.accumulate(chances[::-1])[::-1]
    return adjusted


def max_t_critical(
    columns: NDArray[np.float64], df: float, level: float, rng: np.random.Generator, draws: int = DRAWS
) -> float:
    """What the largest |t| of the family exceeds with the chance 1 - `level`, all nulls true."""
    import numpy as np

    return float(np.quantile(joint_t(columns, df, rng, draws).max(axis=1), level))
