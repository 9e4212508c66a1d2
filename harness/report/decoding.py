"""What speculative decoding did, from its counts: each figure defined in one place.

A pass is one text in one step: k tokens of it verified together, of which k - 1 are drafts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def decoding_figures(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """The entry `decoding` of results.json.

    Args:
        statistics: the counts of `models.decode_stats`, summed over sessions.

    Returns:
        `tokens_per_forward`: tokens of all completions over passes; each pass gives one token of its own (the bonus
        token of other texts) besides the drafts it accepts. `accepted_histogram`: k -> passes that accepted 0, 1, ...
        drafts; passes in which a text ended are not in it, because what they would have accepted is not known.
        `accepted_by_position`: of the passes that drafted at least j tokens, the share that accepted j or more, for
        j = 1, 2, ... `acceptance_rate`: drafts accepted over drafts made. `step_seconds`: k -> mean seconds of a step.
        `step_cost_ratio`: c(k), the same beside a step over one token, where there were any. `speedup_estimate`: tokens
        per forward over the mean cost of a pass, what decoding has gained over plain steps of this very run; batches of
        a run are of unlike size, so `bench decode` is where it is measured. `tokens_per_second`: of decoding, prompts
        and judging left out.
    """
    histogram = {int(k): counts for k, counts in statistics["accepted"].items()}
    steps, step_s = statistics["steps"], statistics["step_s"]
    seconds = {k: _over(step_s[k], steps[k]) for k in steps}
    plain = seconds.get("1")
    tokens_per_forward = _over(statistics["tokens"], statistics["passes"])
    mean_cost = _over(sum(step_s.values()), sum(steps.values()) * plain) if plain else None
    return {
        "completions": statistics["completions"],
        "tokens": statistics["tokens"],
        "passes": statistics["passes"],
        "tokens_per_forward": tokens_per_forward,
        "accepted_histogram": {str(k): counts for k, counts in sorted(histogram.items())},
        "accepted_by_position": _by_position(histogram),
        "acceptance_rate": _over(
            sum(j * count for counts in histogram.values() for j, count in enumerate(counts)),
            sum((k - 1) * sum(counts) for k, counts in histogram.items()),
        ),
        "steps": dict(steps),
        "step_seconds": seconds,
        "step_cost_ratio": {k: second / plain for k, second in seconds.items() if second} if plain else {},
        "speedup_estimate": tokens_per_forward / mean_cost if tokens_per_forward and mean_cost else None,
        "tokens_per_second": _over(statistics["tokens"], statistics["decode_s"]),
        "decode_seconds": statistics["decode_s"],
        "prompt_tokens": statistics["prompt_tokens"],
        "prompt_seconds": statistics["prompt_s"],
        "close_calls": statistics["close_calls"],
        "cut_prompts": statistics["cut_prompts"],
    }


def _by_position(histogram: Mapping[int, Sequence[int]]) -> list[float | None]:
    shares = []
    for j in range(1, max(histogram, default=1)):
        drafted = [counts for k, counts in histogram.items() if k > j]
        shares.append(_over(sum(sum(counts[j:]) for counts in drafted), sum(map(sum, drafted))))
    return shares


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def decoding_rows(decoding: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The same for people, as rows of a table."""
    shares = [f"{100 * share:.1f} %" for share in decoding["accepted_by_position"] if share is not None]
    steps = ", ".join(f"{count} of {k}" for k, count in decoding["steps"].items())
    rows: list[tuple[str, object]] = [
        ("tokens per forward", _number(decoding["tokens_per_forward"])),
        ("accepted up to each draft", ", ".join(shares) or "nothing was drafted"),
        ("steps over k tokens", steps),
        ("tokens per second", _number(decoding["tokens_per_second"], 0)),
    ]
    if decoding["step_cost_ratio"]:
        costs = ", ".join(f"{ratio:.2f} for {k}" for k, ratio in decoding["step_cost_ratio"].items())
        rows.append(("cost of a step beside one over 1 token", costs))
        rows.append(("estimated gain over plain decoding", f"{_number(decoding['speedup_estimate'])} times"))
    if decoding["close_calls"]:
        rows.append(("close calls decided in 64 bits", f"{decoding['close_calls']} of {decoding['tokens']} tokens"))
    if decoding["cut_prompts"]:
        rows.append(("prompts cut to the model's context", decoding["cut_prompts"]))
    return rows


def _number(value: float | None, digits: int = 2) -> str:
    return "not known" if value is None else f"{value:.{digits}f}"
