"""Pieces that families compose: conditions, changes and results, each in words and in Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from tasks.mini_families.chance import below, between, pick


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """One piece."""

    words: str
    code: str
    """Python, where `{}` stands for what it is about."""
    constants: tuple[int, ...] = ()
    """The numbers it speaks of."""
    characters: str = ""
    """The characters it speaks of."""
    pieces: tuple[Phrase, ...] = ()
    """What it is made of, if of others."""
    same_as: str = ""
    """The words of another phrase that means the same, if there is one."""

    @property
    def meaning(self) -> str:
        """One text for all phrases that mean the same."""
        return self.same_as or self.words

    def of(self, operand: str) -> str:
        """The Python for `operand`."""
        return self.code.replace("{}", operand)


NOTHING = Phrase(words="", code="{}")
"""No condition, or no change."""


def constants_of(phrases: Sequence[Phrase]) -> tuple[int, ...]:
    """The numbers that they speak of."""
    return tuple(dict.fromkeys(number for phrase in phrases for number in phrase.constants))


def characters_of(phrases: Sequence[Phrase]) -> str:
    """The characters that they speak of."""
    return "".join(dict.fromkeys("".join(phrase.characters for phrase in phrases)))


def with_number(words: str, code: str, number: int) -> Phrase:
    """A phrase with one number, `#` in the words and the code."""
    return Phrase(words=words.replace("#", str(number)), code=code.replace("#", str(number)), constants=(number,))


def with_text(words: str, code: str, text: str) -> Phrase:
    """A phrase with one string, `#` in the words and the code."""
    return Phrase(words=words.replace("#", repr(text)), code=code.replace("#", repr(text)), characters=text)


def sentence(clauses: Sequence[str], last: str) -> str:
    """Clauses and a last one, such as `Keep the even numbers in xs, double each and return their sum.`"""
    text = f"{', '.join(clauses)} and {last}." if clauses else f"{last}."
    return text[0].upper() + text[1:]


# Numbers


def size(rng: Random, top: int = 20) -> Phrase:
    """A condition on how large a number is."""
    words, code, other, step = pick(rng, SIZES)
    number = between(rng, 1, top + 1)
    same_as = other.replace("#", str(number + step)) if other else ""
    return replace(with_number(words, code, number), same_as=same_as)


SIZES = (
    ("greater than #", "{} > #", "", 0),
    ("less than #", "{} < #", "", 0),
    ("at least #", "{} >= #", "greater than #", -1),
    ("at most #", "{} <= #", "less than #", 1),
)


def divisibility(rng: Random) -> Phrase:
    """A condition on what a number is divisible by."""
    way = below(rng, 4)
    if way < 2:
        return Phrase(words=("even", "odd")[way], code=f"{{}} % 2 == {way}", constants=(2,))
    words, code = (("divisible by #", "{} % # == 0"), ("not divisible by #", "{} % # != 0"))[way - 2]
    return with_number(words, code, between(rng, 3, 10))


def condition(rng: Random, top: int = 20) -> Phrase:
    """A condition on a number."""
    way = below(rng, 10)
    if way < 4:
        return size(rng, top)
    if way < 8:
        return divisibility(rng)
    if way == 8:
        return pick(
            rng,
            (
                Phrase(words="positive", code="{} > 0", constants=(0,), same_as="greater than 0"),
                Phrase(words="negative", code="{} < 0", constants=(0,)),
            ),
        )
    low = between(rng, 1, max(2, top // 2))
    high = low + between(rng, 2, max(3, top // 2))
    return Phrase(words=f"from {low} to {high}", code=f"{low} <= {{}} <= {high}", constants=(low, high))


def two_conditions(rng: Random, top: int = 20) -> Phrase:
    """Two conditions on a number, of which neither decides the other."""
    pieces = [size(rng, top), divisibility(rng)]
    if below(rng, 2):
        pieces.reverse()
    return both(pick(rng, ("and", "or")), pieces[0], pieces[1])


def both(word: str, one: Phrase, other: Phrase) -> Phrase:
    """Two conditions joined by `and` or `or`."""
    return Phrase(
        # The first word says how far a `not` in the conditions reaches.
        words=f"{'both' if word == 'and' else 'either'} {one.words} {word} {other.words}",
        code=f"{one.code} {word} {other.code}",
        constants=one.constants + other.constants,
        characters=one.characters + other.characters,
        pieces=(one, other),
        same_as=f" {word} ".join(sorted((one.meaning, other.meaning))),
    )


def then(one: Phrase, other: Phrase) -> Phrase:
    """One change and then another."""
    whole = "({})" in other.code or re.fullmatch(r"[\w{}.]+(\(.*\)|\[.*\])", one.code)
    return Phrase(
        words=f"{one.words}, {other.words}",
        code=other.of(one.code if whole else f"({one.code})"),
        constants=one.constants + other.constants,
        characters=one.characters + other.characters,
        pieces=(one, other),
        same_as=f"{one.meaning}, {other.meaning}",
    )


NUM_STEPS = (1, 2, 4, 6)
"""Steps of a chain of steps, by difficulty."""


def unlike(rng: Random, draw: Callable[[Random], Phrase], count: int) -> list[Phrase]:
    """`count` different phrases."""
    found: dict[str, Phrase] = {}
    while len(found) < count:
        phrase = draw(rng)
        found[phrase.words] = phrase
    return list(found.values())


def two_unlike(rng: Random, draw: Callable[[Random], Phrase]) -> tuple[Phrase, Phrase]:
    """Two different phrases."""
    one, other = unlike(rng, draw, 2)
    return one, other


def change(rng: Random) -> Phrase:
    """What is done to each number."""
    way = below(rng, 16)
    if way < len(CHANGES):
        return CHANGES[way]
    words, code = NUMBERED_CHANGES[way % len(NUMBERED_CHANGES)]
    return with_number(words, code, between(rng, 2, 10))


CHANGES = (
    Phrase(words="square each", code="{} * {}"),
    Phrase(words="double each", code="{} * 2", same_as="multiply each by 2"),
    Phrase(words="negate each", code="-{}"),
    Phrase(words="take the absolute value of each", code="abs({})"),
    Phrase(words="take the last digit of each", code="abs({}) % 10"),
    Phrase(words="halve each rounding down", code="{} // 2"),
)
NUMBERED_CHANGES = (
    ("add # to each", "{} + #"),
    ("subtract # from each", "{} - #"),
    ("multiply each by #", "{} * #"),
    ("subtract each from #", "# - {}"),
    ("take each modulo #", "{} % #"),
)

SUM = Phrase(words="their sum", code="sum({})")
COUNT = Phrase(words="how many there are", code="len([{}])")
LIST = Phrase(words="the list of them", code="[{}]")
PLAIN_RESULTS = (
    SUM,
    LIST,
    Phrase(words="them in ascending order", code="sorted({})"),
    Phrase(words="them in descending order", code="sorted([{}], reverse=True)"),
    Phrase(words="them in reverse order", code="[{}][::-1]"),
    Phrase(words="the number of different values", code="len(set({}))"),
    Phrase(words="the different values in ascending order", code="sorted(set({}))"),
)
DEFAULTED_RESULTS = (
    ("the largest, or # if there are none", "max([{}], default=#)"),
    ("the smallest, or # if there are none", "min([{}], default=#)"),
    ("the first, or # if there are none", "next(({}), #)"),
)


def result(rng: Random) -> Phrase:
    """What becomes of the numbers in the end."""
    way = below(rng, 12)
    if way < len(PLAIN_RESULTS):
        return PLAIN_RESULTS[way]
    words, code = DEFAULTED_RESULTS[way % len(DEFAULTED_RESULTS)]
    default = pick(rng, (0, -1, 1, 10))
    return Phrase(words=words.replace("#", str(default)), code=code.replace("#", str(default)))


def scalar_result(rng: Random) -> Phrase:
    """A result that is one number."""
    found = result(rng)
    while found.code[0] == "[" or found.code.startswith("sorted"):
        found = result(rng)
    return found


# Characters and words

LETTERS = "abcdefghilmnoprstuwy"

CHARACTER_CONDITIONS = (
    Phrase(words="vowels (aeiou)", code="{} in 'aeiou'", characters="aeiou"),
    Phrase(words="digits", code="{}.isdigit()", characters="0123456789"),
    Phrase(words="letters", code="{}.isalpha()"),
    Phrase(words="upper case letters", code="{}.isupper()", characters="ABCDE"),
    Phrase(words="lower case letters", code="{}.islower()"),
    Phrase(words="not letters", code="not {}.isalpha()"),
    Phrase(words="not digits", code="not {}.isdigit()", characters="0123456789"),
    Phrase(words="not spaces", code="{} != ' '", characters=" "),
)


def character_condition(rng: Random) -> Phrase:
    """A condition on characters, after the words `that are`."""
    way = below(rng, 14)
    if way < len(CHARACTER_CONDITIONS):
        return CHARACTER_CONDITIONS[way]
    if way < 10:
        return with_text("equal to #", "{} == #", pick(rng, LETTERS))
    if way < 12:
        return with_text("different from #", "{} != #", pick(rng, LETTERS))
    start = below(rng, len(LETTERS) - 2)
    return with_text("one of #", "{} in #", LETTERS[start : start + between(rng, 2, 4)])


def two_character_conditions(rng: Random) -> Phrase:
    """Two conditions on characters, after the words `that are`."""
    one, other = two_unlike(rng, character_condition)
    # Each character is either not one thing or not another.
    narrow = any(piece.words.startswith(("not", "different")) for piece in (one, other))
    return both("and" if narrow else "or", one, other)


def character_change(rng: Random) -> Phrase:
    """What is done to each character."""
    way = below(rng, 6)
    if way < 4:
        return CHARACTER_CHANGES[way]
    words, code = (("put # after each", "{} + #"), ("put # before each", "# + {}"))[way - 4]
    return with_text(words, code, pick(rng, "-.*+!"))


CHARACTER_CHANGES = (
    Phrase(words="make each upper case", code="{}.upper()"),
    Phrase(words="make each lower case", code="{}.lower()"),
    Phrase(words="swap the case of each", code="{}.swapcase()", characters="aB"),
    Phrase(words="write each twice", code="{} * 2"),
)
CHARACTER_RESULTS = (
    LIST,
    Phrase(words="them joined to one string", code="''.join({})"),
    Phrase(words="them joined in reverse order", code="''.join([{}][::-1])"),
    Phrase(words="them sorted and joined", code="''.join(sorted({}))"),
    Phrase(words="the number of different ones", code="len(set({}))"),
    Phrase(words="the first, or '' if there are none", code="next(({}), '')"),
    Phrase(words="the different ones sorted", code="sorted(set({}))"),
)


def character_result(rng: Random) -> Phrase:
    """What becomes of the characters in the end."""
    way = below(rng, len(CHARACTER_RESULTS) + 2)
    return CHARACTER_RESULTS[way] if way < len(CHARACTER_RESULTS) else joined(rng)


def joined(rng: Random) -> Phrase:
    """Strings joined with a separator."""
    separator = pick(rng, "-,/:+|")
    return Phrase(words=f"them joined with {separator!r}", code=f"{separator!r}.join({{}})")


def word_condition(rng: Random) -> Phrase:
    """A condition on words, after the word `that`."""
    way = below(rng, 9)
    if way < 4:
        words, code = WORD_LENGTHS[way]
        return with_number(words, code, between(rng, 2, 7))
    if way == 4:
        return Phrase(words="read the same backwards", code="{} == {}[::-1]")
    words, code = WORD_LETTERS[way - 5]
    return with_text(words, code, pick(rng, LETTERS))


WORD_LENGTHS = (
    ("are longer than # letters", "len({}) > #"),
    ("are shorter than # letters", "len({}) < #"),
    ("have exactly # letters", "len({}) == #"),
    ("have at least # letters", "len({}) >= #"),
)
WORD_LETTERS = (
    ("start with #", "{}.startswith(#)"),
    ("end with #", "{}.endswith(#)"),
    ("contain #", "# in {}"),
    ("do not contain #", "# not in {}"),
)


def two_word_conditions(rng: Random) -> Phrase:
    """Two conditions on words, after the word `that`."""
    return both(pick(rng, ("and", "or")), *two_unlike(rng, word_condition))


def word_change(rng: Random) -> Phrase:
    """What is done to each word."""
    way = below(rng, 12)
    if way < len(WORD_CHANGES):
        return WORD_CHANGES[way]
    if way < 8:
        return with_number("take the first # letters of each", "{}[:#]", between(rng, 2, 5))
    if way < 10:
        return with_text("remove # from each", "{}.replace(#, '')", pick(rng, LETTERS))
    return with_text("put # after each", "{} + #", pick(rng, "-.*+!"))


WORD_CHANGES = (
    Phrase(words="make each upper case", code="{}.upper()"),
    Phrase(words="reverse each", code="{}[::-1]"),
    Phrase(words="capitalize each", code="{}.capitalize()"),
    Phrase(words="take the first letter of each", code="{}[0]"),
    Phrase(words="take the last letter of each", code="{}[-1]"),
    Phrase(words="write each twice", code="{} * 2"),
)
LENGTHS = Phrase(words="take the length of each", code="len({})")
WORD_RESULTS = (
    LIST,
    Phrase(words="them joined with spaces", code="' '.join({})"),
    Phrase(words="them in alphabetical order", code="sorted({})"),
    Phrase(words="them in reverse order", code="[{}][::-1]"),
    Phrase(words="the number of different ones", code="len(set({}))"),
    Phrase(words="the first of the longest, or '' if there are none", code="max([{}], key=len, default='')"),
    Phrase(words="the first, or '' if there are none", code="next(({}), '')"),
)


def word_result(rng: Random) -> Phrase:
    """What becomes of the words in the end."""
    way = below(rng, len(WORD_RESULTS) + 2)
    return WORD_RESULTS[way] if way < len(WORD_RESULTS) else joined(rng)
