"""A run beside a published figure: can noise explain the difference, and is equality shown?

The published figure is a run of somebody else on the same problems, known by its mean alone. If both runs draw from the
same model, the difference has the noise of both sets of completions and of the rounding, and nothing else: the problems
are the same, so their choice adds none. "Not inconsistent" is not "reproduced"; that takes two one-sided tests against
a margin (Schuirmann 1987).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.stats.difficulty import PSEUDO_PROBLEM, Difficulty, beta_variance, eb_variance, fit_difficulty
from harness.stats.intervals import GUARD, LEVEL, Noise, choose_noise, completion_variance, t_quantile
from harness.stats.pass_at_k import check_counts, pass_at_k
from harness.stats.variance import run_variance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

MARGIN = 0.02
"""Scores that differ by less than this are taken as equal: 2 points."""

POWER = 0.8
"""What `needed_n` promises: equal models are then shown to be equal this often."""

MOST_SAMPLES = 1_000_000
"""Beyond so many samples per problem nobody is told to draw more."""


class Consistency(StrEnum):
    """Whether the noise of the two runs explains their difference."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"


class Equality(StrEnum):
    """Whether the two scores are shown to differ by less than the margin."""

    REPRODUCED = "reproduced"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """The answer of `compare_to_published`; scores, errors and bounds are fractions, not percent."""

    consistency: Consistency
    equality: Equality
    ours: float
    published: float
    num_samples: int
    """Ours, of the problem that has fewest."""
    low: float
    high: float
    """Where a faithful run like the published one would have come out, with `level`."""
    p_value: float
    """Two-sided, that a faithful run differs from ours by at least so much."""
    level: float
    method: str
    """`ustat_t`: unbiased variances of both runs out of our counts; `eb_t`: by empirical Bayes, where these need more
    samples (n < 2k); `bound`: Hoeffding's bound in their place, because our counts do not identify them; the test then
    flags less than it could. `bound_greedy`: see the argument."""
    df: float
    se_ours: float
    se_published: float
    """The published figure's own sampling error and rounding."""
    selection: float
    """By how much the published figure may be too high because it is the best of several."""
    margin: float
    gap_low: float
    gap_high: float
    """The interval of two one-sided tests for our true score less theirs; inside the margin: reproduced."""
    needed_n: int | None
    """Samples per problem of ours that would show equality, were the models equal, 8 times in 10; None: no number."""


def compare_to_published(
    n: ArrayLike,
    c: ArrayLike,
    k: int,
    published: float,
    *,
    unit: float,
    n_published: int | None = None,
    selected_from: int = 1,
    greedy: bool = False,
    margin: float = MARGIN,
    level: float = LEVEL,
) -> Reproduction:
    """Tests our counts against a published pass@k of the same problems under the same protocol.

    Args:
        n, c, k: ours, as in `pass_at_k`.
        published: a fraction.
        unit: the step of its last printed decimal, 0.001 for 50.3 percent: it was rounded by up to half of that.
        n_published: its samples per problem; None where unknown, which is taken as the fewest there can be, k.
        selected_from: it is the best of so many settings, chosen by this score; only the lower side gets wider.
        greedy: both runs are greedy. Greedy decoding has no sampling noise, but engines, batch sizes and number formats
            flip verdicts, and nobody can say how many; the bound of one sampled completion is put in its place.
        margin: scores that differ by less count as equal.
        level: of the test of consistency; each of the two tests of equality errs with the chance 1 - level.

    Raises:
        ValueError: as `pass_at_k`; `published` outside 0..1; fewer than k samples published; greedy and k above 1; a
            margin or level that is not between 0 and 1.
    """
    completions, correct = check_counts(n, c, k)
    _check(published, k, n_published, selected_from, margin, level)
    if greedy and k > 1:
        raise ValueError(f"greedy decoding has one answer to each problem, and no pass@{k}")
    ours = float(pass_at_k(completions, correct, k).mean())
    theirs = n_published or k
    noise = _noise(completions, correct, k, (ours + published) / 2, theirs, greedy=greedy)
    rounding = unit**2 / 12
    completions_only = noise.ours + noise.published
    se = math.sqrt(completions_only + rounding)
    # The variance of rounding is known, that of completions only so well as its degrees of freedom say (Satterthwaite).
    df = noise.df * (1 + rounding / completions_only) ** 2 if completions_only else math.inf
    selection = expected_best(selected_from) * math.sqrt(noise.published)
    gap = ours - published
    tail = 1 - level
    half, half_equal = (t_quantile(df, two_sided) * se for two_sided in (level, 1 - 2 * tail))
    beyond = min(0.0, gap + selection) if gap < 0 else gap
    p_value = 2 * _upper_tail(df, abs(beyond) / se) if se else float(beyond == 0)
    gap_low, gap_high = gap - half_equal, gap + half_equal + selection
    reproduced = -margin < gap_low and gap_high < margin
    settles = _needed_n(noise, df, k, margin - selection, rounding, tail)
    return Reproduction(
        consistency=Consistency.CONSISTENT if p_value >= tail else Consistency.INCONSISTENT,
        equality=Equality.REPRODUCED if reproduced else Equality.NOT_SHOWN,
        ours=ours,
        published=published,
        num_samples=int(completions.min()),
        low=max(0.0, ours - half),
        high=min(1.0, ours + half + selection),
        p_value=min(1.0, p_value),
        level=level,
        method=noise.method,
        df=df,
        se_ours=math.sqrt(noise.ours),
        se_published=math.sqrt(noise.published + rounding),
        selection=selection,
        margin=margin,
        gap_low=gap_low,
        gap_high=gap_high,
        needed_n=None if gap_low > margin or gap_high < -margin else settles,
    )


# ---------------------------------------------------------------------------------------------------------------------
# The noise of both runs
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Noise:
    """Variances of the two means."""

    method: str
    ours: float
    published: float
    df: float
    ours_at: Callable[[int], float]
    """The variance of our mean, had we so many samples."""


def _noise(
    n: NDArray[np.int64], c: NDArray[np.int64], k: int, score: float, n_published: int, *, greedy: bool
) -> _Noise:
    """`score` is what both runs have in common if they agree."""
    m = n.size
    bound = functools.partial(_bound, k=k, score=score, m=m)
    if greedy:
        one = bound(1)
        return _Noise(method="bound_greedy", ours=one, published=one, df=math.inf, ours_at=lambda _: one)
    # On a suite where nearly all or nearly no problems are solved, the rare others may all be absent from our counts.
    kind = choose_noise(Noise.AUTO, n, k)
    fewest = int(n.min())
    if kind is None or m * min(score, 1 - score) < GUARD:
        return _Noise(method="bound", ours=bound(fewest), published=bound(n_published), df=math.inf, ours_at=bound)
    unbiased = kind is Noise.UNBIASED
    of_run = (
        functools.partial(run_variance, n, c, k)
        if unbiased
        else functools.partial(_eb_run_variance, n, c, k, fit_difficulty(n, c))
    )
    own = completion_variance(n, c, k) if unbiased else eb_variance(n, c, k)
    ours = _with_pseudo(own, k, fewest)
    published = _with_pseudo(of_run(n_published), k, n_published)
    both = ours + published
    # Satterthwaite (1946): twice the square of the sum over its variance, which the sum of squares is at least. The
    # variances of empirical Bayes are smoothed over problems, so that theirs is no such bound.
    df = (2 if unbiased else 1) * float(both.sum()) ** 2 / float((both**2).sum())
    return _Noise(
        method="ustat_t" if unbiased else "eb_t",
        ours=float(ours.mean()) / m,
        published=float(published.mean()) / m,
        df=df,
        ours_at=lambda n_run: float(_with_pseudo(of_run(n_run), k, n_run).mean()) / m,
    )


def _eb_run_variance(
    n: NDArray[np.int64], c: NDArray[np.int64], k: int, law: Difficulty, n_run: int
) -> NDArray[np.float64]:
    return eb_variance(n, c, k, n_run=n_run, difficulty=law)


def _bound(n: int, k: int, score: float, m: int) -> float:
    """Hoeffding's bound (1948) on the variance of a mean pass@k, whatever the problems."""
    return k / n * score * (1 - score) / m


def _with_pseudo(variances: NDArray[np.float64], k: int, n_run: int) -> NDArray[np.float64]:
    """The variances and that of one imagined problem, so that problems that always or never pass claim some noise."""
    import numpy as np

    return np.append(variances, beta_variance(*PSEUDO_PROBLEM, n_run, k))


# ---------------------------------------------------------------------------------------------------------------------
# What would settle it
# ---------------------------------------------------------------------------------------------------------------------


def _needed_n(noise: _Noise, df: float, k: int, room: float, rounding: float, tail: float) -> int | None:
    """The fewest samples per problem that leave the interval of the equality test inside the margin, with `POWER`."""
    quantile = t_quantile(df, 1 - 2 * tail) + t_quantile(math.inf, POWER)

    def settles(n_run: int) -> bool:
        return quantile * math.sqrt(noise.ours_at(n_run) + noise.published + rounding) <= room

    if room <= 0 or not settles(MOST_SAMPLES):
        return None
    too_few, enough = k - 1, MOST_SAMPLES
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if settles(middle) else (middle, enough)
    return enough


def expected_best(count: int) -> float:
    """The expected largest of so many standard normal draws."""
    import numpy as np
    from scipy.special import ndtr

    if count == 1:
        return 0.0
    x = np.linspace(-9, 9, 4001)
    density = count * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi) * ndtr(x) ** (count - 1)
    return float((x * density).sum() * (x[1] - x[0]))


def _upper_tail(df: float, value: float) -> float:
    """The chance of more than `value` under the t law; the normal one where `df` is infinite."""
    from scipy.special import ndtr, stdtr

    return float(ndtr(-value) if math.isinf(df) else stdtr(df, -value))


def _check(published: float, k: int, n_published: int | None, selected_from: int, margin: float, level: float) -> None:
    if not 0 <= published <= 1:
        raise ValueError(f"the published score must be a fraction between 0 and 1, not {published}; 50.3 % is 0.503")
    if n_published is not None and n_published < k:
        raise ValueError(f"pass@{k} cannot come from {n_published} samples per problem")
    if selected_from < 1:
        raise ValueError(f"a figure is the best of at least 1, not of {selected_from}")
    for name, value in (("margin", margin), ("level", level)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {value}")
