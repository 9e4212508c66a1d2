from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import FakeHub

from harness.config import UsageError
from harness.data_command import DONE, INCOMPLETE, fetch, list_datasets, verify
from tasks.sources import SOURCES

REPOSITORY = Path(__file__).parents[2]
REALDATA = Path(os.environ.get("HARNESS_REALDATA", REPOSITORY / "../shared/data"))
ROWS = b'{"id": 0}\n{"id": 1}\n'
SHA256 = hashlib.sha256(ROWS).hexdigest()

RUN = """
import json, sys
from harness import data_command
function, *arguments = json.loads(sys.argv[1])
sys.exit(getattr(data_command, function)(*arguments))
"""


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no data sets and no network; its folder for data sets is the path."""
    for name in [name for name in os.environ if name.startswith(("HARNESS_", "HF_")) or name.endswith("OVERRIDE_PATH")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # nothing listens there, so nothing leaves this machine
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The function in a process of its own, with empty caches of the hub, and a hub that is given or gone."""

    def run(*call: Any, hub: str = "http://127.0.0.1:1") -> subprocess.CompletedProcess[str]:
        variables = {"PYTHONPATH": str(REPOSITORY), "HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": hub}
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", RUN, json.dumps(call)],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@contextlib.contextmanager
def hub_with(name: str, content: bytes) -> Iterator[FakeHub]:
    """A hub where the data set called `name` has this content in each of its files."""
    publication = SOURCES[name].publications[0]
    files = {file.path: content for file in publication.files}
    hub = FakeHub({publication.repository: {publication.revision: files}})
    try:
        yield hub
    finally:
        hub.close()


# ---------------------------------------------------------------------------------------------------------------------
# data list
# ---------------------------------------------------------------------------------------------------------------------


def test_the_list_names_every_data_set_with_its_licence_and_what_to_type(run: Run) -> None:
    done = run("list_datasets", {})
    lines = done.stdout.splitlines()[1:]
    assert (done.returncode, done.stderr, [line.split()[0] for line in lines]) == (DONE, "", list(SOURCES))
    for line, source in zip(lines, SOURCES.values(), strict=True):
        assert source.licence in line
        assert f"data fetch {source.name}" in line or f"package: {os.sep}" in line


def test_the_list_says_where_a_data_set_was_found_and_how_large_it_is(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "mbpp.jsonl").write_bytes(b"x" * 4000)
    assert list_datasets({}) == DONE
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mbpp ")]
    assert line.split() == [
        "mbpp",
        "4",
        "kB",
        "CC",
        "BY",
        "4.0",
        "yes",
        "HARNESS_DATA_DIR:",
        str(machine / "mbpp.jsonl"),
    ]


def test_the_list_shows_a_given_path_as_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.jsonl").touch()
    assert list_datasets({"mbpp": str(tmp_path / "mine.jsonl"), "apps": "/no/where"}) == DONE
    output = capsys.readouterr().out
    assert f"own file  given: {tmp_path / 'mine.jsonl'}" in output
    assert "missing: --data apps=/no/where: there is no such file" in output


# ---------------------------------------------------------------------------------------------------------------------
# data fetch
# ---------------------------------------------------------------------------------------------------------------------


def test_what_is_here_already_is_shown_and_nothing_is_fetched(run: Run) -> None:
    done = run("fetch", ["humaneval"], {})
    assert (done.returncode, done.stderr) == (DONE, "")
    name, path = done.stdout.splitlines()
    assert name == "humaneval: package"
    assert os.path.isfile(path.strip())


def test_what_cannot_be_fetched_is_exit_code_3_and_one_message_on_stderr(run: Run) -> None:
    done = run("fetch", ["apps"], {})
    assert (done.returncode, done.stdout) == (INCOMPLETE, "")
    assert done.stderr.startswith("harness: apps is neither in HARNESS_DATA_DIR=")
    assert done.stderr.count("\n") == 1


def test_what_the_hub_has_is_fetched_but_other_bytes_than_the_pinned_ones_are_refused(run: Run) -> None:
    with hub_with("apps", ROWS) as hub:
        done = run("fetch", ["apps"], {}, hub=hub.url)
    assert done.returncode == INCOMPLETE
    assert f"has the sha256 {SHA256}, but the pin of test.jsonl is {SOURCES['apps'].files[0].sha256}" in done.stderr


def test_one_data_set_that_cannot_be_fetched_does_not_keep_others_from_it(run: Run) -> None:
    done = run("fetch", ["apps", "humaneval"], {})
    assert done.returncode == INCOMPLETE
    assert done.stdout.startswith("humaneval: package\n")


def test_ones_own_file_is_shown_as_not_pinned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.jsonl").write_bytes(ROWS)
    assert fetch(["mbpp"], {"mbpp": str(tmp_path / "mine.jsonl")}) == DONE
    said = f"not pinned: own file {SHA256[:12]}; type: python -m harness data verify mbpp"
    assert said in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------------
# data verify
# ---------------------------------------------------------------------------------------------------------------------


def test_the_real_humaneval_is_as_pinned_and_has_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(["humaneval"], {}) == DONE
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("humaneval: as pinned: ")
    assert second == "humaneval: 164 rows"


def test_a_file_with_other_bytes_and_too_few_rows_is_exit_code_3(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "mbpp.jsonl").write_bytes(ROWS)
    assert verify(["mbpp"], {}) == INCOMPLETE
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"mbpp: NOT as pinned ({SOURCES['mbpp'].files[0].sha256}): ")
    assert first.endswith(SHA256)
    assert second == "mbpp: 2 rows, not 974"


def test_ones_own_file_is_described_and_not_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.jsonl").write_bytes(ROWS)
    assert verify(["mbpp"], {"mbpp": str(tmp_path / "mine.jsonl")}) == DONE
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"mbpp: not pinned: {tmp_path / 'mine.jsonl'} has the sha256 {SHA256}"
    assert second == "mbpp: 2 rows, not 974"


def test_a_damaged_row_is_exit_code_3_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.jsonl").write_bytes(ROWS + b"{")
    assert verify(["mbpp"], {"mbpp": str(tmp_path / "mine.jsonl")}) == INCOMPLETE
    assert "damaged after row 2" in capsys.readouterr().err


def test_a_digest_is_taken_from_the_bytes_and_not_from_memory(machine: Path, tmp_path: Path) -> None:
    path = machine / "apps" / "test.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"id": 0}' + b" " * (9 << 20))
    fetch(["apps"], {"apps": str(path)})
    (note,) = (tmp_path / "cache/digests").iterdir()
    note.write_text(
        note.read_text().replace(hashlib.sha256(path.read_bytes()).hexdigest(), str(SOURCES["apps"].files[0].sha256))
    )
    assert fetch(["apps"], {}) == DONE
    assert verify(["apps"], {}) == INCOMPLETE


def test_what_is_not_here_is_exit_code_3_and_says_what_to_type(run: Run) -> None:
    done = run("verify", ["apps"], {})
    assert done.returncode == INCOMPLETE
    assert done.stdout == "apps: not on this machine; type: python -m harness data fetch apps\n"


@pytest.mark.parametrize(
    "call", [lambda: fetch(["mbbp"], {}), lambda: verify(["mbbp"], {}), lambda: list_datasets({"mbbp": "x"})]
)
def test_an_unknown_name_is_a_usage_error_with_a_guess(call: Callable[[], int]) -> None:
    with pytest.raises(UsageError, match=r"unknown data set 'mbbp'; accepted: .*; did you mean mbpp\?"):
        call()


@pytest.mark.realdata
@pytest.mark.skipif(not (REALDATA / "mbpp").is_dir(), reason=f"{REALDATA} does not hold mbpp; see HARNESS_REALDATA")
def test_the_real_files_are_as_pinned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(REALDATA))
    plus = str(REALDATA / "evalplus")
    assert verify(["mbpp", "humaneval+", "mbpp+"], {"humaneval+": plus, "mbpp+": plus}) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[1] for line in lines] == [
        " as pinned",
        " 974 rows",
        " as pinned",
        " 164 rows",
        " as pinned",
        " 378 rows",
    ]
