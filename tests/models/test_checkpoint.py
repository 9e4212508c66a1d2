"""Models of every accepted layout, written here in that layout, answer as an independent reading of it says."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small import small_model

from models import checkpoint
from models.backend import ModelUnavailable
from models.checkpoint import Loaded, export_llama, meta_config, save
from models.mtp import HeadType, MTPConfig, MTPTransformer
from models.tokenizer import ByteTokenizer

# As published in third parties' descriptions of the 7B checkpoint that predicts four tokens.
PARAMS_7B = {
    "dim": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_future_tokens": 4,
    "rope_theta": 10000.0,
    "multiple_of": 256,
    "ffn_dim_multiplier": None,
    "norm_eps": 1e-5,
    "vocab_size": 32000,
}
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]])


def load(folder: Path, **how: Any) -> Loaded:
    """The packages that read published tokenizers are extras; bytes do for these."""
    return checkpoint.load(folder, tokenizer=ByteTokenizer(), **how)


def test_the_7b_layout_has_as_many_parameters_as_llama_7b() -> None:
    with torch.device("meta"):
        model = MTPTransformer(meta_config(PARAMS_7B, Path("7B_1T_4")))
    # Embedding and unembedding, 32 layers of attention, feed-forward and two norms, the last norm: Llama 7B's count.
    layer = 4 * 4096 * 4096 + 3 * 4096 * 11008 + 2 * 4096
    assert 2 * 32000 * 4096 + 32 * layer + 4096 == 6_738_415_616
    assert sum(weight.numel() for weight in model.parameters()) == 6_738_415_616
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert shapes["layers.28.feed_forward.w1.weight"] == (11008, 4096)
    assert shapes["extra_heads.2.attention.wo.weight"] == (4096, 4096)
    assert "layers.29.attention.wq.weight" not in shapes
    assert "extra_heads.3.attention.wq.weight" not in shapes


# ---------------------------------------------------------------------------------------------------------------------
# Meta's layout
# ---------------------------------------------------------------------------------------------------------------------

SMALL = {
    "dim": 32,
    "n_layers": 5,
    "n_heads": 4,
    "n_future_tokens": 3,
    "multiple_of": 16,
    "ffn_dim_multiplier": None,
    "norm_eps": 1e-5,
    "vocab_size": -1,
    "a_key_of_another_version": True,
}


def write_meta(folder: Path, *, dtype: torch.dtype = torch.float32, **changes: Any) -> dict[str, torch.Tensor]:
    """A checkpoint of that layout, made of numbers; the weights as they are in it."""
    params = {**SMALL, **changes}
    dim, hidden, vocabulary = params["dim"], 96, 64
    kv = dim // params["n_heads"] * params.get("n_kv_heads", params["n_heads"])
    n = params.get("n_future_tokens", 1)
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * 0.3).to(dtype)

    weights = {"tok_embeddings.weight": draw(vocabulary, dim), "norm.weight": draw(dim) + 1}
    blocks = [f"layers.{i}" for i in range(params["n_layers"] - n + 1)] + [f"extra_heads.{j}" for j in range(n - 1)]
    for block in blocks:
        weights[f"{block}.attention.wq.weight"] = draw(dim, dim)
        weights[f"{block}.attention.wk.weight"] = draw(kv, dim)
        weights[f"{block}.attention.wv.weight"] = draw(kv, dim)
        weights[f"{block}.attention.wo.weight"] = draw(dim, dim)
        weights[f"{block}.feed_forward.w1.weight"] = draw(hidden, dim)
        weights[f"{block}.feed_forward.w2.weight"] = draw(dim, hidden)
        weights[f"{block}.feed_forward.w3.weight"] = draw(hidden, dim)
        weights[f"{block}.attention_norm.weight"] = draw(dim) + 1
        weights[f"{block}.ffn_norm.weight"] = draw(dim) + 1
    weights["output.weight"] = draw(vocabulary, dim)
    weights["rope.freqs"] = draw(4)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / "consolidated.pth")
    (folder / "params.json").write_text(json.dumps(params))
    return weights


def meta_logits(weights: dict[str, torch.Tensor], params: dict[str, Any], tokens: list[int]) -> torch.Tensor:
    """Logits_TNV of the released model, written down once more: loops over positions and heads, cosines and sines."""
    w = {name: weight.double() for name, weight in weights.items()}
    heads, dim, n = params["n_heads"], params["dim"], params["n_future_tokens"]
    kv_heads, width = params.get("n_kv_heads", heads), dim // params["n_heads"]

    def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.pow(2).mean() + params["norm_eps"]).sqrt() * weight

    def turned(x: torch.Tensor, position: int) -> torch.Tensor:
        out = x.clone()
        for pair in range(width // 2):
            angle = torch.tensor(position * 10000.0 ** (-2 * pair / width), dtype=torch.float64)
            a, b = x[2 * pair], x[2 * pair + 1]
            out[2 * pair] = a * angle.cos() - b * angle.sin()
            out[2 * pair + 1] = a * angle.sin() + b * angle.cos()
        return out

    def block(name: str, xs: list[torch.Tensor]) -> list[torch.Tensor]:
        normed = [norm(x, w[f"{name}.attention_norm.weight"]) for x in xs]
        q, k, v = (
            [(w[f"{name}.attention.{part}.weight"] @ x).view(-1, width) for x in normed] for part in ("wq", "wk", "wv")
        )
        out = []
        for t, x in enumerate(xs):
            mixed = []
            for head in range(heads):
                shared = head // (heads // kv_heads)
                query = turned(q[t][head], t)
                scores = torch.stack([query @ turned(k[s][shared], s) / width**0.5 for s in range(t + 1)]).softmax(0)
                mixed.append(sum(scores[s] * v[s][shared] for s in range(t + 1)))
            x = x + w[f"{name}.attention.wo.weight"] @ torch.cat(mixed)
            y = norm(x, w[f"{name}.ffn_norm.weight"])
            gate = w[f"{name}.feed_forward.w1.weight"] @ y
            gate = gate * gate.sigmoid() * (w[f"{name}.feed_forward.w3.weight"] @ y)
            out.append(x + w[f"{name}.feed_forward.w2.weight"] @ gate)
        return out

    xs = [w["tok_embeddings.weight"][token] for token in tokens]
    last = params["n_layers"] - n
    for layer in range(last):
        xs = block(f"layers.{layer}", xs)
    names = [f"layers.{last}"] + [f"extra_heads.{j}" for j in range(n - 1)]
    states = [block(name, xs) for name in names]
    return torch.stack(
        [
            torch.stack([w["output.weight"] @ norm(state[t], w["norm.weight"]) for state in states])
            for t in range(len(xs))
        ]
    )


@pytest.mark.parametrize("n_kv_heads", [4, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_released_checkpoint_answers_as_its_layout_says(tmp_path: Path, dtype: torch.dtype, n_kv_heads: int) -> None:
    weights = write_meta(tmp_path, dtype=dtype, n_kv_heads=n_kv_heads)
    loaded = load(tmp_path, dtype=torch.float64)
    assert loaded.layout == "meta"
    expected = meta_logits(weights, {**SMALL, "n_kv_heads": n_kv_heads}, TOKENS[0].tolist())
    torch.testing.assert_close(loaded.model(TOKENS, return_all_heads=True)[0], expected, rtol=1e-9, atol=1e-9)
    assert loaded.model(TOKENS).shape == (1, 11, 1, 64)


def test_weights_keep_their_type_unless_another_is_asked_for(tmp_path: Path) -> None:
    write_meta(tmp_path, dtype=torch.float16)
    assert load(tmp_path).model.output.weight.dtype == torch.float16
    assert load(tmp_path, dtype=torch.float32).model.output.weight.dtype == torch.float32


def test_a_next_token_checkpoint_has_no_extra_heads(tmp_path: Path) -> None:
    write_meta(tmp_path, n_future_tokens=1)
    assert load(tmp_path).model.config.num_future_tokens == 1


def without(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = torch.load(folder / "consolidated.pth")
        del weights[name]
        torch.save(weights, folder / "consolidated.pth")

    return spoil


def cut(folder: Path) -> None:
    path = folder / "consolidated.pth"
    path.write_bytes(path.read_bytes()[:1000])


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a head is missing": (without("extra_heads.1.attention.wo.weight"), "lacks the weight extra_heads.1.attention.wo"),
    "no embedding": (without("tok_embeddings.weight"), "no 'tok_embeddings.weight'"),
    "torn": (cut, "cannot be read"),
    "no weights": (lambda folder: (folder / "consolidated.pth").unlink(), "no consolidated.pth"),
    "no JSON": (lambda folder: (folder / "params.json").write_text("{"), "params.json cannot be read"),
    "no shape": (lambda folder: (folder / "params.json").write_text('{"dim": 32}'), "does not describe a model"),
    "another shape": (
        lambda folder: (folder / "params.json").write_text(json.dumps({**SMALL, "n_heads": 4, "dim": 64})),
        r"is \[64, 32\], not \[64, 64\]",
    ),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_checkpoint_is_refused_with_the_reason(tmp_path: Path, spoil: tuple[Callable[..., Any], str]) -> None:
    write_meta(tmp_path)
    spoil[0](tmp_path)
    with pytest.raises(ModelUnavailable, match=spoil[1]):
        load(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"neither config.json .* nor params.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ModelUnavailable, match="kind 'gpt2'"):
        load(tmp_path)


_MEMORY = """
import sys, pathlib
from models.checkpoint import load
from models.tokenizer import ByteTokenizer

def private():
    # What is only mapped is not in it: the system can drop that at any time.
    lines = [line.split() for line in open("/proc/self/smaps_rollup")]
    return 1024 * sum(int(line[1]) for line in lines if line[0] == "Private_Dirty:")

load(pathlib.Path(sys.argv[1]), tokenizer=ByteTokenizer())  # what torch itself takes the first time
before = private()
model = load(pathlib.Path(sys.argv[2]), tokenizer=ByteTokenizer()).model
print(sum(weight.numel() * weight.element_size() for weight in model.parameters()), private() - before)
"""


@pytest.mark.slow
def test_a_model_is_in_memory_once(tmp_path: Path) -> None:
    write_meta(tmp_path / "small")
    write_meta(tmp_path / "large", dim=768, n_heads=12, n_layers=12)
    command = [sys.executable, "-c", _MEMORY, tmp_path / "small", tmp_path / "large"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    size, private = map(int, done.stdout.split())
    assert size > 100_000_000
    assert private < 1.1 * size


# ---------------------------------------------------------------------------------------------------------------------
# Our own
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("head_type", ["transformer", "causal", "anticausal", "linear", "replicated"])
def test_what_is_saved_is_loaded(tmp_path: Path, head_type: HeadType, n: int) -> None:
    model = small_model(n=n, head_type=head_type, dtype=torch.float32)
    save(model, ByteTokenizer(), tmp_path / "model", dtype=torch.float32, card="# A card\n")
    loaded = load(tmp_path / "model")
    assert loaded.layout == "own"
    assert loaded.model.config == model.config
    assert torch.equal(loaded.model(TOKENS, return_all_heads=True), model(TOKENS, return_all_heads=True))
    assert isinstance(checkpoint.load(tmp_path / "model").tokenizer, ByteTokenizer)
    assert (tmp_path / "model" / "README.md").read_text() == "# A card\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_digest_tells_models_apart_and_knows_them_again(tmp_path: Path) -> None:
    for place, seed in (("a", 1), ("b", 1), ("c", 2)):
        save(small_model(seed=seed), ByteTokenizer(), tmp_path / place)
    one, same, other = (load(tmp_path / place).digest for place in "abc")
    assert one == same != other


def test_saving_again_replaces_the_model_and_leaves_what_else_is_there(tmp_path: Path) -> None:
    save(small_model(seed=1), ByteTokenizer(), tmp_path / "m")
    (tmp_path / "m" / "metrics.jsonl").write_text("{}\n")
    save(small_model(seed=2), ByteTokenizer(), tmp_path / "m", dtype=torch.float64)
    assert (tmp_path / "m" / "metrics.jsonl").exists()
    assert torch.equal(load(tmp_path / "m").model(TOKENS), small_model(seed=2)(TOKENS))


def test_a_damaged_folder_of_ours_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    save(small_model(), ByteTokenizer(), folder)
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "model": {**described["model"], "width": 3}}))
    with pytest.raises(ModelUnavailable, match="unknown width"):
        load(folder)
    (folder / "config.json").write_text(json.dumps({**described, "tokenizer": {"type": "words"}}))
    with pytest.raises(ModelUnavailable, match="unknown tokenizer 'words'"):
        load(folder)
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelUnavailable, match=r"model.safetensors cannot be read"):
        load(folder)


# ---------------------------------------------------------------------------------------------------------------------
# Llama folders
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head_type", ["transformer", "causal", "replicated"])
@pytest.mark.parametrize("n", [1, 3])
def test_the_path_to_the_next_token_survives_as_a_llama_folder(tmp_path: Path, n: int, head_type: HeadType) -> None:
    model = small_model(n=n, head_type=head_type, dtype=torch.float32)
    export_llama(model, ByteTokenizer(), tmp_path)
    loaded = load(tmp_path)
    assert loaded.layout == "llama"
    assert loaded.model.config.num_future_tokens == 1
    assert torch.equal(loaded.model(TOKENS), model(TOKENS))


@pytest.mark.parametrize("head_type", ["anticausal", "linear"])
def test_heads_that_no_llama_model_has_are_refused(tmp_path: Path, head_type: HeadType) -> None:
    with pytest.raises(ValueError, match=f"{head_type} heads"):
        export_llama(small_model(head_type=head_type), ByteTokenizer(), tmp_path)


def test_several_files_and_tied_embeddings_are_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = small_model(n=1, dtype=torch.float32)
    model.output.weight.data = model.tok_embeddings.weight.data.clone()
    export_llama(model, ByteTokenizer(), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    del weights["lm_head.weight"]
    parts = {"one.safetensors": sorted(weights)[::2], "two.safetensors": sorted(weights)[1::2]}
    for file, names in parts.items():
        save_file({name: weights[name] for name in names}, tmp_path / file)
    index = {"weight_map": {name: file for file, names in parts.items() for name in names}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**described, "tie_word_embeddings": True}))
    assert torch.equal(load(tmp_path).model(TOKENS), model(TOKENS))
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(ModelUnavailable, match=r"lacks the weight output\.weight"):
        load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "yarn"}},
        {"attention_bias": True},
        {"mlp_bias": True},
        {"hidden_act": "gelu"},
        {"head_dim": 16},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_this_implementation_lacks_is_refused_and_not_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    export_llama(small_model(n=1), ByteTokenizer(), tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**described, **change}))
    with pytest.raises(
        ModelUnavailable, match=f"needs {'rope_scaling' if 'rope' in next(iter(change)) else next(iter(change))}"
    ):
        load(tmp_path)


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
def test_transformers_gives_the_same_logits(tmp_path: Path, num_kv_heads: int) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
    model = small_model(n=2, dtype=torch.float32, num_kv_heads=num_kv_heads)
    export_llama(model, ByteTokenizer(), tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(TOKENS).logits, model(TOKENS)[:, :, 0], rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# Shapes
# ---------------------------------------------------------------------------------------------------------------------


def test_models_of_unlike_future_tokens_have_equally_many_parameters() -> None:
    sizes = {sum(weight.numel() for weight in MTPTransformer(config(n)).parameters()) for n in (1, 2, 4)}
    assert len(sizes) == 1


def config(n: int) -> MTPConfig:
    return MTPConfig(
        vocab_size=11, dim=16, num_layers=6, num_heads=2, num_kv_heads=2, hidden_dim=32, num_future_tokens=n
    )


@pytest.mark.parametrize(
    "change",
    [
        ({"num_heads": 3}, "3 heads"),
        ({"num_heads": 16}, "even width"),
        ({"num_kv_heads": 3}, "multiple of num_kv_heads 3"),
        ({"num_future_tokens": 7}, "7 heads of a layer each"),
        ({"num_future_tokens": 0}, "num_future_tokens must be 1"),
        ({"head_type": "tree"}, "unknown head_type 'tree'"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_together_are_refused(change: tuple[dict[str, Any], str]) -> None:
    with pytest.raises(ValueError, match=change[1]):
        dataclasses.replace(config(2), **change[0])
