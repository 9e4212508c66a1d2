"""results.json: what it says of whole runs, broken runs and impossible questions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.records import Verdict
from harness.stats import Counts, Noise, benchmark_interval, problems_interval, score


def test_score_carries_the_estimate_both_intervals_and_what_they_rest_on(complete: dict[str, Any]) -> None:
    problems, benchmark = problems_interval([1.0, 0.25, 0.0]), benchmark_interval(4, [4, 1, 0], 1, noise=Noise.EB)
    assert benchmark is not None
    full = score(Counts.of([4, 4, 4], [4, 1, 0]), 1)
    assert complete["tasks"]["mini"]["pass_at_k"]["1"] == {
        "estimate": pytest.approx(1.25 / 3),
        "ci_problems": [problems.low, problems.high],
        "ci_benchmark": [benchmark.low, benchmark.high],
        "level": 0.95,
        "method": "problems: wilson_neff_t_guard3; benchmark: wilson_eb_t_guard3",
        "n_min": 4,
        "n_max": 4,
        "problems": 3,
        "se_problems": full.se_problems,
        "se_benchmark": full.se_benchmark,
        "benchmark_bound": full.benchmark_bound,
        "completion_share": full.completion_share,
        "df_eff": full.df_eff,
        "unsolved": 1,
        "always_solved": 1,
        "notes": list(full.notes),
    }


def test_benchmark_interval_is_there_down_to_n_equal_to_k(complete: dict[str, Any]) -> None:
    interval = benchmark_interval(4, [4, 1, 0], 4, noise=Noise.EB)
    assert interval is not None
    assert complete["tasks"]["mini"]["pass_at_k"]["4"]["ci_benchmark"] == [interval.low, interval.high]


def test_benchmark_interval_of_single_samples_is_null_and_says_why_with_a_bound(results_of: Any) -> None:
    score = results_of({"M/0": "p", "M/1": "w", "M/2": "w"}, [1])["tasks"]["mini"]["pass_at_k"]["1"]
    assert (score["ci_benchmark"], score["se_benchmark"], score["df_eff"]) == (None, None, None)
    assert score["method"].endswith("benchmark: not estimable (n=1)")
    assert score["benchmark_bound"] == pytest.approx(1.96 * score["se_problems"], rel=1e-3)


def test_all_eight_verdicts_are_named_and_add_up_with_missing_to_samples(incomplete: dict[str, Any]) -> None:
    task = incomplete["tasks"]["mini"]
    assert list(task["verdicts"]) == [verdict.value for verdict in Verdict]
    assert sum(task["verdicts"].values()) + task["missing"] == task["samples"] == 12
    assert task["modes"] == {"split": 11}


def test_run_with_every_verdict_is_complete(complete: dict[str, Any]) -> None:
    task = complete["tasks"]["mini"]
    assert (complete["complete"], task["complete"], task["unjudged"], task["missing"]) == (True, True, 0, 0)


def test_unjudged_and_missing_samples_leave_the_score_and_make_it_incomplete(incomplete: dict[str, Any]) -> None:
    task = incomplete["tasks"]["mini"]
    assert (incomplete["complete"], task["unjudged"], task["missing"]) == (False, 1, 1)
    score = task["pass_at_k"]["1"]
    assert score["estimate"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert (score["n_min"], score["n_max"]) == (2, 4)


def test_k_that_lost_its_samples_to_our_faults_is_shown_without_a_score(incomplete: dict[str, Any]) -> None:
    score = incomplete["tasks"]["mini"]["pass_at_k"]["4"]
    assert (score["estimate"], score["ci_problems"], score["ci_benchmark"]) == (None, None, None)
    assert score["method"] == "not estimable: pass@4 needs 4 judged samples, 'M/1' has 2 (too few in 1 of 3 problems)"


def test_one_unjudged_sample_of_a_greedy_run_still_gives_results(results_of: Any) -> None:
    results = results_of({"M/0": "p", "M/1": "u"}, [1])
    assert results["complete"] is False
    assert results["tasks"]["mini"]["pass_at_k"]["1"]["estimate"] is None


def test_k_above_the_samples_asked_for_names_the_problem_and_what_to_type(results_of: Any) -> None:
    with pytest.raises(ValueError, match=r"pass@3 needs .*'M/1' has 2; type `-k 2` or smaller, or .* `-n 3`"):
        results_of({"M/0": "ppp", "M/1": "pw"}, [1, 3])


@pytest.mark.parametrize(("ks", "message"), [([], "no k was asked for"), ([0], "k must be at least 1, got 0")])
def test_impossible_ks_are_refused(results_of: Any, ks: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        results_of({"M/0": "p"}, ks)


def test_ks_are_reported_once_and_in_order(results_of: Any) -> None:
    assert list(results_of({"M/0": "p" * 10}, [10, 1, 2, 1])["tasks"]["mini"]["pass_at_k"]) == ["1", "2", "10"]


def test_results_survive_json_unchanged(incomplete: dict[str, Any]) -> None:
    assert json.loads(json.dumps(incomplete, allow_nan=False)) == incomplete


# ---------------------------------------------------------------------------------------------------------------------
# Base cases and single tests
# ---------------------------------------------------------------------------------------------------------------------

PASSED, WRONG, UNJUDGED = Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.UNJUDGED


def test_base_cases_have_an_entry_of_their_own(results_of: Any, grade_of: Any) -> None:
    grades = [grade_of(WRONG, base=PASSED), grade_of(WRONG, base=WRONG, task_id="M/1")]
    tasks = results_of.of_grades(grades)["tasks"]
    estimates = {name: task["pass_at_k"]["1"]["estimate"] for name, task in tasks.items()}
    assert estimates == {"mini": 0.0, "mini (base)": 0.5}


def test_an_unjudged_sample_is_unjudged_by_its_base_cases_too(results_of: Any, grade_of: Any) -> None:
    tasks = results_of.of_grades([grade_of(PASSED, base=PASSED), grade_of(UNJUDGED, task_id="M/1")])["tasks"]
    assert [task["unjudged"] for task in tasks.values()] == [1, 1]


def test_without_base_cases_there_is_one_entry(complete: dict[str, Any]) -> None:
    assert list(complete["tasks"]) == ["mini"]


def by_tests(results: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = results["tasks"]["mini"]["tests"]
    return found


def test_both_checkers_have_their_scores(results_of: Any, grade_of: Any) -> None:
    tests = by_tests(results_of.of_grades([grade_of(WRONG, tests="po"), grade_of(WRONG, tests="sw", task_id="M/1")]))
    assert tests["strict_accuracy"] == {"strict": 0.0, "official": 0.5}
    assert tests["test_case_average"] == {"strict": 0.5, "official": 0.5}


def test_every_test_that_the_checkers_disagree_on_is_listed(results_of: Any, grade_of: Any) -> None:
    grades = [grade_of(WRONG, tests="pow-s"), grade_of(PASSED, tests="pp", task_id="M/1")]
    assert by_tests(results_of.of_grades(grades))["disagreements"] == [{"task_id": "M/0", "index": 0, "tests": [1, 4]}]


def test_an_average_over_tests_that_were_not_run_is_not_known(results_of: Any, grade_of: Any) -> None:
    tests = by_tests(results_of.of_grades([grade_of(WRONG, tests="pw--")]))
    assert tests["test_case_average"] == {"strict": None, "official": None}
    assert tests["strict_accuracy"] == {"strict": 0.0, "official": 0.0}


def test_a_task_with_a_check_that_counts_no_tests_has_no_scores_by_tests(results_of: Any, grade_of: Any) -> None:
    results = results_of.of_grades([grade_of(PASSED, tests="pp"), grade_of(PASSED, task_id="M/1")])
    assert "tests" not in results["tasks"]["mini"]


def test_an_unjudged_sample_does_not_take_the_scores_by_tests_away(results_of: Any, grade_of: Any) -> None:
    grades = [grade_of(PASSED, tests="pp"), grade_of(UNJUDGED, task_id="M/1")]
    assert by_tests(results_of.of_grades(grades))["strict_accuracy"] == {"strict": 1.0, "official": 1.0}
