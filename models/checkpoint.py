"""Models in folders: our own, the released multi-token checkpoints, and Llama folders of Hugging Face."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch

from models.backend import ModelUnavailable
from models.layouts import from_llama, llama_config, llama_description, llama_name, meta_config, to_llama
from models.mtp import MTPConfig, MTPTransformer
from models.tokenizer import Tokenizer, find_tokenizer, open_tokenizer
from models.weights import SafetensorsFiles, TorchFile, checked, digest, filled, read_json

FORMAT = "mtp-harness/model/1"

_OUR_TOKENIZER = "mtp_harness_tokenizer"
"""Where the config.json of a Llama folder of ours describes its tokenizer; other programs pass over it."""

Layout = Literal["own", "meta", "llama"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A model that has been read."""

    model: MTPTransformer
    """Ready to answer; its weights have no gradients."""
    tokenizer: Tokenizer
    digest: str
    """sha256 over its description and its weights."""
    layout: Layout


def load(
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    tokenizer: Tokenizer | None = None,
) -> Loaded:
    """Reads a model.

    Args:
        folder: `config.json` and `model.safetensors` of ours; `params.json` and `consolidated.pth` as released in
            facebook/multi-token-prediction; or `config.json` and safetensors of a Llama model.
        device: where its weights go.
        dtype: what they are converted to; None for what they are stored in.
        tokenizer: what is used in place of the one that lies with a published model.

    Raises:
        ModelUnavailable: there is no such model, or its files are not what they should be.
    """
    if not folder.is_dir():
        raise ModelUnavailable(f"{folder} is no folder; a model is a folder with its description and its weights")
    described = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    if described.get("format") == FORMAT:
        return _load_own(folder, described, device, dtype)
    if (folder / "params.json").exists() and ((folder / "consolidated.pth").exists() or not described):
        return _load_meta(folder, device, dtype, tokenizer)
    if not described:
        raise ModelUnavailable(
            f"{folder} holds no model: neither config.json (ours, or a Llama model) nor params.json (Meta's) is there"
        )
    if described.get("model_type") == "llama":
        return _load_llama(folder, described, device, dtype, tokenizer)
    kind = described.get("model_type", described.get("format"))
    raise ModelUnavailable(f"{folder} is a model of kind {kind!r}; accepted: {FORMAT!r} and 'llama'; try hf:{folder}")


def _load_own(
    folder: Path, described: Mapping[str, Any], device: str | torch.device, dtype: torch.dtype | None
) -> Loaded:
    config = _own_config(described.get("model"), folder / "config.json")
    weights = SafetensorsFiles(folder, ["model.safetensors"])
    tokenizer = _fitting(open_tokenizer(folder, described.get("tokenizer", {})), config, folder)
    return Loaded(
        model=filled(config, weights, device=device, dtype=dtype),
        tokenizer=tokenizer,
        digest=digest(folder, ["config.json", *weights.files]),
        layout="own",
    )


def _own_config(values: Any, path: Path) -> MTPConfig:
    if not isinstance(values, dict):
        raise ModelUnavailable(f'{path} does not describe a model: "model" is {values!r}; accepted: a JSON object')
    unknown = sorted(set(values) - {field.name for field in fields(MTPConfig)})
    if unknown:
        raise ModelUnavailable(f"{path} does not describe a model: unknown {', '.join(unknown)}")
    return checked(values, path)


def _load_meta(
    folder: Path, device: str | torch.device, dtype: torch.dtype | None, tokenizer: Tokenizer | None
) -> Loaded:
    if not (folder / "consolidated.pth").exists():
        raise ModelUnavailable(f"{folder} has params.json, but no consolidated.pth; fetch it, both belong together")
    params = read_json(folder / "params.json")
    weights = TorchFile(folder, "consolidated.pth")
    config = meta_config(
        params,
        folder,
        vocab_size=_rows(weights, "tok_embeddings.weight"),
        hidden_dim=_rows(weights, "layers.0.feed_forward.w1.weight"),
    )
    if config.num_future_tokens == 1:
        _log.info("%s predicts the next token only: it has no extra_heads, and params.json names none", folder)
    return Loaded(
        model=filled(config, weights, device=device, dtype=dtype),
        tokenizer=tokenizer or _fitting(find_tokenizer(folder), config, folder),
        digest=digest(folder, ["params.json", *weights.files]),
        layout="meta",
    )


def _rows(weights: TorchFile, name: str) -> int:
    if name not in weights.names or weights.get(name).dim() != 2:
        raise ModelUnavailable(
            f"{weights.folder / weights.files[0]} has no matrix {name}: these are not the weights of a Llama model"
        )
    return weights.get(name).shape[0]


def _load_llama(
    folder: Path,
    described: Mapping[str, Any],
    device: str | torch.device,
    dtype: torch.dtype | None,
    tokenizer: Tokenizer | None,
) -> Loaded:
    config = llama_config(described, folder)
    weights = SafetensorsFiles(folder, _llama_files(folder))
    tied = _is_tied(described, weights)
    if tokenizer is None:
        ours = described.get(_OUR_TOKENIZER)
        tokenizer = _fitting(open_tokenizer(folder, ours) if ours else find_tokenizer(folder), config, folder)
    model = filled(
        config,
        weights,
        device=device,
        dtype=dtype,
        theirs=lambda name: llama_name("tok_embeddings.weight" if tied and name == "output.weight" else name),
        ordered=lambda name, weight: from_llama(name, weight, config),
        unused=["lm_head.weight"] if tied else [],
    )
    return Loaded(
        model=model, tokenizer=tokenizer, digest=digest(folder, ["config.json", *weights.files]), layout="llama"
    )


def _is_tied(described: Mapping[str, Any], weights: SafetensorsFiles) -> bool:
    if not described.get("tie_word_embeddings", False):
        return False
    pair = ("model.embed_tokens.weight", "lm_head.weight")
    if weights.names >= set(pair) and not torch.equal(*(weights.get(name) for name in pair)):
        raise ModelUnavailable(
            f"{weights.folder} says tie_word_embeddings, but its lm_head.weight is not its model.embed_tokens.weight; "
            f"set it to false if both are meant"
        )
    return True


def _llama_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    # In the order in which transformers looks for them.
    if (folder / "model.safetensors").exists():
        return ["model.safetensors"]
    if not index.exists():
        raise ModelUnavailable(
            f"{folder} has neither model.safetensors nor model.safetensors.index.json; other files of weights are "
            f"not read here; try hf:{folder}"
        )
    places = read_json(index).get("weight_map")
    files = set(places.values()) if isinstance(places, dict) else set()
    if not files or not all(isinstance(file, str) and Path(file).name == file for file in files):
        raise ModelUnavailable(f"{index} has no weight_map from weights to the names of files beside it")
    return sorted(files)


def _fitting(tokenizer: Tokenizer, config: MTPConfig, folder: Path) -> Tokenizer:
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelUnavailable(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only {config.vocab_size}; "
            f"they do not belong together"
        )
    return tokenizer


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------


def save(
    model: MTPTransformer,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    card: str | None = None,
) -> None:
    """Writes a model to a new folder, or over an older one, whose other files stay.

    Args:
        model: what is saved.
        tokenizer: what belongs to it.
        folder: where to.
        dtype: what weights are stored in.
        card: the text of README.md.

    Raises:
        ValueError: the tokenizer has more tokens than the model.
    """
    from safetensors.torch import save_file

    _check_fits(tokenizer, model)
    with _written_beside(folder) as place:
        weights = {key: weight.detach().to("cpu", dtype).contiguous() for key, weight in model.state_dict().items()}
        save_file(weights, place / "model.safetensors")
        described = {"format": FORMAT, "model": asdict(model.config), "tokenizer": tokenizer.save(place)}
        (place / "config.json").write_text(json.dumps(described, indent=2) + "\n")
        if card is not None:
            (place / "README.md").write_text(card)


def export_llama(model: MTPTransformer, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the path to the next token as a Llama folder, in 32 bits.

    Raises:
        ValueError: that path has a part that a Llama model has not, or the tokenizer has more tokens than the model.
    """
    from safetensors.torch import save_file

    config = model.config
    _check_fits(tokenizer, model)
    if config.head_type == "linear" or (config.head_type == "anticausal" and config.num_future_tokens > 1):
        raise ValueError(
            f"the next token of {config.head_type} heads does not come out of a Llama model; "
            f"accepted: transformer, causal, replicated"
        )
    with _written_beside(folder) as place:
        weights = {
            llama_name(name): to_llama(name, weight.detach().to("cpu", torch.float32), config).contiguous()
            for name, weight in model.state_dict().items()
            if not name.startswith(("extra_heads", "extra_outputs"))
        }
        save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
        described = {
            **llama_description(config, num_layers=len(model.layers)),
            "bos_token_id": tokenizer.start_id,
            "eos_token_id": list(tokenizer.end_ids),
            _OUR_TOKENIZER: tokenizer.save(place),
        }
        (place / "config.json").write_text(json.dumps(described, indent=2) + "\n")


def _check_fits(tokenizer: Tokenizer, model: MTPTransformer) -> None:
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model only {model.config.vocab_size}; "
            f"give the model vocab_size = {tokenizer.vocab_size}"
        )


@contextmanager
def _written_beside(folder: Path) -> Iterator[Path]:
    """A new folder to write in, which then takes the place of `folder`. Until then the older one is untouched, and it
    comes back if it cannot be replaced. Between two renames there is none for a moment."""
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        new, old = Path(name) / "new", Path(name) / "old"
        new.mkdir()
        yield new
        if not folder.exists():
            os.rename(new, folder)
            return
        # Linked and not moved: the older folder stays whole, and whoever has such a file open writes to the same.
        _link_others(folder, new)
        os.rename(folder, old)
        try:
            os.rename(new, folder)
        except BaseException:
            os.rename(old, folder)
            raise


def _link_others(folder: Path, new: Path) -> None:
    for path in folder.iterdir():
        if (new / path.name).exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link)
        else:
            _link(path, new / path.name)


def _link(source: str | Path, place: str | Path) -> None:
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:  # a file system without links
        shutil.copy2(source, place, follow_symlinks=False)
