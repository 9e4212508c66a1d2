"""Which sandbox: the strongest that this machine allows, never weakened silently."""

from __future__ import annotations

from sandbox.local import LocalSandbox
from sandbox.sandbox import Sandbox

CHOICES = ("auto", "local")


def open_sandbox(choice: str, packages: str) -> Sandbox:
    """A started sandbox.

    Args:
        choice: one of `CHOICES`; `auto` is the strongest that works here.
        packages: what programs may import, one of `sandbox.packages.POLICIES`.

    Raises:
        ValueError: an unknown choice or policy.
        sandbox.program.SandboxUnavailable: none can be set up; the message names the step that failed.
    """
    if choice not in CHOICES:
        raise ValueError(f"unknown sandbox {choice!r}; accepted: {', '.join(CHOICES)}")
    sandbox = LocalSandbox(packages)
    sandbox.start()
    return sandbox
