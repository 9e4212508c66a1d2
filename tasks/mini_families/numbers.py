"""Families of functions of one or two integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from tasks.mini_families.arguments import Arguments, bounds, integers, naturals
from tasks.mini_families.chance import below, between, pick
from tasks.mini_families.phrase import (
    NUM_STEPS,
    Phrase,
    condition,
    constants_of,
    sentence,
    two_conditions,
    unlike,
    with_number,
)
from tasks.mini_families.pipeline import Source, of_numbers
from tasks.mini_families.recipe import Recipe

# arithmetic: Take n, add 7, multiply by 3 and return the result.

STEPS = (
    ("add #", "{} + #"),
    ("subtract #", "{} - #"),
    ("multiply by #", "{} * #"),
    ("divide by # rounding down", "{} // #"),
    ("take the remainder modulo #", "{} % #"),
    ("subtract it from #", "# - {}"),
    ("take the larger of it and #", "max({}, #)"),
    ("take the smaller of it and #", "min({}, #)"),
)
PLAIN_STEPS = (
    Phrase(words="negate it", code="-{}"),
    Phrase(words="square it", code="{} ** 2"),
    Phrase(words="take its absolute value", code="abs({})"),
)
STEPS_WITH_B = (
    Phrase(words="add b", code="{} + b"),
    Phrase(words="subtract b", code="{} - b"),
    Phrase(words="multiply by b", code="{} * b"),
    Phrase(words="subtract it from b", code="b - {}"),
    Phrase(words="take the larger of it and b", code="max({}, b)"),
)


def arithmetic(rng: Random, level: int) -> Recipe:
    """One to six steps on n, or on a and b."""
    takes_b = bool(below(rng, 2))
    steps = unlike(rng, _step, NUM_STEPS[level - 1])
    if takes_b:
        steps[below(rng, len(steps))] = pick(rng, STEPS_WITH_B)
    start = "a" if takes_b else "n"
    return Recipe(
        composition=tuple(step.meaning for step in steps),
        signature="compute(a, b)" if takes_b else "compute(n)",
        statement=sentence([f"take {start}", *(step.words for step in steps)], "return the result"),
        reference=_chain(start, steps),
        shortcuts=tuple(_chain(start, steps[:place] + steps[place + 1 :]) for place in range(len(steps))),
        arguments=integers(constants_of(steps), count=1 + takes_b),
    )


def _step(rng: Random) -> Phrase:
    way = below(rng, 10)
    if way >= len(STEPS):
        return pick(rng, PLAIN_STEPS)
    return with_number(*STEPS[way], between(rng, 2, 21))


def _chain(start: str, steps: list[Phrase]) -> str:
    code, whole = start, True
    for step in steps:
        calls = step.code.startswith(("max(", "min(", "abs("))
        # Only a sum needs no brackets around what it is added to or subtracted from.
        adds = step.code.startswith(("{} + ", "{} - "))
        code = step.of(code if whole or calls or adds else f"({code})")
        whole = calls
    return f"    return {code}\n"


# choices: Return 'low' if n is less than 3, 'high' if n is even, otherwise 'mid'.

NAMES = ("low", "high", "big", "small", "red", "blue", "yes", "no", "left", "right", "cold", "warm", "up", "down")
VALUES = (("n plus #", "n + #"), ("n minus #", "n - #"), ("n times #", "n * #"), ("# minus n", "# - n"))


def choices(rng: Random, level: int) -> Recipe:
    """One to three conditions on n, and a name or a value for each and for the rest."""
    count = (2, 2, 3, 4)[level - 1]
    conditions = [condition(rng) if level in (1, 3) else two_conditions(rng) for _ in range(count - 1)]
    values = unlike(rng, _value if level == 4 else _name, count)
    cases = [f"{value.words} if n is {test.words}" for value, test in zip(values, conditions, strict=False)]
    branches = list(zip(conditions, values, strict=False))
    # The last condition may be forgotten in two ways: its own name for all the rest, or the last one's.
    bodies = [_branches(branches, values[-1]), _branches(branches[:-1], values[-2])]
    bodies += [_branches(branches[:place] + branches[place + 1 :], values[-1]) for place in range(len(branches))]
    for place, (test, value) in enumerate(branches):
        changed = [[*branches[:place], (piece, value), *branches[place + 1 :]] for piece in test.pieces]
        bodies += [_branches(pairs, values[-1]) for pairs in changed]
    return Recipe(
        composition=(*(test.meaning for test in conditions), *(value.meaning for value in values)),
        signature="choose(n)",
        statement=f"Return {', else '.join(cases)}, otherwise {values[-1].words}.",
        reference=bodies[0],
        shortcuts=tuple(bodies[1:]),
        arguments=integers(constants_of(conditions)),
    )


def _name(rng: Random) -> Phrase:
    name = repr(pick(rng, NAMES))
    return Phrase(words=name, code=name)


def _value(rng: Random) -> Phrase:
    if not below(rng, 4):
        return Phrase(words="n squared", code="n * n")
    return with_number(*pick(rng, VALUES), between(rng, 2, 21))


def _branches(pairs: list[tuple[Phrase, Phrase]], last: Phrase) -> str:
    lines = [f"    if {test.of('n')}:\n        return {value.code}\n" for test, value in pairs]
    return "".join(lines) + f"    return {last.code}\n"


# countdown: While n is greater than 5, subtract 3 from n; return the number of rounds.

LAST = Phrase(words="n", code="")
KEPT = (
    Phrase(words="the number of rounds", code="t += 1"),
    Phrase(words="the sum of the values n had before each round", code="t += n"),
    Phrase(words="the list of the values n had before each round", code="t.append(n)"),
    Phrase(words="the list of the values n had after each round", code="t.append(n)"),
)


def countdown(rng: Random, level: int) -> Recipe:
    """A loop that makes n smaller, and what it leaves or meets on the way."""
    bound = with_number("greater than #", "n > #", between(rng, 1, 21))
    kept = LAST if level in (1, 3) else pick(rng, KEPT)
    steps = unlike(rng, _decrease, 1 if level < 3 else 2)
    tests = [] if level < 3 else [condition(rng) if level == 3 else two_conditions(rng)]
    step = steps[0].words if level < 3 else f"{steps[0].words} if n is {tests[0].words}, otherwise {steps[1].words}"
    return Recipe(
        composition=(bound.meaning, *(test.meaning for test in tests), *(step.meaning for step in steps), kept.meaning),
        signature="count_down(n)",
        statement=f"While n is {bound.words}, {step}; return {kept.words}.",
        reference=_loop(bound, tests, steps, kept),
        shortcuts=(
            *(_loop(bound, [], [step], kept) for step in steps if tests),
            *(_loop(bound, [piece], steps, kept) for test in tests for piece in test.pieces),
        ),
        arguments=naturals(constants_of([bound, *tests]), top=120),
    )


def _decrease(rng: Random) -> Phrase:
    way = below(rng, 4)
    if way == 0:
        return Phrase(words="halve n rounding down", code="n //= 2")
    if way == 1:
        return with_number("divide n by # rounding down", "n //= #", between(rng, 3, 8))
    return with_number("subtract # from n", "n -= #", between(rng, 1, 16))


def _loop(bound: Phrase, tests: list[Phrase], steps: Sequence[Phrase], kept: Phrase) -> str:
    start = "" if kept is LAST else f"    t = {'[]' if 'append' in kept.code else '0'}\n"
    if tests:
        turn = f"        if {tests[0].of('n')}:\n            {steps[0].code}\n"
        turn += f"        else:\n            {steps[1].code}\n"
    else:
        turn = f"        {steps[0].code}\n"
    note = "" if kept is LAST else f"        {kept.code}\n"
    turn = turn + note if kept is KEPT[-1] else note + turn
    return f"{start}    while {bound.code}:\n{turn}    return {'n' if kept is LAST else 't'}\n"


# ranges: Keep the divisors of n that are even, square each and return their sum.


def ranges(rng: Random, level: int) -> Recipe:
    """A pipeline over integers that n, or a and b, stand for."""
    source, signature, top = _source(rng)
    made = of_numbers(rng, level, top)
    return Recipe(
        composition=made.composition,
        signature=signature,
        statement=made.statement(source),
        reference=f"    return {made.expression(source)}\n",
        shortcuts=tuple(f"    return {other.expression(source)}\n" for other in made.shortcuts()),
        arguments=_arguments(source, made.constants),
    )


def _source(rng: Random) -> tuple[Source, str, int]:
    way = below(rng, 6)
    if way == 0:
        words, loop = "the integers from a to b", "for i in range(a, b + 1)"
        return Source(words=words, loop=loop, variable="i", link="that are"), "collect(a, b)", 15
    if way == 1:
        factor = between(rng, 2, 8)
        words, loop = f"the multiples of {factor} from 0 to n", f"for i in range(0, n + 1, {factor})"
    else:
        words, loop = LOOPS[way - 2]
    test = "n % i == 0" if "divisors" in words else ""
    return Source(words=words, loop=loop, variable="i", link="that are", test=test), "collect(n)", 9 if way == 3 else 15


LOOPS = (
    ("the integers from 1 to n", "for i in range(1, n + 1)"),
    ("the decimal digits of n", "for i in map(int, str(n))"),
    ("the divisors of n", "for i in range(1, n + 1)"),
    ("the integers from 0 to below n", "for i in range(n)"),
)


def _arguments(source: Source, constants: tuple[int, ...]) -> Arguments:
    if "a to b" in source.words:
        return bounds()
    if "digits" in source.words:
        return replace(naturals((), top=99999), corners=((13579,), (24680,), (0,), (7747,)))
    if "divisors" in source.words:
        found = naturals(constants, top=360)
        return Arguments(corners=tuple(corner for corner in found.corners if corner[0]), draw=_positive)
    return naturals(constants, top=40)


def _positive(rng: Random) -> tuple[int]:
    return (pick(rng, (between(rng, 1, 60), pick(rng, (12, 24, 30, 36, 48, 60, 72, 84, 90)))),)
