from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config import RunConfig, UsageError
from harness.settings import CHOICES, GENERATION, byte_count, named_paths, resolve, whole_numbers, yes_or_no
from tasks.catalog import TASKS, load_task


@given(st.lists(st.integers(0, 10**6)), st.sampled_from([",", " ", ", ", ",,"]))
def test_whole_numbers_are_read_back_however_they_are_separated(numbers: list[int], separator: str) -> None:
    assert whole_numbers(separator.join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["one", "1,two", "1.5", "1;2", "0x10"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        whole_numbers(text)


@given(st.integers(0, 2**40))
def test_a_plain_number_is_so_many_bytes(number: int) -> None:
    assert byte_count(str(number)) == number


@given(st.integers(0, 2**20), st.sampled_from(["k", "K", "m", "M", "g", "G"]))
def test_a_unit_multiplies_by_a_power_of_1024(number: int, unit: str) -> None:
    assert byte_count(f"{number}{unit}") == number * 1024 ** (1 + "KMG".index(unit.upper()))


def test_a_unit_takes_a_fraction() -> None:
    assert byte_count("0.5G") == byte_count("512M") == 512 << 20


@given(st.text(max_size=8))
def test_any_text_is_a_number_of_bytes_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(byte_count(text), int)


@pytest.mark.parametrize("text", ["", "G", "1T", "infG", "nanM", "1e999G", "1.5", "ten"])
def test_what_is_no_number_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is Python's own, and the caller replaces it
        byte_count(text)


@pytest.mark.parametrize(
    ("text", "meant"), [("true", True), ("Yes", True), ("1", True), ("FALSE", False), ("no", False)]
)
def test_yes_and_no_can_be_said_in_several_ways(text: str, meant: bool) -> None:
    assert yes_or_no(text) is meant


@pytest.mark.parametrize("text", ["", "maybe", "2", "tru"])
def test_what_is_neither_yes_nor_no_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        yes_or_no(text)


names = st.sampled_from(["mbpp", "humaneval+", "apps-train"])
paths = st.text(st.characters(exclude_characters=",="), min_size=1)


@given(st.dictionaries(names, paths), st.sampled_from([",", ", "]))
def test_names_and_paths_are_read_back(places: dict[str, str], separator: str) -> None:
    text = separator.join(f"{name}={path}" for name, path in places.items())
    assert dict(named_paths(text)) == places


def test_a_comma_that_no_name_follows_is_part_of_a_path() -> None:
    assert named_paths("mbpp=a, b.jsonl,apps=c") == (("mbpp", "a, b.jsonl"), ("apps", "c"))


@pytest.mark.parametrize("text", ["mbpp", "mbpp=", "=a.jsonl", "mbpp,apps=b"])
def test_what_is_no_name_with_a_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME=PATH"):
        named_paths(text)


def test_with_nothing_chosen_the_defaults_hold_and_every_core_works() -> None:
    assert resolve({}, {}, None) == RunConfig(workers=os.cpu_count() or 1)


VALUES: dict[str, tuple[Any, str, str]] = {
    # choice -> its value, and how it is written in the environment and in TOML
    "task": ("other", "other", '"other"'),
    "preset": ("chat", "chat", '"chat"'),
    "model": ("mtp:x", "mtp:x", '"mtp:x"'),
    "n_samples": (3, "3", "3"),
    "temperature": (0.3, "0.3", "0.3"),
    "top_p": (0.5, "0.5", "0.5"),
    "top_k": (7, "7", "7"),
    "max_new_tokens": (99, "99", "99"),
    "seed": (5, "5", "5"),
    "batch_size": (16, "16", "16"),
    "draft": ("2", "2", "2"),
    "device": ("cpu", "cpu", '"cpu"'),
    "dtype": ("float64", "float64", '"float64"'),
    "limit": (7, "7", "7"),
    "packages": ("host", "host", '"host"'),
    "cpu_s": (1.5, "1.5", "1.5"),
    "cpu_factor": (3.0, "3", "3"),
    "memory_bytes": (1 << 29, "512M", '"512M"'),
    "ks": ((1, 10), "1,10", "[1, 10]"),
    "workers": (3, "3", "3"),
    "engine": ("serial", "serial", '"serial"'),
    "sandbox": ("local", "local", '"local"'),
    "split": ("train", "train", '"train"'),
    "checker": ("official", "official", '"official"'),
    "challenge": (True, "true", "true"),
    "data": ((("mbpp", "a.jsonl"), ("apps", "b")), "mbpp=a.jsonl,apps=b", '["mbpp=a.jsonl", "apps=b"]'),
}


def toml(tmp_path: Path, content: str) -> str:
    path = tmp_path / "choices.toml"
    path.write_text(content)
    return str(path)


def test_every_choice_is_tried_below() -> None:
    assert set(VALUES) == CHOICES


@pytest.mark.parametrize("name", list(VALUES))
def test_a_choice_can_be_typed(name: str) -> None:
    assert getattr(resolve({"model": "mtp:x", name: VALUES[name][0]}, {}, None), name) == VALUES[name][0]


@pytest.mark.parametrize("name", list(VALUES))
def test_a_choice_can_be_a_variable(name: str) -> None:
    environment = {"HARNESS_MODEL": "mtp:x", f"HARNESS_{name.upper()}": VALUES[name][1]}
    assert getattr(resolve({}, environment, None), name) == VALUES[name][0]


@pytest.mark.parametrize("name", list(VALUES))
def test_a_choice_can_stand_in_a_file(tmp_path: Path, name: str) -> None:
    model = "" if name == "model" else 'model = "mtp:x"\n'
    path = toml(tmp_path, f"{model}{name} = {VALUES[name][2]}\n")
    assert getattr(resolve({}, {}, path), name) == VALUES[name][0]


def test_several_samples_are_sampled_where_nobody_says_how() -> None:
    assert resolve({"model": "mtp:x"}, {}, None).temperature == 0
    assert resolve({"model": "mtp:x", "n_samples": 2}, {}, None).temperature == 0.8
    assert resolve({"model": "mtp:x", "n_samples": 2, "temperature": 0.1}, {}, None).temperature == 0.1


@pytest.mark.parametrize("name", GENERATION)
@pytest.mark.parametrize("model", ["reference", "samples:x"])
def test_choices_of_a_model_are_refused_where_none_is_asked(name: str, model: str) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is for a model"):
        resolve({"model": model, name: VALUES[name][0]}, {}, None)


@pytest.mark.parametrize("name", list(TASKS))
def test_preset_and_packages_are_the_tasks_where_nobody_chose(name: str) -> None:
    chosen, task = resolve({"task": name}, {}, None), load_task(name)
    assert (chosen.preset, chosen.packages) == (task.presets[0].name, task.packages)


@pytest.mark.parametrize("name", list(TASKS))
def test_to_type_the_defaults_is_to_type_nothing(name: str) -> None:
    usual = resolve({"task": name}, {}, None)
    typed = {choice: getattr(usual, choice) for choice in ("preset", "packages", "split", "checker", "challenge")}
    assert resolve({"task": name, **typed}, {}, None) == usual
    assert usual.load_task().name == name


def test_parts_and_checkers_that_nobody_chose_are_written_out() -> None:
    mbpp, apps = (resolve({"task": name}, {}, None) for name in ("mbpp", "apps-interview"))
    assert ((mbpp.split, mbpp.checker), (apps.split, apps.checker)) == (("test", ""), ("test", "strict"))


@given(st.lists(st.sampled_from(["typed", "variable", "file"]), unique=True))
def test_the_nearest_choice_wins(sources: list[str]) -> None:
    order = {"typed": 4, "variable": 3, "file": 2}
    typed = {"workers": 4} if "typed" in sources else {}
    environment = {"HARNESS_WORKERS": "3"} if "variable" in sources else {}
    path = Path(__file__).parent / "choices" / "two_workers.toml" if "file" in sources else None
    found = resolve(typed, environment, str(path) if path else None).workers
    assert found == max((order[source] for source in sources), default=os.cpu_count() or 1)


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "HARNESSED", "HARNESS_REALDATA", "HARNESS_DATA_DIR", "HARNESS_CACHE_DIR"),
        "HARNESS_DOCKER_RUNTIME",
    ],
)
def test_variables_that_are_no_choice_are_left_alone(name: str) -> None:
    assert resolve({"workers": 1}, {name: "x"}, None) == RunConfig(workers=1)


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("HARNESS_WORKER", "unknown choice HARNESS_WORKER; did you mean HARNESS_WORKERS"),
        ("HARNESS_MODEL_DIGEST", "unknown choice HARNESS_MODEL_DIGEST"),
        ("HARNESS_XYZZY", "unknown choice HARNESS_XYZZY; accepted: HARNESS_BATCH_SIZE, "),
    ],
)
def test_an_unknown_variable_of_ours_is_an_error(variable: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        resolve({}, {variable: "1"}, None)


@pytest.mark.parametrize("name", ["limit", "cpu_s", "cpu_factor", "memory_bytes", "ks", "workers", "challenge", "data"])
def test_a_variable_of_the_wrong_type_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(UsageError, match=f"the variable HARNESS_{name.upper()} is 'much', which is no value"):
        resolve({}, {f"HARNESS_{name.upper()}": "much"}, None)


@pytest.mark.parametrize("content", ["workers = 2.5", "workers = true", "workers = [1, 2]", "limit = 1979-05-27"])
def test_a_value_of_the_wrong_type_in_a_file_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError, match=r"in .*choices\.toml is .*, which is no value"):
        resolve({}, {}, toml(tmp_path, content))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        resolve({}, {}, str(tmp_path))
