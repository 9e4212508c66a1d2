"""One problem before it has tests: words, a reference, and where arguments come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tasks.mini_families.arguments import Arguments
from tasks.problem import Call, Script, Stdio

HELD_OUT_SHARE = 4
"""One composition in so many is held out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What is asked, in words and in Python."""

    composition: tuple[str, ...]
    """The meanings of its pieces, by which it is held out or trained on; their order does not count."""
    signature: str = ""
    """Name and parameters, such as `total(xs)`; empty for a whole program."""
    statement: str
    """What the function or program does; one sentence or two."""
    reference: str
    """The body, indented by four; for a program, all of it."""
    shortcuts: tuple[str, ...] = ()
    """The reference with one of its pieces forgotten, in each way; the tests must reject every one."""
    arguments: Arguments
    """Where arguments to call it with come from."""

    @property
    def entry_point(self) -> str:
        """The function's name; empty for a program."""
        return self.signature.partition("(")[0]

    @property
    def is_held_out(self) -> bool:
        """Whether it can only be a problem, or only a training item."""
        pieces = "\n".join(sorted(self.composition))
        return hashlib.blake2b(pieces.encode(), digest_size=1).digest()[0] % HELD_OUT_SHARE == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """Problems of one kind."""

    name: str
    """As in `mini/strings-017`."""
    kind: type[Script] | type[Call] | type[Stdio]
    """How its problems are checked."""
    draw: Callable[[Random, int], Recipe]
    """A recipe of a difficulty from 1 to 4; the same for the same state of the generator."""


def execute(recipe: Recipe, body: str | None = None) -> Callable[..., Any]:
    """The reference, or another body in its place, as a function; a program becomes a function of its standard input.

    Only ever called on what the families themselves wrote.
    """
    body = recipe.reference if body is None else body
    if not recipe.signature:
        return _program(body)
    namespace: dict[str, Any] = {}
    exec(f"def {recipe.signature}:\n{body}", namespace)
    function: Callable[..., Any] = namespace[recipe.entry_point]
    return function


def _program(source: str) -> Callable[[str], str]:
    code = compile(source, "<reference>", "exec")

    def run(text: str) -> str:
        lines, printed = iter(text.splitlines()), list[str]()

        def read() -> str:
            for line in lines:
                return line
            raise EOFError

        def write(*values: object, sep: str = " ") -> None:
            printed.append(sep.join(map(str, values)) + "\n")

        exec(code, {"input": read, "print": write})
        return "".join(printed)

    return run
