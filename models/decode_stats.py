"""What decoding did, counted once and defined once.

A pass is one row in one step: k tokens of one text verified together. Counts of several sessions add up to those of a
run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True, slots=True)
class DecodeStats:
    """Counts that add up."""

    completions: int = 0
    tokens: int = 0
    """Of all completions, as each completion counts its own."""
    passes: int = 0
    """Of texts that were not yet ended."""
    close_calls: int = 0
    """Choices within the reach of rounding, decided by 64-bit logits of the text alone."""
    prompt_tokens: int = 0
    """Run through the model, once for each prompt."""
    cut_prompts: int = 0
    """Prompts of which only the end fitted into the model's context."""
    prompt_s: float = 0.0
    decode_s: float = 0.0
    accepted: dict[int, list[int]] = field(default_factory=dict)
    """k -> how many passes accepted 0, 1, ..., k - 1 drafts. Passes in which the text ended are not among them: what
    they would have accepted is not known."""
    steps: dict[int, int] = field(default_factory=dict)
    """k -> steps over the whole batch."""
    step_s: dict[int, float] = field(default_factory=dict)
    """k -> seconds of these steps."""

    def add_step(self, k: int, seconds: float, passes: int, accepted: Sequence[int]) -> None:
        """One step: its passes, and what those of them accepted in which no text ended."""
        self.passes += passes
        self.decode_s += seconds
        self.steps[k] = self.steps.get(k, 0) + 1
        self.step_s[k] = self.step_s.get(k, 0.0) + seconds
        histogram = self.accepted.setdefault(k, [0] * k)
        for count in accepted:
            histogram[count] += 1

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "accepted": {str(k): list(counts) for k, counts in sorted(self.accepted.items())},
            "steps": {str(k): count for k, count in sorted(self.steps.items())},
            "step_s": {str(k): seconds for k, seconds in sorted(self.step_s.items())},
        }


_NUMBERS = ("completions", "tokens", "passes", "close_calls", "prompt_tokens", "cut_prompts", "prompt_s", "decode_s")
