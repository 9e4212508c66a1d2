"""Tables for people: scores, comparisons, plans and temperatures, in percent and points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from harness.stats.comparison import Comparison, Difference
from harness.stats.family import FamilyRow
from harness.stats.intervals import Interval
from harness.stats.power import Plan
from harness.stats.relative_gain import RelativeGain
from harness.stats.score import Score
from harness.stats.temperature import BestTemperature


def render_scores(scores: Mapping[str, Sequence[Score]], temperature: Mapping[str, str] | None = None) -> str:
    """One row for each task and k.

    Args:
        scores: task -> its scores.
        temperature: task -> the temperature, or the grid and how it was chosen from it.
    """
    header = (
        "task", "k", "m", "n", "T", "pass@k", "problems", "benchmark", "SE problems", "SE benchmark",
        "noise of completions", "df", "unsolved", "always solved", "missing", "method",
    )  # fmt: skip
    rows = [
        (
            task,
            one.k,
            one.num_problems,
            _range(one.n),
            (temperature or {}).get(task, "?"),
            _percent(one.estimate),
            _bounds(one.problems),
            _bounds(one.benchmark)
            if one.benchmark
            else f"not estimable (n=1), at most +-{_points(one.benchmark_bound)}",
            _points(one.se_problems),
            _points(one.se_benchmark),
            _percent(one.completion_share, digits=0),
            "" if one.df_eff is None else f"{one.df_eff:.0f}",
            one.unsolved,
            one.always_solved,
            one.missing + one.unjudged,
            one.problems.method + (f"; {one.benchmark.method}" if one.benchmark else ""),
        )
        for task, several in scores.items()
        for one in several
    ]
    notes = dict.fromkeys(note for several in scores.values() for one in several for note in one.notes)
    return _parts(_table(header, rows), *notes)


def render_comparisons(rows: Sequence[FamilyRow]) -> str:
    """One row for each comparison; the differences are B - A."""
    header = (
        "comparison", "k", "A", "B", "difference", "problems", "bootstrap", "benchmark", "p", "p corrected",
        "relative gain", "wins/losses/ties", "correlation", "MDE (80 %)", "finding",
    )  # fmt: skip
    lines = [
        (
            row.name,
            row.comparison.k,
            _percent(row.comparison.a),
            _percent(row.comparison.b),
            _signed(row.comparison.difference),
            _interval_of(row.comparison.problems),
            _interval_of(row.comparison.bootstrap),
            _interval_of(row.comparison.benchmark),
            _p(row.comparison.p_signflip),
            f"{_p(row.p_adjusted)} ({row.correction.value})",
            _gain(row.comparison.gain),
            f"{row.comparison.wins}/{row.comparison.losses}/{row.comparison.ties}",
            "" if math.isnan(row.comparison.correlation) else f"{row.comparison.correlation:.2f}",
            _points(row.comparison.mde),
            row.comparison.finding.value,
        )
        for row in rows
    ]
    exploring = [row.name for row in rows if not row.primary]
    note = f"Not in the declared family, for exploring only: {', '.join(exploring)}." if exploring else ""
    return _parts(_table(header, lines), _legend(rows), note, _single(rows))


def render_temperatures(results: Sequence[BestTemperature]) -> str:
    """All temperatures that were searched, and two ways to choose among them."""
    header = ("k", "T", "pass@k", "problems", "benchmark", "chosen by halves")
    rows = [
        (
            result.k,
            f"{one.temperature:g}",
            _percent(one.problems.estimate),
            _bounds(one.problems),
            _bounds(one.benchmark) if one.benchmark else "not estimable (n=1)",
            f"{_percent(one.chosen_by_first, digits=0)}, {_percent(one.chosen_by_second, digits=0)}",
        )
        for result in results
        for one in result.scores
    ]
    chosen = _table(
        ("k", "best T, cross-fitted", "its pass@k", "problems", "oracle T", "oracle pass@k", "bias of the oracle"),
        [
            (
                result.k,
                f"{result.temperature:g}",
                _percent(result.cross_fit.estimate),
                _bounds(result.cross_fit),
                f"{result.oracle_temperature:g}",
                _percent(result.oracle),
                _signed(result.oracle_bias),
            )
            for result in results
        ],
    )
    return _parts(_table(header, rows), chosen)


def render_best_differences(differences: Mapping[int, Difference]) -> str:
    """The runs less the baseline at each k, each at the temperature that it would have picked itself."""
    header = ("k", "difference", "problems", "method")
    rows = [(k, _signed(one.estimate), _interval_of(one), one.method) for k, one in differences.items()]
    return _parts("Runs less baseline, each at the temperature that its other half chose:", _table(header, rows))


def render_plans(plans: Sequence[Plan]) -> str:
    """For each k what sizes of a comparison could show, and the cheapest that is enough."""
    header = ("m", "n", "completions of both", "SE", "MDE", "enough")
    parts = []
    for one in plans:
        rows = [
            (
                row.num_problems,
                row.num_samples,
                row.completions,
                _points(row.se),
                _points(row.mde),
                "yes" if row.enough else "no",
            )
            for row in one.rows
        ]
        parts += [_pilot_text(one), _table(header, rows), _advice(one)]
    return _parts(*parts)


def _pilot_text(one: Plan) -> str:
    noise = one.components
    between = (
        f"the true differences have a standard deviation of {_points(math.sqrt(noise.between))} over problems"
        if one.paired
        else "with one model as the pilot, the two are taken to be nearly the same, and unlike ones need more problems"
    )
    return (
        f"pass@{one.k}: a true difference of {_points(one.effect)}, to be seen with the chance {one.power:g} at "
        f"alpha {one.alpha:g} (two-sided). From {one.num_problems} problems: {between}; completions make "
        f"{_percent(noise.share, digits=0)} of the variance that is seen."
    )


def _advice(one: Plan) -> str:
    if one.cheapest is not None:
        row = one.cheapest
        return f"Fewest completions that are enough: {row.num_samples} of each of {row.num_problems} problems."
    last = one.rows[-1]
    return f"None is enough; with {last.num_samples} of each it would take {one.problems_needed} problems."


def _legend(rows: Sequence[FamilyRow]) -> str:
    """What the columns of a comparison mean, below them."""
    first = rows[0].comparison
    return (
        f"Differences are B - A in points, with {100 * first.problems.level:g} % intervals. `problems` (paired t, and "
        f"beside it the exact paired bootstrap) is for other problems of this kind; `benchmark` for these problems "
        f"with new completions. p is from flipping signs."
    )


def _single(rows: Sequence[FamilyRow]) -> str:
    """McNemar's test, where there is one completion of each problem."""
    tests = [f"{row.name}: {_mcnemar(row.comparison)}" for row in rows if row.comparison.p_mcnemar is not None]
    return f"McNemar's exact test: {'; '.join(tests)}." if tests else ""


def _mcnemar(comparison: Comparison) -> str:
    return f"{comparison.wins} against {comparison.losses}, p = {_p(comparison.p_mcnemar or 0.0)}"


def _gain(gain: RelativeGain) -> str:
    if math.isnan(gain.estimate):
        return "no baseline"
    bounds = "unbounded" if gain.unbounded else f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f} %"
    return f"{100 * gain.estimate:+.1f} % ({bounds})"


def _interval_of(difference: Difference | None) -> str:
    return "not estimable (n=1)" if difference is None else f"{_signed(difference.low)} to {_signed(difference.high)}"


def _bounds(interval: Interval) -> str:
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f} ({100 * interval.level:g} %)"


def _range(n: tuple[int, int]) -> str:
    return str(n[0]) if n[0] == n[1] else f"{n[0]} to {n[1]}"


def _percent(share: float | None, digits: int = 2) -> str:
    return "" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} points"


def _signed(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:+.2f}"


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _table(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table, its columns aligned so that it reads well as it is."""
    lines = [[*header], *([str(value).replace("|", "\\|") for value in row] for row in rows)]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(text.ljust(width) for text, width in zip(line, widths, strict=True))} |" for line in lines
    )


def _parts(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
