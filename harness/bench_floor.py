"""The physical floor: fork, compile and exec of a whole program in a process as lean and as warm as a zygote.

Started by path by `bench` with the flags and the environment of a zygote. No walls and no limits: only reference
solutions are run here. Reads a JSON list of programs, and prints the seconds that each took.
"""

from __future__ import annotations

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from sandbox import warm

sys.path.pop(0)


def main() -> None:
    """Entry point."""
    programs = json.load(sys.stdin)
    warm.warm_up([])
    sys.stdout.write(json.dumps([_seconds(program) for program in programs]))
    sys.stdout.flush()


def _seconds(program: str) -> float:
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            exec(compile(program, "<program>", "exec"), {"__name__": "program"})
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise RuntimeError(f"a reference solution failed with status {status}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
