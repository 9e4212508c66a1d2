"""Which sampling temperature is best for a k, and what it scores, without counting the luck of the choice.

The largest of several scores is too high even where all temperatures are equal. So each problem's completions are
split in two: one half chooses the temperature, the other scores it, and the same the other way round. The oracle
choice, as papers make it on the test scores, stands beside it with its bias.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats.comparison import Difference, align, problems_difference
from harness.stats.counts import Counts, Missing
from harness.stats.intervals import LEVEL, Interval, benchmark_interval, problems_interval
from harness.stats.pass_at_k import pass_at_k
from harness.stats.score import BENCHMARK_NOISE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLITS = 20
"""Random halvings that are averaged, so that the answer hardly depends on the seed."""

TEMPERATURE_FIELDS = ("temperature", "sampling.temperature", "config.temperature", "decoding.temperature")
"""Names under which a protocol may carry the temperature; they are what differs here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TemperatureScore:
    """One temperature, by all its completions."""

    temperature: float
    problems: Interval
    benchmark: Interval | None
    chosen_by_first: float
    """In what share of the splits the first half chose it."""
    chosen_by_second: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BestTemperature:
    """The answer for one k; scores are fractions."""

    k: int
    scores: tuple[TemperatureScore, ...]
    """Of all temperatures that were searched, in rising order."""
    temperature: float
    """The one that halves chose most often."""
    cross_fit: Interval
    """What one would score who picks the temperature on other completions."""
    oracle_temperature: float
    oracle: float
    """The largest score, chosen by the very completions that it is computed from."""
    oracle_bias: float
    """Estimated: `oracle` less `cross_fit`."""
    splits: int


def best_temperature(
    by_temperature: Mapping[float, Counts],
    k: int,
    rng: np.random.Generator,
    *,
    level: float = LEVEL,
    splits: int = SPLITS,
    missing: Missing = Missing.ERROR,
    may_differ: Collection[str] = (),
) -> BestTemperature:
    """Chooses by cross-fitting.

    Args:
        by_temperature: counts of the same problems under the same protocol, but for the temperature.
        k: of pass@k.
        rng: splits the completions.
        level: of all intervals.
        splits: how many halvings are averaged.
        missing: what becomes of completions without a verdict.
        may_differ: further fields of the protocols that are no reason to refuse.

    Raises:
        NotComparable: problems or protocols differ by more than the temperature.
        ValueError: no temperatures, no splits, or a half would have fewer than k completions.
    """
    import numpy as np

    temperatures, counts = _aligned(by_temperature, missing, may_differ)
    values, chosen = _cross_fit(counts, k, rng, splits)
    scores = [pass_at_k(one.n, one.c, k) for one in counts]
    means = [float(score.mean()) for score in scores]
    best = int(np.argmax(means))
    cross_fit = problems_interval(values, level, counts[0].cluster)
    return BestTemperature(
        k=k,
        scores=tuple(
            TemperatureScore(
                temperature=temperature,
                problems=problems_interval(score, level, one.cluster),
                benchmark=benchmark_interval(one.n, one.c, k, level, BENCHMARK_NOISE),
                chosen_by_first=float(chosen[0, place]) / splits,
                chosen_by_second=float(chosen[1, place]) / splits,
            )
            for place, (temperature, one, score) in enumerate(zip(temperatures, counts, scores, strict=True))
        ),
        temperature=temperatures[int(np.argmax(chosen.sum(axis=0)))],
        cross_fit=cross_fit,
        oracle_temperature=temperatures[best],
        oracle=means[best],
        oracle_bias=means[best] - cross_fit.estimate,
        splits=splits,
    )


def compare_best_temperatures(
    a: Mapping[float, Counts],
    b: Mapping[float, Counts],
    k: int,
    rng: np.random.Generator,
    *,
    level: float = LEVEL,
    splits: int = SPLITS,
    may_differ: Collection[str] = (),
) -> Difference:
    """B - A on the same problems, each at the temperature that its own other half would have chosen.

    Raises:
        ValueError: the two did not search the same temperatures: whoever searches more gains by it; or as
            `best_temperature`.
    """
    if sorted(a) != sorted(b):
        raise ValueError(
            f"A was searched at temperatures {_listed(a)} and B at {_listed(b)}; search both at the same ones"
        )
    first = _aligned(a, Missing.ERROR, may_differ)[1]
    second = _aligned(b, Missing.ERROR, may_differ)[1]
    second = [align(first[0], one, may_differ=(*TEMPERATURE_FIELDS, *may_differ))[1] for one in second]
    values = _cross_fit(second, k, rng, splits)[0] - _cross_fit(first, k, rng, splits)[0]
    return problems_difference(values, level, first[0].cluster)


def _aligned(
    by_temperature: Mapping[float, Counts], missing: Missing, may_differ: Collection[str]
) -> tuple[list[float], list[Counts]]:
    """Rising temperatures, and their counts with the problems in one order."""
    if not by_temperature:
        raise ValueError("there are no temperatures to choose from; give counts of at least one")
    temperatures = sorted(by_temperature)
    settled = [by_temperature[temperature].settled(missing) for temperature in temperatures]
    allowed = (*TEMPERATURE_FIELDS, *may_differ)
    return temperatures, [settled[0], *(align(settled[0], one, may_differ=allowed)[1] for one in settled[1:])]


def _cross_fit(
    counts: Sequence[Counts], k: int, rng: np.random.Generator, splits: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """float64[m], the score of each problem at the temperature that other completions chose; int64[2, temperatures],
    how often each half chose which."""
    import numpy as np

    if splits < 1:
        raise ValueError(f"splits must be at least 1, got {splits}")
    for one in counts:
        if int(one.n.min()) // 2 < k:
            place = int(one.n.argmin())
            raise ValueError(
                f"problem {one.task_id[place]!r} has {one.n[place]} completions; halves of them give no pass@{k}. "
                f"Draw at least {2 * k} at every temperature"
            )
    total = np.zeros(len(counts[0].task_id))
    chosen = np.zeros((2, len(counts)), dtype=np.int64)
    for _ in range(splits):
        halves = _halves(counts, k, rng)
        for place, other in ((0, 1), (1, 0)):
            best = int(halves[place].mean(axis=1).argmax())
            chosen[place, best] += 1
            total += halves[other][best]
    return total / (2 * splits), chosen


def _halves(
    counts: Sequence[Counts], k: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """pass@k, float64[temperatures, m], of a random half of each problem's completions and of the other half.

    The completions of a problem are exchangeable, so their counts are all that is needed: how many of the passes fall
    into the first half is hypergeometric.
    """
    import numpy as np

    first, second = [], []
    for one in counts:
        odd = (one.n % 2) * rng.integers(0, 2, one.n.size)
        size = one.n // 2 + odd
        passes = rng.hypergeometric(one.c, one.n - one.c, size)
        first.append(pass_at_k(size, passes, k))
        second.append(pass_at_k(one.n - size, one.c - passes, k))
    return np.array(first), np.array(second)


def _listed(temperatures: Collection[float]) -> str:
    return ", ".join(f"{temperature:g}" for temperature in sorted(temperatures))
