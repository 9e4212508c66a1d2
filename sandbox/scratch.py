"""The directories of a box in which a program can leave something behind, and how they are made as new again."""

from __future__ import annotations

import os
import time

_DIRECTORIES = ("/tmp", "/dev/shm", "/dev/mqueue")
"""The last exists in containers only."""

_SETTLED_NS = 50_000_000
"""File times move in steps of up to 10 ms: of a change that is older than this, a later one shows."""

_Stamps = list[tuple[int, int, int]]


class Scratch:
    """The scratch directories as they are when this is made, which is how `restore` leaves them."""

    def __init__(self) -> None:
        self._directories = [path for path in _DIRECTORIES if os.path.isdir(path)]
        self._marks = self._read_marks()
        self._stamps: _Stamps = self._read_stamps()

    def unchanged_since(self, start_ns: int) -> bool:
        """Whether nobody has touched the directories since `start_ns` (of `time.time_ns`), as far as can be told.

        Whatever is made or removed in a directory, and every change of its mode or attributes, sets its change time,
        which no program can set back.
        """
        latest = max((changed for changed, _, _ in self._stamps), default=0)
        return start_ns - latest > _SETTLED_NS and self._read_stamps() == self._stamps

    def restore(self) -> bool:
        """Removes plain files; False where something else was left, so the box must go."""
        if os.getpid() != 1:
            raise AssertionError("not pid 1 of a pid namespace: these are the directories of the whole machine")
        clean = self._remove_files() and self._read_marks() == self._marks
        self._stamps = self._read_stamps()
        return clean

    def _remove_files(self) -> bool:
        try:
            for directory in self._directories:
                for name in os.listdir(directory):
                    os.unlink(f"{directory}/{name}")
        except OSError:
            return False
        return True

    def _read_stamps(self) -> _Stamps:
        found = map(os.stat, self._directories)
        return [(facts.st_ctime_ns, facts.st_mtime_ns, facts.st_mode) for facts in found]

    def _read_marks(self) -> list[tuple[int, list[str]]]:
        """Mode and attributes: without root the directories belong to the program's own user."""
        return [(os.stat(path).st_mode, _attributes(path)) for path in self._directories]


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:
        return []  # a file system without attributes, or a directory that has been closed


def now_ns() -> int:
    """The clock of file times."""
    return time.time_ns()
