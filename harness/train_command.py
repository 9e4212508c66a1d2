"""`train`: a recipe in a TOML file, its data as token files, a model and its card."""

from __future__ import annotations

import difflib
import itertools
import json
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config import UsageError
from harness.progress import Progress

if TYPE_CHECKING:
    from models.token_files import Document
    from models.tokenizer import Tokenizer
    from models.train import Step, Trainer


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


def train(recipe: Path, out: Path, *, resume: bool = False, changes: Mapping[str, str] | None = None) -> Path:
    """Trains the model of a recipe; the folder it is in.

    Args:
        recipe: a TOML file with the tables `model`, `data` and `training`.
        out: the folder of model, data, checkpoint and metrics.
        resume: go on from a checkpoint there, rather than refuse to write over it.
        changes: choices in place of the recipe's: `training.steps` -> `100`.

    Raises:
        UsageError: the recipe, or what lies in the folder, is not what it should be.
        models.backend.ModelUnavailable: a tokenizer needs a package that is absent.
    """
    from models.checkpoint import save
    from models.token_files import digest

    tables = _read(recipe, changes or {})
    data = _made(DataRecipe, tables.pop("data", {}), "data")
    tokenizer, folder = _tokenized(data, out)
    trainer = _trainer(tables, tokenizer, folder, out)
    _check_folder(trainer, out, resume)
    started = time.perf_counter()
    last = _run(trainer)
    card = _card(recipe, trainer, data, digest(folder), last, time.perf_counter() - started)
    save(trainer.model, tokenizer, out / "model", card=card)
    return out / "model"


# ---------------------------------------------------------------------------------------------------------------------
# Recipe
# ---------------------------------------------------------------------------------------------------------------------


def _read(recipe: Path, changes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(recipe.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{recipe} is no recipe: {error}") from error
    for name, text in changes.items():
        table, _, key = name.partition(".")
        if not key:
            raise UsageError(f"--set takes table.name=value, such as training.steps=100, not {name!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except ValueError:
            value = text  # a text need not be quoted
        tables.setdefault(table, {})[key] = value
    unknown = sorted(set(tables) - {"model", "data", "training"})
    if unknown:
        raise UsageError(f"{recipe} has an unknown table [{unknown[0]}]; accepted: [model], [data], [training]")
    return tables


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
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"[{table}]: {error}") from error


def _trainer(tables: Mapping[str, Mapping[str, Any]], tokenizer: Tokenizer, folder: Path, out: Path) -> Trainer:
    from models.mtp import MTPConfig
    from models.token_files import TokenFile
    from models.train import TrainConfig, Trainer

    config = _made(TrainConfig, tables.get("training", {}), "training")
    described = {"vocab_size": tokenizer.vocab_size, **tables.get("model", {})}
    shape = _made(MTPConfig, described, "model")
    if shape.max_positions < config.length:
        raise UsageError(f"length {config.length} does not fit into max_positions {shape.max_positions}")
    try:
        file = TokenFile(folder, length=config.length, batch_size=config.batch_size, seed=config.seed)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Trainer(shape, config, file, out)


def _check_folder(trainer: Trainer, out: Path, resume: bool) -> None:
    if (out / "checkpoint.pt").exists() and not resume:
        raise UsageError(f"{out} holds a training run; add --resume to go on with it, or name another with --out")
    try:
        trainer.resume()
    except ValueError as error:
        raise UsageError(str(error)) from error


# ---------------------------------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------------------------------


def _tokenized(data: DataRecipe, out: Path) -> tuple[Tokenizer, Path]:
    """The tokenizer and the folder of the token files, which are made if they are not there or are of other data."""
    from models.token_files import write

    folder = out / "data"
    described = json.dumps(asdict(data), sort_keys=True)
    known = folder / "recipe.json"
    tokenizer = _tokenizer(data, folder, made=known.exists() and known.read_text() == described)
    if not known.exists() or known.read_text() != described:
        print(f"writing token files to {folder}", file=sys.stderr)
        if write(folder, _documents(data, tokenizer), tokenizer.vocab_size) == 0:
            raise UsageError(f"there are no texts in {data.source}")
        known.write_text(described)
    return tokenizer, folder


def _tokenizer(data: DataRecipe, folder: Path, *, made: bool) -> Tokenizer:
    from models.tokenizer import ByteTokenizer, find_tokenizer, train_bpe

    if data.vocab_size and data.tokenizer != "bytes":
        raise UsageError("[data] takes either tokenizer or vocab_size, not both")
    if data.vocab_size and not made:
        try:
            return train_bpe((prompt + rest for prompt, rest in _texts(data)), data.vocab_size, folder)
        except ValueError as error:
            raise UsageError(f"[data]: {error}") from error
    if data.vocab_size:
        from models.tokenizer import FileTokenizer

        return FileTokenizer(folder / "tokenizer.json", start_id=0, end_ids=(0,))
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
        pairs = _texts_of(Path(data.source))
    yield from itertools.islice(pairs, data.items)


def _texts_of(path: Path) -> Iterator[tuple[str, str]]:
    if not path.exists():
        raise UsageError(f"[data] source {path} is not there; accepted: mini, or a file or folder of texts")
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.suffix == ".jsonl":
            yield from _rows_of(file)
        else:
            yield "", file.read_text(errors="replace")


def _rows_of(file: Path) -> Iterator[tuple[str, str]]:
    with file.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                prompt, text = row.get("prompt", ""), row["text"]
            except (ValueError, KeyError, AttributeError) as error:
                raise UsageError(f"{file}, line {number}: no JSON object with a `text` ({error})") from error
            yield prompt, text.removeprefix(prompt)


# ---------------------------------------------------------------------------------------------------------------------
# Run and card
# ---------------------------------------------------------------------------------------------------------------------


def _run(trainer: Trainer) -> Step | None:
    from models.train import TrainingStopped

    shown: list[Step] = []
    with Progress("train", trainer.config.steps, done=trainer.step) as progress:
        taken = trainer.step

        def report(step: Step) -> None:
            nonlocal taken
            shown.append(step)
            for _ in range(step.step - taken):
                progress.step()
            taken = step.step

        try:
            trainer.run(report)
        except TrainingStopped as error:
            raise UsageError(str(error)) from error
    return shown[-1] if shown else None


def _card(recipe: Path, trainer: Trainer, data: DataRecipe, digest: str, last: Step | None, seconds: float) -> str:
    shape = trainer.model.config
    parameters = sum(weight.numel() for weight in trainer.model.parameters())
    losses = ", ".join(f"{loss:.4f}" for loss in last.losses) if last else "of a run that was complete already"
    return (
        f"# {recipe.stem}\n\n"
        f"{parameters:,} parameters, {shape.num_future_tokens} future tokens ({shape.head_type} heads), "
        f"{shape.num_layers} layers of width {shape.dim}, {shape.vocab_size} tokens.\n\n"
        f"| | |\n| --- | --- |\n"
        f"| data | {data.source}, sha256 {digest} |\n"
        f"| steps | {trainer.config.steps} of {trainer.config.batch_size} x {trainer.config.length} tokens |\n"
        f"| losses per head at the end, nats per token | {losses} |\n"
        f"| seconds, this session | {seconds:.0f} |\n\n"
        f"```toml\n{recipe.read_text()}```\n"
    )
