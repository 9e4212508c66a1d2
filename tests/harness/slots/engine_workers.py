"""Workers of the engine's tests, in a folder that slot processes can import from."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


class Toy:
    """Does what each part says."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.marks = settings.get("marks", "")

    def handle(self, shared: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
        self._misbehave(part)
        return {
            "square": part["number"] ** 2 + shared.get("plus", 0),
            "filling": "x" * part.get("answer_bytes", 0),
            "heard": len(part.get("filling", "")),
        }

    def close(self) -> None:
        pass

    def _misbehave(self, part: dict[str, Any]) -> None:
        kind = part.get("kind", "")
        if kind.endswith("once") and self._seen(part["number"]):
            return
        if kind.startswith("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if kind.startswith("hang"):
            while True:
                signal.pause()

    def _seen(self, number: int) -> bool:
        """Whether some slot has been here before; this one has been here now."""
        try:
            os.close(os.open(os.path.join(self.marks, str(number)), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return True
        return False


class Look:
    """A slot that judges, asked what it has imported and how it was started."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from harness.worker import Grader

        self._grader = Grader({"sandbox": "auto", "packages": "stdlib"})

    def handle(self, shared: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
        return {"modules": sorted(sys.modules), "hash": hash("text"), "pid": os.getpid(), "path": sys.path}

    def close(self) -> None:
        self._grader.close()


class Interrupted:
    """Is interrupted in the middle of each part, as by Ctrl-C, and notes what its own code saw of it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.answers = settings["answers"]

    def handle(self, shared: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        with open(self.answers, "a") as file:
            file.write("came to its end\n")
        return {}

    def close(self) -> None:
        pass
