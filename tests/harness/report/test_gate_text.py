"""What a reader of the gate sees: the answer first, every look, and what it rests on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from harness.config import UsageError
from harness.gate_preflight import preflight
from harness.gate_record import Confirming, GateRecord, GateSide, open_question, write_record
from harness.report.gate_junit import render_gate_junit
from harness.report.gate_text import render_gate, render_preflight
from harness.stats import Counts, Decision, GatePlan, GateResult, confirm, gate
from harness.stats.gate import LOOKS, invalid

M = 164
PLAN = GatePlan(looks=LOOKS, margin=0.03)


def counts(n: int, share: float) -> Counts:
    return Counts.of(np.full(M, n), np.where(np.arange(M) % 3 == 0, round(n * share), 0))


def side(name: str, n: int) -> GateSide:
    return GateSide(
        run=f"runs/{name}",
        model=f"mtp:{name}",
        model_digest="d" * 64,
        seed=0,
        n=n,
        protocol_hash="c0ffee",
        samples_digest="5a" * 32,
        unjudged=0,
        missing=0,
    )


def record(result: GateResult | None = None, plan: GatePlan = PLAN) -> GateRecord:
    return GateRecord(
        task="humaneval",
        question={"plan": {"margin": plan.margin}},
        plan=plan,
        baseline=side("pinned", 64),
        preflight=preflight(counts(64, 0.5), plan, 16, "looks at 2, 4, 8 and 16 samples"),
        candidate=side("night-7", 2),
        looks=() if result is None else (result,),
        result=result,
    )


PASSED = gate(counts(16, 0.5), counts(64, 0.5), PLAN)
WAITING = gate(counts(2, 0.5), counts(64, 1.0), PLAN)


def cells(text: str, first: str) -> list[str]:
    """The row of the table that begins with this cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return next(row for row in rows if row[0] == first)


def test_the_first_line_is_the_answer_and_its_reason() -> None:
    assert render_gate(record(PASSED)).splitlines()[0] == "PASS: the candidate is shown to lose less than 3 points."


def test_each_look_is_a_row_with_its_bounds_and_what_it_spent() -> None:
    row = cells(render_gate(record(PASSED)), "4 of 4")
    assert row[1:4] == ["16", "16.77 %", "+0.00"]
    assert row[4:] == [f"{100 * PASSED.lower:+.2f}", f"{100 * PASSED.upper:+.2f}", "0.0500", "PASS"]


def test_every_column_that_a_gate_owes_is_there() -> None:
    text = render_gate(record(PASSED))
    for said in (
        "- task: humaneval",
        "- score: pass@1, target problems",
        "- baseline: 16.77 % (runs/pinned; mtp:pinned; weights dddddddddddd; protocol c0ffee, samples 5a5a5a5a5a5a",
        "- candidate: 16.77 % (runs/night-7; ",
        "- margin: 3.00 points",
        "- look: 4 of 4, 0.0500 of alpha 0.05 spent",
        "- an unchanged checkpoint fails: in 0.25 % of all gates, by design",
        "- without a verdict: baseline: 0 unjudged, 0 missing; candidate: 0 unjudged, 0 missing",
        "- confirmation: not needed",
    ):
        assert said in text


def test_a_failure_that_waits_reads_as_one_though_a_program_sees_none() -> None:
    text = render_gate(record(WAITING))
    assert text.startswith("INCONCLUSIVE: ")
    assert cells(text, "1 of 4")[-1] == "FAIL, to be confirmed"
    assert f"- completions still needed: {4 * M}" in text


def test_fresh_samples_are_a_row_of_their_own_and_named() -> None:
    final = confirm(WAITING, counts(4, 0.5), counts(16, 1.0))
    again = Confirming(
        candidate=side("fresh", 4),
        baseline=side("fresh-base", 16),
        fresh_baseline=True,
        difference=final.difference,
        lower=final.lower,
        upper=final.upper,
    )
    text = render_gate(replace(record(WAITING), result=final, confirming=again))
    assert text.startswith("FAIL: ")
    assert cells(text, "fresh")[1] == "4"
    assert cells(text, "fresh")[-1] == "confirmed"
    assert "- confirmation: confirmed: (runs/fresh; " in text
    assert "against fresh samples of the baseline, n=16" in text


def test_an_invalid_gate_shows_no_numbers_that_there_are_not() -> None:
    nothing = invalid("1 of 8 completions of the candidate have no verdict", counts(2, 0.5), counts(8, 0.5), PLAN)
    text = render_gate(record(nothing))
    assert text.startswith("INVALID: 1 of 8 completions")
    assert "nan" not in text
    assert "- bounds" not in text


def test_what_to_expect_names_the_pinned_baseline_and_the_chances() -> None:
    lines = render_preflight(record()).splitlines()
    assert lines[0].startswith(
        "baseline, pinned: runs/pinned (mtp:pinned); protocol c0ffee, samples 5a5a5a5a5a5a, n=64"
    )
    chances = record().preflight
    assert chances is not None
    assert f"an unchanged checkpoint: PASS {100 * chances.chances.passed:.0f} %" in lines[3]
    assert "a FAIL needs fresh samples to say the same" in lines[3]


def test_the_record_on_disk_is_json_without_nan(tmp_path: Path) -> None:
    nothing = invalid("no verdicts", counts(2, 0.5), counts(8, 0.5), PLAN)
    assert math.isnan(nothing.lower)
    write_record(tmp_path, record(nothing))
    text = (tmp_path / "gate.json").read_text()
    assert '"lower": null' in text
    assert '"decision": "INVALID"' in text


@pytest.mark.parametrize(
    ("result", "attribute", "element"),
    [
        (PASSED, None, None),
        (replace(WAITING, decision=Decision.FAIL), "failures", "failure"),
        (WAITING, "skipped", "skipped"),
        (invalid("x\x00y", counts(2, 0.5), counts(8, 0.5), PLAN), "errors", "error"),
    ],
)
def test_junit_says_what_kind_of_ending_it_was(result: GateResult, attribute: str | None, element: str | None) -> None:
    suite = ElementTree.fromstring(render_gate_junit(record(result)))[0]
    seen = [name for name in ("failures", "errors", "skipped") if suite.get(name) == "1"]
    assert seen == ([attribute] if attribute else [])
    case = suite[0]
    assert [child.tag for child in case] == ["properties", *([element] if element else [])]
    assert case.find("properties/property[@name='decision']") is not None


@pytest.mark.parametrize("old", ["{", "[]", '{"question": 1}'])
def test_a_damaged_record_is_not_overwritten(tmp_path: Path, old: str) -> None:
    (tmp_path / "gate.json").write_text(old)
    with pytest.raises(UsageError, match="is damaged"):
        open_question(tmp_path, {})
