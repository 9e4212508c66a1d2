"""Families of functions of lists of integers."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tasks.mini_families.arguments import number_grids, number_lists
from tasks.mini_families.chance import below, between, pick
from tasks.mini_families.phrase import (
    COUNT,
    NOTHING,
    NUM_STEPS,
    Phrase,
    both,
    change,
    condition,
    constants_of,
    result,
    sentence,
    then,
    two_conditions,
    unlike,
    with_number,
)
from tasks.mini_families.pipeline import Pipeline, Source, of_numbers
from tasks.mini_families.recipe import Recipe

# totals: Keep the numbers in xs that are even, square each and return their sum.

NUMBERS = Source(words="the numbers in xs", loop="for x in xs", variable="x", link="that are")


def totals(rng: Random, level: int) -> Recipe:
    """A pipeline over a list."""
    made = of_numbers(rng, level)
    return Recipe(
        composition=made.composition,
        signature="total(xs)",
        statement=made.statement(NUMBERS),
        reference=f"    return {made.expression(NUMBERS)}\n",
        shortcuts=tuple(f"    return {other.expression(NUMBERS)}\n" for other in made.shortcuts()),
        arguments=number_lists(made.constants),
    )


# reorder: Take xs, drop the first 2, reverse the order, sort in ascending order and return the result.

REORDERINGS = (
    Phrase(words="reverse the order", code="xs[::-1]"),
    Phrase(words="sort in ascending order", code="sorted(xs)"),
    Phrase(words="sort in descending order", code="sorted(xs, reverse=True)"),
    Phrase(words="drop repetitions of earlier numbers", code="list(dict.fromkeys(xs))"),
    Phrase(words="append the sum", code="xs + [sum(xs)]"),
    Phrase(words="append the length", code="xs + [len(xs)]"),
    Phrase(words="put the sum in front", code="[sum(xs)] + xs"),
)
NUMBERED_REORDERINGS = (
    ("drop the first #", "xs[#:]"),
    ("drop the last #", "xs[:-#]"),
    ("keep the first #", "xs[:#]"),
    ("keep the last #", "xs[-#:]"),
    ("move the first # to the end", "xs[#:] + xs[:#]"),
    ("repeat the whole list # times", "xs * #"),
)
EVERY = tuple(
    Phrase(words=f"keep every {name} number starting with the first", code=f"xs[::{step}]")
    for name, step in (("second", 2), ("third", 3), ("fourth", 4))
)


def reorder(rng: Random, level: int) -> Recipe:
    """One to six steps from list to list."""
    steps = unlike(rng, _reordering, NUM_STEPS[level - 1])
    return Recipe(
        composition=tuple(step.meaning for step in steps),
        signature="reorder(xs)",
        statement=sentence(["take xs", *(step.words for step in steps)], "return the result"),
        reference=_steps(steps),
        shortcuts=tuple(_steps(steps[:place] + steps[place + 1 :]) for place in range(len(steps))),
        arguments=number_lists(constants_of([step for step in steps if "x for x" in step.code])),
    )


def _reordering(rng: Random) -> Phrase:
    way = below(rng, 18)
    if way < len(REORDERINGS):
        return REORDERINGS[way]
    if way < 13:
        phrase = with_number(*NUMBERED_REORDERINGS[way - 7], between(rng, 2, 5))
        # A number is multiplied in the same Python.
        same_as = phrase.words.replace("repeat the whole list", "multiply by").removesuffix(" times")
        return replace(phrase, same_as=same_as)
    if way < 15:
        return pick(rng, EVERY)
    if way < 17:
        kept = condition(rng)
        return Phrase(
            words=f"keep the numbers that are {kept.words}",
            code=f"[x for x in xs if {kept.of('x')}]",
            constants=kept.constants,
        )
    changed = change(rng)
    return Phrase(words=changed.words, code=f"[{changed.of('x')} for x in xs]", constants=changed.constants)


def _steps(steps: list[Phrase]) -> str:
    lines = [f"    xs = {step.code}\n" for step in steps[:-1]]
    return "".join(lines) + f"    return {steps[-1].code if steps else 'xs'}\n"


# pairs: Keep the pairs x, y at equal places of xs and ys where x is less than y, take x times y and return their sum.
# neighbours: the same with the pairs of neighbours in xs.

PAIR_CONDITIONS = (
    Phrase(words="x is less than y", code="x < y"),
    Phrase(words="x is greater than y", code="x > y"),
    Phrase(words="x is equal to y", code="x == y"),
    Phrase(words="x is different from y", code="x != y"),
    Phrase(words="x is at least y", code="x >= y"),
    Phrase(words="x is at most y", code="x <= y"),
)
PAIR_VALUES = (
    Phrase(words="take x plus y", code="x + y"),
    Phrase(words="take x minus y", code="x - y"),
    Phrase(words="take y minus x", code="y - x"),
    Phrase(words="take x times y", code="x * y"),
    Phrase(words="take the larger of both", code="max(x, y)"),
    Phrase(words="take the smaller of both", code="min(x, y)"),
    Phrase(words="take the distance from x to y", code="abs(x - y)"),
    Phrase(words="take x", code="x"),
    Phrase(words="take y", code="y"),
)
PLACES = Source(
    words="the pairs x, y at equal places of xs and ys", loop="for x, y in zip(xs, ys)", variable="", link="where"
)
NEIGHBOURS = Source(
    words="the pairs x, y of adjacent numbers in xs", loop="for x, y in zip(xs, xs[1:])", variable="", link="where"
)


def pairs(rng: Random, level: int) -> Recipe:
    """A pipeline over pairs from two lists."""
    return _of_pairs(rng, level, PLACES, "pair(xs, ys)")


def neighbours(rng: Random, level: int) -> Recipe:
    """A pipeline over pairs of neighbours in a list."""
    return _of_pairs(rng, level, NEIGHBOURS, "compare(xs)")


def _of_pairs(rng: Random, level: int, source: Source, signature: str) -> Recipe:
    kept = NOTHING
    if level > 1:
        kept = _pair_condition(rng)
        if level == 4:
            kept = both("and", pick(rng, PAIR_CONDITIONS), _number_condition(rng))
    if level == 2:
        made = Pipeline(keep=kept, change=NOTHING, result=COUNT)
        # Any value will do to be counted; x is the shortest.
        counted = Pipeline(keep=kept, change=PAIR_VALUES[7], result=COUNT)
    else:
        value = pick(rng, PAIR_VALUES)
        if level == 4:
            # A pair is no number: the value cannot be forgotten, what is done to it can.
            value = replace(then(value, change(rng)), pieces=(value,))
        made = counted = Pipeline(keep=kept, change=value, result=result(rng))
    forgotten = [other for other in counted.shortcuts() if other.change is not NOTHING]
    return Recipe(
        composition=made.composition,
        signature=signature,
        statement=made.statement(source),
        reference=f"    return {counted.expression(source)}\n",
        shortcuts=tuple(f"    return {other.expression(source)}\n" for other in forgotten),
        arguments=number_lists(made.constants, count=signature.count("s")),
    )


def _pair_condition(rng: Random) -> Phrase:
    return _number_condition(rng) if below(rng, 2) else pick(rng, PAIR_CONDITIONS)


def _number_condition(rng: Random) -> Phrase:
    words, code = pick(rng, (("x", "x"), ("y", "y"), ("x plus y", "(x + y)")))
    kept = condition(rng)
    return Phrase(words=f"{words} is {kept.words}", code=kept.of(code), constants=kept.constants)


# search: Return the first number in xs that is even, or -1 if there is none.

FOUND = (
    Phrase(words="the first number", code="x"),
    Phrase(words="the position of the first number", code="i"),
    Phrase(words="the square of the first number", code="x * x"),
    Phrase(words="twice the last number", code="x * 2"),
    Phrase(words="the last number", code="x"),
)


def search(rng: Random, level: int) -> Recipe:
    """A loop that ends where it finds something."""
    found = FOUND[0] if level == 1 else pick(rng, FOUND)
    kept = two_conditions(rng) if level > 2 else condition(rng)
    skipped = between(rng, 1, 4) if level == 4 else 0
    default = pick(rng, (0, -1, -2, 99, 100))
    place = f", from position {skipped} on" if skipped else ""
    bodies = [_search(found, piece, skipped, default) for piece in (kept, *kept.pieces)]
    if skipped:
        bodies.append(_search(found, kept, 0, default))
    return Recipe(
        composition=(found.meaning, kept.meaning, str(skipped), str(default)),
        signature="find(xs)",
        statement=f"Return {found.words} in xs that is {kept.words}{place}, or {default} if there is none.",
        reference=bodies[0],
        shortcuts=tuple(bodies[1:]),
        arguments=number_lists(kept.constants),
    )


def _search(found: Phrase, kept: Phrase, skipped: int, default: int) -> str:
    numbers = f"xs[{skipped}:]" if skipped else "xs"
    if found.code == "i":
        start = f"enumerate({numbers}, {skipped})" if skipped else f"enumerate({numbers})"
        loop = f"for i, x in {start}:"
    else:
        loop = f"for x in {numbers}:" if "first" in found.words else f"for x in reversed({numbers}):"
    return f"    {loop}\n        if {kept.of('x')}:\n            return {found.code}\n    return {default}\n"


# loops: Start with t = 3; for each x in xs, if x is even, add x to t, otherwise subtract 2 from t; return t.

UPDATES = (
    Phrase(words="add x to t", code="t += x"),
    Phrase(words="subtract x from t", code="t -= x"),
    Phrase(words="double t", code="t *= 2"),
    Phrase(words="negate t", code="t = -t"),
    Phrase(words="set t to x", code="t = x"),
    Phrase(words="set t to x minus t", code="t = x - t"),
    Phrase(words="set t to the larger of t and x", code="t = max(t, x)"),
)


def loops(rng: Random, level: int) -> Recipe:
    """A loop over a list that updates one number."""
    start = between(rng, 0, 21)
    tests = [condition(rng) for _ in range((0, 1, 1, 2)[level - 1])]
    updates = unlike(rng, _update, (1, 1, 2, 3)[level - 1])
    return Recipe(
        composition=(str(start), *(test.meaning for test in tests), *(update.meaning for update in updates)),
        signature="run(xs)",
        statement=f"Start with t = {start}; for each x in xs, {_turn_in_words(tests, updates)}; return t.",
        reference=_turns(start, tests, updates),
        shortcuts=_forgotten_turns(start, tests, updates),
        arguments=number_lists((*constants_of(tests), start)),
    )


def _forgotten_turns(start: int, tests: list[Phrase], updates: list[Phrase]) -> tuple[str, ...]:
    bodies = [_turns(start, [], [update]) for update in updates if tests]
    if len(updates) > len(tests) > 0:
        bodies.append(_turns(start, tests, updates[:-1]))
        for place in range(len(tests)):
            bodies.append(_turns(start, _without(tests, place), _without(updates, place)))
    return tuple(bodies)


def _without(phrases: list[Phrase], place: int) -> list[Phrase]:
    return phrases[:place] + phrases[place + 1 :]


def _update(rng: Random) -> Phrase:
    way = below(rng, 11)
    if way < len(UPDATES):
        return UPDATES[way]
    words, code = (("add # to t", "t += #"), ("subtract # from t", "t -= #"))[way % 2]
    return with_number(words, code, between(rng, 1, 10))


def _turn_in_words(tests: list[Phrase], updates: list[Phrase]) -> str:
    if not tests:
        return updates[0].words
    words = [f"if x is {test.words}, {update.words}" for test, update in zip(tests, updates, strict=False)]
    return ", else ".join(words) + (f", otherwise {updates[-1].words}" if len(updates) > len(tests) else "")


def _turns(start: int, tests: list[Phrase], updates: list[Phrase]) -> str:
    lines = [f"    t = {start}", "    for x in xs:"]
    if not tests:
        lines.append(f"        {updates[0].code}")
    for place, (test, update) in enumerate(zip(tests, updates, strict=False)):
        lines += [f"        {'elif' if place else 'if'} {test.of('x')}:", f"            {update.code}"]
    if tests and len(updates) > len(tests):
        lines += ["        else:", f"            {updates[-1].code}"]
    return "\n".join([*lines, "    return t\n"])


# grids: Keep the row sums of rows that are even and return the largest, or 0 if there are none.

GRID_SOURCES = (
    ("the row sums of rows", "for x in map(sum, rows)"),
    ("the row maxima of rows", "for x in map(max, rows)"),
    ("the row minima of rows", "for x in map(min, rows)"),
    ("the numbers in the first column of rows", "for x, *_ in rows"),
    ("the column sums of rows", "for x in map(sum, zip(*rows))"),
    ("the column maxima of rows", "for x in map(max, zip(*rows))"),
    ("all numbers in rows", "for row in rows for x in row"),
)


def grids(rng: Random, level: int) -> Recipe:
    """A pipeline over what the rows or columns of a grid hold."""
    words, loop = pick(rng, GRID_SOURCES)
    source = Source(words=words, loop=loop, variable="x", link="that are")
    made = of_numbers(rng, level)
    return Recipe(
        composition=made.composition,
        signature="scan(rows)",
        statement=made.statement(source),
        reference=f"    return {made.expression(source)}\n",
        shortcuts=tuple(f"    return {other.expression(source)}\n" for other in made.shortcuts()),
        arguments=number_grids(made.constants),
    )
