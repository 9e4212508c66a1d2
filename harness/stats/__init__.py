"""Numbers from verdicts: pure functions on counts. Importing this loads neither numpy nor scipy."""

from harness.stats.counts import Counts
from harness.stats.intervals import Interval, Target, benchmark_interval, problems_interval
from harness.stats.pass_at_k import pass_at_k

__all__ = ["Counts", "Interval", "Target", "benchmark_interval", "pass_at_k", "problems_interval"]
