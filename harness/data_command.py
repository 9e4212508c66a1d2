"""`data list`, `data fetch` and `data verify`: which data sets are here, and whether they are what they should be."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.config import UsageError
from tasks import data
from tasks.download import PATIENT_KNOCK_S
from tasks.rows import count_rows, plain_jsonl
from tasks.sources import SOURCES, DatasetUnavailable, File, Source, find_source

if TYPE_CHECKING:
    from tasks.data import Found

DONE, INCOMPLETE = 0, 3


def list_datasets(overrides: Mapping[str, str]) -> int:
    """Prints one line for each data set; the exit code.

    Raises:
        UsageError: a name in `overrides` is that of no data set.
    """
    _check_names(overrides)
    lines = [("name", "size", "licence", "pinned", "where"), *(_line(source, overrides) for source in SOURCES.values())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return DONE


def fetch(names: Sequence[str], overrides: Mapping[str, str]) -> int:
    """Sees to it that the data sets are on this machine and prints where; the exit code.

    Raises:
        UsageError: there is no such data set.
    """
    _check_names([*names, *overrides])
    code = DONE
    for name in names:
        try:
            located = data.locate(name, overrides, patience_s=PATIENT_KNOCK_S)
        except DatasetUnavailable as error:
            print(f"harness: {error}", file=sys.stderr)
            code = INCOMPLETE
        else:
            print(f"{name}: {located.origin.value}")
            print("".join(f"  {path}\n" for path in located.paths), end="")
            if located.unpinned:
                print(f"  not pinned: {', '.join(located.unpinned)}; type: python -m harness data verify {name}")
    return code


def verify(names: Sequence[str], overrides: Mapping[str, str]) -> int:
    """Reads every byte and every row of the data sets anew and prints what they are; the exit code.

    Raises:
        UsageError: there is no such data set.
    """
    _check_names([*names, *overrides])
    code = DONE
    for name in names:
        try:
            for sound, text in _findings(find_source(name), overrides):
                print(f"{name}: {text}", flush=True)
                code = code if sound else INCOMPLETE
        except DatasetUnavailable as error:
            print(f"harness: {error}", file=sys.stderr)
            code = INCOMPLETE
    return code


def _check_names(names: Sequence[str] | Mapping[str, str]) -> None:
    for name in names:
        try:
            find_source(name)
        except ValueError as error:
            raise UsageError(str(error)) from error


# ---------------------------------------------------------------------------------------------------------------------
# data list
# ---------------------------------------------------------------------------------------------------------------------


def _line(source: Source, overrides: Mapping[str, str]) -> tuple[str, str, str, str, str]:
    found, where = None, f"missing; type: python -m harness data fetch {source.name}"
    try:
        found = data.find(source.name, overrides)
        if found is not None:
            where = f"{found.origin.value}: {os.path.commonpath(found.paths)}"
    except DatasetUnavailable as error:
        where = f"missing: {error}"
    return source.name, _size(source, found), source.licence, _pinned(source, found), where


def _size(source: Source, found: Found | None) -> str:
    if found is not None and all(map(os.path.isfile, found.paths)):
        sizes: list[int | None] = [os.path.getsize(path) for path in found.paths]
    else:
        sizes = [file.size_bytes for file in source.publications[0].files]
    known = [size for size in sizes if size is not None]
    return f"{sum(known) / 1000:,.0f} kB" if len(known) == len(sizes) else "unknown"


def _pinned(source: Source, found: Found | None) -> str:
    if found is not None and found.origin is data.Origin.GIVEN:
        return "own file"
    files = found.files if found is not None else source.publications[0].files
    pins = [file is not None and file.sha256 is not None for file in files]
    return "yes" if all(pins) else "in part" if any(pins) else "no"


# ---------------------------------------------------------------------------------------------------------------------
# data verify
# ---------------------------------------------------------------------------------------------------------------------


def _findings(source: Source, overrides: Mapping[str, str]) -> Iterator[tuple[bool, str]]:
    """Whether it is as it should be, and a sentence, for each file and for the rows."""
    found = data.find(source.name, overrides)
    if found is None:
        yield False, f"not on this machine; type: python -m harness data fetch {source.name}"
        return
    own = found.origin is data.Origin.GIVEN
    for path, file in zip(found.paths, found.files, strict=True):
        digest = data.sha256_of(plain_jsonl(path) if os.path.isdir(path) else path)
        sound, text = _judge(source, file, digest)
        yield sound or own, f"{text}: {path} has the sha256 {digest}"
    num_rows = sum(map(count_rows, found.paths))
    enough = num_rows == source.num_rows
    yield enough or own, f"{num_rows:,} rows" + ("" if enough else f", not {source.num_rows:,}")


def _judge(source: Source, file: File | None, digest: str) -> tuple[bool, str]:
    if digest in source.pins and (file is None or file.sha256 in (None, digest)):
        return True, "as pinned"
    if file is None or file.sha256 is None:
        return True, "not pinned"
    return False, f"NOT as pinned ({file.sha256})"
