"""Run directories beside published figures: what is read from them, what forbids a comparison, and what comes out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness import published_command
from harness.config import RunConfig, UsageError, protocol
from harness.published import (
    Check,
    Decoding,
    Entry,
    Field,
    Measurement,
    State,
    Verdict,
    check_figure,
    find,
    load_entries,
    read_measurements,
)
from harness.published.measurement import Declared
from harness.records import Grade, Sample, encode_row
from harness.records import Verdict as Judgement
from harness.stats.published import Equality
from tasks.humaneval import HumanEval

TASK = HumanEval()
PROBLEMS = TASK.load()
ENTRIES = load_entries()

BETA = stats.beta(0.228, 0.803)
"""Difficulties under which 100 samples have the pass@1 and pass@10 of CodeT's: 22.1 and 50.4."""


def like_codet(n: int = 20) -> list[int]:
    """Passes out of n samples of each problem."""
    return [round(n * p) for p in BETA.ppf((np.arange(164) + 0.5) / 164)]


WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a run directory as a run leaves it behind: `passes` of n samples of each of the first problems."""

    def write(
        passes: Sequence[int],
        n: int,
        *,
        model: str = "samples:their.jsonl",
        preset: str = "codex",
        alike: bool = False,
        prompt: str | None = None,
        without: int = 0,
        base_passes: Sequence[int] | None = None,
        config: dict[str, Any] | None = None,
        **facts: Any,
    ) -> Path:
        chosen = RunConfig(model=model, preset=preset)
        problems = PROBLEMS[: len(passes)]
        asked = {**protocol(chosen, TASK, problems, "3.11.7", {}), **facts}
        run = {"created": "2026-01-01T00:00:00Z", "config": {**chosen.to_json(), **(config or {})}, "protocol": asked}
        (tmp_path / "run.json").write_text(json.dumps(run))
        samples, grades = [], []
        for place, (problem, passed) in enumerate(zip(problems, passes, strict=True)):
            for index in range(n):
                text = "    return 0\n" if alike else f"    return {index}\n"
                samples.append(Sample(task_id=problem.task_id, index=index, completion=text, prompt=prompt))
                base = None if base_passes is None else judgement(index < base_passes[place])
                grades.append(grade(problem.task_id, index, judgement(index < passed), base))
        write_rows(tmp_path / "samples-00000-of-00001.jsonl", samples)
        write_rows(tmp_path / "verdicts-00000-of-00001.jsonl", grades[: len(grades) - without])
        return tmp_path

    return write


def judgement(passed: bool) -> Judgement:
    return Judgement.PASSED if passed else Judgement.WRONG_ANSWER


def grade(task_id: str, index: int, verdict: Judgement, base: Judgement | None) -> Grade:
    return Grade(task_id=task_id, index=index, verdict=verdict, mode="split", program="0" * 16, base=base)


def write_rows(path: Path, records: Sequence[Sample | Grade]) -> None:
    path.write_bytes(b"".join(encode_row(record.to_row()) for record in records))


def figure(id: str, **changes: Any) -> Entry:
    [entry] = find(ENTRIES, id)
    return replace(entry, **changes)


def checked(run: Path, entry: Entry, **declared: float) -> Check:
    measured = read_measurements(run, Declared(**declared))
    return check_figure(entry, next((one for one in measured if one.task == entry.task), measured[0]))


def only(run: Path, **declared: float) -> Measurement:
    [measured] = read_measurements(run, Declared(**declared))
    return measured


def state(check: Check, name: str) -> State:
    [field] = [field for field in check.fields if field.name == name]
    return field.state


def reason(check: Check) -> Field:
    """The one field that forbids the comparison."""
    assert check.verdict is Verdict.NOT_COMPARABLE
    [field] = check.different
    return field


AT_1, AT_10, AT_100 = "codet-greedy/CodeGen-Mono-16B", *(f"codet/CodeGen-Mono-16B/humaneval@{k}" for k in (10, 100))


# ---------------------------------------------------------------------------------------------------------------------
# Consistent, inconsistent, not comparable
# ---------------------------------------------------------------------------------------------------------------------


def test_samples_like_codets_are_consistent_for_k_10_and_100_and_not_comparable_with_its_greedy_pass_at_1(
    write_run: WriteRun,
) -> None:
    run = write_run(like_codet(100), 100)
    assert [checked(run, figure(id)).verdict for id in (AT_10, AT_100)] == [Verdict.CONSISTENT, Verdict.CONSISTENT]
    field = reason(checked(run, figure(AT_1)))
    assert field.name == "decoding"
    assert field.published == "greedy"
    assert field.ours.startswith("sampled")


def test_a_worse_model_is_inconsistent_for_k_10_and_by_how_much_is_said(write_run: WriteRun) -> None:
    run = write_run([round(0.7 * passes) for passes in like_codet(100)], 100)
    check = checked(run, figure(AT_10))
    assert check.verdict is Verdict.INCONSISTENT
    assert check.result is not None
    assert check.result.p_value < 1e-4
    assert check.result.equality is Equality.NOT_SHOWN
    assert check.result.needed_n is None


def test_consistent_is_not_yet_reproduced(write_run: WriteRun) -> None:
    check = checked(write_run(like_codet(100), 100), figure(AT_100))
    assert check.result is not None
    assert (check.result.method, check.result.equality) == ("eb_t", Equality.NOT_SHOWN)


@pytest.mark.parametrize(
    ("passes", "facts", "entry", "name"),
    [
        (like_codet(), {"task": "humaneval+"}, figure(AT_10), "problem set"),
        (like_codet(), {"choices": {"split": "train"}}, figure(AT_10), "problem set"),
        (like_codet(), {"choices": {"split": "test", "challenge": True}}, figure(AT_10), "problem set"),
        (like_codet()[:20], {}, figure(AT_10), "problems"),
        (like_codet(), {}, figure(AT_10, preset="bigcode-strip"), "preset"),
        (like_codet(), {"without": 3}, figure(AT_10), "verdicts"),
        (like_codet(), {"model": "reference"}, figure(AT_10), "model"),
        (like_codet(), {}, figure(AT_10, k=1000, num_samples=1000), "samples of each problem"),
        (like_codet(), {"choices": {"checker": "strict"}}, figure(AT_10, checker="official"), "checker"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_measured_otherwise_is_named_and_not_tested(
    write_run: WriteRun, passes: list[int], facts: dict[str, Any], entry: Entry, name: str
) -> None:
    assert reason(checked(write_run(passes, 20, **facts), entry)).name == name


def test_control_the_same_run_and_figure_without_the_difference_are_tested(write_run: WriteRun) -> None:
    run = write_run(like_codet(), 20, choices={"split": "test", "challenge": False, "checker": "official"})
    check = checked(run, figure(AT_10, preset="codex", checker="official"))
    assert check.verdict is Verdict.CONSISTENT
    assert check.different == []


def test_a_speed_is_no_score_of_a_run(write_run: WriteRun) -> None:
    check = checked(write_run(like_codet(), 20), figure("gloeckle-s2/heads-4/code: speedup"))
    assert "metric" in [field.name for field in check.different]


def test_another_number_of_samples_is_counted_with_and_forbids_nothing(write_run: WriteRun) -> None:
    run = write_run(like_codet(), 20)
    for published, expected in ((20, State.SAME), (200, State.ALLOWED_FOR), (None, State.ALLOWED_FOR)):
        check = checked(run, figure(AT_10, num_samples=published))
        assert state(check, "samples of each problem") is expected
        assert check.verdict is Verdict.CONSISTENT


def test_a_figure_of_evalplus_base_cases_meets_the_verdicts_by_those(write_run: WriteRun) -> None:
    run = write_run([0] * 164, 1, task="humaneval+", base_passes=[1] * 54 + [0] * 110, preset="evalplus")
    plus, base = read_measurements(run)
    assert (plus.task, int(plus.counts.c.sum())) == ("humaneval+", 0)
    assert (base.task, int(base.counts.c.sum())) == ("humaneval+ (base)", 54)
    assert checked(run, figure("evalplus/CodeGen-16B/humaneval+ (base)@1")).verdict is Verdict.CONSISTENT
    assert checked(run, figure("evalplus/CodeGen-16B/humaneval+@1")).verdict is Verdict.INCONSISTENT


# ---------------------------------------------------------------------------------------------------------------------
# What is recorded and what is not
# ---------------------------------------------------------------------------------------------------------------------


def test_samples_from_elsewhere_have_no_known_temperature_whatever_the_run_was_configured_with(
    write_run: WriteRun,
) -> None:
    run = write_run(like_codet(), 20, config={"temperature": 0.0, "top_p": 1.0})
    check = checked(run, figure(AT_10))
    assert state(check, "temperature") is State.NOT_RECORDED
    assert state(check, "top-p") is State.NOT_RECORDED
    assert check.verdict is Verdict.CONSISTENT


def test_a_model_that_was_asked_here_has_the_temperature_it_was_asked_with(write_run: WriteRun) -> None:
    run = write_run(like_codet(), 20, model="mtp:somewhere", config={"temperature": 0.8, "top_p": 0.95})
    check = checked(run, figure(AT_10))
    assert (state(check, "temperature"), state(check, "top-p")) == (State.SAME, State.SAME)
    assert not only(run).conditions.decoding_is_inferred


def test_a_recorded_temperature_is_found_beside_the_protocol_too(write_run: WriteRun) -> None:
    run = write_run(like_codet(), 20, model="mtp:somewhere", sampling={"temperature": 0.2})
    assert reason(checked(run, figure(AT_10))).name == "temperature"


def test_a_declared_temperature_counts_as_known(write_run: WriteRun) -> None:
    run = write_run(like_codet(), 20)
    assert state(checked(run, figure(AT_10), temperature=0.8, top_p=0.95), "temperature") is State.SAME
    assert reason(checked(run, figure(AT_10), temperature=0.2)).name == "temperature"
    assert reason(checked(run, figure(AT_10), temperature=0.0)).name == "decoding"


def test_what_is_declared_must_not_contradict_what_is_recorded(write_run: WriteRun) -> None:
    run = write_run(like_codet(), 20, model="mtp:somewhere", config={"temperature": 0.8})
    assert only(run, temperature=0.8).conditions.temperature == 0.8
    with pytest.raises(UsageError, match=r"records temperature 0\.8, not 0\.2"):
        read_measurements(run, Declared(temperature=0.2))


def test_samples_that_are_all_alike_may_be_greedy_and_that_is_not_recorded(write_run: WriteRun) -> None:
    run = write_run([1] * 164, 1, alike=True)
    assert only(run).conditions.decoding is None
    assert state(checked(run, figure(AT_1, value=figure(AT_1).value)), "decoding") is State.NOT_RECORDED


def test_samples_of_one_problem_that_differ_were_sampled(write_run: WriteRun) -> None:
    conditions = only(write_run(like_codet(), 20)).conditions
    assert (conditions.decoding, conditions.decoding_is_inferred) == (Decoding.SAMPLED, True)


def test_greedy_against_greedy_is_tested_with_the_noise_of_one_answer(write_run: WriteRun) -> None:
    check = checked(write_run([1] * 50 + [0] * 114, 1), figure(AT_1), temperature=0.0)
    assert check.result is not None
    assert (check.verdict, check.result.method) == (Verdict.CONSISTENT, "bound_greedy")


def test_samples_that_bring_their_own_prompts_have_no_known_preset(write_run: WriteRun) -> None:
    assert only(write_run([1] * 4, 1, prompt="def f():\n")).conditions.preset is None
    assert only(write_run([1] * 4, 1, prompt="def f():\n", model="mtp:somewhere")).conditions.preset == "codex"


def test_a_directory_without_a_run_or_without_samples_is_refused(write_run: WriteRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        read_measurements(tmp_path)
    run = write_run([1], 1)
    (run / "samples-00000-of-00001.jsonl").write_text("")
    with pytest.raises(UsageError, match="no samples yet"):
        read_measurements(run)


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------


def test_the_command_says_what_is_shown_what_is_not_and_what_is_not_known(
    write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(like_codet(100), 100)
    code = published_command.check(run, ["codet/CodeGen-Mono-16B", "codet-greedy"])
    text = capsys.readouterr().out
    assert code == published_command.NOT_COMPARABLE == 4
    assert text.count("\n  consistent\n") == 2
    assert text.count("\n  not comparable\n") == 1
    assert "decoding: greedy published, sampled (not recorded, but samples of a problem differ) here" in text
    assert "temperature: 0.8 published, not recorded here" in text
    assert "no number of samples of ours can show more" in text


def test_the_command_ends_with_0_for_consistent_and_1_for_inconsistent(write_run: WriteRun) -> None:
    assert published_command.check(write_run(like_codet(100), 100), [AT_10]) == 0
    halved = write_run([passes // 2 for passes in like_codet(100)], 100)
    assert published_command.check(halved, [AT_10, AT_1]) == published_command.INCONSISTENT == 1


def test_the_command_says_how_many_samples_would_settle_it(
    write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(like_codet(), 20)
    assert published_command.check(run, [AT_10], margin_points=3.0) == 0
    assert "samples of each problem would settle it if the models are equal" in capsys.readouterr().out


def test_the_command_prints_json_for_programs(write_run: WriteRun, capsys: pytest.CaptureFixture[str]) -> None:
    published_command.check(write_run(like_codet(100), 100), [AT_10, AT_1], as_json=True)
    tested, refused = json.loads(capsys.readouterr().out)
    assert (tested["verdict"], tested["equality"]) == ("consistent", "reproduced")
    assert tested["result"]["ours"] == pytest.approx(0.5038, abs=0.01)
    assert (refused["verdict"], refused["different"], refused["result"]) == ("not comparable", ["decoding"], None)


def test_an_unknown_figure_is_answered_with_near_ones(write_run: WriteRun) -> None:
    with pytest.raises(UsageError, match="codet/CodeGen-Mono-16B"):
        published_command.check(write_run([1], 1), ["codet/CodeGen-16B"])


@pytest.mark.parametrize("margin", [0.0, -1.0, 100.0])
def test_a_margin_that_is_none_is_refused(write_run: WriteRun, margin: float) -> None:
    with pytest.raises(UsageError, match="--margin"):
        published_command.check(write_run([1], 1), [AT_10], margin_points=margin)


# ---------------------------------------------------------------------------------------------------------------------
# The published samples themselves
# ---------------------------------------------------------------------------------------------------------------------

REPOSITORY = Path(__file__).parents[2]
CODET = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "codet"
CODET_SAMPLES = CODET / "HumanEval_codegen16B_temp0.8_topp0.95_num100_max300_code_solution.jsonl.gz"
CODET_PROBLEMS = CODET / "HumanEval_for_code_generation.jsonl.gz"


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.skipif(
    not CODET_SAMPLES.is_file(), reason=f"{CODET} holds no CodeT samples; HARNESS_REALDATA names another place"
)
def test_codets_own_samples_reproduce_its_pass_at_10_and_cannot_be_compared_with_its_greedy_pass_at_1(
    command: Any,
) -> None:
    samples = command.folder / "codet.jsonl.gz"
    done = command("import", CODET_SAMPLES, "--problems", CODET_PROBLEMS, "--out", samples)
    assert done.returncode == 0, done.stderr
    done = command("evaluate", samples, "--out", "run")
    assert done.returncode == 0, done.stderr
    at_10, at_100, at_1 = (checked(command.folder / "run", figure(id)) for id in (AT_10, AT_100, AT_1))
    assert (at_10.verdict, at_100.verdict, at_1.verdict) == ("consistent", "consistent", "not comparable")
    assert at_10.result is not None
    assert at_100.result is not None
    assert [round(100 * check.result.ours, 2) for check in (at_10, at_100) if check.result] == [50.38, 73.78]
    assert (at_10.result.equality, at_100.result.equality) == (Equality.REPRODUCED, Equality.NOT_SHOWN)
