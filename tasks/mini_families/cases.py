"""Arguments and answers that tell a recipe's reference from wrong programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tasks.mini_families.recipe import Recipe, execute

FEWEST, MOST = 8, 12
_NUM_DRAWS = 40
_NUM_ANSWERS = 3
"""A recipe with fewer different answers than this is not asked: a constant would be too near."""

_ANY_NUMBER = re.compile(r"\b\d+\b")
# Bounds, divisors and lengths. Where there are some, any case shows that another number is wrong, such as a summand.
_NUMBER = re.compile(r"(?<=[<>] )\d+|(?<=[<>%/-]= )\d+|(?<=% )\d+|\d+(?= <=)|(?<=\[)\d+|(?<=[:-])\d+")
# Beside a number, another bound does the same as a bound that is taken in or left out.
_COMPARISON = re.compile(r"(?<!\d) (<=?|>=?) (?!\d)")
_NEIGHBOUR = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One call and its answer."""

    arguments: tuple[Any, ...]
    answer: Any


def choose_cases(recipe: Recipe, rng: Random) -> list[Case] | None:
    """8 to 12 cases that reject every shortcut; None where there are none, because a piece of the recipe is idle.

    They reject each near miss that any case can, and have as many different answers as they can.
    """
    pool = _pool(recipe, rng)
    # A choice between two names has no third answer.
    if len({repr(case.answer) for case in pool}) < (2 if recipe.entry_point == "choose" else _NUM_ANSWERS):
        return None
    chosen = pool[:2]
    if any(not _reject(execute(recipe, body), chosen, pool) for body in recipe.shortcuts):
        return None
    for body in near_misses(recipe.reference):
        _reject(execute(recipe, body), chosen, pool)
    _vary(chosen, pool)
    return chosen if FEWEST <= len(chosen) <= MOST else None


def near_misses(reference: str) -> Iterator[str]:
    """References in which one number is one off, or one comparison takes in its bound or leaves it out."""
    numbers = _NUMBER if "for " in reference or "if " in reference else _ANY_NUMBER
    for found in numbers.finditer(reference):
        before, number, after = reference[: found.start()], int(found[0]), reference[found.end() :]
        yield f"{before}{number + 1}{after}"
        # A loop that takes off one less could take off nothing and never end.
        if not before.endswith(("-= ", "//= ")):
            yield f"{before}{number - 1}{after}"
    for found in _COMPARISON.finditer(reference):
        yield f"{reference[: found.start()]} {_NEIGHBOUR[found[1]]} {reference[found.end() :]}"


def _pool(recipe: Recipe, rng: Random) -> list[Case]:
    draws = (recipe.arguments.draw(rng) for _ in range(_NUM_DRAWS))
    found = {repr(arguments): arguments for arguments in (*recipe.arguments.corners, *draws)}
    reference = execute(recipe)
    return [Case(arguments=arguments, answer=reference(*arguments)) for arguments in found.values()]


def _reject(rival: Callable[..., Any], chosen: list[Case], pool: list[Case]) -> bool:
    """Whether a wrong program is rejected, by what is chosen or by a case of the pool that is then chosen too."""
    if any(_differs(rival, case) for case in chosen):
        return True
    found = next((case for case in pool if _differs(rival, case)), None)
    if found is not None:
        chosen.append(found)
    return found is not None


def _differs(rival: Callable[..., Any], case: Case) -> bool:
    try:
        return bool(rival(*case.arguments) != case.answer)
    except Exception:
        return True


def _vary(chosen: list[Case], pool: list[Case]) -> None:
    """Adds cases with answers that no case before gave, then others, corner cases first."""
    old = {repr(case.answer) for case in chosen}
    fresh = {repr(case.answer): case for case in reversed(pool) if repr(case.answer) not in old}
    chosen += list(fresh.values())[: max(0, MOST - 2 - len(chosen))]
    chosen += [case for case in pool if case not in chosen][: MOST - len(chosen)]
