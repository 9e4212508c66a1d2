"""Text to tokens and back: bytes, which need nothing; and through their packages, BPE and SentencePiece files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from models.backend import ModelUnavailable

_END = "<|end|>"


class Tokenizer(Protocol):
    """What a model reads and writes.

    Some tokenizers drop a space at the beginning of what they decode: what follows a prompt is decoded together with
    it, and the prompt's text is taken off by whoever decodes.
    """

    vocab_size: int
    start_id: int | None
    """Begins a text; None where a text begins with its first token."""
    end_ids: tuple[int, ...]
    """Each of them ends a text; there is at least one."""

    @property
    def end_id(self) -> int:
        """The first of `end_ids`, which ends a text that is made."""
        ...

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        """The tokens of a text, with `start` after the token that begins one."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Those that begin or end texts have none, and bytes that are not UTF-8 become U+FFFD."""
        ...

    def describe(self) -> dict[str, Any]:
        """What `open_tokenizer` needs to know beside the files."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes its files, and gives its description."""
        ...


class ByteTokenizer:
    """Every byte of a text's UTF-8 is a token, and one more both begins and ends texts."""

    vocab_size = 257
    start_id: int | None = 256
    end_ids: tuple[int, ...] = (256,)

    @property
    def end_id(self) -> int:
        return self.end_ids[0]

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        return [*([256] if start else []), *text.encode()]

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(token for token in tokens if token < 256).decode(errors="replace")

    def describe(self) -> dict[str, Any]:
        return {"type": "bytes"}

    def save(self, folder: Path) -> dict[str, Any]:
        return self.describe()


class FileTokenizer:
    """A `tokenizer.json` of the package tokenizers.

    Args:
        path: the file.
        start_id: begins a text; None where a text begins with its first token.
        end_ids: end one.

    Raises:
        ModelUnavailable: the package is absent, the file is none of its own, or it has no such tokens.
    """

    def __init__(self, path: Path, *, start_id: int | None, end_ids: tuple[int, ...]) -> None:
        self._tokenizer = _implementation(path)
        # Published files may say how training cut its texts. A prompt is never cut unseen.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocab_size: int = self._tokenizer.get_vocab_size()
        self.start_id = start_id
        self.end_ids = _checked_ids(path, start_id, end_ids, self.vocab_size)
        self._silent = {*self.end_ids, *([] if start_id is None else [start_id])}

    @property
    def end_id(self) -> int:
        return self.end_ids[0]

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [self.start_id, *tokens] if start and self.start_id is not None else tokens

    def decode(self, tokens: Sequence[int]) -> str:
        heard = [token for token in tokens if token not in self._silent]
        text: str = self._tokenizer.decode(heard, skip_special_tokens=True)
        return text

    def describe(self) -> dict[str, Any]:
        return {
            "type": "tokenizers",
            "file": "tokenizer.json",
            "start_id": self.start_id,
            "end_ids": list(self.end_ids),
        }

    def save(self, folder: Path) -> dict[str, Any]:
        self._tokenizer.save(str(folder / "tokenizer.json"))
        return self.describe()


class SentencePieceTokenizer:
    """A `tokenizer.model` of SentencePiece, as Llama 2 has it.

    Args:
        path: the file.
        end_ids: end a text; None for the one that the file names.

    Raises:
        ModelUnavailable: the package is absent, the file is none of its own, or it has no token that ends a text.
    """

    def __init__(self, path: Path, *, end_ids: tuple[int, ...] | None = None) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ModuleNotFoundError as error:
            raise _missing(path, error) from error
        try:
            self._model = path.read_bytes()
            # Not by the constructor: that takes an empty file.
            self._processor = SentencePieceProcessor()
            self._processor.LoadFromSerializedProto(self._model)
            self.vocab_size: int = self._processor.vocab_size()
        except (OSError, RuntimeError) as error:
            raise ModelUnavailable(f"{path} is no SentencePiece model: {error}; fetch it again") from error
        start, end = self._processor.bos_id(), self._processor.eos_id()
        self.start_id: int | None = start if start >= 0 else None
        ends = end_ids or ((end,) if end >= 0 else ())
        self.end_ids: tuple[int, ...] = _checked_ids(path, self.start_id, ends, self.vocab_size)

    @property
    def end_id(self) -> int:
        return self.end_ids[0]

    def encode(self, text: str, *, start: bool = False) -> list[int]:
        tokens: list[int] = self._processor.encode(text)
        return [self.start_id, *tokens] if start and self.start_id is not None else tokens

    def decode(self, tokens: Sequence[int]) -> str:
        heard = [token for token in tokens if token < self.vocab_size and token not in self.end_ids]
        text: str = self._processor.decode(heard)
        return text

    def describe(self) -> dict[str, Any]:
        return {"type": "sentencepiece", "file": "tokenizer.model", "end_ids": list(self.end_ids)}

    def save(self, folder: Path) -> dict[str, Any]:
        (folder / "tokenizer.model").write_bytes(self._model)
        return self.describe()


def _checked_ids(path: Path, start_id: Any, end_ids: tuple[Any, ...], vocab_size: int) -> tuple[int, ...]:
    if not end_ids:
        raise ModelUnavailable(
            f"{path}: nothing says which token ends a text; accepted: eos_token_id in generation_config.json or "
            f"config.json, or eos_token in tokenizer_config.json beside it"
        )
    for token in (*end_ids, *([] if start_id is None else [start_id])):
        if type(token) is not int or not 0 <= token < vocab_size:
            raise ModelUnavailable(
                f"{path}: {token!r} is to begin or end texts; accepted: a token from 0 to {vocab_size - 1}"
            )
    return end_ids


# ---------------------------------------------------------------------------------------------------------------------
# Making and opening
# ---------------------------------------------------------------------------------------------------------------------


def train_bpe(texts: Iterable[str], vocab_size: int, folder: Path | None = None) -> FileTokenizer:
    """A byte-level BPE tokenizer made for some texts; any text survives it unchanged, also one with `<|end|>` in it.

    Args:
        texts: what it is made for; the same texts give the same tokenizer.
        vocab_size: the most tokens it has. Token 0 begins and ends texts.
        folder: where its `tokenizer.json` is written at once; otherwise that is left to its `save`.

    Raises:
        ModelUnavailable: the package tokenizers is absent.
        ValueError: the vocabulary would not hold every byte and the token that ends a text.
    """
    if vocab_size < 257:
        raise ValueError(f"a byte-level vocabulary has at least 257 tokens, not {vocab_size}; type vocab_size = 257")
    try:
        content = _trained(texts, vocab_size)
    except ModuleNotFoundError as error:
        raise _missing(folder or Path("tokenizer.json"), error) from error
    if folder is None:
        with tempfile.TemporaryDirectory() as place:
            return _written(content, Path(place))
    folder.mkdir(parents=True, exist_ok=True)
    return _written(content, folder)


def _trained(texts: Iterable[str], vocab_size: int) -> dict[str, Any]:
    from tokenizers import Tokenizer as Implementation
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = Implementation(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    # It stays in the vocabulary, but is not looked for in texts: a program that has it as a string ends no text.
    content["added_tokens"] = []
    return content


def _written(content: Mapping[str, Any], folder: Path) -> FileTokenizer:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    end = content["model"]["vocab"][_END]
    return FileTokenizer(path, start_id=end, end_ids=(end,))


def open_tokenizer(place: Path, description: Mapping[str, Any] | None = None) -> Tokenizer:
    """A tokenizer from a folder, or from its file.

    Args:
        place: the folder that `save` wrote to, or one of a published model; or the file itself.
        description: what `save` gave; None to go by what is there.

    Raises:
        ModelUnavailable: files or packages are missing, or the description is none.
    """
    if description is None:
        return _from_file(place) if place.is_file() else find_tokenizer(place)
    kind = description.get("type") if isinstance(description, Mapping) else None
    if kind == "bytes":
        return ByteTokenizer()
    if kind == "sentencepiece":
        return SentencePieceTokenizer(_file(place, description, "tokenizer.model"), end_ids=_ends(description, place))
    if kind == "tokenizers":
        path = _file(place, description, "tokenizer.json")
        return FileTokenizer(path, start_id=description.get("start_id"), end_ids=_ends(description, place))
    raise ModelUnavailable(
        f"{place} names an unknown tokenizer {kind or description!r}; "
        f"accepted: an object of type bytes, tokenizers or sentencepiece"
    )


def _file(place: Path, description: Mapping[str, Any], otherwise: str) -> Path:
    name = description.get("file", otherwise)
    if not isinstance(name, str) or Path(name).name != name:
        raise ModelUnavailable(f"{place}: the file of its tokenizer is {name!r}; accepted: the name of a file in it")
    return place if place.is_file() else place / name


def _ends(description: Mapping[str, Any], place: Path) -> tuple[int, ...]:
    ends = description.get("end_ids", [])
    if not isinstance(ends, list):
        raise ModelUnavailable(f"{place}: end_ids of its tokenizer is {ends!r}; accepted: a list of tokens")
    return tuple(ends)


def find_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in a folder of a published model, or, as Meta's lie, just above it.

    Raises:
        ModelUnavailable: there is none, or it cannot be read.
    """
    for path in (folder / "tokenizer.json", folder / "tokenizer.model", folder.absolute().parent / "tokenizer.model"):
        if path.exists():
            return _from_file(path)
    raise ModelUnavailable(
        f"{folder} has no tokenizer; put tokenizer.json or tokenizer.model into it, or tokenizer.model above it"
    )


def _from_file(path: Path) -> Tokenizer:
    published = _Published(path.parent)
    if path.suffix == ".model":
        return SentencePieceTokenizer(path, end_ids=published.end_ids or None)
    tokenizer = _implementation(path)
    start_id, end_ids = published.start_id, published.end_ids
    if start_id is None:
        start_id = _id_of(tokenizer, published.start_token)
    if not end_ids:
        end = _id_of(tokenizer, published.end_token)
        end_ids = () if end is None else (end,)
    begins = _begins_with(tokenizer, start_id) if published.adds_start is None else published.adds_start
    return FileTokenizer(path, start_id=start_id if begins else None, end_ids=end_ids)


class _Published:
    """What the files of a Hugging Face folder say about the tokens that begin and end texts.

    `generation_config.json` is what a model is run with, so it is right where `config.json` says otherwise.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        said = self._read("config.json") | {
            name: value for name, value in self._read("generation_config.json").items() if value is not None
        }
        ends = said.get("eos_token_id")
        self.start_id: int | None = said.get("bos_token_id")
        self.end_ids: tuple[int, ...] = () if ends is None else tuple(ends) if isinstance(ends, list) else (ends,)
        tokenizer = self._read("tokenizer_config.json")
        self.start_token = tokenizer.get("bos_token")
        self.end_token = tokenizer.get("eos_token")
        self.adds_start: bool | None = self._adds_start(tokenizer)

    def _read(self, name: str) -> dict[str, Any]:
        path = self._folder / name
        if not path.exists():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}; a JSON object is accepted") from error
        if not isinstance(content, dict):
            raise ModelUnavailable(f"{path} holds a JSON {type(content).__name__}; a JSON object is accepted")
        return content

    @staticmethod
    def _adds_start(tokenizer: Mapping[str, Any]) -> bool | None:
        """Whether texts begin with the token that begins one; None where only tokenizer.json itself knows."""
        if isinstance(tokenizer.get("add_bos_token"), bool):
            return bool(tokenizer["add_bos_token"])
        # Without a word about it, tokenizers of this class begin every text with it.
        return True if not tokenizer or "LlamaTokenizer" in str(tokenizer.get("tokenizer_class")) else None


def _id_of(tokenizer: Any, token: Any) -> int | None:
    """The id of a token as tokenizer_config.json writes it: its text, or an object with its text."""
    text = token.get("content") if isinstance(token, Mapping) else token
    found: int | None = tokenizer.token_to_id(text) if isinstance(text, str) else None
    return found


def _begins_with(tokenizer: Any, start_id: int | None) -> bool:
    """Whether the file itself puts that token before a text."""
    plain, whole = (tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
    return bool(whole[:1] == [start_id] and plain[:1] != [start_id])


def _implementation(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer as Implementation
    except ModuleNotFoundError as error:
        raise _missing(path, error) from error
    try:
        return Implementation.from_file(str(path))
    except Exception as error:  # the package raises nothing narrower
        raise ModelUnavailable(f"{path} is no tokenizer file: {error}; a tokenizer.json is accepted") from error


def _missing(path: Path, error: ModuleNotFoundError) -> ModelUnavailable:
    return ModelUnavailable(
        f"the tokenizer of {path} needs the package {error.name}; type: pip install 'mtp-harness[hf]'"
    )
