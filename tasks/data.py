"""Where a benchmark's data lies, and what its bytes are."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from tasks import download
from tasks.cache import remembered_sha256, sha256_of
from tasks.rows import (
    IndexedRow,
    index_rows,
    is_apps_folder,
    plain_jsonl,
    read_jsonl,
    read_row,
    read_rows,
    write_rows_once,
)
from tasks.sources import DatasetUnavailable, File, Publication, Source, find_source

__all__ = [
    "DatasetUnavailable",
    "Found",
    "IndexedRow",
    "Located",
    "Origin",
    "find",
    "find_source_files",
    "index_rows",
    "locate",
    "locate_source",
    "packaged_file",
    "read_jsonl",
    "read_row",
    "read_rows",
    "sha256_of",
    "write_rows_once",
]


class Origin(Enum):
    """How a data set was found, in the order in which places are looked into."""

    GIVEN = "given"
    FOLDER = "HARNESS_DATA_DIR"
    PACKAGE = "package"
    CACHE = "cache"
    DOWNLOAD = "download"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Files that hold all rows of a data set; their bytes have not been looked at."""

    source: Source
    origin: Origin
    paths: tuple[str, ...]
    """In the order of the rows; one of them may be a folder in the layout of APPS."""
    publication: Publication | None = None
    """What the files are said to be; None for a file or folder that has only a path."""

    @property
    def files(self) -> tuple[File | None, ...]:
        """What each path is said to be."""
        return self.publication.files if self.publication else (None,) * len(self.paths)


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """Files that hold all rows of a data set, and what their bytes are."""

    name: str
    origin: Origin
    paths: tuple[str, ...]
    """In the order of the rows; each for `read_rows` or `index_rows`."""
    digests: dict[str, str]
    """sha256 of each file by its name; of a folder, of its rows. Part of the protocol."""
    unpinned: tuple[str, ...]
    """Those of these names whose bytes nobody has vouched for."""


def locate(name: str, overrides: Mapping[str, str] | None = None, *, patience_s: float = download.KNOCK_S) -> Located:
    """The files of the data set called `name`, fetched if they are nowhere on this machine.

    Args:
        name: one of `tasks.sources.SOURCES`.
        overrides: name -> path, as in `--data NAME=PATH`; such a file is taken as it is, and its digest is recorded.
        patience_s: how long hosts may take to accept a connection.

    Raises:
        ValueError: there is no such data set.
        DatasetUnavailable: it cannot be had, or its bytes are not those that are pinned.
    """
    return locate_source(find_source(name), overrides or {}, patience_s=patience_s)


def find(name: str, overrides: Mapping[str, str] | None = None) -> Found | None:
    """Where the data set called `name` lies on this machine; nothing is fetched, and no bytes are looked at.

    Raises:
        ValueError: there is no such data set.
        DatasetUnavailable: the path in `overrides` does not hold it.
    """
    return find_source_files(find_source(name), overrides or {})


def locate_source(source: Source, overrides: Mapping[str, str], *, patience_s: float) -> Located:
    """`locate` for a data set that need not be in the table."""
    found = find_source_files(source, overrides)
    return _looked_at(found if found is not None else _download(source, patience_s))


def find_source_files(source: Source, overrides: Mapping[str, str]) -> Found | None:
    """`find` for a data set that need not be in the table."""
    return _given(source, overrides) or _in_data_folder(source) or _packaged(source) or _cached(source)


def packaged_file(package: str, *parts: str) -> str:
    """The path of a data file inside an installed package, found without importing the package.

    Raises:
        DatasetUnavailable: the package is not installed or lacks the file.
    """
    spec = importlib.util.find_spec(package)
    roots = list(spec.submodule_search_locations or ()) if spec is not None else []
    for root in roots:
        path = os.path.join(root, *parts)
        if os.path.isfile(path):
            return path
    distribution = package.replace("_", "-")
    reason = "is installed without it" if roots else "is not installed"
    raise DatasetUnavailable(
        f"{'/'.join(parts)} comes with the package {distribution}, which {reason}; type: pip install {distribution}"
    )


# ---------------------------------------------------------------------------------------------------------------------
# The places that are looked into
# ---------------------------------------------------------------------------------------------------------------------


def _given(source: Source, overrides: Mapping[str, str]) -> Found | None:
    how = f"--data {source.name}=" if source.name in overrides else f"{source.variable}="
    path = os.path.expanduser(overrides.get(source.name) or os.environ.get(source.variable, ""))
    if not path:
        return None
    if not os.path.exists(path):
        raise DatasetUnavailable(f"{how}{path}: there is no such file or folder")
    if os.path.isfile(path):
        return Found(source=source, origin=Origin.GIVEN, paths=(path,))
    found = _in_folder(source, path, Origin.GIVEN)
    if found is None:
        wanted = ", or ".join(map(_title, source.publications))
        raise DatasetUnavailable(f"{how}{path}: this folder does not hold {wanted}; name the file itself")
    return found


def _in_data_folder(source: Source) -> Found | None:
    root = os.environ.get("HARNESS_DATA_DIR")
    if not root:
        return None
    found = _in_folder(source, os.path.join(root, source.name), Origin.FOLDER)
    # Directly in it only files whose names tell the data set: test.jsonl may be anything.
    return found or _published(source, Origin.FOLDER, lambda publication, file: _direct(root, publication, file))


def _in_folder(source: Source, folder: str, origin: Origin) -> Found | None:
    found = _published(source, origin, lambda _, file: _existing(folder, file.path, file.name))
    if found is not None:
        return found
    for path in (folder, os.path.join(folder, source.split)):
        if source.split and is_apps_folder(path):
            return Found(source=source, origin=origin, paths=(path,))
    return None


def _direct(root: str, publication: Publication, file: File) -> str | None:
    return None if publication.on_hub else _existing(root, file.name)


def _existing(folder: str, *names: str) -> str | None:
    paths = (os.path.join(folder, name) for name in names)
    return next((path for path in paths if os.path.isfile(path)), None)


def _packaged(source: Source) -> Found | None:
    try:
        path = packaged_file(*source.packaged) if source.packaged else None
    except DatasetUnavailable:
        return None
    if path is None:
        return None
    return Found(source=source, origin=Origin.PACKAGE, paths=(path,), publication=source.publications[0])


def _cached(source: Source) -> Found | None:
    return _published(source, Origin.CACHE, download.in_cache)


def _published(source: Source, origin: Origin, path_of: Callable[[Publication, File], str | None]) -> Found | None:
    """The first publication all of whose files `path_of` finds."""
    for publication in source.publications:
        paths = [path_of(publication, file) for file in publication.files]
        if None not in paths:
            there = tuple(path for path in paths if path is not None)
            return Found(source=source, origin=origin, paths=there, publication=publication)
    return None


def _download(source: Source, patience_s: float) -> Found:
    closed = download.unreachable(source.publications, patience_s)
    reasons = []
    for publication in source.publications:
        try:
            if publication in closed:
                raise download.DownloadError(closed[publication])
            paths = tuple(download.fetch(publication, file) for file in publication.files)
            return Found(source=source, origin=Origin.DOWNLOAD, paths=paths, publication=publication)
        except download.DownloadError as error:
            reasons.append(f"{_title(publication)}: {error}")
    root = os.environ.get("HARNESS_DATA_DIR")
    raise DatasetUnavailable(
        f"{source.name} is {f'neither in HARNESS_DATA_DIR={root} nor elsewhere' if root else 'not'} on this machine "
        f"and cannot be fetched: {'; or '.join(reasons)}. "
        f"Where there is network, type: python -m harness data fetch {source.name}; "
        f"where the file is at hand, add: --data {source.name}=PATH"
    )


def _title(publication: Publication) -> str:
    first, *others = publication.files
    names = f"{first.path} and {len(others)} more files" if others else first.path
    return f"{names} of {publication.repository} at {publication.revision[:12]}"


# ---------------------------------------------------------------------------------------------------------------------
# What the bytes are
# ---------------------------------------------------------------------------------------------------------------------


def _looked_at(found: Found) -> Located:
    digests: dict[str, str] = {}
    for path, file in zip(found.paths, found.files, strict=True):
        digest = _digest(path)
        if found.origin is not Origin.GIVEN:
            _check(found, path, file, digest)
        digests[file.name if file is not None else _name(found.source, digest)] = digest
    pins = found.source.pins
    return Located(
        name=found.source.name,
        origin=found.origin,
        paths=found.paths,
        digests=digests,
        unpinned=tuple(name for name, digest in digests.items() if digest not in pins),
    )


def _digest(path: str) -> str:
    try:
        return remembered_sha256(plain_jsonl(path) if os.path.isdir(path) else path)
    except OSError as error:
        raise DatasetUnavailable(f"{path} cannot be read: {error.strerror}") from error


def _check(found: Found, path: str, file: File | None, digest: str) -> None:
    if file is None or file.sha256 in (None, digest):
        return
    raise DatasetUnavailable(
        f"{path} has the sha256 {digest}, but the pin of {file.path} is {file.sha256}. To fetch it anew, remove "
        f"{os.path.realpath(path)} and type: python -m harness data fetch {found.source.name}; to use it as it is, "
        f"add: --data {found.source.name}={path}"
    )


def _name(source: Source, digest: str) -> str:
    """A name that follows from the bytes, so that a copy under another name is the same protocol."""
    known = (file.name for file in source.files if file.sha256 == digest)
    return next(known, f"own file {digest[:12]}")
