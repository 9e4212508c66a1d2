from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.problem import Call, Problem, Row, Script, Stdio

texts = st.text()
scripts = st.builds(Script, setup=texts, test=texts, start=texts, names=st.lists(texts).map(tuple))
rows = st.builds(Row, path=texts, offset=st.integers(0), length=st.integers(0), sha256=texts)
calls = st.builds(Call, cases=texts, row=st.none() | rows, conversion=texts, in_class=texts, comparison=texts)
programs = st.builds(Stdio, cases=texts, row=st.none() | rows, comparison=texts)


def problems_with(checks: st.SearchStrategy[Script | Call | Stdio]) -> st.SearchStrategy[Problem]:
    return st.builds(Problem, task_id=texts, prompt=texts, entry_point=texts, reference=texts, check=checks)


problems = problems_with(scripts | calls | programs)


@given(problems)
def test_a_problem_survives_json(problem: Problem) -> None:
    assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem


@given(problems_with(scripts), problems_with(scripts))
def test_two_problems_have_one_digest_only_if_they_are_equal(one: Problem, other: Problem) -> None:
    assert (one.digest == other.digest) == (one == other)


@given(problems, st.sampled_from([field.name for field in fields(Problem) if field.name != "check"]))
def test_the_digest_covers_every_field(problem: Problem, name: str) -> None:
    assert replace(problem, **{name: getattr(problem, name) + "x"}).digest != problem.digest


@given(problems_with(scripts), st.sampled_from(["setup", "test", "start"]))
def test_the_digest_covers_the_tests(problem: Problem, name: str) -> None:
    check = replace(problem.check, **{name: getattr(problem.check, name) + "x"})
    assert replace(problem, check=check).digest != problem.digest


@given(problems_with(calls), st.sampled_from(["cases", "conversion", "in_class", "comparison"]))
def test_the_digest_covers_how_answers_are_compared(problem: Problem, name: str) -> None:
    check = replace(problem.check, **{name: getattr(problem.check, name) + "x"})
    assert replace(problem, check=check).digest != problem.digest


@pytest.mark.parametrize("kind", [Call, Stdio])
@given(problem=problems_with(scripts), one=rows, other=rows)
def test_of_tests_in_a_file_the_digest_covers_the_bytes_and_not_the_place(
    kind: type[Call] | type[Stdio], problem: Problem, one: Row, other: Row
) -> None:
    digests = {replace(problem, check=kind(row=row)).digest for row in (one, replace(other, sha256=one.sha256))}
    assert len(digests) == 1
    assert replace(problem, check=kind(row=replace(one, sha256=one.sha256 + "x"))).digest not in digests


@given(texts)
def test_the_same_cases_asked_in_another_way_are_another_problem(cases: str) -> None:
    problem = Problem(task_id="t", prompt="", entry_point="f", reference="", check=Call(cases=cases))
    assert replace(problem, check=Stdio(cases=cases)).digest != problem.digest


def test_only_a_problem_with_test_code_has_a_script() -> None:
    with pytest.raises(TypeError, match="t has no test code"):
        _ = Problem(task_id="t", prompt="", entry_point="f", reference="", check=Call()).script


@given(problems)
def test_the_digest_is_64_hex_digits(problem: Problem) -> None:
    assert len(bytes.fromhex(problem.digest)) == 32
