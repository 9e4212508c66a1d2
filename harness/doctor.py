"""Is this machine fit to judge? The sandbox shows its walls, the references pass, cheats do not."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import pipeline
from harness.config import RunConfig
from harness.grade import Judge, make_plan
from harness.records import Verdict
from sandbox import codec, wire
from sandbox.choice import CHOICES, open_sandbox
from sandbox.program import Limits, Program, SandboxError
from sandbox.sandbox import Sandbox
from sandbox.session import ProgramEnded
from tasks.catalog import load_task
from tasks.data import DatasetUnavailable
from tasks.humaneval import PUBLISHED_SHA256
from tasks.problem import Problem

_PROBE = """
import os, socket

def opens(action, *arguments):
    try:
        action(*arguments)
        return True
    except OSError:
        return False

def look(port, sentinel):
    return {
        "the power of root": opens(os.setuid, 54321),
        "files of this machine": opens(open, sentinel),
        "other processes": opens(open, "/proc/1/environ"),
        "the password file": opens(open, "/etc/passwd"),
        "writing to the system": opens(open, "/usr/bin/env", "r+b"),
        "the network": opens(socket.create_connection, ("127.0.0.1", port), 1),
    }
"""

CHEATS = {
    "an answer that equals everything": """
class Anything:
    def __eq__(self, other):
        return True
    def __hash__(self):
        return 0
def {name}(*arguments):
    return Anything()
""",
    "leaving with exit code 0": """
import os
def {name}(*arguments):
    os._exit(0)
""",
    "looking for the expected values in the caller's frames": """
import sys
def {name}(*arguments):
    frame = sys._getframe()
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, list):
                value.append("passed")
        frame = frame.f_back
    return None
""",
}
"""Programs that solve nothing and that other graders pass; `{name}` is the function asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check."""

    what: str
    sound: bool
    detail: str


def examine(config: RunConfig) -> bool:
    """Prints every check as it is made; whether all of them are sound."""
    sound = True
    for finding in _findings(config):
        print(f"{'ok    ' if finding.sound else 'FAILED'} {finding.what}: {finding.detail}", flush=True)
        sound = sound and finding.sound
    print("this machine is fit to judge" if sound else "not fit to judge: mend what FAILED")
    return sound


def _findings(config: RunConfig) -> Iterator[Finding]:
    yield _data()
    try:
        with open_sandbox(config.sandbox, config.packages) as sandbox:
            facts = sandbox.start()
            yield Finding(what="sandbox", sound=True, detail=f"{facts['name']}; {'; '.join(facts['layers'])}")
            yield from _stronger(facts["name"], config)
            yield _clock(bool(facts["run_queue_clock"]))
            yield _walls(sandbox)
            problem = load_task("humaneval").load()[0]
            for name, source in CHEATS.items():
                yield _cheat(name, source.replace("{name}", problem.entry_point), problem, sandbox, config)
        yield _references(config)
    except (SandboxError, DatasetUnavailable, ModuleNotFoundError) as error:
        yield Finding(what="sandbox", sound=False, detail=str(error))


def _data() -> Finding:
    try:
        digests = load_task("humaneval").data_digests()
    except DatasetUnavailable as error:
        return Finding(what="data", sound=False, detail=str(error))
    same = list(digests.values()) == [PUBLISHED_SHA256]
    detail = (
        "HumanEval as its authors published it" if same else f"HumanEval differs from the published file: {digests}"
    )
    return Finding(what="data", sound=same, detail=detail)


def _stronger(name: str, config: RunConfig) -> Iterator[Finding]:
    """The walls that come before the ones in use, and why they are not to be had."""
    for other in CHOICES[1 : CHOICES.index(name)]:
        try:
            open_sandbox(other, config.packages).close()
        except SandboxError as error:
            yield Finding(what="stronger", sound=True, detail=f"{other} is not to be had: {error}")
        else:
            yield Finding(what="stronger", sound=True, detail=f"{other} would work: --sandbox {other}")


def _clock(present: bool) -> Finding:
    detail = "time spent waiting for a processor is not counted as idle"
    if not present:
        detail = "procfs is not allowed here, so a very busy machine could make a waiting program look idle"
    return Finding(what="clock", sound=True, detail=detail)


def _walls(sandbox: Sandbox) -> Finding:
    """What a program can reach of this machine; on the network, a port that is really open."""
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.NamedTemporaryFile() as sentinel:
        os.chmod(sentinel.name, 0o644)
        arguments: tuple[Any, ...] = ((server.getsockname()[1], sentinel.name), {})
        session = sandbox.open(Program(source=_PROBE), Limits(cpu_s=5.0), [("look", codec.encode(arguments))])
        try:
            kind, payload = [session.receive(), session.receive()][1]
        except ProgramEnded:
            return Finding(what="walls", sound=False, detail="the probe ended early")
        finally:
            session.end()
    if kind != wire.VALUE:
        return Finding(what="walls", sound=False, detail=f"the probe failed: {codec.decode(payload)}")
    holes = [name for name, is_open in codec.decode(payload).items() if is_open]
    detail = f"open: {', '.join(holes)}" if holes else "closed: network, files, processes, power of root"
    return Finding(what="walls", sound=not holes, detail=detail)


def _cheat(name: str, source: str, problem: Problem, sandbox: Sandbox, config: RunConfig) -> Finding:
    reference = load_task("humaneval").source(problem, problem.reference, is_program=False)
    plan = make_plan(problem, reference, sandbox, pipeline.REFERENCE_LIMITS)
    judgement = Judge(problem, plan, sandbox, config.limits_for(plan.cpu_s)).judge(source)
    caught = judgement.verdict not in (Verdict.PASSED, Verdict.UNJUDGED)
    return Finding(what="cheat", sound=caught, detail=f"{name}: {judgement.verdict}")


def _references(config: RunConfig) -> Finding:
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        results = pipeline.run(replace(config, task="humaneval", model="reference", ks=(1,)), Path(folder))
    task = results["tasks"]["humaneval"]
    passed = task["verdicts"]["passed"]
    detail = f"{passed} of {task['problems']} HumanEval references pass"
    return Finding(what="references", sound=passed == task["problems"], detail=detail)
