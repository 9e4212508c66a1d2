"""gate.junit.xml: the gate as one test case, for CI systems that show such."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from harness.gate_record import GateRecord
from harness.report.junit import NOT_XML
from harness.stats.gate import Decision

_ELEMENTS = {Decision.FAIL: "failure", Decision.INVALID: "error", Decision.INCONCLUSIVE: "skipped"}
"""What says that a test case has not passed, and why."""


def render_gate_junit(record: GateRecord) -> str:
    """The text of gate.junit.xml: FAIL is a failure, INVALID an error, INCONCLUSIVE skipped; numbers are properties.

    Args:
        record: with a result.
    """
    result = record.result
    assert result is not None
    said = _ELEMENTS.get(result.decision)
    root = ElementTree.Element("testsuites")
    suite = _add(
        root,
        "testsuite",
        name="gate",
        tests=1,
        failures=int(said == "failure"),
        errors=int(said == "error"),
        skipped=int(said == "skipped"),
    )
    case = _add(suite, "testcase", classname=record.task, name=f"gate pass@{record.plan.k}")
    properties = _add(case, "properties")
    for name in ("baseline", "candidate", "difference", "lower", "upper", "n_baseline", "n_candidate", "false_fail"):
        value = getattr(result, name)
        if math.isfinite(value):
            _add(properties, "property", name=name, value=value)
    _add(properties, "property", name="decision", value=result.decision.value)
    if said is not None:
        _add(case, said, message=f"{result.decision.value}: {result.reason}")
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {key: NOT_XML.sub("", str(text)) for key, text in attributes.items()})
