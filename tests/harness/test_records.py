from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import (
    SYNC_EVERY_ROWS,
    SYNC_EVERY_S,
    Grade,
    RecordFile,
    Rows,
    RunDirectoryBusy,
    Sample,
    Verdict,
    encode_row,
    read_grades,
    read_rows,
    read_samples,
    shard_path,
    write_atomic,
)

REPOSITORY = Path(__file__).parents[2]
JOINED_BY_JSON = re.compile("[\ud800-\udbff][\udc00-\udfff]")

# Everything a model can say: NUL, line breaks and lone surrogates too. Only a pair of surrogates is left out, which
# JSON cannot tell from the character that it spells.
texts = st.text(st.characters(codec=None, exclude_categories=())).filter(lambda text: not JOINED_BY_JSON.search(text))
counts = st.integers(0, 2**62)
seconds = st.floats(0, allow_nan=False, allow_infinity=False)
samples = st.builds(
    Sample,
    task_id=texts,
    index=counts,
    completion=texts,
    is_program=st.booleans(),
    prompt=st.none() | texts,
    seed=st.none() | counts,
    finish_reason=st.none() | st.sampled_from(["stop", "length"]),
    num_tokens=st.none() | counts,
)
grades = st.builds(
    Grade,
    task_id=texts,
    index=counts,
    verdict=st.sampled_from(Verdict),
    mode=st.sampled_from(["split", "stdio", "in-process", "none"]),
    program=texts,
    cpu_s=seconds,
    wall_s=seconds,
    memory_bytes=counts,
    detail=texts,
    attempts=counts,
    tests=st.text("poswectmx-"),
    base=st.none() | st.sampled_from(Verdict),
)

SAMPLE_ROW: dict[str, Any] = {"task_id": "t/0", "index": 0, "completion": "x"}
GRADE_ROW: dict[str, Any] = {"task_id": "t/0", "index": 0, "verdict": "passed", "mode": "split", "program": "00"}


def rows_of(path: Path) -> list[dict[str, Any]]:
    return read_rows(path).rows


def start_child(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@given(samples)
def test_a_sample_survives_being_written_and_read(sample: Sample) -> None:
    assert Sample.from_row(json.loads(encode_row(sample.to_row()))) == sample


@given(grades)
def test_a_grade_survives_being_written_and_read(grade: Grade) -> None:
    assert Grade.from_row(json.loads(encode_row(grade.to_row()))) == grade


def test_a_grade_of_a_task_without_tests_to_count_and_without_base_cases_says_nothing_of_them() -> None:
    assert not {"tests", "base"} & Grade.from_row(GRADE_ROW).to_row().keys()


@pytest.mark.parametrize(("field", "value"), [("tests", 3), ("base", "splendid"), ("base", 3)])
def test_tests_and_base_of_the_wrong_kind_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"the field `{field}` is "):
        Grade.from_row({**GRADE_ROW, field: value})


@given(st.lists(samples, unique_by=lambda sample: sample.key))
def test_a_run_directory_gives_back_every_sample(written: list[Sample]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with RecordFile(shard_path(Path(folder), "samples")) as file:
            for sample in written:
                file.append(sample.to_row())
        assert read_samples(Path(folder)) == {sample.key: sample for sample in written}


@given(samples)
def test_a_row_is_one_line_of_ascii(sample: Sample) -> None:
    line = encode_row(sample.to_row())
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


def test_a_surrogate_pair_comes_back_as_the_character_it_spells() -> None:
    sample = Sample(task_id="t/0", index=0, completion="\ud83d\ude00")
    assert Sample.from_row(json.loads(encode_row(sample.to_row()))).completion == "\U0001f600"


def test_fields_that_are_none_are_left_out_of_a_sample_row() -> None:
    row = Sample(task_id="t/0", index=0, completion="x").to_row()
    assert row == {"task_id": "t/0", "index": 0, "completion": "x", "is_program": False}


def test_a_grade_row_has_the_columns_other_tools_read() -> None:
    row = Grade.from_row(GRADE_ROW).to_row()
    promised = {"task_id", "index", "verdict", "passed", "mode", "cpu_s", "wall_s", "memory_bytes", "detail"}
    assert promised <= row.keys()
    assert row["passed"] is True


def test_keys_of_other_tools_are_tolerated() -> None:
    assert Sample.from_row({**SAMPLE_ROW, "passed": True, "logprobs": [1]}) == Sample.from_row(SAMPLE_ROW)


@pytest.mark.parametrize("verdict", Verdict)
def test_only_the_verdict_decides_what_passed(verdict: Verdict) -> None:
    grade = Grade.from_row({**GRADE_ROW, "verdict": verdict.value, "passed": True})
    assert grade.passed == (verdict is Verdict.PASSED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": True}, "`index` is True"),
        ({"index": 1.0}, "`index` is 1.0"),
        ({"index": "1"}, "`index` is '1'"),
        ({"index": -1}, "`index` is -1"),
        ({"index": None}, "`index` is null"),
        ({"completion": ["x"]}, "`completion` is"),
        ({"is_program": 1}, "accepted is true or false"),
        ({"seed": 0.5}, "accepted is a whole number"),
    ],
)
def test_a_wrong_type_in_a_sample_row_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Sample.from_row({**SAMPLE_ROW, **change})


def test_a_missing_field_is_named_beside_those_that_came() -> None:
    with pytest.raises(ValueError, match=r"`completion` is missing; the row has `task_id`, `index`"):
        Sample.from_row({"task_id": "t/0", "index": 0})


def test_an_unknown_verdict_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'perfect'; accepted are passed, wrong_answer"):
        Grade.from_row({**GRADE_ROW, "verdict": "perfect"})


def test_whole_seconds_are_read_as_seconds() -> None:
    cpu_s = Grade.from_row({**GRADE_ROW, "cpu_s": 2}).cpu_s
    assert isinstance(cpu_s, float)
    assert cpu_s == 2.0


def test_the_last_row_of_a_key_wins(tmp_path: Path) -> None:
    with RecordFile(shard_path(tmp_path, "verdicts")) as file:
        file.append({**GRADE_ROW, "verdict": "unjudged"})
        file.append({**GRADE_ROW, "verdict": "timeout"})
    assert read_grades(tmp_path)["t/0", 0].verdict is Verdict.TIMEOUT


def test_all_shards_of_a_run_are_read(tmp_path: Path) -> None:
    for shard in range(3):
        with RecordFile(shard_path(tmp_path, "samples", shard=shard, of=3)) as file:
            file.append({**SAMPLE_ROW, "index": shard})
    assert list(read_samples(tmp_path)) == [("t/0", 0), ("t/0", 1), ("t/0", 2)]


def test_a_directory_without_records_has_none(tmp_path: Path) -> None:
    assert read_samples(tmp_path) == {}
    assert read_grades(tmp_path / "missing") == {}


def test_a_row_that_is_no_grade_is_refused_with_its_file(tmp_path: Path) -> None:
    path = shard_path(tmp_path, "verdicts")
    path.write_bytes(encode_row(SAMPLE_ROW))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}.*`verdict` is missing"):
        read_grades(tmp_path)


@pytest.mark.parametrize(("shard", "of"), [(1, 1), (-1, 2), (0, 0)])
def test_a_shard_that_does_not_exist_is_refused(tmp_path: Path, shard: int, of: int) -> None:
    with pytest.raises(ValueError, match=f"shard {shard} of {of}"):
        shard_path(tmp_path, "samples", shard=shard, of=of)


def test_shard_files_are_named_in_five_digits(tmp_path: Path) -> None:
    assert shard_path(tmp_path, "samples", shard=2, of=16).name == "samples-00002-of-00016.jsonl"


@pytest.mark.parametrize(
    "line", [b"not json", b"", b"[1]", b'{"a": 1}{"b"', b"\x00" * 9, b"\xff\xfe", b"[" * 100_000, b"1" * 5000]
)
def test_a_damaged_line_is_skipped_and_counted(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "samples-00000-of-00001.jsonl"
    path.write_bytes(encode_row({"n": 1}) + line + b"\n" + encode_row({"n": 2}))
    content = read_rows(path)
    assert content.rows == [{"n": 1}, {"n": 2}]
    assert content.damaged == 1


def test_damaged_lines_of_a_run_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shard_path(tmp_path, "samples").write_bytes(b"{\n" + encode_row(SAMPLE_ROW))
    assert len(read_samples(tmp_path)) == 1
    assert "skipped 1 damaged lines" in caplog.text


def test_a_file_cut_at_any_byte_keeps_its_whole_rows_and_goes_on(tmp_path: Path) -> None:
    rows = [{"n": 0, "text": "a\nb"}, {"n": 1, "text": "\ud800"}, {"n": 2, "text": '"}{'}]
    whole = b"".join(encode_row(row) for row in rows)
    ends = list(accumulate(len(encode_row(row)) for row in rows))
    for length in range(len(whole) + 1):
        path = tmp_path / f"cut-{length}.jsonl"
        path.write_bytes(whole[:length])
        # A row that lacks no more than its newline is whole.
        survivors = rows[: sum(length >= end - 1 for end in ends)]
        assert read_rows(path) == Rows(rows=survivors, damaged=0)
        with RecordFile(path) as file:
            assert read_rows(path) == Rows(rows=survivors, damaged=0)
            file.append({"n": "next"})
        assert read_rows(path) == Rows(rows=[*survivors, {"n": "next"}], damaged=0)


def test_a_torn_row_longer_than_a_read_block_is_cut_off_whole(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(encode_row({"n": 0}) + encode_row({"text": "x" * 300_000})[:-5])
    RecordFile(path).close()
    assert path.read_bytes() == encode_row({"n": 0})


def test_a_file_torn_in_its_first_row_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(b'{"text": "' + b"x" * 200_000)
    RecordFile(path).close()
    assert path.read_bytes() == b""


def test_a_second_writer_is_told_which_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with RecordFile(path), pytest.raises(RunDirectoryBusy, match=rf"{re.escape(str(path))}.*another process"):
        RecordFile(path)


def test_a_second_writer_leaves_the_first_ones_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with RecordFile(path) as file:
        file.append({"n": 0})
        with pytest.raises(RunDirectoryBusy):
            RecordFile(path)
        file.append({"n": 1})
    assert rows_of(path) == [{"n": 0}, {"n": 1}]


def test_a_closed_file_is_free_for_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    for n in range(2):
        with RecordFile(path) as file:
            file.append({"n": n})
    assert rows_of(path) == [{"n": 0}, {"n": 1}]


HOLD = """
import sys
from pathlib import Path
from harness.records import RecordFile
with RecordFile(Path(sys.argv[1])) as file:
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_writer_in_another_process_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with start_child(HOLD, str(path)) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(RunDirectoryBusy):
            RecordFile(path)
        child.kill()
        child.wait()
    RecordFile(path).close()


APPEND_FOR_EVER = """
import sys
from pathlib import Path
from harness.records import RecordFile
with RecordFile(Path(sys.argv[1])) as file:
    n = 0
    while True:
        file.append({"n": n, "text": "x" * (n % 7) * 20_000})
        print(n, flush=True)
        n += 1
"""


@pytest.mark.parametrize("num_rows", [1, 10, 40])
def test_a_killed_writer_loses_at_most_the_row_it_was_writing(tmp_path: Path, num_rows: int) -> None:
    path = tmp_path / "samples.jsonl"
    with start_child(APPEND_FOR_EVER, str(path)) as child:
        assert child.stdout is not None
        for _ in range(num_rows):
            child.stdout.readline()
        child.kill()
        acknowledged = num_rows + sum(line.endswith("\n") for line in child.stdout)
    with RecordFile(path) as file:
        file.append({"n": "next"})
    content = read_rows(path)
    numbers = [row["n"] for row in content.rows]
    assert content.damaged == 0
    assert len(numbers) - 1 >= acknowledged
    assert numbers == [*range(len(numbers) - 1), "next"]


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from harness.records import RecordFile
with RecordFile(Path(sys.argv[1])) as file:
    file.append({"n": 0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        file.append({"n": 1, "text": "x" * 2000})
    except OSError as error:
        print(error.strerror)
    file.append({"n": 2})
"""


def test_a_row_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    output, errors = start_child(FILL_THE_DISK, str(path)).communicate(timeout=60)
    assert (output, errors) == ("File too large\n", "")
    assert path.read_bytes() == encode_row({"n": 0}) + encode_row({"n": 2})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_that_is_not_json_is_refused_and_not_written(tmp_path: Path, value: float) -> None:
    path = tmp_path / "samples.jsonl"
    with RecordFile(path) as file, pytest.raises(ValueError, match="JSON"):
        file.append({"n": value})
    assert path.read_bytes() == b""


def test_rows_are_put_on_the_disk_by_number() -> None:
    with tempfile.TemporaryDirectory() as folder, RecordFile(Path(folder) / "samples.jsonl", clock=lambda: 0.0) as file:
        unsynced = []
        for n in range(SYNC_EVERY_ROWS + 1):
            file.append({"n": n})
            unsynced.append(file.unsynced)
    assert unsynced == [*range(1, SYNC_EVERY_ROWS), 0, 1]


def test_rows_are_put_on_the_disk_by_time(tmp_path: Path) -> None:
    now_s = 0.0
    with RecordFile(tmp_path / "samples.jsonl", clock=lambda: now_s) as file:
        file.append({})
        assert file.unsynced == 1
        now_s += SYNC_EVERY_S
        file.append({})
        assert file.unsynced == 0


def test_closing_twice_is_fine_and_appending_then_is_not(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "samples.jsonl")
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.append({})


def test_an_atomic_write_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomic(path, "old")
    write_atomic(path, "new \u00e9")
    assert path.read_text(encoding="utf-8") == "new \u00e9"
    assert list(tmp_path.iterdir()) == [path]


def test_an_atomic_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "report"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(target, "new")
    assert list(tmp_path.iterdir()) == [target]


def test_an_atomic_write_gives_the_usual_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    write_atomic(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode
