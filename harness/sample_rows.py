"""Rows of sample files: bytes to JSON, and errors that say where, what came, what is accepted and what to type."""

from __future__ import annotations

import difflib
import gzip
import io
import json
import re
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from harness.records import Key, required_field
from tasks.problem import Problem

EXAMPLE_ROW = '{"task_id": "HumanEval/0", "completion": "    return 1\\n"}'

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

NumberedRow = tuple[int, dict[str, Any]]
"""A JSON object and the 1-based line it stands on."""


Place = int | str
"""Where in a file something stands: the number of a line, or words for what has no line of its own."""


class SampleFileError(ValueError):
    """A sample file that cannot be read as it is; the message says where, what came, what is accepted, what to type."""

    def __init__(self, path: Path, place: Place | None, came: str, accepted: str, todo: str) -> None:
        where = "" if place is None else f", {_words(place)}"
        super().__init__(f"{path}{where}: {came}\n  accepted: {accepted}\n  next: {todo}")


def _words(place: Place) -> str:
    return f"line {place}" if isinstance(place, int) else place


def read_rows(path: Path) -> Generator[NumberedRow, None, None]:
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
        raise SampleFileError(
            path, None, "the file is empty", f"one row per line, such as {EXAMPLE_ROW}", f"ls -l {path}"
        )


def read_document(path: Path) -> Any:
    """The file as one JSON value.

    Raises:
        SampleFileError: the file cannot be read, or is not JSON in UTF-8.
    """
    data = b"".join(line for _, line in _read_lines(path))
    accepted = "one JSON value in UTF-8"
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise SampleFileError(
            path, number, f"byte 0x{data[error.start]:02x} is not UTF-8", accepted, "iconv -t utf-8 converts a file"
        ) from error
    except json.JSONDecodeError as error:
        came = f"broken JSON: {error.msg} at column {error.colno}"
        raise SampleFileError(path, error.lineno, came, accepted, "write the file again") from error
    except (ValueError, RecursionError) as error:
        came = f"JSON beyond our limits: {error}"
        raise SampleFileError(path, None, came, accepted, "write the file again") from error


def is_list(path: Path) -> bool:
    """Whether the file is one JSON list, and not a row per line.

    Raises:
        SampleFileError: the file cannot be read.
    """
    with closing(_read_lines(path)) as lines:
        return next((line.lstrip() for _, line in lines if line.strip()), b"").startswith(b"[")


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    accepted = f"one JSON object per line in UTF-8, such as {EXAMPLE_ROW}"
    show = f"look at the line: {'zcat' if path.name.endswith('.gz') else 'cat'} {path} | sed -n {number}p"
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        came = f"byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8"
        raise SampleFileError(path, number, came, accepted, f"{show}; iconv -t utf-8 converts a file") from error
    except json.JSONDecodeError as error:
        raise SampleFileError(
            path, number, f"broken JSON: {error.msg} at column {error.colno}", accepted, show
        ) from error
    except (ValueError, RecursionError) as error:
        raise SampleFileError(path, number, f"JSON beyond our limits: {error}", accepted, show) from error
    if not isinstance(row, dict):
        raise SampleFileError(path, number, f"JSON, but a {type(row).__name__} and no object", accepted, show)
    return row


def _read_lines(path: Path) -> Generator[tuple[int, bytes], None, None]:
    """The raw lines, unzipped where the content says so, whatever the name."""
    number = 0
    accepted = "a file of JSON lines, plain or gzipped"
    try:
        with path.open("rb") as stream, _unzipped(stream) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
    except FileNotFoundError as error:
        raise SampleFileError(path, None, "there is no such file", accepted, f"ls {path.parent}") from error
    except IsADirectoryError as error:
        raise SampleFileError(
            path, None, "this is a directory", accepted, f"ls {path}, and name a file in it"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        came = f"the gzip data ends or breaks after line {number}: {error}"
        raise SampleFileError(
            path, None, came, "a complete gzip file", f"gzip -t {path}, and copy the file again"
        ) from error
    except OSError as error:
        raise SampleFileError(
            path, None, f"it cannot be read: {error.strerror or error}", accepted, f"ls -l {path}"
        ) from error


def _unzipped(stream: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    is_gzip = stream.peek(2).startswith(_GZIP_MAGIC)
    return gzip.GzipFile(fileobj=stream) if is_gzip else stream


def check_task_ids(
    path: Path, rows: Sequence[tuple[Place, Mapping[str, Any]]], problems: Mapping[str, Problem], name: str = "task_id"
) -> None:
    """Looks whether every row names, in its field `name`, a problem of the task.

    Raises:
        SampleFileError: one does not.
    """
    for place, row in rows:
        with reported(path, place, accepted_task_ids(problems)):
            required_field(row, name, str)
    unknown = [(place, row[name]) for place, row in rows if row[name] not in problems]
    if not unknown:
        return
    place, task_id = unknown[0]
    guess = nearest(task_id, problems)
    raise SampleFileError(
        path,
        place,
        f"the task has no problem {task_id!r} ({len(unknown)} of {len(rows)} rows name unknown problems)",
        accepted_task_ids(problems),
        f"did you mean {guess!r}?" if guess else "choose the task that the samples were made for with --task",
    )


def check_keys(path: Path, keys: Iterable[tuple[Place, Key]]) -> None:
    """Looks whether every sample is there once.

    Raises:
        SampleFileError: one is there twice.
    """
    first_place: dict[Key, Place] = {}
    for place, key in keys:
        if key in first_place:
            raise SampleFileError(
                path,
                place,
                f"a second sample {key[1]} of {key[0]!r}, which {_words(first_place[key])} has already",
                "each (task_id, index) once",
                "remove one of the two rows, or `index` from all rows to number them in file order",
            )
        first_place[key] = place


def accepted_task_ids(problems: Mapping[str, Problem]) -> str:
    """The task_ids that are accepted, in words."""
    return f"the task_id of one of {len(problems)} problems, such as {next(iter(problems), 'HumanEval/0')!r}"


def nearest(task_id: str, problems: Mapping[str, Problem]) -> str | None:
    """The known task_id that was probably meant: the one with this number, else the most similar."""
    if task_id.isdecimal():
        return next((known for known in problems if re.search(rf"(?<!\d){task_id}$", known)), None)
    spelled = {known.casefold(): known for known in problems}
    matches = difflib.get_close_matches(task_id.casefold(), spelled, n=1)
    return spelled[matches[0]] if matches else None


@contextmanager
def reported(path: Path, place: Place, accepted: str) -> Iterator[None]:
    """Gives a `ValueError` about one row the file, the line and the next step."""
    try:
        yield
    except ValueError as error:
        raise SampleFileError(path, place, str(error), accepted, "correct the row") from error
