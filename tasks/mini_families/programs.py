"""Families of whole programs, which read standard input and print."""

from __future__ import annotations

from random import Random

from tasks.mini_families.arguments import SPREAD, WORDS, Arguments, integer, number_lists, word
from tasks.mini_families.chance import below, between, pick
from tasks.mini_families.phrase import (
    LENGTHS,
    LIST,
    NOTHING,
    Phrase,
    change,
    condition,
    constants_of,
    scalar_result,
    then,
    with_text,
)
from tasks.mini_families.pipeline import Pipeline, Source, of_numbers, of_words
from tasks.mini_families.recipe import Recipe

# sums: Reads integers from one line. Keeps those that are even, squares each and prints their sum.

INTEGERS = Source(words="them", loop="for x in map(int, input().split())", variable="x", link="that are")


def sums(rng: Random, level: int) -> Recipe:
    """A pipeline over one line of integers."""
    made = of_numbers(rng, level, ending=scalar_result)
    source = INTEGERS
    return Recipe(
        composition=made.composition,
        statement=f"Reads a line of integers. {_third_person(made, 'those')}",
        reference=f"print({made.expression(source)})\n",
        shortcuts=tuple(f"print({other.expression(source)})\n" for other in made.shortcuts()),
        arguments=_lines(number_lists(made.constants)),
    )


def _third_person(made: Pipeline, those: str) -> str:
    link = "that" if "word" in those else "that are"
    clauses = [] if made.keep is NOTHING else [f"keeps {those} {link} {made.keep.words}"]
    for piece in made.change.pieces or (made.change,):
        verb, _, rest = piece.words.partition(" ")
        if verb:
            clauses.append(f"{verb[:-1] + 'ies' if verb.endswith('y') else verb + 's'} {rest}")
    text = f"{', '.join(clauses)} and prints {made.result.words}."
    return text[0].upper() + text[1:]


def _lines(lists: Arguments) -> Arguments:
    def text(numbers: list[int]) -> tuple[str]:
        return (" ".join(map(str, numbers)) + "\n",)

    return Arguments(corners=tuple(text(*corner) for corner in lists.corners), draw=lambda rng: text(*lists.draw(rng)))


# lines: Reads a number n, then n words, one per line. Keeps the words that contain 'a', reverses each and prints each
# on its own line, then how many there are.

READ = "n = int(input())\nwords = [input() for _ in range(n)]\n"
COLUMN = Source(words="the words", loop="for w in words", variable="w", link="that")
PRINTED = (
    Phrase(words="each on its own line, then how many there are", code="for w in {}:\n    print(w)\nprint(len({}))\n"),
    Phrase(words="how many there are, then each on its own line", code="print(len({}))\nfor w in {}:\n    print(w)\n"),
    Phrase(words="how many there are, then all joined with '-'", code="print(len({}))\nprint('-'.join({}))\n"),
    Phrase(words="'start', then each on its own line", code="print('start')\nfor w in {}:\n    print(w)\n"),
    Phrase(words="each on its own line, then 'end'", code="for w in {}:\n    print(w)\nprint('end')\n"),
)


def lines(rng: Random, level: int) -> Recipe:
    """A pipeline over words, one per line."""
    made = of_words(rng, level)
    while made.change is LENGTHS:
        made = of_words(rng, level)
    printed = pick(rng, PRINTED)
    made = Pipeline(keep=made.keep, change=made.change, result=printed)
    return Recipe(
        composition=made.composition,
        statement=f"Reads a number n, then n words, one per line. {_third_person(made, 'the words')}",
        reference=_printed(made),
        shortcuts=tuple(_printed(other) for other in made.shortcuts()),
        arguments=_word_lines(made.characters, made.constants),
    )


def _printed(made: Pipeline) -> str:
    inner = Pipeline(keep=made.keep, change=made.change, result=LIST).expression(COLUMN)
    return f"{READ}kept = {inner}\n{made.result.of('kept')}"


def _word_lines(characters: str, lengths: tuple[int, ...]) -> Arguments:
    def text(words: list[str]) -> tuple[str]:
        return ("".join(f"{line}\n" for line in (len(words), *words)),)

    def draw(rng: Random) -> tuple[str]:
        return text([word(rng, characters, lengths) for _ in range(between(rng, 1, 6))])

    return Arguments(corners=(text(WORDS.split()), text([]), text(["a"]), text(["noon", "noon"])), draw=draw)


# patterns: Reads a number n. Prints n lines; line i, from 1, holds i times '*', then '.'.

PIECES = (
    ("i times #", "# * i"),
    ("n - i times #", "# * (n - i)"),
    ("n times #", "# * n"),
    ("#", "#"),
    ("the number i", "str(i)"),
    ("the number n - i", "str(n - i)"),
    ("2 times i times #", "# * (2 * i)"),
)


def patterns(rng: Random, level: int) -> Recipe:
    """Lines drawn with characters; from level 3 on, two kinds of lines."""
    width = (1, 2, 1, 3)[level - 1]
    rows = [_row(rng, width)]
    while level > 2 and len(rows) < 2:
        rows += [row for row in [_row(rng, width)] if row != rows[0]]
    down = bool(below(rng, 2))
    test = condition(rng, 5) if level > 2 else NOTHING
    contents = [", then ".join(piece.words for piece in row) for row in rows]
    holds = f"a line of {contents[0]}"
    if level > 2:
        holds = f"if i is {test.words}, {holds}, otherwise a line of {contents[1]}"
    order = "from n down to 1" if down else "from 1 to n"
    return Recipe(
        composition=(order, test.meaning, *contents),
        statement=f"Reads a number n. For each i {order}, prints{',' * (level > 2)} {holds}.",
        reference=_drawing(down, test, rows),
        shortcuts=tuple(_drawing(down, NOTHING, [row]) for row in rows) if level > 2 else _shorter(down, rows[0]),
        arguments=_numbers(),
    )


def _shorter(down: bool, row: list[Phrase]) -> tuple[str, ...]:
    if len(row) == 1:
        return ()
    return tuple(_drawing(down, NOTHING, [row[:place] + row[place + 1 :]]) for place in range(len(row)))


def _row(rng: Random, count: int) -> list[Phrase]:
    while True:
        row = [_piece(rng) for _ in range(count)]
        # A line may not be empty: how many empty lines end an output is not compared everywhere.
        # A line that is the same for each i would not show their order.
        shown = any("(n - i)" not in piece.code or "str" in piece.code for piece in row)
        if shown and any("i" in piece.code for piece in row):
            return row


def _piece(rng: Random) -> Phrase:
    words, code = PIECES[below(rng, len(PIECES))]
    return with_text(words, code, pick(rng, "*+#.-=ox@")) if "#" in words else Phrase(words=words, code=code)


def _drawing(down: bool, test: Phrase, rows: list[list[Phrase]]) -> str:
    prints = [f"print({' + '.join(piece.code for piece in row)})" for row in rows]
    loop = f"n = int(input())\nfor i in range({'n, 0, -1' if down else '1, n + 1'}):\n"
    if test is NOTHING:
        return f"{loop}    {prints[0]}\n"
    return f"{loop}    if {test.of('i')}:\n        {prints[0]}\n    else:\n        {prints[1]}\n"


def _numbers() -> Arguments:
    return Arguments(corners=tuple((f"{n}\n",) for n in range(1, 10)), draw=lambda rng: (f"{between(rng, 10, 15)}\n",))


# queries: Reads a number k, then a line of integers. Prints how many of them are greater than k.

QUERY_CONDITIONS = (
    Phrase(words="greater than k", code="{} > k"),
    Phrase(words="less than k", code="{} < k"),
    Phrase(words="at least k", code="{} >= k"),
    Phrase(words="at most k", code="{} <= k"),
    Phrase(words="divisible by k", code="{} % k == 0"),
    Phrase(words="different from k", code="{} != k"),
    Phrase(words="equal to k", code="{} == k"),
)
QUERY_CHANGES = (
    Phrase(words="add k to each", code="{} + k"),
    Phrase(words="subtract k from each", code="{} - k"),
    Phrase(words="subtract each from k", code="k - {}"),
    Phrase(words="multiply each by k", code="{} * k"),
    Phrase(words="take each modulo k", code="{} % k"),
)
QUERIED = Source(words="them", loop="for x in xs", variable="x", link="that are")


def queries(rng: Random, level: int) -> Recipe:
    """A pipeline over a line of integers that depends on a number read before."""
    made = of_numbers(rng, level, ending=scalar_result)
    replaces_keep = made.keep is not NOTHING and (made.change is NOTHING or bool(below(rng, 2)))
    if level == 4:
        made = Pipeline(keep=made.keep, change=then(pick(rng, QUERY_CHANGES), change(rng)), result=made.result)
    elif replaces_keep:
        made = Pipeline(keep=pick(rng, QUERY_CONDITIONS), change=made.change, result=made.result)
    else:
        made = Pipeline(keep=made.keep, change=pick(rng, QUERY_CHANGES), result=made.result)
    return Recipe(
        composition=made.composition,
        statement=f"Reads a number k, then a line of integers. {_third_person(made, 'those')}",
        reference=_query(made),
        shortcuts=tuple(_query(other) for other in made.shortcuts()),
        arguments=_queries(constants_of((made.keep, made.change))),
    )


def _query(made: Pipeline) -> str:
    return f"k = int(input())\nxs = list(map(int, input().split()))\nprint({made.expression(QUERIED)})\n"


def _queries(constants: tuple[int, ...]) -> Arguments:
    def text(k: int, numbers: list[int]) -> tuple[str]:
        return (f"{k}\n{' '.join(map(str, numbers))}\n",)

    def draw(rng: Random) -> tuple[str]:
        k = between(rng, 1, 13)
        return text(k, [integer(rng, (k, *constants)) for _ in range(between(rng, 1, 8))])

    return Arguments(
        corners=(text(4, [*SPREAD]), text(3, []), text(5, [5]), text(2, [4, 4, -6]), text(1, [0, 1, 2])), draw=draw
    )
