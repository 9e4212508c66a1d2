from __future__ import annotations

import ast
import builtins
import copy
import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract import cut_at_stop
from tasks.mini import (
    DIFFICULTIES,
    LEVELS,
    Mini,
    TrainingItem,
    difficulties,
    difficulty,
    family,
    held_out,
    training_stream,
)
from tasks.mini_families.cases import FEWEST, MOST
from tasks.mini_families.recipe import Recipe, execute
from tasks.mini_families.table import FAMILIES
from tasks.problem import Call, Problem, Script, Stdio

DIGEST = "02ff5ff0e8733e225d96d15b4af15378904346abeb98880ed90bd847f020d1a0"
"""sha256 over the digests of all problems. Another one takes another version of the task."""

SEEDS = (0, 1, 2)
NUM_ITEMS = 20_000
STOPS = Mini.presets[0].stops
PROBLEMS = Mini().load()
RECIPES = held_out()
problems = st.sampled_from(PROBLEMS)
positions = st.integers(0, 10**9)


@pytest.fixture(scope="module")
def items() -> list[TrainingItem]:
    """The first items of several streams."""
    return [item for seed in SEEDS for item in itertools.islice(training_stream(seed), NUM_ITEMS)]


def source(problem: Problem, completion: str, **choices: Any) -> str:
    return Mini().source(problem, completion, **{"is_program": False, **choices})


def passes(problem: Problem, function: Callable[..., Any]) -> bool:
    """Whether a function of ours passes the checks; a program is a function of its standard input."""
    check = problem.check
    try:
        if isinstance(check, Script):
            namespace: dict[str, Any] = {}
            exec(check.test, namespace)
            namespace["check"](function)
            return True
        cases = json.loads(check.cases)
        if isinstance(check, Stdio):
            cases["inputs"] = [[text] for text in cases["inputs"]]
        return all(
            function(*arguments) == answer for arguments, answer in zip(cases["inputs"], cases["outputs"], strict=True)
        )
    except Exception:
        return False


def num_cases(problem: Problem) -> int:
    if isinstance(problem.check, Script):
        return problem.check.test.count("    assert candidate(")
    return len(json.loads(problem.check.cases)["inputs"])


def body_of(reference: str) -> ast.Module:
    """A reference as a tree; a function's body by itself."""
    return ast.parse(f"if 1:\n{reference}" if reference.startswith("    ") else reference)


def shape(prompt: str, reference: str) -> str:
    """A reference without the choice of its names, those of the parameters included."""
    names: dict[str, str] = {}

    def rename(name: str) -> str:
        return name if hasattr(builtins, name) else names.setdefault(name, f"name{len(names)}")

    signature = prompt.split(":")[0]
    tree = ast.parse(f"{signature}:\n{reference}" if signature.startswith("def ") else reference)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.name = "function"
        elif isinstance(node, ast.arg):
            node.arg = rename(node.arg)
        elif isinstance(node, ast.Name):
            node.id = rename(node.id)
    return ast.dump(tree)


# What there is


def test_the_problems_are_frozen() -> None:
    assert hashlib.sha256("".join(problem.digest for problem in PROBLEMS).encode()).hexdigest() == DIGEST


def test_there_are_problems_of_every_family_and_difficulty() -> None:
    counts = Counter((family(problem.task_id), difficulty(problem.task_id)) for problem in PROBLEMS)
    assert len(PROBLEMS) == len(LEVELS) * len(FAMILIES) >= 120
    assert counts == {(each.name, level): LEVELS.count(level) for each in FAMILIES for level in DIFFICULTIES}


def test_the_three_kinds_of_checks_are_there() -> None:
    kinds = {each.name: each.kind for each in FAMILIES}
    assert all(type(problem.check) is kinds[family(problem.task_id)] for problem in PROBLEMS)
    assert set(kinds.values()) == {Script, Call, Stdio}


def test_ids_tell_family_and_place() -> None:
    ids = [f"mini/{each.name}-{place:03}" for each in FAMILIES for place in range(len(LEVELS))]
    assert [problem.task_id for problem in PROBLEMS] == ids == list(difficulties())


def test_an_id_that_is_not_there_has_no_difficulty() -> None:
    with pytest.raises(KeyError):
        difficulty("mini/strings-999")


def test_no_two_problems_have_one_prompt_or_one_reference() -> None:
    assert len({problem.prompt for problem in PROBLEMS}) == len(PROBLEMS)
    assert len({shape(problem.prompt, problem.reference) for problem in PROBLEMS}) == len(PROBLEMS)


def test_prompts_and_references_are_short() -> None:
    for problem in PROBLEMS:
        assert len(problem.prompt.encode()) <= 400
        assert len(problem.reference.encode()) <= 300
        assert 1 <= problem.reference.count("\n") <= 9


def test_a_problem_has_8_to_12_cases() -> None:
    assert all(FEWEST <= num_cases(problem) <= MOST for problem in PROBLEMS)


def test_the_arguments_of_a_problem_differ() -> None:
    for problem in PROBLEMS:
        if isinstance(problem.check, Script):
            calls = re.findall(r"candidate\((.*)\) == ", problem.check.test)
        else:
            calls = [json.dumps(arguments) for arguments in json.loads(problem.check.cases)["inputs"]]
        assert len(set(calls)) == num_cases(problem)


def test_the_example_in_a_prompt_is_true() -> None:
    shown = 0
    for problem in PROBLEMS:
        for call, answer in re.findall(r">>> (.*)\n    (.*)\n", problem.prompt):
            namespace: dict[str, Any] = {}
            exec(source(problem, problem.reference), namespace)
            assert repr(eval(call, namespace)) == answer
            shown += 1
    assert shown > len(PROBLEMS) // 4


# What passes


def test_every_reference_passes() -> None:
    for problem, recipe in RECIPES:
        assert passes(problem, execute(recipe)), problem.task_id


def test_every_reference_with_its_prompt_is_a_program() -> None:
    for problem in PROBLEMS:
        if not isinstance(problem.check, Stdio):
            namespace: dict[str, Any] = {}
            exec(source(problem, problem.reference), namespace)
            assert passes(problem, namespace[problem.entry_point]), problem.task_id


def test_nothing_and_pass_do_not_pass() -> None:
    for problem, recipe in RECIPES:
        nothing = "pass\n" if isinstance(problem.check, Stdio) else "    pass\n"
        assert not passes(problem, execute(recipe, nothing)), problem.task_id


def test_a_function_without_a_body_does_not_pass() -> None:
    for problem in PROBLEMS:
        if not isinstance(problem.check, Stdio):
            namespace: dict[str, Any] = {}
            exec(source(problem, ""), namespace)
            assert not passes(problem, namespace[problem.entry_point]), problem.task_id


def test_no_answer_fits_all_cases() -> None:
    for problem in PROBLEMS:
        if isinstance(problem.check, Script):
            answers = re.findall(r" == (.*)\n", problem.check.test)
        else:
            answers = [json.dumps(answer) for answer in json.loads(problem.check.cases)["outputs"]]
        assert max(Counter(answers).values()) < len(answers), problem.task_id


def test_a_reference_that_forgets_one_of_its_pieces_does_not_pass() -> None:
    for problem, recipe in RECIPES:
        for shortcut in recipe.shortcuts:
            assert not passes(problem, execute(recipe, shortcut)), (problem.task_id, shortcut)


@pytest.mark.parametrize("name", [each.name for each in FAMILIES if each.kind is Stdio])
def test_a_program_prints_what_is_expected_when_it_is_really_run(name: str) -> None:
    for problem in [problem for problem in PROBLEMS if family(problem.task_id) == name][::3]:
        assert isinstance(problem.check, Stdio)
        program, cases = source(problem, problem.reference), json.loads(problem.check.cases)
        text, expected = cases["inputs"][-1], cases["outputs"][-1]
        run = subprocess.run(
            [sys.executable, "-I", "-c", program], input=text, capture_output=True, text=True, check=True
        )
        assert run.stdout == expected


# The stream to train on


def statement(prompt: str) -> str:
    """A prompt without its example."""
    return prompt.split(">>>")[0]


def test_no_item_has_the_prompt_of_a_problem(items: list[TrainingItem]) -> None:
    assert not {item.prompt for item in items} & {problem.prompt for problem in PROBLEMS}


def test_no_item_asks_for_what_a_problem_asks_for(items: list[TrainingItem]) -> None:
    asked = {statement(problem.prompt).rstrip() for problem in PROBLEMS}
    asked |= {prompt.removesuffix('"""') for prompt in asked}
    assert not {statement(item.prompt).rstrip().removesuffix('"""') for item in items} & asked


@pytest.mark.slow
def test_no_item_has_the_reference_of_a_problem_under_whatever_names(items: list[TrainingItem]) -> None:
    held = {shape(problem.prompt, problem.reference) for problem in PROBLEMS}
    texts = {(signature(item.prompt), item.completion.rstrip("\n") + "\n") for item in items}
    assert len(texts) > NUM_ITEMS // 2
    trained = {shape(first, reference) for first, reference in texts}
    assert not trained & held


def test_every_piece_of_a_problem_is_a_piece_of_something_trained_on() -> None:
    rng = Random("recipes")
    drawn = [rng.choice(FAMILIES).draw(rng, rng.choice(DIFFICULTIES)) for _ in range(NUM_ITEMS)]
    trained = {piece for recipe in drawn if not recipe.is_held_out for piece in pieces(recipe)}
    assert not {piece for _, recipe in RECIPES for piece in pieces(recipe)} - trained


def pieces(recipe: Recipe) -> set[str]:
    """The smallest parts of a recipe: what is done, and the numbers and texts it is done with."""
    parts = [part for piece in recipe.composition for part in re.split(" and | or |, then |, ", piece)]
    constants = r"'[^']*'|\d+"
    return {re.sub(constants, "#", part) for part in parts} | {
        found for part in parts for found in re.findall(constants, part)
    }


def test_every_family_and_difficulty_is_trained_on(items: list[TrainingItem]) -> None:
    counts = Counter((item.family, item.difficulty) for item in items)
    assert set(counts) == {(each.name, level) for each in FAMILIES for level in DIFFICULTIES}
    assert min(counts.values()) > len(items) / len(counts) / 2


@given(st.integers(), positions, st.integers(0, 20))
def test_an_item_depends_on_its_seed_and_position_alone(seed: int, start: int, skipped: int) -> None:
    from_start = list(itertools.islice(training_stream(seed, start), skipped + 1))
    assert from_start[-1] == next(training_stream(seed, start + skipped))


@given(st.integers(), positions)
def test_other_seeds_give_other_items(seed: int, start: int) -> None:
    one, other = (list(itertools.islice(training_stream(each, start), 5)) for each in (seed, seed + 1))
    assert one != other


def test_items_are_short(items: list[TrainingItem]) -> None:
    assert max(len(item.prompt.encode()) for item in items) <= 400
    assert max(len(item.completion.encode()) for item in items) <= 300


def test_items_are_of_the_form_of_problems(items: list[TrainingItem]) -> None:
    """Cut at the preset's stops, what a model would write is the reference, and with its prompt a program."""
    for item in items[:: len(items) // 2000]:
        cut = cut_at_stop(item.completion + items[0].prompt, STOPS)
        assert f"{cut}\n\n\n" == item.completion
        namespace: dict[str, Any] = {}
        if item.prompt.startswith("# Reads "):
            compile(item.prompt + cut, "<item>", "exec")
        else:
            exec(item.prompt + cut, namespace)
        for call, answer in re.findall(r">>> (.*)\n    (.*)\n", item.prompt):
            assert repr(eval(call, namespace)) == answer


@pytest.mark.slow
def test_hardly_a_problem_is_solved_by_the_reference_of_an_item(items: list[TrainingItem]) -> None:
    """Two compositions may mean the same, such as `a - b` and `-(b - a)`; that is rare."""
    trained: dict[tuple[str, str], set[str]] = {}
    for item in items[:5000]:
        trained.setdefault((item.family, signature(item.prompt)), set()).add(item.completion)
    solved = [
        problem.task_id
        for problem, recipe in RECIPES
        for completions in [trained[family(problem.task_id), signature(problem.prompt)]]
        if any(passes(problem, execute(recipe, completion)) for completion in completions)
    ]
    assert len(solved) <= 0.05 * len(PROBLEMS), solved


def signature(prompt: str) -> str:
    """The first line of a function's prompt; empty for a program."""
    return prompt.split("\n")[0] if prompt.startswith("def ") else ""


# How problems are put to a model


def test_the_stops_leave_a_reference_whole() -> None:
    for problem in PROBLEMS:
        assert cut_at_stop(problem.reference, STOPS) == problem.reference


@given(problems, st.text())
def test_a_completion_is_joined_to_its_prompt(problem: Problem, completion: str) -> None:
    assert source(problem, completion) == problem.prompt + completion


@given(problems, st.text(), st.text())
def test_a_samples_own_prompt_takes_the_place_of_ours(problem: Problem, prompt: str, completion: str) -> None:
    assert source(problem, completion, prompt=prompt) == prompt + completion


@given(problems, st.text())
def test_a_whole_program_is_left_alone(problem: Problem, program: str) -> None:
    assert source(problem, program, is_program=True) == program


def test_the_prompt_is_put_to_the_model_unchanged() -> None:
    task = Mini()
    assert all(task.prompt(problem, task.presets[0]) == problem.prompt for problem in PROBLEMS)


@given(problems)
def test_a_problem_survives_json(problem: Problem) -> None:
    assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem


def test_no_file_is_read() -> None:
    assert Mini().data_digests() == {}


# Wrong programs

COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Add, ast.Sub),
    ast.FloorDiv: (ast.Mult, ast.Mod),
    ast.Mod: (ast.FloorDiv, ast.Mult),
    ast.Pow: (ast.Mult,),
}
TWINS = {"max": "min", "min": "max", "upper": "lower", "lower": "upper", "startswith": "endswith"}
TWINS |= {"endswith": "startswith", "isupper": "islower", "islower": "isupper", "isdigit": "isalpha"}


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """The node with one thing wrong, in each way."""
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            wrong: list[Any] = [not value]
        elif isinstance(value, int):
            wrong = [value - 1, value + 1, value * 10 + 1]
        else:
            wrong = [value + "!", value[1:], value.swapcase(), "?"]
        yield from (ast.Constant(value=other) for other in wrong if other != value)
    elif isinstance(node, ast.Compare):
        for place, old in enumerate(node.ops):
            kinds: tuple[type[ast.cmpop], ...] = COMPARISONS
            if isinstance(old, (ast.In, ast.NotIn)):
                kinds = (ast.In, ast.NotIn)
            for kind in kinds:
                if kind is not type(old):
                    ops = [*node.ops[:place], kind(), *node.ops[place + 1 :]]
                    yield ast.Compare(left=node.left, ops=ops, comparators=node.comparators)
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        for other in OPERATORS[type(node.op)]:
            changed = copy.copy(node)
            changed.op = other()
            yield changed
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(op=ast.Or() if isinstance(node.op, ast.And) else ast.And(), values=node.values)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Name) and node.id in TWINS:
        yield ast.Name(id=TWINS[node.id], ctx=node.ctx)
    elif isinstance(node, ast.Attribute) and node.attr in TWINS:
        yield ast.Attribute(value=node.value, attr=TWINS[node.attr], ctx=node.ctx)


class Change(ast.NodeTransformer):
    """Puts `new` in the place of `old`, and an end to loops that do not end by themselves."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else super().visit(node)

    def visit_While(self, node: ast.While) -> ast.While:
        self.generic_visit(node)
        limit = ast.parse("turns = locals().get('turns', 0) + 1\nassert turns < 2000").body
        return ast.While(test=node.test, body=[*limit, *node.body], orelse=[])


def mutants(reference: str) -> dict[str, str]:
    """References with one constant, operator or name wrong, by what they look like."""
    found: dict[str, str] = {}
    nodes = list(ast.walk(body_of(reference)))
    for place in range(len(nodes)):
        for number in range(len(list(changes(nodes[place])))):
            tree = body_of(reference)
            node = list(ast.walk(tree))[place]
            new = next(itertools.islice(changes(node), number, None))
            shown = ast.unparse(ast.fix_missing_locations(Change(node, new).visit(tree)))
            # The `if 1:` of a function's body, and the constant in it, are ours.
            lines = shown.split("\n", 1)
            if reference.startswith("    ") and lines[0] == "if 1:":
                found[shown] = lines[1] + "\n"
            elif not reference.startswith("    "):
                found[shown] = shown + "\n"
    return found


def differs(recipe: Recipe, one: Callable[..., Any], other: Callable[..., Any], num_tries: int = 500) -> bool:
    """Whether two functions differ on many random arguments."""
    rng = Random("arguments to tell functions apart")
    tries = [*recipe.arguments.corners, *(recipe.arguments.draw(rng) for _ in range(num_tries))]
    for arguments in tries:
        try:
            if one(*arguments) != other(*arguments):
                return True
        except Exception:
            return True
    return False


def survivors(problem: Problem, recipe: Recipe) -> tuple[int, list[str]]:
    """How many mutants are not equivalent to the reference, and those of them that pass."""
    reference, num_wrong, passed = execute(recipe), 0, []
    for mutant in mutants(recipe.reference).values():
        function = execute(recipe, mutant)
        if not passes(problem, function):
            num_wrong += 1
        elif differs(recipe, reference, function):
            num_wrong += 1
            passed.append(f"{problem.task_id}: {mutant}")
    return num_wrong, passed


def test_mutants_of_the_references_are_rejected() -> None:
    results = [survivors(problem, recipe) for problem, recipe in RECIPES]
    passed = [mutant for _, found in results for mutant in found]
    num_wrong = sum(count for count, _ in results)
    assert num_wrong > 12 * len(PROBLEMS)
    assert len(passed) <= num_wrong // 100, "\n".join(passed)
