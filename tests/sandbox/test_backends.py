"""Every backend does the same, the strongest is chosen, and where there is none each says why."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conformance import CHECKS
from corpus import NOBODY, as_nobody, copy_for_everybody, python_for

from sandbox.choice import CHOICES, CONSENT, open_sandbox
from sandbox.program import SandboxUnavailable
from tasks.humaneval import HumanEval

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent
BACKENDS = ["local", pytest.param("docker", marks=pytest.mark.docker), "landlock", "bwrap"]
NUM_REFERENCES = 20


def problems() -> str:
    """A spread of problems with their references, as JSON."""
    task = HumanEval()
    loaded = task.load()
    rows = [
        {"problem": problem.to_json(), "source": task.source(problem, problem.reference, is_program=False)}
        for problem in loaded[:: len(loaded) // NUM_REFERENCES][:NUM_REFERENCES]
    ]
    return json.dumps(rows)


@functools.cache
def findings(backend: str) -> dict[str, str] | str:
    """What each check found wrong; or why this machine has no such backend."""
    # Bubblewrap is not for root.
    if backend == "bwrap" and os.geteuid() == 0:
        python = python_for(NOBODY)
        if python is None:
            return f"needs a Python 3.11 or newer that user {NOBODY} may run"
        with copy_for_everybody() as folder:
            shutil.copy(HERE / "conformance.py", folder / "tests" / "sandbox")
            return checked(python, folder, backend, nobody=True)
    return checked(sys.executable, REPOSITORY, backend, nobody=False)


def checked(python: str, repository: Path, backend: str, *, nobody: bool) -> dict[str, str] | str:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(problems())
        file.flush()
        os.chmod(file.name, 0o644)
        arguments = [python, "-B", repository / "tests" / "sandbox" / "conformance.py", backend, file.name]
        user = as_nobody() if nobody else {}
        done = subprocess.run(arguments, **user, capture_output=True, text=True)
    if done.returncode != 0 and "SandboxUnavailable" in done.stderr:
        return f"needs {backend}: {done.stderr.splitlines()[-1]}"
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda name: name.replace("_", " "))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_does_what_all_do(backend: str, check: str) -> None:
    found = findings(backend)
    if isinstance(found, str):
        pytest.skip(found)
    assert not found[check], found[check]


@pytest.mark.slow
@pytest.mark.docker
def test_the_whole_corpus_holds_on_every_backend_of_this_machine() -> None:
    done = subprocess.run([sys.executable, HERE / "corpus.py"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------------------------------------------------------
# Which
# ---------------------------------------------------------------------------------------------------------------------


def test_auto_takes_the_first_that_works() -> None:
    try:
        with open_sandbox("local", "stdlib"):
            pass
    except SandboxUnavailable as error:
        pytest.skip(f"needs Linux namespaces: {error}")
    with open_sandbox("auto", "stdlib") as sandbox:
        assert sandbox.start()["name"] == "local"


def test_an_unknown_backend_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=", ".join(CHOICES)):
        open_sandbox("chroot", "stdlib")


REFUSING = """
import os, struct, sys
sys.path.insert(0, sys.argv[1])
from sandbox import isolate, seccomp
from sandbox.choice import open_sandbox
from sandbox.program import SandboxUnavailable

UNSHARE, CREATE_RULESET, CREATE_USER = (272, 97), 444, 0x10000000
column = 0 if os.uname().machine == "x86_64" else 1
# load the number; unshare and landlock_create_ruleset fail with EPERM; so does a clone into a new user namespace
code = [(0x20, 0, 0, 0), (0x15, 2, 0, UNSHARE[column])]
if sys.argv[2] == "none":
    code += [(0x15, 1, 0, CREATE_RULESET)]
else:
    code += [(0x15, 1, 0, UNSHARE[column])]
code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
assert isolate._libc.prctl(38, 1, 0, 0, 0) == 0
seccomp.install(b"".join(struct.pack("<HBBI", *instruction) for instruction in code))
try:
    with open_sandbox("auto", "stdlib") as sandbox:
        print(sandbox.start()["name"])
except SandboxUnavailable as error:
    print(error)
"""


def with_less(works: str, *options: str) -> str:
    """What `auto` comes to in a process that may make no namespaces, no Landlock rules and reaches no daemon."""
    environment = {"PATH": "/nowhere", "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    arguments = [sys.executable, *options, "-c", REFUSING, str(REPOSITORY), works]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_where_nothing_works_every_backend_says_why_and_what_to_type() -> None:
    lines = with_less("none").splitlines()
    reasons = {line.split(":")[0].strip(): line.partition(": ")[2] for line in lines[1:-1]}

    assert lines[0] == "no sandbox can be set up here:"
    assert list(reasons) == ["local", "bwrap", "docker", "landlock"]
    assert "create a user namespace: Operation not permitted" in reasons["local"]
    assert "bubblewrap is not" in reasons["bwrap"]
    assert "Docker: " in reasons["docker"]
    assert "the kernel has no Landlock" in reasons["landlock"]
    assert CONSENT in lines[-1]


def test_without_the_package_docker_the_others_are_still_tried() -> None:
    reasons = with_less("none", "-S")

    assert "docker: the package docker is not installed; type: pip install docker" in reasons
    assert "landlock: " in reasons


def test_where_only_landlock_works_it_is_taken() -> None:
    try:
        with open_sandbox("landlock", "stdlib"):
            pass
    except SandboxUnavailable as error:
        pytest.skip(f"needs a kernel with Landlock: {error}")
    assert with_less("landlock") == "landlock"
