"""What a slot runs: plans for problems, and verdicts for programs, each in this slot's own sandbox."""

from __future__ import annotations

from typing import Any

from harness.grade import Judge, Plan, ReferenceFailed, make_plan
from sandbox.choice import open_sandbox
from sandbox.program import BoxLost, Limits
from tasks.problem import Problem

REFERENCE = "harness.worker:Grader"
_JUDGES = 64
"""Problems whose prepared tests a slot keeps; samples come problem by problem, so few are enough."""


class Grader:
    """Answers parts of two kinds: `{"reference": program}` with a plan, `{"index", "program"}` with a grade's row."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._sandbox = open_sandbox(settings["sandbox"], settings["packages"])
        self._judges: dict[str, Judge] = {}

    def handle(self, shared: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
        """The plan or the grade; `{"in_doubt": True}` where only a run alone can tell (`{..., "alone": True}`)."""
        if "reference" in part:
            return self._plan(shared, part["reference"])
        judge = self._judge(shared)
        judgement = judge.judge(part["program"], alone=part.get("alone", False))
        row = judgement.grade(shared["task_id"], part["index"], judge.plan.mode, part["program"]).to_row()
        return {"in_doubt": True} if judgement.in_doubt else row

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox.close()

    def _plan(self, shared: dict[str, Any], reference: str) -> dict[str, Any]:
        problem = Problem.from_json(shared["problem"])
        for attempt in (1, 2, 3):
            try:
                return {"plan": make_plan(problem, reference, self._sandbox, Limits(**shared["limits"])).to_json()}
            except ReferenceFailed as error:
                return {"failed": str(error)}
            except BoxLost as error:
                if attempt == 3:
                    return {"failed": f"{problem.task_id}: the sandbox failed: {error}"}
        raise AssertionError("unreachable")

    def _judge(self, shared: dict[str, Any]) -> Judge:
        key = shared["key"]
        if key not in self._judges:
            if len(self._judges) >= _JUDGES:
                self._judges.clear()
            problem, plan = Problem.from_json(shared["problem"]), Plan.from_json(shared["plan"])
            self._judges[key] = Judge(problem, plan, self._sandbox, Limits(**shared["limits"]))
        return self._judges[key]
