"""Counts from run directories and from the result files of four other projects."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.config import UsageError
from harness.records import Grade, RecordFile, Sample, Verdict, shard_path
from harness.stats import Counts, NotComparable, compare
from harness.stats.result_files import SAMPLING_FIELD, ResultFormat, read_counts, read_results

HUMAN_EVAL = [
    {"task_id": "HumanEval/0", "completion": "    pass\n", "result": "passed", "passed": True},
    {"task_id": "HumanEval/1", "completion": "    pass\n", "result": "failed: ", "passed": False},
    {"task_id": "HumanEval/0", "completion": "    1/0\n", "result": "timed out", "passed": False},
]
EVALPLUS = {
    "date": "2026-01-01 00:00",
    "hash": "fe585eb4",
    "eval": {
        "HumanEval/0": [
            {"task_id": "HumanEval/0", "solution": "", "base_status": "pass", "plus_status": "pass"},
            {"task_id": "HumanEval/0", "solution": "", "base_status": "pass", "plus_status": "fail"},
        ],
        "HumanEval/1": [{"task_id": "HumanEval/1", "solution": "", "base_status": "timeout", "plus_status": "fail"}],
    },
}
FIRST_EVALPLUS = {
    "eval": {
        "HumanEval/0": {"nfiles": 2, "base": [["success", [1]], ["failed", [0]]], "plus": [["failed", []]] * 2},
    }
}
BIGCODE = {
    "1": [[0, {"task_id": 1, "passed": False, "result": "failed: ", "completion_id": 0}]],
    "0": [
        [1, {"task_id": 0, "passed": True, "result": "passed", "completion_id": 1}],
        [0, {"task_id": 0, "passed": False, "result": "timed out", "completion_id": 0}],
    ],
    "10": [[0, {"task_id": 10, "passed": True, "result": "passed", "completion_id": 0}]],
}


def lm_eval(doc_id: int, score: float, responses: list[Any], **fields: Any) -> dict[str, Any]:
    doc = {"task_id": f"HumanEval/{doc_id}"}
    return {"doc_id": doc_id, "doc": doc, "filtered_resps": responses, "pass@1": score, **fields}


LM_EVAL = [lm_eval(0, 0.75, [["a", "b", "c", "d"]]), lm_eval(1, 0.0, [["a", "b", "c", "d"]])]


def write(path: Path, content: Any) -> Path:
    """A list as JSON lines, all else as one JSON value."""
    rows = content if isinstance(content, list) else [content]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def table(counts: Counts) -> dict[str, tuple[int, int]]:
    return {task_id: (int(n), int(c)) for task_id, n, c in zip(counts.task_id, counts.n, counts.c, strict=True)}


@pytest.mark.parametrize(
    ("name", "content", "expected", "format"),
    [
        ("samples.jsonl_results.jsonl", HUMAN_EVAL, {"HumanEval/0": (2, 1), "HumanEval/1": (1, 0)}, "human-eval"),
        ("results.jsonl.gz", HUMAN_EVAL, {"HumanEval/0": (2, 1), "HumanEval/1": (1, 0)}, "human-eval"),
        ("eval_results.json", EVALPLUS, {"HumanEval/0": (2, 1), "HumanEval/1": (1, 0)}, "evalplus"),
        ("old_eval_results.json", FIRST_EVALPLUS, {"HumanEval/0": (2, 0)}, "evalplus"),
        ("logs.json", BIGCODE, {"0": (2, 1), "1": (1, 0), "10": (1, 1)}, "bigcode"),
        ("samples_humaneval.jsonl", LM_EVAL, {"HumanEval/0": (4, 3), "HumanEval/1": (4, 0)}, "lm-eval"),
    ],
)
def test_verdicts_of_each_project_are_counted_and_the_file_is_recognised(
    tmp_path: Path, name: str, content: Any, expected: dict[str, tuple[int, int]], format: str
) -> None:
    counts = read_counts(write(tmp_path / name, content))
    assert table(counts) == expected
    assert counts.protocol["format"] == format
    assert table(read_counts(tmp_path / name, ResultFormat(format))) == expected


def test_order_of_bigcodes_problems_is_that_of_their_numbers(tmp_path: Path) -> None:
    assert read_counts(write(tmp_path / "logs.json", BIGCODE)).task_id == ("0", "1", "10")


def test_evalplus_base_tests_count_alone_where_that_is_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", EVALPLUS)
    assert table(read_counts(path, base=True)) == {"HumanEval/0": (2, 2), "HumanEval/1": (1, 0)}
    with pytest.raises(NotComparable, match="tests: 'plus' and 'base'"):
        compare(read_counts(path), read_counts(path, base=True), 1)


def test_evalplus_without_plus_tests_says_so(tmp_path: Path) -> None:
    rows = {"HumanEval/0": [{"base_status": "pass", "plus_status": None}]}
    with pytest.raises(UsageError, match="no verdict by the plus tests; ask for the base tests alone"):
        read_counts(write(tmp_path / "r.json", {"eval": rows}))


def test_single_response_of_lm_eval_is_one_completion(tmp_path: Path) -> None:
    assert table(read_counts(write(tmp_path / "s.jsonl", [lm_eval(0, 1.0, ["def f(): ..."])]))) == {
        "HumanEval/0": (1, 1)
    }


def test_filters_of_lm_eval_are_chosen_by_name(tmp_path: Path) -> None:
    rows = [lm_eval(0, 1.0, [["a"]], filter="first"), lm_eval(0, 0.0, [["b"]], filter="second")]
    path = write(tmp_path / "s.jsonl", rows)
    with pytest.raises(UsageError, match="several filters; name one of: first, second"):
        read_counts(path)
    assert table(read_counts(path, lm_eval_filter="second")) == {"HumanEval/0": (1, 0)}
    with pytest.raises(UsageError, match="no row comes from the filter 'third'"):
        read_counts(path, lm_eval_filter="third")


def run(
    path: Path,
    grades: list[Grade],
    asked: list[tuple[str, int]],
    temperature: float = 0.8,
    model: str = "mtp:here",
    **record: Any,
) -> Path:
    """A run directory as the pipeline leaves it."""
    path.mkdir()
    content = {
        "created": "2026-01-01T00:00:00Z",
        "config": {"task": "mini", "model": model, "temperature": temperature, "top_p": 0.95},
        "protocol": {"task": "mini", "limits": {"wall_s": 10}},
        **record,
    }
    (path / "run.json").write_text(json.dumps(content))
    with RecordFile(shard_path(path, "samples")) as samples, RecordFile(shard_path(path, "verdicts")) as verdicts:
        for task_id, index in asked:
            samples.append(Sample(task_id=task_id, index=index, completion="").to_row())
        for grade in grades:
            verdicts.append(grade.to_row())
    return path


def grade(task_id: str, index: int, verdict: Verdict, base: Verdict | None = None) -> Grade:
    return Grade(task_id=task_id, index=index, verdict=verdict, mode="split", program="0" * 16, base=base)


ASKED = [("mini/0", 0), ("mini/0", 1), ("mini/1", 0), ("mini/1", 1)]


def test_run_of_ours_is_counted_with_what_is_unjudged_and_missing(tmp_path: Path) -> None:
    grades = [
        grade("mini/0", 0, Verdict.PASSED),
        grade("mini/0", 1, Verdict.UNJUDGED),
        grade("mini/1", 0, Verdict.TIMEOUT),
    ]
    counts = read_counts(run(tmp_path / "run", grades, ASKED))
    assert table(counts) == {"mini/0": (1, 1), "mini/1": (1, 0)}
    assert (counts.num_unjudged, counts.num_missing) == (1, 1)


def test_runs_at_other_temperatures_are_not_compared_unawares(tmp_path: Path) -> None:
    grades = [grade(task_id, index, Verdict.PASSED) for task_id, index in ASKED]
    cold, warm = (
        read_counts(run(tmp_path / str(temperature), grades, ASKED, temperature)) for temperature in (0.2, 0.8)
    )
    with pytest.raises(NotComparable, match=r"sampling.temperature: 0.2 and 0.8"):
        compare(cold, warm, 1)
    assert compare(cold, warm, 1, may_differ=["sampling.temperature"]).ties == 2


def test_answers_that_a_model_still_owes_are_missing(tmp_path: Path) -> None:
    grades = [grade("mini/0", 0, Verdict.PASSED)]
    counts = read_counts(run(tmp_path / "run", grades, ASKED[:1], expected={"mini/0": 2, "mini/1": 2}))
    assert (counts.num_missing, counts.expected.tolist()) == (3, [2, 2])


def test_samples_of_others_do_not_tell_how_they_were_drawn(tmp_path: Path) -> None:
    grades = [grade(task_id, index, Verdict.PASSED) for task_id, index in ASKED]
    counts = read_counts(run(tmp_path / "run", grades, ASKED, model="samples:theirs.jsonl"))
    assert SAMPLING_FIELD not in counts.protocol
    assert read_counts(run(tmp_path / "own", grades, ASKED)).protocol[SAMPLING_FIELD] == {
        "temperature": 0.8,
        "top_p": 0.95,
    }


def test_greedy_answers_do_not_depend_on_what_only_sampling_takes(tmp_path: Path) -> None:
    grades = [grade(task_id, index, Verdict.PASSED) for task_id, index in ASKED]
    counts = read_counts(run(tmp_path / "run", grades, ASKED, temperature=0.0))
    assert counts.protocol[SAMPLING_FIELD] == {"temperature": 0.0}


@pytest.mark.parametrize(
    ("content", "names"), [(HUMAN_EVAL, ["human-eval", None]), (EVALPLUS, ["evalplus", {"HumanEval/0": (2, 2)}])]
)
def test_scores_of_a_file_are_named_and_have_the_base_tests_beside_the_others(
    tmp_path: Path, content: Any, names: list[Any]
) -> None:
    results = read_results(write(tmp_path / "r.json", content))
    assert results.name == names[0]
    assert (results.base is None) == (names[1] is None)
    if results.base is not None:
        assert table(results.base).items() >= names[1].items()


def test_scores_of_a_run_have_the_base_tests_beside_the_others(tmp_path: Path) -> None:
    path = run(tmp_path / "run", [grade("mini/0", 0, Verdict.WRONG_ANSWER, base=Verdict.PASSED)], ASKED[:1])
    both, alone = read_results(path), read_results(path, base_only=True)
    assert both.base is not None
    assert (both.name, table(both.counts), table(both.base)) == ("mini", {"mini/0": (1, 0)}, {"mini/0": (1, 1)})
    assert (alone.name, table(alone.counts), alone.base) == ("mini (base)", {"mini/0": (1, 1)}, None)


def test_base_verdicts_of_a_run_count_alone_where_that_is_asked(tmp_path: Path) -> None:
    grades = [grade("mini/0", 0, Verdict.WRONG_ANSWER, base=Verdict.PASSED)]
    path = run(tmp_path / "run", grades, ASKED[:1])
    assert table(read_counts(path)) == {"mini/0": (1, 0)}
    assert table(read_counts(path, base=True)) == {"mini/0": (1, 1)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pass@1": 0.3}, "no verdicts of single problems that are known here; accepted: run, human-eval"),
        ([{"task_id": "HumanEval/0"}], "no verdicts of single problems"),
        ([{"task_id": "HumanEval/0", "passed": "yes"}], "`passed` is true or false, not 'yes'"),
        ([{"task_id": "HumanEval/0", "passed": True}, {"passed": True}], "not a complete result file of human-eval"),
        ({"eval": {"HumanEval/0": [{"solution": ""}]}}, "not a complete result file of evalplus"),
        ({"eval": {}}, "there are no problems"),
        ([lm_eval(0, 0.3, [["a", "b"]])], "0.3, which is no share of 2 completions"),
        ([lm_eval(0, 1.0, [["a"]]), lm_eval(0, 1.0, [["a"]])], "'HumanEval/0' is there twice"),
        ([{"doc_id": 0, "exact_match": 1.0, "filtered_resps": ["a"]}], "has no pass@1"),
    ],
)
def test_refuses_files_that_hold_no_such_verdicts(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_counts(write(tmp_path / "file.json", content))


def test_refuses_what_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*missing\.json"):
        read_counts(tmp_path / "missing.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a complete result file of any known format"):
        read_counts(tmp_path / "binary.json")
    with pytest.raises(UsageError, match="holds no run"):
        read_counts(tmp_path)
