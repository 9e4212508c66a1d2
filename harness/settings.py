"""Where a choice comes from: command line, then HARNESS_* variables, then a TOML file, then the default."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.config import RunConfig, UsageError
from tasks.catalog import TASKS, default_choices, load_task

PREFIX = "HARNESS_"
SEVERAL_TEMPERATURE = 0.8
"""Where several samples are wanted and nothing is said: what the papers sample at for pass@k of larger k."""
_NOT_CHOICES = frozenset(f"HARNESS_{name}" for name in ("REALDATA", "DATA_DIR", "CACHE_DIR", "DOCKER_RUNTIME"))
"""Variables of ours that are no choice of a run."""


def whole_numbers(text: str) -> tuple[int, ...]:
    """`"1,10,100"` as numbers.

    Raises:
        ValueError: a part is no whole number.
    """
    return tuple(int(part) for part in text.replace(" ", ",").split(",") if part)


def byte_count(text: str) -> int:
    """`"512M"` or `"2G"` or a plain number as bytes.

    Raises:
        ValueError: neither.
    """
    units = {"K": 10, "M": 20, "G": 30}
    unit = units.get(text[-1:].upper())
    if unit is None:
        return int(text)
    number = float(text[:-1])
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no number of bytes")
    return int(number * (1 << unit))


def yes_or_no(text: str) -> bool:
    """`"true"` or `"false"`, in any case, or 1 or 0.

    Raises:
        ValueError: neither.
    """
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise ValueError(f"{text!r} is neither true nor false")
    return known[text.lower()]


_NEXT_NAME = re.compile(r",\s*(?=[\w+-]+=)")


def named_paths(text: str) -> tuple[tuple[str, str], ...]:
    """`"mbpp=a.jsonl,apps=b.jsonl"` as pairs of name and path. A comma that no `NAME=` follows is part of a path.

    Raises:
        ValueError: a part has no name or no path.
    """
    pairs = []
    for part in filter(None, _NEXT_NAME.split(text)):
        name, equals, path = part.partition("=")
        if not (name and equals and path):
            raise ValueError(f"{part!r} is not NAME=PATH")
        pairs.append((name, path))
    return tuple(pairs)


CONVERTERS: dict[str, Callable[[str], Any]] = {
    "limit": int,
    "n_samples": int,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "max_new_tokens": int,
    "seed": int,
    "batch_size": int,
    "ks": whole_numbers,
    "challenge": yes_or_no,
    "data": named_paths,
    "workers": int,
    "cpu_s": float,
    "cpu_factor": float,
    "memory_bytes": byte_count,
}
"""From text to the value of a choice; text stays text where nothing is said."""

GENERATION = (
    *("n_samples", "temperature", "top_p", "top_k", "max_new_tokens", "seed"),
    *("batch_size", "draft", "device", "dtype"),
)
"""Choices that only a model has."""

_TEXTS = ("task", "preset", "split", "checker", "model", "packages", "engine", "sandbox", "draft", "device", "dtype")
CHOICES = frozenset({*_TEXTS, *CONVERTERS})


def resolve(typed: Mapping[str, Any], environment: Mapping[str, str], toml_path: str | None) -> RunConfig:
    """The run's configuration.

    Args:
        typed: choices from the command line, converted, without those that were not typed.
        environment: the process environment.
        toml_path: a file of choices, if one was named.

    Raises:
        UsageError: an unknown name, a value of the wrong type, or an unreadable file.
    """
    defaults = {"workers": os.cpu_count() or 1}
    chosen = {**defaults, **_from_toml(toml_path), **_from_environment(environment), **typed}
    if chosen.get("n_samples", 1) > 1:
        chosen = {"temperature": SEVERAL_TEMPERATURE, **chosen}
    config = RunConfig(**{**_of_the_task(RunConfig(**chosen)), **chosen})
    idle = [name for name in GENERATION if name in chosen]
    if idle and not config.asks_a_model:
        flag = "--" + idle[0].replace("_", "-")
        raise UsageError(
            f"{flag} is for a model that is asked for samples; {config.model} is none: name one with --model"
        )
    return config


def _of_the_task(config: RunConfig) -> dict[str, Any]:
    """Choices that depend on the task where nobody has made them."""
    if config.task not in TASKS:
        return {}  # an error whose message is somebody else's
    task = load_task(config.task)
    # Written out, so that whoever types the default asks for the same as whoever types nothing.
    return {"preset": task.presets[0].name, "packages": task.packages, **default_choices(config.task)}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    chosen = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in _NOT_CHOICES:
            continue
        name = variable.removeprefix(PREFIX).lower()
        _check_name(name, variable, lambda choice: PREFIX + choice.upper())
        chosen[name] = _converted(name, text, f"the variable {variable}")
    return chosen


def _from_toml(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    import tomllib

    try:
        with open(path, "rb") as file:
            rows = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}") from error
    except ValueError as error:  # its own error, and that of text which is not UTF-8
        raise UsageError(f"--config {path} is not TOML: {error}") from error
    chosen = {}
    for name, value in rows.items():
        _check_name(name, f"{name} in {path}", str)
        if isinstance(value, list):
            value = ",".join(map(str, value))
        chosen[name] = _converted(name, str(value), f"{name} in {path}")
    return chosen


def _check_name(name: str, written: str, spelled: Callable[[str], str]) -> None:
    if name in CHOICES:
        return
    near = difflib.get_close_matches(name, sorted(CHOICES), n=1)
    hint = f"; did you mean {spelled(near[0])}?" if near else f"; accepted: {', '.join(map(spelled, sorted(CHOICES)))}"
    raise UsageError(f"unknown choice {written}{hint}")


def _converted(name: str, text: str, origin: str) -> Any:
    try:
        return CONVERTERS.get(name, str)(text)
    except ValueError:
        raise UsageError(f"{origin} is {text!r}, which is no value for {name.replace('_', '-')}") from None
