from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import config as config_module
from harness.config import WHAT_MAY_CHANGE, RunConfig, UsageError, differences, find_preset, protocol
from tasks.problem import Preset, Problem, Script

positive = st.floats(0.01, 1000)
configs = st.builds(
    RunConfig,
    task=st.text(),
    model=st.text(),
    model_digest=st.text(),
    limit=st.none() | st.integers(1, 1000),
    subset=st.booleans(),
    packages=st.sampled_from(["stdlib", "numpy", "host"]),
    cpu_s=positive,
    cpu_factor=positive,
    memory_bytes=st.integers(1, 1 << 40),
    ks=st.lists(st.integers(1, 100)).map(tuple),
    workers=st.integers(1, 64),
    split=st.text(),
    challenge=st.booleans(),
    checker=st.text(),
    data=st.dictionaries(st.text(), st.text()).map(lambda places: tuple(places.items())),
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
records = st.dictionaries(st.sampled_from("abcde"), plain, max_size=4)


class Pair:
    """A task of two problems, whose every part can be another."""

    def __init__(self, **changes: Any) -> None:
        self.name = changes.get("name", "pair")
        self.version = changes.get("version", "1")
        self.presets: Sequence[Preset] = (Preset(name="plain", stops=changes.get("stops", ("\n#",))),)
        self.digest = changes.get("digest", "ab" * 32)
        self.test = changes.get("test", "assert f() == 1")
        self.packages = "stdlib"
        self.least_cpu_s: float = changes.get("least_cpu_s", 0.0)
        self.excluded: dict[str, int] = changes.get("excluded", {})

    def load(self) -> list[Problem]:
        check = Script(setup="", test=self.test, start="", names=("f",))
        return [
            Problem(task_id=f"pair/{number}", prompt="def f():\n", entry_point="f", reference="", check=check)
            for number in range(2)
        ]

    def data_digests(self) -> dict[str, str]:
        return {"pair.jsonl": self.digest}

    def prompt(self, problem: Problem, preset: Preset) -> str:
        return problem.prompt

    def source(self, problem: Problem, completion: str, **_: Any) -> str:
        return completion


def asked(task: Pair | None = None, *, python: str = "3.11.7", versions: Any = None, **choices: Any) -> dict[str, Any]:
    task = task or Pair()
    chosen = RunConfig(preset="plain", **choices)
    return protocol(chosen, task, task.load(), python, versions or {})


# ---------------------------------------------------------------------------------------------------------------------
# RunConfig
# ---------------------------------------------------------------------------------------------------------------------


@given(configs)
def test_a_configuration_survives_json(chosen: RunConfig) -> None:
    assert RunConfig.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen


def test_older_code_reads_the_configuration_of_newer_code() -> None:
    assert RunConfig.from_json({**RunConfig().to_json(), "added_in_2030": 1}) == RunConfig()


def test_newer_code_reads_the_configuration_of_older_code() -> None:
    assert RunConfig.from_json({}) == RunConfig()


@pytest.mark.parametrize("name", ["workers", "cpu_s", "cpu_factor", "memory_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e30])
def test_a_limit_that_no_kernel_takes_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} must be more than 0 and at most "):
        RunConfig(**{name: value})


@pytest.mark.parametrize("limit", [0, -5])
def test_no_problems_at_all_are_refused(limit: int) -> None:
    with pytest.raises(UsageError, match=f"--limit takes 1 or more problems, not {limit}"):
        RunConfig(limit=limit)


def test_a_k_below_1_is_refused() -> None:
    with pytest.raises(UsageError, match="k must be 1 or more, not 0"):
        RunConfig(ks=(1, 0))


@given(positive, positive, st.floats(0, 60))
def test_a_program_has_the_least_time_or_its_multiple_of_the_references(
    least: float, factor: float, reference_s: float
) -> None:
    limits = RunConfig(cpu_s=least, cpu_factor=factor).limits_for(reference_s)
    assert limits.cpu_s == pytest.approx(max(least, factor * reference_s), abs=1e-3)


@given(positive, positive, st.floats(0, 60))
def test_waiting_and_the_clock_never_end_a_program_before_its_processor_time(
    least: float, factor: float, reference_s: float
) -> None:
    limits = RunConfig(cpu_s=least, cpu_factor=factor).limits_for(reference_s)
    assert limits.cpu_s <= limits.idle_s < limits.wall_s


@given(st.floats(0.01, 86_400), st.floats(0.01, 1_000), st.floats(0, 60))
def test_no_accepted_choice_gives_a_wait_that_poll_cannot_make(least: float, factor: float, reference_s: float) -> None:
    limits = RunConfig(cpu_s=least, cpu_factor=factor).limits_for(reference_s)
    assert (limits.wall_s + 60) * 1000 < 2**31


# ---------------------------------------------------------------------------------------------------------------------
# The protocol
# ---------------------------------------------------------------------------------------------------------------------


def test_the_same_question_has_the_same_protocol() -> None:
    assert asked() == asked()


CHANGES: dict[str, dict[str, Any]] = {
    "task": asked(Pair(name="other")),
    "task version": asked(Pair(version="2")),
    "data": asked(Pair(digest="cd" * 32)),
    "a test": asked(Pair(test="assert f() == 2")),
    "stops": asked(Pair(stops=("\n",))),
    "least_cpu_s": asked(Pair(least_cpu_s=4.0)),
    "excluded": asked(Pair(excluded={"without tests": 1})),
    "split": asked(split="train"),
    "challenge": asked(challenge=True),
    "checker": asked(checker="official"),
    "cpu_s": asked(cpu_s=0.6),
    "cpu_factor": asked(cpu_factor=21.0),
    "memory_bytes": asked(memory_bytes=1 << 29),
    "packages": asked(packages="host"),
    "version of a package": asked(versions={"numpy": "2.0"}),
    "python": asked(python="3.12.0"),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_whatever_can_move_a_score_changes_the_hash(name: str) -> None:
    assert CHANGES[name]["hash"] != asked()["hash"]


def test_no_two_changes_have_one_hash() -> None:
    assert len({change["hash"] for change in CHANGES.values()}) == len(CHANGES)


def test_the_version_of_the_grader_is_part_of_the_protocol() -> None:
    assert asked()["grader_version"] == config_module.grade.VERSION


@pytest.mark.parametrize(
    "choices",
    [
        *({"ks": (1, 10)}, {"workers": 7}, {"engine": "serial"}, {"sandbox": "local"}, {"model": "samples:x"}),
        {"data": (("pair", "elsewhere.jsonl"),)},
    ],
    ids=str,
)
def test_what_cannot_move_a_verdict_leaves_the_hash(choices: dict[str, Any]) -> None:
    assert asked(**choices)["hash"] == asked()["hash"]


def test_a_patch_release_of_python_leaves_the_hash() -> None:
    assert asked(python="3.11.99")["hash"] == asked(python="3.11.7")["hash"]


def test_fewer_problems_are_another_measurement() -> None:
    task = Pair()
    fewer = protocol(RunConfig(preset="plain"), task, task.load()[:1], "3.11.7", {})
    assert (fewer["num_problems"], fewer["hash"] == asked()["hash"]) == (1, False)


def test_the_hash_covers_every_other_field() -> None:
    body = asked()
    assert set(body) == {
        *("task", "task_version", "data", "problems", "num_problems", "excluded", "choices", "preset"),
        *("grader_version", "limits", "packages", "python", "hash"),
    }


def test_what_may_change_on_resume_are_choices() -> None:
    assert {*WHAT_MAY_CHANGE} < {field.name for field in fields(RunConfig)}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"task": "mbpp", "split": "exam"}, "unknown split 'exam'"),
        ({"task": "mini", "split": "train"}, "mini has no choice of split; those that have: mbpp, "),
        ({"task": "apps-interview", "checker": "lenient"}, "unknown checker 'lenient'; accepted: strict, official"),
    ],
)
def test_a_choice_that_the_task_does_not_take_is_an_error_of_the_users(choices: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        RunConfig(**choices).load_task()


@given(st.floats(0, 60), st.floats(0, 60))
def test_a_task_can_allow_every_program_more(reference_s: float, least_s: float) -> None:
    chosen = RunConfig()
    assert chosen.limits_for(reference_s, least_s).cpu_s == pytest.approx(
        max(chosen.limits_for(reference_s).cpu_s, least_s), abs=1e-3
    )


def test_a_preset_is_found_by_name() -> None:
    assert find_preset(Pair(), "plain").stops == ("\n#",)


def test_an_unknown_preset_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(UsageError, match="pair has no prompt preset 'fancy'; accepted: plain"):
        find_preset(Pair(), "fancy")


# ---------------------------------------------------------------------------------------------------------------------
# Differences
# ---------------------------------------------------------------------------------------------------------------------


@given(plain)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert differences(value, value) == []


@given(records, records)
def test_two_records_differ_in_nothing_only_where_they_are_equal_up_to_nulls(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert (differences(before, after) == []) == (without_nulls(before) == without_nulls(after))


def without_nulls(value: Any) -> Any:
    """A missing field counts as null, and so does a record of nothing but nulls beside another record."""
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}


@given(records, records)
def test_there_are_as_many_differences_one_way_as_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert len(differences(before, after)) == len(differences(after, before))


@given(configs, st.sampled_from(["cpu_s", "cpu_factor"]), positive)
def test_a_changed_choice_is_one_line_that_says_before_and_now(chosen: RunConfig, name: str, value: float) -> None:
    found = differences(chosen.to_json(), replace(chosen, **{name: value}).to_json())
    was = getattr(chosen, name)
    assert found == ([] if was == value else [f"{name}: {was!r} before, {value!r} now"])


def test_a_field_inside_a_field_is_named_by_its_path() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "top") == ["top.a.c: 2 before, 3 now"]


def test_a_field_that_is_new_or_gone_is_a_difference() -> None:
    assert differences({"a": 1}, {"b": 2}) == ["a: 1 before, None now", "b: None before, 2 now"]
