"""What is costly to make is kept in a folder of our own; every file there can be thrown away and is made again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tasks.sources import DatasetUnavailable

REMEMBERED_BYTES = 8 << 20
"""Smaller files are read again each time: that takes less than a few hundredths of a second."""


def cache_folder() -> Path:
    """HARNESS_CACHE_DIR, or a folder in the home directory."""
    return Path(os.environ.get("HARNESS_CACHE_DIR") or "~/.cache/mtp-harness").expanduser()


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes a file that gets its name when everything is in it: nobody ever sees half of it.

    Raises:
        DatasetUnavailable: it cannot be written. What `chunks` raises passes through, and leaves nothing behind.
    """
    part = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name[:40]}.", suffix=".part")
        with open(descriptor, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def _unwritable(path: Path, error: OSError) -> DatasetUnavailable:
    return DatasetUnavailable(
        f"cannot write {path}: {error.strerror}; name a folder with room to write in: HARNESS_CACHE_DIR=FOLDER"
    )


def sha256_of(path: str) -> str:
    """The sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_sha256(path: str) -> str:
    """The sha256 of a file's bytes; of a large file, as it was when the same file was last read."""
    state = os.stat(path)
    if state.st_size < REMEMBERED_BYTES:
        return sha256_of(path)
    name = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()
    note = cache_folder() / "digests" / f"{name}.json"
    # ctime_ns: nobody can set it back, so the same file written anew is never taken for the old one.
    facts = [state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        known = json.loads(note.read_text())
        if known["facts"] == facts:
            return str(known["sha256"])
    digest = sha256_of(path)
    with contextlib.suppress(DatasetUnavailable):  # costs no more than the speed of the next start
        write_whole(note, [json.dumps({"facts": facts, "sha256": digest}).encode()])
    return digest
