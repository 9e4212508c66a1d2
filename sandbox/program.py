"""What goes into a box and what is known after it ran: facts only, no judgement."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one program may use. Time is counted as processor time first, so that a busy machine changes nothing."""

    cpu_s: float = 3.0
    """Processor seconds of all processes of the program together."""
    idle_s: float = 3.0
    """Seconds in which the program neither ran nor waited for a processor, while an answer from it was due."""
    wall_s: float = 60.0
    """Seconds by the clock: the last resort."""
    memory_bytes: int = 1 << 30
    """Address space of each process."""
    output_bytes: int = 1 << 20
    """Bytes that may come out: one value, or all of standard output."""

    def __post_init__(self) -> None:
        for name in ("cpu_s", "idle_s", "wall_s", "memory_bytes", "output_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A program to run apart from us."""

    source: str = ""
    """Python source text."""
    code: bytes | None = None
    """What `compile_only` made of the source; spares the next process of the same program from compiling it again."""
    tests: tuple[bytes, bytes] | None = None
    """(source, nonce) of tests to run beside the program; with them, the program's process is not to be trusted."""
    compile_only: bool = False
    """Nothing is run; the answer is the code (a `VALUE` of bytes) or the error."""
    stdin: bytes | None = None
    """Where not None, the program is run as `__main__` with this standard input (see `Session.output`)."""


class Ending(StrEnum):
    """How an execution ended, as seen from outside it."""

    EXITED = "exited"
    """The process ended by itself; its exit code proves nothing."""
    SIGNALED = "signaled"
    """A signal that was not ours ended it, for example a segmentation fault."""
    STOPPED = "stopped"
    """We ended it because no more was wanted from it."""
    CPU_LIMIT = "cpu_limit"
    IDLE_LIMIT = "idle_limit"
    WALL_LIMIT = "wall_limit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """The facts of one execution."""

    ending: Ending
    code: int
    """Exit code, or the number of the signal."""
    cpu_s: float
    wall_s: float
    memory_bytes: int
    """Peak resident memory of the largest process, beyond what an empty program has."""


class SandboxError(Exception):
    """A fault of the sandbox, never of the program in it.

    SandboxError
        SandboxUnavailable   no box can be set up here; the message says what is missing
        BoxLost              the box died under us; a fresh one and a retry are in order
    """


class SandboxUnavailable(SandboxError):
    """No box can be set up on this machine; the message says which step failed and what to type."""


class BoxLost(SandboxError):
    """The box died or stopped answering; what ran in it has no verdict."""
