"""Numbers from verdicts: pure functions on counts. Importing this loads neither numpy nor scipy."""

from harness.stats.comparison import Comparison, Finding, compare
from harness.stats.counts import Counts, Missing
from harness.stats.gate import Decision, GatePlan, GateResult, confirm, gate, gate_chances, run_gate
from harness.stats.intervals import Interval, Noise, Target, benchmark_interval, problems_interval
from harness.stats.pass_at_k import estimate_pass_at_k, pass_at_k
from harness.stats.protocol import NotComparable
from harness.stats.score import Score, confidence_interval, score

__all__ = [
    "Comparison",
    "Counts",
    "Decision",
    "Finding",
    "GatePlan",
    "GateResult",
    "Interval",
    "Missing",
    "Noise",
    "NotComparable",
    "Score",
    "Target",
    "benchmark_interval",
    "compare",
    "confidence_interval",
    "confirm",
    "estimate_pass_at_k",
    "gate",
    "gate_chances",
    "pass_at_k",
    "problems_interval",
    "run_gate",
    "score",
]
