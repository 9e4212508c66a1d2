"""A dataset's test source, compiled so that every assertion that holds is counted."""

from __future__ import annotations

import ast
import contextlib
import random
import warnings
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from tasks.problem import Script

COUNTER = "__assertion_held__"
"""The name under which compiled tests report an assertion that held."""

FILENAME = "<tests>"


class ScriptError(ValueError):
    """The dataset's own source does not compile."""


class CompiledScript:
    """One problem's tests, compiled once and run once per sample, each time in a namespace of its own."""

    def __init__(self, script: Script) -> None:
        self.script = script
        try:
            with quiet():
                self._setup = compile(script.setup, "<setup>", "exec", dont_inherit=True)
                self._test = _counting(script.test, FILENAME)
                self._start = _counting(script.start, "<start>")
        except (SyntaxError, ValueError) as error:
            raise ScriptError(f"the tests do not compile: {error}") from error

    def run(self, stand_ins: dict[str, Callable[..., Any]]) -> int:
        """Runs the tests with `stand_ins` in place of the candidate's names; how many assertions held.

        Raises:
            BaseException: whatever the tests or the stand-ins raise.
        """
        held = 0

        def count() -> None:
            nonlocal held
            held += 1

        namespace: dict[str, Any] = {"__name__": "tests", COUNTER: count}
        # The draws of tests with random inputs are the same for every sample: a verdict must repeat.
        random.seed(0)
        exec(self._setup, namespace)
        namespace.update(stand_ins)
        exec(self._test, namespace)
        namespace.update(stand_ins)
        exec(self._start, namespace)
        return held

    def line(self, number: int) -> str:
        """One line of the test source, for a message."""
        lines = self.script.test.splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the compiler's warnings about other people's source, of which benchmarks are full."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _counting(source: str, filename: str) -> CodeType:
    tree = _CountAssertions().visit(ast.parse(source, filename))
    return compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)


class _CountAssertions(ast.NodeTransformer):
    """Adds a call of the counter after every assert statement."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        call = ast.Expr(ast.Call(ast.Name(COUNTER, ast.Load()), [], []))
        return [node, ast.copy_location(call, node)]


def counted_source(script: Script) -> str:
    """The tests as source that counts its own assertions, for a process where the candidate runs beside them."""
    with quiet():
        tree = _CountAssertions().visit(ast.parse(f"{script.test}\n{script.start}\n"))
    return ast.unparse(ast.fix_missing_locations(tree))


def negative_controls(script: Script, rng: random.Random) -> list[str]:
    """Variants of the tests that no honest program passes: one has a false assertion inside, one a wrong expectation.

    A program that passes the tests by tampering with them passes these too, and so is found out. Where they differ from
    the tests is drawn anew each time, so that a program cannot be written around it.
    """
    controls = []
    for spoil in (_insert_falsehood, _change_expectation):
        with quiet():
            tree = ast.parse(f"{script.test}\n{script.start}\n")
        if spoil(tree, rng):
            counted = ast.fix_missing_locations(_CountAssertions().visit(tree))
            controls.append(ast.unparse(counted))
    return controls


def _bodies_with_asserts(tree: ast.AST) -> list[list[ast.stmt]]:
    """Where assertions stand; inside loops only where there are none outside, because a loop may make no round."""
    for kinds in ((ast.Module, ast.FunctionDef), (ast.For, ast.While, ast.With)):
        bodies = [node.body for node in ast.walk(tree) if isinstance(node, kinds)]
        found = [body for body in bodies if any(isinstance(statement, ast.Assert) for statement in body)]
        if found:
            return found
    return []


def _insert_falsehood(tree: ast.Module, rng: random.Random) -> bool:
    bodies = _bodies_with_asserts(tree)
    if not bodies:
        return False
    body = rng.choice(bodies)
    places = [place for place, statement in enumerate(body) if isinstance(statement, ast.Assert)]
    body.insert(rng.choice(places), ast.Assert(ast.Constant(False), None))
    return True


def _change_expectation(tree: ast.Module, rng: random.Random) -> bool:
    """Changes the right side of one `assert ... == ...`; a literal into another of its kind, which nobody can tell."""
    comparisons = [
        statement.test
        for body in _bodies_with_asserts(tree)
        for statement in body
        if isinstance(statement, ast.Assert)
        and isinstance(statement.test, ast.Compare)
        and isinstance(statement.test.ops[0], ast.Eq)
    ]
    if not comparisons:
        return False
    chosen = rng.choice(comparisons)
    try:
        expected = repr(_changed(ast.literal_eval(chosen.comparators[-1]), rng))
    except (ValueError, TypeError, SyntaxError):
        expected = f"[float('nan'), {rng.randrange(10**6)}]"  # no literal: a list that equals nothing
    chosen.comparators[-1] = ast.parse(expected, mode="eval").body
    return True


def _changed(value: Any, rng: random.Random) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int() | float() | complex():
            return value + rng.randrange(1, 1000)
        case str():
            return value + rng.choice("abcdefghijklmnopqrstuvwxyz")
        case bytes():
            return value + bytes([rng.randrange(97, 123)])
        case list() | tuple():
            return _changed_sequence(value, rng)
        case set():
            return {*value, rng.randrange(10**6, 10**9)}
        case dict():
            return {**value, rng.randrange(10**6, 10**9): 0}
        case _:
            raise ValueError("no other value is of its kind")


def _changed_sequence(value: list[Any] | tuple[Any, ...], rng: random.Random) -> Any:
    parts = list(value)
    if parts:
        place = rng.randrange(len(parts))
        parts[place] = _changed(parts[place], rng)
    else:
        parts.append(rng.randrange(10**6))
    return type(value)(parts)
