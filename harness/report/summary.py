"""summary.md: the scores of a run on half a page, with what they cover."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from harness.report.decoding import decoding_rows

NOT_RECORDED = "not recorded"

OPENS_HTML = re.compile("<(?=[A-Za-z/!?])")

LEGEND = """\
Intervals: `problems` is for other problems of this kind; `benchmark` is for these same problems with new samples.
Neither covers training seeds, the choice of prompt, or contamination."""


def render_summary(run: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """The text of summary.md.

    Args:
        run: the content of `run.json`; read here: `sandbox.layers` (a list of names) and `packages` (which packages
            the judged programs could import). What is absent is shown as "not recorded".
        results: what `build_results` returned; `protocol.hash` and `protocol.data` (file name -> sha256) are shown.
    """
    tasks: Mapping[str, Any] = results["tasks"]
    parts = [
        "# Results",
        *(_incomplete(name, task) for name, task in tasks.items() if not task["complete"]),
        _scores(tasks),
        LEGEND,
        *_noise(tasks),
        *_tests(tasks),
        *_decoding(results),
        _verdicts(tasks),
        _modes(tasks),
        _covers(run, results["protocol"]),
    ]
    return "\n\n".join(parts) + "\n"


def _incomplete(name: str, task: Mapping[str, Any]) -> str:
    return (
        f"**Incomplete**: {_cell(name)} has {task['unjudged']} unjudged and {task['missing']} missing of "
        f"{task['samples']} samples; they are in no score. Type the same command again to judge them."
    )


def _scores(tasks: Mapping[str, Any]) -> str:
    header = ("task", "problems", "samples", "k", "n", "pass@k", "interval: problems", "interval: benchmark")
    rows = (
        (name, task["problems"], task["samples"], k, _range_of_n(score), *_numbers(score))
        for name, task in tasks.items()
        for k, score in task["pass_at_k"].items()
    )
    return _table(header, rows)


def _numbers(score: Mapping[str, Any]) -> tuple[str, str, str]:
    """pass@k and its two intervals in percent, or why they are absent."""
    if score["estimate"] is None:
        return score["method"], "", ""
    level = f"({100 * score['level']:g} %)"
    low, high = score["ci_problems"]
    problems = f"{100 * low:.2f} to {100 * high:.2f} {level}"
    if score["ci_benchmark"] is None:
        most = f"not estimable (n=1), at most ±{100 * score['benchmark_bound']:.2f} points"
        return f"{100 * score['estimate']:.2f} %", problems, most
    low, high = score["ci_benchmark"]
    return f"{100 * score['estimate']:.2f} %", problems, f"{100 * low:.2f} to {100 * high:.2f} {level}"


def _noise(tasks: Mapping[str, Any]) -> list[str]:
    """What the intervals rest on, and what there is to say about it."""
    scores = [
        (name, k, score)
        for name, task in tasks.items()
        for k, score in task["pass_at_k"].items()
        if score["estimate"] is not None
    ]
    if not scores:
        return []
    header = (
        *("task", "k", "SE: problems", "SE: benchmark", "of the variance, completions make", "df"),
        *("unsolved", "always solved", "method"),
    )
    rows = (
        (
            name,
            k,
            _points(score["se_problems"]),
            _points(score["se_benchmark"]),
            "" if score["completion_share"] is None else f"{100 * score['completion_share']:.0f} %",
            "" if score["df_eff"] is None else f"{score['df_eff']:.0f}",
            score["unsolved"],
            score["always_solved"],
            score["method"],
        )
        for name, k, score in scores
    )
    notes = dict.fromkeys(note for _, _, score in scores for note in score["notes"])
    return [_table(header, rows), *("\n".join(f"- {_cell(note)}" for note in notes),) * bool(notes)]


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _range_of_n(score: Mapping[str, Any]) -> str:
    smallest, largest = score["n_min"], score["n_max"]
    return str(smallest) if smallest == largest else f"{smallest} to {largest}"


def _tests(tasks: Mapping[str, Any]) -> list[str]:
    """Scores by single tests, and how many samples the checkers disagree on; nothing where none are counted."""
    scores = ("strict_accuracy", "test_case_average")
    rows = [
        (name, checker, *(_percent(task["tests"][score][checker]) for score in scores))
        for name, task in tasks.items()
        if "tests" in task
        for checker in task["tests"]["strict_accuracy"]
    ]
    if not rows:
        return []
    count = sum(len(task["tests"]["disagreements"]) for task in tasks.values() if "tests" in task)
    note = f"The checkers disagree on tests of {count} samples; results.json lists them under `disagreements`."
    return [_table(("task", "checker", "strict accuracy", "test-case average"), rows), note]


def _decoding(results: Mapping[str, Any]) -> list[str]:
    """What speculative decoding did, where a model of ours was asked."""
    if "decoding" not in results:
        return []
    return [_table(("decoding", ""), decoding_rows(results["decoding"]))]


def _percent(share: float | None) -> str:
    return "not known: some tests were not run" if share is None else f"{100 * share:.2f} %"


def _verdicts(tasks: Mapping[str, Any]) -> str:
    names = list(next(iter(tasks.values()))["verdicts"])
    rows = ((name, *(task["verdicts"][verdict] for verdict in names), task["missing"]) for name, task in tasks.items())
    return _table(("verdicts", *names, "missing"), rows)


def _modes(tasks: Mapping[str, Any]) -> str:
    rows = ((name, mode, count) for name, task in tasks.items() for mode, count in task["modes"].items())
    return _table(("task", "judged in mode", "samples"), rows)


def _covers(run: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    layers = (run.get("sandbox") or {}).get("layers") or [NOT_RECORDED]
    data = protocol.get("data") or {NOT_RECORDED: NOT_RECORDED}
    rows = [
        ("protocol", protocol.get("hash", NOT_RECORDED)),
        ("preset", (protocol.get("preset") or {}).get("name", NOT_RECORDED)),
        *_model(run.get("config") or {}, asked="expected" in run),
        *((f"problems {reason}, left out", count) for reason, count in (protocol.get("excluded") or {}).items()),
        *(("data sha256", digest if name == NOT_RECORDED else f"{name}: {digest}") for name, digest in data.items()),
        ("sandbox layers", ", ".join(map(str, layers))),
        ("packages", run.get("packages", NOT_RECORDED)),
    ]
    return _table(("what the scores cover", ""), rows)


def _model(config: Mapping[str, Any], *, asked: bool) -> list[tuple[str, object]]:
    """The model and how it was sampled, where one was asked."""
    if not asked:
        return []
    digest = f", sha256 {config['model_digest'][:16]}" if config["model_digest"] else ""
    how = f"temperature {config['temperature']:g}"
    if config["temperature"]:
        how += f", top-p {config['top_p']:g}" + (f", top-k {config['top_k']}" if config["top_k"] else "")
    how += f", at most {config['max_new_tokens']} tokens, seed {config['seed']}"
    return [("model", f"{config['model']}{digest}"), ("sampling", how)]


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    titles = [_cell(title) for title in header]
    lines = [titles, ["---"] * len(titles), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    """`value` on one line, with nothing in it that Markdown would take for the end of a cell or for HTML."""
    text = " ".join(str(value).split())
    return OPENS_HTML.sub("&lt;", text.replace("\\", "\\\\").replace("|", "\\|"))
