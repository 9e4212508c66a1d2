"""Where the arguments of a recipe come from: corner cases, and random ones near the constants it speaks of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tasks.mini_families.chance import below, between, pick

# fmt: off
SPREAD = (
    18, -7, 3, 25, 0, -12, 9, 14, -1, 22, 5, -9, 16, 2, 11, -4, 20, 7, -11, 24, 1, 13, -6,
    8, 19, -2, 10, -10, 4, 17, 23, -3, 12, -8, 6, 21, -5, 15, 9, 9, 18, -7, 3, 3, 14,
)
# fmt: on
"""Each integer from -12 to 25, some of them again: hardly two conditions keep the same of them."""
PANGRAM = "Sphinx of black quartz, judge my vow 1203987654 XYZ"
WORDS = "the quick brown foxes level jumped over a noon lazy dog at The refer quickest hut eve"
"""Each letter, in words of 1 to 8 letters, some of which read the same backwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arguments:
    """The arguments of calls; a program has one, the text of its standard input."""

    corners: tuple[tuple[Any, ...], ...]
    """Tried first: much at once, then empty, single, equal and negative values, and the constants themselves."""
    draw: Callable[[Random], tuple[Any, ...]]
    """Random ones."""


def naturals(constants: Sequence[int], top: int) -> Arguments:
    """One integer from 0 to `top`."""
    near = {min(max(constant + step, 0), top) for constant in constants for step in (-1, 0, 1)}
    return Arguments(
        corners=tuple((value,) for value in dict.fromkeys((top, 0, 1, *sorted(near)))),
        draw=lambda rng: (below(rng, top + 1) if below(rng, 2) else below(rng, top // 4 + 1),),
    )


def integers(constants: Sequence[int], count: int = 1) -> Arguments:
    """`count` integers of both signs."""
    near = sorted({constant + step for constant in constants for step in (-1, 0, 1)})
    values = dict.fromkeys((0, *near, *(range(-12, 26) if count == 1 else [-3])))
    return Arguments(
        corners=tuple((value, *(2 + place for place in range(count - 1))) for value in values),
        draw=lambda rng: tuple(integer(rng, constants) for _ in range(count)),
    )


def bounds() -> Arguments:
    """Two integers, most of them in ascending order."""

    def draw(rng: Random) -> tuple[int, int]:
        low = between(rng, -5, 15)
        return low, low + between(rng, -1, 16)

    return Arguments(corners=((-30, 60), (3, 2), (1, 1), (-4, 4), (0, 9)), draw=draw)


def number_lists(constants: Sequence[int], count: int = 1) -> Arguments:
    """`count` lists of integers, of like lengths."""

    def draw(rng: Random) -> tuple[list[int], ...]:
        length = pick(rng, (1, 2, 3, 4, 5, 6, 7))
        lists = tuple([integer(rng, constants) for _ in range(length)] for _ in range(count))
        if count == 2 and not below(rng, 3):
            pick(rng, lists).append(integer(rng, constants))
        return lists

    first = [*constants, 4, -7][:1]
    corners: list[list[int]] = [[], first, [5, 5, -2, 5], [*constants, *(constant + 1 for constant in constants), 0]]
    spread = tuple(list(SPREAD[:: (1, -1)[place]]) for place in range(count))
    return Arguments(corners=(spread, *(tuple(list(corner) for _ in range(count)) for corner in corners)), draw=draw)


def number_grids(constants: Sequence[int]) -> Arguments:
    """One list of rows of one length, which is not 0."""

    def draw(rng: Random) -> tuple[list[list[int]]]:
        width = pick(rng, (1, 2, 2, 3, 3))
        return ([[integer(rng, constants) for _ in range(width)] for _ in range(pick(rng, (1, 2, 3, 4)))],)

    spread = [list(SPREAD[start : start + 5]) for start in range(0, len(SPREAD), 5)]
    return Arguments(corners=((spread,), ([],), ([[3]],), ([[1, 1], [1, 1]],), ([[-2, 5], [4, -9]],)), draw=draw)


def texts(characters: str) -> Arguments:
    """One string in which `characters` are frequent."""

    def draw(rng: Random) -> tuple[str]:
        return ("".join(_character(rng, characters) for _ in range(pick(rng, (2, 4, 5, 6, 7, 8, 10)))),)

    single = characters[:1] or "x"
    return Arguments(corners=((PANGRAM,), ("",), (single,), (f" {single} Level {single}{single} ",)), draw=draw)


def sentences(characters: str, lengths: Sequence[int] = ()) -> Arguments:
    """One string of words between single spaces; it may be empty."""

    def draw(rng: Random) -> tuple[str]:
        return (" ".join(word(rng, characters, lengths) for _ in range(pick(rng, (1, 2, 3, 4, 5)))),)

    return Arguments(corners=((WORDS,), ("",), ("a",), ("noon noon",)), draw=draw)


def name_tables(constants: Sequence[int]) -> Arguments:
    """One dictionary from names to integers."""

    def draw(rng: Random) -> tuple[dict[str, int]]:
        names = list(dict.fromkeys(pick(rng, "abcdefghk") for _ in range(pick(rng, (1, 2, 3, 4, 5)))))
        return ({name: integer(rng, constants) for name in names},)

    corner = dict(zip("badc", [*constants, 0, -3, 8], strict=False))
    spread = dict(zip("qwertyuiopasdfghjklzxcvbnm", SPREAD, strict=False))
    return Arguments(corners=((spread,), ({},), (corner,), ({"z": 5, "y": 5},)), draw=draw)


def joined_numbers(constants: Sequence[int], separator: str) -> Arguments:
    """One string of integers between separators; never empty."""

    def draw(rng: Random) -> tuple[str]:
        return (separator.join(str(integer(rng, constants)) for _ in range(pick(rng, (1, 2, 3, 4, 5, 6)))),)

    last = separator.join(map(str, [*constants, *(constant + 1 for constant in constants), 0]))
    return Arguments(
        corners=((separator.join(map(str, SPREAD)),), ("0",), (f"5{separator}5{separator}-2",), (last,)), draw=draw
    )


def entries(constants: Sequence[int]) -> Arguments:
    """One string such as `a=3,b=-1`, without a name twice; never empty."""
    of_tables = name_tables(constants)

    def text(table: dict[str, int]) -> tuple[str]:
        return (",".join(f"{name}={value}" for name, value in table.items()),)

    corners = tuple(text(*table) for table in of_tables.corners if table[0])
    return Arguments(corners=corners, draw=lambda rng: text(*of_tables.draw(rng)))


def integer(rng: Random, constants: Sequence[int]) -> int:
    """An integer, often near a constant or a multiple of one: there wrong programs differ from right ones."""
    way = below(rng, 4) if constants else 0
    if way < 2:
        return between(rng, -12, 26)
    constant = constants[below(rng, len(constants))]
    return constant + between(rng, -1, 2) if way == 2 else constant * between(rng, -2, 5)


def word(rng: Random, characters: str, lengths: Sequence[int]) -> str:
    """A word with frequent `characters`, whose length is often near one of `lengths`; one in four is a palindrome."""
    length = between(rng, 1, 8)
    if lengths and below(rng, 2):
        length = max(1, lengths[below(rng, len(lengths))] + between(rng, -1, 2))
    pool = "aeinorst" + characters * 3
    text = "".join(pool[below(rng, len(pool))] for _ in range(length))
    way = below(rng, 8)
    if way < 2:
        return text[: (length + 1) // 2] + text[: length // 2][::-1]
    return text.capitalize() if way == 2 else text


def _character(rng: Random, characters: str) -> str:
    if characters and below(rng, 2):
        character = characters[below(rng, len(characters))]
        return character if below(rng, 4) else character.swapcase()
    pool = "abcdeinost AEXZ 0179,-"
    return pool[below(rng, len(pool))]
