"""Samples from files and into files: read once, checked completely, whatever project wrote them.

The format is seen in the content, never in the name:

human-eval   rows of `task_id` with `completion`, or with EvalPlus' `solution`; ours have more fields
codet        rows of `prompt` with `samples`
lm-eval      rows of `doc` with `resps` or `filtered_resps`, as `--log_samples` writes them
bigcode      a list of lists of programs, as in generations.json
livecodebench   a list of `question_id` with `code_list`
evalplus-directory   a folder per problem with a file per program

Files may be gzipped. Nothing is skipped: what cannot be understood is an error that names its place.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from harness.records import Sample, encode_row, optional_field, required_field, write_atomic
from harness.sample_formats import (
    CODET_STOPS,
    import_bigcode,
    import_codet,
    import_evalplus_directory,
    import_livecodebench,
    import_lm_eval,
)
from harness.sample_rows import (
    EXAMPLE_ROW,
    SampleFileError,
    check_keys,
    check_task_ids,
    is_list,
    read_document,
    read_rows,
    reported,
)
from tasks.extract import looks_like_program
from tasks.problem import Problem

__all__ = [
    "CODET_STOPS",
    "SampleFileError",
    "SampleFormat",
    "detect_format",
    "import_codet",
    "import_samples",
    "looks_like_program",
    "read_sample_file",
    "samples_digest",
    "write_samples",
]

SampleFormat = Literal["human-eval", "codet", "lm-eval", "bigcode", "livecodebench", "evalplus-directory"]

_KEYS: dict[SampleFormat, tuple[set[str], ...]] = {
    "human-eval": ({"task_id", "completion"}, {"task_id", "solution"}),
    "codet": ({"prompt", "samples"},),
    "lm-eval": ({"doc", "resps"}, {"doc", "filtered_resps"}),
}
"""What the first row of a file has at least, for formats of a row per line."""

_ACCEPTED = (
    "rows with `task_id` and `completion` or `solution` (human-eval, EvalPlus), with `prompt` and `samples` (CodeT), "
    "or with `doc` and `resps` (lm-eval); a list of lists of programs (bigcode), or of `question_id` with `code_list` "
    "(LiveCodeBench); or a folder like HumanEval_0/0.py (EvalPlus)"
)


def import_samples(path: Path, problems: Mapping[str, Problem], *, problems_path: Path | None = None) -> list[Sample]:
    """The samples of a file or folder in any format that `detect_format` knows.

    Args:
        path: the file or folder.
        problems: all problems of the task, in its order: bigcode's lists have no other names.
        problems_path: CodeT's problem file, for CodeT's samples.

    Raises:
        SampleFileError: as for `read_sample_file`, or the format is unknown.
    """
    match detect_format(path):
        case "codet":
            return import_codet(path, problems, problems_path=problems_path)
        case "lm-eval":
            return import_lm_eval(path, problems)
        case "bigcode":
            return import_bigcode(path, problems)
        case "livecodebench":
            return import_livecodebench(path, problems)
        case "evalplus-directory":
            return import_evalplus_directory(path, problems)
        case _:
            return read_sample_file(path, problems)


def read_sample_file(path: Path, problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples of a human-eval or EvalPlus file, or of one of our own, in file order.

    A row's `solution` wins over its `completion` and is a whole program; a `completion` is one where
    `looks_like_program` says so. A row that says itself what it is, with `is_program`, is believed. A row without
    `index` takes the number of the rows before it with the same `task_id`. A row's own `prompt` is taken as the text
    that was completed.

    Raises:
        SampleFileError: the file is missing, empty, cut short or not UTF-8; or a row is broken, lacks a field, has one
            of the wrong type, names an unknown task, or repeats the `(task_id, index)` of another.
    """
    rows = list(read_rows(path))
    check_task_ids(path, rows, problems)
    samples: list[Sample] = []
    num_seen: Counter[str] = Counter()
    for number, row in rows:
        task_id = row["task_id"]
        with reported(path, number, f"a row such as {EXAMPLE_ROW}"):
            samples.append(_sample(row, num_seen[task_id], problems[task_id]))
        num_seen[task_id] += 1
    check_keys(path, [(number, sample.key) for (number, _), sample in zip(rows, samples, strict=True)])
    return samples


def _sample(row: Mapping[str, Any], place: int, problem: Problem) -> Sample:
    has_solution = "solution" in row
    text = required_field(row, "solution" if has_solution else "completion", str)
    is_program = optional_field(row, "is_program", bool, None)
    if is_program is None:
        is_program = has_solution or looks_like_program(text, problem.entry_point)
    index = optional_field(row, "index", int, place)
    return Sample.from_row({**row, "index": index, "completion": text, "is_program": is_program})


def detect_format(path: Path) -> SampleFormat:
    """Which format a file or folder is in, by what it holds.

    Raises:
        SampleFileError: it cannot be read, or is in no format that is known.
    """
    if path.is_dir():
        return "evalplus-directory"
    if is_list(path):
        return _format_of_list(path)
    with closing(read_rows(path)) as rows:
        number, row = next(rows)
    for name, alternatives in _KEYS.items():
        if any(keys <= row.keys() for keys in alternatives):
            return name
    keys = ", ".join(f"`{name}`" for name in row) or "(none)"
    raise SampleFileError(path, number, f"a row with the keys {keys}", _ACCEPTED, "rename the keys")


def _format_of_list(path: Path) -> SampleFormat:
    document = read_document(path)
    first = document[0] if isinstance(document, list) and document else None
    if isinstance(first, list):
        return "bigcode"
    if isinstance(first, dict) and {"question_id", "code_list"} <= first.keys():
        return "livecodebench"
    came = "an empty list" if first is None else f"a list whose first entry is {str(first)[:60]!r}"
    raise SampleFileError(path, None, came, _ACCEPTED, "write one of these")


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Writes a file that human-eval and `read_sample_file` read, in one step; gzipped where the name ends in `.gz`.

    The same samples give the same bytes.

    Raises:
        OSError: the file cannot be written; an old one is untouched.
    """
    data = b"".join(encode_row(sample.to_row()) for sample in samples)
    write_atomic(path, gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def samples_digest(path: Path) -> str:
    """sha256 of a file; of a folder, over the names and digests of what `import_samples` reads in it.

    Raises:
        SampleFileError: something cannot be read.
    """
    try:
        if not path.is_dir():
            return _file_digest(path)
        files = sorted(path.glob("*/*.py"))
        lines = [f"{file.relative_to(path).as_posix()} {_file_digest(file)}\n" for file in files]
    except OSError as error:
        came = f"it cannot be read: {error.strerror or error}"
        raise SampleFileError(path, None, came, _ACCEPTED, f"ls -l {path}") from error
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
