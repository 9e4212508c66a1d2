from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.extract import continues, cut_at_stop, extract_code, looks_like_program, restore_indentation
from tasks.humaneval import HumanEval

short = st.text(alphabet="ab\n#", max_size=30)
stop_lists = st.lists(st.text(alphabet="ab\n#", min_size=1, max_size=3), max_size=4)


@given(short, stop_lists)
def test_what_is_left_is_the_longest_start_of_the_text_that_ends_before_every_stop(text: str, stops: list[str]) -> None:
    starts = [text[:length] for length in range(len(text) + 1)]
    allowed = [
        start for start in starts if not any(text.startswith(stop, at) for stop in stops for at in range(len(start)))
    ]
    assert cut_at_stop(text, stops) == max(allowed, key=len)


@given(short, stop_lists)
def test_cutting_twice_is_cutting_once(text: str, stops: list[str]) -> None:
    once = cut_at_stop(text, stops)
    assert cut_at_stop(once, stops) == once


@given(short, stop_lists)
def test_no_stop_is_left(text: str, stops: list[str]) -> None:
    assert not any(stop in cut_at_stop(text, stops) for stop in stops)


@given(short, stop_lists)
def test_the_order_of_the_stops_does_not_matter(text: str, stops: list[str]) -> None:
    assert cut_at_stop(text, stops) == cut_at_stop(text, stops[::-1])


@given(short)
def test_without_stops_nothing_is_cut(text: str) -> None:
    assert cut_at_stop(text, []) == text


def test_a_stop_inside_a_line_is_no_stop_at_its_start() -> None:
    assert (
        cut_at_stop("    x = 1  # class\n    return x\nclass A:", ["\nclass", "\n#"])
        == "    x = 1  # class\n    return x"
    )


# Answers of chat models

CODE = "def add(a, b):\n    return a + b\n"
OTHER = "import doctest\n\nprint(add(1, 2))\n"


def fenced(code: str, opening: str = "```python", closing: str = "```") -> str:
    return f"{opening}\n{code}{closing}\n"


@pytest.mark.parametrize(
    "answer",
    [
        fenced(CODE),
        fenced(CODE, "```py"),
        fenced(CODE, "```Python3"),
        fenced(CODE, "```{python}"),
        fenced(CODE, '```python title="add.py"'),
        fenced(CODE, "```"),
        fenced(CODE, "~~~", "~~~"),
        fenced(CODE, "~~~python", "~~~~~"),
        fenced(CODE, "````python", "````"),
        "Sure! Here is the function:\n\n" + fenced(CODE) + "\nIt adds `a` and `b`.\n",
        "Here is the function:\n\n```python\n" + CODE,
        fenced("pip install numpy\n", "```bash") + fenced(CODE),
        fenced(CODE) + fenced(OTHER),
        "# Solution\n" + fenced(CODE),
        "<think>\nMaybe\n" + fenced(OTHER) + "</think>\n\n" + fenced(CODE),
        "Maybe\n" + fenced(OTHER) + "</think>\n" + fenced(CODE),
        "<think>Hm.</think>\n\n" + CODE,
        "Here is the code:\n\n" + CODE,
        "Here's what I'd write:\n" + CODE + "This is the sum of the two.\n",
        "Certainly!\n" + CODE,
        "Solution:\n" + CODE,
        "\u4ee5\u4e0b\u662f\u4ee3\u7801\uff1a\n" + CODE,
        CODE + "```\n\nIt adds them.\n",
        CODE + "```\nFor example:\n" + fenced(OTHER),
    ],
)
def test_the_code_of_an_answer_is_found(answer: str) -> None:
    assert extract_code(answer) == CODE
    assert extract_code(answer, "add") == CODE


@given(st.sampled_from(["  ", "   ", "\t", "        "]), st.sampled_from(["```", "~~~"]))
def test_the_code_of_an_indented_fence_loses_as_much_as_the_fence_has(blanks: str, mark: str) -> None:
    answer = "1. Write:\n" + "".join(f"{blanks}{line}\n" for line in [f"{mark}python", *CODE.splitlines(), mark])
    assert extract_code(answer) == CODE


def test_line_ends_of_windows_stay_as_they_are() -> None:
    answer = ("Here is the code:\n" + fenced(CODE) + "Bye.\n").replace("\n", "\r\n")
    assert extract_code(answer, "add") == CODE.replace("\n", "\r\n")


def test_of_several_blocks_the_first_that_defines_the_entry_point_is_taken() -> None:
    answer = fenced(OTHER) + fenced(CODE) + fenced(CODE.replace("+", "-"))
    assert extract_code(answer, "add") == CODE
    assert extract_code(answer) == OTHER
    assert extract_code(answer, "missing") == OTHER


def test_a_block_in_another_language_counts_where_there_is_no_other() -> None:
    assert extract_code(fenced(CODE, "```javascript")) == CODE


def test_the_end_of_a_body_is_where_its_fence_ends() -> None:
    assert extract_code("    return a + b\n```\n", "add") == "    return a + b\n"


def test_a_fence_inside_a_docstring_ends_nothing() -> None:
    code = 'def add(a, b):\n    """Adds.\n\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b\n'
    assert extract_code(fenced(code)) == code
    assert extract_code(code) == code
    assert extract_code("Here is the code:\n\n" + fenced(code) + "Bye.\n") == code


def test_an_answer_that_never_stops_thinking_has_no_code() -> None:
    assert extract_code("<think>\nLet me see.\n" + fenced(CODE)) == ""


def test_what_looks_like_prose_is_kept_where_no_entry_point_would_be_left() -> None:
    text = "a sentence here\nimport os\n"
    assert extract_code(text, "add") == text
    assert extract_code(text) == "import os\n"


odd = st.text(alphabet="ab`~ \n\t\"'#:x.=<>/")


@given(odd, st.sampled_from(["", "def f():\n", "    x\n", "the code\n", "```\n"]))
def test_every_line_of_the_code_is_a_line_of_the_answer(text: str, start: str) -> None:
    lines = {line.lstrip() for line in (start + text).split("\n")}
    assert {line.lstrip() for line in extract_code(start + text).split("\n")} <= lines | {""}


@given(odd, st.sampled_from(["```", "````python", "~~~"]))
def test_code_between_fences_comes_back_as_it_is(code: str, opening: str) -> None:
    mark = opening.removesuffix("python")
    lines = [line for line in code.split("\n") if not line.lstrip().startswith(mark)]
    answer = "\n".join(["Look:", opening, *lines, mark, "Bye."])
    assert extract_code(answer) == "".join(line + "\n" for line in lines)


MODULES = sorted(Path(json.__file__).parents[1].glob("*.py"))


def test_plain_code_is_left_alone_byte_for_byte() -> None:
    """The modules of the standard library, some of which have fences in their docstrings."""
    assert len(MODULES) > 100
    for path in MODULES:
        source = path.read_bytes().decode("utf-8", "surrogateescape")
        assert extract_code(source) == source, path.name


def test_references_are_left_alone_byte_for_byte() -> None:
    for problem in HumanEval().load():
        for text in (problem.reference, problem.prompt + problem.reference):
            assert extract_code(text, problem.entry_point) == text


PARTS = [
    *('"', '\\"', '"""', "'''a'''\n```\n", "```\n", "```py\n", "```\n~~~\n", "`", "<think>", "</think>", "a'"),
    *("the words ", "\n", " ", "a", "    \n", "def f\n", "def f():\n", "#\n", "x.y\n", "\\", "import a "),
]


@pytest.mark.parametrize("start", ["", "    x\n", "the code\ndef f():\n", "```\n"])
@pytest.mark.parametrize("part", PARTS)
def test_a_long_text_of_anything_is_read_once(part: str, start: str) -> None:
    """Where the time grew with the square of the length, these would take minutes; and an answer can be far longer."""
    text = start + part * ((1 << 17) // len(part))
    assert extract_code(text, "f") in text
    looks_like_program(text, "f")
    assert restore_indentation(PROMPT, "   " + text).endswith(text)


# Lost indentation

PROMPT = 'def add(a, b):\n    """Adds."""\n'


def test_the_one_space_that_decoding_took_comes_back() -> None:
    assert restore_indentation(PROMPT, "   x = a\n    return x\n") == "    x = a\n    return x\n"
    assert restore_indentation(PROMPT, "   return a + b") == "    return a + b"


def test_every_reference_without_its_first_space_is_restored() -> None:
    restored = 0
    for problem in HumanEval().load():
        if problem.reference.startswith("    ") and problem.reference.split("\n")[0].strip():
            assert restore_indentation(problem.prompt, problem.reference[1:]) == problem.reference
            restored += 1
    assert restored == 160


def test_nothing_is_added_to_a_reference() -> None:
    for problem in HumanEval().load():
        assert restore_indentation(problem.prompt, problem.reference) == problem.reference


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [
        (PROMPT, "   x = a\n   return x\n"),  # one short throughout: as the model wrote it
        (PROMPT, "  return a\n"),
        (PROMPT, "return a\n"),
        (PROMPT, "\n   return a\n"),
        (PROMPT, "   \n    return a\n"),
        (PROMPT, ""),
        (PROMPT.rstrip(), "   return a\n"),  # still on the docstring's line
        ("def add(a, b):\n", "   return a\n"),  # any column will do
        ("def add(a, b):\n    x = 1\n", "   return a\n"),
        ('def add(a, b):\n    """Adds.\n  """\n', "   return a\n"),
        ('def add(a, b):\n    """Adds.\n  """\n', " return a\n"),
        ('"""Adds."""\n', "   return a\n"),
        ('def add(a, b):\n    x = """Adds."""\n', "   return a\n"),
    ],
)
def test_where_it_is_not_certain_nothing_is_restored(prompt: str, completion: str) -> None:
    assert restore_indentation(prompt, completion) == completion


bodies = st.text(alphabet="   \n\txd=():1")


@given(st.sampled_from([PROMPT, PROMPT.rstrip(), "def f():\n"]), bodies)
def test_at_most_one_space_is_added_and_only_once(prompt: str, completion: str) -> None:
    restored = restore_indentation(prompt, completion)
    assert restored in (completion, " " + completion)
    assert restore_indentation(prompt, restored) == restored


@given(st.integers(0, 5), bodies)
def test_what_compiles_is_never_touched(blanks: int, body: str) -> None:
    completion = " " * blanks + body
    if restore_indentation(PROMPT, completion) != completion:
        with pytest.raises(SyntaxError):
            compile(PROMPT + completion, "<program>", "exec")


@given(st.sampled_from(["", "def add(a, b):\n", "    return a\n"]), bodies)
def test_no_text_is_both_a_program_and_the_rest_of_one(start: str, text: str) -> None:
    assert not (looks_like_program(start + text, "add") and continues(start + text, "add"))
