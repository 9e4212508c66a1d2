"""Text to tokens and back: bytes, which need nothing; and through their packages, BPE and SentencePiece files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from models.backend import ModelUnavailable


class Tokenizer(Protocol):
    """What a model reads and writes.

    Some tokenizers drop a space at the beginning of what they decode: what follows a prompt is decoded together with
    it.
    """

    vocab_size: int
    start_id: int | None
    """Begins a text; None where a text begins with its first token."""
    end_ids: tuple[int, ...]
    """Each of them ends a text."""

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        """The tokens of a text, with `start` after the token that begins one."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Those that begin or end texts have none, and bytes that are not UTF-8 become U+FFFD."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes its files; what `open_tokenizer` needs to know to read them."""
        ...


class ByteTokenizer:
    """Every byte of a text's UTF-8 is a token, and one more both begins and ends texts."""

    vocab_size = 257
    start_id: int | None = 256
    end_ids: tuple[int, ...] = (256,)

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        return [*([256] if start else []), *text.encode()]

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(token for token in tokens if token < 256).decode(errors="replace")

    def save(self, folder: Path) -> dict[str, Any]:
        return {"type": "bytes"}


class FileTokenizer:
    """A `tokenizer.json` of the package tokenizers.

    Args:
        path: the file.
        start_id: begins a text.
        end_ids: end one.

    Raises:
        ModelUnavailable: the package is absent, or the file is none of its own.
    """

    def __init__(self, path: Path, *, start_id: int | None, end_ids: tuple[int, ...]) -> None:
        try:
            from tokenizers import Tokenizer as Implementation
        except ModuleNotFoundError as error:
            raise _missing(path, error) from error
        try:
            self._tokenizer = Implementation.from_file(str(path))
        except Exception as error:  # the package raises nothing narrower
            raise ModelUnavailable(f"{path} is no tokenizer file: {error}") from error
        self.vocab_size: int = self._tokenizer.get_vocab_size()
        self.start_id = start_id
        self.end_ids = end_ids

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [self.start_id, *tokens] if start and self.start_id is not None else tokens

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def save(self, folder: Path) -> dict[str, Any]:
        self._tokenizer.save(str(folder / "tokenizer.json"))
        return {"type": "tokenizers", "start_id": self.start_id, "end_ids": list(self.end_ids)}


class SentencePieceTokenizer:
    """A `tokenizer.model` of SentencePiece, as Llama 2 has it.

    Args:
        path: the file.

    Raises:
        ModelUnavailable: the package is absent, or the file is none of its own.
    """

    def __init__(self, path: Path) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ModuleNotFoundError as error:
            raise _missing(path, error) from error
        try:
            self._model = path.read_bytes()
            self._processor = SentencePieceProcessor(model_proto=self._model)
        except (OSError, RuntimeError) as error:
            raise ModelUnavailable(f"{path} is no SentencePiece model: {error}") from error
        self.vocab_size: int = self._processor.vocab_size()
        start, end = self._processor.bos_id(), self._processor.eos_id()
        self.start_id: int | None = start if start >= 0 else None
        self.end_ids: tuple[int, ...] = (end,) if end >= 0 else ()

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        tokens: list[int] = self._processor.encode(text)
        return [self.start_id, *tokens] if start and self.start_id is not None else tokens

    def decode(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.decode([token for token in tokens if token < self.vocab_size])
        return text

    def save(self, folder: Path) -> dict[str, Any]:
        (folder / "tokenizer.model").write_bytes(self._model)
        return {"type": "sentencepiece"}


def train_bpe(texts: Iterable[str], vocab_size: int, folder: Path) -> FileTokenizer:
    """A byte-level BPE tokenizer of its own for some texts, written to `folder`; any text survives it unchanged.

    Raises:
        ModelUnavailable: the package tokenizers is absent.
        ValueError: the vocabulary would not hold every byte and the token that ends a text.
    """
    if vocab_size < 257:
        raise ValueError(f"a byte-level vocabulary has at least 257 tokens, not {vocab_size}; type vocab_size = 257")
    try:
        from tokenizers import Tokenizer as Implementation
        from tokenizers import decoders, models, pre_tokenizers, trainers
    except ModuleNotFoundError as error:
        raise _missing(folder, error) from error
    tokenizer = Implementation(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id("<|end|>")
    return FileTokenizer(folder / "tokenizer.json", start_id=end, end_ids=(end,))


def open_tokenizer(folder: Path, description: Mapping[str, Any]) -> Tokenizer:
    """What `save` wrote.

    Raises:
        ModelUnavailable: files or packages are missing, or the description is none.
    """
    kind = description.get("type")
    if kind == "bytes":
        return ByteTokenizer()
    if kind == "sentencepiece":
        return SentencePieceTokenizer(folder / "tokenizer.model")
    if kind == "tokenizers":
        ends = tuple(description.get("end_ids", ()))
        return FileTokenizer(folder / "tokenizer.json", start_id=description.get("start_id"), end_ids=ends)
    raise ModelUnavailable(f"{folder} names an unknown tokenizer {kind!r}; accepted: bytes, tokenizers, sentencepiece")


def find_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in or just above a folder of a published model.

    Raises:
        ModelUnavailable: there is none, or it cannot be read.
    """
    for place in (folder, folder.parent):
        if (place / "tokenizer.json").exists():
            start_id, end_ids = _published_ids(place)
            return FileTokenizer(place / "tokenizer.json", start_id=start_id, end_ids=end_ids)
        if (place / "tokenizer.model").exists():
            return SentencePieceTokenizer(place / "tokenizer.model")
    raise ModelUnavailable(f"{folder} has no tokenizer; put tokenizer.json or tokenizer.model into it or above it")


def _published_ids(folder: Path) -> tuple[int | None, tuple[int, ...]]:
    """(what begins a text, what ends one), as the files of Hugging Face say it; the last that says it is right."""
    start_id: int | None = None
    end_ids: tuple[int, ...] = ()
    for name in ("config.json", "generation_config.json"):
        if (folder / name).exists():
            said = json.loads((folder / name).read_text())
            start_id = said.get("bos_token_id", start_id)
            ends = said.get("eos_token_id")
            end_ids = end_ids if ends is None else tuple(ends) if isinstance(ends, list) else (ends,)
    path = folder / "tokenizer_config.json"
    if path.exists() and json.loads(path.read_text()).get("add_bos_token") is False:
        start_id = None
    return start_id, end_ids


def _missing(path: Path, error: ModuleNotFoundError) -> ModelUnavailable:
    return ModelUnavailable(
        f"the tokenizer of {path} needs the package {error.name}; type: pip install 'mtp-harness[hf]'"
    )
