"""The report's files in a run directory; every one of them can be rebuilt from the verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.records import write_atomic
from harness.report.junit import render_junit
from harness.report.summary import render_summary


def write_report(run_dir: Path, run: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write `summary.md`, `junit.xml` and `results.json` into `run_dir`, each whole or not at all.

    Args:
        run_dir: an existing directory.
        run: the content of `run.json`.
        results: what `build_results` returned.

    Raises:
        OSError: the directory is missing or cannot be written.
        ValueError: `results` holds a number that JSON cannot carry, such as NaN; then nothing is written.
    """
    contents = {
        "summary.md": render_summary(run, results),
        "junit.xml": render_junit(results),
        # Last, so that its existence means the other two are there.
        "results.json": json.dumps(results, indent=2, allow_nan=False) + "\n",
    }
    for name, text in contents.items():
        write_atomic(run_dir / name, text)
