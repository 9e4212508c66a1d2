from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.config import RunConfig, UsageError
from harness.records import RecordFile, RunDirectoryBusy
from harness.rundir import open_run, read_run, throw_away

PROTOCOL: dict[str, Any] = {"hash": "c0ffee", "python": "3.11", "packages": {"policy": "stdlib", "versions": {}}}
BOX = {"name": "local", "layers": ["walls"]}


def opened(path: Path, *, protocol: dict[str, Any] = PROTOCOL, **choices: Any) -> dict[str, Any]:
    return open_run(path, RunConfig(**choices), protocol, BOX)


def test_a_new_run_is_written_and_read_back(tmp_path: Path) -> None:
    run = opened(tmp_path / "a" / "b")
    assert read_run(tmp_path / "a" / "b") == run
    assert (run["config"], run["protocol"], run["sandbox"]) == (RunConfig().to_json(), PROTOCOL, BOX)


def test_a_run_that_is_taken_up_again_keeps_the_time_it_was_created(tmp_path: Path) -> None:
    opened(tmp_path)
    row = {**read_run(tmp_path), "created": "2001-01-01T00:00:00Z"}
    (tmp_path / "run.json").write_text(json.dumps(row))
    assert opened(tmp_path)["created"] == "2001-01-01T00:00:00Z"


def test_choices_that_may_change_are_the_new_ones(tmp_path: Path) -> None:
    opened(tmp_path, workers=1)
    opened(tmp_path, workers=5, ks=(1,), engine="serial", data=(("mbpp", "moved.jsonl"),))
    found = read_run(tmp_path)["config"]
    assert (found["workers"], found["ks"], found["engine"]) == (5, [1], "serial")
    assert found["data"] == {"mbpp": "moved.jsonl"}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"task": "mbpp"}, "task: 'humaneval' before, 'mbpp' now"),
        ({"packages": "host"}, "packages: 'stdlib' before, 'host' now"),
        ({"cpu_s": 1.0}, "cpu_s: 0.25 before, 1.0 now"),
        ({"memory_bytes": 5}, "memory_bytes: 1073741824 before, 5 now"),
        ({"subset": True}, "subset: False before, True now"),
        ({"preset": "chat"}, "preset: 'codex' before, 'chat' now"),
        ({"split": "train"}, "split: '' before, 'train' now"),
        ({"challenge": True}, "challenge: False before, True now"),
        ({"checker": "official"}, "checker: '' before, 'official' now"),
    ],
)
def test_another_question_is_refused_by_name(tmp_path: Path, choices: dict[str, Any], said: str) -> None:
    opened(tmp_path)
    with pytest.raises(UsageError) as refusal:
        opened(tmp_path, **choices)
    assert said in str(refusal.value)
    assert "--out" in str(refusal.value)
    assert "--fresh" in str(refusal.value)


def test_every_field_that_differs_is_listed(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(UsageError) as refusal:
        opened(tmp_path, task="mbpp", cpu_s=1.0, limit=3)
    assert str(refusal.value).count(" before, ") == 3


def test_another_protocol_behind_the_same_choices_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(UsageError, match=r"protocol\.python: '3\.11' before, '3\.12' now"):
        opened(tmp_path, protocol={**PROTOCOL, "python": "3.12"})


def test_a_refused_question_leaves_run_json_as_it_was(tmp_path: Path) -> None:
    opened(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(UsageError):
        opened(tmp_path, task="mbpp")
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"config": {}}'])
def test_a_damaged_run_json_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError, match=r"run\.json is damaged"):
        opened(tmp_path)


def test_a_directory_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["file/run", "file", "x" * 300])
def test_a_directory_that_cannot_be_is_an_error_that_says_where_to_go(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="name another directory with --out"):
        opened(tmp_path / name)


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        ({"policy": "stdlib", "versions": {}}, "stdlib"),
        ({"policy": "numpy", "versions": {"numpy": "2.0"}}, "numpy numpy==2.0"),
        ({"policy": "host", "versions": {"a": "1", "b": "2"}}, "host (2 distributions)"),
    ],
)
def test_packages_are_said_on_one_line(tmp_path: Path, packages: dict[str, Any], said: str) -> None:
    assert opened(tmp_path, protocol={**PROTOCOL, "packages": packages})["packages"] == said


def test_throwing_a_run_away_leaves_what_is_not_its_own(corpus: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(corpus.run_dir, tmp_path / "run"))
    (run / "notes.txt").write_text("mine")
    throw_away(run)
    assert [path.name for path in run.iterdir()] == ["notes.txt"]


def test_throwing_nothing_away_is_fine(tmp_path: Path) -> None:
    throw_away(tmp_path / "nowhere")


def test_a_run_that_is_being_written_is_not_thrown_away(corpus: Any, tmp_path: Path) -> None:
    run = Path(shutil.copytree(corpus.run_dir, tmp_path / "run"))
    before = sorted(run.iterdir())
    with RecordFile(run / "verdicts-00000-of-00001.jsonl"), pytest.raises(RunDirectoryBusy):
        throw_away(run)
    assert sorted(run.iterdir()) == before
