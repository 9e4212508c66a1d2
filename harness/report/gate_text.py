"""The gate for people: what to expect before it begins, and the answer with all it rests on; percent and points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.gate_record import GateRecord, GateSide
from harness.stats.gate import GateResult


def render_preflight(record: GateRecord) -> str:
    """The pinned baseline, how it will be looked at, and the chances of a checkpoint that has not changed."""
    plan, baseline, preflight = record.plan, record.baseline, record.preflight
    lines = [
        f"baseline, pinned: {baseline.run} ({baseline.model}); {baseline.identity}",
        f"gate: {record.task} pass@{plan.k}, margin {100 * plan.margin:g} points, target {plan.target.value}, "
        f"alpha {plan.alpha:g}",
    ]
    if preflight is not None:
        chances = preflight.chances
        lines += [
            f"how: {preflight.how}",
            f"an unchanged checkpoint: PASS {_share(chances.passed)}, FAIL {_share(chances.failed)}, INCONCLUSIVE "
            f"{_share(chances.inconclusive)}; {chances.mean_n:.1f} samples of each problem on average"
            f"{_confirmation(record)}",
            *(f"warning: {warning}" for warning in preflight.warnings),
        ]
    return "\n".join(lines) + "\n"


def _confirmation(record: GateRecord) -> str:
    if not record.plan.confirm_on_fail or record.preflight is None:
        return ""
    return f"; a FAIL needs fresh samples to say the same, which leaves at most {_share(record.preflight.false_fail)}"


def render_gate(record: GateRecord) -> str:
    """The answer on the first line, then the looks, and what it rests on.

    Args:
        record: with a result.
    """
    result = record.result
    assert result is not None
    parts = [
        f"{result.decision.value}: {result.reason}.",
        _table(("look", "n", "candidate", "difference", "lower", "upper", "alpha spent", "says"), _looks(record)),
        "\n".join(f"- {name}: {value}" for name, value in _facts(record, result) if value != ""),
        *record.notes,
        *(note for note in result.notes if record.preflight is None or not record.preflight.warnings),
    ]
    return "\n\n".join(part for part in parts if part)


def _looks(record: GateRecord) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = [
        (
            f"{look.look} of {look.num_looks}",
            look.n_candidate,
            _percent(look.candidate),
            _signed(look.difference),
            _signed(look.lower),
            _signed(look.upper),
            f"{look.alpha_spent:.4f}",
            _said(look),
        )
        for look in record.looks
    ]
    again = record.confirming
    if again is not None and record.result is not None:
        bounds = (_signed(again.difference), _signed(again.lower), _signed(again.upper))
        score = _percent(record.result.candidate)
        rows.append(("fresh", again.candidate.n, score, *bounds, "", record.result.confirmation.value))
    return rows


def _said(look: GateResult) -> str:
    """A FAIL that waits for its confirmation is INCONCLUSIVE to a program, but not to a reader."""
    waits = look.confirmation.value == "needed"
    return "FAIL, to be confirmed" if waits else look.decision.value


def _facts(record: GateRecord, result: GateResult) -> list[Sequence[object]]:
    plan = record.plan
    baseline, candidate = record.baseline, record.candidate
    shown = record.looks[-1] if record.looks else result  # what fresh samples say stands in a row of its own
    return [
        ("task", record.task),
        ("score", f"pass@{plan.k}, target {plan.target.value}"),
        ("baseline", f"{_percent(shown.baseline)} {_side(baseline)}".strip()),
        ("candidate", f"{_percent(shown.candidate)} {_side(candidate)}".strip() if candidate else "not drawn"),
        ("difference", _signed(shown.difference)),
        ("bounds", _range(shown)),
        ("margin", f"{100 * plan.margin:.2f} points"),
        ("look", f"{result.look} of {result.num_looks}, {result.alpha_spent:.4f} of alpha {plan.alpha:g} spent"),
        ("completions still needed", result.completions_needed or "none"),
        ("an unchanged checkpoint fails", f"in {100 * result.false_fail:.2g} % of all gates, by design"),
        ("without a verdict", _without_verdict(baseline, candidate)),
        ("confirmation", _confirmed(record, result)),
    ]


def _side(side: GateSide) -> str:
    weighed = side.model_digest and not side.model.startswith("samples:")
    digest = f"; weights {side.model_digest[:12]}" if weighed else ""
    return f"({side.run}; {side.model}{digest}; {side.identity})"


def _range(result: GateResult) -> str:
    if math.isnan(result.lower):
        return ""
    return f"{_signed(result.lower)} to {_signed(result.upper)}, adjusted for the looks"


def _without_verdict(*sides: GateSide | None) -> str:
    names = ("baseline", "candidate")
    return "; ".join(
        f"{name}: {side.unjudged} unjudged, {side.missing} missing"
        for name, side in zip(names, sides, strict=True)
        if side is not None
    )


def _confirmed(record: GateRecord, result: GateResult) -> str:
    if not record.plan.confirm_on_fail:
        return "not asked for"
    again = record.confirming
    if again is None:
        return result.confirmation.value
    theirs = f"fresh samples of the baseline, n={again.baseline.n}" if again.fresh_baseline else "the pinned baseline"
    return f"{result.confirmation.value}: {_side(again.candidate)} against {theirs}"


def _share(chance: float) -> str:
    return f"{100 * chance:.2g} %" if chance < 0.1 else f"{100 * chance:.0f} %"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.2f} %"


def _signed(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:+.2f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, its columns aligned so that it reads well as it is."""
    lines = [[*header], *([str(value).replace("|", "\\|") for value in row] for row in rows)]
    if len(lines) == 1:
        return ""
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(text.ljust(width) for text, width in zip(line, widths, strict=True))} |" for line in lines
    )
