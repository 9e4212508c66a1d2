"""From a model's text to source code.

Everything here looks at text and never parses it: what a model writes is hostile input, and Python's own parser can be
made to crash. All of it takes time in proportion to the text.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_THOUGHT, _THOUGHT_END = "<think>", "</think>"
_PYTHON = frozenset({"", "python", "python3", "py", "py3", "ipython"})
"""Words after an opening fence that may be Python; the empty one for none."""

_TOKEN = re.compile(
    r"""
    \#[^\n]*+
    | "{3} [^"\\]*+ (?: (?: \\(?:.|\Z) | "(?!"") ) [^"\\]*+ )*+ (?: "{3} | \Z )
    | '{3} [^'\\]*+ (?: (?: \\(?:.|\Z) | '(?!'') ) [^'\\]*+ )*+ (?: '{3} | \Z )
    | "(?!"") [^"\\\n]*+ (?: \\(?:.|\Z) [^"\\\n]*+ )*+ "?
    | '(?!'') [^'\\\n]*+ (?: \\(?:.|\Z) [^'\\\n]*+ )*+ '?
    """,
    re.VERBOSE | re.DOTALL,
)
"""A comment or a string. Each alternative also ends at the end of its line or of the text, so nothing is read twice."""

_CODE_START = re.compile(
    r"(?:async[ \t]+)?def[ \t]+\w+[ \t]*[(\[]|class[ \t]+\w+[ \t]*[(:\[]|@[\w.]+"
    r"|from[ \t]+[\w.]+[ \t]+import\b|import[ \t]+[\w.]+(?:[ \t]+as[ \t]+\w+)?[ \t]*(?:[,;#\r\n]|\Z)"
)
"""A line at column 0 that begins a program."""

_BLANK_OR_COMMENTS = re.compile(r"(?:[ \t\r]*+(?:#[^\n]*+)?\n)*+")
"""Also the headings of Markdown, which look like comments."""

_APOSTROPHE = re.compile(r"(?i)\b(?!(?:[rbuf]|br|rb|fr|rf)['\u2019])(\w+)['\u2019](?=\w)")
_NEIGHBOURS = re.compile(r"\b([^\W\d]\w*+)[ \t]+(?=([^\W\d]\w*+))")
_NO_PYTHON = re.compile(
    r"[?$\uff0c\u3002\uff1a\uff01\uff1f\u3001\uff1b\u201c\u201d\u2026\u2014]|!(?!=)|^\*\*|^\w[\w \t]*:\s*$"
)
"""What stands in no line of Python outside strings and comments; a line of words with a colon after them at last."""
_WORDS = frozenset({*keyword.kwlist, *keyword.softkwlist, "print", "exec"})
"""Names that may have a name beside them; the last two are statements of Python 2."""


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first occurrence of any of `stops`, or all of it."""
    found = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


def defines(text: str, name: str) -> bool:
    """Whether a text defines a name at column 0, as a function, a class or by assignment."""
    name = re.escape(name)
    definition = rf"^(?:async\s+)?def\s+{name}\b|^class\s+{name}\b|^{name}\s*=(?!=)"
    return re.search(definition, text, re.MULTILINE) is not None


def looks_like_program(text: str, entry_point: str) -> bool:
    """Whether a text is a whole program and not the rest of a prompt.

    It is one when its first line that is not blank begins at column 0, and `entry_point` is defined at column 0; where
    a problem has no entry point, the first alone decides.
    """
    first_line = _first_line(text)
    if not first_line or first_line[0].isspace():
        return False
    return not entry_point or defines(text, entry_point)


def continues(text: str, entry_point: str) -> bool:
    """Whether a text can only be the rest of a function: it begins indented, and defines no `entry_point`."""
    return _first_line(text)[:1].isspace() and not defines(text, entry_point)


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


# ---------------------------------------------------------------------------------------------------------------------
# Answers of chat models
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fence:
    """A line that opens or closes a block of code, as CommonMark has it."""

    mark: str
    width: int
    indent: int
    info: str

    def is_closed_by(self, other: _Fence) -> bool:
        if self is _UNSEEN:
            return True
        # A line indented by four more belongs to the code: docstrings have fences too.
        same = other.mark == self.mark and other.width >= self.width
        return same and not other.info and other.indent < self.indent + 4

    @property
    def language(self) -> str:
        words = self.info.strip("{}.").replace(",", " ").split()
        return words[0].lower() if words else ""


_UNSEEN = _Fence(mark="", width=0, indent=0, info="")
"""The opening fence of an answer that begins as code: it was in the prompt, so any fence ends its block."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    language: str
    code: str


def extract_code(text: str, entry_point: str = "") -> str:
    """The program in a chat model's answer.

    Thoughts in `<think>` are dropped, and with them all of an answer that never stops thinking. Of the fenced blocks,
    those labelled as another language count only where there are no others; then the first that defines `entry_point`
    at column 0 is taken, or else the first. A fence may be indented (its code then loses as much), may be of tildes,
    and the last may lack its end. Code before a first fence is a block of its own: it had its opening fence in the
    prompt. Fences inside a docstring are none.

    Without fences, prose in front of the first import, decorator, class or function is dropped, and prose after it, but
    not where that leaves no `entry_point`. A text that begins as code comes back unchanged, byte for byte; so does one
    in which no code is found.
    """
    answer = _without_thoughts(text)
    lines = re.split(r"(?<=\n)", answer)
    blocks = _blocks(lines, _strings_by_line(answer, lines) if _begins_as_code(answer) else frozenset())
    if not blocks:
        code = _without_prose(answer)
        return code if not entry_point or defines(code, entry_point) else answer
    python = [block for block in blocks if block.language in _PYTHON] or blocks
    defining = (block for block in python if entry_point and defines(block.code, entry_point))
    return next(defining, python[0]).code


def _without_thoughts(text: str) -> str:
    if text.lstrip().startswith(_THOUGHT):
        return text.partition(_THOUGHT_END)[2].lstrip("\r\n")
    thoughts, end, answer = text.partition(_THOUGHT_END)
    # Some chat templates put the opening tag into the prompt.
    if end and not _begins_as_code(thoughts):
        return answer.lstrip("\r\n")
    return text


def _begins_as_code(text: str) -> bool:
    """Whether the first line that is neither blank nor a comment is one of a program or of a function's body."""
    start = _BLANK_OR_COMMENTS.match(text)
    line = text[start.end() if start else 0 :].partition("\n")[0]
    if _fence(line) is not None:
        return False
    return line.startswith(("  ", "\t", '"""', "'''")) or _CODE_START.match(line) is not None


def _fence(line: str) -> _Fence | None:
    body = line.lstrip(" \t")
    mark = body[:1]
    if mark not in ("`", "~"):
        return None
    width = len(body) - len(body.lstrip(mark))
    info = body[width:].strip()
    if width < 3 or (mark == "`" and "`" in info):
        return None
    return _Fence(mark=mark, width=width, indent=len(line) - len(body), info=info)


def _blocks(lines: Sequence[str], inside_strings: frozenset[int]) -> list[_Block]:
    """The blocks of code in a text, in its order; lines numbered in `inside_strings` hold no opening fences."""
    blocks: list[_Block] = []
    code: list[str] = []
    opening = _UNSEEN if _begins_as_code("".join(lines)) else None
    for number, line in enumerate(lines):
        fence = _fence(line)
        if opening is _UNSEEN and number in inside_strings:
            fence = None
        if opening is None:
            if fence is not None and number not in inside_strings:
                opening, code = fence, []
        elif fence is None or not opening.is_closed_by(fence):
            code.append(_outdented(line, opening.indent))
        else:
            blocks.append(_Block(language=opening.language, code="".join(code)))
            opening, code = fence if opening is _UNSEEN and fence.info else None, []
    if opening is not None and opening is not _UNSEEN:
        blocks.append(_Block(language=opening.language, code="".join(code)))
    return blocks


def _outdented(line: str, width: int) -> str:
    """The line without at most `width` blanks at its start."""
    blanks = len(line) - len(line.lstrip(" \t"))
    return line[min(width, blanks) :]


def _strings_by_line(text: str, lines: Sequence[str]) -> frozenset[int]:
    """The numbers of the lines whose start lies inside a string."""
    spans = [token.span() for token in _TOKEN.finditer(text) if token[0].startswith(('"""', "'''"))]
    found = []
    position = 0
    waiting = iter(spans)
    start, end = next(waiting, (len(text), len(text)))
    for number, line in enumerate(lines):
        while position >= end and start < len(text):
            start, end = next(waiting, (len(text), len(text)))
        if start < position < end:
            found.append(number)
        position += len(line)
    return frozenset(found)


def _without_prose(text: str) -> str:
    lines = re.split(r"(?<=\n)", text)
    if not _is_prose(_first_line(text)):
        return text
    start = next((number for number, line in enumerate(lines) if _CODE_START.match(line)), None)
    if start is None:
        return text
    code = lines[start:]
    inside_strings = _strings_by_line("".join(code), code)
    return "".join(_until_prose(code, inside_strings))


def _until_prose(lines: Sequence[str], inside_strings: frozenset[int]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number not in inside_strings and not line[:1].isspace() and _is_prose(line):
            return
        yield line


def _is_prose(line: str) -> bool:
    """Whether a line cannot be Python, because two names stand side by side or for what is in it."""
    if line.startswith(("  ", "\t")):
        return False
    bare = _TOKEN.sub("''", _APOSTROPHE.sub(r"\1", line)).strip()
    if _NO_PYTHON.search(bare) and bare.split(":")[0].split(" ")[0] not in _WORDS:
        return True
    return any(pair[1] not in _WORDS and pair[2] not in _WORDS for pair in _NEIGHBOURS.finditer(bare))


# ---------------------------------------------------------------------------------------------------------------------
# Lost indentation
# ---------------------------------------------------------------------------------------------------------------------


def restore_indentation(prompt: str, completion: str) -> str:
    """The completion with the one leading space that decoding without the prompt takes from it, where that is certain.

    SentencePiece drops the first space of what it decodes, so a body that is due at column 4 begins at column 3. It is
    certain where the prompt ends in a docstring that begins and ends at the column that is due, and a line break; the
    completion's first line is one space short of it; and no later line stands between column 0 and the one that is due,
    as in a body that is one space short throughout. Such a completion does not compile as it is.
    """
    due = _docstring_column(prompt)
    first, *others = completion.split("\n")
    if due < 2 or not first.strip() or _column(first) != due - 1:
        return completion
    columns = (_column(line) for line in others if line.strip())
    return " " + completion if all(column == 0 or column >= due for column in columns) else completion


def _column(line: str) -> int:
    """How many spaces a line begins with; a tab counts as none."""
    return len(line) - len(line.lstrip(" "))


def _docstring_column(prompt: str) -> int:
    """The column of the docstring that ends the prompt, or 0 where none does or its two ends differ."""
    body = prompt.rstrip()
    if "\n" not in prompt[len(body) :] or prompt[-1:] != "\n":
        return 0
    quotes = body[-3:]
    opening = body.rfind(quotes, 0, len(body) - 3) if quotes in ('"""', "'''") else -1
    if opening < 0:
        return 0
    first_line = body[body.rfind("\n", 0, opening) + 1 : opening]
    last_line = body[body.rfind("\n") + 1 :]
    column = _column(last_line)
    return column if _column(first_line + "x") == column and not first_line.strip(" \"'rRuU") else 0
