"""The statistics on real verdicts: twenty of CodeT's samples of each problem, and the law of difficulty behind them."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.stats import Counts, benchmark_interval, compare, pass_at_k, problems_interval
from harness.stats.comparison import problems_difference
from harness.stats.difficulty import Difficulty, fit_difficulty
from harness.stats.intervals import Noise
from harness.stats.paired_tests import signflip_pvalue
from harness.stats.result_files import read_counts

REPOSITORY = Path(__file__).parents[2]
CODET = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "codet"
SAMPLES = CODET / "HumanEval_codegen16B_temp0.8_topp0.95_num100_max300_code_solution.jsonl.gz"
PROBLEMS = CODET / "HumanEval_for_code_generation.jsonl.gz"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.realdata,
    pytest.mark.skipif(
        not (SAMPLES.is_file() and PROBLEMS.is_file()),
        reason=f"{CODET} does not hold CodeT's samples and problems; HARNESS_REALDATA names another place",
    ),
]


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory, tools: Any) -> tuple[Path, Path]:
    """Two runs of ten samples of each problem, drawn by one model in one way, and divided by lot."""
    folder = tmp_path_factory.mktemp("halves")
    _harness(tools, folder, "import", SAMPLES, "--problems", PROBLEMS, "--out", folder / "all.jsonl.gz")
    with gzip.open(folder / "all.jsonl.gz", "rt") as file:
        rows = [row for row in map(json.loads, file) if row["index"] < 20]
    rng = np.random.default_rng(97)
    place = {task_id: rng.permutation(20) for task_id in dict.fromkeys(row["task_id"] for row in rows)}
    placed = [{**row, "index": int(place[row["task_id"]][row["index"]])} for row in rows]
    runs = (folder / "first", folder / "second")
    for half, run in enumerate(runs):
        kept = [{**row, "index": row["index"] % 10} for row in placed if row["index"] // 10 == half]
        path = tools.write_rows(folder / f"{run.name}.jsonl", kept)
        _harness(tools, folder, "evaluate", path, "--out", run)
    return runs


def _harness(tools: Any, folder: Path, *words: object) -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "harness", *map(str, words)],
        cwd=folder,
        env=tools.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def counts(halves: tuple[Path, Path]) -> Counts:
    first, second = map(read_counts, halves)
    assert first.task_id == second.task_id
    return Counts.of(first.n + second.n, first.c + second.c, task_id=first.task_id)


@pytest.fixture(scope="module")
def law(counts: Counts) -> Difficulty:
    return fit_difficulty(counts.n, counts.c)


def test_two_runs_of_real_samples_are_compared_as_the_core_does(halves: tuple[Path, Path], tools: Any) -> None:
    found = json.loads(_harness(tools, halves[0].parent, "compare", *halves, "--json"))["comparisons"]
    assert [row["name"] for row in found] == ["humaneval pass@1", "humaneval pass@10"]
    for row in found:
        expected = compare(read_counts(halves[0]), read_counts(halves[1]), row["k"])
        assert (row["num_problems"], row["p_signflip"]) == (164, expected.p_signflip)
        assert (row["problems"]["low"], row["problems"]["high"]) == (expected.problems.low, expected.problems.high)


@pytest.mark.parametrize("k", [1, 10])
def test_halves_of_one_models_real_samples_differ_as_often_as_the_tests_say(counts: Counts, k: int) -> None:
    rng, rejected, reps = np.random.default_rng(98), np.zeros(2), 2000
    for _ in range(reps):
        passes = rng.hypergeometric(counts.c, counts.n - counts.c, 10)
        values = pass_at_k(10, counts.c - passes, k) - pass_at_k(10, passes, k)
        interval = problems_difference(values)
        rejected += (not interval.low <= 0 <= interval.high, signflip_pvalue(values) <= 0.05)
    by_t, by_signs = rejected / reps
    assert 0.03 <= by_t <= 0.065
    assert by_signs <= 0.065  # exact, and below the level where scores are few


def test_pilot_says_that_completions_are_all_that_divides_the_halves(halves: tuple[Path, Path], tools: Any) -> None:
    (found,) = json.loads(_harness(tools, halves[0].parent, "plan", *halves, "--effect", "0.02", "-k", "1", "--json"))
    assert found["paired"] is True
    assert found["components"]["share"] > 0.6  # of unlike models it is a fifth, with ten completions


@pytest.mark.parametrize(("n", "k"), [(1, 1), (20, 1), (20, 10), (20, 20), (200, 10), (200, 100)])
def test_problems_interval_covers_under_the_law_of_real_difficulties(law: Difficulty, n: int, k: int) -> None:
    rng, hits = np.random.default_rng(95), 0
    truth = float(law.weights @ (1 - (1 - law.rates) ** k))
    for _ in range(4000):
        rates = rng.choice(law.rates, 164, p=law.weights)
        interval = problems_interval(pass_at_k(n, rng.binomial(n, rates), k))
        hits += interval.low <= truth <= interval.high
    assert 0.935 <= hits / 4000 <= 0.965


@pytest.mark.parametrize(("n", "k"), [(20, 1), (20, 10), (20, 20), (200, 10), (200, 100)])
def test_benchmark_interval_covers_under_the_law_of_real_difficulties(law: Difficulty, n: int, k: int) -> None:
    rng, hits = np.random.default_rng(96), 0
    for _ in range(2000):
        rates = rng.choice(law.rates, 164, p=law.weights)
        interval = benchmark_interval(n, rng.binomial(n, rates), k, noise=Noise.EB)
        assert interval is not None
        hits += interval.low <= (1 - (1 - rates) ** k).mean() <= interval.high
    assert (0.93 if n >= 2 * k else 0.925) <= hits / 2000 <= 0.97
