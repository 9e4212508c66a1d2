"""One run, one directory: what it was asked to do, and whether what it is asked now is the same."""

from __future__ import annotations

import glob
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness import __version__
from harness.config import WHAT_MAY_CHANGE, RunConfig, UsageError, differences
from harness.records import RecordFile, write_atomic

SCHEMA = "mtp-harness/run/1"

_REPORT = ("results.json", "summary.md", "junit.xml")


def open_run(
    path: Path,
    config: RunConfig,
    protocol: Mapping[str, Any],
    box: Mapping[str, Any],
    expected: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """Creates the run directory or takes up the run in it; the content of its `run.json`.

    Args:
        path: the directory.
        config: what is asked for.
        protocol: what makes scores comparable.
        box: what the sandbox says of itself.
        expected: task_id -> samples that a model is asked for; empty where no model is.

    Raises:
        UsageError: the directory cannot be written, or holds a run that was asked for something else.
    """
    old = read_run(path) if os.path.exists(path / "run.json") else None
    if old is not None:
        _check_same(path, old, {"config": config.to_json(), "protocol": dict(protocol), "sandbox": dict(box)})
    elif glob.glob(os.path.join(path, "verdicts-*.jsonl")):
        raise UsageError(
            f"{path} holds verdicts of a run that it no longer describes: run.json is missing. "
            f"Name another directory with --out, or add --fresh to throw the old run away."
        )
    run = {
        "schema": SCHEMA,
        "created": old["created"] if old else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": config.to_json(),
        "protocol": dict(protocol),
        "sandbox": dict(box),
        "packages": _packages_text(protocol["packages"]),
        "versions": {"harness": __version__, "python": platform.python_version()},
        "machine": _machine(),
        **({"expected": dict(expected)} if expected else {}),
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_atomic(path / "run.json", json.dumps(run, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror}; name another directory with --out") from error
    return run


def throw_away(path: Path) -> None:
    """Removes what the directory holds of a run; other files stay.

    Raises:
        harness.records.RunDirectoryBusy: another process is writing to it; then nothing has been removed.
    """
    for pattern in ("samples-*.jsonl", "verdicts-*.jsonl"):
        for file in path.glob(pattern):
            RecordFile(file).close()
    # run.json last: what a crash leaves behind is still known as the old run's, and not taken for the new one's.
    for pattern in (*_REPORT, "verdicts-*.jsonl", "samples-*.jsonl", "references.json", "decoding.jsonl", "run.json"):
        for file in path.glob(pattern):
            file.unlink()


def read_run(path: Path) -> dict[str, Any]:
    """The content of `run.json`.

    Raises:
        UsageError: there is no run in the directory, or its `run.json` is damaged.
    """
    try:
        run: dict[str, Any] = json.loads((path / "run.json").read_text())
        run["config"], run["protocol"], run["created"]
    except OSError as error:
        raise UsageError(f"{path} holds no run: run.json: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}/run.json is damaged ({error}); name another directory with --out") from error
    return run


def _check_same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    # The protocol follows from the choices, so it is news only where the choices are the same.
    changed = differences(_choices(old), _choices(new)) or differences(old["protocol"], new["protocol"], "protocol")
    if changed:
        listed = "\n  ".join(changed)
        raise UsageError(
            f"{path} holds another run:\n  {listed}\n"
            f"Name another directory with --out, or add --fresh to throw the old run away."
        )


def _choices(run: Mapping[str, Any]) -> dict[str, Any]:
    """What must stay the same from one command to the next: verdicts of unlike runs do not belong in one table."""
    config = {name: value for name, value in run["config"].items() if name not in WHAT_MAY_CHANGE}
    if config.get("model_digest"):
        config["model"] = "samples"  # the same file under another path is the same file
    # The walls that were found, not those that were asked for: `auto` may find others on another day.
    return {**config, "sandbox": run.get("sandbox", {}).get("name")}


def _packages_text(packages: Mapping[str, Any]) -> str:
    versions = packages["versions"]
    if packages["policy"] == "host":
        return f"host ({len(versions)} distributions)"
    return " ".join([packages["policy"], *(f"{name}=={version}" for name, version in versions.items())])


def _machine() -> dict[str, Any]:
    return {"system": platform.platform(), "cpus": os.cpu_count(), "executable": sys.executable}
