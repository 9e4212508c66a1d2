"""`bench training`: what further heads cost in training, beside the paper's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.train_bench import TrainingCost


def measure(turns: int) -> list[TrainingCost]:
    """Models of 1, 2 and 4 future tokens at a vocabulary of 32,000."""
    from models.train_bench import training_costs

    return training_costs(turns=turns)


def as_text(costs: Sequence[TrainingCost]) -> str:
    """A table; times and memory beside those of next-token prediction."""
    from models.train_bench import PAPER_TIMES

    plain = costs[0]
    lines = [f"{'heads':<10}{'gradients':<16}{'s/step':>8}{'time':>8}{'peak MB':>9}{'memory':>8}"]
    for cost in costs:
        way = "head by head" if cost.sequential else "all at once"
        lines.append(
            f"{cost.num_future_tokens:<10}{way:<16}{cost.seconds:8.3f}{cost.seconds / plain.seconds:8.2f}"
            f"{cost.peak_bytes / 1e6:9.1f}{cost.peak_bytes / plain.peak_bytes:8.2f}"
        )
    lines.append("time in the paper's table S5, 2 and 4 heads:")
    lines.append("  " + ", ".join(f"{size} {times[2]:.2f} {times[4]:.2f}" for size, times in PAPER_TIMES.items()))
    lines.append("(there a vocabulary of 32,000 is a small part of the work; in a small model it is most of it)")
    return "\n".join(lines)


def as_json(costs: Sequence[TrainingCost]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [asdict(cost) for cost in costs]
