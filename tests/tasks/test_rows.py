from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.cache import REMEMBERED_BYTES
from tasks.rows import (
    count_rows,
    index_rows,
    is_apps_folder,
    loads,
    plain_jsonl,
    read_jsonl,
    read_row,
    read_rows,
    write_rows_once,
)
from tasks.sources import DatasetUnavailable

REPOSITORY = Path(__file__).parents[2]
REALDATA = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data"))
HUGE = 7 * (10**9130 - 1) // 9
"""9,130 sevens: more digits than Python turns into an integer unless it is told to."""
HUGE_DIGITS = "7" * 9130

ROWS = [{"task_id": f"t/{number}", "text": "ü\r\n" * number, "tests": ["a", "b"]} for number in range(5)]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=5), values, max_size=5)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
    return str(path)


def write_gzip(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_bytes(gzip.compress(Path(write_jsonl(path, rows)).read_bytes()))
    return str(path)


def write_list(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False))
    return str(path)


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> str:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return str(path)


def write_folders(path: Path, rows: list[dict[str, Any]]) -> str:
    for number, row in enumerate(rows):
        folder = path / f"{number:04}"
        folder.mkdir(parents=True)
        (folder / "question.txt").write_bytes(row["text"].encode())
        (folder / "input_output.json").write_text(json.dumps({"inputs": [row["task_id"]], "outputs": row["tests"]}))
        (folder / "metadata.json").write_text(json.dumps({"difficulty": "interview", "url": "u"}))
    return str(path)


Write = Callable[[Path, list[dict[str, Any]]], str]
FORMS: dict[str, Write] = {
    "x.jsonl": write_jsonl,
    "x.jsonl.gz": write_gzip,
    "x.json": write_list,
    "x.parquet": write_parquet,
}
forms = pytest.mark.parametrize(("name", "write"), FORMS.items(), ids=list(FORMS))


# ---------------------------------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["1", "9", "0", "42"]), min_size=1, max_size=40), st.integers(1, 300), st.booleans())
def test_an_integer_of_any_length_is_the_number_its_digits_say(parts: list[str], times: int, negative: bool) -> None:
    digits = ("-" if negative else "") + "1" + "".join(parts) * times
    expected = 0
    for digit in digits.lstrip("-"):
        expected = expected * 10 + ord(digit) - ord("0")
    assert loads(digits) == (-expected if negative else expected)


def test_reading_a_huge_integer_leaves_the_limit_of_the_process_as_it_was() -> None:
    before = sys.get_int_max_str_digits()
    assert loads(f'{{"a": [{HUGE_DIGITS}]}}') == {"a": [HUGE]}
    assert sys.get_int_max_str_digits() == before


@given(values)
def test_ordinary_json_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    assert loads(json.dumps(value)) == value


# ---------------------------------------------------------------------------------------------------------------------
# Forms
# ---------------------------------------------------------------------------------------------------------------------


@forms
def test_every_form_gives_the_rows_that_were_written(tmp_path: Path, name: str, write: Write) -> None:
    path = write(tmp_path / name, ROWS)
    assert read_rows(path) == ROWS
    assert count_rows(path) == len(ROWS)


@forms
def test_every_form_has_a_plain_copy_with_the_same_rows(tmp_path: Path, name: str, write: Write) -> None:
    assert read_jsonl(plain_jsonl(write(tmp_path / name, ROWS))) == ROWS


def test_lines_are_read_under_a_name_that_promises_a_list(tmp_path: Path) -> None:
    assert read_rows(write_jsonl(tmp_path / "x.json", ROWS)) == ROWS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(objects, max_size=4), st.sampled_from([None, 0, 3]))
def test_a_list_is_taken_apart_into_its_elements(rows: list[dict[str, Any]], indent: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        path.write_text(json.dumps(rows, indent=indent, ensure_ascii=False), encoding="utf-8", newline="")
        assert read_rows(str(path)) == rows


@pytest.mark.parametrize("text", ["[", '[{"a": 1}', '[{"a": 1},', '[{"a": 1} {"a": 2}]', '[{"a": 1}] x', "[1]"])
def test_a_damaged_list_is_a_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DatasetUnavailable, match=r"x\.json is damaged after row [01]: .*; fetch it again"):
        read_rows(str(tmp_path / "x.json"))


@forms
def test_a_file_cut_short_is_a_clear_error(tmp_path: Path, name: str, write: Write) -> None:
    path = Path(write(tmp_path / name, ROWS))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DatasetUnavailable, match=r"is damaged after row \d+: "):
        read_rows(str(path))


@pytest.mark.parametrize("read", [read_rows, index_rows, count_rows, plain_jsonl], ids=lambda read: read.__name__)
@pytest.mark.parametrize("name", ["x.json", "x.parquet", "x.jsonl.gz"])
def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path, read: Callable[[str], Any], name: str) -> None:
    with pytest.raises(DatasetUnavailable, match="No such file"):
        read(str(tmp_path / name))


@pytest.mark.parametrize("read", [read_rows, index_rows, plain_jsonl], ids=lambda read: read.__name__)
def test_an_unknown_form_is_an_error_that_lists_the_known_ones(tmp_path: Path, read: Callable[[str], Any]) -> None:
    (tmp_path / "x.csv").touch()
    with pytest.raises(DatasetUnavailable, match=r"x\.csv is in no form .* accepted: \.jsonl, .* APPS"):
        read(str(tmp_path / "x.csv"))


def test_a_row_that_is_no_object_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n[2]\n')
    with pytest.raises(DatasetUnavailable, match=r"damaged after row 1: a row is an object, not \[2\]"):
        read_rows(str(tmp_path / "x.jsonl"))


@pytest.mark.parametrize(("name", "wrapped"), [("x.jsonl", "{}\n"), ("x.json", "[{}]"), ("x.jsonl.gz", "{}\n")])
def test_huge_integers_survive_in_every_form_that_can_hold_them(tmp_path: Path, name: str, wrapped: str) -> None:
    content = wrapped.replace("{}", f'{{"n": {HUGE_DIGITS}}}').encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert read_rows(str(path)) == [{"n": HUGE}]
    (row,) = index_rows(str(path), ["n"])
    assert read_row(row.bulky["n"]) == HUGE


def test_a_plain_copy_is_made_once_and_found_under_any_name(tmp_path: Path) -> None:
    first = plain_jsonl(write_gzip(tmp_path / "x.jsonl.gz", ROWS))
    state = os.stat(first)
    shutil.copy(tmp_path / "x.jsonl.gz", tmp_path / "other.jsonl.gz")
    second = plain_jsonl(str(tmp_path / "other.jsonl.gz"))
    assert (second, os.stat(second).st_ino) == (first, state.st_ino)


def test_a_damaged_file_leaves_no_plain_copy(tmp_path: Path, cache: Path) -> None:
    path = Path(write_gzip(tmp_path / "x.jsonl.gz", ROWS))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DatasetUnavailable, match="damaged after row"):
        plain_jsonl(str(path))
    assert [found for found in cache.rglob("*") if found.is_file()] == []


def test_derived_rows_are_asked_for_once_for_each_key(tmp_path: Path) -> None:
    first = write_rows_once("a", [{"n": HUGE}, [1]])
    assert write_rows_once("a", (1 // 0 for _ in "x")) == first
    assert [loads(line) for line in Path(first).read_text().splitlines()] == [{"n": HUGE}, [1]]
    assert write_rows_once("b", []) != first


# ---------------------------------------------------------------------------------------------------------------------
# Folders of APPS
# ---------------------------------------------------------------------------------------------------------------------


def test_a_folder_of_problems_has_the_fields_of_the_published_rows(tmp_path: Path) -> None:
    (row, *_) = read_rows(write_folders(tmp_path / "train", ROWS))
    assert row == {
        "id": 0,
        "difficulty": "interview",
        "url": "u",
        "question": "",
        "solutions": "",
        "input_output": '{"inputs": ["t/0"], "outputs": ["a", "b"]}',
        "starter_code": "",
    }


def test_the_line_ends_of_a_question_are_kept(tmp_path: Path) -> None:
    rows = read_rows(write_folders(tmp_path / "train", ROWS))
    assert [row["question"] for row in rows] == [row["text"] for row in ROWS]


def test_other_folders_beside_the_problems_are_passed_over(tmp_path: Path) -> None:
    write_folders(tmp_path, ROWS)
    (tmp_path / "notes").mkdir()
    (tmp_path / "9999").mkdir()
    assert [row["id"] for row in read_rows(str(tmp_path))] == [0, 1, 2, 3, 4]


def test_a_folder_without_problems_is_a_clear_error(tmp_path: Path) -> None:
    assert not is_apps_folder(str(tmp_path))
    with pytest.raises(DatasetUnavailable, match=r"holds no folder like 0000/ with a question\.txt"):
        read_rows(str(tmp_path))


def test_a_folder_that_changed_is_copied_anew(tmp_path: Path) -> None:
    path = write_folders(tmp_path / "train", ROWS)
    before = plain_jsonl(path)
    (tmp_path / "train/0003/question.txt").write_text("another question, of another length")
    after = plain_jsonl(path)
    assert after != before
    assert read_jsonl(after)[3]["question"] == "another question, of another length"


def test_damaged_metadata_are_named_by_the_row(tmp_path: Path) -> None:
    path = write_folders(tmp_path / "train", ROWS)
    (tmp_path / "train/0003/metadata.json").write_text("{")
    with pytest.raises(DatasetUnavailable, match="damaged after row 3"):
        read_rows(path)


@pytest.mark.realdata
@pytest.mark.skipif(not (REALDATA / "coderl_apps").is_dir(), reason=f"{REALDATA} does not hold coderl_apps")
def test_real_problems_have_tests_and_solutions_where_the_index_says() -> None:
    rows = index_rows(str(REALDATA / "coderl_apps/train"), ["input_output", "solutions"])
    assert [row.fields["id"] for row in rows] == [1, 111, 2287, 2404, 4184]
    for row in rows:
        tests, solutions = read_row(row.bulky["input_output"]), read_row(row.bulky["solutions"])
        assert len(tests["inputs"]) == len(tests["outputs"]) > 0
        assert all(isinstance(solution, str) for solution in solutions)
        assert row.fields["question"]


# ---------------------------------------------------------------------------------------------------------------------
# Rows by place
# ---------------------------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(objects, max_size=6), st.sets(st.text(max_size=5), max_size=3), st.booleans(), st.sampled_from(["", " \r"])
)
def test_every_value_is_where_the_index_says(
    rows: list[dict[str, Any]], bulky: set[str], ascii_only: bool, space: str
) -> None:
    wanted = [*bulky, *(name for row in rows[:1] for name in list(row)[:2])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        lines = (f"{space}{json.dumps(row, ensure_ascii=ascii_only)}{space}\n\n" for row in rows)
        path.write_bytes("".join(lines).encode())
        indexed = index_rows(str(path), wanted)
        whole = [read_row(row.whole) for row in indexed]
        # A text would be decoded once more, which is another test.
        there = [
            {**row.fields, **{name: read_row(place) for name, place in row.bulky.items() if not is_text(at[name])}}
            for row, at in zip(indexed, rows, strict=True)
        ]
    assert whole == rows
    assert there == [{k: v for k, v in row.items() if not (k in wanted and is_text(v))} for row in rows]
    assert all(set(row.bulky) == set(wanted) & set(at) for row, at in zip(indexed, rows, strict=True))


def is_text(value: object) -> bool:
    return isinstance(value, str)


@forms
def test_every_form_is_indexed(tmp_path: Path, name: str, write: Write) -> None:
    rows = index_rows(write(tmp_path / name, ROWS), ["tests"])
    assert [{**row.fields, "tests": read_row(row.bulky["tests"])} for row in rows] == ROWS


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(json.dumps({"inputs": ["ü\n"], "outputs": [1]}), {"inputs": ["ü\n"], "outputs": [1]}), ("", None), ("  ", None)],
)
def test_tests_that_are_json_in_a_text_are_decoded_twice(tmp_path: Path, stored: str, expected: Any) -> None:
    (row,) = index_rows(write_jsonl(tmp_path / "x.jsonl", [{"id": 1, "input_output": stored}]), ["input_output"])
    assert read_row(row.bulky["input_output"]) == expected


def test_huge_integers_are_read_from_json_in_a_text(tmp_path: Path) -> None:
    row = {"input_output": f'{{"inputs": [[{HUGE_DIGITS}]]}}'}
    (indexed,) = index_rows(write_jsonl(tmp_path / "x.jsonl", [row]), ["input_output"])
    assert read_row(indexed.bulky["input_output"]) == {"inputs": [[HUGE]]}


def test_a_text_that_is_no_json_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    (row,) = index_rows(write_jsonl(tmp_path / "x.jsonl", [{"input_output": "{"}]), ["input_output"])
    with pytest.raises(DatasetUnavailable, match=r"the 3 bytes at 17 of .*x\.jsonl cannot be read"):
        read_row(row.bulky["input_output"])


def test_the_same_value_has_the_same_digest_wherever_it_lies(tmp_path: Path) -> None:
    one = index_rows(write_jsonl(tmp_path / "x.jsonl", ROWS), ["tests"])
    other = index_rows(write_jsonl(tmp_path / "y.jsonl", ROWS[::-1]), ["tests"])
    assert {row.bulky["tests"].sha256 for row in one} == {row.bulky["tests"].sha256 for row in other}
    assert [row.whole.sha256 for row in one] == [row.whole.sha256 for row in other][::-1]


@pytest.mark.parametrize("line", [b'{"a": 1', b'{"a" 1}', b'{"a": 1}}', b'{"a": 1 "b": 2}', b"{1: 2", b"\xff", b"7"])
def test_a_broken_line_is_named_by_the_rows_before_it(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": 1}\n{"a": 2}\n' + line + b"\n")
    with pytest.raises(DatasetUnavailable, match=r"x\.jsonl is damaged after row 2: "):
        index_rows(str(tmp_path / "x.jsonl"), ["a"])


def test_bytes_that_changed_since_are_an_error(tmp_path: Path) -> None:
    path = Path(write_jsonl(tmp_path / "x.jsonl", ROWS))
    row = index_rows(str(path))[2].whole
    path.write_bytes(path.read_bytes().replace(b"t/2", b"t/9"))
    with pytest.raises(DatasetUnavailable, match="not the bytes that were there"):
        read_row(row)


def test_bytes_that_are_gone_are_an_error(tmp_path: Path) -> None:
    row = index_rows(write_jsonl(tmp_path / "x.jsonl", ROWS))[4].whole
    os.truncate(row.path, row.offset + 1)
    for gone in (row, replace(row, path=str(tmp_path / "nowhere"))):
        with pytest.raises(DatasetUnavailable, match="cannot be read"):
            read_row(gone)


def test_a_row_reads_itself(tmp_path: Path) -> None:
    assert index_rows(write_jsonl(tmp_path / "x.jsonl", ROWS))[3].whole.read() == ROWS[3]


# ---------------------------------------------------------------------------------------------------------------------
# Large files
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path) -> str:
    bulk = json.dumps({"inputs": ["x" * (REMEMBERED_BYTES // 8)]})
    return write_jsonl(tmp_path / "large.jsonl", [{"id": n, "input_output": bulk + " " * n} for n in range(9)])


def test_the_index_of_a_large_file_is_kept_and_is_the_same(large: str, cache: Path) -> None:
    first = index_rows(large, ["input_output"])
    notes = list((cache / "index").iterdir())
    assert len(notes) == 1
    assert index_rows(large, ["input_output"]) == first


def test_a_kept_index_is_used(large: str, cache: Path) -> None:
    index_rows(large, ["input_output"])
    (note,) = (cache / "index").iterdir()
    note.write_text(note.read_text().replace('{"id": 3}', '{"id": "from memory"}'))
    assert index_rows(large, ["input_output"])[3].fields == {"id": "from memory"}


def test_a_kept_index_is_not_used_for_other_fields(large: str) -> None:
    index_rows(large, ["input_output"])
    assert index_rows(large, ["input_output", "id"])[3].fields == {}


def test_a_kept_index_is_not_used_for_another_file(large: str) -> None:
    before = index_rows(large, ["input_output"])
    with open(large, "ab") as file:
        file.write(b'{"id": 9}\n')
    assert index_rows(large, ["input_output"])[:9] == before
    assert len(index_rows(large, ["input_output"])) == 10


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_kept_index_that_was_cut_short_is_made_anew(large: str, cache: Path, keep: float) -> None:
    first = index_rows(large, ["input_output"])
    (note,) = (cache / "index").iterdir()
    os.truncate(note, int(note.stat().st_size * keep))
    assert index_rows(large, ["input_output"]) == first


def test_a_kept_index_moves_with_its_file(large: str, tmp_path: Path) -> None:
    index_rows(large, ["input_output"])
    moved = shutil.move(large, tmp_path / "moved.jsonl")
    row = index_rows(str(moved), ["input_output"])[3].bulky["input_output"]
    assert row.path == str(moved)
    assert len(read_row(row)["inputs"][0]) == REMEMBERED_BYTES // 8


PEAK = """
import re, sys
from tasks.rows import index_rows

def peak_bytes():  # of this program alone; what getrusage says includes the process that started it
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s*(\\d+) kB", file.read())[1]) * 1024

before = peak_bytes()
rows = index_rows(sys.argv[1], ["input_output"])
print(len(rows), peak_bytes() - before)
"""


def test_indexing_keeps_a_few_rows_in_memory_and_not_the_file(tmp_path: Path) -> None:
    row_bytes, num_rows = 1 << 20, 100
    line = json.dumps({"id": 1, "input_output": "x" * row_bytes}).encode() + b"\n"
    with open(tmp_path / "x.jsonl", "wb") as file:
        file.writelines(line for _ in range(num_rows))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "x.jsonl"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    indexed, grown_bytes = map(int, done.stdout.split())
    assert indexed == num_rows
    assert grown_bytes < 20 * row_bytes
