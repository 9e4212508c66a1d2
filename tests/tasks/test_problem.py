from __future__ import annotations

import json
from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from tasks.problem import Problem, Script

texts = st.text()
scripts = st.builds(Script, setup=texts, test=texts, start=texts, names=st.lists(texts).map(tuple))
problems = st.builds(Problem, task_id=texts, prompt=texts, entry_point=texts, reference=texts, check=scripts)


@given(problems)
def test_a_problem_survives_json(problem: Problem) -> None:
    assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem


@given(problems, problems)
def test_two_problems_have_one_digest_only_if_they_are_equal(one: Problem, other: Problem) -> None:
    assert (one.digest == other.digest) == (one == other)


@given(problems, st.sampled_from([field.name for field in fields(Problem) if field.name != "check"]))
def test_the_digest_covers_every_field(problem: Problem, name: str) -> None:
    assert replace(problem, **{name: getattr(problem, name) + "x"}).digest != problem.digest


@given(problems, st.sampled_from(["setup", "test", "start"]))
def test_the_digest_covers_the_tests(problem: Problem, name: str) -> None:
    check = replace(problem.check, **{name: getattr(problem.check, name) + "x"})
    assert replace(problem, check=check).digest != problem.digest


@given(problems)
def test_the_digest_is_64_hex_digits(problem: Problem) -> None:
    assert len(bytes.fromhex(problem.digest)) == 32
