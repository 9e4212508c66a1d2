"""Relatives of pass@k: all of k right, a share of k right, the mean, the majority; each without bias from n >= k.

pass^k: Yao et al. 2024, "tau-bench", arXiv 2406.12045. G-Pass@k: Liu et al. 2024, arXiv 2412.13147.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import TYPE_CHECKING

from harness.stats.pass_at_k import check_counts, each_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def avg_at_n(n: ArrayLike, c: ArrayLike) -> NDArray[np.float64]:
    """The share of completions that pass, float64[m]; its own name, because it is pass@1 only where k is 1.

    Raises:
        ValueError: as `pass_at_k`.
    """
    completions, correct = check_counts(n, c, 1)
    share: NDArray[np.float64] = correct / completions
    return share


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """pass^k of each problem, the chance that all of k completions pass: `C(c, k) / C(n, k)`, float64[m].

    Raises:
        ValueError: as `pass_at_k`.
    """
    return g_pass_at_k(n, c, k, 1.0)


def g_pass_at_k(n: ArrayLike, c: ArrayLike, k: int, tau: float) -> NDArray[np.float64]:
    """G-Pass@k of each problem, the chance that at least a share `tau` of k completions pass, float64[m].

    With `tau` = 1 it is pass^k; with any `tau` of at most 1 / k it is pass@k.

    Raises:
        ValueError: as `pass_at_k`, or `tau` is not above 0 and at most 1.
    """
    table = functools.partial(_at_least_table, least=_least(tau, k))
    return each_count(table, *check_counts(n, c, k), k)


def mg_pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """mG-Pass@k of each problem, float64[m]: twice the mean of G-Pass@k over the shares above one half.

    `(2 / k) sum G-Pass@k(i / k)`, i from `ceil(k / 2) + 1` to k; with k = 1 there is no such share and it is 0.

    Raises:
        ValueError: as `pass_at_k`.
    """
    import numpy as np

    completions, correct = check_counts(n, c, k)
    total = np.zeros(completions.shape)
    for least in range(math.ceil(k / 2) + 1, k + 1):
        total += each_count(functools.partial(_at_least_table, least=least), completions, correct, k)
    return total * 2 / k


def g_pass_at_k_variance(n: ArrayLike, c: ArrayLike, k: int, tau: float) -> NDArray[np.float64]:
    """The unbiased estimate, float64[m], of each problem's Var(G-Pass@k) over new completions.

    The square of the estimate, less the estimate of the square of what it estimates: the chance that two sets of k
    completions with none in common both have their share. It can be below 0, as an unbiased estimate must; with a `tau`
    of 1 it is that of pass^k.

    Raises:
        ValueError: as `pass_at_k` with 2k in the place of k, or `tau` is not above 0 and at most 1.
    """
    table = functools.partial(_variance_table, least=_least(tau, k))
    return each_count(table, *check_counts(n, c, 2 * k), k)


def pass_hat_k_variance(n: ArrayLike, c: ArrayLike, k: int) -> NDArray[np.float64]:
    """The unbiased estimate, float64[m], of each problem's Var(pass^k): `(C(c,k)/C(n,k))^2 - C(c,2k)/C(n,2k)`.

    Raises:
        ValueError: as `pass_at_k`, with 2k in the place of k.
    """
    return g_pass_at_k_variance(n, c, k, 1.0)


def maj_at_k(answers: Sequence[Sequence[str]], correct: Sequence[Sequence[bool]], k: int) -> NDArray[np.float64]:
    """The chance, float64[m], that the most frequent answer among k completions is correct.

    For programs an answer is what they put out, because their text is hardly ever the same twice. Where several answers
    are the most frequent, one of them is taken by lot.

    Args:
        answers: the answer of each completion, per problem.
        correct: whether it is correct, in the same order; the same answer must always be the same.
        k: completions a user would draw.

    Raises:
        ValueError: as `pass_at_k`; the two do not match; or an answer is both correct and not.
    """
    import numpy as np

    if len(answers) != len(correct):
        raise ValueError(f"answers has {len(answers)} problems and correct has {len(correct)}")
    check_counts(np.array([len(row) for row in answers], dtype=int), np.zeros(len(answers), dtype=int), k)
    return np.array([_majority(row, marks, k) for row, marks in zip(answers, correct, strict=True)])


def _least(tau: float, k: int) -> int:
    """How many of k must pass; a share such as 0.1 of 10 is one of them, whatever the last bit of 0.1 is."""
    if not 0 < tau <= 1:
        raise ValueError(f"tau is a share above 0 and at most 1, 0.5 for example; got {tau!r}")
    return max(1, math.ceil(tau * k - 1e-9))


@functools.lru_cache(maxsize=64)
def _draws(n: int, k: int) -> NDArray[np.float64]:
    """float64[n + 1, k + 1]: the chance of j passes among k drawn, at each c. Whole numbers divided once: exact."""
    import numpy as np

    total = comb(n, k)
    table = np.array([[comb(c, j) * comb(n - c, k - j) / total for j in range(k + 1)] for c in range(n + 1)])
    table.setflags(write=False)
    return table


def _at_least_table(n: int, k: int, least: int) -> NDArray[np.float64]:
    """float64[n + 1]: the chance of at least `least` passes among k, at each c."""
    import numpy as np

    return np.asarray(np.minimum(_draws(n, k)[:, least:].sum(axis=1), 1.0))


@functools.lru_cache(maxsize=64)
def _variance_table(n: int, k: int, least: int) -> NDArray[np.float64]:
    """float64[n + 1]: the variance estimate at each c; n >= 2k."""
    import numpy as np

    first = _draws(n, k)
    rest = _at_least_table(n - k, k, least)  # among the n - k that the first set left
    c = np.arange(n + 1)[:, None]
    passes = np.arange(least, k + 1)[None, :]
    left = np.clip(c - passes, 0, n - k)  # where it is clipped, the first set's chance is 0
    both = (first[:, least:] * rest[left]).sum(axis=1)
    table: NDArray[np.float64] = _at_least_table(n, k, least) ** 2 - both
    table.setflags(write=False)
    return table


def _majority(answers: Sequence[str], correct: Sequence[bool], k: int) -> float:
    """maj@k of one problem."""
    marks: dict[str, bool] = {}
    for answer, mark in zip(answers, correct, strict=True):
        if marks.setdefault(answer, mark) != mark:
            raise ValueError(f"the answer {answer!r} is marked correct in one place and wrong in another")
    sizes = Counter(answers)
    right = [answer for answer, mark in marks.items() if mark]
    others = {answer: [size for name, size in sizes.items() if name != answer] for answer in right}
    return sum(_wins(sizes[answer], others[answer], k) for answer in right) / comb(len(answers), k)


def _wins(size: int, others: Sequence[int], k: int) -> float:
    """How many of all sets of k have this answer in front, sets with ties counted by the lot's chance.

    With t others level the lot gives `1 / (t + 1)`, which is the integral of y^t from 0 to 1: a polynomial, so
    Gauss-Legendre nodes give it exactly.
    """
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(k // 2 + 2)
    total = 0.0
    for count in range(1, min(size, k) + 1):
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            rest = k - count
            ways = np.zeros(rest + 1)
            ways[0] = 1.0
            for other in others:
                most = min(other, count, rest)
                factor = np.array([comb(other, i) * (node if i == count else 1.0) for i in range(most + 1)])
                ways = np.convolve(ways, factor)[: rest + 1]
            total += float(weight) * comb(size, count) * float(ways[rest])
    return total
