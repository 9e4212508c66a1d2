"""What two published figures alone can say about their difference, for any problems behind them.

Nothing is known of single problems but that each has a score between 0 and 1 and that their means are the published
figures. That bounds every source of noise: the completions (Hoeffding 1948), the rounding, the choice of the best
temperature, and the choice of problems, where the two models may be alike problem by problem, or opposed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.published.entries import Entry, Metric
from harness.stats.intervals import LEVEL
from harness.stats.published import expected_best

CLAIMS: dict[str, tuple[tuple[str, str], ...]] = {
    "13b": (
        ("gloeckle-s7/13b-n4/humaneval@1", "gloeckle-s7/13b-n1/humaneval@1"),
        ("gloeckle-s7/13b-n4/mbpp@1", "gloeckle-s7/13b-n1/mbpp@1"),
    ),
    "7b-200b": tuple(
        (f"gloeckle-t1/7b-200b-n4/{column}", f"gloeckle-t1/7b-200b-n1/{column}")
        for column in ("humaneval@1", "humaneval@10", "humaneval@100", "mbpp@1", "mbpp@10", "mbpp@100")
    ),
}
"""Name -> (figure, baseline) of each comparison that a paper makes."""

PLAUSIBLE_SPREAD = (0.09, 0.23)
"""Standard deviation over problems of the gain in pass@1 between two models, from a simulation of problems as hard as
HumanEval is for Codex-12B: for nearly the same model (logits that differ by 0.5) and for quite different ones (1.5)."""


class Answer(StrEnum):
    """Whether the published figures show the gain."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    UNDECIDED = "cannot be decided"
    """It depends on the scores of single problems, which are not published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A figure less its baseline; fractions. A `..._half` is half the width of an interval at `level`, or a bound."""

    treated: Entry
    baseline: Entry
    level: float
    gain: float
    rounding: float
    """The true difference of the two measured scores is within this of `gain`."""
    relative: float
    relative_low: float
    relative_high: float
    """What the relative gain may have been before rounding."""
    completions_half: float
    """Noise of the completions of both, at most."""
    selection: float
    """By how much the figure may be too high because it is the best of several, at most; the baseline's is ignored."""
    problems_half_opposed: float
    """Noise of problems and completions together at its largest: no problem is solved by both, each always or never."""
    problems_half_unrelated: float
    """The same with problems that are always or never solved, by either model regardless of the other."""
    spread_needed: float
    """The gain generalises where the standard deviation of the gains of single problems is below this."""

    @property
    def on_these_problems(self) -> Answer:
        """Is the gain more than new completions of the same problems would explain? They may add nothing at all."""
        if self.gain <= self.rounding:
            return Answer.NOT_SHOWN
        most = self.rounding + self.completions_half + self.selection
        return Answer.SHOWN if self.gain > most else Answer.UNDECIDED

    @property
    def on_other_problems(self) -> Answer:
        """Is the gain more than other problems of the kind would explain? They too may add nothing at all."""
        if self.on_these_problems is not Answer.SHOWN:
            return self.on_these_problems
        return Answer.SHOWN if self.gain > self.rounding + self.problems_half_opposed else Answer.UNDECIDED

    @property
    def plausible(self) -> Answer | None:
        """The same for spreads that are seen between models; None where none are known, for k above 1."""
        if self.treated.k != 1 or self.on_these_problems is not Answer.SHOWN:
            return None
        alike, unlike = PLAUSIBLE_SPREAD
        if self.spread_needed > unlike:
            return Answer.SHOWN
        return Answer.UNDECIDED if self.spread_needed > alike else Answer.NOT_SHOWN

    def to_json(self) -> dict[str, Any]:
        return {
            "figure": self.treated.id,
            "baseline": self.baseline.id,
            "gain": self.gain,
            "rounding": self.rounding,
            "relative": self.relative,
            "relative_range": [self.relative_low, self.relative_high],
            "level": self.level,
            "completions_half": self.completions_half,
            "selection": self.selection,
            "problems_half_opposed": self.problems_half_opposed,
            "problems_half_unrelated": self.problems_half_unrelated,
            "spread_needed": self.spread_needed,
            "on_these_problems": self.on_these_problems,
            "on_other_problems": self.on_other_problems,
            "plausible_spread": list(PLAUSIBLE_SPREAD) if self.plausible is not None else None,
            "on_other_problems_if_plausible": self.plausible,
        }


def contrast(treated: Entry, baseline: Entry, level: float = LEVEL) -> Contrast:
    """Bounds the noise of a published difference.

    Raises:
        ValueError: the two are not pass@k of the same task and k, their number of problems is not published, the
            baseline is 0, or the figure is not above it.
    """
    m = _check_pair(treated, baseline)
    z = _quantile(level)
    above, below = treated.fraction, baseline.fraction
    gain = float(treated.value - baseline.value) / 100  # of decimals, so that 30.1 less 30.0 is 0.1 to the last bit
    rounding = (treated.unit + baseline.unit) / 2
    variance_above, variance_below = _completion_bound(treated, m), _completion_bound(baseline, m)
    return Contrast(
        treated=treated,
        baseline=baseline,
        level=level,
        gain=gain,
        rounding=rounding,
        relative=above / below - 1,
        relative_low=(above - treated.unit / 2) / (below + baseline.unit / 2) - 1,
        relative_high=(above + treated.unit / 2) / (below - baseline.unit / 2) - 1,
        completions_half=z * math.sqrt(variance_above + variance_below),
        selection=expected_best(treated.selected_from) * math.sqrt(variance_above),
        # The mean square of the gains is largest where no problem is solved by both, or none is left to neither.
        problems_half_opposed=z * math.sqrt((min(above + below, 2 - above - below) - gain**2) / m),
        problems_half_unrelated=z * math.sqrt((above * (1 - above) + below * (1 - below)) / m),
        spread_needed=max(0.0, gain - rounding) * math.sqrt(m) / z,
    )


def _check_pair(treated: Entry, baseline: Entry) -> int:
    """The number of problems that both figures are means over."""
    for entry in (treated, baseline):
        if entry.metric is not Metric.PASS_AT_K:
            raise ValueError(f"{entry.id} is no pass@k")
        if entry.num_problems is None:
            raise ValueError(f"of {entry.id} it is not published how many problems it is a mean over")
    if (treated.task, treated.k, treated.num_problems) != (baseline.task, baseline.k, baseline.num_problems):
        raise ValueError(f"{treated.id} and {baseline.id} are not the same score of the same problems")
    if not 0 < baseline.value < treated.value:
        raise ValueError(f"{treated.id} is {treated.value}, which is no gain over {baseline.value} of {baseline.id}")
    assert treated.num_problems is not None
    return treated.num_problems


def _completion_bound(entry: Entry, m: int) -> float:
    """Hoeffding's bound on the variance of a mean pass@k; unknown numbers of samples are taken as the fewest, k."""
    assert entry.k is not None
    return entry.k / (entry.num_samples or entry.k) * entry.fraction * (1 - entry.fraction) / m


def _quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))
