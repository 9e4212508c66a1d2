"""Tests of "no difference" on the same problems: exact sign-flip, and McNemar's where each has one completion.

Not offered: Wilcoxon's signed ranks, which rejects equal means where gains and losses differ in shape; and tests that
ignore the pairing, which hardly ever find anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.stats.lattice import signed_sum_tail

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def signflip_pvalue(differences: ArrayLike) -> float:
    """Two-sided: how often a sum this far from 0 would come out if every difference could as well be the other way.

    All sign patterns are counted, without a seed. It is exact for up to 20 problems that differ and for values with a
    common unit that is not too fine, such as c / n; else up to a rounding of thousandths of a standard deviation.

    Raises:
        ValueError: no differences, or one that is no number.
    """
    import numpy as np

    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.all(np.isfinite(values)):
        raise ValueError("differences must hold one number for each of at least 1 problem")
    return signed_sum_tail(values)


def mcnemar_pvalue(wins: int, losses: int, *, mid_p: bool = False) -> float:
    """Two-sided: `wins` problems that only the one solves, `losses` that only the other does, with one completion each.

    Args:
        wins, losses: discordant problems.
        mid_p: count the outcome that came for one half: less conservative, and no longer a guarantee.

    Raises:
        ValueError: a count is negative.
    """
    from scipy.special import bdtr

    if wins < 0 or losses < 0:
        raise ValueError(f"wins and losses count problems; got {wins} and {losses}")
    fewer, total = min(wins, losses), wins + losses
    if total == 0:
        return 1.0
    tail = float(bdtr(fewer, total, 0.5))
    outcome = tail - (float(bdtr(fewer - 1, total, 0.5)) if fewer else 0.0)
    if wins == losses:
        return 1.0 - outcome / 2 if mid_p else 1.0
    return min(1.0, 2 * tail - (outcome if mid_p else 0.0))
