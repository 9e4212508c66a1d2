"""The house rules that a program can check."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.catalog import TASKS, load_task

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("harness", "models", "sandbox", "tasks")
FILES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
HEAVY = {"torch", "datasets", "numpy", "scipy", "matplotlib", "jinja2", "docker", "ray", "transformers", "vllm"}
LIGHT = {"models/__init__.py", "models/backend.py", "models/catalog.py", "models/openai_api.py"}
"""Of models, what is imported on machines without torch; the rest of that package is what torch is there for."""
HOMELESS = {"utils", "util", "common", "base", "registry", "helpers", "misc"}

QUOTED = re.compile(r"`([^`]+)`")

FOREIGN = {"tasks": {"datasets", "huggingface_hub", "pyarrow"}, "sandbox": {"numpy", "docker"}}
"""What a package that otherwise uses the standard library alone may import inside a function."""


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def package_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).parts[0]


def imports(path: Path, *, module_level: bool = False) -> set[str]:
    """The top-level packages that a file imports; with `module_level`, only those that importing it imports."""
    tree = ast.parse(path.read_text())
    nodes = _run_on_import(tree) if module_level else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or package_of(path)).split(".")[0] if not node.level else package_of(path))
    return found - {"__future__"}


def _run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        yield child
        yield from _run_on_import(child)


def test_there_are_files_to_look_at() -> None:
    assert {package_of(path) for path in FILES} == set(PACKAGES)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_form_a_star_around_harness(path: Path) -> None:
    if package_of(path) != "harness":
        assert not imports(path) & ({*PACKAGES} - {package_of(path)})


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_module_imports_heavy_packages_when_it_is_imported(path: Path) -> None:
    allowed = {"torch", "numpy"} if package_of(path) == "models" and name_of(path) not in LIGHT else set()
    assert not imports(path, module_level=True) & (HEAVY - allowed)


@pytest.mark.parametrize("path", [path for path in FILES if package_of(path) != "models"], ids=name_of)
def test_models_are_imported_where_they_are_needed_and_not_before(path: Path) -> None:
    assert "models" not in imports(path, module_level=True)


def test_naming_a_model_loads_no_torch() -> None:
    names = ", ".join(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sorted(LIGHT))
    code = f"import sys, {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("path", [path for path in FILES if package_of(path) in FOREIGN], ids=name_of)
def test_tasks_and_sandbox_use_the_standard_library(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, package_of(path)}
    assert imports(path, module_level=True) <= allowed
    assert imports(path) <= allowed | FOREIGN[package_of(path)]


def test_only_models_imports_torch() -> None:
    assert {package_of(path) for path in FILES if "torch" in imports(path)} <= {"models"}


def test_the_sandbox_imports_numpy_only_where_values_cross() -> None:
    assert [name_of(path) for path in FILES if package_of(path) == "sandbox" and "numpy" in imports(path)] == [
        "sandbox/codec.py"
    ]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_nothing_is_homeless() -> None:
    assert not [name_of(path) for path in FILES if path.stem in HOMELESS or path.parent.name in HOMELESS]


PROBE = """
import importlib, os, signal, subprocess, sys, threading

def forbidden(event, arguments):
    starts = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "socket.connect")
    if event in starts:
        print("importing", name, "did", event)

sys.addaudithook(forbidden)
before = dict(os.environ), os.getcwd(), signal.getsignal(signal.SIGINT)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert (dict(os.environ), os.getcwd(), signal.getsignal(signal.SIGINT)) == before
assert threading.active_count() == 1
"""


def test_importing_every_module_says_nothing_and_starts_nothing() -> None:
    names = [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in FILES]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *(name.removesuffix(".__init__") for name in names)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def tree_of_readme() -> set[str]:
    """The modules that README's picture shows, as paths from the root."""
    text = (REPOSITORY / "README.md").read_text()
    picture = text.partition("\n## The tree\n")[2].split("```")[1]
    found = set()
    package = ""
    for line in picture.splitlines():
        names = line.strip().split("  ")[0].split()
        if line[:1].strip():
            package = names[0]
        elif package.rstrip("/") in PACKAGES:
            found |= {package + name for name in names if name.endswith(".py")}
    return found


def tasks_of_readme() -> dict[str, tuple[str, str]]:
    """Presets and choices of each task, as README's table says them."""
    text = (REPOSITORY / "README.md").read_text().partition("\n### Tasks\n")[2].partition("\n#")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| `\w", line)]
    return {name: (presets, choices) for names, _, presets, choices in rows for name in QUOTED.findall(names)}


@pytest.mark.parametrize("name", list(TASKS))
def test_the_tasks_in_readme_have_the_presets_and_choices_that_they_have(name: str) -> None:
    presets, choices = tasks_of_readme()[name]
    referred = tasks_of_readme()[QUOTED.findall(presets)[0]][0] if presets.strip().startswith("as ") else presets
    assert QUOTED.findall(referred) == [preset.name for preset in load_task(name).presets]
    assert QUOTED.findall(choices) == [f"--{choice}" for choice in TASKS[name][1] if choice != "overrides"]


def test_the_tasks_in_readme_are_those_there_are() -> None:
    assert tasks_of_readme().keys() == TASKS.keys()


def test_the_tree_in_readme_lists_exactly_the_modules_there_are() -> None:
    there = {name_of(path) for path in FILES if path.name != "__init__.py"}
    assert tree_of_readme() == there
