"""Each task from its data file to its report, with small data of our own in the layout of the real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.records import Verdict, read_grades

MBPP = [
    {"task_id": number, "text": f"Add {number}.", "code": f"def add(a):\r\n    return a + {number}\r\n"}
    | {"test_list": [f"assert add(1) == {number + 1}", f"assert add(0) == {number}"], "test_setup_code": ""}
    | {"challenge_test_list": [f"assert add(-1) == {number - 1}"]}
    for number in (11, 12, 601)
]
SQUARES = {"inputs": ["2\n", "3\n", "-4\n"], "outputs": ["4\n", "9\n", "16\n"]}
TWICE = {"fn_name": "twice", "inputs": [[2], [[1]], ["a"]], "outputs": [[4], [[1, 1]], ["aa"]]}


def apps_row(number: int, tests: dict[str, Any] | None, solution: str, starter: str = "") -> dict[str, Any]:
    return {
        "problem_id": number,
        "question": f"Question {number}",
        "solutions": json.dumps([solution]) if solution else "",
        "input_output": json.dumps(tests) if tests is not None else "",
        "difficulty": "interview",
        "url": "",
        "starter_code": starter,
    }


APPS = [
    apps_row(0, SQUARES, "print(int(input()) ** 2)\n"),
    apps_row(1, TWICE, "class Solution:\n    def twice(self, x):\n        return x * 2\n", "class Solution:\n"),
    apps_row(2, None, "print(1)\n"),
    apps_row(3, SQUARES, ""),
]
EVALPLUS = [
    {
        "task_id": "HumanEval/0",
        "prompt": "def half(n):\n",
        "entry_point": "half",
        "canonical_solution": "    return n // 2\n",
        "base_input": [[4], [6]],
        "plus_input": [[5], [-1]],
        "contract": "",
        "atol": 0,
    }
]


@pytest.fixture
def data(tmp_path: Path, tools: Any) -> dict[str, Path]:
    """Data sets by name."""
    rows = {"mbpp": MBPP, "apps": APPS, "humaneval+": EVALPLUS}
    return {name: tools.write_rows(tmp_path / f"{name}.jsonl", content) for name, content in rows.items()}


def evaluate(command: Any, tools: Any, data: dict[str, Path], task: str, rows: list[Any], *more: str) -> Any:
    """The results of samples of `task`, judged in `command.folder / "run"`."""
    samples = tools.write_rows(command.folder / "samples.jsonl", rows)
    name = task.partition("-")[0]
    done = command(
        "evaluate", samples, "--task", task, "--data", f"{name}={data[name]}", "--out", "run", "--json", *more
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def verdicts(command: Any) -> dict[tuple[str, int], Verdict]:
    return {key: grade.verdict for key, grade in read_grades(command.folder / "run").items()}


def test_mbpp_is_judged_by_its_assertions(command: Any, tools: Any, data: dict[str, Path]) -> None:
    rows = [
        {"task_id": "MBPP/11", "completion": "def add(a):\n    return a + 11\n"},
        {"task_id": "MBPP/12", "completion": "def add(a):\n    return a + 11\n"},
    ]
    evaluate(command, tools, data, "mbpp", rows)
    assert verdicts(command) == {("MBPP/11", 0): Verdict.PASSED, ("MBPP/12", 0): Verdict.WRONG_ANSWER}


def test_the_split_says_which_problems_there_are(command: Any, data: dict[str, Path]) -> None:
    for split, count in (("test", 2), ("train", 1), ("all", 3)):
        place = f"mbpp={data['mbpp']}"
        done = command("run", "--task", "mbpp", "--data", place, "--split", split, "--out", split, "--json")
        assert json.loads(done.stdout)["tasks"]["mbpp"]["problems"] == count


def test_challenge_tests_are_run_where_they_are_asked_for(command: Any, tools: Any, data: dict[str, Path]) -> None:
    only_the_plain_ones = "def add(a):\n    return a + 11 if a >= 0 else 0\n"
    rows = [{"task_id": "MBPP/11", "completion": only_the_plain_ones}]
    evaluate(command, tools, data, "mbpp", rows, "--subset")
    assert verdicts(command) == {("MBPP/11", 0): Verdict.PASSED}
    evaluate(command, tools, data, "mbpp", rows, "--subset", "--challenge", "--fresh")
    assert verdicts(command) == {("MBPP/11", 0): Verdict.WRONG_ANSWER}


def test_apps_counts_tests_and_leaves_out_problems_without(command: Any, tools: Any, data: dict[str, Path]) -> None:
    rows = [
        {"task_id": "APPS/0", "completion": "n = int(input())\nprint(n * n if n > 0 else 0)\n"},
        {"task_id": "APPS/1", "completion": "class Solution:\n    def twice(self, x):\n        return x + x\n"},
        {"task_id": "APPS/3", "completion": "import sys\nprint(int(sys.stdin.buffer.read()) ** 2)\n"},
    ]
    results = evaluate(command, tools, data, "apps-interview", rows)
    grades = read_grades(command.folder / "run")
    assert {key[0]: grade.tests for key, grade in grades.items()} == {"APPS/0": "ppw", "APPS/1": "ppp", "APPS/3": "ppp"}
    tests = results["tasks"]["apps-interview"]["tests"]
    assert tests["strict_accuracy"] == {"official": pytest.approx(2 / 3), "strict": pytest.approx(2 / 3)}
    assert tests["test_case_average"]["strict"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert results["protocol"]["excluded"] == {"without tests": 1}
    assert "problems without tests, left out | 1" in (command.folder / "run" / "summary.md").read_text()


def test_the_checker_says_whose_verdict_counts(command: Any, tools: Any, data: dict[str, Path]) -> None:
    almost = "n = int(input())\nprint(n * n, n * n)\n"  # as a set of tokens it is the same line
    rows = [{"task_id": "APPS/0", "completion": almost}]
    results = evaluate(command, tools, data, "apps-interview", rows, "--subset")
    assert verdicts(command) == {("APPS/0", 0): Verdict.WRONG_ANSWER}
    tests = results["tasks"]["apps-interview"]["tests"]
    assert tests["strict_accuracy"] == {"official": 1.0, "strict": 0.0}
    assert tests["disagreements"] == [{"task_id": "APPS/0", "index": 0, "tests": [0, 1, 2]}]
    evaluate(command, tools, data, "apps-interview", rows, "--subset", "--checker", "official", "--fresh")
    assert verdicts(command) == {("APPS/0", 0): Verdict.PASSED}


def test_evalplus_has_a_score_by_base_inputs_and_one_by_all(command: Any, tools: Any, data: dict[str, Path]) -> None:
    rows = [{"task_id": "HumanEval/0", "solution": "def half(n):\n    return int(n / 2)\n"}]
    results = evaluate(command, tools, data, "humaneval+", rows)
    scores = {name: task["pass_at_k"]["1"]["estimate"] for name, task in results["tasks"].items()}
    assert scores == {"humaneval+": 0.0, "humaneval+ (base)": 1.0}


def test_mini_needs_no_data_and_its_references_pass(command: Any) -> None:
    done = command("run", "--task", "mini", "--out", "run", "--json")
    task = json.loads(done.stdout)["tasks"]["mini"]
    assert task["verdicts"]["passed"] == task["problems"] >= 120
    assert "tests" not in task


def test_of_mini_nothing_passes_that_does_nothing(command: Any, tools: Any) -> None:
    from tasks.mini import Mini

    rows = [
        {"task_id": problem.task_id, "completion": "    pass\n"[: 9 * bool(problem.entry_point)]}
        for problem in Mini().load()
    ]
    samples = tools.write_rows(command.folder / "samples.jsonl", rows)
    done = command("evaluate", samples, "--task", "mini", "--out", "run", "--json")
    assert json.loads(done.stdout)["tasks"]["mini"]["verdicts"]["passed"] == 0


# ---------------------------------------------------------------------------------------------------------------------
# Choices
# ---------------------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_when_its_data_has_moved(command: Any, data: dict[str, Path]) -> None:
    first = command("run", "--task", "mbpp", "--data", f"mbpp={data['mbpp']}", "--out", "run", "--json")
    moved = data["mbpp"].rename(command.folder / "moved.jsonl")
    again = command("run", "--task", "mbpp", "--data", f"mbpp={moved}", "--out", "run", "--json")
    assert again.returncode == 0, again.stderr
    assert "nothing to judge" in again.stderr
    assert json.loads(first.stdout)["protocol"] == json.loads(again.stdout)["protocol"]


def test_a_run_does_not_go_on_with_other_data(command: Any, tools: Any, data: dict[str, Path]) -> None:
    arguments = ("run", "--task", "mbpp", "--data", f"mbpp={data['mbpp']}", "--out", "run")
    assert command(*arguments).returncode == 0
    tools.write_rows(data["mbpp"], MBPP[1:])
    done = command(*arguments)
    assert done.returncode == 2
    assert "holds another run" in done.stderr


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["--task", "mbpp", "--split", "exam"], "unknown split 'exam'"),
        (["--task", "mini", "--split", "train"], "mini has no choice of split"),
        (["--task", "humaneval", "--checker", "official"], "humaneval has no choice of checker"),
        (["--task", "mbpp", "--preset", "codex"], "mbpp has no prompt preset 'codex'; accepted: austin-3shot"),
        (["--task", "mbpp", "--data", "mbpp"], "--data"),
        (["--task", "mbpp", "--data", "mbpp=nowhere.jsonl"], "nowhere.jsonl"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else "",
)
def test_a_choice_that_cannot_be_had_is_one_message(command: Any, choices: list[str], said: str) -> None:
    done = command("run", *choices, "--out", "run")
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (command.folder / "run").exists()


def test_data_that_is_nowhere_is_one_message_with_what_to_type(command: Any) -> None:
    done = command("run", "--task", "mbpp", "--out", "run", HF_HUB_OFFLINE="1", HF_HOME=str(command.folder / "empty"))
    assert (done.returncode, done.stdout.count("\n") <= 1) == (3, True)
    assert "python -m harness data fetch mbpp" in done.stderr
    assert "--data mbpp=PATH" in done.stderr


def test_split_and_data_can_come_from_the_environment(command: Any, data: dict[str, Path]) -> None:
    place = {"HARNESS_DATA": f"mbpp={data['mbpp']}", "HARNESS_SPLIT": "train", "HARNESS_TASK": "mbpp"}
    done = command("run", "--out", "run", "--json", **place)
    assert json.loads(done.stdout)["tasks"]["mbpp"]["problems"] == 1


def test_data_in_a_folder_of_data_is_found(command: Any, data: dict[str, Path]) -> None:
    folder = command.folder / "all" / "mbpp"
    folder.mkdir(parents=True)
    data["mbpp"].rename(folder / "mbpp.jsonl")
    done = command("data", "list", HARNESS_DATA_DIR=str(folder.parent))
    assert done.returncode == 0
    assert str(folder) in done.stdout


@pytest.mark.parametrize("format", ["human-eval", "evalplus", "bigcode"])
def test_exported_samples_get_the_verdicts_that_they_had(command: Any, corpus: Any, tools: Any, format: str) -> None:
    name = "out.json" if format == "bigcode" else "out.jsonl"
    rows = [row for row in tools.corpus_rows() if "while True" not in row["completion"]]
    everything = [{"task_id": row["task_id"], "completion": row["completion"]} for row in rows]
    samples = tools.write_rows(command.folder / "samples.jsonl", everything)
    assert command("evaluate", samples, "--subset", "--out", "one").returncode == 0
    done = command("export", "one", "--format", format, "--out", name)
    if format == "bigcode":
        # It has a list for every problem of the task, so it cannot hold the samples of a few.
        assert done.returncode == 2
        return
    assert done.returncode == 0, done.stderr
    assert command("evaluate", name, "--subset", "--out", "two").returncode == 0
    tables = [{key: line[0] for key, line in tools.table(command.folder / run).items()} for run in ("one", "two")]
    assert tables[0] == tables[1]
