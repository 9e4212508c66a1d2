from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.apps import DIFFICULTIES, NUMPY, PREAMBLE, STREAMS, Apps, competition, interview, introductory
from tasks.conversion import case_sets
from tasks.problem import Call, Problem, Stdio

STDIN_TESTS = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
CALL_TESTS = {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [3, 7]}
STARTER = "class Solution:\n    def add(self, a: int, b: int) -> int:\n        "


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A row as the dataset on the hub has it: bulky fields are JSON inside a text."""
    tests, solutions = fields.pop("tests", STDIN_TESTS), fields.pop("solutions", ["first", "second"])
    return {
        "id": number,
        "question": f"Add {number} numbers.\n",
        "solutions": json.dumps(solutions) if solutions else "",
        "input_output": json.dumps(tests) if tests else "",
        "difficulty": "interview",
        "url": "",
        "starter_code": "",
        **fields,
    }


ROWS = [
    row(0),
    row(1, tests=CALL_TESTS, starter_code=STARTER),
    row(2, solutions=None),
    row(3, tests=None),
    row(4, tests={"inputs": [], "outputs": []}),
    row(5, difficulty="competition"),
    row(6, difficulty="introductory", tests={**STDIN_TESTS, "fn_name": None}),
    row(7, tests={"inputs": ["1"], "outputs": ["1", "2"]}),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(fields) + "\n" for fields in ROWS))
    return path


@pytest.fixture
def task(data: Path) -> Apps:
    return interview(overrides={"apps": str(data)})


def by_id(task: Apps) -> dict[str, Problem]:
    return {problem.task_id: problem for problem in task.load()}


def test_the_problems_are_those_of_one_difficulty_that_have_tests(task: Apps) -> None:
    assert list(by_id(task)) == ["APPS/0", "APPS/1", "APPS/2"]


def test_problems_without_tests_are_named_not_passed(task: Apps) -> None:
    assert task.without_tests == ("APPS/3", "APPS/4", "APPS/7")


def test_a_missing_reference_is_empty_and_named(task: Apps) -> None:
    problems = by_id(task)
    assert [problem.reference for problem in problems.values()] == ["first", "first", ""]
    assert task.without_reference == ("APPS/2",)


@pytest.mark.parametrize("make", [introductory, interview, competition])
def test_each_problem_is_of_exactly_one_difficulty(make: Any, data: Path) -> None:
    task = make(overrides={"apps": str(data)})
    found = {*by_id(task), *task.without_tests}
    assert found == {f"APPS/{fields['id']}" for fields in ROWS if fields["difficulty"] == task.difficulty}


def test_the_name_says_difficulty_and_split() -> None:
    assert [make().name for make in (introductory, interview, competition)] == [f"apps-{name}" for name in DIFFICULTIES]
    assert Apps("interview", split="train").name == "apps-train-interview"


def test_problems_of_the_training_split_have_other_ids(data: Path) -> None:
    task = Apps("interview", split="train", overrides={"apps-train": str(data)})
    assert list(by_id(task)) == ["APPS-train/0", "APPS-train/1", "APPS-train/2"]


def test_a_problem_with_a_function_is_checked_by_calls_and_others_by_standard_input(task: Apps) -> None:
    problems = by_id(task)
    assert isinstance(problems["APPS/0"].check, Stdio)
    call = problems["APPS/1"].check
    assert isinstance(call, Call)
    assert (problems["APPS/1"].entry_point, call.in_class, call.comparison) == ("add", "Solution", "apps-strict")


def test_tests_stay_in_the_file_until_they_are_read(task: Apps) -> None:
    problems = by_id(task)
    assert "7" not in json.dumps(problems["APPS/0"].to_json()["check"]["cases"])
    assert problems["APPS/0"].check.row.read() == STDIN_TESTS  # type: ignore[union-attr]  # it is a Stdio with a row
    (cases,) = case_sets(problems["APPS/1"].check)  # type: ignore[arg-type]  # it is a Call
    assert (cases.inputs, cases.outputs) == ([[1, 2], [3, 4]], [3, 7])


def test_a_problem_survives_the_way_to_a_worker(task: Apps) -> None:
    for problem in task.load():
        assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem


def test_the_layout_of_the_original_download_gives_the_same_problems(task: Apps, tmp_path: Path) -> None:
    names = {"question": "question.txt", "solutions": "solutions.json", "input_output": "input_output.json"}
    for fields in ROWS:
        folder = tmp_path / "APPS" / f"{fields['id']:04}"
        folder.mkdir(parents=True)
        for field, name in [*names.items(), ("starter_code", "starter_code.py")]:
            if fields[field]:
                (folder / name).write_text(fields[field])
        (folder / "metadata.json").write_text(json.dumps({"difficulty": fields["difficulty"], "url": ""}))
    other = interview(overrides={"apps": str(tmp_path / "APPS")})
    assert [problem.digest for problem in other.load()] == [problem.digest for problem in task.load()]
    assert other.without_tests == task.without_tests


def test_a_row_may_call_its_number_problem_id(data: Path, task: Apps) -> None:
    renamed = [{("problem_id" if name == "id" else name): value for name, value in fields.items()} for fields in ROWS]
    before = by_id(task)
    data.write_text("".join(json.dumps(fields) + "\n" for fields in renamed))
    assert list(by_id(interview(overrides={"apps": str(data)}))) == list(before)


def test_loading_twice_gives_the_same_problems(task: Apps, data: Path) -> None:
    assert interview(overrides={"apps": str(data)}).load() == task.load()


def test_other_tests_make_another_problem(task: Apps, data: Path) -> None:
    before = by_id(task)["APPS/0"].digest
    data.write_text(json.dumps(row(0, tests={"inputs": ["1 2\n"], "outputs": ["3\n"]})) + "\n")
    assert by_id(interview(overrides={"apps": str(data)}))["APPS/0"].digest != before


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"difficulty": "hard"}, "unknown difficulty 'hard'; accepted: introductory, interview, competition"),
        ({"difficulty": "interview", "split": "dev"}, "unknown split 'dev'; accepted: test, train"),
    ],
)
def test_a_choice_there_is_not_is_an_error_that_says_what_is_accepted(choices: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Apps(**choices)


# ---------------------------------------------------------------------------------------------------------------------
# Prompts
# ---------------------------------------------------------------------------------------------------------------------

PROMPTS = {
    ("official", "APPS/0"): "\nQUESTION:\nAdd 0 numbers.\n\nUse Standard Input format\nANSWER:\n",
    ("official", "APPS/1"): f"\nQUESTION:\nAdd 1 numbers.\n{STARTER}\nUse Call-Based format\nANSWER:\n",
    ("original", "APPS/0"): "\nQUESTION:\nAdd 0 numbers.\n\nUse Standard Input format\nANSWER:\n",
    ("original", "APPS/1"): f"\nQUESTION:\nAdd 1 numbers.\n\n{STARTER}\nUse Call-Based format\nANSWER:\n",
    ("training", "APPS/0"): "\nQUESTION:\nAdd 0 numbers.\n\n\n\nUse Standard Input format\n\nANSWER:\n",
    ("training", "APPS/1"): f"\nQUESTION:\nAdd 1 numbers.\n\n{STARTER}\n\nUse Call-Based format\n\nANSWER:\n",
}


@pytest.mark.parametrize(("preset", "task_id"), PROMPTS)
def test_a_preset_is_its_authors_text_to_the_letter(task: Apps, preset: str, task_id: str) -> None:
    chosen = next(known for known in task.presets if known.name == preset)
    assert task.prompt(by_id(task)[task_id], chosen) == PROMPTS[preset, task_id]


def test_the_default_preset_has_the_official_text_and_stops(task: Apps) -> None:
    first = task.presets[0]
    assert (first.name, first.stops) == ("official", ("\nQUESTION", "\n---", "\nANSWER"))


def test_a_chat_is_told_how_the_program_is_used_and_shown_its_beginning(task: Apps) -> None:
    chat = next(preset for preset in task.presets if preset.name == "chat")
    problems = by_id(task)
    stdin, call = (task.prompt(problems[task_id], chat) for task_id in ("APPS/0", "APPS/1"))
    assert "standard input" in stdin
    assert "Add 0 numbers." in stdin
    assert f"```python\n{STARTER}\n```" in call
    assert "standard input" not in call


# ---------------------------------------------------------------------------------------------------------------------
# Programs
# ---------------------------------------------------------------------------------------------------------------------


def source(task: Apps, completion: str, task_id: str = "APPS/0", *, is_program: bool = False) -> str:
    return task.source(by_id(task)[task_id], completion, is_program=is_program)


def test_a_program_has_what_the_official_checker_gives_it(task: Apps) -> None:
    used = {
        "sys",
        "time",
        "math",
        "collections",
        "fractions",
        "random",
        "Counter",
        "lru_cache",
        "gcd",
        "heappush",
        "List",
    }
    for task_id in ("APPS/0", "APPS/1"):
        namespace: dict[str, Any] = {}
        exec(source(task, "x = 1\n", task_id), namespace)
        assert used <= set(namespace)
        assert ("stdin" in namespace) == (task_id == "APPS/0")


def test_numpy_is_there_under_its_short_name_for_those_who_say_it(task: Apps) -> None:
    namespace: dict[str, Any] = {}
    exec(source(task, "total = np.array([1, 2]).sum()\n"), namespace)
    assert namespace["total"] == 3
    assert NUMPY not in source(task, "inputs = 1\n")


def test_every_given_line_is_an_import() -> None:
    """So that they stay outside where the official rules make the program the body of a function."""
    lines = (PREAMBLE + STREAMS + NUMPY).splitlines()
    assert all(line.startswith(("import ", "from ")) for line in lines)


def test_a_program_that_must_begin_with_its_own_first_line_is_left_alone(task: Apps) -> None:
    program = "from __future__ import annotations\nprint(1)\n"
    assert source(task, program) == program


@given(st.text().filter(lambda text: "```" not in text and "from __future__" not in text))
def test_a_completion_without_fences_is_the_program_to_the_letter(completion: str) -> None:
    problem = Problem(task_id="APPS/0", prompt="", entry_point="", reference="", check=Stdio())
    for is_program in (False, True):
        program = interview().source(problem, completion, is_program=is_program)
        assert program.endswith(completion)
        assert program.startswith(PREAMBLE)


def test_of_a_completion_with_fences_the_code_is_taken(task: Apps) -> None:
    answer = "Here it is:\n\n```python\nprint(sum(map(int, input().split())))\n```\nIt adds."
    assert source(task, answer) == PREAMBLE + STREAMS + "print(sum(map(int, input().split())))\n"


def test_a_whole_program_keeps_its_fences(task: Apps) -> None:
    program = "print('```')\n"
    assert source(task, program, is_program=True) == PREAMBLE + STREAMS + program
