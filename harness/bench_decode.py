"""`bench decode`: speculative beside plain decoding beside transformers, and what a step over k tokens costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from harness.config import RunConfig, UsageError
from harness.generation import requests_for, wanted

if TYPE_CHECKING:
    from models.decode_bench import StepCost, Timing

PAPER_COSTS = {2: 1.05, 3: 1.09, 4: 1.15}
"""Cost of a step over k tokens beside one: tokens per forward over speed-up, Table S2 of Gloeckle et al. 2024, code."""
PAPER_TOKENS = {1: 1.0, 2: 1.94, 3: 2.78, 4: 3.50}
"""Tokens per forward of the same table."""


def measure(config: RunConfig, *, batch_sizes: Sequence[int], turns: int) -> list[Timing]:
    """Completes the problems of a task in every way there is.

    Raises:
        UsageError: the model is none of ours.
        models.backend.ModelUnavailable: it cannot be loaded.
    """
    from models.decode_bench import measure

    kind, _, place = config.model.partition(":")
    if kind != "mtp":
        raise UsageError(f"bench decode measures a model of ours, not {config.model}; type --model mtp:DIR")
    task = config.load_task()
    problems = {problem.task_id: problem for problem in task.load()[: config.limit]}
    requests, sampling = requests_for(config, task, problems, wanted(config, problems.values()))
    # Without stop strings, which transformers looks for in a way of its own: tokens are what is measured.
    return list(measure(place, requests, replace(sampling, stops=()), batch_sizes, turns))


def step_costs(shape: str, batch_size: int) -> list[StepCost]:
    """What steps of a shape cost on this machine's best device.

    Raises:
        UsageError: there is no such shape.
        models.backend.ModelUnavailable: it does not fit here.
    """
    from models.decode_bench import SHAPES, step_costs

    if shape not in SHAPES:
        raise UsageError(f"unknown shape {shape!r}; accepted: {', '.join(SHAPES)}")
    return step_costs(shape, batch_size)


def as_text(timings: Iterable[Timing]) -> str:
    """A table. `tokens/s` has everything in it; `decoding` leaves out the prompts, and so does the speed-up over plain
    decoding, beside which stands what tokens per forward and the cost of a step promise."""
    lines = []
    for batch_size, group in _by_batch(timings).items():
        lines.append(f"batch {batch_size}: {next(iter(group.values())).tokens} tokens, medians of turns")
        names = (("tokens/s", 10), ("spread", 14), ("decoding", 10), ("tok/fwd", 9), ("c(k)", 7), ("speed-up", 10))
        lines.append(f"  {'':14}" + "".join(f"{name:>{width}}" for name, width in (*names, ("promised", 10))))
        lines += [_line(timing, group) for timing in group.values()]
        best = max((one for one in group.values() if one.path != "transformers"), key=lambda one: one.tokens_per_s)
        if "transformers" in group:
            ratio = best.tokens_per_s / group["transformers"].tokens_per_s
            lines.append(f"  {best.path} beside transformers' generate: {ratio:.2f} times its tokens per second")
        else:
            lines.append("  transformers is not installed: pip install 'mtp-harness[hf]' to measure its generate too")
        lines.append("")
    return "\n".join(lines)


def _by_batch(timings: Iterable[Timing]) -> dict[int, dict[str, Timing]]:
    groups: dict[int, dict[str, Timing]] = {}
    for timing in timings:
        groups.setdefault(timing.batch_size, {})[timing.path] = timing
    return groups


def _line(timing: Timing, group: Mapping[str, Timing]) -> str:
    plain = group["k=1"]
    slowest, fastest = (timing.tokens / second for second in (max(timing.seconds), min(timing.seconds)))
    cost = timing.step_s / plain.step_s if timing.step_s and plain.step_s else None
    promised = timing.tokens_per_forward / cost if cost and timing.tokens_per_forward else None
    decoding, plainly = timing.decode_tokens_per_s, plain.decode_tokens_per_s
    speed_up = decoding / plainly if decoding and plainly else timing.tokens_per_s / plain.tokens_per_s
    return (
        f"  {timing.path:14}{timing.tokens_per_s:10.0f}{f'{slowest:.0f} to {fastest:.0f}':>14}"
        f"{'' if decoding is None else f'{decoding:.0f}':>10}"
        f"{_figure(timing.tokens_per_forward):>9}{_figure(cost):>7}{speed_up:10.2f}{_figure(promised):>10}"
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def as_json(timings: Iterable[Timing]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [timing.to_json() for timing in timings]


def costs_as_text(shape: str, costs: Sequence[StepCost]) -> str:
    """What steps over k tokens cost, beside the paper, with the speed-up at the paper's acceptance."""
    plain = costs[0].seconds
    lines = [
        f"shape {shape}, random weights, batch {costs[0].batch_size}, "
        f"{costs[0].bandwidth_bytes_per_s / 1e9:.0f} GB/s measured by copying",
        f"{'k':>3}{'ms/step':>10}{'c(k)':>8}{'paper':>8}{'of bandwidth':>14}"
        f"{'speed-up at the acceptance of Table S2':>40}",
    ]
    for cost in costs:
        ratio = cost.seconds / plain
        speed_up = PAPER_TOKENS[cost.k] / ratio if cost.k in PAPER_TOKENS else None
        lines.append(
            f"{cost.k:3}{1000 * cost.seconds:10.3f}{ratio:8.3f}{_figure(PAPER_COSTS.get(cost.k)):>8}"
            f"{100 * cost.share_of_bandwidth:12.0f} %{_figure(speed_up):>40}"
        )
    return "\n".join(lines)


def costs_as_json(costs: Sequence[StepCost]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [{**asdict(cost), "share_of_bandwidth": cost.share_of_bandwidth} for cost in costs]
