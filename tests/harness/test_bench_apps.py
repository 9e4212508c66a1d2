"""The bench of APPS' size, at a tiny size: problems, their layout, and runs in which everything passes. No figures."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from harness.bench_apps import KINDS, TASK, Figures, Turn, _row, _sizes, _slots, as_json, as_text, peak_bytes, rows
from harness.records import Grade, Verdict, read_grades

PROBLEMS = len(KINDS)
"""One of each kind."""


def turn(tests: int, grade_s: float) -> Turn:
    return Turn(
        tests=tests,
        data_bytes=tests * 65_000_000,
        load_s=20.0,
        load_again_s=0.5,
        grade_s=grade_s,
        programs_cpu_s=grade_s / 4,
        load_bytes=150_000_000,
        driver_bytes=200_000_000,
        slot_bytes=300_000_000,
    )


FIGURES = Figures(problems=100, workers=2, turns=[turn(5, 6.0), turn(10, 11.0), turn(20, 21.0)], load=0.5)


@pytest.fixture
def judged(command: Any) -> Callable[..., dict[str, Grade]]:
    """Runs the references of a data file of these rows; the grades by problem."""

    def judged(*content: dict[str, Any]) -> dict[str, Grade]:
        path = command.folder / "apps.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
        done = command("run", "--task", TASK, "--data", f"apps={path}", "--out", "run", "--workers", "1")
        assert done.returncode == 0, done.stderr
        return {grade.task_id: grade for grade in read_grades(command.folder / "run").values()}

    return judged


def test_a_tiny_bench_runs_every_reference_and_every_one_passes(command: Any) -> None:
    # That they pass is what it looks at itself: else it ends with an error.
    scratch = command.folder / "scratch"
    scratch.mkdir()
    options = ("--problems", PROBLEMS, "--tests", "2", "--workers", "1", "--json")
    done = command("bench", "apps", *options, TMPDIR=str(scratch))
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout)
    assert figures["problems"] == PROBLEMS
    assert [turn["tests"] for turn in figures["turns"]] == [1, 2]
    assert all(turn[name] > 0 for turn in figures["turns"] for name in turn)
    assert len(figures["further_test_s"]) == 1
    assert list(scratch.glob("harness-bench-*")) == []  # it leaves no gigabyte behind


@pytest.mark.parametrize("flag", ["--problems", "--tests"])
def test_a_number_below_one_is_refused(command: Any, flag: str) -> None:
    done = command("bench", "apps", flag, "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{flag} takes 1 or more, not 0" in done.stderr


def test_a_reference_passes_a_test_whose_output_is_megabytes(judged: Callable[..., dict[str, Grade]]) -> None:
    row = _row(0, KINDS[1], [40, 3 << 20], list(range(1, 1_000_000, 10)))
    assert len(json.loads(row["input_output"])["outputs"][1]) > 1 << 20
    (grade,) = judged(row).values()
    assert (grade.verdict, grade.tests) == (Verdict.PASSED, "pp")


def test_a_wrong_expected_output_fails_its_test_alone(judged: Callable[..., dict[str, Grade]]) -> None:
    content = []
    for number, kind in enumerate(KINDS):
        row = _row(number, kind, [40, 400, 40], list(range(1, 500)))
        cases = json.loads(row["input_output"])
        cases["outputs"][1] *= 2  # twice as long, or twice as much
        content.append({**row, "input_output": json.dumps(cases)})
    grades = judged(*content)
    assert len(grades) == PROBLEMS
    assert {(grade.verdict, grade.tests[0], grade.tests[2]) for grade in grades.values()} == {
        (Verdict.WRONG_ANSWER, "p", "p")
    }


def test_fewer_tests_are_the_first_of_more() -> None:
    few, many = ([json.loads(row["input_output"]) for row in rows(PROBLEMS, tests=tests, cycle=2)] for tests in (2, 6))
    for some, all_ in zip(few, many, strict=True):
        assert (some["inputs"], some["outputs"]) == (all_["inputs"][:2], all_["outputs"][:2])


def test_a_row_has_the_fields_of_apps_and_its_bulky_ones_are_texts() -> None:
    for row in rows(PROBLEMS, tests=1, cycle=1):
        assert set(row) == {
            "problem_id",
            "question",
            "solutions",
            "input_output",
            "difficulty",
            "url",
            "starter_code",
        }
        assert isinstance(row["input_output"], str)
        assert isinstance(json.loads(row["solutions"])[0], str)


def test_sizes_are_as_unequal_as_those_of_apps_and_come_to_the_same_sum_in_any_order() -> None:
    sizes = sorted(_sizes(25_000, random.Random(1)))
    assert sizes == sorted(_sizes(25_000, random.Random(2)))
    assert sizes[12_500] < 200
    assert 3 << 20 < sizes[-1] <= 4 << 20
    # 20 tests of each of 5,000 problems.
    assert 1.2e9 < 4 * sum(sizes) < 1.5e9


def test_seconds_per_test_are_those_of_all_problems() -> None:
    assert [FIGURES.per_test_s(turn) for turn in FIGURES.turns] == pytest.approx([0.012, 0.011, 0.0105])


def test_a_linear_cost_shows_as_equal_costs_of_a_further_test() -> None:
    assert FIGURES.further == pytest.approx([0.01, 0.01])
    assert FIGURES.growth == pytest.approx(0.0105 / 0.012)


def test_a_quadratic_cost_shows_as_growth() -> None:
    figures = Figures(problems=100, workers=2, turns=[turn(tests, tests**2) for tests in (5, 10, 20)], load=0.0)
    assert figures.growth == pytest.approx(4.0)
    assert all(less < more for less, more in pairwise(figures.further))


def test_one_turn_has_no_further_test() -> None:
    figures = Figures(problems=100, workers=2, turns=[turn(1, 6.0)], load=0.5)
    assert (figures.growth, figures.further) == (1.0, [])
    assert "1.00 times" in as_text(figures)


def test_the_figures_for_people_show_memory_seconds_and_growth() -> None:
    lines = {" ".join(line.split()) for line in as_text(FIGURES).splitlines()}
    assert "data file 325.0 650.0 1300.0 MB" in lines
    assert "driver's peak memory 200.0 200.0 200.0 MB" in lines
    assert "references, verdicts and report 6.0 11.0 21.0 s" in lines
    assert "seconds per test, most tests beside fewest 0.88 times" in lines
    assert "a further test costs, from one to the next 10.0 10.0 ms" in lines


def test_the_figures_for_machines_hold_every_turn() -> None:
    row = json.loads(json.dumps(as_json(FIGURES)))
    assert [one["grade_s"] for one in row["turns"]] == [6.0, 11.0, 21.0]
    assert row["further_test_s"] == pytest.approx([0.01, 0.01])


def test_the_peak_memory_of_a_process_is_at_least_what_it_has_held() -> None:
    held = b"x" * (64 << 20)
    assert peak_bytes() > len(held)


def test_a_process_that_has_ended_has_no_peak_memory_and_no_slots() -> None:
    with subprocess.Popen(["true"]) as ended:
        pid = ended.pid
    assert (peak_bytes(pid), _slots(pid)) == (0, [])
