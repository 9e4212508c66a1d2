"""The comparison with EvalPlus, as far as it can be seen without EvalPlus and its data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.agreement import Agreement, as_json, as_text, compare
from tasks.data import DatasetUnavailable

FOUND = Agreement(
    samples=500,
    workers=2,
    passed=180,
    differences=[
        {
            "task_id": "Mbpp/2",
            "ours": {"base": True, "plus": False, "detail": "wrong_answer: call 7 of 9: f(1) gives 2, not 3"},
            "evalplus": {"base": "pass", "plus": "timeout"},
            "program": "def f(x): ...",
        }
    ],
    ours_s=[2.5, 2.5, 2.0],
    evalplus_s=[20.0, 15.0, 20.0],
    ours_references_s=9.0,
    evalplus_references_s=8.0,
    load=0.5,
)


def test_the_ratio_is_how_many_times_as_many_samples_per_second_in_the_middle_turn() -> None:
    assert FOUND.ratios == [6.0, 8.0, 10.0]
    assert FOUND.ratio == (500 / 2.5) / (500 / 20.0)


def test_the_figures_for_people_show_both_rates_and_every_difference() -> None:
    text = as_text(FOUND)
    for piece in ("200.0 samples/s", "25.0 samples/s", "8.0 (6.0 to 10.0)", "Mbpp/2", "call 7 of 9", "plus timeout"):
        assert piece in text


def test_the_figures_for_machines_hold_everything() -> None:
    row = json.loads(as_json(FOUND))
    assert row["ratio"] == 8.0
    assert row["differences"] == FOUND.differences


def test_data_that_is_missing_is_said_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match="nowhere"):
        compare({"humaneval+": str(tmp_path / "nowhere.jsonl")})


def test_an_interpreter_without_evalplus_says_what_it_lacks(tmp_path: Path, tools: Any) -> None:
    script = tools.repository / "harness" / "bench_evalplus.py"
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys, runpy; sys.path.insert(0, {str(tools.repository)!r}); "
            f"sys.argv = ['x', {str(tmp_path)!r}, '1']; runpy.run_path({str(script)!r}, run_name='__main__')",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "No module named 'evalplus'" in done.stderr
