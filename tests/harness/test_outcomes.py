from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison import CHECKERS
from harness.outcomes import Outcome, Outcomes
from harness.records import Verdict

tests_of_a_sample = st.lists(st.sampled_from(Outcome), max_size=20)
checkers = st.sampled_from(CHECKERS)


@given(tests_of_a_sample)
def test_outcomes_survive_as_letters(tests: list[Outcome]) -> None:
    assert list(Outcomes(letters=Outcomes.of(tests).letters).tests) == tests


@given(tests_of_a_sample, checkers)
def test_a_sample_passes_if_every_test_does_and_there_is_one(tests: list[Outcome], checker: str) -> None:
    assert Outcomes.of(tests).passed(checker) == (bool(tests) and all(test.accepted(checker) for test in tests))


@given(tests_of_a_sample, checkers)
def test_the_average_is_the_share_of_tests_accepted(tests: list[Outcome], checker: str) -> None:
    average = Outcomes.of(tests).average(checker)
    if not tests or Outcome.NOT_RUN in tests:
        assert average is None
    else:
        assert average == sum(test.accepted(checker) for test in tests) / len(tests)


@given(tests_of_a_sample, checkers)
def test_the_first_failed_test_is_the_first_that_is_not_accepted(tests: list[Outcome], checker: str) -> None:
    failed = Outcomes.of(tests).first_failed(checker)
    before = tests if failed is None else tests[:failed]
    assert all(test.accepted(checker) for test in before)
    assert failed is None or not tests[failed].accepted(checker)


@given(tests_of_a_sample)
def test_without_a_disagreement_both_checkers_say_the_same_of_the_sample(tests: list[Outcome]) -> None:
    outcomes = Outcomes.of(tests)
    if not outcomes.disagreeing:
        assert outcomes.passed("official") == outcomes.passed("strict")
        assert outcomes.average("official") == outcomes.average("strict")


def test_disagreeing_tests_are_named_by_their_place() -> None:
    assert Outcomes(letters="powspe").disagreeing == (1, 3)


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_an_answer_keeps_what_both_checkers_said(official: bool, strict: bool) -> None:
    outcome = Outcome.of_answer(official=official, strict=strict)
    assert (outcome.official, outcome.strict) == (official, strict)


@pytest.mark.parametrize("verdict", set(Verdict) - {Verdict.UNJUDGED})
@pytest.mark.parametrize("checker", CHECKERS)
def test_an_outcome_made_of_a_verdict_gives_it_back(verdict: Verdict, checker: str) -> None:
    assert Outcome.of_verdict(verdict).verdict(checker) is verdict


@pytest.mark.parametrize(
    ("outcome", "checker", "verdict"),
    [
        (Outcome.OFFICIAL_ONLY, "official", Verdict.PASSED),
        (Outcome.OFFICIAL_ONLY, "strict", Verdict.WRONG_ANSWER),
        (Outcome.STRICT_ONLY, "official", Verdict.WRONG_ANSWER),
        (Outcome.STRICT_ONLY, "strict", Verdict.PASSED),
    ],
)
def test_where_the_checkers_disagree_the_verdict_is_that_of_the_one_chosen(
    outcome: Outcome, checker: str, verdict: Verdict
) -> None:
    assert outcome.verdict(checker) is verdict


def test_what_was_not_run_or_not_judged_decides_nothing() -> None:
    with pytest.raises(ValueError, match="was not run"):
        Outcome.NOT_RUN.verdict("strict")
    with pytest.raises(ValueError, match="could not be judged"):
        Outcome.of_verdict(Verdict.UNJUDGED)


def test_an_unknown_letter_or_checker_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"unknown outcome '\?'; accepted are the letters pos"):
        Outcomes(letters="pp?")
    with pytest.raises(KeyError, match="lenient"):
        Outcome.PASSED.accepted("lenient")
