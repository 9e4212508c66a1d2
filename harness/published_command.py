"""`published list`, `published check` and `published claim`: papers' figures, a run beside them, and what they show."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.config import UsageError
from harness.published import (
    CLAIMS,
    Check,
    Contrast,
    Entry,
    Field,
    Measurement,
    Metric,
    State,
    Verdict,
    check_figure,
    contrast,
    find,
    load_entries,
    read_measurements,
    select,
)
from harness.published.claim import PLAUSIBLE_SPREAD, Answer
from harness.published.entries import Decoding
from harness.published.measurement import Declared
from harness.stats.published import MARGIN, Equality, Reproduction

DONE, INCONSISTENT, NOT_COMPARABLE = 0, 1, 4


# ---------------------------------------------------------------------------------------------------------------------
# published list
# ---------------------------------------------------------------------------------------------------------------------


def list_figures(*, model: str = "", task: str = "", metric: str = "", source: str = "", as_json: bool = False) -> int:
    """Prints the figures that meet every filter (see `harness.published.select`); the exit code.

    Raises:
        UsageError: there are none.
    """
    everything = load_entries()
    found = select(everything, model=model, task=task, metric=metric, source=source)
    if not found:
        raise UsageError(
            f"no figure meets these filters; --task takes one of: {_names(entry.task for entry in everything)}; "
            f"--metric one of: pass@k, {_names(entry.metric_name for entry in everything)}; --model and --source take "
            f"a part of a name"
        )
    if as_json:
        print(json.dumps([entry.to_json() for entry in found], indent=2))
        return DONE
    header = ("id", "value", "problems", "n", "decoding", "preset", "certainty", "source")
    _print_columns([header, *map(_line, found)])
    print(f"\n{len(found)} figures. pass@k in percent; `?` is not published. --json shows places and notes.")
    return DONE


def _line(entry: Entry) -> tuple[str, ...]:
    origin = f"arXiv {entry.source.arxiv}" if entry.source.arxiv else entry.source.name
    return (
        entry.id,
        str(entry.value),
        _known(entry.num_problems),
        _known(entry.num_samples),
        _decoding(entry),
        _known(entry.preset),
        entry.certainty,
        f"{origin}, {entry.place}",
    )


def _decoding(entry: Entry) -> str:
    if entry.decoding is not Decoding.SAMPLED:
        return _known(entry.decoding)
    best = f", best of {entry.selected_from} or more" if entry.selected_from > 1 else ""
    return f"T={_known(entry.temperature)}{best}"


def _known(value: object) -> str:
    return "?" if value is None else str(value)


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _print_columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


# ---------------------------------------------------------------------------------------------------------------------
# published check
# ---------------------------------------------------------------------------------------------------------------------


def check(
    run: Path,
    ids: Sequence[str],
    *,
    margin_points: float = 100 * MARGIN,
    temperature: float | None = None,
    top_p: float | None = None,
    as_json: bool = False,
) -> int:
    """Prints whether a run and published figures agree; the exit code.

    Args:
        run: a run directory.
        ids: ids of figures, or the beginnings of such up to a slash, which stand for all that have it.
        margin_points: scores that differ by less percentage points count as equal.
        temperature, top_p: how the samples were drawn, where the run does not record it; temperature 0 is greedy.
        as_json: for programs.

    Returns:
        0 where all are consistent, else 1 where some are inconsistent, else 4: some are not comparable.

    Raises:
        UsageError: there is no such figure or run, or the run records another temperature.
    """
    if not 0 < margin_points < 100:
        raise UsageError(f"--margin takes percentage points between 0 and 100, not {margin_points}")
    entries = [entry for id in ids for entry in _entries(id)]
    measured = read_measurements(run, Declared(temperature=temperature, top_p=top_p))
    checks = [check_figure(entry, _nearest(entry, measured), margin=margin_points / 100) for entry in entries]
    if as_json:
        print(json.dumps([one.to_json() for one in checks], indent=2))
    else:
        print("\n\n".join(_check_text(one) for one in checks))
    verdicts = {one.verdict for one in checks}
    if Verdict.INCONSISTENT in verdicts:
        return INCONSISTENT
    return NOT_COMPARABLE if Verdict.NOT_COMPARABLE in verdicts else DONE


def _entries(id: str) -> list[Entry]:
    everything = load_entries()
    found = find(everything, id)
    if not found:
        known = [part for entry in everything for part in (entry.id, entry.id.rpartition("/")[0])]
        near = difflib.get_close_matches(id, known, n=3, cutoff=0.4)
        hint = f"; near ones: {_names(near)}" if near else ""
        raise UsageError(f"there is no published figure {id!r}{hint}; type: python -m harness published list")
    return found


def _nearest(entry: Entry, measured: Sequence[Measurement]) -> Measurement:
    """The score of the same task, or the run's first, whose task is then named as different."""
    return next((one for one in measured if one.task == entry.task), measured[0])


def _check_text(one: Check) -> str:
    entry = one.entry
    title = f"{entry.model}, {entry.task} {entry.metric_name} {entry.value} ({entry.source.title}, {entry.place})"
    lines = [title, f"  {one.verdict}"]
    if one.result is None:
        lines += [f"    {field.name}: {field.published} published, {field.ours} here" for field in one.different]
    else:
        lines += _result_lines(one.result)
    unknown = [field for field in one.fields if field.state in (State.NOT_RECORDED, State.NOT_PUBLISHED)]
    lines += [f"  {field.name}: {_unknown_text(field)}" for field in unknown]
    if entry.num_samples is None and entry.metric is Metric.PASS_AT_K:
        lines.append(f"  samples of each problem: not published; taken as {entry.k}, the fewest there can be")
    return "\n".join([*lines, *([f"  note: {entry.note}"] if entry.note else [])])


def _unknown_text(field: Field) -> str:
    if field.state is State.NOT_RECORDED:
        return f"{field.published} published, not recorded here; the answer holds if it was the same"
    return f"not published, {field.ours} here"


def _result_lines(result: Reproduction) -> list[str]:
    low, high = _percent(result.low), _percent(result.high)
    noise = (
        f"noise (one standard error): {_percent(result.se_ours)} ours, {_percent(result.se_published)} theirs with its "
        f"rounding; {_METHODS[result.method]}"
    )
    chosen = f"; up to {_percent(result.selection)} of theirs is the choice of the best" if result.selection else ""
    return [
        f"    {_percent(result.ours)} here, a difference of {100 * (result.ours - result.published):+.2f} points; "
        f"a faithful run comes out between {low} and {high} ({100 * result.level:g} %); p = {result.p_value:.2g}",
        f"    {noise}{chosen}",
        f"  {result.equality} within {_percent(result.margin)} points",
        f"    the true difference lies between {100 * result.gap_low:+.2f} and {100 * result.gap_high:+.2f} points"
        f"{_settling(result)}",
    ]


_METHODS = {
    "ustat_t": "both from our counts",
    "eb_t": "both from the difficulties that our counts show, by empirical Bayes (n < 2k)",
    "bound": "the most there can be, for our counts do not show it (n = 1, or nearly all problems alike)",
    "bound_greedy": "that of one sampled answer, for how many verdicts another engine flips is not known",
}


def _settling(result: Reproduction) -> str:
    """What number of samples would show equality."""
    if result.equality is Equality.REPRODUCED:
        return ""
    if result.gap_low > result.margin or result.gap_high < -result.margin:
        return ", so the two differ by more than the margin"
    if result.needed_n is None:
        return "; no number of samples of ours can show more, the published figure is too uncertain itself"
    if result.needed_n <= result.num_samples:
        return "; more samples need not help, for the difference itself is too near to the margin"
    return f"; {result.needed_n:,} samples of each problem would settle it if the models are equal"


# ---------------------------------------------------------------------------------------------------------------------
# published claim
# ---------------------------------------------------------------------------------------------------------------------


def claim(name: str = "13b", *, as_json: bool = False) -> int:
    """Prints what a paper's figures alone can and cannot show of its claim; the exit code.

    Raises:
        UsageError: there is no such claim.
    """
    if name not in CLAIMS:
        raise UsageError(f"unknown claim {name!r}; accepted: {', '.join(CLAIMS)}")
    contrasts = [contrast(_entries(figure)[0], _entries(baseline)[0]) for figure, baseline in CLAIMS[name]]
    if as_json:
        print(json.dumps([one.to_json() for one in contrasts], indent=2))
    else:
        print("\n\n".join([*map(_contrast_text, contrasts), _CAVEAT]))
    return DONE


_CAVEAT = """\
Whatever the figures: each arm is one training run, so what another seed would give is in none of these numbers; and
these are some of many comparisons in the paper (sizes, numbers of heads, tasks, k), with no correction for it."""


def _contrast_text(one: Contrast) -> str:
    treated, baseline = one.treated, one.baseline
    samples = _known(treated.num_samples)
    lines = [
        f"{treated.task} {treated.metric_name}: {treated.value} ({treated.model}) against {baseline.value} "
        f"({baseline.model}); {treated.num_problems} problems, {samples} samples of each ({treated.source.title}, "
        f"{treated.place})",
        f"  gain: {_points(one.gain)} points, {100 * one.relative:+.1f} % relative "
        f"({100 * one.relative_low:+.1f} to {100 * one.relative_high:+.1f} % before rounding)",
        f"  on these {treated.num_problems} problems, with new completions: {one.on_these_problems}",
        f"    whatever the problems are like, completions add at most {_half(one.completions_half)} points, rounding "
        f"at most {_half(one.rounding)}{_selection(one)}",
        f"  on other problems of this kind: {one.on_other_problems}",
        f"    the choice of problems adds from nothing (the same gain on each) to {_half(one.problems_half_opposed)} "
        f"points (no problem solved by both); {_half(one.problems_half_unrelated)} if both solve unrelated problems",
        f"    shown if the gains of single problems have a standard deviation below "
        f"{100 * one.spread_needed:.0f} points{_plausibility(one)}",
    ]
    return "\n".join(lines)


def _selection(one: Contrast) -> str:
    if one.selection:
        return f", the choice of the best temperature at most {_half(one.selection)} (if the temperatures are alike)"
    return "" if one.treated.temperature is not None else "; how the temperature was chosen is not published"


def _plausibility(one: Contrast) -> str:
    if one.plausible is None:
        return ""
    alike, unlike = (f"{100 * spread:.0f}" for spread in PLAUSIBLE_SPREAD)
    seen = f"; between two models {alike} (nearly the same) to {unlike} (quite different) are plausible"
    meaning = {
        Answer.SHOWN: "so the gain very likely holds there too",
        Answer.UNDECIDED: "so it holds for models that are much alike and not for others",
        Answer.NOT_SHOWN: "so it is not shown even for models that are much alike",
    }
    return f"{seen}, {meaning[one.plausible]}"


def _half(value: float) -> str:
    return f"±{100 * value:.2f}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"
