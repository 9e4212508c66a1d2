"""The Ray engine keeps the promises of the local one, across killed actors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine import Batch

pytest.importorskip("ray", reason="the extra `ray` is not installed")

from harness.engine_ray import RayEngine

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)

WORKERS = """
import os, signal

class Squares:
    def __init__(self, settings):
        self.marks = settings["marks"]
    def handle(self, shared, part):
        number = part["number"]
        mark = os.path.join(self.marks, str(number))
        if part.get("dies") == "always" or (part.get("dies") == "once" and not os.path.exists(mark)):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": number * number + shared["plus"]}
    def close(self):
        pass
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayEngine]:
    (tmp_path / "ray_test_workers.py").write_text(WORKERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    built = RayEngine("ray_test_workers:Squares", {"marks": str(tmp_path)}, slots=2)
    yield built
    built.close()


def batch(*parts: dict[str, Any]) -> Batch:
    return Batch(shared={"plus": 1}, parts=list(parts))


def squares(engine: RayEngine, batches: list[Batch]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for outcome in engine.run(iter(batches)):
        assert outcome.part["number"] not in found
        found[outcome.part["number"]] = outcome.value and outcome.value["square"]
    return found


def test_every_part_has_one_outcome_though_actors_are_killed_and_one_part_kills_every_actor(engine: RayEngine) -> None:
    quiet = [batch(*({"number": number} for number in range(start, start + 5))) for start in range(0, 50, 5)]
    deadly = [batch({"number": 50}, {"number": 51, "dies": "once"}), batch({"number": 52, "dies": "always"})]
    found = squares(engine, [*quiet[:5], *deadly, *quiet[5:]])
    expected: dict[int, Any] = {number: number * number + 1 for number in range(52)}
    assert found == {**expected, 52: None}


def test_the_command_judges_with_ray_as_it_does_without(tmp_path: Path) -> None:
    from harness import pipeline
    from harness.config import RunConfig
    from harness.records import read_grades

    tables = []
    for name in ("serial", "ray"):
        config = RunConfig(limit=4, engine=name, workers=2)
        pipeline.run(config, tmp_path / name)
        tables.append({key: (grade.verdict, grade.mode) for key, grade in read_grades(tmp_path / name).items()})
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4
