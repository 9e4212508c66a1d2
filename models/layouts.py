"""How others name, order and describe the same weights: Meta's multi-token checkpoints, and Hugging Face's Llama."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from models.backend import ModelUnavailable
from models.mtp import MTPConfig, feed_forward_width
from models.weights import checked

# ---------------------------------------------------------------------------------------------------------------------
# Meta's: our names, but the shape is described in other words
# ---------------------------------------------------------------------------------------------------------------------


def meta_config(
    params: Mapping[str, Any], folder: Path, *, vocab_size: int | None = None, hidden_dim: int | None = None
) -> MTPConfig:
    """The shape that a `params.json` describes.

    Args:
        params: its content.
        folder: named in messages.
        vocab_size: as the weights have it; the file may say -1, or nothing.
        hidden_dim: as the weights have it; the file says it by factors.

    Raises:
        ModelUnavailable: it does not describe a shape.
    """
    path = folder / "params.json"
    try:
        width = feed_forward_width(
            params["dim"], multiple_of=params.get("multiple_of", 256), multiplier=params.get("ffn_dim_multiplier")
        )
        values = {
            "vocab_size": vocab_size or params.get("vocab_size", -1),
            "dim": params["dim"],
            "num_layers": params["n_layers"],
            "num_heads": params["n_heads"],
            "num_kv_heads": _said(params, "n_kv_heads", params["n_heads"]),
            "hidden_dim": hidden_dim or width,
            "num_future_tokens": _said(params, "n_future_tokens", 1),
            "max_positions": _said(params, "max_seq_len", 4096),
            "rope_theta": _said(params, "rope_theta", 10_000.0),
            "norm_eps": _said(params, "norm_eps", 1e-5),
        }
    except KeyError as error:
        raise ModelUnavailable(f"{path} does not describe a model: it lacks {error}") from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ModelUnavailable(f"{path} does not describe a model: {error}") from error
    return checked(values, path)


def _said(values: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """What a file says; null says nothing."""
    value = values.get(name)
    return otherwise if value is None else value


# ---------------------------------------------------------------------------------------------------------------------
# Hugging Face's Llama: other names, another order of the channels that are turned together
# ---------------------------------------------------------------------------------------------------------------------

_OUTSIDE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK = {
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


def llama_name(name: str) -> str:
    """The name that Hugging Face gives one of our parameters."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    _, index, rest = name.split(".", 2)
    return f"model.layers.{index}.{_BLOCK[rest.removesuffix('.weight')]}.weight"


def from_llama(name: str, weight: Tensor, config: MTPConfig) -> Tensor:
    """One of our parameters, from theirs: a head's first and second half become neighbouring pairs."""
    heads = _turned(name, config)
    if not heads or weight.shape[0] % (2 * heads):
        return weight
    ordered: Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return ordered


def to_llama(name: str, weight: Tensor, config: MTPConfig) -> Tensor:
    """The inverse of `from_llama`."""
    heads = _turned(name, config)
    if not heads:
        return weight
    ordered: Tensor = weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
    return ordered


def _turned(name: str, config: MTPConfig) -> int:
    """How many heads a projection has that positions rotate; 0 for all others."""
    return config.num_heads if ".wq." in name else config.num_kv_heads if ".wk." in name else 0


def llama_config(described: Mapping[str, Any], folder: Path) -> MTPConfig:
    """The shape that a `config.json` of a Llama model describes.

    Raises:
        ModelUnavailable: it describes none, or one with parts that this implementation does not have.
    """
    path = folder / "config.json"
    rope = _said(described, "rope_parameters", {})
    try:
        values = {
            "vocab_size": described["vocab_size"],
            "dim": described["hidden_size"],
            "num_layers": described["num_hidden_layers"],
            "num_heads": described["num_attention_heads"],
            "num_kv_heads": _said(described, "num_key_value_heads", described["num_attention_heads"]),
            "hidden_dim": described["intermediate_size"],
            "max_positions": _said(described, "max_position_embeddings", 2048),
            "rope_theta": _said(described, "rope_theta", rope.get("rope_theta", 10_000.0)),
            "norm_eps": _said(described, "rms_norm_eps", 1e-6),
        }
    except KeyError as error:
        raise ModelUnavailable(f"{path} does not describe a Llama model: it lacks {error}") from error
    except AttributeError as error:
        raise ModelUnavailable(f"{path} does not describe a Llama model: rope_parameters is no object") from error
    config = checked(values, path)
    lacking = _lacking(described, config.head_dim)
    if lacking:
        raise ModelUnavailable(
            f"{folder} needs {', '.join(lacking)}, which this implementation does not have; type --model hf:{folder}"
        )
    return config


def _lacking(described: Mapping[str, Any], head_dim: int) -> list[str]:
    """What a model needs that ours has not."""
    needed = {
        "rope_scaling": _scaled(described.get("rope_scaling")),
        "rope_parameters": _scaled(described.get("rope_parameters")),
        "attention_bias": bool(described.get("attention_bias")),
        "mlp_bias": bool(described.get("mlp_bias")),
        "hidden_act": _said(described, "hidden_act", "silu") != "silu",
        "head_dim": _said(described, "head_dim", head_dim) != head_dim,
        "partial_rotary_factor": _said(described, "partial_rotary_factor", 1.0) != 1.0,
        "quantization_config": bool(described.get("quantization_config")),
    }
    return [name for name, is_needed in needed.items() if is_needed]


def _scaled(rope: Any) -> bool:
    """Whether positions are turned by more than their number times `rope_theta`."""
    if not rope:
        return False
    if not isinstance(rope, Mapping):
        return True
    usual = {"rope_type": "default", "type": "default", "partial_rotary_factor": 1.0}
    return any(name != "rope_theta" and value not in (None, usual.get(name)) for name, value in rope.items())


def llama_description(config: MTPConfig, *, num_layers: int) -> dict[str, Any]:
    """The `config.json` of the path to the next token as a Llama model, without its tokenizer."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_positions,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "dtype": "float32",
    }
