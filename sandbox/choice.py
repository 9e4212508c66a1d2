"""Which sandbox: the strongest that this machine allows, never weakened silently."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

from sandbox import bwrap
from sandbox.local import LocalSandbox
from sandbox.program import SandboxUnavailable
from sandbox.sandbox import Sandbox

CHOICES = ("auto", "local", "bwrap", "docker", "landlock", "none")
"""`auto` takes the first of the others that works, except `none`, which has no walls and must be asked for twice."""

CONSENT = "--i-know-this-runs-untrusted-code"


def open_sandbox(choice: str, packages: str) -> Sandbox:
    """A started sandbox.

    Every attempt does the whole set-up in a process of its own: what a kernel says of itself and what it lets one do
    are two things.

    Args:
        choice: one of `CHOICES`.
        packages: what programs may import, one of `sandbox.packages.POLICIES`.

    Raises:
        ValueError: an unknown choice or policy.
        SandboxUnavailable: it cannot be set up; the message names the step that failed, and what to type.
    """
    if choice not in CHOICES:
        raise ValueError(f"unknown sandbox {choice!r}; accepted: {', '.join(CHOICES)}")
    if choice != "auto":
        return _started(choice, packages)
    refusals = []
    for name in CHOICES[1:-1]:
        try:
            return _started(name, packages)
        except SandboxUnavailable as error:
            refusals.append(f"  {name}: {error}")
    raise SandboxUnavailable("\n".join(["no sandbox can be set up here:", *refusals, _advice()]))


def _started(name: str, packages: str) -> Sandbox:
    sandbox = _BUILDERS[name](packages)
    try:
        sandbox.start()
    except BaseException:
        sandbox.close()
        raise
    return sandbox


def _bwrap(packages: str) -> Sandbox:
    if not bwrap.available():
        why = "not for root" if os.geteuid() == 0 else "not installed; type: apt-get install bubblewrap"
        raise SandboxUnavailable(f"bubblewrap is {why}")
    return LocalSandbox(packages, "bwrap")


def _docker(packages: str) -> Sandbox:
    if importlib.util.find_spec("docker") is None:
        raise SandboxUnavailable("the package docker is not installed; type: pip install docker")
    from sandbox.container import ContainerSandbox

    return ContainerSandbox(packages, runtime=os.environ.get("HARNESS_DOCKER_RUNTIME") or None)


_BUILDERS: dict[str, Callable[[str], Sandbox]] = {
    "local": LocalSandbox,
    "bwrap": _bwrap,
    "docker": _docker,
    "landlock": lambda packages: LocalSandbox(packages, "landlock"),
    "none": lambda packages: LocalSandbox(packages, "none"),
}


def _advice() -> str:
    return (
        "Allow user namespaces (sysctl -w user.max_user_namespaces=10000; Ubuntu: install bubblewrap) or start Docker. "
        f"To judge programs that you wrote yourself, without any walls: --sandbox none {CONSENT}"
    )
