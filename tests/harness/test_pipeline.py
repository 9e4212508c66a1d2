"""A run is the same run however it is cut up: killed and taken up again, in another order, with other workers."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from harness import pipeline
from harness.config import RunConfig, UsageError, protocol
from harness.engine import SerialEngine
from harness.pipeline import Job
from harness.records import RecordFile, RunDirectoryBusy, Sample, Verdict, read_grades, read_rows, read_samples
from harness.report import build_results
from harness.rundir import SCHEMA, read_run
from harness.samples import samples_digest
from harness.worker import REFERENCE
from tasks.problem import Preset, Problem, Script

VERDICTS = "verdicts-00000-of-00001.jsonl"
SAMPLES = "samples-00000-of-00001.jsonl"


def config_for(corpus: Any, **choices: Any) -> RunConfig:
    model = f"samples:{corpus.samples}"
    digest = samples_digest(corpus.samples)
    return RunConfig(**{"model": model, "model_digest": digest, "subset": True, "workers": 2, **choices})


@pytest.fixture
def finished(corpus: Any, tmp_path: Path) -> Path:
    """A finished run of the corpus, to do something to."""
    return Path(shutil.copytree(corpus.run_dir, tmp_path / "finished"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---------------------------------------------------------------------------------------------------------------------
# A whole run
# ---------------------------------------------------------------------------------------------------------------------


def test_references_pass_their_own_tests(tmp_path: Path) -> None:
    results = pipeline.run(RunConfig(limit=10, workers=2), tmp_path / "run")
    task = results["tasks"]["humaneval"]
    assert (task["verdicts"]["passed"], task["problems"], results["complete"]) == (10, 10, True)


def test_a_run_directory_holds_records_report_and_configuration(corpus: Any) -> None:
    reports = {"results.json", "summary.md", "junit.xml"}
    assert set(contents(corpus.run_dir)) == {"run.json", "references.json", SAMPLES, VERDICTS, *reports}


def test_the_corpus_shows_every_verdict(corpus: Any) -> None:
    assert {line[0] for line in corpus.table.values()} == {*Verdict} - {Verdict.UNJUDGED}


def test_every_sample_has_one_row_of_each_kind(corpus: Any) -> None:
    keys = [(row["task_id"], row["index"]) for row in map(json.loads, corpus.samples.read_text().splitlines())]
    for name in (SAMPLES, VERDICTS):
        rows = read_rows(corpus.run_dir / name).rows
        assert sorted((row["task_id"], row["index"]) for row in rows) == sorted(keys)


def test_a_second_run_writes_nothing(corpus: Any, tmp_path: Path) -> None:
    pipeline.run(config_for(corpus), tmp_path)
    before = contents(tmp_path)
    pipeline.run(config_for(corpus), tmp_path)
    assert contents(tmp_path) == before


def test_records_are_not_even_opened_for_writing_by_a_second_run(corpus: Any, finished: Path) -> None:
    with RecordFile(finished / SAMPLES), RecordFile(finished / VERDICTS):  # a second writer would be refused
        pipeline.run(config_for(corpus), finished)


def test_a_run_that_somebody_else_is_writing_is_left_alone(corpus: Any, tmp_path: Path) -> None:
    pipeline.generate(config_for(corpus), tmp_path)
    with RecordFile(tmp_path / VERDICTS), pytest.raises(RunDirectoryBusy):
        pipeline.run(config_for(corpus), tmp_path)
    assert read_rows(tmp_path / VERDICTS).rows == []


@pytest.mark.parametrize(
    "choices", [{"workers": 1}, {"workers": 2}, {"workers": 3}, {"engine": "serial"}], ids=["1", "2", "3", "serial"]
)
def test_verdicts_do_not_depend_on_who_does_the_work(
    corpus: Any, tools: Any, tmp_path: Path, choices: dict[str, Any]
) -> None:
    pipeline.run(config_for(corpus, **choices), tmp_path)
    assert tools.table(tmp_path) == corpus.table


@pytest.mark.parametrize("seed", [1, 2])
def test_verdicts_do_not_depend_on_the_order_of_the_samples(corpus: Any, tools: Any, tmp_path: Path, seed: int) -> None:
    rows = tools.corpus_rows()
    random.Random(seed).shuffle(rows)
    path = tools.write_rows(tmp_path / "shuffled.jsonl", rows)
    config = config_for(corpus, model=f"samples:{path}", model_digest=samples_digest(path))
    pipeline.run(config, tmp_path / "run")
    assert tools.table(tmp_path / "run") == corpus.table


def test_samples_then_verdicts_then_report_is_a_run(corpus: Any, tmp_path: Path) -> None:
    config = config_for(corpus)
    file = pipeline.generate(config, tmp_path)
    assert [row["index"] for row in read_rows(file).rows] == [row["index"] for row in read_rows(corpus.samples).rows]
    assert not (tmp_path / VERDICTS).exists()
    results = pipeline.run(config, tmp_path)
    assert results["tasks"] == json.loads((corpus.run_dir / "results.json").read_text())["tasks"]


# ---------------------------------------------------------------------------------------------------------------------
# Equal programs
# ---------------------------------------------------------------------------------------------------------------------


def test_equal_programs_of_one_problem_share_one_execution_and_one_verdict(tools: Any, tmp_path: Path) -> None:
    completions = ["    return None\n", "    return 1\n", "    return None\n", "    return None\n"]
    rows = [
        {"task_id": f"HumanEval/{number}", "index": index, "completion": completion}
        for number in range(3)
        for index, completion in enumerate(completions)
    ]
    path = tools.write_rows(tmp_path / "samples.jsonl", rows)
    config = RunConfig(model=f"samples:{path}", subset=True, workers=2)
    pipeline.run(config, tmp_path / "run")
    grades = read_grades(tmp_path / "run")
    assert [grades[f"HumanEval/{number}", index].attempts for number in range(3) for index in range(4)] == [
        1, 1, 0, 0
    ] * 3  # fmt: skip
    for number in range(3):
        twins = [grades[f"HumanEval/{number}", index] for index in (0, 2, 3)]
        assert len({replace(twin, index=0, attempts=0) for twin in twins}) == 1


def test_equal_completions_of_different_problems_are_different_programs(tools: Any, tmp_path: Path) -> None:
    rows = [{"task_id": f"HumanEval/{number}", "completion": "    return None\n"} for number in range(3)]
    path = tools.write_rows(tmp_path / "samples.jsonl", rows)
    pipeline.run(RunConfig(model=f"samples:{path}", subset=True), tmp_path / "run")
    assert len({grade.program for grade in read_grades(tmp_path / "run").values()}) == 3


# ---------------------------------------------------------------------------------------------------------------------
# Resume
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def killed(corpus: Any, command: Any, tools: Any, tmp_path: Path) -> Callable[[int], Path]:
    """Kills `evaluate` as soon as so many verdicts are on record; its run directory."""

    def kill(rows: int) -> Path:
        out = tmp_path / f"killed-{rows}"
        process = command.start("evaluate", corpus.samples, "--subset", "--out", out)
        # With no verdict wanted, the references are still being measured when the kill comes.
        if rows:
            tools.wait_until(lambda: tools.num_rows(out / VERDICTS) >= rows, f"{rows} verdicts")
        else:
            tools.wait_until(lambda: tools.num_rows(out / SAMPLES) > 0, "the samples")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        return out

    return kill


@pytest.mark.parametrize("rows", [0, 1, 10, 40, 80])
def test_a_killed_run_ends_with_the_verdicts_of_an_undisturbed_one(
    corpus: Any, command: Any, tools: Any, killed: Callable[[int], Path], rows: int
) -> None:
    out = killed(rows)
    assert tools.num_rows(out / VERDICTS) < len(corpus.table)
    done = command("evaluate", corpus.samples, "--subset", "--out", out)
    assert done.returncode == 0, done.stderr
    assert tools.table(out) == corpus.table


def test_a_resumed_run_keeps_the_verdicts_it_has(
    corpus: Any, command: Any, tools: Any, killed: Callable[[int], Path]
) -> None:
    out = killed(30)
    before = (out / VERDICTS).read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    command("evaluate", corpus.samples, "--subset", "--out", out)
    assert (out / VERDICTS).read_bytes().startswith(before)
    assert tools.num_rows(out / VERDICTS) == len(corpus.table)


def test_a_resumed_run_reports_what_an_undisturbed_one_reports(
    corpus: Any, command: Any, killed: Callable[[int], Path]
) -> None:
    out = killed(10)
    command("evaluate", corpus.samples, "--subset", "--out", out)
    assert (out / "results.json").read_bytes() == (corpus.run_dir / "results.json").read_bytes()


def test_a_run_killed_again_and_again_comes_to_its_end(corpus: Any, command: Any, tools: Any, tmp_path: Path) -> None:
    for rows in (5, 25, 60):
        process = command.start("evaluate", corpus.samples, "--subset", "--out", tmp_path / "run")
        tools.wait_until(lambda rows=rows: tools.num_rows(tmp_path / "run" / VERDICTS) >= rows, f"{rows} verdicts")
        process.kill()
        process.communicate()
    command("evaluate", corpus.samples, "--subset", "--out", tmp_path / "run")
    assert tools.table(tmp_path / "run") == corpus.table


@pytest.mark.parametrize("torn", [b'{"task_id": "HumanEval/0", "ind', b"{", b"\x00\x00\x00\x00"])
def test_a_torn_last_row_costs_one_verdict_at_most(corpus: Any, tools: Any, tmp_path: Path, torn: bytes) -> None:
    rows = (corpus.run_dir / VERDICTS).read_bytes().splitlines(keepends=True)
    pipeline.generate(config_for(corpus), tmp_path)
    (tmp_path / VERDICTS).write_bytes(b"".join(rows[:50]) + torn)
    pipeline.run(config_for(corpus), tmp_path)
    assert tools.table(tmp_path) == corpus.table
    assert read_rows(tmp_path / VERDICTS).damaged == 0


def test_slots_and_boxes_go_when_the_driver_is_killed(corpus: Any, command: Any, tools: Any, tmp_path: Path) -> None:
    process = command.start("evaluate", corpus.samples, "--subset", "--out", tmp_path / "run")
    tools.wait_until(lambda: tools.num_rows(tmp_path / "run" / VERDICTS) >= 1, "a verdict")
    process.send_signal(signal.SIGSTOP)  # so that the family does not change while it is looked at
    family = descendants(process.pid)
    assert len(family) >= 4  # two slots, two boxes, and who keeps them
    process.kill()
    process.communicate()
    tools.wait_until(lambda: not any(map(exists, family)), f"{family} to be gone")


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = []
    waiting = [pid]
    while waiting:
        waiting += (new := children.get(waiting.pop(), []))
        found += new
    return found


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def with_a_fault(finished: Path) -> Path:
    """A finished run in which one sample could not be judged, by a fault of ours."""
    row = {**read_rows(finished / VERDICTS).rows[0], "verdict": "unjudged", "detail": "the box was struck by lightning"}
    with RecordFile(finished / VERDICTS) as file:
        file.append(row)
    return finished


def test_an_unjudged_sample_makes_the_results_incomplete(with_a_fault: Path) -> None:
    results = pipeline.report(with_a_fault)
    task = results["tasks"]["humaneval"]
    assert (results["complete"], task["unjudged"], task["missing"]) == (False, 1, 0)


def test_an_unjudged_sample_is_tried_again_on_resume(corpus: Any, tools: Any, with_a_fault: Path) -> None:
    before = tools.num_rows(with_a_fault / VERDICTS)
    results = pipeline.run(config_for(corpus), with_a_fault)
    assert results["complete"]
    assert tools.table(with_a_fault) == corpus.table
    assert tools.num_rows(with_a_fault / VERDICTS) == before + 1


def test_a_verdict_of_another_program_is_no_verdict(corpus: Any, tools: Any, finished: Path) -> None:
    row = {**read_rows(finished / VERDICTS).rows[0], "program": "0" * 16, "verdict": "timeout", "detail": "by hand"}
    with RecordFile(finished / VERDICTS) as file:
        file.append(row)
    pipeline.run(config_for(corpus), finished)
    assert tools.table(finished) == corpus.table


def test_references_are_measured_once_per_run_directory(corpus: Any, finished: Path) -> None:
    before = (finished / "references.json").read_bytes()
    (finished / VERDICTS).unlink()
    pipeline.run(config_for(corpus), finished)
    assert (finished / "references.json").read_bytes() == before


# ---------------------------------------------------------------------------------------------------------------------
# The same directory, another question
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"cpu_s": 2.0}, "cpu_s: 0.25 before, 2.0 now"),
        ({"cpu_factor": 5.0}, "cpu_factor: 20.0 before, 5.0 now"),
        ({"memory_bytes": 1 << 29}, "memory_bytes: 1073741824 before, 536870912 now"),
        ({"packages": "host"}, "packages: 'stdlib' before, 'host' now"),
        ({"limit": 5}, "limit: None before, 5 now"),
        ({"model_digest": "00"}, "model_digest: "),
    ],
)
def test_a_run_directory_of_another_question_is_refused_and_untouched(
    corpus: Any, finished: Path, choice: dict[str, Any], said: str
) -> None:
    before = contents(finished)
    with pytest.raises(UsageError, match="holds another run") as error:
        pipeline.run(config_for(corpus, **choice), finished)
    assert said in str(error.value)
    assert str(error.value).count(" before, ") == 1
    assert contents(finished) == before


@pytest.mark.parametrize("choice", [{"ks": (1, 5)}, {"workers": 1}, {"engine": "serial"}, {"sandbox": "local"}])
def test_choices_that_no_verdict_depends_on_may_change(corpus: Any, finished: Path, choice: dict[str, Any]) -> None:
    before = (finished / VERDICTS).read_bytes()
    pipeline.run(config_for(corpus, **choice), finished)
    assert (finished / VERDICTS).read_bytes() == before


def test_fresh_throws_the_old_run_away(corpus: Any, tools: Any, tmp_path: Path) -> None:
    pipeline.run(RunConfig(limit=3), tmp_path)
    pipeline.run(config_for(corpus), tmp_path, fresh=True)
    assert tools.table(tmp_path) == corpus.table


@pytest.mark.parametrize("choice", [{"ks": (100,)}, {"preset": "no such"}, {"subset": False}])
def test_fresh_throws_nothing_away_for_a_run_that_cannot_be(
    corpus: Any, finished: Path, choice: dict[str, Any]
) -> None:
    before = contents(finished)
    with pytest.raises(UsageError):
        pipeline.run(config_for(corpus, **choice), finished, fresh=True)
    assert contents(finished) == before


def test_fresh_throws_nothing_away_that_somebody_is_writing(corpus: Any, finished: Path) -> None:
    before = contents(finished)
    with RecordFile(finished / VERDICTS), pytest.raises(RunDirectoryBusy):
        pipeline.run(config_for(corpus), finished, fresh=True)
    assert contents(finished) == before


# ---------------------------------------------------------------------------------------------------------------------
# Problems whose reference fails
# ---------------------------------------------------------------------------------------------------------------------


class Sums:
    """A task of two problems, of which the dataset got one wrong."""

    name = "sums"
    version = "1"
    packages = "stdlib"
    least_cpu_s = 0.0
    excluded: Mapping[str, int] = MappingProxyType({})
    presets: Sequence[Preset] = (Preset(name="plain", stops=()),)

    def load(self) -> list[Problem]:
        return [self._problem("add", "a + b", "4"), self._problem("wrong", "a - b", "4")]

    def data_digests(self) -> dict[str, str]:
        return {"sums": "0" * 64}

    def prompt(self, problem: Problem, preset: Preset) -> str:
        return problem.prompt

    def source(self, problem: Problem, completion: str, **_: Any) -> str:
        return problem.prompt + completion

    def _problem(self, name: str, body: str, expected: str) -> Problem:
        return Problem(
            task_id=f"sums/{name}",
            prompt=f"def {name}(a, b):\n",
            entry_point=name,
            reference=f"    return {body}\n",
            check=Script(setup="", test=f"assert {name}(1, 3) == {expected}\n", start="", names=(name,)),
        )


@pytest.fixture
def engine() -> Iterator[SerialEngine]:
    with closing(SerialEngine(REFERENCE, {"sandbox": "auto", "packages": "stdlib"})) as built:
        yield built


def sums_job(task: Any) -> Job:
    problems = {problem.task_id: problem for problem in task.load()}
    samples = [Sample(task_id=task_id, index=0, completion="    return a + b\n") for task_id in problems]
    config = RunConfig(task="sums", preset="plain", ks=(1,))
    return Job(config=config, task=task, problems=problems, samples={sample.key: sample for sample in samples})


def judge(job: Job, out: Path, engine: SerialEngine) -> dict[str, Any]:
    pipeline.write_samples(job, out)
    pipeline.evaluate(job, out, engine)
    asked = protocol(job.config, job.task, list(job.problems.values()), "3.11", {})
    return pipeline.report(out, {"config": job.config.to_json(), "protocol": asked})


def test_a_problem_whose_reference_fails_is_unjudged_with_a_reason(tmp_path: Path, engine: SerialEngine) -> None:
    judge(sums_job(Sums()), tmp_path, engine)
    grades = read_grades(tmp_path)
    assert grades["sums/add", 0].verdict is Verdict.PASSED
    assert grades["sums/wrong", 0].verdict is Verdict.UNJUDGED
    assert "sums/wrong: the reference solution fails its own tests" in grades["sums/wrong", 0].detail


def test_a_problem_whose_reference_fails_makes_the_results_incomplete(tmp_path: Path, engine: SerialEngine) -> None:
    results = judge(sums_job(Sums()), tmp_path, engine)
    task = results["tasks"]["sums"]
    assert (results["complete"], task["unjudged"], task["verdicts"]["passed"]) == (False, 1, 1)
    assert task["pass_at_k"]["1"]["estimate"] is None


def test_a_problem_whose_reference_fails_is_tried_again_on_resume(tmp_path: Path, engine: SerialEngine) -> None:
    class Mended(Sums):
        def load(self) -> list[Problem]:
            return [self._problem("add", "a + b", "4"), self._problem("wrong", "a + b", "4")]

    judge(sums_job(Sums()), tmp_path, engine)
    results = judge(sums_job(Mended()), tmp_path, engine)
    assert results["complete"]
    assert results["tasks"]["sums"]["verdicts"]["passed"] == 2


def test_a_failing_reference_is_not_put_on_record(tmp_path: Path, engine: SerialEngine) -> None:
    job = sums_job(Sums())
    judge(job, tmp_path, engine)
    assert list(json.loads((tmp_path / "references.json").read_text())) == [job.problems["sums/add"].digest]


def test_results_of_a_job_count_what_was_asked_for(tmp_path: Path, engine: SerialEngine) -> None:
    job = sums_job(Sums())
    assert job.expected == {"sums/add": 1, "sums/wrong": 1}


# ---------------------------------------------------------------------------------------------------------------------
# Report
# ---------------------------------------------------------------------------------------------------------------------


def test_a_report_is_rebuilt_from_the_records_to_the_same_bytes(finished: Path) -> None:
    before = contents(finished)
    for name in ("results.json", "summary.md", "junit.xml"):
        (finished / name).unlink()
    pipeline.report(finished)
    assert contents(finished) == before


def test_a_report_of_other_ks_has_them(finished: Path) -> None:
    results = pipeline.report(finished, ks=(2, 3))
    assert list(results["tasks"]["humaneval"]["pass_at_k"]) == ["2", "3"]


@pytest.mark.parametrize(("k", "said"), [(0, "k must be 1 or more, not 0"), (10, "type -k 9 or less")])
def test_a_report_of_an_impossible_k_is_refused(corpus: Any, k: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        pipeline.report(corpus.run_dir, ks=(k,))


def test_a_report_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        pipeline.report(tmp_path)


@pytest.mark.parametrize("name", [SAMPLES, VERDICTS])
def test_a_row_that_is_none_of_ours_is_named(finished: Path, name: str) -> None:
    with (finished / name).open("a") as file:
        file.write('{"task_id": "HumanEval/0"}\n')
    with pytest.raises(UsageError, match=name):
        pipeline.report(finished)


def test_run_json_can_be_read_back_as_what_was_asked_for(corpus: Any, tmp_path: Path) -> None:
    config = config_for(corpus, workers=1, ks=(1, 2))
    pipeline.run(config, tmp_path)
    run = read_run(tmp_path)
    assert RunConfig.from_json(run["config"]) == config
    assert (run["schema"], run["packages"]) == (SCHEMA, "stdlib")
    assert run["sandbox"]["layers"]


def test_results_carry_the_protocol_of_run_json(corpus: Any) -> None:
    results = json.loads((corpus.run_dir / "results.json").read_text())
    assert results["protocol"] == read_run(corpus.run_dir)["protocol"]


def test_results_are_those_of_the_records(corpus: Any) -> None:
    results = json.loads((corpus.run_dir / "results.json").read_text())
    samples = read_samples(corpus.run_dir)
    expected: dict[str, int] = {}
    for task_id, _ in samples:
        expected[task_id] = expected.get(task_id, 0) + 1
    again = build_results(
        task_name="humaneval",
        protocol=results["protocol"],
        grades=read_grades(corpus.run_dir).values(),
        expected=expected,
        ks=[1],
    )
    assert json.loads(json.dumps(again)) == results


def test_problems_are_reported_in_the_order_of_their_numbers() -> None:
    names = ["HumanEval/10", "HumanEval/2", "HumanEval/0", "other"]
    assert sorted(names, key=pipeline._natural) == ["HumanEval/0", "HumanEval/2", "HumanEval/10", "other"]
