"""The story of a run: problems, samples, verdicts, report. Each stage can stop here and go on from its files."""

from __future__ import annotations

import collections
import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness import grade
from harness.config import DEFAULT_KS, RunConfig, UsageError, find_preset, protocol
from harness.decoding import read_statistics
from harness.engine import Batch, Engine, LocalEngine, Outcome, SerialEngine
from harness.progress import Progress
from harness.records import (
    Grade,
    Key,
    RecordFile,
    Sample,
    Verdict,
    read_grades,
    read_samples,
    shard_path,
    write_atomic,
)
from harness.rundir import open_run, read_run, throw_away
from harness.worker import REFERENCE
from sandbox.choice import open_sandbox
from sandbox.packages import resolve
from sandbox.program import Limits
from tasks.problem import Problem, Task

if TYPE_CHECKING:
    from models.backend import Backend

T = TypeVar("T")

BATCH = 8
"""Programs a slot is given at a time; few, so that the last batches end together."""

_PATIENCE = 6
"""A slot may be silent for so many times the wall limit: three attempts, each of them possibly run twice."""

REFERENCE_LIMITS = Limits(cpu_s=60.0, idle_s=60.0, wall_s=600.0)
"""References are trusted to end, and are what the limits of the samples are measured by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be judged: a task's problems, and the samples asked for."""

    config: RunConfig
    task: Task
    problems: Mapping[str, Problem]
    samples: Mapping[Key, Sample]
    """Those there are: all of them from the start, but for a model, which has yet to be asked."""

    @property
    def expected(self) -> dict[str, int]:
        """How many samples each problem is to have, in the order of the task."""
        if self.config.asks_a_model:
            return dict.fromkeys(self.problems, self.config.n_samples)
        counts = collections.Counter(task_id for task_id, _ in self.samples)
        return {task_id: counts[task_id] for task_id in self.problems}


def run(config: RunConfig, out: Path, *, fresh: bool = False) -> dict[str, Any]:
    """All stages; the content of results.json. With `fresh`, what `out` holds of an earlier run is thrown away.

    Raises:
        UsageError: what was asked for cannot be done; then nothing has been thrown away.
        tasks.data.DatasetUnavailable: the task's data cannot be had.
        sandbox.program.SandboxUnavailable: no sandbox can be set up.
    """
    with _opened_model(config) as backend:
        job = plan_job(_with_digest(config, backend))
        record = _open_run(job, out, fresh=fresh)
        job = write_samples(job, out, backend)
    if _without_verdict(out, _digests(job)):
        # The walls that the record names; a slot must not find others for itself.
        walls = record["sandbox"]["name"]
        with contextlib.closing(_engine(config, walls)) as engine:
            evaluate(job, out, engine)
    else:
        print("nothing to judge: every sample has its verdict", file=sys.stderr)
    return report(out, record)


def generate(config: RunConfig, out: Path, *, fresh: bool = False) -> Path:
    """Samples only; the file they are in."""
    with _opened_model(config) as backend:
        job = plan_job(_with_digest(config, backend))
        _open_run(job, out, fresh=fresh)
        write_samples(job, out, backend)
    return shard_path(out, "samples")


@contextlib.contextmanager
def _opened_model(config: RunConfig) -> Iterator[Backend | None]:
    """The model that is to be asked, if one is."""
    if not config.asks_a_model:
        yield None
        return
    from harness.generation import open_backend

    with contextlib.closing(open_backend(config)) as backend:
        yield backend


def _with_digest(config: RunConfig, backend: Backend | None) -> RunConfig:
    return config if backend is None else replace(config, model_digest=backend.facts()["digest"])


def _open_run(job: Job, out: Path, *, fresh: bool) -> dict[str, Any]:
    """The run directory, opened when everything that can be wrong with job and machine has been looked at."""
    asked, box = _protocol(job), _box(job.config)
    if fresh:
        throw_away(out)
    expected = job.expected if job.config.asks_a_model else {}
    return open_run(out, job.config, asked, box, expected)


def plan_job(config: RunConfig) -> Job:
    """Loads the task and finds the samples; everything about the two that can be wrong is found here.

    Raises:
        UsageError: as `run`.
        tasks.data.DatasetUnavailable: as `run`.
    """
    task = config.load_task()
    find_preset(task, config.preset)
    everything = {problem.task_id: problem for problem in task.load()}
    if not everything:
        part = f" of the split {config.split}" if config.split else ""
        raise UsageError(f"there are no problems of {task.name}{part} in its data; name other data with --data")
    kept = dict(list(everything.items())[: config.limit])
    if config.model == "reference":
        samples = [_reference_sample(problem) for problem in kept.values() if problem.reference]
        if not samples:
            raise UsageError(f"none of {len(kept)} problems has a reference; type: python -m harness evaluate SAMPLES")
        kept = {sample.task_id: kept[sample.task_id] for sample in samples}
    elif config.asks_a_model:
        samples = []
    else:
        samples, kept = _samples_from_file(config, everything, kept)
    job = Job(config=config, task=task, problems=kept, samples={sample.key: sample for sample in samples})
    _check_ks(config.ks, job.expected)
    return job


def _reference_sample(problem: Problem) -> Sample:
    # It completes the dataset's own prompt, whatever a preset makes of that.
    return Sample(
        task_id=problem.task_id, index=0, completion=problem.reference, prompt=problem.prompt, finish_reason="stop"
    )


def _samples_from_file(
    config: RunConfig, everything: Mapping[str, Problem], kept: dict[str, Problem]
) -> tuple[list[Sample], dict[str, Problem]]:
    """The samples of the problems that are kept, and those problems."""
    from harness.samples import import_samples

    path = Path(config.model.removeprefix("samples:"))
    samples = [sample for sample in import_samples(path, everything) if sample.task_id in kept]
    present = {sample.task_id for sample in samples}
    missing = [task_id for task_id in kept if task_id not in present]
    if missing and (not config.subset or not present):
        raise UsageError(
            f"{path} has no samples for {len(missing)} of {len(kept)} problems, the first is {missing[0]}; "
            f"add samples for them, or type --subset to score only the problems it has samples for"
        )
    return samples, {task_id: problem for task_id, problem in kept.items() if task_id in present}


def _check_ks(ks: Iterable[int], expected: Mapping[str, int]) -> None:
    """pass@k of a problem with fewer than k samples does not exist; dropping the problem or the k would be a lie."""
    for k in ks:
        if k < 1:
            raise UsageError(f"k must be 1 or more, not {k}")
        short = [task_id for task_id, count in expected.items() if count < k]
        if short:
            least = min(expected.values())
            raise UsageError(
                f"pass@{k} takes {k} samples of every problem; {short[0]} has {expected[short[0]]} "
                f"(too few in {len(short)} of {len(expected)} problems); type -k {least} or less, or add samples"
            )


def _engine(config: RunConfig, walls: str) -> Engine:
    settings = {"sandbox": walls, "packages": config.packages}
    if config.engine == "serial":
        return SerialEngine(REFERENCE, settings)
    if config.engine == "ray":
        return _ray_engine(config, settings)
    return LocalEngine(REFERENCE, settings, slots=config.workers)


def _ray_engine(config: RunConfig, settings: dict[str, Any]) -> Engine:
    from harness.engine_ray import RayEngine

    try:
        return RayEngine(REFERENCE, settings, slots=config.workers)
    except ModuleNotFoundError as error:
        raise UsageError(f"--engine ray needs the extra ray ({error}); type: pip install 'mtp-harness[ray]'") from error


def _box(config: RunConfig) -> dict[str, Any]:
    """Sets one box up and takes it down again: what it is made of, or an error before anything has been generated."""
    with open_sandbox(config.sandbox, config.packages) as sandbox:
        return sandbox.start()


def _protocol(job: Job) -> dict[str, Any]:
    import platform

    config = job.config
    versions = resolve(config.packages).versions
    return protocol(config, job.task, list(job.problems.values()), platform.python_version(), versions)


# ---------------------------------------------------------------------------------------------------------------------
# Samples
# ---------------------------------------------------------------------------------------------------------------------


def write_samples(job: Job, out: Path, backend: Backend | None = None) -> Job:
    """Brings the run's samples file up to what was asked for; rows that are there stay as they are.

    Returns:
        The job with all samples that there are now.
    """
    if backend is not None:
        return _generated(job, out, backend)
    present = _read(read_samples, out)
    missing = [sample for key, sample in job.samples.items() if present.get(key) != sample]
    if missing:
        with RecordFile(shard_path(out, "samples")) as file:
            for sample in missing:
                file.append(sample.to_row())
    return job


def _generated(job: Job, out: Path, backend: Backend) -> Job:
    from harness.generation import generate, wanted

    present = _read(read_samples, out)
    missing = [key for key in wanted(job.config, job.problems.values()) if key not in present]
    if missing:
        generate(job.config, job.task, job.problems, missing, backend, out)
        present = _read(read_samples, out)
    return replace(
        job, samples={key: present[key] for key in wanted(job.config, job.problems.values()) if key in present}
    )


# ---------------------------------------------------------------------------------------------------------------------
# Verdicts
# ---------------------------------------------------------------------------------------------------------------------


def evaluate(job: Job, out: Path, engine: Engine) -> None:
    """A verdict for every sample that has none yet, or only one that was our own fault."""
    programs = {key: _program(job, sample) for key, sample in job.samples.items()}
    digests = _digests(job)
    pending = _without_verdict(out, digests)
    if not pending:
        return
    plans = plan_references(job, out, engine, {task_id for task_id, _ in pending})
    # Programs that are equal to the letter get their verdict together: it would be the same one.
    twins: dict[tuple[str, str], list[Key]] = collections.defaultdict(list)
    for key in pending:
        twins[key[0], digests[key]].append(key)
    batches = _batches(job, plans.usable, [(keys[0], programs[keys[0]]) for keys in twins.values()])
    done = len(programs) - len(pending)
    with RecordFile(shard_path(out, "verdicts")) as file, Progress("evaluate", len(programs), done=done) as progress:
        for key in pending:
            if key[0] not in plans.usable:
                file.append(_unjudged(key, digests[key], plans.failed[key[0]]).to_row())
        for outcome in _decided(engine, batches):
            row = outcome.value or _lost(outcome, digests)
            for copy, key in enumerate(twins[row["task_id"], row["program"]]):
                file.append({**row, "index": key[1], "attempts": 0 if copy else row["attempts"]})
                progress.step()


def _decided(engine: Engine, batches: Iterable[Batch]) -> Iterator[Outcome]:
    """The outcomes of all batches; what came too near a limit is run again at the end, when nothing else is running."""
    doubtful = []
    for outcome in engine.run(batches):
        if outcome.value is not None and "in_doubt" in outcome.value:
            doubtful.append(outcome)
        else:
            yield outcome
    for outcome in doubtful:
        patience_s = _PATIENCE * outcome.shared["limits"]["wall_s"]
        yield from engine.run(
            [Batch(shared=outcome.shared, parts=[{**outcome.part, "alone": True}], patience_s=patience_s)]
        )


def _program(job: Job, sample: Sample) -> str:
    problem = job.problems[sample.task_id]
    return job.task.source(
        problem,
        sample.completion,
        is_program=sample.is_program,
        prompt=sample.prompt,
        preset=find_preset(job.task, job.config.preset),
    )


def _digests(job: Job) -> dict[Key, str]:
    return {key: grade.program_digest(_program(job, sample)) for key, sample in job.samples.items()}


def _without_verdict(out: Path, digests: Mapping[Key, str]) -> list[Key]:
    """Samples without a verdict, or whose verdict is of another program or our own fault."""
    grades = _read(read_grades, out)

    def judged(key: Key) -> bool:
        row = grades.get(key)
        return row is not None and row.program == digests[key] and row.verdict is not Verdict.UNJUDGED

    return [key for key in digests if not judged(key)]


def _batches(job: Job, plans: Mapping[str, grade.Plan], work: Sequence[tuple[Key, str]]) -> Iterator[Batch]:
    by_problem: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for (task_id, index), program in work:
        if task_id in plans:
            by_problem[task_id].append({"index": index, "program": program})
    # The slowest first: begun last, one of them would keep one slot busy when the others have nothing left to do.
    for task_id, parts in sorted(by_problem.items(), key=lambda item: -plans[item[0]].cpu_s):
        plan = plans[task_id]
        problem = job.problems[task_id]
        shared: dict[str, Any] = {
            "key": problem.digest,
            "task_id": task_id,
            "problem": problem.to_json(),
            "plan": plan.to_json(),
            "limits": asdict(job.config.limits_for(plan.cpu_s, job.task.least_cpu_s)),
        }
        patience_s = _PATIENCE * shared["limits"]["wall_s"]
        for start in range(0, len(parts), BATCH):
            yield Batch(shared=shared, parts=parts[start : start + BATCH], patience_s=patience_s)


def _lost(outcome: Outcome, digests: Mapping[Key, str]) -> dict[str, Any]:
    key = (outcome.shared["task_id"], outcome.part["index"])
    return _unjudged(key, digests[key], f"{outcome.attempts} slots died over it", outcome.attempts).to_row()


def _unjudged(key: Key, program: str, reason: str, attempts: int = 1) -> Grade:
    return Grade(
        task_id=key[0],
        index=key[1],
        verdict=Verdict.UNJUDGED,
        mode="none",
        program=program,
        detail=reason,
        attempts=attempts,
    )


# ---------------------------------------------------------------------------------------------------------------------
# References
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """What the references of some problems showed."""

    usable: Mapping[str, grade.Plan]
    failed: Mapping[str, str]
    """Why, for problems whose own solution does not pass here."""


def plan_references(job: Job, out: Path, engine: Engine, task_ids: Iterable[str]) -> References:
    """Runs the reference of each problem, once per run directory: a resumed run judges by the same measurements."""
    path = out / "references.json"
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    wanted = set(task_ids)
    problems = {task_id: problem for task_id, problem in job.problems.items() if task_id in wanted}
    new = [problem for problem in problems.values() if problem.digest not in stored]
    failed: dict[str, str] = {}
    with Progress("references", len(new)) as progress:
        for outcome in engine.run(_reference_batches(job, new)):
            answer = outcome.value or {"failed": "the slots that ran the reference died"}
            if "plan" in answer:
                stored[outcome.shared["key"]] = answer["plan"]
            else:
                failed[outcome.shared["task_id"]] = answer["failed"]
            progress.step()
    if new:
        write_atomic(path, json.dumps(stored) + "\n")
    usable = {
        task_id: grade.Plan.from_json(stored[problem.digest])
        for task_id, problem in problems.items()
        if problem.digest in stored
    }
    return References(usable=usable, failed=failed)


def _reference_batches(job: Job, problems: Iterable[Problem]) -> Iterator[Batch]:
    for problem in problems:
        program = job.task.source(problem, problem.reference, is_program=False)
        shared = {
            "key": problem.digest,
            "task_id": problem.task_id,
            "problem": problem.to_json(),
            "limits": asdict(replace(REFERENCE_LIMITS, memory_bytes=job.config.memory_bytes)),
        }
        yield Batch(shared=shared, parts=[{"reference": program}], patience_s=_PATIENCE * REFERENCE_LIMITS.wall_s)


# ---------------------------------------------------------------------------------------------------------------------
# Report
# ---------------------------------------------------------------------------------------------------------------------


def report(out: Path, record: Mapping[str, Any] | None = None, ks: Sequence[int] = ()) -> dict[str, Any]:
    """Rebuilds results.json, summary.md and junit.xml from the records; the content of results.json.

    Raises:
        UsageError: there is no run in the directory, or some k has too few samples.
    """
    from harness.report import build_results, write_report

    record = record or read_run(out)
    config = RunConfig.from_json(record["config"])
    samples = _read(read_samples, out)
    counts = collections.Counter(task_id for task_id, _ in samples)
    if not counts:
        raise UsageError(f"{out} has no samples yet")
    # What a model has not answered is missing, and no reason to count fewer.
    counts.update({task_id: n - counts[task_id] for task_id, n in record.get("expected", {}).items()})
    expected = dict(sorted(counts.items(), key=lambda item: _natural(item[0])))
    ks = tuple(ks) or config.ks or tuple(k for k in DEFAULT_KS if k <= min(expected.values()))
    _check_ks(ks, expected)
    grades = [row for key, row in _read(read_grades, out).items() if key in samples]
    results = build_results(
        task_name=config.task,
        protocol=record["protocol"],
        grades=grades,
        expected=expected,
        ks=ks,
        decoding=read_statistics(out),
    )
    write_report(out, record, results)
    return results


def _natural(task_id: str) -> tuple[str, int]:
    """`HumanEval/2` before `HumanEval/10`."""
    head, _, tail = task_id.rpartition("/")
    return (head, int(tail)) if tail.isdigit() else (task_id, 0)


def _read(reader: Callable[[Path], dict[Key, T]], out: Path) -> dict[Key, T]:
    """The records of a run directory.

    Raises:
        UsageError: a row is JSON but none of ours, so somebody else has written to the file.
    """
    try:
        return reader(out)
    except ValueError as error:
        raise UsageError(str(error)) from error


def export_run(run: Path, format: str, path: Path, *, data: Mapping[str, str]) -> int:
    """Writes the samples of a run in another project's format; how many there are.

    Args:
        run: the run directory.
        format: an `ExportFormat`.
        path: the file to write.
        data: data set -> path, where it is no longer at the place that the run took it from.

    Raises:
        UsageError: there is no run, or the format cannot hold its samples.
        tasks.data.DatasetUnavailable: the task's data cannot be had.
        OSError: the file cannot be written.
    """
    from harness.export import export

    config = RunConfig.from_json(read_run(run)["config"])
    config = replace(config, data=tuple({**dict(config.data), **data}.items()))
    task = config.load_task()
    samples = _read(read_samples, run)
    problems = {problem.task_id: problem for problem in task.load()}
    job = Job(config=config, task=task, problems=problems, samples=samples)
    return export(samples.values(), problems, format, path, program=lambda sample: _program(job, sample))
