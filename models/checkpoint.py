"""Models in files: our own folders, the released multi-token checkpoints, and Llama folders of Hugging Face.

Weights are mapped into memory and converted one at a time, so that a model is never there twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.backend import ModelUnavailable
from models.mtp import MTPConfig, MTPTransformer, feed_forward_width
from models.tokenizer import Tokenizer, find_tokenizer, open_tokenizer

FORMAT = "mtp-harness/model/1"

Layout = Literal["own", "meta", "llama"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A model that has been read."""

    model: MTPTransformer
    """Ready to answer; its weights have no gradients."""
    tokenizer: Tokenizer
    digest: str
    """sha256 over the files that decide what the model answers."""
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
    if (folder / "params.json").exists():
        return _load_meta(folder, torch.device(device), dtype, tokenizer)
    if not (folder / "config.json").exists():
        raise ModelUnavailable(
            f"{folder} holds no model: neither config.json (ours, or a Llama model) nor params.json (Meta's) is there"
        )
    described = _read_json(folder / "config.json")
    if described.get("format") == FORMAT:
        return _load_own(folder, described, torch.device(device), dtype)
    if described.get("model_type") == "llama":
        return _load_llama(folder, described, torch.device(device), dtype, tokenizer)
    kind = described.get("model_type", described.get("format"))
    raise ModelUnavailable(f"{folder} is a model of kind {kind!r}; accepted: {FORMAT!r} and 'llama'; try hf:{folder}")


# ---------------------------------------------------------------------------------------------------------------------
# Ours
# ---------------------------------------------------------------------------------------------------------------------


def save(
    model: MTPTransformer,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    card: str | None = None,
) -> None:
    """Writes a model to a new folder, or over an older one; whoever reads meanwhile sees one of the two whole.

    Args:
        model: what is saved.
        tokenizer: what belongs to it.
        folder: where to.
        dtype: what weights are stored in.
        card: the text of README.md.
    """
    from safetensors.torch import save_file

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        place = Path(name) / "model"
        place.mkdir()
        weights = {key: weight.detach().to("cpu", dtype).contiguous() for key, weight in model.state_dict().items()}
        save_file(weights, place / "model.safetensors")
        described = {"format": FORMAT, "model": asdict(model.config), "tokenizer": tokenizer.save(place)}
        (place / "config.json").write_text(json.dumps(described, indent=2) + "\n")
        if card is not None:
            (place / "README.md").write_text(card)
        _exchange(place, folder, Path(name) / "old")


def _exchange(new: Path, folder: Path, old: Path) -> None:
    if folder.exists():
        # What else lies in the folder stays in it.
        for path in folder.iterdir():
            if not (new / path.name).exists():
                shutil.move(path, new / path.name)
        os.rename(folder, old)
    os.rename(new, folder)


def _load_own(folder: Path, described: Mapping[str, Any], device: torch.device, dtype: torch.dtype | None) -> Loaded:
    config = _config(folder / "config.json", described.get("model"))
    tensors = _Safetensors(folder, ["model.safetensors"])
    model = _filled(config, tensors.get, set(tensors.names), folder, device, dtype)
    tokenizer = open_tokenizer(folder, described.get("tokenizer", {}))
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelUnavailable(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only {config.vocab_size}"
        )
    return Loaded(
        model=model, tokenizer=tokenizer, digest=_digest(folder, ["config.json", *tensors.files]), layout="own"
    )


def _config(path: Path, values: Any) -> MTPConfig:
    known = {field.name for field in fields(MTPConfig)}
    try:
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown {', '.join(unknown)}")
        return MTPConfig(**values)
    except (TypeError, ValueError) as error:
        raise ModelUnavailable(f"{path} does not describe a model: {error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# Meta's
# ---------------------------------------------------------------------------------------------------------------------


def _load_meta(folder: Path, device: torch.device, dtype: torch.dtype | None, tokenizer: Tokenizer | None) -> Loaded:
    path = folder / "consolidated.pth"
    if not path.exists():
        raise ModelUnavailable(f"{folder} has params.json, but no consolidated.pth")
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        shape = weights["tok_embeddings.weight"].shape
        hidden = weights["layers.0.feed_forward.w1.weight"].shape[0]
    except KeyError as error:
        raise ModelUnavailable(f"{path} has no {error}: these are not the weights of a Llama model") from error
    except Exception as error:  # pickles, zips and files fail in many ways
        raise ModelUnavailable(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    config = meta_config(_read_json(folder / "params.json"), folder, vocab_size=shape[0], hidden_dim=hidden)
    model = _filled(config, weights.__getitem__, set(weights), folder, device, dtype)
    digest = _digest(folder, ["params.json", "consolidated.pth"])
    return Loaded(model=model, tokenizer=tokenizer or find_tokenizer(folder), digest=digest, layout="meta")


def meta_config(
    params: Mapping[str, Any], folder: Path, *, vocab_size: int | None = None, hidden_dim: int | None = None
) -> MTPConfig:
    """The shape that a `params.json` describes.

    Args:
        params: its content.
        folder: named in messages.
        vocab_size: as the weights have it; the file may say -1.
        hidden_dim: as the weights have it; the file says it by factors.

    Raises:
        ModelUnavailable: it does not describe a shape.
    """
    try:
        stated = params.get("vocab_size", -1)
        width = feed_forward_width(
            params["dim"], multiple_of=params.get("multiple_of", 256), multiplier=params.get("ffn_dim_multiplier")
        )
        return MTPConfig(
            vocab_size=vocab_size or stated,
            dim=params["dim"],
            num_layers=params["n_layers"],
            num_heads=params["n_heads"],
            num_kv_heads=params.get("n_kv_heads") or params["n_heads"],
            hidden_dim=hidden_dim or width,
            num_future_tokens=params.get("n_future_tokens", 1),
            max_positions=params.get("max_seq_len", 4096),
            rope_theta=params.get("rope_theta", 10_000.0),
            norm_eps=params.get("norm_eps", 1e-5),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{folder}/params.json does not describe a model: {error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# Llama folders
# ---------------------------------------------------------------------------------------------------------------------

_LLAMA_BLOCK = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def _llama_name(name: str) -> str:
    """The name that Hugging Face gives one of our parameters."""
    fixed = {
        "tok_embeddings.weight": "model.embed_tokens.weight",
        "norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    if name in fixed:
        return fixed[name]
    _, index, rest = name.split(".", 2)
    return f"model.layers.{index}.{_LLAMA_BLOCK[rest.removesuffix('.weight')]}.weight"


def _load_llama(
    folder: Path,
    described: Mapping[str, Any],
    device: torch.device,
    dtype: torch.dtype | None,
    tokenizer: Tokenizer | None,
) -> Loaded:
    config = _llama_config(folder, described)
    tensors = _Safetensors(folder, _llama_files(folder))
    heads = {"attention.wq": config.num_heads, "attention.wk": config.num_kv_heads}
    tied = "lm_head.weight" not in tensors.names and bool(described.get("tie_word_embeddings", False))

    def get(name: str) -> Tensor:
        theirs = "model.embed_tokens.weight" if tied and name == "output.weight" else _llama_name(name)
        weight = tensors.get(theirs)
        for part, count in heads.items():
            if part in name:
                return _interleaved(weight, count)
        return weight

    present = {
        name for name in _names(config) if _llama_name(name) in tensors.names or (tied and name == "output.weight")
    }
    model = _filled(config, get, present, folder, device, dtype)
    digest = _digest(folder, ["config.json", *tensors.files])
    return Loaded(model=model, tokenizer=tokenizer or find_tokenizer(folder), digest=digest, layout="llama")


def _llama_config(folder: Path, described: Mapping[str, Any]) -> MTPConfig:
    rope = described.get("rope_parameters") or {}
    scaling = described.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", rope.get("rope_type", "default")))
    refused = {
        "rope_scaling": kind not in (None, "default"),
        "attention_bias": described.get("attention_bias", False),
        "mlp_bias": described.get("mlp_bias", False),
        "hidden_act": described.get("hidden_act", "silu") != "silu",
        "head_dim": described.get("head_dim", described["hidden_size"] // described["num_attention_heads"])
        != described["hidden_size"] // described["num_attention_heads"],
    }
    unfit = [name for name, bad in refused.items() if bad]
    if unfit:
        raise ModelUnavailable(
            f"{folder} needs {', '.join(unfit)}, which this implementation does not have; type --model hf:{folder}"
        )
    try:
        return MTPConfig(
            vocab_size=described["vocab_size"],
            dim=described["hidden_size"],
            num_layers=described["num_hidden_layers"],
            num_heads=described["num_attention_heads"],
            num_kv_heads=described.get("num_key_value_heads") or described["num_attention_heads"],
            hidden_dim=described["intermediate_size"],
            max_positions=described.get("max_position_embeddings", 2048),
            rope_theta=described.get("rope_theta", rope.get("rope_theta", 10_000.0)),
            norm_eps=described.get("rms_norm_eps", 1e-6),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelUnavailable(f"{folder}/config.json does not describe a Llama model: {error}") from error


def _llama_files(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return ["model.safetensors"]
    return sorted(set(_read_json(index).get("weight_map", {}).values()))


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """Rows of a projection from Hugging Face's order (first and second halves of a head) to neighbouring pairs."""
    ordered: Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return ordered


def _halved(weight: Tensor, heads: int) -> Tensor:
    """The inverse of `_interleaved`."""
    ordered: Tensor = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
    return ordered


def export_llama(model: MTPTransformer, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the path to the next token as a Llama folder, in 32 bits.

    Raises:
        ValueError: that path has a part that a Llama model has not.
    """
    from safetensors.torch import save_file

    config = model.config
    if config.head_type == "linear" or (config.head_type == "anticausal" and config.num_future_tokens > 1):
        raise ValueError(f"the next token of {config.head_type} heads does not come out of a Llama model")
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for name, weight in model.state_dict().items():
        if name.startswith(("extra_heads", "extra_outputs")):
            continue
        weight = weight.detach().to("cpu", torch.float32)
        if ".wq." in name or ".wk." in name:
            weight = _halved(weight, config.num_heads if ".wq." in name else config.num_kv_heads)
        weights[_llama_name(name)] = weight.contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    described = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": len(model.layers),
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "max_position_embeddings": config.max_positions,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": tokenizer.start_id,
        "eos_token_id": list(tokenizer.end_ids),
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(described, indent=2) + "\n")
    tokenizer.save(folder)


# ---------------------------------------------------------------------------------------------------------------------
# Files and weights
# ---------------------------------------------------------------------------------------------------------------------


class _Safetensors:
    """The tensors of some safetensors files, mapped, read when they are asked for."""

    def __init__(self, folder: Path, files: list[str]) -> None:
        from safetensors import SafetensorError, safe_open

        self.files = files
        self._where: dict[str, Any] = {}
        for file in files:
            try:
                opened = safe_open(str(folder / file), framework="pt")
            except (OSError, SafetensorError) as error:
                raise ModelUnavailable(f"{folder / file} cannot be read: {error}") from error
            self._where |= dict.fromkeys(opened.keys(), opened)

    @property
    def names(self) -> set[str]:
        return set(self._where)

    def get(self, name: str) -> Tensor:
        tensor: Tensor = self._where[name].get_tensor(name)
        return tensor


def _names(config: MTPConfig) -> list[str]:
    with torch.device("meta"):
        return list(MTPTransformer(config).state_dict())


def _filled(
    config: MTPConfig,
    get: Callable[[str], Tensor],
    present: set[str],
    folder: Path,
    device: torch.device,
    dtype: torch.dtype | None,
) -> MTPTransformer:
    """A model of that shape with these weights; each is converted by itself, and goes straight to its place."""
    with torch.device("meta"):
        model = MTPTransformer(config)
    wanted = dict(model.named_parameters())
    missing = [name for name in wanted if name not in present]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelUnavailable(f"{folder} lacks the weight {missing[0]}{more}")
    for name, empty in wanted.items():
        weight = get(name)
        if weight.shape != empty.shape:
            raise ModelUnavailable(f"{folder}: {name} is {list(weight.shape)}, not {list(empty.shape)}")
        owner, _, last = name.rpartition(".")
        # A copy in any case: what is mapped would be read from the disk again and again.
        kept = torch.empty(weight.shape, dtype=dtype or weight.dtype, device=device).copy_(weight)
        setattr(model.get_submodule(owner), last, nn.Parameter(kept, requires_grad=False))
    return model.eval()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelUnavailable(f"{path} is no JSON object")
    return content


def _digest(folder: Path, files: list[str]) -> str:
    total = hashlib.sha256()
    for name in files:
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
