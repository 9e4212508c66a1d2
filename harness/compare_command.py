"""`compare` and `temperature`: two runs on the same problems; runs of one model, and the choice among them.

And `report` of a file that another project judged, which has scores to read but no run to rebuild.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.config import UsageError
from harness.question import Question, comparable, fewest_completions, print_json, sampling_text
from harness.stats.adjustment import Correction
from harness.stats.comparison import Difference, Metric
from harness.stats.counts import Counts
from harness.stats.family import FamilyRow, Member, compare_family
from harness.stats.result_files import SAMPLING_FIELD, Results
from harness.stats.score import score
from harness.stats.temperature import best_temperature, compare_best_temperatures

DONE = 0

_MAY_DIFFER = "Type --may-differ FIELD for a field that is no reason to refuse."


# ---------------------------------------------------------------------------------------------------------------------
# compare
# ---------------------------------------------------------------------------------------------------------------------


def compare(
    a: Path,
    b: Path,
    question: Question,
    *,
    metric: Metric = Metric.PASS_AT_K,
    primary: Collection[str] = (),
    correction: Correction = Correction.HOLM,
    allow_subset: bool = False,
    as_json: bool = False,
) -> int:
    """Prints B - A for every score that both have; the exit code.

    Args:
        a, b: run directories or files of results (see `harness.stats.result_files`). How their completions were sampled
            is what they are compared for, so it may differ, and is shown.
        question: how they are compared.
        metric: the score.
        primary: the comparisons that were declared before looking, by name: `humaneval pass@1`, or `pass@1` for that of
            every task; none for all of them.
        correction: of those.
        allow_subset: compare on the problems that both have, where these are not the same.
        as_json: for programs.

    Raises:
        UsageError: one cannot be read, they measure different things, completions lack a verdict, or a k or a name is
            wrong.
    """
    if correction is Correction.MAX_T and question.cluster:
        raise UsageError("--correction max_t knows no clusters; type --correction holm, or leave out --cluster")
    first, second = question.read(a), question.read(b)
    pairs = _pairs(first, second)
    ks = question.usable_ks(fewest_completions([counts for pair in pairs.values() for counts in pair]))
    members = [
        Member(name=f"{task} {metric.at(k)}", a=pair[0], b=pair[1], k=k) for task, pair in pairs.items() for k in ks
    ]
    family = _family(primary, [member.name for member in members])
    rows = comparable(
        lambda: compare_family(
            members,
            metric=metric,
            primary=family,
            correction=correction,
            level=question.level,
            allow_subset=allow_subset,
            may_differ=(SAMPLING_FIELD, *question.may_differ),
            rng=question.generator(),
        ),
        f"{_MAY_DIFFER} With --allow-subset the problems that both have will do.",
    )
    sides = {"A": _side(a, first), "B": _side(b, second)}
    if as_json:
        print_json({**sides, "missing": question.missing.value, "comparisons": [_row_json(row) for row in rows]})
        return DONE
    from harness.report.comparison_text import render_comparisons

    print("\n".join(f"{side}: {text}" for side, text in sides.items()))
    print(f"\n{render_comparisons(rows)}", end="")
    return DONE


def _side(path: Path, results: Results) -> str:
    """A run, and what may differ between two that are compared."""
    n = results.counts.n
    each = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
    return f"{path}: {n.size} problems with {each} completions each; {sampling_text(results)}"


def _pairs(first: Results, second: Results) -> dict[str, tuple[Counts, Counts]]:
    """What is compared with what, by the name of the task."""
    name = first.name if first.name == second.name else f"{first.name} / {second.name}"
    pairs = {name: (first.counts, second.counts)}
    if first.base is not None and second.base is not None:
        pairs[f"{name} (base)"] = (first.base, second.base)
    return pairs


def _family(primary: Collection[str], names: Sequence[str]) -> list[str] | None:
    """The names that were declared, in full; None for all.

    Raises:
        UsageError: nothing has one of them.
    """
    if not primary:
        return None
    family: list[str] = []
    for declared in primary:
        meant = [name for name in names if declared in (name, name.rpartition(" ")[2])]
        if not meant:
            raise UsageError(f"--primary names {declared!r}, which is not compared; accepted: {', '.join(names)}")
        family += meant
    return family


def _row_json(row: FamilyRow) -> dict[str, Any]:
    values = asdict(row)
    return {**values.pop("comparison"), **values, "difference": row.comparison.difference}


# ---------------------------------------------------------------------------------------------------------------------
# report
# ---------------------------------------------------------------------------------------------------------------------


def report_file(path: Path, question: Question, *, as_json: bool = False) -> int:
    """Prints the scores in another project's file of results, with everything that is said of a score; the exit code.

    Raises:
        UsageError: it cannot be read, or a k is too large.
    """
    results = question.read(path)
    named = {results.name: results.counts, **({f"{results.name} (base)": results.base} if results.base else {})}
    scores = {
        name: [score(counts, k, level=question.level) for k in question.usable_ks(fewest_completions([counts]))]
        for name, counts in named.items()
    }
    if as_json:
        print_json({name: {str(one.k): asdict(one) for one in several} for name, several in scores.items()})
        return DONE
    from harness.report.comparison_text import render_scores

    print(render_scores(scores), end="")
    return DONE


# ---------------------------------------------------------------------------------------------------------------------
# temperature
# ---------------------------------------------------------------------------------------------------------------------


def temperature(runs: Sequence[str], question: Question, *, baseline: Sequence[str] = (), as_json: bool = False) -> int:
    """Prints which temperature is best for each k and what it scores, without the luck of the choice; the exit code.

    Args:
        runs: of one model at several temperatures: paths, or `T=PATH` where a run does not record it.
        question: how they are compared.
        baseline: of another model at the same temperatures; then the difference is printed too.
        as_json: for programs.

    Raises:
        UsageError: as `compare`; or a temperature is unknown or there twice, or halves are too small for a k.
    """
    grid = _grid(runs, question)
    against = _grid(baseline, question)
    if baseline and sorted(grid) != sorted(against):
        raise UsageError(
            f"the runs are at temperatures {_listed(grid)} and the baseline's at {_listed(against)}; whoever searches "
            f"more gains by it, so name runs at the same ones"
        )
    # One half of the completions chooses, the other one scores.
    fewest = fewest_completions([*grid.values(), *against.values()]) // 2
    ks = question.usable_ks(fewest, "half of the completions of some problem")
    results = comparable(
        lambda: [
            best_temperature(grid, k, question.generator(), level=question.level, may_differ=question.may_differ)
            for k in ks
        ],
        _MAY_DIFFER,
    )
    differences = comparable(lambda: _differences(against, grid, ks, question), _MAY_DIFFER) if baseline else {}
    if as_json:
        print_json(
            {
                "best": [asdict(result) for result in results],
                "differences": [{"k": k, **asdict(difference)} for k, difference in differences.items()],
            }
        )
        return DONE
    from harness.report.comparison_text import render_best_differences, render_temperatures

    print(render_temperatures(results), end="")
    if differences:
        print(f"\n{render_best_differences(differences)}", end="")
    return DONE


def _grid(runs: Sequence[str], question: Question) -> dict[float, Counts]:
    """Temperature -> its counts.

    Raises:
        UsageError: see `temperature`.
    """
    grid: dict[float, Counts] = {}
    places: dict[float, Path] = {}
    for text in runs:
        declared, path = _declared(text)
        counts = question.read(path).counts
        recorded = counts.protocol.get(SAMPLING_FIELD, {}).get("temperature")
        if recorded is not None and declared not in (None, recorded):
            raise UsageError(f"{path} records temperature {recorded:g}, not {declared:g}; leave out `{declared:g}=`")
        value = recorded if declared is None else declared
        if value is None:
            raise UsageError(f"{path} does not say at which temperature it was sampled; type for example 0.8={path}")
        if value in grid:
            raise UsageError(f"{places[value]} and {path} are both at temperature {value:g}; name one run of each")
        grid[value], places[value] = counts, path
    return grid


def _declared(text: str) -> tuple[float | None, Path]:
    """`0.8=runs/mine` as its two parts; a path alone has no temperature."""
    number, equals, path = text.partition("=")
    try:
        value = float(number) if equals else None
    except ValueError:
        value = None  # a path that has a `=` in it
    if value is None:
        return None, Path(text)
    if not 0 <= value < math.inf:
        raise UsageError(f"{text}: a temperature is 0 or more, not {number}")
    return value, Path(path)


def _differences(
    against: Mapping[float, Counts], grid: Mapping[float, Counts], ks: Sequence[int], question: Question
) -> dict[int, Difference]:
    return {
        k: compare_best_temperatures(
            against, grid, k, question.generator(), level=question.level, may_differ=question.may_differ
        )
        for k in ks
    }


def _listed(grid: Mapping[float, Counts]) -> str:
    return ", ".join(f"{one:g}" for one in sorted(grid))
