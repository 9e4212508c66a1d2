"""MBPP: references whose tests are assertions on functions, and in a few problems on objects of the candidate's own."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness import pipeline
from harness.grade import make_plan
from harness.script import quiet
from sandbox.local import LocalSandbox
from tasks.problem import Problem, Script

REPOSITORY = Path(__file__).parents[2]
MBPP = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "mbpp"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not MBPP.is_dir(), reason=f"{MBPP} is missing; HARNESS_REALDATA names another place"),
]

OWN_OBJECTS = {
    "mbpp.jsonl": {"MBPP/367", "MBPP/601", "MBPP/927"},
    "sanitized-mbpp.json": {"MBPP/737", "MBPP/787", "MBPP/794"},
}
"""Problems whose tests need the candidate's own classes or match objects, so that they run beside it."""


def mbpp_problem(row: dict[str, Any]) -> Problem:
    code = row["code"].replace("\r\n", "\n")
    imports = "\n".join(row.get("test_imports", ()))
    tests = "\n".join([row.get("test_setup_code") or "", imports, *row["test_list"], ""])
    names = called_names(code, tests)
    return Problem(
        task_id=f"MBPP/{row['task_id']}",
        prompt="",
        entry_point=names[0] if names else "",
        reference=f"{imports}\n{code}",
        check=Script(setup=f"{imports}\n{code}", test=tests, start="", names=names),
    )


def called_names(code: str, tests: str) -> tuple[str, ...]:
    """What the code defines and the tests call."""
    with quiet():
        body, calling = ast.parse(code).body, ast.parse(tests)
    defined = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [node.func for node in ast.walk(calling) if isinstance(node, ast.Call)]
    return tuple(sorted(defined & {function.id for function in calls if isinstance(function, ast.Name)}))


@pytest.mark.parametrize(("name", "count"), [("mbpp.jsonl", 974), ("sanitized-mbpp.json", 427)])
def test_every_reference_of_mbpp_passes_and_all_but_three_in_split_mode(name: str, count: int) -> None:
    text = (MBPP / name).read_text()
    rows = json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]
    modes: dict[str, set[str]] = {"split": set(), "in-process": set()}
    with LocalSandbox() as sandbox:
        for row in rows:
            problem = mbpp_problem(row)
            plan = make_plan(problem, problem.reference, sandbox, pipeline.REFERENCE_LIMITS)
            modes[plan.mode].add(problem.task_id)
    assert (len(modes["split"]), modes["in-process"]) == (count - 3, OWN_OBJECTS[name])
