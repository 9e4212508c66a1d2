"""A model's share of a run: requests with seeds of their own, completions as samples, what the decoding counted."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config import RunConfig, UsageError, find_preset
from harness.decoding import append_statistics
from harness.progress import Progress
from harness.records import Key, RecordFile, Sample, shard_path
from tasks.problem import Problem, Task

if TYPE_CHECKING:
    from models.backend import Backend, Completion, Fault, Request, Sampling


def open_backend(config: RunConfig) -> Backend:
    """The model that a run asks for.

    Raises:
        UsageError: an option is none that the model accepts.
        models.backend.ModelUnavailable: it cannot be had or not be run here.
    """
    from models.catalog import Options, open_model

    try:
        sampling_of(config)  # before anything is loaded
        options = Options(batch_size=config.batch_size, draft=config.draft, device=config.device, dtype=config.dtype)
        return open_model(config.model, options)
    except ValueError as error:
        raise UsageError(str(error)) from error


def sample_seed(run_seed: int, task_id: str, index: int) -> int:
    """0 to 2**63 - 1: all the randomness of a sample, whatever the order, the batch or the process it is drawn in."""
    digest = hashlib.sha256(f"{run_seed}\0{task_id}\0{index}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def wanted(config: RunConfig, problems: Iterable[Problem]) -> list[Key]:
    """The samples that a model is asked for, in the order they are written in."""
    return [(problem.task_id, index) for problem in problems for index in range(config.n_samples)]


def generate(
    config: RunConfig,
    task: Task,
    problems: Mapping[str, Problem],
    keys: Sequence[Key],
    backend: Backend,
    out: Path,
) -> int:
    """Asks for samples and writes them; how many of them got no answer, through no fault of the model.

    Rows are written in the order of `keys`, whatever order the answers come in: runs of the same seed write the same
    file.
    """
    from models.backend import Fault

    requests, sampling = requests_for(config, task, problems, keys)
    faults: list[str] = []
    place = {key: number for number, key in enumerate(keys)}
    waiting: dict[int, Completion | Fault] = {}
    following = 0

    def write(answer: Completion | Fault) -> None:
        if isinstance(answer, Fault):
            faults.append(f"{answer.task_id} sample {answer.index}: {answer.reason}")
        else:
            file.append(_sample(config, answer).to_row())

    with (
        RecordFile(shard_path(out, "samples")) as file,
        Progress("generate", len(problems) * config.n_samples, done=_done(config, problems, keys)) as progress,
    ):
        try:
            for answer in backend.generate(requests, sampling):
                waiting[place[answer.task_id, answer.index]] = answer
                progress.step()
                while following in waiting:
                    write(waiting.pop(following))
                    following += 1
        finally:
            # Cut short: what has been answered is not lost because something before it has not.
            for number in sorted(waiting):
                write(waiting[number])
            _write_statistics(backend, out)
    _report_faults(faults)
    return len(faults)


def requests_for(
    config: RunConfig, task: Task, problems: Mapping[str, Problem], keys: Sequence[Key]
) -> tuple[list[Request], Sampling]:
    """What a model is asked, and how it is to answer."""
    from models.backend import Request

    preset = find_preset(task, config.preset)
    prompts = {task_id: task.prompt(problems[task_id], preset) for task_id in {task_id for task_id, _ in keys}}
    sampling = sampling_of(config, preset.stops)
    requests = [
        Request(task_id=task_id, index=index, prompt=prompts[task_id], seed=sample_seed(config.seed, task_id, index))
        for task_id, index in keys
    ]
    return requests, sampling


def sampling_of(config: RunConfig, stops: Sequence[str] = ()) -> Sampling:
    """How a run's tokens are chosen.

    Raises:
        ValueError: one of the choices is none.
    """
    from models.backend import Sampling

    return Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        max_new_tokens=config.max_new_tokens,
        stops=tuple(stops),
    )


def _done(config: RunConfig, problems: Mapping[str, Problem], keys: Sequence[Key]) -> int:
    return len(problems) * config.n_samples - len(keys)


def _sample(config: RunConfig, answer: Completion) -> Sample:
    return Sample(
        task_id=answer.task_id,
        index=answer.index,
        completion=answer.text,
        seed=sample_seed(config.seed, answer.task_id, answer.index),
        finish_reason=answer.finish_reason,
        num_tokens=answer.num_tokens,
    )


def _report_faults(faults: Sequence[str]) -> None:
    if faults:
        more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        print(
            f"{len(faults)} requests got no answer; type the same command again to ask for them: "
            f"{'; '.join(faults[:3])}{more}",
            file=sys.stderr,
        )


def _write_statistics(backend: Backend, out: Path) -> None:
    statistics = backend.statistics()
    if statistics:
        append_statistics(out, backend.facts(), statistics)
