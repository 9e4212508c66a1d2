"""Mutants: programs that differ from their original in one small thing."""

from __future__ import annotations

import ast
import random

import pytest

from harness.mutants import mutate

SOURCE = """
def f(x, y):
    total = 0
    if x < y and x != 3:
        for number in range(x, y):
            total += number % 7
    return total * 2 if total else True
"""


def mutants(count: int = 200) -> set[str]:
    return {mutate(SOURCE, random.Random(seed)) for seed in range(count)}


def test_every_mutant_compiles_and_differs_from_its_original() -> None:
    original = ast.unparse(ast.parse(SOURCE)) + "\n"
    for mutant in mutants():
        compile(mutant, "<mutant>", "exec")
        assert mutant != original


def test_every_kind_of_change_is_made() -> None:
    found = mutants()
    expected = [
        "total = 1",
        "x <= y",
        "x < y or x",
        "x == 3",
        "x != 4",
        "total -=",
        "number // 7",
        "% 8",
        "total + 2",
        "False",
    ]
    expected += ["not (x < y and x != 3)", "return None"]
    assert [change for change in expected if not any(change in mutant for mutant in found)] == []
    assert len(found) == len(expected) + 1  # `total * 3`


def test_one_seed_gives_one_mutant() -> None:
    assert mutate(SOURCE, random.Random(5)) == mutate(SOURCE, random.Random(5))


def test_a_program_without_anything_to_change_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        mutate("def f(x):\n    pass\n", random.Random(0))
