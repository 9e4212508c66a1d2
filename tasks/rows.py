"""The rows of a data set, from whatever form they come in; bulky ones by place, without keeping them in memory."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tasks.cache import REMEMBERED_BYTES, cache_folder, remembered_sha256, write_whole
from tasks.problem import Row
from tasks.sources import DatasetUnavailable

_T = TypeVar("_T")

FORMATS = ".jsonl, .jsonl.gz, .json (a list), .parquet, or a folder in the original layout of APPS"

_DIGITS = 600
"""Python turns this many digits into an integer under every limit that a process may have set."""

_INDEX_VERSION = "1"
"""Part of the name of a kept index; raised when what is written there changes."""

_PLAIN = (".jsonl", ".ndjson")
_SPACE = re.compile(r"[ \t\r\n]*")
_BREAK = str.maketrans("\r\n", "  ")
_DAMAGE = (OSError, EOFError, ValueError, TypeError, RecursionError, zlib.error)


# ---------------------------------------------------------------------------------------------------------------------
# JSON with integers of any length
# ---------------------------------------------------------------------------------------------------------------------


def loads(text: str) -> Any:
    """The JSON value of `text`. Integers may have any number of digits, whatever limit the process has.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # the limit, which APPS has tests beyond; the hook is slow, so only where it is needed
        return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int:
    if len(digits) <= _DIGITS:
        return int(digits)
    if digits[0] == "-":
        return -_integer(digits[1:])
    low = len(digits) // 2
    return _integer(digits[:-low]) * int(10**low) + _integer(digits[-low:])


_DECODER = json.JSONDecoder()
_PATIENT_DECODER = json.JSONDecoder(parse_int=_integer)


def _value(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at `start`, and where it ends."""
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _PATIENT_DECODER.raw_decode(text, start)


def _after(text: str, place: int, token: str = "") -> int:
    """The place after `token`, with white space before and after it."""
    place = _SPACE.match(text, place).end()  # type: ignore[union-attr]  # it matches everywhere
    if not token:
        return place
    if not text.startswith(token, place):
        raise json.JSONDecodeError(f"Expecting {token!r}", text, place)
    return _after(text, place + 1)


def _elements(text: str) -> Iterator[str]:
    """The text of each element of a JSON list."""
    place = _after(text, 0, "[")
    while not text.startswith("]", place):
        _, end = _value(text, place)
        yield text[place:end]
        place = _after(text, end)
        if not text.startswith("]", place):
            place = _after(text, place, ",")
    _check_end(text, _after(text, place, "]"))


def _members(text: str) -> Iterator[tuple[str, Any, int, int]]:
    """Name and value of each member of a JSON object, and where the value begins and ends."""
    place = _after(text, 0, "{")
    while not text.startswith("}", place):
        name, end = _value(text, place)
        start = _after(text, end, ":")
        value, end = _value(text, start)
        yield name, value, start, end
        place = _after(text, end)
        if not text.startswith("}", place):
            place = _after(text, place, ",")
    _check_end(text, _after(text, place, "}"))


def _check_end(text: str, place: int) -> None:
    if place != len(text):
        raise json.JSONDecodeError("Extra data", text, place)


# ---------------------------------------------------------------------------------------------------------------------
# From every form to one: a row is one line of JSON
# ---------------------------------------------------------------------------------------------------------------------


def read_rows(path: str) -> list[dict[str, Any]]:
    """The rows of a file or folder in one of `FORMATS`.

    Raises:
        DatasetUnavailable: it is none of these, or damaged; the message names the row.
    """
    return list(_parsed(path, _texts(path)))


def read_jsonl(path: str) -> list[dict[str, Any]]:
    """The rows of a jsonl file, zipped if its name ends in `.gz`.

    Raises:
        DatasetUnavailable: the file is damaged; the message names the row.
    """
    return list(_parsed(path, _line_texts(path)))


def count_rows(path: str) -> int:
    """How many rows there are, each of them parsed.

    Raises:
        DatasetUnavailable: as `read_rows`.
    """
    return sum(1 for _ in _parsed(path, _texts(path)))


def plain_jsonl(path: str) -> str:
    """The path of a plain jsonl file with the same rows: `path` itself, or a copy that is made once and kept.

    Raises:
        DatasetUnavailable: as `read_rows`, or there is no room for the copy.
    """
    if path.endswith(_PLAIN):
        return path
    copy = cache_folder() / "plain" / f"{_identity(path)}.jsonl"
    if not copy.is_file():
        write_whole(copy, (text.encode() + b"\n" for text in _guarded(path, _texts(path))))
    return str(copy)


def write_rows_once(key: str, rows: Iterable[Any]) -> str:
    """The path of a jsonl file with `rows`, which are asked for only the first time that this `key` is seen.

    Raises:
        DatasetUnavailable: it cannot be written.
    """
    path = cache_folder() / "derived" / f"{hashlib.sha256(key.encode()).hexdigest()}.jsonl"
    if not path.is_file():
        write_whole(path, (_dumps(row).encode() + b"\n" for row in rows))
    return str(path)


def _dumps(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:
        limit = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
        try:
            return json.dumps(value)
        finally:
            sys.set_int_max_str_digits(limit)


def _parsed(path: str, texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    return _guarded(path, map(_row, texts))


def _row(text: str) -> dict[str, Any]:
    row = loads(text)
    if not isinstance(row, dict):
        raise ValueError(f"a row is an object, not {text[:40]}")
    return row


def _guarded(path: str, rows: Iterable[_T]) -> Iterator[_T]:
    """The rows; whatever goes wrong while the next one is made is an error that names its place."""
    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except _DAMAGE as error:
        raise _damaged(path, number, error) from error


def _damaged(path: str, number: int, error: BaseException) -> DatasetUnavailable:
    return DatasetUnavailable(f"{path} is damaged after row {number}: {error}; fetch it again")


def _texts(path: str) -> Iterator[str]:
    """Each row as JSON text."""
    if os.path.isdir(path):
        return _folder_texts(path)
    if path.endswith(".parquet"):
        return _parquet_texts(path)
    if path.endswith(".json"):
        return _json_texts(path)
    if path.endswith((*_PLAIN, ".gz")):
        return _line_texts(path)
    raise DatasetUnavailable(f"{path} is in no form that is known here; accepted: {FORMATS}")


def _line_texts(path: str) -> Iterator[str]:
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        for line in file:
            if text := line.decode().strip():
                yield text


def _json_texts(path: str) -> Iterator[str]:
    """A list of rows; or lines under a name that promises a list, as some people save them."""
    with open(path, "rb") as file:
        first = file.read(1024).lstrip()[:1]
    if first != b"[":
        yield from _line_texts(path)
        return
    with open(path, encoding="utf-8", newline="") as text:
        # Inside strings JSON writes line breaks with a backslash, so those that are left only lay the text out.
        yield from (element.translate(_BREAK) for element in _elements(text.read()))


def _parquet_texts(path: str) -> Iterator[str]:
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]  # published without type information
    except ModuleNotFoundError as error:
        raise DatasetUnavailable(f"{path}: parquet is read with pyarrow; type: pip install datasets") from error
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=64):
            yield from map(_dumps, batch.to_pylist())


# ---------------------------------------------------------------------------------------------------------------------
# The original layout of APPS: a folder for each problem
# ---------------------------------------------------------------------------------------------------------------------

_APPS_TEXTS = {
    "question": "question.txt",
    "solutions": "solutions.json",
    "input_output": "input_output.json",
    "starter_code": "starter_code.py",
}
"""Field of a row -> file. As in the published jsonl, the JSON files stay texts; a file that is not there is empty."""


def is_apps_folder(path: str) -> bool:
    """Whether the folder holds a folder for each problem: `0000/question.txt` and so on."""
    return os.path.isdir(path) and any(True for _ in _problem_folders(path))


def _problem_folders(path: str) -> Iterator[str]:
    for name in sorted(os.listdir(path)):
        if name.isdecimal() and os.path.isfile(os.path.join(path, name, "question.txt")):
            yield os.path.join(path, name)


def _folder_texts(path: str) -> Iterator[str]:
    if not is_apps_folder(path):
        raise DatasetUnavailable(f"{path} holds no folder like 0000/ with a question.txt; accepted: {FORMATS}")
    for folder in _problem_folders(path):
        texts = {field: _text_of(folder, name) for field, name in _APPS_TEXTS.items()}
        about = loads(_text_of(folder, "metadata.json") or "{}")
        number = int(os.path.basename(folder))
        known = {"id": number, "difficulty": about.get("difficulty", ""), "url": about.get("url", "")}
        yield _dumps({**known, **texts})


def _text_of(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""


# ---------------------------------------------------------------------------------------------------------------------
# Rows by place
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedRow:
    """A row whose bulky fields stay in the file."""

    fields: dict[str, Any]
    """The other fields."""
    bulky: dict[str, Row]
    """Where the value of each bulky field lies."""
    whole: Row
    """Where the whole row lies."""


def index_rows(path: str, bulky: Sequence[str] = ()) -> list[IndexedRow]:
    """The rows of a file or folder in one of `FORMATS`, which is read once and not kept in memory.

    Args:
        path: what is indexed, or a plain copy of it where rows have no place of their own, as in a zipped file.
        bulky: names of the fields whose values are left in the file.

    Raises:
        DatasetUnavailable: as `read_rows`, or there is no room for the copy.
    """
    plain = plain_jsonl(path)
    try:
        if os.path.getsize(plain) < REMEMBERED_BYTES:
            return list(_indexed(path, plain, bulky))
        return _remembered_index(path, plain, bulky)
    except OSError as error:
        raise _damaged(path, 0, error) from error


def _indexed(path: str, plain: str, bulky: Sequence[str]) -> Iterator[IndexedRow]:
    return _guarded(path, _places(plain, bulky))


def _places(plain: str, bulky: Sequence[str]) -> Iterator[IndexedRow]:
    offset = 0
    with open(plain, "rb") as file:
        for line in file:
            start, end = len(line) - len(line.lstrip()), len(line.rstrip())
            if end:
                yield _indexed_row(plain, offset + start, memoryview(line)[start:end], bulky)
            offset += len(line)


def _indexed_row(plain: str, offset: int, content: memoryview, bulky: Sequence[str]) -> IndexedRow:
    # A row can be large: it is a view of its bytes, and so are its parts, since each copy would take as much again.
    text = str(content, "utf-8")
    fields: dict[str, Any] = {}
    rows: dict[str, Row] = {}
    for name, value, start, end in _members(text):
        if name in bulky:
            # Places in a text count characters, those in a file bytes.
            first, last = (place if len(text) == len(content) else len(text[:place].encode()) for place in (start, end))
            rows[name] = _row_at(plain, offset + first, content[first:last])
        else:
            fields[name] = value
    return IndexedRow(fields=fields, bulky=rows, whole=_row_at(plain, offset, content))


def _row_at(path: str, offset: int, content: memoryview) -> Row:
    return Row(path=path, offset=offset, length=len(content), sha256=hashlib.sha256(content).hexdigest())


def read_row(row: Row) -> Any:
    """The JSON value at a place. A text is JSON once more, as APPS stores its tests; an empty one is None.

    Raises:
        DatasetUnavailable: the bytes are not there, or others.
    """
    try:
        value = loads(_text_at(row))
        return value if not isinstance(value, str) else loads(value) if value.strip() else None
    except _DAMAGE as error:
        place = f"the {row.length:,} bytes at {row.offset:,} of {row.path}"
        raise DatasetUnavailable(f"{place} cannot be read: {error}; type the same command again") from error


def _text_at(row: Row) -> str:
    """The text at a place; by itself, so that its bytes are gone when it is parsed."""
    with open(row.path, "rb") as file:
        file.seek(row.offset)
        content = file.read(row.length)
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise ValueError("they are not the bytes that were there when the file was indexed")
    return content.decode()


# ---------------------------------------------------------------------------------------------------------------------
# What is kept of a large file
# ---------------------------------------------------------------------------------------------------------------------


def _identity(path: str) -> str:
    """What a copy is known by: the bytes of a file; of a folder with its thousands of files, their sizes and times."""
    try:
        if not os.path.isdir(path):
            return remembered_sha256(path)
        seen = hashlib.sha256(os.path.realpath(path).encode())
        for folder in _problem_folders(path):
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                state = entry.stat()
                seen.update(f"{folder}/{entry.name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        return seen.hexdigest()
    except OSError as error:
        raise _damaged(path, 0, error) from error


def _remembered_index(path: str, plain: str, bulky: Sequence[str]) -> list[IndexedRow]:
    key = json.dumps([_INDEX_VERSION, remembered_sha256(plain), *sorted(bulky)])
    note = cache_folder() / "index" / f"{hashlib.sha256(key.encode()).hexdigest()}.jsonl"
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return _read_index(note, plain)
    rows = list(_indexed(path, plain, bulky))
    with contextlib.suppress(DatasetUnavailable):  # costs no more than the speed of the next start
        write_whole(note, _index_lines(rows))
    return rows


def _index_lines(rows: list[IndexedRow]) -> Iterator[bytes]:
    for row in rows:
        places = {name: _place(value) for name, value in row.bulky.items()}
        yield _dumps([row.fields, places, _place(row.whole)]).encode() + b"\n"
    yield json.dumps(len(rows)).encode() + b"\n"


def _read_index(note: Path, plain: str) -> list[IndexedRow]:
    with open(note, encoding="utf-8") as file:
        *lines, count = map(loads, file)
    if count != len(lines):
        raise ValueError("cut short")
    return [
        IndexedRow(
            fields=fields,
            bulky={name: _at_place(plain, place) for name, place in places.items()},
            whole=_at_place(plain, whole),
        )
        for fields, places, whole in lines
    ]


def _place(row: Row) -> list[Any]:
    return [row.offset, row.length, row.sha256]


def _at_place(path: str, place: list[Any]) -> Row:
    offset, length, sha256 = place
    return Row(path=path, offset=offset, length=length, sha256=sha256)
