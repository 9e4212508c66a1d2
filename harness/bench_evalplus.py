"""Runs EvalPlus on prepared files, away from the network and the file system, and prints its seconds and verdicts.

Started by path by `agreement`, with the Python that has the package. EvalPlus says of its guard that it is no sandbox,
so its process gets new namespaces, a read-only file system and scratch space of its own. That costs it nothing per
sample. It is used as its own command uses it: expected answers first, then a pool of processes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
import time
from typing import Any

from sandbox import isolate


def main(folder: str, processes: int) -> None:
    """Entry point."""
    os.environ["HUMANEVAL_OVERRIDE_PATH"] = os.path.join(folder, "humaneval.jsonl")
    os.environ["MBPP_OVERRIDE_PATH"] = os.path.join(folder, "mbpp.jsonl")
    # Before the walls are up: what it imports opens devices.
    evaluate = importlib.import_module("evalplus.evaluate")
    isolate.enter_namespaces()
    pid = os.fork()
    if pid:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    scratch = isolate.seal(keep=folder)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    vars(evaluate)["CACHE_DIR"] = scratch
    with open(os.path.join(folder, "samples.jsonl")) as file:
        samples = [json.loads(line) for line in file]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answer = _measure(evaluate, samples, processes)
    print(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)


def _measure(evaluate: Any, samples: list[dict[str, Any]], processes: int) -> dict[str, Any]:
    from concurrent.futures import ProcessPoolExecutor

    problems = _problems(evaluate, {sample["task_id"] for sample in samples})
    started = time.perf_counter()
    expected = _expected(evaluate, problems)
    references_s = time.perf_counter() - started
    started = time.perf_counter()
    with ProcessPoolExecutor(max_workers=processes) as pool:
        futures = []
        for number, sample in enumerate(samples):
            dataset, problem = problems[sample["task_id"]]
            truth = expected[sample["task_id"]]
            check = evaluate.check_correctness
            futures.append(pool.submit(check, dataset, number, problem, sample["solution"], truth, fast_check=True))
        results = [future.result() for future in futures]
    return {
        "references_s": references_s,
        "seconds": time.perf_counter() - started,
        "base": [result["base"][0] for result in results],
        "plus": [result["plus"][0] for result in results],
    }


def _problems(evaluate: Any, wanted: set[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """task_id -> (EvalPlus' name of the benchmark, its problem), for those that have samples."""
    both = (("humaneval", evaluate.get_human_eval_plus()), ("mbpp", evaluate.get_mbpp_plus()))
    return {key: (name, problem) for name, problems in both for key, problem in problems.items() if key in wanted}


def _expected(evaluate: Any, problems: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    expected: dict[str, Any] = {}
    for name, truths in (("humaneval", []), ("mbpp", evaluate.MBPP_OUTPUT_NOT_NONE_TASKS)):
        own = {key: problem for key, (dataset, problem) in problems.items() if dataset == name}
        expected |= evaluate.get_groundtruth(own, name, truths)
    return expected


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
