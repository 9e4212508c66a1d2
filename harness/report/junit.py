"""junit.xml: what CI systems show of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry even escaped: most control characters and lone surrogates."""


def render_junit(results: Mapping[str, Any]) -> str:
    """The text of junit.xml: one suite per task, with a case `complete` and one case per pass@k.

    `complete` fails where samples are unjudged or missing. A pass@k carries its numbers as properties (fractions) and
    is skipped where it has no estimate; whether a score is good enough is the gate's question, not asked here.

    Args:
        results: what `build_results` returned.
    """
    root = ElementTree.Element("testsuites")
    for name, task in results["tasks"].items():
        _add_suite(root, name, task)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add_suite(root: ElementTree.Element, name: str, task: Mapping[str, Any]) -> None:
    scores: Mapping[str, Any] = task["pass_at_k"]
    suite = _add(
        root,
        "testsuite",
        name=name,
        tests=1 + len(scores),
        failures=int(not task["complete"]),
        errors=0,
        skipped=sum(score["estimate"] is None for score in scores.values()),
    )
    complete = _add(suite, "testcase", classname=name, name="complete")
    if not task["complete"]:
        what = f"{task['unjudged']} unjudged and {task['missing']} missing of {task['samples']} samples"
        _add(complete, "failure", message=what)
    for k, score in scores.items():
        _add_score(_add(suite, "testcase", classname=name, name=f"pass@{k}"), score)


def _add_score(case: ElementTree.Element, score: Mapping[str, Any]) -> None:
    if score["estimate"] is None:
        _add(case, "skipped", message=score["method"])
        return
    properties = _add(case, "properties")
    for name, value in score.items():
        if name == "notes":
            for number, note in enumerate(value, 1):
                _add(properties, "property", name=f"note_{number}", value=note)
        elif isinstance(value, list):
            low, high = value
            _add(properties, "property", name=f"{name}_low", value=low)
            _add(properties, "property", name=f"{name}_high", value=high)
        elif value is not None:
            _add(properties, "property", name=name, value=value)


def _add(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {key: NOT_XML.sub("", str(text)) for key, text in attributes.items()})
