"""What came of each test of a sample, under both checkers of APPS: one execution, two verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from harness.records import Verdict


class Outcome(StrEnum):
    """What came of one test. The values are the letters of a verdicts row."""

    PASSED = "p"
    """Accepted by both checkers."""
    OFFICIAL_ONLY = "o"
    """Accepted by the official checker alone, which accepts some wrong answers."""
    STRICT_ONLY = "s"
    """Accepted by the strict checker alone: the official one rejects some right answers."""
    WRONG = "w"
    ERROR = "e"
    """The program raised, or ended with a code other than 0, or by a signal."""
    SYNTAX = "c"
    """The program did not compile."""
    TIMEOUT = "t"
    MEMORY = "m"
    OUTPUT = "x"
    """More came out than may."""
    NOT_RUN = "-"
    """An earlier test failed, and no more was asked for."""

    @classmethod
    def of_answer(cls, *, official: bool, strict: bool) -> Outcome:
        """The outcome of a test that the program answered."""
        answers = {(True, True): cls.PASSED, (True, False): cls.OFFICIAL_ONLY, (False, True): cls.STRICT_ONLY}
        return answers.get((official, strict), cls.WRONG)

    @classmethod
    def of_verdict(cls, verdict: Verdict) -> Outcome:
        """The outcome of a test that came to this verdict without an answer that both checkers could be asked about.

        Raises:
            ValueError: `unjudged` says nothing about a test.
        """
        if verdict is Verdict.UNJUDGED:
            raise ValueError("a test that could not be judged has no outcome")
        return next((outcome for outcome, named in _VERDICTS.items() if named is verdict))

    @property
    def official(self) -> bool:
        """Whether the official checker accepts."""
        return self in _ACCEPTED["official"]

    @property
    def strict(self) -> bool:
        """Whether the strict checker accepts."""
        return self in _ACCEPTED["strict"]

    def accepted(self, checker: str) -> bool:
        """Whether the checker called `official` or `strict` accepts.

        Raises:
            KeyError: no such checker.
        """
        return self in _ACCEPTED[checker]

    def verdict(self, checker: str) -> Verdict:
        """The verdict on a sample that this test decides.

        Raises:
            ValueError: the test was not run, so it decides nothing.
        """
        if self is Outcome.NOT_RUN:
            raise ValueError("a test that was not run decides nothing")
        return Verdict.PASSED if self.accepted(checker) else _VERDICTS.get(self, Verdict.WRONG_ANSWER)


_ACCEPTED = {
    "official": frozenset({Outcome.PASSED, Outcome.OFFICIAL_ONLY}),
    "strict": frozenset({Outcome.PASSED, Outcome.STRICT_ONLY}),
}
_VERDICTS = {
    Outcome.PASSED: Verdict.PASSED,
    Outcome.WRONG: Verdict.WRONG_ANSWER,
    Outcome.ERROR: Verdict.RUNTIME_ERROR,
    Outcome.SYNTAX: Verdict.SYNTAX_ERROR,
    Outcome.TIMEOUT: Verdict.TIMEOUT,
    Outcome.MEMORY: Verdict.MEMORY_LIMIT,
    Outcome.OUTPUT: Verdict.OUTPUT_LIMIT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """What came of all tests of a sample, in their order."""

    letters: str
    """One letter for each test, as a verdicts row carries them, for example `ppwt`."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.letters) - set(Outcome))
        if unknown:
            raise ValueError(f"unknown outcome {unknown[0]!r}; accepted are the letters {''.join(Outcome)}")

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """The outcomes of tests, one after another."""
        return cls(letters="".join(outcomes))

    @property
    def tests(self) -> tuple[Outcome, ...]:
        """One outcome for each test."""
        return tuple(map(Outcome, self.letters))

    def passed(self, checker: str) -> bool:
        """Whether the checker accepts every test; never where there is none."""
        return bool(self.letters) and self.first_failed(checker) is None

    def first_failed(self, checker: str) -> int | None:
        """The position of the first test that the checker does not accept, from 0."""
        return next((place for place, test in enumerate(self.tests) if not test.accepted(checker)), None)

    def average(self, checker: str) -> float | None:
        """The share of tests that the checker accepts; None where that is not known, because some were not run."""
        if not self.letters or Outcome.NOT_RUN in self.letters:
            return None
        return sum(test.accepted(checker) for test in self.tests) / len(self.letters)

    @property
    def disagreeing(self) -> tuple[int, ...]:
        """The positions of the tests that the two checkers judge differently, from 0."""
        return tuple(place for place, test in enumerate(self.tests) if test.official != test.strict)
