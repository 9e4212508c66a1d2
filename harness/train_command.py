"""`train`: a recipe in a TOML file, its data as token files, a model and its card."""

from __future__ import annotations

import difflib
import itertools
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from harness.config import UsageError
from harness.progress import Progress

if TYPE_CHECKING:
    from models.mtp import MTPConfig
    from models.token_files import Document
    from models.tokenizer import Tokenizer
    from models.train import Step, TrainConfig, Trainer

TABLES = ("model", "data", "training")
TEXT_FILES = frozenset({".jsonl", ".md", ".py", ".txt"})
"""What is read of a folder; a file that is named itself may be called anything."""
_KINDS = {int: "a whole number", float: "a number", str: 'text in "quotes"'}


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRecipe:
    """Where texts come from."""

    source: str = "mini"
    """`mini` for the endless stream of its families, or a file or folder: `.jsonl` rows with a `text` (and where there
    is one, a `prompt` that the text begins with), or text files."""
    items: int = 100_000
    """Texts taken, at most."""
    seed: int = 0
    """Of the stream."""
    prompt_weight: float = 1.0
    """What a token of a prompt counts in the loss."""
    tokenizer: str = "bytes"
    """`bytes`, or the folder of one."""
    vocab_size: int = 0
    """Of a byte-level BPE tokenizer made for these texts; 0 for none."""

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError(f"items must be 1 or more, not {self.items}")
        if not 0 <= self.prompt_weight <= 1:
            raise ValueError(f"prompt_weight must be from 0 to 1, not {self.prompt_weight}")
        if 0 < self.prompt_weight < 1 / 255:
            raise ValueError(f"prompt_weight is kept in 255ths, and {self.prompt_weight} is less than one; type 0")
        if self.vocab_size and self.vocab_size < 257:
            raise ValueError(f"vocab_size must be 257 (every byte, and an end) or more, or 0, not {self.vocab_size}")
        if self.vocab_size and self.tokenizer != "bytes":
            raise ValueError("take either tokenizer or vocab_size, not both")


class Choices(NamedTuple):
    """A recipe, read and checked."""

    name: str
    data: DataRecipe
    model: Mapping[str, Any]
    """Values of `models.mtp.MTPConfig`; the vocabulary is known when there is a tokenizer."""
    training: TrainConfig


def train(recipe: Path, out: Path, *, resume: bool = False, changes: Mapping[str, str] | None = None) -> Path:
    """Trains the model of a recipe; the folder it is in.

    Args:
        recipe: a TOML file with the tables `model`, `data` and `training`.
        out: the folder of model, data, checkpoint and metrics.
        resume: go on from a checkpoint there, rather than refuse to write over it.
        changes: choices in place of the recipe's: `training.steps` -> `100`.

    Raises:
        UsageError: the recipe, or what lies in the folder, is not what it should be.
        KeyboardInterrupt: after a checkpoint to go on from.
        models.backend.ModelUnavailable: a tokenizer is not there, or needs a package that is absent.
    """
    from models.checkpoint import save

    choices = read_recipe(recipe, changes or {})
    _check_folder(choices.data, out, resume)
    tokenizer = _tokenized(choices.data, out / "data")
    shape = _shape(choices, tokenizer)
    effective = _as_toml({"model": asdict(shape), "data": asdict(choices.data), "training": asdict(choices.training)})
    trainer = _trainer(choices, shape, out)
    (out / "recipe.toml").write_text(effective)
    _run(trainer)
    card = _card(choices, trainer, effective)
    save(trainer.model, tokenizer, out / "model", card=card)
    return out / "model"


# ---------------------------------------------------------------------------------------------------------------------
# Recipe
# ---------------------------------------------------------------------------------------------------------------------


def read_recipe(recipe: Path, changes: Mapping[str, str]) -> Choices:
    """What a recipe says, after changes; all of it is checked before any text is read.

    Raises:
        UsageError: a table, a name or a value is none that is accepted.
    """
    from models.mtp import MTPConfig
    from models.train import TrainConfig, check_fit, find_device

    tables = _tables(recipe, changes)
    data: DataRecipe = _made(DataRecipe, tables["data"], "data")
    training: TrainConfig = _made(TrainConfig, tables["training"], "training")
    # The size of a tokenizer that has to be found or made comes later, and has no part in what is checked here.
    shape: MTPConfig = _made(MTPConfig, {"vocab_size": 257, **tables["model"]}, "model")
    try:
        check_fit(shape, training)
        find_device(training.device)
    except ValueError as error:
        raise UsageError(f"[training]: {error}") from error
    return Choices(recipe.stem, data, tables["model"], training)


def _tables(recipe: Path, changes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    try:
        tables: dict[str, Any] = tomllib.loads(recipe.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{recipe} is no recipe: {error}") from error
    for name in tables:
        _check_table(name, str(recipe))
        if not isinstance(tables[name], dict):
            raise UsageError(f"{recipe}: {name} is a value, not a table; type [{name}] on a line of its own")
    tables = {name: tables.get(name, {}) for name in TABLES}
    for name, text in changes.items():
        table, _, key = name.partition(".")
        if not key or not text:
            raise UsageError(f"--set takes table.name=value, such as training.steps=100, not {name}{'=' * bool(text)}")
        _check_table(table, "--set")
        tables[table][key] = _value(text)
    return tables


def _check_table(name: str, where: str) -> None:
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, n=1)
        hint = f"did you mean [{near[0]}]?" if near else f"accepted: {', '.join(f'[{table}]' for table in TABLES)}"
        raise UsageError(f"{where} has an unknown table [{name}]; {hint}")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text  # a text need not be quoted


def _made(kind: Any, values: Mapping[str, Any], table: str) -> Any:
    """A dataclass of a table's values.

    Raises:
        UsageError: a name is unknown or missing, or a value is none that the class accepts.
    """
    known = {field.name: field for field in fields(kind)}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(known)}"
            raise UsageError(f"unknown {name} in [{table}]; {hint}")
    needed = [name for name, field in known.items() if field.default is MISSING and name not in values]
    if needed:
        raise UsageError(f"[{table}] lacks {', '.join(needed)}")
    hints = get_type_hints(kind)
    for name, value in values.items():
        _check_kind(f"[{table}] {name}", value, hints[name])
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"[{table}]: {error}") from error


def _check_kind(name: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UsageError(f"{name} is {value!r}; accepted: {', '.join(get_args(hint))}")
        return
    accepted = (int, float) if hint is float else (hint,)
    # To Python, true and false are whole numbers.
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise UsageError(f"{name} takes {_KINDS[hint]}, not {value!r}{_hint(name, value, hint)}")


def _hint(name: str, value: Any, hint: Any) -> str:
    """What to type, where what was meant can be told."""
    key = name.split()[-1]
    if hint is str:
        return f"; type {key} = {json.dumps(str(value))}"
    try:
        meant = hint(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        return ""
    return "" if meant is None else f"; type {key} = {meant}"


def _as_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A recipe with every default in it: numbers and texts are written alike in JSON and TOML."""
    return "\n".join(
        f"[{table}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        for table, values in tables.items()
    )


# ---------------------------------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------------------------------


def _check_folder(data: DataRecipe, out: Path, resume: bool) -> None:
    """Refuses before anything is written: a run that is there may be gone on with, but not spoilt."""
    from models.train import differences

    if not (out / "checkpoint.pt").exists():
        return
    if not resume:
        raise UsageError(f"{out} holds a training run; add --resume to go on with it, or name another with --out")
    before = _read_description(out / "data")
    changed = differences({"data": before["data"]}, {"data": asdict(data)}) if before else []
    if changed:
        listed = "\n  ".join(changed)
        raise UsageError(f"{out} holds another training run:\n  {listed}\nname another folder with --out")


def _tokenized(data: DataRecipe, folder: Path) -> Tokenizer:
    """The tokenizer of the token files, which are made if they are not there or are of other data."""
    from models.token_files import write
    from models.tokenizer import open_tokenizer

    known = _read_description(folder)
    if known and known["data"] == asdict(data):
        return open_tokenizer(folder, known["tokenizer"])
    if data.source != "mini" and not Path(data.source).exists():
        raise UsageError(f"[data]: source {data.source} is not there; accepted: mini, or a file or folder of texts")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; name another folder with --out") from error
    # Gone before the files change, there again after they have: it never speaks of others.
    (folder / "recipe.json").unlink(missing_ok=True)
    tokenizer = _tokenizer(data, folder)
    print(f"writing token files to {folder}", file=sys.stderr)
    if write(folder, _documents(data, tokenizer), tokenizer.vocab_size) == 0:
        raise UsageError(f"there are no texts in {data.source}; read are {', '.join(sorted(TEXT_FILES))} in a folder")
    described = {"data": asdict(data), "tokenizer": tokenizer.save(folder)}
    (folder / "recipe.json").write_text(json.dumps(described, indent=2) + "\n")
    return tokenizer


def _read_description(folder: Path) -> dict[str, Any] | None:
    """Of which data token files are, and what their tokenizer is; None where there are none that are whole."""
    path = folder / "recipe.json"
    if not path.exists() or not (folder / "starts.npy").exists():
        return None
    try:
        described: dict[str, Any] = json.loads(path.read_text())
    except ValueError:  # torn
        return None
    return described if {"data", "tokenizer"} <= described.keys() else None


def _tokenizer(data: DataRecipe, folder: Path) -> Tokenizer:
    from models.tokenizer import ByteTokenizer, find_tokenizer, train_bpe

    if data.vocab_size:
        return train_bpe((prompt + rest for prompt, rest in _texts(data)), data.vocab_size, folder)
    return ByteTokenizer() if data.tokenizer == "bytes" else find_tokenizer(Path(data.tokenizer))


def _documents(data: DataRecipe, tokenizer: Tokenizer) -> Iterator[Document]:
    from models.token_files import Document

    start = [tokenizer.start_id] if tokenizer.start_id is not None else []
    # One token that both begins and ends texts need not be there twice.
    end = [] if tokenizer.start_id in tokenizer.end_ids else list(tokenizer.end_ids[:1])
    with Progress("tokenize", data.items) as progress:
        for prompt, rest in _texts(data):
            before, after = tokenizer.encode(prompt), tokenizer.encode(rest)
            weights = [1.0] * len(start) + [data.prompt_weight] * len(before) + [1.0] * (len(after) + len(end))
            yield Document(tokens=[*start, *before, *after, *end], weights=weights)
            progress.step()


def _texts(data: DataRecipe) -> Iterator[tuple[str, str]]:
    """(prompt, what follows it) of each text."""
    if data.source == "mini":
        from tasks.mini import training_stream

        pairs: Iterator[tuple[str, str]] = ((item.prompt, item.completion) for item in training_stream(data.seed))
    else:
        pairs = (pair for file in _files_of(Path(data.source)) for pair in _texts_of(file))
    return itertools.islice((pair for pair in pairs if any(pair)), data.items)


def _files_of(path: Path) -> list[Path]:
    """A file, or the texts of a folder and those below it; what is hidden, as `.git`, is not among them."""
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.suffix in TEXT_FILES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _texts_of(file: Path) -> Iterator[tuple[str, str]]:
    if file.suffix == ".jsonl":
        yield from _rows_of(file)
    else:
        yield "", file.read_text(encoding="utf-8", errors="replace")


def _rows_of(file: Path) -> Iterator[tuple[str, str]]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                prompt, text = row.get("prompt", ""), row["text"]
            except (ValueError, KeyError, AttributeError) as error:
                raise UsageError(f"{file}, line {number}: no JSON object with a `text` ({error})") from error
            if not isinstance(text, str) or not isinstance(prompt, str):
                raise UsageError(f"{file}, line {number}: `text` and `prompt` must be text in quotes")
            if not text.startswith(prompt):
                raise UsageError(
                    f"{file}, line {number}: `text` does not begin with `prompt`; it must, or leave it out"
                )
            yield prompt, text.removeprefix(prompt)


# ---------------------------------------------------------------------------------------------------------------------
# Run and card
# ---------------------------------------------------------------------------------------------------------------------


def _shape(choices: Choices, tokenizer: Tokenizer) -> MTPConfig:
    from models.mtp import MTPConfig

    shape: MTPConfig = _made(MTPConfig, {"vocab_size": tokenizer.vocab_size, **choices.model}, "model")
    if shape.vocab_size < tokenizer.vocab_size:
        raise UsageError(
            f"[model] vocab_size {shape.vocab_size} does not hold the tokenizer's {tokenizer.vocab_size} tokens; "
            f"leave it out"
        )
    return shape


def _trainer(choices: Choices, shape: MTPConfig, out: Path) -> Trainer:
    from models.token_files import TokenFile
    from models.train import Trainer

    config = choices.training
    try:
        file = TokenFile(out / "data", length=config.length, batch_size=config.batch_size, seed=config.seed)
        trainer = Trainer(shape, config, file, out)
        trainer.resume()
    except ValueError as error:
        raise UsageError(str(error)) from error
    return trainer


def _run(trainer: Trainer) -> None:
    from models.train import TrainingStopped

    with Progress("train", trainer.config.steps, done=trainer.step) as progress:

        def report(step: Step) -> None:
            progress.step(step.step - progress.done)

        try:
            trainer.run(report)
        except TrainingStopped as error:
            raise UsageError(str(error)) from error


def _card(choices: Choices, trainer: Trainer, effective: str) -> str:
    shape, config, last = trainer.model.config, trainer.config, trainer.latest
    assert last is not None, "there is at least one step, and the last is logged"
    parameters = sum(weight.numel() for weight in trainer.model.parameters())
    losses = ", ".join(f"{loss:.4f}" for loss in last.losses)
    return (
        f"# {choices.name}\n\n"
        f"{parameters:,} parameters, {shape.num_future_tokens} future tokens ({shape.head_type} heads), "
        f"{shape.num_layers} layers of width {shape.dim}, {shape.vocab_size} tokens.\n\n"
        f"| | |\n| --- | --- |\n"
        f"| data | {choices.data.source}, sha256 {trainer.data_digest} of the token files |\n"
        f"| steps | {config.steps} of {config.batch_size} x {config.length} tokens, {last.tokens:,} in all |\n"
        f"| losses per head at the end, nats per token | {losses} |\n"
        f"| seconds of training | {last.seconds:.0f}, on {trainer.device.type} in {trainer.dtype} |\n\n"
        f"The recipe, with what was changed on the command line and every default:\n\n"
        f"```toml\n{effective}```\n"
    )
