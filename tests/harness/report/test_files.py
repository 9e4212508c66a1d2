"""The report's files: whole, readable by other tools, or not there at all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.report import write_report

NAMES = ["junit.xml", "results.json", "summary.md"]


def test_report_is_three_files_that_other_tools_can_read(tmp_path: Path, complete: dict[str, Any]) -> None:
    write_report(tmp_path, {}, complete)
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == complete
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("# Results\n")


def test_writing_again_replaces_the_report_with_the_same_bytes(tmp_path: Path, complete: dict[str, Any]) -> None:
    write_report(tmp_path, {}, complete)
    before = {name: (tmp_path / name).read_bytes() for name in NAMES}
    write_report(tmp_path, {}, complete)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_number_that_json_cannot_carry_leaves_no_file_behind(tmp_path: Path, complete: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_report(tmp_path, {}, {**complete, "note": math.nan})
    assert list(tmp_path.iterdir()) == []
