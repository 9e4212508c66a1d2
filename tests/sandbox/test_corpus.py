"""Every program that harms or cheats: its verdict is right, and the next program does not notice it.

On the local box; `corpus.py` beside this file does the same on every backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus import CHEATS, HOSTILE, REFERENCE, Bench, expected, name, open_bench

from harness.grade import IN_PROCESS
from harness.records import Verdict
from sandbox.local import LocalSandbox


@pytest.fixture(scope="module")
def bench(local: LocalSandbox) -> Iterator[Bench]:
    with open_bench("local") as opened:
        yield opened


def assert_untouched(bench: Bench) -> None:
    """The next program finds a box as new, and the host is as it was."""
    assert bench.host.changes() == []
    assert bench.contamination() == []


@pytest.mark.parametrize("path", HOSTILE, ids=name)
def test_a_hostile_program_gets_its_verdict_and_harms_nobody(bench: Bench, path: Path) -> None:
    judgement = bench.judge(path)

    assert judgement.verdict in expected(path), judgement
    assert judgement.attempts == 1, judgement
    assert_untouched(bench)


@pytest.mark.parametrize("path", CHEATS, ids=name)
def test_a_cheat_gets_its_verdict_and_leaves_nothing_behind(bench: Bench, path: Path) -> None:
    judgement = bench.judge(path)

    assert judgement.verdict in expected(path), judgement
    assert judgement.attempts == 1, judgement
    assert_untouched(bench)


@pytest.mark.parametrize("path", CHEATS, ids=name)
def test_a_cheat_does_not_pass_where_the_tests_run_beside_it(bench: Bench, path: Path) -> None:
    judgement = bench.judge(path, IN_PROCESS)

    assert judgement.verdict not in (Verdict.PASSED, Verdict.UNJUDGED), judgement
    assert_untouched(bench)


def test_no_cheat_expects_to_pass() -> None:
    assert not [path for path in CHEATS if expected(path) & {Verdict.PASSED, Verdict.UNJUDGED}]


def test_the_reference_passes_in_both_modes(bench: Bench) -> None:
    assert bench.judge_source(REFERENCE).verdict is Verdict.PASSED
    assert bench.judge_source(REFERENCE, IN_PROCESS).verdict is Verdict.PASSED
