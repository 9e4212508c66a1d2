"""Every number of a report on one fixed set of counts, to ten digits: what moves a number must say so.

`python tests/harness/stats/test_golden.py` writes the file anew. What draws at random is not in it, because numpy may
change its streams; the tests of temperatures and of the largest |t| hold those against theory.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.stats import Counts, GatePlan, Target, compare, confidence_interval, gate, gate_chances, score
from harness.stats.family import Member, compare_family
from harness.stats.gate import LOOKS
from harness.stats.power import plan, variance_components
from harness.stats.relative_gain import GainMethod

GOLDEN = Path(__file__).with_name("golden.json")
M, N = 164, 20


def counts(phase: int, n: int = N, ease: float = 1.0) -> Counts:
    """164 problems x 20 completions: from never to always solved, without any generator."""
    place = (np.arange(M) * (math.sqrt(5) - 1) / 2) % 1.0
    rate = np.clip(ease * np.sin(place * math.pi / 2) ** 4, 0, 1)
    wobble = (((np.arange(M) + phase) * 7919) % 7 - 3) * (rate > 0.05) * (rate < 0.95)
    return Counts.of(np.full(M, n), np.clip(np.rint(rate * n) + wobble, 0, n).astype(np.int64))


def numbers() -> dict[str, Any]:
    a, b, baseline = counts(0), counts(3, ease=0.95), counts(5, n=80)
    members = [Member(name=f"pass@{k}", a=a, b=b, k=k) for k in (1, 5, 10)]
    return {
        "c": [a.c.tolist(), b.c.tolist(), baseline.c.tolist()],
        "scores": {str(k): asdict(score(a, k)) for k in (1, 10, 20)},
        "intervals": {
            f"{target} {method}": asdict(interval)
            for target, methods in (
                (Target.PROBLEMS, ("wilson_neff", "t", "percentile", "bca")),
                (Target.BENCHMARK, ("unbiased", "eb")),
            )
            for method in methods
            if (interval := confidence_interval(a, 10, target, method=method))
        },
        "comparisons": [asdict(row) for row in compare_family(members)],
        "gains": {method: asdict(compare(a, b, 1, gain=method).gain) for method in GainMethod},
        "components": asdict(variance_components(a, b)),
        "plan": [asdict(row) for row in plan(a, b, effect=0.03)],
        "gates": [
            asdict(gate(b, baseline, one))
            for one in (GatePlan(), GatePlan(target=Target.BENCHMARK), GatePlan(looks=(10, 20, 40), k=5))
        ],
        "chances": asdict(gate_chances(baseline, GatePlan(looks=LOOKS))),
    }


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(value))  # type: ignore[no-any-return]  # a dictionary stays one


def unlike(found: Any, expected: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, numbers by more than 1e-10."""
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        return [one for name in expected for one in unlike(found[name], expected[name], f"{path}.{name}")]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        return [one for i, value in enumerate(expected) for one in unlike(found[i], value, f"{path}[{i}]")]
    if isinstance(expected, float) and isinstance(found, float):
        same = found == pytest.approx(expected, rel=1e-10, abs=1e-10, nan_ok=True)
        return [] if same else [f"{path}: {found!r}, was {expected!r}"]
    return [] if found == expected else [f"{path}: {found!r}, was {expected!r}"]


def test_every_number_of_the_report_is_what_it_was() -> None:
    assert unlike(as_json(numbers()), json.loads(GOLDEN.read_text())) == []


def test_a_number_that_moves_by_a_billionth_is_seen() -> None:
    moved = as_json(numbers())
    moved["scores"]["10"]["problems"]["low"] *= 1 + 1e-9
    assert len(unlike(moved, json.loads(GOLDEN.read_text()))) == 1


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(as_json(numbers()), indent=1) + "\n")
