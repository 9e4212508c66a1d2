"""Keep some, change each, return a result: the shape that many families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tasks.mini_families.chance import below, pick
from tasks.mini_families.phrase import (
    COUNT,
    LENGTHS,
    LIST,
    NOTHING,
    SUM,
    Phrase,
    change,
    character_change,
    character_condition,
    character_result,
    characters_of,
    condition,
    constants_of,
    result,
    sentence,
    then,
    two_character_conditions,
    two_conditions,
    two_unlike,
    two_word_conditions,
    word_change,
    word_condition,
    word_result,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a pipeline runs over."""

    words: str
    """Such as `the numbers in xs`."""
    loop: str
    """The clause of a comprehension, such as `for x in xs`."""
    variable: str
    link: str
    """Between these words and a condition's, such as `that are`."""
    test: str = ""
    """A condition that is part of the source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """Pieces in their order; `NOTHING` where there is none."""

    keep: Phrase
    change: Phrase
    result: Phrase

    @property
    def pieces(self) -> tuple[Phrase, ...]:
        """All of them."""
        return self.keep, self.change, self.result

    @property
    def composition(self) -> tuple[str, ...]:
        """What they mean."""
        return tuple(piece.meaning for piece in self.pieces)

    @property
    def constants(self) -> tuple[int, ...]:
        """The numbers they speak of."""
        return constants_of((self.keep, self.change))

    @property
    def characters(self) -> str:
        """The characters they speak of."""
        return characters_of(self.pieces)

    def statement(self, source: Source, verb: str = "return") -> str:
        """What is asked, as one sentence."""
        clauses = [f"keep {source.words} {source.link} {self.keep.words}"]
        if self.keep is NOTHING:
            clauses = [f"take {source.words}"]
        if self.change is not NOTHING:
            clauses.append(self.change.words)
        return sentence(clauses, f"{verb} {self.result.words}")

    def expression(self, source: Source) -> str:
        """The Python of all of it."""
        tests = [source.test] if source.test else []
        if self.keep is not NOTHING:
            test = self.keep.of(source.variable)
            tests.append(f"({test})" if tests and " or " in test else test)
        inner = f"{self.change.of(source.variable)} {source.loop}"
        return self.result.of(f"{inner} if {' and '.join(tests)}" if tests else inner)

    def shortcuts(self) -> list[Pipeline]:
        """The pipelines with one piece forgotten."""
        found = [replace(self, keep=piece) for piece in self.keep.pieces]
        if self.keep is not NOTHING:
            found.append(replace(self, keep=NOTHING))
        found += [replace(self, change=piece) for piece in self.change.pieces]
        if self.change is not NOTHING:
            found.append(replace(self, change=NOTHING))
        return found


def pipeline(
    rng: Random,
    level: int,
    *,
    keep: Callable[[Random], Phrase],
    keep_two: Callable[[Random], Phrase],
    change: Callable[[Random], Phrase],
    result: Callable[[Random], Phrase],
    simple: tuple[Phrase, ...],
) -> Pipeline:
    """A pipeline: one piece and a simple result, one and any, two and any, or four and any."""
    if level <= 2:
        keeps = bool(below(rng, 2))
        ending = pick(rng, simple) if level == 1 else _other(rng, result, simple)
        if keeps:
            return Pipeline(keep=keep(rng), change=NOTHING, result=ending)
        # How many there are does not depend on what is done to each.
        return Pipeline(keep=NOTHING, change=change(rng), result=simple[0] if ending is COUNT else ending)
    if level == 3:
        return Pipeline(keep=keep(rng), change=change(rng), result=result(rng))
    return Pipeline(keep=keep_two(rng), change=then(*two_unlike(rng, change)), result=result(rng))


def _other(rng: Random, result: Callable[[Random], Phrase], simple: tuple[Phrase, ...]) -> Phrase:
    while True:
        found = result(rng)
        if found not in simple:
            return found


def of_numbers(rng: Random, level: int, top: int = 20, ending: Callable[[Random], Phrase] = result) -> Pipeline:
    """A pipeline over integers."""
    return pipeline(
        rng,
        level,
        keep=lambda rng: condition(rng, top),
        keep_two=lambda rng: two_conditions(rng, top),
        change=change,
        result=ending,
        simple=(SUM, COUNT, LIST) if ending is result else (SUM, SUM, COUNT),
    )


def of_characters(rng: Random, level: int) -> Pipeline:
    """A pipeline over the characters of a string."""
    return pipeline(
        rng,
        level,
        keep=character_condition,
        keep_two=two_character_conditions,
        change=character_change,
        result=character_result,
        simple=(LIST, COUNT),
    )


def of_words(rng: Random, level: int) -> Pipeline:
    """A pipeline over words; a third of those of level 3 end in numbers."""
    of_lengths = level == 3 and not below(rng, 3)
    return pipeline(
        rng,
        level,
        keep=word_condition,
        keep_two=two_word_conditions,
        change=(lambda rng: LENGTHS) if of_lengths else word_change,
        result=result if of_lengths else word_result,
        simple=(LIST, COUNT),
    )
