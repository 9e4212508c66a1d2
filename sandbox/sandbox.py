"""A sandbox: programs one at a time in a warm box, which is replaced whenever anything about it is in doubt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from sandbox.program import BoxLost, Limits, Program
from sandbox.session import Box, Call, Session

PROGRAMS_PER_BOX = 2000
"""A box is replaced after so many programs, so that nothing that leaks ever adds up."""


class Sandbox:
    """Any kind of box, kept warm."""

    def __init__(self, build: Callable[[], Box]) -> None:
        self._build = build
        self._box: Box | None = None

    def start(self) -> dict[str, Any]:
        """Sets a box up now, unless there is one; its `facts`.

        Raises:
            SandboxUnavailable: this machine does not allow it; the message names the step.
        """
        if self._box is None:
            self._box = self._build()
        return self._box.facts

    def open(
        self,
        program: Program,
        limits: Limits,
        calls: Sequence[Call] = (),
        *,
        stay: bool = False,
        watch: bool = True,
        grouped: bool = False,
    ) -> Session:
        """Starts a program, which makes `calls` on its own and, with `stay`, then waits for more.

        With `watch` it also says what calls made of their arguments, where they changed them in place. With `grouped`
        answers may wait for one another; of a process that ends in the middle of a call, some may then be missing.

        Raises:
            SandboxUnavailable: a new box was needed and could not be set up.
            BoxLost: the box died; the next call gets a new one.
        """
        if self._box is not None and (self._box.worn or self._box.programs >= PROGRAMS_PER_BOX):
            self.close()
        self.start()
        assert self._box is not None
        try:
            return Session(self._box, program, limits, calls, stay=stay, watch=watch, grouped=grouped)
        except OSError as error:
            self._box.worn = True
            raise BoxLost(f"the box does not take a program: {error}") from error

    def close(self) -> None:
        """Ends the box and everything in it."""
        if self._box is not None:
            self._box.close()
            self._box = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
