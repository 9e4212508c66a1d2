"""Where a text ends: stop strings, found in the text and not in the tokens, because one can begin inside a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Decodes(Protocol):
    """What turns tokens into text."""

    def decode(self, tokens: Sequence[int]) -> str: ...


class StopFinder:
    """The text of one completion, token by token.

    Args:
        tokenizer: what decodes it.
        prompt: the tokens before it: some tokenizers drop a space at the beginning of what they decode.
        stops: the completion ends before the first of these. One that began in the prompt does not count.
    """

    def __init__(self, tokenizer: Decodes, prompt: Sequence[int], stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._prompt = list(prompt)
        self._stops = tuple(stops)
        self._tokens: list[int] = []
        # A token is at least one byte; some more, for characters that begin before the window.
        self._window = max((len(stop.encode()) for stop in stops), default=0) + 8

    def add(self, token: int) -> bool:
        """Takes the next token; whether the text now has a stop string."""
        self._tokens.append(token)
        if not self._stops:
            return False
        tail = self._tokenizer.decode(self._tokens[-self._window :])
        return any(stop in tail for stop in self._stops) and self._cut(self._text()) is not None

    def finish(self) -> tuple[str, bool]:
        """(the text before its first stop string, whether there is one)."""
        text = self._text()
        cut = self._cut(text)
        return (text, False) if cut is None else (text[:cut], True)

    def _text(self) -> str:
        before = self._tokenizer.decode(self._prompt)
        whole = self._tokenizer.decode([*self._prompt, *self._tokens])
        return whole[len(before) :] if whole.startswith(before) else self._tokenizer.decode(self._tokens)

    def _cut(self, text: str) -> int | None:
        places = [place for place in map(text.find, self._stops) if place >= 0]
        return min(places, default=None)
