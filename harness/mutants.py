"""Programs that are almost right: references with one small change, as a fixed seed draws it."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator

from harness.script import quiet

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.FloorDiv,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}


def mutate(source: str, rng: random.Random) -> str:
    """The program with one constant, operator, condition or statement changed; which one is drawn from `rng`.

    Raises:
        ValueError: there is nothing in it to change, or it does not compile.
    """
    with quiet():
        tree = ast.parse(source)
    changes = list(_changes(tree))
    if not changes:
        raise ValueError("nothing in the program can be changed")
    place = rng.randrange(len(changes))
    # The changes of a copy come in the same order, and this one leaves the others alone.
    changed = copy.deepcopy(tree)
    list(_changes(changed))[place]()
    return ast.unparse(ast.fix_missing_locations(changed)) + "\n"


def _changes(tree: ast.Module) -> Iterator[Callable[[], None]]:
    """Each change that can be made to the code of functions; calling one makes it."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                yield from _changes_of(node)


def _changes_of(node: ast.AST) -> Iterator[Callable[[], None]]:
    def change(field: str, value: object) -> Callable[[], None]:
        return lambda: setattr(node, field, value)

    match node:
        case ast.Constant(value=bool(truth)):
            yield change("value", not truth)
        case ast.Constant(value=int(number)) | ast.Constant(value=float(number)):
            yield change("value", number + 1)
        case ast.Compare(ops=[ast.cmpop() as comparison]) if type(comparison) in _COMPARISONS:
            yield change("ops", [_COMPARISONS[type(comparison)]()])
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in _OPERATORS:
            yield change("op", _OPERATORS[type(operator)]())
        case ast.BoolOp(op=ast.Or()):
            yield change("op", ast.And())
        case ast.BoolOp(op=ast.And()):
            yield change("op", ast.Or())
        case ast.If(test=test):
            yield change("test", ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=ast.expr()):
            yield change("value", ast.Constant(None))
