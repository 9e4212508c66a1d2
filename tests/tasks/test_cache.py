from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.cache import REMEMBERED_BYTES, cache_folder, remembered_sha256, sha256_of, write_whole
from tasks.sources import DatasetUnavailable


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"a" * REMEMBERED_BYTES)
    return path


def test_without_a_variable_the_cache_is_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_CACHE_DIR")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/mtp-harness")


def test_a_file_is_there_with_all_its_bytes_and_nothing_beside_it(cache: Path) -> None:
    write_whole(cache / "a" / "b", [b"one ", b"two"])
    assert [(path.name, path.read_bytes()) for path in (cache / "a").iterdir()] == [("b", b"one two")]


def test_what_breaks_off_leaves_nothing_behind(cache: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise KeyError

    with pytest.raises(KeyError):
        write_whole(cache / "a", chunks())
    assert list(cache.iterdir()) == []


def test_what_breaks_off_leaves_the_old_file_as_it_was(cache: Path) -> None:
    write_whole(cache / "a", [b"old"])
    with pytest.raises(ZeroDivisionError):
        write_whole(cache / "a", (b"new" * (1 // number) for number in (1, 0)))
    assert (cache / "a").read_bytes() == b"old"


def test_a_place_that_cannot_be_written_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetUnavailable, match=r"cannot write .*: .*; name a folder .* HARNESS_CACHE_DIR=FOLDER"):
        write_whole(tmp_path / "file" / "inside", [b""])


def test_a_digest_that_was_remembered_is_that_of_the_bytes(large: Path) -> None:
    expected = hashlib.sha256(b"a" * REMEMBERED_BYTES).hexdigest()
    assert [remembered_sha256(str(large)) for _ in range(2)] == [expected, expected]


def test_a_large_file_is_read_once(large: Path, cache: Path) -> None:
    remembered_sha256(str(large))
    (note,) = (cache / "digests").iterdir()
    note.write_text(note.read_text().replace(sha256_of(str(large)), "from memory"))
    assert remembered_sha256(str(large)) == "from memory"


def test_a_large_file_with_other_bytes_is_read_again_even_if_it_claims_to_be_as_old(large: Path) -> None:
    before = large.stat()
    remembered_sha256(str(large))
    while large.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of the file system ticks a few times in 10 ms
        with large.open("r+b") as file:
            file.write(b"b")
    os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert remembered_sha256(str(large)) == sha256_of(str(large))


@pytest.mark.parametrize("note", ["", "[]", '{"facts": 1}', "\x00"])
def test_a_damaged_memory_is_made_anew(large: Path, cache: Path, note: str) -> None:
    remembered_sha256(str(large))
    (path,) = (cache / "digests").iterdir()
    path.write_text(note)
    assert remembered_sha256(str(large)) == sha256_of(str(large))


def test_without_a_place_to_remember_digests_they_are_still_right(large: Path, cache: Path) -> None:
    cache.touch()
    assert remembered_sha256(str(large)) == sha256_of(str(large))
