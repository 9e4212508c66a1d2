"""Odd answers as models write them, from the sample's text to its verdict, through the real grader and sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.grade import Judge, Judgement, make_plan
from harness.records import Verdict
from sandbox.local import LocalSandbox
from sandbox.program import Limits, SandboxUnavailable
from tasks.extract import looks_like_program
from tasks.humaneval import HumanEval
from tasks.problem import Problem

LIMITS = Limits(cpu_s=0.5, idle_s=0.5, wall_s=20.0, memory_bytes=256 << 20, output_bytes=1 << 16)
REFERENCE_LIMITS = Limits(cpu_s=60.0, idle_s=60.0)

PASSED, WRONG, ERROR, SYNTAX = Verdict.PASSED, Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR, Verdict.SYNTAX_ERROR

TASK = HumanEval()
PRESETS = {preset.name: preset for preset in TASK.presets}
ADD: Problem = next(problem for problem in TASK.load() if problem.entry_point == "add" and "x + y" in problem.reference)
"""Adds two numbers: nothing about it is odd."""
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with LocalSandbox() as sandbox:
        try:
            sandbox.start()
        except SandboxUnavailable as error:
            if "namespace" not in str(error):
                raise  # a fault of ours, not a machine that does not allow it
            pytest.skip(f"needs Linux namespaces: {error}")
        plan = make_plan(ADD, ADD.prompt + ADD.reference, sandbox, REFERENCE_LIMITS)
        yield Judge(ADD, plan, sandbox, LIMITS)


def judgement(judge: Judge, text: str, preset: str = "codex") -> Judgement:
    """What comes of a sample that is this text and says nothing else of itself."""
    is_program = looks_like_program(text, ADD.entry_point)
    found = judge.judge(TASK.source(ADD, text, is_program=is_program, preset=PRESETS[preset]))
    found.grade(ADD.task_id, 0, judge.plan.mode, text)  # which must be possible whatever the text
    return found


BODY = "    return x + y\n"
WHOLE = "def add(x, y):\n    return x + y\n"

# Text -> the verdict as a completion or program, and as an answer in a chat.
ANSWERS = {
    "a body": (BODY, PASSED, PASSED),
    "a program": (WHOLE, PASSED, PASSED),
    "a body without its last line break": (BODY.rstrip(), PASSED, PASSED),
    "nothing": ("", WRONG, ERROR),
    "blanks": ("    \n\n", WRONG, ERROR),
    "a fenced program": (f"```python\n{WHOLE}```\n", SYNTAX, PASSED),
    "a fenced program after words": (f"Sure!\n\n```python\n{WHOLE}```\n\nDone.\n", SYNTAX, PASSED),
    "a fenced body": (f"```\n{BODY}```\n", SYNTAX, PASSED),
    "a body before a fence": (f"{BODY}```\n", SYNTAX, PASSED),
    "a fence without an end": (f"```python\n{WHOLE}", SYNTAX, PASSED),
    "an indented fence": ("1. Write\n   ```py\n   def add(x, y):\n       return x + y\n   ```\n", SYNTAX, PASSED),
    "tildes": (f"~~~\n{WHOLE}~~~\n", SYNTAX, PASSED),
    "words without a fence": (f"Here is the function:\n\n{WHOLE}", SYNTAX, PASSED),
    "thoughts": (f"<think>Plus, so:\n```\n1 + 1\n```\n</think>\n```python\n{WHOLE}```", SYNTAX, PASSED),
    "thoughts without an end": (f"<think>\n```python\n{WHOLE}```", SYNTAX, ERROR),
    "a wrong block before the right one": (f"```\nadd(1, 2)\n```\n```\n{WHOLE}```", SYNTAX, PASSED),
    "only words": ("I cannot help with that.", SYNTAX, SYNTAX),
    "a program in its own module guard": (WHOLE + "if __name__ == '__main__':\n    raise SystemExit\n", PASSED, PASSED),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_fences_and_words_are_errors_in_a_completion_and_no_matter_in_a_chat(judge: Judge, name: str) -> None:
    text, as_completion, in_chat = ANSWERS[name]
    assert (judgement(judge, text).verdict, judgement(judge, text, "chat").verdict) == (as_completion, in_chat)


SPACES = {
    "line ends of Windows in a body": (BODY.replace("\n", "\r\n"), PASSED),
    "line ends of Windows in a program": (WHOLE.replace("\n", "\r\n"), PASSED),
    "line ends of old Macs": (WHOLE.replace("\n", "\r"), PASSED),
    "a tab after the prompt's four spaces": ("\treturn x + y\n", SYNTAX),
    "tabs in a program": ("def add(x, y):\n\treturn x + y\n", PASSED),
    "tabs and spaces in one block": ("    z = x\n\treturn z + y\n", SYNTAX),
    "a lost space": (BODY[1:], SYNTAX),
    "two lost spaces": (BODY[2:], SYNTAX),
    "a form feed": ("\f" + BODY, PASSED),
    "a space that does not break": ("\u00a0" + BODY, SYNTAX),
    "a space of no width": (BODY.replace("x", "x\u200b"), SYNTAX),
    "a mark of byte order before a program": ("\ufeff" + WHOLE, SYNTAX),
    "a null byte": (BODY + "\0", SYNTAX),
    "a null byte in a comment": (f"    # \0\n{BODY}", SYNTAX),
    "a null byte in a string": ("    z = '\0'\n" + BODY, SYNTAX),
}


@pytest.mark.parametrize("name", SPACES)
def test_white_space_is_what_python_makes_of_it(judge: Judge, name: str) -> None:
    text, verdict = SPACES[name]
    assert judgement(judge, text).verdict is verdict


def test_a_lost_space_is_made_good_under_the_preset_that_says_so(judge: Judge) -> None:
    assert judgement(judge, BODY[1:], "codex-restored").verdict is PASSED
    assert judgement(judge, BODY[2:], "codex-restored").verdict is SYNTAX
    assert judgement(judge, BODY, "codex-restored").verdict is PASSED


def test_a_completion_of_a_stripped_prompt_begins_with_the_line_break(judge: Judge) -> None:
    assert judgement(judge, "\n" + BODY, "bigcode-strip").verdict is PASSED
    assert judgement(judge, BODY, "bigcode-strip").verdict is SYNTAX
    assert judgement(judge, BODY, "evalplus").verdict is PASSED


CHARACTERS = {
    "identifiers in other scripts": (
        "    gr\u00f6\u00dfe, \u540d = x, y\n    return gr\u00f6\u00dfe + \u540d\n",
        PASSED,
    ),
    "an identifier that is normalised": ("    return \U0001d431 + \uff59\n", PASSED),
    "strings of every plane": ("    return x + y + len('\u00e9\u4e2d\U0001f600') - 3\n", PASSED),
    "a line separator in a string": ("    return x + y + len('\u2028\x85') - 2\n", PASSED),
    "quotes of a word processor": ("    z = \u201ca\u201d\n" + BODY, SYNTAX),
    "a lone surrogate in a string": ("    z = '\ud800'\n" + BODY, SYNTAX),
    "a lone surrogate that is spelled": ("    z = '\\ud800'\n" + BODY, PASSED),
    "a declared encoding": ("# -*- coding: latin-1 -*-\n" + WHOLE, PASSED),
    "an unknown encoding": ("# -*- coding: no-such -*-\n" + WHOLE, PASSED),
    "what cannot be encoded as an answer": ("    return '\\ud800'\n", WRONG),
    "what cannot be encoded in an error": ("    raise ValueError('\\ud800')\n", ERROR),
}


@pytest.mark.parametrize("name", CHARACTERS)
def test_characters_are_what_python_makes_of_them(judge: Judge, name: str) -> None:
    text, verdict = CHARACTERS[name]
    assert judgement(judge, text).verdict is verdict


CALLABLES = {
    "a lambda": ("add = lambda x, y: x + y\n", PASSED),
    "an object that can be called": (
        "class Add:\n    def __call__(self, x, y):\n        return x + y\nadd = Add()\n",
        PASSED,
    ),
    "a class that makes the answer": ("class add:\n    def __new__(cls, x, y):\n        return x + y\n", PASSED),
    "a class that makes itself": ("class add:\n    def __init__(self, x, y):\n        self.sum = x + y\n", WRONG),
    "a class that makes a number of its own": (
        "class add(int):\n    def __new__(cls, x, y):\n        return int.__new__(cls, x + y)\n",
        PASSED,
    ),
    "a method": ("class Add:\n    def add(self, x, y):\n        return x + y\nadd = Add().add\n", PASSED),
    "a function with arguments given": (
        "import functools\ndef plus(z, x, y):\n    return x + y + z\nadd = functools.partial(plus, 0)\n",
        PASSED,
    ),
    "a function that remembers": (f"import functools\n@functools.lru_cache\n{WHOLE}", PASSED),
    "a builtin": ("import operator\nadd = operator.add\n", PASSED),
    "a builtin under its own name": ("from operator import add\n", PASSED),
    "a method of a builtin": ("add = int.__add__\n", PASSED),
    "a builtin that takes something else": ("add = len\n", ERROR),
    "recursion": ("def add(x, y):\n    return add(x ^ y, (x & y) << 1) if y else x\n", PASSED),
    "recursion without an end": ("def add(x, y):\n    return add(x, y)\n", ERROR),
    "keywords": ("def add(y, x):\n    return x + y\n", PASSED),
    "fewer arguments": ("def add(x):\n    return x\n", ERROR),
    "no function": ("add = 5\n", ERROR),
    "a function that is gone": (WHOLE + "del add\n", ERROR),
    "a function of another name": ("def plus(x, y):\n    return x + y\n", WRONG),
    "the last of two": (f"def add(x, y):\n    return 0\n{WHOLE}", PASSED),
    "a coroutine": ("async def add(x, y):\n    return x + y\n", WRONG),
    "a generator without an end": ("    while True:\n        yield x + y\n", WRONG),
    "numbers without an end": ("    import itertools\n    return itertools.count(x + y)\n", WRONG),
    "an object that says it is equal": (
        "class Same:\n    def __eq__(self, other):\n        return True\ndef add(x, y):\n    return Same()\n",
        WRONG,
    ),
    "a truth instead of a number": ("def add(x, y):\n    return bool(x + y)\n", WRONG),
    "a number of another kind": ("def add(x, y):\n    return float(x + y)\n", PASSED),
    "input that is not there": ("def add(x, y):\n    input()\n    return x + y\n", ERROR),
    "words on the way": ("def add(x, y):\n    print(x, y)\n    return x + y\n", PASSED),
}


@pytest.mark.parametrize("name", CALLABLES)
def test_whatever_can_be_called_under_the_name_is_the_function(judge: Judge, name: str) -> None:
    text, verdict = CALLABLES[name]
    assert judgement(judge, text).verdict is verdict


LONG = {
    "a comment": (BODY + "# " + "x" * MEGABYTE, PASSED),
    "a string": (f"    z = '{'x' * MEGABYTE}'\n{BODY}", PASSED),
    "a name": (f"    {'x' * MEGABYTE} = 0\n{BODY}", PASSED),
    "blank lines": ("\n" * MEGABYTE + BODY, PASSED),
    "spaces": (" " * MEGABYTE, WRONG),
    "an answer": (f"    return '{'x' * MEGABYTE}'\n", Verdict.OUTPUT_LIMIT),
    "an error": (f"    raise ValueError('{'x' * MEGABYTE}')\n", ERROR),
    "lines of words": ("the code\n" * (MEGABYTE // 9), SYNTAX),
    "parentheses": ("    return " + "(" * MEGABYTE, SYNTAX),
    "fences": ("```\n" * (MEGABYTE // 4), SYNTAX),
    "null bytes": ("\0" * MEGABYTE, SYNTAX),
    "surrogates": ("\ud800" * MEGABYTE, SYNTAX),
}


@pytest.mark.parametrize("name", LONG)
def test_a_megabyte_gets_the_verdict_of_a_line(judge: Judge, name: str) -> None:
    text, verdict = LONG[name]
    assert judgement(judge, text).verdict is verdict


BOMBS = {
    "words": "the code " * (MEGABYTE // 9),
    "signs": "    return " + "-" * MEGABYTE + "1\n",
    "attributes": "    return x" + ".x" * (MEGABYTE // 2) + "\n",
    "additions": "    return x" + "+x" * (MEGABYTE // 2) + "\n",
    "lists": "    return " + "[" * 90 + "]" * 90 + "\n" + ("    z = [" + "0," * 100 + "]\n") * (MEGABYTE // 210),
    "statements": "    x\n" * (MEGABYTE // 6),
    "digits": "    return " + "9" * MEGABYTE + "\n",
    "branches": "    if x: pass\n" + "    elif x: pass\n" * (MEGABYTE // 17),
}


@pytest.mark.parametrize("preset", ["codex", "chat"])
@pytest.mark.parametrize("name", BOMBS)
def test_a_megabyte_that_breaks_compilers_gets_a_verdict_on_the_program(judge: Judge, name: str, preset: str) -> None:
    found = judgement(judge, BOMBS[name], preset)
    assert found.verdict not in (PASSED, Verdict.UNJUDGED)
    assert found.attempts == 1
